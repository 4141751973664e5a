"""Call lists: contacts, calls and their reports, the owner's lists, files of contacts, mail to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

REBUILT = {"recreate": "always", "table_kwargs": {"sqlite_autoincrement": True}}
TYPES = {"text": sa.Text, "whole": sa.Integer, "at": sa.Double, "of": sa.Integer}


def upgrade() -> None:
    _owners_lists()
    _contacts()
    _queues()
    _tickets()
    _reports()
    _events()
    _table(
        "import_file",
        "of place, text state name? columns why?, whole rows read add_rows change_rows"
        " refuse_rows, at created_at",
    )
    _index("import_file_place", "import_file", "place_id")
    columns = "name? phone? email? address? notes? tags? reference? timezone? search? why?"
    _table("import_row", f"of import_file, text what {columns}, whole number do_not_call contact?")
    _index("import_row_number", "import_row", "import_file_id number", unique=True)
    _table(
        "mail", "of place contact?, text recipient subject content why?, whole tries, at due_at created_at"
    )
    _index("mail_due", "mail", "due_at")
    _index("mail_place", "mail", "place_id")
    _index("mail_contact", "mail", "contact_id", "contact_id IS NOT NULL")


def _owners_lists() -> None:
    _table("caller", "of queue servicer")
    _index("caller_both", "caller", "queue_id servicer_id", unique=True)
    _index("caller_servicer", "caller", "servicer_id")
    for name, columns in (("reason", ""), ("outcome", " effect"), ("service", " phone? link?")):
        _table(name, f"of place, text name{columns}")
        _index(f"{name}_once", name, "place_id name", unique=True)


def _contacts() -> None:
    columns = (
        "of place, text name phone email? address? notes? tags reference? timezone? search last_outcome?"
    )
    _table("contact", f"{columns}, whole do_not_call, at last_called_at? created_at changed_at forgotten_at?")
    there = "forgotten_at IS NULL"
    _index("contact_reference", "contact", "place_id reference", "reference IS NOT NULL", unique=True)
    _index("contact_phone", "contact", "place_id phone")
    filtered = "last_called_at last_outcome tags do_not_call forgotten_at"
    _index("contact_search", "contact", f"place_id search id {filtered}", there)
    _index("contact_tags", "contact", "place_id tags", "tags <> ''")
    _index("contact_called", "contact", "place_id last_called_at id", there)
    _index("contact_personal", "contact", "changed_at", there)


def _queues() -> None:
    # What the code says from now on, and until then for the queues that are there.
    news = {"claim_minutes": "20", "retry_minutes": "60", "most_tries": "3", "public_form": "0"}
    news["restricted"] = "0"
    before = "usual_service_s"
    with op.batch_alter_table("queue", **REBUILT) as table:
        table.add_column(sa.Column("staff_email", sa.Text()), insert_after="series")
        for name, default in news.items():
            column = sa.Column(name, sa.Integer(), nullable=False, server_default=default)
            table.add_column(column, insert_after=before)
            before = name
    with op.batch_alter_table("queue", **REBUILT) as table:
        for name in news:
            table.alter_column(name, server_default=None)


def _tickets() -> None:
    with op.batch_alter_table("ticket", **REBUILT) as table:
        contact = sa.Column("contact_id", sa.Integer(), sa.ForeignKey("contact.id", name="to_be_called"))
        table.add_column(contact, insert_after="servicer_id")
        table.add_column(sa.Column("reason", sa.Text()), insert_after="note")
        table.add_column(sa.Column("claim", sa.Text()), insert_after="reason")
        for name, before in (("tries", "wait_to"), ("by_phone", "tries")):
            column = sa.Column(name, sa.Integer(), nullable=False, server_default="0")
            table.add_column(column, insert_after=before)
        table.add_column(sa.Column("claimed_until", sa.Double()), insert_after="ended_at")
    with op.batch_alter_table("ticket", **REBUILT) as table:
        table.alter_column("tries", server_default=None)
        table.alter_column("by_phone", server_default=None)
    _index("ticket_claim", "ticket", "claim", "claim IS NOT NULL", unique=True)
    _index("ticket_claimed_until", "ticket", "queue_id claimed_until", "claimed_until IS NOT NULL")
    _index("ticket_contact", "ticket", "contact_id", "contact_id IS NOT NULL")
    still_open = "contact_id IS NOT NULL AND state IN ('waiting', 'called', 'serving')"
    _index("ticket_one_a_contact", "ticket", "contact_id queue_id", still_open, unique=True)


def _reports() -> None:
    columns = "of place queue? contact? ticket? servicer?, text claim outcome effect notes? referred_to?"
    _table("report", f"{columns}, whole closed incoming seconds, at call_back_at? created_at")
    _index("report_claim", "report", "claim", unique=True)
    for name in ("contact", "queue", "servicer"):
        _index(f"report_{name}", "report", f"{name}_id created_at", f"{name}_id IS NOT NULL")
    _index("report_ticket", "report", "ticket_id", "ticket_id IS NOT NULL")
    _index("report_place", "report", "place_id created_at")
    _index("report_personal", "report", "created_at", "notes IS NOT NULL")


def _events() -> None:
    with op.batch_alter_table("event", **REBUILT) as table:
        contact = sa.Column("contact_id", sa.Integer(), sa.ForeignKey("contact.id", name="about"))
        table.add_column(contact, insert_after="door_id")
    _index("event_public", "event", "place_id id", "contact_id IS NULL")
    _index("event_contact", "event", "contact_id", "contact_id IS NOT NULL")
    _index("event_claim", "event", "detail", "kind = 'claim'", unique=True)


def _table(name: str, columns: str) -> None:
    # "of place, text name phone?": columns by their type; one with a question mark may be null.
    made = [sa.Column("id", sa.Integer(), primary_key=True)]
    for group in columns.split(", "):
        kind, *names = group.split()
        for each in names:
            parent = [sa.ForeignKey(f"{each.rstrip('?')}.id")] if kind == "of" else []
            label = f"{each.rstrip('?')}_id" if parent else each.rstrip("?")
            made.append(sa.Column(label, TYPES[kind](), *parent, nullable=each.endswith("?")))
    op.create_table(name, *made, sqlite_autoincrement=True)


def _index(name: str, table: str, columns: str, where: str | None = None, unique: bool = False) -> None:
    only = sa.text(where) if where else None
    op.create_index(name, table, columns.split(), unique=unique, sqlite_where=only, postgresql_where=only)
