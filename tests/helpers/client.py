"""The HTTP client of all tests: in process (`AppClient`) or over real sockets (`HttpClient`)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import flask
from werkzeug.datastructures import Headers


class Response(NamedTuple):
    """A response. `body` is the parsed JSON, or else text without a byte order mark.

    The names in `headers` may have any case.
    """

    status: int
    body: Any
    headers: Headers


class Client:
    """A JSON client without cookies. It checks that every error is a sentence, and that none is a 500."""

    def get(self, url: str, **headers: str) -> Response:
        """Send a GET; `Accept_Language="de"` sets the header Accept-Language."""
        return self.send("GET", url, headers=headers)

    def post(self, url: str, content: Any = None, **headers: str) -> Response:
        """Send a POST of this content as JSON."""
        return self.send("POST", url, json={} if content is None else content, headers=headers)

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> Response:
        """Send any request. In process, `request` may have what werkzeug's test client takes."""
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        response = self._send(method, url, {"Accept": "application/json"} | named, **request)
        assert response.status != 500, response.body
        assert "Traceback" not in str(response.body)
        if response.status >= 400 and isinstance(response.body, dict):
            error = response.body["error"]
            assert error.endswith((".", "?")) or ": " in error, response.body
        return response

    def _send(self, method: str, url: str, headers: dict[str, str], **request: Any) -> Response:
        raise NotImplementedError


class AppClient(Client):
    """A client of an application in this process; `flask_client` is the test client that it uses."""

    def __init__(self, app: flask.Flask):
        self.flask_client = app.test_client(use_cookies=False)

    def _send(self, method: str, url: str, headers: dict[str, str], **request: Any) -> Response:
        answer = self.flask_client.open(url, method=method, headers=headers, **request)
        body = answer.json if answer.is_json and answer.data else answer.text.removeprefix("\ufeff")
        return Response(answer.status_code, body, answer.headers)


class HttpClient(Client):
    """A client of a server at a port of this machine. Each thread has a connection, which it keeps open."""

    def __init__(self, port: int, address: str = "127.0.0.1"):
        self.port, self._address = port, address
        self._thread, self._connections, self._generation = threading.local(), [], 0

    def connect(self) -> HTTPConnection:
        """Return this thread's connection; after `forget_connections()` it is a new one."""
        if getattr(self._thread, "generation", None) != self._generation:
            self._thread.connection = HTTPConnection(
                "127.0.0.1", self.port, timeout=30, source_address=(self._address, 0)
            )
            self._thread.generation = self._generation
            self._connections.append(self._thread.connection)
        elif time.monotonic() - self._thread.used_at > 60:  # the server closes idle connections
            self._thread.connection.close()
        self._thread.used_at = time.monotonic()
        if self._thread.connection.sock is None:
            self._thread.connection.connect()
        return self._thread.connection

    def forget_connections(self) -> None:
        """Close the connections of all threads, since the server has ended."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._generation += 1

    def at_once(self, *requests: Callable[[], Any]) -> list[Any]:
        """Send all of these at the same instant, over connections that are open; return their results."""
        ready = threading.Barrier(len(requests))

        def run(request: Callable[[], Any]) -> Any:
            self.connect()
            ready.wait(30)
            return request()

        with ThreadPoolExecutor(len(requests)) as threads:
            return list(threads.map(run, requests))

    def _send(self, method: str, url: str, headers: dict[str, str], **request: Any) -> Response:
        body = None
        if "json" in request:
            body = json.dumps(request["json"])
            headers["Content-Type"] = "application/json"
        connection = self.connect()
        try:
            connection.request(method, urlsplit(url)._replace(scheme="", netloc="").geturl(), body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, HTTPException):
            connection.close()
            raise
        response_headers = Headers(answer.getheaders())
        is_json = response_headers.get("Content-Type", "").startswith("application/json")
        return Response(
            answer.status, json.loads(text) if is_json else text.removeprefix("\ufeff"), response_headers
        )
