"""Numbers that must not be called, as the owner sees and changes them."""

from __future__ import annotations

from flask import Blueprint

from app.core import opt_outs
from app.core.phones import format_phone
from app.core.places import find_place_for_owner
from app.errors import ServiceError
from app.web.contact_json import contacts_link
from app.web.forms import OptOutForm, SearchForm
from app.web.owner import ADDED
from app.web.present import iso
from app.web.request import parse, parse_query, phone_confirmed, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write

owner_opt_outs = Blueprint("owner_opt_outs", __name__)


@owner_opt_outs.get("/<place>/manage/<token>/contacts/do-not-call")
def show_opt_outs(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show the numbers that must not be called, the newest first."""
    search = parse_query(SearchForm).get("q")
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        found, total = opt_outs.opt_outs_page(db, row, search)
    url = contacts_link(row)
    content = {
        "numbers": [
            {
                "phone": format_phone(each.phone, row.country),
                "tel": f"tel:{each.phone}",
                "contacts": each.contacts,
                "since": iso(each.created_at, row),
            }
            for each in found
        ],
        "total": total,
        "links": {"do_not_call": f"{url}/do-not-call", "lift": f"{url}/do-not-call/lift", "contacts": url},
    }
    return page("opt_outs.html", content, row, error, opt_outs=content, search=search, panel=None)


@owner_opt_outs.post("/<place>/manage/<token>/contacts/do-not-call")
@errors_on(show_opt_outs)
def forbid_number(place: str, token: str) -> Answer:
    """Let nobody call a number."""
    refuse_unknown_fields(OptOutForm)
    write(opt_outs.forbid_number, place, token, parse(OptOutForm, "phone")["phone"], phone_confirmed())
    return _back_to_opt_outs(place, token, ADDED)


@owner_opt_outs.post("/<place>/manage/<token>/contacts/do-not-call/lift")
@errors_on(show_opt_outs)
def lift_number(place: str, token: str) -> Answer:
    """Let a number be called again."""
    refuse_unknown_fields(OptOutForm)
    phone = parse(OptOutForm, "phone")["phone"]
    write(opt_outs.lift_number, place, token, phone)
    return _back_to_opt_outs(place, token, f"Calls to {phone} are allowed again.")


def _back_to_opt_outs(place: str, token: str, message: str) -> Answer:
    if wants_json():
        return show_opt_outs(place, token)
    return see_other("owner_opt_outs.show_opt_outs", message, place=place, token=token)
