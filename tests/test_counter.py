"""Doors count people with taps, and recount when the count has drifted."""

import random
import re

import pytest
from helpers.html_browser import Browser, Forms
from helpers.places import new_tap

COUNTED = ("tap", "undo", "recount", "empty")


def counted(place):
    """Return the sum of the history, and check that it equals the stored count."""
    export = place.export()
    sums = {
        counter["slug"]: sum(
            event["delta"]
            for event in export["event"]
            if event["counter_id"] == counter["id"] and event["kind"] in COUNTED
        )
        for counter in export["counter"]
    }
    shown = {slug: max(0, total) for slug, total in sums.items()}  # only doors see a count below 0
    assert {each["slug"]: each["count"] for each in place.owner_get()["counters"]} == shown
    return sums["shop"]


def taps_of(place):
    """Return all stored taps, counted or not: (kind, delta)."""
    return [(event["kind"], event["delta"]) for event in place.export()["event"] if event["tap"]]


def refused(door, place, status, *taps):
    """Send a request that must be refused, and check that nothing was counted and the error says why."""
    before = place.export(), door.get()
    answer = door.send_taps(*taps)
    assert answer.status == status, answer.body
    assert isinstance(answer.body["error"], str)
    assert (place.export(), door.get()) == before
    return answer


# ----- taps


def test_people_come_in_and_go_out(shop, door):
    assert [door.tap(1), door.tap(1), door.tap(3), door.tap(-2)] == [1, 2, 5, 3]
    assert counted(shop) == 3


def test_a_tap_is_answered_with_the_door(door):
    status, body, _ = door.send_taps(new_tap())
    assert status == 200
    assert body == door.get() | {"taps": body["taps"]}
    assert (body["name"], body["counter"]) == ("Shop", {"slug": "shop", "name": "Shop"})
    known = {name: body[name] for name in ("id", "count", "capacity", "held", "level", "admits", "called")}
    expected = {"id": door.id, "count": 1, "capacity": 10, "held": 0, "level": "free"}
    assert known == expected | {"admits": None, "called": []}
    assert body["hold_minutes"] == 5
    assert set(body["links"]) >= {"door", "taps", "recount", "no_show", "screen", "picture", "live"}


def test_all_doors_count_together(shop, door):
    assert shop.owner_post("/counters/shop/doors", name="Back").status == 201
    back = shop.door("Back")
    assert [door.tap(1), back.tap(2), door.tap(-1), back.tap(1)] == [1, 3, 2, 3]
    assert door.get()["count"] == back.get()["count"] == counted(shop) == 3


def test_two_counters_count_for_themselves(shop, door):
    shop.owner_post("/counters", name="Cellar", capacity=5)
    cellar = shop.door("Cellar", "cellar")
    same = new_tap(2)
    door.send_taps(same)
    assert (
        cellar.send_taps(same, new_tap(1)).body["count"] == 3
    )  # ids are unique per counter, and this is another one
    assert counted(shop) == 2


@pytest.mark.parametrize("delta", [-50, -1, 0, 1, 50])
def test_one_tap_counts_up_to_50_people(shop, door, delta):
    assert door.tap(delta) == counted(shop) == delta


def test_the_history_keeps_each_tap_with_its_time_and_door(shop, door, clock):
    one = new_tap(2)
    door.send_taps(one)
    clock.advance(minutes=1)
    door.send_taps(new_tap(-1, ago_s=40))
    export = shop.export()
    first, second = (event for event in export["event"] if event["tap"])
    assert (first["kind"], first["tap"], first["delta"]) == ("tap", one["id"], 2)
    assert {first["counter_id"], second["counter_id"]} == {export["counter"][0]["id"]}
    assert {first["door_id"], second["door_id"]} == {door.id}
    assert second["happened_at"] - first["happened_at"] == 20


# ----- taps that are sent again


def test_a_tap_counts_once_however_often_it_is_sent(shop, door):
    one = new_tap(3)
    assert [door.send_taps(one).body["count"] for _ in range(3)] == [3, 3, 3]
    assert taps_of(shop) == [("tap", 3)]


def test_a_tap_counts_once_in_a_request_that_holds_it_twice(shop, door):
    one, other = new_tap(3), new_tap(1)
    assert door.send_taps(one, other, one).body["count"] == 4
    assert counted(shop) == 4


def test_a_tap_sent_again_with_another_delta_is_not_counted(door):
    one = new_tap(3)
    door.send_taps(one)
    assert door.send_taps(one | {"delta": 50}).body["count"] == 3


@pytest.mark.both_databases
def test_a_tap_of_one_door_sent_by_another_counts_once(shop, door):
    one = new_tap(2)
    door.send_taps(one)
    shop.owner_post("/counters/shop/doors", name="Back")
    assert shop.door("Back").send_taps(one).body["count"] == 2


def test_200_taps_sent_three_times_whole_and_in_parts(shop, door):
    dice = random.Random(3)
    batch = [new_tap(dice.choice([1, 1, 1, -1, 2, -3]), ago_s=600 - 3 * n) for n in range(200)]
    right = sum(each["delta"] for each in batch)
    assert door.send_taps(*batch).body["count"] == right
    assert door.send_taps(*batch).body["count"] == right
    for at in range(0, 200, 17):
        assert door.send_taps(*batch[at : at + 17]).body["count"] == right
    dice.shuffle(batch)
    assert door.send_taps(*batch).body["count"] == counted(shop) == right
    assert len(taps_of(shop)) == 200


def test_parts_that_overlap_come_in_any_order(shop, door):
    batch = [new_tap(delta) for delta in (1, 2, -1, 4, -3, 1)]
    for start, end in ((3, 6), (0, 2), (1, 5), (0, 6)):
        door.send_taps(*batch[start:end])
    assert door.get()["count"] == counted(shop) == 4


def test_doors_that_were_offline_add_up(shop, door, clock):
    for name in ("Back", "Side"):
        shop.owner_post("/counters/shop/doors", name=name)
    kept = {
        name: [new_tap(1) for _ in range(20)] + [new_tap(-1) for _ in range(5)]
        for name in ("Shop", "Back", "Side")
    }
    clock.advance(minutes=10)
    for name, batch in kept.items():
        assert shop.door(name).send_taps(*(each | {"ago_s": 300} for each in batch)).status == 200
    assert counted(shop) == 45


def test_500_taps_in_one_request(shop, door):
    batch = [new_tap() for _ in range(500)]
    assert door.send_taps(*batch).body["count"] == 500
    refused(door, shop, 413, *(new_tap() for _ in range(501)))
    refused(door, shop, 413, *batch, batch[0])
    assert counted(shop) == 500


def test_an_empty_list_of_taps_is_accepted(shop, door):
    door.tap(3)
    assert door.send_taps().body["count"] == 3
    assert taps_of(shop) == [("tap", 3)]


# ----- a tap that can't be accepted doesn't stop the others

GOOD_ID = "01234567-89ab-4cde-8f01-23456789abcd"
BAD_TAPS = {
    "no object": [5, "x", None, True, [], [1], 1.5],
    "no id": [{"delta": 1}, {"id": None, "delta": 1}, {}],
    "no delta": [{"id": GOOD_ID}, {"id": GOOD_ID, "delta": None}],
    "bad id": [
        {"id": bad, "delta": 1}
        for bad in (
            "",
            " ",
            "x",
            1,
            True,
            [],
            {},
            [GOOD_ID],
            GOOD_ID[:-1],
            GOOD_ID + "0",
            GOOD_ID.replace("-", ""),
            "{" + GOOD_ID + "}",
            GOOD_ID.replace("a", "g"),
            GOOD_ID.replace("0", "\uff10"),
            GOOD_ID.replace("-", "_"),
            "\ud800",
        )
    ],
    "bad delta": [
        {"id": GOOD_ID, "delta": bad}
        for bad in (51, -51, 1.0, 0.5, "1", True, False, [], {}, 10**400, -(10**400), 2**63)
    ],
    "bad age": [{"id": GOOD_ID, "delta": 1, "ago_s": bad} for bad in (1.0, 0.5, "1", True, [], {})],
    "bad number": [
        {"id": GOOD_ID, "delta": 1, "number": bad} for bad in (1, True, [], {}, "x" * 21, "\ud800", ["A1"])
    ],
    "bad undo": [{"id": GOOD_ID, "delta": 1, "undoes": bad} for bad in (1, True, [], {}, "x" * 37, "\ud800")],
}


@pytest.mark.parametrize("bad", BAD_TAPS.values(), ids=BAD_TAPS)
def test_a_bad_tap_alone_is_refused(shop, door, bad):
    door.tap(5)
    for each in bad:
        answer = refused(door, shop, 400, each)
        assert [bool(result["error"]) for result in answer.body["taps"]] == [True]


@pytest.mark.parametrize("bad", BAD_TAPS.values(), ids=BAD_TAPS)
def test_a_bad_tap_does_not_stop_the_others(shop, door, bad):
    for nth, each in enumerate(bad, 1):
        first, last = new_tap(), new_tap()
        answer = door.send_taps(first, each, last)
        assert (answer.status, answer.body["count"], counted(shop)) == (200, 2 * nth, 2 * nth)
        good, wrong, good_too = answer.body["taps"]
        assert (good, good_too) == ({"id": first["id"], "counted": True}, {"id": last["id"], "counted": True})
        assert wrong["id"] == (each.get("id") if isinstance(each, dict) else None)
        assert (wrong["counted"], bool(wrong["error"])) == (False, True)


@pytest.mark.parametrize("taps", [None, 5, "x", True, {}, {"id": GOOD_ID, "delta": 1}])
def test_taps_must_be_a_list(shop, door, taps):
    before = shop.export()
    assert door.client.post(f"{door.link}/taps", {"taps": taps}).status == 400
    assert door.client.post(f"{door.link}/taps", {}).status == 400
    assert shop.export() == before


def test_a_batch_with_a_bad_tap_can_be_sent_again(shop, door):
    batch = [new_tap(2), new_tap(-1), {"id": "x", "delta": 1}]
    for _ in range(2):
        assert door.send_taps(*batch).body["count"] == counted(shop) == 1


def test_unknown_fields_of_a_tap_are_ignored(door):
    assert door.send_taps(new_tap(1, at=5, count=90, kind="recount", counter_id=7)).body["count"] == 1


@pytest.mark.parametrize("path", ["", "/taps", "/recount", "/no-show"])
def test_a_strangers_link_is_not_found(shop, door, path):
    before = shop.export()
    token = door.link.rsplit("/", 1)[1]
    for other in ("x", token[:-1], token + "A", token.swapcase(), "%00", str(door.id)):
        url = f"http://localhost/corner-deli/door/{other}{path}"
        content = {"taps": [new_tap()], "count": 3, "number": "A1"}
        answer = shop.client.post(url, content) if path else shop.client.get(url)
        assert answer.status == 404
        assert answer.body["error"]
    assert shop.export() == before


def test_an_invalid_json_body_counts_nothing(shop, door):
    before = shop.export()
    for body in (b"[]", b"{", b'{"taps": [', b'{"taps": ' + b"[" * 30_000, b'{"taps": [{"id": "\xff"}]}'):
        heads = {"Content_Type": "application/json"}
        assert door.client.send("POST", f"{door.link}/taps", data=body, headers=heads).status == 400
    assert shop.export() == before


# ----- the count is never clamped


def test_more_than_there_is_room_for_are_counted(shop, door):
    assert door.tap(*[1] * 12) == 12
    assert (door.get()["level"], door.get()["count"]) == ("full", 12)
    assert door.tap(1) == 13
    assert counted(shop) == 13


def test_a_count_below_zero_stays_below_zero(shop, door):
    assert door.tap(1, -1, -1, -1) == -2
    assert shop.picture()["counters"][0]["count"] == 0
    assert (door.get()["count"], door.get()["level"]) == (-2, "free")
    assert door.tap(3) == counted(shop) == 1


@pytest.mark.parametrize(
    ("capacity", "count", "level"),
    [
        (10, 0, "free"),
        (10, 7, "free"),
        (10, 8, "nearly"),
        (10, 9, "nearly"),
        (10, 10, "full"),
        (10, 11, "full"),
        (9, 7, "free"),  # 77.8 %
        (9, 8, "nearly"),
        (1, 0, "free"),
        (1, 1, "full"),
        (5, 4, "nearly"),
        (10, -3, "free"),
    ],
)
def test_a_count_is_green_amber_from_80_percent_and_red_when_full(shop, door, capacity, count, level):
    shop.owner_post("/counters/shop", capacity=capacity)
    door.tap(count)
    assert shop.picture()["counters"][0]["level"] == door.get()["level"] == level


def test_everybody_sees_the_same_number(shop, door):
    door.tap(1, 1, 1)
    (shown,) = shop.picture()["counters"]
    known = {name: shown[name] for name in ("slug", "name", "count", "capacity", "held", "level", "admits")}
    expected = {"slug": "shop", "name": "Shop", "count": 3, "capacity": 10, "held": 0, "level": "free"}
    assert known == expected | {"admits": None}
    assert shown["links"] == {"screen": "http://localhost/corner-deli/counter/shop"}
    screen = shop.client.get(shown["links"]["screen"]).body
    assert screen == shown
    assert (door.get()["count"], shop.counter()["count"]) == (3, 3)


def test_each_change_makes_a_new_picture(shop, door):
    def etag():
        return shop.client.get(shop.links["customers"]).headers["ETag"]

    seen = [etag()]
    one = new_tap()
    steps = (lambda: door.send_taps(one), lambda: door.tap(-1), lambda: door.recount(3))
    for step in steps:
        step()
        seen.append(etag())
    assert len(set(seen)) == 4
    door.send_taps(one)  # stored before
    assert etag() == seen[-1]


def test_nothing_that_is_public_holds_a_doors_link(shop, door):
    token = door.link.rsplit("/", 1)[1]
    door.tap(1)
    screen = shop.counter()["links"]["screen"]
    for url in (shop.links["customers"], shop.links["board"], screen):
        assert token not in str(shop.client.get(url).body)
        assert token not in shop.client.get(url, Accept="text/html").body
    assert token not in str(shop.export())


# ----- the level in words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "You may enter"), (8, "You may enter"), (10, "Please wait")]
)
def test_the_screen_says_it_in_words(shop, door, count, words):
    door.tap(count)
    html = shop.client.get(shop.counter()["links"]["screen"], Accept="text/html").body
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert words in text
    assert ({"You may enter", "Please wait"} - {words}).pop() not in text
    assert f"{count} of 10" in text


# ----- undo


@pytest.mark.parametrize("delta", [1, -1, 5])
def test_a_tap_is_taken_back(shop, door, delta):
    door.tap(7)
    one = new_tap(delta)
    door.send_taps(one)
    assert door.send_taps(new_tap(-delta, undoes=one["id"])).body["count"] == counted(shop) == 7
    assert taps_of(shop)[1:] == [("tap", delta), ("undo", -delta)]


def test_an_undo_counts_once_however_often_it_is_sent(shop, door):
    door.tap(7)
    one = new_tap(2)
    back = new_tap(-2, undoes=one["id"])
    door.send_taps(one)
    assert [door.send_taps(back).body["count"] for _ in range(3)] == [7, 7, 7]
    assert door.send_taps(one, back).body["count"] == counted(shop) == 7


def test_a_tap_and_its_undo_in_one_batch(shop, door):
    one = new_tap(2)
    assert door.send_taps(new_tap(4), one, new_tap(-2, undoes=one["id"])).body["count"] == counted(shop) == 4


def test_undoing_a_tap_that_was_not_counted_takes_nothing_off(shop, door, clock):
    clock.advance(minutes=5)
    door.recount(6)
    late = new_tap(2, ago_s=60)
    door.send_taps(late)
    assert door.send_taps(new_tap(-2, undoes=late["id"])).body["count"] == counted(shop) == 6


def test_undoing_a_tap_from_before_the_recount_leaves_the_true_number(shop, door, clock):
    one = new_tap(2)
    door.send_taps(one)
    clock.advance(minutes=1)
    door.recount(6)
    clock.advance(minutes=1)
    assert door.send_taps(new_tap(-2, undoes=one["id"])).body["count"] == counted(shop) == 6


# ----- recount


def test_a_recount_sets_the_count_and_keeps_the_drift(shop, door):
    door.tap(1, 1, 1, 1)
    status, body, _ = door.recount(12)
    assert (status, body["count"], body["level"]) == (200, 12, "full")
    assert counted(shop) == 12
    event = shop.export()["event"][-1]
    assert (event["kind"], event["delta"], event["door_id"]) == ("recount", 8, door.id)


@pytest.mark.parametrize(("before", "count"), [(5, 5), (-3, 0), (0, 100_000), (40, 0)])
def test_a_recount_accepts_any_valid_number(shop, door, before, count):
    door.tap(before)
    assert door.recount(count).body["count"] == counted(shop) == count
    assert shop.export()["event"][-1]["delta"] == count - before


def test_taps_after_a_recount_are_added_to_it(shop, door, clock):
    door.tap(5)
    door.recount(2)
    clock.advance(seconds=10)
    assert door.tap(1, 1, -1) == counted(shop) == 3


@pytest.mark.parametrize("count", [-1, 100_001, 1.0, "12", True, None, [], {}, 10**400, ""])
def test_a_recount_with_an_invalid_number_is_refused(shop, door, count):
    door.tap(5)
    before = shop.export()
    answer = door.recount(count)
    assert (answer.status, bool(answer.body["error"])) == (400, True)
    assert shop.export() == before


# ----- taps that come late


def test_a_tap_from_before_the_recount_is_kept_and_not_added(shop, door, clock):
    clock.advance(minutes=10)
    door.recount(12)
    clock.advance(minutes=1)
    assert door.send_taps(new_tap(5, ago_s=61), new_tap(1, ago_s=3600)).body["count"] == 12
    assert door.send_taps(new_tap(2, ago_s=59), new_tap(-1)).body["count"] == counted(shop) == 13
    assert taps_of(shop) == [("not-counted", 5), ("not-counted", 1), ("tap", 2), ("tap", -1)]


def test_a_late_tap_that_comes_again_is_not_added_either(shop, door, clock):
    clock.advance(minutes=10)
    late = new_tap(5, ago_s=60)
    door.recount(12)
    for _ in range(2):
        assert door.send_taps(late).body["count"] == 12
    assert door.send_taps(late | {"ago_s": 0}).body["count"] == 12
    assert taps_of(shop) == [("not-counted", 5)]


def test_a_tap_counted_before_the_recount_is_known_when_it_comes_again(shop, door, clock):
    one = new_tap(3)
    door.send_taps(one)
    clock.advance(minutes=1)
    door.recount(12)
    assert door.send_taps(one | {"ago_s": 60}).body["count"] == door.send_taps(one).body["count"] == 12
    assert taps_of(shop) == [("tap", 3)]


def test_the_recount_of_one_door_holds_for_the_taps_of_all(shop, door, clock):
    shop.owner_post("/counters/shop/doors", name="Back")
    clock.advance(minutes=10)
    door.recount(12)
    assert shop.door("Back").tap(4, ago_s=5) == 12


@pytest.mark.both_databases
def test_the_newest_of_two_recounts_counts(shop, door, clock):
    clock.advance(minutes=10)
    door.recount(12)
    clock.advance(minutes=10)
    door.recount(20)
    assert door.tap(1, ago_s=300) == 20  # between the two


def test_late_taps_without_a_recount_are_added(shop, door, clock):
    door.tap(1)
    clock.advance(hours=5)
    assert door.tap(1, 1, ago_s=4 * 3600) == counted(shop) == 3


# ----- without JavaScript


@pytest.fixture
def page(app, door):
    """The page of a door in a browser."""
    return Browser(app).open(door.link)


def tap_form(page):
    """The page's form with + and −."""
    forms = [form for form in Forms(page.html).all if form["action"].endswith("/taps")]
    return next(form for form in forms if "number" not in dict(form["fields"]))


def test_a_door_works_without_javascript(page, shop, door):
    for delta, count in ((1, 1), (1, 2), (5, 7), (-1, 6)):
        page.send(tap_form(page), delta=str(delta))
        assert (page.status, page.redirects, page.url) == (200, [303], door.link[len("http://localhost") :])
        assert door.get()["count"] == count
    assert ">6<" in page.html
    page.press("Recount", count="9")
    assert (page.redirects, counted(shop)) == ([303], 9)


def test_a_form_that_is_sent_twice_counts_once(page, shop, door):
    form = tap_form(page)
    for _ in range(3):
        page.send(form, delta="1")
    assert counted(shop) == 1
    page.send(tap_form(page), delta="1")  # a fresh page has a fresh id
    assert counted(shop) == 2


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"delta": "51"}, "from -50 to 50"),
        ({"delta": "x"}, "How many more or fewer"),
        ({"delta": None}, "fill this in"),
        ({"delta": "1", "id": "x"}, "UUID"),
        ({"delta": "1", "id": None}, "UUID"),
        ({"delta": "1", "csrf_token": "x"}, "once more"),
    ],
)
def test_an_invalid_form_is_refused_on_the_page(page, shop, typed, words):
    before = shop.export()
    page.send(tap_form(page), **typed)
    assert (page.status, words in page.html) == (400, True)
    assert tap_form(page)
    assert shop.export() == before


def test_an_invalid_recount_is_refused_on_the_page(page, shop):
    page.press("Recount", count="-5")
    assert (page.status, "from 0 to 100000" in page.html) == (400, True)
    assert counted(shop) == 0


# ----- the stored count is always the sum of the history


def test_the_count_is_always_the_sum_of_the_history(shop, door, clock):
    dice = random.Random(5)
    for name in ("Back", "Side"):
        shop.owner_post("/counters/shop/doors", name=name)
    doors, sent = [shop.door(name) for name in ("Shop", "Back", "Side")], []
    for step in range(60):
        one = dice.choice(doors)
        what = dice.choice(["taps"] * 4 + ["again", "undo", "late", "recount", "day"])
        if what == "taps":
            sent.append([new_tap(dice.randint(-3, 5)) for _ in range(dice.randint(1, 6))])
            one.send_taps(*sent[-1])
        elif what == "again" and sent:
            one.send_taps(*dice.choice(sent), new_tap())
        elif what == "undo" and sent:
            back = dice.choice(dice.choice(sent))
            one.send_taps(new_tap(-back["delta"], undoes=back["id"]))
        elif what == "late":
            one.send_taps(new_tap(2, ago_s=dice.randint(0, 2000)), new_tap(-1))
        elif what == "recount":
            one.recount(dice.randint(0, 15))
        elif what == "day" and step % 3 == 0:
            clock.advance(hours=12)
        clock.advance(seconds=dice.randint(0, 60))
        one.tap(0)  # stores that the new day has emptied the counter
        counted(shop)
    assert {"tap", "undo", "recount", "not-counted", "empty"} <= set(shop.event_kinds())


def test_a_tap_is_taken_back_once_whatever_id_that_has(door):
    five, two = new_tap(5), new_tap(2)
    door.send_taps(five, two)
    assert door.send_taps(new_tap(-2, undoes=two["id"])).body["count"] == 5
    assert door.send_taps(new_tap(-2, undoes=two["id"].upper())).body["count"] == 5


def test_the_id_of_a_tap_is_case_insensitive(door):
    one = new_tap(1)
    door.send_taps(one)
    assert door.send_taps(one | {"id": one["id"].upper()}).body["count"] == 1
