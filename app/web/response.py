"""Answering requests: pages or JSON, redirects, and errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from html import escape
from itertools import takewhile
from typing import Any

import flask
from flask import Flask, Response, current_app, g, request, url_for
from flask_wtf.csrf import CSRFError, generate_csrf
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from app.clock import now
from app.core.models import Place
from app.core.places import find_place
from app.core.plans import MAX_STEPS
from app.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    ServiceError,
    TooLarge,
    TooMany,
    Unavailable,
    UnsureNumber,
    WritesPaused,
)
from app.network import MAX_BODY_BYTES, MAX_CONTACTS_BODY_BYTES
from app.web.forms import CUSTOMER_FIELDS, DESK_DETAILS, MAX_DESK_NOTE
from app.web.headers import SessionCookies, add_headers
from app.web.links import base_url
from app.web.request import check_request, max_body_bytes, release_turn, wants_json
from app.web.service import service

log = logging.getLogger("takeanumber")

Answer = AnyResponse  # what a view returns

STATUSES: dict[type[ServiceError], int] = {
    BadInput: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    TooMany: 429,
    WritesPaused: 503,
    Unavailable: 503,
}
RETRY_PAUSED_S = 2  # a move to another server takes seconds
RETRY_BUSY_S = 5
# See slow_page(). No text of a user can be the same, since theirs is escaped.
FIRST_PART_ENDS = "<!-- The rest follows. -->"


# ----- pages, JSON and redirects


def page(
    template: str, content: Any, place: Place | None = None, error: ServiceError | None = None, **context: Any
) -> Response:
    """Return `content` as JSON, or the template for a browser.

    With an error, the JSON also holds its sentence, and the template shows it as `error`.
    """
    if wants_json():
        response = flask.jsonify(content if error is None else {"error": str(error), **content})
    else:
        response = flask.make_response(flask.render_template(template, **_variables(place, error), **context))
    if error is not None:
        set_status(response, error)
    return response


def slow_page(
    template: str,
    make_content: Callable[[], dict[str, Any]],
    place: Place | None = None,
    error: ServiceError | None = None,
    **context: Any,
) -> Response:
    """Like page(), for content that may take seconds. A browser gets the beginning of the page meanwhile.

    The template ends that beginning with `{{ first_part_ends | safe }}`, and calls `content()` after it. If
    that fails, the page ends with a sentence.
    """
    if wants_json():
        return page(template, make_content(), place, error)
    generate_csrf()  # the cookie that it may set has to come before the page
    variables = _variables(place, error) | context
    variables |= {"content": make_content, "first_part_ends": FIRST_PART_ENDS}
    current_app.update_template_context(variables)
    parts = current_app.jinja_env.get_template(template).generate(variables)
    beginning = "".join(takewhile(lambda part: part != FIRST_PART_ENDS, parts))
    response = flask.Response(flask.stream_with_context(_with_rest(beginning, parts)))
    response.headers["X-Accel-Buffering"] = "no"  # or nginx would wait for the rest
    if error is not None:
        set_status(response, error)
    return response


def _with_rest(beginning: str, parts: Iterator[str]) -> Iterator[str]:
    yield beginning
    try:
        yield "".join(parts)
    except Exception as error:  # noqa: BLE001 (explain() logs it)
        explained = error if isinstance(error, ServiceError) else explain(error)
        yield f'<p class="error" role="alert">{escape(str(explained or OUR_FAULT))}</p>'


def _variables(place: Place | None, error: ServiceError | None) -> dict[str, Any]:
    """Return the variables that every template has, besides those that its view passes."""
    g.place = place  # for the filters of public_links.py
    return {
        "place": place,
        "token": (request.view_args or {}).get("token"),
        "error": None if error is None else str(error),
        "error_field": None if error is None else error.field,
        "phone_to_confirm": error.phone if isinstance(error, UnsureNumber) else None,
        "base_url": base_url(),
        "rendered_at": now(),
        "max_desk_note": MAX_DESK_NOTE,
        "max_steps": MAX_STEPS,
        "customer_fields": CUSTOMER_FIELDS,
        "desk_details": DESK_DETAILS,
    }


def json_response(content: Any, status: int = 200) -> Response:
    """Return content as JSON."""
    response = flask.jsonify(content)
    response.status_code = status
    return response


def see_other(endpoint: str, message: str | None = None, **values: Any) -> AnyResponse:
    """Redirect a browser to a page after a form was sent; the page shows `message` once."""
    if message:
        flask.flash(message, "good")
    return flask.redirect(url_for(endpoint, **values), 303)


# ----- errors


def status_of(error: ServiceError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def set_status(response: Response, error: ServiceError) -> None:
    """Set the status that an error has, and when to try again."""
    response.status_code = status_of(error)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.wait_s)
    elif isinstance(error, WritesPaused):
        if not error.for_good:
            response.headers["Retry-After"] = str(RETRY_PAUSED_S)
    elif isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(RETRY_BUSY_S)


def is_soon_over(error: ServiceError) -> bool:
    """Return True for a pause of the writes after which the same request may succeed."""
    return isinstance(error, WritesPaused) and not error.for_good


def errors_on(
    show_page: Callable[..., Answer], *url_parts: str
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Decorate a view of a form: a request that is refused gets `show_page(…, error=…)`, with what was typed.

    `show_page` is the GET view of the page with the form. It is called with these parts of the URL, by
    default the place and the token, where the URL has them. JSON clients get the error, and for a Conflict
    also the page's content. A browser that reloads the URL of the POST is led to the page; see
    redirect_to_page().
    """
    names = url_parts or ("place", "token")

    def decorate(view: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(view)
        def guarded(**values: Any) -> Answer:
            try:
                return view(**values)
            except (BadInput, Forbidden, Conflict) as error:
                return show_error(error, show_page, names, values)

        guarded.error_page = show_page, names  # type: ignore[attr-defined]
        return guarded

    return decorate


def show_error(
    error: ServiceError, show_page: Callable[..., Answer], names: Sequence[str], values: Mapping[str, Any]
) -> Answer:
    """Return the page with the form, with the error; see errors_on()."""
    if wants_json() and not isinstance(error, Conflict):
        return error_response(error)
    return show_page(**{name: values[name] for name in names if name in values}, error=error)


def check_before_view() -> Answer | None:
    """Refuse a request that no view needs to see. A form without a valid CSRF token gets its page again."""
    try:
        check_request()
    except CSRFError:
        error = BadInput(NO_JSON_BODY if wants_json() else HTTP_SENTENCES[400])
        view = current_app.view_functions[request.endpoint or ""]
        if hasattr(view, "error_page"):
            show_page, names = view.error_page
            return show_error(error, show_page, names, request.view_args or {})
        return error_response(error)
    return None


def redirect_to_page() -> AnyResponse | None:
    """Redirect a browser from a URL that only takes a POST to the page with its form, if there is one."""
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None, "there is one in every request"
    with suppress(HTTPException):
        url = page_url(*adapter.match(method="POST"))
        if url is not None:
            return flask.redirect(url, 303)
    return None


def redirect_as_typed() -> AnyResponse | None:
    """Redirect a browser to a place whose URL was typed with capitals, or with a slash at its end."""
    slug = request.path.strip("/").lower()
    if request.method != "GET" or wants_json() or "/" in slug or request.path == f"/{slug}":
        return None
    database = service().database
    with suppress(NotFound, Unavailable, *database.engine.errors), database.read() as db:
        return flask.redirect(url_for("customer.show_place", place=find_place(db, slug).slug))
    return None


def page_url(endpoint: str, values: Mapping[str, Any]) -> str | None:
    """Return the path of the page that a POST view shows its errors on; see errors_on()."""
    view = current_app.view_functions[endpoint]
    if not hasattr(view, "error_page"):
        return None
    show_page, names = view.error_page
    views = current_app.view_functions.items()
    page_endpoint = next(name for name, function in views if function is show_page)
    return url_for(page_endpoint, **{name: values[name] for name in names if name in values})


def error_response(error: ServiceError, place: Place | None = None) -> Response:
    """Return an error as JSON, or as a page of its own."""
    status = status_of(error)
    response = page(
        "error.html",
        {"error": str(error)},
        place,
        sentence=str(error),
        status=status,
        retries=is_soon_over(error),
    )
    set_status(response, error)
    return response


def sentence_response(sentence: str, status: int) -> Response:
    """Return the page or the JSON for an error that isn't a ServiceError."""
    response = page("error.html", {"error": sentence}, sentence=sentence, status=status)
    response.status_code = status
    return response


def handle_service_error(error: ServiceError) -> Answer:
    """Answer an error that no page shows."""
    if isinstance(error, Unavailable) and request.method == "POST" and not wants_json():
        try:
            place = _find_place_of_url()
        except NotFound as missing:  # what was sent would be refused later, too
            return error_response(missing)
        return retry_page(error, place)
    if isinstance(error, NotFound) and (redirect := redirect_as_typed()):
        return redirect
    # A missing link: the way back leads to the place, if that exists.
    place = _place_of_url() if isinstance(error, NotFound) and not wants_json() else None
    response = error_response(error, place)
    if is_soon_over(error) and not wants_json():
        response.headers["Refresh"] = str(RETRY_PAUSED_S)  # the page asks again by itself
    return response


def retry_page(error: Unavailable, place: Place | None) -> Response:
    """Return a page that keeps what a form sent, and can send it again.

    While writes are paused it does so by itself, unless they are paused for good.
    """
    response = page(
        "again.html",
        {},
        place if isinstance(error, WritesPaused) else None,
        sentence=str(error),
        moving=is_soon_over(error),
        back=page_url(request.endpoint or "", request.view_args or {}) or request.path,
    )
    set_status(response, error)
    return response


def _place_of_url() -> Place | None:
    with suppress(NotFound):
        return _find_place_of_url()
    return None


def _find_place_of_url() -> Place | None:
    """Return the place in the URL, or None without one, or when even reading fails. Raises NotFound."""
    slug = (request.view_args or {}).get("place")
    if slug is None:
        return None
    database = service().database
    with suppress(Unavailable, *database.engine.errors), database.read() as db:
        return find_place(db, slug)
    return None


OUR_FAULT = "Something went wrong on our side. Please try again."
NO_JSON_BODY = "Send a JSON body, such as {}, with Content-Type: application/json. Forms need a CSRF token."
HTTP_SENTENCES = {
    400: "This page was out of date, or cookies are switched off. Please try once more.",
    404: "There is nothing at this address. Check the link, or scan the QR code again.",
    405: "This address is for something else. Start again from the page of the place.",
}


def handle_http_error(error: HTTPException) -> Answer:
    """Answer an HTTP error that Flask raised, with a one-sentence message."""
    if isinstance(error, MethodNotAllowed) and request.method == "GET" and not wants_json():
        redirect = redirect_to_page()
        if redirect is not None:
            return redirect
    status = error.code or 500
    if status == 404 and (redirect := redirect_as_typed()):
        return redirect
    if status == 413:
        sizes = {MAX_BODY_BYTES: "64 KiB", MAX_CONTACTS_BODY_BYTES: "16 MiB"}
        most = sizes.get(max_body_bytes(), f"{max_body_bytes() // 2**10} KiB")
        sentence = f"That is too much at once: please send less than {most}."
    else:
        sentence = HTTP_SENTENCES.get(status) or str(error.description)
    response = sentence_response(sentence, status)
    response.allow.update(getattr(error, "valid_methods", None) or ())
    return response


def handle_unexpected_error(error: Exception) -> Answer:
    """Answer an error of this app or of the storage with a one-sentence message."""
    explained = explain(error)
    return sentence_response(OUR_FAULT, 500) if explained is None else handle_service_error(explained)


def explain(error: Exception) -> ServiceError | None:
    """Log an error of this app or of the storage. Returns what people are told about one of the storage."""
    database = service().database
    is_storage_error = isinstance(error, database.engine.errors)
    failure = database.failure
    if is_storage_error and failure is not None:
        return failure  # it is in the log already
    # The rule and not the URL, which holds a token.
    log.error("Failed at %s", request.url_rule, exc_info=error)
    if not is_storage_error:
        return None
    # What SQLAlchemy raises without a driver's error is that no connection was free.
    cause = getattr(error, "orig", "too busy") if isinstance(error, SQLAlchemyError) else error
    reason = str(cause).partition("\n")[0]  # PostgreSQL adds lines with the statement
    return Unavailable(
        f"Nothing can be stored just now ({reason}), and nothing was changed. Please try again soon."
    )


def init_app(app: Flask) -> None:
    """Register what happens before views, the error handlers, and the headers."""
    app.session_interface = SessionCookies()
    app.before_request(check_before_view)
    app.register_error_handler(ServiceError, handle_service_error)
    app.register_error_handler(HTTPException, handle_http_error)
    app.register_error_handler(Exception, handle_unexpected_error)
    app.after_request(add_headers)
    app.teardown_request(release_turn)
