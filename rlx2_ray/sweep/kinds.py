"""Which campaign a sweep.yaml describes."""

from __future__ import annotations

from collections.abc import Callable

from rlx2_ray.config import Tree
from rlx2_ray.sweep.campaign import Campaign
from rlx2_ray.sweep.compression.campaign import Compression
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.sweeping import Sweep


def _sweep(tree: Tree) -> Campaign:
    return Sweep(parse_queue(tree))


def _compress(tree: Tree) -> Campaign:
    return Compression(parse_compress(tree))


KINDS: dict[str, Callable[[Tree], Campaign]] = {"sweep": _sweep, "compress": _compress}
