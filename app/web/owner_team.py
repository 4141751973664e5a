"""The owner's staff: their names, desks and queues, removing their access, and codes for new ones."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint
from sqlalchemy.engine import Connection

from app.core import codes, servicers
from app.core.models import Place
from app.core.servicers import ServicerChanges
from app.errors import ServiceError
from app.web.forms import ServicerForm
from app.web.owner import SAVED, back_to, show_section
from app.web.owner_json import queues_json, team_json
from app.web.request import parse, refuse_unknown_fields
from app.web.response import Answer, errors_on
from app.web.service import write
from app.web.urls import ID

owner_team = Blueprint("owner_team", __name__)


@owner_team.get("/<place>/manage/<token>/team")
def show_team(place: str, token: str, error: ServiceError | None = None) -> Answer:
    """Show who serves where, and how a new colleague gets in."""
    return show_section("team.html", place, token, error, _team_page_json)


def _team_page_json(db: Connection, at: float, place: Place) -> dict[str, Any]:
    return team_json(db, at, place) | queues_json(db, at, place)


@owner_team.post(f"/<place>/manage/<token>/servicers/<{ID}:servicer_id>")
@errors_on(show_team)
def change_servicer(place: str, token: str, servicer_id: int) -> Answer:
    """Save a servicer's name and desk, which queues they serve, and whether they are on duty."""
    refuse_unknown_fields(ServicerForm)
    changes = cast(ServicerChanges, parse(ServicerForm))
    write(servicers.change_servicer, place, token, servicer_id, changes)
    return back_to("owner_team.show_team", place, token, SAVED)


@owner_team.post(f"/<place>/manage/<token>/servicers/<{ID}:servicer_id>/end-shift")
@errors_on(show_team)
def end_shift(place: str, token: str, servicer_id: int) -> Answer:
    """End a servicer's shift. Their link still works: they can resume."""
    servicer = write(servicers.end_shift_of, place, token, servicer_id)
    return back_to("owner_team.show_team", place, token, f"The shift of {servicer.name} has ended.")


@owner_team.post(f"/<place>/manage/<token>/servicers/<{ID}:servicer_id>/remove")
@errors_on(show_team)
def remove_servicer(place: str, token: str, servicer_id: int) -> Answer:
    """Remove a servicer's access."""
    write(servicers.remove_servicer, place, token, servicer_id)
    return back_to("owner_team.show_team", place, token, "Access removed.", keep_panel=False)


@owner_team.post("/<place>/manage/<token>/links/staff/code")
@errors_on(show_team)
def give_staff_code(place: str, token: str) -> Answer:
    """Make a one-time code that leads to the staff link."""
    code = write(codes.give_staff_code, place, token)
    message = f"The code is {code.digits}: read it out. It is valid for ten minutes."
    return back_to("owner_team.show_team", place, token, message)
