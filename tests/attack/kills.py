"""A server that is killed in the middle of a rush, again and again: what was answered is there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException

from helpers.places import Place
from helpers.server import Server

KILLS = 20
CUSTOMERS = 6


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    server = start()
    shop = server.open_shop()
    assert shop.owner_post("/counters", name="Shop", capacity=10_000).status == 201
    door = shop.door()
    counted = 0
    numbers: set[str] = set()
    for kill in range(KILLS):
        given: list[str] = []
        taps: list[int] = []
        threads = [threading.Thread(target=take, args=(shop, given)) for _ in range(CUSTOMERS)]
        threads.append(threading.Thread(target=repeat, args=(lambda: door.tap(1), taps)))
        for thread in threads:
            thread.start()
        time.sleep(random.uniform(0.1, 1.0))
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        assert not numbers & set(given), "a number was given twice"
        assert len(set(given)) == len(given), "a number was given twice"
        numbers |= set(given)
        stored = {ticket["number"] for ticket in shop.tickets()}
        assert numbers <= stored, f"lost: {sorted(numbers - stored)}"
        counted += len(taps)
        count = door.get()["count"]
        assert counted <= count <= counted + 1 + kill, f"{counted} taps were answered, and {count} count"
        yield f"a kill after {len(given)} numbers and {len(taps)} taps"


def take(shop: Place, given: list[str]) -> None:
    """Take numbers until the server is gone."""
    repeat(lambda: shop.take().body["number"], given)


def repeat(press: Callable[[], object], answers: list) -> None:
    """Press until the server is gone, and keep each answer."""
    try:
        while True:
            answers.append(press())
    except (OSError, HTTPException):
        return
