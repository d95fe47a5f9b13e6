"""What a fresh agent starts from, the same for every engine."""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.initial import initial_layers
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.seeding import make_generator
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Spaces


def initial_models(config: ExperimentConfig, spaces: Spaces) -> dict[str, Layers]:
    """The layers of each model; "critic" is both critics. Targets start as copies."""
    plan = plan_agent(config, spaces.observation_size, spaces.action_size)
    policy = initial_layers(plan.policy, config, make_generator(config.seed, "policy"))
    critic = initial_layers(plan.critic, config, make_generator(config.seed, "critic"))
    return {"policy": policy, "critic": critic, "target_policy": policy, "target_critic": critic}
