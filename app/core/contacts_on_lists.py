"""Putting contacts on call lists, taking them off, and calling them sooner or later: up to 5,000 at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.engine import Connection

from app.core.models import CALLS, Queue
from app.core.places import new_token
from app.core.queries import ERASE_PERSONAL_DATA, NORMAL_PRIORITY, OPEN_CALL
from app.core.transitions import add_to_waiting_count
from app.storage.sql import insert_many, run

MIN_PRIORITY, MAX_PRIORITY = 1, 5  # 1 is called first
PRIORITIES = list(range(MIN_PRIORITY, MAX_PRIORITY + 1))


def add_calls(
    db: Connection,
    at: float,
    call_list: Queue,
    contact_ids: list[int],
    *,
    reason: str | None = None,
    priority: int = NORMAL_PRIORITY,
    due_at: float | None = None,
    tries: int = 0,
    agreed: bool = False,
) -> int:
    """Put contacts on a call list, to be called from `due_at` on (by default now), and return how many.

    `agreed` says that the contact chose the time: then calling hours don't matter.

    Contacts that are on the list already, that must not be called, or that were forgotten are left out.
    """
    new_ids = _contacts_to_add(db, call_list, contact_ids)
    if not new_ids:
        return 0
    last_number: int = run(
        db,
        """UPDATE queue SET waiting = waiting + :calls, last_number = last_number + :calls
           WHERE id = :queue RETURNING last_number - :calls""",
        calls=len(new_ids),
        queue=call_list.id,
    ).scalar_one()
    last_ticket_id = run(db, "SELECT coalesce(max(id), 0) FROM ticket").scalar_one()
    tickets = [
        {
            "place_id": call_list.place_id,
            "queue_id": call_list.id,
            "contact_id": contact_id,
            "token": new_token(),
            "series": CALLS,
            "ordinal": ordinal,
            "number": f"{call_list.prefix}{ordinal}",
            "state": "waiting",
            "priority": priority,
            "joined_at": at if due_at is None else due_at,
            "taken_at": at,
            "reason": reason,
            "tries": tries,
            "by_phone": 0,
            "agreed": int(agreed),
        }
        for ordinal, contact_id in enumerate(new_ids, last_number + 1)
    ]
    insert_many(db, "ticket", tickets)
    condition = "id > :last_id AND queue_id = :queue"
    _record_for_calls(db, at, "put-on", condition, last_id=last_ticket_id, queue=call_list.id)
    return len(new_ids)


def _contacts_to_add(db: Connection, call_list: Queue, contact_ids: list[int]) -> list[int]:
    result = run(
        db,
        f"""SELECT id FROM contact WHERE id IN :ids AND place_id = :place AND do_not_call = 0
            AND forgotten_at IS NULL AND NOT EXISTS (SELECT 1 FROM ticket WHERE {OPEN_CALL}
            AND contact_id = contact.id AND queue_id = :queue)
            AND NOT EXISTS (SELECT 1 FROM opt_out WHERE opt_out.place_id = :place
                            AND opt_out.phone = contact.phone) ORDER BY id""",
        ids=contact_ids,
        place=call_list.place_id,
        queue=call_list.id,
    )
    return list(result.scalars())


_CALLS_TO_CANCEL = f"""{OPEN_CALL} AND contact_id IN :ids AND queue_id = coalesce(:queue, queue_id)
                       AND queue_id NOT IN :kept_lists
                       AND (:include_claimed = 1 OR state = 'waiting')"""


def cancel_calls(
    db: Connection,
    at: float,
    contact_ids: list[int],
    call_list: Queue | None = None,
    include_claimed: bool = True,
    kept_lists: Collection[int] = (),
) -> int:
    """Take contacts off a call list, or off all of them, and return how many calls were cancelled.

    Without `include_claimed`, the calls that a caller is making now go on. So do the calls on `kept_lists`.
    """
    values: dict[str, Any] = {
        "ids": contact_ids,
        "queue": None if call_list is None else call_list.id,
        "include_claimed": int(include_claimed),
        "kept_lists": list(kept_lists),
    }
    sql = f"""SELECT queue_id, count(*) AS calls FROM ticket
              WHERE {_CALLS_TO_CANCEL} AND state = 'waiting' GROUP BY queue_id"""
    for row in run(db, sql, **values).all():
        add_to_waiting_count(db, row.queue_id, -row.calls)
    _record_for_calls(db, at, "cancel", _CALLS_TO_CANCEL, state="cancelled", **values)
    sql = f"""UPDATE ticket SET state = 'cancelled', ended_at = :at, claimed_until = NULL, held_phone = NULL,
                                browser = NULL
              WHERE {_CALLS_TO_CANCEL}"""
    return run(db, sql, at=at, **values).rowcount


def change_priority(db: Connection, at: float, call_list: Queue, contact_ids: list[int], by: int) -> int:
    """Let contacts be called sooner (`by` is -1) or later (1), and return how many changed."""
    condition = f"""{OPEN_CALL} AND contact_id IN :ids AND queue_id = :queue
                    AND priority + :by BETWEEN {MIN_PRIORITY} AND {MAX_PRIORITY}"""
    values: dict[str, Any] = {"ids": contact_ids, "queue": call_list.id, "by": by}
    _record_for_calls(db, at, "change-priority", condition, **values)
    return run(db, f"UPDATE ticket SET priority = priority + :by WHERE {condition}", **values).rowcount


def _record_for_calls(
    db: Connection, at: float, kind: str, condition: str, *, state: str | None = None, **values: Any
) -> None:
    """Write an event for each call that meets a condition, in one statement; `state` is the new state."""
    run(
        db,
        f"""INSERT INTO event (place_id, queue_id, ticket_id, contact_id, servicer_id, happened_at, kind,
                               state)
            SELECT place_id, queue_id, id, contact_id, servicer_id, :at, :kind, coalesce(:state, state)
            FROM ticket WHERE {condition} ORDER BY id""",
        at=at,
        kind=kind,
        state=state,
        **values,
    )


def erase_call_details(db: Connection, contact_ids: list[int]) -> None:
    """Erase the personal data in the calls of contacts; the durations stay for the statistics."""
    run(db, f"{ERASE_PERSONAL_DATA} WHERE contact_id IN :ids", ids=contact_ids)
