"""One action, observation in, action out: our compiled network against the same one, masked dense, elsewhere.

Every contestant gives the same actions to 1e-5, which is checked before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from rlx2_ray.agents.base_learner import initial_models
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import DenseNetwork, densify
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats, Spaces

Act = Callable[[Floats], Floats]


def bench_policy(config: ExperimentConfig, spaces: Spaces) -> dict[str, Any]:
    """A fresh policy of the configured sparsity; its size and structure are those of a trained one."""
    layers = initial_models(config, spaces)["policy"]
    network, size = CompiledNetwork(SparseModel(layers)), spaces.action_size
    dense = densify(layers)
    acts: dict[str, Act] = {
        "sparse": lambda observation: network.outputs(observation, size),
        "numpy": lambda observation: dense.outputs(observation, size),
        "torch": torch_act(dense),
        "onnxruntime": onnxruntime_act(dense),
    }
    observation = np.random.default_rng(0).standard_normal(spaces.observation_size, dtype=np.float32)
    for name, act in acts.items():
        np.testing.assert_allclose(act(observation)[:size], acts["numpy"](observation)[:size], atol=1e-5, err_msg=name)
    timings = time_in_turns({name: _bind(act, observation) for name, act in acts.items()})
    return {
        **{f"{name}_us": timing.microseconds for name, timing in timings.calls.items()},
        "ratio_vs_torch": timings.ratio("torch", "sparse"),
        "ratio_vs_onnxruntime": timings.ratio("onnxruntime", "sparse"),
    }


def _bind(act: Act, observation: Floats) -> Callable[[], Floats]:
    return lambda: act(observation)


def torch_act(network: DenseNetwork) -> Act:
    """Torch eager; tanh of all outputs."""
    torch.set_num_threads(1)
    modules: list[nn.Module] = []
    for weights, bias in network.layers:
        linear = nn.Linear(*weights.shape[::-1])
        linear.weight.data, linear.bias.data = torch.from_numpy(weights), torch.from_numpy(bias)
        modules += [linear, nn.ReLU()]
    policy = nn.Sequential(*modules[:-1], nn.Tanh())

    def act(observation: Floats) -> Floats:
        with torch.inference_mode():
            action: Floats = policy(torch.from_numpy(observation)).numpy()
        return action

    return act


def onnxruntime_act(network: DenseNetwork) -> Act:
    """ONNX Runtime on one thread, called as it commonly is; tanh of all outputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx_model(network), options, providers=["CPUExecutionProvider"])

    def act(observation: Floats) -> Floats:
        action: Floats = session.run(None, {"observation": observation[None]})[0][0]
        return action

    return act


def _onnx_model(network: DenseNetwork) -> bytes:
    nodes, constants = [], []
    value = "observation"
    for number, (weights, bias) in enumerate(network.layers):
        names = [f"weights_{number}", f"bias_{number}"]
        constants += [numpy_helper.from_array(array, name) for array, name in zip((weights, bias), names, strict=True)]
        is_last = number == len(network.layers) - 1
        nodes.append(helper.make_node("Gemm", [value, *names], [f"sum_{number}"], transB=1))
        value = "action" if is_last else f"hidden_{number}"
        nodes.append(helper.make_node("Tanh" if is_last else "Relu", [f"sum_{number}"], [value]))
    inputs, outputs = network.layers[0].weights.shape[1], network.output_size
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, outputs])],
        constants,
    )
    # Older versions than onnx writes by default, which onnxruntime may not read yet.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
