"""What the evaluator actor does: play the policy it is given on an environment of its own."""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate
from rlx2_ray.networks.policy import densify, make_evaluation_policy
from rlx2_ray.networks.sparse_layer import Layers


class EvaluationWorker:
    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self._lane = EnvLane(config.env, config.seed, STREAM)

    def evaluate(self, env_steps: int, weights: Layers) -> Evaluation:
        """Play the evaluation of env step `env_steps`, over the same episodes as inline."""
        policy = make_evaluation_policy(self._config.algo, densify(weights))
        return evaluate(policy, self._lane, self._config.evaluation.episodes, first_episode=env_steps)
