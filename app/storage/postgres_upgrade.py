"""Opening a PostgreSQL database: creating the tables, bringing them up to date, or refusing with a sentence.

Imported only when TAKEANUMBER_DATABASE_URL is set.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from app.errors import CannotStart, reason_of
from app.settings import Settings
from app.storage.database import Database
from app.storage.facts import PUSH_KEY, new_push_key
from app.storage.postgres import (
    ENGINE_URL,
    MOVED_FACT,
    OLDEST_VERSION,
    UPGRADE_LOCK,
    PostgresEngine,
    connect,
    make_engine,
)
from app.storage.schema import MIGRATIONS, SCHEMA, is_newer, metadata
from app.storage.sql import run

SETTING = "TAKEANUMBER_DATABASE_URL"
NAME = "The database of TAKEANUMBER_DATABASE_URL"

# The tables of the schema that new tables are created in, without those of extensions.
TABLES = """SELECT relname FROM pg_class
            WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = current_schema()::regnamespace
            AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass
                            AND objid = pg_class.oid AND deptype = 'e')"""
OWN_TABLES = {"alembic_version", "fact", "place", "queue", "ticket", "event"}

# What a failed connection says, and what to tell whoever starts the server.
REASONS = (
    ("password authentication failed|no password supplied", "refuses the user or the password"),
    ("role .* does not exist", "doesn't know the user"),
    ("database .* does not exist", "has no database of that name: create it first"),
    ("no pg_hba.conf entry|authentication failed", "doesn't let this machine connect"),
    ("resolve host|translate host|name or service", "can't be found: check the host name"),
    (
        "refused|No such file|timeout|timed out|unreachable|No route",
        "can't be reached: check that PostgreSQL is running",
    ),
    ("starting up|shutting down|recovery mode", "is just starting: try again in a moment"),
    (
        "too many (connections|clients)|remaining connection slots",
        "has no free connection: see max_connections",
    ),
    ("read-only|not read-write|hot standby", "is a standby, which can't be written to"),
    ("SSL|certificate", "can't be reached by TLS: check sslmode and the certificate"),
)


def open_existing(settings: Settings) -> Database:
    """Open a database that is up to date. Raises CannotStart."""
    check_server(settings.database_url)
    with _transaction(settings.database_url) as db:
        schema = schema_of(_raw(db))
    if schema is None:
        raise CannotStart(f"{NAME} is empty. Start the server once.")
    if schema != SCHEMA:
        raise CannotStart(f"{NAME} is of another version. Start the server once to bring it up to date.")
    return open_engine(settings)


def check_schema(settings: Settings) -> str | None:
    """Return the schema version of the database, None when it is empty. Raises CannotStart."""
    check_server(settings.database_url)
    with _transaction(settings.database_url) as db:
        return schema_of(_raw(db))


def create_or_upgrade(settings: Settings) -> Database:
    """Open the database, creating its tables or bringing them up to date. Raises CannotStart.

    Instances that start at the same time do it one after the other, so that the first does the work.
    """
    check_server(settings.database_url)
    with _transaction(settings.database_url) as db:
        raw = _raw(db)
        schema = schema_of(raw)
        if schema and raw.execute("SELECT 1 FROM fact WHERE name = %s", [MOVED_FACT]).fetchone():
            raise CannotStart(f"{NAME} was moved to a SQLite file. Leave {SETTING} out to use that.")
        if schema is None:
            if settings.require_database:
                raise CannotStart(f"{NAME} is empty. Restore it, or leave TAKEANUMBER_REQUIRE_DATABASE out.")
            create(raw)
        elif schema != SCHEMA:
            upgrade(db)
    return open_engine(settings)


def open_engine(settings: Settings) -> Database:
    """Open a database that was checked."""
    return Database(PostgresEngine(settings.database_url, settings.database_pool))


def check_server(url: str) -> None:
    """Raise CannotStart when the server can't be used."""
    try:
        with closing(connect(url)) as raw:
            version = raw.info.server_version // 10000
            encoding = raw.execute("SHOW server_encoding").fetchone()
            durable = raw.execute("SHOW synchronous_commit").fetchone()
            can_create = raw.execute(
                "SELECT current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE')"
            ).fetchone()
    except psycopg.Error as error:
        raise CannotStart(refusal(error)) from None
    if version < OLDEST_VERSION:
        raise CannotStart(
            f"{NAME} is on PostgreSQL {version}. Take A Number needs {OLDEST_VERSION} or newer."
        )
    if encoding != ("UTF8",):
        raise CannotStart(f"{NAME} must have the encoding UTF8. Create one with: createdb --encoding UTF8.")
    if durable == ("off",):
        raise CannotStart(
            f"{NAME} has synchronous_commit off, so that tickets could be lost. Set it to on, and start"
            " again."
        )
    if can_create != (True,):
        raise CannotStart(
            f"The user of {SETTING} may not create tables there. Make them the database's owner."
        )


def refusal(error: psycopg.Error) -> str:
    """Return in a sentence why no connection can be made. It never holds the password."""
    text = str(error)
    if isinstance(error, psycopg.ProgrammingError):  # libpq doesn't understand the URL
        return f"{SETTING} can't be used: {reason_of(error)}."
    for pattern, reason in REASONS:
        if re.search(pattern, text, re.IGNORECASE):
            return f"The server of {SETTING} {reason}."
    return f"The server of {SETTING} can't be used: {reason_of(error)}."


def schema_of(raw: psycopg.Connection[Any]) -> str | None:
    """Return the schema version of a database, None when it is empty. Raises CannotStart for any other."""
    tables = {name for (name,) in raw.execute(TABLES)}
    if not tables:
        return None
    version = None
    if tables >= OWN_TABLES:
        version = next((name for (name,) in raw.execute("SELECT version_num FROM alembic_version")), None)
    if version is None:
        raise CannotStart(f"{NAME} is of another application. Create one for Take A Number alone.")
    if is_newer(str(version)):
        raise CannotStart(f"{NAME} was written by a newer version of Take A Number. Install that one.")
    return str(version)


def create(raw: psycopg.Connection[Any]) -> None:
    """Create the tables of the newest schema in an empty database."""
    dialect = sa.make_url(ENGINE_URL).get_dialect()()
    engine = sa.create_mock_engine(
        ENGINE_URL, lambda sql, *_, **__: raw.execute(str(sql.compile(dialect=dialect)))
    )
    metadata.create_all(engine, checkfirst=False)
    raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    raw.execute("INSERT INTO alembic_version VALUES (%s)", [SCHEMA])
    for name in ("secret_key", "epoch", "pulse"):
        raw.execute("INSERT INTO fact (name, value) VALUES (%s, %s)", [name, secrets.token_hex(16)])
    raw.execute("INSERT INTO fact (name, value) VALUES (%s, %s)", [PUSH_KEY, new_push_key()])


def upgrade(db: Connection) -> None:
    """Bring the tables up to date. Raises CannotStart and leaves them unchanged."""
    from alembic import command
    from alembic.config import Config

    try:
        config = Config(attributes={"connection": db})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "head")
    except Exception as error:
        raise CannotStart(
            f"Upgrading failed, so {NAME[0].lower()}{NAME[1:]} was left as it was: {reason_of(error)}."
        ) from error


def _raw(db: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", db.connection.driver_connection)


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    """Open a transaction that no other instance has at the same time. An exception rolls it back."""
    engine = make_engine(url)
    try:
        with engine.connect() as db:
            run(db, "BEGIN")
            run(db, f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK}, 0)")
            yield db
            run(db, "COMMIT")
    except (psycopg.Error, sa.exc.SQLAlchemyError) as error:
        raise CannotStart(f"{NAME} can't be used: {reason_of(error)}.") from None
    finally:
        engine.dispose()
