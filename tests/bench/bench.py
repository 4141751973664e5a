"""How fast it is, measured against real servers on real ports, with a bare Flask "hello" beside it.

    python tests/bench/bench.py [--only take call old live counters start] [--rounds 5] [--seconds 3]

What is compared takes turns, round by round, so that a busy machine troubles both; figures are medians of
the rounds, and each ratio is that of one round. Prints the table that the README shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import selectors
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers.places import Place
from helpers.server import ROOT, SERVE, Server

HELLO = """
import logging, os, threading
import flask, waitress
from takeanumber import WAITRESS

app = flask.Flask(__name__)
app.get("/healthz", endpoint="healthz")(lambda: "well")
app.get("/")(lambda: "hello")
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
threading.stack_size(2**21)
waitress.serve(app, host="127.0.0.1", port=os.environ["PORT"], threads=256, connection_limit=712, **WAITRESS)
"""
TAPS_A_DAY = 10_000
WANTED_RATIOS = {1: 0.2, 12: 0.3, 100: 0.36}  # of taking a number to "hello", by the number of clients
LIMITS = {"takes_per_minute": 10**9, "max_waiting": 10**6, "streams_per_address": 10**6}
Client = Generator[
    tuple[str, bytes], tuple[int, bytes], None
]  # yields (kind, request), is sent (status, body)


# ----- a light load: all clients in one thread, with requests made beforehand


def get(url: str, accept: str = "application/json", encoding: str = "") -> bytes:
    """A GET, as it goes over the wire; `encoding` is a compression that is accepted."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{parts.query and '?'}{parts.query}"
    accepts = f"Accept: {accept}\r\n" + (f"Accept-Encoding: {encoding}\r\n" if encoding else "")
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{accepts}\r\n".encode()


def post(url: str, content: dict[str, Any]) -> bytes:
    """A POST of JSON, as it goes over the wire."""
    body = json.dumps(content)
    head = f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Figures:
    """What came of one round: answers a second and seconds an answer, by the kind of request."""

    def __init__(self, seconds: float):
        self.seconds, self.errors, self.own_share = seconds, 0, 0.0
        self.times: dict[str, list[float]] = defaultdict(list)

    def rate(self, kind: str) -> float:
        return len(self.times[kind]) / self.seconds

    def quantile(self, kind: str, q: float) -> float:
        times = sorted(self.times[kind])
        return times[min(len(times) - 1, int(q * len(times)))]


def load(server: Server, clients: list[Client], seconds: float) -> Figures:
    """Lets all clients ask for so many seconds over open connections, each as fast as it is answered."""
    figures, waiting = Figures(seconds), selectors.DefaultSelector()
    for client in clients:
        link = socket.create_connection(("127.0.0.1", server.port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(link, selectors.EVENT_READ, [client, *next(client), 0.0, b""])
    began = time.perf_counter() + 0.3  # until then it warms up
    own, over = time.process_time(), began + seconds
    for key in list(waiting.get_map().values()):
        key.data[3] = time.perf_counter()
        key.fileobj.sendall(key.data[2])
    while waiting.get_map():
        for key, _ in waiting.select(30):
            link, state = key.fileobj, key.data
            client, kind, _, asked_at, so_far = state
            answer = so_far + link.recv(262144)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = head.lower().find(b"content-length: ")
            if length < 0 or len(body) < int(head[length + 16 :].split(b"\r\n", 1)[0]):
                state[4] = answer
                continue
            now, status = time.perf_counter(), int(answer[9:12])
            figures.errors += status not in (200, 201)
            if began <= now < over:
                figures.times[kind].append(now - asked_at)
            state[1:] = [*client.send((status, body)), now, b""]
            if now >= over:
                waiting.unregister(link)
                link.close()
            else:
                link.sendall(state[2])
    figures.own_share = (time.process_time() - own) / (time.perf_counter() - began + 0.3)
    return figures


def hello() -> Client:
    """Asks the bare Flask for its "hello"."""
    request = get("/")
    while True:
        yield "hello", request


def customer(url: str, given: list[str]) -> Client:
    """Takes one number after the other."""
    request = post(url, {})
    while True:
        status, body = yield "take", request
        if status == 201:
            given.append(json.loads(body)["number"])


def servicer(take: str, desk: str, called: list[str]) -> Client:
    """Calls one customer after the other; before each, a new one comes, so that the line stays."""
    come, finished = post(take, {}), None
    while True:
        yield "take", come
        status, body = yield "next", post(f"{desk}/next", {"finished": finished})
        if status == 200:
            finished = json.loads(body)["current"]["number"]
            called.append(finished)


def visitor(url: str) -> Client:
    """Opens a page again and again."""
    request = get(url, "text/html")
    while True:
        yield "page", request


def door(taps: str) -> Client:
    """Taps one person in after the other."""
    while True:
        yield "tap", post(taps, tap())


def tap() -> dict[str, Any]:
    """One person who comes in, as a door sends it."""
    return {"taps": [{"id": str(uuid4()), "delta": 1}]}


# ----- the table


class Table:
    """Rows as they are measured."""

    def __init__(self) -> None:
        print("| what | figures | wanted |\n|---|---|---|", flush=True)

    def row(self, what: str, figures: str, wanted: str = "") -> None:
        print(f"| {what} | {figures} | {wanted} |", flush=True)


def ms(seconds: float) -> str:
    """Seconds as people compare them."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def middle(values: Iterator[float] | list[float]) -> float:
    return statistics.median(values)


def spread(ratios: list[float]) -> str:
    return f"{middle(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def speeds(rounds: list[Figures], kind: str) -> str:
    """The medians of the rounds for one kind of request."""
    rate = middle([each.rate(kind) for each in rounds])
    p50, p99 = (middle([each.quantile(kind, q) for each in rounds]) for q in (0.5, 0.99))
    errors = sum(each.errors for each in rounds)
    return f"{rate:,.0f} a second, p50 {ms(p50)}, p99 {ms(p99)}, {errors} errors"


def machine() -> str:
    """What it was measured on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = model[0].partition(": ")[2] if model else platform.machine()
    cores, python, sqlite = len(os.sched_getaffinity(0)), platform.python_version(), sqlite3.sqlite_version
    versions = f"Python {python}, SQLite {sqlite}"
    return f"{date.today()}, {cores} cores ({name}), {versions}, load {os.getloadavg()[0]:.1f} at the start."


# ----- what is measured


@contextmanager
def running(*options: str, command: list[str] = SERVE, data: Path | None = None) -> Iterator[Server]:
    """A server for one measurement."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(data or Path(folder) / "data", *options, command=command, **LIMITS)
        try:
            yield server
        finally:
            server.kill()


def measure_taking(table: Table, rounds: int, seconds: float) -> None:
    """Taking a number, beside a bare "hello"."""
    with running() as server, running(command=[sys.executable, "-c", HELLO]) as bare:
        shop, queues = server.open_shop(), 0
        for clients in WANTED_RATIOS:
            takes, hellos, given = [], [], []
            for _ in range(rounds):
                queues += 1  # each round begins with an empty line
                url, numbers = shop.add_queue(f"Round {queues}")["links"]["take"], []
                takes.append(load(server, [customer(url, numbers) for _ in range(clients)], seconds))
                hellos.append(load(bare, [hello() for _ in range(clients)], seconds))
                given += numbers
            ratios = [
                take.rate("take") / bare.rate("hello") for take, bare in zip(takes, hellos, strict=True)
            ]
            people = f"{clients} client{'s' if clients > 1 else ''} at once"
            twice = f"{len(given) - len(set(given))} of {len(given):,} numbers given twice"
            table.row(
                f"taking a number, {people}",
                f"{speeds(takes, 'take')}, {twice}",
                "p99 < 300 ms" if clients == 100 else "",
            )
            table.row(f"the bare Flask “hello”, {people}", speeds(hellos, "hello"))
            table.row(f"ratio of the two, {people}", spread(ratios), f"≥ {WANTED_RATIOS[clients]:.2f}")
            share = max(each.own_share for each in takes + hellos)
            print(f"<!-- the load's own share of a core: at most {share:.2f} -->", flush=True)


def fill_line(shop: Place, length: int) -> None:
    for _ in range(length):
        shop.take()


def measure_calling(table: Table, rounds: int, seconds: float) -> None:
    """Calling the next customer, while another one comes for each."""
    with running() as server:
        shop = server.open_shop()
        fill_line(shop, 20)
        for desks in (1, 12):
            called, at_work = [], []
            for _ in range(rounds):
                links = [shop.desk(f"Servicer {n}", f"Window {n}").link for n in range(desks)]
                at_work.append(
                    load(server, [servicer(shop.take_url, link, called) for link in links], seconds)
                )
            twice = f"{len(called) - len(set(called))} of {len(called):,} called twice"
            people = f"{desks} desk{'s' if desks > 1 else ''} at once"
            table.row(f"calling next, {people} (a take before each)", f"{speeds(at_work, 'next')}, {twice}")


@contextmanager
def filling(database: Path) -> Iterator[sqlite3.Connection]:
    """The database of a stopped server, to put much into it: its indexes are made again afterwards."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -400000")
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        db.execute("BEGIN")
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        yield db
        for _, sql in indexes:
            db.execute(sql)
        db.execute("COMMIT")


def fill_with_old_days(database: Path, tickets: int, a_day: int = 1000) -> None:
    """Puts so many tickets of past days, all done, and their history into the place of a stopped server."""
    with filling(database) as db:
        db.execute("CREATE TEMP TABLE old (n INTEGER PRIMARY KEY, day TEXT, at REAL)")
        db.execute(
            """WITH RECURSIVE step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n + 1 < :tickets)
               INSERT INTO old
               SELECT n, date('now', '-' || (:tickets / :a_day + 2 - n / :a_day) || ' days'), 0 FROM step""",
            {"tickets": tickets, "a_day": a_day},
        )
        db.execute("UPDATE old SET at = unixepoch(day) + 36000 + n % :a_day * 30", {"a_day": a_day})
        db.execute(
            """INSERT INTO ticket (place_id, queue_id, servicer_id, token, series, number, ordinal, state,
                                   priority, party, joined_at, taken_at, first_called_at, called_at,
                                   started_at, ended_at, tries, by_phone)
               SELECT place.id, queue.id, servicer.id, hex(randomblob(11)), day, 'A' || (n % :a_day + 1),
                      n % :a_day + 1, 'done', 3, 1 + n % 4, at, at, at + 300, at + 300, at + 320, at + 500,
                      0, 0
               FROM old, (SELECT min(id) AS id FROM place) AS place,
                    (SELECT min(id) AS id FROM queue) AS queue,
                    (SELECT min(id) AS id FROM servicer) AS servicer ORDER BY n""",
            {"a_day": a_day},
        )
        for kind, state, moment in (
            ("take", "waiting", "taken_at"),
            ("call", "called", "called_at"),
            ("start", "serving", "started_at"),
            ("done", "done", "ended_at"),
        ):
            db.execute(
                f"""INSERT INTO event (place_id, queue_id, ticket_id, servicer_id, kind, state, happened_at)
                    SELECT place_id, queue_id, id, servicer_id, :kind, :state, {moment} FROM ticket
                    WHERE state = 'done' ORDER BY id""",
                {"kind": kind, "state": state},
            )


def measure_old_days(table: Table, rounds: int, seconds: float, tickets: int) -> None:
    """Taking and calling in a database full of old days, against an empty one."""
    with running() as empty, running() as old:
        shops = {each: each.open_shop() for each in (empty, old)}
        desks = {
            each: [shop.desk(f"S {n}", f"W {n}").link for n in range(12)] for each, shop in shops.items()
        }
        old.stop()
        before = time.perf_counter()
        fill_with_old_days(old.data / "takeanumber.db", tickets)
        took, size = time.perf_counter() - before, (old.data / "takeanumber.db").stat().st_size
        old.start()
        for shop in shops.values():
            fill_line(shop, 20)
        at_work: dict[Server, list[Figures]] = {empty: [], old: []}
        for nth in range(rounds + 1):
            for server in (empty, old):
                shop, called = shops[server], []
                for desk in desks[server]:  # so that each begins with nobody
                    current = server.get(desk).body["current"]
                    if current:
                        server.post(f"{desk}/done", {"number": current["number"]})
                clients = [servicer(shop.take_url, desk, called) for desk in desks[server]]
                figures = load(server, clients, seconds)
                if nth:  # the first round only warms up
                    at_work[server].append(figures)
        print(f"<!-- {tickets:,} old tickets: {size / 1e6:,.0f} MB, filled in {took:.0f} s -->", flush=True)
        for kind, name in (("take", "taking a number"), ("next", "calling next")):
            row_of_costs(table, f"{name} with {tickets:,} old tickets", kind, at_work)


def row_of_costs(table: Table, what: str, kind: str, at_work: dict[Server, list[Figures]]) -> None:
    """How much more something costs in the second of two servers than in the first, which is empty."""
    empty, full = at_work.values()
    costs = [a.rate(kind) / b.rate(kind) for a, b in zip(empty, full, strict=True)]
    times = [b.quantile(kind, 0.5) / a.quantile(kind, 0.5) for a, b in zip(empty, full, strict=True)]
    table.row(
        what,
        f"{speeds(full, kind)}; in an empty database {speeds(empty, kind)}; "
        f"cost, by p50: {spread(times)} times, by rate: {spread(costs)} times",
        "≤ 1.2 times",
    )


def memory_of(server: Server) -> float:
    """Megabytes that the server's process has resident."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def open_streams(shop: Place, count: int, encoding: str = "") -> selectors.BaseSelector:
    """Opens so many streams, and waits until each has had its first picture."""
    streams, first = selectors.DefaultSelector(), get(shop.links["live"], encoding=encoding)
    for _ in range(count):
        link = socket.create_connection(("127.0.0.1", shop.client.port))
        link.sendall(first)
        streams.register(link, selectors.EVENT_READ, [b""])
    # In a compressed stream, the mark of the format and the end of its first part stand for the picture.
    wait_for(streams, b"\x1f\x8b\x08" if encoding else b"event: state", within=60)
    time.sleep(1)
    for key, _ in streams.select(0):
        key.fileobj.recv(262144)  # what else came while they were opened
    return streams


def wait_for(streams: selectors.BaseSelector, wanted: bytes, within: float) -> list[float]:
    """Reads until all streams have had these bytes; returns when each had them, the last one last."""
    heard, deadline = {}, time.perf_counter() + within
    for key in streams.get_map().values():
        key.data[0] = b""
    while len(heard) < len(streams.get_map()):
        ready = streams.select(max(0, deadline - time.perf_counter()))
        if not ready:
            missing = len(streams.get_map()) - len(heard)
            raise SystemExit(f"{missing} streams didn't hear of it in {within} s.")
        for key, _ in ready:
            more = key.fileobj.recv(262144)
            if not more:
                raise SystemExit("A stream was closed.")
            key.data[0] += more
            if wanted in key.data[0]:
                heard.setdefault(key.fd, time.perf_counter())
    return sorted(heard.values())


def measure_live(table: Table, rounds: int) -> None:
    """How long until the slowest of many streams has a change, and what the server weighs with them."""
    with running("--threads", "1200") as server:
        shop = server.open_shop()
        time.sleep(1)
        table.row("memory, idle, --threads 1200", f"{memory_of(server):.0f} MB", "")
        for count, wanted in ((100, "≤ 100 ms"), (1000, "≤ 300 ms")):
            streams, slowest, pages = open_streams(shop, count), [], []
            for _ in range(rounds):
                time.sleep(1)
                with closing(socket.create_connection(("127.0.0.1", server.port))) as page:
                    before = time.perf_counter()
                    number = shop.take().body["number"]
                    asked = time.perf_counter()
                    page.sendall(get(shop.links["customers"]))
                    slowest.append(wait_for(streams, f'"{number}"'.encode(), 10)[-1] - before)
                    page.settimeout(10)
                    page.recv(262144)
                    pages.append(time.perf_counter() - asked)
            figures = f"{ms(middle(slowest))} (the {rounds} rounds: {ms(min(slowest))} to {ms(max(slowest))})"
            table.row(f"a change, until the slowest of {count:,} streams has it", figures, wanted)
            table.row(f"a page asked for at that moment, {count:,} streams", f"at most {ms(max(pages))}")
            if count == 1000:
                table.row("memory with 1,000 streams", f"{memory_of(server):.0f} MB", "< 160 MB")
            close_streams(streams)


def close_streams(streams: selectors.BaseSelector) -> None:
    for key in list(streams.get_map().values()):
        key.fileobj.close()
    streams.close()


def open_counter(shop: Place, doors: int = 8) -> dict[str, Any]:
    """Adds a counter with so many doors; returns what the owner sees of it."""
    url = f"{shop.links['manage']}/counters"
    counter = shop.client.post(url, {"name": "Inside", "capacity": 100_000, "empties": "never"}).body
    for n in range(doors - 1):
        shop.client.post(f"{url}/{counter['slug']}/doors", {"name": f"Door {n}"})
    return shop.client.get(counter["links"]["counter"]).body


def fill_with_taps(database: Path, taps: int) -> None:
    """Puts so many taps, of today and the days before, into the only counter of a stopped server."""
    with filling(database) as db:
        db.execute(
            """WITH RECURSIVE step(n) AS (SELECT :taps - 1 UNION ALL SELECT n - 1 FROM step WHERE n > 0),
                    today(begins) AS (SELECT unixepoch('now', '-4 hours', 'start of day', '+4 hours')),
                    tap(n, nth, begins, lasts) AS (
                        SELECT n, :a_day - n % :a_day, begins - n / :a_day * 86400,
                               min(43200.0, CASE WHEN n < :a_day THEN unixepoch() - begins ELSE 43200 END)
                        FROM step, today)
               INSERT INTO event (place_id, counter_id, door_id, kind, tap, delta, happened_at)
               SELECT place_id, counter.id, (SELECT min(id) FROM door) + n % 8, 'tap',
                      lower(printf('%s-%s-4000-8000-%s', hex(randomblob(4)), hex(randomblob(2)),
                                   hex(randomblob(6)))),
                      CASE n % 2 WHEN 0 THEN -1 ELSE 1 END, begins + nth * lasts / :a_day
               FROM tap, counter ORDER BY n DESC""",
            {"taps": taps, "a_day": TAPS_A_DAY},
        )
        db.execute("UPDATE counter SET inside = (SELECT sum(delta) FROM event WHERE kind = 'tap')")


def measure_tapping(table: Table, rounds: int, seconds: float, taps: int) -> None:
    """The charts of days in a history full of taps; tapping with it, against an empty one."""
    with running() as empty, running() as full:
        counters = {each: open_counter(each.open_shop()) for each in (empty, full)}
        full.stop()
        fill_with_taps(full.data / "takeanumber.db", taps)
        full.start()
        chart = counters[full]["links"]["counter"]
        today = date.fromisoformat(full.get(chart).body["day"]["day"])
        for name, before in (("today's", 0), ("the first day's", taps // TAPS_A_DAY - 1)):
            url = f"{chart}?day={today - timedelta(days=before)}"
            opened = [load(full, [visitor(url)], seconds) for _ in range(rounds)]
            what = f"{name} chart with {taps:,} taps in the history, {TAPS_A_DAY:,} a day"
            table.row(what, speeds(opened, "page"), "< 300 ms")
        at_work: dict[Server, list[Figures]] = {empty: [], full: []}
        for nth in range(rounds + 1):
            for server, counter in counters.items():
                clients = [door(f"{each['links']['door']}/taps") for each in counter["doors"]]
                figures = load(server, clients, seconds)
                if nth:  # the first round only warms up
                    at_work[server].append(figures)
        row_of_costs(table, f"a tap with {taps:,} taps in the history, 8 doors at once", "tap", at_work)


def tap_steadily(server: Server, door: str, taps: int, a_second: float) -> tuple[float, float]:
    """Taps one person in after the other at this pace; returns when it began and when the last was sent."""
    began = at = time.perf_counter()
    for n in range(taps):
        time.sleep(max(0, began + n / a_second - time.perf_counter()))
        at = time.perf_counter()
        server.post(f"{door}/taps", tap())
    return began, at


def measure_doors(table: Table, rounds: int, seconds: float) -> None:
    """How long after the last of fifty taps a second all open pages have it."""
    with running("--threads", "300") as server, ThreadPoolExecutor(9) as people:
        shop = server.open_shop()
        doors = [each["links"]["door"] for each in open_counter(shop)["doors"]]
        streams, taps, waits, rates = open_streams(shop, 200), round(50 / 8 * seconds), [], []
        for nth in range(1, rounds + 1):
            shown = f'"count": {nth * taps * len(doors)},'.encode()
            heard = people.submit(wait_for, streams, shown, seconds + 30)
            at_work = [people.submit(tap_steadily, server, each, taps, 50 / 8) for each in doors]
            begins, ends = zip(*(each.result() for each in at_work), strict=True)
            waits += [at - max(ends) for at in heard.result()]
            rates.append((taps - 1) * len(doors) / (max(ends) - min(begins)))
        close_streams(streams)
        p50, p99 = (ms(sorted(waits)[int(q * len(waits))]) for q in (0.5, 0.99))
        table.row(
            f"8 doors, {middle(rates):.0f} taps a second together: the last one, until 200 pages have it",
            f"p50 {p50}, p99 {p99}, slowest {ms(max(waits))} ({rounds} rounds of {seconds:g} s)",
            "p99 < 1 s",
        )


def measure_counters(table: Table, rounds: int, seconds: float, taps: int) -> None:
    """Counters: with a history full of taps, and with many doors."""
    measure_tapping(table, rounds, seconds, taps)
    measure_doors(table, rounds + 4, seconds)


def measure_start(table: Table, rounds: int) -> None:
    """From the command to the first answer, on a new database and on an old one; memory when idle."""
    for what in ("a new database", "one that is there"):
        times = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                data = Path(folder) / "data"
                if what != "a new database":
                    Server(data).stop()
                before = time.perf_counter()
                server = Server(data)
                times.append(time.perf_counter() - before)
                time.sleep(1.5)
                weight = memory_of(server)
                server.kill()
        table.row(f"start to first answer, {what}", f"{middle(times):.2f} s", "< 1.5 s")
    table.row("memory, idle", f"{weight:.0f} MB", "< 80 MB")


def main() -> None:
    parts: dict[str, Callable] = {
        "take": lambda table, asked: measure_taking(table, asked.rounds, asked.seconds),
        "call": lambda table, asked: measure_calling(table, asked.rounds, asked.seconds),
        "old": lambda table, asked: measure_old_days(table, asked.rounds + 2, asked.seconds, asked.tickets),
        "live": lambda table, asked: measure_live(table, asked.rounds + 4),
        "counters": lambda table, asked: measure_counters(table, asked.rounds, asked.seconds, asked.tap),
        "start": lambda table, asked: measure_start(table, asked.rounds),
    }
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="these parts (all)")
    options.add_argument("--rounds", type=int, default=5, help="rounds of each comparison (5)")
    options.add_argument("--seconds", type=float, default=3, help="seconds of each round (3)")
    options.add_argument("--tickets", type=int, default=1_000_000, help="old tickets (1,000,000)")
    options.add_argument("--taps", type=int, default=1_000_000, help="taps in the history (1,000,000)")
    asked = options.parse_args()
    os.chdir(ROOT)  # where the bare Flask finds the settings of waitress
    print(machine(), end="\n\n", flush=True)
    table = Table()
    for part in asked.only:
        parts[part](table, asked)


if __name__ == "__main__":
    main()
