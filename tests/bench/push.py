"""How soon a notification leaves after "Next customer", and what notifications cost the rest of the server.

python tests/bench/push.py [--customers 500] [--presses 200] [--rounds 5] [--seconds 3]

The push service is a process of its own, on loopback, and answers at once.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from bench import LIMITS, Figures, Table, customer, load, machine, memory_of, ms, speeds, spread
from helpers.places import Place
from helpers.receivers import Subscriber
from helpers.server import Server

PER_ADDRESS = 50  # subscriptions from one address; the server allows 60 a minute
PACE_S = 0.2  # between two presses
DESKS = 20  # so that nobody is done before a late message has left: then it would be dropped
IDLE_S = 10
LOST_S = 30  # a message that takes longer is lost


class PushService(BaseHTTPRequestHandler):
    """Keeps what is posted, with its time; a GET returns that and forgets it."""

    got: ClassVar[list[tuple[float, str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((time.time(), self.path, base64.b64encode(body).decode()))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = json.dumps(self.got).encode()
        self.got.clear()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Service:
    """The push service, from outside."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def take(self) -> list[tuple[float, str, bytes]]:
        """Return what has come since the last call: when, the path and the message."""
        link = HTTPConnection("127.0.0.1", self.port, timeout=30)
        link.request("GET", "/")
        got = json.loads(link.getresponse().read())
        link.close()
        return [(at, path, base64.b64decode(body)) for at, path, body in got]

    def take_until_quiet(self, quiet_s: float = 3) -> list[tuple[float, str, bytes]]:
        """Return what comes until nothing comes for a while."""
        got, until = [], time.monotonic() + quiet_s
        while time.monotonic() < until:
            time.sleep(0.5)
            more = self.take()
            if more:
                got += more
                until = time.monotonic() + quiet_s
        return got


@contextmanager
def push_service() -> Iterator[Service]:
    """Run the push service in a process of its own."""
    process = subprocess.Popen([sys.executable, __file__, "--service"], stdout=subprocess.PIPE, text=True)
    try:
        yield Service(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


def serve() -> None:
    """Be the push service."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), PushService)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


def subscribe(place: Place, service: Service, customers: int) -> dict[str, Subscriber]:
    """Take so many numbers and ask for notifications of each; return the browsers by their number."""
    phones = {}
    for nth in range(customers):
        ticket = place.take().body
        phone = phones[ticket["number"]] = Subscriber(service.url, ticket["number"])
        url = urlsplit(ticket["links"]["ticket"])
        source = (f"127.0.1.{1 + nth // PER_ADDRESS}", 0)
        link = HTTPConnection("127.0.0.1", url.port, timeout=30, source_address=source)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        link.request("POST", f"{url.path}/notify", json.dumps(phone.subscription), headers)
        answer = link.getresponse()
        if answer.status != 200:
            raise SystemExit(answer.read().decode())
        link.close()
    return phones


def press_next(place: Place, presses: int, pace_s: float = 0.0) -> dict[str, float]:
    """Press "Next customer" so often; return when, by the number that was called."""
    desks = [place.desk(f"Servicer {nth}", f"Window {nth}") for nth in range(DESKS)]
    pressed_at = {}
    for nth in range(presses):
        at = time.time()
        number = desks[nth % DESKS].call_next()["number"]
        pressed_at[number] = at
        time.sleep(max(0.0, at + pace_s - time.time()))
    return pressed_at


def measure_presses(table: Table, place: Place, service: Service, phones: dict, presses: int) -> None:
    """Measure from the press of "Next customer" to the post of "your turn"."""
    service.take_until_quiet()  # those who are told "soon" at the beginning
    pressed_at = press_next(place, presses, PACE_S)
    late = []
    for at, path, body in service.take_until_quiet():
        number = path.rpartition("/")[2]
        if ": Window" in phones[number].read(body)["title"]:
            late.append(at - pressed_at.pop(number))
    late = sorted(late) + [LOST_S] * len(pressed_at)
    p50, p99 = (ms(late[min(len(late) - 1, int(q * len(late)))]) for q in (0.5, 0.99))
    what = f"“Next customer”, until “your turn” is posted, {len(phones)} customers subscribed, {DESKS} desks"
    figures = f"p50 {p50}, p99 {p99}, slowest {ms(late[-1])}, {len(pressed_at)} of {presses} lost"
    table.row(what, figures, "p99 < 1 s")


def measure_message(table: Table, place: Place, service: Service) -> None:
    """Measure a message to everybody who waits."""
    at = time.time()
    if place.owner_post("/messages", text="Back in ten minutes", push=True).status != 200:
        raise SystemExit("The message was refused.")
    times = [each[0] - at for each in service.take_until_quiet()]
    table.row(f"a message to everybody, until the last of {len(times)} is posted", ms(max(times)), "")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--customers", type=int, default=500, help="customers who are subscribed (500)")
    options.add_argument("--presses", type=int, default=200, help="presses of Next customer (200)")
    options.add_argument("--rounds", type=int, default=5, help="rounds of taking numbers (5)")
    options.add_argument("--seconds", type=float, default=3, help="seconds of each round (3)")
    options.add_argument("--service", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.service:
        serve()
        return
    print(machine(), end="\n\n", flush=True)
    table = Table()
    with tempfile.TemporaryDirectory() as folder, push_service() as service:
        plain = Server(Path(folder) / "plain", **LIMITS)
        server = Server(Path(folder) / "push", push_hosts=service.url, **LIMITS)
        try:
            place, other = server.open_shop(), plain.open_shop()
            phones = subscribe(place, service, asked.customers)
            for _ in range(asked.customers):
                other.take()
            press_next(other, asked.presses)  # so that both servers have the same line, desks and experience
            measure_presses(table, place, service, phones, asked.presses)
            measure_message(table, place, service)
            time.sleep(IDLE_S)
            memory = f"{memory_of(server):.0f} MB; a server without any: {memory_of(plain):.0f} MB"
            table.row("memory, idle, after these notifications", memory, "< 100 MB")
            at_work: dict[Server, list[Figures]] = {plain: [], server: []}
            for nth in range(asked.rounds + 1):
                for each, shop in ((plain, other), (server, place)):
                    figures = load(each, [customer(shop.take_url, []) for _ in range(12)], asked.seconds)
                    if nth:  # the first round only warms up
                        at_work[each].append(figures)
            with_push, without = at_work[server], at_work[plain]
            ratios = [a.rate("take") / b.rate("take") for a, b in zip(with_push, without, strict=True)]
            figures = f"{speeds(with_push, 'take')}; without subscriptions {speeds(without, 'take')}"
            what = "taking a number, 12 clients at once, while customers are subscribed"
            table.row(what, f"{figures}; ratio of the rates {spread(ratios)}", "no slower")
        finally:
            server.kill()
            plain.kill()


if __name__ == "__main__":
    main()
