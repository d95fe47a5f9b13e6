"""The arrays of a checkpoint, held against the plan of the agent: compiled code believes their shapes and indices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.moments import STATE
from rlx2_ray.networks.policy_reader import LARGEST_MEAN, NORMALIZATION, Normalization, read_normalization
from rlx2_ray.networks.policy_weights import AVERAGE, PolicyWeights
from rlx2_ray.networks.sparse_layer import AGE, BIAS, GROWTH, RAW, WEIGHTS, Arrays, from_arrays, to_arrays
from rlx2_ray.runs.checkpoint_values import BEST, OWED
from rlx2_ray.sparse.circulant import has_broken_groups
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.sparse.plan import CRITICS, NetworkPlan, plan_agent
from rlx2_ray.strict import LARGEST
from rlx2_ray.topology_rules import facts_of
from rlx2_ray.types import BadInput

TARGETS = {"td3": ("target_policy", "target_critic"), "sac": ("target_critic",)}
FIRST, SECOND = "first_moment", "second_moment"  # of Adam
ACTION_LIMIT = 1.0
LARGEST_SQUARES = LARGEST_MEAN**2 * LARGEST  # of as many observations as can be counted
KEPT = (BEST, OWED)  # policies as they were, each with its own normalization

Sizes = tuple[int, int]  # of an observation and an action


class LayerForm(NamedTuple):
    shape: Shape
    least: int  # active weights
    most: int


class ArrayForm(NamedTuple):
    dtype: type[np.generic]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Models = dict[str, list[LayerForm]]
Forms = dict[str, ArrayForm]
Count = Callable[[str, int], int]  # (name of an array, the most entries that it may have) -> how many it has


def sizes_of(arrays: Mapping[str, NDArray[Any]], config: ExperimentConfig) -> Sizes:
    """Those that the policy was made for. Raises ValueError where that cannot be told."""
    last = len(config.network.hidden)
    (_, observation), (outputs, _) = (_shape_of(arrays, f"policy.{layer}") for layer in (0, last))
    action, rest = divmod(outputs, ALGORITHMS[config.algo].outputs_per_action)
    if rest:
        raise ValueError(f"policy.{last}.shape does not fit {config.algo}")
    return observation, action


def model_forms(config: ExperimentConfig, sizes: Sizes) -> Models:
    """The layers of all models of a run. Raises ValueError where there is no such agent."""
    try:
        plan = plan_agent(config, *sizes)
    except BadInput as error:
        raise ValueError(str(error)) from None
    models = {name: _layer_forms(config, network) for name, network in plan._asdict().items()}
    targets = {target: models[target.removeprefix("target_")] for target in TARGETS[config.algo]}
    averages = {AVERAGE: models["policy"]} if config.policy.average else {}
    return models | {name: targets_of(config, layers) for name, layers in targets.items()} | averages


def targets_of(config: ExperimentConfig, layers: Iterable[LayerForm]) -> list[LayerForm]:
    """The layers of a target, by those that it is a copy of."""
    if config.topology.target_mask == "online":
        return list(layers)
    return [LayerForm(shape, math.prod(shape), math.prod(shape)) for shape, _, _ in layers]


def _layer_forms(config: ExperimentConfig, plan: NetworkPlan) -> list[LayerForm]:
    prunes = facts_of(config.topology.rule).prunes  # from every weight to the planned ones
    return [
        LayerForm(layer.shape, layer.active, math.prod(layer.shape) if prunes else layer.active)
        for layer in plan.layers
    ]


def found_critics(arrays: Mapping[str, NDArray[Any]], name: str, sizes: Sizes) -> list[LayerForm]:
    """The layers of critics that nothing is planned of, as they are. Raises ValueError where they do not chain."""
    shapes: list[Shape] = []
    while f"{name}.{len(shapes)}.shape" in arrays:
        shapes.append(_shape_of(arrays, f"{name}.{len(shapes)}"))
    depth = len(shapes) // CRITICS
    if not shapes or shapes[:depth] * CRITICS != shapes or (shapes[0][1], shapes[-1][0]) != (sum(sizes), 1):
        raise ValueError(f"{name} is no pair of critics of {sum(sizes)} inputs")
    if any(before[0] != after[1] for before, after in pairwise(shapes[:depth])):
        raise ValueError(f"{name} has layers that do not fit each other")
    return [LayerForm(shape, 1, math.prod(shape)) for shape in shapes]


def state_forms(config: ExperimentConfig, sizes: Sizes, models: Models, count: Count, env_steps: int) -> Forms:
    """The arrays of a checkpoint of a run; `count` says of what is not planned exactly how much of it there is."""
    forms: Forms = {}
    for name, layers in models.items():
        is_optimized = name in ("policy", "critic")
        for number, layer in enumerate(layers):
            key = f"{name}.{number}"
            active = max(layer.least, count(f"{key}.indices", layer.most))
            forms |= _forms_of_layer(key, layer.shape, active, is_optimized)
            if is_optimized:
                forms |= _forms_of_switches(config, name, key, layer.shape, active)
    observation, action = sizes
    if config.agent.normalize_observations:
        forms |= _forms_of_normalization(observation, [name for name in KEPT if name in models])
    if config.runtime.kind == "inline":
        for lane in range(config.runtime.envs_per_rollout):
            taken = count(f"lane.{lane}.actions", env_steps)
            forms[f"lane.{lane}.actions"] = ArrayForm(np.float32, (taken, action))
            forms[f"lane.{lane}.observation"] = ArrayForm(np.float32, (observation,))
        if count("refused", 2):
            forms["refused"] = ArrayForm(np.float32, (2, action))
    return forms


def _forms_of_switches(
    config: ExperimentConfig, name: str, key: str, shape: Shape, active: int
) -> Iterator[tuple[str, ArrayForm]]:
    """What an optimizer keeps of a layer of model `name` beside its moments."""
    if config.agent.grown_steps == "own":
        yield f"{key}.{WEIGHTS}.{AGE}", ArrayForm(np.int64, (active,))
    if config.network.rescaled in (name, "both"):
        yield f"{key}.{WEIGHTS}.{RAW}", ArrayForm(np.float32, (active,))
    if config.topology.growth_batches > 1:
        yield f"{key}.{GROWTH}", ArrayForm(np.float32, shape)
    if facts_of(config.topology.rule).in_groups:
        yield f"{key}.reserve", ArrayForm(np.float32, shape)


def _forms_of_normalization(size: int, kept: Iterable[str]) -> Iterator[tuple[str, ArrayForm]]:
    yield from ((f"{STATE}.{name}", ArrayForm(np.float64, (size,))) for name in ("mean", "squares"))
    yield from ((part, ArrayForm(np.float32, (size,))) for name in kept for part in _normalization_of(name))


def _forms_of_layer(key: str, shape: Shape, active: int, is_optimized: bool) -> Iterator[tuple[str, ArrayForm]]:
    yield f"{key}.shape", ArrayForm(np.int32, (2,))
    yield f"{key}.indices", ArrayForm(np.int32, (active,))
    for part, size in ((WEIGHTS, active), (BIAS, shape[0])):
        yield f"{key}.{part}", ArrayForm(np.float32, (size,))
        for moment in (FIRST, SECOND) if is_optimized else ():
            yield f"{key}.{part}.{moment}", ArrayForm(np.float32, (size,))


def check_forms(arrays: Arrays, forms: Forms) -> None:
    """Raises ValueError where the arrays are not exactly those."""
    for name in sorted(arrays.keys() ^ forms.keys()):
        raise ValueError(f"{name[:80]} {'should not be there' if name in arrays else 'is missing'}")
    for name, form in forms.items():
        array = arrays[name]
        if (array.dtype, array.shape) != (np.dtype(form.dtype), form.shape):
            planned = f"{np.dtype(form.dtype)} {form.shape}"
            raise ValueError(f"{name} is {array.dtype} {array.shape} and not {planned}")


def check_contents(arrays: Mapping[str, NDArray[Any]], models: Models) -> None:
    """Raises ValueError where numbers are not what their names say; `check_forms` has been done."""
    for name, layers in models.items():
        for number, layer in enumerate(layers):
            key = f"{name}.{number}"
            indices = arrays[f"{key}.indices"]
            if tuple(arrays[f"{key}.shape"].tolist()) != layer.shape:
                raise ValueError(f"{key}.shape is {arrays[f'{key}.shape'].tolist()} and not {list(layer.shape)}")
            if not (indices[1:] > indices[:-1]).all() or indices[0] < 0 or indices[-1] >= math.prod(layer.shape):
                raise ValueError(f"{key}.indices are not places in ascending order")
    _check_normalization(arrays)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
        if name.endswith((SECOND, AGE)) and (array < 0).any():
            raise ValueError(f"{name} is negative")
        if name.endswith(AGE) and (array > LARGEST).any():
            raise ValueError(f"{name} is beyond what can be counted")
        if (name.endswith(".actions") or name == "refused") and (np.abs(array) > ACTION_LIMIT).any():
            raise ValueError(f"{name} has actions that nobody takes")


def check_groups(config: ExperimentConfig, arrays: Mapping[str, NDArray[Any]], models: Models) -> None:
    """Raises ValueError where weights that share a value do not; `check_contents` has been done."""
    if (block := config.sparsity.block) == 1:
        return
    for name, layers in models.items():
        if name == "target_critic" and config.target.expert is not None:
            continue
        kinds = (WEIGHTS, f"{WEIGHTS}.{FIRST}", f"{WEIGHTS}.{SECOND}")
        for number, layer in enumerate(layers):
            key = f"{name}.{number}"
            values = [arrays[f"{key}.{kind}"] for kind in kinds if f"{key}.{kind}" in arrays]
            if has_broken_groups(arrays[f"{key}.indices"], values, layer.shape, block):
                raise ValueError(f"{key} has weights that do not share their value, with a sparsity.block of {block}")


def _check_normalization(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Of what is there: within what observations can come to."""
    if f"{STATE}.mean" in arrays:
        mean, squares = arrays[f"{STATE}.mean"], arrays[f"{STATE}.squares"]
        if not ((np.abs(mean) <= LARGEST_MEAN).all() and ((squares >= 0) & (squares <= LARGEST_SQUARES)).all()):
            raise ValueError(f"{STATE} is beyond what observations come to")
    for parts in map(_normalization_of, KEPT):
        if parts[0] in arrays:
            read_normalization(tuple(arrays[part] for part in parts), len(arrays[parts[0]]))


def _normalization_of(name: str) -> list[str]:
    return [f"{name}.{part}" for part in NORMALIZATION]


def kept_arrays(name: str, policy: PolicyWeights) -> Arrays:
    """A policy as it was, for a checkpoint; `name` is one of `KEPT`."""
    return to_arrays(policy.layers, name) | dict(zip(_normalization_of(name), policy.normalization or (), strict=False))


def kept_policy(name: str, arrays: Arrays) -> PolicyWeights:
    """Returns it: the inverse of `kept_arrays`."""
    found = [arrays[part] for part in _normalization_of(name) if part in arrays]
    return PolicyWeights(from_arrays(arrays, name), Normalization(*found) if found else None)  # type: ignore[arg-type]


def _shape_of(arrays: Mapping[str, NDArray[Any]], key: str) -> Shape:
    shape = arrays.get(f"{key}.shape")
    if shape is None or shape.dtype != np.int32 or shape.shape != (2,) or (shape < 1).any():
        raise ValueError(f"{key}.shape is missing, or no shape")
    outputs, inputs = shape.tolist()
    return outputs, inputs
