"""What a rollout actor does: step its lanes with the policy it is given, and store what came of it in the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.rollout import collect
from rlx2_ray.networks.policy import Policy, densify, make_policy
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Fragment


class Inserter(Protocol):
    def insert(self, fragments: Sequence[Fragment]) -> int: ...


class Collected(NamedTuple):
    env_steps: int
    sizes: dict[int, int]  # of the shards that were written to


class RolloutWorker:
    def __init__(
        self, config: ExperimentConfig, lanes: Sequence[int], shards: Mapping[int, Inserter], first_time: int
    ) -> None:
        """Lane l lives on shard l % len(shards). `first_time`: env steps of the run so far; a resumed rollout begins
        other episodes, with other noise, than the first one did.
        """
        self._config = config
        self._shards = shards
        self._lanes = {lane: EnvLane(config.env, config.seed, "environment", lane) for lane in lanes}
        for lane in self._lanes.values():
            lane.begin_episode(first_time)
        self._generator = make_generator(config.seed, "exploration", lanes[0], first_time)
        self._version = -1
        self._policy: Policy | None = None

    def collect(self, steps: int, time: int, version: int, weights: Layers | None) -> Collected:
        """Share `steps` out among the lanes; `weights` None: random actions. Raises RunFailed for NaN or infinity.

        `time`: env steps of the whole run begun before these.
        """
        self._update_policy(version, weights)
        sizes: dict[int, int] = {}
        done = 0
        for turn, (number, lane) in enumerate(self._lanes.items()):
            share = (steps - done) // (len(self._lanes) - turn)
            fragments = collect(lane, number, self._policy, self._generator, share, time + done)
            shard = number % len(self._shards)
            sizes[shard] = self._shards[shard].insert(fragments)
            done += share
        return Collected(steps, sizes)

    def _update_policy(self, version: int, weights: Layers | None) -> None:
        if weights is not None and version != self._version:
            agent = self._config.agent
            layers = densify(weights)
            self._policy = make_policy(self._config.algo, layers, agent.exploration_noise, agent.exploration)
            self._version = version
