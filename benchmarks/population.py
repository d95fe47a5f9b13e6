"""How fast is a population? Updates and whole training of P members, beside the other engines on the same machine.

    python -m benchmarks.population --device cuda --out population.jsonl    # on a GPU machine: a quarter of an hour
    python -m benchmarks.population --device cpu --small                    # anywhere: that it works

One JSON object a line, written when it is known, each with what it was measured on: first how far updates on the device
are from those on the CPU (`agreement`), then updates a second (`updates`) and env steps a second of whole training
(`training`), evaluations included as often as usual: a long run that is cut after some seconds. (Of tasks whose
episodes end early at first, such as Hopper and Ant, a whole run has more evaluation steps than its beginning.)
What is most wanted comes first. Each has a forecast of the seconds that it takes; what does not fit into the rest of
`--minutes` is left out, and said; `--done FILE`, with the lines of an earlier call, goes on with that. Nothing is
printed of what was not measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rlx2_ray.agents.engines import make_learner, prepare_engine
from rlx2_ray.bench.made_up_population import populate
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment import session
from rlx2_ray.experiment.population import arm, lockstep
from rlx2_ray.experiment.population.plan_file import Plan
from rlx2_ray.replay.windows import compile_kernels
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.tracking import consent
from rlx2_ray.types import Interrupted, Spaces

Record = dict[str, Any]
AROUND_S = 15.0  # a whole training takes beside what is timed: directories, MLflow, checkpoints at its end
STARTING_S = 10.0  # processes of an engine, one for each core
NEVER = 10**9
WRONG = 1e-4  # of a weight after ten updates: more than an order of sums explains


class Measured(NamedTuple):
    """How much is measured."""

    device: str
    tasks: list[str]
    algorithms: list[str]
    slots: list[int]  # the first is that of the headline
    update_s: float  # of each timing of updates
    train_s: float  # of each whole training
    processes: int  # that step environments
    cores: int  # on which other engines train
    hidden: list[int]
    interval: int  # env steps between two evaluations
    prepare_s: float  # for what is compiled, on a machine on which nothing is yet
    minutes: float


class Item(NamedTuple):
    about: Record
    forecast_s: float
    measure: Callable[[], Record]


def main() -> None:
    plan, out, done = read_plan()
    started, about = time.monotonic(), describe(plan.device)
    with ExitStack() as stack:
        files = [sys.stdout, *([stack.enter_context(out.open("a"))] if out else [])]
        for item in filter(lambda item: item.about not in done, items(plan)):
            left = 60 * plan.minutes - (time.monotonic() - started)
            line = json.dumps({**item.about, "forecast_s": item.forecast_s, **taken(item, left), **about})
            for file in files:
                file.write(line + "\n")
                file.flush()


def taken(item: Item, left: float) -> Record:
    """What comes of one, where it fits into the seconds that are left."""
    if item.forecast_s > left:
        return {"left_out": f"{left:.0f} s are left"}
    begun = time.monotonic()
    record = attempt(item.measure)
    return {**record, "took_s": round(time.monotonic() - begun, 1)}


def attempt(measure: Callable[[], Record]) -> Record:
    """What one comes to; where it fails the others are still wanted."""
    try:
        return measure()
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def read_plan() -> tuple[Measured, Path | None, list[Record]]:
    """With where the lines go as well, and what of them is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=13.5)
    parser.add_argument("--out", type=Path, help="a file that the lines are added to, beside standard output")
    parser.add_argument("--small", action="store_true", help="a minute or two: small networks, few members")
    parser.add_argument("--done", type=Path, help="lines of an earlier call: what was measured is not measured again")
    given = parser.parse_args()
    plan = (small if given.small else whole)(given.device, given.minutes)
    return plan, given.out, read_done(given.done) if given.done else []


def read_done(file: Path) -> list[Record]:
    """What was measured; what is compiled is gone with the machine."""
    keys = ("what", "of", "env", "algo", "method", "members", "parts")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    measured = [line for line in lines if not {"left_out", "failed"} & line.keys() and line["what"] != "prepare"]
    return [{key: line[key] for key in keys if key in line} for line in measured]


def whole(device: str, minutes: float) -> Measured:
    cores = len(os.sched_getaffinity(0))
    tasks = ["Hopper-v5", "Ant-v5", "HalfCheetah-v5"]
    hidden, algorithms, slots = [256, 256], ["td3", "sac"], [64, 128, 32]
    return Measured(device, tasks, algorithms, slots, 2.0, 22.0, max(1, cores - 1), cores, hidden, 1_000, 80.0, minutes)


def small(device: str, minutes: float) -> Measured:
    return Measured(device, ["Hopper-v5"], ["td3", "sac"], [4, 2], 0.2, 1.0, 2, 2, [32, 32], 50, 1.0, minutes)


def describe(device: str) -> Record:
    name = torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else "cpu"
    versions = {**installed_versions(), "cuda": torch.version.cuda}
    return {"device": name, "cores": len(os.sched_getaffinity(0)), "versions": versions}


def items(plan: Measured) -> Iterator[Item]:
    """All that is measured, what is most wanted first."""
    yield from _wanted(plan)
    yield from _updates(plan)
    yield from _more_training(plan)


def _wanted(plan: Measured) -> Iterator[Item]:
    first, task = plan.slots[0], plan.tasks[0]
    yield Item({"what": "prepare", "of": "population"}, plan.prepare_s / 4, lambda: prepare(compile_kernels))
    for algo in plan.algorithms:
        for method in ("dense", "rlx2"):
            yield agreement(plan, task, algo, method)
        yield agreement(plan, task, algo, "rlx2", "all switches", **switched(algo))
    yield agreement(plan, task, "td3", "group")
    for task in plan.tasks[:2]:
        yield updates(plan, task, "td3", first)
        yield training(plan, task, "td3", "dense", first)
    compile_engine = partial(prepare_engine, make_config(plan, task, "td3", "rlx2"))
    yield Item({"what": "prepare", "of": "sparse engine"}, plan.prepare_s, lambda: prepare(compile_engine))
    yield alone_training(plan, plan.tasks[0], "td3", "dense")
    yield alone_updates(plan, plan.tasks[0], "torch")
    yield training(plan, plan.tasks[0], "td3", "dense", first, parts=1 if first >= lockstep.SPLIT_FROM else 2)


def _updates(plan: Measured) -> Iterator[Item]:
    known = [(task, "td3", plan.slots[0]) for task in plan.tasks[:2]]
    for each in product(plan.tasks, plan.algorithms, plan.slots):
        if each not in known:
            yield updates(plan, *each)


def _more_training(plan: Measured) -> Iterator[Item]:
    first, task = plan.slots[0], plan.tasks[0]
    yield training(plan, task, "sac", "dense", first)
    for other in plan.tasks[2:]:
        yield training(plan, other, "td3", "dense", first)
    for slots in plan.slots[1:]:
        yield training(plan, task, "td3", "dense", slots)
    yield training(plan, task, "td3", "rlx2", first)
    yield alone_training(plan, task, "td3", "rlx2")
    for other in plan.tasks[1:]:
        yield training(plan, other, "sac", "dense", first)
        yield alone_training(plan, other, "td3", "dense")


def make_config(plan: Measured, env: str, algo: str, method: str, **changes: Any) -> ExperimentConfig:
    sparsity = {} if method == "dense" else {"sparsity": {"policy": 0.98, "critic": 0.95}}
    base = {"env": {"id": env}, "algo": algo, "method": method, "network": {"hidden": plan.hidden}, **sparsity}
    return resolve(merge(base, changes))


def prepare(compile_it: Callable[[], None]) -> Record:
    """What is compiled once a machine."""
    compile_it()
    return {}


# Agreement


EVENTS: dict[str, dict[str, Any]] = {  # every third call, where there are any
    "dense": {},
    "rlx2": {"interval": 3},
    "group": {"interval": 3, "start_update": 2, "end_update": 30, "hold": 0},
}


def switched(algo: str) -> dict[str, Any]:
    """All that a member can have more of."""
    return {
        "agent": {"grown_steps": "own", "weight_decay": 0.01},
        "network": {"rescaled": "both", "critic_norm": "layer"},
        "topology": {"growth_batches": 2},
        "target": {"mean": 0.5, **({"samples": 3, "beta": 0.5} if algo == "td3" else {})},
        "policy": {"average": 100},
    }


def agreement(plan: Measured, env: str, algo: str, method: str, name: str = "", **changes: Any) -> Item:
    """`name`: of the changes."""

    def measure() -> Record:
        config = make_config(plan, env, algo, method, **merge({"topology": EVENTS[method]}, changes))
        largest = deviation(config, probe_spaces(config.env), plan.device)
        return {"largest_deviation": largest, "agrees": largest < WRONG}

    return Item({"what": "agreement", "env": env, "algo": algo, "method": name or method}, 5.0, measure)


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


# Updates


def updates(plan: Measured, env: str, algo: str, slots: int) -> Item:
    def measure() -> Record:
        config = make_config(plan, env, algo, "dense")
        population, members = populate(config, probe_spaces(config.env), slots, plan.device)
        return {"per_s": slots * calls_per_s(lambda: population.update(members), plan.device, plan.update_s)}

    about = {"what": "updates", "of": "population", "env": env, "algo": algo, "method": "dense", "members": slots}
    return Item(about, plan.update_s + 4, measure)


def alone_updates(plan: Measured, env: str, engine: str) -> Item:
    """Of one member."""

    def measure() -> Record:
        config = make_config(plan, env, "td3", "dense", engine=engine, device=plan.device)
        spaces, random = probe_spaces(config.env), np.random.default_rng(0)
        learner = make_learner(config, spaces)
        batches = [random_batch(config, spaces, random) for _ in range(4)]
        update = lambda: learner.update(batches[learner.learner_steps % 4])  # noqa: E731
        return {"per_s": calls_per_s(update, plan.device, plan.update_s)}

    about = {"what": "updates", "of": f"{engine} engine", "env": env, "algo": "td3", "method": "dense", "members": 1}
    return Item(about, plan.update_s + 4, measure)


def calls_per_s(call: Callable[[], None], device: str, seconds: float) -> float:
    """Without the first calls, which may compile or allocate."""
    synchronize: Callable[[], None] = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
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


# Whole training


class Meter:
    """A display that measures env steps a second from the first step on, and ends the run after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def advance(self, env_steps: int, status: Any, rate: Any = None) -> None:
        now = time.perf_counter()
        self._first = self._first or (now, env_steps)
        if now - self._first[0] > self._seconds and self._last[0] - self._first[0] <= self._seconds:
            os.kill(os.getpid(), signal.SIGINT)
        self._last = (now, env_steps)

    def retotal(self, env_steps: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def env_steps_per_s(self) -> float:
        assert self._first is not None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])


def whole_run(plan: Measured, env: str, algo: str, method: str, **changes: Any) -> ExperimentConfig:
    """Two episodes of evaluation in 1,000 env steps are as many as the usual ten in 5,000, and soon there are some."""
    evaluation = {"interval": plan.interval, "episodes": 2, "score_window": 30}
    agent = {"warmup_steps": plan.interval}
    return make_config(plan, env, algo, method, steps=300_000, agent=agent, evaluation=evaluation, **changes)


def training(plan: Measured, env: str, algo: str, method: str, slots: int, parts: int | None = None) -> Item:
    """`parts` of the population, by default as many as there are for so many slots."""

    def measure() -> Record:
        meter, usual = Meter(plan.train_s), (arm.make_display, lockstep.SPLIT_FROM)
        arm.make_display = lambda total: meter  # type: ignore[assignment]
        if parts is not None:
            lockstep.SPLIT_FROM = NEVER if parts == 1 else 2
        config = whole_run(plan, env, algo, method, engine="population", device=plan.device)
        try:
            with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
                run = Plan(config, tuple(range(slots)), 0, plan.processes, f"sqlite:///{folder}/mlflow.db", "bench")
                arm.start(run, slots, Path(folder) / "arm")
        finally:
            arm.make_display, lockstep.SPLIT_FROM = usual
        return {"env_steps_per_s": meter.env_steps_per_s, "processes": plan.processes}

    about = {"what": "training", "of": "population", "env": env, "algo": algo, "method": method, "members": slots}
    if parts is not None:
        about["parts"] = parts
    return Item(about, plan.train_s + AROUND_S, measure)


def alone_training(plan: Measured, env: str, algo: str, method: str) -> Item:
    """A run of the sparse engine on every core, each in a process of its own."""

    def measure() -> Record:
        config = whole_run(plan, env, algo, method)
        with ProcessPoolExecutor(plan.cores, multiprocessing.get_context("spawn")) as pool:
            rates = list(pool.map(train_alone, [config] * plan.cores, range(plan.cores), [plan.train_s] * plan.cores))
        return {"env_steps_per_s": sum(rates)}

    about = {"what": "training", "of": "sparse engine, all cores", "env": env, "algo": algo, "method": method}
    return Item({**about, "members": plan.cores}, plan.train_s + AROUND_S + STARTING_S, measure)


def train_alone(config: ExperimentConfig, seed: int, seconds: float) -> float:
    """Env steps a second."""
    meter = Meter(seconds)
    with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
        uri = f"sqlite:///{folder}/mlflow.db"
        consent.remember(uri)
        host = session.Host(lambda total: meter)
        seeded = config.model_copy(update={"seed": seed})
        for _ in session.begin(seeded, Path(folder) / "run", Tracking(uri, "bench"), train_on_runtime, host):
            pass
    return meter.env_steps_per_s


if __name__ == "__main__":
    main()
