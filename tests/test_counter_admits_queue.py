"""A counter that admits a queue calls the next customers to the door while there is room."""

from __future__ import annotations

import time

import pytest
from helpers.html_browser import Browser
from helpers.places import new_tap
from helpers.waiting import wait_for

COUNTED = ("tap", "undo", "recount", "empty")


@pytest.fixture
def full(shop, door):
    """The shop is full, with two inside, and its counter admits the queue."""
    assert shop.owner_post("/counters/shop", capacity=2, admits="deli").status == 200
    door.tap(1, 1)
    return shop


@pytest.fixture
def free(shop):
    """There is room for three, and the counter admits the queue."""
    assert shop.owner_post("/counters/shop", capacity=3, admits="deli").status == 200
    return shop


def customers(place, *parties):
    """Return customers with parties of these sizes (None: not given), one after the other."""
    return [place.customer(**({"party": party} if party else {})) for party in parties]


def states(*some):
    return [each.get()["state"] for each in some]


def called(place, queue="deli"):
    """Return the numbers that may come in, the first called first."""
    return [ticket["number"] for ticket in reversed(place.queue(queue)["called"]) if ticket["door"]]


def room(place):
    """Return (count, held) of the counter, and check that the count is the sum of the history."""
    export = place.export()
    (counter,) = place.picture()["counters"]
    deltas = [event["delta"] for event in export["event"] if event["kind"] in COUNTED]
    assert max(0, sum(deltas)) == counter["count"], "a count below 0 is not public"
    return sum(deltas), counter["held"]


# ----- while there is room


def test_a_customer_is_called_at_once_while_there_is_room(free):
    answer = free.take()
    assert (answer.status, answer.body["state"]) == (201, "called")
    ticket = answer.body
    assert (ticket["number"], ticket["door"], ticket["desk"]) == ("A1", "Shop", None)
    assert ticket["held_until"] == "2026-11-21T10:05:00+00:00"
    assert (ticket["ahead"], ticket["estimated_wait"]) == (None, None)
    seen = free.client.get(ticket["links"]["ticket"]).body
    assert {name: seen[name] for name in ("state", "door", "held_until", "called_at")} == {
        name: ticket[name] for name in ("state", "door", "held_until", "called_at")
    }


def test_as_many_are_called_as_there_is_room_for(free):
    some = customers(free, *[None] * 5)
    assert states(*some) == ["called"] * 3 + ["waiting"] * 2
    assert (called(free), free.queue()["waiting"]) == (["A1", "A2", "A3"], ["A4", "A5"])
    assert room(free) == (0, 3)
    assert free.picture()["counters"][0]["level"] == "full"  # their spaces are held


def test_a_waiting_customer_sees_how_many_are_ahead(full):
    first, second = customers(full, None, None)
    for each, ahead in ((first, 0), (second, 1)):
        sees = each.get()
        assert (sees["state"], sees["ahead"], sees["door"], sees["held_until"]) == (
            "waiting",
            ahead,
            None,
            None,
        )


def test_the_next_customer_is_called_when_somebody_leaves(full, door):
    first, second = customers(full, None, None)
    door.tap(-1)
    assert states(first, second) == ["called", "waiting"]
    door.tap(-1)
    assert states(first, second) == ["called", "called"]
    assert room(full) == (0, 2)


def test_several_customers_are_called_when_several_people_leave(full, door):
    some = customers(full, None, None, None)
    door.tap(-1, -1)
    assert states(*some) == ["called", "called", "waiting"]


def test_a_plain_plus_takes_no_reserved_space(free, door):
    some = customers(free, None, None)
    assert door.tap(1, 1) == 2
    assert (states(*some), room(free)) == (["called"] * 2, (2, 2))
    assert states(*customers(free, None)) == ["waiting"]
    door.tap(-1)  # one too many had been let in
    assert free.queue()["waiting"] == ["A3"]
    door.tap(-1)
    assert called(free) == ["A1", "A2", "A3"]


def test_nobody_is_called_over_the_capacity(full, door):
    customers(full, None)
    door.tap(2, -1)
    assert (called(full), room(full)) == ([], (3, 0))


def test_a_count_below_zero_makes_no_more_room_than_there_is(free, door):
    door.tap(-5)
    some = customers(free, *[None] * 4)
    assert (states(*some), room(free)) == (["called"] * 3 + ["waiting"], (-5, 3))


def test_customers_of_other_queues_are_not_called(free):
    free.owner_post("/queues", name="Bakery")
    other = free.customer("bakery")
    assert other.get()["state"] == "waiting"
    assert (free.queue("bakery")["door"], free.queue("deli")["door"]) == (None, "Shop")
    assert room(free) == (0, 0)


# ----- parties


def test_a_party_needs_room_for_all(free, door):
    some = customers(free, 2, 2, 1)
    assert (states(*some), room(free)) == (["called", "waiting", "waiting"], (0, 2))  # A3 doesn't overtake A2
    door.send_taps(new_tap(2, number="A1"))
    door.tap(-1)
    assert (states(*some), room(free)) == (["done", "called", "waiting"], (1, 2))


def test_a_party_larger_than_the_capacity_comes_in_when_nobody_is_inside(free, door):
    door.tap(1)
    (many,) = customers(free, 9)
    assert many.get()["state"] == "waiting"
    door.tap(-1)
    assert many.get()["state"] == "called"
    assert room(free) == (0, 9)
    assert states(*customers(free, 1)) == ["waiting"]
    door.send_taps(new_tap(9, number="A1"))
    assert room(free) == (9, 0)


def test_a_ticket_without_a_party_counts_as_one(free):
    customers(free, None, 1)
    assert room(free) == (0, 2)


# ----- they come in


def test_a_customer_who_comes_in_by_number_is_done_and_counted(free, door):
    first, second = customers(free, None, None)
    status, body, _ = door.send_taps(new_tap(1, number="A1"))
    assert (status, body["count"], body["held"]) == (200, 1, 1)
    assert [each["number"] for each in body["called"]] == ["A2"]
    sees = first.get()
    assert (sees["state"], sees["door"], sees["held_until"]) == ("done", None, None)
    assert sees["ended_at"] == "2026-11-21T10:00:00+00:00"
    assert second.get()["state"] == "called"
    assert room(free) == (1, 1)
    assert free.event_kinds()[-2:] == ["tap", "come-in"]


@pytest.mark.both_databases
def test_the_door_sees_which_customers_may_come_in(free, door, clock):
    free.owner_post("/counters/shop", hold_minutes=7)
    free.customer(name="Zoë", party=2)
    clock.advance(seconds=1)
    customers(free, None, None)
    sees = door.get()
    assert (sees["admits"], sees["hold_minutes"], sees["waiting"], sees["held"]) == ("deli", 7, 1, 3)
    first, second = sees["called"]
    assert first == {
        "number": "A1",
        "name": "Zoë",
        "party": 2,
        "called_at": "2026-11-21T10:00:00+00:00",
        "held_until": "2026-11-21T10:07:00+00:00",
    }
    assert (second["number"], second["party"]) == ("A2", None)


def test_the_same_tap_again_changes_nothing(free, door):
    customers(free, None, None)
    one = new_tap(1, number="A1")
    for _ in range(3):
        assert door.send_taps(one).body["count"] == 1
    assert room(free) == (1, 1)


def test_a_number_that_came_in_is_not_counted_again(free, door):
    customers(free, None)
    free.owner_post("/counters/shop/doors", name="Back")
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert (
        free.door("Back").send_taps(new_tap(1, number="A1")).body["count"] == 1
    )  # both doors let the customer in while offline
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert room(free) == (1, 0)
    assert free.event_kinds().count("not-counted") == 2
    assert free.event_kinds().count("come-in") == 1


def test_a_number_twice_in_one_batch_counts_once(free, door):
    customers(free, 2)
    assert door.send_taps(new_tap(2, number="A1"), new_tap(2, number="A1"), new_tap(1)).body["count"] == 3
    assert room(free) == (3, 0)


@pytest.mark.parametrize("number", ["A9", "Z1", "a1", "nonsense", "0"])
def test_a_tap_with_an_unknown_number_is_counted(free, door, number):
    (first,) = customers(free, None)
    assert door.send_taps(new_tap(1, number=number)).body["count"] == 1
    assert (first.get()["state"], room(free)) == ("called", (1, 1))


def test_a_tap_with_a_number_is_counted_without_an_admitted_queue(shop, door):
    (first,) = customers(shop, None)
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert first.get()["state"] == "waiting"


def test_a_waiting_customer_may_be_let_in(full, door):
    first, second = customers(full, None, None)
    assert door.send_taps(new_tap(1, number="A2")).body["count"] == 3
    assert states(first, second) == ["waiting", "done"]
    assert second.get()["called_at"] is not None
    assert full.queue()["waiting"] == ["A1"]


def test_a_customer_marked_as_no_show_may_still_be_let_in(free, door):
    (first,) = customers(free, None)
    door.no_show("A1")
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert (first.get()["state"], room(free)) == ("no_show", (1, 0))


def test_a_customer_let_in_offline_is_done_when_the_door_is_back(free, door, clock):
    (first,) = customers(free, None)
    clock.advance(minutes=3)
    door.send_taps(new_tap(1, number="A1", ago_s=120), new_tap(1, ago_s=60))
    assert (first.get()["state"], room(free)) == ("done", (2, 0))


def test_a_customer_let_in_before_a_recount_is_done_and_not_counted(free, door, clock):
    (first,) = customers(free, None)
    clock.advance(minutes=3)
    door.recount(1)
    assert door.send_taps(new_tap(1, number="A1", ago_s=60)).body["count"] == 1
    assert (first.get()["state"], room(free)) == ("done", (1, 0))


# ----- a tap by number is taken back


def test_a_customer_tapped_in_by_mistake_is_called_again(free, door, clock):
    (first,) = customers(free, 2)
    one = new_tap(2, number="A1")
    door.send_taps(one)
    clock.advance(minutes=1)
    body = door.send_taps(new_tap(-2, undoes=one["id"])).body
    assert (body["count"], body["held"]) == (0, 2)
    assert [(each["number"], each["held_until"][11:16]) for each in body["called"]] == [("A1", "10:06")]
    assert (first.get()["state"], first.get()["ended_at"]) == ("called", None)
    assert door.send_taps(new_tap(2, number="A1")).body["count"] == 2
    assert (first.get()["state"], room(free)) == ("done", (2, 0))


def test_an_undo_that_is_sent_again_changes_nothing(free, door):
    (first,) = customers(free, None)
    one = new_tap(1, number="A1")
    back = new_tap(-1, undoes=one["id"])
    for batch in ((one, back), (back,), (one, back)):
        assert door.send_taps(*batch).body["count"] == 0
        assert first.get()["state"] == "called"
    assert room(free) == (0, 1)


def test_a_customer_tapped_in_by_mistake_waits_first_if_it_is_full_now(free, door):
    first, second, third, fourth = customers(free, *[None] * 4)
    one = new_tap(1, number="A1")
    door.send_taps(one)
    door.tap(1)
    door.send_taps(new_tap(-1, undoes=one["id"]))
    assert states(first, second, third, fourth) == ["waiting", "called", "called", "waiting"]
    assert free.queue()["waiting"] == ["A1", "A4"]
    door.tap(-1)
    assert states(first, fourth) == ["called", "waiting"]


@pytest.mark.both_databases
def test_a_customer_let_in_out_of_turn_by_mistake_waits_first(full, door):
    some = customers(full, *[None] * 3)
    one = new_tap(1, number="A3")
    door.send_taps(one)
    door.send_taps(new_tap(-1, undoes=one["id"]))
    assert (states(*some), full.queue()["waiting"]) == (["waiting"] * 3, ["A3", "A1", "A2"])
    door.tap(-1)
    assert called(full) == ["A3"]


def test_undoing_the_second_of_two_taps_leaves_the_customer_inside(free, door):
    (first,) = customers(free, None)
    free.owner_post("/counters/shop/doors", name="Back")
    back = free.door("Back")
    door.send_taps(new_tap(1, number="A1"))
    double = new_tap(1, number="A1")
    back.send_taps(double)  # not counted: the customer is inside
    back.send_taps(new_tap(-1, undoes=double["id"]))
    assert (first.get()["state"], room(free)) == ("done", (1, 0))


def test_undoing_a_plain_tap_brings_nobody_back(free, door):
    (first,) = customers(free, None)
    plain = new_tap(1)
    door.send_taps(new_tap(1, number="A1"), plain)
    door.send_taps(new_tap(-1, undoes=plain["id"]))
    assert (first.get()["state"], room(free)) == ("done", (1, 0))


# ----- no-shows


def test_a_no_show_gives_the_space_to_the_next(free, door):
    some = customers(free, 3, None)
    status, body, _ = door.no_show("A1")
    assert (status, body["held"], [each["number"] for each in body["called"]]) == (200, 1, ["A2"])
    assert states(*some) == ["no_show", "called"]
    assert room(free) == (0, 1)


@pytest.mark.parametrize("number", ["A1", "A4", "A9", "B1"])
def test_a_late_no_show_changes_nothing(free, door, number):
    customers(free, 1, 2, 1, 1)
    door.no_show("A1")
    before = free.picture(), free.export()
    answer = door.no_show(number)
    assert (answer.status, number in answer.body["error"]) == (409, True)
    assert [each["number"] for each in answer.body["called"]] == ["A2", "A3"]
    assert (free.picture(), free.export()) == before


@pytest.mark.parametrize("content", [{}, {"number": None}, {"number": ""}, {"number": 5}, {"number": ["A1"]}])
def test_a_no_show_needs_a_number(free, door, content):
    customers(free, None)
    answer = free.client.post(f"{door.link}/no-show", content)
    assert (answer.status, called(free)) == (400, ["A1"])


def test_a_customer_who_leaves_frees_the_space(free):
    first, second = customers(free, 3, None)
    assert first.cancel().status == 200
    assert (states(first, second), room(free)) == (["cancelled", "called"], (0, 1))


def test_numbers_that_the_owner_cancels_free_their_spaces(free):
    some = customers(free, 1, 2, 1, 1)
    free.owner_post("/queues/deli/cancel", numbers=["A1", "A2"])
    assert states(*some) == ["cancelled", "cancelled", "called", "called"]


def test_a_customer_who_left_the_line_is_not_called(full, door):
    first, second = customers(full, None, None)
    first.cancel()
    door.tap(-1)
    assert states(first, second) == ["cancelled", "called"]


# ----- whatever makes room


def test_a_greater_capacity_calls_the_next(full):
    some = customers(full, *[None] * 3)
    full.owner_post("/counters/shop", capacity=4)
    assert (states(*some), room(full)) == (["called", "called", "waiting"], (2, 2))


def test_a_smaller_capacity_sends_nobody_away(free):
    some = customers(free, *[None] * 3)
    free.owner_post("/counters/shop", capacity=1)
    assert (states(*some), room(free)) == (["called"] * 3, (0, 3))


def test_a_recount_calls_the_next(full, door):
    some = customers(full, *[None] * 3)
    assert [each["number"] for each in door.recount(0).body["called"]] == ["A1", "A2"]
    assert (states(*some), room(full)) == (["called", "called", "waiting"], (0, 2))


def test_an_undone_tap_calls_the_next(free, door):
    one = new_tap(3)
    door.send_taps(one)
    (first,) = customers(free, None)
    assert first.get()["state"] == "waiting"
    door.send_taps(new_tap(-3, undoes=one["id"]))
    assert first.get()["state"] == "called"


def test_yesterdays_people_take_no_room_today(full, clock):
    yesterday = full.customer()
    clock.set("2026-11-22 09:00")
    assert yesterday.get()["state"] == "expired"
    assert full.picture()["counters"][0]["count"] == 0
    some = customers(full, *[None] * 3)
    assert [each.number for each in some] == ["A1", "A2", "A3"]
    assert states(yesterday, *some) == ["expired", "called", "called", "waiting"]
    assert full.picture()["counters"][0]["held"] == 2


def test_a_customer_called_before_the_day_ended_may_come_in_after(free, door, clock):
    clock.set("2026-11-22 03:58")
    (first,) = customers(free, None)
    clock.set("2026-11-22 04:01")
    assert first.get()["state"] == "called"
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert (first.get()["state"], room(free)) == ("done", (1, 0))


def test_the_number_of_today_is_let_in_and_not_that_of_yesterday(free, door, clock):
    (yesterday,) = customers(free, None)
    door.send_taps(new_tap(1, number="A1"))
    clock.advance(days=1)
    (today,) = customers(free, None)
    assert today.number == yesterday.number == "A1"
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert (today.get()["state"], room(free)) == ("done", (1, 0))


def test_a_customer_called_yesterday_takes_no_room_today(free, clock):
    free.owner_post("/queues/deli", max_waiting=1)
    clock.set("2026-11-22 03:58")
    (yesterday,) = customers(free, None)
    clock.set("2026-11-22 04:01")
    (today,) = customers(free, None)
    free.owner_post("/counters/shop", admits=None)
    assert states(yesterday, today) == ["expired", "waiting"]
    today.cancel()
    assert (free.queue()["waiting"], free.queue()["full"]) == ([], False)
    assert free.take().status == 201


# ----- the owner changes settings later


def test_a_queue_that_waits_already_is_called_when_it_is_admitted(shop):
    some = customers(shop, None, None)
    assert shop.queue()["door"] is None
    status, body, _ = shop.owner_post("/counters/shop", capacity=1, admits="deli")
    assert (status, body["admits"], body["held"]) == (200, "deli", 1)
    assert states(*some) == ["called", "waiting"]
    assert shop.queue()["door"] == "Shop"


@pytest.mark.parametrize("nothing", [None, ""])
def test_called_customers_wait_again_in_order_when_the_queue_is_no_longer_admitted(free, ana, nothing):
    some = customers(free, *[None] * 4)
    assert free.owner_post("/counters/shop", admits=nothing).body["admits"] is None
    assert states(*some) == ["waiting"] * 4
    assert free.queue()["waiting"] == ["A1", "A2", "A3", "A4"]
    assert free.queue()["called"] == []
    assert [ana.call_next()["number"] for _ in range(4)] == ["A1", "A2", "A3", "A4"]


def test_another_queue_is_admitted_instead(free):
    free.owner_post("/queues", name="Bakery")
    deli = customers(free, None)
    bakery = free.customer("bakery")
    free.owner_post("/counters/shop", admits="bakery")
    assert states(*deli, bakery) == ["waiting", "called"]
    assert room(free) == (0, 1)


def test_admitting_the_same_queue_again_calls_nobody_twice(free):
    customers(free, None)
    before = free.customer().get()
    free.owner_post("/counters/shop", admits="deli")
    assert free.client.get(before["links"]["ticket"]).body == before
    assert free.event_kinds().count("call") == 2


def test_when_the_counter_is_deleted_the_line_goes_on(free, ana):
    some = customers(free, None, None)
    assert free.owner_post("/counters/shop/delete").status == 200
    assert states(*some) == ["waiting", "waiting"]
    assert free.queue()["door"] is None
    assert ana.call_next()["number"] == "A1"
    assert free.picture()["calls"][-1]["desk"] == "Window 2"


def test_when_the_queue_is_deleted_the_counter_goes_on(free, door):
    customers(free, None)
    assert free.owner_post("/queues/deli/delete").status == 409  # the customer may come in
    door.send_taps(new_tap(1, number="A1"))
    assert free.owner_post("/queues/deli/delete").status == 200
    assert (door.get()["count"], door.get()["waiting"]) == (1, 0)
    assert free.counter()["admits"] is None
    assert free.picture()["counters"][0]["admits"] is None
    assert door.get()["admits"] is None
    assert door.tap(1) == 2
    free.owner_post("/queues", name="Bakery")
    assert free.owner_post("/counters/shop", admits="bakery").body["admits"] == "bakery"


def test_a_closed_queue_is_called_to_its_end(full, door):
    (first,) = customers(full, None)
    full.owner_post("/queues/deli/close")
    door.tap(-1)
    assert first.get()["state"] == "called"


def test_when_the_door_is_removed_another_lets_them_in(free, door):
    customers(free, None)
    free.owner_post("/counters/shop/doors", name="Back")
    free.owner_post(f"/doors/{door.id}/remove")
    assert free.door("Back").send_taps(new_tap(1, number="A1")).body["count"] == 1
    assert room(free) == (1, 0)


def test_more_minutes_to_come_in(free, door):
    customers(free, None)
    free.owner_post("/counters/shop", hold_minutes=20)
    assert door.get()["called"][0]["held_until"] == "2026-11-21T10:20:00+00:00"


# ----- a desk serves the same queue


def test_a_desk_and_a_door_never_get_the_same_customer(full, door, ana):
    full.owner_post("/counters/shop", admits=None)
    customers(full, *[None] * 4)
    assert ana.call_next()["number"] == "A1"
    full.owner_post("/counters/shop", admits="deli")
    door.tap(-1)
    assert called(full) == ["A2"]
    assert ana.call_next() is None  # only the counter calls now
    assert (called(full), room(full)) == (["A2"], (1, 1))  # who is at a desk holds no space


def test_a_desk_calls_nobody_into_a_full_shop(full, ana):
    customers(full, None, None)
    for asked in ({}, {"queue": "deli"}, {"number": "A1"}):
        answer = ana.post("next", finished=None, **asked)
        assert answer.status == 409
        assert answer.body["error"].startswith("Shop admits Deli: it calls customers to the door when")
    assert full.queue()["waiting"] == ["A1", "A2"]
    assert ana.current_number() is None


@pytest.mark.both_databases
def test_a_desk_goes_on_calling_from_other_queues(full, ana):
    full.owner_post("/queues", name="Bakery")
    customers(full, None)
    full.customer("bakery")
    assert ana.call_next()["number"] == "B1"
    assert ana.call_next() is None  # B1 is done, and only the counter may call A1
    assert ana.post("next", finished=None).status == 409
    assert full.queue()["waiting"] == ["A1"]


def test_a_desk_cannot_take_a_customer_called_to_the_door(free, ana):
    customers(free, None)
    assert ana.post("next", finished=None, number="A1").status == 409
    assert ana.post("done", number="A1").status == 409
    assert ana.post("move", number="A1", queue="deli").status == 409
    assert ana.call_next() is None
    assert called(free) == ["A1"]


def test_a_door_cannot_end_the_ticket_at_a_desk(full, door, ana):
    full.owner_post("/counters/shop", admits=None)
    (first,) = customers(full, None)
    ana.call_next()
    full.owner_post("/counters/shop", admits="deli")
    assert door.no_show("A1").status == 409
    assert door.send_taps(new_tap(1, number="A1")).body["count"] == 3
    assert (first.get()["state"], first.get()["desk"], first.get()["door"]) == ("called", "Window 2", None)
    assert ana.current_number() == "A1"


def test_a_customer_put_back_at_a_desk_is_called_to_the_door_when_there_is_room(full, door, ana):
    full.owner_post("/counters/shop", admits=None)
    first, second = customers(full, None, None)
    ana.call_next()
    full.owner_post("/counters/shop", admits="deli")
    ana.post("put-back", number="A1")
    assert states(first, second) == ["waiting", "waiting"]
    door.tap(-1)
    assert states(first, second) == ["waiting", "called"]
    door.tap(-1)
    assert states(first, second) == ["called", "called"]


def test_a_customer_moved_there_by_a_desk_is_called_to_the_door(free, ana):
    free.owner_post("/queues", name="Bakery")
    other = free.customer("bakery")
    assert ana.call_next()["number"] == "B1"
    ana.post("move", number="B1", queue="deli")
    sees = other.get()
    assert (sees["state"], sees["queue"], sees["door"], sees["desk"]) == ("called", "deli", "Shop", None)


def test_a_customer_added_by_a_desk_is_called_to_the_door(free, ana):
    answer = ana.post("add", queue="deli", name="Mr. Lee", party=2)
    assert (answer.status, answer.body["number"]) == (201, "A1")
    assert (called(free), room(free)) == (["A1"], (0, 2))


def test_the_boxes_of_queues_at_a_door_are_not_ticked_on_the_staff_page(app, free):
    free.owner_post("/queues", name="Bakery")
    form = Browser(app).open(free.links["staff"]).form("Start serving")
    assert [value for name, value in form["fields"] if name == "queues"] == ["bakery"]


# ----- public pages


def test_the_picture_shows_who_may_come_in(free, door):
    customers(free, *[None] * 4)
    line = free.queue()
    assert line["door"] == "Shop"
    newest = line["called"][0]
    assert (newest["number"], newest["door"], newest["desk"]) == ("A3", "Shop", None)
    assert newest["held_until"] == "2026-11-21T10:05:00+00:00"
    assert free.picture()["counters"][0]["admits"] == "deli"
    assert line["waiting"] == ["A4"]


def test_a_call_to_the_door_is_among_the_calls(free, ana):
    free.owner_post("/queues", name="Bakery")
    free.customer("bakery")
    customers(free, None)
    ana.call_next(queue="bakery")
    calls = free.picture()["calls"]
    assert [(call["number"], call["door"], call["desk"]) for call in calls] == [
        ("A1", "Shop", None),
        ("B1", None, "Window 2"),
    ]
    ids = [call["id"] for call in calls]
    assert ids == sorted(set(ids))


def test_a_ticket_at_a_desk_names_no_door(place, ana):
    customer = place.customer()
    ana.call_next()
    (at_desk,) = place.queue()["called"]
    assert (at_desk["door"], at_desk["held_until"]) == (None, None)
    assert (customer.get()["door"], customer.get()["held_until"]) == (None, None)


def test_the_ticket_says_please_come_in(app, free):
    phone = Browser(app).open(free.links["customers"]).press("Take a number")
    assert "your turn" in phone.html
    assert "come in" in phone.html
    assert "10:05" in phone.html


def test_the_screen_and_the_board_say_who_may_come_in(app, free):
    customers(free, *[None] * 4)
    for url in (free.counter()["links"]["screen"], free.links["board"]):
        html = Browser(app).open(url).html
        assert [number for number in ("A1", "A2", "A3") if f">{number}<" not in html] == []
        assert ">A4<" not in html
    assert "1 waiting" in Browser(app).open(free.counter()["links"]["screen"]).html


def test_customers_are_let_in_without_javascript(app, free, door):
    customers(free, 2, 1)
    page = Browser(app).open(door.link)
    page.press("In, A1", delta="2")
    assert (page.redirects, room(free)) == ([303], (2, 1))
    page.press("No-show, A2")
    assert (page.redirects, room(free)) == ([303], (2, 0))
    assert not page.has("In, A")


# ----- customers who are called and don't come


LATER = """
import os
import time
from pathlib import Path

import takeanumber
from app import clock as app_clock

ahead = Path(os.environ["TAKEANUMBER_DATA"]).with_name("ahead")
app_clock.source = lambda: time.time() + float(ahead.read_text())
takeanumber.cli(["serve"])
"""


@pytest.fixture
def later(tmp_path, start_server):
    """A real server, and a function that sets its clock this many seconds ahead."""

    def set_clock(seconds):
        (tmp_path / "new").write_text(str(seconds))
        (tmp_path / "new").replace(tmp_path / "ahead")

    set_clock(0)
    return start_server(code=LATER), set_clock


def test_a_space_is_held_five_minutes_and_then_given_to_the_next(later):
    server, set_clock = later
    deli = server.open_shop(counter={"name": "Shop", "capacity": 2})
    door = server.get(deli.links["manage"]).body["counters"][0]["links"]["door"]
    tickets = [deli.take(party=party).body["links"]["ticket"] for party in (2, 1, 1, 1)]

    def states():
        return [server.get(link).body["state"] for link in tickets]

    desk = deli.desk()
    assert desk.post("next", finished=None, number="A2").body["current"]["number"] == "A2"
    server.post(f"{deli.links['manage']}/counters/shop", {"admits": "deli"})
    set_clock(280)
    time.sleep(2.5)  # the background job has run twice
    assert states() == ["called", "called", "waiting", "waiting"]
    with deli.watch() as stream:
        set_clock(301)
        # open streams show it, and the customer at a desk stays there
        (*_, event) = stream.until(lambda event: event.picture["calls"][-1]["number"] == "A4", within=10)
        assert event.picture["counters"][0]["held"] == 2
    assert states() == ["no_show", "called", "called", "called"]
    assert server.post(f"{door}/no-show", {"number": "A1"}).status == 409
    taps = [dict(new_tap(1), number="A3")]
    assert server.post(f"{door}/taps", {"taps": taps}).body["count"] == 1
    set_clock(603)
    wait_for(lambda: states() == ["no_show", "called", "done", "no_show"])
    assert server.get(door).body["held"] == 0


def test_fewer_minutes_to_come_in_and_a_server_that_was_down(later):
    server, set_clock = later
    deli = server.open_shop(counter={"name": "Shop", "capacity": 1})
    manage = deli.links["manage"]
    server.post(f"{manage}/counters/shop", {"hold_minutes": 2, "admits": "deli"})
    tickets = [deli.take().body["links"]["ticket"] for _ in range(2)]
    server.stop()
    set_clock(121)
    server.start()
    wait_for(lambda: server.get(tickets[0]).body["state"] == "no_show")
    wait_for(lambda: server.get(tickets[1]).body["state"] == "called")
    set_clock(200)
    server.post(f"{manage}/counters/shop", {"hold_minutes": 1})
    wait_for(lambda: server.get(tickets[1]).body["state"] == "no_show")


# ----- regressions


def test_cancelling_the_whole_line_calls_none_of_it(full, door):
    some = customers(full, *[None] * 4)
    door.tap(-1)
    calls = len(full.picture()["calls"])
    answer = full.owner_post("/queues/deli/cancel", numbers=[each.number for each in some])
    assert sorted(answer.body["cancelled"]) == ["A1", "A2", "A3", "A4"]
    assert len(full.picture()["calls"]) == calls
    next_one = full.customer()
    assert next_one.get()["state"] == "called"
    assert full.take().body["ahead"] == 0


def test_an_old_tap_is_not_taken_for_todays_number(free, door, clock):
    yesterday = free.customer()
    clock.advance(days=1)
    today = free.customer()
    assert yesterday.number == today.number == "A1"
    assert door.send_taps(new_tap(1, number="A1", ago_s=86_000)).body["count"] == 0
    assert today.get()["state"] == "called"


def test_taking_back_a_tap_calls_nobody_who_had_left(full, door):
    left = full.customer()
    left.cancel()
    late = new_tap(1, number=left.number)
    door.send_taps(late)
    door.send_taps(new_tap(-1, undoes=late["id"]))
    assert left.get()["state"] == "cancelled"


def test_a_tap_is_taken_back_as_it_was(free, door):
    one = new_tap(1)
    door.send_taps(one)
    assert door.send_taps(new_tap(-50, undoes=one["id"])).body["count"] == 0


def test_nobody_may_enter_though_the_count_is_below_zero_when_all_spaces_are_held(free, door):
    door.tap(-4)
    customers(free, *[None] * 3)
    (counter,) = free.picture()["counters"]
    assert (counter["count"], counter["held"], counter["level"]) == (0, 3, "full")
    assert door.get()["count"] == -4


def test_a_place_opens_with_a_line_and_a_counter_that_admits_it(client):
    shop = {"name": "Shop", "capacity": 3, "admits": "line"}
    answer = client.post("/places", {"name": "Corner", "queue": "Line", "counter": shop})
    assert (answer.status, answer.body["counters"][0]["admits"]) == (201, "line")
