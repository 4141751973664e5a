"""Opening a database file: creating it, bringing it up to date, or refusing it with a sentence."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy.engine import Connection

from app.errors import CannotStart, reason_of
from app.settings import Settings
from app.storage.condition import find_damage, has_room, is_damage
from app.storage.database import Database
from app.storage.facts import PUSH_KEY, new_push_key, set_fact
from app.storage.move_mark import mark_of, was_moved
from app.storage.private import create_directory, create_file
from app.storage.schema import MIGRATIONS, SCHEMA, is_newer, metadata
from app.storage.sql import run
from app.storage.sqlite import SqliteEngine, make_engine


def schema_of(path: Path) -> str | None:
    """Return the schema version of a file, None when it is empty. Raises CannotStart for any other file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            row = None
            if "alembic_version" in tables:
                row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
            if row is None:
                raise CannotStart(f"{path} is a database of something else. Choose another data directory.")
            return str(row[0])
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
            raise CannotStart(f"{path} is being restored or upgraded. Try again when that is done.") from None
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: sqlite3.Error) -> CannotStart:
    """Return why a file can't be read. Only a damaged one is to be replaced by a backup."""
    if is_damage(error):
        return CannotStart(f"{path} is no database ({error}). Restore it from a backup.")
    with suppress(OSError):
        if not has_room(path.parent):
            return _disk_full(path)
    return CannotStart(f"{path} can't be read ({error}). Check the disk and the rights to the file.")


def cannot_write(path: Path, error: Exception) -> CannotStart:
    """Return why an intact database can't be written to when the server starts."""
    reason = getattr(error, "orig", None) or error
    with suppress(OSError):
        if not has_room(path.parent):
            return _disk_full(path)
    return CannotStart(f"{path} can't be written to ({reason}). Check the disk and the rights to the file.")


def _disk_full(path: Path) -> CannotStart:
    return CannotStart(
        f"The disk is full: nothing can be written to {path.parent}. Make room, and start the server again."
        " The database is unchanged."
    )


def _refuse_damaged(path: Path) -> None:
    try:
        damage = find_damage(path)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from None
    if damage is not None:
        raise CannotStart(
            f"{path} is damaged ({damage}). Restore a backup: python takeanumber.py restore --replace."
            " The damaged file is kept beside it."
        )


def open_database(settings: Settings) -> Database:
    """Open an existing, up-to-date database. Raises CannotStart when there is none."""
    if settings.database_url:
        from app.storage import postgres_upgrade  # the driver is needed only there

        return postgres_upgrade.open_existing(settings)
    path = settings.database_path
    schema = _existing_schema(path)
    if schema is None:
        advice = "Restore" if settings.require_database else "Start the server once, or restore"
        raise CannotStart(f"There is no database at {path}. {advice} a backup.")
    _refuse_newer(path, schema)
    if schema != SCHEMA:
        raise CannotStart(f"{path} is of an older version. Start the server once to bring it up to date.")
    return Database(SqliteEngine(path))


def create_or_upgrade(settings: Settings) -> Database:
    """Open the database, creating it or bringing it up to date. Raises CannotStart when that fails.

    Before an upgrade, a copy of the old file is put beside it.
    """
    if settings.database_url:
        from app.storage import postgres_upgrade  # the driver is needed only there

        return postgres_upgrade.create_or_upgrade(settings)
    path = settings.database_path
    if was_moved(path):
        raise CannotStart(
            f"{path} was moved to PostgreSQL: set TAKEANUMBER_DATABASE_URL. To use this old file all the"
            f" same, remove {mark_of(path)}."
        )
    try:
        create_directory(path.parent)
        # Fail with a sentence now rather than with an error at the first ticket.
        if not has_room(path.parent):
            raise _disk_full(path)
    except OSError as error:
        raise _unusable(path, error) from None
    schema = _existing_schema(path)
    if schema is None:
        if settings.require_database:
            raise CannotStart(f"There is no database at {path}. Restore a backup.")
        return create_database(path)
    _refuse_newer(path, schema)
    _refuse_damaged(path)
    if schema != SCHEMA:
        _copy_beside(path)
        upgrade_file(path)
    return Database(SqliteEngine(path))


def check_database(settings: Settings) -> str:
    """Return in a sentence what `serve` would do with the database. Raises CannotStart if it would refuse."""
    if settings.database_url:
        from app.storage import postgres_upgrade  # the driver is needed only there

        schema = postgres_upgrade.check_schema(settings)
    else:
        schema = _existing_schema(settings.database_path)
        if schema is not None:
            _refuse_newer(settings.database_path, schema)
    if schema is None:
        return "The database is empty: the next start creates its tables."
    if schema != SCHEMA:
        return "The database can be used: the next start brings it up to date."
    return "The database can be used."


def create_database(path: Path) -> Database:
    """Create a database file and open it."""
    create_file(path)
    database = Database(SqliteEngine(path))
    database.write(_create_tables)
    return database


def upgrade_file(path: Path, description: str | None = None) -> None:
    """Bring a database file up to date.

    Raises CannotStart, with `description` or the path in its sentence, and leaves the file unchanged.
    """
    # Imported here: Alembic is needed once per release and weighs 10 MB.
    from alembic import command
    from alembic.config import Config

    # Without foreign keys, or rebuilding a table would delete the rows that refer to it.
    engine = make_engine(path, "foreign_keys = OFF")
    try:
        with engine.connect() as db:  # leaving it rolls back what was not committed
            run(db, "BEGIN IMMEDIATE")
            config = Config(attributes={"connection": db})
            config.set_main_option("script_location", str(MIGRATIONS))
            command.upgrade(config, "head")
            if run(db, "PRAGMA foreign_key_check").first():
                raise ValueError("rows would refer to rows that no longer exist")
            run(db, "COMMIT")
    except Exception as error:
        raise CannotStart(
            f"Upgrading {description or path} failed, so it was left as it was: {reason_of(error)}."
        ) from error
    finally:
        engine.dispose()


def _existing_schema(path: Path) -> str | None:
    try:
        return schema_of(path) if path.exists() else None
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> CannotStart:
    return CannotStart(f"The data directory {path.parent} can't be used: {error.strerror}.")


def _refuse_newer(path: Path, schema: str) -> None:
    if is_newer(schema):
        raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")


def _copy_beside(path: Path) -> None:
    target = path.with_name(f"{path.name}.before-{SCHEMA}")
    try:
        create_file(target)
        with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(target)) as copy:
            old.backup(copy)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"Upgrading {path} failed, so it was left as it was: {error}.") from None


def _create_tables(db: Connection) -> None:
    metadata.create_all(db)
    run(db, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    run(db, "INSERT INTO alembic_version VALUES (:schema)", schema=SCHEMA)
    for name in ("secret_key", "epoch", "pulse"):
        set_fact(db, name, secrets.token_hex(16))
    set_fact(db, PUSH_KEY, new_push_key())
