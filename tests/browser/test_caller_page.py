"""The caller's page by mouse, by keyboard and on a phone; the time of a claim; notes are never lost."""

import re
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from call_list import Calling
from held_requests import wait_for
from playwright.sync_api import expect

HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""
LOOK_AT_A_PRESS = """() => {
    const ask = window.fetch;
    window.fetch = (url, options) => {
      if (options.method === 'POST') setTimeout(() => document.dispatchEvent(new Event('visibilitychange')));
      return ask(url, options);
    };
}"""
TWICE = "button => { button.click(); button.click(); }"


@pytest.fixture
def tomorrow(shop):
    """Half past two in the afternoon of the place's next day."""
    zone = ZoneInfo(shop.client.get(shop.links["manage"]).body["timezone"])
    return (datetime.now(zone) + timedelta(days=1)).replace(hour=14, minute=30, second=0, microsecond=0)


@pytest.fixture
def calling(shop):
    """A call list with two contacts."""
    calling = Calling(shop)
    calling.put_on(calling.add("Ann Lee", "Ben Okafor"))
    return calling


@pytest.fixture
def ana(calling, visit):
    """Ana's page of calls."""
    return visit(calling.caller("Ana"), "desktop")


def whom(page):
    """The contact to call, in the largest type of the page."""
    return page.get_by_label("Your call").get_by_role("heading")


def notes(page):
    """The field for notes about this call."""
    return page.locator("#report").get_by_label("Notes")


def presses(page, button):
    page.get_by_role("button", name=button, exact=True).click()


def reach(page, role, name):
    """Press Tab until this control has the focus."""
    wanted = page.get_by_role(role, name=name, exact=True)
    for _ in range(30):
        page.keyboard.press("Tab")
        if wanted.evaluate("control => control === document.activeElement"):
            return
    raise AssertionError(f"Tab doesn't reach {name}.")


@pytest.mark.soak
def test_a_day_by_mouse(calling, ana):
    expect(whom(ana)).to_have_text("2 calls to make")
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ann Lee")
    number = ana.get_by_label("Your call").get_by_role("link")
    expect(number).to_have_text("030 23451000")
    expect(number).to_have_attribute("href", "tel:+493023451000")
    expect(ana.get_by_label("Your call")).to_contain_text("Blood results")
    expect(ana.get_by_text("No earlier calls.")).to_be_visible()
    notes(ana).fill("She is better.")
    presses(ana, "Reached")
    expect(whom(ana)).to_have_text("1 call to make")
    expect(ana.get_by_role("button", name="Next call")).to_be_enabled()
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ben Okafor")
    expect(notes(ana)).to_have_value("")
    presses(ana, "No answer")
    expect(whom(ana)).to_have_text("No one to call")
    expect(ana.get_by_text("The next is due on")).to_be_visible()
    expect(ana.get_by_label("Your last calls")).to_contain_text("Ann Lee")
    assert calling.reported() == {"Reached": 1, "No answer": 1}


def test_a_day_by_keyboard(calling, ana):
    reach(ana, "button", "Next call")
    ana.keyboard.press("Enter")
    expect(whom(ana)).to_have_text("Ann Lee")
    ana.keyboard.press("Enter")  # a second press does nothing
    ana.keyboard.press("Tab")
    expect(ana.get_by_role("link", name="Call 030 23451000")).to_be_focused()
    reach(ana, "textbox", "Notes")
    ana.keyboard.type("Her daughter took the call.")
    reach(ana, "button", "Left a message")
    ana.keyboard.press("Space")
    expect(whom(ana)).to_have_text("1 call to make")
    reach(ana, "button", "Next call")
    ana.keyboard.press("Enter")
    expect(whom(ana)).to_have_text("Ben Okafor")
    assert calling.reported() == {"Left a message": 1}


def test_call_back_later_asks_when(calling, ana, tomorrow):
    presses(ana, "Next call")
    presses(ana, "Call back later")
    date = ana.locator("#report").get_by_label("Date")
    expect(date).to_be_focused()
    assert calling.reported() == {}
    date.fill(tomorrow.date().isoformat())
    ana.locator("#report").get_by_label("Time").fill("14:30")
    presses(ana, "Call back then")
    expect(whom(ana)).to_have_text("1 call to make")
    assert calling.reported() == {"Call back later": 1}
    due = [each["due_at"] for each in calling.server.get(calling.link).body["upcoming"]]
    assert tomorrow.isoformat() in due


def test_a_call_is_referred_to_another_list(calling, ana):
    housing = calling.owner("/queues", name="Housing", kind="calls")["slug"]
    ana.reload()
    ana.get_by_label("From").select_option("Follow-ups")
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ann Lee")
    ana.get_by_text("Refer to somebody else").click()
    ana.locator("#report [name=refer_to]").select_option("Housing")
    presses(ana, "Reached")
    expect(whom(ana)).to_have_text("2 calls to make")
    upcoming = calling.server.get(calling.link.replace(calling.slug, housing)).body["upcoming"]
    assert [each["contact"]["name"] for each in upcoming] == ["Ann Lee"]


def test_a_double_press_reports_once_and_asks_once(calling, ana):
    ana.get_by_role("button", name="Next call").dblclick()
    expect(whom(ana)).to_have_text("Ann Lee")
    ana.get_by_role("button", name="Reached").evaluate(TWICE)
    expect(whom(ana)).to_have_text("1 call to make")
    ana.wait_for_timeout(300)
    assert calling.reported() == {"Reached": 1}


def test_notes_outlive_a_refusal_and_a_reload(ana):
    presses(ana, "Next call")
    hers = notes(ana)
    hers.fill("Her knee hurts.")
    ana.locator("#report summary").first.click()
    ana.locator("#report").get_by_label("Date").fill("2020-01-01")
    presses(ana, "Call back then")
    expect(ana.locator("#message")).not_to_be_empty()
    expect(hers).to_have_value("Her knee hurts.")
    ana.reload()
    expect(hers).to_have_value("Her knee hurts.")
    presses(ana, "Extend")
    expect(hers).to_have_value("Her knee hurts.")
    presses(ana, "Reached")
    expect(whom(ana)).to_have_text("1 call to make")
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ben Okafor")
    expect(hers).to_have_value("")


def test_the_countdown_says_when_it_nears_its_end_and_when_it_is_over(calling, visit):
    caller = calling.caller("Ana")
    call = calling.has_a_call(caller)
    page = visit("about:blank", "desktop")
    page.clock.install(time=datetime.fromisoformat(call["claimed_at"]))
    with page.expect_response(lambda answer: answer.request.method == "HEAD"):  # how late it is there
        page.goto(caller.replace("127.0.0.1", "shop.test"))
    main, lasts, said = page.get_by_role("main"), page.locator("#lasts"), page.locator("#say")
    expect(lasts).to_have_text(re.compile(r"^(20:00|19:5\d) left$"))
    expect(main).to_have_attribute("data-lasts", "long")
    page.clock.fast_forward("18:10")
    expect(main).to_have_attribute("data-lasts", "soon")
    expect(lasts).to_contain_text("Extend?")
    expect(said).to_have_text("This call is yours for two more minutes at most.")
    page.clock.fast_forward("02:00")
    expect(main).to_have_attribute("data-lasts", "over")
    expect(lasts).to_contain_text("Time’s up")
    expect(said).to_contain_text("Time’s up")
    presses(page, "Reached")
    expect(page.get_by_label("Your last calls")).to_contain_text("Ann Lee")


def test_a_phone_that_slept_and_got_the_right_time_counts_down_by_it(calling, visit):
    caller = calling.caller("Ana")
    calling.has_a_call(caller)
    page = visit("about:blank")
    page.clock.install(time=time.time() - 3600)
    page.goto(caller.replace("127.0.0.1", "shop.test"))
    left = re.compile(r"^1\d:\d\d left$")
    expect(page.locator("#lasts")).to_have_text(left)
    page.evaluate(HIDE, True)
    page.clock.set_system_time(time.time())
    page.evaluate(HIDE, False)
    page.wait_for_timeout(1500)  # the script counts each second
    expect(page.locator("#lasts")).to_have_text(left)


def test_a_late_report_is_kept_and_closes_nothing(calling, visit):
    ana, ben = calling.caller("Ana"), calling.caller("Ben")
    calling.has_a_call(ana)
    page = visit(ana)
    notes(page).fill("Spoke to her.")
    calling.shop.client.post(f"{calling.link}/clear-claim", {"id": calling.calls(ana)["call"]["id"]})
    assert calling.has_a_call(ben)["name"] == "Ann Lee"
    presses(page, "Reached")
    expect(page.get_by_label("Your last calls")).to_contain_text("too late, kept as a note")
    assert calling.calls(ben)["call"]["name"] == "Ann Lee"


@pytest.mark.soak
def test_notes_of_a_lost_call_can_still_be_sent(calling, visit):
    ana, ben = calling.caller("Ana"), calling.caller("Ben")
    call = calling.has_a_call(ana)
    page = visit(ana)
    notes(page).fill("Spoke to her.")
    calling.shop.client.post(f"{calling.link}/clear-claim", {"id": call["id"]})
    calling.has_a_call(ben)
    page.reload()
    expect(whom(page)).to_have_text("1 call to make")
    late = page.get_by_label("Not reported yet: Ann Lee")
    expect(late.get_by_label("Notes")).to_have_value("Spoke to her.")
    presses(page, "Report it late")
    expect(page.get_by_label("Your last calls")).to_contain_text("too late, kept as a note")
    expect(late).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Your last calls")).to_be_visible()
    expect(late).to_be_hidden()
    assert [each["notes"] for each in calling.calls(ben)["call"]["reports"]] == ["Spoke to her."]


def test_a_call_is_released(calling, ana):
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ann Lee")
    presses(ana, "Release call")
    expect(whom(ana)).to_have_text("2 calls to make")
    assert {calling.has_a_call(calling.caller(name))["name"] for name in ("Ben", "Chloe")} == {
        "Ann Lee",
        "Ben Okafor",
    }


def test_an_incoming_call_is_logged(calling, ana):
    ana.get_by_text("Log an incoming call").click()
    incoming = ana.locator("#incoming")
    incoming.get_by_label("Phone").fill("030 2345 1001")
    incoming.get_by_label("Notes").fill("He is fine.")
    presses(ana, "Log the call")
    expect(ana.get_by_label("Your last calls")).to_contain_text("Ben Okafor")
    expect(ana.get_by_label("Your last calls")).to_contain_text("phoned in")
    expect(whom(ana)).to_have_text("1 call to make")
    expect(incoming.get_by_label("Notes")).to_have_value("")


def test_a_page_that_waits_notices_a_new_call(calling, visit):
    caller = calling.caller("Ana")
    for _ in range(2):
        calling.calls(caller, "report", claim=calling.has_a_call(caller)["claim"], outcome="Reached")
    page = visit("about:blank")
    page.clock.install()
    page.goto(caller.replace("127.0.0.1", "shop.test"))
    expect(whom(page)).to_have_text("No one to call")
    calling.put_on([calling.contacts()[0]["id"]])
    page.clock.fast_forward("00:25")
    expect(whom(page)).to_have_text("1 call to make")


def test_a_call_stays_though_a_look_that_was_made_before_it_is_answered_after_it(shop, calling, ana):
    looks = []
    before = shop.client.get(ana.url, Accept="text/html").body
    expect(whom(ana)).to_have_text("2 calls to make")

    def hold(route):
        looks.append(route)

    ana.route(ana.url, hold)
    ana.evaluate(LOOK_AT_A_PRESS)
    presses(ana, "Next call")
    expect(whom(ana)).to_have_text("Ann Lee")
    wait_for(ana, looks)
    looks.pop(0).fulfill(body=before, content_type="text/html")
    ana.wait_for_timeout(500)
    expect(whom(ana)).to_have_text("Ann Lee")


def test_a_call_is_made_with_plain_forms(calling, visit, tomorrow):
    page = visit(calling.caller("Ana"), java_script_enabled=False)
    presses(page, "Next call")
    expect(whom(page)).to_have_text("Ann Lee")
    notes(page).fill("Later, please.")
    presses(page, "Call back later")
    expect(whom(page)).to_have_text("Ann Lee")
    expect(page.locator("#message")).not_to_be_empty()
    expect(notes(page)).to_have_value("Later, please.")
    page.get_by_text("When to call back").click()
    page.locator("#report").get_by_label("Date").fill(tomorrow.date().isoformat())
    page.locator("#report").get_by_label("Time").fill("09:00")
    presses(page, "Call back later")
    expect(whom(page)).to_have_text("1 call to make")
    assert calling.reported() == {"Call back later": 1}


def test_the_desk_leads_to_the_next_call(calling, visit):
    desk = visit(calling.caller("Ana").removesuffix("/calls"))
    presses(desk, "Next call")
    expect(whom(desk)).to_have_text("Ann Lee")
    desk.get_by_role("link", name="Desk").click()
    desk.get_by_role("link", name="Your call: Ann Lee").click()
    expect(whom(desk)).to_have_text("Ann Lee")


def test_a_desk_that_may_not_call_now_says_why_and_stays_as_it_is(calling, shop, visit):
    desk = shop.desk("Ben", "Window 3")
    shop.take()
    desk.call_next()
    page = visit(desk.link)
    presses(page, "Next call")
    expect(page.locator("#message")).to_have_text("Finish A1 first: it is at your desk.")
    expect(page.get_by_label("Now serving").get_by_role("heading")).to_have_text("A1")
    expect(page).to_have_title("A1 · Window 3 · Corner Deli")


# ----- the owner


@pytest.mark.soak
def test_the_owner_adds_a_list_with_custom_wording(calling, shop, visit):
    ana = calling.caller("Ana")
    owner = visit(f"{shop.links['manage']}/calls")
    owner.get_by_text("Add a call list", exact=True).click()
    new = owner.locator("#add-list form")
    new.get_by_label("Name").fill("Housing")
    new.get_by_label("Public form").check()
    presses(owner, "Add the call list")
    form_link = owner.get_by_role("group", name="Public form of Housing").locator("[data-url]")
    expect(form_link).to_have_attribute("data-url", re.compile("/housing/tickets$"))
    owner.get_by_text("Settings of Housing").click()
    settings = owner.locator("form[action$='/queues/housing']")
    settings.get_by_label("Only selected staff").check()
    settings.get_by_label("Reserve a call for (min)").fill("5")
    presses(owner, "Save Housing")
    expect(owner.get_by_text("Saved.")).to_be_visible()
    expect(owner.get_by_role("button", name="Save Housing")).to_be_enabled()
    assert [each["name"] for each in calling.calls(ana)["lists"]] == ["Follow-ups"]
    settings.get_by_label("Ana").check()  # the panel is still open
    presses(owner, "Save Housing")
    expect(owner.get_by_text("Saved.")).to_be_visible()
    expect(owner.get_by_role("button", name="Save Housing")).to_be_enabled()
    assert [each["name"] for each in calling.calls(ana)["lists"]] == ["Follow-ups", "Housing"]
    owner.get_by_text("Outcomes of a call").click()
    owner.get_by_label("Outcome", exact=True).fill("Appointment made")
    presses(owner, "Add the outcome")
    expect(owner.get_by_role("button", name="Remove Appointment made")).to_be_enabled()
    presses(owner, "Remove Wrong number")
    expect(owner.get_by_text("Removed.")).to_be_visible()
    caller = visit(ana)
    presses(caller, "Next call")
    presses(caller, "Appointment made")
    expect(whom(caller)).to_have_text("1 call to make")
    expect(caller.get_by_role("button", name="Wrong number")).to_have_count(0)


def test_the_owner_clears_a_claim(calling, visit):
    calling.has_a_call(calling.caller("Ana"))
    owner = visit(calling.link, "desktop")
    expect(owner.get_by_text("by Ana, since")).to_be_visible()
    presses(owner, "Release call of Ana to Ann Lee")
    expect(owner.get_by_text("Call released.")).to_be_visible()
    assert calling.server.get(calling.link).body["being_called"] == []


# ----- customers who ask for a call


def test_somebody_leaves_a_number(calling, visit):
    calling.owner(f"/queues/{calling.slug}", public_form=True)
    phone = visit(calling.shop.links["customers"])
    phone.get_by_role("link", name="Leave your number and we'll call you back").click()
    phone.get_by_label("Your name").fill("Zoë Jones")
    phone.get_by_label("Phone").fill("030 555 0199")
    phone.get_by_label("What is it about?").fill("A new prescription")
    presses(phone, "Call me back")
    expect(phone.get_by_role("button", name="Cancel my request")).to_be_visible()
    expect(phone.get_by_text("We'll call you back")).to_be_visible()
    ana = calling.caller("Ana")
    names = []
    for _ in range(3):
        call = calling.has_a_call(ana)
        names.append(call["name"])
        calling.calls(ana, "report", claim=call["claim"], outcome="Reached")
    assert names == ["Ann Lee", "Ben Okafor", "Zoë Jones"]
    phone.reload()
    expect(phone.get_by_text("All done. Thank you!")).to_be_visible()


def test_a_customer_is_called_instead_of_waiting(calling, shop, visit):
    shop.take()
    ticket = shop.take(name="Zoë").body["links"]["ticket"]
    phone = visit(ticket)
    phone.get_by_text("Can't wait here? We'll call you").click()
    phone.get_by_label("Your phone").fill("030 555 0199")
    presses(phone, "Phone me when it's my turn")
    expect(phone.get_by_text("We'll call you at")).to_be_visible()
    desk = visit(shop.desk().link, "desktop")
    presses(desk, "Next customer")
    expect(desk.get_by_label("Now serving").get_by_role("heading")).to_have_text("A1")
    presses(desk, "Next customer")
    expect(desk.get_by_role("link", name="Call this customer")).to_have_attribute("href", "tel:+49305550199")
    expect(phone.get_by_text("It's your turn: we'll call you now")).to_be_visible()
