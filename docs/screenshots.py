"""Takes the README's pictures: a server with a day played into it, looked at in a real browser."""

from __future__ import annotations

import math
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent
sys.path += [str(DOCS.parent / "tests"), str(DOCS.parent / "tests/browser")]

from call_list import Calling  # noqa: E402
from counter import Inside  # noqa: E402
from helpers.browser import FLAGS, launch_options  # noqa: E402
from helpers.clock import zone_at_hour  # noqa: E402
from helpers.places import Place  # noqa: E402
from helpers.server import Server  # noqa: E402

PHONE, SCREEN, TABLET = (375, 667), (1440, 900), (1000, 640)
CUSTOMERS = [
    "Zoë",
    "Mr. Okafor",
    "Lena",
    None,
    "Sam",
    "Mrs. Jones",
    None,
    "Ravi",
    "Ines",
    "Tom",
    None,
    "Yuki",
]


def play(shop: Place) -> dict[str, str]:
    """A morning at the deli: nine were served, three are at the desks, four wait. Returns the links."""
    post = shop.client.post
    post(f"{shop.links['manage']}/queues/deli", {"asks": ["name", "note"]})
    desks = [shop.desk(name, f"Window {number}") for number, name in enumerate(("Ana", "Ben", "Chloe"), 1)]
    for name in CUSTOMERS:
        shop.take(name=name)
    at_desk = [desk.post("next", finished=None).body["current"]["number"] for desk in desks]
    for turn in range(9):
        number = at_desk[turn % 3]
        current = desks[turn % 3].post("next", finished=number).body["current"]
        at_desk[turn % 3] = current["number"]
    for name, note in [
        ("Marta", "A birthday cake"),
        (None, None),
        ("Pete", "Half a pound of ham"),
        (None, None),
    ]:
        ticket = shop.take(name=name, note=note).body
    for desk, number in zip(desks[:2], at_desk[:2], strict=True):
        desk.post("start", number=number)
    post(f"{shop.links['manage']}/queues/deli", {"asks": []})
    return shop.links | {"desk": desks[1].link, "ticket": ticket["links"]["ticket"]}


def let_time_pass(server: Server) -> None:
    """What was played in a second took a morning: a customer a minute."""
    server.stop()
    now = time.time()
    with sqlite3.connect(server.data / "takeanumber.db") as db:
        newest = db.execute("SELECT max(id) FROM ticket").fetchone()[0]
        for (ticket,) in db.execute("SELECT id FROM ticket").fetchall():
            taken = now - 60 * (newest - ticket) - 40
            called, ended = taken + 118 + 7 * (ticket % 4), taken + 300 + 11 * (ticket % 3)
            sql = """UPDATE ticket SET taken_at = ?, joined_at = ?,
                       first_called_at = CASE WHEN called_at IS NOT NULL THEN ? END,
                       called_at = CASE WHEN called_at IS NOT NULL THEN ? END,
                       started_at = CASE WHEN started_at IS NOT NULL THEN ? END,
                       ended_at = CASE WHEN ended_at IS NOT NULL THEN ? END WHERE id = ?"""
            db.execute(sql, (taken, taken, called, called, called + 21, ended, ticket))
    db.close()
    server.start()


def count(shop: Place) -> Inside:
    """Eight hours at two doors, busy at lunch and again after work; now it is five."""
    shop.client.post(shop.links["manage"], {"timezone": zone_at_hour(17)})
    inside, chance, taps = Inside(shop, capacity=40), random.Random(7), 420
    doors = [inside.door(), inside.add_door("Back door")]
    for nth in range(taps):
        t = nth / taps
        busy = 4 + 37 * math.exp(-(((t - 0.45) / 0.13) ** 2)) + 29 * max(0, t - 0.62) / 0.38
        goal = round(busy + chance.gauss(0, 1)) - inside.count
        many = max(-3, min(3, goal)) or chance.choice((1, -1))
        inside.tap(max(many, -inside.count) or 1, door=doors[chance.random() < 0.3])
        if nth == 250:
            inside.recount(inside.count - 2)
    inside.tap(28 - inside.count)
    inside.take_hours(8.4)
    return inside


def call(shop: Place) -> str:
    """A list of follow-ups, of which some were called. Returns the link of a caller who has a call."""
    calling = Calling(shop)
    names = [name for name in CUSTOMERS if name] + ["Marta Silva", "Pete Miller", "Aisha Khan", "Jo Novak"]
    ids = calling.add(*names, tags=["spring"], notes="Speaks French, too.", address="Lange Straße 5")
    calling.put_on(ids[:9])
    ana = calling.caller("Ana")
    for outcome, notes in [
        ("Reached", "Feels better; the next check is in May."),
        ("Left a message", "Her daughter took the call."),
        ("No answer", None),
    ]:
        claim = calling.has_a_call(ana)["claim"]
        calling.calls(ana, "report", claim=claim, outcome=outcome, notes=notes)
    heard = [each["id"] for each in calling.contacts() if each["last_outcome"] == "Left a message"]
    calling.put_on(heard, "Appointment", priority=1)
    calling.has_a_call(ana)
    return ana


def main() -> None:
    """Writes docs/*.png."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "data", url="https://deli.example")
        browser = playwright.chromium.launch(args=FLAGS, **launch_options())

        def visit(link: str, size: tuple[int, int], scale: float = 1, **options: object) -> Page:
            view = {"viewport": {"width": size[0], "height": size[1]}, "device_scale_factor": scale}
            page = browser.new_context(**view, reduced_motion="reduce", **options).new_page()
            page.goto(server.url + urlsplit(link).path)
            return page

        def take(name: str, page: Page, **options: object) -> None:
            page.wait_for_timeout(500)
            page.screenshot(path=DOCS / f"{name}.png", **options)
            print(f"docs/{name}.png")

        try:
            shop = server.open_shop()
            links = play(shop)
            let_time_pass(server)
            take("customers", visit(links["customers"], PHONE, 1.5))
            phone = visit(links["ticket"], PHONE, 1.5)
            take("ticket", phone)
            take("desk", visit(links["desk"], TABLET))
            take("board", visit(links["board"], SCREEN))
            turn = {"finished": server.get(links["desk"]).body["current"]["number"], "number": "A16"}
            server.post(f"{links['desk']}/next", turn)
            take("turn", phone)
            inside = count(shop)
            take("door", visit(inside.door(), PHONE, 1.5))
            inside.tap(10)
            for _ in range(4):
                shop.take()
            inside.change(admits="deli")
            take("screen", visit(inside.screen, SCREEN))
            ana = call(shop)
            take("calls", visit(ana, TABLET))
            server.post(f"{links['manage']}/steps", {"step": "hidden"})
            take("manage", visit(links["manage"], (1000, 760)))
        finally:
            browser.close()
            server.kill()


if __name__ == "__main__":
    main()
