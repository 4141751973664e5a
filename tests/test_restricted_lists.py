"""A restricted list is invisible to callers who aren't on it, whatever they know and press."""

import pytest

LATER = {"outcome": "Call back later", "call_back_at": "2026-11-21T12:30"}


@pytest.fixture
def secret(clinic, cleo, dan):
    """A restricted list of Dan with a call to Ida."""
    clinic.owner_post("/queues", name="Secret", kind="calls", callers=[dan.id])
    clinic.add_contacts(
        {"name": "Ida", "phone": "030 1234567", "notes": "Positive", "email": "ida@example.org"}
    )
    clinic.put_on_list("Ida", call_list="secret")
    return clinic


def state(clinic):
    """Return what the owner sees of the list and of Ida."""
    ida = min(
        (each for each in clinic.contacts()["contacts"] if each["name"] == "Ida"), key=lambda each: each["id"]
    )
    return clinic.call_list("secret")["waiting"], ida


def incoming(caller, **details):
    return caller.post("calls/incoming", phone="030 1234567", **{"outcome": "Reached"} | details)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"name": "Somebody"},
        {"outcome": "No answer"},
        LATER | {"list": "follow-ups"},
        {"refer_to": "follow-ups", "refer_note": "x"},
    ],
)
def test_a_logged_call_neither_shows_nor_changes_anybody_there(secret, cleo, dan, details):
    before = state(secret)
    answer = incoming(cleo, **details)
    assert answer.status == 200
    assert state(secret) == before
    for said in (answer.body, cleo.get_calls(), cleo.get()):
        assert not any(word in str(said) for word in ("Positive", "ida@example.org", "Secret"))
        assert "Ida" not in str(said) or details.get("name") == "Ida"
    assert dan.next_call()["name"] == "Ida"


def test_who_logged_the_call_does_not_learn_by_calling_back_either(secret, cleo, clock):
    incoming(cleo, **LATER, list="follow-ups", name="Somebody")
    clock.advance(hours=3)
    call = cleo.next_call()
    assert (call["name"], call["notes"], call["email"], call["reports"][0]["outcome"]) == (
        "Somebody",
        None,
        None,
        "Call back later",
    )


def test_other_callers_cannot_refer_to_a_restricted_list(secret, cleo):
    secret.put_on_list("Ben")
    before = state(secret)
    assert "secret" not in str(cleo.get_calls()["all_lists"])
    call = cleo.next_call()
    for name in ("secret", "Secret", "SECRET"):
        assert cleo.report(call, refer_to=name, refer_note="x").status == 400
        assert incoming(cleo, refer_to=name).status == 400
    assert state(secret) == before


def test_callers_of_a_restricted_list_can_refer_to_it_and_away_from_it(secret, dan, cleo):
    secret.put_on_list("Ben")
    dan.post("calls/next", list="follow-ups")
    assert dan.report(dan.get_calls()["call"], refer_to="secret", refer_note="Hello").body["closed"] is True
    dan.post("calls/next", list="secret")
    assert dan.report(dan.get_calls()["call"], refer_to="follow-ups", notes="Hidden").body["closed"] is True
    call = cleo.next_call()
    assert "Secret" not in str(call)
    assert "Hidden" not in str(call)


@pytest.mark.parametrize("also_on", [None, "follow-ups"])
def test_an_opt_out_noted_by_another_caller_keeps_the_restricted_call(secret, cleo, dan, also_on):
    """An opt-out belongs to the number. Its caller learns nothing about the restricted list."""
    if also_on:
        secret.put_on_list("Ida")
    never = next(each["name"] for each in cleo.get_calls()["outcomes"] if each["effect"] == "never")
    answer = incoming(cleo, outcome=never)
    assert (answer.status, answer.body["closed"]) == (200, also_on is not None)
    assert "Ida" not in str(answer.body) or also_on
    assert state(secret)[0] == 1
    assert dan.next_call() is None


def test_reports_of_a_restricted_list_are_not_among_the_last_calls_of_who_left_it(secret, dan):
    dan.report(dan.next_call(), notes="Hidden")
    assert "Ida" in str(dan.get_calls()["recent"])
    secret.owner_post("/queues/secret", callers=[])
    assert "Ida" not in str(dan.get_calls()["recent"])


def test_a_public_form_does_not_reveal_a_restricted_list(secret, cleo):
    secret.owner_post("/queues/follow-ups", public_form=True)
    before = state(secret)
    request = next(each for each in secret.owner_get()["queues"] if each["slug"] == "follow-ups")
    assert secret.client.post(request["links"]["request"], {"phone": "030 1234567"}).status == 201
    call = cleo.next_call()
    assert (call["name"], call["notes"], call["email"]) == ("", None, None)
    assert state(secret) == before


@pytest.mark.both_databases
def test_do_not_call_is_kept_for_the_number(secret, cleo):
    secret.owner_post("/queues/follow-ups", public_form=True)
    ida = secret.contacts()["contacts"][0]
    secret.client.post(ida["links"]["contact"], {"do_not_call": True})
    request = next(each for each in secret.owner_get()["queues"] if each["slug"] == "follow-ups")
    assert secret.client.post(request["links"]["request"], {"phone": "030 1234567"}).status == 409
