"""docs/exports.md: how large an exported policy is, how long an action takes it, and what 8-bit weights cost.

    python -m benchmarks.exports [--write] [--policies FILE ...]

Sizes and times are of freshly initialised policies with the sparsities of the paper's table: they depend on the
structure alone, which training changes (`--policies` shows how much).
Times are medians over rounds in which all contestants take turns, on one core; ratios are of the same rounds.
`--policies`: finished policies instead, whose return is measured before and after rounding and whose sizes are told;
sizes and times of the fresh ones are those that were kept.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.places import ROOT
from rlx2_ray.agents.base_learner import initial_models
from rlx2_ray.bench.policy import torch_act
from rlx2_ray.bench.timing import Timings, time_in_turns
from rlx2_ray.config import resolve
from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.export.c_compiler import find_compiler
from rlx2_ray.export.c_export import in_fixed_point
from rlx2_ray.export.c_source import write_text
from rlx2_ray.export.identity import describe
from rlx2_ray.export.onnx_model import make_act, make_model
from rlx2_ray.export.rounding_loss import Episodes, measure_loss
from rlx2_ray.export.tuning import tuned
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import INTEGER_TYPES, IntegerType, rounded
from rlx2_ray.footprint.tables import encode
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, densify
from rlx2_ray.networks.policy import Network as PolicyNetwork
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.sparse.circulant import largest_groups, shared
from rlx2_ray.types import Floats, Spaces

RESULTS = ROOT / "results" / "exports.json"
EPISODES = Episodes(20)
BLOCK = 4  # of method group
CALLS = 100  # of the C function in one call from here, which costs a microsecond by itself
SMALL, FAST = ("-std=c99", "-Os"), ("-std=c99", "-O3", "-ffast-math", "-march=native")

# Observation and action sizes, and the policy's sparsity (Tan et al. 2023, table 2, TD3).
TASKS = {
    "Hopper-v5": (11, 3, 0.98),
    "Walker2d-v5": (17, 6, 0.97),
    "HalfCheetah-v5": (17, 6, 0.90),
    "Ant-v5": (105, 8, 0.96),
}

Result = dict[str, Any]
Network = Sequence[DenseLayer]

MANY = """
#include "policy.h"
void many(long calls, const float *observation, float *action)
{
    for (; calls > 0; calls--) policy_act(observation, action);
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--policies", type=Path, nargs="*", default=[], help="finished policies, to round")
    arguments = parser.parse_args()
    content = json.loads(RESULTS.read_text())
    if arguments.policies:
        content["finished"] = [_finished(path) for path in arguments.policies]
    else:
        content["fresh"] = [measure(env_id, is_sparse) for env_id in TASKS for is_sparse in (False, True)]
    if arguments.write:
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    sys.stdout.write(tables(content))


def measure(env_id: str, is_sparse: bool) -> Result:
    sparsity = TASKS[env_id][2] if is_sparse else 0.0
    policy = fresh_policy(env_id, sparsity)
    network = compact(policy.layers, policy.spaces.action_size)
    with tempfile.TemporaryDirectory(prefix="rlx2-exports-") as folder:
        sizes = _sizes(policy, network, Path(folder))
        timings = _time(policy, network, Path(folder))
    return {
        "env_id": env_id,
        "sparsity": sparsity,
        **sizes,
        "us": {name: timing.microseconds for name, timing in timings.calls.items()},
        "ratio_vs_torch": {name: timings.ratio("torch", name) for name in timings.calls},
    }


def fresh_policy(env_id: str, sparsity: float, fan_in: str = "free") -> PolicyFile:
    """As one is before the first update."""
    observation_size, action_size, _ = TASKS[env_id]
    spaces = Spaces(observation_size, action_size, (-1.0,) * action_size, (1.0,) * action_size)
    config = resolve({"env": {"id": env_id}, "sparsity": {"policy": sparsity, "fan_in": fan_in}})
    return PolicyFile(initial_models(config, spaces)["policy"], "td3", config.env.fields(), spaces)


def fresh_groups(env_id: str, sparsity: float) -> PolicyFile:
    """As `method: group` would leave it, had it not been trained: of the first values the largest groups."""
    policy = fresh_policy(env_id, sparsity)
    layers = []
    for layer in policy.layers:
        count = len(layer.indices)
        weights = shared(np.random.default_rng(count).standard_normal(layer.shape).astype(np.float32) / 10, BLOCK)
        mask = largest_groups(weights, np.ones(layer.shape, np.bool_), count, BLOCK)
        layers.append(SparseLayer.from_dense(weights, mask, layer.bias))
    return policy._replace(layers=tuple(layers))


def _sizes(policy: PolicyFile, network: Network, folder: Path) -> Result:
    """Bytes; weights and units are of the network without what does not matter."""
    return {
        "weights": sum(int(np.count_nonzero(layer.weights)) for layer in network),
        "units": [len(layer.bias) for layer in network],
        "c": _object_size(policy, network, folder, None),
        **{f"c_{name}": _object_size(policy, network, folder, kind) for name, kind in INTEGER_TYPES.items()},
        "onnx": len(make_model(network, policy.spaces).SerializeToString()),
        "float32_dense": sum(4 * (layer.mask().size + len(layer.bias)) for layer in policy.layers),
    }


def _object_size(policy: PolicyFile, network: Network, folder: Path, kind: IntegerType | None) -> Result:
    """Code and constants of the object file at -Os."""
    _write_c(policy, rounded(network, kind) if kind else network, folder, kind)
    _compile(SMALL, ["-c", "policy.c", "-o", "policy.o"], folder)
    said = subprocess.run(["size", "-A", "policy.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    sections = [line.split()[:2] for line in said.splitlines() if line.startswith(".")]
    return {
        kind: sum(int(size) for name, size in sections if name.startswith(prefix))
        for kind, prefix in (("code", ".text"), ("data", ".rodata"))
    }


def _write_c(policy: PolicyFile, network: Network, folder: Path, kind: IntegerType | None) -> None:
    layers = [encode(layer, kind) for layer in network]
    text = write_text(folder / "policy.c", layers, policy.spaces, describe(policy), [])
    (folder / "policy.c").write_text(text.source)
    (folder / "policy.h").write_text(text.header)


def _compile(flags: Sequence[str], rest: Sequence[str], folder: Path) -> None:
    compiler = find_compiler()
    if compiler is None:
        raise SystemExit("There is no C compiler here.")
    subprocess.run([compiler[0], *flags, *rest], cwd=folder, check=True)


def _time(policy: PolicyFile, network: Network, folder: Path) -> Timings:
    """Of one action. All give the same one, which is checked first."""
    spaces = policy.spaces
    observation = np.random.default_rng(0).standard_normal(spaces.observation_size, dtype=np.float32)
    ours = CompiledNetwork(SparseModel(policy.layers))
    expected = densify(policy.layers).outputs(observation, spaces.action_size)
    models = {
        "onnx": make_model(network, spaces),
        "onnx_sparse_initializer": sparse_initializer_model(network, spaces),
        "onnx_gather": gather_model(network, spaces),
    }
    acts: dict[str, Callable[[Floats], Floats]] = {
        "ours": lambda given: ours.outputs(given, spaces.action_size),
        "torch": torch_act(densify(policy.layers)),
        **{name: _first(make_act(model.SerializeToString())) for name, model in models.items()},
    }
    for name, act in acts.items():
        np.testing.assert_allclose(act(observation), expected, atol=1e-5, err_msg=name)
    calls: dict[str, Callable[[], object]] = {name: _bind(act, observation) for name, act in acts.items()}
    _write_c(policy, network, folder, None)
    for name, flags in (("c_small", SMALL), ("c_fast", FAST)):
        action = np.empty_like(expected)
        calls[name] = many_calls(flags, folder / f"{name}.so", observation, action)
        calls[name]()
        np.testing.assert_allclose(action, expected, atol=1e-5, err_msg=name)
    return _per_action(time_in_turns(calls))


def _first(act: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda observation: act(observation[None])[0]


def _bind(act: Callable[[Floats], Floats], observation: Floats) -> Callable[[], Floats]:
    return lambda: act(observation)


def many_calls(flags: Sequence[str], library: Path, observation: Floats, action: Floats) -> Callable[[], object]:
    """`CALLS` actions of the policy.c beside `library`, called from C, which end up in `action`."""
    (library.parent / "many.c").write_text(MANY)
    _compile(flags, ["-shared", "-fPIC", "policy.c", "many.c", "-o", library.name], library.parent)
    arguments = (ctypes.c_long(CALLS), *(array.ctypes.data_as(ctypes.c_void_p) for array in (observation, action)))
    return partial(ctypes.CDLL(str(library)).many, *arguments)


def _per_action(timings: Timings) -> Timings:
    divisors = {name: CALLS if name.startswith("c_") else 1 for name in timings.calls}
    calls = {
        name: timing._replace(microseconds=timing.microseconds / divisors[name])
        for name, timing in timings.calls.items()
    }
    rounds = {name: [value / divisors[name] for value in values] for name, values in timings.rounds.items()}
    return Timings(calls, rounds)


def sparse_initializer_model(network: Network, spaces: Spaces) -> onnx.ModelProto:
    """The exported model with its weights as ONNX's sparse initializers."""
    model = make_model(network, spaces)
    initializers = list(model.graph.initializer)
    del model.graph.initializer[:]
    for tensor in initializers:
        array = numpy_helper.to_array(tensor)
        if array.ndim == 1:
            model.graph.initializer.append(tensor)
            continue
        places = np.flatnonzero(array)
        values = numpy_helper.from_array(array.ravel()[places], tensor.name)
        indices = numpy_helper.from_array(places.astype(np.int64), f"{tensor.name}_indices")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, list(array.shape)))
    return model


def gather_model(network: Network, spaces: Spaces) -> onnx.ModelProto:
    """Each row's inputs gathered, times its weights, summed; rows padded to the longest of their layer."""
    nodes, constants, value = [], [numpy_helper.from_array(np.array([2], np.int64), "last")], "observation"
    for number, (weights, bias) in enumerate(network, start=1):
        longest = max(1, int(np.count_nonzero(weights, axis=1).max()))
        places = np.argsort(weights == 0, axis=1, kind="stable")[:, :longest]
        arrays = {"places": places.astype(np.int64), "weights": np.take_along_axis(weights, places, 1), "bias": bias}
        constants += [numpy_helper.from_array(array, f"{name}_{number}") for name, array in arrays.items()]
        result = "action" if number == len(network) else f"hidden_{number}"
        steps = [
            ("Gather", [value, f"places_{number}"], {"axis": 1}),
            ("Mul", [f"Gather_{number}", f"weights_{number}"], {}),
            ("ReduceSum", [f"Mul_{number}", "last"], {"keepdims": 0}),
            ("Add", [f"ReduceSum_{number}", f"bias_{number}"], {}),
        ]
        nodes += [helper.make_node(name, inputs, [f"{name}_{number}"], **given) for name, inputs, given in steps]
        nodes.append(helper.make_node("Relu" if number < len(network) else "Tanh", [f"Add_{number}"], [result]))
        value = result
    model = make_model(network, spaces)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    return model


def _finished(path: Path) -> Result:
    policy = find_policy(path, sys.stderr.write)
    network = compact(policy.layers, policy.spaces.action_size)
    with tempfile.TemporaryDirectory(prefix="rlx2-exports-") as folder:
        sizes = _sizes(policy, network, Path(folder))
    networks: dict[str, PolicyNetwork] = {
        name: DenseNetwork(rounded(network, kind)) for name, kind in INTEGER_TYPES.items()
    }
    fitted = tuned(policy, network, INTEGER_TYPES["int8"], path)
    networks |= {"int8_tuned": DenseNetwork(fitted), "fixed_point": in_fixed_point(policy, fitted, path)}
    losses = {name: measure_loss(policy, each, path, EPISODES)._asdict() for name, each in networks.items()}
    about = {key: policy.about.get(key) for key in ("policy_sparsity", "env_steps", "score")}
    before = [len(layer.bias) for layer in policy.layers]
    active = sum(len(layer.indices) for layer in policy.layers)
    return {
        "policy": path.stem,
        "env_id": policy.env["id"],
        **about,
        "units_before": before,
        "weights_before": active,
        **sizes,
        **losses,
    }


def tables(content: Result) -> str:
    """Markdown."""
    lines = [
        "| policy | weights | C code | C data | int16 data | int8 data | ONNX file | dense float32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in content["fresh"]:
        lines.append(
            f"| {_name(row)} | {row['weights']} | {row['c']['code']} | {row['c']['data']} "
            f"| {row['c_int16']['data']} | {row['c_int8']['data']} | {row['onnx']} | {row['float32_dense']} |"
        )
    names = list(content["fresh"][0]["us"])
    lines += ["", f"| policy | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for row in content["fresh"]:
        times = [f"{row['us'][name]:.1f}" for name in names]
        lines.append(f"| {_name(row)} | {' | '.join(times)} |")
    after = ("int16", "int8", "int8 tuned", "and fixed point")
    heads = ("policy", "hidden units", "weights", "tables", "int16", "int8", "return", *after)
    lines += ["", f"| {' | '.join(heads)} |", f"|---{'|---' * (len(heads) - 1)}|"]
    for row in content["finished"]:
        sizes = [str(row[name]["data"]) for name in ("c", "c_int16", "c_int8")]
        returns = [f"{row[name]['return_after']:.0f}" for name in ("int16", "int8", "int8_tuned", "fixed_point")]
        units = f"{row['units_before'][:-1]} → {row['units'][:-1]}"
        weights = f"{row['weights_before']} → {row['weights']}"
        cells = [row["policy"], units, weights, *sizes, f"{row['int8']['return_before']:.0f}", *returns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _name(row: Result) -> str:
    return f"{row['env_id']}, " + (f"{row['sparsity']:.0%} sparse" if row["sparsity"] else "dense")


if __name__ == "__main__":
    main()
