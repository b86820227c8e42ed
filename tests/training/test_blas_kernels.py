"""A trial is the same alone and in any pack with the BLAS kernels of other processors too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from threadpoolctl import threadpool_info
from packtrain.training import (
    Activation, Pack, Rule, Signature, TargetKind, TrainingData, make_trials, train)

wanted = sys.argv[1]
found = {i.get("architecture") for i in threadpool_info() if i["internal_api"] == "openblas"}
if found != {wanted}:
    sys.exit(f"the kernels are {found}")
rng = np.random.default_rng(0)
for sizes, batch, count in (((784, 100, 10), 10, 5), ((784, 30, 10), 10, 16), ((300, 200, 10), 32, 5)):
    x = rng.random((96, sizes[0]), dtype=np.float32)
    y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 96)]
    data = TrainingData(x, y, x, y, TargetKind.CLASSES)
    signature = Signature(
        sizes=sizes, hidden_activation=Activation.SIGMOID, output_activation=Activation.SIGMOID,
        batch_size=batch, epochs=2, data_type="float32",
        metrics=("training_cost", "validation_accuracy"))
    beta1 = np.linspace(0, 0.9, count)
    for numbers in (
            {}, {"momentum": 0.9}, {"rule": Rule.ADAM},
            {"rule": Rule.ADAMW, "beta1": beta1, "l2": 1.0}, {"rule": Rule.ADAM, "clip_norm": 0.1}):
        pack = Pack(signature, make_trials(count, learning_rate=0.05, **numbers))
        state, metrics = train(pack, data)
        for row in (0, count - 1):
            alone, of_it = train(pack.select(np.array([row])), data)
            same = np.array_equal(of_it.values[0], metrics.values[row])
            same &= all(np.array_equal(a[0], b[row]) for a, b in zip(alone.weights, state.weights))
            assert same, (sizes, numbers, row)
print("the same")
"""


# Which products are cut is chosen by what NumPy uses (small_products.py).
@pytest.mark.parametrize("disabled", ["", "X86_V4,AVX512_ICL,AVX512_SPR"])
@pytest.mark.parametrize("kernel", ["Haswell", "SkylakeX"])
def test_a_trial_alone_and_in_a_pack(kernel, disabled):
    environment = {
        **os.environ,
        "OPENBLAS_CORETYPE": kernel,
        "OPENBLAS_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": disabled,
    }
    command = [sys.executable, "-c", PROGRAM, kernel]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    if "the kernels are" in done.stderr:
        pytest.skip(f"{done.stderr.strip()}, not {kernel}: another BLAS, or another processor")
    assert done.stdout == "the same\n", done.stderr
