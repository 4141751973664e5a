"""An import as it is stored: its row in the table import_file, and the text of its file.

The text is kept while the owner may still choose other columns: until the rows are stored, or for a day.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from app.core.columns import NAME_PARTS, Column
from app.core.models import Place
from app.core.places import find_place_for_owner
from app.core.sheets import Layout, Sheet, reopen_sheet
from app.errors import Conflict, NotFound
from app.storage.sql import insert, insert_returning, load, load_first, run

MAX_ERASED = 2000  # rows that one write erases
OUR_FAULT = "Something went wrong on our side. Nothing was stored; please try again."


@dataclass(frozen=True)
class ImportFile:
    """An import and the figures of its rows."""

    id: int
    place_id: int
    # "reading", then "ready", "unmapped" (the owner must choose the columns) or "failed", then "storing" and
    # "stored", or "discarded"
    state: str
    columns: str  # as stored; see column_fields
    why: str | None  # why it failed, or why its columns aren't clear
    rows: int  # of the file; 0 for contacts from a program, and until a spreadsheet is open
    read: int  # rows staged so far
    add_rows: int
    change_rows: int  # also counts rows in which nothing is new
    refuse_rows: int
    created_at: float
    layout: str | None  # how its text is read, as JSON

    @property
    def column_fields(self) -> dict[str, str | None]:
        """The field of a contact that each column is read as, by its heading."""
        fields: dict[str, str | None] = json.loads(self.columns or "{}")
        return fields

    @property
    def is_opt_out_list(self) -> bool:
        """True if the file holds numbers that must not be called, and no contacts."""
        return bool(json.loads(self.layout or "{}").get("is_opt_out_list", False))


def find_import(db: Connection, place: Place, file_id: int) -> ImportFile:
    """Return an import of a place. Raises NotFound, also for one that was discarded."""
    sql = "SELECT * FROM import_file WHERE id = :id AND place_id = :place AND state <> 'discarded'"
    file = load_first(ImportFile, run(db, sql, id=file_id, place=place.id))
    if file is None:
        raise NotFound("There is no such import any more. Please upload the file again.")
    return file


def begin_import(db: Connection, at: float, slug: str, token: str, rows: int) -> ImportFile:
    """Store a new import, for the owner. `rows` is the number in the file, or 0 if it isn't known yet."""
    place = find_place_for_owner(db, slug, token)
    row = insert_returning(
        db,
        "import_file",
        place_id=place.id,
        state="reading",
        columns="{}",
        rows=rows,
        read=0,
        add_rows=0,
        change_rows=0,
        refuse_rows=0,
        created_at=at,
    )
    return load(ImportFile, row)


def set_rows(db: Connection, file_id: int, rows: int) -> None:
    """Store how many rows a file has."""
    run(db, "UPDATE import_file SET rows = :rows WHERE id = :id", id=file_id, rows=rows)


def set_ready(db: Connection, file_id: int) -> None:
    """Store that all rows are staged, so that the owner may agree."""
    run(db, "UPDATE import_file SET state = 'ready' WHERE id = :id AND state = 'reading'", id=file_id)


def set_unmapped(db: Connection, file_id: int, why: str | None) -> None:
    """Store that the owner must choose the columns, and why."""
    sql = "UPDATE import_file SET state = 'unmapped', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file_id, why=why)


def set_failed(db: Connection, file_id: int, why: str) -> None:
    """Store that a file can't be read, and why."""
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE id = :id AND state = 'reading'"
    run(db, sql, id=file_id, why=why)


def set_discarded(db: Connection, file_id: int) -> None:
    """Store that nobody needs an import any more; erase_old_imports() then erases it."""
    run(db, "UPDATE import_file SET state = 'discarded' WHERE id = :id", id=file_id)


def reading_name(file_id: int) -> str:
    """Return the name of the work that a thread holds while it reads a file; see Engine.hold()."""
    return f"read import {file_id}"


# ----- the text of its file


def packed_text(sheet: Sheet) -> bytes:
    """Return the text of a file as kept_sheet() reads it."""
    return zlib.compress(sheet.text.encode("utf-8", "surrogatepass"), level=3)


def keep_sheet(db: Connection, file_id: int, sheet: Sheet, content: bytes) -> None:
    """Store a file and what its columns are.

    :param content: its text, from packed_text(): packing would take the writer too long
    """
    keep_columns(db, file_id, sheet)
    insert(db, "import_content", import_file_id=file_id, content=content)


def keep_columns(db: Connection, file_id: int, sheet: Sheet) -> None:
    """Store what the columns of a file are."""
    fields = {
        column.heading: "name" if column.field in (*NAME_PARTS, "company") else column.field
        for column in sheet.columns
    }
    layout = {
        "layout": sheet.layout._asdict(),
        "columns": [[column.heading, column.field, column.group] for column in sheet.columns],
        "settled": [n for n, column in enumerate(sheet.columns) if column.is_settled],
        "is_opt_out_list": sheet.is_opt_out_list,
    }
    sql = "UPDATE import_file SET columns = :columns, layout = :layout WHERE id = :id"
    run(db, sql, id=file_id, columns=json.dumps(fields), layout=json.dumps(layout))


def kept_sheet(db: Connection, file: ImportFile) -> Sheet:
    """Return a file that keep_sheet() has stored. Raises Conflict if it isn't kept any more."""
    sql = """SELECT content, layout FROM import_content JOIN import_file ON import_file.id = import_file_id
             WHERE import_file_id = :id"""
    row = run(db, sql, id=file.id).first()
    if row is None:
        raise Conflict("This file is not kept any more. Please upload it again.")
    kept: dict[str, Any] = json.loads(row.layout)
    text = zlib.decompress(row.content).decode("utf-8", "surrogatepass")
    settled = kept.get("settled", ())
    columns = [
        Column(heading, field, group, n in settled)
        for n, (heading, field, group) in enumerate(kept["columns"])
    ]
    return reopen_sheet(text, Layout(**kept["layout"]), columns, kept["is_opt_out_list"])


# ----- its rows


def erase_rows(db: Connection, file_id: int) -> bool:
    """Erase some rows of an import, and the remarks about them. Returns True if there were any."""
    erased = 0
    for table in ("import_row", "import_remark"):
        sql = f"""DELETE FROM {table} WHERE id IN
                  (SELECT id FROM {table} WHERE import_file_id = :id LIMIT :limit)"""
        erased += run(db, sql, id=file_id, limit=MAX_ERASED).rowcount
    return erased > 0
