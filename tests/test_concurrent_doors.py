"""Many doors tap at once, offline, and into a server that is killed: each tap counts exactly once."""

import json
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from urllib.parse import urlsplit

import pytest
from helpers.places import Door, new_tap
from helpers.waiting import wait_for

COUNTED = ("tap", "undo", "recount", "empty")  # kinds of events that add up to the people inside
PASSING = (1, 1, 1, 1, 2, 3, 5, -1, -1, -1, -2)  # sizes of groups that pass a door


def passing(count):
    """Return this many taps, like people who pass a door."""
    return [new_tap(random.choice(PASSING)) for _ in range(count)]


def total(taps):
    """Return how many people taps add up to."""
    return sum(each["delta"] for each in taps)


class Inside:
    """A shop with a counter and this many doors."""

    def __init__(self, server, doors=8, capacity=100_000, **asked):
        self.server, self.shop, self.capacity = server, server.open_shop(), capacity
        asked |= {"name": "Front", "capacity": capacity, "empties": "never"}
        added = self.shop.owner_post("/counters", **asked)
        assert added.status == 201, added
        for n in range(doors - 1):
            answer = self.shop.owner_post(f"/counters/{added.body['slug']}/doors", name=f"Door {n}")
            assert answer.status == 201, answer
        self.doors = [Door(server, each) for each in self.shop.counter("front")["doors"]]

    def at_each_door(self, does):
        """Run a function for each door, all at the same time; return the results."""
        return self.server.at_once(*(lambda door=door: does(door) for door in self.doors))

    def counter(self):
        """Return the public state of the counter."""
        return self.shop.picture()["counters"][0]

    def counted(self):
        """Return the counted events; the shown count must be their sum."""
        history = self.shop.events()
        counted = [event for event in history if event["kind"] in COUNTED]
        assert self.counter()["count"] == max(0, total(counted))  # a negative count is never public
        tapped = [event["tap"] for event in history if event["tap"]]
        assert len(tapped) == len(set(tapped)), "a tap is there twice"
        return counted

    def check(self, sent):
        """Check that all of these taps were counted exactly once, and nothing else."""
        assert {event["tap"]: event["delta"] for event in self.counted()} == {
            each["id"]: each["delta"] for each in sent
        }
        assert self.counter()["count"] == total(sent)


@pytest.fixture
def server(shared_server):
    """The server of all tests; each test has its own place."""
    return shared_server


# ----- many at the same time


def tap_steadily(door, seconds, a_second):
    """Tap at this pace, and send all unsent taps in one request, as the page does.

    Return the taps, and when the last one was sent.
    """
    began, sent = time.monotonic(), []
    while len(sent) < int(seconds * a_second):
        time.sleep(max(0, began + len(sent) / a_second - time.monotonic()))
        due = min(int(seconds * a_second), int((time.monotonic() - began) * a_second) + 1)
        earlier, new = sent[-1:], passing(due - len(sent))
        at, sent = time.monotonic(), sent + new
        assert door.send_taps(*earlier, *new).status == 200  # one of them again, to be counted once
    return sent, at


@pytest.mark.alone
@pytest.mark.parametrize(
    ("seconds", "watching", "within"),
    [(4, 40, 3), pytest.param(60, 200, 1, marks=pytest.mark.soak)],
    ids=["4 s, 40 pages", "60 s, 200 pages"],
)
def test_eight_doors_tap_fifty_times_a_second(start_server, seconds, watching, within):
    inside = Inside(start_server("--threads", str(64 + watching), streams_per_address=watching))
    pages = [inside.shop.watch() for _ in range(watching)]
    tapped = inside.at_each_door(lambda door: tap_steadily(door, seconds, 50 / 8))
    time.sleep(1)  # so that reading the streams doesn't slow down the taps

    sent = [each for taps, _ in tapped for each in taps]
    assert len(sent) == 50 * seconds
    inside.check(sent)
    last, newest = max(at for _, at in tapped), inside.shop.picture()
    waits = []
    for page in pages:
        shown = page.until(lambda event: event.picture["version"] == newest["version"])[-1]
        assert shown.picture["counters"] == newest["counters"]
        waits.append(shown.at - last)
        page.close()
    assert sorted(waits)[int(0.99 * watching) - 1] < within


def test_a_batch_is_never_seen_in_part(server):
    inside, seen = Inside(server), []
    with inside.shop.watch() as page:
        page.next()
        for _ in range(3):
            answers = inside.at_each_door(lambda door: door.send_taps(*[new_tap(1) for _ in range(100)]))
            seen += [answer.body["count"] for answer in answers]
        seen += [
            event.picture["counters"][0]["count"]
            for event in page.until(lambda event: event.picture["counters"][0]["count"] == 2400)
        ]
    assert [count for count in seen if count % 100] == []
    assert inside.counter()["count"] == 2400


@pytest.mark.alone
def test_one_door_recounts_while_the_others_tap(server):
    inside = Inside(server)
    recounting, *others = inside.doors
    with ThreadPoolExecutor(8) as people:
        at_work = [people.submit(tap_steadily, door, 2, 20) for door in others]
        for count in (50, 0, 100_000, 12):
            assert recounting.recount(count).status == 200
            time.sleep(0.4)
        sent = [each for taps in at_work for each in taps.result()[0]]
    sent.append(new_tap())  # one comes after the last recount, however long those took
    assert others[0].send_taps(sent[-1]).status == 200

    counted, history = inside.counted(), inside.shop.events()
    recounts = [nth for nth, event in enumerate(counted) if event["kind"] == "recount"]
    assert [total(counted[: nth + 1]) for nth in recounts] == [50, 0, 100_000, 12]
    assert len(counted) > recounts[-1] + 1, "nobody tapped after the last recount"
    assert {event["tap"] for event in history if event["tap"]} == {each["id"] for each in sent}
    recounted_at = max(event["happened_at"] for event in history if event["kind"] == "recount")
    assert all(event["happened_at"] < recounted_at for event in history if event["kind"] == "not-counted")


# ----- a door that was offline


@pytest.mark.parametrize("cut", ["when it was stored", "at once", "halfway"])
def test_a_door_sends_all_again_whose_answer_got_lost(server, cut):
    inside = Inside(server, doors=2)
    door, other = inside.doors
    mine = [each | {"ago_s": 600 - 3 * nth} for nth, each in enumerate(passing(199))]
    mine.append(new_tap(50 - total(mine) % 50))  # or the sum could be 0
    theirs = passing(150)

    send_and_hang_up(inside, door, mine, cut)
    if cut == "when it was stored":
        assert inside.counter()["count"] == total(mine)
    elif cut == "halfway":
        assert inside.counter()["count"] == 0

    assert other.send_taps(*theirs).status == 200  # this door was offline too
    for _ in range(2):
        assert door.send_taps(*mine).body["count"] == total(mine) + total(theirs)
    for size in (1, 7, 60):
        for begin in range(0, 200, 40):
            answer = door.send_taps(*mine[begin : begin + size])
            assert (answer.status, answer.body["count"]) == (200, total(mine) + total(theirs))
    more = passing(3)
    assert door.send_taps(*mine[150:], *more).status == 200  # old and new taps
    assert door.send_taps(*reversed(mine + more)).status == 200
    inside.check(mine + theirs + more)


def send_and_hang_up(inside, door, taps, cut):
    """Send a batch, and close the connection before the response is read."""
    url, body = urlsplit(f"{door.link}/taps"), json.dumps({"taps": taps}).encode()
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with closing(socket.create_connection((url.hostname, url.port))) as link:
        # without closing the connection properly
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.sendall(request[: len(request) // 2] if cut == "halfway" else request)
        deadline = time.monotonic() + 10
        while cut == "when it was stored" and inside.counter()["count"] == 0:
            assert time.monotonic() < deadline, "the batch was not stored in 10 s"
            time.sleep(0.01)


def test_the_same_taps_sent_by_many_tabs_at_once_count_once(server):
    inside = Inside(server, doors=2)
    door, mine = inside.doors[0], passing(200)
    whole = [lambda: door.send_taps(*mine)] * 5
    parts = [lambda begin=begin: door.send_taps(*mine[begin : begin + 70]) for begin in range(0, 200, 30)]
    for _ in range(3):
        assert {answer.status for answer in server.at_once(*whole, *parts)} == {200}
    inside.check(mine)


# ----- a queue at the door


def test_two_doors_tap_the_same_customer_in_at_the_same_instant(server):
    inside, rounds, people = Inside(server, doors=2, admits="deli"), 25, 0
    for nth in range(rounds):
        party = 1 + nth % 3
        customer = inside.shop.take(party=party).body
        number, people = customer["number"], people + party
        assert [each["number"] for each in inside.doors[0].get()["called"]] == [number]
        answers = inside.at_each_door(
            lambda door, n=number, size=party: door.send_taps(new_tap(size, number=n))
        )
        assert [answer.status for answer in answers] == [200, 200]
        assert [answer.body["count"] for answer in answers] == [people, people]
        assert server.get(customer["links"]["ticket"]).body["state"] == "done"
        assert inside.counter() | {"count": people, "held": 0} == inside.counter()
    kinds = [event["kind"] for event in inside.shop.events()]
    assert [kinds.count(kind) for kind in ("call", "tap", "come-in", "not-counted")] == [rounds] * 4
    assert len(inside.counted()) == rounds


def test_a_customer_comes_in_at_the_instant_another_door_reports_a_no_show(server):
    inside, rounds = Inside(server, doors=2, admits="deli"), 25
    front, back = inside.doors
    for nth in range(rounds):
        customer = inside.shop.take().body
        number = customer["number"]
        came, missed = server.at_once(
            lambda n=number: front.send_taps(new_tap(number=n)), lambda n=number: back.no_show(n)
        )
        assert came.status == 200
        ended = {200: "no_show", 409: "done"}[missed.status]
        assert server.get(customer["links"]["ticket"]).body["state"] == ended
        assert inside.counter() | {"count": nth + 1, "held": 0} == inside.counter()
    assert len(inside.counted()) == rounds


class Rush:
    """Customers, doors and desks that act on the same queue at the same time."""

    def __init__(self, inside, desks):
        self.inside, self.server = inside, inside.server
        self.desks = [inside.shop.desk(f"Servicer {n}", f"Window {n}") for n in range(desks)]
        self.at_desks, self.at_doors, self.all_taken = [], set(), threading.Event()

    def customer(self, takes):
        """Take numbers, and cancel some of them."""
        for _ in range(takes):
            mine = self.inside.shop.take(party=random.randint(1, 3))
            assert mine.status == 201, mine
            if random.random() < 0.1:
                assert self.server.post(mine.body["links"]["cancel"]).status in (200, 409)

    def servicer(self, desk):
        """Call one customer after the other to a desk."""
        current = None
        while True:
            nobody_else_comes = self.all_taken.is_set()
            answer = desk.post("next", finished=current)
            gone_home = answer.status == 409 and current and answer.body["current"] is None
            if answer.status == 409 and " admits " in answer.body["error"]:
                return  # only the counter calls from this queue
            assert answer.status == 200 or gone_home, answer
            current = answer.body["current"] and answer.body["current"]["number"]
            if current:
                self.at_desks.append(current)
            elif nobody_else_comes and not gone_home:
                return
            time.sleep(random.uniform(0, 0.05))

    def doorkeeper(self, door):
        """Let called customers in, report some as no-shows, and let others out, until the line is empty."""
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline, "somebody waits for ever"
            time.sleep(random.uniform(0, 0.02))
            nobody_else_comes = self.all_taken.is_set()
            seen = door.get()
            self.at_doors |= {each["number"] for each in seen["called"]}
            if not seen["called"] and not seen["waiting"] and nobody_else_comes:
                return
            if seen["called"]:
                who = random.choice(seen["called"])
                if random.random() < 0.15:
                    assert door.no_show(who["number"]).status in (200, 409)
                else:
                    assert door.send_taps(new_tap(who["party"] or 1, number=who["number"])).status == 200
            if seen["count"] > 0:
                assert door.send_taps(new_tap(-random.randint(1, min(3, seen["count"])))).status == 200


def test_only_doors_call_from_a_queue_that_a_counter_admits(server):
    inside, customers, takes = Inside(server, doors=4, capacity=6, admits="deli"), 8, 15
    rush = Rush(inside, desks=4)
    with ThreadPoolExecutor(customers + 8) as people:
        at_work = [people.submit(rush.servicer, desk) for desk in rush.desks]
        at_work += [people.submit(rush.doorkeeper, door) for door in inside.doors]
        try:
            for each in [people.submit(rush.customer, takes) for _ in range(customers)]:
                each.result()
        finally:
            rush.all_taken.set()
        for each in at_work:
            each.result()

    assert rush.at_desks == [], "a desk called somebody whom the counter admits"
    assert len(rush.at_doors) >= 10, "the doors called nobody"
    tickets = {ticket["number"]: ticket for ticket in inside.shop.tickets()}
    assert len(tickets) == customers * takes
    assert {ticket["state"] for ticket in tickets.values()} <= {"done", "no_show", "cancelled"}
    called = check_room(inside, tickets)
    assert len(called) == len(set(called)), "a number was called twice"
    assert {number for number, each in tickets.items() if each["state"] != "cancelled"} <= set(called)
    assert (inside.counter()["held"], inside.shop.waiting()) == (0, [])
    inside.counted()


def check_room(inside, tickets):
    """Check that there was room whenever a customer was called to a door; return the called customers."""
    count, held, called = 0, {}, []
    for event in inside.shop.events():
        number = event["number"]
        if event["kind"] in COUNTED:
            count += event["delta"]
        elif event["kind"] == "call":
            called.append(number)
            if event["counter_id"]:
                held[number] = int(tickets[number]["party"])
                assert count + sum(held.values()) <= inside.capacity, f"no room was left for {number}"
        elif event["state"] not in (None, "called", "serving"):
            held.pop(number, None)
    assert held == {}
    return called


@pytest.mark.soak
def test_a_space_held_too_long_calls_the_next_by_itself(server):
    inside = Inside(server, doors=1, capacity=2, admits="deli", hold_minutes=1)
    assert inside.doors[0].send_taps(new_tap()).status == 200
    first = inside.shop.take().body["links"]["ticket"]
    second = inside.shop.take().body["links"]["ticket"]
    began = time.monotonic()
    with inside.shop.watch() as page:

        def calls_second(event):
            return any(called["number"] == "A2" for called in event.picture["queues"][0]["called"])

        seen = page.until(calls_second, within=70)
    assert 58 < seen[-1].at - began < 65
    assert [call["number"] for call in seen[-1].picture["calls"]] == ["A1", "A2"]
    assert not any(calls_second(event) for event in seen[:-1])
    assert server.get(first).body["state"] == "no_show"
    assert server.get(second).body["state"] == "called"
    assert inside.counter() | {"count": 1, "held": 1} == inside.counter()


# ----- a server that dies


class Storm:
    """Doors that send batches without a pause until the server is killed; each keeps unanswered taps."""

    def __init__(self, inside):
        self.inside = inside
        self.answered, self.unanswered = [], dict.fromkeys(inside.doors)

    def rage_until_killed(self, seconds):
        """Send for this long, and until something was answered, then kill the server in the middle."""
        answered = len(self.answered)
        people = [threading.Thread(target=self._tap, args=(door,)) for door in self.inside.doors]
        for person in people:
            person.start()
        time.sleep(seconds)
        wait_for(lambda: len(self.answered) > answered)
        self.inside.server.kill()
        for person in people:
            person.join()

    def _tap(self, door):
        try:
            while True:
                batch = self.unanswered[door] or passing(random.randint(1, 60))
                self.unanswered[door] = batch
                answer = door.send_taps(*batch)
                assert answer.status == 200, answer
                self.answered.append(batch)
                self.unanswered[door] = None
        except (OSError, HTTPException):
            return  # the server was killed: this batch was not answered

    def check(self):
        """Check what is left after the restart."""
        there = {event["tap"]: event["delta"] for event in self.inside.counted()}
        stored = [batch for batch in self.unanswered.values() if batch and batch[0]["id"] in there]
        wanted = {each["id"]: each["delta"] for batch in self.answered + stored for each in batch}
        missing = sum(each["id"] not in there for batch in self.answered for each in batch)
        assert missing == 0, f"{missing} answered taps were lost"
        assert there == wanted, "a batch was stored in part"
        assert self.inside.counter()["count"] == max(0, sum(wanted.values()))


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_no_answered_tap_is_lost_when_the_server_is_killed(start_server, kills):
    server = start_server()
    storm = Storm(Inside(server))
    for _ in range(kills):
        storm.rage_until_killed(random.uniform(0.3, 0.9))
        server.start()
        storm.check()
    for door, batch in storm.unanswered.items():  # the server is back: send the unanswered taps
        if batch:
            assert door.send_taps(*batch).status == 200
            storm.answered.append(batch)
    storm.unanswered.clear()
    storm.check()
