"""The wait behind those who are ahead: its mean and its variance. Formulas only, no database.

Those ahead may be in several queues of the same desks. Each of them counts with the mean and the variance of
the services of their own queue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.core.wait_services import Services, rest_of_service, with_running


class BusyDesk(NamedTuple):
    """A desk that serves somebody."""

    queue_id: int
    elapsed_s: float  # since it called them


class _Customer(NamedTuple):
    """What somebody in a queue who waits adds to the wait of those behind them."""

    heads: float  # the share of them that is in this line
    stay: float  # the same, without those who will leave
    work_s: float  # expected time at a desk
    squares: float  # expected square of that time
    variance: float  # of the time at a desk, if they stay
    leaving: float  # variance since nobody knows who stays


class Line:
    """The line of a queue: the desks that serve it, and what is known of the services there.

    `shares` holds, by the id of a queue, the share of its customers who are in this line: that of its desks
    which serve this queue too.
    """

    def __init__(
        self,
        queue_id: int,
        free_desks: int,
        busy: Sequence[BusyDesk],
        services: Mapping[int, Services],
        shares: Mapping[int, float],
    ):
        own = services[queue_id]
        self.free_desks = free_desks
        self.desks = free_desks + len(busy)
        known = {id_: with_running(services[id_], _running(busy, id_)) for id_ in shares}
        self._uncertain = {id_: mean_scv for id_, (_, mean_scv) in known.items()}
        self._customers = {}
        for id_, share in shares.items():
            mean_s, scv = known[id_][0], services[id_].scv
            stay = 1 - services[id_].leave_share
            self._customers[id_] = _Customer(
                heads=share,
                stay=share * stay,
                work_s=share * stay * mean_s,
                squares=share * stay * mean_s * mean_s * (1 + scv),
                variance=share * stay * mean_s * mean_s * scv,
                leaving=share * stay * (1 - stay) * mean_s * mean_s,
            )
        self._own_mean_s = known[queue_id][0]
        self._own_squares = self._own_mean_s**2 * (1 + own.scv)
        rests = []
        self._at_desks_s: dict[int, float] = {}  # remaining work, by queue
        self._busy_squares = 0.0
        self._busy_means = 0.0
        for desk in busy:
            id_ = desk.queue_id if desk.queue_id in known else queue_id
            mean_s = known[id_][0]
            rest = rest_of_service(services[id_], mean_s, desk.elapsed_s)
            rests.append(rest)
            self._at_desks_s[id_] = self._at_desks_s.get(id_, 0.0) + rest[0]
            self._busy_means += mean_s
            self._busy_squares += mean_s * mean_s * (1 + services[id_].scv)
        self._rests = sorted(rest for rest, _ in rests)
        self._rest_s = sum(self._rests)
        self._rest_variance = sum(variance for _, variance in rests)

    def moments(self, ahead: Mapping[int, float]) -> tuple[float, float]:
        """Return the mean (s) and the variance (s²) of the wait behind so many in each queue, by id."""
        heads = stay = work_s = squares = variance = leaving = 0.0
        for id_, number in ahead.items():
            customer = self._customers.get(id_)
            if customer is not None:
                heads += number * customer.heads
                stay += number * customer.stay
                work_s += number * customer.work_s
                squares += number * customer.squares
                variance += number * customer.variance
                leaving += number * customer.leaving
        free, desks = self.free_desks, self.desks
        if heads < free:
            return 0.0, 0.0
        # The first in line go to the free desks at once.
        behind = 1 - free / heads if heads else 1.0
        begun_s = work_s / stay if stay else self._own_mean_s
        ends = 1 + (heads - free) * (stay / heads if heads else 1.0)  # services that must end before the call
        all_s = self._busy_means + work_s
        count = desks - free + stay
        if count:
            mean_service_s = all_s / count
            rest_at_call_s = (self._busy_squares + squares) / (2 * all_s)
            scv = max(0.0, (self._busy_squares + squares) * count / (all_s * all_s) - 1)
        else:
            mean_service_s = self._own_mean_s
            rest_at_call_s = self._own_squares / (2 * mean_service_s)
            scv = max(0.0, self._own_squares / mean_service_s**2 - 1)
        interval_s = mean_service_s / desks

        # Without randomness, desks end their services in turn.
        rests = sorted([*self._rests, *[begun_s] * free]) if free else self._rests
        rounds, position = divmod(ends - 1, desks)
        desk = int(position)
        next_s = rests[desk + 1] if desk + 1 < desks else rests[0] + begun_s
        in_turn_s = rounds * begun_s + rests[desk] + (position - desk) * (next_s - rests[desk])
        # With it, they end them like renewal processes in the long run: they share the work, and at the call
        # all of them but one have some left.
        work_left_s = self._rest_s + free * begun_s + behind * work_s
        renewal_s = (work_left_s - (desks - 1) * rest_at_call_s) / desks
        renewal_s = max(renewal_s, interval_s * ends / 2)
        randomness = min(1.0, 2 * math.sqrt(scv))
        mean_s = randomness * renewal_s + (1 - randomness) * in_turn_s

        under_way = (self._rest_variance + free * variance / (stay or 1.0)) / desks * min(desks, ends)
        not_begun = variance * behind * max(0.0, ends - desks) / (ends - 1) if ends > 1 else 0.0
        # At the call, nobody knows in what phase the other desks are: gamma-distributed services
        phases = randomness * max(0.0, 1 - scv * scv) / 6 * mean_service_s**2 * min(desks - 1, ends - 1)
        total = (under_way + not_begun + phases + leaving * behind) / desks**2
        return mean_s, total + self._doubt(ahead) * mean_s * mean_s

    def _doubt(self, ahead: Mapping[int, float]) -> float:
        """Return how wrong the mean wait may be, as an scv, since no queue's mean service is known exactly."""
        squares = total_s = 0.0
        for id_, uncertain in self._uncertain.items():
            work_s = self._at_desks_s.get(id_, 0.0) + ahead.get(id_, 0.0) * self._customers[id_].work_s
            total_s += work_s
            squares += work_s * work_s * uncertain
        return squares / (total_s * total_s) if total_s else 0.0


def _running(busy: Sequence[BusyDesk], queue_id: int) -> list[float]:
    return [desk.elapsed_s for desk in busy if desk.queue_id == queue_id]
