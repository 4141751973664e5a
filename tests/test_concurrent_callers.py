"""Many callers at the same instant: a call belongs to one caller and is reported once, in order."""

import random
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from helpers.places import Place

CALLERS = 20


def open_hotline(server, calls):
    """Open a place with a call list of this many contacts, in an order that is not that of their ids."""
    response = server.post("/places", {"name": "Hotline", "call_list": "Calls", "timezone": "Europe/Berlin"})
    assert response.status == 201, response
    hotline = Place(server, response.body)
    # since tests also run at night
    hotline.owner_post("/queues/calls", calling_from="00:00", calling_to="24:00")
    people = [{"name": f"N{n}", "phone": f"030 {1000001 + n}"} for n in range(calls)]
    for start in range(0, calls, 500):
        batch = people[start : start + 500]
        assert hotline.add_contacts(*batch)["added"] == len(batch)
    ids = list(range(1, calls + 1))
    random.Random(7).shuffle(ids)
    for n in range(min(5, calls)):
        content = {"action": "add_to_list", "list": "calls", "priority": n % 3 + 1, "ids": ids[n::5]}
        response = hotline.owner_post("/contacts/actions", **content)
        assert response.body["added"] == len(ids[n::5]), response
    return hotline


def let_claims_last(server, seconds):
    """Let claims end after seconds; in the settings of a list they are minutes."""
    with closing(sqlite3.connect(server.data / "takeanumber.db", timeout=30)) as db:
        db.execute("UPDATE queue SET claim_minutes = :minutes", {"minutes": seconds / 60})
        db.commit()


def check(export, calls, claim_s):
    """Check in the history which caller had which call, and that it was the next one."""
    tickets = {ticket["id"]: ticket for ticket in export["ticket"]}
    waiting = {
        (ticket["priority"], ticket["joined_at"], ticket["id"]): ticket["id"] for ticket in tickets.values()
    }
    keys, held, ended, lapses = {one: key for key, one in waiting.items()}, {}, Counter(), 0
    for event in export["event"]:
        one = event["ticket_id"]
        if event["kind"] == "claim":
            assert one not in held, f"{one} was somebody's"
            assert event["servicer_id"] not in [who for who, _ in held.values()]
            assert keys[one] == min(waiting), "another one was next"
            del waiting[keys[one]]
            held[one] = event["servicer_id"], event["happened_at"]
        elif event["kind"] == "lapse":
            assert event["happened_at"] >= held.pop(one)[1] + claim_s - 1e-6
            waiting[keys[one]] = one
            lapses += 1
        elif event["kind"] == "report":
            ended[one] += 1
            held.pop(one, None)
            waiting.pop(keys[one], None)
    assert len(ended) == calls
    assert set(ended.values()) == {1}
    assert {ticket["state"] for ticket in tickets.values()} == {"done"}
    closing_reports = Counter(report["ticket_id"] for report in export["report"] if report["closed"])
    assert closing_reports == ended
    assert all(queue["waiting"] == 0 for queue in export["queue"])
    return lapses


def work_through(server, calls, claim_s):
    hotline = open_hotline(server, calls)
    let_claims_last(server, claim_s)
    desks = [hotline.caller(f"Caller {n}") for n in range(CALLERS)]
    closed, kept, over = [], [], threading.Event()

    def report(desk, call):
        said = {"claim": call["claim"], "outcome": "Reached"}
        answer = desk.post("calls/report", **said)
        assert answer.status == 200, answer
        (closed if answer.body["closed"] else kept).append(call["id"])
        if len(closed) == calls:
            over.set()

    def caller(desk):
        dice, forgotten = random.Random(desk.id), []
        while not over.is_set():
            answer = desk.post("calls/next")
            assert answer.status == 200, answer
            call = answer.body["call"]
            if call is None:
                time.sleep(0.05)
            elif dice.random() < 1 / 3:
                time.sleep(claim_s + 0.05)  # an abandoned claim
                forgotten.append(call)
            else:
                report(desk, call)
                if forgotten and dice.random() < 1 / 2:
                    report(desk, forgotten.pop())
        for call in forgotten:
            report(desk, call)

    with ThreadPoolExecutor(CALLERS) as people:
        list(people.map(caller, desks))
    assert sorted(closed) == sorted(set(closed))
    assert len(closed) == calls
    lapses = check(hotline.export(), calls, claim_s)
    assert lapses > calls / 10
    assert kept  # late reports of calls that another caller has claimed


def test_twenty_callers_and_a_third_of_the_calls_abandoned(server):
    work_through(server, calls=80, claim_s=1)


@pytest.mark.soak
def test_twenty_callers_and_two_thousand_calls(server):
    work_through(server, calls=2000, claim_s=2)


def test_twenty_ask_at_the_same_instant_for_ten_calls(server):
    hotline = open_hotline(server, 10)
    desks = [hotline.caller(f"Caller {n}") for n in range(CALLERS)]
    answers = server.at_once(*[lambda desk=desk: desk.post("calls/next") for desk in desks])
    ids = [answer.body["call"]["id"] for answer in answers if answer.body["call"]]
    assert sorted(ids) == list(range(1, 11))


def test_a_double_press_counts_once(server):
    hotline = open_hotline(server, 6)
    desk = hotline.caller("Cleo")
    presses = [("next", {}, "claim"), ("report", {"outcome": "No answer"}, "report")]
    presses += [("give-back", {}, "give-back"), ("report", {"outcome": "Do not call again"}, "report")]
    for path, content, kind in presses:
        before = Counter(event["kind"] for event in hotline.export()["event"])
        if path != "next":
            content = content | {"claim": desk.post("calls/next").body["call"]["claim"]}
            before["claim"] += 1
        answers = server.at_once(
            *[lambda path=path, content=content: desk.post(f"calls/{path}", **content)] * 3
        )
        assert [answer.status for answer in answers] == [200] * 3
        assert Counter(event["kind"] for event in hotline.export()["event"])[kind] == before[kind] + 1
        if path == "report":
            assert len({answer.body["report"]["id"] for answer in answers}) == 1
    assert len(hotline.export()["report"]) == 2


def test_a_report_at_the_instant_at_which_another_takes_the_call(server):
    hotline = open_hotline(server, 1)
    let_claims_last(server, 0.3)
    cleo, dan = hotline.caller("Cleo"), hotline.caller("Dan")
    call = cleo.post("calls/next").body["call"]
    time.sleep(0.3)
    said = {"claim": call["claim"], "outcome": "Reached"}
    reported, asked = server.at_once(
        lambda: cleo.post("calls/report", **said), lambda: dan.post("calls/next")
    )
    assert (reported.status, asked.status) == (200, 200)
    assert reported.body["closed"] is (asked.body["call"] is None)
