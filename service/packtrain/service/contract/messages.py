"""What the store keeps, as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import numpy as np
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from packtrain.service.contract.fields import enum_value
from packtrain.service.datasets import Origin, StoredDataset
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.learning_rates import RateFinding
from packtrain.service.records import (
    Adaptation,
    Event,
    Failure,
    JobChanged,
    JobRecord,
    MetricsRecorded,
    NewJob,
    TrialRecord,
    TrialsAdapted,
    TrialsChanged,
)
from packtrain.service.resources import dataset_name, job_name, trial_name
from packtrain.service.states import JobState, TrialState
from packtrain.v1 import dataset_service_pb2, job_pb2, spec_pb2, training_service_pb2

State = TypeVar("State", JobState, TrialState)

_ORIGINS = {
    Origin.BUILT_IN: dataset_service_pb2.DATASET_ORIGIN_BUILT_IN,
    Origin.UPLOADED: dataset_service_pb2.DATASET_ORIGIN_UPLOADED,
    Origin.FILE: dataset_service_pb2.DATASET_ORIGIN_FILE,
}


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """A time, or None."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def to_failure(failure: Failure | None) -> job_pb2.Failure | None:
    """A failure, or None."""
    if failure is None:
        return None
    return job_pb2.Failure(reason=failure.reason, message=failure.message)


def to_job_state(state: JobState) -> job_pb2.JobState:
    """A job's state."""
    value: job_pb2.JobState = enum_value(job_pb2.JobState, f"JOB_STATE_{state.name}")
    return value


def to_trial_state(state: TrialState) -> job_pb2.TrialState:
    """A trial's state."""
    value: job_pb2.TrialState = enum_value(job_pb2.TrialState, f"TRIAL_STATE_{state.name}")
    return value


def from_job_states(states: Sequence[int]) -> list[JobState]:
    """The states of a filter. Raises InvalidSpecError for one that is none."""
    return _from_states(states, {to_job_state(state): state for state in JobState})


def from_trial_states(states: Sequence[int]) -> list[TrialState]:
    """The states of a filter. Raises InvalidSpecError for one that is none."""
    return _from_states(states, {to_trial_state(state): state for state in TrialState})


def _from_states(states: Sequence[int], names: Mapping[int, State]) -> list[State]:
    # To leave an unknown one out would turn "none" into "all".
    violations = [
        Violation(f"states[{i}]", f"must be one of {', '.join(s.name for s in names.values())}")
        for i, state in enumerate(states)
        if state not in names
    ]
    if violations:
        raise InvalidSpecError.of(violations)
    return [names[state] for state in states]


def to_job(job: JobRecord) -> job_pb2.Job:
    """A job."""
    return job_pb2.Job(
        name=job_name(job.job_id),
        uid=job.uid,
        spec=spec_pb2.JobSpec.FromString(job.spec),
        state=to_job_state(job.state),
        create_time=to_timestamp(job.created),
        start_time=to_timestamp(job.started),
        end_time=to_timestamp(job.ended),
        failure=to_failure(job.failure),
        progress=job_pb2.JobProgress(
            trials=job.trials,
            succeeded=job.counts[TrialState.SUCCEEDED],
            diverged=job.counts[TrialState.DIVERGED],
            failed=job.counts[TrialState.FAILED],
            cancelled=job.counts[TrialState.CANCELLED],
            stopped=job.counts[TrialState.STOPPED],
            trial_epochs=job.trial_epochs,
            trial_epochs_total=job.trial_epochs_total,
        ),
        metrics=job.metrics,
        layer_sizes=job.layer_sizes,
        etag=job.etag,
        learning_rate_finding=to_finding(job.finding),
        labels=job.labels,
        priority=job.priority,
    )


def to_finding(finding: RateFinding | None) -> job_pb2.LearningRateFinding | None:
    """What a learning-rate range found, or None."""
    if finding is None:
        return None
    return job_pb2.LearningRateFinding(
        threshold=finding.threshold,
        best=finding.best,
        suggestion=finding.suggestion,
        initial_cost=finding.initial_cost,
        outcome=enum_value(
            job_pb2.LearningRateOutcome, f"LEARNING_RATE_OUTCOME_{finding.outcome.upper()}"
        ),
        explanation=finding.explanation,
    )


def to_trial(job: JobRecord, trial: TrialRecord, parameters: dict[str, Value]) -> job_pb2.Trial:
    """A trial."""
    return job_pb2.Trial(
        name=trial_name(job.job_id, trial.index),
        index=trial.index,
        state=to_trial_state(trial.state),
        parameters=parameters,
        epochs=trial.epochs,
        final_metrics=trial.final_metrics,
        failure=to_failure(trial.failure),
        arithmetics=trial.arithmetics,
        adaptations=[to_adaptation(adaptation) for adaptation in trial.adaptations],
    )


def to_adaptation(adaptation: Adaptation) -> job_pb2.Adaptation:
    """What a population changed in a trial."""
    return job_pb2.Adaptation(
        epoch=adaptation.epoch,
        copied_trial=adaptation.copied_trial,
        parameters={p: Value(number_value=v) for p, v in adaptation.parameters.items()},
    )


def to_block(body: MetricsRecorded) -> job_pb2.MetricBlock:
    """A block of metrics."""
    return job_pb2.MetricBlock(
        trials=body.trials.tolist(),
        first_epoch=body.first_epoch,
        epoch_count=body.values.shape[1],
        metrics=body.names,
        values=np.ascontiguousarray(body.values, "<f4").tobytes(),
    )


def to_watch_response(event: Event, token: str) -> training_service_pb2.WatchJobResponse:
    """An event of the log, as it is watched."""
    response = training_service_pb2.WatchJobResponse(
        resume_token=token, event_time=to_timestamp(event.time)
    )
    body = event.body
    if isinstance(body, MetricsRecorded):
        response.metrics.CopyFrom(to_block(body))
    elif isinstance(body, TrialsChanged):
        response.trials.CopyFrom(
            training_service_pb2.TrialStateChange(
                trials=body.trials.tolist(),
                state=to_trial_state(body.state),
                epochs=body.epochs.tolist(),
                failure=to_failure(body.failure),
            )
        )
    elif isinstance(body, TrialsAdapted):
        response.adaptation.CopyFrom(
            training_service_pb2.TrialAdaptation(
                trials=[adaptation.trial for adaptation in body.adaptations],
                adaptations=[to_adaptation(adaptation) for adaptation in body.adaptations],
            )
        )
    else:
        assert isinstance(body, JobChanged)
        response.job.CopyFrom(
            training_service_pb2.JobStateChange(
                state=to_job_state(body.state), failure=to_failure(body.failure)
            )
        )
    return response


def to_dataset(dataset: StoredDataset) -> dataset_service_pb2.Dataset:
    """A dataset."""
    return dataset_service_pb2.Dataset(
        name=dataset_name(dataset.dataset_id),
        origin=_ORIGINS[dataset.origin] if dataset.origin else None,
        splits=[dataset_service_pb2.DatasetSplit(name=s.name, rows=s.rows) for s in dataset.splits],
        features=dataset.features,
        classes=dataset.classes,
        targets=dataset.targets,
        digest=dataset.digest,
        size_bytes=dataset.size_bytes,
        create_time=to_timestamp(dataset.created),
        description=dataset.description,
    )


def to_created(job: JobRecord) -> training_service_pb2.CreateJobResponse:
    """The answer to the request that created the job, the first time and later."""
    return training_service_pb2.CreateJobResponse(
        job=to_job(job), plan=job_pb2.JobPlan.FromString(job.plan)
    )


def to_preview(job: NewJob) -> training_service_pb2.CreateJobResponse:
    """A job that was checked and planned but not created: it has no uid, state or times."""
    preview = job_pb2.Job(
        name=job_name(job.job_id),
        spec=spec_pb2.JobSpec.FromString(job.spec),
        progress=job_pb2.JobProgress(trials=job.trials, trial_epochs_total=job.trial_epochs_total),
        metrics=job.metrics,
        layer_sizes=job.layer_sizes,
        labels=job.labels,
        priority=job.priority,
    )
    return training_service_pb2.CreateJobResponse(
        job=preview, plan=job_pb2.JobPlan.FromString(job.plan)
    )
