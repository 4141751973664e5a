"""Do-not-call numbers, calling hours, call order, training tags, and one caller for each number."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "opt_out",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("opt_out_once", "opt_out", ["place_id", "phone"], unique=True)
    op.add_column("queue", sa.Column("calling_from", sa.Integer(), nullable=False, server_default="540"))
    op.add_column("queue", sa.Column("calling_to", sa.Integer(), nullable=False, server_default="1200"))
    op.add_column("queue", sa.Column("call_order", sa.Text(), nullable=False, server_default="due"))
    op.add_column("queue", sa.Column("requires", sa.Text(), nullable=False, server_default=""))
    op.add_column("servicer", sa.Column("tags", sa.Text(), nullable=False, server_default=""))
    op.add_column("ticket", sa.Column("held_phone", sa.Text(), nullable=True))
    op.add_column("ticket", sa.Column("agreed", sa.Integer(), nullable=False, server_default="0"))
    held = sa.text("held_phone IS NOT NULL")
    op.create_index(
        "ticket_held",
        "ticket",
        ["place_id", "held_phone"],
        unique=True,
        sqlite_where=held,
        postgresql_where=held,
    )
    zone = sa.text("timezone IS NOT NULL")
    op.create_index(
        "contact_zone", "contact", ["place_id", "timezone"], sqlite_where=zone, postgresql_where=zone
    )
    _hold_numbers()
    _opt_numbers_out()


def _hold_numbers() -> None:
    """Let each call that somebody is making now hold its number; of two calls of a number, the older one."""
    op.execute(
        """UPDATE ticket SET held_phone = (SELECT phone FROM contact WHERE contact.id = contact_id)
           WHERE id IN (SELECT min(busy.id) FROM ticket AS busy JOIN contact ON contact.id = busy.contact_id
                        WHERE busy.state = 'called' AND contact.forgotten_at IS NULL
                        GROUP BY busy.place_id, contact.phone)"""
    )


def _opt_numbers_out() -> None:
    """Opt out the numbers of contacts that must not be called, for everybody who has them."""
    db = op.get_bind()
    now = time.time()
    contacts = db.execute(
        sa.text("SELECT id, place_id, phone, do_not_call FROM contact WHERE forgotten_at IS NULL")
    ).all()
    numbers = {
        (contact.place_id, contact.phone.partition(";")[0]) for contact in contacts if contact.do_not_call
    }
    for place_id, phone in sorted(numbers):
        db.execute(
            sa.text("INSERT INTO opt_out (place_id, phone, created_at) VALUES (:place, :phone, :now)"),
            {"place": place_id, "phone": phone, "now": now},
        )
    for contact in contacts:
        if not contact.do_not_call and (contact.place_id, contact.phone.partition(";")[0]) in numbers:
            db.execute(sa.text("UPDATE contact SET do_not_call = 1 WHERE id = :id"), {"id": contact.id})
    forbidden = """state = 'waiting' AND contact_id IS NOT NULL
                   AND contact_id IN (SELECT id FROM contact WHERE do_not_call = 1)"""
    op.execute(
        f"""UPDATE queue SET waiting = waiting
              - (SELECT count(*) FROM ticket WHERE queue_id = queue.id AND {forbidden})"""
    )
    db.execute(
        sa.text(f"UPDATE ticket SET state = 'cancelled', ended_at = :now WHERE {forbidden}"), {"now": now}
    )
