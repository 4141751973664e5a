"""A customer who passes through several queues, with a note from desk to desk."""

import pytest

from app.core.tickets import erase_personal_data


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

    stats = hospital.client.get(hospital.links["manage"] + "/stats").body
    assert (stats["joined"], stats["served"]) == (2, 1)
    served = {each["slug"]: (each["served"], each["wait"], each["service"]) for each in stats["queues"]}
    print(stats)
    assert hospital.events()
