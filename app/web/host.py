"""The address under which a client reached the server, checked before anything is made of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

INVALID_HOST = "takeanumber.invalid_host"  # a key of the WSGI environment

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(
    rf"(?P<name>{_LABEL}(\.{_LABEL})*\.?|\[(?P<ipv6>[0-9a-f:.]+)\])(:(?P<port>[1-9][0-9]{{0,4}}))?",
    re.IGNORECASE | re.ASCII,
)
MAX_NAME_LENGTH = 253
MAX_PORT = 65535


def is_valid_host(host: str) -> bool:
    """Return True for a Host header with a name or an address, and maybe a port."""
    match = _HOST.fullmatch(host)
    if match is None or len(match["name"]) > MAX_NAME_LENGTH or int(match["port"] or 1) > MAX_PORT:
        return False
    if match["ipv6"]:
        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            return False
    return True


def check_address(app: WsgiApp) -> WsgiApp:
    """Wrap a WSGI app: an invalid Host is replaced and marked, and the scheme is http or https.

    Flask uses the Host before it calls any of our code, and fails at one that is no name. What is marked here
    is refused by request.check_request(). The scheme may come from a header that a proxy has passed on.
    """

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        # Only the versions before HTTP/1.1 can leave it out.
        if not is_valid_host(host or "") and (
            host is not None or environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        ):
            environ["HTTP_HOST"] = "localhost"
            environ[INVALID_HOST] = True
        scheme = str(environ.get("wsgi.url_scheme", "")).lower()
        environ["wsgi.url_scheme"] = scheme if scheme in ("http", "https") else "http"
        return app(environ, start_response)

    return checked
