"""A place's own colour, as a style sheet, and its logo."""

from __future__ import annotations

import flask
from flask import Blueprint, Response

from app.clock import DAY_S
from app.core.branding import find_logo
from app.core.places import find_place
from app.errors import NotFound
from app.web.response import Answer
from app.web.service import service

brand = Blueprint("brand", __name__)

Rgb = tuple[float, float, float]

# The backgrounds in static/app.css on which the colour is used as text, and the texts that stand on it.
LIGHT_PAPER, DARK_CARD = "#f7f1e6", "#282019"
ON_DARK, ON_LIGHT = "#ffffff", "#1d0f08"
BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)
MIN_CONTRAST = 4.6  # WCAG 2.2 AA asks for 4.5 between text and background
STEPS = 100
CACHE_S = DAY_S  # the URL changes with the content


@brand.get("/<place>/brand.css")
def show_colours(place: str) -> Answer:
    """Send the owner's colour as a style sheet, for light and for dark pages."""
    with service().database.read() as db:
        row = find_place(db, place)
    if row.colour is None:
        raise NotFound(f"{row.name} has no colour of its own.")
    light = readable_on(row.colour, LIGHT_PAPER, BLACK)
    dark = readable_on(row.colour, DARK_CARD, WHITE)
    css = (
        f":root {{ --accent: {light}; --on-accent: {text_on(light)}; }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f"  :root {{ --accent: {dark}; --on-accent: {text_on(dark)}; }}\n"
        "}\n"
    )
    return _cached(flask.Response(css, mimetype="text/css"))


@brand.get("/<place>/logo")
def show_logo(place: str) -> Answer:
    """Send the logo."""
    with service().database.read() as db:
        logo = find_logo(db, find_place(db, place))
    return _cached(flask.Response(logo.image, mimetype=logo.mimetype))


def _cached(response: Response) -> Response:
    response.headers["Cache-Control"] = f"public, max-age={CACHE_S}"
    return response


# ----- contrast, as in https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio


def readable_on(colour: str, background: str, towards: Rgb) -> str:
    """Return the colour, mixed with black or white until text in it can be read on the background."""
    rgb = _rgb(colour)
    for step in range(STEPS + 1):
        share = step / STEPS
        mixed = _hex(tuple(part + (goal - part) * share for part, goal in zip(rgb, towards, strict=True)))
        if contrast(mixed, background) >= MIN_CONTRAST:
            return mixed
    return _hex(towards)


def text_on(colour: str) -> str:
    """Return the colour of text that can be read best on a colour."""
    return max(ON_DARK, ON_LIGHT, key=lambda text: contrast(text, colour))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = []
    for part in _rgb(colour):
        share = part / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(rgb: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in rgb)
