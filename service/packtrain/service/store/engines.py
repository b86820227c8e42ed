"""What differs between the databases that a store may be in, as far as connections go."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

# The engine's option that names the process whose transactions it runs; see log.announce.
ORIGIN = "packtrain_origin"


@dataclass(frozen=True)
class Engines:
    """Connections to one database: those of ``writer`` are durable when they have committed,
    those of ``reader`` see one snapshot from their first query to their end. ``migrator`` keeps
    none and waits as long as a migration takes."""

    writer: Engine
    writers: int
    reader: Engine
    readers: int
    migrator: Engine

    def dispose(self) -> None:
        """Close all connections that are not in use."""
        for engine in (self.writer, self.reader, self.migrator):
            engine.dispose()
