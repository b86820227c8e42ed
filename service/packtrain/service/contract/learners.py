"""Messages of algorithms that learn from results."""

from __future__ import annotations

import importlib.util

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.numbers import NumberField, NumberFields, whole
from packtrain.service.contract.objectives import OBJECTIVES_FORM
from packtrain.service.domains import Choice
from packtrain.service.learners import CmaEs, GaussianProcess, Learner, Nsga2, Tpe
from packtrain.service.parameters import Parameter
from packtrain.v1 import spec_pb2

_KINDS: dict[str, type[Learner]] = {
    "tpe": Tpe,
    "gaussian_process": GaussianProcess,
    "cma_es": CmaEs,
    "nsga2": Nsga2,
}
# A batch trains as one, and is proposed at one go: of more, jobs side by side would wait for each
# other, and it would be little better than a random search.
MOST_BATCH = 256
_MOST = 100_000


def _batch(kind: type[Tpe | GaussianProcess]) -> NumberField:
    return whole(1, MOST_BATCH, default=kind.batch_size)


def _startup(kind: type[Tpe | GaussianProcess]) -> NumberField:
    return whole(1, _MOST, default=kind.startup_trials)


NUMBERS: NumberFields = {
    "search.tpe.batch_size": _batch(Tpe),
    "search.tpe.startup_trials": _startup(Tpe),
    "search.gaussian_process.batch_size": _batch(GaussianProcess),
    "search.gaussian_process.startup_trials": _startup(GaussianProcess),
    "search.cma_es.population_size": whole(2, MOST_BATCH, default=CmaEs.batch_size),
    "search.nsga2.population_size": whole(2, MOST_BATCH, default=Nsga2.batch_size),
}


def is_learner(search: spec_pb2.Search) -> bool:
    """Whether the search's algorithm learns from results."""
    return search.WhichOneof("algorithm") in _KINDS


def offered(kind: str) -> bool:
    """Whether this server can run the algorithm of that name."""
    return kind != "gaussian_process" or importlib.util.find_spec("torch") is not None


def read_learner(search: spec_pb2.Search, violations: Violations) -> Learner | None:
    """The algorithm, which learns from results; None where it is wrong."""
    kind = search.WhichOneof("algorithm")
    assert kind is not None
    message, path, before = getattr(search, kind), f"search.{kind}", len(violations)

    def number(name: str) -> int:
        return int(NUMBERS[f"{path}.{name}"].read(message, f"{path}.{name}", violations))

    if message.trials < 1:
        violations.add(f"{path}.trials", f"must be at least 1, not {message.trials}")
    if not offered(kind):
        violations.add(
            path,
            "needs PyTorch, which this server lacks: pip install 'packtrain[gp]' beside it, or "
            "search by tpe",
        )
    if kind in ("cma_es", "nsga2"):
        numbers = {"batch_size": number("population_size")}
    else:
        numbers = {name: number(name) for name in ("batch_size", "startup_trials")}
    _check_objectives(search, kind, violations)
    return _KINDS[kind](message.trials, **numbers) if len(violations) == before else None


def _check_objectives(search: spec_pb2.Search, kind: str, violations: Violations) -> None:
    if not search.objectives:
        violations.add(
            "search.objectives", f"must name what {kind} learns from, as in {OBJECTIVES_FORM}"
        )
    elif len(search.objectives) > 1 and kind != "nsga2":
        violations.add(
            "search.objectives",
            f"must be one for {kind}, not {len(search.objectives)}: nsga2 takes several",
        )


def check_numbers_only(
    search: spec_pb2.Search, parameter: Parameter, where: str, violations: Violations
) -> None:
    """An evolution strategy moves through numbers: nothing else, and the same in every trial."""
    if search.WhichOneof("algorithm") != "cma_es":
        return
    if isinstance(parameter.domain, Choice):
        violations.add(
            f"{where}.choice", "is no number, which is all that cma_es takes: use tpe or nsga2"
        )
    if parameter.condition is not None:
        violations.add(
            f"{where}.condition", "can't stand beside cma_es, which takes no conditions: use tpe"
        )
