"""Resource names: the one module that writes and reads them."""

from __future__ import annotations

import re

from packtrain.service.errors import InvalidSpecError, Violation

_ID = r"[a-z0-9-]{1,63}"
ID_PATTERN = re.compile(_ID)
_JOB = re.compile(rf"jobs/({_ID})")
_TRIAL = re.compile(rf"jobs/({_ID})/trials/(0|[1-9][0-9]{{0,8}})")
_DATASET = re.compile(rf"datasets/({_ID})")


def job_name(job_id: str) -> str:
    """ "jobs/{job}" """
    return f"jobs/{job_id}"


def trial_name(job_id: str, index: int) -> str:
    """ "jobs/{job}/trials/{index}" """
    return f"jobs/{job_id}/trials/{index}"


def dataset_name(dataset_id: str) -> str:
    """ "datasets/{dataset}" """
    return f"datasets/{dataset_id}"


def _parse(pattern: re.Pattern[str], name: str, field: str, form: str) -> tuple[str, ...]:
    match = pattern.fullmatch(name)
    if match is None:
        hint = _hint(pattern, name, form)
        raise InvalidSpecError.of(
            [Violation(field, f"must have the form {form}, not {name!r}{hint}")]
        )
    return match.groups()


def _hint(pattern: re.Pattern[str], name: str, form: str) -> str:
    """What was meant, where a name only lacks what stands before its id."""
    meant = f"{form.partition('/')[0]}/{name}"
    return f": did you mean {meant!r}?" if pattern.fullmatch(meant) else ""


def parse_job_name(name: str, field: str = "name") -> str:
    """The job id of "jobs/{job}". Raises InvalidSpecError."""
    return _parse(_JOB, name, field, "jobs/{job}, with 1 to 63 of a-z, 0-9 and -")[0]


def parse_trial_name(name: str, field: str = "name") -> tuple[str, int]:
    """The job id and index of "jobs/{job}/trials/{index}". Raises InvalidSpecError."""
    job_id, index = _parse(_TRIAL, name, field, "jobs/{job}/trials/{index}")
    return job_id, int(index)


def parse_dataset_name(name: str, field: str = "name") -> str:
    """The dataset id of "datasets/{dataset}". Raises InvalidSpecError."""
    return _parse(_DATASET, name, field, "datasets/{dataset}, with 1 to 63 of a-z, 0-9 and -")[0]


def check_id(value: str, field: str) -> None:
    """Raise InvalidSpecError unless ``value`` can be the last part of a name."""
    if ID_PATTERN.fullmatch(value) is None:
        raise InvalidSpecError.of(
            [Violation(field, f"must be 1 to 63 of a-z, 0-9 and -, not {value!r}")]
        )
