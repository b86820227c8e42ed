"""Networks that begin where others ended: warm starts, and the transfer of first layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from packtrain.client.domains import Domain
from packtrain.client.errors import SpecError
from packtrain.client.initializations import Initialization


class Named(Protocol):
    """Whatever bears a job's name: a handle or a Job."""

    @property
    def name(self) -> str:
        """ "jobs/{job}" """


@dataclass(frozen=True, kw_only=True)
class FromModel:
    """The layers of a trained network.

    ``job`` is a job, its name or its id, and ``trial`` the index of one that SUCCEEDED (None: 0).
    ``layers`` are taken, from the first (None: all), and must have the shapes of the new
    network's; ``rest`` is where the others start (None: ScaledGaussian()), neither a FromModel
    nor GivenArrays. The numbers are kept with the new job: the other may be deleted.
    """

    job: str | Named
    trial: int | None = None
    layers: int | None = None
    rest: Initialization | None = None

    def __post_init__(self) -> None:
        name = getattr(self.job, "name", self.job)
        if not isinstance(name, str | Domain):
            raise SpecError(
                "initialization.model.job", f"expected a job or its name, not {self.job!r}"
            )
