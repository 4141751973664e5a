"""The dataclasses that are passed between modules.

Most are rows of the database. Times (`*_at`, `*_until`) are seconds since the epoch, durations (`*_s`) are in
seconds, and a `day` is a date such as "2026-11-21".
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from zoneinfo import ZoneInfo

WALK_IN = "walk-in"
CALLS = "calls"  # the kind of a call list, and the series of its tickets: it sorts after every day
BY_PUSH, BY_MAIL = "push", "mail"  # the channels of a subscription


@dataclass(frozen=True)
class Place:
    """A shop or a lab, for example: it has queues, counters and servicers."""

    id: int
    slug: str
    name: str
    timezone: str
    country: str
    manage_token: str
    staff_token: str
    series: str  # the series of the latest write; see transitions.current_series()
    day_starts: int  # the hour at which its day starts
    wait_goal_minutes: int  # the owner wants nine of ten waits to be shorter
    created_at: float
    thanks: str | None  # what a ticket says at its end, in the owner's words
    colour: str | None  # "#c2371d"
    logo_at: float | None  # when the logo was stored; None: there is none
    address: str | None  # the host that phones use, of several that this machine has
    max_delays: int  # how often a customer may ask for more time
    keeps_wait: bool  # customers who are moved to another queue keep their waiting time
    steps_done: str  # words for items of the owner's first checklist, such as "poster"
    alert_email: str | None  # who is mailed when people wait too long
    alert_from: int  # minute of the day; see alerts.py
    alert_to: int

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of its clocks."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True)
class Queue:
    """A line in a place, or a call list."""

    id: int
    place_id: int
    counter_id: int | None  # the counter that admits this queue
    slug: str
    name: str
    kind: str  # WALK_IN or CALLS
    prefix: str
    asks: str  # what customers are asked for, such as "name phone"
    series: str  # the series in which `last_number` was given
    staff_email: str | None
    open: bool
    max_waiting: int
    shared_tablet: bool
    last_number: int
    waiting: int  # number of waiting tickets; on a call list also those that aren't due yet
    usual_service_s: int  # the owner's guess
    claim_minutes: int  # this and the following: of a call list
    retry_minutes: int
    most_tries: int
    public_form: bool
    restricted: bool  # only its callers may work on it
    calling_from: int  # minute of the contact's day; see calling_hours.py
    calling_to: int
    call_order: str  # "due": in the order in which they are due; or "random"
    requires: str  # the tags that its callers need, as stored
    created_at: float
    position: int  # among the queues of its kind

    @property
    def is_call_list(self) -> bool:
        """True for a call list, False for a walk-in queue."""
        return self.kind == CALLS


@dataclass(frozen=True)
class Servicer:
    """A person who serves at a desk, or makes calls."""

    id: int
    place_id: int
    name: str
    desk: str | None
    token: str
    browser: str | None
    all_queues: bool
    on_duty: bool
    tags: str  # what they are trained for, as stored
    created_at: float
    shift_ended_at: float | None  # when they ended their shift; None: they didn't


@dataclass(frozen=True)
class CustomerDetails:
    """What a customer can tell when taking a number; each queue asks for some of it.

    Each field is also a column of the table `ticket`, a field of Ticket, and a field of forms.CustomerForm.
    """

    party: int | None = None  # number of people
    name: str | None = None
    phone: str | None = None
    note: str | None = None


DETAILS = tuple(field.name for field in fields(CustomerDetails))


@dataclass(frozen=True)
class Ticket:
    """A customer's way through a queue, or a call's through a call list.

    The fields with a default come from other tables and are filled in by SELECT_TICKETS only.
    """

    id: int
    place_id: int
    queue_id: int
    servicer_id: int | None
    contact_id: int | None  # set on a call
    token: str
    series: str
    number: str  # the label, such as "A7"
    state: str
    request_key: str | None
    browser: str | None
    name: str | None
    phone: str | None
    note: str | None
    reason: str | None
    claim: str | None  # the id of the latest claim
    ordinal: int  # the number without its prefix
    priority: int  # 1 is called first, 3 is normal
    party: int | None  # number of people
    wait_from: int | None  # the range of the wait that the customer was shown, in seconds
    wait_to: int | None
    tries: int  # attempts that nobody answered
    by_phone: bool  # a walk-in customer who is to be phoned when it's their turn
    joined_at: float
    taken_at: float
    first_called_at: float | None
    called_at: float | None
    started_at: float | None
    ended_at: float | None
    claimed_until: float | None
    away_until: float | None  # the customer lets others go first until this time
    delays: int  # how often they asked for more time
    mail_to: str | None  # who wants to be mailed when the request for this call is over
    desk_note: str | None  # what a desk wrote for the other desks
    step_number: int | None  # the step of its plan that it is in; None: it has no plan. See plans.py
    step_count: int | None
    moved_at: float | None  # when it came to its queue from the step before; None in its first step
    step_called_at: float | None  # when it was first called there since

    queue: str = ""  # the queue's slug
    queue_name: str = ""
    servicer: str | None = None  # the servicer's name
    desk: str | None = None
    door: str | None = None  # name of the counter that called the customer to its door
    held_until: float | None = None  # until when that counter holds a space
    wait_s: float | None = None
    service_s: float | None = None
    total_s: float | None = None

    @property
    def promised_until(self) -> float | None:
        """Return when the range ends that the customer was shown; None if it wasn't for the present queue."""
        if self.wait_to is None or self.moved_at is not None:
            return None
        return self.taken_at + self.wait_to

    @property
    def is_call(self) -> bool:
        """True for a ticket of a call list."""
        return self.contact_id is not None


@dataclass(frozen=True)
class Subscription:
    """A browser or an email address that is told about a ticket, or a device of the owner's."""

    id: int
    place_id: int
    ticket_id: int | None  # None: a device of the owner's; see alert_targets.py
    channel: str  # BY_PUSH or BY_MAIL
    endpoint: str  # the URL of the browser's push service, or the address
    p256dh: str | None
    auth: str | None
    address_key: str | None
    ticket_url: str
    not_me_url: str | None
    names_place: bool  # False: a mail must not name the place
    soon_at: float | None
    created_at: float


@dataclass(frozen=True)
class Step:
    """A step of a ticket's plan: a queue that its customer passes through."""

    ticket_id: int
    number: int  # counted from 1
    queue_id: int
    queue: str  # the queue's slug
    queue_name: str


@dataclass(frozen=True)
class Counter:
    """A count of the people inside, with the queue that it admits."""

    id: int
    place_id: int
    slug: str
    name: str
    empties: str  # "day" or "never"
    day: str  # the day of the latest write
    capacity: int
    inside: int  # as stored; `people` is the count now
    hold_minutes: int
    created_at: float
    recounted_at: float
    people: int  # the count now: 0 on a new day, when it empties itself
    held: int  # spaces reserved for customers who were called to the door
    queue_id: int | None = None  # the queue that it admits
    admits: str | None = None  # the slug of that queue

    @property
    def level(self) -> str:
        """How full it is, reserved spaces included: "free", "nearly" (from 80 %) or "full"."""
        taken = max(0, self.people) + self.held
        if taken >= self.capacity:
            return "full"
        return "nearly" if 5 * taken >= 4 * self.capacity else "free"


@dataclass(frozen=True)
class Door:
    """A page with + and − that counts for a counter."""

    id: int
    counter_id: int
    name: str
    token: str
    created_at: float
    code: str | None = None  # the one-time code that leads to it, while it is valid
    code_ends_at: float | None = None


@dataclass(frozen=True)
class OneTimeCode:
    """A code to read out that leads to a door's link or to the staff link."""

    digits: str
    ends_at: float


@dataclass(frozen=True)
class Contact:
    """A person or place that can be called."""

    id: int
    place_id: int
    name: str
    phone: str  # +493012345678, perhaps with ;ext=12
    email: str | None
    address: str | None
    notes: str | None
    tags: str  # as stored: "\na\nb\n", or empty
    reference: str | None
    timezone: str | None
    search: str  # what the owner's search looks through
    last_outcome: str | None
    do_not_call: bool
    last_called_at: float | None
    created_at: float
    changed_at: float
    forgotten_at: float | None

    @property
    def tag_list(self) -> list[str]:
        """The tags, in the order in which they were added."""
        return self.tags.split("\n")[1:-1]


@dataclass(frozen=True)
class Call:
    """A ticket of a call list, with the list and the contact."""

    ticket: Ticket
    call_list: Queue
    contact: Contact


@dataclass(frozen=True)
class Report:
    """A caller's account of a call; the last three fields are filled in by some queries only."""

    id: int
    place_id: int
    queue_id: int | None
    contact_id: int | None
    ticket_id: int | None
    servicer_id: int | None
    claim: str
    outcome: str
    effect: str
    notes: str | None
    referred_to: str | None  # name of a call list or a service
    closed: bool  # it ended the call
    incoming: bool  # the contact phoned in
    seconds: int  # duration of the call
    call_back_at: float | None
    created_at: float

    servicer: str | None = None
    list: str | None = None  # name of the call list
    name: str | None = None  # name of the contact


@dataclass(frozen=True)
class Reason:
    """Why somebody is called, in the owner's words."""

    id: int
    name: str


@dataclass(frozen=True)
class Outcome:
    """How a call can end, in the owner's words, and what follows from it."""

    id: int
    name: str
    effect: str  # one of wordlists.EFFECTS


@dataclass(frozen=True)
class ReferralService:
    """A service outside that a caller can refer somebody to."""

    id: int
    name: str
    phone: str | None
    link: str | None


@dataclass(frozen=True)
class WaitRange:
    """A range of the wait in seconds, both ends whole minutes: 8 of 10 customers are called within it."""

    from_s: int
    to_s: int


@dataclass(frozen=True)
class OrphanCopy:
    """What a server answered before it noticed that another server had taken over."""

    name: str  # of the copy, in the place for backups
    at: float
    tickets: int  # in the whole copy


@dataclass(frozen=True)
class TakeOver:
    """The latest take-over from a server that didn't answer."""

    at: float
    copy_at: float  # when the newest copy was made: later changes are lost


@dataclass(frozen=True)
class BackupStatus:
    """How the backups of this server are."""

    state: str  # "green", "amber" or "red"
    role: str  # "holder" of the lease, "handing over", "restoring", or "standby"
    last_at: float | None
    behind_s: int  # age of the oldest change that is in no copy
    verified_at: float | None
    verified_tickets: int | None
    problem: str | None
    term: int = 0
    confirmed: bool = True  # False: the place for backups can't be asked whether this is still the holder
    take_over: TakeOver | None = None
    orphans: tuple[OrphanCopy, ...] = ()
