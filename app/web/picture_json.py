"""The picture of a place as JSON, and as an event of its stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from app.core.models import Counter, Place, Ticket
from app.core.picture import Picture, PictureCall, QueuePicture, Revision
from app.core.steps import Step
from app.web import response
from app.web.present import iso, named, wait_json
from app.web.service import service


@dataclass(frozen=True)
class RenderedPicture:
    """A picture as clients receive it: rendered once for all who ask under the same base URL."""

    etag: str
    place: Place
    content: dict[str, Any]  # the JSON as Python has it, for templates
    text: str  # the JSON
    frame: bytes  # the server-sent event


def current_picture(slug: str) -> RenderedPicture:
    """Return the picture of a place as it is now. Raises NotFound."""
    return cast(RenderedPicture, service().live.current(slug, response.base_url()))


def render_picture(picture: Picture, base_url: str) -> RenderedPicture:
    """Return a picture as clients receive it, with links that begin with `base_url`."""
    etag = etag_of(picture.revision)
    content = picture_json(picture, base_url)
    text = json.dumps(content)
    frame = f"event: state\nid: {etag}\ndata: {text}\n\n".encode()
    return RenderedPicture(etag, picture.place, content, text, frame)


def etag_of(revision: Revision) -> str:
    """Return the ETag of a picture, which is also the id of its event."""
    version = revision.version
    return f"{version.epoch}.{revision.place_id}.{version.number}.{revision.minute}"


def picture_json(picture: Picture, base_url: str) -> dict[str, Any]:
    """Return a picture as JSON.

    It may be rendered outside of a request, so its links are made of `base_url`, not by url_for().
    """
    place = picture.place
    place_url = f"{base_url}/{place.slug}"
    return {
        "place": named(place),
        "queues": [_queue_json(queue, place, place_url) for queue in picture.queues],
        "links": {"customers": place_url, "board": f"{place_url}/board", "live": f"{place_url}/live"},
        "counters": [
            {**public_counter_json(counter), "links": {"screen": f"{place_url}/counter/{counter.slug}"}}
            for counter in picture.counters
        ],
        "series": picture.series,
        "calls": [_call_json(call, place) for call in picture.calls],
        "epoch": picture.revision.version.epoch,
        "version": picture.revision.version.number,
    }


def _queue_json(item: QueuePicture, place: Place, place_url: str) -> dict[str, Any]:
    queue = item.queue
    return {
        "slug": queue.slug,
        "name": queue.name,
        "open": queue.open,
        "asks": queue.asks.split(),
        "full": item.is_full,
        "waiting": item.waiting,
        "called": [_called_json(ticket, place) for ticket in item.called],
        "links": {"take": f"{place_url}/{queue.slug}/tickets"},
        "door": item.door,
        "waits": [wait_json(wait) for wait in item.waits],
        "estimated_wait": wait_json(item.newcomer_wait),
    }


def _called_json(ticket: Ticket, place: Place) -> dict[str, Any]:
    return {
        "number": ticket.number,
        "series": ticket.series,
        "desk": ticket.desk,
        "door": ticket.door,
        "held_until": iso(ticket.held_until, place),
        "state": ticket.state,
        "by_phone": ticket.by_phone,
        "since": iso(ticket.started_at or ticket.called_at, place),
    }


def _call_json(call: PictureCall, place: Place) -> dict[str, Any]:
    return {
        "id": call.id,
        "number": call.number,
        "series": call.series,
        "desk": call.desk,
        "door": call.door,
        "at": iso(call.at, place),
    }


def public_counter_json(counter: Counter) -> dict[str, Any]:
    """Return what everybody may see of a counter."""
    return {
        "slug": counter.slug,
        "name": counter.name,
        "capacity": counter.capacity,
        "held": counter.held,
        "admits": counter.admits,
        "count": counter.people,
        "level": counter.level,
    }


# ----- why somebody still waits

_STEP_TEXTS = {
    "call": "{} was called",
    "cancel": "{} left the line",
    "no-show": "{} was not here",
    "put-back": "{} waits again",
    "bring-back": "{} came back",
    "move": "{} came from another line",
    "pause": "{} pauses",
    "resume": "{} goes on",
}


def step_json(step: Step, place: Place) -> dict[str, Any]:
    """Return a step in a customer's line as JSON."""
    return {"at": iso(step.at, place), "kind": step.kind, "number": step.number, "text": step_text(step)}


def step_text(step: Step) -> str:
    """Return what happened in a line, in words: "A7 was called: priority"."""
    text = _STEP_TEXTS[step.kind].format(step.number or step.desk or "A desk")
    if step.out_of_turn:
        return f"{text}, before its turn"
    if step.by_priority:
        return f"{text}: priority"
    return text
