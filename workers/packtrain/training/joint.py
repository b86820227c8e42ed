"""The first layers of many trials, side by side in one matrix.

All trials of a block see the same rows x, so their first layers are one wide layer, and one
product serves them: products of 30 columns run at half of the matrix peak, those of some hundred
at 90 to 100 % of it. What stands against it is that a trial's numbers must not depend on its
place, and that BLAS may sum in another order at the edges of a matrix than inside it: OpenBLAS
0.3.31 does so on processors without AVX-512, in the first and the last 8 of up to 320 columns.
So there are two arrangements: wide matrices, and narrower ones with margins of zeros on both
sides. Whether the place is of no account is not believed but tried, for each shape of product, on
the machine itself (:func:`is_placeless`). Where it is not so, each trial gets a product of its
own: alone as in any pack.

Where trials step in every mini-batch, a third arrangement, each in a matrix of its own, is best on
processors with AVX-512: see :mod:`packtrain.training.small_products`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import blas

from packtrain.training.kernel import Floats
from packtrain.training.small_products import are_small_products_fast, multiply_in_parts

_GEMM = {name: blas.get_blas_funcs(("gemm",), dtype=name)[0] for name in ("float32", "float64")}

# Widths are multiples of this, as BLAS's kernels are wide. Rows that lie a power of two apart
# share few places of the caches: products of 512 columns take a tenth longer, of 1,024 two thirds.
MULTIPLE = 16
CROWDED = 256
# As many as fill 800 columns with 30 neurons each: products of that width are at their best, and
# trying every place of more would take longer.
MOST_TRIALS = 26


@dataclass(frozen=True)
class Arrangement:
    """How wide a matrix of several trials may be, and the columns of zeros on both its sides."""

    widest: int
    margin: int

    def most_trials(self, units: int) -> int:
        """How many trials a matrix takes whose first layer has ``units`` neurons."""
        return max(1, min((self.widest - 2 * self.margin) // units, MOST_TRIALS))

    def lay_out(self, trials: int, units: int) -> Layout:
        """The layout of ``trials`` networks whose first layer has ``units`` neurons."""
        groups = -(-trials // self.most_trials(units))
        return self.matrices(trials, units, -(-trials // groups), groups)

    def matrices(self, trials: int, units: int, each: int, groups: int) -> Layout:
        """``groups`` matrices of ``each`` trials."""
        if self.most_trials(units) == 1:
            return Layout(trials, units, each, groups, units, 0, self)
        width = -(-(each * units + 2 * self.margin) // MULTIPLE) * MULTIPLE
        if width % CROWDED == 0:
            width += MULTIPLE
        return Layout(trials, units, each, groups, width, self.margin, self)


# On a machine with AVX-512, matrices of 800 columns train [784, 100, 10] a fifth faster than those
# of 320 with margins: fewer zeros, and weights that BLAS reads in longer runs.
WIDE = Arrangement(widest=800, margin=0)
MARGINED = Arrangement(widest=320, margin=8)
# Each trial by itself, in products that are cut.
ALONE = Arrangement(widest=1, margin=0)
ARRANGEMENTS = (WIDE, MARGINED, ALONE)
# Smaller layers are not stepped alone: NumPy's calls for each trial would take longer than its
# arithmetic.
LEAST_ALONE = 2**14


@dataclass(frozen=True)
class Layout:
    """Where the first layers of a block's trials lie: in ``groups`` matrices of ``width``
    columns, ``each`` trials of ``units`` columns in a matrix, between margins.

    There may be more slots than trials; the rest hold zeros.
    """

    trials: int
    units: int
    each: int
    groups: int
    width: int
    margin: int
    arrangement: Arrangement

    @property
    def slots(self) -> int:
        return self.groups * self.each

    @property
    def groups_together(self) -> int:
        """How many groups are measured at a time: as many as a wide matrix has columns."""
        return min(self.groups, max(1, WIDE.widest // self.width))

    @cached_property
    def columns(self) -> slice:
        """The columns between the margins."""
        return slice(self.margin, self.margin + self.each * self.units)

    def by_trial(self, array: Floats) -> Floats:
        """A view (groups, each, rows, units) of a joint array (groups, rows, width)."""
        groups, rows, _ = array.shape
        split = array[:, :, self.columns].reshape(groups, rows, self.each, self.units)
        return split.transpose(0, 2, 1, 3)

    def zeros(self, rows: int, dtype: DTypeLike) -> Floats:
        """A joint array (groups, rows, width)."""
        return np.zeros((self.groups, rows, self.width), dtype)

    def load(self, stacked: Floats) -> Floats:
        """A joint array of (trials, rows, units)."""
        joint = self.zeros(stacked.shape[1], stacked.dtype)
        slots = self.by_trial(joint)
        for group in range(self.groups):
            part = stacked[group * self.each : (group + 1) * self.each]
            slots[group, : len(part)] = part
        return joint

    def unload(self, joint: Floats) -> Floats:
        """(trials, rows, units), contiguous: what :meth:`load` was given."""
        stacked = np.ascontiguousarray(self.by_trial(joint))
        return stacked.reshape(self.slots, *stacked.shape[2:])[: self.trials]

    def spread(self, values: NDArray[np.float64], fill: float, dtype: DTypeLike) -> Floats:
        """Values of the trials, (trials,), as (groups, each, 1, 1)."""
        padded = np.full(self.slots, fill, np.float64)
        padded[: self.trials] = values
        return padded.astype(dtype).reshape(self.groups, self.each, 1, 1)

    def across(self, values: NDArray[np.float64], fill: float, dtype: DTypeLike) -> Floats:
        """Values of the trials, (trials,), above their columns: (groups, 1, width)."""
        joint = np.full((self.groups, 1, self.width), fill, dtype)
        self.by_trial(joint)[...] = self.spread(values, fill, dtype)
        return joint


def arrange(rows: int, inputs: int, units: int, dtype: DTypeLike, is_deferred: bool) -> Arrangement:
    """The arrangement for first layers (inputs, units) that are shown so many rows at a time,
    whose steps are put together (``is_deferred``) or made one by one: side by side in the first in
    which this machine's BLAS takes no account of a trial's place, or alone where that is faster."""
    if not is_deferred and inputs * units >= LEAST_ALONE and are_small_products_fast():
        return ALONE
    shape, kind = (rows, inputs), np.dtype(dtype)
    for arrangement in (WIDE, MARGINED):
        if is_placeless("product", kind, *shape, units, True, arrangement) and is_placeless(
            "subtraction", kind, *shape[::-1], units, False, arrangement
        ):
            return arrangement
    return MARGINED


def multiply(x: Floats, joint: Floats, out: Floats, layout: Layout) -> None:
    """out = x joint, of x (rows, inner) and joint arrays (groups, inner or rows, width)."""
    if layout.arrangement is ALONE:
        multiply_in_parts(x, joint, out)
    elif _is_placeless("product", x, joint, layout):
        np.matmul(x, joint, out=out)
    else:
        np.matmul(x, layout.by_trial(joint), out=layout.by_trial(out))


def subtract(x: Floats, joint: Floats, out: Floats, layout: Layout) -> None:
    """out -= x joint, of the shapes of :func:`multiply`, written once. Each matrix of ``joint``
    and ``out`` is contiguous; ``x`` is so, or transposed."""
    if _is_placeless("subtraction", x, joint, layout):
        _subtract(x, joint, out)
    else:
        by_trial = layout.by_trial(out)
        np.subtract(by_trial, np.matmul(x, layout.by_trial(joint)), out=by_trial)


def _subtract(x: Floats, joint: Floats, out: Floats) -> None:
    gemm = _GEMM[joint.dtype.name]
    # BLAS counts columns first: transposed, the matrices are what it takes without a copy.
    turned = x.T if x.flags.c_contiguous else x
    trans = 0 if x.flags.c_contiguous else 1
    for a, c in zip(joint, out, strict=True):
        # Positional: (alpha, a, b, beta, c, trans_a, trans_b, overwrite_c).
        gemm(-1.0, a.T, turned, 1.0, c.T, 0, trans, 1)


def _is_placeless(kind: str, x: Floats, joint: Floats, layout: Layout) -> bool:
    units, arrangement = layout.units, layout.arrangement
    return is_placeless(kind, joint.dtype, *x.shape, units, x.flags.c_contiguous, arrangement)


@lru_cache(maxsize=4096)
def is_placeless(
    kind: str,
    dtype: np.dtype[np.floating],
    rows: int,
    inner: int,
    units: int,
    contiguous: bool,
    arrangement: Arrangement,
) -> bool:
    """Whether this machine's BLAS, with its present number of threads, gives a trial the same
    numbers at any place of any number of trials: the product is tried at all of them.

    The order in which BLAS adds does not depend on the values, so that one trial is proof.
    """
    most = arrangement.most_trials(units)
    if most == 1:
        return True
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, inner) if contiguous else (inner, rows)).astype(dtype)
    x = x if contiguous else x.T
    weights = rng.standard_normal((1, inner, units)).astype(dtype)
    before = rng.standard_normal((1, rows, units)).astype(dtype)
    alone: Floats | None = None
    for each in range(1, most + 1):
        layout = arrangement.matrices(each, units, each, 1)
        joint = layout.load(np.repeat(weights, each, axis=0))
        out = layout.load(np.repeat(before, each, axis=0))
        if kind == "product":
            np.matmul(x, joint, out=out)
        else:
            _subtract(x, joint, out)
        found = layout.by_trial(out)
        alone = found if alone is None else alone
        if not (found == alone).all():
            return False
    return True
