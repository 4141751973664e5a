"""The URLs in mails."""

from __future__ import annotations

from app.core.mail_addresses import MailLinks
from app.web.links import base_url
from app.web.public_links import public_url
from app.web.service import service


def mail_links(place: str = "") -> MailLinks | None:
    """Return what makes the URLs in mails about a place, or None if no mail server is configured.

    The writer calls it in its own thread, which has no request, so url_for() doesn't work there.
    """
    settings = service().settings
    if not settings.mail_enabled:
        return None
    base = public_url(base_url())
    return MailLinks(
        ticket=lambda token: f"{base}/{place}/t/{token}",
        any_ticket=lambda token: f"{base}/mail/{token}/ticket",
        address=lambda token: f"{base}/mail/{token}",
        not_me=lambda token: f"{base}/mail/{token}/not-me",
        names_place=settings.places == "one",
    )
