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


class Outcome(NamedTuple):
    """How long somebody waited, or has waited so far, and the range that they had been shown."""

    waited_s: float
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Levels:
    """Which quantiles the ends of the range are, as standard deviations of a normal distribution."""

    low: float
    high: float


def learn_levels(outcomes: Iterable[Outcome]) -> Levels:
    """Return the levels that follow from the outcomes of the latest tickets, oldest first.

    This is adaptive conformal inference (Gibbs and Candès, "Adaptive Conformal Inference Under Distribution
    Shift", NeurIPS 2021), once for each end of the range: each miss makes the range wider, each hit a
    little narrower, so that in the long run the share of misses is as wanted, whatever the day does. Old
    outcomes are forgotten slowly, since they were shown ranges of other days. Ranges of a minute tell
    nothing: most of these customers came when a desk was free.
    """
    early, late = EARLY, LATE_AT_FIRST
    for waited_s, from_s, to_s in outcomes:
        if to_s > SHORTEST_S:
            early += STEP * (EARLY - 1 if waited_s < from_s else EARLY) + FORGET * (EARLY - early)
            late += STEP * (LATE - 1 if waited_s > to_s else LATE) + FORGET * (LATE - late)
            early = min(MAX_SHARE, max(MIN_SHARE, early))
            late = min(MAX_SHARE, max(MIN_SHARE, late))
    normal = NormalDist()
    return Levels(-normal.inv_cdf(early), -normal.inv_cdf(late))


def range_of(mean_s: float, variance: float, levels: Levels) -> WaitRange:
    """Return the range between two quantiles of a wait.

    The wait is assumed to be gamma distributed. Its quantiles are approximated as by Wilson and Hilferty,
    "The distribution of chi-square", PNAS 17 (1931). Both ends are rounded outward to whole minutes, after
    half of what that adds is taken off.
    """
    part = variance / (mean_s * mean_s) / 9 if mean_s else 0.0  # 1 / 9k, if k is the gamma's shape
    spread = math.sqrt(part)
    low_s = mean_s * max(0.0, 1 - part - levels.low * spread) ** 3
    high_s = mean_s * max(0.0, 1 - part + levels.high * spread) ** 3
    inward_s = min(15, (high_s - low_s) / 6)
    from_s = 60 * int((low_s + inward_s) / 60)
    to_s = 60 * math.ceil((high_s - inward_s) / 60)
    return _wait_range(from_s, max(from_s + SHORTEST_S, to_s))


@lru_cache(maxsize=4096)
def _wait_range(from_s: int, to_s: int) -> WaitRange:
    """Return a range, each one made once: a picture holds hundreds, and most are alike."""
    return WaitRange(from_s, to_s)
