"""Mail: an outbox in the database, and a job that sends what is in it.

No request waits for the mail server.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import Connection

from app.core.models import Contact
from app.settings import Settings
from app.storage.database import Database
from app.storage.facts import get_fact
from app.storage.sql import insert, load_all, run

log = logging.getLogger("takeanumber")

TIMEOUT_S = 10.0  # for each answer of the mail server
FIRST_PAUSE_S = 60  # after the first failure; doubled after each further one
MAX_PAUSE_S = 6 * 3600
MAX_TRIES = 20  # in about three days. Counted, since a clock that jumps must not lose a mail
MAX_MAILS = 20  # over one connection
MAX_REASON_LENGTH = 200
PERMANENT_FAILURE = 500  # SMTP codes from here on mean that the server will never accept the mail


@dataclass(frozen=True)
class Mail:
    """A mail in the outbox."""

    id: int
    recipient: str
    subject: str
    content: str
    tries: int
    created_at: float


def queue_mail(
    db: Connection, at: float, contact: Contact, recipient: str, subject: str, content: str
) -> None:
    """Put a mail about a contact into the outbox, in the transaction of the change that it tells of.

    Call it only if a mail server is configured.
    """
    insert(
        db,
        "mail",
        place_id=contact.place_id,
        contact_id=contact.id,
        recipient=recipient,
        subject=" ".join(subject.split()),  # a line break would begin another header
        content=content,
        tries=0,
        due_at=at,
        created_at=at,
    )


def send_due_mails(database: Database, at: float, settings: Settings) -> bool:
    """Send the mails that are due, and return True if there may be more.

    A mail that fails is tried again for three days. Nothing is sent while writes are paused: that a mail was
    sent could not be stored, so it would be sent again.
    """
    with database.read() as db:
        mails = _due_mails(db, at)
        epoch = get_fact(db, "epoch")
    if not mails or database.paused:
        return False
    try:
        server = _connect(settings)
    except (OSError, smtplib.SMTPException) as error:
        reason = _reason(error)
        log.warning("The mail server can't be reached: %s", reason)
        for mail in mails:
            database.write(_postpone, at, mail, reason)
        return False
    try:
        for mail in mails:
            if database.paused:
                return False
            _send(database, at, settings, server, mail, epoch)
    finally:
        server.close()
    return len(mails) == MAX_MAILS


def _due_mails(db: Connection, at: float) -> list[Mail]:
    result = run(
        db,
        """SELECT mail.* FROM mail JOIN place ON place.id = place_id AND deleted_at IS NULL
           WHERE due_at <= :at OR due_at > :latest ORDER BY due_at, mail.id LIMIT :limit""",
        at=at,
        latest=at + MAX_PAUSE_S,  # a later one was postponed by a clock that was ahead
        limit=MAX_MAILS,
    )
    return load_all(Mail, result)


def _connect(settings: Settings) -> smtplib.SMTP:
    """Return a connection to the mail server, encrypted if the server can, and logged in if a user is set."""
    url = urlsplit(settings.smtp_url)
    host = url.hostname or ""
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if url.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, url.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, url.port or 587, timeout=TIMEOUT_S)
    try:
        server.ehlo()
        if url.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif url.scheme == "smtp" and url.password:
            raise smtplib.SMTPException("it offers no STARTTLS, so the password was not sent")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _send(
    database: Database, at: float, settings: Settings, server: smtplib.SMTP, mail: Mail, epoch: str
) -> None:
    """Send a mail, and delete it from the outbox or postpone it."""
    try:
        server.send_message(_message(settings, mail, epoch), to_addrs=[mail.recipient])
    except smtplib.SMTPRecipientsRefused as error:
        ((code, answer),) = error.recipients.values()
        reason = f"{code} {_reason(answer)}"
        log.warning("Mail %s was refused: %s", mail.id, _without_recipient(reason, mail))
        if code >= PERMANENT_FAILURE:
            database.write(_delete, mail)
        else:
            database.write(_postpone, at, mail, reason)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("Mail %s was not sent: %s", mail.id, _without_recipient(_reason(error), mail))
        database.write(_postpone, at, mail, _reason(error))
    except Exception as error:  # noqa: BLE001
        # The library fails in many ways on odd addresses, and would fail again.
        log.warning("Mail %s can never be sent: %s", mail.id, type(error).__name__)
        database.write(_delete, mail)
    else:
        database.write(_delete, mail)


def _message(settings: Settings, mail: Mail, epoch: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.smtp_from
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = formatdate(mail.created_at)
    # The same id each time: if the server stops before it stores that a mail was sent, it sends the mail
    # twice, and mail programs show it once.
    domain = settings.smtp_from.rpartition("@")[2].strip(">")
    message["Message-ID"] = f"<{mail.id}.{epoch}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.content)
    return message


def _reason(error: object) -> str:
    """Return an exception, or an answer of the mail server, as a short text in one line."""
    text = error.decode("utf-8", "replace") if isinstance(error, bytes) else str(error)
    return " ".join(text.split())[:MAX_REASON_LENGTH] or type(error).__name__


def _without_recipient(reason: str, mail: Mail) -> str:
    """Return a reason without the e-mail address, which mail servers often repeat."""
    return reason.replace(mail.recipient, "…")


def _delete(db: Connection, mail: Mail) -> None:
    run(db, "DELETE FROM mail WHERE id = :id", id=mail.id)


def _postpone(db: Connection, at: float, mail: Mail, reason: str) -> None:
    pause_s = min(FIRST_PAUSE_S * 2**mail.tries, MAX_PAUSE_S)
    if mail.tries + 1 >= MAX_TRIES:
        _delete(db, mail)
        return
    run(
        db,
        "UPDATE mail SET tries = tries + 1, due_at = :due_at, why = :reason WHERE id = :id",
        due_at=at + pause_s,
        reason=_without_recipient(reason, mail),
        id=mail.id,
    )
