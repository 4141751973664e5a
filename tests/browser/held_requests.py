"""Requests of a page that a test holds back.

held = []
page.route("**/taps", hold)  # which adds the route to the list
wait_for(page, held)
held[0].continue_()
"""

from __future__ import annotations

import time

from playwright.sync_api import Page, Route


def wait_for(page: Page, held: list[Route], within: float = 10) -> None:
    """Wait until a request is held. Playwright handles requests only while a test waits for the page."""
    deadline = time.monotonic() + within
    while not held:
        assert time.monotonic() < deadline, "The page sent nothing."
        page.wait_for_timeout(20)
