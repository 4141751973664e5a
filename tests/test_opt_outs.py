"""A do-not-call number is not called: neither now nor when it is added again."""

import pytest
from helpers.html_browser import Browser
from test_contact_import import counts, sends_file, stores, uploads

FAMILY = (
    "Name,Phone,Reference,DNC\nMara,030 1234567,P-1,\nBea,030 1234567,P-2,\n",
    "Name,Phone,DNC\nLindqvist,030 1234567,yes\n",
    "Name,Phone,Reference\nM. Lindqvist,030 1234567,CRM-77\n",
)


@pytest.fixture
def owner(clinic, app):
    """The owner, at the page of contacts."""
    return Browser(app).open(f"{clinic.links['manage']}/contacts")


def put_everybody_on(place):
    return place.owner_post("/contacts/actions", action="add_to_list", list="follow-ups", match="all").body


def forbidden(place):
    return [each["name"] for each in place.contacts(do_not_call=1)["contacts"]]


def numbers(place):
    return [
        each["phone"]
        for each in place.client.get(f"{place.links['manage']}/contacts/do-not-call").body["numbers"]
    ]


# ----- the number


def test_nobody_of_the_family_is_called(clinic, cleo):
    first, opt_out, later = FAMILY
    stores(clinic, first)
    put_everybody_on(clinic)
    stores(clinic, opt_out)
    assert cleo.next_call() is None
    assert clinic.contact_names() == ["Bea", "Mara"]
    assert counts(stores(clinic, later)) == (1, 0, 0)
    assert forbidden(clinic) == clinic.contact_names() == ["Bea", "M. Lindqvist", "Mara"]
    assert put_everybody_on(clinic) == {"added": 0, "skipped": {"must not be called": 3}}
    assert cleo.next_call() is None


def test_an_opt_out_ends_waiting_calls_of_other_contacts_with_the_number(clinic, cleo, dan):
    stores(clinic, FAMILY[0])
    put_everybody_on(clinic)
    cleo.make_call("Do not call again")
    assert dan.next_call() is None
    assert forbidden(clinic) == ["Bea", "Mara"]
    assert clinic.call_list()["waiting"] == 0


@pytest.mark.parametrize("phone", ["030 1234567", "+49 30 1234567", "030 1234567 ext. 12"])
def test_a_contact_added_later_with_the_number_is_not_called(clinic, cleo, owner, phone):
    clinic.owner_post("/contacts/do-not-call", phone="030 1234567")
    clinic.add_contacts({"name": "By a program", "phone": phone})
    owner.press("Add the contact", name="By a form", phone=phone, reference="2")
    stores(clinic, f"Name,Phone,Reference\nBy a file,{phone},3\n")
    clinic.add_contacts({"name": "Moved", "phone": "030 7654321", "reference": "4"})
    clinic.add_contacts({"name": "Moved", "phone": phone, "reference": "4"})
    cleo.post("calls/incoming", phone=phone, name="Phones in", outcome="Reached")
    assert clinic.contacts()["total"] == len(forbidden(clinic)) > 2
    put_everybody_on(clinic)
    assert cleo.next_call() is None
    clinic.owner_post("/queues/follow-ups", public_form=True)
    asked = {"phone": phone, "name": "Asks online"}
    assert clinic.client.post(f"http://localhost/{clinic.slug}/follow-ups/tickets", asked).status == 409


def test_an_opt_out_moves_along_to_a_new_number(clinic):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567", "reference": "P-1", "do_not_call": True})
    clinic.add_contacts({"name": "Mara", "phone": "030 7654321", "reference": "P-1"})
    assert forbidden(clinic) == ["Mara"]
    assert sorted(numbers(clinic)) == ["030 1234567", "030 7654321"]


def test_the_number_stays_when_its_contact_is_forgotten(clinic):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567", "do_not_call": True})
    clinic.owner_post("/contacts/actions", action="forget", match="all")
    clinic.add_contacts({"name": "Bea", "phone": "030 1234567"})
    assert forbidden(clinic) == ["Bea"]


def test_an_opt_out_in_a_file_outlives_the_contact_that_is_forgotten_before_it_is_stored(clinic):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567", "reference": "P-1"})
    text = "Name,Phone,Reference,DNC\nMara Lind,030 1234567,P-1,yes\n"
    upload = uploads(clinic, text)
    clinic.owner_post("/contacts/actions", action="forget", match="all")
    clinic.client.post(upload["links"]["store"])
    assert (clinic.contact_names(), numbers(clinic)) == ([], ["030 1234567"])


# ----- lifting it


@pytest.mark.both_databases
def test_the_owner_lifts_it_for_the_number(clinic, app, cleo):
    stores(clinic, FAMILY[0])
    stores(clinic, FAMILY[1])
    url = clinic.contacts(q="bea")["contacts"][0]["links"]["contact"].partition("localhost")[2]
    page = Browser(app).open(url)
    page.press("Save", do_not_call=None)
    assert (forbidden(clinic), numbers(clinic)) == ([], [])
    put_everybody_on(clinic)
    assert cleo.next_call()["name"] == "Mara"


def test_a_page_that_is_older_than_the_opt_out_does_not_lift_it(clinic, app):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567"})
    url = clinic.contacts()["contacts"][0]["links"]["contact"].partition("localhost")[2]
    page = Browser(app).open(url)
    clinic.owner_post("/contacts/do-not-call", phone="030 1234567")
    page.press("Save", name="Mara Lind")
    assert forbidden(clinic) == ["Mara Lind"]


@pytest.mark.parametrize("how", ["bulk", "contact", "number"])
def test_a_program_lifts_it(clinic, how):
    stores(clinic, FAMILY[0])
    stores(clinic, FAMILY[1])
    mara = clinic.contacts(q="mara")["contacts"][0]
    if how == "bulk":
        clinic.owner_post("/contacts/actions", action="may_call", ids=[mara["id"]])
    elif how == "contact":
        clinic.client.post(mara["links"]["contact"], {"do_not_call": False})
    else:
        clinic.owner_post("/contacts/do-not-call/lift", phone="+49301234567")
    assert (forbidden(clinic), numbers(clinic)) == ([], [])


def test_adding_a_contact_does_not_lift_an_opt_out(clinic, owner):
    clinic.owner_post("/contacts/do-not-call", phone="030 1234567")
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567", "do_not_call": False})
    owner.press("Add the contact", name="Bea", phone="030 1234567", reference="2", do_not_call=None)
    assert forbidden(clinic) == ["Bea", "Mara"] or forbidden(clinic) == ["Bea"]


def test_the_owner_sees_and_lifts_numbers_without_contacts(clinic, owner):
    owner.press("Preview", text="+49301234567\n+491712345678\n", do_not_call="1")
    owner.press("Import")
    owner.open(f"{clinic.links['manage']}/contacts/do-not-call")
    assert "2 numbers" in owner.html
    owner.press("Allow calls")
    assert len(numbers(clinic)) == 1
    owner.press("Do not call", phone="030 5555555")
    assert "030 5555555" in numbers(clinic)
    owner.press("Do not call", phone="12")
    assert (owner.status, "Enter a full phone number" in owner.html) == (400, True)


# ----- lists of numbers


@pytest.mark.parametrize(
    "text",
    [
        "Phone\n+49301234567\n+491712345678\n",
        "+49301234567\n+491712345678\n",
        "030 1234567\n0171 2345678",
        "Mara;030 1234567\nBen;0171 2345678\n",
        "Name,Phone\nMara,030 1234567\nBen,0171 2345678\n",
    ],
)
def test_a_list_of_do_not_call_numbers_is_pasted(clinic, cleo, text):
    clinic.add_contacts({"name": "Ana", "phone": "0171 2345678"})
    put_everybody_on(clinic)
    upload = clinic.owner_post("/contacts/import", text=text, do_not_call=True).body
    assert counts(upload) == (0, 2, 0)
    assert cleo.get_calls()["lists"][0]["due"] == 1
    clinic.client.post(upload["links"]["store"])
    assert clinic.contact_names() == forbidden(clinic) == ["Ana"]
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 1234567"]
    assert cleo.next_call() is None


def test_a_list_of_numbers_without_the_do_not_call_box(clinic):
    answer = clinic.owner_post("/contacts/import", text="Phone\n+49301234567\n")
    assert answer.status == 400
    assert "Do not call these numbers" in answer.body["error"]


def test_a_list_of_do_not_call_numbers_is_uploaded(clinic, owner):
    form = owner.form("Upload")
    form["fields"].append(("do_not_call", "1"))
    owner.form = lambda button: form
    sends_file(owner, b"Phone\n+49301234567\nnonsense\n")
    assert "Skipped" in owner.html
    del owner.form
    owner.press("Import")
    assert numbers(clinic) == ["030 1234567"]


@pytest.mark.parametrize(
    "text",
    [
        "0171 2345678, 030 1234567, 030 7654321\n",
        "0171 2345678;030 1234567;030 7654321\n",
        "Said no:\n0171 2345678, 030 1234567\n030 7654321\n",
        "Phone\n0171 2345678, 030 1234567\n030 7654321\n",
        'Name,Phone\n"Mara,0171 2345678\nBen,030 1234567,"Cem",030 7654321\n',
        "Day;Number\n01.03.2025;0171 2345678\n02.03.2025;030 1234567\n03.03.2025;030 7654321\n",
        "ana@example.org;0171 2345678\nben@example.org;030 1234567\ncem@example.org;030 7654321\n",
        "10012345;0171 2345678\n10012346;030 1234567\n10012347;030 7654321\n",
    ],
)
def test_no_number_of_a_line_is_lost(clinic, text):
    upload = clinic.owner_post("/contacts/import", text=text, do_not_call=True).body
    assert upload["refuse"] == 0
    clinic.client.post(upload["links"]["store"])
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 1234567", "030 7654321"]


@pytest.mark.parametrize("how", ["program", "form", "change", "number", "refused"])
def test_each_of_several_numbers_in_a_text_is_opted_out(clinic, owner, how):
    phone = "030 1234567 / 0171 2345678 / 030 7654321"
    if how == "program":
        clinic.add_contacts({"name": "Mara", "phone": phone, "do_not_call": True})
    elif how == "refused":
        clinic.add_contacts({"phone": phone, "do_not_call": True})
    elif how == "form":
        owner.press("Add the contact", name="Mara", phone=phone, do_not_call="1")
    elif how == "change":
        clinic.add_contacts({"name": "Mara", "phone": "030 1234567"})
        url = clinic.contacts()["contacts"][0]["links"]["contact"]
        clinic.client.post(url, {"phone": phone, "do_not_call": True})
    else:
        clinic.owner_post("/contacts/do-not-call", phone=phone)
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 1234567", "030 7654321"]


def test_a_number_that_cannot_be_opted_out_is_pointed_out(clinic):
    upload = uploads(clinic, "Name,Phone,DNC\nMara,0171 2345678 / 030 12 / 030 1234567,yes\n")
    either, left_out = [each["remark"] for each in upload["remarks"]]
    assert either.endswith("Nobody may call the others either: 030 1234567.")
    assert left_out == "Phone: left out, because it isn't a phone number: “030 12”."


def test_a_list_may_say_that_some_may_be_called(clinic):
    text = "Phone,DNC\n0171 2345678,yes\n030 1234567,no\n030 7654321,\n030 5555555,perhaps\n"
    upload = clinic.owner_post("/contacts/import", text=text, do_not_call=True).body
    (refused,) = upload["refused"]
    assert (refused["row"], "may be called" in refused["why"]) == (3, True)
    clinic.client.post(upload["links"]["store"])
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 5555555", "030 7654321"]


# ----- what people write


def test_a_yes_in_any_column_wins(clinic):
    stores(
        clinic,
        "first_name,last_name,phone_number,do_not_call,do_not_contact\n"
        "Mara,Lindqvist,030 1234567,false,true\n"
        "Jonas,Okafor,0171 2345678,true,false\n"
        "Lena,Ito,030 7654321,,true\n"
        "Tom,Free,030 1111111,no,\n",
    )
    assert forbidden(clinic) == ["Jonas Okafor", "Lena Ito", "Mara Lindqvist"]


@pytest.mark.parametrize(
    "yes",
    [
        *("yes", "Y", "TRUE", "t", "1", "1.0", "1,0", "x", "X", "✓", "ja", "WAHR", "oui", "sí", "sim", "tak"),
        *("Do Not Call", "do not call!", "DNC", "opt-out", "Opted out", "opted_out", "nicht anrufen"),
        *("2026-11-01", "01.11.2026", "11/1/26", "1 Nov 2026", "November 1, 2026", "2026-11-01T10:00:00Z"),
    ],
)
def test_words_for_yes(clinic, yes):
    stores(clinic, f'Name;Phone;DNC\nMara;030 1234567;"{yes}"\n')
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize("no", ["", "no", "N", "false", "F", "0", "0.0", "nein", "FALSCH", "-", "n/a", "Nie"])
def test_words_for_no(clinic, no):
    stores(clinic, f'Name;Phone;DNC\nMara;030 1234567;"{no}"\n')
    assert forbidden(clinic) == []


@pytest.mark.parametrize("what", ["maybe", "?", "45978", "not opted out", "ask again", "❌"])
def test_an_unclear_do_not_call_cell_stops_the_file_with_a_question(clinic, what):
    text = f'Name;Phone;DNC\nMara;030 1234567;yes\nBea;030 7654321;"{what}"\n'
    answer = clinic.owner_post("/contacts/import", text=text)
    assert answer.status == 400
    assert f"Row 3: does “{what}” in the column “DNC” mean" in answer.body["error"]
    assert clinic.contacts()["total"] == 0


@pytest.mark.parametrize(
    "heading", ["DNC?", "Do not call (flag)", "Opt-out date", "opted_out_at", "Nicht anrufen"]
)
def test_a_heading_with_more_words(clinic, heading):
    stores(clinic, f"Name;Phone;{heading}\nMara;030 1234567;2026-11-01\n")
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize(
    "row",
    [
        ",030 1234567,,,yes",  # no name
        "Mara,030 1234567,nonsense,,yes",  # a bad address
        "Mara,,,P-1,yes",  # found by its reference
        "Mara,030 1234567,,P-1,yes\nMara,030 1234567,,P-1,",
        "Mara,030 1234567,,,\nMara,030 1234567,,,yes",
    ],
)
def test_a_refused_row_still_sets_do_not_call(clinic, row):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567", "reference": "P-1"})
    stores(clinic, f"Name,Phone,Email,Reference,DNC\n{row}\n")
    assert forbidden(clinic) == ["Mara"]


def test_the_review_shows_how_numbers_were_read(clinic, owner):
    text = "Name,Phone\nAna,0199 1234567\nBen,0171 2345678 / 030 1234567\nCem,030 7777777\n"
    upload = uploads(clinic, text)
    assert [each["row"] for each in upload["remarks"]] == [2, 3]
    assert "Please check" in upload["remarks"][0]["remark"]
    assert upload["remarks"][1]["remark"].endswith("Also there: 030 1234567.")
    owner.press("Preview", text=text)
    assert "Also there: 030 1234567." in owner.html
