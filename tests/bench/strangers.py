"""What one request of a stranger costs: the time until its answer, and the memory that it needs.

python tests/bench/strangers.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import re
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench import Table, machine, middle, ms, running
from helpers.server import Server

KIB, MIB = 2**10, 2**20
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
WANTED = "< 100 ms, < 20 MB"
# What is sent, its type, what is repeated, up to which size, and to which path: none means the queue's.
BODIES = [
    ("16 MiB of a form to contacts", FORM, b"a&", 16 * MIB, "/nobody/manage/nothing/contacts"),
    ("16 MiB of JSON to contacts", JSON, b"[],", 16 * MIB, "/nobody/manage/nothing/contacts"),
    ("16 MiB of nested JSON to contacts", JSON, b"[", 16 * MIB, "/nobody/manage/nothing/contacts"),
    ("16 MiB of a multipart form to an import", "multipart/form-data; boundary=b", b"--b\r\n", 16 * MIB,
     "/nobody/manage/nothing/contacts/import"),
    ("64 KiB of a form to a queue", FORM, b"a&", 64 * KIB, ""),
    ("64 KiB of JSON to a queue", JSON, b"[],", 64 * KIB, ""),
    ("64 KiB of nested JSON to a queue", JSON, b"[", 64 * KIB, ""),
    ("64 KiB of a form to the start page", FORM, b"code=1&", 64 * KIB, "/"),
]  # fmt: skip


def memory(server: Server, name: str) -> int:
    """Return a figure of the server's memory in bytes: VmRSS (now) or VmHWM (most since reset_peak())."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) * KIB


def reset_peak(server: Server) -> None:
    """Let the kernel count the most memory anew."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def send(server: Server, method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> int:
    """Return the status of the answer, or 0 if the server closed the connection before."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body or None, {"Content-Type": kind, **headers} if kind else headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def measure(table: Table, server: Server, what: str, rounds: int, *request: Any, **headers: str) -> None:
    """Send the same request some times, one after the other."""
    seconds, most, statuses = [], 0.0, set()
    for _ in range(rounds):
        reset_peak(server)
        before = memory(server, "VmRSS")
        began = time.perf_counter()
        statuses.add(send(server, *request, **headers))
        seconds.append(time.perf_counter() - began)
        most = max(most, (memory(server, "VmHWM") - before) / 1e6)
    times = f"{ms(middle(seconds))} (at most {ms(max(seconds))})"
    table.row(what, f"{times}, {most:.1f} MB, status {', '.join(map(str, sorted(statuses)))}", WANTED)


def measure_four(table: Table, server: Server, what: str, *request: Any) -> None:
    """Send the same request four times at once."""
    reset_peak(server)
    before = memory(server, "VmRSS")
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as four:
        list(four.map(lambda _: send(server, *request), range(4)))
    took = time.perf_counter() - began
    table.row(what, f"{ms(took)}, {(memory(server, 'VmHWM') - before) / 1e6:.1f} MB", "< 400 ms, < 80 MB")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5, help="how often each is sent (5)")
    rounds = options.parse_args().rounds
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with running() as server:
        shop = server.open_shop()
        place = f"/{shop.slug}"
        for page in ("/", place):
            send(server, "GET", page, Accept="text/html")  # the first page compiles its template
        for what, kind, piece, size, path in BODIES:
            request = ("POST", path or shop.take_url, piece * (size // len(piece)), kind)
            measure(table, server, what, rounds, *request)
        _, kind, piece, size, path = BODIES[0]
        body = piece * (size // len(piece))
        measure_four(table, server, "the first, four times at once", "POST", path, body, kind)
        measure(table, server, "a page", rounds, "GET", place, Accept="text/html")
        measure(table, server, "60 KiB after “?”", rounds, "GET", f"{place}?{'a&' * (30 * KIB)}")
        measure(table, server, "60 KiB of cookies", rounds, "GET", place, Cookie="a=b; " * (12 * KIB))


if __name__ == "__main__":
    main()
