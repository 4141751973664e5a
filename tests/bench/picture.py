"""How many bytes the open pages of a busy place need: 500 waiting, 50 desks, 1,000 pages.

python tests/bench/picture.py [--waiting 500] [--desks 50] [--pages 1000] [--changes 0.5] [--seconds 30]
"""

from __future__ import annotations

import argparse
import os
import selectors
import threading
import time
from typing import Any

from bench import Table, close_streams, fill_line, machine, open_streams, running
from helpers.places import Desk, Place
from helpers.server import Server


def fill(shop: Place, waiting: int, desks: int) -> list[Desk]:
    """Let every desk have served one customer, serve another, and so many wait."""
    everybody = [shop.desk(f"Servicer {number}", f"Window {number}") for number in range(1, desks + 1)]
    fill_line(shop, 2 * desks)
    for _ in range(2):
        for desk in everybody:
            call_next(desk)
    fill_line(shop, waiting)
    return everybody


def call_next(desk: Desk) -> None:
    """Press "Next customer"."""
    current = desk.get()["current"]
    response = desk.post("next", finished=current["number"] if current else None)
    assert response.status == 200, response.body


def change(shop: Place, desks: list[Desk], changes: int, a_second: float) -> None:
    """Take a number and call the next customer, in turn, at this pace."""
    began = time.perf_counter()
    for number in range(changes):
        time.sleep(max(0.0, began + number / a_second - time.perf_counter()))
        if number % 2:
            shop.take()
        else:
            call_next(desks[number // 2 % len(desks)])


def receive(streams: selectors.BaseSelector, seconds: float) -> int:
    """Read from all streams for so many seconds; return the number of bytes."""
    total = 0
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        for key, _ in streams.select(0.1):
            total += len(key.fileobj.recv(1_000_000))
    return total


def cpu_seconds(server: Server) -> float:
    """Seconds for which the server's process has used a processor."""
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(table: Table, shop: Place, desks: list[Desk], asked: Any, server: Server, accept: str) -> None:
    """Open the pages, change the place for a while, and add a row."""
    streams = open_streams(shop, asked.pages, accept)
    changes = round(asked.changes * asked.seconds)
    at_work = threading.Thread(target=change, args=(shop, desks, changes, asked.changes))
    before = cpu_seconds(server)
    at_work.start()
    total = receive(streams, asked.seconds)
    at_work.join()
    used_s = cpu_seconds(server) - before
    close_streams(streams)
    rate = total * 8 / asked.seconds / 1e6
    size = total / asked.pages / changes
    table.row(
        f"{asked.pages:,} pages, {asked.waiting} waiting, {asked.desks} desks, {asked.changes:g} changes a "
        f"second, {'compressed' if accept else 'as it is'}",
        f"{size:,.0f} bytes a change and page, {rate:.1f} Mbit/s, "
        f"{1000 * used_s / changes:.0f} ms of CPU a change",
        "≤ 10 Mbit/s" if accept else "",
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--waiting", type=int, default=500, help="people who wait (500)")
    options.add_argument("--desks", type=int, default=50, help="desks (50)")
    options.add_argument("--pages", type=int, default=1000, help="open pages (1,000)")
    # 50 desks that serve for four minutes each call 12 customers a minute, and as many come: 0.4 a second.
    options.add_argument("--changes", type=float, default=0.5, help="changes a second (0.5)")
    options.add_argument("--seconds", type=float, default=30, help="seconds of each measurement (30)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with running("--threads", "1200") as server:
        shop = server.open_shop()
        desks = fill(shop, asked.waiting, asked.desks)
        for accept in ("", "gzip"):
            measure(table, shop, desks, asked, server, accept)


if __name__ == "__main__":
    main()
