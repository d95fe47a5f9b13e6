"""A Ray of our own on this machine: no dashboard, nothing that listens beyond loopback, gone when the run ends."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

OBJECT_STORE_BYTES = 512 * 1024**2  # batches in flight are tens of megabytes at most

_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # only loopback listens; by default Ray would leave a token in the home directory
    # On Linux Ray replaces 127.0.0.1 by the machine's outer address, unless it thinks that there can be no cluster.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; without it Ray warns
}


@contextmanager
def local_ray(actors: int) -> Iterator[None]:
    """Ray with room for `actors` actors of one CPU each, whatever the machine has; shut down at the end."""
    os.environ.update(_ENVIRONMENT)  # Ray reads them when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        import ray

        ray.init(
            address="local",
            num_cpus=actors,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    try:
        yield
    finally:
        ray.shutdown()
