"""What a database knows about its own backups and the lease, in the table of facts.

lease_holders      the nonces under which it was served, newest last; see lease.py. A restored copy has none
lease_next         the nonce under which its server is about to acquire the lease
lease_term         the term under which its copies are stored
lease_paused       somebody had asked for the lease when its server ended
lease_fenced       another server took over from it, so it holds answers that are in no other database
lease_chosen       number of the newest entry of the lease when `restore --at` chose this database
lease_take_over    the latest take-over from a server that didn't answer; for the owner's page
backup_sequence    the sequence of its latest copy
backup_same_as     the copy that it equals, as it was not served since: a standby. NEW: an empty one
backup_verified    the latest verification, see keeper.py

Databases that were served by an earlier version have backup_generation and backup_claim; see masters.py.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from sqlalchemy.engine import Connection

from app.backup.lease import Memory
from app.storage.facts import find_fact, get_fact, set_fact

NEW = "new"  # instead of the name of a copy: a new database, made beside a server that may have one
MAX_HOLDERS = 50  # nonces that are kept: only the newest of each place for backups can matter


def new_nonce() -> str:
    """Return a random id for an acquisition of the lease."""
    return secrets.token_hex(16)


def shop_of(db: Connection) -> str:
    """Return a hash that is the same in all copies of a database, and in no other."""
    # Copies have the same secret key, so links and cookies stay valid. It identifies the shop as well.
    return hashlib.sha256(get_fact(db, "secret_key").encode()).hexdigest()


def read_memory(db: Connection) -> Memory:
    """Return what the database knows about the lease."""
    chosen = find_fact(db, "lease_chosen")
    holders = tuple((find_fact(db, "lease_holders") or "").split())
    return Memory(
        holders=holders,
        next_holder=find_fact(db, "lease_next") or "",
        paused=bool(find_fact(db, "lease_paused")),
        is_own=not (holders or find_fact(db, "backup_same_as") or find_fact(db, "lease_fenced")),
        chosen=int(chosen) if chosen else None,
    )


def write_memory(db: Connection, changes: dict[str, Any]) -> None:
    """Store some fields of the Memory."""
    if "next_holder" in changes:
        set_fact(db, "lease_next", changes["next_holder"])
    if "paused" in changes:
        set_fact(db, "lease_paused", "1" if changes["paused"] else "")


def remember_holder(db: Connection, nonce: str, term: int) -> None:
    """Store that this database is served from now on, under this nonce and term."""
    holders = [*(find_fact(db, "lease_holders") or "").split(), nonce]
    set_fact(db, "lease_holders", " ".join(holders[-MAX_HOLDERS:]))
    for name, value in _served_facts(term).items():
        set_fact(db, name, value)


def forget_holder(db: Connection) -> None:
    """Store that another server took over from this database."""
    for name, value in {"lease_holders": "", "lease_next": "", "lease_fenced": "1"}.items():
        set_fact(db, name, value)


def term_of(db: Connection) -> int:
    """Return the term under which the copies of this database are stored."""
    return int(find_fact(db, "lease_term") or "0")


def next_sequence(db: Connection) -> int:
    """Count one more copy, just before it is made, and return its sequence."""
    sequence = _sequence(db) + 1
    set_fact(db, "backup_sequence", str(sequence))
    return sequence


def continue_after_sequence(db: Connection, sequence: int) -> None:
    """Give the next copy a higher sequence than this one, the last one in the store.

    A database file that somebody put back by hand would repeat sequences.
    """
    if _sequence(db) < sequence:
        set_fact(db, "backup_sequence", str(sequence))


def facts_of_restored(same_as: str, chosen: int | None) -> dict[str, str]:
    """Return the facts that turn a copy into a database that was not served yet."""
    return {
        "epoch": secrets.token_hex(16),  # so that open pages accept a version lower than the one they show
        "lease_holders": "",
        "lease_next": "",
        "lease_term": "0",
        "lease_paused": "",
        "lease_fenced": "",
        "lease_chosen": "" if chosen is None else str(chosen),
        "backup_sequence": "0",
        "backup_same_as": same_as,
        "backup_generation": "",
        "backup_claim": "",
    }


def facts_of_holder(nonce: str, term: int, take_over: dict[str, Any] | None) -> dict[str, str]:
    """Return the facts that turn a restored copy into the database of the holder of the lease."""
    facts = facts_of_restored("", None) | {"lease_holders": nonce} | _served_facts(term)
    if take_over is not None:
        facts["lease_take_over"] = json.dumps(take_over)
    return facts


def _served_facts(term: int) -> dict[str, str]:
    return {
        "lease_next": "",
        "lease_term": str(term),
        "lease_paused": "",
        "lease_fenced": "",
        "lease_chosen": "",
        "backup_same_as": "",
    }


def _sequence(db: Connection) -> int:
    return int(find_fact(db, "backup_sequence") or "0")
