"""Exports: the tickets of some days, and everything that is stored about a place.

They are read in many short reads, so that a client who receives them slowly holds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.days import next_day
from app.core.erasure import tables_of_place
from app.core.models import Place, Ticket
from app.core.queries import SELECT_TICKETS
from app.storage.database import Database
from app.storage.sql import load_all, run

BATCH = 1000  # rows of one read

# Columns that no export holds: links are made of them. The content of a mail holds the link of a request.
SECRET_COLUMNS = (
    "token",
    "manage_token",
    "staff_token",
    "browser",
    "request_key",
    "digits",
    "content",
    "address_key",
)


def tickets_of_days(database: Database, place: Place, first: str, last: str) -> Iterator[list[Ticket]]:
    """Yield the tickets of the days from `first` to `last`, both included, in batches."""
    sql = f"""{SELECT_TICKETS}
              WHERE ticket.place_id = :place AND ticket.id > :after
              AND ticket.series >= :first AND ticket.series < :beyond ORDER BY ticket.id LIMIT :batch"""
    after = 0
    while True:
        with database.read() as db:
            result = run(
                db, sql, place=place.id, after=after, first=first, beyond=next_day(last), batch=BATCH
            )
            tickets = load_all(Ticket, result)
        if not tickets:
            return
        yield tickets
        after = tickets[-1].id


def rows_of_place(database: Database, place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all rows of a place with the names of their tables, without SECRET_COLUMNS.

    Tables come after those that they refer to.
    """
    for table, condition in reversed(tables_of_place().items()):
        sql = f"SELECT * FROM {table} WHERE {condition} AND id > :after ORDER BY id LIMIT :batch"
        after = 0
        while True:
            with database.read() as db:
                rows = run(db, sql, place=place.id, after=after, batch=BATCH).all()
            if not rows:
                break
            for row in rows:
                yield table, {name: cell for name, cell in row._mapping.items() if name not in SECRET_COLUMNS}
            after = rows[-1].id
