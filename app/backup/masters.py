"""The protocol of earlier versions, which the lease replaces.

An earlier version kept a record in masters/<generation>/ for each generation of copies: who claimed it, and
whether that server serves it ("decided": "taken"). The server that has the newest generation turns it into
the lease, and records one more generation as taken, so that old code that is still running stops writing.
"""

from __future__ import annotations

import json
import re

from sqlalchemy.engine import Connection

from app.backup.copies import format_time
from app.backup.errors import AlreadyStored, StorageFailed
from app.backup.store import Store, StoredFile
from app.clock import now
from app.errors import CannotStart
from app.storage.facts import find_fact

FOLDER = "masters/"
_CLAIM, _DECIDED = "claim", "decided"
_TAKEN, _WITHDRAWN = "taken", "withdrawn"
_RECORD = re.compile(rf"{FOLDER}(\d+)/(\w+)", re.ASCII)


def has_masters(files: list[StoredFile]) -> bool:
    """Return True when an earlier version has served from a store."""
    return any(record == _DECIDED for _, record in _records(files))


def owned_generation(store: Store, files: list[StoredFile], db: Connection) -> int | None:
    """Return the generation that a database serves by the old protocol, None when another server does.

    The files are those in the store.
    """
    generation, claim_id = find_fact(db, "backup_generation") or "1", find_fact(db, "backup_claim")
    if not claim_id or _read(store, int(generation), _CLAIM) != claim_id:
        return None
    for number, record in _records(files):
        if number > int(generation) and record == _DECIDED and _read(store, number, _DECIDED) == _TAKEN:
            # Taken for the lease, by this database, if its server was killed just then.
            return int(generation) if _read(store, number, _CLAIM) == _lease_claim(claim_id) else None
    return int(generation)


def end_masters(store: Store, files: list[StoredFile], db: Connection) -> int:
    """Make all servers of earlier versions read-only. Returns the number for the first entry of the lease.

    Raises CannotStart when one of them has just taken over.
    """
    claim_id = find_fact(db, "backup_claim") or ""
    own = int(find_fact(db, "backup_generation") or "1")
    newest = newest_generation(files)
    for number in range(own + 1, newest + 1):
        claimed_for_lease = _read(store, number, _CLAIM) == _lease_claim(claim_id)
        if not claimed_for_lease and _write_once(store, number, _DECIDED, _WITHDRAWN) == _TAKEN:
            raise still_in_use(store)
    if newest == own or _read(store, newest, _CLAIM) != _lease_claim(claim_id):
        newest += 1
        _write_once(store, newest, _CLAIM, _lease_claim(claim_id))
    if _write_once(store, newest, _DECIDED, _TAKEN) != _TAKEN:
        raise still_in_use(store)
    return newest + 1


def newest_generation(files: list[StoredFile]) -> int:
    """Return the highest generation that has a record."""
    return max(number for number, _ in _records(files))


def still_in_use(store: Store) -> CannotStart:
    """Return the reason why a new server can't take over from one of an earlier version."""
    return CannotStart(
        f"The backups at {store.url} belong to a server of an earlier version: update that server in place"
        " first. If it is gone for good, start this one with --take-over earlier-version."
    )


def _lease_claim(claim_id: str) -> str:
    return f"lease of {claim_id}"


def _records(files: list[StoredFile]) -> list[tuple[int, str]]:
    """Return the generation and the kind of each record."""
    matches = [_RECORD.fullmatch(file.name) for file in files]
    return [(int(match[1]), match[2]) for match in matches if match]


def _write_once(store: Store, generation: int, record: str, value: str) -> str:
    """Write a record unless it exists, and return its value in the end."""
    content = json.dumps({record: value, "at": format_time(now())}).encode()
    try:
        store.put(f"{FOLDER}{generation:08}/{record}", content)
    except AlreadyStored:
        return _read(store, generation, record) or ""
    return value


def _read(store: Store, generation: int, record: str) -> str | None:
    name = f"{FOLDER}{generation:08}/{record}"
    content = store.read(name)
    if content is None:
        return None
    try:
        return str(json.loads(content)[record])
    except (ValueError, KeyError, TypeError):
        raise StorageFailed(
            f"{name} at {store.url} can't be read: when it stays so, remove that file."
        ) from None
