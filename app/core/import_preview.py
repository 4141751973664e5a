"""The preview of an import, before the owner agrees: its first rows, the refused ones, and remarks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.import_files import ImportFile
from app.core.sheets import PROBLEM
from app.storage.database import Database
from app.storage.sql import load_all, run

MAX_GROUPS = 50  # groups of equal remarks
MAX_EXAMPLES = 5  # rows of each
MAX_BATCH = 2000  # refused rows that are read at once


@dataclass(frozen=True)
class PreviewRow:
    """A staged row, completed with what is known of the contact that it changes."""

    row: int
    what: str
    why: str | None
    name: str | None
    phone: str | None
    email: str | None
    address: str | None
    notes: str | None
    tags: str | None
    reference: str | None
    timezone: str | None


@dataclass(frozen=True)
class RefusedRow:
    """A row that can't be stored, and why."""

    row: int
    why: str
    value: str | None  # the cell that is wrong


@dataclass(frozen=True)
class RemarkedRow:
    """A row that is stored, but that the owner should look at."""

    row: int
    remark: str
    why: str
    value: str


@dataclass(frozen=True)
class RemarkExample:
    """A row that a remark is about, and the cell."""

    row: int
    value: str
    sentence: str


@dataclass(frozen=True)
class RemarkGroup:
    """A remark that is about several rows."""

    why: str
    rows: int
    examples: list[RemarkExample]


def preview_rows(db: Connection, file: ImportFile, limit: int = 20) -> list[PreviewRow]:
    """Return the first rows of an import."""
    sql = """SELECT number AS row, what, why,
                    coalesce(import_row.name, contact.name) AS name,
                    coalesce(import_row.phone, contact.phone) AS phone,
                    coalesce(import_row.email, contact.email) AS email,
                    coalesce(import_row.address, contact.address) AS address,
                    coalesce(import_row.notes, contact.notes) AS notes,
                    coalesce(import_row.tags, contact.tags) AS tags,
                    coalesce(import_row.reference, contact.reference) AS reference,
                    coalesce(import_row.timezone, contact.timezone) AS timezone
             FROM import_row LEFT JOIN contact ON contact.id = import_row.contact
             WHERE import_file_id = :file ORDER BY number LIMIT :limit"""
    return load_all(PreviewRow, run(db, sql, file=file.id, limit=limit))


def remarked_rows(db: Connection, file: ImportFile, limit: int) -> list[RemarkedRow]:
    """Return the first remarks about rows that are stored."""
    sql = """SELECT number AS row, sentence AS remark, why, value FROM import_remark
             WHERE import_file_id = :file AND refused = 0 ORDER BY number, id LIMIT :limit"""
    return load_all(RemarkedRow, run(db, sql, file=file.id, limit=limit))


def remark_groups(db: Connection, file: ImportFile, *, refused: bool) -> list[RemarkGroup]:
    """Return the remarks about refused rows, or about those that are stored; the most frequent first."""
    sql = """SELECT why, count(*) AS rows FROM import_remark
             WHERE import_file_id = :file AND refused = :refused
             GROUP BY why ORDER BY count(*) DESC, min(number) LIMIT :limit"""
    groups = run(db, sql, file=file.id, refused=int(refused), limit=MAX_GROUPS).all()
    sql = """SELECT number AS row, value, sentence FROM import_remark
             WHERE import_file_id = :file AND refused = :refused AND why = :why
             ORDER BY number, id LIMIT :limit"""
    return [
        RemarkGroup(
            group.why,
            group.rows,
            load_all(
                RemarkExample,
                run(db, sql, file=file.id, refused=int(refused), why=group.why, limit=MAX_EXAMPLES),
            ),
        )
        for group in groups
    ]


def refused_rows(db: Connection, file: ImportFile, limit: int | None = None) -> list[RefusedRow]:
    """Return the rows that can't be stored, or the first of them."""
    sql = """SELECT number AS row, why, value FROM import_row WHERE import_file_id = :file AND what = 'refuse'
             ORDER BY number LIMIT :limit"""
    limit = file.refuse_rows if limit is None else limit
    return load_all(RefusedRow, run(db, sql, file=file.id, limit=limit))


def refused_headings(file: ImportFile) -> list[str]:
    """Return the headings of a download of refused rows, which can be uploaded again."""
    kept: dict[str, Any] = json.loads(file.layout or "{}")
    has_headings = kept.get("layout", {}).get("headings_row") is not None
    columns = kept.get("columns", [])
    names = [heading if has_headings else (field or heading) for heading, field, _ in columns]
    return names if names[:1] == [PROBLEM] else [PROBLEM, *names]


def refused_cells(database: Database, file: ImportFile) -> Iterator[list[list[str]]]:
    """Yield the rows that can't be stored in batches: why, then the cells as they came."""
    headings = refused_headings(file)
    is_download = json.loads(file.layout or "{}").get("columns", [[None]])[0][0] == PROBLEM
    sql = """SELECT number, why, cells FROM import_row
             WHERE import_file_id = :file AND what = 'refuse' AND number > :after
             ORDER BY number LIMIT :limit"""
    after = 0
    while True:
        with database.read() as db:
            rows = run(db, sql, file=file.id, after=after, limit=MAX_BATCH).all()
        if not rows:
            return
        batch = []
        for row in rows:
            cells: list[str] = json.loads(row.cells or "[]")
            problem = f"Row {row.number}: {row.why}"
            line = [problem, *(cells[1:] if is_download else cells)]
            batch.append([*line, *[""] * (len(headings) - len(line))])
        yield batch
        after = rows[-1].number
