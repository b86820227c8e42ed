"""Upload headers to what the catalog takes."""

from __future__ import annotations

from packtrain.service.datasets import ArrayHeader, ElementType, SplitHeader, UploadHeader
from packtrain.v1 import dataset_service_pb2 as pb

_ELEMENT_TYPES = {
    pb.ELEMENT_TYPE_FLOAT32: ElementType.FLOAT32,
    pb.ELEMENT_TYPE_FLOAT64: ElementType.FLOAT64,
    pb.ELEMENT_TYPE_UINT8: ElementType.UINT8,
    pb.ELEMENT_TYPE_INT32: ElementType.INT32,
    pb.ELEMENT_TYPE_INT64: ElementType.INT64,
}


def read_header(message: pb.UploadDatasetHeader) -> UploadHeader:
    """What an upload announces; the catalog checks it."""
    return UploadHeader(
        message.dataset_id,
        tuple(
            SplitHeader(split.name or "train", _array(split.inputs), _array(split.targets))
            for split in message.splits
        ),
        message.description,
    )


def _array(message: pb.ArrayHeader) -> ArrayHeader:
    return ArrayHeader(_ELEMENT_TYPES.get(message.element_type), tuple(message.shape))
