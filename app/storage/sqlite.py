"""SQLite: connections and their settings, and the state of the file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.errors import DatabaseFailed, WritesPaused
from app.storage.condition import find_damage, identity_of, is_damage, is_doubtful
from app.storage.engine import MOVING_SENTENCE, WRITER_TIMEOUT_S
from app.storage.move_mark import is_moving
from app.storage.sql import driver_connection

log = logging.getLogger("takeanumber")

BUSY_TIMEOUT_MS = 5000
PRAGMAS = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "synchronous = FULL",  # a ticket that was handed out survives a power cut
)
# KiB of pages that a connection keeps in memory. A reader starts anew after each change, so it keeps no more
# than one request has read; SQLite's own limit would be 2 MB for each of eight readers.
READER_CACHE = "cache_size = -500"
# The writer keeps the pages that it changed, up to this size. Storing 50,000 contacts takes no longer than
# with four times as much.
WRITER_CACHE = "cache_size = -4000"

WHAT_TO_DO = "Stop the server, restore a backup (see docs/backups.md), and start it again."
GONE = f"The database file of this server is gone, so nothing can be stored. {WHAT_TO_DO}"
REPLACED = (
    "The database file of this server was replaced while it ran, so nothing can be stored. "
    "Stop the server, and start it again."
)
DAMAGED = f"The database file of this server is damaged, so nothing can be stored. {WHAT_TO_DO}"


def make_engine(path: Path, *pragmas: str, pool_timeout_s: float = 10.0) -> sa.Engine:
    """Return an engine for an existing SQLite file; `pragmas` come after the usual ones.

    Transactions are begun and ended by hand, so the engine is in autocommit mode.
    """
    engine = sa.create_engine(
        # mode=rw: a missing file is an error. An empty one, created on the fly, would be taken for the shop.
        sa.URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"}),
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # links and names don't belong in a log
        pool_size=8,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        pool_use_lifo=True,  # each connection has a cache: use few of them while few are enough
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        for pragma in (*PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class SqliteEngine:
    """One SQLite file, with one writer."""

    lanes: Sequence[str] = ("writer",)
    errors: tuple[type[Exception], ...] = (sqlite3.Error, SQLAlchemyError)
    changes_elsewhere = False
    hangs_alone = True

    def __init__(self, path: Path):
        self.failure: DatabaseFailed | None = None
        self._path = path
        self._identity = identity_of(path)
        self._may_be_damaged = False  # SQLite said so; check_content() finds out
        self._held: set[str] = set()  # work that threads are busy with
        self._readers = make_engine(path, "query_only = ON", READER_CACHE, pool_timeout_s=WRITER_TIMEOUT_S)
        self._writers = make_engine(path, WRITER_CACHE)
        for engine in (self._readers, self._writers):
            sa.event.listen(
                engine, "handle_error", lambda context: self.detect_failure(context.original_exception)
            )

    def lane_of(self, slug: str | None, *, is_internal: bool) -> int:  # noqa: ARG002
        """Return the only lane."""
        return 0

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one moment of the database and can change nothing."""
        with self._readers.connect() as db:
            driver_connection(db).execute("BEGIN")
            try:
                yield db  # the pool ends the transaction when it gets the connection back
            except sqlite3.Error as error:
                self.detect_failure(error)
                raise

    def open_writer(self) -> Connection:
        """Return a connection for the writer."""
        return self._writers.connect()

    def begin(self, db: Connection, lane: int) -> None:  # noqa: ARG002
        """Begin a transaction that may write."""
        driver_connection(db).execute("BEGIN IMMEDIATE")
        if is_moving(self._path):  # asked now, since a move waits for transactions that have begun
            raise WritesPaused(MOVING_SENTENCE)

    def commit(self, db: Connection) -> None:
        """Commit the transaction. Returns when it is on the disk."""
        driver_connection(db).execute("COMMIT")

    def roll_back(self, db: Connection) -> None:
        """Undo everything that the transaction has changed, and end it."""
        driver_connection(db).execute("ROLLBACK")

    def in_transaction(self, db: Connection) -> bool:
        """Return False when the transaction was lost."""
        return bool(driver_connection(db).in_transaction)

    def rows_changed(self, db: Connection) -> int:
        """Return how many rows this connection has changed so far."""
        return int(driver_connection(db).total_changes)

    def is_transient(self, error: BaseException) -> bool:  # noqa: ARG002
        """Return False: nothing is tried again."""
        return False

    def detect_failure(self, error: BaseException | None) -> None:
        """Stop writing at once when an error says that the file is damaged."""
        if is_doubtful(error):
            self._may_be_damaged = True
            if self.failure is None and is_damage(error):
                self._fail(DAMAGED, f" ({error})")

    def translate(self, error: Exception) -> Exception:
        """Return the error."""
        return error

    def listen(self, on_change: Callable[[], None]) -> None:
        """Do nothing: other processes, if any, send no signals."""

    def tell_others(self, slugs: set[str]) -> None:
        """Do nothing: other processes, if any, look for changes."""

    def may_run_job(self, name: str) -> bool:  # noqa: ARG002
        """Return True: there is one instance."""
        return True

    def hold(self, name: str) -> None:
        """Note that a thread is busy with some work, until release()."""
        self._held.add(name)

    def release(self, name: str) -> None:
        """End hold()."""
        self._held.discard(name)

    def is_held(self, name: str) -> bool:
        """Return True when a thread is busy with this work."""
        return name in self._held

    def check_file(self) -> None:
        """Find out whether the file is still the one that was opened; if not, writes fail from now on.

        A file that was only moved away for a moment is accepted again.
        """
        identity = identity_of(self._path)
        if identity == self._identity:
            if self.failure is not None and str(self.failure) in (GONE, REPLACED):
                self._end_failure()
        elif self.failure is None:
            self._fail(GONE if identity is None else REPLACED, "")

    def check_content(self) -> None:
        """If SQLite said that the file is damaged, find out whether it is. Large files take a second."""
        if not self._may_be_damaged:
            return
        self._may_be_damaged = False
        try:
            damage = find_damage(self._path)
        except sqlite3.Error:
            self._may_be_damaged = True  # it can't be read just now
            return
        if damage is not None:
            self._fail(DAMAGED, f" ({damage})")
        elif self.failure is not None and str(self.failure) == DAMAGED:
            self._end_failure()

    def replace_content(self, file: Path) -> None:
        """Replace everything in the database by the content of another file, in one transaction.

        Readers see the old content or the new one.
        """
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(self._path)) as target:
            target.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            source.backup(target)
        self._may_be_damaged = self.failure is not None  # it may be whole now

    def close(self) -> None:
        """Close the file."""
        self._readers.dispose()
        self._writers.dispose()

    def _fail(self, sentence: str, details: str) -> None:
        if self.failure is None or str(self.failure) != sentence:
            log.critical("%s The file is %s%s.", sentence, self._path.absolute(), details)
        self.failure = DatabaseFailed(sentence)

    def _end_failure(self) -> None:
        log.warning("The database file %s can be used again.", self._path.absolute())
        self.failure = None
