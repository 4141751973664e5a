"""Every page in every state: nothing is cut off, the main button is in view, and it is accessible."""

import re

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from call_list import Calling
from counter import Inside
from helpers.clock import zone_at_hour
from helpers.soak import soak_after
from helpers.waiting import wait_for
from playwright.sync_api import Page, expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {
    "small phone": (320, 568),
    "phone": (375, 667),
    "phone on its side": (667, 375),
    "desktop": (1440, 900),
}
EVERY_SIZE = SIZES | {
    "tablet": (768, 1024),
    "large desktop": (1920, 1080),
    "zoomed": (320, 256),  # what is left of 1280 × 1024 at 400 %
}
LONG = "Ferdinand’s Household Appliance & Sewing Machine Repairs at the Old Tram Depot"
FIND_VIOLATIONS = """async rules => (await axe.run({ runOnly: rules })).violations.map(
    found => `${found.id}: ${found.nodes[0].html} ${found.nodes[0].failureSummary}`)"""
WHAT_STICKS_OUT = """() => document.documentElement.scrollWidth > innerWidth
    ? [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 120))
    : []"""
OPEN_DETAILS = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
WHAT_STICKS_OUT_OPENED = f"""() => {{
    const closed = [...document.querySelectorAll('details:not([open])')];
    closed.forEach(each => {{ each.open = true; }});
    const found = ({WHAT_STICKS_OUT})();
    closed.forEach(each => {{ each.open = false; }});
    return found;
}}"""
IS_NOT_TO_BE_SCROLLED = re.compile("/(board$|counter/|door/)")
IS_CUT = "() => document.documentElement.scrollHeight > innerHeight"

# Bars, tabs and messages that stay while the page scrolls below them, and cover more than half of the window.
WHAT_COVERS = """() => [...document.querySelectorAll('body, body *')].filter(e => {
    if (!['fixed', 'sticky'].includes(getComputedStyle(e).position)) return false;
    if (!e.checkVisibility({ visibilityProperty: true })) return false;
    const box = e.getBoundingClientRect();
    return Math.min(box.bottom, innerHeight) - Math.max(box.top, 0) > innerHeight / 2;
}).map(e => e.outerHTML.slice(0, 120))"""
# Controls that lie behind something else when they have the focus. Of a large one, a part must be seen.
WHAT_IS_HIDDEN_WITH_FOCUS = """() => {
    const selector = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    const isSeen = (e, box) => [.1, .3, .5, .7, .9].some(x => [.1, .3, .5, .7, .9].some(y => {
        const at = document.elementFromPoint(box.left + x * box.width, box.top + y * box.height);
        return at && (e.contains(at) || at.contains(e) && at.matches('label, fieldset, dialog')
            || [...(e.labels || [])].some(label => label.contains(at)));
    }));
    return [...document.querySelectorAll(selector)].filter(e => {
        if (e.disabled || !e.checkVisibility({ visibilityProperty: true }))
            return false;
        e.focus();
        return document.activeElement === e && ![...e.getClientRects()].some(box => isSeen(e, box));
    }).map(e => e.outerHTML.slice(0, 160));
}"""


# ----- each page and state: a function that creates it and returns its link


def a_line(shop, waiting=3, serving=2):
    """Add waiting customers, and some who are being served."""
    for number in range(waiting + serving):
        shop.take(
            name="Zoë", phone="+1 555 0100", note="A birthday cake, if you still have one", party=number + 1
        )
    desks = [
        shop.desk(name, f"Window {n}")
        for n, name in zip(range(1, serving + 1), ("Ana", "Ben", "Chloe"), strict=False)
    ]
    for desk in desks:
        desk.post("next", finished=None)
    return desks


def change_queue(shop, **changes):
    assert shop.client.post(f"{shop.links['manage']}/queues/deli", changes).status == 200


def customers_of_an_empty_line(shop):
    return shop.links["customers"]


def customers_of_a_line(shop):
    a_line(shop)
    return shop.links["customers"]


def customers_who_are_asked_for_everything(shop):
    change_queue(shop, asks=["name", "phone", "note", "party"])
    return shop.links["customers"]


def customers_with_a_choice(shop):
    shop.add_queue("Bakery")
    shop.add_queue("Returns and complaints of all kinds")
    change_queue(shop, asks=["name", "phone", "note", "party"])
    a_line(shop)
    return shop.links["customers"]


def customers_of_a_closed_queue(shop):
    shop.client.post(f"{shop.links['manage']}/queues/deli/close")
    return shop.links["customers"]


def customers_of_a_full_queue(shop):
    a_line(shop)
    change_queue(shop, max_waiting=1)
    return shop.links["customers"]


def a_ticket(shop, *buttons):
    """Return a ticket after these buttons were pressed at a desk."""
    ticket, desk = shop.take().body, shop.desk("Ana", "Window 2")
    desk.post("next", finished=None)
    for button in buttons:
        assert desk.post(button, number=ticket["number"]).status == 200
    return ticket["links"]["ticket"]


def a_ticket_that_waits(shop):
    a_line(shop)
    return shop.take().body["links"]["ticket"]


def a_ticket_that_is_next(shop):
    return shop.take().body["links"]["ticket"]


def a_ticket_that_was_put_back(shop):
    return a_ticket(shop, "put-back")


def a_ticket_that_is_called(shop):
    return a_ticket(shop)


def a_ticket_in_the_second_step_of_its_plan(shop):
    shop.add_queue("Bakery and everything that goes with it")
    ticket, desk = shop.take().body, a_line(shop)[0]
    desk.post("move", number="A1", queue="bakery-and-everything-that-goes-with-it", steps=["deli"])
    return ticket["links"]["ticket"]


def a_ticket_that_is_served(shop):
    return a_ticket(shop, "start")


def a_ticket_that_is_done(shop):
    return a_ticket(shop, "done")


def a_ticket_of_somebody_who_was_not_there(shop):
    return a_ticket(shop, "no-show")


def a_ticket_that_was_cancelled(shop):
    links = shop.take().body["links"]
    shop.client.post(links["cancel"])
    return links["ticket"]


def a_ticket_of_another_day(shop):
    shop.client.post(shop.links["manage"], {"timezone": "Pacific/Pago_Pago"})
    ticket = shop.take().body
    shop.client.post(shop.links["manage"], {"timezone": "Pacific/Kiritimati"})
    return ticket["links"]["ticket"]


def a_ticket_of_a_shared_tablet(shop):
    shop.add_queue("Bakery")
    change_queue(shop, shared_tablet=True)
    return shop.take().body["links"]["ticket"]


def a_shared_tablet_with_a_number(shop):
    return f"{a_ticket_of_a_shared_tablet(shop)}?tablet=1"


def staff_of_one_queue(shop):
    return shop.links["staff"]


def staff_of_several_queues(shop):
    shop.add_queue("Bakery")
    shop.add_queue("Returns and complaints of all kinds")
    return shop.links["staff"]


def a_desk_with_nobody(shop):
    return shop.desk().link


def a_desk_that_called(shop):
    shop.add_queue("Bakery")
    desk = a_line(shop)[0]
    desk.post("plan", number="A1", note="Asked for the scanned form. " * 7, steps=["bakery", "deli"])
    return desk.link


def serving_desk(shop):
    desk = a_line(shop)[0]
    for button in ("start", "done"):
        desk.post(button, number="A1")
    desk.post("next", finished=None)
    desk.post("start", number="A3")
    return desk


def a_desk_that_serves(shop):
    return serving_desk(shop).link


def a_desk_after_a_no_show(shop):
    desk = shop.desk("Maximiliane von Habsburg-Lothringen", "Information desk, 2nd floor")
    shop.take()
    desk.call_next()
    desk.post("no-show", number="A1")
    return desk.link


def a_desk_that_pauses(shop):
    desk = shop.desk("Maximiliane von Habsburg-Lothringen", "Information desk, 2nd floor")
    desk.post("pause")
    return desk.link


def a_board_of_an_empty_line(shop):
    return shop.links["board"]


def a_board_of_a_line(shop):
    desk = a_line(shop)[0]
    desk.post("next", finished="A1")
    return shop.links["board"]


def a_board_of_a_busy_place(shop):
    for name in ("Bakery", "Returns and complaints of all kinds", "Photos"):
        shop.add_queue(name)
    a_line(shop)
    for number in range(3, 11):
        shop.take()
        shop.desk("Jo", f"Window {number}").post("next", finished=None)
    return shop.links["board"]


def a_poster(shop):
    return f"{shop.links['customers']}/poster"


def the_owner_of_a_new_place(shop):
    return shop.links["manage"]


def the_owner_of_a_busy_place(shop):
    desk = serving_desk(shop)
    shop.add_queue("Bakery")
    desk.post("done", number="A3")
    return shop.links["manage"]


def the_queues_of_a_busy_place(shop):
    return f"{the_owner_of_a_busy_place(shop)}/queues"


def the_team_of_a_busy_place(shop):
    the_owner_of_a_busy_place(shop)
    shop.desk("Maximiliane von Habsburg-Lothringen", "Information desk, 2nd floor").post("end-shift")
    shop.owner_post("/links/staff/code")
    return f"{shop.links['manage']}/team"


def the_settings_of_a_place(shop):
    shop.owner_post("", thanks="See you soon!", colour="#ffee00")
    return f"{shop.links['manage']}/settings"


def the_webhooks_of_a_place(shop):
    return f"{shop.links['manage']}/webhooks"


def a_place_with_messages(shop):
    for text in ("Back in ten minutes", "Please have your papers ready, " * 4):
        assert shop.owner_post("/messages", text=text.strip(), minutes=30).status == 200
    return a_line(shop)


def the_owner_of_a_place_with_messages(shop):
    a_place_with_messages(shop)
    return shop.links["manage"]


def a_desk_with_messages(shop):
    return a_place_with_messages(shop)[0].link


def a_ticket_with_messages(shop):
    a_place_with_messages(shop)
    return shop.take().body["links"]["ticket"]


def a_board_with_messages(shop):
    a_place_with_messages(shop)
    return shop.links["board"]


def the_statistics_of_a_busy_place(shop):
    return f"{the_owner_of_a_busy_place(shop)}/stats"


def the_statistics_of_days_the_wrong_way_round(shop):
    return f"{shop.links['manage']}/stats?from=2026-11-22&to=2026-11-21"


# ----- how many are inside


def a_door(shop, count=0, customers=(), **asked):
    """Return the door of a shop with this many people inside, and waiting parties of these sizes."""
    inside = Inside(shop, **({"admits": "deli"} if customers else {}) | asked)
    inside.recount(count) if count > 0 else inside.tap(count)
    for party in customers:
        shop.take(name="Maximiliane von Habsburg-Lothringen", party=party)
    return inside


def a_door_of_an_empty_shop(shop):
    return a_door(shop).door()


def a_door_that_is_nearly_full(shop):
    return a_door(shop, 75).door()


def a_door_that_is_too_full(shop):
    return a_door(shop, 93).door()


def a_door_with_a_drift(shop):
    return a_door(shop, -12).door()


def a_door_of_a_stadium(shop):
    return a_door(shop, 80_211, capacity=80_000).door()


def a_door_with_nobody_in_line(shop):
    return a_door(shop, 3, admits="deli").door()


def a_door_with_a_customer(shop):
    return a_door(shop, 3, customers=[None]).door()


def a_door_after_a_no_show(shop):
    inside = a_door(shop, 3, customers=[None, 2])
    assert shop.client.post(f"{inside.door()}/no-show", {"number": "A1"}).status == 200
    return inside.door()


def a_door_with_many_customers(shop):
    parties = [2, 1, None, 4, 5, 1, 2, 3, 3, 3, 10, 1]
    return a_door(shop, 3, customers=parties, name=LONG[:60], capacity=30).door()


def a_screen_of_an_empty_shop(shop):
    return a_door(shop).screen


def a_screen_that_is_nearly_full(shop):
    return a_door(shop, 75).screen


def a_screen_of_a_stadium(shop):
    return a_door(shop, 80_211, capacity=80_000).screen


def a_screen_of_a_line(shop):
    return a_door(shop, 6, capacity=10, customers=[1, None, 4, 1]).screen


def a_screen_of_many_customers(shop):
    return a_door(shop, 6, customers=[None] * 16, name=LONG[:60], capacity=20).screen


def a_place_without_a_queue(shop):
    a_door(shop, 80)
    Inside(shop, name="Toy department on the third floor", capacity=10)
    assert shop.client.post(f"{shop.links['manage']}/queues/deli/delete").status == 200
    return shop


def customers_who_only_count(shop):
    return a_place_without_a_queue(shop).links["customers"]


def customers_of_a_queue_at_the_door(shop):
    a_door(shop, 6, capacity=10, customers=[1, None, 4, 1])
    return shop.links["customers"]


def a_board_that_only_counts(shop):
    return a_place_without_a_queue(shop).links["board"]


def a_board_of_a_queue_at_the_door(shop):
    a_door(shop, 6, capacity=10, customers=[1, None, 4, 1])
    return shop.links["board"]


def a_ticket_that_may_come_in(shop):
    a_door(shop, admits="deli")
    return shop.take(party=3).body["links"]["ticket"]


def a_ticket_that_did_not_come_in(shop):
    inside, ticket = a_door(shop, admits="deli"), shop.take().body
    assert shop.client.post(f"{inside.door()}/no-show", {"number": "A1"}).status == 200
    return ticket["links"]["ticket"]


def the_owner_of_a_counter(shop):
    inside = a_door(shop, 75, customers=[None], name=LONG[:60])
    back = inside.add_door("Back entrance, by the parking lot")
    assert back
    for door in inside.counter["doors"]:
        inside.owner(f"doors/{door['id']}/code")
    return f"{shop.links['manage']}/occupancy"


def a_chart_of_a_new_counter(shop):
    return a_door(shop, name=LONG[:60]).chart


def a_chart_of_a_day(shop):
    shop.client.post(shop.links["manage"], {"timezone": zone_at_hour(12)})
    inside = a_door(shop, 3)
    inside.tap(40, -5, 50, -20)
    inside.recount(70)
    inside.tap(-3, 40, -50, 2, door=inside.add_door("Back entrance, by the parking lot"))
    inside.take_hours(7)
    return inside.chart


# ----- call lists


def a_call_list(shop, *names, **asked):
    """Add a call list with contacts of these names, all due."""
    calling = Calling(shop, **asked)
    if names:
        notes = "Speaks French. Her daughter answers in the morning, and knows about everything."
        calling.put_on(calling.add(*names, notes=notes, tags=["home visit"], email="zoe@example.org"))
    return calling


def a_caller_before_a_call(shop):
    calling = a_call_list(shop, "Zoë", "Ben")
    calling.owner("/queues", name=LONG[:60], kind="calls")
    return calling.caller()


def a_caller_with_a_call(shop):
    calling = a_call_list(shop, "Maximiliane von Habsburg-Lothringen")
    calling.owner("/services", name="Housing advice", phone="030 5550123", link="https://housing.example")
    ana = calling.caller()
    said = "Her daughter took the call.\nBest in the morning."
    claim = calling.has_a_call(ana)["claim"]
    calling.calls(ana, "report", claim=claim, outcome="Left a message", notes=said)
    calling.put_on([calling.contacts()[0]["id"]])
    calling.has_a_call(ana)
    return ana


def a_desk_with_a_call_list(shop):
    return a_call_list(shop, "Zoë", "Ben").caller().removesuffix("/calls")


def a_desk_that_calls_by_phone(shop):
    Calling(shop)
    ticket = shop.take(name="Zoë").body["links"]["ticket"]
    assert shop.client.post(f"{ticket}/call-me", {"phone": "030 5550199"}).status == 200
    desk = shop.desk()
    desk.post("next", finished=None)
    return desk.link


def a_ticket_that_is_called_by_phone(shop):
    Calling(shop)
    ticket = shop.take(name="Zoë").body["links"]["ticket"]
    assert shop.client.post(f"{ticket}/call-me", {"phone": "030 5550199"}).status == 200
    return ticket


def a_form_for_the_public(shop):
    Calling(shop, public_form=True)
    return f"{shop.links['customers']}/follow-ups/tickets"


def a_request_that_waits(shop):
    answer = shop.client.post(a_form_for_the_public(shop), {"name": "Zoë", "phone": "030 5550199"})
    return answer.body["links"]["ticket"]


def customers_who_may_leave_a_number(shop):
    Calling(shop, public_form=True)
    return shop.links["customers"]


def the_owner_of_call_lists(shop):
    calling = a_call_list(shop, "Zoë", public_form=True)
    calling.owner("/services", name="Housing advice", phone="030 5550123", link="https://housing.example")
    calling.caller()
    return f"{shop.links['manage']}/calls"


def a_list_of_calls(shop):
    calling = a_call_list(shop, "Maximiliane von Habsburg-Lothringen", "Ben", "Zoë", "Dora")
    ana, ben = calling.caller(), calling.caller("Ben")
    for outcome in ("Reached", "No answer"):
        calling.calls(ana, "report", claim=calling.has_a_call(ana)["claim"], outcome=outcome)
    calling.has_a_call(ben)
    return calling.link


def a_call_report(shop):
    a_list_of_calls(shop)
    incoming = {"phone": "030 7654321", "outcome": "Reached"}
    assert shop.caller("Cleo").post("calls/incoming", **incoming).status == 200
    return f"{shop.links['manage']}/calls/report"


def contacts_of_many(shop):
    names = (f"Maximiliane von Habsburg-Lothringen {n}" for n in range(53))
    return f"{a_call_list(shop, *names).contacts_link}?page=2"  # with three of them


def a_contact(shop):
    a_caller_with_a_call(shop)
    contact = shop.client.get(f"{shop.links['manage']}/contacts").body["contacts"][0]
    return contact["links"]["contact"]


def an_upload(shop, text):
    answer = shop.client.post(f"{shop.links['manage']}/contacts/import", {"text": text})
    link = answer.body["links"]["import"]
    wait_for(lambda: shop.client.get(link).body["state"] != "reading")
    return link


def an_upload_to_be_looked_at(shop):
    rows = "\n".join(f"Maximiliane von Habsburg-Lothringen,+49 30 555{n:04},P-{n}" for n in range(30))
    return an_upload(shop, f"Name,Phone,Reference,Shoe size\n{rows}\nNobody,12,,\n")


def an_address_that_is_unknown(shop):
    return f"{shop.links['customers']}/t/nothing"


TAKE_ANOTHER = ("link", "Take another number")
LEAVE = ("button", "Leave the line")
STATES = [  # a page, and what must be in view without scrolling
    (customers_of_an_empty_line, ("button", "Take a number")),
    (customers_of_a_line, ("button", "Take a number")),
    (customers_who_are_asked_for_everything, ("button", "Take a number")),
    (customers_with_a_choice, ("button", "Take a number: Deli")),
    (customers_of_a_closed_queue, None),
    (customers_of_a_full_queue, None),
    (a_ticket_that_waits, LEAVE),
    (a_ticket_that_is_next, LEAVE),
    (a_ticket_that_was_put_back, LEAVE),
    (a_ticket_that_is_called, LEAVE),
    (a_ticket_in_the_second_step_of_its_plan, LEAVE),
    (a_ticket_that_is_served, None),
    (a_ticket_that_is_done, TAKE_ANOTHER),
    (a_ticket_of_somebody_who_was_not_there, TAKE_ANOTHER),
    (a_ticket_that_was_cancelled, TAKE_ANOTHER),
    (a_ticket_of_another_day, TAKE_ANOTHER),
    (a_ticket_of_a_shared_tablet, LEAVE),
    (a_shared_tablet_with_a_number, ("link", "Done")),
    (staff_of_one_queue, ("button", "Start serving")),
    (staff_of_several_queues, ("button", "Start serving")),
    (a_desk_with_nobody, ("button", "Next customer")),
    (a_desk_that_called, ("button", "Next customer")),
    (a_desk_that_serves, ("button", "Next customer")),
    (a_desk_after_a_no_show, ("button", "Next customer")),
    (a_desk_that_pauses, ("button", "Next customer")),
    (a_board_of_an_empty_line, None),
    (a_board_of_a_line, None),
    (a_board_of_a_busy_place, None),
    (a_poster, ("button", "Print")),
    (the_owner_of_a_new_place, ("button", "Print the poster")),
    (the_owner_of_a_busy_place, ("button", "Close Deli")),
    (the_queues_of_a_busy_place, ("button", "Close Deli")),
    (the_team_of_a_busy_place, ("link", "Open Staff link")),
    (the_settings_of_a_place, None),
    (the_webhooks_of_a_place, None),
    (the_owner_of_a_place_with_messages, None),
    (a_desk_with_messages, ("button", "Next customer")),
    (a_ticket_with_messages, ("button", "Leave the line")),
    (a_board_with_messages, None),
    (the_statistics_of_a_busy_place, ("link", "Yesterday")),
    (the_statistics_of_days_the_wrong_way_round, None),
    (a_door_of_an_empty_shop, None),  # test_door.py checks where a thumb meets In and Out
    (a_door_that_is_nearly_full, None),
    (a_door_that_is_too_full, None),
    (a_door_with_a_drift, None),
    (a_door_of_a_stadium, None),
    (a_door_with_nobody_in_line, None),
    (a_door_with_a_customer, ("button", "In, A1")),
    (a_door_with_many_customers, ("button", "In, A1")),
    (a_door_after_a_no_show, ("button", "Undo, A1")),
    (a_screen_of_an_empty_shop, None),
    (a_screen_that_is_nearly_full, None),
    (a_screen_of_a_stadium, None),
    (a_screen_of_a_line, None),
    (a_screen_of_many_customers, None),
    (customers_who_only_count, None),
    (customers_of_a_queue_at_the_door, ("button", "Take a number")),
    (a_board_that_only_counts, None),
    (a_board_of_a_queue_at_the_door, None),
    (a_ticket_that_may_come_in, LEAVE),
    (a_ticket_that_did_not_come_in, TAKE_ANOTHER),
    (the_owner_of_a_counter, None),
    (a_chart_of_a_new_counter, None),
    (a_chart_of_a_day, None),
    (a_caller_before_a_call, ("button", "Next call")),
    (a_caller_with_a_call, ("link", "Call 030 23451000")),
    (a_desk_with_a_call_list, ("button", "Next customer")),
    (a_desk_that_calls_by_phone, ("button", "Next customer")),
    (a_ticket_that_is_called_by_phone, LEAVE),
    (a_form_for_the_public, ("button", "Call me back")),
    (a_request_that_waits, ("button", "Cancel my request")),
    (customers_who_may_leave_a_number, ("button", "Take a number")),
    (the_owner_of_call_lists, None),
    (a_list_of_calls, None),
    (a_call_report, ("link", "Last 7 days")),
    (contacts_of_many, ("button", "Search")),
    (a_contact, None),
    (an_upload_to_be_looked_at, ("button", "Import 30 contacts")),
    (an_address_that_is_unknown, ("link", "Corner Deli")),
]

# Another state of the same page has more on it.
ONLY_IN_THE_SOAK = {
    customers_of_an_empty_line,
    customers_of_a_closed_queue,
    customers_of_a_full_queue,
    a_ticket_that_is_next,
    a_ticket_that_was_put_back,
    a_ticket_that_is_served,
    a_ticket_of_somebody_who_was_not_there,
    a_ticket_that_was_cancelled,
    a_ticket_of_another_day,
    a_ticket_of_a_shared_tablet,
    a_ticket_in_the_second_step_of_its_plan,
    a_ticket_with_messages,
    a_ticket_that_did_not_come_in,
    a_ticket_that_is_called_by_phone,
    staff_of_one_queue,
    a_desk_with_nobody,
    a_desk_after_a_no_show,
    a_desk_that_pauses,
    a_desk_with_messages,
    a_desk_with_a_call_list,
    a_board_of_an_empty_line,
    a_board_of_a_line,
    a_board_with_messages,
    a_board_that_only_counts,
    a_board_of_a_queue_at_the_door,
    the_owner_of_a_place_with_messages,
    the_statistics_of_days_the_wrong_way_round,
    a_door_of_an_empty_shop,
    a_door_that_is_nearly_full,
    a_door_with_a_drift,
    a_door_of_a_stadium,
    a_door_with_nobody_in_line,
    a_door_with_a_customer,
    a_door_after_a_no_show,
    a_screen_of_an_empty_shop,
    a_screen_that_is_nearly_full,
    a_screen_of_a_stadium,
    a_screen_of_a_line,
    a_chart_of_a_new_counter,
    a_caller_before_a_call,
    customers_who_may_leave_a_number,
}
PAGES = [
    pytest.param(
        state, main, id=state.__name__, marks=[pytest.mark.soak] if state in ONLY_IN_THE_SOAK else []
    )
    for state, main in STATES
]


@pytest.fixture(scope="module", autouse=True)
def axe(windows):
    """The code of axe-core, loaded once because that takes a while."""
    windows(scripts=True).context.add_init_script(AXE_SCRIPT)


def violations(page: Page) -> list[str]:
    """Return the accessibility violations that axe-core finds."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)  # a <script> would be stopped by the page's own policy
    return page.evaluate(FIND_VIOLATIONS, RULES)


def resize(page: Page, size: tuple[int, int]) -> None:
    """Resize the window, and wait until the page has drawn itself anew."""
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.evaluate("() => new Promise(done => { requestAnimationFrame(done); })")


def check(page: Page, main: tuple[str, str] | None, scheme: str = "light") -> None:
    """Check a page in portrait and landscape, and let axe look at it once, with all details open.

    check_every_size() lets it look at each combination.
    """
    wrong = []
    for size in SIZES:
        resize(page, SIZES[size])
        wrong += [f"{size}: {part} sticks out" for part in page.evaluate(WHAT_STICKS_OUT)]
        if main:
            expect(page.get_by_role(main[0], name=main[1], exact=True)).to_be_in_viewport(ratio=1)
        if IS_NOT_TO_BE_SCROLLED.search(page.url) and page.evaluate(IS_CUT):
            wrong.append(f"{size}: the page is cut")
        wrong += [f"{size}, opened: {part} sticks out" for part in page.evaluate(WHAT_STICKS_OUT_OPENED)]
    page.evaluate(OPEN_DETAILS)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    wrong += [f"opened, {scheme}: {each}" for each in violations(page)]
    assert wrong == []


@pytest.mark.parametrize(("state", "main"), PAGES)
def test_every_page_can_be_read_and_used_by_anybody(open_shop, look, problems, state, main):
    page = look(state(open_shop()), "small phone")  # the first of SIZES
    check(page, main, "dark" if STATES.index((state, main)) % 2 else "light")
    if state not in (an_address_that_is_unknown, the_statistics_of_days_the_wrong_way_round):
        assert problems == []


def check_every_size(page: Page) -> None:
    """Assert that axe finds nothing in any size, light and dark, and that no bar hides what is used."""
    wrong = []
    for opened in (False, True):
        if opened:
            page.evaluate("document.querySelectorAll('main details').forEach(each => { each.open = true; })")
        for size in EVERY_SIZE:
            resize(page, EVERY_SIZE[size])
            where = f"{size}, opened" if opened else size
            wrong += [f"{where}: {part} sticks out" for part in page.evaluate(WHAT_STICKS_OUT)]
            wrong += [f"{where}: {part} is hidden" for part in page.evaluate(WHAT_IS_HIDDEN_WITH_FOCUS)]
            if size == "zoomed":
                wrong += [f"{where}: {part} covers the page" for part in page.evaluate(WHAT_COVERS)]
            page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                wrong += [f"{where}, {scheme}: {each}" for each in violations(page)]
    assert wrong == []


@pytest.mark.soak
@pytest.mark.parametrize("state", [state for state, _ in STATES], ids=lambda state: state.__name__)
def test_every_page_is_accessible_at_every_size(open_shop, look, state):
    check_every_size(look(state(open_shop())))


@pytest.mark.parametrize(
    "state",
    soak_after(
        4,
        [
            customers_of_a_line,
            a_board_that_only_counts,
            a_ticket_that_waits,
            a_desk_that_called,
            the_owner_of_a_busy_place,
            a_poster,
            a_door_with_a_customer,
            a_screen_of_a_line,
            customers_with_a_choice,
            staff_of_several_queues,
            the_queues_of_a_busy_place,
            the_team_of_a_busy_place,
            the_settings_of_a_place,
            a_ticket_that_may_come_in,
            a_chart_of_a_new_counter,
            a_caller_with_a_call,
            a_list_of_calls,
            a_call_report,
            contacts_of_many,
        ],
    ),
)
def test_a_long_name_fits(open_shop, look, state):
    shop = open_shop(name=LONG)
    page = look(state(shop), "small phone")
    assert page.evaluate(WHAT_STICKS_OUT) == []


@pytest.mark.parametrize("state", [a_ticket_that_waits, a_desk_that_called])
def test_a_wide_number_fits(open_shop, look, state):
    shop = open_shop(name="Corner Deli")
    shop.owner_post("/queues/deli", prefix="WWW")
    page = look(state(shop), "small phone")
    expect(page.get_by_role("heading", level=1)).to_contain_text("WWW")
    assert page.evaluate(WHAT_STICKS_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_long_name_of_a_queue_fits_into_the_choice_of_days(open_shop, look):
    shop = open_shop()
    shop.add_queue("W" * 60)
    page = look(f"{shop.links['manage']}/stats", "phone on its side")
    page.get_by_text("Other days or one queue").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 667


@pytest.mark.parametrize("size", soak_after(1, ["phone on its side", "small phone", "phone", "desktop"]))
def test_a_number_can_be_taken_beside_a_long_list_of_who_is_served(open_shop, look, size):
    shop = open_shop()
    for number in range(20):
        shop.take()
        shop.desk(f"Person {number}", f"Window {number}").call_next()
    page = look(shop.links["customers"], size)
    expect(page.get_by_role("button", name="Take a number")).to_be_in_viewport(ratio=1)


def test_the_main_button_covers_no_border_of_a_field_on_a_phone_on_its_side(open_shop, look):
    shop = open_shop()
    shop.owner_post("/queues/deli", asks=["name", "phone", "note", "party"])
    page = look(shop.links["customers"], "phone on its side")
    room, shadow = page.evaluate(
        """() => {
            const button = document.querySelector('.main');
            const bottoms = [...document.querySelectorAll('form [name=note], form [name=party]')]
                .map(field => field.getBoundingClientRect().bottom);
            const [shadow] = getComputedStyle(button).boxShadow.match(/[0-9.]+px$/) || ['0px'];
            return [button.getBoundingClientRect().top - Math.max(...bottoms), parseFloat(shadow)];
        }"""
    )
    assert shadow < room


MESSAGE = ("We close at 16:30 today: there is a leak. " * 5)[:200]


@pytest.mark.parametrize("size", soak_after(2, ["small phone", "phone on its side", "phone"]))
@pytest.mark.parametrize("many", soak_after(1, [3, 1]))
def test_messages_to_everybody_leave_room_for_what_the_page_is_for(open_shop, look, size, many):
    shop = open_shop()
    shop.owner_post("/counters", name="Shop", capacity=90)
    for number in range(many):
        shop.owner_post("/messages", text=f"{number} {MESSAGE}"[:200])
    take = look(shop.links["customers"], size).get_by_role("button", name="Take a number")
    expect(take).to_be_in_viewport(ratio=1)
    expect(look(shop.customer().ticket["links"]["ticket"], size).get_by_text("A1")).to_be_in_viewport(ratio=1)
    door = look(shop.counter()["doors"][0]["links"]["door"], size)
    seen = """name => {
        const symbol = document.querySelector(`#${name} b`).getBoundingClientRect();
        const [x, y] = [symbol.left + symbol.width / 2, symbol.top + symbol.height / 2];
        return Boolean(document.elementFromPoint(x, y).closest(`#${name}`));
    }"""
    assert door.evaluate(seen, "in")
    assert door.evaluate(seen, "out")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("size", soak_after(1, ["small phone", "phone"]))
def test_a_long_message_cuts_no_number_on_a_board(open_shop, visit, size, scripts):
    shop = open_shop()
    shop.owner_post("/counters", name="Shop", capacity=90)
    for name in ("Bakery", "Passports and identity cards", "Cheese", "Drinks"):
        shop.owner_post("/queues", name=name)
    for number in range(4):
        shop.take()
        shop.desk(f"Ana {number}", f"Window {number}").call_next()
    shop.owner_post("/messages", text=MESSAGE)
    board = visit(shop.links["board"], size, java_script_enabled=scripts)
    expect(board.locator("#now li")).to_have_count(4)
    cut = """() => [...document.querySelectorAll('#now li')].filter(tile => {
        const { top, bottom } = tile.getBoundingClientRect();
        return [...tile.children].some(part => part.getBoundingClientRect().top < top - 2
            || part.getBoundingClientRect().bottom > bottom + 2);
    }).map(tile => tile.outerHTML)"""
    wait_for(lambda: not board.evaluate(cut))


@pytest.mark.parametrize(
    "state",
    soak_after(
        3,
        [
            customers_with_a_choice,
            a_ticket_that_waits,
            a_door_with_many_customers,
            a_screen_that_is_nearly_full,
            a_ticket_that_may_come_in,
            customers_of_a_line,
            a_ticket_that_is_next,
            a_door_that_is_nearly_full,
            a_door_that_is_too_full,
            a_door_with_a_drift,
            customers_who_only_count,
            customers_of_a_queue_at_the_door,
        ],
    ),
)
def test_scripts_use_the_words_of_the_templates(open_shop, look, notices, state):
    shop = open_shop()
    shop.desk("Dora", "Window 9")
    link = state(shop)
    as_sent = look(link, scripts=False).get_by_role("main").inner_text()
    live = look(link)
    notices(live, stream="open")
    live.wait_for_timeout(200)
    # How this device tells its customer is for scripts alone to say.
    live.evaluate("() => { const box = document.getElementById('reach'); if (box) box.remove(); }")
    assert live.get_by_role("main").inner_text() == as_sent


# ----- home, which knows what is on its server


def home_of_a_new_server(start_server):
    return start_server().url


def home_that_asks_for_the_code(start_server):
    return start_server(setup_code="open sesame").url


def home_of_a_place(start_server):
    server = start_server()
    server.open_shop()
    return server.url


@pytest.mark.parametrize(
    ("state", "main"),
    [
        (home_of_a_new_server, ("button", "Create my place")),
        (home_that_asks_for_the_code, ("button", "Create my place")),
        (home_of_a_place, ("link", "Corner Deli")),
    ],
)
def test_home_can_be_read_and_used_by_anybody(start_server, look, problems, state, main):
    check(look(state(start_server)), main)
    assert problems == []


@pytest.mark.soak
@pytest.mark.parametrize("state", [home_of_a_new_server, home_that_asks_for_the_code, home_of_a_place])
def test_home_is_accessible_at_every_size(start_server, look, state):
    check_every_size(look(state(start_server)))


def test_a_lost_bookmark_is_found_with_the_setup_code(start_server, visit):
    server = start_server(setup_code="open sesame")
    manage = server.open_shop(setup_code="open sesame").links["manage"]
    page = visit(server.url)
    page.get_by_text("Lost your owner link?").click()
    page.get_by_label("Code of this server").fill("open sesame")
    page.get_by_role("button", name="Show my owner links").click()
    expect(page.get_by_role("heading", name="Your owner links")).to_be_visible()
    check(page, None)
    page.locator(f"a[href$='{manage.removeprefix(server.url)}']").click()
    expect(page).to_have_title("Corner Deli · owner")


def test_recount_can_be_read_and_used_by_anybody(inside, look, problems):
    page = look(inside.door())
    page.get_by_role("button", name="Recount").click()
    for size in SIZES:
        resize(page, SIZES[size])
        for name in ("Set the count", "Cancel"):
            expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        for scheme in ("light", "dark") if size == "phone" else ():
            page.emulate_media(color_scheme=scheme)
            problems += [f"{size}, {scheme}: {each}" for each in violations(page)]
    assert problems == []


# ----- by keyboard


def shared_link(page: Page, label: str) -> str:
    """Return one of the links that the owner shares."""
    return page.get_by_role("group", name=label, exact=True).locator("[data-url]").get_attribute("data-url")


def reach(page: Page, button: str) -> None:
    """Press Tab until this button has the focus."""
    wanted = page.get_by_role("button", name=button, exact=True)
    for _ in range(30):
        page.keyboard.press("Tab")
        if wanted.evaluate("button => button === document.activeElement"):
            return
    raise AssertionError(f"Tab doesn't reach {button}.")


def test_the_main_jobs_by_keyboard(start_server, visit):
    owner = visit(start_server().url)
    owner.get_by_label("Name of your place").press_sequentially("Corner Deli")
    reach(owner, "Create my place")
    owner.keyboard.press("Enter")
    expect(owner).to_have_title("Corner Deli · owner")

    phone = visit(shared_link(owner, "For customers"))
    reach(phone, "Take a number")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()

    desk = visit(shared_link(owner, "Staff link"))
    desk.get_by_label("Your name").press_sequentially("Ana")
    reach(desk, "Start serving")
    desk.keyboard.press("Enter")
    reach(desk, "Next customer")
    desk.keyboard.press("Enter")
    served = desk.get_by_label("Now serving").get_by_role("heading")
    expect(served).to_have_text("A1")
    expect(phone.get_by_role("main")).to_contain_text("It's your turn")
    next_customer = desk.get_by_role("button", name="Next customer")
    expect(next_customer).to_be_enabled()
    expect(next_customer).to_be_focused()  # so that the next press needs no Tab
    desk.keyboard.press("Enter")
    expect(served).to_have_text("Free")

    reach(phone, "Sound")
    phone.keyboard.press("Space")
    expect(phone.get_by_role("button", name="Sound")).to_have_attribute("aria-pressed", "true")


def test_a_key_that_presses_the_last_of_its_buttons_leaves_the_focus_near_it(shop, visit):
    phone = visit(shop.customer().ticket["links"]["ticket"])
    leave = phone.get_by_role("button", name="Leave the line")
    leave.focus()
    phone.keyboard.press("Enter")
    expect(phone.get_by_text("You left the line.").first).to_be_visible()
    expect(phone.get_by_role("main")).to_be_focused()


def test_a_door_by_keyboard(inside, visit):
    door = visit(inside.door(), "desktop")
    count = door.locator("#count")
    reach(door, "In")
    for key, expected in [("Enter", 1), ("Space", 2), ("+", 3), ("-", 2), ("-", 1)]:
        door.keyboard.press(key)
        expect(count).to_have_text(str(expected))
    for key in ("Enter", "+"):
        for _ in range(5):  # it is held down
            door.keyboard.down(key)
        door.keyboard.up(key)
    expect(count).to_have_text("3")
    expect(door.locator("#in")).to_be_focused()
    reach(door, "+5")
    door.keyboard.press("Enter")
    expect(count).to_have_text("8")
    reach(door, "Undo")
    door.keyboard.press("Enter")
    expect(count).to_have_text("3")
    reach(door, "Recount")
    door.keyboard.press("Enter")
    door.keyboard.type("42")
    door.keyboard.press("Enter")
    expect(count).to_have_text("42")
    expect(door.get_by_role("dialog")).to_be_hidden()
    expect(door.locator("#recounts")).to_be_focused()
    door.keyboard.press("Enter")
    door.keyboard.press("Escape")
    expect(door.get_by_role("dialog")).to_be_hidden()
    inside.becomes(42)
    assert len(inside.history()) == 10


# ----- on paper

PAPERS = {
    "A4": {"width": 680, "height": 1009},
    "Letter": {"width": 702, "height": 942},
}  # within the margins, in px


@pytest.mark.parametrize("name", [LONG, "Corner Deli"])
@pytest.mark.parametrize("paper", soak_after(1, PAPERS))
def test_the_poster_is_one_page(open_shop, look, paper, name):
    page = look(a_poster(open_shop(name=name)), "desktop")
    pdf = page.pdf(format=paper, prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    page.emulate_media(media="print")
    page.set_viewport_size(PAPERS[paper])
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    address = page.url.removeprefix("http://").removesuffix("/poster")
    for part in (
        page.get_by_text("Scan to take a number"),
        page.get_by_text(address),
        page.get_by_role("img"),
    ):
        expect(part).to_be_in_viewport(ratio=1)
    assert page.get_by_role("img").bounding_box()["width"] > 250  # 66 mm can be scanned from two steps away
