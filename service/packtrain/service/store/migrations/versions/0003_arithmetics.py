"""What the workers that trained a pack compute with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("packs", sa.Column("arithmetics", sa.Text))
