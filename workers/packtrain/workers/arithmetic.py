"""What a process computes with: the same pack on the same arithmetic gives the same bits."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.linalg  # loads its BLAS, which is not NumPy's
import scipy.version
from threadpoolctl import threadpool_info

_NAMES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS"}


@cache
def describe_arithmetic() -> str:
    """The libraries that this process computes with, their versions and their kernels for this
    processor: "NumPy 2.4.6 AVX512_ICL, SciPy 1.17.1, OpenBLAS 0.3.30 SkylakeX".

    Both OpenBLAS and NumPy choose kernels by the processor, and these may differ in the last
    bits of what they compute. Processes that differ in this text may differ in their numbers.
    """
    return ", ".join(
        (
            f"NumPy {np.__version__} {_vector_instructions()}".rstrip(),
            f"SciPy {scipy.version.version}",
            # NumPy's and SciPy's; once where they share one.
            *sorted({_name_blas(found) for found in threadpool_info() if _is_blas(found)}),
        )
    )


def _vector_instructions() -> str:
    """The last, which is the newest, of those that NumPy has kernels for and the processor has."""
    extensions = np.show_config("dicts").get("SIMD Extensions", {})
    levels: list[str] = [*extensions.get("baseline", ()), *extensions.get("found", ())]
    return levels[-1] if levels else ""


def _is_blas(found: dict[str, str]) -> bool:
    return found["user_api"] == "blas"


def _name_blas(found: dict[str, str]) -> str:
    # Not every library tells its version, and of its kernel only OpenBLAS and BLIS do.
    name = _NAMES.get(found["internal_api"], found["internal_api"])
    told = (name, found.get("version"), found.get("architecture"))
    return " ".join(part for part in told if part)
