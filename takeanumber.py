#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "alembic==1.20.1",
#   "boto3==1.44.5",
#   "botocore==1.44.5",
#   "click==8.5.1",
#   "flask==3.1.3",
#   "flask-wtf==1.3.0",
#   "phonenumbers==9.0.43",
#   "qrcode==8.2",
#   "sqlalchemy==2.1.9",
#   "tzdata==2026.6",
#   "waitress==3.0.2",
#   "werkzeug==3.1.9",
#   "wtforms==3.3.2",
# ]
# ///
"""Take A Number: one small server for places where people wait.

Customers take a number on their own phone, servicers press "Next customer", everybody sees who is served.
One Flask app and one SQLite file. This file is the app: its pages, and its command line. What they call
stands in rooms/, one file a room, to be read in this order:

    settings, storage, places, line, counters, contacts, imports, mail, calls, numbers, live, clock,
    backup, keeper

The rooms know nothing of Flask: they take a connection and plain values, return rows or small dataclasses,
raise the few exceptions of the first room, and use none but the rooms before them. Data goes one way: a
request, its page, one function, the writer, an event, the picture.
"""

from __future__ import annotations

import base64
import csv
import gc
import inspect
import io
import json
import logging
import math
import os
import random
import re
import resource
import secrets
import signal
import socket
import sqlite3
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import click
import flask
import waitress.adjustments
from flask import Blueprint, current_app, g, request, session, url_for
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from wtforms import BooleanField, Field, Form, IntegerField, SelectMultipleField, StringField
from wtforms.validators import Length, NumberRange, Optional, Regexp, ValidationError

from rooms.backup import Copy, Store, back_up, copies, restore, store_of, verify
from rooms.calls import (
    about_call,
    add_word,
    asked_lists,
    being_called,
    call_instead,
    call_of,
    claim_next,
    closed_to,
    count_contacts,
    done_since,
    list_figures,
    lists_of,
    log_incoming,
    recent_reports,
    remove_word,
    report_call,
    reports_between,
    request_call,
    slug_of_desk,
    stats_of,
    upcoming,
    waits_on,
)
from rooms.clock import start_clock
from rooms.contacts import (
    ACTIONS,
    FIELDS,
    SORTS,
    act,
    all_tags,
    calls_of,
    change_contact,
    contacts_after,
    contacts_page,
    find_contact,
    find_list,
    forget_contact,
    matching_ids,
    phone_shown,
    reports_of,
    tags_of,
    words_of,
)
from rooms.counters import (
    CODE_S,
    about_counter,
    add_counter,
    add_door,
    by_door,
    change_counter,
    change_door,
    counters_of,
    delete_counter,
    doors_of,
    find_counter,
    find_door,
    give_code,
    not_here,
    open_place_for,
    recount,
    staff_code,
    store_taps,
    use_code,
)
from rooms.imports import (
    MOST_ROWS,
    Given,
    add_contacts,
    begin_import,
    discard_import,
    erase_stored,
    fail_unread,
    find_import,
    first_rows,
    open_sheet,
    read_file,
    refused_rows,
    store_import,
)
from rooms.keeper import Keeper
from rooms.line import (
    add_customer,
    bring_back,
    by_customer,
    by_desk,
    call_next,
    called_in,
    cancel_ticket,
    cancel_tickets,
    clear_claim,
    count_ahead,
    current_ticket,
    delete_queue,
    find_desk,
    find_ticket,
    give_back,
    is_stand_in,
    may_call_back,
    more_time,
    move_ticket,
    peek_call,
    press,
    recent_at,
    remove_servicer,
    reset_numbers,
    set_duty,
    state_of,
    take_number,
    tickets_of_browser,
    wait_here,
    waiting_in,
)
from rooms.live import FREE_THREADS, Live, counter_shown, version_of
from rooms.numbers import (
    MORE_DESKS,
    NO_LINE,
    counts_between,
    day_of_counter,
    everything,
    figures,
    hit_rate,
    lines_of,
    owners_numbers,
    steps_of,
    tickets_between,
)
from rooms.places import (
    CALLS,
    EFFECTS,
    about_queue,
    add_queue,
    all_places,
    by_owner,
    callers_of,
    change_place,
    change_queue,
    change_servicer,
    day_begins,
    day_of,
    delete_place,
    find_place,
    find_queue,
    find_servicer,
    iso,
    next_day,
    queues_of,
    queues_served,
    replace_link,
    servicer_of_browser,
    servicers_of,
    shown,
    start_serving,
    tidy,
    zones,
)
from rooms.settings import (
    ADDRESS,
    BadInput,
    CannotStart,
    Forbidden,
    NotFound,
    Refused,
    Settings,
    TooMany,
    Unavailable,
    now,
)
from rooms.storage import Database, fact, open_database, set_fact

log = logging.getLogger("takeanumber")


# ==========================================================================================================
# Pages: the routes; each reads the request, calls one function above, and presents the answer
# ==========================================================================================================

pages = Blueprint("pages", __name__)
Answer = flask.Response


@dataclass(frozen=True)
class Service:
    """What the pages work with."""

    settings: Settings
    database: Database
    live: Live
    keeper: Keeper | None = None  # without a place for backups
    lock: threading.Lock = field(default_factory=threading.Lock)
    hits: dict[tuple, tuple[float, int]] = field(default_factory=dict)  # see limit()
    lines: dict[tuple[str, str], tuple[float, Callable]] = field(default_factory=dict)  # see expectation()


def create_app(threads: int = 256, **options: Any) -> flask.Flask:
    """The service as a WSGI app for so many threads; `options` go over the environment; CannotStart."""
    settings = Settings.read(os.environ, **options)
    database = open_database(settings, upgrade=True)
    database.write(fail_unread)
    app = flask.Flask(__name__)
    app.json.sort_keys = False
    with database.read() as db:
        app.secret_key = fact(db, "secret_key")  # kept in the database, so that deploys and restores keep it
    app.config.update(
        MAX_CONTENT_LENGTH=64 * 1024,  # but see check_form()
        WTF_CSRF_CHECK_DEFAULT=False,  # check_form() does, for every body that is not JSON
        WTF_CSRF_SSL_STRICT=False,  # our pages send no Referer
        WTF_CSRF_TIME_LIMIT=None,  # and stay open all day
        SESSION_COOKIE_NAME="takeanumber",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=400),
        SESSION_REFRESH_EACH_REQUEST=False,  # or a page that looks again overwrites what a press had to say
    )
    CSRFProtect(app)
    app.register_blueprint(pages)
    live = Live(database, max(1, threads - FREE_THREADS), settings.streams_per_address)
    keeper = Keeper(database, settings) if settings.backup_url else None
    app.extensions["takeanumber"] = Service(settings, database, live, keeper)
    words_of = {"qr": qr_code, "duration": duration, "wait": wait_in_words, "clock": lambda at: at[11:16]}
    words_of |= {"date": date_in_words}
    app.jinja_env.filters |= words_of
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=0)
    return app


def service() -> Service:
    """What this app works with."""
    return current_app.extensions["takeanumber"]


def write(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Runs `function(db, at, …)` on the writer, now."""
    return service().database.write(function, now(), *args, **kwargs)


# ----- reading the request


def wants_json() -> bool:
    """Whether the answer is to be JSON: the Accept header says so, or the body is JSON."""
    wanted = ("text/html", "application/json")
    return request.is_json or for_app() or request.accept_mimetypes.best_match(wanted) == wanted[1]


def for_app() -> bool:
    """Whether the request is a caller app's: it brings its own token, no cookie."""
    return request.path.startswith("/api/")


def limit(what: str, most: int, seconds: int, place: str | None = None) -> None:
    """Counts one of `what` for the client's address, or a place; raises TooMany above so many in so long."""
    hits, key, at = service().hits, (what, place or request.remote_addr), now()
    with service().lock:
        if len(hits) >= 10_000:
            hits.clear()  # rather forget who asked than grow
        ends, count = hits.get(key, (0.0, 0))
        ends, count = (ends, count + 1) if 0 < ends - at <= seconds else (at + seconds, 1)
        hits[key] = ends, count
    if count > most:
        pause = max(1, math.ceil(ends - at))
        raise TooMany(
            f"Too often{'' if place else ' from one address'}. Try again in {duration(pause)}.",
            retry_after=pause,
        )


BIG = ("pages.add_contact", "pages.upload_contacts")  # what may be larger: lists and files of contacts
BIG_BODY = 16 * 2**20 + 64 * 1024  # with a little around the file


@pages.before_app_request
def check_form() -> None:
    """Refuses a form without its token; JSON needs none, since a foreign page can't send it unasked.

    While writes are paused it refuses all that is sent, before a limit counts what will be sent again.
    """
    if request.endpoint in BIG:
        request.max_content_length = request.max_form_memory_size = BIG_BODY
    if (request.content_length or 0) > (request.max_content_length or 0):
        flask.abort(413)
    if request.method == "POST" and request.url_rule:
        if not (request.is_json or for_app()):
            current_app.extensions["csrf"].protect()
        if why := service().database.paused:
            raise Unavailable(why, retry_after=None if role() == "read-only" else 2)


def role() -> str:
    """Whether this server is "master" of its shops, "handing over" to another, or "read-only" after that."""
    keeper = service().keeper
    return keeper.status()["role"] if keeper else "master"


def browser() -> str:
    """This browser's name for us, kept in its signed cookie."""
    session.permanent = True
    return session.setdefault("browser", secrets.token_hex(8))


def filled(form: Form, item: Field) -> None:
    """Refuses a field that was sent empty; one that was left out is the view's business."""
    if item.raw_data and not item.data:
        raise ValidationError("please fill this in.")


def a_zone(form: Form, item: Field) -> None:
    """Refuses what is no time zone."""
    if item.data not in zones():
        raise ValidationError("please choose a time zone such as Europe/Berlin.")


def a_day(form: Form, item: Field) -> None:
    """Refuses what is no day."""
    try:
        date.fromisoformat(item.data)
    except ValueError:
        raise ValidationError("please write a day such as 2026-11-21.") from None


def words(label: str, most: int, *validators: Any) -> StringField:
    """A field for a text."""
    length = Length(max=most, message=f"please use at most {most} characters.")
    return StringField(label, filters=[tidy], validators=[*validators, length])


def whole(label: str, low: int, high: int) -> IntegerField:
    """A field for a whole number."""
    within = NumberRange(low, high, f"please choose a whole number from {low} to {high}.")
    return IntegerField(label, validators=[Optional(), within])


NOT_TICKED = ("false", "0", "")
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def form(parent: type[Form] = Form, /, **items: Field) -> type[Form]:
    """A form of these fields, and of its parent's."""
    return type("Fields", (parent,), items)


def one_of(label: str, *choices: str) -> StringField:
    """A field for one of a few words."""
    sentence = f"please choose {' or '.join(choices)}."
    return words(label, 20, Optional(), Regexp(f"^({'|'.join(choices)})$", message=sentence))


AN_ADDRESS = "please write an address such as ana@example.org."
NameForm = form(name=words("Name", 60, filled))
PlaceForm = form(
    name=words("Name", 80, filled),
    timezone=words("Time zone", 60, Optional(), a_zone),
    country=words("Country", 2, Optional(), Regexp("^[A-Z]{2}$", 0, "please use two capital letters.")),
    day_starts=whole("Hour the day starts", 0, 23),
    wait_goal_minutes=whole("Goal for the wait", 1, 1440),
)
OpenForm = form(
    PlaceForm,
    slug=words("Address", 40, Optional(), Regexp("^[a-z0-9]+(-[a-z0-9]+)*$", 0, "please use a-z, 0-9, -.")),
    setup_code=words("Setup code", 200),
    queue=words("Queue", 60, lambda form, item: filled(form, item) if request.is_json else None),
    call_list=words("Call list", 60, lambda form, item: filled(form, item) if request.is_json else None),
)
QueueForm = form(
    NameForm,
    kind=one_of("Kind", "walk-in", CALLS),
    prefix=words("Letter", 3, Optional(), Regexp("^[A-Z]{1,3}$", 0, "please use one to three capitals.")),
    max_waiting=whole("Most people in line", 1, 1_000_000),
    asks=SelectMultipleField("Asks for", choices=["name", "phone", "note", "party"]),
    shared_tablet=BooleanField("Shared tablet", false_values=NOT_TICKED),
    usual_service_s=whole("Usual service in seconds", 10, 14_400),
    claim_minutes=whole("Minutes that a call is its caller's", 1, 600),
    retry_minutes=whole("Minutes until the next try", 1, 100_000),
    most_tries=whole("Most tries", 1, 100),
    public_form=BooleanField("Public form", false_values=NOT_TICKED),
    staff_email=words("E-mail of the staff", 200, Optional(), Regexp(f"^{ADDRESS}$", 0, AN_ADDRESS)),
    restricted=BooleanField(
        "Only those ticked", false_values=NOT_TICKED
    ),  # in a form; in JSON callers says it
)
WordForm = form(NameForm, name=words("Name", 80, filled))
OutcomeForm = form(NameForm, effect=one_of("Effect", *EFFECTS))
ServiceForm = form(
    NameForm,
    phone=words("Phone", 40),
    link=words("Link", 300, Optional(), Regexp("^https?://[^ ]+$", 0, "please begin with https://")),
)
RequestForm = form(
    request_id=words("Request", 100),
    name=words("Name", 80),
    phone=words("Phone", 40, filled),
    email=words("E-mail", 200, Optional(), Regexp(f"^{ADDRESS}$", 0, AN_ADDRESS)),
    note=words("Note", 500),
)
PhoneForm = form(phone=words("Phone", 40, filled))
ListForm = form(list=words("List", 60))
ClaimForm = form(claim=words("Claim", 60, filled))
IdForm = form(id=whole("Id", 1, 2**31 - 1))
SaidForm = form(
    outcome=words("Outcome", 80, filled),
    notes=words("Notes", 2000),
    call_back_at=words("Call back at", 40),
    call_back_date=words("Date", 20),
    call_back_time=words("Time", 20),
    refer_to=words("Refer to", 80),
    refer_note=words("Note for them", 500),
)
ReportForm = form(SaidForm, claim=words("Claim", 60, filled))
IncomingForm = form(
    SaidForm,
    phone=words("Phone", 40, filled),
    name=words("Name", 80),
    list=words("List", 60),
    request_id=words("Request", 100),
)
CustomerForm = form(
    request_id=words("Request", 100),
    name=words("Name", 80),
    phone=words("Phone", 40),
    note=words("Note", 500),
    party=whole("How many people", 1, 50),  # as many as one tap counts
    queue=words("Queue", 60),  # from a desk only
)
ServicerForm = form(
    name=words("Your name", 60, filled),
    desk=words("Your desk", 40),
    queues=SelectMultipleField("Queues", validate_choice=False),
    on_duty=BooleanField("On duty", false_values=NOT_TICKED),
)
NumberForm = form(number=words("Number", 20, filled))
NumbersForm = form(numbers=SelectMultipleField("Numbers", validate_choice=False))
MoveForm = form(NumberForm, queue=words("Queue", 60))
NextForm = form(MoveForm, number=words("Number", 20), finished=words("Finished", 20))
CounterForm = form(
    NameForm,
    capacity=whole("Capacity", 1, 100_000),
    empties=one_of("Empties itself", "day", "never"),
    hold_minutes=whole("Minutes to come in", 1, 240),
    admits=words("Queue that it admits", 60),
)
TapForm = form(
    id=words("Id of the tap", 36, Regexp(f"^{UUID}$", re.IGNORECASE, "this must be a UUID.")),
    delta=whole("How many more or fewer", -50, 50),
    ago_s=whole("Seconds ago", 0, 10**9),
    number=words("Number", 20),
    undoes=words("Id of the tap taken back", 36),
)
RecountForm = form(count=whole("How many are inside", 0, 100_000))
CodeForm = form(code=words("Code", 20, filled))

ContactForm = form(
    **{name: words(label, most) for name, (label, most) in FIELDS.items() if name != "tags"},
    tags=SelectMultipleField("Tags", validate_choice=False),
    do_not_call=BooleanField("Do not call", false_values=NOT_TICKED),
)
FilterForm = form(
    q=words("Search", 100),
    in_list=words("On the list", 60),
    never_called=BooleanField("Never called", false_values=NOT_TICKED),
    last_outcome=words("Last outcome", 80),
    tag=words("Tag", 40),
    called_before=words("Called before", 10, Optional(), a_day),
    do_not_call=BooleanField("Do not call", false_values=NOT_TICKED),
    sort=words("Sort", 20, Optional(), Regexp(f"^-?({'|'.join(SORTS)})$", 0, "please choose a column.")),
)
PageForm = form(page=whole("Page", 1, 10**9))
TextForm = form(text=StringField("Text"))
ActionForm = form(
    action=one_of("Action", *ACTIONS),
    list=words("List", 60),
    reason=words("Reason", 80),
    priority=whole("Priority", 1, 5),
    tag=words("Tag", 40),
)

fields_of = cache(lambda form: {item.name: item for item in form()})  # of a form, by their names


NULL_SPEAKS = (
    "finished",
    "admits",
    "staff_email",
)  # in other fields null, or nothing typed, is as good as absent


def body(form: type[Form], *required: str) -> dict[str, Any]:
    """The fields that the request holds, checked; absent ones are left out. Raises BadInput."""
    if request.is_json:
        return check(form, json_object(), *required)
    # in a form with tick boxes, what is not ticked is not absent
    boxes = BOXES if "_boxes" in request.form else ()
    sent = [name for name, item in fields_of(form).items() if name in request.form or isinstance(item, boxes)]
    return check(form, {name: request.form.getlist(name) for name in sent}, *required)


def check(form: type[Form], content: Any, *required: str, typed: bool | None = None) -> dict[str, Any]:
    """The fields of a JSON object (`typed`), whose types are checked first, or of a form's lists of texts."""
    known, found = fields_of(form), {}
    typed = request.is_json if typed is None else typed
    given = json_fields(known, content) if typed else content
    checked = form(MultiDict([(name, value) for name, values in given.items() for value in values or ()]))
    checked.validate()
    for name, item in known.items():
        value = None if given.get(name) is None else checked[name].data
        if name in checked.errors:
            raise BadInput(f"{item.label.text}: {checked.errors[name][0]}")
        if value is not None or (name in given and name in NULL_SPEAKS):
            found[name] = value
        elif name in required:
            raise BadInput(f"{item.label.text}: please fill this in.")
    return found


# Of each kind of field: the type that JSON has for it, and what that is called.
TEXT, WHOLE, YES, LIST = (str, "a text"), (int, "a whole number"), (bool, "true or false"), (list, "a list")
KINDS = {StringField: TEXT, IntegerField: WHOLE, BooleanField: YES, SelectMultipleField: LIST}
BOXES = (BooleanField, SelectMultipleField)
HALF = re.compile("[\ud800-\udfff]")  # half a character, which JSON can hold and a database can't


def json_object() -> dict[str, Any]:
    """The body of the request; raises BadInput when it isn't a JSON object."""
    try:
        content = json.loads(request.get_data() or b"{}")
    except (ValueError, RecursionError):
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(content, dict):
        raise BadInput("The body must be a JSON object, such as {}.")
    return content


def json_fields(known: Mapping[str, Field], content: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """The known fields of a JSON object as a form would send them; raises BadInput for a wrong type."""
    if not isinstance(content, dict):
        raise BadInput("This must be a JSON object, such as {}.")
    given: dict[str, list[str] | None] = {}
    for name in known.keys() & content.keys():
        value, (kind, wanted) = content[name], KINDS[type(known[name])]
        items = value if type(value) is list else [value]
        if value is not None and (type(value) is not kind or (kind is list and {*map(type, items)} - {str})):
            raise BadInput(f"{known[name].label.text}: this must be {wanted}.")
        if HALF.search("".join(map(str, items))) or (kind is int and value and abs(value) > 10**15):
            raise BadInput(f"{known[name].label.text}: please use ordinary characters and numbers.")
        typed = [str(item).lower() if kind is bool else str(item) for item in items]
        given[name] = None if value is None else typed
    return given


# ----- presenting the answer


def base_url() -> str:
    """What absolute URLs begin with."""
    if "base" not in g:
        g.base = (service().settings.url or request.host_url).rstrip("/")
    return g.base


def link(endpoint: str, **values: Any) -> str:
    """An absolute URL."""
    return base_url() + url_for(f"pages.{endpoint}", **values)


def page(template: str, content: dict[str, Any], place: Any = None, **more: Any) -> Answer:
    """Content as JSON, or as a page for those who want one."""
    if wants_json():
        return flask.jsonify(content)
    more |= {"place": place, "token": (request.view_args or {}).get("token"), "error": g.get("error")}
    return flask.make_response(flask.render_template(template, **more))


def after(view: Callable, say: str | None, status: int = 200, content: Any = None, **values: str) -> Answer:
    """The answer to a button that did its work: JSON (`content`, or the page's), or a way to the page."""
    if not wants_json():
        if say:
            flask.flash(say, "good")
        return flask.redirect(url_for(f"pages.{view.__name__}", **values), 303)
    answer = view(**values) if content is None else flask.jsonify(content)
    answer.status_code = status
    return answer


def qr_code(content: str) -> str:
    """A QR code as a data: URI, to be shown on white."""
    import qrcode.image.svg

    image = qrcode.make(content, image_factory=qrcode.image.svg.SvgPathImage, border=2)
    return "data:image/svg+xml;base64," + base64.b64encode(image.to_string()).decode()


def duration(seconds: float | None) -> str:
    """Seconds as people read them: 120.1 as "2 min 0 s"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0, seconds)), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def wait_in_words(wait: Mapping[str, int] | None) -> str:
    """A range of seconds as "about 8 to 15 minutes"."""
    low, high = (round(wait[end] / 60) for end in ("from", "to")) if wait else (0, 0)
    if high <= 1:
        return ("about a minute" if low else "less than a minute") if wait else ""
    between = f"{low} to {high}" if 0 < low < high else f"{high}"
    return f"{'about' if low else 'up to'} {between} minutes"


def date_in_words(day: str) -> str:
    """A day as people write it: Saturday 21 November 2026."""
    return "{0:%A} {0.day} {0:%B} {0.year}".format(date.fromisoformat(day))


def desks_in_words(desks: Mapping[str, Any] | None) -> str:
    """What more desks would have changed, in a sentence; see desks_content()."""
    if desks is None:
        return "Nobody was served at a desk."
    on = f"The hardest of these days was {date_in_words(desks['day'])}. " if desks["hardest"] else ""
    if "more" not in desks:
        return f"{on}9 of 10 waited {under(desks['waited_s'])}: no more desks were needed."
    instead = under(desks["waited_s"]).removeprefix("under ")
    would = f"9 of 10 would have waited {under(desks['would_wait_s'])} (they waited up to {instead})."
    if desks["more"] == 0:
        return f"{on}The desks were enough: had each called the next customer at once, {would}"
    if desks["more"] is None:
        return f"{on}Even with {MORE_DESKS} more desks all the time, {would}"
    many = "one more desk" if desks["more"] == 1 else f"{desks['more']} more desks"
    start, end = (desks[each][11:16].removesuffix(":00").removeprefix("0") for each in ("from", "to"))
    return f"{on}With {many} from {start} to {end}, {would}"


def under(seconds: float) -> str:
    """Seconds as "under 8 minutes"."""
    minutes = max(0, int(seconds)) // 60 + 1
    return f"under {minutes} minutes" if minutes > 1 else "under a minute"


@pages.app_errorhandler(Refused)
def refused(problem: Refused) -> Answer:
    """Says what can't be done: in JSON, with the state of now for a Conflict; or on the button's own page."""
    said, view = str(problem), page_again(request.url_rule.rule if request.url_rule else "")
    shows_it = problem.status in ((409,) if wants_json() else (400, 403, 409))
    later = problem.status == 503 and not wants_json()
    if request.method == "POST" and view and (shows_it or later) and not g.get("error"):
        g.error = said
        known, given = inspect.signature(view).parameters, request.view_args or {}
        given = {name: value for name, value in given.items() if name in known}
        try:
            answer = again(problem, view, given) if later else flask.make_response(view(**given))
        except Refused as other:  # the page isn't there either
            return refused(other)
        answer = flask.jsonify({"error": said} | answer.get_json()) if wants_json() else answer
    else:
        answer = page("error.html", {"error": said}, its_place(problem), sentence=said, status=problem.status)
    answer.status_code = problem.status
    if problem.retry_after:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


def its_place(problem: Refused) -> Row | None:
    """The place that somebody looked for something in that isn't there: the way back leads to it."""
    if problem.status == 404 and "place" in (request.view_args or {}) and not wants_json():
        with suppress(NotFound, SQLAlchemyError), service().database.read() as db:
            return find_place(db, request.view_args["place"])
    return None


def again(problem: Refused, view: Callable, given: Mapping[str, str]) -> Answer:
    """The page for a form that can't be taken just now: it keeps what was typed, and can send it again.

    It does so by itself where that will help: while writes are paused, and not for good.
    """
    place, paused = None, str(problem) == service().database.paused
    if paused and given:  # or not even reading may be possible
        with service().database.read() as db:
            place = find_place(db, given["place"])
    if view is customers_or_form:  # which is no page itself
        view, given = customers, {"place": given["place"]}
    more = {"moving": paused and problem.retry_after, "back": url_for(f"pages.{view.__name__}", **given)}
    return page("again.html", {}, place, sentence=str(problem), **more)


def page_again(rule: str) -> Callable | None:
    """The page that shows what went wrong with a button: that of the longest beginning of its URL."""
    path = rule.removeprefix("/<place>/")
    if path == rule:
        return None if rule.startswith("/api/") else home
    pages_above = [each for each in AGAIN if f"{path}/".startswith(f"{each}/")]
    return AGAIN[max(pages_above, key=len)] if pages_above else None


HTTP_SENTENCES = {
    400: "This page was out of date, or cookies are switched off. Please try once more.",
    404: "There is nothing at this address. Check the link, or scan the QR code again.",
    405: "This address is for something else. Start again from the page of the place.",
    413: "That is too much at once: please send less than 64 KiB.",
}


@pages.app_errorhandler(Exception)
def failed(problem: Exception) -> Answer:
    """Whatever else went wrong, in a sentence; what is our mistake, or the storage's, goes into the log."""
    if isinstance(problem, HTTPException):
        said = HTTP_SENTENCES.get(problem.code) or str(problem.description)
        said = said.replace("64 KiB", "16 MiB") if request.endpoint in BIG else said
        answer = refused(Refused(said, problem.code))
        answer.allow.update(getattr(problem, "valid_methods", None) or ())
        return answer
    log.error("Failed at %s", request.url_rule, exc_info=problem)  # the rule: links don't belong in a log
    if isinstance(problem, SQLAlchemyError | sqlite3.Error):
        reason = getattr(problem, "orig", problem if isinstance(problem, sqlite3.Error) else "too busy")
        said = f"Nothing can be stored just now ({reason}), and nothing was changed. Please try again soon."
        return refused(Unavailable(said, retry_after=5))
    return refused(Refused("Something went wrong on our side. Please try again.", 500))


CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pages.after_app_request
def headers(answer: Answer) -> Answer:
    """What every answer says to the browser."""
    said = {"Content-Security-Policy": CONTENT, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
    answer.headers.update(said | {"X-Content-Type-Options": "nosniff"})
    if request.endpoint != "static":
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers["Vary"] = "Accept"
    return answer


@pages.get("/")
def home(found: list[Row] = ()) -> Answer:
    settings = service().settings
    with service().database.read() as db:
        places = all_places(db) if settings.places == "one" else []
    content = [named(place, customers=link("customers", place=place.slug)) for place in places]
    owned = [named(place, manage=owner_link(place)) for place in found]
    code = bool(settings.setup_code)
    shown_as = {"places": owned or content, "links": {"places": link("open_first")}}
    more = {"values": request.form, "asks_code": code, "has_code": code}
    return page("home.html", shown_as, places=content, found=owned, allowed=not places, **more)


def named(row: Row, **links: str) -> dict[str, Any]:
    """The slug, the name and the links of a place or a queue."""
    return {"slug": row.slug, "name": row.name} | ({"links": links} if links else {})


def owner_link(place: Row) -> str:
    """A place's manage link."""
    return link("manage", place=place.slug, token=place.manage_token)


def check_code(code: str | None) -> None:
    """Raises Forbidden when this isn't the setup code."""
    if not secrets.compare_digest((code or "").encode(), service().settings.setup_code.encode()) or not code:
        raise Forbidden("This is not the setup code. Ask whoever set up this server.")


@pages.post("/")
def find_links() -> Answer:
    limit("setup code", 20, 3600)
    check_code(body(OpenForm, "setup_code")["setup_code"])
    with service().database.read() as db:
        return home(all_places(db))


@pages.post("/places")
def open_first() -> Answer:
    settings = service().settings
    limit("new place", 20, 3600)
    asked = {"queue": None, "call_list": None, "setup_code": None} | body(OpenForm, "name")
    code, counter = asked.pop("setup_code"), first_counter()
    if settings.setup_code:
        check_code(code)
    only_one = settings.places == "one"
    place = write(open_place_for, settings.max_waiting, counter=counter, only_one=only_one, **asked)
    session["fresh"] = place.slug
    return after(manage, None, 201, place=place.slug, token=place.manage_token)


def first_counter() -> dict[str, Any] | None:
    """What is said of a new place's counter, if anything: an object in JSON, fields `counter-…` in a form."""
    if request.is_json:
        given = json_object().get("counter")
    else:
        given = {name: request.form.getlist(f"counter-{name}") for name in ("name", "capacity")}
        given = given if any(map(any, given.values())) else None
    return None if given is None else check(CounterForm, given, "name", "capacity")


@pages.get("/healthz")
def healthz() -> Answer:
    """For a balancer: 200 when the writer and a reader answer."""
    with service().database.read() as db:
        fact(db, "epoch")
    service().database.note(set_fact, now(), "pulse")
    content = {"status": "ok"}
    if request.args.get("verbose") == "1":
        content |= {"paused": service().database.paused, "backup": backup_content(ZoneInfo("UTC"))}
    return flask.jsonify(content)


# What is said of the backups, in a word beside the colour.
BACKUP_WORDS = {"green": "Backed up", "amber": "Late", "red": "Not backed up"}
ROLE_WORDS = {"handing over": "Moving", "read-only": "Handed over"}


def backup_content(zone: ZoneInfo, owner: bool = False) -> dict[str, Any] | None:
    """How the backups are, in figures and in words; None where there are to be none.

    What is wrong with them names the place where they are: that is for the owner alone.
    """
    keeper = service().keeper
    if keeper is None:
        return None
    content, at = keeper.status(), now()
    done, tested, behind = content["last_at"], content["verified_at"], content["behind_s"]
    content["age_s"] = None if done is None else max(0, round(at - done))
    content["word"] = ROLE_WORDS.get(content["role"]) or BACKUP_WORDS[content["state"]]
    if done is None and content["word"] == "Backed up":
        content["word"] = "Not yet"
    said = "No backup yet" if done is None else f"Last backup {duration(at - done)} ago"
    said += f", {verified_in_words(content, iso(tested, zone), at)}."
    if behind and content["state"] != "green":
        said += f" What changed in the last {duration(behind)} is not in it."
    paused, wrong = service().database.paused, content["problem"]
    if wrong and not owner:
        content["problem"] = wrong = "The owner's page says what is wrong."
    elif wrong and content["role"] == "read-only":
        paused = None  # which is for customers, of the same
    content["said"] = " ".join([*filter(None, (paused, wrong)), said])
    return content | {name: iso(content[name], zone) for name in ("last_at", "verified_at")}


def verified_in_words(status: Mapping[str, Any], when: str | None, at: float) -> str:
    """When a backup was last restored, to see that it can be, and what it held."""
    if when is None:
        return "not verified yet"
    many = status["verified_tickets"]
    day = "" if at - status["verified_at"] < 86400 else f" of {date_in_words(when[:10])}"
    return f"last verified restore {when[11:16]}{day}, {many:,} {'ticket' if many == 1 else 'tickets'}"


@pages.get("/<place>")
def customers(place: str) -> Answer:
    made = service().live.current(place, base_url())
    if wants_json():
        answer = flask.Response(made.text, mimetype="application/json", headers={"Cache-Control": "no-cache"})
        answer.set_etag(made.etag)
        return answer.make_conditional(request)
    with service().database.read() as db:
        mine = tickets_of_browser(db, now(), place, session["browser"]) if "browser" in session else []
        lists = queues_of(db, find_place(db, place), CALLS)
    if mine and "stay" not in request.args and not g.get("error"):
        return flask.redirect(url_for("pages.ticket", place=place, token=mine[0].token))
    content, request_id = made.content, secrets.token_hex(8)
    more = {"mine": mine, "request_id": request_id}
    more["forms"] = [named(each) for each in lists if each.public_form and each.open]
    return page("customers.html", {}, content["place"], picture=content, **more)


@pages.post("/<place>/<queue>/tickets")
def take(place: str, queue: str) -> Answer:
    limit("take", service().settings.takes_per_minute, 60)
    expect = expectation(place, queue)
    if expect is None:
        return leave_number(place, queue)
    asked = body(CustomerForm) | ({} if request.is_json else {"browser": browser()})
    row, line, mine, new = write(take_number, place, queue, expect=expect, **asked)
    wait = {"from": mine.wait_from, "to": mine.wait_to} if new and mine.wait_to is not None else None
    content = ticket_content(row, line, mine, line.waiting - 1, wait) if new and wants_json() else None
    return after(ticket, None, 201 if new else 200, content, place=place, token=mine.token)


def expectation(slug: str, queue: str) -> Callable[[int], dict[str, int] | None] | None:
    """What to expect with so many ahead in a queue; None of a call list.

    It is a second old at most: a burst of customers asks once.
    """
    made_at, expect = service().lines.get((slug, queue), (math.inf, None))
    if not 0 <= now() - made_at < 1:
        if expect:  # the others don't ask meanwhile
            service().lines[slug, queue] = now(), expect
        with service().database.read() as db:
            place = find_place(db, slug)
            mine = find_queue(db, place, queue, None)
            if mine.kind == CALLS:
                return None
            line = lines_of(db, now(), place, service().live.memory).get(mine.id, NO_LINE)
        others = line.length(line.waiting | {mine.id: 0})

        def expect(ahead: int) -> dict[str, int] | None:
            return line.expect(ahead + others)[0]

        if len(service().lines) >= 1000:
            service().lines.clear()
        service().lines[slug, queue] = now(), expect
    return expect


NOT_WAITING, NOT_CALLED = (
    {"ahead": None, "estimated_wait": None, "steps": []},
    dict.fromkeys(("desk", "door", "held_until")),
)


def ticket_content(
    place: Row, queue: Row, ticket: Row, ahead: int, wait: dict | None, steps: list[dict] = ()
) -> dict[str, Any]:
    """What a customer sees of her ticket; `ahead`, `wait` and `steps` matter while it waits."""
    content = shown(ticket, place, "number series party taken_at called_at started_at ended_at")
    content |= {"state": state_of(ticket, place, now()), "queue": queue.slug, "queue_name": queue.name}
    waits, called = content["state"] == "waiting", content["state"] in ("called", "serving")
    content |= {"ahead": ahead, "estimated_wait": wait, "steps": [*steps]} if waits else NOT_WAITING
    here = shown(ticket, place, "desk door held_until") if called and queue.kind != CALLS else NOT_CALLED
    url = link("ticket", place=place.slug, token=ticket.token)
    links = {"ticket": url, "cancel": f"{url}/cancel", "customers": link("customers", place=place.slug)}
    if is_stand_in(ticket):
        del links["cancel"]
        content["ended_at"] = None
    here |= {"kind": queue.kind, "by_phone": bool(ticket.by_phone)}
    here["phone"] = phone_shown(ticket.phone, place.country) if ticket.by_phone and ticket.phone else None
    return content | here | {"links": links}


@pages.get("/<place>/t/<token>")
def ticket(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row, queue, mine = find_ticket(db, place, token)
        ahead, wait, steps = {}, None, []
        callable_back = may_call_back(db, row, queue, mine, now())
        if mine.state == "waiting" and queue.kind != CALLS:
            line = lines_of(db, now(), row, service().live.memory).get(queue.id, NO_LINE)
            ahead = count_ahead(db, mine, line.counts_as, day_of(row, now()))
            wait, steps = line.expect(line.length(ahead))[0], steps_of(db, row, mine)
        content = ticket_content(row, queue, mine, ahead.get(queue.id, 0), wait, steps)
        if queue.kind == CALLS:
            content["phone"] = phone_shown(about_call(db, mine)[1].phone, row.country)
    if callable_back:
        which = "wait_here" if mine.by_phone else "call_me"
        content["links"][which] = f"{content['links']['ticket']}/{which.replace('_', '-')}"
    if wants_json():
        return flask.jsonify(content)
    picture = service().live.current(place, base_url()).content
    more = {"several": len(picture["queues"]) > 1, "shared": bool(queue.shared_tablet)}
    return page("ticket.html", content, row, ticket=content, picture=picture, **more)


@pages.get("/<place>/board")
def board(place: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    return page("board.html", picture, picture["place"], picture=picture, url=picture["links"]["customers"])


@pages.get("/<place>/poster")
def poster(place: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    return page("poster.html", picture, picture["place"], picture=picture, url=picture["links"]["customers"])


@pages.get("/<place>/live")
def live(place: str) -> Answer:
    house = service().live
    watcher = house.join(place, base_url(), request.remote_addr or "")
    answer = flask.Response(house.stream(watcher), mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(partial(house.leave, watcher))
    return answer


@pages.get("/<place>/counter/<counter>")
def screen(place: str, counter: str) -> Answer:
    picture = service().live.current(place, base_url()).content
    for each in picture["counters"]:
        if each["slug"] == counter:
            return page("screen.html", each, picture["place"], picture=picture, counter=each)
    raise NotFound("There is no such counter here.")


@pages.post("/<place>/code")
def enter_code(place: str) -> Answer:
    limit("code", 20, CODE_S)
    limit("code of", 200, CODE_S, place)  # whoever has many addresses
    digits = re.sub(r"\D", "", body(CodeForm, "code")["code"])
    with service().database.read() as db:
        kind, token = use_code(db, now(), place, digits)
    if wants_json():
        return flask.jsonify({"links": {kind: link(kind, place=place, token=token)}})
    return flask.redirect(url_for(f"pages.{kind}", place=place, token=token), 303)


@pages.get("/<place>/door/<token>")
def door(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place)
        counter, mine = find_door(db, now(), row, "token", token)
        called = [
            each for each in called_in(db, row)[::-1] if each.door and each.queue_id == counter.queue_id
        ]
        waiting, version = waiting_in(db, [counter.queue_id], day_of(row, now())), version_of(db, row)
    content = counter_shown(counter, row) | shown(mine, row, "id name") | {"counter": named(counter)}
    content |= version | {"hold_minutes": counter.hold_minutes, "waiting": len(waiting)}
    content["called"] = [shown(each, row, "number name party called_at held_until") for each in called]
    url, its = link("door", place=place, token=token), {"place": place, "counter": counter.slug}
    links = {"door": url, "taps": f"{url}/taps", "recount": f"{url}/recount", "no_show": f"{url}/no-show"}
    links |= {"picture": link("customers", place=place), "live": link("live", place=place)}
    content["links"] = links | {"screen": link("screen", **its)}
    return page("door.html", content, row, door=content, tap_id=str(uuid4()))


@pages.get("/<place>/staff/<token>")
def staff(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, staff_token=token)
        known = servicer_of_browser(db, row, session.get("browser"))
        lines = queues_of(db, row) + [each for each in queues_of(db, row, CALLS) if not each.restricted]
    queues = [named(queue) for queue in lines]
    at_desks = [queue.slug for queue in lines if not queue.counter_id] or [queue.slug for queue in lines]
    if known and not wants_json() and "new" not in request.args and not g.get("error"):
        return flask.redirect(url_for("pages.desk", place=place, token=known.token))
    ticked = request.form.getlist("queues") if request.form else at_desks
    content = {"queues": queues, "links": {"staff": link("staff", place=place, token=token)}}
    return page("staff.html", content, row, queues=queues, values=request.form.to_dict() | {"queues": ticked})


@pages.post("/<place>/staff/<token>")
def sit_down(place: str, token: str) -> Answer:
    asked = body(ServicerForm, "name")
    servicer = write(start_serving, place, token, browser=None if request.is_json else browser(), **asked)
    with service().database.read() as db:
        content = servicer_content(db, find_place(db, place), servicer)
    return after(desk, None, 201, content, place=place, token=servicer.token)


def servicer_content(db: Connection, place: Row, servicer: Row) -> dict[str, Any]:
    """What the owner sees of a servicer."""
    content = shown(servicer, place, "id name desk all_queues on_duty")
    served = [*queues_served(db, servicer), *queues_served(db, servicer, CALLS)]
    content["queues"] = [queue.slug for queue in served]
    content["current"] = getattr(current_ticket(db, servicer), "number", None)
    return content | {"links": {"desk": link("desk", place=place.slug, token=servicer.token)}}


# What a servicer sees of a ticket; never the customer's links.
DESK_TICKET = (
    "number state queue queue_name name phone note party taken_at called_at started_at ended_at by_phone"
)


def desk_ticket(ticket: Row, place: Row) -> dict[str, Any]:
    """What a servicer sees of a ticket; the number to tap of a customer who is to be called."""
    content = shown(ticket, place, DESK_TICKET)
    if ticket.by_phone and ticket.phone:
        content |= {"phone": phone_shown(ticket.phone, place.country), "tel": f"tel:{ticket.phone}"}
    return content


@pages.get("/<place>/desk/<token>")
def desk(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row, servicer = find_desk(db, place, token)
        everywhere, served, lists = queues_of(db, row), queues_served(db, servicer), lists_of(db, servicer)
        line = waiting_in(db, [queue.id for queue in served], day_of(row, now()))
        current, recent = current_ticket(db, servicer), recent_at(db, servicer)
        content = shown(servicer, row, "name desk on_duty")
        content |= {"lists": lists_content(db, lists), "call": None}
        earliest(row, content["lists"])
        if current and current.contact_id:
            content["call"] = call_content(db, row, servicer, call_of(db, now(), servicer))
            current = None
    if not served and lists and request.method == "GET" and not wants_json():
        return flask.redirect(url_for("pages.calls", place=place, token=token))
    content |= {"queues": [queue.slug for queue in [*served, *lists]], "lines": []}
    for queue in served:
        waiting = sum(ticket.queue_id == queue.id for ticket in line)
        content["lines"].append(named(queue) | {"open": bool(queue.open), "waiting": waiting})
    content["current"] = current and desk_ticket(current, row)
    content["recent"] = [desk_ticket(ticket, row) for ticket in recent]
    in_line = "number queue queue_name name note party taken_at by_phone"
    content["line"] = [shown(each, row, in_line) for each in line]
    url = link("desk", place=place, token=token)
    links = {"desk": url, "next": f"{url}/next", "add": f"{url}/add"}
    content["links"] = links | {"calls": f"{url}/calls", "next_call": f"{url}/calls/next"}
    return page("desk.html", content, row, desk=content, all_queues=[named(queue) for queue in everywhere])


@pages.post("/<place>/desk/<token>/add")
def add(place: str, token: str) -> Answer:
    row, queue, ticket, new = write(by_desk, place, token, add_customer, **body(CustomerForm, "queue"))
    content = shown(ticket, row, "number state series name phone note party taken_at") | {"queue": queue.slug}
    say = f"Added {ticket.number}. Tell the customer this number."
    return after(desk, say, 201 if new else 200, content, place=place, token=token)


@pages.get("/<place>/manage/<token>")
def manage(place: str, token: str) -> Answer:
    at = now()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        content = shown(row, row, "slug name timezone country day_starts wait_goal_minutes")
        content["counters"] = [counter_content(db, row, counter) for counter in counters_of(db, row, at)]
        code = staff_code(db, at, row)
        lines = [*queues_of(db, row), *queues_of(db, row, CALLS)]
        content["queues"] = [queue_content(db, row, queue) for queue in lines]
        content |= words_content(db, row)
        content["servicers"] = [servicer_content(db, row, servicer) for servicer in servicers_of(db, row)]
    url = owner_link(row)
    links = {name: link(name, place=place) for name in ("customers", "board", "live", "poster")}
    links |= {"staff": link("staff", place=place, token=row.staff_token), "manage": url}
    links |= {"stats": f"{url}/stats"}
    links |= {each: f"{url}/{each}" for each in ("contacts", "reasons", "outcomes", "services")}
    links |= {"queues": f"{url}/queues", "tickets_csv": f"{url}/tickets.csv", "export": f"{url}/export.json"}
    content["links"] = links
    content["staff_code"] = code and shown(code, row, "ends_at") | {"code": code.digits}
    fresh = not wants_json() and session.pop("fresh", None) == place
    content["backup"] = backup_content(ZoneInfo(row.timezone), owner=True)
    more = {"fresh": fresh, "timezones": zones(), "today": day_of(row, at)}
    return page("manage.html", content, row, owner=content, **more)


def counter_content(db: Connection, place: Row, counter: Row) -> dict[str, Any]:
    """What the owner sees of a counter."""
    mine = {"place": place.slug, "counter": counter.slug}
    doors = [door_content(db, place, each) for each in doors_of(db, now(), place, counter)]
    links = {"counter": link("counter", token=place.manage_token, **mine), "screen": link("screen", **mine)}
    links |= {"door": doors[0]["links"]["door"]} if doors else {}
    content = counter_shown(counter, place) | shown(counter, place, "empties hold_minutes")
    return content | {"doors": doors, "links": links}


def door_content(db: Connection, place: Row, door: Row) -> dict[str, Any]:
    """What the owner sees of a door."""
    links = {"door": link("door", place=place.slug, token=door.token)}
    return shown(door, place, "id name code code_ends_at") | {"links": links}


def queue_content(db: Connection, place: Row, queue: Row) -> dict[str, Any]:
    """What the owner sees of a queue."""
    if queue.kind == CALLS:
        return list_content(db, place, queue)
    at, mine = now(), {"place": place.slug, "queue": queue.slug}
    day = day_of(place, at)
    content = shown(queue, place, "slug name kind prefix open max_waiting asks shared_tablet usual_service_s")
    content["waiting"] = [ticket.number for ticket in waiting_in(db, [queue.id], day)]
    content["called"] = [ticket.number for ticket in called_in(db, place) if ticket.queue_id == queue.id]
    content["today"] = figures(db, queue, day_begins(place.timezone, day, place.day_starts), at + 1)
    content["hit_rate"] = hit_rate(db, queue, at - 7 * 86400)
    links = {"take": link("take", **mine), "queue": f"{owner_link(place)}/queues/{queue.slug}"}
    return content | {"links": links}


@pages.post("/<place>/manage/<token>/delete")
def delete_this_place(place: str, token: str) -> Answer:
    name = body(PlaceForm, "name")["name"]
    write(by_owner, place, token, delete_place, name)
    return after(home, f"{name} was deleted.")


@pages.post("/<place>/manage/<token>/links/<any(manage, staff):which>/replace")
def replace_this_link(place: str, token: str, which: str) -> Answer:
    fresh = write(by_owner, place, token, replace_link, which)
    token = fresh if which == "manage" else token
    return after(manage, NEW_LINK, place=place, token=token)


@pages.get("/<place>/manage/<token>/counters/<counter>")
def counter(place: str, token: str, counter: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        mine, today = find_counter(db, now(), row, counter), day_of(row, now())
        day = asked_day("day", today)
        content, curve = counter_content(db, row, mine), day_of_counter(db, now(), row, mine, day)
    url = content["links"]["counter"]
    links = {"csv": f"{url}/taps.csv", "earlier": f"{url}?day={next_day(day, -1)}"}
    curve["links"] = links | {"later": f"{url}?day={next_day(day)}" if day < today else None}
    return page("counter.html", content | {"day": curve}, row, counter=content, day=curve, today=today)


@pages.get("/<place>/manage/<token>/counters/<counter>/taps.csv")
def taps_csv(place: str, token: str, counter: str) -> Answer:
    columns, days = "happened_at kind door delta recounted number", asked_days()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        its, hour = find_counter(db, now(), row, counter), row.day_starts
    since, until = (day_begins(row.timezone, day, hour) for day in (days[0], next_day(days[1])))
    return table(row, columns, lambda db, at, seen: counts_between(db, its, at or since, until, seen, 1000))


@pages.get("/<place>/manage/<token>/stats")
def stats(place: str, token: str) -> Answer:
    row, content = asked_numbers(place, token)
    with service().database.read() as db:
        lines, counters = [named(queue) for queue in queues_of(db, row)], counters_of(db, row, now())
    mine, url = {"place": place, "token": token}, f"{owner_link(row)}/stats"
    content["counters"] = [
        named(each, counter=link("counter", counter=each.slug, **mine)) for each in counters
    ]
    content["links"] = {"stats": url, "csv": f"{url}.csv", "tickets_csv": link("tickets_csv", **mine)}
    more = {"ranges": ranges(row, content["from"], content["to"]), "today": day_of(row, now())}
    return page("stats.html", content, row, stats=content, lines=lines, **more)


def ranges(place: Row, first: str, last: str) -> dict[str, tuple[str, str]]:
    """Days that an owner may want to look at after these."""
    today, opened = day_of(place, now()), day_of(place, place.created_at)
    found = {
        name: (next_day(today, 1 - days), today)
        for name, days in (("Today", 1), ("Last 7 days", 7), ("Last 30 days", 30))
    }
    found["A year"] = next_day(today, -364), today
    length = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    if first > opened and length < 10_000:
        found["Earlier"] = next_day(first, -length), next_day(first, -1)
    if last < today and length < 10_000:
        found["Later"] = next_day(last), next_day(last, length)
    return found


def asked_numbers(place: str, token: str) -> tuple[Row, dict[str, Any]]:
    """The place, and its owner's numbers of the days and the queue that the query string names, or today."""
    database, slug = service().database, request.args.get("queue") or None
    with database.read() as db:
        row = find_place(db, place, manage_token=token)
        queue = find_queue(db, row, slug) if slug else None
    first, last = asked_days(day_of(row, now()))
    content = {"from": first, "to": last, "queue": slug} | owners_numbers(
        database, row, now(), first, last, queue
    )
    return row, content | {"said": None if queue else desks_in_words(content["desks"])}


@pages.get("/<place>/manage/<token>/stats.csv")
def stats_csv(place: str, token: str) -> Answer:
    _, content = asked_numbers(place, token)
    written = io.StringIO()
    csv.writer(written).writerows([("figure", "value"), *flat(content)])
    return download(iter([written.getvalue()]))


def flat(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All that JSON holds, as pairs of a name such as `queues.0.wait.median` and a value."""
    if not isinstance(content, dict | list):
        yield name, harmless(content)
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from flat(value, f"{name}.{key}" if name else str(key))


@pages.post("/<place>/manage/<token>/stats")
def set_goal(place: str, token: str) -> Answer:
    write(by_owner, place, token, change_place, **body(PlaceForm, "wait_goal_minutes"))
    if wants_json():
        return stats(place, token)
    flask.flash(SAVED, "good")
    days = {name: request.args[name] for name in ("from", "to", "queue") if name in request.args}
    return flask.redirect(url_for("pages.stats", place=place, token=token, **days), 303)


@pages.get("/<place>/manage/<token>/tickets.csv")
def tickets_csv(place: str, token: str) -> Answer:
    columns = "state number queue_name series taken_at first_called_at called_at started_at ended_at wait_s"
    columns, days = f"{columns} service_s total_s servicer desk party name phone note", asked_days()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
    return table(row, columns, lambda db, at, seen: tickets_between(db, row, *days, seen))


def asked_days(today: str | None = None) -> tuple[str, str]:
    """The days `from` and `to` of the query string, else all or only today; raises BadInput."""
    last = asked_day("to", today or "9998-12-31")
    first = asked_day("from", min(last, today) if today else "1970-01-01")
    if first > last:
        raise BadInput("'from' is after 'to': exchange the two days.")
    return first, last


def asked_day(name: str, default: str) -> str:
    """A day of the query string; raises BadInput."""
    try:
        day = date.fromisoformat(request.args.get(name) or default).isoformat()
    except ValueError:
        raise BadInput(f"'{name}' must be a day such as 2026-11-21.") from None
    return max("1970-01-01", min(day, "9998-12-31"))


def table(place: Row, columns: str, batch: Callable[..., list[Row]]) -> Answer:
    """Rows as a CSV file; `batch(db, at, id)` has the next ones, so that a slow reader holds nothing up."""
    database = service().database

    def lines() -> Iterator[str]:
        yield ",".join(columns.split()) + "\r\n"
        at, seen, rows = None, 0, [None]
        while rows:
            with database.read() as db:
                rows = batch(db, at, seen)
            written = io.StringIO()
            for row in rows:
                cells = shown(row, place, columns)
                cells |= {"state": state_of(row, place, now())} if "state" in cells else {}
                csv.writer(written).writerow([harmless(cell) for cell in cells.values()])
                at, seen = getattr(row, "happened_at", None), row.id
            yield written.getvalue()

    return download(lines())


def download(lines: Iterator[str], mimetype: str = "text/csv") -> Answer:
    """What a browser keeps as a file."""
    return flask.Response(lines, mimetype=mimetype, headers={"Content-Disposition": "attachment"})


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: an apostrophe before it, for readers to take off."""
    return f"'{cell}" if isinstance(cell, str) and re.match(r"'*[=+\-@\t\r]", cell) else cell


@pages.get("/<place>/manage/<token>/export.json")
def export(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
    return download(json_lines(everything(service().database, row)), "application/json")


def json_lines(rows: Iterator[tuple[str, dict]]) -> Iterator[str]:
    """Rows of tables as one JSON object of lists."""
    before = None
    for table, content in rows:
        yield ",\n" if table == before else f'{"{" if before is None else "],"}\n"{table}": [\n'
        yield json.dumps(content)
        before = table
    yield "]}\n"


# ----- contacts

CONTACTS = "manage/<token>/contacts"
CONTACT = f"{CONTACTS}/<int(max=2147483647):contact_id>"
IMPORT = f"{CONTACTS}/import/<int(max=2147483647):file_id>"


@pages.get(f"/<place>/{CONTACTS}")
def contacts(place: str, token: str) -> Answer:
    filters, number = asked_filters(), check(PageForm, query(PageForm), typed=False).get("page", 1)
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        found, total, number, of = contacts_page(db, row, filters, number)
        content = {"contacts": contacts_content(db, row, found), "total": total, "page": number, "pages": of}
        content |= {"filters": filters, "tags": all_tags(db, row)} | choices(db, row)
    url = f"{owner_link(row)}/contacts"
    links = {"contacts": url, "csv": f"{url}.csv", "actions": f"{url}/actions", "import": f"{url}/import"}
    content["links"] = links | {"manage": owner_link(row)}
    more = {name: content[name] for name in ("lists", "reasons", "outcomes")} | {"timezones": zones()}
    return page("contacts.html", content, row, contacts=content, **more)


def query(form: type[Form]) -> dict[str, list[str]]:
    """What the query string says of a form's fields."""
    return {name: request.args.getlist(name) for name in fields_of(form) if request.args.get(name)}


def asked_filters() -> dict[str, Any]:
    """Which contacts are to be shown: the query string says so, or what a form for many of them brought."""
    given = query(FilterForm)
    if request.endpoint == "pages.act_on_contacts" and not request.is_json:
        names = [name for name in fields_of(FilterForm) if request.form.get(name)]
        given |= {name: request.form.getlist(name) for name in names}
    return {name: value for name, value in check(FilterForm, given, typed=False).items() if value}


def choices(db: Connection, place: Row) -> dict[str, list[dict[str, Any]]]:
    """What can be chosen where contacts are put on lists or looked for."""
    found = {"lists": [named(each) for each in queues_of(db, place, "calls")]}
    for name in ("reason", "outcome"):
        found[f"{name}s"] = [{"id": each.id, "name": each.name} for each in words_of(db, place, name)]
    return found


def contacts_content(db: Connection, place: Row, found: list[Row]) -> list[dict[str, Any]]:
    """What the owner sees of contacts."""
    calls, shown_as = calls_of(db, [each.id for each in found]), []
    for each in found:
        content = shown(each, place, "id name")
        content |= {"phone": phone_shown(each.phone, place.country), "tel": f"tel:{each.phone}"}
        content |= shown(each, place, "email address notes") | {"tags": tags_of(each)}
        content |= shown(each, place, "reference timezone do_not_call last_called_at last_outcome")
        mine = [call for call in calls if call.contact_id == each.id]
        content["lists"] = [shown(call, place, "slug name state due_at") for call in mine]
        content["links"] = {"contact": f"{owner_link(place)}/contacts/{each.id}"}
        shown_as.append(content)
    return shown_as


@pages.post(f"/<place>/{CONTACTS}")
def add_contact(place: str, token: str) -> Answer:
    if not request.is_json:
        stored, refused = add_contacts(service().database, place, token, [contact_typed()])
        if refused:
            raise BadInput(refused[0].why)
        return after(
            contacts, ADDED if stored.add_rows else "Changed, since it was here.", place=place, token=token
        )
    rows = json_object().get("contacts")
    if not isinstance(rows, list):
        raise BadInput("Contacts: this must be a list of contacts, such as [].")
    if len(rows) > MOST_ROWS:
        raise Refused(f"At most {MOST_ROWS:,} contacts at once, please: send the others after them.", 413)
    stored, refused = add_contacts(service().database, place, token, map(contact_given, rows))
    content = {"added": stored.add_rows, "changed": stored.change_rows}
    content["refused"] = [shown(each, None, "row why") for each in refused]
    return flask.jsonify(content)


def contact_given(content: Any) -> Given:
    """What a JSON object says of a contact, or why it says nothing."""
    if isinstance(content, dict) and isinstance(content.get("tags"), str):
        content = content | {"tags": [content["tags"]]}
    try:
        given = json_fields(fields_of(ContactForm), content)
    except BadInput as problem:
        return problem
    said = {
        name: (values if name == "tags" else values[0]) if values else None for name, values in given.items()
    }
    return said | ({"do_not_call": said["do_not_call"] == "true"} if said.get("do_not_call") else {})


def contact_typed() -> dict[str, Any]:
    """What a form, or a JSON object, says of one contact; raises BadInput."""
    if request.is_json:
        given = contact_given(json_object())
        if isinstance(given, Refused):
            raise given
        return given
    given = {name: request.form[name] for name in FIELDS if name in request.form}
    ticked = request.form.get("do_not_call", "") not in NOT_TICKED
    return given | ({"do_not_call": ticked} if ticked or "_boxes" in request.form else {})


@pages.get(f"/<place>/{CONTACT}")
def contact(place: str, token: str, contact_id: int) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        its = find_contact(db, row, contact_id)
        content = contacts_content(db, row, [its])[0]
        reports, more = reports_of(db, its), choices(db, row)
    said, zone = (
        "servicer list outcome effect notes incoming closed call_back_at referred_to seconds",
        row.timezone,
    )
    content["reports"] = [
        {"at": iso(each.created_at, ZoneInfo(zone))} | shown(each, row, said) for each in reports
    ]
    url = content["links"]["contact"]
    content["links"] |= {"forget": f"{url}/forget", "contacts": f"{owner_link(row)}/contacts"}
    return page("contact.html", content, row, contact=content, timezones=zones(), **more)


@pages.post(f"/<place>/{CONTACT}")
def change_this_contact(place: str, token: str, contact_id: int) -> Answer:
    write(by_owner, place, token, change_contact, contact_id, **contact_typed())
    return after(contact, SAVED, place=place, token=token, contact_id=contact_id)


@pages.post(f"/<place>/{CONTACT}/forget")
def forget_this_contact(place: str, token: str, contact_id: int) -> Answer:
    write(by_owner, place, token, forget_contact, contact_id)
    said = "Forgotten: nothing is known of this person any more."
    return after(contacts, said, place=place, token=token)


@pages.get(f"/<place>/{CONTACTS}.csv")
def contacts_csv(place: str, token: str) -> Answer:
    columns = "name phone email address notes tags reference timezone do_not_call last_called_at last_outcome"
    filters = asked_filters()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        matching_ids(db, row, {"in_list": filters.get("in_list")}, 0)  # better a sentence than half a file

    def batch(db: Connection, at: float | None, seen: int) -> list[Any]:
        found, rows = contacts_after(db, row, filters, seen, 500), []
        lists: dict[int, list[str]] = {}
        for call in calls_of(db, [each.id for each in found]):
            lists.setdefault(call.contact_id, []).append(call.name)
        for each in found:
            cells = each._asdict() | {"phone": phone_shown(each.phone, row.country)}
            cells |= {"tags": ", ".join(tags_of(each)), "lists": ", ".join(lists.get(each.id, ()))}
            rows.append(SimpleNamespace(**cells))
        return rows

    return table(row, f"{columns} lists", batch)


# What is said of many contacts after an action.
ACTED = {
    "add_to_list": "Added {many} to {list}",
    "take_off": "Took {many} off {list}",
    "raise": "Raised {many} on {list}",
    "lower": "Lowered {many} on {list}",
    "do_not_call": "Set “do not call” for {many}",
    "may_call": "Took “do not call” off {many}",
    "tag": "Tagged {many} with {tag}",
    "untag": "Took {tag} off {many}",
    "forget": "Forgot {many}",
}


@pages.post(f"/<place>/{CONTACTS}/actions")
def act_on_contacts(place: str, token: str) -> Answer:
    asked = body(ActionForm, "action")
    if not request.is_json and "tag_named" in request.form:  # `tag` is what they are filtered by
        asked["tag"] = tidy(request.form["tag_named"])
    action = asked.pop("action")
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        name = find_list(db, row, asked.get("list")).name if "{list}" in ACTED[action] else None
        if "{tag}" in ACTED[action] and not asked.get("tag"):
            raise BadInput("Tag: please name one.")
        ids = chosen(db, row)
    many, skipped = act(service().database, place, token, action, ids, **asked)
    said = ACTED[action].format(many=f"{many:,}", list=name, tag=asked.get("tag"))
    if skipped:
        why = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items())
        said += f", {skipped.total():,} skipped: {why}"
    content = {"added" if action == "add_to_list" else "changed": many, "skipped": dict(skipped)}
    again = {} if request.is_json else asked_filters()
    again = {name: 1 if value is True else value for name, value in again.items()}
    return after(contacts, f"{said}.", 200, content, place=place, token=token, **again)


def chosen(db: Connection, place: Row) -> list[int]:
    """The contacts that an action is for: `ids`, or all that `match` (in a form: `all`, and the filters)."""
    if not request.is_json:
        if request.form.get("all"):
            return matching_ids(db, place, asked_filters())
        ids: Any = [int(each) for each in request.form.getlist("ids") if re.fullmatch("[0-9]{1,9}", each)]
    else:
        content = json_object()
        ids, match = content.get("ids"), content.get("match")
        if (ids is None) == (match is None):
            raise BadInput('Contacts: give either "ids", or "match": "all" or filters.')
        if isinstance(match, dict) and match.keys() - fields_of(FilterForm).keys():
            # Left out, a filter that was misspelled would choose everybody.
            raise BadInput(f"Match: the filters are {', '.join(fields_of(FilterForm))}.")
        if match is not None:
            return matching_ids(db, place, {} if match == "all" else check(FilterForm, match))
    if not isinstance(ids, list) or {*map(type, ids)} - {int} or any(abs(each) > 2**31 for each in ids):
        raise BadInput("Ids: this must be a list of whole numbers.")
    if not ids:
        raise BadInput("Choose at least one contact.")
    return list(dict.fromkeys(ids))


@pages.post(f"/<place>/{CONTACTS}/import")
def upload_contacts(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
    sheet = open_sheet(uploaded())
    file = write(by_owner, place, token, begin_import, sheet.rows, sheet)
    read_file(service().database, row, file, sheet)
    return after(upload, None, 201, place=place, token=token, file_id=file.id)


def uploaded() -> bytes | str:
    """The file of contacts, or what was pasted; raises BadInput without any."""
    if request.is_json:
        text = check(TextForm, json_object(), "text")["text"]
    else:
        file = request.files.get("file")
        text = file.read() if file and file.filename else request.form.get("text")
    if not text:
        raise BadInput("File: please choose one, or paste the rows.")
    return text


@pages.get(f"/<place>/{IMPORT}")
def upload(place: str, token: str, file_id: int) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        file = find_import(db, row, file_id)
        first, refused = first_rows(db, file), refused_rows(db, file, 200)
    content = shown(file, row, "id state rows read why")
    content |= {"add": file.add_rows, "change": file.change_rows, "refuse": file.refuse_rows}
    content["columns"] = json.loads(file.columns or "{}")
    content["preview"] = []
    for each in first:
        phone = each.phone and phone_shown(each.phone, row.country)
        content["preview"].append(
            shown(each, row, "row what name")
            | {"phone": phone}
            | shown(each, row, "email address notes reference timezone why")
            | {"tags": tags_of(each)}
        )
    content["refused"] = [shown(each, row, "row why") for each in refused]
    url = f"{owner_link(row)}/contacts"
    its = f"{url}/import/{file.id}"
    content["links"] = {"import": its, "store": f"{its}/store", "discard": f"{its}/discard", "contacts": url}
    return page("import.html", content, row, upload=content)


@pages.post(f"/<place>/{IMPORT}/store")
def store_upload(place: str, token: str, file_id: int) -> Answer:
    file = write(by_owner, place, token, store_import, file_id)
    erase_stored(service().database, file)
    said = f"Added {file.add_rows:,}, changed {file.change_rows:,}, left out {file.refuse_rows:,}."
    return after(upload, said, place=place, token=token, file_id=file_id)


@pages.post(f"/<place>/{IMPORT}/discard")
def discard_upload(place: str, token: str, file_id: int) -> Answer:
    write(by_owner, place, token, discard_import, file_id)
    return after(contacts, "Discarded: nothing of it was stored.", place=place, token=token)


# ----- call lists

LIST = "manage/<token>/queues/<queue>"
LIST_SETTINGS = "slug name kind prefix open max_waiting claim_minutes retry_minutes most_tries public_form"
LIST_SETTINGS += " staff_email"


def list_content(db: Connection, place: Row, queue: Row) -> dict[str, Any]:
    """What the owner sees of a call list."""
    url = f"{owner_link(place)}/queues/{queue.slug}"
    links = {"queue": url, "list": url}
    links |= {"request": link("take", place=place.slug, queue=queue.slug)} if queue.public_form else {}
    content = shown(queue, place, LIST_SETTINGS) | {"callers": callers_of(db, queue)}
    return content | {"waiting": queue.waiting, "links": links}


def words_content(db: Connection, place: Row) -> dict[str, Any]:
    """The owner's own words for calls, how many contacts there are, and whether mail is sent."""
    content: dict[str, Any] = {
        f"{name}s": [word_content(db, place, word) for word in words_of(db, place, name)]
        for name in ("reason", "outcome", "service")
    }
    return content | {"contacts": count_contacts(db, place), "mail": service().settings.mails}


def word_content(db: Connection, place: Row, word: Row) -> dict[str, Any]:
    """A reason, an outcome or a service."""
    return {name: value for name, value in word._mapping.items() if name != "place_id"}


@pages.get("/<place>/manage/<token>/<any(reasons, outcomes, services):which>")
def own_words(place: str, token: str, which: str) -> Answer:
    with service().database.read() as db:
        content = words_content(db, find_place(db, place, manage_token=token))
    if wants_json():
        return flask.jsonify({which: content[which]})
    return flask.redirect(url_for("pages.manage", place=place, token=token))


def call_content(
    db: Connection, place: Row, servicer: Row, ticket: Row | None, mine: bool = True
) -> dict[str, Any] | None:
    """What a caller sees of a call: whom, the number, why, what was said; its claim only if it is `mine`."""
    if ticket is None:
        return None
    queue, contact = about_call(db, ticket)
    zone = contact.timezone or place.timezone
    content = {"id": ticket.id, "claim": ticket.claim if mine else None, "number": ticket.number}
    content |= {"name": contact.name, "phone": phone_shown(contact.phone, place.country)}
    content |= {"tel": f"tel:{contact.phone}"} | shown(contact, place, "email address notes reference")
    content |= {"tags": tags_of(contact), "note": ticket.note, "list": queue.slug, "list_name": queue.name}
    content["reason"] = ": ".join(filter(None, (ticket.reason, ticket.note))) or None
    content |= {"priority": ticket.priority, "tries": ticket.tries, "zone": zone}
    times = {"claimed_at": ticket.called_at, "claimed_until": ticket.claimed_until}
    content |= {name: iso(at, ZoneInfo(place.timezone)) if mine else None for name, at in times.items()}
    said, closed = reports_of(db, contact, 10), closed_to(db, servicer)
    content["reports"] = [shown(each, place, "servicer outcome notes list") for each in said]
    for each, row in zip(content["reports"], said, strict=True):
        each["at"] = iso(row.created_at, ZoneInfo(place.timezone))
        each["notes"] = None if row.queue_id in closed else row.notes
    return content


def lists_content(db: Connection, lists: list[Row]) -> list[dict[str, Any]]:
    """The lists that a caller works on, and how many calls of each are due."""
    content = []
    for queue in lists:
        waits = waits_on(db, now(), queue)
        content.append(named(queue) | {"waiting": queue.waiting} | waits)
    return content


def report_content(place: Row, report: Row) -> dict[str, Any]:
    """A report as its caller sees it."""
    content = shown(report, place, "id claim outcome effect notes call_back_at referred_to closed incoming")
    return content | {"at": iso(report.created_at, ZoneInfo(place.timezone))}


def reported_content(db: Connection, place: Row, report: Row) -> dict[str, Any]:
    """What JSON says when a call was reported: the report, and what the caller has to do now."""
    servicer = find_servicer(db, place, report.servicer_id)
    said = {"report": report_content(place, report), "closed": bool(report.closed)}
    return calls_content(db, place, servicer) | said


def calls_content(db: Connection, place: Row, servicer: Row) -> dict[str, Any]:
    """What a caller sees: her lists, her call, her last reports."""
    lists, at = lists_of(db, servicer), now()
    content = shown(servicer, place, "name desk on_duty") | {"lists": lists_content(db, lists)}
    content["call"] = call_content(db, place, servicer, call_of(db, at, servicer))
    content["next_at"] = earliest(place, content["lists"])
    content["outcomes"] = [
        {"name": each.name, "effect": each.effect} for each in words_of(db, place, "outcome")
    ]
    content["services"] = [
        {"name": each.name, "phone": each.phone, "link": each.link} for each in words_of(db, place, "service")
    ]
    content["all_lists"] = [named(each) for each in queues_of(db, place, CALLS)]
    content["stats"] = stats_of(db, at, place, servicer)
    content["recent"] = [
        report_content(place, each) | {"name": each.name, "list": each.list}
        for each in recent_reports(db, servicer)
    ]
    content["walk_in"] = bool(queues_served(db, servicer))
    url = link("desk", place=place.slug, token=servicer.token)
    links = {"desk": url, "calls": f"{url}/calls"}
    for name in ("next", "more_time", "give_back", "report", "incoming"):
        links[name] = f"{url}/calls/{name.replace('_', '-')}"
    return content | {"links": links}


def earliest(place: Row, lists: list[dict[str, Any]]) -> str | None:
    """When the next of these lists' calls comes due, if any is not due yet; takes that out of them."""
    times = [each.pop("next_at") for each in lists]
    return iso(min((each for each in times if each), default=None), ZoneInfo(place.timezone))


@pages.get("/<place>/desk/<token>/calls")
def calls(place: str, token: str) -> Answer:
    with service().database.read() as db:
        row, servicer = find_desk(db, place, token)
        content = calls_content(db, row, servicer)
    return page("calls.html", content, row, calls=content)


@pages.get(f"/<place>/{LIST}")
def call_list(place: str, token: str, queue: str) -> Answer:
    with service().database.read_long() as db:
        row, at = find_place(db, place, manage_token=token), now()
        mine = find_queue(db, row, queue, None)
        if mine.kind != CALLS:
            return after_queue(place, token)
        today = day_of(row, at)
        days = asked_days(today) if {"from", "to"} & {*request.args} else (next_day(today, -6), today)
        waits = waits_on(db, at, mine)
        content = list_content(db, row, mine)
        content |= {"waiting": waits["due"], "not_due": waits["not_due"]}
        content["next_due_at"] = iso(waits["next_at"], ZoneInfo(row.timezone))
        content["being_called"] = [claim_content(row, each) for each in being_called(db, at, mine)]
        begins = day_begins(row.timezone, today, row.day_starts)
        content["done_today"] = done_since(db, mine, begins)
        content["upcoming"] = [
            shown(each, row, "id reason priority tries")
            | {"contact": {"id": each.contact_id, "name": each.contact_name}}
            | {"due_at": iso(each.joined_at, ZoneInfo(row.timezone))}
            for each in upcoming(db, mine)
        ]
        content |= list_figures(db, at, row, mine, *days)
    for each in content["callers"]:
        each["average_s"] = None if each["average_s"] is None else round(each["average_s"], 1)
    url = content["links"]["list"]
    more = {"reports_csv": f"{url}/reports.csv", "clear_claim": f"{url}/clear-claim"}
    content["links"] |= more | {"contacts": f"{owner_link(row)}/contacts"}
    return page("list.html", content, row, list=content)


def after_queue(place: str, token: str) -> Answer:
    """The page of a walk-in queue is the owner's page."""
    if wants_json():
        raise NotFound("Only call lists have a page of their own. Look at the owner's page.")
    return flask.redirect(url_for("pages.manage", place=place, token=token))


def claim_content(place: Row, ticket: Row) -> dict[str, Any]:
    """Who is called by whom, as the owner sees it."""
    times = {"since": ticket.called_at, "claimed_until": ticket.claimed_until}
    content = {"id": ticket.id, "contact": {"id": ticket.contact_id, "name": ticket.contact_name}}
    content["servicer"] = ticket.caller
    return content | {name: iso(at, ZoneInfo(place.timezone)) for name, at in times.items()}


@pages.get(f"/<place>/{LIST}/reports.csv")
def reports_csv(place: str, token: str, queue: str) -> Answer:
    columns = "created_at servicer name phone reference number reason tries outcome effect notes call_back_at"
    columns, days = f"{columns} referred_to closed incoming seconds", asked_days()
    with service().database.read() as db:
        row = find_place(db, place, manage_token=token)
        mine = find_queue(db, row, queue, CALLS)
    since, until = (day_begins(row.timezone, day, row.day_starts) for day in (days[0], next_day(days[1])))

    def batch(db: Connection, at: float | None, seen: int) -> list[Any]:
        found = reports_between(db, mine, since if at is None else at, until, seen)
        national = [{"phone": phone_shown(each.phone, row.country)} for each in found]
        return [
            SimpleNamespace(**each._asdict() | phone) for each, phone in zip(found, national, strict=True)
        ]

    return table(row, columns, batch)


# ----- requests of the public


@pages.get("/<place>/<queue>/tickets")
def request_form(place: str, queue: str) -> Answer:
    with service().database.read() as db:
        row = find_place(db, place)
        mine = find_queue(db, row, queue, None)
    if mine.kind != CALLS or not mine.public_form:
        raise NotFound("There is no form at this address. Look at the page of the place.")
    url = link("take", place=place, queue=queue)
    content = named(mine) | {"open": bool(mine.open), "links": {"request": url}}
    more = {"queue": content, "values": request.form, "request_id": secrets.token_hex(8)}
    more["mail"] = service().settings.mails  # or an address would be asked for that nobody writes to
    return page("request.html", content, row, **more)


def customers_or_form(place: str, queue: str) -> Answer:
    """The page that shows what went wrong when somebody took a number, or left one."""
    with service().database.read() as db:
        is_list = find_queue(db, find_place(db, place), queue, None).kind == CALLS
    return request_form(place, queue) if is_list else customers(place)


def leave_number(place: str, queue: str) -> Answer:
    """Somebody asks to be called; see take()."""
    asked = body(RequestForm, "phone") | ({} if request.is_json else {"browser": browser()})
    base = base_url() if service().settings.mails else None  # the writer's thread knows of no request
    told = None if base is None else lambda token: f"{base}/{place}/t/{token}"
    row, line, mine, new = write(request_call, place, queue, told=told, **asked)
    content = ticket_content(row, line, mine, 0, None) if wants_json() else None
    return after(ticket, None, 201 if new else 200, content, place=place, token=mine.token)


# ----- caller apps


def caller_of_app() -> tuple[str, str]:
    """The place's slug and the desk's token of the request; raises 401."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Refused("Send the token of your desk's link: Authorization: Bearer <token>.", 401)
    with service().database.read() as db:
        return slug_of_desk(db, token.strip()), token.strip()


@pages.post("/api/requestCall")
def request_a_call() -> Answer:
    slug, token = caller_of_app()
    wanted = check(ListForm, query(ListForm), typed=False).get("list")
    claims = request.args.get("no_claim", "0") in ("0", "false")
    call = write(by_desk, slug, token, claim_next, list=wanted) if claims else None
    with service().database.read() as db:
        row, servicer = find_desk(db, slug, token)
        mine = call or call_of(db, now(), servicer)
        if mine is None and not claims:
            call = peek_call(db, now(), asked_lists(db, servicer, wanted))
        content = call_content(db, row, servicer, mine or call, mine is not None)
        if content:
            return flask.jsonify({"call": content})
        due = earliest(row, lists_content(db, asked_lists(db, servicer, wanted)))
    answer = flask.jsonify({"error": "Nobody is to be called now.", "next_at": due})
    answer.status_code = 404
    return answer


@pages.post("/api/submitReport")
def submit_report() -> Answer:
    slug, token = caller_of_app()
    report = write(by_desk, slug, token, report_call, **read_report())
    with service().database.read() as db:
        content = report_content(find_place(db, slug), report)
    return flask.jsonify({"report": content, "closed": bool(report.closed)})


@pages.get("/api/callerStats")
def caller_stats() -> Answer:
    slug, token = caller_of_app()
    with service().database.read() as db:
        row, servicer = find_desk(db, slug, token)
        stats = stats_of(db, now(), row, servicer)
    return flask.jsonify({name: stats[name] for name in ("total", "today")})


# ----- what can be pressed

MOST_TAPS = 500  # in one request


# Whose buttons they are, by the first part of their URL: who runs the write, and the page that comes after it
# or, with what went wrong, again.
HOLDERS = {"t": (by_customer, ticket), "desk": (by_desk, desk), "door": (by_door, door)}
HOLDERS["manage"] = (by_owner, manage)
HOLDERS["desk/<token>/calls"] = (by_desk, calls)
HOLDERS[f"{LIST}/clear-claim"] = (by_owner, call_list)
AGAIN = {part: view for part, (_, view) in HOLDERS.items()} | {"<queue>": customers, "staff": staff}
AGAIN |= {
    "code": customers,
    CONTACTS: contacts,
    CONTACT: contact,
    f"{CONTACTS}/import": contacts,
    IMPORT: upload,
    "<queue>/tickets": customers_or_form,
}


def button(path: str, reads: Callable, does: Callable, say: Any = None, shows: Any = None, **always: Any):
    """Adds what can be pressed on a page: what is read of the request, and the write that does it.

    `say` tells what was done, or makes that of the result. JSON is what `shows(db, place, result)` makes,
    else the page's own; the status is 201 for what was added.
    """
    by, view = HOLDERS[max((each for each in HOLDERS if f"{path}/".startswith(f"{each}/")), key=len)]

    def pressed(place: str, token: str, **which: Any) -> Answer:
        result, content = write(by, place, token, does, **which, **reads(), **always), None
        if shows and wants_json():
            with service().database.read() as db:
                content = shows(db, find_place(db, place), result)
        said = say(result) if callable(say) else say
        shown_with = {"place": place, "token": token} | which
        shown_with = {name: shown_with[name] for name in inspect.signature(view).parameters}
        return after(view, said, 201 if say == ADDED else 200, content, **shown_with)

    pages.add_url_rule(f"/<place>/{path}", path, pressed, methods=["POST"])


NEW_LINK = "The old link is dead. Here is the new one."


def say_code(code: Row) -> str:
    """What is said of a door, or of the staff link, that has a new code."""
    return f"The code is {code.code}: read it out. It is valid for ten minutes."


def say_cancelled(cancelled: list[str]) -> str:
    """What is said when the owner cancelled many."""
    return f"Cancelled: {', '.join(cancelled)}." if cancelled else "None of these is in the line any more."


def cancelled_content(db: Connection, place: Row, cancelled: list[str]) -> dict[str, Any]:
    """What JSON says then."""
    return {"cancelled": cancelled}


def tapped() -> dict[str, Any]:
    """The taps that a door sends: a list in JSON, one in a form."""
    if not request.is_json:
        return {"taps": [body(TapForm, "id", "delta")]}
    taps = json_object().get("taps")
    if not isinstance(taps, list):
        raise BadInput("Taps: this must be a list of taps, such as [].")
    if len(taps) > MOST_TAPS:
        raise Refused(f"At most {MOST_TAPS} taps at once, please: send the others after them.", 413)
    return {"taps": [check(TapForm, tap, "id", "delta") for tap in taps]}


def a_queue() -> dict[str, Any]:
    """What the request says of a new queue; the settings limit its line, unless the owner does."""
    return {"max_waiting": service().settings.max_waiting} | a_changed_queue("name")


def a_changed_queue(*required: str) -> dict[str, Any]:
    """What the request says of a queue. Who may work on a list is a list of ids, or null for all; in a form
    the ids that are ticked, if "only those" is."""
    asked = body(QueueForm, *required)
    only = asked.pop("restricted", None)
    if not request.is_json:
        ids = [int(each) for each in request.form.getlist("callers") if re.fullmatch("[0-9]{1,9}", each)]
        return asked | ({"callers": ids if only else None} if only is not None else {})
    content = json_object()
    if "callers" in content:
        asked["callers"] = content["callers"]
        if not (asked["callers"] is None or is_ids(asked["callers"])):
            raise BadInput("Callers: this must be a list of servicers' ids, or null.")
    return asked


def is_ids(items: Any) -> bool:
    """Whether this is a list of whole numbers that can be ids."""
    return type(items) is list and all(type(each) is int and 0 < each < 2**31 for each in items)


def say_of(walk_in: str, calls: str) -> Callable[[Row], str]:
    """What is said of a walk-in queue, and of a call list."""
    return lambda queue: calls if queue.kind == CALLS else walk_in


def say_called(call: Row | None) -> str | None:
    """What is said when there was no next call."""
    return None if call else "Nobody is to be called now."


def said_of_call(form: type[Form], *required: str) -> Callable[[], dict[str, Any]]:
    """Reads a report; in a form the time to call back may be two fields, a date and a time."""

    def read() -> dict[str, Any]:
        said = body(form, *required)
        day, hour = said.pop("call_back_date", None), said.pop("call_back_time", None)
        if (day or hour) and "call_back_at" not in said:
            said["call_back_at"] = f"{day or ''}T{hour or ''}"
        return said

    return read


def say_reported(report: Row) -> str:
    """What is said of a report that was stored."""
    if report.incoming:
        return "The call was noted." if not report.closed else "The call was noted, and theirs is done."
    return "Reported." if report.closed else "It came too late to end the call, and was kept as a note."


given = partial(partial, body)  # what is read of the request
nothing, number = dict, given(NumberForm, "number")
OWNER, ADDED, SAVED = "manage/<token>", "Added.", "Saved."
QUEUE, COUNTER = f"{OWNER}/queues/<queue>", f"{OWNER}/counters/<counter>"
SERVICER = f"{OWNER}/servicers/<int(max=2147483647):servicer_id>"
DOOR = f"{OWNER}/doors/<int(max=2147483647):door_id>"

button("t/<token>/cancel", nothing, cancel_ticket)
button("door/<token>/taps", tapped, store_taps)
button("door/<token>/recount", given(RecountForm, "count"), recount)
button("door/<token>/no-show", number, not_here)
called_next = given(NextForm, "finished")
button("desk/<token>/next", called_next, call_next, lambda called: None if called else "Nobody is waiting.")
for kind in ("start", "done", "no-show", "call-again", "put-back"):
    button(f"desk/<token>/{kind}", number, press, kind=kind)
button("desk/<token>/bring-back", number, bring_back)
button("desk/<token>/move", given(MoveForm, "number", "queue"), move_ticket)
button("desk/<token>/pause", nothing, set_duty, on_duty=False)
button("desk/<token>/resume", nothing, set_duty, on_duty=True)
button("t/<token>/call-me", given(PhoneForm, "phone"), call_instead)
button("t/<token>/wait-here", nothing, wait_here)
DESK_CALLS, claim = "desk/<token>/calls", given(ClaimForm, "claim")
button(f"{DESK_CALLS}/next", given(ListForm), claim_next, say_called)
button(f"{DESK_CALLS}/more-time", claim, more_time)
button(f"{DESK_CALLS}/give-back", claim, give_back, "Others can have this call now.")
button(f"{DESK_CALLS}/resume", nothing, set_duty, on_duty=True)
read_report = said_of_call(ReportForm, "claim", "outcome")
read_incoming = said_of_call(IncomingForm, "phone", "outcome")
button(f"{DESK_CALLS}/report", read_report, report_call, say_reported, reported_content)
button(f"{DESK_CALLS}/incoming", read_incoming, log_incoming, say_reported, reported_content)

button(OWNER, given(PlaceForm), change_place, SAVED)
button(f"{OWNER}/links/staff/code", nothing, give_code, say_code)
button(SERVICER, given(ServicerForm), change_servicer, SAVED)
button(f"{SERVICER}/remove", nothing, remove_servicer, "The link was taken away.")
button(f"{OWNER}/queues", a_queue, add_queue, ADDED, queue_content)
button(QUEUE, a_changed_queue, about_queue, SAVED, queue_content, then=change_queue)
OPENED = say_of("Customers can take numbers again.", "Its calls are given out again.")
CLOSED = say_of("Nobody can join now; those in line are still served.", "No call of it is given out now.")
button(f"{QUEUE}/open", nothing, about_queue, OPENED, queue_content, then=change_queue, open=1)
button(f"{QUEUE}/close", nothing, about_queue, CLOSED, queue_content, then=change_queue, open=0)
button(f"{QUEUE}/reset", nothing, about_queue, "Numbers begin at 1 again.", queue_content, then=reset_numbers)
button(f"{QUEUE}/delete", nothing, about_queue, "The queue was deleted.", queue_content, then=delete_queue)
numbers = given(NumbersForm, "numbers")
button(f"{QUEUE}/cancel", numbers, about_queue, say_cancelled, cancelled_content, then=cancel_tickets)
counter_and_capacity = given(CounterForm, "name", "capacity")
button(f"{QUEUE}/clear-claim", given(IdForm, "id"), about_queue, "The call is free again.", then=clear_claim)
for word, fields in {"reason": (WordForm, "name"), "service": (ServiceForm, "name")}.items():
    button(f"{OWNER}/{word}s", given(*fields), add_word, ADDED, word_content, table=word)
outcome_and_effect = given(OutcomeForm, "name", "effect")
button(f"{OWNER}/outcomes", outcome_and_effect, add_word, ADDED, word_content, table="outcome")
for word in ("reason", "outcome", "service"):
    its = f"{OWNER}/{word}s/<int(max=2147483647):word_id>/remove"
    button(its, nothing, remove_word, "Removed.", table=word)
button(f"{OWNER}/counters", counter_and_capacity, add_counter, ADDED, counter_content)
button(COUNTER, given(CounterForm), about_counter, SAVED, counter_content, then=change_counter)
button(f"{COUNTER}/delete", nothing, about_counter, "The counter was deleted.", then=delete_counter)
button(f"{COUNTER}/doors", given(NameForm, "name"), about_counter, ADDED, door_content, then=add_door)
button(f"{DOOR}/replace", nothing, change_door, NEW_LINK, door_content, kind="replace")
button(f"{DOOR}/code", nothing, change_door, say_code, door_content, kind="code")
button(f"{DOOR}/remove", nothing, change_door, "The door was taken away.", door_content, kind="remove")


# ==========================================================================================================
# Command line
# ==========================================================================================================

WAITRESS = {
    "ident": None,
    "clear_untrusted_proxy_headers": False,  # ProxyFix decides which to believe
    "asyncore_use_poll": True,  # select() ends at 1,024 files
    "outbuf_high_watermark": 128 * 1024,  # a stalled phone must not hold megabytes
    "max_request_body_size": 17 * 1024 * 1024,
    "channel_request_lookahead": 1,  # or a stream whose page was closed would not be noticed
}
DATA = click.option("--data", type=Path, help="Directory of the database [TAKEANUMBER_DATA, or data].")
FROM = click.option("--from", "url", metavar="URL", help="Where the backups are [TAKEANUMBER_BACKUP_URL].")


class ServesByDefault(click.Group):
    """Commands, of which `serve` may be left out; what can't be done is one sentence and status 1."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in (*self.commands, "--help")
        return super().parse_args(context, args if named else ["serve", *args])

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (CannotStart, Refused) as problem:
            raise click.ClickException(str(problem)) from None


@click.group(cls=ServesByDefault)
def cli() -> None:
    """Take A Number: a queue for places where people wait. Without a command, it serves."""


@cli.command()
@click.option("--host", help="Address to listen at [HOST, or 0.0.0.0: all].")
@click.option("--port", type=int, help="Port to listen at [PORT, or 8000].")
@DATA
@click.option(
    "--threads", type=click.IntRange(8, 10000), default=256, help="256; all but 64 may be open pages."
)
def serve(threads: int, **options: Any) -> None:
    """Starts the server, and prints the address that phones nearby can reach."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each burst
    logging.getLogger("waitress").addFilter(without_tokens)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found its keys
    make_room_for(threads)
    app = create_app(threads, **options)
    parts: Service = app.extensions["takeanumber"]
    host, port = parts.settings.host, parts.settings.port
    try:
        room = {"threads": threads, "connection_limit": 2 * threads + 200}
        server = waitress.create_server(app, host=host, port=port, **room, **WAITRESS)
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        said = f"Can't listen at {host}, port {port}: {why}. Choose another --host or --port."
        raise CannotStart(said) from None
    if parts.keeper:
        parts.keeper.start()  # before anything is written, which may be another's turn by now
    stopped = start_clock(parts.database, parts.settings)

    def stop(*_: Any) -> None:
        parts.live.close()
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    tell_address(parts.settings, getattr(server, "effective_port", port))
    server.run()
    stopped.set()
    if parts.keeper:
        parts.keeper.stop()
    parts.database.close()


def without_tokens(line: logging.LogRecord) -> bool:
    """Takes links' tokens out of a line of the log."""
    line.msg, line.args = re.sub(r"/[\w-]{22}(?![\w-])", "/…", line.getMessage()), ()
    return True


def make_room_for(threads: int) -> None:
    """Lets this process have a thousand threads and as many connections, as far as the machine allows."""
    sys.setswitchinterval(0.02)  # many short threads: let each finish what it is at
    gc.freeze()  # what was imported stays; and looking for garbage all the time is dear
    gc.set_threshold(20_000, 20, 20)
    threading.stack_size(2**21)  # instead of eight megabytes for each
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(2 * threads + 1000, most if most > 0 else 2**20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, wanted), most))
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # so that a phone that left without a word is noticed in a minute
        options = waitress.adjustments.Adjustments.socket_options
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000))


def reachable(settings: Settings, port: int) -> str:
    """The URL at which phones on the same network reach this server; nothing is sent to find it out."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # an address for documentation: it only picks our own
                host = probe.getsockname()[0]
            except OSError:
                host = "127.0.0.1"
    return settings.url.rstrip("/") or f"http://{host}:{port}"


def tell_address(settings: Settings, port: int) -> None:
    """Prints where the server is to be found, with a QR code for phones."""
    import qrcode

    here, url = f"http://127.0.0.1:{port}", reachable(settings, port)
    click.echo(f"Take A Number is running; Ctrl-C stops it.\n\n  Here: {here}\n  On phones nearby: {url}\n")
    code = qrcode.QRCode(border=2)
    code.add_data(url)
    code.print_ascii(invert=True)


@cli.command()
@DATA
def links(data: Path | None) -> None:
    """Prints each place's manage link, for a lost bookmark."""
    settings = Settings.read(os.environ, data=data)
    with open_database(settings).read() as db:
        places = all_places(db)
    for place in places:
        base = reachable(settings, settings.port)
        click.echo(f"{place.name}: {base}/{place.slug}/manage/{place.manage_token}")
    if not places:
        click.echo("No place is open here yet. Start the server, and open one in a browser.")


def to_and_from(url: str | None, data: Path | None) -> tuple[Settings, Store]:
    """The settings, and the place for backups that was given, or else set."""
    settings = Settings.read(os.environ, data=data, backup_url=url)
    return settings, store_of(settings.backup_url)


def tell_copy(copy: Copy) -> str:
    """A copy, in words for whoever looks for one."""
    many = f"{copy.tickets:,} {'ticket' if copy.tickets == 1 else 'tickets'}"
    when = datetime.fromtimestamp(copy.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    size = f"{copy.size / 1000:,.1f} kB"
    return f"{when}, {copy.generation}/{copy.sequence}, {size}, {many}, schema {copy.schema}"


@cli.command()
@click.option("--to", "url", metavar="URL", help="s3://… or a directory [TAKEANUMBER_BACKUP_URL].")
@DATA
def backup(url: str | None, data: Path | None) -> None:
    """Backs up the database, also while a server writes to it."""
    settings, store = to_and_from(url, data)
    click.echo(f"Backed up to {store.url}: {tell_copy(back_up(settings.path, store))}.")


@cli.command("restore")
@FROM
@click.option("--at", metavar="TIME", help="The newest made until then: 2026-11-21T10:00Z, or +01:00.")
@click.option("--replace", is_flag=True, help="Replace the database that is there; it is kept beside.")
@click.option("--or-new", is_flag=True, help="Make a new database if there certainly was no backup yet.")
@click.option("--hand-over", is_flag=True, help="First let the server that still runs hand over.")
@DATA
def restore_newest(url: str | None, at: str | None, hand_over: bool, data: Path | None, **how: Any) -> None:
    """Makes the newest backup that is whole the database."""
    settings, store = to_and_from(url, data)
    try:
        before = at and datetime.fromisoformat(at)
        before = before and (before if before.tzinfo else before.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        raise CannotStart(f"--at must look like 2026-11-21T10:00Z, not '{at}'.") from None
    how |= {"hand_over_s": settings.handover_s if hand_over else None, "longest_s": settings.rollback_s}
    done = restore(settings.path, store, before, warn=warn, **how)
    what = f"Restored {tell_copy(done.copy)}" if done.copy else f"Made a new database at {settings.path}"
    kept = f" The old one is {done.kept}." if done.kept else ""
    click.echo(f"{what}; it is generation {done.generation} now.{kept}")


def warn(sentence: str) -> None:
    """Says what is not as it should be, though it goes on."""
    click.echo(f"Warning: {sentence}", err=True)


@cli.command()
@FROM
def backups(url: str | None) -> None:
    """Lists the backups, the newest first."""
    _, store = to_and_from(url, None)
    found = copies(store)
    for copy in found:
        said = "verified" if copy.verified else ""
        said = said if copy.stored == copy.size else "broken"
        click.echo(", ".join(filter(None, (tell_copy(copy), copy.kind, said))))
    if not found:
        click.echo(f"There is no backup at {store.url} yet.")


@cli.command("verify")
@FROM
@DATA
def verify_newest(url: str | None, data: Path | None) -> None:
    """Restores the newest backup beside the database, and counts it."""
    settings, store = to_and_from(url, data)
    copy, inside = verify(settings.path, store)
    click.echo(f"Verified {tell_copy(copy)}: restored and whole, {inside.tickets:,} tickets.")


@cli.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The running server.")
@click.option("--speed", type=click.FloatRange(1, 1000), default=60, help="Times as fast as life [60].")
@click.option("--hours", type=click.FloatRange(0.01, 24), default=8, help="Length of the day [8].")
@click.option("--setup-code", help="Where the server asks for one [TAKEANUMBER_SETUP_CODE].")
def demo(url: str, speed: float, hours: float, setup_code: str | None) -> None:
    """Opens a place "Corner Deli" on a running server, and plays a lively day into it."""
    code = setup_code or os.environ.get("TAKEANUMBER_SETUP_CODE")
    shop = {"name": "Corner Deli", "queue": "Deli", "counter": {"name": "Shop", "capacity": 30}}
    place = ask(f"{url.rstrip('/')}/places", shop | {"setup_code": code})
    ask(f"{place['links']['manage']}/queues", {"name": "Bakery"})
    for name in ("customers", "board", "manage"):
        click.echo(f"{name}: {place['links'][name]}")
    takes = [queue["links"]["take"] for queue in ask(place["links"]["customers"])["queues"]]
    staff, names = place["links"]["staff"], enumerate(("Ana", "Ben", "Chloe"), 1)
    desks = [ask(staff, {"name": name, "desk": f"Window {n}"})["links"]["desk"] for n, name in names]
    door = f"{ask(place['links']['manage'])['counters'][0]['links']['door']}/taps"
    free_at, minutes = dict.fromkeys(desks, 0.0), 0.0
    while minutes < 60 * hours:
        minutes += (pause := random.expovariate(0.9))
        time.sleep(60 * pause / speed)
        mine = ask(random.choice(takes), {"party": (party := random.randint(1, 4))})
        ask(door, {"taps": [{"id": str(uuid4()), "delta": party}]})
        if random.random() < 0.08:
            ask(mine["links"]["cancel"], {})
        for desk in (desk for desk in desks if free_at[desk] <= minutes):
            current = ask(desk)["current"]
            if current:
                ask(door, {"taps": [{"id": str(uuid4()), "delta": -(current["party"] or 1)}]})
            if current and random.random() < 0.07:
                current = ask(f"{desk}/no-show", {"number": current["number"]})["current"]
            current = ask(f"{desk}/next", {"finished": current and current["number"]})["current"]
            if current:
                ask(f"{desk}/start", {"number": current["number"]})
                free_at[desk] = minutes + random.lognormvariate(0.9, 0.5)


def ask(url: str, content: dict | None = None) -> dict[str, Any]:
    """What a running server answers, in JSON; raises CannotStart with its own sentence when it refuses."""
    head = {"Accept": "application/json", "Content-Type": "application/json"}
    data = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, head), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as problem:
        raise CannotStart(json.load(problem)["error"]) from None
    except OSError as problem:
        raise CannotStart(f"No server answers at {url} ({problem}). Start it, or give its --url.") from None


if __name__ == "__main__":
    cli()
