"""A policy from any file or run that `rlx2 evaluate` takes, as a function of the environment's observation."""

from __future__ import annotations

import logging
import weakref
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlx2_ray.api.paths import there
from rlx2_ray.envs.actions import are_far, make_scale
from rlx2_ray.experiment.playback import Playable
from rlx2_ray.export.formats import load_playable
from rlx2_ray.types import BadInput

logger = logging.getLogger(__name__)


class Policy:
    """A policy that acts: `policy(observation)` is the noise-free action, in the environment's units.

    It needs no environment. Used in a `with` statement, or closed, it ends what it runs beside it, which only a policy
    exported as C does; else that ends with the policy itself.
    """

    def __init__(self, played: Playable, resources: ExitStack) -> None:
        self._act = played.policy.action
        self._scale = make_scale(played.spaces)
        self._close = weakref.finalize(self, resources.close)
        self.env_id: str = played.env["id"]
        self.env_kwargs: dict[str, Any] = played.env.get("kwargs", {})
        self.observation_size: int = played.spaces.observation_size
        self.action_size: int = played.spaces.action_size
        self.digest: str = played.policy_digest  # SHA-256 of the policy as it was trained
        self.dtype = _dtype(played)

    def __call__(self, observation: ArrayLike) -> NDArray[Any]:
        """Returns the action (action_size,) for one observation, (N, action_size) for N of them.

        An observation has `observation_size` values; where its last axis has so many and there are others, it is N.
        Raises BadInput for other sizes, and for what is no finite number.
        """
        given = np.asarray(observation, np.float32)
        size = self.observation_size
        is_batch = given.ndim > 1 and given.shape[-1] == size
        if not is_batch and given.size != size:
            raise BadInput(
                f"The observation has the shape {given.shape}, and this policy is for {size} values: give those of "
                f"{self.env_id}."
            )
        if not np.isfinite(given).all():
            raise BadInput(f"The observation has a value that is no finite number, for {self.env_id}: leave it out.")
        actions = self._act(given.reshape(-1, size) if is_batch else given.reshape(size))
        if not is_batch:
            return np.array(self._scale(actions.tolist()), self.dtype)
        scaled = np.array([self._scale(each) for each in actions.tolist()], self.dtype)
        return scaled.reshape(*given.shape[:-1], self.action_size)

    def close(self) -> None:
        """End what it runs beside it; it acts no more where there was such."""
        self._close()

    def __enter__(self) -> Policy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Policy({self.env_id}: {self.observation_size} observations, {self.action_size} actions)"


def load_policy(path: str | PathLike[str], *, best: bool = False, allow_native: bool = False) -> Policy:
    """Load the policy of a run's directory, or of a `.safetensors`, an exported `.onnx` or `.c` file.

    Args:
        path: of a run that still trains it is the policy of its newest checkpoint.
        best: the policy of the run's evaluation with the highest mean return, not its last.
        allow_native: compile and run a `.c` that is not as this version writes it: it may do anything.

    Raises:
        BadInput: there is no policy, or the file is damaged. The text says what to do.

    """
    with ExitStack() as stack:
        played = stack.enter_context(load_playable(there(Path(path)), logger.warning, best, allow_native))
        return Policy(played, stack.pop_all())


def _dtype(played: Playable) -> np.dtype[Any]:
    """As environments take actions: float32, but where that is too coarse between the bounds."""
    if played.spaces.action_is_integer:
        return np.dtype(np.int64)
    return np.dtype(np.float64 if are_far(played.spaces).any() else np.float32)
