"""Jobs with labels and priorities, that may be given more to train."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("labels", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    for table in ("jobs", "packs"):
        column = sa.Column("generation", sa.Integer, nullable=False, server_default="0")
        op.add_column(table, column)
