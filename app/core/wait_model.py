"""The model behind the estimated wait: formulas only, no database. docs/wait.md explains and evaluates it.

Durations are in seconds. `scv` is a squared coefficient of variation: the variance divided by the square of
the mean. It is 0 when all services take the same time, and 1 when they are exponentially distributed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.core.models import WaitRange

MAX_TICKETS = 1000  # the latest tickets of a queue that the model learns from
RECENT_SERVICES = 100  # a change shows when the mean of so many services differs from that of all
MAX_KNOWN_BY = 150.0  # a mean is never known better than by so many services, since each day is different
GUESS_SCV = 0.3  # uncertainty of the owner's guess: it may be wrong by a factor of two
FORGOTTEN_MEDIANS = 10  # somebody forgot to end a service that took more than so many medians
MAX_LEAVE_SHARE = 0.5
Z_90 = 1.2816  # the standard normal distribution's 90 % quantile


class PastTicket(NamedTuple):
    """How long an ended ticket waited and was served. A tuple, since a thousand are made at once."""

    waited_s: float
    left: bool  # the customer left the line before being called
    service_s: float | None  # time that a desk spent on it; None: it was never at a desk


@dataclass(frozen=True)
class Experience:
    """What the past tickets of a queue teach."""

    service_s: float  # mean duration of a service
    known_by: float  # number of services that the mean is known by; the owner's guess counts for some
    scv: float  # of the duration of a service
    max_service_s: float  # a service that takes longer counts as taking so long
    leave_share: float  # share of those in line who will leave it, from 0 to 0.5
    is_complete: bool  # it covers all past tickets of the queue, not just the latest


@dataclass(frozen=True)
class Pace:
    """How fast a line moves."""

    free_desks: int
    busy_s: tuple[float, ...]  # of each busy desk: seconds since it called its customer
    service_s: float  # mean duration of a service
    scv: float  # of the duration of a service
    mean_scv: float  # of our knowledge of `service_s`: how wrong that may be
    leave_share: float  # share of those in line who will leave it


def learn(latest: Sequence[PastTicket], usual_service_s: float) -> Experience:
    """Return what the latest tickets of a queue, newest first, and the owner's guess of a service teach.

    The guess weighs as much as it is certain, so it fades as customers are served.
    """
    services = [ticket.service_s for ticket in latest if ticket.service_s is not None]
    count = len(services)
    median_s = sorted([*services, usual_service_s])[count // 2]
    max_service_s = FORGOTTEN_MEDIANS * median_s
    services = [min(service_s, max_service_s) for service_s in services]
    mean_s = (sum(services) + usual_service_s) / (count + 1)
    scv = (0.5 + sum((service_s / mean_s - 1) ** 2 for service_s in services)) / (count + 1)
    # The mean of the guess and the services, each weighted by its precision.
    guess_weight = scv / GUESS_SCV
    known_by = guess_weight + count
    mean_s = (guess_weight * usual_service_s + sum(services)) / known_by
    if count > 2 * RECENT_SERVICES:
        mean_s, known_by = _follow_change(services[:RECENT_SERVICES], mean_s, known_by, scv)
    return Experience(
        service_s=mean_s,
        known_by=known_by,
        scv=scv,
        max_service_s=max_service_s,
        leave_share=_leave_share(latest, usual_service_s),
        is_complete=len(latest) < MAX_TICKETS,
    )


def _leave_share(latest: Sequence[PastTicket], usual_service_s: float) -> float:
    """Return the share of those in line now who will leave it.

    Customers who will leave are in line for as long as they wait, so their share of the people in line is
    their share of the time spent waiting. Ten usual services without anybody leaving are added, so that the
    first tickets of a queue don't count for too much.
    """
    leaving_s = sum(ticket.waited_s for ticket in latest if ticket.left)
    waited_s = sum(ticket.waited_s for ticket in latest) + 10 * usual_service_s
    return min(MAX_LEAVE_SHARE, leaving_s / waited_s)


def _follow_change(recent: list[float], mean_s: float, known_by: float, scv: float) -> tuple[float, float]:
    """Return the mean service moved towards the mean of the recent ones, and how many it is known by.

    A difference of less than two standard errors is taken for chance. The clearer a larger one is, the more
    it is believed.
    """
    difference = sum(recent) / len(recent) / mean_s - 1
    if difference == 0:
        return mean_s, known_by
    standard_error_squared = scv / len(recent)
    belief = max(0.0, 1 - 4 * standard_error_squared / difference**2)
    mean_s *= 1 + belief * difference
    known_by = 1 / ((1 - belief) ** 2 / known_by + belief**2 / len(recent))
    return mean_s, known_by


def pace_of(experience: Experience, free_desks: int, busy_s: Sequence[float]) -> Pace:
    """Return the pace of a line with some free desks, and busy ones that called so many seconds ago."""
    mean_s = experience.service_s
    scv = experience.scv
    if experience.is_complete:
        # With little experience, the services under way show that services can take so long: they are
        # censored observations.
        elapsed_s = sum(min(seconds, experience.max_service_s) for seconds in busy_s)
        mean_s += 2 * scv / (1 + scv) * elapsed_s / experience.known_by
    return Pace(
        free_desks=free_desks,
        busy_s=tuple(busy_s),
        service_s=max(1.0, mean_s),
        scv=scv,
        mean_scv=scv / min(experience.known_by, MAX_KNOWN_BY),
        leave_share=experience.leave_share,
    )


def wait_moments(pace: Pace, lengths: Iterable[float]) -> Iterator[tuple[float, float]]:
    """Yield the mean (s) and the variance (s²) of the wait behind a line of each length.

    Services are assumed to be generalised Pareto distributed, a family that contains the exponential and the
    fixed duration. For it, the mean time that a service still takes is linear in the time it has taken, and
    the coefficient of variation of the rest is that of a whole service.
    """
    desks = pace.free_desks + len(pace.busy_s)
    service_s, scv = pace.service_s, pace.scv
    remaining = _remaining_services(pace)  # of each desk, the shortest first
    mean_remaining_s = sum(remaining) / desks
    mean_remaining_squared = sum(seconds * seconds for seconds in remaining) / desks
    interval_s = service_s / desks  # between the ends of two services, at all desks together
    stay_share = 1 - pace.leave_share
    randomness = min(1.0, 2 * math.sqrt(scv))
    remaining.append(remaining[0] + service_s)  # the first desk that ends two services

    for length in lengths:
        if length < pace.free_desks:
            yield 0.0, 0.0
            continue
        ends = 1 + (length - pace.free_desks) * stay_share  # services that must end before the call

        # Without randomness, desks end their services in turn.
        rounds, position = divmod(ends - 1, desks)
        desk = int(position)
        step_s = remaining[desk + 1] - remaining[desk]
        in_turn_s = rounds * service_s + remaining[desk] + (position - desk) * step_s
        # With it, they end them like renewal processes in the long run.
        renewal_s = mean_remaining_s + interval_s * (ends - (1 - scv) / 2 - desks * (1 + scv) / 2)
        renewal_s = max(renewal_s, interval_s * ends / 2)
        mean_s = randomness * renewal_s + (1 - randomness) * in_turn_s

        under_way = mean_remaining_squared * min(desks, ends)
        not_begun = service_s * service_s * max(0.0, ends - desks)
        variance_of_services = scv * (under_way + not_begun) / desks**2
        variance_of_knowledge = pace.mean_scv * mean_s * mean_s
        variance_of_leaving = (ends - 1) * pace.leave_share * interval_s * interval_s
        yield mean_s, variance_of_services + variance_of_knowledge + variance_of_leaving


def _remaining_services(pace: Pace) -> list[float]:
    """Return the mean time that the service at each desk still takes, sorted; a free desk: a whole one."""
    slope = (pace.scv - 1) / (pace.scv + 1)
    least_s = pace.service_s * pace.scv / (pace.scv + 1)
    busy = [max(least_s, pace.service_s + slope * elapsed_s) for elapsed_s in pace.busy_s]
    return sorted(busy + pace.free_desks * [pace.service_s])


def wait_ranges(pace: Pace, lengths: Iterable[float]) -> list[WaitRange]:
    """Return the range from the 10 % to the 90 % quantile of the wait behind a line of each length.

    The wait is assumed to be gamma distributed with the mean and the variance of wait_moments(). Its
    quantiles are approximated as by Wilson and Hilferty, "The distribution of chi-square", PNAS 17 (1931).
    Both ends are rounded outward to whole minutes, after half of what that adds is taken off.
    """
    ranges = []
    for mean_s, variance in wait_moments(pace, lengths):
        part = variance / (mean_s * mean_s) / 9 if mean_s else 0.0  # 1 / 9k, if k is the gamma's shape
        low_s = mean_s * max(0.0, 1 - part - Z_90 * math.sqrt(part)) ** 3
        high_s = mean_s * max(0.0, 1 - part + Z_90 * math.sqrt(part)) ** 3
        inward_s = min(15, (high_s - low_s) / 12)
        from_s = 60 * int((low_s + inward_s) / 60)
        to_s = 60 * math.ceil((high_s - inward_s) / 60)
        ranges.append(WaitRange(from_s, max(from_s + 60, to_s)))
    return ranges
