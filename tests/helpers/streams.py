"""Open streams of server-sent events, as pages have them."""

from __future__ import annotations

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Event:
    """A server-sent event and the time.monotonic() of its arrival; a comment line has the kind "comment"."""

    kind: str
    id: str
    text: str
    at: float

    @property
    def picture(self) -> dict[str, Any]:
        """The picture in the event."""
        return json.loads(self.text)

    def shows(self, number: str) -> bool:
        """Return whether this number waits in the picture."""
        return any(number in queue["waiting"] for queue in self.picture["queues"])


class Stream:
    """An open stream of server-sent events. A thread reads it and records when each event arrives."""

    def __init__(self, url: str, address: str = "127.0.0.1", encoding: str = "identity"):
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60, source_address=(address, 0))
        self._connection.connect()
        self._socket = self._connection.sock
        headers = {"Accept": "text/event-stream", "Accept-Encoding": encoding}
        self._connection.request("GET", parts.path, headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.headers = {name.lower(): value for name, value in self._answer.getheaders()}
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        if self.status == 200:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self._lines():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name or value:
                    fields["comment" if line.startswith(b":") else name] = value
                    continue
                kind = fields.get("event") or next(iter(fields), "")
                self._events.put(Event(kind, fields.get("id", ""), fields.get("data", ""), time.monotonic()))
                fields = {}
        except (OSError, HTTPException, ValueError, AttributeError):
            pass  # it was closed, by the test or by the server
        self._events.put(None)

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines of the stream, unpacked part by part as they arrive."""
        if self.headers.get("content-encoding") != "gzip":
            yield from iter(self._answer.readline, b"")
            return
        unpacker, rest = zlib.decompressobj(zlib.MAX_WBITS | 16), b""
        while packed := self._answer.read1():
            *lines, rest = (rest + unpacker.decompress(packed)).split(b"\n")
            for line in lines:
                yield line + b"\n"

    def next(self, within: float = 5, kind: str = "state") -> Event:
        """Return the next event of this kind; fail if none arrives in time."""
        deadline = time.monotonic() + within
        while True:
            try:
                event = self._events.get(timeout=max(0.001, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"No {kind} event arrived in {within} s.") from None
            assert event is not None, f"The stream ended before a {kind} event."
            if event.kind == kind:
                return event

    def until(self, wanted: Callable[[Event], bool], within: float = 5) -> list[Event]:
        """Return the pictures up to the first wanted one; fail if it doesn't arrive in time."""
        deadline, seen = time.monotonic() + within, []
        while not seen or not wanted(seen[-1]):
            seen.append(self.next(max(0.001, deadline - time.monotonic())))
        return seen

    def ends(self, within: float) -> bool:
        """Return whether the server ends the stream in time."""
        self._reader.join(within)
        return not self._reader.is_alive()

    def close(self) -> None:
        """Close the stream, as a page does that is closed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._answer.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.status == 200:
            self.close()
