"""Alerts to the owner: people wait too long in a queue, or wait at an empty desk.

An alert begins when

- the wait that is predicted for a newcomer of a queue in which somebody waits is longer than the place's
  goal, on average, for PATIENCE_S without a break; or
- somebody waits for so long while no desk serves their queue: none is on duty, or all are free and call
  no one.

It is told once. "Over" is told once, too: when nine of ten newcomers are expected to be called within the
goal again, or a desk serves again, or no one waits. That is stricter than what begins an alert, so a wait
that is about as long as the goal is not told again and again. Outside the owner's hours nothing is told, and
what was under way is dropped.

The table `alert` holds what is under way, so nothing is told twice after a restart or by several instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal
from urllib.parse import urlsplit

from sqlalchemy.engine import Connection

from app.clock import MINUTES_PER_DAY
from app.core.alert_advice import Advice, advise
from app.core.alert_targets import OwnerNotification, has_targets, tell_owner
from app.core.days import day_begins, day_of, is_between, iso_in, local_time, next_day
from app.core.history import record
from app.core.models import Place, Queue, WaitRange
from app.core.picture import Version, version_of
from app.core.queries import BUSY, IS_HERE
from app.core.queues import walk_in_queues
from app.core.wait import NO_LINE, Line, WaitEstimator
from app.core.webhooks import active_webhooks, failures_to_tell, post_event
from app.storage.database import Database
from app.storage.sql import insert_returning, load, load_all, run, update

WAIT, EMPTY_DESK = "wait", "empty-desk"  # the kinds of alerts
ALERT_EVENT, ALERT_OVER_EVENT = "alert", "alert_over"  # what webhooks call them
PATIENCE_S = 300  # the owner is told once the wait has been over the goal, or a desk empty, for so long
LOOK_S = 30  # how often to look at a place in which nothing happens
# True for a servicer who serves the queue :queue.
SERVES = """(all_queues = 1
             OR servicer.id IN (SELECT servicer_id FROM servicer_queue WHERE queue_id = :queue))"""
NUMBERS = ("No", "One", "Two", "Three")


@dataclass(frozen=True)
class Alert:
    """An alert that is under way."""

    id: int
    place_id: int
    queue_id: int
    kind: str  # WAIT or EMPTY_DESK
    since_at: float
    told_at: float | None  # None: it hasn't lasted for long enough


@dataclass(frozen=True)
class Finding:
    """What the owner may have to be told about a queue: a long wait, or an empty desk.

    `is_bad` begins an alert and `is_over` ends it. If neither is true, nothing changes.
    """

    queue: Queue
    kind: str  # WAIT or EMPTY_DESK
    is_bad: bool
    is_over: bool
    since: float  # when it became bad; now, if it was not bad before
    waiting: int
    line: Line
    desks_on_duty: int
    is_served: bool = False  # a desk serves somebody, or did since the owner was told


@dataclass(frozen=True)
class Hours:
    """The hours in which the owner gets alerts, around a time."""

    began_at: float
    ends_at: float


def hours_around(place: Place, at: float) -> Hours | None:
    """Return the hours of a place that a time is within; None outside them."""
    opens, closes = place.alert_from, place.alert_to
    if not is_between(place.timezone, opens, closes, at):
        return None
    day_ends_at = day_begins(place, next_day(day_of(place, at)))
    if (closes - opens) % MINUTES_PER_DAY == 0:
        return Hours(0.0, day_ends_at)
    today = datetime.fromtimestamp(at, place.zone).date()
    midnights = [datetime.combine(today + timedelta(days), time()) for days in (-1, 0, 1)]

    def at_minute(midnight: datetime, minute: int) -> float:
        return local_time(place.timezone, midnight + timedelta(minutes=minute))

    began_at = max(each for midnight in midnights if (each := at_minute(midnight, opens)) <= at)
    ends_at = min(each for midnight in midnights if (each := at_minute(midnight, closes)) > at)
    return Hours(began_at, min(ends_at, day_ends_at))


# ----- looking


@dataclass(frozen=True)
class _PlaceFindings:
    """The findings in all queues of a place, and what is needed to act on them."""

    place: Place
    findings: list[Finding]
    hours: Hours | None
    advices: Mapping[int, Advice | None]  # by the id of the queue


class AlertWatcher:
    """Finds out what the owners of all places must be told, and tells them."""

    def __init__(self, waits: WaitEstimator, *, mail_enabled: bool) -> None:
        self._waits = waits
        self._mail_enabled = mail_enabled
        self._seen: dict[int, tuple[Version, int]] = {}  # what was looked at last, by the id of the place

    def tell(self, database: Database, at: float) -> bool:
        """Tell the owners what they must be told now; always returns False."""
        due: list[_PlaceFindings] = []
        seen = {}
        with database.read() as db:
            for place in _places_with_targets(db):
                revision = (version_of(db, place), int(at // LOOK_S))
                if self._seen.get(place.id) == revision:
                    continue
                seen[place.id] = revision
                hours = hours_around(place, at)
                can_tell = has_targets(db, place, mail_enabled=self._mail_enabled)
                is_watched = hours is not None and (can_tell or bool(active_webhooks(db, place.id)))
                alerts = alerts_of(db, place)
                findings = _findings_of(db, at, place, alerts, self._waits) if is_watched else []
                has_failures = can_tell and hours is not None and bool(failures_to_tell(db, place))
                actions = _actions(alerts, findings, at, hours)
                if has_failures or actions:
                    due.append(
                        _PlaceFindings(place, findings, hours, _advices(db, at, place, actions, hours))
                    )
        for found in due:
            database.write_in(found.place.slug, _tell_place, at, found, self._mail_enabled)
        self._seen |= seen  # not if a write failed: then it is done the next time
        return False


def _places_with_targets(db: Connection) -> list[Place]:
    """Return the places whose owners may be told something, or were."""
    sql = """SELECT * FROM place WHERE deleted_at IS NULL AND (
                 alert_email IS NOT NULL
                 OR id IN (SELECT place_id FROM subscription WHERE ticket_id IS NULL)
                 OR id IN (SELECT place_id FROM webhook)
                 OR id IN (SELECT place_id FROM alert)) ORDER BY id"""
    return load_all(Place, run(db, sql))


def alerts_of(db: Connection, place: Place) -> list[Alert]:
    """Return the alerts of a place that are under way, told or not."""
    return load_all(Alert, run(db, "SELECT * FROM alert WHERE place_id = :place ORDER BY id", place=place.id))


def _findings_of(
    db: Connection, at: float, place: Place, alerts: list[Alert], waits: WaitEstimator
) -> list[Finding]:
    """Return how the queues of a place are now; `alerts` are those under way."""
    known = {(alert.queue_id, alert.kind): alert for alert in alerts}
    queues = walk_in_queues(db, place)
    day = day_of(place, at)
    sql = f"""SELECT queue_id, count(*) AS number,
                     min(CASE WHEN moved_at > joined_at THEN moved_at ELSE joined_at END) AS since
              FROM ticket
              WHERE queue_id IN :queues AND state = 'waiting' AND series >= :day AND {IS_HERE}
              GROUP BY queue_id"""
    rows = run(db, sql, queues=[queue.id for queue in queues], day=day, at=at)
    waiting = {row.queue_id: (int(row.number), float(row.since)) for row in rows}
    lines = waits.lines_of(db, at, place)
    goal_s = 60 * place.wait_goal_minutes
    findings = []
    for queue in queues:
        number, first_at = waiting.get(queue.id, (0, at))
        line = lines.get(queue.id, NO_LINE)
        is_empty = False
        on_duty = 0
        if queue.counter_id is None:
            alert = known.get((queue.id, EMPTY_DESK))
            empty = _empty_desk(db, at, place, queue, number, first_at, line, alert)
            # Then that is the alert. A shorter pause between two customers doesn't make the wait shorter.
            is_empty = empty.is_bad and at - empty.since >= PATIENCE_S
            on_duty = empty.desks_on_duty
            findings.append(empty)
        forecast = line.forecast()
        findings.append(
            Finding(
                queue,
                WAIT,
                is_bad=bool(number) and forecast is not None and forecast.mean_s > goal_s and not is_empty,
                is_over=not number or (forecast is not None and forecast.range.to_s <= goal_s),
                since=_since(at, known.get((queue.id, WAIT))),
                waiting=number,
                line=line,
                desks_on_duty=on_duty,
            )
        )
    return findings


def _since(at: float, alert: Alert | None) -> float:
    return at if alert is None else min(at, alert.since_at)


def _empty_desk(
    db: Connection,
    at: float,
    place: Place,
    queue: Queue,
    waiting: int,
    first_at: float,
    line: Line,
    alert: Alert | None,
) -> Finding:
    """Return whether people wait in a queue that no desk serves.

    :param first_at: when the first of those who wait joined
    """
    # A customer of an earlier day was forgotten at a desk.
    sql = f"""SELECT count(*) AS on_duty, max(created_at) AS created_at,
                     max((SELECT max(ended_at) FROM ticket
                          WHERE servicer_id = servicer.id AND ended_at IS NOT NULL)) AS ended_at,
                     max((SELECT max(ended_at) FROM step
                          WHERE servicer_id = servicer.id AND ended_at IS NOT NULL)) AS step_ended_at,
                     max((SELECT max(happened_at) FROM event WHERE servicer_id = servicer.id
                          AND kind IN ('start-serving', 'pause', 'resume'))) AS came_at
              FROM servicer WHERE place_id = :place AND removed_at IS NULL AND on_duty = 1 AND {SERVES}"""
    desks = run(db, sql, place=place.id, queue=queue.id).one()
    sql = f"""SELECT count(*) FROM servicer JOIN ticket ON servicer_id = servicer.id AND {BUSY}
              WHERE servicer.place_id = :place AND removed_at IS NULL AND {SERVES}
              AND called_at >= :today AND (claimed_until IS NULL OR claimed_until > :at)"""
    today = day_begins(place, day_of(place, at))
    busy = run(db, sql, place=place.id, queue=queue.id, at=at, today=today).scalar_one()
    # A desk that was freed, or came, since the last look has served somebody or is about to.
    times = (desks.created_at, desks.ended_at, desks.step_ended_at, desks.came_at)
    active_at = max(each or 0.0 for each in times)
    is_served = bool(busy) or (alert is not None and active_at > (alert.told_at or alert.since_at))
    return Finding(
        queue,
        EMPTY_DESK,
        is_bad=bool(waiting) and not busy,
        is_over=not waiting or is_served,
        since=max(_since(at, alert), first_at, active_at),
        waiting=waiting,
        line=line,
        desks_on_duty=desks.on_duty,
        is_served=is_served,
    )


# ----- what follows


@dataclass(frozen=True)
class _Action:
    """What to do about an alert.

    "begin" it; "tell" the owner of it, after beginning it if it is new; "end" it, and tell the owner so; or
    "drop" it without a word.
    """

    verb: Literal["begin", "tell", "end", "drop"]
    alert: Alert | None  # None: it is new
    finding: Finding | None
    since: float = 0.0


def _actions(alerts: list[Alert], findings: list[Finding], at: float, hours: Hours | None) -> list[_Action]:
    """Return what to do about the alerts that are under way, given what was found."""
    known: dict[tuple[int, str], Alert] = {}
    actions = []
    found = {(finding.queue.id, finding.kind) for finding in findings}
    for alert in alerts:
        key = (alert.queue_id, alert.kind)
        is_old = hours is None or (alert.told_at or alert.since_at) < hours.began_at
        # A time that is to come is of a clock that was wrong.
        if key not in found or is_old or (alert.told_at is None and alert.since_at > at):
            actions.append(_Action("drop", alert, None))
        else:
            known[key] = alert
    for finding in findings:
        action = _action(known.get((finding.queue.id, finding.kind)), finding, at, hours)
        if action is not None:
            actions.append(action)
    return actions


def _action(alert: Alert | None, finding: Finding, at: float, hours: Hours | None) -> _Action | None:
    if alert is not None and alert.told_at is not None:
        return _Action("end", alert, finding) if finding.is_over else None
    if not finding.is_bad:
        return None if alert is None else _Action("drop", alert, finding)
    since = finding.since if hours is None else max(finding.since, hours.began_at)
    if at - since >= PATIENCE_S:
        return _Action("tell", alert, finding, since)
    return _Action("begin", None, finding, since) if alert is None else None


def _advices(
    db: Connection, at: float, place: Place, actions: list[_Action], hours: Hours | None
) -> dict[int, Advice | None]:
    """Return what helps in the queues whose waits are told now, by id.

    This reads the tickets of weeks, which would take the writer too long.
    """
    return {
        action.finding.queue.id: advise(db, at, place, action.finding.line, hours.ends_at)
        for action in actions
        if action.verb == "tell"
        and action.finding is not None
        and action.finding.kind == WAIT
        and hours is not None
    }


def _tell_place(db: Connection, at: float, found: _PlaceFindings, mail_enabled: bool) -> None:
    """Store what follows from the findings in a place, and put what its owner is told into the outbox."""
    place = found.place
    for action in _actions(alerts_of(db, place), found.findings, at, found.hours):
        alert, finding = action.alert, action.finding
        # Another instance may be doing the same: who changes the row tells it.
        if action.verb in ("drop", "end") and alert is not None:
            is_ours = run(db, "DELETE FROM alert WHERE id = :id", id=alert.id).rowcount == 1
            if action.verb == "end" and finding is not None and is_ours:
                words = _words_at_end(place, finding)
                _tell(db, at, place, alert, finding, words, ALERT_OVER_EVENT, mail_enabled)
        elif finding is not None:
            alert = alert or _begin(db, place, finding, action.since)
            if action.verb == "tell" and _mark_told(db, at, alert):
                words = _words(at, place, alert, finding, found.advices.get(finding.queue.id))
                _tell(db, at, place, alert, finding, words, ALERT_EVENT, mail_enabled)
    if found.hours is not None and has_targets(db, place, mail_enabled=mail_enabled):
        _tell_failures(db, at, place, mail_enabled)


def _begin(db: Connection, place: Place, finding: Finding, since: float) -> Alert:
    row = insert_returning(
        db, "alert", place_id=place.id, queue_id=finding.queue.id, kind=finding.kind, since_at=since
    )
    return load(Alert, row)


def _mark_told(db: Connection, at: float, alert: Alert) -> bool:
    sql = "UPDATE alert SET told_at = :at WHERE id = :id AND told_at IS NULL"
    return run(db, sql, at=at, id=alert.id).rowcount == 1


def _tell(
    db: Connection,
    at: float,
    place: Place,
    alert: Alert,
    finding: Finding,
    words: _Words,
    event: str,
    mail_enabled: bool,
) -> None:
    queue = finding.queue
    record(db, at, place.id, event.replace("_", "-"), queue_id=queue.id, detail=alert.kind)
    notification = OwnerNotification(words.title, words.body, f"alert-{queue.id}-{alert.kind}")
    tell_owner(db, at, place, notification, mail_enabled=mail_enabled)
    forecast = finding.line.forecast()
    content = {
        "id": alert.id,  # the same for the end
        "kind": alert.kind,
        "queue": queue.slug,
        "queue_name": queue.name,
        "text": f"{words.title}. {words.body}",
        "waiting": finding.waiting,
        "wait": None if forecast is None else {"from": forecast.range.from_s, "to": forecast.range.to_s},
        "goal_s": 60 * place.wait_goal_minutes,
        "more_desks": None if words.advice is None else words.advice.desks,
        "until": None if words.advice is None else iso_in(words.advice.until_at, place.zone),
        "since": iso_in(alert.since_at, place.zone),
    }
    post_event(db, at, place, event, {"alert": content})


def _tell_failures(db: Connection, at: float, place: Place, mail_enabled: bool) -> None:
    """Tell the owner once which webhooks were paused because they failed."""
    for webhook in failures_to_tell(db, place):
        update(db, "webhook", webhook.id, told_at=at)
        # The rest of the URL may be a secret.
        host = urlsplit(webhook.url).netloc.rpartition("@")[2]
        body = f"{host}: {webhook.paused_because}. Events are left out until you resume it."
        notification = OwnerNotification("A webhook is paused", body, f"webhook-{webhook.id}")
        tell_owner(db, at, place, notification, mail_enabled=mail_enabled)


# ----- the words


@dataclass(frozen=True)
class _Words:
    """A message to the owner: a title such as "Passports: 18 to 25 min", and a sentence."""

    title: str
    body: str
    advice: Advice | None = None


def _words(at: float, place: Place, alert: Alert, finding: Finding, advice: Advice | None) -> _Words:
    queue = finding.queue
    if finding.kind == EMPTY_DESK:
        people = "1 person is" if finding.waiting == 1 else f"{finding.waiting} people are"
        minutes = int((at - alert.since_at) // 60)
        body = (
            f"No desk has called anyone for {minutes} min." if finding.desks_on_duty else "No one is on duty."
        )
        return _Words(f"{queue.name}: {people} waiting", body)
    forecast = finding.line.forecast()
    wait = _range(forecast.range) if forecast is not None else ""
    title = f"{queue.name}: {wait}"
    goal = f"{place.wait_goal_minutes} min"
    if advice is None:
        return _Words(title, f"The goal is under {goal}.")
    desks = f"{NUMBERS[advice.desks]} more {'desk' if advice.desks == 1 else 'desks'}"
    verb = "brings" if advice.desks == 1 else "bring"
    until = by = ""
    if advice.until_at is not None:
        until = f" until {_clock(place, advice.until_at)}"
    elif advice.by_at is not None:
        by = f" by {_clock(place, advice.by_at)}"
    return _Words(title, f"{desks}{until} {verb} it under {goal}{by}.", advice)


def _words_at_end(place: Place, finding: Finding) -> _Words:
    title = f"{finding.queue.name}: alert over"
    if finding.is_served:
        return _Words(title, "A desk is serving again.")
    forecast = finding.line.forecast()
    if not finding.waiting or forecast is None:
        return _Words(title, "No one is waiting any more.")
    # The owner may have raised the goal: then it is over although the wait is as long as before.
    wait = _range(forecast.range)
    return _Words(title, f"The wait is {wait}. Your goal is {place.wait_goal_minutes} min.")


def _range(wait: WaitRange) -> str:
    """Return a range as the pages of customers say it: a wide one says little about its lower end."""
    from_min, to_min = wait.from_s // 60, wait.to_s // 60
    if to_min > 3 * from_min:
        return f"up to {to_min} min"
    return f"{from_min} to {to_min} min" if from_min < to_min else f"{to_min} min"


def _clock(place: Place, at: float) -> str:
    return datetime.fromtimestamp(at, place.zone).strftime("%H:%M")
