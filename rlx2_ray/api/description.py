"""What would be trained, without training it, as `rlx2 describe` says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlx2_ray.api import configuration
from rlx2_ray.api.configuration import Given
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs import description
from rlx2_ray.runs.description import Description
from rlx2_ray.types import BadInput

if TYPE_CHECKING:
    from rlx2_ray.envs.applied import Part

__all__ = ["Description", "describe", "describe_config"]


def describe(
    config: Given = None, /, *, observation_size: int | None = None, action_size: int | None = None, **keys: Any
) -> Description:
    """Describe an agent: layer shapes, sparsities, active weights, size and FLOPs. Runs and writes nothing.

    Args:
        config: as `train` takes it, as are `keys`.
        observation_size: instead of the environment's, which is then not needed; with `action_size`.
        action_size: instead of the environment's.

    Raises:
        BadInput: a key or a value cannot be used, or the environment cannot be made.

    """
    return describe_config(configuration.read(config, keys), observation_size, action_size)


def describe_config(config: ExperimentConfig, observation_size: int | None, action_size: int | None) -> Description:
    """Describe the agent of a resolved configuration; the sizes as of `describe`."""
    return description.describe(config, *_task(config, observation_size, action_size))


def _task(
    config: ExperimentConfig, observation_size: int | None, action_size: int | None
) -> tuple[int, int, list[Part]]:
    """The sizes, and the parts of an observation that is flattened."""
    if observation_size is None and action_size is None:
        from rlx2_ray.envs import modules
        from rlx2_ray.envs.make import probe

        modules.allow_typed([config.env])
        spaces, parts = probe(config.env)
        return spaces.observation_size, spaces.action_size, parts
    if not observation_size or not action_size or min(observation_size, action_size) < 1:
        raise BadInput(
            f"observation_size and action_size (--observation-size, --action-size) are {observation_size} and "
            f"{action_size}: give both, each at least 1, or neither."
        )
    return observation_size, action_size, []
