"""How long does one action take another runtime? A dense ReLU policy with a tanh at its end, in onnxruntime, one core.

    .venv-peers/bin/python benchmarks/peers/policy_speed.py --weights dense.npz --cpu 0

`dense.npz` holds weights_0 (outputs, inputs), bias_0 (outputs,), weights_1 and so on; without one, a random policy of
the given sizes is timed. One observation as a numpy array goes in, one action as a numpy array comes out. The last line
printed is one JSON object; times are microseconds a call, the median and the least over blocks of calls:

onnxruntime_us          `session.run`, as it is commonly called
onnxruntime_bound_us    `session.run_with_iobinding`, with arrays bound once: less Python a call
numpy_us                the same policy in numpy, for scale
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import one_core  # before anything imports numpy

# isort: split
import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

HIDDEN = (256, 256)
BLOCK = 100  # calls timed together, so that reading the clock costs nothing
TOLERANCE = 1e-5  # of actions, which are in [-1, 1]
CHECKED = 100  # observations on which onnxruntime and numpy have to agree

Floats = npt.NDArray[np.float32]
Session = Any  # an onnxruntime.InferenceSession, which has no types
Act = Callable[[Floats], Floats]  # (1, observation_size) to (1, action_size)


class DenseLayer(NamedTuple):
    weights: Floats  # (outputs, inputs)
    bias: Floats  # (outputs,)


def main() -> None:
    arguments = parse()
    one_core.pin(arguments.cpu)
    generator = np.random.default_rng(0)
    if arguments.weights is None:
        layers = random_layers((arguments.observation_size, *HIDDEN, arguments.action_size), generator)
    else:
        layers = load_layers(arguments.weights)
    observations = generator.standard_normal((CHECKED, layers[0].weights.shape[1]), dtype=np.float32)
    session = make_session(make_graph(layers))
    runtimes = {
        "onnxruntime": run_act(session),
        "onnxruntime_bound": bound_act(session),
        "numpy": lambda observation: forward(layers, observation),
    }
    for act in runtimes.values():
        check_agreement(act, layers, observations)
    times = {name: time_calls(act, observations[:1], arguments.blocks) for name, act in runtimes.items()}
    print(json.dumps(report(layers, times)))  # noqa: T201 - it is the result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One-action inference time of onnxruntime on one core.")
    parser.add_argument("--weights", type=Path, help="npz of a dense policy; it says the sizes")
    parser.add_argument("--observation-size", type=int, default=11, help="of a random policy")
    parser.add_argument("--action-size", type=int, default=3, help="of a random policy")
    parser.add_argument("--blocks", type=int, default=300, help=f"timed blocks of {BLOCK} calls")
    parser.add_argument("--cpu", type=int, default=0, help="the core that does all the work")
    return parser.parse_args()


def load_layers(path: Path) -> list[DenseLayer]:
    with np.load(path) as arrays:
        count = sum(name.startswith("weights_") for name in arrays.files)
        layers = [
            DenseLayer(arrays[f"weights_{i}"].astype(np.float32), arrays[f"bias_{i}"].astype(np.float32))
            for i in range(count)
        ]
    if not layers:
        raise SystemExit(f"{path} holds no weights_0: write weights_i (outputs, inputs) and bias_i (outputs,) into it.")
    return layers


def random_layers(sizes: Sequence[int], generator: np.random.Generator) -> list[DenseLayer]:
    return [
        DenseLayer(
            generator.standard_normal((outputs, inputs), dtype=np.float32) / np.float32(np.sqrt(inputs)),
            generator.standard_normal(outputs, dtype=np.float32) / np.float32(10),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    ]


def make_graph(layers: Sequence[DenseLayer]) -> ModelProto:
    nodes, constants, value = [], [], "observation"
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        constants += [numpy_helper.from_array(layer.weights, f"weights_{i}")]
        constants += [numpy_helper.from_array(layer.bias, f"bias_{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"weights_{i}", f"bias_{i}"], [f"sum_{i}"], transB=1))
        value = "action" if last else f"hidden_{i}"
        nodes.append(helper.make_node("Tanh" if last else "Relu", [f"sum_{i}"], [value]))
    inputs, outputs = layers[0].weights.shape[1], layers[-1].weights.shape[0]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, outputs])],
        constants,
    )
    # Versions older than the newest that onnx writes, which onnxruntime may not read yet.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model


def make_session(model: ModelProto) -> Session:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_act(session: Session) -> Act:
    """As it is commonly called."""

    def act(observation: Floats) -> Floats:
        action: Floats = session.run(["action"], {"observation": observation})[0]
        return action

    return act


def bound_act(session: Session) -> Act:
    """As fast as it goes: arrays are bound once, observations copied into one, and every action is the same array."""
    sizes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    observation_value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(sizes["observation"], np.float32))
    action: Floats = np.zeros(sizes["action"], np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("observation", observation_value)
    binding.bind_output(
        "action", element_type=np.float32, shape=action.shape, buffer_ptr=action.ctypes.data, device_type="cpu"
    )

    def act(observation: Floats) -> Floats:
        observation_value.update_inplace(observation)
        session.run_with_iobinding(binding)
        return action

    return act


def forward(layers: Sequence[DenseLayer], observation: Floats) -> Floats:
    hidden = observation
    for weights, bias in layers[:-1]:
        hidden = np.maximum(hidden @ weights.T + bias, 0)
    weights, bias = layers[-1]
    action: Floats = np.tanh(hidden @ weights.T + bias)
    return action


def check_agreement(act: Act, layers: Sequence[DenseLayer], observations: Floats) -> None:
    actions = np.concatenate([act(observation[None]).copy() for observation in observations])
    difference = np.abs(actions - forward(layers, observations)).max()
    if not difference <= TOLERANCE:
        raise SystemExit(f"A runtime and numpy differ by {difference}, more than {TOLERANCE}: not the same policy.")


def time_calls(act: Act, observation: Floats, blocks: int) -> list[float]:
    """Microseconds a call, one value a block."""
    durations = []
    for _ in range(blocks + 1):
        begin = time.perf_counter()
        for _ in range(BLOCK):
            act(observation)
        durations.append(1e6 * (time.perf_counter() - begin) / BLOCK)
    return durations[1:]  # the first one warms up


def report(layers: Sequence[DenseLayer], times: dict[str, list[float]]) -> dict[str, Any]:
    return {
        **{f"{name}_us": round(statistics.median(values), 3) for name, values in times.items()},
        **{f"{name}_us_least": round(min(values), 3) for name, values in times.items()},
        "sizes": [layers[0].weights.shape[1], *(len(layer.bias) for layer in layers)],
        "calls": BLOCK * len(times["onnxruntime"]),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("onnxruntime", "onnx", "numpy")},
        },
    }


if __name__ == "__main__":
    main()
