"""A Ray cluster of several nodes on this machine, listening to loopback alone, whose nodes can be killed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil

from rlx2_ray.distributed.cluster import prepare_environment
from tests.support.runs import ROOT, command_line

# A death of a node is noticed in about a second.
HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
# Of a driver on such a cluster; see `prepare_environment`.
DRIVER_VARIABLES = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class LocalCluster:
    """`nodes`: those that may be killed; the driver is on the head, which may not."""

    def __init__(self, head_cpus: int) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._head = self._cluster.add_node(num_cpus=head_cpus, include_dashboard=False, _system_config=HEALTH_CHECKS)
        self.nodes: list[Any] = []
        self.seen: set[psutil.Process] = set()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add_node(self, cpus: int) -> None:
        self.nodes.append(self._cluster.add_node(num_cpus=cpus))

    def processes(self, node: Any) -> set[psutil.Process]:
        """The node's own and its actors'."""
        try:
            own = psutil.Process(node.all_processes["raylet"][0].process.pid)
            return {own, *own.children(recursive=True)}
        except psutil.NoSuchProcess:
            return set()

    def actors(self, worker: str) -> list[psutil.Process]:
        """The living actors of a class on all nodes."""
        return [actor for node in (self._head, *self.nodes) for actor in self.actors_on(node, worker)]

    def actors_on(self, node: Any, worker: str) -> list[psutil.Process]:
        return [each for each in self.processes(node) if command_line(each).startswith(f"ray::{worker}")]

    def node_with(self, worker: str) -> Any | None:
        """One that may be killed and holds such an actor."""
        return next((node for node in self.nodes if self.actors_on(node, worker)), None)

    def kill_node(self, node: Any) -> None:
        """All at once, as if the power had gone."""
        self.nodes.remove(node)
        processes = self.processes(node)
        self.seen |= processes
        for process in processes:
            process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        for node in (self._head, *self.nodes):
            self.seen |= self.processes(node)
        self._cluster.shutdown()


@contextmanager
def local_cluster(head_cpus: int, nodes_cpus: Sequence[int]) -> Iterator[LocalCluster]:
    before = dict(os.environ)
    prepare_environment()
    os.environ.update(DRIVER_VARIABLES)
    os.environ["PYTHONPATH"] = str(ROOT)  # where the actors find the strange environments
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own deprecations
            from ray._private import ray_constants

            ray_constants.ENABLE_RAY_CLUSTER = False  # as in `own_ray`
            cluster = LocalCluster(head_cpus)
            try:
                for cpus in nodes_cpus:
                    cluster.add_node(cpus)
                yield cluster
            finally:
                cluster.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)
