"""Do all nodes of a cluster have this package, and see the same storage? Asked before work is spread over them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.types import BadInput

ANSWER_S = 60.0  # a node starts a process to answer
PACKAGE = "rlx2_ray"
SHARED_FOLDER = (
    "give a folder on storage that all nodes share, with RLX2_STORAGE or --out, and for --tracking-uri a server."
)
SHARED_PLUGIN = (
    "put it on storage that all nodes share and name it there, or set RLX2_STORAGE to a folder of that storage, where "
    "it is then copied to."
)


class View(NamedTuple):
    """What a node has of what is needed."""

    version: str
    unseen: list[Path]


def check_nodes(folders: Sequence[Path], plugins: Sequence[str] = ()) -> None:
    """Raises BadInput where a node of the Ray that there is has another version, or does not see one of `folders`, or a
    plugin.

    A folder may still have to be made: then its nearest parent counts.
    """
    import ray

    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) == 1:
        return
    with ExitStack() as files:
        missed = {folder: f"{folder}: {SHARED_FOLDER}" for folder in folders}
        missed |= {Path(each).parent: f"the plugin {each}: {SHARED_PLUGIN}" for each in plugins}
        marks = {Path(files.enter_context(_mark_in(folder)).name): words for folder, words in missed.items()}
        for address, view in _ask(nodes, list(marks)).items():
            _check_version(address, view.version)
            for mark in view.unseen:
                raise BadInput(f"Node {address} does not see {marks[mark]}")


def _mark_in(folder: Path) -> tempfile._TemporaryFileWrapper[bytes]:
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    return tempfile.NamedTemporaryFile(dir=nearest, prefix=".seen-by-all-")


def _ask(nodes: dict[str, str], marks: list[Path]) -> dict[str, View]:
    """The views of those nodes that answer in time, by address; the others are Ray's to judge."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def on(node: str) -> object:
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        return ray.remote(look).options(num_cpus=0, scheduling_strategy=strategy, max_retries=0).remote(marks)

    calls = {on(node): address for node, address in nodes.items()}
    answered, _ = ray.wait(list(calls), num_returns=len(calls), timeout=ANSWER_S)
    views = {}
    for call in answered:
        try:
            views[calls[call]] = ray.get(call)
        except RayError:  # the package cannot be imported there
            views[calls[call]] = View("", [])
    return views


def look(marks: list[Path]) -> View:
    return View(_version(), [mark for mark in marks if not mark.exists()])


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:  # from a bare checkout
        return "unknown"


def _check_version(address: str, theirs: str) -> None:
    if theirs != _version():
        there = f"{PACKAGE} {theirs}" if theirs else f"no {PACKAGE} that can be imported"
        raise BadInput(
            f"Node {address} has {there}, and this one has {_version()}: 'ray up' installs the same one on all nodes."
        )
