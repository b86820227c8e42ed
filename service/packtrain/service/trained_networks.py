"""The networks that jobs have trained, as they lie in the models' directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import load

from packtrain.service.errors import IllegalTransitionError, NotFoundError
from packtrain.service.networks import Network, Origin, to_network
from packtrain.service.records import JobRecord, TrialRecord
from packtrain.service.resources import trial_name
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.workers import read_model


class TrainedNetworks:
    """Finds the networks of trials. Blocking: for threads."""

    def __init__(self, store: Store, models_dir: Path) -> None:
        self._store = store
        self._models_dir = models_dir

    def find_job(self, job_id: str) -> JobRecord:
        """Raises NotFoundError, StoreUnavailableError."""
        return self._store.get_job_blocking(job_id)

    def read(self, job: JobRecord, trial: int) -> Network:
        """The network of a trial that SUCCEEDED. Raises IllegalTransitionError (NO_MODEL),
        NotFoundError (TRIAL_NOT_FOUND, MODEL_MISSING), StoreUnavailableError."""
        found = self._store.find_trial_blocking(job, trial)
        path = locate_model(self._models_dir, job, trial, found)
        return to_network(load(read_trial_model(path, Origin(job.job_id, trial))))


def locate_model(models_dir: Path, job: JobRecord, index: int, trial: TrialRecord | None) -> Path:
    """The file that trial ``index`` of the job is in; ``trial`` as the store has it. Raises
    IllegalTransitionError (NO_MODEL), NotFoundError (TRIAL_NOT_FOUND)."""
    if trial is None:
        raise NotFoundError(
            "TRIAL_NOT_FOUND",
            f"jobs/{job.job_id} has no trial {index}: its trials go from 0 to {job.trials - 1}",
        )
    if trial.state is not TrialState.SUCCEEDED:
        raise IllegalTransitionError(
            "NO_MODEL",
            f"{trial_name(job.job_id, index)} is {trial.state.name}; only a trial that SUCCEEDED "
            "has a model",
            metadata={"state": trial.state.name},
        )
    return models_dir / job.uid / f"{trial.pack_index}.safetensors"


def read_trial_model(path: Path, origin: Origin, arithmetics: Sequence[str] = ()) -> bytes:
    """One trial's slice of its pack's file; its metadata name the ``arithmetics`` that trained it.
    Raises NotFoundError (MODEL_MISSING)."""
    try:
        return read_model(path, origin.trial, {"arithmetics": json.dumps(arithmetics)})
    except (OSError, KeyError) as error:
        raise NotFoundError("MODEL_MISSING", f"the model of {origin} is gone") from error
