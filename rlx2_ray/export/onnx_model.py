"""A policy as an ONNX model: observations in, actions in the environment's units out, any number of them at once.

ONNX has no sparse product, and ONNX Runtime makes dense what is given as sparse, so the layers are plain products of
the units that matter (docs/exports.md has the measurements).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper

from rlx2_ray import __version__, files
from rlx2_ray.envs.actions import are_far, half_ranges
from rlx2_ray.export.identity import Identity, damaged, read_description, sha256
from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.networks.policy_head import damaged as not_ours
from rlx2_ray.networks.policy_reader import CLIP, Normalization
from rlx2_ray.types import BadInput, Damaged, Floats, Spaces

OBSERVATION, ACTION, BATCH = "observation", "action", "batch"
POLICY, DIGEST = "rlx2.policy", "rlx2.digest"  # of the model's own properties
# Older versions than onnx writes by default, which other programs may not read yet.
OPSET, IR_VERSION = 17, 8
LIMITS = ("lowest", "highest")  # of normalised observations
FIXED = ("half_range", "middle", *LIMITS)  # constants that follow from the rest
NORMALIZATION = ("observation_mean", "observation_scale")
LARGEST_FILE = 4 * policy_reader.LARGEST_DENSE + 2**24  # bytes


class Step(NamedTuple):
    """One operator, which is applied to the value so far and to constants."""

    operator: str
    constants: dict[str, Floats] = {}
    attributes: dict[str, int] = {}


def make_model(
    network: Sequence[DenseLayer], spaces: Spaces, normalization: Normalization | None = None
) -> onnx.ModelProto:
    steps = _normalizing(normalization) if normalization else []
    for number, (weights, bias, _) in enumerate(network, start=1):
        steps.append(Step("Gemm", {f"weights_{number}": weights, f"bias_{number}": bias}, {"transB": 1}))
        steps.append(Step("Relu" if number < len(network) else "Tanh"))
    return _chain([*steps, *_scaling(spaces)], spaces)


def _normalizing(normalization: Normalization) -> list[Step]:
    mean, scale = NORMALIZATION
    limits = dict(zip(LIMITS, (np.array(-CLIP, np.float32), np.array(CLIP, np.float32)), strict=True))
    return [Step("Sub", {mean: normalization.mean}), Step("Mul", {scale: normalization.scale}), Step("Clip", limits)]


def _scaling(spaces: Spaces) -> list[Step]:
    """From [-1, 1] to the bounds; nothing that changes nothing, and in double where float32 is too coarse."""
    is_integer, in_double = spaces.action_is_integer, spaces.action_is_integer or bool(are_far(spaces).any())
    dtype = np.float64 if in_double else np.float32
    half_range = half_ranges(spaces)
    middle = np.asarray(spaces.action_low) + half_range + 0.5 * is_integer
    steps = [Step("Mul", {FIXED[0]: half_range.astype(dtype)})] if np.any(half_range != 1) else []
    steps += [Step("Add", {FIXED[1]: middle.astype(dtype)})] if np.any(middle != 0) else []
    steps += [Step("Floor")] if is_integer else []
    return [_cast(TensorProto.DOUBLE), *steps, _cast(TensorProto.FLOAT)] if in_double else steps


def _cast(kind: int) -> Step:
    return Step("Cast", attributes={"to": kind})


def _chain(steps: Sequence[Step], spaces: Spaces) -> onnx.ModelProto:
    nodes, constants, value = [], [], OBSERVATION
    for number, (operator, arrays, attributes) in enumerate(steps, start=1):
        result = f"value_{number}" if number < len(steps) else ACTION
        nodes.append(helper.make_node(operator, [value, *arrays], [result], **attributes))
        constants += [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()]
        value = result
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(OBSERVATION, TensorProto.FLOAT, [BATCH, spaces.observation_size])],
        [helper.make_tensor_value_info(ACTION, TensorProto.FLOAT, [BATCH, spaces.action_size])],
        constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="rlx2",
        producer_version=__version__,
    )


def write_model(path: Path, model: onnx.ModelProto, description: Mapping[str, Any]) -> None:
    properties = {POLICY: json.dumps(description)}
    helper.set_model_props(model, properties)
    helper.set_model_props(model, properties | {DIGEST: _digest(model)})
    path.write_bytes(model.SerializeToString(deterministic=True))


class OnnxPolicy(NamedTuple):
    identity: Identity
    act: Callable[[Floats], Floats]  # (N, observation_size) -> (N, action_size), in the environment's units


def read_model(path: Path) -> OnnxPolicy:
    """Reads a model. Raises BadInput for a file that `rlx2 export` did not write, or that was changed.

    ONNX Runtime is never given the file: its weights are put into a model as `make_model` makes it, and the file has to
    be the same one.
    """
    try:
        model = onnx.load_model_from_string(files.read(path, LARGEST_FILE))
        properties = {entry.key: entry.value for entry in model.metadata_props}
        helper.set_model_props(model, properties)
    except (OSError, DecodeError, ValueError) as error:  # the last of what is no text
        raise BadInput(f"{path} cannot be read as ONNX ({error}): give a file that rlx2 export wrote.") from None
    if not {POLICY, DIGEST} <= properties.keys():
        raise BadInput(
            f"{path} is no ONNX model that rlx2 export wrote: give a run directory, or a file that it wrote."
        )
    digest = properties.pop(DIGEST)
    helper.set_model_props(model, properties)
    if _digest(model) != digest:
        raise damaged(path)
    _, identity = read_description(path, properties[POLICY])
    try:
        spaces = identity.spaces
        again = make_model(_network(model, spaces), spaces, _normalization(model, spaces.observation_size))
        _check_same(model, again)
    except UnicodeDecodeError:
        raise not_ours(path, "a name in it is no text") from None
    except ValueError as problem:
        raise Damaged(f"{path} {problem}") from None
    return OnnxPolicy(identity, make_act(again.SerializeToString()))


def _network(model: onnx.ModelProto, spaces: Spaces) -> list[DenseLayer]:
    """The layers that the model's constants make. Raises ValueError where they are none."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    layers: list[DenseLayer] = []
    while (name := f"weights_{len(layers) + 1}") in tensors:
        layers.append(DenseLayer(_array(tensors[name], 2), _array(tensors.get(f"bias_{len(layers) + 1}"), 1)))
    policy_reader.check_chain([layer.weights.shape for layer in layers], spaces.observation_size, (spaces.action_size,))
    if any(layer.bias.shape != layer.weights.shape[:1] for layer in layers):
        raise policy_reader.wrong("a layer has too many or too few biases")
    return layers


def _normalization(model: onnx.ModelProto, observation_size: int) -> Normalization | None:
    """What the model's constants normalise observations by, if they do. Raises ValueError where they are none."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    if NORMALIZATION[0] not in tensors:
        return None
    arrays = tuple(_array(tensors.get(name), 1) for name in NORMALIZATION)
    return policy_reader.read_normalization(arrays, observation_size)


def _array(tensor: onnx.TensorProto | None, axes: int) -> Floats:
    """A constant, which has to stand in the model itself, and as it is written there."""
    if tensor is None or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != axes or min(tensor.dims) < 1:
        raise policy_reader.wrong("a constant is no weight of a layer")
    if len(tensor.raw_data) != 4 * math.prod(tensor.dims):
        raise policy_reader.wrong("a constant has another size than it says")
    array: Floats = np.frombuffer(tensor.raw_data, "<f4").reshape(tensor.dims)
    if not np.isfinite(array).all():
        raise policy_reader.wrong("a weight is no finite number")
    return array


def _check_same(model: onnx.ModelProto, again: onnx.ModelProto) -> None:
    """Raises ValueError where a model is not one of `make_model`, whose version does not matter.

    An earlier one rounded the bounds in another way.
    """
    fixed = [[tensor for tensor in each.graph.initializer if tensor.name in FIXED] for each in (model, again)]
    shells = [_without_numbers(each) for each in (model, again)]
    if shells[0] != shells[1]:
        raise policy_reader.wrong("its graph is not that of a policy")
    for mine, expected in zip(*fixed, strict=True):
        array = numpy_helper.to_array(expected)
        if len(mine.raw_data) != array.nbytes or not np.allclose(np.frombuffer(mine.raw_data, array.dtype), array):
            what = "clips its observations" if mine.name in LIMITS else "scales its actions"
            raise policy_reader.wrong(f"it {what} to other bounds than it says")


def _without_numbers(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the names, types and sizes of constants alone."""
    shell = onnx.ModelProto()
    shell.CopyFrom(model)
    shell.producer_version = ""
    del shell.metadata_props[:]
    for tensor in shell.graph.initializer:
        tensor.raw_data = b""
    return shell


def make_act(model: bytes) -> Callable[[Floats], Floats]:
    """Returns the model as ONNX Runtime runs it on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def act(observations: Floats) -> Floats:
        actions: Floats = session.run(None, {OBSERVATION: observations})[0]
        return actions

    return act


def _digest(model: onnx.ModelProto) -> str:
    """SHA-256, in hex, over the model as it is before its digest is put in."""
    return sha256(model.SerializeToString(deterministic=True))
