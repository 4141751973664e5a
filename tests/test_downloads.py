"""CSV downloads: read by Excel as UTF-8, safe from formulas, and as complete as the pages."""

import csv
import io

import pytest

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def download(place, url):
    answer = place.client.flask_client.get(url)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return answer.data


def rows_of(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture
def busy_clinic(clinic):
    """A place with data for every download."""
    clinic.owner_post("/contacts", contacts=[{"name": "Zoë", "phone": "030 1234567"}])
    clinic.owner_post("/contacts/actions", action="add_to_list", list="follow-ups", match="all")
    clinic.owner_post("/counters", name="Shop", capacity=5)
    return clinic


@pytest.mark.parametrize(
    "path",
    ["contacts.csv", "tickets.csv", "stats.csv", "queues/follow-ups/reports.csv", "counters/shop/taps.csv"],
)
def test_every_csv_file_begins_with_one_byte_order_mark(busy_clinic, path):
    content = download(busy_clinic, f"{busy_clinic.links['manage']}/{path}")
    assert content.startswith(BYTE_ORDER_MARK)
    assert content.count(BYTE_ORDER_MARK) == 1


def test_a_name_with_an_umlaut_is_read_as_it_was_typed(busy_clinic):
    (row,) = rows_of(download(busy_clinic, f"{busy_clinic.links['manage']}/contacts.csv"))
    assert row["name"] == "Zoë"


def test_a_contact_file_can_be_uploaded_again_as_it_was_downloaded(busy_clinic):
    text = download(busy_clinic, f"{busy_clinic.links['manage']}/contacts.csv").decode()
    answer = busy_clinic.owner_post("/contacts/import", text=text)
    assert (answer.body["add"], answer.body["change"], answer.body["refuse"]) == (0, 1, 0)


def test_times_in_the_tickets_are_those_of_the_pages(clinic, clock):
    """On both sides of a clock change, and with fractions of a second."""
    pages = []
    for _ in range(4):
        pages.append(clinic.take().body)
        clock.advance(days=61, seconds=7.9)
    rows = rows_of(download(clinic, f"{clinic.links['manage']}/tickets.csv"))
    walk_in = [row for row in rows if row["state"] != "waiting" or row["series"] != "calls"]
    assert [row["taken_at"] for row in walk_in] == [page["taken_at"] for page in pages]
    assert [row["state"] for row in walk_in] == ["expired"] * 4


def test_tickets_of_other_days_and_places_are_left_out(clinic, clock):
    clinic.take()
    clock.advance(days=1)
    second = clinic.take().body
    clock.advance(days=1)
    clinic.take()
    url = f"{clinic.links['manage']}/tickets.csv?from={second['series']}&to={second['series']}"
    rows = rows_of(download(clinic, url))
    assert [row["series"] for row in rows] == [second["series"]]


def test_text_that_looks_like_a_formula_is_made_harmless_in_every_column_of_people(clinic):
    clinic.owner_post("/queues", name="=cmd|calc", asks=["name", "note"])
    queue = next(each for each in clinic.owner_get()["queues"] if each["name"] == "=cmd|calc")
    clinic.client.post(queue["links"]["take"], {"name": "@SUM(1)", "note": "+1"})
    (row,) = rows_of(download(clinic, f"{clinic.links['manage']}/tickets.csv"))
    assert (row["queue_name"], row["name"], row["note"]) == ("'=cmd|calc", "'@SUM(1)", "'+1")
