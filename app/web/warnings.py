"""What is wrong with this server, in sentences for the owners of its places."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from app.core.models import Place
from app.web.present import date_in_words, iso
from app.web.service import service


def warnings_of(db: Connection, at: float, place: Place) -> list[str]:
    """Return sentences about what is wrong with the server, and what the owner can do about it."""
    failure = service().database.failure
    warnings = [] if failure is None else [str(failure)]
    trusted_at = service().clock_check.doubt(db, at)
    if trusted_at is None:
        return warnings
    shown, known = (date_in_words(str(iso(time, place))[:10]) for time in (at, trusted_at))
    warnings.append(
        f"The date of this server may be wrong. It shows {shown}, but it was {known} when it was last right."
        " Please check it. Nothing is erased until a time server confirms the date, or the server has run"
        " for an hour."
    )
    return warnings
