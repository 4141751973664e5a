"""What every store for backups can do. Stores are a directory (directory.py) or an S3 bucket (s3.py)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


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


@contextmanager
def open_content(content: Path | bytes) -> Iterator[BinaryIO]:
    """Open what is to be stored for reading."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(content)
