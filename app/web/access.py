"""Which link a URL holds, and whether it is valid."""

from __future__ import annotations

from collections.abc import Callable

from flask import request
from sqlalchemy.engine import Connection

from app.clock import now
from app.core.desks import find_desk
from app.core.doors import find_door
from app.core.mail_addresses import find_address
from app.core.places import find_place, find_place_for_owner, find_place_for_staff
from app.core.tickets import find_ticket
from app.web.service import service


def _find_door(db: Connection, slug: str, token: str) -> object:
    return find_door(db, now(), find_place(db, slug), token)


# By the second segment of a URL, `/<place>/manage/<token>`: what raises NotFound for a link that isn't valid.
_FINDERS: dict[str, Callable[[Connection, str, str], object]] = {
    "manage": find_place_for_owner,
    "staff": find_place_for_staff,
    "desk": find_desk,
    "door": _find_door,
    "t": find_ticket,
}


def check_link() -> None:
    """Raise NotFound when the URL of this request holds a link that isn't valid."""
    values = request.view_args or {}
    if request.url_rule is None or "token" not in values:
        return
    with service().database.read() as db:
        if "place" in values:
            find = _FINDERS[request.url_rule.rule.split("/")[2]]
            find(db, values["place"], values["token"])
        else:
            find_address(db, values["token"])
