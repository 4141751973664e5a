"""Open streams: every page that watches a place hears of each change in less than a second.

One thread looks for changes, makes one picture of each for all who watch that place, and sends it to them.
How a picture looks to a client, and how it is sent, is decided in web/.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from app.clock import now
from app.core.picture import Picture, Revision, picture_of, revision_of, revisions_by_slug
from app.core.places import find_place
from app.core.wait import WaitEstimator
from app.errors import NotFound, TooMany, Unavailable
from app.storage.database import Database

log = logging.getLogger("takeanumber")

MIN_INTERVAL_S = 0.2  # between two pictures of a place: the first change is shown at once, then the newest
POLL_S = 0.5  # how often to look for changes by another process
RETRY_S = 1.0  # after the database failed
QUIET_S = 15  # a stream without news sends a sign of life, so that no proxy closes it
MAX_RENDERED = 100  # pictures that are kept
TRY_AGAIN_S = 5


RenderedT = TypeVar("RenderedT")  # a picture as clients receive it


class Watcher(Generic[RenderedT]):
    """One open stream.

    Its thread waits at the bell, and sends the newest picture when it rings. To wake a thousand threads takes
    long. So whoever has a new picture sends it while that thread waits, and rings only if that fails.
    """

    def __init__(self, slug: str, client: str):
        self.slug = slug
        self.client = client
        self.picture: RenderedT | None = None
        self.is_over = False
        self.bell: SimpleQueue[None] = SimpleQueue()
        # Sends a picture; returns False if the client would have to be waited for. Not every server can.
        self.send_at_once: Callable[[RenderedT], bool] | None = None
        self.sending = threading.Lock()  # held by the thread of the stream, unless it waits at the bell
        self.sending.acquire()
        self.sent: RenderedT | None = None
        self.sent_at = 0.0  # by time.monotonic()

    def show(self, picture: RenderedT) -> None:
        """Send a picture, or let the stream send it."""
        self.picture = picture
        if not self._send(picture):
            self._ring()

    def _send(self, picture: RenderedT) -> bool:
        if self.send_at_once is None or not self.sending.acquire(blocking=False):
            return False
        try:
            if picture is not self.sent:
                if not self.send_at_once(picture):
                    return False
                self.note_sent(picture)
            return True
        finally:
            self.sending.release()

    def note_sent(self, picture: RenderedT | None) -> None:
        """Remember that a picture, or a sign of life, is being sent."""
        self.sent = picture or self.sent
        self.sent_at = time.monotonic()

    def end(self) -> None:
        """Let the stream end."""
        self.is_over = True
        self._ring()

    def _ring(self) -> None:
        if self.bell.empty():  # one ring is enough: only the newest picture is sent
            self.bell.put(None)


class Live(Generic[RenderedT]):
    """The current pictures of all places, and the streams that watch them."""

    def __init__(
        self,
        database: Database,
        waits: WaitEstimator,
        render: Callable[[Picture], RenderedT],
        max_streams: int,
        max_streams_per_client: int,
    ):
        """Start to look for changes. `render(picture)` makes what clients receive."""
        self._database = database
        self._waits = waits
        self._render = render
        self._max_streams = max_streams
        self._max_streams_per_client = max_streams_per_client
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = False
        self._watchers: set[Watcher[RenderedT]] = set()
        # The newest picture of each place, with its revision. It is the same for all, whatever they call this
        # server; the URL that its links begin with is inserted when it is sent.
        self._rendered: dict[str, tuple[Revision, RenderedT]] = {}
        # What the watchers of each place were shown last, and when, by time.monotonic().
        self._shown: dict[str, tuple[Revision | None, float]] = {}
        database.on_commit = self._on_commit
        threading.Thread(target=self._run, name="live", daemon=True).start()

    def current(self, slug: str) -> RenderedT:
        """Return the picture of a place as it is now, rendered once for all who ask. Raises NotFound."""
        at = now()
        known = self._rendered.get(slug)
        with self._database.read() as db:
            place = find_place(db, slug)
            revision = revision_of(db, at, place)
            if known is not None and known[0] == revision:
                return known[1]
            picture = picture_of(db, at, place, revision, self._waits)
        rendered = self._render(picture)
        if len(self._rendered) >= MAX_RENDERED:
            self._rendered.clear()
        self._rendered[slug] = revision, rendered
        return rendered

    def join(self, slug: str, client: str) -> Watcher[RenderedT]:
        """Let a stream to a client watch a place.

        Raises NotFound, and TooMany when there are too many streams, in all or to this client.
        """
        watcher = Watcher[RenderedT](slug, client)
        with self._lock:
            same_client = [other for other in self._watchers if other.client == client]
            if len(self._watchers) >= self._max_streams or len(same_client) >= self._max_streams_per_client:
                raise TooMany("Too many pages are open; this one asks again by itself.", TRY_AGAIN_S)
            self._watchers.add(watcher)
        try:
            picture = self.current(slug)
        except BaseException:
            self.leave(watcher)
            raise
        with self._lock:
            if watcher.picture is None:  # else a newer one came meanwhile
                watcher.picture = picture
        self._changed.set()
        return watcher

    def leave(self, watcher: Watcher[RenderedT]) -> None:
        """End a stream, or forget one that ended. It is safe to call this twice."""
        with self._lock:
            self._watchers.discard(watcher)
        watcher.end()

    def pictures(self, watcher: Watcher[RenderedT]) -> Iterator[RenderedT | None]:
        """Yield the current picture of a watcher, then each newer one that isn't sent at once.

        Yield None after QUIET_S in which nothing was sent.
        """
        while not self._closed and not watcher.is_over:
            picture = watcher.picture
            if picture is not None and picture is not watcher.sent:
                watcher.note_sent(picture)
                yield picture
            watcher.sending.release()
            with suppress(Empty):
                watcher.bell.get(timeout=max(0.0, watcher.sent_at + QUIET_S - time.monotonic()))
            watcher.sending.acquire()
            if time.monotonic() >= watcher.sent_at + QUIET_S:
                watcher.note_sent(None)
                yield None

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        self._changed.set()
        self.end_streams()

    def end_streams(self) -> None:
        """End all streams; the pages ask again."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.end()

    def _on_commit(self) -> None:
        if self._watchers:
            self._changed.set()

    def _run(self) -> None:
        pause_s: float | None = None  # None: until the next change
        is_well = True
        while not self._closed:
            self._changed.wait(pause_s)
            self._changed.clear()
            with self._lock:
                watched = {watcher.slug for watcher in self._watchers}
            if not watched:
                pause_s = None
                continue
            try:
                pause_s = self._show_changes(watched)
                is_well = True
            except Exception:  # the database failed: try again
                if is_well:
                    log.exception("Pages aren't kept up to date until the database can be read again")
                is_well = False
                pause_s = RETRY_S

    def _show_changes(self, watched: set[str]) -> float:
        """Show each watched place that changed. Returns the seconds until it makes sense to look again."""
        with self._database.read() as db:
            revisions = revisions_by_slug(db, now(), list(watched))
        pause_s = POLL_S
        for slug in watched:
            revision = revisions.get(slug)
            shown, shown_at = self._shown.get(slug, (None, 0.0))
            if revision is not None and revision == shown:
                continue
            too_early_s = shown_at + MIN_INTERVAL_S - time.monotonic()
            if too_early_s > 0:
                pause_s = min(pause_s, too_early_s)
                continue
            began_at = time.monotonic()
            if revision is None:
                self._end_streams(slug)
            else:
                self._show(slug)
            self._shown[slug] = revision, began_at
        return pause_s

    def _show(self, slug: str) -> None:
        """Send the current picture of a place to all who watch it. If that fails, other places go on."""
        try:
            picture = self.current(slug)
            for watcher in self._watchers_of(slug):
                watcher.show(picture)
        except NotFound:
            self._end_streams(slug)
        except Exception as error:
            if isinstance(error, (Unavailable, *self._database.engine.errors)):
                raise
            log.exception("The pages of a place aren't kept up to date until it changes again")

    def _end_streams(self, slug: str) -> None:
        for watcher in self._watchers_of(slug):
            watcher.end()

    def _watchers_of(self, slug: str) -> list[Watcher[RenderedT]]:
        with self._lock:
            return [watcher for watcher in self._watchers if watcher.slug == slug]
