"""How long a large database takes to be backed up and restored, and what taking a number costs meanwhile.

python tests/bench/backup.py [--tickets 450000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench import Table, customer, fill_with_old_days, load, machine, middle, ms, running
from helpers.places import Place
from helpers.server import ROOT, Server


def command(*words: str) -> float:
    """Seconds that a command takes, its start included."""
    before = time.perf_counter()
    subprocess.run([sys.executable, ROOT / "takeanumber.py", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def slowest_take(server: Server, shop: Place, words: tuple[str, ...] | None) -> tuple[float, float]:
    """The seconds of that command, and of the slowest of 4 customers who take numbers all the while."""
    took: list[float] = []
    meanwhile = threading.Thread(target=lambda: took.append(command(*words)))
    meanwhile.start()
    slowest = 0.0
    while meanwhile.is_alive():
        figures = load(server, [customer(shop.take_url, []) for _ in range(4)], 1)
        slowest = max(slowest, figures.quantile("take", 1))
    return took[0], slowest


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tickets", type=int, default=450_000, help="old tickets (450,000: 200 MB)")
    options.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with running() as server, tempfile.TemporaryDirectory() as stick:
        shop = server.open_shop()
        shop.desk()
        server.stop()
        fill_with_old_days(server.data / "takeanumber.db", asked.tickets)
        size = (server.data / "takeanumber.db").stat().st_size / 1e6
        there = ("--data", str(server.data))
        alone = [command("backup", "--to", stick, *there) for _ in range(asked.rounds)]
        server.start()
        rounds = [slowest_take(server, shop, ("backup", "--to", stick, *there)) for _ in range(asked.rounds)]
        packed = max(path.stat().st_size for path in Path(stick).rglob("*.gz")) / 1e6
        what = f"{size:,.0f} MB, {packed:,.0f} MB when compressed"
        table.row(f"backing up {what}", f"{middle(alone):.1f} s (at most {max(alone):.1f} s)", "< 10 s")
        took = [seconds for seconds, _ in rounds]
        table.row(
            "the same, while 4 clients take numbers", f"{middle(took):.1f} s (at most {max(took):.1f} s)"
        )
        table.row("the slowest number taken meanwhile", ms(max(slowest for _, slowest in rounds)), "< 1 s")
        verified = [command("verify", "--from", stick, *there) for _ in range(asked.rounds)]
        table.row("verifying it", f"{middle(verified):.1f} s")
        new = ("--data", str(server.data.with_name("new")))
        table.row("restoring it on a new machine", f"{command('restore', '--from', stick, *new):.1f} s")


if __name__ == "__main__":
    main()
