"""What the learner actor does: updates."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from rlx2_ray import plugins
from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.returns import Returns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.batch_stream import BatchStream, Sampler
from rlx2_ray.experiment.predecessors import make_run_learner
from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Spaces

CALL_S = 1.0  # of a call, after its first update


class Learned(NamedTuple):
    learner_steps: int
    undone: int  # updates of the call for which a shard had nothing
    metrics: dict[str, float]


class LearnerWorker:
    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        self._config = config
        self._spaces = spaces
        plugins.use(config.plugins)  # as the driver has done
        self._learner = make_run_learner(config, spaces)
        self._shards: Sequence[Sampler] = []
        self._generator = make_generator(config.seed, "shard shares")

    def connect(self, shards: Sequence[Sampler]) -> None:
        """Let batches come from these shards from now on."""
        self._shards = shards
        self._begin_stream()

    def learn(
        self, updates: int, sizes: Sequence[int], observed: Moments | None = None, returns: Returns | None = None
    ) -> tuple[Learned, PolicyWeights]:
        """Do `updates` updates on shards of these sizes, and return what was done and the policy after it.

        Fewer are done where they take longer than `CALL_S`, after which a wish to stop is to be heard.

        Fewer are done where a shard has become empty, which happens when it died before the first checkpoint.

        `observed`: what observations are normalised by from now on. `returns`: what pruning goes by from now on.
        """
        self._learner.observed = observed or self._learner.observed
        self._learner.returns = returns or self._learner.returns
        update_s, started = 0.0, time.perf_counter()
        done = undone = 0
        until = math.inf
        while done < updates and time.perf_counter() < until:
            batch = self._stream.next(sizes)
            if batch is None:
                undone = updates - done
                self._begin_stream()
                break
            before = time.perf_counter()
            self._learner.update(batch)
            update_s += time.perf_counter() - before
            done += 1
            if done == 1:  # which may have had to wait for its batch
                until = time.perf_counter() + CALL_S
        metrics = self._learner.metrics()
        if done:
            metrics["actors/update_us"] = 1e6 * update_s / done
            metrics["actors/batch_us"] = 1e6 * (time.perf_counter() - started - update_s) / done
        return Learned(self._learner.learner_steps, undone, metrics), self._learner.policy_weights()

    def policy_weights(self) -> PolicyWeights:
        return self._learner.policy_weights()

    def evaluated_weights(self) -> PolicyWeights:
        return self._learner.evaluated_weights()

    def state(self) -> LearnerState:
        return self._learner.state()

    def restore(self, state: LearnerState) -> int:
        """Go on from a state; returns its learner step."""
        self._learner.restore(state)
        self._begin_stream()
        return self._learner.learner_steps

    def _begin_stream(self) -> None:
        """Forget what was asked for."""
        first = self._learner.learner_steps
        self._stream = BatchStream(self._config, self._spaces, self._shards, first, self._generator)
