"""A watch gives each event exactly once and in order, whatever happens to its connections."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import grpc
import numpy as np
import pytest
from tests.client.conftest import (
    FAST,
    EventLog,
    FakeServer,
    Refusal,
    block,
    changed,
    ordinary_log,
)

from packtrain.client import (
    Adaptation,
    AsyncClient,
    Client,
    FailedPrecondition,
    Heartbeat,
    JobChanged,
    JobState,
    MetricsReceived,
    NotFound,
    ProtocolError,
    Results,
    RetrySettings,
    TrialsAdapted,
    TrialsChanged,
    WatchLost,
    WatchSettings,
)
from packtrain.client.results import Block, Goal
from packtrain.v1 import job_pb2, training_service_pb2

CUTS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
SHORT = WatchSettings(heartbeat_seconds=0.1, give_up_seconds=5)


def cutting(log: EventLog, rng: random.Random) -> Any:
    """Replays, and cuts each connection after a random number of messages."""

    def replay(request: Any, context: Any) -> Iterator[Any]:
        for message in log.after(request.resume_token):
            if rng.random() < 0.3:
                raise Refusal(rng.choice(CUTS), "the transport broke", reason="")
            if rng.random() < 0.2:
                yield training_service_pb2.WatchJobResponse(
                    resume_token=f"t{int(message.resume_token[1:]) - 1}",
                    heartbeat=training_service_pb2.Heartbeat(),
                )
            yield message

    return replay


def tokens(events: list[Any]) -> list[str]:
    return [event.resume_token for event in events]


@pytest.mark.parametrize("seed", range(20))
def test_a_watch_that_is_cut_at_random_tells_each_event_once(
    fake: FakeServer, client: Client, seed: int
) -> None:
    log = ordinary_log(epochs=10)
    fake.answers["WatchJob"] = cutting(log, random.Random(seed))
    events = list(client.watch_job("j", settings=SHORT))
    assert tokens(events) == [m.resume_token for m in log.messages]


@pytest.mark.parametrize("seed", range(20))
async def test_so_does_an_async_watch(fake: FakeServer, seed: int) -> None:
    log = ordinary_log(epochs=10)
    fake.answers["WatchJob"] = cutting(log, random.Random(seed))
    async with AsyncClient(fake.target, retry=FAST) as client:
        events = [event async for event in client.watch_job("jobs/j", settings=SHORT)]
    assert tokens(events) == [m.resume_token for m in log.messages]


def test_events_are_typed(fake: FakeServer, client: Client) -> None:
    fake.answers["WatchJob"] = EventLog(
        changed("QUEUED"),
        {"metrics": block(3, 2, trials=(4, 7), metrics=("a", "b", "c"))},
        {
            "trials": training_service_pb2.TrialStateChange(
                trials=[4],
                state=job_pb2.TRIAL_STATE_DIVERGED,
                epochs=[4],
            )
        },
        {
            "adaptation": training_service_pb2.TrialAdaptation(
                trials=[3], adaptations=[job_pb2.Adaptation(epoch=5, copied_trial=2)]
            )
        },
        {"heartbeat": training_service_pb2.Heartbeat()},
        changed("FAILED", failure=job_pb2.Failure(reason="NO_DATA", message="No data.")),
    ).replay
    created, metrics, trials, adapted, beat, failed = client.watch_job("j", heartbeats=True)
    assert isinstance(created, JobChanged)
    assert created.state is JobState.QUEUED
    assert created.failure is None
    assert isinstance(metrics, MetricsReceived)
    assert (metrics.trials, metrics.first_epoch, metrics.metrics) == ((4, 7), 3, ("a", "b", "c"))
    assert metrics.values.shape == (2, 2, 3)
    assert metrics.values.dtype == np.float32
    assert metrics.values[1, 1, 2] == np.float32(7004.2)
    assert isinstance(trials, TrialsChanged)
    assert (trials.trials, trials.state, trials.epochs) == ((4,), "diverged", (4,))
    assert isinstance(adapted, TrialsAdapted)
    assert adapted.trials == (3,)
    assert adapted.adaptations == (Adaptation(epoch=5, copied_trial=2, parameters={}),)
    assert isinstance(beat, Heartbeat)
    assert isinstance(failed, JobChanged)
    assert failed.failure is not None
    assert failed.failure.reason == "NO_DATA"


def test_heartbeats_show_only_where_they_are_wanted(fake: FakeServer, client: Client) -> None:
    log = EventLog({"heartbeat": training_service_pb2.Heartbeat()}, changed("SUCCEEDED"))
    fake.answers["WatchJob"] = log.replay
    assert tokens(list(client.watch_job("j"))) == ["t2"]


def test_a_watch_says_what_it_wants(fake: FakeServer, client: Client) -> None:
    fake.answers["WatchJob"] = ordinary_log().replay
    settings = WatchSettings(heartbeat_seconds=2.5)
    list(
        client.watch_job(
            "j",
            resume_token="t2",
            trials=(1, 2),
            metrics=("m",),
            replay_only=True,
            settings=settings,
        )
    )
    (request,) = fake.requests["WatchJob"]
    assert (request.name, request.resume_token) == ("jobs/j", "t2")
    assert (list(request.trials), list(request.metrics)) == ([1, 2], ["m"])
    assert request.heartbeat_interval.ToTimedelta().total_seconds() == 2.5
    assert request.replay_only


def test_a_silent_connection_is_given_up_and_resumed(fake: FakeServer, client: Client) -> None:
    log = ordinary_log()

    def hang(request: Any, context: Any) -> Iterator[Any]:
        yield from log.messages[:3]
        fake.closing.wait(20)

    fake.script("WatchJob", hang, log.replay)
    lost: list[Any] = []
    started = time.monotonic()
    events = list(client.watch_job("j", settings=SHORT, on_interruption=lost.append))
    assert tokens(events) == [m.resume_token for m in log.messages]
    assert fake.requests["WatchJob"][1].resume_token == "t3"
    assert "sent nothing for 0.3 s" in str(lost[0])
    assert 0.3 <= time.monotonic() - started < 5


async def test_so_is_a_silent_async_connection(fake: FakeServer) -> None:
    log = ordinary_log()

    def hang(request: Any, context: Any) -> Iterator[Any]:
        yield from log.messages[:3]
        fake.closing.wait(20)

    fake.script("WatchJob", hang, log.replay)
    async with AsyncClient(fake.target, retry=FAST) as client:
        events = [event async for event in client.watch_job("j", settings=SHORT)]
    assert tokens(events) == [m.resume_token for m in log.messages]


def test_a_slow_watcher_is_not_a_silent_server(fake: FakeServer, client: Client) -> None:
    fake.answers["WatchJob"] = ordinary_log().replay
    seen = []
    for event in client.watch_job("j", settings=SHORT):
        if not seen:
            time.sleep(0.5)  # longer than three heartbeats
        seen.append(event)
    assert len(seen) == 7
    assert len(fake.requests["WatchJob"]) == 1


def test_a_server_that_is_restarted_is_found_again(fake: FakeServer, client: Client) -> None:
    log = ordinary_log()

    def hang(request: Any, context: Any) -> Iterator[Any]:
        yield from log.messages[:2]
        fake.closing.wait(20)

    fake.script("WatchJob", hang, log.replay)
    events = client.watch_job("j", settings=WatchSettings(give_up_seconds=20))
    seen = [next(events), next(events)]
    fake.stop()
    fake.start()
    seen += list(events)
    assert tokens(seen) == [m.resume_token for m in log.messages]


def test_a_watch_gives_up_with_the_token_to_go_on_with(fake: FakeServer, client: Client) -> None:
    log = ordinary_log()

    def cut(request: Any, context: Any) -> Iterator[Any]:
        yield from log.after(request.resume_token)[:2]
        raise Refusal(grpc.StatusCode.UNAVAILABLE, "gone", reason="")

    down = Refusal(grpc.StatusCode.UNAVAILABLE, "gone", reason="")

    def refuse(request: Any, context: Any) -> Iterator[Any]:
        raise down
        yield

    fake.script("WatchJob", cut, refuse)
    settings = WatchSettings(give_up_seconds=0.2)
    seen = []
    with pytest.raises(WatchLost, match=r"could not be taken up again within 0\.2 s") as lost:
        seen.extend(client.watch_job("j", settings=settings))
    assert lost.value.resume_token == "t2"
    fake.answers["WatchJob"] = log.replay
    rest = client.watch_job("j", resume_token=lost.value.resume_token)
    assert tokens(list(rest)) == ["t3", "t4", "t5", "t6", "t7"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, FailedPrecondition),
    ],
)
def test_a_refusal_is_no_interruption(
    fake: FakeServer, client: Client, code: grpc.StatusCode, expected: type[Exception]
) -> None:
    def refuse(request: Any, context: Any) -> Iterator[Any]:
        raise Refusal(code, "no")
        yield

    fake.answers["WatchJob"] = refuse
    with pytest.raises(expected):
        list(client.watch_job("j"))
    assert len(fake.requests["WatchJob"]) == 1


def test_an_internal_error_of_the_service_is_no_interruption(
    fake: FakeServer, client: Client
) -> None:
    def refuse(request: Any, context: Any) -> Iterator[Any]:
        raise Refusal(grpc.StatusCode.INTERNAL, "a bug", reason="INTERNAL")
        yield

    fake.answers["WatchJob"] = refuse
    with pytest.raises(Exception, match="a bug"):
        list(client.watch_job("j"))
    assert len(fake.requests["WatchJob"]) == 1


def test_an_ok_before_the_jobs_end_is_an_interruption(fake: FakeServer, client: Client) -> None:
    log = ordinary_log()
    fake.script("WatchJob", lambda r, c: iter(log.messages[:3]), log.replay)
    assert tokens(list(client.watch_job("j"))) == [m.resume_token for m in log.messages]
    assert len(fake.requests["WatchJob"]) == 2


def test_a_watch_resumed_at_the_end_has_nothing_to_tell(fake: FakeServer, client: Client) -> None:
    fake.answers["WatchJob"] = ordinary_log().replay
    assert list(client.watch_job("j", resume_token="t7")) == []


def test_leaving_a_watch_ends_its_stream(fake: FakeServer, client: Client) -> None:
    ended = threading.Event()

    def endless(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(ended.set)
        yield ordinary_log().messages[0]
        while context.is_active():
            time.sleep(0.01)

    fake.answers["WatchJob"] = endless
    events = client.watch_job("j")
    next(events)
    events.close()
    assert ended.wait(5)


async def test_leaving_an_async_watch_ends_its_stream(fake: FakeServer) -> None:
    ended = threading.Event()

    def endless(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(ended.set)
        yield ordinary_log().messages[0]
        while context.is_active():
            time.sleep(0.01)

    fake.answers["WatchJob"] = endless
    async with AsyncClient(fake.target, retry=FAST) as client:
        events: AsyncIterator[Any] = client.watch_job("j")
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(ended.wait, 5)


def test_a_block_of_the_wrong_size_breaks_the_contract(fake: FakeServer, client: Client) -> None:
    bad = block(1, 2)
    bad.values = bad.values[:-1]
    fake.answers["WatchJob"] = EventLog({"metrics": bad}).replay
    with pytest.raises(ProtocolError, match="7 bytes"):
        list(client.watch_job("j"))


def test_blocks_make_up_one_array_however_they_are_cut(fake: FakeServer, client: Client) -> None:
    messages = [
        training_service_pb2.ReadMetricsResponse(block=b)
        for b in (
            block(1, 1, trials=(2, 5), metrics=("a", "b")),
            block(2, 3, trials=(5,), metrics=("a", "b")),
            block(2, 1, trials=(2,), metrics=("a", "b")),
        )
    ]
    fake.answers["ReadMetrics"] = lambda request, context: iter(messages)
    results = client.read_metrics("j", trials=(2, 5), metrics=("a", "b"))
    assert results.trials == (2, 5)
    assert results.values.shape == (2, 4, 2)
    np.testing.assert_array_equal(results.epochs, [1, 2, 3, 4])
    np.testing.assert_array_equal(results.curve("a", trial=5), [5001, 5002, 5003, 5004])
    np.testing.assert_array_equal(results.curve("a", trial=2), [2001, 2002, np.nan, np.nan])
    np.testing.assert_array_equal(results.final("a"), [2002, 5004])
    assert results.best("a") == (2, 2002)
    assert results.best("a", goal="max") == (5, 5004)
    with pytest.raises(ValueError, match="goal: expected 'min' or 'max', not 'maximize'"):
        results.best("a", goal=cast(Goal, "maximize"))
    (request,) = fake.requests["ReadMetrics"]
    assert (list(request.trials), list(request.metrics)) == ([2, 5], ["a", "b"])
    with pytest.raises(KeyError, match="there are a, b"):
        results.metric("c")
    with pytest.raises(KeyError, match="no trial 3"):
        results.curve("a", trial=3)
    frame = results.to_frame()
    assert frame.loc[(5, 4), "a"] == 5004
    assert list(frame.columns) == ["a", "b"]


def test_results_of_a_diverged_trial_end_where_it_diverged() -> None:
    values = np.array([[[1, 5], [np.nan, np.inf], [np.nan, np.nan]]], np.float32)
    results = Results.from_blocks([Block((0,), 1, ("cost", "norm"), values)])
    assert np.isnan(results.final("cost")[0])
    assert results.final("norm")[0] == np.inf
    with pytest.raises(ValueError, match="no trial ended with a finite cost"):
        results.best("cost")


def test_a_job_without_metrics_has_empty_results(fake: FakeServer, client: Client) -> None:
    fake.answers["ReadMetrics"] = lambda request, context: iter(())
    assert client.read_metrics("j").values.shape == (0, 0, 0)


@pytest.mark.parametrize(
    "settings", [{"heartbeat_seconds": 0.01}, {"heartbeat_seconds": 4000}, {"give_up_seconds": -1}]
)
def test_watch_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="seconds"):
        WatchSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [{"initial_backoff_seconds": 0}, {"multiplier": 0.5}, {"budget_seconds": -1}],
)
def test_retry_settings_are_checked(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retry: expected"):
        RetrySettings(**settings)
