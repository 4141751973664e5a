"""The picture of a place as JSON, and as an event of its stream."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from app.core.line_events import LineEvent
from app.core.models import Counter, Place, Ticket
from app.core.notices import Notice
from app.core.picture import Picture, PictureCall, QueuePicture, Revision
from app.web import links
from app.web.compressed import gzip_part, gzip_whole
from app.web.present import clock_time_at, iso, slug_and_name, wait_json
from app.web.service import service

K = TypeVar("K")
T = TypeVar("T")

# What links begin with until the base URL is inserted. Nobody can write it into a name, since it is random.
_BASE = secrets.token_hex(16)


class RenderedPicture:
    """A picture as clients receive it: rendered once for all, whatever they call this server.

    Most clients use the same base URL, so what was made for the last one is kept.
    """

    def __init__(self, picture: Picture):
        self.etag = etag_of(picture.revision)
        self.place = picture.place
        self._picture = picture
        self._text = json.dumps(picture_json(picture, _BASE))
        self._lock = threading.Lock()
        # The base URL, and what was made for it, by the name of the form; and for compressed events by the
        # picture before, until no stream has that one as its last any more.
        self._last: dict[str, tuple[str, Any]] = {}
        self._last_after: WeakKeyDictionary[RenderedPicture, tuple[str, Any]] = WeakKeyDictionary()

    def text(self, base_url: str) -> str:
        """Return the JSON."""
        return self._text.replace(_BASE, base_url)

    def gzipped_text(self, base_url: str) -> bytes:
        """Return the JSON, compressed."""
        return self._kept(self._last, "text", base_url, lambda: gzip_whole(self.text(base_url).encode()))

    def event(self, base_url: str) -> bytes:
        """Return the server-sent event."""
        return self._kept(self._last, "event", base_url, lambda: self._event(base_url))

    def gzipped_event(self, base_url: str, after: RenderedPicture | None) -> bytes:
        """Return the server-sent event as a part of a gzip stream.

        :param after: the picture that the stream sent just before; None: something else
        """
        if after is None:
            return self._kept(self._last, "gzipped event", base_url, lambda: gzip_part(self._event(base_url)))
        # Made before _kept() takes its lock: no thread may hold the locks of two pictures, or of one twice.
        previous = after.event(base_url)
        return self._kept(
            self._last_after, after, base_url, lambda: gzip_part(self._event(base_url), after=previous)
        )

    def content(self, base_url: str) -> dict[str, Any]:
        """Return the JSON as Python has it, for templates."""
        return self._kept(self._last, "content", base_url, lambda: picture_json(self._picture, base_url))

    def _event(self, base_url: str) -> bytes:
        return f"event: state\nid: {self.etag}\ndata: {self.text(base_url)}\n\n".encode()

    def _kept(
        self, last: MutableMapping[K, tuple[str, Any]], key: K, base_url: str, make: Callable[[], T]
    ) -> T:
        """Return what `make()` returned for the last client with this base URL, or what it returns now."""
        known = last.get(key)
        if known is not None and known[0] == base_url:
            return cast(T, known[1])
        with self._lock:  # a thousand streams need it at once: only one of them makes it
            known = last.get(key)
            if known is None or known[0] != base_url:
                known = last[key] = base_url, make()
        return cast(T, known[1])


def current_picture(slug: str) -> RenderedPicture:
    """Return the picture of a place as it is now. Raises NotFound."""
    return cast(RenderedPicture, service().live.current(slug))


def current_content(slug: str) -> dict[str, Any]:
    """Return the picture of a place as it is now, for a template. Raises NotFound."""
    return current_picture(slug).content(links.base_url())


def etag_of(revision: Revision) -> str:
    """Return the ETag of a picture, which is also the id of its event."""
    version = revision.version
    return f"{version.epoch}.{revision.place_id}.{version.number}.{revision.minute}"


def picture_json(picture: Picture, base_url: str) -> dict[str, Any]:
    """Return a picture as JSON.

    It may be rendered outside of a request, so its links are made of `base_url`, not by url_for().
    """
    place = picture.place
    place_url = f"{base_url}/{place.slug}"
    return {
        "place": slug_and_name(place),
        "queues": [_queue_json(queue, place, place_url) for queue in picture.queues],
        "links": {"customers": place_url, "board": f"{place_url}/board", "live": f"{place_url}/live"},
        "counters": [
            {**public_counter_json(counter), "links": {"screen": f"{place_url}/counter/{counter.slug}"}}
            for counter in picture.counters
        ],
        "messages": [notice_json(notice, place) for notice in picture.notices],
        "series": picture.series,
        "calls": [_call_json(call, place) for call in picture.calls],
        "epoch": picture.revision.version.epoch,
        "version": picture.revision.version.number,
    }


def _queue_json(item: QueuePicture, place: Place, place_url: str) -> dict[str, Any]:
    queue = item.queue
    return {
        "slug": queue.slug,
        "name": queue.name,
        "open": queue.open,
        "asks": queue.asks.split(),
        "full": item.is_full,
        "waiting": item.waiting,
        "called": [_called_json(ticket, place) for ticket in item.called],
        "links": {"take": f"{place_url}/{queue.slug}/tickets"},
        "door": item.door,
        "steps": item.steps,
        "waits": [wait_json(wait) for wait in item.waits],
        "estimated_wait": wait_json(item.newcomer_wait),
        "no_estimate": _why_no_estimate(item),
    }


def _why_no_estimate(item: QueuePicture) -> str | None:
    """Return why there is no estimate, for a queue that a counter admits."""
    if item.door is None or (item.newcomer_wait and len(item.waits) == len(item.waiting)):
        return None
    return f"We can't say how long you'll wait: too few people have left {item.door} lately."


def _called_json(ticket: Ticket, place: Place) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "series": ticket.series,
        "desk": ticket.desk,
        "door": ticket.door,
        "held_until": iso(ticket.held_until, place),
        "state": ticket.state,
        "by_phone": ticket.by_phone,
        "since": iso(ticket.started_at or ticket.called_at, place),
    }


def _call_json(call: PictureCall, place: Place) -> dict[str, Any]:
    return {
        "id": call.id,
        "number": call.number,
        "series": call.series,
        "desk": call.desk,
        "door": call.door,
        "at": iso(call.at, place),
    }


def notice_json(notice: Notice, place: Place) -> dict[str, Any]:
    """Return a message to everybody who waits."""
    return {
        "id": notice.id,
        "text": notice.text,
        "at": iso(notice.created_at, place),
        "until": iso(notice.until_at, place),
    }


def public_counter_json(counter: Counter) -> dict[str, Any]:
    """Return what everybody may see of a counter. A count below 0 has drifted, and is shown as 0."""
    return {
        "slug": counter.slug,
        "name": counter.name,
        "capacity": counter.capacity,
        "held": counter.held,
        "admits": counter.admits,
        "count": max(0, counter.people),
        "level": counter.level,
    }


# ----- why somebody still waits

_LINE_EVENT_TEXTS = {
    "call": "{} was called",
    "more-time": "{} lets others go first",
    "cancel": "{} left the line",
    "no-show": "{} wasn't here",
    "put-back": "{} is waiting again",
    "bring-back": "{} came back",
    "move": "{} came from another queue",
    "restore": "{} came back",
    "pause": "{} is paused",
    "resume": "{} is open again",
}


def line_event_json(event: LineEvent, place: Place) -> dict[str, Any]:
    """Return an event in a customer's line as JSON: one of the "steps" of their ticket."""
    return {
        "at": iso(event.at, place),
        "kind": event.kind,
        "number": event.number,
        "text": line_event_text(event, place),
    }


def line_event_text(event: LineEvent, place: Place) -> str:
    """Return what happened in a line, in words: "A7 was called: priority"."""
    if event.by_owner:
        return f"{event.number} was cancelled"
    text = _LINE_EVENT_TEXTS[event.kind].format(event.number or event.desk or "A desk")
    if event.until is not None:
        return f"{text} until {clock_time_at(event.until, place)}"
    if event.out_of_turn:
        return f"{text}, before its turn"
    if event.by_priority:
        return f"{text}: priority"
    return text
