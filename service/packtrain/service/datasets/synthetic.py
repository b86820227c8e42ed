"""Sets that are made by a formula: functions of their seed."""

from __future__ import annotations

from enum import StrEnum


class SyntheticKind(StrEnum):
    """The kinds of synthetic sets."""

    XOR = "xor"
    MOONS = "moons"
    SPIRALS = "spirals"
    LINEAR = "linear"
