"""The learner of a run on actors, whichever process it is: one that dies is replaced from the newest checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ray.exceptions import RayError

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.returns import RETURNS, Returns
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import Crew, LearnerActor, Learning, Reference, ReplayActor
from rlx2_ray.distributed.faults import Faults
from rlx2_ray.distributed.learner_worker import Learned
from rlx2_ray.distributed.patience import ANSWER_S, PLACE_S, Patience
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.moments import STATE, Moments, moments_of_state
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.runs.checkpoint import load_newest

Answer = TypeVar("Answer")


class LearnerSeat:
    def __init__(
        self, crew: Crew, run: Run, faults: Faults, patience: Patience, on_death: Callable[[RayError], None]
    ) -> None:
        """`on_death` is told of every learner that dies, and may end the run by raising."""
        self.actor = LearnerActor(crew, run.config, run.spaces)
        self.learner_steps = 0  # updates done
        self.version = 0  # of `weights`
        self.weights: Reference = None  # the policy's, after `begin`
        self.observed: Moments | None = None  # by the rollouts; it outlives learners
        self.returns: Returns | None = None  # likewise, where pruning goes by them
        self._crew = crew
        self._run = run
        self._faults = faults
        self._patience = patience
        self._on_death = on_death
        self._shards: list[ReplayActor] = []

    def node(self) -> str:
        """Ray's id of the node that it runs on."""
        return str(self._get(self.actor.node_later(), PLACE_S))

    def connect(self, shards: list[ReplayActor]) -> None:
        """Let batches come from these shards, for this learner and those that take its place."""
        self._shards = shards
        self._get(self.actor.connect_later(shards), PLACE_S)

    def note(self, observed: Moments | None, returns: Sequence[float] = ()) -> None:
        """Take in what a rollout has observed, and the returns of episodes that ended, for the updates to come."""
        if observed is not None:
            self.observed = self.observed.joined(observed) if self.observed else observed
        if returns:
            episodes = self._run.config.topology.hold_episodes
            self.returns = (self.returns or Returns()).joined(returns, episodes)

    def learn(self, updates: int, sizes: Sequence[int]) -> Learning:
        return self.actor.learn_later(updates, sizes, self.observed, self.returns)

    def restore(self, state: LearnerState) -> None:
        self.observed = self.observed or moments_of_state(*state)
        if self.returns is None and RETURNS in state.values:
            self.returns = Returns.of(state.values[RETURNS])
        self.learner_steps = self._get(self.actor.restore_later(state))

    def begin(self) -> None:
        """Ask for the first weights."""
        self.weights = self.actor.weights_later()

    def take_in(self, learned: Learned, learning: Learning) -> None:
        self.learner_steps = learned.learner_steps
        self._take_weights(learning.weights)

    def state(self) -> LearnerState:
        """The learner's, with all that has been observed and returned, of which it may not know the last yet."""
        state: LearnerState = self._ask(lambda learner: self._get(learner.state_later()))
        arrays, values = state
        if self.returns is not None:
            values = {**values, RETURNS: self.returns.values()}
        if self.observed is not None:
            arrays, values = arrays | self.observed.arrays(), {**values, STATE: self.observed.number}
        return LearnerState(arrays, values)

    def policy_weights(self) -> PolicyWeights:
        """The current policy's."""
        try:
            return self._get(self.weights)  # type: ignore[no-any-return]
        except RayError:
            self.refresh_weights()
            return self.policy_weights()

    def evaluated_weights(self) -> PolicyWeights:
        """Those of the policy that is evaluated, which nobody else acts by."""
        if not self._run.config.policy.average:
            return self.policy_weights()
        weights: PolicyWeights = self._ask(lambda learner: self._get(learner.evaluated_weights_later()))
        return weights

    def refresh_weights(self) -> None:
        """Ask for the weights anew: those there are may have been lost with a process."""

        def ask(learner: LearnerActor) -> Reference:
            weights = learner.weights_later()
            self._get(weights)
            return weights

        self._take_weights(self._ask(ask))

    def replace(self, error: RayError) -> None:
        """Let another take the place of the one that died over `error`."""
        before = self.learner_steps
        while True:
            self._on_death(error)
            self.actor.kill()
            try:
                self.actor = LearnerActor(self._crew, self._run.config, self._run.spaces)
                self.connect(self._shards)
                self._restore_newest()
                break
            except RayError as another:
                error = another
        self._faults.count(updates_lost=max(0, before - self.learner_steps))
        self._take_weights(self.actor.weights_later())

    def _restore_newest(self) -> None:
        """From the newest checkpoint, or from the beginning where there is none."""
        newest = load_newest(
            self._run.directory.checkpoints, self._run.form, lambda checkpoint: None, self._run.display.say
        )
        self.learner_steps = 0
        if newest is not None:
            checkpoint, _ = newest
            self.restore(LearnerState(checkpoint.arrays, checkpoint.values["learner"]))

    def _get(self, reference: Reference, limit_s: float = ANSWER_S) -> Any:
        return self._patience.get(reference, "learner", limit_s)

    def _take_weights(self, weights: Reference) -> None:
        self.weights = weights
        self.version += 1

    def _ask(self, ask: Callable[[LearnerActor], Answer]) -> Answer:
        """The answer of the learner, or of the one that takes its place."""
        while True:
            try:
                return ask(self.actor)
            except RayError as error:
                if not actors.is_loss(error):
                    raise
                self.replace(error)
