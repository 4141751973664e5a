"""Names that are invisible, change the direction of text, or would run as formulas in a spreadsheet."""

import csv

import pytest

INVISIBLE = [
    "\u200b",
    "\u3164",
    "\u2800\u200d",
    "\u202e\u202c",
    "\ufe0f",
    "\u00ad",
    "\u2060 \ufeff",
    "\u115f",
    "\u034f",
]
OVERRIDE, POP = "\u202e", "\u202c"


@pytest.mark.parametrize("name", INVISIBLE)
def test_an_invisible_name_is_empty(place, name):
    assert place.client.post(place.links["staff"], {"name": name}).status == 400
    assert place.owner_post(name=name).status == 400
    assert place.owner_post("/queues", name=name).status == 400
    place.owner_post("/queues/deli", asks=["name", "note"])
    place.customer(name=name, note=name)
    (waiting,) = place.desk().get()["line"]
    assert (waiting["name"], waiting["note"]) == (None, None)
    (refused,) = place.add_contacts({"name": name, "phone": "+1 202 555 0123"})["refused"]
    assert "Name" in refused["why"]


@pytest.mark.parametrize("name", ["Zoë", "李", "👩\u200d👧", "مريم", "שרה", "O\u2019Neil", "Ana\u200d"])
def test_visible_names_stay_as_they_are(place, name):
    assert place.client.post(place.links["staff"], {"name": name}).body["name"] == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"Ana {OVERRIDE}3 woN", f"Ana {OVERRIDE}3 woN{POP}"),
        ("\u2067Ana\u202e", "\u2067Ana\u202e\u202c\u2069"),
        (f"{POP}\u2069Ana", "Ana"),
        ("\u2066Ana\u2069", "\u2066Ana\u2069"),
    ],
)
def test_marks_of_direction_end_with_the_name_on_pages(place, name, shown):
    desk = place.desk(name)
    assert desk.get()["name"] == name
    assert f"<bdi>{shown}</bdi>" in place.client.get(f"{place.links['manage']}/team", Accept="text/html").body


def test_a_customer_s_name_is_isolated_on_the_desk(place):
    place.owner_post("/queues/deli", asks=["name"])
    place.customer(name=f"{OVERRIDE}evil")
    html = place.client.get(place.desk().link, Accept="text/html").body
    assert f"<bdi>{OVERRIDE}evil{POP}</bdi>" in html


FORMULAS = ["=1+1", "＝1+1", "＋1", "－1", "＠SUM(A1)", "x;=1+1", "x; @y", "x;＝1", "'=1", "a;'=1", "a;;=b"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_file_is_a_formula_in_any_spreadsheet(place, text):
    place.add_contacts(
        {"name": text, "phone": "+1 202 555 0123", "notes": f"{text}\n=2\n- item", "reference": "1"}
    )
    before = place.contacts()["contacts"]
    file = place.client.get(f"{place.links['manage']}/contacts.csv").body
    for separator in ",;\t":
        for row in csv.reader(file.splitlines(), delimiter=separator):
            for cell in row:
                assert not cell.lstrip().startswith(tuple("=+-@＝＋－＠")), cell
    # Our own import reads it as it was.
    place.owner_post(f"/contacts/{before[0]['id']}/forget")
    import_link = place.owner_post("/contacts/import", text=file).body["links"]
    assert place.client.post(import_link["store"]).status == 200
    (after,) = place.contacts()["contacts"]
    assert (after["name"], after["notes"]) == (before[0]["name"], before[0]["notes"])
