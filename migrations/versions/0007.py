"""Mail only goes to addresses that are confirmed or not blocked, and a limited number of times an hour."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    # Mails that wait in the outbox now count as sent to an address that nobody has confirmed.
    op.add_column("mail", sa.Column("kind", sa.Text(), nullable=False, server_default="request"))
    op.add_column("mail", sa.Column("address_key", sa.Text(), nullable=True))
    op.create_index("mail_address_key", "mail", ["address_key"])
    op.create_table(
        "mail_address",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=True),
        sa.Column("confirmed_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("mail_address_once", "mail_address", ["place_id", "address_key"], unique=True)
    op.create_index("mail_address_token", "mail_address", ["token"], unique=True)
    op.create_index("mail_address_created", "mail_address", ["created_at"])
    op.create_table(
        "mail_block",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("blocked_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("mail_block_once", "mail_block", ["address_key"], unique=True)
    op.create_table(
        "mail_log",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("mail_log_address", "mail_log", ["address_key", "sent_at"])
    op.create_index("mail_log_place", "mail_log", ["place_id", "sent_at"])
    op.create_index("mail_log_sent", "mail_log", ["sent_at"])
