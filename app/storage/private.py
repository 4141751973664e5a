"""Files that only the user of the server can read: a database holds links, names and phone numbers."""

from __future__ import annotations

from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def create_directory(path: Path) -> None:
    """Create a directory, unless it exists; then it stays as it is."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def create_file(path: Path) -> None:
    """Create an empty file, or let an existing one be read by nobody else.

    SQLite gives the files beside a database (-wal, -shm) the mode of the database.
    """
    path.touch(mode=FILE_MODE)
    path.chmod(FILE_MODE)
