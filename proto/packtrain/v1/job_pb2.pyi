import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from packtrain.v1 import spec_pb2 as _spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LearningRateOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEARNING_RATE_OUTCOME_UNSPECIFIED: _ClassVar[LearningRateOutcome]
    LEARNING_RATE_OUTCOME_FOUND: _ClassVar[LearningRateOutcome]
    LEARNING_RATE_OUTCOME_ALL_LOWERED: _ClassVar[LearningRateOutcome]
    LEARNING_RATE_OUTCOME_TOO_LOW: _ClassVar[LearningRateOutcome]
    LEARNING_RATE_OUTCOME_TOO_HIGH: _ClassVar[LearningRateOutcome]
    LEARNING_RATE_OUTCOME_UNCLEAR: _ClassVar[LearningRateOutcome]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_CANCELLING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_PAUSED: _ClassVar[JobState]

class TrialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_STATE_UNSPECIFIED: _ClassVar[TrialState]
    TRIAL_STATE_QUEUED: _ClassVar[TrialState]
    TRIAL_STATE_RUNNING: _ClassVar[TrialState]
    TRIAL_STATE_SUCCEEDED: _ClassVar[TrialState]
    TRIAL_STATE_DIVERGED: _ClassVar[TrialState]
    TRIAL_STATE_FAILED: _ClassVar[TrialState]
    TRIAL_STATE_CANCELLED: _ClassVar[TrialState]
    TRIAL_STATE_STOPPED: _ClassVar[TrialState]
LEARNING_RATE_OUTCOME_UNSPECIFIED: LearningRateOutcome
LEARNING_RATE_OUTCOME_FOUND: LearningRateOutcome
LEARNING_RATE_OUTCOME_ALL_LOWERED: LearningRateOutcome
LEARNING_RATE_OUTCOME_TOO_LOW: LearningRateOutcome
LEARNING_RATE_OUTCOME_TOO_HIGH: LearningRateOutcome
LEARNING_RATE_OUTCOME_UNCLEAR: LearningRateOutcome
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_CANCELLING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_PAUSED: JobState
TRIAL_STATE_UNSPECIFIED: TrialState
TRIAL_STATE_QUEUED: TrialState
TRIAL_STATE_RUNNING: TrialState
TRIAL_STATE_SUCCEEDED: TrialState
TRIAL_STATE_DIVERGED: TrialState
TRIAL_STATE_FAILED: TrialState
TRIAL_STATE_CANCELLED: TrialState
TRIAL_STATE_STOPPED: TrialState

class Job(_message.Message):
    __slots__ = ("name", "uid", "spec", "state", "create_time", "start_time", "end_time", "failure", "progress", "metrics", "layer_sizes", "etag", "learning_rate_finding", "labels", "priority")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LAYER_SIZES_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FINDING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    spec: _spec_pb2.JobSpec
    state: JobState
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    failure: Failure
    progress: JobProgress
    metrics: _containers.RepeatedScalarFieldContainer[str]
    layer_sizes: _containers.RepeatedScalarFieldContainer[int]
    etag: str
    learning_rate_finding: LearningRateFinding
    labels: _containers.ScalarMap[str, str]
    priority: int
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., progress: _Optional[_Union[JobProgress, _Mapping]] = ..., metrics: _Optional[_Iterable[str]] = ..., layer_sizes: _Optional[_Iterable[int]] = ..., etag: _Optional[str] = ..., learning_rate_finding: _Optional[_Union[LearningRateFinding, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ...) -> None: ...

class LearningRateFinding(_message.Message):
    __slots__ = ("threshold", "best", "suggestion", "initial_cost", "outcome", "explanation")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    INITIAL_COST_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    best: float
    suggestion: float
    initial_cost: float
    outcome: LearningRateOutcome
    explanation: str
    def __init__(self, threshold: _Optional[float] = ..., best: _Optional[float] = ..., suggestion: _Optional[float] = ..., initial_cost: _Optional[float] = ..., outcome: _Optional[_Union[LearningRateOutcome, str]] = ..., explanation: _Optional[str] = ...) -> None: ...

class JobProgress(_message.Message):
    __slots__ = ("trials", "succeeded", "diverged", "failed", "cancelled", "stopped", "trial_epochs", "trial_epochs_total")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_EPOCHS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    trials: int
    succeeded: int
    diverged: int
    failed: int
    cancelled: int
    stopped: int
    trial_epochs: int
    trial_epochs_total: int
    def __init__(self, trials: _Optional[int] = ..., succeeded: _Optional[int] = ..., diverged: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., stopped: _Optional[int] = ..., trial_epochs: _Optional[int] = ..., trial_epochs_total: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("name", "index", "state", "parameters", "epochs", "final_metrics", "failure", "arithmetics", "adaptations")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    class FinalMetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    FINAL_METRICS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ARITHMETICS_FIELD_NUMBER: _ClassVar[int]
    ADAPTATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    index: int
    state: TrialState
    parameters: _containers.MessageMap[str, _struct_pb2.Value]
    epochs: int
    final_metrics: _containers.ScalarMap[str, float]
    failure: Failure
    arithmetics: _containers.RepeatedScalarFieldContainer[str]
    adaptations: _containers.RepeatedCompositeFieldContainer[Adaptation]
    def __init__(self, name: _Optional[str] = ..., index: _Optional[int] = ..., state: _Optional[_Union[TrialState, str]] = ..., parameters: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., epochs: _Optional[int] = ..., final_metrics: _Optional[_Mapping[str, float]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., arithmetics: _Optional[_Iterable[str]] = ..., adaptations: _Optional[_Iterable[_Union[Adaptation, _Mapping]]] = ...) -> None: ...

class Adaptation(_message.Message):
    __slots__ = ("epoch", "copied_trial", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COPIED_TRIAL_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    copied_trial: int
    parameters: _containers.MessageMap[str, _struct_pb2.Value]
    def __init__(self, epoch: _Optional[int] = ..., copied_trial: _Optional[int] = ..., parameters: _Optional[_Mapping[str, _struct_pb2.Value]] = ...) -> None: ...

class JobPlan(_message.Message):
    __slots__ = ("trials", "packs", "memory_bytes", "operations", "worker_seconds", "seconds")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    WORKER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    packs: int
    memory_bytes: int
    operations: float
    worker_seconds: float
    seconds: float
    def __init__(self, trials: _Optional[int] = ..., packs: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., operations: _Optional[float] = ..., worker_seconds: _Optional[float] = ..., seconds: _Optional[float] = ...) -> None: ...

class MetricBlock(_message.Message):
    __slots__ = ("trials", "first_epoch", "epoch_count", "metrics", "values")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    FIRST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EPOCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    trials: _containers.RepeatedScalarFieldContainer[int]
    first_epoch: int
    epoch_count: int
    metrics: _containers.RepeatedScalarFieldContainer[str]
    values: bytes
    def __init__(self, trials: _Optional[_Iterable[int]] = ..., first_epoch: _Optional[int] = ..., epoch_count: _Optional[int] = ..., metrics: _Optional[_Iterable[str]] = ..., values: _Optional[bytes] = ...) -> None: ...
