"""ServerService."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from google.protobuf.message import Message

from packtrain.service.api.requests import Context
from packtrain.service.contract import NUMBERS, NumberField, offered
from packtrain.service.settings import Limits
from packtrain.training import METRICS, Activation, Metric, TargetKind
from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.costs import ALLOWED_OUTPUTS
from packtrain.v1 import server_service_pb2, server_service_pb2_grpc, spec_pb2
from packtrain.workers import Engine

pb = server_service_pb2

_TARGET_KINDS = {
    TargetKind.CLASSES: pb.TARGET_KIND_CLASSES,
    TargetKind.LABELS: pb.TARGET_KIND_LABELS,
    TargetKind.NUMBERS: pb.TARGET_KIND_NUMBERS,
}


def _alternatives(message: type[Message], oneof: str) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields]


def _number(path: str, field: NumberField) -> pb.NumberInfo:
    return pb.NumberInfo(
        path=path,
        whole=field.whole,
        per_trial=field.column is not None,
        default_value=field.default,
        at_least=field.at_least,
        above=field.above,
        at_most=field.at_most,
        below=field.below,
    )


def _activation(activation: Activation) -> str:
    return f"ACTIVATION_{activation.name}"


def _metric(metric: Metric) -> pb.MetricInfo:
    return pb.MetricInfo(
        name=metric.name,
        description=metric.description,
        per_layer=metric.per_layer,
        needs_validation=metric.needs_validation,
        higher_is_better=metric.higher_is_better,
        target_kinds=sorted(_TARGET_KINDS[kind] for kind in metric.target_kinds),
        least_outputs=metric.least_outputs,
    )


def _names(enum: Any) -> list[str]:
    return [value.name for value in enum.DESCRIPTOR.values if value.number != 0]


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """What this server is and offers, read off the contract itself."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    async def GetServerInfo(
        self, _request: pb.GetServerInfoRequest, _: Context
    ) -> pb.GetServerInfoResponse:
        """Nothing here is a list of its own that could fall behind."""
        ready = self._engine.workers > 0
        state = pb.ENGINE_STATE_READY if ready else pb.ENGINE_STATE_STARTING
        return pb.GetServerInfoResponse(
            version=version("packtrain"),
            activations=_names(spec_pb2.Activation),
            costs=_alternatives(spec_pb2.Cost, "kind"),
            initializations=_alternatives(spec_pb2.Initialization, "kind"),
            optimizers=_alternatives(spec_pb2.Optimizer, "kind"),
            search_algorithms=[
                kind for kind in _alternatives(spec_pb2.Search, "algorithm") if offered(kind)
            ],
            domains=_alternatives(spec_pb2.Parameter, "domain"),
            early_stopping=_alternatives(spec_pb2.Search, "early_stopping"),
            metrics=[_metric(metric) for metric in METRICS.values()],
            synthetic_datasets=_names(spec_pb2.SyntheticKind),
            limits=pb.ServerLimits(
                max_trials=self._limits.max_trials,
                max_job_memory_bytes=self._limits.known_job_memory_bytes(self._engine.memory),
                max_upload_bytes=self._limits.max_upload_bytes,
                max_message_bytes=self._limits.max_message_bytes,
            ),
            engine=pb.EngineInfo(
                state=state, workers=self._engine.workers, problem=self._engine.problem
            ),
            hidden_activations=[_activation(a) for a in Activation if a not in OUTPUT_ONLY],
            schedules=_alternatives(spec_pb2.Schedule, "shape"),
            numbers=[_number(path, field) for path, field in NUMBERS.items()],
            cost_outputs=[
                pb.CostInfo(
                    name=kind.value,
                    output_activations=[_activation(a) for a in Activation if a in outputs],
                )
                for kind, outputs in ALLOWED_OUTPUTS.items()
            ],
        )
