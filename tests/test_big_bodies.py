"""Bodies that are large or odd: access is checked before they are read, and they cost little."""

import resource
import time

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from helpers.soak import soak_after

from app.network import LARGE_BODY_URL, MAX_BODY_BYTES

KIB, MIB = 1024, 2**20
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
LINKS = [
    "manage/x",
    "staff/x",
    "desk/x/next",
    "door/x/taps",
    "t/x/cancel",
    "manage/x/contacts",
    "manage/x/queues",
]
LINKS += ["manage/x/contacts/import", "manage/x/contacts/actions"]


def posts(client, url, body, kind):
    return client.send("POST", url, data=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("kind", [FORM, JSON, "multipart/form-data; boundary=b", "text/plain"])
@pytest.mark.parametrize("path", LINKS)
def test_an_unknown_link_is_not_found_whatever_is_sent(place, path, kind):
    url = f"/corner-deli/{path.replace('x', 'x' * 22)}"
    for body in (b"", b"{", b"[" * 5000, b"a&" * 20000, b"--b\r\n" * 1000):
        assert posts(place.client, url, body, kind).status == 404


@pytest.mark.parametrize("path", ["/nobody/manage/nothing/contacts", "/corner-deli/manage/nothing/contacts"])
@pytest.mark.parametrize(("body", "kind"), [(b"a&", FORM), (b"[],", JSON), (b"[", JSON)])
def test_sixteen_mebibytes_of_a_stranger_cost_nothing(place, path, body, kind):
    body *= 16 * MIB // len(body)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.process_time()
    for _ in range(3):
        assert posts(place.client, path, body, kind).status in (404, 413)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert time.process_time() - began < 3 * 0.1
    assert after.ru_maxrss - before.ru_maxrss < 20 * KIB  # in KiB


@pytest.mark.parametrize("kind", [FORM, JSON, "text/plain"])
def test_other_bodies_are_64_kib_at_most(place, ana, kind):
    take = place.queue()["links"]["take"]
    for url in (take, f"{ana.link}/next", place.links["manage"], "/places", "/"):
        answer = posts(place.client, url, b"x" * (64 * KIB + 1), kind)
        assert (answer.status, "64 KiB" in answer.body["error"]) == (413, True)


def test_a_form_of_contacts_is_64_kib_at_most(place):
    url = f"{place.links['manage']}/contacts"
    for path in ("", "/import"):
        assert posts(place.client, url + path, b"text=" + b"x" * 64 * KIB, FORM).status == 413


def test_a_form_with_too_many_fields_is_refused(place):
    for body in (b"a&" * 30000, b"a=b&" * 15000, b"&" * 60000):
        assert posts(place.client, f"{place.links['manage']}/queues", body, FORM).status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60000,
        b'{"a":' * 10000 + b"1" + b"}" * 10000,
        b'{"contacts":' + b"[" * 20 + b"]" * 20 + b"}",
        b'{"contacts": [{]}',
        b'"' + b'\\"' * 30000,
        b'{"a": "\xff"}',
        '{"name": "x"}'.encode("utf-16"),
    ],
    ids=["brackets", "objects", "twenty", "crossed", "quotes", "latin", "utf-16"],
)
def test_odd_json_is_refused(place, body):
    began = time.process_time()
    assert posts(place.client, f"{place.links['manage']}/contacts", body, JSON).status == 400
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("item", soak_after(2, [b"[]", b'[{"a":[]}]', b"{}", b"0", b'""']))
def test_json_with_too_many_values_is_refused(place, item):
    body = b'{"contacts": [' + b",".join([item] * (15 * MIB // (len(item) + 1))) + b"]}"
    answer = posts(place.client, f"{place.links['manage']}/contacts", body, JSON)
    assert (answer.status, "several requests" in answer.body["error"]) == (413, True)


def test_brackets_in_texts_are_no_lists(place):
    notes = "[{]}" * 400 + '\\"[' * 20
    answer = place.add_contacts({"name": "Zoë", "phone": "+1 202 555 0123", "notes": notes})
    assert answer["refused"] == []
    assert place.contacts()["contacts"][0]["notes"] == notes


def test_many_contacts_are_still_taken(place):
    rows = [
        {"name": f"[{n}]", "phone": f"+1 202 555 {n:04}", "tags": ["a", "b"], "notes": "x, y; z" * 9}
        for n in range(3000)
    ]
    assert place.add_contacts(*rows)["added"] == 3000


def test_large_bodies_are_read_one_at_a_time_and_the_turn_goes_on_after_an_error(place):
    url = f"{place.links['manage']}/contacts"
    for body in (b"x" * 100 * KIB, b'{"contacts": 5, "x": "' + b"x" * 100 * KIB + b'"}'):
        for _ in range(3):
            assert posts(place.client, url, body, JSON).status == 400
    assert place.add_contacts({"name": "Zoë", "phone": "+1 202 555 0123", "notes": "x"})["added"] == 1


def test_forms_without_a_csrf_token_are_told_from_unknown_links(start):
    place = open_deli(AppClient(start()))
    assert posts(place.client, f"{place.links['manage']}/queues", b"name=x", FORM).status == 400


def test_the_server_stores_the_large_bodies_that_views_accept(app):
    """app/server.py knows them by their URLs, before the app sees the request."""
    large = set()
    for rule in app.url_map.iter_rules():
        if getattr(app.view_functions[rule.endpoint], "max_body_bytes", 0) > MAX_BODY_BYTES:
            large.add(rule.rule)
            url = rule.rule.replace("<place>", "deli").replace("<token>", "x" * 22)
            assert LARGE_BODY_URL.fullmatch(url), url
    assert len(large) >= 3
