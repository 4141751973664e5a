"""What the board shows: who is called where, on tiles that keep their place, and who was called before."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_TILES = 12
MAX_BEFORE = 4
CAPACITIES = (1, 2, 4, 6, 9, MAX_TILES)  # of the grids that app.css knows; board.js has them too
EMS = (4, 6, 8, 10, 13, 16, 20, 25, 31, 38, 46)  # the widths of names that app.css knows

# The width of a character in ems, generously.
WIDE_EM = 1.1
NARROW_EM = 0.64
WIDE_LETTERS = frozenset("MWmw@%")


@dataclass(frozen=True)
class Tile:
    """A number and where it is called to."""

    number: str
    series: str
    where: str  # a desk or a door, or empty
    ems: int  # one of EMS: as wide as `where` is at most
    is_newest: bool  # the latest call


@dataclass(frozen=True)
class Board:
    """What the board shows of the customers."""

    tiles: list[Tile]
    capacity: int  # of the grid
    more: int  # how many are called and have no tile
    before: list[Tile]  # called before and no longer, newest first


def board_of(picture: Mapping[str, Any]) -> Board:
    """Return the board of a picture's JSON. Tiles are in the order of their desks."""
    called = {
        (ticket["number"], ticket["series"]): ticket
        for queue in picture["queues"]
        for ticket in queue["called"]
    }
    calls = {(call["number"], call["series"]): call for call in picture["calls"]}  # the last of each counts
    newest_first = sorted(calls, key=lambda key: calls[key]["id"], reverse=True)
    latest = [key for key in newest_first if key in called]
    shown = [*latest, *(key for key in called if key not in calls)][:MAX_TILES]
    tiles = [_tile(called[key], is_newest=key == next(iter(latest), None)) for key in shown]
    tiles.sort(key=lambda tile: (_natural(tile.where), _natural(tile.number)))
    before = [_tile(calls[key], is_newest=False) for key in newest_first if key not in called][:MAX_BEFORE]
    capacity = next(each for each in CAPACITIES if each >= len(tiles))
    return Board(tiles, capacity, len(called) - len(tiles), before)


def _tile(ticket: Mapping[str, Any], *, is_newest: bool) -> Tile:
    where = ticket["desk"] or ticket["door"] or ""
    ems = width_in_ems(where)
    step = next((each for each in EMS if each >= ems), EMS[-1])
    return Tile(ticket["number"], ticket["series"], where, step, is_newest)


def width_in_ems(text: str) -> float:
    """Return how wide a text is in the size of its font, at most."""
    return sum(_width(letter) for letter in text)


def _width(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    is_wide = unicodedata.east_asian_width(letter) in ("W", "F", "A") or letter in WIDE_LETTERS
    return WIDE_EM if is_wide else NARROW_EM


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which "Window 10" comes after "Window 9"."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text.casefold())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]
