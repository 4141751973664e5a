"""Contacts: who can be called; reading them from files, finding them, what is done with many at once."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import Connection, Row

from rooms.settings import BadInput
from rooms.storage import change, insert, run


def read_phone(text: str, country: str) -> str:
    """A phone number as it is kept, +493012345678 (and `;ext=12`), of what people write; raises BadInput.

    Numbers without a + are read as people in that country dial them. New ranges are given out all the time:
    a number that the library doesn't know yet is taken when its length is right.
    """
    import phonenumbers as library

    try:
        number = library.parse(text, country)
    except library.NumberParseException:
        number = None
    likely = number and library.is_possible_number(number) and number.national_number >= 10**8
    if number is None or not (likely or library.is_valid_number(number)):
        example = library.example_number(country)
        local = (
            f"{library.format_number(example, library.PhoneNumberFormat.NATIONAL)}, or " if example else ""
        )
        raise BadInput(f"Phone: please write the whole number, such as {local}+49 30 123456 from abroad.")
    extension = f";ext={number.extension}" if number.extension else ""
    return library.format_number(number, library.PhoneNumberFormat.E164) + extension


def phone_shown(phone: str | None, country: str) -> str | None:
    """A phone number as people in a country write it: with their country's code only where it is another."""
    import phonenumbers as library

    if not phone:
        return phone
    number = library.parse(phone)
    abroad = number.country_code != library.country_code_for_region(country)
    formats = library.PhoneNumberFormat
    return library.format_number(number, formats.INTERNATIONAL if abroad else formats.NATIONAL)


def search_text(name: str, phone: str, reference: str | None, email: str | None) -> str:
    """What a contact is found by: its name, the digits of its phone, its reference and its e-mail address."""
    parts = (
        name.casefold(),
        re.sub(r"\D", "", phone),
        (reference or "").casefold(),
        (email or "").casefold(),
    )
    return "\n".join(parts)


def find_or_add_contact(
    db: Connection, at: float, place: Row, phone: str, name: str | None = None, **more: Any
) -> Row:
    """The contact that has this phone number, as it was typed, or a new one; raises BadInput.

    `more` may hold email, address and notes: they, and the name, fill in what a known contact has not; what
    it has is the owner's to change.
    """
    number = read_phone(phone, place.country)
    given = {column: value for column, value in {"name": name, **more}.items() if value}
    sql = """SELECT * FROM contact WHERE place_id = :place AND phone = :phone AND forgotten_at IS NULL
             ORDER BY id LIMIT 1"""
    known = run(db, sql, place=place.id, phone=number).first()
    if known is None:
        columns = dict.fromkeys(("email", "address", "notes", "reference", "timezone"))
        columns |= {"name": "", "tags": "", "do_not_call": 0, "phone": number} | given
        columns["search"] = search_text(columns["name"], number, columns["reference"], columns["email"])
        return insert(db, "contact", place_id=place.id, created_at=at, changed_at=at, **columns).one()
    fresh = {column: value for column, value in given.items() if not getattr(known, column)}
    if not fresh:
        return known
    now = {column: fresh.get(column, getattr(known, column)) for column in ("name", "reference", "email")}
    return change(db, "contact", known.id, changed_at=at, search=search_text(phone=number, **now), **fresh)
