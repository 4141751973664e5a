"""Restoring a copy, to make it the database or to verify that it could be."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from app.backup import masters
from app.backup.copies import ORPHAN, Copy, copies_among, list_copies, mark_as_verified, parse_name
from app.backup.environment import check_environment, environment_of
from app.backup.errors import BrokenCopy
from app.backup.files import CHUNK_BYTES, working_directory
from app.backup.identity import NEW, facts_of_restored
from app.backup.inspection import Contents, inspect_database
from app.backup.install import exclusive_access, install_database
from app.backup.last import LAST, describe_last
from app.backup.lease_log import LEASE_FOLDER, LeaseLog, newest_entry_number
from app.backup.store import Store, StoredFile
from app.errors import CannotStart, reason_of
from app.storage.facts import SET_FACT
from app.storage.files import fsync
from app.storage.private import create_file
from app.storage.schema import SCHEMA, is_newer
from app.storage.upgrade import create_database, schema_of, upgrade_file

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Restored:
    """The result of a restore."""

    copy: Copy | None  # None: a new database was created
    kept: Path | None  # where the previous database is kept


def _ignore_warnings(_sentence: str) -> None:
    pass


def restore(
    path: Path,
    store: Store,
    *,
    before: float | None = None,
    name: str | None = None,
    replace: bool = False,
    or_new: bool = False,
    take_over: str = "",
    warn: Warn = _ignore_warnings,
) -> Restored:
    """Make the newest copy that isn't broken the database.

    The lease stays as it is, and a server that runs elsewhere isn't disturbed: see lease.py.

    :param before: only consider copies made until this time
    :param name: restore the copy of this name, which may be an orphan
    :param replace: replace an existing database, which is kept beside it; otherwise it is an error
    :param or_new: create a new database if the store certainly never had a copy
    :param take_over: name of another environment, for which this one takes over
    :param warn: is called with a sentence about each copy that was skipped
    :raise CannotStart: when nothing was restored; then an existing database is unchanged
    """
    # os.path.exists() is False, too, where the directory may not be read; path.exists() would raise.
    exists = os.path.exists(path)
    if exists and not replace:
        raise CannotStart(f"There is a database at {path}. To replace it (it is kept beside), add --replace.")
    access = exclusive_access(path) if exists else nullcontext()
    with working_directory(path.parent, f"Restoring {path} failed") as work, access:
        files = store.list_files()
        newest_number = newest_entry_number(files)
        entry = LeaseLog(store).read(newest_number) if newest_number else None
        if name is None:
            check_environment(store, entry, environment_of(path.parent), take_over)
        copy, file = _choose(store, files, work, before, name, or_new, warn)
        if file is None:
            file = _create_empty(work)
            # Beside a server that has no copy yet, this database is not the first.
            same_as = NEW if entry is not None or masters.has_masters(files) else ""
        else:
            same_as = copy.base_name if copy else ""
        # A database of a certain time was chosen by hand: don't replace it by the newest copy.
        chosen = newest_number if before is not None else None
        prepare_file(file, copy, facts_of_restored(same_as, chosen))
        kept = install_database(file, path, replaces=exists)
        return Restored(copy, kept)


def fetch_newest_before(
    store: Store, term: int, work: Path, warn: Warn = _ignore_warnings
) -> tuple[Copy, Path] | None:
    """Return the newest copy of an earlier term that isn't broken, as a database file.

    Returns None when the store certainly has no copy. Raises CannotStart when all are broken.
    """
    files = store.list_files()
    copies = [copy for copy in copies_among(files) if copy.term < term]
    if not copies and not _has_last(files):
        return None
    return _fetch_newest(store, copies, work, warn)


def prepare_file(file: Path, copy: Copy | None, facts: dict[str, str]) -> None:
    """Bring a restored file up to date, set facts in it, and sync it to the disk."""
    if copy is not None and schema_of(file) != SCHEMA:
        upgrade_file(file, f"the backup {copy.name}")
    with closing(sqlite3.connect(file)) as db:
        with db:
            db.executemany(SET_FACT, [{"name": name, "value": value} for name, value in facts.items()])
        db.execute("PRAGMA journal_mode = DELETE")  # keeps everything in one file
    fsync(file)


def verify(path: Path, store: Store) -> Copy:
    """Restore the newest copy beside the database, check it, remove the file again, and return the copy.

    Raises CannotStart when that fails.
    """
    with working_directory(path.parent, "Verifying the newest backup failed") as work:
        copies = list_copies(store)
        if not copies:
            raise CannotStart(f"There is no backup at {store.url}.")
        newest = copies[0]
        _refuse_newer(newest, newest.schema)
        try:
            _fetch(store, newest, work)
        except BrokenCopy as error:
            raise CannotStart(f"The newest backup, {newest.name}, is broken: {error}.") from None
    mark_as_verified(store, newest)
    return newest


def refuse_newer_copies(files: list[StoredFile]) -> None:
    """Raise CannotStart when the newest copy among files was stored by a newer version."""
    for newest in copies_among(files)[:1]:
        _refuse_newer(newest, newest.schema)


def _choose(
    store: Store,
    files: list[StoredFile],
    work: Path,
    before: float | None,
    name: str | None,
    or_new: bool,
    warn: Warn,
) -> tuple[Copy | None, Path | None]:
    """Return the copy to restore, as a database file; neither if a new database is to be created."""
    if name is not None:
        return _fetch_newest(store, [_find_named(store, files, name)], work, warn, with_last=False)
    copies = copies_among(files)
    if not copies and not _has_last(files):
        if not or_new:
            raise CannotStart(f"There is no backup at {store.url}.")
        _refuse_used_store(store, files)
        return None, None
    candidates = [copy for copy in copies if before is None or copy.at <= before]
    copy, file = _fetch_newest(store, candidates, work, warn, before=before)
    return copy, file


def _find_named(store: Store, files: list[StoredFile], name: str) -> Copy:
    copy = next((parse_name(file) for file in files if file.name == name), None)
    if copy is None:
        raise CannotStart(f"There is no backup {name} at {store.url}: `backups --all` lists them.")
    return copy


def _has_last(files: list[StoredFile]) -> bool:
    return any(file.name == LAST for file in files)


def _refuse_used_store(store: Store, files: list[StoredFile]) -> None:
    """Raise CannotStart when a store without copies holds something else, or once had copies."""
    for file in files:
        copy = parse_name(file)
        if copy is not None and copy.kind == ORPHAN:
            continue
        if not file.name.startswith((masters.FOLDER, LEASE_FOLDER)):
            raise CannotStart(
                f"There is no backup at {store.url}, but something else ('{file.name}')."
                " Choose another place, or a directory in it."
            )
    _, entry = LeaseLog(store).newest()
    if masters.has_masters(files) or (entry is not None and entry.last is not None):
        raise CannotStart(
            f"{store.url} was in use, and all its backups are gone. To begin anew, choose another place."
        )


def _fetch_newest(
    store: Store,
    copies: list[Copy],
    work: Path,
    warn: Warn,
    *,
    before: float | None = None,
    with_last: bool = True,
) -> tuple[Copy, Path]:
    """Return the first copy that isn't broken, as a database file; or else the last copy.

    A copy of a newer version of the program raises CannotStart: skipping it would lose what it holds.
    """
    for copy in copies:
        _refuse_newer(copy, copy.schema)
        try:
            file, contents = _fetch(store, copy, work)
        except BrokenCopy as error:
            warn(f"The backup {copy.name} is broken and was skipped: {error}.")
            continue
        _refuse_newer(copy, contents.schema)
        return copy, file
    last = _fetch_last(store, work, warn) if with_last else None
    if last is not None and (before is None or last[0].at <= before):
        return last
    if copies or before is None:
        raise CannotStart(f"There is no whole backup at {store.url}.")
    raise CannotStart(f"There is no backup that old at {store.url}.")


def _fetch_last(store: Store, work: Path, warn: Warn) -> tuple[Copy, Path] | None:
    """Return the copy that is kept without limit, as a database file, or None."""
    packed = work / "last.gz"
    if not store.download(LAST, packed):
        return None
    try:
        copy = describe_last(packed)
        if copy is None:
            raise BrokenCopy("its header can't be read")
        _refuse_newer(copy, copy.schema)
        file, contents = _unpack(packed, copy, work)
    except BrokenCopy as error:
        warn(f"The backup '{LAST}' is broken and was skipped: {error}.")
        return None
    _refuse_newer(copy, contents.schema)
    return copy, file


def _fetch(store: Store, copy: Copy, work: Path) -> tuple[Path, Contents]:
    """Download, decompress and check a copy. Raises BrokenCopy."""
    packed = work / "copy.db.gz"
    if not copy.is_complete:
        raise BrokenCopy(f"{copy.stored_size:,} of its {copy.size:,} bytes are there")
    if not store.download(copy.name, packed):
        raise BrokenCopy("it is gone")
    return _unpack(packed, copy, work)


def _unpack(packed: Path, copy: Copy, work: Path) -> tuple[Path, Contents]:
    """Decompress and check a downloaded copy. Raises BrokenCopy."""
    plain = work / "copy.db"
    create_file(plain)
    try:
        with gzip.open(packed) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BrokenCopy(reason_of(error)) from None
    packed.unlink()
    contents = inspect_database(plain)
    if contents.tickets != copy.tickets:
        raise BrokenCopy(f"it holds {contents.tickets:,} tickets instead of {copy.tickets:,}")
    return plain, contents


def _refuse_newer(copy: Copy, schema: str) -> None:
    if is_newer(schema):
        raise CannotStart(f"{copy.name} is of a newer version of Take A Number. Install that one.")


def _create_empty(work: Path) -> Path:
    file = work / "new.db"
    create_database(file).close()
    return file
