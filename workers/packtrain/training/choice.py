"""Which kernel trains a signature, in blocks of how many trials, and how rows are measured.

The choices that change a sum's order follow from the signature alone, never from the machine or
the number of trials: they are part of every result.
"""

from __future__ import annotations

import numpy as np

from packtrain.training import stacked_pass
from packtrain.training.blocks import Block
from packtrain.training.kernel import Kernel, Networks
from packtrain.training.lanes import LANE_ROWS, LaneKernel
from packtrain.training.spec import Signature
from packtrain.training.stacked import StackedKernel

# Weights times rows of a mini-batch below which vector arithmetic beats stacked products.
LANE_PRODUCTS = 1000

# A block's weights should stay in the caches; yet a block of few trials pays NumPy's overhead
# per call (about 35 calls a step), the gathering of rows and their products for each of them. On
# an EPYC 9004 (1 MB of level 2, 32 MB of level 3) blocks of 2, 3, 4 and 6 MB took 21.2, 19.9, 20.4
# and 20.8 us a trial-step for [784, 30, 10], and 395, 364, 365 and 393 for [784, 100, 100, 10]
# with Adam.
STACKED_BLOCK_BYTES = 3 * 1024 * 1024
LEAST_STACKED, MOST_STACKED = 8, 512
# NumPy's calls, some 50 a step of about 1 us each, cost tiny networks more than the caches do: for
# [2, 3, 1] on four rows blocks of 1,000, 3,000 and 10,000 trials took 154, 102 and 75 ns a
# trial-step, for [8, 12, 10] on 4 rows blocks of 256, 1,000 and 3,000 took 2.5, 1.9 and 2.5 us.
LANE_BLOCK_BYTES = 4 * 1024 * 1024
LEAST_LANES, MOST_LANES = 256, 16384


def suits_lanes(signature: Signature) -> bool:
    """Whether the layers are too small for matrix products."""
    return signature.batch_size * _weights(signature) <= LANE_PRODUCTS


def make_kernel(signature: Signature, block: Block, networks: Networks) -> Kernel:
    """The kernel of a block; it takes ``networks`` over."""
    if suits_lanes(signature):
        return LaneKernel(signature, block, networks)
    return StackedKernel(signature, block, networks)


def block_trials(signature: Signature) -> int:
    """How many trials the trainer sweeps as one block. No result depends on it."""
    item = np.dtype(signature.data_type).itemsize
    if suits_lanes(signature):
        # Weights and their step; activations, errors and scratch of a mini-batch.
        each = 2 * _weights(signature) + 3 * signature.batch_size * sum(signature.sizes[1:])
        fitting = LANE_BLOCK_BYTES // (each * item) // 16 * 16
        return int(np.clip(fitting, LEAST_LANES, MOST_LANES))
    fitting = STACKED_BLOCK_BYTES // (_weights(signature) * item)
    return int(np.clip(fitting, LEAST_STACKED, MOST_STACKED))


def rows_per_pass(signature: Signature) -> int:
    """Rows that are measured at a time."""
    return (
        max(LANE_ROWS, signature.batch_size)
        if suits_lanes(signature)
        else stacked_pass.rows_per_pass(signature)
    )


def _weights(signature: Signature) -> int:
    pairs = zip(signature.sizes, signature.sizes[1:], strict=False)
    return sum(inputs * outputs for inputs, outputs in pairs)
