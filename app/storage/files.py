"""Files on the disk: syncing them, and the names of those that SQLite keeps beside a database."""

from __future__ import annotations

import os
from pathlib import Path

SIDE_FILES = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database, as endings of its name


def fsync(path: Path) -> None:
    """Make sure that a file, or the names in a directory, survive a power cut."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
