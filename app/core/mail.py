"""Sending the mails that are in the outbox, from a thread of app/dispatch.py: no request waits for them."""

from __future__ import annotations

import logging
import smtplib
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import Connection

from app.core.due_messages import is_up_to_date
from app.core.mail_addresses import address_key, is_blocked, is_confirmed, log_mail, next_mail_at
from app.core.outbox import ALERT, CLAIM_S, MAIL, MAX_PAUSE_S, NEWS, REQUEST, claim
from app.settings import Settings, greeting_name, read_sender
from app.storage.database import Database
from app.storage.engine import OUTBOX
from app.storage.facts import get_fact
from app.storage.sql import load_all, run

log = logging.getLogger("takeanumber")

TIMEOUT_S = 10.0  # for each answer of the mail server
FIRST_PAUSE_S = 60  # after the first failure; doubled after each further one
MAX_TRIES = 20  # in about three days. Counted, since a clock that jumps must not lose a mail
MAX_MAILS = 20  # over one connection
MAX_REASON_LENGTH = 200
# These mails are counted when they are sent, and postponed if they are too many; others when they are queued.
COUNTED_WHEN_SENT = (ALERT, NEWS, REQUEST)
# These go to confirmed addresses only, and what is due to one becomes one message.
TO_STAFF = (ALERT, REQUEST)
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
    place_id: int
    kind: str
    address_key: str | None
    ticket_id: int | None
    expires_at: float | None


def send_due_mails(database: Database, at: float, settings: Settings, instance: str) -> bool:
    """Send the mails that are due, claimed for this instance, and return True if there may be more.

    Several mails to the staff of a place become one message. A mail that fails is tried again for three days.
    Nothing is sent while writes are paused: that a mail was sent could not be stored, so it would be sent
    again.
    """
    with database.read() as db:
        mails = _due_mails(db, at)
        epoch = get_fact(db, "epoch")
    if not mails or database.paused:
        return False
    claimed_at = time.monotonic()
    claimed = database.write_internal(claim, at, [mail.id for mail in mails], instance)
    mails = [mail for mail in mails if mail.id in claimed]
    if not mails:
        return False
    try:
        server = _connect(settings)
    except (OSError, smtplib.SMTPException) as error:
        reason = _reason(error)
        log.warning("The mail server can't be reached: %s", reason)
        for mail in mails:
            database.write_in(OUTBOX, _postpone, at, [mail], reason)
        return False
    try:
        late = [mail for mail in mails if mail.expires_at is not None and mail.expires_at <= at]
        if late:
            database.write_in(OUTBOX, _delete, late)
        for group in _by_message([mail for mail in mails if mail not in late]):
            if database.paused:
                return False
            if _may_send(database, at, group):
                _send(database, at, settings, server, group, epoch)
            if time.monotonic() - claimed_at > CLAIM_S / 2:
                return True  # with a slow mail server, the rest must be claimed again
    finally:
        server.close()
    return len(mails) == MAX_MAILS


def _by_message(mails: list[Mail]) -> list[list[Mail]]:
    """Return the mails in lists, each of which is sent as one message.

    The staff of a place may have many requests at once, and may get only a few messages an hour.
    """
    messages: dict[tuple[object, ...], list[Mail]] = {}
    for mail in mails:
        if mail.kind in TO_STAFF:
            messages.setdefault((mail.place_id, mail.kind, mail.recipient.casefold()), []).append(mail)
        else:
            messages[mail.id,] = [mail]
    return list(messages.values())


def _may_send(database: Database, at: float, mails: list[Mail]) -> bool:
    """Return True for mails that may be sent now. Others are postponed, or deleted if they never may.

    Only those of the kinds COUNTED_WHEN_SENT can be too many here.
    """
    first = mails[0]
    with database.read() as db:
        key = _key_of(db, mails)
        is_refused = is_blocked(db, key) or not is_up_to_date(db, at, first)
        if first.kind in TO_STAFF:
            is_refused = not is_confirmed(db, first.place_id, key)
        due_at = next_mail_at(db, at, first.place_id, key) if first.kind in COUNTED_WHEN_SENT else at
    if is_refused:
        database.write_in(OUTBOX, _delete, mails)
    elif due_at > at:
        database.write_in(OUTBOX, _put_off, mails, due_at)
    return not is_refused and due_at <= at


def _put_off(db: Connection, mails: list[Mail], due_at: float) -> None:
    sql = "UPDATE mail SET due_at = :due_at WHERE id IN :ids"
    run(db, sql, due_at=due_at, ids=[mail.id for mail in mails])


def _store_sent(db: Connection, at: float, mails: list[Mail]) -> None:
    """Delete mails that were sent, and count those of the kinds COUNTED_WHEN_SENT."""
    if mails[0].kind in COUNTED_WHEN_SENT:
        log_mail(db, at, mails[0].place_id, _key_of(db, mails))
    _delete(db, mails)


def _key_of(db: Connection, mails: list[Mail]) -> str:
    return mails[0].address_key or address_key(db, mails[0].recipient)


def _due_mails(db: Connection, at: float) -> list[Mail]:
    result = run(
        db,
        """SELECT mail.* FROM mail JOIN place ON place.id = place_id AND deleted_at IS NULL
           WHERE target = :target AND (due_at <= :at OR due_at > :latest)
           ORDER BY due_at, mail.id LIMIT :limit""",
        target=MAIL,
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
    own_name = greeting_name(settings.url)
    server: smtplib.SMTP
    if url.scheme == "smtps":
        server = smtplib.SMTP_SSL(
            host, url.port or 465, local_hostname=own_name, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(host, url.port or 587, local_hostname=own_name, timeout=TIMEOUT_S)
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
    database: Database, at: float, settings: Settings, server: smtplib.SMTP, mails: list[Mail], epoch: str
) -> None:
    """Send mails as one message, and delete them from the outbox or postpone them."""
    mail = mails[0]
    try:
        sender = read_sender(settings.smtp_from).addr_spec
        message = _message(settings, mails, epoch)
        server.send_message(message, from_addr=sender, to_addrs=[mail.recipient])
    except smtplib.SMTPRecipientsRefused as error:
        ((code, answer),) = error.recipients.values()
        reason = f"{code} {_reason(answer)}"
        log.warning("Mail %s was refused: %s", mail.id, _without_recipient(reason, mail))
        if code >= PERMANENT_FAILURE:
            database.write_in(OUTBOX, _delete, mails)
        else:
            database.write_in(OUTBOX, _postpone, at, mails, reason)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("Mail %s was not sent: %s", mail.id, _without_recipient(_reason(error), mail))
        database.write_in(OUTBOX, _postpone, at, mails, _reason(error))
    except Exception as error:  # noqa: BLE001
        # The library fails in many ways on odd addresses, and would fail again.
        log.warning("Mail %s can never be sent: %s", mail.id, type(error).__name__)
        database.write_in(OUTBOX, _delete, mails)
    else:
        database.write_in(OUTBOX, _store_sent, at, mails)


def _message(settings: Settings, mails: list[Mail], epoch: str) -> EmailMessage:
    mail = mails[0]
    message = EmailMessage()
    sender = read_sender(settings.smtp_from)
    message["From"] = sender
    message["To"] = mail.recipient
    message["Subject"] = mail.subject if len(mails) == 1 else f"{mail.subject}, and {len(mails) - 1} more"
    message["Date"] = formatdate(mail.created_at)
    # The same id each time: if the server stops before it stores that a mail was sent, it sends the mail
    # twice, and mail programs show it once.
    message["Message-ID"] = f"<{mail.id}.{epoch}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(each.content for each in mails))
    return message


def _reason(error: object) -> str:
    """Return an exception, or an answer of the mail server, as a short text in one line."""
    text = error.decode("utf-8", "replace") if isinstance(error, bytes) else str(error)
    return " ".join(text.split())[:MAX_REASON_LENGTH] or type(error).__name__


def _without_recipient(reason: str, mail: Mail) -> str:
    """Return a reason without the email address, which mail servers often repeat."""
    return reason.replace(mail.recipient, "…")


def _delete(db: Connection, mails: list[Mail]) -> None:
    run(db, "DELETE FROM mail WHERE id IN :ids", ids=[mail.id for mail in mails])


def _postpone(db: Connection, at: float, mails: list[Mail], reason: str) -> None:
    for mail in mails:
        if mail.tries + 1 >= MAX_TRIES:
            _delete(db, [mail])
            continue
        run(
            db,
            "UPDATE mail SET tries = tries + 1, due_at = :due_at, why = :reason WHERE id = :id",
            due_at=at + min(FIRST_PAUSE_S * 2**mail.tries, MAX_PAUSE_S),
            reason=_without_recipient(reason, mail),
            id=mail.id,
        )
