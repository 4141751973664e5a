"""How good the estimated wait is, on simulated days of lines whose truth is known.

    python tests/bench/wait.py [--seeds 20] [--first-seed 1000] [--only rush]

For each scenario, of all who join while no desk is free and are called in the end: their number and
mean wait in minutes; the mean squared error relative to the squared mean wait, of our estimate
("ours"), of (queue length + 1) × average service ÷ desks ("length"), and of the estimators by delay
history of Ibrahim and Whitt (M&SOM 11, 2009): the wait of the last who was called ("last"), and how
long the next has been waiting ("head"); ours ÷ the best of them; ours ÷ that of (queue length + 1)
× the true mean service ÷ desks ("truth": for exponential services of people who don't leave,
nothing better can be known). Then how many per cent were called within our range; of those whose
range was wider than two minutes, and how many these are; of the first hour. How wide the range was,
in minutes; and how often in an hour of waiting its end rose at once by two minutes or more, though
no desk left and nobody came ahead.

What misses the targets of the project's issue 6 has an exclamation mark, and makes the status 1. Constants
were tuned with seeds below 1000.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from app.core import wait_model
from app.core.wait_model import MAX_TICKETS, PastTicket

HOUR, NOON, CLOSES = 3600.0, 3 * 3600.0, 8 * 3600.0  # since the place opened, at nine
NAMES = ("ours", "length", "last", "head")


def lognormal(spread: float) -> Callable[[], float]:
    """Services of mean 1 whose logarithm has this standard deviation."""
    return lambda: random.lognormvariate(-spread * spread / 2, spread)


EXPONENTIAL, FIXED = (lambda: random.expovariate(1.0)), (lambda: 1.0)


@dataclass
class Scenario:
    """Days of a line: who comes, who serves, and what is known beforehand."""

    name: str
    desks: int
    service: Callable[[], float] = EXPONENTIAL
    mean_s: float = 180.0
    load: float = 0.92  # arrivals for each service that the desks could give
    rush: float = 1.0  # so many times as many arrive from 12 to 13
    noon: bool = False  # one desk leaves at noon
    leave: float = 0.0  # the share who leave while they wait, some of them when they are called
    first: bool = False  # the first day: nothing but the owner's guess of three minutes
    slower: float = 1.0  # services are so much longer in the afternoon


SCENARIOS = [
    *(Scenario(f"{n} desk{'s' * (n > 1)}, exponential", n) for n in (1, 2, 3, 5)),
    Scenario("1 desk, log-normal", 1, lognormal(0.5)),
    Scenario("3 desks, log-normal", 3, lognormal(0.5)),
    Scenario("4 desks, wide log-normal", 4, lognormal(1.0)),
    Scenario("1 desk, fixed", 1, FIXED),
    Scenario("3 desks, fixed", 3, FIXED),
    Scenario("2 desks, lunch rush", 2, lognormal(0.7), load=0.8, rush=2.2),
    Scenario("5 desks, lunch rush", 5, rush=2.2, load=0.8),
    Scenario("3 desks, one leaves at noon", 3, lognormal(0.5), load=0.75, noon=True),
    Scenario("2 desks, one leaves at noon", 2, load=0.6, noon=True),
    Scenario("2 desks, 10 % leave", 2, leave=0.1, load=1.0),
    Scenario("4 desks, 10 % leave, rush", 4, lognormal(0.7), leave=0.1, rush=1.8),
    Scenario("2 desks, a quarter slower from noon", 2, lognormal(0.5), load=0.75, slower=1.25),
    Scenario("first day, 1 desk", 1, first=True),
    Scenario("first day, 3 desks", 3, lognormal(0.5), first=True),
    Scenario("first day, fixed 4 minutes", 2, FIXED, mean_s=240, first=True),
    Scenario("first day, services of 5 min", 3, mean_s=300, first=True),
    Scenario("first day, services of 90 s", 2, lognormal(0.7), mean_s=90, first=True),
]


@dataclass
class Customer:
    """A waiting customer, and the estimates that were shown: by each estimator, and as a range."""

    at: float
    told: tuple[float, ...] = ()
    span: tuple[float, float] = (0.0, 0.0)
    best: float = 0.0  # by the true rate
    leaves_at: float = math.inf
    path: list[tuple[float, int, int]] = field(default_factory=list)  # what was shown: to, ahead, desks
    wait: float | None = None


@dataclass
class Line:
    """A simulated day, from nine to five and until the last is served."""

    scenario: Scenario
    past: deque[PastTicket]
    all_services: list[float]
    watch: bool = False
    seen: list[Customer] = field(default_factory=list)
    line: deque[Customer] = field(default_factory=deque)
    busy: dict[int, float] = field(default_factory=dict)
    last_wait: float = 0.0
    learned: tuple[float, float, wait_model.Experience | None] = (0.0, 0.0, None)

    def run(self) -> list[Customer]:
        """Those who had to wait and were called."""
        self.desks = set(range(self.scenario.desks))
        self.events: list[tuple[float, int, str, int]] = []
        self.number = 0
        self.add(self.pause(0.0), "come")
        if self.scenario.noon:
            self.add(NOON, "go")
        while self.events:
            at, _, kind, which = heapq.heappop(self.events)
            getattr(self, kind)(at, which)
            while self.line and self.free():
                self.call(at)
            if self.watch and self.line and self.desks:
                spans = wait_model.wait_ranges(self.pace(at), range(len(self.line)))
                for ahead, (customer, span) in enumerate(zip(self.line, spans, strict=True)):
                    customer.path.append((span.to_s, ahead, len(self.desks)))
        return [each for each in self.seen if each.wait is not None]

    def add(self, at: float, kind: str, which: int = 0) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, kind, which))

    def free(self) -> list[int]:
        return [desk for desk in self.desks if desk not in self.busy]

    def pause(self, at: float) -> float:
        """When the next customer comes."""
        most = max(1.0, self.scenario.rush)
        rate = self.scenario.desks * self.scenario.load / self.scenario.mean_s
        while True:
            at += random.expovariate(rate * most)
            now = self.scenario.rush if NOON <= at < NOON + HOUR else 1.0
            if random.random() < now / most:
                return at

    def come(self, at: float, _: int) -> None:
        if at > CLOSES:
            return
        self.add(self.pause(at), "come")
        customer = Customer(at)
        if random.random() < self.scenario.leave:
            customer.leaves_at = at + random.expovariate(1 / 600)
            self.add(customer.leaves_at, "leave")
        if not self.free():
            self.tell(at, customer)
            self.seen.append(customer)
        self.line.append(customer)

    def leave(self, at: float, _: int) -> None:
        for customer in [each for each in self.line if each.leaves_at <= at]:
            self.line.remove(customer)
            self.past.appendleft(PastTicket(at - customer.at, True, None))

    def go(self, at: float, _: int) -> None:
        self.desks.remove(max(self.desks))

    def end(self, at: float, desk: int) -> None:
        customer, called_at = self.busy.pop(desk)
        self.past.appendleft(PastTicket(called_at - customer.at, False, at - called_at))
        self.all_services.append(at - called_at)

    def call(self, at: float) -> None:
        customer, desk = self.line.popleft(), min(self.free())
        customer.wait = self.last_wait = at - customer.at
        service = self.scenario.service() * self.scenario.mean_s
        if at >= NOON:
            service *= self.scenario.slower
        if self.scenario.leave and random.random() < self.scenario.leave / 3:
            service = 30.0  # called, and not there
        self.busy[desk] = customer, at
        self.add(at + service, "end", desk)

    def pace(self, at: float) -> wait_model.Pace:
        """The pace, of what was learned as often as the service learns it."""
        made_at, lasts, learned = self.learned
        if learned is None or at - made_at >= lasts:
            latest = list(islice(self.past, MAX_TICKETS))
            learned = wait_model.learn(latest, 180.0)
            self.learned = at, len(latest) / 20, learned
        busy = [at - self.busy[desk][1] for desk in self.desks if desk in self.busy]
        return wait_model.pace_of(learned, len(self.desks) - len(busy), busy)

    def tell(self, at: float, customer: Customer) -> None:
        ahead, desks = len(self.line), max(1, len(self.desks))
        pace = self.pace(at)
        ((ours, _),) = wait_model.wait_moments(pace, [ahead])
        average = statistics.fmean(self.all_services) if self.all_services else 180.0
        head = at - self.line[0].at if self.line else self.last_wait
        customer.told = ours, (ahead + 1) * average / desks, self.last_wait, head
        customer.best = (ahead + 1) * self.scenario.mean_s / desks
        (span,) = wait_model.wait_ranges(pace, [ahead])
        customer.span = span.from_s, span.to_s


def days(scenario: Scenario, seed: int, watch: bool = False) -> list[Customer]:
    """What happened on the day that counts: the first, or the one after a day of history."""
    random.seed(f"{scenario.name} {seed}")
    past, services = deque(maxlen=2 * MAX_TICKETS), []
    if not scenario.first:
        Line(scenario, past, services).run()
    return Line(scenario, past, services, watch).run()


def share(customers: list[Customer]) -> float:
    """How many were called within the range that they were told."""
    hits = [each.span[0] <= each.wait <= each.span[1] for each in customers]
    return statistics.fmean(hits) if hits else math.nan


def error(customers: list[Customer], which: Callable[[Customer], float]) -> float:
    """The mean squared error, relative to the squared mean wait."""
    mean = statistics.fmean(each.wait for each in customers)
    return statistics.fmean((which(each) - each.wait) ** 2 for each in customers) / mean**2


def rises(customers: list[Customer]) -> float:
    """How often in an hour the end of the range rose by two minutes or more, for no visible reason."""
    found = [
        to - before >= 120 and ahead <= ahead_before and desks >= desks_before
        for each in customers
        for (before, ahead_before, desks_before), (to, ahead, desks) in pairwise(each.path)
    ]
    return sum(found) / (sum(each.wait for each in customers) / HOUR)


def row(customers: list[Customer], watched: list[Customer], totals: dict[str, list[float]]) -> str:
    """One line of the table; adds to the totals."""
    errors = {name: error(customers, lambda each, n=n: each.told[n]) for n, name in enumerate(NAMES)}
    for name in NAMES:
        totals[name].append(errors[name])
    ratio = errors["ours"] / min(errors.values())
    truth = errors["ours"] / error(customers, lambda each: each.best)
    wide = [each for each in customers if each.span[1] - each.span[0] > 120]
    early = [each for each in customers if each.at < HOUR]
    held, held_wide, held_early = (100 * share(some) for some in (customers, wide, early))
    mostly = len(wide) >= 0.1 * len(customers)  # else the ranges are as short as minutes can be
    width = statistics.fmean(each.span[1] - each.span[0] for each in customers) / 60
    cells = [f"{len(customers)}", f"{statistics.fmean(each.wait for each in customers) / 60:.1f}"]
    cells += [f"{errors[name]:.3f}" for name in NAMES]
    cells += [f"{ratio:.2f}{'!' * (ratio > 1.1)}", f"{truth:.2f}", f"{held:.0f}{'!' * (held < 75)}"]
    cells += [f"{held_wide:.0f} of {100 * len(wide) / len(customers):.0f}{'!' * (mostly and held_wide > 90)}"]
    cells += [f"{held_early:.0f}{'!' * (held_early < 65)}", f"{width:.1f}", f"{rises(watched):.2f}"]
    return " | ".join(cells)


COLUMNS = "waits, mean, ours, length, last, head, ÷ best, ÷ truth, in range, if wide, 1st hour, width, rises"


def main() -> int:
    """Prints the table; 1 if a target is missed."""
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first-seed", type=int, default=1000)
    options.add_argument("--only", default="")
    asked = options.parse_args()
    totals, missed = {name: [] for name in NAMES}, False
    print(f"| scenario | {COLUMNS.replace(', ', ' | ')} |\n|---|{COLUMNS.count(', ') * '---|'}---|")
    for scenario in (each for each in SCENARIOS if asked.only in each.name):
        runs = [days(scenario, asked.first_seed + n, watch=n < 2) for n in range(asked.seeds)]
        cells = row([*chain(*runs)], [*chain(*runs[:2])], totals)
        missed = missed or "!" in cells
        print(f"| {scenario.name} | {cells} |", flush=True)
    means = {name: statistics.fmean(each) for name, each in totals.items()}
    print("| all | | | " + " | ".join(f"{mean:.3f}" for mean in means.values()) + " | | | | | | | |")
    return int(missed or means["ours"] > min(means.values()))


if __name__ == "__main__":
    sys.exit(main())
