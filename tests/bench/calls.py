"""How long the server takes to give a caller the next call, and to store the report, with long lists.

python tests/bench/calls.py [--contacts 100000] [--reports 200000] [--calls 200] [--lists 3]
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench import Table, machine, middle, ms
from helpers.forks import ROOT

EACH = "WITH RECURSIVE each(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM each WHERE n < :many)"
CONTACTS = f"""{EACH}
    INSERT INTO contact (place_id, name, phone, tags, search, do_not_call, created_at, changed_at)
    SELECT 1, 'Contact ' || n, '+4930' || (1000000 + n), '', 'contact ' || n, 0, :now, :now FROM each"""
# Everybody is on one list, in five priorities; of each five, two are not due yet.
TICKETS = f"""{EACH}
    INSERT INTO ticket (place_id, queue_id, contact_id, token, series, number, ordinal, state, priority,
                        joined_at, taken_at, reason, tries, by_phone)
    SELECT 1, 2 + n % :lists, n, 'token ' || n, 'calls', 'old-' || n, n, 'waiting', 1 + n / 7 % 5,
           :now - 100000 + n + (n % 5 / 3) * 1000000, :now, 'Test results', 0, 0 FROM each"""
REPORTS = f"""{EACH}
    INSERT INTO report (place_id, queue_id, contact_id, servicer_id, claim, outcome, effect, notes, closed,
                        incoming, seconds, created_at)
    SELECT 1, 2 + n % :lists, 1 + n % :contacts, 1 + n % 20, 'old ' || n, 'No answer', 'again', 'Nobody',
           1, 0, 60, :now - n * 10 FROM each"""
WHAT = {"app": "the next call, for an app", "next": "the next call, with the caller's page"}
WHAT |= {"report": "a report", "page": "the caller's page", "list": "the owner's page of a list"}
COUNTED = "UPDATE queue SET waiting = (SELECT count(*) FROM ticket WHERE queue_id = queue.id)"


def fill(data: Path, contacts: int, reports: int, lists: int = 3) -> None:
    """Many contacts, all of them on a list, and what was reported of them."""
    now = time.time()
    with closing(sqlite3.connect(data / "takeanumber.db")) as db:
        db.execute(CONTACTS, {"many": contacts, "now": now})
        db.execute(TICKETS, {"many": contacts, "now": now, "lists": lists})
        db.execute(REPORTS, {"many": reports, "now": now, "contacts": contacts, "lists": lists})
        db.execute(COUNTED)
        db.commit()


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from helpers.client import AppClient
    from helpers.places import open_deli

    import takeanumber

    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--contacts", type=int, default=100_000, help="contacts, each on a list (100,000)")
    options.add_argument("--reports", type=int, default=200_000, help="reports (200,000)")
    options.add_argument("--calls", type=int, default=200, help="calls that are made (200)")
    options.add_argument("--lists", type=int, choices=(1, 2, 3), default=3, help="call lists (3)")
    asked = options.parse_args()
    print(machine(), end="\n\n", flush=True)
    table, times = Table(), {"app": [], "next": [], "report": [], "page": [], "list": []}
    with tempfile.TemporaryDirectory() as data:
        app = takeanumber.create_app(data=Path(data))
        client = AppClient(app)
        place = open_deli(client, timezone="Europe/Berlin")
        for name in ("One", "Two", "Three")[: asked.lists]:
            place.owner_post("/queues", name=name, kind="calls", calling_from="00:00", calling_to="24:00")
        caller, *_ = [place.caller(f"Caller {n}") for n in range(20)]
        fill(Path(data), asked.contacts, asked.reports, asked.lists)

        def timed(what: str, function, *args, **more):
            before = time.perf_counter()
            result = function(*args, **more)
            times[what].append(time.perf_counter() - before)
            return result

        for n in range(asked.calls):
            if n % 2:
                call = timed("next", caller.post, "calls/next").body["call"]
            else:
                head = {"Authorization": f"Bearer {caller.link.split('/')[-1]}"}
                call = timed("app", client.post, "http://localhost/api/requestCall", {}, **head).body["call"]
            outcome = ("Reached", "No answer", "Left a message")[n % 3]
            assert timed("report", caller.report, call, outcome).body["closed"]
            if n % 10 == 0:
                timed("page", caller.get_calls)
                timed("list", place.call_list, "one")
        app.extensions["takeanumber"].live.close()
        app.extensions["takeanumber"].database.close()
    lists_in_words = ("one list", "two lists", "three lists")[asked.lists - 1]
    lists = f"{asked.contacts:,} contacts on {lists_in_words}, {asked.reports:,} reports"
    for what, limit in {
        "app": "< 10 ms",
        "next": "< 10 ms",
        "report": "",
        "page": "< 10 ms",
        "list": "< 200 ms",
    }.items():
        each = sorted(times[what])
        said = f"p50 {ms(middle(each))}, p99 {ms(each[int(0.99 * (len(each) - 1))])}"
        table.row(f"{WHAT[what]}; {lists}", said, limit)


if __name__ == "__main__":
    main()
