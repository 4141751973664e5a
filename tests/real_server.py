"""A real server on a real port, with clients that speak to it through real sockets.

def test_a_customer_takes_a_number(server):
    shop = server.open_shop()
    assert shop.take().content["number"] == "A1"
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest
from helpers.clock import zone_at_hour

ROOT = Path(__file__).resolve().parent.parent
SERVE = [sys.executable, str(ROOT / "takeanumber.py"), "serve"]
ADDRESSES = cycle(range(2, 250))  # of a loopback, to come from
GENEROUS = {"TAKEANUMBER_TAKES_PER_MINUTE": "1000000", "TAKEANUMBER_MAX_WAITING": "100000"}


def free_port() -> int:
    """A port that nobody listens at, below those that outgoing connections are given."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randint(20000, 32000)))
            except OSError:
                continue
            return probe.getsockname()[1]


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    content: Any
    headers: dict[str, str]


class Server:
    """`takeanumber.py serve` in a process and a data directory of its own; settings are keyword arguments."""

    def __init__(self, data: Path, *options: str, command: list[str] = SERVE, **settings: Any):
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [*command, *options]
        self._environment = {
            k: v for k, v in os.environ.items() if not k.startswith("TAKEANUMBER_")
        } | GENEROUS
        self._environment |= {f"TAKEANUMBER_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment |= {"TAKEANUMBER_DATA": str(data), "HOST": "127.0.0.1", "PORT": str(self.port)}
        self._log = data.with_name(f"{data.name}-{self.port}.log")
        self._mine, self._connections, self._lives = threading.local(), [], 0
        self.start()

    # ----- its process

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._lives += 1
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, f"The server ended while it started:\n{self.log}"
            assert time.monotonic() < deadline, f"The server didn't answer in 30 s:\n{self.log}"
            try:
                if self.get("/healthz").status == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.02)

    def stop(self, by: int = signal.SIGTERM, within: float = 15) -> int:
        """Asks it to end, and returns its exit status."""
        self.process.send_signal(by)
        return self.ends(within)

    def ends(self, within: float) -> int:
        """Waits until it ends by itself, and returns its exit status."""
        status = self.process.wait(within)
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        return status

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Ends it politely where it still runs, and starts it on the same data and port."""
        if self.process.poll() is None:
            self.stop()
        self.start()

    @property
    def log(self) -> str:
        """All that it has printed and logged."""
        return self._log.read_text("utf-8", "replace")

    # ----- asking it

    def get(self, url: str) -> Answer:
        """What it answers to a GET."""
        return self._ask("GET", url)

    def post(self, url: str, content: dict[str, Any] | None = None) -> Answer:
        """What it answers to a POST of JSON."""
        return self._ask("POST", url, json.dumps(content or {}))

    def connect(self) -> HTTPConnection:
        """This thread's connection to it, which stays open from request to request."""
        if getattr(self._mine, "life", None) != self._lives:
            self._mine.connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            self._mine.life = self._lives
            self._connections.append(self._mine.connection)
        elif time.monotonic() - self._mine.used > 60:  # the server closes what nobody uses
            self._mine.connection.close()
        self._mine.used = time.monotonic()
        if self._mine.connection.sock is None:
            self._mine.connection.connect()
        return self._mine.connection

    def _ask(self, method: str, url: str, body: str | None = None) -> Answer:
        connection = self.connect()
        head = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        try:
            connection.request(method, urlsplit(url)._replace(scheme="", netloc="").geturl(), body, head)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, HTTPException):
            connection.close()
            raise
        headers = {name.lower(): value for name, value in answer.getheaders()}
        is_json = headers.get("content-type", "").startswith("application/json")
        return Answer(answer.status, json.loads(text) if is_json else text, headers)

    def at_once(self, *requests: Callable[[], Any]) -> list[Any]:
        """Does all of these at the same instant, over connections that are open; returns what they return."""
        ready = threading.Barrier(len(requests))

        def one(request: Callable[[], Any]) -> Any:
            self.connect()
            ready.wait(30)
            return request()

        with ThreadPoolExecutor(len(requests)) as people:
            return list(people.map(one, requests))

    def open_shop(self, **asked: Any) -> Shop:
        """Opens a place with one queue, "Deli", from another address each time: one opens only 20 an hour."""
        address = f"127.0.0.{next(ADDRESSES)}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(address, 0))
        body = json.dumps({"name": "Corner Deli", "queue": "Deli", "timezone": zone_at_hour(12)} | asked)
        connection.request("POST", "/places", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.load(answer)
        connection.close()
        assert answer.status == 201, content
        return Shop(self, content)


class Shop:
    """A place on a server, as its links give it."""

    def __init__(self, server: Server, content: dict[str, Any]):
        self.server, self.links = server, content["links"]
        self.slug, self.take_url = content["slug"], content["queues"][0]["links"]["take"]

    def take(self, **asked: Any) -> Answer:
        """A customer takes a number."""
        return self.server.post(self.take_url, asked)

    def desk(self, name: str = "Ana", desk: str = "Window 1") -> str:
        """A servicer begins; returns the link of her desk."""
        answer = self.server.post(self.links["staff"], {"name": name, "desk": desk})
        assert answer.status == 201, answer
        return answer.content["links"]["desk"]

    def add_queue(self, name: str) -> dict[str, Any]:
        """The owner adds a queue."""
        answer = self.server.post(f"{self.links['manage']}/queues", {"name": name})
        assert answer.status == 201, answer
        return answer.content

    def picture(self) -> dict[str, Any]:
        """What everybody may see of it now."""
        return self.server.get(self.links["customers"]).content

    def waiting(self) -> list[str]:
        """The numbers that wait in its first queue."""
        return self.picture()["queues"][0]["waiting"]

    def tickets(self) -> list[dict[str, str]]:
        """All its tickets, as the owner downloads them."""
        text = self.server.get(f"{self.links['manage']}/tickets.csv").content
        return list(csv.DictReader(text.splitlines()))

    def history(self) -> list[dict[str, Any]]:
        """All that happened, as the owner downloads it, each with the number of its ticket."""
        export = self.server.get(f"{self.links['manage']}/export.json").content
        numbers = {ticket["id"]: ticket["number"] for ticket in export.get("ticket", [])}
        return [event | {"number": numbers.get(event["ticket_id"])} for event in export["event"]]

    def watch(self, address: str = "127.0.0.1") -> Stream:
        """Opens the live stream, as a page at that address does."""
        return Stream(self.links["live"], address)


@dataclass(frozen=True)
class Event:
    """One server-sent event and when it arrived (time.monotonic()); a comment line has the kind "comment"."""

    kind: str
    id: str
    text: str
    at: float

    @property
    def picture(self) -> dict[str, Any]:
        """The picture that it brings."""
        return json.loads(self.text)

    def shows(self, number: str) -> bool:
        """Whether this number waits in its picture."""
        return any(number in queue["waiting"] for queue in self.picture["queues"])


class Stream:
    """An open stream of server-sent events, read by a thread of its own that notes when each arrives."""

    def __init__(self, url: str, address: str = "127.0.0.1"):
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60, source_address=(address, 0))
        self._connection.connect()
        self._socket = self._connection.sock
        self._connection.request("GET", parts.path, headers={"Accept": "text/event-stream"})
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.headers = {name.lower(): value for name, value in self._answer.getheaders()}
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        if self.status == 200:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            while line := self._answer.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name or value:
                    fields["comment" if line.startswith(b":") else name] = value
                    continue
                kind = fields.get("event") or next(iter(fields), "")
                self._events.put(Event(kind, fields.get("id", ""), fields.get("data", ""), time.monotonic()))
                fields = {}
        except (OSError, HTTPException, ValueError, AttributeError):
            pass  # it was closed, by us or by the server
        self._events.put(None)

    def next(self, within: float = 5, kind: str = "state") -> Event:
        """The next event of this kind; fails when none arrives in time."""
        deadline = time.monotonic() + within
        while True:
            try:
                event = self._events.get(timeout=max(0.001, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"No {kind} event arrived in {within} s.") from None
            assert event is not None, f"The stream ended before a {kind} event."
            if event.kind == kind:
                return event

    def until(self, wanted: Callable[[Event], bool], within: float = 5) -> list[Event]:
        """The pictures up to the first that is wanted; fails when it doesn't arrive in time."""
        deadline, seen = time.monotonic() + within, []
        while not seen or not wanted(seen[-1]):
            seen.append(self.next(max(0.001, deadline - time.monotonic())))
        return seen

    def ends(self, within: float) -> bool:
        """Whether the server ends the stream in time."""
        self._reader.join(within)
        return not self._reader.is_alive()

    def close(self) -> None:
        """Leaves, as a page does that is closed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._answer.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.status == 200:
            self.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, on the test's own data directory if none is given; ends them all after the test."""
    servers: list[Server] = []

    def start(*options: str, data: Path = tmp_path / "data", **settings: Any) -> Server:
        servers.append(Server(data, *options, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that only open places on it, and leave it as it is; started once."""
    server = Server(tmp_path_factory.mktemp("shared") / "data", places="open")
    yield server
    server.kill()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A running server."""
    return start_server()
