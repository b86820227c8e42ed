"""Networks as safetensors files."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from packtrain.training import initial_state
from packtrain.workers import read_model
from packtrain.workers.model_file import write_model
from packtrain.workers.segment_runner import load_data


@pytest.fixture
def state(pack, source):
    return initial_state(pack, load_data(source))


def test_one_trial_of_many(tmp_path, pack, state):
    path = tmp_path / "model.safetensors"
    write_model(path, pack, state, np.array([9, 4, 7, 1, 0, 2], np.int32))
    content = read_model(path, 7, {"more": "of it"})
    network = load(content)
    assert sorted(network) == [
        "layers.1.biases",
        "layers.1.weights",
        "layers.2.biases",
        "layers.2.weights",
    ]
    for layer in (0, 1):
        weights, biases = (network[f"layers.{layer + 1}.{n}"] for n in ("weights", "biases"))
        np.testing.assert_array_equal(weights, state.weights[layer][2])
        np.testing.assert_array_equal(biases, state.biases[layer][2])
    (tmp_path / "one").write_bytes(content)
    with safe_open(tmp_path / "one", framework="numpy") as file:
        assert file.metadata() == {
            "hidden_activation": "sigmoid",
            "output_activation": "sigmoid",
            "more": "of it",
        }


def test_one_neuron_keeps_its_shape(tmp_path, pack, state):
    one = replace(
        state,
        weights=tuple(w[:, :1, :1] for w in state.weights),
        biases=tuple(b[:, :1] for b in state.biases),
    )
    write_model(tmp_path / "m", pack, one, np.arange(6, dtype=np.int32))
    network = load(read_model(tmp_path / "m", 5))
    assert network["layers.1.weights"].shape == (1, 1)
    assert network["layers.1.biases"].shape == (1,)


def test_a_file_that_does_not_fit_is_an_error_of_the_system(tmp_path, pack, state):
    """By a limit of this process, since a disk can't be filled here. The file before stays."""
    path = tmp_path / "m"
    write_model(path, pack, state, np.arange(6, dtype=np.int32))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_model(path, pack, state, np.arange(6, dtype=np.int32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 5, 200])
def test_a_file_that_is_cut_off_is_told_of(tmp_path, pack, state, size):
    path = tmp_path / "m"
    write_model(path, pack, state, np.arange(6, dtype=np.int32))
    os.truncate(path, size)
    with pytest.raises(OSError, match="m is spoilt: "):
        read_model(path, 0)


def test_diverged_trials_are_left_out(tmp_path, pack, state):
    diverged = replace(state, diverged_at=np.array([0, 3, 0, 0, 0, 0], np.int32))
    write_model(tmp_path / "m", pack, diverged, np.arange(6, dtype=np.int32))
    with pytest.raises(KeyError, match="no trial 1"):
        read_model(tmp_path / "m", 1)
    network = load(read_model(tmp_path / "m", 2))
    np.testing.assert_array_equal(network["layers.1.weights"], state.weights[0][2])


def test_a_pack_that_diverged_altogether(tmp_path, pack, state):
    diverged = replace(state, diverged_at=np.ones(6, np.int32))
    write_model(tmp_path / "m", pack, diverged, np.arange(6, dtype=np.int32))
    with pytest.raises(KeyError):
        read_model(tmp_path / "m", 0)


def test_a_trial_of_another_pack(tmp_path, pack, state):
    write_model(tmp_path / "m", pack, state, np.arange(6, dtype=np.int32))
    with pytest.raises(KeyError, match="no trial 6"):
        read_model(tmp_path / "m", 6)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "m", 0)


def test_trial_indices_must_fit(tmp_path, pack, state):
    with pytest.raises(ValueError, match="5 trial indices for 6 trials"):
        write_model(tmp_path / "m", pack, state, np.arange(5, dtype=np.int32))
