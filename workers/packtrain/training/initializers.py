"""Initial weights and biases, each layer a function of (seed, layer) alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from packtrain.training.randomness import Purpose, make_generator
from packtrain.training.spec import (
    Constant,
    Distribution,
    GivenArrays,
    He,
    Initialization,
    LeCun,
    Orthogonal,
    ScaledGaussian,
    UnitGaussian,
    Xavier,
)

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


def initialize_layer(
    initialization: Initialization, seed: int, layer: int, inputs: int, outputs: int
) -> Layer:
    """Weights (inputs, outputs) and biases (outputs,) of ``layer``, counted from 0.

    Always drawn in float64, so that a float32 network starts at the rounded numbers of its
    float64 twin.
    """
    match initialization:
        case Constant(weight, bias):
            return np.full((inputs, outputs), weight), np.full(outputs, bias)
        case GivenArrays(weights, biases, rest):
            if layer < len(weights):
                return weights[layer], biases[layer]
            return initialize_layer(rest, seed, layer, inputs, outputs)
        case ScaledGaussian() | UnitGaussian():
            generator = make_generator(seed, Purpose.INITIALIZATION, layer=layer)
            weights_drawn = generator.standard_normal((inputs, outputs))
            if isinstance(initialization, ScaledGaussian):
                weights_drawn /= math.sqrt(inputs)
            return weights_drawn, generator.standard_normal(outputs)
        case Xavier(distribution):
            variance = 2.0 / (inputs + outputs)
            return _draw(distribution, variance, seed, layer, inputs, outputs)
        case He(distribution):
            return _draw(distribution, 2.0 / inputs, seed, layer, inputs, outputs)
        case LeCun(distribution):
            return _draw(distribution, 1.0 / inputs, seed, layer, inputs, outputs)
        case Orthogonal(gain):
            weights_drawn = _draw_orthogonal(seed, layer, inputs, outputs)
            return gain * weights_drawn, np.zeros(outputs)


def is_drawn(initialization: Initialization, layer: int) -> bool:
    """Whether ``layer``, counted from 0, starts from random numbers, so that it depends on the
    seed."""
    match initialization:
        case Constant():
            return False
        case GivenArrays(weights, _, rest):
            return layer >= len(weights) and is_drawn(rest, layer)
    return True


def _draw(
    distribution: Distribution, variance: float, seed: int, layer: int, inputs: int, outputs: int
) -> Layer:
    generator = make_generator(seed, Purpose.INITIALIZATION, layer=layer)
    shape = (inputs, outputs)
    if distribution is Distribution.UNIFORM:
        # A uniform distribution on (-r, r) has variance r**2 / 3.
        limit = math.sqrt(3.0 * variance)
        weights = generator.uniform(-limit, limit, shape)
    else:
        weights = generator.standard_normal(shape) * math.sqrt(variance)
    return weights, np.zeros(outputs)


def _draw_orthogonal(seed: int, layer: int, inputs: int, outputs: int) -> NDArray[np.float64]:
    """Orthonormal columns, or rows where these are fewer, uniformly at random: the Q of a Gaussian
    matrix, with the signs that make the diagonal of R positive (Mezzadri, 2007)."""
    generator = make_generator(seed, Purpose.INITIALIZATION, layer=layer)
    long, short = max(inputs, outputs), min(inputs, outputs)
    q, r = np.linalg.qr(generator.standard_normal((long, short)))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(q if inputs >= outputs else q.T)
