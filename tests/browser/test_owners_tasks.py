"""The owner's tasks on a phone. Pages stay up to date, and nothing that was typed is lost."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from call_list import Calling
from helpers.clock import zone_at_hour
from playwright.sync_api import expect

LOGO = Path(__file__).parents[2] / "static" / "icon-192.png"


def press(page, name, role="button"):
    page.get_by_role(role, name=name, exact=True).click()


def go_to(page, section):
    """Open a section with the menu of a phone."""
    menu = page.get_by_role("navigation", name="Sections")
    if not menu.get_by_role("link", name=section).is_visible():
        menu.get_by_text("More").click()
    menu.get_by_role("link", name=section).click()
    expect(menu.locator("[aria-current]")).not_to_have_count(0)


@pytest.fixture
def owner(shop, visit):
    """The owner's phone, at the bookmark."""
    return visit(shop.links["manage"])


# ----- each task of a day


def test_a_shop_is_opened_and_its_poster_printed(start_server, visit):
    owner = visit(start_server().url)
    owner.get_by_label("Name of your place").fill("Corner Deli")
    owner.get_by_label("Name of your place").press("Enter")
    button = owner.get_by_role("button", name="Print the poster")
    expect(button).to_be_in_viewport(ratio=1)
    with owner.expect_popup() as popup:
        button.click()
    expect(popup.value.get_by_role("heading", name="Corner Deli")).to_be_visible()
    expect(popup.value.get_by_role("button", name="Print")).to_be_in_viewport(ratio=1)
    owner.bring_to_front()
    expect(button).to_have_count(0)  # it is done


def test_the_owner_closes_early(shop, owner):
    shop.take()
    press(owner, "Close Deli")
    expect(
        owner.get_by_text("Deli is closed to new customers. 1 person is still waiting.")
    ).to_be_in_viewport()
    assert shop.picture()["queues"][0]["open"] is False
    press(owner, "Open Deli")
    expect(owner.get_by_role("button", name="Close Deli")).to_be_visible()


def test_the_owner_finds_yesterdays_average_wait(owner):
    go_to(owner, "Statistics")
    press(owner, "Yesterday", "link")
    yesterday = datetime.now(ZoneInfo(zone_at_hour(12))) - timedelta(1)
    expect(owner.get_by_role("main")).to_contain_text(f"{yesterday:%A} {yesterday.day} {yesterday:%B}")
    expect(owner.get_by_text("No one took a number on this day.")).to_be_in_viewport()


def test_the_average_wait_is_in_view(shop, owner):
    desk = shop.desk()
    shop.take()
    desk.call_next()
    desk.post("done", number="A1")
    go_to(owner, "Statistics")
    expect(owner.get_by_text("Average wait", exact=True)).to_be_in_viewport()


def test_a_long_wait_covers_no_other_figure(shop, visit):
    owner = visit(f"{shop.links['manage']}/stats")
    covers = """() => [...document.querySelectorAll('.figures dd')].filter(figure => {
        figure.innerHTML = '<data>12 h 25 min</data>';
        const [text, room] = [figure.firstChild, figure.parentNode].map(e => e.getBoundingClientRect());
        return text.right > room.right + 1;
    }).length"""
    assert owner.locator(".figures dd").count() > 3
    assert owner.evaluate(covers) == 0


def test_the_owner_renames_a_desk(shop, owner):
    shop.desk("Ana", "Window 1")
    go_to(owner, "Team")
    owner.locator("summary").filter(has_text="Edit Ana").click()
    owner.get_by_label("Desk", exact=False).and_(owner.locator("input:visible")).fill("Window 7")
    press(owner, "Save Ana")
    expect(owner.get_by_role("heading", name="Ana · Window 7")).to_be_visible()
    expect(owner.get_by_text("Saved.")).to_be_in_viewport()
    expect(owner.get_by_role("button", name="Save Ana")).to_be_in_viewport()  # the panel is still open
    assert shop.owner_get()["servicers"][0]["desk"] == "Window 7"


def test_the_owner_gives_a_colleague_a_link(shop, owner, visit):
    go_to(owner, "Team")
    expect(owner.get_by_role("button", name="Copy link Staff link")).to_be_in_viewport(ratio=1)
    press(owner, "Copy link Staff link")
    expect(owner.get_by_role("button", name="Copied Staff link")).to_be_visible()
    owner.locator("summary").filter(has_text="QR code").click()
    expect(owner.get_by_role("img", name="QR code: Staff link")).to_be_visible()
    link = owner.get_by_role("group", name="Staff link").locator("[data-url]").get_attribute("data-url")
    expect(visit(link).get_by_role("button", name="Start serving")).to_be_visible()


def test_the_owner_restores_the_last_called_customer(shop, owner):
    desk = shop.desk()
    shop.take(name="Zoë")
    desk.call_next()
    desk.post("no-show", number="A1")
    expect(owner.get_by_role("button", name="Restore A1")).to_be_in_viewport(ratio=1)
    press(owner, "Restore A1")
    expect(owner.get_by_text("A1 is back in the queue, first in line.")).to_be_in_viewport()
    assert shop.waiting() == ["A1"]


@pytest.mark.soak
def test_the_owner_stops_calling_a_number_for_good(shop, visit):
    calling = Calling(shop)
    calling.put_on(calling.add("Ann Lee", "Ben Okafor"))
    owner = visit(shop.links["manage"])
    press(owner, "Contacts", "link")
    owner.get_by_role("searchbox").fill("okafor")
    press(owner, "Search")
    press(owner, "Ben Okafor", "link")
    owner.locator("summary").filter(has_text="Do not call").click()
    press(owner, "Never call again")
    expect(owner.get_by_text("Do not call").first).to_be_visible()
    expect(owner.get_by_text("On no list.")).to_be_visible()
    assert [each["do_not_call"] for each in calling.contacts()] == [False, True]


# ----- what is typed, and what is new


def test_numbers_are_live_on_today_and_on_queues(shop, owner, visit):
    queues = visit(f"{shop.links['manage']}/queues", "desktop")
    shop.take()
    shop.take()
    expect(owner.get_by_role("article", name="Deli")).to_contain_text("2 waiting")
    expect(queues.get_by_role("article", name="Deli")).to_contain_text("2 waiting")
    shop.desk("Ana", "Window 4").call_next()
    expect(owner.get_by_role("list", name="Being served")).to_contain_text("A1 Window 4")


def test_an_error_is_in_view_at_its_field_and_nothing_is_lost(shop, visit):
    shop.add_queue("Bakery")
    for name in ("Cheese", "Drinks", "Eggs"):
        shop.add_queue(name)
    owner = visit(f"{shop.links['manage']}/queues")
    owner.locator("summary").filter(has_text="Settings of Eggs").click()
    form = owner.locator("#queue-eggs form")
    form.get_by_label("Name", exact=True).first.fill("Fresh eggs")
    form.get_by_label("Prefix").fill("A")
    press(owner, "Save Eggs")
    error = owner.get_by_text("Prefix A is already used by Deli. Choose another one.").locator("visible=true")
    expect(error).to_be_in_viewport()
    expect(form.get_by_label("Prefix")).to_be_focused()
    expect(form.get_by_label("Name", exact=True).first).to_have_value("Fresh eggs")
    shop.take()  # a change in the place keeps what was typed
    owner.wait_for_timeout(3000)
    expect(form.get_by_label("Name", exact=True).first).to_have_value("Fresh eggs")
    form.get_by_label("Prefix").fill("X")
    press(owner, "Save Eggs")
    expect(owner.get_by_role("heading", name="Fresh eggs")).to_be_visible()
    expect(owner.get_by_text("Saved.")).to_be_in_viewport()


def test_the_owner_reorders_queues(shop, visit):
    shop.add_queue("Bakery")
    owner = visit(f"{shop.links['manage']}/queues")
    press(owner, "Move Bakery up")
    expect(owner.get_by_role("heading", level=2).first).to_have_text("Bakery")
    assert [queue["slug"] for queue in shop.picture()["queues"]] == ["bakery", "deli"]


def test_the_menu_is_always_at_hand(shop, owner):
    for section in ("Queues", "Occupancy", "Calls", "Team", "Statistics", "Settings", "Today"):
        go_to(owner, section)
        expect(owner.get_by_role("navigation", name="Sections")).to_be_in_viewport(ratio=0.9)
        if section != "Today":
            expect(owner.get_by_role("heading", level=1)).to_have_text(section)
    owner.set_viewport_size({"width": 1440, "height": 900})
    for name in ("Today", "Occupancy", "Settings"):
        expect(owner.get_by_role("link", name=name, exact=True)).to_be_in_viewport(ratio=1)


@pytest.mark.soak
def test_a_desk_is_corrected_and_handed_over(shop, visit):
    desk = visit(shop.links["staff"])
    desk.get_by_label("Your name").fill("Fred")
    desk.get_by_label("Your desk").fill("Windw 2")
    press(desk, "Start serving")
    desk.get_by_text("Change name or desk").click()
    desk.get_by_label("Your desk").and_(desk.locator(":visible")).fill("Window 2")
    press(desk, "Save")
    expect(desk.get_by_role("heading", name="Fred · Window 2")).to_be_visible()
    desk.get_by_text("I’m not Fred").click()
    desk.locator("#shift-other").get_by_label("Your name").fill("Gina")
    press(desk, "Take over this desk")
    expect(desk.get_by_role("heading", name="Gina · Window 2")).to_be_visible()
    desk.get_by_text("End my shift").first.click()
    press(desk, "End my shift")
    expect(desk.get_by_text("Your shift has ended.")).to_be_visible()
    desk.goto(shop.links["staff"].replace("127.0.0.1", "shop.test"))
    expect(desk.get_by_role("button", name="Start serving")).to_be_visible()


def test_the_owners_colour_and_thanks(shop, visit):
    owner = visit(f"{shop.links['manage']}/settings")
    owner.get_by_label("Thank-you text").fill("See you soon!")
    owner.get_by_label("Colour").fill("#0b5394")
    press(owner, "Save the look")
    expect(owner.get_by_text("Saved.")).to_be_in_viewport()
    phone = visit(shop.links["customers"])
    expect(phone.get_by_role("button", name=re.compile("Take a number"))).to_have_css(
        "background-color", "rgb(11, 83, 148)"
    )


def test_a_chosen_logo_stays_when_something_else_is_saved(shop, visit):
    owner = visit(f"{shop.links['manage']}/settings")
    owner.get_by_label("Picture").set_input_files(LOGO)
    owner.get_by_label("Thank-you text").fill("See you!")
    press(owner, "Save the look")
    expect(owner.locator("#message")).to_have_text("Saved.")
    press(owner, "Upload the logo")
    expect(owner.get_by_alt_text("Your logo")).to_be_visible()


def test_who_deletes_the_place_reads_that_it_is_gone(shop, visit, notices):
    owner = visit(f"{shop.links['manage']}/settings")
    notices(owner, stream="open")
    owner.get_by_text("Delete Corner Deli").first.click()
    owner.locator("#delete-place").get_by_label("Name").fill("Corner Deli")

    picture = owner.evaluate("document.body.dataset.picture")

    def is_gone(answer):
        """Return True for the answer that tells the page that the place is gone."""
        return answer.url.endswith(picture) and answer.status == 404

    def answer_late(route):
        with owner.expect_response(is_gone):
            assert shop.owner_post("/delete", name="Corner Deli").status == 200
        owner.wait_for_timeout(300)  # in which it would leave
        route.fulfill(body="It was deleted.", content_type="text/plain")

    owner.route("**/delete", answer_late)
    press(owner, "Delete Corner Deli")
    expect(owner.get_by_text("It was deleted.")).to_be_visible()
