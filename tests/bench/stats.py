"""How fast the owner's numbers are over a million tickets, and what taking a number costs meanwhile.

python tests/bench/stats.py [--tickets 1000000] [--a-day 1000] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import sqlite3
import threading
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from bench import Table, customer, fill_with_old_days, load, machine, middle, ms, running, speeds
from helpers.places import Place
from helpers.server import Server

SPREAD = """UPDATE ticket SET queue_id = 1 + id % 2, servicer_id = 1 + id % 6,
                              first_called_at = taken_at + abs(random() % 1500000) / 1000.0,
                              state = CASE abs(random() % 20) WHEN 0 THEN 'cancelled' WHEN 1 THEN 'no_show'
                                      ELSE 'done' END"""
SERVED = """UPDATE ticket SET called_at = first_called_at, started_at = first_called_at + 20,
                              ended_at = first_called_at + 30 + abs(random() % 400000) / 1000.0"""


def fill(server: Server, shop: Place, tickets: int, a_day: int = 1000) -> None:
    """Old days, so many tickets each, in two queues and at six desks, with waits of all lengths."""
    shop.add_queue("Bakery")
    for number in range(6):
        shop.desk(f"Servicer {number}", f"Window {number}")
    server.stop()
    database: Path = server.data / "takeanumber.db"
    fill_with_old_days(database, tickets, a_day)
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(SPREAD)
        db.execute(SERVED)
        db.commit()
    server.start()


def look(server: Server, shop: Place, days: int) -> tuple[float, float]:
    """Seconds until the first and the last byte of the page of so many days, the last of them a full one."""
    last = date.today() - timedelta(5)
    connection, path = server.connect(), shop.links["manage"].partition(str(server.port))[2]
    before = time.perf_counter()
    connection.request("GET", f"{path}/stats?from={last - timedelta(days - 1)}&to={last}")
    answer = connection.getresponse()
    first = time.perf_counter() - before
    assert answer.status == 200
    assert b"By person" in answer.read()
    return first, time.perf_counter() - before


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tickets", type=int, default=1_000_000, help="old tickets (1,000,000)")
    options.add_argument("--a-day", type=int, default=1000, help="of them on each day (1,000)")
    options.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (5)")
    options.add_argument("--seconds", type=float, default=3, help="seconds of each round (3)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with running() as server:
        shop = server.open_shop()
        fill(server, shop, asked.tickets, asked.a_day)
        old = f"{asked.tickets:,} tickets, {asked.a_day:,} a day"
        first, whole = look(server, shop, 365)
        name = f"the numbers of a year right after the start, {old}, first byte"
        table.row(name, f"{ms(first)}; the whole page {ms(whole)}", "< 1 s")
        for days, what, wanted in ((1, "a day", "≤ 200 ms"), (30, "30 days", ""), (365, "a year", "< 1 s")):
            times = [look(server, shop, days)[1] for _ in range(asked.rounds)]
            name = f"the same of {what}, the whole page"
            table.row(name, f"{ms(middle(times))} (at most {ms(max(times))})", wanted)
        alone, meanwhile, over = [], [], threading.Event()

        def keep_looking() -> None:
            while not over.is_set():
                look(server, shop, 365)
                over.wait(1)

        for _ in range(asked.rounds):
            alone.append(load(server, [customer(shop.take_url, []) for _ in range(4)], asked.seconds))
            over.clear()
            owner = threading.Thread(target=keep_looking)
            owner.start()
            meanwhile.append(load(server, [customer(shop.take_url, []) for _ in range(4)], asked.seconds))
            over.set()
            owner.join()
        table.row("taking a number, 4 clients at once", speeds(alone, "take"))
        table.row("the same, while somebody looks at a year every second", speeds(meanwhile, "take"))


if __name__ == "__main__":
    main()
