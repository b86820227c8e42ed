"""ServerService."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from google.protobuf.message import Message

from packtrain.service.api.requests import Context
from packtrain.service.settings import Limits
from packtrain.training import METRICS
from packtrain.v1 import server_service_pb2, server_service_pb2_grpc, spec_pb2
from packtrain.workers import Engine

pb = server_service_pb2


def _alternatives(message: type[Message], oneof: str) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields]


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
            search_algorithms=_alternatives(spec_pb2.Search, "algorithm"),
            domains=_alternatives(spec_pb2.Parameter, "domain"),
            metrics=[
                pb.MetricInfo(name=m.name, description=m.description, per_layer=m.per_layer)
                for m in METRICS.values()
            ],
            synthetic_datasets=_names(spec_pb2.SyntheticKind),
            limits=pb.ServerLimits(
                max_trials=self._limits.max_trials,
                max_job_memory_bytes=self._limits.max_job_memory_bytes,
                max_upload_bytes=self._limits.max_upload_bytes,
                max_message_bytes=self._limits.max_message_bytes,
            ),
            engine=pb.EngineInfo(state=state, workers=self._engine.workers),
        )
