"""Making a copy of a database that may be in use, and storing it."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from app.backup import masters
from app.backup.copies import (
    DAILY,
    Copy,
    copies_among,
    format_time,
    last_sequence,
    list_copies,
    remove_old_copies,
    store_copy,
)
from app.backup.environment import check_environment, environment_of
from app.backup.errors import AlreadyStored, BrokenCopy
from app.backup.files import CHUNK_BYTES, working_directory
from app.backup.identity import (
    NEW,
    continue_after_sequence,
    new_nonce,
    next_sequence,
    read_memory,
    remember_holder,
    shop_of,
    term_of,
    write_memory,
)
from app.backup.inspection import inspect_database
from app.backup.last import store_last
from app.backup.lease import HELD, RELEASED, Entry
from app.backup.lease_log import LeaseLog, newest_entry_number
from app.backup.store import Store
from app.clock import DAY_S, now
from app.errors import CannotStart, reason_of
from app.storage.database import Database
from app.storage.facts import find_fact
from app.storage.schema import is_newer
from app.storage.sqlite import SqliteEngine
from app.storage.upgrade import schema_of


@contextmanager
def take_snapshot(path: Path, term: int, sequence: int) -> Iterator[tuple[Copy, Path]]:
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
        copy = Copy(term, sequence, at, contents.schema, contents.tickets, size=size, stored_size=size)
        yield copy, packed


def back_up(path: Path, store: Store) -> Copy | None:
    """Back up a database, whether or not a server writes to it, and return the copy.

    Returns None when this is the database of a standby, which holds nothing of its own. An older database is
    not upgraded. Raises CannotStart.
    """
    # os.path.exists() is False, too, where the directory may not be read; path.exists() would raise.
    schema = schema_of(path) if os.path.exists(path) else None
    if schema is None:
        raise CannotStart(f"There is no database at {path} that could be backed up.")
    if is_newer(schema):
        raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")
    database = Database(SqliteEngine(path))
    try:
        began = not _is_used(store)
        term = _begin_first_term(path, store, database) if began else _find_term(path, store, database)
        if term is None:
            return None
        database.write(continue_after_sequence, last_sequence(store, term))
        sequence = database.write(next_sequence)
        with take_snapshot(path, term, sequence) as (snapshot, file):
            copy = store_copy(store, snapshot, file)
            if not _has_daily_copy(store, copy.at):
                # Without a server that stores daily copies, all copies would be gone after two days.
                store_copy(store, snapshot, file, DAILY)
                store_last(store, snapshot, file)
        if began:
            _release_first_term(store, copy)
        remove_old_copies(store)
        return copy
    except database.engine.errors as error:
        raise CannotStart(f"The backup of {path} failed: {reason_of(error)}.") from None
    finally:
        database.close()


def _find_term(path: Path, store: Store, database: Database) -> int | None:
    """Return the term under which this database may store copies; None when it is that of a standby.

    Raises CannotStart when the store belongs to another database, or another server has taken over.
    """
    with database.read() as db:
        memory, term, shop = read_memory(db), term_of(db), shop_of(db)
        is_new = find_fact(db, "backup_same_as") == NEW
    _, entry = LeaseLog(store).newest()
    if entry is not None:
        check_environment(store, entry, environment_of(path.parent), "")
        if entry.shop and entry.shop != shop and not is_new:
            raise other_shop(store)
        if entry.holder in (*memory.holders, memory.next_holder):
            return term
        if memory.is_own or memory.holders:
            raise CannotStart(
                "Another server has taken over, so this database is out of date: it was not backed up."
                " To continue with the newest backup: restore --replace."
            )
        return None
    files = store.list_files()
    if masters.has_masters(files):
        with database.read() as db:
            generation = masters.owned_generation(store, files, db)
        if generation is not None:
            return generation  # its server acquires the lease when it is updated
    raise other_shop(store)


def _is_used(store: Store) -> bool:
    """Return True when a store has copies, or a server keeps or kept its copies there."""
    files = store.list_files()
    return bool(newest_entry_number(files) or copies_among(files) or masters.has_masters(files))


def _begin_first_term(path: Path, store: Store, database: Database) -> int:
    """Acquire the lease in a store that was not used yet."""
    nonce = new_nonce()
    with database.read() as db:
        shop = shop_of(db)
    database.write(write_memory, {"next_holder": nonce})
    try:
        LeaseLog(store).create(
            1, Entry(HELD, nonce, nonce, environment=environment_of(path.parent), shop=shop)
        )
    except AlreadyStored:
        stored = LeaseLog(store).read(1)
        if stored is None or stored.holder != nonce:  # otherwise only the answer was lost
            raise other_shop(store) from None
    database.write(remember_holder, nonce, 1)
    return 1


def _release_first_term(store: Store, copy: Copy) -> None:
    """Release the lease that _begin_first_term() has acquired, so that another machine can go on at once."""
    log = LeaseLog(store)
    number, entry = log.newest()
    if number == 1 and entry is not None:
        with suppress(AlreadyStored):  # a server was started meanwhile
            log.create(2, replace(entry, state=RELEASED, last=copy.name))


def other_shop(store: Store) -> CannotStart:
    """Return the reason why a database can't be backed up where another one is."""
    return CannotStart(
        f"The backups at {store.url} belong to another database: restore it,"
        " or choose another place for backups."
    )


def keep_beside(path: Path) -> None:
    """Copy a database that is about to be replaced to a file beside it."""
    kept = path.with_name(f"{path.name}.before-restore-{format_time(now())}")
    _copy_database(path, kept)


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
