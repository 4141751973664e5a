"""Reading requests: what the client accepts, who it is, and the values it sent."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any, TypeVar

import flask
from flask import current_app, g, request, session
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, Form, SelectMultipleField, StringField

from app.core.contacts import MISSING_SENTENCES
from app.core.phones import ANY_READING
from app.errors import BadInput, TooLarge, TooMany, Unavailable
from app.network import MAX_BODY_BYTES, MAX_CONTACTS_BODY_BYTES, client_of, network_of
from app.web.access import check_link
from app.web.forms import MISSING, WholeNumberField
from app.web.host import INVALID_HOST
from app.web.present import duration
from app.web.service import service

View = TypeVar("View", bound=Callable[..., Any])

MAX_FORM_FIELDS = 5000  # a long line can be ticked ticket by ticket
MAX_JSON_DEPTH = 8  # the deepest that we read has four levels: a tag of a contact in a list
# The values in a JSON body, and the lists and objects among them: 50,000 contacts, each with its tags.
MAX_JSON_VALUES = 1_500_000
MAX_JSON_CONTAINERS = 110_000
LARGE_BODY_WAIT_S = 10.0  # how long a large body waits while another one is being read

# In other fields, null and a blank text mean the same as leaving the field out.
FIELDS_WITH_MEANINGFUL_NULL = (
    "finished",
    "admits",
    "staff_email",
    "alert_email",
    "desk",
    "thanks",
    "colour",
    "address",
    "note",
)


def wants_json() -> bool:
    """Return True when the answer must be JSON: by the Accept header, or since the body is JSON."""
    offered = ("text/html", "application/json")
    return request.is_json or is_app_request() or request.accept_mimetypes.best_match(offered) == offered[1]


def is_app_request() -> bool:
    """Return True for a request of a caller app: it brings a token and no cookie."""
    return request.path.startswith("/api/")


def browser_id() -> str:
    """Return the random id of this browser, which its signed cookie keeps."""
    session.permanent = True
    return str(session.setdefault("browser", secrets.token_hex(8)))


def client() -> str:
    """Return what this client counts as: its address, or the network of an IPv6 address."""
    return client_of(request.remote_addr or "")


def limit(action: str, limit: int, window_s: int, place: str | None = None) -> None:
    """Count a request of this client, or of a place. Raises TooMany above the limit."""
    _count(action, place or client(), limit, window_s, "" if place else " from one address")


def limit_network(action: str, limit: int, window_s: int) -> None:
    """Count a request of the network that this client belongs to. Raises TooMany above the limit."""
    _count(action, network_of(request.remote_addr or ""), limit, window_s, " from one network")


def _count(action: str, source: str, limit: int, window_s: int, source_in_words: str) -> None:
    wait_s = service().limiter.hit((action, source), limit, window_s)
    if wait_s:
        raise TooMany(f"Too often{source_in_words}. Try again in {duration(wait_s)}.", wait_s)


# ----- before a view runs


def accepts_contacts(view: View) -> View:
    """Mark a view whose body may be as large as a file of contacts."""
    return accepts_body(MAX_CONTACTS_BODY_BYTES)(view)


def accepts_body(max_bytes: int) -> Callable[[View], View]:
    """Mark a view whose body may be larger than others."""

    def mark(view: View) -> View:
        view.max_body_bytes = max_bytes  # type: ignore[attr-defined]
        return view

    return mark


def max_body_bytes() -> int:
    """Return how large the body of this request may be. Only contacts may be many, in a file or in JSON."""
    view = current_app.view_functions.get(request.endpoint or "")
    if request.is_json or request.mimetype == "multipart/form-data":
        return getattr(view, "max_body_bytes", MAX_BODY_BYTES)
    return MAX_BODY_BYTES


def check_request() -> None:
    """Refuse what must not be read or acted on; this runs before any body is read.

    The order matters: the Host, the size, and the link in the URL come before the body. Then a form needs a
    CSRF token. JSON needs none, since a foreign page can't send it without a preflight request. Changes while
    writes are paused are refused before a rate limit counts them, because the client will send them again.
    """
    if INVALID_HOST in request.environ:
        raise BadInput("The address of this server is not a valid one: check the name in the address bar.")
    if "\0" in request.path:
        flask.abort(404)
    max_bytes = max_body_bytes()
    request.max_content_length = request.max_form_memory_size = max_bytes
    if (request.content_length or 0) > max_bytes:
        flask.abort(413)
    if request.method == "POST" and request.url_rule:
        check_link()
        if max_bytes > MAX_BODY_BYTES and (request.content_length or 0) > MAX_BODY_BYTES:
            _wait_for_turn()
        if not (request.is_json or is_app_request()):
            _check_fields()
            current_app.extensions["csrf"].protect()
        if paused := service().database.paused:
            raise paused


def _wait_for_turn() -> None:
    """Let large bodies be read one at a time: each takes many times its size in memory."""
    turn = service().large_body_turn
    if not turn.acquire(timeout=LARGE_BODY_WAIT_S):
        raise Unavailable("Other contacts are being stored just now. Please try again in a moment.")
    g.release_turn = turn.release


def release_turn(_error: BaseException | None = None) -> None:
    """Let the next large body be read; runs at the end of each request."""
    release = g.pop("release_turn", None)
    if release is not None:
        release()


def _check_fields() -> None:
    """Refuse a form with too many fields, before it is parsed."""
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    if is_form and request.get_data().count(b"&") >= MAX_FORM_FIELDS:
        flask.abort(413)


# ----- the values of a form or a JSON object


def parse(form: type[Form], *required: str) -> dict[str, Any]:
    """Return the fields that the request holds, validated; absent ones are left out. Raises BadInput.

    A field that is required may still be null, if null means something there.
    """
    if request.is_json:
        return parse_json(form, json_object(), *required)
    # With tick boxes, a form sends only what is ticked, and `_boxes` to say that the rest is not.
    boxes = BOXES if "_boxes" in request.form else ()
    names = [
        name for name, field in fields_of(form).items() if name in request.form or isinstance(field, boxes)
    ]
    return parse_values(form, {name: request.form.getlist(name) for name in names}, *required)


def parse_query(form: type[Form]) -> dict[str, Any]:
    """Return the fields of the query string, validated; blank ones are left out. Raises BadInput."""
    values = {name: request.args.getlist(name) for name in fields_of(form) if request.args.get(name)}
    return parse_values(form, values)


def read_id(text: str) -> int | None:
    """Return the id of a row, or None for a text that isn't an id."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def form_ids(name: str) -> list[int]:
    """Return the ids that were ticked in a form; what isn't an id is left out."""
    ids = [read_id(text) for text in request.form.getlist(name)]
    return [each for each in ids if each is not None]


def refuse_unknown_fields(form: type[Form], *others: str) -> None:
    """Raise BadInput if a JSON body has a field that the form doesn't know.

    For bodies that select what to act on: if a misspelled field were ignored, too many would be selected.
    """
    if not request.is_json:
        return
    known = [*fields_of(form), *others]
    unknown = [name for name in json_object() if name not in known]
    if unknown:
        raise BadInput(
            f"There is no field named {', '.join(unknown)} here. The fields are {', '.join(known)}."
        )


def parse_json(form: type[Form], content: Any, *required: str) -> dict[str, Any]:
    """Return the fields of a JSON object: first their types are checked, then the form's validators run."""
    return parse_values(form, json_values(form, content), *required)


def parse_values(form: type[Form], values: Mapping[str, list[str] | None], *required: str) -> dict[str, Any]:
    """Return the fields of a form's lists of texts, validated; None stands for JSON's null."""
    if not values and not required:
        return {}
    filled = form(MultiDict([(name, value) for name, texts in values.items() for value in texts or ()]))
    filled.validate()
    parsed: dict[str, Any] = {}
    for name, field in fields_of(form).items():
        if name in filled.errors:
            raise BadInput(_error_sentence(field, str(filled[name].errors[0])), field=name)
        value = None if values.get(name) is None else filled[name].data
        if value is not None or (name in values and name in FIELDS_WITH_MEANINGFUL_NULL):
            parsed[name] = value
        elif name in required:
            raise BadInput(_error_sentence(field, MISSING), field=name)
    return parsed


def _error_sentence(field: Field, error: str) -> str:
    if error == MISSING and field.name in MISSING_SENTENCES:
        return MISSING_SENTENCES[field.name]
    return f"{field.label.text}: {error}"


@cache
def fields_of(form: type[Form]) -> dict[str, Field]:
    """Return the fields of a form by name."""
    return {field.name: field for field in form()}


# ----- JSON

# For each kind of field: the JSON type, and what error messages call it.
JSON_TYPES: dict[type[Field], tuple[type, str]] = {
    StringField: (str, "a text"),
    WholeNumberField: (int, "a whole number"),
    BooleanField: (bool, "true or false"),
    SelectMultipleField: (list, "a list"),
}
BOXES = (BooleanField, SelectMultipleField)
MAX_JSON_INT = 10**15
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold half a character; a database can't


def json_object() -> dict[str, Any]:
    """Return the body of the request. Raises BadInput when it isn't a JSON object."""
    body = request.get_data() or b"{}"
    check_json_shape(body)
    try:
        content = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise BadInput("The body must be a JSON object, such as {}.")
    return content


# A text, or what is left of the body after a quote that nothing closes.
_JSON_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_json_shape(body: bytes) -> None:
    """Refuse JSON that would take far more memory than its text, without parsing it.

    Raises BadInput when it is nested too deeply, and TooLarge when it holds too many values.
    """
    if len(body) <= MAX_BODY_BYTES and body.count(b"[") + body.count(b"{") <= MAX_JSON_DEPTH:
        return  # as most bodies are
    structure = _JSON_TEXT.sub(b"", body)
    brackets = structure.translate(None, _NO_BRACKETS)
    containers = brackets.count(b"[") + brackets.count(b"{")
    if containers > MAX_JSON_CONTAINERS or containers + structure.count(b",") > MAX_JSON_VALUES:
        raise TooLarge("That is too much at once. Please send it in several requests.")
    for _ in range(MAX_JSON_DEPTH):  # each time, the innermost brackets go
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise BadInput("The body is not valid JSON, or is nested too deeply.")


def json_values(form: type[Form], content: Any) -> dict[str, list[str] | None]:
    """Return the known fields of a JSON object as a form would send them. Raises BadInput for wrong types."""
    if not isinstance(content, dict):
        raise BadInput("This must be a JSON object, such as {}.")
    known = fields_of(form)
    values: dict[str, list[str] | None] = {}
    for name in known.keys() & content.keys():
        values[name] = _json_value(known[name], content[name])
    return values


def _json_value(field: Field, value: Any) -> list[str] | None:
    if value is None:
        return None
    json_type, description = JSON_TYPES[type(field)]
    items: list[Any] = value if isinstance(value, list) else [value]
    # type() instead of isinstance(): true is no number.
    if type(value) is not json_type or (json_type is list and any(type(item) is not str for item in items)):
        raise BadInput(f"{field.label.text}: this must be {description}.")
    too_large = isinstance(value, int) and abs(value) > MAX_JSON_INT
    if too_large or _LONE_SURROGATE.search("".join(map(str, items))):
        raise BadInput(f"{field.label.text}: please use ordinary characters and numbers.")
    return [str(item).lower() if json_type is bool else str(item) for item in items]


# ----- phone numbers


def phone_confirmed() -> str:
    """Return the number that a form confirms by being sent again; a program confirms all that it sends."""
    return ANY_READING if request.is_json else request.form.get("phone_confirmed", "")


# ----- days in the query string

FIRST_DAY, LAST_DAY = "1970-01-01", "9998-12-31"


def query_day(name: str, default: str) -> str:
    """Return a day of the query string. Raises BadInput."""
    try:
        day = date.fromisoformat(request.args.get(name) or default).isoformat()
    except ValueError:
        raise BadInput(f"'{name}' must be a day such as 2026-11-21.") from None
    return max(FIRST_DAY, min(day, LAST_DAY))


def query_days(today: str | None = None) -> tuple[str, str]:
    """Return the days `from` and `to` of the query string; by default `today`, or all. Raises BadInput."""
    last = query_day("to", today or LAST_DAY)
    first = query_day("from", min(last, today) if today else FIRST_DAY)
    if first > last:
        raise BadInput("The start date must be before the end date.", field="from")
    return first, last
