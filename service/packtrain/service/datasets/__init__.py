"""The data that jobs learn from, as files: no gRPC, no protobuf, no SQL in here."""

from packtrain.service.datasets.catalog import Catalog
from packtrain.service.datasets.dataset import (
    ArrayHeader,
    ElementType,
    Origin,
    SplitHeader,
    StoredDataset,
    StoredSplit,
    UploadHeader,
)
from packtrain.service.datasets.errors import (
    DatasetError,
    DatasetExistsError,
    DatasetNotFoundError,
    DatasetReadOnlyError,
    DatasetTooLargeError,
    DatasetViolation,
    InvalidDatasetError,
)
from packtrain.service.datasets.synthetic import SyntheticKind
from packtrain.service.datasets.uploads import Upload

__all__ = [
    "ArrayHeader",
    "Catalog",
    "DatasetError",
    "DatasetExistsError",
    "DatasetNotFoundError",
    "DatasetReadOnlyError",
    "DatasetTooLargeError",
    "DatasetViolation",
    "ElementType",
    "InvalidDatasetError",
    "Origin",
    "SplitHeader",
    "StoredDataset",
    "StoredSplit",
    "SyntheticKind",
    "Upload",
    "UploadHeader",
]
