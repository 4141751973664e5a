"""Statistics as page, JSON and CSV: they agree with each other and with the tickets."""

import csv
import io
import math
import random
import re
import statistics
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from helpers.client import AppClient
from helpers.clock import Clock
from helpers.places import Place, new_tap, open_deli
from helpers.postgres import copy_to
from helpers.soak import soak_after

import takeanumber
from app import clock as app_clock
from app.core import ticket_counts
from app.core.kept_counts import KeptCounts
from app.storage.sql import insert, run

BERLIN = "Europe/Berlin"
MEASURES = ("wait", "service", "total")
of_the_week = pytest.mark.xdist_group("week")  # in one process, so that the week is simulated once


def stats(place, query=""):
    """Return the statistics as JSON; of today without a query."""
    answer = place.client.get(place.owner_get()["links"]["stats"] + query)
    assert answer.status == 200, answer.body
    return answer.body


def stats_page(place, query=""):
    answer = place.client.get(place.owner_get()["links"]["stats"] + query, Accept="text/html")
    assert answer.status == 200, answer.body
    return answer.body


def downloaded(place, name, query=""):
    answer = place.client.get(stats(place)["links"][name] + query)
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.body, newline="")))


def serves(place, desk, clock, wait, service, queue="deli", start=0):
    """Serve one customer who waits and is served for these numbers of seconds."""
    customer = place.customer(queue)
    clock.advance(seconds=wait)
    assert desk.call_next()["number"] == customer.number
    clock.advance(seconds=service)
    desk.post("done", number=customer.number)


# ----- the figures


def test_the_first_day_of_the_first_take_a_number(place, ana, clock):
    """The log of 17 customers: wait, service and total averaged 120.1, 182.5 and 302.5 seconds."""
    waits = [120 + 7 * n for n in range(-8, 8)] + [177]
    services = [182 + 11 * n for n in range(-8, 8)] + [278]
    assert (sum(waits), sum(services)) == (2041, 3102)
    for wait, service in zip(waits, services, strict=True):
        serves(place, ana, clock, wait, service)
    shown = stats(place)
    assert (shown["joined"], shown["served"]) == (17, 17)
    averages = [shown[name]["average"] for name in ("wait", "service", "total")]
    assert averages == [120.1, 182.5, 302.5]
    page = stats_page(place)
    for seconds, words in zip(averages, ("2 min 0 s", "3 min 2 s", "5 min 2 s"), strict=True):
        assert f'<data value="{seconds}" title="{seconds} s">{words}</data>' in page
    today = place.owner_get()["queues"][0]["today"]
    assert [round(today[name], 1) for name in ("wait", "service", "total")] == averages


def a_busy_week(place, clock, seed=6, days=3):
    """Simulate busy days with two queues, three desks, customers who leave, and no-shows."""
    dice = random.Random(seed)
    place.owner_post("/queues", name="Bakery")
    for day in range(days):
        clock.set(f"2026-11-{19 + day} 09:00", BERLIN)
        desks = [place.desk(f"Servicer {day} {n}", f"Window {n}") for n in range(3)]
        opened, inside = clock.at, []
        for step in range(80):
            clock.at = opened + 60 * step + dice.randrange(60)
            inside.append(place.customer(dice.choice(["deli", "deli", "bakery"])))
            if dice.random() < 0.1:
                dice.choice(inside).cancel()
            for desk in dice.sample(desks, 2):
                clock.advance(seconds=0.25)
                if dice.random() < 0.5:
                    number = desk.current_number()
                    if number and dice.random() < 0.2:
                        desk.post("no-show", number=number)
                    elif number and dice.random() < 0.3:
                        desk.post("start", number=number)
                        continue
                    desk.call_next()
    return place


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """Such a week, simulated once: the path of its database, the place's links, and its end."""
    clock, data = Clock(), tmp_path_factory.mktemp("week") / "data"
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(app_clock, "source", clock)
        app = takeanumber.create_app(data=data, takes_per_minute=10**9)
        place = a_busy_week(open_deli(AppClient(app), timezone=BERLIN), clock)
        app.extensions["takeanumber"].live.close()
        app.extensions["takeanumber"].database.close()
    return data, {"slug": place.slug, "links": place.links}, clock.at


@pytest.fixture
def lively(start, clock, week, database_settings):
    """That week, for tests that only read."""
    data, opened, clock.at = week
    if database_settings:
        copy_to(database_settings["database_url"], data)
    return Place(AppClient(start(data=data)), opened)


def measured(cells):
    """Compute from a column of the CSV, independently, what the page shows of a measure."""
    exact = sorted(float(cell) for cell in cells)
    if not exact:
        return None
    whole = [math.floor(each + 0.5) for each in exact]
    return {
        "average": pytest.approx(statistics.fmean(exact), abs=0.06),
        "median": statistics.median(whole),
        "p90": next(each for each in whole if sum(other <= each for other in whole) >= 0.9 * len(whole)),
        "longest": whole[-1],
        "many": len(whole),
    }


def agrees(shown, rows):
    """Return whether counts and measures agree with the rows of the CSV."""
    states = Counter(row["state"] for row in rows)
    served = [row for row in rows if row["state"] == "done"]
    assert [shown[name] for name in ("joined", "served", "left", "not_here", "expired", "open")] == [
        len(rows),
        states["done"],
        states["cancelled"],
        states["no_show"],
        states["expired"],
        states["waiting"] + states["called"] + states["serving"],
    ]
    for name in ("wait", "service", "total"):
        measure_agrees(shown[name], [row[f"{name}_s"] for row in served])


def measure_agrees(shown, cells):
    """Return whether everything that is shown of a measure agrees with the cells of the CSV."""
    expected = measured(cells)
    if not cells:
        assert shown is None
        return
    assert {key: value for key, value in shown.items() if key != "bins"} == {
        key: value for key, value in expected.items() if key in shown
    }
    for one in shown.get("bins", ()):
        assert one["many"] == sum(
            one["from"] <= math.floor(float(cell) + 0.5) < (one["to"] or math.inf) for cell in cells
        )


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


QUERIES = ["?from=2026-11-19&to=2026-11-21", "", "?from=2026-11-20", "?from=2026-11-19&to=2026-11-19"]


@pytest.mark.both_databases
@of_the_week
@pytest.mark.parametrize("query", soak_after(1, QUERIES))
def test_every_figure_is_that_of_the_csv(lively, query):
    shown = stats(lively, query)
    rows = downloaded(lively, "tickets_csv", f"?from={shown['from']}&to={shown['to']}")
    agrees(shown, rows)
    assert all({"median", "p90", "average", "longest", "bins"} <= shown[name].keys() for name in MEASURES)
    assert all("bins" in queue["wait"] for queue in shown["queues"])
    for queue in shown["queues"]:
        agrees(queue, [row for row in rows if row["queue_name"] == queue["name"]])
    for one in shown["servicers"]:
        mine = [row for row in rows if row["servicer"] == one["name"]]
        done = [row["service_s"] for row in mine if row["state"] == "done"]
        assert one["served"] == len(done)
        assert one["not_here"] == sum(row["state"] == "no_show" for row in mine)
        measure_agrees(one["service"], done)
    served = [row for row in rows if row["state"] == "done"]
    assert shown["within_goal"] == sum(float(row["wait_s"]) < 599.5 for row in served)
    longest = max(served, key=lambda row: float(row["wait_s"]))
    assert shown["longest"]["wait_s"] == float(longest["wait_s"])
    assert (shown["longest"]["number"], shown["longest"]["taken_at"]) == (
        longest["number"],
        longest["taken_at"],
    )


@of_the_week
@pytest.mark.parametrize("queue", ["deli", "bakery"])
def test_the_statistics_of_one_queue_count_its_tickets_only(lively, queue):
    query = "?from=2026-11-19&to=2026-11-21"
    rows = downloaded(lively, "tickets_csv", query)
    shown = stats(lively, f"{query}&queue={queue}")
    agrees(shown, [row for row in rows if row["queue_name"].lower() == queue])
    assert [each["slug"] for each in shown["queues"]] == [queue]
    assert shown["desks"] is shown["said"] is shown["idle_s"] is None


@of_the_week
@pytest.mark.parametrize("query", QUERIES)
def test_the_line_by_hour_is_that_of_the_csv(lively, clock, query):
    shown = stats(lively, query)
    rows = downloaded(lively, "tickets_csv", f"?from={shown['from']}&to={shown['to']}")
    joined, line, dates = Counter(), Counter(), set()
    for row in rows:
        began = datetime.fromisoformat(row["taken_at"])
        went = seconds(row["first_called_at"] or row["ended_at"]) if row["first_called_at"] else None
        went = went or (seconds(row["ended_at"]) if row["ended_at"] else clock.at)
        if row["state"] == "expired":
            went = datetime.fromisoformat(f"{row['series']}T04:00+01:00").timestamp() + 86400
        joined[began.weekday(), began.hour] += 1
        dates.add(began.date())
        hour = began.replace(minute=0, second=0)
        while hour.timestamp() < went:
            end = hour + timedelta(hours=1)
            line[hour.weekday(), hour.hour] += min(went, end.timestamp()) - max(
                seconds(row["taken_at"]), hour.timestamp()
            )
            hour = end
    by_hour = {(each["weekday"], each["hour"]): each for each in shown["hours"]}
    assert {key: each["joined"] for key, each in by_hour.items() if each["joined"]} == joined
    now = datetime.fromtimestamp(clock.at, ZoneInfo(BERLIN))
    for (weekday, hour), each in by_hour.items():
        if (weekday, hour) != (now.weekday(), now.hour):  # this hour is not over
            days = len([day for day in dates if day.weekday() == weekday])
            in_hour = line[(weekday + (hour < 4)) % 7, hour]  # hours after midnight belong to the day before
            assert each["line"] == pytest.approx(in_hour / 3600 / days, abs=0.02)


@pytest.mark.both_databases
@of_the_week
def test_how_long_desks_stood_idle_is_that_of_the_csv(lively):
    query = "?from=2026-11-19&to=2026-11-21"
    shown, total = stats(lively, query), 0.0
    rows = downloaded(lively, "tickets_csv", query)
    for one in shown["servicers"]:
        day = 19 + int(one["name"].split()[1])
        free, idle = seconds(f"2026-11-{day}T09:00:00+01:00"), 0.0  # when they pressed "Start serving"
        mine = [row for row in rows if row["servicer"] == one["name"]]
        for row in sorted(mine, key=lambda row: row["called_at"]):
            called = seconds(row["called_at"])
            idle += max(0, called - max(free, seconds(row["taken_at"])))
            free = seconds(row["ended_at"]) if row["ended_at"] else math.inf
        assert one["idle_s"] == pytest.approx(idle, abs=len(mine) + 1)  # the CSV's instants are whole seconds
        total += one["idle_s"]
    assert shown["idle_s"] == pytest.approx(total)
    assert total > 200


def flat(content, name=""):
    if isinstance(content, dict | list):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        return {key: leaf for part, each in pairs for key, leaf in flat(each, f"{name}.{part}").items()}
    return {name[1:]: "" if content is None else str(content)}


@of_the_week
def test_all_that_is_shown_as_csv(lively):
    query = "?from=2026-11-19&to=2026-11-21"
    shown = stats(lively, query)
    table = {row["figure"]: row["value"] for row in downloaded(lively, "csv", query)}
    assert table == {
        name: value for name, value in flat(shown).items() if not re.match("links|counters", name)
    }
    assert len(table) > 300


@of_the_week
@pytest.mark.parametrize("query", ["?from=2026-11-19&to=2026-11-21", "", "?queue=bakery"])
def test_every_time_on_the_page_is_in_the_json(lively, query):
    shown = {value for value in flat(stats(lively, query)).values() if re.fullmatch(r"[\d.]+", value)}
    page = stats_page(lively, query)
    on_page = re.findall(r'<data value="([^"]+)"', page)
    assert len(on_page) > 20
    assert set(on_page) <= shown
    for word in ("Joined", "Served", "Left", "No-show", "Busiest times", "By queue", "By person"):
        assert word in page


# ----- comparison


def test_today_is_compared_with_the_same_weekday_last_week(place, ana, clock):
    clock.set("2026-11-14 10:00")
    for wait in (60, 120):
        serves(place, ana, clock, wait, 60)
    clock.set("2026-11-14 15:00")
    serves(place, ana, clock, 600, 60)
    clock.set("2026-11-21 10:00")
    serves(place, ana, clock, 30, 60)
    shown = stats(place)
    before = shown["before"]
    assert (shown["joined"], before["from"], before["to"]) == (1, "2026-11-14", "2026-11-14")
    assert (before["joined"], before["wait"]["longest"]) == (1, 60)  # the others came later in the day
    clock.set("2026-11-21 20:00")
    assert stats(place)["before"]["joined"] == 3
    yesterday = stats(place, "?from=2026-11-20&to=2026-11-20")["before"]
    assert (yesterday["from"], yesterday["joined"]) == ("2026-11-13", 0)


# ----- desks


def rush(place, desk, clock):
    """Let a customer come every five minutes, from 11 to 12 every three; a desk takes four for each."""
    clock.set("2026-11-21 09:00")
    begins, free, waiting = clock.at, 0, 0
    arrivals = [*range(0, 120, 5), *range(120, 180, 3), *range(180, 360, 5)]
    for minute in range(360 + 1):
        clock.at = begins + 60 * minute
        if minute in arrivals:
            place.customer()
            waiting += 1
        if minute >= free and (number := desk.current_number()):
            desk.post("done", number=number)
        if minute >= free and waiting:
            desk.call_next()
            free, waiting = minute + 4, waiting - 1


def test_more_desks_are_suggested_if_the_goal_was_not_kept(place, ana, clock):
    rush(place, ana, clock)
    assert place.owner_post("/stats", wait_goal_minutes=8).status == 200
    shown = stats(place)
    desks = shown["desks"]
    assert shown["wait"]["p90"] == desks["waited_s"] > 8 * 60
    assert (desks["more"], desks["from"][11:16], desks["to"][11:16]) == (1, "11:00", "12:00")
    assert desks["would_wait_s"] < 8 * 60
    said = "With one more desk from 11 to 12, 9 of 10 would have waited under a minute"
    assert shown["said"] == f"{said} (they waited up to {desks['waited_s'] // 60 + 1:.0f} minutes)."
    assert shown["said"] in stats_page(place)

    assert place.owner_post("/stats", wait_goal_minutes=60).status == 200
    shown = stats(place)
    assert "more" not in shown["desks"]
    assert shown["said"].endswith("no more desks were needed.")
    assert shown["within_goal"] == shown["served"]


def test_enough_desks_that_called_slowly(place, ana, clock):
    for _ in range(5):
        serves(place, ana, clock, 1200, 60)
    shown = stats(place)
    assert (shown["desks"]["more"], shown["desks"]["would_wait_s"], shown["idle_s"]) == (0, 0, 6000)
    assert shown["said"].startswith("The desks were enough: had each called the next customer at once")
    assert "were idle for" in stats_page(place)


def test_five_more_desks_would_not_keep_the_goal(place, ana, clock):
    assert place.owner_post("/stats", wait_goal_minutes=1).status == 200
    for _ in range(40):
        place.customer()
    for _ in range(40):
        ana.call_next()
        clock.advance(minutes=5)
    ana.post("done", number=ana.current_number())
    shown = stats(place)
    assert shown["desks"]["more"] is None
    assert shown["said"].startswith("Even with 5 more desks all the time")


@pytest.mark.parametrize("who", ["the servicer", "the owner"])
def test_a_pause_is_not_idle(place, ana, clock, who):
    def duty(on):
        if who == "the servicer":
            return ana.post("resume" if on else "pause")
        return place.owner_post(f"/servicers/{ana.id}", on_duty=on)

    serves(place, ana, clock, 0, 60)
    place.customer()
    clock.advance(minutes=2)
    assert duty(False).status == 200
    clock.advance(minutes=30)
    assert duty(True).status == 200
    clock.advance(minutes=3)
    ana.call_next()
    assert (
        stats(place)["idle_s"] == 180
    )  # since the end of the pause; nobody knows whether the desk was free before
    assert [kind for kind in place.event_kinds() if kind in ("pause", "resume")] == ["pause", "resume"]


def test_a_desk_left_on_duty_is_not_idle_all_night(place, ana, clock):
    serves(place, ana, clock, 0, 60)
    clock.set("2026-11-22 09:00")
    place.customer()
    clock.advance(minutes=30)
    ana.call_next()
    assert stats(place)["idle_s"] == 0


# ----- days


def test_a_day_without_tickets(place):
    shown = stats(place)
    assert (shown["joined"], shown["wait"], shown["longest"], shown["hours"]) == (0, None, None, [])
    assert "No one took a number on this day." in stats_page(place)
    assert stats(place, "?from=2030-01-01&to=2031-01-01")["joined"] == 0


def test_a_day_without_desks(place, clock):
    place.customer()
    clock.set("2026-11-22 09:00")  # and nothing was written since
    shown = stats(place, "?from=2026-11-21&to=2026-11-21")
    assert (shown["joined"], shown["expired"], shown["open"], shown["desks"]) == (1, 1, 0, None)
    assert shown["said"] == "No one was served at a desk."
    assert sum(each["line"] for each in shown["hours"]) == 18  # from 10:00 until the day was over
    assert "Never called" in stats_page(place, "?from=2026-11-21&to=2026-11-21")
    place.customer()
    assert stats(place, "?from=2026-11-21&to=2026-11-21") == shown | {"goal_minutes": 10}


def test_a_ticket_over_midnight_belongs_to_the_day_it_was_taken(place, ana, clock):
    clock.set("2026-11-20 23:50")
    serves(place, ana, clock, 1200, 60)
    clock.set("2026-11-21 12:00")
    assert stats(place, "?from=2026-11-21&to=2026-11-21")["joined"] == 0
    shown = stats(place, "?from=2026-11-20&to=2026-11-20")
    assert (shown["served"], shown["wait"]["average"]) == (1, 1200)
    assert [(each["weekday"], each["hour"], each["line"]) for each in shown["hours"]] == [
        (4, 23, 0.17),
        (4, 0, 0.17),
    ]


@pytest.mark.parametrize(
    ("when", "day", "wait"),
    [("2026-03-29 01:50", "2026-03-28", 1200), ("2026-10-25 01:50", "2026-10-24", 5400)],
)
def test_a_ticket_over_the_change_of_the_clock(client, clock, when, day, wait):
    clock.set("2026-03-01 12:00")
    place = open_deli(client, timezone=BERLIN)
    ana = place.desk()
    clock.set(when, BERLIN)
    serves(place, ana, clock, wait, 60)
    clock.advance(days=1)
    shown = stats(place, f"?from={day}&to={day}")
    assert (shown["wait"]["average"], shown["longest"]["wait_s"]) == (wait, wait)
    assert sum(each["line"] for each in shown["hours"]) == pytest.approx(wait / 3600, abs=0.02)
    assert stats(place, "?from=2026-01-01&to=2026-12-31")["served"] == 1
    assert stats_page(place, f"?from={day}&to={day}")


@pytest.mark.parametrize("query", ["?from=0001-01-01&to=9999-12-31", "?from=2016-11-21&to=2026-11-21"])
def test_ten_years_and_more(place, ana, clock, query):
    serves(place, ana, clock, 60, 60)
    assert stats(place, query)["served"] == 1
    assert "Statistics" in stats_page(place, query)


@pytest.mark.parametrize(
    "query", ["?from=2026-11-22&to=2026-11-21", "?from=yesterday", "?to=2026-13-01", "?to=%00", "?from=1e9"]
)
def test_invalid_days_are_refused(place, query):
    for url in (stats(place)["links"]["stats"], stats(place)["links"]["csv"]):
        assert place.client.get(url + query).status == 400


def test_a_missing_queue(place):
    assert place.client.get(stats(place)["links"]["stats"] + "?queue=bakery").status == 404


def test_the_numbers_are_the_owners(place):
    url = stats(place)["links"]["stats"].replace(place.links["manage"].split("/")[-1], place.slug)
    assert [place.client.get(url).status, place.client.get(url + ".csv").status] == [404, 404]
    assert place.client.post(url, {"wait_goal_minutes": 5}).status == 404


# ----- the goal


def test_the_owner_sets_a_goal(place):
    assert stats(place)["goal_minutes"] == place.owner_get()["wait_goal_minutes"] == 10
    answer = place.owner_post("/stats", wait_goal_minutes=7)
    assert (answer.status, answer.body["goal_minutes"]) == (200, 7)
    assert place.owner_post(wait_goal_minutes=8).status == 200
    assert place.owner_get()["wait_goal_minutes"] == 8


@pytest.mark.parametrize("goal", [0, -1, 1441, 1.5, "5", None, True, [5]])
def test_an_invalid_goal(place, goal):
    assert place.owner_post("/stats", wait_goal_minutes=goal).status == 400
    assert stats(place)["goal_minutes"] == 10


def test_a_press_on_save_comes_back_to_the_same_days(place):
    client, url = place.client.flask_client.application.test_client(), stats(place)["links"]["stats"]
    query = "?from=2026-11-19&to=2026-11-20"
    page = client.get(url + query, headers={"Accept": "text/html"}).text
    action = re.search(r'<form method="post" action="([^"]+)"', page)[1].replace("&amp;", "&")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    answer = client.post(action, data={"csrf_token": token, "wait_goal_minutes": "12"})
    assert (answer.status_code, answer.headers["Location"].split("/")[-1]) == (303, f"stats{query}")
    page = client.get(answer.headers["Location"], headers={"Accept": "text/html"}).text
    assert "Saved." in page
    assert "9 of 10 wait under 12 minutes" in page or 'value="12"' in page


def test_the_longest_wait_though_nobody_waited_at_all(place, clock):
    place.customer().cancel()
    clock.advance(days=1)
    door = place.owner_post("/counters", name="Shop", capacity=3, admits="deli").body["links"]["door"]
    number = place.customer().number
    place.client.post(f"{door}/taps", {"taps": [new_tap(1, number=number)]})
    assert stats(place, "?from=2026-11-21")["longest"]["wait_s"] == 0


# ----- days that were counted before


@pytest.fixture
def counted_days(monkeypatch):
    """Keep what was counted of few tickets, too; return the first of the days that are counted."""
    monkeypatch.setattr(ticket_counts, "MIN_TICKETS", 1)
    monkeypatch.setattr(ticket_counts, "kept_counts", KeptCounts())
    days, count_part = [], ticket_counts._count_part

    def count(db, place, part, *args):
        days.append(part.first)
        return count_part(db, place, part, *args)

    monkeypatch.setattr(ticket_counts, "_count_part", count)
    return days


def correct_state(db, number):
    """Change a ticket that has ended, which no page does, and write the event."""
    row = run(
        db, "UPDATE ticket SET state = 'no_show' WHERE number = :number RETURNING *", number=number
    ).one()
    insert(db, "event", place_id=row.place_id, ticket_id=row.id, kind="no-show", happened_at=row.ended_at)


@pytest.mark.both_databases
def test_days_are_counted_once_and_again_after_a_change(place, ana, clock, counted_days):
    clock.set("2026-11-19 10:00")
    for wait in (60, 120):
        serves(place, ana, clock, wait, 300)
    late = place.customer()
    ana.call_next()
    clock.set("2026-11-21 12:00")
    both = "?from=2026-11-18&to=2026-11-21"

    def look():
        counted_days.clear()
        figures = stats(place, both)
        return [figures[name] for name in ("joined", "served", "open")], list(counted_days)

    place.customer()
    assert look() == ([4, 2, 2], ["2026-11-19", "2026-11-21"])
    assert look() == ([4, 2, 2], ["2026-11-19", "2026-11-21"])  # one is still being served: nothing is kept
    ana.post("done", number=late.number)
    assert look() == ([4, 3, 1], ["2026-11-19", "2026-11-21"])
    assert look() == ([4, 3, 1], ["2026-11-21"])
    place.customer()
    assert look() == ([5, 3, 2], ["2026-11-21"])
    database = place.client.flask_client.application.extensions["takeanumber"].database
    database.write(correct_state, "A3")
    assert look() == ([5, 2, 2], ["2026-11-19", "2026-11-21"])
    assert look() == ([5, 2, 2], ["2026-11-21"])
    place.owner_post("/stats", wait_goal_minutes=1)
    assert look() == ([5, 2, 2], ["2026-11-19", "2026-11-21"])
    assert stats(place, both)["within_goal"] == 0


@pytest.mark.both_databases
def test_the_year_of_a_large_place_is_counted_ahead(place, ana, clock, counted_days, monkeypatch):
    database = place.client.flask_client.application.extensions["takeanumber"].database
    clock.set("2026-08-19 10:00")
    serves(place, ana, clock, 60, 300)
    clock.set("2026-11-20 10:00")
    serves(place, ana, clock, 60, 300)
    clock.set("2026-11-21 10:00")
    years = ticket_counts.YearsOfLargePlaces()
    years.count(database, clock.at)
    assert counted_days == []
    monkeypatch.setattr(ticket_counts, "LARGE_YEAR", 2)
    ticket_counts.YearsOfLargePlaces().count(database, clock.at)
    assert counted_days == ["2026-08-19", "2026-10-01"]
    counted_days.clear()
    place.customer()
    assert stats(place, "?from=2025-11-22&to=2026-11-21")["joined"] == 3
    assert counted_days == ["2026-11-21"]


# ----- a page that takes long


@pytest.fixture
def arriving_page(place, ana, clock, counted_days):
    """The parts of the page as they are sent, and the list of the days that were counted so far."""
    serves(place, ana, clock, 60, 300)
    answer = place.client.flask_client.get(
        place.owner_get()["links"]["stats"], headers={"Accept": "text/html"}
    )
    counted_days.clear()
    return answer.iter_encoded(), counted_days


def test_the_beginning_of_the_page_does_not_wait_for_the_figures(arriving_page):
    parts, counted_days = arriving_page
    beginning = next(parts).decode()
    assert "<h1>Statistics</h1>" in beginning
    assert "Counting…" in beginning
    assert counted_days == []
    rest = next(parts).decode()
    assert counted_days
    assert "Average wait" in rest
    assert rest.endswith("</html>")


@pytest.mark.sqlite_file
def test_figures_that_cannot_be_read_are_explained_on_the_page(place, arriving_page, caplog):
    parts, _ = arriving_page
    next(parts)
    database = place.client.flask_client.application.extensions["takeanumber"].database
    database.write(lambda db: run(db, "ALTER TABLE step RENAME TO lost"))
    rest = next(parts).decode()
    assert "Please try again soon." in rest
    assert "Traceback" not in rest
    assert "Failed at" in caplog.text
