"""Staging the rows of an import: each is read, matched, and kept with what will become of it.

The rows are kept in the table import_row, and what the owner should know about them in import_remark.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from app.core.contacts import ContactDetails, ContactFields, validate_contact
from app.core.import_files import OUR_FAULT, ImportFile, set_failed, set_ready
from app.core.import_matching import ADD, CHANGE, REFUSE, SAME_CONTACT, EarlierRows, StagedRow, match_rows
from app.core.import_rows import ONLY_OPT_OUT, ReadRow, Remark, read_number, read_row
from app.core.models import Place
from app.core.phones import read_phone, read_phones
from app.core.sheet_rows import rows_of
from app.core.sheets import BadCell, Sheet
from app.errors import BadInput, NotFound
from app.storage.database import Database
from app.storage.sql import insert_many, run

log = logging.getLogger("takeanumber")

MAX_BATCH = 500  # rows that one write stages
RENAMED = "Name: a known contact gets another name."
RENAMED_ADVICE = "If these are two people, give each a reference of their own."


class InputRow(NamedTuple):
    """A contact from a program: what it says, or why it can't be read."""

    number: int
    contact: ContactFields | BadInput


def stage_sheet(database: Database, place: Place, file: ImportFile, sheet: Sheet) -> None:
    """Stage a file; an error ends up in the file's row, where its page shows it."""
    read = read_number if sheet.is_opt_out_list else read_row
    try:
        _stage_rows(database, place, file, _read_sheet(sheet, place.country, read))
    except NotFound:
        log.info("An import was discarded while it was read")
    except Exception:
        log.exception("An import failed")
        database.write_in(place.slug, set_failed, file.id, OUR_FAULT)


def stage_contacts(database: Database, place: Place, file: ImportFile, contacts: Iterable[InputRow]) -> None:
    """Stage contacts from a program."""
    _stage_rows(database, place, file, (_read_input(row, place.country) for row in contacts))


# ----- reading


@dataclass(frozen=True)
class _Row:
    """A row that was read, with its cells if they come from a file."""

    read: ReadRow
    cells: list[str] | None = None


def _read_sheet(sheet: Sheet, country: str, read: Callable[[Any, str], ReadRow]) -> Iterator[_Row]:
    for row in rows_of(sheet):
        yield _Row(read(row, country), row.cells)


def _read_input(row: InputRow, country: str) -> _Row:
    """Return a contact from a program. Programs are told about every value that can't be used."""
    try:
        if isinstance(row.contact, BadInput):
            raise row.contact
        details = validate_contact(row.contact, country)
        for field, label in (("name", "Name"), ("phone", "Phone")):
            if not details.get(field):
                raise BadInput(f"{label}: please fill this in.")
    except BadInput as error:
        bad_cell = error if isinstance(error, BadCell) else BadCell(str(error), "")
        read = ReadRow(row.number, _opt_out_of(row.contact, country), bad_cell)
    else:
        read = ReadRow(row.number, details)
    read.other_phones = _forbidden_phones(row.contact, country)
    return _Row(read)


def _forbidden_phones(contact: ContactFields | BadInput, country: str) -> list[str]:
    """Return all numbers of a contact that must not be called: there may be several in one text."""
    if isinstance(contact, BadInput) or not contact.get("do_not_call"):
        return []
    try:
        return read_phones(contact.get("phone") or "", country)
    except BadInput:
        return []


def _opt_out_of(contact: ContactFields | BadInput, country: str) -> ContactDetails:
    """Return what counts of a contact that can't be stored: that somebody must not be called."""
    if isinstance(contact, BadInput) or not contact.get("do_not_call"):
        return {}
    details: ContactDetails = {"do_not_call": True, "phone": None, "reference": contact.get("reference")}
    with suppress(BadInput):
        details["phone"] = read_phone(contact.get("phone") or "", country)
    return details


# ----- what becomes of the rows


def _stage_rows(database: Database, place: Place, file: ImportFile, rows: Iterable[_Row]) -> None:
    earlier = EarlierRows()
    rows = iter(rows)
    while batch := list(islice(rows, MAX_BATCH)):
        with database.read() as db:
            staged, remarks = _stage_batch(db, place, batch, earlier)
        database.write_in(place.slug, _insert_staged, file.id, staged, remarks)
    database.write_in(place.slug, set_ready, file.id)


def _stage_batch(
    db: Connection, place: Place, batch: list[_Row], earlier: EarlierRows
) -> tuple[list[StagedRow], list[dict[str, Any]]]:
    """Return what becomes of each row, and the remarks about the rows."""
    by_number = {row.read.number: row for row in batch}
    usable: list[tuple[int, ContactDetails]] = []
    staged: list[StagedRow] = []
    for number, row in by_number.items():
        error, details = row.read.error, _usable_details(row.read)
        if details is not None:
            usable.append((number, details))
        elif error is not None:
            staged.append(StagedRow(number, REFUSE, why=str(error), value=error.value))
    staged += match_rows(db, place, usable, earlier)
    staged.sort(key=lambda row: row.number)
    for number, old_name, new_name in _renamed(db, staged):
        sentence = f"“{old_name}” becomes “{new_name}”. {RENAMED_ADVICE}"
        by_number[number].read.add_remark(RENAMED, new_name, sentence)
    remarks = [remark for row in staged for remark in _remarks_about(row, by_number[row.number].read)]
    return [_completed(row, by_number[row.number]) for row in staged], remarks


def _usable_details(read: ReadRow) -> ContactDetails | None:
    """Return what can be stored of a row. Of a row with an error, that is at most its opt-out.

    Then the error becomes a remark, because the row isn't refused.
    """
    if read.error is None:
        return read.details
    opt_out = read.opt_out
    if opt_out is not None:
        why = f"{read.error} {ONLY_OPT_OUT}"
        read.add_remark(why, read.error.value, None if read.error.value else why)
    return opt_out


def _remarks_about(row: StagedRow, read: ReadRow) -> list[dict[str, Any]]:
    """Return the remarks about a row for the table import_remark; about a refused row, only why it is."""
    is_refused = row.what == REFUSE
    remarks = [_refusal(row)] if is_refused else read.remarks
    return [{"number": row.number, "refused": int(is_refused), **remark._asdict()} for remark in remarks]


def _completed(staged: StagedRow, row: _Row) -> StagedRow:
    """Return a staged row with what is kept beside its details: its cells, or its other numbers."""
    if staged.what == REFUSE:
        return staged if row.cells is None else replace(staged, cells=json.dumps(row.cells))
    if staged.do_not_call and row.read.other_phones:
        return replace(staged, other_phones=" ".join(row.read.other_phones))
    return staged


def _renamed(db: Connection, staged: list[StagedRow]) -> list[tuple[int, str, str]]:
    """Return the rows that give a contact a name without a word of the old one, with both names."""
    names = {row.contact: (row.number, row.name) for row in staged if row.what == CHANGE and row.name}
    if not names:
        return []
    renamed = []
    for contact in run(db, "SELECT id, name FROM contact WHERE id IN :ids", ids=list(names)).all():
        number, new_name = names[contact.id]
        words = set(re.findall(r"\w+", contact.name.casefold()))
        if words and new_name and words.isdisjoint(re.findall(r"\w+", new_name.casefold())):
            renamed.append((number, contact.name, new_name))
    return renamed


def _refusal(row: StagedRow) -> Remark:
    """Return why a row is refused, in words that are the same for all rows of this kind."""
    why, value = row.why or "", row.value or ""
    return Remark(SAME_CONTACT if value.startswith("row ") else why, value, why)


def _insert_staged(
    db: Connection, file_id: int, rows: list[StagedRow], remarks: list[dict[str, Any]]
) -> None:
    added = sum(row.what == ADD for row in rows)
    refused = sum(row.what == REFUSE for row in rows)
    sql = """UPDATE import_file SET read = read + :rows, add_rows = add_rows + :added,
                    change_rows = change_rows + :changed, refuse_rows = refuse_rows + :refused
             WHERE id = :id AND state = 'reading'"""
    changed = len(rows) - added - refused
    result = run(db, sql, id=file_id, rows=len(rows), added=added, changed=changed, refused=refused)
    if result.rowcount == 0:
        raise NotFound("This import is not there any more.")
    insert_many(db, "import_row", [{"import_file_id": file_id, **vars(row)} for row in rows])
    insert_many(db, "import_remark", [{"import_file_id": file_id, **remark} for remark in remarks])
