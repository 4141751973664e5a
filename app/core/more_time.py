"""Customers who need more time: others go first while they are away, and they keep their place in line."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.history import record
from app.core.models import Place, Ticket
from app.core.places import find_place
from app.core.queries import get_ticket
from app.core.tickets import open_ticket
from app.core.transitions import admit_waiting, state_at
from app.errors import BadInput, Conflict
from app.storage.database import Database
from app.storage.sql import run, update

MINUTES = (5, 10, 15)
SECOND_PRESS_S = 10  # the same request within this time is the second of two presses


def ask_for_more_time(db: Connection, at: float, slug: str, token: str, minutes: int) -> None:
    """Let others go first for some minutes. Raises BadInput, and Conflict when they may not or are called."""
    place = find_place(db, slug)
    ticket = open_ticket(db, at, slug, token)
    if minutes not in MINUTES:
        raise BadInput("Minutes: please choose 5, 10 or 15.", field="minutes")
    if ticket.away_until is not None and ticket.away_until - MINUTE_S * minutes > at - SECOND_PRESS_S:
        return
    _check_may_wait(ticket, place, at)
    update(db, "ticket", ticket.id, away_until=at + MINUTE_S * minutes, delays=ticket.delays + 1)
    record(
        db,
        at,
        place.id,
        "more-time",
        queue_id=ticket.queue_id,
        ticket_id=ticket.id,
        state=ticket.state,
        detail=str(minutes),
    )


def _check_may_wait(ticket: Ticket, place: Place, at: float) -> None:
    state = state_at(ticket, place, at)
    if state in ("called", "serving"):
        raise Conflict("It's your turn. Please come now, or ask at the desk to be put back.")
    if state != "waiting" or ticket.is_call:
        raise Conflict(f"{ticket.number} isn't waiting any more.")
    if ticket.delays >= place.max_delays:
        times = {0: "no one can ask", 1: "you can ask once", 2: "you can ask twice"}
        allowed = times.get(place.max_delays, f"you can ask {place.max_delays} times")
        raise Conflict(f"You can't get more time: {allowed}. If you can't make it, please leave the line.")


def come_back(db: Connection, at: float, slug: str, token: str) -> None:
    """End the time that a customer asked for: they wait again. A second time changes nothing."""
    ticket = open_ticket(db, at, slug, token)
    if ticket.away_until is not None and ticket.state == "waiting":
        _end_delay(db, at, ticket)


def _end_delay(db: Connection, at: float, ticket: Ticket) -> None:
    update(db, "ticket", ticket.id, away_until=None)
    record(db, at, ticket.place_id, "back", queue_id=ticket.queue_id, ticket_id=ticket.id, state=ticket.state)
    admit_waiting(db, at, ticket.queue_id)


def end_delays(database: Database, at: float) -> bool:
    """Let those wait like the others again whose time is over, so that a door may admit them."""
    due: dict[str, list[int]] = {}  # the ids of tickets by the slug of their place
    with database.read() as db:
        sql = """SELECT ticket.id, place.slug FROM ticket JOIN place ON place.id = place_id
                 WHERE away_until IS NOT NULL AND away_until <= :at ORDER BY ticket.id LIMIT 100"""
        for row in run(db, sql, at=at):
            due.setdefault(row.slug, []).append(row.id)
    for slug, ticket_ids in due.items():
        database.write_in(slug, _end_delays_of, at, ticket_ids)
    return False


def _end_delays_of(db: Connection, at: float, ticket_ids: list[int]) -> None:
    # Without those who got more time just now.
    sql = "SELECT id FROM ticket WHERE id IN :ids AND away_until <= :at ORDER BY id"
    for ticket_id in list(run(db, sql, ids=ticket_ids, at=at).scalars()):
        ticket = get_ticket(db, ticket_id)
        if ticket.state == "waiting":
            _end_delay(db, at, ticket)
        else:
            update(db, "ticket", ticket_id, away_until=None)
