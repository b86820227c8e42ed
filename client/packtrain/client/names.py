"""Resource names: the one module of the client that writes and reads them."""

from __future__ import annotations


def job_name(job: str) -> str:
    """ "jobs/{job}", from a name or an id."""
    return job if job.startswith("jobs/") else f"jobs/{job}"


def job_id(job: str) -> str:
    """ "{job}", from a name or an id."""
    return job.removeprefix("jobs/")


def trial_name(job: str, index: int) -> str:
    """ "jobs/{job}/trials/{index}", from a job's name or id."""
    return f"{job_name(job)}/trials/{index}"


def dataset_name(dataset: str) -> str:
    """ "datasets/{dataset}", from a name or an id."""
    return dataset if dataset.startswith("datasets/") else f"datasets/{dataset}"


def dataset_id(dataset: str) -> str:
    """ "{dataset}", from a name or an id."""
    return dataset.removeprefix("datasets/")
