"""The backups of a running server.

The Keeper works in three threads, so that trouble with the store never delays a request:

- "look" checks whether this server is still the master (handover.py),
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

from app.backup.copies import DAILY, HOURLY, RECENT, Copy, list_copies, remove_old_copies, store_copy
from app.backup.errors import StorageFailed
from app.backup.files import remove_leftovers
from app.backup.handover import HANDING_OVER, MASTER, READ_ONLY, Mastership, NotMaster
from app.backup.identity import next_sequence
from app.backup.restore import verify
from app.backup.snapshot import take_snapshot
from app.backup.stores import open_store
from app.clock import now
from app.core.models import BackupStatus
from app.errors import CannotStart, ServiceError
from app.settings import Settings
from app.storage.database import Database
from app.storage.facts import find_fact, set_fact

log = logging.getLogger("takeanumber")

CHECK_CHANGES_S = 0.5  # how often the keeper looks for changes of the database
CHECK_MASTER_S = 2.0  # how often it looks for a new server, and whether a verification is due
HOUR_S = 3600.0
DAY_S = 86400.0

# A change is in a copy within this time, for each megabyte of a copy, and at most.
INTERVAL_PER_MEGABYTE_S = 10.0
MAX_INTERVAL_S = 300.0

# After a failure, the time until the next attempt doubles from the first value to the second.
FIRST_RETRY_S = 5.0
VERIFY_RETRY_FACTOR = 12  # a verification reads a whole copy, so it is repeated less often
LOOK_MAX_RETRY_S = 5.0
KEEP_MAX_RETRY_S = 300.0
VERIFY_MAX_RETRY_S = 3600.0
MAX_DOUBLINGS = 20

START_TIMEOUT_S = 8.0  # how long the start waits for the store
START_RETRIES_S = (0.5, 1.0)  # the pauses before its second and third attempt
STOP_TIMEOUT_S = 20.0  # how long the end waits for the last copy

# When the status is red: no copy since the start, or changes that aren't backed up for so long.
RED_WITHOUT_COPY_S = 600.0
RED_BEHIND_S = 1800.0
# When it is amber: so many intervals behind, or no verification for so long.
AMBER_BEHIND_INTERVALS = 3
AMBER_UNVERIFIED_S = 172800.0

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
class _Job:
    """What one of the keeper's threads does."""

    name: str  # appears in the log
    run: Callable[[], None]
    interval_s: float
    first_retry_s: float
    max_retry_s: float

    def delay(self, failures: int) -> float:
        """Return the seconds until the next run, after so many failures in a row."""
        if failures == 0:
            return self.interval_s
        doublings = min(failures - 1, MAX_DOUBLINGS)
        return min(self.max_retry_s, self.first_retry_s * 2.0**doublings)


class Keeper:
    """Copies the database of a running server to its store, and verifies the copies."""

    def __init__(self, database: Database, settings: Settings):
        self._database = database
        self._path = settings.database_path
        self._store = open_store(settings.backup_url)
        self._mastership = Mastership(
            database, self._store, settings.rollback_s, lambda: self._store_copies([RECENT])
        )
        self._stopped = threading.Event()
        self._problems: dict[str, str] = {}  # sentences, by the name of the job that fails at the moment
        self._lock = threading.Lock()  # guards the following, which describe what is stored
        self._last_copy: Copy | None = None
        self._copied_changes = -1  # the value of database.changes that the last copy contains
        self._interval_s = INTERVAL_PER_MEGABYTE_S
        # These are by time.monotonic():
        self._started_at = time.monotonic()
        self._copy_began_at = -math.inf  # when the latest attempt to store a copy began
        # Time of the oldest change that the last copy missed; None if it contains them all. At the start
        # nobody knows whether the server stored a last copy when it was stopped.
        self._behind_since: float | None = self._started_at
        self._kept_at: dict[str, float] = {}  # when the newest hourly and daily copies were made
        with database.read() as db:
            verification = json.loads(find_fact(db, "backup_verified") or "null")
        self._verification = (
            _Verification(verification["at"], verification["tickets"]) if verification else None
        )

    def start(self) -> None:
        """Make sure that this server is the master, and start the threads.

        When the store doesn't answer in time, the server starts all the same. It pauses writes if another
        server may be the master. Raises NotMaster.
        """
        remove_leftovers(self._path.parent)
        errors: list[Exception] = []
        first_check = threading.Thread(
            target=self._check_at_start, args=(errors,), name="keeper", daemon=True
        )
        first_check.start()
        first_check.join(START_TIMEOUT_S)
        if first_check.is_alive():
            errors.append(StorageFailed(f"The place for backups {self._store.url} does not answer."))
        if errors:
            if isinstance(errors[0], NotMaster):
                raise errors[0]
            self._mastership.pause_if_in_doubt()
            self._record_outcome("look", str(errors[0]))
        jobs = (
            _Job("look", self._check_master, CHECK_MASTER_S, CHECK_MASTER_S, LOOK_MAX_RETRY_S),
            _Job("keep", self._store_due_copies, CHECK_CHANGES_S, FIRST_RETRY_S, KEEP_MAX_RETRY_S),
            _Job(
                "verify",
                self._verify_if_due,
                CHECK_MASTER_S,
                VERIFY_RETRY_FACTOR * FIRST_RETRY_S,
                VERIFY_MAX_RETRY_S,
            ),
        )
        for job in jobs:
            threading.Thread(target=self._repeat, args=(job,), name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Refuse writes, and store a last copy. Gives up after STOP_TIMEOUT_S."""
        self._stopped.set()
        last = threading.Thread(target=self._finish, name="keeper", daemon=True)
        last.start()
        last.join(STOP_TIMEOUT_S)
        if last.is_alive():
            log.error("The last backup could not be stored in %s seconds.", STOP_TIMEOUT_S)

    def status(self) -> BackupStatus:
        """Return how the backups are."""
        role = self._mastership.role
        behind_s = self._behind_s()
        problem = self._mastership.problem or next(iter(list(self._problems.values())), None)
        verification = self._verification
        if role == READ_ONLY or behind_s > RED_BEHIND_S or self._lacks_first_copy():
            state = "red"
        elif (
            problem
            or role == HANDING_OVER
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
        )

    # ----- how the backups are

    def _behind_s(self) -> float:
        """Return the age of the oldest change that isn't backed up yet."""
        since = self._changed_since()
        if since is None or self._mastership.role == READ_ONLY:
            return 0.0
        return time.monotonic() - since

    def _changed_since(self) -> float | None:
        """Return the time of the oldest change that isn't backed up yet, or None."""
        # Both are needed: while a copy hangs, changes go on.
        return self._behind_since or self._database.changed_since

    def _lacks_first_copy(self) -> bool:
        return self._last_copy is None and time.monotonic() - self._started_at >= RED_WITHOUT_COPY_S

    def _unverified_s(self) -> float:
        """Return the time since the latest verification, or else since the start."""
        if self._verification is None:
            return time.monotonic() - self._started_at
        return now() - self._verification.at

    # ----- threads

    def _repeat(self, job: _Job) -> None:
        if job.name != "look" and sys.platform == "linux":
            # On Linux each thread has a priority of its own: compressing comes after the requests.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        failures = 0
        while not self._stopped.wait(job.delay(failures)):
            problem = None
            try:
                job.run()
            except (CannotStart, ServiceError) as error:
                problem = str(error)
            except Exception:
                log.exception("The backup failed unexpectedly (%s)", job.name)
                problem = SEE_LOG_SENTENCE
            failures = failures + 1 if problem else 0
            self._record_outcome(job.name, problem)

    def _record_outcome(self, name: str, problem: str | None) -> None:
        """Keep a job's problem for the status, and log when it begins to fail and when it works again."""
        if problem is None:
            if name in self._problems:
                log.warning("The backup works again (%s).", name)
            self._problems.pop(name, None)
            return
        if name not in self._problems:
            log.error("The backup fails (%s): %s", name, problem)
        self._problems[name] = problem if name == "verify" else f"{problem} {RISK_SENTENCE}"

    # ----- whether this server is the master

    def _check_at_start(self, errors: list[Exception]) -> None:
        """Check the store, three times if it fails: a single request may get lost. Appends the last error."""
        for pause_s in (*START_RETRIES_S, None):
            try:
                self._mastership.check()
                return
            except StorageFailed as error:
                if pause_s is None:
                    errors.append(error)
                    return
                time.sleep(pause_s)
            except (CannotStart, ServiceError) as error:
                errors.append(error)
                return
            except Exception:
                log.exception("The backup failed unexpectedly (look)")
                errors.append(StorageFailed(SEE_LOG_SENTENCE))
                return

    def _check_master(self) -> None:
        try:
            self._mastership.check()
        except NotMaster as error:
            # The server started while the store didn't answer. Now it does.
            self._mastership.become_read_only(str(error))

    # ----- storing copies

    def _store_due_copies(self) -> None:
        if self._mastership.generation is None or self._mastership.role != MASTER:
            return
        at = time.monotonic()
        changed = self._database.changes != self._copied_changes
        if not self._kept_at:
            self._kept_at = {kind: self._time_of_newest(kind) for kind in (HOURLY, DAILY)}
        kinds = []
        if changed:
            kinds.append(RECENT)
            if at - self._kept_at[HOURLY] >= HOUR_S:
                kinds.append(HOURLY)
        if at - self._kept_at[DAILY] >= DAY_S:
            kinds.append(DAILY)  # even without changes: the last daily copy must not become too old
        if not kinds or at < self._due_at(at, changed):
            return
        try:
            self._store_copies(kinds)
        except BaseException:
            # The next attempt must not wait for its time: doing nothing would look like a success.
            self._copy_began_at = -math.inf
            raise

    def _due_at(self, at: float, changed: bool) -> float:
        """Return when the next copy is to be made."""
        if not changed or self._last_copy is None:
            return at  # the first copy comes at once: a new master has none in its generation
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
        generation = self._mastership.generation
        assert generation is not None, "copies are only stored once the generation is ours"
        began = time.monotonic()
        changes = self._database.changes
        self._copy_began_at = began
        sequence = self._database.note(next_sequence)
        with take_snapshot(self._path, generation, sequence) as (copy, file):
            for kind in kinds:
                copy = store_copy(self._store, copy, file, kind)
                self._record_stored(copy, began, changes)
        if kinds != [RECENT]:
            remove_old_copies(self._store)
        return copy

    def _record_stored(self, copy: Copy, began: float, changes: int) -> None:
        with self._lock:
            if copy.kind != RECENT:
                self._kept_at[copy.kind] = began
            if changes < self._copied_changes:
                return  # another thread has stored a newer copy meanwhile
            self._copied_changes = changes
            self._last_copy = copy
            self._interval_s = min(MAX_INTERVAL_S, INTERVAL_PER_MEGABYTE_S * math.ceil(copy.size / 10**6))
            # Reset changed_since before reading changes: the writer sets them in the opposite order.
            self._database.changed_since = None
            self._behind_since = None if changes == self._database.changes else began

    def _verify_if_due(self) -> None:
        if self._last_copy is None or self._mastership.role != MASTER:
            return
        # A verification in the future was made with a wrong clock, and doesn't count.
        if self._verification is not None and 0 <= now() - self._verification.at < DAY_S:
            return
        copy = verify(self._path, self._store)
        self._verification = _Verification(at=now(), tickets=copy.tickets)
        self._database.note(set_fact, "backup_verified", json.dumps(asdict(self._verification)))

    def _finish(self) -> None:
        """Store a last copy before the server ends."""
        try:
            self._database.pause(ENDING_SENTENCE, for_good=True)
            if self._mastership.generation is None:
                self._mastership.take_generation()
            if self._mastership.role != READ_ONLY and self._database.changes != self._copied_changes:
                self._store_copies([RECENT])
            if self._mastership.role == HANDING_OVER:
                self._mastership.check()  # a new server may be waiting for an answer
        except (CannotStart, ServiceError) as error:
            log.error("The last backup was not stored: %s", error)
        except Exception:
            log.exception("The last backup failed unexpectedly")
