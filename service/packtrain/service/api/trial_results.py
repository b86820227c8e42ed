"""What came of a job's trials: pages of them, the best, and which parameters matter."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from packtrain.service.api.requests import read_page_token, write_page_token
from packtrain.service.contract import TrialParameters
from packtrain.service.errors import InvalidSpecError, NotFoundError, Violation
from packtrain.service.records import JobRecord, TrialRecord
from packtrain.service.results.columns import STATE_CODES, TrialColumns
from packtrain.service.results.filters import matching_rows
from packtrain.service.results.goals import Goal, best_row, read_goal
from packtrain.service.results.importance import Importance, importances
from packtrain.service.results.ordering import Order, OrderKey, Position, read_order
from packtrain.service.results.pareto import pareto_front
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.v1 import spec_pb2

# Of all jobs together; those asked for last are kept.
KEPT_BYTES = 128 << 20
# Of a front of more metrics nearly every trial is a part.
MOST_PARETO_METRICS = 5


@dataclass(frozen=True, kw_only=True)
class TrialQuery:
    """Which trials, in which order: see ``ListTrialsRequest``."""

    states: tuple[TrialState, ...] = ()
    filter: str = ""
    order_by: str = ""
    pareto: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Tells one query from another."""
        text = json.dumps(astuple(self))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class TrialPage:
    """Some trials of ``total``; ``rows`` are all that are left, of which ``records`` come first.
    ``parameters`` are those of all the job's trials."""

    query: TrialQuery
    order: Order
    rows: NDArray[np.intp]
    records: list[TrialRecord]
    parameters: TrialParameters
    total: int

    def next_token(self, shown: int) -> str:
        """The token of the page after the first ``shown`` of the records; "" where none is left."""
        if shown >= len(self.rows):
            return ""
        values, index = self.order.position(int(self.rows[shown - 1]))
        return write_page_token(json.dumps([self.query.digest, values, index]))


@dataclass(frozen=True, eq=False)
class _Known:
    columns: TrialColumns
    parameters: TrialParameters
    # By an algorithm that learns.
    proposed: int


@dataclass
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    known: _Known | None = None


class TrialResults:
    """Answers from columns of the trials, which it keeps and brings up to date by the job's log."""

    def __init__(self, store: Store, kept_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def _read(self, job: JobRecord) -> _Known:
        """The job's trials as they are now. Raises NotFoundError where it was deleted."""
        kept = self._kept.setdefault(job.uid, _Kept())
        self._kept.move_to_end(job.uid)
        async with kept.lock:
            kept.known = await self._current(job, kept.known)
        self._forget()
        return kept.known

    async def _current(self, job: JobRecord, known: _Known | None) -> _Known:
        position = await self._store.job_position(job.uid)
        if position is None:
            self._kept.pop(job.uid, None)
            raise NotFoundError("JOB_NOT_FOUND", f"jobs/{job.job_id} was deleted")
        proposed = await self._store.count_proposed(job.uid)
        if known is None or len(known.columns.states) != job.trials or known.proposed != proposed:
            found = await self._store.load_trial_columns(job)
            spec = spec_pb2.JobSpec.FromString(job.spec)
            proposals = await self._store.list_proposals(job.uid) if proposed else []
            parameters = await asyncio.to_thread(TrialParameters, spec, job.trials, proposals)
            # Fewer than are there by now: then they are read again the next time.
            return _Known(replace(found, parameters=parameters.columns), parameters, proposed)
        if known.columns.sequence == position[1]:
            return known
        news = await self._store.read_news(job.uid, known.columns.sequence)
        columns = await asyncio.to_thread(known.columns.advanced, news)
        # Comparing moves trials from pack to pack, without an event of its own.
        packs = await self._store.find_packs_of_trials(job)
        return replace(known, columns=replace(columns, packs=packs))

    def _forget(self) -> None:
        """Drop what was not asked for the longest, but never the last."""
        sizes = {
            uid: kept.known.columns.size_bytes for uid, kept in self._kept.items() if kept.known
        }
        excess = sum(sizes.values()) - self._kept_bytes
        for uid in list(sizes)[:-1]:
            if excess <= 0:
                return
            excess -= sizes[uid]
            del self._kept[uid]

    async def page(self, job: JobRecord, query: TrialQuery, size: int, token: str) -> TrialPage:
        """The first ``size`` trials of a query, or those after a page before. Raises
        InvalidSpecError."""
        known = await self._read(job)
        order, rows, start = await asyncio.to_thread(_select, known.columns, query, token)
        left = rows[start:]
        records = await self._store.read_trials(job.uid, known.columns, left[:size])
        return TrialPage(query, order, left, records, known.parameters, len(rows))

    async def trial(self, job: JobRecord, index: int) -> tuple[TrialRecord, TrialParameters]:
        """One trial, and the values of all. Raises NotFoundError."""
        if index >= job.trials:
            name = f"jobs/{job.job_id}/trials/{index}"
            last = f"the last of its {job.trials} is {job.trials - 1}"
            raise NotFoundError(
                "TRIAL_NOT_FOUND", f"there is no trial {name}: {last}", metadata={"name": name}
            )
        known = await self._read(job)
        (record,) = await self._store.read_trials(job.uid, known.columns, np.array([index]))
        return record, known.parameters

    async def best(
        self, job: JobRecord, text: str
    ) -> tuple[Goal, TrialRecord, TrialParameters] | None:
        """The goal that ``text`` names and the best trial by it, with the values of all; None
        where no trial that neither DIVERGED nor FAILED has a finite value. Raises
        InvalidSpecError."""
        goal = _goal(text, job, "best_by")
        known = await self._read(job)
        row = best_row(goal, known.columns.ranked_metric(goal.metric))
        if row is None:
            return None
        (record,) = await self._store.read_trials(job.uid, known.columns, np.array([row]))
        return goal, record, known.parameters

    async def importance(self, job: JobRecord, text: str) -> tuple[Goal, list[Importance], int]:
        """The goal that ``text`` names, the parameters by how much they matter for it, and how
        many trials tell. Raises InvalidSpecError, IllegalTransitionError."""
        goal = _goal(text, job, "metric")
        known = await self._read(job)
        values, parameters = known.columns.ranked_metric(goal.metric), known.parameters
        found, trials = await asyncio.to_thread(
            importances, goal, values, parameters.columns, parameters.domains
        )
        return goal, found, trials


def _goal(text: str, job: JobRecord, field: str) -> Goal:
    goal = read_goal(text, job.metrics, field)
    if isinstance(goal, Violation):
        raise InvalidSpecError.of([goal])
    return goal


def _select(
    columns: TrialColumns, query: TrialQuery, token: str
) -> tuple[Order, NDArray[np.intp], int]:
    """The order, all rows of the query in it, and where the page begins."""
    goals = _pareto_goals(query.pareto, columns.metrics)
    keys = read_order(query.order_by, columns)
    if goals and not keys:
        keys = tuple(OrderKey(goal.metric, goal.higher_is_better) for goal in goals)
    matching = matching_rows(query.filter, columns)
    if query.states:
        matching &= np.isin(columns.states, [STATE_CODES[state] for state in query.states])
    rows = np.flatnonzero(matching)
    if goals:
        losses = [goal.losses(columns.ranked_metric(goal.metric)[rows]) for goal in goals]
        rows = rows[pareto_front(np.stack(losses, axis=1))]
    order = Order(columns, keys)
    ordered = order.sort(rows)
    return order, ordered, _start(order, ordered, query, token)


def _pareto_goals(texts: Sequence[str], metrics: Sequence[str]) -> list[Goal]:
    goals = [read_goal(text, metrics, f"pareto[{i}]") for i, text in enumerate(texts)]
    violations = [goal for goal in goals if isinstance(goal, Violation)]
    found = [goal for goal in goals if isinstance(goal, Goal)]
    if texts and not violations and not 2 <= len({g.metric for g in found}) == len(found):
        violations = [Violation("pareto", "must be two or more different metrics")]
    if len(texts) > MOST_PARETO_METRICS:
        most = f"must be at most {MOST_PARETO_METRICS} metrics, not {len(texts)}"
        violations.append(Violation("pareto", most))
    if violations:
        raise InvalidSpecError.of(violations)
    return found


def _start(order: Order, ordered: NDArray[np.intp], query: TrialQuery, token: str) -> int:
    text = read_page_token(token)
    if text is None:
        return 0
    try:
        digest, values, index = json.loads(text)
        position: Position = (tuple(values), int(index))
        start = order.after(ordered, position) if digest == query.digest else None
    except (ValueError, TypeError):
        raise InvalidSpecError.of([Violation("page_token", "is no token of a response")]) from None
    if start is None:
        changed = "is of another list: filter, states, order_by and pareto must stay as they were"
        raise InvalidSpecError.of([Violation("page_token", changed)])
    return start
