"""The deployed score: how good the policy is that a run hands out, that of its best evaluation.

An evaluation that was the best of many flatters its policy. So the policy plays again when the run ends, on fresh
episodes whose seeds are a stream of their own, which the choice never saw. The rule is the same for every method.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import check_sizes, evaluate
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.types import Damaged, RunFailed

STREAM = "deployed"


def play_deployed(
    config: ExperimentConfig,
    directory: RunDirectory,
    say: Callable[[str], None],
    on_step: Callable[[Any], None] = lambda env: None,
) -> dict[str, Any] | None:
    """Play the policy of the best evaluation, `evaluation.deployed_episodes` times.

    Returns the env step that the policy is of, mean and standard deviation of its returns, and the number of episodes;
    None where none are asked for, or no policy was trained or kept. Raises RunFailed where the environment fails.
    `on_step` as in `evaluate`.
    """
    episodes, file = config.evaluation.deployed_episodes, directory.best_policy_file
    if not episodes or not file.exists():
        return None
    policy = load_policy(file)
    env_steps = policy.about.get("env_steps")
    if env_steps is None:
        raise Damaged(f"{file} does not say of which env step it is: restore it from a copy.")
    player = make_evaluation_policy(policy.algo, make_network(policy.weights))
    try:
        with closing(EnvLane(config.env, config.seed, STREAM)) as lane:
            check_sizes(file, policy.spaces, lane, config.env.id)
            limit = config.evaluation.max_episode_steps
            evaluation = evaluate(player, lane, episodes, 0, on_step, limit)
    except RunFailed as failure:
        raise RunFailed(f"While the policy of the best evaluation was played again: {failure}") from None
    if evaluation.warning:
        say(evaluation.warning)
    return {
        "env_steps": env_steps,
        "return_mean": evaluation.mean,
        "return_std": evaluation.std,
        "episodes": episodes,
    }
