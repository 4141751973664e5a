"""The picture: the public state of a place as JSON."""

import gzip
import json

import pytest


def test_a_place_that_just_opened(place):
    picture = place.picture()
    assert picture["place"] == {"slug": "corner-deli", "name": "Corner Deli"}
    assert picture["series"] == "2026-11-21"
    assert isinstance(picture["epoch"], str)
    assert isinstance(picture["version"], int)
    (queue,) = picture["queues"]
    assert (queue["slug"], queue["name"], queue["open"]) == ("deli", "Deli", True)
    assert (queue["waiting"], queue["called"], queue["estimated_wait"]) == ([], [], None)
    assert queue["links"] == {"take": "http://localhost/corner-deli/deli/tickets"}
    assert (picture["calls"], picture["counters"]) == ([], [])


def test_the_line_and_who_is_called(place, ana, clock):
    for _ in range(3):
        place.customer()
    clock.advance(minutes=1)
    ana.call_next()
    line = place.queue()
    assert line["waiting"] == ["A2", "A3"]
    (called,) = line["called"]
    assert (called["number"], called["desk"], called["state"]) == ("A1", "Window 2", "called")
    assert called["since"] == "2026-11-21T10:01:00+00:00"
    clock.advance(minutes=1)
    ana.post("start", number="A1")
    (called,) = place.queue()["called"]
    assert (called["state"], called["since"]) == ("serving", "2026-11-21T10:02:00+00:00")


def test_the_picture_lists_tickets_in_calling_order(bakery):
    desk = bakery.desk()
    for queue in ("deli", "bakery", "deli", "deli", "bakery"):
        bakery.customer(queue)
    desk.call_next(queue="deli")
    desk.post("put-back", number="A1")
    waiting = {queue["slug"]: queue["waiting"] for queue in bakery.picture()["queues"]}
    assert waiting == {"deli": ["A2", "A3", "A1"], "bakery": ["B1", "B2"]}


def test_calls_are_the_last_twenty_with_growing_ids(place, ana):
    for _ in range(23):
        place.customer()
        ana.call_next()
    calls = place.picture()["calls"]
    assert [call["number"] for call in calls] == [f"A{n}" for n in range(4, 24)]
    ids = [call["id"] for call in calls]
    assert ids == sorted(set(ids))
    assert {call["desk"] for call in calls} == {"Window 2"}
    assert calls[-1]["at"] == "2026-11-21T10:00:00+00:00"


def test_a_call_stays_when_the_customer_is_gone(place, ana):
    place.customer()
    ana.call_next()
    ana.post("done", number="A1")
    assert [call["number"] for call in place.picture()["calls"]] == ["A1"]


def test_a_call_keeps_the_desk_of_its_time(place):
    place.customer()
    desk = place.desk("Ben", "Window 3")
    desk.call_next()
    place.owner_post(f"/servicers/{desk.id}/remove")
    assert [call["desk"] for call in place.picture()["calls"]] == ["Window 3"]


@pytest.mark.both_databases
def test_the_version_grows_with_each_change_and_only_then(place, ana):
    versions = [place.picture()["version"]]
    steps = [
        place.customer,
        place.customer,
        ana.call_next,
        lambda: ana.post("start", number="A1"),
        lambda: ana.post("call-again", number="A1"),
        lambda: ana.post("done", number="A1"),
        lambda: place.owner_post("/queues/deli/close"),
        lambda: place.owner_post("", name="Corner Shop"),
    ]
    for step in steps:
        step()
        versions.append(place.picture()["version"])
    assert versions == sorted(set(versions))
    place.owner_get(), ana.get(), place.export()
    assert place.picture()["version"] == versions[-1]


def test_an_unchanged_picture_is_answered_with_304(place, ana):
    first = place.client.get(place.links["customers"])
    etag = first.headers["ETag"]
    same = place.client.get(place.links["customers"], If_None_Match=etag)
    assert (same.status, same.body) == (304, "")
    assert same.headers["ETag"] == etag
    place.customer()
    changed = place.client.get(place.links["customers"], If_None_Match=etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag
    assert changed.body["queues"][0]["waiting"] == ["A1"]


def test_a_client_that_accepts_gzip_gets_the_same_picture(place):
    def get(**headers):
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, br", **headers}
        return place.client.flask_client.get(place.links["customers"], headers=headers)

    plain, packed = place.client.get(place.links["customers"]), get()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.data)) == plain.body
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept, Accept-Encoding"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert get(**{"If-None-Match": packed.headers["ETag"]}).status_code == 304


def test_the_picture_may_be_cached_but_must_be_revalidated(place):
    assert place.client.get(place.links["customers"]).headers["Cache-Control"] == "no-cache"


def test_waits_change_by_themselves(place, ana, clock):
    etag = place.client.get(place.links["customers"]).headers["ETag"]
    clock.advance(minutes=1)
    assert place.client.get(place.links["customers"], If_None_Match=etag).status == 200


def test_two_addresses_of_the_same_server_get_their_own_links(place):
    for host in ("deli.example", "192.168.0.7:8000", "localhost"):
        body = place.client.get(f"http://{host}/corner-deli").body
        assert body["queues"][0]["links"]["take"] == f"http://{host}/corner-deli/deli/tickets"


def test_the_picture_holds_nothing_private(place, ana):
    secret = {"name": "Nobody's business", "phone": "+1 555 0100", "note": "rash", "request_id": "req-1"}
    customer = place.customer(**secret)
    place.customer()
    ana.call_next()
    private = [*secret.values(), "Ana"]
    links = [customer.ticket["links"]["ticket"], ana.link, place.links["staff"], place.links["manage"]]
    private += [link.rsplit("/", 1)[1] for link in links]
    for url in ("customers", "board"):
        text = json.dumps(place.client.get(place.links[url]).body)
        assert [each for each in private if each in text] == []


def test_the_picture_leaves_out_deleted_queues(bakery):
    bakery.owner_post("/queues/bakery/delete")
    assert [queue["slug"] for queue in bakery.picture()["queues"]] == ["deli"]
