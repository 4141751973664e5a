"""The three URLs under /api for caller apps, with the token of a desk's link."""

import pytest


class App:
    """A caller app that knows the token of a desk."""

    def __init__(self, caller):
        self.client, self.head = caller.client, {"Authorization": f"Bearer {caller.link.split('/')[-1]}"}

    def next_call(self, query=""):
        return self.client.post(f"http://localhost/api/requestCall{query}", {}, **self.head)

    def report(self, call, outcome="Reached", **more):
        content = {"claim": call["claim"], "outcome": outcome, **more}
        return self.client.post("http://localhost/api/submitReport", content, **self.head)

    def stats(self):
        return self.client.get("http://localhost/api/callerStats", **self.head).body


@pytest.fixture
def app_of_cleo(cleo):
    return App(cleo)


def test_a_call_from_asking_to_reporting(clinic, cleo, app_of_cleo):
    clinic.add_contacts({"name": "Ida", "phone": "030 1234567", "address": "Main Street 1", "notes": "Deaf"})
    clinic.put_on_list("Ida", reason="Test results")
    answer = app_of_cleo.next_call()
    assert answer.status == 200
    call = answer.body["call"]
    assert (
        call.items()
        >= {
            "name": "Ida",
            "phone": "030 1234567",
            "address": "Main Street 1",
            "notes": "Deaf",
            "reason": "Test results",
            "list": "follow-ups",
            "claimed_until": "2026-11-21T11:20:00+01:00",
            "reports": [],
        }.items()
    )
    assert app_of_cleo.next_call().body["call"] == call == cleo.get_calls()["call"]
    answer = app_of_cleo.report(call, "left a message", notes="With her son")
    assert (answer.status, answer.body["closed"]) == (200, True)
    assert answer.body["report"].items() >= {"outcome": "Left a message", "notes": "With her son"}.items()
    assert app_of_cleo.report(call).body == answer.body
    assert app_of_cleo.stats() == {"total": 1, "today": 1}


def test_an_app_is_told_that_there_is_no_call(clinic, app_of_cleo):
    answer = app_of_cleo.next_call()
    assert (answer.status, answer.body["next_at"]) == (404, None)
    clinic.put_on_list("Ida")
    call = app_of_cleo.next_call().body["call"]
    app_of_cleo.report(call, "Call back later", call_back_at="2026-11-21T18:00")
    answer = app_of_cleo.next_call()
    assert (answer.status, answer.body["next_at"]) == (404, "2026-11-21T18:00:00+01:00")


def test_an_app_asks_for_a_call_of_one_list(clinic, app_of_cleo):
    clinic.owner_post("/queues", name="Urgent", kind="calls")
    clinic.put_on_list("Ida")
    clinic.put_on_list("Joe", call_list="urgent")
    assert app_of_cleo.next_call("?list=nonsense").status == 400
    assert app_of_cleo.next_call("?list=urgent").body["call"]["name"] == "Joe"


def test_an_app_is_told_that_one_list_has_no_call(clinic, app_of_cleo):
    clinic.owner_post("/queues", name="Urgent", kind="calls")
    clinic.put_on_list("Ida")
    app_of_cleo.report(
        app_of_cleo.next_call().body["call"], "Call back later", call_back_at="2026-11-21T18:00"
    )
    for more in ("", "&no_claim", "&no_claim=1"):
        answer = app_of_cleo.next_call(f"?list=urgent{more}")
        assert (answer.status, answer.body["next_at"]) == (404, None)
        assert app_of_cleo.next_call(f"?list=nonsense{more}").status == 400


def test_looking_without_a_claim_changes_nothing(clinic, cleo, dan, app_of_cleo, clock):
    clinic.put_on_list("Ida", "Joe")
    before = clinic.export()
    looked = app_of_cleo.next_call("?no_claim=1").body["call"]
    assert (looked["name"], looked["claim"], looked["claimed_until"]) == ("Ida", None, None)
    assert app_of_cleo.next_call("?no_claim").body["call"] == looked
    assert clinic.export() == before
    assert dan.next_call()["name"] == "Ida"
    assert app_of_cleo.next_call("?no_claim=1").body["call"]["name"] == "Joe"
    clock.advance(minutes=20)
    assert app_of_cleo.next_call("?no_claim=1").body["call"]["name"] == "Ida"
    mine = app_of_cleo.next_call().body["call"]
    assert app_of_cleo.next_call("?no_claim=1").body["call"] == mine


def test_a_late_report_is_kept_and_closes_nothing(clinic, dan, app_of_cleo, clock):
    clinic.put_on_list("Ida")
    call = app_of_cleo.next_call().body["call"]
    clock.advance(minutes=20)
    theirs = dan.next_call()
    assert app_of_cleo.report(call).body["closed"] is False
    assert dan.report(theirs).body["closed"] is True
    assert app_of_cleo.stats() == {"total": 1, "today": 1}


@pytest.mark.parametrize("head", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer nonsense"}])
@pytest.mark.parametrize(
    ("method", "name"), [("POST", "requestCall"), ("POST", "submitReport"), ("GET", "callerStats")]
)
def test_a_request_without_a_valid_desk_token_is_refused(clinic, head, method, name):
    answer = clinic.client.send(method, f"http://localhost/api/{name}", headers=head, json={})
    assert answer.status == 401
    assert answer.body["error"].endswith(".")


def test_the_token_of_another_kind_of_link_opens_nothing(clinic):
    token = clinic.links["manage"].split("/")[-1]
    head = {"Authorization": f"Bearer {token}"}
    assert clinic.client.post("http://localhost/api/requestCall", {}, **head).status == 401


def test_a_removed_caller_is_told_so(clinic, cleo, app_of_cleo):
    clinic.owner_post(f"/servicers/{cleo.id}/remove")
    assert app_of_cleo.next_call().status == 401


def test_an_app_that_sends_no_body_and_accepts_anything(clinic, app, cleo):
    clinic.put_on_list("Ida")
    head = {"Authorization": f"bearer {cleo.link.split('/')[-1]}"}
    client = app.test_client()
    answer = client.post("/api/requestCall", headers=head)
    assert (answer.status_code, answer.json["call"]["name"]) == (200, "Ida")
    answer = client.post("/api/submitReport", headers=head)
    assert (answer.status_code, answer.json["error"]) == (400, "Outcome: please fill this in.")
    assert client.get("/api/requestCall", headers=head).json["error"]
    assert client.get("/api/requestCall").status_code == 405
    assert client.get("/api/nonsense").status_code == 404


def test_an_app_gets_no_call_while_a_customer_is_at_the_desk(clinic, cleo, app_of_cleo):
    clinic.put_on_list("Ida")
    clinic.customer()
    cleo.call_next()
    answer = app_of_cleo.next_call()
    assert (answer.status, [*answer.body]) == (409, ["error"])


# ----- apps that were written for VIAL


@pytest.mark.both_databases
def test_an_app_written_for_vial(clinic, app_of_cleo):
    clinic.add_contacts({"name": "Ida", "phone": "030 1234567", "address": "Main Street 1", "notes": "Deaf"})
    clinic.put_on_list("Ida", "Joe")
    found = app_of_cleo.next_call().body
    assert (found["id"], found["Name"]) == (str(found["call"]["id"]), "Ida")
    assert (found["Phone number"], found["Address"]) == ("030 1234567", "Main Street 1")
    assert (found["Internal notes"], found["Number of Reports"], found["Latest report"]) == ("Deaf", 0, None)
    report = {
        "Location": found["id"],
        "Availability": ["Skip: call back later"],
        "Notes": "At work",
        "Internal Notes": "Ask for Ida",
        "Do not call until": "2026-11-21T13:00:00.000Z",
        "is_pending_review": False,
    }
    answer = app_of_cleo.client.post("http://localhost/api/submitReport", report, **app_of_cleo.head)
    assert answer.status == 200, answer.body
    assert answer.body["created"] == [str(answer.body["report"]["id"])]
    assert (
        answer.body["report"].items()
        >= {"notes": "At work\nAsk for Ida", "outcome": "Call back later"}.items()
    )
    assert answer.body["report"]["call_back_at"] == "2026-11-21T14:00:00+01:00"
    again = app_of_cleo.client.post("http://localhost/api/submitReport", report, **app_of_cleo.head)
    assert again.body["created"] == answer.body["created"]
    joe = app_of_cleo.next_call("?no_claim=1").body["id"]
    assert app_of_cleo.next_call(f"?location_id={joe}").body["Name"] == "Joe"
    assert app_of_cleo.client.post("http://localhost/api/callerStats", **app_of_cleo.head).body["total"] == 1


@pytest.mark.parametrize(
    "report",
    [
        {"Location": "nonsense", "Availability": ["Reached"]},
        {"Location": ["1"], "Availability": ["Reached"]},
        {"Location": "1", "Availability": []},
        {"Location": "1", "Availability": ["Yes: vaccinating 65+"]},
        {"Location": "1", "Availability": [{}]},
        {"Location": "1", "Availability": ["Skip: call back later"]},
        {"Location": "1", "Availability": ["Reached"], "Notes": "x" * 2001},
    ],
)
def test_an_invalid_vial_report_is_refused_with_the_reason(clinic, app_of_cleo, report):
    clinic.put_on_list("Ida")
    assert app_of_cleo.next_call().body["id"] == "1"
    answer = app_of_cleo.client.post("http://localhost/api/submitReport", report, **app_of_cleo.head)
    assert answer.status == 400
    assert app_of_cleo.next_call("?location_id=x").status == 400


def test_a_report_of_a_call_that_was_never_claimed(clinic, app_of_cleo):
    report = {"Location": "77", "Availability": ["Reached"]}
    assert (
        app_of_cleo.client.post("http://localhost/api/submitReport", report, **app_of_cleo.head).status == 404
    )


def test_a_call_by_the_name_of_the_contact(clinic, app_of_cleo):
    clinic.put_on_list("Ida", "Joe")
    assert app_of_cleo.next_call("?name=joe").body["call"]["name"] == "Joe"
