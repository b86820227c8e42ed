"""Whether a state is one of a pack, for library users: the workers keep theirs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from packtrain.training.refusals import PackError, require_kind, require_whole, show
from packtrain.training.spec import Pack
from packtrain.training.state import PackState, Watch

# The columns of a state and of a watch, and the kinds of number they hold, as NumPy has them.
_COLUMNS = {"diverged_at": "iu", "stopped_at": "iu", "rate_share": "f"}
_WATCH_COLUMNS = {"best": "f", "since": "iu"}
_KINDS = {"iu": "whole numbers", "f": "real numbers"}

Shapes = tuple[tuple[int, ...], ...]


def check_state(pack: Pack, state: PackState) -> None:
    """Raise :class:`PackError` where ``state`` is not one of ``pack``."""
    require_kind("state", state, PackState, "a PackState, or None")
    if np.ndim(state.diverged_at) == 1 and len(state) != len(pack):
        raise PackError("state", f"expected {len(pack)} trials, got {len(state)}.")
    require_whole("state.epoch", state.epoch, at_least=0)
    for name, kinds in _COLUMNS.items():
        _check_column(f"state.{name}", getattr(state, name), kinds, len(pack))
    for name in ("plateau", "patience"):
        watch = getattr(state, name)
        require_kind(f"state.{name}", watch, Watch, "a Watch")
        for column, kinds in _WATCH_COLUMNS.items():
            _check_column(f"state.{name}.{column}", getattr(watch, column), kinds, len(pack))
    pairs = list(pairwise(pack.signature.sizes))
    weights: Shapes = tuple((len(pack), inputs, outputs) for inputs, outputs in pairs)
    biases: Shapes = tuple((len(pack), outputs) for _, outputs in pairs)
    data_type = pack.signature.data_type
    for name, shapes in (("weight", weights), ("bias", biases)):
        plural = "weights" if name == "weight" else "biases"
        _check_layers(f"state.{plural}", getattr(state, plural), data_type, shapes)
        moments = getattr(state, f"{name}_moments")
        require_kind(f"state.{name}_moments", moments, tuple, "a tuple of layers for each moment")
        for index, layers in enumerate(moments):
            _check_layers(f"state.{name}_moments[{index}]", layers, data_type, shapes)


def _check_column(field: str, column: object, kinds: str, trials: int) -> None:
    if not isinstance(column, np.ndarray) or column.dtype.kind not in kinds:
        found = f"one of {column.dtype}" if isinstance(column, np.ndarray) else show(column)
        raise PackError(field, f"expected an array of {_KINDS[kinds]}, got {found}.")
    if column.shape != (trials,):
        raise PackError(field, f"expected shape ({trials},), got {column.shape}.")


def _check_layers(field: str, layers: object, data_type: str, shapes: Shapes) -> None:
    fits = (
        isinstance(layers, tuple)
        and len(layers) == len(shapes)
        and all(
            isinstance(layer, np.ndarray) and (layer.dtype, layer.shape) == (data_type, shape)
            for layer, shape in zip(layers, shapes, strict=True)
        )
    )
    if not fits:
        raise PackError(field, f"expected {data_type} of shapes {list(shapes)}.")
