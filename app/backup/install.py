"""Putting a restored file in the place of the database.

A process that is killed at any moment leaves either the old database or the new one, complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.backup.copies import format_time
from app.backup.inspection import error_code
from app.clock import now
from app.errors import CannotStart
from app.storage.condition import DAMAGE_CODES
from app.storage.files import SIDE_FILES, fsync

LOCK_TIMEOUT_S = 1
# SQLite's bytes for locks of readers: SHARED_FIRST and SHARED_SIZE in its os.h.
READER_LOCK_START, READER_LOCK_BYTES = 0x40000002, 510


@contextmanager
def exclusive_access(path: Path) -> Iterator[None]:
    """Keep all other processes from opening an existing database file.

    Meanwhile the file contains everything, also what was in its WAL. Raises CannotStart when it is in use.
    """
    in_use = CannotStart(f"{path} is in use: stop the server first.")
    with ExitStack() as stack:
        db = sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT_S)
        stack.callback(db.close)
        try:
            if db.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
                raise in_use
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            # Close it before the file is opened again: closing drops all locks that this process has on it.
            db.close()
            if error_code(error) == sqlite3.SQLITE_BUSY:
                raise in_use from None
            if error_code(error) not in DAMAGE_CODES:
                raise
            # SQLite can't tell who reads a damaged file, so try to get the lock that a reader would have.
            file = stack.enter_context(path.open("r+b"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, READER_LOCK_BYTES, READER_LOCK_START)
            except OSError:
                raise in_use from None
        yield


def install_database(file: Path, path: Path, *, replaces: bool) -> Path | None:
    """Make a file the database, by one rename or link, and return where the old database is kept.

    `replaces` is True when the caller has exclusive access to an old database. Otherwise, if there is one
    now, somebody else made it and may be using it: then CannotStart is raised.
    """
    if path.exists() and not replaces:
        raise _made_by_somebody_else(path)
    _copy_owner_and_mode(file, path if replaces else path.parent, mode=replaces)
    kept = _keep_beside(path) if replaces else None
    for ending in SIDE_FILES:
        # They belong to another database, and would damage this one.
        path.with_name(path.name + ending).unlink(missing_ok=True)
    fsync(path.parent)
    if replaces:
        file.replace(path)
    else:
        _rename_to_unused(file, path)
    fsync(path.parent)
    return kept


def _made_by_somebody_else(path: Path) -> CannotStart:
    return CannotStart(f"There is a database at {path} now, that somebody else made.")


def _copy_owner_and_mode(file: Path, model: Path, *, mode: bool) -> None:
    status = model.stat()
    if os.geteuid() == 0:
        # A server that runs as another user must be able to write it.
        os.chown(file, status.st_uid, status.st_gid)
    if mode:
        file.chmod(stat.S_IMODE(status.st_mode))


def _keep_beside(path: Path) -> Path:
    """Give the old database a second name. The first stays until the new database takes it."""
    name = f"{path.name}.before-restore-{format_time(now())}"
    kept = path.with_name(name)
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{name}-{number}")
    for ending in ("", "-wal"):  # a damaged database still has its WAL
        source = path.with_name(path.name + ending)
        target = kept.with_name(kept.name + ending)
        if source.exists():
            _link_or_copy(source, target)
    return kept


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
        fsync(target)


def _rename_to_unused(file: Path, path: Path) -> None:
    try:
        os.link(file, path)
    except FileExistsError:
        raise _made_by_somebody_else(path) from None
    except OSError:  # a file system without hard links
        file.rename(path)
