"""Which server is the master of a generation, as the store records it.

Each restore begins a new generation. The server that serves the newest one is the master: only it may write.
The store holds up to four small records for each generation, in masters/<generation>/:

claim    the claim id of the database that the generation belongs to
heard    the previous master has paused writes, and is storing its last copy
handed   the name of that last copy, or NOBODY when the new server waited for it in vain
decided  TAKEN: its server serves; or WITHDRAWN: the previous master continued

masters/00000000/shop holds the id of the shop that the store belongs to. It is the same in all restores.

A record is written once and never changed: whoever is first decides. So all servers agree, even if one of
them is stopped and started again in the middle.
"""

from __future__ import annotations

import json
import re

from app.backup.copies import format_time
from app.backup.errors import AlreadyStored, StorageFailed
from app.backup.identity import Identity
from app.backup.store import Store, StoredFile
from app.clock import now
from app.errors import CannotStart

RECORDS_FOLDER = "masters/"
CLAIM, HEARD, HANDED, DECIDED, SHOP = "claim", "heard", "handed", "decided", "shop"
TAKEN, WITHDRAWN = "taken", "withdrawn"
NOBODY = "nobody"
SHOP_GENERATION = 0  # no database has this generation

_DECISION_NAME = re.compile(rf"{RECORDS_FOLDER}(\d+)/{DECIDED}", re.ASCII)
_GENERATION_NAME = re.compile(r"(?:(?:hourly|daily|masters|verified)/)?(\d{8})/", re.ASCII)


def claim(store: Store, generation: int, claim_id: str) -> bool:
    """Claim a generation. Returns False when another database claimed it before."""
    return _write_once(store, generation, CLAIM, claim_id) == claim_id


def is_claimed(store: Store, generation: int) -> bool:
    """Return True when some database claimed this generation."""
    return _read(store, generation, CLAIM) is not None


def announce_last_copy(store: Store, generation: int) -> None:
    """Tell the server that claimed a generation that the last copy is on its way."""
    _write_once(store, generation, HEARD, "yes")


def is_last_copy_announced(store: Store, generation: int) -> bool:
    """Return True when the previous master is storing its last copy."""
    return _read(store, generation, HEARD) is not None


def hand_over(store: Store, generation: int, last_copy: str) -> str:
    """Tell the server that claimed a generation the name of the last copy, or that it is NOBODY.

    Returns what is recorded in the end. NOBODY means that the new server didn't wait for the last copy.
    """
    return _write_once(store, generation, HANDED, last_copy)


def handed_over(store: Store, generation: int) -> str | None:
    """Return the name of the last copy, or NOBODY; None while neither is recorded."""
    return _read(store, generation, HANDED)


def decide(store: Store, generation: int, decision: str) -> str:
    """Decide that a claim is TAKEN or WITHDRAWN. Returns the decision, which may be an earlier one."""
    return _write_once(store, generation, DECIDED, decision)


def find_decision(store: Store, generation: int) -> str | None:
    """Return TAKEN or WITHDRAWN, or None while nothing is decided."""
    return _read(store, generation, DECIDED)


def generation_decided_in(name: str) -> int | None:
    """Return the generation that a stored file of this name decides about, None for other files."""
    match = _DECISION_NAME.fullmatch(name)
    return int(match[1]) if match else None


def has_later_master(store: Store, generation: int) -> bool:
    """Return True when a server serves a generation above this one."""
    decided = [generation_decided_in(file.name) for file in store.list_files(RECORDS_FOLDER)]
    later = sorted({number for number in decided if number is not None and number > generation}, reverse=True)
    return any(find_decision(store, number) == TAKEN for number in later)


def newest_generation(files: list[StoredFile]) -> int:
    """Return the highest generation that has a copy or a record, 0 when there is none."""
    matches = [_GENERATION_NAME.match(file.name) for file in files]
    return max((int(match[1]) for match in matches if match), default=0)


def become_master(store: Store, identity: Identity) -> None:
    """Claim and take the generation of a database, as is necessary before its first copy.

    Changes nothing when the database took it before. Raises CannotStart when the store or the generation
    belongs to another database, when the claim was withdrawn, and when the store overwrites existing files.
    """
    other_database = CannotStart(
        f"The backups at {store.url} belong to another database: restore it,"
        " or choose another place for backups."
    )
    # Read the shop first: a claim in the store of another shop could hide its next generation.
    shop_id = _read(store, SHOP_GENERATION, SHOP)
    if shop_id not in (None, identity.shop_id):
        raise other_database
    if not claim(store, identity.generation, identity.claim_id):
        raise other_database
    _require_write_once(store, identity)
    if decide(store, identity.generation, TAKEN) != TAKEN:
        raise CannotStart(
            "The old server went on while this one was being set up, so this database is out of date."
            " Hand over again: restore --hand-over --replace."
        )
    # Last, since a server that never served must leave no mark.
    if shop_id is None and _write_once(store, SHOP_GENERATION, SHOP, identity.shop_id) != identity.shop_id:
        raise other_database


def _require_write_once(store: Store, identity: Identity) -> None:
    """Raise CannotStart when the store overwrites an existing file, as some S3 servers do."""
    name = _name(identity.generation, CLAIM)
    try:
        store.put(name, _content(CLAIM, identity.claim_id))
    except AlreadyStored:
        return
    raise CannotStart(
        f"The place for backups {store.url} overwrites what is there (no If-None-Match), so two servers could"
        " both be the master. Choose another."
    )


def _write_once(store: Store, generation: int, record: str, value: str) -> str:
    """Write a record unless it exists, and return its value in the end.

    When the answer to an earlier attempt was lost, the record exists already, with our own value.
    """
    try:
        store.put(_name(generation, record), _content(record, value))
    except AlreadyStored:
        stored = _read(store, generation, record)
        if stored is None:
            raise StorageFailed(f"The place for backups {store.url} contradicts itself. Try again.") from None
        return stored
    return value


def _read(store: Store, generation: int, record: str) -> str | None:
    name = _name(generation, record)
    content = store.read(name)
    if content is None:
        return None
    try:
        return str(json.loads(content)[record])
    except (ValueError, KeyError, TypeError):
        raise StorageFailed(
            f"{name} at {store.url} can't be read: when it stays so, remove that file."
        ) from None


def _name(generation: int, record: str) -> str:
    return f"{RECORDS_FOLDER}{generation:08}/{record}"


def _content(record: str, value: str) -> bytes:
    return json.dumps({record: value, "at": format_time(now())}).encode()
