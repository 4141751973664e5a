"""The condition of a database file: whether it is still there and undamaged, and whether the disk is full."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 64 * 1024  # a server with less room than this could store next to nothing

Identity = tuple[int, int]


def identity_of(path: Path) -> Identity | None:
    """Return what tells a file from another one of the same name, or None when there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_damage(error: BaseException | None) -> bool:
    """Return True for an error by which SQLite says that the file is damaged."""
    error = getattr(error, "orig", None) or error  # SQLAlchemy wraps that of opening a file
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in DAMAGE_CODES or code == sqlite3.SQLITE_IOERR_SHORT_READ


def is_doubtful(error: BaseException | None) -> bool:
    """Return True for an error that can only come from a file that is damaged or was emptied."""
    return is_damage(error) or (isinstance(error, sqlite3.Error) and "no such table" in str(error))


def find_damage(path: Path) -> str | None:
    """Return what is damaged in a database file, as the end of a sentence, or None.

    Raises sqlite3.Error when the file can't be read now.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    if tables == 0:
        return "it is empty"
    return None if result == "ok" else str(result).splitlines()[-1]


def has_room(directory: Path) -> bool:
    """Return False when nothing more can be written to a directory. Raises OSError for other reasons."""
    probe = directory / ".writable"
    try:
        with probe.open("wb") as file:
            file.write(b"\0" * PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in NO_ROOM:
            return False
        raise
    finally:
        with suppress(OSError):
            probe.unlink()
    return True
