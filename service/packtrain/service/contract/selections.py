"""Dataset selections: the stored rows that a specification learns from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberField, NumberFields, whole
from packtrain.service.contract.targets import StoredTargets, measure_targets
from packtrain.service.datasets import Catalog, DatasetError, StoredDataset, SyntheticKind
from packtrain.service.errors import InvalidSpecError, StoreFullError
from packtrain.service.resources import parse_dataset_name
from packtrain.training import (
    DataError,
    DataType,
    RowRange,
    Scaling,
    Selection,
    find_unfit_numbers,
    select_rows,
)
from packtrain.v1 import spec_pb2
from packtrain.workers import DataSource, open_splits

MAX_SYNTHETIC_ROWS = 1_000_000
MAX_SYNTHETIC_FEATURES = 1_000
_MAX_INLINE_BYTES = 1 << 20
_FLOAT32_MAX = float(np.finfo(np.float32).max)

_SYNTHETIC = "dataset.synthetic"
NUMBERS: NumberFields = {
    "dataset.validation_share": NumberField(above=0, below=1),
    f"{_SYNTHETIC}.rows": whole(1, MAX_SYNTHETIC_ROWS),
    f"{_SYNTHETIC}.noise": NumberField(at_least=0, at_most=1e6),
    f"{_SYNTHETIC}.features": whole(1, MAX_SYNTHETIC_FEATURES),
}

_SCALINGS = {
    spec_pb2.SCALING_UNSPECIFIED: Scaling.NONE,
    spec_pb2.SCALING_NONE: Scaling.NONE,
    spec_pb2.SCALING_STANDARDIZE: Scaling.STANDARDIZE,
    spec_pb2.SCALING_MIN_MAX: Scaling.MIN_MAX,
}

_SYNTHETIC_KINDS = {
    spec_pb2.SYNTHETIC_KIND_XOR: SyntheticKind.XOR,
    spec_pb2.SYNTHETIC_KIND_MOONS: SyntheticKind.MOONS,
    spec_pb2.SYNTHETIC_KIND_SPIRALS: SyntheticKind.SPIRALS,
    spec_pb2.SYNTHETIC_KIND_LINEAR: SyntheticKind.LINEAR,
}


class Sources:
    """The datasets of one job, each found once: by what the specification says when the job is
    created, and ever after by the digest of what was found then."""

    def __init__(self, catalog: Catalog, stored: Sequence[str] | None = None) -> None:
        self._catalog = catalog
        self._stored = stored
        self._found: dict[bytes, StoredDataset | None] = {}
        self._targets: dict[tuple[str, tuple[str, ...]], StoredTargets] = {}
        self._unfit: dict[DataSource, tuple[DataError, ...]] = {}

    @property
    def digests(self) -> tuple[str, ...]:
        """Of what was found, in the order of being asked for."""
        return tuple(d.digest for d in self._found.values() if d is not None)

    def find(
        self, selection: spec_pb2.DatasetSelection, violations: Violations
    ) -> StoredDataset | None:
        """The dataset that the selection names; None, and a violation, where there is none."""
        source = spec_pb2.DatasetSelection()
        source.CopyFrom(selection)
        for field in source.DESCRIPTOR.fields:
            if field.containing_oneof is None or field.containing_oneof.name != "source":
                source.ClearField(field.name)
        key = source.SerializeToString(deterministic=True)
        if key not in self._found:
            self._found[key] = self._resolve(selection, violations)
        return self._found[key]

    def targets(
        self, dataset: StoredDataset, splits: tuple[str, ...], violations: Violations
    ) -> StoredTargets | None:
        """What the targets of these splits say; None, and a violation, where they can't be
        read."""
        key = dataset.digest, splits
        if key not in self._targets:
            used = [split for split in dataset.splits if split.name in splits]
            try:
                self._targets[key] = measure_targets(used)
            except (OSError, ValueError) as error:
                violations.add("dataset", f"its targets can't be read: {error}")
                return None
        return self._targets[key]

    def check_numbers(
        self,
        dataset: StoredDataset,
        data: DataSource,
        selection: spec_pb2.DatasetSelection,
        violations: Violations,
    ) -> None:
        """A violation for each kind of numbers that the job's data type can't hold. The selected
        rows are read only where the dataset's largest number leaves room for one."""
        if dataset.largest <= _FLOAT32_MAX:
            return
        if data not in self._unfit:
            try:
                splits = open_splits(data)
            except (OSError, ValueError) as error:
                violations.add("dataset", f"its numbers can't be read: {error}")
                return
            found = find_unfit_numbers(splits, data.selection, data.data_type)
            self._unfit[data] = tuple(found)
        for wrong in self._unfit[data]:
            violations.add(_field_of(wrong, selection), _advise(wrong, data))

    def _resolve(
        self, selection: spec_pb2.DatasetSelection, violations: Violations
    ) -> StoredDataset | None:
        if self._stored is None:
            return resolve_dataset(selection, self._catalog, violations)
        found = self._find_stored(selection, self._stored[len(self._found) :])
        if found is None:
            violations.add("dataset", "its content has gone from the server's data directory")
        return found

    def _find_stored(
        self, selection: spec_pb2.DatasetSelection, digests: Sequence[str]
    ) -> StoredDataset | None:
        """What has the first of these digests. What the selection itself makes may be made anew:
        it is kept no longer than jobs train."""
        if not digests:
            return None
        with contextlib.suppress(DatasetError):
            return self._catalog.get_by_digest(digests[0])
        if selection.WhichOneof("source") == "name":
            return None
        made = resolve_dataset(selection, self._catalog, Violations())
        return made if made is not None and made.digest == digests[0] else None


def _field_of(wrong: DataError, selection: spec_pb2.DatasetSelection) -> str:
    """Where a specification says what is wrong with the numbers of its data."""
    if wrong.row is None:
        return f"dataset.{wrong.field}"
    source = f"dataset.{selection.WhichOneof('source')}"
    return f"{source}.{wrong.field}[{wrong.row}]" if source.endswith("inline") else source


def _advise(wrong: DataError, data: DataSource) -> str:
    if wrong.row is None or data.data_type == "float64":
        return wrong.message
    return f"{wrong.message}: ask for the data_type FLOAT64"


def resolve_dataset(
    selection: spec_pb2.DatasetSelection, catalog: Catalog, violations: Violations
) -> StoredDataset | None:
    """The dataset that the selection names, made or stored where it is not there yet. Raises
    StoreFullError where the disk has no room for it."""
    source = selection.WhichOneof("source")
    if source is None:
        violations.add("dataset", "must be given: name, synthetic or inline")
        return None
    try:
        if source == "name":
            return catalog.get(parse_dataset_name(selection.name, "dataset.name"))
        if source == "synthetic":
            return _synthetic(selection.synthetic, catalog, violations)
        return _inline(selection.inline, catalog, violations)
    except InvalidSpecError as error:
        violations.add_all(error.violations)
    except DatasetError as error:
        if error.reason == "DISK_FULL":
            # Nothing is wrong with what was asked for.
            raise StoreFullError(error.reason, str(error), retry_seconds=10.0) from error
        for violation in error.violations or [(None, str(error))]:
            field = f"dataset.{source}" + (f".{violation[0]}" if violation[0] else "")
            violations.add(field, violation[1])
    return None


def _synthetic(
    message: spec_pb2.SyntheticDataset, catalog: Catalog, violations: Violations
) -> StoredDataset | None:
    where = _SYNTHETIC
    kind = _SYNTHETIC_KINDS.get(message.kind)
    before = len(violations)
    if kind is None:
        kinds = ", ".join(map(spec_pb2.SyntheticKind.Name, _SYNTHETIC_KINDS))
        violations.add(f"{where}.kind", f"must be one of {kinds}")
    rows, noise, features = (
        NUMBERS[f"{where}.{name}"].read(message, f"{where}.{name}", violations, 1)
        for name in ("rows", "noise", "features")
    )
    if kind is None or len(violations) > before:
        return None
    return catalog.store_synthetic(
        kind,
        int(rows) if message.HasField("rows") else None,
        noise if message.HasField("noise") else None,
        message.seed,
        int(features) if message.HasField("features") else None,
    )


def _inline(
    message: spec_pb2.InlineDataset, catalog: Catalog, violations: Violations
) -> StoredDataset | None:
    where = "dataset.inline"
    if message.ByteSize() > _MAX_INLINE_BYTES:
        violations.add(where, "must be at most 1 MiB: upload larger data as a dataset")
        return None
    if bool(message.labels) == bool(message.targets):
        violations.add(where, "must have either labels or targets")
        return None
    return catalog.store_inline(
        [list(row.values) for row in message.inputs],
        list(message.labels) or None,
        [list(row.values) for row in message.targets] or None,
    )


@dataclass(frozen=True)
class Chosen:
    """How many rows are trained on and validated on, of which splits, and where they lie."""

    rows: int
    validation_rows: int
    splits: tuple[str, ...]
    data: DataSource


def select(
    spec: spec_pb2.JobSpec,
    dataset: StoredDataset,
    one_hot_outputs: int | None,
    data_type: DataType,
    violations: Violations,
) -> Chosen | None:
    """The rows that the specification selects; None, and a violation, where it can't."""
    message = spec.dataset
    before = len(violations)
    training = (
        read_row_range(message.training, "dataset.training", violations)
        if message.HasField("training")
        else None
    )
    validation: RowRange | float | None = None
    kind = message.WhichOneof("validation")
    if kind == "validation_rows":
        validation = read_row_range(message.validation_rows, "dataset.validation_rows", violations)
    elif kind == "validation_share":
        path = "dataset.validation_share"
        validation = NUMBERS[path].read(message, path, violations, 0.5)
    scaling = read_scaling(message, violations)
    if len(violations) > before:
        return None
    selection = Selection(
        training=training,
        validation=validation,
        scaling=scaling,
        one_hot_outputs=one_hot_outputs,
        seed=int(spec.seed) if isinstance(validation, float) else 0,
    )
    try:
        chosen, held_out = select_rows(selection, dataset.rows_by_split())
    except DataError as error:
        violations.add(f"dataset.{error.field}", error.message)
        return None
    source = DataSource(
        splits=tuple((s.name, s.inputs_path, s.targets_path) for s in dataset.splits),
        selection=selection,
        data_type=data_type,
    )
    names = dict.fromkeys([chosen[0], held_out[0]] if held_out else [chosen[0]])
    return Chosen(len(chosen[1]), len(held_out[1]) if held_out else 0, tuple(names), source)


def read_scaling(selection: spec_pb2.DatasetSelection, violations: Violations) -> Scaling:
    """What is done to the inputs."""
    if selection.scaling not in _SCALINGS:
        violations.add("dataset.scaling", f"{selection.scaling} is no scaling of this server")
    return _SCALINGS.get(selection.scaling, Scaling.NONE)


def read_row_range(message: spec_pb2.RowRange, field: str, violations: Violations) -> RowRange:
    """A range of rows; whether the split has them is checked with the data."""
    if message.first < 0:
        violations.add(f"{field}.first", f"must be at least 0, not {message.first}")
    if message.HasField("count") and message.count < 1:
        violations.add(f"{field}.count", f"must be at least 1, not {message.count}")
    return RowRange(
        message.split or "train",
        max(0, message.first),
        max(1, message.count) if message.HasField("count") else None,
    )
