"""The range of the wait that customers see: quantiles of a wait with a known mean and variance.

Formulas only, no database. Which quantiles they are follows from how often the range was right before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from app.core.models import WaitRange

import os
E=lambda n,d: float(os.environ.get(n,d))
TARGET_EARLY = E("TE",0.08)
TARGET_LATE = E("TL",0.08)
STEP = E("STEP",.005)
LEAK = E("LEAK",.001)
B0 = E("B0",.08)
MIN_LEVEL, MAX_LEVEL = 0.01, 0.4


class Outcome(NamedTuple):
    """How long somebody waited, or has waited so far, and the range that they had been shown."""

    waited_s: float
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Levels:
    """Which quantiles of the predicted wait the ends of the range are, as values of the standard normal."""

    low: float
    high: float


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(level)


BASE = Levels(-_quantile(0.1), _quantile(0.9))


def learn_levels(outcomes: Iterable[Outcome]) -> Levels:
    """Return the levels that follow from the outcomes of the latest tickets, oldest first.

    This is adaptive conformal inference: Gibbs and Candès, "Adaptive Conformal Inference Under Distribution
    Shift", NeurIPS 2021.
    """
    early, late = B0, B0
    for waited_s, from_s, to_s in outcomes:
        early += STEP * (TARGET_EARLY - (waited_s < from_s)) - LEAK * (early - B0)
        late += STEP * (TARGET_LATE - (waited_s > to_s)) - LEAK * (late - B0)
        early = min(MAX_LEVEL, max(MIN_LEVEL, early))
        late = min(MAX_LEVEL, max(MIN_LEVEL, late))
    return Levels(-_quantile(early), -_quantile(late))


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
    inward_s = min(15, (high_s - low_s) / 12)
    from_s = 60 * int((low_s + inward_s) / 60)
    to_s = 60 * math.ceil((high_s - inward_s) / 60)
    return WaitRange(from_s, max(from_s + 60, to_s))
