"""Queues and call lists: finding, adding, changing and deleting them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from itertools import count, product
from string import ascii_uppercase
from typing import Any, TypedDict

from sqlalchemy.engine import Connection

from app.clock import MINUTE_S
from app.core.days import day_of_series, next_day
from app.core.history import record
from app.core.mail_addresses import MailLinks, ask_to_confirm
from app.core.models import CALLS, WALK_IN, Place, Queue, Servicer
from app.core.places import find_place_for_owner
from app.core.plans import leave_out_queue
from app.core.queries import OPEN_STATES
from app.core.slugs import new_slug
from app.core.tags import join_tags
from app.core.transitions import check_nobody_in, start_day
from app.core.wordlists import add_default_outcomes
from app.errors import BadInput, Conflict, NotFound
from app.storage.sql import insert, insert_returning, load, load_all, load_first, run, update
from app.text import visible

KIND_NAMES = {WALK_IN: "queue", CALLS: "call list"}
USUAL_SERVICE_S = 180  # the guess until the owner says, or customers were served
MAX_CALLS = 1_000_000  # on one call list
SKIPPED_NUMBERS = 20  # at least, after a take-over from a server that didn't answer


class QueueChanges(TypedDict, total=False):
    """What the owner can change about a queue; some apply to one kind only."""

    name: str
    open: bool
    max_waiting: int
    position: int  # among the queues of its kind: 1 is first
    # walk-in queues
    prefix: str
    asks: list[str]
    shared_tablet: bool
    usual_service_s: int
    # call lists
    claim_minutes: int
    retry_minutes: int
    most_tries: int
    public_form: bool
    staff_email: str | None
    calling_from: int  # minute of the contact's day
    calling_to: int
    call_order: str
    requires: list[str] | str  # tags that its callers need
    callers: list[int] | None  # ids of the servicers who may work on it; None: everybody


# ----- numbers that may have been given already


def skip_numbers(db: Connection, at: float, copied_at: float) -> None:
    """Skip numbers in every queue: SKIPPED_NUMBERS, and as many as were given in the minute before the copy.

    After a take-over from a server that didn't answer, it may have given numbers that are in no copy. They
    must not be given again.

    :param copied_at: when the copy that this database was restored from was made, by the clock of that server
    """
    sql = "SELECT queue_id, count(*) AS given FROM ticket WHERE taken_at > :since GROUP BY queue_id"
    given = {row.queue_id: row.given for row in run(db, sql, since=copied_at - MINUTE_S)}
    for place in load_all(Place, run(db, "SELECT * FROM place WHERE deleted_at IS NULL")):
        series = start_day(db, at, place)
        for queue in walk_in_queues(db, place):
            # The lost numbers may have been the first of the day.
            last_number = queue.last_number if queue.series == series else 0
            skipped = SKIPPED_NUMBERS + given.get(queue.id, 0)
            update(db, "queue", queue.id, last_number=last_number + skipped, series=series)
        for call_list in call_lists(db, place):
            skipped = SKIPPED_NUMBERS + given.get(call_list.id, 0)
            update(db, "queue", call_list.id, last_number=call_list.last_number + skipped)


# ----- finding


def walk_in_queues(db: Connection, place: Place) -> list[Queue]:
    """Return the walk-in queues of a place, in the owner's order."""
    return _queues_of_kind(db, place, WALK_IN)


def call_lists(db: Connection, place: Place) -> list[Queue]:
    """Return the call lists of a place, in the owner's order."""
    return _queues_of_kind(db, place, CALLS)


def _queues_of_kind(db: Connection, place: Place, kind: str) -> list[Queue]:
    result = run(
        db,
        """SELECT * FROM queue WHERE place_id = :place AND kind = :kind AND deleted_at IS NULL
           ORDER BY position, id""",
        place=place.id,
        kind=kind,
    )
    return load_all(Queue, result)


def find_queue(db: Connection, place: Place, slug: str) -> Queue:
    """Return a queue or a call list of a place by its slug. Raises NotFound."""
    queue = _find(db, place, slug)
    if queue is None:
        raise _not_found(place, slug, WALK_IN)
    return queue


def find_walk_in_queue(db: Connection, place: Place, slug: str) -> Queue:
    """Return a walk-in queue of a place by its slug. Raises NotFound."""
    queue = _find(db, place, slug)
    if queue is None or queue.is_call_list:
        raise _not_found(place, slug, WALK_IN)
    return queue


def find_call_list(db: Connection, place: Place, slug: str) -> Queue:
    """Return a call list of a place by its slug. Raises NotFound."""
    queue = _find(db, place, slug)
    if queue is None or not queue.is_call_list:
        raise _not_found(place, slug, CALLS)
    return queue


def get_queue(db: Connection, queue_id: int) -> Queue:
    """Return the queue with this id, also one that was deleted."""
    return load(Queue, run(db, "SELECT * FROM queue WHERE id = :id", id=queue_id).one())


def _find(db: Connection, place: Place, slug: str) -> Queue | None:
    result = run(
        db,
        "SELECT * FROM queue WHERE place_id = :place AND slug = :slug AND deleted_at IS NULL",
        place=place.id,
        slug=slug,
    )
    return load_first(Queue, result)


def _not_found(place: Place, slug: str, kind: str) -> NotFound:
    return NotFound(f"{place.name} has no {KIND_NAMES[kind]} named {slug}.")


def callers_of(db: Connection, call_list: Queue) -> list[int] | None:
    """Return the ids of the servicers who may work on a call list, or None when everybody may."""
    if not call_list.restricted:
        return None
    sql = "SELECT servicer_id FROM caller WHERE queue_id = :queue ORDER BY servicer_id"
    return list(run(db, sql, queue=call_list.id).scalars())


# ----- adding


def add_queue(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    name: str,
    max_waiting: int,
    reserved: Collection[str],
    *,
    kind: str = WALK_IN,
    changes: QueueChanges,
    links: MailLinks | None = None,
) -> Queue:
    """Add a queue or a call list for the owner; `changes` hold what differs from the defaults.

    `links` makes the URLs in mails; None if no mail server is configured.
    """
    place = find_place_for_owner(db, slug, token)
    queue = add_queue_to(db, at, place, name, max_waiting, reserved, kind=kind, changes=changes)
    _ask_staff(db, at, place, changes, links)
    return queue


def add_queue_to(
    db: Connection,
    at: float,
    place: Place,
    name: str,
    max_waiting: int,
    reserved: Collection[str],
    *,
    kind: str = WALK_IN,
    changes: QueueChanges | None = None,
) -> Queue:
    """Add a queue or a call list to a place; see add_queue()."""
    changes = changes or {}
    walk_ins = walk_in_queues(db, place)
    lists = call_lists(db, place)
    same_kind = lists if kind == CALLS else walk_ins
    _check_name(name, kind, same_kind)
    taken = {queue.slug for queue in walk_ins + lists}
    queue_slug = new_slug(name, taken, reserved, fallback="queue")
    if kind == CALLS:
        prefix = f"{queue_slug}-"
        series = CALLS
        last_number = _last_number_of_calls(db, place, prefix)
        max_waiting = MAX_CALLS
        add_default_outcomes(db, place)
    else:
        prefix = changes.get("prefix") or _free_prefix(walk_ins)
        series = ""
        last_number = 0
    _check_prefix(prefix, walk_ins)
    row = insert_returning(
        db,
        "queue",
        place_id=place.id,
        slug=queue_slug,
        name=name,
        kind=kind,
        prefix=prefix,
        asks="",
        series=series,
        open=1,
        max_waiting=max_waiting,
        shared_tablet=0,
        last_number=last_number,
        waiting=0,
        usual_service_s=USUAL_SERVICE_S,
        claim_minutes=20,
        retry_minutes=60,
        most_tries=3,
        public_form=0,
        restricted=0,
        created_at=at,
        position=max((queue.position for queue in same_kind), default=0),
    )
    queue = load(Queue, row)
    record(db, at, place.id, "add-queue", queue_id=queue.id)
    return _apply_changes(db, place, queue, changes)


def _last_number_of_calls(db: Connection, place: Place, prefix: str) -> int:
    """Return the last number with this prefix: another list may have had the same slug before."""
    return int(
        run(
            db,
            """SELECT coalesce(max(ordinal), 0) FROM ticket WHERE place_id = :place AND series = :series
               AND number = :prefix || CAST(ordinal AS TEXT)""",
            place=place.id,
            series=CALLS,
            prefix=prefix,
        ).scalar_one()
    )


def _free_prefix(others: list[Queue]) -> str:
    used = {queue.prefix for queue in others}
    return next(prefix for prefix in _prefixes() if prefix not in used)


def _prefixes() -> Iterator[str]:
    """Yield A, B, …, Z, AA, AB, …"""
    for length in count(1):
        for letters in product(ascii_uppercase, repeat=length):
            yield "".join(letters)


def _check_prefix(prefix: str, others: list[Queue]) -> None:
    for other in others:
        if other.prefix == prefix:
            raise Conflict(
                f"Prefix {prefix} is already used by {other.name}. Choose another one.", field="prefix"
            )


def _check_name(name: str, kind: str, others: list[Queue]) -> None:
    """Raise Conflict if another queue of the same kind has this name: people couldn't tell them apart."""
    for other in others:
        if _comparable(other.name) == _comparable(name):
            raise Conflict(
                f"There is already a {KIND_NAMES[kind]} named {other.name}. Choose another name.",
                field="name",
            )


def _comparable(name: str) -> str:
    """Return a name as it is compared: what reads the same is the same."""
    return " ".join(visible(unicodedata.normalize("NFKC", name)).casefold().split())


# ----- changing


def change_queue(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    queue_slug: str,
    changes: QueueChanges,
    kind: str | None = None,
    links: MailLinks | None = None,
) -> Queue:
    """Change a queue for the owner. Raises Conflict for another `kind`, which can't be changed."""
    place = find_place_for_owner(db, slug, token)
    queue = find_queue(db, place, queue_slug)
    if kind not in (None, queue.kind):
        raise Conflict(f"{queue.name} stays a {KIND_NAMES[queue.kind]}: add another one instead.")
    record(db, at, place.id, "change-queue", queue_id=queue.id, detail=" ".join(changes))
    _ask_staff(db, at, place, changes, links)
    return _apply_changes(db, place, queue, changes)


def _ask_staff(
    db: Connection, at: float, place: Place, changes: QueueChanges, links: MailLinks | None
) -> None:
    """Ask whether the address to be told of requests belongs to somebody who wants that."""
    address = changes.get("staff_email")
    if address and links is not None:
        ask_to_confirm(db, at, place, address, links)


def _apply_changes(db: Connection, place: Place, queue: Queue, changes: QueueChanges) -> Queue:
    columns: dict[str, Any] = {
        name: int(value) if isinstance(value, bool) else value
        for name, value in changes.items()
        if name not in ("asks", "callers", "prefix", "position", "requires")
    }
    if "name" in changes and changes["name"] != queue.name:
        others = [each for each in _queues_of_kind(db, place, queue.kind) if each.id != queue.id]
        _check_name(changes["name"], queue.kind, others)
    if "requires" in changes:
        columns["requires"] = join_tags(changes["requires"])
    if "asks" in changes:
        columns["asks"] = " ".join(changes["asks"])
    if "prefix" in changes and not queue.is_call_list:
        columns["prefix"] = changes["prefix"]
        if changes["prefix"] != queue.prefix:
            _check_prefix(changes["prefix"], walk_in_queues(db, place))
            # Another queue may have had the new prefix today: the next number is looked up again.
            columns["series"] = ""
    if "position" in changes:
        columns["position"] = _move(db, place, queue, changes["position"])
    if "callers" in changes:
        columns.update(_set_callers(db, place, queue, changes["callers"]))
    return load(Queue, update(db, "queue", queue.id, **columns)) if columns else queue


def _move(db: Connection, place: Place, queue: Queue, position: int) -> int:
    """Give the other queues of the same kind new positions around this one, and return its position."""
    others = [each for each in _queues_of_kind(db, place, queue.kind) if each.id != queue.id]
    position = max(1, min(position, len(others) + 1))
    for number, other in enumerate(others, 1):
        update(db, "queue", other.id, position=number if number < position else number + 1)
    return position


def _set_callers(db: Connection, place: Place, queue: Queue, callers: list[int] | None) -> dict[str, int]:
    """Choose who may work on a call list; returns the columns of the queue that change."""
    if callers is not None and not queue.is_call_list:
        raise BadInput("Callers: only a call list has them. Choose on the page Team who serves a queue.")
    run(db, "DELETE FROM caller WHERE queue_id = :queue", queue=queue.id)
    for servicer_id in sorted(set(callers or ())):
        _check_servicer(db, place, servicer_id)
        insert(db, "caller", queue_id=queue.id, servicer_id=servicer_id)
    return {"restricted": int(callers is not None)}


def _check_servicer(db: Connection, place: Place, servicer_id: int) -> None:
    sql = "SELECT id FROM servicer WHERE id = :id AND place_id = :place AND removed_at IS NULL"
    if run(db, sql, id=servicer_id, place=place.id).first() is None:
        raise NotFound("This person's access was removed already.")


# ----- what is possible only while nobody is in it


def delete_queue(db: Connection, at: float, slug: str, token: str, queue_slug: str) -> Queue:
    """Delete a queue; its tickets stay in the statistics. Raises Conflict while somebody is in it."""
    place = find_place_for_owner(db, slug, token)
    queue = find_queue(db, place, queue_slug)
    check_nobody_in(db, at, place, queue)
    leave_out_queue(db, queue)
    run(db, "DELETE FROM servicer_queue WHERE queue_id = :queue", queue=queue.id)
    run(db, "DELETE FROM caller WHERE queue_id = :queue", queue=queue.id)
    record(db, at, place.id, "delete-queue", queue_id=queue.id)
    return load(Queue, update(db, "queue", queue.id, deleted_at=at, counter_id=None))


def reset_numbers(db: Connection, at: float, slug: str, token: str, queue_slug: str) -> Queue:
    """Let a queue count from 1 again, in a new series in which the other queues go on counting.

    Raises Conflict while somebody is in it, or has one of its numbers in another queue, and for a call list.
    """
    place = find_place_for_owner(db, slug, token)
    queue = find_queue(db, place, queue_slug)
    if queue.is_call_list:
        raise Conflict("The numbers of a call list always go on.")
    check_nobody_in(db, at, place, queue)
    series = start_day(db, at, place)
    _check_no_number_in_use(db, place, queue, series)
    fresh = _next_series(db, place, series)
    update(db, "place", place.id, series=fresh)
    run(
        db,
        "UPDATE queue SET series = :fresh WHERE place_id = :place AND series = :series",
        fresh=fresh,
        place=place.id,
        series=series,
    )
    record(db, at, place.id, "reset-numbers", queue_id=queue.id, detail=fresh)
    return load(Queue, update(db, "queue", queue.id, series=fresh, last_number=0))


def _check_no_number_in_use(db: Connection, place: Place, queue: Queue, series: str) -> None:
    """Raise Conflict while a customer who was moved has a number of a queue: two would have the same one."""
    sql = """SELECT ticket.number, queue.name FROM ticket JOIN queue ON queue.id = queue_id
             WHERE ticket.place_id = :place AND state IN :open AND ticket.series >= :day
             AND number = :prefix || CAST(ordinal AS TEXT) ORDER BY ticket.id LIMIT 1"""
    day = day_of_series(series)
    row = run(db, sql, place=place.id, open=OPEN_STATES, day=day, prefix=queue.prefix).first()
    if row is not None:
        raise Conflict(f"{row.number} is still in {row.name}. Let them finish first.")


def _next_series(db: Connection, place: Place, series: str) -> str:
    """Return the series after the last one of the same day: 2026-11-21.2 after 2026-11-21."""
    day = day_of_series(series)
    used = run(
        db,
        """SELECT DISTINCT series FROM ticket WHERE place_id = :place
           AND series >= :day AND series < :next_day""",
        place=place.id,
        day=day,
        next_day=next_day(day),
    ).scalars()
    last = max(int(each[11:] or 1) for each in [series, *used])
    return f"{day}.{last + 1}"


def restricted_to_others(db: Connection, queue: Queue, servicer: Servicer) -> bool:
    """Return True for a call list on which this servicer may not work."""
    callers = callers_of(db, queue)
    return callers is not None and servicer.id not in callers
