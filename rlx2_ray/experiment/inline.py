"""The inline runtime: everything in one process, deterministic and resumable to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlx2_ray.agents.learner import LearnerState, needs_every_step, window_length
from rlx2_ray.config import ExperimentConfig, updates_due
from rlx2_ray.envs.lane import EnvLane, LaneState
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.experiment.predecessors import make_run_learner
from rlx2_ray.experiment.rollout import collect
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.types import RunFailed


def train_inline(run: Run, resume: bool) -> Training:
    """Train to the end. Raises RunFailed or Interrupted, a checkpoint kept."""
    trainer = InlineTrainer(run)
    try:
        if resume:
            trainer.restore()
        return (yield from trainer.train())
    finally:
        trainer.close()


class InlineTrainer:
    def __init__(self, run: Run) -> None:
        config, spaces = run.config, run.spaces
        self._run = run
        self._config: ExperimentConfig = config
        self._env_steps = 0
        self._learner = make_run_learner(config, spaces)
        self._policy = self._learner.acting_policy()
        self._lanes = [
            EnvLane(config.env, config.seed, "environment", lane) for lane in range(config.runtime.envs_per_rollout)
        ]
        self._evaluation_lane = EnvLane(config.env, config.seed, STREAM)
        self._exploration = make_generator(config.seed, "exploration")
        self._replay = ReplayBuffer(
            spaces.observation_size,
            spaces.action_size,
            range(len(self._lanes)),
            config.replay.max_capacity,
            make_generator(config.seed, "replay"),
        )
        self._policy_distance = float("nan")  # of the last check

    def train(self) -> Training:
        config, run = self._config, self._run
        while not self._is_finished():
            run.check_interrupted(self.save)
            self._collect()
            self._learn()
            if self._is_due(config.replay.check_interval):
                self._check_capacity()
            self._evaluate_if_due()
            if self._is_due(config.checkpoint.interval) or self._is_finished():
                with run.pause_training_clock():
                    self.save()
            run.advance(self._env_steps, self._replay.size, self._policy_distance)
            yield from run.take_new_points()
        return run.finish(self._env_steps, self._learner.learner_steps, self._learner.policy_layers())

    def close(self) -> None:
        for lane in (*self._lanes, self._evaluation_lane):
            lane.close()

    def _is_finished(self) -> bool:
        return self._env_steps >= self._config.steps or self._run.ended_early

    def _is_due(self, interval: int) -> bool:
        return self._env_steps % interval == 0

    def _collect(self) -> None:
        """One env step; the lanes take turns."""
        number = self._env_steps % len(self._lanes)
        policy = self._policy if self._env_steps >= self._config.agent.warmup_steps else None
        try:
            fragments = collect(self._lanes[number], number, policy, self._exploration, 1, self._env_steps)
        except RunFailed:
            self.save()  # the lane refused the step, so all is as it was before
            raise
        for fragment in fragments:
            self._replay.insert(fragment)
        self._env_steps += 1

    def _learn(self) -> None:
        agent, learner = self._config.agent, self._learner
        due = updates_due(self._env_steps, agent.warmup_steps, agent.updates_per_env_step)
        while learner.learner_steps < due:
            n_step = window_length(self._config, learner.learner_steps)
            learner.update(self._replay.sample(agent.batch_size, n_step, needs_every_step(self._config)))
            if self._config.device != "cpu":
                self._policy = learner.acting_policy()

    def _check_capacity(self) -> None:
        self._policy_distance = check_capacity(self._replay, self._policy, self._config.replay)

    def _evaluate_if_due(self) -> None:
        due = self._is_due(self._config.evaluation.interval) or self._env_steps == self._config.steps
        if due and self._run.last_evaluated < self._env_steps:
            with self._run.pause_training_clock():
                self._evaluate()

    def _evaluate(self) -> None:
        episodes = self._config.evaluation.episodes
        try:
            evaluation = evaluate(self._policy, self._evaluation_lane, episodes, first_episode=self._env_steps)
        except RunFailed as failure:
            self.save()
            raise RunFailed(f"At env step {self._env_steps}: {failure}") from None
        metrics = {
            **self._learner.metrics(),
            "replay/size": float(self._replay.size),
            "replay/policy_distance": self._policy_distance,
        }
        policy = self._learner.policy_layers()
        self._run.record(self._env_steps, self._learner.learner_steps, evaluation, policy, metrics)

    def save(self) -> None:
        learner = self._learner.state()
        lanes = [lane.state() for lane in self._lanes]
        arrays: Arrays = dict(learner.arrays)
        for number, lane in enumerate(lanes):
            arrays |= {f"lane.{number}.actions": lane.actions, f"lane.{number}.observation": lane.observation}
        values = {
            "learner": learner.values,
            "episodes": [lane.episode for lane in lanes],
            "exploration": generator_state(self._exploration),
            "policy_distance": None if np.isnan(self._policy_distance) else self._policy_distance,
        }
        self._run.save_checkpoint(self._env_steps, arrays, values, self._save_replay)

    def _save_replay(self, directory: Path, previous: Path | None) -> None:
        snapshot.save(self._replay, directory, previous)

    def restore(self) -> None:
        """Go on from the newest good checkpoint, or from the beginning where there is none."""
        loaded = self._run.load_checkpoint(snapshot.load)
        if loaded is None:
            return
        checkpoint, self._replay = loaded
        arrays, values = checkpoint.arrays, checkpoint.values
        self._env_steps = values["env_steps"]
        self._learner.restore(LearnerState(arrays, values["learner"]))
        self._policy = self._learner.acting_policy()
        self._exploration = restore_generator(values["exploration"])
        self._policy_distance = float("nan") if values["policy_distance"] is None else values["policy_distance"]
        for number, (lane, episode) in enumerate(zip(self._lanes, values["episodes"], strict=True)):
            state = LaneState(episode, arrays[f"lane.{number}.actions"], arrays[f"lane.{number}.observation"])  # type: ignore[arg-type]
            if not lane.restore(state):
                self._run.display.say(
                    f"{self._config.env.id} did not repeat its episode, so the run goes on with a new one: "
                    "it will not equal an uninterrupted run to the bit."
                )
        self._evaluate_if_due()  # where the run failed in the evaluation that belongs to this very step
