"""Gymnasium environments this project can train on: a Box observation and a bounded Box action."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import Any

import gymnasium
import numpy as np

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.actions import largest_bounds
from rlx2_ray.types import BadInput, Spaces

Env = gymnasium.Env[Any, Any]

# By whether actions are whole numbers: what a float32 holds, and whose span 32 bits count.
LARGEST_BOUND = {False: float(np.finfo(np.float32).max), True: 2.0**31}


def make_env(config: EnvConfig, render_mode: str | None = None) -> Env:
    """Make the environment. Raises BadInput, naming the id and gymnasium's reason, where it cannot be made."""
    quieten_mujoco()
    if config.kwargs.get("render_mode") == "human":  # without a screen it may end the process
        raise BadInput(
            "env.kwargs.render_mode is 'human', which opens a window: leave it out; 'rlx2 evaluate DIR --video "
            "FILE.mp4' films."
        )
    # Not every environment's constructor takes a render mode, so it is given only where one is wanted.
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gymnasium's advice on newer versions of an environment
            env: Env = gymnasium.make(config.id, disable_env_checker=True, **(config.kwargs | rendering))
    except Exception as error:  # whatever an environment's own constructor raises
        reason = " ".join(str(error).split()).rstrip(".")
        raise BadInput(
            f"env.id is {config.id!r}, which gymnasium cannot make ({reason}): correct env.id or env.kwargs, "
            "or install the environment's package."
        ) from None
    return env


def inspect_spaces(env: Env, env_id: str) -> Spaces:
    """Read sizes and bounds. Raises BadInput where observations are no Box or actions no bounded Box."""
    observations, actions = getattr(env, "observation_space", None), getattr(env, "action_space", None)
    if not isinstance(observations, gymnasium.spaces.Box):
        raise BadInput(f"env.id is {env_id!r}, whose observations are {observations}: choose one with a Box.")
    if not isinstance(actions, gymnasium.spaces.Box):
        raise BadInput(
            f"env.id is {env_id!r}, whose actions are {actions}, not continuous: choose one with a bounded Box."
        )
    spaces = Spaces(
        int(np.prod(observations.shape)),
        int(np.prod(actions.shape)),
        tuple(float(bound) for bound in actions.low.ravel()),
        tuple(float(bound) for bound in actions.high.ravel()),
        np.dtype(actions.dtype).kind in "iub",
    )
    # The first knows integer bounds that were given as infinite, and the second such as only float64 holds.
    if not (actions.is_bounded() and np.all(largest_bounds(spaces) <= LARGEST_BOUND[spaces.action_is_integer])):
        raise BadInput(
            f"env.id is {env_id!r}, whose actions are unbounded ({actions}): wrap it so that they have finite bounds."
        )
    return spaces


def probe_spaces(config: EnvConfig) -> Spaces:
    """Read the spaces of an environment, which is made and closed at once."""
    env = make_env(config)
    try:
        return inspect_spaces(env, config.id)
    finally:
        close_env(env)


def close_env(env: Env) -> None:
    """Close it; one that cannot be closed has done its work all the same."""
    with contextlib.suppress(Exception):
        env.close()  # type: ignore[no-untyped-call]


def import_renderer() -> None:
    """Import MuJoCo, where it is installed, and with it the renderer of MUJOCO_GL; raises whatever that one raises."""
    with contextlib.suppress(ModuleNotFoundError):  # an environment of another kind draws without it
        import mujoco  # noqa: F401


def quieten_mujoco() -> None:
    """Send MuJoCo's warnings to Python's log; by default it drops a MUJOCO_LOG.TXT into the working directory."""
    try:
        import mujoco
    except ImportError:
        return
    mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)
