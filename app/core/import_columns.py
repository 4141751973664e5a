"""The columns of an import: what the owner chooses for them, and remembers for the next file."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.engine import Connection

from app.core.columns import FIELDS, Column
from app.core.import_files import ImportFile, kept_sheet
from app.core.import_rows import question_about
from app.core.models import Place
from app.core.sheets import PROBLEM, Sheet, first_rows
from app.errors import BadInput, Conflict
from app.storage.sql import insert, run

MAX_CHOICES = 100  # choices of columns that a place remembers
SAMPLE_ROWS = 5  # rows that are shown while the owner chooses the columns
_LEFT_OUT = ""  # a column that the owner has left out, where a choice is remembered


class ColumnChoice(NamedTuple):
    """The owner's choice for one column. Without one, the column keeps its field."""

    field: str | None  # one of columns.FIELDS; None leaves the column out
    is_given: bool = True


@dataclass(frozen=True)
class ColumnSample:
    """A column of a file: its heading, what it is read as, and its first cells."""

    heading: str
    field: str | None
    cells: list[str]


def column_samples(db: Connection, file: ImportFile) -> list[ColumnSample]:
    """Return the columns of a file with the cells of its first rows; none if the file isn't kept any more."""
    try:
        sheet = kept_sheet(db, file)
    except Conflict:
        return []
    rows = first_rows(sheet, SAMPLE_ROWS)
    return [
        ColumnSample(column.heading, column.field, [row[number] for row in rows])
        for number, column in enumerate(sheet.columns)
    ]


def parse_choices(file: ImportFile, columns: object) -> list[ColumnChoice]:
    """Return the choices that a JSON list, or an object with headings as keys, chooses. Raises BadInput.

    A column that an object leaves out stays what it is.
    """
    kept: list[list[str]] = json.loads(file.layout or "{}").get("columns", [])
    headings = [column[0] for column in kept]
    if isinstance(columns, list):
        choices = [ColumnChoice(each) for each in columns]
    elif isinstance(columns, dict):
        unknown = [heading for heading in columns if heading not in headings]
        if unknown:
            raise BadInput(f"Columns: this file has no column “{unknown[0]}”.")
        choices = [
            ColumnChoice(columns.get(heading, field), is_given=heading in columns)
            for heading, field, _ in kept
        ]
    else:
        raise BadInput('Columns: this must be a list, or an object such as {"Heading": "name"}.')
    for choice in choices:
        if choice.field is not None and choice.field not in FIELDS:
            raise BadInput(f"Columns: each must be null or one of {', '.join(FIELDS)}.")
    return choices


def settles(choice: ColumnChoice, column: Column, questions: Collection[str]) -> bool:
    """Return True if the owner leaves out a column that says who must not be called, or was asked about."""
    if choice.field is not None:
        return False
    is_known = column.field is not None or question_about(column.heading) in questions
    return column.is_settled or (choice.is_given and is_known)


# ----- remembering


def with_remembered_choice(db: Connection, place: Place, sheet: Sheet) -> Sheet:
    """Return a file with the columns that the owner chose for the last one with these headings."""
    fields = _remembered_fields(db, place, sheet)
    if fields is None:
        return sheet
    left_out = {n for n, name in enumerate(fields) if name == _LEFT_OUT}
    return sheet.with_fields([name or None for name in fields], left_out)


def _remembered_fields(db: Connection, place: Place, sheet: Sheet) -> list[str | None] | None:
    """Return what the owner chose for the columns of the last file with these headings."""
    sql = "SELECT fields FROM column_choice WHERE place_id = :place AND headings = :headings"
    headings = [*sheet.headings]
    is_download = headings[:1] == [PROBLEM]  # the rejected rows of a file have a column before its own
    key = json.dumps(headings[1:] if is_download else headings)
    row = run(db, sql, place=place.id, headings=key).first()
    if row is None:
        return None
    fields: list[str | None] = json.loads(row.fields)
    return [None, *fields] if is_download else fields


def remember_choice(db: Connection, at: float, place: Place, sheet: Sheet) -> None:
    """Remember the columns of a file for the next one with the same headings."""
    headings = sheet.headings
    fields = [_LEFT_OUT if column.is_settled else column.field for column in sheet.columns]
    if headings[:1] == [PROBLEM]:
        headings, fields = headings[1:], fields[1:]
    key, chosen = json.dumps(headings), json.dumps(fields)
    sql = """UPDATE column_choice SET fields = :fields, used_at = :at
             WHERE place_id = :place AND headings = :headings"""
    if run(db, sql, place=place.id, headings=key, fields=chosen, at=at).rowcount == 0:
        insert(db, "column_choice", place_id=place.id, headings=key, fields=chosen, used_at=at)
    sql = """DELETE FROM column_choice WHERE place_id = :place AND id NOT IN
             (SELECT id FROM column_choice WHERE place_id = :place ORDER BY used_at DESC, id DESC
              LIMIT :most)"""
    run(db, sql, place=place.id, most=MAX_CHOICES)
