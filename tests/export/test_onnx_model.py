"""The exported ONNX model, run by ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from rlx2_ray.export.identity import describe
from rlx2_ray.export.onnx_model import OnnxPolicy, make_model, read_model, write_model
from rlx2_ray.footprint.compact import compact
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.types import BadInput
from tests.export.policies import in_units, observations_for, policies, random_policy, trainers_actions


def write(policy: PolicyFile, path: Path) -> OnnxPolicy:
    network = compact(policy.layers, policy.spaces.action_size)
    write_model(path, make_model(network, policy.spaces), describe(policy))
    return read_model(path)


@settings(max_examples=25)
@given(policies())
def test_random_structures_act_in_the_environments_units(
    tmp_path_factory: pytest.TempPathFactory, policy: PolicyFile
) -> None:
    path = tmp_path_factory.mktemp("onnx") / "policy.onnx"
    observations = observations_for(policy)
    expected = in_units(policy, trainers_actions(policy, observations))
    np.testing.assert_allclose(write(policy, path).act(observations), expected, rtol=0, atol=1e-5)
    onnx.checker.check_model(str(path), full_check=True)


def test_names_and_shapes(tmp_path: Path) -> None:
    policy = random_policy("sac", [5, 8, 2], [0.5, 0.5])
    written = write(policy, tmp_path / "policy.onnx")
    graph = onnx.load(tmp_path / "policy.onnx").graph
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"observation": ["batch", 5], "action": ["batch", 2]}
    assert [written.act(observations_for(policy, count)).shape for count in (1, 7)] == [(1, 2), (7, 2)]
    assert written.identity[:3] == (policy.algo, policy.env, policy.spaces)


def test_bounds_of_one_need_no_scaling() -> None:
    policy = random_policy("td3", [2, 3, 1], [1, 1])
    network = compact(policy.layers, 1)
    plain = policy.spaces._replace(action_low=(-1.0,), action_high=(1.0,))
    operators = [[node.op_type for node in make_model(network, spaces).graph.node] for spaces in (policy.spaces, plain)]
    assert operators == [["Gemm", "Relu", "Gemm", "Tanh", "Mul", "Add"], ["Gemm", "Relu", "Gemm", "Tanh"]]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    write(random_policy("td3", [2, 2, 1], [1, 1]), path)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(BadInput, match=r"policy\.onnx"):
            read_model(path)


@pytest.mark.parametrize("content", [None, b"", b"not a policy", onnx.ModelProto().SerializeToString()])
def test_what_is_no_policy_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"policy\.onnx .*: give .*\.$"):
        read_model(path)


ALONE = """
import sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
print(session.run(["action"], {"observation": numpy.zeros((3, 5), numpy.float32)})[0].shape, "rlx2_ray" in sys.modules)
"""


def test_it_needs_nothing_of_this_package(tmp_path: Path) -> None:
    write(random_policy("td3", [5, 8, 2], [0.5, 0.5]), tmp_path / "policy.onnx")
    done = subprocess.run([sys.executable, "-c", ALONE, tmp_path / "policy.onnx"], capture_output=True, text=True)
    assert done.stdout == "(3, 2) False\n", done.stderr
