"""The door's page: taps by thumb and by keyboard, with and without a network."""

import re
import time
from itertools import cycle, islice

import pytest
from counter import WHERE_IT_IS_MET, Inside, button, place_of, shows, taps
from held_requests import hold_next, wait_for
from helpers.soak import soak_after
from playwright.sync_api import expect

PADS = {"In": 1, "Out": -1, "+2": 2, "+3": 3, "+4": 4, "+5": 5}
PASSING = ["In", "In", "+3", "Out", "In", "+2", "Out", "Out", "In", "+4"]  # like people who pass a door
NO_CONNECTION = "You're offline. Press again once you're back."
KEPT = "What was tapped is kept on this device"
COME_BACK = "dispatchEvent(new Event('online'))"  # the event of a browser that is online again
NOTE_EVERY_COUNT = """() => {
    const count = document.getElementById('count');
    window.shown = [];
    new MutationObserver(() => shown.push(Number(count.textContent))).observe(count, { childList: true });
}"""
KEPT_TAPS = "() => Object.keys(localStorage).filter(name => name.startsWith('taps ')).length"


class Network:
    """The network between a browser and the server: `page.route("**/*", network)`.

    While it is cut, background requests fail: taps, streams and pictures. Pages can still be loaded, as over
    a network that is back for a moment, because without a service worker (which needs https) no page could be
    loaded while the server is away.
    """

    def __init__(self, server):
        self.server, self.cut, self.answers_to_lose = server, False, 0
        self.batches = []  # requests that reached the server, answered or not

    def __call__(self, route):
        request = route.request
        if request.resource_type not in ("fetch", "eventsource"):
            route.continue_()
        elif self.cut:
            route.abort()
        elif not request.url.endswith("/taps"):
            route.continue_()
        else:
            self.batches.append(request.post_data_json["taps"])
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                assert self.server.post(request.url, request.post_data_json).status == 200
                route.abort("connectionreset")
            else:
                route.continue_()

    def is_back(self, *pages):
        """Let everything through from now on, and tell the pages."""
        self.cut = False
        for page in pages:
            page.evaluate(COME_BACK)


def people(pads):
    """Return how many people these pads add up to."""
    return sum(PADS[pad] for pad in pads)


# ----- without a network


@pytest.mark.parametrize("count", soak_after(1, [24, 200]))
def test_taps_of_a_door_that_was_offline_count_once(server, inside, visit, tmp_path, count):
    """With two reloads and a closed browser in between. The first response is lost after its taps were
    stored.

    See Network for how the page can be reloaded while the network is cut.
    """
    link, back = inside.door(), inside.add_door("Back")
    network = Network(server)

    def opens():
        page = visit("about:blank", profile=tmp_path / "profile", has_touch=True)
        page.route("**/*", network)
        page.goto(link.replace("127.0.0.1", "shop.test"))
        return page

    phone = opens()
    shows(phone, 0)
    network.cut = True
    made = list(islice(cycle(PASSING), count))
    first, second, last = count // 3, count // 2, count - 10
    taps(phone, *made[:first])
    shows(phone, people(made[:first]), unsent=first)
    inside.tap(7, door=back)
    phone.reload()
    shows(phone, 7 + people(made[:first]), unsent=first)  # it includes the taps of the other door
    taps(phone, *made[first:second])
    phone.reload()
    taps(phone, *made[second:last])
    shows(phone, 7 + people(made[:last]), unsent=last)
    phone.context.close()
    phone = opens()
    taps(phone, *made[last:])
    shows(phone, 7 + people(made), unsent=count)
    assert (network.batches, inside.count) == ([], 7)

    phone.evaluate(NOTE_EVERY_COUNT)
    network.answers_to_lose = 1
    network.is_back(phone)
    shows(phone, 7 + people(made))
    assert set(phone.evaluate("shown")) <= {7 + people(made)}, (
        "some were shown twice, or not at all, for a moment"
    )

    sent, sent_again = network.batches
    assert [tap["delta"] for tap in sent] == [PADS[pad] for pad in made]
    assert [tap["id"] for tap in sent_again] == [tap["id"] for tap in sent]
    ages = [tap["ago_s"] for tap in sent]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] > ages[-1], "the first was tapped before the last"
    assert phone.evaluate(KEPT_TAPS) == 0
    phone.reload()
    shows(phone, 7 + people(made))
    assert inside.count == 7 + people(made)
    assert [event["delta"] for event in inside.history()] == [7, *(tap["delta"] for tap in sent)]


def test_taps_are_sent_together_as_soon_as_the_browser_is_online(inside, door):
    shows(door, 0)
    sent = []
    door.on("requestfinished", lambda request: request.url.endswith("/taps") and sent.append(request))
    door.context.set_offline(True)
    taps(door, "In", "+5", "Out")
    shows(door, 5, unsent=3)
    door.context.set_offline(False)
    shows(door, 5)
    assert [[tap["delta"] for tap in request.post_data_json["taps"]] for request in sent] == [[1, 5, -1]]
    assert inside.count == 5


@pytest.mark.parametrize("size", soak_after(2, ["phone", "phone on its side", "small phone"]))
def test_nothing_lies_over_the_middle_of_a_pad_while_the_door_is_offline(inside, visit, size):
    door = visit(inside.door(), size)
    shows(door, 0)
    button(door, "In").click()
    shows(door, 1)
    door.context.set_offline(True)
    expect(door.locator("#offline")).to_be_visible()
    for count in (2, 3):
        button(door, "In").click()
        shows(door, count, unsent=count - 1)
    button(door, "Out").click()
    shows(door, 2, unsent=3)


def test_taps_of_a_page_that_was_closed_are_sent_by_the_next(inside, door):
    shows(door, 0)
    phone, link = door.context, door.url
    phone.set_offline(True)
    with door.expect_event("requestfailed", lambda request: request.url.endswith("/taps")):
        taps(door, "+4", "In")
    door.close()
    phone.set_offline(False)  # a retry that had begun may still arrive: each tap counts once all the same
    door = phone.new_page()
    door.goto(link)
    inside.becomes(5)
    shows(door, 5)
    taps(door, "In")
    door.close()  # while it is being sent: it arrives now, or when the page is opened again, and counts once
    phone.new_page().goto(link)
    inside.becomes(6)
    assert [event["delta"] for event in inside.history()] == [4, 1, 1]


@pytest.mark.soak
def test_two_tabs_of_a_door_on_one_phone(server, inside, door):
    network, other = Network(server), door.context.new_page()
    other.goto(door.url)
    door.context.route("**/*", network)
    network.cut = True
    for tab in (door, other):
        tab.evaluate(COME_BACK)  # the open stream is closed
        shows(tab, 0)
    taps(door, "In", "+2")
    other.bring_to_front()
    taps(other, "+5")
    for tab in (door, other):
        shows(tab, 8, unsent=3)
    network.is_back(door, other)
    for tab in (door, other):
        shows(tab, 8)
    assert inside.count == 8
    assert [event["delta"] for event in inside.history()] == [1, 2, 5]


def test_another_tab_shows_taps_once_whose_answer_is_slow(server, inside, door, notices):
    shows(door, 0)
    other = door.context.new_page()
    other.goto(door.url)
    shows(other, 0)
    notices(other, stream="open")
    held = []

    def hold(route):
        assert server.post(route.request.url, route.request.post_data_json).status == 200
        held.append(route)

    door.route("**/taps", hold, times=1)
    door.bring_to_front()
    other.evaluate(NOTE_EVERY_COUNT)
    taps(door, "+2")
    wait_for(door, held)
    shows(other, 2)
    other.wait_for_timeout(800)  # the picture has come
    held[0].continue_()
    inside.tap(3)
    shows(other, 5)
    assert 4 not in other.evaluate("shown")


@pytest.mark.soak
def test_doors_that_are_offline_at_the_same_time_add_up(inside, door, visit):
    back = visit(inside.add_door("Back"), has_touch=True)
    doors = {door: ["In", "In", "+3"], back: ["+4", "Out"]}
    for each, pads in doors.items():
        shows(each, 0)
        each.context.set_offline(True)
        taps(each, *pads)
        shows(each, people(pads), unsent=len(pads))
    for each in doors:
        each.context.set_offline(False)
    for each in doors:
        shows(each, 8)
    assert inside.count == 8


@pytest.mark.alone
def test_what_was_tapped_before_a_recount_elsewhere_is_in_it(inside, door):
    shows(door, 0)
    door.context.set_offline(True)
    taps(door, "In", "In", "In")
    shows(door, 3, unsent=3)
    door.wait_for_timeout(3000)  # taps are dated to the second, and a busy machine is late
    inside.recount(10)
    taps(door, "+2")
    door.context.set_offline(False)
    shows(door, 12)
    assert inside.count == 12
    assert len(inside.history("not-counted")) == 3


def test_a_replaced_link_keeps_the_taps_and_the_new_one_sends_them(inside, door, visit):
    shows(door, 0)
    taps(door, "In")
    inside.becomes(1)
    owner = visit(f"{inside.shop.links['manage']}/occupancy")
    owner.get_by_text("New link for the door Shop").click()
    button(owner, "Replace the link of Shop").click()
    expect(owner.get_by_role("status").first).not_to_be_empty()
    taps(door, "+2")
    expect(door.locator("#message")).to_contain_text(f"{KEPT}, and sent when the new link is opened on it.")
    expect(door.locator("#message")).to_contain_text("link is not valid any more")
    taps(door, "+3")
    shows(door, 6, unsent=2)
    assert inside.count == 1
    door_link = owner.get_by_role("group", name="Door Shop", exact=True).locator("[data-url]")
    new = door_link.get_attribute("data-url")
    assert new != door.url
    door.goto(new)
    inside.becomes(6)
    shows(door, 6)
    assert [event["delta"] for event in inside.history()] == [1, 2, 3]


def test_a_door_whose_link_was_replaced_counts_on_while_the_line_changes(shop, visit, notices):
    inside = with_customers(shop)
    door = visit(inside.door(), has_touch=True)
    expect(button(door, "In, A3")).to_be_visible()
    notices(door, stream="open")
    number = inside.counter["doors"][0]["id"]
    inside.owner(f"doors/{number}/replace")
    # an answer to what the door asked before is perhaps still to come
    with door.expect_response(lambda answer: answer.url == door.url and answer.status == 404):
        shop.take()
    taps(door, "+2")
    expect(door.locator("#message")).to_contain_text(KEPT)
    shows(door, 2, unsent=1)


def test_a_browser_that_may_keep_nothing_says_so_and_counts(inside, visit):
    door = visit("about:blank", has_touch=True)
    door.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); };")
    door.goto(inside.door().replace("127.0.0.1", "shop.test"))
    expect(door.locator("#message")).to_have_text(
        "This browser keeps nothing: leave this page open until everything is sent."
    )
    taps(door, "In", "+2")
    inside.becomes(3)
    shows(door, 3)


# ----- the pads


def test_a_tap_counts_when_the_pad_is_touched_and_once(inside, door, notices):
    taps(door, "In")
    notices(door, buzzes=1)
    inside.becomes(1)
    door.mouse.move(**place_of(door, "In"))
    door.mouse.down()
    inside.becomes(2)
    shows(door, 2)
    door.wait_for_timeout(700)  # a thumb that stays down
    door.mouse.up()
    notices(door, buzzes=2)
    taps(door, "Out", "Out", "Out")  # as fast as a finger goes
    notices(door, buzzes=5)
    inside.becomes(0)  # everywhere but at the doors
    shows(door, -1)
    expect(door.locator("#left")).to_have_text("Below zero: please recount")
    door.wait_for_timeout(300)
    assert len(inside.history()) == 5


def test_two_thumbs_count_both(inside, door):
    fingers = [place_of(door, pad) | {"id": finger} for finger, pad in enumerate(("In", "+5"))]
    hand = door.context.new_cdp_session(door)
    hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": fingers})
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    inside.becomes(6)
    shows(door, 6)


@pytest.mark.parametrize(
    "press", ["element => element.click()", "element => element.form.requestSubmit(element)"]
)
def test_a_press_that_nobody_touched_the_screen_for_counts_once(inside, door, press):
    """As a screen reader or voice control presses it."""
    button(door, "In").evaluate(press)
    inside.becomes(1)
    button(door, "+5").evaluate(press)
    inside.becomes(6)
    shows(door, 6)


def test_a_double_press_lets_one_customer_in(shop, visit):
    inside = with_customers(shop)
    door = visit("about:blank", has_touch=True)
    door.clock.install()
    door.goto(inside.door().replace("127.0.0.1", "shop.test"))
    expect(button(door, "In, A3")).to_be_visible()
    door.clock.pause_at(time.time() + 600)  # so that the second press is a quick one on any machine
    button(door, "In, A1").dblclick()
    expect(button(door, "In, A1")).to_have_count(0)
    shows(door, 1)
    door.clock.resume()
    door.wait_for_timeout(500)
    button(door, "In, A2").tap()
    shows(door, 5)
    inside.becomes(5)
    assert [event["delta"] for event in inside.history()] == [1, 4]


def test_several_people_come_in_together(inside, door):
    taps(door, "+2", "+3", "+4", "+5")
    shows(door, 14)
    inside.becomes(14)
    # not what is said to a screen reader a second later
    expect(door.get_by_role("main").get_by_text("14 of 90")).to_be_visible()
    expect(door.locator("#left")).to_have_text("Room for 76 more")


def test_undo_takes_back_the_last_taps_of_this_phone(inside, door):
    undo = button(door, "Undo")
    expect(undo).to_have_attribute("aria-disabled", "true")
    taps(door, "In", "+4")
    inside.becomes(5)
    inside.tap(3)
    shows(door, 8)
    undo.tap()
    shows(door, 4)
    door.reload()
    shows(door, 4)
    undo.tap()
    inside.becomes(3)  # taps of another door stay
    expect(undo).to_have_attribute("aria-disabled", "true")
    undo.tap(force=True)
    door.wait_for_timeout(300)
    shows(door, 3)
    assert inside.count == 3
    assert [event["delta"] for event in inside.history("undo")] == [-4, -1]


def test_a_tap_is_taken_back_before_it_was_sent(inside, door):
    door.context.set_offline(True)
    taps(door, "In", "+5")
    button(door, "Undo").tap()
    shows(door, 1, unsent=3)
    expect(door.locator("#say")).to_contain_text("3 taps waiting to send")
    door.context.set_offline(False)
    shows(door, 1)
    expect(door.locator("#say")).not_to_contain_text("waiting to send")
    assert inside.count == 1


def test_recount_sets_the_true_number(inside, door, visit):
    inside.tap(20)
    back = visit(inside.add_door("Back"))
    taps(door, "In")
    button(door, "Recount").tap()
    dialog = door.get_by_role("dialog", name="Recount")
    number = dialog.get_by_role("spinbutton", name="How many people are inside?")
    for page in (number, button(dialog, "Set the count"), button(dialog, "Cancel")):
        expect(page).to_be_in_viewport(ratio=1)
    button(dialog, "Cancel").tap()
    expect(dialog).to_be_hidden()
    inside.becomes(21)
    shows(door, 21)
    button(door, "Recount").tap()
    for nonsense in ("", "-1", "1.5", "100001"):
        number.fill(nonsense)
        button(dialog, "Set the count").tap()
        expect(dialog).to_be_visible()
    number.fill("17")
    door.context.set_offline(True)
    button(dialog, "Set the count").tap()
    expect(dialog.get_by_role("alert")).to_have_text(NO_CONNECTION)
    assert inside.count == 21
    door.context.set_offline(False)
    button(dialog, "Set the count").tap()
    expect(dialog).to_be_hidden()
    for page in (door, back):
        shows(page, 17)
    expect(button(door, "Undo")).to_have_attribute("aria-disabled", "true")
    assert [event["delta"] for event in inside.history("recount")] == [-4]


def test_taps_made_while_others_were_being_sent_are_counted_before_a_recount(inside, door):
    shows(door, 0)
    held = hold_next(door, "**/taps")
    taps(door, "+2", "In")
    wait_for(door, held)
    assert [[tap["delta"] for tap in route.request.post_data_json["taps"]] for route in held] == [[2]]
    button(door, "Recount").tap()
    dialog = door.get_by_role("dialog", name="Recount")
    dialog.get_by_role("spinbutton").fill("17")
    button(dialog, "Set the count").tap()
    held[0].continue_()
    expect(dialog).to_be_hidden()
    shows(door, 17)
    assert [(event["kind"], event["delta"]) for event in inside.history()] == [
        ("tap", 2),
        ("tap", 1),
        ("recount", 14),
    ]


def test_the_answer_to_a_recount_closes_no_dialog_that_was_opened_since(inside, door):
    shows(door, 0)
    held = hold_next(door, "**/recount")
    dialog = door.get_by_role("dialog", name="Recount")
    number = dialog.get_by_role("spinbutton")
    button(door, "Recount").tap()
    number.fill("17")
    button(dialog, "Set the count").tap()
    wait_for(door, held)
    button(dialog, "Cancel").tap()
    button(door, "Recount").tap()
    number.fill("2")
    held[0].continue_()
    shows(door, 17)
    expect(dialog).to_be_visible()
    expect(number).to_have_value("2")
    button(dialog, "Set the count").tap()
    shows(door, 2)
    expect(dialog).to_be_hidden()


def test_a_recount_that_was_cancelled_while_taps_were_being_sent_is_not_made(inside, door):
    shows(door, 0)
    held = hold_next(door, "**/taps")
    taps(door, "+2")
    wait_for(door, held)
    button(door, "Recount").tap()
    dialog = door.get_by_role("dialog", name="Recount")
    dialog.get_by_role("spinbutton").fill("17")
    button(dialog, "Set the count").tap()
    button(dialog, "Cancel").tap()
    held[0].continue_()
    inside.becomes(2)
    door.wait_for_timeout(500)
    shows(door, 2)
    assert inside.history("recount") == []


def hue(colour):
    """Return the name of a colour."""
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    if red > 1.7 * max(green, blue):
        return "red"
    return "amber" if red > green > blue else "green" if green > red else "another"


MAY_ENTER, NEARLY_FULL = "You may enter", re.compile("^You may enter.*nearly full", re.IGNORECASE)
LEVELS = [  # the next tap, and the message and colour that follow
    ("+3", "free", "Room for 2 more", MAY_ENTER, "green"),
    ("In", "nearly", "Nearly full: room for 1 more", NEARLY_FULL, "amber"),
    ("In", "full", "Full", "Please wait", "red"),
    ("+2", "full", "Over capacity by 2", "Please wait", "red"),
    ("Out", "full", "Over capacity by 1", "Please wait", "red"),
    ("Out", "full", "Full", "Please wait", "red"),
    ("Out", "nearly", "Nearly full: room for 1 more", NEARLY_FULL, "amber"),
]


@pytest.mark.soak
def test_a_full_shop_is_red_and_says_so_and_goes_on_counting(shop, visit):
    inside = Inside(shop, capacity=5)
    door, screen = visit(inside.door(), has_touch=True), visit(inside.screen, "desktop")
    board, customers = visit(shop.links["board"], "desktop"), visit(shop.links["customers"])
    made = []
    for pad, level, left, word, colour in LEVELS:
        taps(door, pad)
        made.append(pad)
        shows(door, people(made))
        expect(door.locator("#left")).to_have_text(left)
        expect(door.get_by_role("main")).to_have_attribute("data-level", level)
        for page in (screen, board, customers):
            expect(page.locator("[data-counter]")).to_have_attribute("data-level", level)
            expect(page.locator("[data-word]")).to_have_text(word)
            expect(page.locator("[data-count]:not([data-level])")).to_have_text(str(people(made)))
        backgrounds = {"door": button(door, "In"), "screen": screen.get_by_role("region", name="Inside")}
        assert {
            page: hue(has.evaluate("e => getComputedStyle(e).backgroundColor"))
            for page, has in backgrounds.items()
        } == dict.fromkeys(backgrounds, colour)
    inside.becomes(people(made))


# ----- where the pads are


def with_customers(shop):
    inside = Inside(shop, capacity=40, admits="deli")
    for party in (None, 4, 2):
        shop.take(name="Maximiliane von Habsburg-Lothringen", party=party)
    return inside


@pytest.mark.parametrize(
    ("state", "share"), [(Inside, 1 / 5), (with_customers, 1 / 12)], ids=["alone", "with customers"]
)
@pytest.mark.parametrize("size", soak_after(2, ["small phone", "phone on its side", "phone", "desktop"]))
def test_a_thumb_meets_in_and_out(shop, visit, size, state, share):
    door = visit(state(shop).door(), size, has_touch=True)
    for pad in ("In", "Out"):
        assert button(door, pad).evaluate(WHERE_IT_IS_MET)["share"] >= share
    taps(door, "In", "Out", "In")
    shows(door, 1)
    assert door.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), "it has a scroll bar"
