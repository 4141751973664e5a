"""Requests of a page that a test holds back.

held = hold_next(page, "**/taps")
wait_for(page, held)
held[0].continue_()
"""

from __future__ import annotations

import time

from playwright.sync_api import Page, Route


def hold_next(page: Page, url: str) -> list[Route]:
    """Hold back the next request to a URL; return the list that it will be in."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(url, hold, times=1)
    return held


def wait_for(page: Page, held: list[Route], within: float = 10) -> None:
    """Wait until a request is held. Playwright handles requests only while a test waits for the page."""
    deadline = time.monotonic() + within
    while not held:
        assert time.monotonic() < deadline, "The page sent nothing."
        page.wait_for_timeout(20)
