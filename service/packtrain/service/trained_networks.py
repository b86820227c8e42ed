"""The networks that jobs have trained, as they lie in the models' directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from packtrain.service.errors import IllegalTransitionError, NotFoundError
from packtrain.service.networks import Network, Origin, to_network
from packtrain.service.records import JobRecord, TrialRecord
from packtrain.service.resources import trial_name
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.workers import read_model, read_tensors

# Whoever begins from one trial of a job often begins from hundreds: a page of trials is found in
# the time of two trials alone. So many pages are held at a time, of 1 kB a trial.
_PAGE_TRIALS, _MOST_PAGES = 64, 256


class TrainedNetworks:
    """Finds the networks of trials. Blocking: for threads."""

    def __init__(self, store: Store, models_dir: Path) -> None:
        self._store = store
        self._models_dir = models_dir

    def find_job(self, job_id: str) -> TrainedJob:
        """Raises NotFoundError, StoreUnavailableError."""
        job = self._store.get_job_blocking(job_id)
        return TrainedJob(self._store, self._models_dir, job)


class TrainedJob:
    """The networks of a job, whose trials are taken as they were when one of them was first asked
    for: for the creation of one job."""

    def __init__(self, store: Store, models_dir: Path, job: JobRecord) -> None:
        self._store = store
        self._models_dir = models_dir
        self._job = job
        self._pages: dict[int, dict[int, TrialRecord]] = {}

    def read(self, trial: int) -> Network:
        """The network of a trial that SUCCEEDED. Raises IllegalTransitionError (NO_MODEL),
        NotFoundError (TRIAL_NOT_FOUND, MODEL_MISSING), StoreUnavailableError."""
        path = locate_model(self._models_dir, self._job, trial, self._find(trial))
        try:
            tensors, _ = read_tensors(path, trial)
        except (OSError, KeyError) as error:
            raise _missing(Origin(self._job.job_id, trial)) from error
        return to_network(tensors)

    def _find(self, trial: int) -> TrialRecord | None:
        first = trial - trial % _PAGE_TRIALS
        if first not in self._pages:
            if len(self._pages) == _MOST_PAGES:
                self._pages.clear()
            page = self._store.list_trials_blocking(self._job, first, _PAGE_TRIALS)
            self._pages[first] = {found.index: found for found in page}
        return self._pages[first].get(trial)


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
        raise _missing(origin) from error


def _missing(origin: Origin) -> NotFoundError:
    return NotFoundError("MODEL_MISSING", f"the model of {origin} is gone, or spoilt")
