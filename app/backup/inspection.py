"""Checking a database file before it is stored, and before it is restored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.backup.errors import BrokenCopy
from app.storage.condition import DAMAGE_CODES

OUR_TABLES = {"alembic_version", "ticket", "event", "fact"}  # in every version of the schema


@dataclass(frozen=True)
class Contents:
    """What a database file contains."""

    schema: str
    tickets: int


def inspect_database(file: Path) -> Contents:
    """Check a database file from end to end, and return what it contains. Raises BrokenCopy."""
    try:
        with closing(sqlite3.connect(file)) as db:
            (result,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise BrokenCopy(result.splitlines()[-1])
            if db.execute("PRAGMA foreign_key_check").fetchone():
                raise BrokenCopy("it holds rows that belong to nothing")
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                raise BrokenCopy("it is empty")
            if not tables >= OUR_TABLES:
                raise BrokenCopy("it is no database of Take A Number")
            (schema,) = db.execute("SELECT max(version_num) FROM alembic_version").fetchone()
            (tickets,) = db.execute("SELECT count(*) FROM ticket").fetchone()
            return Contents(schema, tickets)
    except sqlite3.DatabaseError as error:
        # SQLITE_ERROR: it has our tables, but other columns.
        if error_code(error) in (*DAMAGE_CODES, sqlite3.SQLITE_ERROR):
            raise BrokenCopy(str(error)) from None
        raise


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary error code, or 0 for an error that Python raised by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
