"""All that belongs to one run but its learner: environments, experience, milestones.

Whoever drives a member gives it the policy that acts and the policy that is evaluated. The inline trainer drives one,
with a learner of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rlx2_ray.agents.learner import LearnerState, window_spec
from rlx2_ray.config import updates_due
from rlx2_ray.envs.lane import EnvLane, LaneState, failing
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate_as
from rlx2_ray.experiment.milestones import Milestones
from rlx2_ray.experiment.rollout import Action, StepRefused, collect
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.policy import ActingPolicy, NoiseFreePolicy
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.types import Batch, Fragment, RunFailed


class Member:
    def __init__(self, run: Run) -> None:
        config, spaces = run.config, run.spaces
        self.run = run
        self.env_steps = 0
        self.milestones = Milestones(config)
        self._config = config
        self._lanes = [
            EnvLane(config.env, config.seed, "environment", lane) for lane in range(config.runtime.envs_per_rollout)
        ]
        self._evaluation_lane = EnvLane(config.env, config.seed, STREAM)
        self._exploration = make_generator(config.seed, "exploration")
        self._refused: Action | None = None  # drawn, but its env step is still to be taken
        self._replay = ReplayBuffer(
            spaces.observation_size,
            spaces.action_size,
            range(len(self._lanes)),
            config.replay.max_capacity,
            make_generator(config.seed, "replay"),
        )

    def close(self) -> None:
        for lane in (*self._lanes, self._evaluation_lane):
            lane.close()

    @property
    def is_finished(self) -> bool:
        return self.env_steps >= self._config.steps or self.run.ended_early

    @property
    def updates_due(self) -> int:
        """Learner updates that should have been done by now, since the run began."""
        agent = self._config.agent
        return updates_due(self.env_steps, agent.warmup_steps, agent.updates_per_env_step)

    def collect(self, acting: ActingPolicy) -> list[Fragment]:
        """Take one env step; the lanes take turns. Raises RunFailed with all as it was, if the lane refuses it."""
        number = self.env_steps % len(self._lanes)
        policy = acting if self.env_steps >= self._config.agent.warmup_steps else None
        try:
            fragments = collect(
                self._lanes[number], number, policy, self._exploration, 1, self.env_steps, self._refused
            )
        except StepRefused as refusal:
            self._refused = refusal.action
            raise
        self._refused = None
        for fragment in fragments:
            self._replay.insert(fragment)
        self.env_steps += 1
        return fragments

    def sample(self, learner_steps: int) -> Batch:
        """Draw the batch of the update that follows `learner_steps`."""
        windows = window_spec(self._config, learner_steps)
        return self._replay.sample(self._config.agent.batch_size, windows.n_step, windows.every_step)

    def check_capacity_if_due(self, acting: ActingPolicy) -> None:
        if self.milestones.reaches_check(self.env_steps):
            self.milestones.policy_distance = check_capacity(self._replay, acting, self._config.replay)

    def evaluation_is_due(self) -> bool:
        return not self.milestones.are_all_evaluated and self.env_steps >= self.milestones.next_evaluation

    def evaluate(self, policy: NoiseFreePolicy) -> Evaluation:
        """Play the evaluation of this env step. Where it raises RunFailed or StopAsked, it stays due."""
        try:
            evaluation = evaluate_as(
                self._config.evaluation, policy, self._evaluation_lane, self.env_steps, self.run.check_stop
            )
        except RunFailed as failure:
            raise RunFailed(f"At env step {self.env_steps}: {failure}") from None
        self.milestones.evaluated = self.env_steps
        return evaluation

    def metrics(self) -> dict[str, float]:
        return {"replay/size": float(self._replay.size), "replay/policy_distance": self.milestones.policy_distance}

    def checkpoint_is_due(self) -> bool:
        return self.milestones.reaches_checkpoint(self.env_steps) or self.is_finished

    def advance(self) -> None:
        """Show progress."""
        self.run.advance(self.env_steps, self._replay.size, self.milestones.policy_distance)

    def save(self, learner: LearnerState) -> None:
        """Write a checkpoint of this moment, with the state of the learner."""
        lanes = [lane.state() for lane in self._lanes]
        arrays: Arrays = dict(learner.arrays)
        for number, lane in enumerate(lanes):
            arrays |= {f"lane.{number}.actions": lane.actions, f"lane.{number}.observation": lane.observation}
        if self._refused is not None and np.isfinite(self._refused).all():
            arrays |= {"refused": np.array(self._refused)}
        values = {
            "learner": learner.values,
            "episodes": [lane.episode for lane in lanes],
            "exploration": generator_state(self._exploration),
            **self.milestones.state(),
        }
        self.run.save_checkpoint(self.env_steps, arrays, values, self._save_replay)

    def _save_replay(self, directory: Path, previous: Path | None) -> None:
        snapshot.save(self._replay, directory, previous)

    def restore(self) -> LearnerState | None:
        """Go on from the newest good checkpoint; returns the learner's state in it, None where the run begins anew."""
        load = partial(snapshot.load, sizes=self.run.form.sizes, lanes=len(self._lanes))
        loaded = self.run.load_checkpoint(load)
        if loaded is None:
            return None
        checkpoint, self._replay = loaded
        arrays, values = checkpoint.arrays, checkpoint.values
        self.env_steps = values["env_steps"]
        self.milestones.restore(values, self.env_steps, self.run.last_evaluated)
        self._exploration = restore_generator(values["exploration"])
        self._refused = Action(*arrays["refused"]) if "refused" in arrays else None
        for number, (lane, episode) in enumerate(zip(self._lanes, values["episodes"], strict=True)):
            state = LaneState(episode, arrays[f"lane.{number}.actions"], arrays[f"lane.{number}.observation"])  # type: ignore[arg-type]
            with failing("while the episode of the checkpoint was played again"):
                is_same = lane.restore(state)
            if not is_same:
                self.run.display.say(
                    f"{self._config.env.id} did not repeat its episode, so the run goes on with a new one: "
                    "it will not equal an uninterrupted run to the bit."
                )
        return LearnerState(arrays, values["learner"])
