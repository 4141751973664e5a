"""The owner's page: queues, servicers, links, figures, downloads, and finding a lost bookmark."""

import csv
import io
import re

import pytest
from helpers.client import AppClient
from helpers.places import open_deli


def queue(place, slug="deli"):
    """One queue, as the owner sees it."""
    return next((each for each in place.owner_get()["queues"] if each["slug"] == slug), None)


def refused(place, status, path, **content):
    """Send a request that must be refused, and check that it changed nothing."""
    before = place.export()
    answer = place.owner_post(path, **content)
    assert answer.status == status, answer.body
    assert place.export() == before
    return answer


# ----- queues


def test_a_new_queue_gets_the_next_letter(place):
    status, body, _ = place.owner_post("/queues", name="Bakery")
    assert status == 201
    assert (body["slug"], body["prefix"], body["open"], body["kind"]) == ("bakery", "B", True, "walk-in")
    assert body["links"]["take"] == "http://localhost/corner-deli/bakery/tickets"


@pytest.mark.both_databases
def test_a_new_queue_with_every_setting(place):
    asked = {"name": "Cheese", "prefix": "CH", "max_waiting": 7, "asks": ["name", "party"], "kind": "walk-in"}
    body = place.owner_post("/queues", **asked).body
    assert {name: body[name] for name in asked} == asked
    assert place.customer("cheese").number == "CH1"


def test_letters_are_unique_in_a_place(place):
    assert refused(place, 409, "/queues", name="Bakery", prefix="A").body["queues"]
    place.owner_post("/queues", name="Bakery", prefix="B")
    refused(place, 409, "/queues/bakery", prefix="A")


def test_two_queues_with_names_that_give_one_slug_have_two_slugs(place):
    slugs = [place.owner_post("/queues", name=name).body["slug"] for name in ("Deli!", "Déli")]
    assert slugs == ["deli-2", "deli-3"]


def test_the_27th_queue_has_two_letters(place):
    prefixes = [place.owner_post("/queues", name=f"Line {n}").body["prefix"] for n in range(2, 28)]
    assert prefixes[-2:] == ["Z", "AA"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Cheese & ham"},
        {"prefix": "Q"},
        {"max_waiting": 3},
        {"asks": ["name", "phone", "note", "party"]},
        {"asks": []},
        {"shared_tablet": True},
    ],
)
def test_changing_one_thing_leaves_the_others(place, change):
    before = queue(place)
    assert place.owner_post("/queues/deli", **change).status == 200
    assert queue(place) == before | change


def test_an_empty_change_changes_nothing(place):
    before = queue(place)
    assert place.owner_post("/queues/deli", name=None, max_waiting=None).status == 200
    assert queue(place) == before


def test_a_new_letter_is_for_new_numbers(place):
    old = place.customer()
    place.owner_post("/queues/deli", prefix="D")
    assert place.customer().number == "D1"
    assert old.get()["number"] == "A1"
    place.owner_post("/queues/deli", prefix="A")
    assert place.customer().number == "A2"


def test_a_letter_that_another_queue_had_today_goes_on_counting(bakery):
    bakery.customer("bakery").cancel()
    bakery.owner_post("/queues/bakery/delete")
    bakery.owner_post("/queues", name="Cheese", prefix="B")
    assert bakery.customer("cheese").number == "B2"


def test_closing_stops_new_numbers_and_not_the_line(place, ana):
    customer = place.customer()
    assert place.owner_post("/queues/deli/close").body["open"] is False
    assert place.take().status == 409
    assert ana.call_next()["number"] == customer.number
    assert place.owner_post("/queues/deli/open").body["open"] is True
    assert place.take().status == 201


@pytest.mark.parametrize("action", ["close", "open"])
def test_closing_and_opening_twice_is_fine(place, action):
    assert {place.owner_post(f"/queues/deli/{action}").status for _ in range(2)} == {200}


# ----- resetting numbers


def test_resetting_begins_again_at_one(place, ana):
    place.customer()
    ana.call_next()
    ana.post("done", number="A1")
    assert place.owner_post("/queues/deli/reset").status == 200
    assert place.picture()["series"] == "2026-11-21.2"
    ticket = place.customer().ticket
    assert (ticket["number"], ticket["series"]) == ("A1", "2026-11-21.2")


def test_resetting_twice_is_two_series(place):
    for series in ("2026-11-21.2", "2026-11-21.3"):
        place.owner_post("/queues/deli/reset")
        customer = place.customer()
        assert (customer.number, customer.ticket["series"]) == ("A1", series)
        customer.cancel()


def test_the_other_queues_go_on_counting(bakery):
    waits = bakery.customer("bakery")
    bakery.customer("deli").cancel()
    bakery.owner_post("/queues/deli/reset")
    assert [bakery.customer(name).number for name in ("deli", "bakery")] == ["A1", "B2"]
    assert (waits.get()["state"], waits.get()["series"]) == ("waiting", "2026-11-21")
    assert bakery.queue("bakery")["waiting"] == ["B1", "B2"]


def test_tomorrow_has_a_series_without_a_number_behind_it(place, clock):
    place.owner_post("/queues/deli/reset")
    clock.advance(days=1)
    assert place.customer().ticket["series"] == "2026-11-22"


@pytest.mark.parametrize("action", ["reset", "delete"])
@pytest.mark.parametrize("called", [False, True])
def test_a_queue_with_customers_cannot_be_reset_or_deleted(place, ana, action, called):
    place.customer()
    if called:
        ana.call_next()
    answer = refused(place, 409, f"/queues/deli/{action}")
    assert answer.body["queues"][0]["slug"] == "deli"


def test_numbers_do_not_restart_while_one_of_them_waits_in_another_queue(bakery):
    ana = bakery.desk("Ana")
    bakery.customer("deli")
    ana.post("move", number="A1", queue="bakery")
    answer = refused(bakery, 409, "/queues/deli/reset")
    assert answer.body["error"] == "A1 is still in Bakery. Let them finish first."
    assert ana.call_next()["number"] == "A1"
    ana.post("done", number="A1")
    assert bakery.owner_post("/queues/deli/reset").status == 200


# ----- deleting and cancelling


@pytest.mark.parametrize("end", ["done", "no-show", "cancel", None])
def test_the_ticket_of_a_deleted_queue_can_still_be_read(bakery, client, clock, end):
    customer = bakery.customer("bakery")
    desk = bakery.desk(queues=["bakery"])
    if end == "cancel":
        customer.cancel()
    elif end:
        desk.call_next()
        desk.post(end, number=customer.number)
    else:
        clock.advance(days=1)
    assert bakery.owner_post("/queues/bakery/delete").status == 200
    page = client.get(customer.ticket["links"]["ticket"], Accept="text/html")
    assert page.status == 200
    assert customer.number in page.body


def test_a_deleted_queue_is_gone_and_its_tickets_stay_in_the_figures(bakery):
    bakery.customer("bakery").cancel()
    take = bakery.queue("bakery")["links"]["take"]
    assert bakery.owner_post("/queues/bakery/delete").status == 200
    assert queue(bakery, "bakery") is None
    assert bakery.client.post(take).status == 404
    assert [ticket["number"] for ticket in bakery.export()["ticket"]] == ["B1"]
    assert bakery.owner_post("/queues/bakery/delete").status == 404
    assert bakery.owner_post("/queues", name="Bakery").body["slug"] == "bakery"


def test_many_are_cancelled_at_once(place, ana):
    customers = [place.customer() for _ in range(4)]
    ana.call_next()
    assert place.owner_post("/queues/deli/cancel", numbers=["A1", "A3", "A4", "A9"]).status == 200
    assert [each.get()["state"] for each in customers] == ["cancelled", "waiting", "cancelled", "cancelled"]
    assert ana.current_number() is None
    assert place.queue()["waiting"] == ["A2"]


def test_cancelling_twice_is_fine(place):
    place.customer()
    assert {place.owner_post("/queues/deli/cancel", numbers=["A1"]).status for _ in range(2)} == {200}
    assert place.event_kinds().count("cancel") == 1


def test_only_those_of_this_queue_are_cancelled(bakery):
    customer = bakery.customer("bakery")
    bakery.owner_post("/queues/deli/cancel", numbers=["B1"])
    assert customer.get()["state"] == "waiting"


def test_a_name_is_needed_to_cancel(place):
    refused(place, 400, "/queues/deli/cancel")
    refused(place, 400, "/queues/deli/cancel", numbers=[])


def test_a_whole_line_is_cancelled_at_once(place):
    numbers = [place.customer().number for _ in range(300)]
    place.owner_post("/queues/deli/cancel", numbers=numbers)
    assert place.queue()["waiting"] == []
    assert place.take().status == 201


# ----- servicers


def test_the_owner_sees_who_serves(place, ana, ben):
    place.customer()
    ana.call_next()
    ben.post("pause")
    servicers = place.owner_get()["servicers"]
    assert [(each["name"], each["desk"], each["queues"], each["on_duty"]) for each in servicers] == [
        ("Ana", "Window 2", ["deli"], True),
        ("Ben", "Window 3", ["deli"], False),
    ]
    assert [each["current"] for each in servicers] == ["A1", None]
    assert servicers[0]["links"]["desk"] == ana.link


def test_the_owner_changes_which_queues_a_servicer_serves(bakery):
    desk = bakery.desk()
    bakery.owner_post(f"/servicers/{desk.id}", queues=["bakery"])
    assert desk.get()["queues"] == ["bakery"]
    bakery.owner_post(f"/servicers/{desk.id}", on_duty=False)
    assert (desk.get()["queues"], desk.get()["on_duty"]) == (["bakery"], False)
    bakery.owner_post(f"/servicers/{desk.id}", queues=[])
    assert desk.get()["queues"] == ["deli", "bakery"]


def test_removing_a_servicer_puts_their_customer_first_in_line(place, ana):
    customers = [place.customer() for _ in range(3)]
    ana.call_next()
    assert place.owner_post(f"/servicers/{ana.id}/remove").status == 200
    assert place.client.get(ana.link).status == 404
    assert ana.post("next", finished=None).status == 404
    assert place.queue()["waiting"] == ["A1", "A2", "A3"]
    assert customers[0].get()["desk"] is None
    assert place.owner_get()["servicers"] == []
    assert place.owner_post(f"/servicers/{ana.id}/remove").status == 404


def test_a_servicer_of_another_place_is_not_found(start):
    many = AppClient(start(places="open"))
    mine, other = open_deli(many), open_deli(many)
    desk = other.desk()
    refused(mine, 404, f"/servicers/{desk.id}", on_duty=False)
    refused(mine, 404, f"/servicers/{desk.id}/remove")
    assert desk.get()["on_duty"] is True


# ----- the place and its links


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Corner Shop"},
        {"timezone": "Asia/Kathmandu"},
        {"country": "FR"},
        {"day_starts": 0},
        {"day_starts": 23},
    ],
)
def test_changing_one_thing_of_the_place(place, change):
    known = ("slug", "name", "timezone", "country", "day_starts")
    before = place.owner_get()
    assert place.owner_post("", **change).status == 200
    after = place.owner_get()
    assert {name: after[name] for name in known} == {name: before[name] for name in known} | change


def test_a_new_name_is_on_every_page(place):
    place.owner_post("", name="Corner Shop")
    assert place.picture()["place"] == {"slug": "corner-deli", "name": "Corner Shop"}


def test_a_new_manage_link_replaces_the_old_one(place):
    status, body, _ = place.owner_post("/links/manage/replace")
    assert status == 200
    new = body["links"]["manage"]
    assert new != place.links["manage"]
    assert place.client.get(place.links["manage"]).status == 404
    assert place.owner_post("", name="Mine!").status == 404
    assert place.client.get(new).body["name"] == "Corner Deli"


def test_a_new_staff_link_replaces_the_old_one_and_desks_go_on(place, ana):
    new = place.owner_post("/links/staff/replace").body["links"]["staff"]
    assert place.client.get(place.links["staff"]).status == 404
    assert place.client.post(place.links["staff"], {"name": "Eve"}).status == 404
    assert place.client.post(new, {"name": "Chloe"}).status == 201
    assert ana.get()["name"] == "Ana"


@pytest.mark.parametrize("name", ["Corner Deli", "  corner deli "])
def test_deleting_the_place_needs_its_name(place, ana, name):
    customer = place.customer()
    assert place.owner_post("/delete", name=name).status == 200
    links = [place.links[name] for name in ("customers", "board", "live", "staff", "manage")]
    for url in (*links, ana.link, customer.ticket["links"]["ticket"]):
        assert place.client.get(url).status == 404
    assert place.client.get("/").body["places"] == []
    assert open_deli(place.client).slug == "corner-deli"


@pytest.mark.parametrize(
    "content", [{}, {"name": None}, {"name": ""}, {"name": "Corner"}, {"name": "x" * 80}]
)
def test_any_other_name_deletes_nothing(place, content):
    refused(place, 400, "/delete", **content)


def test_a_new_place_with_the_old_slug_starts_empty(place):
    place.customer(name="Zoë")
    place.owner_post("/delete", name="Corner Deli")
    again = open_deli(place.client)
    assert again.customer().number == "A1"
    assert "Zoë" not in str(again.export())


# ----- a lost bookmark


def test_the_setup_code_shows_the_manage_links(start):
    careful = AppClient(start(setup_code="open sesame"))
    place = open_deli(careful, setup_code="open sesame")
    places = careful.post("/", {"setup_code": "open sesame"}).body["places"]
    assert [(each["name"], each["links"]["manage"]) for each in places] == [
        ("Corner Deli", place.links["manage"])
    ]


@pytest.mark.parametrize("code", ["open", "OPEN SESAME", "", None, "open sesame!", "ö"])
def test_a_wrong_code_shows_nothing(start, code):
    careful = AppClient(start(setup_code="open sesame"))
    place = open_deli(careful, setup_code="open sesame")
    answer = careful.post("/", {"setup_code": code})
    assert answer.status in ((403,) if code else (400, 403))
    assert place.links["manage"] not in str(answer.body)


@pytest.mark.parametrize("code", ["", "guess", None])
def test_without_a_configured_setup_code_every_code_is_wrong(place, code):
    assert place.client.post("/", {"setup_code": code}).status in (400, 403)
    assert place.client.post("/", {}).status in (400, 403)


def test_the_home_page_never_shows_a_manage_link(place):
    assert place.links["manage"].rsplit("/", 1)[1] not in str(place.client.get("/").body)


# ----- figures and downloads


def served(place, ana, clock, wait, service, start=True):
    """Serve one customer after this many seconds of waiting, for this many seconds."""
    customer = place.customer(name="Zoë", phone="+1 555", note="none", party=2)
    clock.advance(seconds=wait)
    ana.call_next()
    if start:
        ana.post("start", number=customer.number)
    clock.advance(seconds=service)
    ana.post("done", number=customer.number)


def test_the_figures_of_today(place, ana, clock):
    for wait, service in ((120, 180), (60, 120)):
        served(place, ana, clock, wait, service)
    assert queue(place)["today"] == {"served": 2, "wait": 90, "service": 150, "total": 240}


def test_without_a_start_the_service_begins_with_the_last_call(place, ana, clock):
    served(place, ana, clock, 10, 20, start=False)
    assert queue(place)["today"] == {"served": 1, "wait": 10, "service": 20, "total": 30}


def test_the_wait_ends_with_the_first_call(place, ana, clock):
    place.customer()
    clock.advance(seconds=10)
    ana.call_next()
    clock.advance(seconds=100)
    ana.post("put-back", number="A1")
    ana.call_next()
    clock.advance(seconds=5)
    ana.post("done", number="A1")
    assert queue(place)["today"] == {"served": 1, "wait": 10, "service": 5, "total": 115}


def test_tickets_that_were_not_served_are_in_no_average(place, ana, clock):
    place.customer().cancel()
    place.customer()
    ana.call_next()
    ana.post("no-show", number="A2")
    assert queue(place)["today"] == {"served": 0, "wait": None, "service": None, "total": None}


def test_tomorrow_begins_with_new_figures(place, ana, clock):
    served(place, ana, clock, 10, 20)
    clock.advance(days=1)
    assert queue(place)["today"]["served"] == 0


def test_the_export_holds_everything_but_what_links_are_made_of(place, ana):
    secret = place.customer(request_id="request-1", name="Zoë").ticket["links"]["ticket"]
    ana.call_next()
    export = place.export()
    assert {"place", "queue", "servicer", "ticket", "event"} <= set(export)
    assert (export["place"][0]["name"], export["ticket"][0]["name"]) == ("Corner Deli", "Zoë")
    links = [secret, ana.link, place.links["staff"], place.links["manage"]]
    assert [link for link in links if link.rsplit("/", 1)[1] in str(export)] == []
    assert "request-1" not in str(export)


def test_the_export_is_of_this_place_alone(start):
    many = AppClient(start(places="open"))
    mine, other = open_deli(many), open_deli(many, name="Other")
    other.customer(name="Mallory")
    other.desk("Oscar")
    assert all(word not in str(mine.export()) for word in ("Mallory", "Oscar", "Other"))


def test_the_export_says_who_serves_which_queue(bakery):
    desk = bakery.desk(queues=["bakery"])
    export = bakery.export()
    (served_by,) = export["servicer_queue"]
    assert served_by["servicer_id"] == desk.id
    assert {row["id"]: row["slug"] for row in export["queue"]}[served_by["queue_id"]] == "bakery"


def test_the_history_holds_no_personal_data(place, ana):
    served_name = {"name": "Zoë", "phone": "+1 555 0100", "note": "rash"}
    place.customer(**served_name)
    ana.call_next()
    assert [word for word in served_name.values() if word in str(place.export()["event"])] == []


def tickets_csv(place, query=""):
    answer = place.client.get(place.owner_get()["links"]["tickets_csv"] + query)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.body, newline="")))


def test_the_tickets_as_csv(place, ana, clock):
    served(place, ana, clock, 60, 90.5)
    place.customer()
    first, second = tickets_csv(place)
    assert (first["number"], first["state"], first["name"], first["party"]) == ("A1", "done", "Zoë", "2")
    assert [float(first[name]) for name in ("wait_s", "service_s", "total_s")] == [60, 90.5, 150.5]
    assert first["taken_at"] == "2026-11-21T10:00:00+00:00"
    assert (second["number"], second["state"], second["wait_s"], second["ended_at"]) == (
        "A2",
        "waiting",
        "",
        "",
    )


@pytest.mark.parametrize(
    ("days", "numbers"),
    [
        ("", ["A1", "A1", "A1"]),
        ("?from=2026-11-22", ["A1", "A1"]),
        ("?to=2026-11-21", ["A1"]),
        ("?from=2026-11-22&to=2026-11-22", ["A1"]),
        ("?from=2026-11-24&to=9999-12-31", []),
        ("?from=0001-01-01&to=2000-01-01", []),
    ],
)
def test_the_tickets_of_a_range_of_days(place, clock, days, numbers):
    for _ in range(3):
        place.customer()
        clock.advance(days=1)
    assert [row["number"] for row in tickets_csv(place, days)] == numbers


DOWNLOADS = {
    "/tickets.csv": "Settings",
    "/stats.csv": "Statistics",
    "/calls/report.csv": "Call report",
    "/counters/shop/taps.csv": "Shop",
    "/queues/follow-ups/reports.csv": "Follow-ups",
}


@pytest.mark.parametrize("download", DOWNLOADS)
def test_a_download_of_days_the_wrong_way_round_leads_back_to_its_page(place, client, download):
    place.owner_post("/counters", name="Shop", capacity=90)
    place.add_queue("Follow-ups", kind="calls")
    link = f"{place.links['manage']}{download}?from=2026-11-22&to=2026-11-21"
    page = client.get(link, Accept="text/html")
    assert page.status == 400
    assert "The start date must be before the end date." in page.body
    assert f"<h1>{DOWNLOADS[download]}" in page.body
    assert 'value="2026-11-22"' in page.body or download.startswith("/counters")
    assert client.get(link, Accept="application/json").body == {
        "error": "The start date must be before the end date."
    }


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "days",
    ["?from=yesterday", "?to=2026-13-01", "?from=2026-11-22&to=2026-11-21", "?from=11/21/2026", "?to=%00"],
)
def test_invalid_days(place, days):
    assert place.client.get(place.owner_get()["links"]["tickets_csv"] + days).status == 400


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(1)",
        "+49 30 1234",
        "-5",
        "@SUM(A1)",
        "'=already",
        "''+twice",
        "'quoted'",
        "plain",
        'a,b "c"',
        "two\nlines",
        "0123",
    ],
)
def test_a_cell_is_made_harmless_and_read_back_as_it_was(place, text):
    place.customer(note=text)
    place.owner_post("/queues", name=text, prefix="Z")
    cell = tickets_csv(place)[0]["note"]
    assert not cell.startswith(("=", "+", "-", "@"))
    assert re.sub(r"^'(?='*[=+\-@])", "", cell) == text


def test_a_download_of_many_tickets_leaves_none_out(place):
    place.owner_post("/queues/deli", max_waiting=2000)
    for n in range(1005):
        place.customer(note=f"note {n}")
    assert [row["note"] for row in tickets_csv(place)] == [f"note {n}" for n in range(1005)]
    assert len(place.export()["ticket"]) == 1005
