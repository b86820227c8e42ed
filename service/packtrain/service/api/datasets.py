"""DatasetService."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from packtrain.service.api.requests import (
    Context,
    page_size,
    read_page_token,
    request_key,
    write_page_token,
)
from packtrain.service.contract import messages, uploads
from packtrain.service.datasets import (
    Catalog,
    DatasetNotFoundError,
    StoredDataset,
    Upload,
    UploadHeader,
)
from packtrain.service.errors import IllegalTransitionError, InvalidSpecError, Violation
from packtrain.service.resources import parse_dataset_name
from packtrain.service.store import Store
from packtrain.v1 import dataset_service_pb2, dataset_service_pb2_grpc

pb = dataset_service_pb2

_MOST_CHUNK_BYTES = 1 << 20


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """The catalog. Everything that touches files runs in threads."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    async def UploadDataset(
        self, requests: AsyncIterator[pb.UploadDatasetRequest], _: Context
    ) -> pb.UploadDatasetResponse:
        """Header, then bytes; whatever goes wrong leaves nothing behind."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("content") != "header":
            raise InvalidSpecError.of([Violation("header", "must be the first message")])
        header = uploads.read_header(first.header)
        upload = await self._begin_upload(header)
        try:
            async for request in requests:
                if request.WhichOneof("content") != "chunk":
                    raise InvalidSpecError.of(
                        [Violation("chunk", "must be in every message after the first")]
                    )
                if len(request.chunk) > _MOST_CHUNK_BYTES:
                    raise InvalidSpecError.of([Violation("chunk", "must be at most 1 MiB")])
                await asyncio.to_thread(upload.write, request.chunk)
            dataset = await asyncio.to_thread(upload.commit)
        finally:
            # Once committed, this does nothing. Not in a thread: a call that was cut off is
            # cancelled, and could not wait for one.
            upload.abort()
        return pb.UploadDatasetResponse(dataset=messages.to_dataset(dataset))

    async def _begin_upload(self, header: UploadHeader) -> Upload:
        begun = asyncio.ensure_future(asyncio.to_thread(self._catalog.begin_upload, header))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            # Cut off meanwhile: the thread goes on, and nobody else would hear of its upload.
            begun.add_done_callback(_abort_begun)
            raise

    async def GetDataset(self, request: pb.GetDatasetRequest, _: Context) -> pb.GetDatasetResponse:
        """One dataset; a file is read at its first use."""
        dataset_id = parse_dataset_name(request.name)
        dataset = await asyncio.to_thread(self._catalog.get, dataset_id)
        return pb.GetDatasetResponse(dataset=messages.to_dataset(dataset))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, _: Context
    ) -> pb.ListDatasetsResponse:
        """By name; a page goes on after the last name that was shown."""
        size = page_size(request.page_size, 50, 500)
        after = read_page_token(request.page_token) or ""
        found = [d for d in await asyncio.to_thread(self._catalog.list) if d.dataset_id > after]
        more = write_page_token(found[size - 1].dataset_id) if len(found) > size else ""
        datasets = [messages.to_dataset(d) for d in found[:size]]
        return pb.ListDatasetsResponse(datasets=datasets, next_page_token=more)

    async def DeleteDataset(
        self, request: pb.DeleteDatasetRequest, _: Context
    ) -> pb.DeleteDatasetResponse:
        """Refused while a job that has not ended uses it."""
        dataset_id = parse_dataset_name(request.name)
        key = request_key(request, "DeleteDataset")
        earlier = await self._store.repeated_target(key) if key is not None else None
        in_use = await self._store.datasets_in_use()
        try:
            dataset = await asyncio.to_thread(self._catalog.get, dataset_id)
        except DatasetNotFoundError:
            if earlier is None:
                raise
            return pb.DeleteDatasetResponse()
        if earlier is not None and earlier != _identify(dataset):
            # What it was for is gone; this came later.
            return pb.DeleteDatasetResponse()
        if dataset.digest in in_use:
            raise IllegalTransitionError(
                "DATASET_IN_USE", f"datasets/{dataset_id} is used by a job that has not ended"
            )
        # Before, since both can't be at once: a crash in between leaves a request that, sent again,
        # is carried out.
        if key is not None and earlier is None:
            await self._store.remember(key, _identify(dataset))
        # The name goes now. The content goes when it is swept: a job that is being created at
        # this moment may have found it already.
        await asyncio.to_thread(self._catalog.delete, dataset_id, {*in_use, dataset.digest})
        return pb.DeleteDatasetResponse()


def _identify(dataset: StoredDataset) -> str:
    """Tells a dataset from a later one of its name."""
    told = f"{dataset.digest} {dataset.created}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _abort_begun(begun: asyncio.Future[Upload]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().abort()
