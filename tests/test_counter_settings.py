"""Counters and doors for their owner, and the eight-digit codes that lead to a door or the staff page."""

import pytest
from helpers.client import AppClient
from helpers.html_browser import Browser
from helpers.places import Door, Place, open_deli


def refused(place, status, path, **content):
    """Send a request that must be refused, and check that it changed nothing."""
    before = place.export(), place.owner_get()
    answer = place.owner_post(path, **content)
    assert answer.status == status, answer.body
    assert answer.body["error"]
    assert (place.export(), place.owner_get()) == before
    return answer


# ----- a place that opens with a counter


def test_a_place_with_just_a_counter(client):
    status, body, _ = client.post("/places", {"name": "Museum", "counter": {"name": "Hall", "capacity": 90}})
    assert (status, body["queues"]) == (201, [])
    (counter,) = body["counters"]
    assert (counter["slug"], counter["name"], counter["count"], counter["capacity"]) == (
        "hall",
        "Hall",
        0,
        90,
    )
    assert [door["name"] for door in counter["doors"]] == ["Hall"]
    assert counter["links"]["door"] == counter["doors"][0]["links"]["door"]
    assert Door(client, counter["doors"][0]).tap(1, 1) == 2
    museum = Place(client, body)
    assert (museum.picture()["queues"], museum.picture()["counters"][0]["count"]) == ([], 2)


def test_a_place_with_both(client):
    both = open_deli(client, counter={"name": "Shop", "capacity": 9})
    picture = both.picture()
    assert [queue["slug"] for queue in picture["queues"]] == ["deli"]
    assert [(counter["slug"], counter["capacity"]) for counter in picture["counters"]] == [("shop", 9)]
    assert both.customer().number == "A1"


def test_null_means_no_counter(client):
    body = client.post("/places", {"name": "Deli", "counter": None}).body
    assert (body["counters"], [queue["slug"] for queue in body["queues"]]) == ([], ["line"])


@pytest.mark.parametrize(
    "counter",
    [
        5,
        "Shop",
        True,
        [],
        {},
        {"name": "Shop"},
        {"capacity": 5},
        {"name": "", "capacity": 5},
        {"name": "Shop", "capacity": 0},
        {"name": "Shop", "capacity": "5"},
        {"name": "Shop", "capacity": 100_001},
        {"name": 5, "capacity": 5},
        {"name": "x" * 61, "capacity": 5},
    ],
)
def test_an_invalid_counter_opens_no_place(client, counter):
    answer = client.post("/places", {"name": "Museum", "counter": counter})
    assert (answer.status, bool(answer.body["error"])) == (400, True)
    assert client.get("/").body["places"] == []


@pytest.mark.parametrize(
    ("typed", "queues", "counters"),
    [
        ({}, ["line"], []),
        ({"queue": "Deli"}, ["deli"], []),
        ({"counter-name": "Hall", "counter-capacity": "90"}, [], ["hall"]),
        ({"queue": "Deli", "counter-name": "Hall", "counter-capacity": "90"}, ["deli"], ["hall"]),
    ],
    ids=["nothing", "a queue", "a counter", "both"],
)
def test_the_form_on_the_home_page(app, client, typed, queues, counters):
    owner = Browser(app).open("/").press("Create my place", name="Museum", **typed)
    assert (owner.status, owner.redirects) == (200, [303])
    picture = client.get("/museum").body
    assert [each["slug"] for each in picture["queues"]] == queues
    assert [each["slug"] for each in picture["counters"]] == counters
    for url in ("/museum", "/museum/board"):
        assert Browser(app).open(url).status == 200


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"counter-name": "Hall"}, "fill this in"),
        ({"counter-capacity": "90"}, "Please enter a name."),
        ({"counter-name": "Hall", "counter-capacity": "0"}, "from 1 to 100000"),
        ({"counter-name": "x" * 61, "counter-capacity": "5"}, "at most 60"),
    ],
)
def test_an_error_on_the_home_page_keeps_what_was_typed(app, client, typed, words):
    owner = Browser(app).open("/").press("Create my place", name="Museum", **typed)
    assert (owner.status, words in owner.html) == (400, True)
    assert {"name": "Museum", **typed}.items() <= dict(owner.form("Create my place")["fields"]).items()
    assert client.get("/").body["places"] == []


# ----- counters


def test_a_new_counter_has_a_door_of_its_name(place):
    status, body, _ = place.owner_post("/counters", name="Shop", capacity=90)
    assert status == 201
    known = ("slug", "name", "count", "capacity", "held", "level", "admits", "empties", "hold_minutes")
    values = ("shop", "Shop", 0, 90, 0, "free", None, "day", 5)
    assert {name: body[name] for name in known} == dict(zip(known, values, strict=True))
    (door,) = body["doors"]
    assert (door["name"], door["code"], door["code_ends_at"]) == ("Shop", None, None)
    assert body["links"]["door"] == door["links"]["door"]
    assert body["links"]["screen"] == "http://localhost/corner-deli/counter/shop"
    assert place.owner_get()["counters"] == [body]
    for url in body["links"].values():
        assert place.client.get(url).status == 200


def test_a_new_counter_with_every_setting(place):
    asked = {"name": "Hall", "capacity": 7, "admits": "deli", "empties": "never", "hold_minutes": 2}
    status, body, _ = place.owner_post("/counters", **asked)
    assert (status, {name: body[name] for name in asked}) == (201, asked)


def test_two_counters_of_one_name_have_two_slugs(shop):
    slugs = [shop.owner_post("/counters", name="Shop", capacity=5).body["slug"] for _ in range(2)]
    assert slugs == ["shop-2", "shop-3"]
    assert shop.owner_post("/counters", name="大厅", capacity=5).body["slug"] == "counter-2"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Hall & cellar"},
        {"capacity": 3},
        {"empties": "never"},
        {"hold_minutes": 12},
        {"admits": "deli"},
    ],
)
def test_changing_one_thing_leaves_the_others(shop, door, change):
    door.tap(2)
    before = shop.counter()
    status, body, _ = shop.owner_post("/counters/shop", **change)
    assert (status, shop.counter()) == (200, body)
    assert shop.counter() | change == body == before | change | {"level": body["level"]}


def test_an_empty_change_changes_nothing(shop):
    shop.owner_post("/counters/shop", admits="deli", empties="never")
    before = shop.counter()
    for content in ({}, dict.fromkeys(("name", "capacity", "empties", "hold_minutes"))):
        assert shop.owner_post("/counters/shop", **content).status == 200
        assert shop.counter() == before


@pytest.mark.both_databases
def test_a_new_name_is_on_the_door_and_the_links_stay(shop, door):
    shop.owner_post("/counters/shop", name="Hall")
    assert door.get()["counter"] == {"slug": "shop", "name": "Hall"}
    assert shop.picture()["counters"][0]["name"] == "Hall"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 61),
        ("capacity", 0),
        ("capacity", -1),
        ("capacity", 100_001),
        ("empties", "week"),
        ("hold_minutes", 0),
        ("hold_minutes", 241),
    ],
)
def test_invalid_settings_of_a_counter_are_refused(shop, field, value):
    refused(shop, 400, "/counters/shop", **{field: value})
    refused(shop, 400, "/counters", **{"name": "Hall", "capacity": 5} | {field: value})


@pytest.mark.parametrize("field", ["name", "capacity"])
def test_a_new_counter_needs_a_name_and_a_capacity(shop, field):
    asked = {"name": "Hall", "capacity": 5}
    refused(shop, 400, "/counters", **asked | {field: None})
    asked.pop(field)
    refused(shop, 400, "/counters", **asked)


def test_a_missing_queue_is_not_admitted(shop):
    for path in ("/counters/shop", "/counters"):
        answer = shop.owner_post(path, name="Hall", capacity=5, admits="nonsense")
        assert answer.status in (400, 404)
        assert [(each["name"], each["admits"]) for each in shop.owner_get()["counters"]] == [("Shop", None)]


def test_two_counters_do_not_admit_the_same_queue(shop):
    shop.owner_post("/counters/shop", admits="deli")
    refused(shop, 409, "/counters", name="Cellar", capacity=5, admits="deli")
    shop.owner_post("/counters", name="Cellar", capacity=5)
    refused(shop, 409, "/counters/cellar", admits="deli")
    # the counter that admits it may repeat that
    assert shop.owner_post("/counters/shop", admits="deli").status == 200


def test_a_deleted_counter_is_gone_with_its_doors(shop, door):
    screen = shop.counter()["links"]["screen"]
    door.tap(3)
    assert shop.owner_post("/counters/shop/delete").status == 200
    assert (shop.owner_get()["counters"], shop.picture()["counters"]) == ([], [])
    assert shop.client.get(door.link).status == 404
    assert door.send_taps().status == 404
    assert shop.client.get(screen).status == 404
    assert shop.client.get(f"{shop.links['manage']}/counters/shop").status == 404
    assert shop.owner_post("/counters/shop/delete").status == 404
    assert [event["delta"] for event in shop.export()["event"] if event["tap"]] == [3]


def test_a_counter_of_the_same_name_begins_anew(shop, door):
    door.tap(3)
    shop.owner_post("/counters/shop/delete")
    body = shop.owner_post("/counters", name="Shop", capacity=5).body
    assert (body["slug"], body["count"]) == ("shop", 0)
    assert shop.client.get(door.link).status == 404
    assert shop.door().tap(1) == 1


@pytest.mark.parametrize("counter", ["nonsense", "Shop", "%00", "%ff", "x" * 500, "1"])
def test_a_missing_counter(shop, counter):
    for action in ("", "/delete", "/doors"):
        assert shop.owner_post(f"/counters/{counter}{action}", name="Eve").status == 404
    for page in ("", "/taps.csv"):
        assert shop.client.get(f"{shop.links['manage']}/counters/{counter}{page}").status == 404
    assert shop.client.get(f"/corner-deli/counter/{counter}").status == 404


def test_counters_and_doors_of_another_place_are_not_found(start):
    many = AppClient(start(places="open"))
    mine, other = open_deli(many), open_deli(many)
    other.owner_post("/counters", name="Hall", capacity=5)
    door = other.door("Hall", "hall")
    refused(mine, 404, "/counters/hall", name="Mine")
    refused(mine, 404, "/counters/hall/delete")
    for action in ("replace", "code", "remove"):
        refused(mine, 404, f"/doors/{door.id}/{action}")
    assert many.get(door.link.replace(other.slug, mine.slug)).status == 404
    assert door.tap(1) == 1


def test_a_deleted_place_takes_its_counters_along(shop, door):
    door.tap(1)
    shop.owner_post("/delete", name="Corner Deli")
    assert (shop.client.get(door.link).status, door.send_taps().status) == (404, 404)


# ----- doors


def test_several_doors_each_with_a_name_and_a_link(shop, door):
    status, back, _ = shop.owner_post("/counters/shop/doors", name="Back")
    assert (status, back["name"], back["code"]) == (201, "Back", None)
    doors = shop.counter()["doors"]
    assert [each["name"] for each in doors] == ["Shop", "Back"]
    assert len({each["links"]["door"] for each in doors} | {door.link}) == 2
    assert shop.counter()["links"]["door"] == door.link
    assert Door(shop.client, back).get()["name"] == "Back"


@pytest.mark.parametrize("name", [None, "", " ", 5, "x" * 61])
def test_a_door_needs_a_name(shop, name):
    refused(shop, 400, "/counters/shop/doors", name=name)


def test_a_new_link_when_one_leaked(shop, door):
    door.tap(2)
    status, fresh, _ = shop.owner_post(f"/doors/{door.id}/replace")
    assert (status, fresh["id"], fresh["name"]) == (200, door.id, "Shop")
    assert fresh["links"]["door"] != door.link
    assert (shop.client.get(door.link).status, door.send_taps().status, door.recount(1).status) == (
        404,
        404,
        404,
    )
    again = Door(shop.client, fresh)
    assert again.get()["id"] == door.id  # the same door: the device sends its unsent taps with the new link
    assert again.tap(1) == 3


def test_a_new_link_for_one_door_leaves_the_others(shop, door):
    back = shop.owner_post("/counters/shop/doors", name="Back").body
    shop.owner_post(f"/doors/{back['id']}/replace")
    assert door.tap(1) == 1


def test_a_removed_door(shop, door):
    back = Door(shop.client, shop.owner_post("/counters/shop/doors", name="Back").body)
    back.tap(4)
    assert shop.owner_post(f"/doors/{back.id}/remove").status == 200
    assert [each["name"] for each in shop.counter()["doors"]] == ["Shop"]
    assert (shop.client.get(back.link).status, back.send_taps().status) == (404, 404)
    assert door.get()["count"] == 4
    for action in ("remove", "replace", "code"):
        refused(shop, 404, f"/doors/{back.id}/{action}")


def test_a_counter_without_any_door(shop, door):
    assert shop.owner_post(f"/doors/{door.id}/remove").status == 200
    assert shop.counter()["doors"] == []
    assert shop.client.get(shop.links["manage"], Accept="text/html").status == 200
    assert shop.owner_post("/counters/shop/doors", name="New").status == 201
    assert shop.door("New").tap(1) == 1


@pytest.mark.parametrize("door", ["0", "-1", "999999", "2147483648", "9" * 40, "x", "1.0", "1e3"])
def test_a_missing_door(shop, door):
    for action in ("replace", "code", "remove"):
        assert shop.owner_post(f"/doors/{door}/{action}").status == 404


def test_no_download_holds_a_doors_link_or_code(shop, door):
    code = shop.owner_post(f"/doors/{door.id}/code").body["code"]
    text = str(shop.export())
    assert door.link.rsplit("/", 1)[1] not in text
    assert f"'{code}'" not in text


# ----- codes


def enters(place, code):
    """Type a code on the page of the place; return the response."""
    return place.client.post(f"{place.links['customers']}/code", {"code": code})


def door_code(place, door):
    answer = place.owner_post(f"/doors/{door.id}/code")
    assert answer.status == 200
    return answer.body["code"]


def staff_code(place):
    answer = place.owner_post("/links/staff/code")
    assert answer.status == 200
    return answer.body["staff_code"]["code"]


def other_than(*codes):
    """Return a code that is none of these."""
    return next(code for code in ("000000", "111111", "222222") if code not in codes)


def test_a_code_leads_to_a_door(shop, door):
    status, body, _ = shop.owner_post(f"/doors/{door.id}/code")
    assert (status, body["id"], body["links"]["door"]) == (200, door.id, door.link)
    assert len(body["code"]) == 8
    assert body["code"].isdecimal()
    assert body["code_ends_at"] == "2026-11-21T10:10:00+00:00"
    assert shop.counter()["doors"] == [body]
    answer = enters(shop, body["code"])
    assert (answer.status, answer.body) == (200, {"links": {"door": door.link}})


def test_a_code_leads_to_the_staff_link(shop):
    assert shop.owner_get()["staff_code"] is None
    code = staff_code(shop)
    assert shop.owner_get()["staff_code"] == {"code": code, "ends_at": "2026-11-21T10:10:00+00:00"}
    answer = enters(shop, code)
    assert (answer.status, answer.body) == (200, {"links": {"staff": shop.links["staff"]}})


@pytest.mark.parametrize("written", ["{0} {1}", "{0}-{1}", " {0}{1} ", "{0}.{1}"])
def test_a_code_may_be_written_in_two_parts(shop, door, written):
    code = door_code(shop, door)
    assert enters(shop, written.format(code[:3], code[3:])).status == 200


@pytest.mark.parametrize("which", [door_code, lambda place, door: staff_code(place)], ids=["door", "staff"])
def test_a_code_lasts_ten_minutes(shop, door, clock, which):
    code = which(shop, door)
    clock.advance(minutes=9, seconds=59)
    assert enters(shop, code).status == 200
    clock.advance(seconds=1)
    answer = enters(shop, code)
    assert (answer.status, "10 minutes" in answer.body["error"]) == (400, True)
    assert shop.counter()["doors"][0]["code"] is None
    assert shop.owner_get()["staff_code"] is None


def test_a_code_may_be_used_several_times(shop, door):
    code = door_code(shop, door)
    assert [enters(shop, code).status for _ in range(3)] == [200, 200, 200]


def test_a_new_code_replaces_the_old_one(shop, door):
    for which in (lambda: door_code(shop, door), lambda: staff_code(shop)):
        old, new = which(), which()
        if old != new:
            assert (enters(shop, old).status, enters(shop, new).status) == (400, 200)


def test_each_door_has_a_code_of_its_own(shop, door):
    back = Door(shop.client, shop.owner_post("/counters/shop/doors", name="Back").body)
    codes = [door_code(shop, door), door_code(shop, back), staff_code(shop)]
    assert len(set(codes)) == 3
    links = [enters(shop, code).body["links"] for code in codes]
    assert links == [{"door": door.link}, {"door": back.link}, {"staff": shop.links["staff"]}]


def test_codes_are_random(shop, door):
    assert len({door_code(shop, door) for _ in range(20)}) > 15


@pytest.mark.parametrize(
    "code", ["", " ", "x", "1234567", "123456789", "٠٠٠٠٠٠٠٠", "'; --", None, 12345678, [], {}]
)
def test_invalid_codes_are_refused(shop, door, code):
    if code != door_code(shop, door):
        answer = enters(shop, code)
        assert (answer.status, bool(answer.body["error"])) == (400, True)


def test_an_unknown_code_leads_nowhere(shop, door):
    wrong = other_than(door_code(shop, door), staff_code(shop))
    answer = enters(shop, wrong)
    assert (answer.status, list(answer.body)) == (400, ["error"])
    assert door.link not in str(answer.body)


def test_a_code_is_for_its_place_only(start):
    many = AppClient(start(places="open"))
    mine, other = open_deli(many), open_deli(many)
    assert enters(other, staff_code(mine)).status == 400


@pytest.mark.parametrize("action", ["replace", "remove"])
def test_a_code_ends_with_the_link_it_led_to(shop, door, action):
    code = door_code(shop, door)
    shop.owner_post(f"/doors/{door.id}/{action}")
    assert enters(shop, code).status == 400


@pytest.mark.both_databases
def test_a_code_ends_with_its_counter(shop, door):
    code = door_code(shop, door)
    shop.owner_post("/counters/shop/delete")
    assert enters(shop, code).status == 400


@pytest.mark.both_databases
def test_the_staff_code_ends_with_the_staff_link(shop):
    code = staff_code(shop)
    shop.owner_post("/links/staff/replace")
    assert enters(shop, code).status == 400
    assert shop.owner_get()["staff_code"] is None


def test_a_code_is_refused_where_none_was_given(client, place):
    assert enters(place, "12345678").status == 400
    assert client.post("/nobody/code", {"code": "12345678"}).status == 404


def test_only_the_owner_gives_codes(shop, door):
    before = shop.export()
    for path in (f"doors/{door.id}/code", "links/staff/code", "counters", "counters/shop/doors"):
        url = f"http://localhost/corner-deli/manage/{door.link.rsplit('/', 1)[1]}/{path}"
        assert shop.client.post(url, {"name": "Eve", "capacity": 5}).status == 404
    assert shop.export() == before


# ----- in a browser without JavaScript


@pytest.fixture
def owner(app, shop):
    """The owner's page of counters."""
    return Browser(app).open(f"{shop.links['manage']}/occupancy")


def test_the_owner_changes_counters_by_forms(owner, shop):
    owner.press("Add the counter", name="Hall", capacity="40", empties="never")
    assert (owner.status, owner.redirects) == (200, [303])
    hall = shop.counter("hall")
    assert (hall["capacity"], hall["empties"], hall["admits"]) == (40, "never", None)
    owner.press("Save Hall", capacity="50", admits="deli", hold_minutes="3", empties="day")
    hall = shop.counter("hall")
    assert [hall[name] for name in ("capacity", "admits", "hold_minutes", "empties")] == [
        50,
        "deli",
        3,
        "day",
    ]
    owner.press("Save Hall", admits="")
    assert shop.counter("hall")["admits"] is None
    owner.press("Add the door to Hall", name="Back")
    assert [each["name"] for each in shop.counter("hall")["doors"]] == ["Hall", "Back"]
    old = shop.door("Back", "hall").link
    owner.press("Replace the link of Back")
    assert shop.client.get(old).status == 404
    assert shop.door("Back", "hall").link.removeprefix("http://localhost") in owner.html
    owner.press("Remove Back")
    assert [each["name"] for each in shop.counter("hall")["doors"]] == ["Hall"]
    owner.press("Delete Hall")
    assert [each["slug"] for each in shop.owner_get()["counters"]] == ["shop"]


@pytest.mark.both_databases
def test_saving_a_counter_as_it_is_changes_nothing(owner, shop, door):
    door.tap(3)
    shop.owner_post("/counters/shop", admits="deli", empties="never", hold_minutes=7)
    before = shop.counter()
    owner.open(f"{shop.links['manage']}/occupancy").press("Save Shop")
    assert (owner.status, owner.redirects, shop.counter()) == (200, [303], before)


def test_an_error_in_a_counters_settings_keeps_what_was_typed(owner, shop):
    owner.press("Save Shop", name="Hall", capacity="0")
    assert (owner.status, "from 1 to 100000" in owner.html) == (400, True)
    assert {"name": "Hall", "capacity": "0"}.items() <= dict(owner.form("Save Shop")["fields"]).items()
    assert shop.counter()["name"] == "Shop"


def test_a_code_typed_on_the_page_leads_to_the_door(app, owner, shop, door):
    owner.press("Get a one-time code for the door Shop")
    assert (owner.status, owner.redirects) == (200, [303])
    code = shop.counter()["doors"][0]["code"]
    assert code in owner.html
    phone = Browser(app).open(shop.links["customers"]).press("Continue", code=f"{code[:3]} {code[3:]}")
    assert (phone.status, phone.redirects) == (200, [303])
    assert phone.url == door.link[len("http://localhost") :]


def test_a_staff_code_typed_on_the_page_leads_to_the_staff_page(app, owner, shop):
    owner.open(f"{shop.links['manage']}/team").press("Get a one-time code for a colleague")
    code = shop.owner_get()["staff_code"]["code"]
    assert code in owner.html
    helper = Browser(app).open(shop.links["customers"]).press("Continue", code=code)
    assert (helper.status, helper.redirects[0], helper.has("Start serving")) == (200, 303, True)


def test_a_wrong_code_is_an_error_on_the_customers_page(app, shop, door):
    wrong = other_than(door_code(shop, door))
    phone = Browser(app).open(shop.links["customers"]).press("Continue", code=wrong)
    assert (phone.status, phone.redirects) == (400, [])
    assert "wrong or has expired" in phone.html
    assert ("code", wrong) in phone.form("Continue")["fields"]
    assert phone.has("Take a number")


@pytest.mark.parametrize(
    "button",
    ["Add the counter", "Save Shop", "Delete Shop", "Add the door to Shop", "Remove Shop", "Get a one-time"],
)
def test_a_form_needs_its_token(owner, shop, button):
    before = shop.export()
    owner.press(button, csrf_token="x", name="Hall", capacity="5")
    assert (owner.status, "once more" in owner.html) == (400, True)
    assert shop.export() == before


def test_a_name_is_only_text(app, shop):
    mean = "<script>alert(1)</script>'\"&"
    shop.owner_post("/counters/shop", name=mean, admits="deli")
    shop.owner_post("/counters/shop/doors", name=mean)
    shop.customer()
    counter = shop.counter()
    links = [door["links"]["door"] for door in counter["doors"]] + list(counter["links"].values())
    links += [shop.links[name] for name in ("customers", "board", "manage", "staff")]
    links += [f"{shop.links['manage']}/{section}" for section in ("occupancy", "queues")]
    for url in links:
        html = Browser(app).open(url).html
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html or url.endswith("/queues") or "/staff/" in url
