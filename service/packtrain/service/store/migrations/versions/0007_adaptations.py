"""What populations changed in their trials."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adaptations",
        sa.Column(
            "job_uid",
            sa.String(32),
            sa.ForeignKey("jobs.uid", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("trial_index", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("copied_trial", sa.Integer, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
    )
