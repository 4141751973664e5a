"""A clock that is wrong for a while, as on a machine without a battery: nothing is lost, and it recovers."""

import json
import sqlite3
import time
from contextlib import closing

import pytest
from helpers.clock import zone_at_hour
from helpers.waiting import wait_for

from app import clock as app_clock
from app import jobs
from app.clock import DAY_S, HOUR_S
from app.core.clock_check import ClockCheck
from app.core.trusted_time import TRUSTED_AT

JUMPS = {"1 h": HOUR_S, "1 d": DAY_S + HOUR_S, "40 d": 40 * DAY_S, "10 y": 3653 * DAY_S}
JUMPS |= {f"-{name}": -seconds for name, seconds in JUMPS.items()}


class Elapsed:
    """The elapsed time, which a test advances together with the clock or without it."""

    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return self.s


@pytest.fixture
def elapsed(monkeypatch):
    elapsed = Elapsed()
    monkeypatch.setattr(app_clock, "elapsed", elapsed)
    return elapsed


class Machine:
    """A machine without a time server; `pass_time` advances the elapsed time and the clock."""

    def __init__(self, app, clock, elapsed):
        self.app, self.clock, self.elapsed = app, clock, elapsed
        self.service = app.extensions["takeanumber"]
        self.synchronized = False
        self.restart()

    def restart(self):
        self.check = ClockCheck(self.service.database, lambda _at: self.synchronized)
        object.__setattr__(self.service, "clock_check", self.check)
        self.jobs = jobs._database_jobs(self.service.database, self.service.settings, self.check)
        self.run_jobs()

    def pass_time(self, seconds):
        self.clock.at += seconds
        self.elapsed.s += seconds
        self.run_jobs()

    def jump(self, seconds):
        """Move only the clock."""
        self.clock.at += seconds
        self.run_jobs()

    def run_jobs(self):
        for job in self.jobs:
            while job.run():
                pass


@pytest.fixture
def machine(app, clock, elapsed):
    return Machine(app, clock, elapsed)


@pytest.fixture
def busy(shop, machine):
    """A place with people in line, people inside, names and a contact."""
    assert shop.owner_post("/queues/deli", asks=["name", "phone"]).status == 200
    shop.door().recount(5)
    desk = shop.desk()
    shop.customer(name="Done", phone="+4930123456")
    desk.call_next()
    shop.waiting_customers = [shop.customer(name=f"Zoë {n}") for n in range(3)]
    desk.call_next()
    desk.post("done", number="A2")
    shop.add_contacts({"name": "Contact", "phone": "+4930123457"})
    machine.pass_time(60)
    return shop


def names(place):
    return sorted(filter(None, (ticket["name"] for ticket in place.export()["ticket"])))


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("when", ["while it runs", "at a start"])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_a_clock_that_jumps_and_comes_back_loses_nothing(busy, machine, clock, jump, when, used):
    before = names(busy), busy.contact_names(), busy.waiting(), busy.door().get()["count"]
    machine.jump(jump) if when == "while it runs" else None
    if when == "at a start":
        clock.at += jump
        machine.restart()
    machine.pass_time(600)
    assert (names(busy), busy.contact_names()) == before[:2]
    new = []
    if used:
        busy.door().tap(1)
        new = [busy.customer(name="New").number]
        machine.pass_time(5)
    if when == "while it runs":
        machine.jump(-jump)
    else:
        clock.at -= jump
        machine.restart()
    machine.pass_time(5)
    assert names(busy) == sorted(before[0] + ["New"] * used)
    assert busy.contact_names() == before[1]
    if used and when == "at a start" and machine.service.database.engine.changes_elsewhere:
        return  # the clocks of other instances may have been right, so nobody is brought back into the line
    waiting = busy.waiting()
    assert set(before[2]) <= set(waiting), "somebody lost their place in line"
    assert len(waiting) == len(before[2]) + len(new) or when == "at a start"
    assert busy.door().get()["count"] in {before[3] + used, *([before[3]] if used else [])}
    assert busy.door().tap(1) >= before[3] + 1, "a tap was dropped as from before the recount"
    assert {customer.get()["state"] for customer in busy.waiting_customers[1:]} == {"waiting"}
    # A day later everything works as usual.
    machine.pass_time(DAY_S)
    assert busy.waiting() == []
    assert busy.door().get()["count"] == 0
    assert busy.door().tap(1) == 1
    assert busy.customer(name="Tomorrow").number == "A1"


@pytest.mark.parametrize("jump", [40 * DAY_S, 3653 * DAY_S], ids=["40 d", "10 y"])
def test_nothing_is_erased_by_a_clock_that_nobody_confirms(busy, machine, jump):
    before = names(busy), busy.contact_names()
    machine.jump(jump)
    for _ in range(11):
        machine.pass_time(300)
        busy.customer(name="Somebody").cancel()  # new events don't make the clock right
        busy.owner_post("/queues/deli", name="Deli")
    assert [name for name in names(busy) if name != "Somebody"] == before[0]
    assert busy.contact_names() == before[1]
    machine.jump(jump)  # an hour with a jump doesn't count
    machine.pass_time(600)
    assert busy.contact_names() == before[1]


def test_an_hour_of_running_confirms_a_clock(busy, machine):
    machine.jump(40 * DAY_S)
    for _ in range(13):
        machine.pass_time(300)
    machine.run_jobs()
    assert "Done" not in names(busy)
    assert busy.contact_names() == []
    assert busy.owner_get()["warnings"] == []


@pytest.mark.both_databases
def test_a_time_server_confirms_a_clock_at_once(busy, machine):
    machine.synchronized = True
    machine.jump(40 * DAY_S)
    assert "Done" not in names(busy)
    assert busy.owner_get()["warnings"] == []


def test_the_owner_is_told_of_a_clock_that_may_be_wrong(busy, machine):
    assert busy.owner_get()["warnings"] == []
    machine.jump(40 * DAY_S)
    (warning,) = busy.owner_get()["warnings"]
    assert "31 December 2026" in warning
    assert "21 November 2026" in warning
    page = busy.client.get(busy.links["manage"], Accept="text/html").body
    assert warning in page
    machine.jump(-40 * DAY_S)
    assert busy.owner_get()["warnings"] == []
    machine.jump(-40 * DAY_S)
    assert "12 October 2026" in busy.owner_get()["warnings"][0]


def test_a_shop_that_was_closed_for_a_month_is_only_warned(busy, machine, clock):
    clock.at += 20 * DAY_S
    machine.restart()
    assert len(busy.owner_get()["warnings"]) == 1
    assert busy.customer().number == "A1"
    for _ in range(13):
        machine.pass_time(300)
    assert busy.owner_get()["warnings"] == []
    assert busy.waiting() == ["A1"], "whoever came in this hour still waits"


def test_a_line_outlives_a_clock_that_is_set_right(busy, machine, clock):
    """A Raspberry Pi starts with yesterday evening's time, and is corrected by a time server later."""
    clock.at += DAY_S - 15 * HOUR_S
    machine.restart()
    first = busy.customer(name="Early")
    busy.door().tap(1, 1)
    machine.pass_time(900)
    machine.synchronized = True
    machine.jump(15 * HOUR_S)
    assert first.get()["state"] == "waiting"
    assert first.number in busy.waiting()
    assert [ticket["wait_s"] for ticket in busy.export()["ticket"] if "wait_s" in ticket] == []
    taken = json.loads(json.dumps(first.get()))["taken_at"]
    assert taken.startswith("2026-11-22T09:46") or taken.startswith("2026-11-22T"), taken


@pytest.mark.both_databases
def test_times_never_end_later_than_they_could(busy, machine, clock):
    machine.jump(40 * DAY_S)
    code = busy.owner_post("/staff/code").body
    busy.door().recount(3)
    machine.jump(-40 * DAY_S)
    with machine.service.database.read() as db:
        rows = db.exec_driver_sql("SELECT recounted_at FROM counter").scalars().all()
        codes = db.exec_driver_sql("SELECT ends_at FROM code").scalars().all()
    assert all(at <= clock.at for at in rows), rows
    assert all(at <= clock.at + 600 for at in codes), (codes, code)


def test_a_counter_that_was_in_the_future_empties_the_next_day(shop, clock):
    door = shop.door()
    door.tap(1, 1)
    clock.advance(days=40)
    door.tap(1)
    clock.advance(days=-40)
    assert door.get()["count"] == 3, "nobody left"
    assert door.tap(1) == 4
    clock.advance(days=1)
    assert door.get()["count"] == 0
    assert door.tap(1) == 1


def test_a_counter_that_was_in_the_future_is_empty_if_it_comes_back_the_next_day(shop, clock):
    door = shop.door()
    door.tap(1, 1)
    clock.advance(days=40)
    door.tap(1)
    clock.advance(days=-39)
    assert door.get()["count"] == 0
    assert door.tap(1) == 1


def test_a_recount_in_the_future_drops_no_tap(shop, clock):
    door = shop.door()
    for back in ({"hours": -1}, {"days": -40}):
        door.recount(4)
        clock.advance(**back)
        assert door.tap(1) == 5
        assert shop.events()[-1]["kind"] == "tap"


def test_a_time_is_confirmed_only_by_a_time_server_that_agrees(monkeypatch, tmp_path):
    marker = tmp_path / "synchronized"
    monkeypatch.setattr(app_clock, "TIMESYNC_FILE", marker)
    monkeypatch.setattr(app_clock, "_time_of_kernel", lambda: None)
    assert not app_clock.is_synchronized(time.time())
    marker.touch()
    assert app_clock.is_synchronized(time.time())
    assert not app_clock.is_synchronized(time.time() + 40 * DAY_S)
    marker.unlink()
    monkeypatch.setattr(app_clock, "_time_of_kernel", lambda: 1000.0)
    assert app_clock.is_synchronized(1500.0)
    assert not app_clock.is_synchronized(1000.0 + 2 * DAY_S)


# ----- a real server

AHEAD = """
import time
import takeanumber
from app import clock, jobs
clock.source = lambda: time.time() + {offset}
jobs.ERASE_S = 1
takeanumber.cli(["serve"])
"""


def server_ahead(start_server, offset, **settings):
    code = AHEAD.format(offset=offset)
    return start_server(code=code, **settings)


@pytest.mark.parametrize(
    "offset",
    [40 * DAY_S, *(pytest.param(each, marks=pytest.mark.soak) for each in (-40 * DAY_S, 3653 * DAY_S))],
    ids=["40 d", "-40 d", "10 y"],
)
def test_a_real_server_that_starts_with_a_wrong_clock_loses_nothing(start_server, offset):
    server = server_ahead(start_server, 0)
    shop = server.open_shop(timezone=zone_at_hour(12))
    shop.owner_post("/queues/deli", asks=["name"])
    desk = shop.desk()
    shop.take(name="Zoë")
    shop.take(name="Ben")
    desk.call_next()
    desk.post("done", number="A1")
    shop.add_contacts({"name": "Contact", "phone": "+4930123457"})
    server.stop()

    wrong = server_ahead(start_server, offset)
    shop.client = wrong
    links = {name: link.replace(f":{server.port}", f":{wrong.port}") for name, link in shop.links.items()}
    shop.links = links
    wait_for(lambda: "Nothing is erased until" in wrong.log and shop.owner_get()["warnings"])
    time.sleep(2)  # jobs run each second
    assert len(shop.owner_get()["warnings"]) == 1
    assert {ticket["name"] for ticket in shop.export()["ticket"]} == {"Zoë", "Ben"}
    assert shop.contact_names() == ["Contact"]
    wrong.stop()

    right = server_ahead(start_server, 0)
    shop.client = right
    shop.links = {name: link.replace(f":{wrong.port}", f":{right.port}") for name, link in links.items()}
    time.sleep(2)
    assert shop.waiting() == ["A2"]
    assert {ticket["name"] for ticket in shop.export()["ticket"]} == {"Zoë", "Ben"}
    with closing(sqlite3.connect(right.data / "takeanumber.db")) as db:
        (noted,) = db.execute("SELECT value FROM fact WHERE name = ?", [TRUSTED_AT]).fetchone() or ("0",)
    assert float(noted) < time.time() + DAY_S
