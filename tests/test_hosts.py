"""The Host and the scheme that a client sends are checked before they are used."""

import http.client
import json

import pytest
from helpers.client import AppClient
from helpers.places import open_deli

INVALID = [
    "a" * 64,
    f"{'a' * 64}.example.org",
    ".".join(["a" * 60] * 5),
    "evil example",
    "evil.example/x",
    "evil.example@queue",
    "<script>",
    "a..b",
    "-a.example",
    "queue.example:99999",
    "queue.example:0",
    "queue.example:x",
    "queue.example:",
    "[::1",
    "[..]",
    "q, b",
    "%00",
    "münchen.example",
    "",
]
VALID = ["queue.example.org", "QUEUE.example.org:8000", "localhost", "192.168.1.5:8000", "[::1]:8000", "a.b."]


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
@pytest.mark.parametrize("host", INVALID)
def test_an_invalid_host_is_refused(place, host, accept):
    for url in ("/", place.links["manage"], "/healthz", "/nobody", "/corner-deli"):
        path = url.removeprefix("http://localhost")
        answer = place.client.flask_client.get(path, headers={"Host": host, "Accept": accept})
        assert answer.status_code == 400, answer.text
        assert "evil" not in answer.text


@pytest.mark.parametrize("host", VALID)
def test_links_begin_with_a_valid_host(place, host):
    answer = place.client.flask_client.get(
        "/corner-deli", headers={"Host": host, "Accept": "application/json"}
    )
    assert answer.json["links"]["customers"].lower() == f"http://{host}/corner-deli".lower()


@pytest.mark.parametrize("scheme", ["javascript", "ftp", "", "HTTPS", "https", "data:text/html,x"])
def test_the_scheme_is_http_or_https(start, scheme):
    client = AppClient(start(proxies=1))
    links = client.post("/places", {"name": "Deli"}, X_Forwarded_Proto=scheme).body["links"]
    expected = "https" if scheme.lower() == "https" else "http"
    assert {url.partition(":")[0] for url in links.values()} == {expected}


def test_with_a_url_no_host_gets_into_a_link(start):
    place = open_deli(AppClient(start(url="https://queue.example.org")))
    answer = place.client.flask_client.get("/corner-deli", headers={"Host": "evil.example"})
    assert "evil" not in answer.text


def test_a_real_server_refuses_an_invalid_host_too(server):
    for host in ("a" * 64, "javascript:", "x y", "ü", "[1:2]"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("GET", "/", skip_host=True)
        connection.putheader("Host", host.encode())
        connection.putheader("Accept", "application/json")
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, "error" in json.loads(answer.read())) == (400, True)
        connection.close()
    assert "Traceback" not in server.log


def test_the_base_of_links_is_inserted_for_each_client(place):
    place.customer()
    for host in ("one.example", "two.example:8000", "one.example"):
        answer = place.client.flask_client.get(
            "/corner-deli", headers={"Host": host, "Accept": "application/json"}
        )
        assert set(answer.json["links"].values()) == {
            f"http://{host}/corner-deli{path}" for path in ("", "/board", "/live")
        }
        html = place.client.flask_client.get(
            "/corner-deli/board", headers={"Host": host, "Accept": "text/html"}
        ).text
        assert f"http://{host}/corner-deli" in html


# ----- https


def test_cookies_are_secure_and_https_stays_where_the_url_is_https(start):
    client = AppClient(start(url="https://queue.example.org"))
    place = open_deli(client)
    answer = client.flask_client.get(place.links["customers"], headers={"Accept": "text/html"})
    assert "Secure" in answer.headers["Set-Cookie"]
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_without_https_cookies_work_without_it(place):
    answer = place.client.flask_client.get(place.links["customers"], headers={"Accept": "text/html"})
    assert "Secure" not in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers
