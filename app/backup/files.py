"""Local files: a directory for work in progress."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.errors import CannotStart, reason_of
from app.storage.private import create_directory

CHUNK_BYTES = 2**20  # copied at a time, so that a large database needs no more memory than a small one


@contextmanager
def working_directory(data: Path, failure: str) -> Iterator[Path]:
    """Create a hidden directory inside the data directory, and remove it in the end.

    Errors of the disk and of SQLite, such as a full disk, become a CannotStart that begins with `failure`.
    """
    try:
        create_directory(data)
        remove_leftovers(data)
        with ExitStack() as stack:
            with _locked(data):
                work = Path(tempfile.mkdtemp(prefix=".backup-", dir=data))
                # The lock tells remove_leftovers(), in any process, that this directory is in use.
                stack.enter_context(_locked(work))
            stack.callback(shutil.rmtree, work, ignore_errors=True)
            yield work
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        raise CannotStart(f"{failure}: {reason_of(error)}.") from None


def remove_leftovers(data: Path) -> None:
    """Remove the working directories that killed processes left behind."""
    for work in data.glob(".backup-*"):
        # An OSError means: it is gone already, it belongs to another user, or it is still in use.
        with suppress(OSError), _locked(data), _locked(work, fcntl.LOCK_NB):
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _locked(directory: Path, flags: int = 0) -> Iterator[None]:
    number = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(number)
