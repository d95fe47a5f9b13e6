"""What a rollout actor does: step its lanes with the policy it is given, and store what came of it in the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.replay_shard import ShardStatus
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.rollout import collect
from rlx2_ray.networks.policy import ActingPolicy, densify, make_acting_policy
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Fragment

EPISODES_OF_A_GENERATION = 2**32


class Inserter(Protocol):
    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus: ...


class Collected(NamedTuple):
    env_steps: int
    statuses: dict[int, ShardStatus]  # of the shards that were written to


class RolloutWorker:
    def __init__(
        self, config: ExperimentConfig, lanes: Sequence[int], shards: Mapping[int, Inserter], generation: int
    ) -> None:
        """Lane l lives on shard l % len(shards). A later `generation` of the same lanes has other, later episodes and
        other noise.
        """
        self._config = config
        self._shards = shards
        self._lanes = {lane: EnvLane(config.env, config.seed, "environment", lane) for lane in lanes}
        for lane in self._lanes.values():
            lane.begin_episode(generation * EPISODES_OF_A_GENERATION)
        self._generator = make_generator(config.seed, "exploration", lanes[0], generation)
        self._version = -1
        self._policy: ActingPolicy | None = None

    def collect(self, steps: int, time: int, version: int, weights: Layers | None) -> Collected:
        """Take `steps` env steps, shared out among the lanes; `weights` None: random actions.

        Raises RunFailed for NaN or infinity.

        `time`: env steps of the whole run begun before these.
        """
        self._update_policy(version, weights)
        horizon = time + steps - self._config.replay.max_capacity
        statuses: dict[int, ShardStatus] = {}
        done = 0
        for turn, (number, lane) in enumerate(self._lanes.items()):
            share = (steps - done) // (len(self._lanes) - turn)
            fragments = collect(lane, number, self._policy, self._generator, share, time + done)
            shard = number % len(self._shards)
            statuses[shard] = self._shards[shard].insert(fragments, horizon)
            done += share
        return Collected(steps, statuses)

    def _update_policy(self, version: int, weights: Layers | None) -> None:
        if weights is not None and version != self._version:
            self._policy = make_acting_policy(self._config, densify(weights))
            self._version = version
