"""Mail: an outbox in the database, and sending what is in it; nothing waits for the mail server."""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import Connection, Row

from rooms.settings import Settings, now
from rooms.storage import Database, fact, insert, run

log = logging.getLogger("takeanumber")

PATIENT_S = 10  # for each word of the mail server's
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60, 6 * 3600  # after a failure; doubled each time
GIVE_UP_S = 3 * 86400
AT_ONCE = 20  # over one connection


def queue_mail(db: Connection, at: float, contact: Row, recipient: str, subject: str, content: str) -> None:
    """Puts a mail about a contact into the outbox, in the transaction of what it tells of.

    Call it only where mail is set.
    """
    columns = {"recipient": recipient, "subject": " ".join(subject.split()), "content": content}
    columns |= {"place_id": contact.place_id, "contact_id": contact.id}
    insert(db, "mail", "", tries=0, due_at=at, created_at=at, **columns)


def send_mails(database: Database, settings: Settings) -> bool:
    """Sends what is due; says whether there may be more. What fails is tried again, for three days.

    Nothing while writes are paused: that it was sent could not be noted, and so it would be sent again.
    """
    sql = """SELECT mail.* FROM mail JOIN place ON place.id = place_id AND deleted_at IS NULL
             WHERE due_at <= :at ORDER BY due_at, mail.id LIMIT :most"""
    with database.read() as db:
        mails, epoch = run(db, sql, at=now(), most=AT_ONCE).all(), fact(db, "epoch")
    if not mails or database.paused:
        return False
    try:
        server = _connect(settings)
    except (OSError, smtplib.SMTPException) as problem:
        log.warning("The mail server can't be reached: %s", _reason(problem))
        for mail in mails:
            database.write(_postpone, now(), mail, _reason(problem))
        return False
    try:
        for mail in mails:
            if database.paused:
                return False
            _send(database, settings, server, mail, epoch)
    finally:
        server.close()
    return len(mails) == AT_ONCE


def _connect(settings: Settings) -> smtplib.SMTP:
    url = urlsplit(settings.smtp_url)
    safe, host = ssl.create_default_context(), url.hostname or ""
    if url.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=PATIENT_S, context=safe)
    else:
        server = smtplib.SMTP(host, url.port or 587, timeout=PATIENT_S)
    try:
        server.ehlo()
        if url.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=safe)
            server.ehlo()
        elif url.scheme == "smtp" and url.password:
            raise smtplib.SMTPException("it offers no STARTTLS, so the password was not sent")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _message(settings: Settings, mail: Row, epoch: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.smtp_from, mail.recipient, mail.subject
    message["Date"] = formatdate(mail.created_at)
    # The same each time: whoever gets it twice, since we ended before we knew it was sent, is shown one.
    message["Message-ID"] = f"<{mail.id}.{epoch}@{settings.smtp_from.rpartition('@')[2].strip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.content)
    return message


def _send(database: Database, settings: Settings, server: smtplib.SMTP, mail: Row, epoch: str) -> None:
    try:
        server.send_message(_message(settings, mail, epoch), to_addrs=[mail.recipient])
    except smtplib.SMTPRecipientsRefused as problem:
        ((code, said),) = problem.recipients.values()
        why = f"{code} {_reason(said)}"
        log.warning("Mail %s was refused: %s", mail.id, why.replace(mail.recipient, "…"))
        database.write(_erase if code >= 500 else _postpone, now(), mail, why)  # 5…: it will never be taken
    except (OSError, smtplib.SMTPException) as problem:
        log.warning("Mail %s was not sent: %s", mail.id, _reason(problem).replace(mail.recipient, "…"))
        database.write(_postpone, now(), mail, _reason(problem))
    except Exception as problem:  # the library stumbles over odd addresses in many ways, and ever again
        log.warning("Mail %s can't be sent ever: %s", mail.id, type(problem).__name__)
        database.write(_erase, now(), mail)
    else:
        database.write(_erase, now(), mail)


def _reason(problem: Any) -> str:
    text = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
    return " ".join(text.split())[:200] or type(problem).__name__


def _erase(db: Connection, at: float, mail: Row, why: str = "") -> None:
    run(db, "DELETE FROM mail WHERE id = :id", id=mail.id)


def _postpone(db: Connection, at: float, mail: Row, why: str) -> None:
    pause = min(FIRST_PAUSE_S * 2**mail.tries, LONGEST_PAUSE_S)
    if at + pause > mail.created_at + GIVE_UP_S:
        return _erase(db, at, mail)
    sql = "UPDATE mail SET tries = tries + 1, due_at = :due, why = :why WHERE id = :id"
    run(db, sql, due=at + pause, why=why.replace(mail.recipient, "…"), id=mail.id)
