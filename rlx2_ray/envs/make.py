"""Gymnasium environments this project can train on: observations that flatten to a Box, and a bounded Box action."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.actions import largest_bounds
from rlx2_ray.envs.applied import Part
from rlx2_ray.envs.wrappers import ActionRepeat, flattened, parts_of
from rlx2_ray.types import BadInput, Spaces, shown

Env = gymnasium.Env[Any, Any]

# By whether actions are whole numbers: what a float32 holds, and whose span 32 bits count.
LARGEST_BOUND = {False: float(np.finfo(np.float32).max), True: 2.0**31}

# Of gymnasium's environments on MuJoCo: what takes a step for ever, or all memory, or fails in C, is a slip or a trap.
LARGEST_OF_MUJOCO = {"frame_skip": 1_000, "width": 16_384, "height": 16_384, "max_geom": 1_000_000}


def make_env(config: EnvConfig, render_mode: str | None = None) -> Env:
    """Make the environment of a gymnasium id, `module:Id-v0`, or of what a module has to make one with, `module:make`.

    Raises BadInput, naming the id and the reason, where it cannot or may not be made.
    """
    quieten_mujoco()
    _check_kwargs(config)
    modules.check(config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gymnasium's advice on newer versions of an environment
            env = _made(config, {} if render_mode is None else {"render_mode": render_mode})
    except Exception as error:  # whatever an environment's own constructor raises
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise BadInput(
            f"env.id is {config.id!r}, which gymnasium cannot make ({reason}): correct env.id or env.kwargs, "
            "or install the environment's package."
        ) from None
    if not isinstance(env, gymnasium.Env):
        raise BadInput(f"env.id is {config.id!r}, which gave a {type(env).__name__} and no gymnasium.Env: correct it.")
    return flattened(env if config.action_repeat == 1 else ActionRepeat(env, config.action_repeat), config.id)


def _made(config: EnvConfig, rendering: dict[str, Any]) -> Any:
    """What gymnasium makes of the id, or, where that names a callable of a module, what this gives.

    Not every environment's constructor takes a render mode, so it is given only where one is wanted.
    """
    kwargs, limit = config.kwargs | rendering, config.time_limit
    own = _own_maker(config.id)
    if own is None:
        limited = {} if limit is None else {"max_episode_steps": limit}
        return gymnasium.make(config.id, disable_env_checker=True, **(kwargs | limited))
    env = own(**kwargs)
    return TimeLimit(env, limit) if limit is not None and isinstance(env, gymnasium.Env) else env


def _own_maker(env_id: str) -> Callable[..., Any] | None:
    """The callable of a module that is named, unless it has the name of an environment that is registered."""
    module, colon, name = env_id.partition(":")
    own = getattr(importlib.import_module(module), name, None) if colon else None
    is_registered = any(each == name or each.startswith(f"{name}-v") for each in gymnasium.registry)
    return own if callable(own) and not is_registered else None


def _check_kwargs(config: EnvConfig) -> None:
    """What would end the process, or never come to an end. Raises BadInput."""
    if config.kwargs.get("render_mode") == "human":  # without a screen it may end the process
        raise BadInput(
            "env.kwargs.render_mode is 'human', which opens a window: leave it out; 'rlx2 evaluate DIR --video "
            "FILE.mp4' films."
        )
    if config.time_limit is not None and "max_episode_steps" in config.kwargs:
        raise BadInput(
            f"env.time_limit is {config.time_limit} but env.kwargs.max_episode_steps is "
            f"{shown(config.kwargs['max_episode_steps'])}, the same thing: leave one of them out."
        )
    if not _is_of_mujoco(config.id):
        return
    for name, most in LARGEST_OF_MUJOCO.items():
        value = config.kwargs.get(name, 1)
        if not isinstance(value, int) or not 0 < value <= most:
            raise BadInput(f"env.kwargs.{name} is {str(value)[:60]}: give a whole number from 1 to {most}.")
    file = config.kwargs.get("xml_file")
    if isinstance(file, str) and os.path.exists(file) and not os.path.isfile(file):  # a pipe's reader may wait for ever
        raise BadInput(f"env.kwargs.xml_file is {file[:60]!r}, which is no regular file: give one.")


def _is_of_mujoco(env_id: str) -> bool:
    """Whether it is one of gymnasium's own on MuJoCo; an id without a version stands for the newest."""
    ids = (env_id, *(each for each in gymnasium.registry if each.startswith(f"{env_id}-v")))
    specs = (gymnasium.registry.get(each) for each in ids)
    return any(spec is not None and str(spec.entry_point).startswith("gymnasium.envs.mujoco") for spec in specs)


def inspect_spaces(env: Env, env_id: str) -> Spaces:
    """Read sizes and bounds. Raises BadInput where observations are and become no Box, or actions no bounded Box."""
    observations, actions = getattr(env, "observation_space", None), getattr(env, "action_space", None)
    if not isinstance(observations, gymnasium.spaces.Box):
        raise BadInput(
            f"env.id is {env_id!r}, whose observations are {shown(observations)}: choose one with a Box, or "
            "with a Dict or Tuple of such."
        )
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


def probe(config: EnvConfig) -> tuple[Spaces, list[Part]]:
    """Read the spaces of an environment, which is made and closed at once, and what its observations are made of."""
    env = make_env(config)
    try:
        return inspect_spaces(env, config.id), parts_of(env)
    finally:
        close_env(env)


def probe_spaces(config: EnvConfig) -> Spaces:
    """Read the spaces alone."""
    return probe(config)[0]


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
