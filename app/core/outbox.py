"""The outbox: mails that wait to be sent, in the transaction of the change that they tell of."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.core.mail_texts import MailText
from app.storage.sql import insert

# The kinds of mails. The last one goes to confirmed addresses only.
CONFIRM = "confirm"  # the link to confirm an address
RECEIPT = "receipt"  # to somebody who asked to be called
NEWS = "news"  # to the same, what became of their request
REQUEST = "request"  # to the staff of a call list


def queue_mail(
    db: Connection,
    at: float,
    place_id: int,
    kind: str,
    recipient: str,
    address_key: str,
    text: MailText,
    contact_id: int | None = None,
) -> None:
    """Put a mail into the outbox. Call it only if a mail server is configured.

    :param contact_id: the contact that it is about; it is deleted when the contact is forgotten
    """
    insert(
        db,
        "mail",
        place_id=place_id,
        contact_id=contact_id,
        kind=kind,
        recipient=recipient,
        address_key=address_key,
        subject=" ".join(text.subject.split()),  # a line break would begin another header
        content=text.content,
        tries=0,
        due_at=at,
        created_at=at,
    )
