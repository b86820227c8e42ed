"""Brings a database to today's schema, once, however many servers start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from packtrain.service.errors import StoreFullError
from packtrain.service.store.failures import explain, first_line
from packtrain.service.store.locks import hold_schema

_MIGRATIONS = Path(__file__).parent / "migrations"


class StoreOpenError(Exception):
    """The database can't be used as a store: one sentence that says why."""


def migrate(engine: Engine, revision: str = "head") -> None:
    """All migrations up to ``revision`` that have not run yet, in one transaction. Blocks; raises
    StoreOpenError."""
    try:
        _migrate(engine, revision)
    except DBAPIError as error:
        full = isinstance(explain(error), StoreFullError)
        raise StoreOpenError("its disk is full" if full else first_line(error)) from error


def _migrate(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        hold_schema(connection)
        _check_known(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _check_known(connection: Connection, scripts: ScriptDirectory) -> None:
    for found in MigrationContext.configure(connection).get_current_heads():
        try:
            scripts.get_revision(found)
        except CommandError:
            newest = scripts.get_current_head()
            raise StoreOpenError(
                f"its schema is {found}, and this version of Packtrain knows them up to {newest}: "
                "start the newer version that wrote it"
            ) from None
