"""Actions on many contacts at once: put them on a list, tag them, forget them.

Each action is a function in ACTIONS. It gets at most BATCH contacts, which exist, in one write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.contact_search import IN_PLACE, ContactFilter, matching_ids
from app.core.contacts import erase_import_details, forget_contacts
from app.core.contacts_on_lists import add_calls, cancel_calls, change_priority
from app.core.models import Place, Queue
from app.core.opt_outs import forbid_numbers, lift_numbers, record_change_of_many
from app.core.places import find_place_for_owner
from app.core.queries import NORMAL_PRIORITY, OPEN_CALL
from app.core.queues import find_call_list
from app.core.tags import join_tags
from app.errors import BadInput
from app.storage.database import Database
from app.storage.sql import run

BATCH = 4000  # contacts in one write: it takes about 0.2 s, and other writes wait for it


@dataclass(frozen=True)
class ActionOptions:
    """What an action needs besides the contacts."""

    list: str | None = None  # slug of a call list
    reason: str | None = None
    priority: int = NORMAL_PRIORITY
    tag: str | None = None


@dataclass(frozen=True)
class ActionResult:
    """How many contacts an action changed, and how many it skipped, by the reason."""

    changed: int
    skipped: Counter[str]
    list_name: str | None = None  # the name of the list that the action was for


Action = Callable[[Connection, float, Place, list[int], ActionOptions], ActionResult]


def run_action(
    database: Database,
    clock: Callable[[], float],
    slug: str,
    token: str,
    action: str,
    contacts: list[int] | ContactFilter,
    options: ActionOptions,
) -> ActionResult:
    """Run one of ACTIONS, for the owner, with contacts by their ids or with all that match a filter.

    It runs in several writes; `clock` returns the time of each. Raises BadInput and NotFound.
    """
    with database.read() as db:
        place = find_place_for_owner(db, slug, token)
        list_name = _call_list(db, place, options).name if action in LIST_ACTIONS else None
        if action in TAG_ACTIONS:
            _stored_tag(options)
        contact_ids = matching_ids(db, place, contacts) if isinstance(contacts, ContactFilter) else contacts
    changed = 0
    skipped: Counter[str] = Counter()
    for start in range(0, len(contact_ids), BATCH):
        batch = contact_ids[start : start + BATCH]
        result = database.write(_run_batch, clock(), slug, token, action, batch, options)
        changed += result.changed
        skipped += result.skipped
    return ActionResult(changed, skipped, list_name)


def _run_batch(
    db: Connection,
    at: float,
    slug: str,
    token: str,
    action: str,
    contact_ids: list[int],
    options: ActionOptions,
) -> ActionResult:
    place = find_place_for_owner(db, slug, token)
    sql = f"SELECT id FROM contact WHERE id IN :ids AND {IN_PLACE} ORDER BY id"
    present = list(run(db, sql, ids=contact_ids, place=place.id).scalars())
    result = ActionResult(0, Counter())
    if present:
        result = ACTIONS[action](db, at, place, present, options)
    missing = len(set(contact_ids)) - len(present)
    # Adding counters leaves out the reasons that nobody was skipped for.
    return ActionResult(result.changed, result.skipped + Counter({"not there any more": missing}))


def _call_list(db: Connection, place: Place, options: ActionOptions) -> Queue:
    if not options.list:
        raise BadInput("List: please choose a call list.")
    return find_call_list(db, place, options.list)


def _stored_tag(options: ActionOptions) -> str:
    """Return the tag of an action as contacts store it, such as "\\nflu\\n"."""
    tag = join_tags(options.tag)
    if not tag or tag.count("\n") > 2:
        raise BadInput("Tag: please name one.")
    return tag


# ----- call lists


def add_to_list(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Put contacts on a call list, and add the reason to the owner's reasons if it is new."""
    call_list = _call_list(db, place, options)
    if options.reason:
        sql = """INSERT INTO reason (place_id, name) SELECT :place, :name
                 WHERE NOT EXISTS (SELECT 1 FROM reason WHERE place_id = :place AND name = :name)"""
        run(db, sql, place=place.id, name=options.reason)
    added = add_calls(db, at, call_list, contact_ids, reason=options.reason, priority=options.priority)
    if added == len(contact_ids):
        return ActionResult(added, Counter())
    sql = "SELECT count(*) FROM contact WHERE id IN :ids AND do_not_call = 1"
    forbidden = run(db, sql, ids=contact_ids).scalar_one()
    already_on_it = len(contact_ids) - added - forbidden
    return ActionResult(added, Counter({"already on it": already_on_it, "must not be called": forbidden}))


def take_off(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Take contacts off a call list."""
    taken_off = cancel_calls(db, at, contact_ids, _call_list(db, place, options))
    return ActionResult(taken_off, Counter({"not on it": len(contact_ids) - taken_off}))


def raise_priority(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Let contacts be called earlier on a call list."""
    return _change_priority(db, at, place, contact_ids, options, -1, "first already")


def lower_priority(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Let contacts be called later on a call list."""
    return _change_priority(db, at, place, contact_ids, options, 1, "last already")


def _change_priority(
    db: Connection,
    at: float,
    place: Place,
    contact_ids: list[int],
    options: ActionOptions,
    by: int,
    why_unchanged: str,
) -> ActionResult:
    call_list = _call_list(db, place, options)
    sql = f"""SELECT count(*) FROM ticket WHERE queue_id = :queue AND contact_id IN :ids AND {OPEN_CALL}
              AND (SELECT do_not_call FROM contact WHERE contact.id = contact_id) = 0"""
    on_list = run(db, sql, queue=call_list.id, ids=contact_ids).scalar_one()
    changed = change_priority(db, at, call_list, contact_ids, by)
    skipped = Counter({"not on it": len(contact_ids) - on_list, why_unchanged: on_list - changed})
    return ActionResult(changed, skipped)


# ----- contacts


def forbid(
    db: Connection, at: float, place: Place, contact_ids: list[int], _options: ActionOptions
) -> ActionResult:
    """Set "do not call" for the numbers of contacts, and take everybody who has them off every list."""
    phones, changed = _numbers_of(db, contact_ids, do_not_call=False)
    forbid_numbers(db, at, place.id, phones)
    return ActionResult(changed, Counter({"so already": len(contact_ids) - changed}))


def permit(
    db: Connection, at: float, place: Place, contact_ids: list[int], _options: ActionOptions
) -> ActionResult:
    """Lift "do not call" from the numbers of contacts."""
    phones, changed = _numbers_of(db, contact_ids, do_not_call=True)
    lift_numbers(db, at, place.id, phones)
    return ActionResult(changed, Counter({"so already": len(contact_ids) - changed}))


def _numbers_of(db: Connection, contact_ids: list[int], do_not_call: bool) -> tuple[list[str], int]:
    """Return the numbers of contacts, and how many of them have the flag."""
    sql = "SELECT phone, do_not_call FROM contact WHERE id IN :ids"
    rows = run(db, sql, ids=contact_ids).all()
    return [row.phone for row in rows], sum(bool(row.do_not_call) is do_not_call for row in rows)


def add_tag(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Add a tag."""
    tag = _stored_tag(options)
    sql = """UPDATE contact SET tags = CASE WHEN tags = '' THEN :tag ELSE tags || :next_tag END,
                    changed_at = :at
             WHERE id IN :ids AND replace(tags, :tag, '') = tags"""
    changed = run(db, sql, tag=tag, next_tag=tag[1:], at=at, ids=contact_ids).rowcount
    record_change_of_many(db, at, place.id, "tags", contact_ids)
    return ActionResult(changed, Counter({"tagged so already": len(contact_ids) - changed}))


def remove_tag(
    db: Connection, at: float, place: Place, contact_ids: list[int], options: ActionOptions
) -> ActionResult:
    """Remove a tag."""
    tag = _stored_tag(options)
    sql = """UPDATE contact SET changed_at = :at,
                    tags = CASE WHEN tags = :tag THEN '' ELSE replace(tags, :tag, :separator) END
             WHERE id IN :ids AND replace(tags, :tag, '') <> tags"""
    changed = run(db, sql, tag=tag, separator="\n", at=at, ids=contact_ids).rowcount
    record_change_of_many(db, at, place.id, "tags", contact_ids)
    return ActionResult(changed, Counter({"without it already": len(contact_ids) - changed}))


def forget(
    db: Connection, at: float, place: Place, contact_ids: list[int], _options: ActionOptions
) -> ActionResult:
    """Erase everything that is known of the contacts."""
    forget_contacts(db, at, place.id, contact_ids)
    erase_import_details(db, place.id)
    return ActionResult(len(contact_ids), Counter())


# By the names that forms and JSON use.
ACTIONS: dict[str, Action] = {
    "add_to_list": add_to_list,
    "take_off": take_off,
    "raise": raise_priority,
    "lower": lower_priority,
    "do_not_call": forbid,
    "may_call": permit,
    "tag": add_tag,
    "untag": remove_tag,
    "forget": forget,
}
LIST_ACTIONS = ("add_to_list", "take_off", "raise", "lower")  # these need a call list
TAG_ACTIONS = ("tag", "untag")  # these need a tag
