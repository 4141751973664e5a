"""Web app manifests and icons, and the previews of links in chats."""

import html
import re
import struct

import pytest


def page_of(client, url):
    return client.get(url, Accept="text/html").body


@pytest.fixture
def pages(place, ana, door):
    """The links of pages by their kind."""
    ticket = place.customer().ticket["links"]["ticket"]
    screen = place.counter()["links"]["screen"]
    return {
        "home": "/",
        "customers": place.links["customers"],
        "board": place.links["board"],
        "screen": screen,
        "poster": f"{place.links['customers']}/poster",
        "staff": place.links["staff"],
        "desk": ana.link,
        "door": door.link,
        "ticket": ticket,
        "manage": place.links["manage"],
    }


@pytest.mark.parametrize("page", ["customers", "board", "screen", "desk", "door"])
def test_a_page_is_installed_as_an_app_that_begins_there(place, pages, page):
    text = page_of(place.client, pages[page])
    url = re.search(r'<link rel="manifest" href="([^"]+)"', text)[1]
    response = place.client.get(url, Accept="*/*")
    manifest = response.body
    assert (response.status, response.headers["Content-Type"]) == (200, "application/manifest+json")
    assert pages[page].endswith(manifest["start_url"])
    assert manifest["id"] == manifest["start_url"]
    assert manifest["display"] == ("fullscreen" if page in ("board", "screen") else "standalone")
    assert "Corner Deli" in manifest["name"]
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        picture = place.client.flask_client.get(icon["src"]).data
        size = struct.unpack(">II", picture[16:24])
        assert (picture[:4], "{}x{}".format(*size)) == (b"\x89PNG", icon["sizes"])


def test_no_two_pages_are_the_same_app(place, pages):
    shown = [pages[name] for name in ("customers", "board", "screen", "desk", "door")]
    manifests = [re.search(r'"manifest" href="([^"]+)"', page_of(place.client, url))[1] for url in shown]
    assert len({place.client.get(url).body["id"] for url in manifests}) == len(shown)


@pytest.mark.parametrize("kind", ["desk", "door"])
def test_a_manifest_needs_the_token_of_the_page(place, kind):
    assert place.client.get(f"/corner-deli/{kind}/nobody/manifest.webmanifest").status == 404


@pytest.mark.parametrize(
    ("path", "begins"), [("/favicon.ico", b"\0\0\1\0"), ("/apple-touch-icon.png", b"\x89PNG")]
)
def test_icons_are_at_the_urls_that_browsers_request(place, path, begins):
    response = place.client.flask_client.get(path)
    assert (response.status_code, response.data[:4]) == (200, begins)
    assert "max-age=86400" in response.headers["Cache-Control"]


@pytest.mark.parametrize("page", ["home", "customers", "board", "screen", "poster"])
def test_a_public_page_describes_itself_and_has_a_preview(place, pages, page):
    text = page_of(place.client, pages[page])
    about = html.unescape(re.search(r'<meta name="description" content="([^"]+)"', text)[1])
    assert len(about) > 20
    assert html.unescape(re.search(r'property="og:description" content="([^"]+)"', text)[1]) == about
    assert re.search(r'property="og:title" content="[^"]+"', text)
    image = re.search(r'property="og:image" content="(http[^"]+)"', text)[1]
    assert place.client.flask_client.get(image).status_code == 200
    assert "X-Robots-Tag" not in place.client.get(pages[page], Accept="text/html").headers


@pytest.mark.parametrize("page", ["staff", "desk", "door", "ticket", "manage"])
def test_a_page_with_a_token_has_no_preview(place, pages, page):
    text = page_of(place.client, pages[page])
    assert "og:" not in text
    assert place.client.get(pages[page], Accept="text/html").headers["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        ({"from": 480, "to": 2580}, "up to 45 minutes"),
        ({"from": 480, "to": 900}, "about 8 to 15 minutes"),
        ({"from": 60, "to": 240}, "up to 4 minutes"),
        ({"from": 0, "to": 720}, "up to 12 minutes"),
        ({"from": 300, "to": 300}, "about 5 minutes"),
        ({"from": 1200, "to": 3000}, "about 20 to 50 minutes"),
        ({"from": 1200, "to": 3660}, "up to 65 minutes"),
    ],
)
def test_a_wide_range_of_the_wait_says_how_long_it_takes_at_most(waits, words):
    from app.web.present import wait_in_words

    assert wait_in_words(waits) == words
