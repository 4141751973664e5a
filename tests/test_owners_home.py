"""The sections of the owner's home: today, queues, the team, the look, and links for other devices."""

import base64
import re

import pytest
from helpers.client import AppClient
from helpers.html_browser import Browser
from helpers.places import Place

from app.web import public_links
from app.web.brand import DARK_CARD, LIGHT_PAPER, contrast

SECTIONS = ["", "/queues", "/occupancy", "/calls", "/team", "/settings"]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def owner(app, place):
    """The owner's browser."""
    return Browser(app).open(place.links["manage"])


def section(owner, place, name):
    """Open a section of the owner's home."""
    return owner.open(f"{place.links['manage']}/{name}".rstrip("/"))


# ----- the sections


@pytest.mark.parametrize("path", SECTIONS)
def test_each_section_answers_in_json_with_all_that_the_owner_sees(shop, path):
    assert shop.client.get(shop.links["manage"] + path).body == shop.owner_get()


@pytest.mark.parametrize("path", SECTIONS)
def test_each_section_is_the_owners_alone(shop, path):
    wrong = shop.links["manage"][:-4] + "xxxx"
    assert shop.client.get(wrong + path).status == 404


@pytest.mark.parametrize("path", SECTIONS)
def test_each_section_leads_to_all_others(app, shop, path):
    html = Browser(app).open(shop.links["manage"] + path).html
    manage = shop.links["manage"].removeprefix("http://localhost")
    assert all(f'href="{manage}{other}"' in html for other in [*SECTIONS, "/stats"])
    assert html.count('aria-current="page"') in (1, 2)  # in the bar, and on a phone under "More"


def test_a_refused_press_shows_the_section_that_it_came_from(clinic, app):
    owner = Browser(app).open(f"{clinic.links['manage']}/calls")
    owner.press("Add the call list", name="Follow-ups")
    assert (owner.status, "<h1>Calls</h1>" in owner.html) == (409, True)
    assert "already a call list named Follow-ups" in owner.html


# ----- today


def test_today_shows_who_waits_and_who_is_served_since_when(owner, place, ana, clock):
    place.customer()
    place.customer()
    ana.call_next()
    clock.advance(minutes=4)
    html = section(owner, place, "").html
    assert re.search(r"<b>A1</b> <span>Window 2</span> <span>called\s*<time [^>]*>4 min</time>", html)
    assert re.search(r"<b>1</b> waiting, the first for <time [^>]*>4 min", html)


def test_today_compares_the_waits_with_the_goal(owner, place, ana, clock):
    for minutes in (2, 30):
        place.customer()
        clock.advance(minutes=minutes)
        ana.call_next()
    html = section(owner, place, "").html
    assert "2 customers called today. Average wait 16 min;" in html
    assert "1 of 2 under 10 min" in html


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda place: place.customer(), "1 person is waiting, and no one is on duty."),
        (lambda place: place.owner_post("/queues/deli", max_waiting=1), "Deli is full"),
        (lambda place: place.door().tap(12), "Shop is over capacity by 2."),
    ],
    ids=["nobody on duty", "full", "over capacity"],
)
def test_today_says_what_needs_attention_only_when_it_does(app, shop, happens, said):
    if "full" in said:
        shop.customer()
    assert said not in Browser(app).open(shop.links["manage"]).html
    happens(shop)
    assert said in Browser(app).open(shop.links["manage"]).html


@pytest.mark.sqlite_file
def test_backups_that_are_not_set_up_are_no_alarm(owner, place):
    assert "attention" not in section(owner, place, "").html
    assert "Backups aren’t set up" in section(owner, place, "settings").html


def test_the_checklist_disappears_when_all_is_done(owner, place, ana):
    assert "Get started" in owner.html
    owner.press("Print the poster")
    assert (owner.redirects, owner.url) == ([303], "/corner-deli/poster")
    assert "Get started" in section(owner, place, "").html
    place.customer()
    assert "Get started" not in section(owner, place, "").html


def test_the_checklist_can_be_hidden(owner, place):
    owner.press("Hide this list")
    assert (owner.redirects, "Get started" in owner.html) == ([303], False)


@pytest.mark.parametrize("step", ["", "desk", "poster hidden", None, 1])
def test_an_unknown_step_of_the_checklist(place, step):
    assert place.owner_post("/steps", step=step).status == 400


def test_the_owner_closes_early_on_the_first_page(owner, place):
    place.customer()
    owner.press("Close Deli")
    assert (owner.redirects, owner.url) == ([303], place.links["manage"].removeprefix("http://localhost"))
    assert "Deli is closed to new customers. 1 person is still waiting." in owner.html
    assert place.take().status == 409


def test_the_owner_restores_who_was_called_last(owner, place, ana):
    for _ in range(3):
        place.customer()
    ana.call_next()
    ana.post("no-show", number="A1")
    section(owner, place, "").press("Restore A1")
    assert "A1 is back in the queue, first in line." in owner.html
    assert place.waiting() == ["A1", "A2", "A3"]
    assert place.owner_post("/queues/deli/restore", number="A1").status == 200  # pressed twice
    assert place.waiting() == ["A1", "A2", "A3"]


def test_only_what_ended_within_the_hour_is_restored(place, ana, clock):
    place.customer().cancel()
    place.customer()
    ana.call_next()
    assert place.owner_post("/queues/deli/restore", number="A2").status == 409  # served at a desk
    assert place.owner_post("/queues/deli/restore", number="A9").status == 409
    clock.advance(minutes=61)
    assert place.owner_post("/queues/deli/restore", number="A1").status == 409
    assert place.waiting() == []


# ----- queues


@pytest.mark.parametrize("name", ["Deli", "deli", " DELI ", "Ｄｅｌｉ", "Deli\u200b", "\u202eDeli"])
def test_no_two_queues_have_the_same_name(bakery, name):
    before = bakery.export()
    for response in (bakery.owner_post("/queues", name=name), bakery.owner_post("/queues/bakery", name=name)):
        assert response.status == 409
        assert response.body["error"] == "There is already a queue named Deli. Choose another name."
        assert response.body["queues"][0]["name"] == "Deli"
    assert bakery.export() == before


@pytest.mark.both_databases
def test_a_queue_may_be_saved_under_its_own_name(place):
    assert place.owner_post("/queues/deli", name="Deli", max_waiting=3).status == 200
    assert place.owner_post("/queues/deli", name="DELI").status == 200


def test_a_deleted_queue_leaves_its_name(bakery):
    bakery.owner_post("/queues/bakery/delete")
    assert bakery.owner_post("/queues", name="Bakery").status == 201


@pytest.mark.both_databases
def test_the_owner_orders_the_queues(bakery):
    bakery.add_queue("Cheese")
    desk = bakery.desk()
    for _ in range(2):  # pressed twice
        assert bakery.owner_post("/queues/cheese", position=1).status == 200
        assert [queue["slug"] for queue in bakery.picture()["queues"]] == ["cheese", "deli", "bakery"]
    assert desk.get()["queues"] == ["cheese", "deli", "bakery"]
    bakery.owner_post("/queues/cheese", position=99)
    assert [queue["slug"] for queue in bakery.owner_get()["queues"]] == ["deli", "bakery", "cheese"]
    bakery.add_queue("Drinks")
    assert [queue["slug"] for queue in bakery.picture()["queues"]][-1] == "drinks"


@pytest.mark.parametrize("position", [0, -1, "1", 1.5, True])
def test_an_invalid_position(place, position):
    assert place.owner_post("/queues/deli", position=position).status == 400


def test_an_error_stands_at_its_field_with_what_was_typed(owner, bakery):
    section(owner, bakery, "queues").press("Save Bakery", name="Cakes", prefix="A", max_waiting="7")
    assert owner.status == 409
    assert dict(owner.form("Save Bakery")["fields"]).items() >= {"name": "Cakes", "prefix": "A"}.items()
    details = re.search(r'<details id="queue-bakery" open>.*?</details>', owner.html, re.DOTALL)[0]
    assert re.search(r'<input name="prefix"[^>]* aria-invalid="true"', details)
    assert 'id="queue-bakery-prefix-wrong">Prefix A is already used by Deli.' in details
    assert bakery.owner_get()["queues"][1]["name"] == "Bakery"


def test_a_prefix_that_is_typed_in_small_letters_becomes_capitals(owner, bakery):
    section(owner, bakery, "queues").press("Save Bakery", prefix="ch")
    assert owner.status == 200
    assert bakery.owner_get()["queues"][1]["prefix"] == "CH"


def test_a_save_leads_back_to_its_panel(owner, place):
    section(owner, place, "queues").press("Save Deli", max_waiting="7")
    assert (owner.status, owner.redirects) == (200, [303])
    assert '<details id="queue-deli" open>' in owner.html


def test_a_contact_that_is_refused_keeps_all_that_was_typed(clinic, app):
    owner = Browser(app).open(f"{clinic.links['manage']}/contacts")
    form = owner.form("Add the contact")
    owner.send(form, name="Zoë", phone="12", email="zoe@example.org", tags="a, b", notes="Speaks French")
    assert owner.status == 400
    assert dict(owner.form("Add the contact")["fields"]).items() >= {
        "name": "Zoë", "phone": "12", "email": "zoe@example.org", "tags": "a, b"
    }.items()  # fmt: skip
    assert 'id="add-one-phone-wrong"' in owner.html
    owner.send(form, name="", phone="030 1234567")
    assert (owner.status, 'id="add-one-name-wrong"' in owner.html) == (400, True)


# ----- the team


def test_the_owner_corrects_a_name_and_a_desk(place, ana):
    place.customer()
    ana.call_next()
    before = place.picture()["version"]
    assert place.owner_post(f"/servicers/{ana.id}", name="Anna", desk="Window 12").status == 200
    assert (ana.get()["name"], ana.get()["desk"]) == ("Anna", "Window 12")
    assert place.queue()["called"][0]["desk"] == "Window 12"
    assert place.picture()["version"] > before
    assert place.owner_post(f"/servicers/{ana.id}", desk=None).status == 200
    assert (ana.get()["name"], ana.get()["desk"]) == ("Anna", None)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 61}, {"desk": "x" * 41}, {"desk": 5}])
def test_an_invalid_name_or_desk(place, ana, wrong):
    assert place.owner_post(f"/servicers/{ana.id}", **wrong).status == 400
    assert ana.post("rename", **{"name": "Ana", **wrong}).status == 400
    assert (ana.get()["name"], ana.get()["desk"]) == ("Ana", "Window 2")


def test_a_servicer_corrects_their_own_name_and_desk(place, ana):
    assert ana.post("rename", name="Anna", desk="Window 3").status == 200
    assert [(each["name"], each["desk"]) for each in place.owner_get()["servicers"]] == [("Anna", "Window 3")]


@pytest.mark.both_databases
@pytest.mark.parametrize("by_owner", [True, False])
def test_a_shift_ends_and_its_customer_waits_again_first(place, ana, ben, by_owner):
    for _ in range(3):
        place.customer()
    ana.call_next()
    for _ in range(2):  # pressed twice
        path = f"/servicers/{ana.id}/end-shift"
        response = place.owner_post(path) if by_owner else ana.post("end-shift")
        assert response.status == 200
    assert place.waiting() == ["A1", "A2", "A3"]
    servicer = place.owner_get()["servicers"][0]
    assert (servicer["on_duty"], servicer["shift_ended_at"]) == (False, "2026-11-21T10:00:00+00:00")
    assert ana.post("next", finished=None).status == 409
    ana.post("resume")
    assert place.owner_get()["servicers"][0]["shift_ended_at"] is None
    assert ana.call_next()["number"] == "A1"


def test_after_a_shift_the_browser_is_asked_who_serves(app, place):
    browser = Browser(app).open(place.links["staff"]).press("Start serving", name="Fred", desk="Window 2")
    assert Browser(app).open(place.links["staff"]).has("Start serving")
    desk = browser.url
    assert "the staff link asks for a name again. The link of this desk still opens it" in browser.html
    assert "A customer who is at your desk waits again" in browser.html
    assert "A call that you have is released." not in browser.html
    browser.press("End my shift")
    assert "Your shift has ended" in browser.html
    assert browser.open(desk).has("Resume")
    assert browser.open(place.links["staff"]).has("Start serving")


def test_a_caller_who_ends_their_shift_reads_what_becomes_of_their_call(app, clinic):
    html = Browser(app).open(clinic.caller("Cleo", queues=["follow-ups"]).link).html
    assert "A call that you have is released." in html
    assert "A call that Cleo has is released." in html
    assert "A customer who is at your desk" not in html
    assert "and the customer who is here" not in html


@pytest.mark.both_databases
def test_somebody_else_takes_over_the_desk_and_the_customer(app, place):
    browser = Browser(app).open(place.links["staff"]).press("Start serving", name="Fred", desk="Window 2")
    place.customer()
    browser.press("Next customer")
    form = browser.form("Take over this desk")
    fred = browser.url
    browser.send(form, name="Gina")
    gina = browser.url
    assert gina != fred
    assert "A1" in browser.html
    assert place.queue()["called"][0]["desk"] == "Window 2"
    assert browser.send(form, name="Gina").url == gina  # pressed twice
    servicers = {each["name"]: each for each in place.owner_get()["servicers"]}
    assert servicers.keys() == {"Fred", "Gina"}
    assert (servicers["Fred"]["on_duty"], servicers["Fred"]["current"]) == (False, None)
    assert browser.open(place.links["staff"]).url == gina


def test_a_desk_is_handed_over_once(place, ana):
    assert ana.post("hand-over", name="Gina").status == 201
    assert ana.post("hand-over", name="Hugo").status == 409
    assert [each["name"] for each in place.owner_get()["servicers"]] == ["Ana", "Gina"]


def test_a_successor_serves_the_same_queues(bakery):
    desk = bakery.desk(queues=["bakery"])
    assert desk.post("hand-over", name="Gina", desk="Window 2").body["queues"] == ["bakery"]


# ----- the look


@pytest.mark.both_databases
def test_the_owner_thanks_in_their_own_words(app, place, ana):
    place.owner_post("", thanks="See you <soon>!")
    customer = place.customer()
    ana.call_next()
    ana.post("done", number="A1")
    html = Browser(app).open(customer.ticket["links"]["ticket"]).html
    assert "See you &lt;soon&gt;!" in html
    assert place.owner_post("", thanks=None).body["thanks"] is None
    assert "See you" not in Browser(app).open(customer.ticket["links"]["ticket"]).html


@pytest.mark.both_databases
@pytest.mark.parametrize("colour", ["#ffff00", "#FFFFFF", "#000000", "#808080", "#0b6b46", "#ff0000"])
def test_any_colour_can_be_read(app, place, colour):
    assert place.owner_post("", colour=colour).body["colour"] == colour
    url = re.search(r'href="(/corner-deli/brand\.css[^"]*)"', Browser(app).open("/corner-deli").html)[1]
    css = app.test_client().get(url).text
    light, on_light, dark, on_dark = re.findall(r"#[0-9a-f]{6}", css)
    assert contrast(light, LIGHT_PAPER) >= 4.5
    assert contrast(dark, DARK_CARD) >= 4.5
    assert min(contrast(on_light, light), contrast(on_dark, dark)) >= 4.5


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "0b6b46", "#0b6b46;}", 5])
def test_an_invalid_colour_is_refused(place, colour):
    assert place.owner_post("", colour=colour).status == 400
    assert place.owner_get()["colour"] is None
    assert place.client.get("http://localhost/corner-deli/brand.css").status == 404


def upload(owner, image):
    """Choose this picture as the logo, and send it."""
    from io import BytesIO

    form = owner.form("Upload the logo")
    data = dict(form["fields"]) | {"file": (BytesIO(image), "logo.png")}
    owner._go("POST", form["action"], data=data, content_type="multipart/form-data")


@pytest.mark.both_databases
def test_a_logo_is_shown_on_public_pages(app, owner, place):
    upload(section(owner, place, "settings"), PNG)
    assert (owner.status, owner.redirects) == (200, [303])
    for path in ("", "/board", "/poster"):
        html = Browser(app).open(f"/corner-deli{path}").html
        url = re.search(r'<img class="logo" src="([^"]+)"', html)[1]
        answer = app.test_client().get(url)
        assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", PNG)
    assert place.export()["logo"][0]["mimetype"] == "image/png"
    assert place.owner_post("/logo/remove").status == 200
    assert place.owner_post("/logo/remove").status == 200  # pressed twice
    assert "logo" not in place.owner_get()["links"]
    assert app.test_client().get("/corner-deli/logo").status_code == 404


@pytest.mark.parametrize(
    ("image", "status", "said"),
    [
        (b"", 400, "choose a picture first"),
        (b"GIF", 400, "PNG, JPEG"),
        (b"<svg onload='alert(1)'/>", 400, "PNG, JPEG"),
        (PNG + bytes(600 * 1024), 400, "at most 512 KB"),
        (PNG + bytes(2 * 2**20), 413, "too much at once"),
    ],
)
def test_an_invalid_logo_is_refused(app, owner, place, image, status, said):
    upload(section(owner, place, "settings"), image)
    assert (owner.status, said in owner.html) == (status, True)
    assert "logo" not in place.owner_get()["links"]


def test_a_logo_comes_in_json_too(place):
    assert place.owner_post("/logo", file=base64.b64encode(PNG).decode()).status == 200
    assert place.owner_get()["links"]["logo"] == "http://localhost/corner-deli/logo"
    for wrong in ("?", "", None, 5, ["a"]):
        assert place.owner_post("/logo", file=wrong).status == 400
    assert "logo" in place.owner_get()["links"]


# ----- links for other devices


@pytest.fixture
def at(app, place, monkeypatch):
    """Open the owner's page at this host, on a machine with these addresses."""

    def at(host, *addresses, path="/settings"):
        monkeypatch.setattr(public_links, "local_addresses", lambda: list(addresses))
        browser = Browser(app, f"http://{host}")
        return browser.open(place.links["manage"].removeprefix("http://localhost") + path).html

    return at


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", ":8000"), ("localhost", ":8000"), ("[::1]", ""), ("127.1.2.3", "")]
)
def test_links_shown_on_localhost_work_on_other_devices(at, place, host, port):
    html = at(host + port, "192.168.0.7")
    staff = place.links["staff"].removeprefix("http://localhost")
    for path in ("/corner-deli", "/corner-deli/board", staff):
        assert f'data-url="http://192.168.0.7{port}{path}"' in html
    assert f'data-url="http://{host}' not in html


@pytest.mark.parametrize("page", ["board", "poster"])
def test_qr_codes_on_posters_and_boards_work_on_phones(at, app, page):
    at("localhost", "192.168.0.7")
    html = Browser(app, "http://127.0.0.1:8000").open(f"/corner-deli/{page}").html
    assert 'alt="QR code of http://192.168.0.7:8000/corner-deli"' in html
    assert "127.0.0.1" not in html


def test_a_reachable_host_stays_in_links(at):
    assert 'data-url="http://10.1.2.3:8000/corner-deli"' in at("10.1.2.3:8000", "192.168.0.7")


def test_a_configured_address_comes_first(start, place, monkeypatch):
    app = start(url="https://queue.example.org")
    monkeypatch.setattr(public_links, "local_addresses", lambda: ["192.168.0.7"])
    html = Browser(app).open(place.links["manage"]).html
    assert 'data-url="https://queue.example.org/corner-deli"' in html


def test_json_keeps_the_host_that_was_asked(at, place):
    at("localhost", "192.168.0.7")
    assert place.owner_get()["links"]["customers"] == "http://localhost/corner-deli"


def test_with_several_addresses_the_owner_chooses(at, app, place):
    html = at("localhost", "192.168.0.7", "10.0.0.5", path="")
    assert "Links and QR codes use 192.168.0.7. Check that phones can open it." in html
    place.owner_post("", address="10.0.0.5")
    assert 'data-url="http://10.0.0.5/corner-deli"' in at("localhost", "192.168.0.7", "10.0.0.5")
    assert "Check that phones" not in at("localhost", "192.168.0.7", "10.0.0.5", path="")
    # the address is gone
    assert 'data-url="http://192.168.0.7/corner-deli"' in at("localhost", "192.168.0.7")


@pytest.mark.parametrize("settings", [{}, {"host": "127.0.0.1"}])
def test_the_owner_is_told_when_no_phone_can_open_the_links(start, place, monkeypatch, settings):
    app = start(**settings)
    monkeypatch.setattr(public_links, "local_addresses", lambda: ["192.168.0.7"] if settings else [])
    html = Browser(app, "http://127.0.0.1:8000").open(place.links["manage"].removeprefix("http://localhost"))
    assert "Other devices can&#39;t open links to 127.0.0.1:8000." in html.html


# ----- statistics


def test_a_start_after_the_end_is_an_error_on_the_page(owner, place):
    section(owner, place, "stats?from=2026-11-22&to=2026-11-21")
    assert owner.status == 400
    assert "The start date must be before the end date." in owner.html
    assert 'value="2026-11-22"' in owner.html
    assert "<h1>Statistics</h1>" in owner.html


def test_a_refused_goal_is_marked_at_its_field(owner, place):
    owner.open(place.links["manage"] + "/stats")
    owner.press("Save the goal", wait_goal_minutes="0")
    assert owner.status == 400
    assert re.search(r'<input name="wait_goal_minutes"[^>]* value="0" aria-invalid="true"', owner.html)
    assert owner.html.count('aria-invalid="true"') == 1


@pytest.mark.parametrize(
    "path", ["counters/shop?day=yesterday", "queues/follow-ups?from=2026-11-22&to=2026-11-21"]
)
def test_invalid_days_are_an_error_on_the_page(app, shop, path):
    shop.owner_post("/queues", name="Follow-ups", kind="calls")
    owner = Browser(app).open(f"{shop.links['manage']}/{path}")
    assert (owner.status, "<h1>Not found" in owner.html, 'id="menu"' in owner.html) == (400, False, True)


def test_customers_are_counted_per_day(place, ana, clock):
    for day in (0, 2):
        for _ in range(day + 1):
            place.customer()
        ana.call_next()
        ana.post("done", number="A1")
        clock.advance(days=2)
    stats = place.client.get(f"{place.links['manage']}/stats?from=2026-11-01&to=2026-11-30").body
    assert stats["per_day"] == [
        {"day": "2026-11-21", "joined": 1, "served": 1},
        {"day": "2026-11-22", "joined": 0, "served": 0},
        {"day": "2026-11-23", "joined": 3, "served": 1},
    ]


def test_a_place_of_the_years_before_needs_no_checklist(old_version, start, place):
    app = start(data=old_version("0004").parent)
    shop = Place(AppClient(app), {"slug": place.slug, "links": place.links})
    assert "Get started" not in Browser(app).open(shop.links["manage"]).html
