"""The gRPC servicers: they only translate."""

from packtrain.service.api.datasets import DatasetServicer
from packtrain.service.api.info import ServerServicer
from packtrain.service.api.interceptor import ErrorInterceptor
from packtrain.service.api.training import TrainingServicer

__all__ = ["DatasetServicer", "ErrorInterceptor", "ServerServicer", "TrainingServicer"]
