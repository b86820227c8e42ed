"""From a specification to a job that can be stored, with what it would cost."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NoReturn

import numpy as np

from packtrain.service.contract.continuing import find_continued, read_lessons
from packtrain.service.contract.expansion import Expansion, expand
from packtrain.service.contract.extension import More, check_further_trials, extend_spec
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.models import Origins
from packtrain.service.datasets import Catalog
from packtrain.service.errors import InvalidSpecError, ServiceError, Violation
from packtrain.service.estimate import Estimate, Stage, estimate_brackets, find_stages
from packtrain.service.labels import find_wrong_labels, find_wrong_priority
from packtrain.service.learners import proposal_seconds
from packtrain.service.networks import NetworkStore
from packtrain.service.overheads import Overheads, find_slowness
from packtrain.service.past_trials import PastTrials
from packtrain.service.planner import (
    Part,
    PlannedPack,
    TrialGroup,
    cut,
    memory_bytes,
    plan_packs,
)
from packtrain.service.records import (
    Extension,
    Failure,
    JobRecord,
    Lessons,
    NewJob,
    PackRecord,
    Proposal,
    Retry,
    TrialRecord,
)
from packtrain.service.settings import Limits
from packtrain.service.trained_networks import TrainedNetworks
from packtrain.training import Speed
from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import Memory


class Planner:
    """Plans jobs for a catalog, the workers that there are to be and the server's limits.

    Jobs may begin from networks of ``trained``, which are then ``kept``; without the two, none
    may. ``speed`` and ``memory`` tell those of the workers. Jobs may continue others of
    ``trials``; without them, none may.
    """

    def __init__(
        self,
        catalog: Catalog,
        workers: Callable[[], int],
        limits: Limits,
        trained: TrainedNetworks | None = None,
        kept: NetworkStore | None = None,
        speed: Callable[[], Speed] = Speed,
        trials: PastTrials | None = None,
        memory: Callable[[], Memory] = Memory.of_this_machine,
    ) -> None:
        self._catalog = catalog
        self._workers = workers
        self._limits = limits
        self._trained = trained
        self._kept = kept
        self._speed = speed
        self._trials = trials
        self._memory = memory

    @property
    def _most_memory(self) -> int:
        """Of one trial, in bytes."""
        return self._limits.trial_memory_bytes(self._memory())

    def expand_stored(
        self, job: JobRecord, proposal: Proposal | None = None, without: Collection[int] = ()
    ) -> Expansion:
        """A stored job's specification expanded anew, over the data and the networks that it was
        created with, and whatever today's limits; of one whose algorithm learns, ``proposal``,
        or its first, but for some assignments. Blocks. Raises InvalidSpecError or NotFoundError
        where they have gone."""
        message = spec_pb2.JobSpec.FromString(job.spec)
        return self._expand(message, job, sys.maxsize, proposal, without)

    def _expand(
        self,
        spec: spec_pb2.JobSpec,
        job: JobRecord,
        max_trials: int,
        proposal: Proposal | None = None,
        without: Collection[int] = (),
    ) -> Expansion:
        kept = self._kept.get(job.networks) if self._kept and job.networks else None
        origins = Origins(kept=kept)
        return expand(spec, self._catalog, max_trials, job.datasets, origins, proposal, without)

    def expand_batch(
        self, job: JobRecord, batch: Proposal
    ) -> tuple[Expansion | None, dict[int, Failure]]:
        """A new proposal of a stored job's algorithm expanded, and why some of its assignments
        can't be trained, by their index; they fail alone. None: no other is left. Blocks."""
        try:
            expansion = self.expand_stored(job, batch)
            if not any(map(self._is_too_large, expansion.groups)):
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

    def expand_planned(
        self, job: JobRecord, batch: Proposal, packs: Sequence[PackRecord]
    ) -> Expansion:
        """A batch that is in these packs of a stored job, but for what could not be planned.
        Blocks. Raises as :meth:`expand_stored`."""
        planned = {trial for pack in packs for trial in pack.trials.tolist()}
        repeats = spec_pb2.JobSpec.FromString(job.spec).search.repeats or 1
        assignments = range(batch.first, batch.first + len(batch.points))
        without = [k for k in assignments if k * repeats not in planned]
        return self.expand_stored(job, batch, without)

    def _leave_out_large(self, expansion: Expansion) -> Expansion:
        """Without the trials each of which is too large for the workers' memory by itself, unless
        all of them are; they fail alone. Where a first batch has no other, what else its algorithm
        may propose stands for it."""
        large = [g for g in expansion.groups if self._is_too_large(g)]
        rest = tuple(g for g in expansion.groups if g not in large)
        failures = dict(expansion.failures)
        for group in large:
            reason = self._too_large(memory_bytes(group, 1))
            failures[reason] = [*failures.get(reason, ()), *group.indices.tolist()]
        if not rest:
            rest = tuple(g for g in expansion.shapes if not self._is_too_large(g))
            failures = {}
        if not large or not rest:
            return expansion
        if expansion.learner is None:
            return replace(expansion, groups=rest, failures=failures)
        members = np.sort(np.concatenate([group.indices for group in rest]))
        return replace(expansion, groups=rest, members=members, failures=failures)

    def _is_too_large(self, group: TrialGroup) -> bool:
        return memory_bytes(group, 1) > self._most_memory

    def _too_large(self, needed: int) -> Failure:
        return Failure(
            "MEMORY_LIMIT_EXCEEDED",
            f"the trial would need {needed / 2**30:,.2f} GiB of a worker's memory; this server "
            f"takes {self._most_memory / 2**30:,.2f} GiB",
        )

    def _find_failure(self, job: JobRecord, one: Proposal) -> Failure | None:
        try:
            groups = self.expand_stored(job, one).groups
        except InvalidSpecError as error:
            return Failure("INVALID_COMBINATION", error.message)
        needed = max(memory_bytes(group, 1) for group in groups)
        if needed <= self._most_memory:
            return None
        return self._too_large(needed)

    def plan_packs(self, parts: Sequence[Part]) -> list[PlannedPack]:
        """Cut parts of a job into packs for the workers and their present speed."""
        workers = self._workers()
        # A worker has its share of the memory, half of which is for the data.
        most_bytes = self._memory().total_bytes // (2 * max(1, workers))
        return plan_packs(parts, workers, self._speed(), most_bytes)

    def plan(
        self,
        spec: spec_pb2.JobSpec,
        job_id: str,
        uid: str,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> NewJob:
        """Check everything. Blocks. Raises InvalidSpecError with every wrong field."""
        marks = [
            *find_wrong_labels(labels or {}, "labels"),
            *find_wrong_priority(priority, "priority"),
        ]
        try:
            expansion, lessons = self._expand_new(spec)
            expansion = self._leave_out_large(expansion)
        except InvalidSpecError as error:
            within = [Violation(f"spec.{v.field}", v.description) for v in error.violations]
            raise InvalidSpecError.of([*marks, *within]) from None
        if marks:
            raise InvalidSpecError.of(marks)
        packs = self.plan_packs(expansion.parts)
        self._check_memory(packs, "spec")
        return NewJob(
            job_id=job_id,
            uid=uid,
            spec=expansion.spec.SerializeToString(),
            plan=self._describe(expansion, packs, lessons),
            trials=expansion.trials,
            trial_epochs_total=round(expansion.times * expansion.trial_epochs),
            metrics=expansion.metrics,
            layer_sizes=expansion.layer_sizes,
            datasets=expansion.datasets,
            networks=self._keep(expansion),
            labels=labels or {},
            priority=priority,
            packs=tuple(pack.to_new() for pack in packs) if expansion.learner is None else (),
            failures=expansion.failures if expansion.learner is None else {},
            lessons=lessons,
        )

    def extend(self, job: JobRecord, more: More, violations: Violations) -> Extension | None:
        """What the job is with more trials or epochs; None where that is wrong, or no change.
        Blocks. Raises IllegalTransitionError where it can't be expanded any longer."""
        old = self._expand_ended(job)
        spec = extend_spec(old, more, violations)
        if violations or spec == old.spec:
            return None
        field = "job.spec"
        try:
            new = self._leave_out_large(self._expand(spec, job, self._limits.max_trials))
            whole = self.plan_packs(new.parts)
            self._check_memory(whole, field)
        except InvalidSpecError as error:
            prefix = "" if error.reason == "MEMORY_LIMIT_EXCEEDED" else f"{field}."
            violations.add_all(error.violations, prefix)
            return None
        learns = new.learner is not None
        if not learns:
            check_further_trials(old, new, violations)
        further = [replace(p, trials=p.trials[p.trials >= old.trials]) for p in new.parts]
        packs = self.plan_packs([part for part in further if len(part.trials)])
        return Extension(
            generation=job.generation,
            spec=new.spec.SerializeToString(),
            plan=self._describe(new, whole),
            trials=new.trials,
            trial_epochs_total=round(new.times * new.trial_epochs),
            metrics=new.metrics,
            layer_sizes=new.layer_sizes,
            # What an algorithm that learns has not proposed is not known yet.
            packs=() if learns else tuple(pack.to_new() for pack in packs),
            failures={} if learns else _of_trials_from(old.trials, new.failures),
            last_epoch=old.spec.epochs if new.spec.epochs > old.spec.epochs else None,
            learns=learns,
        )

    def retry(
        self,
        job: JobRecord,
        failed: Sequence[TrialRecord],
        packs: Sequence[PackRecord],
        proposals: Sequence[Proposal] = (),
    ) -> Retry:
        """New packs for the trials of the job that FAILED; ``packs`` and ``proposals`` are all that
        the job has. Blocks. Raises IllegalTransitionError where they can't be trained."""
        if not failed:
            raise job.refuse("NO_FAILED_TRIALS", "none of its trials has FAILED")
        expansion = self._expand_ended(job)
        if expansion.brackets is not None:
            compared = (
                "its trials are stopped early"
                if expansion.population is None
                else "its trials are a population"
            )
            rule = f"{compared}: those that were compared are not compared anew"
            raise job.refuse("TRIALS_COMPARED", rule)
        members: dict[int, list[int]] = {}
        for trial in failed:
            if trial.pack_index is not None:  # those without can't be trained
                members.setdefault(trial.pack_index, []).append(trial.index)
        if not members and not _find_unproposed(expansion, failed, proposals):
            why = failed[0].failure.message if failed[0].failure else "see the job"
            raise job.refuse("TRIALS_IMPOSSIBLE", f"they can't be trained: {why}")
        groups_of = self._find_groups(job, expansion, packs, proposals)
        parts: dict[Part, PackRecord] = {}
        for index, indices in members.items():
            # A pack's trials are of one group; what was recorded of them is not recorded anew.
            pack = packs[index]
            (part,) = cut(groups_of(pack), np.array(indices, np.int32), pack.epochs, 0)
            parts[replace(part, until=part.group.pack.signature.epochs)] = pack
        planned = self.plan_packs(list(parts))
        return Retry(
            generation=job.generation,
            trials=np.array([k for indices in members.values() for k in indices], np.int32),
            closed=tuple(members),
            packs=tuple(
                replace(pack.to_new(parts[pack.part].arithmetics), started=False)
                for pack in planned
            ),
            learns=expansion.learner is not None,
        )

    def _find_groups(
        self,
        job: JobRecord,
        whole: Expansion,
        packs: Sequence[PackRecord],
        proposals: Sequence[Proposal],
    ) -> Callable[[PackRecord], Sequence[TrialGroup]]:
        """Gives the groups that a pack's trials are of: of an algorithm that learns, those of its
        batch."""
        if whole.learner is None or whole.space is None:
            return lambda _: whole.groups
        repeats = whole.space.repeats
        firsts = [batch.first for batch in proposals]

        @cache
        def of_batch(index: int) -> Sequence[TrialGroup]:
            return self.expand_planned(job, proposals[index], packs).groups

        return lambda pack: of_batch(bisect_right(firsts, int(pack.trials[0]) // repeats) - 1)

    def _expand_ended(self, job: JobRecord) -> Expansion:
        try:
            return self.expand_stored(job)
        except ServiceError as error:
            rule = f"it can't be trained any longer: {error.message}"
            raise job.refuse("DATA_UNREADABLE", rule) from None

    def _check_memory(self, packs: Sequence[PlannedPack], field: str) -> None:
        memory = sum(pack.memory_bytes for pack in packs)
        limit = self._limits.job_memory_bytes(self._memory())
        if memory > limit:
            self._refuse_memory(
                field, "the job would need", memory, limit, "of the workers' memory"
            )
        # Those that are too large by themselves were left out, unless all are.
        least = min((memory_bytes(pack.part.group, 1) for pack in packs), default=0)
        if least > self._most_memory:
            self._refuse_memory(
                field, "a trial would need", least, self._most_memory, "of one machine's memory"
            )

    def _refuse_memory(self, field: str, who: str, needed: int, limit: int, what: str) -> NoReturn:
        description = (
            f"{who} {needed / 2**30:,.2f} GiB {what}; this server takes {limit / 2**30:,.2f} GiB: "
            "fewer trials, smaller layers or fewer epochs help"
        )
        raise InvalidSpecError(
            "MEMORY_LIMIT_EXCEEDED",
            f"{field}: {description}",
            violations=[Violation(field, description)],
            metadata={"memory_bytes": str(needed), "limit_bytes": str(limit)},
        )

    def _describe(
        self, expansion: Expansion, packs: Sequence[PlannedPack], lessons: Lessons | None = None
    ) -> bytes:
        """The job's plan, serialized."""
        known = 0 if lessons is None else len(lessons.points)
        estimate, times = self._estimate(expansion, known), expansion.times
        plan = job_pb2.JobPlan(
            trials=expansion.trials,
            packs=len(packs) * expansion.batches,
            memory_bytes=sum(pack.memory_bytes for pack in packs),
            operations=times * sum(group.operations for group in expansion.groups),
            worker_seconds=estimate.worker_seconds,
            seconds=estimate.seconds,
        )
        return plan.SerializeToString()

    def _estimate(self, expansion: Expansion, known: int) -> Estimate:
        speed, groups = self._speed(), expansion.groups
        if expansion.brackets is None:
            brackets: list[list[Stage]] = [[expansion.parts]]
        else:
            rule = expansion.early_stopping
            brackets = [list(find_stages(rule, each, groups)) for each in expansion.brackets]
        found = estimate_brackets(brackets, self._workers(), speed).times(expansion.times)
        found = found.plus(Overheads.at(speed).job)
        if expansion.learner is None or expansion.space is None:
            return found
        space = expansion.space
        asked = proposal_seconds(
            expansion.learner,
            space.assignments,
            known,
            len(space.parameters),
            len(expansion.objectives),
        )
        return found.plus(find_slowness(speed) * asked)

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
            raise InvalidSpecError.of(list(violations)) from None

    def _keep(self, expansion: Expansion) -> str | None:
        if self._kept is None or not expansion.networks:
            return None
        return self._kept.put(expansion.networks)


def _of_trials_from(
    first: int, failures: Mapping[Failure, Sequence[int]]
) -> dict[Failure, list[int]]:
    left = {failure: [k for k in trials if k >= first] for failure, trials in failures.items()}
    return {failure: trials for failure, trials in left.items() if trials}


def _find_unproposed(
    expansion: Expansion, failed: Sequence[TrialRecord], proposals: Sequence[Proposal]
) -> bool:
    """Whether some trials FAILED with their job before they were proposed."""
    if expansion.learner is None or expansion.space is None:
        return False
    proposed = expansion.space.repeats * sum(len(batch.points) for batch in proposals)
    return any(trial.index >= proposed for trial in failed)
