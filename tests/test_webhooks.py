"""Every event of a place is posted to a URL of its owner, signed, in order and at least once."""

import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from helpers.client import AppClient
from helpers.outbox import ManualDispatcher
from helpers.places import new_tap, open_deli
from helpers.receivers import Subscriber
from standardwebhooks import Webhook

from app import clock as app_clock
from app.core import outgoing
from app.core.occupancy import tell_occupancy
from app.core.outgoing import Hosts, NoAnswer, RefusedTarget, check_url, post
from app.core.soon import SoonWatcher
from app.core.wait import WaitEstimator
from app.errors import WritesPaused
from app.storage.sql import run


class Shop:
    """A place with a webhook, whose outbox a test sends by hand."""

    def __init__(self, app, receiver, clock):
        parts = app.extensions["takeanumber"]
        self.place = open_deli(AppClient(app), timezone=clock.noon_zone)
        self.desk = self.place.desk("Ana", "Window 2")
        self.receiver, self.database = receiver, parts.database
        self.soon = SoonWatcher(WaitEstimator())
        self.dispatcher = ManualDispatcher(parts.database, parts.settings)
        self.hook = self.add(f"{receiver.url}/hook").body

    def add(self, url, **more):
        return self.place.owner_post("/webhooks", url=url, **more)

    def get(self):
        (hook,) = self.place.client.get(self.place.links["manage"] + "/webhooks").body["webhooks"]
        return hook

    def press(self, button):
        return self.place.client.post(self.hook["links"][button])

    def send(self):
        self.soon.tell(self.database, app_clock.now())
        tell_occupancy(self.database, app_clock.now())
        self.dispatcher.send_due()

    def events(self):
        """Return what was received, each type with the number."""
        received = [json.loads(each.body) for each in self.receiver.got]
        return [(each["type"], each["data"].get("ticket", {}).get("number")) for each in received]


@pytest.fixture
def shop(start, receiver, clock):
    receiver.status = 200
    return Shop(start(webhook_hosts=receiver.url), receiver, clock)


def test_every_event_is_posted_in_order(shop):
    place, desk = shop.place, shop.desk
    place.add_queue("Bakery")
    place.customer()
    ben = place.customer()
    desk.call_next()
    desk.post("call-again", number="A1")
    desk.post("move", number="A1", queue="bakery")
    desk.call_next(queue="bakery")
    desk.post("done", number="A1")
    ben.cancel()
    place.customer()
    desk.call_next()
    desk.post("no-show", number="A3")
    shop.send()
    assert shop.events() == [
        ("ticket.taken", "A1"),
        ("ticket.taken", "A2"),
        ("ticket.called", "A1"),
        ("ticket.called_again", "A1"),
        ("ticket.moved", "A1"),
        ("ticket.called", "A1"),
        ("ticket.done", "A1"),
        ("ticket.cancelled", "A2"),
        ("ticket.taken", "A3"),
        ("ticket.called", "A3"),
        ("ticket.no_show", "A3"),
    ]


def test_a_webhook_hears_who_cancelled_a_ticket(shop):
    shop.place.customer().cancel()
    shop.place.customer()
    shop.place.owner_post("/queues/deli/cancel", numbers=["A2"])
    shop.send()
    tickets = [json.loads(each.body)["data"]["ticket"] for each in shop.receiver.got]
    cancelled = [each for each in tickets if each["state"] == "cancelled"]
    assert [(each["number"], each.get("cancelled_by_owner")) for each in cancelled] == [
        ("A1", None),
        ("A2", True),
    ]


def test_soon_is_told_once(shop):
    shop.place.customer()
    shop.send()
    shop.send()
    assert shop.events() == [("ticket.taken", "A1"), ("ticket.soon", "A1")]


def test_soon_is_told_as_soon_as_writes_go_on(shop):
    shop.place.customer()
    shop.database.pause("A moment please.")
    with pytest.raises(WritesPaused):
        shop.send()
    shop.database.resume()
    shop.send()
    assert ("ticket.soon", "A1") in shop.events()


def test_a_full_shop_is_told_and_a_free_one(shop):
    assert shop.place.owner_post("/counters", name="Shop", capacity=2).status == 201
    door = shop.place.door()
    door.send_taps(new_tap(2))
    shop.send()
    door.send_taps(new_tap(-1))
    shop.send()
    shop.send()
    assert [kind for kind, _ in shop.events()] == ["occupancy.full", "occupancy.free"]
    counter = json.loads(shop.receiver.got[0].body)["data"]["counter"]
    assert counter == {"slug": "shop", "name": "Shop", "count": 2, "held": 0, "capacity": 2}


@pytest.mark.both_databases
def test_a_reported_call_is_told_without_the_contact(shop):
    place = shop.place
    assert place.owner_post("/queues", name="Follow-ups", kind="calls").status == 201
    place.client.post(place.links["manage"], {"country": "DE"})
    place.put_on_list("Zoë")
    cleo = place.caller("Cleo")
    assert cleo.make_call() == "Zoë"
    shop.send()
    assert [kind for kind, _ in shop.events()] == ["call.reported"]
    text = shop.receiver.got[0].body.decode()
    assert ("Zoë" in text, "030" in text, "Reached" in text) == (False, False, True)


def test_the_signature_is_that_of_the_standard(shop, clock):
    shop.place.customer()
    shop.send()
    got = shop.receiver.got[0]
    headers = got.headers
    assert int(headers["webhook-timestamp"]) == int(clock())
    signature = Webhook(shop.hook["secret"]).sign(
        headers["webhook-id"], datetime.fromtimestamp(int(clock()), UTC), got.body.decode()
    )
    assert headers["webhook-signature"] == signature
    assert shop.hook["secret"].startswith("whsec_")


def test_the_example_of_the_standard_is_signed_as_there():
    signer = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signer.sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_personal_data_is_sent_only_where_the_owner_ticks_it(shop):
    shop.place.owner_post("/queues/deli", asks=["name", "phone", "note"])
    shop.place.customer(name="Zoë", phone="555", note="cake")
    shop.send()
    assert "Zoë" not in shop.receiver.got[-1].body.decode()
    changed = shop.place.client.post(shop.hook["links"]["webhook"], {"personal": True})
    assert changed.body["personal"] is True
    shop.place.customer(name="Ben", phone="556", note="pie")
    shop.send()
    ticket = json.loads(shop.receiver.got[-1].body)["data"]["ticket"]
    assert (ticket["name"], ticket["phone"], ticket["note"]) == ("Ben", "556", "pie")


def test_a_failure_is_tried_again_later_and_later_with_the_same_id_and_keeps_the_order(shop, clock):
    shop.receiver.status = 500
    shop.place.customer()
    shop.place.customer()
    pauses = []
    for _ in range(4):
        shop.dispatcher.send_due()
        due_at = shop.place.export()["webhook"][0]["due_at"]
        pauses.append(round(due_at - clock()))
        shop.dispatcher.send_due()  # not due
        clock.advance(seconds=pauses[-1])
    assert pauses == [5, 10, 20, 40]
    assert len({each.headers["webhook-id"] for each in shop.receiver.got}) == 1
    assert shop.events() == [("ticket.taken", "A1")] * 4
    shop.receiver.status = 204
    shop.dispatcher.send_due()
    assert shop.events()[4:] == [("ticket.taken", "A1"), ("ticket.taken", "A2")]
    assert (shop.get()["waiting"], shop.get()["failures"]) == (0, 0)


def test_after_100_failures_it_pauses_and_the_owner_hears_of_it(shop, clock):
    shop.receiver.status = 500
    shop.place.customer()
    shop.database.write(lambda db: run(db, "UPDATE webhook SET failures = 96"))
    for paused in (False, False, False, True):
        shop.dispatcher.send_due()
        assert shop.get()["paused"] is paused
        clock.advance(minutes=15)
    hook = shop.get()
    assert (hook["paused_because"], len(shop.receiver.got)) == ("it failed 100 times", 4)
    html = shop.place.client.get(shop.place.links["manage"], Accept="text/html").body
    assert "is paused: it failed too often" in html
    assert shop.press("test").status == 409
    shop.receiver.status = 200
    assert shop.press("resume").status == 200
    shop.place.customer()
    shop.dispatcher.send_due()
    accepted = {each.headers["webhook-id"] for each in shop.receiver.got[4:]}
    assert (len(accepted), shop.events()[-1]) == (2, ("ticket.taken", "A2"))


def test_a_receiver_that_is_gone_pauses_it_at_once(shop):
    shop.receiver.status = 410
    shop.place.customer()
    shop.dispatcher.send_due()
    assert shop.get()["paused"] is True


def test_what_is_a_day_old_is_given_up(shop, clock):
    shop.receiver.status = 500
    shop.place.customer()
    shop.dispatcher.send_due()
    clock.advance(hours=25)
    shop.dispatcher.send_due()
    assert (len(shop.receiver.got), shop.get()["waiting"]) == (1, 0)


def test_a_redirect_is_a_failure_and_is_not_followed(shop, receiver):
    receiver.status, receiver.location = 302, f"{receiver.url}/other"
    shop.place.customer()
    shop.dispatcher.send_due()
    assert [each.path for each in receiver.got] == ["/hook"]
    assert "redirect" in shop.get()["deliveries"][0]["answer"]


def test_a_test_is_sent_and_the_response_is_shown(shop, receiver):
    receiver.answer = b"thank <b>you</b>"
    assert shop.press("test").status == 200
    shop.dispatcher.send_due()
    (delivery,) = shop.get()["deliveries"]
    assert (delivery["type"], delivery["ok"], delivery["status"]) == ("test", True, 200)
    html = shop.place.client.get(shop.place.links["manage"] + "/webhooks", Accept="text/html").body
    assert "thank &lt;b&gt;you&lt;/b&gt;" in html


@pytest.mark.both_databases
def test_a_paused_webhook_gets_nothing_and_a_removed_one_neither(shop):
    assert shop.press("pause").body["paused"] is True
    shop.place.customer()
    shop.send()
    shop.press("resume")
    shop.place.customer()
    assert shop.press("remove").body == {"webhooks": []}
    assert shop.press("remove").status == 404
    shop.send()
    assert shop.events() == []
    assert "mail" not in shop.place.export()


def test_a_dead_target_delays_no_other(start, receiver, clock):
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as dead:
        dead_url = f"http://127.0.0.1:{dead.getsockname()[1]}"
        app = start(webhook_hosts=f"{receiver.url} {dead_url}")
        receiver.status = 200
        shop = Shop(app, receiver, clock)
        assert shop.add(dead_url).status == 201
        stop = threading.Event()
        shop.dispatcher.start(stop)
        shop.place.customer()
        shop.receiver.wait_for(1, within=3)
        shop.place.customer()
        shop.receiver.wait_for(2, within=3)
        stop.set()


def test_a_target_whose_thread_could_not_be_started_is_sent_to_later(shop, monkeypatch):
    """As on a machine that may have no more threads just now."""
    start, failed = threading.Thread.start, []

    def start_but_the_first(thread):
        if thread.name.startswith("to ") and not failed:
            failed.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_but_the_first)
    stop = threading.Event()
    shop.place.customer()
    shop.dispatcher.start(stop)
    shop.receiver.wait_for(1, within=10)
    stop.set()
    assert failed


def test_the_secret_is_in_no_export(shop):
    assert shop.hook["secret"] not in json.dumps(shop.place.export())


REFUSED = """
    http://example.org/ https://127.0.0.1/ https://localhost/ https://a.localhost/ https://127.0.0.1:8443/
    https://[::1]/ https://[::]/ https://0.0.0.0/ https://169.254.169.254/latest/meta-data/ https://10.0.0.1/
    https://10.255.255.255/ https://172.16.0.9/ https://192.168.1.1/ https://100.64.0.1/ https://2130706433/
    https://0x7f000001/ https://0x7f.1/ https://0177.0.0.1/ https://127.1/ https://127.0.0.1./
    https://[::ffff:127.0.0.1]/ https://[::ffff:10.0.0.1]/ https://[::ffff:7f00:1]/ https://[::127.0.0.1]/
    https://[fe80::1]/ https://[fc00::1]/ https://[fd00:ec2::254]/ https://[64:ff9b::7f00:1]/
    https://[2002:7f00:1::]/ https://[ff02::1]/ https://metadata.google.internal/ https://printer.local/
    https://printer/ https://224.0.0.1/ https://255.255.255.255/ https://192.0.2.1/ https://198.18.0.1/
    https://user:secret@example.org/ https://example.org:0/ ftp://example.org/ file:///etc/passwd nonsense
    https:///x https://exa_mple.org/ javascript:alert(1)
"""


def test_a_url_that_leads_nowhere_public_is_refused_with_a_sentence(shop):
    for url in REFUSED.split():
        answer = shop.add(url)
        assert (answer.status, answer.body["error"][:5]) == (400, "URL: "), url
    assert len(shop.place.client.get(shop.place.links["manage"] + "/webhooks").body["webhooks"]) == 1


def resolves_to(monkeypatch, *addresses):
    answers = iter(addresses)

    def getaddrinfo(host, port, **_):
        family = socket.AF_INET6 if ":" in (address := next(answers)) else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_a_name_of_a_private_address_is_refused(monkeypatch, address):
    resolves_to(monkeypatch, address)
    with pytest.raises(RefusedTarget, match="private network"):
        check_url("https://hooks.example.org/", Hosts())


def test_a_name_that_means_another_address_later_is_refused_then(monkeypatch):
    resolves_to(monkeypatch, "93.184.215.14", "127.0.0.1")
    check_url("https://hooks.example.org/", Hosts())
    with pytest.raises(RefusedTarget, match="private network"):
        post("https://hooks.example.org/", b"{}", {}, Hosts())


@pytest.fixture
def dripping_port():
    """The port of a server that sends a letter of its response now and then."""

    def drip(server):
        with suppress(OSError):
            connection, _ = server.accept()
            for letter in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100:
                connection.send(bytes([letter]))
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def test_a_server_that_answers_drop_by_drop_is_given_up(monkeypatch, dripping_port):
    monkeypatch.setattr(outgoing, "TIMEOUT_S", 0.5)
    url = f"http://127.0.0.1:{dripping_port}"
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        post(url, b"{}", {}, Hosts.read(url))
    assert time.monotonic() - began < 3


class SlowHandshake:
    """TLS that isn't, and begins when the time is up. Like that of Python, it makes another socket first."""

    def wrap_socket(self, sock, server_hostname):
        timeout = sock.gettimeout()
        other = socket.socket(fileno=sock.detach())
        other.settimeout(timeout)
        time.sleep(0.7)
        return other


def test_nor_does_a_slow_beginning_of_tls_give_it_more_time(monkeypatch, dripping_port):
    monkeypatch.setattr(outgoing, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(outgoing, "_tls", SlowHandshake)
    url = f"https://127.0.0.1:{dripping_port}"
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="no answer within"):
        post(url, b"{}", {}, Hosts.read(url))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_after_kills_nothing_is_lost_and_at_most_one_event_a_kill_comes_twice(start_server, receiver, kills):
    receiver.status, receiver.delay_s = 200, 0.2
    server = start_server(
        webhook_hosts=receiver.url, push_hosts=receiver.url, url="https://queue.example.org"
    )
    shop = server.open_shop()
    desk = shop.desk("Ana", "Window 2")
    assert shop.owner_post("/webhooks", url=f"{receiver.url}/hook").status == 201
    phones = []
    for number in range(1, kills + 1):
        ticket = server.post(shop.queue()["links"]["take"]).body
        phones.append(Subscriber(receiver.url, f"phone-{number}"))
        server.post(f"{ticket['links']['ticket']}/notify", phones[-1].subscription)
        before = len(receiver.got)
        desk.call_next()
        receiver.wait_for(before + 1, within=20)
        server.kill()  # between sending and storing that: the receiver hasn't answered yet
        server.start()
    deadline = time.monotonic() + 60
    while shop.owner_get()["outbox"] and time.monotonic() < deadline:
        time.sleep(0.2)
    posts = [each for each in receiver.got if each.path == "/hook"]
    ids = [each.headers["webhook-id"] for each in posts]
    assert len(ids) - len(set(ids)) <= kills
    first = {}
    for each in posts:
        first.setdefault(each.headers["webhook-id"], json.loads(each.body))
    events = [(each["type"], each["data"]["ticket"]["number"]) for each in first.values()]
    for kind in ("ticket.taken", "ticket.called"):
        assert [number for name, number in events if name == kind] == [f"A{n}" for n in range(1, kills + 1)]
    titles = [phone.messages(receiver).count(f"A{n}: Window 2") for n, phone in enumerate(phones, 1)]
    assert titles[-1] >= 1
    assert sum(titles) <= 2 * kills
