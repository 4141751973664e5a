"""During a handover pages say so, keep what was typed or pressed, and send it to the new server."""

import json
import re
import threading
import time

import pytest
from counter import Inside, shows, taps
from helpers.waiting import wait_for
from playwright.sync_api import expect
from test_every_page import check

MOVING = "Moving to a new server, a moment please."
PRESSED = f"{MOVING} What you pressed is sent by itself."


class NewServer:
    """A fake server that holds the lease, as far as the old one sees from the entries in the log."""

    def __init__(self, old, path):
        self.old, self.folder = old, path / "lease"
        self._holds = threading.Event()
        threading.Thread(target=self._answer, daemon=True).start()

    def _create(self, state, former, **more):
        # An entry that the old server is writing has a hidden name.
        number = max(int(entry.stem) for entry in self.folder.glob("[0-9]*.json")) + 1
        entry = former | {"state": state, "holder": "the new one", "by": "the new one"} | more
        part = self.folder.parent / "part"
        part.write_text(json.dumps(entry))
        part.rename(self.folder / f"{number:08}.json")

    def _newest(self):
        return json.loads(max(self.folder.glob("*.json")).read_text())

    def _answer(self):
        """Answer requests as a running server."""
        while True:
            time.sleep(0.1)
            if self._holds.is_set() and (entry := self._newest())["state"] == "asked":
                self._create("held", entry)

    def _wait_for_role(self, role):
        wait_for(lambda: self.old.get("/healthz?verbose=1").body["backup"]["role"] == role)

    def takes_over(self):
        # Until everything is in a copy, since the old server isn't asked for a last one. It says how far
        # behind the copy is in whole seconds.
        time.sleep(1)
        wait_for(lambda: not self.old.get("/healthz?verbose=1").body["backup"]["behind_s"])
        self._create("held", self._newest())
        self._holds.set()
        self._wait_for_role("standby")

    def leaves(self):
        self._holds.clear()
        self._create("released", self._newest(), **{"for": None, "last": "none"})
        self._wait_for_role("holder")


@pytest.fixture
def shop(start_quick, tmp_path):
    """A shop on a server of its own, with backups."""
    path = tmp_path / "backups"
    path.mkdir()
    return start_quick(path).open_shop()


@pytest.fixture
def new_server(shop, tmp_path):
    return NewServer(shop.client, tmp_path / "backups")


def posts(page):
    """Record what a page sends from now on."""
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    return sent


def take(page):
    page.get_by_role("button", name="Take a number").click()


def test_a_customer_gets_the_number_requested_during_the_handover(shop, visit, new_server):
    shop.client.post(f"{shop.links['manage']}/queues/deli", {"asks": ["name"]})
    phone, other = (visit(shop.links["customers"]) for _ in range(2))
    new_server.takes_over()
    sent = posts(phone)
    phone.get_by_label("Your name").fill("Zoë")
    take(phone)
    expect(phone.get_by_role("heading", name=MOVING)).to_be_visible()
    expect(phone.get_by_text("It is sent again by itself.")).to_be_visible()
    check(phone, ("button", "Send again"))
    take(other)
    other.get_by_role("link", name="Don’t send it").click()
    expect(other.get_by_text("This page tries again by itself.")).to_be_visible()

    with phone.expect_request("**/healthz*"):  # while the page polls, it doesn't send the form
        pass
    assert len(sent) == 1
    new_server.leaves()
    expect(other.get_by_role("button", name="Take a number")).to_be_visible()
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert len(sent) == 2
    (ticket,) = shop.tickets()
    assert (ticket["number"], ticket["name"]) == ("A1", "Zoë")
    phone.go_back()
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert (len(sent), len(shop.tickets())) == (2, 1)


@pytest.mark.soak
def test_without_javascript_a_customer_sends_the_form_again(shop, visit, new_server):
    phone = visit(shop.links["customers"], java_script_enabled=False)
    new_server.takes_over()
    take(phone)
    for _ in range(2):
        expect(phone.get_by_role("heading", name=MOVING)).to_be_visible()
        expect(phone.get_by_text("by itself")).to_be_hidden()
        phone.get_by_role("button", name="Send again").click()
    new_server.leaves()
    phone.get_by_role("button", name="Send again").click()
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    assert shop.waiting() == ["A1"]


def test_a_desk_keeps_what_was_pressed(shop, visit, new_server):
    desk = shop.desk("Ana", "Window 2")
    for _ in range(3):
        shop.take()
    ana, customer = visit(desk.link, "desktop"), visit(shop.take().body["links"]["ticket"])
    new_server.takes_over()
    sent = posts(ana)
    ana.get_by_role("button", name="Next customer").click()
    expect(ana.locator("#message")).to_have_text(PRESSED)
    for name in ("Next customer", "Pause", "Call A1", "Add a customer"):
        expect(ana.get_by_role("button", name=name)).to_be_disabled()
    customer.get_by_role("button", name="Leave the line").click()
    expect(customer.locator("#message")).to_have_text(PRESSED)
    new_server.leaves()
    expect(ana.get_by_label("Now serving")).to_contain_text("A1")
    expect(ana.locator("#message")).to_have_text("")
    expect(customer.locator("#state")).to_have_text("You left the line.")
    assert len(sent) == 2
    ana.get_by_role("button", name="Next customer").click()
    expect(ana.get_by_label("Now serving")).to_contain_text("A2")
    assert shop.waiting() == ["A3"]


@pytest.mark.soak
def test_a_door_goes_on_counting(shop, visit, new_server):
    inside = Inside(shop)
    door, other = visit(inside.door(), has_touch=True), visit(inside.door(), "phone on its side")
    new_server.takes_over()
    taps(door, "In")
    expect(door.locator("#message")).to_have_text(f"{MOVING} What was tapped is kept on this device.")
    taps(door, "+2")
    shows(door, 3, unsent=2)
    other.get_by_role("button", name="Recount").click()
    other.get_by_role("spinbutton").fill("40")
    other.get_by_role("button", name="Set the count").click()
    expect(other.get_by_role("alert")).to_have_text(MOVING)
    other.get_by_role("button", name="Cancel").click()  # and so it is not sent
    other.get_by_role("button", name="Recount").click()
    expect(other.get_by_role("alert")).to_be_hidden()
    new_server.leaves()
    with other.expect_response("**/healthz*"):  # the last request to it
        pass
    inside.becomes(3)
    other.wait_for_timeout(300)
    assert inside.count == 3
    expect(door.locator("#unsent")).to_have_text("")
    expect(door.locator("#message")).to_have_text("")
    new_server.takes_over()
    other.get_by_role("spinbutton").fill("50")
    other.get_by_role("button", name="Set the count").click()
    expect(other.get_by_role("alert")).to_have_text(MOVING)
    new_server.leaves()
    inside.becomes(50)
    expect(other.get_by_role("dialog")).to_be_hidden()
    assert [event["kind"] for event in inside.history()].count("recount") == 1


@pytest.mark.soak
def test_the_final_answer_is_shown(shop, visit, new_server):
    """The connection breaks and then the queue is closed: the page doesn't send the form forever."""
    phone = visit(shop.links["customers"])
    new_server.takes_over()
    sent = posts(phone)
    take(phone)
    expect(phone.get_by_role("heading", name=MOVING)).to_be_visible()
    phone.route("**/healthz*", lambda route: route.abort())
    expect(phone.get_by_role("heading", name="You're offline.")).to_be_visible()
    new_server.leaves()
    shop.client.post(f"{shop.links['manage']}/queues/deli/close")
    phone.unroute_all()
    expect(phone.get_by_role("main")).to_contain_text("Closed. Not taking new numbers right now.")
    phone.wait_for_timeout(100)
    assert len(sent) == 2


def test_the_owner_sees_the_backups_and_who_holds_the_lease(shop, visit, new_server):
    owner, ana = visit(f"{shop.links['manage']}/settings"), visit(shop.desk().link)
    wait_for(lambda: shop.client.get(shop.links["manage"]).body["backup"]["verified_at"])
    word, line = owner.locator("#backup .level"), owner.locator("#backup")

    def look():  # as when the owner comes back to the page; else it does so every ten seconds
        owner.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")

    look()
    expect(word).to_have_text("Backed up")
    expect(line).to_contain_text("This server holds the lease: term 1, confirmed.")
    expect(line).to_contain_text(
        re.compile(r"Last backup \d+ s ago, last verified restore \d\d:\d\d, 0 tickets\.")
    )
    owner.evaluate("() => { fetch = null; }")
    before = line.inner_text()
    expect(line).not_to_have_text(before)
    check(owner, None)

    new_server.takes_over()
    ana.get_by_role("button", name="Next customer").click()
    expect(ana.locator("#message")).to_have_text(PRESSED)
    owner.reload()
    expect(owner.get_by_text(MOVING)).to_be_visible()
    new_server.leaves()
    expect(line).to_contain_text(re.compile(r"This server holds the lease: term \d, confirmed\."))
    expect(ana.locator("#message")).to_have_text("No one waiting.")  # the answer to the press
