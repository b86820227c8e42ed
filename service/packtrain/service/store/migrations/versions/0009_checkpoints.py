"""Where the states of packs are kept, to go on from after a crash."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column(
            "job_uid",
            sa.String(32),
            sa.ForeignKey("jobs.uid", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("pack_index", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
