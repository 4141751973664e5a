"""The mark beside a SQLite file that is being moved to PostgreSQL, or was moved.

Whoever moves it holds a lock on the mark, which ends with the process: so a move that was interrupted leaves
nothing behind that stops the server.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import CannotStart
from app.storage.private import create_file

MOVED = "moved"


def mark_of(path: Path) -> Path:
    """Return the path of the mark of a database file."""
    return path.with_name(f"{path.name}.moving")


def is_moving(path: Path) -> bool:
    """Return True while a database is being moved, and once it was.

    Removes the mark of a move that was interrupted.
    """
    mark = mark_of(path)
    if not mark.exists():
        return False
    with mark.open() as file:
        if file.read() == MOVED:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        mark.unlink(missing_ok=True)
        return False


def was_moved(path: Path) -> bool:
    """Return True for a database that was moved to PostgreSQL."""
    mark = mark_of(path)
    return mark.exists() and mark.read_text() == MOVED


@contextmanager
def marked(path: Path) -> Iterator[Path]:
    """Mark a database as being moved. Raises CannotStart when another process moves it."""
    mark = mark_of(path)
    create_file(mark)
    with mark.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(f"{path} is being moved by another command. Wait until that is done.") from None
        try:
            yield mark
        finally:
            if mark.read_text() != MOVED:
                mark.unlink(missing_ok=True)


def set_moved(mark: Path) -> None:
    """Note for good that a database was moved."""
    with mark.open("r+") as file:
        file.write(MOVED)
        file.flush()
        os.fsync(file.fileno())
