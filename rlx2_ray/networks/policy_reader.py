"""The one reader of a policy's file: bytes of whoever wrote them become layers that fit together, or one sentence.

It needs numpy alone, and nothing of this package: MLflow keeps a copy beside every registered policy, which acts where
the package is not installed (tracking/pyfunc.py). Whatever is wrong is a ValueError, whose text goes on from the file's
name.

The format is that of safetensors: eight bytes with the length of a header, the header, which is JSON, and the numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

FORMAT = "rlx2-policy-1"
LONGEST_HEADER = 2**20  # bytes; ours have a few thousand
LARGEST_DENSE = 2**26  # weights of a policy without sparsity, 256 MB: whoever plays it makes its layers dense
LARGEST_FILE = 2**29 + 2**24  # bytes: as many weights, with their places, their biases and a header
LARGEST_BOUND = {False: float(np.finfo(np.float32).max), True: 2.0**31}  # by whether actions are whole numbers
ENDIAN_TYPES = {"I32": "<i4", "F32": "<f4"}
KINDS = {"shape": "I32", "indices": "I32", "weights": "F32", "bias": "F32"}  # of a layer's arrays
NORMALIZATION = ("observation.mean", "observation.scale")  # where observations are normalised
LARGEST_MEAN, LARGEST_SCALE = 1e18, 1e4  # of what training can come to
CLIP = 10.0
SPACES = {"observation_size", "action_size", "action_low", "action_high"}

Array = NDArray[Any]


class NoPolicy(ValueError):
    """It was never a policy's file, or not all of it is there."""


class Layer(NamedTuple):
    """A linear layer with `shape` (outputs, inputs)."""

    shape: tuple[int, int]
    indices: NDArray[np.int32]  # (active,), ascending positions in the row-major weights
    weights: NDArray[np.float32]  # (active,)
    bias: NDArray[np.float32]  # (outputs,)


class Normalization(NamedTuple):
    """What a policy's observations go through before its first layer. Every float32 rounding is the same everywhere."""

    mean: NDArray[np.float32]  # (observation_size,)
    scale: NDArray[np.float32]  # (observation_size,)

    def apply(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns clip((x - mean) * scale) to within +-`CLIP`, of observations (..., observation_size)."""
        normalized: NDArray[np.float32] = observations - self.mean
        normalized *= self.scale
        return np.clip(normalized, -CLIP, CLIP, out=normalized)


class Content(NamedTuple):
    layers: tuple[Layer, ...]
    normalization: Normalization | None
    algo: str
    env: Any  # JSON, as it stands there
    spaces: Any  # the same; `parse_spaces` takes it
    about: Any  # JSON, as it stands there


def parse(content: bytes) -> Content:
    """Reads a whole file. Raises ValueError."""
    metadata, named = _arrays(content)
    if metadata.get("format") != FORMAT:
        raise ValueError("is not a policy file of this program: give a policy.safetensors that rlx2 wrote.")
    normalization = tuple(named.pop(name) for name in NORMALIZATION if name in named)
    arrays = _by_layer(named)
    written = metadata.pop("digest", None)
    if arrays is None or digest(metadata, [*arrays, normalization]) != written:
        raise ValueError("is damaged (its content does not match its digest): restore it from a copy.")
    env, spaces, about = (_json(metadata, key) for key in ("env", "spaces", "about"))
    layers, sizes = tuple(map(_layer, arrays)), parse_spaces(spaces)
    check_chain([layer.shape for layer in layers], sizes["observation_size"], _outputs(sizes["action_size"]))
    statistics = read_normalization(normalization, sizes["observation_size"]) if normalization else None
    return Content(layers, statistics, metadata.get("algo", ""), env, spaces, about)


def read_normalization(arrays: tuple[Array, ...], observation_size: int) -> Normalization:
    """Of mean and scale. Raises ValueError where they are not such as training comes to."""
    if [array.shape for array in arrays] != 2 * [(observation_size,)]:
        raise wrong(f"its observations are normalised by other than {observation_size} means and scales")
    mean, scale = arrays
    if not ((np.abs(mean) <= LARGEST_MEAN).all() and ((scale > 0) & (scale <= LARGEST_SCALE)).all()):  # none is NaN
        raise wrong("its observations are normalised by what no training comes to")
    return Normalization(mean, scale)


def parse_spaces(fields: Any) -> dict[str, Any]:
    """Returns the fields of the spaces, with tuples for lists. Raises ValueError."""
    if not isinstance(fields, dict) or not SPACES <= fields.keys() <= SPACES | {"action_is_integer"}:
        raise wrong("its spaces are not sizes and bounds")
    for name in ("observation_size", "action_size"):
        if type(fields[name]) is not int or not 0 < fields[name] <= LARGEST_DENSE:
            raise wrong(f"its {name} is {shorten(fields[name])}")
    is_integer = fields.get("action_is_integer", False)
    if not isinstance(is_integer, bool):
        raise wrong(f"its action_is_integer is {shorten(is_integer)}")
    low, high = (_bounds(fields, name, LARGEST_BOUND[is_integer]) for name in ("action_low", "action_high"))
    if not all(map(float.__le__, low, high)):
        raise wrong("its action_low is above its action_high")
    return {**fields, "action_low": low, "action_high": high, "action_is_integer": is_integer}


def check_chain(shapes: list[tuple[int, int]], observation_size: int, outputs: tuple[int, ...]) -> None:
    """Raises ValueError where layers, (outputs, inputs) each, do not lead from an observation to so many outputs."""
    sizes = [observation_size, *(outputs for outputs, _ in shapes)]
    if not shapes or any(layer[1] != expected for layer, expected in zip(shapes, sizes, strict=False)):
        raise wrong(f"its layers have shapes {shorten(shapes)}, which do not follow {observation_size} observations")
    if sizes[-1] not in outputs:
        raise wrong(f"its last layer has {sizes[-1]} outputs, which do not fit its actions")
    if sum(outputs * inputs for outputs, inputs in shapes) > LARGEST_DENSE:
        raise wrong(f"its layers have shapes {shorten(shapes)}, more than {LARGEST_DENSE} weights")


def digest(metadata: Mapping[str, str], layers: list[tuple[Array, ...]]) -> str:
    """SHA-256, in hex, over all that the file holds; a layer's arrays in the order of `KINDS`, `NORMALIZATION` last."""
    content = json.dumps(metadata, sort_keys=True) + digest_of_layers(layers)
    return hashlib.sha256(content.encode()).hexdigest()


def digest_of_layers(layers: list[tuple[Array, ...]]) -> str:
    hashed = hashlib.sha256()
    for layer in layers:
        for array in layer:
            hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def wrong(what: str) -> ValueError:
    return ValueError(f"is no policy that rlx2 wrote ({what}): restore it from a copy.")


def shorten(value: object, longest: int = 60) -> str:
    """A value as a sentence may have it."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _arrays(content: bytes) -> tuple[dict[str, str], dict[str, Array]]:
    """The texts of the metadata, and all arrays by name."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(LONGEST_HEADER, len(content) - 8):
        raise _unreadable("its header is too long, or not all there")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _unreadable("its header is no JSON") from None
    if not isinstance(header, dict):
        raise _unreadable("its header has no keys")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _unreadable("its header has no metadata")
    view = memoryview(content)[8 + length :]
    arrays = {name: _array(name, entry, view) for name, entry in header.items()}
    if sum(array.nbytes for array in arrays.values()) != len(view):
        raise _unreadable("its arrays are not as long as the file")
    return metadata, arrays


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _array(name: str, entry: Any, view: memoryview) -> Array:
    """One array, which has a single axis."""
    problem = _unreadable(f"its array {shorten(name)} is none of a policy")
    kind = "F32" if name in NORMALIZATION else KINDS.get(name.rpartition(".")[2])
    if kind is None or not isinstance(entry, dict) or entry.get("dtype") != kind:
        raise problem
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not (_are_counts(shape, 1) and _are_counts(offsets, 2)):
        raise problem
    (size,), (start, end) = shape, offsets
    if not start <= end <= len(view) or end - start != 4 * size:
        raise problem
    return np.frombuffer(view[start:end], ENDIAN_TYPES[kind])


def _are_counts(value: Any, count: int) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) == count and all(type(each) is int and each >= 0 for each in value)


def _by_layer(named: dict[str, Array]) -> list[tuple[Array, ...]] | None:
    """The arrays of each layer; None where they are not those of layers."""
    names = [[f"policy.{number}.{name}" for name in KINDS] for number in range(len(named) // len(KINDS))]
    if {name for layer in names for name in layer} != named.keys():
        return None
    return [tuple(named[name] for name in layer) for layer in names]


def _layer(arrays: tuple[Array, ...]) -> Layer:
    shape, indices, weights, bias = arrays
    if len(shape) != 2 or shape.min() < 1:
        raise wrong(f"a layer has the shape {shorten(shape.tolist())}")
    outputs, inputs = (int(size) for size in shape)
    if len(bias) != outputs or len(weights) != len(indices):
        raise wrong(f"a layer of shape ({outputs}, {inputs}) has {len(bias)} biases")
    if len(indices) and (indices[0] < 0 or indices[-1] >= outputs * inputs or (indices[1:] <= indices[:-1]).any()):
        raise wrong(f"the places in a layer of shape ({outputs}, {inputs}) do not ascend within it")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise wrong("a weight is no finite number")
    return Layer((outputs, inputs), indices, weights, bias)


def _bounds(fields: dict[str, Any], name: str, largest: float) -> tuple[float, ...]:
    values = fields[name]
    if not isinstance(values, list) or len(values) != fields["action_size"]:
        raise wrong(f"its {name} is {shorten(values)}")
    for value in values:
        if type(value) not in (int, float) or not abs(value) <= largest:  # not what is NaN
            raise wrong(f"its {name} has {shorten(value)}")
    return tuple(map(float, values))


def _json(metadata: dict[str, str], key: str) -> Any:
    try:
        return json.loads(metadata.get(key, "{}"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise wrong(f"its {key} is no JSON") from None


def _outputs(action_size: int) -> tuple[int, int]:
    """Those of a policy that gives an action, and of one that gives the mean and the width of a Gaussian."""
    return action_size, 2 * action_size


def _unreadable(what: str) -> NoPolicy:
    return NoPolicy(f"cannot be read as a policy ({what}): give a run directory or a policy file.")
