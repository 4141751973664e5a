"""Exports: the tickets of some days, and everything that is stored about a place.

They are read in many short reads, so that a client who receives them slowly holds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection

from app.core.days import day_of, next_day
from app.core.erasure import tables_of_place
from app.core.models import DETAILS, Place
from app.core.queries import CANCELLED_BY_OWNER, SERVICE_S, TOTAL_S, WAIT_S
from app.core.transitions import STATE_AT
from app.storage.database import Database
from app.storage.sql import run

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
    "endpoint",
    "p256dh",
    "auth",
    "ticket_url",
    "not_me_url",
    "secret",
)


# The columns of the owner's download of tickets, in their order, and the SQL of each. Columns named `*_at`
# hold times, those named `*_s` durations.
TICKET_COLUMNS = {
    "state": STATE_AT,
    "number": "number",
    "queue_name": "queue.name",
    "series": "ticket.series",
    "taken_at": "taken_at",
    "first_called_at": "first_called_at",
    "called_at": "called_at",
    "started_at": "started_at",
    "ended_at": "ended_at",
    "wait_s": WAIT_S,
    "service_s": SERVICE_S,
    "total_s": TOTAL_S,
    "servicer": "servicer.name",
    "desk": "servicer.desk",
    **{detail: f"ticket.{detail}" for detail in DETAILS},
    "cancelled_by_owner": f"CASE WHEN {CANCELLED_BY_OWNER} THEN 'yes' END",
}
SELECTED = ", ".join(f"{sql} AS {column}" for column, sql in TICKET_COLUMNS.items())


def tickets_of_days(
    database: Database, at: float, place: Place, first: str, last: str
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the tickets of the days from `first` to `last`, both included, in batches.

    There may be millions, so a ticket is a tuple with TICKET_COLUMNS and no dataclass.
    """
    sql = f"""SELECT {SELECTED}, ticket.id
             FROM ticket JOIN queue ON queue.id = ticket.queue_id
             LEFT JOIN servicer ON servicer.id = ticket.servicer_id
             WHERE ticket.id > :after AND ticket.id <= :until AND +ticket.place_id = :place
             AND ticket.series || '' >= :first AND ticket.series || '' < :beyond
             ORDER BY ticket.id LIMIT :batch"""
    # The plus and the empty text keep the database from the index on these columns: it would sort all tickets
    # for each batch.
    beyond = next_day(last)
    with database.read_long() as db:
        after, until = _ids_of_period(db, place, first, beyond)
    while True:
        with database.read() as db:
            result = run(
                db,
                sql,
                place=place.id,
                first=first,
                beyond=beyond,
                after=after,
                until=until,
                at=at,
                today=day_of(place, at),
                batch=BATCH,
            )
            rows = result.all()
        if not rows:
            return
        yield [row[:-1] for row in rows]
        after = rows[-1].id


def _ids_of_period(db: Connection, place: Place, first: str, beyond: str) -> tuple[int, int]:
    """Return the ids that the tickets of some days lie between: one below the first, and the last."""
    sql = """SELECT min(id) - 1 AS below, max(id) AS highest FROM ticket
             WHERE place_id = :place AND series >= :first AND series < :beyond"""
    row = run(db, sql, place=place.id, first=first, beyond=beyond).one()
    return row.below or 0, row.highest or 0


def rows_of_place(database: Database, place: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all rows of a place with the names of their tables, without SECRET_COLUMNS.

    Tables come after those that they refer to.
    """
    for table, condition in reversed(tables_of_place().items()):
        if condition == "place_id = :place" and table != "event":
            # The plus keeps the database from an index on the place: it would sort all rows for each batch.
            condition = "+place_id = :place"
        sql = f"SELECT * FROM {table} WHERE {condition} AND id > :after ORDER BY id LIMIT :batch"
        after = 0
        while True:
            with database.read() as db:
                rows = run(db, sql, place=place.id, after=after, batch=BATCH).all()
            if not rows:
                break
            for row in rows:
                yield (
                    table,
                    {name: cell for name, cell in row._asdict().items() if name not in SECRET_COLUMNS},
                )
            after = rows[-1].id
