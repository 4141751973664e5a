"""The owner's staff: what servicers serve, taking their links away, and codes for new ones."""

from __future__ import annotations

from typing import cast

from flask import Blueprint

from app.core import codes, servicers
from app.core.servicers import ServicerChanges
from app.web.forms import ServicerForm
from app.web.owner import SAVED, back_to_manage, show_manage
from app.web.request import parse
from app.web.response import Answer, errors_on
from app.web.service import write
from app.web.urls import ID

owner_team = Blueprint("owner_team", __name__)


@owner_team.post(f"/<place>/manage/<token>/servicers/<{ID}:servicer_id>")
@errors_on(show_manage)
def change_servicer(place: str, token: str, servicer_id: int) -> Answer:
    """Save which queues a servicer serves, and whether they are on duty."""
    fields = parse(ServicerForm)
    changes = {name: fields[name] for name in ("queues", "on_duty") if name in fields}
    write(servicers.change_servicer, place, token, servicer_id, cast(ServicerChanges, changes))
    return back_to_manage(place, token, SAVED)


@owner_team.post(f"/<place>/manage/<token>/servicers/<{ID}:servicer_id>/remove")
@errors_on(show_manage)
def remove_servicer(place: str, token: str, servicer_id: int) -> Answer:
    """Take a servicer's link away."""
    write(servicers.remove_servicer, place, token, servicer_id)
    return back_to_manage(place, token, "The link was taken away.")


@owner_team.post("/<place>/manage/<token>/links/staff/code")
@errors_on(show_manage)
def give_staff_code(place: str, token: str) -> Answer:
    """Make a one-time code that leads to the staff link."""
    code = write(codes.give_staff_code, place, token)
    message = f"The code is {code.digits}: read it out. It is valid for ten minutes."
    return back_to_manage(place, token, message)
