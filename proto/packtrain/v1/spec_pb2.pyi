from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyntheticKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNTHETIC_KIND_UNSPECIFIED: _ClassVar[SyntheticKind]
    SYNTHETIC_KIND_XOR: _ClassVar[SyntheticKind]
    SYNTHETIC_KIND_MOONS: _ClassVar[SyntheticKind]
    SYNTHETIC_KIND_SPIRALS: _ClassVar[SyntheticKind]
    SYNTHETIC_KIND_LINEAR: _ClassVar[SyntheticKind]

class Scaling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALING_UNSPECIFIED: _ClassVar[Scaling]
    SCALING_NONE: _ClassVar[Scaling]
    SCALING_STANDARDIZE: _ClassVar[Scaling]
    SCALING_MIN_MAX: _ClassVar[Scaling]

class TargetEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TARGET_ENCODING_UNSPECIFIED: _ClassVar[TargetEncoding]
    TARGET_ENCODING_ONE_HOT: _ClassVar[TargetEncoding]
    TARGET_ENCODING_AS_IS: _ClassVar[TargetEncoding]

class Activation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVATION_UNSPECIFIED: _ClassVar[Activation]
    ACTIVATION_SIGMOID: _ClassVar[Activation]
    ACTIVATION_TANH: _ClassVar[Activation]
    ACTIVATION_RELU: _ClassVar[Activation]
    ACTIVATION_IDENTITY: _ClassVar[Activation]
    ACTIVATION_SOFTMAX: _ClassVar[Activation]

class Distribution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISTRIBUTION_UNSPECIFIED: _ClassVar[Distribution]
    DISTRIBUTION_NORMAL: _ClassVar[Distribution]
    DISTRIBUTION_UNIFORM: _ClassVar[Distribution]

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]
    DATA_TYPE_FLOAT64: _ClassVar[DataType]
SYNTHETIC_KIND_UNSPECIFIED: SyntheticKind
SYNTHETIC_KIND_XOR: SyntheticKind
SYNTHETIC_KIND_MOONS: SyntheticKind
SYNTHETIC_KIND_SPIRALS: SyntheticKind
SYNTHETIC_KIND_LINEAR: SyntheticKind
SCALING_UNSPECIFIED: Scaling
SCALING_NONE: Scaling
SCALING_STANDARDIZE: Scaling
SCALING_MIN_MAX: Scaling
TARGET_ENCODING_UNSPECIFIED: TargetEncoding
TARGET_ENCODING_ONE_HOT: TargetEncoding
TARGET_ENCODING_AS_IS: TargetEncoding
ACTIVATION_UNSPECIFIED: Activation
ACTIVATION_SIGMOID: Activation
ACTIVATION_TANH: Activation
ACTIVATION_RELU: Activation
ACTIVATION_IDENTITY: Activation
ACTIVATION_SOFTMAX: Activation
DISTRIBUTION_UNSPECIFIED: Distribution
DISTRIBUTION_NORMAL: Distribution
DISTRIBUTION_UNIFORM: Distribution
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_FLOAT64: DataType

class JobSpec(_message.Message):
    __slots__ = ("dataset", "network", "cost", "initialization", "regularization", "optimizer", "epochs", "batch_size", "seed", "data_type", "measurement", "search")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    INITIALIZATION_FIELD_NUMBER: _ClassVar[int]
    REGULARIZATION_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetSelection
    network: Network
    cost: Cost
    initialization: Initialization
    regularization: Regularization
    optimizer: Optimizer
    epochs: int
    batch_size: int
    seed: int
    data_type: DataType
    measurement: Measurement
    search: Search
    def __init__(self, dataset: _Optional[_Union[DatasetSelection, _Mapping]] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., cost: _Optional[_Union[Cost, _Mapping]] = ..., initialization: _Optional[_Union[Initialization, _Mapping]] = ..., regularization: _Optional[_Union[Regularization, _Mapping]] = ..., optimizer: _Optional[_Union[Optimizer, _Mapping]] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., seed: _Optional[int] = ..., data_type: _Optional[_Union[DataType, str]] = ..., measurement: _Optional[_Union[Measurement, _Mapping]] = ..., search: _Optional[_Union[Search, _Mapping]] = ...) -> None: ...

class DatasetSelection(_message.Message):
    __slots__ = ("name", "synthetic", "inline", "training", "validation_share", "validation_rows", "scaling", "target_encoding")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_SHARE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    SCALING_FIELD_NUMBER: _ClassVar[int]
    TARGET_ENCODING_FIELD_NUMBER: _ClassVar[int]
    name: str
    synthetic: SyntheticDataset
    inline: InlineDataset
    training: RowRange
    validation_share: float
    validation_rows: RowRange
    scaling: Scaling
    target_encoding: TargetEncoding
    def __init__(self, name: _Optional[str] = ..., synthetic: _Optional[_Union[SyntheticDataset, _Mapping]] = ..., inline: _Optional[_Union[InlineDataset, _Mapping]] = ..., training: _Optional[_Union[RowRange, _Mapping]] = ..., validation_share: _Optional[float] = ..., validation_rows: _Optional[_Union[RowRange, _Mapping]] = ..., scaling: _Optional[_Union[Scaling, str]] = ..., target_encoding: _Optional[_Union[TargetEncoding, str]] = ...) -> None: ...

class RowRange(_message.Message):
    __slots__ = ("split", "first", "count")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    split: str
    first: int
    count: int
    def __init__(self, split: _Optional[str] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class SyntheticDataset(_message.Message):
    __slots__ = ("kind", "rows", "noise", "seed", "features")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    kind: SyntheticKind
    rows: int
    noise: float
    seed: int
    features: int
    def __init__(self, kind: _Optional[_Union[SyntheticKind, str]] = ..., rows: _Optional[int] = ..., noise: _Optional[float] = ..., seed: _Optional[int] = ..., features: _Optional[int] = ...) -> None: ...

class InlineDataset(_message.Message):
    __slots__ = ("inputs", "labels", "targets")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[Row]
    labels: _containers.RepeatedScalarFieldContainer[int]
    targets: _containers.RepeatedCompositeFieldContainer[Row]
    def __init__(self, inputs: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., labels: _Optional[_Iterable[int]] = ..., targets: _Optional[_Iterable[_Union[Row, _Mapping]]] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("hidden", "hidden_activation", "output_activation", "outputs")
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    hidden: _containers.RepeatedScalarFieldContainer[int]
    hidden_activation: Activation
    output_activation: Activation
    outputs: int
    def __init__(self, hidden: _Optional[_Iterable[int]] = ..., hidden_activation: _Optional[_Union[Activation, str]] = ..., output_activation: _Optional[_Union[Activation, str]] = ..., outputs: _Optional[int] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("quadratic", "cross_entropy", "log_likelihood")
    QUADRATIC_FIELD_NUMBER: _ClassVar[int]
    CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    LOG_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    quadratic: QuadraticCost
    cross_entropy: CrossEntropyCost
    log_likelihood: LogLikelihoodCost
    def __init__(self, quadratic: _Optional[_Union[QuadraticCost, _Mapping]] = ..., cross_entropy: _Optional[_Union[CrossEntropyCost, _Mapping]] = ..., log_likelihood: _Optional[_Union[LogLikelihoodCost, _Mapping]] = ...) -> None: ...

class QuadraticCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CrossEntropyCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogLikelihoodCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Initialization(_message.Message):
    __slots__ = ("scaled_gaussian", "unit_gaussian", "xavier", "he", "constant", "arrays")
    SCALED_GAUSSIAN_FIELD_NUMBER: _ClassVar[int]
    UNIT_GAUSSIAN_FIELD_NUMBER: _ClassVar[int]
    XAVIER_FIELD_NUMBER: _ClassVar[int]
    HE_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    scaled_gaussian: ScaledGaussian
    unit_gaussian: UnitGaussian
    xavier: Xavier
    he: He
    constant: ConstantInitialization
    arrays: GivenArrays
    def __init__(self, scaled_gaussian: _Optional[_Union[ScaledGaussian, _Mapping]] = ..., unit_gaussian: _Optional[_Union[UnitGaussian, _Mapping]] = ..., xavier: _Optional[_Union[Xavier, _Mapping]] = ..., he: _Optional[_Union[He, _Mapping]] = ..., constant: _Optional[_Union[ConstantInitialization, _Mapping]] = ..., arrays: _Optional[_Union[GivenArrays, _Mapping]] = ...) -> None: ...

class ScaledGaussian(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnitGaussian(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Xavier(_message.Message):
    __slots__ = ("distribution",)
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    distribution: Distribution
    def __init__(self, distribution: _Optional[_Union[Distribution, str]] = ...) -> None: ...

class He(_message.Message):
    __slots__ = ("distribution",)
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    distribution: Distribution
    def __init__(self, distribution: _Optional[_Union[Distribution, str]] = ...) -> None: ...

class ConstantInitialization(_message.Message):
    __slots__ = ("weight", "bias")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BIAS_FIELD_NUMBER: _ClassVar[int]
    weight: float
    bias: float
    def __init__(self, weight: _Optional[float] = ..., bias: _Optional[float] = ...) -> None: ...

class GivenArrays(_message.Message):
    __slots__ = ("layers",)
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[LayerArrays]
    def __init__(self, layers: _Optional[_Iterable[_Union[LayerArrays, _Mapping]]] = ...) -> None: ...

class LayerArrays(_message.Message):
    __slots__ = ("weights", "biases")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    biases: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, weights: _Optional[_Iterable[float]] = ..., biases: _Optional[_Iterable[float]] = ...) -> None: ...

class Regularization(_message.Message):
    __slots__ = ("l2", "l1", "dropout")
    L2_FIELD_NUMBER: _ClassVar[int]
    L1_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    l2: float
    l1: float
    dropout: float
    def __init__(self, l2: _Optional[float] = ..., l1: _Optional[float] = ..., dropout: _Optional[float] = ...) -> None: ...

class Optimizer(_message.Message):
    __slots__ = ("sgd",)
    SGD_FIELD_NUMBER: _ClassVar[int]
    sgd: Sgd
    def __init__(self, sgd: _Optional[_Union[Sgd, _Mapping]] = ...) -> None: ...

class Sgd(_message.Message):
    __slots__ = ("learning_rate", "momentum")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    momentum: float
    def __init__(self, learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("metrics", "every_epochs")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedScalarFieldContainer[str]
    every_epochs: int
    def __init__(self, metrics: _Optional[_Iterable[str]] = ..., every_epochs: _Optional[int] = ...) -> None: ...

class Search(_message.Message):
    __slots__ = ("parameters", "grid", "random")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    grid: GridSearch
    random: RandomSearch
    def __init__(self, parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., grid: _Optional[_Union[GridSearch, _Mapping]] = ..., random: _Optional[_Union[RandomSearch, _Mapping]] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("path", "choice", "uniform", "log_uniform", "integer", "normal")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    UNIFORM_FIELD_NUMBER: _ClassVar[int]
    LOG_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    path: str
    choice: Choice
    uniform: Uniform
    log_uniform: LogUniform
    integer: IntegerRange
    normal: Normal
    def __init__(self, path: _Optional[str] = ..., choice: _Optional[_Union[Choice, _Mapping]] = ..., uniform: _Optional[_Union[Uniform, _Mapping]] = ..., log_uniform: _Optional[_Union[LogUniform, _Mapping]] = ..., integer: _Optional[_Union[IntegerRange, _Mapping]] = ..., normal: _Optional[_Union[Normal, _Mapping]] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...

class Uniform(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class LogUniform(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class IntegerRange(_message.Message):
    __slots__ = ("low", "high", "step")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    step: int
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class Normal(_message.Message):
    __slots__ = ("mean", "standard_deviation")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STANDARD_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    mean: float
    standard_deviation: float
    def __init__(self, mean: _Optional[float] = ..., standard_deviation: _Optional[float] = ...) -> None: ...

class GridSearch(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: int
    def __init__(self, points: _Optional[int] = ...) -> None: ...

class RandomSearch(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    def __init__(self, trials: _Optional[int] = ...) -> None: ...
