"""A place, its queues, its counters and its team as the owner gets them in JSON."""

from __future__ import annotations

from typing import Any

from flask import current_app
from sqlalchemy.engine import Connection

from app.clock import DAY_S
from app.core import notices
from app.core.alert_targets import devices_of, name_of
from app.core.codes import staff_code
from app.core.counters import counters_of
from app.core.days import day_begins, day_of
from app.core.mail_addresses import address_state
from app.core.models import Place, Queue, Servicer
from app.core.outbox import waiting_messages
from app.core.queries import called_tickets, waiting_tickets
from app.core.queues import call_lists, walk_in_queues
from app.core.servicers import servicers_of
from app.core.stats import figures
from app.core.wait import hit_rate
from app.core.web_push import public_key_of
from app.web.call_list_json import list_json, words_json
from app.web.counter_json import counter_json
from app.web.desk_json import servicer_json
from app.web.health import backup_json
from app.web.links import action_links, link
from app.web.picture_json import notice_json
from app.web.present import iso, time_of_day
from app.web.push_subscriptions import can_push
from app.web.warnings import warnings_of

WEEK_S = 7 * DAY_S


def manage_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return everything that the owner sees, as JSON."""
    return {
        **place_json(place),
        **counters_json(db, at, place),
        **queues_json(db, at, place),
        **words_json(db, place),
        **team_json(db, at, place),
        "links": links_json(place),
        "outbox": outbox_json(db, place),
        "alerts": alerts_json(db, place),
        "messages": messages_json(db, at, place),
        "backup": backup_json(place.zone, for_owner=True),
        "warnings": warnings_of(db, at, place),
    }


def place_json(place: Place) -> dict[str, Any]:
    """Return the settings and the links of a place."""
    return {
        "slug": place.slug,
        "name": place.name,
        "timezone": place.timezone,
        "country": place.country,
        "day_starts": place.day_starts,
        "wait_goal_minutes": place.wait_goal_minutes,
        "max_delays": place.max_delays,
        "alert_email": place.alert_email,
        "alert_from": time_of_day(place.alert_from),
        "alert_to": time_of_day(place.alert_to),
        "keeps_wait": place.keeps_wait,
        "thanks": place.thanks,
        "colour": place.colour,
        "links": links_json(place),
    }


def counters_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return the counters of a place."""
    return {"counters": [counter_json(db, place, each) for each in counters_of(db, place, at)]}


def queues_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return the queues and the call lists of a place."""
    return {
        "queues": [
            *(walk_in_json(db, at, place, each) for each in walk_in_queues(db, place)),
            *(list_json(db, place, each) for each in call_lists(db, place)),
        ]
    }


def team_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    """Return the staff of a place, and the one-time code for the staff link."""
    code = staff_code(db, at, place)
    return {
        "servicers": [_servicer_json(db, place, each) for each in servicers_of(db, place)],
        "staff_code": code and {"ends_at": iso(code.ends_at, place), "code": code.digits},
    }


def _servicer_json(db: Connection, place: Place, servicer: Servicer) -> dict[str, Any]:
    """Return what the owner sees of a servicer, with the URLs that only the owner may know."""
    content = servicer_json(db, place, servicer)
    url = f"{owner_link(place)}/servicers/{servicer.id}"
    content["links"] |= {"servicer": url, **action_links(url, "end-shift", "remove")}
    return content


def outbox_json(db: Connection, place: Place) -> list[dict[str, Any]]:
    """Return the messages of a place that wait to be sent, by channel."""
    return [
        {"channel": each.channel, "waiting": each.waiting, "failed": each.failed, "why": each.why}
        for each in waiting_messages(db, place.id)
    ]


def alerts_json(db: Connection, place: Place) -> dict[str, Any]:
    """Return who gets alerts. A page knows its own device by a part of the hash of its endpoint."""
    email = place.alert_email
    return {
        "email_state": address_state(db, place, email) if email else None,
        "devices": [name_of(device) for device in devices_of(db, place)],
        "push_key": public_key_of(current_app.config["PUSH_KEY"]) if can_push() else None,
    }


def links_json(place: Place) -> dict[str, str]:
    """Return the links of a place that the owner may know: all."""
    manage = owner_link(place)
    links = {
        "customers": link("customer.show_place", place=place.slug),
        "board": link("screens.show_board", place=place.slug),
        "live": link("screens.stream", place=place.slug),
        "poster": link("screens.show_poster", place=place.slug),
        "staff": link("desk.show_staff", place=place.slug, token=place.staff_token),
        "manage": manage,
        "stats": f"{manage}/stats",
        "contacts": f"{manage}/contacts",
        "reasons": f"{manage}/reasons",
        "outcomes": f"{manage}/outcomes",
        "services": f"{manage}/services",
        "queues": f"{manage}/queues",
        "call_report": f"{manage}/calls/report",
        "tickets_csv": f"{manage}/tickets.csv",
        "export": f"{manage}/export.json",
        "webhooks": f"{manage}/webhooks",
        "messages": f"{manage}/messages",
        "alerts": f"{manage}/alerts",
    }
    if place.logo_at is not None:
        links["logo"] = link("brand.show_logo", place=place.slug)
    return links


def queue_json(db: Connection, at: float, place: Place, queue: Queue) -> dict[str, Any]:
    """Return what the owner sees of a queue or a call list."""
    if queue.is_call_list:
        return list_json(db, place, queue)
    return walk_in_json(db, at, place, queue)


def walk_in_json(db: Connection, at: float, place: Place, queue: Queue) -> dict[str, Any]:
    """Return what the owner sees of a walk-in queue."""
    day = day_of(place, at)
    waiting = waiting_tickets(db, [queue.id], day)
    called = [each for each in called_tickets(db, place) if each.queue_id == queue.id]
    today = figures(db, queue, day_begins(place, day), at + 1)
    hits = hit_rate(db, queue, at - WEEK_S)
    url = f"{owner_link(place)}/queues/{queue.slug}"
    return {
        "slug": queue.slug,
        "name": queue.name,
        "kind": queue.kind,
        "prefix": queue.prefix,
        "open": queue.open,
        "max_waiting": queue.max_waiting,
        "asks": queue.asks.split(),
        "shared_tablet": queue.shared_tablet,
        "usual_service_s": queue.usual_service_s,
        "waiting": [ticket.number for ticket in waiting],
        "called": [ticket.number for ticket in called],
        "today": {"served": today.served, "wait": today.wait, "total": today.total, "service": today.service},
        "hit_rate": {"called": hits.called, "within": hits.within},
        "links": {
            "take": link("customer.take_number", place=place.slug, queue=queue.slug),
            "queue": url,
            **action_links(url, "open", "close", "reset", "cancel", "restore", "delete"),
        },
    }


def messages_json(db: Connection, at: float, place: Place) -> list[dict[str, Any]]:
    """Return the messages that are shown to everybody now."""
    return [notice_json(each, place) for each in notices.notices_of(db, at, place)]


def owner_link(place: Place) -> str:
    """Return the manage link of a place."""
    return link("owner.show_manage", place=place.slug, token=place.manage_token)
