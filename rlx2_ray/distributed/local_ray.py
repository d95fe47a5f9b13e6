"""A Ray of our own on this machine: no dashboard, nothing that listens beyond loopback, gone when the run ends."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

OBJECT_STORE_BYTES = 512 * 1024**2  # batches in flight are tens of megabytes at most

_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # only loopback listens; by default Ray would leave a token in the home directory
    # On Linux Ray replaces 127.0.0.1 by the machine's outer address, unless it thinks that there can be no cluster.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default 15: beside any other work on the machine the learner would starve
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; without it Ray warns
}


def prepare_environment() -> None:
    """To be called before anything imports Ray, which reads most of this then."""
    os.environ.update(_ENVIRONMENT)


@contextmanager
def local_ray(actors: int) -> Iterator[None]:
    """Ray with room for `actors` actors of one CPU each, whatever the machine has; shut down at the end."""
    prepare_environment()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        import ray
        from ray._private import ray_constants

        # Where Ray was imported before the environment was prepared, it would listen to the whole network.
        ray_constants.ENABLE_RAY_CLUSTER = False
        on_sigterm = signal.getsignal(signal.SIGTERM)
        ray.init(
            address="local",
            num_cpus=actors,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts a handler of its own, which would end the run unsaved
    try:
        # Standard output belongs to the command; Ray tells there at length of every process that dies.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        ray.shutdown()
