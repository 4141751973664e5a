"""The board on the wall: every call can be read, whatever the names of desks, and tiles keep their places."""

import time

import pytest
from counter import Inside
from helpers.soak import soak_after
from playwright.sync_api import expect

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160), "portrait": (1080, 1920)}
# Names of forty characters in many scripts.
NAMES = [
    "Information and general enquiries, 2nd fl",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "Grundstücksverkehrsgenehmigungsbehörde 14",
    "総合案内窓口・各種証明書発行・住民票・戸籍・印鑑登録・税務相談・保険年金受付",
    "외국인등록증발급및체류기간연장신청접수창구제이번창구안내데스크입니다이쪽으로오세요",
    "ศูนย์บริการลูกค้าสัมพันธ์และข้อมูลทั่วไปชั้นสอง",
    "सामान्य पूछताछ एवं सूचना केंद्र दूसरी मंज़िल",
    "مكتب الاستقبال والاستعلامات العامة الطابق",
    "לשכת קבלה ומידע כללי בקומה השנייה של הבניין",
    "Бюро регистрации и общих справок, этаж 2",
    "🛂🛃🛄🛅🚻🚼🚽🚾🛀🛁🛂🛃🛄🛅🚻🚼🚽🚾🛀🛁🛂🛃🛄🛅🚻🚼🚽🚾🛀🛁🛂🛃🛄🛅🚻🚼🚽🚾🛀🛁",
    "Window 12",
]
QUEUES = [
    "Returns and complaints of all kinds, warranty, spare parts",
    "総合案内窓口・各種証明書発行・住民票・戸籍",
]
QUEUES += ["Photos", "Pick-up", "Passports and identity cards"]
AREAS = ["Shop", "Toy department on the third floor, behind the escalators", "ศูนย์บริการลูกค้าสัมพันธ์", "Garden"]
# Returns layout errors of a board: text that overflows its tile or the screen, or covers other text.
FAULTS = """() => {
    const faults = [], name = e => e.textContent.trim().slice(0, 30);
    const box = e => {
      const range = document.createRange();
      range.selectNodeContents(e);
      return range.getBoundingClientRect();
    };
    const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1
      && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
    const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
      || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
    const screen = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    for (const tile of document.querySelectorAll('#now li:not([aria-hidden])')) {
      const [number, desk] = [...tile.children].map(box), frame = tile.getBoundingClientRect();
      if (!inside(number, frame)) faults.push(`the number of ${name(tile)} leaves its tile`);
      if (!inside(desk, frame)) faults.push(`the desk of ${name(tile)} leaves its tile`);
      if (!inside(frame, screen)) faults.push(`${name(tile)} leaves the screen`);
      // lines of tall scripts are higher than their letters
      if (desk.width && number.bottom - number.height * .12 > desk.top) {
        faults.push(`${name(tile)} covers itself`);
      }
    }
    const tiles = [...document.querySelectorAll('#now li')].map(e => e.getBoundingClientRect());
    tiles.forEach((a, i) => tiles.slice(i + 1).forEach(b =>
      apart(a, b) || faults.push('tiles cover each other')));
    const PARTS = 'aside h2, aside dt, aside dd, aside figcaption b, aside li, '
      + '.counts h3, .counts b, .counts span, header h1';
    const parts = [...document.querySelectorAll(PARTS)]
      .filter(e => e.getClientRects().length && e.textContent.trim());
    for (const part of parts) {
      if (!inside(box(part), screen)) faults.push(`${name(part)} leaves the screen`);
      for (let e = part.parentElement; e !== document.body; e = e.parentElement) {
        const hides = getComputedStyle(e).overflow !== 'visible';
        if (hides && !inside(box(part), e.getBoundingClientRect())) {
          faults.push(`${name(part)} is clipped`);
        }
      }
    }
    const texts = parts.filter(e => !e.querySelector('*'));
    texts.forEach((a, i) => texts.slice(i + 1).forEach(b =>
      apart(box(a), box(b)) || faults.push(`${name(a)} covers ${name(b)}`)));
    const image = document.querySelector('figure img').getBoundingClientRect();
    if (!inside(image, screen) || image.width < 60) faults.push('the QR code is cut off');
    if (document.documentElement.scrollHeight > innerHeight) faults.push('the page scrolls');
    return faults;
}"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('#now li:not([aria-hidden]) > *')]
    .filter(e => e.textContent)
    .map(e => parseFloat(getComputedStyle(e).fontSize) / Math.min(innerWidth, innerHeight)))"""
PLACES = """() => Object.fromEntries([...document.querySelectorAll('#now li:not([aria-hidden])')].map(e =>
    [e.dataset.where, ['left', 'top', 'width', 'height'].map(side => e.getBoundingClientRect()[side])]))"""


def call_at(shop, *names):
    """Add desks with these names, each serving a customer."""
    desks = [shop.desk(f"Servicer {n}", name[:40]) for n, name in enumerate(names)]
    for desk in desks:
        shop.take()
        desk.call_next()
    return desks


def look_at(page, size):
    """Resize the window, and return what is wrong once the page has adapted to it, which takes a moment."""
    page.set_viewport_size(dict(zip(("width", "height"), SIZES[size], strict=True)))
    deadline = time.monotonic() + 3
    while (faults := page.evaluate(FAULTS)) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    return faults


@pytest.mark.parametrize("many", soak_after(1, [12, 1, 5, 2, 3, 4, 6, 7, 9, 10]))
def test_number_and_desk_of_every_call_can_be_read(open_shop, look, many):
    shop = open_shop()
    call_at(shop, *reversed(NAMES[:many]))
    page = look(shop.links["board"], "desktop")
    expect(page.locator("#now li:not([aria-hidden])")).to_have_count(many)
    for size in SIZES:
        assert (size, look_at(page, size)) == (size, [])
        assert page.evaluate(SMALLEST) > 0.012, "it can't be read from across the room"


@pytest.mark.parametrize("scripts", soak_after(1, [True, False]))
def test_many_desks_queues_and_counters_at_once(open_shop, look, scripts):
    shop = open_shop(name="Ferdinand’s Household Appliance Repairs at the Old Tram Depot")
    for name in QUEUES:
        shop.add_queue(name[:60])
    for name in AREAS:
        Inside(shop, name=name[:60], capacity=100).recount(93)
    call_at(shop, *(f"Window {n}" for n in range(1, 13)))
    for _ in range(12):
        shop.take()
    page = look(shop.links["board"], "desktop", scripts=scripts)
    for size in SIZES:
        faults = look_at(page, size)
        assert (size, faults if scripts else []) == (size, [])
    expect(page.locator("#now li:not([aria-hidden])")).to_have_count(12)
    expect(page.locator("aside dt")).to_have_count(10)


@pytest.mark.parametrize("size", soak_after(1, ["small phone", "phone", "phone on its side"]))
@pytest.mark.parametrize("few", soak_after(1, [True, False]))
def test_a_phones_board_without_scripts_cuts_no_qr_code(open_shop, look, size, few):
    shop = open_shop()
    for name in ("Bakery", "Passports", "Cheese", "Drinks") if few else (*QUEUES, *AREAS):
        shop.add_queue(name[:60])
    call_at(shop, "Window 2")
    page = look(shop.links["board"], size, scripts=False)
    address = page.locator("figcaption b")
    if not few:  # more than fit: the page is scrolled
        address.scroll_into_view_if_needed()
    expect(page.get_by_role("img", name="QR code of")).to_be_in_viewport(ratio=1)
    expect(address).to_be_in_viewport(ratio=1)
    for number in page.locator("#now li").all():
        number.scroll_into_view_if_needed()
        expect(number).to_be_in_viewport(ratio=1)


def test_a_board_of_four_counters(open_shop, look):
    shop = open_shop()
    for name in AREAS:
        Inside(shop, name=name[:60], capacity=100_000).recount(100_000)
    assert shop.owner_post("/queues/deli/delete").status == 200
    page = look(shop.links["board"], "desktop")
    for size in SIZES:
        assert (size, look_at(page, size)) == (size, [])


def places(page):
    """Return the position of each desk's tile."""
    return page.evaluate(PLACES)


def test_tiles_keep_their_places_when_another_is_called(shop, look):
    desks = call_at(shop, *(f"Window {n}" for n in range(1, 7)))
    page = look(shop.links["board"], "desktop")
    tile = page.locator("#now li:not([aria-hidden])")
    expect(tile).to_have_text([f"A{n} Window {n}" for n in range(1, 7)])
    before = places(page)
    for number, n in ((7, 3), (8, 1), (9, 6)):
        shop.take()
        desks[n - 1].call_next()
        expect(page.locator("#now li[data-newest]")).to_have_text(f"A{number} Window {n}")
        assert places(page) == before
    desks[1].post("done", number="A2")  # Window 2 is free: the others stay
    expect(tile).to_have_count(5)
    after = places(page)
    assert after == {desk: place for desk, place in before.items() if desk != "Window 2"}
    shop.take()
    desks[1].call_next()
    expect(page.locator("#now li[data-newest]")).to_have_text("A10 Window 2")
    assert places(page) == before


def test_tiles_grow_when_most_desks_are_free(shop, look):
    desks = call_at(shop, *(f"Window {n}" for n in range(1, 7)))
    page = look(shop.links["board"], "desktop")
    small = places(page)["Window 6"]
    for n, desk in enumerate(desks[:5], 1):
        desk.post("done", number=f"A{n}")
    expect(page.locator("#now li:not([aria-hidden])")).to_have_text(["A6 Window 6"])
    expect(page.locator("#now")).to_have_attribute("data-many", "1")
    assert places(page)["Window 6"][2] > small[2]


def test_more_than_twelve_calls_show_the_latest(shop, look):
    Inside(shop, capacity=15, admits="deli")
    for _ in range(15):
        shop.take()
    page = look(shop.links["board"], "desktop")
    expect(page.locator("#now li:not([aria-hidden])")).to_have_count(12)
    expect(page.locator("#now")).to_contain_text("and 3 more")
    expect(page.locator("#now li[data-newest]")).to_contain_text("A15")
    for size in SIZES:
        assert (size, look_at(page, size)) == (size, [])
