"""Clocks that are wrong by hours, days and years, at a start and while the server runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from helpers.clock import zone_at_hour
from helpers.places import Place
from helpers.server import Server

from app.clock import DAY_S, HOUR_S

OFFSETS_S = {"1 h": HOUR_S, "1 d": DAY_S, "40 d": 40 * DAY_S, "10 y": 3653 * DAY_S}
OFFSETS_S |= {f"-{name}": -offset for name, offset in OFFSETS_S.items()}

# The server reads by how much its clock is wrong from a file, which the attack changes while it runs.
SERVE = """
import time
from pathlib import Path
import takeanumber
from app import clock, jobs
offset = Path({offset!r})
clock.source = lambda: time.time() + float(offset.read_text() or 0)
clock.is_synchronized.__code__ = (lambda at: False).__code__  # this machine has no time server
jobs.ERASE_S = 1
takeanumber.cli(["serve"])
"""


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    for name, offset_s in OFFSETS_S.items():
        for moment in ("at a start", "while it runs"):
            attack_once(start, offset_s, at_start=moment == "at a start")
            yield f"a clock that is wrong by {name} {moment}"


def attack_once(start: Callable[..., Server], offset_s: float, *, at_start: bool) -> None:
    """Let a shop live through a wrong clock; everything must be there when it is right again."""
    server = start()
    data = server.data
    server.stop()
    file = data.with_name(f"{data.name}.offset")
    file.write_text("0")

    def serve() -> Server:
        code = SERVE.format(offset=str(file))
        return start(data=data, code=code)

    server = serve()
    shop = server.open_shop(timezone=zone_at_hour(12))
    prepare(shop)
    before = content(shop)
    if at_start:
        server.stop()
    file.write_text(str(offset_s))
    if at_start:
        server = serve()
        move_to(shop, server)
    time.sleep(3)  # long enough for several rounds of each background job
    assert content(shop)["erasable"] == before["erasable"], "something was erased"
    new = shop.take(name="During")
    assert new.status == 201, new
    assert shop.door().tap(1) >= 1
    file.write_text("0")
    if at_start:
        server.stop()
        server = serve()
        move_to(shop, server)
    time.sleep(3)
    after = content(shop)
    assert after["erasable"] == sorted([*before["erasable"], "During"]), "something was erased"
    assert set(before["waiting"]) <= set(after["waiting"]), "somebody lost their place in line"
    assert shop.door().tap(1) >= before["count"] + 1, "a count was lost"
    server.stop()


def prepare(shop: Place) -> None:
    """Give a shop everything that a wrong clock could erase or end."""
    assert shop.owner_post("/queues/deli", asks=["name"]).status == 200
    assert shop.owner_post("/counters", name="Shop", capacity=50).status == 201
    desk = shop.desk()
    for name in ("Served", "First", "Second"):
        assert shop.take(name=name).status == 201
    desk.call_next()
    assert desk.post("done", number="A1").status == 200
    shop.add_contacts({"name": "Contact", "phone": "+4930123457"})
    shop.door().recount(7)


def content(shop: Place) -> dict[str, Any]:
    """Return what must not get lost."""
    names = [ticket["name"] for ticket in shop.export()["ticket"] if ticket["name"]]
    return {
        "erasable": sorted([*names, *shop.contact_names()]),
        "waiting": shop.waiting(),
        "count": shop.door().get()["count"],
    }


def move_to(shop: Place, server: Server) -> None:
    """Use another server's port for all links of a shop."""
    shop.client = server
    for links in (shop.links, shop.take_links):
        for name, link in links.items():
            links[name] = urlsplit(link)._replace(netloc=f"127.0.0.1:{server.port}").geturl()
