"""Trials that are stopped early, and packs that end before their trials do."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stopped", sa.Integer, nullable=False, server_default="0"))
    closed = sa.Column("is_closed", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("packs", closed)
    op.add_column("packs", sa.Column("until", sa.Integer))
