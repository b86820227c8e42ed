"""Trials that are wrong only in combination: they fail alone, and the search goes on.

A value that is wrong with whatever it stands beside is an error of the specification. One that
some trials get along with is none: it is the others' combinations that can't be trained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from packtrain.service.errors import Violation
from packtrain.service.records import Failure

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mismatch:
    """What is wrong with the trials at ``members``, which have the same at each of ``paths``."""

    members: Places
    paths: tuple[str, ...]
    violations: tuple[Violation, ...]


def is_explained(mismatches: Sequence[Mismatch], violations: Iterable[Violation]) -> bool:
    """Whether all that is wrong is wrong with some trials."""
    return set(violations) <= {v for m in mismatches for v in m.violations}


def find_failures(mismatches: Sequence[Mismatch]) -> dict[Failure, list[int]]:
    """Why trials can't be trained, and the places of those that can't."""
    wrong: dict[int, dict[Violation, None]] = defaultdict(dict)
    for mismatch in mismatches:
        for place in mismatch.members.tolist():
            wrong[place].update(dict.fromkeys(mismatch.violations))
    failures: dict[Failure, list[int]] = defaultdict(list)
    for place, found in sorted(wrong.items()):
        text = "; ".join(f"{v.field}: {v.description}" for v in found)
        failures[Failure("INVALID_COMBINATION", text)].append(place)
    return dict(failures)


def are_combinations(
    mismatches: Sequence[Mismatch], count: int, codes: Callable[[str], NDArray[np.int64]]
) -> bool:
    """Whether whatever is wrong with some of ``count`` trials is right with others. ``codes`` gives
    a number for what each trial has at a path, (count,), equal where that is."""
    is_right = np.ones(count, np.bool_)
    for mismatch in mismatches:
        is_right[mismatch.members] = False
    right = np.flatnonzero(is_right)
    if not len(right):
        return False
    for mismatch in mismatches:
        for path in mismatch.paths:
            code = codes(path)
            if code[mismatch.members[0]] not in code[right]:
                return False
    return True
