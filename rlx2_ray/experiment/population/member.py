"""A member of a population: an ordinary run whose learner and replay are rows of the population's tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Ring
from rlx2_ray.agents.population.slot_learner import SlotLearner
from rlx2_ray.envs.lane import EnvironmentFailed
from rlx2_ray.experiment.base_member import BaseMember
from rlx2_ray.experiment.population.lanes import Physics, SlotLane
from rlx2_ray.experiment.population.moved_replay import from_buffer, to_buffer
from rlx2_ray.experiment.population.plays import Play
from rlx2_ray.experiment.predecessors import inherited_models
from rlx2_ray.experiment.rollout import StepRefused, draw
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.moments import Moments
from rlx2_ray.networks.policy import make_acting_policy
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Floats, RunFailed

STREAM = "environment"  # of seeds, as of the first lane of an inline run


class GivenOutputs:
    """A network whose outputs for the observation of the moment were worked out with those of all members."""

    def __init__(self, size: int) -> None:
        self.output_size = size
        self.given = np.zeros(size, np.float32)

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        outputs = self.given.copy()
        outputs[:squashed] = np.tanh(outputs[:squashed])
        return outputs


class SlotMember(BaseMember):
    """Takes a step in two halves, `begin_step` and `finish_step`; `failure` is why the latest was refused.

    `play` is an evaluation of it that is being played elsewhere.
    """

    def __init__(self, run: Run, population: Population, slot: int, physics: Physics, goes_on: bool) -> None:
        """`goes_on`: whether it does while its evaluation is played elsewhere; else it rests."""
        config, spaces = run.config, run.spaces
        self.learner = SlotLearner(config, spaces, inherited_models(config, spaces), population, slot)
        self.slot = slot
        self.failure: RunFailed | None = None
        self.play: Play | None = None
        self._goes_on = goes_on
        self._stop = 0
        self._replays = population.replays
        self._ring = Ring(population.replays, slot)
        self._generator = make_generator(config.seed, "replay")  # nothing is drawn from it here; other engines do
        self._sealed: dict[str, str] = {}
        self._network = GivenOutputs(population.shapes.policy[-1][0])
        self._acting = make_acting_policy(config, self._network)
        lanes: list[SlotLane] = []
        try:
            lanes.append(physics.make_lane(config, STREAM))
            super().__init__(run, lanes, evaluates=not physics.plays)
        except BaseException:
            self.learner.leave()
            for each in lanes:
                each.close()
            raise
        self.lane = lanes[0]
        self._observation, self._moment, self._return = self.lane.observation, (0, 0), 0.0

    def close(self) -> None:
        if self.play is not None:
            self.play.abandon()
        super().close()
        self.learner.leave()

    @property
    def _next_stop(self) -> int:
        """The env step after which something is due that is more than a step and its updates."""
        config = self._config
        intervals = (config.replay.check_interval, config.checkpoint.interval)
        multiples = [(self.env_steps // interval + 1) * interval for interval in intervals]
        evaluation = [] if self.milestones.are_all_evaluated else [self.milestones.next_evaluation]
        return min([*multiples, *evaluation, config.steps])

    def work(self) -> None:
        """Let it be stepped until its next stop."""
        self._stop = self._next_stop

    @property
    def needs_attention(self) -> bool:
        """Whether it is to be stepped no further: something is due or has come, it failed, or it is to stop."""
        if self.failure is not None or self.run.stop_is_wished():
            return True
        if self.play is not None and self.play.is_over:
            return True
        return self.env_steps >= self._stop and not self.rests

    @property
    def rests(self) -> bool:
        """Whether it is not stepped until its evaluation has been played: the next one is due, or the end of the run.

        Where somebody decides over the run by its points, it rests during each.
        """
        return self.play is not None and (not self._goes_on or self.is_finished or super().evaluation_is_due())

    def evaluation_is_due(self) -> bool:
        return self.owed is None and super().evaluation_is_due()

    def checkpoint_is_due(self) -> bool:
        """Not where there will be the same one, with what is owed, when it is known."""
        if self.owed is not None and (self.is_finished or not self._goes_on):
            return False
        return super().checkpoint_is_due()

    def begin_step(self, outputs: Floats) -> None:
        """Draw the next action, given the outputs of its policy, and have the environment take it."""
        self._network.given = outputs
        policy = self._acting if self.is_warm else None
        action = self._refused or draw(self.lane, policy, self._exploration)
        self._refused = action
        self._observation, self._moment = self.lane.observation, (self.lane.episode, self.lane.episode_steps)
        self._return = self.lane.episode_return
        self.lane.begin_step(action.taken)

    def finish_step(self) -> list[object] | None:
        """Returns the fields of `agents.population.replay.Transitions` but for the slot; None where it was refused."""
        action = self._refused
        assert action is not None
        try:
            step = self.lane.finish_step()
        except EnvironmentFailed as error:
            self.failure = StepRefused.at(self.env_steps + 1, action, error)
            return None
        self._refused = None
        self.env_steps += 1
        if self.learner.normalizes:
            self.learner.observe(Moments.of(self._observation[np.newaxis]))
        topology = self._config.topology
        if topology.hold and (step.terminated or step.truncated):
            ended = [self._return + step.reward]
            self.learner.returns = self.learner.returns.joined(ended, topology.hold_episodes)
        ends = (step.terminated, step.truncated and not step.terminated)
        return [
            self._observation,
            action.taken,
            action.of_policy,
            step.reward,
            step.next_observation,
            *ends,
            *self._moment,
        ]

    @property
    def _forgetting(self) -> Ring:
        return self._ring

    def _save_replay(self, directory: Path, previous: Path | None) -> None:
        rows, counters = self._replays.read(self.slot)
        buffer = to_buffer(rows, counters, int(self._replays.capacity[self.slot]), self._generator)
        buffer.sealed = self._sealed
        snapshot.save(buffer, directory, previous)
        self._sealed = buffer.sealed

    def _load_replay(self, directory: Path) -> ReplayBuffer:
        buffer = snapshot.load(directory, sizes=self.run.form.sizes, lanes=1)
        from_buffer(buffer)  # raises ValueError for what a slot cannot hold
        return buffer

    def _take_replay(self, loaded: ReplayBuffer) -> None:
        self._generator, self._sealed = loaded.generator, loaded.sealed
        self._replays.capacity[self.slot] = loaded.capacity
        self._replays.write(self.slot, *from_buffer(loaded))
