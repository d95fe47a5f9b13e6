"""What the evaluator actor does: play the policy it is given on an environment of its own."""

from __future__ import annotations

from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate_as
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights


class EvaluationWorker:
    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        modules.trust_made(config.env, config.plugins)
        self._lane: EnvLane | None = None

    def evaluate(self, env_steps: int, weights: PolicyWeights) -> Evaluation:
        """Play the evaluation of env step `env_steps`, over the same episodes as inline."""
        config = self._config
        # Made at the first call: what an actor raises while it is made, Ray takes for its death.
        if self._lane is None:
            plugins.load(config.plugins)
            self._lane = EnvLane(config.env, config.seed, STREAM)
        policy = make_evaluation_policy(config.algo, make_network(weights))
        return evaluate_as(config.evaluation, policy, self._lane, first_episode=env_steps)
