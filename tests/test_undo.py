"""Undo: leaving the line, a no-show and a move can be undone for ten seconds."""

import pytest


@pytest.fixture
def line(place):
    """Three waiting customers: A1, A2, A3."""
    return [place.customer() for _ in range(3)]


def rejoin(customer):
    return customer.client.post(f"{customer.ticket['links']['ticket']}/rejoin")


# ----- a customer who left


@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_customer_who_left_by_mistake_gets_their_place_back(place, line, clock, who):
    left = line[who]
    assert left.cancel().body["links"]["rejoin"]
    clock.advance(seconds=9)
    place.customer()
    for _ in range(2):
        response = rejoin(left)
        assert (response.status, response.body["state"], response.body["ahead"]) == (200, "waiting", who)
    assert place.queue()["waiting"] == ["A1", "A2", "A3", "A4"]
    assert "rejoin" not in response.body["links"]


def test_after_some_seconds_it_is_too_late(place, line, clock):
    line[0].cancel()
    clock.advance(seconds=15)
    assert "rejoin" not in line[0].get()["links"]
    before = place.export()
    response = rejoin(line[0])
    assert (response.status, response.body["state"]) == (409, "cancelled")
    assert response.body["error"]
    assert place.export() == before


def test_a_customer_who_left_while_called_waits_again(place, line, ana):
    ana.call_next()
    line[0].cancel()
    assert rejoin(line[0]).body["state"] == "waiting"
    assert place.queue()["waiting"] == ["A1", "A2", "A3"]
    assert ana.call_next()["number"] == "A1"


def test_a_customer_is_not_told_that_they_left_when_the_owner_cancelled_their_number(place, client):
    zoe, ben = place.customer(), place.customer()
    place.owner_post("/queues/deli/cancel", numbers=[zoe.number])
    ben.cancel()
    told = "Your number was cancelled. Please ask at the desk."
    page = client.get(zoe.ticket["links"]["ticket"], Accept="text/html").body
    assert (told in page, "You left the line" in page) == (True, False)
    assert "<title>Your number was cancelled · A1 · Corner Deli</title>" in page
    assert zoe.get()["cancelled_by_owner"] is True
    page = client.get(ben.ticket["links"]["ticket"], Accept="text/html").body
    assert (told in page, "You left the line" in page) == (False, True)
    assert "cancelled_by_owner" not in ben.get()


def test_a_ticket_that_the_owner_cancelled_stays_cancelled(place, line):
    place.owner_post("/queues/deli/cancel", numbers=["A1"])
    assert "rejoin" not in line[0].get()["links"]
    assert rejoin(line[0]).status == 409


@pytest.mark.parametrize("button", ["done", "no-show"])
def test_a_customer_cannot_undo_what_a_desk_did(line, ana, button):
    ana.call_next()
    ana.post(button, number="A1")
    assert rejoin(line[0]).status == 409


def test_nobody_rejoins_a_queue_of_yesterday_or_one_that_was_deleted(place, clock):
    clock.set("2026-11-22 03:59:55", place.owner_get()["timezone"])
    customer = place.customer()
    customer.cancel()
    clock.advance(seconds=8)
    assert rejoin(customer).status == 409
    place.owner_post("/queues", name="Bakery")
    customer = place.customer("bakery")
    customer.cancel()
    assert place.owner_post("/queues/bakery/delete").status == 200
    assert rejoin(customer).status == 409


def test_a_customer_rejoins_a_full_or_closed_queue(place, line):
    line[1].cancel()
    place.owner_post("/queues/deli", max_waiting=2)
    place.owner_post("/queues/deli/close")
    assert rejoin(line[1]).body["ahead"] == 1


def test_a_request_to_be_called_is_restored(clinic):
    clinic.owner_post("/queues/follow-ups", public_form=True)
    url = f"{clinic.links['customers']}/follow-ups/tickets"
    ticket = clinic.client.post(url, {"phone": "030 2345678"}).body["links"]
    clinic.client.post(ticket["cancel"])
    response = clinic.client.post(f"{ticket['ticket']}/rejoin")
    assert (response.status, response.body["state"]) == (200, "waiting")
    assert clinic.caller().next_call()["phone"] == "030 2345678"


def test_a_request_that_was_made_again_is_not_restored_beside_it(clinic):
    clinic.owner_post("/queues/follow-ups", public_form=True)
    url = f"{clinic.links['customers']}/follow-ups/tickets"
    first = clinic.client.post(url, {"phone": "030 2345678"}).body["links"]
    clinic.client.post(first["cancel"])
    assert clinic.client.post(url, {"phone": "030 2345678"}).status == 201
    assert clinic.client.post(f"{first['ticket']}/rejoin").status == 409


# ----- a desk


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("button", ["no-show", "move"])
def test_a_desk_undoes_a_no_show_and_a_move(place, line, ana, clock, button, started):
    place.owner_post("/queues", name="Bakery")
    called = ana.call_next()
    clock.advance(seconds=30)
    if started:
        ana.post("start", number="A1")
    before = ana.get()["current"]
    clock.advance(seconds=60)
    after = ana.post(button, number="A1", queue="bakery").body
    assert (after["current"], after["undo"]["number"], after["undo"]["kind"]) == (None, "A1", button)
    clock.advance(seconds=9)
    assert ana.get()["undo"]["seconds"] == 1
    for _ in range(2):
        response = ana.post("undo", number="A1")
        assert (response.status, response.body["current"], response.body["undo"]) == (200, before, None)
    assert called["number"] == line[0].number
    assert line[0].get()["state"] == ("serving" if started else "called")
    assert place.queue()["waiting"] == ["A2", "A3"]
    assert place.queue("bakery")["waiting"] == []
    assert ana.post("done", number="A1").status == 200


def test_a_desk_that_went_on_or_waited_too_long_undoes_nothing(line, ana, clock):
    ana.call_next()
    ana.post("no-show", number="A1")
    ana.call_next()
    assert ana.get()["undo"] is None
    assert ana.post("undo", number="A1").status == 409
    ana.post("no-show", number="A2")
    clock.advance(seconds=15)
    assert ana.get()["undo"] is None
    assert ana.post("undo", number="A2").status == 409
    assert [each.get()["state"] for each in line] == ["no_show", "no_show", "waiting"]


def test_a_desk_undoes_only_what_it_did_itself(line, ana, ben):
    ana.call_next()
    ana.post("no-show", number="A1")
    assert ben.get()["undo"] is None
    assert ben.post("undo", number="A1").status == 409


def test_a_moved_customer_called_by_another_desk_stays_there(place, line, ana, ben):
    place.owner_post("/queues", name="Bakery")
    ana.call_next()
    ana.post("move", number="A1", queue="bakery")
    assert ben.call_next(number="A1")["number"] == "A1"
    assert ana.get()["undo"] is None
    assert ana.post("undo", number="A1").status == 409
    assert ben.current_number() == "A1"


# ----- a door


def test_a_door_undoes_a_no_show(shop, door, clock):
    shop.owner_post("/counters/shop", admits="deli", capacity=2)
    first, second, third = (shop.customer() for _ in range(3))
    response = door.no_show("A1")
    assert response.body["undo"]["number"] == "A1"
    assert third.get()["state"] == "called"
    for _ in range(2):
        assert door.client.post(f"{door.link}/undo-no-show", {"number": "A1"}).status == 200
    assert (first.get()["state"], first.get()["ahead"]) == ("waiting", 0)
    door.no_show("A2")
    assert (first.get()["state"], second.get()["state"]) == ("called", "no_show")
    clock.advance(seconds=15)
    assert door.get()["undo"] is None
    assert door.client.post(f"{door.link}/undo-no-show", {"number": "A2"}).status == 409
