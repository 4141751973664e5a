"""Tables of contacts: CSV files, and rows pasted from a spreadsheet.

The first row holds headings. They tell which field of a contact each column is; several columns can make up
one field, such as street and town. Rows are numbered as a spreadsheet numbers them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple

from app.core.contacts import MULTILINE_FIELDS, TEXT_FIELDS, ContactFields
from app.core.opt_outs import means_do_not_call
from app.errors import BadInput
from app.text import unescape_formulas

MAX_ROWS = 50_000

# The headings of each field, in lower case and without spaces and punctuation. `first` and `last` are parts
# of the name.
HEADINGS = {
    "name": "name fullname contact contactname customer customername client clientname patient patientname "
    "person member membername",
    "first": "firstname givenname forename vorname",
    "last": "lastname surname familyname nachname",
    "phone": "phone phonenumber phoneno phones telephone telephonenumber tel telno mobile mobilephone "
    "mobilenumber cell cellphone cellnumber homephone workphone contactnumber telefon telefonnummer handy",
    "email": "email emailaddress mail mailaddress",
    "address": "address street streetaddress address1 address2 addressline1 addressline2 city town zip "
    "zipcode postcode postalcode state adresse anschrift strasse straße plz ort",
    "notes": "notes note comment comments remark remarks notiz notizen",
    "tags": "tags tag label labels group groups category categories",
    "reference": "reference ref id yourreference externalid customerid customernumber clientid clientnumber "
    "patientid patientnumber memberid membernumber referenz",
    "timezone": "timezone tz zone",
    "do_not_call": "donotcall dnc dontcall donotcontact nocalls optout optedout",
}
# A column whose heading has one of these in it says who must not be called, whatever else the heading says.
OPT_OUT_PARTS = (
    "donotcall",
    "dontcall",
    "donotcontact",
    "dontcontact",
    "donotphone",
    "dnc",
    "nocall",
    "optout",
    "optedout",
    "unsubscribe",
    "nichtanrufen",
    "nichtkontaktieren",
    "anrufsperre",
    "werbesperre",
    "sperrvermerk",
    "nepasappeler",
    "neplusappeler",
    "nollamar",
    "nonchiamare",
    "naoligar",
    "nãoligar",
    "nietbellen",
    "niedzwonić",
)
FIELD_OF_HEADING = {heading: field for field, headings in HEADINGS.items() for heading in headings.split()}
NAME_PARTS = ("first", "last")
# Fields that several columns may make up, and what is put between them. Of other fields, the first column
# that isn't empty is taken.
SEPARATORS = {"address": ", ", "notes": "\n", "tags": ", "}

DELIMITERS = ",;\t|"
BINARY_FORMATS = (b"PK\3\4", b"%PDF", b"\xd0\xcf\x11\xe0")  # how .xlsx, PDF and .xls files begin
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# A line after the last one. No text holds this character, so a cell that does has an unclosed quote.
_END = "\0"


class InputRow(NamedTuple):
    """A row of contacts: what it says, or why it can't be read."""

    number: int
    contact: ContactFields | BadInput


@dataclass(frozen=True)
class Sheet:
    """A table with headings."""

    text: str
    delimiter: str
    headings: list[str]
    fields: list[str | None]  # what each column is; None is left out
    rows: int = 0  # number of rows below the headings
    has_headings: bool = True

    def columns(self) -> dict[str, str | None]:
        """Return the field of a contact for each heading, or None."""
        return {
            heading: "name" if field in NAME_PARTS else field
            for heading, field in zip(self.headings, self.fields, strict=True)
        }


# ----- opening


def open_sheet(content: bytes | str, *, is_opt_out_list: bool = False) -> Sheet:
    """Return the table in a file, or in a text that was pasted.

    A list of numbers that must not be called needs a column with phone numbers only, and no headings. Raises
    BadInput, with a sentence that says what to do, for anything else, and if it can't be understood who must
    not be called.
    """
    text = content if isinstance(content, str) else _decode(content)
    if "\0" in text:
        raise _not_a_text_file()
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise BadInput("There is nothing in this file.")
    delimiters = DELIMITERS
    declared = re.match(r"sep=(.)\r?\n", text)  # a line for Excel
    if declared:
        delimiters = declared[1]
        text = text[declared.end() :]
    sheet = max((_read_headings(text, delimiter) for delimiter in delimiters), key=_plausibility)
    if is_opt_out_list:
        return _open_opt_out_list(sheet)
    for field, description in (("name", "names"), ("phone", "phone numbers")):
        if field not in sheet.columns().values():
            raise BadInput(
                f"No column with {description} was found. "
                "The first row must hold headings such as name, phone. "
                "If these are numbers that must not be called, choose “Do not call these numbers”."
            )
    _check_opt_outs(sheet)
    return replace(sheet, rows=_count_rows(sheet))


def _open_opt_out_list(sheet: Sheet) -> Sheet:
    """Return a list of numbers. Without headings, the first column with a digit holds them."""
    if "phone" not in sheet.fields:
        _, first = next(_numbered_cells(sheet), (1, []))
        column = next((n for n, cell in enumerate(first) if re.search(r"\d", cell)), None)
        if column is None:
            raise BadInput("No column with phone numbers was found. Its heading must be “phone”.")
        fields = ["phone" if n == column else None for n in range(len(first))]
        sheet = replace(sheet, fields=fields, has_headings=False)
    return replace(sheet, rows=_count_rows(sheet))


def _check_opt_outs(sheet: Sheet) -> None:
    """Raise BadInput if a cell that says who must not be called can't be understood."""
    columns = [n for n, field in enumerate(sheet.fields) if field == "do_not_call"]
    if not columns:
        return
    for number, cells in islice(_numbered_cells(sheet), 1, None):
        for column in columns:
            if column < len(cells) and means_do_not_call(cells[column]) is None:
                raise BadInput(
                    f"Row {number}: does “{cells[column].strip()}” in the column “{sheet.headings[column]}” "
                    "mean that nobody may call this number? Write yes or no there, and upload the file again."
                )


def _decode(content: bytes) -> str:
    if content.startswith(UTF_16_MARKS):
        raise BadInput(
            "This file is in UTF-16 (“Unicode text”). Please save it as “CSV UTF-8”, and upload that."
        )
    if content.startswith(BINARY_FORMATS) or b"\0" in content[:10_000]:
        raise _not_a_text_file()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"Line {line} has a letter that is not UTF-8. Please save the table as “CSV UTF-8” again."
        ) from None


def _not_a_text_file() -> BadInput:
    return BadInput("This is not a text file. Please save the table as CSV, and upload that.")


def _read_headings(text: str, delimiter: str) -> Sheet:
    sheet = Sheet(text, delimiter, headings=[], fields=[])
    _, headings = next(_numbered_cells(sheet), (1, []))
    return Sheet(text, delimiter, headings, [_field_of(heading) for heading in headings])


def _field_of(heading: str) -> str | None:
    if is_opt_out_heading(heading):
        return "do_not_call"
    return FIELD_OF_HEADING.get(_plain_heading(heading))


def _plain_heading(heading: str) -> str:
    return re.sub(r"[\W_]+", "", heading.casefold())


def is_opt_out_heading(heading: str) -> bool:
    """Return True for the heading of a column that says who must not be called."""
    plain = _plain_heading(heading)
    return any(part in plain for part in OPT_OUT_PARTS)


def _plausibility(sheet: Sheet) -> tuple[int, int]:
    """Return how well a delimiter fits: the number of known fields, then the number of columns."""
    return len({*sheet.fields} - {None}), len(sheet.fields)


def _count_rows(sheet: Sheet) -> int:
    rows = sum(1 for _ in _numbered_cells(sheet)) - int(sheet.has_headings)
    if rows > MAX_ROWS:
        raise BadInput(
            f"This file has {rows:,} rows. Please upload at most {MAX_ROWS:,} at once, in several files."
        )
    if rows == 0:
        raise BadInput("There is nothing under the headings.")
    return rows


def _numbered_cells(sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that aren't empty, the headings first. Raises BadInput for a missing quote."""
    lines = chain(io.StringIO(sheet.text, newline=""), [_END])
    number = 0
    try:
        for number, cells in enumerate(csv.reader(lines, delimiter=sheet.delimiter), 1):
            if cells == [_END]:
                return
            if cells and _END in cells[-1]:
                raise BadInput(f"Row {number}: a quote is not closed, so all under it would be in one cell.")
            if any(cell.strip() for cell in cells):
                yield number, cells
    except csv.Error as error:
        raise BadInput(f"Row {number + 1} can't be read ({error}). A quote may be missing there.") from None


# ----- rows


def rows_of(sheet: Sheet) -> Iterator[InputRow]:
    """Yield the rows below the headings."""
    for number, cells in islice(_numbered_cells(sheet), int(sheet.has_headings), None):
        try:
            yield InputRow(number, _read_row(sheet, cells))
        except BadInput as error:
            yield InputRow(number, error)


def _read_row(sheet: Sheet, cells: list[str]) -> ContactFields:
    columns = len(sheet.headings)
    if any(cell.strip() for cell in cells[columns:]):
        raise BadInput(
            f"It has {len(cells)} cells, and there are {columns} headings. A quote may be missing."
        )
    values: dict[str, list[str]] = {}  # the cells of each field that aren't empty
    for heading, field, cell in zip(sheet.headings, sheet.fields, cells, strict=False):
        if field not in MULTILINE_FIELDS and re.search(r"[\r\n]", cell.strip()):
            raise BadInput(f"{heading.strip()}: it has a line break. A quote may be missing.")
        if field and cell.strip():
            values.setdefault(field, []).append(unescape_formulas(cell))
    contact: ContactFields = {"do_not_call": _is_opt_out(values.get("do_not_call", []))}
    for text_field in TEXT_FIELDS:
        if text_field in values:
            contact[text_field] = _join(text_field, values[text_field])
    if "tags" in values:
        contact["tags"] = _join("tags", values["tags"])
    first, last = (values.get(part, [""])[0] for part in NAME_PARTS)
    if first or last:
        contact["name"] = _full_name(first, last, contact.get("name") or "")
    return contact


def _join(field: str, cells: list[str]) -> str:
    return SEPARATORS[field].join(cells) if field in SEPARATORS else cells[0]


def _full_name(first: str, last: str, name: str) -> str:
    """Return the name for columns of which some are parts of it.

    A column "name" beside a last name is the full name; beside a first name only, it is the last name.
    """
    if name and last:
        return name
    return f"{first} {last or name}"


def _is_opt_out(cells: list[str]) -> bool:
    """Return True if one of the columns says that nobody may call; none may be unclear."""
    answers = [means_do_not_call(cell) for cell in cells]
    if None in answers:
        raise BadInput("Do not call: please write yes or no.")
    return True in answers


def numbers_of(sheet: Sheet) -> Iterator[InputRow]:
    """Yield the numbers of a list of numbers that must not be called."""
    column = sheet.fields.index("phone")
    for number, cells in islice(_numbered_cells(sheet), int(sheet.has_headings), None):
        yield InputRow(number, {"phone": cells[column] if column < len(cells) else "", "do_not_call": True})
