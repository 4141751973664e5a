"""Many requests at the same instant: each number is given once, each customer is called by one desk."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def server(shared_server):
    """The server of all tests; each test has its own place, and leaves no connections behind."""
    yield shared_server
    shared_server.forget_connections()


def number_at(desk):
    """Return the number at a desk according to a response; None if the desk is free."""
    return desk.body["current"] and desk.body["current"]["number"]


def test_fifty_customers_and_eight_servicers_at_once(server):
    shop, takes = server.open_shop(), 4
    desks = [shop.desk(f"Servicer {n}", f"Window {n}") for n in range(8)]
    given, called, all_taken = [], [], threading.Event()

    def customer():
        for _ in range(takes):
            answer = shop.take()
            assert answer.status == 201, answer
            given.append(answer.body["number"])

    def servicer(desk):
        current = None
        while True:
            nobody_else_comes = all_taken.is_set()
            answer = desk.post("next", finished=current)
            assert answer.status == 200, answer
            current = number_at(answer)
            if current:
                called.append(current)
            elif nobody_else_comes:
                return

    with ThreadPoolExecutor(58) as people:
        at_work = [people.submit(servicer, desk) for desk in desks]
        customers = [people.submit(customer) for _ in range(50)]
        for each in customers:
            each.result()
        all_taken.set()
        for each in at_work:
            each.result()

    everybody = [f"A{n}" for n in range(1, 50 * takes + 1)]
    assert sorted(given, key=everybody.index) == everybody
    assert sorted(called, key=everybody.index) == everybody
    assert [event["number"] for event in shop.events() if event["kind"] == "take"] == everybody
    assert [event["number"] for event in shop.events() if event["kind"] == "call"] == everybody
    assert {ticket["state"] for ticket in shop.tickets()} == {"done"}


@pytest.mark.parametrize("waiting", [1, 2])
def test_two_desks_press_next_at_the_same_instant(server, waiting):
    shop, rounds = server.open_shop(), 100
    desks = [shop.desk("Ana", "Window 1"), shop.desk("Ben", "Window 2")]
    ready, called = threading.Barrier(2), {desk: [None] for desk in desks}

    def servicer(desk):
        for _ in range(rounds):
            if ready.wait(30) == 0:
                for _ in range(waiting):
                    assert shop.take().status == 201
            ready.wait(30)
            answer = desk.post("next", finished=called[desk][-1])
            assert answer.status == 200, answer
            called[desk].append(number_at(answer))

    with ThreadPoolExecutor(2) as people:
        list(people.map(servicer, desks))

    for nth, pair in enumerate(zip(*(numbers[1:] for numbers in called.values()), strict=True)):
        wanted = [f"A{nth * waiting + n}" for n in range(1, waiting + 1)]
        assert sorted(filter(None, pair), key=wanted.index) == wanted


def test_the_same_request_sent_twenty_times_at_once_makes_one_ticket(server):
    shop = server.open_shop()
    answers = server.at_once(*[lambda: shop.take(request_id="one press")] * 20)
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.body["links"]["ticket"] for answer in answers}) == 1
    assert shop.waiting() == ["A1"]


def test_a_line_of_ten_takes_ten_of_forty_who_come_at_once(server):
    shop = server.open_shop()
    server.post(f"{shop.links['manage']}/queues/deli", {"max_waiting": 10})
    answers = server.at_once(*[shop.take] * 40)
    assert sorted(answer.status for answer in answers) == [201] * 10 + [409] * 30
    assert len(shop.waiting()) == 10


def test_a_press_that_fails_halfway_spoils_no_other(server):
    shop = server.open_shop()
    desk = shop.desk("Ana")
    gone = shop.customer()
    shop.take()
    assert desk.call_next(number="A2")["number"] == "A2"
    gone.cancel()
    # Ana's customer is finished before the desk finds out that A1 doesn't wait any more.
    presses = [lambda: desk.post("next", finished="A2", number="A1")] * 10
    answers = server.at_once(*[shop.take] * 30, *presses)
    assert [answer.status for answer in answers] == [201] * 30 + [409] * 10
    assert shop.waiting() == [f"A{n}" for n in range(3, 33)]
    assert desk.current_number() == "A2"
    assert "done" not in {event["state"] for event in shop.events()}


# ----- every button pressed twice at the same instant

BUTTONS = [
    # the button, the request, both statuses, the number at the desk afterwards, those waiting in the deli
    ("next", {"finished": "A1"}, [200, 409], "A2", ["A3", "A4", "A5"]),
    ("next", {"finished": "A1", "number": "A4"}, [200, 409], "A4", ["A2", "A3", "A5"]),
    ("start", {"number": "A1"}, [200, 200], "A1", ["A2", "A3", "A4", "A5"]),
    ("done", {"number": "A1"}, [200, 409], None, ["A2", "A3", "A4", "A5"]),
    ("no-show", {"number": "A1"}, [200, 409], None, ["A2", "A3", "A4", "A5"]),
    ("call-again", {"number": "A1"}, [200, 200], "A1", ["A2", "A3", "A4", "A5"]),
    ("put-back", {"number": "A1"}, [200, 409], None, ["A2", "A3", "A1", "A4", "A5"]),
    ("move", {"number": "A1", "queue": "bakery"}, [200, 409], None, ["A2", "A3", "A4", "A5"]),
    ("move", {"number": "A3", "queue": "bakery"}, [200, 409], "A1", ["A2", "A4", "A5"]),
    ("add", {"queue": "deli", "request_id": "x"}, [200, 201], "A1", ["A2", "A3", "A4", "A5", "A6"]),
    ("pause", {}, [200, 200], "A1", ["A2", "A3", "A4", "A5"]),
    ("resume", {}, [200, 200], "A1", ["A2", "A3", "A4", "A5"]),
]


@pytest.fixture
def busy_shop(server):
    """A shop with two queues and one desk, which serves A1 while A2 to A5 wait."""
    shop = server.open_shop()
    shop.add_queue("Bakery")
    shop.ana = shop.desk()
    shop.customers = [shop.take().body for _ in range(5)]
    assert shop.ana.post("next", finished=None).body["current"]["number"] == "A1"
    return shop


def twice(server, url, content):
    """Return the responses to two presses at the same instant, the better one first."""
    press = lambda: server.post(url, content)  # noqa: E731
    return sorted(server.at_once(press, press), key=lambda answer: answer.status)


@pytest.mark.parametrize(("button", "content", "answers", "current", "waiting"), BUTTONS)
def test_a_double_press_at_the_desk_counts_once(
    server, busy_shop, button, content, answers, current, waiting
):
    said = twice(server, f"{busy_shop.ana.link}/{button}", content)
    assert [answer.status for answer in said] == answers
    for refused in said:
        if refused.status == 409:
            assert refused.body["error"]
            assert number_at(refused) == current
    assert number_at(server.get(busy_shop.ana.link)) == current
    assert busy_shop.waiting() == waiting


def test_a_double_press_brings_back_once(server, busy_shop):
    busy_shop.ana.post("done", number="A1")
    said = twice(server, f"{busy_shop.ana.link}/bring-back", {"number": "A1"})
    assert [answer.status for answer in said] == [200, 409]
    assert busy_shop.waiting() == ["A1", "A2", "A3", "A4", "A5"]


def test_a_customer_who_presses_twice_leaves_once(server, busy_shop):
    said = twice(server, busy_shop.customers[2]["links"]["cancel"], {})
    assert [answer.status for answer in said] == [200, 200]
    assert [answer.body["state"] for answer in said] == ["cancelled", "cancelled"]
    assert [event["kind"] for event in busy_shop.events()].count("cancel") == 1
    assert busy_shop.waiting() == ["A2", "A4", "A5"]


@pytest.mark.parametrize("button", ["close", "open"])
def test_an_owner_who_presses_twice_is_understood(server, busy_shop, button):
    said = twice(server, f"{busy_shop.links['manage']}/queues/deli/{button}", {})
    assert [answer.status for answer in said] == [200, 200]
    assert busy_shop.picture()["queues"][0]["open"] is (button == "open")


def test_an_owner_who_cancels_many_twice_cancels_each_once(server, busy_shop):
    said = twice(server, f"{busy_shop.links['manage']}/queues/deli/cancel", {"numbers": ["A2", "A3"]})
    assert [answer.status for answer in said] == [200, 200]
    assert [event["kind"] for event in busy_shop.events()].count("cancel") == 2
    assert busy_shop.waiting() == ["A4", "A5"]


def test_a_customer_cancels_at_the_instant_of_the_call(server):
    shop = server.open_shop()
    desk = shop.desk()
    for _ in range(30):
        mine = shop.take().body["links"]
        left, called = server.at_once(
            lambda url=mine["cancel"]: server.post(url), lambda: desk.post("next", finished=None)
        )
        assert (left.status, called.status) == (200, 200)
        assert server.get(mine["ticket"]).body["state"] == "cancelled"
        assert number_at(server.get(desk.link)) is None
        assert shop.picture()["queues"][0]["called"] == []
