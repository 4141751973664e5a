"""Answered requests survive a killed process, a full disk and a locked database."""

import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPException

import pytest
from helpers.soak import soak_after
from helpers.waiting import wait_for

TAKERS, SERVICERS = 8, 4


class Storm:
    """Customers and servicers who press without a pause until the server is killed; keeps each response."""

    def __init__(self, shop):
        self.shop = shop
        self.desks = {f"Servicer {n}": shop.desk(f"Servicer {n}", f"Window {n}") for n in range(SERVICERS)}
        self.taken = {}  # the customer's link by number
        self.called = {}  # all servicers who were told that they serve a number

    def rage_until_killed(self, seconds):
        """Press for this long, and until somebody was answered, then kill the server in the middle."""
        taken, called = len(self.taken), len(self.called)
        people = [threading.Thread(target=self._take) for _ in range(TAKERS)]
        people += [threading.Thread(target=self._call, args=item) for item in self.desks.items()]
        for person in people:
            person.start()
        time.sleep(seconds)
        wait_for(lambda: len(self.taken) > taken and len(self.called) > called)
        self.shop.client.kill()
        for person in people:
            person.join()

    def _take(self):
        for answer in self._answers(self.shop.take):
            assert answer.body["number"] not in self.taken, "a number was given twice"
            self.taken[answer.body["number"]] = answer.body["links"]["ticket"]

    def _call(self, name, desk):
        asked = {"finished": desk.current_number()}
        for answer in self._answers(lambda: desk.post("next", **asked)):
            current = answer.body["current"]
            asked["finished"] = current and current["number"]
            if current:
                self.called.setdefault(current["number"], []).append(name)

    def _answers(self, press):
        try:
            while True:
                answer = press()
                assert answer.status in (200, 201), answer
                yield answer
        except (OSError, HTTPException):
            return  # the server was killed: there was no response

    def check(self):
        """Check what is left after the restart."""
        tickets = self.shop.tickets()
        by_number = {ticket["number"]: ticket for ticket in tickets}
        assert len(by_number) == len(tickets), "a number is there twice"
        for number, link in self.taken.items():
            mine = self.shop.client.get(link)
            assert (mine.status, mine.body.get("number")) == (200, number), "an answered ticket was lost"
        for number, names in self.called.items():
            assert len(names) == 1, f"{number} was given to {names}"
            assert by_number[number]["servicer"] == names[0], f"{names[0]} lost {number}"
            assert by_number[number]["state"] in ("called", "done")
        calls = [event["number"] for event in self.shop.events() if event["kind"] == "call"]
        assert len(calls) == len(set(calls)), "a number was called twice"
        assert check_integrity(self.shop.client) == "ok"


def check_integrity(server):
    """Check the integrity of the database file."""
    with closing(sqlite3.connect(server.data / "takeanumber.db")) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        return db.execute("PRAGMA integrity_check").fetchone()[0]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_no_answered_request_is_lost_when_the_server_is_killed(server, kills):
    storm = Storm(server.open_shop())
    for _ in range(kills):
        storm.rage_until_killed(random.uniform(0.3, 0.9))
        server.start()
        storm.check()


# ----- a full disk


class SmallDisk:
    """A separate file system for the data directory, which can be filled up."""

    def __init__(self, path):
        self.path = path

    def fill(self, server):
        with (self.path / "filler").open("wb", buffering=0) as filler:
            try:
                for size in (2**16, 2**10, 1):
                    with_room = True
                    while with_room:
                        with_room = filler.write(b"x" * size) == size
            except OSError:
                pass  # now it is full

    def make_room(self, server):
        (self.path / "filler").unlink()


class SmallFiles:
    """Where mounting isn't allowed: no file of the server may grow beyond its current size."""

    def __init__(self, path):
        self.path = path

    def fill(self, server):
        self._limit(server, 4096)

    def make_room(self, server):
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server, size):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path):
    """A disk that can be filled up."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        yield SmallDisk(path)
        subprocess.run(["umount", "-l", str(path)], check=True)
    else:
        yield SmallFiles(path)


@pytest.fixture(params=["a full disk", "files that may not grow"])
def full_disk(request, tmp_path):
    """Both ways to simulate a full disk."""
    if request.param == "a full disk":
        return request.getfixturevalue("small_disk")
    (tmp_path / "files").mkdir()
    return SmallFiles(tmp_path / "files")


def test_a_full_disk_is_reported_and_no_answered_request_is_lost(start_server, full_disk):
    server = start_server(data=full_disk.path / "data")
    shop = server.open_shop()
    desk = shop.desk()
    taken = [shop.take().body["links"]["ticket"] for _ in range(20)]

    full_disk.fill(server)
    refused = None
    for _ in range(2000):  # the free rest of the file's last page may still be used
        answer = shop.take()
        if answer.status != 201:
            refused = answer
            break
        taken.append(answer.body["links"]["ticket"])
    assert refused is not None, "the disk was not full"
    assert refused.status == 503
    assert refused.body["error"].endswith(".")
    assert int(refused.headers["retry-after"]) > 0
    assert desk.post("next", finished=None).status == 503
    assert [answer.status for answer in server.at_once(*[shop.take] * 20)] == [503] * 20
    assert server.get(desk.link).body["current"] is None
    assert len(shop.waiting()) == len(taken)
    assert all(server.get(link).status == 200 for link in taken)

    full_disk.make_room(server)
    time.sleep(0.1)
    answers = server.at_once(*[shop.take] * 20)
    assert [answer.status for answer in answers] == [201] * 20
    taken += [answer.body["links"]["ticket"] for answer in answers]
    assert desk.post("next", finished=None).body["current"]["number"] == "A1"

    server.kill()
    server.start()
    assert all(server.get(link).status == 200 for link in taken)
    assert len(shop.tickets()) == len(taken)
    assert check_integrity(server) == "ok"


def test_a_balancer_is_told_of_a_full_disk(start_server, full_disk):
    server = start_server(data=full_disk.path / "data")
    shop = server.open_shop()
    full_disk.fill(server)
    while shop.take().status == 201:
        pass
    wait_for(lambda: server.get("/healthz").status == 503, within=5)  # it writes at most once a second
    full_disk.make_room(server)
    wait_for(lambda: server.get("/healthz").status == 200, within=5)


# ----- a database that another process holds


@contextmanager
def locked(server, how):
    """Lock the server's database, as another program may do."""
    with closing(sqlite3.connect(server.data / "takeanumber.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("how", soak_after(1, ["EXCLUSIVE", "IMMEDIATE"]))
def test_a_write_waits_for_a_short_lock(server, how):
    shop = server.open_shop()
    shop.take()
    with locked(server, how):
        late = []
        customer = threading.Thread(target=lambda: late.append(shop.take()))
        customer.start()
        time.sleep(1)
        assert late == []
        assert shop.waiting() == ["A1"]
    customer.join()
    assert late[0].status == 201
    assert shop.waiting() == ["A1", "A2"]


def test_a_long_lock_is_reported_and_then_writes_go_on(server):
    shop = server.open_shop()
    desk = shop.desk()
    shop.take()
    answers, over = [], threading.Event()

    def customer():
        try:
            while not over.is_set():
                before = time.monotonic()
                answer = shop.take()
                answers.append((answer, time.monotonic() - before))
        except (OSError, HTTPException):
            return  # the server has ended, which fails below

    customers = [threading.Thread(target=customer) for _ in range(4)]
    with locked(server, "IMMEDIATE"):
        for each in customers:
            each.start()
        until = time.monotonic() + 16  # longer than the watchdog waits for the writer
        while time.monotonic() < until:
            assert server.process.poll() is None, (
                f"a lock of another's ended the server:\n{server.log[-2000:]}"
            )
            assert shop.waiting() == ["A1"]
            assert server.get(desk.link).status == 200
            time.sleep(0.5)
        refused = list(answers)
    over.set()
    for each in customers:
        each.join()

    assert len(refused) >= 4
    for answer, seconds in refused:
        assert answer.status == 503
        assert answer.body["error"].endswith(".")
        assert 3 < seconds < 12
    assert shop.take().status == 201
    assert server.get("/healthz").status == 200
    assert desk.post("next", finished=None).body["current"]["number"] == "A1"
    time.sleep(2)
    assert server.process.poll() is None


# ----- a machine that is lost, with its data


@pytest.mark.parametrize(
    ("start", "within", "losses"),
    [("start_quick", (1, 3), 2), pytest.param("start_server", (8, 16), 20, marks=pytest.mark.soak)],
    ids=["short", "long"],
)
def test_a_lost_machine_loses_at_most_ten_seconds(request, command, tmp_path, start, within, losses):
    start = request.getfixturevalue(start)
    (tmp_path / "backups").mkdir()
    shop, before = None, set()
    for _ in range(losses):
        server, taken = start(backup_url=tmp_path / "backups"), {}
        shop = shop or server.open_shop()
        people = [threading.Thread(target=take_until_lost, args=(shop, server, taken)) for _ in range(4)]
        for person in people:
            person.start()
        time.sleep(random.uniform(*within))
        wait_for(lambda: most_tickets_in_a_copy(tmp_path / "backups") > 10)
        server.kill()
        lost_at = time.monotonic()
        for person in people:
            person.join()
        shutil.rmtree(server.data)
        ended = command("restore", "--from", str(tmp_path / "backups"))
        assert ended.returncode == 0, ended.stderr

        with closing(sqlite3.connect(server.data / "takeanumber.db")) as db:
            there = {number for (number,) in db.execute("SELECT number FROM ticket")}
        missing = [lost_at - answered for number, answered in taken.items() if number not in there]
        assert max(missing, default=0) < 10
        assert len(there) > 10
        # A server that had the time to take over has skipped some numbers before its first.
        new = sorted(int(number[1:]) for number in there - before)
        assert new == [new[0] + nth for nth in range(len(new))], "there is a hole"
        assert before | {"A1"} <= there
        before = there


def most_tickets_in_a_copy(backups):
    """Return how many tickets the copy with the most holds, by its name."""
    return max((int(re.search(r"-(\d+)t-", path.name)[1]) for path in backups.glob("0*/0*.db.gz")), default=0)


def take_until_lost(shop, server, taken):
    """Take numbers until the server is gone, and record the time of each response."""
    try:
        while True:
            answer = server.post(shop.take_url)
            if answer.status != 503:  # as while a busy machine is late to confirm its lease
                assert answer.status == 201, answer
                taken[answer.body["number"]] = time.monotonic()
            time.sleep(0.1)  # otherwise the last copies would be larger than a megabyte
    except (OSError, HTTPException):
        return
