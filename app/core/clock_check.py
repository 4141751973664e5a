"""Checks whether the server's clock can be trusted, and corrects stored times after it was wrong.

A machine without a battery, such as a Raspberry Pi, may start with any date. A clock is doubtful while it
is more than a day ahead of the time that was last known to be right, or more than two hours behind. It is
trusted again as soon as it comes back, when something outside confirms it (a time server, or the place for
backups), or after it ran for an hour without a jump. Until then nothing is erased, and the owner is warned.

Durations are measured with a clock that never jumps, `app.clock.elapsed`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from app import clock
from app.clock import HOUR_S
from app.core.codes import CODE_S
from app.core.counters import counter_today, counters_of
from app.core.days import day_begins, day_of, day_of_series, next_day
from app.core.models import Place, Ticket
from app.core.places import all_places
from app.core.transitions import change_state, start_day
from app.core.trusted_time import MAX_AHEAD_S, MAX_BEHIND_S, TRUSTED_AT
from app.storage.database import Database
from app.storage.facts import find_fact, set_fact
from app.storage.sql import load_all, load_first, run, update

log = logging.getLogger("takeanumber")

STEADY_S = HOUR_S  # a clock that ran for this long without a jump is trusted
JUMP_S = 60.0  # a larger difference from the elapsed time is a jump
NOTE_INTERVAL_S = 600.0  # how often the time is stored in the database
NEWEST_TICKETS = 20_000  # among which those of today are looked for
NEWEST_EVENTS = 200_000  # the same

Confirmation = Callable[[float], bool]  # returns True when something outside confirms a time


@dataclass(frozen=True)
class _Reading:
    """Simultaneous readings of the wall clock and the monotonic clock."""

    at: float
    elapsed: float


class ClockCheck:
    """Watches the clock of a running server. `check()` is called every second."""

    def __init__(self, database: Database, *confirmations: Confirmation):
        self._database = database
        self._confirmations = confirmations
        self._lock = threading.Lock()
        self._last: _Reading | None = None
        self._steady_since = _Reading(0.0, 0.0)  # the first reading after the latest jump
        self._trusted_at: float | None = None  # the newest time that was trusted; None: not loaded yet
        self._noted_at: float | None = None  # what the database was told
        self._is_trusted = True
        # At the start, the clock may have been wrong before; unless other instances have been running.
        self._needs_mending = not database.engine.changes_elsewhere

    def check(self, at: float) -> bool:
        """Return True if the clock is trusted, so that old things may be erased.

        Also corrects what a wrong clock left behind. Raises Unavailable when that can't be stored now.
        """
        with self._lock:
            jump_s, since = self._compare(at)
            was_trusted = self._is_trusted
            is_confirmed = any(confirms(at) for confirms in self._confirmations)
            self._is_trusted = self._believe(at, is_confirmed)
            if self._is_trusted:
                was_wrong = is_confirmed or not was_trusted  # else nobody knows which of the two was right
                self._mend(at, jump_s if was_wrong else 0.0, since)
            self._note()
            self._log_change(at, was_trusted)
            return self._is_trusted

    def doubt(self, db: Connection, at: float) -> float | None:
        """Return the time that was last trusted if the clock differs too much from it, else None.

        Changes nothing, so that a page can ask.
        """
        if self._last is not None and self._is_trusted and _is_plausible(at, self._last.at):
            return None
        trusted_at = self._trusted_at if self._trusted_at is not None else last_known_time(db)
        if trusted_at is None or _is_plausible(at, trusted_at):
            return None
        return trusted_at

    def _compare(self, at: float) -> tuple[float, float]:
        """Compare the clock with the elapsed time.

        Returns by how much it jumped, and the time since when it had been steady before.
        """
        reading = _Reading(at, clock.elapsed())
        last, since = self._last, self._steady_since.at
        self._last = reading
        if last is None:
            self._steady_since = reading
            return 0.0, at
        jump_s = (at - last.at) - (reading.elapsed - last.elapsed)
        if abs(jump_s) <= JUMP_S:
            return 0.0, since
        self._steady_since = reading
        self._needs_mending = True
        return jump_s, since

    def _believe(self, at: float, is_confirmed: bool) -> bool:
        """Decide whether the clock is right."""
        if self._trusted_at is None:
            with self._database.read() as db:
                noted, known = find_fact(db, TRUSTED_AT), last_known_time(db)
            self._trusted_at = at if known is None else known
            self._noted_at = None if noted is None else float(noted)
        is_steady = clock.elapsed() - self._steady_since.elapsed >= STEADY_S
        if is_steady or is_confirmed:
            self._trusted_at = at
            return True
        if not _is_plausible(at, self._trusted_at):
            return False
        self._trusted_at = max(at, self._trusted_at)
        return True

    def _mend(self, at: float, jump_s: float, since: float) -> None:
        if self._needs_mending:
            self._database.write(correct_times, at, jump_s, since)
            self._needs_mending = False

    def _note(self) -> None:
        assert self._trusted_at is not None, "_believe() has set it"
        if self._noted_at is None or abs(self._trusted_at - self._noted_at) >= NOTE_INTERVAL_S:
            self._database.write_internal(set_fact, TRUSTED_AT, str(self._trusted_at))
            self._noted_at = self._trusted_at

    def _log_change(self, at: float, was_trusted: bool) -> None:
        if was_trusted and not self._is_trusted:
            log.warning(
                "The clock shows %s, but it was %s when it was last right. Nothing is erased until a time "
                "server confirms the clock, or it has run for an hour.",
                _in_words(at),
                _in_words(self._trusted_at or 0.0),
            )
        elif self._is_trusted and not was_trusted:
            log.warning("The clock is trusted again: it shows %s.", _in_words(at))


def _is_plausible(at: float, trusted_at: float) -> bool:
    return -MAX_BEHIND_S <= at - trusted_at <= MAX_AHEAD_S


def _in_words(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "minutes")


def last_known_time(db: Connection) -> float | None:
    """Return the newest time that is known to be right, or None in a new database."""
    noted = find_fact(db, TRUSTED_AT)
    if noted is not None:
        return float(noted)
    newest: float | None = run(db, "SELECT happened_at FROM event ORDER BY id DESC LIMIT 1").scalar()
    return newest


# ----- after a wrong clock


def correct_times(db: Connection, at: float, jump_s: float, since: float) -> None:
    """Correct what was stored while the clock was wrong, now that it is right.

    If it jumped by `jump_s`, what was stored between the time `since` and the jump moves along, so that it
    keeps its age. People who wait are in the line of today, and no time limit ends later than it could.
    """
    if jump_s:
        _keep_ages(db, jump_s, since, until=at - jump_s + JUMP_S)
    run(db, "UPDATE counter SET recounted_at = :at WHERE recounted_at > :at", at=at)
    run(db, "UPDATE code SET ends_at = :latest WHERE ends_at > :latest", latest=at + CODE_S)
    run(
        db,
        """UPDATE ticket SET claimed_until = :at + 60 * (SELECT claim_minutes FROM queue
                                                         WHERE queue.id = queue_id)
           WHERE claimed_until IS NOT NULL AND claimed_until > :latest""",
        at=at,
        latest=at + MAX_AHEAD_S,
    )
    for place in all_places(db):
        today = day_of(place, at)
        for counter in counters_of(db, place, at):
            if counter.day > today:
                counter_today(db, at, place, counter)
        _bring_into_today(db, at, place, today, has_jumped=bool(jump_s))


def _keep_ages(db: Connection, jump_s: float, since: float, until: float) -> None:
    """Move the times of events, and of what is in progress, that the clock showed before it jumped."""
    run(
        db,
        f"""UPDATE event SET happened_at = happened_at + :jump WHERE happened_at BETWEEN :since AND :until
            AND id > (SELECT max(id) FROM event) - {NEWEST_EVENTS}""",
        since=since,
        until=until,
        jump=jump_s,
    )
    columns = ("taken_at", "first_called_at", "called_at", "started_at", "moved_at", "step_called_at")
    changes = ", ".join(
        f"{column} = CASE WHEN {column} BETWEEN :since AND :until THEN {column} + :jump ELSE {column} END"
        for column in columns
    )
    # A call that is due later on purpose stays: its time was chosen, not measured.
    run(
        db,
        f"""UPDATE ticket SET {changes},
                joined_at = CASE WHEN joined_at BETWEEN :since AND :until THEN joined_at + :jump
                                 ELSE joined_at END,
                claimed_until = CASE WHEN called_at BETWEEN :since AND :until THEN claimed_until + :jump
                                     ELSE claimed_until END
            WHERE state IN ('waiting', 'called', 'serving')
            OR (state = 'expired' AND id > (SELECT max(id) FROM ticket) - {NEWEST_TICKETS})""",
        since=since,
        until=until,
        jump=jump_s,
    )
    run(
        db,
        """UPDATE counter SET recounted_at = recounted_at + :jump
           WHERE recounted_at BETWEEN :since AND :until""",
        since=since,
        until=until,
        jump=jump_s,
    )
    run(
        db,
        "UPDATE code SET ends_at = ends_at + :jump WHERE ends_at BETWEEN :since AND :until",
        since=since,
        until=until + CODE_S,
        jump=jump_s,
    )


def _bring_into_today(db: Connection, at: float, place: Place, today: str, has_jumped: bool) -> None:
    """Let customers who took a number today wait in today's line, whatever day it was for the clock."""
    sql = f"""SELECT * FROM ticket WHERE place_id = :place AND contact_id IS NULL
              AND ((state = 'waiting' AND series < :today AND taken_at >= :begin)
                   OR (state = 'waiting' AND (series >= :after OR (series >= :tomorrow AND taken_at > :at)))
                   OR (state = 'expired' AND taken_at >= :begin AND (ended_at > :at OR :has_jumped = 1)
                       AND id > (SELECT max(id) FROM ticket) - {NEWEST_TICKETS}))
              AND queue_id IN (SELECT id FROM queue WHERE place_id = :place AND kind = 'walk-in'
                               AND deleted_at IS NULL)
              ORDER BY id"""
    result = run(
        db,
        sql,
        place=place.id,
        today=today,
        begin=day_begins(place, today),
        # Tomorrow's may be from another time zone that the owner had chosen.
        after=next_day(today, 1 if has_jumped else 2),
        tomorrow=next_day(today),
        at=at,
        has_jumped=int(has_jumped),
    )
    tickets = load_all(Ticket, result)
    if tickets or day_of_series(place.series) > next_day(today):
        start_day(db, at, place)
    strangers = [ticket for ticket in tickets if day_of_series(ticket.series) != today]
    if strangers:
        _give_series(db, place, today, strangers)
        ahead_s = max(ticket.taken_at for ticket in strangers) - at
        if ahead_s > 0:
            sql = """UPDATE ticket SET taken_at = taken_at - :ahead, joined_at = joined_at - :ahead
                     WHERE id IN :ids AND taken_at > :at"""
            run(db, sql, ahead=ahead_s, at=at, ids=[ticket.id for ticket in strangers])
    for ticket in tickets:
        sql = "SELECT * FROM ticket WHERE id = :id AND state = 'expired'"
        expired = load_first(Ticket, run(db, sql, id=ticket.id))
        if expired is not None:
            change_state(db, at, expired, "wait-again")


def _give_series(db: Connection, place: Place, today: str, tickets: list[Ticket]) -> None:
    """Move tickets of other days into a series of today in which none of their numbers is used."""
    sql = """SELECT DISTINCT series FROM ticket WHERE place_id = :place
             AND series >= :today AND series < :tomorrow"""
    used = set(run(db, sql, place=place.id, today=today, tomorrow=next_day(today)).scalars())
    fresh, number = today, 1
    while fresh in used:
        number += 1
        fresh = f"{today}.{number}"
    numbers: set[str] = set()
    for ticket in tickets:
        if ticket.number not in numbers:  # two wrong days may have given the same one
            numbers.add(ticket.number)
            update(db, "ticket", ticket.id, series=fresh)
    for series in {ticket.series for ticket in tickets}:
        sql = "UPDATE queue SET series = :fresh WHERE place_id = :place AND series = :series"
        run(db, sql, fresh=fresh, place=place.id, series=series)
    update(db, "place", place.id, series=fresh)
