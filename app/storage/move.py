"""Moving a shop from its SQLite file to PostgreSQL, and back.

The source isn't changed, only marked as moved in the end. The target is filled in one transaction, or in a
file that gets its name in the end. So a move that is interrupted changes nothing.
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
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql as psql

from app.errors import CannotStart
from app.storage.facts import SET_FACT
from app.storage.moving import marked, set_moved, was_moved
from app.storage.postgres import MOVE_LOCK, MOVED_FACT, UPGRADE_LOCK, connect
from app.storage.postgres_upgrade import check_server, create
from app.storage.postgres_upgrade import schema_of as schema_of_postgres
from app.storage.private import create_directory
from app.storage.schema import SCHEMA, metadata
from app.storage.upgrade import create_database, schema_of

CHUNK = 2000  # rows
TABLES = metadata.sorted_tables
ESCAPED = str.maketrans(
    {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
)
BUSY_S = 30.0


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    rows: dict[str, int]  # of each table
    paused_s: float  # for how long nothing could be stored


def move_to_postgresql(path: Path, url: str) -> Moved:
    """Copy a SQLite file into an empty PostgreSQL database. Raises CannotStart, and leaves both unchanged.

    A server that runs on the file refuses writes meanwhile, and afterwards.
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
        # Most of it is there. From here on nothing is stored, and only what changed meanwhile is copied.
        with marked(path) as mark, closing(_open(path)) as source:
            began = time.monotonic()
            _wait_for_writer(source)
            source.execute("BEGIN")
            rows = _copy_changes(source, target, copied)
            _continue_ids(target, dict(source.execute("SELECT name, seq FROM sqlite_sequence")))
            _renew_epoch(target)
            _let_references_wait(target, "NOT DEFERRABLE")
            target.execute("COMMIT")
            set_moved(mark)
            paused_s = time.monotonic() - began
    return Moved(rows, paused_s)


def move_to_sqlite(url: str, path: Path) -> Moved:
    """Copy a PostgreSQL database into a new SQLite file. Raises CannotStart, and leaves both unchanged.

    Servers that use the database refuse writes meanwhile, and afterwards.
    """
    check_server(url)
    create_directory(path.parent)
    old = path.exists()
    if old and not was_moved(path):
        raise CannotStart(f"There is a database at {path} already. Choose another data directory.")
    part = path.with_name(f"{path.name}.part")
    _remove(part)
    with _errors(), closing(connect(url)) as source:
        if schema_of_postgres(source) != SCHEMA:
            raise CannotStart("The database there is empty or of another version, so it was left as it was.")
        create_database(part).close()
        began = time.monotonic()
        source.execute("SELECT pg_advisory_lock(%s, 0)", [MOVE_LOCK])  # waits for writes that have begun
        source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with closing(sqlite3.connect(part, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")  # the file is stored below, as a whole
            target.execute("BEGIN")
            target.execute("DELETE FROM fact")
            rows = {table.name: _copy_out(source, target, table) for table in TABLES}
            for table, (number, digest) in rows.items():
                _verify(table, number, digest, *_digest_of_file(target, metadata.tables[table]))
            _continue_ids_of_file(source, target)
            target.execute(SET_FACT, {"name": "epoch", "value": secrets.token_hex(16)})
            target.execute("DELETE FROM fact WHERE name = ?", [MOVED_FACT])
            target.execute("COMMIT")
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _store(part)
        if old:
            os.replace(path, path.with_name(f"{path.name}.before-move"))
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        source.execute("INSERT INTO fact (name, value) VALUES (%s, '1')", [MOVED_FACT])
        source.execute("COMMIT")
        os.replace(part, path)
        path.with_name(f"{path.name}.moving").unlink(missing_ok=True)
        paused_s = time.monotonic() - began
    return Moved({name: number for name, (number, _) in rows.items()}, paused_s)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, sqlite3.Error, OSError, sa.exc.SQLAlchemyError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise CannotStart(f"Moving failed, and nothing was changed: {reason}.") from error


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


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)


def _wait_for_writer(source: sqlite3.Connection) -> None:
    """Return when the transactions that began before the mark was there have ended."""
    source.execute("BEGIN IMMEDIATE")
    source.execute("COMMIT")


def _columns(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _line(row: Iterable[Any]) -> str:
    return "\t".join(map(_text, row)) + "\n"


def _text(value: Any) -> str:
    """Return a value as PostgreSQL writes it in the text format of COPY."""
    if value is None:
        return r"\N"
    if isinstance(value, str):
        return value.translate(ESCAPED)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    return str(value)


def _float_text(value: float) -> str:
    if abs(value) >= 1e15:
        digits, exponent = f"{value:.16e}".split("e") if "e" not in repr(value) else repr(value).split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{exponent}"
    return repr(value).removesuffix(".0")


def _lines(rows: Iterable[tuple[Any, ...]], digest: Any) -> Iterator[tuple[int, bytes]]:
    """Yield rows in chunks, in the text format of COPY, and add them to a hash."""
    chunk: list[str] = []
    for row in rows:
        chunk.append(_line(row))
        if len(chunk) == CHUNK:
            yield _encoded(chunk, digest)
            chunk = []
    if chunk:
        yield _encoded(chunk, digest)


def _encoded(chunk: list[str], digest: Any) -> tuple[int, bytes]:
    content = "".join(chunk).encode()
    digest.update(content)
    return len(chunk), content


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
    with target.cursor() as cursor, cursor.copy(_copy_statement(table)) as copy:
        rows = source.execute(_select_statement(table))
        while chunk := rows.fetchmany(CHUNK):
            hashes.update((row[0], hash(row)) for row in chunk)
            content = "".join(map(_line, chunk)).encode()
            digest.update(content)
            copy.write(content)
    _verify(table.name, len(hashes), digest.hexdigest(), *_digest_of(target, table))
    return hashes


def _copy_changes(
    source: sqlite3.Connection, target: psycopg.Connection[Any], copied: dict[str, dict[int, int]]
) -> dict[str, int]:
    """Copy what changed since, and compare it. Returns how many rows each table has now."""
    totals: dict[str, int] = {}
    changes: list[tuple[sa.Table, dict[int, str]]] = []
    target.execute("SET CONSTRAINTS ALL DEFERRED")
    for table in TABLES:
        hashes, total = copied[table.name], 0
        fresh: dict[int, str] = {}  # lines by their ids
        rows = source.execute(_select_statement(table))
        while chunk := rows.fetchmany(CHUNK):
            total += len(chunk)
            fresh.update((row[0], _line(row)) for row in chunk if hashes.pop(row[0], None) != hash(row))
        erased = [*hashes]
        target.execute(
            psql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(psql.Identifier(table.name)),
            [[*erased, *fresh]],
        )
        changes.append((table, fresh))
        totals[table.name] = total
    for table, fresh in changes:
        with target.cursor() as cursor, cursor.copy(_copy_statement(table)) as copy:
            copy.write("".join(fresh.values()))
        lines = "".join(fresh.values()).encode()
        digest = hashlib.sha256(lines).hexdigest()
        _verify(table.name, len(fresh), digest, *_digest_of(target, table, [*fresh]))
        number = target.execute(
            psql.SQL("SELECT count(*) FROM {}").format(psql.Identifier(table.name))
        ).fetchone()
        _verify(table.name, totals[table.name], "", number[0] if number else 0, "")
    target.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return totals


def _select_statement(table: sa.Table) -> str:
    return f'SELECT {_columns(table)} FROM "{table.name}" ORDER BY id'


def _copy_statement(table: sa.Table) -> str:
    return f'COPY "{table.name}" ({_columns(table)}) FROM STDIN'


def _digest_of(
    target: psycopg.Connection[Any], table: sa.Table, ids: list[int] | None = None
) -> tuple[int, str]:
    """Return how many rows a table has in PostgreSQL, and their hash; with `ids`, of these rows."""
    digest, total = hashlib.sha256(), 0
    condition = psql.SQL("") if ids is None else psql.SQL("WHERE id = ANY({})").format(psql.Literal(ids))
    statement = psql.SQL("COPY (SELECT {} FROM {} {} ORDER BY id) TO STDOUT").format(
        psql.SQL(", ").join(psql.Identifier(column.name) for column in table.columns),
        psql.Identifier(table.name),
        condition,
    )
    with target.cursor() as cursor, cursor.copy(statement) as copy:
        for content in copy:
            digest.update(content)
            total += bytes(content).count(b"\n")
    return total, digest.hexdigest()


def _copy_out(
    source: psycopg.Connection[Any], target: sqlite3.Connection, table: sa.Table
) -> tuple[int, str]:
    """Copy a table to SQLite. Returns how many rows it has, and their hash."""
    digest, total = hashlib.sha256(), 0
    marks = ", ".join("?" for _ in table.columns)
    with source.cursor(name="move") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(f'SELECT {_columns(table)} FROM "{table.name}" ORDER BY id')
        while rows := cursor.fetchmany(CHUNK):
            digest.update("".join(map(_line, rows)).encode())
            total += len(rows)
            target.executemany(f'INSERT INTO "{table.name}" ({_columns(table)}) VALUES ({marks})', rows)
    return total, digest.hexdigest()


def _digest_of_file(target: sqlite3.Connection, table: sa.Table) -> tuple[int, str]:
    digest = hashlib.sha256()
    rows = target.execute(f'SELECT {_columns(table)} FROM "{table.name}" ORDER BY id')
    return sum(number for number, _ in _lines(rows, digest)), digest.hexdigest()


def _verify(table: str, number: int, digest: str, copied: int, copied_digest: str) -> None:
    if (number, digest) != (copied, copied_digest):
        raise CannotStart(
            f"Moving failed, and nothing was changed: of {number} rows in the table '{table}', {copied}"
            " arrived, or not all are the same."
        )


def _continue_ids(target: psycopg.Connection[Any], last_ids: dict[str, int]) -> None:
    """Let new rows have ids that no row had before."""
    for table in TABLES:
        if last_ids.get(table.name):
            target.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table.name, last_ids[table.name]]
            )


def _continue_ids_of_file(source: psycopg.Connection[Any], target: sqlite3.Connection) -> None:
    for table in TABLES:
        row = source.execute(
            "SELECT last_value FROM pg_sequences WHERE sequencename = %s AND schemaname = current_schema()",
            [f"{table.name}_id_seq"],
        ).fetchone()
        last_id = row[0] if row and row[0] else 0
        target.execute("DELETE FROM sqlite_sequence WHERE name = ?", [table.name])
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [table.name, last_id])


def _renew_epoch(target: psycopg.Connection[Any]) -> None:
    """Let pages take what comes from here for newer than what they have."""
    target.execute("UPDATE fact SET value = %s WHERE name = 'epoch'", [secrets.token_hex(16)])
    target.execute("DELETE FROM fact WHERE name = %s", [MOVED_FACT])


def _store(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
