"""What algorithms propose that learn from results, and what they began with."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _job_key() -> sa.Column[str]:
    return sa.Column(
        "job_uid", sa.String(32), sa.ForeignKey("jobs.uid", ondelete="CASCADE"), primary_key=True
    )


def upgrade() -> None:
    op.create_table(
        "proposals",
        _job_key(),
        sa.Column("first_assignment", sa.Integer, primary_key=True),
        sa.Column("assignments", sa.Integer, nullable=False),
        sa.Column("points", sa.LargeBinary, nullable=False),
        sa.Column("trials", sa.Integer, nullable=False),
        sa.Column("trial_epochs", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "lessons",
        _job_key(),
        sa.Column("assignments", sa.Integer, nullable=False),
        sa.Column("points", sa.LargeBinary, nullable=False),
        sa.Column("scores", sa.LargeBinary, nullable=False),
    )
