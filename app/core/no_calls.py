"""What people write to say that nobody may call a number, or that somebody may.

In a column such as "Do not call", every cell must be understood: whoever reads it asks about the others. In
other columns, and in the cell of a name or a number, only what can mean nothing else counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.date_forms import is_date, is_date_as_number, is_empty_date
from app.core.no_call_words import (
    ALLOWED,
    CROSSES,
    DENIES,
    FORBIDS,
    GIVEN,
    IS_BLOCKED,
    LETTERS_AS_CROSSES,
    MAX_STATUS,
    NO,
    NO_AND_MORE,
    NOTHING,
    PHRASE,
    SENTENCE,
    STEMS,
    TAKEN_BACK,
    YES,
    YES_AND_MORE,
    plain_text,
)

OPT_OUT_FIELDS = ("do_not_call", "may_call")  # the columns about calls; see app.core.columns.FIELDS


@dataclass(frozen=True)
class ColumnMarks:
    """What a cross or a number means in one column. Only its other cells tell; None where they don't."""

    cross: str | None = None  # a cross such as ✗: "yes" or "no"
    number: str | None = None  # a number such as 45987: "yes" if it is a date

    def explain(self, cell: str) -> str:
        """Return "yes" or "no" for such a mark, and every other cell as it is."""
        plain = plain_text(cell)
        if plain in CROSSES or plain == "×":
            return self.cross or cell
        if is_date_as_number(plain):
            return self.number or cell
        return cell


def marks_that_forbid(cells: Iterable[str]) -> ColumnMarks:
    """Return what marks mean in a column "Do not call".

    People make a cross where others make a tick: beside empty cells it is a yes. Beside a tick, nobody knows.
    """
    answers = {plain for plain in map(plain_text, set(cells)) if plain not in NOTHING and plain not in NO}
    are_dates = all(is_date(each) or is_date_as_number(each) for each in answers)
    are_crosses = answers <= CROSSES | LETTERS_AS_CROSSES
    return ColumnMarks(cross="yes" if are_crosses else None, number="yes" if are_dates else None)


def marks_that_allow(cells: Iterable[str]) -> ColumnMarks:
    """Return what marks mean in a column "May be called": beside a tick, a cross is a no."""
    answers = set(map(plain_text, set(cells))) - CROSSES - LETTERS_AS_CROSSES
    has_tick = not answers.isdisjoint(YES)
    return ColumnMarks(cross="no" if has_tick else None)


def means_do_not_call(text: str) -> bool | None:
    """Return whether a cell of a column "Do not call" says that nobody may call; None if that is unclear.

    A date is a yes: it says since when.
    """
    plain = plain_text(text)
    if plain in NO or plain in NOTHING or plain in ALLOWED or is_empty_date(plain):
        return False
    if DENIES.match(plain):
        return None
    if plain in YES or plain in FORBIDS or YES_AND_MORE.fullmatch(plain):
        return True
    if PHRASE.search(plain) or is_date(plain) or IS_BLOCKED.fullmatch(plain):
        return True
    return None


def means_may_call(text: str) -> bool | None:
    """Return whether a cell of a column "May be called" leaves it open or says yes; None if it is unclear.

    A date is a yes: it says since when.
    """
    plain = plain_text(text)
    if plain in NO or plain in FORBIDS or plain in TAKEN_BACK or NO_AND_MORE.fullmatch(plain):
        return False
    if plain == "×":
        return None  # a tick, but in Japan a no
    if plain in NOTHING or plain in ALLOWED or plain in YES or plain in GIVEN:
        return True
    if is_date(plain):
        return True
    if SENTENCE.fullmatch(plain) or IS_BLOCKED.fullmatch(plain):
        return False
    return None


def forbids_calls(column_field: str, text: str) -> bool | None:
    """Return whether a cell of one of the OPT_OUT_FIELDS says that nobody may call; None if it is unclear."""
    if column_field == "do_not_call":
        return means_do_not_call(text)
    may_call = means_may_call(text)
    return None if may_call is None else not may_call


def says_nothing(text: str) -> bool:
    """Return True for an empty cell, and for one such as "-" or "n/a"."""
    return plain_text(text) in NOTHING


def says_no_calls(text: str) -> bool:
    """Return True if a text, or a sentence in it, says nothing but that somebody must not be called."""
    return any(
        SENTENCE.fullmatch(plain_text(sentence)) for sentence in re.split(r"[.;!,|\n()\[\]]+| - ", text)
    )


def hints_at_no_calls(text: str) -> bool:
    """Return True if a text may say that somebody must not be called."""
    return PHRASE.search(plain_text(text)) is not None


def says_blocked(text: str) -> bool:
    """Return True if a text says nothing but that somebody is blocked, as in a column "Status".

    A word such as "active" or "inactive" says nothing about calls.
    """
    return len(text) <= MAX_STATUS and IS_BLOCKED.fullmatch(plain_text(text)) is not None


def mentions_no_calls(texts: Iterable[str]) -> bool:
    """Return True if any of these texts may say one of the two; much faster than to look at each of them."""
    plain = plain_text("\n".join(texts))
    return any(word in plain for word in STEMS) or PHRASE.search(plain) is not None


def words_beside_number(text: str) -> str:
    """Return what stands beside the digits in the cell of a phone number."""
    return re.sub(r"[\d+/()-]+", " ", text)
