"""Customers who need more time: others go first meanwhile, and nobody else is delayed."""

import random

import pytest
from helpers.client import AppClient
from helpers.html_browser import Browser
from helpers.places import open_deli

from app.core.more_time import end_delays


def needs(customer, minutes=5):
    return customer.client.post(f"{customer.ticket['links']['ticket']}/more-time", {"minutes": minutes})


def test_others_go_first_and_the_place_in_line_is_kept(place, clock, ana):
    zoe, *_ = [place.customer() for _ in range(4)]
    answer = needs(zoe, 10)
    assert (answer.status, answer.body["away_until"][11:16]) == (200, "10:10")
    assert answer.body["estimated_wait"]["from"] >= 600
    assert ana.call_next()["number"] == "A2"
    assert ana.get()["line"][0]["away_until"][11:16] == "10:10"
    clock.advance(minutes=10)
    assert ana.call_next()["number"] == "A1"
    assert zoe.get()["away_until"] is None
    assert ana.call_next()["number"] == "A3"


def test_the_others_read_why(place, ana):
    zoe, ben = place.customer(), place.customer()
    needs(zoe)
    assert [each["text"] for each in ben.get()["steps"]] == ["A1 lets others go first until 10:05"]


def test_who_is_back_early_is_called_next(place, ana):
    zoe, _ = place.customer(), place.customer()
    back = needs(zoe).body["links"]["back"]
    for _ in range(2):  # pressing twice is safe
        assert zoe.client.post(back).status == 200
    assert ana.call_next()["number"] == "A1"


def test_a_desk_may_call_the_number_all_the_same(place, ana):
    zoe = place.customer()
    needs(zoe)
    assert ana.call_next() is None
    assert ana.call_next(number="A1")["number"] == "A1"
    assert zoe.get()["away_until"] is None


@pytest.mark.both_databases
def test_twice_and_no_more(place, clock):
    zoe = place.customer()
    for _ in range(2):
        assert needs(zoe).status == 200
        clock.advance(minutes=6)
    answer = needs(zoe)
    assert (answer.status, "you can ask twice" in answer.body["error"]) == (409, True)
    assert "more_time" not in answer.body["links"]
    assert place.owner_post("", max_delays=3).body["max_delays"] == 3
    assert needs(zoe).status == 200


def test_the_second_of_two_presses_counts_once(place, clock):
    zoe = place.customer()
    first = needs(zoe).body["away_until"]
    clock.advance(seconds=1)
    assert needs(zoe).body["away_until"] == first
    assert place.export()["ticket"][0]["delays"] == 1


def test_who_is_called_reads_why_not(place, ana):
    zoe = place.customer()
    ana.call_next()
    answer = needs(zoe)
    assert (answer.status, answer.body["state"], "your turn" in answer.body["error"]) == (409, "called", True)


@pytest.mark.parametrize("minutes", [0, 1, 7, 60, 61, -5, True, "5 minutes", None])
def test_other_minutes_are_refused(place, minutes):
    zoe = place.customer()
    answer = needs(zoe, minutes)
    assert (answer.status, "Minutes" in answer.body["error"]) == (400, True)
    assert zoe.get()["away_until"] is None


@pytest.mark.both_databases
def test_a_door_admits_the_others_and_later_them(shop, clock, app):
    assert shop.owner_post("/counters/shop", capacity=1, admits="deli").status == 200
    database = app.extensions["takeanumber"].database
    door = shop.door()
    door.tap(1)
    zoe, ben = shop.customer(), shop.customer()
    needs(zoe)
    door.tap(-1)
    assert (zoe.get()["state"], ben.get()["state"]) == ("waiting", "called")
    shop.client.post(f"{door.link}/no-show", {"number": "A2"})
    assert zoe.get()["state"] == "waiting"
    clock.advance(minutes=5)
    end_delays(database, clock())
    assert zoe.get()["state"] == "called"


@pytest.mark.parametrize("seed", range(4))
def test_nobody_is_called_later_because_somebody_else_asked_for_time(start, clock, seed):
    """The same arrivals and calls, with and without requests: only who asks may be called later."""

    client = AppClient(start(places="open"))

    def play(with_requests):
        dice = random.Random(seed)
        place = open_deli(client, timezone=clock.noon_zone)
        desk, customers, called, asked = place.desk(), [], {}, set()
        for step in range(40):
            press = dice.choice(["join", "next", "ask"])
            who = dice.randrange(1000)
            if press == "join":
                customers.append(place.customer())
            elif press == "next" and (current := desk.call_next()):
                called[current["number"]] = step
            elif press == "ask" and customers:
                customer = customers[who % len(customers)]
                if with_requests and needs(customer, 15).status == 200:
                    asked.add(customer.number)
        return called, asked

    without, _ = play(False)
    with_requests, asked = play(True)
    for number, step in without.items():
        if number not in asked:
            assert with_requests[number] <= step, (number, asked)


def test_who_is_behind_waits_for_them_only_if_they_are_back_by_then(place, ana, clock):
    place.owner_post("/queues/deli", usual_service_s=600)
    place.customer()
    ana.call_next()
    zoe, ben, _, late = (place.customer() for _ in range(4))

    def waits():
        """Return the waits of Ben and of the last in line, and check that the picture shows the same."""
        picture = place.queue()
        ranges = dict(zip(picture["waiting"], picture["waits"], strict=True))
        found = [ben.get()["estimated_wait"], late.get()["estimated_wait"]]
        assert found == [ranges[each.number] for each in (ben, late)]
        assert zoe.get()["estimated_wait"] == ranges[zoe.number]
        return found, place.customer().ticket["estimated_wait"]

    (before, before_late), newcomer = waits()
    needs(zoe, 15)
    (first, last), newcomer_after = waits()
    assert first["to"] < before["to"], "Zoë isn't back by then"
    assert last == before_late, "Zoë is back by then"
    assert newcomer_after["from"] > newcomer["from"], "there is one more in line, and Zoë is back by then"


def test_next_says_who_is_away_when_nobody_else_waits(place, app, ana):
    zoe, ben = place.customer(), place.customer()
    needs(zoe, 10)
    needs(ben, 5)
    desk = Browser(app).open(ana.get()["links"]["desk"])
    assert "Everyone waiting has asked for more time." in desk.html
    desk.press("Next customer")
    sentence = "No one to call yet. A1 lets others go first until 10:10. A2 lets others go first until 10:05."
    assert (desk.status, sentence in desk.html) == (200, True)
    zoe.cancel()
    ben.cancel()
    assert "No one waiting." in desk.press("Next customer").html
