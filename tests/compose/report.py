"""What the run says as it goes."""

from __future__ import annotations

import time

_BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"{time.monotonic() - _BEGUN:7.1f} s  {text}", flush=True)
