"""Exports of policies with normalised observations: each acts as the policy does, and altered ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load, save

from rlx2_ray.experiment.playback import playable
from rlx2_ray.export import c_export, onnx_export, safetensors_export
from rlx2_ray.export.c_compiler import find_compiler
from rlx2_ray.export.c_reader import read_source
from rlx2_ray.export.formats import load_playable
from rlx2_ray.export.rounding_loss import Loss, Rounding
from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest, save_policy
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.types import BadInput, Floats
from tests.export.policies import in_units, random_policy
from tests.export.test_exports_of_others import sealed
from tests.support.forged import parts_of

WRITERS: dict[str, Any] = {
    "safetensors": safetensors_export.write,
    "onnx": onnx_export.write,
    "c": lambda policy, path: c_export.write(policy, path, None),
}
MEAN, SCALE = [101_325.0, 0.001, -7.0, 0.0], [0.02, 5_000.0, 1.0, 1e-9]
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def policy_of(algo: str = "td3") -> PolicyFile:
    policy = random_policy(algo, [4, 8, 2], [0.6, 1.0])
    return policy._replace(normalization=Normalization(np.float32(MEAN), np.float32(SCALE)))


def observations() -> Floats:
    """Of the sizes that they are normalised from, some far out."""
    drawn = np.random.default_rng(0).standard_normal((60, 4), dtype=np.float32)
    drawn[::7] *= 40
    return np.asarray(drawn / np.float32(SCALE) + np.float32(MEAN))


def by_hand(policy: PolicyFile, given: Floats) -> Floats:
    """The actions in the environment's units, in double precision."""
    hidden: Any = np.clip((given.astype(np.float64) - np.float32(MEAN)) * np.float32(SCALE), -10, 10)
    for number, layer in enumerate(policy.layers):
        hidden = hidden @ layer.scatter().T.astype(np.float64) + layer.bias
        hidden = np.maximum(hidden, 0) if number < len(policy.layers) - 1 else np.tanh(hidden[:, :2])
    return in_units(policy, hidden)


@pytest.mark.parametrize("algo", ["td3", "sac"])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_acts_as_the_policy(kind: str, algo: str, tmp_path: Path) -> None:
    policy, path, given = policy_of(algo), tmp_path / f"policy.{kind}", observations()
    assert WRITERS[kind](policy, path)["check"]["max_difference"] < 1e-5
    with load_playable(path, lambda text: None) as played:
        acted = played.policy.action(given)
        assert np.allclose(in_units(policy, acted), by_hand(policy, given), atol=1e-5)
        assert np.allclose(played.policy.action(given[3]), acted[3], atol=1e-6)
        assert played.policy_digest == policy_digest(*policy.weights)


def test_the_tables_alone_act_as_the_compiled_c(tmp_path: Path) -> None:
    policy, path = policy_of(), tmp_path / "policy.c"
    WRITERS["c"](policy, path)
    source = read_source(path)
    assert source.is_ours
    assert np.allclose(source.act(observations()), by_hand(policy, observations()), atol=1e-5)
    assert "clipped to 10 deviations: 32 bytes more" in path.read_text()


@needs_compiler
def test_rounded_weights_keep_exact_observations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, path = policy_of(), tmp_path / "policy.c"
    nothing = Loss(1, 0, 0.0, 0.0, 0.0, None, 0.0)  # it has no environment
    monkeypatch.setattr(c_export, "measure_loss", lambda *args: nothing)
    c_export.write(policy, path, Rounding("int16", None))  # type: ignore[arg-type]
    with load_playable(path, lambda text: None) as played:
        acted = in_units(policy, played.policy.action(observations()))
    assert np.allclose(acted, by_hand(policy, observations()), atol=2e-3)


@needs_compiler
def test_nan_is_nan_all_the_same(tmp_path: Path) -> None:
    path, given = tmp_path / "policy.c", observations()[:2]
    WRITERS["c"](policy_of(), path)
    given[1, 2] = np.nan
    with load_playable(path, lambda text: None) as played:
        acted = played.policy.action(given)
    assert np.isfinite(acted[0]).all()
    assert np.isnan(acted[1]).all()


def test_a_policy_comes_back_and_its_statistics_are_part_of_its_digest(tmp_path: Path) -> None:
    policy, path = policy_of(), tmp_path / "policy.safetensors"
    save_policy(path, policy)
    read = load_policy(path)
    assert read.normalization is not None
    assert [each.tolist() for each in read.normalization] == [np.float32(MEAN).tolist(), np.float32(SCALE).tolist()]
    moved = Normalization(np.float32(MEAN) + 1, np.float32(SCALE))
    of = [policy_digest(policy.layers, each) for each in (None, policy.normalization, moved)]
    assert len(set(of)) == 3
    assert playable(read).policy_digest == of[1]


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("observation.mean", [0.0] * 3, "other than 4 means"),
        ("observation.mean", [np.nan] + [0.0] * 3, "no training comes to"),
        ("observation.mean", [3e18] * 4, "no training comes to"),
        ("observation.scale", [0.0] * 4, "no training comes to"),
        ("observation.scale", [-1.0] * 4, "no training comes to"),
        ("observation.scale", [1e5] * 4, "no training comes to"),
        ("observation.scale", None, "other than 4 means"),
        ("observation.more", [1.0], "none of a policy"),
    ],
)
def test_an_altered_policy_is_refused(tmp_path: Path, name: str, values: Any, problem: str) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(path, policy_of())
    arrays, metadata = parts_of(path.read_bytes())
    arrays.pop(name, None)
    if values is not None:
        arrays[name] = np.array(values, np.float32)
    metadata.pop("digest")
    layers = [tuple(arrays[f"policy.{number}.{kind}"] for kind in policy_reader.KINDS) for number in range(2)]
    statistics = tuple(arrays[each] for each in policy_reader.NORMALIZATION if each in arrays)
    metadata["digest"] = policy_reader.digest(metadata, [*layers, statistics])
    path.write_bytes(save(arrays, metadata))
    with pytest.raises(BadInput, match=problem):
        load_policy(path)
    assert name == "observation.more" or load(path.read_bytes()).keys() <= arrays.keys()


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("highest", np.float32(1000), "clips its observations to other bounds"),
        ("observation_scale", np.full(4, np.nan, np.float32), "no finite number"),
        ("observation_scale", np.full(4, -1, np.float32), "no training comes to"),
        ("observation_mean", np.zeros(1, np.float32), "other than 4 means"),
        ("observation_mean", None, "not that of a policy"),
    ],
)
def test_an_altered_model_is_refused(tmp_path: Path, name: str, values: Any, problem: str) -> None:
    path = tmp_path / "policy.onnx"
    WRITERS["onnx"](policy_of(), path)
    model = onnx.load_model(path)
    altered = [numpy_helper.from_array(np.asarray(values), name)] if values is not None else []
    tensors = [each for tensor in model.graph.initializer for each in (altered if tensor.name == name else [tensor])]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    path.write_bytes(sealed(model))
    with pytest.raises(BadInput, match=problem), load_playable(path, lambda text: None):
        pass


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 10.0f", "> 11.0f"),
        ("observation_scale[4] = {", "observation_scale[4] = {\n    -1.0f, 1.0f, 1.0f, 1.0f };\nint x[4] = {"),
        ("static const float observation_mean", "static const float observation_more"),
    ],
)
def test_an_altered_source_is_none_of_ours(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "policy.c"
    WRITERS["c"](policy_of(), path)
    source = read_source(path)
    assert source.is_ours
    assert old in source.text.source
    again = read_source(path)
    again.text = source.text._replace(source=source.text.source.replace(old, new, 1))
    assert not again.is_ours
