"""Whose a data directory is: its store's, whose jobs' models, networks and datasets are in it.

A server sweeps what its own jobs don't use: started once with another store, it would remove all that
the directory's own store has jobs for.
"""

from __future__ import annotations

from pathlib import Path

from packtrain.service.datasets.durable import replace_durably

FILE_NAME = "store-id"


def belongs_to(data_dir: Path, store_id: str) -> bool:
    """Whether it is the directory of this store, as one that is nobody's becomes now. Blocks."""
    path = data_dir / FILE_NAME
    try:
        return path.read_text().strip() == store_id
    except FileNotFoundError:
        replace_durably(path, f"{store_id}\n".encode())
        return True
