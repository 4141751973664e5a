"""Notifications in a real browser, at an address where it allows them: localhost.

A browser without the internet gets no subscription from a push service, so a test gives it one of its own
push service, with its own keys. Everything else is real: the page, the service worker, the message that the
server encrypts and posts, and the notification.
"""

import json
from contextlib import suppress

import pytest
from helpers.receivers import Receiver, Subscriber
from helpers.server import Server
from helpers.soak import soak_after
from helpers.waiting import wait_for
from playwright.sync_api import expect

SUBSCRIBES = """
    const subscription = %s;
    let current = null;
    const toJSON = () => subscription;
    const made = { ...subscription, toJSON, unsubscribe: async () => { current = null; } };
    PushManager.prototype.subscribe = async options => {
        window.subscribedWith = options;
        return (current = made);
    };
    PushManager.prototype.getSubscription = async () => current;
"""
# The browser without a window has no notifications that could be asked for.
ALLOWED = """
    let permission = 'default';
    Object.defineProperty(Notification, 'permission', { get: () => permission });
    Notification.requestPermission = async () => (permission = '%s');
"""


@pytest.fixture(scope="module")
def push_service():
    with Receiver() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, push_service):
    server = Server(tmp_path_factory.mktemp("push") / "data", push_hosts=push_service.url, places="open")
    yield server
    server.kill()


@pytest.fixture
def receiver(push_service):
    push_service.got.clear()
    return push_service


@pytest.fixture
def visit_localhost(visit, problems):
    pages = []

    def visit_localhost(link, phone, answer="granted"):
        page = visit("about:blank", permissions=["notifications"])
        page.add_init_script(SUBSCRIBES % json.dumps(phone.subscription))
        page.add_init_script(ALLOWED % answer)
        page.goto(link.replace("127.0.0.1", "localhost"))
        pages.append(page)
        return page

    yield visit_localhost
    for page in pages:
        page.context.close()
    # The page is at another name than those of other tests.
    problems[:] = [each for each in problems if "asked another host: http://localhost" not in each]


def push(page, content):
    """Give a message to the service worker, as the browser does when it comes from a push service."""
    session = page.context.new_cdp_session(page)
    registrations = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated", lambda event: registrations.extend(event["registrations"])
    )
    session.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_timeout(200)
    session.send(
        "ServiceWorker.deliverPushMessage",
        {
            "origin": page.evaluate("location.origin"),
            "registrationId": registrations[-1]["registrationId"],
            "data": json.dumps(content),
        },
    )


SHOWN = """async () => {
    const registration = await navigator.serviceWorker.ready;
    const shown = await registration.getNotifications();
    return shown.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
}"""


def push_until_shown(page, message):
    """Push a notification until the browser shows it alone; a busy one drops messages for a new worker."""

    def is_shown():
        return [each["title"] for each in page.evaluate(SHOWN)] == [message["title"]]

    def is_shown_after_a_push():
        push(page, {"web_push": 8030, "notification": message})
        with suppress(AssertionError):
            wait_for(is_shown, within=4)
        return is_shown()

    wait_for(is_shown_after_a_push)


def test_one_tap_and_the_phone_can_be_locked(own_server, receiver, visit_localhost):
    shop = own_server.open_shop()
    phone = Subscriber(receiver.url)
    customer = shop.customer()
    page = visit_localhost(customer.ticket["links"]["ticket"], phone)
    button = page.get_by_role("button", name="Notify me")
    expect(page.get_by_text("Keep this page open: it rings.")).to_be_visible()
    button.click()
    expect(page.get_by_text("We'll notify you, you can lock your phone.")).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("subscribedWith.userVisibleOnly && subscribedWith.applicationServerKey.length") == 65

    receiver.wait_for(1)  # nobody is ahead, so it's soon
    shop.desk("Ana", "Window 2").call_next()
    receiver.wait_for(2)
    messages = [phone.read(each.body) for each in receiver.got]
    turn = next(each for each in messages if each["title"] == "A1: Window 2")
    expect(page.get_by_role("main")).to_contain_text("It's your turn: Window 2")

    for message in messages:
        push_until_shown(page, message)
    (shown,) = page.evaluate(SHOWN)  # the second has replaced the first
    path = "/" + customer.ticket["links"]["ticket"].split("/", 3)[3]
    assert shown == {
        "title": messages[-1]["title"],
        "body": messages[-1]["body"],
        "tag": turn["tag"],
        "data": {"path": path},
    }


def test_a_second_press_stops_it(own_server, receiver, visit_localhost):
    shop = own_server.open_shop()
    customer = shop.customer()
    page = visit_localhost(customer.ticket["links"]["ticket"], Subscriber(receiver.url))
    button = page.get_by_role("button", name="Notify me")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert customer.get()["messages"]["browsers"] == 0


def test_the_owner_s_device_gets_alerts_until_a_second_press(own_server, receiver, visit_localhost):
    shop = own_server.open_shop()
    page = visit_localhost(f"{shop.links['manage']}/settings", Subscriber(receiver.url))
    button = page.get_by_role("button", name="Notify me on this device")
    button.click()
    expect(page.get_by_text("This device gets alerts.")).to_be_visible()
    expect(page.get_by_text("1 device gets alerts.")).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert len(shop.owner_get()["alerts"]["devices"]) == 1
    page.get_by_label("Until", exact=True).fill("25:00")
    page.get_by_role("button", name="Save the alerts").click()
    expect(page.locator("#alerts .wrong")).to_have_text("Until: please enter a time such as 09:00.")
    expect(button).to_have_attribute("aria-pressed", "true")  # though the card was made anew
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Stop on all devices")).to_be_hidden()
    assert shop.owner_get()["alerts"]["devices"] == []


def test_blocked_notifications_are_explained(own_server, receiver, visit_localhost):
    customer = own_server.open_shop().customer()
    page = visit_localhost(customer.ticket["links"]["ticket"], Subscriber(receiver.url), answer="denied")
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_text("Notifications are blocked")).to_be_visible()
    assert customer.get()["messages"]["browsers"] == 0


def test_plain_http_shows_no_button_and_no_hint_of_one(shop, visit):
    page = visit(shop.customer().ticket["links"]["ticket"])
    expect(page.get_by_text("Keep this page open: it rings.")).to_be_visible()
    expect(page.get_by_role("button", name="Notify me")).to_have_count(0)
    assert "otif" not in page.get_by_role("main").inner_text()


def hide(page, hidden):
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


def test_a_ticket_promises_to_ring_only_with_the_sound_on(shop, visit):
    page = visit(shop.customer().ticket["links"]["ticket"])
    reach = page.locator("#reach")
    expect(reach).to_have_text("Turn on Sound. Keep this page open: it rings.")
    page.get_by_role("button", name="Sound").click()
    expect(reach).to_have_text("Keep this page open: it rings.")
    page.get_by_role("button", name="Sound").click()
    expect(reach).to_have_text("Turn on Sound. Keep this page open: it rings.")


@pytest.mark.parametrize("size", soak_after(2, ["small phone", "phone on its side", "phone"]))
def test_what_is_opened_on_a_ticket_comes_into_view(shop, visit, size):
    page = visit(shop.customer().ticket["links"]["ticket"], size)
    page.get_by_text("I need more time").click()
    expect(page.get_by_role("button", name="15 minutes")).to_be_in_viewport(ratio=1)


def test_a_ticket_that_is_fetched_anew_stays_where_it_was_scrolled_to(shop, visit, notices):
    first = shop.customer()
    page = visit(shop.customer().ticket["links"]["ticket"], "small phone")
    notices(page, stream="open")
    page.get_by_text("Why am I still waiting?").click()  # then each picture is a reason to fetch it
    page.get_by_text("I need more time").click()
    expect(page.get_by_role("button", name="15 minutes")).to_be_in_viewport(ratio=1)
    page.evaluate("scrollTo(0, 0)")
    shop.desk().call_next()
    expect(page.get_by_text(f"{first.number} was called")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == 0


def test_a_browser_without_audio_promises_no_ring(shop, visit):
    page = visit("about:blank")
    page.add_init_script("delete window.AudioContext; delete window.webkitAudioContext;")
    page.goto(shop.customer().ticket["links"]["ticket"].replace("127.0.0.1", "shop.test"))
    expect(page.locator("#reach")).to_have_text("Keep this page open: it shows when it's your turn.")


def test_a_hidden_page_goes_on_to_tell_and_rings(shop, visit, notices):
    first = shop.customer()
    page = visit("about:blank")
    page.clock.install()
    page.goto(shop.customer().ticket["links"]["ticket"].replace("127.0.0.1", "shop.test"))
    page.get_by_role("button", name="Sound").click()
    notices(page, rings=1, stream="open")  # it rings so that one hears how loud it is
    expect(page).to_have_title("1 ahead · A2 · Corner Deli")
    hide(page, True)
    notices(page, stream="closed")
    assert first.cancel().status == 200
    page.clock.run_for(21_000)
    expect(page).to_have_title("You're next · A2 · Corner Deli")
    shop.desk("Ana", "Window 2").call_next()
    page.clock.run_for(21_000)
    notices(page, rings=2)
    expect(page).to_have_title("It's your turn · A2 · Corner Deli")
    hide(page, False)
    notices(page, stream="open")
