"""The owner's look (thanks, colour, logo), the order of queues, ended shifts, and the first checklist."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("place", sa.Column("thanks", sa.Text()))
    op.add_column("place", sa.Column("colour", sa.Text()))
    op.add_column("place", sa.Column("logo_at", sa.Double()))
    op.add_column("place", sa.Column("address", sa.Text()))
    op.add_column("place", sa.Column("steps_done", sa.Text(), nullable=False, server_default=""))
    # Places of before are not new: they need no checklist.
    op.execute("UPDATE place SET steps_done = 'hidden'")
    op.add_column("queue", sa.Column("position", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("servicer", sa.Column("shift_ended_at", sa.Double()))
    op.create_table(
        "logo",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("mimetype", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("logo_place", "logo", ["place_id"], unique=True)
