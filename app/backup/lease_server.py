"""The lease of a running server: the requests of lease.py on a real store, and restoring after a take-over.

A thread looks at the log of the lease every two seconds. A request to the store that takes too long counts as
failed, even if it hangs: the thread goes on without its answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from app.backup import lease as lease_module
from app.backup import masters
from app.backup.copies import list_copies
from app.backup.environment import check_environment, environment_of
from app.backup.errors import AlreadyStored, NoConditionalWrites, StorageFailed
from app.backup.files import working_directory
from app.backup.identity import (
    NEW,
    facts_of_holder,
    forget_holder,
    new_nonce,
    read_memory,
    remember_holder,
    shop_of,
    write_memory,
)
from app.backup.lease import (
    CREATED,
    FAILED,
    HELD,
    HOLDER,
    TAKEN,
    CheckCopies,
    Create,
    Entry,
    FindNewest,
    Lease,
    LeaseRefused,
    Memory,
    Read,
    Request,
    Steps,
)
from app.backup.lease_log import LeaseLog
from app.backup.restore import fetch_newest_before, prepare_file, refuse_newer_copies
from app.backup.snapshot import keep_beside, other_shop
from app.backup.stores import open_store
from app.clock import now, since_boot
from app.core.queues import skip_numbers
from app.errors import CannotStart, ServiceError
from app.settings import Settings
from app.storage.database import Database
from app.storage.engine import MOVING_SENTENCE
from app.storage.facts import find_fact
from app.storage.sqlite import SqliteEngine

log = logging.getLogger("takeanumber")

EARLIER_VERSION = "earlier-version"  # for --take-over: the server of the old protocol is gone
START_TIMEOUT_S = 8.0  # how long the start waits until this server holds the lease, or knows why not
START_RETRIES = 3  # failed looks after which the start doesn't wait any longer: one request may get lost
MAX_HANGING = 5  # requests to the store that hang at the same time
REFUSED_SENTENCE = "This server can't store anything: the owner's page says why."
SILENT_SENTENCE = "The place for backups does not answer."
SEE_LOG_SENTENCE = "The backup failed: the log says why."

T = TypeVar("T")

_hanging: list[threading.Thread] = []  # requests that took too long


class Copies(Protocol):
    """What the lease needs of whoever stores copies."""

    def start_last_copy(self) -> None:
        """Begin to store a copy of everything."""

    def last_copy(self) -> str | None:
        """Return the name of the copy that start_last_copy() has stored; None until then."""

    def last_copy_limit_s(self) -> float:
        """Return how long storing the last copy may take."""

    def begin_term(self) -> None:
        """Store the first copy of this term at once."""

    def end_term(self) -> None:
        """Remember that the database equals its last copy: the lease is released."""

    def keep_orphan(self, term: int) -> None:
        """Store what this server answered since its last copy of a term."""

    def store_orphan(self) -> None:
        """Try to store the orphan now, since the database is about to be replaced."""


class LeaseServer:
    """The Server of a Lease."""

    def __init__(self, database: Database, settings: Settings, copies: Copies):
        self.on_serving: Callable[[], None] = lambda: None  # called when this server begins to serve
        self.on_standby: Callable[[], None] = lambda: None  # called when it ceases to
        self.problem: str | None = None  # why the store can't be used, or why this server is refused
        self.is_refused = False  # for good: this server must not have the lease
        self._database = database
        self._path = settings.database_path
        self._take_over = settings.take_over
        self._store = open_store(settings.backup_url)
        # With a short limit, so that a request that hangs doesn't keep the log from being read.
        self._quick_store = open_store(settings.backup_url, lease_module.timing.request_s)
        self._log = LeaseLog(self._quick_store)
        self._copies = copies
        self._environment = environment_of(self._path.parent)
        self._shop = ""
        self._lock = threading.Lock()  # held while the code of the lease runs, but not during a request
        self._looked = threading.Event()  # wakes the thread before its time
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        with database.read() as db:
            self._shop = shop_of(db)
        self.lease = Lease(self)

    # ----- for the pages and the writer

    def may_write(self) -> bool:
        """Return True while changes may be stored."""
        return not self.is_refused and self.lease.may_write()

    def may_answer(self) -> bool:
        """Return True while a client may be told that its change is stored."""
        return not self.is_refused and self.lease.may_answer()

    def note_request(self) -> None:
        """Note that a customer asked this server for a page of a place."""
        self.lease.note_request()
        if self.lease.role != HOLDER:
            self._looked.set()

    # ----- the thread

    def start(self) -> None:
        """Start to look at the lease, and wait until this server holds it or knows that it doesn't.

        When the store doesn't answer in time, the server starts all the same. Raises CannotStart when this
        server must not serve.
        """
        self._database.guard = self
        refusals: list[CannotStart] = []
        settled = threading.Event()
        self._thread = threading.Thread(
            target=self._look_until_stopped, args=(settled, refusals), name="lease", daemon=True
        )
        self._thread.start()
        settled.wait(START_TIMEOUT_S)
        settled.set()  # from now on, the thread sees to a refusal itself
        if refusals:
            raise refusals[0]

    def stop(self) -> None:
        """Stop looking at the lease."""
        self._stopped.set()
        self._looked.set()
        if self._thread is not None:
            self._thread.join(2 * lease_module.timing.request_s)

    def look(self) -> None:
        """Look at the lease once more, after stop()."""
        self._perform(self.lease.look())

    def release(self, last: str) -> bool:
        """Release the lease, after the last copy is stored. Returns True when that succeeded."""
        return bool(self._perform(self.lease.release(last)))

    def _look_until_stopped(self, settled: threading.Event, refusals: list[CannotStart]) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                if failures == 0 and self.lease.entry is None:
                    self._adopt_old_protocol()
                self._perform(self.lease.look())
            except (LeaseRefused, NoConditionalWrites) as error:
                refusals.append(error)
                if settled.is_set():
                    self._refuse(str(error))
                settled.set()
                return
            except (CannotStart, ServiceError) as error:
                self.problem = str(error)
            except Exception:
                log.exception("The lease failed unexpectedly")
                self.problem = SEE_LOG_SENTENCE
            failures = failures + 1 if self.problem else 0
            is_waiting = self.lease.role == HOLDER and not self.lease.is_ready  # for a restore
            if (self.lease.entry is not None and not is_waiting) or failures >= START_RETRIES:
                settled.set()
            self._looked.wait(self.lease.pause_s / 4 if is_waiting else self.lease.pause_s)
            self._looked.clear()

    def _refuse(self, sentence: str) -> None:
        """Refuse writes for good: the store belongs to another database."""
        self._database.pause(REFUSED_SENTENCE, for_good=True)
        self.is_refused = True
        self.problem = sentence
        log.error("This server can't write any more: %s", sentence)
        self.on_standby()

    def _perform(self, steps: Steps[T]) -> T:
        """Run code of the lease, and perform its requests."""
        answer: Any = None
        while True:
            with self._lock:
                try:
                    request = steps.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
            answer = self._ask_store(request)

    def _ask_store(self, request: Request) -> Any:
        try:
            answer = within(lease_module.timing.request_s, lambda: self._answer_to(request))
        except StorageFailed as error:
            if self.problem is None:
                log.error("The lease can't be read: %s", error)
            self.problem = str(error)
            return FAILED
        if self.problem is not None:
            log.warning("The lease can be read again.")
        self.problem = None
        return answer

    def _answer_to(self, request: Request) -> Any:
        match request:
            case Read():
                return self._log.read(request.number)
            case FindNewest():
                return self._log.newest_number()
            case CheckCopies():
                return self._why_not_restorable()
            case Create():
                try:
                    self._log.create(request.number, request.entry)
                except AlreadyStored:
                    return TAKEN
                log.info("Lease: entry %s is '%s' now.", request.number, request.entry.state)
                return CREATED

    def _why_not_restorable(self) -> str | None:
        files = self._quick_store.list_files()
        if self.lease.entry is None and self.memory().is_own and list_copies(self._quick_store):
            raise LeaseRefused(str(other_shop(self._store)))
        try:
            refuse_newer_copies(files)
        except CannotStart as error:
            return str(error)
        return None

    def _adopt_old_protocol(self) -> None:
        """Acquire the lease where a server of an earlier version has served, if that was this database's."""
        try:
            files = within(lease_module.timing.request_s, self._quick_store.list_files)
            if not masters.has_masters(files) or self._log.newest_number():
                return
            with self._database.read() as db:
                if masters.owned_generation(self._store, files, db) is not None:
                    number = masters.end_masters(self._store, files, db)
                elif self._take_over == EARLIER_VERSION:
                    number = masters.newest_generation(files) + 2
                else:
                    raise LeaseRefused(str(masters.still_in_use(self._store)))
        except StorageFailed:
            return  # the look that follows fails too
        nonce = self.new_nonce()
        self.remember_holder(nonce, number)
        entry = Entry(HELD, nonce, nonce, environment=self._environment, shop=self._shop)
        try:
            self._log.create(number, entry)
        except (AlreadyStored, StorageFailed):
            return  # the next look tells
        self.lease = Lease(self)

    # ----- what the lease asks of its server

    def clock(self) -> float:
        """Return a time in seconds that never jumps and goes on during a suspend."""
        return since_boot()

    def new_nonce(self) -> str:
        """Return a new random id."""
        return new_nonce()

    def environment(self) -> str:
        """Return the name of the environment that this server belongs to, empty without one."""
        return self._environment

    def shop(self) -> str:
        """Return the hash that all copies of this database have in common."""
        return self._shop

    def check_entry(self, entry: Entry) -> None:
        """Raise LeaseRefused when this server must not take over from the holder of this entry."""
        check_environment(self._store, entry, self._environment, self._take_over)
        with self._database.read() as db:
            is_new = find_fact(db, "backup_same_as") == NEW
        if entry.shop and entry.shop != self._shop and not is_new:
            raise LeaseRefused(str(other_shop(self._store)))

    def memory(self) -> Memory:
        """Return what the database knows."""
        with self._database.read() as db:
            return read_memory(db)

    def remember(self, **changes: Any) -> None:
        """Store fields of the Memory in the database."""
        self._database.write_internal(write_memory, changes)

    def remember_holder(self, nonce: str, term: int) -> None:
        """Store in the database that it is served under this nonce from now on."""
        self._database.write_internal(remember_holder, nonce, term)

    def forget_holder(self) -> None:
        """Store in the database that another server took over from it."""
        self._database.write_internal(forget_holder)

    def pause_writes(self) -> None:
        """Refuse writes, and return when the earlier ones are on the disk."""
        log.warning("Another server takes over: writes are paused.")
        self._database.pause(MOVING_SENTENCE)

    def resume_writes(self) -> None:
        """Accept writes again."""
        self._database.resume()

    def start_last_copy(self) -> None:
        """Begin to store a copy of everything."""
        self._copies.start_last_copy()

    def last_copy(self) -> str | None:
        """Return the name of the copy that start_last_copy() has stored; None until then."""
        return self._copies.last_copy()

    def last_copy_limit_s(self) -> float:
        """Return how long storing the last copy may take before the lease is kept."""
        return self._copies.last_copy_limit_s()

    def serves(self) -> None:
        """Begin to serve as the holder."""
        log.warning("This server holds the lease, term %s.", self.lease.term)
        self._copies.begin_term()
        # In a thread of its own: it writes to the database, and the lease must go on being read.
        threading.Thread(target=self._call, args=(self.on_serving,), name="serving", daemon=True).start()

    def stands_by(self) -> None:
        """Cease to serve, since the lease is released."""
        log.warning("This server has released the lease, and is a standby now.")
        self._copies.end_term()
        self._call(self.on_standby)

    def was_fenced(self) -> None:
        """Cease to serve, since another server took over. What was answered since the last copy is kept."""
        log.error("Another server has taken over. This one is a standby now.")
        self._copies.keep_orphan(self.lease.term)
        self._call(self.on_standby)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception:
            log.exception("A change of the lease could not be announced")

    # ----- restoring after a take-over

    def start_restore(self, term: int, nonce: str, abrupt: bool) -> None:
        """Begin to replace the database by the newest copy of an earlier term."""
        threading.Thread(
            target=self._restore_until_done, args=(term, nonce, abrupt), name="restore", daemon=True
        ).start()

    def _restore_until_done(self, term: int, nonce: str, abrupt: bool) -> None:
        while self._holds(term) and not self._stopped.is_set():
            try:
                self._restore(term, nonce, abrupt)
                with self._lock:
                    self.lease.restored(term)
                if self.lease.role != HOLDER:  # it was lost while the database was replaced
                    self.forget_holder()
                self._looked.set()
                return
            except (CannotStart, ServiceError) as error:
                self.lease.problem = str(error)
                log.error("Restoring after the take-over failed: %s", error)
            except Exception:
                log.exception("Restoring after the take-over failed unexpectedly")
                self.lease.problem = SEE_LOG_SENTENCE
            time.sleep(lease_module.timing.poll_s)

    def _holds(self, term: int) -> bool:
        """Return True until the lease of a term is lost."""
        return self.lease.role == HOLDER and self.lease.term == term

    def _restore(self, term: int, nonce: str, abrupt: bool) -> None:
        self._copies.store_orphan()
        with working_directory(self._path.parent, "Restoring after the take-over failed") as work:
            with self._database.read() as db:
                same_as = find_fact(db, "backup_same_as")
            found = fetch_newest_before(self._store, term, work, warn=log.warning)
            if not self._holds(term):
                return  # it took so long that another server took over
            if found is None:  # nobody has stored a copy yet: this database is the first
                self.remember_holder(nonce, term)
                return
            copy, file = found
            if copy.base_name == same_as and not abrupt:
                self.remember_holder(nonce, term)  # it was restored before
                return
            take_over = {"at": now(), "term": term, "copy_at": copy.at} if abrupt else None
            prepare_file(file, copy, facts_of_holder(nonce, term, take_over))
            if abrupt:
                skip = Database(SqliteEngine(file))
                try:
                    skip.write(skip_numbers, now(), copy.at)
                finally:
                    skip.close()
            if not same_as:
                keep_beside(self._path)
            self._database.replace_content(file)
        with self._database.read() as db:
            self._shop = shop_of(db)
        log.warning("Restored %s after the take-over.", copy.name)


def within(limit_s: float, function: Callable[[], T]) -> T:
    """Return the result of a function. Raises StorageFailed when it takes longer; then it goes on alone.

    A directory on a machine that was switched off may hang for days, so that only a few may go on.
    """
    _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
    if len(_hanging) >= MAX_HANGING:
        raise StorageFailed(SILENT_SENTENCE)
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=run, name="request", daemon=True)
    thread.start()
    thread.join(limit_s)
    if errors:
        raise errors[0]
    if not results:
        _hanging.append(thread)
        raise StorageFailed(SILENT_SENTENCE)
    return results[0]
