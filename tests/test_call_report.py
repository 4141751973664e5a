"""The call centre's report for management: what it counts, in JSON, as a page and as CSV."""

import csv
import io

import pytest
from helpers.client import AppClient


def report(place, **days):
    query = "&".join(f"{name}={value}" for name, value in days.items())
    answer = place.client.get(f"{place.links['manage']}/calls/report?{query}")
    assert answer.status == 200, answer.body
    return answer.body


def phones_in(caller, phone, outcome="Reached", **more):
    answer = caller.post("calls/incoming", phone=phone, outcome=outcome, **more)
    assert answer.status == 200, answer.body
    return answer.body


def by_name(items, key="name"):
    return {each[key]: (each["outgoing"], each["incoming"], each["reached"]) for each in items}


@pytest.fixture
def day_of_calls(clinic, cleo, clock):
    """A day on which two people were called and two phoned in, one of them unknown."""
    clinic.owner_post("/services", name="Housing advice")
    clinic.put_on_list("Ida", "Jon", "Kim")
    cleo.make_call("Reached", refer_to="Housing advice")
    cleo.make_call("No answer")
    phones_in(cleo, "030 1000003")  # Kim, whose call is done by that
    phones_in(cleo, "030 7654321", "Left a message", refer_to="Housing advice", notes="Secret 42")
    return clinic


def test_the_report_counts_calls_out_and_in_with_and_without_a_list(day_of_calls):
    content = report(day_of_calls)
    assert (content["calls"], content["outgoing"], content["incoming"], content["reached"]) == (4, 2, 2, 2)
    assert (content["people"], content["people_reached"]) == (4, 2)
    assert by_name(content["outcomes"], "outcome") == {
        "Reached": (1, 1, 2),
        "No answer": (1, 0, 0),
        "Left a message": (0, 1, 0),
    }
    assert by_name(content["lists"]) == {"Follow-ups": (2, 1, 2), "No list": (0, 1, 0)}
    assert by_name(content["callers"]) == {"Cleo": (2, 2, 2)}
    assert content["referrals"] == [{"to": "Housing advice", "kind": "service", "total": 2}]


def test_the_report_counts_by_day_and_by_hour_in_the_zone_of_the_place(clinic, cleo, clock):
    clinic.put_on_list("Ida", "Jon")
    cleo.make_call()  # on Saturday at 11 in Berlin
    clock.advance(hours=12)  # at 23
    phones_in(cleo, "030 7654321")
    clock.advance(hours=3)  # at 2, which is the same day of the place
    phones_in(cleo, "030 7654322")
    clock.advance(hours=7)  # on Sunday at 9
    cleo.make_call("No answer")
    content = report(clinic)
    days = {each["day"]: (each["outgoing"], each["incoming"]) for each in content["days"]}
    assert days == {"2026-11-21": (1, 2), "2026-11-22": (1, 0)}  # those before the place are left out
    hours = [
        (each["weekday"], each["hour"], each["outgoing"] + each["incoming"]) for each in content["hours"]
    ]
    assert hours == [(5, 11, 1), (5, 23, 1), (5, 2, 1), (6, 9, 1)]
    one_day = report(clinic, **{"from": "2026-11-22", "to": "2026-11-22"})
    assert (one_day["outgoing"], one_day["incoming"]) == (1, 0)


def follow_ups(place):
    content = report(place, **{"from": "2026-11-21", "to": "2026-11-30"})
    return {name: total for name, total in content["follow_ups"].items() if total}


def test_a_follow_up_is_kept_late_missed_cancelled_or_to_come(clinic, cleo, clock):
    clinic.put_on_list("Ida", "Jon", "Kim", "Lea", "Mia")
    for name in ("Ida", "Jon", "Kim", "Lea"):
        call = cleo.next_call(name=name)
        cleo.report(call, "Call back later", call_back_at="2026-11-21T14:00")
    cleo.report(cleo.next_call(), "Call back later", call_back_at="2026-11-21T20:30")
    assert follow_ups(clinic) == {"to_come": 5}
    clock.advance(hours=3, minutes=30)  # 14:30
    cleo.report(cleo.next_call(name="Ida"), "No answer")  # they were called, which was the promise
    assert follow_ups(clinic) == {"due": 4, "kept": 1, "missed": 3, "to_come": 1}
    clock.advance(hours=2)
    cleo.report(cleo.next_call(name="Jon"), "Reached")
    contacts = {each["name"]: each["id"] for each in clinic.contacts()["contacts"]}
    clinic.owner_post("/contacts/actions", action="take_off", list="follow-ups", ids=[contacts["Kim"]])
    phones_in(cleo, "030 1000005")  # Mia, before the time
    assert follow_ups(clinic) == {"due": 4, "kept": 2, "late": 1, "missed": 1, "cancelled": 1}
    (day,) = [each for each in report(clinic)["days"] if each["follow_ups"]["due"]]
    assert (day["day"], day["follow_ups"]["kept"]) == ("2026-11-21", 2)


def test_restricted_lists_names_and_notes_never_appear(clinic, cleo, app):
    clinic.owner_post("/queues", name="Court cases", kind="calls", callers=[cleo.id])
    clinic.put_on_list("Nele Geheim", call_list="court-cases")
    clinic.put_on_list("Ida")
    cleo.report(cleo.next_call(list="follow-ups"), "Reached", refer_to="Court cases", notes="About the judge")
    cleo.report(cleo.next_call(list="court-cases"), "Reached", notes="About the trial")
    url = f"{clinic.links['manage']}/calls/report"
    browser = app.test_client()
    texts = [
        browser.get(url + ending, headers={"Accept": accept}).text
        for ending, accept in (("", "text/html"), ("", "application/json"), (".csv", "*/*"))
    ]
    for text in texts:
        assert "Restricted lists" in text
        assert not any(word in text for word in ("Nele", "Ida", "Court", "judge", "trial", "1000001"))


def test_the_csv_holds_every_table(day_of_calls):
    text = day_of_calls.client.get(f"{day_of_calls.links['manage']}/calls/report.csv").body
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    tables = {row["table"] for row in rows}
    assert tables >= {"all calls", "day", "hour", "outcome", "caller", "list", "referral to a service"}
    (reached,) = [row for row in rows if (row["table"], row["name"]) == ("outcome", "Reached")]
    assert (reached["outgoing"], reached["incoming"], reached["total"]) == ("1", "1", "2")
    (due,) = [row for row in rows if (row["table"], row["name"]) == ("follow-ups", "due")]
    assert due["total"] == "0"


def test_the_page_has_charts_with_tables(day_of_calls, app):
    html = app.test_client().get(
        f"{day_of_calls.links['manage']}/calls/report", headers={"Accept": "text/html"}
    )
    for words in ("Call report", "Housing advice", "Calls per hour", "As a table", "By caller", "Cleo"):
        assert words in html.text
    lists = app.test_client().get(f"{day_of_calls.links['manage']}/calls", headers={"Accept": "text/html"})
    assert "/calls/report" in lists.text


def test_days_that_make_no_sense_show_the_page_with_the_sentence(clinic, app):
    url = f"{clinic.links['manage']}/calls/report?from=2026-11-22&to=2026-11-21"
    assert clinic.client.get(url).status == 400
    html = app.test_client().get(url, headers={"Accept": "text/html"}).text
    assert "The start date must be before the end date." in html
    assert "No calls were reported" in html


def test_only_the_owner_sees_it(clinic, client: AppClient):
    url = clinic.links["manage"].rsplit("/", 1)[0] + "/" + "x" * 22
    assert client.get(f"{url}/calls/report").status == 404
    assert client.get(f"{url}/calls/report.csv").status == 404
