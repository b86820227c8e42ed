"""Optional parts: found without being imported."""

from __future__ import annotations

import importlib.util

from packtrain.client.errors import MissingExtra

# What each extra brings.
_PARTS = {
    "server": ("ray", "scipy", "sqlalchemy", "alembic", "structlog", "safetensors"),
    "plot": ("matplotlib",),
}


def require_extra(extra: str, what: str) -> None:
    """Raise MissingExtra unless ``what`` has all parts of the extra that it needs."""
    if any(importlib.util.find_spec(part) is None for part in _PARTS[extra]):
        raise MissingExtra(what, extra)
