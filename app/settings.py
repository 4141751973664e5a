"""Settings: read from the environment once, and validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.errors import CannotStart
from app.text import EMAIL_ADDRESS

BACKUP_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]+[a-z0-9])((/[\w!.*'()-]+)*)/?|(?![^/]*:/)\S.*")
BACKUP_URL_EXAMPLES = "s3://bucket/prefix or /a/directory"
_HOST = r"(\[[0-9a-f:]+\]|[\w.-]+)"
_PORT = r"(:([1-9][0-9]{0,4}))?"
_HTTP_URL = re.compile(rf"https?://{_HOST}{_PORT}/?")
_HOST_ENTRY = re.compile(rf"(https?://|\*\.)?{_HOST}{_PORT}/?")
_DATABASE_URL = re.compile(
    rf"postgres(ql)?://([^@/?#:\[\]\s]+(:[^@/?#:\[\]\s]*)?@)?(?P<hosts>{_HOST}{_PORT}(,{_HOST}{_PORT})*)?"
    r"/[^/?#\s]+(?P<query>\?[^#\s]+)?"
)
_SMTP_URL = re.compile(rf"smtps?://([^@/?#\[\]\s]+@)?{_HOST}{_PORT}/?")
# An address, or a name and an address. The name may be written as it is read, with commas and all, or quoted
# as in the header of a mail.
_SENDER = re.compile(rf"(?P<bare>{EMAIL_ADDRESS})|(?P<name>[^<>]*)<\s*(?P<address>{EMAIL_ADDRESS})\s*>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def _int_setting(default: int | None, minimum: int, maximum: int) -> Any:
    return field(default=default, metadata={"range": (minimum, maximum)})


@dataclass(frozen=True)
class Settings:
    """How this server runs. Each field is read from the environment variable of its name (docs/settings.md).

    Raises CannotStart, with a sentence that names the variable, for a value that can't be used.
    """

    data: Path = Path("data")
    database_url: str = ""
    database_pool: int = _int_setting(8, 1, 200)
    url: str = ""
    places: str = "one"
    setup_code: str = ""
    takes_per_minute: int = _int_setting(120, 1, 10**9)
    max_waiting: int = _int_setting(500, 1, 10**6)
    streams_per_address: int | None = _int_setting(None, 1, 10**6)  # None: half of all, 200 at most
    proxies: int = _int_setting(0, 0, 10)
    keep_personal_days: int = _int_setting(30, 0, 36500)
    require_database: int = _int_setting(0, 0, 1)
    backup_url: str = ""
    take_over: str = ""
    smtp_url: str = ""
    smtp_from: str = ""
    push_hosts: str = "fcm.googleapis.com *.push.services.mozilla.com *.push.apple.com *.notify.windows.com"
    webhook_hosts: str = ""
    host: str = "0.0.0.0"
    port: int = _int_setting(8000, 0, 65535)

    @classmethod
    def read(cls, environment: Mapping[str, str], **options: Any) -> Settings:
        """Return the settings of an environment; an option that isn't None takes precedence."""
        values = {name: value for name, value in options.items() if value is not None}
        for item in fields(cls):
            text = environment.get(variable(item.name), "").strip()
            if not text or item.name in values:
                continue
            if "range" in item.metadata:
                # -1 is outside of every range, so validation names the variable.
                values[item.name] = int(text) if re.fullmatch("[0-9]{1,12}", text) else -1
            else:
                values[item.name] = text
        return cls(**values)

    @property
    def database_path(self) -> Path:
        """The path of the SQLite file."""
        return Path(self.data) / "takeanumber.db"

    @property
    def mail_enabled(self) -> bool:
        """True when a mail server is configured; otherwise no mail is queued."""
        return bool(self.smtp_url)

    def __post_init__(self) -> None:
        self._validate_database()
        if self.places not in ("one", "open"):
            raise CannotStart(f"TAKEANUMBER_PLACES must be 'one' or 'open', not '{self.places}'.")
        if self.url and not _has_valid_port(_HTTP_URL.fullmatch(self.url), group=3):
            raise CannotStart(f"TAKEANUMBER_URL must look like https://queue.example.org, not '{self.url}'.")
        if self.backup_url and not BACKUP_URL.fullmatch(self.backup_url):
            raise CannotStart(
                f"TAKEANUMBER_BACKUP_URL must look like {BACKUP_URL_EXAMPLES}, not '{self.backup_url}'."
            )
        self._validate_mail()
        self._validate_hosts()
        for item in fields(self):
            if "range" in item.metadata:
                (minimum, maximum), value = item.metadata["range"], getattr(self, item.name)
                if value is not None and not minimum <= value <= maximum:
                    name = variable(item.name)
                    raise CannotStart(f"{name} must be a whole number from {minimum} to {maximum}.")

    def _validate_hosts(self) -> None:
        for name in ("push_hosts", "webhook_hosts"):
            for entry in getattr(self, name).split():
                if not _has_valid_port(_HOST_ENTRY.fullmatch(entry.lower()), group=4):
                    raise CannotStart(
                        f"{variable(name)} must be hosts with spaces between them, such as "
                        f"push.example.org 192.168.1.20:8123, not '{entry}'."
                    )

    def _validate_database(self) -> None:
        """Check the URL of a PostgreSQL server. It may hold a password, so no message repeats it."""
        if not self.database_url:
            return
        if not _is_database_url(self.database_url):
            raise CannotStart(
                "TAKEANUMBER_DATABASE_URL must look like postgresql://user:password@host:5432/database. In "
                "the user and the password, write @ as %40, / as %2F, : as %3A, # as %23, ? as %3F and "
                "% as %25."
            )
        if self.backup_url == "none":  # overrides what a platform has set for all
            object.__setattr__(self, "backup_url", "")
        if self.backup_url:
            raise CannotStart(
                "TAKEANUMBER_BACKUP_URL can't be used with TAKEANUMBER_DATABASE_URL: PostgreSQL's own "
                "backups replace these. Leave it out, and use pg_dump or the snapshots of your database "
                "service."
            )

    def _validate_mail(self) -> None:
        if bool(self.smtp_url) != bool(self.smtp_from):
            raise CannotStart(
                "Set both TAKEANUMBER_SMTP_URL, such as smtp://mail.example.org:587, and "
                "TAKEANUMBER_SMTP_FROM, such as queue@example.org, or none of them."
            )
        if self.smtp_url and not _has_valid_port(_SMTP_URL.fullmatch(self.smtp_url), group=4):
            # The value may hold a password, so the message doesn't repeat it.
            raise CannotStart(
                "TAKEANUMBER_SMTP_URL must look like smtp://user:password@mail.example.org:587. In the user "
                "and the password, write @ as %40, / as %2F, : as %3A, # as %23 and % as %25."
            )
        if self.smtp_from:
            read_sender(self.smtp_from)
        if self.smtp_url and not self.url:
            # Without it, links would lead to whatever host a request names.
            raise CannotStart(
                "With TAKEANUMBER_SMTP_URL, set TAKEANUMBER_URL too, such as https://queue.example.org:"
                " the links in mails begin with it."
            )


def _is_database_url(url: str) -> bool:
    """Return True for a URL of a PostgreSQL database, with a host or with a socket in its query."""
    match = _DATABASE_URL.fullmatch(url)
    if match is None:
        return False
    ports = re.findall(r":([0-9]+)", match["hosts"] or "")
    return all(0 < int(port) < 65536 for port in ports) and bool(match["hosts"] or match["query"])


def read_sender(text: str) -> Address:
    """Return the name and the address that mails are sent from. Raises CannotStart."""
    match = _SENDER.fullmatch(text.strip())
    name = (match["name"] or "").strip() if match else ""
    quoted = _QUOTED.fullmatch(name)
    if quoted:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    is_name = name.isprintable() and not re.search(r"\S@\S", name) and (quoted or name.count('"') % 2 == 0)
    if match is None or not is_name:
        raise CannotStart(
            "TAKEANUMBER_SMTP_FROM must be one address, such as queue@example.org, or a name and one "
            f"address, such as Corner Deli <queue@example.org>, not '{text}'."
        )
    user, _, domain = (match["bare"] or match["address"]).rpartition("@")
    if not user.isascii():
        raise CannotStart("TAKEANUMBER_SMTP_FROM: the part of the address before the @ must be ASCII.")
    return Address(display_name=name, username=user, domain=_ascii_host(domain))


def greeting_name(url: str) -> str | None:
    """Return the name that this server gives itself when it greets a mail server (EHLO): the host of its URL.

    Returns None without a URL; then the name of the machine is used.
    """
    host = urlsplit(url).hostname if url else None
    if host is None:
        return None
    if ":" in host:
        return f"[IPv6:{host}]"
    return f"[{host}]" if re.fullmatch(r"[0-9.]+", host) else _ascii_host(host)


def _ascii_host(host: str) -> str:
    """Return a host name as it is looked up: bücher.example as xn--bcher-kva.example."""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _has_valid_port(match: re.Match[str] | None, group: int) -> bool:
    return match is not None and int(match[group] or 1) < 65536


def variable(name: str) -> str:
    """Return the environment variable that a setting is read from."""
    return name.upper() if name in ("host", "port") else f"TAKEANUMBER_{name.upper()}"
