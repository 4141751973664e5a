"""Exports: the tickets of some days, and everything that is stored about a place.

They are read in many short reads, so that a client who receives them slowly holds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from app.core.days import day_of, next_day
from app.core.erasure import tables_of_place
from app.core.models import Place
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


class TicketRow(NamedTuple):
    """A ticket as the owner downloads it. There may be millions, so it is a tuple and no dataclass."""

    id: int
    state: str  # as transitions.state_at() tells it
    number: str
    queue_name: str
    series: str
    taken_at: float
    first_called_at: float | None
    called_at: float | None
    started_at: float | None
    ended_at: float | None
    wait_s: float | None
    service_s: float | None
    total_s: float | None
    servicer: str | None
    desk: str | None
    party: int | None
    name: str | None
    phone: str | None
    note: str | None


def tickets_of_days(
    database: Database, at: float, place: Place, first: str, last: str
) -> Iterator[list[TicketRow]]:
    """Yield the tickets of the days from `first` to `last`, both included, in batches."""
    # The states are those of transitions.state_at(): a claim that is over and a placeholder read as waiting,
    # and a ticket that still waits after its day as expired.
    sql = """SELECT ticket.id,
                    CASE WHEN claimed_until <= :at THEN 'waiting'
                         WHEN contact_id IS NOT NULL AND state = 'expired' THEN 'waiting'
                         WHEN state = 'waiting' AND ticket.series < :today THEN 'expired'
                         ELSE state END AS state,
                    number, queue.name AS queue_name, ticket.series, taken_at, first_called_at, called_at,
                    started_at, ended_at, first_called_at - taken_at AS wait_s,
                    CASE WHEN state = 'done' THEN ended_at - coalesce(started_at, called_at) END AS service_s,
                    CASE WHEN state = 'done' THEN ended_at - taken_at END AS total_s,
                    servicer.name AS servicer, servicer.desk, party, ticket.name, ticket.phone, ticket.note
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
        yield [TicketRow._make(row) for row in rows]
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
