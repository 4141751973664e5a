"""Invalid requests are refused with an error that is a sentence, and change nothing."""

import json
import sqlite3
from contextlib import closing

import pytest
from helpers.app import close
from helpers.client import AppClient
from helpers.clock import Clock
from helpers.places import Place, open_deli

import takeanumber
from app import clock as app_clock

HUGE = 10**400
ADDRESSES = (f"10.0.{high}.{low}" for high in range(256) for low in range(1, 255))
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    """A place with something behind every button, its URLs by name, and the time; created once for all."""
    clock, data = Clock(), tmp_path_factory.mktemp("furnished") / "data"
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(app_clock, "source", clock)
        app = takeanumber.create_app(data=data, takes_per_minute=10**9)
        place = open_deli(AppClient(app), country="DE")
        links = furnish(place)
    yield place, links, clock.at
    close(app)


@pytest.fixture
def place(furnished, clock):
    """That place, for requests that must change nothing."""
    place, _, clock.at = furnished
    # Each test has an address of its own, since addresses are rate-limited.
    place.client.flask_client.environ_base["REMOTE_ADDR"] = next(ADDRESSES)
    return place


@pytest.fixture
def own_place(furnished, start, clock, tmp_path):
    """A copy of that place, for a test that changes it."""
    place, _, clock.at = furnished
    with closing(
        sqlite3.connect(
            place.client.flask_client.application.extensions["takeanumber"].settings.data / "takeanumber.db"
        )
    ) as db:
        (tmp_path / "data").mkdir()
        db.execute("VACUUM INTO ?", (str(tmp_path / "data" / "takeanumber.db"),))
    return Place(AppClient(start()), {"slug": place.slug, "links": place.links})


@pytest.fixture
def links(furnished):
    """Every URL of the place that takes a POST, by name."""
    return furnished[1]


def furnish(bakery):
    """Put a customer in the line and one at Ana's desk; return every URL that takes a POST, by name."""
    assert bakery.owner_post("/queues", name="Bakery").status == 201
    assert bakery.owner_post("/counters", name="Shop", capacity=10).status == 201
    ana, door = bakery.desk("Ana", "Window 2"), bakery.door()
    customers = [bakery.customer() for _ in range(3)]
    ana.call_next()
    assert bakery.owner_post("/queues", name="Follow-ups", kind="calls", public_form=True).status == 201
    bakery.put_on_list("Ida")
    cleo = bakery.caller()
    cleo.next_call()
    door.tap(2)
    manage = bakery.links["manage"]
    return {
        "places": "http://localhost/places",
        "home": "http://localhost/",
        "take": bakery.queue()["links"]["take"],
        "cancel": customers[0].ticket["links"]["cancel"],
        "staff": bakery.links["staff"],
        "manage": manage,
        "delete place": f"{manage}/delete",
        "replace manage": f"{manage}/links/manage/replace",
        "replace staff": f"{manage}/links/staff/replace",
        "queues": f"{manage}/queues",
        "queue": f"{manage}/queues/deli",
        "servicer": f"{manage}/servicers/{ana.id}",
        "remove servicer": f"{manage}/servicers/{ana.id}/remove",
    } | {
        **{
            f"{action} queue": f"{manage}/queues/deli/{action}"
            for action in ("open", "close", "reset", "delete")
        },
        "cancel many": f"{manage}/queues/deli/cancel",
        "counters": f"{manage}/counters",
        "counter": f"{manage}/counters/shop",
        "delete counter": f"{manage}/counters/shop/delete",
        "doors": f"{manage}/counters/shop/doors",
        **{
            f"{action} door": f"{manage}/doors/{door.id}/{action}" for action in ("replace", "code", "remove")
        },
        "staff code": f"{manage}/links/staff/code",
        "enter code": f"{bakery.links['customers']}/code",
        "taps": f"{door.link}/taps",
        "recount": f"{door.link}/recount",
        "not here": f"{door.link}/no-show",
        **{button: f"{ana.link}/{button}" for button in BUTTONS},
        "list": f"{manage}/queues/follow-ups",
        "clear claim": f"{manage}/queues/follow-ups/clear-claim",
        **{words: f"{manage}/{words}" for words in ("reasons", "outcomes", "services")},
        "remove outcome": f"{manage}/outcomes/1/remove",
        "request": f"{bakery.links['customers']}/follow-ups/tickets",
        "call me": f"{customers[1].ticket['links']['ticket']}/call-me",
        **{call: f"{cleo.link}/calls/{call}" for call in ("report", "incoming")},
        "call next": f"{cleo.link}/calls/next",
        "more time": f"{cleo.link}/calls/more-time",
        "give back": f"{cleo.link}/calls/give-back",
    }


NUMBER = ["start", "done", "no-show", "call-again", "put-back", "move", "bring-back"]
BUTTONS = [*NUMBER, "next", "pause", "resume", "add"]
READ_BODY = ["places", "home", "take", "staff", "manage", "queues", "queue", "servicer", "add"]
READ_BODY += ["delete place", "cancel many", *NUMBER, "next"]
READ_BODY += ["list", "clear claim", "reasons", "outcomes", "services", "request", "call me"]
READ_BODY += ["report", "incoming", "call next", "more time", "give back"]
READ_BODY += ["counters", "counter", "doors", "enter code", "taps", "recount", "not here"]


@pytest.fixture
def refuses(place, links):
    """Send a request that must be refused, and check that it changed nothing."""
    before = place.export(), place.picture()

    def refuses(name, status, content=None, **request):
        sent = request or {"json": content}
        answer = place.client.send("POST", links[name], **sent)
        assert answer.status == status, answer.body
        assert isinstance(answer.body["error"], str)
        assert (place.export(), place.picture()) == before

    return refuses


# ----- bodies that are no JSON object


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"{",
        b"{'name': 'x'}",
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'{"name": ' + b"9" * 5000 + b"}",
        DEEP.encode()[:60_000],
        b'{"name": ' + b'{"a":' * 9_000,
    ],
    ids=[
        "list",
        "null",
        "number",
        "text",
        "half",
        "python",
        "not utf-8",
        "half utf-8",
        "huge",
        "deep",
        "deeper",
    ],
)
def test_a_body_must_be_a_json_object(refuses, body):
    for name in READ_BODY:
        refuses(name, 400, data=body, headers={"Content_Type": "application/json"})


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/octet-stream", "multipart/form-data", "", "nonsense"]
)
def test_json_without_its_content_type_is_refused(refuses, kind):
    refuses("close queue", 400, data=b"{}", headers={"Content_Type": kind})


# ----- types and lengths, field by field

NOT_A_TEXT = [1, 1.5, True, [], ["x"], {}, {"a": 1}]
NOT_WHOLE = ["1", 1.0, 2.5, True, False, [], {}, [1]]
NOT_A_FLAG = [0, 1, "true", "", [], {}]
NOT_A_LIST = ["name", 1, True, {}, [1], [None], ["name", ["name"]], [{}]]
OUTSIDE = [0, -1, HUGE, -HUGE, 2**63, 10**9]

TABLE = [
    ("places", "name", [*NOT_A_TEXT, None, "", "   ", "\x00", "\x07\x1b", "x" * 81]),
    ("places", "slug", [*NOT_A_TEXT, "Deli", "a b", "a/b", "a--b", "-a", "a-", "é", "x" * 41, "a\nb"]),
    (
        "places",
        "timezone",
        [*NOT_A_TEXT, "Mars/Phobos", "europe/berlin", "../etc/passwd", "x" * 61, "Europe/Berlin\x00x/"],
    ),
    ("places", "country", [*NOT_A_TEXT, "us", "USA", "U", "1A", "ÄÖ", "US\nX"]),
    ("places", "queue", [*NOT_A_TEXT, "", "x" * 61]),
    ("places", "setup_code", [*NOT_A_TEXT, "x" * 201]),
    ("take", "name", [*NOT_A_TEXT, "x" * 81]),
    ("take", "phone", [*NOT_A_TEXT, "1" * 41]),
    ("take", "note", [*NOT_A_TEXT, "x" * 501]),
    ("take", "request_id", [*NOT_A_TEXT, "x" * 101]),
    ("take", "party", [*NOT_WHOLE, *OUTSIDE, 100]),
    ("staff", "name", [*NOT_A_TEXT, None, "", " ", "x" * 61]),
    ("staff", "desk", [*NOT_A_TEXT, "x" * 41]),
    ("staff", "queues", NOT_A_LIST),
    ("manage", "name", [*NOT_A_TEXT, "", "x" * 81]),
    ("manage", "timezone", [*NOT_A_TEXT, "Nowhere", "UTC+1"]),
    ("manage", "country", [*NOT_A_TEXT, "de"]),
    ("manage", "day_starts", [*NOT_WHOLE, -1, 24, HUGE]),
    ("delete place", "name", [*NOT_A_TEXT, None, ""]),
    ("queues", "name", [*NOT_A_TEXT, None, "", "x" * 61]),
    ("queue", "name", [*NOT_A_TEXT, "", "x" * 61]),
    ("queue", "prefix", [*NOT_A_TEXT, "a", "A1", "ABCD", "Ä", "A\nB"]),
    ("queue", "kind", [*NOT_A_TEXT, "nonsense"]),
    ("queue", "max_waiting", [*NOT_WHOLE, *OUTSIDE]),
    ("queue", "asks", [*NOT_A_LIST, ["shoe size"], ["name", "x"]]),
    ("queue", "shared_tablet", NOT_A_FLAG),
    ("cancel many", "numbers", [*NOT_A_LIST, None, []]),
    ("servicer", "queues", [1, "deli", {}, [1], [None]]),
    ("servicer", "on_duty", NOT_A_FLAG),
    ("next", "finished", [*NOT_A_TEXT, "x" * 21]),
    ("next", "number", [*NOT_A_TEXT, "x" * 21]),
    ("next", "queue", NOT_A_TEXT),
    *((button, "number", [*NOT_A_TEXT, None, "", "x" * 21]) for button in NUMBER),
    ("move", "queue", [*NOT_A_TEXT, None, ""]),
    ("move", "note", [*NOT_A_TEXT, "x" * 201]),
    ("move", "steps", [1, "deli", {}, [1], [None], ["nowhere"], ["deli", "deli"], ["deli", "bakery"] * 6]),
    ("add", "queue", [*NOT_A_TEXT, None, ""]),
    ("add", "party", [*NOT_WHOLE, 0, 100]),
    ("places", "counter", [5, "x", True, [], ["x"], {}, {"name": "Shop"}, {"name": "x", "capacity": "5"}]),
    ("counters", "name", [*NOT_A_TEXT, None, "", "x" * 61]),
    ("counters", "capacity", [*NOT_WHOLE, *OUTSIDE, None, 100_001]),
    ("counter", "name", [*NOT_A_TEXT, "", "x" * 61]),
    ("counter", "capacity", [*NOT_WHOLE, *OUTSIDE, 100_001]),
    ("counter", "hold_minutes", [*NOT_WHOLE, *OUTSIDE, 241]),
    ("counter", "empties", [*NOT_A_TEXT, "week", "DAY", "day\nnever"]),
    ("counter", "admits", [*NOT_A_TEXT, "x" * 61]),
    ("doors", "name", [*NOT_A_TEXT, None, "", "x" * 61]),
    ("enter code", "code", [*NOT_A_TEXT, None, "", "12345", "x" * 21]),
    ("taps", "taps", [None, 5, "x", True, {}, [5], [None], ["x"], [[]], [{}], [{"id": "x", "delta": 1}]]),
    ("recount", "count", [*NOT_WHOLE, None, -1, 100_001, HUGE, -HUGE]),
    ("not here", "number", [*NOT_A_TEXT, None, "", "x" * 21]),
    ("places", "call_list", [*NOT_A_TEXT, "", "x" * 61]),
    ("list", "claim_minutes", [*NOT_WHOLE, *OUTSIDE, 601]),
    ("list", "retry_minutes", [*NOT_WHOLE, *OUTSIDE]),
    ("list", "most_tries", [*NOT_WHOLE, *OUTSIDE]),
    ("list", "public_form", NOT_A_FLAG),
    ("list", "staff_email", [*NOT_A_TEXT, "nobody", "a@b, c@d", "a@b\nc", "a" * 200 + "@b"]),
    ("list", "callers", [1, "1", ["1"], [True], [1.5], [None], {}, [[1]]]),
    ("clear claim", "id", [*NOT_WHOLE, None, 0, -1, HUGE, 2**63]),
    ("reasons", "name", [*NOT_A_TEXT, None, "", "x" * 81]),
    ("outcomes", "name", [*NOT_A_TEXT, None, "", "x" * 61]),
    ("outcomes", "effect", [*NOT_A_TEXT, None, "", "nonsense", "reached\nx"]),
    ("services", "link", [*NOT_A_TEXT, "javascript:alert(1)", "example.org", "https://" + "x" * 300]),
    ("services", "phone", [*NOT_A_TEXT, "1" * 41]),
    ("request", "phone", [*NOT_A_TEXT, None, "", "12", "x" * 20, "1" * 41]),
    ("request", "email", [*NOT_A_TEXT, "nobody", "a@b\nBcc: c@d"]),
    ("request", "note", [*NOT_A_TEXT, "x" * 501]),
    ("request", "name", [*NOT_A_TEXT, "x" * 81]),
    ("call me", "phone", [*NOT_A_TEXT, None, "", "12"]),
    ("call next", "list", [*NOT_A_TEXT, "x" * 61]),
    *((name, "claim", [*NOT_A_TEXT, None, "", "x" * 61]) for name in ("report", "more time", "give back")),
    ("report", "outcome", [*NOT_A_TEXT, None, "", "x" * 81]),
    ("report", "notes", [*NOT_A_TEXT, "x" * 2001]),
    ("report", "call_back_at", [*NOT_A_TEXT, "x" * 41]),
    ("incoming", "phone", [*NOT_A_TEXT, None, "", "12"]),
    ("incoming", "refer_to", [*NOT_A_TEXT, "nowhere", "x" * 81]),
]
# Valid values for the rest of each body, so that the tested field is the reason for the refusal.
RIGHT = {
    "places": {"name": "Other"},
    "staff": {"name": "Eve"},
    "delete place": {},
    "queues": {"name": "Cheese"},
    "next": {"finished": "A1"},
    "move": {"number": "A1", "queue": "bakery"},
    "add": {"queue": "deli"},
    "counters": {"name": "Cellar", "capacity": 5},
    "reasons": {"name": "Other"},
    "outcomes": {"name": "Other", "effect": "done"},
    "services": {"name": "Other"},
    "request": {"phone": "030 1234567"},
    "report": {"claim": "x", "outcome": "Reached"},
    "incoming": {"phone": "030 1234567", "outcome": "Reached"},
}


@pytest.mark.parametrize(
    ("name", "field", "values"), TABLE, ids=[f"{name}-{field}" for name, field, _ in TABLE]
)
def test_a_field_of_the_wrong_type_or_length(refuses, name, field, values):
    for value in values:
        refuses(name, 400, RIGHT.get(name, {}) | {field: value})


@pytest.mark.parametrize("name", ["places", "take", "staff", "queues", "queue", "next", "add", "counter"])
def test_an_unknown_field_is_ignored(own_place, links, name):
    content = RIGHT.get(name, {}) | {
        "state": "done",
        "number": None,
        "id": 7,
        "token": "x",
        "priority": 1,
        "__class__": [],
    }
    assert own_place.client.post(links[name], content).status in ((403,) if name == "places" else (200, 201))


# ----- strange characters


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name, field, _ in TABLE
        if field
        not in ("party", "max_waiting", "day_starts", "on_duty", "shared_tablet", "count", "capacity")
        and field not in ("claim_minutes", "retry_minutes", "most_tries", "public_form", "id", "callers")
    ],
)
def test_lone_surrogates_are_refused(place, links, name, field):
    before = place.export()
    for text in ("\ud800", "a\udfffb", "\ud83e", "\udead\ud800"):
        value = [text] if field in ("queues", "asks", "numbers") else text
        answer = place.client.post(links[name], RIGHT.get(name, {}) | {field: value})
        assert answer.status in (400, 404, 409)
    assert place.export() == before


def test_control_characters_are_left_out(own_place):
    ana = own_place.desk()
    customer = own_place.customer(name="\x00Zo\x07ë\x1b[31m\r", note="one\ntwo\x00")
    called = ana.call_next(number=customer.number)
    assert (called["name"], called["note"]) == ("Zoë[31m", "one\ntwo")


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE ticket; --",
        "%s%n{0}{{7*7}}",
        "<img src=x onerror=alert(1)>",
        "\u202eright to left",
        "🧑‍🚀" * 10,
    ],
)
def test_markup_and_sql_in_text_stay_text(own_place, text):
    ana = own_place.desk()
    customer = own_place.customer(name=text)
    assert ana.call_next(number=customer.number)["name"] == text
    own_place.owner_post("", name=text)
    assert own_place.picture()["place"]["name"] == text


# ----- too much


def test_a_body_that_is_too_large(refuses, links):
    for name in links:
        refuses(
            name,
            413,
            data=json.dumps({"name": "x" * 64 * 1024}),
            headers={"Content_Type": "application/json"},
        )


def test_a_form_that_is_too_large(refuses):
    refuses("take", 413, data={"name": "x" * 64 * 1024})


def test_many_numbers_at_once(own_place, links):
    assert own_place.owner_post("/queues/deli/cancel", numbers=["A1"] * 10_000).status == 200
    assert own_place.queue()["waiting"] == ["A2", "A3"]


def test_a_long_address(client):
    assert client.get("/" + "x" * 5000).status == 404
    assert client.get("/corner-deli/t/" + "x" * 5000).status == 404


# ----- unknown URLs


@pytest.mark.parametrize(
    "token", ["x", "0", "%00", "%ff", "%ed%a0%80", "null", "' OR 1=1 --", "..", "%2e%2e", "ö", "x" * 2000]
)
def test_an_unknown_link_is_not_found(place, links, token):
    content = {"name": "Eve", "number": "A1", "finished": None, "queue": "deli"}
    content |= {"capacity": 5, "count": 5, "taps": []}
    names = ["take", "cancel", "staff", "manage", "queues", "queue", "close queue", "servicer", *BUTTONS]
    for name in [*names, "counters", "counter", "doors", "code door", "taps", "recount", "not here"]:
        parts = links[name].split("/")
        parts[5 if name != "take" else 4] = token
        assert place.client.post("/".join(parts), content).status == 404
        assert place.client.get("/".join(parts)).status in (404, 405)


@pytest.mark.parametrize("change", [str.swapcase, lambda token: token[:-1], lambda token: token + "A"])
def test_a_link_with_one_wrong_character_is_not_found(place, links, change):
    for name in ("staff", "manage", "cancel", "pause", "taps"):
        parts = links[name].split("/")
        parts[5] = change(parts[5])
        assert place.client.post("/".join(parts), {"name": "Eve", "taps": []}).status == 404


def test_a_token_of_one_kind_opens_no_link_of_another(place, links):
    tokens = {kind: links[kind].split("/")[5] for kind in ("staff", "manage", "pause", "cancel", "taps")}
    paths = {"staff": "staff", "manage": "manage", "pause": "desk", "cancel": "t", "taps": "door"}
    for kind, path in paths.items():
        for other in tokens.keys() - {kind}:
            assert place.client.get(f"/corner-deli/{path}/{tokens[other]}").status == 404


def test_a_missing_object_is_not_found(place):
    for path in NOWHERE:
        assert place.client.get(path).status == 404


NOWHERE = [
    "/nobody",
    "/nobody/board",
    "/nobody/poster",
    "/nobody/live",
    "/corner-deli/",
    "/corner-deli/nonsense",
    "/corner-deli/t",
    "/corner-deli/t/",
    "/corner-deli/deli",
    "/corner-deli/door",
    "/corner-deli/door/",
    "/corner-deli/counter",
    "/corner-deli/counter/deli",
    "/Corner-Deli",
    "/static/nonsense.css",
    "/static/../takeanumber.py",
    "/static/..%2ftakeanumber.py",
    "/data/takeanumber.db",
    "/robots.txt",
    "/.env",
    "/%00",
    "/%ff",
    "/corner-deli%00",
]


@pytest.mark.parametrize("servicer", ["0", "-1", "999999", "2147483648", "9" * 40, "x", "1.0", "1e3"])
def test_a_missing_servicer(place, servicer):
    for action in ("", "/remove"):
        assert place.owner_post(f"/servicers/{servicer}{action}", on_duty=False).status == 404


@pytest.mark.parametrize("queue", ["nonsense", "Deli", "%00", "%ff", "x" * 500])
def test_a_missing_queue(place, queue):
    for action in ("", "/close", "/open", "/reset", "/delete", "/cancel"):
        assert place.owner_post(f"/queues/{queue}{action}", numbers=["A1"]).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/queues/deli/nonsense",
        "/counters/shop/nonsense",
        "/doors/1",
        "/doors/1/nonsense",
        "/links/customers/replace",
        "/links/manage/nonsense",
        "/links/manage/code",
        "/nonsense",
    ],
)
def test_a_missing_action(place, path):
    assert place.owner_post(path).status == 404


# ----- methods


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"])
def test_other_methods_are_not_allowed(place, links, method):
    before = place.export()
    for url in {*links.values(), *place.owner_get()["links"].values()}:
        assert place.client.send(method, url).status == 405
    assert place.export() == before


def test_a_read_only_url_refuses_post(place):
    for name in ("customers", "board", "live", "poster", "tickets_csv", "export"):
        answer = place.client.post(place.owner_get()["links"][name])
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("days", [0, 1])
def test_reading_changes_nothing(own_place, links, clock, method, days):
    clock.advance(days=days)
    before = own_place.export()
    for url in {*links.values(), *own_place.owner_get()["links"].values()} - {own_place.links["live"]}:
        for query in ("", "?finished=A1&number=A1&name=x&queue=deli&_method=POST"):
            answer = own_place.client.send(method, url + query, headers={"X_HTTP_Method_Override": "POST"})
            assert answer.status in (200, 404, 405)
    assert own_place.export() == before


# ----- JSON or HTML


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain;q=0.5", "application/json;q=0.9"]
)
def test_json_is_returned_when_requested(place, accept):
    assert isinstance(place.client.get(place.links["customers"], Accept=accept).body, dict)


@pytest.mark.parametrize(
    "accept", ["text/html", "*/*", "", "text/*", "image/png", "nonsense", "text/html,*/*;q=0.8", "text/plain"]
)
def test_html_is_returned_otherwise(place, accept):
    for page in ("customers", "board", "manage"):
        answer = place.client.get(place.links[page], Accept=accept)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_html_is_returned_without_an_accept_header(place):
    answer = place.client.flask_client.get(place.links["customers"])
    assert answer.mimetype == "text/html"


def test_a_json_request_gets_its_error_as_json(place):
    answer = place.client.post(f"{place.links['manage']}x", {}, Accept="*/*")
    assert (answer.status, list(answer.body)) == (404, ["error"])
