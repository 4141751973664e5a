"""The memory of a server stays flat under many kinds of requests."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from helpers.clock import zone_at_hour

SAMPLES = 40
CLIENTS = 3  # at once, so that threads, connections and their caches are used early
STREAMS = 5


def memory_of(server):
    """Return the resident memory of a server, in kB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class Crowd:
    """Customers, servicers, doors and strangers who send different requests all the time."""

    def __init__(self, server):
        self.server = server
        self.shop = server.open_shop(timezone=zone_at_hour(12))
        assert self.shop.owner_post("/queues/deli", asks=["name"]).status == 200
        assert self.shop.owner_post("/counters", name="Shop", capacity=100).status == 201
        self.door, self.desk = self.shop.door(), self.shop.desk()
        self.random = random.Random(1)
        self.numbers = count(1)

    def round(self):
        """Send 18 requests or a few more, and return 18."""
        number, server, shop = next(self.numbers), self.server, self.shop
        customer = shop.customer(name=f"Customer {number}")
        day = f"{self.random.randint(2000, 2030)}-{self.random.randint(1, 12):02}-15"
        requests = [
            customer.get,
            lambda: self.desk.post("next", finished=self.desk.current_number()),
            lambda: customer.cancel() if number % 3 else None,
            lambda: self.door.tap(1),
            lambda: self.door.tap(-1),
            lambda: server.get(shop.links["board"], Accept="text/html", Accept_Language=f"x-{number}"),
            lambda: server.get(shop.links["customers"], Accept="text/html"),
            lambda: server.get(shop.links["customers"], X_Forwarded_For=f"10.0.{number % 256}.1"),
            lambda: server.get(f"{shop.counter()['links']['counter']}?day={day}"),
            lambda: server.get(f"{shop.links['contacts']}?q=x{number}&sort=name"),
            lambda: server.get(f"/place-{number}"),
            lambda: server.post(f"/place-{number}/queue/tickets"),
            lambda: server.get(f"{shop.links['manage']}{number}"),
            lambda: server.post(f"{shop.links['manage']}{number}/contacts", {"x": [number]}),
            lambda: server.get("/healthz"),
            lambda: server.get("/", Accept="text/html"),
        ]
        for request in requests:
            request()
        if number % 50 == 0:
            server.get(f"{shop.links['stats']}?from={day}&to={day}")
            for _ in range(STREAMS):
                shop.watch().close()
        return 18


@pytest.mark.parametrize(
    ("requests", "growth_kb"),
    [(1_500, 6_000), pytest.param(500_000, 2_048, marks=pytest.mark.soak)],
    ids=["short", "long"],
)
def test_memory_stays_flat(start_server, requests, growth_kb):
    server = start_server(places="open")
    crowd = Crowd(server)
    memory, sent = [], 0
    with ThreadPoolExecutor(CLIENTS) as clients:
        while sent < requests:
            sent += sum(clients.map(lambda _: crowd.round(), range(CLIENTS)))
            if sent * SAMPLES // requests > len(memory):
                memory.append(memory_of(server))
                print(f"{sent:,} requests: {memory[-1]:,} kB", flush=True)
    half = memory[len(memory) // 2 :]
    assert max(half) - half[0] <= growth_kb, f"it grew: {memory} kB"


@pytest.mark.soak
def test_few_threads_answer_while_few_requests_come(start_server):
    """If 256 threads took turns, each would keep the memory of its largest request."""
    server = start_server()
    crowd = Crowd(server)
    crowd.round()
    before = memory_of(server)
    for _ in range(60):
        crowd.round()
    assert memory_of(server) - before < 12_000
