"""Indexes for the call report and for erasing mail addresses; all numbers of who must not be called."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("import_row", sa.Column("other_phones", sa.Text(), nullable=True))
    promised = sa.text("call_back_at IS NOT NULL")
    op.create_index(
        "report_call_back",
        "report",
        ["place_id", "call_back_at"],
        sqlite_where=promised,
        postgresql_where=promised,
    )
    personal = sa.text("(name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL OR mail_to IS NOT NULL)")
    op.drop_index("ticket_personal", "ticket")
    op.create_index(
        "ticket_personal", "ticket", ["ended_at"], sqlite_where=personal, postgresql_where=personal
    )
