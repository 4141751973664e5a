"""Several instances under load, while instances and PostgreSQL are killed: nothing answered is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path

import pytest
from helpers.places import Desk, Place, new_tap
from helpers.postgres import Cluster
from helpers.server import Server
from helpers.waiting import wait_for

NUMBERS_ARE_OVER = 409


class Load:
    """Customers, servicers and doors who press through any instance, and again where they get no answer."""

    def __init__(self, servers, takers, servicers):
        self.servers = servers
        self.shop = servers[0].open_shop()
        assert self.shop.owner_post("/counters", name="Shop", capacity=1000, empties="never").status == 201
        self.door = self.shop.door().link
        self.tapped: dict[str, int] = {}  # the taps that were answered
        self.taken: list[str] = []
        self.called: dict[str, set[str]] = {}  # number -> the desks that were told that it is theirs
        self.failures: list[str] = []
        self._stop = threading.Event()
        desks = [self.shop.desk(f"Servicer {n}", f"Window {n}") for n in range(servicers)]
        self._threads = [threading.Thread(target=self._take) for _ in range(takers)]
        self._threads += [threading.Thread(target=self._serve, args=[desk]) for desk in desks]
        self._threads += [threading.Thread(target=self._tap) for _ in range(2)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failed, *_):
        try:
            if not failed:
                wait_for(lambda: self.taken and self.called and self.tapped)  # check() needs some of each
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _press(self, send):
        """Return the answer of an instance, or None if there was none."""
        try:
            answer = send(random.choice(self.servers))
        except (OSError, HTTPException):
            time.sleep(0.05)
            return None
        if answer.status == 503:
            if "error" not in answer.body or "Retry-After" not in answer.headers:
                self.failures.append(str(answer))
            time.sleep(0.1)
            return None
        return answer

    def _take(self):
        (url,) = self.shop.take_links.values()
        while not self._stop.is_set():
            answer = self._press(lambda server: server.post(url, {}))
            if answer and answer.status == 201:
                self.taken.append(answer.body["number"])
            elif answer and answer.status != NUMBERS_ARE_OVER:
                self.failures.append(str(answer))

    def _serve(self, desk):
        current = None
        while not self._stop.is_set():
            answer = self._press(partial(self._call_next, desk.link, current))
            if answer is None:
                continue
            if answer.status not in (200, 409):
                self.failures.append(str(answer))
                continue
            shown = answer.body["current"]
            current = shown and shown["number"]
            if current:
                self.called.setdefault(current, set()).add(desk.link)

    def _call_next(self, link, finished, server):
        return Desk(server, {"id": 0, "links": {"desk": link}}).post("next", finished=finished)

    def _tap(self):
        tap = new_tap()
        while not self._stop.is_set():
            answer = self._press(lambda server, tap=tap: server.post(f"{self.door}/taps", {"taps": [tap]}))
            if answer and answer.status == 200:
                self.tapped[tap["id"]] = tap["delta"]
                tap = new_tap(random.choice((1, 1, -1)))
            elif answer:
                self.failures.append(str(answer))
            time.sleep(0.05)

    def check(self, server):
        """Compare what was answered with what is stored."""
        assert self.failures == []
        shop = Place(server, {"slug": self.shop.slug, "links": self.shop.links})
        export = shop.export()
        tickets = {ticket["number"]: ticket for ticket in export["ticket"]}
        assert len(tickets) == len(export["ticket"]), "a number is there twice"
        assert len(set(self.taken)) == len(self.taken), "a number was given twice"
        assert set(self.taken) <= set(tickets), "an answered ticket was lost"
        for number, desks in self.called.items():
            assert len(desks) == 1, f"{number} was at two desks"
            assert tickets[number]["state"] in ("called", "serving", "done")
        kinds = Counter((event["ticket_id"], event["kind"]) for event in export["event"])
        for ticket in tickets.values():
            assert kinds[ticket["id"], "take"] == 1
            assert kinds[ticket["id"], "call"] == (ticket["first_called_at"] is not None)
            assert kinds[ticket["id"], "done"] == (ticket["state"] == "done")
        (queue,) = export["queue"]
        assert queue["waiting"] == sum(ticket["state"] == "waiting" for ticket in tickets.values())
        self._check_history(export)
        self._check_count(shop, export)
        assert self.taken
        assert self.called
        assert self.tapped

    def _check_history(self, export):
        """Replay the history: it must end in the state of each ticket, with one ticket at a desk."""
        states: dict[int, str] = {}
        at_desk: dict[int, int] = {}
        for event in export["event"]:
            if event["ticket_id"] is None:
                continue
            states[event["ticket_id"]] = event["state"]
            if event["kind"] == "call":
                assert event["servicer_id"] not in at_desk.values()
                at_desk[event["ticket_id"]] = event["servicer_id"]
            elif event["state"] not in ("called", "serving"):
                at_desk.pop(event["ticket_id"], None)
        assert states == {ticket["id"]: ticket["state"] for ticket in export["ticket"]}
        assert at_desk == {
            ticket["id"]: ticket["servicer_id"]
            for ticket in export["ticket"]
            if ticket["state"] in ("called", "serving")
        }

    def _check_count(self, shop, export):
        """Compare the counter with the taps: each is counted once."""
        stored = [(event["tap"], event["delta"]) for event in export["event"] if event["tap"]]
        assert len(dict(stored)) == len(stored), "a tap is there twice"
        assert self.tapped.items() <= dict(stored).items(), "an answered tap was lost"
        total = sum(delta for _, delta in stored)
        assert export["counter"][0]["inside"] == total
        assert shop.picture()["counters"][0]["count"] == max(0, total)


FILL = """INSERT INTO place (slug, name, timezone, country, manage_token, staff_token, series, day_starts,
                             wait_goal_minutes, created_at)
          SELECT 'shop-' || n, 'Shop ' || n, 'UTC', 'US', md5('m' || n), md5('s' || n), '2020-01-01', 4, 10, n
          FROM generate_series(1, {places}) AS n;
          INSERT INTO queue (place_id, slug, name, kind, prefix, asks, series, open, max_waiting,
                             shared_tablet, last_number, waiting, usual_service_s, claim_minutes,
                             retry_minutes, most_tries, public_form, restricted, created_at)
          SELECT id, 'line', 'Line', 'walk-in', 'A', '', series, 1, 500, 0, 0, 0, 300, 20, 240, 3, 0, 0,
                 created_at
          FROM place"""


@pytest.fixture
def start_instances(start_server, tmp_path):
    """Start instances on one database."""

    def start(url, count) -> list[Server]:
        return [
            start_server(
                "--threads", "96", data=tmp_path / f"instance{number}", database_url=url, places="open"
            )
            for number in range(count)
        ]

    return start


@pytest.mark.parametrize(
    ("count", "seconds", "people", "places"),
    [(2, 2, (8, 3), 100), pytest.param(4, 60, (50, 8), 10_000, marks=pytest.mark.soak)],
)
def test_no_number_is_given_twice_by_several_instances(
    start_instances, cluster, postgres_url, count, seconds, people, places
):
    cluster.execute(FILL.format(places=places), postgres_url.rpartition("/")[2])
    servers = start_instances(postgres_url, count)
    with Load(servers, *people) as load:
        time.sleep(seconds)
    load.check(servers[-1])


@pytest.mark.parametrize(
    ("kills", "pause", "people"), [(1, 1, (8, 3)), pytest.param(12, 10, (50, 8), marks=pytest.mark.soak)]
)
def test_nothing_answered_is_lost_when_an_instance_is_killed(
    start_instances, postgres_url, kills, pause, people
):
    servers = start_instances(postgres_url, 2 if kills == 1 else 4)
    with Load(servers, *people) as load:
        for _ in range(kills):
            time.sleep(pause / 2)
            victim = random.choice(servers)
            victim.kill()
            time.sleep(pause / 2)
            victim.start()
    load.check(servers[0])


@pytest.mark.parametrize(
    ("restarts", "pause", "people"), [(1, 1, (8, 3)), pytest.param(10, 2, (50, 8), marks=pytest.mark.soak)]
)
def test_nothing_answered_is_lost_when_postgresql_crashes(start_instances, restarts, pause, people):
    cluster = Cluster()
    try:
        servers = start_instances(cluster.create_database(), 2 if restarts == 1 else 4)
        with Load(servers, *people) as load:
            for _ in range(restarts):
                time.sleep(pause)
                cluster.restart()
                time.sleep(pause)
                before = len(load.taken)
                deadline = time.monotonic() + 30
                while len(load.taken) == before:
                    assert time.monotonic() < deadline, "the service doesn't go on"
                    time.sleep(0.1)
        load.check(servers[0])
        for server in servers:
            assert server.process.poll() is None
            assert Place(server, {"slug": load.shop.slug, "links": load.shop.links}).picture()["queues"]
            assert "Traceback" not in server.log
            server.kill()
    finally:
        cluster.close()


@pytest.mark.soak
def test_nothing_answered_is_lost_by_a_planned_failover(start_instances):
    primary = Cluster()
    standby = Cluster(primary)
    try:
        name = primary.create_database().rpartition("/")[2]
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        servers = start_instances(f"postgresql://postgres@{hosts}/{name}", 2)
        with Load(servers, 8, 3) as load:
            time.sleep(3)
            primary.stop()  # it sends everything to the standby first
            (url,) = load.shop.take_links.values()
            refused = servers[0].post(url, {})
            assert (refused.status, refused.body["error"][-1]) == (503, ".")
            assert int(refused.headers["Retry-After"]) > 0
            before = len(load.taken)
            standby.promote()
            promoted_at = time.monotonic()
            while len(load.taken) == before:
                assert time.monotonic() < promoted_at + 30, "the service doesn't go on"
                time.sleep(0.1)
            time.sleep(3)
        load.check(servers[0])
        for server in servers:
            server.kill()
    finally:
        standby.close()
        primary.close()


@pytest.fixture
def frozen(cluster):
    """Return a function that lets PostgreSQL answer nothing more, while its connections stay open."""
    processes = []

    def freeze():
        (main, *_) = (cluster.data / "postmaster.pid").read_text().split()
        processes.extend(map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()))
        for process in processes:
            os.kill(process, signal.SIGSTOP)

    yield freeze
    for process in processes:
        os.kill(process, signal.SIGCONT)


@pytest.mark.soak
def test_an_instance_ends_although_postgresql_does_not_answer(start_instances, postgres_url, frozen):
    (server,) = start_instances(postgres_url, 1)
    over = threading.Event()

    def take(place):
        while not over.is_set():
            with suppress(OSError, HTTPException):
                place.take()

    for place in [server.open_shop(name=f"Deli {number}") for number in range(6)]:
        threading.Thread(target=take, args=(place,), daemon=True).start()
    time.sleep(1)
    frozen()
    time.sleep(2)
    over.set()
    assert server.stop(within=25) == 0
