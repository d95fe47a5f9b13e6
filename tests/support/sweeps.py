"""Compressions and sweeps that nobody trained: made-up curves, in the files and the MLflow runs of real ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlx2_ray.config import ExperimentConfig, Tree, merge, nest, resolve
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Spaces
from tests.support.runs import PLAYED, RESULT, database_uri

STEPS, INTERVAL = 200_000, 5_000
OBSERVATION, ACTION = 11, 3
DENSE, RANDOM, NOISE = 3_000.0, 20.0, 0.06
DEPLOYED_GAIN = 1.1  # over random, in parts of the other score's
EXPERIMENT = "hopper-compression"
STOPPED = "p0.9900-c0.9800-s0"  # the trial that was hopeless
BASE: Tree = {
    "env": {"id": "Hopper-v5"},
    "algo": "td3",
    "steps": STEPS,
    "evaluation": {"interval": INTERVAL},
    "topology": {"interval": 2_000},
}
LEVELS = (0.5, 0.63, 0.72, 0.8, 0.85, 0.88, 0.91, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995)
VERSIONS = {"python": "3.11.9", "rlx2_ray": "0.1.0", "ray": "2.60.0", "gymnasium": "1.2.2", "mujoco": "4.0.0"}


class Made(NamedTuple):
    """A made-up trial, as a run directory would hold it."""

    name: str
    config: ExperimentConfig
    purpose: str
    points: list[Tree]
    score: float | None  # None: it still trains
    member: str = ""  # of a queue
    deployed: float | None = None  # None: of an earlier version

    @property
    def tags(self) -> dict[str, str]:
        own = {"rlx2.trial": self.name, "rlx2.purpose": self.purpose}
        return {**own, "rlx2.member": self.member} if self.member else own


def compression(running: bool = False, played: bool = False) -> tuple[Tree, list[Made]]:
    """record.json and the trials of a search on Hopper: dense, 93/88, 96/93, 98/95 and 99/98 %, 3 to 8 seeds each.

    The last two trials of one that is `running` are half way. Where all were `played` the deployed gain is 1.1 times
    the other one, in every run, so that each ratio is the same by both scores.
    """
    trials = [make_trial(f"dense-s{seed}", nest("method", "dense"), seed, "dense", 1.0) for seed in range(8)]
    arms = [(0.93, 0.88, 4, 0.98), (0.96, 0.93, 4, 1.0), (0.99, 0.98, 3, 0.72), (0.98, 0.95, 8, 1.06)]
    for policy, critic, seeds, plateau in arms:
        for k in range(seeds):
            seed, purpose = (k, "search") if k < 4 else (996 + k, "confirm")
            changes = {"sparsity": {"policy": policy, "critic": critic}}
            trials.append(make_trial(f"p{policy:.4f}-c{critic:.4f}-s{seed}", changes, seed, purpose, plateau))
    stopped = next(place for place, trial in enumerate(trials) if trial.name == STOPPED)
    trials[stopped] = cut(trials[stopped], 0.7)
    if running:
        trials[-2:] = [cut(trial, 0.5) for trial in trials[-2:]]
    if played:
        trials = [trial._replace(deployed=_deployed(trial.score)) for trial in trials]
    decisions = [_decision(trials, policy, critic) for policy, critic, _, _ in arms[: 3 if running else 4]]
    return _record(trials, decisions, running), trials


def sweep() -> tuple[Tree, list[Made]]:
    """record.json and the trials of a 3 x 2 grid with two seeds."""
    trials = []
    for sparsity, plateau in ((0.5, 1.0), (0.9, 0.97), (0.99, 0.6)):
        for n_step in (1, 3):
            for seed in range(2):
                name = f"{len(trials):05d}-sparsity.policy={sparsity}-target.n_step={n_step}-seed={seed}"
                changes = merge(nest("sparsity.policy", sparsity), nest("target.n_step", n_step))
                trials.append(make_trial(name, changes, seed, "trial", plateau - 0.05 * (n_step == 1)))
    space = {
        "sparsity.policy": {"grid": [0.5, 0.9, 0.99]},
        "target.n_step": {"grid": [1, 3]},
        "seed": {"grid": [0, 1]},
    }
    record = {"kind": "sweep", "name": "delay", "state": "finished", "param_space": space, "config": BASE}
    return record | _common(len(trials)), trials


def queue() -> tuple[Tree, list[Made]]:
    """record.json and the trials of two tasks, each with a dense arm and others, of keys of their own."""
    arms = [
        ("hopper", "Hopper-v5", {"method": "rlx2", "sparsity": {"policy": 0.9, "critic": 0.8}}, 1.1),
        ("hopper", "Hopper-v5", {"method": "dense"}, 1.0),
        ("ant", "Ant-v5", {"method": "dense", "agent": {"tau": 0.01}}, 2.0),
        ("ant", "Ant-v5", {"sparsity": {"policy": 0.9, "critic": 0.8}, "agent": {"tau": 0.02}}, 1.0),
    ]
    trials = []
    for member, env, changes, plateau in arms:
        for seed in range(2):
            name = f"{member}-{len(trials):05d}-seed={seed}"
            made = make_trial(name, merge(changes, {"env": {"id": env}}), seed, "trial", plateau)
            trials.append(made._replace(member=member))
    record = {
        "kind": "sweep",
        "name": "campaign",
        "state": "finished",
        "config": BASE,
        "members": {"hopper": ["method", "seed"], "ant": ["method", "agent.tau", "seed"]},
        **_common(len(trials)),
        "spaces_of": {
            "Hopper-v5": _spaces(OBSERVATION, ACTION),
            "Ant-v5": _spaces(105, 8),
        },
    }
    return record, trials


def make_trial(name: str, changes: Mapping[str, Any], seed: int, purpose: str, plateau: float) -> Made:
    config = resolve(merge(merge(BASE, changes), {"seed": seed}))
    noise = np.random.default_rng([seed, len(purpose), round(1000 * config.sparsity.policy)])
    level = RANDOM + (DENSE - RANDOM) * plateau * (1 + NOISE * noise.standard_normal())
    speed = 25_000 * (1 + 0.2 * noise.random())
    steps = range(INTERVAL, STEPS + 1, INTERVAL)
    points = [_point(config, step, level, speed, noise) for step in steps]
    return Made(name, config, purpose, points, float(np.mean([point["return_mean"] for point in points[-30:]])))


def _point(config: ExperimentConfig, step: int, level: float, speed: float, noise: np.random.Generator) -> Tree:
    grown = 1 - math.exp(-step / speed)
    sparse = not config.is_dense
    point = {
        "env_steps": step,
        "learner_steps": max(0, step - config.agent.warmup_steps),
        "return_mean": RANDOM + (level - RANDOM) * grown + 60 * noise.standard_normal() * (1 - grown / 2),
        "return_std": 80.0 * noise.random(),
        "wall_s": step / 600,
        "train/critic_loss": 1.0 + noise.random(),
        "replay/size": float(min(step, 100_000 + 20_000 * math.sin(step / 15_000)) if sparse else step),
        "replay/policy_distance": 0.1 + 0.15 * math.exp(-step / 60_000) + 0.03 * noise.random(),
        "throughput/env_steps_per_s": 600 + 20 * noise.random(),
    }
    if sparse:
        names = [f"{net}.{layer}" for net in ("policy", "critic0", "critic1") for layer in range(3)]
        for rank, layer in enumerate(names):
            point[f"topology/{layer}_overlap"] = 1 - (0.15 + 0.05 * rank) * (1 - math.exp(-step / 60_000))
        point["topology/policy_overlap"] = point["topology/policy.1_overlap"]
        point["topology/critic_overlap"] = point["topology/critic0.1_overlap"]
    return point


def cut(trial: Made, fraction: float) -> Made:
    """The trial when that fraction of it was done."""
    return trial._replace(points=trial.points[: int(len(trial.points) * fraction)], score=None)


def _decision(trials: list[Made], policy: float, critic: float) -> Tree:
    of_arm = [t for t in trials if (t.config.sparsity.policy, t.config.sparsity.critic) == (policy, critic)]
    scores = [trial.score for trial in of_arm if trial.score is not None]
    dense = [trial.score for trial in trials if trial.purpose == "dense" and trial.score is not None]
    ratio = (float(np.mean(scores)) - RANDOM) / (float(np.mean(dense)) - RANDOM)
    error = 0.06 / math.sqrt(len(scores))
    probability = 0.5 * (1 + math.erf((ratio - 0.97) / error / math.sqrt(2)))
    size = relative_costs(of_arm[0].config, plan_agent(of_arm[0].config, OBSERVATION, ACTION)).size_ratio
    return {
        "policy_sparsity": policy,
        "critic_sparsity": critic,
        "size_ratio": size,
        "compression": 1 / size,
        "seeds": len(scores),
        "scores": scores,
        "ratio": ratio,
        "interval": [ratio - 1.96 * error, ratio + 1.96 * error],
        "probability": probability,
        "verdict": "accept" if probability >= 0.9 else "reject" if probability <= 0.1 else "inconclusive",
        **_by_other([trial.deployed for trial in of_arm if trial.score is not None], ratio, error, probability),
    }


def _by_other(scores: list[float | None], ratio: float, error: float, probability: float) -> Tree:
    if None in scores:
        return {}
    interval = [ratio - 1.96 * error, ratio + 1.96 * error]
    return {
        "other": {
            "score": "deployed", "scores": scores, "ratio": ratio, "interval": interval, "probability": probability,
        }
    }  # fmt: skip


def _deployed(score: float | None) -> float | None:
    return None if score is None else RANDOM + DEPLOYED_GAIN * (score - RANDOM)


def _record(trials: list[Made], decisions: list[Tree], running: bool) -> Tree:
    dense = [trial for trial in trials if trial.purpose == "dense" and trial.score is not None]
    seeds = [
        {
            "seed": trial.config.seed,
            "score": trial.score,
            "curve": [[point["env_steps"], point["return_mean"]] for point in trial.points],
            "cached": trial.config.seed < 2,
            **({} if trial.deployed is None else {"deployed": trial.deployed}),
        }
        for trial in dense
    ]
    statistic = float(np.mean([trial.score or 0 for trial in dense]))
    accepted = [decision for decision in decisions if decision["verdict"] == "accept"]
    best = min(accepted, key=lambda decision: decision["size_ratio"], default=None)
    ultimate = best and best | {"trial": "p{policy_sparsity:.4f}-c{critic_sparsity:.4f}-s2".format(**best)}
    return {
        "kind": "compress",
        "name": "Hopper-v5-td3",
        "config": BASE,
        "state": "running" if running else "finished",
        "protocol": {
            "axis": "tied",
            "threshold": 0.97,
            "accept": 0.9,
            "reject": 0.1,
            "statistic": "iqm",
            "steps": STEPS,
            "evaluation": "mean of the last 30 evaluations of 10 noise-free episodes, one every 5000 env steps",
        },
        "dense": {
            "seeds": seeds,
            "statistic": statistic,
            "interval": [statistic * 0.97, statistic * 1.03],
            "random": RANDOM,
            **_dense_by_other(statistic, dense),
        },
        "decisions": decisions,
        "stopped": [STOPPED],
        "beliefs": [_belief(runs) for runs in (8, 12, 16, 20, 24, 27)],
        "ultimate": None if running else ultimate,
        "runs": len(trials),
        "env_steps": sum(trial.points[-1]["env_steps"] for trial in trials),
        "messages": [],
        **_common(36),
        **({"updated": 4e9} if running else {}),  # seconds; its writer has never been silent
    }


def _dense_by_other(statistic: float, dense: list[Made]) -> Tree:
    by_other = _deployed(statistic)
    if by_other is None or any(trial.deployed is None for trial in dense):
        return {}
    return {"other": {"score": "deployed", "statistic": by_other, "interval": [by_other * 0.97, by_other * 1.03]}}


def _belief(runs: int) -> Tree:
    """Ever surer that the threshold is between 98 and 98.5 %."""
    width = 0.35 + 8 / (runs - 7)
    mass = [math.exp(-(((k - 12) / width) ** 2)) for k in range(len(LEVELS))]
    return {"runs": runs, "levels": list(LEVELS), "mass": [each / sum(mass) for each in mass]}


def _spaces(observation: int, action: int) -> Tree:
    return Spaces(observation, action, (-1.0,) * action, (1.0,) * action)._asdict()


def _common(runs: int) -> Tree:
    return {
        "metric": "score",
        "mode": "max",
        "started": 1_790_000_000.0,
        "updated": 1_790_010_000.0,
        "versions": VERSIONS,
        "tracking": {"uri": "sqlite:///mlflow.db", "experiment": EXPERIMENT, "run_id": None},
        "planned": {"runs": runs, "env_steps": runs * STEPS, "hours": 3.2},
        "spaces": _spaces(OBSERVATION, ACTION),
    }


def write_directory(path: Path, record: Tree, trials: list[Made]) -> Path:
    """As `rlx2 sweep` and `rlx2 compress` leave them."""
    for trial in trials:
        with closing(RunDirectory(path / "trials" / trial.name)) as directory:
            directory.create(trial.config, Tracking("sqlite:///mlflow.db", EXPERIMENT, tags=trial.tags))
        directory.progress_file.write_text("".join(json.dumps(point) + "\n" for point in trial.points))
        if trial.score is not None:
            played = {} if trial.deployed is None else {"deployed": PLAYED | {"return_mean": trial.deployed}}
            directory.write_result({**RESULT, "score": trial.score, **played, "versions": VERSIONS})
    (path / "record.json").write_text(json.dumps(record))
    return path


def write_store(folder: Path, record: Tree, trials: list[Made]) -> str:
    """The same in an MLflow database in `folder`, whose URI is returned."""
    from mlflow.entities import RunTag
    from mlflow.tracking import MlflowClient

    uri = database_uri(folder)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    location = (folder / "mlartifacts").as_uri()
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, location)
    tags = {"rlx2.kind": record["kind"], "rlx2.trial_key": record["name"]}
    parent = client.create_run(experiment, tags=tags, run_name=record["name"]).info.run_id
    client.log_text(parent, json.dumps(record), "record.json")
    for trial in trials:
        own = {
            "mlflow.parentRunId": parent,
            "rlx2.trial_key": trial.name,
            **trial.tags,
            "rlx2.seed": str(trial.config.seed),
        }
        run_id = client.create_run(experiment, tags=own, run_name=trial.name).info.run_id
        _log_trial(client, run_id, trial)
        if trial.score is not None:
            client.set_terminated(run_id, "FINISHED")
        elif trial.name in record.get("stopped", ()) or record["state"] != "running":
            client.set_terminated(run_id, "KILLED")
    if record["state"] != "running":
        client.set_terminated(parent, "FINISHED")
    client.log_batch(parent, tags=[RunTag("rlx2.note", "made up")])
    return uri


def _log_trial(client: Any, run_id: str, trial: Made) -> None:
    from mlflow.entities import Metric, Param

    from rlx2_ray.tracking.params import to_params

    metrics = [
        Metric({"return_mean": "evaluation/return_mean"}.get(name, name), value, 1_790_000_000_000 + step, step)
        for point in trial.points
        for step in [point["env_steps"]]
        for name, value in point.items()
        if name not in ("env_steps", "wall_s")
    ]
    if trial.score is not None:
        metrics.append(Metric("score", trial.score, 1_790_000_000_000, STEPS))
    if trial.deployed is not None:
        metrics.append(Metric("deployed/return_mean", trial.deployed, 1_790_000_000_000, STEPS))
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    flat = to_params(trial.config.model_dump(mode="json"))
    client.log_batch(run_id, params=[Param(name, value) for name, value in flat.items()])


def of_unknown_sizes(record: Record) -> Record:
    """The same of an environment whose observations and actions nobody has counted."""
    changed = {"frame_skip": 2}
    trials = [
        trial._replace(config=trial.config.model_copy(update={"env": trial.config.env.model_copy(
            update={"kwargs": changed})}))
        for trial in record.trials
    ]  # fmt: skip
    return replace(record, spaces=None, spaces_of={}, trials=tuple(trials))
