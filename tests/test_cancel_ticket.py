"""Customers leave the line."""

import pytest


def test_leaving_removes_a_ticket_from_the_line(place):
    first, second = place.customer(), place.customer()
    status, body, _ = first.cancel()
    assert (status, body["state"]) == (200, "cancelled")
    assert place.queue()["waiting"] == ["A2"]
    assert second.get()["ahead"] == 0


def test_leaving_twice_is_fine_and_changes_nothing(place):
    customer = place.customer()
    customer.cancel()
    before = place.export()
    assert customer.cancel().status == 200
    assert place.export() == before


@pytest.mark.parametrize("started", [False, True])
def test_who_was_called_can_still_leave(place, ana, started):
    customer = place.customer()
    ana.call_next()
    if started:
        ana.post("start", number="A1")
    assert customer.cancel().body["state"] == "cancelled"
    assert ana.current_number() is None


@pytest.mark.parametrize(("button", "state"), [("done", "done"), ("no-show", "no_show")])
def test_a_ticket_that_ended_cannot_be_cancelled(place, ana, button, state):
    customer = place.customer()
    ana.call_next()
    ana.post(button, number="A1")
    before = place.export()
    status, body, _ = customer.cancel()
    assert (status, body["state"]) == (409, state)
    assert body["error"]
    assert place.export() == before


def test_a_number_that_was_left_is_not_given_again(place):
    place.customer().cancel()
    assert place.customer().number == "A2"


def test_a_press_for_a_customer_who_left_is_refused(place, ana):
    customer = place.customer()
    ana.call_next()
    customer.cancel()
    for button in ("start", "done", "no-show", "call-again", "put-back"):
        answer = ana.post(button, number="A1")
        assert (answer.status, answer.body["current"]) == (409, None)
    assert customer.get()["state"] == "cancelled"


def test_the_same_request_does_not_bring_a_cancelled_ticket_back(place):
    request = {"request_id": "abc"}
    place.client.post(place.take(**request).body["links"]["cancel"])
    again = place.take(**request)
    assert (again.status, again.body["state"]) == (200, "cancelled")


def test_one_link_cancels_one_ticket(place):
    first, second = place.customer(), place.customer()
    first.cancel()
    assert second.get()["state"] == "waiting"
