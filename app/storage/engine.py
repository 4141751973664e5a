"""What Database needs of SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Connection

from app.errors import DatabaseFailed

OUTBOX = "(outbox)"  # instead of a slug: for writes that touch only messages that wait to be sent
MOVING_SENTENCE = "Moving to a new server, a moment please."
WRITER_TIMEOUT_S = 10.0  # how long a request waits for the writer, and how long the writer may be silent


class Engine(Protocol):
    """Connections and transactions.

    Each lane has a writer thread, and the writes of one lane run one after the other.
    """

    lanes: Sequence[str]  # their names
    errors: tuple[type[Exception], ...]  # what a failed statement, or the pool of connections, raises
    failure: DatabaseFailed | None  # the reason why the database can't be used any more
    changes_elsewhere: bool  # True: other instances may write to the same database
    hangs_alone: bool  # True: a transaction that takes too long is this process's fault, so that it must end

    def lane_of(self, slug: str | None, *, is_internal: bool) -> int:
        """Return the lane of a write to the place with this slug, to the outbox, or to several places."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a connection that sees one moment of the database and can change nothing."""

    def open_writer(self) -> Connection:
        """Return a connection for a lane."""

    def begin(self, db: Connection, lane: int) -> None:
        """Begin a transaction; other transactions of this lane wait until it ends."""

    def commit(self, db: Connection) -> None:
        """Commit the transaction. Returns when it is on the disk."""

    def roll_back(self, db: Connection) -> None:
        """Undo everything that the transaction has changed, and end it."""

    def in_transaction(self, db: Connection) -> bool:
        """Return False when the transaction was lost."""

    def rows_changed(self, db: Connection) -> int:
        """Return how many rows this connection has changed so far."""

    def is_transient(self, error: BaseException) -> bool:
        """Return True for an error after which the same transaction may succeed."""

    def detect_failure(self, error: BaseException | None) -> None:
        """Set `failure` if an error says that the database can't be used any more."""

    def translate(self, error: Exception) -> Exception:
        """Return what a request that fails with this error is told."""

    def listen(self, on_change: Callable[[], None]) -> None:
        """Call this whenever another instance may have changed something."""

    def tell_others(self, slugs: set[str]) -> None:
        """Tell other instances that these places have changed."""

    def may_run_job(self, name: str) -> bool:
        """Return True when this instance, of all that use the database, runs a background job."""

    def hold(self, name: str) -> None:
        """Let other instances know that this one is busy with some work, until release() or its end."""

    def release(self, name: str) -> None:
        """End hold()."""

    def is_held(self, name: str) -> bool:
        """Return True when an instance is busy with this work, or when that can't be found out."""

    def check_file(self) -> None:
        """Set `failure` when the file is no longer the one that was opened."""

    def check_content(self) -> None:
        """Set `failure` when the file is damaged."""

    def replace_content(self, file: Path) -> None:
        """Replace everything in the database by the content of a file."""

    def close(self) -> None:
        """Close all connections."""
