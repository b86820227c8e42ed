from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TargetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TARGET_KIND_UNSPECIFIED: _ClassVar[TargetKind]
    TARGET_KIND_CLASSES: _ClassVar[TargetKind]
    TARGET_KIND_LABELS: _ClassVar[TargetKind]
    TARGET_KIND_NUMBERS: _ClassVar[TargetKind]

class EngineState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENGINE_STATE_UNSPECIFIED: _ClassVar[EngineState]
    ENGINE_STATE_STARTING: _ClassVar[EngineState]
    ENGINE_STATE_READY: _ClassVar[EngineState]
TARGET_KIND_UNSPECIFIED: TargetKind
TARGET_KIND_CLASSES: TargetKind
TARGET_KIND_LABELS: TargetKind
TARGET_KIND_NUMBERS: TargetKind
ENGINE_STATE_UNSPECIFIED: EngineState
ENGINE_STATE_STARTING: EngineState
ENGINE_STATE_READY: EngineState

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "activations", "costs", "initializations", "optimizers", "search_algorithms", "domains", "metrics", "synthetic_datasets", "limits", "engine", "hidden_activations", "schedules", "numbers", "cost_outputs", "early_stopping")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    INITIALIZATIONS_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZERS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_DATASETS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    COST_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    version: str
    activations: _containers.RepeatedScalarFieldContainer[str]
    costs: _containers.RepeatedScalarFieldContainer[str]
    initializations: _containers.RepeatedScalarFieldContainer[str]
    optimizers: _containers.RepeatedScalarFieldContainer[str]
    search_algorithms: _containers.RepeatedScalarFieldContainer[str]
    domains: _containers.RepeatedScalarFieldContainer[str]
    metrics: _containers.RepeatedCompositeFieldContainer[MetricInfo]
    synthetic_datasets: _containers.RepeatedScalarFieldContainer[str]
    limits: ServerLimits
    engine: EngineInfo
    hidden_activations: _containers.RepeatedScalarFieldContainer[str]
    schedules: _containers.RepeatedScalarFieldContainer[str]
    numbers: _containers.RepeatedCompositeFieldContainer[NumberInfo]
    cost_outputs: _containers.RepeatedCompositeFieldContainer[CostInfo]
    early_stopping: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., activations: _Optional[_Iterable[str]] = ..., costs: _Optional[_Iterable[str]] = ..., initializations: _Optional[_Iterable[str]] = ..., optimizers: _Optional[_Iterable[str]] = ..., search_algorithms: _Optional[_Iterable[str]] = ..., domains: _Optional[_Iterable[str]] = ..., metrics: _Optional[_Iterable[_Union[MetricInfo, _Mapping]]] = ..., synthetic_datasets: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[ServerLimits, _Mapping]] = ..., engine: _Optional[_Union[EngineInfo, _Mapping]] = ..., hidden_activations: _Optional[_Iterable[str]] = ..., schedules: _Optional[_Iterable[str]] = ..., numbers: _Optional[_Iterable[_Union[NumberInfo, _Mapping]]] = ..., cost_outputs: _Optional[_Iterable[_Union[CostInfo, _Mapping]]] = ..., early_stopping: _Optional[_Iterable[str]] = ...) -> None: ...

class NumberInfo(_message.Message):
    __slots__ = ("path", "whole", "per_trial", "default_value", "at_least", "above", "at_most", "below")
    PATH_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    PER_TRIAL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    path: str
    whole: bool
    per_trial: bool
    default_value: float
    at_least: float
    above: float
    at_most: float
    below: float
    def __init__(self, path: _Optional[str] = ..., whole: bool = ..., per_trial: bool = ..., default_value: _Optional[float] = ..., at_least: _Optional[float] = ..., above: _Optional[float] = ..., at_most: _Optional[float] = ..., below: _Optional[float] = ...) -> None: ...

class CostInfo(_message.Message):
    __slots__ = ("name", "output_activations")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    output_activations: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., output_activations: _Optional[_Iterable[str]] = ...) -> None: ...

class MetricInfo(_message.Message):
    __slots__ = ("name", "description", "per_layer", "needs_validation", "higher_is_better", "target_kinds", "least_outputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PER_LAYER_FIELD_NUMBER: _ClassVar[int]
    NEEDS_VALIDATION_FIELD_NUMBER: _ClassVar[int]
    HIGHER_IS_BETTER_FIELD_NUMBER: _ClassVar[int]
    TARGET_KINDS_FIELD_NUMBER: _ClassVar[int]
    LEAST_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    per_layer: bool
    needs_validation: bool
    higher_is_better: bool
    target_kinds: _containers.RepeatedScalarFieldContainer[TargetKind]
    least_outputs: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., per_layer: bool = ..., needs_validation: bool = ..., higher_is_better: bool = ..., target_kinds: _Optional[_Iterable[_Union[TargetKind, str]]] = ..., least_outputs: _Optional[int] = ...) -> None: ...

class ServerLimits(_message.Message):
    __slots__ = ("max_trials", "max_job_memory_bytes", "max_upload_bytes", "max_message_bytes")
    MAX_TRIALS_FIELD_NUMBER: _ClassVar[int]
    MAX_JOB_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_trials: int
    max_job_memory_bytes: int
    max_upload_bytes: int
    max_message_bytes: int
    def __init__(self, max_trials: _Optional[int] = ..., max_job_memory_bytes: _Optional[int] = ..., max_upload_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ...) -> None: ...

class EngineInfo(_message.Message):
    __slots__ = ("state", "workers", "problem")
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    state: EngineState
    workers: int
    problem: str
    def __init__(self, state: _Optional[_Union[EngineState, str]] = ..., workers: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...
