"""How many numbers a second PostgreSQL gives, with one instance and with several, beside SQLite.

    python tests/bench/postgres.py [--rounds 3] [--seconds 3] [--clients 100]

All take turns, round by round; figures are medians. The server's own ceiling is what pgbench stores a second
in transactions of about the same size.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from itertools import cycle
from pathlib import Path

from bench import LIMITS, Figures, Table, customer, load, machine, middle, speeds, spread
from helpers.places import Place
from helpers.postgres import Cluster, programs
from helpers.server import Server

INSTANCES = (1, 2, 4)
MANY = 100  # places
SQLITE = "SQLite"


class Balancer:
    """Leads each new connection to the next of several instances."""

    def __init__(self, servers: list[Server]):
        self._ports = cycle([server.port for server in servers])

    @property
    def port(self) -> int:
        return next(self._ports)


def ceiling(cluster: Cluster, url: str, clients: int, seconds: float) -> float:
    """Transactions a second of `pgbench -N`, which changes one row of a large table and adds one."""
    done = subprocess.run(
        [programs() / "pgbench", "-N", "-c", str(clients), "-j", "2", "-T", str(round(seconds)), url],
        check=True,
        capture_output=True,
        text=True,
    )
    match = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert match, done.stdout
    return float(match[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    options.add_argument("--seconds", type=float, default=3, help="seconds of each round (3)")
    options.add_argument("--clients", type=int, default=100, help="clients at once (100)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    cluster = Cluster(fsync="on", autovacuum="on")
    servers: list[Server] = []
    try:
        with tempfile.TemporaryDirectory() as folder:

            def start(name: str, **settings: str) -> Server:
                servers.append(Server(Path(folder) / name, places="open", **LIMITS, **settings))
                return servers[-1]

            name = cluster.create_database().rpartition("/")[2]
            socket = f"postgresql://postgres@/{name}?host={cluster.directory}&port={cluster.port}"
            pgbench = cluster.create_database()
            subprocess.run([programs() / "pgbench", "-i", "-q", "-s", "10", pgbench], check=True,
                           capture_output=True)  # fmt: skip
            instances = [start(f"instance{number}", database_url=socket) for number in range(max(INSTANCES))]
            targets: dict[str, list[Server]] = {SQLITE: [start("file")]}
            targets |= {instance_name(count): instances[:count] for count in INSTANCES}
            measure(targets, Table(), cluster, pgbench, asked)
    finally:
        for server in servers:
            server.kill()
        cluster.close()


def instance_name(count: int) -> str:
    return f"PostgreSQL, {count} instance{'s' if count > 1 else ''}"


def measure(
    targets: dict[str, list[Server]], table: Table, cluster: Cluster, pgbench: str, asked: argparse.Namespace
) -> None:
    """Take numbers at one place, and at many, with each of these groups of servers."""
    databases = {SQLITE: targets[SQLITE][0], "": targets[instance_name(1)][0]}
    shops: dict[str, list[Place]] = {
        kind: [server.open_shop() for _ in range(MANY)] for kind, server in databases.items()
    }
    limits = {clients: [] for clients in (1, 32)}
    figures: dict[tuple[int, str], list[Figures]] = {}
    for nth in range(asked.rounds + 1):  # the first round only warms up
        for clients, rates in limits.items():
            rate = ceiling(cluster, pgbench, clients, asked.seconds)
            if nth:
                rates.append(rate)
        for places in (1, MANY):
            for name, servers in targets.items():
                own = shops[SQLITE if name == SQLITE else ""]
                urls = [shop.take_url for shop in own[:places]]
                given: list[str] = []
                people = [customer(url, given) for url, _ in zip(cycle(urls), range(asked.clients))]
                result = load(Balancer(servers), people, asked.seconds)
                if nth:
                    figures.setdefault((places, name), []).append(result)
    for clients, rates in limits.items():
        table.row(
            f"pgbench -N, {clients} client{'s' if clients > 1 else ''}", f"{middle(rates):,.0f} a second"
        )
    for places in (1, MANY):
        where = "one place" if places == 1 else f"{places} places"
        for name in targets:
            table.row(f"taking a number, {where}, {name}", speeds(figures[places, name], "take"))
        one = figures[places, instance_name(1)]
        for name, wanted in ((SQLITE, "≥ 0.5 of SQLite"), (instance_name(2), "")):
            others = figures[places, name]
            ratios = [
                a.rate("take") / b.rate("take")
                for a, b in zip(*((one, others) if name == SQLITE else (others, one)), strict=True)
            ]
            what = "1 instance to SQLite" if name == SQLITE else "2 instances to 1"
            wanted = wanted if name == SQLITE else ("≥ 1.3" if places == MANY else "")
            table.row(f"ratio, {where}, {what}", spread(ratios), wanted)
        share = max(each.own_share for name in targets for each in figures[places, name])
        print(f"<!-- the load's own share of a core: at most {share:.2f} -->", flush=True)


if __name__ == "__main__":
    main()
