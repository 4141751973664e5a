"""The owner's settings: the place, its look, its links, and its deletion."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

from flask import Blueprint, request
from sqlalchemy.engine import Connection

from app.core import branding, places
from app.core.countries import country_names, country_of
from app.core.days import time_zones
from app.core.models import Place
from app.errors import BadInput, ServiceError
from app.web.forms import PlaceSettingsForm
from app.web.health import backup_json
from app.web.owner import NEW_LINK, SAVED, back_to, show_section
from app.web.owner_json import alerts_json, outbox_json
from app.web.public_links import public_address
from app.web.request import accepts_body, json_object, parse
from app.web.response import Answer, errors_on
from app.web.service import service, write

owner_settings = Blueprint("owner_settings", __name__)

STANDARD_COLOUR = "#c2371d"  # that of static/app.css
MAX_LOGO_BODY_BYTES = 2 * branding.MAX_LOGO_BYTES  # as base64, or with the form around it


@owner_settings.get("/<place>/manage/<token>/settings")
def show_settings(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the settings of the place, its links, its data, and how to delete it."""
    return show_section(
        "settings.html",
        place,
        token,
        error,
        _settings_json,
        timezones=time_zones(),
        countries=list(country_names().items()),
        standard_colour=STANDARD_COLOUR,
    )


def _settings_json(db: Connection, _at: float, place: Place) -> dict[str, Any]:
    address = public_address(place)
    return {
        "backup": backup_json(place.zone, for_owner=True),
        "address": {
            "host": address.host,
            "url": address.url,
            "choices": address.choices,
            "is_reachable": address.is_reachable,
        },
        "mail": service().settings.mail_enabled,
        "outbox": outbox_json(db, place),
        "alerts": alerts_json(db, place),
    }


# ----- the place and its look


@owner_settings.post("/<place>/manage/<token>")
@errors_on(show_settings)
def change_place(place: str, token: str) -> Answer:
    """Save the settings of the place."""
    fields = parse(PlaceSettingsForm)
    if not request.is_json and "timezone" in fields and "country" not in fields:
        fields["country"] = country_of(fields["timezone"])  # the menu was left at "not known"
    write(places.change_place, place, token, cast(places.PlaceChanges, fields))
    return back_to("owner_settings.show_settings", place, token, SAVED)


@owner_settings.post("/<place>/manage/<token>/logo")
@accepts_body(MAX_LOGO_BODY_BYTES)
@errors_on(show_settings)
def set_logo(place: str, token: str) -> Answer:
    """Store a logo: a file of a form, or base64 in JSON."""
    write(branding.set_logo, place, token, _uploaded_picture())
    return back_to("owner_settings.show_settings", place, token, SAVED)


def _uploaded_picture() -> bytes:
    if request.is_json:
        content = json_object().get("file")
        try:
            if isinstance(content, str) and content:
                return base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            pass
        raise BadInput("File: this must be a picture in base64.")
    file = request.files.get("file")
    image = file.read() if file else b""
    if not image:
        raise BadInput("Logo: choose a picture first.", field="file")
    return image


@owner_settings.post("/<place>/manage/<token>/logo/remove")
@errors_on(show_settings)
def remove_logo(place: str, token: str) -> Answer:
    """Remove the logo."""
    write(branding.remove_logo, place, token)
    return back_to("owner_settings.show_settings", place, token, "The logo was removed.")


# ----- links


@owner_settings.post("/<place>/manage/<token>/links/manage/replace")
@errors_on(show_settings)
def replace_manage_link(place: str, token: str) -> Answer:
    """Replace the owner's own link."""
    fresh = write(places.replace_link, place, token, "manage")
    return back_to("owner_settings.show_settings", place, fresh, f"{NEW_LINK} Bookmark this page.")


@owner_settings.post("/<place>/manage/<token>/links/staff/replace")
@errors_on(show_settings)
def replace_staff_link(place: str, token: str) -> Answer:
    """Replace the staff link."""
    write(places.replace_link, place, token, "staff")
    return back_to("owner_settings.show_settings", place, token, "The old staff link has stopped working.")
