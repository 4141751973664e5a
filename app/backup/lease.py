"""Which server may write: the one that holds the lease.

The lease is a log of small objects in the store, lease/<number>.json. Each is created once and never changed,
so whoever creates entry n+1 first decides what comes after entry n. A server creates n+1 only after it has
read n. The newest entry tells who is the *holder*; every other server is a *standby*.

- There is no heartbeat. A standby that wants the lease *asks*, and the holder answers, or is presumed gone.
- The *term* is the number of the entry that acquired the lease. Copies are stored under the term.
- A server that acquires the lease calls itself by a new random id, the nonce. It is kept in the database, so
  that a holder that was killed recognizes its lease when it is started again.
- The holder may write while it is *confirmed*: less than `stop_s` ago it began a poll that showed its own
  `held` as the newest entry. A standby takes over only after `take_s` without an answer, which is longer.
- If the store can't be reached and nobody has asked, the holder goes on *unconfirmed*.

Clocks of different machines are never compared. A clock must go on while the machine is suspended.

This module does no input or output. Its functions are generators that yield a request to the store (Read,
Create, FindNewest, CheckCopies) and are sent the answer: app/backup/lease_server.py performs the
requests on a real store, and tests/model runs the same code in simulated time, with lost answers and frozen
machines.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from app.errors import CannotStart

# States of an entry.
HELD = "held"  # the holder serves
ASKED = "asked"  # another server asks whether the holder is there, or asks for the lease
RELEASING = "releasing"  # the holder has paused writes, and is storing its last copy
RELEASED = "released"  # the last copy is stored; the next server may acquire the lease

# Roles of a server.
HOLDER, STANDBY = "holder", "standby"

# Who holds the lease, as a server sees it.
NOBODY = "nobody"  # there is no entry yet
MINE = "mine"  # this server; or the database of this standby did, before its server was started
WON = "won"  # this standby: the answer to its acquisition was lost
OTHERS = "others"

NEVER = -1e9  # a time long ago


@dataclass(frozen=True)
class Timing:
    """How long everything takes. All durations are in seconds."""

    poll_s: float = 2.0  # between two looks at the log
    asking_s: float = 1.0  # the same while an answer is awaited
    stop_s: float = 15.0  # how long the holder writes after the beginning of the last poll that confirmed it
    take_s: float = 30.0  # silence after which a standby takes over: with 20 % drift, over 1.5 stop_s
    quiet_s: float = 6.0  # a holder with a customer's request in this time keeps the lease
    ask_again_s: float = 4.0  # a standby with customers asks again
    demand_s: float = 20.0  # for how long one request to a standby counts
    probe_s: float = 300.0  # how often a standby without customers asks whether the holder is there
    doubt_s: float = 5.0  # polls must fail for so long before the holder goes on unconfirmed
    doubt_woken_s: float = 15.0  # the same after the process was paused or started
    gap_s: float = 10.0  # a poll that is older says nothing about the store
    request_s: float = 5.0  # limit of one request to the store
    last_copy_s: float = 20.0  # for storing the last copy, unless copies of this database take longer


timing = Timing()  # tests replace this


@dataclass(frozen=True)
class Entry:
    """One entry of the log."""

    state: str
    holder: str  # nonce of the server that holds the lease, or that held it last
    by: str  # nonce of the server that created the entry
    demand: bool = False  # asked: customers are waiting at the server that asks
    reserved_for: str | None = None  # releasing, released: nonce of the server that may acquire the lease
    last: str | None = None  # released: name of the last copy
    environment: str = ""  # name of the holder's environment, if it has one
    shop: str = ""  # hash that is the same in all copies of a database
    at: str = ""  # for people


# ----- requests to the store


@dataclass(frozen=True)
class Read:
    """Read an entry. The answer is the Entry, None if there certainly is none, or FAILED."""

    number: int


@dataclass(frozen=True)
class Create:
    """Create an entry unless it exists. The answer is CREATED, TAKEN or FAILED."""

    number: int
    entry: Entry


@dataclass(frozen=True)
class FindNewest:
    """Find the highest number of an entry. The answer is the number, 0 if there is none, or FAILED."""


@dataclass(frozen=True)
class CheckCopies:
    """Find out whether this server could go on from the newest copy.

    The answer is None, a sentence that says why not, or FAILED.
    """


CREATED, TAKEN, FAILED = "created", "taken", "failed"

Request = Read | Create | FindNewest | CheckCopies
T = TypeVar("T")
Steps = Generator[Request, Any, T]


# ----- the server


@dataclass(frozen=True)
class Memory:
    """What the database knows about the lease."""

    holders: tuple[str, ...] = ()  # the nonces under which this database was served; none in a restored copy
    next_holder: str = ""  # the nonce under which its server is about to acquire the lease
    paused: bool = False  # somebody had asked for the lease when the server ended
    is_own: bool = False  # was never a copy, nor replaced by one: nobody else can have served it
    chosen: int | None = None  # restored by hand, as of this entry: only to be replaced if the holder lives


class Server(Protocol):
    """What the lease needs of its server. None of these wait for the store."""

    def clock(self) -> float:
        """Return a time in seconds that never jumps and goes on during a suspend."""

    def new_nonce(self) -> str:
        """Return a new random id."""

    def environment(self) -> str:
        """Return the name of the environment that this server belongs to, empty without one."""

    def shop(self) -> str:
        """Return the hash that all copies of this database have in common."""

    def check_entry(self, entry: Entry) -> None:
        """Raise LeaseRefused when this server must not take over from the holder of this entry."""

    def memory(self) -> Memory:
        """Return what the database knows."""

    def remember(self, **changes: Any) -> None:
        """Store fields of the Memory in the database."""

    def remember_holder(self, nonce: str, term: int) -> None:
        """Store in the database that it is served under this nonce from now on."""

    def forget_holder(self) -> None:
        """Store in the database that another server took over from it."""

    def pause_writes(self) -> None:
        """Refuse writes, and return when the earlier ones are on the disk."""

    def resume_writes(self) -> None:
        """Accept writes again."""

    def start_last_copy(self) -> None:
        """Begin to store a copy of everything."""

    def last_copy(self) -> str | None:
        """Return the name of the copy that start_last_copy() has stored; None until then."""

    def last_copy_limit_s(self) -> float:
        """Return how long storing the last copy may take before the lease is kept."""

    def start_restore(self, term: int, nonce: str, abrupt: bool) -> None:
        """Begin to replace the database by the newest copy of an earlier term; calls restored() at the end.

        `abrupt`: the former holder didn't release the lease, so answers of its last seconds may be lost.
        """

    def serves(self) -> None:
        """Is called when this server begins to serve as the holder."""

    def stands_by(self) -> None:
        """Is called when this server has released the lease."""

    def was_fenced(self) -> None:
        """Is called when another server took over. What it answered since its last copy must be kept."""


Action = Callable[[Any], Steps[None] | None]


class LeaseRefused(CannotStart):
    """The reason why this server must not acquire the lease that another holds."""


class Lease:
    """The lease as one server sees it."""

    table: dict[tuple[str, str, str | None], Action]  # set at the end of this module

    def __init__(self, server: Server):
        self._server = server
        memory = server.memory()
        self._is_own = memory.is_own
        self._own_nonces = {*memory.holders, memory.next_holder} - {""}
        self._was_holder = bool(memory.holders) and not memory.paused
        self._chosen = memory.chosen

        self.role = STANDBY
        self.term = 0
        self.is_ready = False  # the holder has restored what it has to restore, and serves
        self.problem: str | None = None  # why this standby can't take over
        self.took_over_abruptly = False
        self.nonce = server.new_nonce()
        self.number = 0  # of the newest entry that is known
        self.entry: Entry | None = None
        self.requested_at = NEVER  # time of the last request of a customer

        self._knows_newest = False
        self._seen_at = NEVER  # when the newest entry was first seen
        self._won_nonce: str | None = None  # with this nonce the lease was acquired, by the entry _won_number
        self._won_number = 0
        self._goes_on = False  # no restore is needed after acquiring
        self._confirmed_at = NEVER
        self._failing_since: float | None = None  # since when polls fail
        self._polled_at = NEVER  # when the last poll ended, successful or not
        self._doubt_s = timing.doubt_woken_s
        self._request_seen = False  # somebody asked for the lease: never go on unconfirmed
        self._is_releasing = False
        self._release_began = NEVER
        self._reserved_for: str | None = None
        self._has_released = False
        self._asked_at = NEVER
        self._began_at = server.clock()  # as a standby

    # ----- for the server's other threads

    def may_write(self) -> bool:
        """Return True while this server may write. It must ask before each commit."""
        return self.may_answer() and not self._is_releasing

    def may_answer(self) -> bool:
        """Return True while this server may tell a client that something is stored.

        That is longer than it may write: what was stored before a release is in the last copy.
        """
        if self.role == HOLDER:
            return self.is_ready and (self.is_confirmed or self.is_unconfirmed)
        if self.entry is not None or self._has_released:
            return False
        # It was started while the store can't be reached.
        if self._is_own:
            return self._failing_since is not None and not self._knows_newest
        return self._was_holder and self.is_unconfirmed

    @property
    def is_confirmed(self) -> bool:
        """True while nobody else can have taken over."""
        return self._server.clock() - self._confirmed_at < timing.stop_s

    @property
    def is_unconfirmed(self) -> bool:
        """True while the store can't be reached and nobody had asked for the lease before."""
        return (
            self._failing_since is not None
            and self._polled_at - self._failing_since >= self._doubt_s
            and self._server.clock() - self._polled_at < timing.gap_s
            and not self._request_seen
        )

    @property
    def is_releasing(self) -> bool:
        """True while the holder hands over."""
        return self._is_releasing

    def note_request(self) -> None:
        """Note that a customer asked this server for a page of a place."""
        self.requested_at = self._server.clock()

    def restored(self, term: int) -> None:
        """Serve, after start_restore() has succeeded, unless the lease was lost meanwhile."""
        if self.role == HOLDER and self.term == term:
            self._serve()

    @property
    def pause_s(self) -> float:
        """The seconds until the next look."""
        entry = self.entry
        if self._is_releasing:
            return timing.asking_s / 2
        if entry is not None and entry.state == ASKED and entry.by == self.nonce:
            return timing.asking_s
        return timing.poll_s

    # ----- one look at the log

    def look(self) -> Steps[None]:
        """Read the log to its end, and do what the table at the end of this module says."""
        if not self._knows_newest:
            newest = yield FindNewest()
            self._note_poll(failed=newest == FAILED)
            if newest == FAILED:
                return
            start = newest if self._chosen is None else min(newest, self._chosen)
            self.number = max(start - 1, 0)
            self._knows_newest = True
        if (yield from self._read_to_end()):
            whose = self._whose()
            if self.role == STANDBY and whose == OTHERS and self._own_nonces:
                self._lose()  # another server took over while this one was stopped
            action = self.table[self.role, whose, self.entry.state if self.entry else None]
            requests = action(self)
            if requests is not None:
                yield from requests

    def release(self, last: str) -> Steps[bool]:
        """Release the lease because the server ends; `last` is its last copy. Returns True when it's done."""
        if not (yield from self._read_to_end()):
            return False
        entry = self.entry
        if entry is None or self._whose() != MINE or entry.state == RELEASED:
            return True
        asker = {ASKED: entry.by, RELEASING: entry.reserved_for}.get(entry.state)
        return (yield from self._create(RELEASED, reserved_for=asker, last=last))

    def _whose(self) -> str:
        entry = self.entry
        if entry is None:
            return NOBODY
        if self.role == HOLDER:
            return MINE if entry.holder == self.nonce else OTHERS
        if entry.holder in self._own_nonces:
            return MINE
        if entry.holder == self.nonce and entry.state in (HELD, ASKED):
            return WON
        return OTHERS

    def _read_to_end(self) -> Steps[bool]:
        """Read new entries. Returns False when the store can't be asked."""
        began = self._server.clock()
        while True:
            answer = yield Read(self.number + 1)
            if not isinstance(answer, Entry):
                break
            self._note_entry(self.number + 1, answer)
        self._note_poll(failed=answer == FAILED)
        if answer == FAILED:
            return False
        if self.entry is not None and self.entry.holder == self.nonce and self.entry.state == HELD:
            # As of the beginning: the answer may have been on its way for long.
            self._confirmed_at = began
        return True

    def _note_poll(self, *, failed: bool) -> None:
        at = self._server.clock()
        if at - self._polled_at > timing.gap_s:
            # The process was paused: the network may need a while to come back.
            self._failing_since = None
            self._doubt_s = timing.doubt_woken_s
        self._polled_at = at
        if not failed:
            self._failing_since = None
            self._doubt_s = timing.doubt_s
        elif self._failing_since is None:
            self._failing_since = at

    def _note_entry(self, number: int, entry: Entry) -> None:
        self.number, self.entry, self._seen_at = number, entry, self._server.clock()
        if self._chosen is not None and number > self._chosen and entry.state != ASKED:
            self._chosen = None  # the holder has served since
        if entry.holder == self.nonce and entry.state == HELD and self._won_nonce != self.nonce:
            self._won_nonce, self._won_number = self.nonce, number

    def _create(
        self,
        state: str,
        *,
        holder: str | None = None,
        demand: bool = False,
        reserved_for: str | None = None,
        last: str | None = None,
    ) -> Steps[bool]:
        """Create the next entry. Returns False when another server was first, or when nobody knows."""
        former = self.entry
        if holder is None:
            assert former is not None, "only an acquisition can be the first entry"
            holder = former.holder
        if former is None or holder == self.nonce:
            environment, shop = self._server.environment(), self._server.shop()
        else:
            environment, shop = former.environment, former.shop
        entry = Entry(state, holder, self.nonce, demand, reserved_for, last, environment, shop)
        number = self.number + 1
        began = self._server.clock()
        if (yield Create(number, entry)) == CREATED:
            self._note_entry(number, entry)
            if holder == self.nonce and state == HELD:
                self._confirmed_at = began
            return True
        yield from self._read_to_end()
        return self.number == number and self.entry is not None and replace(self.entry, at="") == entry

    # ----- the holder

    def _stay(self) -> None:
        """The lease is held. If it was being released, the last copy couldn't be stored: serve on."""
        if self._is_releasing:
            self._resume()

    def _answer(self) -> Steps[None]:
        """Another server asks: refuse, which is the sign of life, or hand over to it."""
        assert self.entry is not None
        has_customers = self._server.clock() - self.requested_at < timing.quiet_s
        if not self.entry.demand or has_customers or not self.is_ready:
            yield from self._create(HELD)
            return
        self._begin_release(self.entry.by)
        yield from self._create(RELEASING, reserved_for=self._reserved_for)

    def _begin_release(self, asker: str | None) -> None:
        self._is_releasing = True
        self._request_seen = True
        self._reserved_for = asker
        self._release_began = self._server.clock()
        self._server.remember(paused=True)
        self._server.pause_writes()
        self._server.start_last_copy()

    def _continue_release(self) -> Steps[None]:
        """Release the lease as soon as the last copy is stored; or keep it when that takes too long."""
        assert self.entry is not None
        if not self._is_releasing:  # the answer to an earlier attempt was lost
            self._begin_release(self.entry.reserved_for)
        at = self._server.clock()
        last = self._server.last_copy()
        if last is not None:
            if (yield from self._create(RELEASED, reserved_for=self._reserved_for, last=last)):
                self._stand_by()
        elif at - self._release_began > self._server.last_copy_limit_s():
            # What can't be stored isn't handed over.
            if (yield from self._create(HELD)):
                self._resume()
        elif at - self._seen_at >= timing.take_s / 4:
            yield from self._create(RELEASING, reserved_for=self._reserved_for)  # still at it

    def _resume(self) -> None:
        self._is_releasing = False
        self._request_seen = False
        self._server.remember(paused=False)
        self._server.resume_writes()

    def _stand_by(self) -> None:
        """The lease is released."""
        self._become_standby()
        self._has_released = True
        self._server.stands_by()

    def _lose(self) -> None:
        """Another server has taken over: this one is fenced."""
        self._become_standby()
        self._server.forget_holder()
        self._server.was_fenced()

    def _become_standby(self) -> None:
        self.role = STANDBY
        self.is_ready = False
        self._is_releasing = False
        self._was_holder = False
        self._own_nonces = set()
        self._has_released = False
        self._began_at = self._server.clock()

    # ----- the standby

    def _ask_if_needed(self) -> Steps[None]:
        """The lease is held by another: ask for it when customers wait here, or whether it is there."""
        at = self._server.clock()
        has_demand = self._has_demand(at)
        is_first = self._asked_at < self._began_at and not self._has_released
        if (
            (has_demand and at - self._asked_at >= timing.ask_again_s)
            or at - max(self._asked_at, self._began_at) >= timing.probe_s
            or is_first
        ):
            yield from self._ask(has_demand)

    def _take_if_silent(self) -> Steps[None]:
        """The holder was asked, or is releasing: take over when nothing happens for `take_s`."""
        assert self.entry is not None
        if self._server.clock() - self._seen_at < timing.take_s:
            return
        if self.entry.state == ASKED and self.entry.by != self.nonce:
            # Only who asked knows how long ago that was.
            yield from self._ask(self._has_demand(self._server.clock()))
        else:
            yield from self._acquire()

    def _take_released(self) -> Steps[None]:
        """Acquire what was released for this server or for nobody; or what nobody acquires for `take_s`."""
        assert self.entry is not None
        is_for_us = self.entry.reserved_for in (None, self.nonce) and self.entry.holder != self.nonce
        if is_for_us or self._server.clock() - self._seen_at >= timing.take_s:
            yield from self._acquire()

    def _has_demand(self, at: float) -> bool:
        return at - self.requested_at < timing.demand_s

    def _ask(self, demand: bool) -> Steps[None]:
        self._asked_at = self._server.clock()
        if (yield from self._can_take_over()):
            yield from self._create(ASKED, demand=demand)

    def _can_take_over(self) -> Steps[bool]:
        """Return True when this server may and can go on from the newest copy. Raises LeaseRefused."""
        if self.entry is not None:
            self._server.check_entry(self.entry)
        sentence = yield CheckCopies()
        if sentence == FAILED:
            return False
        self.problem = sentence
        return sentence is None

    def _acquire(self) -> Steps[None]:
        """Acquire the lease."""
        entry = self.entry
        memory = self._server.memory()
        if self._chosen is not None:
            goes_on = True
        elif entry is None:
            goes_on = bool(memory.holders) or memory.is_own
        else:
            goes_on = bool(memory.holders) and entry.holder in {*self._own_nonces, self.nonce}
        if (entry is None or not goes_on) and not (yield from self._can_take_over()):
            return
        if self._won_nonce == self.nonce or (entry is not None and entry.holder == self.nonce):
            self.nonce = self._server.new_nonce()
        self._goes_on = goes_on
        self.took_over_abruptly = entry is not None and entry.state != RELEASED and not goes_on
        if goes_on:
            # Before the request, so that a server that is killed now recognizes its lease.
            self._server.remember(next_holder=self.nonce)
        if (yield from self._create(HELD, holder=self.nonce)):
            self._start_term()

    def _start_term(self) -> None:
        """The lease is acquired: serve, after restoring the newest copy of an earlier term."""
        self.role = HOLDER
        self.term = self._won_number
        self.problem = None
        self.is_ready = False
        self._is_releasing = False
        self._request_seen = False
        self._has_released = False
        if self._goes_on:
            self._server.remember_holder(self.nonce, self.term)
            self._serve()
        else:
            self._server.start_restore(self.term, self.nonce, self.took_over_abruptly)

    def _serve(self) -> None:
        self._own_nonces = {self.nonce}
        self._was_holder = True
        self.is_ready = True
        self._server.resume_writes()
        self._server.serves()


# What a server does about the newest entry: by its own role, and by the holder and the state of the entry.
Lease.table = {
    (HOLDER, MINE, HELD): Lease._stay,
    (HOLDER, MINE, ASKED): Lease._answer,
    (HOLDER, MINE, RELEASING): Lease._continue_release,
    (HOLDER, MINE, RELEASED): Lease._stand_by,
    (HOLDER, OTHERS, HELD): Lease._lose,
    (HOLDER, OTHERS, ASKED): Lease._lose,
    (HOLDER, OTHERS, RELEASING): Lease._lose,
    (HOLDER, OTHERS, RELEASED): Lease._lose,
    (STANDBY, NOBODY, None): Lease._acquire,
    (STANDBY, MINE, HELD): Lease._acquire,
    (STANDBY, MINE, ASKED): Lease._acquire,
    (STANDBY, MINE, RELEASING): Lease._acquire,
    (STANDBY, MINE, RELEASED): Lease._acquire,
    (STANDBY, WON, HELD): Lease._start_term,
    (STANDBY, WON, ASKED): Lease._start_term,
    (STANDBY, OTHERS, HELD): Lease._ask_if_needed,
    (STANDBY, OTHERS, ASKED): Lease._take_if_silent,
    (STANDBY, OTHERS, RELEASING): Lease._take_if_silent,
    (STANDBY, OTHERS, RELEASED): Lease._take_released,
}
