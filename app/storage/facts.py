"""The few values that belong to the whole database, such as `secret_key` and `epoch`."""

from __future__ import annotations

import base64
import secrets

from sqlalchemy.engine import Connection

from app.storage.sql import run

PUSH_KEY = "push_key"  # name of a fact: the key that push messages are signed with

# The driver's and SQLAlchemy's named parameters look the same, so a restore can use it on a bare connection.
SET_FACT = """INSERT INTO fact (name, value) VALUES (:name, :value)
              ON CONFLICT (name) DO UPDATE SET value = excluded.value"""


def get_fact(db: Connection, name: str) -> str:
    """Return a value that every database has."""
    return str(run(db, "SELECT value FROM fact WHERE name = :name", name=name).scalar_one())


def find_fact(db: Connection, name: str) -> str | None:
    """Return a value, or None when it was never set."""
    value = run(db, "SELECT value FROM fact WHERE name = :name", name=name).scalar()
    return None if value is None else str(value)


def set_fact(db: Connection, name: str, value: str) -> None:
    """Store a value, whether or not it was set before."""
    run(db, SET_FACT, name=name, value=value)


def new_push_key() -> str:
    """Return a private key for P-256: any number below the order of the curve, which is almost 2**256."""
    key = 1 + secrets.randbelow(2**255)
    return base64.urlsafe_b64encode(key.to_bytes(32, "big")).rstrip(b"=").decode()
