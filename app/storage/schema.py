"""The tables. Columns named `*_at` hold seconds since the epoch, UTC; flags hold 0 or 1.

A change here needs a migration in migrations/versions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Double, ForeignKey, Index, LargeBinary, MetaData, Table, text

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
SCHEMA = "0013"  # the newest of MIGRATIONS / "versions": the schema that this code reads and writes

metadata = MetaData()

# On PostgreSQL, whole numbers have 64 bits and texts are compared by their bytes, as SQLite has it.
Integer = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def is_newer(schema: str) -> bool:
    """Return True when a schema belongs to a newer version of the code than this one."""
    return not (MIGRATIONS / "versions" / f"{schema}.py").exists()


def only_where(condition: str) -> dict[str, Any]:
    """Return the options that limit an index to the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


place = Table(
    "place",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("manage_token", Text, nullable=False),
    Column("staff_token", Text, nullable=False),
    Column("series", Text, nullable=False),  # the series of the latest write
    Column("day_starts", Integer, nullable=False),  # hour
    Column("wait_goal_minutes", Integer, nullable=False),  # nine of ten waits should be shorter
    Column("created_at", Double, nullable=False),
    Column("deleted_at", Double, nullable=True),
    Column("thanks", Text, nullable=True),  # what a ticket says at its end, in the owner's words
    Column("colour", Text, nullable=True),  # "#c2371d"
    Column("logo_at", Double, nullable=True),  # when the logo was stored; NULL: there is none
    Column("address", Text, nullable=True),  # the host that phones use, of several that this machine has
    # Words for the items of the owner's first checklist that are done, such as "poster"
    Column("steps_done", Text, nullable=False, server_default=""),
    # How often a customer may ask for more time
    Column("max_delays", Integer, nullable=False, server_default="2"),
    # 1: a customer who is moved to another queue waits there by when they took their number
    Column("keeps_wait", Integer, nullable=False, server_default="0"),
    Column("alert_email", Text, nullable=True),  # who is mailed when people wait too long
    # The minutes of the day between which the owner gets alerts.
    Column("alert_from", Integer, nullable=False, server_default="480"),
    Column("alert_to", Integer, nullable=False, server_default="1200"),
    Index("place_slug", "slug", unique=True, **only_where("deleted_at IS NULL")),
    sqlite_autoincrement=True,
)

logo = Table(
    "logo",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("mimetype", Text, nullable=False),
    Column("image", Text, nullable=False),  # in base64, so that the export can hold it
    Index("logo_place", "place_id", unique=True),
    sqlite_autoincrement=True,
)

counter = Table(
    "counter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("empties", Text, nullable=False),  # "day": resets to zero at the start of the day; or "never"
    Column("day", Text, nullable=False),  # the day of the latest write
    Column("capacity", Integer, nullable=False),
    Column("inside", Integer, nullable=False),  # the sum of all counted events
    Column("hold_minutes", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("recounted_at", Double, nullable=False),
    Column("deleted_at", Double, nullable=True),
    Column("told_full", Integer, nullable=False, server_default="0"),  # 1: webhooks were told that it is full
    Index("counter_slug", "place_id", "slug", unique=True, **only_where("deleted_at IS NULL")),
    sqlite_autoincrement=True,
)

door = Table(
    "door",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("counter_id", Integer, ForeignKey("counter.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("removed_at", Double, nullable=True),
    Index("door_counter", "counter_id"),
    Index("door_token", "token", unique=True),
    sqlite_autoincrement=True,
)

# One-time codes to read out. One without a door leads to the staff link.
code = Table(
    "code",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("door_id", Integer, ForeignKey("door.id"), nullable=True),
    Column("digits", Text, nullable=False),
    Column("ends_at", Double, nullable=False),
    Index("code_once", "place_id", "digits", unique=True),
    sqlite_autoincrement=True,
)

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("counter_id", Integer, ForeignKey("counter.id"), nullable=True),  # the counter that admits it
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # "walk-in" or "calls"
    Column("prefix", Text, nullable=False),
    Column("asks", Text, nullable=False),  # what customers are asked for: "name phone"
    Column("series", Text, nullable=False),  # the series in which last_number was given
    Column("staff_email", Text, nullable=True),
    Column("open", Integer, nullable=False),
    Column("max_waiting", Integer, nullable=False),
    Column("shared_tablet", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),  # number of waiting tickets
    Column("usual_service_s", Integer, nullable=False),
    Column("claim_minutes", Integer, nullable=False),  # this and the next four: of a call list
    Column("retry_minutes", Integer, nullable=False),
    Column("most_tries", Integer, nullable=False),
    Column("public_form", Integer, nullable=False),
    Column("restricted", Integer, nullable=False),  # 1: only its callers may work on it
    Column("created_at", Double, nullable=False),
    Column("deleted_at", Double, nullable=True),
    # Of a call list: the minutes of the contact's day between which calls are handed out.
    Column("calling_from", Integer, nullable=False, server_default="540"),
    Column("calling_to", Integer, nullable=False, server_default="1200"),
    Column("call_order", Text, nullable=False, server_default="due"),  # or "random"
    Column("requires", Text, nullable=False, server_default=""),  # tags that its callers need, as in contact
    Column("position", Integer, nullable=False, server_default="0"),  # among the queues of its kind
    Index("queue_prefix", "place_id", "prefix", unique=True, **only_where("deleted_at IS NULL")),
    Index("queue_slug", "place_id", "slug", unique=True, **only_where("deleted_at IS NULL")),
    sqlite_autoincrement=True,
)

servicer = Table(
    "servicer",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("desk", Text, nullable=True),
    Column("token", Text, nullable=False),
    Column("browser", Text, nullable=True),
    Column("all_queues", Integer, nullable=False),
    Column("on_duty", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("removed_at", Double, nullable=True),
    Column("tags", Text, nullable=False, server_default=""),  # what they are trained for, as in contact
    Column("shift_ended_at", Double, nullable=True),  # when they ended their shift; NULL: they didn't
    Index("servicer_place", "place_id"),
    Index("servicer_token", "token", unique=True),
    sqlite_autoincrement=True,
)

# The queues that a servicer chose, unless they serve all.
servicer_queue = Table(
    "servicer_queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=False),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=False),
    Index("servicer_queue_both", "servicer_id", "queue_id", unique=True),
    Index("servicer_queue_queue", "queue_id"),
    sqlite_autoincrement=True,
)

# Who may work on a restricted call list.
caller = Table(
    "caller",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=False),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=False),
    Index("caller_both", "queue_id", "servicer_id", unique=True),
    Index("caller_servicer", "servicer_id"),
    sqlite_autoincrement=True,
)

# The owner's own words for calls: why somebody is called, how it went, and who else can help.
reason = Table(
    "reason",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("name", Text, nullable=False),
    Index("reason_once", "place_id", "name", unique=True),
    sqlite_autoincrement=True,
)

outcome = Table(
    "outcome",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("effect", Text, nullable=False),  # one of EFFECTS in core/wordlists.py
    Index("outcome_once", "place_id", "name", unique=True),
    sqlite_autoincrement=True,
)

service = Table(
    "service",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=True),
    Column("link", Text, nullable=True),
    Index("service_once", "place_id", "name", unique=True),
    sqlite_autoincrement=True,
)

contact = Table(
    "contact",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("email", Text, nullable=True),
    Column("address", Text, nullable=True),
    Column("notes", Text, nullable=True),
    Column("tags", Text, nullable=False),  # "\na\nb\n", or empty
    Column("reference", Text, nullable=True),
    Column("timezone", Text, nullable=True),
    Column("search", Text, nullable=False),  # what the owner's search looks through
    Column("last_outcome", Text, nullable=True),
    Column("do_not_call", Integer, nullable=False),
    Column("last_called_at", Double, nullable=True),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("forgotten_at", Double, nullable=True),
    Index("contact_called", "place_id", "last_called_at", "id", **only_where("forgotten_at IS NULL")),
    Index("contact_personal", "changed_at", **only_where("forgotten_at IS NULL")),
    Index("contact_phone", "place_id", "phone"),
    Index("contact_reference", "place_id", "reference", unique=True, **only_where("reference IS NOT NULL")),
    # Everything that contacts are filtered by, so that counting them reads this index and no row.
    Index(
        "contact_search",
        "place_id",
        "search",
        "id",
        "last_called_at",
        "last_outcome",
        "tags",
        "do_not_call",
        "forgotten_at",
        **only_where("forgotten_at IS NULL"),
    ).ddl_if(dialect="sqlite"),
    Index("contact_tags", "place_id", "tags", **only_where("tags <> ''")).ddl_if(dialect="sqlite"),
    # An entry of an index of PostgreSQL has at most 2,704 bytes.
    Index("contact_place", "place_id", "id", **only_where("forgotten_at IS NULL")).ddl_if(
        dialect="postgresql"
    ),
    Index("contact_zone", "place_id", "timezone", **only_where("timezone IS NOT NULL")),
    sqlite_autoincrement=True,
)

# The numbers that nobody may call, without extensions. contact.do_not_call is 1 for every contact that has
# one of them; a number stays here when its contact is forgotten.
opt_out = Table(
    "opt_out",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("phone", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("opt_out_once", "place_id", "phone", unique=True),
    sqlite_autoincrement=True,
)

# The columns of a ticket that are erased some days after its end. The index `ticket_personal` finds those
# tickets that still hold any of them.
PERSONAL_OF_TICKET = ("name", "phone", "note", "mail_to", "desk_note")
HOLDS_PERSONAL_DATA = f"({' OR '.join(f'{column} IS NOT NULL' for column in PERSONAL_OF_TICKET)})"

ticket = Table(
    "ticket",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=False),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=True),
    Column("contact_id", Integer, ForeignKey("contact.id"), nullable=True),
    Column("token", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("request_key", Text, nullable=True),
    Column("browser", Text, nullable=True),
    Column("name", Text, nullable=True),
    Column("phone", Text, nullable=True),
    Column("note", Text, nullable=True),
    Column("reason", Text, nullable=True),
    Column("claim", Text, nullable=True),  # id of the latest claim
    Column("ordinal", Integer, nullable=False),  # the number without its prefix
    Column("priority", Integer, nullable=False),
    Column("party", Integer, nullable=True),
    # The range of the wait that the customer was shown, in seconds
    Column("wait_from", Integer, nullable=True),
    Column("wait_to", Integer, nullable=True),
    Column("tries", Integer, nullable=False),  # attempts that nobody answered
    Column("by_phone", Integer, nullable=False),  # 1: a walk-in customer who is to be phoned
    Column("joined_at", Double, nullable=False),
    Column("taken_at", Double, nullable=False),
    Column("first_called_at", Double, nullable=True),
    Column("called_at", Double, nullable=True),
    Column("started_at", Double, nullable=True),
    Column("ended_at", Double, nullable=True),
    Column("claimed_until", Double, nullable=True),
    # The number that is being called, without its extension: nobody else may be given it meanwhile.
    Column("held_phone", Text, nullable=True),
    Column("agreed", Integer, nullable=False, server_default="0"),  # 1: the contact chose when to be called
    Column("mail_to", Text, nullable=True),  # who wants to be mailed when the request for this call is over
    Column("away_until", Double, nullable=True),  # the customer lets others go first until this time
    Column("delays", Integer, nullable=False, server_default="0"),  # how often they asked for more time
    Column("soon_at", Double, nullable=True),  # when the place's webhooks were told that its turn comes soon
    Column("desk_note", Text, nullable=True),  # what a desk wrote for the other desks
    Column("step_number", Integer, nullable=True),  # the step of its plan that it is in; NULL: it has no plan
    Column("step_count", Integer, nullable=True),
    # When it came to its queue from the step before, and was first called there; NULL in its first step.
    Column("moved_at", Double, nullable=True),
    Column("step_called_at", Double, nullable=True),
    Index("ticket_away", "away_until", **only_where("away_until IS NOT NULL")),
    Index("ticket_browser", "browser", **only_where("browser IS NOT NULL")),
    Index("ticket_called", "place_id", "queue_id", **only_where("state IN ('called', 'serving')")),
    Index("ticket_claim", "claim", unique=True, **only_where("claim IS NOT NULL")),
    Index("ticket_claimed_until", "queue_id", "claimed_until", **only_where("claimed_until IS NOT NULL")),
    Index("ticket_contact", "contact_id", **only_where("contact_id IS NOT NULL")),
    Index("ticket_ended_desk", "servicer_id", "ended_at", **only_where("ended_at IS NOT NULL")),
    Index("ticket_ended_queue", "queue_id", "ended_at", **only_where("ended_at IS NOT NULL")),
    Index("ticket_held", "place_id", "held_phone", unique=True, **only_where("held_phone IS NOT NULL")),
    Index(
        "ticket_line", "queue_id", "priority", "joined_at", "id", "series", **only_where("state = 'waiting'")
    ),
    Index("ticket_moved", "place_id", "series", **only_where("moved_at IS NOT NULL")),
    Index("ticket_number", "place_id", "series", "number", unique=True),
    Index(
        "ticket_one_a_contact",
        "contact_id",
        "queue_id",
        unique=True,
        **only_where("contact_id IS NOT NULL AND state IN ('waiting', 'called', 'serving')"),
    ),
    Index("ticket_one_a_desk", "servicer_id", unique=True, **only_where("state IN ('called', 'serving')")),
    Index("ticket_personal", "ended_at", **only_where(HOLDS_PERSONAL_DATA)),
    Index("ticket_request", "request_key", unique=True, **only_where("request_key IS NOT NULL")),
    Index("ticket_token", "token", unique=True),
    sqlite_autoincrement=True,
)

# The steps of a ticket's plan: queues that its customer passes through, one after the other. The times are
# those of a step that is over; those of the present step are in the ticket.
step = Table(
    "step",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("ticket_id", Integer, ForeignKey("ticket.id"), nullable=False),
    Column("number", Integer, nullable=False),  # counted from 1
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=False),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=True),
    Column("came_at", Double, nullable=True),
    Column("first_called_at", Double, nullable=True),
    Column("called_at", Double, nullable=True),
    Column("started_at", Double, nullable=True),
    Column("ended_at", Double, nullable=True),  # NULL: the present step, or one to come
    Index("step_once", "ticket_id", "number", unique=True),
    Index("step_place", "place_id"),
    Index("step_queue", "queue_id", "ended_at"),
    Index("step_servicer", "servicer_id", "ended_at", **only_where("servicer_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

report = Table(
    "report",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=True),
    Column("contact_id", Integer, ForeignKey("contact.id"), nullable=True),
    Column("ticket_id", Integer, ForeignKey("ticket.id"), nullable=True),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=True),
    # The claim it reports; unique, so that a repeated request stores one report
    Column("claim", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("notes", Text, nullable=True),
    Column("referred_to", Text, nullable=True),  # name of a list or a service
    Column("closed", Integer, nullable=False),
    Column("incoming", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),  # duration of the call
    Column("call_back_at", Double, nullable=True),
    Column("created_at", Double, nullable=False),
    Index("report_call_back", "place_id", "call_back_at", **only_where("call_back_at IS NOT NULL")),
    Index("report_claim", "claim", unique=True),
    Index("report_contact", "contact_id", "created_at", **only_where("contact_id IS NOT NULL")),
    Index("report_personal", "created_at", **only_where("notes IS NOT NULL")),
    Index("report_place", "place_id", "created_at"),
    Index("report_queue", "queue_id", "created_at", **only_where("queue_id IS NOT NULL")),
    Index("report_servicer", "servicer_id", "created_at", **only_where("servicer_id IS NOT NULL")),
    Index("report_ticket", "ticket_id", **only_where("ticket_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

# The history: one row for every change in a place. It holds no personal data.
event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=True),
    Column("ticket_id", Integer, ForeignKey("ticket.id"), nullable=True),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=True),
    Column("counter_id", Integer, ForeignKey("counter.id"), nullable=True),
    Column("door_id", Integer, ForeignKey("door.id"), nullable=True),
    Column("contact_id", Integer, ForeignKey("contact.id"), nullable=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=True),  # the new state of the ticket
    Column("desk", Text, nullable=True),
    Column("detail", Text, nullable=True),
    Column("tap", Text, nullable=True),  # the tap's id
    Column("delta", Integer, nullable=True),
    Column("happened_at", Double, nullable=False),
    Index("event_calls", "place_id", "id", **only_where("kind IN ('call', 'call-again')")),
    Index("event_claim", "detail", unique=True, **only_where("kind = 'claim'")),
    Index("event_contact", "contact_id", **only_where("contact_id IS NOT NULL")),
    Index(
        "event_counter", "counter_id", "happened_at", "kind", "delta", **only_where("counter_id IS NOT NULL")
    ),
    Index(
        "event_duty",
        "servicer_id",
        "happened_at",
        **only_where("kind IN ('start-serving', 'pause', 'resume')"),
    ),
    Index("event_place", "place_id", "id"),
    Index("event_public", "place_id", "id", **only_where("contact_id IS NULL")),
    Index("event_tap", "counter_id", "tap", unique=True, **only_where("tap IS NOT NULL")),
    Index("event_ticket", "ticket_id"),
    sqlite_autoincrement=True,
)

# A file of contacts, from its upload until it is stored or discarded.
import_file = Table(
    "import_file",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("name", Text, nullable=True),
    Column("columns", Text, nullable=False),  # JSON: heading of each column and the field it is read as
    Column("why", Text, nullable=True),
    Column("rows", Integer, nullable=False),
    Column("read", Integer, nullable=False),
    Column("add_rows", Integer, nullable=False),
    Column("change_rows", Integer, nullable=False),
    Column("refuse_rows", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("layout", Text, nullable=True),  # JSON: how the content is read again
    Index("import_file_place", "place_id"),
    sqlite_autoincrement=True,
)

# A row of such a file: a new contact in full, or what changes in a known one.
import_row = Table(
    "import_row",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("import_file_id", Integer, ForeignKey("import_file.id"), nullable=False),
    Column("what", Text, nullable=False),  # add, change, same or refuse
    Column("name", Text, nullable=True),
    Column("phone", Text, nullable=True),
    Column("email", Text, nullable=True),
    Column("address", Text, nullable=True),
    Column("notes", Text, nullable=True),
    Column("tags", Text, nullable=True),
    Column("reference", Text, nullable=True),
    Column("timezone", Text, nullable=True),
    Column("search", Text, nullable=True),
    Column("why", Text, nullable=True),
    Column("number", Integer, nullable=False),  # as a spreadsheet numbers rows
    Column("do_not_call", Integer, nullable=False),
    Column("contact", Integer, nullable=True),  # id of the known contact
    Column("value", Text, nullable=True),  # of a refused row: the cell that is wrong
    Column("cells", Text, nullable=True),  # JSON, of a refused row: its cells, so that they can be downloaded
    Column("other_phones", Text, nullable=True),  # of somebody who must not be called: "+4930… +49171…"
    Index("import_row_number", "import_file_id", "number", unique=True),
    sqlite_autoincrement=True,
)

# The text of such a file, compressed, so that the owner can choose what its columns are.
import_content = Table(
    "import_content",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("import_file_id", Integer, ForeignKey("import_file.id"), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("import_content_file", "import_file_id", unique=True),
    sqlite_autoincrement=True,
)

# What the owner should know about a row; rows with the same `why` are shown together.
import_remark = Table(
    "import_remark",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("import_file_id", Integer, ForeignKey("import_file.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("refused", Integer, nullable=False),  # 1: the row can't be stored
    Column("why", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Index("import_remark_number", "import_file_id", "number"),
    Index("import_remark_why", "import_file_id", "refused", "why", "number"),
    sqlite_autoincrement=True,
)

# What the owner chose for the columns of a file, for the next file with the same headings.
column_choice = Table(
    "column_choice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("headings", Text, nullable=False),  # JSON
    Column("fields", Text, nullable=False),  # JSON: a field or null for each
    Column("used_at", Double, nullable=False),
    Index("column_choice_once", "place_id", "headings", unique=True).ddl_if(dialect="sqlite"),
    Index("column_choice_place", "place_id").ddl_if(dialect="postgresql"),  # headings may be long
    sqlite_autoincrement=True,
)

# A browser (by Web Push) or an email address that gets messages about a ticket. A row without a ticket is a
# device of the owner's that gets alerts; its ticket_url is that of the owner's page.
subscription = Table(
    "subscription",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("ticket_id", Integer, ForeignKey("ticket.id"), nullable=True),
    Column("channel", Text, nullable=False),  # "push" or "mail"
    Column("endpoint", Text, nullable=False),  # the URL of the browser's push service, or the address
    Column("p256dh", Text, nullable=True),  # the browser's public key
    Column("auth", Text, nullable=True),  # the browser's secret
    Column("address_key", Text, nullable=True),  # of the address, as in mail
    Column("ticket_url", Text, nullable=False),
    Column("not_me_url", Text, nullable=True),  # of the link in mails that blocks the address
    Column("names_place", Integer, nullable=False, server_default="1"),  # 0: a mail must not name the place
    Column("soon_at", Double, nullable=True),  # when it was told that it's their turn soon
    Column("created_at", Double, nullable=False),
    Index("subscription_once", "ticket_id", "endpoint", unique=True),
    Index("subscription_owner", "place_id", "endpoint", unique=True, **only_where("ticket_id IS NULL")),
    Index("subscription_place", "place_id"),
    Index("subscription_soon", "place_id", "ticket_id", **only_where("soon_at IS NULL")),
    sqlite_autoincrement=True,
)

# A message to everybody who waits.
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("servicer_id", Integer, ForeignKey("servicer.id"), nullable=True),  # NULL: the owner's
    Column("text", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("until_at", Double, nullable=True),
    Column("removed_at", Double, nullable=True),
    Index("notice_place", "place_id", **only_where("removed_at IS NULL")),
    sqlite_autoincrement=True,
)

# A URL of the owner's that every event of the place is posted to.
webhook = Table(
    "webhook",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # "whsec_…", see standardwebhooks.com
    Column("personal", Integer, nullable=False),  # 1: names, phone numbers and notes are sent, too
    Column("failures", Integer, nullable=False),  # since the last success
    Column("due_at", Double, nullable=False),  # not tried again before this time
    Column("paused_at", Double, nullable=True),
    Column("paused_because", Text, nullable=True),
    Column("created_at", Double, nullable=False),
    Column("told_at", Double, nullable=True),  # when the owner was told that it is paused
    Index("webhook_place", "place_id"),
    sqlite_autoincrement=True,
)

# The latest attempts to post to a webhook.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("webhook_id", Integer, ForeignKey("webhook.id"), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # "ticket.called"
    Column("ok", Integer, nullable=False),
    Column("status", Integer, nullable=True),  # of the response; NULL: there was none
    Column("answer", Text, nullable=True),  # the beginning of the response, or why there was none
    Column("duration_s", Double, nullable=False),
    Column("sent_at", Double, nullable=False),
    Index("delivery_place", "place_id"),
    Index("delivery_webhook", "webhook_id", "id"),
    sqlite_autoincrement=True,
)

# What the owner is told: people wait too long in a queue, or wait at an empty desk.
alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("queue_id", Integer, ForeignKey("queue.id"), nullable=False),
    Column("kind", Text, nullable=False),  # "wait" or "empty-desk"
    Column("since_at", Double, nullable=False),
    Column("told_at", Double, nullable=True),  # NULL: it hasn't lasted for long enough
    Index("alert_once", "queue_id", "kind", unique=True),
    Index("alert_place", "place_id"),
    sqlite_autoincrement=True,
)

# The outbox of mails (which it held first), push messages and webhooks; a row is deleted once it was sent.
mail = Table(
    "mail",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    # The contact it is about, even if somebody else receives it
    Column("contact_id", Integer, ForeignKey("contact.id"), nullable=True),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("why", Text, nullable=True),
    Column("tries", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("kind", Text, nullable=False, server_default="request"),  # see core/outbox.py
    Column("address_key", Text, nullable=True),  # of the recipient, see core/mail_addresses.py
    Column("target", Text, nullable=False, server_default="mail"),  # each target is sent to on its own
    Column("message_id", Text, nullable=True),  # of a webhook: the same each time it is tried
    Column("ticket_id", Integer, ForeignKey("ticket.id"), nullable=True),  # the ticket that it is about
    Column("subscription_id", Integer, ForeignKey("subscription.id"), nullable=True),
    Column("webhook_id", Integer, ForeignKey("webhook.id"), nullable=True),
    Column("expires_at", Double, nullable=True),  # too late to send it after this time
    Column("claimed_by", Text, nullable=True),  # the process that sends it just now
    Column("claimed_until", Double, nullable=True),
    Index("mail_address_key", "address_key"),
    Index("mail_contact", "contact_id", **only_where("contact_id IS NOT NULL")),
    Index("mail_due", "due_at"),
    Index("mail_place", "place_id"),
    Index("mail_subscription", "subscription_id", **only_where("subscription_id IS NOT NULL")),
    Index("mail_target_due", "due_at", "target", **only_where("webhook_id IS NULL")),
    Index("mail_ticket", "ticket_id", **only_where("ticket_id IS NOT NULL")),
    Index("mail_webhook", "webhook_id", "id", **only_where("webhook_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

# Addresses that a place has mailed, or wants to: by a key, so that the table holds no addresses.
mail_address = Table(
    "mail_address",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("address_key", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("asked_at", Double, nullable=True),
    Column("confirmed_at", Double, nullable=True),
    Column("created_at", Double, nullable=False),
    Index("mail_address_created", "created_at"),
    Index("mail_address_once", "place_id", "address_key", unique=True),
    Index("mail_address_token", "token", unique=True),
    sqlite_autoincrement=True,
)

# Addresses that want no mail from this server.
mail_block = Table(
    "mail_block",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("address_key", Text, nullable=False),
    Column("blocked_at", Double, nullable=False),
    Index("mail_block_once", "address_key", unique=True),
    sqlite_autoincrement=True,
)

# The mails of the last hour, for the limits.
mail_log = Table(
    "mail_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("place_id", Integer, ForeignKey("place.id"), nullable=False),
    Column("address_key", Text, nullable=False),
    Column("sent_at", Double, nullable=False),
    Index("mail_log_address", "address_key", "sent_at"),
    Index("mail_log_place", "place_id", "sent_at"),
    Index("mail_log_sent", "sent_at"),
    sqlite_autoincrement=True,
)

# Values that belong to the whole database, such as `secret_key` and `epoch`.
fact = Table(
    "fact",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Index("fact_name", "name", unique=True),
    sqlite_autoincrement=True,
)
