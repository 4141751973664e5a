"""The service in a browser without JavaScript: forms, cookies, redirects and CSRF protection."""

from __future__ import annotations

import re
import time

import pytest
from helpers.html_browser import Browser

from app.core.models import DETAILS


@pytest.fixture
def phone(browser, place):
    """A customer's phone that scanned the code on the door."""
    return browser().open(place.links["customers"])


@pytest.fixture
def owner(browser, place):
    """The owner's page, opened from the bookmark."""
    return browser().open(place.links["manage"])


@pytest.fixture
def servicer(browser, place):
    """A servicer who opened the staff link."""
    return browser().open(place.links["staff"])


# ----- what is said about a field


@pytest.mark.parametrize("typed", ["abc", "1.5", "0", "1e9", "99999999"])
def test_a_number_that_is_none_is_answered_with_the_range(owner, typed):
    page = owner.open(f"{owner.url}/queues").press("Save Deli", max_waiting=typed)
    assert page.status == 400
    assert "Queue limit: please choose a whole number from 1 to 1000000." in page.html


@pytest.mark.parametrize(
    ("name", "phone", "sentence"),
    [("", "+49 30 23451000", "Please enter a name."), ("Ana", "", "Please enter a phone number.")],
)
def test_a_contact_without_a_name_or_number(owner, name, phone, sentence):
    page = owner.open(f"{owner.url}/contacts").press("Add the contact", name=name, phone=phone)
    assert page.status == 400
    assert sentence in page.html


@pytest.mark.parametrize(
    ("typed", "sentence", "field"),
    [
        ({"name": ""}, "Please enter a name.", "name"),
        ({"counter-capacity": "90"}, "Please enter a name.", "counter-name"),
        ({"counter-name": "Shop"}, "Capacity: please fill this in.", "counter-capacity"),
        ({"queue": "q" * 61}, "Queue: please use at most 60 characters.", "queue"),
    ],
)
def test_a_place_that_cannot_be_opened_says_at_which_field(app, typed, sentence, field):
    home = Browser(app).open("/").press("Create my place", **{"name": "Corner Deli"} | typed)
    assert home.status == 400
    assert sentence in home.html
    (wrong,) = re.findall("<input [^>]*aria-invalid[^>]*>", home.html)
    assert f'name="{field}"' in wrong


def test_a_name_that_is_too_long_is_marked_where_somebody_starts_a_shift(servicer):
    servicer.press("Start serving", name="x" * 61)
    assert "Your name: please use at most 60 characters." in servicer.html
    (wrong,) = re.findall("<input [^>]*aria-invalid[^>]*>", servicer.html)
    assert 'name="name"' in wrong
    assert 'maxlength="60"' in wrong


# ----- the whole story, without JavaScript


def test_a_shop_runs_its_line_without_javascript(app):
    owner = Browser(app).open("/")
    owner.press("Create my place", name="Corner Deli", timezone="Europe/Berlin")
    assert owner.redirects == [303]
    assert "/corner-deli/manage/" in owner.url
    assert "Bookmark this page" in owner.html
    assert "Bookmark this page" not in owner.open(owner.url).html
    staff = next(url for url in owner.html.split('"') if "/corner-deli/staff/" in url)

    phone = Browser(app).open("/corner-deli").press("Take a number")
    assert phone.redirects == [303]
    assert "A1" in phone.html
    assert "next" in phone.html.lower()

    desk = Browser(app).open(staff).press("Start serving", name="Ana", desk="Window 2")
    assert "/corner-deli/desk/" in desk.url
    assert "1 waiting" in desk.html
    desk.press("Next customer")
    assert desk.redirects == [303]
    assert "A1" in desk.html

    phone.open(phone.url)
    assert "your turn" in phone.html
    assert "Window 2" in phone.html
    assert "A1" in Browser(app).open("/corner-deli/board").html
    desk.press("Start")
    desk.press("Done")
    assert "You&#39;re done" in phone.open(phone.url).html or "All done. Thank you!" in phone.html
    assert "Take another number" in phone.html


def test_each_press_leads_back_to_the_page_by_303(phone, servicer):
    phone.press("Take a number")
    assert phone.redirects == [303]
    servicer.press("Start serving", name="Ana", desk="Window 2")
    assert servicer.redirects == [303]
    for button in (
        "Next customer",
        "Start",
        "Call again",
        "Back to queue",
        "Next customer",
        "No-show",
        "Restore A1",
        "Pause",
    ):
        servicer.press(button)
        assert (servicer.redirects, servicer.status) == ([303], 200)


def test_live_pages_refresh_themselves_without_javascript(phone, browser, place, ana):
    pages = [phone.html, phone.press("Take a number").html]
    pages += [browser().open(url).html for url in (place.links["board"], ana.link)]
    assert all(
        'http-equiv="refresh"' in html.split("<noscript>")[1].split("</noscript>")[0] for html in pages
    )


# ----- a customer's browser


def test_the_same_press_sent_twice_makes_one_number(phone, place):
    form = phone.form("Take a number")
    first = phone.send(form).url
    assert phone.send(form).url == first
    assert place.queue()["waiting"] == ["A1"]


@pytest.mark.both_databases
def test_a_browser_has_one_open_number_in_a_queue(phone, place):
    first = phone.press("Take a number").url
    phone.open(f"{place.links['customers']}?stay=1").press("Take a number")
    assert phone.url == first
    assert place.queue()["waiting"] == ["A1"]


def test_a_browser_may_wait_in_two_queues(bakery, browser):
    phone = browser().open(bakery.links["customers"])
    phone.press("Take a number: Deli")
    phone.open(f"{bakery.links['customers']}?stay=1").press("Take a number: Bakery")
    assert [bakery.queue(queue)["waiting"] for queue in ("deli", "bakery")] == [["A1"], ["B1"]]


def test_the_page_of_the_place_leads_to_the_browsers_ticket(phone, place):
    ticket = phone.press("Take a number").url
    assert phone.open(place.links["customers"]).url == ticket


@pytest.mark.parametrize("end", ["leaves", "served", "next day"])
def test_the_page_of_the_place_is_shown_again_after_the_ticket_ended(phone, place, ana, clock, end):
    first = phone.press("Take a number").url
    if end == "leaves":
        phone.press("Leave the line")
    elif end == "served":
        ana.call_next()
        ana.post("done", number="A1")
    else:
        clock.advance(days=1)
    assert phone.open(place.links["customers"]).url == "/corner-deli"
    assert phone.press("Take a number").url != first


def test_another_browser_is_another_customer(phone, browser, place):
    phone.press("Take a number")
    other = browser().open(place.links["customers"]).press("Take a number")
    assert "1 ahead of you" in other.html


def test_a_shared_tablet_takes_many(owner, place, browser):
    owner.open(f"{place.links['manage']}/queues")
    owner.send(owner.form("Save Deli"), shared_tablet="1")
    tablet = browser().open(place.links["customers"])
    for number in ("A1", "A2", "A3"):
        form = tablet.form("Take a number")
        assert number in tablet.send(form).html
        assert tablet.url == tablet.send(form).url  # a double press makes one there, too
        assert ("Scan to take your number along" in tablet.html, tablet.has("Leave the line")) == (
            True,
            False,
        )
        phone = browser().open(tablet.url)
        assert ("QR code of this page" in phone.html, phone.has("Leave the line")) == (False, True)
        tablet.open(place.links["customers"])
        assert tablet.url == "/corner-deli"
    assert place.queue()["waiting"] == ["A1", "A2", "A3"]


def test_what_is_asked_for_is_on_the_page_and_kept(place, browser, ana):
    place.owner_post("/queues/deli", asks=["name", "party"])
    phone = browser().open(place.links["customers"])
    assert {"name", "party"} <= {name for name, _ in phone.form("Take a number")["fields"]}
    phone.press("Take a number", name="Zoë", party="3")
    called = ana.call_next()
    assert (called["name"], called["party"]) == ("Zoë", 3)


@pytest.mark.parametrize("detail", DETAILS)
def test_every_detail_can_be_asked_for_and_is_stored(place, browser, detail):
    place.owner_post("/queues/deli", asks=[detail])
    phone = browser().open(place.links["customers"])
    assert f'name="{detail}"' in phone.html
    phone.press("Take a number", **{detail: "3"})
    (ticket,) = place.tickets()
    assert ticket[detail] == "3"


def test_fields_left_empty_are_fine(place, browser):
    place.owner_post("/queues/deli", asks=["name", "phone", "note", "party"])
    phone = browser().open(place.links["customers"]).press("Take a number")
    assert (phone.status, phone.redirects) == (200, [303])


def test_a_customer_leaves_with_one_press(phone, place):
    phone.press("Take a number").press("Leave the line")
    assert "You left the line" in phone.html
    assert not phone.has("Leave the line")
    assert place.queue()["waiting"] == []


@pytest.mark.parametrize(("change", "words"), [("/close", "Closed"), ("", "full")])
def test_a_closed_or_full_queue_says_so(phone, place, browser, change, words):
    form = phone.form("Take a number")
    place.owner_post(f"/queues/deli{change}", max_waiting=1)
    if not change:
        place.customer()
    page = browser().open(place.links["customers"])
    assert words in page.html
    assert not page.has("Take a number")
    phone.send(form)  # the page was open already
    assert (phone.status, phone.redirects) == (409, [])
    assert words.lower() in phone.html.lower()
    assert len(place.export().get("ticket", [])) == (0 if change else 1)


# ----- a servicer's browser


def test_the_staff_link_leads_the_same_browser_to_its_desk(servicer, place):
    desk = servicer.press("Start serving", name="Ana", desk="Window 2").url
    assert servicer.open(place.links["staff"]).url == desk


def test_the_same_name_and_desk_twice_is_one_servicer(servicer, place):
    form = servicer.form("Start serving")
    urls = {servicer.send(form, name="Ana", desk="Window 2").url for _ in range(2)}
    assert len(urls) == 1
    assert len(place.owner_get()["servicers"]) == 1


def test_a_servicer_who_ticked_all_queues_serves_new_ones_too(servicer, place):
    servicer.press("Start serving", name="Ana", desk="Window 2")
    place.owner_post("/queues", name="Bakery")
    assert place.owner_get()["servicers"][0]["queues"] == ["deli", "bakery"]


def test_another_browser_gets_another_desk(servicer, browser, place):
    first = servicer.press("Start serving", name="Ana", desk="Window 2").url
    second = browser().open(place.links["staff"]).press("Start serving", name="Ana", desk="Window 2").url
    assert first != second


def test_a_servicer_whose_link_was_removed_starts_again(servicer, place):
    servicer.press("Start serving", name="Ana")
    place.owner_post(f"/servicers/{place.owner_get()['servicers'][0]['id']}/remove")
    assert servicer.open(servicer.url).status == 404
    assert servicer.open(place.links["staff"]).has("Start serving")


def test_a_late_press_is_an_error_and_shows_the_current_state(servicer, place):
    for _ in range(2):
        place.customer()
    servicer.press("Start serving", name="Ana", desk="Window 2").press("Next customer")
    old = servicer.form("Next customer")
    servicer.press("Next customer")
    servicer.send(old)
    assert servicer.status == 409
    assert 'class="error"' in servicer.html
    assert servicer.form("Done")["fields"][-1] == ("number", "A2")


def test_all_buttons_of_a_desk(servicer, bakery):
    for _ in range(3):
        bakery.customer("deli")
    servicer.press("Start serving", name="Ana", desk="Window 2", queues=["deli", "bakery"])
    servicer.press("Call A2")
    assert "A2" in servicer.html.split("</h1>")[0]
    servicer.press("Move", queue="bakery")
    assert bakery.queue("bakery")["waiting"] == ["A2"]
    servicer.press("Add a customer", queue="bakery", name="Mr. Lee", party="2")
    assert "B1" in servicer.html
    assert [bakery.queue(queue)["waiting"] for queue in ("deli", "bakery")] == [["A1", "A3"], ["A2", "B1"]]
    servicer.press("Next customer", queue="bakery")
    servicer.press("Pause")
    assert not servicer.has("Pause")
    servicer.press("Resume")
    assert servicer.has("Pause")


# ----- an owner's browser


def test_unticked_boxes_are_told_from_absent_ones(owner, place):
    owner.open(f"{place.links['manage']}/queues").press(
        "Save Deli", asks=["name", "phone"], shared_tablet="1"
    )
    queue = place.owner_get()["queues"][0]
    assert (queue["asks"], queue["shared_tablet"]) == (["name", "phone"], True)
    owner.press("Save Deli", asks=[], shared_tablet=None)
    queue = place.owner_get()["queues"][0]
    assert (queue["asks"], queue["shared_tablet"]) == ([], False)


@pytest.mark.both_databases
def test_saving_a_page_as_it_is_changes_nothing(owner, place, ana):
    known = ("slug", "name", "timezone", "country", "day_starts", "queues", "servicers")
    before = {name: place.owner_get()[name] for name in known}
    for section, button in (("queues", "Save Deli"), ("team", "Save Ana"), ("settings", "Save")):
        owner.open(f"{place.links['manage']}/{section}").press(button)
        assert (owner.status, owner.redirects) == (200, [303])
    after = {name: place.owner_get()[name] for name in known}
    assert before == after


def test_the_owner_changes_everything_by_forms(owner, place):
    place.customer()
    owner.open(place.links["manage"]).press("Close")
    assert place.queue()["open"] is False
    owner.press("Open")
    assert place.queue()["open"] is True
    owner.open(f"{place.links['manage']}/queues").press("Cancel these tickets", numbers=["A1"])
    owner.press("Add the queue", name="Bakery")
    owner.press("Close")
    assert place.queue()["open"] is False
    owner.press("Open")
    owner.press("Restart at 1")
    owner.press("Delete Bakery")
    assert [queue["slug"] for queue in place.owner_get()["queues"]] == ["deli"]
    owner.open(f"{place.links['manage']}/settings").press("Save", name="Corner Shop", day_starts="5")
    assert place.owner_get()["day_starts"] == 5
    owner.press("Replace the staff link")
    owner.press("Replace the owner link")
    assert place.client.get(place.links["manage"]).status == 404
    assert (owner.status, "/corner-deli/manage/" in owner.url) == (200, True)
    owner.press("Delete Corner Shop", name="Corner Shop")
    assert (owner.url, place.client.get("/corner-deli").status) == ("/", 404)


def test_deleting_with_a_wrong_name_is_refused(owner, place):
    owner.open(f"{place.links['manage']}/settings").press("Delete Corner Deli", name="Corner")
    assert (owner.status, "Corner Deli" in owner.html) == (400, True)
    assert place.picture()


def test_a_lost_bookmark_is_found_with_the_code(start):
    app = start(setup_code="open sesame")
    owner = Browser(app).open("/").press("Create my place", name="Corner Deli", setup_code="open sesame")
    bookmark = owner.url
    assert "manage links</h2>" not in Browser(app).open("/").html
    other = Browser(app).open("/").press("Show my owner links", setup_code="guess")
    assert (other.status, bookmark in other.html) == (403, False)
    assert "not the setup code" in other.html
    assert bookmark in other.press("Show my owner links", setup_code="open sesame").html


# ----- errors are shown on the page, with what was typed


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": ""}, "Please enter a name."),
        ({"name": "x" * 81}, "at most 80"),
        ({"timezone": "Mars"}, "time zone"),
    ],
)
def test_an_error_at_opening_is_shown_on_the_page(browser, typed, words):
    page = browser().open("/").press("Create my place", **{"name": "Corner Deli"} | typed)
    assert (page.status, page.redirects) == (400, [])
    assert words in page.html
    assert dict(page.form("Create my place")["fields"])["name"] == typed.get("name", "Corner Deli")


def test_an_error_at_the_staff_link_keeps_what_was_typed(servicer):
    servicer.press("Start serving", name="", desk="Window 9")
    assert (servicer.status, "Please enter a name." in servicer.html) == (400, True)
    assert ("desk", "Window 9") in servicer.form("Start serving")["fields"]


def test_an_error_in_the_settings_is_shown_on_the_page(owner, place):
    owner.open(f"{place.links['manage']}/settings").press("Save", day_starts="99")
    assert (owner.status, "from 0 to 23" in owner.html) == (400, True)
    assert owner.has("Save")


def test_an_error_at_an_unknown_link_is_not_found(owner, servicer, phone, place):
    owner.open(f"{place.links['manage']}/settings")
    for page, button, token in ((owner, "Save", "manage"), (servicer, "Start serving", "staff")):
        form = page.form(button)
        form["action"] = place.links[token][:-4] + "xxxx"
        assert page.send(form, name="", day_starts="99").status == 404
    form = phone.form("Take a number")
    form["action"] = "/nobody/deli/tickets"
    assert phone.send(form, name="x" * 100).status == 404


@pytest.mark.parametrize("url", ["/nobody", "/corner-deli/t/unknown", "/corner-deli/manage/unknown"])
def test_an_unknown_page_links_the_start_page(place, browser, url):
    page = browser().open(url)
    assert page.status == 404
    assert 'href="/' in page.html


def test_what_was_typed_is_only_text(place, browser, owner):
    mean = "<script>alert(1)</script>'\"&"
    place.owner_post("", name=mean)
    place.owner_post("/queues", name=mean)
    place.desk(mean, mean).post("add", queue="deli", name=mean, note=mean)
    desk = place.owner_get()["servicers"][0]["links"]["desk"]
    links = place.owner_get()["links"]
    for url in (links["customers"], links["board"], links["poster"], links["staff"], links["manage"], desk):
        html = browser().open(url).html
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


def test_no_page_shows_the_link_of_another(place, ana, browser):
    ticket = place.customer().ticket["links"]["ticket"]
    secret = {name: url.rsplit("/", 1)[1] for name, url in place.links.items() if name in ("staff", "manage")}
    secret |= {"desk": ana.link.rsplit("/", 1)[1], "ticket": ticket.rsplit("/", 1)[1]}
    shown = {"customers": [], "board": [], "staff": ["staff"], "manage": ["manage", "staff", "desk"]}
    urls = {name: place.links[name] for name in shown} | {"desk": ana.link, "ticket": ticket}
    for name, url in urls.items():
        html = browser().open(url).html
        allowed = shown.get(name, [name])
        assert [other for other in secret if secret[other] in html and other not in allowed] == []


# ----- no form of another site


@pytest.mark.parametrize("token", [None, "", "nonsense", "IjEyMyI.aaaa.bbbb"])
@pytest.mark.parametrize(
    ("section", "button"), [("settings", "Save"), ("queues", "Close"), ("settings", "Replace the owner link")]
)
def test_a_form_needs_its_token(owner, place, section, button, token):
    before = place.export()
    owner.open(f"{place.links['manage']}/{section}").press(button, csrf_token=token)
    assert owner.status == 400
    assert "once more" in owner.html
    assert place.export() == before


def test_a_form_needs_the_token_of_this_browser(owner, browser, place):
    other = dict(browser().open(place.links["customers"]).form("Take a number")["fields"])["csrf_token"]
    owner.open(f"{place.links['manage']}/settings")
    assert owner.press("Save", csrf_token=other, name="Mine!").status == 400
    assert place.picture()["place"]["name"] == "Corner Deli"


def test_a_form_without_cookies_says_so(phone, browser):
    form = phone.form("Take a number")
    other = browser().send(form)
    assert (other.status, "cookies" in other.html) == (400, True)


@pytest.mark.parametrize("what", ["take", "cancel", "staff", "next", "pause"])
def test_every_form_is_protected(place, ana, what):
    urls = {
        "take": place.queue()["links"]["take"],
        "cancel": place.customer().ticket["links"]["cancel"],
        "staff": place.links["staff"],
        "next": f"{ana.link}/next",
        "pause": f"{ana.link}/pause",
    }
    before = place.export()
    assert (
        place.client.send("POST", urls[what], data={"name": "Eve", "finished": "", "number": "A1"}).status
        == 400
    )
    assert place.export() == before


def test_every_form_of_calls_is_protected(clinic, cleo):
    clinic.owner_post("/queues/follow-ups", public_form=True)
    clinic.put_on_list("Ida", "Joe")
    call = cleo.next_call()
    said = {"claim": call["claim"], "outcome": "Reached", "name": "Eve", "phone": "030 1234567", "id": "1"}
    urls = [f"{cleo.link}/calls/{each}" for each in ("next", "more-time", "give-back", "report", "incoming")]
    urls += [f"{clinic.links['manage']}/{each}" for each in ("reasons", "outcomes", "services")]
    urls += [
        f"{clinic.links['manage']}/queues/follow-ups/clear-claim",
        f"{clinic.customer().ticket['links']['ticket']}/call-me",
    ]
    urls += [f"{clinic.links['customers']}/follow-ups/tickets", f"{clinic.links['manage']}/outcomes/1/remove"]
    before = clinic.export()
    for url in urls:
        assert clinic.client.send("POST", url, data=said | {"effect": "done"}).status == 400
    assert clinic.export() == before


def test_a_page_that_stayed_open_for_days_still_works(phone, place, monkeypatch):
    later = time.time() + 3 * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    assert phone.press("Take a number").redirects == [303]
    assert place.queue()["waiting"] == ["A1"]


def test_forms_work_behind_https(start):
    app = start(proxies=1)
    phone = Browser(app, "https://queue.example.org").open("/")
    phone.press("Create my place", name="Corner Deli")
    assert (phone.redirects, phone.status) == ([303], 200)
    assert "https://queue.example.org/corner-deli" in phone.html


def test_forms_work_after_a_restart(start, phone):
    phone.client.application = start()
    assert phone.press("Take a number").redirects == [303]


def test_forms_work_on_an_address_that_is_not_localhost(app):
    owner = Browser(app, "http://192.168.0.7:8000").open("/").press("Create my place", name="Corner Deli")
    assert "http://192.168.0.7:8000/corner-deli" in owner.html
