"""Which process wrote what of a job's training, and whose the job was at that moment: written down by
the database itself, in the transaction of the record."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.database import ChaosDatabase
from tests.chaos.server import ServerProcess

_WRITE_DOWN = """
CREATE TABLE chaos_writes (
    job_id text, trials bytea, first_epoch int, owner text, writer text
);
CREATE FUNCTION chaos_write_down() RETURNS trigger AS $$
BEGIN
    INSERT INTO chaos_writes
    SELECT job_id, NEW.trials, NEW.first_epoch, owner, current_setting('application_name')
    FROM jobs WHERE uid = NEW.job_uid;
    RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER chaos_write_down AFTER INSERT ON events
FOR EACH ROW WHEN (NEW.kind = 'metrics') EXECUTE FUNCTION chaos_write_down();
"""


def write_down(database: ChaosDatabase) -> None:
    """From now on, once a replica has made the tables."""
    database.postgres.execute(_WRITE_DOWN, database.url)


def store_url(database: ChaosDatabase, name: str) -> str:
    """The database's URL for the replica of this name, which its connections then bear."""
    return f"{database.url}?application_name={name}"


def find_double_writes(database: ChaosDatabase, replicas: Sequence[ServerProcess]) -> list[str]:
    """What was written by another process than the job's owner, or twice; needs that the replicas
    are named as in their URLs."""
    lives = {life: replica.name for replica in replicas for life in lives_of(replica)}
    wrong = []
    for job, owner, writer, count in database.read(
        "SELECT job_id, owner, writer, count(*) FROM chaos_writes GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ):
        if lives.get(owner) != writer:
            wrong.append(f"{writer} wrote {count} records of {job}, which {lives.get(owner)} owned")
    for job, epoch, writers in database.read(
        "SELECT job_id, first_epoch, array_agg(writer) FROM chaos_writes "
        "GROUP BY job_id, trials, first_epoch HAVING count(*) > 1"
    ):
        wrong.append(f"{job}: a segment from epoch {epoch} was recorded by {', '.join(writers)}")
    return wrong


def count_writers(database: ChaosDatabase, job: str) -> int:
    """How many lives of replicas recorded something of the job."""
    query = "SELECT count(DISTINCT owner) FROM chaos_writes WHERE job_id = %s"
    return int(database.read(query, job)[0][0])


def lives_of(replica: ServerProcess) -> list[str]:
    """The ids that a replica has had, in their order."""
    return [str(told["replica"]) for told in replica.told("replica_joined")]
