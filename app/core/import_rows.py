"""A row of a file as a contact: what can be used of it, and what the owner should know about the rest.

Only a name and a phone number are needed. A cell of another column that can't be used costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from app.core.columns import NAME_PARTS
from app.core.contacts import (
    LABELS,
    MAX_LENGTHS,
    MISSING_SENTENCES,
    ContactDetails,
    TextField,
    validate_contact,
)
from app.core.no_calls import OPT_OUT_FIELDS, forbids_calls, means_may_call
from app.core.phones import PhoneReading, format_phone, read_phones, scan_phone
from app.core.sheet_rows import SheetRow, full_name
from app.core.sheets import BadCell, shortened
from app.core.tags import MAX_TAG_LENGTH, join_tags
from app.core.zone_names import read_time_zone
from app.errors import BadInput
from app.text import EMAIL_ADDRESS, tidy

# What people write into a cell to say that there is nothing, and what Excel writes when a formula fails.
_PLACEHOLDER_WORDS = """n/a na n.a. n.a - -- --- – — . .. ? ?? / * none null nil nan (none) (null)
    unknown #n/a #n/v #nv #ref! #value! #name? #null! #div/0! #num! #wert! #bezug! #valeur! keine keiner
    keins k.a. k.a unbekannt ohne aucun aucune inconnu ninguno ninguna desconocido nessuno nessuna
    sconosciuto nenhum nenhuma desconhecido geen onbekend brak yok bilinmiyor"""
_PLACEHOLDERS = frozenset(_PLACEHOLDER_WORDS.split())
_QUOTES = '"“”„ '
# But there are people with these names.
_NAMES_OF_PEOPLE = ("null", "unknown", "none", "ohne", "yok", "brak", "na")
_MAY_HOLD_NAMES = ("name", *NAME_PARTS, "company", "notes")

NO_ADDRESS = "Email: left out, because it isn't an address."
FURTHER_ADDRESSES = "Email: only the first of several addresses is stored."
NO_PHONE = "Phone: left out, because it isn't a phone number."
PHONE_ANSWER = (
    "Phone: left out, because it isn't a phone number. If the column says who may be called, choose that "
    "under “Change the columns”."
)
FURTHER_PHONES = "Phone: there are several numbers, and the first is stored."
FURTHER_FORBIDDEN = "Do not call: there are several numbers, and nobody may call any of them."
PHONE_TO_CHECK = "Phone: please check how this number was read."
NO_CALLS = "Do not call: a cell says so, outside the column for it."
NO_NUMBER_TO_FORBID = "Do not call: there is no number that this can be about."
UNKNOWN_NUMBER = "Do not call: it isn't clear which number this is about."
NO_ZONE = "Time zone: left out, because it isn't known. Choose one such as Europe/Berlin."
ZONE_READ = "Time zone: please check how it was read."
ONLY_OPT_OUT = "Of this row, only that nobody may call the number is stored."
SAYS_NOTHING = "left out, because it says that there is none."
LONG_TAG = f"Tags: a tag is left out, because it has more than {MAX_TAG_LENGTH} characters."


class Remark(NamedTuple):
    """Something that the owner should know about a row; rows with the same `why` are shown together."""

    why: str
    value: str  # what the cell holds
    sentence: str  # the two in a sentence


@dataclass
class ReadRow:
    """What can be used of a row."""

    number: int
    details: ContactDetails = field(default_factory=ContactDetails)
    error: BadCell | None = None  # why the row can't be stored
    remarks: list[Remark] = field(default_factory=list)
    other_phones: list[str] = field(default_factory=list)  # as they are stored

    def add_remark(self, why: str, value: str, sentence: str | None = None) -> None:
        """Add a remark about a cell; the sentence is made of the two unless it is given."""
        value = shortened(value)
        self.remarks.append(Remark(why, value, sentence or f"{why.rstrip('.')}: “{value}”."))

    @property
    def opt_out(self) -> ContactDetails | None:
        """What counts even if the row can't be stored: that somebody must not be called."""
        details = self.details
        if not details.get("do_not_call") or not (details.get("phone") or details.get("reference")):
            return None
        return {"do_not_call": True, "phone": details.get("phone"), "reference": details.get("reference")}


def read_row(row: SheetRow, country: str) -> ReadRow:
    """Return what can be used of a row; `country` is the place's, as two letters."""
    read = ReadRow(row.number, error=row.error)
    if row.error is not None:
        _read_opt_out(read, row, country)
        return read
    without_placeholders = {
        name: _without_placeholders(read, name, cells) for name, cells in row.values.items()
    }
    values = {name: cells for name, cells in without_placeholders.items() if cells}
    try:
        _read_required(read, row, values, country)
    except BadCell as error:
        read.error = error
    _add_remarks_about_calls(read, row)
    _read_email(read, values.get("email", []))
    _read_zone(read, values.get("timezone", []), country)
    _read_text(read, "address", ", ".join(values.get("address", [])))
    _read_text(read, "notes", "\n".join(values.get("notes", [])))
    _read_tags(read, values.get("tags", []))
    return read


def _read_required(read: ReadRow, row: SheetRow, values: dict[str, list[str]], country: str) -> None:
    """Take what a row can't be stored without. Raises BadCell.

    Who must not be called comes first, then the number and the name: if one of these is missing, an opt-out
    counts all the same.
    """
    read.details["do_not_call"] = _is_opt_out(values) or row.no_calls is not None
    _read_reference(read, values.get("reference", []))
    if row.other_number is not None:
        raise _only_another_number(*row.other_number)
    _read_phone(read, values.get("phone", []), country, row.values.get("phone", []))
    _read_name(read, values)


def _add_remarks_about_calls(read: ReadRow, row: SheetRow) -> None:
    if row.no_calls is not None:
        heading, cell = row.no_calls
        sentence = f"“{shortened(cell)}” in the column “{heading.strip()}”: nobody may call this number."
        read.add_remark(NO_CALLS, cell, sentence)
    for heading, cell in row.left_out:
        read.add_remark(question_about(heading), cell)


def question_about(heading: str) -> str:
    """Return the question about a column that is left out, although it may say who must not be called."""
    return (
        f"The column “{heading.strip()}” is left out. If it says who must not be called, choose that under "
        "“Change the columns”."
    )


def _read_opt_out(read: ReadRow, row: SheetRow, country: str) -> None:
    """Take from a row that can't be read that nobody may call a number, if it clearly says so."""
    if row.values.get("do_not_call"):
        read.details["do_not_call"] = True
        with suppress(BadCell):
            _read_phone(read, row.values["phone"], country)


def read_number(row: SheetRow, country: str) -> ReadRow:
    """Return a row of a list of numbers that must not be called; a column may say that some may be."""
    read = ReadRow(row.number, {"do_not_call": True}, row.error)
    if row.error is not None:
        _read_opt_out(read, row, country)
        return read
    answers = _opt_out_answers(row.values)
    try:
        if answers and all(answer is False for _cell, answer in answers):
            raise BadCell("Do not call: this row says that the number may be called.", answers[0][0])
        _read_phone(read, row.values.get("phone", []), country)
    except BadCell as error:
        read.error = error
    return read


def _without_placeholders(read: ReadRow, name: str, cells: list[str]) -> list[str]:
    """Return the cells of a field without those that say "n/a" and the like; the owner is told of them."""
    placeholders = [cell for cell in cells if _is_placeholder(name, cell)]
    if not placeholders:
        return cells
    if name in LABELS and name not in _MAY_HOLD_NAMES:
        for cell in placeholders:
            read.add_remark(f"{LABELS[name]}: {SAYS_NOTHING}", cell)
    return [cell for cell in cells if cell not in placeholders]


def _is_placeholder(name: str, cell: str) -> bool:
    plain = cell.strip().casefold()
    if plain not in _PLACEHOLDERS or name in OPT_OUT_FIELDS:
        return False
    return name not in _MAY_HOLD_NAMES or plain not in _NAMES_OF_PEOPLE


def _is_opt_out(values: dict[str, list[str]]) -> bool:
    """Return True if one of the columns says that nobody may call; none may be unclear."""
    answers = _opt_out_answers(values)
    for cell, answer in answers:
        if answer is None:
            raise BadCell("Do not call: please write yes or no.", cell)
    return any(answer for _cell, answer in answers)


def _opt_out_answers(values: dict[str, list[str]]) -> list[tuple[str, bool | None]]:
    """Return the cells that say who must not be called, each with its answer; None if that is unclear."""
    return [(cell, forbids_calls(name, cell)) for name in OPT_OUT_FIELDS for cell in values.get(name, [])]


def _read_name(read: ReadRow, values: dict[str, list[str]]) -> None:
    name = _validated("name", full_name(values))
    if not name:
        raise BadCell(MISSING_SENTENCES["name"], "")
    read.details["name"] = name


def _only_another_number(heading: str, cell: str) -> BadCell:
    return BadCell(
        f"Phone: the only number is in the column “{heading}”, which is left out. If it can be called, "
        "choose that under “Change the columns”.",
        cell,
    )


def _read_phone(read: ReadRow, cells: Sequence[str], country: str, all_cells: Sequence[str] = ()) -> None:
    """Take the first number that can be read; `all_cells` includes those that say that there is none."""
    unreadable: list[tuple[str, BadInput]] = []
    readings: list[tuple[str, PhoneReading]] = []
    for cell in cells:
        try:
            _validated("phone", cell, check=False)
            readings.append((cell, scan_phone(cell, country)))
        except BadInput as error:
            unreadable.append((cell, error))
    if not readings:
        raise _no_phone(read, unreadable, all_cells)
    _store_phones(read, readings, country)
    for unread, _reason in unreadable:
        read.add_remark(PHONE_ANSWER if means_may_call(unread) is not None else NO_PHONE, unread)


def _no_phone(read: ReadRow, unreadable: list[tuple[str, BadInput]], all_cells: Sequence[str]) -> BadCell:
    """Return the error for a row in which no number can be read."""
    is_opt_out = read.details.get("do_not_call")
    if unreadable:
        cell, reason = unreadable[0]
        return BadCell(f"{UNKNOWN_NUMBER} {reason}" if is_opt_out else str(reason), cell)
    sentence = NO_NUMBER_TO_FORBID if is_opt_out else MISSING_SENTENCES["phone"]
    return BadCell(sentence, " ".join(all_cells))


def _store_phones(read: ReadRow, readings: list[tuple[str, PhoneReading]], country: str) -> None:
    """Store the first number, and mention the others; nobody may call them either if the row says so."""
    cell, first = readings[0]
    read.details["phone"] = first.phone
    if read.details.get("do_not_call"):
        has_others = _forbid_all_phones(read, readings, country)
    else:
        has_others = _mention_other_phones(read, readings, country)
    if not (has_others or first.is_certain):
        read.add_remark(PHONE_TO_CHECK, cell, f"{_read_as(cell, first, country)} Please check it.")


def _forbid_all_phones(read: ReadRow, readings: list[tuple[str, PhoneReading]], country: str) -> bool:
    """Opt out each number in the cells. Returns True if there are others than the first."""
    cell, first = readings[0]
    read.other_phones = [phone for text, _ in readings for phone in read_phones(text, country)]
    others = _formatted((phone for phone in read.other_phones if phone != first.phone), country)
    if others:
        sentence = f"{_read_as(cell, first, country)} Nobody may call the others either: {', '.join(others)}."
        read.add_remark(FURTHER_FORBIDDEN, cell, sentence)
    for _, reading in readings:
        for other in reading.others:
            if not _is_number(other, country):
                read.add_remark(NO_PHONE, other)
    return bool(others)


def _mention_other_phones(read: ReadRow, readings: list[tuple[str, PhoneReading]], country: str) -> bool:
    """Add a remark about the numbers that are not stored. Returns True if there are any."""
    cell, first = readings[0]
    phones = (reading.phone for _, reading in readings if reading.phone != first.phone)
    others = list(dict.fromkeys([*first.others, *_formatted(phones, country)]))
    if others:
        sentence = f"{_read_as(cell, first, country)} Also there: {', '.join(others)}."
        read.add_remark(FURTHER_PHONES, cell, sentence)
    return bool(others)


def _read_as(cell: str, reading: PhoneReading, country: str) -> str:
    return f"“{shortened(cell)}” was read as {format_phone(reading.phone, country)}."


def _formatted(phones: Iterable[str], country: str) -> list[str]:
    """Return numbers as people write them, each once."""
    return list(dict.fromkeys(format_phone(phone, country) or "" for phone in phones))


def _is_number(text: str, country: str) -> bool:
    try:
        return bool(scan_phone(text, country))
    except BadInput:
        return False


def _read_reference(read: ReadRow, cells: Sequence[str]) -> None:
    if cells:
        _read_text(read, "reference", cells[0])


def _read_email(read: ReadRow, cells: Sequence[str]) -> None:
    """Take the first address that can be used, also of "Ana <ana@example.org>; ben@example.org"."""
    found: list[str] = []
    for cell in cells:
        parts = [part.strip("<>()[]\"' .") for part in re.split(r"[;,|\s]+|mailto:", cell)]
        addresses = [part for part in parts if re.fullmatch(EMAIL_ADDRESS, part)]
        if not addresses:
            read.add_remark(NO_ADDRESS, cell)
        found += [address for address in addresses if address not in found]
    usable = [address for address in found if len(address) <= MAX_LENGTHS["email"]]
    if usable:
        read.details["email"] = tidy(usable[0])
    elif found:
        read.add_remark(_too_long("email"), found[0])
    if len(usable) > 1:
        read.add_remark(FURTHER_ADDRESSES, "; ".join(usable))


def _read_zone(read: ReadRow, cells: Sequence[str], country: str) -> None:
    if not cells:
        return
    zone = read_time_zone(cells[0], country)
    if zone is None:
        read.add_remark(NO_ZONE, cells[0])
        return
    read.details["timezone"] = zone
    if zone.casefold() != cells[0].strip().casefold():
        read.add_remark(ZONE_READ, cells[0], f"“{shortened(cells[0])}” was read as {zone}. Please check it.")


def _read_tags(read: ReadRow, cells: Sequence[str]) -> None:
    """Take the tags that can be used. Google's own groups, such as "* myContacts", say nothing."""
    tags = [tag.strip() for cell in cells for tag in re.split(r"[,;\n]", cell)]
    tags = [tag.strip(_QUOTES) for tag in tags if not tag.startswith("* ")]  # Mailchimp writes quotes
    tags = [tag for tag in tags if tag]
    kept: list[str] = []
    for tag in tags:
        if len(tag) > MAX_TAG_LENGTH:
            read.add_remark(LONG_TAG, tag)
        elif len(join_tags([*kept, tag])) > MAX_LENGTHS["tags"]:
            read.add_remark(_too_long("tags"), tag)
        else:
            kept.append(tag)
    if kept:
        read.details["tags"] = join_tags(kept)


def _read_text(read: ReadRow, name: TextField, text: str) -> None:
    if len(text) > MAX_LENGTHS[name]:
        read.add_remark(_too_long(name), text)
    elif text:
        read.details[name] = validate_contact({name: text}, "")[name]  # type: ignore[misc]


def _too_long(name: str) -> str:
    return f"{LABELS[name]}: left out, because it has more than {MAX_LENGTHS[name]:,} characters."


def _validated(name: TextField, text: str, check: bool = True) -> str | None:
    """Return a text as it is stored, for a field that a contact needs. Raises BadCell if it is too long."""
    if len(text) > MAX_LENGTHS[name]:
        raise BadCell(f"{LABELS[name]}: please use at most {MAX_LENGTHS[name]:,} characters.", text)
    return " ".join((tidy(text) or "").split()) if check else text
