"""How fast a year of a million tickets comes as CSV, and what taking a number costs meanwhile.

python tests/bench/exports.py [--tickets 1000000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import threading
import time

from bench import Table, machine, middle, ms, running
from helpers.places import Place
from helpers.server import Server
from stats import fill

BLOCK = 256 * 1024


def download(server: Server, shop: Place) -> tuple[float, int]:
    """Seconds until the tickets of all days have arrived, and the number of lines."""
    connection, path = server.connect(), shop.links["manage"].partition(str(server.port))[2]
    before = time.perf_counter()
    connection.request("GET", f"{path}/tickets.csv")
    answer = connection.getresponse()
    assert answer.status == 200
    lines = 0
    while block := answer.read(BLOCK):
        lines += block.count(b"\n")
    return time.perf_counter() - before, lines


def take_until(over: threading.Event, shop: Place, times: list[float]) -> None:
    """Takes a number every 50 ms, and notes how long each took."""
    while not over.wait(0.05):
        before = time.perf_counter()
        assert shop.take().status == 201
        times.append(time.perf_counter() - before)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tickets", type=int, default=1_000_000, help="old tickets (1,000,000)")
    options.add_argument("--rounds", type=int, default=3, help="downloads (3)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with running() as server:
        shop = server.open_shop()
        fill(server, shop, asked.tickets)
        seconds = []
        for _ in range(asked.rounds):
            took, lines = download(server, shop)
            assert lines > asked.tickets
            seconds.append(took)
        name = f"{asked.tickets:,} tickets as CSV"
        table.row(name, f"{middle(seconds):.1f} s (at most {max(seconds):.1f} s)", "< 30 s")
        times: list[float] = []
        over = threading.Event()
        taker = threading.Thread(target=take_until, args=(over, shop, times))
        taker.start()
        download(server, shop)
        over.set()
        taker.join()
        table.row("taking a number meanwhile", f"{ms(middle(times))} (at most {ms(max(times))})")


if __name__ == "__main__":
    main()
