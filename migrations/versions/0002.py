"""Counters with their doors and codes, taps in the history, and queues that a counter admits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "counter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("empties", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("inside", sa.Integer(), nullable=False),
        sa.Column("hold_minutes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("recounted_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "counter_slug",
        "counter",
        ["place_id", "slug"],
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_table(
        "door",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("counter_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["counter_id"], ["counter.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("door_counter", "door", ["counter_id"])
    op.create_index("door_token", "door", ["token"], unique=True)
    op.create_table(
        "code",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("door_id", sa.Integer(), nullable=True),
        sa.Column("digits", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"]),
        sa.ForeignKeyConstraint(["door_id"], ["door.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("code_once", "code", ["place_id", "digits"], unique=True)
    rebuilt = {"recreate": "always", "table_kwargs": {"sqlite_autoincrement": True}}
    with op.batch_alter_table("queue", **rebuilt) as table:
        column = sa.Column("counter_id", sa.Integer(), sa.ForeignKey("counter.id", name="admitted_by"))
        table.add_column(column, insert_after="place_id")
    with op.batch_alter_table("event", **rebuilt) as table:
        counter = sa.Column("counter_id", sa.Integer(), sa.ForeignKey("counter.id", name="counted_by"))
        table.add_column(counter, insert_after="servicer_id")
        door = sa.Column("door_id", sa.Integer(), sa.ForeignKey("door.id", name="tapped_at"))
        table.add_column(door, insert_after="counter_id")
        table.add_column(sa.Column("tap", sa.Text()), insert_after="detail")
        table.add_column(sa.Column("delta", sa.Integer()), insert_after="tap")
    counted, tapped = sa.text("counter_id IS NOT NULL"), sa.text("tap IS NOT NULL")
    op.create_index(
        "event_counter",
        "event",
        ["counter_id", "happened_at", "kind", "delta"],
        sqlite_where=counted,
        postgresql_where=counted,
    )
    op.create_index(
        "event_tap", "event", ["counter_id", "tap"], unique=True, sqlite_where=tapped, postgresql_where=tapped
    )
