"""Imports whose columns the owner chooses, remarks about their rows, and mail when a request is done."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("import_file", sa.Column("layout", sa.Text(), nullable=True))
    op.add_column("import_row", sa.Column("value", sa.Text(), nullable=True))
    op.add_column("import_row", sa.Column("cells", sa.Text(), nullable=True))
    op.create_table(
        "import_content",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("import_file_id", sa.Integer(), sa.ForeignKey("import_file.id"), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("import_content_file", "import_content", ["import_file_id"], unique=True)
    op.create_table(
        "import_remark",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("import_file_id", sa.Integer(), sa.ForeignKey("import_file.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("import_remark_why", "import_remark", ["import_file_id", "refused", "why", "number"])
    op.create_index("import_remark_number", "import_remark", ["import_file_id", "number"])
    op.create_table(
        "column_choice",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("place_id", sa.Integer(), sa.ForeignKey("place.id"), nullable=False),
        sa.Column("headings", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("column_choice_once", "column_choice", ["place_id", "headings"], unique=True)
    op.add_column("ticket", sa.Column("mail_to", sa.Text(), nullable=True))
