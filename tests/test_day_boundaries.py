"""The day of a place: when it starts, what ends with it, and changes of the clock."""

from datetime import datetime, timedelta

import pytest
from helpers.places import open_deli

LA, AUCKLAND = "America/Los_Angeles", "Pacific/Auckland"


def series_at(place, clock, *when, **which):
    """Return the series of the picture at a local time of the place."""
    clock.set(*when, **which)
    return place.picture()["series"]


@pytest.mark.parametrize("timezone", [LA, AUCKLAND, "Asia/Kolkata", "UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    ("when", "day"),
    [
        ("2026-11-20 03:59:59", "2026-11-19"),
        ("2026-11-20 04:00:00", "2026-11-20"),
        ("2026-11-20 23:59:59", "2026-11-20"),
        ("2026-11-21 00:00:00", "2026-11-20"),
        ("2026-11-21 03:59:59", "2026-11-20"),
    ],
)
def test_a_day_starts_at_four_where_the_place_is(client, clock, timezone, when, day):
    place = open_deli(client, timezone=timezone)
    assert series_at(place, clock, when, timezone) == day


@pytest.mark.parametrize("timezone", [LA, AUCKLAND])
def test_nothing_happens_at_midnight_of_another_zone(client, clock, timezone):
    place = open_deli(client, timezone=timezone)
    clock.set("2026-11-20 04:00", timezone)
    customer = place.customer()
    for _ in range(47):
        clock.advance(minutes=30)
        assert customer.get()["state"] == "waiting"
        assert place.picture()["series"] == "2026-11-20"
    clock.advance(minutes=29, seconds=59)
    assert customer.get()["state"] == "waiting"
    clock.advance(seconds=1)
    assert customer.get()["state"] == "expired"


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        (LA, "2026-03-07", 23),  # from 04:00 to 04:00 over the night in which an hour is skipped
        (LA, "2026-03-08", 24),
        (LA, "2026-10-31", 25),
        (AUCKLAND, "2026-09-26", 23),
        (AUCKLAND, "2026-04-04", 25),
        ("Australia/Lord_Howe", "2026-10-03", 23.5),
    ],
)
def test_a_day_with_the_change_to_summer_time_or_back(client, clock, timezone, day, hours):
    place = open_deli(client, timezone=timezone)
    clock.set(f"{day} 04:00", timezone)
    customer = place.customer()
    clock.advance(hours=hours, seconds=-1)
    assert (place.picture()["series"], customer.get()["state"]) == (day, "waiting")
    clock.advance(seconds=1)
    tomorrow = datetime.fromisoformat(day) + timedelta(1)
    assert place.picture()["series"] == tomorrow.date().isoformat()
    assert customer.get()["state"] == "expired"
    assert clock.at == datetime.fromisoformat(place.customer().ticket["taken_at"]).timestamp()


@pytest.mark.parametrize(
    ("timezone", "day_starts", "last", "first"),
    [
        # The hour is skipped: the day starts at the next that exists.
        (LA, 2, "2026-03-08 01:59:59", "2026-03-08 03:00:00"),
        (AUCKLAND, 2, "2026-09-27 01:59:59", "2026-09-27 03:00:00"),
        ("Australia/Lord_Howe", 2, "2026-10-04 01:59:59", "2026-10-04 02:30:00"),
        ("Africa/Cairo", 0, "2026-04-23 23:59:59", "2026-04-24 01:00:00"),
        # The hour comes twice: the day starts with the first.
        (LA, 1, "2026-11-01 00:59:59", "2026-11-01 01:00:00"),
        (AUCKLAND, 2, "2026-04-05 01:59:59", "2026-04-05 02:00:00"),
    ],
)
def test_a_day_that_starts_in_an_hour_that_is_skipped_or_doubled(
    client, clock, timezone, day_starts, last, first
):
    place = open_deli(client, timezone=timezone)
    place.owner_post("", day_starts=day_starts)
    before = series_at(place, clock, last, timezone)
    clock.advance(seconds=1)
    second_later = clock.at
    assert series_at(place, clock, first, timezone) == first[:10]
    assert clock.at == second_later
    assert before == (datetime.fromisoformat(first[:10]) - timedelta(1)).date().isoformat()


@pytest.mark.parametrize(
    ("timezone", "hour", "when"), [(LA, 1, "2026-11-01 01:30"), (AUCKLAND, 2, "2026-04-05 02:30")]
)
def test_an_hour_that_comes_twice_starts_one_day_only(client, clock, timezone, hour, when):
    place = open_deli(client, timezone=timezone)
    place.owner_post("", day_starts=hour)
    clock.set(when, timezone, fold=0)
    customer = place.customer()
    clock.set(when, timezone, fold=1)
    assert customer.get()["state"] == "waiting"
    assert place.customer().number == "A2"


# ----- what ends with a day


def test_yesterdays_ticket_is_expired_from_the_second_the_day_ends(place, clock):
    customer = place.customer()
    clock.set("2026-11-22 03:59:59")
    assert (place.queue()["waiting"], customer.get()["ahead"]) == (["A1"], 0)
    clock.advance(seconds=1)
    assert place.queue()["waiting"] == []
    sees = customer.get()
    assert (sees["state"], sees["ahead"], sees["estimated_wait"]) == ("expired", None, None)


def test_reading_stores_nothing_and_the_next_write_does(place, clock):
    customer = place.customer()
    clock.set("2026-11-22 09:00")
    before = place.export()
    customer.get(), place.picture(), place.owner_get()
    assert place.export() == before
    place.customer()
    ticket = place.export()["ticket"][0]
    assert (ticket["state"], ticket["ended_at"]) == (
        "expired",
        datetime.fromisoformat("2026-11-22T04:00+00:00").timestamp(),
    )
    assert customer.get()["ended_at"] == "2026-11-22T04:00:00+00:00"
    assert place.event_kinds()[-2:] == ["expire", "take"]


def test_todays_numbers_begin_at_one_and_are_not_yesterdays(place, clock):
    yesterday = place.customer()
    clock.advance(days=1)
    today = place.customer()
    assert (yesterday.number, today.number) == ("A1", "A1")
    assert (yesterday.get()["series"], today.get()["series"]) == ("2026-11-21", "2026-11-22")
    assert (yesterday.get()["state"], today.get()["state"]) == ("expired", "waiting")


def test_yesterdays_customers_are_not_called_today(place, ana, clock):
    for _ in range(3):
        place.customer()
    clock.advance(days=1)
    assert ana.get()["line"] == []
    assert ana.call_next() is None
    assert ana.post("next", finished=None, number="A1").status == 409


def test_a_call_of_today_does_not_ring_yesterdays_phone(place, ana, clock):
    yesterday = place.customer()
    clock.advance(days=1)
    place.customer()
    ana.call_next()
    picture = place.picture()
    assert (picture["series"], picture["calls"][-1]["number"]) == ("2026-11-22", "A1")
    assert picture["series"] != yesterday.get()["series"]
    assert yesterday.get()["state"] == "expired"


@pytest.mark.parametrize("started", [False, True])
def test_a_ticket_being_served_outlives_the_end_of_the_day(place, ana, clock, started):
    customer = place.customer()
    ana.call_next()
    if started:
        ana.post("start", number="A1")
    clock.set("2026-11-22 05:00")
    place.customer()
    assert customer.get()["state"] == ("serving" if started else "called")
    assert ana.current_number() == "A1"
    assert ana.post("done", number="A1").status == 200
    assert customer.get()["state"] == "done"


@pytest.mark.parametrize("press", [("put-back", {}), ("move", {"queue": "bakery"})])
def test_a_ticket_served_overnight_cannot_wait_again(bakery, clock, press):
    button, more = press
    desk, customer = bakery.desk(), bakery.customer()
    desk.call_next()
    clock.advance(days=1)
    answer = desk.post(button, number="A1", **more)
    assert (answer.status, answer.body["current"]["number"]) == (409, "A1")
    assert customer.get()["state"] == "called"


def test_a_ticket_that_ended_yesterday_cannot_be_brought_back(place, ana, clock):
    clock.set("2026-11-22 03:50")
    place.customer()
    ana.call_next()
    ana.post("done", number="A1")
    clock.advance(minutes=20)
    assert ana.post("bring-back", number="A1").status == 409


def test_an_expired_ticket_cannot_be_left(place, clock):
    customer = place.customer()
    clock.advance(days=1)
    status, body, _ = customer.cancel()
    assert (status, body["state"]) == (409, "expired")


def test_a_line_that_was_full_yesterday_has_room_today(place, clock):
    place.owner_post("/queues/deli", max_waiting=1)
    place.customer()
    assert place.take().status == 409
    clock.advance(days=1)
    assert place.queue()["full"] is False
    assert place.take().status == 201


@pytest.mark.parametrize("action", ["reset", "delete"])
def test_yesterdays_waiting_tickets_do_not_delay_todays(place, clock, action):
    place.customer()
    clock.advance(days=1)
    assert place.owner_post(f"/queues/deli/{action}").status == 200


def test_a_reset_series_is_over_with_its_day(place, clock):
    place.owner_post("/queues/deli/reset")
    customer = place.customer()
    clock.advance(days=1)
    assert customer.get()["state"] == "expired"
    place.customer()
    assert customer.get()["ended_at"] == "2026-11-22T04:00:00+00:00"


def test_a_ticket_ends_with_its_day_even_if_stored_a_week_later(place, clock):
    customer = place.customer()
    clock.advance(days=7)
    place.customer()
    assert customer.get()["ended_at"] == "2026-11-22T04:00:00+00:00"


# ----- odd clocks


def test_a_clock_that_goes_back_keeps_the_order(place, ana, clock):
    for _ in range(3):
        place.customer()
        clock.advance(hours=-1)
    assert place.queue()["waiting"] == ["A1", "A2", "A3"]
    assert [ana.call_next()["number"] for _ in range(3)] == ["A1", "A2", "A3"]


def test_a_clock_that_goes_back_over_the_start_of_the_day_gives_no_number_twice(place, clock):
    clock.set("2026-11-22 04:00:01")
    place.customer()
    clock.set("2026-11-22 03:59:59")
    place.customer()
    clock.set("2026-11-22 04:00:02")
    place.customer()
    given = [(ticket["series"], ticket["number"]) for ticket in place.export()["ticket"]]
    assert given == [("2026-11-22", "A1"), ("2026-11-21", "A1"), ("2026-11-22", "A2")]


def test_a_clock_that_goes_back_a_day_after_a_reset(place, clock):
    for when in ("2026-11-22 10:00", "2026-11-21 10:00", "2026-11-22 11:00"):
        clock.set(when)
        assert place.owner_post("/queues/deli/reset").status == 200
        place.customer().cancel()
    given = [(ticket["series"], ticket["number"]) for ticket in place.export()["ticket"]]
    assert len(given) == len(set(given)) == 3


# ----- an owner who changes the clock


@pytest.mark.both_databases
def test_a_new_time_zone_shows_all_times_in_it(place):
    customer = place.customer()
    place.owner_post("", timezone="Europe/Berlin")
    assert customer.get()["taken_at"] == "2026-11-21T11:00:00+01:00"


def test_a_new_time_zone_where_it_is_tomorrow(place, clock):
    clock.set("2026-11-21 20:00")
    customer = place.customer()
    place.owner_post("", timezone=AUCKLAND)  # 09:00 on the 22nd
    assert place.picture()["series"] == "2026-11-22"
    assert customer.get()["state"] == "expired"
    assert place.customer().number == "A1"


def test_a_new_time_zone_where_it_is_yesterday(place, ana, clock):
    clock.set("2026-11-21 05:00")
    customer = place.customer()
    place.owner_post("", timezone=LA)  # 21:00 on the 20th
    assert place.picture()["series"] == "2026-11-20"
    assert customer.get()["state"] == "waiting"
    assert ana.call_next()["number"] == "A1"


def test_changing_the_time_zone_back_and_forth_gives_no_number_twice(place, clock):
    clock.set("2026-11-21 20:00")
    for timezone in ("UTC", AUCKLAND, "UTC", AUCKLAND):
        place.owner_post("", timezone=timezone)
        assert place.owner_post("/queues/deli/cancel", numbers=["A1", "A2"]).status == 200
        assert place.owner_post("/queues/deli/reset").status == 200
        place.customer()
    given = [(ticket["series"], ticket["number"]) for ticket in place.export()["ticket"]]
    assert len(given) == len(set(given)) == 4


@pytest.mark.both_databases
def test_another_hour_at_which_the_day_starts(place, clock):
    customer = place.customer()
    place.owner_post("", day_starts=12)
    assert (place.picture()["series"], customer.get()["state"]) == ("2026-11-20", "waiting")
    clock.set("2026-11-21 12:00")
    assert place.picture()["series"] == "2026-11-21"
    assert customer.get()["state"] == "waiting"
    clock.set("2026-11-22 12:00")
    assert customer.get()["state"] == "expired"
