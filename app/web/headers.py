"""Headers of all responses, and the session cookie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from app.clock import DAY_S
from app.web.host import WsgiApp
from app.web.links import is_https

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "manifest-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

CONSTANT_HEADERS = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]


def add_constant_headers(app: WsgiApp) -> WsgiApp:
    """Wrap a WSGI app: every response gets CONSTANT_HEADERS. Here that costs least."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, headers + CONSTANT_HEADERS, *error)

        return app(environ, start)

    return wrapped


def is_public_page(response: Response) -> bool:
    """Return True for a page that search engines may show: one that needs no token."""
    has_token = "token" in (request.view_args or {})
    return response.status_code == 200 and not has_token and response.mimetype == "text/html"


HSTS_S = 365 * DAY_S  # for how long a browser shall use nothing but https


class SessionCookies(SecureCookieSessionInterface):
    """Session cookies that are sent over https only, if that is how browsers reach this server."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request. Without a cookie there is nothing to verify."""
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Return True when a cookie must be marked as Secure."""
        return is_https()


def add_headers(response: Response) -> Response:
    """Add the headers that depend on the response."""
    if is_https():
        response.headers["Strict-Transport-Security"] = f"max-age={HSTS_S}"
    if not is_public_page(response):
        response.headers["X-Robots-Tag"] = "noindex"
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("Vary", "Accept")
    return response
