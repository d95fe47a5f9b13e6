"""One action, observation in, action out: our compiled network against the same one, masked dense, elsewhere.

Every contestant gives the same actions to 1e-5, which is checked before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from rlx2_ray.agents.base_learner import initial_models
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.export.onnx_model import make_act, make_model
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import DenseNetwork, densify
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats, Spaces

Act = Callable[[Floats], Floats]


def bench_policy(config: ExperimentConfig, spaces: Spaces) -> dict[str, Any]:
    """Times a fresh policy of the configured sparsity; its size and structure are those of a trained one."""
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
    """Returns the network in torch, eager, with tanh of all outputs."""
    torch.set_num_threads(1)
    modules: list[nn.Module] = []
    for weights, bias, _ in network.layers:
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
    """Returns the exported model of all units, called as it commonly is, with tanh of all outputs."""
    inputs, outputs = network.layers[0].weights.shape[1], network.output_size
    spaces = Spaces(inputs, outputs, (-1.0,) * outputs, (1.0,) * outputs)
    act = make_act(make_model(network.layers, spaces).SerializeToString())
    return lambda observation: act(observation[None])[0]
