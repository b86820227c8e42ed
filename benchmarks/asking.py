"""Predicted and measured seconds of proposals, of all algorithms that learn.

    python benchmarks/asking.py [--only NAME]

The predictions are a plan's, by the speed that a worker measures as it starts. What is measured is
a batch, asked for and told, after so many results of a function that costs nothing. Gaussian
processes need PyTorch (packtrain[gp]).
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from packtrain.service.domains import Choice, Uniform
from packtrain.service.learners import CmaEs, GaussianProcess, Learner, Nsga2, Tpe
from packtrain.service.overheads import find_slowness
from packtrain.service.parameters import Parameter
from packtrain.service.proposals import Proposer
from packtrain.service.samplers import Cube
from packtrain.training import measure_speed

ROOM = 1_000_000


@dataclass(frozen=True)
class Case:
    """A batch after so many results, over so many parameters."""

    learner: Learner
    results: int
    parameters: int
    objectives: int = 1
    choices: bool = False

    @property
    def name(self) -> str:
        """The algorithm, and what else is not plain."""
        several = f", {self.objectives} objectives" if self.objectives > 1 else ""
        return type(self.learner).__name__ + several + (", choices" if self.choices else "")

    def scores(self, points: Cube) -> Cube:
        """A bowl for each objective, (K, objectives)."""
        centers = 0.3 + 0.4 * np.arange(self.objectives)
        return -((points[:, :, np.newaxis] - centers) ** 2).sum(axis=1)

    def measure(self) -> float:
        """Seconds for each proposal of the batch."""
        domain = Choice(3) if self.choices else Uniform(0.0, 1.0)
        parameters = [Parameter(f"p{i}", domain) for i in range(self.parameters)]
        proposer = Proposer(parameters, self.learner, self.objectives, seed=1)
        size = self.learner.batch_size
        # What keeps notes with its trials must have proposed them itself.
        alone = isinstance(self.learner, CmaEs | Nsga2)
        for first, count in self._batches(size if alone else self.results):
            points = np.random.default_rng(first).random((count, self.parameters))
            points = proposer.propose(first, count) if alone else points
            proposer.learn(first, points, self.scores(points))
        began = time.thread_time()
        points = proposer.propose(self.results, size)
        proposer.learn(self.results, points, self.scores(points))
        return (time.thread_time() - began) / size

    def _batches(self, size: int) -> Iterator[tuple[int, int]]:
        for first in range(0, self.results, size):
            yield first, min(size, self.results - first)


def cases() -> Iterator[Case]:
    """All that is measured."""
    for parameters in (1, 4, 12):
        for results in (32, 128, 512, 2_048, 8_192):
            yield Case(Tpe(ROOM, 16), results, parameters)
    yield Case(Tpe(ROOM, 16), 2_048, 4, choices=True)
    for results in (128, 512, 1_024):
        yield Case(Tpe(ROOM, 16), results, 4, objectives=2)
    for parameters in (2, 8):
        for results in (160, 640, 2_560):
            yield Case(CmaEs(ROOM, 16), results, parameters)
            yield Case(Nsga2(ROOM, 32), results, parameters, objectives=2)
    if importlib.util.find_spec("torch") is not None:
        for parameters in (2, 6):
            for results in (16, 64, 256):
                yield Case(GaussianProcess(ROOM, 4), results, parameters)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="algorithms whose name contains this")
    only = parser.parse_args().only
    slowness = find_slowness(measure_speed())
    Case(Tpe(ROOM, 16), 32, 1).measure()  # imports
    print(f"a pass through a tiny layer takes {slowness:.2f} times the usual")
    header = f"{'proposals':<24} {'parameters':>10} {'results':>8}"
    print(f"{header} {'predicted ms':>13} {'measured ms':>12} {'ratio':>6}")
    for case in (case for case in cases() if only in case.name):
        asking = case.learner.asking
        predicted = slowness * asking.seconds(1, case.results, case.parameters)
        measured = case.measure()
        place = f"{case.name:<24} {case.parameters:>10} {case.results:>8,}"
        figures = f"{predicted * 1e3:>13.3f} {measured * 1e3:>12.3f}"
        print(f"{place} {figures} {predicted / measured:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
