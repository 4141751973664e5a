"""Keeper: keeps the backup of a running server up to date, and sees to it that no two servers are masters.

Who serves a generation has claimed it, and decided that it is taken. A new server claims the next; the old
one sees that, pauses its writes, stores a last copy, and says that it has handed over. Then one of the two
decides, and only one can: the new one "taken", before its first write, or the old one "withdrawn", if
nobody came. All follows from what the storage says, so a server may be started again at any moment of it.
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
from typing import Any

from rooms.backup import (
    NOBODY,
    Copy,
    Directory,
    StorageFailed,
    Store,
    claimed,
    copies,
    decide,
    decided,
    go_on_after,
    hand,
    handed,
    hear,
    identity,
    last_sequence,
    next_sequence,
    own,
    put_copy,
    remove_leftovers,
    snapshot,
    store_of,
    taken_after,
    verify,
)
from rooms.settings import CannotStart, Refused, Settings, now
from rooms.storage import Database, fact, keep_fact

log = logging.getLogger("takeanumber")

TICK_S, LOOK_S = 0.5, 2.0  # how often the keeper looks for changes; and for a new server
HOUR_S, DAY_S = 3600.0, 86400.0
INTERVAL_S, MOST_S = 10.0, 300.0  # how far behind a copy may be for each megabyte of it, and at most
AGAIN_S = 5.0  # how soon it is tried again when the storage failed for the first time
FIRST_S, LAST_S = 8.0, 20.0  # how long the start waits for the storage, and the end for the last copy
NEVER_S, LATE_S, UNVERIFIED_S = 600.0, 1800.0, 172800.0  # with no copy; behind; with no verified restore

MASTER, MOVING, READ_ONLY = "master", "handing over", "read-only"
WAIT = "Moving to a new server, a moment please."
ENDED = "Another server has taken over from this one, which only shows what was. Open the page again."
HANDED_OVER = (
    "A new server has taken over. To go on with this one instead: stop both, restore --replace here."
)
ENDING = "The server is being restarted, a moment please."
RISK = "Until that is mended, what happens here is lost with this machine, or when a new server takes over."


class NotMaster(CannotStart):
    """The storage says that this server must not write."""


class HandOver:
    """Whose turn it is: what the storage says of our generation and of the next, and what follows from it."""

    def __init__(self, database: Database, store: Store, rollback_s: int, last_copy: Callable[[], Copy]):
        self._database, self._store = database, store
        self._rollback_s, self._last_copy = rollback_s, last_copy
        self.role, self.why = MASTER, None
        self.generation: int | None = None  # None until it is known to be ours
        self._next = 0  # the generation that a new server would claim
        self._since: float | None = None  # when all was stored and writes were paused, by time.monotonic()
        self._answered = False  # whether we have said so
        self._last: str | None = None  # the last copy, with nothing written since
        self._looking = threading.Lock()

    def doubt(self) -> None:
        """Pauses writes where another server may be the master by now, until we can ask."""
        with self._database.read() as db:
            if fact(db, "backup_handed", "") or fact(db, "backup_asked", ""):
                self._pause()

    def own(self) -> None:
        """Makes our generation ours, or sees that a later one is taken; NotMaster if it is another's."""
        generation, mine, shop = self._database.note(identity)
        try:
            own(self._store, generation, mine, shop)
        except StorageFailed:
            raise
        except CannotStart as problem:
            raise NotMaster(str(problem)) from None
        self._database.note(go_on_after, last_sequence(self._store, generation))
        if taken_after(self._store, generation):
            self.end(HANDED_OVER)
        self._database.note(keep_fact, "backup_asked", "")
        self.generation, self._next = generation, generation + 1

    def look(self) -> None:
        """Looks whether a new server asks, and does what is next then; raises CannotStart."""
        with self._looking:
            if self.role == READ_ONLY:
                return
            if first := self.generation is None:
                self.own()
            while self.role != READ_ONLY and claimed(self._store, self._next):
                outcome = decided(self._store, self._next)
                if outcome == "taken":
                    self.end(HANDED_OVER)
                elif outcome == "withdrawn":
                    self._next, self._answered = self._next + 1, False
                elif not self._answered:
                    self._answer()
                elif time.monotonic() - self._since < self._rollback_s:
                    return
                else:  # the deploy was rolled back; or just now not, which the next round sees
                    decide(self._store, self._next, "withdrawn")
            if self.role == MOVING:
                self._go_on()
            elif first and self.role == MASTER:  # what was open when this server ended isn't any more
                self._database.note(keep_fact, "backup_handed", "")

    def _answer(self) -> None:
        before = handed(self._store, self._next)  # by us, before we were started again
        self._pause()
        if before and before != NOBODY:
            self._last = before
        if not self._last and not before:
            try:
                hear(self._store, self._next)  # so that it waits for what may take a while
                self._last = self._last_copy().name
                self._database.note(keep_fact, "backup_handed", str(self._next))
            except BaseException:  # what isn't stored can't be handed over
                self._go_on()
                raise
        # From here on, who asked may have heard of it: only `decided` lets us write again.
        self._since = time.monotonic()
        if (before or hand(self._store, self._next, self._last)) == NOBODY:
            # It waited no longer, and restored what was there then: it must not serve without the rest.
            decide(self._store, self._next, "withdrawn")
        self._answered = True

    def _pause(self) -> None:
        if self.role == MASTER:
            log.warning("Writes are paused until it is clear whether a new server takes over.")
        self._database.pause(WAIT)
        self.role = MOVING

    def _go_on(self) -> None:
        self._database.note(keep_fact, "backup_handed", "")
        self._database.resume()
        self.role, self._since, self._answered, self._last = MASTER, None, False, None
        log.warning("This server goes on: writes are let in again.")

    def end(self, why: str) -> None:
        """Lets nothing be written any more: another is the master."""
        self.why = why  # which is for the owner: it says where the backups are
        self._database.pause(ENDED, for_good=True)
        self._database.note(keep_fact, "backup_handed", READ_ONLY)  # for doubt(), when it is started again
        self.role = READ_ONLY
        log.error("Nothing is written any more: %s", why)


class Keeper:
    """Copies the database of a running server after changes, each hour and each day, and verifies that."""

    def __init__(self, database: Database, settings: Settings):
        self._database, self._path = database, settings.path
        self._store = store_of(settings.backup_url)
        self._turn = HandOver(database, self._store, settings.rollback_s, self._copy)
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._problems: dict[str, str] = {}  # what fails just now, and why
        self._last: Copy | None = None
        self._copied = -1  # which of the database's changes are in a copy
        self._interval = INTERVAL_S
        # All these by time.monotonic(), since a clock may jump:
        self._started, self._began = time.monotonic(), -math.inf  # began: the last copy
        self._behind_since: float | None = self._started  # it may have ended without a last copy
        self._kept: dict[str, float] = {}  # when the last hourly and daily copies were made
        with database.read() as db:
            self._verified: dict[str, float] = json.loads(fact(db, "backup_verified", "{}"))

    def start(self) -> None:
        """Makes sure that this server is the master, and goes on in threads; CannotStart when it isn't."""
        remove_leftovers(self._path.parent)
        said: list[Exception] = []
        first = threading.Thread(target=self._look_first, args=(said,), name="keeper", daemon=True)
        first.start()
        first.join(FIRST_S)
        if first.is_alive():
            said.append(StorageFailed(f"The place for backups {self._store.url} does not answer."))
        if said and isinstance(said[0], NotMaster):
            raise said[0]
        if said:
            self._turn.doubt()
            self._tell("look", str(said[0]))
        # What is done, how often, and how soon again when the storage failed: at first, and at most.
        works = (
            (self._look, LOOK_S, LOOK_S, 5),
            (self._keep, TICK_S, AGAIN_S, 300),
            (self._verify, LOOK_S, 12 * AGAIN_S, 3600),
        )
        for work in works:
            threading.Thread(target=self._repeat, args=work, name="keeper", daemon=True).start()

    def stop(self) -> None:
        """Lets nothing more be written, and stores a last copy; gives up after LAST_S."""
        self._stopped.set()
        last = threading.Thread(target=self._finish, name="keeper", daemon=True)
        last.start()
        last.join(LAST_S)
        if last.is_alive():
            log.error("The last backup could not be stored in %s seconds.", LAST_S)

    def status(self) -> dict[str, Any]:
        """How the backup is, and since when; `*_at` are seconds since the epoch."""
        at, turn, since = time.monotonic(), self._turn, self._since()
        behind = at - since if since and turn.role != READ_ONLY else 0.0
        problem = ([turn.why] if turn.why else [*list(self._problems.values()), None])[0]
        verified_at = self._verified.get("at")
        unverified = now() - verified_at if verified_at else at - self._started
        red = turn.role == READ_ONLY or behind > LATE_S or not (self._last or at - self._started < NEVER_S)
        amber = problem or turn.role == MOVING or behind > 3 * self._interval or unverified > UNVERIFIED_S
        return {
            "state": "red" if red else "amber" if amber else "green",
            "last_at": self._last and self._last.at,
            "behind_s": round(behind),
            "verified_at": verified_at,
            "verified_tickets": self._verified.get("tickets"),
            "problem": problem,
            "role": turn.role,
        }

    def _look_first(self, said: list[Exception]) -> None:
        for again_s in (0.5, 1.0, None):  # one request may be lost
            try:
                return self._turn.look()
            except Exception as problem:  # for start() to judge
                if again_s is None or not isinstance(problem, StorageFailed):
                    return said.append(problem)
                time.sleep(again_s)

    def _look(self) -> None:
        try:
            self._turn.look()
        except NotMaster as problem:  # the storage is there again, and this server has begun without it
            self._turn.end(str(problem))

    def _repeat(self, work: Callable[[], None], every: float, first: float, longest: float) -> None:
        name, failures = work.__name__.strip("_"), 0
        if name != "look" and sys.platform == "linux":  # where each thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while not self._stopped.wait(min(longest, first * 2 ** (failures - 1)) if failures else every):
            problem = None
            try:
                work()
            except (CannotStart, Refused) as said:
                problem = str(said)
            except Exception:  # told in the log, and tried again
                log.exception("Keeping the backup failed")
                problem = "The backup failed: the log says why."
            failures = min(failures + 1, 20) if problem else 0
            self._tell(name, problem)

    def _tell(self, name: str, problem: str | None) -> None:
        # In the log: once when it begins to fail, once when it works again.
        if problem and name not in self._problems:
            log.error("The backup fails (%s): %s", name, problem)
        if not problem and name in self._problems:
            log.warning("The backup works again (%s).", name)
        if problem:
            self._problems[name] = problem if name == "verify" else f"{problem} {RISK}"
        else:
            self._problems.pop(name, None)

    def _keep(self) -> None:
        # Makes the copies that are due.
        if self._turn.generation is None or self._turn.role != MASTER:
            return
        at, changed = time.monotonic(), self._database.changes != self._copied
        if not self._kept:
            self._kept = {kind: self._made_last(kind) for kind in ("hourly", "daily")}
        half = self._interval / 2  # of it to collect changes, and the other to store them
        daily = at - self._kept["daily"] >= DAY_S  # though nothing changed, or the last would be thrown away
        hourly = at - self._kept["hourly"] >= HOUR_S and changed
        due = at
        if changed and self._last:  # the first one at once: a new master has none of its own
            due = max((self._since() or at) + half - 2 * TICK_S, self._began + half)
        if at >= due and (changed or daily):
            try:
                self._copy(*[""] * changed, *["hourly"] * hourly, *["daily"] * daily)
            except BaseException:
                self._began = -math.inf  # it is due as soon as it is tried again, or it would seem to work
                raise

    def _made_last(self, kind: str) -> float:
        # When the newest of these copies was made. One that a clock put into the future counts as none.
        made = [now() - copy.at for copy in copies(self._store, f"{kind}/")[:1]]
        return time.monotonic() - made[0] if made and made[0] >= 0 else -math.inf

    def _copy(self, *kinds: str) -> Copy:
        # Stores a copy of now, as each of these kinds.
        began, changes = time.monotonic(), self._database.changes
        self._began = began
        sequence = self._database.note(next_sequence)
        with snapshot(self._path, self._turn.generation, sequence) as (copy, file):
            for kind in kinds or ("",):
                copy = put_copy(self._store, copy, file, kind)
                self._stored(copy, began, changes)
        if isinstance(self._store, Directory) and any(kinds):
            self._store.thin()
        return copy

    def _stored(self, copy: Copy, began: float, changes: int) -> None:
        with self._lock:
            if copy.kind:
                self._kept[copy.kind] = began
            if changes >= self._copied:
                self._copied, self._last = changes, copy
                self._interval = min(MOST_S, INTERVAL_S * math.ceil(copy.size / 10**6))
                self._database.changed_since = None
                self._behind_since = None if changes == self._database.changes else began

    def _since(self) -> float | None:
        # Since when there is something that no copy has, though the storing of one may hang just now.
        return self._behind_since or self._database.changed_since

    def _verify(self) -> None:
        age = now() - self._verified.get("at", -math.inf)
        if self._last and self._turn.role == MASTER and not 0 <= age < DAY_S:
            _, inside = verify(self._path, self._store)
            self._verified = {"at": now(), "tickets": inside.tickets}
            self._database.note(keep_fact, "backup_verified", json.dumps(self._verified))

    def _finish(self) -> None:
        try:
            self._database.pause(ENDING, for_good=True)
            if self._turn.generation is None:
                self._turn.own()
            if self._turn.role != READ_ONLY and self._database.changes != self._copied:
                self._copy()
            if self._turn.role == MOVING:
                self._turn.look()  # who was heard waits for an answer
        except (CannotStart, Refused) as problem:
            log.error("The last backup was not stored: %s", problem)
        except Exception:  # it ends all the same
            log.exception("The last backup failed")
