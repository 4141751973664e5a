"""What browsers need to put a page on the home screen: icons, and a manifest for each page.

Each manifest begins at its own page, so that a desk, a door and the board are apps of their own.
"""

from __future__ import annotations

from typing import Any

import flask
from flask import Blueprint, current_app, url_for

from app.clock import DAY_S, now
from app.core import desks
from app.core.counters import find_counter
from app.core.doors import find_door
from app.core.places import find_place
from app.core.tickets import find_ticket
from app.web.response import Answer
from app.web.service import service

manifests = Blueprint("manifests", __name__)

ICON_MAX_AGE_S = DAY_S
PAPER = "#f7f1e6"  # the background of pages, as in app.css
ICONS = (("icon-192.png", "192x192", "any"), ("icon-512.png", "512x512", "any"))
MASKABLE = ("icon-maskable-512.png", "512x512", "maskable")


@manifests.get("/favicon.ico")
def favicon() -> Answer:
    """Send the icon for browsers that look for this address."""
    return _static_file("favicon.ico")


@manifests.get("/apple-touch-icon.png")
def apple_touch_icon() -> Answer:
    """Send the icon for the home screen of Apple's devices."""
    return _static_file("apple-touch-icon.png")


def _static_file(name: str) -> Answer:
    response = current_app.send_static_file(name)
    response.cache_control.max_age = ICON_MAX_AGE_S
    return response


@manifests.get("/push-worker.js")
def push_worker() -> Answer:
    """Send the service worker that shows notifications. From here it may open any page."""
    response = current_app.send_static_file("push-worker.js")
    response.cache_control.no_cache = True
    return response


@manifests.get("/<place>/t/<token>/manifest.webmanifest")
def ticket(place: str, token: str) -> Answer:
    """Describe a ticket as an app: an iPhone shows notifications of apps on its home screen only."""
    with service().database.read() as db:
        row, _queue, found = find_ticket(db, place, token)
    start_url = url_for("customer.show_ticket", place=place, token=token)
    return _manifest(f"{found.number} · {row.name}", found.number, start_url)


@manifests.get("/<place>/manifest.webmanifest")
def customers(place: str) -> Answer:
    """Describe the customers' page as an app."""
    with service().database.read() as db:
        row = find_place(db, place)
    return _manifest(row.name, row.name, url_for("customer.show_place", place=place))


@manifests.get("/<place>/board/manifest.webmanifest")
def board(place: str) -> Answer:
    """Describe the board as an app that fills the screen."""
    with service().database.read() as db:
        row = find_place(db, place)
    start_url = url_for("screens.show_board", place=place)
    return _manifest(f"Board · {row.name}", "Board", start_url, display="fullscreen")


@manifests.get("/<place>/counter/<counter>/manifest.webmanifest")
def screen(place: str, counter: str) -> Answer:
    """Describe the screen of a counter as an app that fills the screen."""
    with service().database.read() as db:
        row = find_place(db, place)
        name = find_counter(db, now(), row, counter).name
    start_url = url_for("screens.show_screen", place=place, counter=counter)
    return _manifest(f"Inside: {name} · {row.name}", name, start_url, display="fullscreen")


@manifests.get("/<place>/desk/<token>/manifest.webmanifest")
def desk(place: str, token: str) -> Answer:
    """Describe a desk as an app."""
    with service().database.read() as db:
        row, servicer = desks.find_desk(db, place, token)
    name = servicer.desk or servicer.name
    return _manifest(f"{name} · {row.name}", name, url_for("desk.show_desk", place=place, token=token))


@manifests.get("/<place>/door/<token>/manifest.webmanifest")
def door(place: str, token: str) -> Answer:
    """Describe a door as an app."""
    with service().database.read() as db:
        row = find_place(db, place)
        _counter, found = find_door(db, now(), row, token)
    return _manifest(
        f"Door {found.name} · {row.name}", found.name, url_for("door.show_door", place=place, token=token)
    )


def _manifest(name: str, short_name: str, start_url: str, display: str = "standalone") -> Answer:
    """Return a web app manifest: https://www.w3.org/TR/appmanifest/"""
    content: dict[str, Any] = {
        "id": start_url,
        "name": name,
        "short_name": short_name,
        "start_url": start_url,
        "scope": "/",
        "display": display,
        "background_color": PAPER,
        "theme_color": PAPER,
        "icons": [
            {"src": url_for("static", filename=file), "sizes": sizes, "type": "image/png", "purpose": purpose}
            for file, sizes, purpose in (*ICONS, MASKABLE)
        ],
    }
    response = flask.jsonify(content)
    response.mimetype = "application/manifest+json"
    return response
