"""Mail settings: the sender, the login, and the host name in the greeting."""

import email
import email.policy
import socketserver
import threading
from email.headerregistry import Address

import pytest
from helpers.client import AppClient
from helpers.places import open_deli

from app import clock as app_clock
from app.core.mail import send_due_mails
from app.errors import CannotStart
from app.settings import Settings


class MailServer(socketserver.ThreadingTCPServer):
    """A mail server on loopback that keeps everything it receives."""

    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.lines, self.mails = [], []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"smtp://127.0.0.1:{self.server_address[1]}"

    def line(self, command):
        return next(line for line in self.lines if line.upper().startswith(command))


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            self.server.lines.append(line.decode().strip())
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self.server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.wfile.write(b"250 OK\r\n")


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def send_mail(start, mail_server):
    """Returns a function that lets a server with these settings send a mail, and returns the mail."""

    def send(sender, url="https://queue.example.org"):
        app = start(url=url, smtp_url=mail_server.url, smtp_from=sender)
        place = open_deli(AppClient(app), timezone="Europe/Berlin")
        form = {"public_form": True, "staff_email": "staff@example.org"}
        made = place.owner_post("/queues", name="Call-backs", kind="calls", **form)
        assert place.client.post(made.body["links"]["request"], {"phone": "030 1234567"}).status == 201
        state = app.extensions["takeanumber"]
        send_due_mails(state.database, app_clock.now(), state.settings, "this")
        return email.message_from_bytes(mail_server.mails[0], policy=email.policy.default)

    return send


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("Bar, Grill & Co <queue@example.org>", "Bar, Grill & Co"),
        ("Bar; Grill <queue@example.org>", "Bar; Grill"),
        ('"Bar, Grill & Co" <queue@example.org>', "Bar, Grill & Co"),
        ('"Say \\"hi\\"" <queue@example.org>', 'Say "hi"'),
        ('Bar "Zum Bären" <queue@example.org>', 'Bar "Zum Bären"'),
        ("Müller & Söhne, Bäckerei <queue@example.org>", "Müller & Söhne, Bäckerei"),
        ("Praxis Dr. Weiß (Berlin) <queue@example.org>", "Praxis Dr. Weiß (Berlin)"),
        ("診療所 <queue@example.org>", "診療所"),
        ("Open: 9 @ night <queue@example.org>", "Open: 9 @ night"),
        ("Deli<queue@example.org>", "Deli"),
        ("<queue@example.org>", ""),
        ("queue@example.org", ""),
    ],
)
def test_a_mail_comes_from_the_name_as_it_was_written(send_mail, mail_server, sender, name):
    mail = send_mail(sender)
    (address,) = mail["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, "queue@example.org")
    assert mail_server.line("MAIL FROM").split()[1] == "FROM:<queue@example.org>"
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail_server.mails[0].isascii()


@pytest.mark.parametrize(
    "sender",
    [
        "Bar, Grill & Co",
        "Bar <queue@example.org",
        "Bar queue@example.org>",
        '"Bar, Grill <queue@example.org>',
        "a@example.org, b@example.org",
        "A <a@example.org>, B <b@example.org>",
        "a@example.org, Deli <b@example.org>",
        "Bar <queue@>",
        "Bar <@example.org>",
        "Bar <queue at example.org>",
        "Bar\x07 <queue@example.org>",
        "Bar\r\nBcc: <x@example.org>",
        "Bar <kö@example.org>",
    ],
)
def test_a_sender_that_is_not_one_address_stops_the_start(sender):
    with pytest.raises(CannotStart, match="TAKEANUMBER_SMTP_FROM"):
        Settings.read(
            {"TAKEANUMBER_SMTP_URL": "smtp://mail.example.org", "TAKEANUMBER_SMTP_FROM": sender}
            | {"TAKEANUMBER_URL": "https://queue.example.org"}
        )


@pytest.mark.parametrize("user", ["u@x:p", "u:p/w", "u:p#w", "u:p?w", "u:p[w"])
def test_a_password_that_is_not_encoded_stops_the_start_and_is_not_repeated(user):
    with pytest.raises(CannotStart, match=r"TAKEANUMBER_SMTP_URL.*%40") as problem:
        Settings.read(
            {"TAKEANUMBER_SMTP_URL": f"smtp://{user}@mail.example.org", "TAKEANUMBER_SMTP_FROM": "a@b.org"}
            | {"TAKEANUMBER_URL": "https://queue.example.org"}
        )
    assert user not in str(problem.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://queue.example.org", "queue.example.org"),
        ("http://192.168.1.5:8000", "[192.168.1.5]"),
        ("http://[fd00::5]:8000/", "[IPv6:fd00::5]"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_server_greets_with_the_host_of_its_url(send_mail, mail_server, url, name):
    send_mail("queue@example.org", url=url)
    assert mail_server.line("EHLO") == f"ehlo {name}" or mail_server.line("EHLO") == f"EHLO {name}"


def test_a_domain_with_umlauts_is_written_as_it_is_looked_up(send_mail):
    (address,) = send_mail("Deli <queue@bücher.example>")["From"].addresses
    assert address == Address("Deli", "queue", "xn--bcher-kva.example")


@pytest.mark.parametrize(
    "alone",
    [{"TAKEANUMBER_SMTP_URL": "smtp://mail.example.org"}, {"TAKEANUMBER_SMTP_FROM": "queue@example.org"}],
)
def test_one_of_the_two_settings_alone_shows_valid_values_of_both(alone):
    with pytest.raises(
        CannotStart, match=r"such as smtp://mail\.example\.org:587.*such as queue@example\.org"
    ):
        Settings.read({"TAKEANUMBER_URL": "https://queue.example.org"} | alone)
