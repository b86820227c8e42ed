"""What a process computes with, told in one line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import scipy

from packtrain.workers.arithmetic import describe_arithmetic

needs_x86 = pytest.mark.skipif(
    platform.machine() != "x86_64" or "OpenBLAS" not in describe_arithmetic(),
    reason="names kernels of OpenBLAS for x86-64",
)


def described_with(**environment: str) -> str:
    """As another process says it, on a processor that can do less."""
    program = "from packtrain.workers import arithmetic; print(arithmetic.describe_arithmetic())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_names_the_libraries_and_their_versions() -> None:
    told = describe_arithmetic()
    assert told.startswith(f"NumPy {np.__version__} ")
    assert f", SciPy {scipy.__version__}, " in told
    assert "\n" not in told


def test_every_process_of_a_machine_says_the_same() -> None:
    assert described_with() == describe_arithmetic()


@needs_x86
def test_names_the_kernels_of_blas() -> None:
    told = described_with(OPENBLAS_CORETYPE="Nehalem")
    assert all(part.endswith(" Nehalem") for part in told.split(", ") if "OpenBLAS" in part)
    assert told != describe_arithmetic()


@needs_x86
def test_names_the_vector_instructions_of_numpy() -> None:
    extensions = np.show_config("dicts")["SIMD Extensions"]
    told = described_with(NPY_DISABLE_CPU_FEATURES=",".join(extensions["found"]))
    assert told.startswith(f"NumPy {np.__version__} {extensions['baseline'][-1]}, ")
