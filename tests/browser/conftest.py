"""Real browsers. They reach the server by a name that is not localhost.

def test_a_customer_sees_their_number(shop, visit):
    phone = visit(shop.take().body["links"]["ticket"])
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from counter import Inside
from helpers.browser import FLAGS, launch_options
from helpers.places import Place
from helpers.server import Server
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    WebError,
    expect,
    sync_playwright,
)

HERE = Path(__file__).parent
# A name other than localhost: with plain http, browsers don't allow it what they reserve for https.
NAME = "shop.test"
# The pop-ups of the address bar: two more pages for each window, and half of its cost.
# A browser uses only the last list, so this one repeats the features that Playwright disables.
WITHOUT = """
    WebUIOmniboxPopup WebUIOmniboxAimPopup WebUIOmniboxFullPopup
    AimEnabled AvoidCorsURLLoaderRestartOnRedirect AvoidUnnecessaryBeforeUnloadCheckSync
    DestroyProfileOnBrowserClose HttpsFirstBalancedModeAutoEnable HttpsUpgrades LensOverlay MediaRouter
    NetworkTimeServiceQuerying OptimizationHints PaintHolding PreconnectToSearch ThirdPartyStoragePartitioning
"""
CHROMIUM = {
    **launch_options(),
    "args": [
        *FLAGS,
        f"--disable-features={','.join(WITHOUT.split())}",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
    ],
}
SIZES = {
    "small phone": (320, 568),
    "phone": (375, 667),
    "phone on its side": (667, 375),
    "desktop": (1440, 900),
}
NO_CONNECTION = "You're offline. This page updates automatically once you're back."

expect.set_options(timeout=10_000)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, started once for all."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def problems() -> list[str]:
    """What went wrong in any page of a test: console errors, exceptions and requests to other hosts."""
    return []


@pytest.fixture
def notices() -> Callable[..., None]:
    """Wait until the page has these values of sounds, speech and stream state; see page_probe.js."""

    def notices(page: Page, **wanted: object) -> None:
        for name, value in wanted.items():
            expect(page.locator("html")).to_have_attribute(f"data-{name}", str(value), timeout=30_000)

    return notices


@pytest.fixture
def offline() -> Callable[..., AbstractContextManager[None]]:
    """Take a page offline for a while; with `sends=True`, its requests still reach the server."""

    @contextmanager
    def offline(page: Page, sends: bool = False) -> Iterator[None]:
        def stop(route: Route) -> None:
            route.continue_() if sends and route.request.method == "POST" else route.abort()

        page.route("**/*", stop)
        page.evaluate(
            "dispatchEvent(new Event('online'))"
        )  # the open stream is closed, and the page opens a new one
        expect(page.get_by_text(NO_CONNECTION)).to_be_visible()
        yield
        page.unroute_all()

    return offline


def listen(context: BrowserContext, problems: list[str]) -> dict[str, Callable[..., None]]:
    """Collect what goes wrong in a browser's pages from now on; return the listeners."""

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"{message.page.url}: {message.text}")

    def fail(error: WebError) -> None:
        problems.append(str(error.error))

    def note(request: Request) -> None:
        if not request.url.startswith((f"http://{NAME}:", "data:")):
            problems.append(f"asked another host: {request.url}")

    listeners = {"console": hear, "weberror": fail, "request": note}
    for event, listener in listeners.items():
        context.on(event, listener)
    return listeners


def nothing_but_refusals(problems: list[str]) -> None:
    """Check that the only problems are refused or failed requests, which tests provoke."""
    assert [problem for problem in problems if "Failed to load resource" not in problem] == []


@pytest.fixture
def visit(chromium: Browser, problems: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a link in a new browser context: on a phone, unless another size is named.

    With a directory as `profile`, its storage is kept there, and it can be closed and opened again.
    """
    contexts = []

    def visit(link: str, size: str = "phone", profile: Path | None = None, **options: object) -> Page:
        options["viewport"] = dict(zip(("width", "height"), SIZES[size], strict=True))
        if profile:
            context = chromium.browser_type.launch_persistent_context(profile, **CHROMIUM, **options)
        else:
            context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_init_script(path=HERE / "page_probe.js")
        listen(context, problems)
        page = context.new_page()
        page.goto(link.replace("127.0.0.1", NAME))
        return page

    yield visit
    for context in contexts:
        context.close()
    nothing_but_refusals(problems)


@pytest.fixture(scope="package")
def windows(chromium: Browser) -> Iterator[Callable[[bool], Page]]:
    """A page with scripts and one without, each opened once for all tests that only look at pages."""
    opened = {}

    def windows(scripts: bool) -> Page:
        if scripts not in opened:
            context = chromium.new_context(java_script_enabled=scripts)
            context.set_default_timeout(10_000)
            context.add_init_script(path=HERE / "page_probe.js")
            opened[scripts] = context.new_page()
        return opened[scripts]

    yield windows
    for page in opened.values():
        page.context.close()


@pytest.fixture
def look(windows: Callable[[bool], Page], problems: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a link like visit(), for tests that only look at pages.

    The browser context is shared, and cleared after the test.
    """
    listeners = {}

    def look(link: str, size: str = "phone", scripts: bool = True) -> Page:
        page = windows(scripts)
        listeners[page] = listen(page.context, problems)
        page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
        page.goto(link.replace("127.0.0.1", NAME))
        return page

    yield look
    for page, heard in listeners.items():
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.goto("about:blank")
        page.context.clear_cookies()
        page.emulate_media(media="null", color_scheme="null", reduced_motion="null")
        for event, listener in heard.items():
            page.context.remove_listener(event, listener)
    nothing_but_refusals(problems)


@pytest.fixture(scope="package")
def server(shared_server: Server) -> Server:
    """The server of all tests that don't start their own."""
    return shared_server


@pytest.fixture
def open_shop(server: Server) -> Callable[..., Place]:
    """Opens places on the shared server."""
    return server.open_shop


@pytest.fixture
def shop(open_shop: Callable[..., Place]) -> Place:
    """A place with one queue, "Deli"."""
    return open_shop()


@pytest.fixture
def phone(shop: Place, visit: Callable[..., Page]) -> Page:
    """A customer's phone that just scanned the QR code."""
    return visit(shop.links["customers"])


@pytest.fixture
def ana(shop: Place, visit: Callable[..., Page]) -> Page:
    """The desk of Ana, at Window 2."""
    return visit(shop.desk().link, "desktop")


@pytest.fixture
def inside(shop: Place) -> Inside:
    """The counter of that shop, with a capacity of 90."""
    return Inside(shop)


@pytest.fixture
def door(inside: Inside, visit: Callable[..., Page]) -> Page:
    """The phone at its only door."""
    return visit(inside.door(), has_touch=True)
