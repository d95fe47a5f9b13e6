"""A policy from disk, played: for `rlx2 evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray import plugins
from rlx2_ray.config import EnvConfig, ExperimentConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.evaluation import check_sizes, evaluate
from rlx2_ray.experiment.film import Film
from rlx2_ray.networks.moments import moments_of_state
from rlx2_ray.networks.policy import NoiseFreePolicy, make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.runs.checkpoint import load_newest
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.final_score import score_of_points
from rlx2_ray.runs.result import describe_identity, installed_versions
from rlx2_ray.types import BadInput, Spaces

STREAM = "evaluate command"

logger = logging.getLogger(__name__)


class Playable(NamedTuple):
    """A policy from whatever kind of file, ready to act."""

    policy: NoiseFreePolicy
    env: dict[str, Any]  # the fields of an EnvConfig
    spaces: Spaces
    policy_digest: str  # of the policy as it was trained


def playable(policy: PolicyFile) -> Playable:
    evaluated = make_evaluation_policy(policy.algo, make_network(policy.weights))
    return Playable(evaluated, policy.env, policy.spaces, policy_digest(*policy.weights))


def play(
    played: Playable,
    source: Path,
    episodes: int,
    seed: int,
    video: Path | None = None,
    max_episode_steps: int | None = None,
    warn: Callable[[str], None] = logger.warning,
    at: Callable[[int, int], None] = lambda episode, step: None,
) -> dict[str, Any]:
    """Play noise-free episodes of the policy in `source`, and return what they came to.

    `at` is told the episode and its step, as it goes. Raises BadInput where its environment does not fit.
    """
    env = EnvConfig(**played.env)
    with ExitStack() as stack:
        lane = EnvLane(env, seed, STREAM, render_mode="rgb_array" if video else None)
        stack.callback(lane.close)
        check_sizes(source, played.spaces, lane.spaces, env.id)
        film = stack.enter_context(Film(video, lane)) if video else None

        def on_step(env: Any) -> None:
            at(lane.episode, lane.episode_steps)
            if film:
                film.frame(env)

        evaluation = evaluate(played.policy, lane, episodes, 0, on_step, max_episode_steps)
    if evaluation.warning:
        warn(evaluation.warning)
    return {
        "env_id": env.id,
        "episodes": episodes,
        "seed": seed,
        "return_mean": evaluation.mean,
        "return_std": evaluation.std,
        "returns": list(evaluation.returns),
        "policy_digest": played.policy_digest,
        "video": str(video) if video else None,
    }


def find_policy(path: Path, warn: Callable[[str], None], best: bool = False) -> PolicyFile:
    """Find the policy in a file, of a finished run, or of the newest good checkpoint of an unfinished one.

    `best`: of a run that of its best evaluation so far instead. Raises BadInput where there is none, or it is damaged.
    """
    if best:
        return _best_policy(path)
    if path.is_file():
        return load_policy(path)
    directory = RunDirectory(path)
    if directory.policy_file.exists() and not directory.config_file.exists():
        return load_policy(directory.policy_file)  # of a compression, or a saved RLModule
    config = _open(directory)
    if directory.policy_file.exists():
        policy, result = load_policy(directory.policy_file), directory.read_result() or {}
        return policy._replace(about=_about(config, directory, result))
    spaces = probe_spaces(config.env)
    form = RunForm(config, spaces)
    loaded = load_newest(
        directory.checkpoints, form, lambda checkpoint: form.check_sizes(checkpoint.arrays, path), warn
    )
    if loaded is None:
        raise BadInput(f"{path} has no policy and no checkpoint yet: let it run on, or resume it.")
    checkpoint, _ = loaded
    progress = {
        "env_steps": checkpoint.values["env_steps"],
        "learner_steps": checkpoint.values["learner"]["learner_steps"],
    }
    layers = from_arrays(checkpoint.arrays, AVERAGE if config.policy.average else "policy")
    about = _about(config, directory, progress)
    observed = moments_of_state(checkpoint.arrays, checkpoint.values["learner"])
    normalization = observed.normalization() if observed else None
    return PolicyFile(layers, config.algo, config.env.fields(), spaces, about, normalization)


def _best_policy(path: Path) -> PolicyFile:
    if path.is_file():
        raise BadInput(f"--best is for a run's directory, and {path} is a file: leave it out.")
    directory = RunDirectory(path)
    config = _open(directory)
    if not directory.best_policy_file.exists():
        raise BadInput(
            f"{directory.best_policy_file} is not there: let the run reach an evaluation, or leave --best out."
        )
    policy = load_policy(directory.best_policy_file)
    return policy._replace(about=_about(config, directory, policy.about) | policy.about)


def _open(directory: RunDirectory) -> ExperimentConfig:
    """The configuration, the code of whose environment is there from now on, where it is a plugin."""
    config, _ = directory.open()
    plugins.load(plugins.needed(config.plugins, modules.modules_of(config.env)))
    return config


def _about(config: ExperimentConfig, directory: RunDirectory, known: dict[str, Any]) -> dict[str, Any]:
    """What a policy's file may say of the run; `known` are keys of its result."""
    env_steps = known.get("env_steps")
    points = [point for point in directory.read_points() if env_steps is None or point["env_steps"] <= env_steps]
    return {
        **describe_identity(config),
        "config_hash": config.hash,
        "policy_sparsity": config.sparsity.policy,
        "critic_sparsity": config.sparsity.critic,
        "env_steps": env_steps,
        "learner_steps": known.get("learner_steps"),
        "score": score_of_points(points, config.evaluation) if points else None,
        "versions": known.get("versions") or installed_versions(),
    }
