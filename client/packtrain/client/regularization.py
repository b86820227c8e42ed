"""What keeps a network from overfitting. Every number takes a domain too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Artificial expansion of images: each time that one is trained on it is shifted by up to
    ``shift`` pixels each way, 0 or more, and turned by up to ``rotation`` degrees, 0 to 180.

    ``height`` and ``width`` are the pixels of a column and of a row; None: the inputs are a
    square.
    """

    height: int | None = None
    width: int | None = None
    shift: float | None = None
    rotation: float | None = None


@dataclass(frozen=True, kw_only=True)
class Regularization:
    """What keeps a network from overfitting; its parts combine.

    ``l2`` and ``l1`` are the lambdas, 0 or more; ``dropout`` is the share of each hidden layer's
    neurons that a training step leaves out, 0 or more and below 1. ``max_norm``, above 0, bounds
    the norm of the weights that enter a neuron; ``clip_norm``, above 0, that of a mini-batch's
    gradient; None: no bound. ``input_noise``, 0 or more, is the standard deviation of the noise
    on the inputs while training.
    """

    l2: float | None = None
    l1: float | None = None
    dropout: float | None = None
    max_norm: float | None = None
    clip_norm: float | None = None
    input_noise: float | None = None
    augmentation: Augmentation | None = None
