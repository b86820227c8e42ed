"""Lists, the best, fronts and importance of a job's trials, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from tests.service.specifications import PLAIN, RATE, choice, read, search
from tests.service.stored_jobs import (
    ME,
    own,
)

from packtrain.service.api.trial_results import TrialQuery, TrialResults
from packtrain.service.records import EndedTrials, JobRecord, MetricsRecorded, NewJob, NewPack
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.v1 import job_pb2, spec_pb2, training_service_pb2
from packtrain.workers import Segment

pb = training_service_pb2
MakeSpec = Callable[..., spec_pb2.JobSpec]
METRICS = ("training_cost", "training_accuracy")


async def list_trials(api: Any, job: job_pb2.Job, **fields: object) -> pb.ListTrialsResponse:
    return await api.training.ListTrials(pb.ListTrialsRequest(parent=job.name, **fields))


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(refused.value.details())


async def test_trials_are_filtered_ordered_and_paged(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons(rates=(0.1, 0.5, 1.0, 3.0, 10.0)))
    everything = await api.trials(job.name)
    by_cost = sorted(everything, key=lambda t: t.final_metrics["validation_cost"])
    found: list[job_pb2.Trial] = []
    token = ""
    while True:
        page = await list_trials(
            api, job, order_by="validation_cost", page_size=2, page_token=token
        )
        assert page.total_size == 5
        found += page.trials
        token = page.next_page_token
        if not token:
            break
    assert found == by_cost
    page = await list_trials(
        api, job, filter=f"parameters.{RATE} > 0.5 AND state = SUCCEEDED", order_by="index desc"
    )
    assert [t.index for t in page.trials] == [4, 3, 2]
    assert page.total_size == 3
    succeeded = [job_pb2.TRIAL_STATE_SUCCEEDED]
    page = await list_trials(api, job, filter="index < 2", states=succeeded)
    assert [t.index for t in page.trials] == [0, 1]


async def test_a_token_goes_with_its_list_only(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    page = await list_trials(api, job, order_by="validation_cost", page_size=1)
    other = {"order_by": "validation_cost desc", "page_token": page.next_page_token}
    assert "filter, states, order_by and pareto must stay" in await refusal(
        list_trials(api, job, **other)
    )
    for wrong in ("x", "eA==", "WzFd", "WyIiLCBbXSwgMF0="):
        assert "page_token" in await refusal(list_trials(api, job, page_token=wrong))


async def test_fields_that_are_none_are_refused_with_those_there_are(
    api: Any, moons: MakeSpec
) -> None:
    job = await api.train(moons())
    known = f"index, state, epochs, {', '.join(job.metrics)}, parameters.{RATE}"
    assert known in await refusal(list_trials(api, job, filter="loss < 1"))
    assert known in await refusal(list_trials(api, job, order_by="loss"))
    assert "pareto[1]" in await refusal(list_trials(api, job, pareto=["validation_cost", "index"]))
    assert "two or more" in await refusal(list_trials(api, job, pareto=["validation_cost"]))
    get = api.training.GetJob(pb.GetJobRequest(name=job.name, best_by="loss"))
    assert "best_by: there is no 'loss'" in await refusal(get)
    get = api.training.GetImportance(pb.GetImportanceRequest(name=job.name))
    assert "metric: must name a metric" in await refusal(get)


async def test_a_trial_is_read_by_its_name(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons())
    third = await api.training.GetTrial(pb.GetTrialRequest(name=f"{job.name}/trials/2"))
    assert third.trial == (await api.trials(job.name))[2]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.training.GetTrial(pb.GetTrialRequest(name=f"{job.name}/trials/4"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "the last of its 4 is 3" in str(refused.value.details())


async def test_the_best_so_far_is_told_while_a_job_runs(
    start_api: Any, moons: MakeSpec, short_segments: None
) -> None:
    reached, opened = asyncio.Event(), asyncio.Event()

    async def hold(segment: Segment) -> None:
        if segment.start_epoch == 5:
            reached.set()
            await opened.wait()

    async with start_api(before_segment=hold) as api:
        job = await api.create(moons())

        async def best(by: str) -> pb.GetJobResponse:
            return await api.training.GetJob(pb.GetJobRequest(name=job.name, best_by=by))

        # What was trained before may be on its way to the store yet.
        async for event in api.training.WatchJob(pb.WatchJobRequest(name=job.name)):
            if event.metrics.first_epoch == 5:
                break
        await reached.wait()
        found = await best("validation_cost")
        running = await api.trials(job.name)
        opened.set()
        await api.watch(job.name)
        costs = [t.final_metrics["validation_cost"] for t in running]
        assert found.best.trial == running[int(np.argmin(costs))]
        assert found.best.trial.state == job_pb2.TRIAL_STATE_RUNNING
        assert found.best.trial.epochs == 5
        assert found.best.value == min(costs)
        assert (found.best.metric, found.best.higher_is_better) == ("validation_cost", False)
        last = await best("validation_accuracy")
        assert last.best.higher_is_better
        ended = await api.trials(job.name)
        assert last.best.value == max(t.final_metrics["validation_accuracy"] for t in ended)
        assert (await best("validation_cost desc")).best.value == max(
            t.final_metrics["validation_cost"] for t in ended
        )
        assert not (await api.training.GetJob(pb.GetJobRequest(name=job.name))).HasField("best")


async def test_the_front_comes_best_first(api: Any, moons: MakeSpec) -> None:
    job = await api.train(moons(rates=tuple(np.geomspace(0.05, 20, 12))))
    trials = await api.trials(job.name)
    page = await list_trials(api, job, pareto=["training_cost", "validation_cost desc"])
    losses = {
        t.index: (t.final_metrics["training_cost"], -t.final_metrics["validation_cost"])
        for t in trials
    }
    front = [
        i
        for i, mine in losses.items()
        if not any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in losses.values())
    ]
    assert [t.index for t in page.trials] == sorted(front, key=lambda i: losses[i])


async def test_importance_tells_what_matters_also_of_choices(api: Any) -> None:
    document = PLAIN | search(
        (RATE, {"log_uniform": {"low": 1e-4, "high": 1.0}}),
        choice("regularization.l2", 0, 1e-9, 2e-9),
        choice("cost", {"quadratic": {}}, {"crossEntropy": {}}),
        ("seed", {"integer": {"low": 0, "high": 3}}),
        trials=200,
    )
    job = await api.train(read(document | {"epochs": 3}))
    request = pb.GetImportanceRequest(name=job.name, metric="training_cost")
    found = await api.training.GetImportance(request)
    assert (found.metric, found.higher_is_better, found.trials) == ("training_cost", False, 200)
    assert found.evaluator == "PED-ANOVA"
    shares = {p.path: p.share for p in found.parameters}
    assert sum(shares.values()) == pytest.approx(1)
    assert set(list(shares)[:2]) == {RATE, "cost"}
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert {p.trials for p in found.parameters} == {200}


async def test_importance_of_too_little_is_refused_in_words(api: Any, moons: MakeSpec) -> None:
    for spec, sentence in (
        (
            moons(),
            "at least 20 trials with a finite training_cost that neither diverged nor failed; there are 4",
        ),
        (moons(rates=()), "the job searches no parameters"),
    ):
        job = await api.train(spec)
        request = pb.GetImportanceRequest(name=job.name, metric="training_cost")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await api.training.GetImportance(request)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert sentence in str(refused.value.details())


def sweep(job_id: str, trials: int) -> NewJob:
    found = PLAIN | search((RATE, {"uniform": {"low": 0.0, "high": 1.0}}), trials=trials)
    packs = np.array_split(np.arange(trials, dtype=np.int32), 2)
    return NewJob(
        job_id=job_id,
        uid=f"uid-{job_id}",
        spec=read(found).SerializeToString(),
        plan=b"",
        trials=trials,
        trial_epochs_total=trials * 4,
        metrics=METRICS,
        layer_sizes=(2, 1),
        datasets=(),
        packs=tuple(NewPack(trials=pack, metrics=METRICS) for pack in packs),
    )


async def record(
    store: Store,
    job: JobRecord,
    pack: int,
    first: int,
    values: np.ndarray,
    ended: dict[TrialState, list[int]] | None = None,
) -> None:
    """A segment of the pack: ``values`` (trials, epochs, metrics), some trials of which end."""
    trials = (await store.list_packs(job.uid))[pack].trials
    block = MetricsRecorded(trials, first, METRICS, values.astype(np.float32))
    last = first + values.shape[1] - 1
    over = [
        EndedTrials(state, trials[rows], np.full(len(rows), last, np.int32), block.values[rows, -1])
        for state, rows in (ended or {}).items()
    ]
    await own(store, job.uid).record_segment(pack, 0, first - 1, last, block, over, 0, ("NumPy",))


async def test_columns_brought_up_to_date_are_those_read_anew(store: Store) -> None:
    """Whatever happens: trials that diverge with nothing but NaN, epochs not measured."""
    job = await store.create_job(sweep("a", 10), None, ME)
    kept = TrialResults(store)
    nothing = np.full((5, 1, 2), np.nan)

    async def agree() -> list[Any]:
        query = TrialQuery(order_by="training_cost desc")
        now = await store.get_job("a")
        warm = await kept.page(now, query, 10, "")
        cold = await TrialResults(store).page(now, query, 10, "")
        assert str(warm.records) == str(cold.records)
        return warm.records

    assert all(not record.final_metrics for record in await agree())
    await own(store, job.uid).start_pack(0)
    await agree()
    draw = np.random.default_rng(1)
    await record(store, job, 0, 1, draw.random((5, 2, 2)), {TrialState.SUCCEEDED: [0]})
    await agree()
    await record(store, job, 0, 3, nothing, {TrialState.DIVERGED: [1, 3]})
    records = {r.index: r for r in await agree()}
    assert np.isnan(records[1].final_metrics["training_cost"])
    assert np.isfinite(records[2].final_metrics["training_cost"])
    await own(store, job.uid).start_pack(1)
    await record(store, job, 1, 1, draw.random((5, 1, 2)))
    await record(store, job, 1, 2, nothing)
    await store.cancel_job("a", None)
    await own(store, job.uid).finish_cancelling()
    records = {r.index: r for r in await agree()}
    assert records[7].state is TrialState.CANCELLED
    assert np.isfinite(records[7].final_metrics["training_cost"])


async def test_pages_stay_right_while_trials_end(store: Store) -> None:
    """Every trial that had ended before the first page comes once, whatever else is recorded."""
    job = await store.create_job(sweep("a", 40), None, ME)
    results = TrialResults(store)
    query = TrialQuery(order_by="training_cost", states=(TrialState.SUCCEEDED,))
    values = np.random.default_rng(2).random((2, 20, 1, 2))
    await own(store, job.uid).start_pack(0)
    await own(store, job.uid).start_pack(1)
    await record(store, job, 0, 1, values[0], {TrialState.SUCCEEDED: list(range(20))})
    seen: list[int] = []
    token = ""
    for page_number in range(100):
        page = await results.page(job, query, 3, token)
        seen += [r.index for r in page.records]
        token = page.next_token(len(page.records))
        if page_number == 2:
            await record(store, job, 1, 1, values[1], {TrialState.SUCCEEDED: list(range(20))})
        if not token:
            break
    assert len(seen) == len(set(seen))
    assert set(range(20)) <= set(seen)
    ordered = [float(values.reshape(40, 2)[i, 0]) for i in seen]
    assert ordered == sorted(ordered)


async def test_what_is_kept_is_bounded_and_a_deleted_job_forgotten(store: Store) -> None:
    results = TrialResults(store, kept_bytes=1)
    for name in ("a", "b"):
        await results.page(await store.create_job(sweep(name, 10), None, ME), TrialQuery(), 1, "")
    assert list(results._kept) == ["uid-b"]


async def test_many_readers_load_a_job_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await store.create_job(sweep("a", 10), None, ME)
    loads = 0
    load = store.load_trial_columns

    async def count(job: JobRecord) -> Any:
        nonlocal loads
        loads += 1
        return await load(job)

    monkeypatch.setattr(store, "load_trial_columns", count)
    results = TrialResults(store)
    await asyncio.gather(*(results.page(job, TrialQuery(), 5, "") for _ in range(8)))
    assert loads == 1
