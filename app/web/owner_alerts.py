"""Alerts to the owner: which devices and which address get them, and in which hours."""

from __future__ import annotations

from typing import cast

from flask import Blueprint

from app.core import alert_targets
from app.core.places import PlaceChanges
from app.errors import ServiceError
from app.web.forms import AlertsForm, minute_of_day
from app.web.links import link
from app.web.mail_links import mail_links
from app.web.owner import SAVED, back_to, show_manage
from app.web.owner_settings import show_settings
from app.web.public_links import public_url
from app.web.push_subscriptions import requested_browser, subscription_fields
from app.web.request import parse, wants_json
from app.web.response import Answer, errors_on, see_other
from app.web.service import write

owner_alerts = Blueprint("owner_alerts", __name__)


@owner_alerts.get("/<place>/manage/<token>/alerts")
def show_alerts(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the alerts, which are part of the settings."""
    if error is not None:
        return show_settings(place, token, error)
    if wants_json():
        return show_manage(place, token)
    return see_other("owner_settings.show_settings", place=place, token=token, _anchor="alerts")


@owner_alerts.post("/<place>/manage/<token>/alerts")
@errors_on(show_alerts)
def change_alerts(place: str, token: str) -> Answer:
    """Save who is mailed, the hours, and the goal."""
    fields = parse(AlertsForm)
    for name in ("alert_from", "alert_to"):
        if name in fields:
            fields[name] = minute_of_day(fields[name])
    write(alert_targets.change_alerts, place, token, cast(PlaceChanges, fields), mail_links(place))
    return back_to("owner_settings.show_settings", place, token, SAVED)


@owner_alerts.post("/<place>/manage/<token>/alerts/notify")
@errors_on(show_alerts)
def notify_device(place: str, token: str) -> Answer:
    """Send alerts to a browser. The body is its push subscription."""
    browser = requested_browser()
    url = public_url(link("owner.show_manage", place=place, token=token))
    write(alert_targets.add_device, place, token, browser, url)
    return back_to("owner_settings.show_settings", place, token, "This device gets alerts.")


@owner_alerts.post("/<place>/manage/<token>/alerts/notify/stop")
@errors_on(show_alerts)
def stop_notifying_device(place: str, token: str) -> Answer:
    """Send no more alerts to a browser; without one, to none."""
    endpoint = subscription_fields().get("endpoint")
    write(alert_targets.remove_device, place, token, endpoint)
    return back_to("owner_settings.show_settings", place, token, "No device gets alerts any more.")
