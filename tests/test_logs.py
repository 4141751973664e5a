"""No line of a log holds the token of a link."""

import http.client
import logging
import secrets

import pytest
from helpers.server import issued_tokens

from app.logs import remove_tokens, without_tokens

FAILING = """
import takeanumber

make = takeanumber.create_app


def with_a_page_that_fails(*args, **settings):
    app = make(*args, **settings)

    def fails(place, token):
        import logging, threading, warnings
        logging.getLogger("some.library").error("GET /%s/manage/%s", place, token, stack_info=True)
        logging.getLogger("waitress").info("Client disconnected while serving /%s/desk/%s/next", place, token)
        logging.getLogger("odd").error("too few %s %s", token)
        warnings.warn(f"{token} is deprecated")
        thread = threading.Thread(target=lambda: 1 / len(token[22:]))
        thread.start()
        thread.join()
        raise RuntimeError(f"No {token!r} in b'/x/{token}', https://x/{token}?a, {{'a': '\\\\n{token}'}}")

    app.view_functions["owner.show_manage"] = fails
    return app


takeanumber.create_app = with_a_page_that_fails
takeanumber.cli(["serve"])
"""


def failing_get(server, url, **headers):
    """Ask for a page that fails; the client of the tests allows no such answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", url.removeprefix(server.url), headers=headers)
    assert connection.getresponse().status in (400, 500)
    connection.close()


def test_no_log_of_a_server_holds_a_token(start_server):
    server = start_server(code=FAILING)
    shop = server.open_shop(counter={"name": "Shop", "capacity": 5})
    for _ in range(20):
        shop.take()
    shop.desk().call_next()
    for _ in range(5):
        failing_get(server, shop.links["manage"])
    failing_get(server, shop.links["manage"], Host="x" * 70)
    server.stop()
    tokens = issued_tokens(server.data)
    assert len(tokens) > 20
    for said in ("RuntimeError", "GET /corner-deli", "too few", "deprecated", "ZeroDivisionError"):
        assert said in server.log
    assert [token for token in tokens if token in server.log] == []
    assert "/manage/…" in server.log
    assert "fails" in server.log  # a traceback stays one


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "/x/manage/{}",
        "/x/manage/{}/queues?a=b",
        "'{}'",
        "b'{}\\n'",
        "\\n{}",
        "%2F{}%3F",
        "Bearer {}",
        "({}, {})",
    ],
)
def test_a_token_is_found_wherever_it_stands(text):
    for _ in range(2000):
        token = secrets.token_urlsafe(16)
        assert token not in without_tokens(text.replace("{}", token))


@pytest.mark.parametrize(
    "text",
    [
        "File app/web/request.py, line 1, in test_a_long_function_ng",
        "handle_unexpected_errog",
        "00000001/0000000012-20261121T100000Z",
        "3d2b0a3e-7f6c-4b1e-9d2a-0123456789ab",
        "sqlalchemy.exc.OperationalError",
    ],
)
def test_other_words_stay_in_the_log(text):
    assert without_tokens(text) == text


def test_a_record_whose_arguments_don_t_fit_is_logged_all_the_same():
    token = secrets.token_urlsafe(16)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s and %s", (token,), None)
    assert remove_tokens(record)
    assert token not in record.getMessage()
    assert "%s and %s" in record.getMessage()
