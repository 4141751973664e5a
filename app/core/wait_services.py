"""What the past tickets of a queue teach: how long its services take, and how many of its customers leave.

Formulas only, no database. Durations are in seconds. `scv` is a squared coefficient of variation: the
variance divided by the square of the mean. It is 0 when all services take the same time, and 1 when they are
exponentially distributed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add
from statistics import fmean
from typing import NamedTuple

MAX_TICKETS = 1000  # the latest tickets of a queue that the model learns from
WINDOWS = (20, 40, 80, 160)  # a change shows when the mean of today's latest so many services differs
CHANGE_SCV = 0.1  # a change is mostly one by less than a third
CHANGE_ODDS = 50.0  # to one, against a change at any time: so unlikely is it that the mean moves by chance
CHANGE_LASTS = 40.0  # a change that has lasted for so many services goes on with a probability of one half
MAX_KNOWN_BY = 150.0  # a mean is never known better than by so many services, since each day is different
# Somebody forgot to end a service that took more than so many medians. But if more than one in
# ONE_FORGOTTEN_IN take so long, these are usual, up to MAX_MEDIANS.
FORGOTTEN_MEDIANS, MAX_MEDIANS = 10, 30
ONE_FORGOTTEN_IN = 40
MAX_LEAVE_SHARE = 0.5
ENOUGH_SERVICES = 40  # after so many, the owner's guess has no weight
TYPICAL_SERVICES = 10.0  # how many past services the assumption about the rest of a service weighs

# The owner's guess is a distribution of the mean service: Student's t with 3 degrees of freedom on the
# logarithm. Mostly the guess is right within a factor of 1.5, but its tails are heavy, so that a few services
# that contradict it suffice to drop it.
GUESS_SPREAD = 0.4
GUESS_LOGS = [step / 8 for step in range(-20, 37)]  # of the possible means, relative to the guess
GUESS_FACTORS = [math.exp(log) for log in GUESS_LOGS]
GUESS_PRIOR = [-2 * math.log(1 + (log / GUESS_SPREAD) ** 2 / 3) for log in GUESS_LOGS]
AS_GUESSED = GUESS_LOGS.index(0.0)
# Means of more than e**2.5 = 12 times the guess are so long that few of them would decide what is expected.
# So these only make the range wider, and only once services make them so many times as likely as the guess.
LONGEST_EXPECTED = GUESS_LOGS.index(2.5)
CONTRADICTION = 1000.0


class PastTicket(NamedTuple):
    """What became of a ticket. A tuple, since a thousand are made at once."""

    waited_s: float
    left: bool  # the customer left the line before being called
    service_s: float | None  # time that a desk spent on it; None: it was never at a desk
    day: str = ""  # of the place, on which it was taken


@dataclass(frozen=True)
class Services:
    """What the past tickets of a queue teach."""

    mean_s: float  # mean duration of a service
    scv: float  # of the duration of a service
    mean_scv: float  # of our knowledge of `mean_s`: how wrong that may be
    leave_share: float  # share of those in line who will leave it, from 0 to 0.5
    max_s: float  # a service that takes longer counts as taking so long
    guess_s: float  # the owner's guess
    count: int  # number of past services
    total_s: float  # of the past services
    past: PastServices

    @property
    def variance(self) -> float:
        """Return the variance of the duration of a service."""
        return self.scv * self.mean_s * self.mean_s


class PastServices:
    """The durations of past services, to look up how long one that has taken some time still takes."""

    def __init__(self, durations: Sequence[float]):
        self._longest_first = sorted(durations, reverse=True)
        self._negated = [-duration for duration in self._longest_first]
        self._sums = [0.0, *accumulate(self._longest_first)]
        self._squares = [0.0, *accumulate(duration * duration for duration in self._longest_first)]
        self.mean_s = self._sums[-1] / len(durations) if durations else 0.0

    def rest(self, elapsed_s: float) -> tuple[int, float, float]:
        """Return of the services that took longer: their number, and the mean and variance of the rest."""
        number = bisect_right(self._negated, -elapsed_s - 0.5)
        if not number:
            return 0, 0.0, 0.0
        mean_s = self._sums[number] / number
        variance = self._squares[number] / number - mean_s * mean_s
        return number, mean_s - elapsed_s, max(0.0, variance)


def learn(latest: Sequence[PastTicket], guess_s: float, today: str = "") -> Services:
    """Return what the latest tickets of a queue, newest first, and the owner's guess of a service teach."""
    days = [ticket.day for ticket in latest if ticket.service_s is not None]
    durations = [ticket.service_s for ticket in latest if ticket.service_s is not None]
    count = len(durations)
    max_s = _longest(durations, guess_s)
    durations = [min(duration, max_s) for duration in durations]
    total_s = sum(durations)
    mean_s = (total_s + guess_s) / (count + 1)
    scv = (0.5 + sum((duration / mean_s - 1) ** 2 for duration in durations)) / (count + 1)
    mean_scv = scv / (count + 1)
    if count >= ENOUGH_SERVICES:
        mean_s, mean_scv = _follow_change(durations, _windows(days, today), mean_s, scv)
    return Services(
        mean_s=mean_s,
        scv=scv,
        mean_scv=max(mean_scv, scv / MAX_KNOWN_BY),
        leave_share=_leave_share(latest, guess_s),
        max_s=max_s,
        guess_s=guess_s,
        count=count,
        total_s=total_s,
        past=PastServices(durations),
    )


def _longest(durations: Sequence[float], guess_s: float) -> float:
    """Return how long a service can take; nobody pressed the button for those that took longer."""
    ascending = sorted([*durations, guess_s])
    median_s = ascending[len(durations) // 2]
    usual_s = ascending[-2 - len(durations) // ONE_FORGOTTEN_IN] if durations else 0.0
    return min(MAX_MEDIANS * median_s, max(FORGOTTEN_MEDIANS * median_s, usual_s))


def _leave_share(latest: Sequence[PastTicket], guess_s: float) -> float:
    """Return the share of those in line now who will leave it.

    Customers who will leave are in line for as long as they wait, so their share of the people in line is
    their share of the time spent waiting. Ten usual services without anybody leaving are added, so that the
    first tickets of a queue don't count for too much.
    """
    leaving_s = sum(ticket.waited_s for ticket in latest if ticket.left)
    waited_s = sum(ticket.waited_s for ticket in latest) + 10 * guess_s
    return min(MAX_LEAVE_SHARE, leaving_s / waited_s)


def _windows(days: Sequence[str], today: str) -> list[int]:
    """Return for how many of the latest services to ask whether they differ from those before, ascending.

    `days` are those of the services, newest first. A place may be quicker in each afternoon than in the
    morning, so afternoons aren't compared with whole days: a window lies within today, or begins with a day.
    """
    of_today = sum(day == today for day in days)
    windows = {min(size, of_today) for size in WINDOWS}
    windows |= {
        size for size in range(of_today + 1, min(len(days), WINDOWS[-1] + 1)) if days[size] != days[size - 1]
    }
    return sorted(windows - {0})


def _follow_change(
    latest: Sequence[float], windows: Sequence[int], mean_s: float, scv: float
) -> tuple[float, float]:
    """Return the mean service moved towards that of the latest ones, and how wrong it may be, as an scv.

    Of several windows, the one counts whose mean differs most clearly from that of the services before it,
    on a logarithmic scale, where the means of skewed durations are nearly normal. By Bayes' rule, the belief
    in a change grows with the likelihood ratio, exp(z² / 2). Between two means, both are possible.

    What has just changed may soon be as before: of changes whose lengths are Pareto distributed with exponent
    1, those that have lasted for n services go on for CHANGE_LASTS more with a probability of
    n / (n + CHANGE_LASTS). So a mean is moved only partly as long as a change is new.
    """
    if not scv:
        return mean_s, 0.0
    total_s = sum(latest)
    clearest, factor, window = 0.0, 1.0, len(latest)
    for size in windows:
        before = len(latest) - size
        if before < size:
            break
        recent_s = sum(latest[:size])
        before_mean_s = (total_s - recent_s) / before
        off = math.log(recent_s / size / before_mean_s)
        z_squared = off * off / (scv / size + scv / before)
        if z_squared > clearest:
            clearest, window = z_squared, size
            factor = math.exp(off * CHANGE_SCV / (CHANGE_SCV + scv / size)) * before_mean_s / mean_s
    unlikely = math.exp(-clearest / 2)
    goes_on = window / (window + CHANGE_LASTS)
    probability = 1 / (1 + CHANGE_ODDS * unlikely)  # that there was a change
    belief = goes_on * probability
    moved = 1 + belief * (factor - 1)
    known = (1 - belief) * scv / len(latest) + belief * scv / window
    doubt = probability * (factor - moved) ** 2 + (1 - probability) * (1 - moved) ** 2
    return mean_s * moved, known + doubt / (moved * moved)


def with_running(services: Services, running_s: Sequence[float]) -> tuple[float, float]:
    """Return the mean duration of a service and how wrong it may be (an scv), given the services under way.

    With few past services, this is Bayes' rule on a grid of means. Services are taken for gamma distributed;
    those that have taken so many seconds and are still under way (`running_s`) count as censored
    observations of a Weibull distribution with the same scv, for which the formula is simple.
    """
    if services.count >= ENOUGH_SERVICES:
        return services.mean_s, services.mean_scv
    scv = max(0.05, services.scv)
    power = scv**-0.54  # of the Weibull distribution, approximately
    scale = math.gamma(1 + 1 / power) / services.guess_s
    under_way = sum((min(seconds, services.max_s) * scale) ** power for seconds in running_s)
    per_mean = services.total_s / services.guess_s / scv
    likelihoods = [  # their logarithms
        -services.count / scv * log - per_mean / factor - under_way / factor**power
        for log, factor in zip(GUESS_LOGS, GUESS_FACTORS, strict=True)
    ]
    logs = list(map(add, GUESS_PRIOR, likelihoods))
    best = max(logs)
    weights = [math.exp(log - best) for log in logs]
    number = LONGEST_EXPECTED + 1
    mean = fmean(GUESS_FACTORS[:number], weights[:number])
    ratio = math.exp(min(0.0, likelihoods[AS_GUESSED] - likelihoods[LONGEST_EXPECTED]))
    contradicted = max(0.0, 1 - CONTRADICTION * ratio)  # 0: not, 1: certainly
    weights[number:] = [weight * contradicted for weight in weights[number:]]
    variance = fmean([(factor - mean) ** 2 for factor in GUESS_FACTORS], weights)
    return mean * services.guess_s, max(variance / (mean * mean), services.scv / MAX_KNOWN_BY)


def rest_of_service(services: Services, mean_s: float, elapsed_s: float) -> tuple[float, float]:
    """Return the mean and the variance of the time that a service still takes after some time.

    The past services that took longer tell it. They are mixed with an assumption that counts for ten of them:
    services are generalised Pareto distributed, a family that contains the exponential and the fixed
    duration. For it, the mean rest is linear in the elapsed time, and its coefficient of variation is that of
    a whole service.
    """
    scv = services.scv
    rest_s = max(mean_s * scv / (scv + 1), mean_s + (scv - 1) / (scv + 1) * elapsed_s)
    variance = scv * rest_s * rest_s
    if services.past.mean_s:
        ratio = mean_s / services.past.mean_s
        number, past_s, past_variance = services.past.rest(elapsed_s / ratio)
        weight = number / (number + TYPICAL_SERVICES)
        rest_s += weight * (ratio * past_s - rest_s)
        variance += weight * (ratio * ratio * past_variance - variance)
    return rest_s, variance
