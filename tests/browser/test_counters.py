"""Everybody sees how many are inside, customers are called to the door, codes lead to links, owners look back."""

import re
from datetime import UTC, datetime

import pytest
from inside import Inside
from playwright.sync_api import expect

SOON_S = 3  # a second is what we promise; a machine that runs other tests beside this one may be slower
NOTE_THE_PRESS = "addEventListener('pointerdown', () => { window.pressedAt ??= Date.now(); }, { capture: true })"
NOTE_WHEN_IT_SHOWS = """count => {
    const look = () => {
      if (document.querySelector('#count, [data-count]:not(main)').textContent === count) window.shownAt ??= Date.now();
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}"""
CODE_IS_UNKNOWN = "This code is not valid, or not any more: it lasts ten minutes. Ask for a new one."


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def field(page, label):
    """What stands in a field of the owner's page."""
    return page.get_by_label(label, exact=True).input_value()


def opens(page, summary):
    """Opens what is folded in behind these words."""
    page.locator("summary").filter(has_text=re.compile(f"^{summary}")).click()


def midday():
    """A time zone in which it is about noon, far from the start of the day."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"


# ----- one number on every page


def test_all_pages_show_a_tap_within_a_second(inside, door, visit, notices):
    inside.tap(20)
    shop = inside.shop
    pages = {
        "its own door": door,
        "the other door": visit(inside.add_door("Back")),
        "the screen": visit(inside.screen, "desktop"),
        "the board": visit(shop.links["board"], "desktop"),
        "the customers' page": visit(shop.links["customers"]),
    }
    for page in pages.values():
        expect(page.locator("#count, [data-count]:not(main)")).to_have_text("20")
        notices(page, stream="open")
        page.evaluate(NOTE_WHEN_IT_SHOWS, "21")
    door.evaluate(NOTE_THE_PRESS)
    press(door, "+2") if door.locator("#in").evaluate("e => !e.offsetParent") else door.keyboard.press("+")
