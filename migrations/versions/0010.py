"""Messages to customers (Web Push, e-mail) and webhooks, in one outbox."""

import base64
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("ticket_id", sa.Integer(), sa.ForeignKey("ticket.id"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("p256dh", sa.Text(), nullable=True),
        sa.Column("auth", sa.Text(), nullable=True),
        sa.Column("address_key", sa.Text(), nullable=True),
        sa.Column("ticket_url", sa.Text(), nullable=False),
        sa.Column("not_me_url", sa.Text(), nullable=True),
        sa.Column("names_place", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("soon_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("subscription_once", "subscription", ["ticket_id", "endpoint"], unique=True)
    op.create_index("subscription_place", "subscription", ["place_id"])
    _partial_index("subscription_soon", "subscription", ["place_id", "ticket_id"], "soon_at IS NULL")
    op.create_table(
        "webhook",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("personal", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("paused_at", sa.Double(), nullable=True),
        sa.Column("paused_because", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("webhook_place", "webhook", ["place_id"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("webhook_id", sa.Integer(), sa.ForeignKey("webhook.id"), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ok", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("delivery_place", "delivery", ["place_id"])
    op.create_index("delivery_webhook", "delivery", ["webhook_id", "id"])
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("servicer_id", sa.Integer(), sa.ForeignKey("servicer.id"), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("until_at", sa.Double(), nullable=True),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sqlite_autoincrement=True,
    )
    _partial_index("notice_place", "notice", ["place_id"], "removed_at IS NULL")
    op.add_column("mail", sa.Column("target", sa.Text(), nullable=False, server_default="mail"))
    op.add_column("mail", sa.Column("message_id", sa.Text(), nullable=True))
    for table in ("ticket", "subscription", "webhook"):
        # Alembic can't add a column with a reference to a table of SQLite.
        op.execute(f"ALTER TABLE mail ADD COLUMN {table}_id INTEGER REFERENCES {table} (id)")
    op.add_column("mail", sa.Column("expires_at", sa.Double(), nullable=True))
    op.add_column("mail", sa.Column("claimed_by", sa.Text(), nullable=True))
    op.add_column("mail", sa.Column("claimed_until", sa.Double(), nullable=True))
    _partial_index("mail_subscription", "mail", ["subscription_id"], "subscription_id IS NOT NULL")
    _partial_index("mail_target_due", "mail", ["due_at", "target"], "webhook_id IS NULL")
    _partial_index("mail_ticket", "mail", ["ticket_id"], "ticket_id IS NOT NULL")
    _partial_index("mail_webhook", "mail", ["webhook_id", "id"], "webhook_id IS NOT NULL")
    op.add_column("counter", sa.Column("told_full", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("place", sa.Column("max_delays", sa.Integer(), nullable=False, server_default="2"))
    op.add_column("ticket", sa.Column("away_until", sa.Double(), nullable=True))
    op.add_column("ticket", sa.Column("delays", sa.Integer(), nullable=False, server_default="0"))
    _partial_index("ticket_away", "ticket", ["away_until"], "away_until IS NOT NULL")
    op.add_column("ticket", sa.Column("soon_at", sa.Double(), nullable=True))
    sql = "INSERT INTO fact (name, value) VALUES ('push_key', :key) ON CONFLICT (name) DO NOTHING"
    op.get_bind().execute(sa.text(sql), {"key": _new_push_key()})


def _new_push_key() -> str:
    """Return a private key for P-256: a number below the order of the curve, in base64url."""
    key = (1 + secrets.randbelow(2**255)).to_bytes(32, "big")
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
