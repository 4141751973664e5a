"""Double presses, the back button, late presses, and presses at the same time."""

import re

import pytest
from helpers.soak import soak_after
from playwright.sync_api import expect

PERHAPS = "You're back online. Your press may have arrived: look before you press again."
UNCHANGED = re.compile("nothing was changed", re.IGNORECASE)
# The second of two quick presses, when the first has just put another button under the finger.
PRESS_ONCE_MORE = """button => {
    const { left, top, width, height } = button.getBoundingClientRect();
    button.addEventListener('click', () => addEventListener('swapped', () => {
      const below = document.elementFromPoint(left + width / 2, top + height / 2);
      document.body.dataset.second = below.textContent;
      below.click();
    }, { capture: true, once: true }), { once: true });
}"""
ANSWER_LATE = """() => {
    const ask = window.fetch;
    window.fetch = async (url, options) => {
      const answer = await ask(url, options);
      if (options.method === 'POST') await new Promise(done => setTimeout(done, 1500));
      return answer;
    };
}"""
FOLLOW_LATE = """() => {
    const ask = window.fetch, { dataset } = document.documentElement;
    window.fetch = async (url, options) => {
      if (options.method !== 'POST') return ask(url, options);
      await ask(url, { ...options, redirect: 'manual' });
      dataset.answered = 1;
      const message = document.getElementById('message');
      while (!message.textContent.trim()) await new Promise(done => setTimeout(done, 50));
      const answer = await ask(location.href, { headers: options.headers });
      dataset.followed = 1;
      return answer;
    };
}"""
LOSE_ANSWER = """(after) => {
    const ask = window.fetch;
    window.fetch = async (url, options) => {
      const answer = await ask(url, options);
      if (options.method !== 'POST') return answer;
      await new Promise(resolve => setTimeout(resolve, after));
      throw new TypeError('the answer was lost');
    };
}"""
PRESS_AT = "(when) => setTimeout(() => document.querySelector('.main').click(), when - Date.now())"


def served(desk):
    """Return what a desk shows in its largest type."""
    return desk.get_by_label("Now serving").get_by_role("heading")


def presses(page, button):
    page.get_by_role("button", name=button, exact=True).click()


# ----- a customer


@pytest.mark.alone
def test_a_double_press_takes_one_number(shop, phone):
    phone.get_by_role("button", name="Take a number").dblclick()
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert shop.waiting() == ["A1"]


def test_the_back_button_does_not_take_another_number(shop, phone):
    presses(phone, "Take a number")
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    phone.go_back()
    if phone.get_by_role("button", name="Take a number").count():
        presses(phone, "Take a number")
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert shop.waiting() == ["A1"]


def test_a_press_whose_answer_brings_no_page_can_be_repeated(shop, phone):
    phone.route("**/tickets", lambda route: route.fulfill(status=204), times=1)
    with phone.expect_response("**/tickets") as answer:
        presses(phone, "Take a number")
    assert answer.value.status == 204
    expect(phone.locator("body[data-sent]")).to_have_count(0)  # it waits four seconds for a page
    presses(phone, "Take a number")
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()


@pytest.mark.parametrize("again", ["reload", "scan"])
def test_coming_back_leads_to_the_ticket(shop, phone, again):
    presses(phone, "Take a number")
    expect(phone).to_have_url(re.compile("/t/"))
    mine = phone.url
    phone.reload() if again == "reload" else phone.goto(mine.split("/t/")[0])
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert phone.url == mine
    assert shop.waiting() == ["A1"]


def test_a_customer_leaves_the_line(shop, phone, visit):
    behind = visit(shop.links["customers"])
    for person, number in ((phone, "A1"), (behind, "A2")):
        presses(person, "Take a number")
        expect(person.get_by_role("heading", name=number)).to_be_visible()
    expect(behind.get_by_text("1 ahead of you", exact=True)).to_be_visible()
    presses(phone, "Leave the line")
    expect(phone.get_by_role("main")).to_contain_text("You left the line.")
    expect(behind.get_by_role("main")).to_contain_text("You're next")
    assert shop.waiting() == ["A2"]
    phone.get_by_role("link", name="Take another number").click()
    presses(phone, "Take a number")
    expect(phone.get_by_role("heading", name="A3")).to_be_visible()


def test_a_customer_hears_the_second_call(shop, phone, ana, notices):
    presses(phone, "Take a number")
    presses(phone, "Sound")
    presses(ana, "Next customer")
    expect(phone.get_by_role("main")).to_contain_text("It's your turn: Window 2")
    notices(phone, rings=2, buzzes=1)  # the first sound was a test when "Sound" was pressed
    presses(ana, "Call again")
    notices(phone, rings=3, buzzes=2)


def test_a_phone_with_a_slow_network_rings_once_for_a_call(shop, phone, notices):
    presses(phone, "Take a number")
    presses(phone, "Sound")
    notices(phone, rings=1, stream="open")
    phone.route(phone.url, lambda route: None)  # its page doesn't come
    shop.desk().call_next()
    notices(phone, rings=2)
    for _ in range(2):  # each brings a picture
        shop.take()
        phone.wait_for_timeout(400)
    phone.unroute_all()  # now it does
    expect(phone.get_by_role("main")).to_contain_text("It's your turn: Window 2")
    phone.wait_for_timeout(300)
    notices(phone, rings=2, buzzes=1)


def test_with_two_queues_a_customer_chooses_one(server, shop, phone):
    server.post(f"{shop.links['manage']}/queues", {"name": "Bakery"})
    expect(phone.get_by_role("button")).to_have_text(["Take a number: Deli", "Take a number: Bakery"])
    presses(phone, "Take a number: Bakery")
    expect(phone.get_by_role("heading", name="B1")).to_be_visible()
    phone.get_by_role("link", name="Other lines here").click()
    expect(phone.get_by_role("link", name="Your number is B1 in Bakery")).to_be_visible()
    presses(phone, "Take a number: Deli")
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "change", "sentence"),
    [
        ("/close", {}, "Closed. Not taking new numbers right now."),
        ("", {"max_waiting": 1}, "The line is full at the moment."),
    ],
    ids=["closed", "full"],
)
def test_a_closed_queue_says_so_at_once(server, shop, phone, path, change, sentence):
    shop.take()
    expect(phone.get_by_text("1 waiting")).to_be_visible()
    server.post(f"{shop.links['manage']}/queues/deli{path}", change)
    expect(phone.get_by_text(sentence)).to_be_visible()
    expect(phone.get_by_role("button")).to_have_count(0)


def test_a_press_that_came_after_it_closed_makes_no_ticket(server, shop, visit):
    phone = visit(shop.links["customers"], java_script_enabled=False)
    server.post(f"{shop.links['manage']}/queues/deli/close")
    presses(phone, "Take a number")
    expect(phone.get_by_role("status").first).to_have_text(
        "Deli is closed. Not taking new numbers right now."
    )
    assert shop.waiting() == []


def test_what_is_being_typed_survives_changes(server, shop, phone):
    server.post(f"{shop.links['manage']}/queues/deli", {"asks": ["name", "party"]})
    name = phone.get_by_label("Your name")
    name.fill("Zoë")
    shop.take()
    expect(phone.get_by_text("1 waiting")).to_be_visible()
    expect(name).to_have_value("Zoë")
    expect(name).to_be_focused()


def test_a_shared_tablet_takes_many_numbers(server, shop, visit):
    server.post(f"{shop.links['manage']}/queues/deli", {"shared_tablet": True})
    tablet = visit(shop.links["customers"], "desktop")
    for number in ("A1", "A2"):
        presses(tablet, "Take a number")
        expect(tablet.get_by_role("heading", name=number)).to_be_visible()
        expect(tablet.get_by_role("img", name="QR code of this page")).to_be_visible()
        tablet.get_by_role("link", name="Done").click()
    expect(tablet.get_by_role("button", name="Take a number")).to_be_visible()
    assert shop.waiting() == ["A1", "A2"]


def test_yesterdays_phone_page_does_not_ring_for_todays_number(server, open_shop, visit, offline, notices):
    shop = open_shop(timezone="Pacific/Pago_Pago")
    phone = visit(shop.links["customers"])
    presses(phone, "Take a number")
    presses(phone, "Sound")
    notices(phone, rings=1)
    with offline(phone):
        # twenty-five hours east, a new day has begun
        server.post(shop.links["manage"], {"timezone": "Pacific/Kiritimati"})
        assert shop.take().body["number"] == "A1"
        assert shop.desk().post("next", finished=None).body["current"]["number"] == "A1"
    expect(phone.get_by_role("main")).to_contain_text("This number has expired.")
    phone.wait_for_timeout(500)
    notices(phone, rings=1)
    expect(phone.locator("[data-buzzes]")).to_have_count(0)


# ----- a servicer


@pytest.mark.alone
def test_a_double_press_calls_one_customer(shop, ana):
    for _ in range(3):
        shop.take()
    expect(ana.get_by_text("3 waiting")).to_be_visible()
    ana.get_by_role("button", name="Next customer").dblclick()
    expect(served(ana)).to_have_text("A1")
    ana.wait_for_timeout(600)
    expect(served(ana)).to_have_text("A1")
    assert shop.waiting() == ["A2", "A3"]


@pytest.mark.alone
@pytest.mark.parametrize(("button", "then"), [("Pause", "Paused"), ("Start", "A1"), ("Next customer", "A1")])
def test_a_double_press_does_not_press_what_comes_under_the_finger(shop, ana, button, then):
    shop.take()
    shop.take()
    expect(ana.get_by_text("2 waiting")).to_be_visible()
    if button == "Start":
        presses(ana, "Next customer")
        expect(served(ana)).to_have_text("A1")
    ana.get_by_role("button", name=button, exact=True).evaluate(PRESS_ONCE_MORE)
    presses(ana, button)
    expect(ana.locator("[data-second]")).to_have_count(1)
    ana.wait_for_timeout(800)
    expect(served(ana)).to_have_text(then)


def test_a_press_counts_though_the_page_changes_before_it_is_let_go(shop, ana):
    shop.take()
    expect(ana.get_by_text("1 waiting")).to_be_visible()
    ana.get_by_role("button", name="Next customer").hover()
    ana.mouse.down()
    with ana.expect_response(lambda answer: answer.url == ana.url):
        shop.take()
    ana.wait_for_timeout(100)  # in which the page would show it
    ana.mouse.up()
    expect(ana.get_by_label("Now serving").get_by_role("heading")).to_have_text("A1")
    expect(ana.get_by_text("1 waiting")).to_be_visible()


def test_a_page_goes_on_though_a_button_is_held(shop, ana):
    shop.take()
    expect(ana.get_by_text("1 waiting")).to_be_visible()
    ana.get_by_role("button", name="Next customer").hover()
    ana.mouse.down()
    shop.take()
    expect(ana.get_by_text("2 waiting")).to_be_visible()
    ana.mouse.up()


@pytest.mark.alone
def test_two_desks_race_for_the_last_customer(shop, ana, visit):
    ben = visit(shop.desk("Ben", "Window 3").link, "desktop")
    shop.take()
    for desk in (ana, ben):
        expect(desk.get_by_text("1 waiting")).to_be_visible()
    together = ana.evaluate("Date.now()") + 500
    with ana.expect_response("**/next"), ben.expect_response("**/next"):
        for desk in (ana, ben):
            desk.evaluate(PRESS_AT, together)
    [(_, called)] = [(queue["slug"], queue["called"]) for queue in shop.picture()["queues"]]
    assert [ticket["number"] for ticket in called] == ["A1"]
    won, lost = (ana, ben) if called[0]["desk"] == "Window 2" else (ben, ana)
    expect(served(won)).to_have_text("A1")
    expect(served(lost)).to_have_text("Free")
    expect(lost.locator("#message")).to_have_text("No one waiting.")


def test_a_press_on_an_outdated_page_changes_nothing_and_shows_the_current_state(server, shop, visit):
    desk = shop.desk()
    for _ in range(3):
        shop.take()
    desk.post("next", finished=None)
    old = visit(desk.link, "desktop", java_script_enabled=False)  # gets no live updates
    expect(served(old)).to_have_text("A1")
    desk.post("next", finished="A1")
    presses(old, "Next customer")
    expect(old.locator("#message")).to_contain_text(UNCHANGED)
    expect(served(old)).to_have_text("A2")
    assert shop.waiting() == ["A3"]


def test_a_late_press_on_a_live_page_is_answered_in_place(server, shop, visit, offline):
    desk = shop.desk()
    for _ in range(3):
        shop.take()
    desk.post("next", finished=None)
    late = visit(desk.link, "desktop")
    expect(served(late)).to_have_text("A1")
    with offline(late, sends=True):
        desk.post("next", finished="A1")
        presses(late, "Done")
        expect(late.locator("#message")).to_contain_text(UNCHANGED)
        expect(served(late)).to_have_text("A2")
    assert shop.waiting() == ["A3"]


@pytest.mark.alone
def test_the_result_of_a_press_is_announced_even_if_a_newer_picture_arrives_first(shop, ana):
    ana.evaluate(ANSWER_LATE)
    with ana.expect_response("**/next"):
        presses(ana, "Next customer")
    shop.take()
    expect(ana.locator("#next")).to_contain_text("1 waiting")
    expect(ana.locator("#message")).to_have_text("No one waiting.")
    expect(ana.locator("#next")).to_contain_text("1 waiting")


def test_the_result_of_a_press_is_announced_even_if_a_refresh_has_fetched_it(shop, ana, notices):
    ana.evaluate(FOLLOW_LATE)
    presses(ana, "Next customer")
    notices(ana, answered=1)
    shop.take()  # refreshes the page before it follows the redirect that answers the press
    notices(ana, followed=1)
    ana.wait_for_timeout(300)
    expect(ana.locator("#message")).to_have_text("No one waiting.")


def test_a_customer_without_a_phone_is_added_while_the_line_moves(shop, ana):
    ana.get_by_text("Add details").click()
    name = ana.get_by_label("Name", exact=True)
    name.press_sequentially("Mrs. Jo")
    shop.take()
    expect(ana.get_by_role("button", name="Call A1")).to_be_visible()
    expect(name).to_be_focused()
    name.press_sequentially("nes")
    presses(ana, "Add a customer")
    expect(ana.locator("#message")).to_have_text("Added A2. Tell the customer this number.")
    expect(ana.locator("#line")).to_contain_text("Mrs. Jones")
    expect(name).to_have_value("")
    assert shop.waiting() == ["A1", "A2"]


def test_what_is_typed_while_a_press_is_answered_stays(shop, ana):
    ana.get_by_text("Add details").click()
    ana.evaluate(ANSWER_LATE)
    name, party = ana.get_by_label("Name", exact=True), ana.get_by_label("People")
    name.fill("Mrs. Jones")
    party.fill("3")
    presses(ana, "Add a customer")
    name.fill("Mr. Smith")  # already the next one
    expect(ana.locator("#message")).to_have_text("Added A1. Tell the customer this number.")
    expect(ana.get_by_role("button", name="Add a customer")).to_be_enabled()  # it was answered
    expect(name).to_have_value("Mr. Smith")
    expect(party).to_have_value("")


def test_a_desk_rings_when_somebody_comes_to_an_empty_line_and_remembers_that_it_may_not(shop, ana, notices):
    ana.get_by_role("heading", level=1).click()  # browsers let a page sound only after a touch
    switch = ana.get_by_role("button", name="Chime for new customers")
    expect(switch).to_have_attribute("aria-pressed", "true")
    notices(ana, stream="open")  # or the first picture would already show the customer
    shop.take()
    notices(ana, rings=1)
    shop.take()
    expect(ana.get_by_text("2 waiting")).to_be_visible()
    notices(ana, rings=1)
    switch.click()
    ana.reload()
    ana.get_by_role("heading", level=1).click()
    expect(switch).to_have_attribute("aria-pressed", "false")


def test_a_desk_rings_for_a_queue_that_the_owner_gave_it_since(shop, visit, notices):
    shop.owner_post("/queues", name="Bakery")
    desk = shop.desk(queues=["deli"])
    ana = visit(desk.link, "desktop")
    ana.get_by_role("heading", level=1).click()
    notices(ana, stream="open")
    assert shop.owner_post(f"/servicers/{desk.id}", queues=["deli", "bakery"]).status == 200
    expect(ana.get_by_label("From")).to_be_visible()
    shop.take("bakery")
    notices(ana, rings=1)


BUTTONS = [  # the button after "Next customer" called A1, the customer at the desk then, and those who wait
    (["Start", "Done"], "Free", ["A2", "A3", "A4"]),
    (["Back to queue"], "Free", ["A2", "A3", "A1", "A4"]),
    (["Call A3"], "A3", ["A2", "A4"]),
    (["Done", "Pause", "Resume", "Next customer"], "A2", ["A3", "A4"]),
    (["Done", "Restore A1"], "Free", ["A1", "A2", "A3", "A4"]),
    (["No-show"], "Free", ["A2", "A3", "A4"]),
    (["Call again"], "A1", ["A2", "A3", "A4"]),
    (["Next customer"], "A2", ["A3", "A4"]),
    (["Done", "Pause"], "Paused", ["A2", "A3", "A4"]),
]


@pytest.mark.parametrize(
    ("buttons", "now", "waiting"), soak_after(2, BUTTONS), ids=[", ".join(row[0]) for row in BUTTONS]
)
def test_the_buttons_of_a_desk(shop, ana, buttons, now, waiting):
    for _ in range(4):
        shop.take()
    expect(ana.get_by_text("4 waiting")).to_be_visible()
    for button in ["Next customer", *buttons]:
        with ana.expect_response(lambda answer: answer.request.method == "POST"):
            presses(ana, button)
    expect(served(ana)).to_have_text(now)
    assert shop.waiting() == waiting


def test_a_customer_is_moved_to_another_line(server, shop, ana):
    server.post(f"{shop.links['manage']}/queues", {"name": "Bakery"})
    shop.take()
    presses(ana, "Next customer")
    presses(ana, "Move")
    expect(served(ana)).to_have_text("Free")
    expect(ana.locator("#line")).to_contain_text("Bakery")
    assert [queue["waiting"] for queue in shop.picture()["queues"]] == [[], ["A1"]]


def test_enter_in_a_note_to_other_desks_moves_nobody(server, shop, ana):
    server.post(f"{shop.links['manage']}/queues", {"name": "Bakery"})
    shop.take()
    presses(ana, "Next customer")
    ana.get_by_text("Note and next steps").click()
    for label in ("1. Then", "2. Then", "3. Then"):
        expect(ana.get_by_label(label)).to_be_visible()
    ana.get_by_label("Note for other desks").fill("Has a dog")
    ana.get_by_label("Note for other desks").press("Enter")
    expect(ana.locator(".desk-note")).to_have_text("Has a dog")
    expect(served(ana)).to_have_text("A1")


@pytest.mark.parametrize("late", [False, True])  # the page has changed before the answer came
def test_the_form_of_the_next_steps_shows_what_was_stored(server, shop, ana, late):
    server.post(f"{shop.links['manage']}/queues", {"name": "Bakery"})
    shop.take()
    presses(ana, "Next customer")
    ana.get_by_text("Note and next steps").click()
    ana.get_by_label("1. Then").select_option("Deli")
    presses(ana, "Update note and steps")
    expect(ana.locator("#message")).to_contain_text("Choose another queue to come next.")
    ana.get_by_label("1. Then").select_option("")
    ana.get_by_label("2. Then").select_option("Bakery")  # with nothing before it, it comes next
    ana.get_by_label("Note for other desks").fill("  Has a dog  ")
    if late:
        ana.evaluate(ANSWER_LATE)
    presses(ana, "Update note and steps")
    expect(ana.locator("#message")).to_have_text("Saved.")
    expect(ana.get_by_label("1. Then")).to_have_value("bakery")
    expect(ana.get_by_label("2. Then")).to_have_value("")
    expect(ana.get_by_label("Note for other desks")).to_have_value("Has a dog")


@pytest.mark.parametrize("after", [0, 1000])  # ms: the page has changed meanwhile
def test_after_a_press_whose_answer_was_lost_nobody_is_asked_to_press_again(shop, ana, after):
    for _ in range(2):
        shop.take()
    expect(ana.get_by_text("2 waiting")).to_be_visible()
    ana.evaluate(LOSE_ANSWER, after)
    presses(ana, "Next customer")
    expect(served(ana)).to_have_text("A1")
    expect(ana.locator("#message")).to_have_text(PERHAPS)


@pytest.mark.parametrize("after", [0, 1000])
def test_after_an_answer_that_was_lost_nobody_is_asked_to_add_a_customer_again(shop, ana, after):
    ana.evaluate(LOSE_ANSWER, after)
    presses(ana, "Add a customer")
    expect(ana.locator("#line")).to_contain_text("A1")
    # the page that was fetched anew may have got the message of the press
    expect(ana.locator("#message")).to_have_text(re.compile(f"{PERHAPS}|Added A1"))
