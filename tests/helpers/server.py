"""The program in a process of its own, on a real port.

def test_a_customer_takes_a_number(server):
    shop = server.open_shop()
    assert shop.take().body["number"] == "A1"
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPException
from itertools import cycle
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from helpers.client import HttpClient
from helpers.clock import zone_at_hour
from helpers.forks import ROOT, START, Forked
from helpers.places import Place, open_deli

SERVE = [sys.executable, str(ROOT / "takeanumber.py"), "serve"]
ADDRESSES = cycle(range(2, 250))  # the last bytes of the loopback addresses that open_shop() uses
GENEROUS = {"TAKEANUMBER_TAKES_PER_MINUTE": "1000000", "TAKEANUMBER_MAX_WAITING": "100000"}


def _ports() -> Iterator[int]:
    """Yield the ports of this process, which no other process of the same run of tests has.

    None comes a second time before all others have: a server that was stopped may start again on its port.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(20000 + worker % 8, 32000, 8)  # below those that outgoing connections are given
    first = random.randrange(len(ports))
    return cycle([*ports[first:], *ports[:first]])


PORTS = _ports()


def free_port() -> int:
    """Return a free port."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = next(PORTS)
            probe.bind(("127.0.0.1", port))
            return port


class Server(HttpClient):
    """`takeanumber.py serve` in a process of its own, and a client of it; settings are keyword arguments.

    The process is forked, unless a command starts it. `code` may change the program; see Forked.
    """

    def __init__(
        self, data: Path, *options: str, command: list[str] | None = None, code: str = START, **settings: Any
    ):
        super().__init__(free_port())
        self.data = data
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [*command, *options] if command else None
        self._words, self._code = ["serve", *options], code
        self._environment = {
            k: v for k, v in os.environ.items() if not k.startswith("TAKEANUMBER_")
        } | GENEROUS
        self._environment |= {f"TAKEANUMBER_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment |= {"TAKEANUMBER_DATA": str(data), "HOST": "127.0.0.1", "PORT": str(self.port)}
        self._log = data.with_name(f"{data.name}-{self.port}.log")
        self.start()

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        self.forget_connections()
        with self._log.open("ab") as log:
            self.process = self._start_process(log)
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, f"The server ended while it started:\n{self.log}"
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"The server didn't answer in 60 s:\n{self.log}")
            try:
                if self.get("/healthz").status == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.02)

    def _start_process(self, log: BinaryIO) -> subprocess.Popen[bytes] | Forked:
        if self._command is None:
            return Forked(self._words, env=self._environment, stdout=log, stderr=log, code=self._code)
        return subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def stop(self, by: int = signal.SIGTERM, within: float = 15) -> int:
        """Ask the process to end; return its exit status."""
        self.process.send_signal(by)
        return self.ends(within)

    def ends(self, within: float) -> int:
        """Wait until the process ends; return its exit status."""
        status = self.process.wait(within)
        self.forget_connections()
        return status

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the process if it still runs, and start it on the same data and port."""
        if self.process.poll() is None:
            self.stop()
        self.start()

    @property
    def log(self) -> str:
        """Everything that the process has printed and logged."""
        return self._log.read_text("utf-8", "replace")

    def open_shop(self, **content: Any) -> Place:
        """Open "Corner Deli", each time from another address, since one address may open only 20 an hour."""
        client = HttpClient(self.port, address=f"127.0.0.{next(ADDRESSES)}")
        place = open_deli(client, **{"timezone": zone_at_hour(12)} | content)
        client.forget_connections()
        place.client = self
        return place


TOKEN_COLUMNS = {
    "place": ("manage_token", "staff_token"),
    "servicer": ("token",),
    "door": ("token",),
    "ticket": ("token", "claim"),
    "mail_address": ("token",),
}


def issued_tokens(data: Path) -> set[str]:
    """Return every token that the database in a directory holds; none if it can't be read."""
    tokens: set[str] = set()
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{data}/takeanumber.db?mode=ro", uri=True)) as db,
    ):
        for table, columns in TOKEN_COLUMNS.items():
            for column in columns:
                found = db.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
                tokens.update(token for (token,) in found)
    return tokens


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers, on the data directory of the test if none is given; end them all after the test."""
    servers: list[Server] = []

    def start(*options: str, data: Path = tmp_path / "data", **settings: Any) -> Server:
        servers.append(Server(data, *options, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()
    for server in servers:
        leaked = [token for token in issued_tokens(server.data) if token in server.log]
        assert not leaked, f"The log holds tokens of links:\n{server.log}"


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that only open places on it; started once."""
    server = Server(tmp_path_factory.mktemp("shared") / "data", places="open")
    yield server
    server.kill()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A running server."""
    return start_server()
