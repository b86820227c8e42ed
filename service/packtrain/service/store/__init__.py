"""The store: SQL stays here."""

from packtrain.service.store.database import Database
from packtrain.service.store.migrate import StoreOpenError
from packtrain.service.store.store import Store

__all__ = ["Database", "Store", "StoreOpenError"]
