"""Tables of contacts: CSV files, spreadsheets, and rows pasted from one.

A row of headings tells which field of a contact each column is; it may stand below a title. Several columns
can make up one field, such as street and town. Rows are numbered as a spreadsheet numbers them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import NamedTuple

from app.core.columns import (
    HEADING_ROWS,
    NAME_PARTS,
    Column,
    count_known,
    hints_at_calls,
    is_opt_out_heading,
    is_reason_heading,
    is_status_heading,
    is_usable,
    looks_like_a_row,
    may_hold_number,
    name_lines,
    names_number,
    recognise,
    recognise_by_content,
    type_columns,
)
from app.core.contacts import MAX_LENGTHS, MULTILINE_FIELDS
from app.core.encodings import decode, not_a_text_file
from app.core.no_calls import (
    OPT_OUT_FIELDS,
    ColumnMarks,
    forbids_calls,
    hints_at_no_calls,
    marks_that_allow,
    marks_that_forbid,
    means_do_not_call,
    means_may_call,
    mentions_no_calls,
    says_blocked,
    says_no_calls,
    says_nothing,
    words_beside_number,
)
from app.core.phones import join_number
from app.core.spreadsheets import ZIP_MARK, csv_of
from app.errors import BadInput
from app.text import unescape_formulas

MAX_ROWS = 100_000
MAX_COLUMNS = 500

DELIMITERS = ",;\t|"
OLD_EXCEL_MARK = b"\xd0\xcf\x11\xe0"  # how .xls files begin, and .xlsx files with a password
BINARY_MARKS = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b")
# A line after the last one. No text holds this character, so a cell that does has an unclosed quote.
_END = "\0"
# A column of our own downloads. "Do not call again" there is from before the owner lifted it.
LAST_OUTCOME = "last_outcome"
_GOOGLE_SEPARATOR = ":::"  # between several values in a cell of Google Contacts
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # where the last name comes first
_FAX = re.compile("fax|t\u00e9l\u00e9copie", re.IGNORECASE)
_SHOWN = 100  # characters of a cell that an error repeats
PROBLEM = "Problem"  # heading of the column that a download of rejected rows has first


class BadCell(BadInput):
    """A row that can't be used because of a cell; `value` is what the cell holds."""

    def __init__(self, sentence: str, value: str):
        super().__init__(sentence)
        self.value = shortened(value)


class _UnreadableRow(BadCell):
    """A row whose cells may stand in the wrong columns."""


@dataclass(frozen=True)
class SheetRow:
    """A row of a sheet: what its cells hold, or why it can't be read.

    Of a row that can't be read, the values hold at most that nobody may call some numbers.
    """

    number: int
    cells: list[str]
    values: dict[str, list[str]] = field(default_factory=dict)  # by field: what its columns hold, if anything
    error: BadCell | None = None
    no_calls: tuple[str, str] | None = None  # heading and content of a cell that says that nobody may call
    # Headings of columns that are left out although they may say who must not be called; with the cell.
    left_out: tuple[tuple[str, str], ...] = ()
    # Columns that are left out, whose cells say that something is blocked: maybe calls.
    blocked: tuple[int, ...] = ()
    # Of a row without a number: heading and content of a column that holds another one, such as a fax.
    other_number: tuple[str, str] | None = None


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
    marks = _marks_of(sheet)
    for number, cells in _data_rows(sheet):
        for n, name in columns:
            if n >= len(cells) or forbids_calls(name, marks[n].explain(cells[n])) is not None:
                continue
            if not _surplus_cells(sheet, cells):
                raise BadInput(
                    f"Row {number}: does “{shortened(cells[n])}” in the column “{sheet.headings[n]}” "
                    "mean that nobody may call this number? Write yes or no there, and upload the file again."
                )


def _marks_of(sheet: Sheet) -> dict[int, ColumnMarks]:
    """Return what marks mean in the columns that say who must not, or who may be called."""
    find_marks = {"do_not_call": marks_that_forbid, "may_call": marks_that_allow}
    columns = {n: find_marks[name] for n, name in enumerate(sheet.fields) if name in find_marks}
    cells: dict[int, set[str]] = {n: set() for n in columns}
    if columns:
        for _, row in _data_rows(sheet):
            if not _surplus_cells(sheet, row):
                for n, seen in cells.items():
                    seen.update(row[n : n + 1])
    return {n: find(cells[n]) for n, find in columns.items()}


def _surplus_cells(sheet: Sheet, cells: list[str]) -> list[str]:
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
    return ((number, cells) for number, cells, _ in _numbered_rows(sheet))


def _numbered_rows(sheet: Sheet) -> Iterator[tuple[int, list[str], bool]]:
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


# ----- rows


def first_rows(sheet: Sheet, limit: int) -> list[list[str]]:
    """Return the cells of the first rows below the headings."""
    width = len(sheet.columns)
    return [[*cells, *[""] * width][:width] for _, cells in islice(_data_rows(sheet), limit)]


@dataclass(frozen=True)
class _SheetContext:
    """What must be known of the whole sheet to read the cells of one row."""

    marks: dict[int, ColumnMarks]  # by column: what a cross or a number means in a column about calls
    types: dict[int, int]  # by column with phone numbers: the column that tells their kind, such as "Fax"
    reasons: list[int]  # columns with reasons of opt-outs
    name_lines: list[int]  # columns that hold one name together


def rows_of(sheet: Sheet) -> Iterator[SheetRow]:
    """Yield the rows below the headings. A column that is left out is asked about at its first answer."""
    context = _context_of(sheet)
    doubtful = _doubtful_columns(sheet)
    asked: set[int] = set()
    for number, cells, has_right_quotes in _numbered_rows(sheet):
        if number <= (sheet.layout.headings_row or 0):
            continue
        row = _read_cells(sheet, context, number, cells, has_right_quotes)
        if row.error is None:
            answered = [n for n in doubtful if n < len(cells) and _is_answer(sheet.headings[n], cells[n])]
            answered += [n for n in row.blocked if n not in answered and n not in asked]
            if answered:
                row = replace(row, left_out=_questions_of(sheet, row, answered))
                asked.update(answered)
                doubtful = [n for n in doubtful if n not in asked]
        yield row


def _context_of(sheet: Sheet) -> _SheetContext:
    reasons = [
        n for n, column in enumerate(sheet.columns) if not column.field and is_reason_heading(column.heading)
    ]
    return _SheetContext(_marks_of(sheet), type_columns(sheet.headings), reasons, name_lines(sheet.columns))


def _read_cells(
    sheet: Sheet, context: _SheetContext, number: int, cells: list[str], has_right_quotes: bool
) -> SheetRow:
    """Return a row with what its cells hold, or with the reason why it can't be read."""
    try:
        values = _values_of(sheet, _without_faxes(sheet, cells, context.types), context.marks)
        _join_name_lines(cells, context.name_lines, values)
        if not has_right_quotes:
            raise _UnreadableRow("It has several lines. A quote may be missing.", "\n".join(cells))
        may_say_so = not sheet.is_opt_out_list and mentions_no_calls(cells)
        no_calls = (
            (_find_no_calls(sheet, cells, values) if may_say_so else None)
            or _find_reason(sheet, cells, context.reasons, values)
            or _find_moved_yes(sheet, cells)
        )
    except _UnreadableRow as error:
        return _unreadable_row(sheet, number, cells, context.marks, error)
    except BadCell as error:
        return SheetRow(number, cells, error=error)
    other = None if values.get("phone") else _find_other_number(sheet, cells)
    blocked = _find_blocked(sheet, cells) if may_say_so else ()
    return SheetRow(number, cells, values, no_calls=no_calls, blocked=blocked, other_number=other)


def _questions_of(sheet: Sheet, row: SheetRow, answered: list[int]) -> tuple[tuple[str, str], ...]:
    """Return heading and content of the cells to ask about; not of one that forbids calls already."""
    cells = [(sheet.headings[n], row.cells[n]) for n in answered]
    return tuple((heading.strip(), cell) for heading, cell in cells if (heading, cell) != row.no_calls)


def _find_other_number(sheet: Sheet, cells: list[str]) -> tuple[str, str] | None:
    """Return the heading and the content of the first cell with a number that isn't the contact's own."""
    for column, cell in zip(sheet.columns, cells, strict=False):
        if not column.field and names_number(column.heading) and may_hold_number(cell):
            return column.heading.strip(), cell
    return None


def _doubtful_columns(sheet: Sheet) -> list[int]:
    """Return the columns that are left out, but may say who must not be called."""
    if sheet.is_opt_out_list or sheet.layout.headings_row is None:
        return []
    return [
        n
        for n, column in enumerate(sheet.columns)
        if not column.field and not column.is_settled and hints_at_calls(column.heading)
    ]


def _is_answer(heading: str, cell: str) -> bool:
    """Return True for a cell such as "yes", "x" or a date: it may say whether somebody may be called.

    A no under "Email opt-out" forbids nothing.
    """
    if not cell.strip() or says_nothing(cell):
        return False
    forbids = means_do_not_call(cell)
    if is_opt_out_heading(heading):
        return forbids is not False
    return forbids is not None or means_may_call(cell) is not None


def _unreadable_row(
    sheet: Sheet, number: int, cells: list[str], marks: dict[int, ColumnMarks], error: BadCell
) -> SheetRow:
    """Return a row whose cells may stand in the wrong columns. Its opt-out counts if it is clear.

    Under "Name, Phone, Do not call", the row "Doe, Jane, 030 1234567, yes" is one: it lacks quotes around
    the name, and all cells after the comma stand one column too far to the right.
    """
    parts = [part for cell in cells for part in re.split(rf"[\n{re.escape(sheet.layout.delimiter)}]", cell)]
    if sheet.is_opt_out_list:
        values = {"do_not_call": ["yes"], "phone": _numbers_among(parts)}
        return SheetRow(number, cells, values, error=error)
    has_note = any(says_no_calls(words_beside_number(cell)) for cell in cells)
    if len(cells) > len(sheet.columns) and (has_note or _moved_answers_forbid(sheet, cells, marks)):
        phones = [n for n, name in enumerate(sheet.fields) if name == "phone"]
        numbers = _numbers_among([cell for n in phones for cell in _reach(sheet, cells, n)])
        if numbers:
            return SheetRow(number, cells, {"do_not_call": ["yes"], "phone": numbers}, error=error)
    if has_note or (marks and any(means_do_not_call(part) for part in parts)):
        error = BadCell(f"{error} If it says that nobody may call, that doesn't count yet.", error.value)
    return SheetRow(number, cells, error=error)


def _reach(sheet: Sheet, cells: list[str], column: int) -> list[str]:
    """Return the cells that may belong to a column of a row with too many cells.

    Each cell too many moves those behind it one column to the right. With one too many, what belongs to
    column 2 stands in column 2 or 3.
    """
    surplus = len(cells) - len(sheet.columns)
    return cells[column : column + 1 + surplus]


def _moved_answers_forbid(sheet: Sheet, cells: list[str], marks: dict[int, ColumnMarks]) -> bool:
    """Return True if a cell that may belong to a column about calls forbids them, and none allows them."""
    answers = [
        forbids_calls(name, answer)
        for n, name in enumerate(sheet.fields)
        if name in OPT_OUT_FIELDS
        for answer in map(marks[n].explain, _reach(sheet, cells, n))
        # 20260501 may be a date, or a phone number in Denmark that has moved here.
        if not says_nothing(answer) and not re.fullmatch(r"\d{6,}", answer.strip())
    ]
    return True in answers and False not in answers


def _without_faxes(sheet: Sheet, cells: list[str], types: dict[int, int]) -> list[str]:
    """Return the cells of a row without the numbers that another column calls a fax.

    If there is no other number, the cell says that it is a fax, and the row is refused with it.
    """
    if not types:
        return cells
    phones = [
        n for n, name in enumerate(sheet.fields) if name == "phone" and n < len(cells) and cells[n].strip()
    ]
    faxes = [n for n in phones if n in types and types[n] < len(cells) and _FAX.search(cells[types[n]])]
    has_other_number = len(faxes) < len(phones)
    kept = cells.copy()
    for n in faxes:
        kept[n] = "" if has_other_number else f"Fax: {cells[n]}"
    return kept


def _values_of(sheet: Sheet, cells: list[str], marks: dict[int, ColumnMarks]) -> dict[str, list[str]]:
    """Return what the cells of a row hold, by field. Raises BadCell for cells that seem to have moved."""
    if sheet.is_opt_out_list and sheet.headings[0] == "Column 1":
        return {"phone": _numbers_in_list(sheet, cells)}
    surplus = _surplus_cells(sheet, cells)
    if surplus and not sheet.is_opt_out_list:
        raise _UnreadableRow(
            f"It has {len(cells)} cells, and there are {len(sheet.columns)} headings. "
            "A quote may be missing.",
            ", ".join(surplus),
        )
    values: dict[str, list[str]] = {}
    groups: dict[str, str] = {}  # of several addresses, the first one that isn't empty is taken
    for n, (column, cell) in enumerate(zip(sheet.columns, cells, strict=False)):
        text = cell.strip()
        if not text:
            continue
        if n in marks:
            text = marks[n].explain(text)
        if column.field not in MULTILINE_FIELDS and sheet.layout.is_csv:
            _check_quotes(column, text, sheet.layout.delimiter)
        if column.field and groups.setdefault(column.field, column.group) == column.group:
            values.setdefault(column.field, []).extend(_parts_of(unescape_formulas(text)))
    if surplus:  # in a list of numbers, where more of them stand behind the last heading
        values.setdefault("phone", []).extend(_numbers_among(surplus))
    _join_numbers(values)
    return values


def _join_numbers(values: dict[str, list[str]]) -> None:
    """Complete the numbers of a row with what stands in columns such as "Country code"."""
    country_code, area_code, extension = (
        "".join(values.pop(part, [])) for part in ("country_code", "area_code", "extension")
    )
    numbers = values.get("phone", [])
    if len(numbers) > 1:  # nobody knows which of them these are about
        area_code = extension = ""
    if country_code or area_code or extension:
        values["phone"] = [join_number(number, country_code, area_code, extension) for number in numbers]


def _join_name_lines(cells: list[str], lines: list[int], values: dict[str, list[str]]) -> None:
    """Put a name that stands in several columns into one, before any other name of the row."""
    texts = [unescape_formulas(cells[n].strip()) for n in lines if n < len(cells)]
    parts = list(dict.fromkeys(text for text in texts if not says_nothing(text)))
    while len(" ".join(parts)) > MAX_LENGTHS["name"] and len(parts) > 1:
        parts.pop()
    if parts:
        values["name"] = [" ".join(parts), *(text for text in values["name"] if text not in texts)]


def _numbers_in_list(sheet: Sheet, cells: list[str]) -> list[str]:
    """Return the cells of a list without headings that may hold numbers; or else the one that should."""
    usual = sheet.fields.index("phone")
    return _numbers_among(cells) or [cell.strip() for cell in cells[usual : usual + 1] if cell.strip()]


def _numbers_among(cells: list[str]) -> list[str]:
    return [unescape_formulas(cell.strip()) for cell in cells if may_hold_number(cell)]


def _find_no_calls(sheet: Sheet, cells: list[str], values: dict[str, list[str]]) -> tuple[str, str] | None:
    """Return the heading and the content of a cell beside those for it that says that nobody may call.

    People write it wherever there is room: into the notes, a column "Status", behind the number. There they
    also write "blocked" alone.
    """
    for column, cell in zip(sheet.columns, cells, strict=False):
        if column.field in OPT_OUT_FIELDS or column.heading.strip() == LAST_OUTCOME:
            continue
        text = words_beside_number(cell) if column.field == "phone" else cell
        if says_no_calls(text) or _says_blocked(column, cell):
            return column.heading, cell
        is_forbidden = any(means_do_not_call(answer) for answer in values.get("do_not_call", []))
        if column.field == "phone" and hints_at_no_calls(text) and not is_forbidden:
            raise BadCell(
                "Phone: does this mean that nobody may call the number? Write yes or no into a column "
                "“Do not call”, and the number alone here.",
                cell,
            )
    return None


def _says_blocked(column: Column, cell: str) -> bool:
    """Return True for a cell that says that a contact is blocked, or their number."""
    if column.field == "tags":
        return any(says_blocked(tag) for tag in re.split(r"[,;\n]", cell))
    if column.field == "phone":
        return may_hold_number(cell) and says_blocked(words_beside_number(cell))
    is_about_contact = column.field == "notes" or (not column.field and is_status_heading(column.heading))
    return is_about_contact and says_blocked(cell)


def _find_blocked(sheet: Sheet, cells: list[str]) -> tuple[int, ...]:
    """Return the columns that are left out whose cells say that something is blocked, but not what."""
    if sheet.layout.headings_row is None:
        return ()
    return tuple(
        n
        for n, (column, cell) in enumerate(zip(sheet.columns, cells, strict=False))
        if not column.field
        and not column.is_settled
        and says_blocked(cell)
        and not is_status_heading(column.heading)
    )


def _find_reason(
    sheet: Sheet, cells: list[str], reasons: list[int], values: dict[str, list[str]]
) -> tuple[str, str] | None:
    """Return the heading and the content of a cell with the reason of an opt-out, if none says yes or no."""
    if sheet.is_opt_out_list or values.get("do_not_call") or values.get("may_call"):
        return None
    given = (n for n in reasons if n < len(cells) and not says_nothing(cells[n]))
    return next(((sheet.headings[n], cells[n]) for n in given), None)


def _find_moved_yes(sheet: Sheet, cells: list[str]) -> tuple[str, str] | None:
    """Return the heading and the content of a last cell that says yes where an address should be.

    Under "Name, Phone, Email, Do not call", the row "Jane, 030 1234567, yes" lacks a cell: its yes belongs to
    the column on its right.
    """
    if sheet.is_opt_out_list or not sheet.layout.is_csv or len(cells) >= len(sheet.columns):
        return None
    column, cell = sheet.columns[len(cells) - 1], cells[-1]
    is_misplaced = column.field in ("email", "timezone", "phone") and not may_hold_number(cell)
    if is_misplaced and means_do_not_call(cell) and "do_not_call" in sheet.fields[len(cells) :]:
        return column.heading, cell
    return None


def _check_quotes(column: Column, text: str, delimiter: str) -> None:
    """Raise BadCell for a cell that holds the next row too, because a quote is missing."""
    _, line_break, rest = text.replace("\r", "\n").partition("\n")
    if line_break and delimiter in rest:
        raise _UnreadableRow(f"{column.heading.strip()}: it has a line break. A quote may be missing.", text)


def _parts_of(cell: str) -> list[str]:
    """Return the values in a cell: Google Contacts writes several as "a ::: b"."""
    if _GOOGLE_SEPARATOR not in cell:
        return [cell]
    return [part.strip() for part in cell.split(_GOOGLE_SEPARATOR) if part.strip()]


def full_name(values: dict[str, list[str]]) -> str:
    """Return the name in a row, for columns of which some may hold parts of it.

    A column "name" can be the full name, or what the other columns lack: the last name beside a first name,
    the first name beside a last name. A company is the name of a row that has no other.
    """
    first, middle, last = (" ".join(values.get(part, [])) for part in NAME_PARTS)
    name = values.get("name", [""])[0]
    known = {word.casefold() for word in name.split()}
    if name and all(word.casefold() in known for word in f"{first} {last}".split()):
        return name
    if first and last and name:
        return name if len(name.split()) > 1 else f"{first} {middle} {last}"
    if first and _EAST_ASIAN.search(last):
        return f"{last} {first}"
    if first:
        return f"{first} {middle} {last or name}"
    if last:
        return f"{name} {middle} {last}"
    return name or values.get("company", [""])[0]
