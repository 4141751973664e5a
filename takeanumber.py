#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "alembic==1.20.1",
#   "click==8.5.1",
#   "flask==3.1.3",
#   "flask-wtf==1.3.0",
#   "qrcode==8.2",
#   "sqlalchemy==2.1.9",
#   "tzdata==2026.6",
#   "waitress==3.0.2",
#   "werkzeug==3.1.9",
#   "wtforms==3.3.2",
# ]
# ///
"""Take A Number: one small server for places where people wait.

Customers take a number on their own phone, servicers press "Next customer", everybody sees who is served.
One Flask app and one SQLite file, to be read from top to bottom. Its rooms:

    Settings, Storage, Places, The line, Counters, Numbers, Live, Clock, Pages, Command line

All but the last two know nothing of Flask: they take a connection and plain values, return rows or small
dataclasses, and raise the few exceptions of the first room. Data goes one way: a request, its page, one
function, the writer, an event, the picture.
"""

from __future__ import annotations

import base64
import csv
import faulthandler
import gc
import io
import json
import logging
import math
import os
import random
import re
import resource
import secrets
import signal
import socket
import sqlite3
import sys
import threading
import time
import traceback
import unicodedata
import urllib.error
import urllib.request
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from functools import cache, partial
from heapq import heapify, heappop, heapreplace
from importlib.resources import files
from itertools import accumulate, count, groupby, product
from pathlib import Path
from queue import Empty, SimpleQueue
from string import ascii_uppercase
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo, available_timezones

import click
import flask
import sqlalchemy as sa
import waitress.adjustments
from flask import Blueprint, current_app, g, request, session, url_for
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.engine import Connection, CursorResult, Engine, Row
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from wtforms import BooleanField, Field, Form, IntegerField, SelectMultipleField, StringField
from wtforms.validators import Length, NumberRange, Optional, Regexp, ValidationError

HERE = Path(__file__).resolve().parent
log = logging.getLogger("takeanumber")


# ==========================================================================================================
# Settings: from the environment; and the service's own few exceptions
# ==========================================================================================================


class Refused(Exception):
    """What can't be done, in a sentence that says what to do instead; `status` is its HTTP status."""

    status = 400

    def __init__(self, sentence: str, status: int | None = None, retry_after: int | None = None):
        super().__init__(sentence)
        self.status, self.retry_after = status or self.status, retry_after


BadInput = type("BadInput", (Refused,), {"status": 400})
Forbidden = type("Forbidden", (Refused,), {"status": 403})
NotFound = type("NotFound", (Refused,), {"status": 404})
Conflict = type("Conflict", (Refused,), {"status": 409})
TooMany = type("TooMany", (Refused,), {"status": 429})
Unavailable = type("Unavailable", (Refused,), {"status": 503})


class CannotStart(Exception):
    """Why a command can't do its work, in one sentence for whoever typed it."""


def _within(default: int, low: int, high: int) -> Any:
    return field(default=default, metadata={"within": (low, high)})


@dataclass(frozen=True)
class Settings:
    """How this server runs; each field is read from the environment variable of its name (see the README)."""

    data: Path = Path("data")
    database_url: str = ""
    url: str = ""
    places: str = "one"
    setup_code: str = ""
    takes_per_minute: int = _within(120, 1, 10**9)
    max_waiting: int = _within(500, 1, 10**6)
    streams_per_address: int = _within(200, 1, 10**6)
    proxies: int = _within(0, 0, 10)
    keep_personal_days: int = _within(30, 0, 36500)
    require_database: int = _within(0, 0, 1)
    host: str = "0.0.0.0"
    port: int = _within(8000, 0, 65535)

    def __post_init__(self) -> None:
        if self.database_url:
            raise CannotStart("TAKEANUMBER_DATABASE_URL is not supported yet: leave it out to use SQLite.")
        if self.places not in ("one", "open"):
            raise CannotStart(f"TAKEANUMBER_PLACES must be 'one' or 'open', not '{self.places}'.")
        url = re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[\w.-]+)(:([1-9][0-9]{0,4}))?/?", self.url)
        if self.url and not (url and int(url[3] or 80) < 65536):
            raise CannotStart(f"TAKEANUMBER_URL must look like https://queue.example.org, not '{self.url}'.")
        for item in fields(self):
            low, high = item.metadata.get("within", (0, 0))
            if high and not low <= getattr(self, item.name) <= high:
                raise CannotStart(f"{variable(item.name)} must be a whole number from {low} to {high}.")

    @classmethod
    def read(cls, environment: Mapping[str, str], **options: Any) -> Settings:
        """The settings of an environment, and options given over them; raises CannotStart for nonsense."""
        values = {name: value for name, value in options.items() if value is not None}
        for item in fields(cls):
            if value := environment.get(variable(item.name), "").strip():
                whole = int(value) if re.fullmatch("[0-9]{1,12}", value) else -1
                values.setdefault(item.name, whole if "within" in item.metadata else value)
        return cls(**values)


def variable(name: str) -> str:
    """The environment variable that a setting is read from."""
    return name.upper() if name in ("host", "port") else f"TAKEANUMBER_{name.upper()}"


def now() -> float:
    """Seconds since the epoch; all code asks the time here, so that tests can set the clock."""
    return time.time()


# ==========================================================================================================
# Storage: the schema, many readers, one writer, upgrading
# ==========================================================================================================

SCHEMA = "0003"  # the newest file in migrations/versions: what this code reads and writes
PATIENCE_S = 10.0  # how long a request waits for the writer, and how long the writer may be silent

metadata = sa.MetaData()
_STATEMENTS: dict[str, sa.TextClause | sa.TextualSelect] = {}  # SQL, and what run() made of it


def _table(name: str, *indexes: sa.Index, **columns: str) -> None:
    # Columns by their type, names parted by spaces; one with a question mark may be null.
    types = {"text": sa.Text, "whole": sa.Integer, "at": sa.Double, "of": sa.Integer}
    made = [sa.Column("id", sa.Integer, primary_key=True)]
    for kind, names in columns.items():
        for column, null in re.findall(r"(\w+)(\??)", names):
            parent = [sa.ForeignKey(f"{column}.id")] if kind == "of" else []
            label = f"{column}_id" if parent else column
            made.append(sa.Column(label, types[kind], *parent, nullable=bool(null)))
    sa.Table(name, metadata, *made, *indexes, sqlite_autoincrement=True)


def _index(name: str, columns: str, where: str | None = None, unique: bool = False) -> sa.Index:
    only = sa.text(where) if where else None
    return sa.Index(name, *columns.split(), unique=unique, sqlite_where=only, postgresql_where=only)


_table(
    "place",
    _index("place_slug", "slug", "deleted_at IS NULL", unique=True),
    text="slug name timezone country manage_token staff_token series",  # series: as of the last open_day()
    whole="day_starts wait_goal_minutes",  # the goal: under which the owner wants nine of ten waits
    at="created_at deleted_at?",
)
_table(
    "counter",
    _index("counter_slug", "place_id slug", "deleted_at IS NULL", unique=True),
    of="place",
    text="slug name empties day",  # empties: with each "day", or "never"; day: as of the last write
    whole="capacity inside hold_minutes",  # inside: the sum of all that was counted, kept by the counters
    at="created_at recounted_at deleted_at?",
)
_table(
    "door",
    _index("door_token", "token", unique=True),
    _index("door_counter", "counter_id"),
    of="counter",
    text="name token",
    at="created_at removed_at?",
)
_table(
    "code",  # six digits to be read out, that lead to a door's link or (without one) to the staff link
    _index("code_once", "place_id digits", unique=True),
    of="place door?",
    text="digits",
    at="ends_at",
)
_table(
    "queue",
    _index("queue_slug", "place_id slug", "deleted_at IS NULL", unique=True),
    _index("queue_prefix", "place_id prefix", "deleted_at IS NULL", unique=True),
    of="place counter?",  # counter: which admits it
    text="slug name kind prefix asks series",  # series: in which last_number was given
    whole="open max_waiting shared_tablet last_number waiting usual_service_s",  # waiting: kept by the line
    at="created_at deleted_at?",
)
_table(
    "servicer",
    _index("servicer_token", "token", unique=True),
    _index("servicer_place", "place_id"),
    of="place",
    text="name desk? token browser?",
    whole="all_queues on_duty",
    at="created_at removed_at?",
)
_table(
    "servicer_queue",
    _index("servicer_queue_both", "servicer_id queue_id", unique=True),
    _index("servicer_queue_queue", "queue_id"),
    of="servicer queue",
)
_table(
    "ticket",
    _index("ticket_token", "token", unique=True),
    _index("ticket_number", "place_id series number", unique=True),
    _index("ticket_request", "request_key", "request_key IS NOT NULL", unique=True),
    _index("ticket_line", "queue_id priority joined_at id series", "state = 'waiting'"),
    _index("ticket_called", "place_id queue_id", "state IN ('called', 'serving')"),
    _index("ticket_one_a_desk", "servicer_id", "state IN ('called', 'serving')", unique=True),
    _index("ticket_browser", "browser", "browser IS NOT NULL"),
    _index("ticket_ended_queue", "queue_id ended_at", "ended_at IS NOT NULL"),
    _index("ticket_ended_desk", "servicer_id ended_at", "ended_at IS NOT NULL"),
    _index("ticket_personal", "ended_at", "(name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL)"),
    of="place queue servicer?",
    text="token series number state request_key? browser? name? phone? note?",
    whole="ordinal priority party? wait_from? wait_to?",  # wait_…: the range she was shown, in seconds
    at="joined_at taken_at first_called_at? called_at? started_at? ended_at?",
)
_table(
    "event",
    _index("event_place", "place_id id"),
    _index("event_ticket", "ticket_id"),
    _index("event_calls", "place_id id", "kind IN ('call', 'call-again')"),
    _index("event_counter", "counter_id happened_at kind delta", "counter_id IS NOT NULL"),
    _index("event_tap", "counter_id tap", "tap IS NOT NULL", unique=True),
    _index("event_duty", "servicer_id happened_at", "kind IN ('start-serving', 'pause', 'resume')"),
    of="place queue? ticket? servicer? counter? door?",
    text="kind state? desk? detail? tap?",  # state: the ticket's, from now on; tap: its id
    whole="delta?",
    at="happened_at",
)
_table("fact", _index("fact_name", "name", unique=True), text="name value")


def run(db: Connection, sql: str, **values: Any) -> CursorResult:
    """Runs one SQL statement with named parameters; after IN, a parameter is a list."""
    if sql in _STATEMENTS:
        return db.execute(_STATEMENTS[sql], values)
    lists = [sa.bindparam(name, expanding=True) for name in re.findall(r"\bIN :(\w+)", sql)]
    statement = sa.text(sql).bindparams(*lists)
    result = db.execute(statement, values)
    if result.returns_rows:  # whose columns are looked at once: that is a third of a small statement's cost
        statement = statement.columns(*map(sa.column, result.keys()))
    _STATEMENTS[sql] = statement
    return result


def insert(db: Connection, table: str, returning: str = "RETURNING *", **values: Any) -> CursorResult:
    """Adds a row; the result holds it, unless it isn't asked for."""
    columns, parameters = ", ".join(values), ", ".join(f":{column}" for column in values)
    return run(db, f"INSERT INTO {table} ({columns}) VALUES ({parameters}) {returning}", **values)


def change(db: Connection, table: str, row_id: int, **values: Any) -> Row:
    """Changes columns of a row and returns it."""
    columns = ", ".join(f"{column} = :{column}" for column in values)
    sql = f"UPDATE {table} SET {columns} WHERE id = :row_id RETURNING *"
    return run(db, sql, row_id=row_id, **values).one()


def record(db: Connection, at: float, place_id: int, kind: str, **more: Any) -> None:
    """Writes one line of a place's history; no personal data goes in."""
    insert(db, "event", "", place_id=place_id, happened_at=at, kind=kind, **more)


def fact(db: Connection, name: str) -> str:
    """One of the few values that belong to the whole database: `secret_key`, `epoch`."""
    return run(db, "SELECT value FROM fact WHERE name = :name", name=name).scalar_one()


def set_fact(db: Connection, at: float, name: str) -> None:
    """Notes the time under a name: `pulse`, to see that the writer writes."""
    run(db, "UPDATE fact SET value = :at WHERE name = :name", at=str(at), name=name)


@dataclass(eq=False)
class _Job:
    function: Callable[[Connection], Any]
    result: Any = None
    problem: Exception | None = None
    begun: threading.Lock = field(default_factory=threading.Lock)  # by the writer, or given up by who asked
    done: threading.Lock = field(default_factory=threading.Lock)


class Database:
    """The one SQLite file: many readers, and one thread that does all the writing.

    A durable commit waits for the disk. So the writer takes whatever is waiting, runs each function in a
    savepoint of its own inside one transaction, commits once, and only then answers them all.
    """

    def __init__(self, path: Path):
        self.on_commit: Callable[[], None] = lambda: None
        self.busy_since: float | None = None  # when the transaction under way began, by time.monotonic()
        self._readers, self._writers = _engine(path, "query_only = ON"), _engine(path)
        self._long_read = threading.Lock()
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.writer = threading.Thread(target=self._work, name="writer", daemon=True)
        self.writer.start()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database and can change nothing."""
        with self._readers.connect() as db:
            db.connection.driver_connection.execute("BEGIN")
            yield db  # the pool, when it gets it back, ends the transaction

    @contextmanager
    def read_long(self) -> Iterator[Connection]:
        """As read(), for what takes a while: one at a time, so that there are readers left for the others."""
        with self._long_read, self.read() as db:
            yield db

    def write(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs `function(connection, …)` on the writer and returns its answer when it is safe on the disk.

        The function may be run twice, so it touches nothing but the connection. What it raises is raised
        here, with nothing of it stored. Raises Unavailable when the writer is too busy to begin.
        """
        job = _Job(lambda db: function(db, *args, **kwargs))
        job.done.acquire()
        self._jobs.put(job)
        in_time = job.done.acquire(timeout=PATIENCE_S)
        if not in_time and job.begun.acquire(blocking=False):
            raise Unavailable("The server is too busy just now. Please try again in a moment.", retry_after=5)
        if not in_time:
            job.done.acquire()
        if job.problem:
            raise job.problem
        return job.result

    def close(self) -> None:
        """Finishes what is waiting to be written, and closes the file."""
        self._jobs.put(None)
        self.writer.join(PATIENCE_S)
        self._readers.dispose()
        self._writers.dispose()

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < 256 and not self._jobs.empty():
                jobs.append(self._jobs.get())
            todo = [job for job in jobs if job and job.begun.acquire(blocking=False)]
            if todo:
                self._commit_together(todo)
            if None in jobs:
                return self._drop_connection()

    def _commit_together(self, jobs: list[_Job]) -> None:
        self.busy_since, began = time.monotonic(), False
        try:
            self._connection = db = self._connection or self._writers.connect()
            raw = db.connection.driver_connection
            raw.execute("BEGIN IMMEDIATE")
            began = True
            for job in jobs:
                self._run_in_savepoint(db, job)
            raw.execute("COMMIT")
        except Exception as problem:  # not swallowed: it's what the callers are told
            self._drop_connection()
            if began and len(jobs) > 1:
                # The transaction is gone, and nobody knows by whose fault: each again, in one of its own.
                for job in jobs:
                    self._commit_together([job])
                return
            for job in jobs:
                job.problem = problem
        finally:
            self.busy_since = None
        self.on_commit()
        for job in jobs:
            job.done.release()

    def _run_in_savepoint(self, db: Connection, job: _Job) -> None:
        raw = db.connection.driver_connection
        raw.execute("SAVEPOINT one")
        try:
            job.result, job.problem = job.function(db), None
        except Exception as problem:  # its caller's alone, as long as the transaction stands
            if not raw.in_transaction:
                raise
            raw.execute("ROLLBACK TO one")
            job.problem = problem
        raw.execute("RELEASE one")

    def _drop_connection(self) -> None:
        # A connection that failed in the middle of something is not asked again.
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _engine(path: Path, *more: str) -> Engine:
    # Autocommit: transactions are begun by hand, where one can see it. Hidden: no links and names in a log.
    options = {"isolation_level": "AUTOCOMMIT", "pool_size": 8, "max_overflow": 0, "pool_timeout": PATIENCE_S}
    engine = sa.create_engine(f"sqlite:///{path}", hide_parameters=True, **options)
    pragmas = ["busy_timeout = 5000", "journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON"]
    pragmas += ["synchronous = FULL", *more]  # FULL: a ticket that was handed out survives a power cut

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def revision_of(path: Path) -> str | None:
    """The revision of a file's schema, None when it is empty; raises CannotStart for any other file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            sql = "SELECT version_num FROM alembic_version"
            found = raw.execute(sql).fetchone() if "alembic_version" in tables else None
            if tables and not found:
                raise CannotStart(f"{path} is a database of something else. Choose another data directory.")
            return found[0] if found else None
    except sqlite3.Error as problem:
        raise CannotStart(f"{path} is no database ({problem}). Restore it from a backup.") from None


def open_database(settings: Settings, upgrade: bool = False) -> Database:
    """Opens the database; `upgrade` makes it, or brings it up to date. Raises CannotStart when that fails."""
    path = Path(settings.data) / "takeanumber.db"
    try:
        if upgrade:
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / ".writable").touch()  # better a sentence now than an error at the first ticket
            (path.parent / ".writable").unlink()
        found = revision_of(path) if path.exists() else None
    except OSError as problem:
        raise CannotStart(f"The data directory {path.parent} can't be used: {problem.strerror}.") from None
    if found is None and (settings.require_database or not upgrade):
        raise CannotStart(f"There is no database at {path}. Start the server once, or restore a backup.")
    if found not in (None, SCHEMA):
        if not (HERE / "migrations" / "versions" / f"{found}.py").exists():
            raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")
        if not upgrade:
            raise CannotStart(f"{path} is of an older version. Start the server once to bring it up to date.")
        _upgrade(path)
    database = Database(path)
    if found is None:
        database.write(_make)
    return database


def _make(db: Connection) -> None:
    metadata.create_all(db)
    run(db, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    run(db, "INSERT INTO alembic_version VALUES (:schema)", schema=SCHEMA)
    for name in ("secret_key", "epoch", "pulse"):
        insert(db, "fact", name=name, value=secrets.token_hex(16))


def _upgrade(path: Path) -> None:
    from alembic import command  # imported here: it is needed once a release, and weighs 10 MB
    from alembic.config import Config

    copy = path.with_name(f"{path.name}.before-{SCHEMA}")
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    engine = _engine(path, "foreign_keys = OFF")  # or rebuilding a table would take its children along
    try:
        with engine.connect() as db:  # which undoes what was not committed
            run(db, "BEGIN IMMEDIATE")
            config = Config(attributes={"connection": db})
            config.set_main_option("script_location", str(HERE / "migrations"))
            command.upgrade(config, "head")
            if run(db, "PRAGMA foreign_key_check").first():
                raise ValueError("rows would have lost what they belong to")
            run(db, "COMMIT")
    except Exception as problem:
        why = str(problem).partition("\n")[0]
        raise CannotStart(f"Upgrading {path} failed, so it was left as it was: {why}") from problem
    finally:
        engine.dispose()


# ==========================================================================================================
# Places: opening one, its links, its day, its queues and servicers
# ==========================================================================================================

# Words that the URLs use: no place and no queue gets one of them as its slug.
RESERVED = (
    "api board code counter desk door healthz live manage place places poster queue staff static t tickets"
)
LATIN = str.maketrans("øłđðþæœ", "olddtao", "'’")


def slug_of(name: str, taken: set[str], fallback: str) -> str:
    """A readable URL segment made of a name; `fallback-2`, … for a name without Latin letters."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(LATIN)).encode("ascii", "ignore").decode()
    words = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    base = words if re.search("[a-z]", words) else fallback
    tries = (base if n == 1 else f"{base[:35]}-{n}" for n in count(1))
    return next(slug for slug in tries if slug not in taken and slug not in RESERVED.split())


@cache
def zones() -> list[str]:
    """The names of all time zones, sorted."""
    return sorted(available_timezones())


@cache
def country_of(timezone: str) -> str:
    """The country that a time zone is named after, as two letters."""
    rows = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    countries = {row.split("\t")[2]: row[:2] for row in rows if not row.startswith("#")}
    return countries.get(timezone, "US")


def iso(at: float | None, zone: ZoneInfo) -> str | None:
    """An instant as ISO 8601 with the place's offset."""
    return None if at is None else datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")


def shown(row: Row, place: Row, names: str) -> dict[str, Any]:
    """Columns of a row as JSON has them: instants as ISO 8601, flags as true or false, seconds rounded."""
    content = {name: getattr(row, name) for name in names.split()}
    for name, value in content.items():
        if name.endswith(("_at", "_until")):
            content[name] = iso(value, ZoneInfo(place.timezone))
        elif name in ("open", "shared_tablet", "all_queues", "on_duty"):
            content[name] = bool(value)
        elif name == "asks":
            content[name] = value.split()
        elif name.endswith("_s") and value is not None:
            content[name] = round(value, 2)
    return content


@cache
def day_begins(timezone: str, day: str, hour: int) -> float:
    """When a day begins: at that hour, the first of two, or the next that exists where the clock skips it."""
    zone, wanted = ZoneInfo(timezone), datetime.combine(date.fromisoformat(day), clock_time(hour))
    first = min(wanted.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    # Where the hour is skipped, `first` is before the change of the clock: count the seconds until then.
    return next(at for at in count(first) if datetime.fromtimestamp(at, zone).replace(tzinfo=None) >= wanted)


def day_of(place: Row, at: float) -> str:
    """The day of a place, such as 2026-11-21, that an instant belongs to."""
    days = datetime.fromtimestamp(at, ZoneInfo(place.timezone)).date() + timedelta(1)
    while at < day_begins(place.timezone, days.isoformat(), place.day_starts):
        days -= timedelta(1)
    return days.isoformat()


def next_day(day: str, days: int = 1) -> str:
    """The day after a day, or so many days after it."""
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


def find_place(db: Connection, slug: str, **tokens: str) -> Row:
    """The place of a slug, and of a link's token (`manage_token=…`) where one is given; raises NotFound."""
    place = run(db, "SELECT * FROM place WHERE slug = :slug AND deleted_at IS NULL", slug=slug).first()
    pairs = [(getattr(place, column, "").encode(), token.encode()) for column, token in tokens.items()]
    if place and all(secrets.compare_digest(ours, theirs) for ours, theirs in pairs):
        return place
    raise NotFound("There is nothing at this address. The link may have been replaced: ask for the new one.")


def all_places(db: Connection) -> list[Row]:
    """All places of this server, oldest first."""
    return run(db, "SELECT * FROM place WHERE deleted_at IS NULL ORDER BY id").all()


def open_place(db: Connection, at: float, only_one: bool, name: str, **asked: Any) -> Row:
    """Opens a place; `asked` may hold slug, timezone and country.

    Raises Forbidden when this server is for one place and has it, Conflict for a slug that is taken.
    """
    taken = {place.slug for place in all_places(db)}
    if only_one and taken:
        raise Forbidden("This server is for one place, and that is open already. Ask its owner for a link.")
    slug = asked.get("slug") or slug_of(name, taken, "place")
    if slug in taken or slug in RESERVED.split():
        raise Conflict(f"The address /{slug} is taken. Choose another one.")
    timezone = asked.get("timezone") or "UTC"
    tokens = {"manage_token": secrets.token_urlsafe(16), "staff_token": secrets.token_urlsafe(16)}
    columns = {"name": name, "timezone": timezone, "country": asked.get("country") or country_of(timezone)}
    columns |= {"day_starts": 4, "series": "", "created_at": at}
    columns["wait_goal_minutes"] = asked.get("wait_goal_minutes") or 10
    place = insert(db, "place", slug=slug, **columns, **tokens).one()
    record(db, at, place.id, "open-place")
    return place


def by_owner(db: Connection, at: float, slug: str, token: str, does: Callable, *args: Any, **more: Any):
    """Runs `does(db, at, place, …)` for whoever holds the manage link; raises NotFound for others."""
    return does(db, at, find_place(db, slug, manage_token=token), *args, **more)


def change_place(db: Connection, at: float, place: Row, **changes: Any) -> None:
    """Changes a place's name, timezone, country, day_starts or wait_goal_minutes."""
    if changes:
        change(db, "place", place.id, **changes)
    record(db, at, place.id, "change-place", detail=" ".join(changes))


def replace_link(db: Connection, at: float, place: Row, which: str) -> str:
    """Gives the `manage` or `staff` link a new token and returns it; the old link is unknown from now on."""
    token = secrets.token_urlsafe(16)
    change(db, "place", place.id, **{f"{which}_token": token})
    run(db, "DELETE FROM code WHERE place_id = :place AND door_id IS NULL", place=place.id)
    record(db, at, place.id, "replace-link", detail=which)
    return token


def delete_place(db: Connection, at: float, place: Row, name: str) -> None:
    """Takes a place away at once, if its name was typed right; the clock then erases its rows bit by bit."""
    if name.casefold() != place.name.casefold():
        raise BadInput(f"To delete this place, type its name as it stands here: {place.name}")
    change(db, "place", place.id, deleted_at=at)


def tables_of_place() -> dict[str, str]:
    """The tables that hold a place, children before their parents, each with the condition for its rows."""
    found = {}
    for table in reversed(metadata.sorted_tables):
        if "place_id" in table.c:
            found[table.name] = "place_id = :place"
        elif table.foreign_keys:
            of = min(table.foreign_keys, key=str)
            found[table.name] = (
                f"{of.parent.name} IN (SELECT id FROM {of.column.table} WHERE place_id = :place)"
            )
    return found | {"place": "id = :place"}


def erase_deleted_places(db: Connection, most: int = 2000) -> bool:
    """Erases up to `most` rows of deleted places; says whether there may be more."""
    place = run(db, "SELECT id FROM place WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1").scalar()
    for table, mine in tables_of_place().items() if place else ():
        sql = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {mine} LIMIT :most)"
        if run(db, sql, place=place, most=most).rowcount:
            return True
    return False


# ----- its queues

USUAL_SERVICE_S = 180  # the guess of an owner who didn't say


def queues_of(db: Connection, place: Row) -> list[Row]:
    """The walk-in queues of a place, oldest first."""
    sql = "SELECT * FROM queue WHERE place_id = :id AND kind = 'walk-in' AND deleted_at IS NULL ORDER BY id"
    return run(db, sql, id=place.id).all()


def find_queue(db: Connection, place: Row, slug: str) -> Row:
    """A place's queue by its slug; raises NotFound."""
    sql = "SELECT * FROM queue WHERE place_id = :place AND slug = :slug AND deleted_at IS NULL"
    queue = run(db, sql, place=place.id, slug=slug).first()
    if queue is None:
        raise NotFound(f"{place.name} has no queue named {slug}.")
    return queue


def add_queue(db: Connection, at: float, place: Row, name: str, max_waiting: int, **asked: Any) -> Row:
    """Adds a walk-in queue; `asked` may hold prefix, asks, shared_tablet and usual_service_s."""
    others = queues_of(db, place)
    letters = ("".join(some) for size in count(1) for some in product(ascii_uppercase, repeat=size))
    free = (each for each in letters if each not in {other.prefix for other in others})
    prefix = asked.pop("prefix", None) or next(free)
    _check_prefix(prefix, others)
    slug = slug_of(name, {queue.slug for queue in others}, "queue")
    columns = {"name": name, "slug": slug, "kind": "walk-in", "prefix": prefix, "max_waiting": max_waiting}
    columns |= {"open": 1, "series": "", "last_number": 0, "waiting": 0, "shared_tablet": 0}
    columns["usual_service_s"] = USUAL_SERVICE_S
    asked["asks"] = " ".join(asked.get("asks", ()))
    queue = insert(db, "queue", place_id=place.id, created_at=at, **columns | asked).one()
    record(db, at, place.id, "add-queue", queue_id=queue.id)
    return queue


def _check_prefix(prefix: str, others: list[Row]) -> None:
    for other in others:
        if other.prefix == prefix:
            raise Conflict(f"{other.name} gives numbers with {prefix} already. Choose another letter.")


def about_queue(db: Connection, at: float, place: Row, queue: str, then: Callable, **more: Any) -> Any:
    """Runs `then(db, at, place, queue, …)` for a queue of the owner's; raises NotFound."""
    return then(db, at, place, find_queue(db, place, queue), **more)


def change_queue(db: Connection, at: float, place: Row, queue: Row, **changes: Any) -> Row:
    """Changes a queue's columns: name, prefix, max_waiting, asks, shared_tablet, usual_service_s, open."""
    if "asks" in changes:
        changes["asks"] = " ".join(changes["asks"])
    if changes.get("prefix", queue.prefix) != queue.prefix:
        _check_prefix(changes["prefix"], queues_of(db, place))
        changes["series"] = ""  # numbers with the new letters go on where these letters were last
    record(db, at, place.id, "change-queue", queue_id=queue.id, detail=" ".join(changes))
    return change(db, "queue", queue.id, **changes) if changes else queue


def delete_queue(db: Connection, at: float, place: Row, queue: Row) -> Row:
    """Takes a queue away; its tickets stay in the figures. Raises Conflict while somebody is in it."""
    _check_empty(db, at, place, queue)
    run(db, "DELETE FROM servicer_queue WHERE queue_id = :queue", queue=queue.id)
    record(db, at, place.id, "delete-queue", queue_id=queue.id)
    return change(db, "queue", queue.id, deleted_at=at, counter_id=None)


def reset_numbers(db: Connection, at: float, place: Row, queue: Row) -> Row:
    """Lets a queue count from 1 again, in a new series in which the other queues go on counting."""
    _check_empty(db, at, place, queue)
    series = open_day(db, place, at)
    day = series[:10]
    sql = "SELECT DISTINCT series FROM ticket WHERE place_id = :place AND series >= :day AND series < :next"
    used = run(db, sql, place=place.id, day=day, next=next_day(day)).scalars()
    fresh = f"{day}.{1 + max(int(each[11:] or 1) for each in [series, *used])}"
    change(db, "place", place.id, series=fresh)
    sql = "UPDATE queue SET series = :fresh WHERE place_id = :place AND series = :series"
    run(db, sql, fresh=fresh, place=place.id, series=series)
    record(db, at, place.id, "reset-numbers", queue_id=queue.id, detail=fresh)
    return change(db, "queue", queue.id, series=fresh, last_number=0)


def _check_empty(db: Connection, at: float, place: Row, queue: Row) -> None:
    sql = "SELECT count(*) FROM ticket WHERE queue_id = :queue AND state IN ('called', 'serving')"
    inside = run(db, sql, queue=queue.id).scalar_one() + len(waiting_in(db, [queue.id], day_of(place, at)))
    if inside:
        raise Conflict(f"{inside} in {queue.name} wait or are being served. Let them finish first.")


# ----- its servicers


def servicers_of(db: Connection, place: Row) -> list[Row]:
    """Everybody who has a desk in a place."""
    sql = "SELECT * FROM servicer WHERE place_id = :place AND removed_at IS NULL ORDER BY id"
    return run(db, sql, place=place.id).all()


def servicer_of_browser(db: Connection, place: Row, browser: str | None) -> Row | None:
    """The servicer whose desk a browser opened in a place, if any."""
    return next((each for each in servicers_of(db, place) if browser and each.browser == browser), None)


def queues_served(db: Connection, servicer: Row) -> list[Row]:
    """The walk-in queues that a servicer calls from."""
    sql = """SELECT * FROM queue WHERE place_id = :place AND kind = 'walk-in' AND deleted_at IS NULL
             AND (:all = 1 OR id IN (SELECT queue_id FROM servicer_queue WHERE servicer_id = :servicer))
             ORDER BY id"""
    return run(db, sql, place=servicer.place_id, all=servicer.all_queues, servicer=servicer.id).all()


def start_serving(db: Connection, at: float, slug: str, token: str, name: str, **asked: Any) -> Row:
    """Gives a servicer a desk; `asked` may hold desk, queues (none: all of them) and browser.

    The same browser with the same name and desk (a second press) gets the servicer that it has.
    """
    place = find_place(db, slug, staff_token=token)
    desk, browser = asked.get("desk") or None, asked.get("browser")
    known = servicer_of_browser(db, place, browser)
    if known and (known.name, known.desk) == (name, desk):
        return known
    if known:
        change(db, "servicer", known.id, browser=None)
    columns = {"name": name, "desk": desk, "browser": browser, "token": secrets.token_urlsafe(16)}
    columns |= {"place_id": place.id, "created_at": at, "all_queues": 1, "on_duty": 1}
    servicer = insert(db, "servicer", **columns).one()
    record(db, at, place.id, "start-serving", servicer_id=servicer.id)
    return assign(db, place, servicer, asked.get("queues") or [])


def assign(db: Connection, place: Row, servicer: Row, queues: list[str]) -> Row:
    """Lets a servicer serve these queues of the place, all when there are none; raises NotFound."""
    chosen = {find_queue(db, place, slug).id for slug in queues}
    if chosen == {queue.id for queue in queues_of(db, place)}:
        chosen = set()  # whoever serves all of them is to serve those that are added later, too
    run(db, "DELETE FROM servicer_queue WHERE servicer_id = :id", id=servicer.id)
    for queue_id in chosen:
        insert(db, "servicer_queue", servicer_id=servicer.id, queue_id=queue_id)
    return change(db, "servicer", servicer.id, all_queues=int(not chosen))


def change_servicer(db: Connection, at: float, place: Row, servicer_id: int, **changes: Any) -> None:
    """Lets a servicer serve other `queues`, or puts her on or off duty (`on_duty`)."""
    servicer = _find_servicer(db, place, servicer_id)
    if changes.get("queues") is not None:
        assign(db, place, servicer, changes["queues"])
    if changes.get("on_duty") is not None:
        _set_duty(db, at, servicer, changes["on_duty"])
    record(db, at, place.id, "change-servicer", servicer_id=servicer.id)


def _set_duty(db: Connection, at: float, servicer: Row, on_duty: bool) -> None:
    if bool(servicer.on_duty) != on_duty:
        change(db, "servicer", servicer.id, on_duty=int(on_duty))
        record(db, at, servicer.place_id, "resume" if on_duty else "pause", servicer_id=servicer.id)


def remove_servicer(db: Connection, at: float, place: Row, servicer_id: int) -> None:
    """Takes a servicer's link away; the customer at her desk waits again, first in line."""
    servicer = _find_servicer(db, place, servicer_id)
    ticket = current_ticket(db, servicer)
    if ticket:
        _step(db, at, ticket, "put-back", **_in_line_behind(db, ticket.queue_id, day_of(place, at), 0))
    change(db, "servicer", servicer.id, removed_at=at, on_duty=0, browser=None)
    record(db, at, place.id, "remove-servicer", servicer_id=servicer.id)


def _find_servicer(db: Connection, place: Row, servicer_id: int) -> Row:
    for servicer in servicers_of(db, place):
        if servicer.id == servicer_id:
            return servicer
    raise NotFound("This servicer's link was taken away already.")


# ==========================================================================================================
# The line: taking a number, calling, ending; the only code that writes `ticket`
# ==========================================================================================================

OPEN = ("waiting", "called", "serving")
BUSY = "state IN ('called', 'serving')"  # at a desk; in the words of the indexes, or they are not used
# Every step of a ticket: from which states, and to which. The states that are not OPEN are its ends.
STEPS: dict[str, tuple[tuple[str, ...], str]] = {
    "call": (("waiting",), "called"),
    "start": (("called",), "serving"),
    "done": (("called", "serving"), "done"),
    "no-show": (("called", "serving"), "no_show"),
    "cancel": (OPEN, "cancelled"),
    "expire": (("waiting",), "expired"),
    "come-in": (("waiting", "called"), "done"),  # through a door
    "put-back": (("called", "serving"), "waiting"),
    "move": (OPEN, "waiting"),
    "bring-back": (("done", "no_show", "cancelled"), "waiting"),
}
Taken = tuple[Row, Row, Row, bool]  # a place, its queue, the ticket, and whether the ticket is a new one
NORMAL = 3  # the priority of everybody; 1 is called first
ORDER = "ticket.priority, ticket.joined_at, ticket.id"
AT_THE_DOOR = "state IN ('called', 'serving') AND servicer_id IS NULL"  # called by a counter that has room
# A ticket with what people call its queue and its desk, or the door that it was called to.
TICKETS = f"""SELECT ticket.*, queue.slug AS queue, queue.name AS queue_name, servicer.name AS servicer,
                    CASE WHEN {AT_THE_DOOR} THEN counter.name END AS door,
                    CASE WHEN {AT_THE_DOOR} THEN called_at + 60 * hold_minutes END AS held_until,
                    servicer.desk, first_called_at - taken_at AS wait_s,
                    CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service_s,
                    CASE WHEN state = 'done' THEN ended_at - taken_at END AS total_s
             FROM ticket JOIN queue ON queue.id = ticket.queue_id
             LEFT JOIN servicer ON servicer.id = ticket.servicer_id
             LEFT JOIN counter ON counter.id = queue.counter_id"""
# A counter on a day (that may have begun without a write), the queue it admits, and the spaces held for that.
COUNTERS = f"""SELECT counter.*, queue.id AS queue_id, queue.slug AS admits,
                      CASE WHEN empties = 'day' AND day < :day THEN 0 ELSE inside END AS people,
                      (SELECT coalesce(sum(coalesce(party, 1)), 0) FROM ticket
                       WHERE place_id = counter.place_id AND queue_id = queue.id AND {AT_THE_DOOR}) AS held
               FROM counter LEFT JOIN queue ON queue.counter_id = counter.id
               WHERE counter.deleted_at IS NULL AND counter.place_id = :place"""
BRING_BACK_S = 3600
UNCHANGED = "Nothing was changed; this is how it is now."
# When somebody joins a queue: never before those who joined earlier, even when the clock was set back; and a
# little after the last, so that a third can be put between the two.
APART_S = 0.00001
JOINED_AT = f"""(SELECT CASE WHEN max(joined_at) >= :at THEN max(joined_at) + {APART_S:f} ELSE :at END
                        FROM ticket WHERE queue_id = :queue AND state = 'waiting' AND priority = :normal)"""


def current_series(place: Row, at: float) -> str:
    """The series that numbers are given in at an instant."""
    day = day_of(place, at)
    return place.series if place.series.startswith(day) else day


def open_day(db: Connection, place: Row, at: float) -> str:
    """The current series; the first write of a day ends what still waits from the days before."""
    series = current_series(place, at)
    if series != place.series:
        change(db, "place", place.id, series=series)
        sql = """SELECT * FROM ticket WHERE place_id = :place AND state = 'waiting' AND series < :day
                 AND queue_id IN (SELECT id FROM queue WHERE place_id = :place AND kind = 'walk-in')"""
        for ticket in run(db, sql, place=place.id, day=series[:10]).all():
            over = day_begins(place.timezone, next_day(ticket.series[:10]), place.day_starts)
            _step(db, at, ticket, "expire", ended_at=over)
    return series


def state_of(ticket: Row, place: Row, at: float) -> str:
    """A ticket's state; one that waits when its day is over reads as expired before that is stored."""
    return "expired" if ticket.state == "waiting" and ticket.series < day_of(place, at) else ticket.state


def _step(db: Connection, at: float, ticket: Row, kind: str, **columns: Any) -> Row:
    # One allowed step of a ticket, and its event; raises Conflict when the state forbids it.
    allowed, state = STEPS[kind]
    if ticket.state not in allowed:
        raise Conflict(f"{ticket.number} is {ticket.state.replace('_', ' ')} now. {UNCHANGED}")
    if state == "waiting":
        columns = {"servicer_id": None, "called_at": None, "started_at": None, "ended_at": None} | columns
    elif state not in OPEN:
        columns = {"ended_at": at, "browser": None} | columns
    changed = change(db, "ticket", ticket.id, state=state, **columns)
    _count_waiting(db, ticket.queue_id, -int(ticket.state == "waiting"))
    _count_waiting(db, changed.queue_id, int(state == "waiting"))
    _record_step(db, at, kind, changed, servicer_id=ticket.servicer_id)
    admit(db, at, changed.queue_id)
    return changed


def _count_waiting(db: Connection, queue_id: int, more: int) -> None:
    # Kept and not counted each time, so that a press costs the same in a line of ten and of ten thousand.
    if more:
        run(db, "UPDATE queue SET waiting = waiting + :more WHERE id = :id", more=more, id=queue_id)


def _record_step(db: Connection, at: float, kind: str, ticket: Row, **more: Any) -> None:
    more = {"servicer_id": ticket.servicer_id, "queue_id": ticket.queue_id, "state": ticket.state} | more
    record(db, at, ticket.place_id, kind, ticket_id=ticket.id, **more)


# ----- a customer


def take_number(db: Connection, at: float, slug: str, line: str, **asked: Any) -> Taken:
    """Gives the next number of a queue; raises NotFound, and Conflict when it is closed or full.

    `asked` may hold name, phone, note and party; and request_id and browser: the same request, or the same
    browser while its ticket is open, gets the ticket that it has. And `expect`, which makes the range of the
    wait that she is shown of how many are ahead.
    """
    place = find_place(db, slug)
    series = open_day(db, place, at)
    request_id, browser, expect = (asked.pop(name, None) for name in ("request_id", "browser", "expect"))
    asked["request_key"] = key = f"{place.id} {line} {request_id}" if request_id else None
    earlier = run(db, f"{TICKETS} WHERE request_key = :key", key=key).first() if key else None
    if browser and not earlier:
        sql = f"""{TICKETS} WHERE ticket.browser = :browser AND ticket.place_id = :place
                  AND queue.slug = :line AND shared_tablet = 0 AND state IN :open"""
        earlier = run(db, sql, browser=browser, place=place.id, line=line, open=OPEN).first()
    if earlier:
        return place, find_queue(db, place, line), earlier, False
    queue = _count_up(db, place, line, series)
    asked |= {"place": place.id, "queue": queue.id, "series": series, "normal": NORMAL, "at": at}
    asked |= {"ordinal": queue.last_number, "number": f"{queue.prefix}{queue.last_number}"}
    asked |= {"token": secrets.token_urlsafe(16), "browser": None if queue.shared_tablet else browser}
    # All who wait in it are ahead: they are not counted again, so that this costs the same in a long line.
    wait = (expect and expect(queue.waiting - 1)) or {}
    asked |= {"wait_from": wait.get("from"), "wait_to": wait.get("to")}
    sql = f"""INSERT INTO ticket (place_id, queue_id, token, series, ordinal, number, state, priority,
                                  taken_at, joined_at, request_key, browser, name, phone, note, party,
                                  wait_from, wait_to)
              VALUES (:place, :queue, :token, :series, :ordinal, :number, 'waiting', :normal, :at,
                      {JOINED_AT}, :request_key, :browser, :name, :phone, :note, :party,
                      :wait_from, :wait_to) RETURNING *"""
    ticket = run(db, sql, **dict.fromkeys(("name", "phone", "note", "party")) | asked).one()
    _record_step(db, at, "take", ticket)
    if queue.counter_id:
        admit(db, at, queue.id)
        ticket = run(db, f"{TICKETS} WHERE ticket.id = :id", id=ticket.id).one()
    return place, queue, ticket, True


def _count_up(db: Connection, place: Row, line: str, series: str) -> Row:
    # The queue with its next number, if it is open and has room. Its first in a series is looked up, since
    # its letters may have been another queue's earlier today.
    sql = """UPDATE queue SET waiting = waiting + 1, series = :series, last_number =
                    CASE WHEN series = :series THEN last_number + 1
                         ELSE (SELECT coalesce(max(ordinal), 0) + 1 FROM ticket WHERE place_id = :place
                               AND series = :series AND number = queue.prefix || CAST(ordinal AS TEXT)) END
             WHERE place_id = :place AND slug = :line AND kind = 'walk-in' AND deleted_at IS NULL
             AND open = 1 AND waiting < max_waiting RETURNING *"""
    queue = run(db, sql, place=place.id, line=line, series=series).first()
    if queue is None:
        queue = find_queue(db, place, line)
        full = f"full: {queue.waiting} are waiting. Please come back a little later."
        raise Conflict(f"{queue.name} is {full if queue.open else 'closed: no new numbers now.'}")
    return queue


def find_ticket(db: Connection, slug: str, token: str) -> tuple[Row, Row, Row]:
    """The place, the queue and the ticket of a customer's link; raises NotFound."""
    place = find_place(db, slug)
    sql = f"{TICKETS} WHERE ticket.token = :token AND ticket.place_id = :place"
    ticket = run(db, sql, token=token, place=place.id).first()
    if ticket is None:
        raise NotFound("There is no such ticket. Take a new number on the page of the place.")
    return place, run(db, "SELECT * FROM queue WHERE id = :id", id=ticket.queue_id).one(), ticket


def tickets_of_browser(db: Connection, at: float, slug: str, browser: str) -> list[Row]:
    """The open tickets that a browser has in a place, newest first."""
    place = find_place(db, slug)
    sql = f"{TICKETS} WHERE ticket.browser = :browser AND ticket.place_id = :place ORDER BY ticket.id DESC"
    tickets = run(db, sql, browser=browser, place=place.id)
    return [ticket for ticket in tickets if state_of(ticket, place, at) in OPEN]


def count_ahead(db: Connection, ticket: Row, queues: Iterable[int], day: str) -> dict[int, int]:
    """How many waiting tickets would be called before this one, in each of these queues that has some."""
    sql = f"""SELECT queue_id, count(*) FROM ticket WHERE queue_id IN :queues AND state = 'waiting'
              AND series >= :day AND ({ORDER}) < (:priority, :joined_at, :id) GROUP BY queue_id"""
    mine = {"priority": ticket.priority, "joined_at": ticket.joined_at, "id": ticket.id}
    return dict(map(tuple, run(db, sql, queues=[ticket.queue_id, *queues], day=day, **mine)))


def by_customer(db: Connection, at: float, slug: str, token: str, does: Callable, **more: Any):
    """Runs `does(db, at, ticket, …)` for whoever holds a ticket's link; raises NotFound for others."""
    open_day(db, find_place(db, slug), at)
    return does(db, at, find_ticket(db, slug, token)[2], **more)


def cancel_ticket(db: Connection, at: float, ticket: Row) -> None:
    """Lets a customer leave the line; raises Conflict once the ticket ended in another way."""
    if ticket.state != "cancelled":
        _step(db, at, ticket, "cancel")


def cancel_tickets(db: Connection, at: float, place: Row, queue: Row, numbers: list[str]) -> list[str]:
    """Cancels these numbers of a queue, as far as they are still open; returns those."""
    if not numbers:
        raise BadInput("Numbers: choose at least one.")
    open_day(db, place, at)
    # From the back, and who holds a space last: nobody is called who is about to be cancelled.
    sql = """SELECT * FROM ticket WHERE queue_id = :queue AND state IN :open AND ticket.number IN :numbers
             ORDER BY state = 'waiting' DESC, priority DESC, joined_at DESC, id DESC"""
    tickets = run(db, sql, queue=queue.id, open=OPEN, numbers=numbers).all()
    return [_step(db, at, ticket, "cancel").number for ticket in tickets]


# ----- a servicer


class Desk(NamedTuple):
    """A servicer at work: where, who, the day, and the ticket that is hers now."""

    place: Row
    servicer: Row
    day: str
    current: Row | None

    def pick(self, number: str, tickets: list[Row | None], where: str, again: bool = True) -> Row:
        """The ticket with a number; raises Conflict, also if it is to wait `again` though its day is over."""
        ticket = next((each for each in tickets if each and each.number == number), None)
        if ticket is None:
            raise Conflict(f"{number} is not {where}. {UNCHANGED}")
        if again and ticket.series < self.day:
            raise Conflict(f"The day of {number} is over: it can't wait again. Press Done or Not here.")
        return ticket


def find_desk(db: Connection, slug: str, token: str) -> tuple[Row, Row]:
    """The place and the servicer of a desk's link; raises NotFound."""
    place = find_place(db, slug)
    sql = "SELECT * FROM servicer WHERE token = :token AND place_id = :place AND removed_at IS NULL"
    servicer = run(db, sql, token=token, place=place.id).first()
    if servicer is None:
        raise NotFound("This desk's link is not valid any more. Ask the owner for the staff link.")
    return place, servicer


def by_desk(db: Connection, at: float, slug: str, token: str, does: Callable, *args: Any, **more: Any):
    """Runs `does(db, at, desk, …)` for whoever holds a desk's link; raises NotFound for others."""
    place, servicer = find_desk(db, slug, token)
    day = open_day(db, place, at)[:10]
    return does(db, at, Desk(place, servicer, day, current_ticket(db, servicer)), *args, **more)


def current_ticket(db: Connection, servicer: Row) -> Row | None:
    """The ticket that a servicer has called or is serving."""
    return run(db, f"{TICKETS} WHERE ticket.servicer_id = :id AND {BUSY}", id=servicer.id).first()


def waiting_in(db: Connection, queue_ids: list[int], day: str, most: int = -1) -> list[Row]:
    """The tickets that wait in these queues, in the order in which they will be called; `most` of them."""
    sql = f"""{TICKETS} WHERE ticket.queue_id IN :queues AND state = 'waiting' AND ticket.series >= :day
              ORDER BY {ORDER} {"LIMIT :most" if most >= 0 else ""}"""
    return run(db, sql, queues=queue_ids, day=day, **({"most": most} if most >= 0 else {})).all()


def called_in(db: Connection, place: Row) -> list[Row]:
    """The tickets that are called or being served in a place, the latest first."""
    sql = f"{TICKETS} WHERE ticket.place_id = :id AND {BUSY} ORDER BY ticket.called_at DESC, ticket.id DESC"
    return run(db, sql, id=place.id).all()


def recent_at(db: Connection, servicer: Row) -> list[Row]:
    """The last ten tickets that ended at a desk, newest first."""
    sql = f"""{TICKETS} WHERE ticket.servicer_id = :id AND ended_at IS NOT NULL
              ORDER BY ended_at DESC, ticket.id DESC LIMIT 10"""
    return run(db, sql, id=servicer.id).all()


def call_next(db: Connection, at: float, desk: Desk, finished: str | None, **asked: str | None) -> Row | None:
    """Ends what the desk is serving as done, and calls the next customer; None when nobody waits.

    `asked` may hold the queue to call from, or the number to call. `finished` is what the desk believes to be
    serving, or None: where it isn't so, this is the second of two presses, or somebody was quicker: Conflict.
    """
    queue, number = asked.get("queue"), asked.get("number")
    if (desk.current.number if desk.current else None) != finished:
        raise Conflict(f"Your desk has changed since this page was shown. {UNCHANGED}")
    if not desk.servicer.on_duty:
        raise Conflict("You are not on duty. Press Resume first.")
    served = [each for each in queues_served(db, desk.servicer) if queue in (None, each.slug)]
    if queue and not served:
        raise BadInput(f"You don't serve a queue named {queue}.")
    if desk.current:
        _step(db, at, desk.current, "done")
    by = {"servicer_id": desk.servicer.id, "desk": desk.servicer.desk}
    called = _claim(db, at, [each.id for each in served], desk.day, number, **by)
    if number and called is None:
        raise Conflict(f"{number} is not waiting any more. {UNCHANGED}")
    return called


def _claim(
    db: Connection, at: float, queue_ids: list[int], day: str, number: str | None, **by: Any
) -> Row | None:
    # One statement, because two servicers press Next in the same millisecond.
    sql = f"""UPDATE ticket SET state = 'called', servicer_id = :servicer, called_at = :at,
                                first_called_at = coalesce(first_called_at, :at)
              WHERE id = (SELECT id FROM ticket WHERE queue_id IN :queues AND state = 'waiting'
                          AND series >= :day AND number = coalesce(:number, number) ORDER BY {ORDER} LIMIT 1)
              AND state = 'waiting' RETURNING *"""
    values = {"servicer": by.get("servicer_id"), "at": at, "queues": queue_ids, "day": day, "number": number}
    ticket = run(db, sql, **values).first()
    if ticket:
        _count_waiting(db, ticket.queue_id, -1)
        _record_step(db, at, "call", ticket, **by)
    return ticket


def press(db: Connection, at: float, desk: Desk, kind: str, number: str) -> None:
    """Takes the ticket at a desk a step further: start, done, no-show, put-back; or rings: call-again."""
    ticket = desk.pick(number, [desk.current], "at your desk any more", again=kind == "put-back")
    if kind == "call-again":
        _record_step(db, at, kind, ticket, desk=ticket.desk)
    elif kind == "put-back":
        _step(db, at, ticket, kind, **_in_line_behind(db, ticket.queue_id, desk.day, 2))
    elif kind != "start":
        _step(db, at, ticket, kind)
    elif ticket.state != "serving":  # or it was pressed twice
        _step(db, at, ticket, kind, started_at=at)


def _in_line_behind(db: Connection, queue_id: int, day: str, places: int) -> dict[str, Any]:
    # Priority and time of joining that put a ticket behind the next so many; none where nobody waits.
    line = waiting_in(db, [queue_id], day, places + 1)
    before, after = line[:places][-1:], line[places:]
    if not line:
        return {}
    at = before[0].joined_at + APART_S if before else after[0].joined_at - APART_S
    if before and after and before[0].priority == after[0].priority:
        at = (before[0].joined_at + after[0].joined_at) / 2
    return {"priority": (before or after)[0].priority, "joined_at": at}


def bring_back(db: Connection, at: float, desk: Desk, number: str) -> None:
    """Lets one of the last ten of a desk, ended in the last hour, wait again, first in line."""
    ended = [ticket for ticket in recent_at(db, desk.servicer) if at - ticket.ended_at <= BRING_BACK_S]
    ticket = desk.pick(number, ended, "among your last ten of the last hour")
    if run(db, "SELECT deleted_at FROM queue WHERE id = :id", id=ticket.queue_id).scalar():
        raise Conflict(f"The queue of {number} was deleted, so it can't wait there again.")
    _step(db, at, ticket, "bring-back", **_in_line_behind(db, ticket.queue_id, desk.day, 0))


def move_ticket(db: Connection, at: float, desk: Desk, number: str, queue: str) -> None:
    """Moves the ticket at a desk, or one that waits in its line, to another queue; it keeps its number."""
    line = waiting_in(db, [each.id for each in queues_served(db, desk.servicer)], desk.day)
    ticket = desk.pick(number, [desk.current, *line], "in your line any more")
    target = find_queue(db, desk.place, queue)
    if target.id == ticket.queue_id:
        raise Conflict(f"{number} is in {target.name} already. {UNCHANGED}")
    joined_at = run(db, f"SELECT {JOINED_AT}", at=at, queue=target.id, normal=NORMAL).scalar_one()
    _step(db, at, ticket, "move", queue_id=target.id, priority=NORMAL, joined_at=joined_at)


def set_duty(db: Connection, at: float, desk: Desk, on_duty: bool) -> None:
    """Pauses a servicer, or lets her go on; the ticket at her desk stays hers."""
    _set_duty(db, at, desk.servicer, on_duty)


def add_customer(db: Connection, at: float, desk: Desk, queue: str, **asked: Any) -> Taken:
    """Takes a number for a customer without a phone; as take_number()."""
    return take_number(db, at, desk.place.slug, queue, **asked)


# ----- a door


def admit(db: Connection, at: float, queue_id: int | None) -> None:
    """Calls the next customers of a queue to the door, as many as the counter that admits it has room for."""
    sql = (
        "SELECT place.* FROM queue JOIN place ON place.id = place_id WHERE queue.id = :id AND counter_id > 0"
    )
    place = run(db, sql, id=queue_id).first()
    if place is None:
        return
    day = day_of(place, at)
    counter = run(db, f"{COUNTERS} AND queue.id = :id", place=place.id, day=day, id=queue_id).one()
    room = counter.capacity - max(0, counter.people) - counter.held  # a count below 0 has drifted
    for ticket in waiting_in(db, [queue_id], day, max(0, room)):
        room -= min(ticket.party or 1, counter.capacity)
        if room < 0:  # the next ones may be fewer, but it's not their turn
            return
        _claim(db, at, [queue_id], day, ticket.number, counter_id=counter.id)


def step_at_door(db: Connection, at: float, ticket: Row, kind: str, day: str) -> None:
    """Takes a ticket a step further: come-in, no-show; put-back, bring-back (then it is first in line)."""
    columns: dict[str, Any] = {}
    if kind == "come-in":
        columns = {"called_at": ticket.called_at or at, "first_called_at": ticket.first_called_at or at}
    elif kind != "no-show":
        columns = _in_line_behind(db, ticket.queue_id, day, 0)
    changed = _step(db, at, ticket, kind, **columns)
    if changed.state == "waiting" and changed.series < day:  # it can't wait again
        _step(db, at, changed, "expire")


def held_too_long(db: Connection, at: float) -> list[Row]:
    """The tickets that were called to a door and whose time to come in is over."""
    return run(db, f"{TICKETS} WHERE {AT_THE_DOOR} AND called_at + 60 * hold_minutes <= :at", at=at).all()


def release_spaces(db: Connection, at: float) -> None:
    """Ends the tickets whose space was held too long as not here; the next ones are called."""
    for ticket in held_too_long(db, at):
        _step(db, at, ticket, "no-show")


def erase_personal_data(db: Connection, at: float, keep_days: int, most: int = 2000) -> bool:
    """Erases names, phones and notes of tickets that ended so long ago; says whether there may be more."""
    sql = """UPDATE ticket SET name = NULL, phone = NULL, note = NULL WHERE id IN
             (SELECT id FROM ticket WHERE (name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL)
              AND ended_at < :before LIMIT :most)"""
    return run(db, sql, before=at - keep_days * 86400, most=most).rowcount == most


# ==========================================================================================================
# Counters: how many are inside, taps, recounts; the only code that writes `counter`
# ==========================================================================================================

COUNTED = ("tap", "undo", "recount", "empty")  # the events whose deltas add up to the people inside
CODE_S = 600  # how long a code leads to a link
DOORS = """SELECT door.*, digits AS code, ends_at AS code_ends_at
           FROM door JOIN counter ON counter.id = counter_id
           LEFT JOIN code ON door_id = door.id AND ends_at > :at
           WHERE counter.place_id = :place AND removed_at IS NULL AND counter.deleted_at IS NULL"""


def counters_of(db: Connection, place: Row, at: float) -> list[Row]:
    """The counters of a place as they are now, oldest first."""
    return run(db, f"{COUNTERS} ORDER BY counter.id", place=place.id, day=day_of(place, at)).all()


def level_of(counter: Row) -> str:
    """How full it is: "free", "nearly" (from 80 %) or "full"; who was called to the door holds a space."""
    taken = max(0, counter.people) + counter.held
    return "full" if taken >= counter.capacity else "nearly" if 5 * taken >= 4 * counter.capacity else "free"


def find_counter(db: Connection, at: float, place: Row, slug: str) -> Row:
    """A place's counter by its slug; raises NotFound."""
    for counter in counters_of(db, place, at):
        if counter.slug == slug:
            return counter
    raise NotFound(f"{place.name} has no counter named {slug}.")


def open_place_for(
    db: Connection, at: float, max_waiting: int, queue: str | None, counter: dict | None, **asked: Any
):
    """Opens a place with its first queue, its first counter or both; as open_place()."""
    place = open_place(db, at, **asked)
    if queue or not counter:
        add_queue(db, at, place, queue or "Line", max_waiting)
    if counter:
        add_counter(db, at, place, **counter)
    return place


def add_counter(db: Connection, at: float, place: Row, name: str, capacity: int, **asked: Any) -> Row:
    """Adds a counter with a door of its name; `asked` as in change_counter()."""
    slug = slug_of(name, {counter.slug for counter in counters_of(db, place, at)}, "counter")
    columns = {"name": name, "slug": slug, "capacity": capacity, "empties": "day", "hold_minutes": 5}
    columns |= {"place_id": place.id, "day": day_of(place, at), "inside": 0, "recounted_at": 0}
    insert(db, "counter", "", created_at=at, **columns)
    counter = find_counter(db, at, place, slug)
    add_door(db, at, place, counter, name)
    return change_counter(db, at, place, counter, **asked)


def about_counter(db: Connection, at: float, place: Row, counter: str, then: Callable, **more: Any) -> Any:
    """Runs `then(db, at, place, counter, …)` for a counter of the owner's; raises NotFound."""
    return then(db, at, place, _today(db, at, place, find_counter(db, at, place, counter)), **more)


def _today(db: Connection, at: float, place: Row, counter: Row) -> Row:
    # A counter that empties itself does so in the first write after its day; what was in it had drifted.
    day = day_of(place, at)
    if counter.day < day and counter.empties == "day":
        over, begins = (
            day_begins(place.timezone, each, place.day_starts) for each in (next_day(counter.day), day)
        )
        change(db, "counter", counter.id, inside=0, recounted_at=begins)
        record(db, over, place.id, "empty", counter_id=counter.id, delta=-counter.inside, detail="0")
    if counter.day < day:
        change(db, "counter", counter.id, day=day)
    return find_counter(db, at, place, counter.slug)


def change_counter(db: Connection, at: float, place: Row, counter: Row, **changes: Any) -> Row:
    """Changes a counter's name, capacity, empties or hold_minutes, or the queue it `admits` (None: none)."""
    record(db, at, place.id, "change-counter", counter_id=counter.id, detail=" ".join(changes))
    if changes.get("admits", counter.admits) != counter.admits:
        _admit_queue(db, at, place, counter, changes["admits"])
    changes.pop("admits", None)
    if changes:
        change(db, "counter", counter.id, **changes)
    counter = find_counter(db, at, place, counter.slug)
    admit(db, at, counter.queue_id)
    return find_counter(db, at, place, counter.slug)


def _admit_queue(db: Connection, at: float, place: Row, counter: Row, slug: str | None) -> None:
    # Those called to the door from a queue that is admitted no more wait again, first and in their order.
    queue = find_queue(db, place, slug) if slug else None
    if queue and queue.counter_id:
        raise Conflict(f"Another counter admits {queue.name} already.")
    run(db, "UPDATE queue SET counter_id = NULL WHERE counter_id = :id", id=counter.id)
    for ticket in called_in(db, place):
        if ticket.queue_id == counter.queue_id and ticket.servicer_id is None:
            step_at_door(db, at, ticket, "put-back", day_of(place, at))
    if queue:
        change(db, "queue", queue.id, counter_id=counter.id)


def delete_counter(db: Connection, at: float, place: Row, counter: Row) -> None:
    """Takes a counter and its doors away; the queue that it admitted goes on without a door."""
    change_counter(db, at, place, counter, admits=None)
    change(db, "counter", counter.id, deleted_at=at)


# ----- its doors


def doors_of(db: Connection, at: float, place: Row, counter: Row) -> list[Row]:
    """The doors of a counter, oldest first, each with the code that leads to it while it lasts."""
    sql = f"{DOORS} AND counter_id = :counter ORDER BY door.id"
    return run(db, sql, place=place.id, at=at, counter=counter.id).all()


def find_door(db: Connection, at: float, place: Row, column: str, value: Any) -> tuple[Row, Row]:
    """The counter and the door of a door's `id` or `token`; raises NotFound."""
    door = run(db, f"{DOORS} AND door.{column} = :value", place=place.id, at=at, value=value).first()
    if door is None:
        raise NotFound("This door's link is not valid any more. Ask the owner for the new one.")
    return next(each for each in counters_of(db, place, at) if each.id == door.counter_id), door


def add_door(db: Connection, at: float, place: Row, counter: Row, name: str) -> Row:
    """Adds a door, with a link of its own."""
    columns = {"counter_id": counter.id, "name": name, "token": secrets.token_urlsafe(16), "created_at": at}
    door = insert(db, "door", **columns).one()
    record(db, at, place.id, "add-door", counter_id=counter.id, door_id=door.id)
    return find_door(db, at, place, "id", door.id)[1]


def change_door(db: Connection, at: float, place: Row, door_id: int, kind: str) -> Row:
    """Gives a door a new link (`replace`), a `code`, or takes it away (`remove`); raises NotFound."""
    counter, door = find_door(db, at, place, "id", door_id)
    record(db, at, place.id, f"{kind}-door", counter_id=counter.id, door_id=door.id)
    if kind == "remove":
        change(db, "door", door.id, removed_at=at)
        return door
    if kind == "code":
        give_code(db, at, place, door.id)
    else:  # a code led to the old link, which is unknown from now on
        run(db, "DELETE FROM code WHERE door_id = :id", id=door.id)
        change(db, "door", door.id, token=secrets.token_urlsafe(16))
    return find_door(db, at, place, "id", door.id)[1]


def give_code(db: Connection, at: float, place: Row, door_id: int | None = None) -> Row:
    """Makes six digits, to be read out, that lead to a door's link or (without one) to the staff link."""
    sql = "DELETE FROM code WHERE place_id = :place AND (ends_at <= :at OR coalesce(door_id, 0) = :door)"
    run(db, sql, place=place.id, at=at, door=door_id or 0)
    used = set(run(db, "SELECT digits FROM code WHERE place_id = :place", place=place.id).scalars())
    digits = next(each for each in iter(lambda: f"{secrets.randbelow(10**6):06}", "") if each not in used)
    record(db, at, place.id, "give-code", door_id=door_id)
    row = {"place_id": place.id, "door_id": door_id, "digits": digits, "ends_at": at + CODE_S}
    return insert(db, "code", "RETURNING digits AS code", **row).one()


def staff_code(db: Connection, at: float, place: Row) -> Row | None:
    """The code that leads to the staff link, while it lasts."""
    sql = "SELECT * FROM code WHERE place_id = :place AND door_id IS NULL AND ends_at > :at"
    return run(db, sql, place=place.id, at=at).first()


def use_code(db: Connection, at: float, slug: str, digits: str) -> tuple[str, str]:
    """The kind of link that a code leads to, `door` or `staff`, and its token; raises BadInput."""
    place = find_place(db, slug)
    door = run(db, f"{DOORS} AND digits = :digits", place=place.id, at=at, digits=digits).first()
    staff = staff_code(db, at, place)
    if door:
        return "door", door.token
    if staff and staff.digits == digits:
        return "staff", place.staff_token
    raise BadInput("This code is not valid, or not any more: it lasts ten minutes. Ask for a new one.")


def by_door(db: Connection, at: float, slug: str, token: str, does: Callable, **more: Any) -> None:
    """Runs `does(db, at, place, counter, door, …)` for whoever holds a door's link; raises NotFound."""
    place = find_place(db, slug)
    counter, door = find_door(db, at, place, "token", token)
    open_day(db, place, at)
    does(db, at, place, _today(db, at, place, counter), door, **more)
    admit(db, at, counter.queue_id)


def store_taps(
    db: Connection, at: float, place: Row, counter: Row, door: Row, taps: list[dict[str, Any]]
) -> None:
    """Counts what was tapped at a door: all of it or nothing, and each tap once however often it is sent.

    A tap has id and delta, and may have ago_s (seconds since it was made), number (of a called customer who
    came in) and undoes (the id of a tap that it takes back). One made before the last recount, or whose
    customer was counted already, is kept in the history and not added.
    """
    undoes = [(tap.get("undoes") or "").lower() for tap in taps]
    # A tap is taken back once, whatever id that has.
    ids = [f"undo {other}" if other else tap["id"].lower() for tap, other in zip(taps, undoes, strict=True)]
    sql = "SELECT * FROM event WHERE counter_id = :counter AND tap IN :ids"
    known = {event.tap: event for event in run(db, sql, counter=counter.id, ids=ids + undoes)}
    for tap, key, other in zip(taps, ids, undoes, strict=True):
        if key not in known:
            known[key] = _count_tap(db, at, place, counter, door, tap | {"id": key}, known.get(other))


def _count_tap(
    db: Connection, at: float, place: Row, counter: Row, door: Row, tap: dict, undone: Row | None
) -> Row:
    made_at, kind, step = max(counter.created_at, at - tap.get("ago_s", 0)), "tap", "come-in"
    who, value, delta = (
        "ticket.number = :value AND ticket.series >= :yesterday",
        tap.get("number"),
        tap["delta"],
    )
    may = STEPS[step][0]
    if undone:
        kind, step, may, who = "undo", "bring-back", ("done",), "ticket.id = :value"
        value, delta = undone.ticket_id, -undone.delta
    sql = f"""{TICKETS} WHERE ticket.place_id = :place AND ticket.queue_id = :queue AND {who}
              AND ticket.servicer_id IS NULL AND taken_at <= :made_at ORDER BY ticket.id DESC LIMIT 1"""
    values = {"place": place.id, "queue": counter.queue_id, "made_at": made_at}
    values["yesterday"] = day_of(place, made_at - 86400)
    ticket = run(db, sql, value=value, **values).first() if value else None
    since = undone.happened_at if undone else made_at
    if ticket and ticket.state == "done" and not undone:
        kind, ticket = "not-counted", None  # she was counted already
    elif since < counter.recounted_at or (undone and undone.kind not in COUNTED):
        kind = "not-counted"
    columns = {"place_id": place.id, "counter_id": counter.id, "door_id": door.id, "happened_at": made_at}
    columns |= {"kind": kind, "tap": tap["id"], "delta": delta, "ticket_id": ticket and ticket.id}
    event = insert(db, "event", **columns).one()
    if kind in COUNTED:
        sql = "UPDATE counter SET inside = inside + :delta WHERE id = :id"
        run(db, sql, delta=delta, id=counter.id)
    if ticket and ticket.state in may:  # after the count, or her space would be given away
        step_at_door(db, at, ticket, step, day_of(place, at))
    return event


def recount(db: Connection, at: float, place: Row, counter: Row, door: Row, count: int) -> None:
    """Sets the true number of people inside; by how much the count had drifted is kept in the history."""
    change(db, "counter", counter.id, inside=count, recounted_at=at)
    more = {"counter_id": counter.id, "door_id": door.id, "detail": str(count)}
    record(db, at, place.id, "recount", delta=count - counter.inside, **more)


def not_here(db: Connection, at: float, place: Row, counter: Row, door: Row, number: str) -> None:
    """Ends the ticket of a customer who was called to a door and did not come; raises Conflict."""
    for ticket in called_in(db, place):
        if (ticket.number, ticket.queue_id, ticket.servicer_id) == (number, counter.queue_id, None):
            return step_at_door(db, at, ticket, "no-show", day_of(place, at))
    raise Conflict(f"{number} is not called to this door any more. {UNCHANGED}")


# ==========================================================================================================
# Numbers: figures and the estimated wait; only reads
# ==========================================================================================================

LATEST = 1000  # so many of a queue's last tickets teach how long a service takes, and how many leave
RECENT = 100  # when the last so many services differ clearly from all of them, they count
SURE = 150  # a mean is never known better than by so many services, since a day changes it
GUESS = 0.3  # the squared coefficient of variation of the owner's guess: it may err by a factor of two
AWAY_S = 300  # a free desk that lets people wait for so long is not at work
SECRETS = ("token", "manage_token", "staff_token", "browser", "request_key", "digits")  # in no download


class Past(NamedTuple):
    """What a ticket that ended tells: seconds it waited, whether its customer left the line, and seconds that
    a desk spent on it (None if none did)."""

    waited: float
    left: bool
    service: float | None


class Learned(NamedTuple):
    """What the past of a line teaches: the mean service in seconds and by how many services it is known, the
    squared coefficient of variation of one, the longest that is believed, the share of those in line who will
    leave it, and whether this is all of its past."""

    service_s: float
    number: float
    scv: float
    longest_s: float
    leave: float
    whole: bool


class Pace(NamedTuple):
    """How fast a line moves: free desks, seconds since each busy one's call, the mean service in seconds, its
    squared coefficient of variation, that of our knowledge of the mean, and the share of those in line who
    will leave it."""

    free: int
    busy: tuple[float, ...]
    service_s: float
    scv: float
    doubt: float
    leave: float


def learn(latest: list[Past], usual_s: float) -> Learned:
    """What the latest tickets of a line teach (newest first), beside the owner's guess of a usual service.

    The guess weighs as much as it is sure, so it fades as customers are served. A change that chance does not
    explain (more than two standard errors) is believed the more the clearer it is.
    """
    # Of those in line, so many will leave: each leaver is one of them for as long as she waits.
    leaving = sum(each.waited for each in latest if each.left)
    leave = min(0.5, leaving / (sum(each.waited for each in latest) + 10 * usual_s))
    services = [each.service for each in latest if each.service is not None]
    number = len(services)
    longest = 10 * sorted([*services, usual_s])[number // 2]  # what is longer, somebody forgot to end
    services = [min(each, longest) for each in services]
    mean = (sum(services) + usual_s) / (number + 1)
    scv = (0.5 + sum((each / mean - 1) ** 2 for each in services)) / (number + 1)
    prior = scv / GUESS
    mean, known = (prior * usual_s + sum(services)) / (prior + number), prior + number
    recent = services[:RECENT]
    if number > 2 * RECENT:
        apart = sum(recent) / RECENT / mean - 1
        belief = max(0.0, 1 - 4 * scv / RECENT / apart**2) if apart else 0.0
        mean *= 1 + belief * apart
        known = 1 / ((1 - belief) ** 2 / known + belief**2 / RECENT)
    return Learned(mean, known, scv, longest, leave, len(latest) < LATEST)


def pace(learned: Learned, free: int, busy: list[float]) -> Pace:
    """The pace of a line with so many free desks, and busy ones that called so many seconds ago."""
    mean, number, scv, longest, leave, whole = learned
    if whole:  # who is being served says that services can take so long (a censored observation)
        mean += 2 * scv / (1 + scv) * sum(min(each, longest) for each in busy) / number
    return Pace(free, tuple(busy), max(1.0, mean), scv, scv / min(number, SURE), leave)


def waits_of(pace: Pace, positions: Iterable[float]) -> Iterator[tuple[float, float]]:
    """The mean and the variance of the wait, in seconds, with so many ahead; for each of these positions.

    Services are taken to be generalised Pareto: exponential, fixed, and what lies between and beyond. Then
    the mean time that a service still takes is linear in the time it has taken, and its coefficient of
    variation stays that of a whole one.
    """
    desks, service, scv = pace.free + len(pace.busy), pace.service_s, pace.scv
    slope, least = (scv - 1) / (scv + 1), service * scv / (scv + 1)
    rests = sorted([max(least, service + slope * each) for each in pace.busy] + pace.free * [service])
    rest, square = sum(rests) / desks, sum(each * each for each in rests) / desks
    apart_s, chance, stay = service / desks, min(1.0, 2 * math.sqrt(scv)), 1 - pace.leave
    rests.append(rests[0] + service)
    for ahead in positions:
        if ahead < pace.free:
            yield 0.0, 0.0
            continue
        ends = 1 + (ahead - pace.free) * stay  # so many services must end before
        # Without chance, desks end their services in turn; with it, as renewal processes do in the long run.
        turns, part = divmod(ends - 1, desks)
        low = int(part)
        turn = turns * service + rests[low] + (part - low) * (rests[low + 1] - rests[low])
        renewal = rest + apart_s * (ends - (1 - scv) / 2 - desks * (1 + scv) / 2)
        mean = chance * max(renewal, apart_s * ends / 2) + (1 - chance) * turn
        own = scv * (square * min(desks, ends) + service * service * max(0.0, ends - desks)) / desks**2
        yield mean, own + pace.doubt * mean * mean + (ends - 1) * pace.leave * apart_s * apart_s


def wait_ranges(pace: Pace, positions: Iterable[float]) -> list[dict[str, int]]:
    """The 10 % to 90 % range of the wait with so many ahead, in seconds, as whole minutes."""
    # Gamma distributed by its mean and variance; the quantiles are Wilson and Hilferty's (PNAS 17, 1931).
    ranges = []
    for mean, variance in waits_of(pace, positions):
        part = variance / (mean * mean) / 9 if mean else 0.0
        low, high = (mean * max(0.0, 1 - part + z * math.sqrt(part)) ** 3 for z in (-1.2816, 1.2816))
        inward = min(15, (high - low) / 12)  # since what is rounded outward to minutes gains as much
        start = 60 * int((low + inward) / 60)
        ranges.append({"from": start, "to": max(start + 60, 60 * math.ceil((high - inward) / 60))})
    return ranges


class Memory:
    """What was learned of each queue; it lasts a second for each twenty tickets that it was learned of."""

    def __init__(self) -> None:
        self._learned: dict[int, tuple[float, float, int, Learned]] = {}

    def of(self, db: Connection, at: float, queue: Row) -> Learned:
        """What the latest tickets of a queue teach."""
        made_at, lasts, usual_s, learned = self._learned.get(queue.id, (at, -1, 0, None))
        if not 0 <= at - made_at < lasts or usual_s != queue.usual_service_s:
            latest = past_of(db, queue)
            learned = learn(latest, queue.usual_service_s)
            self._learned[queue.id] = at, len(latest) / 20, queue.usual_service_s, learned
        return learned


def past_of(db: Connection, queue: Row) -> list[Past]:
    """The latest tickets of a queue that ended, newest first."""
    # A desk is at a customer from her call, or from the end of the one before while she waits already.
    sql = """SELECT coalesce(first_called_at, ended_at) - taken_at AS waited,
                    first_called_at IS NULL AS has_left,
                    CASE WHEN servicer_id IS NOT NULL THEN ended_at - called_at END AS service,
                    called_at - joined_at AS waiting, called_at - (SELECT max(ended_at) FROM ticket AS before
                                 WHERE before.servicer_id = ticket.servicer_id AND before.ended_at IS NOT NULL
                                 AND before.ended_at <= ticket.called_at) AS idle
             FROM ticket WHERE queue_id = :queue AND ended_at IS NOT NULL AND state <> 'expired'
             ORDER BY ended_at DESC LIMIT :latest"""
    found = []
    for waited, left, service, waiting, idle in run(db, sql, queue=queue.id, latest=LATEST):
        pause = 0.0 if service is None or idle is None else min(waiting, idle)
        if 0 < pause <= AWAY_S:
            service += pause
        found.append(Past(waited, bool(left), service))
    return found


class Line(NamedTuple):
    """The line that customers of a queue are in: its pace (None while no desk is on duty), how many wait in
    each queue, and for how many of her queue each counts who waits where the same desks call from."""

    pace: Pace | None
    waiting: dict[int, int]
    counts_as: dict[int, float]

    def length(self, waiting: Mapping[int, int]) -> float:
        """How long a line is, when so many wait in each queue."""
        return sum(self.counts_as.get(queue, 0.0) * number for queue, number in waiting.items())

    def expect(self, *lengths: float) -> list[dict[str, int] | None]:
        """The ranges of the wait behind lines of these lengths."""
        return wait_ranges(self.pace, lengths) if self.pace else [None for _ in lengths]


NO_LINE = Line(None, {}, {})  # of a queue that a counter admits: it has no desks


def lines_of(db: Connection, at: float, place: Row, memory: Memory) -> dict[int, Line]:
    """The lines of a place now, by queue."""
    queues = [queue for queue in queues_of(db, place) if not queue.counter_id]
    sql = """SELECT queue_id, count(*) AS number, min(joined_at) AS since FROM ticket
             WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day GROUP BY queue_id"""
    lines = run(db, sql, queues=[queue.id for queue in queues], day=day_of(place, at)).all()
    since = {line.queue_id: line.since for line in lines}
    waiting = {line.queue_id: line.number for line in lines}
    desks = {queue.id: _desks_of(db, at, place, queue.id, since.get(queue.id, at)) for queue in queues}
    learned = {queue.id: memory.of(db, at, queue) for queue in queues}
    found = {}
    for queue in queues:
        mine, counts_as = desks[queue.id], {queue.id: 1.0}
        for other in waiting.keys() & desks.keys() - {queue.id}:
            shared = len(mine.keys() & desks[other].keys()) / max(1, len(desks[other]))
            counts_as[other] = shared * learned[other].service_s / learned[queue.id].service_s
        busy = [max(0.0, at - called_at) for called_at in mine.values() if called_at is not None]
        its = pace(learned[queue.id], len(mine) - len(busy), busy) if mine else None
        found[queue.id] = Line(its, waiting, counts_as)
    return found


def _desks_of(db: Connection, at: float, place: Row, queue_id: int, since: float) -> dict[int, float | None]:
    # The desks on duty in a queue, each with the time of its call, if it is busy. One that is free though
    # people have been waiting `since` long ago is not at work; if all are so, it is as if they called now.
    sql = """SELECT id, created_at, (SELECT called_at FROM ticket WHERE servicer_id = servicer.id
                                     AND state IN ('called', 'serving')) AS called_at,
                    (SELECT max(ended_at) FROM ticket WHERE servicer_id = servicer.id
                     AND ended_at IS NOT NULL) AS ended_at
             FROM servicer WHERE place_id = :place AND on_duty = 1 AND removed_at IS NULL AND (all_queues = 1
             OR id IN (SELECT servicer_id FROM servicer_queue WHERE queue_id = :queue))"""
    desks = run(db, sql, place=place.id, queue=queue_id).all()
    recent = at - AWAY_S
    at_work = [
        each for each in desks if each.called_at or max(each.ended_at or 0, each.created_at, since) >= recent
    ]
    return {each.id: each.called_at for each in at_work} or {each.id: at for each in desks}


def hit_rate(db: Connection, queue: Row, since: float) -> dict[str, int]:
    """How many who had been shown a range were called since then, and how many of them within it."""
    sql = f"""SELECT count(*) AS called, coalesce(sum(CASE WHEN first_called_at - taken_at
                     BETWEEN wait_from AND wait_to THEN 1 ELSE 0 END), 0) AS within
              FROM (SELECT * FROM ticket WHERE queue_id = :queue AND ended_at >= :since UNION ALL
                    SELECT * FROM ticket WHERE place_id = :place AND queue_id = :queue AND {BUSY}) AS called
              WHERE first_called_at >= :since AND wait_to IS NOT NULL"""
    return dict(run(db, sql, queue=queue.id, place=queue.place_id, since=since).one()._mapping)


# What the steps of a line mean for those who wait in it; a desk is named where no ticket is.
STEP_WORDS = {
    "call": "{} was called",
    "cancel": "{} left the line",
    "no-show": "{} was not here",
    "put-back": "{} waits again",
    "bring-back": "{} came back",
    "move": "{} came from another line",
    "pause": "{} pauses",
    "resume": "{} goes on",
}


def steps_of(db: Connection, place: Row, ticket: Row, most: int = 5) -> list[dict[str, Any]]:
    """The last steps of a ticket's line since it was taken, newest first, without names."""
    sql = """SELECT happened_at, kind, coalesce(number, servicer.desk, 'A desk') AS who, number,
                    ticket.priority, ticket.joined_at, ticket.id AS ticket_id
             FROM event LEFT JOIN ticket ON ticket.id = ticket_id
             LEFT JOIN servicer ON servicer.id = event.servicer_id
             WHERE event.place_id = :place AND kind IN :kinds
             AND event.id > (SELECT min(id) FROM event WHERE ticket_id = :ticket)
             AND CASE WHEN ticket_id IS NOT NULL THEN event.queue_id = :queue AND ticket_id <> :ticket
                 ELSE all_queues = 1 OR servicer.id IN (SELECT servicer_id FROM servicer_queue
                                                        WHERE queue_id = :queue) END
             ORDER BY event.id DESC LIMIT :most"""
    values = {"place": place.id, "ticket": ticket.id, "queue": ticket.queue_id, "most": most}
    mine, steps = (ticket.priority, ticket.joined_at, ticket.id), []
    for step in run(db, sql, kinds=list(STEP_WORDS), **values):
        why = ""
        if step.kind == "call" and (step.priority, step.joined_at, step.ticket_id) > mine:
            why = ", before its turn"
        elif step.kind == "call" and step.priority < ticket.priority:
            why = ": priority"
        at = iso(step.happened_at, ZoneInfo(place.timezone))
        text = STEP_WORDS[step.kind].format(step.who) + why
        steps.append({"at": at, "kind": step.kind, "number": step.number, "text": text})
    return steps


def figures(db: Connection, queue: Row, since: float, until: float) -> dict[str, Any]:
    """Customers served (done) between two instants, and their average wait, service and total in seconds."""
    sql = f"""SELECT count(*) AS served, avg(wait_s) AS wait, avg(total_s) AS total, avg(service_s) AS service
              FROM ({TICKETS} WHERE ticket.queue_id = :queue AND ended_at IS NOT NULL AND ended_at >= :since
                    AND ended_at < :until AND state = 'done') AS done"""
    return dict(run(db, sql, queue=queue.id, since=since, until=until).one()._mapping)


def tickets_between(db: Connection, place: Row, first: str, last: str, after: int) -> list[Row]:
    """The next thousand tickets, by id above `after`, of a place's days from `first` to `last` inclusive."""
    sql = f"""{TICKETS} WHERE ticket.place_id = :place AND ticket.id > :after
              AND ticket.series >= :first AND ticket.series < :beyond ORDER BY ticket.id LIMIT 1000"""
    return run(db, sql, place=place.id, after=after, first=first, beyond=next_day(last)).all()


def counts_between(
    db: Connection, counter: Row, since: float, until: float, after: int = 0, most: int = 10**9
) -> list[Row]:
    """What was tapped and recounted at a counter between two instants (after an event), in order."""
    sql = """SELECT event.*, detail AS recounted, door.name AS door, ticket.number
             FROM event LEFT JOIN door ON door.id = event.door_id
             LEFT JOIN ticket ON ticket.id = event.ticket_id
             WHERE event.counter_id = :counter AND delta IS NOT NULL AND happened_at < :until
             AND (happened_at, event.id) > (:since, :after) ORDER BY happened_at, event.id LIMIT :most"""
    return run(db, sql, counter=counter.id, since=since, until=until, after=after, most=most).all()


def count_at(db: Connection, at: float, counter: Row, day: str, begins: float) -> int:
    """How many were inside when a day began: by what was counted before, or since, whichever is less."""
    if counter.empties == "day" and day > counter.day:  # nothing was counted since it emptied itself
        return 0
    sql = "SELECT coalesce(min(happened_at), :at) FROM event WHERE counter_id = :counter"
    early = begins - run(db, sql, counter=counter.id, at=at).scalar_one() < at - begins
    sql = f"""SELECT coalesce(sum(delta), 0) FROM event WHERE counter_id = :counter AND kind IN :counted
              AND happened_at {"<=" if early else ">"} :begins"""
    counted = run(db, sql, counter=counter.id, counted=COUNTED, begins=begins).scalar_one()
    return counted if early else counter.inside - counted


def day_of_counter(db: Connection, at: float, place: Row, counter: Row, day: str) -> dict[str, Any]:
    """How many were inside over a day, as JSON: at its start, after each minute in which that changed (`x` is
    from 0 to 1), at the peak; people in and out by door, recounts, and how many taps were not counted."""
    zone = ZoneInfo(place.timezone)
    begins, ends = (day_begins(place.timezone, each, place.day_starts) for each in (day, next_day(day)))
    start = count = count_at(db, at, counter, day, begins)
    counts, minutes, doors, recounts, not_counted = [(start, begins)], {}, {}, [], 0
    for event in counts_between(db, counter, begins, ends):
        if event.kind not in COUNTED:
            not_counted += 1
            continue
        if event.kind in ("tap", "undo"):
            passed = doors.setdefault(event.door_id, {"name": event.door, "in": 0, "out": 0})
            came = (event.delta > 0) == (event.kind == "tap")  # else somebody went, or that is taken back
            passed["in" if came else "out"] += event.delta if came else -event.delta
        else:
            drift = {"door": event.door, "count": int(event.recounted), "drift": event.delta}
            recounts.append({"at": iso(event.happened_at, zone)} | drift)
        if event.happened_at > begins:  # or it is in the start
            count += event.delta
            counts.append((count, event.happened_at))
            minutes[event.happened_at // 60] = counts[-1]
    points = [
        {"at": iso(when, zone), "count": inside, "x": round((when - begins) / (ends - begins), 5)}
        for inside, when in minutes.values()
    ]
    high, reached = max(counts, key=lambda each: (each[0], -each[1]))
    peak = {"count": high, "at": iso(reached, zone)} if points or start else None
    content = {"day": day, "start": start, "count": count, "capacity": counter.capacity, "peak": peak}
    content |= {"begins": iso(begins, zone), "ends": iso(ends, zone), "until": iso(min(at, ends), zone)}
    content |= {"points": points, "top": max(counter.capacity, high), "bottom": min(0, min(counts)[0])}
    return content | {"recounts": recounts, "doors": list(doors.values()), "not_counted": not_counted}


def everything(database: Database, place: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """All rows of a place, as (table, row), without what its links are made of; in many short reads."""
    for table, mine in reversed(tables_of_place().items()):
        sql = f"SELECT * FROM {table} WHERE {mine} AND id > :after ORDER BY id LIMIT 1000"
        after, rows = 0, [place]
        while rows:
            with database.read() as db:
                rows = run(db, sql, place=place.id, after=after).all()
            for row in rows:
                after = row.id
                yield table, {key: value for key, value in row._mapping.items() if key not in SECRETS}


# ----- the figures of any days

MEASURES = ("wait", "service", "total")
COUNTS = ("served", "left", "not_here", "expired", "open")  # how it ended, as TALLY numbers it
BINS = 12  # of a distribution; the last has no upper end where it must not
BIN_S = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200)
MOST_DAYS = 31  # for which each customer at a desk is looked at
MORE_DESKS = 5  # at most, to be tried
SHOWN = """place_id = :place AND series >= :first AND series < :beyond
           AND queue_id = coalesce(:queue, queue_id) AND taken_at <= :until"""
# Days of a place in few rows: how many tickets by hour of the week (0 to 167), how they ended, queue and
# servicer, and for how long they waited in that hour; the same of `later` hours; and how many had a wait,
# service and total of so many seconds (of those who were served, as everywhere). Counted in SQL, so that a
# year is no work for the interpreter, which has everybody else to answer.
TALLY = f"""
WITH RECURSIVE later (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM later WHERE n < 24),
tickets AS MATERIALIZED (
    SELECT queue_id, coalesce(servicer_id, 0) AS servicer_id,
           CASE WHEN state = 'done' THEN 0 WHEN state = 'cancelled' THEN 1 WHEN state = 'no_show' THEN 2
                WHEN state = 'expired' OR (state = 'waiting' AND series < :today) THEN 3 ELSE 4 END AS ended,
           taken_at + :shift AS came, coalesce(first_called_at, ended_at, :waits_until) + :shift AS went,
           CAST(taken_at + :shift AS BIGINT) / 3600 AS hour,
           CASE WHEN state = 'done' THEN first_called_at - taken_at END AS wait,
           CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service,
           CASE WHEN state = 'done' THEN ended_at - taken_at END AS total
    FROM ticket WHERE {SHOWN})
SELECT 'tickets' AS kind, hour % 168 AS x, ended, queue_id, servicer_id, count(*) AS many,
       sum(CASE WHEN went < 3600 * (hour + 1) THEN went ELSE 3600 * (hour + 1) END - came) AS line,
       sum(wait) AS wait, sum(service) AS service, sum(total) AS total
FROM tickets GROUP BY hour % 168, ended, queue_id, servicer_id
UNION ALL
SELECT 'later', (hour + n) % 168, 0, 0, 0, 0,
       sum(CASE WHEN went < 3600 * (hour + n + 1) THEN went - 3600 * (hour + n) ELSE 3600 END), 0, 0, 0
FROM tickets JOIN later ON went > 3600 * (hour + n) WHERE went > 3600 * (hour + 1) GROUP BY (hour + n) % 168
UNION ALL
SELECT 'wait', CAST(round(wait) AS BIGINT), 0, queue_id, 0, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(wait) AS BIGINT), queue_id
UNION ALL
SELECT 'service', CAST(round(service) AS BIGINT), 0, 0, servicer_id, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(service) AS BIGINT), servicer_id
UNION ALL
SELECT 'total', CAST(round(total) AS BIGINT), 0, 0, 0, count(*), 0, 0, 0, 0
FROM tickets WHERE ended = 0 GROUP BY CAST(round(total) AS BIGINT)"""
# Each series: how many joined, the longest wait, and how many waits missed the goal.
SERIES = f"""
SELECT series, count(*) AS joined,
       coalesce(max(CASE WHEN state = 'done' THEN first_called_at - taken_at END), -1e9) AS longest,
       sum(CASE WHEN state = 'done' AND first_called_at - taken_at >= :goal THEN 1 ELSE 0 END) AS missed
FROM ticket WHERE {SHOWN} GROUP BY series"""


class Tally:
    """Tickets as they were counted: how they ended, and how many took so many whole seconds."""

    def __init__(self) -> None:
        self.ended: Counter[int] = Counter()
        self.sums = dict.fromkeys(MEASURES, 0.0)
        self.times: dict[str, Counter[int]] = {name: Counter() for name in MEASURES}

    def measure(self, name: str) -> dict[str, Any] | None:
        """The average of a measure; and where each was counted, what spread() has to say."""
        if not self.ended[0]:
            return None
        content = {"average": round(self.sums[name] / self.ended[0], 1), "many": self.ended[0]}
        return content | (spread(self.times[name]) if self.times[name] else {})

    def content(self) -> dict[str, Any]:
        """As JSON: customers by how it ended, and each measure."""
        content = {"joined": self.ended.total()} | {name: self.ended[n] for n, name in enumerate(COUNTS)}
        return content | {name: self.measure(name) for name in MEASURES}


class Days(NamedTuple):
    """What was counted over days: of all, by queue and by servicer; customers and seconds in line by hour of
    the week; and of each day how many joined, the longest wait, and how many waits missed the goal."""

    all: Tally
    queues: defaultdict[int, Tally]
    servicers: defaultdict[int, Tally]
    joined: Counter[int]
    line: Counter[int]
    days: dict[str, list[float]]


def spread(times: Counter[int]) -> dict[str, Any]:
    """Median, 90 % (nine of ten took at most that) and longest of times, in whole seconds.

    `bins` is their distribution: how many took `from` so many seconds and less than `to`, or any more.
    """
    n, ordered = times.total(), sorted(times)
    up_to = list(accumulate(times[each] for each in ordered))
    nth = [ordered[bisect_left(up_to, rank)] for rank in ((n + 1) // 2, n // 2 + 1, -(-9 * n // 10))]
    last = ordered[bisect_left(up_to, -(-98 * n // 100))]  # a few very long ones don't squeeze all the others
    width = next((each for each in BIN_S if each * BINS > last), BIN_S[-1])
    bins = [{"from": width * each, "to": width * (each + 1), "many": 0} for each in range(BINS)]
    for each, many in times.items():
        bins[min(max(0, each) // width, BINS - 1)]["many"] += many
    if ordered[-1] >= width * BINS:
        bins[-1]["to"] = None
    bins = bins[: max(number for number, each in enumerate(bins, 1) if each["many"])]
    return {"median": (nth[0] + nth[1]) / 2, "p90": nth[2], "longest": ordered[-1], "bins": bins}


def count_days(
    database: Database, place: Row, at: float, first: str, last: str, until: float, queue: Row | None
) -> Days:
    """Counts the tickets that were taken on these days, until then; reads a quarter of a year at a time."""
    found = Days(Tally(), defaultdict(Tally), defaultdict(Tally), Counter(), Counter(), {})
    zone, today = ZoneInfo(place.timezone), day_of(place, at)
    newest = max(place.series[:10], "1970-01-01")  # of a day before, no ticket waits any more
    values = {"today": today, "until": until, "place": place.id, "queue": queue and queue.id}
    over = day_begins(place.timezone, next_day(newest), place.day_starts)
    values |= {"waits_until": min(at, over), "goal": 60 * place.wait_goal_minutes}

    def part(day: str) -> tuple[str, int, float]:  # in which no clock is changed
        begins = datetime.fromtimestamp(day_begins(place.timezone, day, place.day_starts), zone)
        return day[:4], (int(day[5:7]) - 1) // 3, begins.utcoffset().total_seconds()

    with database.read() as db:
        sql = """SELECT (SELECT min(series) FROM ticket WHERE place_id = :place) AS first,
                        (SELECT max(series) FROM ticket WHERE place_id = :place) AS last"""
        there = run(db, sql, place=place.id).one()
    first, last = max(first, (there.first or "9999")[:10]), min(last, (there.last or "0001")[:10])
    length = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1 if first <= last else 0
    for (_, _, offset), some in groupby((next_day(first, n) for n in range(length)), part):
        days, shift = list(some), offset - 3600 * place.day_starts
        values |= {"first": days[0], "beyond": next_day(days[-1]), "shift": shift}
        with database.read_long() as db:
            for row in run(db, TALLY, **values):
                _add(found, *row)
            for series, *counts in run(db, SERIES, **values):
                day = found.days.setdefault(series[:10], [0, -1e9, 0])
                day[:] = day[0] + counts[0], max(day[1], counts[1]), day[2] + counts[2]
    return found


def _add(
    found: Days,
    kind: str,
    x: int,
    ended: int,
    queue: int,
    servicer: int,
    many: int,
    line: float,
    *sums: float,
) -> None:
    # One row of TALLY.
    tallies = [found.all]
    tallies += [found.queues[queue]] if queue else []
    tallies += [found.servicers[servicer]] if servicer else []
    if kind in MEASURES:
        for tally in tallies:
            tally.times[kind][x] += many
        return
    found.joined[x] += many
    found.line[x] += line
    for tally in tallies if many else ():
        tally.ended[ended] += many
        for name, seconds in zip(MEASURES, sums, strict=True):
            tally.sums[name] += seconds or 0.0


def owners_numbers(
    database: Database, place: Row, at: float, first: str, last: str, queue: Row | None
) -> dict[str, Any]:
    """The owner's numbers of the tickets taken on these days, as JSON; times in seconds.

    Wait, service and total are of those who were served. Up to a week has the same weekdays `before` beside
    it; where the days end today, these until the same time. `desks` and `idle_s` are of all queues together.
    """
    found = count_days(database, place, at, first, last, at, queue)
    content = found.all.content() | {"days": len(found.days), "goal_minutes": place.wait_goal_minutes}
    within = sum(many for s, many in found.all.times["wait"].items() if s < 60 * place.wait_goal_minutes)
    content |= {"within_goal": within, "hours": hours_of(place, at, found), "before": None}
    if first > next_day(last, -7):
        earlier = [next_day(day, -7) for day in (first, last)]
        passed = at - day_begins(place.timezone, last, place.day_starts)
        until = day_begins(place.timezone, earlier[1], place.day_starts) + passed
        before = count_days(database, place, at, *earlier, until, queue).all.content()
        content["before"] = {"from": earlier[0], "to": earlier[1]} | before
    with database.read_long() as db:
        sql = "SELECT id, slug, name FROM queue WHERE place_id = :place ORDER BY id"
        lines = {row.id: row for row in run(db, sql, place=place.id)}
        sql = "SELECT id, name, desk FROM servicer WHERE place_id = :place ORDER BY id"
        people = {row.id: row for row in run(db, sql, place=place.id)}
        content |= {"longest": longest_wait(db, place, found, queue)}
        content |= desks_content(db, place, at, found) if queue is None else NO_DESKS
    idle = content.pop("idle")
    content["queues"] = [
        {"slug": lines[each].slug, "name": lines[each].name} | found.queues[each].content()
        for each in sorted(found.queues)
    ]
    content["servicers"] = []
    for each in sorted(found.servicers):
        tally, row = found.servicers[each], people[each]
        counts = {name: tally.content()[name] for name in ("served", "not_here", "service")}
        person = {"id": row.id, "name": row.name, "desk": row.desk}
        content["servicers"].append(
            person | counts | {"idle_s": None if idle is None else round(idle[each], 2)}
        )
    return content


def hours_of(place: Row, at: float, found: Days) -> list[dict[str, Any]]:
    """By weekday (0: Monday) and hour (its `column`: hours since the day began): how many joined, and how
    many stood in line on the average.

    The average is over the days on which anybody joined; today, over the part of the hour that has passed.
    """
    today, hours = day_of(place, at), []
    passed = (at - day_begins(place.timezone, today, place.day_starts)) / 3600
    weekdays = Counter(date.fromisoformat(day).weekday() for day in found.days)
    for x in sorted(found.joined, key=lambda x: ((x // 24 + 3) % 7, x % 24)):  # 1970 began with a Thursday
        weekday, hour = (x // 24 + 3) % 7, x % 24
        days = float(weekdays[weekday])
        if today in found.days and weekday == date.fromisoformat(today).weekday():
            days -= 1 - min(1.0, max(0.0, passed - hour))
        if days > 0:
            line = round(found.line[x] / 3600 / days, 2)
            content = {"weekday": weekday, "hour": (hour + place.day_starts) % 24, "column": hour}
            hours.append(content | {"joined": found.joined[x], "line": line})
    return hours


def longest_wait(db: Connection, place: Row, found: Days, queue: Row | None) -> dict[str, Any] | None:
    """Whose wait was the longest of those who were served, and when; as JSON."""
    sql = """SELECT ticket.number, queue.name AS queue, taken_at, first_called_at AS called_at,
                    first_called_at - taken_at AS wait_s
             FROM ticket JOIN queue ON queue.id = queue_id
             WHERE ticket.place_id = :place AND ticket.series >= :day AND ticket.series < :beyond
             AND queue_id = coalesce(:queue, queue_id) AND state = 'done'
             ORDER BY wait_s DESC, ticket.id LIMIT 1"""
    if not found.all.ended[0]:
        return None
    day = max(found.days, key=lambda day: found.days[day][1])
    values = {"place": place.id, "day": day, "beyond": next_day(day), "queue": queue and queue.id}
    return shown(run(db, sql, **values).one(), place, "number queue taken_at called_at wait_s")


# ----- the desks of a day

NO_DESKS = {"desks": None, "idle_s": None, "idle": None}


class AtDesks(NamedTuple):
    """A day at the desks: who was called to one, in the order of taking; when each desk was there, as pairs
    of instants; and for how many seconds it stood idle while people waited."""

    customers: list[Row]
    shifts: dict[int, list[list[float]]]
    idle: Counter[int]


def at_desks(db: Connection, place: Row, at: float, day: str) -> AtDesks:
    """What a day at the desks was like.

    A desk is there from "Start serving" or Resume (or its first call) until Pause, or else the end of its
    last customer; who forgets to press Pause is not there all night. It stood idle, while people waited, from
    when it was free until its next call, as far as the customer whom it then called was in line already.
    """
    sql = """SELECT servicer_id, state, taken_at, first_called_at, called_at,
                    CASE WHEN ended_at < :at THEN ended_at ELSE :at END AS ended_at
             FROM ticket WHERE place_id = :place AND series >= :day AND series < :beyond
             AND servicer_id IS NOT NULL ORDER BY taken_at"""
    since, until = (day_begins(place.timezone, each, place.day_starts) for each in (day, next_day(day)))
    values = {"place": place.id, "day": day, "beyond": next_day(day), "at": min(at, until)}
    found = AtDesks(run(db, sql, **values).all(), {}, Counter())
    sql = """SELECT servicer_id, kind, happened_at FROM event
             WHERE servicer_id IN :desks AND kind IN ('start-serving', 'pause', 'resume')
             AND happened_at >= :since AND happened_at < :until"""
    ids = list({each.servicer_id for each in found.customers})
    presses = run(db, sql, desks=ids, since=since, until=until).all() if ids else []
    steps = [(press.happened_at, 1, press.servicer_id, press) for press in presses]
    steps += [(each.called_at, 2, each.servicer_id, each) for each in found.customers]
    steps += [
        (each.ended_at, 0, each.servicer_id, each)
        for each in found.customers
        if each.ended_at > each.called_at
    ]
    free: dict[int, float] = {}  # the desks that are there, and since when each has been at nothing else
    for when, step, desk, what in sorted(steps, key=lambda step: step[:3]):
        shifts = found.shifts.setdefault(desk, [])
        if step == 2 and desk in free and what.called_at == what.first_called_at:
            found.idle[desk] += max(0.0, when - max(free[desk], what.taken_at))
        if step and desk not in free:
            shifts.append([when, when])
        if shifts:
            shifts[-1][1] = max(when, shifts[-1][1])
        if step or desk in free:
            free[desk] = when
        if step == 1 and what.kind == "pause":
            del free[desk]
    return found


def replay(customers: list[tuple[float, float]], shifts: list[list[float]]) -> list[float]:
    """Seconds that each would have waited if, in the order of taking, each got the first desk that is there
    and free. A customer is an instant and the seconds at the desk; the desk that stays longest serves all."""
    free = [tuple(each) for each in shifts]
    free.remove(last := max(free, key=lambda each: each[1]))
    free.append((last[0], math.inf))
    heapify(free)
    waits = []
    for taken_at, service in customers:
        while taken_at >= free[0][1] or free[0][0] >= free[0][1]:
            heappop(free)
        begins = max(taken_at, free[0][0])
        heapreplace(free, (begins + service, free[0][1]))
        waits.append(begins - taken_at)
    return waits


def nine_of_ten(customers: list[Row], waits: list[float]) -> float:
    """Within how many seconds nine of ten were called, of those who were served."""
    served = sorted(wait for each, wait in zip(customers, waits, strict=True) if each.state == "done")
    return served[-(-9 * len(served) // 10) - 1]


def more_desks(day: AtDesks, goal_s: float, begins: float) -> dict[str, Any]:
    """How many more desks, in the fewest whole hours, would have kept nine of ten waits under the goal.

    By a replay of the day's own arrivals and service times; `more` is 0 where the desks that were there would
    have done, and None where MORE_DESKS would not. `from` and `to` are hours since the day began.
    """
    shifts = [each for some in day.shifts.values() for each in some]
    taken = [(each.taken_at, each.ended_at - each.called_at) for each in day.customers]
    ends = max(each.called_at for each in day.customers)
    opens = int((day.customers[0].taken_at - begins) // 3600)
    closes = int((ends - begins) // 3600) + 1

    def would(more: int, start: int, stop: int) -> float:
        extra = [[begins + 3600 * start, begins + 3600 * stop]] * more
        return nine_of_ten(day.customers, replay(taken, shifts + extra))

    found = {"more": 0, "from": opens, "to": closes, "would_wait_s": would(0, opens, closes)}
    while found["would_wait_s"] >= goal_s and found["more"] < MORE_DESKS:
        found |= {"more": found["more"] + 1, "would_wait_s": would(found["more"] + 1, opens, closes)}
    if found["would_wait_s"] >= goal_s:
        return found | {"more": None}
    stop = opens + 1
    for start in range(opens, closes if found["more"] else opens):
        stop = max(stop, start + 1)
        while stop <= closes and (waited := would(found["more"], start, stop)) >= goal_s:
            stop += 1
        if stop <= closes and stop - start < found["to"] - found["from"]:
            found |= {"from": start, "to": stop, "would_wait_s": waited}
    return found


def desks_content(db: Connection, place: Row, at: float, found: Days) -> dict[str, Any]:
    """How long desks stood idle while people waited (of up to MOST_DAYS days), and the replay of the day on
    which most waits missed the goal; as JSON."""
    idle: Counter[int] | None = Counter() if len(found.days) <= MOST_DAYS else None
    for day in found.days if idle is not None else ():
        idle += at_desks(db, place, at, day).idle
    content = {"idle": idle, "idle_s": None if idle is None else round(idle.total(), 2), "desks": None}
    if not found.all.ended[0]:
        return content
    hardest = max(found.days, key=lambda day: (found.days[day][2], found.days[day][1]))
    day = at_desks(db, place, at, hardest)
    if not any(each.state == "done" for each in day.customers):
        return content
    goal_s, zone = 60.0 * place.wait_goal_minutes, ZoneInfo(place.timezone)
    waited = nine_of_ten(day.customers, [each.first_called_at - each.taken_at for each in day.customers])
    desks = {"day": hardest, "hardest": len(found.days) > 1, "goal_s": goal_s, "waited_s": round(waited, 2)}
    begins = day_begins(place.timezone, hardest, place.day_starts)
    if waited >= goal_s:
        result = more_desks(day, goal_s, begins)
        result |= {end: iso(begins + 3600 * result[end], zone) for end in ("from", "to")}
        desks |= result | {"would_wait_s": round(result["would_wait_s"], 2)}
    return content | {"desks": desks}


# ==========================================================================================================
# Live: who is watching a place, and how they hear of a change
# ==========================================================================================================

PAUSE_S = 0.2  # between two pictures of a place: the first change is shown at once, then the newest
LOOK_S = 0.5  # how often we look for what another process wrote
COMMENT_S = 15  # keeps proxies from closing a quiet stream
FREE_THREADS = 64  # that streams leave for everything else


def picture(db: Connection, place: Row, at: float, base: str, memory: Memory) -> dict[str, Any]:
    """What everybody may see of a place now, with links that begin with `base`. Call lists are not in it."""
    called, queues, calls, zone = called_in(db, place), [], [], ZoneInfo(place.timezone)
    mine = f"{base}/{place.slug}"
    counters = counters_of(db, place, at)
    lines, walk_in = lines_of(db, at, place, memory), queues_of(db, place)
    everybody = waiting_in(db, [queue.id for queue in walk_in], day_of(place, at))
    for queue in walk_in:
        waiting = [ticket.number for ticket in everybody if ticket.queue_id == queue.id]
        waits = waits_in(queue, lines.get(queue.id, NO_LINE), everybody)
        content = shown(queue, place, "slug name open asks") | {"full": len(waiting) >= queue.max_waiting}
        content |= {"waiting": waiting, "called": [], "links": {"take": f"{mine}/{queue.slug}/tickets"}}
        content["door"] = next((each.name for each in counters if each.queue_id == queue.id), None)
        for ticket in (each for each in called if each.queue_id == queue.id):
            since = {"since": iso(ticket.started_at or ticket.called_at, zone)}
            content["called"].append(shown(ticket, place, "number series desk door held_until state") | since)
        queues.append(content | {"waits": waits[:-1], "estimated_wait": waits[-1]})
    sql = """SELECT event.id, happened_at, desk, number, series, counter.name AS door
             FROM event JOIN ticket ON ticket.id = ticket_id LEFT JOIN counter ON counter.id = counter_id
             WHERE event.place_id = :id AND kind IN ('call', 'call-again') ORDER BY event.id DESC LIMIT 20"""
    for call in reversed(run(db, sql, id=place.id).all()):
        calls.append(shown(call, place, "id number series desk door") | {"at": iso(call.happened_at, zone)})
    links = {"customers": mine, "board": f"{mine}/board", "live": f"{mine}/live"}
    content = {"place": shown(place, place, "slug name"), "queues": queues, "links": links}
    content["counters"] = [
        counter_shown(each, place) | {"links": {"screen": f"{mine}/counter/{each.slug}"}} for each in counters
    ]
    return content | {"series": current_series(place, at), "calls": calls}


def waits_in(queue: Row, line: Line, everybody: list[Row]) -> list[dict[str, int] | None]:
    """The range of the wait of each who waits in a queue, and of one who would join it now."""
    if line.pace is None:
        return [None]
    length, lengths = 0.0, []
    for ticket in everybody:  # in the order in which desks call
        if ticket.queue_id == queue.id:
            lengths.append(length)
        length += line.counts_as.get(ticket.queue_id, 0.0)
    return line.expect(*lengths, length)


def counter_shown(counter: Row, place: Row) -> dict[str, Any]:
    """What everybody may see of a counter."""
    count = {"count": counter.people, "level": level_of(counter)}
    return shown(counter, place, "slug name capacity held admits") | count


def version_of(db: Connection, place: Row) -> dict[str, Any]:
    """The `version` of a place, which is its latest event, and the `epoch` in which that grows."""
    version = run(db, "SELECT max(id) FROM event WHERE place_id = :id", id=place.id).scalar_one()
    return {"epoch": fact(db, "epoch"), "version": version}


class Shown(NamedTuple):
    """A picture as it was made once for all: of what, its content with links, as JSON, and as an event."""

    etag: str
    content: dict[str, Any]
    text: str
    frame: bytes


class Watcher:
    """One open stream; its thread sleeps at the bell, and sends the newest frame when that rings."""

    def __init__(self, slug: str, base: str, address: str):
        self.slug, self.base, self.address = slug, base, address
        self.frame: bytes | None = b""
        self.bell: SimpleQueue[None] = SimpleQueue()

    def show(self, frame: bytes | None) -> None:
        """Rings with a new frame; with None, the stream ends."""
        self.frame = frame
        if self.bell.empty():
            self.bell.put(None)


class Live:
    """Makes one picture a change for all who watch a place, and rings them."""

    def __init__(self, database: Database, most: int, most_of_one: int):
        self._database, self._most, self._most_of_one = database, most, most_of_one
        self._lock, self._changed, self._closed = threading.Lock(), threading.Event(), False
        self._watchers: set[Watcher] = set()
        self._made: dict[tuple[str, str], Shown] = {}
        self.memory = Memory()
        database.on_commit = lambda: self._watchers and self._changed.set()
        threading.Thread(target=self._work, name="live", daemon=True).start()

    def current(self, slug: str, base: str) -> Shown:
        """The picture of a place as it is now, with links that begin with `base`; raises NotFound."""
        at, made = now(), self._made.get((slug, base))
        with self._database.read() as db:
            place = find_place(db, slug)
            version = version_of(db, place)
            # Waits change by themselves, each minute.
            etag = f"{version['epoch']}.{place.id}.{version['version']}.{int(at // 60)}"
            if made and made.etag == etag:
                return made
            content = picture(db, place, at, base, self.memory) | version
        if len(self._made) >= 100:
            self._made.clear()
        text = json.dumps(content)
        frame = f"event: state\nid: {etag}\ndata: {text}\n\n".encode()
        self._made[slug, base] = made = Shown(etag, content, text, frame)
        return made

    def join(self, slug: str, base: str, address: str) -> Watcher:
        """Lets one more stream watch a place; raises TooMany when the threads for streams are taken."""
        watcher = Watcher(slug, base, address)
        with self._lock:
            mine = sum(other.address == address for other in self._watchers)
            if len(self._watchers) >= self._most or mine >= self._most_of_one:
                raise TooMany("Too many pages are open; this one asks again by itself.", retry_after=5)
            self._watchers.add(watcher)
        try:
            frame = self.current(slug, base).frame
        except BaseException:
            self.leave(watcher)
            raise
        with self._lock:
            watcher.frame = watcher.frame or frame  # unless a newer one came meanwhile
        self._changed.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Ends a stream; safe to call twice."""
        with self._lock:
            self._watchers.discard(watcher)

    def stream(self, watcher: Watcher) -> Iterator[bytes]:
        """What a watcher is sent: the picture as it is, each newer one, a comment while nothing happens."""
        sent, news = None, b"retry: 2000\n\n"
        while not self._closed and (frame := watcher.frame) is not None:
            if frame != sent:
                sent, news = frame, news + frame
            yield news
            news = b""
            try:
                watcher.bell.get(timeout=COMMENT_S)
            except Empty:
                news = b": still here\n\n"

    def close(self) -> None:
        """Ends all streams, so that the server can stop."""
        self._closed = True
        self._changed.set()
        for watcher in list(self._watchers):
            watcher.show(None)

    def _work(self) -> None:
        told, pause = {}, None  # of each place: what was shown last, and when
        while not self._closed:
            self._changed.wait(pause)
            self._changed.clear()
            with self._lock:
                watched = {watcher.slug for watcher in self._watchers}
            try:
                pause = self._tell(watched, told) if watched else None
            except Exception:  # the storage failed: say so in the log, and try again
                log.exception("The live pictures could not be made")
                pause = 1.0

    def _tell(self, watched: set[str], told: dict[str, tuple[Any, float]]) -> float:
        # Shows what changed to whom it concerns; returns how long to wait before looking again.
        with self._database.read() as db:
            sql = """SELECT slug, id, (SELECT max(id) FROM event WHERE place_id = place.id) AS version
                     FROM place WHERE slug IN :slugs AND deleted_at IS NULL"""
            found = {row.slug: (*row, now() // 60) for row in run(db, sql, slugs=list(watched))}
        pause = LOOK_S
        for slug in watched:
            last, when = told.get(slug, (None, 0.0))
            wait = when + PAUSE_S - time.monotonic()
            if slug in found and found[slug] == last:
                continue
            if wait > 0:
                pause = min(pause, wait)
                continue
            told[slug] = found.get(slug), time.monotonic()
            with self._lock:
                watchers = [watcher for watcher in self._watchers if watcher.slug == slug]
            bases = {watcher.base for watcher in watchers}
            frames = {base: self.current(slug, base).frame if slug in found else None for base in bases}
            for number, watcher in enumerate(watchers, 1):
                watcher.show(frames[watcher.base])
                if number % 10 == 0:
                    time.sleep(0.0005)  # a thousand threads that wake at once would fight for the interpreter
        return pause


# ==========================================================================================================
# Clock: what happens by itself
# ==========================================================================================================


def start_clock(database: Database, settings: Settings) -> threading.Event:
    """Runs the jobs, and sees to it that the server never hangs silently; the event, once set, ends both."""
    stopped = threading.Event()
    # Every so many seconds, what is to be done; it says whether there is more to do at once.
    jobs: list[tuple[float, Callable[[], bool]]] = [
        (3600, lambda: database.write(erase_personal_data, now(), settings.keep_personal_days)),
        (10, lambda: database.write(erase_deleted_places)),
        (1, lambda: _release_spaces(database)),
    ]
    for work, what in ((_run_jobs, jobs), (_watch, database)):
        threading.Thread(target=work, args=(stopped, what), name=work.__name__, daemon=True).start()
    return stopped


def _run_jobs(stopped: threading.Event, jobs: list[tuple[float, Callable[[], bool]]]) -> None:
    due = [0.0] * len(jobs)
    while not stopped.wait(1):
        for number, (every, job) in enumerate(jobs):
            if time.monotonic() >= due[number]:
                due[number] = time.monotonic() + every
                try:
                    due[number] -= every * job()  # more to do: at once
                except Exception:  # tried again at its next time
                    log.exception("A job of the clock failed")


def _release_spaces(database: Database) -> bool:
    with database.read() as db:  # first, so that nothing is written where there is nothing to do
        due = held_too_long(db, now())
    if due:
        database.write(release_spaces, now())
    return False


def _watch(stopped: threading.Event, database: Database) -> None:
    # When the writer is silent for PATIENCE_S, all stacks go to the log and the process ends with status 1,
    # to be started again. Should even the interpreter hang, a switch that isn't set anew does so too.
    while not stopped.wait(1):
        began = database.busy_since
        silent = began is not None and time.monotonic() - began > PATIENCE_S
        if silent or not database.writer.is_alive():
            log.critical("The writer has not answered for %s seconds.\n%s", PATIENCE_S, all_stacks())
            os._exit(1)
        faulthandler.dump_traceback_later(2 * PATIENCE_S, exit=True)
    faulthandler.cancel_dump_traceback_later()


def all_stacks() -> str:
    """Where each thread is, the same place told once."""
    frames, places = sys._current_frames(), {}
    for thread in threading.enumerate():
        if thread.ident in frames:
            places.setdefault("".join(traceback.format_stack(frames[thread.ident])), []).append(thread.name)
    return "\n".join(f"{', '.join(names)}:\n{stack}" for stack, names in places.items())


# ==========================================================================================================
# Pages: the routes; each reads the request, calls one function above, and presents the answer
# ==========================================================================================================

pages = Blueprint("pages", __name__)
Answer = flask.Response


@dataclass(frozen=True)
class Service:
    """What the pages work with."""

    settings: Settings
    database: Database
    live: Live
    lock: threading.Lock = field(default_factory=threading.Lock)
    hits: dict[tuple, tuple[float, int]] = field(default_factory=dict)  # see limit()
    lines: dict[tuple[str, str], tuple[float, Callable]] = field(default_factory=dict)  # see expectation()


def create_app(threads: int = 256, **options: Any) -> flask.Flask:
    """The service as a WSGI app for so many threads; `options` go over the environment; CannotStart."""
    settings = Settings.read(os.environ, **options)
    database = open_database(settings, upgrade=True)
    app = flask.Flask(__name__)
    app.json.sort_keys = False
    with database.read() as db:
        app.secret_key = fact(db, "secret_key")  # kept in the database, so that deploys and restores keep it
    app.config.update(
        MAX_CONTENT_LENGTH=64 * 1024,
        WTF_CSRF_CHECK_DEFAULT=False,  # check_form() does, for every body that is not JSON
        WTF_CSRF_SSL_STRICT=False,  # our pages send no Referer
        WTF_CSRF_TIME_LIMIT=None,  # and stay open all day
        SESSION_COOKIE_NAME="takeanumber",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=400),
        SESSION_REFRESH_EACH_REQUEST=False,  # or a page that looks again overwrites what a press had to say
    )
    CSRFProtect(app)
    app.register_blueprint(pages)
    live = Live(database, max(1, threads - FREE_THREADS), settings.streams_per_address)
    app.extensions["takeanumber"] = Service(settings, database, live)
    words_of = {"qr": qr_code, "duration": duration, "wait": wait_in_words, "clock": lambda at: at[11:16]}
    words_of |= {"date": date_in_words}
    app.jinja_env.filters |= words_of
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=0)
    return app


def service() -> Service:
    """What this app works with."""
    return current_app.extensions["takeanumber"]


def write(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Runs `function(db, at, …)` on the writer, now."""
    return service().database.write(function, now(), *args, **kwargs)


# ----- reading the request


def wants_json() -> bool:
    """Whether the answer is to be JSON: the Accept header says so, or the body is JSON."""
    wanted = ("text/html", "application/json")
    return request.is_json or request.accept_mimetypes.best_match(wanted) == wanted[1]


def limit(what: str, most: int, seconds: int, place: str | None = None) -> None:
    """Counts one of `what` for the client's address, or a place; raises TooMany above so many in so long."""
    hits, key, at = service().hits, (what, place or request.remote_addr), now()
    with service().lock:
        if len(hits) >= 10_000:
            hits.clear()  # rather forget who asked than grow
        ends, count = hits.get(key, (0.0, 0))
        ends, count = (ends, count + 1) if 0 < ends - at <= seconds else (at + seconds, 1)
        hits[key] = ends, count
    if count > most:
        pause = max(1, math.ceil(ends - at))
        raise TooMany(
            f"Too often{'' if place else ' from one address'}. Try again in {duration(pause)}.",
            retry_after=pause,
        )


@pages.before_app_request
def check_form() -> None:
    """Refuses a form without its token; JSON needs none, since a foreign page can't send it unasked."""
    if (request.content_length or 0) > current_app.config["MAX_CONTENT_LENGTH"]:
        flask.abort(413)
    if request.method == "POST" and request.url_rule and not request.is_json:
        current_app.extensions["csrf"].protect()


def browser() -> str:
    """This browser's name for us, kept in its signed cookie."""
    session.permanent = True
    return session.setdefault("browser", secrets.token_hex(8))


def tidy(text: str | None) -> str | None:
    """What was typed, without control characters and the space around it."""
    text = unicodedata.normalize("NFC", text or "")
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) != "Cc").strip() or None


def filled(form: Form, item: Field) -> None:
    """Refuses a field that was sent empty; one that was left out is the view's business."""
    if item.raw_data and not item.data:
        raise ValidationError("please fill this in.")


def a_zone(form: Form, item: Field) -> None:
    """Refuses what is no time zone."""
    if item.data not in zones():
        raise ValidationError("please choose a time zone such as Europe/Berlin.")


def words(label: str, most: int, *validators: Any) -> StringField:
    """A field for a text."""
    length = Length(max=most, message=f"please use at most {most} characters.")
    return StringField(label, filters=[tidy], validators=[*validators, length])


def whole(label: str, low: int, high: int) -> IntegerField:
    """A field for a whole number."""
    within = NumberRange(low, high, f"please choose a whole number from {low} to {high}.")
    return IntegerField(label, validators=[Optional(), within])


NOT_TICKED = ("false", "0", "")
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def form(parent: type[Form] = Form, /, **items: Field) -> type[Form]:
    """A form of these fields, and of its parent's."""
    return type("Fields", (parent,), items)


def one_of(label: str, *choices: str) -> StringField:
    """A field for one of a few words."""
    sentence = f"please choose {' or '.join(choices)}."
    return words(label, 20, Optional(), Regexp(f"^({'|'.join(choices)})$", message=sentence))


NameForm = form(name=words("Name", 60, filled))
PlaceForm = form(
    name=words("Name", 80, filled),
    timezone=words("Time zone", 60, Optional(), a_zone),
    country=words("Country", 2, Optional(), Regexp("^[A-Z]{2}$", 0, "please use two capital letters.")),
    day_starts=whole("Hour the day starts", 0, 23),
    wait_goal_minutes=whole("Goal for the wait", 1, 1440),
)
OpenForm = form(
    PlaceForm,
    slug=words("Address", 40, Optional(), Regexp("^[a-z0-9]+(-[a-z0-9]+)*$", 0, "please use a-z, 0-9, -.")),
    setup_code=words("Setup code", 200),
    queue=words("Queue", 60, lambda form, item: filled(form, item) if request.is_json else None),
)
QueueForm = form(
    NameForm,
    kind=one_of("Kind", "walk-in"),
    prefix=words("Letter", 3, Optional(), Regexp("^[A-Z]{1,3}$", 0, "please use one to three capitals.")),
    max_waiting=whole("Most people in line", 1, 1_000_000),
    asks=SelectMultipleField("Asks for", choices=["name", "phone", "note", "party"]),
    shared_tablet=BooleanField("Shared tablet", false_values=NOT_TICKED),
    usual_service_s=whole("Usual service in seconds", 10, 14_400),
)
CustomerForm = form(
    request_id=words("Request", 100),
    name=words("Name", 80),
    phone=words("Phone", 40),
    note=words("Note", 500),
    party=whole("How many people", 1, 50),  # as many as one tap counts
    queue=words("Queue", 60),  # from a desk only
)
ServicerForm = form(
    name=words("Your name", 60, filled),
    desk=words("Your desk", 40),
    queues=SelectMultipleField("Queues", validate_choice=False),
    on_duty=BooleanField("On duty", false_values=NOT_TICKED),
)
NumberForm = form(number=words("Number", 20, filled))
NumbersForm = form(numbers=SelectMultipleField("Numbers", validate_choice=False))
MoveForm = form(NumberForm, queue=words("Queue", 60))
NextForm = form(MoveForm, number=words("Number", 20), finished=words("Finished", 20))
CounterForm = form(
    NameForm,
    capacity=whole("Capacity", 1, 100_000),
    empties=one_of("Empties itself", "day", "never"),
    hold_minutes=whole("Minutes to come in", 1, 240),
    admits=words("Queue that it admits", 60),
)
TapForm = form(
    id=words("Id of the tap", 36, Regexp(f"^{UUID}$", re.IGNORECASE, "this must be a UUID.")),
    delta=whole("How many more or fewer", -50, 50),
    ago_s=whole("Seconds ago", 0, 10**9),
    number=words("Number", 20),
    undoes=words("Id of the tap taken back", 36),
)
RecountForm = form(count=whole("How many are inside", 0, 100_000))
CodeForm = form(code=words("Code", 20, filled))

fields_of = cache(lambda form: {item.name: item for item in form()})  # of a form, by their names


NULL_SPEAKS = ("finished", "admits")  # in other fields null, or nothing typed, is as good as absent


def body(form: type[Form], *required: str) -> dict[str, Any]:
    """The fields that the request holds, checked; absent ones are left out. Raises BadInput."""
    if request.is_json:
        return check(form, json_object(), *required)
    # in a form with tick boxes, what is not ticked is not absent
    boxes = BOXES if "_boxes" in request.form else ()
    sent = [name for name, item in fields_of(form).items() if name in request.form or isinstance(item, boxes)]
    return check(form, {name: request.form.getlist(name) for name in sent}, *required)


def check(form: type[Form], content: Any, *required: str) -> dict[str, Any]:
    """The fields of a JSON object, whose types are checked first, or of a form's lists of texts."""
    known, found = fields_of(form), {}
    given = json_fields(known, content) if request.is_json else content
    checked = form(MultiDict([(name, value) for name, values in given.items() for value in values or ()]))
    checked.validate()
    for name, item in known.items():
        value = None if given.get(name) is None else checked[name].data
        if name in checked.errors:
            raise BadInput(f"{item.label.text}: {checked.errors[name][0]}")
        if value is not None or (name in given and name in NULL_SPEAKS):
            found[name] = value
        elif name in required:
            raise BadInput(f"{item.label.text}: please fill this in.")
    return found


# Of each kind of field: the type that JSON has for it, and what that is called.
TEXT, WHOLE, YES, LIST = (str, "a text"), (int, "a whole number"), (bool, "true or false"), (list, "a list")
KINDS = {StringField: TEXT, IntegerField: WHOLE, BooleanField: YES, SelectMultipleField: LIST}
BOXES = (BooleanField, SelectMultipleField)
HALF = re.compile("[\ud800-\udfff]")  # half a character, which JSON can hold and a database can't


def json_object() -> dict[str, Any]:
    """The body of the request; raises BadInput when it isn't a JSON object."""
    try:
        content = json.loads(request.get_data() or b"{}")
    except (ValueError, RecursionError):
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise BadInput("The body must be a JSON object, such as {}.")
    return content


def json_fields(known: Mapping[str, Field], content: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """The known fields of a JSON object as a form would send them; raises BadInput for a wrong type."""
    if not isinstance(content, dict):
        raise BadInput("This must be a JSON object, such as {}.")
    given: dict[str, list[str] | None] = {}
    for name in known.keys() & content.keys():
        value, (kind, wanted) = content[name], KINDS[type(known[name])]
        items = value if type(value) is list else [value]
        if value is not None and (type(value) is not kind or (kind is list and {*map(type, items)} - {str})):
            raise BadInput(f"{known[name].label.text}: this must be {wanted}.")
        if HALF.search("".join(map(str, items))) or (kind is int and value and abs(value) > 10**15):
            raise BadInput(f"{known[name].label.text}: please use ordinary characters and numbers.")
        typed = [str(item).lower() if kind is bool else str(item) for item in items]
        given[name] = None if value is None else typed
    return given


# ----- presenting the answer


def base_url() -> str:
    """What absolute URLs begin with."""
    if "base" not in g:
        g.base = (service().settings.url or request.host_url).rstrip("/")
    return g.base


def link(endpoint: str, **values: Any) -> str:
    """An absolute URL."""
    return base_url() + url_for(f"pages.{endpoint}", **values)


def page(template: str, content: dict[str, Any], place: Any = None, **more: Any) -> Answer:
    """Content as JSON, or as a page for those who want one."""
    if wants_json():
        return flask.jsonify(content)
    more |= {"place": place, "token": (request.view_args or {}).get("token"), "error": g.get("error")}
    return flask.make_response(flask.render_template(template, **more))


def after(view: Callable, say: str | None, status: int = 200, content: Any = None, **values: str) -> Answer:
    """The answer to a button that did its work: JSON (`content`, or the page's), or a way to the page."""
    if not wants_json():
        if say:
            flask.flash(say, "good")
        return flask.redirect(url_for(f"pages.{view.__name__}", **values), 303)
    answer = view(**values) if content is None else flask.jsonify(content)
    answer.status_code = status
    return answer


def qr_code(content: str) -> str:
    """A QR code as a data: URI, to be shown on white."""
    import qrcode.image.svg

    image = qrcode.make(content, image_factory=qrcode.image.svg.SvgPathImage, border=2)
    return "data:image/svg+xml;base64," + base64.b64encode(image.to_string()).decode()


def duration(seconds: float | None) -> str:
    """Seconds as people read them: 120.1 as "2 min 0 s"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0, seconds)), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def wait_in_words(wait: Mapping[str, int] | None) -> str:
    """A range of seconds as "about 8 to 15 minutes"."""
    low, high = (round(wait[end] / 60) for end in ("from", "to")) if wait else (0, 0)
    if high <= 1:
        return ("about a minute" if low else "less than a minute") if wait else ""
    between = f"{low} to {high}" if 0 < low < high else f"{high}"
    return f"{'about' if low else 'up to'} {between} minutes"


def date_in_words(day: str) -> str:
    """A day as people write it: Saturday 21 November 2026."""
    return "{0:%A} {0.day} {0:%B} {0.year}".format(date.fromisoformat(day))


def desks_in_words(desks: Mapping[str, Any] | None) -> str:
    """What more desks would have changed, in a sentence; see desks_content()."""
    if desks is None:
        return "Nobody was served at a desk."
    on = f"The hardest of these days was {date_in_words(desks['day'])}. " if desks["hardest"] else ""
    if "more" not in desks:
        return f"{on}9 of 10 waited {under(desks['waited_s'])}: no more desks were needed."
    instead = under(desks["waited_s"]).removeprefix("under ")
    would = f"9 of 10 would have waited {under(desks['would_wait_s'])} (they waited up to {instead})."
    if desks["more"] == 0:
        return f"{on}The desks were enough: had each called the next customer at once, {would}"
    if desks["more"] is None:
        return f"{on}Even with {MORE_DESKS} more desks all the time, {would}"
    many = "one more desk" if desks["more"] == 1 else f"{desks['more']} more desks"
    start, end = (desks[each][11:16].removesuffix(":00").removeprefix("0") for each in ("from", "to"))
    return f"{on}With {many} from {start} to {end}, {would}"


def under(seconds: float) -> str:
    """Seconds as "under 8 minutes"."""
    minutes = max(0, int(seconds)) // 60 + 1
    return f"under {minutes} minutes" if minutes > 1 else "under a minute"


@pages.app_errorhandler(Refused)
def refused(problem: Refused) -> Answer:
    """Says what can't be done: in JSON, with the state of now for a Conflict; or on the button's own page."""
    said, parts = str(problem), request.url_rule.rule.split("/") if request.url_rule else []
    view = AGAIN.get(parts[2]) if len(parts) > 2 else home
    shows_it = problem.status in ((409,) if wants_json() else (400, 403, 409))
    if request.method == "POST" and view and shows_it and not g.get("error"):
        g.error = said
        given = request.view_args or {}
        given = {name: given[name] for name in ("place", "token") if name in given}
        try:
            answer = flask.make_response(view(**given))
        except Refused as other:  # the page isn't there either
            return refused(other)
        answer = flask.jsonify({"error": said} | answer.get_json()) if wants_json() else answer
    else:
        answer = page("error.html", {"error": said}, sentence=said, status=problem.status)
    answer.status_code = problem.status
    if problem.retry_after:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


HTTP_SENTENCES = {
    400: "This page was out of date, or cookies are switched off. Please try once more.",
    404: "There is nothing at this address. Check the link, or scan the QR code again.",
    405: "This address is for something else. Start again from the page of the place.",
    413: "That is too much at once: please send less than 64 KiB.",
}


@pages.app_errorhandler(Exception)
def failed(problem: Exception) -> Answer:
    """Whatever else went wrong, in a sentence; what is our mistake, or the storage's, goes into the log."""
    if isinstance(problem, HTTPException):
        answer = refused(Refused(HTTP_SENTENCES.get(problem.code) or str(problem.description), problem.code))
        answer.allow.update(getattr(problem, "valid_methods", None) or ())
        return answer
    log.error("Failed at %s", request.url_rule, exc_info=problem)  # the rule: links don't belong in a log
    if isinstance(problem, SQLAlchemyError | sqlite3.Error):
        reason = getattr(problem, "orig", problem if isinstance(problem, sqlite3.Error) else "too busy")
        said = f"Nothing can be stored just now ({reason}), and nothing was changed. Please try again soon."
        return refused(Unavailable(said, retry_after=5))
    return refused(Refused("Something went wrong on our side. Please try again.", 500))


CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pages.after_app_request
def headers(answer: Answer) -> Answer:
    """What every answer says to the browser."""
    said = {"Content-Security-Policy": CONTENT, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    answer.headers.update(said | {"X-Content-Type-Options": "nosniff"})
    if request.endpoint != "static":
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers["Vary"] = "Accept"
    return answer


@pages.get("/")
def home(found: list[Row] = ()) -> Answer:
    settings = service().settings
    with service().database.read() as db:
        places = all_places(db) if settings.places == "one" else []
    content = [named(place, customers=link("customers", place=place.slug)) for place in places]
    owned = [named(place, manage=owner_link(place)) for place in found]
    code = bool(settings.setup_code)
    shown_as = {"places": owned or content, "links": {"places": link("open_first")}}
    more = {"values": request.form, "asks_code": code, "has_code": code}
    return page("home.html", shown_as, places=content, found=owned, allowed=not places, **more)


def named(row: Row, **links: str) -> dict[str, Any]:
    """The slug, the name and the links of a place or a queue."""
    return {"slug": row.slug, "name": row.name} | ({"links": links} if links else {})


def owner_link(place: Row) -> str:
    """A place's manage link."""
    return link("manage", place=place.slug, token=place.manage_token)


def check_code(code: str | None) -> None:
    """Raises Forbidden when this isn't the setup code."""
    if not secrets.compare_digest((code or "").encode(), service().settings.setup_code.encode()) or not code:
        raise Forbidden("This is not the setup code. Ask whoever set up this server.")


@pages.post("/")
def find_links() -> Answer:
    limit("setup code", 20, 3600)
    check_code(body(OpenForm, "setup_code")["setup_code"])
    with service().database.read() as db:
        return home(all_places(db))


@pages.post("/places")
def open_first() -> Answer:
    settings = service().settings
    limit("new place", 20, 3600)
    asked = {"queue": None, "setup_code": None} | body(OpenForm, "name")
    code, counter = asked.pop("setup_code"), first_counter()
    if settings.setup_code:
        check_code(code)
    only_one = settings.places == "one"
    place = write(open_place_for, settings.max_waiting, counter=counter, only_one=only_one, **asked)
    session["fresh"] = place.slug
    return after(manage, None, 201, place=place.slug, token=place.manage_token)


def first_counter() -> dict[str, Any] | None:
    """What is said of a new place's counter, if anything: an object in JSON, fields `counter-…` in a form."""
    if request.is_json:
        given = json_object().get("counter")
    else:
        given = {name: request.form.getlist(f"counter-{name}") for name in ("name", "capacity")}
        given = given if any(map(any, given.values())) else None
    return None if given is None else check(CounterForm, given, "name", "capacity")


@pages.get("/healthz")
def healthz() -> Answer:
    """For a balancer: 200 when the writer and a reader answer."""
    with service().database.read() as db:
        fact(db, "epoch")
    write(set_fact, "pulse")
    return flask.jsonify({"status": "ok"})


@pages.get("/<place>")
def customers(place: str) -> Answer:
    made = service().live.current(place, base_url())
    if wants_json():
        answer = flask.Response(made.text, mimetype="application/json", headers={"Cache-Control": "no-cache"})
        answer.set_etag(made.etag)
        return answer.make_conditional(request)
    with service().database.read() as db:
        mine = tickets_of_browser(db, now(), place, session["browser"]) if "browser" in session else []
    if mine and "stay" not in request.args and not g.get("error"):
        return flask.redirect(url_for("pages.ticket", place=place, token=mine[0].token))
    content, request_id = made.content, secrets.token_hex(8)
    return page("customers.html", {}, content["place"], picture=content, mine=mine, request_id=request_id)


@pages.post("/<place>/<queue>/tickets")
def take(place: str, queue: str) -> Answer:
    limit("take", service().settings.takes_per_minute, 60)
    asked = body(CustomerForm) | ({} if request.is_json else {"browser": browser()})
    row, line, mine, new = write(take_number, place, queue, expect=expectation(place, queue), **asked)
    wait = {"from": mine.wait_from, "to": mine.wait_to} if new and mine.wait_to is not None else None
    content = ticket_content(row, line, mine, line.waiting - 1, wait) if new and wants_json() else None
    return after(ticket, None, 201 if new else 200, content, place=place, token=mine.token)


def expectation(slug: str, queue: str) -> Callable[[int], dict[str, int] | None]:
    """What to expect with so many ahead in a queue; a second old at most: a burst of customers asks once."""
    made_at, expect = service().lines.get((slug, queue), (math.inf, None))
    if not 0 <= now() - made_at < 1:
        if expect:  # the others don't ask meanwhile
            service().lines[slug, queue] = now(), expect
        with service().database.read() as db:
            place = find_place(db, slug)
            mine = find_queue(db, place, queue)
            line = lines_of(db, now(), place, service().live.memory).get(mine.id, NO_LINE)
        others = line.length(line.waiting | {mine.id: 0})

        def expect(ahead: int) -> dict[str, int] | None:
            return line.expect(ahead + others)[0]

        if len(service().lines) >= 1000:
            service().lines.clear()
        service().lines[slug, queue] = now(), expect
    return expect


NOT_WAITING, NOT_CALLED = (
    {"ahead": None, "estimated_wait": None, "steps": []},
    dict.fromkeys(("desk", "door", "held_until")),
)


def ticket_content(
    place: Row, queue: Row, ticket: Row, ahead: int, wait: dict | None, steps: list[dict] = ()
) -> dict[str, Any]:
    """What a customer sees of her ticket; `ahead`, `wait` and `steps` matter while it waits."""
    content = shown(ticket, place, "number series party taken_at called_at started_at ended_at")
    content |= {"state": state_of(ticket, place, now()), "queue": queue.slug, "queue_name": queue.name}
    waits, called = content["state"] == "waiting", content["state"] in ("called", "serving")
    content |= {"ahead": ahead, "estimated_wait": wait, "steps": [*steps]} if waits else NOT_WAITING
    here = shown(ticket, place, "desk door held_until") if called else NOT_CALLED
    url = link("ticket", place=place.slug, token=ticket.token)
    links = {"ticket": url, "cancel": f"{url}/cancel", "customers": link("customers", place=place.slug)}
    return content | here | {"links": links}


@pages.get("/<place>/t/<token>")
def ticket(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row, queue, mine = find_ticket(db, place, token)
        ahead, wait, steps = {}, None, []
        if mine.state == "waiting":
            line = lines_of(db, now(), row, service().live.memory).get(queue.id, NO_LINE)
            ahead = count_ahead(db, mine, line.counts_as, day_of(row, now()))
            wait, steps = line.expect(line.length(ahead))[0], steps_of(db, row, mine)
        content = ticket_content(row, queue, mine, ahead.get(queue.id, 0), wait, steps)
    if wants_json():
        return flask.jsonify(content)
    picture = service().live.current(place, base_url()).content
    more = {"several": len(picture["queues"]) > 1, "shared": bool(queue.shared_tablet)}
    return page("ticket.html", content, row, ticket=content, picture=picture, **more)


@pages.get("/<place>/board")
def board(place: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    return page("board.html", picture, picture["place"], picture=picture, url=picture["links"]["customers"])


@pages.get("/<place>/poster")
def poster(place: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    return page("poster.html", picture, picture["place"], picture=picture, url=picture["links"]["customers"])


@pages.get("/<place>/live")
def live(place: str) -> Answer:
    house = service().live
    watcher = house.join(place, base_url(), request.remote_addr or "")
    answer = flask.Response(house.stream(watcher), mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(partial(house.leave, watcher))
    return answer


@pages.get("/<place>/counter/<counter>")
def screen(place: str, counter: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    for each in picture["counters"]:
        if each["slug"] == counter:
            return page("screen.html", each, picture["place"], picture=picture, counter=each)
    raise NotFound("There is no such counter here.")


@pages.post("/<place>/code")
def enter_code(place: str) -> Answer:
    limit("code", 20, CODE_S)
    limit("code of", 200, CODE_S, place)  # whoever has many addresses
    digits = re.sub(r"\D", "", body(CodeForm, "code")["code"])
    with service().database.read() as db:
        kind, token = use_code(db, now(), place, digits)
    if wants_json():
        return flask.jsonify({"links": {kind: link(kind, place=place, token=token)}})
    return flask.redirect(url_for(f"pages.{kind}", place=place, token=token), 303)


@pages.get("/<place>/door/<token>")
def door(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place)
        counter, mine = find_door(db, now(), row, "token", token)
        called = [
            each for each in called_in(db, row)[::-1] if each.door and each.queue_id == counter.queue_id
        ]
        waiting, version = waiting_in(db, [counter.queue_id], day_of(row, now())), version_of(db, row)
    content = counter_shown(counter, row) | shown(mine, row, "id name") | {"counter": named(counter)}
    content |= version | {"hold_minutes": counter.hold_minutes, "waiting": len(waiting)}
    content["called"] = [shown(each, row, "number name party called_at held_until") for each in called]
    url, its = link("door", place=place, token=token), {"place": place, "counter": counter.slug}
    links = {"door": url, "taps": f"{url}/taps", "recount": f"{url}/recount", "no_show": f"{url}/no-show"}
    links |= {"picture": link("customers", place=place), "live": link("live", place=place)}
    content["links"] = links | {"screen": link("screen", **its)}
    return page("door.html", content, row, door=content, tap_id=str(uuid4()))


@pages.get("/<place>/staff/<token>")
def staff(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, staff_token=token)
        known = servicer_of_browser(db, row, session.get("browser"))
        lines = queues_of(db, row)
    queues = [named(queue) for queue in lines]
    at_desks = [queue.slug for queue in lines if not queue.counter_id] or [queue.slug for queue in lines]
    if known and not wants_json() and "new" not in request.args and not g.get("error"):
        return flask.redirect(url_for("pages.desk", place=place, token=known.token))
    ticked = request.form.getlist("queues") if request.form else at_desks
    content = {"queues": queues, "links": {"staff": link("staff", place=place, token=token)}}
    return page("staff.html", content, row, queues=queues, values=request.form.to_dict() | {"queues": ticked})


@pages.post("/<place>/staff/<token>")
def sit_down(place: str, token: str) -> Answer:
    asked = body(ServicerForm, "name")
    servicer = write(start_serving, place, token, browser=None if request.is_json else browser(), **asked)
    with service().database.read() as db:
        content = servicer_content(db, find_place(db, place), servicer)
    return after(desk, None, 201, content, place=place, token=servicer.token)


def servicer_content(db: Connection, place: Row, servicer: Row) -> dict[str, Any]:
    """What the owner sees of a servicer."""
    content = shown(servicer, place, "id name desk all_queues on_duty")
    content["queues"] = [queue.slug for queue in queues_served(db, servicer)]
    content["current"] = getattr(current_ticket(db, servicer), "number", None)
    return content | {"links": {"desk": link("desk", place=place.slug, token=servicer.token)}}


# What a servicer sees of a ticket; never the customer's links.
DESK_TICKET = "number state queue queue_name name phone note party taken_at called_at started_at ended_at"


@pages.get("/<place>/desk/<token>")
def desk(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row, servicer = find_desk(db, place, token)
        everywhere, served = queues_of(db, row), queues_served(db, servicer)
        line = waiting_in(db, [queue.id for queue in served], day_of(row, now()))
        current, recent = current_ticket(db, servicer), recent_at(db, servicer)
    content = shown(servicer, row, "name desk on_duty")
    content |= {"queues": [queue.slug for queue in served], "lines": []}
    for queue in served:
        waiting = sum(ticket.queue_id == queue.id for ticket in line)
        content["lines"].append(named(queue) | {"open": bool(queue.open), "waiting": waiting})
    content["current"] = current and shown(current, row, DESK_TICKET)
    content["recent"] = [shown(ticket, row, DESK_TICKET) for ticket in recent]
    content["line"] = [shown(each, row, "number queue queue_name name note party taken_at") for each in line]
    url = link("desk", place=place, token=token)
    content["links"] = {"desk": url, "next": f"{url}/next", "add": f"{url}/add"}
    return page("desk.html", content, row, desk=content, all_queues=[named(queue) for queue in everywhere])


@pages.post("/<place>/desk/<token>/add")
def add(place: str, token: str) -> Answer:
    row, queue, ticket, new = write(by_desk, place, token, add_customer, **body(CustomerForm, "queue"))
    content = shown(ticket, row, "number state series name phone note party taken_at") | {"queue": queue.slug}
    say = f"Added {ticket.number}. Tell the customer this number."
    return after(desk, say, 201 if new else 200, content, place=place, token=token)


@pages.get("/<place>/manage/<token>")
def manage(place: str, token: str) -> Answer:
    at = now()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        content = shown(row, row, "slug name timezone country day_starts wait_goal_minutes")
        content["counters"] = [counter_content(db, row, counter) for counter in counters_of(db, row, at)]
        code = staff_code(db, at, row)
        content["queues"] = [queue_content(db, row, queue) for queue in queues_of(db, row)]
        content["servicers"] = [servicer_content(db, row, servicer) for servicer in servicers_of(db, row)]
    url = owner_link(row)
    links = {name: link(name, place=place) for name in ("customers", "board", "live", "poster")}
    links |= {"staff": link("staff", place=place, token=row.staff_token), "manage": url}
    links |= {"stats": f"{url}/stats"}
    links |= {"queues": f"{url}/queues", "tickets_csv": f"{url}/tickets.csv", "export": f"{url}/export.json"}
    content["links"] = links
    content["staff_code"] = code and shown(code, row, "ends_at") | {"code": code.digits}
    fresh = not wants_json() and session.pop("fresh", None) == place
    more = {"fresh": fresh, "timezones": zones(), "today": day_of(row, at)}
    return page("manage.html", content, row, owner=content, **more)


def counter_content(db: Connection, place: Row, counter: Row) -> dict[str, Any]:
    """What the owner sees of a counter."""
    mine = {"place": place.slug, "counter": counter.slug}
    doors = [door_content(db, place, each) for each in doors_of(db, now(), place, counter)]
    links = {"counter": link("counter", token=place.manage_token, **mine), "screen": link("screen", **mine)}
    links |= {"door": doors[0]["links"]["door"]} if doors else {}
    content = counter_shown(counter, place) | shown(counter, place, "empties hold_minutes")
    return content | {"doors": doors, "links": links}


def door_content(db: Connection, place: Row, door: Row) -> dict[str, Any]:
    """What the owner sees of a door."""
    links = {"door": link("door", place=place.slug, token=door.token)}
    return shown(door, place, "id name code code_ends_at") | {"links": links}


def queue_content(db: Connection, place: Row, queue: Row) -> dict[str, Any]:
    """What the owner sees of a queue."""
    at, mine = now(), {"place": place.slug, "queue": queue.slug}
    day = day_of(place, at)
    content = shown(queue, place, "slug name kind prefix open max_waiting asks shared_tablet usual_service_s")
    content["waiting"] = [ticket.number for ticket in waiting_in(db, [queue.id], day)]
    content["called"] = [ticket.number for ticket in called_in(db, place) if ticket.queue_id == queue.id]
    content["today"] = figures(db, queue, day_begins(place.timezone, day, place.day_starts), at + 1)
    content["hit_rate"] = hit_rate(db, queue, at - 7 * 86400)
    links = {"take": link("take", **mine), "queue": f"{owner_link(place)}/queues/{queue.slug}"}
    return content | {"links": links}


@pages.post("/<place>/manage/<token>/delete")
def delete_this_place(place: str, token: str) -> Answer:
    name = body(PlaceForm, "name")["name"]
    write(by_owner, place, token, delete_place, name)
    return after(home, f"{name} was deleted.")


@pages.post("/<place>/manage/<token>/links/<any(manage, staff):which>/replace")
def replace_this_link(place: str, token: str, which: str) -> Answer:
    fresh = write(by_owner, place, token, replace_link, which)
    token = fresh if which == "manage" else token
    return after(manage, NEW_LINK, place=place, token=token)


@pages.get("/<place>/manage/<token>/counters/<counter>")
def counter(place: str, token: str, counter: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        mine, today = find_counter(db, now(), row, counter), day_of(row, now())
        day = asked_day("day", today)
        content, curve = counter_content(db, row, mine), day_of_counter(db, now(), row, mine, day)
    url = content["links"]["counter"]
    links = {"csv": f"{url}/taps.csv", "earlier": f"{url}?day={next_day(day, -1)}"}
    curve["links"] = links | {"later": f"{url}?day={next_day(day)}" if day < today else None}
    return page("counter.html", content | {"day": curve}, row, counter=content, day=curve, today=today)


@pages.get("/<place>/manage/<token>/counters/<counter>/taps.csv")
def taps_csv(place: str, token: str, counter: str) -> Answer:
    columns, days = "happened_at kind door delta recounted number", asked_days()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        its, hour = find_counter(db, now(), row, counter), row.day_starts
    since, until = (day_begins(row.timezone, day, hour) for day in (days[0], next_day(days[1])))
    return table(row, columns, lambda db, at, seen: counts_between(db, its, at or since, until, seen, 1000))


@pages.get("/<place>/manage/<token>/stats")
def stats(place: str, token: str) -> Answer:
    row, content = asked_numbers(place, token)
    with service().database.read() as db:
        lines, counters = [named(queue) for queue in queues_of(db, row)], counters_of(db, row, now())
    mine, url = {"place": place, "token": token}, f"{owner_link(row)}/stats"
    content["counters"] = [
        named(each, counter=link("counter", counter=each.slug, **mine)) for each in counters
    ]
    content["links"] = {"stats": url, "csv": f"{url}.csv", "tickets_csv": link("tickets_csv", **mine)}
    more = {"ranges": ranges(row, content["from"], content["to"]), "today": day_of(row, now())}
    return page("stats.html", content, row, stats=content, lines=lines, **more)


def ranges(place: Row, first: str, last: str) -> dict[str, tuple[str, str]]:
    """Days that an owner may want to look at after these."""
    today, opened = day_of(place, now()), day_of(place, place.created_at)
    found = {
        name: (next_day(today, 1 - days), today)
        for name, days in (("Today", 1), ("Last 7 days", 7), ("Last 30 days", 30))
    }
    found["A year"] = next_day(today, -364), today
    length = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    if first > opened and length < 10_000:
        found["Earlier"] = next_day(first, -length), next_day(first, -1)
    if last < today and length < 10_000:
        found["Later"] = next_day(last), next_day(last, length)
    return found


def asked_numbers(place: str, token: str) -> tuple[Row, dict[str, Any]]:
    """The place, and its owner's numbers of the days and the queue that the query string names, or today."""
    database, slug = service().database, request.args.get("queue") or None
    with database.read() as db:
        row = find_place(db, place, manage_token=token)
        queue = find_queue(db, row, slug) if slug else None
    first, last = asked_days(day_of(row, now()))
    content = {"from": first, "to": last, "queue": slug} | owners_numbers(
        database, row, now(), first, last, queue
    )
    return row, content | {"said": None if queue else desks_in_words(content["desks"])}


@pages.get("/<place>/manage/<token>/stats.csv")
def stats_csv(place: str, token: str) -> Answer:
    _, content = asked_numbers(place, token)
    written = io.StringIO()
    csv.writer(written).writerows([("figure", "value"), *flat(content)])
    return download(iter([written.getvalue()]))


def flat(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All that JSON holds, as pairs of a name such as `queues.0.wait.median` and a value."""
    if not isinstance(content, dict | list):
        yield name, harmless(content)
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from flat(value, f"{name}.{key}" if name else str(key))


@pages.post("/<place>/manage/<token>/stats")
def set_goal(place: str, token: str) -> Answer:
    write(by_owner, place, token, change_place, **body(PlaceForm, "wait_goal_minutes"))
    if wants_json():
        return stats(place, token)
    flask.flash(SAVED, "good")
    days = {name: request.args[name] for name in ("from", "to", "queue") if name in request.args}
    return flask.redirect(url_for("pages.stats", place=place, token=token, **days), 303)


@pages.get("/<place>/manage/<token>/tickets.csv")
def tickets_csv(place: str, token: str) -> Answer:
    columns = "state number queue_name series taken_at first_called_at called_at started_at ended_at wait_s"
    columns, days = f"{columns} service_s total_s servicer desk party name phone note", asked_days()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
    return table(row, columns, lambda db, at, seen: tickets_between(db, row, *days, seen))


def asked_days(today: str | None = None) -> tuple[str, str]:
    """The days `from` and `to` of the query string, else all or only today; raises BadInput."""
    last = asked_day("to", today or "9998-12-31")
    first = asked_day("from", min(last, today) if today else "1970-01-01")
    if first > last:
        raise BadInput("'from' is after 'to': exchange the two days.")
    return first, last


def asked_day(name: str, default: str) -> str:
    """A day of the query string; raises BadInput."""
    try:
        day = date.fromisoformat(request.args.get(name) or default).isoformat()
    except ValueError:
        raise BadInput(f"'{name}' must be a day such as 2026-11-21.") from None
    return max("1970-01-01", min(day, "9998-12-31"))


def table(place: Row, columns: str, batch: Callable[..., list[Row]]) -> Answer:
    """Rows as a CSV file; `batch(db, at, id)` has the next ones, so that a slow reader holds nothing up."""
    database = service().database

    def lines() -> Iterator[str]:
        yield ",".join(columns.split()) + "\r\n"
        at, seen, rows = None, 0, [None]
        while rows:
            with database.read() as db:
                rows = batch(db, at, seen)
            written = io.StringIO()
            for row in rows:
                cells = shown(row, place, columns)
                cells |= {"state": state_of(row, place, now())} if "state" in cells else {}
                csv.writer(written).writerow([harmless(cell) for cell in cells.values()])
                at, seen = getattr(row, "happened_at", None), row.id
            yield written.getvalue()

    return download(lines())


def download(lines: Iterator[str], mimetype: str = "text/csv") -> Answer:
    """What a browser keeps as a file."""
    return flask.Response(lines, mimetype=mimetype, headers={"Content-Disposition": "attachment"})


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: an apostrophe before it, for readers to take off."""
    return f"'{cell}" if isinstance(cell, str) and re.match(r"'*[=+\-@\t\r]", cell) else cell


@pages.get("/<place>/manage/<token>/export.json")
def export(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
    return download(json_lines(everything(service().database, row)), "application/json")


def json_lines(rows: Iterator[tuple[str, dict]]) -> Iterator[str]:
    """Rows of tables as one JSON object of lists."""
    before = None
    for table, content in rows:
        yield ",\n" if table == before else f'{"{" if before is None else "],"}\n"{table}": [\n'
        yield json.dumps(content)
        before = table
    yield "]}\n"


# ----- what can be pressed

MOST_TAPS = 500  # in one request


# Whose buttons they are, by the first part of their URL: who runs the write, and the page that comes after it
# or, with what went wrong, again.
HOLDERS = {"t": (by_customer, ticket), "desk": (by_desk, desk), "door": (by_door, door)}
HOLDERS["manage"] = (by_owner, manage)
AGAIN = {part: view for part, (_, view) in HOLDERS.items()} | {"<queue>": customers, "staff": staff}
AGAIN["code"] = customers


def button(path: str, reads: Callable, does: Callable, say: Any = None, shows: Any = None, **always: Any):
    """Adds what can be pressed on a page: what is read of the request, and the write that does it.

    `say` tells what was done, or makes that of the result. JSON is what `shows(db, place, result)` makes,
    else the page's own; the status is 201 for what was added.
    """
    by, view = HOLDERS[path.split("/")[0]]

    def pressed(place: str, token: str, **which: Any) -> Answer:
        result, content = write(by, place, token, does, **which, **reads(), **always), None
        if shows and wants_json():
            with service().database.read() as db:
                content = shows(db, find_place(db, place), result)
        said = say(result) if callable(say) else say
        return after(view, said, 201 if say == ADDED else 200, content, place=place, token=token)

    pages.add_url_rule(f"/<place>/{path}", path, pressed, methods=["POST"])


NEW_LINK = "The old link is dead. Here is the new one."


def say_code(code: Row) -> str:
    """What is said of a door, or of the staff link, that has a new code."""
    return f"The code is {code.code}: read it out. It is valid for ten minutes."


def say_cancelled(cancelled: list[str]) -> str:
    """What is said when the owner cancelled many."""
    return f"Cancelled: {', '.join(cancelled)}." if cancelled else "None of these is in the line any more."


def cancelled_content(db: Connection, place: Row, cancelled: list[str]) -> dict[str, Any]:
    """What JSON says then."""
    return {"cancelled": cancelled}


def tapped() -> dict[str, Any]:
    """The taps that a door sends: a list in JSON, one in a form."""
    if not request.is_json:
        return {"taps": [body(TapForm, "id", "delta")]}
    taps = json_object().get("taps")
    if not isinstance(taps, list):
        raise BadInput("Taps: this must be a list of taps, such as [].")
    if len(taps) > MOST_TAPS:
        raise Refused(f"At most {MOST_TAPS} taps at once, please: send the others after them.", 413)
    return {"taps": [check(TapForm, tap, "id", "delta") for tap in taps]}


def a_queue() -> dict[str, Any]:
    """What the request says of a new queue; the settings limit its line, unless the owner does."""
    return {"max_waiting": service().settings.max_waiting} | body(QueueForm, "name")


given = partial(partial, body)  # what is read of the request
nothing, number = dict, given(NumberForm, "number")
OWNER, ADDED, SAVED = "manage/<token>", "Added.", "Saved."
QUEUE, COUNTER = f"{OWNER}/queues/<queue>", f"{OWNER}/counters/<counter>"
SERVICER = f"{OWNER}/servicers/<int(max=2147483647):servicer_id>"
DOOR = f"{OWNER}/doors/<int(max=2147483647):door_id>"

button("t/<token>/cancel", nothing, cancel_ticket)
button("door/<token>/taps", tapped, store_taps)
button("door/<token>/recount", given(RecountForm, "count"), recount)
button("door/<token>/no-show", number, not_here)
called_next = given(NextForm, "finished")
button("desk/<token>/next", called_next, call_next, lambda called: None if called else "Nobody is waiting.")
for kind in ("start", "done", "no-show", "call-again", "put-back"):
    button(f"desk/<token>/{kind}", number, press, kind=kind)
button("desk/<token>/bring-back", number, bring_back)
button("desk/<token>/move", given(MoveForm, "number", "queue"), move_ticket)
button("desk/<token>/pause", nothing, set_duty, on_duty=False)
button("desk/<token>/resume", nothing, set_duty, on_duty=True)

button(OWNER, given(PlaceForm), change_place, SAVED)
button(f"{OWNER}/links/staff/code", nothing, give_code, say_code)
button(SERVICER, given(ServicerForm), change_servicer, SAVED)
button(f"{SERVICER}/remove", nothing, remove_servicer, "The link was taken away.")
button(f"{OWNER}/queues", a_queue, add_queue, ADDED, queue_content)
button(QUEUE, given(QueueForm), about_queue, SAVED, queue_content, then=change_queue)
OPENED, CLOSED = "Customers can take numbers again.", "Nobody can join now; those in line are still served."
button(f"{QUEUE}/open", nothing, about_queue, OPENED, queue_content, then=change_queue, open=1)
button(f"{QUEUE}/close", nothing, about_queue, CLOSED, queue_content, then=change_queue, open=0)
button(f"{QUEUE}/reset", nothing, about_queue, "Numbers begin at 1 again.", queue_content, then=reset_numbers)
button(f"{QUEUE}/delete", nothing, about_queue, "The queue was deleted.", queue_content, then=delete_queue)
numbers = given(NumbersForm, "numbers")
button(f"{QUEUE}/cancel", numbers, about_queue, say_cancelled, cancelled_content, then=cancel_tickets)
counter_and_capacity = given(CounterForm, "name", "capacity")
button(f"{OWNER}/counters", counter_and_capacity, add_counter, ADDED, counter_content)
button(COUNTER, given(CounterForm), about_counter, SAVED, counter_content, then=change_counter)
button(f"{COUNTER}/delete", nothing, about_counter, "The counter was deleted.", then=delete_counter)
button(f"{COUNTER}/doors", given(NameForm, "name"), about_counter, ADDED, door_content, then=add_door)
button(f"{DOOR}/replace", nothing, change_door, NEW_LINK, door_content, kind="replace")
button(f"{DOOR}/code", nothing, change_door, say_code, door_content, kind="code")
button(f"{DOOR}/remove", nothing, change_door, "The door was taken away.", door_content, kind="remove")


# ==========================================================================================================
# Command line
# ==========================================================================================================

WAITRESS = {
    "ident": None,
    "clear_untrusted_proxy_headers": False,  # ProxyFix decides which to believe
    "asyncore_use_poll": True,  # select() ends at 1,024 files
    "outbuf_high_watermark": 128 * 1024,  # a stalled phone must not hold megabytes
    "max_request_body_size": 17 * 1024 * 1024,
    "channel_request_lookahead": 1,  # or a stream whose page was closed would not be noticed
}
DATA = click.option("--data", type=Path, help="Directory of the database [TAKEANUMBER_DATA, or data].")


class ServesByDefault(click.Group):
    """Commands, of which `serve` may be left out; what can't be done is one sentence and status 1."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in (*self.commands, "--help")
        return super().parse_args(context, args if named else ["serve", *args])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (CannotStart, Refused) as problem:
            raise click.ClickException(str(problem)) from None


@click.group(cls=ServesByDefault)
def cli() -> None:
    """Take A Number: a queue for places where people wait. Without a command, it serves."""


@cli.command()
@click.option("--host", help="Address to listen at [HOST, or 0.0.0.0: all].")
@click.option("--port", type=int, help="Port to listen at [PORT, or 8000].")
@DATA
@click.option(
    "--threads", type=click.IntRange(8, 10000), default=256, help="256; all but 64 may be open pages."
)
def serve(threads: int, **options: Any) -> None:
    """Starts the server, and prints the address that phones nearby can reach."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each burst
    logging.getLogger("waitress").addFilter(without_tokens)
    make_room_for(threads)
    app = create_app(threads, **options)
    parts: Service = app.extensions["takeanumber"]
    host, port = parts.settings.host, parts.settings.port
    try:
        room = {"threads": threads, "connection_limit": 2 * threads + 200}
        server = waitress.create_server(app, host=host, port=port, **room, **WAITRESS)
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        said = f"Can't listen at {host}, port {port}: {why}. Choose another --host or --port."
        raise CannotStart(said) from None
    stopped = start_clock(parts.database, parts.settings)

    def stop(*_: Any) -> None:
        parts.live.close()
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    tell_address(parts.settings, getattr(server, "effective_port", port))
    server.run()
    stopped.set()
    parts.database.close()


def without_tokens(line: logging.LogRecord) -> bool:
    """Takes links' tokens out of a line of the log."""
    line.msg, line.args = re.sub(r"/[\w-]{22}(?![\w-])", "/…", line.getMessage()), ()
    return True


def make_room_for(threads: int) -> None:
    """Lets this process have a thousand threads and as many connections, as far as the machine allows."""
    sys.setswitchinterval(0.02)  # many short threads: let each finish what it is at
    gc.freeze()  # what was imported stays; and looking for garbage all the time is dear
    gc.set_threshold(20_000, 20, 20)
    threading.stack_size(2**21)  # instead of eight megabytes for each
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(2 * threads + 1000, most if most > 0 else 2**20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, wanted), most))
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # so that a phone that left without a word is noticed in a minute
        options = waitress.adjustments.Adjustments.socket_options
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000))


def reachable(settings: Settings, port: int) -> str:
    """The URL at which phones on the same network reach this server; nothing is sent to find it out."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # an address for documentation: it only picks our own
                host = probe.getsockname()[0]
            except OSError:
                host = "127.0.0.1"
    return settings.url.rstrip("/") or f"http://{host}:{port}"


def tell_address(settings: Settings, port: int) -> None:
    """Prints where the server is to be found, with a QR code for phones."""
    import qrcode

    here, url = f"http://127.0.0.1:{port}", reachable(settings, port)
    click.echo(f"Take A Number is running; Ctrl-C stops it.\n\n  Here: {here}\n  On phones nearby: {url}\n")
    code = qrcode.QRCode(border=2)
    code.add_data(url)
    code.print_ascii(invert=True)


@cli.command()
@DATA
def links(data: Path | None) -> None:
    """Prints each place's manage link, for a lost bookmark."""
    settings = Settings.read(os.environ, data=data)
    with open_database(settings).read() as db:
        places = all_places(db)
    for place in places:
        base = reachable(settings, settings.port)
        click.echo(f"{place.name}: {base}/{place.slug}/manage/{place.manage_token}")
    if not places:
        click.echo("No place is open here yet. Start the server, and open one in a browser.")


@cli.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The running server.")
@click.option("--speed", type=click.FloatRange(1, 1000), default=60, help="Times as fast as life [60].")
@click.option("--hours", type=click.FloatRange(0.01, 24), default=8, help="Length of the day [8].")
@click.option("--setup-code", help="Where the server asks for one [TAKEANUMBER_SETUP_CODE].")
def demo(url: str, speed: float, hours: float, setup_code: str | None) -> None:
    """Opens a place "Corner Deli" on a running server, and plays a lively day into it."""
    code = setup_code or os.environ.get("TAKEANUMBER_SETUP_CODE")
    shop = {"name": "Corner Deli", "queue": "Deli", "counter": {"name": "Shop", "capacity": 30}}
    place = ask(f"{url.rstrip('/')}/places", shop | {"setup_code": code})
    ask(f"{place['links']['manage']}/queues", {"name": "Bakery"})
    for name in ("customers", "board", "manage"):
        click.echo(f"{name}: {place['links'][name]}")
    takes = [queue["links"]["take"] for queue in ask(place["links"]["customers"])["queues"]]
    staff, names = place["links"]["staff"], enumerate(("Ana", "Ben", "Chloe"), 1)
    desks = [ask(staff, {"name": name, "desk": f"Window {n}"})["links"]["desk"] for n, name in names]
    door = f"{ask(place['links']['manage'])['counters'][0]['links']['door']}/taps"
    free_at, minutes = dict.fromkeys(desks, 0.0), 0.0
    while minutes < 60 * hours:
        minutes += (pause := random.expovariate(0.9))
        time.sleep(60 * pause / speed)
        mine = ask(random.choice(takes), {"party": (party := random.randint(1, 4))})
        ask(door, {"taps": [{"id": str(uuid4()), "delta": party}]})
        if random.random() < 0.08:
            ask(mine["links"]["cancel"], {})
        for desk in (desk for desk in desks if free_at[desk] <= minutes):
            current = ask(desk)["current"]
            if current:
                ask(door, {"taps": [{"id": str(uuid4()), "delta": -(current["party"] or 1)}]})
            if current and random.random() < 0.07:
                current = ask(f"{desk}/no-show", {"number": current["number"]})["current"]
            current = ask(f"{desk}/next", {"finished": current and current["number"]})["current"]
            if current:
                ask(f"{desk}/start", {"number": current["number"]})
                free_at[desk] = minutes + random.lognormvariate(0.9, 0.5)


def ask(url: str, content: dict | None = None) -> dict[str, Any]:
    """What a running server answers, in JSON; raises CannotStart with its own sentence when it refuses."""
    head = {"Accept": "application/json", "Content-Type": "application/json"}
    data = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, head), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as problem:
        raise CannotStart(json.load(problem)["error"]) from None
    except OSError as problem:
        raise CannotStart(f"No server answers at {url} ({problem}). Start it, or give its --url.") from None


if __name__ == "__main__":
    cli()
