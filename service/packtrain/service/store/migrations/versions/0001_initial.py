"""Jobs, packs, ended trials, events, requests."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _job_key() -> sa.Column[str]:
    return sa.Column(
        "job_uid", sa.String(32), sa.ForeignKey("jobs.uid", ondelete="CASCADE"), primary_key=True
    )


def _failure() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("failure_reason", sa.String(64)), sa.Column("failure_message", sa.Text)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("uid", sa.String(32), primary_key=True),
        sa.Column("order", _IDENTITY, unique=True, nullable=False),
        sa.Column("job_id", sa.String(63), unique=True, nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("plan", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        *_failure(),
        sa.Column("trials", sa.Integer, nullable=False),
        sa.Column("trial_epochs", sa.BigInteger, nullable=False),
        sa.Column("trial_epochs_total", sa.BigInteger, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("diverged", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("cancelled", sa.Integer, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("layer_sizes", sa.Text, nullable=False),
        sa.Column("datasets", sa.Text, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "order"])
    op.create_table(
        "packs",
        _job_key(),
        sa.Column("pack_index", sa.Integer, primary_key=True),
        sa.Column("trials", sa.LargeBinary, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("started", sa.Boolean, nullable=False),
    )
    op.create_table(
        "trials",
        _job_key(),
        sa.Column("trial_index", sa.Integer, primary_key=True),
        sa.Column("pack_index", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("final", sa.LargeBinary, nullable=False),
        *_failure(),
    )
    op.create_table(
        "events",
        _job_key(),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16)),
        *_failure(),
        sa.Column("trials", sa.LargeBinary),
        sa.Column("epochs", sa.LargeBinary),
        sa.Column("first_epoch", sa.Integer),
        sa.Column("metrics", sa.Text),
        sa.Column("values", sa.LargeBinary),
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("job_uid", sa.String(32), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False, index=True),
    )
