"""Requests to be called back, and customers in a line who ask to be called instead of waiting."""

import pytest
from helpers.html_browser import Browser

FORM = "http://localhost/corner-deli/follow-ups/tickets"
NELE = {"name": "Nele", "phone": "030 1234567", "email": "nele@example.org", "note": "My order 123"}


@pytest.fixture
def hotline(clinic):
    """`clinic` with a public form of its call list."""
    assert clinic.owner_post("/queues/follow-ups", public_form=True).status == 200
    return clinic


def asks(place, **asked):
    return place.client.post(FORM, NELE | asked)


def page_of(place, answer):
    return place.client.get(answer.body["links"]["ticket"]).body


# ----- requests


def test_a_request_becomes_a_contact_and_a_call(hotline, cleo):
    answer = asks(hotline)
    assert answer.status == 201
    assert (answer.body["state"], answer.body["kind"]) == ("waiting", "calls")
    (contact,) = hotline.contacts()["contacts"]
    assert (contact["name"], contact["phone"], contact["email"]) == ("Nele", "030 1234567", NELE["email"])
    call = cleo.next_call()
    assert (call["name"], call["reason"]) == ("Nele", "Asked to be called: My order 123")


def test_the_page_of_a_request_shows_its_state(hotline, cleo, clock, app):
    answer = asks(hotline)
    url = answer.body["links"]["ticket"]

    def says():
        html = app.test_client().get(url, headers={"Accept": "text/html"}).text
        found = [
            text
            for text in ("We'll call you back", "We're calling you now", "All done. Thank you!")
            if text in html
        ]
        return page_of(hotline, answer)["state"], found[0]

    assert says() == ("waiting", "We'll call you back")
    call = cleo.next_call()
    assert says() == ("called", "We're calling you now")
    cleo.report(call, "No answer")
    assert says() == ("waiting", "We'll call you back")  # the link leads to the call that follows
    clock.advance(hours=1)
    cleo.make_call("Reached")
    assert says() == ("done", "All done. Thank you!")


def test_a_request_waits_again_when_its_claim_runs_out(hotline, cleo, clock):
    answer = asks(hotline)
    cleo.next_call()
    assert page_of(hotline, answer)["state"] == "called"
    clock.advance(minutes=20)
    assert page_of(hotline, answer)["state"] == "waiting"
    assert hotline.contacts()["contacts"][0]["lists"][0]["state"] == "waiting"


def test_the_same_request_twice_is_one(hotline):
    first = asks(hotline, request_id="abc")
    again = asks(hotline, request_id="abc", phone="030 7654321")
    assert (again.status, again.body["links"]) == (200, first.body["links"])
    assert hotline.call_list()["waiting"] == 1


def test_a_second_request_for_the_number_adds_its_note(hotline, cleo):
    first = asks(hotline)
    again = asks(hotline, phone="+49 (0)30 1234567", note="And order 124")
    assert again.status == first.status
    assert hotline.call_list()["waiting"] == 1
    assert cleo.next_call()["note"] == "My order 123\nAnd order 124"


def test_knowing_a_number_neither_reveals_nor_cancels_its_call(hotline, cleo, clock):
    hotline.put_on_list("Ida")
    clock.advance(hours=5)
    for number in ("030 1000001", "030 1234567"):  # of the owner's call, and of somebody's own request
        asks(hotline, phone="030 1234567", request_id="hers")
        answer = asks(hotline, phone=number, request_id=f"another {number}")
        assert (answer.status, answer.body["state"], answer.body["ended_at"]) == (201, "waiting", None)
        assert answer.body["taken_at"] == "2026-11-21T16:00:00+01:00"
        url = answer.body["links"]["ticket"]
        assert "cancel" not in answer.body["links"]
        assert hotline.client.post(f"{url}/cancel").status == 409
        same = asks(hotline, phone=number, request_id=f"another {number}")
        assert (same.status, same.body["links"]) == (200, answer.body["links"])
    assert hotline.call_list()["waiting"] == 2
    page = page_of(hotline, answer)
    while call := cleo.next_call():
        assert page_of(hotline, answer) == page
        cleo.report(call)
    assert page_of(hotline, answer) == page


def test_a_request_makes_a_planned_call_due_now(hotline, cleo, app):
    phone = Browser(app).open("/corner-deli/follow-ups/tickets")
    phone.press("Call me back", phone="030 1234567")
    page = phone.url
    cleo.report(cleo.next_call(), "Call back later", call_back_at="2026-12-01T10:00")
    phone.open("/corner-deli/follow-ups/tickets").press("Call me back", phone="030 1234567", note="Now!")
    assert phone.url == page
    assert cleo.next_call()["note"] == "Now!"


@pytest.mark.both_databases
def test_a_second_request_makes_the_call_due_now(hotline, cleo, clock):
    asks(hotline)
    cleo.report(cleo.next_call(), "Call back later", call_back_at="2026-12-01T10:00")
    assert cleo.next_call() is None
    clock.advance(minutes=5)
    asks(hotline, note="It is urgent")
    assert cleo.next_call()["note"] == "My order 123\nIt is urgent"


def test_a_new_request_can_be_made_after_the_call(hotline, cleo):
    first = asks(hotline)
    cleo.make_call("Reached")
    again = asks(hotline)
    assert again.status == 201
    assert again.body["number"] != first.body["number"]


def test_a_request_is_cancelled(hotline, cleo):
    answer = asks(hotline)
    assert hotline.client.post(answer.body["links"]["cancel"]).status == 200
    assert cleo.next_call() is None
    assert page_of(hotline, answer)["state"] == "cancelled"


@pytest.mark.parametrize(
    "asked", [{"phone": None}, {"phone": ""}, {"phone": "12"}, {"email": "nonsense"}, {"note": "x" * 501}]
)
def test_an_invalid_request_adds_no_contact(hotline, asked):
    assert asks(hotline, **asked).status == 400
    assert hotline.contact_names() == []


def test_a_list_without_a_public_form_takes_no_requests(clinic):
    assert asks(clinic).status == 404
    assert clinic.client.get(FORM).status == 404
    assert clinic.client.get("http://localhost/corner-deli/deli/tickets").status == 404
    assert clinic.contact_names() == []


def test_a_closed_list_takes_no_requests(hotline, app):
    hotline.owner_post("/queues/follow-ups/close")
    page = Browser(app).open("/corner-deli/follow-ups/tickets").html
    assert ("taking requests right now" in page, "Call me back" in page) == (True, False)
    assert asks(hotline).status == 409


def test_a_request_for_a_do_not_call_number_is_refused(hotline, cleo):
    asks(hotline)
    cleo.make_call("Do not call again")
    assert asks(hotline).status == 409


def test_requests_are_rate_limited_like_tickets(start, clock):
    from helpers.client import AppClient
    from helpers.places import open_deli

    place = open_deli(AppClient(start(takes_per_minute=2)), timezone="Europe/Berlin")
    place.owner_post("/queues", name="Follow-ups", kind="calls", public_form=True)
    answers = [asks(place, phone=f"030 123456{n}").status for n in range(3)]
    assert answers == [201, 201, 429]


def test_the_form_in_a_browser(hotline, app):
    phone = Browser(app).open("/corner-deli")
    assert "Leave your number and we'll call you back" in phone.html
    phone.open("/corner-deli/follow-ups/tickets")
    phone.press("Call me back", name="Nele", phone="12")
    assert phone.status == 400
    assert "Enter a full phone number" in phone.html
    assert 'value="12"' in phone.html
    phone.press("Call me back", name="Nele", phone="030 1234567")
    assert "We'll call you back" in phone.html
    page = phone.url
    phone.open("/corner-deli/follow-ups/tickets").press("Call me back", phone="030 7654321")
    assert phone.url == page
    assert "Take a number" in phone.open("/corner-deli").html


def test_nothing_is_mailed_without_a_mail_server(hotline):
    hotline.owner_post("/queues/follow-ups", staff_email="desk@example.org")
    asks(hotline)
    assert hotline.export().get("mail", []) == []
    assert hotline.owner_get()["mail"] is False


def test_staff_and_customer_are_told_by_mail(start):
    from helpers.client import AppClient
    from helpers.places import open_deli

    app = start(
        url="https://queue.example.org", smtp_url="smtp://localhost:2525", smtp_from="queue@example.org"
    )
    place = open_deli(AppClient(app), timezone="Europe/Berlin")
    place.owner_post(
        "/queues", name="Follow-ups", kind="calls", public_form=True, staff_email="desk@example.org"
    )
    asks(place)
    staff, customer = place.export()["mail"]
    assert (staff["recipient"], customer["recipient"]) == ("desk@example.org", "nele@example.org")
    assert (staff["kind"], customer["kind"]) == ("confirm", "receipt")
    assert "content" not in staff | customer  # tests/test_mail.py reads what arrives
    assert place.owner_get()["mail"] is True


# ----- called instead of waiting


def test_a_customer_is_called_in_turn(clinic, cleo):
    first, mine, last = (clinic.customer() for _ in range(3))
    page = mine.get()
    assert page["by_phone"] is False
    answer = clinic.client.post(page["links"]["call_me"], {"phone": "030 1234567"})
    assert answer.status == 200
    assert (answer.body["by_phone"], answer.body["phone"], answer.body["ahead"]) == (True, "030 1234567", 1)
    assert clinic.queue()["waiting"] == ["A1", "A2", "A3"]
    assert last.get()["ahead"] == 2
    cleo.call_next()
    current = cleo.call_next()
    assert current.items() >= {"number": "A2", "by_phone": True, "phone": "030 1234567"}.items()
    assert current["tel"] == "tel:+49301234567"
    assert [call["number"] for call in clinic.picture()["calls"]] == ["A1"]
    (called,) = clinic.queue()["called"]
    assert (called["number"], called["by_phone"]) == ("A2", True)
    assert mine.get()["state"] == "called"
    assert first.get()["state"] == "done"


def test_a_customer_waits_in_the_shop_again(clinic):
    mine = clinic.customer()
    links = clinic.client.post(mine.get()["links"]["call_me"], {"phone": "030 1234567"}).body["links"]
    assert "call_me" not in links
    page = clinic.client.post(links["wait_here"]).body
    assert (page["by_phone"], page["phone"]) == (False, None)
    assert "call_me" in page["links"]
    assert clinic.export()["ticket"][0]["phone"] is None


def test_a_phone_call_is_offered_only_where_calls_are_made(place, clock):
    mine = place.customer()
    assert "call_me" not in mine.get()["links"]
    url = mine.ticket["links"]["ticket"]
    assert place.client.post(f"{url}/call-me", {"phone": "030 1234567"}).status in (400, 409)


def test_a_phone_call_needs_a_phone_number(clinic):
    mine = clinic.customer()
    url = mine.ticket["links"]["ticket"]
    assert clinic.client.post(f"{url}/call-me", {"phone": "12"}).status == 400
    assert clinic.client.post(f"{url}/call-me", {}).status == 400
    assert mine.get()["by_phone"] is False


def test_a_called_customer_cannot_ask_for_a_phone_call(clinic, cleo):
    mine = clinic.customer()
    url = mine.get()["links"]["call_me"]
    cleo.call_next()
    assert clinic.client.post(url, {"phone": "030 1234567"}).status == 409


@pytest.mark.both_databases
def test_a_customer_waiting_by_phone_is_not_called_to_a_door(clinic):
    for path, asked in {"/queues": {"name": "Bakery"}, "/counters": {"name": "Shop", "capacity": 1}}.items():
        clinic.owner_post(path, **asked)
    mine, ana = clinic.customer(), clinic.desk()
    clinic.client.post(mine.get()["links"]["call_me"], {"phone": "030 1234567"})
    refused = clinic.owner_post("/counters/shop", admits="deli")
    assert (refused.status, "A1 in " in refused.body["error"]) == (409, True)
    assert clinic.owner_post("/counters/shop", admits="bakery").status == 200
    assert ana.post("move", number="A1", queue="bakery").status == 409
    assert (mine.get()["state"], mine.get()["door"]) == ("waiting", None)
    ana.call_next()
    ana.post("done", number="A1")
    assert clinic.owner_post("/counters/shop", admits=None).status == 200
    assert clinic.owner_post("/counters/shop", admits="deli").status == 200
    assert ana.post("bring-back", number="A1").status == 409
