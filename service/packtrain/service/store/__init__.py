"""The store: SQL stays here."""

from packtrain.service.store.database import Database
from packtrain.service.store.migrate import StoreOpenError
from packtrain.service.store.owned_job import OwnedJob
from packtrain.service.store.postgresql import check_url
from packtrain.service.store.replicas import Replicas
from packtrain.service.store.store import Store

__all__ = ["Database", "OwnedJob", "Replicas", "Store", "StoreOpenError", "check_url"]
