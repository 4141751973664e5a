"""The rows of a sheet: what the cells of each hold, or why it can't be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.core.columns import (
    NAME_PARTS,
    Column,
    hints_at_calls,
    is_opt_out_heading,
    is_reason_heading,
    is_status_heading,
    may_hold_number,
    name_lines,
    names_number,
    type_columns,
)
from app.core.contacts import MAX_LENGTHS, MULTILINE_FIELDS
from app.core.no_calls import (
    OPT_OUT_FIELDS,
    ColumnMarks,
    forbids_calls,
    hints_at_no_calls,
    means_do_not_call,
    means_may_call,
    mentions_no_calls,
    says_blocked,
    says_no_calls,
    says_nothing,
    words_beside_number,
)
from app.core.phones import join_number
from app.core.sheets import BadCell, Sheet, marks_of, numbered_rows, surplus_cells
from app.text import unescape_formulas

# A column of our own downloads. "Do not call again" there is from before the owner lifted it.
LAST_OUTCOME = "last_outcome"
_GOOGLE_SEPARATOR = ":::"  # between several values in a cell of Google Contacts
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # where the last name comes first
_FAX = re.compile("fax|t\u00e9l\u00e9copie", re.IGNORECASE)


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


class _UnreadableRow(BadCell):
    """A row whose cells may stand in the wrong columns."""


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
    for number, cells, has_right_quotes in numbered_rows(sheet):
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
    return _SheetContext(marks_of(sheet), type_columns(sheet.headings), reasons, name_lines(sheet.columns))


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
    surplus = surplus_cells(sheet, cells)
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
