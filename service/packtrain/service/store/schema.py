"""The tables. Times are UTC microseconds since 1970; arrays are little-endian bytes."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# SQLite counts a row id by itself only where the key is INTEGER.
_Identity = BigInteger().with_variant(Integer, "sqlite")


# One row: which store this is, of all that there are.
identity = Table("identity", metadata, Column("id", String(32), primary_key=True))


def _job_key() -> Column[str]:
    return Column(
        "job_uid", String(32), ForeignKey("jobs.uid", ondelete="CASCADE"), primary_key=True
    )


jobs = Table(
    "jobs",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("order", _Identity, unique=True, nullable=False),
    Column("job_id", String(63), unique=True, nullable=False),
    Column("spec", LargeBinary, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("failure_reason", String(64)),
    Column("failure_message", Text),
    Column("trials", Integer, nullable=False),
    Column("trial_epochs", BigInteger, nullable=False),
    Column("trial_epochs_total", BigInteger, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("diverged", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("stopped", Integer, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("layer_sizes", Text, nullable=False),
    Column("datasets", Text, nullable=False),
    Column("networks", String(64)),
    Column("finding", Text),
    Column("labels", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("owner", String(32)),
    Index("jobs_by_state", "state", "order"),
)

# The processes that serve the store. A job whose owner is not here is nobody's. Times are those of
# the database's clock; ``demand`` is NULL where the replica's workers are its own.
replicas = Table(
    "replicas",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("renewed", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("demand", Integer),
)

packs = Table(
    "packs",
    metadata,
    _job_key(),
    Column("pack_index", Integer, primary_key=True),
    Column("trials", LargeBinary, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("until", Integer),
    Column("started", Boolean, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    Column("arithmetics", Text),
    Column("generation", Integer, nullable=False),
)

# What algorithms that learn have proposed: float64 (assignments, parameters) of the unit cube; how
# many trials that makes, and the epochs of those of them that can be trained.
proposals = Table(
    "proposals",
    metadata,
    _job_key(),
    Column("first_assignment", Integer, primary_key=True),
    Column("assignments", Integer, nullable=False),
    Column("points", LargeBinary, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("trial_epochs", BigInteger, nullable=False),
)

# What such an algorithm began with of another job's results: points as above, and their float64
# scores (assignments, objectives).
lessons = Table(
    "lessons",
    metadata,
    _job_key(),
    Column("assignments", Integer, nullable=False),
    Column("points", LargeBinary, nullable=False),
    Column("scores", LargeBinary, nullable=False),
)

# Trials that have ended. Those that have not are implied by their pack, or, of an algorithm that
# learns, not proposed yet. The pack is -1 where a trial ended without one.
trials = Table(
    "trials",
    metadata,
    _job_key(),
    Column("trial_index", Integer, primary_key=True),
    Column("pack_index", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("final", LargeBinary, nullable=False),
    Column("failure_reason", String(64)),
    Column("failure_message", Text),
)

# What populations changed in their trials; parameters are JSON, numbers by path.
adaptations = Table(
    "adaptations",
    metadata,
    _job_key(),
    Column("trial_index", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("copied_trial", Integer, nullable=False),
    Column("parameters", Text, nullable=False),
)

# The states that packs go on from after a crash; files of these names are the artifact store's.
checkpoints = Table(
    "checkpoints",
    metadata,
    _job_key(),
    Column("pack_index", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

events = Table(
    "events",
    metadata,
    _job_key(),
    Column("sequence", BigInteger, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("state", String(16)),
    Column("failure_reason", String(64)),
    Column("failure_message", Text),
    Column("trials", LargeBinary),
    Column("epochs", LargeBinary),
    Column("first_epoch", Integer),
    Column("metrics", Text),
    Column("values", LargeBinary),
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("method", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("job_uid", String(32), nullable=False),
    Column("time", BigInteger, nullable=False, index=True),
)
