"""The entries of the lease in a store."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from app.backup.copies import format_time
from app.backup.errors import AlreadyStored, NoConditionalWrites, StorageFailed
from app.backup.lease import Entry
from app.backup.store import Store, StoredFile
from app.clock import now

LEASE_FOLDER = "lease/"

_NAME = re.compile(rf"{LEASE_FOLDER}(\d{{8,}})\.json", re.ASCII)


class LeaseLog:
    """The log of the lease. Every method raises StorageFailed when the store doesn't answer as it should."""

    def __init__(self, store: Store):
        self._store = store
        self._was_tested = False

    def newest_number(self) -> int:
        """Return the highest number of an entry, 0 if there is none."""
        return newest_entry_number(self._store.list_files(LEASE_FOLDER))

    def read(self, number: int) -> Entry | None:
        """Return an entry, or None if there certainly is none."""
        name = _name(number)
        content = self._store.read(name)
        if content is None:
            return None
        try:
            fields = json.loads(content)
            return Entry(
                state=fields["state"],
                holder=fields["holder"],
                by=fields["by"],
                demand=fields["demand"],
                reserved_for=fields["for"],
                last=fields["last"],
                environment=fields["environment"],
                shop=fields["shop"],
                at=fields["at"],
            )
        except (ValueError, KeyError, TypeError):
            raise StorageFailed(
                f"{name} at {self._store.url} can't be read: when it stays so, remove that file."
            ) from None

    def newest(self) -> tuple[int, Entry | None]:
        """Return the newest entry and its number."""
        number = self.newest_number()
        return number, self.read(number) if number else None

    def create(self, number: int, entry: Entry) -> None:
        """Create an entry. Raises AlreadyStored when it exists.

        Raises NoConditionalWrites when the store overwrites an existing file, as some S3 servers do.
        """
        entry = replace(entry, at=format_time(now()))
        fields = {
            "state": entry.state,
            "holder": entry.holder,
            "by": entry.by,
            "demand": entry.demand,
            "for": entry.reserved_for,
            "last": entry.last,
            "environment": entry.environment,
            "shop": entry.shop,
            "at": entry.at,
        }
        content = json.dumps(fields).encode()
        self._store.put(_name(number), content)
        if not self._was_tested:
            try:
                self._store.put(_name(number), content)
            except AlreadyStored:
                self._was_tested = True
            else:
                raise NoConditionalWrites(
                    f"The place for backups {self._store.url} overwrites what is there (it ignores"
                    " If-None-Match), so two servers could both write. Choose another."
                )


def newest_entry_number(files: list[StoredFile]) -> int:
    """Return the highest number of an entry among stored files, 0 if there is none."""
    matches = [_NAME.fullmatch(file.name) for file in files]
    return max((int(match[1]) for match in matches if match), default=0)


def _name(number: int) -> str:
    return f"{LEASE_FOLDER}{number:08}.json"
