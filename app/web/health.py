"""The health check for load balancers, and the state of the backups in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, request

from app.clock import DAY_S, now
from app.core.days import iso_in
from app.core.models import BackupStatus, OrphanCopy, TakeOver
from app.storage.facts import get_fact
from app.web.present import date_in_words, duration
from app.web.response import Answer, json_response
from app.web.service import service

health = Blueprint("health", __name__)

STATE_WORDS = {"green": "Backed up", "amber": "Late", "red": "Not backed up"}
ROLE_WORDS = {"handing over": "Moving", "restoring": "Moving", "standby": "Standby"}

# The answer of backup_json() on PostgreSQL, where others make the backups and this server can't see them.
POSTGRESQL_BACKUP: dict[str, Any] = {
    "state": "green",
    "last_at": None,
    "behind_s": 0,
    "verified_at": None,
    "verified_tickets": None,
    "problem": None,
    "role": "holder",
    "holder": True,
    "term": 0,
    "confirmed": True,
    "lease": "",
    "orphans": [],
    "age_s": None,
    "word": "By PostgreSQL",
    "said": "PostgreSQL makes the backups: by pg_dump, or by the snapshots of the database service.",
}


@health.get("/healthz")
def show_health() -> Answer:
    """Answer 200 when a reader and the writer answer; `?verbose=1` adds the state of the backups."""
    database = service().database
    database.check_file()
    if database.failure is not None:
        raise database.failure
    with database.read() as db:
        get_fact(db, "epoch")
    service().pulse.check(database)
    content: dict[str, Any] = {"status": "ok"}
    if request.args.get("verbose") == "1":
        content["paused"] = None if database.paused is None else str(database.paused)
        content["backup"] = backup_json(ZoneInfo("UTC"), for_owner=False)
    return json_response(content)


def backup_json(zone: ZoneInfo, for_owner: bool) -> dict[str, Any] | None:
    """Return the state of the backups, in figures and in words, or None when none are configured.

    What is wrong is said only `for_owner`: it names the place where backups are kept.
    """
    if service().settings.database_url:
        return dict(POSTGRESQL_BACKUP)
    get_status = service().backup_status
    if get_status is None:
        return None
    status = get_status()
    at = now()
    age_s = None if status.last_at is None else max(0, round(at - status.last_at))
    problem = status.problem
    if problem and not for_owner:
        problem = "The owner's page says what is wrong."
    failure = service().database.failure
    if failure is not None:
        status, problem = replace(status, state="red"), str(failure)
    return {
        "state": status.state,
        "last_at": iso_in(status.last_at, zone),
        "behind_s": status.behind_s,
        "verified_at": iso_in(status.verified_at, zone),
        "verified_tickets": status.verified_tickets,
        "problem": problem,
        "role": status.role,
        "holder": status.role == "holder",
        "term": status.term,
        "confirmed": status.confirmed,
        "lease": _lease_in_words(status),
        "orphans": [_orphan_json(orphan, zone) for orphan in status.orphans] if for_owner else [],
        "age_s": age_s,
        "word": _word(status),
        "said": _sentences(status, problem, age_s, at, zone),
    }


def _word(status: BackupStatus) -> str:
    if status.role in ROLE_WORDS:
        return ROLE_WORDS[status.role]
    if status.state == "green" and status.last_at is None:
        return "Not yet"
    return STATE_WORDS[status.state]


def _sentences(
    status: BackupStatus, problem: str | None, age_s: int | None, at: float, zone: ZoneInfo
) -> str:
    sentences = []
    paused = service().database.paused
    if paused:
        sentences.append(str(paused))
    if problem and problem not in sentences:
        sentences.append(problem)
    if status.take_over is not None:
        sentences.append(_take_over_in_words(status.take_over, zone))
    last = "No backup yet" if age_s is None else f"Last backup {duration(age_s)} ago"
    sentences.append(f"{last}, {_verified_in_words(status, at, zone)}.")
    if status.behind_s and status.state != "green":
        sentences.append(f"What changed in the last {duration(status.behind_s)} is not in it.")
    return " ".join(sentences)


def _lease_in_words(status: BackupStatus) -> str:
    """Return whether this server holds the lease, for the owner's page."""
    if status.role == "standby":
        return "This server is a standby: another one holds the lease."
    confirmed = (
        "confirmed" if status.confirmed else "not confirmed, since the place for backups is unreachable"
    )
    return f"This server holds the lease: term {status.term}, {confirmed}."


def _take_over_in_words(take_over: TakeOver, zone: ZoneInfo) -> str:
    """Return what the owner must know after a take-over from a server that didn't answer."""
    at, copy_at = iso_in(take_over.at, zone) or "", iso_in(take_over.copy_at, zone) or ""
    return (
        f"On {date_in_words(at[:10])} at {at[11:16]} this server took over from one that didn't answer, with"
        f" its backup of {copy_at[11:19]}. What happened there later may be missing, so every queue skipped"
        " 20 numbers or more: no number is given twice."
    )


def _orphan_json(orphan: OrphanCopy, zone: ZoneInfo) -> dict[str, Any]:
    """Return what the owner's page says of the last answers of a server that was replaced."""
    return {
        "name": orphan.name,
        "at": iso_in(orphan.at, zone),
        "tickets": orphan.tickets,
        "restore": f"python takeanumber.py restore --copy {orphan.name} --data orphan",
    }


def _verified_in_words(status: BackupStatus, at: float, zone: ZoneInfo) -> str:
    """Return when a backup was last restored as a test, and how many tickets it held."""
    when = iso_in(status.verified_at, zone)
    if when is None or status.verified_at is None:
        return "not verified yet"
    day = "" if at - status.verified_at < DAY_S else f" of {date_in_words(when[:10])}"
    unit = "ticket" if status.verified_tickets == 1 else "tickets"
    return f"last verified restore {when[11:16]}{day}, {status.verified_tickets:,} {unit}"
