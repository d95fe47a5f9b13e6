"""All that belongs to one run but its learner, wherever its replay and its environments are.

Whoever drives a member gives it the policy that acts and the policy that is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import updates_due
from rlx2_ray.envs.lane import EnvLane, LaneState, failing
from rlx2_ray.experiment.capacity_check import ForgettingReplay, check_capacity
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate_as
from rlx2_ray.experiment.milestones import Milestones
from rlx2_ray.experiment.owed import Owed
from rlx2_ray.experiment.rollout import Action
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.types import RunFailed


class Lane(Protocol):
    """An environment as a checkpoint sees it."""

    def state(self) -> LaneState: ...

    def restore(self, state: LaneState) -> bool: ...

    def close(self) -> None: ...


class BaseMember:
    def __init__(self, run: Run, lanes: Sequence[Lane], evaluates: bool = True) -> None:
        """`evaluates`: by itself, on an environment of its own."""
        config = run.config
        self.run = run
        self.env_steps = 0
        self.milestones = Milestones(config)
        self._config = config
        self._every_lane = lanes
        self._evaluation_lane = EnvLane(config.env, config.seed, STREAM) if evaluates else None
        self._exploration = make_generator(config.seed, "exploration")
        self._refused: Action | None = None  # drawn, but its env step is still to be taken
        self.owed: Owed | None = None

    @property
    def _forgetting(self) -> ForgettingReplay:
        """Its replay."""
        raise NotImplementedError

    def _save_replay(self, directory: Path, previous: Path | None) -> None:
        raise NotImplementedError

    def _load_replay(self, directory: Path) -> Any:
        """What `_take_replay` takes. ValueError names the file that is missing or damaged."""
        raise NotImplementedError

    def _take_replay(self, loaded: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for lane in (*self._every_lane, *filter(None, [self._evaluation_lane])):
            lane.close()

    @property
    def is_finished(self) -> bool:
        return self.env_steps >= self._config.steps or self.run.ended_early

    @property
    def updates_due(self) -> int:
        """Learner updates that should have been done by now, since the run began."""
        agent = self._config.agent
        return updates_due(self.env_steps, agent.warmup_steps, agent.updates_per_env_step)

    @property
    def is_warm(self) -> bool:
        """Whether its policy acts, and no longer chance."""
        return self.env_steps >= self._config.agent.warmup_steps

    def check_capacity_if_due(self, acting: Callable[[], NoiseFreePolicy]) -> None:
        """`acting` gives the policy of the moment."""
        if self.milestones.reaches_check(self.env_steps):
            self.milestones.policy_distance = check_capacity(self._forgetting, acting(), self._config.replay)

    def evaluation_is_due(self) -> bool:
        return not self.milestones.are_all_evaluated and self.env_steps >= self.milestones.next_evaluation

    def evaluate(self, policy: NoiseFreePolicy, env_steps: int) -> Evaluation:
        """Play the evaluation of an env step. Where it raises RunFailed or StopAsked, it stays due."""
        lane = self._evaluation_lane
        assert lane is not None
        try:
            evaluation = evaluate_as(self._config.evaluation, policy, lane, env_steps, self.run.check_stop)
        except RunFailed as failure:
            raise RunFailed(f"At env step {env_steps}: {failure}") from None
        self.milestones.evaluated = env_steps
        return evaluation

    def metrics(self) -> dict[str, float]:
        return {"replay/size": float(self._forgetting.size), "replay/policy_distance": self.milestones.policy_distance}

    def checkpoint_is_due(self) -> bool:
        return self.milestones.reaches_checkpoint(self.env_steps) or self.is_finished

    def advance(self) -> None:
        """Show progress."""
        self.run.advance(self.env_steps, self._forgetting.size, self.milestones.policy_distance)

    def save(self, learner: LearnerState) -> None:
        """Write a checkpoint of this moment, with the state of the learner."""
        lanes = [lane.state() for lane in self._every_lane]
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
        if self.owed is not None:
            arrays |= self.owed.arrays()
            values |= self.owed.values()
        self.run.save_checkpoint(self.env_steps, arrays, values, self._save_replay)

    def restore(self) -> LearnerState | None:
        """Go on from the newest good checkpoint; returns the learner's state in it, None where the run begins anew."""
        loaded = self.run.load_checkpoint(self._load_replay)
        if loaded is None:
            return None
        checkpoint, replay = loaded
        self._take_replay(replay)
        arrays, values = checkpoint.arrays, checkpoint.values
        self.env_steps = values["env_steps"]
        self.owed = Owed.of(checkpoint)
        self.milestones.restore(values, self.env_steps, self.owed.env_steps if self.owed else self.run.last_evaluated)
        self._exploration = restore_generator(values["exploration"])
        self._refused = Action(*arrays["refused"]) if "refused" in arrays else None
        for number, (lane, episode) in enumerate(zip(self._every_lane, values["episodes"], strict=True)):
            state = LaneState(episode, arrays[f"lane.{number}.actions"], arrays[f"lane.{number}.observation"])  # type: ignore[arg-type]
            with failing("while the episode of the checkpoint was played again"):
                is_same = lane.restore(state)
            if not is_same:
                self.run.display.say(
                    f"{self._config.env.id} did not repeat its episode, so the run goes on with a new one: "
                    "it will not equal an uninterrupted run to the bit."
                )
        return LearnerState(arrays, values["learner"])
