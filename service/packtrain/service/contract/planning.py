"""From a specification to a job that can be stored, with what it would cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.planner import plan_packs
from packtrain.service.records import NewJob, NewPack
from packtrain.service.settings import Limits
from packtrain.v1 import job_pb2, spec_pb2


class Planner:
    """Plans jobs for a catalog, a number of workers and the server's limits."""

    def __init__(self, catalog: Catalog, workers: int, limits: Limits) -> None:
        self._catalog = catalog
        self._workers = workers
        self._limits = limits

    def expand_stored(self, spec: bytes, datasets: Sequence[str]) -> Expansion:
        """A stored job's specification expanded anew, over the data of these digests and whatever
        today's limits. Blocks. Raises InvalidSpecError where the data has gone."""
        message = spec_pb2.JobSpec.FromString(spec)
        return expand(message, self._catalog, sys.maxsize, datasets)

    def plan(self, spec: spec_pb2.JobSpec, job_id: str, uid: str) -> NewJob:
        """Check everything. Blocks. Raises InvalidSpecError with every wrong field."""
        try:
            expansion = expand(spec, self._catalog, self._limits.max_trials)
        except InvalidSpecError as error:
            within = [Violation(f"spec.{v.field}", v.description) for v in error.violations]
            raise InvalidSpecError.of(within) from None
        packs = plan_packs(expansion.groups, self._workers)
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
        plan = job_pb2.JobPlan(
            trials=expansion.trials,
            packs=len(packs),
            memory_bytes=memory,
            operations=sum(group.operations for group in expansion.groups),
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
            packs=tuple(NewPack(trials=p.trials, metrics=p.group.metrics) for p in packs),
        )
