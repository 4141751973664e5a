"""The first page: what this is, opening and deleting a place, and finding the manage link again."""

from __future__ import annotations

import secrets
from typing import Any, cast

import flask
from flask import Blueprint, request, session, url_for
from werkzeug.exceptions import MethodNotAllowed

from app.clock import HOUR_S
from app.core import new_places, places
from app.core.counters import CounterChanges
from app.core.models import Place
from app.core.places import all_places
from app.errors import BadInput, Forbidden, ServiceError
from app.web.forms import CounterForm, NewPlaceForm, PlaceForm
from app.web.links import link
from app.web.owner import back_to
from app.web.owner_json import owner_link
from app.web.owner_settings import show_settings
from app.web.present import slug_and_name
from app.web.request import json_object, limit, parse, parse_json, parse_values, wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write
from app.web.urls import RESERVED_SLUGS

home = Blueprint("home", __name__)

MAX_PER_HOUR = 20  # places opened, and setup codes tried, from one address


@home.get("/")
def show_home(error: ServiceError | None = None) -> Answer:
    """Show what this is, and a form to open a place."""
    public = _public_places()
    content = {"places": [slug_and_name(each, customers=_customers_link(each)) for each in public]}
    return _home_page(content, public, [], error)


@home.post("/")
@errors_on(show_home)
def find_links() -> Answer:
    """Show the manage links to whoever knows the setup code."""
    limit("setup code", MAX_PER_HOUR, HOUR_S)
    check_setup_code(parse(NewPlaceForm, "setup_code")["setup_code"])
    with service().database.read() as db:
        owned = [slug_and_name(each, manage=owner_link(each)) for each in all_places(db)]
    return _home_page({"places": owned}, _public_places(), owned, None)


def _public_places() -> list[Place]:
    """Return the only place of this server; a server for many places doesn't list them."""
    if service().settings.places != "one":
        return []
    with service().database.read() as db:
        return all_places(db)


def _customers_link(place: Place) -> str:
    return link("customer.show_place", place=place.slug)


def _home_page(
    content: dict[str, Any], public: list[Place], owned: list[dict[str, Any]], error: ServiceError | None
) -> Answer:
    return page(
        "home.html",
        content | {"links": {"places": link("home.create_place")}},
        error=error,
        places=public,
        found=owned,
        allowed=not public,
        values=request.form,
        asks_code=bool(service().settings.setup_code),
    )


@home.get("/places")
def redirect_to_form() -> Answer:
    """Lead a browser that reloads the page of a refused form back to the form: the URL only takes a POST.

    Without this view, GET /places would look for a place of that name.
    """
    if wants_json():
        raise MethodNotAllowed(["POST"])
    return flask.redirect(url_for("home.show_home"), 303)


@home.post("/places")
@errors_on(show_home)
def create_place() -> Answer:
    """Open a place."""
    settings = service().settings
    limit("new place", MAX_PER_HOUR, HOUR_S)
    fields = parse(NewPlaceForm, "name")
    counter = _first_counter()
    setup_code = fields.pop("setup_code", None)
    if settings.setup_code:
        check_setup_code(setup_code)
    place = write(
        new_places.open_place,
        new_places.NewPlace(**fields, counter=counter),
        only_one=settings.places == "one",
        max_waiting=settings.max_waiting,
        reserved=RESERVED_SLUGS,
    )
    session["fresh"] = place.slug
    answer = back_to("owner.show_manage", place.slug, place.manage_token)
    if wants_json():
        answer.status_code = 201
    return answer


def _first_counter() -> CounterChanges | None:
    """Return the fields of the new place's counter: an object in JSON, fields `counter-…` in a form."""
    if request.is_json:
        content = json_object().get("counter")
        if content is None:
            return None
        return cast(CounterChanges, parse_json(CounterForm, content, "name", "capacity"))
    values = {name: request.form.getlist(f"counter-{name}") for name in ("name", "capacity")}
    if not any(text for texts in values.values() for text in texts):
        return None
    try:
        return cast(CounterChanges, parse_values(CounterForm, values, "name", "capacity"))
    except BadInput as error:
        raise BadInput(str(error), field=f"counter-{error.field}") from None


@home.post("/<place>/manage/<token>/delete")
@errors_on(show_settings)
def delete_place(place: str, token: str) -> Answer:
    """Delete a place, once its owner typed its name."""
    name = parse(PlaceForm, "name")["name"]
    write(places.delete_place, place, token, name)
    if wants_json():
        return show_home()
    return see_other("home.show_home", f"{name} was deleted.")


def check_setup_code(code: str | None) -> None:
    """Raise Forbidden when this isn't the setup code."""
    expected = service().settings.setup_code
    if not code or not secrets.compare_digest(code.encode(), expected.encode()):
        raise Forbidden("This is not the setup code. Ask whoever set up this server.")
