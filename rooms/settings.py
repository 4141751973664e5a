"""Settings: from the environment; and the service's own few exceptions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


class Refused(Exception):
    """What can't be done, in a sentence that says what to do instead; `status` is its HTTP status."""

    status = 400

    def __init__(self, sentence: str, status: int | None = None, retry_after: int | None = None):
        super().__init__(sentence)
        self.status, self.retry_after = status or self.status, retry_after


BadInput = type("BadInput", (Refused,), {"status": 400})
Forbidden = type("Forbidden", (Refused,), {"status": 403})
NotFound = type("NotFound", (Refused,), {"status": 404})
Conflict = type("Conflict", (Refused,), {"status": 409})
TooMany = type("TooMany", (Refused,), {"status": 429})
Unavailable = type("Unavailable", (Refused,), {"status": 503})


class CannotStart(Exception):
    """Why a command can't do its work, in one sentence for whoever typed it."""


BACKUP_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]+[a-z0-9])((/[\w!.*'()-]+)*)/?|(?![^/]*:/)\S.*")
BACKUP_URLS = "s3://bucket/prefix or /a/directory"
HOST = r"(\[[0-9a-f:]+\]|[\w.-]+)"  # of a URL
_WORD = r"[^@<>,;:()\[\]\"\\\s.]+"
ADDRESS = rf"{_WORD}(?:\.{_WORD})*@{_WORD}(?:\.{_WORD})*"  # of an e-mail


def _within(default: int, low: int, high: int) -> Any:
    return field(default=default, metadata={"within": (low, high)})


@dataclass(frozen=True)
class Settings:
    """How this server runs; each field is read from the environment variable of its name (see the README)."""

    data: Path = Path("data")
    database_url: str = ""
    url: str = ""
    places: str = "one"
    setup_code: str = ""
    takes_per_minute: int = _within(120, 1, 10**9)
    max_waiting: int = _within(500, 1, 10**6)
    streams_per_address: int = _within(200, 1, 10**6)
    proxies: int = _within(0, 0, 10)
    keep_personal_days: int = _within(30, 0, 36500)
    require_database: int = _within(0, 0, 1)
    backup_url: str = ""
    handover_s: int = _within(30, 0, 3600)
    rollback_s: int = _within(180, 1, 86400)
    smtp_url: str = ""
    smtp_from: str = ""
    host: str = "0.0.0.0"
    port: int = _within(8000, 0, 65535)

    def __post_init__(self) -> None:
        if self.database_url:
            raise CannotStart("TAKEANUMBER_DATABASE_URL is not supported yet: leave it out to use SQLite.")
        if self.places not in ("one", "open"):
            raise CannotStart(f"TAKEANUMBER_PLACES must be 'one' or 'open', not '{self.places}'.")
        url = re.fullmatch(rf"https?://{HOST}(:([1-9][0-9]{{0,4}}))?/?", self.url)
        if self.url and not (url and int(url[3] or 80) < 65536):
            raise CannotStart(f"TAKEANUMBER_URL must look like https://queue.example.org, not '{self.url}'.")
        if self.backup_url and not BACKUP_URL.fullmatch(self.backup_url):
            raise CannotStart(
                f"TAKEANUMBER_BACKUP_URL must look like {BACKUP_URLS}, not '{self.backup_url}'."
            )
        self._check_mail()
        for item in fields(self):
            low, high = item.metadata.get("within", (0, 0))
            if high and not low <= getattr(self, item.name) <= high:
                raise CannotStart(f"{variable(item.name)} must be a whole number from {low} to {high}.")

    @property
    def path(self) -> Path:
        """Where the database is."""
        return Path(self.data) / "takeanumber.db"

    def _check_mail(self) -> None:
        if bool(self.smtp_url) != bool(self.smtp_from):
            raise CannotStart("Set both TAKEANUMBER_SMTP_URL and TAKEANUMBER_SMTP_FROM, or none of them.")
        server = re.fullmatch(rf"smtps?://([^@/\s]+@)?{HOST}(:([1-9][0-9]{{0,4}}))?/?", self.smtp_url)
        if self.smtp_url and not (
            server and int(server[4] or 25) < 65536
        ):  # it may hold a password: not shown
            raise CannotStart(
                "TAKEANUMBER_SMTP_URL must look like smtp://user:password@mail.example.org:587."
            )
        if self.smtp_from and not re.fullmatch(rf"{ADDRESS}|[^<>\s][^<>\r\n]*<{ADDRESS}>", self.smtp_from):
            raise CannotStart("TAKEANUMBER_SMTP_FROM must be an address such as queue@example.org.")

    @property
    def mails(self) -> bool:
        """Whether mail can be sent; else none is to be queued."""
        return bool(self.smtp_url)

    @classmethod
    def read(cls, environment: Mapping[str, str], **options: Any) -> Settings:
        """The settings of an environment, and options given over them; raises CannotStart for nonsense."""
        values = {name: value for name, value in options.items() if value is not None}
        for item in fields(cls):
            if value := environment.get(variable(item.name), "").strip():
                whole = int(value) if re.fullmatch("[0-9]{1,12}", value) else -1
                values.setdefault(item.name, whole if "within" in item.metadata else value)
        return cls(**values)


def variable(name: str) -> str:
    """The environment variable that a setting is read from."""
    return name.upper() if name in ("host", "port") else f"TAKEANUMBER_{name.upper()}"


clock: Callable[[], float] = time.time  # which tests replace


def now() -> float:
    """Seconds since the epoch; all code asks the time here."""
    return clock()
