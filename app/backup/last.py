"""The one copy that is kept without limit, for a shop that closes for months.

Copies are removed after at most 35 days, also while no server runs. So the server also stores its newest copy
under a fixed key, once a day and whenever it ends. Restoring falls back to it when there is no other copy.

The file begins with an empty gzip member, whose header holds the name of the copy. Every tool that unpacks
gzip skips it.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from app.backup.copies import Copy, parse_name
from app.backup.files import CHUNK_BYTES
from app.backup.store import Store, StoredFile

LAST = "last/takeanumber.db.gz"  # lifecycle rules and bucket policies name the folder

# The header of a gzip member with a file name, see RFC 1952: no time, compressed well, on an unknown system.
_HEADER = b"\x1f\x8b\x08\x08" + bytes(4) + b"\x02\xff"
_EMPTY_CONTENT = b"\x03\x00" + bytes(8)  # nothing, its checksum and its length
_MAX_NAME_END = 300


def store_last(store: Store, copy: Copy, file: Path) -> None:
    """Store a snapshot's file as the last copy, instead of the one before."""
    target = file.with_name("last.gz")
    with target.open("wb") as last, file.open("rb") as packed:
        last.write(_HEADER + copy.name.encode() + b"\0" + _EMPTY_CONTENT)
        shutil.copyfileobj(packed, last, CHUNK_BYTES)
    try:
        store.replace(LAST, target)
    finally:
        target.unlink()


def describe_last(file: Path) -> Copy | None:
    """Return the copy that a downloaded last copy holds, or None when its header can't be read."""
    with file.open("rb") as packed:
        head = packed.read(_MAX_NAME_END)
    name, end, _ = head.removeprefix(_HEADER).partition(b"\0")
    if not head.startswith(_HEADER) or not end:
        return None
    copy = parse_name(StoredFile(name.decode("latin-1"), 0))
    return copy and replace(copy, stored_size=copy.size)
