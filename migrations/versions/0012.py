"""Plans: the steps of a ticket, notes for other desks, and the waiting time of who is moved."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("place", sa.Column("keeps_wait", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("ticket", sa.Column("desk_note", sa.Text(), nullable=True))
    op.add_column("ticket", sa.Column("step_number", sa.Integer(), nullable=True))
    op.add_column("ticket", sa.Column("step_count", sa.Integer(), nullable=True))
    op.add_column("ticket", sa.Column("moved_at", sa.Double(), nullable=True))
    op.add_column("ticket", sa.Column("step_called_at", sa.Double(), nullable=True))
    _partial_index("ticket_moved", "ticket", ["place_id", "series"], "moved_at IS NOT NULL")
    op.drop_index("ticket_personal", "ticket")
    personal = (
        "(name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL OR mail_to IS NOT NULL"
        " OR desk_note IS NOT NULL)"
    )
    _partial_index("ticket_personal", "ticket", ["ended_at"], personal)
    op.create_table(
        "step",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("ticket_id", sa.Integer(), sa.ForeignKey("ticket.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("queue_id", sa.Integer(), sa.ForeignKey("queue.id"), nullable=False),
        sa.Column("servicer_id", sa.Integer(), sa.ForeignKey("servicer.id"), nullable=True),
        sa.Column("came_at", sa.Double(), nullable=True),
        sa.Column("first_called_at", sa.Double(), nullable=True),
        sa.Column("called_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("step_once", "step", ["ticket_id", "number"], unique=True)
    op.create_index("step_place", "step", ["place_id"])
    op.create_index("step_queue", "step", ["queue_id", "ended_at"])
    _partial_index("step_servicer", "step", ["servicer_id", "ended_at"], "servicer_id IS NOT NULL")


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
