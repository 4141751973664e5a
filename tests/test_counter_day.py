"""The day of a counter: the chart, the doors, the drift, and when the count is reset."""

import csv
import io
import re
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from helpers.html_browser import Browser
from helpers.places import Door, new_tap, open_deli

COUNTED = ("tap", "undo", "recount", "empty")
BERLIN, LA = "Europe/Berlin", "America/Los_Angeles"


def day_of(place, day=None, counter="shop"):
    """Return the owner's page of a day as JSON; of today without a day."""
    answer = place.client.get(place.counter(counter)["links"]["counter"] + (f"?day={day}" if day else ""))
    assert answer.status == 200, answer.body
    assert answer.body["slug"] == counter
    return answer.body["day"]


def points(day):
    """Return the curve: (local time, people inside)."""
    return [(point["at"][11:16], point["count"]) for point in day["points"]]


def drifts(day):
    return [(each["at"][11:16], each["door"], each["count"], each["drift"]) for each in day["recounts"]]


def rows_of(place, query=""):
    answer = place.client.get(place.counter()["links"]["counter"] + "/taps.csv" + query)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.body, newline="")))


def in_zone(client, timezone, **asked):
    """Return a place in a time zone with a counter, and its door."""
    place = open_deli(client, timezone=timezone)
    place.owner_post("/counters", **{"name": "Shop", "capacity": 10} | asked)
    return place, place.door()


# ----- it empties itself at the start of the day, or never


def test_the_count_is_zero_from_the_second_the_day_starts(shop, door, clock):
    door.tap(7)
    clock.set("2026-11-22 03:59:59")
    assert (door.get()["count"], shop.counter()["level"]) == (7, "free")
    before = shop.export()
    clock.advance(seconds=1)
    assert (door.get()["count"], shop.counter()["count"], shop.picture()["counters"][0]["count"]) == (0, 0, 0)
    assert shop.export() == before  # reading stores nothing


def test_the_first_tap_of_a_day_counts_from_zero(shop, door, clock):
    door.tap(7)
    clock.set("2026-11-22 09:00")
    assert door.tap(2) == 2
    emptied, tapped = shop.export()["event"][-2:]
    assert (emptied["kind"], emptied["delta"], tapped["kind"]) == ("empty", -7, "tap")
    assert emptied["happened_at"] == datetime.fromisoformat("2026-11-22T04:00+00:00").timestamp()
    assert door.tap(1) == 3  # once a day
    assert shop.event_kinds().count("empty") == 1


def test_a_counter_that_never_empties_keeps_its_count(shop, door, clock):
    shop.owner_post("/counters/shop", empties="never")
    door.tap(7)
    clock.advance(days=3)
    assert (door.get()["count"], shop.picture()["counters"][0]["count"]) == (7, 7)
    assert door.tap(1) == 8
    assert "empty" not in shop.event_kinds()


def test_the_owner_lets_a_counter_empty_from_now_on(shop, door, clock):
    shop.owner_post("/counters/shop", empties="never")
    door.tap(7)
    clock.advance(days=1)
    shop.owner_post("/counters/shop", empties="day")
    assert door.get()["count"] == 7  # today it didn't empty itself
    clock.advance(days=1)
    assert door.get()["count"] == 0
    assert door.tap(1) == 1


def test_the_owner_lets_a_counter_empty_no_more(shop, door, clock):
    door.tap(7)
    shop.owner_post("/counters/shop", empties="never")
    clock.advance(days=1)
    assert door.get()["count"] == 7


def test_a_count_below_zero_is_emptied_too(shop, door, clock):
    door.tap(-4)
    clock.advance(days=1)
    assert (door.get()["count"], door.tap(1)) == (0, 1)
    assert shop.export()["event"][-2]["delta"] == 4


def test_taps_of_yesterday_that_come_today_are_not_counted(shop, door, clock):
    door.tap(1)
    clock.set("2026-11-22 04:00:30")
    assert door.send_taps(new_tap(5, ago_s=31), new_tap(2, ago_s=30)).body["count"] == 2
    assert day_of(shop)["not_counted"] == 0
    assert day_of(shop, "2026-11-21")["not_counted"] == 1


def test_a_counter_empties_at_the_hour_the_owner_chose(shop, door, clock):
    shop.owner_post("", day_starts=12)
    door.tap(7)
    clock.set("2026-11-22 11:59:59")
    assert door.get()["count"] == 7
    clock.advance(seconds=1)
    assert door.get()["count"] == 0


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        (LA, "2026-03-07", 23),
        (LA, "2026-10-31", 25),
        (BERLIN, "2026-03-28", 23),
        (BERLIN, "2026-10-24", 25),
        ("Pacific/Auckland", "2026-04-04", 25),
        ("Asia/Kolkata", "2026-06-01", 24),
    ],
)
def test_a_counter_empties_by_local_time_in_summer_and_winter(client, clock, timezone, day, hours):
    clock.set(f"{day} 04:00", timezone)
    place, door = in_zone(client, timezone)
    door.tap(7)
    clock.advance(hours=hours, seconds=-1)
    assert door.get()["count"] == 7
    clock.advance(seconds=1)
    assert (door.get()["count"], door.tap(1)) == (0, 1)
    over = day_of(place, day)
    begins, ends = (datetime.fromisoformat(over[name]) for name in ("begins", "ends"))
    assert ends.timestamp() - begins.timestamp() == hours * 3600
    assert [(begins.hour, begins.minute), (ends.hour, ends.minute)] == [(4, 0), (4, 0)]


# ----- today


def test_a_day_on_which_nothing_happened(shop):
    day = day_of(shop)
    assert (day["day"], day["count"], day["start"], day["capacity"]) == ("2026-11-21", 0, 0, 10)
    assert (day["begins"], day["ends"]) == ("2026-11-21T04:00:00+00:00", "2026-11-22T04:00:00+00:00")
    assert day["until"] == "2026-11-21T10:00:00+00:00"
    assert (day["points"], day["peak"], day["doors"], day["recounts"]) == ([], None, [], [])
    assert (day["not_counted"], day["top"], day["bottom"]) == (0, 10, 0)


def test_the_curve_has_a_point_for_each_minute_in_which_something_changed(shop, door, clock):
    door.tap(1)
    clock.advance(seconds=20)
    door.tap(1)
    clock.advance(seconds=20)
    door.tap(1)
    clock.set("2026-11-21 10:07:30")
    door.tap(-1)
    clock.set("2026-11-21 16:00")
    door.tap(5, 6)
    door.recount(4)
    day = day_of(shop)
    assert points(day) == [("10:00", 3), ("10:07", 2), ("16:00", 4)]
    assert [point["x"] for point in day["points"]] == pytest.approx([0.25, 0.2552, 0.5], abs=0.001)
    assert (day["count"], day["until"][11:16]) == (4, "16:00")


def test_late_taps_are_shown_when_they_were_made(shop, door, clock):
    door.tap(1)
    clock.set("2026-11-21 11:00")
    door.tap(3)
    clock.set("2026-11-21 12:00")
    door.tap(2, ago_s=90 * 60)
    assert points(day_of(shop)) == [("10:00", 1), ("10:30", 3), ("11:00", 6)]


def test_the_peak_and_when_it_was_reached_first(shop, door, clock):
    for when, delta in (("10:00", 5), ("10:30", 8), ("11:00", -6), ("12:00", 6), ("13:00", -13)):
        clock.set(f"2026-11-21 {when}")
        door.tap(delta)
    day = day_of(shop)
    assert day["peak"] == {"count": 13, "at": "2026-11-21T10:30:00+00:00"}
    assert (day["count"], day["top"], day["bottom"]) == (0, 13, 0)


def test_a_peak_within_a_minute_is_one(shop, door, clock):
    door.tap(30)
    clock.advance(seconds=10)
    door.tap(-29)
    day = day_of(shop)
    assert (points(day), day["peak"]["count"], day["top"]) == ([("10:00", 1)], 30, 30)


def test_a_day_below_zero(shop, door, clock):
    door.tap(-4)
    clock.advance(hours=1)
    door.tap(2)
    day = day_of(shop)
    assert (points(day), day["bottom"], day["count"]) == ([("10:00", -4), ("11:00", -2)], -4, -2)


def test_in_and_out_by_door(shop, door):
    back = Door(shop.client, shop.owner_post("/counters/shop/doors", name="Back").body)
    door.tap(1, 1, -1, 4)
    back.tap(3, -2, -2)
    shop.owner_post("/counters/shop/doors", name="Unused")
    assert day_of(shop)["doors"] == [{"name": "Shop", "in": 6, "out": 1}, {"name": "Back", "in": 3, "out": 4}]


def test_undone_taps_are_in_no_total(shop, door):
    one, other = new_tap(4), new_tap(-2)
    door.send_taps(new_tap(5), new_tap(-1), one, other)
    door.send_taps(new_tap(-4, undoes=one["id"]), new_tap(2, undoes=other["id"]))
    assert day_of(shop)["doors"] == [{"name": "Shop", "in": 5, "out": 1}]


def test_a_removed_door_stays_in_the_totals(shop, door):
    door.tap(3)
    shop.owner_post(f"/doors/{door.id}/remove")
    assert day_of(shop)["doors"] == [{"name": "Shop", "in": 3, "out": 0}]


def test_the_drift_at_each_recount(shop, door, clock):
    door.tap(5)
    clock.advance(hours=1)
    door.recount(3)
    clock.advance(hours=1)
    door.tap(1)
    door.recount(8)
    clock.advance(hours=1)
    door.recount(8)
    day = day_of(shop)
    assert drifts(day) == [("11:00", "Shop", 3, -2), ("12:00", "Shop", 8, 4), ("13:00", "Shop", 8, 0)]
    assert day["doors"] == [{"name": "Shop", "in": 6, "out": 0}]


def test_the_day_shows_taps_that_were_not_counted(shop, door, clock):
    clock.advance(hours=1)
    door.recount(3)
    door.tap(5, 1, ago_s=60)
    day = day_of(shop)
    assert (day["not_counted"], day["doors"], points(day)) == (2, [], [("11:00", 3)])


def test_two_counters_have_days_of_their_own(shop, door):
    shop.owner_post("/counters", name="Cellar", capacity=5)
    shop.door("Cellar", "cellar").tap(2)
    door.tap(1)
    assert points(day_of(shop)) == [("10:00", 1)]
    assert points(day_of(shop, counter="cellar")) == [("10:00", 2)]


def test_the_times_of_a_day_are_those_of_the_place(client, clock):
    place, door = in_zone(client, "Asia/Kathmandu")
    door.tap(2)
    assert points(day_of(place)) == [("15:45", 2)]
    assert day_of(place)["begins"] == "2026-11-21T04:00:00+05:45"


# ----- earlier days


def test_a_day_shows_the_count_before_it_emptied_and_at_its_end(shop, door, clock):
    door.tap(7)
    clock.set("2026-11-22 09:00")
    door.tap(2)
    clock.set("2026-11-23 09:00")
    door.tap(1)
    before = day_of(shop, "2026-11-21")
    assert (before["start"], points(before), before["count"]) == (0, [("10:00", 7)], 7)
    assert before["until"] == before["ends"]
    middle = day_of(shop, "2026-11-22")
    assert (middle["start"], points(middle), middle["count"]) == (0, [("09:00", 2)], 2)
    assert drifts(middle) == [("04:00", None, 0, -7)]
    assert middle["peak"]["count"] == 2
    assert (points(day_of(shop)), drifts(day_of(shop))) == ([("09:00", 1)], [("04:00", None, 0, -2)])


@pytest.mark.both_databases
def test_a_day_that_never_empties_begins_with_what_was_inside(shop, door, clock):
    shop.owner_post("/counters/shop", empties="never")
    door.tap(7)
    clock.set("2026-11-22 09:00")
    door.tap(-2)
    clock.set("2026-11-23 09:00")
    door.tap(4)
    seen = [day_of(shop, f"2026-11-{day}") for day in (20, 21, 22, 23)]
    assert [(day["start"], day["count"]) for day in seen] == [(0, 0), (0, 7), (7, 5), (5, 9)]
    assert seen[2]["peak"] == {"count": 7, "at": "2026-11-22T04:00:00+00:00"}
    assert [day["recounts"] for day in seen] == [[]] * 4


def test_yesterday_is_seen_before_today_has_stored_anything(shop, door, clock):
    door.tap(7)
    clock.advance(days=1)
    assert (day_of(shop)["start"], day_of(shop)["count"], day_of(shop)["points"]) == (0, 0, [])
    yesterday = day_of(shop, "2026-11-21")
    assert (yesterday["start"], yesterday["count"], points(yesterday)) == (0, 7, [("10:00", 7)])


@pytest.mark.parametrize("stored", [False, True])
def test_a_day_without_taps_is_empty(shop, door, clock, stored):
    door.tap(7)  # no door counted these people out
    clock.set("2026-11-23 09:00")
    if stored:
        door.tap(1)
    off = day_of(shop, "2026-11-22")
    assert (off["start"], off["count"], off["peak"]) == (0, 0, None)


def test_the_answer_names_earlier_and_later_days(shop, door, clock):
    url = shop.counter()["links"]["counter"]
    today = day_of(shop)
    assert (today["earlier"], today["later"]) == ("2026-11-20", None)
    assert today["links"] == {"csv": f"{url}/taps.csv"}
    yesterday = day_of(shop, today["earlier"])
    assert (yesterday["earlier"], yesterday["later"]) == ("2026-11-19", "2026-11-21")
    assert day_of(shop, yesterday["later"])["day"] == "2026-11-21"


@pytest.mark.parametrize("day", ["1970-01-01", "2026-11-22", "2026-02-28", "2024-02-29", "9998-12-31"])
def test_any_day_can_be_asked_for(shop, door, day):
    door.tap(3)
    assert day_of(shop, day)["day"] == day
    page = shop.client.get(f"{shop.counter()['links']['counter']}?day={day}", Accept="text/html")
    assert page.status == 200


@pytest.mark.parametrize(
    "day",
    ["yesterday", "2026-13-01", "2026-02-29", "21.11.2026", "11/21/2026", "%00", "2026-11-21T10:00", "-1"],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_invalid_day(shop, day, accept):
    answer = shop.client.get(f"{shop.counter()['links']['counter']}?day={day}", Accept=accept)
    assert answer.status == 400
    assert "2026-11-21" in str(answer.body)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "0001-01-02"])
@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Midway", "UTC"])
def test_the_first_and_the_last_day_of_all(client, day, timezone):
    place, _ = in_zone(client, timezone)
    url = place.counter()["links"]["counter"]
    for path in (f"{url}?day={day}", f"{url}/taps.csv?from={day}", f"{url}/taps.csv?to={day}"):
        for accept in ("application/json", "text/html"):
            assert place.client.get(path, Accept=accept).status in (200, 400)


def test_a_stranger_sees_no_day(shop, door):
    door.tap(3)
    url = shop.counter()["links"]["counter"]
    token = shop.links["manage"].rsplit("/", 1)[1]
    for other in (door.link.rsplit("/", 1)[1], token[:-1], "x"):
        for path in (url, f"{url}/taps.csv"):
            assert shop.client.get(path.replace(token, other)).status == 404


# ----- the page


def test_the_page_draws_the_day_itself_with_a_table_behind_it(app, shop, door, clock):
    shop.owner_post("/counters/shop/doors", name="Back")
    door.tap(8, 5)
    clock.advance(hours=1)
    shop.door("Back").tap(-2)
    door.recount(9)
    door.tap(1, ago_s=600)
    html = Browser(app).open(shop.counter()["links"]["counter"]).html
    assert "<svg" in html
    assert re.search(r"<title[^>]*>[^<]+</title>", html[html.index("<svg") :])
    assert re.search(r"<desc[^>]*>[^<]+</desc>", html)
    assert "style=" not in html
    behind = html[html.index("<details") :]
    cells = re.findall(r"<t[hd][^>]*>(?:<time[^>]*>)?([^<]*)", behind[behind.index("<table") :])
    rows = list(pairwise(cells))
    assert ("10:00", "13") in rows
    assert ("11:00", "9") in rows
    for words in ("Back", "13", "-2", "1 tap"):
        assert words in html


@pytest.mark.parametrize("timezone", [BERLIN, LA, "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_the_page_of_a_day_with_an_hour_more_or_less(app, client, clock, timezone):
    place, door = in_zone(client, timezone)
    for day in ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"):
        for hour in (1, 2, 3, 23):
            clock.set(f"{day} {hour:02}:30", timezone)
            door.tap(2)
        yesterday = (datetime.fromisoformat(day) - timedelta(1)).date().isoformat()
        for each in (day, yesterday):
            assert Browser(app).open(f"{place.counter()['links']['counter']}?day={each}").status == 200
            xs = [point["x"] for point in day_of(place, each)["points"]]
            assert xs == sorted(xs)
            assert [x for x in xs if not 0 <= x <= 1] == []


@pytest.mark.parametrize("hour", [0, 1, 2, 3, 23])
def test_the_page_of_a_day_that_starts_at_another_hour(app, client, clock, hour):
    clock.set("2026-10-25 12:00", BERLIN)
    place, door = in_zone(client, BERLIN)
    place.owner_post("", day_starts=hour)
    door.tap(2)
    page = Browser(app).open(place.counter()["links"]["counter"])
    assert (page.status, "<svg" in page.html) == (200, True)


@pytest.mark.parametrize("counts", [[0], [1], [-5], [100_000], [3, -100_000], [50] * 40])
def test_the_page_of_any_count(app, shop, door, counts):
    for each in counts:
        if abs(each) > 50:
            door.recount(max(each, 0))
        else:
            door.tap(each)
    page = Browser(app).open(shop.counter()["links"]["counter"])
    assert (page.status, "<svg" in page.html) == (200, True)


def test_the_date_field_leads_to_another_day(app, shop, door, clock):
    door.tap(7)
    clock.advance(days=1)
    page = Browser(app).open(shop.counter()["links"]["counter"])
    form = page.form("Show")
    form["action"] = form["action"] or page.url
    assert form["method"] == "get"
    assert ">7<" in page.send(form, day="2026-11-21").html


# ----- CSV


def test_the_taps_as_csv(shop, door, clock):
    shop.owner_post("/counters/shop", admits="deli")
    shop.customer()
    one = new_tap(1, number="A1")
    door.send_taps(one, new_tap(-2))
    clock.advance(minutes=1)
    door.recount(12)
    clock.advance(minutes=1)
    door.tap(5, ago_s=90)
    rows = rows_of(shop)
    assert list(rows[0]) == ["happened_at", "kind", "door", "delta", "recounted", "number"]
    assert [tuple(row.values()) for row in rows] == [
        ("2026-11-21T10:00:00+00:00", "tap", "Shop", "1", "", "A1"),
        ("2026-11-21T10:00:00+00:00", "tap", "Shop", "-2", "", ""),
        ("2026-11-21T10:00:30+00:00", "not-counted", "Shop", "5", "", ""),
        ("2026-11-21T10:01:00+00:00", "recount", "Shop", "13", "12", ""),
    ]


@pytest.mark.parametrize(
    ("days", "deltas"),
    [
        ("", [1, 2, 3]),
        ("?from=2026-11-22", [2, 3]),
        ("?to=2026-11-21", [1]),
        ("?from=2026-11-22&to=2026-11-22", [2]),
        ("?from=2026-11-24&to=9999-12-31", []),
        ("?from=0001-01-01&to=2000-01-01", []),
    ],
)
def test_the_taps_of_a_range_of_days(shop, door, clock, days, deltas):
    shop.owner_post("/counters/shop", empties="never")
    for n in (1, 2, 3):
        door.tap(n)
        clock.advance(days=1)
    assert [int(row["delta"]) for row in rows_of(shop, days)] == deltas


@pytest.mark.parametrize("days", ["?from=yesterday", "?to=2026-13-01", "?from=2026-11-22&to=2026-11-21"])
def test_invalid_days(shop, days):
    assert shop.client.get(shop.counter()["links"]["counter"] + f"/taps.csv{days}").status == 400


def test_a_download_of_many_taps_leaves_none_out(shop, door, clock):
    for batch in range(5):  # many at the same instant, and more than one batch
        door.tap(*[1] * 499, -1, ago_s=batch // 2)
    rows = rows_of(shop)
    assert len(rows) == 2500
    assert sum(int(row["delta"]) for row in rows) == door.get()["count"] == 5 * 498


def test_a_doors_name_is_made_harmless_for_spreadsheets(shop):
    shop.owner_post("/counters/shop/doors", name="=HYPERLINK(1)")
    shop.door("=HYPERLINK(1)").tap(1)
    assert rows_of(shop)[0]["door"] == "'=HYPERLINK(1)"


# ----- a long history doesn't slow down taps


@pytest.mark.alone
@pytest.mark.sqlite_file
def test_a_long_history_slows_down_no_tap(tmp_path, shop, door, clock):
    """The full proof, with a million taps, is in the benchmark."""

    def cost():
        taken = []
        for _ in range(30):
            began = time.perf_counter()
            door.tap(1)
            taken.append(time.perf_counter() - began)
        return min(taken)

    short, count = cost(), door.get()["count"]
    with closing(sqlite3.connect(tmp_path / "data" / "takeanumber.db")) as db:
        db.execute(
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
               INSERT INTO event (place_id, counter_id, door_id, kind, tap, delta, happened_at)
               SELECT place_id, counter_id, door_id, kind, 'old ' || i, CASE i % 2 WHEN 0 THEN 1 ELSE -1 END,
                      happened_at - 86400 * 30 + i * 20
               FROM n, (SELECT * FROM event WHERE tap IS NOT NULL LIMIT 1)"""
        )
        db.commit()
    assert cost() < 2 * short + 0.003  # summing them takes at least 0.02 s
    assert door.get()["count"] == count + 30
    began = time.perf_counter()
    day = day_of(shop, "2026-11-01")
    assert time.perf_counter() - began < 1.5
    assert sum(door["in"] for door in day["doors"]) == 86400 // 20 // 2
    export = [event["delta"] for event in shop.export()["event"] if event["kind"] in COUNTED]
    assert sum(export) == door.get()["count"]
