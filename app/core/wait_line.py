"""The wait in a line that desks serve: its mean and its variance. Formulas only, no database.

Desks may serve several queues, and call in the order in which people joined. So those ahead may be in other
queues of the same desks. Each of them counts with the mean and the variance of the services of their own
queue. So does each customer who is at a desk.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.core.wait_services import Services, rest_of_service, with_running


class DeskAtWork(NamedTuple):
    """A desk at work: of which queue and for how many seconds it has been serving somebody, if it is busy."""

    queue_id: int | None = None
    elapsed_s: float | None = None


class Away(NamedTuple):
    """A customer who lets others go first, as seen by those behind them."""

    queue_id: int
    rest_s: float  # for so many seconds from now


class Moments(NamedTuple):
    """The mean (s) and the variance (s²) of a wait."""

    mean_s: float
    variance: float


class _Customer(NamedTuple):
    """What a customer who waits in a queue adds to the wait of those behind them."""

    present: float  # the share of such customers who are in this line
    stay: float  # the share who are in it and won't leave
    work_s: float  # the mean time that desks will spend on one, those who leave included
    work_squared: float  # the mean of its square
    variance: float  # of that time, for those who stay
    leaving: float  # the variance that comes from not knowing who stays
    mean_scv: float  # how wrong the mean service may be


@dataclass(slots=True)
class _Ahead:
    """The sums over those who are ahead."""

    mean_scv: Mapping[int, float]
    works_s: dict[int, float]  # by queue, the work at the desks included
    present: float = 0.0
    stay: float = 0.0
    work_s: float = 0.0
    work_squared: float = 0.0
    variance: float = 0.0
    leaving: float = 0.0
    all_work_s: float = field(init=False)  # the work at the desks included
    doubt: float = field(init=False)  # the variance that comes from not knowing the means

    def __post_init__(self) -> None:
        self.all_work_s = sum(self.works_s.values())
        self.doubt = sum(self.mean_scv[id_] * work_s * work_s for id_, work_s in self.works_s.items())

    def add(self, queue_id: int, customer: _Customer, number: float) -> None:
        """Add so many customers of a queue."""
        present, stay, work_s, work_squared, variance, leaving, mean_scv = customer
        self.present += number * present
        self.stay += number * stay
        self.work_squared += number * work_squared
        self.variance += number * variance
        self.leaving += number * leaving
        added_s = number * work_s
        self.work_s += added_s
        self.all_work_s += added_s
        before_s = self.works_s.get(queue_id, 0.0)
        self.works_s[queue_id] = before_s + added_s
        self.doubt += mean_scv * added_s * (2 * before_s + added_s)


class DeskLine:
    """The line of a queue with desks on duty: those free, those busy, and what is known of the services.

    `shares` holds, by the id of a queue, the share of its customers who are in this line: that of its desks
    which serve this queue too. It is 1 for the queue itself.
    """

    def __init__(
        self,
        queue_id: int,
        desks: Collection[DeskAtWork],
        services: Mapping[int, Services],
        shares: Mapping[int, float],
    ):
        self._desks = len(desks)
        busy = []
        running: dict[int, list[float]] = {}
        for desk in desks:
            if desk.elapsed_s is not None:
                # A call by a desk that has a call list too counts as a service of this queue.
                id_ = queue_id if desk.queue_id is None or desk.queue_id not in shares else desk.queue_id
                busy.append((id_, desk.elapsed_s))
                running.setdefault(id_, []).append(desk.elapsed_s)
        self._free = len(desks) - len(busy)
        self._customers: dict[int, _Customer] = {}
        means_s = {}
        for id_, share in shares.items():
            means_s[id_], mean_scv = with_running(services[id_], running.get(id_, []))
            self._customers[id_] = _customer(services[id_], means_s[id_], mean_scv, share)
        self._mean_scv = {id_: customer.mean_scv for id_, customer in self._customers.items()}

        rests_s = []
        self._rest_variance = 0.0
        self._works_s: dict[int, float] = {}  # that is left at the busy desks
        self._busy_s = self._busy_squared = 0.0  # sums of the mean services there, and of their mean squares
        for id_, elapsed_s in busy:
            rest_s, variance = rest_of_service(services[id_], means_s[id_], elapsed_s)
            rests_s.append(rest_s)
            self._rest_variance += variance
            self._works_s[id_] = self._works_s.get(id_, 0.0) + rest_s
            self._busy_s += means_s[id_]
            self._busy_squared += means_s[id_] ** 2 * (1 + services[id_].scv)
        self._rests_s = sorted(rests_s)
        self._rest_s = sum(rests_s)

    @property
    def queue_ids(self) -> list[int]:
        """Return the ids of the queues that may be in this line."""
        return [*self._customers]

    @property
    def desks(self) -> int:
        """Return the number of desks."""
        return self._desks

    def work_of_one_s(self, queue_id: int) -> float:
        """Return the mean time that the desks will spend on a customer who joins a queue."""
        customer = self._customers.get(queue_id)
        return customer.work_s if customer else 0.0

    def work_s(self, ahead: Mapping[int, float]) -> float:
        """Return the mean time that the desks will spend on those there, and on so many of each queue."""
        return self._rest_s + sum(number * self.work_of_one_s(id_) for id_, number in ahead.items())

    def behind(self, ahead: Mapping[int, float]) -> Moments:
        """Return the moments of the wait behind so many customers in each queue, by id."""
        sums = _Ahead(self._mean_scv, dict(self._works_s))
        for queue_id, number in ahead.items():
            if number and queue_id in self._customers:
                sums.add(queue_id, self._customers[queue_id], number)
        return self._moments(sums)

    def along(self, queue_id: int, waiting: Iterable[int]) -> Iterator[Moments]:
        """Yield the moments of the wait of each ticket that waits in a queue, and then of a newcomer.

        `waiting` holds the id of the queue of each waiting ticket of the place, in the order of the calls.
        """
        sums = _Ahead(self._mean_scv, dict(self._works_s))
        for other_id in waiting:
            if other_id == queue_id:
                yield self._moments(sums)
            customer = self._customers.get(other_id)
            if customer is not None:
                sums.add(other_id, customer, 1)
        yield self._moments(sums)

    def _moments(self, ahead: _Ahead) -> Moments:
        """Return the moments of the wait behind those ahead.

        Between two models, the more services vary, the more the second one counts: without randomness, desks
        end their services in turn. With it, they are renewal processes in the long run. They share the work,
        and at the moment of the call, all desks but one have some left: E[S²] / 2 E[S] each.
        """
        free, desks = self._free, self._desks
        if ahead.present < free:
            return Moments(0.0, 0.0)
        begun_s = ahead.work_s / ahead.stay if ahead.stay else 0.0  # a mean service of those ahead
        stay_share = ahead.stay / ahead.present if ahead.present else 1.0
        not_at_once = 1 - free / ahead.present if ahead.present else 1.0  # the first go to the free desks
        ends = 1 + (ahead.present - free) * stay_share  # services that must end before the call

        number = desks - free + ahead.stay
        sum_s, sum_squared = self._busy_s + ahead.work_s, self._busy_squared + ahead.work_squared
        mean_s = sum_s / number
        scv = max(0.0, sum_squared * number / (sum_s * sum_s) - 1)

        rests_s = sorted(self._rests_s + free * [begun_s]) if free else self._rests_s
        rounds, position = divmod(ends - 1, desks)
        desk = int(position)
        next_s = rests_s[desk + 1] if desk + 1 < desks else rests_s[0] + (begun_s or mean_s)
        in_turn_s = rounds * begun_s + rests_s[desk] + (position - desk) * (next_s - rests_s[desk])
        work_s = self._rest_s + free * begun_s + not_at_once * ahead.work_s
        renewal_s = max((work_s - (desks - 1) * sum_squared / sum_s / 2) / desks, mean_s / desks * ends / 2)
        randomness = min(1.0, 2 * math.sqrt(scv))
        wait_s = randomness * renewal_s + (1 - randomness) * in_turn_s

        variance = self._rest_variance
        if ahead.stay:
            variance += free * ahead.variance / ahead.stay
        variance *= min(1.0, ends / desks)
        if ends > desks:
            variance += ahead.variance * not_at_once * (ends - desks) / (ends - 1)
        # By then, nobody knows how far the services at the other desks are. This is the constant term in the
        # variance of a renewal process with gamma distributed services: Cox, "Renewal Theory" (1962), ch. 4.
        phases = randomness * max(0.0, 1 - scv * scv) / 6 * mean_s * mean_s
        variance += phases * min(desks - 1, ends - 1) + ahead.leaving * not_at_once
        doubt_scv = ahead.doubt / ahead.all_work_s**2 if ahead.all_work_s else 0.0
        return Moments(wait_s, variance / desks**2 + doubt_scv * wait_s * wait_s)


def _customer(services: Services, mean_s: float, mean_scv: float, share: float) -> _Customer:
    stay = 1 - services.leave_share
    mean_squared = share * stay * mean_s * mean_s
    return _Customer(
        present=share,
        stay=share * stay,
        work_s=share * stay * mean_s,
        work_squared=mean_squared * (1 + services.scv),
        variance=mean_squared * services.scv,
        leaving=mean_squared * (1 - stay),
        mean_scv=mean_scv,
    )


class ShortestLine:
    """Several lines at once: that of all desks, and that of the desks which serve no other queue."""

    def __init__(self, lines: list[DeskLine]):
        self._lines = lines
        self.queue_ids = lines[0].queue_ids

    def behind(self, ahead: Mapping[int, float]) -> Moments:
        """Return the moments of the shortest wait behind so many customers in each queue, by id."""
        return min(line.behind(ahead) for line in self._lines)

    def along(self, queue_id: int, waiting: Collection[int]) -> Iterator[Moments]:
        """Yield the moments of the wait of each ticket that waits in a queue, and then of a newcomer."""
        for moments in zip(*(line.along(queue_id, waiting) for line in self._lines), strict=True):
            yield min(moments)


def line_of(
    queue_id: int, desks: Mapping[int, Mapping[int, DeskAtWork]], services: Mapping[int, Services]
) -> DeskLine | ShortestLine | None:
    """Return the line of a queue, given the desks at work in each queue, by id; None if it has none."""
    own = desks[queue_id]
    if not own:
        return None
    shares = {queue_id: 1.0}
    alone = dict(own)  # desks that serve no other queue
    for other_id, others in desks.items():
        shared = own.keys() & others.keys()
        if shared and other_id != queue_id:
            shares[other_id] = len(shared) / len(others)
            alone = {id_: desk for id_, desk in alone.items() if id_ not in shared}
    line = DeskLine(queue_id, own.values(), services, shares)
    if not alone or len(alone) == len(own):
        return line
    # However many wait for other desks, these go on.
    return ShortestLine([line, DeskLine(queue_id, alone.values(), services, {queue_id: 1.0})])
