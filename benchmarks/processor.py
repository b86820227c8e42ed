"""The processor's name."""

from __future__ import annotations

import platform
from pathlib import Path


def describe_processor() -> str:
    """Its model name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
