"""The application in this process, on a database of the test and with a clock that the test moves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

import takeanumber
from app import clock as app_clock
from app.storage.private import create_directory, create_file
from app.storage.upgrade import create_database
from helpers.client import AppClient
from helpers.clock import REAL_PROCESSES, Clock
from helpers.compiled import compile_once
from helpers.forks import run_program
from helpers.html_browser import Browser
from helpers.places import Caller, Desk, Door, Place, open_deli


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Remove settings from the environment, so that they don't change the tests."""
    with pytest.MonkeyPatch.context() as changed:
        for name in [
            name for name in os.environ if name.startswith("TAKEANUMBER_") or name in ("HOST", "PORT")
        ]:
            changed.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Compile routes and templates once, for the thousand applications that the tests create."""
    with pytest.MonkeyPatch.context() as changed:
        compile_once(changed.setattr)
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clock:
    """The clock of the service: a fixed time, or the real one in a test that also starts a real process."""
    clock = Clock()
    if REAL_PROCESSES & set(request.fixturenames):
        clock.set_to_now()
    monkeypatch.setattr(app_clock, "source", clock)
    return clock


def close(app: flask.Flask) -> None:
    """End the threads of an application and close its database."""
    app.extensions["takeanumber"].live.close()
    app.extensions["takeanumber"].database.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without places, to copy: creating the tables takes ten times as long."""
    path = tmp_path_factory.mktemp("empty") / "takeanumber.db"
    create_database(path).close()
    return path


@pytest.fixture
def start(
    tmp_path: Path, clock: Clock, database_settings: dict[str, Any], empty_database: Path
) -> Iterator[Callable[..., flask.Flask]]:
    """Create applications with these settings; close them all after the test.

    The database of the test is a copy of an empty one. With another `data`, the application creates its own.
    """
    apps = []
    path = tmp_path / "data" / "takeanumber.db"

    def start(**settings: Any) -> flask.Flask:
        options = {"data": path.parent, "takes_per_minute": 10**9} | database_settings | settings
        if not database_settings and not settings.keys() & {"data", "database_url"} and not path.exists():
            create_directory(path.parent)
            create_file(path)
            shutil.copyfile(empty_database, path)
        apps.append(takeanumber.create_app(**options))
        return apps[-1]

    yield start
    for app in apps:
        close(app)


@pytest.fixture
def app(start: Callable[..., flask.Flask]) -> flask.Flask:
    """The application with default settings."""
    return start()


@pytest.fixture
def client(app: flask.Flask) -> AppClient:
    return AppClient(app)


@pytest.fixture
def browser(app: flask.Flask) -> Callable[[], Browser]:
    """Returns a new browser without JavaScript each time it is called."""
    return lambda: Browser(app)


@pytest.fixture
def place(client: AppClient, clock: Clock) -> Place:
    """A place with a queue named "Deli"."""
    return open_deli(client, timezone=clock.noon_zone)


@pytest.fixture
def clinic(client: AppClient) -> Place:
    """A place in Berlin with a call list named "Follow-ups"."""
    place = open_deli(client, timezone="Europe/Berlin")
    assert place.owner_post("/queues", name="Follow-ups", kind="calls").status == 201
    return place


@pytest.fixture
def bakery(place: Place) -> Place:
    """`place` with a second queue."""
    assert place.owner_post("/queues", name="Bakery").status == 201
    return place


@pytest.fixture
def shop(place: Place) -> Place:
    """`place` with a counter: ten people may be inside."""
    assert place.owner_post("/counters", name="Shop", capacity=10).status == 201
    return place


@pytest.fixture
def door(shop: Place) -> Door:
    """The only door of `shop`."""
    return shop.door()


@pytest.fixture
def ana(place: Place) -> Desk:
    """A servicer at Window 2."""
    return place.desk("Ana", "Window 2")


@pytest.fixture
def ben(place: Place) -> Desk:
    """A servicer at Window 3."""
    return place.desk("Ben", "Window 3")


@pytest.fixture
def cleo(clinic: Place) -> Caller:
    """A caller of `clinic`."""
    return clinic.caller("Cleo")


@pytest.fixture
def dan(clinic: Place) -> Caller:
    """A second caller of `clinic`."""
    return clinic.caller("Dan")


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the program, or of another version of it, to its end, on the data of this test."""

    def run(*words: str, program: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {"TAKEANUMBER_DATA": str(tmp_path / "data"), **environment}
        if program is None:
            return run_program(words, environment, cwd=tmp_path)
        return subprocess.run(
            [sys.executable, program / "takeanumber.py", *words],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
