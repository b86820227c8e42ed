"""Paths of parameters, as people read them."""

from __future__ import annotations

from collections.abc import Iterable


def short_path(path: str, paths: Iterable[str]) -> str:
    """The last part of a path where it is plain which of these is meant: learning_rate."""
    last = path.rsplit(".", 1)[-1]
    return path if sum(p.rsplit(".", 1)[-1] == last for p in paths) > 1 else last
