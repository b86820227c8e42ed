"""States as files: every bit comes back, and no other bit is ever taken for one."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packtrain.training import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Pack,
    PackState,
    Patience,
    Plateau,
    PolynomialDecay,
    Rule,
    Schedule,
    StepDecay,
    Target,
    Watch,
    make_trials,
    train_segment,
)
from packtrain.workers import CheckpointError, CheckpointFile, Snapshot
from packtrain.workers.artifacts import ArtifactStore
from packtrain.workers.checkpoint_file import PIECE_BYTES, read_state, write_state
from packtrain.workers.checkpoints import load_checkpoint, save_checkpoint
from packtrain.workers.segment_runner import load_data

TRIALS = np.array([9, 4, 7, 1, 0, 2], np.int32)
SHAPES = [
    ConstantRate(),
    StepDecay(2),
    ExponentialDecay(0.9),
    PolynomialDecay(),
    CosineDecay(),
    OneCycle(),
    Plateau("training_cost", patience=1),
]
STOPPING = [
    {},
    {"patience": Patience("validation_accuracy", 1)},
    {"target": Target("training_cost", 0.5)},
]


def snapshot_of(state: PackState, trials: Any = TRIALS) -> Snapshot:
    return Snapshot("key", state.epoch, trials, "12-8-3")


def written(state: PackState, trials: Any = TRIALS) -> tuple[bytes, CheckpointFile]:
    file = io.BytesIO()
    size, digest = write_state(file, state, snapshot_of(state, trials))
    return file.getvalue(), CheckpointFile("memory://it", size, digest)


def read(content: bytes, expected: CheckpointFile, signature: str = "12-8-3") -> Any:
    return read_state(io.BytesIO(content), len(content), expected, signature)


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        # Bit for bit: a NaN has bits too.
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, PackState | Watch):
        for field in fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    else:
        assert found == expected


@pytest.fixture(scope="session")
def data(source):
    return load_data(source)


def trained(pack: Pack, data: Any, epochs: int = 3, **signature: Any) -> tuple[Pack, PackState]:
    pack = replace(pack, signature=replace(pack.signature, **signature))
    return pack, train_segment(pack, data, None, epochs)[0]


@pytest.fixture(scope="session")
def state(pack, data) -> PackState:
    return trained(pack, data)[1]


@pytest.fixture(scope="session")
def content(state) -> tuple[bytes, CheckpointFile]:
    return written(state)


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("stopping", STOPPING)
@pytest.mark.parametrize("data_type", ["float32", "float64"])
def test_every_state_comes_back_bit_for_bit_and_trains_on_alike(
    pack, source, rule, stopping, data_type
):
    data = load_data(replace(source, data_type=data_type))
    count = len(SHAPES)
    trials = make_trials(
        count,
        seeds=np.arange(count),
        order_seeds=np.arange(count),
        learning_rate=[0.1] * (count - 1) + [1e30],
        momentum=np.where(np.arange(count) % 2, 0.5, 0.0),
        rule=[rule] * count,
        schedule=[Schedule(shape, warmup_epochs=i % 2) for i, shape in enumerate(SHAPES)],
    )
    pack, state = trained(Pack(pack.signature, trials), data, data_type=data_type, **stopping)
    content, file = written(state, np.arange(count, dtype=np.int32))
    found, indices = read(content, file)
    assert_same(found, state)
    assert indices.tolist() == list(range(count))
    for one, other in zip(
        train_segment(pack, data, found, 3), train_segment(pack, data, state, 3), strict=True
    ):
        if isinstance(one, PackState):
            assert_same(one, other)
        else:
            np.testing.assert_array_equal(one.values, other.values)


@given(draw=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_flipped_bit_is_found(content, draw):
    whole, file = content
    place = draw.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= 1 << draw.draw(st.integers(0, 7))
    with pytest.raises(CheckpointError, match="not those that were written"):
        read(bytes(changed), file)


@given(draw=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_cut_or_longer_file_is_found(content, draw):
    whole, file = content
    other = whole[: draw.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CheckpointError, match=f"not {len(whole)}"):
        read(other, file)
    with pytest.raises(CheckpointError, match=f"not {len(whole)}"):
        read(whole + b"more", file)
    # The file system says one size, and has another.
    with pytest.raises(CheckpointError, match="ends after"):
        read_state(io.BytesIO(other), len(whole), file, "12-8-3")


def test_a_good_file_that_is_another_one_is_found(state, content):
    other, _ = written(replace(state, rate_share=state.rate_share / 2))
    assert len(other) == len(content[0])
    with pytest.raises(CheckpointError, match="not those that were written"):
        read(other, content[1])


def test_a_file_of_another_signature_is_found(content):
    with pytest.raises(CheckpointError, match="12-8-3, not 12-9-3"):
        read(*content, signature="12-9-3")


def test_arrays_are_written_in_pieces_as_they_lie(pack, data):
    state = trained(pack, data, 1)[1]
    large = replace(state, weights=(np.zeros((6, 300, 400), np.float32), *state.weights[1:]))

    class Pieces(io.BytesIO):
        largest = 0

        def write(self, piece: Any) -> int:
            self.largest = max(self.largest, len(piece))
            # Less than it was given, as a file without a buffer may.
            return super().write(piece[: 1 + len(piece) // 2])

    file = Pieces()
    size, digest = write_state(file, large, snapshot_of(large))
    assert file.largest == PIECE_BYTES
    assert size == len(file.getvalue())
    found, _ = read(file.getvalue(), CheckpointFile("it", size, digest))
    assert_same(found, large)


@pytest.mark.parametrize("kind", ["folder", "file", "memory"])
def test_files_by_uri(tmp_path, state, kind):
    root = {
        "folder": str(tmp_path / "a::b%20"),
        "file": f"file://{tmp_path}",
        "memory": "memory://",
    }
    uri = f"{root[kind]}/job/0-3-ab"
    saved = save_checkpoint(state, snapshot_of(state), uri)
    assert saved.seconds > 0
    found, trials = load_checkpoint(saved.file, "12-8-3")
    assert_same(found, state)
    assert trials.tolist() == TRIALS.tolist()
    with pytest.raises(CheckpointError, match="is missing"):
        load_checkpoint(replace(saved.file, uri=f"{uri}-gone"), "12-8-3")


def test_a_file_that_can_not_be_written_is_told_in_a_sentence(tmp_path, state):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/0-3 can't be written: \w+: "):
        save_checkpoint(state, snapshot_of(state), str(tmp_path / "file" / "0-3"))


@pytest.mark.parametrize("uri", ["nothing://here", "ftp://127.0.0.1:9/checkpoints"])
def test_a_file_system_that_can_not_be_reached_is_told_in_a_sentence(uri):
    """The second one connects as it is made; nobody listens at the port of "discard"."""
    with pytest.raises(ValueError, match=r"^files at \w+:// can't be reached: "):
        ArtifactStore(uri)


def test_half_a_file_is_never_seen(tmp_path, state, monkeypatch):
    def fail(file: Any, *_: Any) -> Any:
        file.write(b"half")
        assert [p.suffix for p in tmp_path.iterdir()] == [".unfinished"]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("packtrain.workers.checkpoints.write_state", fail)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(state, snapshot_of(state), str(tmp_path / "0-3"))
    assert list(tmp_path.iterdir()) == []
