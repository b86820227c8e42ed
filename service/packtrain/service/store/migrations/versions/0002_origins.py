"""The networks that a job begins from, and what a learning-rate range found."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("networks", sa.String(64)))
    op.add_column("jobs", sa.Column("finding", sa.Text))
