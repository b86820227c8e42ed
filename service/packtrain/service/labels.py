"""What owners tell jobs apart by: labels and priorities, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from packtrain.service.errors import Violation

MAX_LABELS = 64
MIN_PRIORITY, MAX_PRIORITY = -100, 100

# Without a dot: "labels.KEY" is the path of one label.
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")


def find_wrong_labels(labels: Mapping[str, str], field: str) -> list[Violation]:
    """A violation for each label that is none, and for too many."""
    found = [v for key, value in labels.items() for v in _find_wrong_label(key, value, field)]
    if len(labels) > MAX_LABELS:
        found.append(Violation(field, f"must be {MAX_LABELS} at most, not {len(labels)}"))
    return found


def _find_wrong_label(key: str, value: str, field: str) -> list[Violation]:
    found = []
    if not _KEY.fullmatch(key):
        expected = "must be a lower-case letter and up to 62 of a-z, 0-9, _ and -"
        found.append(Violation(field, f"the key {key!r} {expected}"))
    if not _VALUE.fullmatch(value):
        expected = "must be up to 63 letters, digits, _, - and ."
        found.append(Violation(f"{field}.{key}", f"{expected}, not {value!r}"))
    return found


def find_wrong_priority(priority: int, field: str) -> list[Violation]:
    """A violation where there is no such priority."""
    if MIN_PRIORITY <= priority <= MAX_PRIORITY:
        return []
    return [Violation(field, f"must be {MIN_PRIORITY} to {MAX_PRIORITY}, not {priority}")]
