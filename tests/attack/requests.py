"""Requests of strangers that are too large, never finished or malformed: others are served all the time."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path

from helpers.places import Place
from helpers.server import Server

MIB = 2**20
MAX_GROWTH_MB = 40  # of the server's memory, over all of it
ROUNDS = 300  # of malformed requests
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
FILL = {FORM: b"a&", JSON: b"[],", "multipart/form-data; boundary=b": b"--b\r\n", "text/plain": b"x"}
PATHS = ("/", "/places", "/nobody/manage/nothing/contacts", "/nobody/door/nothing/taps", "/api/requestCall")
PIECES = (b"GET", b"POST", b"\xff", b"\0", b"/", b" HTTP/1.1", b"HTTP/9.9", b"\r\n", b"\n", b":", b"Host: a")
PIECES += (b"Content-Length: -1", b"Transfer-Encoding: chunked", b"Content-Length: 5", b"%00", b"a" * 9000)


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    server = start()
    shop = server.open_shop()
    before = memory_mb(server)
    for kind, piece in FILL.items():
        for path in PATHS:
            status = send_body(server, path, piece * (16 * MIB // len(piece)), kind)
            assert status in (400, 401, 404, 413, None), f"{path} as {kind}: {status}"
        yield f"16 MiB of {kind} at {len(PATHS)} URLs"
    assert_serves(shop)
    yield unfinished(server, shop)
    malformed = random.Random(1)
    for _ in range(ROUNDS):
        send(server, b"".join(malformed.choices(PIECES, k=malformed.randint(1, 30))) + b"\r\n\r\n")
    assert_serves(shop)
    yield f"{ROUNDS} malformed requests"
    growth = memory_mb(server) - before
    assert growth < MAX_GROWTH_MB, f"memory grew by {growth} MB"
    yield f"memory grew by {growth} MB in all"


def unfinished(server: Server, shop: Place) -> str:
    """Open connections that never send a whole request, while a customer at another address is served."""
    with ExitStack() as stack:
        for n in range(400):
            with suppress(OSError):
                connection = stack.enter_context(connect(server))
                length = 16 * MIB if n % 2 else 10
                connection.sendall(
                    f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\na".encode()
                )
        other = HTTPConnection("127.0.0.1", server.port, timeout=5, source_address=("127.0.0.9", 0))
        began = time.monotonic()
        other.request("GET", f"/{shop.slug}")
        assert other.getresponse().status == 200, "nobody else is served"
        took = time.monotonic() - began
    return f"400 unfinished requests; somebody else waited {took:.2f} s"


def connect(server: Server) -> socket.socket:
    """Return a new connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def send(server: Server, request: bytes) -> None:
    """Send bytes, and read what comes, if anything does."""
    with suppress(OSError), connect(server) as connection:
        connection.settimeout(0.2)
        connection.sendall(request)
        connection.recv(65536)


def send_body(server: Server, path: str, body: bytes, kind: str) -> int | None:
    """Return the status of a POST, or None if the server closed the connection first."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": kind, "Accept": "application/json"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def assert_serves(shop: Place) -> None:
    """Raise AssertionError unless numbers are still given."""
    assert shop.take().status == 201, "no number is given"


def memory_mb(server: Server) -> int:
    """Return the memory that the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024
