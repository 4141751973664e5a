"""A database file that is removed, replaced or damaged, and a full disk: the server says what to do."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from helpers.forks import ROOT
from helpers.soak import soak_after
from helpers.waiting import wait_for

PAGE_BYTES = 4096


def wait_until_unhealthy(server, within_s=20):
    """Return what /healthz says once it fails."""
    deadline = time.monotonic() + within_s
    while True:
        response = server.get("/healthz")
        if response.status == 503 or time.monotonic() > deadline:
            assert response.status == 503, response
            return response.body["error"]
        time.sleep(0.1)


def damage(path):
    """Overwrite every page but the first, as a dying SD card may."""
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        for _ in range(PAGE_BYTES, path.stat().st_size, PAGE_BYTES):
            file.write(b"\xde\xad\xbe\xef" * (PAGE_BYTES // 4))


def checkpointed(server):
    """Move everything from the write-ahead log into the file, and return its path."""
    path = server.data / "takeanumber.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_nothing_is_accepted_once_the_database_is_deleted(server):
    shop = server.open_shop()
    desk = shop.desk()
    assert shop.take().status == 201
    for file in server.data.glob("takeanumber.db*"):
        file.unlink()
    answers = [shop.take(), desk.post("next", finished=None), shop.owner_post(name="New name")]
    assert [answer.status for answer in answers] == [503] * 3
    assert "restore a backup" in answers[0].body["error"]
    assert "gone" in answers[0].body["error"]
    assert "Retry-After" not in answers[0].headers, "waiting doesn't help"
    assert "restore a backup" in wait_until_unhealthy(server, within_s=0)
    assert "restore a backup" in server.log
    assert str(server.data / "takeanumber.db") in server.log
    assert "restore a backup" in shop.owner_get()["warnings"][0]
    page = server.send("POST", shop.take_url, headers={"Accept": "text/html"})
    assert page.status in (400, 503)


def test_the_server_notices_by_itself_that_the_database_is_gone(server):
    server.open_shop()
    (server.data / "takeanumber.db").rename(server.data / "elsewhere.db")
    wait_for(lambda: "is gone" in server.log)
    (server.data / "elsewhere.db").rename(server.data / "takeanumber.db")
    wait_for(lambda: server.get("/healthz").status == 200)  # it was only moved


def test_another_file_in_its_place_is_not_taken_for_the_database(server):
    shop = server.open_shop()
    path = checkpointed(server)
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    assert shop.take().status == 503
    assert "replaced" in wait_until_unhealthy(server)
    assert "start it again" in wait_until_unhealthy(server)
    server.restart()
    assert shop.take().body["number"] == "A1"


def test_a_damaged_database_is_reported_with_what_to_do(server):
    shop = server.open_shop()
    for _ in range(30):
        shop.take()
    path = checkpointed(server)
    damage(path)
    statuses = set()
    for _ in range(20):
        response = server.get(shop.links["board"])
        statuses.add(response.status)
        take = shop.take()
        statuses.add(take.status)
    assert 503 in statuses
    assert "restore a backup" in wait_until_unhealthy(server)
    refused = shop.take()
    assert refused.status == 503
    assert "damaged" in refused.body["error"]
    assert "try again" not in refused.body["error"]
    assert "restore a backup" in server.log
    server.kill()

    started = subprocess.run(
        [sys.executable, ROOT / "takeanumber.py", "serve"],
        env={**os.environ, "TAKEANUMBER_DATA": str(server.data), "PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert "Traceback" not in started.stderr
    assert "estore" in started.stderr


def test_an_emptied_database_is_damaged(server):
    shop = server.open_shop()
    path = checkpointed(server)
    os.truncate(path, 0)
    for _ in range(5):
        server.get(shop.links["board"])
        shop.take()
    assert "restore a backup" in wait_until_unhealthy(server)


def test_a_damaged_page_is_found_at_the_start(server, command):
    shop = server.open_shop()
    for _ in range(200):
        shop.take(note="x")
    server.stop()
    path = checkpointed(server)
    with path.open("r+b") as file:  # any page in the middle
        file.seek(path.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES)
        file.write(os.urandom(PAGE_BYTES))
    ended = command("serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is damaged" in ended.stderr
    assert "restore --replace" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a disk of its own with a few megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    with (path / "filler").open("wb", buffering=0) as filler:
        for size in (2**16, 2**10, 1):
            try:
                while filler.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.mark.parametrize("how", soak_after(1, ["stop", "kill"]))
def test_starting_on_a_full_disk_says_so_and_not_to_restore(start_server, small_disk, command, how):
    server = start_server(data=small_disk / "data")
    shop = server.open_shop()
    shop.take()
    getattr(server, how)()
    fill(small_disk)
    ended = command("serve", TAKEANUMBER_DATA=str(server.data))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "The disk is full" in ended.stderr
    assert "estore" not in ended.stderr, "an intact database must not be replaced"
    assert len(ended.stderr.splitlines()) == 1
    (small_disk / "filler").unlink()
    server.start()
    assert shop.waiting() == ["A1"]
