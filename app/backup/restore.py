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

from app.backup import generations
from app.backup.copies import Copy, copies_among, list_copies, mark_as_verified
from app.backup.errors import BrokenCopy, reason
from app.backup.files import CHUNK_BYTES, fsync, working_directory
from app.backup.handover import HandOverTimeouts, claim_generation, wait_for_last_copy, withdraw_claim
from app.backup.identity import facts_of_new_generation, new_claim_id
from app.backup.inspection import Contents, inspect_database
from app.backup.install import exclusive_access, install_database
from app.backup.store import Store, StoredFile
from app.errors import CannotStart
from app.storage.facts import SET_FACT
from app.storage.private import create_file
from app.storage.schema import SCHEMA
from app.storage.upgrade import create_database, is_newer, schema_of, upgrade_file

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Restored:
    """The result of a restore."""

    copy: Copy | None  # None: a new database was created
    generation: int
    kept: Path | None  # where the previous database is kept


def _ignore_warnings(_sentence: str) -> None:
    pass


def restore(
    path: Path,
    store: Store,
    *,
    before: float | None = None,
    replace: bool = False,
    or_new: bool = False,
    hand_over: HandOverTimeouts | None = None,
    warn: Warn = _ignore_warnings,
) -> Restored:
    """Make the newest copy that isn't broken the database, as the first of a new generation.

    :param before: only consider copies made until this time
    :param replace: replace an existing database, which is kept beside it; otherwise it is an error
    :param or_new: create a new database if the store certainly never had a copy
    :param hand_over: first ask the server that runs to hand over, and wait for its last copy
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
        copies = _find_candidates(store, files, or_new, before)
        create = or_new and not copies
        generation = generations.newest_generation(files) + 1
        claim_id = new_claim_id()
        if hand_over is not None:
            claim_generation(store, generation, claim_id)
        try:
            if hand_over is not None:
                wait_for_last_copy(store, generation, hand_over)
                earlier = [copy for copy in list_copies(store) if copy.generation < generation]
                copies = _made_until(before, earlier)
            if create and not copies:
                restored_copy, file = None, _create_empty(work)
            else:
                restored_copy, file = _fetch_newest(store, copies, work, warn)
            _begin_generation(file, restored_copy, generation, claim_id, by_hand_over=hand_over is not None)
            kept = install_database(file, path, replaces=exists)
            return Restored(restored_copy, generation, kept)
        except BaseException:
            if hand_over is not None:
                withdraw_claim(store, generation, warn)
            raise


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


def _find_candidates(store: Store, files: list[StoredFile], or_new: bool, before: float | None) -> list[Copy]:
    """Return the copies to choose from, the newest first; none only if a new database may be created."""
    copies = copies_among(files)
    if not copies:
        if not or_new:
            raise CannotStart(f"There is no backup at {store.url}.")
        _refuse_used_store(store, files)
        return []
    candidates = _made_until(before, copies)
    if not candidates:
        raise CannotStart(f"There is no backup that old at {store.url}.")
    # Checked now, before a running server is asked to hand over.
    _refuse_newer(candidates[0], candidates[0].schema)
    return candidates


def _refuse_used_store(store: Store, files: list[StoredFile]) -> None:
    """Raise CannotStart when a store without copies holds something else, or once had copies."""
    for file in files:
        if not file.name.startswith(generations.RECORDS_FOLDER):
            raise CannotStart(
                f"There is no backup at {store.url}, but something else ('{file.name}')."
                " Choose another place, or a directory in it."
            )
        generation = generations.generation_decided_in(file.name)
        if generation is not None and generations.find_decision(store, generation) == generations.TAKEN:
            raise CannotStart(
                f"{store.url} was in use, and all its backups are gone. To begin anew, choose another place."
            )


def _made_until(before: float | None, copies: list[Copy]) -> list[Copy]:
    return [copy for copy in copies if before is None or copy.at <= before]


def _fetch_newest(store: Store, copies: list[Copy], work: Path, warn: Warn) -> tuple[Copy, Path]:
    """Return the first copy that isn't broken, as a database file.

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
    raise CannotStart(f"There is no whole backup at {store.url}.")


def _fetch(store: Store, copy: Copy, work: Path) -> tuple[Path, Contents]:
    """Download, decompress and check a copy. Raises BrokenCopy."""
    packed = work / "copy.db.gz"
    plain = work / "copy.db"
    if not copy.is_complete:
        raise BrokenCopy(f"{copy.stored_size:,} of its {copy.size:,} bytes are there")
    if not store.download(copy.name, packed):
        raise BrokenCopy("it is gone")
    create_file(plain)
    try:
        with gzip.open(packed) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BrokenCopy(reason(error)) from None
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


def _begin_generation(
    file: Path, copy: Copy | None, generation: int, claim_id: str, *, by_hand_over: bool
) -> None:
    """Bring a restored file up to date, make it the first of a generation, and sync it to the disk."""
    if copy is not None and schema_of(file) != SCHEMA:
        upgrade_file(file, f"the backup {copy.name}")
    facts = facts_of_new_generation(generation, claim_id, by_hand_over)
    with closing(sqlite3.connect(file)) as db:
        with db:
            db.executemany(SET_FACT, [{"name": name, "value": value} for name, value in facts.items()])
        db.execute("PRAGMA journal_mode = DELETE")  # keeps everything in one file
    fsync(file)
