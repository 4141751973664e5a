"""The pages of a server that doesn't hold the lease: each says that the shop is moving, and tries again.

A standby has an old copy of the database, so a board that it showed would be wrong. A request for a page of a
place makes it ask for the lease.
"""

from __future__ import annotations

from flask import request

from app.core.places import all_places, find_place
from app.errors import NotFound, WritesPaused
from app.storage.engine import MOVING_SENTENCE
from app.web.response import Answer, handle_service_error
from app.web.service import service

ALWAYS_ANSWERED = ("static", "health.show_health")  # they show nothing of a place


def refuse_on_standby() -> None:
    """Raise WritesPaused when another server holds the lease, or may hold it."""
    lease = service().lease
    if lease is None or request.endpoint in (None, *ALWAYS_ANSWERED) or lease.serves_pages():
        return
    slug = (request.view_args or {}).get("place")
    if slug is not None and _is_known(slug):
        lease.note_request()
    raise service().database.paused or WritesPaused(MOVING_SENTENCE)


def check_answer(response: Answer) -> Answer:
    """Note a customer's request; and replace the answer if the lease may have been lost meanwhile."""
    lease = service().lease
    if lease is None or request.endpoint in (None, *ALWAYS_ANSWERED):
        return response
    is_success = response.status_code < 400
    if is_success and not lease.serves_pages():
        # The process was frozen. What a form sent may be stored here, but the new holder doesn't know it.
        response.close()  # or a stream would never be left
        return handle_service_error(WritesPaused(MOVING_SENTENCE))
    if is_success and "place" in (request.view_args or {}):
        lease.note_request()
    return response


def _is_known(slug: str) -> bool:
    """Return True for a place of this copy, and for any place if the copy was made before the first one."""
    with service().database.read() as db:
        try:
            find_place(db, slug)
        except NotFound:
            return not all_places(db)
    return True
