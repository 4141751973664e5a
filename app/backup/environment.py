"""The name of the environment that a server belongs to, so that a clone of it doesn't take over the shop.

A cloned environment has all properties of the first, the place for backups too. So its name is not a setting:
a hook writes it into the data directory of each machine.
"""

from __future__ import annotations

from pathlib import Path

from app.backup.lease import Entry, LeaseRefused
from app.backup.store import Store

FILE_NAME = "environment"


def environment_of(data: Path) -> str:
    """Return the name of the environment, empty if there is none."""
    try:
        return (data / FILE_NAME).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def check_environment(store: Store, entry: Entry | None, environment: str, take_over: str) -> None:
    """Raise LeaseRefused when the holder of the lease belongs to another environment.

    `take_over` is the name of another environment that this one is to replace.
    """
    if entry is None or not environment or entry.environment in ("", environment, take_over):
        return
    raise LeaseRefused(
        f"The environment '{entry.environment}' keeps its backups at {store.url}, and this is"
        f" '{environment}': give it a place of its own (TAKEANUMBER_BACKUP_URL). If it is to replace"
        f" '{entry.environment}' for good, use --take-over {entry.environment}."
    )
