"""What requests may contain: the fields of forms and of JSON objects, with their limits.

The label of a field is the name that error messages use. A field is optional unless the view requires it, but
one marked with `not_blank` can't be sent empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import request
from wtforms import BooleanField, Field, Form, IntegerField, SelectMultipleField, StringField
from wtforms.validators import Length, NumberRange, Optional, Regexp, ValidationError

from app.clock import MINUTES_PER_DAY
from app.core.contact_actions import ACTIONS
from app.core.contact_search import SORT_COLUMNS
from app.core.contacts import MAX_LENGTHS
from app.core.countries import country_names
from app.core.days import time_zones
from app.core.models import CALLS, DETAILS, WALK_IN, CustomerDetails
from app.core.reports import ReportDetails
from app.core.wordlists import EFFECTS
from app.text import EMAIL_ADDRESS, tidy
from app.web.urls import MAX_ID

MAX_PARTY = 50  # people on one ticket, and people counted by one tap
MAX_DESK_NOTE = 200  # characters of a note from a desk to the other desks
MAX_NOTE = 500  # characters, wherever somebody says what a customer needs
MISSING = "please fill this in."
UNTICKED = ("false", "0", "")
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class CustomerField:
    """A detail that a queue can ask its customers for, as pages show it."""

    owner_label: str
    customer_label: str
    desk_label: str
    kind: str  # "text", "tel", "textarea" or "number"
    maximum: int  # characters, or the highest number
    autocomplete: str = "off"  # on a customer's page


# The fields of CustomerForm that a queue can ask for.
CUSTOMER_FIELDS = {
    "name": CustomerField("Name", "Your name", "Name", "text", 80, "name"),
    "phone": CustomerField("Phone", "Phone", "Phone", "tel", 40, "tel"),
    "note": CustomerField("What it is about", "What is it about?", "Note", "textarea", MAX_NOTE),
    "party": CustomerField("How many people", "How many people?", "People", "number", MAX_PARTY),
}
# Who sees which of them, in the order of a row. A desk sees the phone number of its own customers only.
DESK_DETAILS = ("name", "party", "note")
DOOR_DETAILS = ("name", "party")
TICKET_DETAILS = ("party",)  # whoever has the customer's link


def not_blank(_form: Form, field: Field) -> None:
    """Refuse a field that was sent empty."""
    if field.raw_data and not field.data:
        raise ValidationError(MISSING)


def not_blank_in_json(form: Form, field: Field) -> None:
    """Refuse a field that a JSON object holds empty; in a form, blank means absent."""
    if request.is_json:
        not_blank(form, field)


def capitals_in_form(text: str | None) -> str | None:
    """Return the text in capitals if it was typed into a form; a JSON object must hold capitals itself."""
    return text.upper() if text and text.isascii() and not request.is_json else text


def known_time_zone(_form: Form, field: Field) -> None:
    """Refuse a value that isn't a time zone."""
    if field.data not in time_zones():
        raise ValidationError("please choose a time zone such as Europe/Berlin.")


def known_country(_form: Form, field: Field) -> None:
    """Refuse a value that isn't a country."""
    if field.data not in country_names():
        raise ValidationError("please choose a country by its two capital letters, such as DE.")


def clock_time(_form: Form, field: Field) -> None:
    """Refuse a value that isn't a time of day; 24:00 is the end of the day."""
    if field.data and not re.fullmatch("([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00", field.data):
        raise ValidationError("please enter a time such as 09:00.")


def minute_of_day(text: str) -> int:
    """Return the minute of a time that clock_time() accepts: 09:00 as 540."""
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)


def iso_date(_form: Form, field: Field) -> None:
    """Refuse a value that isn't a date."""
    try:
        date.fromisoformat(field.data)
    except ValueError:
        raise ValidationError("please write a day such as 2026-11-21.") from None


def text_field(label: str, max_length: int, *validators: Any, filters: tuple[Any, ...] = ()) -> StringField:
    """Return a field for text."""
    length = Length(max=max_length, message=f"please use at most {max_length} characters.")
    return StringField(label, filters=[tidy, *filters], validators=[*validators, length])


class WholeNumberField(IntegerField):
    """A field for a whole number in a range, which says so whatever else was typed."""

    def __init__(self, label: str, minimum: int, maximum: int, **more: Any):
        self.message = f"please choose a whole number from {minimum} to {maximum}."
        in_range = NumberRange(minimum, maximum, self.message)
        super().__init__(label, validators=[Optional(), in_range], **more)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(self.message) from None


def int_field(label: str, minimum: int, maximum: int) -> IntegerField:
    """Return a field for a whole number."""
    return WholeNumberField(label, minimum, maximum)


def choice_field(label: str, *choices: str) -> StringField:
    """Return a field for one of a few words."""
    message = f"please choose {' or '.join(choices)}."
    return text_field(label, 20, Optional(), Regexp(f"^({'|'.join(choices)})$", message=message))


def flag_field(label: str) -> BooleanField:
    """Return a field for yes or no."""
    return BooleanField(label, false_values=UNTICKED)


def list_field(label: str) -> SelectMultipleField:
    """Return a field for several texts."""
    return SelectMultipleField(label, validate_choice=False)


def email_field(label: str) -> StringField:
    """Return a field for an email address."""
    message = "please write an address such as ana@example.org."
    return text_field(label, 200, Optional(), Regexp(f"^{EMAIL_ADDRESS}$", message=message))


class NameForm(Form):
    """A name."""

    name = text_field("Name", 60, not_blank)


# ----- places


class PlaceForm(Form):
    """What is known about a place from its beginning."""

    name = text_field("Name", 80, not_blank)
    timezone = text_field("Time zone", 60, Optional(), known_time_zone)
    country = text_field("Country", 2, Optional(), known_country)
    day_starts = int_field("Numbers restart at", 0, 23)
    wait_goal_minutes = int_field("Goal for the wait", 1, MINUTES_PER_DAY)


class PlaceSettingsForm(PlaceForm):
    """The settings of a place that is open."""

    thanks = text_field("Thank-you text", 200)
    colour = text_field(
        "Colour", 7, Optional(), Regexp("^#[0-9a-fA-F]{6}$", message="choose one such as #0b6b46.")
    )
    address = text_field("Address for phones", 60)
    max_delays = int_field("More time, times", 0, 10)
    keeps_wait = flag_field("Waiting time of customers who are moved")


class AlertsForm(Form):
    """Who is mailed when people wait too long, and in which hours the owner is told."""

    alert_email = email_field("Email alerts to")
    alert_from = text_field("Alerts from", 5, not_blank, clock_time)
    alert_to = text_field("Until", 5, not_blank, clock_time)
    wait_goal_minutes = int_field("Goal for the wait", 1, MINUTES_PER_DAY)


class WebhookForm(Form):
    """A URL that the events of a place are posted to."""

    url = text_field("URL", 1000, not_blank)
    personal = flag_field("Names, phone numbers and notes")


class ChecklistForm(Form):
    """An item of the first checklist."""

    step = choice_field("Step", "poster", "backup", "hidden")


class NewPlaceForm(PlaceForm):
    """A new place with its first queue or call list; its counter is read separately."""

    slug = text_field(
        "Address", 40, Optional(), Regexp("^[a-z0-9]+(-[a-z0-9]+)*$", message="please use a-z, 0-9, -.")
    )
    setup_code = text_field("Setup code", 200)
    queue = text_field("Queue", 60, not_blank_in_json)
    call_list = text_field("Call list", 60, not_blank_in_json)


# ----- queues and customers


class QueueForm(NameForm):
    """A queue or a call list."""

    kind = choice_field("Kind", WALK_IN, CALLS)
    prefix = text_field(
        "Prefix",
        3,
        Optional(),
        Regexp("^[A-Z]{1,3}$", message="please use one to three capitals."),
        filters=(capitals_in_form,),
    )
    max_waiting = int_field("Queue limit", 1, 1_000_000)
    position = int_field("Position", 1, 10_000)
    asks = SelectMultipleField("Asks for", choices=list(CUSTOMER_FIELDS))  # type: ignore[arg-type]
    shared_tablet = flag_field("Shared tablet")
    usual_service_s = int_field("Typical service time in seconds", 10, 14_400)
    claim_minutes = int_field("Reserve a call for (min)", 1, 600)
    retry_minutes = int_field("Retry after (min)", 1, 100_000)
    most_tries = int_field("Maximum attempts", 1, 100)
    public_form = flag_field("Public form")
    staff_email = email_field("Email new requests to")
    calling_from = text_field("Calling hours, from", 5, not_blank, clock_time)
    calling_to = text_field("Calling hours, to", 5, not_blank, clock_time)
    order = choice_field("Order", "due", "random")
    requires = list_field("Tags that callers need")
    restricted = flag_field("Only selected staff")  # in a form; in JSON, `callers` says it


class CustomerForm(Form):
    """The details that a customer gives when taking a number; see customer_details()."""

    request_id = text_field("Request", 100)
    name = text_field("Name", CUSTOMER_FIELDS["name"].maximum)
    phone = text_field("Phone", CUSTOMER_FIELDS["phone"].maximum)
    note = text_field("Note", MAX_NOTE)
    party = int_field("How many people", 1, MAX_PARTY)
    queue = text_field("Queue", 60)  # from a desk only


def customer_details(form: Mapping[str, Any]) -> CustomerDetails:
    """Return the details in a parsed CustomerForm."""
    return CustomerDetails(**{name: form.get(name) for name in DETAILS})


class CallRequestForm(Form):
    """The details of a request for a call."""

    request_id = text_field("Request", 100)
    name = text_field("Name", 80)
    phone = text_field("Phone", 40, not_blank)
    email = email_field("Email")
    mail_when_done = flag_field("Mail when done")
    note = text_field("Note", MAX_NOTE)


class PhoneForm(Form):
    """A phone number."""

    phone = text_field("Phone", 40, not_blank)


class MessageForm(Form):
    """A message to everybody who waits."""

    text = text_field("Message", 200, not_blank)
    until = text_field("Until", 5, Optional(), clock_time)
    minutes = int_field("Minutes", 1, MINUTES_PER_DAY)
    push = flag_field("Notify phones, too")


class MoreTimeForm(Form):
    """How long a customer lets others go first."""

    minutes = int_field("Minutes", 1, 60)


class BrowserForm(Form):
    """The push subscription of a browser."""

    endpoint = text_field("Push service", 1000, not_blank)
    p256dh = text_field("Public key", 200, not_blank)
    auth = text_field("Secret", 100, not_blank)


class AddressForm(Form):
    """An email address."""

    email = email_field("Email")


# ----- desks


class ServicerForm(Form):
    """A servicer."""

    name = text_field("Your name", 60, not_blank)
    desk = text_field("Your desk", 40)
    queues = list_field("Queues")
    on_duty = flag_field("On duty")
    tags = list_field("Tags")


class NumberForm(Form):
    """The number of a ticket."""

    number = text_field("Number", 20, not_blank)


class NumbersForm(Form):
    """Numbers of several tickets."""

    numbers = list_field("Numbers")


class PlanForm(NumberForm):
    """A note about a ticket for the other desks, and the steps that follow."""

    note = text_field("Note", MAX_DESK_NOTE)
    steps = list_field("Steps")
    step = int_field("Step", 1, 100)  # the present one


class MoveForm(PlanForm):
    """A ticket and the queue that it moves to."""

    queue = text_field("Queue", 60)


class NextForm(Form):
    """What a desk has finished, and which customer to call."""

    finished = text_field("Finished", 20)
    number = text_field("Number", 20)
    queue = text_field("Queue", 60)


# ----- counters and doors


class CounterForm(NameForm):
    """A counter."""

    capacity = int_field("Capacity", 1, 100_000)
    empties = choice_field("Resets to zero", "day", "never")
    hold_minutes = int_field("Hold a place for (min)", 1, 240)
    admits = text_field("When there's room, admit people from", 60)


class TapForm(Form):
    """A tap at a door."""

    id = text_field("Id of the tap", 36, Regexp(f"^{_UUID}$", re.IGNORECASE, "this must be a UUID."))
    delta = int_field("How many more or fewer", -MAX_PARTY, MAX_PARTY)
    ago_s = int_field("Seconds ago", 0, 10**9)
    number = text_field("Number", 20)
    undoes = text_field("Id of the tap taken back", 36)


class RecountForm(Form):
    """How many people really are inside."""

    count = int_field("How many are inside", 0, 100_000)


class CodeForm(Form):
    """A one-time code."""

    code = text_field("Code", 20, not_blank)


# ----- calls


class ReasonForm(Form):
    """A reason to call."""

    name = text_field("Name", 80, not_blank)


class OutcomeForm(NameForm):
    """A way in which a call can end."""

    effect = choice_field("Effect", *EFFECTS)


class ServiceForm(NameForm):
    """A service that callers can refer people to."""

    phone = text_field("Phone", 40)
    link = text_field(
        "Link", 300, Optional(), Regexp("^https?://[^ ]+$", message="please begin with https://")
    )


class ListForm(Form):
    """A call list."""

    list = text_field("List", 60)


class NextCallForm(ListForm):
    """Which call a caller asks for: the next of a list, or one by its id or the contact's name."""

    id = int_field("Id", 1, MAX_ID)
    name = text_field("Name", 120)


class WaitingCallForm(Form):
    """Which of the calls that wait to show."""

    reason = text_field("Reason", 80)
    priority = int_field("Priority", 1, 5)


class ClaimForm(Form):
    """The claim of a call."""

    claim = text_field("Claim", 60, not_blank)


class IdForm(Form):
    """The id of a call."""

    id = int_field("Id", 1, MAX_ID)


class OutcomeDetailsForm(Form):
    """How a call went; see report_details()."""

    outcome = text_field("Outcome", 80, not_blank)
    notes = text_field("Notes", 2000)
    call_back_at = text_field("Call back at", 40)
    call_back_date = text_field("Date", 20)
    call_back_time = text_field("Time", 20)
    refer_to = text_field("Refer to", 80)
    refer_note = text_field("Note for them", MAX_NOTE)


def report_details(form: Mapping[str, Any]) -> ReportDetails:
    """Return the details of a report; the time to call back may come as a date and a time."""
    call_back_at = form.get("call_back_at")
    day, time = form.get("call_back_date", ""), form.get("call_back_time", "")
    if call_back_at is None and (day or time):
        call_back_at = f"{day}T{time}"
    return ReportDetails(
        outcome=form["outcome"],
        notes=form.get("notes"),
        call_back_at=call_back_at,
        refer_to=form.get("refer_to"),
        refer_note=form.get("refer_note"),
    )


class ReportForm(OutcomeDetailsForm):
    """A report of a claimed call."""

    claim = text_field("Claim", 60, not_blank)


class IncomingCallForm(OutcomeDetailsForm):
    """A report of somebody who phoned in."""

    phone = text_field("Phone", 40, not_blank)
    name = text_field("Name", 80)
    list = text_field("List", 60)
    request_id = text_field("Request", 100)


# ----- contacts


class ContactForm(Form):
    """A contact."""

    name = text_field("Name", MAX_LENGTHS["name"])
    phone = text_field("Phone", MAX_LENGTHS["phone"])
    email = text_field("Email", MAX_LENGTHS["email"])
    address = text_field("Address", MAX_LENGTHS["address"])
    notes = text_field("Notes", MAX_LENGTHS["notes"])
    reference = text_field("Reference", MAX_LENGTHS["reference"])
    timezone = text_field("Time zone", MAX_LENGTHS["timezone"])
    tags = list_field("Tags")
    do_not_call = flag_field("Do not call")


class ContactFilterForm(Form):
    """Which contacts to show, or to change."""

    q = text_field("Search", 100)
    in_list = text_field("On the list", 60)
    never_called = flag_field("Never called")
    last_outcome = text_field("Last outcome", 80)
    tag = text_field("Tag", 40)
    called_before = text_field("Called before", 10, Optional(), iso_date)
    do_not_call = flag_field("Do not call")
    reason = text_field("Reason for a call", 80)
    priority = int_field("Priority of a call", 1, 5)
    sort = text_field(
        "Sort", 20, Optional(), Regexp(f"^-?({'|'.join(SORT_COLUMNS)})$", message="please choose a column.")
    )


class PageForm(Form):
    """A page of a list."""

    page = int_field("Page", 1, 10**9)


class PastedTextForm(Form):
    """Rows of contacts that were pasted."""

    text = StringField("Text")
    do_not_call = flag_field("Do not call these numbers")


class OptOutForm(Form):
    """A number that must not be called, or may be called again."""

    phone = text_field("Phone", MAX_LENGTHS["phone"], not_blank)


class SearchForm(Form):
    """A search."""

    q = text_field("Search", 100)


class ContactActionForm(Form):
    """What to do with many contacts."""

    action = choice_field("Action", *ACTIONS)
    list = text_field("List", 60)
    reason = text_field("Reason", 80)
    priority = int_field("Priority", 1, 5)
    tag = text_field("Tag", 40)
