"""Which kernel trains, for tests of networks that either can train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def kernel_of(*, lanes: bool) -> Iterator[None]:
    """Within it every network is trained by the kernel of tiny layers, or none is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("packtrain.training.choice.LANE_PRODUCTS", 10**9 if lanes else 0)
        yield
