"""Mail: what is sent, and an outbox for mail servers that are slow, refuse or are down."""

import email
import email.policy
import re
import socketserver
import threading

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from helpers.waiting import wait_for

from app import clock as app_clock
from app.core import mail as mail_module
from app.core.mail import send_due_mails
from app.core.mail_addresses import address_key
from app.core.mail_texts import MailText
from app.core.outbox import RECEIPT, queue_mail
from app.core.places import find_place
from app.errors import CannotStart
from app.settings import Settings

FROM = "Corner Deli <deli@example.org>"
URL = "https://queue.example.org"


class Post(socketserver.ThreadingTCPServer):
    """A mail server on loopback: it keeps the mails, and answers each recipient with `answer`."""

    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Talk)
        self.got, self.answer, self.logins, self.connections = [], "250 OK", [], 0
        self.silent = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"smtp://127.0.0.1:{self.server_address[1]}"

    def mails(self):
        return [email.message_from_bytes(each, policy=email.policy.default) for each in self.got]


class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        if self.server.silent.is_set():
            return threading.Event().wait(3)
        self.say("220 ready")
        for line in self.rfile:
            word = line.split()[0].upper() if line.split() else b""
            if word == b"QUIT":
                return self.say("221 bye")
            if word == b"DATA":
                self.say("354 go on")
                self.server.got.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.say(self.server.answer if word == b"RCPT" else "250 OK")
        return None

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def post():
    with Post() as server:
        yield server
        server.shutdown()


@pytest.fixture
def shop(start, post):
    """A place with a call list that has a public form and a staff address that is confirmed; mail is set."""
    place = asks_in_public(start(url=URL, smtp_url=post.url, smtp_from=FROM))
    confirms(place, post)
    return place


def confirms(place, post):
    """Confirm the staff's address with the link in the mail."""
    sends(place)
    assert place.client.post(link_in(post.mails().pop())).body["confirmed"] is True
    post.got.clear()
    post.connections = 0


def link_in(mail, word="confirm"):
    """Return the link in the line of a mail that has this word."""
    (line,) = [line for line in mail.get_content().splitlines() if word in line.lower()]
    return re.search(r"https?://\S+", line)[0]


def asks_in_public(app):
    place = open_deli(AppClient(app), timezone="Europe/Berlin")
    form = {"public_form": True, "staff_email": "staff@example.org"}
    assert place.owner_post("/queues", name="Call-backs", kind="calls", **form).status == 201
    place.app = app
    return place


def asks(place, **asked):
    """Request a call back."""
    said = {"name": "Zoë", "phone": "030 1234567", "email": "zoe@example.org", "note": "My order"} | asked
    url = next(each["links"]["request"] for each in place.owner_get()["queues"] if each["kind"] == "calls")
    answer = place.client.post(url, said)
    assert answer.status == 201, answer.body
    return answer.body


def sends(place):
    """Send due mails, as the background job does every few seconds."""
    parts = place.app.extensions["takeanumber"]
    return send_due_mails(parts.database, app_clock.now(), parts.settings, "this")


def outbox(place):
    return place.export().get("mail", [])


def test_a_request_is_mailed_to_the_staff_and_to_the_customer(shop, post):
    asked = asks(shop)
    assert len(outbox(shop)) == 2
    assert post.got == []  # no page waits for the mail server
    assert sends(shop) is False
    to = {each["To"]: each for each in post.mails()}
    assert set(to) == {"staff@example.org", "zoe@example.org"}
    for each in to.values():
        assert each["From"] == FROM
        assert each["Auto-Submitted"] == "auto-generated"
        assert each["Message-ID"].endswith("@example.org>")
        assert each["Date"]
        assert "Corner Deli" in each["Subject"] + each.get_content()
    assert "030 1234567" in to["staff@example.org"].get_content()
    assert asked["links"]["ticket"] in to["zoe@example.org"].get_content()
    assert outbox(shop) == []
    sends(shop)
    assert len(post.got) == 2


def test_without_the_setting_nothing_is_queued(start, post):
    place = asks_in_public(start())
    asks(place)
    assert outbox(place) == []
    assert place.owner_get()["mail"] is False


def test_an_address_is_asked_for_only_where_mail_is_sent(shop, start):
    for app, asked in ((shop.app, True), (start(), False)):
        html = app.test_client().get("/corner-deli/call-backs/tickets", headers={"Accept": "text/html"}).text
        assert ('name="phone"' in html, 'name="email"' in html) == (True, asked)


def test_retries_of_an_unreachable_mail_server_wait_longer_and_longer(shop, post, clock):
    asks(shop, email=None)
    post.shutdown()
    post.server_close()
    pauses = []
    for _ in range(3):
        sends(shop)
        (mail,) = outbox(shop)
        pauses.append(round(mail["due_at"] - clock.at))
        sends(shop)  # not due yet
        assert outbox(shop) == [mail]
        clock.advance(seconds=pauses[-1])
    assert pauses == [60, 120, 240]
    assert "refused" in mail["why"]


def test_a_mail_is_given_up_after_three_days(shop, post, clock):
    asks(shop, email=None)
    post.answer = "451 not now"
    tried = 0
    while outbox(shop):
        sends(shop)
        tried += 1
        clock.at = max(clock.at + 1, max((each["due_at"] for each in outbox(shop)), default=0))
    assert 10 < tried < 30
    assert 2.5 * 86400 < clock.at - shop_opened(shop) < 3.1 * 86400
    assert post.got == []


def shop_opened(place):
    return place.export()["place"][0]["created_at"]


def test_a_mail_that_is_refused_for_good_is_dropped_and_the_others_are_sent(shop, post):
    post.answer = "550 no such user"
    asks(shop, email=None)
    sends(shop)
    assert outbox(shop) == []
    post.answer = "250 OK"
    asks(shop, phone="030 7654321", email=None)
    sends(shop)
    assert [each["To"] for each in post.mails()] == ["staff@example.org"]


def test_a_silent_mail_server_times_out(shop, post, monkeypatch):
    monkeypatch.setattr(mail_module, "TIMEOUT_S", 0.2)
    post.silent.set()
    asks(shop, email=None)
    sends(shop)
    (mail,) = outbox(shop)
    assert (mail["tries"], "timed out" in mail["why"]) == (1, True)


def test_many_mails_are_sent_over_few_connections(shop, post):
    for n in range(13):
        asks(shop, phone=f"030 {1000000 + n}", email=f"zoe{n}@example.org")
    assert sends(shop) is True
    assert sends(shop) is False
    to_staff = [each for each in post.mails() if each["To"] == "staff@example.org"]
    assert (len(post.got), len(to_staff), post.connections) == (15, 2, 2)
    assert sum(each.get_content().count("Somebody asks") for each in to_staff) == 13


def test_a_password_is_not_sent_in_the_clear(start, post):
    url = post.url.replace("//", "//user:secret@")
    place = asks_in_public(start(url=URL, smtp_url=url, smtp_from=FROM))
    asks(place)
    sends(place)
    assert post.got == []
    assert {each["why"] for each in outbox(place)} == {"it offers no STARTTLS, so the password was not sent"}


def test_a_line_break_in_a_name_makes_no_header(shop, post):
    asks(shop, name="Zoë\r\nBcc: all@example.org", note="x\r\n.\r\nMAIL FROM:<a@b>")
    sends(shop)
    assert len(post.got) == 2
    assert {each["Bcc"] for each in post.mails()} == {None}


def test_an_invalid_mail_is_dropped_and_the_others_are_sent(shop, post, clock):
    for odd in ("a@[b", "(@b", '"@b', "a@", "", "=?utf-8?q?x=0d=0aBcc:y?=@b.c"):
        shop.app.extensions["takeanumber"].database.write(puts_into_outbox, clock(), shop.slug, odd)
    asks(shop, email=None)
    post.answer = "250 OK"
    sends(shop)
    assert "staff@example.org" in {each["To"] for each in post.mails()}
    assert outbox(shop) == []


def puts_into_outbox(db, at, slug, recipient):
    place = find_place(db, slug)
    queue_mail(db, at, place.id, RECEIPT, recipient, address_key(db, recipient), MailText("Hello", "x"))


@pytest.mark.parametrize("odd", ["a@[b", "(@b", "a(b@c", '"@b', "a@b:", "a\\@b", "a@b..c", ".a@b", "a@b."])
def test_an_address_that_no_mail_can_go_to_is_refused(shop, odd):
    url = next(each["links"]["request"] for each in shop.owner_get()["queues"] if each["kind"] == "calls")
    answer = shop.client.post(url, {"phone": "030 1234567", "email": odd})
    assert (answer.status, "Email" in answer.body["error"]) == (400, True)
    assert outbox(shop) == []


def test_an_erased_contact_gets_no_mail_and_is_in_no_mail(shop, post):
    asks(shop)
    zoe = shop.contacts()["contacts"][0]
    sends_to = {"email": "new@example.org"}  # the address in the request is ignored
    assert shop.client.post(zoe["links"]["contact"], sends_to).status == 200
    asks(shop, name="Ben", phone="030 7654321", email="zoe@example.org", note="Mine")
    shop.client.post(f"{zoe['links']['contact']}/forget")
    sends(shop)
    assert sorted(each["To"] for each in post.mails()) == ["staff@example.org", "zoe@example.org"]
    assert "Zoë" not in "".join(each.get_content() for each in post.mails())


def test_no_mail_s_content_is_in_the_export(shop):
    asks(shop)
    assert "Where it stands" not in str(shop.export())
    assert {each["recipient"] for each in outbox(shop)} == {"staff@example.org", "zoe@example.org"}


def test_nothing_is_sent_while_writes_are_paused(shop, post):
    """A server that has handed over can't store that it sent them, and would send them again and again."""
    database = shop.app.extensions["takeanumber"].database
    asks(shop)
    database.pause("Moving to a new server, a moment please.")
    for _ in range(3):
        assert sends(shop) is False
    assert (post.got, post.connections) == ([], 0)
    database.resume()
    sends(shop)
    assert len(post.got) == 2


def test_a_pause_between_two_mails_keeps_the_second_back(shop, post, monkeypatch):
    database = shop.app.extensions["takeanumber"].database
    asks(shop)
    write = database.write_in

    def then_pauses(*args):
        write(*args)
        database.pause("Moving to a new server, a moment please.")

    monkeypatch.setattr(database, "write_in", then_pauses)
    assert sends(shop) is False
    assert len(post.got) == 1
    monkeypatch.undo()
    database.resume()
    sends(shop)
    assert len({each["Message-ID"] for each in post.mails()}) == len(post.got) == 2


def test_the_background_job_sends_mails(start_server, post):
    server = start_server(url=URL, smtp_url=post.url, smtp_from="deli@example.org")
    shop = server.open_shop()
    content = {"name": "Calls", "kind": "calls", "public_form": True, "staff_email": "staff@example.org"}
    made = server.post(f"{shop.links['manage']}/queues", content).body
    asked = {"name": "Zoë", "phone": "+1 202 555 0123", "note": "x", "email": "zoe@example.org"}
    assert server.post(made["links"]["request"], asked).status == 201
    wait_for(lambda: len(post.got) == 2)  # the second follows five seconds after the first
    assert {each["To"] for each in post.mails()} == {"staff@example.org", "zoe@example.org"}


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("mail.example.org", "a@example.org"),
        ("https://mail.example.org", "a@example.org"),
        ("smtp://mail.example.org:99999", "a@example.org"),
        ("smtp://user:secret@", "a@example.org"),
        ("smtp://mail.example.org", "nobody"),
        ("smtp://mail.example.org", ""),
        ("", "a@example.org"),
    ],
)
def test_invalid_settings_stop_the_start(url, sender):
    with pytest.raises(CannotStart, match=r"TAKEANUMBER_SMTP") as problem:
        Settings.read({"TAKEANUMBER_SMTP_URL": url, "TAKEANUMBER_SMTP_FROM": sender})
    assert "secret" not in str(problem.value)


def test_valid_settings():
    for url in ("smtp://u%40x:p@mail.example.org:587", "smtps://mail.example.org", "smtp://[::1]:25/"):
        mail = {"TAKEANUMBER_SMTP_URL": url, "TAKEANUMBER_SMTP_FROM": FROM}
        assert Settings.read(mail | {"TAKEANUMBER_URL": URL}).mail_enabled
    assert not Settings.read({}).mail_enabled
