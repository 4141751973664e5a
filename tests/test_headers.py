"""The headers of every response."""

import pytest


@pytest.fixture
def urls(place, ana, door):
    """One URL of each kind of response."""
    owner, customer = place.owner_get()["links"], place.customer()
    counter = place.counter()["links"]
    return {
        "home": "/",
        "customers": owner["customers"],
        "board": owner["board"],
        "poster": owner["poster"],
        "staff": owner["staff"],
        "manage": owner["manage"],
        "ticket": customer.ticket["links"]["ticket"],
        "desk": ana.link,
        "door": door.link,
        "screen": counter["screen"],
        "counter": counter["counter"],
        "taps csv": f"{counter['counter']}/taps.csv",
        "csv": owner["tickets_csv"],
        "export": owner["export"],
        "health": "/healthz",
        "not found": "/nobody",
        "not allowed": "/places",
        "static": "/static/app.css",
    }


KINDS = ["home", "customers", "board", "poster", "staff", "manage", "ticket", "desk", "csv", "export"]
KINDS += ["door", "screen", "counter", "taps csv"]
KINDS += ["health", "static", "not found", "not allowed"]
JSON, HTML = "application/json", "text/html"


def assert_careful(headers):
    """Check the headers that every response has."""
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers
    assert "Access-Control-Allow-Origin" not in headers
    rules = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert (
        rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    )
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert not {"*", "'unsafe-inline'", "'unsafe-eval'", "http:", "https:"} & set(
        " ".join(rules.values()).split()
    )


@pytest.mark.parametrize("accept", [JSON, HTML])
def test_every_response_has_the_headers_that_protect_it(place, urls, accept):
    assert urls.keys() == set(KINDS)
    for kind, url in urls.items():
        headers = place.client.get(url, Accept=accept).headers
        assert_careful(headers)
        if kind != "static":
            assert "accept" in headers["Vary"].lower(), kind
        if kind not in ("static", "customers"):
            assert headers["Cache-Control"] == "no-store", kind


def test_an_error_is_not_kept_either(place, ana):
    answer = ana.post("next", finished="A9")
    assert (answer.status, answer.headers["Cache-Control"]) == (409, "no-store")


@pytest.mark.parametrize("kind", ["staff", "manage", "ticket", "desk", "door", "counter"])
def test_private_pages_are_not_for_search_engines(place, urls, kind):
    assert "noindex" in place.client.get(urls[kind]).headers["X-Robots-Tag"]


def test_the_stream_is_not_buffered_by_proxies(place):
    stream = place.client.flask_client.get(place.links["live"])
    assert stream.mimetype == "text/event-stream"
    assert stream.headers["X-Accel-Buffering"] == "no"
    assert "no-" in stream.headers["Cache-Control"]
    stream.close()


def test_json_needs_no_cookie_and_sets_none(place, ana, door):
    customer = place.customer()
    answers = [
        place.take(),
        place.client.get(customer.ticket["links"]["ticket"]),
        ana.post("next", finished=None),
        place.client.get(place.links["manage"]),
        customer.cancel(),
        door.send_taps(),
    ]
    assert [answer.headers.get("Set-Cookie") for answer in answers] == [None] * 6


def test_the_cookie_is_kept_from_scripts_and_other_sites(place):
    cookie = place.client.flask_client.get(place.links["customers"], headers={"Accept": HTML}).headers[
        "Set-Cookie"
    ]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
