"""Mail to those who asked online for a call: that it is done, or that they could not be reached."""

import pytest
from helpers.client import AppClient
from test_forms import Browser
from test_mail import FROM, URL, asks, asks_in_public, link_in, outbox, post, sends, shop  # noqa: F401
from test_mail_addresses import PILLS, open_server  # noqa: F401


@pytest.fixture
def hotline(shop):  # noqa: F811
    """The shop of the mail tests, without a staff address."""
    shop.owner_post("/queues/call-backs", staff_email=None)
    return shop


def news(place, post):  # noqa: F811
    """Send what is due; return the mails that came, each as its subject and its first line."""
    post.got.clear()
    sends(place)
    return [(each["Subject"], each.get_content().splitlines()[0]) for each in post.mails()]


def asks_for_news(place, post, **asked):  # noqa: F811
    answer = asks(place, mail_when_done=True, **asked)
    ((_subject, first_line),) = news(place, post)
    assert "another mail when it is done" in first_line
    return answer


DONE = ("Corner Deli: your request is done", "Your request to be called is done.")
MISSED = (
    "Corner Deli: we couldn't reach you",
    "We tried to call you, and couldn't reach you. We will try again.",
)


def test_who_wants_it_is_mailed_when_the_request_is_done(hotline, post):  # noqa: F811
    asked = asks_for_news(hotline, post)
    caller = hotline.caller()
    call = caller.next_call()
    caller.report(call, "Reached")
    caller.report(call, "Reached")  # the button was pressed twice
    assert news(hotline, post) == [DONE]
    (mail,) = post.mails()
    assert mail["To"] == "zoe@example.org"
    assert link_in(mail, "stands") == asked["links"]["ticket"]
    assert "/not-me" in link_in(mail, "not you")
    assert news(hotline, post) == []


def test_who_does_not_want_it_is_not(hotline, post):  # noqa: F811
    asks(hotline)
    ((_subject, first_line),) = news(hotline, post)
    assert "another mail" not in first_line
    hotline.caller().make_call()
    assert news(hotline, post) == []


def test_who_asked_learns_that_they_could_not_be_reached(hotline, post, clock):  # noqa: F811
    asks_for_news(hotline, post)
    caller = hotline.caller()
    subjects = []
    while caller.make_call("No answer"):
        subjects += news(hotline, post)
        clock.advance(hours=1, minutes=1)
    first, last = subjects  # the tries between are told to nobody
    assert first == MISSED
    assert "couldn't reach you" in last[1]
    assert "ask once more" in last[1]


def test_who_asked_learns_that_their_number_is_wrong(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    hotline.caller().make_call("Wrong number")
    ((_subject, text),) = news(hotline, post)
    assert "seems to be wrong" in text


def test_a_request_is_done_after_a_call_back_too(hotline, post, clock):  # noqa: F811
    asked = asks_for_news(hotline, post)
    caller = hotline.caller()
    caller.make_call("Call back later", call_back_at="2026-11-21T15:00")
    assert news(hotline, post) == []
    clock.advance(hours=4)
    caller.make_call()
    assert news(hotline, post) == [DONE]
    assert link_in(post.mails()[0], "stands") == asked["links"]["ticket"]


def test_a_request_is_done_when_they_phone_in(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    answer = hotline.caller().post("calls/incoming", phone="030 1234567", outcome="Reached")
    assert answer.body["closed"] is True
    assert news(hotline, post) == [DONE]


def test_an_app_that_reports_tells_them_too(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    caller = hotline.caller()
    token = caller.link.rsplit("/", 1)[1]
    answer = hotline.client.post(
        "/api/submitReport",
        {"claim": caller.next_call()["claim"], "outcome": "Reached"},
        Authorization=f"Bearer {token}",
    )
    assert answer.status == 200, answer.body
    assert news(hotline, post) == [DONE]


def test_no_news_holds_a_strangers_words(open_server, post):  # noqa: F811
    asks(open_server, name=PILLS, note=PILLS, email="other@example.org", mail_when_done=True)
    sends(open_server)
    open_server.caller(PILLS).make_call("Reached", notes=PILLS)
    ((subject, _text),) = news(open_server, post)
    assert subject == "Your request is done"
    text = post.mails()[0].as_string().lower()
    assert not any(word in text for word in ("pills", "evil.example", open_server.slug))


@pytest.mark.both_databases
def test_whoever_says_not_me_gets_none(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    hotline.client.post(link_in(post.mails()[0], "not you"))
    hotline.caller().make_call()
    assert outbox(hotline) == []


@pytest.mark.both_databases
def test_news_count_against_the_limit_and_come_later(hotline, post, clock):  # noqa: F811
    caller = hotline.caller()
    for n in range(6):
        asks(hotline, phone=f"030 123456{n}", mail_when_done=True)
        caller.make_call()
    total = len(news(hotline, post))
    assert total == 3  # three receipts
    assert len(outbox(hotline)) == 3  # no more than three wait for one address
    clock.advance(hours=1, minutes=1)
    assert news(hotline, post) == [DONE] * 3
    assert outbox(hotline) == []


def test_somebody_else_who_knows_the_number_is_told_nothing(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    asks(hotline, email="other@example.org", mail_when_done=True, request_id="another")
    hotline.caller().make_call()
    assert news(hotline, post) == [DONE]
    assert post.mails()[0]["To"] == "zoe@example.org"


def test_the_address_is_forgotten_with_the_person(hotline, post):  # noqa: F811
    asks_for_news(hotline, post)
    hotline.caller().make_call()
    ids = [each["id"] for each in hotline.contacts()["contacts"]]
    hotline.owner_post("/contacts/actions", action="forget", ids=ids)
    assert "zoe@example.org" not in str(hotline.export())


def test_the_form_offers_it_and_asks_for_the_address(hotline, post):  # noqa: F811
    phone = Browser(hotline.app).open("/corner-deli/call-backs/tickets")
    assert "Email me when it’s done" in phone.html
    phone.press("Call me back", phone="030 1234567", mail_when_done="1")
    assert phone.status == 400
    assert "please enter the address" in phone.html
    phone.press("Call me back", phone="030 1234567", email="zoe@example.org", mail_when_done="1")
    hotline.caller().make_call()
    assert news(hotline, post)[-1] == DONE


def test_without_a_mail_server_nothing_is_stored(start):
    place = asks_in_public(start())
    asks(place, mail_when_done=True)
    assert place.client is not None
    assert isinstance(place.client, AppClient)
    assert [each["mail_to"] for each in place.export()["ticket"]] == [None]
