"""What a database knows about its own backups, in the table of facts.

backup_generation, backup_sequence   the name of its next copy, see copies.py
backup_claim                         the id by which it claims its generation, see generations.py
backup_handed, backup_asked          where it is in a hand-over, see handover.py
backup_verified                      the latest verification, see keeper.py
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.storage.facts import find_fact, get_fact, set_fact


@dataclass(frozen=True)
class Identity:
    """Which database this is, as far as backups are concerned."""

    generation: int
    claim_id: str  # of this database alone: each restore gets a new one
    shop_id: str  # the same in all restores of a database


def new_claim_id() -> str:
    """Return a random id for the claim of a generation."""
    return secrets.token_hex(16)


def ensure_identity(db: Connection) -> Identity:
    """Return the identity of a database. If it has no claim id yet, one is created."""
    claim_id = find_fact(db, "backup_claim")
    if not claim_id:
        claim_id = new_claim_id()
        set_fact(db, "backup_claim", claim_id)
    return Identity(
        generation=int(find_fact(db, "backup_generation") or "1"),
        claim_id=claim_id,
        # Restores have the same secret key, so links and cookies stay valid. It identifies the shop as well.
        shop_id=hashlib.sha256(get_fact(db, "secret_key").encode()).hexdigest(),
    )


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


def facts_of_new_generation(generation: int, claim_id: str, by_hand_over: bool) -> dict[str, str]:
    """Return the facts that turn a restored database into the first of its generation."""
    return {
        "epoch": secrets.token_hex(16),  # so that open pages accept a version lower than the one they show
        "backup_generation": str(generation),
        "backup_sequence": "0",
        "backup_claim": claim_id,
        "backup_handed": "",
        "backup_asked": "1" if by_hand_over else "",
    }


def _sequence(db: Connection) -> int:
    return int(find_fact(db, "backup_sequence") or "0")
