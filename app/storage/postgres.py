"""PostgreSQL: connections, lanes, and signals between the instances that share a database.

Imported only when TAKEANUMBER_DATABASE_URL is set.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import IntDumper
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.errors import BadInput, DatabaseFailed, OutcomeUnknown, WritesPaused, reason_of
from app.storage.engine import MOVING_SENTENCE, OUTBOX, WRITER_TIMEOUT_S
from app.storage.sql import ROWS_CHANGED, driver_connection

log = logging.getLogger("takeanumber")

OLDEST_VERSION = 13
PLACE_LANES = 16
ALL_LANES = PLACE_LANES  # for writes to several places
INTERNAL = PLACE_LANES + 1  # for the server's own bookkeeping and the outbox, which touch no place

# Advisory locks have two numbers. The first is one of these:
LANE_LOCK = 0x74616E00
JOB_LOCK = 0x74616E01
UPGRADE_LOCK = 0x74616E02
MOVE_LOCK = 0x74616E04  # held while everything is moved to a SQLite file
WORK_LOCK = 0x74616E05  # held while an instance is busy with work that ends with it

WRITES, MOVES = 0, 1  # the second number of MOVE_LOCK: nobody may write, nobody else may move

MOVED_FACT = "moved"  # set once everything was moved
# Whether writes are allowed, and the id of the transaction.
MAY_WRITE_AND_ID = f"""SELECT pg_try_advisory_xact_lock_shared({MOVE_LOCK}, {WRITES})
                AND NOT EXISTS (SELECT 1 FROM fact WHERE name = '{MOVED_FACT}'), pg_current_xact_id()::text"""

TRANSACTION = "transaction"  # in Connection.info: the id of the transaction

ENGINE_URL = "postgresql+psycopg://"  # without a host: that is up to libpq
CHANNEL = "takeanumber"
CONNECT_TIMEOUT_S = 5
SILENCE_MS = 10_000  # a connection is lost when the server has not acknowledged data for so long
SETTINGS = ("SET jit = off",)  # compiling takes longer than any query here
WRITER_SETTINGS = (
    "SET lock_timeout = '8s'",
    # A process that hangs in a transaction loses it, so that others can go on.
    "SET idle_in_transaction_session_timeout = '5s'",
)
RETRY_S = 1.0
CLOSE_S = 1.0  # how long to wait at the end for a server that is silent
DRAIN_S = 5.0
OUTCOME_PAUSE_S = 0.2
OUTCOME_SENTENCE = "The database was lost just now. Please look whether your change was stored."
OUTCOME_S = 8.0  # how long to ask whether a commit was stored whose answer was lost

# States of an error after which the same transaction may succeed; see the appendix of PostgreSQL's manual.
TRANSIENT_CLASSES = ("08", "57P", "58", "53")
TRANSIENT_STATES = (
    "40001",  # could not serialize
    "40P01",  # deadlock
    "55P03",  # lock_timeout
    "25006",  # read-only: this server is no longer the primary
    "25P03",  # idle_in_transaction_session_timeout
    "57014",  # the query was cancelled
)
NUL_SENTENCE = "This text has a character that can't be stored. Please type it again."


class NumericLoader(Loader):
    """Reads sums and averages as SQLite returns them: as int or float."""

    def load(self, data: Buffer) -> int | float:
        """Return a number."""
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


class FlagDumper(IntDumper):
    """Writes True and False as 1 and 0, since flags are in integer columns."""

    def dump(self, obj: Any) -> Buffer | None:
        """Return 1 or 0."""
        return super().dump(int(obj))


def make_engine(url: str, pool_size: int = 1, *settings: str) -> sa.Engine:
    """Return an engine; `settings` come after the usual ones.

    Transactions are begun and ended by hand, so it is in autocommit mode.
    """
    engine = sa.create_engine(
        ENGINE_URL,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # links and names don't belong in a log
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=WRITER_TIMEOUT_S,
        pool_use_lifo=True,
        connect_args=_parameters(url),
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        for setting in (*SETTINGS, *settings):
            connection.execute(setting)
        connection.adapters.register_loader("numeric", NumericLoader)
        connection.adapters.register_dumper(bool, FlagDumper)

    return engine


def _parameters(url: str) -> dict[str, Any]:
    """Return how to connect: what the URL says, which may name several hosts, and what it leaves out."""
    parameters = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "takeanumber",
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "target_session_attrs": "read-write",  # of several hosts, and after a failover: the primary
    }
    return parameters | conninfo_to_dict(url)


def connect(url: str) -> psycopg.Connection[Any]:
    """Return a connection of its own, outside of any pool, in autocommit mode."""
    return psycopg.connect(autocommit=True, **_parameters(url))


def sqlstate_of(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an error: "08000" for a lost connection, None for what isn't PostgreSQL's."""
    error = getattr(error, "orig", None) or error  # SQLAlchemy wraps it
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate is not None:
        return error.sqlstate
    return "08000" if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else ""


class PostgresEngine:
    """A PostgreSQL database that several instances share."""

    lanes: Sequence[str] = (*(f"writer {number}" for number in range(PLACE_LANES)), "writer", "internal")
    errors: tuple[type[Exception], ...] = (psycopg.Error, SQLAlchemyError)
    failure: DatabaseFailed | None = None
    changes_elsewhere = True
    hangs_alone = False

    def __init__(self, url: str, pool_size: int):
        self._url = url
        self._readers = make_engine(url, pool_size)
        self._writers = make_engine(url, len(self.lanes), *WRITER_SETTINGS)
        self.signals = Signals(url)
        self.locks = SessionLocks(url)

    def lane_of(self, slug: str | None, *, is_internal: bool) -> int:
        """Return the lane of a write to the place with this slug, to the outbox, or to several places."""
        if is_internal or slug == OUTBOX:
            return INTERNAL
        return ALL_LANES if slug is None else zlib.crc32(slug.encode()) % PLACE_LANES

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection that sees one moment of the database and can change nothing."""
        with self._begin_read() as db:
            try:
                yield db
            except Exception as error:
                if sqlstate_of(error) is not None and self.is_transient(error):
                    db.invalidate()
                raise
            finally:
                _end_read(db)

    def _begin_read(self) -> Connection:
        """Return a connection in a transaction. Connections that were lost meanwhile are replaced."""
        tries = 0
        while True:
            tries += 1
            db = self._readers.connect()
            try:
                _execute(db, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            except psycopg.Error as error:
                db.invalidate()
                db.close()
                if not self.is_transient(error) or tries > self._readers.pool.size():  # type: ignore[attr-defined]
                    raise
            except BaseException:
                db.close()
                raise
            else:
                return db

    def open_writer(self) -> Connection:
        """Return a connection for a lane."""
        return self._writers.connect()

    def begin(self, db: Connection, lane: int) -> None:
        """Begin a transaction, and take the lock of its lane, or those of all lanes in their order."""
        lanes: Sequence[int] = () if lane == INTERNAL else (lane,)
        if lane == ALL_LANES:
            lanes = range(PLACE_LANES)
        locks = "".join(f"; SELECT pg_advisory_xact_lock({LANE_LOCK}, {number})" for number in lanes)
        cursor = _execute(db, f"BEGIN{locks}; {MAY_WRITE_AND_ID}")
        while cursor.nextset():
            pass
        may_write, db.info[TRANSACTION] = cursor.fetchone()
        if not may_write:
            raise WritesPaused(MOVING_SENTENCE)

    def commit(self, db: Connection) -> None:
        """Commit the transaction. Returns when it is on the disk.

        When the answer is lost, the server is asked whether the transaction was stored.
        """
        transaction = db.info[TRANSACTION]
        try:
            _execute(db, "COMMIT")
        except psycopg.Error as error:
            if not self.is_transient(error) or not self._was_stored(transaction):
                raise
            db.invalidate()

    def _was_stored(self, transaction: str) -> bool:
        """Return whether a transaction was committed. Raises OutcomeUnknown when nobody can tell."""
        give_up_at = time.monotonic() + OUTCOME_S
        while time.monotonic() < give_up_at:
            with suppress(psycopg.OperationalError):
                try:
                    with connect(self._url) as raw:
                        row = raw.execute("SELECT pg_xact_status(%s::xid8)", [transaction]).fetchone()
                except psycopg.DataError:
                    return False  # another server took over, which never heard of it
                if row is not None and row[0] != "in progress":
                    return bool(row[0] == "committed")
            time.sleep(OUTCOME_PAUSE_S)
        raise OutcomeUnknown(OUTCOME_SENTENCE)

    def roll_back(self, db: Connection) -> None:
        """Undo everything that the transaction has changed, and end it."""
        _execute(db, "ROLLBACK")

    def in_transaction(self, db: Connection) -> bool:
        """Return False when the transaction was lost."""
        if db.invalidated:
            return False
        status = psycopg.pq.TransactionStatus
        return driver_connection(db).info.transaction_status in (status.INTRANS, status.INERROR)

    def rows_changed(self, db: Connection) -> int:
        """Return how many rows this connection has changed so far."""
        return int(db.info.get(ROWS_CHANGED, 0))

    def is_transient(self, error: BaseException) -> bool:
        """Return True for an error after which the same transaction may succeed."""
        state = sqlstate_of(error)
        return bool(state) and (state in TRANSIENT_STATES or state.startswith(TRANSIENT_CLASSES))  # type: ignore[union-attr]

    def detect_failure(self, error: BaseException | None) -> None:
        """Do nothing: the server looks after its files."""

    def translate(self, error: Exception) -> Exception:
        """Return what a request that fails with this error is told."""
        return BadInput(NUL_SENTENCE) if is_nul(error) else error

    def listen(self, on_change: Callable[[], None]) -> None:
        """Call this whenever another instance may have changed something."""
        self.signals.on_change = on_change

    def tell_others(self, slugs: set[str]) -> None:
        """Tell other instances that these places have changed."""
        self.signals.send(slugs)

    def may_run_job(self, name: str) -> bool:
        """Return True when this instance runs a background job: the first that asks, until it ends."""
        return self.locks.hold(JOB_LOCK, _number_of(name))

    def hold(self, name: str) -> None:
        """Let other instances know that this one is busy with some work, until release() or its end."""
        self.locks.hold(WORK_LOCK, _number_of(name))

    def release(self, name: str) -> None:
        """End hold()."""
        self.locks.release(WORK_LOCK, _number_of(name))

    def is_held(self, name: str) -> bool:
        """Return True when an instance is busy with this work, or when that can't be found out."""
        return self.locks.is_held(WORK_LOCK, _number_of(name))

    def check_file(self) -> None:
        """Do nothing: the server looks after its files."""

    def check_content(self) -> None:
        """Do nothing: the server looks after its files."""

    def replace_content(self, file: Path) -> None:
        """Refuse: PostgreSQL has its own backups, so no server with a lease runs on it."""
        raise AssertionError(f"{file} is a SQLite file: it can't replace what PostgreSQL holds.")

    def close(self) -> None:
        """Close all connections."""
        self.signals.close()
        self.locks.close()
        self._readers.dispose()
        self._writers.dispose()


def _number_of(name: str) -> int:
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def is_nul(error: BaseException) -> bool:
    """Return True when a text holds the one character that PostgreSQL can't store."""
    error = getattr(error, "orig", None) or error
    return isinstance(error, psycopg.DataError) and "NUL" in str(error)


def _end_read(db: Connection) -> None:
    """End the transaction of a reader. If its connection was lost, it is replaced."""
    if db.invalidated:
        return
    try:
        _execute(db, "ROLLBACK")
    except psycopg.Error:
        db.invalidate()


def _execute(db: Connection, statement: str) -> Any:
    """Run statements without parameters, in one message to the server."""
    return driver_connection(db).execute(statement, prepare=False)


class Signals:
    """Tells other instances which places changed, and hears the same from them.

    Signals may be lost, as when the server restarts; so whoever waits for a change also looks from time to
    time.
    """

    def __init__(self, url: str):
        self.on_change: Callable[[], None] = lambda: None
        self._url = url
        self._outbox: SimpleQueue[set[str] | None] = SimpleQueue()  # None ends the thread
        self._closed = threading.Event()
        for name, target in (("listen", self._listen), ("notify", self._notify)):
            threading.Thread(target=target, name=name, daemon=True).start()

    def send(self, slugs: set[str]) -> None:
        """Send a signal soon."""
        self._outbox.put(slugs)

    def close(self) -> None:
        """End the threads."""
        self._closed.set()
        self._outbox.put(None)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with connect(self._url) as raw:
                    raw.execute(f"LISTEN {CHANNEL}")
                    self.on_change()  # what changed while nobody listened
                    while not self._closed.is_set():
                        for _ in raw.notifies(timeout=DRAIN_S, stop_after=1):
                            self.on_change()
            except psycopg.Error as error:
                if not self._closed.is_set():
                    log.warning("Other instances can't be heard just now: %s", reason_of(error))
                self._closed.wait(RETRY_S)

    def _notify(self) -> None:
        raw: psycopg.Connection[Any] | None = None
        while (slugs := self._outbox.get()) is not None:
            with suppress(Empty):
                while more := self._outbox.get_nowait():
                    slugs = slugs | more
            try:
                raw = raw or connect(self._url)
                # In one transaction, outside of those that store the changes: NOTIFY makes commits wait for
                # each other.
                raw.execute(
                    "SELECT pg_notify(%s, slug) FROM unnest(%s::text[]) AS slug", [CHANNEL, list(slugs)]
                )
            except psycopg.Error:
                if raw is not None:
                    raw.close()
                raw = None  # the others look by themselves; the next change connects again
        if raw is not None:
            raw.close()


class SessionLocks:
    """Locks that this instance holds until it ends, however that happens."""

    def __init__(self, url: str):
        self._url = url
        self._lock = threading.Lock()
        self._raw: psycopg.Connection[Any] | None = None
        self._held: set[tuple[int, int]] = set()

    def hold(self, kind: int, number: int) -> bool:
        """Return True when this instance has a lock: it had it, or nobody else has."""
        with self._lock:
            try:
                if self._raw is None:
                    self._raw = connect(self._url)
                    self._held.clear()
                if (kind, number) in self._held:
                    self._raw.execute("SELECT 1")  # fails when the connection, and so the lock, was lost
                    return True
                row = self._raw.execute("SELECT pg_try_advisory_lock(%s, %s)", [kind, number]).fetchone()
            except psycopg.Error:
                self._drop()
                return False
            if row is not None and row[0]:
                self._held.add((kind, number))
                return True
            return False

    def release(self, kind: int, number: int) -> None:
        """Release a lock."""
        with self._lock:
            if (kind, number) in self._held and self._raw is not None:
                self._held.discard((kind, number))
                try:
                    self._raw.execute("SELECT pg_advisory_unlock(%s, %s)", [kind, number])
                except psycopg.Error:
                    self._drop()

    def is_held(self, kind: int, number: int) -> bool:
        """Return True when an instance has a lock, or when that can't be found out."""
        with self._lock:
            if (kind, number) in self._held:
                return True
        if not self.hold(kind, number):
            return True
        self.release(kind, number)
        return False

    def close(self) -> None:
        """Release all locks. If the server doesn't answer a thread that asks, they end with this process."""
        if self._lock.acquire(timeout=CLOSE_S):
            self._drop()
            self._lock.release()

    def _drop(self) -> None:
        if self._raw is not None:
            with suppress(psycopg.Error):
                self._raw.close()
            self._raw = None
        self._held.clear()
