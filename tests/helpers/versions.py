"""Databases of earlier versions of the program, and programs of later ones."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command as alembic
from alembic.config import Config

from app.storage.schema import SCHEMA
from helpers.client import AppClient
from helpers.forks import ROOT
from helpers.places import Place

NEXT = f"{int(SCHEMA) + 1:04}"
HEAD = f'revision = "{NEXT}"\ndown_revision = "{SCHEMA}"\n'
# SQLite can't change a column, so migrations make a new table and copy the rows.
REBUILDS_PLACE = f"""
import sqlalchemy as sa
from alembic import op
{HEAD}
def upgrade() -> None:
    with op.batch_alter_table("place", recreate="always") as table:
        table.add_column(sa.Column("motto", sa.Text(), nullable=False, server_default="Fresh every day"))
"""
FAILS = f"""
from alembic import op
{HEAD}
def upgrade() -> None:
    op.execute("UPDATE ticket SET number = 'Z' || id")
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("UPDATE nonsense SET id = 1")
"""
LOSES_CHILDREN = f"""
from alembic import op
{HEAD}
def upgrade() -> None:
    op.execute("DELETE FROM queue")
"""


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a database file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def dump(path: Path) -> list[str]:
    """Return the whole content of a database as SQL."""
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def make_schema(path: Path, revision: str) -> None:
    """Make an empty database of this schema revision."""
    with sa.create_engine(f"sqlite:///{path}").begin() as db:
        config = Config(attributes={"connection": db})
        config.set_main_option("script_location", str(ROOT / "migrations"))
        alembic.upgrade(config, revision)


@pytest.fixture
def database(tmp_path: Path, start: Any, client: AppClient, place: Place) -> Path:
    """A database of this version that was in use: one customer at a desk, one in the line."""
    desk = place.desk()
    place.customer(name="Zoë")
    place.customer()
    desk.call_next()
    service = client.flask_client.application.extensions["takeanumber"]
    service.live.close()
    service.database.close()
    return tmp_path / "data" / "takeanumber.db"


@pytest.fixture
def next_version(tmp_path: Path) -> Callable[[str], Path]:
    """Make a copy of the program with one more migration."""
    versions = count(1)

    def make(migration: str) -> Path:
        program = tmp_path / f"next-{next(versions)}"
        program.mkdir()
        for part in ("app", "templates", "static", "migrations"):
            shutil.copytree(ROOT / part, program / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "takeanumber.py", program)
        code = (ROOT / "app" / "storage" / "schema.py").read_text()
        changed, times = re.subn(r'^SCHEMA = "\d+"', f'SCHEMA = "{NEXT}"', code, flags=re.MULTILINE)
        assert times == 1
        (program / "app" / "storage" / "schema.py").write_text(changed)
        (program / "migrations" / "versions" / f"{NEXT}.py").write_text(migration)
        return program

    return make


@pytest.fixture
def old_version(tmp_path: Path, database: Path) -> Callable[[str], Path]:
    """Copy the place of `database` into a database of an earlier schema revision."""

    def make(revision: str) -> Path:
        old = tmp_path / f"version-{revision}" / "takeanumber.db"
        old.parent.mkdir()
        make_schema(old, revision)
        with closing(sqlite3.connect(old)) as db:
            db.execute("ATTACH :new AS new", {"new": str(database)})
            for (table,) in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table'"):
                if not table.startswith(("sqlite_", "alembic_")):
                    columns = ", ".join(column for _, column, *_ in rows(old, f"PRAGMA table_info({table})"))
                    db.execute(f"DELETE FROM main.{table}")  # what a migration stored
                    db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
            db.commit()
        return old

    return make
