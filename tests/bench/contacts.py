"""How fast contacts are found, read from files and put on lists, and what takers elsewhere notice of it.

python tests/bench/contacts.py [--contacts 100000] [--reports 200000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from bench import Table, machine, middle, ms, running
from helpers.places import Place
from helpers.server import Server

NAMES = [
    "Ana",
    "Ben",
    "Cem",
    "Dora",
    "Eve",
    "Femi",
    "Gül",
    "Hugo",
    "Ida",
    "Jo",
    "Kofi",
    "Lea",
    "Núñez",
    "Uma",
]
REPORTS = """
    WITH RECURSIVE each(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < :reports)
    INSERT INTO report (place_id, queue_id, contact_id, servicer_id, claim, outcome, effect, notes, closed,
                        incoming, seconds, created_at)
    SELECT 1, :list, 1 + abs(random()) % (:contacts * 4 / 5), 1, 'old ' || n,
           CASE n % 3 WHEN 0 THEN 'Reached' WHEN 1 THEN 'No answer' ELSE 'Left a message' END, 'reached',
           'Said that all is well', 1, 0, 120, :now - abs(random()) % (28 * 86400) FROM each"""
CALLED = """
    UPDATE contact SET last_called_at = latest.at, last_outcome = latest.outcome
    FROM (SELECT contact_id, max(created_at) AS at, outcome FROM report GROUP BY contact_id) AS latest
    WHERE latest.contact_id = contact.id"""
PAGES = {
    "all": "",
    "searched for a name": "q=n%C3%BA%C3%B1ez+12",
    "searched for a phone number": "q=030+1234567",
    "never called": "never_called=1",
    "with an outcome": "last_outcome=Reached",
    "with a tag": "tag=flu",
    "with a tag, the last page": "tag=flu&page=100000",
    "called before a day": "called_before=2999-01-01",
    "by the last call": "sort=-last_called_at",
    "the last page": "page=100000",
}


def people(first: int, many: int) -> list[dict[str, Any]]:
    """Contacts with a name, a phone number and more."""
    chance, found = random.Random(first), []
    for n in range(first, first + many):
        name = f"{chance.choice(NAMES)} {chance.choice(NAMES)} {n}"
        found.append({"name": name, "phone": f"030 {10**6 + n}", "reference": f"P-{n}"})
        found[-1] |= {"email": f"p{n}@example.org", "address": f"{n} Main Street, 10115 Berlin"}
        found[-1] |= {"notes": "Prefers mornings", "tags": chance.choice(["flu", "flu, north", ""])}
    return found


def ask(server: Server, url: str, content: Any = None, accept: str = "application/json") -> tuple[float, Any]:
    """Seconds until an answer has arrived, and what it holds."""
    connection, parts = server.connect(), urlsplit(url)
    text = None if content is None else json.dumps(content)
    head = {"Accept": accept} | ({"Content-Type": "application/json"} if text else {})
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    before = time.perf_counter()
    connection.request("POST" if text else "GET", path, text and text.encode(), head)
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - before
    assert answer.status < 400, body[:500]
    return took, json.loads(body) if "json" in answer.headers["Content-Type"] else body


@contextmanager
def takers(server: Server, shop: Place, times: list[float]) -> Iterator[None]:
    """Customers who take a number, one after another, all the while."""
    over = threading.Event()

    def keep_taking() -> None:
        while not over.wait(0.01):
            before = time.perf_counter()
            assert shop.take().status == 201
            times.append(time.perf_counter() - before)

    thread = threading.Thread(target=keep_taking)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def import_file(server: Server, manage: str, rows: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Seconds until a file is taken, is read, and is stored."""
    lines = [";".join(row.values()) for row in rows]
    text = "\n".join([";".join(rows[0]), *lines])
    taken, upload = ask(server, f"{manage}/contacts/import", {"text": text})
    before = time.perf_counter()
    while (state := ask(server, upload["links"]["import"])[1])["state"] == "reading":
        time.sleep(0.1)
    assert (state["state"], state["add"]) == ("ready", len(rows)), state
    read = time.perf_counter() - before
    stored, state = ask(server, upload["links"]["store"], {})
    assert state["state"] == "stored"
    return taken, read, stored


def add_reports(server: Server, contacts: int, reports: int) -> None:
    """Reports of the last four weeks."""
    server.stop()
    with closing(sqlite3.connect(server.data / "takeanumber.db")) as db:
        (queue,) = db.execute("SELECT id FROM queue WHERE kind = 'calls'").fetchone()
        values = {"list": queue, "contacts": contacts, "reports": reports, "now": time.time()}
        db.execute(REPORTS, values)
        db.execute(CALLED)
        db.commit()
    server.start()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--contacts", type=int, default=100_000, help="contacts (100,000)")
    options.add_argument("--reports", type=int, default=200_000, help="reports (200,000)")
    options.add_argument("--rounds", type=int, default=5, help="rounds of each page (5)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table, half = Table(), asked.contacts // 2
    with running() as server:
        shop = server.open_shop(timezone="Europe/Berlin")
        manage = shop.links["manage"]
        ask(
            server,
            f"{manage}/queues",
            {"name": "Follow-ups", "kind": "calls", "calling_from": "00:00", "calling_to": "24:00"},
        )
        caller = shop.desk().link
        times: list[float] = []
        with takers(server, shop, times):
            taken, read, stored = import_file(server, manage, people(0, half))
        said = f"taken in {taken:.1f} s, read in {read:.1f} s, stored in {stored:.2f} s"
        table.row(
            f"a file of {half:,} contacts; a taker meanwhile", f"{said}; {noticed(times)}", "at most 1 s"
        )
        times = []
        with takers(server, shop, times):
            took, answer = ask(
                server, f"{manage}/contacts", {"contacts": people(half, asked.contacts - half)}
            )
        assert answer["added"] == asked.contacts - half
        table.row("as many from a program", f"{took:.1f} s; {noticed(times)}", "at most 1 s")
        add_reports(server, asked.contacts, asked.reports)
        for name, query in PAGES.items():
            for accept in ("application/json", "text/html"):
                url = f"{manage}/contacts?{query}"
                each = [ask(server, url, accept=accept)[0] for _ in range(asked.rounds)]
                what = f"the list, {name}, {accept}"
                table.row(what, f"{ms(middle(each))} (at most {ms(max(each))})", "< 200 ms")
        for action in ("add_to_list", "raise", "tag", "take_off"):
            times = []
            put = {"action": action, "list": "follow-ups", "reason": "Flu", "tag": "new", "match": "all"}
            with takers(server, shop, times):
                took, answer = ask(server, f"{manage}/contacts/actions", put)
            assert asked.contacts in answer.values(), answer
            what = f"{action} with all {asked.contacts:,}; a taker meanwhile"
            table.row(what, f"{took:.1f} s; {noticed(times)}", "< 5 s, at most 1 s")
            if action == "add_to_list":
                each = [next_call(server, caller) for _ in range(20)]
                table.row(
                    "the next call of all these", f"{ms(middle(each))} (at most {ms(max(each))})", "< 10 ms"
                )
                each = [ask(server, f"{manage}/contacts?in_list=follow-ups")[0] for _ in range(asked.rounds)]
                table.row(
                    "the list, in a call list", f"{ms(middle(each))} (at most {ms(max(each))})", "< 200 ms"
                )
        took, _ = ask(server, f"{manage}/contacts.csv")
        table.row("all of them as CSV", f"{took:.1f} s")


def next_call(server: Server, desk: str) -> float:
    """Seconds until the next call has come; it is then given back."""
    took, content = ask(server, f"{desk}/calls/next", {})
    ask(server, f"{desk}/calls/give-back", {"claim": content["call"]["claim"]})
    return took


def noticed(times: list[float]) -> str:
    """What takers waited."""
    return f"p50 {ms(middle(times))}, at most {ms(max(times))}"


if __name__ == "__main__":
    main()
