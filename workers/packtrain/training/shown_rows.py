"""The rows that an epoch shows to a block's trials: in what order, and with what changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from packtrain.training.augmentation import ImageMover, draw_moves
from packtrain.training.blocks import Block
from packtrain.training.kernel import Floats
from packtrain.training.randomness import Purpose, make_generator, order_rows
from packtrain.training.spec import Signature

# Noise is drawn for the rows of a chunk of about so many values at a time: enough to be worth a
# generator, few enough to stay in cache. It is part of every result with noise: never change it.
NOISE_VALUES = 2**15


def changes_rows(signature: Signature, block: Block) -> bool:
    """Whether rows are shown otherwise than they are."""
    return _moves_images(signature) or block.input_noise > 0


def noise_rows(inputs: int) -> int:
    """How many rows of ``inputs`` values get their noise from one generator."""
    return max(1, NOISE_VALUES // inputs)


def _moves_images(signature: Signature) -> bool:
    augmentation = signature.augmentation
    return augmentation is not None and (augmentation.shift > 0 or augmentation.rotation > 0)


class ShownRows:
    """The rows x (n, inputs) as ``epoch`` (from 1) shows them to the trials of ``block``.

    ``order`` (n,) tells which row of x stands at each place. Images are moved first, and noise
    is added then. What stands at a place does not depend on how it is taken.
    """

    def __init__(self, signature: Signature, block: Block, x: Floats, epoch: int) -> None:
        self._x = x
        self.order = order_rows(block.order_seed, epoch, len(x))
        self._mover: ImageMover | None = None
        self._noise: _Noise | None = None
        augmentation = signature.augmentation
        if augmentation is not None and _moves_images(signature):
            self._mover = ImageMover(augmentation.height, augmentation.width, x.dtype)
            self._moves = draw_moves(augmentation, block.order_seed, epoch, len(x))
        if block.input_noise > 0:
            self._noise = _Noise(block, epoch, x.shape, x.dtype)

    def take(self, places: slice, out: Floats) -> None:
        """Write the rows at ``places``, a slice of step 1, into ``out`` (r, inputs), which is
        contiguous."""
        rows = self.order[places]
        # mode="clip" lets NumPy write straight into the buffer; the rows are in range.
        np.take(self._x, rows, axis=0, out=out, mode="clip")
        if self._mover is not None:
            self._mover.move(out, self._moves[rows])
        if self._noise is not None:
            self._noise.add(out, places.start or 0)


class _Noise:
    """The noise of an epoch: a function of (order_seed, epoch, place) alone, for a given number
    of inputs. A place keys it as well as its row would, and places are taken one after another."""

    def __init__(self, block: Block, epoch: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._order_seed, self._epoch = block.order_seed, epoch
        self._deviation = block.input_noise
        self._rows, inputs = shape
        self._each = noise_rows(inputs)
        self._values = np.empty((min(self._each, self._rows), inputs), dtype)
        self._drawn: int | None = None

    def add(self, out: Floats, place: int) -> None:
        """Add their noise to rows out (r, inputs), the first of which stands at ``place``."""
        done = 0
        while done < len(out):
            chunk, first = divmod(place + done, self._each)
            noise = self._of_chunk(chunk)[first : first + len(out) - done]
            part = out[done : done + len(noise)]
            np.add(part, noise, out=part)
            done += len(noise)

    def _of_chunk(self, chunk: int) -> Floats:
        values = self._values[: self._rows - chunk * self._each]
        if self._drawn != chunk:
            generator = make_generator(
                self._order_seed, Purpose.NOISE, chunk=chunk, epoch=self._epoch
            )
            generator.standard_normal(dtype=values.dtype, out=values)
            np.multiply(values, self._deviation, out=values)
            self._drawn = chunk
        return values
