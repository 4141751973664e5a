"""Contacts from a file: detected columns, preview, one transaction, and files of other kinds."""

import gc
import io
import threading
import time
from contextlib import suppress
from functools import partial

import pytest
from helpers.html_browser import Browser

from app.core import import_staging, import_storing, imports
from app.core.contacts import find_or_add_contact
from app.core.import_upkeep import erase_old_imports, fail_lost_imports, fail_unread_imports
from app.core.places import find_place
from app.errors import WritesPaused

CSV = "Name,Phone,Reference\nAna,030 1234567,P-1\nBen,0171 2345678,P-2\n"


def uploads(place, text):
    """Send a text as a program does; return the preview."""
    answer = place.owner_post("/contacts/import", text=text)
    assert answer.status == 201, answer.body
    return answer.body


def stores(place, text):
    upload = uploads(place, text)
    answer = place.client.post(upload["links"]["store"])
    assert (answer.status, answer.body["state"]) == (200, "stored"), answer.body
    return answer.body


def counts(upload):
    return upload["add"], upload["change"], upload["refuse"]


@pytest.fixture
def owner(clinic, app):
    """The owner's page of contacts."""
    return Browser(app).open(f"{clinic.links['manage']}/contacts")


def sends_file(owner, content, name="contacts.csv"):
    """Choose a file and press Upload."""
    form = owner.form("Upload")
    data = dict(form["fields"]) | {"file": (io.BytesIO(content), name)}
    owner._go("POST", form["action"], data=data, content_type="multipart/form-data")
    return owner


# ----- from upload to storing


def test_nothing_is_stored_before_the_owner_has_seen_it(clinic):
    upload = uploads(clinic, CSV)
    assert (upload["state"], upload["rows"], upload["read"], counts(upload)) == ("ready", 2, 2, (2, 0, 0))
    assert upload["columns"] == {"Name": "name", "Phone": "phone", "Reference": "reference"}
    first = upload["preview"][0]
    assert (first["row"], first["what"], first["name"], first["phone"]) == (2, "add", "Ana", "030 1234567")
    assert clinic.contacts()["total"] == 0
    stored = clinic.client.post(upload["links"]["store"])
    assert (stored.body["state"], counts(stored.body)) == ("stored", (2, 0, 0))
    assert clinic.contact_names() == ["Ana", "Ben"]
    again = clinic.client.post(upload["links"]["store"])  # pressed twice
    assert (again.status, clinic.contacts()["total"]) == (200, 2)


def test_an_import_is_discarded(clinic):
    upload = uploads(clinic, CSV)
    assert clinic.client.post(upload["links"]["discard"]).status == 200
    assert clinic.client.get(upload["links"]["import"]).status == 404
    assert clinic.client.post(upload["links"]["store"]).status == 404
    assert clinic.contacts()["total"] == 0


def test_the_owner_uploads_looks_and_stores(owner):
    sends_file(owner, CSV.encode("utf-8-sig"))
    assert owner.redirects == [303]
    assert "Nothing is stored yet" in owner.html
    owner.press("Import 2 contacts")
    assert "Added 2" in owner.html
    owner.open(owner.url.rpartition("/import")[0])
    assert "Ben" in owner.html


def test_the_owner_pastes_from_a_spreadsheet(owner):
    text = "Name\tPhone\r\nAna\t030 1234567\r\n"
    owner.press("Preview", text=text)
    assert "Nothing is stored yet" in owner.html
    owner.press("Discard")
    assert "Import discarded" in owner.html


def test_without_a_file_the_page_says_so(owner):
    sends_file(owner, b"", "")
    assert (owner.status, "please choose one" in owner.html) == (400, True)
    sends_file(owner, b"\xff\xfeN\0a\0")
    assert (owner.status, "nothing under the headings" in owner.html) == (400, True)


# ----- columns and rows


@pytest.mark.parametrize(
    "text",
    [
        "name;phone;e-mail\nAna;030 1234567;a@example.org\n",
        "\ufeffFull Name\tTelephone number\tE-Mail address\nAna\t030 1234567\ta@example.org",
        "sep=;\r\nContact;Mobile;Email\r\nAna;030 1234567;a@example.org\r\n",
        '"NAME","Phone ","email"\r\n"Ana","030 1234567","a@example.org"\r\n\r\n',
        "\n\nphone|name|mail|shoe size\n030 1234567|Ana|a@example.org|42\n",
        "e-mail,first name,last_name,phone\na@example.org,,Ana,030 1234567\n",
        "Vorname;Name;Telefon;Handy;E-Mail\n;Ana;;030 1234567;a@example.org\n",
    ],
)
def test_columns_are_found_by_their_headings(clinic, text):
    assert counts(stores(clinic, text)) == (1, 0, 0)
    (contact,) = clinic.contacts()["contacts"]
    assert (contact["name"], contact["phone"], contact["email"]) == ("Ana", "030 1234567", "a@example.org")


def test_a_row_with_every_field(clinic):
    text = (
        "Patient ID,First name,Surname,Phone,Street,City,Comments,Groups,Do not call,Time zone\n"
        '7,Ana,Núñez,030 1234567,Main 1,Berlin,"one\ntwo, ""three""","flu, north",no,Europe/Lisbon\n'
        "8,Ben,,0171 2345678,,,,,Yes,\n"
        "9,Cem,,030 7777,,,,,no,Mars/Base\n"
        "\n"
        "10,Dora,,030 8888888,,,,,,,,too,many\n"
        "11,Eve,,,,,,,,\n"
    )
    upload = uploads(clinic, text)
    assert counts(upload) == (3, 0, 2)
    assert [each["row"] for each in upload["refused"]] == [6, 7]  # row numbers as in a spreadsheet
    said = " ".join(each["why"] for each in upload["refused"])
    assert "13 cells" in said
    assert "Please enter a phone number." in said
    assert [(each["row"], each["value"]) for each in upload["remarks"]] == [(4, "Mars/Base")]
    clinic.client.post(upload["links"]["store"])
    ana, ben, cem = clinic.contacts()["contacts"]
    assert ana["name"] == "Ana Núñez"
    assert (ana["reference"], ana["address"], ana["notes"]) == ("7", "Main 1, Berlin", 'one\ntwo, "three"')
    assert (ana["tags"], ana["timezone"]) == (["flu", "north"], "Europe/Lisbon")
    assert (ana["do_not_call"], ben["do_not_call"]) == (False, True)
    assert cem["timezone"] is None


def test_a_quote_that_another_closes_swallows_nobody(clinic):
    text = 'Name,Phone,Shoe size\n"Ana,030 1234567,41\nBen,0171 2345678,"42"\nCem,030 7777777,"4\nDan,2"\n'
    text += '"Dora\n",030 8888888,\n'
    upload = uploads(clinic, text)
    assert [(each["row"], each["why"]) for each in upload["refused"]] == [
        (2, "Name: it has a line break. A quote may be missing."),
        (3, "Shoe size: it has a line break. A quote may be missing."),
    ]
    assert counts(upload) == (1, 0, 2)


def test_known_contacts_are_changed_and_rows_are_named_that_are_there_twice(clinic):
    stores(clinic, CSV)
    text = (
        "Name,Phone,Reference,Tags\nAna María,030 1234567,P-1,new\nBen,0171 2345678,P-2,\n"
        "Ana again,030 5555555,P-1,\nCem,030 7777777,,\nCem,+49 30 7777777,,\n"
    )
    upload = uploads(clinic, text)
    assert counts(upload) == (1, 2, 2)
    assert [each["what"] for each in upload["preview"]] == ["change", "same", "refuse", "add", "refuse"]
    assert upload["preview"][0]["phone"] == "030 1234567"
    assert [each["why"] for each in upload["refused"]] == [
        "This is the same contact as in row 2.",
        "This is the same contact as in row 5.",
    ]
    clinic.client.post(upload["links"]["store"])
    assert clinic.contact_names() == ["Ana María", "Ben", "Cem"]
    assert clinic.contact_names(tag="new") == ["Ana María"]


def test_a_reference_comes_to_a_contact_without_one(clinic):
    clinic.add_contacts({"name": "Ana", "phone": "030 1234567"})
    assert counts(stores(clinic, CSV)) == (1, 1, 0)
    assert [each["reference"] for each in clinic.contacts()["contacts"]] == ["P-1", "P-2"]


def test_formulas_are_imported_as_text_and_exported_harmless(clinic):
    stores(clinic, "Name,Phone,Notes\n=cmd|calc,030 1234567,@SUM(1)\n'-x,030 1234568,'+49\n")
    assert sorted(clinic.contact_names()) == ["-x", "=cmd|calc"]
    text = clinic.client.get(f"{clinic.links['manage']}/contacts.csv").body
    assert "'=cmd|calc,030 1234567" in text
    assert "'@SUM(1)" in text
    again = uploads(clinic, text)
    assert counts(again) == (0, 2, 0)
    assert {each["what"] for each in again["preview"]} == {"same"}


@pytest.mark.both_databases
def test_an_imported_do_not_call_takes_the_contact_off_lists(clinic):
    stores(clinic, CSV)
    clinic.owner_post("/contacts/actions", action="add_to_list", list="follow-ups", match="all")
    stores(clinic, "Name,Phone,DNC\nAna,030 1234567,x\n")
    assert clinic.contact_names(in_list="follow-ups") == ["Ben"]


# ----- invalid files


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\3\4\24\0\6\0\10\0\0\0", "can't be read"),
        (b"%PDF-1.7\n%\xe2\xe3", "not a text file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not a text file"),
        (b"Name,Phone\nAna,030\0 1234567\n", "not a text file"),
        (b"Name,Phone\n", "nothing under the headings"),
        (b"\xef\xbb\xbf \n\n", "nothing in this file"),
        (b"Phone\n030 1234567\n", "No column with names"),
        (b"<html><body>Sign in</body></html>", "web page"),
        (b"Shoe size\n41\n", "No column with names was found, and none with phone numbers"),
        (b"Name,Phone\nAna,030 1234567\n" + b"Ben," + b"1" * 200_000 + b"\n", "Row 3 can't be read"),
        (b'Name,Phone,Notes\nAna,030 1234567,"open\n' + b"Ben,030 2,\n" * 20_000, "A quote may be missing"),
        (b'Name,Phone,Notes\nAna,030 1234567,"open\nBen,0171 2345678,\n', "Row 2: a quote is not closed"),
        (b'Name,Phone\nAna,030 1234567\nBen,"0171 2345678', "Row 3: a quote is not closed"),
        (b"Name,Phone\n" + b"Ana,030 1234567\n" * 101_000, "101,000 rows"),
    ],
    ids=lambda each: each[:12].hex() if isinstance(each, bytes) else each,
)
def test_an_invalid_file_is_refused_with_a_sentence_and_nothing_is_stored(owner, clinic, content, says):
    sends_file(owner, content)
    assert (owner.status, says in owner.html.replace("&#39;", "'")) == (400, True), owner.html[-3000:]
    assert clinic.contacts()["total"] == 0
    assert clinic.export().get("import_row", []) == []


def test_a_large_file_is_taken_and_one_too_large_is_not(owner):
    row = f"Ana,030 1234567,{'x' * 90_000}\n"
    sends_file(owner, f"Name,Phone,Notes\n{row * 20}".encode())
    assert "Notes: left out, because it has more than 2,000 characters." in owner.html
    sends_file(owner.open(owner.url.rpartition("/import")[0]), b"x" * 17 * 2**20)
    assert (owner.status, "16 MiB" in owner.html) == (413, True)


@pytest.mark.parametrize("body", [{}, {"text": None}, {"text": 5}, {"text": ["Name"]}, {"text": ""}])
def test_a_body_without_text(clinic, body):
    assert clinic.owner_post("/contacts/import", **body).status == 400


# ----- meanwhile


def many(rows):
    return "Name,Phone\n" + "".join(f"Ana {n},030 {1000000 + n}\n" for n in range(rows))


def wait_for(place, url, state, within=30):
    deadline = time.monotonic() + within
    while (upload := place.client.get(url).body)["state"] != state:
        assert time.monotonic() < deadline, upload
        time.sleep(0.02)
    return upload


def test_a_long_file_is_read_while_its_page_shows_how_far(clinic, monkeypatch):
    go_on, read = threading.Event(), []
    rows_of = import_staging.rows_of

    def slowly(sheet):
        for row in rows_of(sheet):
            if row.number == 1000:
                assert go_on.wait(20)
            yield row

    monkeypatch.setattr(import_staging, "rows_of", slowly)
    upload = uploads(clinic, many(1200))
    url = upload["links"]["import"]
    assert upload["state"] == "reading"
    assert clinic.client.post(upload["links"]["store"]).status == 409
    while not read or read[-1] < 500:
        read.append(clinic.client.get(url).body["read"])
    go_on.set()
    assert counts(wait_for(clinic, url, "ready")) == (1200, 0, 0)
    assert clinic.client.post(upload["links"]["store"]).status == 200
    assert clinic.contacts()["total"] == 1200


@pytest.mark.both_databases
def test_an_import_interrupted_by_a_restart_fails_with_a_message(clinic, app, monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(import_staging, "rows_of", lambda sheet: iter(lambda: stop.wait(20) and None, 1))
    upload = uploads(clinic, many(1100))
    app.extensions["takeanumber"].database.write(fail_unread_imports)  # like the next start
    stop.set()
    failed = clinic.client.get(upload["links"]["import"]).body
    assert failed["state"] == "failed"
    assert "started again" in failed["why"]
    assert clinic.client.post(upload["links"]["store"]).status == 409
    assert clinic.contacts()["total"] == 0


def test_an_unexpected_error_fails_the_import_with_a_message(clinic, monkeypatch):
    monkeypatch.setattr(
        import_staging, "rows_of", lambda sheet: iter([(1, 1 / 0)] if sheet.rows < 0 else [(1, None)])
    )
    failed = uploads(clinic, CSV)
    assert (failed["state"], "Nothing was stored" in failed["why"]) == ("failed", True)


def test_a_long_file_is_stored_while_its_page_waits(clinic, monkeypatch):
    go_on = threading.Event()
    finish_storing = import_storing.finish_storing
    monkeypatch.setattr(import_storing, "MAX_ROWS_IN_REQUEST", 1)
    monkeypatch.setattr(
        import_storing, "finish_storing", lambda *args: go_on.wait(20) and finish_storing(*args)
    )
    upload = uploads(clinic, CSV)
    answer = clinic.client.post(upload["links"]["store"])
    assert (answer.status, answer.body["state"]) == (200, "storing")
    assert clinic.client.post(upload["links"]["store"]).body["state"] == "storing"  # pressed twice
    assert clinic.contact_names() == []
    go_on.set()
    wait_for(clinic, upload["links"]["import"], "stored")
    assert clinic.contact_names() == ["Ana", "Ben"]


def test_a_contact_added_meanwhile_is_not_added_twice(clinic, app, clock):
    upload = uploads(clinic, CSV)
    clock.advance(seconds=5)

    def asks_for_a_call(db):
        find_or_add_contact(db, clock(), find_place(db, clinic.slug), phone="0171 2345678", name="B.")

    app.extensions["takeanumber"].database.write(asks_for_a_call)
    answer = clinic.client.post(upload["links"]["store"])
    assert (answer.status, "row 3" in answer.body["error"]) == (409, True)
    assert clinic.contact_names() == ["B."]
    clock.advance(seconds=5)
    assert counts(stores(clinic, CSV)) == (1, 1, 0)


def test_other_contacts_may_change_meanwhile(clinic, clock):
    clinic.owner_post(
        "/contacts", contacts=[{"name": f"X {n}", "phone": f"040 {1000000 + n}"} for n in range(600)]
    )
    upload = uploads(clinic, CSV)
    clock.advance(seconds=5)
    clinic.owner_post("/contacts/actions", action="tag", tag="old", match="all")
    assert clinic.client.post(upload["links"]["store"]).status == 200
    assert clinic.contacts()["total"] == 602


@pytest.mark.both_databases
def test_a_file_whose_reading_ended_without_a_word_fails_later(clinic, app, clock, monkeypatch):
    """While writes are paused, or the disk is full, the failure can't be stored either."""
    database = app.extensions["takeanumber"].database
    began, paused, ended = threading.Event(), threading.Event(), threading.Event()

    def stage_while_paused(*args):
        began.set()
        assert paused.wait(20)
        with suppress(WritesPaused):
            import_staging.stage_sheet(*args)
        ended.set()

    monkeypatch.setattr(imports, "MAX_ROWS_IN_REQUEST", 0)
    monkeypatch.setattr(imports, "stage_sheet", stage_while_paused)
    upload = uploads(clinic, CSV)
    assert began.wait(20)  # now it is known that a thread reads the file
    fail_lost_imports(database, clock() + 60)
    assert clinic.client.get(upload["links"]["import"]).body["state"] == "reading"
    database.pause("A moment please.")
    paused.set()
    assert ended.wait(20)
    database.resume()
    deadline = time.monotonic() + 20
    while clinic.client.get(upload["links"]["import"]).body["state"] != "failed":
        assert time.monotonic() < deadline
        fail_lost_imports(database, clock() + 60)


@pytest.mark.both_databases
def test_what_a_request_reads_is_not_lost_however_long_that_takes(clinic, app, clock, monkeypatch):
    database = app.extensions["takeanumber"].database

    def stage_slowly(stage, *args):
        fail_lost_imports(database, clock() + 60)
        stage(*args)

    for name in ("stage_contacts", "stage_sheet"):
        monkeypatch.setattr(imports, name, partial(stage_slowly, getattr(imports, name)))
    answer = clinic.owner_post("/contacts", contacts=[{"name": "Ana", "phone": "030 1234567"}])
    assert (answer.status, answer.body["added"]) == (200, 1)
    assert uploads(clinic, CSV)["state"] == "ready"


def test_headings_of_files_are_not_kept_in_memory_for_ever(clinic):
    def kept():
        gc.collect()
        lists = [each for each in gc.get_objects() if type(each) is list and each and type(each[0]) is str]
        return sum(each[0].startswith("zzyzx") for each in lists)

    for file in "abcdef":
        headings = ",".join(f"Zzyzx {file} {number}" for number in range(400))
        uploads(clinic, f"Name,Phone,{headings}\nAna,030 1234567\n")
    assert kept() <= 1000
    uploads(clinic, f"Name,Phone,{'Zzyzx ' * 20_000}\nAna,030 1234567\n")
    lists = [each for each in gc.get_objects() if type(each) is list]
    assert max((len(each) for each in lists if each[:1] == ["zzyzx"]), default=0) <= 1000


def test_stored_and_discarded_imports_are_erased(clinic, app, clock):
    database = app.extensions["takeanumber"].database
    stored, kept, left = stores(clinic, CSV), uploads(clinic, CSV), uploads(clinic, CSV.replace("Ana", "Zoe"))
    clinic.client.post(left["links"]["discard"])
    while erase_old_imports(database, clock()):
        pass
    files = clinic.export()["import_file"]
    assert [each["id"] for each in files] == [stored["id"], kept["id"]]
    assert "Zoe" not in str(clinic.export())
    clock.advance(days=1, seconds=1)
    while erase_old_imports(database, clock()):
        pass
    assert not {"import_file", "import_row"} & clinic.export().keys()
    assert clinic.contact_names() == ["Ana", "Ben"]


@pytest.mark.both_databases
def test_an_erased_contact_is_in_no_import(clinic):
    stores(clinic, CSV)
    upload = uploads(clinic, CSV.replace("Ana", "Ana María").replace("Ben", "Benno"))
    ana = clinic.contacts(q="ana")["contacts"][0]
    clinic.client.post(f"{ana['links']['contact']}/forget")
    assert "María" not in str(clinic.export())
    clinic.client.post(upload["links"]["store"])
    assert clinic.contact_names() == ["Benno"]


def test_another_name_for_a_known_number_is_pointed_out(clinic):
    stores(clinic, "Name,Phone\nMara Lind,030 1234567\nBen,0171 2345678\nCem,030 7654321\n")
    upload = uploads(clinic, "Name,Phone\nDana Ross,030 1234567\nBen Okafor,0171 2345678\nCem,030 7654321\n")
    (remark,) = upload["remarks"]
    assert remark["row"] == 2
    assert remark["remark"].startswith("“Mara Lind” becomes “Dana Ross”. If these are two people, ")
