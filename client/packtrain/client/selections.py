"""What to learn from: a dataset of the server, a built-in set, or arrays of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from packtrain.client.domains import Domain
from packtrain.client.errors import SpecError
from packtrain.client.hints import did_you_mean

Scaling = Literal["none", "standardize", "min_max"]
TargetEncoding = Literal["one_hot", "as_is"]
SyntheticKind = Literal["xor", "moons", "spirals", "linear"]


def check_word(field: str, value: object, words: object) -> None:
    """Raise SpecError unless ``value`` is None, a domain or one of a Literal's ``words``."""
    expected = get_args(words)
    if value is None or isinstance(value, Domain) or value in expected:
        return
    hint = did_you_mean(value, expected) if isinstance(value, str) else ""
    raise SpecError(field, f"expected one of {', '.join(expected)}, not {value!r}{hint}")


@dataclass(frozen=True)
class RowRange:
    """Rows ``first`` to ``first + count`` of a split, or to its end where ``count`` is None."""

    split: str = "train"
    first: int = 0
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """A set that is made by a formula; None takes the server's default."""

    kind: SyntheticKind
    rows: int | None = None
    noise: float | None = None
    seed: int | None = None
    features: int | None = None

    def __post_init__(self) -> None:
        check_word("dataset.synthetic.kind", self.kind, SyntheticKind)


def xor(
    *, rows: int | None = None, noise: float | None = None, seed: int | None = None
) -> Synthetic:
    """The four corners of the unit square, class 1 where they differ."""
    return Synthetic(kind="xor", rows=rows, noise=noise, seed=seed)


def moons(
    *, rows: int | None = None, noise: float | None = None, seed: int | None = None
) -> Synthetic:
    """Two interleaved half circles, one for each class."""
    return Synthetic(kind="moons", rows=rows, noise=noise, seed=seed)


def spirals(
    *, rows: int | None = None, noise: float | None = None, seed: int | None = None
) -> Synthetic:
    """Two interleaved spirals, one for each class."""
    return Synthetic(kind="spirals", rows=rows, noise=noise, seed=seed)


def linear(
    *,
    rows: int | None = None,
    noise: float | None = None,
    seed: int | None = None,
    features: int | None = None,
) -> Synthetic:
    """Gaussian inputs, and one real target that is linear in them."""
    return Synthetic(kind="linear", rows=rows, noise=noise, seed=seed, features=features)


@dataclass(frozen=True, kw_only=True, eq=False)
class InlineDataset:
    """A small set that travels within the specification (1 MiB at most).

    ``inputs`` is (rows, features). Exactly one of ``labels``, (rows,) classes from 0, and
    ``targets``, (rows, outputs) real numbers, is given.
    """

    inputs: ArrayLike
    labels: ArrayLike | None = None
    targets: ArrayLike | None = None

    def __post_init__(self) -> None:
        if (self.labels is None) == (self.targets is None):
            raise SpecError("dataset.inline", "needs either labels or targets")
        rows = len(np.asarray(self.inputs))
        if np.asarray(self.inputs).ndim != 2:
            raise SpecError("dataset.inline.inputs", "expected an array of shape (rows, features)")
        answers = np.asarray(self.labels if self.targets is None else self.targets)
        field = "labels" if self.targets is None else "targets"
        if answers.ndim != (1 if field == "labels" else 2) or len(answers) != rows:
            shape = f"({rows},)" if field == "labels" else f"({rows}, outputs)"
            raise SpecError(
                f"dataset.inline.{field}", f"expected the shape {shape}, not {answers.shape}"
            )


def _as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        raise SpecError(f"dataset.inline.{name}", "expected rows of one length") from None
    if array.dtype.kind not in "biuf":
        raise SpecError(f"dataset.inline.{name}", f"expected numbers, not {array.dtype}")
    return array


def inline(x: ArrayLike, y: ArrayLike) -> InlineDataset:
    """Arrays that travel within the specification.

    ``x`` is (rows, features), or (rows,) for one feature. ``y`` of shape (rows,) and an integer
    type is taken for class labels; any other, (rows,) or (rows, outputs), for real targets.
    """
    inputs, answers = _as_array("inputs", x), _as_array("targets", y)
    inputs = inputs.reshape(-1, 1) if inputs.ndim == 1 else inputs
    if answers.ndim == 1 and answers.dtype.kind in "iub":
        return InlineDataset(inputs=inputs, labels=answers)
    return InlineDataset(
        inputs=inputs, targets=answers.reshape(-1, 1) if answers.ndim == 1 else answers
    )


@dataclass(frozen=True, kw_only=True)
class DatasetSelection:
    """Which rows of which dataset are learnt from, and which are held out.

    Exactly one of ``name``, ``synthetic`` and ``inline`` is given. ``training_rows``: so many
    from the start of the split "train", or a range. ``validation``: a share (above 0, below 1)
    of the training rows that is drawn by the job's seed, a range, or the name of a split.
    """

    name: str | None = None
    synthetic: Synthetic | None = None
    inline: InlineDataset | None = None
    training_rows: int | RowRange | None = None
    validation: float | str | RowRange | None = None
    scaling: Scaling | None = None
    target_encoding: TargetEncoding | None = None

    def __post_init__(self) -> None:
        given = [s for s in (self.name, self.synthetic, self.inline) if s is not None]
        if len(given) != 1:
            raise SpecError("dataset", "needs exactly one of name, synthetic and inline")
        check_word("dataset.scaling", self.scaling, Scaling)
        check_word("dataset.target_encoding", self.target_encoding, TargetEncoding)
