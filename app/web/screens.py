"""The public screens: the board, the poster, the screen of a counter. And the stream that updates pages."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response, request

from app.errors import NotFound
from app.network import ON_DISCONNECT, WRITE_AT_ONCE
from app.web.board import board_of
from app.web.compressed import GZIP_HEADER, accepts_gzip, gzip_part
from app.web.links import base_url
from app.web.picture_json import RenderedPicture, current_picture
from app.web.public_links import public_url
from app.web.request import client
from app.web.response import Answer, page
from app.web.service import service

screens = Blueprint("screens", __name__)

# The text format of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
RECONNECT = b"retry: 2000\n\n"  # milliseconds until a page that lost its stream opens it again
HEARTBEAT = b": still here\n\n"  # a comment, which pages ignore
GZIPPED_HEARTBEAT = gzip_part(HEARTBEAT)


@screens.get("/<place>/board")
def show_board(place: str) -> Answer:
    """Show who is called and being served, and how many wait."""
    current = current_picture(place)
    picture = current.content(base_url())
    return page(
        "board.html",
        picture,
        current.place,
        picture=picture,
        board=board_of(picture),
        customers_url=public_url(picture["links"]["customers"], current.place),
    )


@screens.get("/<place>/poster")
def show_poster(place: str) -> Answer:
    """Show a page to print, with the QR code of the place."""
    current = current_picture(place)
    picture = current.content(base_url())
    url = public_url(picture["links"]["customers"], current.place)
    return page("poster.html", picture, current.place, picture=picture, customers_url=url)


@screens.get("/<place>/counter/<counter>")
def show_screen(place: str, counter: str) -> Answer:
    """Show how many people are inside, for a screen at the entrance."""
    current = current_picture(place)
    picture = current.content(base_url())
    for content in picture["counters"]:
        if content["slug"] == counter:
            return page("screen.html", content, current.place, picture=picture, counter=content)
    raise NotFound("There is no such counter here.")


@screens.get("/<place>/live")
def stream(place: str) -> Answer:
    """Send the picture of a place, and each newer one, as server-sent events."""
    live = service().live
    watcher = live.join(place, client())
    leave = partial(live.leave, watcher)
    on_disconnect = request.environ.get(ON_DISCONNECT)
    if on_disconnect is not None:
        # Or the stream would notice only when it sends something.
        on_disconnect(leave)
    compressed = accepts_gzip()
    events = _GzippedEvents(base_url()) if compressed else _Events(base_url())
    write_at_once = request.environ.get(WRITE_AT_ONCE)
    if write_at_once is not None:
        watcher.send_at_once = lambda picture: write_at_once(partial(events.next, picture))
    response = Response(map(events.next, live.pictures(watcher)), mimetype="text/event-stream")
    if compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["X-Accel-Buffering"] = "no"  # or nginx would hold events back
    response.call_on_close(leave)
    return response


class _Events:
    """What a stream sends. None among the pictures stands for a sign of life."""

    def __init__(self, url: str):
        self._url = url
        self._prefix = RECONNECT

    def next(self, picture: RenderedPicture | None) -> bytes:
        """Return what is to be sent next."""
        prefix, self._prefix = self._prefix, b""
        return prefix + (HEARTBEAT if picture is None else picture.event(self._url))


class _GzippedEvents(_Events):
    """The same, compressed."""

    def __init__(self, url: str):
        super().__init__(url)
        self._prefix = GZIP_HEADER + gzip_part(RECONNECT)
        self._last: RenderedPicture | None = None  # what was sent just before, if that was a picture

    def next(self, picture: RenderedPicture | None) -> bytes:
        """Return what is to be sent next."""
        prefix, self._prefix = self._prefix, b""
        last, self._last = self._last, picture
        return prefix + (
            GZIPPED_HEARTBEAT if picture is None else picture.gzipped_event(self._url, after=last)
        )
