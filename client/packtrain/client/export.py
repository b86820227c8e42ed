"""Everything of a sweep as one Parquet or CSV file.

Trials are held as columns; their history passes through, some rows at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from packtrain.client.errors import MissingExtra
from packtrain.client.results import Block
from packtrain.client.trial_columns import PREFIX, ParameterColumn, TrialColumns

ENDINGS = (".parquet", ".csv")
# Rows of a group of a Parquet file, as its documentation advises; and those that are held as text.
_GROUP_ROWS, _TEXT_ROWS = 1 << 17, 1 << 13


class _Writer(Protocol):
    """Takes rows of a history, and the trials as they are."""

    def write_trials(self, columns: TrialColumns) -> None: ...

    def write_history(
        self, rows: NDArray[np.intp], epochs: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None: ...

    def close(self) -> None: ...


class ExportFile:
    """A file of a history on its way."""

    def __init__(self, writer: _Writer, columns: TrialColumns, metrics: Sequence[str]) -> None:
        self._writer = writer
        self._metrics = list(metrics)
        self._rows = {trial: row for row, trial in enumerate(columns.index)}
        self._held: list[tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float32]]] = []
        self._count = 0

    def add(self, block: Block) -> None:
        """A row for each trial and epoch of a block of which anything was measured."""
        count, epochs, _ = block.values.shape
        values = np.full((count, epochs, len(self._metrics)), np.nan, np.float32)
        for place, name in enumerate(block.metrics):
            values[:, :, self._metrics.index(name)] = block.values[:, :, place]
        # -1: a trial that the job had not yet when its trials were read.
        rows = np.array([self._rows.get(trial, -1) for trial in block.trials], np.intp)
        is_known = (rows >= 0)[:, None]
        trial, epoch = np.nonzero(is_known & np.any(~np.isnan(values), axis=2))
        found = (rows[trial], (block.first_epoch + epoch).astype(np.int32), values[trial, epoch])
        self._held.append(found)
        self._count += len(trial)
        if self._count >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            rows, epochs, values = (
                np.concatenate(parts) for parts in zip(*self._held, strict=True)
            )
            self._writer.write_history(rows, epochs, values)
        self._held, self._count = [], 0


@contextmanager
def open_export(
    path: Path, columns: TrialColumns, metrics: Sequence[str], *, history: bool
) -> Iterator[ExportFile]:
    """A file of trials, or of their ``history`` of these metrics, which is there when it is whole.

    ValueError for an ending that is neither .parquet nor .csv; MissingExtra.
    """
    check_ending(path)
    part = path.with_name(f"{path.name}.part")
    kind = _Parquet if path.suffix.lower() == ".parquet" else _Csv
    writer = kind(part, columns, metrics, history)
    try:
        with closing(writer):
            file = ExportFile(writer, columns, metrics)
            yield file
            if history:
                file.flush()
            else:
                writer.write_trials(columns)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_ending(path: Path) -> None:
    """Raise ValueError or MissingExtra unless a file of this name can be written."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path} must end in {' or '.join(ENDINGS)}")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise MissingExtra("writing Parquet", "export") from None


class _Csv:
    """Text; empty where a trial lacks a parameter, or a metric was not measured or is NaN."""

    def __init__(
        self, path: Path, columns: TrialColumns, metrics: Sequence[str], history: bool
    ) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        parameters = columns.parameters
        self._index = np.array(columns.index, np.int32)
        self._parameters = [_csv_texts(column) for column in parameters.values()]
        names = [f"{PREFIX}{path}" for path in parameters]
        fields = ["trial", "epoch"] if history else ["trial", "state", "epochs"]
        self._metrics = list(metrics)
        self._writer.writerow([*fields, *names, *metrics])

    def write_trials(self, columns: TrialColumns) -> None:
        metrics = [_number_texts(columns.metric(name)) for name in self._metrics]
        parts = [columns.index, columns.states, columns.epochs, *self._parameters, *metrics]
        self._writer.writerows(zip(*parts, strict=True))

    def write_history(
        self, rows: NDArray[np.intp], epochs: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None:
        for start in range(0, len(rows), _TEXT_ROWS):
            cut = slice(start, start + _TEXT_ROWS)
            chosen = rows[cut].tolist()
            parts: list[Any] = [self._index[rows[cut]].tolist(), epochs[cut].tolist()]
            parts += [[texts[row] for row in chosen] for texts in self._parameters]
            parts += [_number_texts(column) for column in values[cut].T]
            self._writer.writerows(zip(*parts, strict=True))

    def close(self) -> None:
        self._file.close()


def _csv_texts(column: ParameterColumn) -> list[Any]:
    words = {True: "true", False: "false", None: ""}
    if column.kind == "bool":
        return [words[value] for value in column.values]
    return ["" if value is None else value for value in column.values]


def _number_texts(values: NDArray[np.float32]) -> list[str]:
    """The shortest texts that read back as the same float32."""
    texts: list[str] = np.where(np.isnan(values), "", values.astype(np.str_)).tolist()
    return texts


class _Parquet:
    """Typed columns; null where a trial lacks a parameter, or a metric was not measured or is
    NaN."""

    def __init__(
        self, path: Path, columns: TrialColumns, metrics: Sequence[str], history: bool
    ) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "text": pa.string()}
        self._parameters = {
            f"{PREFIX}{path}": pa.array(column.values, types[column.kind])
            for path, column in columns.parameters.items()
        }
        self._index = np.array(columns.index, np.int32)
        fields = [("trial", pa.int32())]
        if history:
            fields += [("epoch", pa.int32())]
        else:
            fields += [("state", pa.string()), ("epochs", pa.int32())]
        fields += [(name, array.type) for name, array in self._parameters.items()]
        fields += [(name, pa.float32()) for name in metrics]
        self._metrics = list(metrics)
        self._schema = pa.schema(fields)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write_trials(self, columns: TrialColumns) -> None:
        parts = [self._index, self._pa.array(columns.states), np.array(columns.epochs, np.int32)]
        metrics = [self._numbers(columns.metric(name)) for name in self._metrics]
        self._write([*parts, *self._parameters.values(), *metrics])

    def write_history(
        self, rows: NDArray[np.intp], epochs: NDArray[np.int32], values: NDArray[np.float32]
    ) -> None:
        taken = [array.take(self._pa.array(rows)) for array in self._parameters.values()]
        metrics = [self._numbers(column) for column in values.T]
        self._write([self._index[rows], epochs, *taken, *metrics])

    def _numbers(self, values: NDArray[np.float32]) -> Any:
        return self._pa.array(values, mask=np.isnan(values))

    def _write(self, parts: list[Any]) -> None:
        arrays = [
            self._pa.array(part, kind) if isinstance(part, np.ndarray) else part
            for part, kind in zip(parts, self._schema.types, strict=True)
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
