"""A device whose clock was wrong, or that keeps a broken tap, doesn't block its door."""

import re

import pytest
from helpers.places import new_tap

YEAR_S = 365 * 86400


def kinds(place):
    """Return the kind and the delta of each stored tap."""
    return [(event["kind"], event["delta"]) for event in place.export()["event"] if event["tap"]]


@pytest.mark.parametrize(
    "ago_s", [1_795_000_000, 10**9, 57 * YEAR_S, 10**12, 10**15, 10**400, -1, -YEAR_S, -(10**400), 40 * 86400]
)
def test_a_tap_with_an_impossible_time_counts_as_now(shop, door, clock, ago_s):
    clock.advance(minutes=5)
    door.recount(3)
    clock.advance(minutes=5)
    stuck, good = new_tap(1, ago_s=ago_s), new_tap(1, ago_s=0)
    answer = door.send_taps(stuck, good)
    assert (answer.status, answer.body["count"]) == (200, 5)
    assert answer.body["taps"] == [{"id": each["id"], "counted": True} for each in (stuck, good)]
    events = [event for event in shop.export()["event"] if event["tap"]]
    assert [event["happened_at"] for event in events] == [clock.at, clock.at]


def test_a_tap_that_is_sent_again_is_answered_as_before(shop, door, clock):
    early, late = new_tap(2), new_tap(1, ago_s=60)
    assert door.send_taps(early).body["taps"] == [{"id": early["id"], "counted": True}]
    clock.advance(minutes=5)
    door.recount(6)
    for _ in range(2):
        assert door.send_taps(late, early).body["taps"] == [
            {"id": late["id"], "counted": False},
            {"id": early["id"], "counted": True},
        ]
    assert kinds(shop) == [("tap", 2), ("not-counted", 1)]


def test_taking_back_a_tap_that_was_refused_takes_nothing_off(shop, door):
    broken = new_tap(51)
    answer = door.send_taps(new_tap(4), broken, new_tap(-51 + 1, undoes=broken["id"]))
    assert (answer.status, answer.body["count"]) == (200, 4)
    assert [bool(each.get("error")) for each in answer.body["taps"]] == [False, True, True]


def test_a_door_answers_taps_by_id_and_shows_its_page_without_them(door):
    assert "taps" not in door.get()
    assert door.send_taps().body["taps"] == []


def test_a_count_below_zero_is_shown_at_the_doors_only(shop, door):
    assert door.tap(-3) == -3
    assert door.get()["count"] == -3
    assert shop.picture()["counters"][0]["count"] == 0
    assert shop.counter()["count"] == 0
    for page in (shop.links["customers"], shop.links["board"], shop.counter()["links"]["screen"]):
        html = shop.client.get(page, Accept="text/html").body
        assert ">0<" in html
        assert "-3" not in re.sub(r'name="csrf_token" value="[^"]+"', "", html)  # it holds random letters
    assert door.tap(5) == shop.picture()["counters"][0]["count"] == 2, "the drift is kept"
