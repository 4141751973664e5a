"""One-time codes: eight digits to read out, which lead to a door's link or to the staff link."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.engine import Connection

from app.core.history import record
from app.core.models import OneTimeCode, Place
from app.core.places import find_place, find_place_for_owner
from app.errors import BadInput
from app.storage.sql import insert, load_first, run

CODE_S = 600  # for how long a code is valid
DIGITS = 8  # as many as make guessing hopeless, see MAX_CODES_PER_PLACE in web/door.py


@dataclass(frozen=True)
class CodeTarget:
    """The link that a code leads to."""

    kind: Literal["door", "staff"]
    token: str


def give_staff_code(db: Connection, at: float, slug: str, token: str) -> OneTimeCode:
    """Return a new code for the staff link to the owner; the previous one stops working."""
    place = find_place_for_owner(db, slug, token)
    return give_code(db, at, place)


def give_code(db: Connection, at: float, place: Place, door_id: int | None = None) -> OneTimeCode:
    """Return a new code for a door, or for the staff link; the previous one stops working."""
    run(
        db,
        """DELETE FROM code WHERE place_id = :place
           AND (ends_at <= :at OR coalesce(door_id, 0) = :door)""",
        place=place.id,
        at=at,
        door=door_id or 0,
    )
    code = OneTimeCode(_unused_digits(db, place), at + CODE_S)
    record(db, at, place.id, "give-code", door_id=door_id)
    insert(db, "code", place_id=place.id, door_id=door_id, digits=code.digits, ends_at=code.ends_at)
    return code


def _unused_digits(db: Connection, place: Place) -> str:
    used = set(run(db, "SELECT digits FROM code WHERE place_id = :place", place=place.id).scalars())
    while True:
        digits = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        if digits not in used:
            return digits


def staff_code(db: Connection, at: float, place: Place) -> OneTimeCode | None:
    """Return the code that leads to the staff link, if there is a valid one."""
    sql = "SELECT * FROM code WHERE place_id = :place AND door_id IS NULL AND ends_at > :at"
    return load_first(OneTimeCode, run(db, sql, place=place.id, at=at))


def use_code(db: Connection, at: float, slug: str, digits: str) -> CodeTarget:
    """Return the link that a code of a place leads to. Raises BadInput when the code isn't valid."""
    place = find_place(db, slug)
    door_token = run(
        db,
        """SELECT door.token FROM code
           JOIN door ON door.id = code.door_id
           JOIN counter ON counter.id = door.counter_id
           WHERE code.place_id = :place AND digits = :digits AND ends_at > :at
           AND door.removed_at IS NULL AND counter.deleted_at IS NULL""",
        place=place.id,
        digits=digits,
        at=at,
    ).scalar()
    if door_token is not None:
        return CodeTarget("door", door_token)
    staff = staff_code(db, at, place)
    if staff is not None and staff.digits == digits:
        return CodeTarget("staff", place.staff_token)
    raise BadInput("That code is wrong or has expired (codes last 10 minutes). Ask for a new one.")
