"""What holds for all that is computed in this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As workers train. Threads of several processes also wait for each other on a busy machine."""
    with threadpool_limits(1):
        yield
