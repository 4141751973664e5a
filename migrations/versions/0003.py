"""The owner's guess of a service and goal for the wait, the wait that was shown, when desks were on duty."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    rebuilt = {"recreate": "always", "table_kwargs": {"sqlite_autoincrement": True}}
    with op.batch_alter_table("queue", **rebuilt) as table:
        usual = sa.Column("usual_service_s", sa.Integer(), nullable=False, server_default="180")
        table.add_column(usual, insert_after="waiting")
    with op.batch_alter_table("queue", **rebuilt) as table:
        table.alter_column("usual_service_s", server_default=None)
    with op.batch_alter_table("ticket", **rebuilt) as table:
        table.add_column(sa.Column("wait_from", sa.Integer()), insert_after="party")
        table.add_column(sa.Column("wait_to", sa.Integer()), insert_after="wait_from")
    with op.batch_alter_table("place", **rebuilt) as table:
        goal = sa.Column("wait_goal_minutes", sa.Integer(), nullable=False, server_default="10")
        table.add_column(goal, insert_after="day_starts")
    with op.batch_alter_table("place", **rebuilt) as table:
        table.alter_column("wait_goal_minutes", server_default=None)  # the code says it
    duty = sa.text("kind IN ('start-serving', 'pause', 'resume')")
    op.create_index(
        "event_duty", "event", ["servicer_id", "happened_at"], sqlite_where=duty, postgresql_where=duty
    )
