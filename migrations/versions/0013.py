"""Alerts to the owner: who gets them, when, and which are under way."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("place", sa.Column("alert_email", sa.Text(), nullable=True))
    op.add_column("place", sa.Column("alert_from", sa.Integer(), nullable=False, server_default="480"))
    op.add_column("place", sa.Column("alert_to", sa.Integer(), nullable=False, server_default="1200"))
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("queue_id", sa.Integer(), sa.ForeignKey("queue.id"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since_at", sa.Double(), nullable=False),
        sa.Column("told_at", sa.Double(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("alert_once", "alert", ["queue_id", "kind"], unique=True)
    op.create_index("alert_place", "alert", ["place_id"])
    op.add_column("webhook", sa.Column("told_at", sa.Double(), nullable=True))
    op.execute("UPDATE webhook SET told_at = paused_at WHERE paused_because IS NOT NULL")
    # A subscription without a ticket is a device of the owner's.
    rebuilt = {"sqlite_autoincrement": True}
    with op.batch_alter_table("subscription", table_kwargs=rebuilt) as table:
        table.alter_column("ticket_id", existing_type=sa.Integer(), nullable=True)
    where = sa.text("ticket_id IS NULL")
    op.create_index(
        "subscription_owner",
        "subscription",
        ["place_id", "endpoint"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
