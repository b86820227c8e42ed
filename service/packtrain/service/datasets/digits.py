"""The built-in set of handwritten digits. digits.LICENSE.txt tells its source and licence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from packtrain.service.datasets.arrays import SplitArrays

DIGITS_ID = "digits"
DIGITS_DESCRIPTION = (
    "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak; UCI Machine Learning "
    "Repository, CC BY 4.0): the 1,797 images of 8 by 8 pixels, 0 to 1, that scikit-learn carries."
)

# Each of the 8 x 8 pixels counts the set pixels of a 4 x 4 block.
_PIXEL_MAX = 16


def read_digits() -> SplitArrays:
    """1,797 rows of 64 pixels, to be scaled to 0..1; classes 0 to 9."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        return SplitArrays("train", file["x"], file["y"], divisor=_PIXEL_MAX)
