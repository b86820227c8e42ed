"""From a specification to a job that can be stored, with what it would cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence

from packtrain.service.contract.continuing import find_continued, read_lessons
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.models import Origins
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.networks import NetworkStore
from packtrain.service.past_trials import PastTrials
from packtrain.service.planner import Part, PlannedPack, memory_bytes, plan_packs
from packtrain.service.records import Failure, JobRecord, Lessons, NewJob, Proposal
from packtrain.service.settings import Limits
from packtrain.service.trained_networks import TrainedNetworks
from packtrain.training import Speed
from packtrain.v1 import job_pb2, spec_pb2


class Planner:
    """Plans jobs for a catalog, a number of workers and the server's limits.

    Jobs may begin from networks of ``trained``, which are then ``kept``; without the two, none
    may. ``speed`` tells that of the workers. Jobs may continue others of ``trials``; without
    them, none may.
    """

    def __init__(
        self,
        catalog: Catalog,
        workers: int,
        limits: Limits,
        trained: TrainedNetworks | None = None,
        kept: NetworkStore | None = None,
        speed: Callable[[], Speed] = Speed,
        trials: PastTrials | None = None,
    ) -> None:
        self._catalog = catalog
        self._workers = workers
        self._limits = limits
        self._most_memory = limits.max_job_memory_bytes
        self._trained = trained
        self._kept = kept
        self._speed = speed
        self._trials = trials

    def expand_stored(
        self, job: JobRecord, proposal: Proposal | None = None, without: Collection[int] = ()
    ) -> Expansion:
        """A stored job's specification expanded anew, over the data and the networks that it was
        created with, and whatever today's limits; of one whose algorithm learns, ``proposal``,
        or its first, but for some assignments. Blocks. Raises InvalidSpecError or NotFoundError
        where they have gone."""
        message = spec_pb2.JobSpec.FromString(job.spec)
        kept = self._kept.get(job.networks) if self._kept and job.networks else None
        origins = Origins(kept=kept)
        return expand(message, self._catalog, sys.maxsize, job.datasets, origins, proposal, without)

    def expand_batch(
        self, job: JobRecord, batch: Proposal
    ) -> tuple[Expansion | None, dict[int, Failure]]:
        """A new proposal of a stored job's algorithm expanded, and why some of its assignments
        can't be trained, by their index; they fail alone. None: no other is left. Blocks."""
        try:
            expansion = self.expand_stored(job, batch)
            if all(memory_bytes(g, 1) <= self._most_memory for g in expansion.groups):
                return expansion, {}
        except InvalidSpecError:
            pass
        failures: dict[int, Failure] = {}
        for i, k in enumerate(range(batch.first, batch.first + len(batch.points))):
            failure = self._find_failure(job, Proposal(k, batch.points[i : i + 1]))
            if failure is not None:
                failures[k] = failure
        if len(failures) == len(batch.points):
            return None, failures
        return self.expand_stored(job, batch, failures), failures

    def _find_failure(self, job: JobRecord, one: Proposal) -> Failure | None:
        try:
            groups = self.expand_stored(job, one).groups
        except InvalidSpecError as error:
            return Failure(error.reason, error.message)
        needed = max(memory_bytes(group, 1) for group in groups)
        if needed <= self._most_memory:
            return None
        return Failure(
            "MEMORY_LIMIT_EXCEEDED",
            f"the trial would need {needed / 2**30:,.2f} GiB of a worker's memory; this server "
            f"takes {self._most_memory / 2**30:,.2f} GiB",
        )

    def plan_packs(self, parts: Sequence[Part]) -> list[PlannedPack]:
        """Cut parts of a job into packs for the workers and their present speed."""
        return plan_packs(parts, self._workers, self._speed())

    def plan(self, spec: spec_pb2.JobSpec, job_id: str, uid: str) -> NewJob:
        """Check everything. Blocks. Raises InvalidSpecError with every wrong field."""
        expansion, lessons = self._expand_new(spec)
        speed = self._speed()
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
        # Of an algorithm that learns, the first batch stands for all.
        times = expansion.trials / len(expansion.members)
        plan = job_pb2.JobPlan(
            trials=expansion.trials,
            packs=len(packs) * expansion.batches,
            memory_bytes=memory,
            operations=times * sum(group.operations for group in expansion.groups),
            worker_seconds=times * sum(g.seconds(speed, g.pack) for g in expansion.groups),
        )
        return NewJob(
            job_id=job_id,
            uid=uid,
            spec=expansion.spec.SerializeToString(),
            plan=plan.SerializeToString(),
            trials=expansion.trials,
            trial_epochs_total=round(times * expansion.trial_epochs),
            metrics=expansion.metrics,
            layer_sizes=expansion.layer_sizes,
            datasets=expansion.datasets,
            networks=self._keep(expansion),
            packs=tuple(pack.to_new() for pack in packs) if expansion.learner is None else (),
            lessons=lessons,
        )

    def _expand_new(self, spec: spec_pb2.JobSpec) -> tuple[Expansion, Lessons | None]:
        violations = Violations()
        continued = find_continued(spec, self._trials, violations)
        try:
            expansion = expand(
                spec,
                self._catalog,
                self._limits.max_trials,
                origins=Origins(trained=self._trained),
            )
            violations.raise_if_any()
            if continued is None or self._trials is None:
                return expansion, None
            return expansion, read_lessons(expansion, continued, self._trials)
        except InvalidSpecError as error:
            violations.add_all(error.violations)
            within = [Violation(f"spec.{v.field}", v.description) for v in violations]
            raise InvalidSpecError.of(within) from None

    def _keep(self, expansion: Expansion) -> str | None:
        if self._kept is None or not expansion.networks:
            return None
        return self._kept.put(expansion.networks)
