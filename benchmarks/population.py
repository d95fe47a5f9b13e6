"""How fast is a population? Updates and whole training of P members, beside one run on each other engine.

    python -m benchmarks.population --device cuda                    # on a GPU machine: some ten minutes
    python -m benchmarks.population --device cpu --small             # anywhere: that it works

One run of it prints one JSON object a line, each with what it was measured on: first how far an update on the device is
from one on the CPU (`agreement`), then updates a second (`updates`), then env steps a second of whole runs, evaluations
and checkpoints included (`training`). Nothing is printed of what was not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.bench.made_up_population import populate
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.plan_file import Plan
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.types import Spaces

TASKS = ("Hopper-v5", "HalfCheetah-v5", "Ant-v5")


class Measured(NamedTuple):
    """How much is measured."""

    device: str
    slots: list[int]
    tasks: list[str]
    algorithms: list[str]
    seconds: float  # of each timing
    env_steps: int  # of each member of a whole training; 0: none
    processes: int
    hidden: list[int]


def main() -> None:
    plan = read_plan()
    about = describe(plan.device)
    for task in plan.tasks:
        for algo in plan.algorithms:
            for record in measure(plan, task, algo):
                print(json.dumps({**record, "env": task, "algo": algo, **about}), flush=True)  # noqa: T201


def read_plan() -> Measured:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--slots", default="32,64,128")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--algorithms", default="td3,sac")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--env-steps", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--small", action="store_true", help="seconds long: small networks, few members")
    given = parser.parse_args()
    if given.small:
        return Measured(given.device, [2, 4], ["Hopper-v5"], ["td3", "sac"], 0.3, 300, 2, [32, 32])
    return Measured(
        given.device,
        [int(each) for each in given.slots.split(",")],
        given.tasks.split(","),
        given.algorithms.split(","),
        given.seconds,
        given.env_steps,
        given.processes,
        [256, 256],
    )


def describe(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else "cpu"
    return {"device": name, "cores": os.cpu_count(), "versions": installed_versions()}


def make_config(plan: Measured, env: str, algo: str, method: str, **changes: Any) -> ExperimentConfig:
    sparsity = {} if method == "dense" else {"sparsity": {"policy": 0.98, "critic": 0.95}}
    network = {"hidden": plan.hidden}
    return resolve({"env": {"id": env}, "algo": algo, "method": method, "network": network, **sparsity, **changes})


def measure(plan: Measured, env: str, algo: str) -> Any:
    config = make_config(plan, env, algo, "dense")
    spaces = probe_spaces(config.env)
    if plan.device != "cpu":
        yield {"what": "agreement", "largest_deviation": deviation(config, spaces, plan.device)}
    for name, alone in (
        ("sparse engine, dense", config),
        ("sparse engine, rlx2", make_config(plan, env, algo, "rlx2")),
    ):
        yield {"what": "updates", "of": name, "members": 1, "per_s": updates_alone(alone, spaces, plan.seconds)}
    torch_config = make_config(plan, env, algo, "dense", engine="torch", device=plan.device)
    per_s = updates_alone(torch_config, spaces, plan.seconds)
    yield {"what": "updates", "of": f"torch engine on {plan.device}, dense", "members": 1, "per_s": per_s}
    for slots in plan.slots:
        per_s = updates_together(config, spaces, slots, plan.device, plan.seconds)
        yield {"what": "updates", "of": "population, dense", "members": slots, "per_s": per_s}
    for slots in plan.slots if plan.env_steps else []:
        per_s = training(plan, env, algo, slots)
        yield {"what": "training", "of": "population, dense", "members": slots, "env_steps_per_s": per_s}


def deviation(config: ExperimentConfig, spaces: Spaces, device: str) -> float:
    """The largest difference of a weight after ten updates on the device and on the CPU, from one state and noise."""
    arrays = []
    for where in ("cpu", device):
        population, members = populate(config, spaces, 4, where)
        for _ in range(10):
            population.update(members)
        arrays.append(members[3].state().arrays)
    ours, theirs = arrays
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours if ours[name].dtype.kind == "f")


def updates_together(config: ExperimentConfig, spaces: Spaces, slots: int, device: str, seconds: float) -> float:
    """Updates of agents a second."""
    population, members = populate(config, spaces, slots, device)
    synchronize: Callable[[], None] = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    return slots * calls_per_s(lambda: population.update(members), synchronize, seconds)


def updates_alone(config: ExperimentConfig, spaces: Spaces, seconds: float) -> float:
    learner, random = make_learner(config, spaces), np.random.default_rng(0)
    batches = [random_batch(config, spaces, random) for _ in range(4)]
    synchronize: Callable[[], None] = torch.cuda.synchronize if config.device.startswith("cuda") else lambda: None
    return calls_per_s(lambda: learner.update(batches[learner.learner_steps % 4]), synchronize, seconds)


def calls_per_s(call: Callable[[], None], synchronize: Callable[[], None], seconds: float) -> float:
    """Without the first calls, which may compile or allocate."""
    for _ in range(4):
        call()
    synchronize()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        call()
        call()
        calls += 2
    synchronize()
    return calls / (time.perf_counter() - started)


def training(plan: Measured, env: str, algo: str, slots: int) -> float:
    """Env steps a second of all members together, from the start to the last result."""
    config = make_config(
        plan,
        env,
        algo,
        "dense",
        engine="population",
        device=plan.device,
        steps=plan.env_steps,
        agent={"warmup_steps": min(1_000, plan.env_steps // 4)},
    )
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        started = time.perf_counter()
        arm.start(Plan(config, tuple(range(slots)), 0, plan.processes, uri, "bench"), slots, Path(folder) / "arm")
        return slots * plan.env_steps / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
