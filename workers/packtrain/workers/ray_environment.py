"""Environment variables for Ray and BLAS, which read them when they are imported."""

from __future__ import annotations

import os
import secrets

_ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray sets only the first of these, and only in some workers.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

_LOCAL = {
    # Despite its name, what makes Ray bind all its ports to 127.0.0.1 (ray #18730); without it
    # even `_node_ip_address="127.0.0.1"` becomes the machine's own address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A local head never comes back; by default the driver would wait a minute for it.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_AUTH_MODE": "token",
}


def set_environment(*, is_local: bool) -> None:
    """Set what this process and its children, the workers, are to see. Ray must not be imported
    yet. ``is_local``: for a cluster of this process's own."""
    os.environ.update(_ALWAYS)
    if is_local:
        os.environ.update(_LOCAL)
        # A secret of this cluster's own: Ray would leave one in the home directory otherwise.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
