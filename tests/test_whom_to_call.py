"""Which call a caller is given: one caller for each number, calling hours, random order, training."""

import pytest
from helpers.html_browser import Browser
from helpers.places import open_deli


@pytest.fixture
def two_lists(clinic):
    """The clinic with a second list."""
    assert clinic.owner_post("/queues", name="Urgent", kind="calls").status == 201
    return clinic


def put_on(place, call_list, **match):
    answer = place.owner_post("/contacts/actions", action="add_to_list", list=call_list, match=match or "all")
    assert answer.status == 200, answer.body


def family(place):
    """Two contacts with one number, one of them on both lists."""
    place.add_contacts(
        {"name": "Mara", "phone": "030 1234567", "reference": "1"},
        {"name": "Bea", "phone": "030 1234567", "reference": "2"},
        {"name": "At work", "phone": "030 1234567 ext. 12", "reference": "3"},
    )
    put_on(place, "follow-ups")
    put_on(place, "urgent", q="mara")


# ----- one caller for each number


def test_a_number_that_is_being_called_is_not_given_to_another_caller(two_lists, cleo, dan):
    family(two_lists)
    first = cleo.next_call()
    assert first["name"] == "Mara"
    assert dan.next_call() is None
    assert dan.next_call(list="urgent") is None
    assert dan.post("calls/next", name="Bea").status == 409
    cleo.report(first)
    assert dan.next_call(list="urgent")["name"] == "Mara"
    assert cleo.next_call() is None


def test_a_claim_that_ended_holds_no_number(two_lists, cleo, dan, clock):
    family(two_lists)
    cleo.next_call(list="urgent")
    clock.advance(minutes=20)
    assert dan.next_call(list="follow-ups")["name"] == "Mara"


@pytest.mark.both_databases
@pytest.mark.parametrize("how", ["give-back", "clear", "remove", "do not call"])
def test_a_number_is_free_when_its_call_is_released(two_lists, cleo, dan, how):
    family(two_lists)
    call = cleo.next_call()
    if how == "give-back":
        cleo.post("calls/give-back", claim=call["claim"])
    elif how == "clear":
        two_lists.owner_post("/queues/follow-ups/clear-claim", id=call["id"])
    elif how == "remove":
        two_lists.owner_post(f"/servicers/{cleo.id}/remove")
    else:
        two_lists.owner_post("/contacts/actions", action="do_not_call", match="all")
        two_lists.owner_post("/contacts/actions", action="may_call", match="all")
        put_on(two_lists, "follow-ups")
    assert dan.next_call() is not None


def test_two_callers_at_the_same_instant_get_two_numbers(server):
    """Repeated; each number belongs to two contacts, one on each of two lists."""
    opened = server.post("/places", {"name": "Hotline", "call_list": "One", "timezone": "Europe/Berlin"})
    manage = opened.body["links"]["manage"]
    server.post(f"{manage}/queues", {"name": "Two", "kind": "calls"})
    for slug in ("one", "two"):
        server.post(f"{manage}/queues/{slug}", {"calling_from": "00:00", "calling_to": "24:00"})
    people = [
        {"name": f"N{n} {half}", "phone": f"030 {1000001 + n}", "reference": f"{n} {half}", "tags": [half]}
        for n in range(20)
        for half in ("one", "two")
    ]
    assert server.post(f"{manage}/contacts", {"contacts": people}).body["added"] == 40
    for half in ("one", "two"):
        asked = {"action": "add_to_list", "list": half, "match": {"tag": half}}
        assert server.post(f"{manage}/contacts/actions", asked).body["added"] == 20
    desks = [
        server.post(opened.body["links"]["staff"], {"name": name}).body["links"]["desk"]
        for name in ("Cleo", "Dan", "Eve", "Fay")
    ]
    lists = ["one", "two", "one", "two"]
    made = []
    for _ in range(10):

        def ask(desk, call_list):
            return lambda: server.post(f"{desk}/calls/next", {"list": call_list}).body["call"]

        calls = server.at_once(*(ask(desk, call_list) for desk, call_list in zip(desks, lists, strict=True)))
        tels = [call["tel"] for call in calls]
        assert len(set(tels)) == 4, tels
        for desk, call in zip(desks, calls, strict=True):
            made.append(call["id"])
            server.post(f"{desk}/calls/report", {"claim": call["claim"], "outcome": "Reached"})
    assert len(set(made)) == 40


# ----- calling hours


def test_calls_are_not_handed_out_at_night(client, clock):
    place = open_deli(client, timezone="America/New_York")
    place.owner_post("/queues", name="Follow-ups", kind="calls")
    place.add_contacts(
        {"name": "Hana", "phone": "+1 808 555 0100", "timezone": "Pacific/Honolulu"},
        {"name": "Ned", "phone": "212 555 0100"},
    )
    put_on(place, "follow-ups")
    cleo = place.caller("Cleo")
    clock.set("2026-11-23 09:30", "America/New_York")  # 04:30 in Honolulu
    assert [cleo.make_call(), cleo.make_call()] == ["Ned", None]
    page = cleo.get_calls()
    assert page["lists"][0].items() >= {"due": 0, "not_due": 1}.items()
    assert page["next_at"] == "2026-11-23T14:00:00-05:00"
    assert cleo.post("calls/next", name="Free").status == 409
    call = cleo.post("calls/next", name="hana").body["call"]
    assert (call["name"], call["zone"]) == ("Hana", "Pacific/Honolulu")
    assert call["local_time"] == "2026-11-23T04:30:00-10:00"
    cleo.post("calls/give-back", claim=call["claim"])
    clock.set("2026-11-23 08:59", "Pacific/Honolulu")
    assert cleo.next_call() is None
    clock.advance(minutes=1)
    assert cleo.get_calls()["lists"][0]["due"] == 1
    assert cleo.next_call()["name"] == "Hana"


@pytest.mark.parametrize(
    ("opens", "closes", "when", "called"),
    [
        ("09:00", "20:00", "08:59", False),
        ("09:00", "20:00", "09:00", True),
        ("09:00", "20:00", "19:59", True),
        ("09:00", "20:00", "20:00", False),
        ("22:00", "06:00", "23:00", True),
        ("22:00", "06:00", "05:59", True),
        ("22:00", "06:00", "12:00", False),
        ("00:00", "24:00", "03:00", True),
        ("8:00", "8:00", "03:00", True),
    ],
)
def test_the_hours_are_those_of_the_list(clinic, cleo, clock, opens, closes, when, called):
    answer = clinic.owner_post("/queues/follow-ups", calling_from=opens, calling_to=closes)
    assert answer.body.items() >= {"calling_from": opens.zfill(5), "calling_to": closes.zfill(5)}.items()
    clinic.put_on_list("Ida")
    clock.set(f"2026-11-23 {when}", "Europe/Berlin")
    assert (cleo.next_call() is not None) is called


def test_a_list_has_hours_from_the_beginning(clinic):
    assert clinic.owner_get()["queues"][1].items() >= {"calling_from": "09:00", "calling_to": "20:00"}.items()


@pytest.mark.parametrize("wrong", ["25:00", "9", "09:60", "9 am", "", 9, None])
def test_invalid_calling_hours_are_refused(clinic, wrong):
    status = clinic.owner_post("/queues/follow-ups", calling_from=wrong).status
    assert status == (200 if wrong is None else 400)
    assert clinic.owner_get()["queues"][1]["calling_from"] == "09:00"


def test_the_next_call_after_closing_is_tomorrow(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    clock.set("2026-11-21 19:50", "Europe/Berlin")
    assert cleo.make_call("No answer") == "Ida"  # it is due again at 20:50
    assert cleo.get_calls()["next_at"] == "2026-11-22T09:00:00+01:00"
    clock.set("2026-11-21 21:00", "Europe/Berlin")
    assert cleo.next_call() is None
    assert cleo.get_calls()["next_at"] == "2026-11-22T09:00:00+01:00"


def test_a_time_that_the_contact_chose_is_kept_even_at_night(clinic, cleo, clock):
    clinic.put_on_list("Ida")
    cleo.make_call("Call back later", call_back_at="2026-11-21T21:30")
    assert cleo.get_calls()["next_at"] == "2026-11-21T21:30:00+01:00"
    clock.set("2026-11-21 21:45", "Europe/Berlin")
    assert cleo.get_calls()["lists"][0]["due"] == 1
    assert cleo.next_call(list="follow-ups")["name"] == "Ida"
    cleo.post("calls/give-back", claim=cleo.get_calls()["call"]["claim"])
    clock.set("2026-11-21 23:30", "Europe/Berlin")
    assert cleo.next_call() is None


def test_a_call_is_asked_for_by_its_id(clinic, cleo, dan):
    clinic.put_on_list("Ida", "Joe")
    joe = clinic.call_list()["upcoming"][1]["id"]
    assert cleo.next_call(id=joe)["name"] == "Joe"
    assert cleo.next_call(id=joe)["name"] == "Joe"
    assert cleo.post("calls/next", name="Ida").status == 409  # Joe is first in line
    assert dan.post("calls/next", id=joe).status == 409
    assert dan.post("calls/next", id=987654).status == 409


def test_the_page_asks_for_somebody_by_name(clinic, cleo, clock, app):
    clinic.put_on_list("Ida")
    clock.set("2026-11-21 21:00", "Europe/Berlin")
    page = Browser(app).open(f"{cleo.link}/calls")
    page.press("Call them", name="Zoe")
    assert (page.status, "Nobody named Zoe waits" in page.html) == (409, True)
    page.press("Call them", name="Ida")
    assert "It is <time" in page.html
    assert ">21:00</time>" in page.html


# ----- the order


def test_a_list_in_random_order(clinic, cleo, clock):
    names = [f"N{n:02}" for n in range(12)]
    clinic.add_contacts(*({"name": name, "phone": f"030 {1000001 + n}"} for n, name in enumerate(names)))
    assert clinic.owner_post("/queues/follow-ups", order="random").body["order"] == "random"
    put_on(clinic, "follow-ups")
    clinic.owner_post("/contacts/actions", action="raise", list="follow-ups", match={"q": "n11"})
    called = [cleo.make_call() for _ in names]
    assert sorted(called) == names
    assert called[0] == "N11"  # priority still counts
    assert called[1:] != names[:-1]  # the chance of the same order is 1 in 40 million
    assert cleo.make_call() is None
    assert clinic.owner_post("/queues/follow-ups", order="none").status == 400


def test_a_list_in_random_order_draws_only_due_calls(clinic, cleo, clock):
    clinic.owner_post("/queues/follow-ups", order="random")
    clinic.put_on_list("Ida", "Joe")
    cleo.make_call("No answer")
    cleo.make_call("No answer")
    assert cleo.next_call() is None
    clock.advance(hours=1)
    assert cleo.next_call() is not None


# ----- training


def test_a_caller_gets_only_what_they_are_trained_for(two_lists, cleo, dan):
    answer = two_lists.owner_post("/queues/urgent", requires=["Spanish", "trained"])
    assert answer.body["requires"] == ["Spanish", "trained"]
    two_lists.put_on_list("Ida", call_list="urgent")
    two_lists.owner_post(f"/servicers/{dan.id}", tags=["spanish", "Trained", "French"])
    two_lists.owner_post(f"/servicers/{cleo.id}", tags=["Spanish"])
    assert two_lists.owner_get()["servicers"][0]["tags"] == ["Spanish"]
    assert cleo.next_call() is None
    assert [each["slug"] for each in cleo.get_calls()["lists"]] == ["follow-ups"]
    answer = cleo.post("calls/next", list="urgent")
    assert (answer.status, answer.body["error"]) == (400, "Urgent is for callers with the tags trained.")
    assert cleo.post("calls/next", name="Ida").status == 409
    assert dan.next_call()["name"] == "Ida"


def test_the_owner_sets_hours_order_and_training_by_forms(clinic, cleo, app):
    owner = Browser(app).open(f"{clinic.links['manage']}/calls")
    owner.press("Save Follow-ups", requires="Spanish, trained", calling_from="08:00", order="random")
    assert owner.redirects == [303]
    found = clinic.owner_get()["queues"][1]
    assert (found["requires"], found["calling_from"], found["order"]) == (
        ["Spanish", "trained"],
        "08:00",
        "random",
    )
    owner.open(f"{clinic.links['manage']}/team").press("Save Cleo", tags="Spanish, trained")
    owner.press("Save Cleo")
    assert clinic.owner_get()["servicers"][0]["tags"] == ["Spanish", "trained"]
    clinic.put_on_list("Ida")
    assert cleo.next_call()["name"] == "Ida"


# ----- filters


@pytest.mark.both_databases
def test_contacts_and_a_list_by_reason_and_priority(clinic, app):
    clinic.put_on_list("Ida", reason="Flu shot", priority=1)
    clinic.put_on_list("Joe", reason="Flu shot")
    clinic.put_on_list("Kim", reason="Test results", priority=1)
    assert clinic.contact_names(reason="Flu shot") == ["Ida", "Joe"]
    assert clinic.contact_names(priority=1) == ["Ida", "Kim"]
    assert clinic.contact_names(reason="Flu shot", priority=1, in_list="follow-ups") == ["Ida"]
    upcoming = clinic.call_list(reason="Flu shot", priority=3)["upcoming"]
    assert [each["contact"]["name"] for each in upcoming] == ["Joe"]
    answer = clinic.owner_post("/contacts/actions", action="tag", tag="flu", match={"reason": "Flu shot"})
    assert answer.body["changed"] == 2
    owner = Browser(app).open(f"{clinic.links['manage']}/contacts?reason=Flu+shot&priority=1")
    form = next(each for each in owner_forms(owner) if each["action"].endswith("/actions"))
    owner.send(form, action="raise", all="1", list="follow-ups", ids=None, reason="", priority="3")
    assert "Raised the priority of 0" in owner.html  # Ida alone, who is first already
    page = Browser(app).open(f"{clinic.links['manage']}/queues/follow-ups?priority=1")
    assert "Ida" in page.html
    assert "Joe" not in page.html


def owner_forms(browser):
    from helpers.html_browser import Forms

    return Forms(browser.html).all


# ----- a misspelled field selects nobody


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/contacts/actions", {"action": "forget", "filters": {"tag": "x"}, "match": "all"}),
        ("/contacts/actions", {"action": "forget", "match": "all", "tags": "x"}),
        ("/contacts/import", {"text": "Name,Phone\nAna,030 1234567\n", "donotcall": True}),
        ("/contacts/do-not-call", {"phone": "030 1234567", "name": "Ana"}),
        ("/queues/deli/cancel", {"numbers": ["A1"], "number": "A2"}),
    ],
)
def test_an_unknown_field_of_the_owner(clinic, path, content):
    clinic.put_on_list("Ida")
    before = clinic.export()
    answer = clinic.owner_post(path, **content)
    assert (answer.status, "There is no field named" in answer.body["error"]) == (400, True)
    assert clinic.export() == before


def test_an_unknown_field_of_a_caller_or_of_the_team(clinic, cleo):
    clinic.put_on_list("Ida")
    assert cleo.post("calls/next", lists="urgent").status == 400
    assert clinic.owner_post(f"/servicers/{cleo.id}", queue=["deli"]).status == 400
    assert cleo.get_calls()["lists"][0]["due"] == 1


def test_a_wrong_link_is_reported_before_an_unknown_field(clinic):
    url = clinic.links["manage"].rpartition("/")[0] + "/wrong/contacts/actions"
    assert clinic.client.post(url, {"action": "forget", "filters": {}}).status == 404


@pytest.mark.parametrize("key", ["dnc", "doNotCall", "do_not_contact", "opt_out"])
def test_an_opt_out_by_another_name_is_refused(clinic, key):
    (refused,) = clinic.add_contacts({"name": "Ana", "phone": "030 1234567", key: True})["refused"]
    assert "do_not_call" in refused["why"]
