"""Customers who typed an e-mail address are mailed when it's almost their turn, and when it is."""

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from test_mail import FROM, URL, Post, link_in

from app import clock as app_clock
from app.core.mail import send_due_mails
from app.core.soon import SoonWatcher
from app.core.wait import WaitEstimator


@pytest.fixture
def post():
    with Post() as server:
        yield server
        server.shutdown()


@pytest.fixture
def open_shop(start, post, clock):
    def open_shop(**settings):
        app = start(url=URL, smtp_url=post.url, smtp_from=FROM, **settings)
        place = open_deli(AppClient(app), timezone=clock.noon_zone)
        parts = app.extensions["takeanumber"]
        soon = SoonWatcher(WaitEstimator())

        def send():
            soon.tell(parts.database, app_clock.now())
            send_due_mails(parts.database, app_clock.now(), parts.settings, "this")
            return [(mail["To"], mail["Subject"]) for mail in post.mails()]

        place.send = send
        return place

    return open_shop


def asks(place, customer, email="zoe@example.org"):
    return place.client.post(f"{customer.ticket['links']['ticket']}/email", {"email": email})


def test_soon_and_now(open_shop, post):
    shop = open_shop()
    zoe, desk = shop.customer(), shop.desk("Ana", "Window 2")
    assert asks(shop, zoe).body["messages"]["addresses"] == ["zoe@example.org"]
    shop.send()
    desk.call_next()
    assert shop.send() == [
        ("zoe@example.org", "A1: almost your turn · Corner Deli"),
        ("zoe@example.org", "A1: Window 2 · Corner Deli"),
    ]
    assert zoe.ticket["links"]["ticket"] in post.mails()[0].get_content()


def test_a_no_show_is_told_how_to_rejoin(open_shop, post):
    shop = open_shop()
    zoe, desk = shop.customer(), shop.desk("Ana", "Window 2")
    asks(shop, zoe)
    desk.call_next()
    desk.post("no-show", number="A1")
    assert ("zoe@example.org", "A1: the line moved on without you · Corner Deli") in shop.send()
    text = post.mails()[-1].get_content()
    assert "We called you, but you weren't there. Ask at the desk to rejoin.\r\n" in text


def test_three_an_hour_at_most(open_shop):
    shop = open_shop()
    zoe, desk = shop.customer(), shop.desk("Ana", "Window 2")
    asks(shop, zoe)
    desk.call_next()
    for _ in range(5):
        shop.send()
        desk.post("call-again", number="A1")
    assert len(shop.send()) == 3


def test_none_once_the_ticket_has_ended_or_it_was_stopped(open_shop):
    shop = open_shop()
    zoe, ben, desk = shop.customer(), shop.customer(), shop.desk()
    asks(shop, zoe)
    asks(shop, ben, "ben@example.org")
    stop = f"{ben.ticket['links']['ticket']}/email/stop"
    assert shop.client.post(stop).body["messages"]["addresses"] == []
    desk.call_next()
    desk.post("done", number="A1")
    assert shop.send() == []


def test_an_address_that_wants_no_mail_gets_none(open_shop, post):
    shop = open_shop()
    zoe = shop.customer()
    asks(shop, zoe)
    shop.send()
    assert shop.client.post(link_in(post.mails()[0], "not you")).status == 200
    assert asks(shop, shop.customer()).status == 400
    shop.desk().call_next()
    assert len(shop.send()) == 1


def test_where_anybody_opens_places_a_mail_holds_nothing_that_they_wrote(open_shop, post):
    shop = open_shop(places="open")
    zoe = shop.customer()
    asks(shop, zoe)
    shop.desk("Ana", "Buy gold").call_next()
    assert shop.send() == [("zoe@example.org", "A1: it's your turn")]
    text = post.mails()[0].get_content()
    assert ("Corner" in text, "corner" in text, "gold" in text) == (False, False, False)


@pytest.mark.parametrize("email", ["nonsense", "a@b..c", "", "a@b\r\nBcc: c@d.e"])
def test_what_is_no_address_is_refused(open_shop, email):
    shop = open_shop()
    zoe = shop.customer()
    answer = asks(shop, zoe, email)
    assert answer.status == 400
    assert zoe.get()["messages"]["addresses"] == []


def test_without_a_mail_server_nobody_is_asked_for_an_address(start, clock):
    place = open_deli(AppClient(start()), timezone=clock.noon_zone)
    zoe = place.customer()
    assert "email" not in zoe.get()["links"]
    assert asks(place, zoe).status == 409
    html = place.client.get(zoe.ticket["links"]["ticket"], Accept="text/html").body
    assert 'name="email"' not in html
