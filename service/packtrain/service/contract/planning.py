"""From a specification to a job that can be stored, with what it would cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.contract.models import Origins
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.estimate import Estimate, estimate_brackets, estimate_packs
from packtrain.service.networks import NetworkStore
from packtrain.service.planner import Part, PlannedPack, plan_packs
from packtrain.service.records import JobRecord, NewJob
from packtrain.service.settings import Limits
from packtrain.service.trained_networks import TrainedNetworks
from packtrain.training import Speed
from packtrain.v1 import job_pb2, spec_pb2


class Planner:
    """Plans jobs for a catalog, a number of workers and the server's limits.

    Jobs may begin from networks of ``trained``, which are then ``kept``; without the two, none
    may. ``speed`` tells that of the workers.
    """

    def __init__(
        self,
        catalog: Catalog,
        workers: int,
        limits: Limits,
        trained: TrainedNetworks | None = None,
        kept: NetworkStore | None = None,
        speed: Callable[[], Speed] = Speed,
    ) -> None:
        self._catalog = catalog
        self._workers = workers
        self._limits = limits
        self._trained = trained
        self._kept = kept
        self._speed = speed

    def expand_stored(self, job: JobRecord) -> Expansion:
        """A stored job's specification expanded anew, over the data and the networks that it was
        created with, and whatever today's limits. Blocks. Raises InvalidSpecError or
        NotFoundError where they have gone."""
        message = spec_pb2.JobSpec.FromString(job.spec)
        kept = self._kept.get(job.networks) if self._kept and job.networks else None
        origins = Origins(kept=kept)
        return expand(message, self._catalog, sys.maxsize, job.datasets, origins)

    def plan_packs(self, parts: Sequence[Part]) -> list[PlannedPack]:
        """Cut parts of a job into packs for the workers and their present speed."""
        return plan_packs(parts, self._workers, self._speed())

    def plan(self, spec: spec_pb2.JobSpec, job_id: str, uid: str) -> NewJob:
        """Check everything. Blocks. Raises InvalidSpecError with every wrong field."""
        try:
            expansion = expand(
                spec,
                self._catalog,
                self._limits.max_trials,
                origins=Origins(trained=self._trained),
            )
        except InvalidSpecError as error:
            within = [Violation(f"spec.{v.field}", v.description) for v in error.violations]
            raise InvalidSpecError.of(within) from None
        packs = self.plan_packs(expansion.parts)
        memory = sum(pack.memory_bytes for pack in packs)
        if memory > self._limits.max_job_memory_bytes:
            needed, limit = memory, self._limits.max_job_memory_bytes
            description = (
                f"the job would need {needed / 2**30:,.2f} GiB of the workers' memory; this "
                f"server takes {limit / 2**30:,.2f} GiB: fewer trials, smaller layers or fewer "
                "epochs help"
            )
            raise InvalidSpecError(
                "MEMORY_LIMIT_EXCEEDED",
                f"spec: {description}",
                violations=[Violation("spec", description)],
                metadata={"memory_bytes": str(needed), "limit_bytes": str(limit)},
            )
        estimate = self._estimate(expansion, packs)
        plan = job_pb2.JobPlan(
            trials=expansion.trials,
            packs=len(packs),
            memory_bytes=memory,
            operations=sum(group.operations for group in expansion.groups),
            worker_seconds=estimate.worker_seconds,
            seconds=estimate.seconds,
        )
        return NewJob(
            job_id=job_id,
            uid=uid,
            spec=expansion.spec.SerializeToString(),
            plan=plan.SerializeToString(),
            trials=expansion.trials,
            trial_epochs_total=expansion.trial_epochs,
            metrics=expansion.metrics,
            layer_sizes=expansion.layer_sizes,
            datasets=expansion.datasets,
            networks=self._keep(expansion),
            packs=tuple(pack.to_new() for pack in packs),
        )

    def _estimate(self, expansion: Expansion, packs: Sequence[PlannedPack]) -> Estimate:
        workers, speed = self._workers, self._speed()
        if expansion.early_stopping is None:
            return estimate_packs(packs, workers, speed)
        brackets = expansion.brackets or ()
        return estimate_brackets(
            expansion.early_stopping, brackets, expansion.groups, workers, speed
        )

    def _keep(self, expansion: Expansion) -> str | None:
        if self._kept is None or not expansion.networks:
            return None
        return self._kept.put(expansion.networks)
