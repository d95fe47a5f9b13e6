"""The methods of a compression: each can be searched, and all are compared with one dense arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlx2_ray.config import ExperimentConfig, Tree, dense_counterpart, merge, resolve, unflatten
from rlx2_ray.types import BadInput

SEARCHED = ("seed", "sparsity.policy", "sparsity.critic")


def config_of(config: Tree, method: Mapping[str, Any]) -> Tree:
    """Returns the keys of a run of one method; `method`: dotted key -> value."""
    return merge(config, unflatten(method))


def check_methods(config: Tree, methods: Sequence[Tree]) -> None:
    """Raises BadInput for a method that cannot be searched; without any it is that of the run."""
    if methods and "method" in config:
        raise BadInput(f"method is {config['method']!r}, and compress.methods is given too: leave one of them out.")
    found: list[ExperimentConfig] = []
    for number, method in enumerate(methods or ({},)):
        for key in SEARCHED:
            if key in method:
                raise BadInput(f"compress.methods[{number}] gives {key}, which a compression searches: leave it out.")
        resolved = resolve(config_of(config, method))
        _check_method(resolved)
        if found and dense_counterpart(resolved) != dense_counterpart(found[0]):
            raise BadInput(
                f"compress.methods[{number}] changes more than the method, so that its dense runs would be others than "
                "those of methods[0]: give such keys beside compress, for all methods."
            )
        if resolved in found:
            raise BadInput(
                f"compress.methods[{number}] is the same as methods[{found.index(resolved)}]: leave one out."
            )
        found.append(resolved)


def _check_method(resolved: ExperimentConfig) -> None:
    if resolved.topology.rule == "dense":
        raise BadInput(
            f"method is {resolved.method!r} with topology.rule dense, which leaves nothing to compress: choose a "
            "sparse one, such as rlx2; the dense arm is run by itself."
        )
    if resolved.sparsity.distribution in ("epsilon", "groups"):
        raise BadInput(
            f"method is {resolved.method!r}, whose sparsity is fixed by sparsity.distribution "
            f"{resolved.sparsity.distribution}: choose one whose sparsity can be searched, such as rlx2."
        )
    if resolved.topology.hold:
        raise BadInput(
            f"topology.hold is {resolved.topology.hold}, with which a run may come to fewer zeros than a compression "
            "asks for: give topology.hold=0 (--set topology.hold=0, or with the method in compress.methods)."
        )
