"""For how long nothing can be stored while a large shop moves to PostgreSQL, and back.

python tests/bench/move.py [--tickets 100000] [--rounds 1]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import LIMITS, Table, fill_with_old_days, machine, middle
from helpers.places import Place
from helpers.postgres import Cluster
from helpers.server import ROOT, Server

PAUSE = "≤ 5 s"


class Customer(threading.Thread):
    """Takes a number every 20 ms, and notes since when none was given."""

    def __init__(self, shop: Place):
        super().__init__()
        self.refused_at: float | None = None
        self.given = 0
        self._shop = shop
        self._ends = threading.Event()

    def run(self) -> None:
        while not self._ends.wait(0.02):
            if self._shop.take().status == 201:
                self.given += 1
                self.refused_at = None
            elif self.refused_at is None:
                self.refused_at = time.perf_counter()

    def end(self) -> None:
        self._ends.set()
        self.join()


def move(shop: Place, data: Path, *words: str) -> tuple[float, float, int]:
    """Seconds that a move takes, seconds for which nothing could be stored, and numbers taken meanwhile."""
    customer = Customer(shop)
    customer.start()
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, ROOT / "takeanumber.py", "move", *words, "--data", str(data)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = time.perf_counter()
    while customer.refused_at is None:
        time.sleep(0.01)
    customer.end()
    return after - before, max(0.0, after - customer.refused_at), customer.given


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tickets", type=int, default=100_000, help="old tickets (100,000)")
    options.add_argument("--rounds", type=int, default=1, help="moves there and back (1)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    cluster = Cluster(fsync="on")
    table = Table()
    there: list[tuple[float, float, int]] = []
    back: list[tuple[float, float, int]] = []
    try:
        for _ in range(asked.rounds):
            with tempfile.TemporaryDirectory() as folder:
                url = cluster.create_database()
                server = Server(Path(folder) / "data", **LIMITS)
                shop = server.open_shop()
                shop.desk()
                server.stop()
                fill_with_old_days(server.data / "takeanumber.db", asked.tickets)
                server.start()
                there.append(move(shop, server.data, "--to", url))
                server.kill()
                on_postgresql = Server(Path(folder) / "other", database_url=url, **LIMITS)
                again = Place(on_postgresql, {"slug": shop.slug, "links": shop.links})
                again.take_links = shop.take_links
                back.append(move(again, server.data, "--from", url))
                on_postgresql.kill()
                server.start()
                assert shop.take().status == 201
                server.kill()
            cluster.drop_database(url)
    finally:
        cluster.close()
    for what, rounds in (("to PostgreSQL", there), ("back to a file", back)):
        whole, paused = (middle([each[at] for each in rounds]) for at in (0, 1))
        given = sum(each[2] for each in rounds)
        name = f"moving {asked.tickets:,} tickets and {4 * asked.tickets:,} events {what}"
        table.row(name, f"{whole:.1f} s, {given:,} numbers taken meanwhile")
        table.row("of these, nothing could be stored for", f"{paused:.1f} s", PAUSE)


if __name__ == "__main__":
    main()
