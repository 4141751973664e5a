"""The database of a running server: many readers, and few threads that do all the writing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy.engine import Connection

from app.errors import DatabaseFailed, OutcomeUnknown, Unavailable, WritesPaused, reason_of
from app.storage.engine import MOVING_SENTENCE, WRITER_TIMEOUT_S, Engine

log = logging.getLogger("takeanumber")

P = ParamSpec("P")
T = TypeVar("T")

MAX_BATCH = 256  # writes in one transaction
MAX_TRIES = 3  # of a transaction that fails with a transient error
RETRY_S = 0.2  # before the second attempt; doubled after that
UNREACHABLE = "The database can't be reached just now, and nothing was changed. Please try again soon."


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
class _Write:
    """One write, from the request that asks for it to its result."""

    function: Callable[[Connection], Any]
    is_internal: bool = False
    slug: str | None = None  # of the place that it is about; None: of several places, or of none
    result: Any = None
    changed: bool = False
    error: Exception | None = None
    # Acquired by the writer when it begins, or by the request when it gives up: whoever is first decides.
    begun: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Lock = field(default_factory=threading.Lock)  # released when there is a result


class _Lane:
    """A thread that writes, and the writes that wait for it."""

    def __init__(self, number: int, name: str, run: Callable[[_Lane], None]):
        self.number = number
        self.busy_since: float | None = None  # start of the current transaction, by time.monotonic()
        self.transaction = threading.Lock()  # held during a transaction
        self.connection: Connection | None = None
        self.writes: SimpleQueue[_Write | None] = SimpleQueue()  # None stops the thread
        self.thread = threading.Thread(target=run, args=[self], name=name, daemon=True)
        self.thread.start()


class Database:
    """A SQLite file, or a PostgreSQL database that several instances share.

    A durable commit waits for the disk, so writers commit in groups: a writer takes all waiting writes, runs
    them in one transaction, commits once, and only then answers them all. If one of them fails after it has
    changed something, which is rare, all are run again, each in a transaction of its own.

    SQLite has one writer. On PostgreSQL, writes are spread over lanes by the place that they are about, and
    those of one lane run one after the other, whichever instance they come from.
    """

    def __init__(self, engine: Engine):
        self.on_commit: Callable[[], None] = lambda: None  # called after each commit, of other instances too
        self.on_own_commit: Callable[[], None] = lambda: None  # called after each commit of this instance
        self.guard: WriteGuard = _NoGuard()
        self.changes = 0  # number of committed writes that changed something, without internal ones
        # Time of the oldest change that is not backed up yet, by time.monotonic(). Whoever has stored every
        # change sets it to None.
        self.changed_since: float | None = None
        self.engine = engine
        self._paused: WritesPaused | None = None
        self._paused_for_good: WritesPaused | None = None
        self._long_read = threading.Lock()
        self._count_lock = threading.Lock()
        self._lanes = [
            _Lane(number, name, self._write_until_closed) for number, name in enumerate(engine.lanes)
        ]
        engine.listen(self._hear)

    @property
    def failure(self) -> DatabaseFailed | None:
        """The reason why the database can't be used any more, or None."""
        return self.engine.failure

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection that sees one moment of the database and can change nothing."""
        try:
            with self.engine.reading() as db:
                yield db
        except Exception as error:
            if self.engine.is_transient(error):
                raise Unavailable(UNREACHABLE) from error
            translated = self.engine.translate(error)
            if translated is error:
                raise
            raise translated from error

    @contextmanager
    def read_long(self) -> Iterator[Connection]:
        """Like read(), for slow queries: one at a time, so that they never take all connections."""
        with self._long_read, self.read() as db:
            yield db

    def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, …)` on a writer and return its result once it is safe on the disk.

        The function may run twice, so it must touch nothing but the connection. If it has a parameter `slug`,
        it must touch nothing but that place: writes to other places may run at the same time. Its exception
        is raised here, and nothing of it is stored. Raises Unavailable when the writer is too busy, and
        WritesPaused.
        """
        slug = None if len(self._lanes) == 1 else _slug_among(function, args, kwargs)
        result: T = self._submit(_Write(lambda db: function(db, *args, **kwargs), slug=slug))
        return result

    def write_in(
        self, slug: str, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like write(), for a function without a parameter `slug` that touches nothing but this place.

        With OUTBOX instead of a slug, it touches nothing but messages that wait to be sent, and no place
        waits for it.
        """
        result: T = self._submit(_Write(lambda db: function(db, *args, **kwargs), slug=slug))
        return result

    def write_internal(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like write(), for the server's own bookkeeping: it needs no backup, and a pause doesn't stop it."""
        result: T = self._submit(_Write(lambda db: function(db, *args, **kwargs), is_internal=True))
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
            for lane in self._lanes:  # each reaches it after the writes that came before
                self._submit(_Write(lambda _: None, is_internal=True), lane)
        except BaseException:
            self._paused = before  # nobody knows which writes may still come
            raise

    def resume(self) -> None:
        """Accept writes again, unless they were paused for good."""
        self._paused = None

    def replace_content(self, file: Path) -> None:
        """Replace everything in a SQLite database by the content of another file, in one transaction.

        Readers see the old content or the new one. Writes wait meanwhile.
        """
        (lane,) = self._lanes
        with lane.transaction:
            self._drop_connection(lane)
            self.engine.replace_content(file)
        self.changes += 1
        self.on_commit()

    def check_file(self) -> None:
        """Find out whether the file is still the one that was opened; if not, writes fail from now on."""
        self.engine.check_file()

    def check_content(self) -> None:
        """If SQLite said that the file is damaged, find out whether it is. Large files take a second."""
        self.engine.check_content()

    def hangs(self) -> bool:
        """Return True when a writer has ended, or has been in one transaction for too long."""
        if not all(lane.thread.is_alive() for lane in self._lanes):
            return True
        if not self.engine.hangs_alone:
            return False
        began = [lane.busy_since for lane in self._lanes if lane.busy_since is not None]
        return bool(began) and time.monotonic() - min(began) > WRITER_TIMEOUT_S

    def close(self) -> None:
        """Finish the waiting writes and close all connections."""
        for lane in self._lanes:
            lane.writes.put(None)
        give_up_at = time.monotonic() + WRITER_TIMEOUT_S  # for all together
        for lane in self._lanes:
            lane.thread.join(max(0.0, give_up_at - time.monotonic()))
        self.engine.close()

    def _hear(self) -> None:
        """Call on_commit() for what another instance has committed."""
        self.on_commit()

    def _submit(self, write: _Write, lane: _Lane | None = None) -> Any:
        if lane is None:
            lane = self._lanes[self.engine.lane_of(write.slug, is_internal=write.is_internal)]
        write.done.acquire()
        lane.writes.put(write)
        if not write.done.acquire(timeout=WRITER_TIMEOUT_S):
            if write.begun.acquire(blocking=False):
                raise Unavailable("The server is too busy just now. Please try again in a moment.")
            write.done.acquire()
        if write.error:
            raise write.error
        return write.result

    def _write_until_closed(self, lane: _Lane) -> None:
        while True:
            batch = self._next_batch(lane)
            writes = [write for write in batch if write is not None and write.begun.acquire(blocking=False)]
            if writes:
                with lane.transaction:
                    self._commit_batch(lane, writes)
            if None in batch:
                self._drop_connection(lane)
                return

    def _next_batch(self, lane: _Lane) -> list[_Write | None]:
        """Wait for a write, and return it with all that follow at once.

        Threads that are about to submit one may be waiting for the interpreter. To let them run first costs
        microseconds, and a commit milliseconds.
        """
        batch = [lane.writes.get()]
        before = 0
        while len(batch) < MAX_BATCH and len(batch) > before:
            before = len(batch)
            time.sleep(0)
            while len(batch) < MAX_BATCH and not lane.writes.empty():
                batch.append(lane.writes.get())
        return batch

    def _commit_batch(self, lane: _Lane, writes: list[_Write], tries: int = 1) -> None:
        lane.busy_since = time.monotonic()
        began = False
        try:
            self.check_file()
            if self.failure is not None:
                raise self.failure
            if lane.connection is None:
                lane.connection = self.engine.open_writer()
            db = lane.connection
            self.engine.begin(db, lane.number)
            began = True
            if not self._run_and_commit(db, writes):
                self._roll_back(lane)
                if len(writes) > 1:
                    for write in writes:
                        self._commit_batch(lane, [write])
                    return
            elif db.invalidated:
                self._drop_connection(lane)
        except Exception as error:  # noqa: BLE001
            # The callers get the error, whatever it is.
            self.engine.detect_failure(error)
            self._drop_connection(lane)
            if self._try_again(lane, writes, tries, error, began=began):
                return
            for write in writes:
                write.error = Unavailable(UNREACHABLE) if self.engine.is_transient(error) else error
        finally:
            lane.busy_since = None
        self._answer(writes)

    def _run_and_commit(self, db: Connection, writes: list[_Write]) -> bool:
        """Store what writes change. Returns False if one of them failed, so that nothing can be stored."""
        if not all(self._run(db, write) for write in writes):
            return False
        if any(not write.is_internal for write in writes) and not self.guard.may_write():
            raise WritesPaused(MOVING_SENTENCE)  # the process was frozen just now
        self.engine.commit(db)
        self._count_changes(writes)
        return True

    def _run(self, db: Connection, write: _Write) -> bool:
        """Run a write in the current transaction. Returns False if that must be rolled back, since it failed.

        After most failures the transaction goes on: the write was refused before it changed anything.
        """
        changed_before = self.engine.rows_changed(db)
        try:
            # Checked here and not in write(): writes may have been paused while the write was waiting.
            if not write.is_internal and (paused := self.paused):
                raise WritesPaused(str(paused), paused.for_good)
            write.result = write.function(db)
        except Exception as error:
            self.engine.detect_failure(error)
            if self.engine.is_transient(error):
                raise
            write.error = self.engine.translate(error)
            write.changed = False
            has_changed = self.engine.rows_changed(db) > changed_before
            return not has_changed and not isinstance(error, self.engine.errors)
        write.error = None
        write.changed = self.engine.rows_changed(db) > changed_before and not write.is_internal
        return True

    def _roll_back(self, lane: _Lane) -> None:
        if lane.connection is not None and self.engine.in_transaction(lane.connection):
            self.engine.roll_back(lane.connection)
        else:
            self._drop_connection(lane)

    def _try_again(
        self, lane: _Lane, writes: list[_Write], tries: int, error: Exception, *, began: bool
    ) -> bool:
        """Run writes again whose transaction failed, and answer them, if that makes sense."""
        if isinstance(error, OutcomeUnknown):
            return False  # they may be stored
        if self.engine.is_transient(error):
            if tries == MAX_TRIES:
                log.warning("The database can't be written to: %s", reason_of(error))
                return False
            time.sleep(RETRY_S * 2 ** (tries - 1))
            self._commit_batch(lane, writes, tries + 1)
            return True
        if not began or len(writes) == 1:
            return False
        # The transaction is lost, and any write may be the cause: run each again in its own.
        for write in writes:
            self._commit_batch(lane, [write])
        return True

    def _count_changes(self, writes: list[_Write]) -> None:
        changed = [write for write in writes if write.changed]
        if not changed:
            return
        with self._count_lock:
            # Increment before setting changed_since: the backup thread reads them in the opposite order.
            self.changes += len(changed)
            self.changed_since = self.changed_since or time.monotonic()
        self.engine.tell_others({write.slug or "" for write in changed})

    def _answer(self, writes: list[_Write]) -> None:
        """Let the callers of these writes go on."""
        if not self.guard.may_answer():
            # Stored, but another server may not know of it. The client sends it again, to that one.
            for write in writes:
                if not write.is_internal:
                    write.error = write.error or WritesPaused(MOVING_SENTENCE)
        self.on_commit()
        self.on_own_commit()
        for write in writes:
            write.done.release()

    def _drop_connection(self, lane: _Lane) -> None:
        """Close a writer's connection: after an error, its state is unknown."""
        if lane.connection is not None:
            lane.connection.invalidate()
            lane.connection.close()
            lane.connection = None


def _slug_among(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return the argument for the parameter `slug` of a function that is called with a connection first."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    if "slug" in kwargs:
        return str(kwargs["slug"])
    names = code.co_varnames[1 : code.co_argcount]
    if "slug" not in names[: len(args)]:
        return None
    return str(args[names.index("slug")])
