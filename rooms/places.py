"""Places: opening one, its links, its day, its queues and servicers."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from functools import cache
from importlib.resources import files
from itertools import count, product
from string import ascii_uppercase
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy.engine import Connection, Row

from rooms.settings import BadInput, Conflict, Forbidden, NotFound
from rooms.storage import change, insert, metadata, record, run

# Words that the URLs use: no place and no queue gets one of them as its slug.
RESERVED = (
    "api board code counter desk door healthz live manage place places poster queue staff static t tickets"
)
LATIN = str.maketrans("øłđðþæœ", "olddtao", "'’")


def slug_of(name: str, taken: set[str], fallback: str) -> str:
    """A readable URL segment made of a name; `fallback-2`, … for a name without Latin letters."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(LATIN)).encode("ascii", "ignore").decode()
    words = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    base = words if re.search("[a-z]", words) else fallback
    tries = (base if n == 1 else f"{base[:35]}-{n}" for n in count(1))
    return next(slug for slug in tries if slug not in taken and slug not in RESERVED.split())


def tidy(text: str | None) -> str | None:
    """What was typed, without control characters and the space around it."""
    text = unicodedata.normalize("NFC", text or "")
    if not text.isprintable():
        text = "".join(c for c in text if c == "\n" or unicodedata.category(c) != "Cc")
    return text.strip() or None


@cache
def zones() -> list[str]:
    """The names of all time zones, sorted."""
    return sorted(available_timezones())


@cache
def country_of(timezone: str) -> str:
    """The country that a time zone is named after, as two letters."""
    rows = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    countries = {row.split("\t")[2]: row[:2] for row in rows if not row.startswith("#")}
    return countries.get(timezone, "US")


def iso(at: float | None, zone: ZoneInfo) -> str | None:
    """An instant as ISO 8601 with the place's offset."""
    return None if at is None else datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")


FLAGS = ("open", "shared_tablet", "all_queues", "on_duty", "public_form", "do_not_call", "closed", "incoming")
FLAGS += ("by_phone",)


def shown(row: Row, place: Row, names: str) -> dict[str, Any]:
    """Columns of a row as JSON has them: instants as ISO 8601, flags as true or false, seconds rounded."""
    content = {name: getattr(row, name) for name in names.split()}
    for name, value in content.items():
        if name.endswith(("_at", "_until")):
            content[name] = iso(value, ZoneInfo(place.timezone))
        elif name in FLAGS:
            content[name] = bool(value)
        elif name == "asks":
            content[name] = value.split()
        elif name.endswith("_s") and value is not None:
            content[name] = round(value, 2)
    return content


@cache
def day_begins(timezone: str, day: str, hour: int) -> float:
    """When a day begins: at that hour, as local_time() understands it."""
    return local_time(timezone, datetime.combine(date.fromisoformat(day), clock_time(hour)))


def local_time(timezone: str, wanted: datetime) -> float:
    """When the clocks of a zone show this: the first of two, or the next that exists where they skip it."""
    zone = ZoneInfo(timezone)
    first = min(wanted.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    # Where the hour is skipped, `first` is before the change of the clock: count the seconds until then.
    return next(at for at in count(first) if datetime.fromtimestamp(at, zone).replace(tzinfo=None) >= wanted)


def day_of(place: Row, at: float) -> str:
    """The day of a place, such as 2026-11-21, that an instant belongs to."""
    days = datetime.fromtimestamp(at, ZoneInfo(place.timezone)).date() + timedelta(1)
    while at < day_begins(place.timezone, days.isoformat(), place.day_starts):
        days -= timedelta(1)
    return days.isoformat()


def next_day(day: str, days: int = 1) -> str:
    """The day after a day, or so many days after it."""
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


def find_place(db: Connection, slug: str, **tokens: str) -> Row:
    """The place of a slug, and of a link's token (`manage_token=…`) where one is given; raises NotFound."""
    place = run(db, "SELECT * FROM place WHERE slug = :slug AND deleted_at IS NULL", slug=slug).first()
    pairs = [(getattr(place, column, "").encode(), token.encode()) for column, token in tokens.items()]
    if place and all(secrets.compare_digest(ours, theirs) for ours, theirs in pairs):
        return place
    raise NotFound("There is nothing at this address. The link may have been replaced: ask for the new one.")


def all_places(db: Connection) -> list[Row]:
    """All places of this server, oldest first."""
    return run(db, "SELECT * FROM place WHERE deleted_at IS NULL ORDER BY id").all()


def open_place(db: Connection, at: float, only_one: bool, name: str, **asked: Any) -> Row:
    """Opens a place; `asked` may hold slug, timezone and country.

    Raises Forbidden when this server is for one place and has it, Conflict for a slug that is taken.
    """
    taken = {place.slug for place in all_places(db)}
    if only_one and taken:
        raise Forbidden("This server is for one place, and that is open already. Ask its owner for a link.")
    slug = asked.get("slug") or slug_of(name, taken, "place")
    if slug in taken or slug in RESERVED.split():
        raise Conflict(f"The address /{slug} is taken. Choose another one.")
    timezone = asked.get("timezone") or "UTC"
    tokens = {"manage_token": secrets.token_urlsafe(16), "staff_token": secrets.token_urlsafe(16)}
    columns = {"name": name, "timezone": timezone, "country": asked.get("country") or country_of(timezone)}
    columns |= {"day_starts": 4, "series": "", "created_at": at}
    columns["wait_goal_minutes"] = asked.get("wait_goal_minutes") or 10
    place = insert(db, "place", slug=slug, **columns, **tokens).one()
    record(db, at, place.id, "open-place")
    return place


def by_owner(db: Connection, at: float, slug: str, token: str, does: Callable, *args: Any, **more: Any):
    """Runs `does(db, at, place, …)` for whoever holds the manage link; raises NotFound for others."""
    return does(db, at, find_place(db, slug, manage_token=token), *args, **more)


def change_place(db: Connection, at: float, place: Row, **changes: Any) -> None:
    """Changes a place's name, timezone, country, day_starts or wait_goal_minutes."""
    if changes:
        change(db, "place", place.id, **changes)
    record(db, at, place.id, "change-place", detail=" ".join(changes))


def replace_link(db: Connection, at: float, place: Row, which: str) -> str:
    """Gives the `manage` or `staff` link a new token and returns it; the old link is unknown from now on."""
    token = secrets.token_urlsafe(16)
    change(db, "place", place.id, **{f"{which}_token": token})
    run(db, "DELETE FROM code WHERE place_id = :place AND door_id IS NULL", place=place.id)
    record(db, at, place.id, "replace-link", detail=which)
    return token


def delete_place(db: Connection, at: float, place: Row, name: str) -> None:
    """Takes a place away at once, if its name was typed right; the clock then erases its rows bit by bit."""
    if name.casefold() != place.name.casefold():
        raise BadInput(f"To delete this place, type its name as it stands here: {place.name}")
    change(db, "place", place.id, deleted_at=at)


def tables_of_place() -> dict[str, str]:
    """The tables that hold a place, children before their parents, each with the condition for its rows."""
    found = {}
    for table in reversed(metadata.sorted_tables):
        if "place_id" in table.c:
            found[table.name] = "place_id = :place"
        elif table.foreign_keys:
            of = min(table.foreign_keys, key=str)
            found[table.name] = (
                f"{of.parent.name} IN (SELECT id FROM {of.column.table} WHERE place_id = :place)"
            )
    return found | {"place": "id = :place"}


def erase_deleted_places(db: Connection, most: int = 2000) -> bool:
    """Erases up to `most` rows of deleted places; says whether there may be more."""
    place = run(db, "SELECT id FROM place WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1").scalar()
    for table, mine in tables_of_place().items() if place else ():
        sql = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {mine} LIMIT :most)"
        if run(db, sql, place=place, most=most).rowcount:
            return True
    return False


# ----- its queues

USUAL_SERVICE_S = 180  # the guess of an owner who didn't say


# What a queue is unless its owner says otherwise; the last ones are a call list's.
USUAL = {"open": 1, "series": "", "last_number": 0, "waiting": 0, "shared_tablet": 0}
USUAL |= {"usual_service_s": USUAL_SERVICE_S, "asks": "", "claim_minutes": 20, "retry_minutes": 60}
USUAL |= {"most_tries": 3, "public_form": 0, "restricted": 0}
KIND = {"walk-in": "queue", "calls": "call list"}
CALLS = "calls"  # the series of all calls, which sorts after every day: call lists know no day
MOST_CALLS = 1_000_000  # on a list
# How a report of that outcome ends a call: with an owner's own words for it.
EFFECTS = ("reached", "done", "again", "later", "wrong", "never")
OUTCOMES = {"Reached": "reached", "No answer": "again", "Left a message": "done", "Call back later": "later"}
OUTCOMES |= {"Wrong number": "wrong", "Do not call again": "never"}


def queues_of(db: Connection, place: Row, kind: str = "walk-in") -> list[Row]:
    """The walk-in queues of a place, or its call lists (kind "calls"), oldest first."""
    sql = "SELECT * FROM queue WHERE place_id = :id AND kind = :kind AND deleted_at IS NULL ORDER BY id"
    return run(db, sql, id=place.id, kind=kind).all()


def find_queue(db: Connection, place: Row, slug: str, kind: str | None = "walk-in") -> Row:
    """A place's walk-in queue by its slug, a call list (kind "calls"), or either (None); raises NotFound."""
    sql = "SELECT * FROM queue WHERE place_id = :place AND slug = :slug AND deleted_at IS NULL"
    queue = run(db, sql, place=place.id, slug=slug).first()
    if queue is None or kind not in (None, queue.kind):
        raise NotFound(f"{place.name} has no {KIND[kind or 'walk-in']} named {slug}.")
    return queue


def add_queue(
    db: Connection, at: float, place: Row, name: str, max_waiting: int, kind: str = "walk-in", **asked: Any
) -> Row:
    """Adds a queue; `asked` may hold what change_queue() changes."""
    lists = queues_of(db, place, CALLS)
    others = queues_of(db, place)
    slug = slug_of(name, {queue.slug for queue in others + lists}, "queue")
    columns = USUAL | {"name": name, "slug": slug, "kind": kind, "max_waiting": max_waiting}
    if kind == CALLS:
        # Its numbers go on where those of a list were that had this address before.
        sql = """SELECT coalesce(max(ordinal), 0) FROM ticket WHERE place_id = :place AND series = :calls
                 AND number = :prefix || CAST(ordinal AS TEXT)"""
        prefix, asked["prefix"] = f"{slug}-", f"{slug}-"
        columns["last_number"] = run(db, sql, place=place.id, calls=CALLS, prefix=prefix).scalar_one()
        columns |= {"max_waiting": MOST_CALLS, "series": CALLS}
        _add_outcomes(db, place)
    letters = ("".join(some) for size in count(1) for some in product(ascii_uppercase, repeat=size))
    free = (each for each in letters if each not in {other.prefix for other in others})
    columns["prefix"] = asked.pop("prefix", None) or next(free)
    _check_prefix(columns["prefix"], others)
    queue = insert(db, "queue", place_id=place.id, created_at=at, **columns).one()
    record(db, at, place.id, "add-queue", queue_id=queue.id)
    return _set_queue(db, place, queue, asked)


def _add_outcomes(db: Connection, place: Row) -> None:
    # What a report may say to begin with; the owner changes it.
    if not run(db, "SELECT count(*) FROM outcome WHERE place_id = :place", place=place.id).scalar_one():
        for name, effect in OUTCOMES.items():
            insert(db, "outcome", "", place_id=place.id, name=name, effect=effect)


def _check_prefix(prefix: str, others: list[Row]) -> None:
    for other in others:
        if other.prefix == prefix:
            raise Conflict(f"{other.name} gives numbers with {prefix} already. Choose another letter.")


def about_queue(db: Connection, at: float, place: Row, queue: str, then: Callable, **more: Any) -> Any:
    """Runs `then(db, at, place, queue, …)` for a queue of the owner's; raises NotFound."""
    return then(db, at, place, find_queue(db, place, queue, None), **more)


def change_queue(db: Connection, at: float, place: Row, queue: Row, **changes: Any) -> Row:
    """Changes a queue's columns: name, open, max_waiting; of a walk-in queue prefix, asks, shared_tablet and
    usual_service_s; of a call list claim_minutes, retry_minutes, most_tries, public_form, staff_email, and
    `callers`: the ids of those who may work on it, None for all.
    """
    if changes.pop("kind", queue.kind) != queue.kind:
        raise Conflict(f"{queue.name} stays a {KIND[queue.kind]}: add another one instead.")
    record(db, at, place.id, "change-queue", queue_id=queue.id, detail=" ".join(changes))
    return _set_queue(db, place, queue, changes)


def _set_queue(db: Connection, place: Row, queue: Row, changes: dict[str, Any]) -> Row:
    changes = dict(changes)
    if queue.kind == CALLS:
        changes.pop("prefix", None)
    if "asks" in changes:
        changes["asks"] = " ".join(changes["asks"])
    if changes.get("prefix", queue.prefix) != queue.prefix:
        _check_prefix(changes["prefix"], queues_of(db, place))
        changes["series"] = ""  # numbers with the new letters go on where these letters were last
    if changes.get("callers") is not None and queue.kind != CALLS:
        raise BadInput("Callers: only a call list has them. Who serves a queue says so herself.")
    if "callers" in changes:
        callers = changes.pop("callers")
        changes["restricted"] = int(callers is not None)
        run(db, "DELETE FROM caller WHERE queue_id = :queue", queue=queue.id)
        for servicer_id in sorted(set(callers or ())):
            servicer = find_servicer(db, place, servicer_id)
            insert(db, "caller", "", queue_id=queue.id, servicer_id=servicer.id)
    return change(db, "queue", queue.id, **changes) if changes else queue


def callers_of(db: Connection, queue: Row) -> list[int] | None:
    """The ids of those who may work on a call list; None when all may."""
    sql = "SELECT servicer_id FROM caller WHERE queue_id = :queue ORDER BY servicer_id"
    return [*run(db, sql, queue=queue.id).scalars()] if queue.restricted else None


# ----- its servicers


def servicers_of(db: Connection, place: Row) -> list[Row]:
    """Everybody who has a desk in a place."""
    sql = "SELECT * FROM servicer WHERE place_id = :place AND removed_at IS NULL ORDER BY id"
    return run(db, sql, place=place.id).all()


def servicer_of_browser(db: Connection, place: Row, browser: str | None) -> Row | None:
    """The servicer whose desk a browser opened in a place, if any."""
    return next((each for each in servicers_of(db, place) if browser and each.browser == browser), None)


def queues_served(db: Connection, servicer: Row, kind: str = "walk-in") -> list[Row]:
    """The walk-in queues that a servicer calls from, or the call lists (kind "calls")."""
    # Whom the owner chose for a restricted list works on it, and nobody else does.
    sql = """SELECT * FROM queue WHERE place_id = :place AND kind = :kind AND deleted_at IS NULL
             AND CASE WHEN restricted = 1
                 THEN id IN (SELECT queue_id FROM caller WHERE servicer_id = :servicer)
                 ELSE :all = 1 OR id IN (SELECT queue_id FROM servicer_queue WHERE servicer_id = :servicer)
                 END ORDER BY id"""
    values = {"place": servicer.place_id, "all": servicer.all_queues, "servicer": servicer.id, "kind": kind}
    return run(db, sql, **values).all()


def start_serving(db: Connection, at: float, slug: str, token: str, name: str, **asked: Any) -> Row:
    """Gives a servicer a desk; `asked` may hold desk, queues (none: all of them) and browser.

    The same browser with the same name and desk (a second press) gets the servicer that it has.
    """
    place = find_place(db, slug, staff_token=token)
    desk, browser = asked.get("desk") or None, asked.get("browser")
    known = servicer_of_browser(db, place, browser)
    if known and (known.name, known.desk) == (name, desk):
        return known
    if known:
        change(db, "servicer", known.id, browser=None)
    columns = {"name": name, "desk": desk, "browser": browser, "token": secrets.token_urlsafe(16)}
    columns |= {"place_id": place.id, "created_at": at, "all_queues": 1, "on_duty": 1}
    servicer = insert(db, "servicer", **columns).one()
    record(db, at, place.id, "start-serving", servicer_id=servicer.id)
    return assign(db, place, servicer, asked.get("queues") or [])


def assign(db: Connection, place: Row, servicer: Row, queues: list[str]) -> Row:
    """Lets a servicer serve these queues of the place, call lists too, all when there are none.

    Raises NotFound, and Forbidden for a call list that is for others.
    """
    asked = [find_queue(db, place, slug, None) for slug in queues]
    for queue in asked:
        if queue.restricted and servicer.id not in callers_of(db, queue):
            raise Forbidden(f"{queue.name} is for those whom the owner chose. Ask the owner to add you.")
    chosen = {queue.id for queue in asked}
    everything = queues_of(db, place) + [each for each in queues_of(db, place, CALLS) if not each.restricted]
    if chosen >= {queue.id for queue in everything}:
        chosen = set()  # whoever serves all of them is to serve those that are added later, too
    run(db, "DELETE FROM servicer_queue WHERE servicer_id = :id", id=servicer.id)
    for queue_id in chosen:
        insert(db, "servicer_queue", servicer_id=servicer.id, queue_id=queue_id)
    return change(db, "servicer", servicer.id, all_queues=int(not chosen))


def change_servicer(db: Connection, at: float, place: Row, servicer_id: int, **changes: Any) -> None:
    """Lets a servicer serve other `queues`, or puts her on or off duty (`on_duty`)."""
    servicer = find_servicer(db, place, servicer_id)
    if changes.get("queues") is not None:
        assign(db, place, servicer, changes["queues"])
    if changes.get("on_duty") is not None:
        put_on_duty(db, at, servicer, changes["on_duty"])
    record(db, at, place.id, "change-servicer", servicer_id=servicer.id)


def put_on_duty(db: Connection, at: float, servicer: Row, on_duty: bool) -> None:
    """Puts a servicer on or off duty; twice the same is no change."""
    if bool(servicer.on_duty) != on_duty:
        change(db, "servicer", servicer.id, on_duty=int(on_duty))
        record(db, at, servicer.place_id, "resume" if on_duty else "pause", servicer_id=servicer.id)


def find_servicer(db: Connection, place: Row, servicer_id: int) -> Row:
    """A place's servicer by her id; raises NotFound."""
    for servicer in servicers_of(db, place):
        if servicer.id == servicer_id:
            return servicer
    raise NotFound("This servicer's link was taken away already.")
