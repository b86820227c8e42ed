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
        case GivenArrays(weights, biases):
            return weights[layer], biases[layer]
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
