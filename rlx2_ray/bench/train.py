"""Whole training on one core, environment included: env steps a second of the learning phase, and of a whole run.

The former leaves evaluations out, as a run's own rate does. The latter has those of the configuration, all of them
taken for full episodes, which those of a good policy are.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig, dense_counterpart, merge, resolve
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, evaluation_steps
from rlx2_ray.experiment.inline import train_inline
from rlx2_ray.experiment.session import start
from rlx2_ray.runs.directory import Tracking

WARM_UP = 1_000  # env steps of random actions
SKIPPED = 500  # learning env steps before the clock starts


def bench_train(config: ExperimentConfig, env_steps: int) -> dict[str, Any]:
    """Measures env steps a second as configured, dense on the same engine, and dense on the torch engine."""
    dense = dense_counterpart(config)
    on_torch = resolve(merge(dense.model_dump(), {"engine": "torch"}))
    contestants = {"sparse": config, "dense": dense, "torch_dense": on_torch}
    rates = {name: training_speed(each, env_steps) for name, each in contestants.items()}
    whole = {name: whole_speed(each, rates[name]) for name, each in contestants.items()}
    return {
        "env_steps": env_steps,
        **{f"{name}_env_steps_per_s": rate for name, rate in rates.items()},
        **{f"{name}_whole_env_steps_per_s": rate for name, rate in whole.items()},
        "ratio_vs_torch_dense": rates["sparse"] / rates["torch_dense"],
        "whole_ratio_vs_torch_dense": whole["sparse"] / whole["torch_dense"],
    }


def whole_speed(config: ExperimentConfig, rate: float) -> float:
    """Returns the env steps a second of a whole run that trains at `rate`, with its evaluations.

    An env step of an evaluation is timed with the policy of a learner that has learned nothing.
    """
    with closing(EnvLane(config.env, config.seed, STREAM)) as lane:
        evaluated = evaluation_steps(config, lane.env)
        policy = make_learner(config, lane.spaces).evaluated_policy()
        step = time_in_turns({"step": lambda: lane.step(policy.action(lane.observation))}).calls["step"]
    return with_evaluations(config.steps, rate, evaluated, step.microseconds / 1e6)


def with_evaluations(steps: int, rate: float, evaluated: int, step_s: float) -> float:
    """Returns the env steps a second of `steps` at `rate` and of `evaluated` more, uncounted, of `step_s` seconds."""
    return steps / (steps / rate + evaluated * step_s)


def training_speed(config: ExperimentConfig, env_steps: int) -> float:
    """Returns the env steps a second of a real run, inline, in a folder that is removed.

    Its clock stands still during evaluations and checkpoints. `env_steps`, rounded up, are timed, after a short
    warm-up; their targets have their full n steps.
    """
    first = WARM_UP + SKIPPED
    last = first * (1 + -(-env_steps // first))  # evaluations, which the times come from, are `first` steps apart
    changes = {
        "steps": last,
        "agent": {"warmup_steps": WARM_UP},
        "target": {"n_step_start": 0},
        "evaluation": {"interval": first, "early_interval": first, "episodes": 1, "deployed_episodes": 0},
        "runtime": {"kind": "inline"},
    }
    with tempfile.TemporaryDirectory(prefix="rlx2-bench-") as folder:
        run = Path(folder) / "run"
        tracking = Tracking(f"sqlite:///{folder}/mlflow.db", "bench")
        start(resolve(merge(config.model_dump(), changes)), run, tracking, train_inline)
        points = [json.loads(line) for line in (run / "progress.jsonl").read_text().splitlines()]
    seconds = _training_s(points[-1]) - _training_s(points[0])
    return (last - first) / seconds


def _training_s(point: dict[str, Any]) -> float:
    seconds: float = point["env_steps"] / point["throughput/env_steps_per_s"]
    return seconds
