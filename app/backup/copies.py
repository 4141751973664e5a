"""The copies in a store: their names, and how long they are kept.

A name tells what a copy holds, so listing copies reads none of them:

    daily/00000042/0000000017-20261121T100000Z-0004-1204t-52311b.db.gz
    kind  term     sequence   time             schema tickets bytes

The newest copy is the one with the highest term (see lease.py) and sequence. Clocks may be wrong, so the time
doesn't count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from app.backup.directory import DirectoryStore
from app.backup.errors import AlreadyStored, StorageFailed
from app.backup.store import Store, StoredFile
from app.clock import DAY_S, now

# Kinds of copies. Recent ones have no folder of their own.
RECENT, HOURLY, DAILY = "", "hourly", "daily"

# What a server answered after its last copy, before it noticed that another server had taken over. An orphan
# is not part of the shop: nothing is restored from it by itself.
ORPHAN = "daily/orphans"

# In a directory; in S3, lifecycle rules do the same.
KEEP_DAYS = {RECENT: 2, HOURLY: 7, DAILY: 35, ORPHAN: 35}
MIN_DAILY_COPIES = 5  # kept in a directory even if its clock says that they are old

VERIFIED_FOLDER = "verified/"  # holds an empty file for each copy that was once restored to verify it

_KIND_ORDER = (RECENT, HOURLY, DAILY, ORPHAN)  # of copies with the same sequence
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(
    r"(?:(?P<kind>hourly|daily|daily/orphans)/)?(?P<term>\d{8})/(?P<sequence>\d{10})-(?P<at>\d{8}T\d{6}Z)"
    r"-(?P<schema>\w+)-(?P<tickets>\d+)t-(?P<size>\d+)b\.db\.gz",
    re.ASCII,
)


@dataclass(frozen=True)
class Copy:
    """A copy of the database, as its name describes it."""

    term: int
    sequence: int
    at: int
    schema: str
    tickets: int
    size: int  # in bytes, compressed
    kind: str = RECENT
    stored_size: int = 0  # bytes that are really stored: fewer when an upload was cut off
    verified: bool = False  # it was once restored and complete

    @property
    def base_name(self) -> str:
        """The part of the name that copies of all kinds have in common."""
        return f"{self.term:08}/{self.sequence:010}-{format_time(self.at)}"

    @property
    def name(self) -> str:
        """The name in the store."""
        details = f"{self.schema}-{self.tickets}t-{self.size}b"
        return f"{_folder(self.kind)}{self.base_name}-{details}.db.gz"

    @property
    def is_complete(self) -> bool:
        """True when all of it is stored."""
        return self.stored_size == self.size


def format_time(at: float) -> str:
    """Return a time as names contain it, such as 20261121T100000Z."""
    return datetime.fromtimestamp(at, UTC).strftime(_TIME_FORMAT)


def list_copies(store: Store, kind: str | None = None) -> list[Copy]:
    """Return the copies in a store, the newest first: all but the orphans, or those of one kind."""
    copies = copies_among(store.list_files(_folder(kind or RECENT)), with_orphans=kind == ORPHAN)
    return copies if kind is None else [copy for copy in copies if copy.kind == kind]


def copies_among(files: list[StoredFile], with_orphans: bool = False) -> list[Copy]:
    """Return the copies among stored files, the newest first."""
    verified = {
        file.name.removeprefix(VERIFIED_FOLDER) for file in files if file.name.startswith(VERIFIED_FOLDER)
    }
    copies = []
    for file in files:
        copy = parse_name(file)
        if copy is not None and (with_orphans or copy.kind != ORPHAN):
            copies.append(replace(copy, verified=copy.base_name in verified))
    return sorted(copies, key=lambda copy: (-copy.term, -copy.sequence, _KIND_ORDER.index(copy.kind)))


def last_sequence(store: Store, term: int) -> int:
    """Return the highest sequence of a term's copies, 0 when it has none."""
    last = 0
    for kind in (RECENT, HOURLY, DAILY):
        files = store.list_files(f"{_folder(kind)}{term:08}/")
        last = max([last, *(copy.sequence for copy in copies_among(files))])
    return last


def store_copy(store: Store, copy: Copy, file: Path, kind: str = RECENT) -> Copy:
    """Store a snapshot's file as a copy of this kind, and return that copy."""
    copy = replace(copy, kind=kind)
    try:
        store.put(copy.name, file)
    except AlreadyStored:
        # An earlier attempt was successful, but its answer was lost. Or it was cut off.
        if StoredFile(copy.name, copy.size) not in store.list_files(copy.name):
            raise StorageFailed(f"{copy.name} is damaged at {store.url}. Back up once more.") from None
    return copy


def mark_as_verified(store: Store, copy: Copy) -> None:
    """Record in the store that a copy was restored and complete."""
    try:
        store.put(f"{VERIFIED_FOLDER}{copy.base_name}", b"")
    except AlreadyStored:
        return  # it was verified before


def remove_old_copies(store: Store) -> None:
    """Remove the copies in a directory that were kept long enough. In S3, a lifecycle rule does it."""
    if not isinstance(store, DirectoryStore):
        return
    copies = copies_among(store.list_files(), with_orphans=True)
    at = _cautious_time(copies)
    for kind, days in KEEP_DAYS.items():
        candidates = [copy for copy in copies if copy.kind == kind]
        if kind == DAILY:
            candidates = candidates[MIN_DAILY_COPIES:]
        for copy in candidates:
            if copy.at < at - days * DAY_S:
                store.remove(copy.name)
    store.remove_partial_files(before=at - DAY_S)


def _cautious_time(copies: list[Copy]) -> float:
    """Return the time by which copies are old, given all copies, the newest first.

    A clock that is far ahead must not remove them, so at most two days pass from one copy to the next.
    """
    earlier = [copy.at for copy in copies if copy.sequence != copies[0].sequence]
    return min(now(), earlier[0] + 2 * DAY_S) if earlier else now()


def _folder(kind: str) -> str:
    return f"{kind}/" if kind else ""


def parse_name(file: StoredFile) -> Copy | None:
    """Return the copy that a stored file of this name is, or None for any other file."""
    match = _NAME.fullmatch(file.name)
    if match is None:
        return None
    try:
        at = datetime.strptime(match["at"], _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None  # not a time, for example in month 13: the file isn't ours
    return Copy(
        term=int(match["term"]),
        sequence=int(match["sequence"]),
        at=int(at.timestamp()),
        schema=match["schema"],
        tickets=int(match["tickets"]),
        size=int(match["size"]),
        kind=match["kind"] or RECENT,
        stored_size=file.size,
    )
