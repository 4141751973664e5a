"""What the pages work with: one Service for each app."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from flask import current_app
from sqlalchemy.engine import Connection

from app.clock import now
from app.core.clock_check import ClockCheck
from app.core.models import BackupStatus
from app.core.wait import WaitEstimator
from app.settings import Settings
from app.storage.database import Database
from app.web.limits import RateLimiter
from app.web.pulse import Pulse

P = ParamSpec("P")
T = TypeVar("T")


class LeaseView(Protocol):
    """What pages need to know of the lease, see app/backup/lease.py."""

    def serves_pages(self) -> bool:
        """Return True while this server may answer: the pages of a standby would be stale."""

    def note_request(self) -> None:
        """Note that a customer asked this server for a page of a place."""


@dataclass(frozen=True)
class Service:
    """The parts that takeanumber.py puts together."""

    settings: Settings
    database: Database
    live: Any  # an app.live.Live, which stands beside this package
    waits: WaitEstimator
    clock_check: ClockCheck
    backup_status: Callable[[], BackupStatus] | None = None  # None: no backups are configured
    lease: LeaseView | None = None  # None: no backups are configured
    limiter: RateLimiter = field(default_factory=RateLimiter)
    pulse: Pulse = field(default_factory=Pulse)
    # Held while a large body is read. A lock that any thread may release.
    large_body_turn: threading.Semaphore = field(default_factory=threading.Semaphore)


def service() -> Service:
    """Return the service of the current app."""
    return cast(Service, current_app.extensions["takeanumber"])


def write(function: Callable[Concatenate[Connection, float, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function(db, at, …)` of core/ on the writer, with the current time."""
    return service().database.write(function, now(), *args, **kwargs)
