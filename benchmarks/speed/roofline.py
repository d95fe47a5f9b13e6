"""How fast each kernel is, beside what the machine can do, and where an update's time goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from threadpoolctl import threadpool_info

from rlx2_ray.agents.sparse.learner import SparseLearner
from rlx2_ray.agents.sparse.td3 import update as sparse_update
from rlx2_ray.agents.sparse.td3.learner import SparseTD3Learner
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import resolve
from rlx2_ray.kernels.network import Model, backward, forward, make_model, turn_weights
from rlx2_ray.kernels.optimizer import adam_step, polyak_update
from rlx2_ray.kernels.structure import build_structure
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Spaces

UNITS = 256
REPEATS = 50  # within compiled code, so that calling it does not count
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)  # the first of them is BLAS's

Call = Callable[[], object]


@njit(error_model="numpy")
def repeat_forward(model, first, end, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        forward(model, first, end)


@njit(error_model="numpy")
def repeat_backward(model, first, end, with_weights, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        backward(model, first, end, with_weights)


def measure() -> dict[str, Any]:
    """GFLOP/s (a multiply-add is two) of a 256 x 256 layer on LANES samples, of the references, and shares of time."""
    measured = {"kernels": measure_kernels(), "update": measure_update()}
    return {**measured, "processor": describe_processor(), "blas": describe_blas()}


def describe_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{told.get('model name', 'unknown')} (family {told.get('cpu family')}, model {told.get('model')})"


def describe_blas() -> str:
    """The BLAS that the kernels call, which is scipy's, and which processor's kernels it chose; once it was called."""
    found = next(each for each in threadpool_info() if each["user_api"] == "blas" and "scipy.libs" in each["filepath"])
    return f"{found['internal_api']} {found['version']}, kernels for {found.get('architecture', 'unknown')}"


def measure_kernels() -> dict[str, Any]:
    calls: dict[str, Call] = {}
    weights: dict[str, int] = {}  # multiply-adds a sample
    for sparsity in SPARSITIES:
        model = hidden_layer(sparsity)
        for kernel, call in kernel_calls(model).items():
            calls[f"{kernel} {sparsity}"] = call
            weights[f"{kernel} {sparsity}"] = round(UNITS * UNITS * (1 - sparsity))
    cached = hidden_layer(0.5)
    cached.structure.units[:] = UNITS + cached.structure.units % 8  # 8 units' values fit into the first cache
    calls["first cache"], weights["first cache"] = kernel_calls(cached)["forward"], UNITS * UNITS // 2
    left, right, out = np.random.default_rng(0).standard_normal((3, UNITS, UNITS), dtype=np.float32)
    calls["dense BLAS"] = partial(np.dot, left, right, out=out)
    timings = time_in_turns(calls).calls
    samples = {name: UNITS if name == "dense BLAS" else LANES * REPEATS for name in calls}
    weights["dense BLAS"] = UNITS * UNITS
    return {name: 2e-3 * weights[name] * samples[name] / timing.microseconds for name, timing in timings.items()}


def hidden_layer(sparsity: float) -> Model:
    """The layer in question as layer 1, behind a layer of one weight a unit."""
    generator = np.random.default_rng(0)
    mask = np.zeros(UNITS * UNITS, np.bool_)
    mask[generator.choice(mask.size, round(mask.size * (1 - sparsity)), replace=False)] = True
    structure = build_structure([np.eye(UNITS, dtype=np.bool_), mask.reshape(UNITS, UNITS)])
    last = structure.layers[-1]
    parameters = generator.standard_normal(int(last["bias"] + last["outputs"]), dtype=np.float32)
    model = make_model(structure, parameters)
    model.workspace[:] = generator.standard_normal(model.workspace.shape, dtype=np.float32)
    turn_weights(model)
    return model


def kernel_calls(model: Model) -> dict[str, Call]:
    return {
        "forward": partial(repeat_forward, model, 1, 2, REPEATS),
        "input gradient": partial(repeat_backward, model, 0, 2, False, REPEATS),
        "weight gradient": partial(repeat_backward, model, 1, 2, True, REPEATS),
    }


def measure_update() -> dict[str, float]:
    """Microseconds a TD3 update on Hopper's sizes at 98 / 95 %, part by part; the policy's parts at half their cost."""
    config = resolve({"algo": "td3", "sparsity": {"policy": 0.98, "critic": 0.95}, "topology": {"interval": 10**9}})
    spaces = Spaces(11, 3, (-1.0,) * 3, (1.0,) * 3)
    learner = SparseTD3Learner(config, spaces)
    batch = random_batch(config, spaces, np.random.default_rng(0))
    learner.update(batch)
    calls = {"whole update": partial(learner.update, batch), **part_calls(learner, batch)}
    times = {name: timing.microseconds for name, timing in time_in_turns(calls, 2).calls.items()}
    tiles = -(-config.agent.batch_size // LANES)
    parts = {
        "target policy, forward": times["policy forward"] / REPEATS * tiles,
        "target critics, forward": times["critics forward"] / REPEATS * tiles,
        "critics, forward": times["critics forward"] / REPEATS * tiles,
        "critics, backward": times["critics backward"] / REPEATS * tiles,
    }
    rest = times["critic gradient"] - sum(parts.values())
    return {
        **parts,
        "critics: copies, targets, losses, call": rest,
        "policy, forward and backward through critic and policy": times["policy gradient"] / 2,
        "Adam": times["critics Adam"] + times["policy Adam"] / 2,
        "Polyak": (times["critics Polyak"] + times["policy Polyak"]) / 2,
        "noise": times["noise"],
        "whole update": times["whole update"],
    }


def part_calls(learner: SparseLearner, batch: Any) -> dict[str, Call]:
    agent = resolve({}).agent
    critic, policy = learner.critic.kernel, learner.policy.kernel
    target_critic, target_policy = learner.target_critic.kernel, learner.target_policy.kernel  # type: ignore[attr-defined]
    actions, size = batch.actions.shape
    noise = learner._draw_noise(actions, 1, size, scale=agent.target_policy_noise)
    target = sparse_update.Target(agent.discount, agent.target_noise_clip, 0.0, 0.0)
    return {
        "policy forward": partial(repeat_forward, policy, 0, 3, REPEATS),
        "critics forward": partial(repeat_forward, critic, 0, 6, REPEATS),
        "critics backward": partial(repeat_backward, critic, 0, 6, True, REPEATS),
        "critic gradient": partial(
            sparse_update.critic_gradient, critic, target_policy, target_critic, batch, noise, target
        ),
        "policy gradient": partial(sparse_update.policy_gradient, policy, critic, batch),
        "critics Adam": partial(
            adam_step, critic.parameters, critic.gradient, learner.critic_optimizer.moments, 9, 3e-4, 0.0, 0.9, 0.999
        ),
        "policy Adam": partial(
            adam_step, policy.parameters, policy.gradient, learner.policy_optimizer.moments, 9, 3e-4, 0.0, 0.9, 0.999
        ),
        "critics Polyak": partial(polyak_update, target_critic.parameters, critic.parameters, agent.tau),
        "policy Polyak": partial(polyak_update, target_policy.parameters, policy.parameters, agent.tau),
        "noise": lambda: learner._draw_noise(*batch.actions.shape, scale=agent.target_policy_noise),
    }
