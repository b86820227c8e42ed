from google.protobuf import struct_pb2 as _struct_pb2
from packtrain.v1 import range_pb2 as _range_pb2
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
    ACTIVATION_LEAKY_RELU: _ClassVar[Activation]
    ACTIVATION_ELU: _ClassVar[Activation]
    ACTIVATION_GELU: _ClassVar[Activation]
    ACTIVATION_SILU: _ClassVar[Activation]
    ACTIVATION_SOFTPLUS: _ClassVar[Activation]
    ACTIVATION_EXPONENTIAL: _ClassVar[Activation]

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

class Goal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GOAL_UNSPECIFIED: _ClassVar[Goal]
    GOAL_MINIMIZE: _ClassVar[Goal]
    GOAL_MAXIMIZE: _ClassVar[Goal]
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
ACTIVATION_LEAKY_RELU: Activation
ACTIVATION_ELU: Activation
ACTIVATION_GELU: Activation
ACTIVATION_SILU: Activation
ACTIVATION_SOFTPLUS: Activation
ACTIVATION_EXPONENTIAL: Activation
DISTRIBUTION_UNSPECIFIED: Distribution
DISTRIBUTION_NORMAL: Distribution
DISTRIBUTION_UNIFORM: Distribution
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_FLOAT64: DataType
GOAL_UNSPECIFIED: Goal
GOAL_MINIMIZE: Goal
GOAL_MAXIMIZE: Goal

class JobSpec(_message.Message):
    __slots__ = ("dataset", "network", "cost", "initialization", "regularization", "optimizer", "epochs", "batch_size", "seed", "data_type", "measurement", "search", "stopping")
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
    STOPPING_FIELD_NUMBER: _ClassVar[int]
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
    stopping: Stopping
    def __init__(self, dataset: _Optional[_Union[DatasetSelection, _Mapping]] = ..., network: _Optional[_Union[Network, _Mapping]] = ..., cost: _Optional[_Union[Cost, _Mapping]] = ..., initialization: _Optional[_Union[Initialization, _Mapping]] = ..., regularization: _Optional[_Union[Regularization, _Mapping]] = ..., optimizer: _Optional[_Union[Optimizer, _Mapping]] = ..., epochs: _Optional[int] = ..., batch_size: _Optional[int] = ..., seed: _Optional[int] = ..., data_type: _Optional[_Union[DataType, str]] = ..., measurement: _Optional[_Union[Measurement, _Mapping]] = ..., search: _Optional[_Union[Search, _Mapping]] = ..., stopping: _Optional[_Union[Stopping, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("quadratic", "cross_entropy", "log_likelihood", "hinge", "huber", "absolute", "poisson", "label_smoothing", "class_weights")
    QUADRATIC_FIELD_NUMBER: _ClassVar[int]
    CROSS_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    LOG_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    HINGE_FIELD_NUMBER: _ClassVar[int]
    HUBER_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    POISSON_FIELD_NUMBER: _ClassVar[int]
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    quadratic: QuadraticCost
    cross_entropy: CrossEntropyCost
    log_likelihood: LogLikelihoodCost
    hinge: HingeCost
    huber: HuberCost
    absolute: AbsoluteCost
    poisson: PoissonCost
    label_smoothing: float
    class_weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, quadratic: _Optional[_Union[QuadraticCost, _Mapping]] = ..., cross_entropy: _Optional[_Union[CrossEntropyCost, _Mapping]] = ..., log_likelihood: _Optional[_Union[LogLikelihoodCost, _Mapping]] = ..., hinge: _Optional[_Union[HingeCost, _Mapping]] = ..., huber: _Optional[_Union[HuberCost, _Mapping]] = ..., absolute: _Optional[_Union[AbsoluteCost, _Mapping]] = ..., poisson: _Optional[_Union[PoissonCost, _Mapping]] = ..., label_smoothing: _Optional[float] = ..., class_weights: _Optional[_Iterable[float]] = ...) -> None: ...

class QuadraticCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CrossEntropyCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogLikelihoodCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HingeCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HuberCost(_message.Message):
    __slots__ = ("delta",)
    DELTA_FIELD_NUMBER: _ClassVar[int]
    delta: float
    def __init__(self, delta: _Optional[float] = ...) -> None: ...

class AbsoluteCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PoissonCost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Initialization(_message.Message):
    __slots__ = ("scaled_gaussian", "unit_gaussian", "xavier", "he", "constant", "arrays", "lecun", "orthogonal", "model")
    SCALED_GAUSSIAN_FIELD_NUMBER: _ClassVar[int]
    UNIT_GAUSSIAN_FIELD_NUMBER: _ClassVar[int]
    XAVIER_FIELD_NUMBER: _ClassVar[int]
    HE_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    ARRAYS_FIELD_NUMBER: _ClassVar[int]
    LECUN_FIELD_NUMBER: _ClassVar[int]
    ORTHOGONAL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    scaled_gaussian: ScaledGaussian
    unit_gaussian: UnitGaussian
    xavier: Xavier
    he: He
    constant: ConstantInitialization
    arrays: GivenArrays
    lecun: LeCun
    orthogonal: Orthogonal
    model: ModelInitialization
    def __init__(self, scaled_gaussian: _Optional[_Union[ScaledGaussian, _Mapping]] = ..., unit_gaussian: _Optional[_Union[UnitGaussian, _Mapping]] = ..., xavier: _Optional[_Union[Xavier, _Mapping]] = ..., he: _Optional[_Union[He, _Mapping]] = ..., constant: _Optional[_Union[ConstantInitialization, _Mapping]] = ..., arrays: _Optional[_Union[GivenArrays, _Mapping]] = ..., lecun: _Optional[_Union[LeCun, _Mapping]] = ..., orthogonal: _Optional[_Union[Orthogonal, _Mapping]] = ..., model: _Optional[_Union[ModelInitialization, _Mapping]] = ...) -> None: ...

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

class LeCun(_message.Message):
    __slots__ = ("distribution",)
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    distribution: Distribution
    def __init__(self, distribution: _Optional[_Union[Distribution, str]] = ...) -> None: ...

class Orthogonal(_message.Message):
    __slots__ = ("gain",)
    GAIN_FIELD_NUMBER: _ClassVar[int]
    gain: float
    def __init__(self, gain: _Optional[float] = ...) -> None: ...

class ModelInitialization(_message.Message):
    __slots__ = ("job", "trial", "layers", "rest")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    job: str
    trial: int
    layers: int
    rest: Initialization
    def __init__(self, job: _Optional[str] = ..., trial: _Optional[int] = ..., layers: _Optional[int] = ..., rest: _Optional[_Union[Initialization, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("l2", "l1", "dropout", "max_norm", "clip_norm", "input_noise", "augmentation")
    L2_FIELD_NUMBER: _ClassVar[int]
    L1_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_NORM_FIELD_NUMBER: _ClassVar[int]
    CLIP_NORM_FIELD_NUMBER: _ClassVar[int]
    INPUT_NOISE_FIELD_NUMBER: _ClassVar[int]
    AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    l2: float
    l1: float
    dropout: float
    max_norm: float
    clip_norm: float
    input_noise: float
    augmentation: Augmentation
    def __init__(self, l2: _Optional[float] = ..., l1: _Optional[float] = ..., dropout: _Optional[float] = ..., max_norm: _Optional[float] = ..., clip_norm: _Optional[float] = ..., input_noise: _Optional[float] = ..., augmentation: _Optional[_Union[Augmentation, _Mapping]] = ...) -> None: ...

class Augmentation(_message.Message):
    __slots__ = ("height", "width", "shift", "rotation")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    shift: float
    rotation: float
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., shift: _Optional[float] = ..., rotation: _Optional[float] = ...) -> None: ...

class Optimizer(_message.Message):
    __slots__ = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion", "schedule")
    SGD_FIELD_NUMBER: _ClassVar[int]
    ADAGRAD_FIELD_NUMBER: _ClassVar[int]
    RMSPROP_FIELD_NUMBER: _ClassVar[int]
    ADAM_FIELD_NUMBER: _ClassVar[int]
    ADAMW_FIELD_NUMBER: _ClassVar[int]
    NADAM_FIELD_NUMBER: _ClassVar[int]
    LION_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    sgd: Sgd
    adagrad: AdaGrad
    rmsprop: RmsProp
    adam: Adam
    adamw: AdamW
    nadam: NAdam
    lion: Lion
    schedule: Schedule
    def __init__(self, sgd: _Optional[_Union[Sgd, _Mapping]] = ..., adagrad: _Optional[_Union[AdaGrad, _Mapping]] = ..., rmsprop: _Optional[_Union[RmsProp, _Mapping]] = ..., adam: _Optional[_Union[Adam, _Mapping]] = ..., adamw: _Optional[_Union[AdamW, _Mapping]] = ..., nadam: _Optional[_Union[NAdam, _Mapping]] = ..., lion: _Optional[_Union[Lion, _Mapping]] = ..., schedule: _Optional[_Union[Schedule, _Mapping]] = ...) -> None: ...

class Sgd(_message.Message):
    __slots__ = ("learning_rate", "momentum", "nesterov")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MOMENTUM_FIELD_NUMBER: _ClassVar[int]
    NESTEROV_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    momentum: float
    nesterov: bool
    def __init__(self, learning_rate: _Optional[float] = ..., momentum: _Optional[float] = ..., nesterov: bool = ...) -> None: ...

class AdaGrad(_message.Message):
    __slots__ = ("learning_rate", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class RmsProp(_message.Message):
    __slots__ = ("learning_rate", "beta2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class Adam(_message.Message):
    __slots__ = ("learning_rate", "beta1", "beta2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class AdamW(_message.Message):
    __slots__ = ("learning_rate", "beta1", "beta2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class NAdam(_message.Message):
    __slots__ = ("learning_rate", "beta1", "beta2", "epsilon")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ..., epsilon: _Optional[float] = ...) -> None: ...

class Lion(_message.Message):
    __slots__ = ("learning_rate", "beta1", "beta2")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    BETA1_FIELD_NUMBER: _ClassVar[int]
    BETA2_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    beta1: float
    beta2: float
    def __init__(self, learning_rate: _Optional[float] = ..., beta1: _Optional[float] = ..., beta2: _Optional[float] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("constant", "step", "exponential", "polynomial", "cosine", "one_cycle", "plateau", "warmup_epochs")
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EXPONENTIAL_FIELD_NUMBER: _ClassVar[int]
    POLYNOMIAL_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    ONE_CYCLE_FIELD_NUMBER: _ClassVar[int]
    PLATEAU_FIELD_NUMBER: _ClassVar[int]
    WARMUP_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    constant: ConstantRate
    step: StepDecay
    exponential: ExponentialDecay
    polynomial: PolynomialDecay
    cosine: CosineDecay
    one_cycle: OneCycle
    plateau: Plateau
    warmup_epochs: float
    def __init__(self, constant: _Optional[_Union[ConstantRate, _Mapping]] = ..., step: _Optional[_Union[StepDecay, _Mapping]] = ..., exponential: _Optional[_Union[ExponentialDecay, _Mapping]] = ..., polynomial: _Optional[_Union[PolynomialDecay, _Mapping]] = ..., cosine: _Optional[_Union[CosineDecay, _Mapping]] = ..., one_cycle: _Optional[_Union[OneCycle, _Mapping]] = ..., plateau: _Optional[_Union[Plateau, _Mapping]] = ..., warmup_epochs: _Optional[float] = ...) -> None: ...

class ConstantRate(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StepDecay(_message.Message):
    __slots__ = ("every", "factor")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    every: int
    factor: float
    def __init__(self, every: _Optional[int] = ..., factor: _Optional[float] = ...) -> None: ...

class ExponentialDecay(_message.Message):
    __slots__ = ("factor",)
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    factor: float
    def __init__(self, factor: _Optional[float] = ...) -> None: ...

class PolynomialDecay(_message.Message):
    __slots__ = ("power", "final")
    POWER_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    power: float
    final: float
    def __init__(self, power: _Optional[float] = ..., final: _Optional[float] = ...) -> None: ...

class CosineDecay(_message.Message):
    __slots__ = ("period", "growth", "final")
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    GROWTH_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    period: int
    growth: float
    final: float
    def __init__(self, period: _Optional[int] = ..., growth: _Optional[float] = ..., final: _Optional[float] = ...) -> None: ...

class OneCycle(_message.Message):
    __slots__ = ("peak_at", "start", "final")
    PEAK_AT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    peak_at: float
    start: float
    final: float
    def __init__(self, peak_at: _Optional[float] = ..., start: _Optional[float] = ..., final: _Optional[float] = ...) -> None: ...

class Plateau(_message.Message):
    __slots__ = ("metric", "patience", "factor", "least")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    metric: str
    patience: int
    factor: float
    least: float
    def __init__(self, metric: _Optional[str] = ..., patience: _Optional[int] = ..., factor: _Optional[float] = ..., least: _Optional[float] = ...) -> None: ...

class Stopping(_message.Message):
    __slots__ = ("patience", "target")
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    patience: Patience
    target: Target
    def __init__(self, patience: _Optional[_Union[Patience, _Mapping]] = ..., target: _Optional[_Union[Target, _Mapping]] = ...) -> None: ...

class Patience(_message.Message):
    __slots__ = ("metric", "epochs", "min_delta")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    MIN_DELTA_FIELD_NUMBER: _ClassVar[int]
    metric: str
    epochs: int
    min_delta: float
    def __init__(self, metric: _Optional[str] = ..., epochs: _Optional[int] = ..., min_delta: _Optional[float] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("metric", "value")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    metric: str
    value: float
    def __init__(self, metric: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("metrics", "every_epochs")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedScalarFieldContainer[str]
    every_epochs: int
    def __init__(self, metrics: _Optional[_Iterable[str]] = ..., every_epochs: _Optional[int] = ...) -> None: ...

class Search(_message.Message):
    __slots__ = ("parameters", "grid", "random", "learning_rate_range", "sobol", "latin_hypercube", "points", "tpe", "gaussian_process", "cma_es", "nsga2", "objectives", "successive_halving", "hyperband", "median", "population", "continues", "repeats")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_RANGE_FIELD_NUMBER: _ClassVar[int]
    SOBOL_FIELD_NUMBER: _ClassVar[int]
    LATIN_HYPERCUBE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    TPE_FIELD_NUMBER: _ClassVar[int]
    GAUSSIAN_PROCESS_FIELD_NUMBER: _ClassVar[int]
    CMA_ES_FIELD_NUMBER: _ClassVar[int]
    NSGA2_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVES_FIELD_NUMBER: _ClassVar[int]
    SUCCESSIVE_HALVING_FIELD_NUMBER: _ClassVar[int]
    HYPERBAND_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    POPULATION_FIELD_NUMBER: _ClassVar[int]
    CONTINUES_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    grid: GridSearch
    random: RandomSearch
    learning_rate_range: LearningRateRange
    sobol: SobolSearch
    latin_hypercube: LatinHypercubeSearch
    points: PointsSearch
    tpe: TpeSearch
    gaussian_process: GaussianProcessSearch
    cma_es: CmaEsSearch
    nsga2: Nsga2Search
    objectives: _containers.RepeatedCompositeFieldContainer[Objective]
    successive_halving: SuccessiveHalving
    hyperband: Hyperband
    median: MedianRule
    population: PopulationBasedTraining
    continues: str
    repeats: int
    def __init__(self, parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., grid: _Optional[_Union[GridSearch, _Mapping]] = ..., random: _Optional[_Union[RandomSearch, _Mapping]] = ..., learning_rate_range: _Optional[_Union[LearningRateRange, _Mapping]] = ..., sobol: _Optional[_Union[SobolSearch, _Mapping]] = ..., latin_hypercube: _Optional[_Union[LatinHypercubeSearch, _Mapping]] = ..., points: _Optional[_Union[PointsSearch, _Mapping]] = ..., tpe: _Optional[_Union[TpeSearch, _Mapping]] = ..., gaussian_process: _Optional[_Union[GaussianProcessSearch, _Mapping]] = ..., cma_es: _Optional[_Union[CmaEsSearch, _Mapping]] = ..., nsga2: _Optional[_Union[Nsga2Search, _Mapping]] = ..., objectives: _Optional[_Iterable[_Union[Objective, _Mapping]]] = ..., successive_halving: _Optional[_Union[SuccessiveHalving, _Mapping]] = ..., hyperband: _Optional[_Union[Hyperband, _Mapping]] = ..., median: _Optional[_Union[MedianRule, _Mapping]] = ..., population: _Optional[_Union[PopulationBasedTraining, _Mapping]] = ..., continues: _Optional[str] = ..., repeats: _Optional[int] = ...) -> None: ...

class Objective(_message.Message):
    __slots__ = ("metric", "goal")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    GOAL_FIELD_NUMBER: _ClassVar[int]
    metric: str
    goal: Goal
    def __init__(self, metric: _Optional[str] = ..., goal: _Optional[_Union[Goal, str]] = ...) -> None: ...

class SuccessiveHalving(_message.Message):
    __slots__ = ("reduction_factor", "least_epochs")
    REDUCTION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    LEAST_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    reduction_factor: int
    least_epochs: int
    def __init__(self, reduction_factor: _Optional[int] = ..., least_epochs: _Optional[int] = ...) -> None: ...

class Hyperband(_message.Message):
    __slots__ = ("reduction_factor", "least_epochs")
    REDUCTION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    LEAST_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    reduction_factor: int
    least_epochs: int
    def __init__(self, reduction_factor: _Optional[int] = ..., least_epochs: _Optional[int] = ...) -> None: ...

class MedianRule(_message.Message):
    __slots__ = ("least_epochs", "every_epochs")
    LEAST_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    least_epochs: int
    every_epochs: int
    def __init__(self, least_epochs: _Optional[int] = ..., every_epochs: _Optional[int] = ...) -> None: ...

class PopulationBasedTraining(_message.Message):
    __slots__ = ("every_epochs", "exploit_share", "perturb_factor", "resample_probability")
    EVERY_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EXPLOIT_SHARE_FIELD_NUMBER: _ClassVar[int]
    PERTURB_FACTOR_FIELD_NUMBER: _ClassVar[int]
    RESAMPLE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    every_epochs: int
    exploit_share: float
    perturb_factor: float
    resample_probability: float
    def __init__(self, every_epochs: _Optional[int] = ..., exploit_share: _Optional[float] = ..., perturb_factor: _Optional[float] = ..., resample_probability: _Optional[float] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("path", "choice", "uniform", "log_uniform", "integer", "normal", "condition")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    UNIFORM_FIELD_NUMBER: _ClassVar[int]
    LOG_UNIFORM_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    path: str
    choice: Choice
    uniform: Uniform
    log_uniform: LogUniform
    integer: IntegerRange
    normal: Normal
    condition: Condition
    def __init__(self, path: _Optional[str] = ..., choice: _Optional[_Union[Choice, _Mapping]] = ..., uniform: _Optional[_Union[Uniform, _Mapping]] = ..., log_uniform: _Optional[_Union[LogUniform, _Mapping]] = ..., integer: _Optional[_Union[IntegerRange, _Mapping]] = ..., normal: _Optional[_Union[Normal, _Mapping]] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("path", "values")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    path: str
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, path: _Optional[str] = ..., values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Value]
    def __init__(self, values: _Optional[_Iterable[_Union[_struct_pb2.Value, _Mapping]]] = ...) -> None: ...

class Uniform(_message.Message):
    __slots__ = ("low", "high", "step")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    step: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...

class LogUniform(_message.Message):
    __slots__ = ("low", "high", "step")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    step: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...

class IntegerRange(_message.Message):
    __slots__ = ("low", "high", "step", "log")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    step: int
    log: bool
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ..., step: _Optional[int] = ..., log: bool = ...) -> None: ...

class Normal(_message.Message):
    __slots__ = ("mean", "standard_deviation", "step", "low", "high")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STANDARD_DEVIATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    mean: float
    standard_deviation: float
    step: float
    low: float
    high: float
    def __init__(self, mean: _Optional[float] = ..., standard_deviation: _Optional[float] = ..., step: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

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

class SobolSearch(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    def __init__(self, trials: _Optional[int] = ...) -> None: ...

class LatinHypercubeSearch(_message.Message):
    __slots__ = ("trials",)
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    def __init__(self, trials: _Optional[int] = ...) -> None: ...

class PointsSearch(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.MessageMap[str, _struct_pb2.Value]
    def __init__(self, values: _Optional[_Mapping[str, _struct_pb2.Value]] = ...) -> None: ...

class TpeSearch(_message.Message):
    __slots__ = ("trials", "batch_size", "startup_trials")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    STARTUP_TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    batch_size: int
    startup_trials: int
    def __init__(self, trials: _Optional[int] = ..., batch_size: _Optional[int] = ..., startup_trials: _Optional[int] = ...) -> None: ...

class GaussianProcessSearch(_message.Message):
    __slots__ = ("trials", "batch_size", "startup_trials")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    STARTUP_TRIALS_FIELD_NUMBER: _ClassVar[int]
    trials: int
    batch_size: int
    startup_trials: int
    def __init__(self, trials: _Optional[int] = ..., batch_size: _Optional[int] = ..., startup_trials: _Optional[int] = ...) -> None: ...

class CmaEsSearch(_message.Message):
    __slots__ = ("trials", "population_size")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    POPULATION_SIZE_FIELD_NUMBER: _ClassVar[int]
    trials: int
    population_size: int
    def __init__(self, trials: _Optional[int] = ..., population_size: _Optional[int] = ...) -> None: ...

class Nsga2Search(_message.Message):
    __slots__ = ("trials", "population_size")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    POPULATION_SIZE_FIELD_NUMBER: _ClassVar[int]
    trials: int
    population_size: int
    def __init__(self, trials: _Optional[int] = ..., population_size: _Optional[int] = ...) -> None: ...

class LearningRateRange(_message.Message):
    __slots__ = ("low", "high", "points")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    points: int
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., points: _Optional[int] = ...) -> None: ...
