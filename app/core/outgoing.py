"""Requests to servers whose URLs strangers have entered: webhooks and the push services of browsers.

Such a URL may be meant to make this server ask something in its own network. So only https URLs are used, and
only if all addresses of the host are public. The host is resolved once for each request, and that address is
connected to: a name that means another address a moment later changes nothing. Redirects aren't followed.

Whoever runs the server can name hosts to which this doesn't apply: TAKEANUMBER_WEBHOOK_HOSTS, and those in
TAKEANUMBER_PUSH_HOSTS that are this machine.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from app.addresses import is_loopback
from app.errors import BadInput, ServiceError, reason_of

TIMEOUT_S = 10.0  # for a whole request, however slowly the server answers
RESOLVE_S = 3.0  # how long a URL that is being entered waits for the name server
MAX_URL_LENGTH = 1000
MAX_ANSWER_BYTES = 1000  # of a response; the rest isn't read
HTTPS_PORT, HTTP_PORT = 443, 80

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?")
# Names that only a local network knows; such a name may have no address while it is entered.
_LOCAL_NAME = re.compile(
    r"(.*\.)?(localhost|local|localdomain|internal|intranet|lan|home|corp|private|home\.arpa)\.?"
)
_NUMERIC = re.compile(
    r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?"
)  # all that may be read as an address
_TRANSLATED = (  # IPv6 networks whose addresses hold an IPv4 address, and where in it that begins, in bytes
    (ipaddress.ip_network("64:ff9b::/96"), 12),
    (ipaddress.ip_network("64:ff9b:1::/48"), 12),
    (ipaddress.ip_network("2002::/16"), 2),
    (ipaddress.ip_network("::/96"), 12),
)

HTTPS_ONLY = "this must be an https:// URL."
NOT_PUBLIC = "this leads into a private network. Only public addresses can be used."


class RefusedTarget(ServiceError):
    """A URL that this server doesn't send anything to."""


class NoAnswer(Exception):
    """A request that was not answered, for the reason in the message."""


@dataclass(frozen=True)
class Hosts:
    """Hosts that a setting names: each a host, a host and a port, or the beginning of a URL.

    "*.example.org" stands for all hosts whose names end like that.
    """

    entries: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Hosts:
        """Return the hosts of a setting, which has spaces between them."""
        return cls(tuple(entry.rstrip("/") for entry in text.lower().split()))

    def include(self, url: SplitResult) -> bool:
        """Return True if an entry names the host of a URL."""
        host = (url.hostname or "").lower()
        if ":" in host:
            host = f"[{host}]"
        port = port_of(url)
        names = {f"{host}:{port}", f"{url.scheme}://{host}:{port}"}
        if url.port is None or port == (HTTPS_PORT if url.scheme == "https" else HTTP_PORT):
            names |= {host, f"{url.scheme}://{host}"}
        return any(
            entry in names or (entry.startswith("*.") and host in names and host.endswith(entry[1:]))
            for entry in self.entries
        )

    def on_this_machine(self) -> Hosts:
        """Return those that only this machine can reach; for tests."""
        return Hosts(
            tuple(
                entry
                for entry in self.entries
                if is_loopback(entry.removeprefix("http://").removeprefix("https://"))
            )
        )


@dataclass(frozen=True)
class Response:
    """The answer of another server; `text` is the beginning of its body."""

    status: int
    text: str


# ----- checking


def parse_url(text: str) -> SplitResult:
    """Return the parts of a URL. Raises RefusedTarget for what isn't one of a host that can be looked up."""
    if len(text) > MAX_URL_LENGTH or not text.isascii() or re.search(r"[\s\\<>\"^`{|}\x00-\x1f\x7f]", text):
        raise RefusedTarget("this is not a URL. Use one such as https://example.org/hook.")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise RefusedTarget("this is not a URL. Use one such as https://example.org/hook.") from None
    if url.scheme not in ("http", "https"):
        raise RefusedTarget(HTTPS_ONLY)
    if "@" in url.netloc:
        raise RefusedTarget("please leave out the user name and the password.")
    if port == 0 or not host or ("%" in host):
        raise RefusedTarget("this is not a URL. Use one such as https://example.org/hook.")
    if ":" not in host and not _HOST_NAME.fullmatch(host):
        raise RefusedTarget("the name of this host can't be looked up. Use one such as example.org.")
    return url


def port_of(url: SplitResult) -> int:
    """Return the port of a URL."""
    return url.port or (HTTPS_PORT if url.scheme == "https" else HTTP_PORT)


def check_url(text: str, trusted: Hosts, *, resolve: bool = True) -> SplitResult:
    """Return the parts of a URL that somebody enters. Raises RefusedTarget if nothing may be sent there.

    A name that can't be resolved now is accepted: it is looked at again whenever something is sent.
    """
    url = parse_url(text)
    if trusted.include(url):
        return url
    if url.scheme != "https":
        raise RefusedTarget(HTTPS_ONLY)
    host = (url.hostname or "").lower()
    if _LOCAL_NAME.fullmatch(host) or ("." not in host and ":" not in host):
        raise RefusedTarget(NOT_PUBLIC)
    if ":" in host or _NUMERIC.fullmatch(host):
        _check_address(_as_address(host))
    elif resolve:
        for address in _resolve_briefly(host, port_of(url)):
            _check_address(address)
    return url


def check_field(text: str, trusted: Hosts, field: str, label: str) -> SplitResult:
    """Return the parts of a URL; see check_url(). Raises BadInput for a field of a form."""
    try:
        return check_url(text, trusted)
    except RefusedTarget as error:
        raise BadInput(f"{label}: {error}", field=field) from None


def check_push_endpoint(text: str, hosts: Hosts) -> SplitResult:
    """Return the parts of the URL that a browser got from its push service. Raises BadInput.

    :param hosts: the push services that are known
    """
    url = check_field(text, hosts.on_this_machine(), "endpoint", "Push service")
    if not hosts.include(url):
        raise BadInput(
            f"Push service: {url.hostname} is not one that this server knows. It can be added to "
            "TAKEANUMBER_PUSH_HOSTS.",
            field="endpoint",
        )
    return url


def _as_address(host: str) -> str:
    """Return a host that is written in numbers as an address. Raises RefusedTarget."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    # 2130706433, 0x7f.1 and 0177.0.0.1 are ways to write 127.0.0.1 that some programs understand.
    raise RefusedTarget("please use the name of a host instead of a number.")


def _check_address(text: str) -> None:
    if not is_public(text):
        raise RefusedTarget(NOT_PUBLIC)


def is_public(text: str) -> bool:
    """Return True for an address that anybody on the internet can reach."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(str(address.ipv4_mapped))
        if address.is_site_local or address.teredo:
            return False
        for network, start in _TRANSLATED:
            if address in network:
                return is_public(str(ipaddress.IPv4Address(address.packed[start : start + 4])))
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not is_special


def _resolve_briefly(host: str, port: int) -> list[str]:
    """Return the addresses of a host; none if that takes too long, or there are none."""
    found: list[str] = []

    def look_up() -> None:
        with suppress(NoAnswer):
            found.extend(_resolve(host, port))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(RESOLVE_S)
    return list(found)


def _resolve(host: str, port: int) -> list[str]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"{host} can't be found: {reason_of(error)}") from None
    return [str(info[4][0]) for info in infos]


# ----- sending


class _PinnedConnection(HTTPConnection):
    """A connection to an address that was checked, with the name of the host for TLS."""

    def __init__(self, url: SplitResult, address: str):
        super().__init__(url.hostname or "", port_of(url), timeout=TIMEOUT_S)
        self._address = address
        self._is_secure = url.scheme == "https"
        self._is_aborted = False

    def connect(self) -> None:
        """Connect to the address."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._is_secure:
            self.sock = _tls().wrap_socket(self.sock, server_hostname=self.host)
        if self._is_aborted:  # before this socket was there to be shut down
            raise TimeoutError

    def abort(self) -> None:
        """End the connection while another thread waits for it."""
        self._is_aborted = True
        sock = self.sock
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def post(text: str, body: bytes, headers: Mapping[str, str], trusted: Hosts) -> Response:
    """Post a body to a URL and return the response, which may be a redirect or an error.

    Raises RefusedTarget if nothing may be sent there, and NoAnswer.
    """
    url = check_url(text, trusted, resolve=False)
    addresses = _resolve(url.hostname or "", port_of(url))
    if not trusted.include(url):
        for address in addresses:
            _check_address(address)
    connection = _PinnedConnection(url, addresses[0])
    # The timeout of a socket is for each byte, and a server may send one now and then.
    timer = threading.Timer(TIMEOUT_S, connection.abort)
    timer.daemon = True
    timer.start()
    try:
        path = url.path or "/"
        connection.request("POST", f"{path}?{url.query}" if url.query else path, body, dict(headers))
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES)
    except (OSError, HTTPException, ValueError) as error:
        reason = "no answer within 10 seconds" if not timer.is_alive() else str(error) or type(error).__name__
        raise NoAnswer(" ".join(reason.split())) from None
    finally:
        timer.cancel()
        connection.close()
    return Response(response.status, content.decode("utf-8", "replace"))
