"""Changes reach every open stream within a second, and streams leave threads for other requests."""

import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from helpers.server import Server


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def live_server(request, tmp_path_factory):
    """A server on each of the two databases."""
    if request.param == "sqlite":
        yield request.getfixturevalue("shared_server")
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.create_database(request.getfixturevalue("empty_shop"))
    server = Server(tmp_path_factory.mktemp("live") / "data", places="open", database_url=url)
    yield server
    server.kill()
    cluster.drop_database(url)


def test_a_stream_begins_with_the_picture_as_it_is_now(live_server):
    shop = live_server.open_shop()
    shop.take()
    with shop.watch() as page:
        first = page.next()
    picture = shop.picture()
    assert page.headers["content-type"].startswith("text/event-stream")
    assert page.headers["x-accel-buffering"] == "no"
    assert page.headers["cache-control"] == "no-store"
    assert first.picture == picture
    assert first.id.startswith(picture["epoch"])
    assert str(picture["version"]) in first.id.split(".")


def test_a_client_that_accepts_gzip_gets_the_same_events(live_server):
    shop = live_server.open_shop()
    for _ in range(100):
        shop.take()
    stay_clear_of_the_full_minute()
    with shop.watch() as plain, shop.watch(encoding="br, gzip") as early:
        events = [plain.next(), early.next()]
        shop.take()
        with shop.watch(encoding="gzip;q=0.5, *;q=0") as late:  # its stream begins with a later part
            events += [page.until(lambda event: event.shows("A101"))[-1] for page in (plain, early, late)]
            shop.take()
            events += [page.until(lambda event: event.shows("A102"))[-1] for page in (plain, early, late)]
    assert early.headers["content-encoding"] == late.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len({event.text for event in events[:2]}) == 1
    assert len({event.text for event in events[2:5]}) == 1
    assert len({event.text for event in events[5:]}) == 1
    with shop.watch(encoding="gzip;q=0") as refusing:
        assert "content-encoding" not in refusing.headers


@pytest.mark.alone
def test_a_change_is_on_every_open_page_within_a_second(live_server):
    shop = live_server.open_shop()
    desk = shop.desk()
    pages = [shop.watch() for _ in range(20)]
    for page in pages:
        page.next()
    for change in (shop.take, lambda: desk.post("next", finished=None)):
        time.sleep(0.3)
        before = time.monotonic()
        change()
        version = shop.picture()["version"]
        news = [page.until(lambda event, new=version: event.picture["version"] == new)[-1] for page in pages]
        assert max(event.at for event in news) - before < 1
        assert len({event.text for event in news}) == 1
    assert news[0].picture["queues"][0]["called"][0]["number"] == "A1"
    assert [call["number"] for call in news[0].picture["calls"]] == ["A1"]
    for page in pages:
        page.close()


def stay_clear_of_the_full_minute():
    """Wait for the next minute if this one is ending, since estimated waits change by themselves then."""
    if time.time() % 60 > 50:  # a busy machine takes seconds for what follows
        time.sleep(60.2 - time.time() % 60)


def test_only_a_change_is_sent(live_server):
    shop = live_server.open_shop()
    stay_clear_of_the_full_minute()
    with shop.watch() as page:
        page.next()
        live_server.get(shop.links["customers"])
        with pytest.raises(AssertionError, match="No state event"):
            page.next(within=1.5)


@pytest.mark.alone
def test_a_storm_is_shown_in_five_pictures_a_second_and_the_newest_always_arrives(live_server):
    shop = live_server.open_shop()
    with shop.watch() as page:
        page.next()
        began, last = time.monotonic(), "A0"
        while time.monotonic() < began + 3:
            last = shop.take().body["number"]
        over = time.monotonic()
        pictures = page.until(lambda event: event.shows(last), within=1.5)
    during = [event for event in pictures if event.at <= over]
    assert int(last[1:]) > 3 * len(during), "this was no storm"
    assert 3 <= len(during) <= 5 * (over - began) + 2
    versions = [event.picture["version"] for event in pictures]
    assert versions == sorted(set(versions))
    assert pictures[-1].at - over < 1


def test_a_quiet_stream_is_kept_open_by_a_comment(server):
    shop = server.open_shop()
    with shop.watch(encoding="gzip") as page:
        page.next()
        page.next(
            kind="comment", within=33
        )  # fifteen quiet seconds: the picture of a new minute may come in between
        shop.take()  # a change after the comment is readable, too
        page.until(lambda event: event.shows("A1"))
    assert server.get("/healthz").status == 200  # and an idle server goes on running


def test_one_address_may_open_a_limited_number_of_streams(start_server):
    server = start_server(streams_per_address=3)
    shop = server.open_shop()
    pages = [shop.watch() for _ in range(3)]
    refused = shop.watch()
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    assert shop.picture()["version"] > 0  # what a page requests instead
    pages.append(shop.watch(address="127.0.0.2"))
    assert [page.status for page in pages] == [200] * 4
    for page in pages:
        page.close()


def test_streams_leave_64_threads_for_everything_else(start_server):
    server = start_server("--threads", "70")
    shop = server.open_shop()
    pages = [shop.watch(address=f"127.0.0.{2 + n % 3}") for n in range(7)]
    assert [page.status for page in pages] == [200] * 6 + [429]
    assert shop.take().status == 201
    assert pages[0].until(lambda event: event.shows("A1"))
    for page in pages[:6]:
        page.close()


def opens_within(shop, seconds):
    """Return whether a new stream is accepted within this many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with shop.watch() as page:
            if page.status == 200:
                return True
        time.sleep(0.1)
    return False


def test_a_closed_stream_frees_its_place_by_itself(start_server):
    shop = start_server(streams_per_address=1).open_shop()
    page = shop.watch()
    page.next()
    assert shop.watch().status == 429
    page.close()
    assert opens_within(shop, 20)


@pytest.mark.alone
def test_a_closed_stream_frees_its_place_at_the_next_changes(start_server):
    shop = start_server(streams_per_address=1).open_shop()
    page = shop.watch()
    page.next()
    page.close()
    for _ in range(5):
        shop.take()
        time.sleep(0.3)
    assert opens_within(shop, 1)


def test_a_page_that_reads_nothing_holds_up_no_other(server):
    shop = server.open_shop()
    for number in range(100):
        shop.add_queue(f"{number} {'W' * 50}")  # large pictures
    with socket.socket() as stuck, shop.watch() as page:
        # so that the system soon stops to take what is sent to it
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 100)
        stuck.connect(("127.0.0.1", server.port))
        path = shop.links["live"].removeprefix(server.url)
        stuck.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        for _ in range(20):
            newest = shop.take().body["number"]
            page.until(lambda event, number=newest: event.shows(number), within=3)
        stuck.settimeout(5)
        received = b""
        while f'"{newest}"'.encode() not in received:  # it gets the newest one once it reads
            received += stuck.recv(2**20)


def test_pages_that_close_while_a_picture_is_sent_hold_up_no_other(server):
    shop = server.open_shop()
    path = shop.links["live"].removeprefix(server.url)
    host = f"127.0.0.1:{server.port}"
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    end = time.monotonic() + 3

    def opens_and_closes():
        while time.monotonic() < end:
            pages = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(25)]
            for page in pages:
                page.sendall(request)
            for page in pages:
                assert page.recv(2**16)
                page.close()

    threads = [threading.Thread(target=opens_and_closes) for _ in range(3)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        shop.take()
        server.get(shop.links["customers"])
    for thread in threads:
        thread.join()
    with shop.watch(encoding="gzip") as page:
        number = shop.take().body["number"]
        page.until(lambda event: event.shows(number), within=3)


@pytest.mark.alone
def test_changes_by_another_process_are_shown(start_server):
    server, other = start_server(), start_server()
    shop = server.open_shop()
    with shop.watch() as page:
        page.next()
        before = time.monotonic()
        other.post(shop.take_url.replace(server.url, other.url))
        assert page.until(lambda event: event.shows("A1"))[-1].at - before < 2


@pytest.mark.alone
def test_the_stream_of_a_deleted_place_ends(live_server):
    shop = live_server.open_shop()
    page = shop.watch()
    page.next()
    live_server.post(f"{shop.links['manage']}/delete", {"name": "Corner Deli"})
    assert page.ends(within=3)
    assert shop.watch().status == 404


def test_the_stream_of_another_place_stays_quiet(start_server):
    server = start_server(places="open")
    deli, bakery = server.open_shop(), server.open_shop(name="Bakery")
    stay_clear_of_the_full_minute()
    with bakery.watch() as page:
        page.next()
        deli.take()
        with pytest.raises(AssertionError, match="No state event"):
            page.next(within=1)
        bakery.take()
        assert page.next().shows("A1")


def test_a_place_that_cannot_be_shown_holds_up_no_other(start_server):
    server = start_server(places="open")
    deli, bakery = server.open_shop(), server.open_shop(name="Bakery")
    stay_clear_of_the_full_minute()
    with deli.watch() as broken, bakery.watch() as page:
        broken.next()
        page.next()
        with closing(sqlite3.connect(server.data / "takeanumber.db", isolation_level=None)) as db:
            db.execute("UPDATE place SET timezone = 'Nowhere' WHERE slug = ?", [deli.slug])
            db.execute("INSERT INTO event (place_id, kind, happened_at) SELECT id, 'change', 0 FROM place")
        bakery.take()
        page.until(lambda event: event.shows("A1"), within=3)
        time.sleep(1.5)
    assert server.log.count("aren't kept up to date") == 1  # it isn't tried again and again


@pytest.mark.parametrize("path", ["/no-such-place/live", "/corner-deli/live/more", "/corner-deli/Live"])
def test_an_unknown_address_has_no_stream(live_server, path):
    slug = live_server.open_shop().slug
    answer = live_server.get(path.replace("corner-deli", slug))
    assert answer.status == 404
    assert answer.body["error"]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_server_stops_cleanly_while_pages_are_open(server, by):
    shop = server.open_shop()
    pages = [shop.watch() for _ in range(10)]
    for page in pages:
        page.next()
    assert server.stop(by, within=8) == 0
    assert all(page.ends(within=2) for page in pages)
    assert "Traceback" not in server.log


def test_the_server_stops_cleanly_in_the_middle_of_a_storm(server):
    shop, answered = server.open_shop(), []

    def take_until_it_is_gone():
        try:
            while True:
                answer = shop.take()
                if answer.status == 201:
                    answered.append(answer.body["number"])
        except Exception as gone:  # noqa: BLE001
            return gone

    customers = [threading.Thread(target=take_until_it_is_gone) for _ in range(8)]
    for customer in customers:
        customer.start()
    time.sleep(0.5)
    assert server.stop(within=8) == 0
    for customer in customers:
        customer.join()
    assert "Traceback" not in server.log
    server.start()
    assert answered
    assert set(answered) <= set(shop.waiting())


@pytest.mark.alone
def test_pages_catch_up_after_a_restart(server):
    shop = server.open_shop()
    shop.take()
    page = shop.watch()
    before = page.next().picture
    server.restart()
    assert page.ends(within=2)
    shop.take()
    with shop.watch() as page:
        after = page.next().picture
    assert after["epoch"] == before["epoch"]
    assert after["version"] > before["version"]
    assert after["queues"][0]["waiting"] == ["A1", "A2"]
