"""Customers leave the line."""

import re

import pytest
from helpers.html_browser import Browser


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


# ----- the owner cancels


@pytest.fixture
def ended(place, ana):
    """A1 left while called. The owner cancelled A2 while called, and A3 while it waited. A4 waits."""
    zoe, _, _, last = (place.customer() for _ in range(4))
    ana.call_next()
    zoe.cancel()
    ana.call_next()
    place.owner_post("/queues/deli/cancel", numbers=["A2", "A3"])
    return last


@pytest.mark.both_databases
def test_statistics_count_who_left_apart_from_what_the_owner_cancelled(place, ended):
    for url in ("/stats", "/stats?queue=deli"):
        stats = place.client.get(place.links["manage"] + url).body
        assert [stats[name] for name in ("joined", "served", "left", "cancelled", "open")] == [4, 0, 1, 2, 1]
    assert [(each["left"], each["cancelled"]) for each in stats["queues"]] == [(1, 2)]
    figures = place.client.get(f"{place.links['manage']}/stats.csv").body.splitlines()
    assert {"left,1", "cancelled,2"} <= set(figures)
    # A ticket that was restored and ends in another way counts as that.
    place.owner_post("/queues/deli/restore", number="A2")
    stats = place.client.get(f"{place.links['manage']}/stats").body
    assert [stats[name] for name in ("left", "cancelled", "open")] == [1, 1, 2]


def test_the_page_of_the_statistics_names_what_was_cancelled(place, ended, app):
    page = Browser(app).open(f"{place.links['manage']}/stats").html
    assert re.search(r"<dt>Left</dt><dd>1\b", page)
    assert re.search(r"<dt>Cancelled</dt><dd>2\b", page)
    assert '<th scope="col">Cancelled</th>' in page


def test_without_a_cancelled_ticket_statistics_have_no_such_column(place, app):
    place.customer().cancel()
    assert "Cancelled" not in Browser(app).open(f"{place.links['manage']}/stats").html


@pytest.mark.both_databases
def test_the_download_of_tickets_tells_who_cancelled(place, ended):
    rows = [(each["number"], each["state"], each["cancelled_by_owner"]) for each in place.tickets()]
    assert rows == [
        ("A1", "cancelled", ""),
        ("A2", "cancelled", "yes"),
        ("A3", "cancelled", "yes"),
        ("A4", "waiting", ""),
    ]


def test_the_desk_and_the_owner_see_what_was_cancelled(place, ana, ended, app):
    recent = [(each["number"], each.get("cancelled_by_owner", False)) for each in ana.get()["recent"]]
    assert recent == [("A2", True), ("A1", False)]
    for url, left in ((ana.link, "left the line"), (place.links["manage"], "left")):
        page = Browser(app).open(url).html
        assert [page.count(f"<span>{words}</span>") for words in ("cancelled", left)] == [1, 1]


def test_who_waits_reads_what_was_cancelled(ended):
    texts = [each["text"] for each in ended.get()["steps"] if each["kind"] == "cancel"]
    assert sorted(texts) == ["A1 left the line", "A2 was cancelled", "A3 was cancelled"]
