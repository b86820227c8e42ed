"""Products of single trials, cut so small that BLAS multiplies the matrices where they lie.

Before a product, BLAS copies its matrices into an order of its own, which for some ten rows costs
as much as a fourth of the product. OpenBLAS has kernels for processors with AVX-512 that do without
(since 0.3.17), and uses them up to a million multiply-adds. Of [784, 100] and 32 rows, a product
cut in three runs at 104 GFLOP/s, a whole one at 79, and one of eight trials side by side at 82.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from packtrain.training.kernel import Floats

MOST_SMALL = 10**6
# Parts below this cost as much in the sums of parts, or in calls, as they save.
LEAST_PART = 96


@cache
def are_small_products_fast() -> bool:
    """Whether the processor has AVX-512, and NumPy uses it.

    Not what BLAS uses, which nobody tells: where it was told to use other kernels, products are
    slower than they could be.
    """
    found = np.show_config("dicts").get("SIMD Extensions", {}).get("found", ())
    # As NumPy calls it from 2.4 on, and before.
    return "X86_V4" in found or "AVX512_SKX" in found


def multiply_in_parts(x: Floats, w: Floats, out: Floats) -> None:
    """out = x w, of x (rows, inner), w (trials, inner, units) and out (trials, rows, units).

    How it is cut depends on the shape of one trial alone.
    """
    (rows, inner), units = x.shape, w.shape[2]
    longer = max(rows, inner)
    part = MOST_SMALL * longer // (rows * inner * units)
    if part >= longer or part < LEAST_PART:
        np.matmul(x, w, out=out)
        return
    part = -(-longer // -(-longer // part))
    cuts = [slice(first, first + part) for first in range(0, longer, part)]
    if rows >= inner:
        for cut in cuts:
            np.matmul(x[cut], w, out=out[:, cut])
        return
    np.matmul(x[:, cuts[0]], w[:, cuts[0]], out=out)
    for cut in cuts[1:]:
        np.add(out, np.matmul(x[:, cut], w[:, cut]), out=out)
