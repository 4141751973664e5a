"""How good the estimated wait is, on simulated days of places whose truth is known.

    python tests/bench/wait.py [--seeds 20] [--first-seed 1000] [--only rush] [--held-out]

The columns of the table are explained in docs/wait.md. What misses a goal has an exclamation mark, and makes
the status 1. Constants were tuned with seeds below 1000, and without the scenarios in HELD_OUT.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from app.core.models import WaitRange
from app.core.wait_line import DeskAtWork, DeskLine, ShortestLine, line_of
from app.core.wait_range import Levels, RangeOutcome, learn_levels, range_of
from app.core.wait_services import MAX_TICKETS, PastTicket, Services, learn

HOUR, CLOSES = 3600.0, 8 * 3600.0  # since the place opened, at nine
NOON = 3 * HOUR
NAMES = ("ours", "length", "last", "head")
WATCH_S = 20.0  # how often a waiting customer looks at their ticket
WATCHED_DAYS = 6  # so many of each kind, since it takes long

Duration = Callable[[], float]  # draws a service, relative to the mean


# ----- scenarios


def lognormal(spread: float) -> Duration:
    """Services of mean 1 whose logarithm has this standard deviation."""
    return lambda: random.lognormvariate(-spread * spread / 2, spread)


def bimodal(share: float, long: float) -> Duration:
    """Services of mean 1: mostly quick ones, and a share that takes so many times as long."""
    quick = 1 / (1 - share + share * long)
    vary = lognormal(0.3)
    return lambda: vary() * quick * (long if random.random() < share else 1.0)


def hyperexponential() -> float:
    """Services of mean 1: a mixture of two exponential ones."""
    return random.expovariate(1.0) * (4.4 if random.random() < 0.15 else 0.4)


EXPONENTIAL, FIXED = (lambda: random.expovariate(1.0)), (lambda: 1.0)


@dataclass
class Kind:
    """The customers of one queue."""

    mean_s: float = 180.0
    service: Duration = EXPONENTIAL
    arrivals: float = 1.0  # relative to the other queues


@dataclass
class Scenario:
    """Days of a place: who comes, who serves, and what is known beforehand."""

    name: str
    desks: int
    service: Duration = EXPONENTIAL
    mean_s: float = 180.0
    load: float = 0.92  # arrivals for each service that the desks could give
    rush: tuple[float, float, float] = (0, 0, 1)  # from, to: so many times as many arrive
    away: Sequence[tuple[float, float]] = ()  # of each desk in turn: from, to
    leave: float = 0.0  # the share who leave while they wait, some of them when they are called
    first: bool = False  # the first day: nothing but the owner's guess
    guess_s: float = 180.0
    speed: Callable[[float], float] = lambda at: 1.0  # services that begin then take so many times as long
    days: Callable[[], float] = lambda: 1.0  # the same, drawn for each day
    queues: Sequence[Kind] = ()  # instead of one
    of_desks: Sequence[Sequence[int]] = ()  # the queues that each desk serves; all, if not given


QUICK_LONG = (Kind(120, lognormal(0.5), 3), Kind(900, lognormal(0.5), 1))
LUNCH = [(2.5 * HOUR + n * 1800, 2.5 * HOUR + (n + 1) * 1800) for n in range(4)]

SCENARIOS = [
    *(Scenario(f"{n} desk{'s' * (n > 1)}, exponential", n) for n in (1, 2, 3, 5)),
    Scenario("1 desk, log-normal", 1, lognormal(0.5)),
    Scenario("3 desks, log-normal", 3, lognormal(0.5)),
    Scenario("4 desks, wide log-normal", 4, lognormal(1.0)),
    Scenario("1 desk, fixed", 1, FIXED),
    Scenario("3 desks, fixed", 3, FIXED),
    Scenario("2 desks, lunch rush", 2, lognormal(0.7), load=0.8, rush=(NOON, NOON + HOUR, 2.2)),
    Scenario("5 desks, lunch rush", 5, load=0.8, rush=(NOON, NOON + HOUR, 2.2)),
    Scenario("3 desks, one leaves at noon", 3, lognormal(0.5), load=0.75, away=[(NOON, 99 * HOUR)]),
    Scenario("2 desks, one leaves at noon", 2, load=0.6, away=[(NOON, 99 * HOUR)]),
    Scenario("2 desks, 10 % leave", 2, leave=0.1, load=1.0),
    Scenario("4 desks, 10 % leave, rush", 4, lognormal(0.7), leave=0.1, rush=(NOON, NOON + HOUR, 1.8)),
    Scenario(
        "2 desks, a quarter slower from noon",
        2,
        lognormal(0.5),
        load=0.75,
        speed=lambda at: 1.25 if at >= NOON else 1.0,
    ),
    Scenario("first day, 1 desk", 1, first=True),
    Scenario("first day, 3 desks", 3, lognormal(0.5), first=True),
    Scenario("first day, fixed 4 minutes", 2, FIXED, mean_s=240, first=True),
    Scenario("first day, services of 5 min", 3, mean_s=300, first=True),
    Scenario("first day, services of 90 s", 2, lognormal(0.7), mean_s=90, first=True),
    # Kinds of days that shops have:
    Scenario("a quick and a long queue", 3, queues=QUICK_LONG),
    Scenario(
        "two queues, one thrice the other",
        3,
        queues=(Kind(120, lognormal(0.5), 2), Kind(360, lognormal(0.5), 1)),
    ),
    Scenario("first day, 5 times the guess", 3, lognormal(0.5), mean_s=900, first=True),
    Scenario(
        "2 desks, half as long again from noon",
        2,
        lognormal(0.5),
        load=0.7,
        speed=lambda at: 1.5 if at >= NOON else 1.0,
    ),
    Scenario("4 desks, lunch one after the other", 4, lognormal(0.5), load=0.88, away=LUNCH),
    Scenario("2 desks, bimodal", 2, bimodal(0.1, 10)),
    Scenario("3 desks, bimodal", 3, bimodal(0.15, 8)),
    Scenario("3 desks, waits of a minute or two", 3, lognormal(0.5), mean_s=90, load=0.75),
]

HELD_OUT = [
    Scenario(
        "three queues, 1, 5 and 12 minutes",
        4,
        queues=(Kind(60, lognormal(0.5), 4), Kind(300, EXPONENTIAL, 2), Kind(720, lognormal(0.6), 1)),
    ),
    Scenario(
        "two queues, desks of their own and a shared one",
        3,
        queues=(Kind(150, lognormal(0.5), 3), Kind(600, lognormal(0.5), 1)),
        of_desks=([0], [0, 1], [0, 1]),
        load=0.85,
    ),
    Scenario("first day, a third of the guess", 3, lognormal(0.5), mean_s=200, guess_s=600, first=True),
    Scenario("first day, 8 times the guess, exponential", 2, mean_s=960, guess_s=120, first=True),
    Scenario("first day, twice the guess, 1 desk", 1, lognormal(0.5), mean_s=360, first=True),
    Scenario(
        "first day, quick and long, guess of 3 min each",
        3,
        queues=(Kind(120, lognormal(0.5), 3), Kind(720, lognormal(0.5), 1)),
        first=True,
    ),
    Scenario(
        "a third quicker in the afternoon",
        3,
        lognormal(0.5),
        load=1.0,
        speed=lambda at: 0.67 if at >= 4 * HOUR else 1.0,
    ),
    Scenario(
        "twice as long between two and three",
        3,
        lognormal(0.6),
        load=0.7,
        speed=lambda at: 2.0 if 5 * HOUR <= at < 6 * HOUR else 1.0,
    ),
    Scenario("each day another pace", 2, lognormal(0.5), load=0.8, days=lambda: random.choice([0.7, 1, 1.3])),
    Scenario("slower and slower", 3, lognormal(0.5), load=0.75, speed=lambda at: 1 + 0.06 * at / HOUR),
    Scenario(
        "3 desks, breaks of 15 minutes each",
        3,
        lognormal(0.5),
        load=0.85,
        away=[(2 * HOUR, 2.25 * HOUR), (2.5 * HOUR, 2.75 * HOUR), (3 * HOUR, 3.25 * HOUR)],
    ),
    Scenario("1 desk, one break of half an hour", 1, lognormal(0.5), load=0.8, away=[(NOON, NOON + 1800)]),
    Scenario("a second desk comes at noon", 2, lognormal(0.5), load=0.55, away=[(0, NOON)]),
    Scenario("1 desk, bimodal", 1, bimodal(0.1, 8), load=0.85),
    Scenario("3 desks, trimodal, 10 % leave", 3, lambda: random.choice([0.3, 0.5, 0.6, 2.6]), leave=0.1),
    Scenario("5 desks, bimodal, lunch rush", 5, bimodal(0.05, 15), load=0.85, rush=(NOON, NOON + HOUR, 1.8)),
    Scenario("8 desks, quick services", 8, lognormal(0.6), mean_s=60, load=0.97),
    Scenario("1 desk, a fifth takes six times as long", 1, bimodal(0.2, 6), load=0.85),
    Scenario("2 desks, very wide log-normal", 2, lognormal(1.2), load=0.85),
    Scenario("3 desks, hyperexponential", 3, hyperexponential, load=0.88),
    Scenario("4 desks, bimodal, 10 % leave", 4, bimodal(0.08, 12), load=0.95, leave=0.1),
]


# ----- a simulated day


@dataclass
class Customer:
    """A customer, and what was shown when they came: a number by each estimator, and a range."""

    at: float
    queue: int
    told: tuple[float, ...] = ()
    span: WaitRange | None = None
    leaves_at: float = math.inf
    least_s: float = math.inf  # of the ends of the ranges seen later
    rose: bool = False
    ends: list[float] = field(default_factory=list)  # of the ranges seen later, on the clock
    wait: float | None = None


@dataclass
class Memory:
    """What the service keeps of the days, by queue."""

    past: list[deque[PastTicket]]
    outcomes: list[deque[RangeOutcome]]
    all_services: list[float]
    last_waits: list[float]


class Estimator:
    """Estimates as the service does, which looks up what it learned as often."""

    def __init__(self, day: Day):
        self.day = day
        self.learned: dict[int, tuple[float, float, Services, Levels]] = {}

    def services(self, at: float, queue: int) -> tuple[Services, Levels]:
        known = self.learned.get(queue)
        if known is None or at - known[0] >= known[1]:
            latest = list(islice(self.day.memory.past[queue], MAX_TICKETS))
            overdue = [
                RangeOutcome(at - each.at, each.span.from_s, each.span.to_s)
                for each in islice((c for c in self.day.line if c.queue == queue), 100)
                if each.span is not None and at - each.at > each.span.to_s
            ]
            services = learn(latest, self.day.scenario.guess_s, self.day.name)
            levels = learn_levels(chain(self.day.memory.outcomes[queue], overdue), services.scv)
            known = at, len(latest) / 20, services, levels
            self.learned[queue] = known
        return known[2], known[3]

    def line(self, at: float, queue: int) -> tuple[DeskLine | ShortestLine | None, Levels]:
        day = self.day
        learned = [self.services(at, each) for each in range(len(day.kinds))]
        services = {each: known for each, (known, _) in enumerate(learned)}
        desks: dict[int, dict[int, DeskAtWork]] = {each: {} for each in services}
        for desk in day.present:
            state = DeskAtWork()
            if desk in day.busy:
                customer, called_at = day.busy[desk]
                state = DeskAtWork(customer.queue, at - called_at)
            for each in day.serves(desk):
                desks[each][desk] = state
        return line_of(queue, desks, services), learned[queue][1]

    def estimate(self, at: float, queue: int, ahead: dict[int, int]) -> tuple[float, WaitRange] | None:
        """Return the mean wait and the range behind so many in each queue; None while no desk is there."""
        line, levels = self.line(at, queue)
        if line is None:
            return None
        mean_s, variance = line.behind(ahead)
        return mean_s, range_of(mean_s, variance, levels)

    def along(
        self, at: float, queue: int, waiting: Collection[int], promised_s: Sequence[float | None]
    ) -> list[WaitRange]:
        """Return the range of each ticket that waits in a queue; none while no desk is there.

        `waiting` holds the id of the queue of each in the line, `promised_s` is as for range_of().
        """
        line, levels = self.line(at, queue)
        if line is None:
            return []
        moments = zip(line.along(queue, waiting), promised_s, strict=False)  # the last one is of a newcomer
        return [range_of(mean_s, variance, levels, each_s) for (mean_s, variance), each_s in moments]


@dataclass
class Day:
    """A simulated day, from nine to five and until the last is served."""

    scenario: Scenario
    memory: Memory
    name: str = ""
    watch: bool = False
    estimator: Callable[[Day], Estimator] = Estimator
    seen: list[Customer] = field(default_factory=list)
    line: list[Customer] = field(default_factory=list)
    busy: dict[int, tuple[Customer, float]] = field(default_factory=dict)

    def run(self) -> list[Customer]:
        """Return those who had to wait and were called."""
        scenario = self.scenario
        self.kinds = scenario.queues or [Kind(scenario.mean_s, scenario.service)]
        self.pace = scenario.days()
        self.present = set(range(scenario.desks))
        self.events: list[tuple[float, int, str, int]] = []
        self.number = 0
        self.watched_at = 0.0
        self.estimates = self.estimator(self)
        arrivals = [kind.arrivals for kind in self.kinds]
        mean_s = sum(kind.mean_s * kind.arrivals for kind in self.kinds) / sum(arrivals)
        self.rate = scenario.desks * scenario.load / mean_s
        self.arrivals = arrivals
        self.add(self.next_arrival(0.0), "come")
        for desk, (start, end) in enumerate(scenario.away):
            self.add(start, "go", scenario.desks - 1 - desk)
            self.add(end, "back", scenario.desks - 1 - desk)
        while self.events:
            at, _, kind, which = heapq.heappop(self.events)
            if at > 20 * HOUR:
                break
            getattr(self, kind)(at, which)
            self.call_all(at)
            if self.watch and at >= self.watched_at + WATCH_S:
                self.watched_at = at
                self.look(at)
        return [each for each in self.seen if each.wait is not None]

    def add(self, at: float, kind: str, which: int = 0) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, kind, which))

    def serves(self, desk: int) -> Sequence[int]:
        return self.scenario.of_desks[desk] if self.scenario.of_desks else range(len(self.kinds))

    def free(self) -> list[int]:
        return [desk for desk in sorted(self.present) if desk not in self.busy]

    def next_arrival(self, at: float) -> float:
        start, end, times = self.scenario.rush
        most = max(1.0, times)
        while True:
            at += random.expovariate(self.rate * most)
            now = times if start <= at < end else 1.0
            if random.random() < now / most:
                return at

    def come(self, at: float, _: int) -> None:
        if at > CLOSES:
            return
        self.add(self.next_arrival(at), "come")
        queue = random.choices(range(len(self.kinds)), self.arrivals)[0] if len(self.kinds) > 1 else 0
        customer = Customer(at, queue)
        if random.random() < self.scenario.leave:
            customer.leaves_at = at + random.expovariate(1 / 600)
            self.add(customer.leaves_at, "leave")
        if not any(queue in self.serves(desk) for desk in self.free()):
            self.tell(at, customer)
            if customer.span is not None:
                self.seen.append(customer)
        self.line.append(customer)

    def leave(self, at: float, _: int) -> None:
        for customer in [each for each in self.line if each.leaves_at <= at]:
            self.line.remove(customer)
            self.memory.past[customer.queue].appendleft(PastTicket(at - customer.at, True, None, self.name))

    def go(self, at: float, desk: int) -> None:
        self.present.discard(desk)

    def back(self, at: float, desk: int) -> None:
        self.present.add(desk)

    def end(self, at: float, desk: int) -> None:
        customer, called_at = self.busy.pop(desk)
        ticket = PastTicket(called_at - customer.at, False, at - called_at, self.name)
        self.memory.past[customer.queue].appendleft(ticket)
        self.memory.all_services.append(at - called_at)

    def call_all(self, at: float) -> None:
        for desk in self.free():
            served = self.serves(desk)
            customer = next((each for each in self.line if each.queue in served), None)
            if customer is not None:
                self.call(at, desk, customer)

    def call(self, at: float, desk: int, customer: Customer) -> None:
        self.line.remove(customer)
        customer.wait = self.memory.last_waits[customer.queue] = at - customer.at
        kind = self.kinds[customer.queue]
        service = kind.service() * kind.mean_s * self.scenario.speed(at) * self.pace
        if self.scenario.leave and random.random() < self.scenario.leave / 3:
            service = 30.0  # called, and not there
        self.busy[desk] = customer, at
        self.add(at + service, "end", desk)
        if customer.span is not None:
            outcome = RangeOutcome(customer.wait, customer.span.from_s, customer.span.to_s)
            self.memory.outcomes[customer.queue].append(outcome)

    def tell(self, at: float, customer: Customer) -> None:
        ahead = dict.fromkeys(range(len(self.kinds)), 0)
        for each in self.line:
            ahead[each.queue] += 1
        estimate = self.estimates.estimate(at, customer.queue, ahead)
        if estimate is None:
            return
        ours, customer.span = estimate
        services = self.memory.all_services
        average = statistics.fmean(services) if services else self.scenario.guess_s
        own = [each for each in self.line if each.queue == customer.queue]
        last = self.memory.last_waits[customer.queue]
        head = at - own[0].at if own else last
        desks = sum(customer.queue in self.serves(desk) for desk in self.present)
        customer.told = ours, (len(self.line) + 1) * average / desks, last, head
        customer.least_s = customer.span.to_s

    def look(self, at: float) -> None:
        """All who wait look at their tickets: when does the range end, and did that rise by much?"""
        waiting = [each.queue for each in self.line]
        for queue in set(waiting):
            who = [each for each in self.line if each.queue == queue]
            promised_s = [each.at + each.span.to_s - at if each.span else None for each in who]
            ranges = self.estimates.along(at, queue, waiting, promised_s)
            for each, span in zip(who, ranges, strict=bool(ranges)):
                if each.span is None:
                    continue
                if span.to_s > 1.25 * each.least_s and span.to_s >= each.least_s + 120:
                    each.rose = True
                each.least_s = min(each.least_s, span.to_s)
                each.ends.append(at + span.to_s)


def days(
    scenario: Scenario, seed: int, watch: bool = False, estimator: Callable[[Day], Estimator] = Estimator
) -> list[Customer]:
    """Return who waited on the day that counts: the first, or the one after a day of history."""
    random.seed(f"{scenario.name} {seed}")
    count = max(1, len(scenario.queues))
    memory = Memory(
        past=[deque(maxlen=2 * MAX_TICKETS) for _ in range(count)],
        outcomes=[deque(maxlen=MAX_TICKETS) for _ in range(count)],
        all_services=[],
        last_waits=[0.0] * count,
    )
    if not scenario.first:
        Day(scenario, memory, "yesterday", estimator=estimator).run()
    return Day(scenario, memory, "today", watch, estimator).run()


# ----- the table


def share(customers: Sequence[Customer], condition: Callable[[Customer], bool]) -> float:
    """Return for how many per cent a condition holds."""
    return 100 * statistics.fmean(condition(each) for each in customers) if customers else math.nan


def is_within(customer: Customer) -> bool:
    return customer.span.from_s <= customer.wait <= customer.span.to_s


def is_late(customer: Customer) -> bool:
    return customer.wait > customer.span.to_s


def error(customers: Sequence[Customer], which: Callable[[Customer], float]) -> float:
    """Return the mean squared error, relative to the squared mean wait."""
    mean = statistics.fmean(each.wait for each in customers)
    return statistics.fmean((which(each) - each.wait) ** 2 for each in customers) / mean**2


def middle(customer: Customer) -> float:
    return (customer.span.from_s + customer.span.to_s) / 2


def mark(value: float, is_good: bool) -> str:
    return f"{value:.0f}{'' if is_good or math.isnan(value) else '!'}"


def row(customers: list[Customer], watched: list[Customer], totals: dict[str, list[float]]) -> str:
    """Return one line of the table; adds to the totals."""
    errors = {name: error(customers, lambda each, n=n: each.told[n]) for n, name in enumerate(NAMES)}
    for name in NAMES:
        totals[name].append(errors[name])
    ratio = errors["ours"] / min(errors.values())
    mostly = share(customers, lambda each: each.span.to_s - each.span.from_s > 120)  # else as short as can be
    within, late = share(customers, is_within), share(customers, is_late)
    queues = [[each for each in customers if each.queue == queue] for queue in {c.queue for c in customers}]
    worst = min(share(some, is_within) for some in queues)
    first = share([each for each in customers if each.at < HOUR], is_within)
    rose = share(watched, lambda each: each.rose)
    seen = [each.at + each.wait <= end for each in watched for end in each.ends]
    held = 100 * statistics.fmean(seen) if seen else math.nan
    width = statistics.fmean(each.span.to_s - each.span.from_s for each in customers) / 60
    cells = [f"{len(customers)}", f"{statistics.fmean(each.wait for each in customers) / 60:.1f}"]
    cells += [f"{errors[name]:.3f}" for name in NAMES]
    cells += [f"{error(customers, middle):.3f}", f"{ratio:.2f}{'!' * (ratio > 1.1)}"]
    cells += [mark(within, within >= 78 and (within <= 90 or mostly < 10)), mark(worst, worst >= 75)]
    cells += [mark(late, late <= 12), mark(first, first >= 72), f"{width:.1f}"]
    cells += [mark(rose, rose <= 5), mark(held, held >= 75)]
    return " | ".join(cells)


COLUMNS = (
    "waits, mean, ours, length, last, head, middle, ÷ best, "
    "in range, queue, after, 1st hour, width, rises, held"
)


def main() -> int:
    """Prints the table; 1 if a goal is missed."""
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first-seed", type=int, default=1000)
    options.add_argument("--only", default="")
    options.add_argument("--held-out", action="store_true", help="the scenarios that nothing was tuned with")
    asked = options.parse_args()
    totals, missed = {name: [] for name in NAMES}, False
    print(f"| scenario | {COLUMNS.replace(', ', ' | ')} |\n|---|{COLUMNS.count(', ') * '---|'}---|")
    for scenario in HELD_OUT if asked.held_out else SCENARIOS:
        if asked.only in scenario.name:
            runs = [days(scenario, asked.first_seed + n, watch=n < WATCHED_DAYS) for n in range(asked.seeds)]
            cells = row([*chain(*runs)], [*chain(*runs[:WATCHED_DAYS])], totals)
            missed = missed or "!" in cells
            print(f"| {scenario.name} | {cells} |", flush=True)
    means = {name: statistics.fmean(each) for name, each in totals.items()}
    print("| all | | | " + " | ".join(f"{mean:.3f}" for mean in means.values()) + " |" + 9 * " |")
    return int(missed or means["ours"] > min(means.values()))


if __name__ == "__main__":
    sys.exit(main())
