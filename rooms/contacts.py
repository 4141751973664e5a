"""Contacts: who can be called; finding them, what is done with many at once, forgetting them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection, Row

from rooms.line import OPEN_CALL, add_calls, cancel_calls, change_priority, erase_calls
from rooms.places import CALLS, by_owner, day_begins, find_queue, tidy, zones
from rooms.settings import ADDRESS, BadInput, Conflict, NotFound, now
from rooms.storage import Database, change, insert, record, run

# What can be said of a contact: what it is called, and how many characters it may have.
FIELDS = {"name": ("Name", 120), "phone": ("Phone", 60), "email": ("E-mail", 200)}
FIELDS |= {"address": ("Address", 300), "notes": ("Notes", 2000), "reference": ("Reference", 80)}
FIELDS |= {"timezone": ("Time zone", 60), "tags": ("Tags", 500)}
MANY_LINES = ("address", "notes")
LONGEST_TAG = 40
FOUND_BY = ("name", "phone", "reference", "email")
EMPTY = dict.fromkeys(("email", "address", "notes", "reference", "timezone")) | {"name": "", "tags": ""}


# ----- phone numbers


def read_phone(text: str, country: str) -> str:
    """A phone number as it is kept, +493012345678 (and `;ext=12`), of what people write; raises BadInput.

    Numbers without a + are read as people in that country dial them. New ranges are given out all the time:
    a number that the library doesn't know yet is taken when its length is right.
    """
    import phonenumbers as library

    try:
        number = library.parse(text, country)
    except library.NumberParseException:
        number = None
    likely = number and library.is_possible_number(number) and number.national_number >= 10**8
    if number is None or not (likely or library.is_valid_number(number)):
        example = library.example_number(country)
        local = (
            f"{library.format_number(example, library.PhoneNumberFormat.NATIONAL)}, or " if example else ""
        )
        raise BadInput(f"Phone: please write the whole number, such as {local}+49 30 123456 from abroad.")
    extension = f";ext={number.extension}" if number.extension else ""
    return library.format_number(number, library.PhoneNumberFormat.E164) + extension


def phone_shown(phone: str | None, country: str) -> str | None:
    """A phone number as people in a country write it: with their country's code only where it is another."""
    import phonenumbers as library

    if not phone:
        return phone
    number = library.parse(phone)
    abroad = number.country_code != library.country_code_for_region(country)
    formats = library.PhoneNumberFormat
    return library.format_number(number, formats.INTERNATIONAL if abroad else formats.NATIONAL)


# ----- one contact; its tags are kept as "\na\nb\n", and what it is found by in `search`


def read_contact(given: Mapping[str, Any], country: str) -> dict[str, Any]:
    """What is said of a contact, tidied and checked; raises BadInput with the first thing that is wrong.

    Those of FIELDS that are there, None when they are empty; tags may be a list, or a text with commas; and
    do_not_call.
    """
    found: dict[str, Any] = {}
    for column in FIELDS.keys() & given.keys() - {"tags"}:
        text = tidy(given[column])
        if text and column not in MANY_LINES:
            text = " ".join(text.split())
        found[column] = text
    if "tags" in given:
        found["tags"] = read_tags(given["tags"])
    for column, (label, most) in FIELDS.items():
        if len(found.get(column) or "") > most:
            raise BadInput(f"{label}: please use at most {most:,} characters.")
    if found.get("phone"):
        found["phone"] = read_phone(found["phone"], country)
    if found.get("email") and not re.fullmatch(ADDRESS, found["email"]):
        raise BadInput("E-mail: please write an address such as ana@example.org.")
    if found.get("timezone") and found["timezone"] not in zones():
        raise BadInput("Time zone: please choose one such as Europe/Berlin.")
    if given.get("do_not_call") is not None:
        found["do_not_call"] = int(given["do_not_call"])
    return found


def read_tags(given: list[str] | str | None) -> str:
    """Tags as they are kept, each once; raises BadInput for one that is too long."""
    text = ",".join(given) if isinstance(given, list) else given or ""
    tags: dict[str, str] = {}
    for tag in re.split(r"[,;\n]", text):
        tag = " ".join((tidy(tag) or "").split())
        if len(tag) > LONGEST_TAG:
            raise BadInput(f"Tags: please use at most {LONGEST_TAG} characters for each, and commas between.")
        tags.setdefault(tag.casefold(), tag)
    tags.pop("", None)
    return "".join(f"\n{tag}" for tag in tags.values()) + "\n" if tags else ""


def tags_of(contact: Row) -> list[str]:
    """The tags of a contact, or of a row that will be one."""
    return (contact.tags or "").split("\n")[1:-1]


def search_text(name: str | None, phone: str, reference: str | None, email: str | None) -> str:
    """What a contact is found by: its name, the digits of its phone, its reference and its e-mail address."""
    digits = re.sub(r"\D", "", phone)
    return "\n".join(
        ((name or "").casefold(), digits, (reference or "").casefold(), (email or "").casefold())
    )


def find_contact(db: Connection, place: Row, contact_id: int) -> Row:
    """A place's contact by its id; raises NotFound, also for one that was forgotten."""
    sql = "SELECT * FROM contact WHERE id = :id AND place_id = :place AND forgotten_at IS NULL"
    contact = run(db, sql, id=contact_id, place=place.id).first()
    if contact is None:
        raise NotFound("There is no such contact. It may have been forgotten.")
    return contact


def find_or_add_contact(
    db: Connection, at: float, place: Row, phone: str, name: str | None = None, **more: Any
) -> Row:
    """The contact that has this phone number, as it was typed, or a new one; raises BadInput.

    Of those who share a number it is who has this name, or else who is on a call list, or came first.
    `more` may hold email, address and notes: they, and the name, fill in what a known contact has not; what
    it has is the owner's to change.
    """
    given = read_contact({"name": name, "phone": phone, **more}, place.country)
    if not given["phone"]:
        raise BadInput("Phone: please fill this in.")
    given = {column: value for column, value in given.items() if value}
    sql = f"""SELECT * FROM contact WHERE place_id = :place AND phone = :phone AND forgotten_at IS NULL
              ORDER BY EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND {OPEN_CALL}) DESC, id"""
    sharing = run(db, sql, place=place.id, phone=given["phone"]).all()
    named = given.get("name", "").casefold()
    known = next((each for each in sharing if each.name.casefold() == named), next(iter(sharing), None))
    if known is None:
        columns = EMPTY | {"do_not_call": 0} | given
        columns["search"] = search_text(**{each: columns[each] for each in FOUND_BY})
        contact = insert(db, "contact", place_id=place.id, created_at=at, changed_at=at, **columns).one()
        record(db, at, place.id, "add-contact", contact_id=contact.id)
        return contact
    fresh = {column: value for column, value in given.items() if not getattr(known, column)}
    return change_contact(db, at, place, known.id, **fresh) if fresh else known


def change_contact(db: Connection, at: float, place: Row, contact_id: int, **changes: Any) -> Row:
    """Changes what is said of a contact, as read_contact() reads it; raises Conflict for another's reference.

    Who must not be called from now on is taken off every list.
    """
    known, changes = find_contact(db, place, contact_id), read_contact(changes, place.country)
    if "phone" in changes and not changes["phone"]:
        raise BadInput("Phone: please fill this in.")
    changes |= {"name": changes["name"] or ""} if "name" in changes else {}
    if changes.get("reference"):
        sql = "SELECT name FROM contact WHERE place_id = :place AND reference = :reference AND id <> :id"
        same = run(db, sql, place=place.id, reference=changes["reference"], id=known.id).first()
        if same:
            raise Conflict(f"Reference: {same.name or 'another contact'} has this one already.")
    now_known = {each: changes.get(each, getattr(known, each)) for each in FOUND_BY}
    contact = change(db, "contact", known.id, changed_at=at, search=search_text(**now_known), **changes)
    record(db, at, place.id, "change-contact", contact_id=known.id, detail=" ".join(changes))
    if contact.do_not_call:
        cancel_calls(db, at, [known.id])
    return contact


def never_call(db: Connection, at: float, contact: Row, held: bool = True) -> None:
    """Lets nobody call a contact again, nor others by the same number; without `held`, calls of now go on."""
    sql = """SELECT id FROM contact WHERE place_id = :place AND phone = :phone AND forgotten_at IS NULL
             AND do_not_call = 0 AND id <> :id"""
    others = run(db, sql, place=contact.place_id, phone=contact.phone, id=contact.id).scalars().all()
    run(db, "UPDATE contact SET do_not_call = 1 WHERE id IN :ids", ids=[contact.id, *others])
    if others:
        run(db, "UPDATE contact SET changed_at = :at WHERE id IN :ids", at=at, ids=others)
        said = f"do_not_call {len(others)}"
        record(db, at, contact.place_id, "change-contacts", contact_id=others[0], detail=said)
    cancel_calls(db, at, [contact.id, *others], held=held)


def calls_of(db: Connection, contact_ids: list[int]) -> list[Row]:
    """The open calls of contacts, each with the slug and the name of its list."""
    sql = f"""SELECT ticket.contact_id, joined_at AS due_at, queue.slug, queue.name,
                     CASE WHEN claimed_until <= :at THEN 'waiting' ELSE state END AS state
              FROM ticket JOIN queue ON queue.id = queue_id
              WHERE {OPEN_CALL} AND contact_id IN :ids ORDER BY ticket.id"""
    return run(db, sql, ids=contact_ids, at=now()).all() if contact_ids else []


def reports_of(db: Connection, contact: Row, most: int = 100) -> list[Row]:
    """What callers said about a contact, newest first."""
    sql = """SELECT report.*, servicer.name AS servicer, queue.name AS list
             FROM report LEFT JOIN servicer ON servicer.id = servicer_id
             LEFT JOIN queue ON queue.id = report.queue_id
             WHERE contact_id = :contact ORDER BY report.created_at DESC, report.id DESC LIMIT :most"""
    return run(db, sql, contact=contact.id, most=most).all()


def forget_contact(db: Connection, at: float, place: Row, contact_id: int) -> None:
    """Erases all that is known of a contact, what callers noted too; raises NotFound."""
    forget(db, at, place.id, [find_contact(db, place, contact_id).id])


def forget(db: Connection, at: float, place_id: int, contact_ids: list[int]) -> None:
    """Erases what is known of contacts, and takes them off every list; the figures of their calls stay."""
    cancel_calls(db, at, contact_ids)
    erase_calls(db, contact_ids)
    run(db, "DELETE FROM mail WHERE contact_id IN :ids", ids=contact_ids)
    run(db, "UPDATE report SET notes = NULL WHERE contact_id IN :ids AND notes IS NOT NULL", ids=contact_ids)
    run(db, "DELETE FROM import_row WHERE contact IN :ids", ids=contact_ids)
    sql = """UPDATE contact SET name = '', phone = '', email = NULL, address = NULL, notes = NULL, tags = '',
                    reference = NULL, timezone = NULL, search = '', last_called_at = NULL,
                    last_outcome = NULL, changed_at = :at, forgotten_at = :at WHERE id IN :ids"""
    run(db, sql, at=at, ids=contact_ids)
    record(db, at, place_id, "forget", contact_id=contact_ids[0], detail=str(len(contact_ids)))


AT_ONCE = 500  # are forgotten in one write
OLD = f"""forgotten_at IS NULL AND changed_at < :before
          AND (last_called_at IS NULL OR last_called_at < :before)
          AND NOT EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND {OPEN_CALL})"""


def forget_old_contacts(database: Database, keep_days: int) -> bool:
    """Forgets contacts without an open call that changed and were called so long ago; whether there is more.

    And erases what callers noted that long ago.
    """
    before = now() - keep_days * 86400
    sql = f"SELECT id, place_id FROM contact WHERE {OLD} ORDER BY changed_at LIMIT :most"
    with database.read_long() as db:  # first, so that nothing is written where there is nothing to do
        due = run(db, sql, before=before, most=AT_ONCE).all()
        sql = "SELECT id FROM report WHERE notes IS NOT NULL AND created_at < :before LIMIT :most"
        reports = run(db, sql, before=before, most=AT_ONCE).scalars().all()
    for place_id in {contact.place_id for contact in due}:
        ids = [each.id for each in due if each.place_id == place_id]
        database.write(_forget_old, now(), place_id, ids, before)
    if reports:
        database.write(_erase_notes, reports)
    return AT_ONCE in (len(due), len(reports))


def _forget_old(db: Connection, at: float, place_id: int, contact_ids: list[int], before: float) -> None:
    # Asked again: somebody may have put them on a list since they were looked for.
    sql = f"SELECT id FROM contact WHERE id IN :ids AND {OLD}"
    still = run(db, sql, ids=contact_ids, before=before).scalars().all()
    if still:
        forget(db, at, place_id, list(still))


def _erase_notes(db: Connection, reports: list[int]) -> None:
    run(db, "UPDATE report SET notes = NULL WHERE id IN :ids", ids=reports)


# ----- the list of them

PAGE = 50
NAMED = "place_id = :place AND forgotten_at IS NULL"
CONDITIONS = {  # what each filter asks for
    "in_list": f"""EXISTS (SELECT 1 FROM ticket WHERE contact_id = contact.id AND queue_id = :in_list
                           AND {OPEN_CALL})""",
    "never_called": "last_called_at IS NULL",
    "last_outcome": "last_outcome = :last_outcome",
    "tag": "replace(tags, :tag, '') <> tags",
    # Not by the index of last calls: most were, and would have to be sorted by name.
    "called_before": "coalesce(last_called_at, 1e15) < :called_before",
    "do_not_call": "do_not_call = 1",
}
SORTS = {"name": "search", "phone": "phone", "reference": "reference", "last_called_at": "last_called_at"}
SORTS |= {"last_outcome": "last_outcome", "created_at": "created_at", "changed_at": "changed_at"}


def _matching(db: Connection, place: Row, filters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    # The condition of these filters, and its parameters; raises NotFound for a list that isn't there.
    asked = {name: value for name, value in filters.items() if value and name in CONDITIONS}
    where, values = [NAMED, *(CONDITIONS[name] for name in asked)], {"place": place.id}
    for name in ("last_outcome", "tag", "called_before", "in_list"):
        if name in asked:
            values[name] = asked[name]
    if "tag" in asked:
        values["tag"] = f"\n{asked['tag']}\n"
    if "in_list" in asked:
        values["in_list"] = find_list(db, place, asked["in_list"]).id
    if "called_before" in asked:
        values["called_before"] = day_begins(place.timezone, asked["called_before"], place.day_starts)
    for number, word in enumerate(_words(filters.get("q") or "")):
        found = []
        for way, text in enumerate(word):
            found.append(f"search LIKE :word{number}_{way} ESCAPE '!'")
            values[f"word{number}_{way}"] = "%" + re.sub("([!%_])", r"!\1", text) + "%"
        where.append(f"({' OR '.join(found)})")
    return " AND ".join(where), values


def _words(text: str) -> list[tuple[str, ...]]:
    # What is looked for: a phone number, however it is written, or as it stands (a reference may look like
    # one); or some words.
    digits = re.sub(r"\D", "", text).lstrip("0")
    if digits and re.fullmatch(r"[\d\s()+./-]+", text):
        return [(digits, text.strip())]
    return [(word,) for word in text.casefold().split()[:5]]


def contacts_page(
    db: Connection, place: Row, filters: Mapping[str, Any], page: int
) -> tuple[list[Row], int, int, int]:
    """The contacts that match, 50 a page and in the order of `sort`; how many there are; this page; pages."""
    where, values = _matching(db, place, filters)
    total = run(db, f"SELECT count(*) FROM contact WHERE {where}", **values).scalar_one()
    pages = max(1, -(-total // PAGE))
    page = min(max(1, page), pages)
    sort = filters.get("sort") or "name"
    order = "DESC NULLS LAST" if sort.startswith("-") else "ASC NULLS FIRST"
    way, column = order.split()[0], SORTS[sort.removeprefix("-")]
    sql = f"""SELECT * FROM contact WHERE {where} ORDER BY {column} {order}, id {way}
              LIMIT :most OFFSET :offset"""
    return run(db, sql, most=PAGE, offset=PAGE * (page - 1), **values).all(), total, page, pages


def contacts_after(db: Connection, place: Row, filters: Mapping[str, Any], seen: int, most: int) -> list[Row]:
    """The contacts that match, those after an id; so many of them."""
    where, values = _matching(db, place, filters)
    where = where.replace("place_id", "+place_id", 1)  # or an index is walked from end to end for each batch
    sql = f"SELECT * FROM contact WHERE {where} AND id > :seen ORDER BY id LIMIT :most"
    return run(db, sql, seen=seen, most=most, **values).all()


def matching_ids(db: Connection, place: Row, filters: Mapping[str, Any], most: int = 10**9) -> list[int]:
    """The ids of all contacts that match, or of so many."""
    where, values = _matching(db, place, filters)
    sql = f"SELECT id FROM contact WHERE {where} ORDER BY id LIMIT :most"
    return list(run(db, sql, most=most, **values).scalars())


def words_of(db: Connection, place: Row, table: str) -> list[Row]:
    """The owner's own `reason`s, `outcome`s or `service`s, as they were added."""
    return run(db, f"SELECT * FROM {table} WHERE place_id = :place ORDER BY id", place=place.id).all()


def all_tags(db: Connection, place: Row) -> list[str]:
    """The tags that contacts of a place have, sorted."""
    sql = "SELECT DISTINCT tags FROM contact WHERE place_id = :place AND tags <> ''"
    found = {tag for contact in run(db, sql, place=place.id) for tag in tags_of(contact)}
    return sorted(found, key=lambda tag: (tag.casefold(), tag))


# ----- what is done with many at once

MANY = 4000  # in one write: some 0.2 s, which nobody minds who waits for it
Done = tuple[int, Counter]  # how many it was done with, and how many were skipped: why


def act(
    database: Database, slug: str, token: str, action: str, contact_ids: list[int], **asked: Any
) -> tuple[int, Counter]:
    """Does one of ACTIONS with contacts, in small writes; how many changed, and how many not: why.

    `asked` may hold list (a slug), reason, priority and tag. Raises BadInput, NotFound.
    """
    changed, skipped = 0, Counter()
    for start in range(0, len(contact_ids), MANY):
        some = contact_ids[start : start + MANY]
        many, why = database.write(by_owner, now(), slug, token, _act, ACTIONS[action], some, **asked)
        changed += many
        skipped += why
    return changed, skipped


def _act(
    db: Connection, at: float, place: Row, does: Callable[..., Done], contact_ids: list[int], **asked: Any
) -> Done:
    sql = f"SELECT id FROM contact WHERE id IN :ids AND {NAMED} ORDER BY id"
    ids = run(db, sql, ids=contact_ids, place=place.id).scalars().all()
    changed, skipped = does(db, at, place, ids, **asked) if ids else (0, Counter())
    skipped["not there any more"] = len(set(contact_ids)) - len(ids)
    return changed, +skipped


def find_list(db: Connection, place: Row, slug: str | None) -> Row:
    """A place's call list by its slug; raises BadInput without one, NotFound."""
    if not slug:
        raise BadInput("List: please choose a call list.")
    return find_queue(db, place, slug, CALLS)


def _put_on(db: Connection, at: float, place: Row, ids: list[int], **asked: Any) -> Done:
    queue, reason = find_list(db, place, asked.get("list")), asked.get("reason")
    if reason:
        sql = """INSERT INTO reason (place_id, name) SELECT :place, :name
                 WHERE NOT EXISTS (SELECT 1 FROM reason WHERE place_id = :place AND name = :name)"""
        run(db, sql, place=place.id, name=reason)
    added = add_calls(db, at, queue, ids, reason, asked.get("priority") or 3)
    if added == len(ids):
        return added, Counter()
    sql = "SELECT count(*) FROM contact WHERE id IN :ids AND do_not_call = 1"
    never = run(db, sql, ids=ids).scalar_one()
    return added, Counter({"already on it": len(ids) - added - never, "must not be called": never})


def _on_list(db: Connection, queue: Row, ids: list[int]) -> int:
    sql = f"""SELECT count(*) FROM ticket WHERE queue_id = :queue AND contact_id IN :ids AND {OPEN_CALL}
              AND (SELECT do_not_call FROM contact WHERE contact.id = contact_id) = 0"""
    return run(db, sql, queue=queue.id, ids=ids).scalar_one()


def _take_off(db: Connection, at: float, place: Row, ids: list[int], **asked: Any) -> Done:
    taken = cancel_calls(db, at, ids, find_list(db, place, asked.get("list")))
    return taken, Counter({"not on it": len(ids) - taken})


def _prioritise(by: int, last: str) -> Callable[..., Done]:
    def change_it(db: Connection, at: float, place: Row, ids: list[int], **asked: Any) -> Done:
        queue = find_list(db, place, asked.get("list"))
        on_it, changed = _on_list(db, queue, ids), change_priority(db, at, queue, ids, by)
        return changed, Counter({"not on it": len(ids) - on_it, last: on_it - changed})

    return change_it


def _forbid(do_not_call: int, already: str) -> Callable[..., Done]:
    def change_it(db: Connection, at: float, place: Row, ids: list[int], **_: Any) -> Done:
        sql = """UPDATE contact SET do_not_call = :flag, changed_at = :at
                 WHERE id IN :ids AND do_not_call <> :flag"""
        changed = run(db, sql, flag=do_not_call, at=at, ids=ids).rowcount
        if do_not_call:
            cancel_calls(db, at, ids)
        record(db, at, place.id, "change-contacts", contact_id=ids[0], detail=f"do_not_call {len(ids)}")
        return changed, Counter({already: len(ids) - changed})

    return change_it


def _tag(db: Connection, at: float, place: Row, ids: list[int], **asked: Any) -> Done:
    tag = read_tags(asked.get("tag"))
    if not tag or tag.count("\n") > 2:
        raise BadInput("Tag: please name one.")
    sql = """UPDATE contact SET tags = CASE WHEN tags = '' THEN :tag ELSE tags || :more END, changed_at = :at
             WHERE id IN :ids AND replace(tags, :tag, '') = tags"""
    changed = run(db, sql, tag=tag, more=tag[1:], at=at, ids=ids).rowcount
    # An event with a contact is not seen by the public; one of the many stands for them all.
    record(db, at, place.id, "change-contacts", contact_id=ids[0], detail=f"tags {len(ids)}")
    return changed, Counter({"tagged so already": len(ids) - changed})


def _untag(db: Connection, at: float, place: Row, ids: list[int], **asked: Any) -> Done:
    tag = read_tags(asked.get("tag"))
    if not tag:
        raise BadInput("Tag: please name one.")
    sql = """UPDATE contact SET changed_at = :at,
                    tags = CASE WHEN tags = :tag THEN '' ELSE replace(tags, :tag, :between) END
             WHERE id IN :ids AND replace(tags, :tag, '') <> tags"""
    changed = run(db, sql, tag=tag, between="\n", at=at, ids=ids).rowcount
    record(db, at, place.id, "change-contacts", contact_id=ids[0], detail=f"tags {len(ids)}")
    return changed, Counter({"without it already": len(ids) - changed})


def _forget_many(db: Connection, at: float, place: Row, ids: list[int], **_: Any) -> Done:
    forget(db, at, place.id, ids)
    return len(ids), Counter()


ACTIONS: dict[str, Callable[..., Done]] = {
    "add_to_list": _put_on,
    "take_off": _take_off,
    "raise": _prioritise(-1, "first already"),
    "lower": _prioritise(1, "last already"),
    "do_not_call": _forbid(1, "so already"),
    "may_call": _forbid(0, "so already"),
    "tag": _tag,
    "untag": _untag,
    "forget": _forget_many,
}
