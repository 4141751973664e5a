"""Messages to everybody who waits: on every page within a second, until a time or until they are removed."""

import time

import pytest
from helpers.client import AppClient
from helpers.outbox import ManualDispatcher
from helpers.places import Desk, open_deli
from helpers.receivers import Subscriber

from app import clock as app_clock


def texts(place):
    return [each["text"] for each in place.picture()["messages"]]


def test_a_message_of_the_owner_is_on_every_page(shop, client):
    answer = shop.owner_post("/messages", text="Back in 10 minutes")
    assert answer.status == 200
    assert [each["text"] for each in answer.body["messages"]] == ["Back in 10 minutes"]
    pages = [
        shop.links["customers"],
        shop.links["board"],
        shop.customer().ticket["links"]["ticket"],
        f"{shop.links['customers']}/counter/shop",
        shop.counter()["doors"][0]["links"]["door"],
    ]
    for page in pages:
        assert "Back in 10 minutes" in client.get(page, Accept="text/html").body, page


@pytest.mark.both_databases
def test_newest_first_and_three_at_most(place, ana):
    for number in range(4):
        assert ana.post("messages", text=f"Message {number}").status == 200
    assert texts(place) == ["Message 3", "Message 2", "Message 1"]
    newest = place.picture()["messages"][0]["id"]
    for _ in range(2):  # pressing twice is safe
        assert ana.post(f"messages/{newest}/remove").status == 200
    assert texts(place) == ["Message 2", "Message 1", "Message 0"]
    assert place.owner_post("/messages/999/remove").status == 404


def test_a_message_goes_at_its_time(place, clock):
    clock.set("2026-11-21 10:00:20")
    place.owner_post("/messages", text="Until half past", until="10:30")
    place.owner_post("/messages", text="For five minutes", minutes=5)
    assert texts(place) == ["For five minutes", "Until half past"]
    clock.set("2026-11-21 10:05:21")
    assert texts(place) == ["Until half past"]
    clock.set("2026-11-21 10:29:59")
    assert texts(place) == ["Until half past"]
    clock.set("2026-11-21 10:30:00")
    assert texts(place) == []


def test_a_time_that_has_passed_is_tomorrows(place, clock):
    clock.set("2026-11-21 23:50")
    place.owner_post("/messages", text="Until one", until="01:00")
    assert place.picture()["messages"][0]["until"] == "2026-11-22T01:00:00+00:00"


def test_markup_is_shown_as_text(place, client):
    place.owner_post("/messages", text="<b>Hello</b> & <script>alert(1)</script>")
    html = client.get(place.links["customers"], Accept="text/html").body
    assert "&lt;b&gt;Hello&lt;/b&gt; &amp; &lt;script&gt;" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"text": "x" * 201}, "Message"),
        ({"text": "  "}, "Message"),
        ({}, "Message"),
        ({"text": "x", "until": "25:00"}, "Until"),
        ({"text": "x", "minutes": 0}, "Minutes"),
        ({"text": "x", "push": "perhaps"}, "phones"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_stored(place, content, word):
    answer = place.owner_post("/messages", **content)
    assert (answer.status, word in answer.body["error"]) == (400, True)
    assert texts(place) == []


def test_the_second_of_two_presses_shows_it_once(place, clock):
    for _ in range(2):
        assert place.owner_post("/messages", text="Hello").status == 200
    assert texts(place) == ["Hello"]
    clock.advance(minutes=1)
    place.owner_post("/messages", text="Hello")
    assert texts(place) == ["Hello", "Hello"]


def test_the_history_holds_no_text(place):
    place.owner_post("/messages", text="Zoë, please come back")
    assert "Zoë" not in str(place.events())
    assert "message" in place.event_kinds()


def test_a_message_is_pushed_if_asked_for_to_those_who_wait(start, receiver, clock):
    app = start(url="https://queue.example.org", push_hosts=receiver.url)
    parts = app.extensions["takeanumber"]
    place = open_deli(AppClient(app), timezone=clock.noon_zone)
    phones = []
    for number in range(3):
        customer = place.customer()
        phones.append(Subscriber(receiver.url, f"p{number}"))
        place.client.post(f"{customer.ticket['links']['ticket']}/notify", phones[-1].subscription)
    customer.cancel()
    place.owner_post("/messages", text="Not pushed")
    place.owner_post("/messages", text="Back in 10 minutes", push=True)
    ManualDispatcher(parts.database, parts.settings).send_due()
    assert app_clock.now() == clock.at
    for phone, wanted in zip(phones, (1, 1, 0), strict=True):
        got = [phone.read(each.body) for each in receiver.got if each.path == phone.path]
        assert [(each["title"], each["body"]) for each in got] == [
            ("Corner Deli", "Back in 10 minutes")
        ] * wanted


@pytest.mark.alone
def test_a_screen_that_is_open_shows_it_within_a_second(server):
    shop = server.open_shop()
    desk: Desk = shop.desk()
    stream = shop.watch()
    stream.next()
    began = time.monotonic()
    desk.post("messages", text="Fire drill at noon")
    stream.until(lambda event: "Fire drill at noon" in event.text)
    assert time.monotonic() - began < 1.5
    stream.close()
