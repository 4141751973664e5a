"""The HTTP server: waitress, with bounds on what one client can occupy.

waitress reads a whole request before the app sees it, and waits for it as long as bytes arrive. So that
nobody can use up the server's connections, memory or disk:

- A client (see network.client_of) has at most half of all connections. Behind a proxy all connections come
  from the proxy, which must set such a limit itself.
- A request must arrive within REQUEST_S.
- A body that is larger than its URL allows is read, but not stored; the app refuses it by its Content-Length.
- The large bodies that are being stored, files of contacts, are bounded in total and for each client.
- What frames a chunked body is bounded, since waitress collects it in memory.

Threads wait for each other less than in waitress. One at a time runs Python, and each system call lets
another one run: so a response is one packet, and the main loop is not woken in vain.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import MultiSocketServer, TcpWSGIServer
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error

from app.network import (
    LARGE_BODY_URL,
    MAX_BODY_BYTES,
    MAX_CONTACTS_BODY_BYTES,
    MIB,
    ON_DISCONNECT,
    WRITE_AT_ONCE,
    client_of,
)
from app.threads import start_threads

REQUEST_S = 30.0  # for a request to arrive
CROWDED_REQUEST_S = 5.0  # the same when most connections are in use
CROWDED_SHARE = 0.8  # of all connections
CHECK_S = 2  # how often late requests are looked for
MAX_STORED_BYTES = 64 * MIB  # of large bodies; a client may have half
MAX_HEADER_BYTES = 32 * 1024
MAX_CHUNK_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 8 * 1024


class TooBusy(Error):  # type: ignore[misc]
    """The answer to a body for which there is no room; in JSON, as the app's errors are."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:  # noqa: ARG002
        """Return the status, the headers and the body."""
        headers = [("Content-Type", "application/json"), ("Retry-After", "30")]
        return f"{self.code} {self.reason}", headers, json.dumps({"error": self.body}).encode()


class StoredBytes:
    """How many bytes of large bodies are stored now, in total and for each client."""

    def __init__(self, maximum: int = MAX_STORED_BYTES):
        self._maximum = maximum
        self._lock = threading.Lock()
        self._total = 0
        self._by_client: Counter[str] = Counter()

    def add(self, client: str, count: int) -> bool:
        """Count bytes that are about to be stored; returns False, and counts nothing, if there is no room."""
        with self._lock:
            if self._total + count > self._maximum or self._by_client[client] + count > self._maximum // 2:
                return False
            self._total += count
            self._by_client[client] += count
            return True

    def remove(self, client: str, count: int) -> None:
        """Count bytes that aren't stored any more."""
        with self._lock:
            self._total -= count
            self._by_client[client] -= count
            if not self._by_client[client]:
                del self._by_client[client]


class BoundedBody(OverflowableBuffer):  # type: ignore[misc]
    """A body that is stored up to `limit` bytes; one that turns out to be larger is only counted."""

    def __init__(self, overflow: int, limit: int, stored: StoredBytes, client: str):
        super().__init__(overflow)
        self.received = 0
        self.has_room = True
        self._limit = limit
        self._stored = stored
        self._client = client
        self._counted = 0  # bytes in `stored`

    def append(self, data: bytes) -> None:
        """Store or count some bytes."""
        self.received += len(data)
        if self.received > self._limit or not self.has_room:
            self.close()
        elif self.received <= MAX_BODY_BYTES:
            super().append(data)
        elif self._stored.add(self._client, len(data)):
            self._counted += len(data)
            super().append(data)
        else:
            self.has_room = False
            self.close()

    def __len__(self) -> int:
        return self.received

    def getfile(self) -> Any:
        """Return the file to read the body from: an empty one if the body is too large."""
        return BytesIO() if self.received > self._limit else super().getfile()

    def close(self) -> None:
        """Delete what was stored. It is safe to call this twice."""
        super().close()
        self.buf, self.strbuf, self.overflowed = None, b"", False
        if self._counted:
            counted, self._counted = self._counted, 0
            self._stored.remove(self._client, counted)


class BoundedRequest(HTTPRequestParser):  # type: ignore[misc]
    """A request whose body is stored as far as its URL allows."""

    path = ""  # of a request that can't be parsed; waitress logs it if the client has gone
    body_rcv: Any
    completed: bool
    content_length: int
    expect_continue: bool

    def __init__(self, adjustments: Any, stored: StoredBytes, client: str):
        super().__init__(adjustments)
        self._stored = stored
        self._client = client
        self._body: BoundedBody | None = None

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the first line and the headers, and prepare for the body."""
        super().parse_header(header_plus)
        if self.body_rcv is None:
            return
        limit = MAX_CONTACTS_BODY_BYTES if LARGE_BODY_URL.fullmatch(self.path) else MAX_BODY_BYTES
        self._body = BoundedBody(self.adj.inbuf_overflow, limit, self._stored, self._client)
        self.body_rcv.buf = self._body
        is_hopeless = self.content_length > MAX_CONTACTS_BODY_BYTES
        if self.content_length > limit and (is_hopeless or self.expect_continue):
            # Don't even read it. The app still sees the Content-Length, and refuses it.
            self.body_rcv = None
            self.content_length = 0
            self.expect_continue = False
            self.headers["CONNECTION"] = "close"

    def received(self, data: bytes) -> int:
        """Take some bytes, and return how many of them belong to this request."""
        count = int(super().received(data))
        if self.completed or self._body is None:
            return count
        if not self._body.has_room:
            self.error = TooBusy(
                "Too much is being sent to this server just now. Please try again in a minute."
            )
            self.completed = True
        elif self.chunked and (
            len(self.body_rcv.control_line) > MAX_CHUNK_LINE_BYTES
            or len(self.body_rcv.trailer) > MAX_TRAILER_BYTES
        ):
            self.error = BadRequest("A chunk's header, or the trailer, is too long")
            self.completed = True
        return count

    def close(self) -> None:
        """Delete the body."""
        if self._body is not None:
            self._body.close()


class Task(WSGITask):  # type: ignore[misc]
    """A request that the app answers."""

    wrote_header: bool

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[ON_DISCONNECT] = self.channel.on_disconnect
        environ[WRITE_AT_ONCE] = self.channel.write_at_once
        return environ

    def service(self) -> None:
        """Answer the request."""
        self.channel.begin_task(self)
        try:
            super().service()
        finally:
            self.channel.end_task()

    def write(self, data: bytes) -> None:
        """Send some of the body; the header goes with its first bytes, in one packet."""
        if data and self.complete and self.has_body and self.content_length != 0 and not self.wrote_header:
            self.channel.header = self.build_response_header()
            self.wrote_header = True
        super().write(data)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection."""

    task_class = Task

    def __init__(self, server: Server, sock: Any, addr: Any, adj: Any, map: Any = None):  # noqa: A002
        self.client = client_of(addr[0])
        self.is_counted = False
        # When the request that is arriving began, by time.monotonic(). None while a connection rests that has
        # brought a request already; waitress closes it after two minutes.
        self.began_at: float | None = time.monotonic()
        self._task: Task | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._is_sending = False
        self.header = b""  # of a response, to be sent with its body
        super().__init__(server, sock, addr, adj, map=map)
        if server.has_too_many(self.client):
            self.handle_close()
        else:
            server.connections[self.client] += 1
            self.is_counted = True

    def parser_class(self, adjustments: Any) -> BoundedRequest:
        """Return an empty request."""
        return BoundedRequest(adjustments, self.server.stored, self.client)

    def received(self, data: bytes) -> bool:
        """Take some bytes of one or more requests."""
        earlier = self.request
        has_received = bool(super().received(data))
        if self.request is None:
            self.began_at = None
        elif self.request is not earlier:
            self.began_at = time.monotonic()
        return has_received

    def write_soon(self, data: Any) -> int:
        """Send some bytes, or store them until the client takes them."""
        if self.header:
            data = self.header + data
            self.header = b""
        return int(super().write_soon(data))

    def writable(self) -> bool:
        """Return True when there is something to send that no thread is sending just now.

        A thread that has sent waits for the interpreter. Meanwhile the socket is writable, so the main loop
        would look at it again and again, without being able to do anything. The thread wakes the loop later.
        """
        has_something = self.total_outbufs_len or self.will_close or self.close_when_flushed
        return bool(has_something) and not self._is_sending

    def _flush_some(self, do_close: bool = True) -> bool:
        self._is_sending = True
        try:
            return bool(super()._flush_some(do_close=do_close))
        finally:
            self._is_sending = False

    def begin_task(self, task: Task) -> None:
        """Note which request is being answered."""
        self._task = task

    def end_task(self) -> None:
        """Forget the request whose response is complete: the next one may begin in another thread at once."""
        self._task = None
        self._callbacks = []

    def write_at_once(self, make: Callable[[], bytes]) -> bool:
        """Send more of a response, as another thread than that of its request, unless it would have to wait.

        `make()` returns what to send. Returns False, without calling it, if the client hasn't taken yet what
        was sent before; and False if the client has gone, or the response is complete.
        """
        task = self._task
        if task is None or self.total_outbufs_len:
            return False
        try:
            task.write(make())
        except ClientDisconnected:
            return False
        return True

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call a function as soon as the client disconnects, if that is before the response is complete."""
        self._callbacks.append(callback)
        if not self.connected:
            callback()

    def handle_close(self) -> None:
        """Close the connection, and free what it occupied. waitress may call this twice."""
        super().handle_close()
        if self.is_counted:
            self.is_counted = False
            self.server.forget(self.client)
        arriving = self.request
        if arriving is not None:
            arriving.close()
        for callback in self._callbacks:
            callback()


class Server(TcpWSGIServer):  # type: ignore[misc]
    """A listening socket and its connections, which one thread looks after."""

    channel_class = Channel
    next_channel_cleanup: float

    def __init__(self, *args: Any, max_per_client: int | None, on_end: Callable[[], None], **options: Any):
        self.stored = StoredBytes()
        self._on_end = on_end
        self._is_ending = False
        self.connections: Counter[str] = Counter()
        self._max_per_client = max_per_client
        self._is_woken = False
        super().__init__(*args, **options)

    def end(self) -> None:
        """Let run() return soon. A signal handler may call it: it takes no lock, and raises nothing.

        An exception that a handler raises may leave a lock locked that the main thread was about to hold.
        """
        if not self._is_ending:  # Ctrl-C may be pressed twice
            self._is_ending = True
            self.trigger.pull_trigger()

    def has_too_many(self, client: str) -> bool:
        """Return True when a client has as many connections as it may."""
        return self._max_per_client is not None and self.connections[client] >= self._max_per_client

    def forget(self, client: str) -> None:
        """Take a connection that has ended off the count of its client."""
        self.connections[client] -= 1
        if self.connections[client] <= 0:
            del self.connections[client]

    def pull_trigger(self) -> None:
        """Wake the main loop, unless it was woken a moment ago and hasn't looked at the connections since."""
        if not self._is_woken:
            self._is_woken = True
            self.trigger.pull_trigger(self._on_woken)

    def _on_woken(self) -> None:
        self._is_woken = False

    def readable(self) -> bool:
        """Return True while new connections are accepted; call maintenance() now and then.

        The main loop calls it each time around, so this is also where it ends.
        """
        if self._is_ending:
            self._on_end()
            raise SystemExit  # run() catches it
        # waitress goes by the clock. If that was set back, the next time must not be days away.
        self.next_channel_cleanup = min(self.next_channel_cleanup, time.time() + self.adj.cleanup_interval)
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        """Close the connections that nobody uses, and those whose request takes too long to arrive."""
        channels = list(self.active_channels.values())
        for channel in channels:
            channel.last_activity = min(channel.last_activity, now)  # the clock may have been set back
        super().maintenance(now)
        is_crowded = len(channels) > CROWDED_SHARE * self.adj.connection_limit
        latest_start = time.monotonic() - (CROWDED_REQUEST_S if is_crowded else REQUEST_S)
        for channel in channels:
            if channel.began_at is not None and channel.began_at < latest_start:
                channel.will_close = True


class Servers(MultiSocketServer):  # type: ignore[misc]
    """Several listening sockets in one main loop."""

    def end(self) -> None:
        """Let run() return soon; see Server.end()."""
        for server in list(self.map.values()):
            if isinstance(server, Server):
                server.end()


def create_server(app: Any, *, is_behind_proxy: bool, on_end: Callable[[], None], **options: Any) -> Any:
    """Return a waitress server that listens, with these adjustments. Raises OSError and ValueError.

    :param on_end: is called when end() was, before the threads are waited for
    """
    adjustments = Adjustments(cleanup_interval=CHECK_S, max_request_header_size=MAX_HEADER_BYTES, **options)
    max_per_client = None if is_behind_proxy else adjustments.connection_limit // 2
    dispatcher = start_threads(adjustments.threads)
    channels: dict[int, Any] = {}
    servers: list[Server] = []
    try:
        for sockinfo in adjustments.listen:  # a name such as localhost has several addresses
            servers.append(
                Server(
                    app,
                    channels,
                    max_per_client=max_per_client,
                    on_end=on_end,
                    dispatcher=dispatcher,
                    adj=adjustments,
                    sockinfo=sockinfo,
                )
            )
    except OSError:
        for server in servers:
            with suppress(OSError):
                server.close()
        raise
    if len(servers) == 1:
        return servers[0]
    addresses = [(server.effective_host, server.effective_port) for server in servers]
    return Servers(channels, adjustments, addresses, dispatcher, servers[0].log_info)
