"""Customers take a number and follow it."""

import pytest


def test_the_first_customer_is_next(place):
    status, ticket, _ = place.take()
    assert status == 201
    assert ticket["number"] == "A1"
    assert ticket["state"] == "waiting"
    assert ticket["queue"] == "deli"
    assert ticket["series"] == "2026-11-21"
    assert ticket["ahead"] == 0
    assert ticket["desk"] is None
    assert ticket["taken_at"] == "2026-11-21T10:00:00+00:00"
    assert {"ticket", "cancel"} <= set(ticket["links"])


def test_the_page_of_the_ticket_says_the_same(place):
    ana = place.customer()
    assert ana.get() == ana.ticket


def test_numbers_count_up_and_so_do_those_ahead(place):
    customers = [place.customer() for _ in range(4)]
    assert [each.number for each in customers] == ["A1", "A2", "A3", "A4"]
    assert [each.get()["ahead"] for each in customers] == [0, 1, 2, 3]


def test_each_queue_counts_for_itself_with_its_own_letter(bakery):
    taken = [bakery.customer(queue).number for queue in ("deli", "bakery", "bakery", "deli")]
    assert taken == ["A1", "B1", "B2", "A2"]


def test_only_those_in_the_same_queue_are_ahead(bakery):
    bakery.customer("deli")
    assert bakery.customer("bakery").get()["ahead"] == 0


def test_the_same_request_sent_twice_makes_one_ticket(place):
    first, second = place.take(request_id="abc"), place.take(request_id="abc")
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert place.queue()["waiting"] == ["A1"]


def test_the_same_request_later_still_leads_to_that_ticket(place, ana):
    first = place.take(request_id="abc").body
    ana.call_next()
    ana.post("done", number="A1")
    again = place.take(request_id="abc")
    assert (again.status, again.body["number"], again.body["state"]) == (200, first["number"], "done")


def test_the_same_request_in_another_queue_is_another(bakery):
    assert bakery.take("deli", request_id="abc").body["number"] == "A1"
    assert bakery.take("bakery", request_id="abc").body["number"] == "B1"


@pytest.mark.parametrize("request_id", [None, ""])
def test_without_a_request_id_each_is_a_new_one(place, request_id):
    assert [place.take(request_id=request_id).status for _ in range(2)] == [201, 201]


def test_a_closed_queue_gives_no_number(place):
    place.owner_post("/queues/deli/close")
    status, body, _ = place.take()
    assert status == 409
    assert "closed" in body["error"]
    assert body["queues"][0]["open"] is False  # with the current state
    assert place.export().get("ticket", []) == []


@pytest.mark.both_databases
def test_a_request_answered_before_it_closed_is_answered_again(place):
    place.take(request_id="abc")
    place.owner_post("/queues/deli/close")
    assert place.take(request_id="abc").status == 200


@pytest.mark.both_databases
def test_a_full_queue_gives_no_number_until_somebody_leaves(place):
    place.owner_post("/queues/deli", max_waiting=2)
    first, _ = place.customer(), place.customer()
    status, body, _ = place.take()
    assert status == 409
    assert "full" in body["error"]
    assert place.queue()["full"] is True
    first.cancel()
    assert place.take().body["number"] == "A3"


def test_tickets_being_served_do_not_fill_the_line(place, ana):
    place.owner_post("/queues/deli", max_waiting=1)
    place.customer()
    ana.call_next()
    assert place.take().status == 201


def test_a_new_queue_holds_as_many_as_the_settings_say(start, client):
    small = type(client)(start(max_waiting=1))
    take = small.post("/places", {"name": "Deli"}).body["queues"][0]["links"]["take"]
    assert [small.post(take).status for _ in range(2)] == [201, 409]


def test_what_a_customer_enters_reaches_the_desk_and_nobody_else(place, ana):
    asked = {"name": "Zoë", "phone": "+1 555 0100", "note": "no onions", "party": 3}
    customer = place.customer(**asked)
    served = ana.call_next()
    assert {name: served[name] for name in asked} == asked
    assert "Zoë" not in str(place.picture())
    assert "links" not in served
    assert customer.ticket["links"]["ticket"].rsplit("/", 1)[1] not in str(ana.get())


def test_text_is_kept_as_it_was_written(place, ana):
    place.customer(name="<script>alert(1)</script>", note="two\nlines 🥪")
    served = ana.call_next()
    assert (served["name"], served["note"]) == ("<script>alert(1)</script>", "two\nlines 🥪")


def test_a_customer_follows_the_ticket_from_the_line_to_the_end(place, ana, clock):
    customer = place.customer()
    clock.advance(minutes=2)
    ana.call_next()
    sees = customer.get()
    assert (sees["state"], sees["desk"], sees["ahead"]) == ("called", "Window 2", None)
    assert sees["called_at"] == "2026-11-21T10:02:00+00:00"
    ana.post("start", number="A1")
    assert (customer.get()["state"], customer.get()["desk"]) == ("serving", "Window 2")
    ana.post("done", number="A1")
    assert (customer.get()["state"], customer.get()["desk"]) == ("done", None)


def test_an_estimate_needs_somebody_on_duty(place):
    customer = place.customer()
    assert customer.get()["estimated_wait"] is None
    place.desk()
    wait = customer.get()["estimated_wait"]
    assert 0 <= wait["from"] <= wait["to"]


def test_whoever_is_further_behind_waits_longer(place, ana):
    customers = [place.customer() for _ in range(8)]
    waits = [each.get()["estimated_wait"] for each in customers]
    assert waits == sorted(waits, key=lambda wait: (wait["to"], wait["from"]))
    assert waits[0]["to"] < waits[-1]["to"]


def test_the_estimate_learns_from_what_happened(place, ana, clock):
    for _ in range(20):
        place.customer()
        ana.call_next()
        clock.advance(seconds=20)
        ana.post("done", number=ana.current_number())
    place.customer()
    ana.call_next()
    quick = [place.customer() for _ in range(5)][-1].get()["estimated_wait"]
    assert quick["to"] <= 10 * 60  # five services of about 40 s, and not of the usual three minutes


def test_a_ticket_of_another_place_is_not_found_here(start, client):
    many = type(client)(start(places="open"))
    one, two = (many.post("/places", {"name": name}).body for name in ("One", "Two"))
    ticket = many.post(one["queues"][0]["links"]["take"]).body["links"]["ticket"]
    assert many.get(ticket).status == 200
    assert many.get(ticket.replace("/one/", "/two/")).status == 404
    assert two["slug"] == "two"


@pytest.mark.parametrize(
    ("address", "way_back"),
    [("/corner-deli/t/unknown", "/corner-deli"), ("/corner-deli/desk/old", "/corner-deli"), ("/nobody", "/")],
)
def test_an_error_page_links_the_place(place, address, way_back):
    answer = place.client.flask_client.get(address)
    assert answer.status_code == 404
    assert f'href="{way_back}">' in answer.text
