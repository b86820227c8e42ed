"""How the weights follow the gradient g. Every number takes a domain too.

``learning_rate`` is eta, above 0; ``momentum``, ``beta1`` and ``beta2`` are 0 or more and below
1; ``epsilon`` is above 0. Each optimizer has defaults of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from packtrain.client.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Base of all optimizers. ``schedule`` None: the learning rate stays as it is."""

    learning_rate: float | None = None
    schedule: Schedule | None = None


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """v <- momentum v - eta g; w <- w + v, or with ``nesterov`` w <- w + momentum v - eta g."""

    momentum: float | None = None
    nesterov: bool | None = None


@dataclass(frozen=True, kw_only=True)
class AdaGrad(Optimizer):
    """s <- s + g^2; w <- w - eta g / (sqrt(s) + epsilon) (Duchi et al., 2011)."""

    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class RMSProp(Optimizer):
    """s <- beta2 s + (1 - beta2) g^2; w <- w - eta g / (sqrt(s) + epsilon) (Tieleman and Hinton,
    2012)."""

    beta2: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """m <- beta1 m + (1 - beta1) g; s <- beta2 s + (1 - beta2) g^2;
    w <- w - eta m' / (sqrt(s') + epsilon), m' and s' corrected for their start (Kingma and Ba,
    2015)."""

    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """As Adam, with L2 as a decay of its own, w <- (1 - eta lambda/n) w (Loshchilov and Hutter,
    2019)."""

    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class NAdam(Optimizer):
    """As Adam, with Nesterov's look ahead (Dozat, 2016)."""

    beta1: float | None = None
    beta2: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """w <- w - eta sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g, with L2 as a decay
    of its own (Chen et al., 2023)."""

    beta1: float | None = None
    beta2: float | None = None
