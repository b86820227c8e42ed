"""Resources and events: from the contract's messages to typed objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from packtrain.client import events, resources
from packtrain.client.converters.documents import enum_words
from packtrain.client.errors import NoBestTrial, ProtocolError
from packtrain.client.learning_rates import LearningRateFinding, LearningRateOutcome
from packtrain.client.models import Model
from packtrain.client.results import Block, Results
from packtrain.v1 import dataset_service_pb2, job_pb2, server_service_pb2, training_service_pb2

_OFFERED = (
    "activations",
    "hidden_activations",
    "costs",
    "initializations",
    "optimizers",
    "schedules",
    "search_algorithms",
    "domains",
    "early_stopping",
    "synthetic_datasets",
)


def read_job(message: job_pb2.Job) -> resources.Job:
    """A job; its specification in JSON form, with the names of the proto."""
    progress = {f: getattr(message.progress, f) for f in _names(message.progress)}
    return resources.Job(
        name=message.name,
        uid=message.uid,
        spec=json_format.MessageToDict(message.spec, preserving_proto_field_name=True),
        state=read_job_state(message.state) if message.state else None,
        create_time=_time(message, "create_time"),
        start_time=_time(message, "start_time"),
        end_time=_time(message, "end_time"),
        failure=_failure(message),
        progress=resources.JobProgress(**progress),
        metrics=tuple(message.metrics),
        layer_sizes=tuple(message.layer_sizes),
        etag=message.etag,
        learning_rate_finding=_finding(message),
        labels=dict(sorted(message.labels.items())),
        priority=message.priority,
    )


def read_plan(message: job_pb2.JobPlan) -> resources.JobPlan:
    """A job's plan."""
    return resources.JobPlan(**{f: getattr(message, f) for f in _names(message)})


def read_trial(message: job_pb2.Trial) -> resources.Trial:
    """A trial; whole numbers among its parameters are ints again."""
    return resources.Trial(
        name=message.name,
        index=message.index,
        state=resources.TrialState(_word(job_pb2.TrialState, message.state)),
        parameters=_parameters(message),
        epochs=message.epochs,
        final_metrics=dict(sorted(message.final_metrics.items())),
        failure=_failure(message),
        arithmetics=tuple(message.arithmetics),
        adaptations=tuple(_adaptation(adaptation) for adaptation in message.adaptations),
    )


def _adaptation(message: job_pb2.Adaptation) -> resources.Adaptation:
    return resources.Adaptation(
        epoch=message.epoch,
        copied_trial=message.copied_trial,
        parameters=_parameters(message),
    )


def _parameters(message: job_pb2.Trial | job_pb2.Adaptation) -> dict[str, Any]:
    return {
        path: _plain(json_format.MessageToDict(value))
        for path, value in sorted(message.parameters.items())
    }


def read_best(message: training_service_pb2.GetJobResponse, metric: str) -> resources.BestTrial:
    """The best trial by the metric that was asked for. Raises NoBestTrial."""
    if not message.HasField("best"):
        raise NoBestTrial(read_job(message.job), metric)
    found = message.best
    return resources.BestTrial(
        trial=read_trial(found.trial),
        metric=found.metric,
        value=found.value,
        higher_is_better=found.higher_is_better,
    )


def read_importance(message: training_service_pb2.GetImportanceResponse) -> resources.Importance:
    """How much each parameter matters."""
    return resources.Importance(
        metric=message.metric,
        higher_is_better=message.higher_is_better,
        shares={p.path: p.share for p in message.parameters},
        present={p.path: p.trials for p in message.parameters},
        trials=message.trials,
        evaluator=message.evaluator,
    )


def read_dataset(message: dataset_service_pb2.Dataset) -> resources.Dataset:
    """A dataset's description."""
    return resources.Dataset(
        name=message.name,
        origin=_word(dataset_service_pb2.DatasetOrigin, message.origin),
        splits={split.name: split.rows for split in message.splits},
        features=message.features,
        classes=message.classes,
        targets=message.targets,
        digest=message.digest,
        size_bytes=message.size_bytes,
        create_time=_time(message, "create_time"),
        description=message.description,
    )


def read_server_info(message: server_service_pb2.GetServerInfoResponse) -> resources.ServerInfo:
    """What the server offers."""
    words = {f: tuple(getattr(message, f)) for f in _OFFERED}
    return resources.ServerInfo(
        version=message.version,
        metrics=tuple(_metric(metric) for metric in message.metrics),
        numbers=tuple(_number(number) for number in message.numbers),
        cost_outputs={c.name: tuple(c.output_activations) for c in message.cost_outputs},
        limits=_limits(message.limits),
        engine_state=_word(server_service_pb2.EngineState, message.engine.state),
        workers=message.engine.workers,
        engine_problem=message.engine.problem,
        **words,
    )


def _metric(message: server_service_pb2.MetricInfo) -> resources.MetricInfo:
    found = {name: getattr(message, name) for name in _names(message)}
    kinds = [_word(server_service_pb2.TargetKind, kind) for kind in message.target_kinds]
    return resources.MetricInfo(**found | {"target_kinds": tuple(kinds)})


def _number(message: server_service_pb2.NumberInfo) -> resources.NumberInfo:
    bounds = {
        name: getattr(message, name) if message.HasField(name) else None
        for name in ("default_value", "at_least", "above", "at_most", "below")
    }
    return resources.NumberInfo(
        path=message.path,
        whole=message.whole,
        per_trial=message.per_trial,
        default=bounds.pop("default_value"),
        **bounds,
    )


def read_event(message: training_service_pb2.WatchJobResponse) -> events.Event:
    """One message of a watch."""
    borne: dict[str, Any] = {
        "resume_token": message.resume_token,
        "time": _time(message, "event_time"),
    }
    match message.WhichOneof("event"):
        case "job":
            state = read_job_state(message.job.state)
            return events.JobChanged(state=state, failure=_failure(message.job), **borne)
        case "trials":
            return events.TrialsChanged(
                trials=tuple(message.trials.trials),
                state=resources.TrialState(_word(job_pb2.TrialState, message.trials.state)),
                epochs=tuple(message.trials.epochs),
                failure=_failure(message.trials),
                **borne,
            )
        case "metrics":
            block = read_block(message.metrics)
            return events.MetricsReceived(**block._asdict(), **borne)
        case "adaptation":
            return events.TrialsAdapted(
                trials=tuple(message.adaptation.trials),
                adaptations=tuple(_adaptation(a) for a in message.adaptation.adaptations),
                **borne,
            )
        case "heartbeat":
            return events.Heartbeat(**borne)
    raise ProtocolError("the server sent an event of a kind that this client does not know")


def read_block(message: job_pb2.MetricBlock) -> Block:
    """A block of metrics, its values (trials, epochs, metrics). Raises ProtocolError."""
    shape = (len(message.trials), message.epoch_count, len(message.metrics))
    if len(message.values) != 4 * int(np.prod(shape)) or message.first_epoch < 1:
        raise ProtocolError(
            f"a block of {len(message.values)} bytes from epoch {message.first_epoch} "
            f"can't have the shape {shape}"
        )
    values = np.frombuffer(message.values, "<f4").reshape(shape)
    return Block(tuple(message.trials), message.first_epoch, tuple(message.metrics), values)


def read_results(messages: Iterable[training_service_pb2.ReadMetricsResponse]) -> Results:
    """The blocks of a stream as one array."""
    return Results.from_blocks(read_block(message.block) for message in messages)


def read_model(messages: Iterable[training_service_pb2.DownloadModelResponse]) -> Model:
    """A model from its header and pieces. Raises ProtocolError where it arrived damaged."""
    header, pieces = None, []
    for message in messages:
        if message.WhichOneof("content") == "header":
            header = message.header
        else:
            pieces.append(message.chunk)
    content = b"".join(pieces)
    if header is None or len(content) != header.size_bytes:
        expected = "unknown" if header is None else header.size_bytes
        raise ProtocolError(f"the model has {len(content)} bytes where {expected} were announced")
    if hashlib.sha256(content).hexdigest() != header.sha256.lower():
        raise ProtocolError("the model's SHA-256 is not the announced one")
    return Model.from_bytes(content)


def read_job_state(number: int) -> resources.JobState:
    """A job's state."""
    return resources.JobState(_word(job_pb2.JobState, number))


def _names(message: Message) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.fields]


def _word(enum: EnumTypeWrapper, number: int) -> str:
    words = {n: word for word, n in enum_words(enum.DESCRIPTOR).items()}
    if number not in words:
        raise ProtocolError(f"the server sent an unknown {enum.DESCRIPTOR.name} ({number})")
    return words[number]


def _time(message: Message, field: str) -> datetime | None:
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC) if message.HasField(field) else None


def _failure(message: Any) -> resources.Failure | None:
    if not message.HasField("failure"):
        return None
    return resources.Failure(reason=message.failure.reason, message=message.failure.message)


def _finding(message: job_pb2.Job) -> LearningRateFinding | None:
    if not message.HasField("learning_rate_finding"):
        return None
    found = message.learning_rate_finding
    numbers = ("threshold", "best", "suggestion", "initial_cost")
    return LearningRateFinding(
        **{name: getattr(found, name) if found.HasField(name) else None for name in numbers},
        outcome=LearningRateOutcome(_word(job_pb2.LearningRateOutcome, found.outcome))
        if found.outcome
        else None,
        explanation=found.explanation,
    )


def _plain(value: Any) -> Any:
    # A number of google.protobuf.Value is a double: 30 comes back as 30.0.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def _limits(message: server_service_pb2.ServerLimits) -> resources.ServerLimits:
    found = {f: getattr(message, f) for f in _names(message)}
    if not message.HasField("max_job_memory_bytes"):
        found["max_job_memory_bytes"] = None
    return resources.ServerLimits(**found)
