"""Initial networks that other jobs have trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from packtrain.service.contract.fields import Violations
from packtrain.service.contract.initializations import read_initialization
from packtrain.service.contract.numbers import unfit_error
from packtrain.service.errors import IllegalTransitionError, InvalidSpecError, NotFoundError
from packtrain.service.networks import Network, Origin
from packtrain.service.resources import parse_job_name
from packtrain.service.trained_networks import TrainedJob, TrainedNetworks
from packtrain.training import DataType, GivenArrays, Initialization
from packtrain.v1 import spec_pb2

# Every pack carries the networks that its trials begin from.
MAX_ORIGIN_BYTES = 1 << 30

_WHERE = "initialization.model"


class Origins:
    """The networks that the trials of one job begin from, each found once: by the trial's name
    when the job is created, and ever after among those that were ``kept`` with it."""

    def __init__(
        self,
        trained: TrainedNetworks | None = None,
        kept: Mapping[Origin, Network] | None = None,
    ) -> None:
        self._trained = trained
        self._kept = kept or {}
        self._jobs: dict[str, TrainedJob] = {}
        self._found: dict[Origin, Network | None] = {}
        self._bytes = 0

    @property
    def networks(self) -> dict[Origin, Network]:
        """What was found."""
        return {o: network for o, network in self._found.items() if network is not None}

    def find(self, origin: Origin, violations: Violations) -> Network | None:
        """The trial's network; None, and a violation, where there is none."""
        if origin not in self._found:
            network = self._resolve(origin, violations)
            self._found[origin] = network
            self._bytes += network.size_bytes if network else 0
        if self._bytes > MAX_ORIGIN_BYTES:
            violations.add(
                _WHERE, "the trials begin from networks of more than 1 GiB in all: use fewer"
            )
            return None
        return self._found[origin]

    def _resolve(self, origin: Origin, violations: Violations) -> Network | None:
        if self._bytes > MAX_ORIGIN_BYTES:
            return None
        if self._trained is None:
            if origin not in self._kept:
                violations.add(_WHERE, f"the network of {origin} is not kept with the job")
            return self._kept.get(origin)
        field = f"{_WHERE}.job"
        try:
            if origin.job_id not in self._jobs:
                self._jobs[origin.job_id] = self._trained.find_job(origin.job_id)
            field = f"{_WHERE}.trial"
            return self._jobs[origin.job_id].read(origin.trial)
        except (NotFoundError, IllegalTransitionError) as error:
            violations.add(field, error.message)
            return None


def read_model_initialization(
    message: spec_pb2.ModelInitialization,
    sizes: Sequence[int],
    data_type: DataType,
    origins: Origins,
    violations: Violations,
) -> Initialization:
    """The network's layers as arrays, checked against the new network's ``sizes``."""
    before = len(violations)
    rest = _read_rest(message, data_type, violations)
    origin, network = _find(message, origins, violations)
    if network is None or len(violations) > before:
        return GivenArrays((), ())
    layers = message.layers if message.HasField("layers") else len(network.weights)
    wrong = _misfit(network, layers, origin, sizes)
    if wrong:
        violations.add(f"{_WHERE}.layers", wrong)
    _check_numbers(network, layers, origin, data_type, violations)
    return _take(network, layers, rest)


def check_model_initialization(
    message: spec_pb2.ModelInitialization,
    data_type: DataType,
    origins: Origins,
    violations: Violations,
) -> None:
    """Check what needs not the new network's layers."""
    _read_rest(message, data_type, violations)
    _find(message, origins, violations)


def fill_model(
    message: spec_pb2.ModelInitialization,
    taken: Sequence[Initialization],
    layers: Sequence[int],
    searched: Sequence[str],
) -> None:
    """Fill in, in place, what was left unset and is not searched. ``taken`` are the trials'
    initializations; ``layers`` the numbers of layers of their networks."""
    counts = {len(entry.weights) for entry in taken if isinstance(entry, GivenArrays)}
    if f"{_WHERE}.trial" not in searched and not message.HasField("trial"):
        message.trial = 0
    if f"{_WHERE}.layers" not in searched and not message.HasField("layers") and len(counts) == 1:
        message.layers = min(counts)
    is_searched = any(path.startswith(f"{_WHERE}.rest") for path in searched)
    if not is_searched and not message.HasField("rest") and min(counts) < max(layers):
        message.rest.scaled_gaussian.SetInParent()


def _find(
    message: spec_pb2.ModelInitialization, origins: Origins, violations: Violations
) -> tuple[Origin, Network | None]:
    before = len(violations)
    job_id = ""
    try:
        job_id = parse_job_name(message.job, f"{_WHERE}.job")
    except InvalidSpecError as error:
        violations.add_all(error.violations)
    if message.trial < 0:
        violations.add(f"{_WHERE}.trial", f"must be at least 0, not {message.trial}")
    if message.HasField("layers") and message.layers < 1:
        violations.add(f"{_WHERE}.layers", f"must be at least 1, not {message.layers}")
    origin = Origin(job_id, message.trial)
    return origin, None if len(violations) > before else origins.find(origin, violations)


def _read_rest(
    message: spec_pb2.ModelInitialization, data_type: DataType, violations: Violations
) -> Initialization:
    kind = message.rest.WhichOneof("kind")
    if kind in ("arrays", "model"):
        violations.add(f"{_WHERE}.rest", f"can't be {kind}: give a random or a constant one")
        return read_initialization(spec_pb2.Initialization(), (1, 1), data_type, violations)
    found = Violations()
    rest = read_initialization(message.rest, (1, 1), data_type, found)
    for field, description in found:
        violations.add(f"{_WHERE}.rest{field.removeprefix('initialization')}", description)
    return rest


def _check_numbers(
    network: Network, layers: int, origin: Origin, data_type: DataType, violations: Violations
) -> None:
    for array in (*network.weights[:layers], *network.biases[:layers]):
        largest = float(array.flat[np.abs(array).argmax()])
        wrong = unfit_error(largest, data_type)
        if wrong:
            violations.add(_WHERE, f"the numbers of {origin} {wrong}")
            return


def _take(network: Network, layers: int, rest: Initialization) -> GivenArrays:
    assert not isinstance(rest, GivenArrays)
    return GivenArrays(network.weights[:layers], network.biases[:layers], rest)


def _misfit(network: Network, layers: int, origin: Origin, sizes: Sequence[int]) -> str | None:
    """Why the first ``layers`` of the network can't be those of one of these ``sizes``."""
    shapes = [weights.shape for weights in network.weights]
    wanted = list(pairwise(sizes))
    if layers > len(shapes):
        return f"must be 1 to {len(shapes)}, the layers of {origin}, not {layers}"
    if layers > len(wanted):
        return f"must be 1 to {len(wanted)}, the layers of the new network, not {layers}"
    if shapes[:layers] == wanted[:layers]:
        return None
    found = [shapes[0][0], *(outputs for _, outputs in shapes)]
    return (
        f"must be layers of the new network's widths, {_widths(sizes)}; those of {origin} are "
        f"{_widths(found)}"
    )


def _widths(sizes: Sequence[int]) -> str:
    return "-".join(map(str, sizes))
