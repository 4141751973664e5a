"""The database of a running server: many readers, and one thread that does all the writing."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import DatabaseFailed, Unavailable, WritesPaused
from app.storage.condition import find_damage, identity_of, is_damage, is_doubtful
from app.storage.sqlite import BUSY_TIMEOUT_MS, make_engine

log = logging.getLogger("takeanumber")

P = ParamSpec("P")
T = TypeVar("T")

WRITER_TIMEOUT_S = 10.0  # how long a request waits for the writer, and how long the writer may be silent
MOVING_SENTENCE = "Moving to a new server, a moment please."
MAX_BATCH = 256  # writes in one transaction
WRITER_CACHE = "cache_size = -16000"  # in KiB: storing 50,000 contacts takes half the time

WHAT_TO_DO = "Stop the server, restore a backup (see docs/backups.md), and start it again."
GONE = f"The database file of this server is gone, so nothing can be stored. {WHAT_TO_DO}"
REPLACED = (
    "The database file of this server was replaced while it ran, so nothing can be stored. "
    "Stop the server, and start it again."
)
DAMAGED = f"The database file of this server is damaged, so nothing can be stored. {WHAT_TO_DO}"


class WriteGuard(Protocol):
    """Decides whether this server may write; see app/backup/lease.py."""

    def may_write(self) -> bool:
        """Return True while changes may be stored."""

    def may_answer(self) -> bool:
        """Return True while a client may be told that its change is stored."""


class _NoGuard:
    """For a database that only one server can have."""

    def may_write(self) -> bool:
        return True

    def may_answer(self) -> bool:
        return True


@dataclass(eq=False)
class _Job:
    """One write, from the request that asks for it to its result."""

    function: Callable[[Connection], Any]
    is_note: bool = False
    result: Any = None
    changed: bool = False
    error: Exception | None = None
    # Acquired by the writer when it begins, or by the request when it gives up: whoever is first decides.
    begun: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Lock = field(default_factory=threading.Lock)  # released when there is a result


class Database:
    """One SQLite file.

    A durable commit waits for the disk, so the writer commits in groups: it takes all waiting writes, runs
    each in a savepoint of its own inside one transaction, commits once, and only then answers them all.
    """

    def __init__(self, path: Path):
        self.on_commit: Callable[[], None] = lambda: None
        self.guard: WriteGuard = _NoGuard()
        self.busy_since: float | None = None  # start of the current transaction, by time.monotonic()
        self.changes = 0  # number of committed writes that changed something; notes don't count
        # Time of the oldest change that is not backed up yet, by time.monotonic(). Whoever has stored every
        # change sets it to None.
        self.changed_since: float | None = None
        self.failure: DatabaseFailed | None = None  # the reason why the file can't be used any more
        self._path = path
        self._identity = identity_of(path)
        self._may_be_damaged = False  # SQLite said so; check_content() finds out
        self._paused: WritesPaused | None = None
        self._paused_for_good: WritesPaused | None = None
        self._readers = make_engine(path, "query_only = ON", pool_timeout_s=WRITER_TIMEOUT_S)
        self._writers = make_engine(path, WRITER_CACHE)
        for engine in (self._readers, self._writers):
            sa.event.listen(engine, "handle_error", lambda context: self._notice(context.original_exception))
        self._long_read = threading.Lock()
        self._transaction = threading.Lock()  # held during a transaction of the writer
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()  # None stops the writer
        self.writer = threading.Thread(target=self._write_until_closed, name="writer", daemon=True)
        self.writer.start()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection that sees one moment of the database and can change nothing."""
        with self._readers.connect() as db:
            _driver(db).execute("BEGIN")
            yield db  # the pool ends the transaction when it gets the connection back

    @contextmanager
    def read_long(self) -> Iterator[Connection]:
        """Like read(), for slow queries: one at a time, so that they never take all connections."""
        with self._long_read, self.read() as db:
            yield db

    def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, …)` on the writer and return its result once it is safe on the disk.

        The function may run twice, so it must touch nothing but the connection. Its exception is raised here,
        and nothing of it is stored. Raises Unavailable when the writer is too busy, and WritesPaused.
        """
        result: T = self._submit(_Job(lambda db: function(db, *args, **kwargs)))
        return result

    def note(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like write(), for the server's own notes: they need no backup, and a pause doesn't stop them."""
        result: T = self._submit(_Job(lambda db: function(db, *args, **kwargs), is_note=True))
        return result

    @property
    def paused(self) -> WritesPaused | None:
        """The reason why writes are refused, or None."""
        if paused := self.failure or self._paused_for_good or self._paused:
            return paused
        return None if self.guard.may_write() else WritesPaused(MOVING_SENTENCE)

    def pause(self, sentence: str, for_good: bool = False) -> None:
        """Refuse writes with this sentence until resume(). Returns when earlier writes are on the disk."""
        before = self._paused
        self._paused = WritesPaused(sentence, for_good)
        if for_good:
            self._paused_for_good = self._paused
        try:
            self.note(lambda _: None)  # the writer reaches it after the writes that came before
        except BaseException:
            self._paused = before  # nobody knows which writes may still come
            raise

    def resume(self) -> None:
        """Accept writes again, unless they were paused for good."""
        self._paused = None

    def replace_content(self, file: Path) -> None:
        """Replace everything in the database by the content of another file, in one transaction.

        Readers see the old content or the new one. Notes wait meanwhile.
        """
        with self._transaction:
            self._drop_connection()
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(self._path)) as target:
                target.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
                source.backup(target)
        self._may_be_damaged = self.failure is not None  # it may be whole now
        self.changes += 1
        self.on_commit()

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

    def _notice(self, error: BaseException | None) -> None:
        """Stop writing at once when an error says that the file is damaged."""
        if is_doubtful(error):
            self._may_be_damaged = True
            if self.failure is None and is_damage(error):
                self._fail(DAMAGED, f" ({error})")

    def _fail(self, sentence: str, details: str) -> None:
        if self.failure is None or str(self.failure) != sentence:
            log.critical("%s The file is %s%s.", sentence, self._path.absolute(), details)
        self.failure = DatabaseFailed(sentence)

    def _end_failure(self) -> None:
        log.warning("The database file %s can be used again.", self._path.absolute())
        self.failure = None

    def close(self) -> None:
        """Finish the waiting writes and close the file."""
        self._jobs.put(None)
        self.writer.join(WRITER_TIMEOUT_S)
        self._readers.dispose()
        self._writers.dispose()

    def _submit(self, job: _Job) -> Any:
        job.done.acquire()
        self._jobs.put(job)
        if not job.done.acquire(timeout=WRITER_TIMEOUT_S):
            if job.begun.acquire(blocking=False):
                raise Unavailable("The server is too busy just now. Please try again in a moment.")
            job.done.acquire()
        if job.error:
            raise job.error
        return job.result

    def _write_until_closed(self) -> None:
        while True:
            batch = [self._jobs.get()]
            while len(batch) < MAX_BATCH and not self._jobs.empty():
                batch.append(self._jobs.get())
            jobs = [job for job in batch if job is not None and job.begun.acquire(blocking=False)]
            if jobs:
                with self._transaction:
                    self._commit_batch(jobs)
            if None in batch:
                self._drop_connection()
                return

    def _commit_batch(self, jobs: list[_Job]) -> None:
        self.busy_since = time.monotonic()
        began = False
        try:
            self.check_file()
            if self.failure is not None:
                raise self.failure
            if self._connection is None:
                self._connection = self._writers.connect()
            db = self._connection
            _driver(db).execute("BEGIN IMMEDIATE")
            began = True
            for job in jobs:
                self._run_in_savepoint(db, job)
            if any(not job.is_note for job in jobs) and not self.guard.may_write():
                raise WritesPaused(MOVING_SENTENCE)  # the process was frozen just now
            _driver(db).execute("COMMIT")
            self._count_changes(jobs)
        except Exception as error:  # noqa: BLE001
            # The callers get the error, whatever it is.
            self._notice(error)
            self._drop_connection()
            if began and len(jobs) > 1:
                # The transaction is lost, and any job may be the cause: run each again in its own.
                for job in jobs:
                    self._commit_batch([job])
                return
            for job in jobs:
                job.error = error  # its caller gets it
        finally:
            self.busy_since = None
        self._answer(jobs)

    def _count_changes(self, jobs: list[_Job]) -> None:
        changes = sum(job.changed for job in jobs)
        if changes:
            # Increment before setting changed_since: the backup thread reads them in the opposite order.
            self.changes += changes
            self.changed_since = self.changed_since or time.monotonic()

    def _answer(self, jobs: list[_Job]) -> None:
        """Let the callers of these jobs go on."""
        if not self.guard.may_answer():
            # Stored, but another server may not know of it. The client sends it again, to that one.
            for job in jobs:
                if not job.is_note:
                    job.error = job.error or WritesPaused(MOVING_SENTENCE)
        self.on_commit()
        for job in jobs:
            job.done.release()

    def _run_in_savepoint(self, db: Connection, job: _Job) -> None:
        driver = _driver(db)
        driver.execute("SAVEPOINT job")
        try:
            # Checked here and not in write(): writes may have been paused while the job was waiting.
            if not job.is_note and (paused := self.paused):
                raise WritesPaused(str(paused), paused.for_good)
            changes_before = driver.total_changes
            job.result = job.function(db)
            job.error = None
            job.changed = driver.total_changes > changes_before and not job.is_note
        except Exception as error:
            if not driver.in_transaction:
                raise  # the whole batch is lost
            driver.execute("ROLLBACK TO job")
            job.error = error
            job.changed = False
        driver.execute("RELEASE job")

    def _drop_connection(self) -> None:
        """Close the writer's connection: after an error, its state is unknown."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _driver(db: Connection) -> Any:
    """Return the sqlite3 connection under SQLAlchemy's."""
    return db.connection.driver_connection
