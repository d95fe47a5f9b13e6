"""The outward side of a run, the same for both runtimes: its points, checkpoints, result, tracking and display."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.experiment.deployed import play_deployed
from rlx2_ray.experiment.display import Display
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.interruption import StopAsked, StopWish
from rlx2_ray.experiment.predecessors import expert_config
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest, save_policy
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs import result
from rlx2_ray.runs.checkpoint import (
    Checkpoint,
    checkpoint_path,
    forget_after,
    list_checkpoints,
    load_newest,
    save_checkpoint,
)
from rlx2_ray.runs.checkpoint_arrays import kept_arrays, kept_policy
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.checkpoint_values import BEST, OWED
from rlx2_ray.runs.directory import RunDirectory, Waiting, describe_evaluations, reason
from rlx2_ray.runs.final_score import score_of_points, scored
from rlx2_ray.runs.parts import Point
from rlx2_ray.sparse.plan import AgentPlan
from rlx2_ray.topology_rules import facts_of
from rlx2_ray.tracking import tags
from rlx2_ray.tracking.tracker import Status, Tracker
from rlx2_ray.types import BadInput, Interrupted, RunFailed, Spaces

AT_THE_END = {  # keys of a result -> their names in MLflow
    **{name: name for name in ("env_steps", "score", "size_ratio", "compression", *result.C_BYTES)},
    "wall_s": "throughput/wall_s",
    "evaluation_s": "throughput/all_evaluations_s",
}
EVALUATION_S = "throughput/evaluation_s"  # of a point: seconds that its evaluation took

Replay = TypeVar("Replay")
Training = Generator[Point, None, dict[str, Any]]  # each point when it was measured; returns the result
Say = Callable[[str], None]
Futility = Callable[[Sequence[Point]], bool]  # whether a run with these points so far is not worth going on with


def never(points: Sequence[Point]) -> bool:
    return False


def check_convergence(env_steps: int, learner_steps: int, metrics: Mapping[str, float]) -> None:
    """Raises RunFailed where training diverged."""
    for name, value in metrics.items():
        if not math.isfinite(value) and name.startswith("train/"):
            raise RunFailed(f"{name} became {value} by update {learner_steps} (env step {env_steps}).")


class Run:
    def __init__(
        self,
        config: ExperimentConfig,
        spaces: Spaces,
        directory: RunDirectory,
        tracker: Tracker,
        display: Display,
        stop: StopWish,
        is_futile: Futility = never,
    ) -> None:
        self.config = config
        self.spaces = spaces
        self.directory = directory
        self.tracker = tracker
        self.display = display
        self.ended_early = False  # futile: it stops at its latest point, and counts as what it is
        self._stop = stop
        self._is_futile = is_futile
        self._points: list[Point] = []
        self._new_points: list[Point] = []
        self._best: tuple[Arrays, dict[str, Any] | None] = ({}, None)  # the best policy, and what is said of it
        self._wall_before_s = self._training_before_s = 0.0
        self._started = time.monotonic()
        self._paused_s = 0.0
        self._is_behind = False  # the latest checkpoint that was due could not be written

    @property
    def last_evaluated(self) -> int:
        """The env step of the latest point; 0 where there is none."""
        return self._points[-1]["env_steps"] if self._points else 0

    @property
    def wall_s(self) -> float:
        """The seconds since the run began, in all its lives."""
        return self._wall_before_s + time.monotonic() - self._started

    @property
    def training_s(self) -> float:
        """The part of `wall_s` that was not paused."""
        return self._training_before_s + time.monotonic() - self._started - self._paused_s

    def take_new_points(self) -> list[Point]:
        """Return the points recorded since the last call."""
        points, self._new_points = self._new_points, []
        return points

    @contextmanager
    def pause_training_clock(self) -> Iterator[None]:
        """Stop the clock for work that holds the training up and is not part of it: evaluation and checkpoints."""
        before = time.monotonic()
        try:
            yield
        finally:
            self._paused_s += time.monotonic() - before

    def check_interrupted(self, save: Callable[[], None]) -> None:
        """Raises Interrupted, after `save`, where the user asked to stop."""
        if not self._stop.hear():
            return
        save()
        if self._is_behind:
            raise Interrupted(f"Stopped without a checkpoint of this moment: make room, then {self._remedy()}")
        raise Interrupted(f"Stopped; 'rlx2 resume {self.directory.path}' goes on.")

    def stop_is_wished(self) -> bool:
        return self._stop.wished

    def end_unsaved(self) -> None:
        """Raises Interrupted: the user asked to stop, and what is to be saved does not answer."""
        raise Interrupted(f"Stopped, though not all actors answered: {self._remedy()}") from None

    def check_stop(self, env: object = None) -> None:
        """Raises StopAsked where the user asked to stop: at every env step of an evaluation."""
        self._stop.check()

    def advance(self, env_steps: int, replay_size: int, policy_distance: float) -> None:
        """Show progress."""
        self.display.advance(env_steps, lambda: self._status(replay_size, policy_distance))

    def _status(self, replay_size: int, policy_distance: float) -> dict[str, str]:
        return {
            "return": f"{self._points[-1]['return_mean']:.1f}" if self._points else "-",
            "sparsity": f"{self.config.sparsity.policy:.0%}/{self.config.sparsity.critic:.0%}",
            "buffer": str(replay_size),
            "policy distance": "-" if math.isnan(policy_distance) else f"{policy_distance:.3f}",
        }

    def record(
        self,
        env_steps: int,
        learner_steps: int,
        evaluation: Evaluation,
        policy: PolicyWeights,
        metrics: dict[str, float],
    ) -> None:
        """Record one evaluation of a policy, with what else is known at that moment.

        Raises RunFailed where training diverged.

        A policy that was trained is kept where no evaluation of one before was better; of a run that prunes by and by
        only those of the fewest weights compete. Where the run has gone on since that moment, `metrics` have its
        `rates` as well.
        """
        check_convergence(env_steps, learner_steps, metrics)
        metrics = {**metrics, **(self.rates(env_steps, learner_steps) | metrics), EVALUATION_S: evaluation.seconds}
        shown = {name: value for name, value in metrics.items() if math.isfinite(value)}
        point = {
            "env_steps": env_steps,
            "learner_steps": learner_steps,
            "return_mean": evaluation.mean,
            "return_std": evaluation.std,
            "wall_s": self.wall_s,
            **shown,
        }
        self.directory.append(point)
        if learner_steps and self._is_best(evaluation.mean, policy):
            about = {name: point[name] for name in ("env_steps", "learner_steps", "return_mean", "return_std")}
            self._write_policy(self.directory.best_policy_file, policy, about)
            self._best = ({name: array.copy() for name, array in kept_arrays(BEST, policy).items()}, about)
        self._points.append(point)
        self._new_points.append(point)
        self.ended_early = self.ended_early or self._is_futile(self._points)
        self.tracker.log([_tracked(point)])
        if evaluation.warning:
            self.display.say(evaluation.warning)
        self.display.say(
            f"env step {env_steps}  return {evaluation.mean:.1f} ± {evaluation.std:.1f}  "
            f"buffer {metrics['replay/size']:.0f}  {metrics['throughput/env_steps_per_s']:.0f} steps/s"
        )

    def _is_best(self, mean: float, policy: PolicyWeights) -> bool:
        """Whether the file that is handed out is to be this policy; not one from before it was as small as it is."""
        arrays, about = self._best
        if facts_of(self.config.topology.rule).prunes and about is not None:
            weights, kept = _weights(policy), _weights(kept_policy(BEST, arrays))
            return weights < kept or (weights == kept and mean >= about["return_mean"])
        before = (each["return_mean"] for each in self._points if each["learner_steps"])
        return mean >= max(before, default=-math.inf)

    def rates(self, env_steps: int, learner_steps: int) -> dict[str, float]:
        """So far."""
        return {
            "throughput/env_steps_per_s": env_steps / self.training_s,
            "throughput/learner_steps_per_s": learner_steps / self.training_s,
        }

    def save_checkpoint(
        self, env_steps: int, arrays: Arrays, values: dict[str, Any], save_replay: Callable[[Path, Path | None], None]
    ) -> None:
        """Write a checkpoint; where there is no room, say so and keep those there are, as the next one is another try.

        Raises RunFailed, and keeps them too, where the arrays hold NaN or infinity.
        """
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise RunFailed(f"{name} is not finite at env step {env_steps}; the last good checkpoint is kept.")
        points = [point for point in self._points if point["env_steps"] <= env_steps]
        best, about = self._best
        spent = {"env_steps": env_steps, "wall_s": self.wall_s, "training_s": self.training_s}
        own = {**spent, "points": points, BEST: about}
        root, keep = self.directory.checkpoints, self.config.checkpoint.keep
        try:
            path = save_checkpoint(root, env_steps, arrays | best, values | own, save_replay, keep)
        except OSError as error:
            self._say_unwritten(checkpoint_path(root, env_steps), error)
            self._is_behind = True
            return
        if self._is_behind:
            self.display.say(f"Checkpoints can be written again: {path}.")
        self._is_behind = False

    def _say_unwritten(self, path: Path, error: OSError) -> None:
        newest = self._newest_checkpoint()
        left = f"{newest.name} stays the newest" if newest else "there is none yet"
        why = reason(error)
        self.display.say(f"The checkpoint {path} cannot be written ({why}), so {left}: make room for the next one.")

    def _newest_checkpoint(self) -> Path | None:
        return newest_checkpoint(self.directory)

    def _remedy(self) -> str:
        """How a run that ends without the checkpoint it should have had goes on."""
        return describe_resuming(self.directory)

    @property
    def form(self) -> RunForm:
        """What its checkpoints can hold."""
        return RunForm(self.config, self.spaces, expert_config(self.config))

    def load_checkpoint(self, load_replay: Callable[[Path], Replay]) -> tuple[Checkpoint, Replay] | None:
        """Read the newest good checkpoint, with the points as they were then; None where the run begins anew.

        Raises RunFailed where there are checkpoints, but none that can be read, and BadInput where the environment has
        become another one.
        """
        root, form = self.directory.checkpoints, self.form
        damages: list[str] = []

        def load(checkpoint: Checkpoint) -> Replay:
            form.check_sizes(checkpoint.arrays, self.directory.path)
            return load_replay(checkpoint.replay)

        loaded = load_newest(root, form, load, damages.append)
        for damage in damages:
            self.display.say(damage)
        if loaded is None and damages:
            newest = damages[0].partition(";")[0]
            raise RunFailed(
                f"No checkpoint in {root} can be read ({newest}): restore one, or remove them all to begin anew."
            )
        forget_after(root, loaded[0].path if loaded else None)
        if loaded is None:
            self.directory.write_points(())
            return None
        values = loaded[0].values
        self._points = self._points_of(loaded[0])
        self._restore_best(loaded[0])
        log_points(self.tracker, self._points)
        self._wall_before_s, self._training_before_s = values["wall_s"], values["training_s"]
        return loaded

    def _restore_best(self, checkpoint: Checkpoint) -> None:
        """The best policy as it was then, whatever became of its file; a checkpoint of an earlier version has none."""
        if BEST not in checkpoint.values:
            return
        policy, about = kept_policy(BEST, checkpoint.arrays), checkpoint.values[BEST]
        self._best = (kept_arrays(BEST, policy), about)
        file = self.directory.best_policy_file
        if about is None:
            file.unlink(missing_ok=True)
        elif not _is_there(file, policy, about):
            self._write_policy(file, policy, about)

    def _points_of(self, checkpoint: Checkpoint) -> list[Point]:
        """The points up to a checkpoint, which holds them, so that whatever became of their own file is made good.

        Those of an earlier version do not: there it is the file's word alone.
        """
        env_steps, known = checkpoint.values["env_steps"], checkpoint.values.get("points")
        if known is None:
            return self.directory.rewind(env_steps)
        try:
            on_file = [point for point in self.directory.read_points() if point["env_steps"] <= env_steps]
        except BadInput:
            on_file = []
        if OWED in checkpoint.values:
            on_file = on_file[: len(known)]  # what was owed is played and recorded anew
        if json.dumps(on_file[: len(known)]) == json.dumps(known):
            points = on_file  # on actors an evaluation may end after the checkpoint of a later step
        else:
            points = known
            self.display.say(
                f"{self.directory.progress_file} lacked evaluations or had been changed: those up to env step "
                f"{env_steps} are taken from {checkpoint.path.name}."
            )
        self.directory.write_points(points)
        return points

    def finish(
        self,
        env_steps: int,
        learner_steps: int,
        policy: PolicyWeights,
        plan: AgentPlan,
        faults: dict[str, int] | None = None,
        played: Evaluation | None = None,
    ) -> dict[str, Any]:
        """Write the policy and the result, and return the latter. Raises RunFailed where there is no room.

        `plan`: what the networks have come to (`agents/reached.py`). `faults`: what died and what was lost, by name.
        `played`: what came of the policy of the best evaluation, where it has been played again elsewhere.
        """
        if self._is_behind:
            raise RunFailed(f"The last checkpoint is not written: make room, then {self._remedy()}")
        self._write_policy(self.directory.policy_file, policy, {})
        with self.pause_training_clock():
            before = time.monotonic()
            deployed = self._play_deployed(played)
            deployed_s = time.monotonic() - before + (played.seconds if played else 0.0)
        outcome = self._outcome(env_steps, learner_steps, policy, plan)
        outcome |= {"evaluation_s": self._evaluation_s(deployed_s)}
        outcome |= {"deployed": deployed, "faults": faults or {}}
        return deliver(self.directory, self.tracker, outcome, self.display.say)

    def _play_deployed(self, played: Evaluation | None) -> dict[str, Any] | None:
        try:
            return play_deployed(self.config, self.directory, self.display.say, self.check_stop, played)
        except StopAsked:
            raise Interrupted(f"Stopped; 'rlx2 resume {self.directory.path}' goes on.") from None

    def _evaluation_s(self, deployed_s: float) -> float | None:
        """The seconds of all evaluations; None where an earlier version made some, which did not keep them."""
        kept = [point[EVALUATION_S] for point in self._points if EVALUATION_S in point]
        return deployed_s + sum(kept) if len(kept) == len(self._points) else None

    def _write_policy(self, file: Path, policy: PolicyWeights, about: dict[str, Any]) -> None:
        env = self.config.env.fields()
        with self.directory.writing(file):
            save_policy(
                file, PolicyFile(policy.layers, self.config.algo, env, self.spaces, about, policy.normalization)
            )

    def _outcome(self, env_steps: int, learner_steps: int, policy: PolicyWeights, plan: AgentPlan) -> dict[str, Any]:
        newest = self._newest_checkpoint()
        return {
            **result.describe_identity(self.config),
            "env_steps": env_steps,
            "learner_steps": learner_steps,
            "ended_early": self.ended_early,
            "score_window": scored([point["env_steps"] for point in self._points], self.config.evaluation),
            "score": score_of_points(self._points, self.config.evaluation),
            "evaluations": describe_evaluations(self._points),
            **result.describe_costs(self.config, plan),
            **result.describe_bytes(policy.layers, self.spaces.action_size),
            "env_steps_per_s": env_steps / self.training_s,
            "learner_steps_per_s": learner_steps / self.training_s,
            "wall_s": self.wall_s,
            "policy_digest": policy_digest(*policy),
            "mlflow_run_id": self.tracker.run_id,
            "checkpoint": str(newest) if newest else None,
            "versions": result.installed_versions(),
        }


def _is_there(file: Path, policy: PolicyWeights, about: dict[str, Any]) -> bool:
    try:
        there = load_policy(file)
    except BadInput:
        return False
    return there.about == about and policy_digest(*there.weights) == policy_digest(*policy)


def newest_checkpoint(directory: RunDirectory) -> Path | None:
    return next(reversed(list_checkpoints(directory.checkpoints)), None)


def describe_resuming(directory: RunDirectory) -> str:
    """From where a run goes on that ended at once."""
    newest = newest_checkpoint(directory)
    rest = f"goes on from {newest.name}" if newest else "begins anew"
    return f"'rlx2 resume {directory.path}' {rest}."


def deliver(directory: RunDirectory, tracker: Tracker, outcome: dict[str, Any], say: Say) -> dict[str, Any]:
    """Give a finished run's files to the tracker and end its MLflow run; a mark stays while that has not succeeded."""
    directory.mark_undelivered()
    # Earlier versions did not keep all of them.
    ended = {name: value for key, name in AT_THE_END.items() if (value := outcome.get(key)) is not None}
    tracker.log([ended | _tracked_deployed(outcome)])
    if outcome["ended_early"]:
        tracker.log_tags({tags.ENDED_EARLY: "true"})
    files = (directory.config_file, directory.policy_file, directory.best_policy_file)
    tracker.log_artifacts([file for file in files if file.exists()])  # a run from an archive has no policies
    end_tracking(directory, tracker, "FINISHED", say)
    outcome = {**outcome, "mlflow_run_id": tracker.run_id}
    directory.write_result(outcome)
    return outcome


def end_tracking(directory: RunDirectory, tracker: Tracker, status: Status, say: Say) -> None:
    """End the MLflow run; where not all of it gets there, a mark stays, and it is said how much waits."""
    if tracker.finish(status):
        directory.undelivered_mark.unlink(missing_ok=True)
        return
    waiting = Waiting(status, tracker.waiting)
    directory.mark_undelivered(waiting)
    say(waiting.sentence(directory.path))


def _tracked_deployed(outcome: dict[str, Any]) -> dict[str, float]:
    deployed = outcome.get("deployed")  # a run of an earlier version has none
    return {f"deployed/{name}": deployed[name] for name in ("return_mean", "return_std")} if deployed else {}


def deliver_again(directory: RunDirectory, tracker: Tracker, outcome: dict[str, Any], say: Say) -> dict[str, Any]:
    """`deliver` for a run that finished while the store was out of reach, with all its points."""
    log_points(tracker, directory.read_whole()[1])
    return deliver(directory, tracker, outcome, say)


def log_points(tracker: Tracker, points: Sequence[Point]) -> None:
    """Send those that the store does not have."""
    tracker.log([_tracked(point) for point in points])


def _weights(policy: PolicyWeights) -> int:
    return sum(len(layer.indices) for layer in policy.layers)


def _tracked(point: dict[str, Any]) -> dict[str, float]:
    """A point under the names it has in MLflow."""
    renamed = {"return_mean": "evaluation/return_mean", "return_std": "evaluation/return_std"}
    return {renamed.get(name, name): value for name, value in point.items() if name != "wall_s"}
