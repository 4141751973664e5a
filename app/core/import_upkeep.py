"""Finishes interrupted imports or marks them as failed, and erases those that nobody needs any more.

Background jobs call this; see app/jobs.py.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core.import_files import OUR_FAULT, ImportFile, erase_rows, reading_name, set_failed
from app.core.import_storing import finish_storing
from app.core.places import slug_of
from app.storage.database import Database
from app.storage.sql import load_all, run

KEPT_S = DAY_S  # how long an import can be stored, and looked at
BEGIN_S = 30.0  # so long after its upload, a file that is still being read has a thread that holds it
_INTERRUPTED = (
    "The server was started again while it read this file. Nothing was stored; please upload it again."
)


# ----- interrupted


def fail_unread_imports(db: Connection) -> None:
    """Mark the imports as failed that a server was staging when it stopped; called when a server starts."""
    sql = "UPDATE import_file SET state = 'failed', why = :why WHERE state = 'reading'"
    run(db, sql, why=_INTERRUPTED)


def fail_lost_imports(database: Database, at: float) -> bool:
    """Mark the imports as failed that nobody stages any more. Returns False: none is left.

    Either the instance ended, or the thread could not even store that it had failed, as on a full disk.
    """
    why = _INTERRUPTED if database.engine.changes_elsewhere else OUR_FAULT
    with database.read() as db:
        sql = "SELECT id, place_id FROM import_file WHERE state = 'reading' AND created_at < :before"
        files = [(file.id, slug_of(db, file.place_id)) for file in run(db, sql, before=at - BEGIN_S)]
    for file_id, slug in files:
        if not database.engine.is_held(reading_name(file_id)):
            database.write_in(slug, set_failed, file_id, why)
    return False


def finish_imports(database: Database, at: float) -> bool:
    """Store the rest of imports that a server was storing when it stopped. Returns False: none is left."""
    with database.read() as db:
        sql = "SELECT * FROM import_file WHERE state = 'storing' ORDER BY id"
        interrupted = [(slug_of(db, file.place_id), file) for file in load_all(ImportFile, run(db, sql))]
    for slug, file in interrupted:
        finish_storing(database, at, slug, file)
    return False


# ----- needed no more


def erase_old_imports(database: Database, at: float) -> bool:
    """Erase one batch of what nobody needs any more. Returns True when there may be more.

    Those are the rows of imports that were discarded or failed, and of all that are a day old.
    """
    with database.read() as db:  # reading first, so that nothing is written when there is nothing to do
        next_file = _next_to_erase(db, before=at - KEPT_S)
    if next_file is None:
        return False
    file_id, slug = next_file
    if not database.write_in(slug, erase_rows, file_id):
        database.write_in(slug, _erase_file, file_id, at - KEPT_S)
    return True


def _next_to_erase(db: Connection, before: float) -> tuple[int, str] | None:
    """Return the id of an import that nobody needs any more, and the slug of its place."""
    sql = """SELECT id, place_id, state, created_at FROM import_file
             WHERE state IN ('discarded', 'failed') OR (created_at < :before AND state <> 'storing')
             ORDER BY id"""
    for file in run(db, sql, before=before).all():
        # A failed import stays without rows for a day, because its page says why it failed.
        if file.state == "discarded" or file.created_at < before or _holds_anything(db, file.id):
            return int(file.id), slug_of(db, file.place_id)
    return None


def _holds_anything(db: Connection, file_id: int) -> bool:
    return any(
        run(db, f"SELECT 1 FROM {table} WHERE import_file_id = :id LIMIT 1", id=file_id).first()
        for table in ("import_row", "import_remark", "import_content")
    )


def _erase_file(db: Connection, file_id: int, before: float) -> None:
    """Erase the text of an import without rows; and the import itself, unless its page says why it failed."""
    run(db, "DELETE FROM import_content WHERE import_file_id = :id", id=file_id)
    sql = "DELETE FROM import_file WHERE id = :id AND (state <> 'failed' OR created_at < :before)"
    run(db, sql, id=file_id, before=before)
