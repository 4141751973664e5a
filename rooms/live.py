"""Live: who is watching a place, and how they hear of a change."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection, Row

from rooms.counters import counters_of, level_of
from rooms.line import called_in, current_series, waiting_in
from rooms.numbers import NO_LINE, Line, Memory, lines_of
from rooms.places import day_of, find_place, iso, queues_of, shown
from rooms.settings import TooMany, now
from rooms.storage import Database, fact, run

log = logging.getLogger("takeanumber")


PAUSE_S = 0.2  # between two pictures of a place: the first change is shown at once, then the newest
LOOK_S = 0.5  # how often we look for what another process wrote
COMMENT_S = 15  # keeps proxies from closing a quiet stream
FREE_THREADS = 64  # that streams leave for everything else
# Of those that a picture shows: call lists are private, so nobody sees that something happened there.
LATEST_EVENT = "(SELECT max(event.id) FROM event WHERE place_id = place.id AND contact_id IS NULL)"


def picture(db: Connection, place: Row, at: float, base: str, memory: Memory) -> dict[str, Any]:
    """What everybody may see of a place now, with links that begin with `base`. Call lists are not in it."""
    called, queues, calls, zone = called_in(db, place), [], [], ZoneInfo(place.timezone)
    mine = f"{base}/{place.slug}"
    counters = counters_of(db, place, at)
    lines, walk_in = lines_of(db, at, place, memory), queues_of(db, place)
    everybody = waiting_in(db, [queue.id for queue in walk_in], day_of(place, at))
    for queue in walk_in:
        waiting = [ticket.number for ticket in everybody if ticket.queue_id == queue.id]
        waits = waits_in(queue, lines.get(queue.id, NO_LINE), everybody)
        content = shown(queue, place, "slug name open asks") | {"full": len(waiting) >= queue.max_waiting}
        content |= {"waiting": waiting, "called": [], "links": {"take": f"{mine}/{queue.slug}/tickets"}}
        content["door"] = next((each.name for each in counters if each.queue_id == queue.id), None)
        for ticket in (each for each in called if each.queue_id == queue.id):
            since = {"since": iso(ticket.started_at or ticket.called_at, zone)}
            content["called"].append(
                shown(ticket, place, "number series desk door held_until state by_phone") | since
            )
        queues.append(content | {"waits": waits[:-1], "estimated_wait": waits[-1]})
    sql = """SELECT event.id, happened_at, desk, number, series, counter.name AS door
             FROM event JOIN ticket ON ticket.id = ticket_id LEFT JOIN counter ON counter.id = counter_id
             WHERE event.place_id = :id AND kind IN ('call', 'call-again') AND by_phone = 0
             ORDER BY event.id DESC LIMIT 20"""
    for call in reversed(run(db, sql, id=place.id).all()):
        calls.append(shown(call, place, "id number series desk door") | {"at": iso(call.happened_at, zone)})
    links = {"customers": mine, "board": f"{mine}/board", "live": f"{mine}/live"}
    content = {"place": shown(place, place, "slug name"), "queues": queues, "links": links}
    content["counters"] = [
        counter_shown(each, place) | {"links": {"screen": f"{mine}/counter/{each.slug}"}} for each in counters
    ]
    return content | {"series": current_series(place, at), "calls": calls}


def waits_in(queue: Row, line: Line, everybody: list[Row]) -> list[dict[str, int] | None]:
    """The range of the wait of each who waits in a queue, and of one who would join it now."""
    if line.pace is None:
        return [None]
    length, lengths = 0.0, []
    for ticket in everybody:  # in the order in which desks call
        if ticket.queue_id == queue.id:
            lengths.append(length)
        length += line.counts_as.get(ticket.queue_id, 0.0)
    return line.expect(*lengths, length)


def counter_shown(counter: Row, place: Row) -> dict[str, Any]:
    """What everybody may see of a counter."""
    count = {"count": counter.people, "level": level_of(counter)}
    return shown(counter, place, "slug name capacity held admits") | count


def version_of(db: Connection, place: Row) -> dict[str, Any]:
    """The `version` of a place, which is its latest event, and the `epoch` in which that grows."""
    version = run(db, f"SELECT {LATEST_EVENT} FROM place WHERE id = :id", id=place.id).scalar_one()
    return {"epoch": fact(db, "epoch"), "version": version}


class Shown(NamedTuple):
    """A picture as it was made once for all: of what, its content with links, as JSON, and as an event."""

    etag: str
    content: dict[str, Any]
    text: str
    frame: bytes


class Watcher:
    """One open stream; its thread sleeps at the bell, and sends the newest frame when that rings."""

    def __init__(self, slug: str, base: str, address: str):
        self.slug, self.base, self.address = slug, base, address
        self.frame: bytes | None = b""
        self.bell: SimpleQueue[None] = SimpleQueue()

    def show(self, frame: bytes | None) -> None:
        """Rings with a new frame; with None, the stream ends."""
        self.frame = frame
        if self.bell.empty():
            self.bell.put(None)


class Live:
    """Makes one picture a change for all who watch a place, and rings them."""

    def __init__(self, database: Database, most: int, most_of_one: int):
        self._database, self._most, self._most_of_one = database, most, most_of_one
        self._lock, self._changed, self._closed = threading.Lock(), threading.Event(), False
        self._watchers: set[Watcher] = set()
        self._made: dict[tuple[str, str], Shown] = {}
        self.memory = Memory()
        database.on_commit = lambda: self._watchers and self._changed.set()
        threading.Thread(target=self._work, name="live", daemon=True).start()

    def current(self, slug: str, base: str) -> Shown:
        """The picture of a place as it is now, with links that begin with `base`; raises NotFound."""
        at, made = now(), self._made.get((slug, base))
        with self._database.read() as db:
            place = find_place(db, slug)
            version = version_of(db, place)
            # Waits change by themselves, each minute.
            etag = f"{version['epoch']}.{place.id}.{version['version']}.{int(at // 60)}"
            if made and made.etag == etag:
                return made
            content = picture(db, place, at, base, self.memory) | version
        if len(self._made) >= 100:
            self._made.clear()
        text = json.dumps(content)
        frame = f"event: state\nid: {etag}\ndata: {text}\n\n".encode()
        self._made[slug, base] = made = Shown(etag, content, text, frame)
        return made

    def join(self, slug: str, base: str, address: str) -> Watcher:
        """Lets one more stream watch a place; raises TooMany when the threads for streams are taken."""
        watcher = Watcher(slug, base, address)
        with self._lock:
            mine = sum(other.address == address for other in self._watchers)
            if len(self._watchers) >= self._most or mine >= self._most_of_one:
                raise TooMany("Too many pages are open; this one asks again by itself.", retry_after=5)
            self._watchers.add(watcher)
        try:
            frame = self.current(slug, base).frame
        except BaseException:
            self.leave(watcher)
            raise
        with self._lock:
            watcher.frame = watcher.frame or frame  # unless a newer one came meanwhile
        self._changed.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Ends a stream; safe to call twice."""
        with self._lock:
            self._watchers.discard(watcher)

    def stream(self, watcher: Watcher) -> Iterator[bytes]:
        """What a watcher is sent: the picture as it is, each newer one, a comment while nothing happens."""
        sent, news = None, b"retry: 2000\n\n"
        while not self._closed and (frame := watcher.frame) is not None:
            if frame != sent:
                sent, news = frame, news + frame
            yield news
            news = b""
            try:
                watcher.bell.get(timeout=COMMENT_S)
            except Empty:
                news = b": still here\n\n"

    def close(self) -> None:
        """Ends all streams, so that the server can stop."""
        self._closed = True
        self._changed.set()
        for watcher in list(self._watchers):
            watcher.show(None)

    def _work(self) -> None:
        told, pause = {}, None  # of each place: what was shown last, and when
        while not self._closed:
            self._changed.wait(pause)
            self._changed.clear()
            with self._lock:
                watched = {watcher.slug for watcher in self._watchers}
            try:
                pause = self._tell(watched, told) if watched else None
            except Exception:  # the storage failed: say so in the log, and try again
                log.exception("The live pictures could not be made")
                pause = 1.0

    def _tell(self, watched: set[str], told: dict[str, tuple[Any, float]]) -> float:
        # Shows what changed to whom it concerns; returns how long to wait before looking again.
        with self._database.read() as db:
            sql = f"""SELECT slug, id, {LATEST_EVENT} AS version
                      FROM place WHERE slug IN :slugs AND deleted_at IS NULL"""
            found = {row.slug: (*row, now() // 60) for row in run(db, sql, slugs=list(watched))}
        pause = LOOK_S
        for slug in watched:
            last, when = told.get(slug, (None, 0.0))
            wait = when + PAUSE_S - time.monotonic()
            if slug in found and found[slug] == last:
                continue
            if wait > 0:
                pause = min(pause, wait)
                continue
            told[slug] = found.get(slug), time.monotonic()
            with self._lock:
                watchers = [watcher for watcher in self._watchers if watcher.slug == slug]
            bases = {watcher.base for watcher in watchers}
            frames = {base: self.current(slug, base).frame if slug in found else None for base in bases}
            for number, watcher in enumerate(watchers, 1):
                watcher.show(frames[watcher.base])
                if number % 10 == 0:
                    time.sleep(0.0005)  # a thousand threads that wake at once would fight for the interpreter
        return pause
