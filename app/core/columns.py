"""Columns: which field of a contact a column of a table holds, by its heading.

Headings are those of the exports of Google Contacts and Outlook, and what people write in English, German,
French, Spanish, Italian, Portuguese, Dutch, Polish, Turkish and Japanese; the usual ones in some more
languages too. A heading is only recognised if each of its words is understood: "Phone (home)" is a phone
number, but "Emergency contact phone", "Phone type" and "Fax" are not the number of this person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from app.core.column_words import (
    CALL_WORDS,
    CONNECTORS,
    DETAILS,
    HEADINGS,
    HINTS_AT_CALLS,
    MAY_CALL_PARTS,
    NEGATORS,
    NOT_A_QUESTION,
    NUMBER_KINDS,
    NUMBER_WORDS,
    OPT_OUT_HEADINGS,
    OPT_OUT_PARTS,
    OTHER_WAYS,
    PHONE_PLACES,
    QUALIFIERS,
    REASONS,
    SINCE,
    STATUS_WORDS,
    TYPE_WORDS,
    WHOSE_STATUS,
    YES_IN_HEADINGS,
)

MAX_HEADING = 1000  # characters of a heading that are looked at

# What a column can hold. The first four are parts of the name; a company is the name if there is no other.
NAME_PARTS = ("first_name", "middle_name", "last_name")
FIELDS = (
    "name",
    *NAME_PARTS,
    "company",
    "phone",
    "country_code",
    "area_code",
    "extension",
    "email",
    "address",
    "notes",
    "tags",
    "reference",
    "timezone",
    "do_not_call",
    "may_call",
)

_QUALIFIED_FIELDS = ("phone", "email", "address", "name", "notes", "timezone", *NAME_PARTS)
_SPECIAL_LETTERS = str.maketrans("łŁıøØđĐ", "lLioOdD", "'’`´")

_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)?")
_GOOGLE = re.compile(r"(Phone|E-?mail|Address|Organization) (\d+) - (.+)", re.IGNORECASE)
_GOOGLE_ADDRESS_PARTS = ("Street", "Extended Address", "City", "Region", "Postal Code", "Country", "PO Box")


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    heading: str
    field: str | None  # one of FIELDS; None: the column is left out
    group: str = ""  # of several addresses or names: which one this is a part of
    is_settled: bool = False  # the owner has left it out, and needs no question about it


def recognise(headings: Sequence[str]) -> list[Column]:
    """Return what each column holds, as far as its heading tells."""
    columns = [_google_column(heading, headings) or _column(heading) for heading in headings]
    return _without_postal_codes(_without_minor_opt_outs(columns))


def _without_minor_opt_outs(columns: list[Column]) -> list[Column]:
    """Return the columns; beside "Do not call", those such as "Email opt out" are left out."""
    opt_outs = [column for column in columns if column.field == "do_not_call"]
    minor = [column for column in opt_outs if _is_minor(_words(column.heading))]
    if len(minor) == len(opt_outs):
        return columns
    return [Column(column.heading, None) if column in minor else column for column in columns]


def _without_postal_codes(columns: list[Column]) -> list[Column]:
    """Return the columns; "Cep" beside another phone number is an address.

    It is a mobile phone in Turkish, and a postal code in Portuguese.
    """
    phones = [column for column in columns if column.field == "phone"]
    if len(phones) < 2:
        return columns
    return [
        Column(column.heading, "address")
        if column in phones and _words(column.heading) == ["cep"]
        else column
        for column in columns
    ]


def recognise_by_content(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns; one that is called "Home" or "Ufficio" holds phone numbers if it looks so.

    iCloud and Outlook in Italian call them so.
    """
    return [
        Column(column.heading, "phone")
        if _names_places(column) and _holds_numbers([row[n] for row in rows if n < len(row)])
        else column
        for n, column in enumerate(columns)
    ]


def _names_places(column: Column) -> bool:
    words = _without_ordinals(column.heading)
    return column.field is None and bool(words) and all(word in PHONE_PLACES.split() for word in words)


def _holds_numbers(cells: Sequence[str]) -> bool:
    numbers = [cell.strip() for cell in cells if cell.strip()]
    return bool(numbers) and all(
        may_hold_number(cell) and re.fullmatch(r"[+(\d][\d\s()./-]+", cell) for cell in numbers
    )


def name_lines(columns: Sequence[Column]) -> list[int]:
    """Return the columns that hold one name together, such as "Name 1" and "Name 2"; if none, an empty list.

    German address books have them, for a company and its department, or for a surname and a first name. With
    a phone number between them, they are the names of several people.
    """
    lines = [
        n
        for n, column in enumerate(columns)
        if column.field == "name" and _without_ordinals(column.heading) == ["name"]
    ]
    by_number = {"".join(_words(columns[n].heading)[1:]) or "1": n for n in lines}
    wanted = [str(number) for number in range(1, len(lines) + 1)]
    if len(lines) < 2 or sorted(by_number) != wanted:
        return []
    if any(column.field == "phone" for column in columns[lines[0] : lines[-1]]):
        return []
    return [by_number[number] for number in wanted]


def _without_ordinals(heading: str) -> list[str]:
    return [word for word in _words(heading) if not _ORDINAL.fullmatch(word)]


def type_columns(headings: Sequence[str]) -> dict[int, int]:
    """Return for columns such as "Phone 1 - Value" which one tells what it is: "Phone 1 - Type"."""
    plain = [_words(heading) for heading in headings]
    types = {_without_type(words): n for n, words in reversed(list(enumerate(plain))) if _tells_type(words)}
    return {
        n: types[_without_type(words)]
        for n, words in enumerate(plain)
        if not _tells_type(words) and _without_type(words) in types
    }


def _tells_type(words: Sequence[str]) -> bool:
    return _has_word(words, TYPE_WORDS) or "".join(words).endswith(("art", "typ", "type"))


def _without_type(words: Sequence[str]) -> str:
    """Return the words of a heading without those that say that it tells the type of another column."""
    core = "".join(word for word in words if word not in f"{TYPE_WORDS} value".split())
    return re.sub(r"(?:art|typ|type)$", "", core)


def is_opt_out_heading(heading: str) -> bool:
    """Return True for the heading of a column that says who must not be called."""
    words = _words(heading)
    if _has_part(words, OPT_OUT_PARTS):
        return True
    negators = _negators(words)
    if negators and _allows_calls([word for word in words if word not in negators]):
        return True  # "Phone consent revoked"
    return "".join(word for word in words if word not in SINCE.split()) in _folded(OPT_OUT_HEADINGS)


def is_may_call_heading(heading: str) -> bool:
    """Return True for the heading of a column that says who may be called."""
    words = _words(heading)
    return _allows_calls(words) and not _negators(words)


def _allows_calls(words: Sequence[str]) -> bool:
    joined = "".join(words)
    if _has_word(words, OTHER_WAYS) or _holds_details(words):
        return False
    if joined.startswith(("optin", "optedin")) or _has_part(words, MAY_CALL_PARTS):
        return True
    return "optin" in joined and _has_word(words, CALL_WORDS)


def _negators(words: Sequence[str]) -> list[str]:
    """Return the words that turn a permission into its contrary; but "OK to call (yes/no)" has none."""
    if _has_word(words, YES_IN_HEADINGS):
        return []
    return [word for word in words if word in NEGATORS.split()]


def is_reason_heading(heading: str) -> bool:
    """Return True for the heading of a column with the reasons of opt-outs."""
    words = _words(heading)
    is_reason = _has_word(words, REASONS)
    return is_reason and is_opt_out_heading(heading) and not _is_about_other_ways(words)


def hints_at_calls(heading: str) -> bool:
    """Return True for a heading of which it isn't clear whether its column says who may be called."""
    words = _words(heading)
    if is_opt_out_heading(heading):
        return not _holds_details(words)
    if _is_about_other_ways(words) or _has_word(words, NOT_A_QUESTION):
        return False
    return _has_part(words, HINTS_AT_CALLS)


def names_number(heading: str) -> bool:
    """Return True for the heading of a column with numbers of some kind: "Fax", "Emergency phone"."""
    return _has_part(_words(heading), NUMBER_KINDS)


def is_status_heading(heading: str) -> bool:
    """Return True for a column with the state of a person: "Status", "Kundenstatus"; not "Order status"."""
    words = _without_ordinals(heading)
    rest = re.sub(f"{'|'.join(_folded(STATUS_WORDS))}", "", "".join(words))
    has_status = rest != "".join(words)
    return has_status and (not rest or rest in _folded(WHOSE_STATUS))


def _is_minor(words: Sequence[str]) -> bool:
    """Return True for "Do not call reason" and "Email opt out", which say nothing beside "Do not call"."""
    return _holds_details(words) or _is_about_other_ways(words)


def _is_about_other_ways(words: Sequence[str]) -> bool:
    """Return True for words about email and the like, and not about calls."""
    return _has_word(words, OTHER_WAYS) and not _has_word(words, CALL_WORDS)


def _holds_details(words: Sequence[str]) -> bool:
    """Return True for "Do not call reason" and "Opted out by", which tell more than a yes or no."""
    return words[-1:] == ["by"] or _has_word(words, DETAILS)


def is_usable(fields: Sequence[str | None]) -> bool:
    """Return True if the columns hold what a contact needs: a name and a phone number."""
    has_name = any(field in fields for field in ("name", "first_name", "last_name", "company"))
    return has_name and "phone" in fields


def _google_column(heading: str, headings: Sequence[str]) -> Column | None:
    """Return a column such as "Phone 1 - Value" of Google Contacts, or None for any other."""
    match = _GOOGLE.fullmatch(heading.strip())
    if match is None:
        return None
    kind, number, part = match.groups()
    if kind.casefold() == "organization":
        return Column(heading, "company" if part == "Name" else None)
    if kind.casefold() != "address":
        field = "phone" if kind.casefold() == "phone" else "email"
        return Column(heading, field if part == "Value" else None)
    has_formatted = f"Address {number} - Formatted" in headings
    wanted = ("Formatted",) if has_formatted else _GOOGLE_ADDRESS_PARTS
    return Column(heading, "address" if part in wanted else None, group=number)


def _column(heading: str) -> Column:
    """Return what a column holds, as far as its own heading tells."""
    if is_opt_out_heading(heading):
        return Column(heading, "do_not_call")
    if is_may_call_heading(heading):
        return Column(heading, "may_call")
    words = _words(heading)
    core = [word for word in words if not (word in QUALIFIERS.split() or _ORDINAL.fullmatch(word))]
    part = _fields_by_heading().get("".join(core))
    known = part if part in NAME_PARTS else _known_field(words)  # "Customer first name"
    field = known or _qualified_field(words, core)
    is_one_of_several = field in NAME_PARTS or (field == "address" and known is None)  # "Billing city"
    group = [word for word in words if word in QUALIFIERS.split()] if is_one_of_several else []
    return Column(heading, field, " ".join(group))


def _qualified_field(words: Sequence[str], core: Sequence[str]) -> str | None:
    """Return the field of a heading that also says which of several it is, such as "Phone (home) 2".

    `core` holds the words that don't say that: "phone".
    """
    if not core:  # "Mobile/WhatsApp"
        return "phone" if any(_known_field([word]) == "phone" for word in words) else None
    field = _known_field(core) or _known_field([word for word in words if word not in NUMBER_WORDS.split()])
    if field is None and "address" in core:
        # Shopify's "Default Address Phone" and "Default Address Address1".
        field = _known_field([word for word in core if word != "address"])
        return field if field in ("phone", "address") else None
    return field if field in _QUALIFIED_FIELDS else None


def _known_field(words: Sequence[str]) -> str | None:
    """Return the field of a heading of which every word is understood."""
    field = _fields_by_heading().get("".join(words))
    core = [word for word in words if word not in CONNECTORS.split()]
    if field is None:
        field = _fields_by_heading().get("".join(core))
    if field is not None or not core:
        return field
    fields = {_fields_by_heading().get(word) for word in core}
    if len(fields) == 1:
        return fields.pop()  # "Tel./Mobil", "City, State, Zip"
    if fields <= {"name", *NAME_PARTS}:
        return "name"  # "Name, Vorname"
    return None


def _has_word(words: Sequence[str], listed: str) -> bool:
    """Return True if a heading has one of the listed words."""
    return any(word in listed.split() for word in words)


def _has_part(words: Sequence[str], listed: str) -> bool:
    """Return True if a heading, with its words joined, contains one of the listed texts."""
    joined = "".join(words)
    return any(part in joined for part in _folded(listed))


def _words(heading: str) -> list[str]:
    """Return the words of a heading in lower case, without accents: "1. Téléphone" is ["1", "telephone"]."""
    return _words_of(heading[:MAX_HEADING])


@lru_cache(maxsize=1000)  # each heading of a file is looked at many times
def _words_of(heading: str) -> list[str]:
    text = heading.translate(_SPECIAL_LETTERS)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)  # phoneNumber
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"(?<=[a-z])(?=\d)", " ", text)
    return re.findall(r"[^\W_]+", text)


@cache
def _fields_by_heading() -> dict[str, str]:
    return {heading: field for field, headings in HEADINGS.items() for heading in _folded(headings)}


@cache
def _folded(headings: str) -> tuple[str, ...]:
    """Return the headings in a text, each in the form that the words of a heading have when joined."""
    return tuple("".join(_words(heading)) for heading in headings.split())


# ----- Headings that stand below a title

HEADING_ROWS = 20  # the headings are looked for in these


def count_known(headings: Sequence[str]) -> int:
    """Return how many different fields the headings name."""
    return len({column.field for column in recognise(headings)} - {None})


def looks_like_a_row(cells: Sequence[str]) -> bool:
    """Return True for cells that hold a contact rather than headings: a phone number or an email address."""
    return any(may_hold_number(cell) or re.search(r"\S@\S+\.\S", cell) for cell in cells)


def may_hold_number(cell: str) -> bool:
    """Return True for a cell with as many digits as the shortest phone numbers have."""
    return re.search(r"\d(?:[\s()./-]*\d){5}", cell) is not None
