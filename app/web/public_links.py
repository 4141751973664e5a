"""Links that are meant for other devices: QR codes, the poster, what the owner copies and shares.

When the owner looks at their page at http://127.0.0.1:8000, phones can't open links that begin like that.
Such links get an address of this machine that phones can reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, g, request

from app.addresses import is_loopback, local_addresses
from app.core.models import Place
from app.web.links import base_url
from app.web.present import qr_code
from app.web.service import service


@dataclass(frozen=True)
class PublicAddress:
    """Where other devices reach this server, as far as it is known."""

    url: str  # what public links begin with
    host: str  # the host in it
    choices: list[str]  # the hosts to choose from; empty when there is no doubt
    is_reachable: bool  # False: only this machine can open the links


def public_address(place: Place | None = None) -> PublicAddress:
    """Return where other devices reach this server: what is configured, what was asked, or a guess."""
    base = base_url()
    settings = service().settings
    if settings.url or not is_loopback(request.host):
        return PublicAddress(base, request.host, [], is_reachable=True)
    hosts = [] if is_loopback(settings.host) else _local_addresses()
    if not hosts:
        return PublicAddress(base, request.host, [], is_reachable=False)
    chosen = place.address if place is not None and place.address in hosts else hosts[0]
    port = str(request.environ.get("SERVER_PORT", "80"))
    suffix = "" if port == "80" else f":{port}"
    return PublicAddress(f"http://{chosen}{suffix}", chosen, hosts, is_reachable=True)


def _local_addresses() -> list[str]:
    if "local_addresses" not in g:
        g.local_addresses = local_addresses()
    return list(g.local_addresses)


def public_url(url: str, place: Place | None = None) -> str:
    """Return a link of this server as other devices can open it. Other texts stay as they are."""
    base = base_url()
    if url == base or url.startswith(f"{base}/"):
        return public_address(place).url + url.removeprefix(base)
    return url


# ----- template filters


def public_filter(url: str) -> str:
    """Return a link as other devices can open it; see public_url()."""
    return public_url(url, g.get("place"))


def qr_filter(url: str) -> str:
    """Return the QR code of a link, for other devices."""
    return qr_code(public_filter(url))


def init_app(app: Flask) -> None:
    """Register the template filters."""
    app.jinja_env.filters.update(public=public_filter, qr=qr_filter)
