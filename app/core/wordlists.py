"""The owner's own words for calls: reasons to call, outcomes, and services to refer people to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy.engine import Connection

from app.core.history import record
from app.core.models import Outcome, Place, Reason, ReferralService
from app.core.places import find_place_for_owner
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import insert, insert_returning, load, load_all, run

# What a reported outcome leads to:
EFFECTS = (
    "reached",  # the call is done, and counts as reached
    "done",  # the call is done
    "again",  # it is made again after `retry_minutes`, up to `most_tries` times
    "later",  # it is made again at the time that the caller noted
    "wrong",  # the call is done: the number is wrong
    "never",  # nobody may call the contact again
)
# The outcomes that a place begins with: name and effect.
DEFAULT_OUTCOMES = {
    "Reached": "reached",
    "No answer": "again",
    "Left a message": "done",
    "Call back later": "later",
    "Wrong number": "wrong",
    "Do not call again": "never",
}

_ALREADY_REMOVED = "This was taken away already."


def plain_name(name: str) -> str:
    """Return a name without case, spaces and punctuation, to compare names that people typed."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


# ----- reading


def reasons_of(db: Connection, place: Place) -> list[Reason]:
    """Return the reasons to call of a place, in the order in which they were added."""
    return load_all(
        Reason, run(db, "SELECT * FROM reason WHERE place_id = :place ORDER BY id", place=place.id)
    )


def outcomes_of(db: Connection, place: Place) -> list[Outcome]:
    """Return the outcomes of a place, in the order in which they were added."""
    sql = "SELECT * FROM outcome WHERE place_id = :place ORDER BY id"
    return load_all(Outcome, run(db, sql, place=place.id))


def services_of(db: Connection, place: Place) -> list[ReferralService]:
    """Return the services of a place, in the order in which they were added."""
    sql = "SELECT * FROM service WHERE place_id = :place ORDER BY id"
    return load_all(ReferralService, run(db, sql, place=place.id))


# ----- adding


def add_default_outcomes(db: Connection, place: Place) -> None:
    """Add the outcomes that a place begins with, unless it has some."""
    if not outcomes_of(db, place):
        for name, effect in DEFAULT_OUTCOMES.items():
            insert(db, "outcome", place_id=place.id, name=name, effect=effect)


def add_reason(db: Connection, at: float, slug: str, token: str, name: str) -> Reason:
    """Add a reason to call for the owner. Raises Conflict if there is one with the same plain name."""
    place = find_place_for_owner(db, slug, token)
    _check_unused(name, reasons_of(db, place))
    record(db, at, place.id, "add-reason")
    return load(Reason, insert_returning(db, "reason", place_id=place.id, name=name))


def add_outcome(db: Connection, at: float, slug: str, token: str, name: str, effect: str) -> Outcome:
    """Add an outcome for the owner; `effect` is one of EFFECTS. Raises BadInput and Conflict."""
    place = find_place_for_owner(db, slug, token)
    _check_unused(name, outcomes_of(db, place))
    if effect not in EFFECTS:
        raise BadInput(f"Effect: please choose {', '.join(EFFECTS)}.")
    record(db, at, place.id, "add-outcome")
    return load(Outcome, insert_returning(db, "outcome", place_id=place.id, name=name, effect=effect))


def add_service(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    name: str,
    phone: str | None = None,
    link: str | None = None,
) -> ReferralService:
    """Add a service for the owner. Raises Conflict if there is one with the same plain name."""
    place = find_place_for_owner(db, slug, token)
    _check_unused(name, services_of(db, place))
    record(db, at, place.id, "add-service")
    row = insert_returning(db, "service", place_id=place.id, name=name, phone=phone, link=link)
    return load(ReferralService, row)


def _check_unused(name: str, others: Sequence[Reason | Outcome | ReferralService]) -> None:
    for other in others:
        if plain_name(other.name) == plain_name(name):
            raise Conflict(f"There is “{other.name}” already.")


# ----- removing: what was reported with it stays


def remove_reason(db: Connection, at: float, slug: str, token: str, reason_id: int) -> None:
    """Remove a reason for the owner. Raises NotFound."""
    place = find_place_for_owner(db, slug, token)
    _check_present(reason_id, reasons_of(db, place))
    run(db, "DELETE FROM reason WHERE id = :id", id=reason_id)
    record(db, at, place.id, "remove-reason")


def remove_outcome(db: Connection, at: float, slug: str, token: str, outcome_id: int) -> None:
    """Remove an outcome for the owner. Raises NotFound, and Conflict for the last one."""
    place = find_place_for_owner(db, slug, token)
    outcomes = outcomes_of(db, place)
    _check_present(outcome_id, outcomes)
    if len(outcomes) == 1:
        raise Conflict("One outcome must stay, or nothing could be reported. Add another one first.")
    run(db, "DELETE FROM outcome WHERE id = :id", id=outcome_id)
    record(db, at, place.id, "remove-outcome")


def remove_service(db: Connection, at: float, slug: str, token: str, service_id: int) -> None:
    """Remove a service for the owner. Raises NotFound."""
    place = find_place_for_owner(db, slug, token)
    _check_present(service_id, services_of(db, place))
    run(db, "DELETE FROM service WHERE id = :id", id=service_id)
    record(db, at, place.id, "remove-service")


def _check_present(word_id: int, words: Sequence[Reason | Outcome | ReferralService]) -> None:
    if all(word.id != word_id for word in words):
        raise NotFound(_ALREADY_REMOVED)
