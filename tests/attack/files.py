"""A database that is removed, replaced, damaged or emptied under the server, and files that may not grow."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

from helpers.places import Place
from helpers.server import Server

PAGE_BYTES = 4096
ROUNDS = 5
EXPECTS_ERRORS = True  # the log shows how a damage was found


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    for harm in (remove, remove_log, replace, empty, damage):
        for _ in range(ROUNDS if harm is damage else 1):
            server = start()
            shop = server.open_shop()
            for _ in range(50):
                assert shop.take().status == 201
            harm(checkpointed(server))
            tries = [shop.take().status for _ in range(5)]
            if harm is not damage:  # a damaged page is noticed when it is read
                assert tries == [503] * 5, tries
                assert "restore a backup" in unhealthy(server) or harm is replace
            statuses = {status_of(server, link) for link in pages(shop)}
            assert statuses <= {200, 404, 503}, statuses
            server.kill()
            yield f"{harm.__name__.replace('_', ' ')} the database"
    yield no_room(start)


def status_of(server: Server, link: str) -> int:
    """Return the status of a page; 503 as well for a download that breaks off where the damage is."""
    try:
        return server.get(link).status
    except HTTPException:
        return 503


def pages(shop: Place) -> list[str]:
    """Return URLs that read much of the database."""
    return [shop.links[name] for name in ("customers", "board", "manage", "stats", "tickets_csv", "export")]


def unhealthy(server: Server) -> str:
    """Return what /healthz says; it must fail within three seconds."""
    deadline = time.monotonic() + 3
    while (response := server.get("/healthz")).status != 503:
        assert time.monotonic() < deadline, "/healthz says that all is well"
        time.sleep(0.1)
    return str(response.body["error"])


def checkpointed(server: Server) -> Path:
    """Return the database file, after everything was moved into it from the write-ahead log."""
    path = server.data / "takeanumber.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def remove(path: Path) -> None:
    """Remove the database with all that belongs to it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def remove_log(path: Path) -> None:
    """Remove the database, but not its write-ahead log."""
    path.unlink()


def replace(path: Path) -> None:
    """Put a copy in its place, as somebody may who restores by hand."""
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def empty(path: Path) -> None:
    """Leave a file without content."""
    os.truncate(path, 0)


def damage(path: Path) -> None:
    """Overwrite a fifth of the pages."""
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // PAGE_BYTES):
            if random.random() < 0.2:
                file.seek(page * PAGE_BYTES)
                file.write(os.urandom(PAGE_BYTES))


def no_room(start: Callable[..., Server]) -> str:
    """Take numbers while no file may grow, and again afterwards."""
    server = start()
    shop = server.open_shop()
    taken = [shop.take().body["number"]]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (PAGE_BYTES, resource.RLIM_INFINITY))
    for _ in range(500):
        response = shop.take()
        if response.status == 201:
            taken.append(response.body["number"])
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    time.sleep(0.2)
    taken.append(shop.take().body["number"])
    server.kill()
    server.start()
    assert shop.waiting() == taken, "a number that was given is lost"
    server.stop()
    return "no room for files to grow"
