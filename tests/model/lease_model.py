"""The lease in simulated time: app/backup/lease.py itself, on machines and a storage that fail in every way.

A node is a machine with a disk and a clock that is up to 20 % too slow or too fast. The storage can only
create, get and list. Requests get lost, answers get lost, and a request may take effect long after its sender
gave up. Machines are frozen, cut off, restarted and lost. Customers press at whoever has the address, and a
few elsewhere.

    python tests/model/lease_model.py 8000 [seed]      random runs
    python tests/model/lease_model.py mutants 1000     one safety rule removed: the checker must complain
"""

from __future__ import annotations

import collections
import heapq
import itertools
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.backup import lease as protocol
from app.backup.lease import (
    ASKED,
    CREATED,
    FAILED,
    HELD,
    HOLDER,
    RELEASED,
    TAKEN,
    Create,
    Entry,
    FindNewest,
    Lease,
    Memory,
    Read,
)

COPY_S = 8.0  # between two copies
SLOW_SHARE = 0.05  # of all requests, until the faults end
FAULTS_END_S = 420.0
SERVES_S = 100.0  # after the faults, the last copy not counted
END_S = 720.0
timing = protocol.Timing()


class Simulation:
    """The storage, the machines, and what the checker knows."""

    def __init__(self, seed: int, mutant: str | None = None):
        self.random, self.mutant = random.Random(seed), mutant
        self.now, self._events, self._order = 0.0, [], itertools.count()
        self.store: dict[Any, Any] = {}  # ("lease", n) -> Entry, ("copy", term, sequence) -> the writes in it
        self.nodes: list[Node] = []
        self.address: Node | None = None
        self.loss = self.late = self.stray = 0.0
        self.slow = SLOW_SHARE
        self.answers: list[tuple[float, int, str, str, bool, bool]] = []
        self.takes: list[tuple[float, str, str, str]] = []
        self.orphans: list[tuple[str, tuple[int, ...]]] = []  # by whom, and what they hold
        self.bad: list[tuple[Any, ...]] = []
        self.faults: list[tuple[Any, ...]] = []
        self.writes, self.nonces = itertools.count(1), itertools.count(1)

    def at(self, when: float, do: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (when, next(self._order), do))

    def after(self, delay: float, do: Callable[[], Any]) -> None:
        self.at(self.now + delay, do)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until

    def request(self, node: Node, what: str, key: Any, value: Any, resume: Callable[[Any], None]) -> None:
        """One request to the storage; `resume` gets its answer."""
        uniform = self.random.uniform
        big = what == "put" and key[0] == "copy"
        limit = node.copy_limit_s() if big else timing.request_s / node.rate
        if not node.reaches or (what == "put" and node.put_is_refused):
            self.after(min(limit, uniform(0.01, limit * 1.2)), lambda: resume(FAILED))
            return
        took = uniform(0.3, limit * 1.1) if self.random.random() < self.slow else uniform(0.02, 0.3)
        if big:
            took += node.upload_s * uniform(0.5, 1.5)
        effect, lost = took * self.random.random(), self.random.random() < self.loss
        if what == "put" and self.random.random() < self.late:
            effect, lost = uniform(0, 90), True
        answer = [FAILED]

        def take_effect() -> None:
            if what == "list":
                answer[0] = [stored for stored in self.store if stored[0] == key]
            elif what == "get":
                answer[0] = self.store.get(key)
            elif key in self.store:
                answer[0] = TAKEN
            else:
                self.store[key] = value
                answer[0] = CREATED
                if key[0] == "lease":
                    self._note_take(key[1], value)

        self.after(effect, take_effect)
        if lost or took > limit:
            node.healed_at = self.now + limit
            self.after(limit, lambda: resume(FAILED))
        else:
            self.after(max(took, effect + 1e-6), lambda: resume(answer[0]))

    def newest(self) -> Entry | None:
        numbers = [key[1] for key in self.store if key[0] == "lease"]
        return self.store["lease", max(numbers)] if numbers else None

    def _note_take(self, number: int, entry: Entry) -> None:
        former = self.store.get(("lease", number - 1))
        if former and former.holder != entry.holder:
            self.takes.append((self.now, former.state, former.holder, entry.holder))


class Node:
    """A machine."""

    def __init__(self, simulation: Simulation, name: str):
        self.simulation, self.name = simulation, name
        uniform, choice = simulation.random.uniform, simulation.random.choice
        self.rate = uniform(0.8, 1.2)
        self.upload_s, self.restore_s = choice((0.3, 0.5, 2, 8, 40)), choice((0.5, 2, 8, 15))
        self.reaches, self.put_is_refused, self.is_frozen, self.is_dead = True, False, False, False
        self.unreachable_since, self.healed_at, self.asleep = 0.0, -1e9, 0.0
        self.starts_again = False
        # Its disk: the answered and unanswered writes, what the database knows of the lease, its newest copy.
        self.writes: tuple[int, ...] = ()
        self.memory = Memory(is_own=name == "old")
        self.copied: tuple[int, int] | None = None
        self.process: Process | None = None
        simulation.nodes.append(self)

    def clock(self) -> float:
        return 1000 + self.rate * (self.simulation.now - self.asleep)

    def copy_limit_s(self) -> float:
        """The seconds after which it gives up storing a copy."""
        return max(timing.last_copy_s, 3 * self.upload_s) / self.rate

    def was_unreachable(self) -> bool:
        return not self.reaches or self.put_is_refused or self.healed_at > self.simulation.now - 40

    def start(self) -> None:
        if self.is_dead:
            return
        if self.process and self.process.is_alive:
            if self.process.is_stopping:  # the supervisor waits for its end
                self.simulation.after(1, self.start)
            return
        self.process = Process(self)

    def crash(self) -> None:
        if self.process:
            self.process.is_alive = False
        self.process = None

    def lose(self) -> None:
        self.crash()
        self.is_dead = True

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def restart(self) -> None:
        if self.process:
            self.crash()
            self.simulation.after(self.simulation.random.uniform(0.5, 5), self.start)

    def freeze(self, duration: float) -> None:
        if self.is_frozen or self.is_dead:
            return
        self.is_frozen, began = True, self.simulation.now

        def wake() -> None:
            self.is_frozen = False
            if self.simulation.mutant == "the clock stops in a pause":
                self.asleep += self.simulation.now - began
            if self.process:
                waiting, self.process.waiting = self.process.waiting, []
                self.simulation.random.shuffle(waiting)  # threads go on in any order
                for step in waiting:
                    delay = self.simulation.random.uniform(0, 0.02)
                    self.simulation.after(delay, lambda step=step: self.process and self.process.step(step))

        self.simulation.after(duration, wake)


class Process:
    """A server on a machine. It is the Server of its Lease, as app/backup/keeper.py is."""

    def __init__(self, node: Node):
        self.node, self.simulation = node, node.simulation
        self.is_alive, self.is_stopping, self.is_looking = True, False, False
        self.waiting: list[Callable[[], None]] = []
        self.paused, self.last, self.wants_last, self.sequence = False, None, False, 0
        self.lease = make_lease(self, self.simulation.mutant)
        self.spawn(self._look())
        self.spawn(self._copy())

    # ----- running coroutines

    def step(self, do: Callable[[], None]) -> None:
        if not self.is_alive:
            return
        if self.node.is_frozen:
            self.waiting.append(do)
        else:
            do()

    def spawn(self, steps: Any) -> None:
        def go(value: Any = None) -> None:
            try:
                what, *args = steps.send(value)
            except StopIteration:
                return
            if what == "sleep":
                delay = max(args[0], 0.001) / self.node.rate
                self.simulation.after(delay, lambda: self.step(lambda: go(None)))
            else:
                key, content = (*args, None)[:2]
                self.simulation.request(
                    self.node, what, key, content, lambda answer: self.step(lambda: go(answer))
                )

        self.step(go)

    def _perform(self, steps: Any) -> Any:
        """Perform the requests of the lease."""
        answer = None
        while True:
            try:
                request = steps.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(request, Read):
                answer = yield ("get", ("lease", request.number))
            elif isinstance(request, Create):
                answer = yield ("put", ("lease", request.number), request.entry)
            elif isinstance(request, FindNewest):
                names = yield ("list", "lease")
                answer = FAILED if names == FAILED else max([key[1] for key in names], default=0)
            else:
                names = yield ("list", "copy")
                answer = FAILED if names == FAILED else None

    # ----- its threads

    def _look(self) -> Any:
        while not self.is_stopping:
            self.is_looking = True
            yield from self._perform(self.lease.look())
            self.is_looking = False
            yield ("sleep", self.lease.pause_s)

    def _copy(self) -> Any:
        yield ("sleep", self.simulation.random.uniform(0, 2))
        while not self.is_stopping:
            if self.wants_last:
                stored = yield from self._store_copy()
                if stored and self.wants_last:
                    self.last, self.wants_last = str(self.node.copied), False
                yield ("sleep", 0 if stored else 2)
            elif self.lease.role == HOLDER and self.lease.is_ready and not self.paused:
                yield from self._store_copy()
                due = self.node.clock() + COPY_S * self.simulation.random.uniform(0.5, 1)
                while self.node.clock() < due and not self.wants_last:
                    yield ("sleep", 0.2)
            else:
                yield ("sleep", 0.2)

    def _store_copy(self) -> Any:
        node, lease = self.node, self.lease
        if node.copied and self.simulation.store.get(("copy", *node.copied)) == node.writes:
            return True
        self.sequence += 1
        name, writes = (lease.term, self.sequence), node.writes
        answer = yield ("put", ("copy", *name), writes)
        if answer == CREATED and lease.term == name[0]:
            node.copied = name
        return answer == CREATED

    def _restore(self, term: int, nonce: str) -> Any:
        node = self.node
        while self.lease.role == HOLDER and self.lease.term == term:
            names = yield ("list", "copy")
            if names == FAILED:
                yield ("sleep", 2)
                continue
            best = max((key for key in names if key[1] < term), default=None)
            yield ("sleep", node.restore_s)
            if self.lease.role == HOLDER and self.lease.term == term:
                self.simulation.orphans.append((node.name, node.writes))  # it is kept beside
                node.writes = self.simulation.store[best] if best else ()
                node.copied = best[1:] if best else None
                node.memory = Memory(holders=(nonce,))
                self.lease.restored(term)
            return

    def stop(self) -> None:
        """SIGTERM."""

        def end() -> Any:
            self.is_stopping = True
            while self.is_looking:
                yield ("sleep", 0.05)
            began = self.node.clock()
            self.paused = True
            while self.lease.role == HOLDER and self.lease.is_ready and self.node.clock() - began < 20:
                stored = yield from self._store_copy()
                if stored and (yield from self._perform(self.lease.release(str(self.node.copied)))):
                    break
                yield ("sleep", 2)
            if self.node.process is self:
                self.node.crash()
                if self.node.starts_again:
                    self.node.starts_again = False
                    self.simulation.after(self.simulation.random.uniform(0.5, 5), self.node.start)

        if not self.is_stopping:
            self.step(lambda: self.spawn(end()))

    # ----- what the lease asks of its server

    def clock(self) -> float:
        return self.node.clock()

    def new_nonce(self) -> str:
        return f"{self.node.name}#{next(self.simulation.nonces)}"

    def environment(self) -> str:
        return ""

    def shop(self) -> str:
        return ""

    def check_entry(self, _entry: Entry) -> None:
        pass

    def memory(self) -> Memory:
        return self.node.memory

    def remember(self, **changes: Any) -> None:
        self.node.memory = protocol.replace(self.node.memory, **changes)

    def remember_holder(self, nonce: str, term: int) -> None:
        self.node.memory = Memory(holders=(nonce,))

    def forget_holder(self) -> None:
        self.node.memory = Memory()

    def pause_writes(self) -> None:
        if self.simulation.mutant != "no pause":
            self.paused = True

    def resume_writes(self) -> None:
        self.paused = self.wants_last = False

    def start_last_copy(self) -> None:
        self.last, self.wants_last = None, True

    def last_copy(self) -> str | None:
        return self.last

    def last_copy_limit_s(self) -> float:
        return self.node.copy_limit_s() * self.node.rate

    def start_restore(self, term: int, nonce: str, abrupt: bool) -> None:
        self.paused = True
        self.spawn(self._restore(term, nonce))

    def serves(self) -> None:
        self.sequence = 0

    def stands_by(self) -> None:
        self.wants_last = False

    def was_fenced(self) -> None:
        self.wants_last = False
        copied = self.node.copied
        if not copied or self.simulation.store.get(("copy", *copied)) != self.node.writes:
            self.simulation.orphans.append((self.node.name, self.node.writes))

    # ----- a customer presses

    def may_answer(self) -> bool:
        return not self.paused and not self.is_stopping and self.lease.may_write()

    def press(self, write: int) -> None:
        def handle() -> None:
            self.lease.note_request()
            if self.may_answer():
                self.node.writes += (write,)
                self.simulation.after(self.simulation.random.uniform(0.002, 0.06), lambda: self.step(answer))

        def answer() -> None:
            if self.may_answer():
                self._record(write)

        self.step(handle)

    def _record(self, write: int) -> None:
        simulation, lease = self.simulation, self.lease
        newest = simulation.newest()
        ours = {lease.nonce, *lease._own_nonces}
        is_holder = newest is not None and newest.holder in ours and newest.state in (HELD, ASKED)
        is_free = not lease.is_confirmed and (lease.is_unconfirmed or newest is None)
        if not is_holder and not is_free:
            simulation.bad.append(
                ("answered by a fenced server", round(simulation.now, 2), lease.nonce, write)
            )
        if is_free and newest and not self.node.was_unreachable() and simulation.loss == 0:
            simulation.bad.append(("unconfirmed though the storage is there", round(simulation.now, 2)))
        answered = (simulation.now, write, self.node.name, lease.nonce, is_holder, is_free)
        simulation.answers.append(answered)


# ----- rules removed


def make_lease(process: Process, mutant: str | None) -> Lease:
    """A Lease, or one without one of its rules."""

    class Mutant(Lease):
        def may_write(self) -> bool:
            if mutant == "no self-fencing" and self.role == HOLDER:
                return self.is_ready and not self._is_releasing
            if mutant == "no pause" and self.role == HOLDER:
                return self.is_ready and (self.is_confirmed or self.is_unconfirmed)
            return super().may_write()

        def _read_to_end(self) -> Any:
            done = yield from super()._read_to_end()
            ours = done and self.entry is not None and self.entry.holder == self.nonce
            if ours and mutant == "a poll that sees a request confirms":
                self._confirmed_at = self._server.clock()
            if ours and mutant == "confirmed as of the answer" and self.entry.state == HELD:
                self._confirmed_at = self._server.clock()
            return done

        def _take_if_silent(self) -> Any:
            early = timing.take_s - timing.stop_s if mutant == "take_s = stop_s" else 0
            self._seen_at -= early
            try:
                yield from super()._take_if_silent()
            finally:
                self._seen_at += early

        def _take_released(self) -> Any:
            if mutant == "anyone takes what is released":
                yield from self._acquire()
            else:
                yield from super()._take_released()

    if mutant is None:
        return Lease(process)
    changed = {
        action: getattr(Mutant, action.__name__)
        for action in Lease.table.values()
        if hasattr(Mutant, action.__name__)
    }
    made = Mutant(process)
    made.table = {key: changed[action] for key, action in Lease.table.items()}
    return made


MUTANTS = (
    "no self-fencing", "take_s = stop_s", "the clock stops in a pause", "confirmed as of the answer",
    "a poll that sees a request confirms", "no pause", "anyone takes what is released",
)  # fmt: skip


# ----- a day in the life


def scenario(
    seed: int, mutant: str | None = None, kind: str | None = None, stress: bool = False
) -> tuple[Simulation, Node, str]:
    """Runs one story, and returns it with the machine that has to serve in the end."""
    simulation = Simulation(seed, mutant)
    chance, uniform, choice = simulation.random.random, simulation.random.uniform, simulation.random.choice
    old, new, third = (Node(simulation, name) for name in ("old", "new", "third"))
    simulation.address, simulation.stray = old, choice((0, 0, 0.002, 0.01))
    kinds = ("update", "rolled back", "rolled back after it served", "crash", "two new", "outage", "quiet")
    kind = kind or choice(kinds)
    final = old

    def customers() -> None:
        stray = [
            node
            for node in simulation.nodes
            if node is not simulation.address and chance() < simulation.stray
        ]
        for node in [simulation.address, *stray]:
            if node and node.process:
                node.process.press(next(simulation.writes))
        simulation.after(uniform(0.3, 1.2), customers)

    def move(node: Node) -> None:
        simulation.address = node

    def end(node: Node, orderly: bool) -> None:
        if orderly:
            node.stop()
        simulation.after(25 if orderly else 0, node.lose)

    old.start()
    simulation.after(1, customers)
    began, moved = 60.0, 60.0 + uniform(5, 150)
    if kind not in ("quiet", "outage"):
        simulation.at(began, new.start)
    if kind == "two new":
        simulation.at(began + uniform(0, 40), third.start)
    if kind in ("update", "two new"):
        final = new
        orderly, pause = chance() < 0.66, uniform(0, 60)
        if chance() < 0.5:
            simulation.at(moved, lambda: move(new))
            simulation.at(moved + pause, lambda: end(old, orderly))
        else:
            simulation.at(moved, lambda: end(old, orderly))
            simulation.at(moved + pause / 2, lambda: move(new))
    elif kind == "rolled back":
        simulation.at(moved, lambda: end(new, chance() < 0.66))
    elif kind == "rolled back after it served":
        simulation.at(moved, lambda: move(new))
        simulation.at(moved + uniform(10, 90), lambda: (move(old), end(new, chance() < 0.66)))
    elif kind == "crash":
        final = new
        simulation.at(moved, old.lose)
        simulation.at(moved + uniform(0, 20), lambda: move(new))
    elif kind == "clean":
        final = new
        for node in simulation.nodes:
            node.upload_s, node.restore_s = 0.5, 2
        simulation.at(200, lambda: move(new))
        simulation.at(260, lambda: end(old, True))

    def cut(node: Node, puts_only: bool, duration: float) -> None:
        if puts_only:
            node.put_is_refused = True
        else:
            node.reaches, node.unreachable_since = False, simulation.now

        def heal() -> None:
            node.reaches, node.put_is_refused, node.healed_at = True, False, simulation.now

        simulation.after(duration, heal)

    def stop_and_start(node: Node) -> None:
        node.starts_again = node.process is not None
        node.stop()

    if kind != "clean":
        number = simulation.random.randint(2, 6) if stress else choice((0, 1, 1, 2, 3))
        for _ in range(number):
            node, when = choice(simulation.nodes), uniform(20, 320)
            duration = choice((uniform(1, 10), uniform(10, 60), uniform(60, 100)))
            fault = choice(("freeze", "freeze", "cut", "cut", "restart", "refuse puts", "stop"))
            simulation.faults.append((round(when), node.name, fault, round(duration)))
            do: dict[str, Callable[..., Any]] = {
                "freeze": lambda node=node, duration=duration: node.freeze(duration),
                "cut": lambda node=node, duration=duration: cut(node, False, duration),
                "refuse puts": lambda node=node, duration=duration: cut(node, True, duration),
                "restart": lambda node=node: node.restart(),
                "stop": lambda node=node: stop_and_start(node),
            }
            simulation.at(when, do[fault])
        if chance() < 0.4:
            simulation.loss, simulation.late = choice((0.02, 0.1, 0.3)), choice((0, 0.02, 0.1))
            simulation.faults.append((0, "all", f"{simulation.loss:.0%} lost", round(FAULTS_END_S)))
    if kind == "outage":
        duration, when = uniform(10, 120), uniform(60, 200)
        simulation.faults.append((round(when), "all", "cut", round(duration)))
        simulation.at(when, lambda: [cut(node, False, duration) for node in simulation.nodes])

    def calm() -> None:
        for node in simulation.nodes:
            if simulation.loss or not node.reaches or node.put_is_refused:
                node.healed_at = simulation.now
            node.reaches, node.put_is_refused = True, False
        simulation.loss = simulation.late = simulation.slow = 0.0
        final.start()
        move(final)

    simulation.at(FAULTS_END_S, calm)
    simulation.run(END_S)
    return simulation, final, kind


def judge(simulation: Simulation, final: Node) -> tuple[list[tuple[Any, ...]], collections.Counter[str]]:
    """What was violated, and how answered writes that are missing came to be lost."""
    bad = list(simulation.bad)
    served = [at for at, _, name, *_ in simulation.answers if name == final.name and at > FAULTS_END_S]
    # A copy that began before the faults ended may hang up to its limit, and holds up the last copy.
    longest_copy_s = max(node.copy_limit_s() for node in simulation.nodes)
    if not served or served[0] > FAULTS_END_S + longest_copy_s + SERVES_S:
        bad.append(("nobody serves",))
    last = simulation.answers[-1][2] if simulation.answers else final.name
    remaining = {node.name: set(node.writes) for node in simulation.nodes}
    kept = collections.defaultdict(set, {name: set(writes) for name, writes in remaining.items()})
    for name, writes in simulation.orphans:
        kept[name] |= set(writes)
    dead = {node.name for node in simulation.nodes if node.is_dead}
    lost: collections.Counter[str] = collections.Counter()
    for at, write, name, nonce, is_holder, is_free in simulation.answers:
        if write in remaining[last]:
            continue
        how = "unconfirmed" if is_free else "abrupt" if is_holder else "fenced"
        lost[how] += 1
        taken = any(
            take[0] >= at and take[2].split("#")[0] == name and take[1] != RELEASED
            for take in simulation.takes
        )
        if how != "unconfirmed" and not taken:
            bad.append(("lost in an orderly hand-over", round(at, 2), nonce))
        if name not in dead and write not in kept[name]:
            bad.append(("a lost tail is not kept", round(at, 2), nonce))
    return bad, lost


def longest_gap(simulation: Simulation) -> float:
    """The longest time in which nobody got an answer."""
    times = [30.0, *(answer[0] for answer in simulation.answers if answer[0] > 30), END_S]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def violations(runs: int, seed: int = 0, mutant: str | None = None) -> dict[int, list[tuple[Any, ...]]]:
    """The violations in so many runs, by seed."""
    found = {}
    for number in range(seed, seed + runs):
        simulation, final, kind = scenario(number, mutant, stress=mutant is not None or number % 2 == 1)
        bad, _ = judge(simulation, final)
        if bad:
            found[number] = [kind, simulation.faults, *bad[:3]]
    return found


def main() -> None:
    if sys.argv[1] == "mutants":
        for mutant in (None, *MUTANTS):
            found = violations(int(sys.argv[2]), mutant=mutant)
            print(f"{mutant!s:40} {len(found)} runs with violations", flush=True)
        return
    began, runs = time.time(), int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    lost: collections.Counter[str] = collections.Counter()
    gaps = collections.defaultdict(list)
    answers = bad_runs = 0
    for number in range(seed, seed + runs):
        simulation, final, kind = scenario(number, stress=number % 2 == 1)
        bad, missing = judge(simulation, final)
        answers += len(simulation.answers)
        lost.update(missing)
        gaps[kind, bool(simulation.faults)].append(longest_gap(simulation))
        if bad:
            bad_runs += 1
            print("seed", number, kind, simulation.faults, bad[:3], flush=True)
    print(
        f"{runs} runs, {answers} answered writes, {time.time() - began:.0f} s, violations in {bad_runs} runs"
    )
    print("lost answers", dict(lost))
    for (kind, faulty), values in sorted(gaps.items()):
        values.sort()
        more = "with" if faulty else "no"
        half = values[len(values) // 2]
        print(f"  {kind:28} {more:4} more faults: longest gap p50 {half:.0f} s, max {values[-1]:.0f} s")


if __name__ == "__main__":
    main()
