"""From the URL of a store to the store."""

from __future__ import annotations

from app.backup.directory import DirectoryStore
from app.backup.s3 import S3Store
from app.backup.store import Store
from app.errors import CannotStart
from app.settings import BACKUP_URL, BACKUP_URL_EXAMPLES


def open_store(url: str, limit_s: float | None = None) -> Store:
    """Return the store of a URL, without contacting it. Raises CannotStart for a URL that makes no sense.

    With `limit_s`, a request to a bucket fails after about that time and isn't repeated.
    """
    if not url:
        raise CannotStart("Say where the backups are: set TAKEANUMBER_BACKUP_URL, or give a URL.")
    match = BACKUP_URL.fullmatch(url)
    if match is None:
        raise CannotStart(f"The place for backups must look like {BACKUP_URL_EXAMPLES}, not '{url}'.")
    bucket, prefix = match[1], match[2]
    if bucket is None:
        return DirectoryStore(url)
    return S3Store(url, bucket, (prefix or "").strip("/"), limit_s)
