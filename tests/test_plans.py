"""A customer who passes through several queues, with a note from desk to desk."""

import json

import pytest
from helpers.client import AppClient
from helpers.html_browser import Browser
from helpers.places import open_deli

from app.core.tickets import erase_personal_data
from app.storage.sql import run


@pytest.fixture
def hospital(place):
    """The place with the queues Triage (its first one), Blood and Doctor."""
    place.owner_post("/queues/deli", name="Triage")
    place.add_queue("Blood")
    place.add_queue("Doctor")
    return place


@pytest.fixture
def triage(hospital):
    return hospital.desk("Ana", "Triage", queues=["deli"])


@pytest.fixture
def blood(hospital):
    return hospital.desk("Ben", "Room 1", queues=["blood"])


@pytest.fixture
def doctor(hospital):
    return hospital.desk("Dr. Cleo", "Room 2", queues=["doctor"])


def step_of(customer):
    plan = customer.get()["plan"]
    return plan and (plan["step"], plan["of"], [each["queue"] for each in plan["steps"]])


@pytest.mark.both_databases
def test_a_customer_passes_through_three_queues(hospital, triage, blood, doctor, clock):
    zoe, ben = hospital.customer(), hospital.customer()
    triage.call_next()
    clock.advance(minutes=2)
    moved = triage.post("move", number="A1", queue="blood", note="Fasting since 8", steps=["doctor"])
    assert (moved.status, moved.body["current"]) == (200, None)
    assert step_of(zoe) == (2, 3, ["deli", "blood", "doctor"])
    assert (zoe.get()["queue"], zoe.get()["state"]) == ("blood", "waiting")
    assert "Fasting" not in str(zoe.get()) + str(hospital.picture())
    (row,) = blood.get()["line"]
    assert (row["desk_note"], row["plan"]["step"], row["plan"]["of"]) == ("Fasting since 8", 2, 3)

    clock.advance(minutes=3)
    assert blood.call_next()["desk_note"] == "Fasting since 8"
    clock.advance(minutes=4)
    assert blood.post("next", finished="A1").body["current"] is None
    assert (step_of(zoe), zoe.get()["state"], zoe.get()["queue"]) == (
        (3, 3, ["deli", "blood", "doctor"]),
        "waiting",
        "doctor",
    )
    assert blood.post("next", finished="A1").status == 409  # the second of two presses
    assert doctor.call_next()["number"] == "A1"
    clock.advance(minutes=5)
    doctor.post("done", number="A1")
    assert zoe.get()["state"] == "done"
    assert ben.get()["state"] == "waiting"

    owner = hospital.links["manage"]
    stats = hospital.client.get(f"{owner}/stats").body
    assert (stats["joined"], stats["served"], stats["wait"]["average"]) == (2, 1, 0)
    assert figures_of(stats["queues"]) == {
        "Triage": (1, 0, 120),
        "Blood": (1, 180, 240),
        "Doctor": (1, 0, 300),
    }
    assert [(each["name"], each["served"]) for each in stats["servicers"]] == [
        ("Ana", 1),
        ("Ben", 1),
        ("Dr. Cleo", 1),
    ]
    of_queue = hospital.client.get(f"{owner}/stats?queue=blood").body
    assert (of_queue["joined"], of_queue["served"], of_queue["wait"]["average"]) == (1, 1, 180)
    assert (len(hospital.tickets()), hospital.tickets()[0]["total_s"]) == (2, "840.0")
    today = {each["slug"]: each["today"] for each in hospital.owner_get()["queues"]}
    assert {slug: each["wait"] for slug, each in today.items()} == {"deli": 0, "blood": 180, "doctor": 0}


def figures_of(queues):
    """Return for each queue with served customers: their number, and the average wait and service."""
    return {
        each["name"]: (each["served"], each["wait"]["average"], each["service"]["average"])
        for each in queues
        if each["served"]
    }


def test_an_estimate_learns_from_services_after_which_customers_went_on(start, clock):
    client, waits = AppClient(start(places="open")), []
    for steps in ([], ["blood"]):
        hospital = open_deli(client, timezone=clock.noon_zone)
        hospital.add_queue("Blood")
        triage = hospital.desk("Ana", "Triage", queues=["deli"])
        for _ in range(12):
            for _ in range(2):
                number = hospital.customer().number
            clock.advance(seconds=60)
            number = triage.call_next()["number"]
            triage.post("plan", number=number, steps=steps)
        waits.append(hospital.customer().get()["estimated_wait"])
    assert waits[0] == waits[1]
    assert waits[0]["to"] > 600


def test_a_desk_that_serves_the_next_step_too_does_not_finish_it_by_a_second_press(hospital, ana):
    zoe = hospital.customer()
    ana.call_next()
    ana.post("plan", number="A1", steps=["blood", "doctor"])
    answers = [ana.post("next", finished="A1") for _ in range(2)]
    assert [(each.status, each.body["current"]) for each in answers] == [(200, None), (409, None)]
    assert step_of(zoe)[:2] == (2, 3)
    assert ana.call_next()["number"] == "A1"


@pytest.mark.both_databases
@pytest.mark.parametrize("button", ["done", "next"])
def test_a_step_that_ended_by_mistake_is_undone(hospital, triage, clock, button):
    zoe = hospital.customer()
    triage.call_next()
    triage.post("plan", number="A1", steps=["blood", "doctor"])
    clock.advance(minutes=2)
    before = triage.get()["current"]
    after = triage.post(button, **({"number": "A1"} if button == "done" else {"finished": "A1"}))
    assert (after.body["undo"]["number"], after.body["undo"]["kind"]) == ("A1", "move")
    assert after.body["undo"]["seconds"] == 10
    assert step_of(zoe) == (2, 3, ["deli", "blood", "doctor"])
    for _ in range(2):
        assert triage.post("undo", number="A1").body["current"] == before
    assert step_of(zoe) == (1, 3, ["deli", "blood", "doctor"])
    assert [each["ended_at"] for each in hospital.export()["step"]] == [None] * 3
    triage.post("move", number="A1", queue="doctor", steps=["blood", "doctor", "blood"])
    assert step_of(zoe) == (2, 5, ["deli", "doctor", "blood", "doctor", "blood"])
    assert triage.post("undo", number="A1").status == 200
    assert step_of(zoe) == (1, 3, ["deli", "blood", "doctor"])
    triage.post("plan", number="A1", steps=[])
    assert (step_of(zoe), "step" in hospital.export()) == (None, False)
    triage.post("move", number="A1", queue="doctor", steps=["blood"])
    assert triage.post("undo", number="A1").status == 200
    assert (step_of(zoe), triage.current_number()) == (None, "A1")
    triage.post("done", number="A1")
    assert zoe.get()["state"] == "done"


@pytest.mark.both_databases
def test_the_owner_chooses_whether_who_is_moved_keeps_their_waiting_time(hospital, triage, blood, clock):
    for keeps, line in ((False, ["B1", "A1"]), (True, ["A2", "B2"])):
        assert hospital.owner_post("", keeps_wait=keeps).body["keeps_wait"] is keeps
        early = hospital.customer()
        clock.advance(minutes=1)
        late = hospital.customer("blood")
        triage.call_next()
        triage.post("move", number=early.number, queue="blood")
        clock.advance(minutes=1)
        assert hospital.queue("blood")["waiting"] == line
        assert [early.get()["ahead"], late.get()["ahead"]] == [
            line.index(early.number),
            line.index(late.number),
        ]
        assert triage.get()["undo"]["seconds"] <= 0 if triage.get()["undo"] else True
        early.cancel()
        late.cancel()


def test_a_plan_survives_whatever_else_happens(hospital, triage, blood, doctor, clock):
    zoe = hospital.customer()
    triage.post("plan", number="A1", steps=["blood", "doctor"], note="Ask for the form")
    assert triage.get()["line"][0]["desk_note"] == "Ask for the form"
    plan = ["deli", "blood", "doctor"]
    triage.call_next()
    triage.post("put-back", number="A1")
    assert step_of(zoe) == (1, 3, plan)
    triage.call_next()
    triage.post("done", number="A1")
    blood.call_next()
    blood.post("no-show", number="A1")
    assert (zoe.get()["state"], step_of(zoe)) == ("no_show", (2, 3, plan))
    blood.post("bring-back", number="A1")
    zoe.cancel()
    zoe.client.post(f"{zoe.ticket['links']['ticket']}/rejoin")
    assert (zoe.get()["state"], zoe.get()["queue"], step_of(zoe)) == ("waiting", "blood", (2, 3, plan))
    # A closed queue takes no new numbers, but those who have one may come.
    hospital.owner_post("/queues/doctor/close")
    hospital.add_queue("X-Ray")
    blood.call_next()
    blood.post("plan", number="A1", steps=["doctor", "x-ray", "doctor"])
    assert step_of(zoe) == (2, 5, [*plan, "x-ray", "doctor"])
    assert hospital.owner_post("/queues/x-ray/delete").status == 200
    assert step_of(zoe) == (2, 3, plan)
    assert blood.post("next", finished="A1").status == 200
    assert (zoe.get()["queue"], step_of(zoe)) == ("doctor", (3, 3, plan))
    assert blood.get()["current"] is None
    doctor.call_next()
    # A queue that isn't in the plan comes in between. Moved to a later step, they leave out those before.
    doctor.post("move", number="A1", queue="blood")
    assert step_of(zoe) == (4, 4, [*plan, "blood"])
    blood.post("plan", number="A1", steps=["doctor", "deli"])
    blood.call_next()
    blood.post("move", number="A1", queue="deli")
    assert step_of(zoe) == (5, 5, [*plan, "blood", "deli"])
    assert hospital.owner_post("/queues/doctor/delete").status == 200
    clock.advance(days=1)
    assert zoe.get()["state"] == "expired"
    kinds = [each["kind"] for each in hospital.events() if each["ticket_id"]]
    assert kinds.count("move") == 4


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"note": "x" * 201}, "note"),
        ({"note": 7}, None),
        ({"steps": ["nowhere"]}, "steps"),
        ({"steps": "blood"}, None),
        ({"steps": [7]}, None),
        ({"steps": ["doctor", "doctor"]}, "steps"),
        ({"steps": ["blood", "doctor"] * 6}, "steps"),
        ({"steps": ["follow-ups"]}, "steps"),
        ({"steps": ["doctor", "deli", "doctor"]}, "steps"),
    ],
)
def test_what_cannot_be_a_plan_is_refused_and_nothing_is_stored(hospital, triage, content, field):
    hospital.owner_post("/queues", name="Follow-ups", kind="calls")
    hospital.owner_post("/counters", name="Ward", capacity=5, admits="deli")
    desk = hospital.desk("Dora", queues=["doctor", "blood"])
    hospital.customer("doctor")
    number = desk.call_next()["number"]
    for path, more in (("move", {"queue": "blood"}), ("plan", {})):
        if path == "plan" and content.get("steps") == ["doctor", "doctor"]:
            content = {"steps": ["blood", "blood"]}
        before = hospital.export()
        answer = desk.post(path, number=number, **more, **content)
        assert (answer.status, bool(answer.body["error"])) == (400, True)
        assert hospital.export() == before


def test_the_queue_they_are_in_cannot_come_next(hospital, triage, app):
    zoe = hospital.customer()
    triage.call_next()
    triage.post("plan", number="A1", steps=["blood"])
    before = hospital.export()
    answer = triage.post("plan", number="A1", steps=["deli", "blood"])
    sentence = "They are in Triage already. Choose another queue to come next."
    assert (answer.status, answer.body["error"]) == (400, sentence)
    browser = Browser(app).open(triage.get()["links"]["desk"])
    form = browser.form("Update note and steps")
    form = {**form, "action": form["action"].replace("/move", "/plan")}
    browser.send(form, steps=["deli", "doctor", ""])
    assert (browser.status, sentence in browser.html) == (400, True)
    assert ("steps", "deli") in browser.form("Update note and steps")["fields"]
    assert hospital.export() == before
    assert step_of(zoe) == (1, 2, ["deli", "blood"])
    # The form of a customer with a plan offers to move them to the next step, and holds that step too.
    triage.post("move", number="A1", queue="blood", steps=["blood", "doctor"])
    assert step_of(zoe) == (2, 3, ["deli", "blood", "doctor"])


def test_a_stale_press_changes_nothing(hospital, triage, blood):
    hospital.customer()
    triage.call_next()
    triage.post("move", number="A1", queue="blood", steps=["doctor"])
    before = hospital.export()
    for desk, path, content in (
        (triage, "plan", {"note": "again"}),
        (triage, "move", {"queue": "blood", "steps": ["doctor"]}),
        (blood, "plan", {"step": 1, "steps": ["deli"]}),
    ):
        answer = desk.post(path, number="A1", **content)
        assert (answer.status, "current" in answer.body) == (409, True)
    assert hospital.export() == before


@pytest.mark.both_databases
def test_a_plan_ends_where_a_counter_admits_whoever_is_moved_there(hospital, triage):
    hospital.owner_post("/counters", name="Ward", capacity=5, admits="doctor")
    zoe = hospital.customer()
    triage.post("plan", number="A1", steps=["blood"])
    assert triage.post("move", number="A1", queue="doctor").status == 200
    assert (step_of(zoe), zoe.get()["queue"]) == (None, "doctor")


def test_plans_end_at_a_queue_that_a_counter_admits_from_now_on(hospital, triage):
    waits, comes, at_desk = (hospital.customer() for _ in range(3))
    triage.post("move", number="A1", queue="blood", steps=["doctor"])
    triage.post("plan", number="A2", steps=["blood", "doctor", "blood"])
    triage.post("plan", number="A3", steps=["doctor", "blood"])
    triage.call_next(number="A3")
    hospital.owner_post("/counters", name="Ward", capacity=1, admits="blood")
    plans = [step_of(each) for each in (waits, comes, at_desk)]
    assert plans == [None, (1, 2, ["deli", "blood"]), (1, 3, ["deli", "doctor", "blood"])]


def test_the_note_is_erased_like_other_personal_data(hospital, triage, clock, app):
    hospital.customer()
    triage.post("plan", number="A1", note="Pregnant")
    triage.call_next()
    triage.post("done", number="A1")
    clock.advance(days=31)
    app.extensions["takeanumber"].database.write(erase_personal_data, clock(), 30)
    assert "Pregnant" not in str(hospital.export())


def test_a_browser_without_javascript_moves_with_a_note_and_a_plan(hospital, triage, blood, app):
    zoe = hospital.customer()
    triage.call_next()
    browser = Browser(app).open(triage.get()["links"]["desk"])
    browser.press("Move", queue="blood", note="x" * 201, steps=["doctor", "", ""])
    assert (browser.status, "Note: please use at most 200 characters." in browser.html) == (400, True)
    assert ("x" * 201 in browser.html, '<details id="plan" open>' in browser.html) == (True, True)
    browser.press("Move", queue="blood", note="<b>Fasting</b>", steps=["doctor", "", ""])
    assert browser.status == 200
    assert blood.call_next()["desk_note"] == "<b>Fasting</b>"
    browser.open(blood.get()["links"]["desk"])
    assert "step 2 of 3" in browser.html
    assert "&lt;b&gt;Fasting&lt;/b&gt;" in browser.html
    form = browser.form("Update note and steps")
    browser.send({**form, "action": form["action"].replace("/move", "/plan")}, steps=["doctor", "deli", ""])
    assert step_of(zoe) == (2, 4, ["deli", "blood", "doctor", "deli"])
    browser.press("Next customer")
    assert "A1 goes on to Doctor. No one waiting." in browser.html
    assert "A1 moved to Doctor" in browser.html  # with "Undo"
    browser.open(zoe.ticket["links"]["ticket"])
    assert "Step 3 of 4: <b>Doctor</b>, then Triage" in browser.html
    assert "Fasting" not in browser.html
    settings = f"{hospital.links['manage']}/settings"
    Browser(app).open(settings).press("Save", keeps_wait="true")
    assert hospital.owner_get()["keeps_wait"] is True


def test_webhooks_hear_of_each_step_and_get_the_note_only_with_personal_data(hospital, triage, app):
    hospital.owner_post("/webhooks", url="https://example.org/a")
    hospital.owner_post("/webhooks", url="https://example.org/b", personal=True)
    hospital.customer()
    triage.call_next()
    triage.post("plan", number="A1", note="Fasting", steps=["blood"])
    triage.post("done", number="A1")
    with app.extensions["takeanumber"].database.read() as db:
        sql = "SELECT content FROM mail WHERE kind = 'ticket.moved' ORDER BY id"
        plain, personal = (json.loads(each)["data"]["ticket"] for each in run(db, sql).scalars())
    assert (plain["queue"], plain["step"], plain["steps"], "desk_note" in plain) == ("blood", 2, 2, False)
    assert (personal["desk_note"], personal["step"]) == ("Fasting", 2)
