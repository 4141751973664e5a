"""Callers: request the next call, hold the claim for a while, report the outcome, and what follows."""

import pytest
from helpers.html_browser import Browser
from helpers.places import open_deli


def at(clock, minutes=0.0):
    """Return a time after now in Berlin, as a form sends it."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    when = datetime.fromtimestamp(clock.at + 60 * minutes, ZoneInfo("Europe/Berlin"))
    return when.replace(tzinfo=None).isoformat(timespec="seconds")


# ----- the next call


def test_a_caller_sees_whom_to_call_and_why(clinic, cleo):
    clinic.add_contacts(
        {"name": "Zoë", "phone": "030 1234567", "address": "Main Street 1", "notes": "Deaf", "tags": ["flu"]}
    )
    clinic.put_on_list("Zoë", reason="Test results", priority=2)
    call = cleo.next_call()
    assert (
        call.items()
        >= {
            "name": "Zoë",
            "phone": "030 1234567",
            "tel": "tel:+49301234567",
            "address": "Main Street 1",
            "notes": "Deaf",
            "tags": ["flu"],
            "reason": "Test results",
            "list": "follow-ups",
            "list_name": "Follow-ups",
            "priority": 2,
            "tries": 0,
            "zone": "Europe/Berlin",
            "claimed_at": "2026-11-21T11:00:00+01:00",
            "claimed_until": "2026-11-21T11:20:00+01:00",
            "reports": [],
        }.items()
    )


def test_calls_are_ordered_by_priority_then_waiting_time(clinic, cleo):
    clinic.put_on_list("Ida", "Joe")
    clinic.put_on_list("Kim", priority=1)
    clinic.put_on_list("Lou", priority=5)
    clinic.put_on_list("Max")
    assert [cleo.make_call() for _ in range(6)] == ["Kim", "Ida", "Joe", "Max", "Lou", None]


def test_calls_of_several_lists_are_ordered_together(clinic, cleo, clock):
    assert clinic.owner_post("/queues", name="Urgent", kind="calls").status == 201
    clinic.put_on_list("Ida")
    clock.advance(minutes=1)
    clinic.put_on_list("Joe", call_list="urgent")
    clock.advance(minutes=1)
    clinic.put_on_list("Kim")
    clinic.put_on_list("Lou", call_list="urgent", priority=1)
    assert [cleo.make_call() for _ in range(4)] == ["Lou", "Ida", "Joe", "Kim"]


def test_a_caller_can_choose_one_list(clinic, cleo):
    clinic.owner_post("/queues", name="Urgent", kind="calls")
    clinic.put_on_list("Ida")
    clinic.put_on_list("Joe", call_list="urgent")
    assert cleo.next_call(list="urgent")["name"] == "Joe"
    answer = clinic.caller("Eve").post("calls/next", list="nonsense")
    assert answer.status == 400


def test_requesting_again_returns_the_call_that_is_held(clinic, cleo):
    clinic.put_on_list("Ida", "Joe")
    first = cleo.next_call()
    assert cleo.next_call() == first
    assert cleo.get_calls()["call"] == first
    assert cleo.get()["call"] == first


def test_a_claimed_call_is_given_to_nobody_else(clinic, cleo, dan):
    clinic.put_on_list("Ida", "Joe")
    assert (cleo.next_call()["name"], dan.next_call()["name"]) == ("Ida", "Joe")
    assert clinic.caller("Eve").next_call() is None


def test_there_is_no_call_to_make(clinic, cleo):
    page = cleo.get_calls()
    assert (page["call"], page["next_at"]) == (None, None)
    assert page["lists"] == [
        {"slug": "follow-ups", "name": "Follow-ups", "waiting": 0, "due": 0, "not_due": 0}
    ]
    assert cleo.next_call() is None


def test_a_caller_off_duty_gets_no_call(clinic, cleo):
    clinic.put_on_list("Ida")
    cleo.post("pause")
    assert cleo.post("calls/next").status == 409
    cleo.post("resume")
    assert cleo.next_call()["name"] == "Ida"


def test_a_paused_caller_with_only_lists_resumes_on_the_page_of_calls(clinic, cleo, app):
    clinic.put_on_list("Ida")
    clinic.owner_post("/queues/deli/delete")
    cleo.post("pause")
    page = Browser(app).open(cleo.link)
    assert "Next call" not in page.html
    assert "Next call" in page.press("Resume").html
    assert cleo.next_call()["name"] == "Ida"


# ----- how long a claim lasts


@pytest.mark.parametrize(("seconds", "still"), [(0, True), (1199, True), (1200, False), (1201, False)])
def test_a_claim_ends_to_the_second(clinic, cleo, dan, clock, seconds, still):
    clinic.put_on_list("Ida")
    cleo.next_call()
    clock.advance(seconds=seconds)
    assert bool(cleo.get_calls()["call"]) is still
    assert (dan.next_call() is None) is still


@pytest.mark.both_databases
def test_a_claim_lasts_as_the_owner_says(clinic, cleo, dan, clock):
    assert clinic.owner_post("/queues/follow-ups", claim_minutes=1).body["claim_minutes"] == 1
    clinic.put_on_list("Ida")
    cleo.next_call()
    clock.advance(seconds=59)
    assert dan.next_call() is None
    clock.advance(seconds=1)
    assert dan.next_call()["name"] == "Ida"


def test_a_caller_whose_claim_ran_out_gets_the_next_call(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida", "Joe")
    first = cleo.next_call()
    clock.advance(minutes=20)
    assert dan.next_call()["name"] == "Ida"
    assert cleo.next_call()["name"] == "Joe"
    assert cleo.get_calls()["call"]["claim"] != first["claim"]


def test_a_caller_may_get_a_lost_call_again(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    first = cleo.next_call()
    clock.advance(minutes=20)
    again = cleo.next_call()
    assert again["name"] == "Ida"
    assert again["claim"] != first["claim"]


def test_extending_a_claim_starts_it_again(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=19)
    answer = cleo.post("calls/more-time", claim=call["claim"])
    assert answer.body["call"]["claimed_until"] == "2026-11-21T11:39:00+01:00"
    clock.advance(minutes=19, seconds=59)
    assert dan.next_call() is None
    clock.advance(seconds=1)
    assert dan.next_call()["name"] == "Ida"


def test_a_lost_claim_is_not_extended(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    assert dan.post("calls/more-time", claim=call["claim"]).status == 409
    clock.advance(minutes=20)
    assert cleo.post("calls/more-time", claim=call["claim"]).status == 409
    assert dan.next_call()["name"] == "Ida"
    assert cleo.post("calls/more-time", claim=call["claim"]).status == 409


def test_a_call_is_released(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida", "Joe", "Kim")
    call = cleo.next_call()
    clock.advance(seconds=5)
    assert cleo.post("calls/give-back", claim=call["claim"]).body["call"] is None
    assert cleo.post("calls/give-back", claim=call["claim"]).status == 200
    assert [dan.make_call() for _ in range(4)] == ["Joe", "Kim", "Ida", None]


def test_releasing_a_call_that_another_caller_has_changes_nothing(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=20)
    theirs = dan.next_call()
    assert cleo.post("calls/give-back", claim=call["claim"]).status == 200
    assert dan.get_calls()["call"] == theirs
    assert dan.post("calls/give-back", claim=call["claim"]).status == 404
    assert dan.report(theirs).status == 200
    assert dan.post("calls/give-back", claim=theirs["claim"]).status == 409


def test_the_clock_is_set_back_during_a_claim(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(hours=-1)
    assert dan.next_call() is None
    answer = cleo.report(call)
    assert answer.body["closed"] is True
    assert clinic.call_list(**{"from": "2026-11-21"})["callers"][0]["average_s"] == 0


# ----- reports


def test_a_report_ends_the_call_and_is_shown_the_next_time(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    clock.advance(minutes=1)
    call = cleo.next_call()
    clock.advance(minutes=3)
    answer = cleo.report(call, "Left a message", notes="With her son")
    assert answer.body["closed"] is True
    assert answer.body["report"].items() >= {"outcome": "Left a message", "notes": "With her son"}.items()
    assert answer.body["call"] is None
    assert answer.body["stats"] == {"total": 1, "today": 1, "reached_today": 0}
    clinic.put_on_list("Ida")
    assert cleo.next_call()["reports"] == [
        {
            "at": "2026-11-21T11:04:00+01:00",
            "servicer": "Cleo",
            "outcome": "Left a message",
            "notes": "With her son",
            "list": "Follow-ups",
        }
    ]


def test_the_same_report_twice_is_one(clinic, cleo):
    clinic.put_on_list("Ida", "Joe")
    call = cleo.next_call()
    first = cleo.report(call, "No answer").body["report"]
    assert cleo.next_call()["name"] == "Joe"
    again = cleo.report(call, "Reached", notes="again")
    assert (again.status, again.body["report"]) == (200, first)
    assert again.body["call"]["name"] == "Joe"
    assert clinic.call_list()["done_today"] == 1


@pytest.mark.parametrize("outcome", ["no answer", "NO-ANSWER", "No_Answer", " noanswer "])
def test_the_name_of_an_outcome_may_be_written_in_any_case(clinic, cleo, outcome):
    clinic.put_on_list("Ida")
    assert cleo.report(cleo.next_call(), outcome).body["report"]["outcome"] == "No answer"


def test_an_unknown_outcome_or_claim(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    answer = cleo.report(call, "Fine")
    assert (answer.status, answer.body["error"]) == (
        400,
        "Outcome: please choose Reached, No answer, Left a message, Call back later, Wrong number, "
        "Do not call again.",
    )
    assert dan.report(call).status == 404
    assert cleo.report({"claim": "nonsense"}).status == 404
    assert cleo.get_calls()["call"] == call


def test_a_late_report_ends_a_call_that_nobody_else_claimed(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=45)
    assert cleo.report(call, "No answer").body["closed"] is True
    assert dan.next_call() is None
    clock.advance(minutes=60)
    assert dan.next_call()["tries"] == 1


def test_a_late_report_after_another_claim_is_kept_and_closes_nothing(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=20)
    theirs = dan.next_call()
    late = cleo.report(call, "Call back later", notes="She is at work", call_back_at=at(clock, 600))
    assert (late.status, late.body["closed"]) == (200, False)
    assert dan.get_calls()["call"]["claim"] == theirs["claim"]
    assert dan.get_calls()["call"]["reports"][0]["notes"] == "She is at work"
    assert cleo.report(call).body["closed"] is False
    answer = dan.report(theirs, "Reached")
    assert answer.body["closed"] is True
    clock.advance(hours=11)
    assert cleo.next_call() is None


@pytest.mark.both_databases
def test_a_call_lasted_no_longer_than_its_claim(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida", "Joe")
    call = cleo.next_call()
    clock.advance(minutes=15)
    cleo.post("calls/more-time", claim=call["claim"])
    clock.advance(hours=8)
    dan.next_call()
    cleo.report(call)
    call = cleo.next_call()
    clock.advance(hours=8)
    assert cleo.report(call).body["closed"] is True
    assert [report["seconds"] for report in clinic.export()["report"]] == [2100, 1200]


@pytest.mark.both_databases
def test_a_late_report_after_another_claim_was_released_closes_nothing(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=20)
    dan.post("calls/give-back", claim=dan.next_call()["claim"])
    assert cleo.report(call).body["closed"] is False
    assert dan.next_call()["name"] == "Ida"


def test_a_call_without_answer_is_retried_up_to_the_maximum(clinic, cleo, clock):
    clinic.owner_post("/queues/follow-ups", retry_minutes=30, most_tries=2)
    clinic.put_on_list("Ida", reason="Test results", priority=2)
    tries = []
    for _ in range(3):
        call = cleo.next_call()
        tries.append((call["tries"], call["reason"], call["priority"]))
        assert cleo.report(call, "No answer").body["closed"] is True
        clock.advance(minutes=29, seconds=59)
        assert cleo.next_call() is None
        clock.advance(seconds=1)
    assert tries == [(0, "Test results", 2), (1, "Test results", 2), (2, "Test results", 2)]
    assert cleo.next_call() is None
    assert clinic.contacts()["contacts"][0]["lists"] == []


def test_a_call_back_is_due_to_the_second_behind_calls_of_its_priority(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    assert cleo.make_call("Call back later", call_back_at="2026-11-21T12:30") == "Ida"
    assert cleo.get_calls()["next_at"] == "2026-11-21T12:30:00+01:00"
    assert cleo.get_calls()["lists"][0].items() >= {"due": 0, "not_due": 1}.items()
    clock.set("2026-11-21 12:29:59", "Europe/Berlin")
    assert cleo.next_call() is None
    clinic.put_on_list("Joe")
    clock.advance(seconds=1)
    clinic.put_on_list("Kim", priority=5)
    assert [cleo.make_call() for _ in range(3)] == ["Joe", "Ida", "Kim"]


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("zone", "when", "shown"),
    [
        (None, "2026-11-23T14:30", "2026-11-23T14:30:00+01:00"),
        ("America/New_York", "2026-11-23T14:30", "2026-11-23T20:30:00+01:00"),
        (None, "2026-11-23T14:30+00:00", "2026-11-23T15:30:00+01:00"),
        (None, "2027-03-28T02:30", "2027-03-28T03:00:00+02:00"),  # the hour that the clock skips
        (None, "2027-03-28T03:30", "2027-03-28T03:30:00+02:00"),
        (None, "2027-10-31T02:30", "2027-10-31T02:30:00+02:00"),  # the first of the two hours
    ],
)
def test_a_call_back_time_is_in_the_time_zone_of_the_contact_or_the_place(clinic, cleo, zone, when, shown):
    clinic.owner_post("/queues/follow-ups", calling_from="00:00", calling_to="24:00")  # 5:00 in New York
    clinic.add_contacts({"name": "Ida", "phone": "030 1000001"} | ({"timezone": zone} if zone else {}))
    clinic.put_on_list("Ida")
    answer = cleo.report(cleo.next_call(), "Call back later", call_back_at=when)
    assert answer.body["report"]["call_back_at"] == shown
    assert answer.body["next_at"] == shown


@pytest.mark.parametrize(
    "when",
    [
        *(None, "", "soon", "2026-11-23", "20261123", "2026-11-23T", "T14:30"),
        *("2026-11-21T10:59", "2029-01-01T10:00", "2026-11-31T10:00", "9999-12-31T23:59"),
    ],
)
def test_a_call_back_needs_a_future_time(clinic, cleo, when):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    answer = cleo.report(call, "Call back later", **({} if when is None else {"call_back_at": when}))
    assert answer.status == 400
    assert answer.body["error"].startswith("Call back at: ")
    assert cleo.get_calls()["call"] == call


def test_do_not_call_again_takes_the_contact_off_every_list(clinic, cleo, dan):
    clinic.owner_post("/queues", name="Urgent", kind="calls")
    clinic.put_on_list("Ida")
    clinic.put_on_list("Ida", call_list="urgent")
    call = cleo.next_call(list="urgent")
    assert cleo.report(call, "Do not call again").body["closed"] is True
    assert dan.next_call() is None
    contact = clinic.contacts()["contacts"][0]
    assert (contact["do_not_call"], contact["lists"], contact["last_outcome"]) == (
        True,
        [],
        "Do not call again",
    )
    assert clinic.put_on_list("Ida")["skipped"] == {"must not be called": 1}


def test_do_not_call_applies_to_all_contacts_with_the_number(clinic, cleo, dan, clock):
    clinic.add_contacts(
        *({"name": name, "phone": "030 1234567", "reference": name} for name in ("Ana", "Bea"))
    )
    clinic.put_on_list("Bea", "Ida")
    asked = {"phone": "030 1234567", "outcome": "Do not call again"}
    assert cleo.post("calls/incoming", **asked, name="Bea").status == 200
    assert clinic.contact_names(do_not_call=1) == ["Ana", "Bea"]
    assert [cleo.next_call()["name"], dan.next_call()] == ["Ida", None]


def test_a_late_report_of_do_not_call_applies(clinic, cleo, dan, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clock.advance(minutes=20)
    theirs = dan.next_call()
    assert cleo.report(call, "Do not call again").body["closed"] is False
    assert clinic.contacts()["contacts"][0]["do_not_call"] is True
    assert dan.get_calls()["call"] == theirs | {"reports": dan.get_calls()["call"]["reports"]}
    dan.post("calls/give-back", claim=theirs["claim"])
    assert cleo.next_call() is None
    assert clinic.call_list()["waiting"] == 0


def test_a_claimed_call_ends_when_the_contact_becomes_do_not_call(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    clinic.owner_post("/contacts/actions", action="do_not_call", match="all")
    assert cleo.get_calls()["call"] is None
    assert cleo.report(call, "No answer").body["closed"] is False
    clock.advance(hours=2)
    assert cleo.next_call() is None


# ----- referrals


def test_referring_to_another_list_with_a_note(clinic, cleo):
    clinic.owner_post("/queues", name="Interpreters", kind="calls")
    clinic.put_on_list("Ida")
    assert cleo.make_call(refer_to="interpreters", refer_note="Speaks Farsi") == "Ida"
    call = cleo.next_call()
    assert (call["list"], call["reason"]) == ("interpreters", "Referred from Follow-ups: Speaks Farsi")
    assert clinic.call_list()["referrals"] == [{"to": "Interpreters", "total": 1}]


def test_a_note_for_a_list_that_has_the_contact_already_is_added_there(clinic, cleo):
    clinic.owner_post("/queues", name="Urgent", kind="calls")
    clinic.put_on_list("Ida", call_list="urgent", reason="Results")
    clinic.put_on_list("Ida")
    cleo.report(cleo.next_call(list="follow-ups"), refer_to="urgent", refer_note="Speaks Farsi")
    assert cleo.next_call()["reason"] == "Results: Speaks Farsi"


def test_referring_to_a_service_outside(clinic, cleo):
    service = {"name": "Housing advice", "phone": "030 7654321", "link": "https://housing.example.org"}
    assert clinic.owner_post("/services", **service).status == 201
    clinic.put_on_list("Ida")
    assert cleo.get_calls()["services"] == [service]
    assert cleo.make_call(refer_to="housing advice", refer_note="Needs it soon", notes="Moves out") == "Ida"
    assert cleo.get_calls()["recent"][0]["notes"] == "Moves out\nFor Housing advice: Needs it soon"
    assert cleo.next_call() is None
    assert clinic.call_list()["referrals"] == [{"to": "Housing advice", "total": 1}]


def test_an_invalid_referral_changes_nothing(clinic, cleo):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    assert cleo.report(call, refer_to="nowhere").status == 400
    clinic.owner_post("/queues", name="Other", kind="calls")
    assert cleo.report(call, "Do not call again", refer_to="other").status == 400
    assert cleo.get_calls()["call"] == call


# ----- incoming calls


def test_an_incoming_call_ends_the_open_one(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    answer = dan.post("calls/incoming", phone="+49 30 1000001", outcome="Reached", notes="She phoned")
    assert answer.status == 200
    assert answer.body["report"].items() >= {"closed": True, "incoming": True}.items()
    assert cleo.next_call() is None
    assert clinic.call_list()["done_today"] == 1


def test_an_incoming_call_from_an_unknown_number_adds_a_contact(clinic, cleo):
    asked = {"phone": "030 5551234", "name": "Nele", "outcome": "Call back later", "list": "follow-ups"}
    answer = cleo.post("calls/incoming", **asked, call_back_at="2026-11-21T13:00")
    assert answer.status == 200, answer.body
    assert clinic.contact_names() == ["Nele"]
    assert answer.body["next_at"] == "2026-11-21T13:00:00+01:00"


def test_an_incoming_call_does_not_end_a_claimed_call(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    answer = dan.post("calls/incoming", phone="030 1000001", outcome="Reached")
    assert (answer.status, answer.body["closed"]) == (200, False)
    assert cleo.report(call).body["closed"] is True


def test_a_call_back_after_an_incoming_call_goes_on_the_named_list(clinic, cleo, dan):
    clinic.owner_post("/queues", name="Second", kind="calls")
    clinic.put_on_list("Ida", call_list="second")
    asked = {"phone": "030 1000001", "outcome": "Call back later", "call_back_at": "2026-11-21T13:00"}
    assert cleo.post("calls/incoming", **asked, list="follow-ups").body["closed"] is True
    assert (clinic.call_list("second")["not_due"], clinic.call_list()["not_due"]) == (0, 1)
    clinic.put_on_list("Ida", call_list="second")
    assert dan.next_call()["list"] == "second"
    before = clinic.export()
    refused = cleo.post("calls/incoming", **asked, list="second")
    assert (refused.status, "Somebody else has" in refused.body["error"]) == (409, True)
    assert clinic.export() == before


@pytest.mark.both_databases
def test_an_incoming_call_sent_twice_is_one(clinic, cleo):
    asked = {"phone": "030 1000001", "outcome": "Reached", "request_id": "abc"}
    first = cleo.post("calls/incoming", **asked).body["report"]
    assert cleo.post("calls/incoming", **asked).body["report"] == first
    assert cleo.get_calls()["stats"]["total"] == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"phone": "12", "outcome": "Reached"},
        {"phone": "030 1000001", "outcome": "Fine"},
        {"phone": "030 1000001", "outcome": "Call back later", "call_back_at": "2026-11-21T13:00"},
        {"phone": "030 1000001", "outcome": "Reached", "refer_to": "nowhere"},
    ],
)
def test_an_invalid_incoming_call_adds_no_contact(clinic, cleo, asked):
    assert cleo.post("calls/incoming", **asked).status == 400
    assert clinic.contact_names() == []


# ----- one desk, two kinds of work


def test_a_customer_at_the_desk_comes_before_calls(clinic, cleo):
    clinic.put_on_list("Ida")
    clinic.customer()
    assert cleo.call_next()["number"] == "A1"
    answer = cleo.post("calls/next")
    assert (answer.status, answer.body["error"]) == (409, "Finish A1 first: it is at your desk.")
    cleo.post("done", number="A1")
    assert cleo.next_call()["name"] == "Ida"


def test_no_customer_is_called_during_a_claim(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    clinic.customer()
    call = cleo.next_call()
    assert cleo.post("next", finished=None).status == 409
    for button in ("start", "done", "no-show", "put-back", "call-again"):
        assert cleo.post(button, number=call["number"]).status == 409
    assert cleo.get_calls()["call"] == call
    clock.advance(minutes=20)
    assert cleo.call_next()["number"] == "A1"


def test_the_next_customer_is_never_a_call(clinic, cleo):
    clinic.put_on_list("Ida")
    assert cleo.call_next() is None
    assert cleo.post("next", finished=None, queue="follow-ups").status == 400
    assert cleo.post("next", finished=None, number="follow-ups-1").status == 409
    assert cleo.post("move", number="follow-ups-1", queue="deli").status == 409
    assert cleo.post("add", queue="follow-ups").status == 404
    assert cleo.get()["line"] == []


def test_the_desk_shows_the_callers_lists(clinic, cleo):
    clinic.put_on_list("Ida")
    desk = cleo.get()
    assert desk["queues"] == ["deli", "follow-ups"]
    assert desk["lists"][0].items() >= {"slug": "follow-ups", "due": 1}.items()
    assert desk["links"]["calls"] == f"{cleo.link}/calls"
    assert desk["links"]["next_call"] == f"{cleo.link}/calls/next"


def test_the_call_of_a_removed_caller_goes_to_others(clinic, cleo, dan):
    clinic.put_on_list("Ida")
    cleo.next_call()
    assert clinic.owner_post(f"/servicers/{cleo.id}/remove").status == 200
    assert dan.next_call()["name"] == "Ida"
    assert cleo.post("calls/next").status == 404


def test_a_callers_figures_are_for_the_day_of_the_place(clinic, cleo, clock):
    clinic.put_on_list("Ida", "Joe", "Kim")
    clinic.owner_post("/queues/follow-ups", calling_from="00:00", calling_to="24:00")
    clock.set("2026-11-22 03:59", "Europe/Berlin")
    cleo.make_call("Reached")
    assert cleo.get_calls()["stats"] == {"total": 1, "today": 1, "reached_today": 1}
    clock.advance(minutes=1)
    assert cleo.get_calls()["stats"] == {"total": 1, "today": 0, "reached_today": 0}
    cleo.make_call("Left a message")
    assert cleo.get_calls()["stats"] == {"total": 2, "today": 1, "reached_today": 0}
    assert [each["name"] for each in cleo.get_calls()["recent"]] == ["Joe", "Ida"]


def test_calls_do_not_expire_with_the_day(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    clock.advance(days=3)
    clinic.customer()
    assert cleo.next_call()["name"] == "Ida"


def test_a_call_of_a_forgotten_contact_keeps_nothing_of_it(clinic, cleo):
    clinic.put_on_list("Ida")
    call = cleo.next_call()
    contact = clinic.contacts()["contacts"][0]["links"]["contact"]
    assert clinic.client.post(f"{contact}/forget").status == 200
    answer = cleo.report(call, "Reached", notes="Ida is moving")
    assert (answer.status, answer.body["closed"]) == (200, False)
    export = str(clinic.export())
    assert "Ida" not in export
    assert "1000001" not in export


def test_two_places_share_nothing(start):
    from helpers.client import AppClient

    client = AppClient(start(places="open"))
    one = open_deli(client, timezone="Europe/Berlin")
    two = open_deli(client, timezone="Europe/Berlin", slug="two")
    for place in (one, two):
        place.owner_post("/queues", name="Follow-ups", kind="calls")
    one.put_on_list("Ida")
    call = one.caller("Cleo").next_call()
    eve = two.caller("Eve")
    assert eve.next_call() is None
    assert eve.report(call).status == 404
    other = client.get(one.links["manage"]).body["contacts"]
    assert (other, client.get(two.links["manage"]).body["contacts"]) == (1, 0)
