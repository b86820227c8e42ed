"""What every engine does alike: the same numbers as the trainer called as a library, bit for bit."""

from __future__ import annotations

import asyncio
from dataclasses import astuple, replace

import numpy as np
import pytest
import pytest_asyncio
from safetensors.numpy import load

from packtrain.training import Speed, train_segment
from packtrain.workers import (
    CheckpointError,
    LocalEngine,
    SegmentFailedError,
    Snapshot,
    Source,
    StateLostError,
    SupervisedEngine,
    read_model,
)
from packtrain.workers.arithmetic import describe_arithmetic
from packtrain.workers.segment_runner import load_data

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local():
    engine = LocalEngine(2)
    await engine.start()
    yield engine
    await engine.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def supervised(tmp_path_factory):
    engine = SupervisedEngine(2, log_dir=tmp_path_factory.mktemp("logs"))
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture(params=["local", pytest.param("supervised", marks=pytest.mark.ray)])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def expected(pack, source):
    """Metrics (K, 6, metrics) and end state of the whole run, without an engine."""
    state, metrics = train_segment(pack, load_data(source), None, 6)
    return state, metrics.values


async def test_workers(engine):
    assert engine.workers == 2


async def test_the_speed_of_its_workers(engine):
    measured = isinstance(engine, SupervisedEngine)
    assert (engine.speed != Speed()) == measured
    # Within what machines differ by, or a worker has measured something else.
    found, usual = (np.array(astuple(speed)) for speed in (engine.speed, Speed()))
    assert (found > usual / 50).all()
    assert (found < usual * 50).all()


async def test_segments_continue_each_other(engine, segment, expected):
    results = [await engine.run_segment(segment("a", at, 2)) for at in (0, 2, 4)]
    assert [r.metrics.first_epoch for r in results] == [1, 3, 5]
    values = np.concatenate([r.metrics.values for r in results], axis=1)
    np.testing.assert_array_equal(values, expected[1])
    assert all(r.seconds > 0 for r in results)
    assert {r.arithmetic for r in results} == {describe_arithmetic()}


async def test_rows_of_the_held_state_go_on(engine, segment, pack, expected):
    await engine.run_segment(segment("rows", 0, 2))
    rows = np.array([5, 0, 3])
    chosen = segment("rows", 2, 2, sources=(Source("rows", rows),), pack=pack.select(rows))
    result = await engine.run_segment(chosen)
    np.testing.assert_array_equal(result.metrics.values, expected[1][rows, 2:4])
    last = pack.select(np.array([0]))
    again = segment("rows", 4, 2, sources=(Source("rows", np.array([1])),), pack=last)
    result = await engine.run_segment(again)
    np.testing.assert_array_equal(result.metrics.values, expected[1][[0], 4:])


async def test_survivors_of_several_packs_go_on_as_one(engine, segment, pack, expected):
    parts = {"left": np.array([0, 1, 2]), "right": np.array([3, 4, 5])}
    for key, rows in parts.items():
        await engine.run_segment(segment(key, 0, 2, pack=pack.select(rows)))
    # Some with momentum, some without, in an order of their own.
    sources = (Source("right", np.array([2, 0])), Source("left", np.array([1])))
    rows = np.array([5, 3, 1])
    joined = segment("joined", 2, 4, sources=sources, pack=pack.select(rows))
    result = await engine.run_segment(joined)
    np.testing.assert_array_equal(result.metrics.values, expected[1][rows, 2:])


async def test_a_lost_source_is_told(engine, segment, pack):
    await engine.run_segment(segment("kept", 0, 2))
    sources = (Source("kept", np.array([0])), Source("gone", np.array([0])))
    joined = segment("both", 2, 2, sources=sources, pack=pack.select(np.array([0, 1])))
    with pytest.raises(StateLostError, match="gone"):
        await engine.run_segment(joined)


async def test_epochs_recorded_before_are_not_told_again(engine, segment, expected):
    result = await engine.run_segment(segment("recorded", 0, 4, record_after=3))
    assert result.metrics.first_epoch == 4
    np.testing.assert_array_equal(result.metrics.values, expected[1][:, 3:4])


async def test_many_segments_at_once(engine, segment, expected):
    results = await asyncio.gather(
        *(engine.run_segment(segment(f"many-{i}", 0, 6)) for i in range(7))
    )
    for result in results:
        np.testing.assert_array_equal(result.metrics.values, expected[1])


async def test_model_is_written_before_the_result(engine, segment, tmp_path, expected):
    path = tmp_path / "deep" / "model.safetensors"
    indices = np.arange(40, 46, dtype=np.int32)
    await engine.run_segment(segment("model", 0, 6, model_path=path, trial_indices=indices))
    network = load(read_model(path, 43))
    np.testing.assert_array_equal(network["layers.2.weights"], expected[0].weights[1][3])


@pytest.mark.parametrize("start_epoch", [2, 4])
async def test_a_segment_needs_the_state_of_its_epoch(engine, segment, start_epoch):
    await engine.run_segment(segment("short", 0, 3))
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("short", start_epoch, 1))


async def test_a_dropped_state_is_gone(engine, segment):
    await engine.run_segment(segment("dropped", 0, 2))
    await engine.drop_state("dropped")
    await engine.drop_state("never there")
    with pytest.raises(StateLostError):
        await engine.run_segment(segment("dropped", 2, 2))


async def test_a_cancelled_segment_leaves_the_state_as_it_was(engine, segment, expected):
    await engine.run_segment(segment("cancelled", 0, 2))
    # So many epochs that it can't be over before the cancelling has reached who runs it.
    task = asyncio.create_task(engine.run_segment(segment("cancelled", 2, 1000)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = await engine.run_segment(segment("cancelled", 2, 4))
    np.testing.assert_array_equal(result.metrics.values, expected[1][:, 2:])


async def test_an_error_in_training_is_told_in_a_sentence(engine, segment, pack):
    misfit = replace(pack.signature, sizes=(11, 8, 3))
    with pytest.raises(SegmentFailedError, match="11") as caught:
        await engine.run_segment(segment("misfit", 0, 2, pack=type(pack)(misfit, pack.trials)))
    assert caught.value.reason == "TRAINING_ERROR"


async def test_missing_rows_are_told_in_a_sentence(engine, segment, source, tmp_path):
    lost = replace(source, splits=(("train", tmp_path / "x.npy", tmp_path / "y.npy"),))
    with pytest.raises(SegmentFailedError, match=r"x\.npy") as caught:
        await engine.run_segment(segment("no-rows", 0, 2, data=lost))
    assert caught.value.reason == "DATA_ERROR"


async def test_a_failed_segment_leaves_the_state_as_it_was(engine, segment, tmp_path, expected):
    (tmp_path / "file").touch()
    await engine.run_segment(segment("unwritten", 0, 2))
    path = tmp_path / "file" / "model.safetensors"
    indices = np.arange(6, dtype=np.int32)
    with pytest.raises(SegmentFailedError, match="file") as caught:
        await engine.run_segment(segment("unwritten", 2, 2, model_path=path, trial_indices=indices))
    assert caught.value.reason == "MODEL_NOT_WRITTEN"
    result = await engine.run_segment(segment("unwritten", 2, 4))
    np.testing.assert_array_equal(result.metrics.values, expected[1][:, 2:])


async def test_a_saved_state_goes_on_under_another_key(engine, segment, tmp_path, expected):
    await engine.run_segment(segment("saved", 0, 2))
    trials = np.arange(40, 46, dtype=np.int32)
    # Asked for before the next segment runs, it is the state from before that.
    saving = asyncio.create_task(
        engine.save_state(Snapshot("saved", 2, trials, "one"), str(tmp_path / "job" / "0-2"))
    )
    await asyncio.sleep(0)
    await engine.run_segment(segment("saved", 2, 2))
    file = (await saving).file
    loaded = await engine.load_state("loaded", file, "one")
    assert (loaded.epoch, loaded.trials.tolist()) == (2, trials.tolist())
    result = await engine.run_segment(segment("further", 2, 4, sources=(Source("loaded"),)))
    np.testing.assert_array_equal(result.metrics.values, expected[1][:, 2:])
    with pytest.raises(CheckpointError, match="not two"):
        await engine.load_state("other", file, "two")
    (tmp_path / "job" / "0-2").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        await engine.load_state("other", file, "one")


async def test_a_state_that_is_not_held_can_not_be_saved(engine, tmp_path):
    snapshot = Snapshot("nowhere", 2, np.arange(6, dtype=np.int32), "one")
    with pytest.raises(StateLostError, match="nowhere"):
        await engine.save_state(snapshot, str(tmp_path / "0-2"))
