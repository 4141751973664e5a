"""Moving from one server to the next without losing anything that a customer was told.

1. A new server claims the next generation.
2. The old one sees that, pauses its writes, stores a last copy, and records that it has handed over.
3. The new one restores that copy. Before its first write it decides that its claim is taken.

If nothing is decided after a while, because the deploy was rolled back, the old server decides that the claim
is withdrawn, and accepts writes again. Only one of the two decisions is possible. Everything follows from the
records in the store (generations.py), so a server may be stopped and started again at any moment.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.backup import generations
from app.backup.copies import Copy, last_sequence
from app.backup.errors import StorageFailed
from app.backup.generations import NOBODY, TAKEN, WITHDRAWN
from app.backup.identity import continue_after_sequence, ensure_identity
from app.backup.store import Store
from app.errors import CannotStart
from app.storage.database import Database
from app.storage.facts import find_fact, set_fact

log = logging.getLogger("takeanumber")

MASTER, HANDING_OVER, READ_ONLY = "master", "handing over", "read-only"  # the roles of a server
POLL_S = 0.5  # how often a new server looks for the old one's answer

MOVING_SENTENCE = "Moving to a new server, a moment please."
ENDED_SENTENCE = (
    "Another server has taken over from this one, which only shows what was. Open the page again."
)
HANDED_OVER_SENTENCE = (
    "A new server has taken over. To go on with this one instead: stop both, restore --replace here."
)


class NotMaster(CannotStart):
    """The store says that this server must not write."""


# ----- the new server


@dataclass(frozen=True)
class HandOverTimeouts:
    """How long a new server waits, in seconds from its claim."""

    answer_s: float  # for the old server to answer
    last_copy_s: float = 0  # for the last copy, once the old server has answered


def claim_generation(store: Store, generation: int, claim_id: str) -> None:
    """Claim a generation for a new server. Raises CannotStart when another one was quicker."""
    if not generations.claim(store, generation, claim_id):
        raise CannotStart(f"Another server is taking over the backups at {store.url}. Let it finish first.")


def wait_for_last_copy(store: Store, generation: int, timeouts: HandOverTimeouts) -> None:
    """Wait until the old server has stored its last copy, or until it hasn't answered in time."""
    if generation == 1:
        return  # there is no old server
    began = time.monotonic()
    while generations.handed_over(store, generation) is None:
        waited = time.monotonic() - began
        # Once it has answered it gets more time: all that it accepted since its previous copy would be lost.
        if waited >= timeouts.answer_s and (
            waited >= timeouts.last_copy_s or not generations.is_last_copy_announced(store, generation)
        ):
            break
        time.sleep(POLL_S)
    # If the old server hasn't handed over by now, it must know that nobody waits for its last copy.
    generations.hand_over(store, generation, NOBODY)


def withdraw_claim(store: Store, generation: int, warn: Callable[[str], None]) -> None:
    """Withdraw the claim of a restore that failed, so that the old server continues at once."""
    try:
        generations.decide(store, generation, WITHDRAWN)
    except StorageFailed as error:
        warn(str(error))


# ----- the running server


class Mastership:
    """The role of a running server: whether it may write, according to the store."""

    def __init__(
        self, database: Database, store: Store, rollback_s: int, store_last_copy: Callable[[], Copy]
    ):
        self.role = MASTER
        self.problem: str | None = (
            None  # why this server is read-only; for the owner, since it names the store
        )
        self.generation: int | None = None  # None until the store has confirmed that it is ours
        self._database = database
        self._store = store
        self._rollback_s = rollback_s
        self._store_last_copy = store_last_copy
        self._next_generation = 0  # the one that a new server would claim
        self._last_copy: str | None = None  # name of the copy after which nothing was written
        self._answered = False  # True when that name is recorded for the next generation
        self._handed_over_since = 0.0  # by time.monotonic()
        self._checking = threading.Lock()

    def pause_if_in_doubt(self) -> None:
        """Pause writes if another server may be the master, while the store can't be asked."""
        with self._database.read() as db:
            in_doubt = find_fact(db, "backup_handed") or find_fact(db, "backup_asked")
        if in_doubt:
            self._pause()

    def take_generation(self) -> None:
        """Take the generation of this database, or become read-only if a later one is taken.

        Raises NotMaster when the generation isn't ours, and StorageFailed.
        """
        identity = self._database.note(ensure_identity)
        try:
            generations.become_master(self._store, identity)
        except StorageFailed:
            raise
        except CannotStart as error:
            raise NotMaster(str(error)) from None
        self._database.note(continue_after_sequence, last_sequence(self._store, identity.generation))
        if generations.has_later_master(self._store, identity.generation):
            self.become_read_only(HANDED_OVER_SENTENCE)
        self._database.note(set_fact, "backup_asked", "")
        self.generation = identity.generation
        self._next_generation = identity.generation + 1

    def check(self) -> None:
        """Look for a new server in the store, and do the next step of the hand-over. Raises CannotStart."""
        with self._checking:
            if self.role == READ_ONLY:
                return
            is_first_check = self.generation is None
            if is_first_check:
                self.take_generation()
            if self._is_waiting_for_new_server():
                return
            if self.role == HANDING_OVER:
                self._continue_as_master()
            elif is_first_check and self.role == MASTER:
                # A hand-over that was going on when this server was stopped isn't any more.
                self._database.note(set_fact, "backup_handed", "")

    def become_read_only(self, problem: str) -> None:
        """Refuse writes from now on: another server is the master."""
        self.problem = problem
        self._database.pause(ENDED_SENTENCE, for_good=True)
        # Remembered for pause_if_in_doubt(), in case this server is started again.
        self._database.note(set_fact, "backup_handed", READ_ONLY)
        self.role = READ_ONLY
        log.error("This server is read-only now: %s", problem)

    def _is_waiting_for_new_server(self) -> bool:
        """Handle the claims of later generations. Returns True while one of them is undecided."""
        while self.role != READ_ONLY and generations.is_claimed(self._store, self._next_generation):
            decision = generations.find_decision(self._store, self._next_generation)
            if decision == TAKEN:
                self.become_read_only(HANDED_OVER_SENTENCE)
            elif decision == WITHDRAWN:
                self._next_generation += 1
                self._answered = False
            elif not self._answered:
                self._answer_claim()
            elif time.monotonic() - self._handed_over_since < self._rollback_s:
                return True
            else:
                # The deploy was rolled back. If the new server decides just now, the next round sees it.
                generations.decide(self._store, self._next_generation, WITHDRAWN)
        return False

    def _answer_claim(self) -> None:
        """Pause writes, and hand over to the server that claimed the next generation."""
        # Set if this server handed over before it was started again, or if the new one waited in vain.
        handed_over = generations.handed_over(self._store, self._next_generation)
        self._pause()
        if handed_over is None:
            last_copy = self._last_copy or self._make_last_copy()
            # From the next line on, the new server may know of the copy: only a decision allows writes again.
            self._handed_over_since = time.monotonic()
            handed_over = generations.hand_over(self._store, self._next_generation, last_copy)
        else:
            self._handed_over_since = time.monotonic()
            if handed_over != NOBODY:
                self._last_copy = handed_over
        if handed_over == NOBODY:
            # The new server restored an earlier copy: it must not serve without the rest.
            generations.decide(self._store, self._next_generation, WITHDRAWN)
        self._answered = True

    def _make_last_copy(self) -> str:
        try:
            # Announced first, so that the new server waits for a copy that takes a while.
            generations.announce_last_copy(self._store, self._next_generation)
            name = self._store_last_copy().name
            self._database.note(set_fact, "backup_handed", str(self._next_generation))
        except BaseException:
            self._continue_as_master()  # what isn't stored can't be handed over
            raise
        self._last_copy = name
        return name

    def _pause(self) -> None:
        if self.role == MASTER:
            log.warning("Writes are paused until it is clear whether a new server takes over.")
        self._database.pause(MOVING_SENTENCE)
        self.role = HANDING_OVER

    def _continue_as_master(self) -> None:
        self._database.note(set_fact, "backup_handed", "")
        self._database.resume()
        self.role = MASTER
        self._answered = False
        self._last_copy = None
        log.warning("This server remains the master: writes are accepted again.")
