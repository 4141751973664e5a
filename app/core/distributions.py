"""Distributions of durations, for the charts of the statistics."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

BINS = 12  # at most, in a distribution
BIN_WIDTHS_S = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200)


@dataclass(frozen=True)
class Bin:
    """Number of tickets that took at least `from_s` and less than `to_s`; None: or longer."""

    from_s: int
    to_s: int | None
    tickets: int


@dataclass(frozen=True)
class Distribution:
    """A distribution of durations, which were rounded to whole seconds before."""

    median_s: float
    p90_s: int  # nine of ten took at most this
    longest_s: int
    bins: list[Bin]


def distribution_of(times: Counter[int]) -> Distribution:
    """Return the distribution of durations, given the number of tickets by their whole seconds."""
    count = times.total()
    seconds = sorted(times)
    counted = list(accumulate(times[each] for each in seconds))

    def nth(rank: int) -> int:
        return seconds[bisect_left(counted, rank)]

    longest_s = seconds[-1]
    # A few very long ones must not squeeze all the others into one bin.
    p98_s = nth(math.ceil(98 * count / 100))
    return Distribution(
        median_s=(nth((count + 1) // 2) + nth(count // 2 + 1)) / 2,
        p90_s=nth(math.ceil(9 * count / 10)),
        longest_s=longest_s,
        bins=_bins(times, p98_s, longest_s),
    )


def _bins(times: Counter[int], p98_s: int, longest_s: int) -> list[Bin]:
    """Return bins of the same width; what doesn't fit is in the last one, which then has no upper end."""
    wide_enough = (width for width in BIN_WIDTHS_S if width * BINS > p98_s)
    width_s = next(wide_enough, BIN_WIDTHS_S[-1])
    tickets_in = Counter[int]()
    for seconds, tickets in times.items():
        tickets_in[min(max(0, seconds) // width_s, BINS - 1)] += tickets
    bins = []
    for number in range(max(tickets_in) + 1):
        is_open = number == BINS - 1 and longest_s >= width_s * BINS
        to_s = None if is_open else width_s * (number + 1)
        bins.append(Bin(width_s * number, to_s, tickets_in[number]))
    return bins
