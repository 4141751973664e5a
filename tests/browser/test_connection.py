"""Pages without a stream, without a server, or hidden: each of them catches up."""

import pytest
from counter import Inside, shows, taps
from helpers.soak import soak_after
from playwright.sync_api import expect

HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""
NO_CONNECTION = "You're offline. This page updates automatically once you're back."
A_WHILE = 25_000  # ms: pages look again every few seconds, and a server takes one to start


def test_pages_say_that_the_server_is_gone_and_catch_up_when_it_is_back(start_server, visit, notices):
    server = start_server()
    shop = server.open_shop()
    phone, board = visit(shop.links["customers"]), visit(shop.links["board"], "desktop")
    ana = visit(shop.desk().link, "desktop")
    phone.get_by_role("button", name="Take a number").click()
    expect(phone.get_by_role("heading", name="A1")).to_be_visible()
    inside = Inside(shop)
    door = visit(inside.door(), has_touch=True)
    for page in (phone, ana, board, door):
        notices(page, stream="open")
    server.stop()
    taps(door, "In", "+2")
    for page in (phone, ana, board, door):
        expect(page.get_by_text(NO_CONNECTION)).to_be_visible(timeout=A_WHILE)
    ana.get_by_role("button", name="Next customer").click()
    expect(ana.locator("#message")).to_have_text("You're offline. Press again once you're back.")
    shows(door, 3, unsent=2)
    server.start()
    for page in (phone, ana, board, door):
        expect(page.get_by_text(NO_CONNECTION)).to_be_hidden(timeout=A_WHILE)
    expect(door.locator("#unsent")).to_have_text("", timeout=A_WHILE)
    shows(door, inside.count)
    assert inside.count == 3
    ana.get_by_role("button", name="Next customer").click()
    expect(phone.get_by_role("main")).to_contain_text("It's your turn: Window 2")
    expect(board.get_by_label("Now serving")).to_contain_text("A1 Window 2")
    expect(ana.get_by_label("Now serving")).to_contain_text("A1")


def test_a_page_without_a_stream_still_learns_of_its_turn(start_server, visit, notices):
    server = start_server(streams_per_address=1)
    shop = server.open_shop()
    desk, first = shop.desk("Ana", "Window 1"), visit(shop.links["customers"])
    notices(first, stream="open")
    second = visit(shop.links["customers"])
    second.get_by_role("button", name="Take a number").click()
    expect(second.get_by_role("heading", name="A1")).to_be_visible()
    notices(second, stream="lost")
    desk.post("next", finished=None)
    expect(second.get_by_role("main")).to_contain_text("It's your turn: Window 1")
    notices(second, stream="lost")
    expect(second.get_by_text(NO_CONNECTION)).to_be_hidden()


def test_a_page_that_nobody_sees_closes_its_stream_and_catches_up_when_it_is_seen(
    server, shop, phone, notices
):
    desk = shop.desk("Ana", "Window 1")
    phone.get_by_role("button", name="Take a number").click()
    phone.get_by_role("button", name="Sound").click()
    notices(phone, rings=1, stream="open")
    phone.evaluate(HIDE, True)
    notices(phone, stream="closed")
    desk.post("next", finished=None)
    phone.wait_for_timeout(1000)
    expect(phone.get_by_role("main")).to_contain_text("You're next")
    phone.evaluate(HIDE, False)
    expect(phone.get_by_role("main")).to_contain_text("It's your turn: Window 1")
    notices(phone, rings=2, stream="open")


def test_a_board_that_was_offline_announces_each_call_once_one_after_another(
    server, shop, visit, notices, offline
):
    board, desk = visit(shop.links["board"], "desktop"), shop.desk()
    for _ in range(3):
        shop.take()
    board.get_by_role("button", name="Voice").click()
    notices(board, stream="open")  # a board doesn't announce what was called before its first picture
    desk.post("next", finished=None)
    notices(board, spoken="Number A 1, Window 2")
    with offline(board):
        desk.post("next", finished="A1")
        desk.post("next", finished="A2")
    notices(board, spoken="Number A 1, Window 2 / Number A 2, Window 2 / Number A 3, Window 2")
    board.reload()
    expect(board.get_by_label("Now serving")).to_contain_text("A3 Window 2")
    notices(board, stream="open")
    board.wait_for_timeout(500)
    expect(board.locator("[data-calling]")).to_have_count(0)


@pytest.mark.soak
def test_a_board_that_is_reloaded_while_it_announces_calls_goes_on_with_the_next(shop, visit, notices):
    board, desk = visit(shop.links["board"], "desktop"), shop.desk()
    board.get_by_role("button", name="Voice").click()
    notices(board, stream="open")
    for _ in range(3):
        shop.take()
        desk.call_next()
    notices(board, spoken="Number A 1, Window 2")
    board.reload()
    notices(board, spoken="Number A 2, Window 2 / Number A 3, Window 2")


@pytest.mark.soak
@pytest.mark.alone
def test_a_board_says_every_call_in_order(server, shop, visit, notices):
    board = visit(shop.links["board"], "desktop")
    desks = [shop.desk(name, f"Window {number}") for number, name in enumerate(("Ana", "Ben"), 1)]
    board.get_by_role("button", name="Voice").click()
    expect(board.get_by_role("button", name="Voice")).to_have_attribute("aria-pressed", "true")
    for desk in desks:
        shop.take()
        desk.post("next", finished=None)
    flashing = board.locator("[data-calling]")
    expect(flashing).to_contain_text("A1")
    expect(flashing).to_contain_text("A2")
    notices(board, spoken="Number A 1, Window 1 / Number A 2, Window 2")
    expect(flashing).to_have_count(0)


def test_a_turn_that_is_over_is_not_left_for_a_screen_reader_to_find(shop, phone):
    phone.get_by_role("button", name="Take a number").click()
    desk = shop.desk()
    expect(phone.get_by_role("main")).to_contain_text("You're next")
    desk.call_next()
    expect(phone.locator("#shout")).to_have_text("It's your turn: Window 2")
    desk.post("done", number="A1")
    expect(phone.locator("#say")).to_have_text("All done. Thank you!")
    expect(phone.locator("body")).not_to_contain_text("It's your turn")


def test_a_desk_is_told_whom_it_serves(shop, ana):
    said = ana.locator("#say")
    shop.take()
    shop.take()
    expect(ana.get_by_text("2 waiting")).to_be_visible()
    ana.get_by_role("button", name="Next customer").click()
    expect(said).to_have_text("A1")
    ana.get_by_role("button", name="Next customer").click()
    expect(said).to_have_text("A2")
    ana.get_by_role("button", name="Done").click()
    expect(said).to_have_text("Free")


@pytest.mark.parametrize("failure", soak_after(1, ["busy", "no answer"]))
def test_a_page_that_could_not_be_fetched_once_is_fetched_again(shop, ana, notices, failure):
    """Though the stream goes on, and nothing else changes."""
    notices(ana, stream="open")
    ana.wait_for_timeout(500)  # its first picture
    failed = []

    def fail(route):
        failed.append(route)
        route.abort() if failure == "no answer" else route.fulfill(status=502, body="Bad gateway")

    ana.route(ana.url, fail, times=1)
    shop.take()
    expect(ana.get_by_text("1 waiting")).to_be_visible()
    assert failed


def test_a_desk_whose_link_was_taken_away_says_so(shop, visit, notices):
    desk = shop.desk()
    ana = visit(desk.link, "desktop")
    notices(ana, stream="open")
    assert shop.owner_post(f"/servicers/{desk.id}/remove").status == 200
    shop.take()
    expect(ana.get_by_text("This desk's link is not valid any more.")).to_be_visible()


@pytest.mark.parametrize("page_of", ["desk", "owner"])
def test_a_message_whose_time_is_over_leaves_the_list_of_messages(shop, visit, notices, page_of):
    """Nothing else changes then, not even the version of the picture."""
    link = shop.desk().link if page_of == "desk" else shop.links["manage"]
    shop.owner_post("/messages", text="Back in ten minutes", minutes=10)
    page = visit(link, "desktop")
    notices(page, stream="open")
    page.wait_for_timeout(1000)  # the owner's page looks once more after its first picture
    picture = page.evaluate(
        """async () => {
            const headers = { Accept: 'application/json' };
            return (await fetch(document.body.dataset.picture, { headers })).json();
        }"""
    )
    assert picture["messages"]
    page.route("**/live", lambda route: route.abort())
    page.route(
        f"**{page.evaluate('document.body.dataset.picture')}",
        lambda route: route.fulfill(json=picture | {"messages": []}),
    )
    with page.expect_request(lambda request: request.url == page.url):
        page.evaluate("dispatchEvent(new Event('online'))")
