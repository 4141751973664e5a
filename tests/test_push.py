"""Customers are told that it's their turn, soon and now, by notifications of their browser."""

import json
import random
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from helpers.client import AppClient
from helpers.outbox import ManualDispatcher
from helpers.places import open_deli
from helpers.receivers import Subscriber, to_bytes

from app import clock as app_clock
from app.core import web_push
from app.core.soon import SoonWatcher
from app.core.subscriptions import delete_old_subscriptions
from app.core.wait import WaitEstimator

URL = "https://queue.example.org"


class Shop:
    """A place whose outbox a test sends by hand, and the push service on loopback."""

    def __init__(self, app, receiver, clock):
        parts = app.extensions["takeanumber"]
        self.place = open_deli(AppClient(app), timezone=clock.noon_zone)
        self.desk = self.place.desk("Ana", "Window 2")
        self.receiver, self.database = receiver, parts.database
        self.soon = SoonWatcher(WaitEstimator())
        self.dispatcher = ManualDispatcher(parts.database, parts.settings)
        self.count = 0

    def customer(self):
        """Take a number and ask for notifications."""
        customer = self.place.customer()
        self.count += 1
        customer.phone = Subscriber(self.receiver.url, f"phone-{self.count}")
        answer = self.notify(customer)
        assert (answer.status, answer.body["messages"]["browsers"]) == (200, 1)
        return customer

    def notify(self, customer, **changes):
        content = customer.phone.subscription | changes
        return self.place.client.post(f"{customer.ticket['links']['ticket']}/notify", content)

    def send(self):
        """Do what the server does each second."""
        self.soon.tell(self.database, app_clock.now())
        self.dispatcher.send_due()

    def outbox(self):
        return self.place.export().get("mail", [])


@pytest.fixture
def shop(start, receiver, clock):
    return Shop(start(url=URL, push_hosts=receiver.url), receiver, clock)


def test_the_example_of_the_standard_is_encrypted_as_there():
    browser = web_push.Browser(
        "https://push.example.net",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    key = ec.derive_private_key(
        int.from_bytes(to_bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), ec.SECP256R1()
    )
    message = web_push.encrypt(
        b"When I grow up, I want to be a watermelon",
        browser,
        salt=to_bytes("DGv6ra1nlYgDCS1FRnbzlw"),
        sender_key=key,
    )
    header = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
        "AC8wEqKK6PBru3jl7A8"
    )
    encrypted = "8pfeW0KbunFT06SuDKoJH9Ql87S1QUrdirN6GcG7sFz1y1sqLgVi1VhjVkHsUoEsbI_0LpXMuGvnzQ"
    assert message == to_bytes(header) + to_bytes(encrypted)


def test_soon_and_your_turn_are_pushed(shop, receiver):
    assert shop.place.owner_post("/queues/deli", usual_service_s=3600).status == 200
    for _ in range(5):
        shop.place.customer()
    zoe = shop.customer()
    shop.send()
    assert receiver.got == []  # five are ahead
    for _ in range(3):
        shop.desk.call_next()
        shop.send()
    (soon,) = [zoe.phone.read(each.body) for each in receiver.got]
    assert soon == {
        "title": "A6: almost your turn",
        "body": "2 ahead of you · Corner Deli",
        "navigate": zoe.ticket["links"]["ticket"],
        "tag": soon["tag"],
        "silent": False,
    }
    for _ in range(3):
        shop.desk.call_next()
        shop.send()
    _, turn = [zoe.phone.read(each.body) for each in receiver.got]
    assert (turn["title"], turn["body"]) == ("A6: Window 2", "It's your turn · Corner Deli")
    assert turn["tag"] == soon["tag"]  # so that it replaces the first
    assert shop.outbox() == []


def test_soon_comes_by_the_lower_end_of_the_range(shop, receiver, clock):
    for _ in range(4):
        shop.place.customer()
    zoe = shop.customer()
    assert shop.place.owner_post("/queues/deli", usual_service_s=30).status == 200
    shop.send()
    assert zoe.get()["estimated_wait"]["from"] <= 300
    assert zoe.phone.messages(receiver) == ["A5: almost your turn"]


def test_each_message_has_what_a_push_service_wants(shop, receiver):
    zoe = shop.customer()
    shop.desk.call_next()
    shop.send()
    (got,) = receiver.got
    headers = got.headers
    assert (headers["ttl"], headers["urgency"], headers["content-encoding"]) == ("600", "high", "aes128gcm")
    assert len(headers["topic"]) <= 32
    scheme, token, key = headers["authorization"].replace(",", "").split()
    public = to_bytes(key.removeprefix("k="))
    assert (scheme, key) == ("vapid", f"k={zoe.get()['messages']['push_key']}")
    signed, _, signature = token.removeprefix("t=").rpartition(".")
    header, claims = (json.loads(to_bytes(part)) for part in signed.split("."))
    assert header == {"typ": "JWT", "alg": "ES256"}
    assert claims["aud"] == receiver.url
    assert claims["sub"] == URL
    assert 0 < claims["exp"] - app_clock.now() <= 86400
    raw = to_bytes(signature)
    in_der = utils.encode_dss_signature(*(int.from_bytes(half, "big") for half in (raw[:32], raw[32:])))
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    point.verify(in_der, signed.encode(), ec.ECDSA(SHA256()))


@pytest.mark.both_databases
def test_calling_again_notifies_again_and_a_no_show_hears_that_the_line_moved_on(shop, receiver):
    zoe = shop.customer()
    shop.send()
    receiver.got.clear()
    shop.desk.call_next()
    shop.send()
    assert shop.desk.post("call-again", number="A1").status == 200
    shop.send()
    assert shop.desk.post("no-show", number="A1").status == 200
    shop.send()
    assert zoe.phone.messages(receiver) == [
        "A1: Window 2",
        "A1: Window 2",
        "A1: the line moved on without you",
    ]


def test_your_turn_does_not_wait_behind_others_who_are_told_soon(shop, receiver):
    assert shop.place.owner_post("/queues/deli", usual_service_s=10).status == 200
    zoe, *_, last = [shop.customer() for _ in range(9)]  # the last one shares the lane of the first
    shop.soon.tell(shop.database, app_clock.now())
    shop.desk.call_next()
    shop.dispatcher.send_due()
    lane = [each.path for each in receiver.got if each.path in (zoe.phone.path, last.phone.path)]
    assert lane == [zoe.phone.path, last.phone.path]


def test_nothing_is_sent_once_the_ticket_has_ended(shop, receiver):
    zoe, ben = shop.customer(), shop.customer()
    shop.desk.call_next()
    assert shop.desk.post("done", number="A1").status == 200
    assert ben.cancel().status == 200
    shop.send()
    assert receiver.got == []
    assert shop.outbox() == []
    assert shop.notify(zoe).status == 409


def test_what_was_not_delivered_in_ten_minutes_is_let_go(shop, receiver, clock):
    zoe = shop.customer()
    shop.desk.call_next()
    clock.advance(minutes=11)
    shop.send()
    assert zoe.phone.messages(receiver) == []
    assert shop.outbox() == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_wants_no_more_is_forgotten(shop, receiver, status):
    zoe = shop.customer()
    receiver.status = status
    shop.desk.call_next()
    shop.send()
    assert zoe.get()["messages"]["browsers"] == 0
    assert shop.outbox() == []


def test_a_push_service_that_is_busy_is_asked_again(shop, receiver, clock):
    zoe = shop.customer()
    receiver.status = 503
    shop.desk.call_next()
    shop.send()
    receiver.status = 201
    clock.advance(seconds=3)
    shop.send()
    assert zoe.phone.messages(receiver)[-1] == "A1: Window 2"
    assert shop.outbox() == []


def test_nothing_is_sent_while_writes_are_paused(shop, receiver):
    shop.customer()
    shop.desk.call_next()
    shop.database.pause("Moving to a new server, a moment please.")
    shop.dispatcher.send_due()
    assert receiver.got == []
    shop.database.resume()
    shop.send()
    assert len(receiver.got) == 1


def test_two_instances_send_each_message_once(shop, receiver):
    other = ManualDispatcher(
        shop.database, shop.place.client.flask_client.application.extensions["takeanumber"].settings, "b"
    )
    other.send_due()
    customers = [shop.customer() for _ in range(3)]
    shop.send()
    receiver.got.clear()
    desks = [shop.place.desk(f"D{n}") for n in range(3)]
    for desk in desks:
        desk.call_next()
    receiver.delay_s = 0.1
    threads = [threading.Thread(target=each.send_due) for each in (other, shop.dispatcher)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 3
    assert [len(each.phone.messages(receiver)) for each in customers] == [1, 1, 1]


def test_subscribing_twice_is_one_subscription_and_it_can_be_stopped(shop, receiver):
    zoe = shop.customer()
    assert shop.notify(zoe).body["messages"]["browsers"] == 1
    stop = zoe.get()["links"]["notify"] + "/stop"
    assert shop.place.client.post(stop, zoe.phone.subscription).body["messages"]["browsers"] == 0
    assert shop.place.client.post(stop, zoe.phone.subscription).status == 200
    shop.desk.call_next()
    shop.send()
    assert receiver.got == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://evil.example.org/x",
        "https://fcm.googleapis.com.evil.example.org/x",
        "https://user@fcm.googleapis.com/x",
        "nonsense",
        "",
    ],
)
def test_only_known_push_services_are_used(shop, endpoint):
    zoe = shop.customer()
    answer = shop.notify(zoe, endpoint=endpoint)
    assert (answer.status, "Push service" in answer.body["error"]) == (400, True)
    assert zoe.get()["messages"]["browsers"] == 1


@pytest.mark.parametrize(
    "keys", [{"p256dh": "AAAA"}, {"auth": "AAAA"}, {"p256dh": "BA" + "A" * 85}, {"auth": "ü"}]
)
def test_keys_that_are_none_are_refused(shop, keys):
    zoe = shop.customer()
    answer = shop.notify(zoe, keys=zoe.phone.subscription["keys"] | keys)
    assert answer.status == 400
    assert zoe.get()["messages"]["browsers"] == 1


def test_without_https_there_is_no_button_and_no_hint(start, clock):
    place = open_deli(AppClient(start()), timezone=clock.noon_zone)
    customer = place.customer()
    url = customer.ticket["links"]["ticket"].replace("localhost", "192.168.1.5")
    ticket = place.client.send("GET", "/" + url.split("/", 3)[3], base_url="http://192.168.1.5").body
    assert (ticket["messages"]["push_key"], "notify" in ticket["links"]) == (None, False)
    phone = Subscriber("https://fcm.googleapis.com")
    answer = place.client.send(
        "POST", f"/{url.split('/', 3)[3]}/notify", json=phone.subscription, base_url="http://192.168.1.5"
    )
    assert answer.status == 409


def test_the_key_of_the_server_stays_the_same(start, clock, receiver):
    first = AppClient(start(url=URL))
    url = open_deli(first, timezone=clock.noon_zone).customer().ticket["links"]["ticket"]
    key = first.get(url).body["messages"]["push_key"]
    assert len(to_bytes(key)) == 65
    assert AppClient(start(url=URL)).get(url).body["messages"]["push_key"] == key


def test_no_secret_of_a_browser_is_in_the_export(shop, receiver):
    zoe = shop.customer()
    shop.desk.call_next()
    text = json.dumps(shop.place.export())
    for secret in (zoe.phone.subscription["endpoint"], *zoe.phone.subscription["keys"].values()):
        assert secret not in text


def test_subscriptions_go_an_hour_after_the_ticket_ended(shop, clock):
    zoe = shop.customer()
    shop.desk.call_next()
    shop.desk.post("done", number="A1")
    assert len(shop.place.export()["subscription"]) == 1
    clock.advance(minutes=61)
    assert shop.database.write(delete_old_subscriptions, clock()) is False
    assert "subscription" not in shop.place.export()
    assert zoe.get()["state"] == "done"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_nobody_hears_of_a_ticket_that_has_ended(shop, receiver, clock, seed):
    """Random histories: each message that is sent fits the state that its ticket has at that moment."""
    dice = random.Random(seed)
    states = {
        "almost": {"waiting"},
        "Window": {"called", "serving"},
        "it's": {"called", "serving"},
        "the": {"no_show"},
    }
    customers = []
    for _ in range(40):
        current = shop.desk.get()["current"]
        recent = [each["number"] for each in shop.desk.get()["recent"]]
        press = dice.choice(
            [
                "join",
                "join",
                "next",
                "next",
                "again",
                "no-show",
                "back",
                "done",
                "bring",
                "cancel",
                "send",
                "wait",
            ]
        )
        if press == "join":
            customers.append(shop.customer())
        elif press == "next":
            shop.desk.call_next()
        elif press in ("again", "no-show", "back", "done") and current:
            button = {"again": "call-again", "back": "put-back"}.get(press, press)
            shop.desk.post(button, number=current["number"])
        elif press == "bring" and recent:
            shop.desk.post("bring-back", number=dice.choice(recent))
        elif press == "cancel" and customers:
            dice.choice(customers).cancel()
        elif press == "wait":
            clock.advance(seconds=dice.choice([1, 30, 300]))
        elif press == "send":
            receiver.got.clear()
            shop.send()
            for each in customers:
                state = each.get()["state"]
                for title in each.phone.messages(receiver):
                    assert state in states[title.split(": ")[1].split()[0]], (title, state)


@pytest.mark.alone
def test_a_message_reaches_the_push_service_within_a_second(start_server, receiver):
    server = start_server(url="https://queue.example.org", push_hosts=receiver.url, places="open")
    shop = server.open_shop()
    desk = shop.desk("Ana", "Window 2")
    phones = []
    for number in range(12):
        ticket = server.post(shop.queue()["links"]["take"]).body
        phone = Subscriber(receiver.url, f"p{number}")
        url = f"{ticket['links']['ticket']}/notify"
        assert server.post(url, phone.subscription).status == 200
        phones.append(phone)
    time.sleep(1.5)
    late = []
    for number, phone in enumerate(phones, 1):
        served = desk.current_number()
        pressed_at = time.time()
        assert desk.post("next", finished=served).body["current"]["number"] == f"A{number}"
        deadline = time.monotonic() + 5
        while f"A{number}: Window 2" not in phone.messages(receiver) and time.monotonic() < deadline:
            time.sleep(0.01)
        (at,) = [
            each.at
            for each in receiver.got
            if each.path == phone.path and phone.read(each.body)["title"].endswith("Window 2")
        ]
        late.append(at - pressed_at)
    assert sorted(late)[-2] < 1, late
