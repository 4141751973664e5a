"""The health check and the watchdog."""

import socket
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlsplit

from helpers.server import Server
from helpers.waiting import wait_for

HANGING = """
import os, threading, time
import takeanumber

make = takeanumber.create_app


def with_a_writer_that_will_hang(*args, **settings):
    app = make(*args, **settings)
    write = app.extensions["takeanumber"].database.write
    threading.Thread(target=hang_once_asked, args=[write]).start()
    return app


def hang_once_asked(write):
    while not os.path.exists(os.environ["TAKEANUMBER_DATA"] + "/hang"):
        time.sleep(0.01)
    write(wait_for_a_disk_that_never_answers)


def wait_for_a_disk_that_never_answers(db):
    time.sleep(60)


takeanumber.create_app = with_a_writer_that_will_hang
takeanumber.cli(["serve"])
"""


def test_a_healthy_server_says_so(server):
    answer = server.get("/healthz")
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_an_unhealthy_server_says_why(server):
    server.open_shop()
    with closing(sqlite3.connect(server.data / "takeanumber.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = server.get("/healthz")
        assert answer.status == 503
        assert "locked" in answer.body["error"]
        other.execute("ROLLBACK")
    assert server.get("/healthz").status == 200


def test_a_writer_that_hangs_is_shown_in_the_log_and_ends_the_process(tmp_path):
    server = Server(tmp_path / "data", code=HANGING)
    try:
        began = time.monotonic()
        (server.data / "hang").touch()
        assert server.ends(within=25) == 1
        # The watchdog acts after ten seconds, and another timer after twenty.
        assert 10 < time.monotonic() - began < 18
        assert "in wait_for_a_disk_that_never_answers" in server.log, "no stack of the writer"
    finally:
        if server.process.poll() is None:
            server.kill()
    server = Server(tmp_path / "data")
    assert server.get("/healthz").status == 200
    server.kill()


def test_no_link_gets_into_the_log(server):
    shop = server.open_shop()
    shop.take(note="x")
    with closing(
        sqlite3.connect(server.data / "takeanumber.db")
    ) as other:  # many, so that the download is long
        columns = "place_id, queue_id, series, ordinal, state, priority, joined_at, taken_at, tries, by_phone"
        other.execute(
            f"""WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO ticket ({columns}, token, number, note)
                SELECT {columns}, 'token' || i, 'A' || i, printf('%.500c', 'x') FROM ticket, n"""
        )
        other.commit()
    link = urlsplit(shop.links["manage"])
    with socket.create_connection((link.hostname, link.port)) as hasty:
        hasty.sendall(f"GET {link.path}/export.json HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        hasty.recv(100)
    wait_for(lambda: "disconnected while serving /" in server.log)
    assert link.path.rpartition("/")[2] not in server.log


def test_healthz_writes_at_most_once_a_second(place):
    database = place.client.flask_client.application.extensions["takeanumber"].database
    calls = []
    write = database.write_internal
    database.write_internal = lambda function, *args: calls.append(args) or write(function, *args)
    began = time.monotonic()
    assert [place.client.get("/healthz").status for _ in range(50)] == [200] * 50
    written = [args for args in calls if args]  # the other requests don't write
    assert 1 <= len(written) <= 1 + time.monotonic() - began
    assert len(calls) == 50
