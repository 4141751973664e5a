"""Contacts: add them, parse their phone numbers, search, change and erase them."""

import csv
import io

import pytest
from helpers.places import open_deli

from app import clock as app_clock
from app.core.contacts import forget_old_contacts

ANA = {"name": "Ana Núñez", "phone": "030 1234567"}
BEN = {"name": "Ben", "phone": "0171 2345678", "reference": "P-7"}


def only(place):
    """The only contact of a place."""
    (contact,) = place.contacts()["contacts"]
    return contact


def sends(contact, place, path="", **content):
    return place.client.post(contact["links"]["contact"] + path, content)


# ----- adding them


def test_a_contact_is_added_with_all_that_is_known(clinic):
    known = {"email": "ana@example.org", "address": "Main Street 1\n10115 Berlin", "notes": "Deaf in one ear"}
    known |= {"reference": "P-1", "timezone": "Europe/Lisbon"}
    assert clinic.add_contacts(ANA | known | {"tags": ["flu", "Flu", "north side"]}) == {
        "added": 1,
        "changed": 0,
        "refused": [],
    }
    contact = only(clinic)
    assert contact.items() >= (known | {"name": "Ana Núñez", "phone": "030 1234567"}).items()
    assert contact["tel"] == "tel:+49301234567"
    assert contact["tags"] == ["flu", "north side"]
    assert contact["do_not_call"] is False
    assert contact["lists"] == []
    assert contact["last_called_at"] is None


@pytest.mark.parametrize(
    ("written", "shown", "tel"),
    [
        ("+49 30 1234567", "030 1234567", "+49301234567"),
        ("+49 (0)30/1234567", "030 1234567", "+49301234567"),
        ("0041 44 668 18 00", "+41 44 668 18 00", "+41446681800"),
        ("+1 (202) 555-0123 ext. 7", "+1 202-555-0123 ext. 7", "+12025550123;ext=7"),
        ("\u200e٠٣٠ ١٢٣٤٥٦٧", "030 1234567", "+49301234567"),
        ("+44 1632 960960", "+44 1632 960960", "+441632960960"),  # a fictional number, but a possible one
    ],
)
def test_a_phone_number_is_read_as_written_in_its_country(clinic, written, shown, tel):
    assert clinic.add_contacts({"name": "Ana", "phone": written})["refused"] == []
    assert (only(clinic)["phone"], only(clinic)["tel"]) == (shown, f"tel:{tel}")


def test_the_country_of_the_place_decides(client):
    place = open_deli(client, timezone="America/New_York")
    place.add_contacts({"name": "Ana", "phone": "(202) 555-0123"})
    assert only(place)["tel"] == "tel:+12025550123"


@pytest.mark.parametrize(
    "phone", ["112", "12345", "0", "x", "=1+1", "4.93E+11", "030 123 / 0171 2345678", "☎"]
)
def test_an_invalid_phone_number_is_refused(clinic, phone):
    refused = clinic.add_contacts({"name": "Ana", "phone": phone})["refused"]
    assert [each["row"] for each in refused] == [1]
    assert refused[0]["why"].startswith(("Enter a full phone number", "Phone: "))
    assert clinic.contacts()["total"] == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"phone": "030 1234567"}, "Name"),
        ({"name": "Ana"}, "Phone"),
        ({"name": "Ana", "phone": None}, "Phone"),
        ({"name": "Ana", "phone": 301234567}, "Phone: this must be a text"),
        ({"name": ["Ana"], "phone": "030 1234567"}, "Name: this must be a text"),
        (ANA | {"name": "x" * 121}, "Name: please use at most 120"),
        (ANA | {"notes": "x" * 2001}, "Notes"),
        (ANA | {"email": "ana"}, "Email"),
        (ANA | {"timezone": "Mars/Base"}, "Time zone"),
        (ANA | {"tags": 5}, "Tags"),
        (ANA | {"tags": ["x", 5]}, "Tags"),
        (ANA | {"tags": "x" * 41}, "Tags"),
        (ANA | {"do_not_call": "yes"}, "Do not call: this must be true or false"),
        (ANA | {"notes": "half \ud800"}, "Notes"),
        ("Ana", "object"),
        (None, "object"),
    ],
)
def test_a_row_that_is_wrong_is_refused_and_the_others_are_stored(clinic, row, why):
    answer = clinic.add_contacts(BEN, row, {"name": "Cem", "phone": "030 7654321"})
    assert answer["added"] == 2
    (refused,) = answer["refused"]
    assert refused["row"] == 2
    assert why in refused["why"]
    assert clinic.contact_names() == ["Ben", "Cem"]


@pytest.mark.parametrize(
    "body", [{}, {"contacts": None}, {"contacts": {}}, {"contacts": "Ana"}, {"name": "Ana"}]
)
def test_a_body_of_another_shape_is_an_error(clinic, body):
    answer = clinic.owner_post("/contacts", **body)
    assert answer.status == 400
    assert "list" in answer.body["error"]


def test_the_same_reference_or_else_the_same_phone_is_the_same_contact(clinic):
    clinic.add_contacts(ANA, BEN)
    answer = clinic.add_contacts(
        {"name": "Ana Núñez y Sol", "phone": "+49301234567", "tags": "new"},  # same phone
        {"name": "Ben", "phone": "030 999999", "reference": "P-7"},  # same reference
        {"name": "Bea", "phone": "0171 2345678", "reference": "P-8"},  # shares a phone with another
    )
    assert answer == {"added": 1, "changed": 2, "refused": []}
    assert clinic.contact_names() == ["Ana Núñez y Sol", "Bea", "Ben"]
    phones = {each["name"]: each["phone"] for each in clinic.contacts()["contacts"]}
    assert phones == {"Ana Núñez y Sol": "030 1234567", "Bea": "0171 2345678", "Ben": "030 999999"}


def test_what_a_row_leaves_out_stays_and_tags_come_together(clinic):
    clinic.add_contacts(ANA | {"notes": "Deaf", "tags": ["a"], "do_not_call": True})
    assert clinic.add_contacts(
        ANA | {"notes": "", "email": "a@example.org", "tags": ["b"], "do_not_call": False}
    ) == {"added": 0, "changed": 1, "refused": []}
    contact = only(clinic)
    assert (contact["notes"], contact["email"], contact["tags"]) == ("Deaf", "a@example.org", ["a", "b"])
    assert contact["do_not_call"] is True  # an import never clears a do-not-call flag


def test_the_same_contact_twice_in_one_request_is_refused(clinic):
    answer = clinic.add_contacts(ANA, BEN, ANA | {"phone": "+49 30 1234567"}, BEN | {"phone": "030 5555555"})
    assert answer["added"] == 2
    assert answer["refused"] == [
        {"row": 3, "why": "This is the same contact as in row 1."},
        {"row": 4, "why": "This is the same contact as in row 2."},
    ]


def test_only_a_list_of_contacts_may_be_a_large_body(clinic):
    notes = "x" * 2000
    many = [{"name": f"Ana {n}", "phone": f"030 {1000000 + n}", "notes": notes} for n in range(60)]
    assert clinic.add_contacts(*many)["added"] == 60
    answer = clinic.owner_post("", name="x" * 70_000)
    assert (answer.status, "64 KiB" in answer.body["error"]) == (413, True)
    answer = clinic.owner_post("/contacts", contacts=["x" * 17 * 2**20])
    assert (answer.status, "16 MiB" in answer.body["error"]) == (413, True)


def test_owners_of_other_places_cannot_see_or_change_a_contact(clinic):
    clinic.add_contacts(ANA)
    links = only(clinic)["links"]["contact"]
    wrong = links.replace(clinic.links["manage"].rpartition("/")[2], "x" * 22)
    assert clinic.client.get(wrong).status == 404
    assert clinic.client.post(wrong, {"name": "Eve"}).status == 404
    other = open_other(clinic.client)
    assert other.client.get(f"{other.links['manage']}/contacts/{only(clinic)['id']}").status == 404
    sent = other.owner_post("/contacts/actions", action="forget", ids=[only(clinic)["id"]])
    assert sent.body["skipped"] == {"not there any more": 1}
    assert clinic.contact_names() == ["Ana Núñez"]


def open_other(client):
    client.flask_client.application.extensions["takeanumber"].settings.__dict__["places"] = "open"
    return open_deli(client, name="Other")


# ----- finding them


@pytest.fixture
def three(clinic, clock):
    """Ana, who was called on Friday; Ben, on a list; and Cem, with do-not-call."""
    clinic.add_contacts(ANA | {"tags": ["flu"], "email": "ana@example.org"})
    clock.advance(seconds=1)
    clinic.add_contacts(BEN | {"tags": ["flu shot", "50%_!"]})
    clock.advance(seconds=1)
    clinic.add_contacts({"name": "cem", "phone": "+44 20 7946 0123", "do_not_call": True})
    ids = {each["name"]: each["id"] for each in clinic.contacts()["contacts"]}
    put = {"action": "add_to_list", "list": "follow-ups"}
    clinic.owner_post("/contacts/actions", **put, ids=[ids["Ana Núñez"]])
    caller = clinic.desk()
    claim = caller.post("calls/next").body["call"]["claim"]
    assert caller.post("calls/report", claim=claim, outcome="Reached", notes="All fine").status == 200
    clinic.owner_post("/contacts/actions", **put, ids=[ids["Ben"]])
    return clinic


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["Ana Núñez", "Ben", "cem"]),
        ({"q": "núñ"}, ["Ana Núñez"]),
        ({"q": "NÚÑEZ ana"}, ["Ana Núñez"]),
        ({"q": "p-7"}, ["Ben"]),
        ({"q": "EXAMPLE"}, ["Ana Núñez"]),
        ({"q": "030 123-45"}, ["Ana Núñez"]),
        ({"q": "+44 20"}, ["cem"]),
        ({"q": "%"}, []),
        ({"q": "nobody"}, []),
        ({"in_list": "follow-ups"}, ["Ben"]),
        ({"never_called": "1"}, ["Ben", "cem"]),
        ({"last_outcome": "Reached"}, ["Ana Núñez"]),
        ({"tag": "flu"}, ["Ana Núñez"]),
        ({"tag": "50%_!"}, ["Ben"]),
        ({"called_before": "2026-11-22"}, ["Ana Núñez"]),
        ({"called_before": "2026-11-21"}, []),
        ({"do_not_call": "1"}, ["cem"]),
        ({"tag": "flu", "never_called": "1"}, []),
        ({"sort": "-name"}, ["cem", "Ben", "Ana Núñez"]),
        ({"sort": "created_at"}, ["Ana Núñez", "Ben", "cem"]),
        ({"sort": "-last_called_at"}, ["Ana Núñez", "cem", "Ben"]),
        ({"q": "", "in_list": "", "sort": "", "page": ""}, ["Ana Núñez", "Ben", "cem"]),
    ],
)
def test_filters(three, filters, names):
    assert three.contact_names(**filters) == names
    assert three.contacts(**filters)["total"] == len(names)


@pytest.mark.parametrize(
    "wrong",
    ["sort=phones", "sort=id;--", "called_before=soon", "page=0", "page=x", "in_list=deli", "in_list=none"],
)
def test_an_invalid_filter_is_refused(three, wrong):
    for path in ("contacts", "contacts.csv"):
        answer = three.client.get(f"{three.links['manage']}/{path}?{wrong}")
        if path == "contacts" or "page" not in wrong:
            assert answer.status in (400, 404), wrong


def test_the_tags_and_what_is_known_of_calls(three):
    found = three.contacts()
    assert found["tags"] == ["50%_!", "flu", "flu shot"]
    ana, ben, _ = found["contacts"]
    assert (ana["last_outcome"], ana["last_called_at"]) == ("Reached", "2026-11-21T11:00:02+01:00")
    assert [(each["slug"], each["state"]) for each in ben["lists"]] == [("follow-ups", "waiting")]


def test_contacts_are_shown_fifty_a_page(clinic):
    clinic.add_contacts(*({"name": f"Ana {n:03}", "phone": f"030 {1000000 + n}"} for n in range(101)))
    pages = [clinic.contacts(page=n) for n in (1, 2, 3, 4)]
    assert [len(each["contacts"]) for each in pages] == [50, 50, 1, 1]
    assert [(each["total"], each["pages"], each["page"]) for each in pages][2:] == [(101, 3, 3)] * 2
    names = [each["name"] for page in pages[:3] for each in page["contacts"]]
    assert names == sorted(names)


def test_a_reference_of_digits_is_found_as_it_stands(clinic):
    clinic.add_contacts(ANA | {"reference": "2024-0017"}, BEN | {"reference": "0042"})
    assert clinic.contact_names(q="2024-0017") == ["Ana Núñez"]
    assert clinic.contact_names(q=" 0042 ") == ["Ben"]
    assert clinic.contact_names(q="0171/234") == ["Ben"]


def test_the_csv_holds_the_filtered_contacts_and_can_be_imported(three):
    text = three.client.get(f"{three.links['manage']}/contacts.csv").body
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["Ana Núñez", "Ben", "cem"]
    assert [row["phone"] for row in rows] == ["030 1234567", "0171 2345678", "'+44 20 7946 0123"]
    assert [row["lists"] for row in rows] == ["", "Follow-ups", ""]
    text = three.client.get(f"{three.links['manage']}/contacts.csv?tag=flu").body
    assert [row["name"] for row in csv.DictReader(io.StringIO(text))] == ["Ana Núñez"]
    again = three.owner_post("/contacts/import", text=text)
    assert (again.body["state"], again.body["add"], again.body["change"]) == ("ready", 0, 1)


# ----- one of them


@pytest.mark.both_databases
def test_a_contact_is_changed_and_fields_are_emptied(clinic):
    clinic.add_contacts(ANA | {"email": "a@example.org", "notes": "Deaf", "tags": "x, y"})
    answer = sends(only(clinic), clinic, phone="030 7777777", email=None, notes="", tags=["z"], name="Ana")
    assert answer.status == 200
    assert answer.body == sends(only(clinic), clinic).body
    contact = only(clinic)
    assert (contact["name"], contact["phone"], contact["tags"]) == ("Ana", "030 7777777", ["z"])
    assert (contact["email"], contact["notes"]) == (None, None)
    assert clinic.contact_names(q="7777777") == ["Ana"]
    assert clinic.contact_names(q="1234567") == []


def test_an_invalid_change_of_a_contact_changes_nothing(clinic):
    clinic.add_contacts(ANA, BEN)
    ana, before = clinic.contacts()["contacts"][0], clinic.contacts()
    for wrong, status in [
        ({"phone": None}, 400),
        ({"phone": "12"}, 400),
        ({"name": 5}, 400),
        ({"email": "x"}, 400),
        ({"reference": "P-7"}, 409),
    ]:
        assert sends(ana, clinic, **wrong).status == status
    assert clinic.contacts() == before


def test_the_page_of_a_contact_shows_the_reports(three):
    ana = three.contacts(q="ana")["contacts"][0]
    (report,) = three.client.get(ana["links"]["contact"]).body["reports"]
    assert report.items() >= {"outcome": "Reached", "notes": "All fine", "list": "Follow-ups"}.items()
    assert report["servicer"] == "Ana"


def test_do_not_call_takes_a_contact_off_every_list(three):
    ben = three.contacts(q="ben")["contacts"][0]
    assert sends(ben, three, do_not_call=True).body["lists"] == []
    assert three.desk().post("calls/next").body["call"] is None


@pytest.fixture
def family(clinic):
    """Three who share a phone; the second is on a list."""
    clinic.add_contacts(
        *({"name": f"{name} Núñez", "phone": ANA["phone"], "reference": name} for name in "ABC")
    )
    clinic.put_on_list("B Núñez")
    return clinic


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("asked", "whom"), [({}, "B Núñez"), ({"name": "c NÚÑEZ"}, "C Núñez"), ({"name": "Dora"}, "B Núñez")]
)
def test_of_those_who_share_a_phone_the_one_named_phoned_or_who_is_on_a_list(family, asked, whom):
    family.caller().post("calls/incoming", phone="+49 30 1234567", outcome="Reached", **asked)
    assert [each["name"] for each in family.contacts(last_outcome="Reached")["contacts"]] == [whom]
    assert family.call_list()["waiting"] == (1 if whom == "C Núñez" else 0)


def test_a_number_never_to_be_called_again_is_not_called_for_others_either(family):
    family.add_contacts({"name": "Dora", "phone": "030 5555555"})
    caller = family.caller()
    caller.post("calls/incoming", phone=ANA["phone"], name="A Núñez", outcome="Do not call again")
    assert family.contact_names(do_not_call=1) == ["A Núñez", "B Núñez", "C Núñez"]
    assert caller.post("calls/next").body["call"] is None
    assert family.call_list()["waiting"] == 0


# ----- forgetting


def everything_about(place):
    return str(place.export()) + str(place.contacts())


def test_a_contact_is_erased_at_once_by_the_owner(three):
    ana, ben, _ = three.contacts()["contacts"]
    assert "All fine" in everything_about(three)
    for each in (ana, ben):
        assert sends(each, three, "/forget").status == 200
    assert three.contact_names() == ["cem"]
    left = everything_about(three)
    for word in ("Núñez", "núñez", "301234567", "ana@example.org", "All fine", "P-7"):
        assert word not in left
    assert [(each["outcome"], each["effect"]) for each in three.export()["report"]] == [
        ("Reached", "reached")
    ]
    for path in ("", "/forget"):
        assert sends(ana, three, path).status == 404
    assert three.client.get(ana["links"]["contact"]).status == 404
    assert three.add_contacts(BEN)["added"] == 1  # the reference is free again


def test_contacts_are_erased_after_30_days(three, clock, app):
    database = app.extensions["takeanumber"].database
    clock.advance(days=20)
    three.add_contacts({"name": "Dora", "phone": "030 5555555"})
    clock.advance(days=9.9)
    assert not forget_old_contacts(database, clock(), 30)
    assert three.contacts()["total"] == 4
    clock.advance(days=1)
    assert not forget_old_contacts(database, clock(), 30)
    assert three.contact_names() == ["Ben", "Dora"]  # Ben has an open call
    assert "All fine" not in everything_about(three)


def test_a_contact_added_to_a_list_meanwhile_is_not_erased(clinic, clock, app, monkeypatch):
    clinic.add_contacts(ANA, BEN)
    clock.advance(days=31)
    database, ids = app.extensions["takeanumber"].database, [only_id(clinic, "ana")]
    write = database.write

    def a_moment_later(*asked):
        monkeypatch.undo()
        monkeypatch.setattr(app_clock, "source", clock)
        put = {"action": "add_to_list", "list": "follow-ups", "ids": ids}
        assert clinic.owner_post("/contacts/actions", **put).body["added"] == 1
        return write(*asked)

    monkeypatch.setattr(database, "write", a_moment_later)
    forget_old_contacts(database, clock(), 30)
    assert clinic.contact_names() == ["Ana Núñez"]
    assert clinic.call_list()["waiting"] == 1


def only_id(place, name):
    (contact,) = place.contacts(q=name)["contacts"]
    return contact["id"]


@pytest.mark.both_databases
def test_old_notes_of_a_contact_that_stays_are_erased(three, clock, app):
    clock.advance(days=29)
    sends(three.contacts(q="ana")["contacts"][0], three, notes="Moved")
    clock.advance(days=2)
    forget_old_contacts(app.extensions["takeanumber"].database, clock(), 30)
    assert three.contact_names() == ["Ana Núñez", "Ben"]
    assert "All fine" not in everything_about(three)


# ----- privacy


def test_contacts_are_private(clinic):
    before = clinic.picture()
    clinic.add_contacts(ANA, BEN)
    ana = clinic.contacts()["contacts"][0]
    sends(ana, clinic, notes="Deaf")
    for action in ("tag", "do_not_call", "may_call", "add_to_list", "raise", "take_off"):
        clinic.owner_post(
            "/contacts/actions", action=action, tag="x", list="follow-ups", match="all", reason="Flu"
        )
    sends(ana, clinic, "/forget")
    after = clinic.picture()
    assert after == before  # its version hasn't changed either
    assert not {"301234567", "Ana"} & {
        str(value) for event in clinic.export()["event"] for value in event.values()
    }
