"""The range of the wait that customers see: two quantiles of a wait with a known mean and variance.

Formulas only, no database. Which quantiles they are is learned from how often the range was right before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from app.core.models import WaitRange

# The shares of customers who may be called before the range begins, and after its end.
EARLY = 0.095
LATE = 0.085
LATE_AT_FIRST = 0.075  # while little is known
STEP = 0.004  # how much a single outcome changes a share
FORGET = 0.001  # how much each outcome takes a share back to where it began
MIN_SHARE, MAX_SHARE = 0.01, 0.15
SHORTEST_S = 60  # a range can't be shorter
# Levels for the end of a range that was shown: it is kept between the quantiles of 84 and of 99.99997 %. The
# time until an earlier one grows by a quarter at most, as long as this takes the end to the quantile of 60 %.
KEPT_FROM, KEPT_TO, MOVED_TO = 1.0, 5.0, 0.25
SMALL_RISE = 1.25


class RangeOutcome(NamedTuple):
    """How long somebody waited, or has waited so far, and the range that they had been shown."""

    waited_s: float
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Levels:
    """Which quantiles the ends of the range are, as standard deviations of a normal distribution."""

    low: float
    high: float
    kept_from: float  # between these two, the end that a customer was shown first is kept
    kept_to: float
    moved_to: float  # an end that has become too early moves to this one at least


def learn_levels(outcomes: Iterable[RangeOutcome], scv: float = 0.0) -> Levels:
    """Return the levels that follow from the outcomes of the latest tickets, oldest first.

    This is adaptive conformal inference (Gibbs and Candès, "Adaptive Conformal Inference Under Distribution
    Shift", NeurIPS 2021), once for each end of the range: each miss makes the range wider, each hit a
    little narrower, so that in the long run the share of misses is as wanted, whatever the day does. Old
    outcomes are forgotten slowly, since they were shown ranges of other days. Ranges of a minute tell
    nothing: most of these customers came when a desk was free.

    `scv` is that of the queue's services. If they vary more than exponential ones do, each quick one would
    lower the end of a range, and a long one raise it again by much. So the end that was shown first is kept
    for as long as it is plausible, and at first moves by a little only.
    """
    early, late = EARLY, LATE_AT_FIRST
    for waited_s, from_s, to_s in outcomes:
        if to_s > SHORTEST_S:
            early += STEP * (EARLY - 1 if waited_s < from_s else EARLY) + FORGET * (EARLY - early)
            late += STEP * (LATE - 1 if waited_s > to_s else LATE) + FORGET * (LATE - late)
            early = min(MAX_SHARE, max(MIN_SHARE, early))
            late = min(MAX_SHARE, max(MIN_SHARE, late))
    normal = NormalDist()
    high = -normal.inv_cdf(late)
    keep = min(1.0, max(0.0, 2 * (scv - 1)))
    return Levels(
        low=-normal.inv_cdf(early),
        high=high,
        kept_from=high + keep * (KEPT_FROM - high),
        kept_to=high + keep * (KEPT_TO - high),
        moved_to=high + keep * (MOVED_TO - high),
    )


def range_of(mean_s: float, variance: float, levels: Levels, promised_s: float | None = None) -> WaitRange:
    """Return the range between two quantiles of a wait.

    The wait is assumed to be gamma distributed. Its quantiles are approximated as by Wilson and Hilferty,
    "The distribution of chi-square", PNAS 17 (1931). Both ends are rounded outward to whole minutes, after
    half of what that adds is taken off.

    `promised_s` is the time until the end of the range that a waiting customer was shown first. Their range
    still ends then, if that is between the quantiles `kept_from` and `kept_to`. If it is too late, the range
    ends at `kept_to`. If it is too early, the range ends at `kept_from`, but that time grows by a quarter at
    most, as long as this takes the end to `moved_to`.
    """
    part = variance / (mean_s * mean_s) / 9 if mean_s else 0.0  # 1 / 9k, if k is the gamma's shape
    spread = math.sqrt(part)

    def quantile(level: float) -> float:
        return mean_s * max(0.0, 1 - part + level * spread) ** 3

    low_s, high_s = quantile(-levels.low), quantile(levels.high)
    inward_s = min(15, (high_s - low_s) / 6)
    end_s = high_s - inward_s
    if promised_s is not None and levels.kept_from < levels.kept_to:
        kept_from_s = quantile(levels.kept_from) - inward_s
        if promised_s >= kept_from_s:
            end_s = min(promised_s, quantile(levels.kept_to) - inward_s)
        else:
            end_s = min(kept_from_s, max(SMALL_RISE * promised_s, quantile(levels.moved_to) - inward_s))
        end_s = round(end_s)
    from_s = 60 * int((low_s + inward_s) / 60)
    to_s = 60 * math.ceil(end_s / 60)
    return _wait_range(from_s, max(from_s + SHORTEST_S, to_s))


@lru_cache(maxsize=4096)
def _wait_range(from_s: int, to_s: int) -> WaitRange:
    """Return a range, each one made once: a picture holds hundreds, and most are alike."""
    return WaitRange(from_s, to_s)
