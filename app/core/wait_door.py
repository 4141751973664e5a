"""The wait in a line that a counter admits: until enough people have left. Formulas only, no database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from app.core.wait_line import Moments

MIN_EXITS = 3  # people who must have left before their pace is known
TOGETHER_S = 15  # those who leave within so many seconds leave as one group
MAX_MEMORY_S = 7200  # what was before doesn't count


class Exit(NamedTuple):
    """People who left."""

    at: float
    people: int


class DoorLine:
    """The line in front of a counter: the free spaces, and how fast people leave.

    `exits` are the latest ones, oldest first. `party` is how many people a ticket stands for, on average.
    Groups leave as a Poisson process: until so many people have left, the mean is their number divided by
    the pace, and the variance grows with the size of the groups, as that of a compound Poisson process. The
    pace is known as well as the number of groups allows, and unknown after too few of them.
    """

    def __init__(self, at: float, queue_id: int, free_spaces: int, party: float, exits: Sequence[Exit]):
        self.queue_ids = [queue_id]
        self._free_spaces = free_spaces
        self._party = party
        groups = _groups([each for each in exits if each.at >= at - MAX_MEMORY_S])
        people = sum(groups.values())
        self._is_known = people >= MIN_EXITS and len(groups) > 1
        if self._is_known:
            # The memory begins with the first exit, which doesn't count itself.
            begins_at = next(iter(groups))
            counted = people - groups[begins_at]
            self._per_person_s = max(1.0, at - begins_at) / counted
            self._group = sum(size * size for size in groups.values()) / people
            self._doubt_scv = self._group / counted

    def behind(self, ahead: Mapping[int, float]) -> Moments | None:
        """Return the moments of the wait behind so many tickets of the queue, by its id; None: unknown."""
        return self._moments(sum(ahead.get(queue_id, 0.0) for queue_id in self.queue_ids))

    def along(self, queue_id: int, waiting: Collection[int]) -> Iterator[Moments | None]:
        """Yield the moments of the wait of each ticket that waits in the queue, and then of a newcomer."""
        number = sum(other_id == queue_id for other_id in waiting)
        for ahead in range(number + 1):
            yield self._moments(ahead)

    def _moments(self, ahead: float) -> Moments | None:
        exits = (ahead + 1) * self._party - self._free_spaces
        if exits <= 0:
            return Moments(0.0, 0.0)
        if not self._is_known:
            return None
        mean_s = exits * self._per_person_s
        return Moments(mean_s, mean_s * self._per_person_s * self._group + self._doubt_scv * mean_s * mean_s)


def _groups(exits: Sequence[Exit]) -> dict[float, int]:
    """Return how many people left together, by the time of the first of them, oldest first."""
    groups: dict[float, int] = {}
    last_at = began_at = float("-inf")
    for each in exits:
        if each.at > last_at + TOGETHER_S:
            began_at = each.at
        groups[began_at] = groups.get(began_at, 0) + each.people
        last_at = each.at
    return groups
