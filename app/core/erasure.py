"""Erasing the rows of deleted places. Which rows belong to a place is also what its export consists of."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.storage.schema import metadata
from app.storage.sql import run

SERVER_TABLES = ("fact", "mail_block")  # they belong to no place

# The conditions for the rows of a place, for tables without a column `place_id`.
_CONDITIONS = {
    "place": "id = :place",
    "door": "counter_id IN (SELECT id FROM counter WHERE place_id = :place)",
    "servicer_queue": "queue_id IN (SELECT id FROM queue WHERE place_id = :place)",
    "caller": "queue_id IN (SELECT id FROM queue WHERE place_id = :place)",
    "import_row": "import_file_id IN (SELECT id FROM import_file WHERE place_id = :place)",
    "import_content": "import_file_id IN (SELECT id FROM import_file WHERE place_id = :place)",
    "import_remark": "import_file_id IN (SELECT id FROM import_file WHERE place_id = :place)",
}


def tables_of_place() -> dict[str, str]:
    """Return the tables that hold a place, each with the condition for the rows of the place `:place`.

    Tables come before those that they refer to, which is the order in which rows can be deleted.
    """
    conditions = {}
    for table in reversed(metadata.sorted_tables):
        if table.name in SERVER_TABLES:
            continue
        if "place_id" in table.columns:
            conditions[table.name] = "place_id = :place"
        else:
            conditions[table.name] = _CONDITIONS[table.name]
    return conditions


def erase_deleted_places(db: Connection, limit: int = 2000) -> bool:
    """Erase up to `limit` rows of a deleted place. Returns True if there may be more."""
    place_id = run(db, "SELECT id FROM place WHERE deleted_at IS NOT NULL ORDER BY id LIMIT 1").scalar()
    if place_id is None:
        return False
    for table, condition in tables_of_place().items():
        sql = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} LIMIT :limit)"
        if run(db, sql, place=place_id, limit=limit).rowcount:
            return True
    return False
