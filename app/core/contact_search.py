"""Finding contacts: the filters and the search of the owner's list."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.days import day_begins
from app.core.models import Contact, Place
from app.core.queries import OPEN_CALL
from app.core.queues import find_call_list
from app.core.tags import split_tags
from app.storage.sql import load_all, run

PAGE_SIZE = 50
MAX_WORDS = 5  # of a search; further ones are ignored

IN_PLACE = "place_id = :place AND forgotten_at IS NULL"
# With the unary plus, SQLite doesn't use an index on place_id, which it would read from end to end for each
# batch of contacts in the order of their ids.
_IN_PLACE_WITHOUT_INDEX = "+place_id = :place AND forgotten_at IS NULL"

# The column that each order of the list is made by.
SORT_COLUMNS = {
    "name": "search",
    "phone": "phone",
    "reference": "reference",
    "last_called_at": "last_called_at",
    "last_outcome": "last_outcome",
    "created_at": "created_at",
    "changed_at": "changed_at",
}


@dataclass(frozen=True)
class ContactFilter:
    """Which contacts to find: those that match all of these; and their order."""

    q: str | None = None  # words, or a phone number
    in_list: str | None = None  # slug of a call list
    never_called: bool = False
    last_outcome: str | None = None
    tag: str | None = None
    called_before: str | None = None  # a day
    do_not_call: bool = False
    reason: str | None = None  # of an open call, on `in_list` if that is given
    priority: int | None = None  # of the same call
    sort: str | None = None  # one of SORT_COLUMNS, with "-" before it for descending; by default the name


@dataclass(frozen=True)
class ContactPage:
    """One page of the contacts that match a filter."""

    contacts: list[Contact]
    total: int  # number of contacts on all pages
    page: int
    pages: int


def contacts_page(db: Connection, place: Place, wanted: ContactFilter, page: int) -> ContactPage:
    """Return a page of the contacts that match; after the last page comes the last one again."""
    where, values = _matching(db, place, wanted)
    total = run(db, f"SELECT count(*) FROM contact WHERE {where}", **values).scalar_one()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, page), pages)
    sql = f"""SELECT * FROM contact WHERE {where} ORDER BY {_order(wanted.sort or "name")}
              LIMIT :limit OFFSET :offset"""
    contacts = run(db, sql, limit=PAGE_SIZE, offset=PAGE_SIZE * (page - 1), **values)
    return ContactPage(load_all(Contact, contacts), total, page, pages)


def contacts_after(
    db: Connection, place: Place, wanted: ContactFilter, after_id: int, limit: int
) -> list[Contact]:
    """Return the next contacts that match, by their ids."""
    where, values = _matching(db, place, wanted, _IN_PLACE_WITHOUT_INDEX)
    sql = f"SELECT * FROM contact WHERE {where} AND id > :after_id ORDER BY id LIMIT :limit"
    return load_all(Contact, run(db, sql, after_id=after_id, limit=limit, **values))


def matching_ids(db: Connection, place: Place, wanted: ContactFilter) -> list[int]:
    """Return the ids of all contacts that match."""
    where, values = _matching(db, place, wanted)
    return list(run(db, f"SELECT id FROM contact WHERE {where} ORDER BY id", **values).scalars())


def all_tags(db: Connection, place: Place) -> list[str]:
    """Return the tags that contacts of a place have, sorted."""
    sql = "SELECT DISTINCT tags FROM contact WHERE place_id = :place AND tags <> ''"
    tags = {tag for stored in run(db, sql, place=place.id).scalars() for tag in split_tags(stored)}
    return sorted(tags, key=lambda tag: (tag.casefold(), tag))


def _matching(
    db: Connection, place: Place, wanted: ContactFilter, in_place: str = IN_PLACE
) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition for a filter and its parameters. Raises NotFound for an unknown call list."""
    conditions = [in_place]
    values: dict[str, Any] = {"place": place.id}
    condition = _condition_on_call(db, place, wanted, values)
    if condition:
        conditions.append(condition)
    if wanted.never_called:
        conditions.append("last_called_at IS NULL")
    if wanted.last_outcome:
        conditions.append("last_outcome = :last_outcome")
        values["last_outcome"] = wanted.last_outcome
    if wanted.tag:
        conditions.append("replace(tags, :tag, '') <> tags")
        values["tag"] = f"\n{wanted.tag}\n"
    if wanted.called_before:
        # An expression, so that the index of last calls isn't used: most contacts would be in its range, and
        # would then have to be sorted by name.
        conditions.append("coalesce(last_called_at, 1e15) < :called_before")
        values["called_before"] = day_begins(place, wanted.called_before)
    if wanted.do_not_call:
        conditions.append("do_not_call = 1")
    for number, spellings in enumerate(_search_words(wanted.q or "")):
        patterns = {f"word{number}_{n}": _pattern(text) for n, text in enumerate(spellings)}
        conditions.append("(" + " OR ".join(f"search LIKE :{name} ESCAPE '!'" for name in patterns) + ")")
        values |= patterns
    return " AND ".join(conditions), values


def _condition_on_call(
    db: Connection, place: Place, wanted: ContactFilter, values: dict[str, Any]
) -> str | None:
    """Return the condition on the open calls of a contact, and add its parameters to `values`."""
    of_call = []
    if wanted.in_list:
        of_call.append("queue_id = :in_list")
        values["in_list"] = find_call_list(db, place, wanted.in_list).id
    if wanted.reason:
        of_call.append("reason = :reason")
        values["reason"] = wanted.reason
    if wanted.priority is not None:
        of_call.append("priority = :priority")
        values["priority"] = wanted.priority
    if not of_call:
        return None
    return f"""EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND {OPEN_CALL}
                       AND {" AND ".join(of_call)})"""


def _search_words(text: str) -> list[tuple[str, ...]]:
    """Return the words that a contact must have, each with its possible spellings.

    A phone number is one word: its digits without leading zeros, or as it was typed, since a reference may
    look like a phone number.
    """
    digits = re.sub(r"\D", "", text).lstrip("0")
    if digits and re.fullmatch(r"[\d\s()+./-]+", text):
        return [(digits, text.strip())]
    return [(word,) for word in text.casefold().split()[:MAX_WORDS]]


def _pattern(text: str) -> str:
    """Return the LIKE pattern for texts that contain this one; "!" is the escape character."""
    return "%" + re.sub("([!%_])", r"!\1", text) + "%"


def _order(sort: str) -> str:
    column = SORT_COLUMNS[sort.removeprefix("-")]
    if sort.startswith("-"):
        return f"{column} DESC NULLS LAST, id DESC"
    return f"{column} ASC NULLS FIRST, id ASC"
