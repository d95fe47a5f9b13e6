"""What RLlib's settings mean here: each is a key of our configuration, or is refused where it is not as by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils import force_list

from rlx2_ray import config as configuration
from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.types import BadInput

# Attribute of the RLlib configuration -> our key. None stands for our default.
KEYS = {
    "env": "env.id",
    "env_config": "env.kwargs",
    "algo": "algo",
    "method": "method",
    "policy_sparsity": "sparsity.policy",
    "critic_sparsity": "sparsity.critic",
    "steps": "steps",
    "engine": "engine",
    "seed": "seed",
    "lr": "agent.learning_rate",
    "gamma": "agent.discount",
    "_train_batch_size_per_learner": "agent.batch_size",
    "num_envs_per_env_runner": "runtime.envs_per_rollout",
    "min_sample_timesteps_per_iteration": "evaluation.interval",
    "evaluation_duration": "evaluation.episodes",
}
CALLED = ("on_train_result", "on_checkpoint_loaded")  # callbacks
OTHERS = (
    "settings",
    "tracking_uri",
    "mlflow_experiment",
    "num_env_runners",
    "evaluation_interval",
    "evaluation_config",
    "num_cpus_for_main_process",
    "custom_resources_for_main_process",
    "placement_strategy",
    "log_level",
    "log_sys_usage",
    "callbacks_class",
    *(f"callbacks_{name}" for name in CALLED),
)
SAVED = "checkpoint.interval"  # env steps; every iteration ends with a checkpoint, so that it can be saved at any time
LONGEST_VALUE = 80  # characters of one that is told


def to_tree(state: Mapping[str, Any], defaults: Mapping[str, Any]) -> Tree:
    """Our keys for an RLlib configuration, given as its attributes. Raises BadInput for what has no meaning here."""
    _check_known(state, defaults)
    _check_environment(state["env"])
    _check_evaluation(state)
    _check_callbacks(state["callbacks_class"])
    tree = configuration.unflatten({key: state[name] for name, key in KEYS.items() if state[name] is not None})
    if state["num_env_runners"]:
        runtime = {"kind": "actors", "rollout_actors": state["num_env_runners"]}
        tree = configuration.merge(tree, {"runtime": runtime})
    tree = configuration.merge(tree, _read_settings(state["settings"]))
    return configuration.merge(tree, configuration.nest(SAVED, tree["evaluation"]["interval"]))


def from_experiment(config: ExperimentConfig) -> dict[str, Any]:
    """The attributes that `to_tree` makes this configuration of."""
    tree = config.model_dump()
    values = configuration.flatten(tree)
    state = {name: configuration.at(tree, key, None) for name, key in KEYS.items()}
    state["num_env_runners"] = config.runtime.rollout_actors if config.runtime.kind == "actors" else 0
    told = {*KEYS.values(), SAVED, "runtime.kind", "runtime.rollout_actors"}
    if config.evaluation.early_interval == config.evaluation.interval:
        told |= {"evaluation.early_interval"}  # it goes with the interval, which an iteration's env steps may change
    return state | {
        "settings": {key: value for key, value in values.items() if key not in told and not key.startswith("env.")}
    }


def _check_known(state: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, value in state.items():
        if name in KEYS or name in OTHERS or name.startswith("__"):  # Tune's own
            continue
        if name not in defaults:
            known = [*KEYS, *OTHERS]
            raise BadInput(configuration.unknown_key(name, [key for key in known if not key.startswith("_")]))
        if value != defaults[name]:
            raise BadInput(
                f"{name.lstrip('_')} is {_shorten(value)}, which RLx2 has no use for: leave it as it is by "
                "default, or give a key of RLx2's own configuration by training(settings={...})."
            )


def _check_environment(env: object) -> None:
    if not isinstance(env, str):
        raise BadInput(
            f"env is {_shorten(env)}: register it with gymnasium and give its id, such as "
            "environment('Hopper-v5') or environment('my_module:MyTask-v0')."
        )


def _check_evaluation(state: Mapping[str, Any]) -> None:
    if state["evaluation_interval"] not in (None, 1):
        raise BadInput(
            f"evaluation_interval is {_shorten(state['evaluation_interval'])}, but every iteration ends with an "
            "evaluation: leave it out, and give the env steps of an iteration by "
            "reporting(min_sample_timesteps_per_iteration=N)."
        )
    if state["evaluation_config"] not in (None, {}, {"explore": False}):
        raise BadInput(
            f"evaluation_config is {_shorten(state['evaluation_config'])}, but evaluations are without exploration "
            "and as the training otherwise: leave it out."
        )


def _check_callbacks(classes: object) -> None:
    for kind in force_list(classes):
        for name in dir(RLlibCallback):
            if name.startswith("on_") and name not in CALLED and getattr(kind, name) != getattr(RLlibCallback, name):
                raise BadInput(
                    f"callbacks_class is {kind.__name__}, whose {name} RLx2 would never call: it calls "
                    f"{' and '.join(CALLED)}."
                )


def _read_settings(settings: object) -> Tree:
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise BadInput(f"settings is {_shorten(settings)}: give keys and values, such as {{'target.n_step': 3}}.")
    tree = configuration.unflatten(settings)
    if SAVED in configuration.flatten(tree):
        raise BadInput(
            f"settings has {SAVED}, but every iteration ends with a checkpoint, of which save_to_path makes a copy: "
            "leave it out."
        )
    return tree


def _shorten(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
