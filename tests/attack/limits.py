"""As many tries as 10,000 addresses can make: a guess stays hopeless, and nobody else is locked out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from helpers.places import Place
from helpers.server import Server

ADDRESSES = 10_000
MAX_CODES = 5_000  # of a place, in ten minutes
REFUSED, WRONG, TOO_MANY = 400, 400, 429


def attack(start: Callable[..., Server]) -> Iterator[str]:
    """Yield what was tried."""
    server = start(proxies=1)
    shop = server.open_shop()
    code = shop.owner_post("/links/staff/code").body["staff_code"]["code"]
    numbers = random.Random(1)

    tried = guess(shop, (str(ip_address(f"2001:db8::{n:x}")) for n in range(100)), numbers)
    assert tried.count(WRONG) <= 20, "an IPv6 client counts as many"
    yield f"100 addresses of one IPv6 network: {tried.count(WRONG)} guesses"

    tried = guess(shop, (f"198.51.{n // 250}.{n % 250}" for n in range(1500)), numbers)
    right = try_code(shop, code, "203.0.113.1")
    assert right == 200, f"the right code is refused to others: {right}"
    yield f"1,500 addresses of six networks: {tried.count(WRONG)} guesses, and the right code still works"

    tried = guess(shop, (f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(ADDRESSES)), numbers)
    assert tried.count(WRONG) <= MAX_CODES, "more guesses than a place allows"
    yield f"{ADDRESSES:,} addresses: {tried.count(WRONG):,} guesses"
    for _ in range(3):
        assert try_code(shop, "11111111", "10.0.0.1") in (WRONG, TOO_MANY)
    assert shop.take().status == 201, "no number is given"
    yield "customers are served all the time"


def guess(shop: Place, addresses: Iterator[str], numbers: random.Random) -> list[int]:
    """Return the statuses of one guess from each address."""
    return [try_code(shop, f"{numbers.randrange(10**8):08}", address) for address in addresses]


def try_code(shop: Place, code: str, address: str) -> int:
    """Return the status for a code that comes from an address, as a proxy reports it."""
    return shop.client.post(f"/{shop.slug}/code", {"code": code}, X_Forwarded_For=address).status
