"""Values as pages and JSON show them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from app.clock import now
from app.core.days import iso_in
from app.core.history import UNDO_S
from app.core.models import Place, Step, Ticket, WaitRange
from app.text import close_direction_marks

MAX_MINUTES = 20_000  # that Times remembers
WIDTHS_IN_DIGITS = {"W": 1.65, "M": 1.5}  # letters of a bold prefix that are wider than the rest
SECONDS = [f"{second:02}" for second in range(60)]
WHOLE_MINUTES_SINCE = 63_676_800  # 1972-01-08: after Liberia, no zone had an offset with seconds in it


def iso(at: float | None, place: Place) -> str | None:
    """Return a time as ISO 8601 with the offset of the place's time zone."""
    return iso_in(at, place.zone)


class Times:
    """Times of one zone as ISO 8601, for long exports: five times as fast as iso().

    The offset of a zone changes at most at the start of a minute, so each minute is written once.
    """

    def __init__(self, zone: ZoneInfo):
        self._zone = zone
        self._minutes: dict[int, tuple[str, str]] = {}  # what stands before and after the seconds

    def iso(self, at: float | None) -> str | None:
        """Return a time as iso_in() does."""
        if at is None or at < WHOLE_MINUTES_SINCE:
            return iso_in(at, self._zone)
        minute = int(at // 60)
        parts = self._minutes.get(minute)
        if parts is None:
            parts = self._write_minute(minute)
        return parts[0] + SECONDS[int(at) % 60] + parts[1]

    def _write_minute(self, minute: int) -> tuple[str, str]:
        if len(self._minutes) >= MAX_MINUTES:
            self._minutes.clear()
        text = datetime.fromtimestamp(60 * minute, self._zone).isoformat(timespec="seconds")
        parts = text[:17], text[19:]
        self._minutes[minute] = parts
        return parts


def rounded(seconds: float | None) -> float | None:
    """Return a duration as JSON shows it, to a hundredth of a second."""
    return None if seconds is None else round(seconds, 2)


def wait_json(wait: WaitRange | None) -> dict[str, int] | None:
    """Return a range of the wait as JSON."""
    return None if wait is None else {"from": wait.from_s, "to": wait.to_s}


def slug_and_name(item: Any, **links: str) -> dict[str, Any]:
    """Return the slug, the name and, if there are any, the links of a place, a queue or a counter."""
    content: dict[str, Any] = {"slug": item.slug, "name": item.name}
    return content | {"links": links} if links else content


def details_json(ticket: Ticket, details: Sequence[str]) -> dict[str, Any]:
    """Return some of what a customer said when taking a number, such as forms.DESK_DETAILS."""
    return {name: getattr(ticket, name) for name in details}


def plan_json(ticket: Ticket, steps: Sequence[Step]) -> dict[str, Any] | None:
    """Return the plan of a ticket as JSON; None if it has none."""
    if ticket.step_number is None:
        return None
    return {
        "step": ticket.step_number,
        "of": ticket.step_count,
        "steps": [{"queue": each.queue, "queue_name": each.queue_name} for each in steps],
    }


def seconds_to_undo(at: float, happened_at: float | None) -> float:
    """Return for how many more seconds a page offers to undo a press."""
    return 0 if happened_at is None else round(max(0, happened_at + UNDO_S - at), 1)


# ----- template filters


@lru_cache(maxsize=100)  # it takes longer than the rest of a page, and a board asks again at each call
def qr_code(content: str) -> str:
    """Return a QR code as a data: URI, to be shown on white."""
    import qrcode.image.svg

    image = qrcode.make(content, image_factory=qrcode.image.svg.SvgPathImage, border=2)
    return "data:image/svg+xml;base64," + base64.b64encode(image.to_string()).decode()


def duration(seconds: float | None) -> str:
    """Return seconds as people read them: 120.1 as "2 min 0 s"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0, seconds)), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def minutes_in_words(seconds: float | None) -> str:
    """Return seconds as people say them: 250 as "4 min", 30 as "<1 min"."""
    if seconds is None:
        return "–"
    minutes = int(max(0, seconds)) // 60
    if minutes < 60:
        return f"{minutes} min" if minutes else "<1 min"
    return f"{minutes // 60} h {minutes % 60} min"


def minutes_since(at: str) -> str:
    """Return how long ago an ISO 8601 time is, as people say it."""
    return minutes_in_words(now() - datetime.fromisoformat(at).timestamp())


def wait_in_words(wait: Mapping[str, int] | None) -> str:
    """Return a range of seconds, {"from", "to"}, as "about 8 to 15 minutes".

    A range that is wider than its middle says little about its lower end: it is "up to 45 minutes".
    """
    if not wait:
        return ""
    low, high = round(wait["from"] / 60), round(wait["to"] / 60)
    if high <= 1:
        return "about a minute" if low else "less than a minute"
    if low and high > 3 * low:
        return f"up to {-(-high // 5) * 5 if high > 10 else high} minutes"
    if 0 < low < high:
        return f"about {low} to {high} minutes"
    return f"about {high} minutes" if low else f"up to {high} minutes"


def date_in_words(day: str) -> str:
    """Return a day as people write it: Saturday 21 November 2026."""
    when = date.fromisoformat(day)
    return f"{when:%A} {when.day} {when:%B} {when.year}"


def month_in_words(day: str) -> str:
    """Return the month of a day: November 2026."""
    return f"{date.fromisoformat(day):%B %Y}"


def clock_time(at: str) -> str:
    """Return the time of day of an ISO 8601 time: 14:30."""
    return at[11:16]


def clock_time_at(at: float, place: Place) -> str:
    """Return the time of day in the place's time zone: 14:30."""
    return clock_time(str(iso(at, place)))


def time_of_day(minute: int) -> str:
    """Return a minute of the day as clocks show it: 540 as 09:00, and the end of the day as 24:00."""
    hours, minutes = divmod(minute, 60)
    return f"{hours:02}:{minutes:02}"


def length_of_number(number: str) -> int:
    """Return how many digits are as wide as this number of a ticket, for its size: 6 for WWW1."""
    return round(sum(WIDTHS_IN_DIGITS.get(letter, 1) for letter in number))


def code_in_groups(digits: str) -> str:
    """Return the digits of a one-time code as people read them: 1234 5678."""
    return f"{digits[:4]} {digits[4:]}"


def shown_text(value: Any) -> Any:
    """Return a value as templates show it; a text has its text-direction marks closed."""
    return close_direction_marks(value) if type(value) is str else value  # Markup was made by a template


TEMPLATE_FILTERS = {
    "code": code_in_groups,
    "number_length": length_of_number,
    "duration": duration,
    "minutes": minutes_in_words,
    "minutes_since": minutes_since,
    "wait": wait_in_words,
    "date": date_in_words,
    "clock": clock_time,
}
