"""Opening a place and its links."""

import re

import pytest
from helpers.html_browser import Browser
from helpers.places import open_deli


def test_opening_a_place_gives_all_its_links(client):
    status, body, _ = client.post("/places", {"name": "Corner Deli"})
    assert status == 201
    assert (body["slug"], body["name"], body["timezone"]) == ("corner-deli", "Corner Deli", "UTC")
    assert {"customers", "board", "live", "staff", "manage"} <= set(body["links"])
    assert body["links"]["customers"] == "http://localhost/corner-deli"
    assert body["counters"] == []


def test_every_link_is_absolute_and_works(place):
    for name, url in place.owner_get()["links"].items():
        assert url.startswith("http://localhost/")
        assert "?" not in url
        assert not url.endswith("/")
        if name not in ("live", "queues"):
            assert place.client.get(url).status == 200


def test_a_place_without_a_named_queue_gets_one_named_line(client):
    queues = client.post("/places", {"name": "Repair shop"}).body["queues"]
    assert [(queue["slug"], queue["name"], queue["prefix"]) for queue in queues] == [("line", "Line", "A")]
    assert queues[0]["links"]["take"] == "http://localhost/repair-shop/line/tickets"


def test_only_a_form_left_blank_gives_a_queue(start):
    app = start(places="open")
    browser = Browser(app).open("/")
    assert "Leave blank for a simple queue." in browser.html
    browser.press("Create my place", name="Shop", **{"counter-name": "Inside", "counter-capacity": "5"})
    assert not browser.open("/shop").has("Take a number")
    browser.open("/").press("Create my place", name="Deli")
    assert browser.open("/deli").has("Take a number")


def test_a_place_opens_with_a_named_queue(client):
    queues = client.post("/places", {"name": "Corner Deli", "queue": "Deli"}).body["queues"]
    assert [(queue["slug"], queue["open"], queue["kind"]) for queue in queues] == [("deli", True, "walk-in")]


def test_the_owner_sees_what_was_entered(client):
    place = open_deli(client, timezone="Pacific/Auckland", country="NZ", slug="kai")
    sees = place.owner_get()
    assert (sees["slug"], sees["timezone"], sees["country"], sees["day_starts"]) == (
        "kai",
        "Pacific/Auckland",
        "NZ",
        4,
    )


def test_the_country_is_that_of_the_time_zone(client):
    assert open_deli(client, timezone="Europe/Berlin").owner_get()["country"] == "DE"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Corner Deli", "corner-deli"),
        ("  Ana's   Café & Bar! ", "anas-cafe-bar"),
        ("Łódź Øresund Straße", "lodz-oresund-strasse"),
        ("東京ラーメン", "place-2"),
        ("Манга", "place-2"),
        ("42", "place-2"),
        ("Board", "board-2"),
        ("static", "static-2"),
        ("Places", "places-2"),
        ("HealthZ", "healthz-2"),
        ("x" * 80, "x" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_the_slug_is_made_of_the_name(client, name, slug):
    assert client.post("/places", {"name": name}).body["slug"] == slug


def test_a_slug_is_never_used_twice(start, client):
    many = type(client)(start(places="open"))
    slugs = [many.post("/places", {"name": "Corner Deli"}).body["slug"] for _ in range(3)]
    assert slugs == ["corner-deli", "corner-deli-2", "corner-deli-3"]
    assert many.post("/places", {"name": "Another", "slug": "corner-deli"}).status == 409


def words_in_urls(app):
    """The words of URLs that stand where the slug of a place, or of a queue, could stand."""
    urls = [rule.rule.strip("/").split("/") for rule in app.url_map.iter_rules()]
    first = {url[0] for url in urls}
    after_place = {url[1] for url in urls if url[0] == "<place>" and len(url) > 1}
    return sorted(word for word in first | after_place if re.fullmatch("[a-z0-9-]+", word))


def test_no_place_gets_a_word_that_the_urls_use(app, client):
    words = words_in_urls(app)
    assert {"healthz", "places", "staff", "t"} <= set(words)
    for word in words:
        assert client.post("/places", {"name": "Deli", "slug": word}).status == 409, word


def test_a_server_for_one_place_opens_only_one(client, place):
    status, body, _ = client.post("/places", {"name": "Another"})
    assert status == 403
    assert "one place" in body["error"]
    assert [each["slug"] for each in client.get("/").body["places"]] == ["corner-deli"]


def test_an_open_server_opens_many_and_lists_none(start, client):
    many = type(client)(start(places="open"))
    assert {many.post("/places", {"name": name}).status for name in ("One", "Two")} == {201}
    assert many.get("/").body["places"] == []


def test_a_server_with_a_setup_code_asks_for_it(start, client):
    careful = type(client)(start(setup_code="open sesame"))
    assert careful.post("/places", {"name": "Corner Deli"}).status == 403
    assert careful.post("/places", {"name": "Corner Deli", "setup_code": "open"}).status == 403
    assert careful.post("/places", {"name": "Corner Deli", "setup_code": None}).status == 403
    assert careful.get("/").body["places"] == []
    assert careful.post("/places", {"name": "Corner Deli", "setup_code": "open sesame"}).status == 201


def test_links_begin_with_the_configured_url(start, client):
    proxied = type(client)(start(url="https://queue.example.org/"))
    place = open_deli(proxied)
    assert place.links["manage"].startswith("https://queue.example.org/corner-deli/manage/")
    assert place.queue()["links"]["take"] == "https://queue.example.org/corner-deli/deli/tickets"


@pytest.mark.parametrize("what", ["manage", "staff"])
def test_links_cannot_be_guessed(start, client, what):
    many = type(client)(start(places="open"))
    tokens = {open_deli(many).links[what].rsplit("/", 1)[1] for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) >= 22 for token in tokens)


def test_the_place_is_still_there_after_a_restart(start, client, place):
    number = place.customer().number
    again = type(client)(start())
    assert again.get(place.links["customers"]).body["queues"][0]["waiting"] == [number]
    assert again.get(place.links["manage"]).status == 200


def test_the_health_check_answers(client):
    assert client.get("/healthz").status == 200


@pytest.mark.sqlite_file
def test_each_database_has_a_secret_key_of_its_own(tmp_path, start):
    one, two = start(data=tmp_path / "one"), start(data=tmp_path / "two")
    assert one.secret_key != two.secret_key
    assert one.secret_key == start(data=tmp_path / "one").secret_key


def test_reloading_a_refused_form_leads_back_to_the_form(client):
    """An old phone that forgot the page in a tab asks for its URL again, which is that of the form."""
    answer = client.send("GET", "/places", headers={"Accept": "text/html"})
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert client.get("/places").status == 405


def test_a_program_that_sends_no_json_learns_what_to_send(client):
    answer = client.send("POST", "/places", data={"name": "Corner Deli"})
    assert answer.status == 400
    assert "Content-Type: application/json" in answer.body["error"]


@pytest.mark.parametrize("typed", ["/corner-deli/", "/Corner-Deli", "/CORNER-DELI/"])
def test_a_place_is_found_as_people_type_its_url(place, app, typed):
    phone = Browser(app).open(typed)
    assert (phone.status, phone.url) == (200, "/corner-deli")
    assert place.client.get(typed).status == 404  # programs use the links that they were given
