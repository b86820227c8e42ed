"""The only modules of the client in which the contract's messages meet typed objects."""

from packtrain.client.converters.documents import parse_document
from packtrain.client.converters.python_names import PythonNames
from packtrain.client.converters.ranges import range_document
from packtrain.client.converters.requests import (
    create_job_request,
    list_jobs_request,
    request,
    trial_states,
    update_job_request,
    upload_requests,
    watch_request,
)
from packtrain.client.converters.resources import (
    read_best,
    read_block,
    read_dataset,
    read_event,
    read_importance,
    read_job,
    read_model,
    read_plan,
    read_results,
    read_server_info,
    read_trial,
)
from packtrain.client.converters.specs import spec_message

__all__ = [
    "PythonNames",
    "create_job_request",
    "list_jobs_request",
    "parse_document",
    "range_document",
    "read_best",
    "read_block",
    "read_dataset",
    "read_event",
    "read_importance",
    "read_job",
    "read_model",
    "read_plan",
    "read_results",
    "read_server_info",
    "read_trial",
    "request",
    "spec_message",
    "trial_states",
    "update_job_request",
    "upload_requests",
    "watch_request",
]
