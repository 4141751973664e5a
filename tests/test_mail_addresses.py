"""Mail goes to confirmed addresses, holds no text of strangers, and is limited per hour."""

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from test_mail import FROM, URL, asks, asks_in_public, confirms, link_in, outbox, post, sends, shop  # noqa: F401

PILLS = "Buy pills at evil.example"


@pytest.fixture
def open_server(start, post):  # noqa: F811
    """A server on which anybody may open places, and a place that was opened to send spam."""
    client = AppClient(start(places="open", url=URL, smtp_url=post.url, smtp_from=FROM))
    place = open_deli(client, name=PILLS, country="DE")
    place.app = place.client.flask_client.application
    form = {"public_form": True, "staff_email": "victim@example.org"}
    assert place.owner_post("/queues", name=PILLS, kind="calls", **form).status == 201
    return place


def call_list(place):
    return next(each for each in place.owner_get()["queues"] if each["kind"] == "calls")


def test_a_staff_address_gets_nothing_but_a_link_until_somebody_confirms_it(start, post):  # noqa: F811
    place = asks_in_public(start(url=URL, smtp_url=post.url, smtp_from=FROM))
    assert call_list(place)["staff_email_state"] == "asked"
    asks(place, email=None, note="Secret")
    sends(place)
    (mail,) = post.mails()
    assert mail["To"] == "staff@example.org"
    assert "Secret" not in mail.as_string()
    link = link_in(mail)
    for _ in range(2):  # a GET changes nothing
        assert place.client.get(link).body["confirmed"] is False
    for _ in range(2):
        assert place.client.post(link).body["confirmed"] is True
    assert call_list(place)["staff_email_state"] == "confirmed"
    asks(place, email=None, phone="030 7654321", note="Now you may know")
    sends(place)
    assert "Now you may know" in post.mails()[-1].get_content()


def test_the_pages_of_a_mail_work_with_buttons(start, post, app):  # noqa: F811
    from helpers.html_browser import Browser

    place = asks_in_public(start(url=URL, smtp_url=post.url, smtp_from=FROM))
    sends(place)
    link = link_in(post.mails()[0])
    reader = Browser(place.app).open(link)
    reader.press("Confirm my address")
    assert "Your address is confirmed" in reader.html
    reader.open(link_in(post.mails()[0], "not you")).press("Send me no more mail")
    assert "no more mail" in reader.html
    assert call_list(place)["staff_email_state"] == "blocked"


def test_no_mail_to_an_unconfirmed_address_holds_a_stranger_s_words(open_server, post):  # noqa: F811
    asked = asks(open_server, name=PILLS, note=PILLS, email="other@example.org")
    sends(open_server)
    assert {each["To"] for each in post.mails()} == {"victim@example.org", "other@example.org"}
    for mail in post.mails():
        text = mail.as_string().lower()
        assert not any(word in text for word in ("pills", "evil.example", open_server.slug))
        assert link_in(mail, "not you").startswith(f"{URL}/mail/")
    ticket = link_in(next(each for each in post.mails() if each["To"] == "other@example.org"), "stands")
    answer = open_server.client.get(ticket)
    assert (answer.status, URL + answer.headers["Location"]) == (302, asked["links"]["ticket"])


def test_a_blocked_address_gets_no_mail_from_any_place(open_server, post):  # noqa: F811
    sends(open_server)
    not_me = link_in(post.mails()[0], "not you")
    asks(open_server, email="victim@example.org")
    assert len(outbox(open_server)) == 1
    assert open_server.client.get(not_me).body["blocked"] is False
    for _ in range(2):
        assert open_server.client.post(not_me).body["blocked"] is True
    assert outbox(open_server) == []
    asks(open_server, phone="030 7654321", email="VICTIM@example.org")
    other = open_deli(open_server.client, name="Another", country="DE")
    form = {"public_form": True, "staff_email": "victim@example.org"}
    answer = other.owner_post("/queues", name="Calls", kind="calls", **form)
    assert answer.body["staff_email_state"] == "blocked"
    assert (outbox(other), outbox(open_server)) == ([], [])


def test_a_confirmation_is_for_one_place(open_server, post):  # noqa: F811
    confirms(open_server, post)
    other = open_deli(open_server.client, name="Another", country="DE")
    other.app = open_server.app
    form = {"public_form": True, "staff_email": "victim@example.org"}
    other.owner_post("/queues", name="Calls", kind="calls", **form)
    asks(other, email=None, note=PILLS)
    sends(other)
    assert all("Somebody asks" not in each.get_content() for each in post.mails())


def test_a_recipient_gets_three_mails_an_hour(shop, post, clock):  # noqa: F811
    def many(first):
        for n in range(10):
            asks(shop, phone=f"030 {first + n}", email="zoe@example.org")
            sends(shop)

    many(1000000)
    received = [each["To"] for each in post.mails()]
    # The staff's address has got the link to confirm it before.
    assert (received.count("zoe@example.org"), received.count("staff@example.org")) == (3, 2)
    clock.advance(hours=1)
    sends(shop)
    assert post.mails()[-1].get_content().count("Somebody asks") == 8  # none was lost
    many(2000000)
    assert [each["To"] for each in post.mails()].count("zoe@example.org") == 6


def test_saving_again_sends_no_second_link_at_once(shop, post, clock):  # noqa: F811
    def saves(address):
        assert shop.owner_post("/queues/call-backs", staff_email=address).status == 200
        sends(shop)

    for _ in range(5):
        saves("new@example.org")
    assert len(post.got) == 1
    clock.advance(minutes=11)
    saves("new@example.org")
    assert len(post.got) == 2
    first, second = (link_in(each) for each in post.mails())
    assert first == second
    saves("staff@example.org")  # it is confirmed
    assert len(post.got) == 2


def test_an_unconfirmed_older_address_is_asked_at_the_next_request(start, post):  # noqa: F811
    place = asks_in_public(start())  # without a mail server, nobody is asked
    assert call_list(place)["staff_email_state"] == "new"
    place.app = start(url=URL, smtp_url=post.url, smtp_from=FROM)
    place.client = AppClient(place.app)
    for n in range(3):
        asks(place, phone=f"030 {1000000 + n}", email=None)
    sends(place)
    (mail,) = post.mails()
    assert "confirm" in mail["Subject"]


@pytest.mark.parametrize("path", ["", "/not-me", "/ticket"])
def test_an_invalid_link_is_not_found(shop, path):  # noqa: F811
    for token in ("x" * 22, "x"):
        assert shop.client.get(f"/mail/{token}{path}").status == 404
    assert shop.client.post(f"/mail/{'x' * 22}{path}").status in (404, 405)


def test_a_receipt_s_link_confirms_nothing(shop, post):  # noqa: F811
    asks(shop)
    sends(shop)
    receipt = next(each for each in post.mails() if each["To"] == "zoe@example.org")
    link = link_in(receipt, "not you").removesuffix("/not-me")
    assert shop.client.post(link).status == 404


def test_no_export_holds_the_keys_of_addresses(shop):  # noqa: F811
    asks(shop)
    export = shop.export()
    assert export["mail_address"]
    assert not any({"token", "address_key"} & row.keys() for rows in export.values() for row in rows)


def test_the_start_says_that_mail_needs_a_url(command):
    answer = command("serve", TAKEANUMBER_SMTP_URL="smtp://localhost", TAKEANUMBER_SMTP_FROM="a@example.org")
    assert answer.returncode == 1
    assert "TAKEANUMBER_URL" in answer.stderr
    assert answer.stderr.count("\n") == 1
