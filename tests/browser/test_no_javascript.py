"""Without JavaScript: plain forms, and pages that reload themselves."""

import pytest
from counter import Inside
from helpers.soak import soak_after
from playwright.sync_api import expect


@pytest.fixture
def old_phone(shop, visit):
    """A customer's phone that runs no scripts."""
    return visit(shop.links["customers"], java_script_enabled=False)


def take(page):
    page.get_by_role("button", name="Take a number").click()


def refresh(page):
    """Return after how many seconds a page reloads itself, and from which URL."""
    content = page.locator("meta[http-equiv=refresh]").get_attribute("content")
    seconds, _, url = content.partition("; url=")
    return int(seconds), page.url.endswith(url) and url


def test_a_page_learns_of_its_turn_by_reloading_itself(server, shop, old_phone):
    """The page reloads after 15 seconds (see below); for this phone, that is changed to 3."""

    def hasten(route):
        answer = route.fetch(url=route.request.url.replace("shop.test", "127.0.0.1"))
        page = answer.text()
        assert page.count('content="15; url=') == 1
        route.fulfill(response=answer, body=page.replace('content="15; url=', 'content="3; url='))

    take(old_phone)
    expect(old_phone.get_by_role("heading", name="A1")).to_be_visible()
    old_phone.route("**/t/*", hasten)
    # the browser may not load these from loopback
    old_phone.route("**/static/*", lambda route: route.abort())
    old_phone.reload()
    expect(old_phone.get_by_text("You're next")).to_be_visible()
    shop.desk().post("next", finished=None)
    expect(old_phone.get_by_text("It's your turn: Window 2")).to_be_visible()
    assert refresh(old_phone)[0] == 3, "it was not hastened"


def test_a_customer_leaves_the_line_and_takes_another_number(shop, old_phone):
    take(old_phone)
    old_phone.get_by_role("button", name="Leave the line").click()
    expect(old_phone.get_by_text("You left the line.")).to_be_visible()
    old_phone.get_by_role("link", name="Take another number").click()
    take(old_phone)
    expect(old_phone.get_by_role("heading", name="A2")).to_be_visible()
    assert shop.waiting() == ["A2"]


@pytest.mark.parametrize("page", soak_after(3, ["ticket", "desk", "door", "board", "screen"]))
def test_live_pages_reload_themselves(shop, visit, page):
    inside = Inside(shop)
    links = {
        "ticket": shop.take().body["links"]["ticket"],
        "desk": shop.desk().link,
        "board": shop.links["board"],
        "door": inside.door(),
        "screen": inside.screen,
    }
    opened = visit(links[page], java_script_enabled=False)
    assert refresh(opened) == (15, links[page].removeprefix(shop.client.url))


def test_a_page_with_a_form_does_not_reload_itself(server, shop, old_phone):
    assert refresh(old_phone)[0] == 15
    server.post(f"{shop.links['manage']}/queues/deli", {"asks": ["name"]})
    old_phone.reload()
    expect(old_phone.locator("meta[http-equiv=refresh]")).to_have_count(0)


def test_a_desk_works_by_plain_forms(shop, old_phone, visit):
    desk = visit(shop.links["staff"], java_script_enabled=False)
    desk.get_by_label("Your name").fill("Ana")
    desk.get_by_role("button", name="Start serving").click()
    served = desk.get_by_label("Now serving").get_by_role("heading")
    desk.get_by_role("button", name="Next customer").click()
    expect(desk.locator("#message").get_by_text("No one waiting.")).to_be_visible()
    take(old_phone)
    desk.reload()
    for button, now in [("Next customer", "A1"), ("Start", "A1"), ("Done", "Free"), ("Restore A1", "Free")]:
        desk.get_by_role("button", name=button, exact=True).click()
        expect(served).to_have_text(now)
    desk.get_by_role("button", name="Add a customer").click()
    expect(desk.get_by_text("Added A2. Tell the customer this number.")).to_be_visible()
    assert shop.waiting() == ["A1", "A2"]


def test_a_door_works_by_plain_forms(shop, old_phone, visit):
    inside = Inside(shop, capacity=4, admits="deli")
    door = visit(inside.door(), java_script_enabled=False)
    for button, count, left in [
        ("In", 1, "Room for 3 more"),
        ("+4", 5, "Over capacity by 1"),
        ("Out", 4, "Full"),
    ]:
        door.get_by_role("button", name=button, exact=True).click()
        expect(door.locator("#count")).to_have_text(str(count))
        expect(door.locator("#left")).to_have_text(left)
    door.reload()  # sends nothing a second time
    expect(door.locator("#count")).to_have_text("4")
    take(old_phone)
    expect(old_phone.get_by_text("You're next")).to_be_visible()
    door.get_by_role("spinbutton", name="How many people are inside?").fill("2")
    door.get_by_role("button", name="Recount").click()
    expect(door.get_by_text("2 of 4")).to_be_visible()
    expect(door.locator("#left")).to_have_text("Room for 1 more, 1 reserved")
    old_phone.reload()
    expect(old_phone.get_by_text("It's your turn: please come in")).to_be_visible()
    shop.take()
    shop.take()
    door.get_by_role("button", name="In, A1", exact=True).click()
    door.get_by_role("button", name="No-show, A2", exact=True).click()
    expect(door.get_by_role("button", name="In, A3", exact=True)).to_be_visible()
    expect(door.locator("#count")).to_have_text("3")
    old_phone.reload()
    expect(old_phone.get_by_text("All done. Thank you!")).to_be_visible()
    assert [event["delta"] for event in inside.history()] == [1, 4, -1, -2, 1]
