"""Limits of what one client can use of a real server: connections, time, memory, disk, streams."""

import json
import os
import resource
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPConnection

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from helpers.waiting import wait_for

from app.web import picture_json

MIB = 2**20
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


def connect(server, address="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(address, 0))


def is_closed(connection, within):
    """Return whether the server closes a connection in time."""
    connection.settimeout(within)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def stored_bytes(server):
    """Return how many bytes the server keeps in unnamed temporary files."""
    total = 0
    for name in os.listdir(f"/proc/{server.process.pid}/fd"):
        with suppress(OSError):
            path = f"/proc/{server.process.pid}/fd/{name}"
            if "deleted" in os.readlink(path):
                total += os.stat(path).st_size
    return total


@pytest.fixture
def many_files():
    """Let this process open a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_address_can_t_have_all_connections(start_server, many_files):
    server = start_server()
    with ExitStack() as stack:
        for _ in range(760):
            with suppress(OSError):
                stack.enter_context(connect(server)).sendall(HEAD)
        other = HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=("127.0.0.9", 0))
        other.request("GET", "/")
        assert other.getresponse().status == 200
    time.sleep(0.5)
    assert server.get("/").status == 200  # closed connections are available again


FEW_FILES = """
import resource
import takeanumber

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
takeanumber.cli()
"""


def test_where_few_files_may_be_open_there_are_fewer_connections(start_server, many_files):
    server = start_server(code=FEW_FILES)
    shop = server.open_shop()
    with ExitStack() as stack:
        for number in range(330):
            with suppress(OSError):
                stack.enter_context(connect(server, f"127.0.0.{10 + number % 5}")).sendall(HEAD)
        time.sleep(0.5)
        assert "Too many open files" not in server.log
    assert shop.take().status == 201


def test_behind_a_proxy_its_address_may_have_them(start_server, many_files):
    server = start_server(proxies=1)
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connect(server)).sendall(HEAD)
        assert server.get("/").status == 200


def test_a_request_has_thirty_seconds_to_arrive(start_server):
    server = start_server()
    shop = server.open_shop()
    contacts = shop.links["manage"].removeprefix(server.url) + "/contacts"
    began = time.monotonic()
    beginnings = [
        b"",
        HEAD,
        f"POST {contacts} HTTP/1.1\r\nHost: a\r\nContent-Length: {16 * MIB}\r\n\r\n".encode(),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]
    connections = [connect(server) for _ in beginnings]
    for connection, beginning in zip(connections, beginnings, strict=True):
        connection.sendall(beginning)
    assert server.get("/").status == 200  # this connection is idle from now on, and stays open
    while time.monotonic() < began + 25:  # a byte now and then doesn't help
        time.sleep(1)
        for connection in connections[1:]:
            connection.sendall(b"1")
    assert all(is_closed(each, 15) for each in connections)
    assert 28 < time.monotonic() - began < 40
    assert server.get("/").status == 200


AHEAD_UNTIL_SET = """
import os
import time
import takeanumber
from app import server

server.REQUEST_S, server.CHECK_S = 0.5, 0.2
takeanumber.WAITRESS["channel_timeout"] = 1
right = time.time
is_set = os.environ["TAKEANUMBER_DATA"] + "/clock-is-set"
time.time = lambda: right() + (0 if os.path.exists(is_set) else 86400)
takeanumber.cli()
"""


def test_connections_are_closed_in_time_after_the_clock_was_set_back(start_server):
    server = start_server(code=AHEAD_UNTIL_SET)
    with connect(server) as late, connect(server) as idle:
        idle.sendall(HEAD + b"\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        (server.data / "clock-is-set").touch()
        late.sendall(HEAD)
        assert is_closed(late, within=20)
        assert is_closed(idle, within=20)


def test_unfinished_bodies_fill_neither_memory_nor_disk(start_server):
    server = start_server()
    shop = server.open_shop()
    contacts = shop.links["manage"].removeprefix(server.url) + "/contacts"
    paths = [contacts, "/corner-deli", f"/corner-deli/manage/{'x' * 22}/contacts", "/"] * 8
    with ExitStack() as stack:
        for path in paths:
            connection = stack.enter_context(connect(server))
            with suppress(OSError):
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {16 * MIB}\r\n\r\n".encode()
                )
                for _ in range(15):
                    connection.sendall(b"x" * MIB)
        time.sleep(1)
        assert stored_bytes(server) <= 64 * MIB
        assert shop.take().status == 201
    wait_for(lambda: stored_bytes(server) == 0)


def test_a_body_that_is_too_large_is_refused_in_a_sentence_and_the_connection_goes_on(server):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    for size in (70_000, MIB, 5 * MIB):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/places", b"x" * size, headers)
        answer = connection.getresponse()
        assert (answer.status, "64 KiB" in json.loads(answer.read())["error"]) == (413, True)
    chunks = (b"x" * 50_000 for _ in range(4))
    connection.request("POST", "/places", chunks, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, "64 KiB" in json.loads(answer.read())["error"]) == (413, True)
    connection.request("POST", "/places", iter([b'{"name": ', b'"Deli"}']), headers, encode_chunked=True)
    assert connection.getresponse().status == 201


def test_who_waits_for_permission_to_send_too_much_is_refused_at_once(server):
    with connect(server) as connection:
        connection.sendall(
            b"POST /places HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
        assert is_closed(connection, 5)


@pytest.mark.parametrize("frame", [b"1;" + b"x" * 5000, b"0\r\n" + b"a: b\r\n" * 5000])
def test_what_frames_a_chunked_body_is_bounded(server, frame):
    with connect(server) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + frame)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_file_of_contacts_still_arrives(server):
    shop = server.open_shop()
    rows = "".join(f"Name {n},+1 202 555 {n:04},{'x' * 300}\n" for n in range(9000))
    body = {"text": "name,phone,notes\n" + rows}
    answer = server.post(f"{shop.links['manage']}/contacts/import", body)
    assert (answer.status, answer.body["rows"]) == (201, 9000)


# ----- streams


def test_a_client_that_sends_nonsense_and_goes_away_leaves_no_error_in_the_log(server):
    for _ in range(300):
        with connect(server) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n")
            connection.recv(1)  # the first bytes of the answer
    assert server.get("/healthz").status == 200
    assert "Traceback" not in server.log


def test_one_client_has_half_of_the_streams(start_server):
    server = start_server("--threads", "84")
    shop = server.open_shop()
    pages = [shop.watch() for _ in range(12)]
    others = [shop.watch(address="127.0.0.2") for _ in range(12)]
    assert [page.status for page in pages] == [200] * 10 + [429] * 2
    assert [page.status for page in others] == [200] * 10 + [429] * 2
    for page in (*pages, *others):
        if page.status == 200:
            page.close()


def test_a_stream_that_ends_frees_its_slot_at_once(start_server):
    server = start_server("--threads", "84")
    shop = server.open_shop()
    for _ in range(5):
        # The server notices a moment later that the pages of the last time were closed.
        pages = [wait_for(partial(accepted, shop), within=5) for _ in range(10)]
        assert shop.watch().status == 429
        for page in pages:
            page.close()


def accepted(shop):
    """Return a new stream, or None if the server refuses it."""
    page = shop.watch()
    return page if page.status == 200 else None


def test_each_stream_has_links_for_its_own_host_from_one_picture(start, monkeypatch):
    client = AppClient(start())
    place = open_deli(client)
    rendered = []
    original = picture_json.RenderedPicture.__init__

    def count(self, picture):
        rendered.append(picture)
        original(self, picture)

    monkeypatch.setattr(picture_json.RenderedPicture, "__init__", count)
    place.customer()
    rendered.clear()
    for n in range(30):
        answer = client.flask_client.get("/corner-deli/live", headers={"Host": f"host-{n}.example"})
        first = next(answer.response)
        assert f"http://host-{n}.example/corner-deli/deli/tickets".encode() in first
        answer.close()
    assert len(rendered) <= 2  # two if a minute ends meanwhile
