"""Backups in a directory, for example on a USB stick or a NAS."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.backup.errors import AlreadyStored, StorageFailed
from app.backup.files import CHUNK_BYTES
from app.backup.store import StoredFile, open_content
from app.errors import reason_of
from app.storage.files import fsync

NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class DirectoryStore:
    """A Store in a local directory. Hidden files in it are ignored: they are not ours, or not complete."""

    def __init__(self, url: str):
        self.url = url
        self._root = Path(url)

    def list_files(self, prefix: str = "") -> list[StoredFile]:
        """Return all files with names that begin with `prefix`, sorted by name."""
        files = []
        with self._translate_errors():
            directories = [self._root]
            while directories:
                for entry in os.scandir(directories.pop()):
                    path = Path(entry.path)
                    name = path.relative_to(self._root).as_posix()
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir() and (f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")):
                        directories.append(path)
                    elif entry.is_file() and name.startswith(prefix):
                        with suppress(FileNotFoundError):  # it was removed just now
                            files.append(StoredFile(name, entry.stat().st_size))
        return sorted(files)

    def download(self, name: str, path: Path) -> bool:
        """Write a stored file to `path`. Returns False when it doesn't exist."""
        with self._translate_errors():
            try:
                source = (self._root / name).open("rb")
            except FileNotFoundError:
                return False
        # Only errors of reading are the store's: an error of writing is about the local disk.
        with source, path.open("wb") as target:
            while chunk := self._read_chunk(source):
                target.write(chunk)
        return True

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None when it doesn't exist."""
        with self._translate_errors():
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def time(self) -> float | None:
        """Return None: a directory has no clock of its own."""
        return None

    def put(self, name: str, content: Path | bytes) -> None:
        """Store a local file, or a few bytes, completely or not at all. Raises AlreadyStored."""
        self._store(name, content, _rename_to_unused)

    def replace(self, name: str, content: Path) -> None:
        """Store a local file over whatever has this name; another process sees the old or the new one."""
        self._store(name, content, os.replace)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._translate_errors():
            (self._root / name).unlink(missing_ok=True)

    def remove_partial_files(self, before: float) -> None:
        """Remove files that a process was writing when it was killed, if they are older than `before`."""
        with self._translate_errors():
            for part in self._root.rglob(".*.part"):
                if part.stat().st_mtime < before:
                    part.unlink(missing_ok=True)

    def _store(self, name: str, content: Path | bytes, rename: Callable[[Path, Path], None]) -> None:
        """Write a hidden file, and let `rename` give it its name once it is complete."""
        target = self._root / name
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        with self._translate_errors():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write_synced(part, content)
                rename(part, target)
            except FileExistsError:
                raise AlreadyStored(name) from None
            finally:
                part.unlink(missing_ok=True)
            for directory in (target.parent, target.parent.parent):
                fsync(directory)

    def _write_synced(self, path: Path, content: Path | bytes) -> None:
        with open_content(content) as source, open(path, "xb", opener=_open_private) as file:
            if os.geteuid() == 0:
                # A server that runs as another user must be able to read it. Some file systems, such as that
                # of a USB stick, have no owners.
                root = self._root.stat()
                with suppress(OSError):
                    os.fchown(file.fileno(), root.st_uid, root.st_gid)
            shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())

    def _read_chunk(self, source: BinaryIO) -> bytes:
        with self._translate_errors():
            return source.read(CHUNK_BYTES)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            # The directory is never created here: it may be on a disk that isn't mounted.
            if not self._root.is_dir():
                raise StorageFailed(
                    f"There is no directory {self.url}: make it, or plug in the disk it is on."
                )
            yield
        except OSError as error:
            raise StorageFailed(f"The directory {self.url} can't be used: {reason_of(error)}.") from None


def _open_private(path: str, flags: int) -> int:
    # A copy holds names, phone numbers and the owners' links.
    return os.open(path, flags, 0o600)


def _rename_to_unused(source: Path, target: Path) -> None:
    """Give a file a name that is not in use yet, or raise FileExistsError."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        target.open("xb").close()
        source.replace(target)
