"""The owner is told when people wait too long, or wait at an empty desk: once, and once when it is over."""

import json

import pytest
from helpers.client import AppClient
from helpers.outbox import ManualDispatcher
from helpers.places import open_deli
from helpers.receivers import Subscriber
from test_mail import FROM, Post, link_in

from app import clock as app_clock
from app.core.alerts import AlertWatcher
from app.core.wait import WaitEstimator

URL = "https://queue.example.org"


class Shop:
    """A place whose goal is ten minutes, and its owner's phone; a test sends the outbox by hand."""

    def __init__(self, start, receiver, clock, **settings):
        self.start, self.receiver, self.clock = start, receiver, clock
        self.settings = {"url": URL, "push_hosts": receiver.url, "webhook_hosts": receiver.url, **settings}
        self.place = open_deli(AppClient(self.restart()), timezone=clock.noon_zone, wait_goal_minutes=10)
        self.phone = Subscriber(receiver.url, "owner")
        answer = self.place.owner_post("/alerts/notify", **self.phone.subscription)
        assert (answer.status, len(answer.body["alerts"]["devices"])) == (200, 1)
        assert self.place.owner_post("/queues/deli", usual_service_s=300).status == 200

    def restart(self):
        """Start the server again, on the same database."""
        app = self.start(**self.settings)
        parts = app.extensions["takeanumber"]
        self.database = parts.database
        self.watcher = AlertWatcher(WaitEstimator(), mail_enabled=parts.settings.mail_enabled)
        self.dispatcher = ManualDispatcher(parts.database, parts.settings)
        return app

    def customers(self, number):
        return [self.place.customer() for _ in range(number)]

    def run(self, minutes=0, seconds=0):
        """Let time pass, do what the server does every few seconds, and return what the phone shows."""
        for _ in range(2 * minutes):
            self.clock.advance(seconds=30)
            self.look()
        self.clock.advance(seconds=seconds)
        self.look()
        return self.shown()

    def look(self):
        self.watcher.tell(self.database, app_clock.now())
        self.dispatcher.send_due()

    def shown(self):
        messages = [self.phone.read(each.body) for each in self.receiver.got if each.path == self.phone.path]
        return [(each["title"], each["body"].removesuffix(" · Corner Deli")) for each in messages]


@pytest.fixture
def shop(start, receiver, clock):
    return Shop(start, receiver, clock)


def test_a_long_wait_is_told_after_five_minutes_and_its_end_once(shop):
    desk = shop.place.desk("Ana", "Window 2")
    shop.customers(8)
    desk.call_next()
    shop.look()
    assert shop.run(seconds=299) == []
    ((title, body),) = shop.run(seconds=1)
    assert title.startswith("Deli: ")
    assert title.endswith(" min")
    assert body == "Two more desks bring it under 10 min by 10:55."
    message = shop.phone.read(shop.receiver.got[0].body)
    assert message["navigate"] == shop.place.links["manage"].replace("http://localhost", URL)
    assert len(shop.run(minutes=20)) == 1  # one alert an episode
    for _ in range(7):
        desk.call_next()
    assert shop.run()[1:] == [("Deli: alert over", "No one is waiting any more.")]
    assert len(shop.run(minutes=20)) == 2
    assert shop.place.event_kinds().count("alert") == 1
    assert shop.place.event_kinds().count("alert-over") == 1


@pytest.mark.both_databases
def test_the_end_names_the_goal_since_it_may_have_been_raised(shop):
    shop.customers(8)
    shop.place.desk("Ana", "Window 2").call_next()
    shop.look()
    assert len(shop.run(minutes=5)) == 1
    assert shop.place.owner_post("/alerts", wait_goal_minutes=160).status == 200
    ((title, body),) = shop.run()[1:]
    assert title == "Deli: alert over"
    assert body.startswith("The wait is ")
    assert body.endswith(" min. Your goal is 160 min.")


def test_a_short_peak_is_not_told(shop):
    desk = shop.place.desk("Ana", "Window 2")
    for _ in range(3):
        customers = shop.customers(6)
        if desk.current_number() is None:
            desk.call_next()
        shop.run(minutes=4)
        for customer in customers:
            customer.cancel()
        shop.run(seconds=30)
    assert shop.shown() == []


def test_pauses_between_two_customers_do_not_hide_a_long_wait(shop):
    desk = shop.place.desk("Ana", "Window 2")
    shop.customers(20)
    for number in range(1, 4):
        desk.call_next()
        shop.run(seconds=30)
        desk.post("done", number=f"A{number}")
        shop.run(minutes=1, seconds=45)
    assert len(shop.shown()) == 1


def test_about_as_long_as_the_goal_is_one_episode(shop):
    desk = shop.place.desk("Ana", "Window 2")
    desk.call_next()
    shop.customers(4)
    desk.call_next()
    assert len(shop.run(minutes=6)) == 1
    for _ in range(5):  # the mean goes below the goal and above it again
        shop.place.customer().cancel()
        last = shop.place.customer()
        shop.run(minutes=6)
        last.cancel()
        shop.run(minutes=1)
    assert len(shop.shown()) == 1


@pytest.mark.parametrize("at_minute", [3, 8])
def test_a_restart_neither_forgets_nor_repeats(shop, at_minute):
    shop.customers(8)
    shop.place.desk("Ana", "Window 2").call_next()
    shop.look()
    shop.run(minutes=at_minute)
    shop.restart()
    assert len(shop.run(minutes=8 - at_minute)) == 1
    shop.restart()
    assert len(shop.run(minutes=10)) == 1


def test_two_instances_tell_once(shop):
    shop.customers(8)
    shop.place.desk("Ana", "Window 2").call_next()
    shop.look()
    shop.clock.advance(minutes=6)
    other = AlertWatcher(WaitEstimator(), mail_enabled=False)
    for watcher in (shop.watcher, other, shop.watcher, other):
        watcher.tell(shop.database, app_clock.now())
    assert len(shop.run()) == 1


def test_nothing_is_told_outside_the_hours(shop):
    now = f"{shop.clock.at % 86400 // 3600:02.0f}"
    assert now == "10"
    assert shop.place.owner_post("/alerts", alert_from="10:20", alert_to="10:40").status == 200
    desk = shop.place.desk("Ana", "Window 2")
    shop.customers(12)
    desk.call_next()
    assert shop.run(minutes=24) == []  # the five minutes are of the hours, too
    assert len(shop.run(minutes=2)) == 1
    shop.run(minutes=15)
    for _ in range(12):
        desk.call_next()
    assert len(shop.run(minutes=30)) == 1  # not even that it is over


def test_hours_may_last_over_midnight_and_all_day(shop):
    for opens, closes, is_told in (
        ("22:00", "10:30", True),
        ("11:00", "09:00", False),
        ("00:00", "24:00", True),
    ):
        assert shop.place.owner_post("/alerts", alert_from=opens, alert_to=closes).status == 200
        customers = shop.customers(1)
        before = len(shop.shown())
        assert (len(shop.run(minutes=6)) > before) is is_told, (opens, closes)
        for customer in customers:
            customer.cancel()
        shop.run(minutes=1)


def test_who_waits_at_an_empty_desk(shop):
    assert shop.place.owner_post("/alerts", wait_goal_minutes=60).body["wait_goal_minutes"] == 60
    first = shop.place.customer()
    shop.look()
    assert shop.run(seconds=299) == []
    assert shop.run(seconds=1) == [("Deli: 1 person is waiting", "No one is on duty.")]
    today = shop.place.client.get(shop.place.links["manage"], Accept="text/html").body
    assert "Deli: no desk has called anyone since 10:00." in today
    assert len(shop.run(minutes=10)) == 1
    desk = shop.place.desk("Ana", "Window 2")
    desk.call_next()
    assert shop.run()[1:] == [("Deli: alert over", "A desk is serving again.")]
    assert first.get()["state"] == "called"
    shop.place.customer()
    assert len(shop.run(minutes=7)) == 2  # the desk is busy
    desk.post("done", number="A1")
    shop.look()
    assert len(shop.run(seconds=299)) == 2
    assert shop.run(seconds=1)[2:] == [("Deli: 1 person is waiting", "No desk has called anyone for 5 min.")]


def test_a_desk_that_only_moves_people_on_is_not_empty(shop):
    shop.place.add_queue("Bakery")
    desk = shop.place.desk("Ana", "Window 2")
    shop.place.owner_post("/alerts", wait_goal_minutes=600)
    shop.customers(6)
    for number in range(1, 5):
        desk.call_next(queue="deli")
        shop.run(minutes=3)
        assert desk.post("move", number=f"A{number}", queue="bakery").status == 200
        shop.run(minutes=1)
    desk.post("pause")
    shop.run(minutes=3)
    desk.post("resume")
    assert shop.run(minutes=3) == []


def test_desks_of_another_queue_do_not_count(shop):
    shop.place.add_queue("Bakery")
    shop.place.desk("Ana", "Window 2", queues=["bakery"])
    shop.place.customer("bakery")
    shop.place.desk("Ben", "Window 3", queues=["bakery"]).call_next()
    shop.customers(1)
    assert [title for title, _ in shop.run(minutes=6)] == ["Deli: 1 person is waiting"]


def test_the_advice_names_an_end_that_follows_from_the_weeks_before(start, receiver, clock):
    """Each Saturday, somebody comes every 4 minutes until 11:30, then every 30. A service takes 5 minutes."""
    clock.set("2026-11-07 09:00")
    shop = Shop(start, receiver, clock)
    for _ in range(2):
        desk = shop.place.desk("Ana", "Window 2")
        for minute in range(0, 360):
            if minute % 4 == 0 if minute < 150 else minute % 30 == 0:
                shop.place.customer()
            if minute % 5 == 0:
                desk.call_next()
            clock.advance(minutes=1)
        desk.post("done", number=desk.current_number())
        desk.post("pause")
        clock.advance(days=7, hours=-6)
    desk = shop.place.desk("Ana", "Window 2")
    for minute in range(60):
        if minute % 4 == 0:
            shop.place.customer()
        if minute % 5 == 0:
            desk.call_next()
        clock.advance(minutes=1)
    shop.customers(1)
    shop.look()
    (alert,) = shop.run(minutes=6)
    assert alert == ("Deli: 19 to 21 min", "One more desk until 11:30 brings it under 10 min.")


def test_a_confirmed_address_is_mailed_and_no_other(start, receiver, clock):
    with Post() as post:
        shop = Shop(start, receiver, clock, smtp_url=post.url, smtp_from=FROM)
        answer = shop.place.owner_post("/alerts", alert_email="boss@example.org")
        assert (answer.body["alert_email"], answer.body["alerts"]["email_state"]) == (
            "boss@example.org",
            "asked",
        )
        shop.customers(1)
        shop.run(minutes=6)
        (confirm,) = post.mails()
        assert shop.place.client.post(link_in(confirm)).status == 200
        assert shop.place.owner_get()["alerts"]["email_state"] == "confirmed"
        shop.place.desk("Ana", "Window 2").call_next()
        shop.run()
        assert [(mail["To"], mail["Subject"]) for mail in post.mails()[1:]] == [
            ("boss@example.org", "Corner Deli: Deli: alert over")
        ]
        assert "A desk is serving again." in post.mails()[1].get_content()
        shop.customers(1)
        shop.run(minutes=30)
        assert post.mails()[2]["Subject"].startswith("Corner Deli: Deli: ")
        assert len(post.mails()) == 3
        assert shop.place.owner_post("/alerts", alert_email=None).body["alert_email"] is None
        post.shutdown()


@pytest.mark.both_databases
def test_webhooks_get_alerts_as_events(shop, receiver):
    hook = shop.place.owner_post("/webhooks", url=f"{receiver.url}/hook").body
    receiver.status = 200
    customer = shop.place.customer()
    shop.run(minutes=6)
    customer.cancel()
    shop.run()
    posted = [json.loads(each.body) for each in receiver.got if each.path == "/hook"]
    begun, over = (each for each in posted if each["type"].startswith("alert"))
    assert (begun["type"], over["type"]) == ("alert", "alert_over")
    alert = begun["data"]["alert"]
    assert (alert["kind"], alert["queue"], alert["waiting"], alert["goal_s"]) == (
        "empty-desk",
        "deli",
        1,
        600,
    )
    assert alert["text"] == "Deli: 1 person is waiting. No one is on duty."
    assert over["data"]["alert"]["id"] == alert["id"]
    assert hook["id"]


@pytest.mark.both_databases
def test_the_owner_is_told_once_of_a_webhook_that_is_paused(shop, receiver):
    hook = shop.place.owner_post("/webhooks", url=f"{receiver.url}/secret").body
    receiver.status = 410
    shop.place.client.post(hook["links"]["test"])
    shop.dispatcher.send_due()
    receiver.status = 201
    host = receiver.url.removeprefix("http://")
    body = f"{host}: its server said that it is gone. Events are left out until you resume it."
    assert shop.run(minutes=3) == [("A webhook is paused", body)]
    shop.place.client.post(hook["links"]["resume"])
    receiver.status = 410
    shop.place.client.post(hook["links"]["test"])
    shop.dispatcher.send_due()
    receiver.status = 201
    assert len(shop.run(minutes=3)) == 2


@pytest.mark.both_databases
def test_a_device_can_be_stopped_and_a_new_owner_link_stops_all(shop):
    place = shop.place
    assert len(place.owner_post("/alerts/notify", **shop.phone.subscription).body["alerts"]["devices"]) == 1
    tablet = Subscriber(shop.receiver.url, "tablet")
    assert len(place.owner_post("/alerts/notify", **tablet.subscription).body["alerts"]["devices"]) == 2
    stopped = place.owner_post("/alerts/notify/stop", endpoint=shop.phone.subscription["endpoint"])
    assert len(stopped.body["alerts"]["devices"]) == 1
    fresh = place.owner_post("/links/manage/replace").body
    assert fresh["alerts"]["devices"] == []
    shop.customers(1)
    shop.run(minutes=6)
    assert shop.receiver.got == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("alert_email", "nonsense", "Email alerts to"),
        ("alert_from", "25:00", "Alerts from"),
        ("alert_from", "24:00", "Alerts from"),
        ("alert_to", "", "Until"),
        ("wait_goal_minutes", 0, "Goal for the wait"),
    ],
)
def test_bad_input_is_refused_at_its_field(shop, browser, field, value, sentence):
    before = shop.place.owner_get()
    answer = shop.place.owner_post("/alerts", **{field: value})
    assert answer.status == 400
    assert answer.body["error"].startswith(sentence)
    assert shop.place.owner_get() == before
