"""Every error leaves through here: as a google.rpc.Status, never as a stack trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from packtrain.service.api.requests import Context
from packtrain.service.datasets import (
    DatasetError,
    DatasetExistsError,
    DatasetNotFoundError,
    DatasetReadOnlyError,
    DatasetTooLargeError,
)
from packtrain.service.errors import (
    STATUS_CODES,
    AlreadyExistsError,
    IllegalTransitionError,
    InvalidSpecError,
    LimitExceededError,
    NotFoundError,
    ServerStoppingError,
    ServiceError,
    StoreUnavailableError,
    Violation,
)
from packtrain.workers import failpoints

log = structlog.get_logger()

DOMAIN = "packtrain"
# gRPC takes 8 KiB of trailers, in which the details are Base64 beside the message itself.
_MAX_DETAILS_BYTES = 3_500
_MAX_TEXT = 400

_DATASET_ERRORS: dict[type[DatasetError], type[ServiceError]] = {
    DatasetNotFoundError: NotFoundError,
    DatasetExistsError: AlreadyExistsError,
    DatasetReadOnlyError: IllegalTransitionError,
    DatasetTooLargeError: LimitExceededError,
}


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a servicer raises into a status with details."""

    def __init__(self) -> None:
        self._is_stopping = False

    def refuse_calls(self) -> None:
        """The server stops: from now on calls are UNAVAILABLE; those under way go on."""
        self._is_stopping = True

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/packtrain."):
            return handler
        method = handler_call_details.method
        if self._is_stopping:
            handler = _refusing(handler)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _wrap_unary(handler.unary_unary, method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                _wrap_unary(handler.stream_unary, method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_stream_rpc_method_handler(
            _wrap_stream(handler.unary_stream, method),
            handler.request_deserializer,
            handler.response_serializer,
        )


def _refusing(handler: Any) -> Any:
    """The handler of the same form that refuses its calls."""

    async def refuse(_request: Any, _context: Context) -> NoReturn:
        raise ServerStoppingError(
            "SERVER_STOPPING", "the server stops; send this call again", retry_seconds=1.0
        )

    async def refuse_stream(request: Any, context: Context) -> AsyncIterator[Any]:
        await refuse(request, context)
        yield

    if handler.response_streaming:
        return handler._replace(unary_stream=refuse_stream)
    kind = "stream_unary" if handler.request_streaming else "unary_unary"
    return handler._replace(**{kind: refuse})


def _wrap_unary(behavior: Any, method: str) -> Any:
    point = _failpoint(method)

    async def call(request: Any, context: Context) -> Any:
        try:
            response = await behavior(request, context)
            await failpoints.hit_async(point, _failure)
        except Exception as error:
            await _abort(error, context, method)
        else:
            return response

    return call


def _wrap_stream(behavior: Any, method: str) -> Any:
    point = _failpoint(method)

    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async for response in behavior(request, context):
                await failpoints.hit_async(point, _failure)
                yield response
        except Exception as error:
            await _abort(error, context, method)

    return call


def _failpoint(method: str) -> str:
    return f"call.{method.rpartition('/')[2]}.before_reply"


def _failure() -> Exception:
    return StoreUnavailableError("STORE_UNAVAILABLE", "a failpoint was reached", retry_seconds=0.1)


async def _abort(error: Exception, context: Context, method: str) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError | grpc.aio.UsageError) or context.cancelled():
        raise error
    status = rpc_status.to_status(_status_of(_service_error(error), method))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")


def _service_error(error: Exception) -> ServiceError | Exception:
    if not isinstance(error, DatasetError):
        return error
    kind = _DATASET_ERRORS.get(type(error), InvalidSpecError)
    return kind(error.reason, str(error), violations=[Violation(*v) for v in error.violations])


def _status_of(error: ServiceError | Exception, method: str) -> status_pb2.Status:
    if not isinstance(error, ServiceError):
        log.error("call_crashed", method=method, exc_info=error)
        error = ServiceError("INTERNAL", "the service failed; its log says why")
    code = STATUS_CODES.get(type(error), grpc.StatusCode.INTERNAL)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    ]
    if error.violations:
        details.append(_bad_request(error.violations))
    if error.retry_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=code.value[0], message=_cut(error.message), details=[_pack(d) for d in details]
    )


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    """Every wrong field, as far as trailers have room: then how many there are more."""
    found = error_details_pb2.BadRequest()
    for i, violation in enumerate(violations):
        found.field_violations.add(
            field=_cut(violation.field), description=_cut(violation.description)
        )
        if found.ByteSize() > _MAX_DETAILS_BYTES:
            del found.field_violations[-1]
            more = f"and {len(violations) - i} more wrong fields"
            found.field_violations.add(field=_cut(violation.field), description=more)
            break
    return found


def _cut(text: str) -> str:
    # What a client sent may be told back to it, but not all of a megabyte.
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def _pack(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
