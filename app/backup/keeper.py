"""The backups of a running server.

The Keeper works in threads, so that trouble with the store never delays a request:

- "lease" looks whether this server is still the one that may write (lease_server.py),
- "keep" stores a copy soon after each change, and hourly and daily copies,
- "verify" restores the newest copy once a day.

Durations are measured with time.monotonic(), since a clock may jump.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from app.backup import lease as lease_module
from app.backup.copies import DAILY, HOURLY, ORPHAN, RECENT, Copy, list_copies, remove_old_copies, store_copy
from app.backup.errors import StorageFailed
from app.backup.files import remove_leftovers
from app.backup.identity import next_sequence
from app.backup.last import store_last
from app.backup.lease import HOLDER, STANDBY
from app.backup.lease_server import LeaseServer
from app.backup.restore import verify
from app.backup.snapshot import take_snapshot
from app.backup.stores import open_store
from app.clock import DAY_S, HOUR_S, now
from app.core.models import BackupStatus, OrphanCopy, TakeOver
from app.errors import CannotStart, ServiceError
from app.settings import Settings
from app.storage.database import Database
from app.storage.facts import find_fact, set_fact

log = logging.getLogger("takeanumber")

CHECK_CHANGES_S = 0.5  # how often the keeper looks for changes of the database
CHECK_VERIFICATION_S = 2.0  # how often it looks whether a verification is due
LIST_ORPHANS_S = 300.0  # how often the holder looks for orphans of other servers
HOURLY_COPY_S = HOUR_S  # between two copies of the kind HOURLY
DAILY_COPY_S = DAY_S  # between two copies of the kind DAILY
VERIFIED_S = DAY_S  # for how long the latest verification counts

# A change is in a copy within this time, for each megabyte of a copy, and at most.
INTERVAL_PER_MEGABYTE_S = 10.0
MAX_INTERVAL_S = 300.0

# After a failure, the time until the next attempt doubles from the first value to the second.
FIRST_RETRY_S = 5.0
VERIFY_RETRY_FACTOR = 12  # a verification reads a whole copy, so it is repeated less often
KEEP_MAX_RETRY_S = 300.0
LAST_COPY_RETRY_S = 2.0  # while a new server waits for the last copy
VERIFY_MAX_RETRY_S = HOUR_S
MAX_DOUBLINGS = 20

NICENESS = 10  # of the keeper's threads; 0 is usual
STOP_TIMEOUT_S = 20.0  # how long the end waits for the last copy and the release of the lease
LAST_COPY_FACTOR = 3  # how many times longer than the copy before the last copy may take

# When the status is red: no copy since the start, or changes that aren't backed up for this long.
RED_WITHOUT_COPY_S = 600.0
RED_BEHIND_S = 1800.0
# When it is amber: this many intervals behind, or no verification for this long.
AMBER_BEHIND_INTERVALS = 3
AMBER_UNVERIFIED_S = 2 * DAY_S
SHOW_TAKE_OVER_S = 3 * DAY_S  # for how long the owner's page mentions a take-over

# Roles of a holder that doesn't serve.
HANDING_OVER = "handing over"  # it is releasing the lease
RESTORING = "restoring"  # it has acquired the lease, and restores the newest copy
ENDING_SENTENCE = "The server is being restarted, a moment please."
RISK_SENTENCE = (
    "Until that is mended, what happens here is lost with this machine, or when a new server takes over."
)
SEE_LOG_SENTENCE = "The backup failed: the log says why."


@dataclass(frozen=True)
class _Verification:
    """The latest successful verification."""

    at: float
    tickets: int


@dataclass(frozen=True)
class _Task:
    """What one of the keeper's threads does."""

    name: str  # appears in the log
    run: Callable[[], None]
    interval_s: float
    first_retry_s: float
    max_retry_s: float

    def delay(self, failures: int) -> float:
        """Return the seconds until the next run, after a number of failures in a row."""
        if failures == 0:
            return self.interval_s
        doublings = min(failures - 1, MAX_DOUBLINGS)
        return min(self.max_retry_s, self.first_retry_s * 2.0**doublings)


class Keeper:
    """Copies the database of a running server to its store, and verifies the copies."""

    def __init__(self, database: Database, settings: Settings):
        self._database = database
        self._path: Path = settings.database_path
        self._store = open_store(settings.backup_url)
        self.server = LeaseServer(database, settings, self)
        self._is_started = False
        self._stopped = threading.Event()
        self._woken = threading.Event()  # wakes the thread "keep" before its time
        self._problems: dict[str, str] = {}  # sentences, by the name of the task that fails at the moment
        self._lock = threading.Lock()  # guards the following, which describe what is stored
        self._last_copy: Copy | None = None
        self._kept_without_limit: Copy | None = None  # the copy that last.py has stored
        self._copied_changes = -1  # the value of database.changes that the last copy contains
        self._interval_s = INTERVAL_PER_MEGABYTE_S
        self._copy_took_s = 0.0  # the latest successful one
        # These are by time.monotonic():
        self._started_at = time.monotonic()
        self._copy_began_at = -math.inf  # when the latest attempt to store a copy began
        # Time of the oldest change that the last copy missed; None if it contains them all. At the start
        # nobody knows whether the server stored a last copy when it was stopped.
        self._behind_since: float | None = self._started_at
        self._kept_at: dict[str, float] = {}  # when the newest hourly and daily copies were made
        self._orphans_listed_at = -math.inf
        # What the lease asks for:
        self._wants_last_copy = False
        self._final_copy: Copy | None = None  # the last copy before a release
        self._orphan_term: int | None = None  # the term that this server lost, while its rest isn't stored
        self._storing_orphan = threading.Lock()
        self._orphans: tuple[OrphanCopy, ...] = ()
        with database.read() as db:
            verification = json.loads(find_fact(db, "backup_verified") or "null")
        self._verification = (
            _Verification(verification["at"], verification["tickets"]) if verification else None
        )

    def start(self) -> None:
        """Acquire the lease, or become a standby, and start the threads.

        When the store doesn't answer in time, the server starts all the same. Raises CannotStart when this
        server must not serve.
        """
        remove_leftovers(self._path.parent)
        self._is_started = True
        self.server.start()
        tasks = (
            _Task("keep", self._store_due_copies, CHECK_CHANGES_S, FIRST_RETRY_S, KEEP_MAX_RETRY_S),
            _Task(
                "verify",
                self._verify_if_due,
                CHECK_VERIFICATION_S,
                VERIFY_RETRY_FACTOR * FIRST_RETRY_S,
                VERIFY_MAX_RETRY_S,
            ),
        )
        for task in tasks:
            threading.Thread(target=self._repeat, args=(task,), name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Refuse writes, store a last copy and release the lease. Gives up after STOP_TIMEOUT_S."""
        self._stopped.set()
        self._woken.set()
        last = threading.Thread(target=self._finish, name="keeper", daemon=True)
        last.start()
        last.join(STOP_TIMEOUT_S)
        if last.is_alive():
            log.error("The last backup could not be stored in %s seconds.", STOP_TIMEOUT_S)

    def status(self) -> BackupStatus:
        """Return how the backups are."""
        lease = self.server.lease
        role = lease.role
        if role == HOLDER and not lease.is_ready:
            role = RESTORING
        elif lease.is_releasing:
            role = HANDING_OVER
        is_confirmed = lease.role == HOLDER and lease.is_confirmed
        behind_s = self._behind_s()
        problem = self.server.problem or lease.problem or next(iter(list(self._problems.values())), None)
        if self.server.problem and self.server.may_answer():
            problem = f"{self.server.problem} {RISK_SENTENCE}"
        verification = self._verification
        if self.server.is_refused or behind_s > RED_BEHIND_S or self._lacks_first_copy():
            state = "red"
        elif (
            problem
            or role != HOLDER
            or not is_confirmed
            or behind_s > AMBER_BEHIND_INTERVALS * self._interval_s
            or self._unverified_s() > AMBER_UNVERIFIED_S
        ):
            state = "amber"
        else:
            state = "green"
        return BackupStatus(
            state=state,
            role=role,
            last_at=self._last_copy.at if self._last_copy else None,
            behind_s=round(behind_s),
            verified_at=verification.at if verification else None,
            verified_tickets=verification.tickets if verification else None,
            problem=problem,
            term=lease.term,
            confirmed=is_confirmed,
            take_over=self._latest_take_over(),
            orphans=self._orphans,
        )

    # ----- for the pages

    def serves_pages(self) -> bool:
        """Return True while this server may answer: the pages of a standby would be stale."""
        return not self._is_started or self.server.is_refused or self.server.may_answer()

    def note_request(self) -> None:
        """Note that a customer asked this server for a page of a place."""
        self.server.note_request()

    def confirms_time(self, at: float) -> bool:
        """Return True if the clock of the store shows about this time."""
        known = self._store.time()
        return known is not None and abs(at - known) <= DAY_S

    # ----- how the backups are

    def _behind_s(self) -> float:
        """Return the age of the oldest change that isn't backed up yet."""
        since = self._changed_since()
        if since is None or self.server.lease.role == STANDBY:
            return 0.0
        return time.monotonic() - since

    def _changed_since(self) -> float | None:
        """Return the time of the oldest change that isn't backed up yet, or None."""
        # Both are needed: while a copy hangs, changes go on.
        return self._behind_since or self._database.changed_since

    def _lacks_first_copy(self) -> bool:
        if self._last_copy is not None or self.server.lease.role == STANDBY:
            return False
        return time.monotonic() - self._started_at >= RED_WITHOUT_COPY_S

    def _unverified_s(self) -> float:
        """Return the time since the latest verification, or else since the start."""
        if self._verification is None:
            return time.monotonic() - self._started_at
        return now() - self._verification.at

    def _latest_take_over(self) -> TakeOver | None:
        with self._database.read() as db:
            fact = find_fact(db, "lease_take_over")
        if not fact:
            return None
        take_over = json.loads(fact)
        if not 0 <= now() - take_over["at"] < SHOW_TAKE_OVER_S:
            return None
        return TakeOver(take_over["at"], take_over["copy_at"])

    # ----- threads

    def _repeat(self, task: _Task) -> None:
        if sys.platform == "linux":
            # On Linux each thread has a priority of its own: compressing comes after the requests.
            thread = threading.get_native_id()
            # A process that was started with an even lower priority may not raise it.
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
        failures = 0
        while not self._stopped.is_set():
            self._wait_until_due(task, failures)
            if self._stopped.is_set():
                return
            problem = None
            try:
                task.run()
            except (CannotStart, ServiceError) as error:
                problem = str(error)
            except Exception:
                log.exception("The backup failed unexpectedly (%s)", task.name)
                problem = SEE_LOG_SENTENCE
            failures = failures + 1 if problem else 0
            self._record_outcome(task.name, problem)

    def _wait_until_due(self, task: _Task, failures: int) -> None:
        if task.name != "keep":
            self._stopped.wait(task.delay(failures))
            return
        delay = task.delay(failures)
        if self._wants_last_copy:
            delay = min(delay, LAST_COPY_RETRY_S) if failures else 0
        self._woken.wait(delay)
        self._woken.clear()

    def _record_outcome(self, name: str, problem: str | None) -> None:
        """Keep a task's problem for the status, and log when it begins to fail and when it works again."""
        if problem is None:
            if name in self._problems:
                log.warning("The backup works again (%s).", name)
            self._problems.pop(name, None)
            return
        if name not in self._problems:
            log.error("The backup fails (%s): %s", name, problem)
        self._problems[name] = problem if name == "verify" else f"{problem} {RISK_SENTENCE}"

    # ----- what the lease asks for

    def start_last_copy(self) -> None:
        """Begin to store a copy of everything."""
        self._final_copy = None
        self._wants_last_copy = True
        self._woken.set()

    def last_copy(self) -> str | None:
        """Return the name of the copy that start_last_copy() has stored; None until then."""
        return self._final_copy.name if self._final_copy else None

    def last_copy_limit_s(self) -> float:
        """Return how long storing the last copy may take."""
        return max(lease_module.timing.last_copy_s, LAST_COPY_FACTOR * self._copy_took_s)

    def begin_term(self) -> None:
        """Store the first copy of this term at once."""
        with self._lock:
            self._last_copy = None
            self._copied_changes = -1
            self._behind_since = self._started_at = time.monotonic()
            self._wants_last_copy = False
            self._orphan_term = None
            self._kept_at = {}
            self._orphans_listed_at = -math.inf
        self._woken.set()

    def end_term(self) -> None:
        """Remember that the database equals its last copy: the lease is released."""
        self._wants_last_copy = False
        if self._final_copy is not None:
            self._database.write_internal(set_fact, "backup_same_as", self._final_copy.base_name)

    def keep_orphan(self, term: int) -> None:
        """Store what this server answered since its last copy of a term, as soon as possible."""
        self._wants_last_copy = False
        with self._database.read() as db:
            is_copy = bool(find_fact(db, "backup_same_as"))
            term = term or int(find_fact(db, "lease_term") or "0")
        if not is_copy and self._database.changes != self._copied_changes:
            self._orphan_term = term
            self._woken.set()

    def store_orphan(self) -> None:
        """Try to store the orphan now: the database is about to be replaced. It is kept beside as well."""
        try:
            self._store_orphan_if_due()
        except (CannotStart, ServiceError) as error:
            log.error("What this server answered at last could not be stored: %s", error)
        self._orphan_term = None

    def _store_orphan_if_due(self) -> None:
        with self._storing_orphan:
            term = self._orphan_term
            if term is None:
                return
            sequence = self._database.write_internal(next_sequence)
            with take_snapshot(self._path, term, sequence) as (copy, file):
                copy = store_copy(self._store, copy, file, ORPHAN)
            self._orphan_term = None
            log.error("What this server answered after another one took over is stored as %s.", copy.name)

    # ----- storing copies

    def _store_due_copies(self) -> None:
        self._store_orphan_if_due()
        lease = self.server.lease
        if lease.role != HOLDER or not lease.is_ready or self.server.is_refused:
            return
        if self._wants_last_copy:
            copy = self._last_copy if self._is_copied() else self._store_copies([RECENT])
            if self._is_copied():
                self._final_copy = copy
            # Otherwise it took so long that the lease was kept, and writes went on; now another server may be
            # waiting for the next attempt.
            self._wants_last_copy = self._final_copy is None and lease.is_releasing
        elif self.server.may_write():
            self._list_orphans_if_due()
            self._store_usual_copies()

    def _store_usual_copies(self) -> None:
        at = time.monotonic()
        changed = self._database.changes != self._copied_changes
        if not self._kept_at:
            self._kept_at = {kind: self._time_of_newest(kind) for kind in (HOURLY, DAILY)}
        kinds = []
        if changed:
            kinds.append(RECENT)
            if at - self._kept_at[HOURLY] >= HOURLY_COPY_S:
                kinds.append(HOURLY)
        if at - self._kept_at[DAILY] >= DAILY_COPY_S:
            kinds.append(DAILY)  # even without changes: the last daily copy must not become too old
        if not kinds or at < self._due_at(at, changed):
            return
        try:
            self._store_copies(kinds)
        except BaseException:
            # The next attempt must not wait for its time: doing nothing would look like a success.
            self._copy_began_at = -math.inf
            raise

    def _is_copied(self) -> bool:
        return self._last_copy is not None and self._database.changes == self._copied_changes

    def _due_at(self, at: float, changed: bool) -> float:
        """Return when the next copy is to be made."""
        if not changed or self._last_copy is None:
            return at  # the first copy comes at once: a new holder has none in its term
        # Half of the interval is for collecting changes, the other half for storing them.
        half_s = self._interval_s / 2
        changed_since = self._changed_since() or at
        return max(changed_since + half_s - 2 * CHECK_CHANGES_S, self._copy_began_at + half_s)

    def _time_of_newest(self, kind: str) -> float:
        """Return when the newest copy of a kind was made, by time.monotonic(); -inf if there is none."""
        copies = list_copies(self._store, kind)
        age_s = now() - copies[0].at if copies else -1.0
        # A copy from the future, made with a wrong clock, doesn't count either.
        return time.monotonic() - age_s if age_s >= 0 else -math.inf

    def _store_copies(self, kinds: list[str]) -> Copy:
        """Take a snapshot, store it as these kinds of copies, and return the last of them."""
        if self._database.failure is not None:
            raise self._database.failure  # what is at the path now isn't this shop, or is damaged
        term = self.server.lease.term
        began = time.monotonic()
        changes = self._database.changes
        self._copy_began_at = began
        sequence = self._database.write_internal(next_sequence)
        with take_snapshot(self._path, term, sequence) as (copy, file):
            for kind in kinds:
                copy = store_copy(self._store, copy, file, kind)
                self._record_stored(copy, began, changes, term)
            if DAILY in kinds and self.server.may_answer():
                store_last(self._store, copy, file)
                self._kept_without_limit = self._last_copy
        self._copy_took_s = time.monotonic() - began
        if kinds != [RECENT]:
            remove_old_copies(self._store)
        return copy

    def _record_stored(self, copy: Copy, began: float, changes: int, term: int) -> None:
        with self._lock:
            if copy.kind != RECENT:
                self._kept_at[copy.kind] = began
            if changes < self._copied_changes or term != self.server.lease.term:
                return  # another thread has stored a newer copy meanwhile, or the lease was lost
            self._copied_changes = changes
            self._last_copy = copy
            self._interval_s = min(MAX_INTERVAL_S, INTERVAL_PER_MEGABYTE_S * math.ceil(copy.size / 10**6))
            # Reset changed_since before reading changes: the writer sets them in the opposite order.
            self._database.changed_since = None
            self._behind_since = None if changes == self._database.changes else began

    def _list_orphans_if_due(self) -> None:
        at = time.monotonic()
        if at - self._orphans_listed_at < LIST_ORPHANS_S:
            return
        self._orphans = tuple(
            OrphanCopy(copy.name, copy.at, copy.tickets) for copy in list_copies(self._store, ORPHAN)
        )
        self._orphans_listed_at = at

    def _verify_if_due(self) -> None:
        if self._last_copy is None or not self.server.may_write():
            return
        # A verification in the future was made with a wrong clock, and doesn't count.
        if self._verification is not None and 0 <= now() - self._verification.at < VERIFIED_S:
            return
        copy = verify(self._path, self._store)
        self._verification = _Verification(at=now(), tickets=copy.tickets)
        self._database.write_internal(set_fact, "backup_verified", json.dumps(asdict(self._verification)))

    # ----- the end

    def _finish(self) -> None:
        """Store a last copy, and release the lease, before the server ends."""
        try:
            self._database.pause(ENDING_SENTENCE, for_good=True)
            self.server.stop()
            self._store_orphan_if_due()
            until = time.monotonic() + STOP_TIMEOUT_S
            while self._has_something_to_store() and time.monotonic() < until:
                if self._release():
                    return
                time.sleep(LAST_COPY_RETRY_S)
        except (CannotStart, ServiceError) as error:
            log.error("The last backup could not be stored: %s", error)
        except Exception:
            log.exception("The last backup failed unexpectedly")

    def _has_something_to_store(self) -> bool:
        """Return True for a holder, and for a server that served without ever reaching the store."""
        lease = self.server.lease
        if lease.role == HOLDER:
            return lease.is_ready
        return lease.entry is None and self._database.changes > 0

    def _release(self) -> bool:
        """Store a last copy and release the lease. Returns False when it makes sense to try again."""
        lease = self.server.lease
        try:
            if lease.entry is None:
                self.server.look()  # the store may be back
            if lease.role != HOLDER:
                log.error("The last backup could not be stored: %s", self.server.problem)
                return False
            if self._is_copied() and self._last_copy == self._kept_without_limit:
                return self._last_copy is not None and self.server.release(self._last_copy.name)
            began = time.monotonic()
            changes = self._database.changes
            sequence = self._database.write_internal(next_sequence)
            with take_snapshot(self._path, lease.term, sequence) as (copy, file):
                if not self._is_copied():
                    copy = store_copy(self._store, copy, file)
                    self._record_stored(copy, began, changes, lease.term)
                assert self._last_copy is not None, "it was stored just now"
                is_released = self.server.release(self._last_copy.name)
                if is_released and lease.role == HOLDER:
                    store_last(self._store, self._last_copy, file)
            return is_released
        except StorageFailed as error:
            log.error("The last backup could not be stored: %s", error)
            return False
