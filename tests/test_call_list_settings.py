"""Call lists for their owner: create and change them, restrict callers, change wording, read figures."""

import csv
import io

import pytest
from helpers.html_browser import Browser


def queue(place, slug="follow-ups"):
    """Return a call list as the owner sees it."""
    return next(each for each in place.owner_get()["queues"] if each["slug"] == slug)


# ----- opening and changing one


def test_a_place_opens_with_a_call_list_alone(client):
    answer = client.post("/places", {"name": "Hotline", "call_list": "Follow-ups"})
    assert answer.status == 201
    (only,) = answer.body["queues"]
    assert only.items() >= {"slug": "follow-ups", "kind": "calls", "waiting": 0, "callers": None}.items()
    assert client.get(answer.body["links"]["customers"]).body["queues"] == []


def test_a_new_list_has_the_usual_settings(place):
    answer = place.owner_post("/queues", name="Follow-ups", kind="calls")
    assert answer.status == 201
    assert (
        answer.body.items()
        >= {
            "slug": "follow-ups",
            "name": "Follow-ups",
            "kind": "calls",
            "prefix": "follow-ups-",
            "open": True,
            "max_waiting": 1_000_000,
            "claim_minutes": 20,
            "retry_minutes": 60,
            "most_tries": 3,
            "public_form": False,
            "staff_email": None,
            "callers": None,
            "waiting": 0,
        }.items()
    )
    assert "request" not in answer.body["links"]


@pytest.mark.both_databases
def test_a_call_list_is_changed(clinic):
    changes = {"name": "Calls", "claim_minutes": 5, "retry_minutes": 10, "most_tries": 1}
    changes |= {"public_form": True, "staff_email": "desk@example.org"}
    answer = clinic.owner_post("/queues/follow-ups", **changes)
    assert answer.status == 200
    assert answer.body.items() >= changes.items()
    assert answer.body["links"]["request"].endswith("/corner-deli/follow-ups/tickets")
    answer = clinic.owner_post("/queues/follow-ups", staff_email=None, public_form=False)
    assert (answer.body["staff_email"], answer.body["claim_minutes"]) == (None, 5)


def test_the_kind_of_a_queue_cannot_change(clinic):
    assert clinic.owner_post("/queues/follow-ups", kind="walk-in").status == 409
    assert clinic.owner_post("/queues/deli", kind="calls").status == 409
    assert clinic.owner_post("/queues/deli", kind="walk-in", name="Deli").status == 200


@pytest.mark.both_databases
def test_lists_use_up_no_letters(clinic):
    assert clinic.owner_post("/queues", name="Bakery").body["prefix"] == "B"
    assert clinic.owner_post("/queues/bakery", prefix="C").status == 200
    assert clinic.customer().number == "A1"


def test_names_that_read_alike_get_addresses_of_their_own(clinic):
    assert clinic.owner_post("/queues", name="Follow-ups").body["slug"] == "follow-ups-2"
    assert clinic.owner_post("/queues", name="Deli", kind="calls").body["slug"] == "deli-2"


def test_a_closed_list_gives_out_no_calls(clinic, cleo):
    clinic.put_on_list("Ida")
    assert clinic.owner_post("/queues/follow-ups/close").status == 200
    assert cleo.next_call() is None
    assert cleo.get_calls()["lists"] == []
    assert clinic.owner_post("/queues/follow-ups/open").status == 200
    assert cleo.next_call()["name"] == "Ida"


def test_an_empty_call_list_is_deleted(clinic, cleo):
    clinic.put_on_list("Ida")
    answer = clinic.owner_post("/queues/follow-ups/delete")
    assert (answer.status, answer.body["error"]) == (409, "1 are on Follow-ups still. Take them off first.")
    call = cleo.next_call()
    assert clinic.owner_post("/queues/follow-ups/delete").status == 409
    cleo.report(call)
    assert clinic.owner_post("/queues/follow-ups/delete").status == 200
    assert clinic.owner_post("/queues", name="Follow-ups", kind="calls").body["slug"] == "follow-ups"
    clinic.put_on_list("Ida")
    assert cleo.next_call()["number"] == "follow-ups-2"


def test_the_numbers_of_a_call_list_are_never_reset(clinic):
    assert clinic.owner_post("/queues/follow-ups/reset").status == 409


def test_a_call_list_does_not_change_walk_in_queues(clinic, cleo, clock):
    clinic.put_on_list("Ida", "Joe")
    customer = clinic.customer()
    assert clinic.queue()["waiting"] == ["A1"]
    assert customer.get()["ahead"] == 0
    cleo.next_call()
    assert clinic.owner_post("/queues/deli/cancel", numbers=["follow-ups-1"]).body == {"cancelled": []}
    assert clinic.owner_post("/counters", name="Shop", capacity=1, admits="follow-ups").status == 404
    stats = clinic.client.get(f"{clinic.links['manage']}/stats?from=2000-01-01&to=9000-01-01")
    assert (stats.status, stats.body["joined"]) == (200, 1)
    assert clinic.client.get(f"{clinic.links['manage']}/stats?queue=follow-ups").status == 404
    tickets = clinic.client.get(f"{clinic.links['manage']}/tickets.csv").body
    assert "follow-ups" not in tickets
    clock.advance(days=1)
    assert clinic.customer().number == "A1"


# ----- who may work on it


def test_a_restricted_list_is_for_callers_chosen_by_the_owner(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    assert clinic.owner_post("/queues/follow-ups", callers=[dan.id]).body["callers"] == [dan.id]
    assert cleo.next_call() is None
    assert cleo.get_calls()["lists"] == []
    assert cleo.post("calls/next", list="follow-ups").status == 400
    assert dan.next_call()["name"] == "Ida"
    assert [each["slug"] for each in clinic.client.get(clinic.links["staff"]).body["queues"]] == ["deli"]
    assert clinic.caller("Eve").get_calls()["lists"] == []
    asked = {"name": "Eve", "queues": ["follow-ups"]}
    assert clinic.client.post(clinic.links["staff"], asked).status == 403
    assert clinic.owner_post("/queues/follow-ups", callers=None).body["callers"] is None
    assert cleo.get_calls()["lists"][0]["slug"] == "follow-ups"


def test_a_walk_in_queue_has_no_callers(clinic):
    assert clinic.owner_post("/queues/deli", callers=[]).status == 400
    assert clinic.owner_post("/queues", name="Bakery", callers=[]).status == 400
    assert clinic.customer().number == "A1"


def test_a_restricted_list_is_closed_to_others(clinic, cleo, dan):
    clinic.owner_post("/queues", name="Secret", kind="calls", callers=[dan.id])
    clinic.put_on_list("Ida", call_list="secret")
    dan.report(dan.next_call(), "Left a message", notes="Positive")
    clinic.put_on_list("Ida")
    clinic.put_on_list("Ida", call_list="secret", reason="Results")
    call = cleo.next_call()
    assert [report["notes"] for report in call["reports"]] == [None]
    asked = {"phone": call["phone"], "outcome": "Reached"}
    assert cleo.post("calls/incoming", **asked, list="secret").status == 400
    assert cleo.post("calls/incoming", **asked).body["closed"] is True
    assert cleo.post("calls/incoming", **asked).body["closed"] is False
    later = {"phone": "030 7654321", "outcome": "Call back later", "call_back_at": "2026-11-22T10:00"}
    assert cleo.post("calls/incoming", **later, list="secret").status == 400
    call = dan.next_call()
    assert (call["reason"], call["reports"][-1]["notes"]) == ("Results", "Positive")


def test_a_new_list_can_be_restricted_at_once(clinic, cleo):
    answer = clinic.owner_post("/queues", name="Urgent", kind="calls", callers=[])
    assert (answer.status, answer.body["callers"]) == (201, [])
    assert [each["slug"] for each in cleo.get_calls()["lists"]] == ["follow-ups"]


@pytest.mark.parametrize("callers", [1, "1", ["1"], [True], [1.0], [None], {}, [10**12]])
def test_callers_are_ids(clinic, callers):
    assert clinic.owner_post("/queues/follow-ups", callers=callers).status == 400
    assert clinic.owner_post("/queues/follow-ups", callers=[987654]).status == 404
    assert queue(clinic)["callers"] is None


def test_a_caller_who_did_not_choose_the_list_gets_none_of_its_calls(clinic):
    clinic.put_on_list("Ida")
    assert clinic.caller("Eve", queues=["deli"]).next_call() is None
    assert clinic.caller("Fay", queues=["follow-ups"]).next_call()["name"] == "Ida"


def test_a_caller_who_loses_the_list_may_still_report(clinic, cleo):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clinic.owner_post("/queues/follow-ups", callers=[])
    assert cleo.get_calls()["call"] == call
    assert cleo.report(call).body["closed"] is True


@pytest.mark.both_databases
def test_the_owner_changes_call_lists_by_forms(clinic, cleo, dan, app):
    calls = f"{clinic.links['manage']}/calls"
    owner = Browser(app).open(calls)
    owner.press("Save Follow-ups", restricted="1", callers=[str(dan.id)], claim_minutes="5")
    assert (owner.status, owner.redirects) == (200, [303])
    assert queue(clinic).items() >= {"callers": [dan.id], "claim_minutes": 5}.items()
    owner.press("Save Follow-ups", restricted=None, callers=None)
    assert queue(clinic)["callers"] is None
    owner.press("Save Follow-ups", claim_minutes="0")
    assert (owner.status, "from 1 to 600" in owner.html) == (400, True)
    owner.open(calls).press("Add the call list", name="Urgent")
    assert queue(clinic, "urgent")["kind"] == "calls"
    owner.press("Add the outcome", name="Appointment made", effect="reached")
    assert clinic.owner_get()["outcomes"][-1]["name"] == "Appointment made"
    owner.press("Remove Appointment made")
    assert len(clinic.owner_get()["outcomes"]) == 6
    clinic.put_on_list("Ida")
    caller = Browser(app).open(cleo.link).press("Next call")
    assert (caller.url.rsplit("/", 1)[1], "Ida" in caller.html) == ("calls", True)
    owner.open(queue(clinic)["links"]["list"]).press("Release call")
    assert (owner.url.rsplit("/", 1)[1], owner.redirects) == ("follow-ups", [303])
    form = caller.form("Reached")
    later = {"outcome": "Call back later", "call_back_date": "2026-11-23", "call_back_time": "14:30"}
    caller.send(form, **later | {"call_back_date": ""})
    assert (caller.status, "Call back at: " in caller.html) == (400, True)
    caller.send(form, **later)
    assert caller.redirects == [303]
    assert clinic.call_list()["next_due_at"] == "2026-11-23T14:30:00+01:00"


def test_a_servicer_who_only_makes_calls_is_redirected_to_the_page_of_calls(clinic, app):
    asked = {"name": "Fay", "queues": ["follow-ups"]}
    page = Browser(app).open(clinic.links["staff"]).press("Start serving", **asked)
    assert page.url.endswith("/calls")


# ----- custom wording


def test_the_outcomes_of_a_new_place(clinic):
    outcomes = {each["name"]: each["effect"] for each in clinic.owner_get()["outcomes"]}
    assert outcomes == {
        "Reached": "reached",
        "No answer": "again",
        "Left a message": "done",
        "Call back later": "later",
        "Wrong number": "wrong",
        "Do not call again": "never",
    }


def test_the_owner_adds_an_outcome(clinic, cleo):
    answer = clinic.owner_post("/outcomes", name="Appointment made", effect="reached")
    assert answer.status == 201
    assert clinic.owner_post("/outcomes", name="appointment-made", effect="done").status == 409
    clinic.put_on_list("Ida")
    cleo.make_call("Appointment made")
    assert cleo.get_calls()["stats"]["reached_today"] == 1
    assert clinic.owner_post(f"/outcomes/{answer.body['id']}/remove").status == 200
    assert clinic.owner_post(f"/outcomes/{answer.body['id']}/remove").status == 404
    assert clinic.call_list()["outcomes"][0]["outcome"] == "Appointment made"


def test_the_last_outcome_cannot_be_removed(clinic):
    ids = [each["id"] for each in clinic.owner_get()["outcomes"]]
    assert [clinic.owner_post(f"/outcomes/{each}/remove").status for each in ids] == [200] * 5 + [409]


@pytest.mark.both_databases
def test_reasons_and_services(clinic):
    assert clinic.owner_post("/reasons", name="Test results").status == 201
    service = clinic.owner_post("/services", name="Housing", phone="030 1", link="https://example.org")
    assert service.status == 201
    owner = clinic.owner_get()
    assert [each["name"] for each in owner["reasons"]] == ["Test results"]
    assert owner["services"][0].items() >= {"name": "Housing", "phone": "030 1"}.items()
    assert clinic.client.get(owner["links"]["reasons"]).body == {"reasons": owner["reasons"]}
    for kind in ("reasons", "services"):
        assert clinic.owner_post(f"/{kind}/{owner[kind][0]['id']}/remove").status == 200
    assert clinic.owner_get()["reasons"] == clinic.owner_get()["services"] == []
    assert clinic.owner_post("/services", name="Bad", link="javascript:alert(1)").status == 400


# ----- the owner's page of a list


def test_the_owner_sees_waiting_and_claimed_calls(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida", "Joe", "Kim", reason="Test results")
    cleo.make_call("Call back later", call_back_at="2026-11-21T18:00")
    clock.advance(minutes=1)
    dan.next_call()
    page = clinic.call_list()
    assert (page["waiting"], page["not_due"], page["done_today"]) == (1, 1, 1)
    assert page["next_due_at"] == "2026-11-21T18:00:00+01:00"
    (called,) = page["being_called"]
    assert (called["contact"]["name"], called["servicer"]) == ("Joe", "Dan")
    assert (called["since"], called["claimed_until"]) == (
        "2026-11-21T11:01:00+01:00",
        "2026-11-21T11:21:00+01:00",
    )
    assert [(each["contact"]["name"], each["reason"]) for each in page["upcoming"]] == [
        ("Kim", "Test results"),
        ("Ida", "Test results"),
    ]
    clock.advance(minutes=20)
    page = clinic.call_list()
    assert (page["waiting"], page["being_called"]) == (2, [])


def test_clearing_a_claim(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    one = clinic.call_list()["being_called"][0]["id"]
    answer = clinic.owner_post("/queues/follow-ups/clear-claim", id=one)
    assert (answer.status, answer.body["being_called"], answer.body["waiting"]) == (200, [], 1)
    assert clinic.owner_post("/queues/follow-ups/clear-claim", id=one).status == 409
    assert cleo.get_calls()["call"] is None
    assert dan.next_call()["name"] == "Ida"
    assert cleo.report(call).body["closed"] is False


def test_figures_by_caller_outcome_and_day(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida", "Joe", "Kim", "Lou")
    for caller, outcome, seconds in (
        (cleo, "Reached", 60),
        (cleo, "Left a message", 120),
        (dan, "Reached", 30),
    ):
        call = caller.next_call()
        clock.advance(seconds=seconds)
        caller.report(call, outcome)
    clock.advance(days=1)
    cleo.make_call("Reached")
    page = clinic.call_list()
    assert page["days"] == ["2026-11-21", "2026-11-22"]
    assert page["callers"] == [
        {"name": "Cleo", "calls": 3, "reached": 2, "average_s": 60.0},
        {"name": "Dan", "calls": 1, "reached": 1, "average_s": 30.0},
    ]
    assert page["outcomes"] == [
        {"outcome": "Reached", "days": {"2026-11-21": 2, "2026-11-22": 1}, "total": 3},
        {"outcome": "Left a message", "days": {"2026-11-21": 1}, "total": 1},
    ]
    page = clinic.call_list(**{"from": "2026-11-22", "to": "2026-11-22"})
    assert (page["days"], page["outcomes"][0]["total"], page["done_today"]) == (["2026-11-22"], 1, 1)
    assert clinic.call_list(**{"from": "1999-01-01", "to": "2000-01-01"})["outcomes"] == []


def test_reports_are_downloaded_as_csv(clinic, cleo, clock):
    clinic.add_contacts({"name": "=1+1", "phone": "030 1234567", "reference": "P-1"})
    clinic.put_on_list("=1+1", "Joe", reason="Test results")
    cleo.make_call("Left a message", notes="+49, she said", refer_to="follow-ups")
    clock.advance(days=1)
    cleo.make_call("Reached")
    url = clinic.call_list()["links"]["reports_csv"]
    first, second = csv.DictReader(io.StringIO(clinic.client.get(url).body))
    assert first["name"] == "'=1+1"
    assert first["notes"] == "'+49, she said"
    assert first["phone"] == "030 1234567"
    assert (first["servicer"], first["outcome"], first["reason"]) == (
        "Cleo",
        "Left a message",
        "Test results",
    )
    assert second["created_at"] == "2026-11-22T11:00:00+01:00"
    answer = clinic.client.get(f"{url}?from=2026-11-22")
    assert answer.body.count("\n") == 2
    assert clinic.client.get(f"{url}?from=nonsense").status == 400


def test_a_walk_in_queue_has_no_page_of_calls(clinic):
    assert clinic.client.get(f"{clinic.links['manage']}/queues/deli").status == 404
    assert clinic.client.get(f"{clinic.links['manage']}/queues/deli/reports.csv").status == 404
    assert clinic.owner_post("/queues/deli/clear-claim", id=1).status == 404


# ----- private


def test_call_lists_are_private(clinic, cleo):
    clinic.put_on_list("Ida")
    before = clinic.picture()
    for outcome in ("No answer", "Do not call again"):
        call = cleo.next_call()
        cleo.post("calls/more-time", claim=call["claim"])
        cleo.report(call, outcome, notes="secret")
        clinic.put_on_list("Joe")
    assert clinic.picture() == before
    assert "Follow-ups" not in str(before)
    assert "follow-ups" not in str(before)
    for url in ("customers", "board"):
        page = clinic.client.send("GET", clinic.links[url], headers={"Accept": "text/html"}).body
        assert "ollow-ups" not in page


def test_events_hold_no_personal_data(clinic, cleo):
    clinic.put_on_list("Ida")
    cleo.make_call("Reached", notes="Broken leg")
    events = str(clinic.export()["event"])
    assert "Ida" not in events
    assert "1000001" not in events
    assert "Broken" not in events


@pytest.mark.both_databases
def test_a_place_with_lists_is_deleted_whole(clinic, cleo, app):
    from app.core.erasure import erase_deleted_places

    clinic.put_on_list("Ida")
    cleo.make_call("No answer", notes="x", refer_to="follow-ups")
    clinic.owner_post("/delete", name="Corner Deli")
    database = app.extensions["takeanumber"].database
    while database.write(erase_deleted_places):
        pass
    with database.read() as db:
        for table in ("place", "contact", "report", "ticket", "event", "outcome", "queue", "caller"):
            assert db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
