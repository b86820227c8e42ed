"""What every database under the store must do: one class, to be run over another URL too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from packtrain.service.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    IllegalTransitionError,
    InvalidSpecError,
    NotFoundError,
)
from packtrain.service.records import (
    EndedTrials,
    Failure,
    JobChanged,
    JobRecord,
    MetricsRecorded,
    NewJob,
    NewPack,
    RequestKey,
    TrialsChanged,
)
from packtrain.service.states import JobState, TrialState
from packtrain.service.store import Database, Store, schema

NAMES = ("training_cost", "training_accuracy")
ALL = 1 << 40
CORES = ("NumPy 2 on one kind of core",)


def ints(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def new_job(job_id: str, *packs: NDArray[np.int32], epochs: int = 10) -> NewJob:
    packs = packs or (ints(0, 1, 2), ints(3, 4))
    count = sum(len(p) for p in packs)
    return NewJob(
        job_id=job_id,
        uid=f"uid-{job_id}",
        spec=b"spec",
        plan=b"plan",
        trials=count,
        trial_epochs_total=count * epochs,
        metrics=NAMES,
        layer_sizes=(2, 1),
        datasets=("d1",),
        packs=tuple(NewPack(trials=p, metrics=NAMES) for p in packs),
    )


def block(trials: NDArray[np.int32], first: int, last: int, at: float = 0.0) -> MetricsRecorded:
    """Values at + trial + epoch / 100, and their negatives."""
    epochs = np.arange(first, last + 1)
    values = at + trials[:, None] + epochs[None, :] / 100
    return MetricsRecorded(trials, first, NAMES, np.stack([values, -values], 2).astype(np.float32))


def ended(state: TrialState, metrics: MetricsRecorded, *rows: int) -> EndedTrials:
    last = metrics.first_epoch + metrics.values.shape[1] - 1
    chosen = np.array(rows)
    epochs = np.full(len(rows), last, np.int32)
    return EndedTrials(state, metrics.trials[chosen], epochs, metrics.values[chosen, -1])


async def create(store: Store, job_id: str, *packs: NDArray[np.int32]) -> JobRecord:
    return await store.create_job(new_job(job_id, *packs), None)


async def record(
    store: Store, uid: str, pack: int, trials: NDArray[np.int32], start: int, end: int
) -> None:
    epochs = (end - start) * len(trials)
    await store.record_segment(
        uid, pack, 0, start, end, block(trials, start + 1, end), [], epochs, CORES
    )


class TestStore:
    """The conformance class."""

    @pytest.fixture(params=["sqlite"])
    def open_database(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> Iterator[Callable[[], Database]]:
        """Opens the test's database, as often as it is asked to."""
        urls = {"sqlite": f"sqlite:///{tmp_path / 'conformance.db'}"}
        opened: list[Database] = []

        def open_one() -> Database:
            database = Database(urls[request.param])
            database.migrate()
            opened.append(database)
            return database

        yield open_one
        for database in opened:
            database.close()

    @pytest.fixture
    def database(self, open_database: Callable[[], Database]) -> Database:
        return open_database()

    @pytest.fixture
    def store(self, database: Database) -> Store:
        return Store(database)

    async def test_creates_and_gets(self, store: Store) -> None:
        made = await create(store, "a")
        got = await store.get_job("a")
        assert got == made
        assert (got.state, got.trials, got.trial_epochs, got.trial_epochs_total) == (
            JobState.QUEUED,
            5,
            0,
            50,
        )
        assert (got.metrics, got.layer_sizes, got.datasets) == (NAMES, (2, 1), ("d1",))
        assert (got.started, got.ended, got.failure) == (None, None, None)
        packs = await store.list_packs(made.uid)
        assert [p.trials.tolist() for p in packs] == [[0, 1, 2], [3, 4]]
        assert [(p.epochs, p.started, p.metrics) for p in packs] == [(0, False, NAMES)] * 2

    async def test_a_name_is_taken_once(self, store: Store) -> None:
        await create(store, "a")
        with pytest.raises(AlreadyExistsError):
            await store.create_job(new_job("a"), None)
        with pytest.raises(NotFoundError):
            await store.get_job("b")

    async def test_lists_newest_first_in_pages(self, store: Store) -> None:
        for name in "abcde":
            await create(store, name)
        first = await store.list_jobs(2, None, [])
        await create(store, "f")  # pages stay right while rows are added
        second = await store.list_jobs(10, first[-1].order, [])
        assert [j.job_id for j in first + second] == ["e", "d", "c", "b", "a"]
        await store.start_pack("uid-b", 0)
        running = await store.list_jobs(10, None, [JobState.RUNNING])
        assert [j.job_id for j in running] == ["b"]
        assert [j.job_id for j in await store.active_jobs(3)] == ["b", "a", "c"]

    async def test_the_same_request_answers_as_the_first_time(self, store: Store) -> None:
        key = RequestKey("r1", "CreateJob", "digest")
        assert await store.repeated(key) is None
        made = await store.create_job(new_job("a"), key)
        assert await store.create_job(new_job("another"), key) == made
        assert made.plan == b"plan"
        assert await store.repeated(key) == made
        assert await store.all_uids() == {made.uid}

    @pytest.mark.parametrize(
        "other", [RequestKey("r1", "CreateJob", "x"), RequestKey("r1", "CancelJob", "digest")]
    )
    async def test_a_request_id_is_for_one_request(self, store: Store, other: RequestKey) -> None:
        await store.create_job(new_job("a"), RequestKey("r1", "CreateJob", "digest"))
        with pytest.raises(InvalidSpecError) as caught:
            await store.create_job(new_job("b"), other)
        assert [v.field for v in caught.value.violations] == ["request_id"]
        assert await store.all_uids() == {"uid-a"}

    async def test_equal_requests_at_once_make_one_job(self, store: Store) -> None:
        key = RequestKey("r1", "CreateJob", "digest")
        made = await asyncio.gather(*(store.create_job(new_job(f"j{i}"), key) for i in range(20)))
        assert len({job.uid for job in made}) == 1
        assert len(await store.all_uids()) == 1

    async def test_starting_twice_does_nothing_more(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await store.start_pack(job.uid, 0)
        events = await store.read_events(job.uid, 0, ALL)
        states = [e.body.state for e in events if not isinstance(e.body, MetricsRecorded)]
        assert states == [JobState.QUEUED, JobState.RUNNING, TrialState.RUNNING]
        assert (await store.get_job("a")).started is not None

    async def test_only_legal_transitions(self, store: Store) -> None:
        job = await create(store, "a")
        with pytest.raises(IllegalTransitionError):
            await store.finish_job(job.uid, JobState.SUCCEEDED, None, 0)
        with pytest.raises(IllegalTransitionError):
            await record(store, job.uid, 0, ints(0, 1, 2), 0, 1)
        await store.finish_cancelling(job.uid)  # not CANCELLING: nothing happens
        assert (await store.get_job("a")).state is JobState.QUEUED
        await store.start_pack(job.uid, 0)
        await store.finish_job(job.uid, JobState.SUCCEEDED, None, 0)
        revision = (await store.get_job("a")).revision
        for state in (JobState.FAILED, JobState.CANCELLED):
            with pytest.raises(IllegalTransitionError):
                await store.finish_job(job.uid, state, Failure("X", "x"), 0)
        with pytest.raises(IllegalTransitionError):
            await store.start_pack(job.uid, 1)
        with pytest.raises(IllegalTransitionError):
            await record(store, job.uid, 0, ints(0, 1, 2), 0, 1)
        with pytest.raises(IllegalTransitionError):
            await store.cancel_job("a", None)
        now = await store.get_job("a")
        assert (now.state, now.revision, now.failure) == (JobState.SUCCEEDED, revision, None)

    async def test_no_epoch_is_recorded_twice(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 3)
        for start, end in ((0, 3), (2, 4), (4, 5)):
            with pytest.raises(IllegalTransitionError):
                await record(store, job.uid, 0, ints(0, 1, 2), start, end)
        await record(store, job.uid, 0, ints(0, 1, 2), 3, 4)
        now = await store.get_job("a")
        assert now.trial_epochs == 12
        assert [p.epochs for p in await store.list_packs(job.uid)] == [4, 0]
        blocks = await store.read_events(job.uid, 0, ALL, metrics_only=True)
        assert [(e.body.first_epoch, e.body.values.shape[1]) for e in blocks] == [(1, 3), (4, 1)]

    async def test_the_log_has_no_gaps_and_gives_back_what_it_took(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        given = block(ints(0, 1, 2), 1, 2)
        over = ended(TrialState.DIVERGED, given, 1)
        await store.record_segment(job.uid, 0, 0, 0, 2, given, [over], 6, CORES)
        await store.cancel_job("a", None)
        await store.finish_cancelling(job.uid)
        events = await store.read_events(job.uid, 0, ALL)
        assert [e.sequence for e in events] == list(range(1, len(events) + 1))
        bodies = [e.body for e in events]
        kinds = [(type(b).__name__, getattr(b, "state", None)) for b in bodies]
        assert kinds == [
            ("JobChanged", JobState.QUEUED),
            ("JobChanged", JobState.RUNNING),
            ("TrialsChanged", TrialState.RUNNING),
            ("MetricsRecorded", None),
            ("TrialsChanged", TrialState.DIVERGED),
            ("JobChanged", JobState.CANCELLING),
            ("TrialsChanged", TrialState.CANCELLED),
            ("TrialsChanged", TrialState.CANCELLED),
            ("JobChanged", JobState.CANCELLED),
        ]
        metrics = bodies[3]
        assert isinstance(metrics, MetricsRecorded)
        assert metrics.names == NAMES
        np.testing.assert_array_equal(metrics.values, given.values)
        cancelled = bodies[6]
        assert isinstance(cancelled, TrialsChanged)
        assert cancelled.trials.tolist() == [0, 2]
        assert cancelled.epochs.tolist() == [2, 2]
        for after in range(len(events) + 1):
            rest = await store.read_events(job.uid, after, ALL)
            assert [e.sequence for e in rest] == list(range(after + 1, len(events) + 1))

    @pytest.mark.parametrize(("trials", "epochs"), [(3, 100_000), (2_000, 200), (1, 300_000)])
    async def test_large_blocks_are_split(self, store: Store, trials: int, epochs: int) -> None:
        everyone = np.arange(trials, dtype=np.int32)
        job = await create(store, "a", everyone)
        await store.start_pack(job.uid, 0)
        given = block(everyone, 1, epochs)
        await store.record_segment(job.uid, 0, 0, 0, epochs, given, [], trials * epochs, CORES)
        seen = np.full((trials, epochs, 2), np.nan, np.float32)
        after, reads = 0, 0
        while events := await store.read_events(job.uid, after, 1 << 20, metrics_only=True):
            reads += 1
            assert sum(e.body.values.nbytes for e in events[:-1]) < 1 << 20
            for e in events:
                after, body = e.sequence, e.body
                assert body.values.nbytes <= 1 << 20
                columns = slice(body.first_epoch - 1, body.first_epoch - 1 + body.values.shape[1])
                assert np.isnan(seen[body.trials, columns]).all()
                seen[body.trials, columns] = body.values
        assert reads > 1
        np.testing.assert_array_equal(seen, given.values)

    async def test_a_pack_keeps_what_trained_it(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
        last = block(ints(0, 1, 2), 3, 4)
        over = ended(TrialState.SUCCEEDED, last, 0, 2)
        both = (*CORES, "another, with commas")
        await store.record_segment(job.uid, 0, 0, 2, 4, last, [over], 6, both)
        assert [p.arithmetics for p in await store.list_packs(job.uid)] == [both, ()]
        trials = await store.list_trials(job, 0, 10, [])
        assert [t.arithmetics for t in trials] == [both, both, both, (), ()]

    async def test_cancels_a_queued_job_at_once(self, store: Store) -> None:
        job = await create(store, "a")
        key = RequestKey("r1", "CancelJob", "digest")
        cancelled = await store.cancel_job("a", key)
        assert cancelled.state is JobState.CANCELLED
        assert cancelled.counts[TrialState.CANCELLED] == 5
        assert cancelled.ended is not None
        assert await store.cancel_job("a", key) == cancelled
        trials = await store.list_trials(cancelled, 0, 10, [])
        assert {t.state for t in trials} == {TrialState.CANCELLED}
        assert all(np.isnan(v) for t in trials for v in t.final_metrics.values())
        with pytest.raises(IllegalTransitionError):
            await store.start_pack(job.uid, 0)

    async def test_a_cancelled_job_keeps_what_was_recorded(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
        assert (await store.cancel_job("a", None)).state is JobState.CANCELLING
        await record(store, job.uid, 0, ints(0, 1, 2), 2, 4)  # was under way
        await store.finish_cancelling(job.uid)
        now = await store.get_job("a")
        assert (now.state, now.counts[TrialState.CANCELLED]) == (JobState.CANCELLED, 5)
        trials = await store.list_trials(now, 0, 10, [])
        assert [t.epochs for t in trials] == [4, 4, 4, 0, 0]
        assert trials[2].final_metrics == pytest.approx(
            {"training_cost": 2.04, "training_accuracy": -2.04}
        )
        assert np.isnan(trials[3].final_metrics["training_cost"])

    async def test_a_failed_job_has_no_trial_on_its_way(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
        failure = Failure("DATA_UNREADABLE", "the data is gone")
        await store.finish_job(job.uid, JobState.FAILED, failure, 0)
        now = await store.get_job("a")
        assert (now.failure, now.counts[TrialState.FAILED]) == (failure, 5)
        trials = await store.list_trials(now, 0, 10, [])
        assert {(t.state, t.failure) for t in trials} == {(TrialState.FAILED, failure)}
        assert trials[1].final_metrics["training_cost"] == pytest.approx(1.02)
        last = (await store.read_events(job.uid, 0, ALL))[-1].body
        assert isinstance(last, JobChanged)
        assert last.failure == failure

    async def test_a_failed_pack_leaves_its_siblings(self, store: Store) -> None:
        job = await create(store, "a")
        await store.start_pack(job.uid, 0)
        await store.start_pack(job.uid, 1)
        first = block(ints(0, 1, 2), 1, 2)
        over = ended(TrialState.DIVERGED, first, 0)
        await store.record_segment(job.uid, 0, 0, 0, 2, first, [over], 6, CORES)
        await store.fail_pack(job.uid, 0, 0, Failure("OUT_OF_MEMORY", "no room"))
        trials = await store.list_trials(job, 0, 10, [])
        assert [t.state.name for t in trials] == ["DIVERGED", "FAILED", "FAILED"] + ["RUNNING"] * 2
        assert trials[1].final_metrics["training_cost"] == pytest.approx(1.02)

    async def test_lists_trials_by_state_in_pages(self, store: Store) -> None:
        job = await create(store, "a", ints(0, 2, 4, 6), ints(1, 3, 5), ints(7))
        await store.start_pack(job.uid, 0)
        await store.start_pack(job.uid, 1)
        first = block(ints(0, 2, 4, 6), 1, 5)
        await store.record_segment(
            job.uid,
            0,
            0,
            0,
            5,
            first,
            [ended(TrialState.DIVERGED, first, 1), ended(TrialState.SUCCEEDED, first, 0, 3)],
            20,
            CORES,
        )
        expected = [
            "SUCCEEDED",
            "RUNNING",
            "DIVERGED",
            "RUNNING",
            "RUNNING",
            "RUNNING",
            "SUCCEEDED",
            "QUEUED",
        ]
        states = {i: TrialState[name] for i, name in enumerate(expected)}
        for wanted in (
            [],
            [TrialState.RUNNING],
            [TrialState.QUEUED],
            [TrialState.DIVERGED, TrialState.QUEUED],
            [TrialState.SUCCEEDED, TrialState.RUNNING],
            [TrialState.FAILED],
        ):
            found = {}
            start = 0
            while page := await store.list_trials(job, start, 2, wanted):
                assert len(page) <= 2
                assert [t.index for t in page] == sorted(t.index for t in page)
                assert not found.keys() & {t.index for t in page}
                found |= {t.index: t.state for t in page}
                start = page[-1].index + 1
            assert found == {i: s for i, s in states.items() if not wanted or s in wanted}
        whole = await store.list_trials(job, 0, 100, [])
        assert [t.epochs for t in whole] == [5, 0, 5, 0, 5, 0, 5, 0]
        assert [t.pack_index for t in whole] == [0, 1, 0, 1, 0, 1, 0, 2]
        assert whole[6].final_metrics["training_cost"] == pytest.approx(6.05)
        assert await store.list_trials(job, 10**15, 10, []) == []

    async def test_deletes_all_of_an_ended_job(self, store: Store, database: Database) -> None:
        job = await create(store, "a")
        other = await create(store, "b")
        await store.start_pack(job.uid, 0)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
        with pytest.raises(IllegalTransitionError):
            await store.delete_job("a", "", None)
        await store.finish_job(job.uid, JobState.FAILED, Failure("X", "x"), 0)
        stale = job.etag
        with pytest.raises(EtagMismatchError):
            await store.delete_job("a", stale, None)
        etag = (await store.get_job("a")).etag
        key = RequestKey("r1", "DeleteJob", "digest")
        assert (await store.delete_job("a", etag, key)) is not None
        assert (await store.delete_job("a", etag, key)) is None
        with pytest.raises(NotFoundError):
            await store.delete_job("a", etag, None)

        def rows(connection: Connection) -> dict[str, set[str]]:
            tables = (schema.packs, schema.trials, schema.events)
            return {t.name: set(connection.execute(select(t.c.job_uid)).scalars()) for t in tables}

        assert await database.read(rows) == {
            "packs": {other.uid},
            "trials": set(),
            "events": {other.uid},
        }
        assert await store.all_uids() == {other.uid}
        again = await create(store, "a")
        assert again.order > other.order

    async def test_every_change_changes_the_etag(self, store: Store) -> None:
        job = await create(store, "a")
        etags = [job.etag]
        await store.start_pack(job.uid, 0)
        etags.append((await store.get_job("a")).etag)
        await record(store, job.uid, 0, ints(0, 1, 2), 0, 2)
        etags.append((await store.get_job("a")).etag)
        await store.fail_pack(job.uid, 0, 0, Failure("X", "x"))
        etags.append((await store.get_job("a")).etag)
        await store.cancel_job("a", None)
        etags.append((await store.get_job("a")).etag)
        assert len(set(etags)) == len(etags)

    async def test_a_large_job_is_cancelled_in_slices(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("packtrain.service.store.training.SLICE_TRIALS", 2)
        job = await create(store, "a")
        assert (await store.cancel_job("a", None)).state is JobState.CANCELLING
        await store.finish_cancelling(job.uid)
        job = await store.get_job("a")
        assert (job.state, job.counts[TrialState.CANCELLED]) == (JobState.CANCELLED, 5)
        events = await store.read_events(job.uid, 0, 1 << 20)
        ended = [e.body.trials.tolist() for e in events if hasattr(e.body, "trials")]
        assert sorted(t for trials in ended for t in trials) == [0, 1, 2, 3, 4]
        assert max(map(len, ended)) <= 2

    async def test_a_read_sees_one_state(self, store: Store) -> None:
        await create(store, "a")
        seen = threading.Event()
        written = threading.Event()

        def count_twice(connection: Connection) -> tuple[int, int]:
            query = select(func.count()).select_from(schema.jobs)
            first = connection.execute(query).scalar_one()
            seen.set()
            assert written.wait(10)
            return first, connection.execute(query).scalar_one()

        reading = asyncio.ensure_future(store._database.read(count_twice))
        await asyncio.to_thread(seen.wait, 10)
        await create(store, "b")
        written.set()
        assert await reading == (1, 1)

    async def test_datasets_of_active_jobs_are_in_use(self, store: Store) -> None:
        assert await store.datasets_in_use() == set()
        await create(store, "a")
        assert await store.datasets_in_use() == {"d1"}
        await store.cancel_job("a", None)
        assert await store.datasets_in_use() == set()

    async def test_listeners_hear_of_their_job_alone(self, store: Store) -> None:
        job, other = await create(store, "a"), await create(store, "b")
        with store.listen(job.uid) as changed, store.listen(other.uid) as others:
            await store.start_pack(job.uid, 0)
            assert changed.is_set()
            assert not others.is_set()

    async def test_goes_on_where_it_was_closed(self, open_database: Callable[[], Database]) -> None:
        before = Store(open_database())
        job = await create(before, "a")
        await before.start_pack(job.uid, 0)
        await record(before, job.uid, 0, ints(0, 1, 2), 0, 2)
        kept = await before.get_job("a")
        log = await before.read_events(job.uid, 0, ALL)
        before.close()
        after = Store(open_database())
        assert await after.get_job("a") == kept
        again = await after.read_events(job.uid, 0, ALL)
        assert [(e.sequence, e.time) for e in again] == [(e.sequence, e.time) for e in log]
        await record(after, job.uid, 0, ints(0, 1, 2), 2, 3)

    async def test_the_migrations_make_the_schema(self, database: Database) -> None:
        def differences(connection: Connection) -> list[object]:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, schema.metadata))

        assert await database.read(differences) == []
