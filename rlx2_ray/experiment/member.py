"""A member of the inline runtime: its replay and its environments are in this process."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray.agents.learner import window_spec
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.base_member import BaseMember
from rlx2_ray.experiment.rollout import StepRefused, collect
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.policy import ActingPolicy
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Batch, Fragment


class Member(BaseMember):
    def __init__(self, run: Run) -> None:
        config, spaces = run.config, run.spaces
        self._lanes = [
            EnvLane(config.env, config.seed, "environment", lane) for lane in range(config.runtime.envs_per_rollout)
        ]
        super().__init__(run, self._lanes)
        self._replay = ReplayBuffer(
            spaces.observation_size,
            spaces.action_size,
            range(len(self._lanes)),
            config.replay.max_capacity,
            make_generator(config.seed, "replay"),
        )

    @property
    def _forgetting(self) -> ReplayBuffer:
        return self._replay

    def collect(self, acting: ActingPolicy) -> list[Fragment]:
        """Take one env step; the lanes take turns. Raises RunFailed with all as it was, if the lane refuses it."""
        number = self.env_steps % len(self._lanes)
        policy = acting if self.is_warm else None
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

    def _save_replay(self, directory: Path, previous: Path | None) -> None:
        snapshot.save(self._replay, directory, previous)

    def _load_replay(self, directory: Path) -> ReplayBuffer:
        return snapshot.load(directory, sizes=self.run.form.sizes, lanes=len(self._lanes))

    def _take_replay(self, loaded: ReplayBuffer) -> None:
        self._replay = loaded
