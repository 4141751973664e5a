"""Tables of contacts: CSV files, spreadsheets, and rows pasted from one.

A row of headings tells which field of a contact each column is; it may stand below a title. Several columns
can make up one field, such as street and town. Rows are numbered as a spreadsheet numbers them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from app.core.columns import (
    HEADING_ROWS,
    Column,
    count_known,
    is_usable,
    looks_like_a_row,
    may_hold_number,
    recognise,
    recognise_by_content,
)
from app.core.encodings import decode, not_a_text_file
from app.core.no_calls import OPT_OUT_FIELDS, ColumnMarks, forbids_calls, marks_that_allow, marks_that_forbid
from app.core.spreadsheets import ZIP_MARK, csv_of
from app.errors import BadInput

MAX_ROWS = 100_000
MAX_COLUMNS = 500

DELIMITERS = ",;\t|"
OLD_EXCEL_MARK = b"\xd0\xcf\x11\xe0"  # how .xls files begin, and .xlsx files with a password
BINARY_MARKS = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b")
# A line after the last one. No text holds this character, so a cell that does has an unclosed quote.
_END = "\0"
_SHOWN = 100  # characters of a cell that an error repeats
PROBLEM = "Problem"  # heading of the column that a download of rejected rows has first


class BadCell(BadInput):
    """A row that can't be used because of a cell; `value` is what the cell holds."""

    def __init__(self, sentence: str, value: str):
        super().__init__(sentence)
        self.value = shortened(value)


class Layout(NamedTuple):
    """How the text of a sheet is read, apart from what its columns mean."""

    delimiter: str
    is_csv: bool  # False: made from a spreadsheet, so quotes are right
    headings_row: int | None  # its number; None: all rows hold contacts


@dataclass(frozen=True)
class Sheet:
    """A table."""

    text: str
    layout: Layout
    columns: list[Column]
    is_opt_out_list: bool = False
    rows: int = 0  # number of rows below the headings

    @property
    def headings(self) -> list[str]:
        """The headings; without any, "Column 1" and so on."""
        return [column.heading for column in self.columns]

    @property
    def fields(self) -> list[str | None]:
        """What each column holds; None is left out."""
        return [column.field for column in self.columns]

    @property
    def is_usable(self) -> bool:
        """True if the columns hold what the file is for."""
        return "phone" in self.fields if self.is_opt_out_list else is_usable(self.fields)

    def with_fields(self, fields: Sequence[str | None], settled: Collection[int] = ()) -> Sheet:
        """Return the sheet with other meanings of its columns.

        `settled` holds the numbers of columns that the owner has left out, and needs no question about.
        """
        columns = [
            column if column.field == name else Column(column.heading, name)
            for column, name in zip(self.columns, fields, strict=True)
        ]
        columns = [replace(column, is_settled=n in settled) for n, column in enumerate(columns)]
        return replace(self, columns=columns)


def shortened(text: str) -> str:
    """Return the start of a cell, on one line, as an error repeats it."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# ----- opening


def open_sheet(content: bytes | str, *, country: str = "", is_opt_out_list: bool = False) -> Sheet:
    """Return the table in a file, or in a text that was pasted. Its columns may not be known; see is_usable.

    `country` is the place's: it decides between encodings. A list of numbers that must not be called needs a
    column with phone numbers only, and no headings. Raises BadInput, with a sentence that says what to do,
    for a file that holds no table.
    """
    is_csv = isinstance(content, str) or not content.startswith(ZIP_MARK)
    text = content if isinstance(content, str) else _text_of(content, country)
    if "\0" in text:
        raise not_a_text_file()
    text = text.removeprefix("\ufeff").rstrip("\x1a")  # how DOS ends a file
    if not text.strip():
        raise BadInput("There is nothing in this file.")
    if re.match(r"\s*BEGIN:VCARD", text, re.IGNORECASE):
        raise BadInput(
            "This is an address book as vCards (.vcf). Please open it in a program for contacts, export them "
            "there as CSV, and upload that."
        )
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise BadInput("This is a web page. Please save the table as CSV or .xlsx, and upload that.")
    delimiters = DELIMITERS if is_csv else ","
    declared = re.match(r"sep=(.)\r?\n", text)  # a line for Excel
    if declared:
        delimiters = declared[1]
        text = text[declared.end() :]
    layouts = [_find_headings(text, Layout(delimiter, is_csv, None)) for delimiter in delimiters]
    sheet = max(layouts, key=_plausibility)
    if len(sheet.columns) > MAX_COLUMNS:
        raise BadInput(
            f"This file has {len(sheet.columns):,} columns. Please leave out those you don't need."
        )
    if is_opt_out_list:
        sheet = _as_opt_out_list(sheet)
    return replace(sheet, rows=_count_rows(sheet))


def reopen_sheet(text: str, layout: Layout, columns: list[Column], is_opt_out_list: bool) -> Sheet:
    """Return a sheet that was opened before."""
    sheet = Sheet(text, layout, columns, is_opt_out_list)
    return replace(sheet, rows=_count_rows(sheet))


def check_sheet(sheet: Sheet) -> None:
    """Raise BadInput if it isn't clear what the columns are, or who must not be called."""
    problem = missing_columns(sheet)
    if problem:
        raise BadInput(problem)
    _check_opt_outs(sheet)


def missing_columns(sheet: Sheet) -> str | None:
    """Return a sentence about the columns that a sheet lacks, or None."""
    if sheet.is_usable:
        return None
    has_phone = "phone" in sheet.fields
    if sheet.is_opt_out_list or is_usable([*sheet.fields, "phone"]):
        sentence = "No column with phone numbers was found."
    elif has_phone:
        sentence = "No column with names was found."
    else:
        sentence = "No column with names was found, and none with phone numbers."
    if len(sheet.columns) > 1 or sheet.is_opt_out_list:
        return sentence
    return (
        f"{sentence} The first row must hold headings such as name, phone. "
        "If these are numbers that must not be called, choose “Do not call these numbers”."
    )


def _text_of(content: bytes, country: str) -> str:
    if content.startswith(ZIP_MARK):
        return csv_of(content)
    if content.startswith(OLD_EXCEL_MARK):
        raise BadInput(
            "This is an old Excel file, or one with a password. Please save it as .xlsx or “CSV UTF-8” "
            "without a password, and upload that."
        )
    if content.startswith(BINARY_MARKS):
        raise not_a_text_file()
    return decode(content, country)


def _find_headings(text: str, layout: Layout) -> Sheet:
    """Return the sheet with its columns, as far as the headings and the first rows tell."""
    sheet = Sheet(text, layout, columns=[])
    first_rows: list[tuple[int, list[str]]] = []
    try:
        first_rows.extend(islice(_numbered_cells(sheet), HEADING_ROWS))
    except BadInput:
        if not first_rows:
            return sheet
    number, cells = _row_of_headings(first_rows)
    if looks_like_a_row(cells):
        headings = [f"Column {n}" for n in range(1, max(len(row) for _, row in first_rows) + 1)]
        return replace(sheet, columns=[Column(heading, None) for heading in headings])
    while cells and not cells[-1].strip():
        cells.pop()
    below = [row for row_number, row in first_rows if row_number > number]
    columns = recognise_by_content(recognise(cells), below)
    return replace(sheet, layout=layout._replace(headings_row=number), columns=columns)


def _row_of_headings(rows: list[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """Return the first row with the most known headings, maybe below a title; or else the widest."""
    known = [0 if looks_like_a_row(cells) else count_known(cells) for _, cells in rows]
    best = max(known, default=0)
    # One known word below the first row may stand there by chance.
    if best >= 2 or (best == 1 and known[0] == 1):
        return rows[known.index(best)]
    return _widest_row(rows)


def _widest_row(rows: list[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """Return the first row that is about as wide as the widest: a title has one cell."""
    widths = [sum(1 for cell in cells if cell.strip()) for _, cells in rows]
    wide = (n for n, width in enumerate(widths) if width >= 0.6 * max(widths))
    return rows[next(wide)] if rows else (1, [])


def _plausibility(sheet: Sheet) -> tuple[int, int]:
    """Return how well a delimiter fits: the number of known fields, then the number of columns."""
    return len({*sheet.fields} - {None}), len(sheet.columns)


def _as_opt_out_list(sheet: Sheet) -> Sheet:
    """Return a list of numbers. Without a column "phone", the first column with a number holds them.

    What stands above the first number is a title, or a heading such as "Do not call".
    """
    sheet = replace(sheet, is_opt_out_list=True)
    if "phone" in sheet.fields:
        return sheet
    sheet = replace(sheet, layout=sheet.layout._replace(headings_row=None))
    above = None
    for number, cells in islice(_numbered_cells(sheet), HEADING_ROWS):
        column = next((n for n, cell in enumerate(cells) if may_hold_number(cell)), None)
        if column is not None:
            columns = [Column(f"Column {n + 1}", "phone" if n == column else None) for n in range(len(cells))]
            return replace(sheet, layout=sheet.layout._replace(headings_row=above), columns=columns)
        above = number
    raise BadInput("No column with phone numbers was found. Its heading must be “phone”.")


def _check_opt_outs(sheet: Sheet) -> None:
    """Raise BadInput if a cell that says who must not be called can't be understood.

    Cells of a row that has more of them than there are headings may belong to other columns.
    """
    columns = [(n, name) for n, name in enumerate(sheet.fields) if name in OPT_OUT_FIELDS]
    if not columns or sheet.is_opt_out_list:
        return
    marks = marks_of(sheet)
    for number, cells in _data_rows(sheet):
        for n, name in columns:
            if n >= len(cells) or forbids_calls(name, marks[n].explain(cells[n])) is not None:
                continue
            if not surplus_cells(sheet, cells):
                raise BadInput(
                    f"Row {number}: does “{shortened(cells[n])}” in the column “{sheet.headings[n]}” "
                    "mean that nobody may call this number? Write yes or no there, and upload the file again."
                )


def marks_of(sheet: Sheet) -> dict[int, ColumnMarks]:
    """Return what marks mean in the columns that say who must not, or who may be called."""
    find_marks = {"do_not_call": marks_that_forbid, "may_call": marks_that_allow}
    columns = {n: find_marks[name] for n, name in enumerate(sheet.fields) if name in find_marks}
    cells: dict[int, set[str]] = {n: set() for n in columns}
    if columns:
        for _, row in _data_rows(sheet):
            if not surplus_cells(sheet, row):
                for n, seen in cells.items():
                    seen.update(row[n : n + 1])
    return {n: find(cells[n]) for n, find in columns.items()}


def surplus_cells(sheet: Sheet, cells: list[str]) -> list[str]:
    """Return what stands behind the last heading."""
    if len(cells) <= len(sheet.columns):
        return []
    return [cell for cell in cells[len(sheet.columns) :] if cell.strip()]


def _count_rows(sheet: Sheet) -> int:
    rows = sum(1 for _ in _data_rows(sheet))
    if rows > MAX_ROWS:
        raise BadInput(
            f"This file has {rows:,} rows. Please upload at most {MAX_ROWS:,} at once, in several files."
        )
    if rows == 0:
        raise BadInput("There is nothing under the headings.")
    return rows


def _data_rows(sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the headings that aren't empty, with their numbers."""
    headings_row = sheet.layout.headings_row or 0
    return ((number, cells) for number, cells in _numbered_cells(sheet) if number > headings_row)


def _numbered_cells(sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that aren't empty. Raises BadInput for a missing quote."""
    return ((number, cells) for number, cells, _ in numbered_rows(sheet))


def numbered_rows(sheet: Sheet) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the rows that aren't empty, each with its number, and whether its quotes are right."""
    lines_of_row: list[str] = []

    def lines() -> Iterator[str]:
        for line in chain(io.StringIO(sheet.text, newline=""), [_END]):
            lines_of_row.append(line)
            yield line

    number = 0
    try:
        for number, cells in enumerate(csv.reader(lines(), delimiter=sheet.layout.delimiter), 1):
            if cells == [_END]:
                return
            if cells and _END in cells[-1]:
                raise BadInput(f"Row {number}: a quote is not closed, so all under it would be in one cell.")
            if any(cell.strip() for cell in cells):
                yield number, cells, len(lines_of_row) == 1 or _has_right_quotes(lines_of_row, sheet)
            lines_of_row.clear()
    except csv.Error as error:
        raise BadInput(f"Row {number + 1} can't be read ({error}). A quote may be missing there.") from None


def _has_right_quotes(lines: list[str], sheet: Sheet) -> bool:
    """Return False for a row of several lines in which a quote ends inside a cell: it may be two rows."""
    try:
        list(csv.reader(lines, delimiter=sheet.layout.delimiter, strict=True))
    except csv.Error:
        return False
    return True


def first_rows(sheet: Sheet, limit: int) -> list[list[str]]:
    """Return the cells of the first rows below the headings."""
    width = len(sheet.columns)
    return [[*cells, *[""] * width][:width] for _, cells in islice(_data_rows(sheet), limit)]
