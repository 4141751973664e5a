"""A counter of a shop that tests change over HTTP while they look at pages, and a thumb at its door.

def test_a_door_shows_the_taps_of_another(shop, visit):
    inside = Inside(shop, capacity=90)
    inside.tap(3)
    expect(visit(inside.door()).locator("#count")).to_have_text("3")
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any
from uuid import uuid4

from helpers.places import Place
from playwright.sync_api import Locator, Page, expect

# The points of a grid over the screen at which a thumb touches this pad, and nothing that covers it.
WHERE_IT_IS_MET = """pad => {
    const met = [], steps = [...Array(40).keys()].map(step => (step + .5) / 40);
    for (const y of steps) for (const x of steps) {
      const point = { x: x * innerWidth, y: y * innerHeight };
      if (document.elementFromPoint(point.x, point.y)?.closest('button') === pad) met.push(point);
    }
    return { point: met[Math.floor(met.length / 2)], share: met.length / 1600 };
}"""


class Inside:
    """A counter that the owner of a shop adds; by default "Shop", for 90 people."""

    def __init__(self, shop: Place, **asked: Any):
        self.shop, self.server = shop, shop.client
        self.slug = self.owner("counters", **{"name": "Shop", "capacity": 90} | asked)["slug"]

    def owner(self, path: str, **content: Any) -> Any:
        """Send a change as the owner, and check that it is accepted."""
        answer = self.server.post(f"{self.shop.links['manage']}/{path}", content)
        assert answer.status in (200, 201), answer
        return answer.body

    def change(self, **content: Any) -> None:
        """The owner changes the counter."""
        self.owner(f"counters/{self.slug}", **content)

    def add_door(self, name: str) -> str:
        """The owner adds a door; returns its link."""
        return self.owner(f"counters/{self.slug}/doors", name=name)["links"]["door"]

    @property
    def counter(self) -> dict[str, Any]:
        """Return the counter as the owner sees it."""
        counters = self.server.get(self.shop.links["manage"]).body["counters"]
        return next(each for each in counters if each["slug"] == self.slug)

    def door(self, name: str | None = None) -> str:
        """The link of the door of this name, or of the first."""
        return next(each["links"]["door"] for each in self.counter["doors"] if name in (None, each["name"]))

    @property
    def screen(self) -> str:
        """The link of the page that fills a screen."""
        return self.counter["links"]["screen"]

    @property
    def chart(self) -> str:
        """The link of the day's chart."""
        return self.counter["links"]["counter"]

    def tap(self, *deltas: int, door: str | None = None, **more: Any) -> None:
        """Tap at a door."""
        taps = [{"id": str(uuid4()), "delta": delta} | more for delta in deltas]
        answer = self.server.post(f"{door or self.door()}/taps", {"taps": taps})
        assert answer.status == 200, answer

    def recount(self, count: int) -> None:
        """Recount at the first door."""
        assert self.server.post(f"{self.door()}/recount", {"count": count}).status == 200

    @property
    def count(self) -> int:
        """Return the public count of people inside."""
        counters = self.shop.picture()["counters"]
        return next(each["count"] for each in counters if each["slug"] == self.slug)

    def becomes(self, count: int, within: float = 10) -> None:
        """Wait until this many people are inside; fail if that takes too long."""
        deadline = time.monotonic() + within
        while self.count != count:
            assert time.monotonic() < deadline, f"{self.count} are inside, and not {count}."
            time.sleep(0.05)

    def history(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the counted events, or the events of these kinds, in the order of the history."""
        kinds = kinds or ("tap", "undo", "recount", "empty")
        return [event for event in self.shop.events() if event["kind"] in kinds]

    def take_hours(self, hours: float) -> None:
        """Spread the events evenly over this many hours, up to now."""
        path = self.server.data / "takeanumber.db"
        with closing(sqlite3.connect(path, timeout=10)) as db, db:
            sql = """SELECT counter.id, min(event.id), max(event.id) FROM counter
                     JOIN event ON event.counter_id = counter.id AND event.delta IS NOT NULL
                     JOIN place ON place.id = counter.place_id WHERE place.slug = ? AND counter.slug = ?"""
            counter, first, last = db.execute(sql, (self.shop.slug, self.slug)).fetchone()
            sql = """UPDATE event SET happened_at = ? - ? * (? - id) / ?
                     WHERE counter_id = ? AND delta IS NOT NULL"""
            db.execute(sql, (time.time(), 3600 * hours, last, max(1, last - first), counter))


# ----- at a door's page


def button(page: Page | Locator, name: str) -> Locator:
    """Return the button with exactly this name."""
    return page.get_by_role("button", name=name, exact=True)


def place_of(page: Page, pad: str) -> dict[str, float]:
    """Return a point in the middle of a pad."""
    return button(page, pad).evaluate(WHERE_IT_IS_MET)["point"]


def taps(page: Page, *pads: str) -> None:
    """Tap these pads one after the other without waiting. The page needs has_touch."""
    places = {pad: place_of(page, pad) for pad in set(pads)}
    for pad in pads:
        page.touchscreen.tap(**places[pad])


def shows(page: Page, count: int, unsent: int = 0) -> None:
    """Check how many people a door shows, and how many unsent taps."""
    expect(page.locator("#count")).to_have_text(str(count))
    taps = "1 tap" if unsent == 1 else f"{unsent} taps"
    expect(page.locator("#unsent")).to_have_text(f"{taps} waiting to send" if unsent else "")
