"""Numbers that nobody may call, because somebody there said no.

An opt-out belongs to the number, not to a contact: it holds for everybody who has the number, also for those
who are added later, until the owner lifts it. Extensions count as the same number. `contact.do_not_call` says
the same for each contact, so that other queries need not look here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.contacts_on_lists import cancel_calls
from app.core.history import record
from app.core.models import Place
from app.core.phones import read_phone, read_phones, without_extension
from app.core.places import find_place_for_owner
from app.storage.sql import insert_many, load_all, run

BATCH = 4000  # numbers or contacts in one statement
PAGE_SIZE = 200


@dataclass(frozen=True)
class OptOut:
    """A number that nobody may call, and how many contacts have it."""

    phone: str
    created_at: float
    contacts: int


def is_opted_out(db: Connection, place_id: int, phone: str) -> bool:
    """Return True if nobody may call this number."""
    sql = "SELECT 1 FROM opt_out WHERE place_id = :place AND phone = :phone"
    return run(db, sql, place=place_id, phone=without_extension(phone)).first() is not None


def opt_outs_page(db: Connection, place: Place, search: str | None = None) -> tuple[list[OptOut], int]:
    """Return the newest opt-outs of a place, at most PAGE_SIZE, and the number of all that match."""
    digits = re.sub(r"\D", "", search or "").lstrip("0")
    condition = "place_id = :place AND phone LIKE :digits"
    sql = f"""SELECT phone, created_at, (SELECT count(*) FROM contact WHERE contact.place_id = :place
                                         AND contact.phone = opt_out.phone) AS contacts
              FROM opt_out WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT :limit"""
    values = {"place": place.id, "digits": f"%{digits}%"}
    total = run(db, f"SELECT count(*) FROM opt_out WHERE {condition}", **values).scalar_one()
    return load_all(OptOut, run(db, sql, limit=PAGE_SIZE, **values)), total


# ----- forbidding


def forbid_number(db: Connection, at: float, slug: str, token: str, phone: str, confirmed: str) -> None:
    """Opt a number out, for the owner; of several, each. Raises BadInput for what isn't a phone number."""
    place = find_place_for_owner(db, slug, token)
    first = read_phone(phone, place.country, confirmed)
    forbid_numbers(db, at, place.id, [first, *read_phones(phone, place.country)])


def forbid_numbers(
    db: Connection,
    at: float,
    place_id: int,
    phones: Iterable[str],
    include_claimed: bool = True,
    kept_lists: Collection[int] = (),
) -> None:
    """Opt numbers out: mark everybody who has one of them, and take them off every list but `kept_lists`.

    Without `include_claimed`, the calls that callers are making now go on. Nobody is given a call that stays.
    """
    numbers = sorted({without_extension(phone) for phone in phones if phone})
    for start in range(0, len(numbers), BATCH):
        batch = numbers[start : start + BATCH]
        sql = "SELECT phone FROM opt_out WHERE place_id = :place AND phone IN :phones"
        known = set(run(db, sql, place=place_id, phones=batch).scalars())
        rows = [
            {"place_id": place_id, "phone": number, "created_at": at}
            for number in batch
            if number not in known
        ]
        insert_many(db, "opt_out", rows)
    contact_ids = _contacts_with(db, place_id, numbers)
    _mark(db, at, place_id, contact_ids)
    for start in range(0, len(contact_ids), BATCH):
        batch_ids = contact_ids[start : start + BATCH]
        cancel_calls(db, at, batch_ids, include_claimed=include_claimed, kept_lists=kept_lists)


def _mark(db: Connection, at: float, place_id: int, contact_ids: list[int]) -> None:
    for start in range(0, len(contact_ids), BATCH):
        batch = contact_ids[start : start + BATCH]
        sql = "UPDATE contact SET do_not_call = 1, changed_at = :at WHERE id IN :ids AND do_not_call = 0"
        if run(db, sql, ids=batch, at=at).rowcount:
            record_change_of_many(db, at, place_id, "do_not_call", batch)


# ----- lifting


def lift_number(db: Connection, at: float, slug: str, token: str, phone: str) -> None:
    """Let a number be called again, for the owner; a second time changes nothing. Raises BadInput.

    Of several numbers, only the first: whoever allows one has not allowed the others.
    """
    place = find_place_for_owner(db, slug, token)
    lift_numbers(db, at, place.id, [read_phone(phone, place.country)])


def lift_numbers(db: Connection, at: float, place_id: int, phones: Iterable[str]) -> None:
    """Let everybody who has one of these numbers be called again. Nobody is put on a list."""
    numbers = sorted({without_extension(phone) for phone in phones if phone})
    for start in range(0, len(numbers), BATCH):
        sql = "DELETE FROM opt_out WHERE place_id = :place AND phone IN :phones"
        run(db, sql, place=place_id, phones=numbers[start : start + BATCH])
    contact_ids = _contacts_with(db, place_id, numbers)
    for start in range(0, len(contact_ids), BATCH):
        batch = contact_ids[start : start + BATCH]
        sql = "UPDATE contact SET do_not_call = 0, changed_at = :at WHERE id IN :ids AND do_not_call = 1"
        if run(db, sql, ids=batch, at=at).rowcount:
            record_change_of_many(db, at, place_id, "do_not_call", batch)


def _contacts_with(db: Connection, place_id: int, numbers: Collection[str]) -> list[int]:
    """Return the ids of the contacts that have one of these numbers, with or without an extension."""
    contact_ids: list[int] = []
    ordered, wanted = list(numbers), set(numbers)
    there = "place_id = :place AND forgotten_at IS NULL"
    for start in range(0, len(ordered), BATCH):
        sql = f"SELECT id FROM contact WHERE {there} AND phone IN :phones ORDER BY id"
        batch = ordered[start : start + BATCH]
        contact_ids += run(db, sql, place=place_id, phones=batch).scalars()
    pattern = f"{ordered[0]};ext=%" if len(ordered) == 1 else "%;ext=%"
    sql = f"SELECT id, phone FROM contact WHERE {there} AND phone LIKE :pattern ORDER BY id"
    for contact in run(db, sql, place=place_id, pattern=pattern).all():
        if without_extension(contact.phone) in wanted:
            contact_ids.append(contact.id)
    return contact_ids


def record_change_of_many(
    db: Connection, at: float, place_id: int, column: str, contact_ids: list[int]
) -> None:
    """Record one event for a column that changed in many contacts.

    It names the first contact, because events with a contact are private.
    """
    detail = f"{column} {len(contact_ids)}"
    record(db, at, place_id, "change-contacts", contact_id=contact_ids[0], detail=detail)
