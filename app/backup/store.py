"""What every store for backups can do. Stores are a directory (directory.py) or an S3 bucket (s3.py)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from app import clock


class StoredFile(NamedTuple):
    """A file in a store: its name, relative to the store's URL, and its size in bytes."""

    name: str
    size: int


class Store(Protocol):
    """A place for backups.

    put() never overwrites a file: servers rely on that to agree on which of them may write. Every method
    raises StorageFailed when the store doesn't answer as it should.
    """

    url: str

    def list_files(self, prefix: str = "") -> list[StoredFile]:
        """Return all files with names that begin with `prefix`, sorted by name."""

    def download(self, name: str, path: Path) -> bool:
        """Write a stored file to `path`. Returns False when it certainly doesn't exist."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None when it certainly doesn't exist."""

    def put(self, name: str, content: Path | bytes) -> None:
        """Store a local file, or a few bytes. Raises AlreadyStored when the name is in use."""

    def replace(self, name: str, content: Path) -> None:
        """Store a local file over whatever has this name."""

    def time(self) -> float | None:
        """Return the time by the store's own clock, or None when the store has none."""


class StoreClock:
    """The clock of a store, as far as its answers show it."""

    def __init__(self) -> None:
        self._seen: tuple[float, float] | None = None  # the time, and when it was, by clock.elapsed()

    def set(self, at: float) -> None:
        """Remember what the store says the time is."""
        self._seen = at, clock.elapsed()

    def time(self) -> float | None:
        """Return what the store would say now, or None when it has never said it."""
        if self._seen is None:
            return None
        at, seen_at = self._seen
        return at + clock.elapsed() - seen_at


@contextmanager
def open_content(content: Path | bytes) -> Iterator[BinaryIO]:
    """Open what is to be stored for reading."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(content)
