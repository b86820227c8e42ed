"""Parameters of a search: a path, its domain, and where it exists."""

from __future__ import annotations

from dataclasses import dataclass

from packtrain.service.domains import Domain


@dataclass(frozen=True)
class Condition:
    """That another parameter exists and has one of these values: indices of a Choice, or numbers
    of an Integer."""

    path: str
    values: frozenset[int]


@dataclass(frozen=True)
class Parameter:
    """What is searched, and where it exists: everywhere without a condition."""

    path: str
    domain: Domain
    condition: Condition | None = None
