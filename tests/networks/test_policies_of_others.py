"""Policies that somebody altered, with their digests made anew: a policy that acts, or a sentence with the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.experiment.playback import playable
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, save_policy
from rlx2_ray.types import Spaces
from tests.networks.networks import random_layers
from tests.support.forged import (
    Arrays,
    altered,
    altered_array,
    broken,
    parts_of,
    policy_bytes,
    refused,
    result_or_sentence,
)
from tests.support.fuzz import fuzz
from tests.support.runs import ROOT

SPACES = Spaces(2, 1, (-2.0,), (3.0,))
ABOUT = {"algo": "td3", "method": "rlx2", "env_steps": 5, "learner_steps": 4, "score": 1.5, "return_mean": 1.0}
POLICY = PolicyFile(random_layers(2, 3, 1, density=0.8), "td3", {"id": "Hopper-v5", "kwargs": {}}, SPACES, ABOUT)
Metadata = dict[str, str]


def good() -> tuple[Arrays, Metadata]:
    folder = ROOT / "results" / "policies"
    return parts_of((folder / "Hopper-v5-td3-rlx2-s1.safetensors").read_bytes())


def of_array(name: str, change: Callable[[Any], Any]) -> Callable[[Arrays, Metadata], None]:
    def alter(arrays: Arrays, metadata: Metadata) -> None:
        arrays[f"policy.{name}"] = change(arrays[f"policy.{name}"])

    return alter


def of_json(key: str, **values: Any) -> Callable[[Arrays, Metadata], None]:
    def alter(arrays: Arrays, metadata: Metadata) -> None:
        metadata[key] = json.dumps(json.loads(metadata[key]) | values)

    return alter


def of_metadata(key: str, value: str | None) -> Callable[[Arrays, Metadata], None]:
    def alter(arrays: Arrays, metadata: Metadata) -> None:
        metadata.pop(key)
        if value is not None:
            metadata[key] = value

    return alter


def at(place: int, value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        return np.concatenate([array[:place], np.array([value], array.dtype), array[place + 1 :]])

    return change


def too_wide(arrays: Arrays, metadata: Metadata) -> None:
    """A file of half a megabyte that stands for 10 GB."""
    width, none = 50_000, np.empty(0, np.int32)
    sizes = [(width, 11), (width, width), (3, width)]
    for number, (outputs, inputs) in enumerate(sizes):
        arrays[f"policy.{number}.shape"] = np.array([outputs, inputs], np.int32)
        arrays[f"policy.{number}.indices"], arrays[f"policy.{number}.weights"] = none, none.astype(np.float32)
        arrays[f"policy.{number}.bias"] = np.zeros(outputs, np.float32)


def without_layers(arrays: Arrays, metadata: Metadata) -> None:
    arrays.clear()


ALTERATIONS = {
    "negative index": of_array("0.indices", at(0, -5)),
    "index beyond the layer": of_array("0.indices", lambda array: at(len(array) - 1, 2**30)(array)),
    "unsorted indices": of_array("0.indices", lambda array: array[::-1].copy()),
    "the same index twice": of_array("0.indices", lambda array: at(1, array[0])(array)),
    "wide indices": of_array("0.indices", lambda array: array.astype(np.int64)),
    "half weights": of_array("0.weights", lambda array: array.astype(np.float16)),
    "double weights": of_array("1.weights", lambda array: array.astype(np.float64)),
    "half biases": of_array("2.bias", lambda array: array.astype(np.float16)),
    "a weight that is no number": of_array("0.weights", at(3, np.nan)),
    "an infinite bias": of_array("1.bias", at(3, np.inf)),
    "too few weights": of_array("0.weights", lambda array: array[1:].copy()),
    "too few biases": of_array("0.bias", lambda array: array[1:].copy()),
    "a layer that does not follow": of_array("1.shape", at(1, 300)),
    "a negative shape": of_array("0.shape", lambda array: -array),
    "a shape of three": of_array("0.shape", lambda array: np.append(array, array[:1])),
    "no layers": without_layers,
    "layers of 10 GB": too_wide,
    "an unknown algorithm": of_metadata("algo", "ppo"),
    "another algorithm": of_metadata("algo", "sac"),
    "no algorithm": of_metadata("algo", None),
    "no environment": of_metadata("env", None),
    "an environment without an id": of_metadata("env", '{"kwargs": {}}'),
    "an environment that is a list": of_metadata("env", '["Hopper-v5"]'),
    "an id of a megabyte": of_metadata("env", json.dumps({"id": "x" * 200_000})),
    "a key that environments lack": of_json("env", wrappers=[]),
    "kwargs that are no mapping": of_json("env", kwargs=["render_mode"]),
    "half a character": of_metadata("env", r'{"id": "\ud800"}'),
    "no spaces": of_metadata("spaces", None),
    "spaces that are no JSON": of_metadata("spaces", "{"),
    "too few bounds": of_json("spaces", action_low=[-1.0]),
    "bounds that are texts": of_json("spaces", action_low=["-1", "-1", "-1"]),
    "bounds the wrong way round": of_json("spaces", action_low=[2.0, 2.0, 2.0]),
    "bounds without end": of_json("spaces", action_high=[float("inf")] * 3),
    "another observation": of_json("spaces", observation_size=12),
    "an action of no size": of_json("spaces", action_size=0),
    "a size that is a truth": of_json("spaces", action_size=True),
    "what spaces lack": of_json("spaces", more=1),
    "a score that is a text": of_json("about", score="1e9"),
    "steps that are none": of_json("about", env_steps=[1]),
    "about that is a list": of_metadata("about", "[1]"),
    "about that is deep": of_metadata("about", '{"a": ' * 900 + "1" + "}" * 900),
    "the same key twice": of_metadata("env", '{"id": "Hopper-v5", "id": "Ant-v5"}'),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_policy_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    arrays, metadata = good()
    ALTERATIONS[name](arrays, metadata)
    path = tmp_path / "policy.safetensors"
    path.write_bytes(policy_bytes(arrays, metadata))
    assert refused(lambda: load_policy(path)).startswith(f"{path} ")


def test_what_is_altered_is_taken_where_nothing_is(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    path.write_bytes(policy_bytes(*good()))
    assert load_policy(path).env["id"] == "Hopper-v5"


def test_header_is_not_read_where_it_is_long(tmp_path: Path) -> None:
    arrays, metadata = good()
    path = tmp_path / "policy.safetensors"
    path.write_bytes(policy_bytes(arrays, metadata | {"about": json.dumps({"x": "y" * 2**21})}))
    assert "header" in refused(lambda: load_policy(path))


@pytest.mark.parametrize("path", ["/dev/zero", "a pipe", "a folder", "a long file"])
def test_what_is_no_regular_file_is_refused(path: str, tmp_path: Path) -> None:
    file = Path(path) if path.startswith("/") else tmp_path / path
    if path == "a pipe":
        os.mkfifo(file)
    elif path == "a folder":
        file.mkdir()
    elif path == "a long file":
        with file.open("wb") as opened:
            opened.truncate(2**40)
    assert str(file) in refused(lambda: load_policy(file))


def test_algorithms_are_those_whose_outputs_a_policy_may_have() -> None:
    assert {each.outputs_per_action for each in ALGORITHMS.values()} == {1, 2}


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("**/*.safetensors")), ids=lambda path: str(path.name))
def test_policies_of_earlier_versions_are_read(path: Path) -> None:
    assert load_policy(path).env["id"].endswith("-v5")


@fuzz
def test_altered_policy_acts_or_is_one_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "policies"
    (folder / "outside").mkdir(parents=True, exist_ok=True)
    path = folder / "policy.safetensors"
    save_policy(path, POLICY)
    path.write_bytes(forged(data.draw, path.read_bytes()))
    with result_or_sentence(folder / "outside"):
        policy = load_policy(path)
        playable(policy).policy.action(np.zeros(policy.spaces.observation_size, np.float32))


def forged(draw: st.DrawFn, content: bytes) -> bytes:
    if draw(st.integers(0, 4)) == 0:
        return broken(draw, content)
    arrays, metadata = parts_of(content)
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            name = draw(st.sampled_from(sorted(arrays)))
            arrays[name] = altered_array(draw, arrays[name])
        else:
            key = draw(st.sampled_from(sorted(metadata)))
            value = json.loads(metadata[key]) if metadata[key].startswith("{") else metadata[key]
            text = json.dumps(altered(draw, value))
            metadata[key] = text if metadata[key].startswith("{") else text.strip('"')
    return policy_bytes(arrays, metadata)
