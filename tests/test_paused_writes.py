"""While writes are paused, pages keep what was typed; and pages show the state of the backups."""

import dataclasses
import io
import logging
import re
import sqlite3
import time

import pytest
from helpers.client import AppClient
from helpers.html_browser import Browser, Forms
from helpers.waiting import wait_for

from app import jobs
from app.core.models import BackupStatus
from app.settings import Settings

MOVING = "Moving to a new server, a moment please."
ENDED = "This server can't store anything: the owner's page says why."
HANDED_OVER = "The backups at s3://deli belong to another database."


@pytest.fixture
def database(app):
    return app.extensions["takeanumber"].database


@pytest.fixture
def phone(app, place):
    """A customer's phone that scanned the code on the door."""
    return Browser(app).open(place.links["customers"])


def kept(browser):
    """Return the form that a page keeps. It has no action, so a browser sends it to the URL of the page."""
    (form,) = Forms(browser.html).all
    assert (form["action"], form["method"], form["buttons"]) == (None, "post", ["Send again"])
    return form | {"action": browser.url}


def fields_typed(form):
    return [field for field in form["fields"] if field[0] != "csrf_token"]


# ----- while writes are paused


def test_writes_are_refused_and_reads_go_on(place, ana, database):
    customer = place.customer()
    database.pause(MOVING)
    for answer in (place.take(), customer.cancel(), ana.post("next", finished=None), place.owner_post()):
        assert (answer.status, answer.body) == (503, {"error": MOVING})
        assert answer.headers["Retry-After"] == "2"
    assert place.queue()["waiting"] == ["A1"]
    assert (customer.get()["state"], ana.current_number()) == ("waiting", None)
    assert place.client.get("/healthz").status == 200
    database.resume()
    assert ana.call_next()["number"] == "A1"


def test_background_jobs_log_once_that_they_wait(database, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "takeanumber")
    monkeypatch.setattr(jobs, "held_too_long", lambda *_: {"shop": [1]})  # a job that runs each second
    monkeypatch.setattr(jobs, "_watch_writer", lambda *_: None)  # which would end this process
    database.pause(MOVING)
    stopped = jobs.start_jobs(database, Settings())
    wait_for(lambda: any("try again" in each for each in caplog.messages))
    time.sleep(1.3)  # until the jobs have run once more
    stopped.set()
    assert [each for each in caplog.messages if "try again" in each] == [
        f"Background jobs can't write and will try again: {MOVING}"
    ]


def test_a_stream_goes_on_while_writes_are_paused(place, database):
    database.pause(MOVING)
    stream = place.client.flask_client.get(place.links["live"])
    assert b"event: state" in next(stream.response)
    stream.close()


def test_a_form_is_kept_as_it_was_and_sent_again(place, phone, database):
    place.owner_post("/queues/deli", asks=["name", "note"])
    form = phone.open(place.links["customers"]).form("Take a number")
    database.pause(MOVING)
    sent = {"name": "Zoë <b>", "note": "a cake,\nif you have one"}
    phone.send(form, **sent)
    assert phone.status == 503
    assert MOVING in phone.html
    assert "again.js" in phone.html
    (request_id,) = (value for name, value in form["fields"] if name == "request_id")
    assert sorted(fields_typed(kept(phone))) == sorted([("request_id", request_id), *sent.items()])
    phone.send(kept(phone))
    assert (phone.status, fields_typed(kept(phone))) == (503, [("request_id", request_id), *sent.items()])
    again = kept(phone)
    database.resume()
    assert "A1" in phone.send(again).html
    assert phone.redirects == [303]
    assert "A1" in phone.send(again).html  # with the same request id
    (ticket,) = place.export()["ticket"]
    assert (ticket["name"], ticket["note"]) == tuple(sent.values())


def test_the_button_and_each_tick_are_kept(app, bakery, door, database):
    """Repeated fields, the field of the pressed button, and days in the query string."""
    owner = Browser(app).open(bakery.links["manage"] + "/queues")
    boxes = next(form for form in Forms(owner.html).all if ("_boxes", "1") in form["fields"])
    database.pause(MOVING)
    owner.send(boxes, asks=["name", "party"])
    assert [value for name, value in fields_typed(kept(owner)) if name == "asks"] == ["name", "party"]
    phone = Browser(app).open(door.link)
    phone.press("+4", delta="4")
    assert ("delta", "4") in fields_typed(kept(phone))
    again = kept(phone)
    database.resume()
    assert phone.send(again).url in door.link
    assert door.get()["count"] == 4


def test_other_answers_of_the_new_server_are_shown(phone, place, database):
    """For example a queue that was closed meanwhile, or a deleted place: no page sends forever."""
    database.pause(MOVING)
    again = kept(phone.press("Take a number"))
    database.resume()
    place.owner_post("/queues/deli/close")
    phone.send(again)
    assert (phone.status, "again.js" in phone.html) == (409, False)
    assert "closed" in phone.html
    place.owner_post("/delete", name="Corner Deli")
    phone.send(again)
    assert (phone.status, "again.js" in phone.html) == (404, False)


def test_a_form_without_its_token_is_not_kept(place, phone, database):
    """Otherwise another site could make this page send any form."""
    database.pause(MOVING)
    phone.press("Take a number", csrf_token="made up")
    assert phone.status == 400
    assert "again.js" not in phone.html


def test_the_retry_page_links_the_page_before(app, ana, shop, database):
    database.pause(MOVING)
    for page in (shop.links["customers"], shop.links["staff"], ana.link, shop.links["manage"]):
        browser = Browser(app).open(page)
        form = next(form for form in Forms(browser.html).all if form["method"] == "post")
        browser.send(form)
        path = page.removeprefix("http://localhost")
        back = re.search(r'id="back" href="([^"]+)"', browser.html)[1]
        assert browser.open(back).status == 200
        assert browser.url.removeprefix("http://localhost") == path


def test_a_form_that_opens_a_place_is_kept(app, database):
    owner = Browser(app).open("/")
    database.pause(MOVING)
    owner.press("Create my place", name="Corner Deli", queue="Deli")
    again = kept(owner)
    assert {("name", "Corner Deli"), ("queue", "Deli")} <= {*fields_typed(again)}
    assert 'href="/"' in owner.html
    database.resume()
    assert "/corner-deli/manage/" in owner.send(again).url


def test_a_missing_place_is_not_found_while_writes_are_paused(phone, database):
    database.pause(MOVING)
    form = phone.form("Take a number")
    phone.send(form | {"action": "/nowhere/deli/tickets"})
    assert phone.status == 404


def test_a_file_is_not_sent_again(phone, place, database):
    """A page can't keep a file, so it says so instead of sending the rest."""
    form = dict(phone.form("Take a number")["fields"])
    database.pause(MOVING)
    form["file"] = io.BytesIO(b"name\r\nZoe\r\n"), "contacts.csv"
    answer = phone.client.post(
        f"{place.links['customers']}/deli/tickets", data=form, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 503
    assert "send it again" in answer.text
    assert Forms(answer.text).all == []
    assert "again.js" not in answer.text


def test_writes_refused_while_paused_count_for_no_rate_limit(start):
    app = start(takes_per_minute=2)
    client = AppClient(app)
    take = client.post("/places", {"name": "Deli"}).body["queues"][0]["links"]["take"]
    app.extensions["takeanumber"].database.pause(MOVING)
    assert {client.post(take).status for _ in range(5)} == {503}
    app.extensions["takeanumber"].database.resume()
    assert [client.post(take).status for _ in range(3)] == [201, 201, 429]


def test_a_server_that_is_busy_keeps_what_was_typed_but_sends_nothing_by_itself(phone, database, monkeypatch):
    """The same for a server that can't store: sending again wouldn't help."""

    def write(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", write)
        phone.press("Take a number")
        assert phone.status == 503
        assert "disk I/O error" in phone.html
        assert "again.js" not in phone.html
        again = kept(phone)
    assert "A1" in phone.send(again).html


# ----- the state of the backups


@pytest.fixture
def keeps(app, clock):
    """Return a function that sets the state of the server's backups."""

    def keeps(**changes):
        fields = {"state": "green", "last_at": clock() - 4, "behind_s": 0, "verified_at": clock() - 24600}
        fields |= {"verified_tickets": 1204, "problem": None, "role": "holder", "term": 7} | changes
        status = BackupStatus(**fields)
        parts = app.extensions["takeanumber"]
        app.extensions["takeanumber"] = dataclasses.replace(parts, backup_status=lambda: status)

    return keeps


WELL = "Last backup 4 s ago, last verified restore 03:10, 1,204 tickets."
LOST = "The bucket deli answers 403."


@pytest.mark.parametrize(
    ("said", "state", "word", "sentence"),
    [
        ({}, "green", "Backed up", WELL),
        ({"verified_tickets": 1}, "green", "Backed up", WELL.replace("1,204 tickets", "1 ticket")),
        ({"last_at": None, "verified_at": None}, "green", "Not yet", "No backup yet, not verified yet."),
        (
            {"state": "amber", "verified_at": 1795003800},
            "amber",
            "Late",
            "Last backup 4 s ago, last verified restore 12:10 of Wednesday 18 November 2026, 1,204 tickets.",
        ),
        (
            {"state": "red", "behind_s": 2000, "problem": LOST},
            "red",
            "Not backed up",
            f"{LOST} {WELL} What changed in the last 33 min 20 s is not in it.",
        ),
    ],
    ids=["well", "one ticket", "none yet", "not verified for days", "failing"],
)
def test_pages_show_the_state_of_the_backups(place, keeps, app, said, state, word, sentence):
    keeps(**said)
    told = place.owner_get()["backup"]
    assert (told["state"], told["word"], told["said"]) == (state, word, sentence)
    html = Browser(app).open(place.links["manage"] + "/settings").html
    assert f'id="backup" data-state="{state}"' in html
    for text in (word, sentence):
        assert text in html


def test_the_times_of_backups_are_in_the_zone_of_the_place(place, keeps):
    place.owner_post(timezone="Asia/Tokyo")
    keeps()
    told = place.owner_get()["backup"]
    assert (told["last_at"], told["age_s"]) == ("2026-11-21T18:59:56+09:00", 4)
    assert told["verified_at"] == "2026-11-21T12:10:00+09:00"
    assert "last verified restore 12:10," in told["said"]
    assert (told["behind_s"], told["verified_tickets"], told["role"]) == (0, 1204, "holder")


def test_a_clock_that_was_put_back_counts_nothing_below_zero(place, keeps, clock):
    keeps(last_at=clock() + 3600)
    assert place.owner_get()["backup"]["age_s"] == 0
    assert place.owner_get()["backup"]["said"].startswith("Last backup 0 s ago")


@pytest.mark.sqlite_file
def test_without_a_place_for_backups(app, place):
    assert place.owner_get()["backup"] is None
    html = Browser(app).open(place.links["manage"] + "/settings").html
    assert "Backups aren’t set up. Set TAKEANUMBER_BACKUP_URL" in html


def test_healthz_shows_the_backups_with_verbose(place, keeps, database):
    assert place.client.get("/healthz").body == {"status": "ok"}
    well = place.client.get("/healthz?verbose=1").body
    assert well == {"status": "ok", "paused": None, "backup": None}
    keeps()
    told = place.client.get("/healthz?verbose=1").body["backup"]
    assert (told["state"], told["said"]) == ("green", WELL)
    assert told["verified_at"] == "2026-11-21T03:10:00+00:00"
    assert place.client.get("/healthz").body == {"status": "ok"}
    database.pause(MOVING)
    assert place.client.get("/healthz?verbose=1").body["paused"] == MOVING


def test_only_the_owner_sees_where_the_backups_are(place, keeps):
    keeps(state="amber", problem=LOST)
    told = place.client.get("/healthz?verbose=1").body["backup"]
    assert LOST not in str(told)
    assert "The owner's page says what is wrong." in told["said"]
    assert place.owner_get()["backup"]["problem"] == LOST


def test_the_owner_sees_a_handover(place, keeps, database, app):
    keeps(state="amber", role="handing over")
    database.pause(MOVING)
    told = place.owner_get()["backup"]
    assert (told["word"], told["said"]) == ("Moving", f"{MOVING} {WELL}")
    assert MOVING in Browser(app).open(place.links["manage"]).html


def test_a_fenced_server_says_so_and_keeps_no_forms(app, place, phone, keeps, database):
    form = phone.form("Take a number")
    keeps(state="red", role="standby", problem=HANDED_OVER)
    database.pause(ENDED, for_good=True)
    told = place.owner_get()["backup"]
    assert (told["word"], told["said"]) == ("Standby", f"{ENDED} {HANDED_OVER} {WELL}")
    assert place.client.get("/healthz?verbose=1").body["backup"]["said"].startswith(ENDED)
    answer = place.take()
    assert (answer.status, answer.body) == (503, {"error": ENDED})
    assert "Retry-After" not in answer.headers
    phone.send(form)
    assert phone.status == 503
    assert "s page says why." in phone.html
    assert "again.js" not in phone.html
    assert kept(phone)  # pressed by hand: the next server may answer then
