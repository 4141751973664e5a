"""SQLite: connections and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

BUSY_TIMEOUT_MS = 5000
PRAGMAS = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "synchronous = FULL",  # a ticket that was handed out survives a power cut
)


def make_engine(path: Path, *pragmas: str, pool_timeout_s: float = 10.0) -> Engine:
    """Return an engine for an existing SQLite file; `pragmas` come after the usual ones.

    Transactions are begun and ended by hand, so the engine is in autocommit mode.
    """
    engine = sa.create_engine(
        # mode=rw: a missing file is an error. An empty one, created on the fly, would be taken for the shop.
        sa.URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"}),
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # links and names don't belong in a log
        pool_size=8,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        pool_use_lifo=True,  # each connection has a cache: use few of them while few are enough
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        for pragma in (*PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    return engine
