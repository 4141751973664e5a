"""The running server keeps its backup up to date; failing storage never disturbs customers."""

import gzip
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.forks import ROOT
from helpers.soak import soak_after
from helpers.waiting import wait_for


class Stick:
    """A directory for backups."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def names(self, under="0*"):
        """Return the names of the recent copies, or of another kind, the oldest first."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(f"{under}/*.gz"))

    def holds(self, name):
        """Return the numbers in a copy."""
        with sqlite3.connect(":memory:") as db:
            db.deserialize(gzip.decompress((self.path / name).read_bytes()))
            return {number for (number,) in db.execute("SELECT number FROM ticket")}

    def newest(self):
        return self.names()[-1]

    def age(self, under, which=-1, **by):
        """Change the apparent age of the newest copy of a kind, or of another one."""
        copy = self.path / self.names(under)[which]
        now = datetime.now(UTC) - timedelta(**by)
        copy.rename(copy.with_name(re.sub(r"\d{8}T\d{6}Z", now.strftime("%Y%m%dT%H%M%SZ"), copy.name)))


@pytest.fixture
def stick(tmp_path):
    return Stick(tmp_path / "stick")


def status(shop):
    """Return the state of the backups as the owner sees it."""
    return shop.client.get(shop.links["manage"]).body["backup"]


def test_the_backup_is_ten_seconds_behind_at_most(start_server, stick):
    """Many changes make one upload, with a last one when the server stops."""
    began = time.monotonic()
    server = start_server(backup_url=stick.path)
    shop, taken, over = server.open_shop(), {}, threading.Event()

    def customers():
        while not over.wait(0.05):
            taken[shop.take().body["number"]] = time.monotonic()

    line = threading.Thread(target=customers)
    line.start()
    worst = 0.0
    while len(stick.names()) < 3 and worst < 10:
        time.sleep(0.2)
        at, there = time.monotonic(), stick.holds(stick.newest()) if stick.names() else set()
        missing = [when for number, when in dict(taken).items() if number not in there]
        worst = max([worst, *(at - when for when in missing)])
    over.set()
    line.join()
    assert worst < 10
    assert time.monotonic() - began > 10  # five seconds between two of them
    before = stick.names()
    assert server.stop(signal.SIGTERM) == 0
    assert len(stick.names()) == len(before) + 1
    assert stick.holds(stick.newest()) == taken.keys()


@pytest.mark.soak
def test_copies_each_hour_and_each_day_and_a_restore_to_see_that_they_are_whole(start_quick, stick):
    server = start_quick(stick.path, hour=2, day=4)
    shop = server.open_shop()
    shop.take()
    for kind in ("hourly", "daily"):
        wait_for(lambda kind=kind: stick.names(f"{kind}/*"))
    first = wait_for(lambda: status(shop)["verified_at"] and status(shop))
    assert {"state": "green", "role": "holder", "problem": None}.items() <= first.items()
    wait_for(lambda: stick.holds(stick.newest()) == {"A1"})
    assert len(stick.names("hourly/*")) == 1

    before, until = stick.names(), time.monotonic() + 2.2
    while time.monotonic() < until:  # more than an "hour" without a change, while a load balancer polls
        assert server.get("/healthz").status == 200
        time.sleep(0.02)
    assert stick.names() == before
    assert len(stick.names("hourly/*")) == 1
    shop.take()
    wait_for(lambda: len(stick.names("hourly/*")) == 2)
    stick.age("0*", which=0, days=3)
    recent = stick.names()

    wait_for(lambda: len(stick.names("daily/*")) == 2)  # though nothing changed
    wait_for(lambda: stick.names() == recent[1:])  # and expired copies are removed
    wait_for(lambda: status(shop)["verified_tickets"] == 2)


WITH_LOW_PRIORITY = """
import ctypes
import os
import takeanumber

os.nice(15)
# Without any capability, root can't raise it again either.
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
takeanumber.cli()
"""


def test_a_server_that_was_started_with_a_low_priority_is_backed_up(start_server, stick):
    server = start_server(code=WITH_LOW_PRIORITY, backup_url=stick.path)
    wait_for(stick.names)
    assert "Traceback" not in server.log


def test_a_new_start_knows_when_the_last_were_made(start_quick, stick):
    """From their names; a time in the future, from a wrong clock, is ignored."""
    server = start_quick(stick.path)
    server.open_shop().take()
    wait_for(lambda: stick.names("daily/*"))
    for hourly, daily, more in (({"hours": 2}, {"hours": -1}, 1), ({"minutes": 10}, {"hours": 2}, 0)):
        server.stop()
        stick.age("hourly/*", **hourly)
        stick.age("daily/*", **daily)
        before = [len(stick.names(kind)) for kind in ("0*", "hourly/*", "daily/*")]
        server.start()
        wait_for(lambda before=before: len(stick.names()) > before[0])
        wait_for(lambda before=before, more=more: len(stick.names("daily/*")) == before[2] + more)
        assert len(stick.names("hourly/*")) == before[1] + more


def test_a_database_that_was_put_back_by_hand_is_out_of_date_and_kept_beside(start_quick, stick):
    server = start_quick(stick.path)
    shop = server.open_shop()
    wait_for(lambda: stick.names("daily/*"))
    server.stop()
    before = (server.data / "takeanumber.db").read_bytes()
    server.start()
    many = len(stick.names())
    for more in (1, 2):
        shop.take()
        wait_for(lambda more=more: len(stick.names()) >= many + more)
    server.stop()
    (server.data / "takeanumber.db").write_bytes(before)
    server.start()
    wait_for(lambda: shop.take().status == 201)  # `restore --at` is the way to go back
    assert shop.waiting() == ["A1", "A2", "A3"]
    assert [path for path in server.data.iterdir() if "before-restore" in path.name]


def test_a_deleted_database_is_noticed_and_can_be_restored(start_quick, stick, command):
    server = start_quick(stick.path)
    shop = server.open_shop()
    shop.take()
    wait_for(lambda: stick.names() and stick.holds(stick.newest()))
    for path in server.data.glob("takeanumber.db*"):
        path.unlink()
    shop.take()
    wait_for(lambda: "is gone" in (status(shop)["problem"] or ""))
    server.at_once(*[lambda: server.get(shop.links["customers"])] * 16)  # some with their own connection
    server.stop()
    where = {"TAKEANUMBER_BACKUP_URL": str(stick.path), "TAKEANUMBER_DATA": str(server.data)}
    assert command("restore", **where).returncode == 0
    server.start()
    # The lease was not released, as the last copy could not be made.
    wait_for(lambda: server.get(shop.links["customers"]).status == 200, within=60)
    assert shop.waiting() == ["A1"]


# ----- storage that fails


def press_on(shop, seconds):
    """Let customers take numbers for this long, and check that each is answered soon."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = time.monotonic()
        assert shop.take().status == 201
        assert shop.client.get("/healthz").status == 200
        assert shop.client.get(shop.links["manage"]).status == 200
        assert time.monotonic() - before < 1
        time.sleep(0.05)


@pytest.mark.soak
def test_a_stick_that_is_taken_out_and_put_in_again(start_quick, stick):
    server = start_quick(stick.path)
    shop = server.open_shop()
    shop.take()
    wait_for(lambda: stick.names("daily/*"))  # the newest copy before the stick was taken out

    stick.path.rename(stick.path.with_name("drawer"))
    press_on(shop, 1.5)
    wait_for(lambda: status(shop)["behind_s"] > 3)
    assert status(shop)["problem"].startswith("There is no directory")
    assert status(shop)["state"] == "amber"
    assert server.log.count("The backup fails (keep)") == 1

    stick.path.with_name("drawer").rename(stick.path)
    last = shop.take().body["number"]
    wait_for(lambda: last in stick.holds(stick.newest()))
    wait_for(lambda: status(shop)["state"] == "green")
    assert status(shop)["problem"] is None
    assert server.log.count("The backup works again (keep)") == 1
    assert "Traceback" not in server.log


@pytest.mark.soak
def test_a_stick_that_is_put_in_later(start_quick, stick):
    stick.path.rename(stick.path.with_name("drawer"))
    server = start_quick(stick.path)
    shop = server.open_shop()
    assert shop.take().status == 201
    assert "is lost with this machine, or when a new server takes over" in status(shop)["problem"]
    assert status(shop)["state"] == "amber"
    stick.path.with_name("drawer").rename(stick.path)
    wait_for(lambda: stick.names() and "A1" in stick.holds(stick.newest()))
    wait_for(lambda: status(shop)["state"] == "green")


@pytest.mark.parametrize("wrong", soak_after(1, ["hangs", ((503, "SlowDown"),)]), ids=str)
def test_failing_storage_slows_no_request(start_quick, bucket, way, wrong):
    server = start_quick(bucket.url)
    shop = server.open_shop()
    wait_for(bucket.copies)
    way.wrong = wrong
    press_on(shop, 1.5)
    if wrong != "hangs":  # the failure isn't known yet
        assert wait_for(lambda: status(shop)["problem"])
    way.wrong = None
    way.freed.set()
    last = shop.take().body["number"]
    wait_for(lambda: holds(bucket, last))
    wait_for(lambda: status(shop)["problem"] is None)


def holds(bucket, number):
    """Return whether the newest copy is valid and holds this number."""
    try:
        with sqlite3.connect(":memory:") as db:
            db.deserialize(gzip.decompress(bucket.read(bucket.copies()[-1])))
            return db.execute("SELECT count(*) FROM ticket WHERE number = ?", [number]).fetchone()[0] == 1
    except EOFError:
        return False


@pytest.mark.soak
def test_storage_that_hangs_neither_keeps_it_from_starting_nor_from_ending(start_quick, bucket, way):
    way.wrong = "hangs"
    before = time.monotonic()
    server = start_quick(bucket.url)
    shop = server.open_shop()
    assert shop.take().status == 201
    assert time.monotonic() - before < 10  # one attempt to ask it takes twenty
    assert "does not answer" in status(shop)["problem"]
    before = time.monotonic()
    assert server.stop(signal.SIGTERM) == 0
    assert time.monotonic() - before < 10
    assert "The last backup could not be stored" in server.log
    assert bucket.names() == []


LOOKS_OFTEN = """
import takeanumber
from app.backup import lease

lease.timing = lease.Timing(poll_s=0.01, request_s=0.05, stop_s=1.0)
takeanumber.cli()
"""


def test_a_directory_that_hangs_holds_few_threads(start_server, stick):
    """As one on a NAS that was switched off: whoever looks into it waits until it is back."""
    server = start_server(code=LOOKS_OFTEN, backup_url=stick.path)
    wait_for(lambda: stick.names() and status_of_backup(server)["confirmed"])
    before = threads_of(server)
    entry = stick.path / "lease" / "00000002.json"
    os.mkfifo(entry)  # reading it takes until somebody writes
    wait_for(lambda: not status_of_backup(server)["confirmed"])
    assert threads_of(server) <= before + 10
    entry.rename(entry.with_suffix(".away"))
    entry.with_suffix(".away").write_bytes(b"")
    wait_for(lambda: status_of_backup(server)["confirmed"] and threads_of(server) <= before + 2)


def status_of_backup(server):
    return server.get("/healthz?verbose=1").body["backup"]


def threads_of(server):
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


@pytest.mark.soak
def test_what_happens_while_the_second_copy_of_a_round_hangs_is_not_backed_up(start_quick, bucket, way):
    way.of, way.where, way.wrong = {"PUT"}, "/hourly/", "hangs"
    server = start_quick(bucket.url)
    wait_for(lambda: bucket.copies() and any("/hourly/" in path for _, path in way.asked))
    shop = server.open_shop()
    wait_for(lambda: status(shop)["behind_s"] > 0, within=5)


@pytest.mark.soak
def test_an_upload_that_was_cut_in_half_or_not_confirmed(start_quick, bucket, way):
    server = start_quick(bucket.url)
    shop = server.open_shop()
    for wrong in ("cut", "deaf"):
        way.of, way.wrong = {"PUT"}, wrong
        last = shop.take().body["number"]
        wait_for(lambda: status(shop)["problem"])
        way.wrong = None
        wait_for(lambda last=last: holds(bucket, last))
    wait_for(lambda: status(shop)["state"] == "green")


# ----- backups of another shop


def test_the_backups_of_another_shop_are_left_alone(start_quick, stick, command, tmp_path):
    server = start_quick(stick.path)
    server.open_shop()
    server.stop()
    before = sorted(stick.path.rglob("*"))
    other = {"TAKEANUMBER_BACKUP_URL": str(stick.path), "TAKEANUMBER_DATA": str(tmp_path / "other")}
    ended = command("--host", "127.0.0.1", "--port", "0", **other)
    assert ended.returncode == 1
    assert "belong to another database" in ended.stderr
    assert sorted(stick.path.rglob("*")) == before


@pytest.mark.soak
def test_backups_of_another_shop_that_answer_after_the_start(start_quick, bucket, way, tmp_path):
    other = start_quick(bucket.url, data=tmp_path / "other")
    other.open_shop()
    other.stop()
    way.wrong = "hangs"
    mine = start_quick(bucket.url)
    way.wrong = None
    wait_for(lambda: mine.get("/healthz?verbose=1").body["backup"]["state"] == "red")
    assert "belong to another database" in mine.log


@pytest.mark.soak
def test_backups_of_another_shop_that_are_found_later(start_quick, start_server, stick, tmp_path):
    drawer = stick.path.with_name("drawer")
    stick.path.rename(drawer)
    mine = start_quick(stick.path)
    shop = mine.open_shop()
    assert shop.take().status == 201
    other = start_server(data=tmp_path / "other", backup_url=drawer)
    drawer.rename(stick.path)
    wait_for(lambda: mine.get("/healthz?verbose=1").body["backup"]["state"] == "red")
    assert "belong to another database" in status(shop)["problem"]
    answer = shop.take()
    assert (answer.status, "the owner's page says why" in answer.body["error"]) == (503, True)
    assert "retry-after" not in answer.headers
    assert shop.waiting() == ["A1"]
    other.kill()


@pytest.mark.parametrize("url", [None, "stick"])
def test_where_a_database_is_required_none_is_made(command, stick, tmp_path, url):
    required = {"TAKEANUMBER_REQUIRE_DATABASE": "1"}
    if url:
        required["TAKEANUMBER_BACKUP_URL"] = str(stick.path)
    ended = command("serve", **required)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"Error: There is no database at .*\n", ended.stderr)
    assert not (tmp_path / "data" / "takeanumber.db").exists()
    assert list(stick.path.iterdir()) == []


def test_without_a_place_for_backups_there_is_none(server):
    shop = server.open_shop()
    assert status(shop) is None
    assert server.stop(signal.SIGTERM) == 0
    assert "backup" not in server.log


@pytest.mark.soak
def test_a_backup_by_hand_does_no_harm(start_quick, stick, command):
    """It gets the next sequence number, and the server continues after it."""
    server = start_quick(stick.path)
    server.open_shop()
    wait_for(stick.names)
    ended = command("backup", TAKEANUMBER_BACKUP_URL=str(stick.path), TAKEANUMBER_DATA=str(server.data))
    assert ended.returncode == 0, ended.stderr
    many = len(stick.names())
    server.post("/corner-deli/deli/tickets")
    wait_for(lambda: len(stick.names()) > many)
    assert [name[9:19] for name in stick.names()] == [f"{n:010}" for n in range(1, len(stick.names()) + 1)]
    said = server.get("/healthz?verbose=1").body["backup"]
    assert {"state": "green", "role": "holder"}.items() <= said.items()


# ----- a long day


@pytest.mark.soak
def test_a_day_of_a_lively_shop_is_backed_up_unnoticed(start_server, stick):
    """At high speed: memory doesn't grow, and no request takes more than a second."""
    server = start_server(backup_url=stick.path, places="open")
    shop = server.open_shop()
    memory, took, over = [], [0.0], threading.Event()

    def timed(ask, *what):
        before = time.monotonic()
        answer = ask(*what)
        took.append(time.monotonic() - before)
        return answer

    def look():
        while not over.wait(0.05):
            mine = timed(shop.take).body["links"]
            timed(shop.picture)
            timed(server.post, mine["cancel"])

    looks = threading.Thread(target=look)
    looks.start()
    play = [sys.executable, str(ROOT / "takeanumber.py"), "demo", "--url", server.url]
    with subprocess.Popen([*play, "--hours", "24", "--speed", "400"], stdout=subprocess.DEVNULL) as day:
        while day.poll() is None:
            time.sleep(5)
            memory.append(memory_of(server.process.pid))
    over.set()
    looks.join()
    assert day.returncode == 0
    assert max(took) < 1
    quarter = len(memory) // 4
    assert max(memory[-quarter:]) < max(memory[-2 * quarter : -quarter]) + 5_000, f"it grew: {memory} kB"
    assert len(stick.names()) >= 20
    assert server.stop(signal.SIGTERM) == 0
    assert len(stick.holds(stick.newest())) > 500


def memory_of(pid):
    """Return the resident memory of a process, in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1])
