"""What the trials of earlier jobs found, for jobs that continue them."""

from __future__ import annotations

from collections.abc import Sequence

from packtrain.service.records import JobRecord, Proposal, TrialRecord
from packtrain.service.states import TrialState
from packtrain.service.store import Store

# A cancelled trial tells nothing.
_TOLD = (TrialState.SUCCEEDED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED)


class PastTrials:
    """Finds jobs and their trials. Blocking: for threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find_job(self, job_id: str) -> JobRecord:
        """Raises NotFoundError, StoreUnavailableError."""
        return self._store.get_job_blocking(job_id)

    def read(self, job: JobRecord) -> tuple[Sequence[TrialRecord], Sequence[Proposal]]:
        """The trials that have ended, but for cancelled ones, and what was proposed, of a job
        whose algorithm learns. Raises StoreUnavailableError."""
        return self._store.read_results_blocking(job, _TOLD)
