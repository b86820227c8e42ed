"""Artificial expansion of images: each time that one is shown it is turned and shifted anew
(Simard et al., "Best practices for convolutional neural networks applied to visual document
analysis", 2003; Nielsen, chapter 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from packtrain.training.kernel import Floats
from packtrain.training.randomness import Purpose, make_generator
from packtrain.training.spec import Augmentation

# Images are moved so many bytes at a time. Of MNIST's on an EPYC 7003, a third of that took half
# as long again: NumPy's calls, 30 a chunk, cost more than leaving the level-2 cache.
CHUNK_BYTES = 128 * 1024
# Values of the data type that a mover holds for each of a chunk: padded images, places (4), corners
# (2), and indices, which count as two.
CHUNK_ARRAYS = 9
# Numbers for each row that drawing the moves of an epoch holds at a time.
DRAWN_NUMBERS = 13


def draw_moves(
    augmentation: Augmentation, order_seed: int, epoch: int, rows: int
) -> NDArray[np.float64]:
    """How each of ``rows`` images moves in ``epoch`` (from 1): see :func:`make_moves`. Those of
    a row are a function of (order_seed, epoch, row) alone."""
    generator = make_generator(order_seed, Purpose.AUGMENTATION, epoch=epoch)
    down, right, degrees = (2 * generator.random((rows, 3)) - 1).T
    shift, rotation = augmentation.shift, augmentation.rotation
    return make_moves(shift * down, shift * right, rotation * degrees)


def make_moves(down: ArrayLike, right: ArrayLike, degrees: ArrayLike) -> NDArray[np.float64]:
    """Moves (r, 4) of r images: pixels down, pixels right, the cosine and the sine of the
    ``degrees`` that an image is turned counter-clockwise about its centre before."""
    # Here once for all rows: a vectorized sine need not round alike at every place of an array.
    angles = np.deg2rad(np.asarray(degrees, np.float64))
    columns = (np.asarray(down, np.float64), np.asarray(right, np.float64))
    return np.stack([*columns, np.cos(angles), np.sin(angles)], axis=1)


class ImageMover:
    """Moves images of ``height`` x ``width`` values of ``dtype`` (float32 or float64).

    A pixel takes its value from where it came from, by bilinear interpolation between the four
    pixels around that place; beyond the edges all is 0. No image depends on those beside it.
    """

    def __init__(self, height: int, width: int, dtype: DTypeLike) -> None:
        self._height, self._width, self._dtype = height, width, np.dtype(dtype)
        # One row and column of zeros before the image and two after it: places beyond them are
        # moved onto them, and each place has a neighbour.
        shape = height + 3, width + 3
        area, pixels = shape[0] * shape[1], height * width
        self._each = max(1, CHUNK_BYTES // (area * self._dtype.itemsize))
        self._padded = np.zeros((self._each, *shape), self._dtype)
        # Places in the padded chunk are found in floating point, where they must be exact.
        exact = self._each * area <= 2 ** (np.finfo(self._dtype).nmant + 1)
        places = self._dtype if exact else np.dtype(np.float64)
        self._starts = area * np.arange(self._each, dtype=places)[:, np.newaxis]
        self._down, self._right, self._below, self._beside = (
            np.empty((self._each, pixels), places) for _ in range(4)
        )
        self._index = np.empty((self._each, pixels), np.intp)
        self._corners = np.empty((2, self._each, pixels), self._dtype)

    def move(self, images: Floats, moves: NDArray[np.float64]) -> None:
        """Move images (r, height * width), row-major and contiguous, where they are, as moves
        (r, 4) of :func:`make_moves` say."""
        for first in range(0, len(images), self._each):
            part = slice(first, first + self._each)
            self._move(images[part], moves[part])

    def _move(self, images: Floats, moves: NDArray[np.float64]) -> None:
        count = len(images)
        shape = count, self._height, self._width
        np.copyto(self._padded[:count, 1:-2, 1:-2], images.reshape(shape))
        down, right, index = self._down[:count], self._right[:count], self._index[:count]
        self._trace(moves, down.reshape(shape), right.reshape(shape))
        whole_down, whole_right = self._below[:count], self._beside[:count]
        np.floor(down, out=whole_down)
        np.floor(right, out=whole_right)
        np.subtract(down, whole_down, out=down)
        np.subtract(right, whole_right, out=right)
        np.multiply(whole_down, self._width + 3, out=whole_down)
        np.add(whole_down, whole_right, out=whole_down)
        np.add(whole_down, self._starts[:count], out=whole_down)
        np.copyto(index, whole_down, casting="unsafe")
        self._interpolate(index, down, right, images)

    def _trace(self, moves: NDArray[np.float64], down: Floats, right: Floats) -> None:
        """Where in its padded image each pixel came from, in ``down`` and ``right``, (r, height,
        width)."""
        middle_down, middle_right = (self._height - 1) / 2, (self._width - 1) / 2
        by_down, by_right, cosine, sine = moves.T[:, :, np.newaxis]
        rows = np.arange(self._height) - middle_down - by_down
        columns = np.arange(self._width) - middle_right - by_right
        # A turn back is a sum of a row's part and a column's part.
        for places, of_rows, of_columns, last in (
            (down, cosine * rows + (middle_down + 1), sine * columns, self._height + 1),
            (right, (middle_right + 1) - sine * rows, cosine * columns, self._width + 1),
        ):
            row_part = of_rows.astype(places.dtype)[:, :, np.newaxis]
            column_part = of_columns.astype(places.dtype)[:, np.newaxis]
            np.add(row_part, column_part, out=places)
            np.clip(places, 0, last, out=places)

    def _interpolate(
        self, index: NDArray[np.intp], down: Floats, right: Floats, out: Floats
    ) -> None:
        """``out`` from the pixels at ``index`` of the padded chunk and their neighbours below
        and beside, of which the shares are ``down`` and ``right``."""
        pixels = self._padded.reshape(-1)
        upper, lower = out, self._corners[0, : len(index)]
        beside = self._corners[1, : len(index)]
        for line, start in ((upper, 0), (lower, self._width + 3)):
            # mode="clip" lets NumPy write straight into the buffer; all places are in range.
            np.take(pixels[start:], index, out=line, mode="clip")
            np.take(pixels[start + 1 :], index, out=beside, mode="clip")
            np.subtract(beside, line, out=beside)
            np.multiply(beside, right, out=beside)
            np.add(line, beside, out=line)
        np.subtract(lower, upper, out=lower)
        np.multiply(lower, down, out=lower)
        np.add(upper, lower, out=upper)
