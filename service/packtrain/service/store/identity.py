"""Which store it is."""

from __future__ import annotations

from sqlalchemy import Connection, select

from packtrain.service.store import schema


def read_identity(connection: Connection) -> str:
    """See Store.read_identity."""
    return str(connection.execute(select(schema.identity.c.id)).scalar_one())
