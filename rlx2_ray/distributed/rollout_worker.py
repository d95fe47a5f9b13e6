"""What a rollout actor does: step its lanes with the policy it is given, and store what came of it in the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np

from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.replay_shard import ShardStatus
from rlx2_ray.envs import modules
from rlx2_ray.envs.lane import EnvLane, failing
from rlx2_ray.experiment.rollout import collect, finished_returns
from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy import ActingPolicy, make_acting_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Floats, Fragment

EPISODES_OF_A_GENERATION = 2**32
CALL_S = 1.0  # of a call, so that a wish to stop need not wait for many slow env steps


class Inserter(Protocol):
    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus: ...


class Collected(NamedTuple):
    env_steps: int
    statuses: dict[int, ShardStatus]  # of the shards that were written to
    observed: Moments | None = None  # the observations acted on, where they are normalised
    returns: Sequence[float] = ()  # of the episodes that ended, where pruning goes by them


class RolloutWorker:
    def __init__(
        self, config: ExperimentConfig, lanes: Sequence[int], shards: Mapping[int, Inserter], generation: int
    ) -> None:
        """Lane l lives on shard l % len(shards). A later `generation` of the same lanes has other, later episodes and
        other noise.
        """
        self._config = config
        modules.trust_made(config.env, config.plugins)
        self._shards = shards
        self._numbers = lanes
        self._first_episode = generation * EPISODES_OF_A_GENERATION
        self._lanes: dict[int, EnvLane] = {}
        self._generator = make_generator(config.seed, "exploration", lanes[0], generation)
        self._version = -1
        self._policy: ActingPolicy | None = None

    def collect(self, steps: int, time: int, version: int, weights: PolicyWeights | None) -> Collected:
        """Take `steps` env steps, shared out among the lanes, or what `CALL_S` has time for; `weights` None: random.

        Raises RunFailed where an environment fails.

        `time`: env steps of the whole run begun before these.
        """
        self._open_lanes()
        self._update_policy(version, weights)
        until = monotonic() + CALL_S
        horizon = time + steps - self._config.replay.max_capacity
        statuses: dict[int, ShardStatus] = {}
        seen: list[Floats] = []
        returns: list[float] = []
        begun = done = 0
        for turn, (number, lane) in enumerate(self._lanes.items()):
            share = (steps - begun) // (len(self._lanes) - turn)
            fragments = collect(lane, number, self._policy, self._generator, share, time + begun, until=until)
            shard = number % len(self._shards)
            statuses[shard] = self._shards[shard].insert(fragments, horizon)
            begun += share
            done += sum(len(fragment.rewards) for fragment in fragments)
            seen += [fragment.observations[:-1] for fragment in fragments]
            returns += finished_returns(fragments) if self._config.topology.hold else []
        is_wanted = seen and self._config.agent.normalize_observations
        return Collected(done, statuses, Moments.of(np.concatenate(seen)) if is_wanted else None, returns)

    def _open_lanes(self) -> None:
        """Make the environments at the first call: what an actor raises while it is made, Ray takes for its death."""
        if self._lanes:
            return
        with failing("when it began"):
            plugins.load(self._config.plugins)
            for number in self._numbers:
                lane = EnvLane(self._config.env, self._config.seed, "environment", number)
                lane.begin_episode(self._first_episode)
                self._lanes[number] = lane

    def _update_policy(self, version: int, weights: PolicyWeights | None) -> None:
        if weights is not None and version != self._version:
            self._policy = make_acting_policy(self._config, make_network(weights))
            self._version = version
