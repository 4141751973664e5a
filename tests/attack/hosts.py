"""Host and X-Forwarded headers that nobody should send: none of them gets into a page, a link or the log."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException

from helpers.server import Server

MARK = "evil"  # is in each of them
HOSTS = (
    *(f"{MARK}.example{end}" for end in ("/x", "@queue", ":99999", ":x", "#", "?q", "\\", "%0d%0a", "..a")),
    *(f"{start}{MARK}" for start in ("<script>", "-", ".", "[", "javascript:", "q, ", "user:pw@", "'", '"')),
    MARK * 16,
    f"{MARK}." * 60,
    f"{'a' * 64}.{MARK}",
    f"mün{MARK}",
)
SCHEMES = ("javascript", "data:text/html,evil", "ftp", "file", "", "https, http", "HTTPS")
MAX_STATUS = 499


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    server = start()
    shop = server.open_shop()
    paths = [
        f"/{shop.slug}",
        shop.links["manage"].removeprefix(server.url),
        f"/{shop.slug}/poster",
        "/nobody",
    ]
    for host, path in itertools.product(HOSTS, paths):
        status, body = ask(server, path, Host=host)
        assert status in (400, None), f"Host {host!r}: {status}"
        assert MARK not in body, f"Host {host!r} is on the page"
    yield f"{len(HOSTS) * len(paths)} requests with invalid Hosts"

    behind = start(proxies=1)
    shop = behind.open_shop()
    for scheme, host in itertools.product(SCHEMES, HOSTS):
        status, body = ask(
            behind, f"/{shop.slug}", X_Forwarded_Proto=scheme, X_Forwarded_Host=host, X_Forwarded_For=host
        )
        assert status is None or status <= MAX_STATUS, f"{scheme!r}, {host!r}: {status}"
        assert not any(f'"{word}:' in body for word in ("javascript", "ftp", "file", "data"))
    yield f"{len(SCHEMES) * len(HOSTS)} requests with forged X-Forwarded headers"
    for each in (server, behind):
        assert shop.links["manage"].rpartition("/")[2] not in each.log, "a token is in the log"
    yield "the logs hold no token"


def ask(server: Server, path: str, **headers: str) -> tuple[int | None, str]:
    """Return the status and the body of a GET, or None and nothing if the connection was closed."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value.encode())
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, HTTPException):
        return None, ""
    finally:
        connection.close()
