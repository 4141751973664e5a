"""Making a copy of a database that may be in use, and storing it."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.backup.copies import DAILY, DAY_S, Copy, last_sequence, list_copies, remove_old_copies, store_copy
from app.backup.errors import BrokenCopy, reason
from app.backup.files import CHUNK_BYTES, working_directory
from app.backup.generations import become_master
from app.backup.identity import continue_after_sequence, ensure_identity, next_sequence
from app.backup.inspection import inspect_database
from app.backup.store import Store
from app.clock import now
from app.errors import CannotStart
from app.storage.database import Database
from app.storage.upgrade import is_newer, schema_of


@contextmanager
def take_snapshot(path: Path, generation: int, sequence: int) -> Iterator[tuple[Copy, Path]]:
    """Make a checked, compressed copy of a database, also while it is written to.

    Yields the copy's description and its file, which is removed in the end. Raises CannotStart when the
    database is damaged or the disk is full.
    """
    with working_directory(path.parent, f"The backup of {path} failed") as work:
        plain = work / "copy.db"
        packed = work / "copy.db.gz"
        _copy_database(path, plain)
        at = int(now())
        with ThreadPoolExecutor(1) as executor:
            # At the same time: checking takes twice as long as compressing.
            compression = executor.submit(_compress, plain, packed)
            try:
                contents = inspect_database(plain)
            except BrokenCopy as error:
                raise CannotStart(f"{path} is damaged: {error}. Restore a backup.") from None
            compression.result()
        plain.unlink()
        size = packed.stat().st_size
        copy = Copy(generation, sequence, at, contents.schema, contents.tickets, size=size, stored_size=size)
        yield copy, packed


def back_up(path: Path, store: Store) -> Copy:
    """Back up a database, whether or not a server writes to it, and return the copy.

    An older database is not upgraded. Raises CannotStart.
    """
    # os.path.exists() is False, too, where the directory may not be read; path.exists() would raise.
    schema = schema_of(path) if os.path.exists(path) else None
    if schema is None:
        raise CannotStart(f"There is no database at {path} that could be backed up.")
    if is_newer(schema):
        raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")
    database = Database(path)
    try:
        identity = database.write(ensure_identity)
        become_master(store, identity)
        database.write(continue_after_sequence, last_sequence(store, identity.generation))
        sequence = database.write(next_sequence)
        with take_snapshot(path, identity.generation, sequence) as (snapshot, file):
            copy = store_copy(store, snapshot, file)
            if not _has_daily_copy(store, copy.at):
                # Without a server that stores daily copies, all copies would be gone after two days.
                store_copy(store, snapshot, file, DAILY)
        remove_old_copies(store)
        return copy
    except SQLAlchemyError as error:
        raise CannotStart(f"The backup of {path} failed: {reason(error)}.") from None
    finally:
        database.close()


def _has_daily_copy(store: Store, at: float) -> bool:
    """Return True when a daily copy was made in the day before `at`."""
    return any(0 <= at - copy.at < DAY_S for copy in list_copies(store, DAILY))


def _copy_database(path: Path, target: Path) -> None:
    if not path.exists():
        raise CannotStart(f"{path} is gone: stop the server, restore a backup, and start it again.")
    # mode=rw: a missing file is an error. An empty one, created on the fly, would be taken for the shop.
    url = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(url, uri=True)) as source, closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # after a power cut, the copy is thrown away anyway
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # keeps everything in one file


def _compress(source: Path, target: Path) -> None:
    # mtime=0: equal databases become equal files.
    with source.open("rb") as plain, gzip.GzipFile(target, "wb", compresslevel=1, mtime=0) as packed:
        shutil.copyfileobj(plain, packed, CHUNK_BYTES)
