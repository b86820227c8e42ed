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


def find_failures(
    mismatches: Sequence[Mismatch],
    violations: Iterable[Violation],
    count: int,
    codes: Callable[[str], NDArray[np.int64]],
) -> dict[Failure, list[int]] | None:
    """Why trials can't be trained, and the places of those that can't, of ``count`` trials; None
    where anything is wrong that is not a matter of combinations. ``codes`` gives a number for what
    each trial has at a path, (count,), equal where that is."""
    if not set(violations) <= {v for m in mismatches for v in m.violations}:
        return None
    wrong: dict[int, dict[Violation, None]] = defaultdict(dict)
    for mismatch in mismatches:
        for place in mismatch.members.tolist():
            wrong[place].update(dict.fromkeys(mismatch.violations))
    right = np.setdiff1d(np.arange(count, dtype=np.int64), list(wrong))
    if not len(right):
        return None
    for mismatch in mismatches:
        for path in mismatch.paths:
            code = codes(path)
            if code[mismatch.members[0]] not in code[right]:
                return None
    failures: dict[Failure, list[int]] = defaultdict(list)
    for place, found in sorted(wrong.items()):
        text = "; ".join(f"{v.field}: {v.description}" for v in found)
        failures[Failure("INVALID_COMBINATION", text)].append(place)
    return dict(failures)
