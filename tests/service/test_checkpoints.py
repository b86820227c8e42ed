"""Jobs go on from checkpoints through a real server, whatever is lost, with the same numbers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.service.changes import Gate, assert_equal_values, pb, random_search, update
from tests.service.specifications import RATE, read

from packtrain.service.checkpoint_sweep import sweep_checkpoints
from packtrain.service.checkpoints import find_choices, find_outdated, share_trials
from packtrain.service.records import CheckpointRecord, PackRecord
from packtrain.v1 import job_pb2, spec_pb2
from packtrain.workers import (
    ArtifactStore,
    CheckpointError,
    LoadedState,
    LocalEngine,
    StateLostError,
)

EPOCHS = 9
pytestmark = pytest.mark.usefixtures("short_segments", "always_due")


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is saved whenever the one before is, and two packs share each job."""
    monkeypatch.setattr("packtrain.service.checkpoint_clock.TRAINED_PER_WRITTEN", 0.0)
    monkeypatch.setattr("packtrain.service.planner._WORTH_A_WORKER_SECONDS", 1e-9)


def document(kind: str) -> dict[str, Any]:
    search: dict[str, Any] = {
        "random": {"trials": 8},
        "parameters": [{"path": RATE, "log_uniform": {"low": 0.001, "high": 3}}],
        "objectives": [{"metric": "validation_cost"}],
    }
    if kind == "halving":
        search["successive_halving"] = {"reduction_factor": 2, "least_epochs": 3}
    if kind == "population":
        search["population"] = {"every_epochs": 3, "exploit_share": 0.25}
    if kind == "learner":
        del search["random"]
        search["tpe"] = {"trials": 8, "batch_size": 4, "startup_trials": 4}
    return {
        "dataset": {
            "synthetic": {"kind": "SYNTHETIC_KIND_MOONS", "rows": 60},
            "validation_share": 0.25,
        },
        "network": {"hidden": [4]},
        "optimizer": {"sgd": {"momentum": 0.5}},
        "epochs": EPOCHS,
        "seed": 3,
        "search": search,
    }


def spec(kind: str = "random") -> spec_pb2.JobSpec:
    return read(document(kind))


KINDS = ["random", "halving", "population", "learner"]


class Loss:
    """Waits before the segment that begins at an epoch for what was saved, and then loses the
    engine's states, once; counts where segments begin from then on."""

    def __init__(self, at_epoch: int) -> None:
        self.at_epoch = at_epoch
        self.engine: LocalEngine | None = None
        self.begun: list[int] = []

    async def __call__(self, segment: Any) -> None:
        await settle()
        if self.engine is None:
            self.begun.append(segment.start_epoch)
        elif segment.start_epoch == self.at_epoch:
            self.engine.lose_state()
            self.engine = None


async def settle() -> None:
    """Let what is being saved be recorded."""
    await asyncio.sleep(0.05)


async def require_alike(api: Any, columns: Callable[..., Any], found: Any, expected: Any) -> None:
    assert (found.state, found.progress) == (expected.state, expected.progress)
    values = [columns(await api.metrics(job.name)) for job in (found, expected)]
    assert_equal_values(*values)
    trials = [await api.trials(job.name) for job in (found, expected)]
    for one, other in zip(*trials, strict=True):
        assert (one.state, one.epochs) == (other.state, other.epochs)
        np.testing.assert_equal(dict(one.final_metrics), dict(other.final_metrics))
        assert list(one.adaptations) == list(other.adaptations)
        if one.state == job_pb2.TRIAL_STATE_SUCCEEDED:
            models = [await download(api, trial.name) for trial in (one, other)]
            assert models[0] == models[1]


async def download(api: Any, name: str) -> bytes:
    request = pb.DownloadModelRequest(name=name)
    content = b"".join([r.chunk async for r in api.training.DownloadModel(request)])
    # Its metadata name the job.
    return content[-200:]


def files_of(data_dir: Path) -> list[Path]:
    return sorted(p for p in (data_dir / "artifacts").rglob("*") if p.is_file())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_epoch", [2, 4, 7])
async def test_a_lost_engine_costs_few_epochs(
    start_api: Any, by_trial_and_epoch: Any, kind: str, at_epoch: int
) -> None:
    loss = Loss(at_epoch)
    async with start_api(before_segment=loss, least_save_seconds=0) as api:
        undisturbed = await api.train(spec(kind))
        loss.begun.clear()
        loss.engine = api.engine
        with capture_logs() as logs:
            disturbed = await api.train(spec(kind))
        assert loss.engine is None
        names = [entry["event"] for entry in logs]
        assert {"checkpoint_restored", "population_restored"} & set(names)
        # Nothing begins again, but for the second batch of a search that learns.
        assert kind == "learner" or 0 not in loss.begun
        await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)
        assert api.engine.held_states == 0


async def test_an_artifact_store_that_hangs_costs_time_alone(
    start_api: Any, by_trial_and_epoch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("packtrain.service.checkpoints._LOAD_SECONDS", 0.05)
    loss = Loss(4)
    async with start_api(before_segment=loss, least_save_seconds=0) as api:
        undisturbed = await api.train(spec())
        loss.begun.clear()
        loss.engine = api.engine
        monkeypatch.setattr(api.engine, "load_state", hang)
        with capture_logs() as logs:
            disturbed = await api.train(spec())
        assert "checkpoint_unreadable" in [entry["event"] for entry in logs]
        assert 0 in loss.begun
        await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_epoch", [2, 3, 7])
async def test_a_new_server_goes_on_from_what_was_saved(
    start_api: Any, by_trial_and_epoch: Any, tmp_path: Path, kind: str, at_epoch: int
) -> None:
    gate = Gate(at_epoch)

    async def hold(segment: Any) -> None:
        await settle()
        await gate(segment)

    async with start_api(before_segment=hold, least_save_seconds=0) as api:
        job = await api.create(spec(kind))
        await gate.reached.wait()
        await settle()
        # As a crash would, without a last checkpoint.
        api.server._coordinator._jobs.clear()
    assert files_of(tmp_path / "data")
    again = Gate(-1)
    async with start_api(before_segment=again, least_save_seconds=0) as api:
        await api.watch(job.name)
        assert again.begun[0] > 0
        assert kind == "learner" or 0 not in again.begun
        undisturbed = await api.train(spec(kind))
        await require_alike(api, by_trial_and_epoch, await api.get(job.name), undisturbed)
        assert api.engine.held_states == 0
        await settle()
        assert files_of(tmp_path / "data") == []


@pytest.mark.parametrize("damage", ["last", "all", "gone", "cut"])
async def test_a_spoilt_checkpoint_gives_way_to_the_one_before(
    start_api: Any, by_trial_and_epoch: Any, tmp_path: Path, damage: str
) -> None:
    gate = Gate(6)

    async def hold(segment: Any) -> None:
        await settle()
        await gate(segment)

    async with start_api(before_segment=hold, least_save_seconds=0) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        await settle()
        api.server._coordinator._jobs.clear()
    files = files_of(tmp_path / "data")
    of_first = [f for f in files if f.name.startswith("0-")]
    epochs = sorted(int(f.name.split("-")[1]) for f in of_first)
    assert len(epochs) == 2
    for file in of_first:
        if damage == "last" and f"-{epochs[0]}-" in file.name:
            continue
        if damage == "gone":
            file.unlink()
        elif damage == "cut":
            file.write_bytes(file.read_bytes()[:-1])
        else:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    again = Gate(-1)
    with capture_logs() as logs:
        async with start_api(before_segment=again, least_save_seconds=0) as api:
            await api.watch(job.name)
            undisturbed = await api.train(spec())
            await require_alike(api, by_trial_and_epoch, await api.get(job.name), undisturbed)
    told = [entry["epoch"] for entry in logs if entry["event"] == "checkpoint_unreadable"]
    assert told == (epochs[1:] if damage == "last" else epochs[::-1])
    restored = {e["pack"][-5:]: e["epoch"] for e in logs if e["event"] == "checkpoint_restored"}
    assert epochs[0] in restored.values() if damage == "last" else 0 in again.begun


async def test_a_graceful_stop_saves_where_everyone_is(
    start_api: Any, by_trial_and_epoch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is due by itself.
    gate = Gate(5)
    async with start_api(before_segment=gate, least_save_seconds=1e9) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        stopping = asyncio.create_task(api.server._coordinator.stop(10))
        await asyncio.sleep(0)
        gate.opened.set()
        await stopping
    again = Gate(-1)
    async with start_api(before_segment=again, least_save_seconds=1e9) as api:
        await api.watch(job.name)
        assert min(again.begun) >= 4
        undisturbed = await api.train(spec())
        await require_alike(api, by_trial_and_epoch, await api.get(job.name), undisturbed)


async def test_a_stop_does_not_wait_for_ever(start_api: Any) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate) as api:
        await api.create(spec())
        await gate.reached.wait()
        with capture_logs() as logs:
            async with asyncio.timeout(5):
                await api.server._coordinator.stop(0.05)
        assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["jobs_not_saved"]


async def test_an_artifact_store_that_fails_fails_no_job(
    start_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(LocalEngine, "save_state", fail)
    with capture_logs() as logs:
        async with start_api(least_save_seconds=0) as api:
            job = await api.train(spec())
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    failed = [e for e in logs if e["event"] == "checkpoint_not_written"]
    # One for each pack: then it is left alone for a while.
    assert len(failed) == len({e["pack"] for e in failed})


async def test_a_state_that_was_lost_is_saved_again_soon(
    start_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, tries = LocalEngine.save_state, []

    async def lose_first(self: Any, snapshot: Any, uri: str) -> Any:
        tries.append(snapshot.pack_key)
        if tries.count(snapshot.pack_key) == 1:
            raise StateLostError("the engine was started anew")
        return await save(self, snapshot, uri)

    monkeypatch.setattr(LocalEngine, "save_state", lose_first)
    async with start_api(before_segment=lambda _: settle(), least_save_seconds=0) as api:
        job = await api.train(spec())
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert all(tries.count(key) > 1 for key in tries)


async def test_files_may_be_anywhere(start_api: Any, by_trial_and_epoch: Any) -> None:
    loss = Loss(4)
    fields = {"before_segment": loss, "least_save_seconds": 0, "artifacts": "memory://here"}
    async with start_api(**fields) as api:
        undisturbed = await api.train(spec())
        loss.begun.clear()
        loss.engine = api.engine
        disturbed = await api.train(spec())
        assert 0 not in loss.begun
        await require_alike(api, by_trial_and_epoch, disturbed, undisturbed)
        await settle()
    store = ArtifactStore("memory://here/checkpoints")
    assert [n for uid in store.list_folder() for n in store.list_folder(uid)] == []


async def test_a_job_that_is_cancelled_leaves_no_file(start_api: Any, tmp_path: Path) -> None:
    gate = Gate(5)
    async with start_api(before_segment=gate, least_save_seconds=0) as api:
        job = await api.create(spec())
        await gate.reached.wait()
        await settle()
        assert files_of(tmp_path / "data")
        await api.training.CancelJob(pb.CancelJobRequest(name=job.name))
        gate.opened.set()
        await api.watch(job.name)
        await settle()
        assert files_of(tmp_path / "data") == []


async def test_more_epochs_go_on_from_a_checkpoint(start_api: Any, by_trial_and_epoch: Any) -> None:
    gate = Gate(5)

    async def hold(segment: Any) -> None:
        await settle()
        await gate(segment)

    plain = random_search(read({**document("random"), "search": {}}), 4)
    async with start_api(before_segment=hold, least_save_seconds=0) as api:
        job = await api.create(plain)
        await gate.reached.wait()
        await update(api, job.name, epochs=12)
        gate.begun.clear()
        gate.opened.set()
        await api.watch(job.name)
        assert 0 not in gate.begun
        longer = spec_pb2.JobSpec()
        longer.CopyFrom(plain)
        longer.epochs = 12
        await require_alike(
            api, by_trial_and_epoch, await api.get(job.name), await api.train(longer)
        )


ENDED, GOING = "e" * 32, "a" * 32


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
        # Written just now, had the clock not stepped by an hour since.
        stepped = time.time() - 3_700
        os.utime(folder / name, (stepped, stepped))


def left_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_sweep_removes_orphans_alone(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    kept, orphan = f"{GOING}/0-2-{'b' * 12}", f"{GOING}/0-1-{'a' * 12}"
    unfinished = f"{GOING}/0-2-{'c' * 12}.{'d' * 8}.unfinished"
    put(tmp_path, f"{ENDED}/0-1-{'a' * 12}", orphan, kept, unfinished)
    sweep_checkpoints(store, [ENDED, GOING], {GOING: {kept}})
    assert left_in(tmp_path) == [orphan, kept, unfinished]
    assert not (tmp_path / ENDED).exists()
    sweep_checkpoints(store, [GOING], {GOING: {kept}}, least_age_seconds=0)
    assert left_in(tmp_path) == [kept]


def test_a_sweep_leaves_what_is_not_ours(tmp_path: Path) -> None:
    theirs = ["best-model/weights.bin", f"{ENDED}/notes.txt", "f" * 32, "README"]
    put(tmp_path, *theirs, f"{ENDED}/0-1-{'a' * 12}")
    store = ArtifactStore(str(tmp_path))
    sweep_checkpoints(store, store.list_folder(), {}, least_age_seconds=0)
    assert left_in(tmp_path) == sorted(theirs)


async def test_what_a_crash_left_of_a_job_that_ended_goes_with_the_next_start(
    start_api: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "artifacts" / "checkpoints"
    folder.mkdir(parents=True)
    put(folder, f"{ENDED}/0-1-{'a' * 12}")
    async with start_api():
        async with asyncio.timeout(10):
            while (folder / ENDED).exists():  # noqa: ASYNC110 - a sweep sets no event
                await asyncio.sleep(0.01)


def pack(index: int, *trials: int, until: int | None = None, closed: bool = False) -> PackRecord:
    return PackRecord(
        index=index,
        trials=np.array(trials, np.int32),
        metrics=(),
        epochs=0,
        until=until,
        started=True,
        is_closed=closed,
        arithmetics=(),
        generation=0,
    )


def saved(index: int, epoch: int) -> CheckpointRecord:
    return CheckpointRecord(index, epoch, f"{index}-{epoch}", 1, "")


def test_choices_have_all_trials_at_one_epoch() -> None:
    packs = {
        0: pack(0, 0, 1, 2, until=4, closed=True),
        1: pack(1, 3, 4, 5, until=4, closed=True),
        2: pack(2, 1, 4),
    }
    found = [saved(2, 9), saved(2, 7), saved(0, 4), saved(1, 4), saved(0, 3)]
    trials = np.array([1, 4], np.int32)
    assert list(find_choices(found, packs, trials, 8)) == [
        [saved(2, 7)],
        [saved(0, 4), saved(1, 4)],
    ]
    assert list(find_choices(found, packs, np.array([1], np.int32), 3)) == [[saved(0, 3)]]


def test_trials_are_found_in_what_was_loaded() -> None:
    left = LoadedState(4, np.array([2, 0, 1], np.int32))
    right = LoadedState(4, np.array([5, 3], np.int32))
    heirs = share_trials(np.array([5, 1, 2], np.int32), [("l", left), ("r", right)])
    assert heirs is not None
    assert [(h.trials.tolist(), h.epoch) for h in heirs] == [([1, 2], 4), ([5], 4)]
    assert [h.source.rows.tolist() for h in heirs] == [[2, 0], [0]]
    assert share_trials(np.array([4], np.int32), [("l", left), ("r", right)]) is None


def test_of_earlier_stages_the_last_is_kept() -> None:
    packs = [
        pack(0, 0, 1, 2, 3, until=2, closed=True),
        pack(1, 0, 1, until=4, closed=True),
        pack(2, 0, until=6),
        pack(3, 7, 8, until=2, closed=True),
    ]
    found = [saved(2, 6), saved(1, 4), saved(1, 3), saved(0, 2), saved(0, 1), saved(3, 2)]
    assert find_outdated(found, packs, {2}) == [saved(0, 2), saved(0, 1)]
