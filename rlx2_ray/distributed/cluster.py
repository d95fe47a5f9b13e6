"""The Ray that a run works on: one of its own on this machine, gone when the run ends, or a cluster that is there."""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psutil

from rlx2_ray.config import RuntimeConfig
from rlx2_ray.distributed.head import check_head
from rlx2_ray.distributed.nodes import check_nodes
from rlx2_ray.distributed.private import private_folder, private_token
from rlx2_ray.types import BadInput, RunFailed

EXIT_S = 5.0  # for actors whose Ray has gone
ESSENTIAL = ("raylet", "gcs_server")
OBJECT_STORE_BYTES = 512 * 1024**2  # batches in flight are tens of megabytes at most

_ENVIRONMENT = {
    # On Linux Ray replaces 127.0.0.1 by the machine's outer address, unless it thinks that there can be no cluster.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default 15: beside any other work on the machine the learner would starve
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; without it Ray warns
}


class Unreachable(RunFailed):
    """Actors are gone for good, or do not answer; the text says why, and lacks what is to be done."""


def prepare_environment() -> None:
    """Set the environment of a Ray of our own.

    To be called before anything imports Ray, which reads most of it then.
    """
    os.environ.update(_ENVIRONMENT)


def actor_cpus(runtime: RuntimeConfig) -> int:
    """The CPUs of a run on actors: rollouts, shards, the learner and the evaluator hold one each."""
    return runtime.rollout_actors + runtime.replay_shards + 2


def ray_of(runtime: RuntimeConfig, folders: Sequence[Path], plugins: Sequence[str]) -> AbstractContextManager[None]:
    """Start or join the Ray that a run is configured for, whose nodes see all that; a trial is on one already."""
    import ray

    if ray.is_initialized():
        return nullcontext()
    return running_ray(runtime.address, folders, plugins) if runtime.address else own_ray(actor_cpus(runtime))


@contextmanager
def own_ray(cpus: int) -> Iterator[None]:
    """Start a Ray with room for `cpus` actors of one CPU each, whatever the machine has.

    Without a dashboard, without anything that listens beyond loopback, and closed to other users of the machine.
    """
    prepare_environment()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        from ray._private import ray_constants

        # Where Ray was imported before the environment was prepared, it would listen to the whole network.
        ray_constants.ENABLE_RAY_CLUSTER = False
    with private_folder() as folder, private_token():
        _start(cpus, folder)
        processes: list[psutil.Process] = []
        try:
            with _connected():
                try:
                    yield
                finally:
                    processes = psutil.Process().children(recursive=True)
        finally:
            _end_actors(processes)


def _start(cpus: int, folder: Path) -> None:
    options = {"num_cpus": cpus, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    try:
        _connect("local", _temp_dir=str(folder), **options)
    except Exception as error:  # Ray gives up after 30 s, with no class of its own
        why = str(error).split(". ")[0]
        raise RunFailed(f"Ray did not start ({why}): try again when the machine is less busy.") from None


@contextmanager
def running_ray(address: str, folders: Sequence[Path], plugins: Sequence[str] = ()) -> Iterator[None]:
    """Join the cluster at `address`, "auto" for this machine's.

    Raises BadInput where none answers, it refuses, or a node has another version or does not see one of `folders` or
    `plugins`.
    """
    check_head(address)
    try:
        _connect(address)
    except RuntimeError as error:
        versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
        if len(versions) != 2:
            raise
        (ray, python), (own_ray, own_python) = versions
        raise BadInput(
            f"runtime.address is {address}, a cluster of Ray {ray} on Python {python}, and this is Ray {own_ray} on "
            f"Python {own_python}: use the same versions as the cluster."
        ) from None
    with _connected():
        check_nodes(folders, plugins)
        yield


def check_own_ray() -> None:
    """Raises Unreachable where a process is gone that the Ray of this process needs and had started itself."""
    from ray._private import worker

    node = worker._global_node
    dead = [kind for kind, _ in node.dead_processes() if kind in ESSENTIAL] if node else []
    if dead:
        raise Unreachable(f"Ray's own process {dead[0]} died")


def cluster_cpus() -> int:
    """The CPUs of the Ray that this process is on, with all its nodes of now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def cluster_gpus() -> int:
    """Its GPUs, in the same way."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def _end_actors(processes: list[psutil.Process]) -> None:
    """Seldom, a worker process of Ray waits for itself when it should end."""
    _, alive = psutil.wait_procs(processes, timeout=EXIT_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::"):
                process.kill()


def _connect(address: str, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        import ray

        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        except SystemExit:  # by Ray's own handler of SIGTERM
            ray.shutdown()
            raise KeyboardInterrupt from None
        except BaseException:
            ray.shutdown()
            raise
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's would end the run unsaved


@contextmanager
def _connected() -> Iterator[None]:
    import ray

    # Standard output belongs to the command; Ray tells there at length of every process that dies.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            yield
        finally:
            ray.shutdown()
