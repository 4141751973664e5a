"""Plans: a customer who passes through several queues, one after the other, such as Triage → Blood → Doctor.

A desk makes a plan when it moves a customer, or before. When a desk has finished with them, they go on to the
queue of the next step; after the last one, their ticket is done. A ticket is always in one queue, that of its
present step. The table `step` holds all steps. Those that are over keep the times that the customer spent
there, so that each queue learns from its own waits and services, and its statistics are right.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from app.core.models import Place, Queue, Step, Ticket
from app.core.queries import JOIN_TIME, NORMAL_PRIORITY, OPEN_STATES
from app.core.transitions import TicketChanges, change_state
from app.errors import BadInput
from app.storage.sql import insert, load_all, load_first, run, update

MAX_STEPS = 10  # that follow the queue in which a customer waits
BUSY_STATES = ("called", "serving")
WAS_PLANNED = "planned"  # begins the detail of a move's event: the ids of the queues that followed before it


# ----- finding


def plans_of(db: Connection, tickets: Iterable[Ticket]) -> dict[int, list[Step]]:
    """Return the steps of the plans of some tickets, by the ticket's id; one without a plan is left out."""
    ids = [ticket.id for ticket in tickets if ticket.step_number is not None]
    plans: dict[int, list[Step]] = {}
    if ids:
        sql = """SELECT ticket_id, number, queue_id, queue.slug AS queue, queue.name AS queue_name
                 FROM step JOIN queue ON queue.id = queue_id
                 WHERE ticket_id IN :ids ORDER BY ticket_id, step.number"""
        for step in load_all(Step, run(db, sql, ids=ids)):
            plans.setdefault(step.ticket_id, []).append(step)
    return plans


def plan_of(db: Connection, ticket: Ticket) -> list[Step]:
    """Return the steps of a ticket's plan; an empty list if it has none."""
    return plans_of(db, [ticket]).get(ticket.id, [])


def queues_to_come(db: Connection, ticket: Ticket) -> list[Queue]:
    """Return the queues that follow the present step of a ticket."""
    if ticket.step_number is None:
        return []
    sql = """SELECT queue.* FROM step JOIN queue ON queue.id = queue_id
             WHERE ticket_id = :ticket AND step.number > :number ORDER BY step.number"""
    return load_all(Queue, run(db, sql, ticket=ticket.id, number=ticket.step_number))


def find_steps(
    db: Connection, place: Place, first: Queue, slugs: list[str], *, may_repeat_first: bool
) -> list[Queue]:
    """Return the queues of the steps that follow `first`, by their slugs. Raises BadInput.

    Blank ones, which a form sends for steps that weren't chosen, are left out.

    :param may_repeat_first: `first` itself may come first among them; it is left out, too
    """
    chosen = [slug for slug in slugs if slug]
    if chosen and chosen[0] == first.slug:
        if not may_repeat_first:
            raise BadInput(
                f"They are in {first.name} already. Choose another queue to come next.", field="steps"
            )
        del chosen[0]
    if len(chosen) > MAX_STEPS:
        raise BadInput(f"Steps: please choose at most {MAX_STEPS}.", field="steps")
    steps: list[Queue] = []
    before = first
    for slug in chosen:
        queue = _find_step(db, place, slug)
        if queue.id == before.id:
            raise BadInput(f"Steps: {queue.name} comes twice in a row.", field="steps")
        if before.counter_id is not None:
            raise BadInput(
                f"Steps: {before.name} can only be the last one, since people are let in there at a door.",
                field="steps",
            )
        steps.append(queue)
        before = queue
    return steps


def _find_step(db: Connection, place: Place, slug: str) -> Queue:
    sql = "SELECT * FROM queue WHERE place_id = :place AND slug = :slug AND deleted_at IS NULL"
    queue = load_first(Queue, run(db, sql, place=place.id, slug=slug))
    if queue is None:
        raise BadInput(f"Steps: there is no queue named {slug}.", field="steps")
    if queue.is_call_list:
        raise BadInput(f"Steps: {queue.name} is a call list. Choose queues only.", field="steps")
    return queue


# ----- changing


def set_steps(db: Connection, ticket: Ticket, queue_ids: list[int]) -> None:
    """Replace the steps that follow the present one by these queues."""
    number = ticket.step_number or 1
    if number == 1 and not queue_ids:
        run(db, "DELETE FROM step WHERE ticket_id = :ticket", ticket=ticket.id)
        update(db, "ticket", ticket.id, step_number=None, step_count=None)
        return
    if ticket.step_number is None:
        _add_steps(db, ticket, 1, [ticket.queue_id])
    sql = "DELETE FROM step WHERE ticket_id = :ticket AND number > :number"
    run(db, sql, ticket=ticket.id, number=number)
    _add_steps(db, ticket, number + 1, queue_ids)
    update(db, "ticket", ticket.id, step_number=number, step_count=number + len(queue_ids))


def _add_steps(db: Connection, ticket: Ticket, number: int, queue_ids: list[int]) -> None:
    for each, queue_id in enumerate(queue_ids, number):
        insert(db, "step", place_id=ticket.place_id, ticket_id=ticket.id, number=each, queue_id=queue_id)


def move(
    db: Connection, at: float, place: Place, ticket: Ticket, target: Queue, following: list[int]
) -> None:
    """Move a ticket to the end of another queue, or to where its waiting time puts it.

    If it has a plan, or gets one, and is at a desk, its step there is over. If it still waits, the queue
    replaces that of its present step.

    :param following: the ids of the queues that follow the target
    """
    changes: TicketChanges = {
        "queue_id": target.id,
        "priority": NORMAL_PRIORITY,
        "joined_at": _join_time(db, at, place, ticket, target),
    }
    detail = None
    if ticket.step_number is not None or following:
        if ticket.step_number is not None:
            to_come = [str(queue.id) for queue in queues_to_come(db, ticket)]
            detail = " ".join([WAS_PLANNED, *to_come])
        changes.update(_change_plan(db, at, ticket, [target.id, *following]))
    change_state(db, at, ticket, "move", detail=detail, **changes)


def _join_time(db: Connection, at: float, place: Place, ticket: Ticket, target: Queue) -> float:
    if place.keeps_wait:
        return ticket.taken_at
    sql = f"SELECT {JOIN_TIME}"
    return float(run(db, sql, at=at, queue=target.id, normal=NORMAL_PRIORITY).scalar_one())


def _change_plan(db: Connection, at: float, ticket: Ticket, queue_ids: list[int]) -> TicketChanges:
    """Write the steps of a ticket that is being moved to the first of these queues.

    Returns what changes in its own row.
    """
    number = ticket.step_number or 1
    sql = "DELETE FROM step WHERE ticket_id = :ticket AND ended_at IS NULL"
    run(db, sql, ticket=ticket.id)
    changes: TicketChanges = {}
    if ticket.state in BUSY_STATES:
        insert(
            db,
            "step",
            place_id=ticket.place_id,
            ticket_id=ticket.id,
            number=number,
            queue_id=ticket.queue_id,
            servicer_id=ticket.servicer_id,
            came_at=ticket.taken_at if ticket.moved_at is None else ticket.moved_at,
            first_called_at=ticket.first_called_at if ticket.moved_at is None else ticket.step_called_at,
            called_at=ticket.called_at,
            started_at=ticket.started_at,
            ended_at=at,
        )
        number += 1
        changes.update({"moved_at": at, "step_called_at": None, "soon_at": None})
        # In the next queue, they are told again that it's their turn soon.
        run(db, "UPDATE subscription SET soon_at = NULL WHERE ticket_id = :ticket", ticket=ticket.id)
    if number == 1 and len(queue_ids) == 1:
        changes.update({"step_number": None, "step_count": None})
        return changes
    _add_steps(db, ticket, number, queue_ids)
    changes.update({"step_number": number, "step_count": number + len(queue_ids) - 1})
    return changes


def finish_step(db: Connection, at: float, place: Place, day: str, ticket: Ticket) -> Queue | None:
    """Let the customer of a desk go on to the next step, and return its queue.

    If there is none, or the day of the ticket is over, the ticket is done, and None is returned.
    """
    to_come = [] if ticket.series < day else queues_to_come(db, ticket)
    if not to_come:
        change_state(db, at, ticket, "done")
        return None
    move(db, at, place, ticket, to_come[0], [queue.id for queue in to_come[1:]])
    return to_come[0]


def restore_plan(db: Connection, ticket: Ticket, detail: str | None) -> TicketChanges:
    """Write the steps that a ticket had before it was moved from a desk; return what changes in its own row.

    :param detail: that of the event of the move
    """
    if detail is None:  # it had no plan
        run(db, "DELETE FROM step WHERE ticket_id = :ticket", ticket=ticket.id)
        return {"step_number": None, "step_count": None, "moved_at": None, "step_called_at": None}
    sql = "DELETE FROM step WHERE ticket_id = :ticket AND ended_at IS NULL"
    run(db, sql, ticket=ticket.id)
    sql = "SELECT * FROM step WHERE ticket_id = :ticket ORDER BY number DESC LIMIT 1"
    over = run(db, sql, ticket=ticket.id).one()
    no_times = dict.fromkeys(("came_at", "first_called_at", "called_at", "started_at", "ended_at"))
    update(db, "step", over.id, servicer_id=None, **no_times)
    queue_ids = [int(each) for each in detail.split()[1:]]
    sql = "SELECT id FROM queue WHERE id IN :ids AND deleted_at IS NULL"
    known = set(run(db, sql, ids=queue_ids).scalars())
    kept = _without_repeats(over.queue_id, [each for each in queue_ids if each in known])
    _add_steps(db, ticket, over.number + 1, kept)
    return {
        "step_number": over.number,
        "step_count": over.number + len(kept),
        "moved_at": None if over.number == 1 else over.came_at,
        "step_called_at": None if over.number == 1 else over.first_called_at,
    }


def leave_out_queue(db: Connection, queue: Queue) -> None:
    """Take a queue that is being deleted out of the plans in which it is still to come."""
    sql = """SELECT * FROM ticket WHERE id IN
             (SELECT ticket.id FROM step JOIN ticket ON ticket.id = ticket_id
              WHERE step.queue_id = :queue AND step.ended_at IS NULL AND step.number > step_number)"""
    for ticket in load_all(Ticket, run(db, sql, queue=queue.id)):
        to_come = [each.id for each in queues_to_come(db, ticket) if each.id != queue.id]
        set_steps(db, ticket, _without_repeats(ticket.queue_id, to_come))


def end_plans_at(db: Connection, queue: Queue) -> None:
    """Let plans end at a queue that a counter admits from now on: whoever is let in at a door is done."""
    sql = """SELECT * FROM ticket WHERE state IN :open AND id IN
             (SELECT ticket.id FROM step JOIN ticket ON ticket.id = ticket_id
              WHERE step.queue_id = :queue AND step.ended_at IS NULL AND step.number >= step_number)"""
    for ticket in load_all(Ticket, run(db, sql, queue=queue.id, open=OPEN_STATES)):
        to_come = [each.id for each in queues_to_come(db, ticket)]
        if ticket.queue_id == queue.id and ticket.state == "waiting":
            set_steps(db, ticket, [])
        elif queue.id in to_come:
            set_steps(db, ticket, to_come[: to_come.index(queue.id) + 1])


def _without_repeats(first: int, queue_ids: list[int]) -> list[int]:
    """Return the ids of queues without those that would come twice in a row."""
    kept = [first]
    for queue_id in queue_ids:
        if queue_id != kept[-1]:
            kept.append(queue_id)
    return kept[1:]
