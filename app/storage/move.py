"""Moving a shop from its SQLite file to PostgreSQL, and back.

Most rows are copied and compared while the shop goes on. Then writes pause, and what changed meanwhile is
copied and compared. The source isn't changed, only marked as moved in the end. The target is filled in one
transaction, or in a file that gets its name in the end. So a move that is interrupted changes nothing; or, if
that happens between the mark and the new name of the file, the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql as psql

from app.errors import CannotStart, reason_of
from app.storage.copy_text import id_of, line_of, row_of
from app.storage.facts import SET_FACT
from app.storage.files import SIDE_FILES, fsync
from app.storage.move_mark import mark_of, marked, set_moved, was_moved
from app.storage.postgres import MOVE_LOCK, MOVED_FACT, MOVES, UPGRADE_LOCK, WRITES, connect
from app.storage.postgres_upgrade import check_server, create
from app.storage.postgres_upgrade import schema_of as schema_of_postgres
from app.storage.private import create_directory
from app.storage.schema import SCHEMA, metadata
from app.storage.upgrade import create_database, schema_of

CHUNK = 2000  # rows
TABLES = metadata.sorted_tables
BUSY_S = 30.0


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    rows: dict[str, int]  # of each table
    paused_s: float  # for how long nothing could be stored


def move_to_postgresql(path: Path, url: str) -> Moved:
    """Copy a SQLite file into an empty PostgreSQL database. Raises CannotStart, and leaves both unchanged.

    A server that runs on the file refuses writes during the second part, and afterwards.
    """
    schema = schema_of(path) if path.exists() else None
    if was_moved(path):
        raise CannotStart(f"{path} was moved already. Start with TAKEANUMBER_DATABASE_URL.")
    if schema is None:
        raise CannotStart(f"There is no database at {path}.")
    if schema != SCHEMA:
        raise CannotStart(f"{path} is of another version. Start the server once to bring it up to date.")
    check_server(url)
    with _errors(), closing(connect(url)) as target:
        target.execute("BEGIN")
        target.execute("SELECT pg_advisory_xact_lock(%s, 0)", [UPGRADE_LOCK])
        _prepare(target)
        with closing(_open(path)) as source:
            _let_references_wait(target, "DEFERRABLE")
            source.execute("BEGIN")
            copied = {table.name: _copy_in(source, target, table) for table in TABLES}
            source.execute("COMMIT")
        with marked(path) as mark, closing(_open(path)) as source:
            began = time.monotonic()
            _wait_for_writer(source)
            source.execute("BEGIN")
            rows = _copy_changes_in(source, target, copied)
            _continue_ids(target, dict(source.execute("SELECT name, seq FROM sqlite_sequence")))
            _renew_epoch(target)
            _let_references_wait(target, "NOT DEFERRABLE")
            target.execute("COMMIT")
            set_moved(mark)
            paused_s = time.monotonic() - began
    return Moved(rows, paused_s)


def move_to_sqlite(url: str, path: Path) -> Moved:
    """Copy a PostgreSQL database into a new SQLite file. Raises CannotStart, and leaves both unchanged.

    Servers that use the database refuse writes during the second part, and afterwards.
    """
    check_server(url)
    create_directory(path.parent)
    part = path.with_name(f"{path.name}.part")
    with _errors(), closing(connect(url)) as source:
        if schema_of_postgres(source) != SCHEMA:
            raise CannotStart("The database there is empty or of another version, so it was left as it was.")
        if not _lock(source, MOVES):
            raise CannotStart(
                "The database there is being moved by another command. Wait until that is done."
            )
        moved_as = _moved_as(source)
        if moved_as is not None:
            return _finish_move_to_sqlite(part, path, moved_as)
        if path.exists() and not was_moved(path):
            raise CannotStart(f"There is a database at {path} already. Choose another data directory.")
        _remove(part)
        create_database(part).close()
        with closing(_open(part)) as target:
            target.execute("PRAGMA synchronous = OFF")  # the file is stored below, as a whole
            target.execute("BEGIN")
            target.execute("DELETE FROM fact")
            source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            copied = {table.name: _copy_out(source, target, table) for table in TABLES}
            source.execute("COMMIT")
            target.execute("COMMIT")
            _store(target, part)
            began = time.monotonic()
            source.execute("SELECT pg_advisory_lock(%s, %s)", [MOVE_LOCK, WRITES])  # waits for writers
            source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            target.execute("BEGIN")
            rows = _copy_changes_out(source, target, copied)
            _continue_ids_of_file(source, target)
            epoch = secrets.token_hex(16)
            target.execute(SET_FACT, {"name": "epoch", "value": epoch})
            target.execute("COMMIT")
            _store(target, part)
        with _end_of_move():
            # From here on the file is the shop.
            source.execute("INSERT INTO fact (name, value) VALUES (%s, %s)", [MOVED_FACT, epoch])
            source.execute("COMMIT")
            _give_name(part, path)
        paused_s = time.monotonic() - began
    return Moved(rows, paused_s)


def _finish_move_to_sqlite(part: Path, path: Path, epoch: str) -> Moved:
    """Finish a move that was interrupted after the database was marked as moved: give the file its name."""
    if part.exists() and _epoch_of(part) == epoch:
        _give_name(part, path)
    elif not path.exists() or _epoch_of(path) != epoch:
        raise CannotStart("The database there was moved to a SQLite file already. Use that one.")
    mark_of(path).unlink(missing_ok=True)
    with closing(_open(path)) as file:
        return Moved({table.name: _count_in_file(file, table) for table in TABLES}, 0.0)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, sqlite3.Error, OSError, sa.exc.SQLAlchemyError) as error:
        raise CannotStart(f"Moving failed, and nothing was changed: {reason_of(error)}.") from error


@contextmanager
def _end_of_move() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, OSError) as error:
        raise CannotStart(
            f"The end of the move failed: {reason_of(error)}. Give the same command again."
        ) from error


# ----- to PostgreSQL


def _prepare(target: psycopg.Connection[Any]) -> None:
    """Create the tables, unless they are there and empty."""
    schema = schema_of_postgres(target)
    if schema is None:
        create(target)
    elif schema != SCHEMA:
        raise CannotStart("The database there is of another version. Move to an empty one.")
    elif target.execute("SELECT 1 FROM place LIMIT 1").fetchone():
        raise CannotStart("The database there holds places already. Move to an empty one.")
    # The events of a server that only started there, and its facts.
    for table in reversed(TABLES):
        target.execute(psql.SQL("DELETE FROM {}").format(psql.Identifier(table.name)))


def _wait_for_writer(source: sqlite3.Connection) -> None:
    """Return when the transactions that began before the mark was there have ended."""
    source.execute("BEGIN IMMEDIATE")
    source.execute("COMMIT")


def _let_references_wait(target: psycopg.Connection[Any], how: str) -> None:
    """Let foreign keys be checked at the end, so that rows can be replaced; or at once, as usual."""
    statement = """SELECT format('ALTER TABLE %s ALTER CONSTRAINT %I ', conrelid::regclass, conname)
                   FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"""
    for (alter,) in target.execute(statement).fetchall():
        target.execute(alter + how)


def _copy_in(source: sqlite3.Connection, target: psycopg.Connection[Any], table: sa.Table) -> dict[int, int]:
    """Copy a table to PostgreSQL, and compare the two. Returns a hash of each row by its id."""
    hashes: dict[int, int] = {}
    digest = hashlib.sha256()
    with target.cursor() as cursor, cursor.copy(_copy_in_statement(table)) as copy:
        for chunk in _rows_of_file(source, table):
            hashes.update((row[0], _hash_of(row)) for row in chunk)
            content = "".join(map(line_of, chunk)).encode()
            digest.update(content)
            copy.write(content)
    _verify(table, len(hashes), digest.hexdigest(), *_digest_of(_lines_of(target, table)))
    return hashes


def _copy_changes_in(
    source: sqlite3.Connection, target: psycopg.Connection[Any], copied: dict[str, dict[int, int]]
) -> dict[str, int]:
    """Copy what changed since, and compare it. Returns how many rows each table has now."""
    totals: dict[str, int] = {}
    changes: list[tuple[sa.Table, dict[int, bytes]]] = []
    target.execute("SET CONSTRAINTS ALL DEFERRED")
    for table in TABLES:
        hashes, total = copied[table.name], 0
        fresh: dict[int, bytes] = {}  # lines by their ids
        for chunk in _rows_of_file(source, table):
            total += len(chunk)
            changed = [row for row in chunk if hashes.pop(row[0], None) != _hash_of(row)]
            fresh.update((row[0], line_of(row).encode()) for row in changed)
        erased = [*hashes]
        target.execute(
            psql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(psql.Identifier(table.name)),
            [[*erased, *fresh]],
        )
        changes.append((table, fresh))
        totals[table.name] = total
    for table, fresh in changes:
        with target.cursor() as cursor, cursor.copy(_copy_in_statement(table)) as copy:
            copy.write(b"".join(fresh.values()))
        _verify(table, *_digest_of(fresh.values()), *_digest_of(_lines_of(target, table, [*fresh])))
        number = target.execute(
            psql.SQL("SELECT count(*) FROM {}").format(psql.Identifier(table.name))
        ).fetchone()
        _verify(table, totals[table.name], "", number[0] if number else 0, "")
    target.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return totals


def _hash_of(row: tuple[Any, ...]) -> int:
    """Return a hash by which a row is compared with an older state of it."""
    return hash(repr(row) if -2 in row else row)  # -1 and -2 have the same hash


def _copy_in_statement(table: sa.Table) -> str:
    return f'COPY "{table.name}" ({_columns(table)}) FROM STDIN'


def _continue_ids(target: psycopg.Connection[Any], last_ids: dict[str, int]) -> None:
    """Let new rows have ids that no row had before."""
    for table in TABLES:
        if last_ids.get(table.name):
            target.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table.name, last_ids[table.name]]
            )


def _renew_epoch(target: psycopg.Connection[Any]) -> None:
    """Let pages take what comes from here for newer than what they have."""
    target.execute("UPDATE fact SET value = %s WHERE name = 'epoch'", [secrets.token_hex(16)])
    target.execute("DELETE FROM fact WHERE name = %s", [MOVED_FACT])


# ----- to SQLite


def _lock(source: psycopg.Connection[Any], number: int) -> bool:
    row = source.execute("SELECT pg_try_advisory_lock(%s, %s)", [MOVE_LOCK, number]).fetchone()
    return row == (True,)


def _moved_as(source: psycopg.Connection[Any]) -> str | None:
    """Return the epoch of the file that a database was moved to, None if it was not moved."""
    row = source.execute("SELECT value FROM fact WHERE name = %s", [MOVED_FACT]).fetchone()
    return None if row is None else str(row[0])


def _copy_out(source: psycopg.Connection[Any], target: sqlite3.Connection, table: sa.Table) -> dict[int, int]:
    """Copy a table to SQLite, and compare the two. Returns a hash of each line by the row's id."""
    hashes: dict[int, int] = {}
    digest = hashlib.sha256()
    lines = _lines_of(source, table)
    while chunk := list(islice(lines, CHUNK)):
        hashes.update((id_of(line), hash(line)) for line in chunk)
        digest.update(b"".join(chunk))
        _insert_into_file(target, table, chunk)
    copies = (line_of(row).encode() for rows in _rows_of_file(target, table) for row in rows)
    _verify(table, len(hashes), digest.hexdigest(), *_digest_of(copies))
    return hashes


def _copy_changes_out(
    source: psycopg.Connection[Any], target: sqlite3.Connection, copied: dict[str, dict[int, int]]
) -> dict[str, int]:
    """Copy what changed since, and compare it. Returns how many rows each table has now."""
    totals: dict[str, int] = {}
    for table in TABLES:
        hashes, total = copied[table.name], 0
        fresh: dict[int, bytes] = {}  # lines by their ids
        for line in _lines_of(source, table):
            total += 1
            row_id = id_of(line)
            if hashes.pop(row_id, None) != hash(line):
                fresh[row_id] = line
        target.executemany(
            f'DELETE FROM "{table.name}" WHERE id = ?', ((number,) for number in [*hashes, *fresh])
        )
        _insert_into_file(target, table, fresh.values())
        select = f'SELECT {_columns(table)} FROM "{table.name}" WHERE id = ?'
        copies = (line_of(target.execute(select, [number]).fetchone()).encode() for number in fresh)
        _verify(table, *_digest_of(fresh.values()), *_digest_of(copies))
        _verify(table, total, "", _count_in_file(target, table), "")
        totals[table.name] = total
    return totals


def _insert_into_file(target: sqlite3.Connection, table: sa.Table, lines: Iterable[bytes]) -> None:
    marks = ", ".join("?" for _ in table.columns)
    target.executemany(
        f'INSERT INTO "{table.name}" ({_columns(table)}) VALUES ({marks})',
        (row_of(line, table) for line in lines),
    )


def _count_in_file(file: sqlite3.Connection, table: sa.Table) -> int:
    return int(file.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0])


def _continue_ids_of_file(source: psycopg.Connection[Any], target: sqlite3.Connection) -> None:
    for table in TABLES:
        row = source.execute(
            "SELECT last_value FROM pg_sequences WHERE sequencename = %s AND schemaname = current_schema()",
            [f"{table.name}_id_seq"],
        ).fetchone()
        last_id = row[0] if row and row[0] else 0
        target.execute("DELETE FROM sqlite_sequence WHERE name = ?", [table.name])
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [table.name, last_id])


def _epoch_of(path: Path) -> str | None:
    with closing(_open(path)) as file:
        try:
            row = file.execute("SELECT value FROM fact WHERE name = 'epoch'").fetchone()
        except sqlite3.DatabaseError:
            return None
    return None if row is None else str(row[0])


def _store(file: sqlite3.Connection, path: Path) -> None:
    """Return when everything that was committed is in the file itself, and on the disk."""
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fsync(path)


def _give_name(part: Path, path: Path) -> None:
    """Put a finished file in its place. An older one, moved to PostgreSQL earlier, is kept beside it."""
    if path.exists():
        os.replace(path, path.with_name(f"{path.name}.before-move"))
    for suffix in SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(part, path)
    mark_of(path).unlink(missing_ok=True)
    fsync(path.parent)


def _remove(part: Path) -> None:
    for suffix in ("", *SIDE_FILES):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


# ----- both


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)


def _columns(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _rows_of_file(file: sqlite3.Connection, table: sa.Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table of a SQLite file in chunks, by their ids."""
    rows = file.execute(f'SELECT {_columns(table)} FROM "{table.name}" ORDER BY id')
    while chunk := rows.fetchmany(CHUNK):
        yield chunk


def _lines_of(db: psycopg.Connection[Any], table: sa.Table, ids: list[int] | None = None) -> Iterator[bytes]:
    """Yield the rows of a table in PostgreSQL as lines, by their ids; with `ids`, only these rows."""
    condition = psql.SQL("") if ids is None else psql.SQL("WHERE id = ANY({})").format(psql.Literal(ids))
    statement = psql.SQL("COPY (SELECT {} FROM {} {} ORDER BY id) TO STDOUT").format(
        psql.SQL(", ").join(psql.Identifier(column.name) for column in table.columns),
        psql.Identifier(table.name),
        condition,
    )
    with db.cursor() as cursor, cursor.copy(statement) as copy:
        for line in copy:  # the server sends each row in a message of its own
            yield bytes(line)


def _digest_of(lines: Iterable[bytes]) -> tuple[int, str]:
    """Return the number of lines, and their hash."""
    digest, total = hashlib.sha256(), 0
    for line in lines:
        digest.update(line)
        total += 1
    return total, digest.hexdigest()


def _verify(table: sa.Table, number: int, digest: str, copied: int, copied_digest: str) -> None:
    if (number, digest) != (copied, copied_digest):
        raise CannotStart(
            f"Moving failed, and nothing was changed: of {number} rows in the table '{table.name}', {copied}"
            " arrived, or not all are the same."
        )
