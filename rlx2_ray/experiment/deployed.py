"""The deployed score: how good the policy is that a run hands out, that of its best evaluation.

An evaluation that was the best of many flatters its policy. So the policy plays again when the run ends, on fresh
episodes whose seeds are a stream of their own, which the choice never saw. The rule is the same for every method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import Evaluation, check_sizes, evaluate
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import PolicyFile, load_policy
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.types import Damaged, RunFailed

STREAM = "deployed"


def play_deployed(
    config: ExperimentConfig,
    directory: RunDirectory,
    say: Callable[[str], None],
    on_step: Callable[[Any], None] = lambda env: None,
    played: Evaluation | None = None,
) -> dict[str, Any] | None:
    """Play the policy of the best evaluation, `evaluation.deployed_episodes` times; `played`: it has been.

    Returns the env step that the policy is of, mean and standard deviation of its returns, and the number of episodes;
    None where none are asked for, or no policy was trained or kept. Raises RunFailed where the environment fails.
    `on_step` as in `evaluate`.
    """
    policy = load_deployed(config, directory)
    if policy is None:
        return None
    evaluation = played or _play(config, directory, policy, on_step)
    if evaluation.warning:
        say(evaluation.warning)
    return {
        "env_steps": policy.about["env_steps"],
        "return_mean": evaluation.mean,
        "return_std": evaluation.std,
        "episodes": config.evaluation.deployed_episodes,
    }


def load_deployed(config: ExperimentConfig, directory: RunDirectory) -> PolicyFile | None:
    """The policy of the best evaluation; None where it is not to be played, or none was trained or kept."""
    file = directory.best_policy_file
    if not config.evaluation.deployed_episodes or not file.exists():
        return None
    policy = load_policy(file)
    if policy.about.get("env_steps") is None:
        raise Damaged(f"{file} does not say of which env step it is: restore it from a copy.")
    return policy


def _play(
    config: ExperimentConfig, directory: RunDirectory, policy: PolicyFile, on_step: Callable[[Any], None]
) -> Evaluation:
    player = make_evaluation_policy(policy.algo, make_network(policy.weights))
    evaluation = config.evaluation
    with again(), closing(EnvLane(config.env, config.seed, STREAM)) as lane:
        check_sizes(directory.best_policy_file, policy.spaces, lane.spaces, config.env.id)
        return evaluate(player, lane, evaluation.deployed_episodes, 0, on_step, evaluation.max_episode_steps)


@contextmanager
def again() -> Iterator[None]:
    """Raises RunFailed that says what was being played, where an environment fails in here."""
    try:
        yield
    except RunFailed as failure:
        raise RunFailed(f"While the policy of the best evaluation was played again: {failure}") from None
