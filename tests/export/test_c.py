"""The exported C: warning-free C99, clean under sanitizers, and the trainer's actions to 1e-5."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from rlx2_ray.export.c_compiler import compiled, find_compiler
from rlx2_ray.export.c_reader import CSource, read_source
from rlx2_ray.export.c_source import Text, c_name, write_text
from rlx2_ray.export.identity import describe
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import INTEGER_TYPES, IntegerType, rounded
from rlx2_ray.footprint.tables import decode, encode
from rlx2_ray.networks.policy import DenseNetwork
from rlx2_ray.networks.policy_file import PolicyFile, load_policy
from rlx2_ray.types import BadInput, Damaged
from tests.export.policies import (
    VERY_WIDE,
    WIDE,
    constant_policy,
    in_units,
    observations_for,
    policies,
    random_policy,
    trainers_actions,
)
from tests.support.runs import ROOT

STRICT = ["-Os", "-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TRAINED = ROOT / "results" / "inverted_pendulum_policy.safetensors"

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def write(policy: PolicyFile, path: Path, kind: IntegerType | None = None, **description: Any) -> CSource:
    layers = [encode(layer, kind) for layer in compact(policy.layers, policy.spaces.action_size)]
    text = write_text(path, layers, policy.spaces, describe(policy) | description, ["A test's."])
    path.write_text(text.source)
    path.with_suffix(".h").write_text(text.header)
    return read_source(path)


def compiler_with(flags: list[str]) -> list[str]:
    compiler = find_compiler()
    assert compiler is not None
    return [compiler[0], *flags]


def check_equal(policy: PolicyFile, source: CSource, flags: list[str], count: int = 50) -> None:
    observations = observations_for(policy, count)
    with compiled(compiler_with(flags), source) as act:
        actions = act(observations)
    expected = in_units(policy, trainers_actions(policy, observations))
    np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("flags", [STRICT, STRICT + SANITIZERS], ids=["strict", "sanitized"])
def test_trained_policy_on_ten_thousand_observations(flags: list[str], tmp_path: Path) -> None:
    policy = load_policy(TRAINED)
    check_equal(policy, write(policy, tmp_path / "pendulum.c"), flags, 10_000)


@needs_compiler
@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_both_algorithms_at_hoppers_sizes(algo: str, tmp_path: Path) -> None:
    policy = random_policy(algo, [11, 256, 256, 3], [0.126, 0.01, 0.45])
    check_equal(policy, write(policy, tmp_path / "hopper.c"), STRICT + SANITIZERS, 10_000)


@needs_compiler
@pytest.mark.parametrize("observation_size", [WIDE, VERY_WIDE])
def test_more_inputs_than_a_small_integer_numbers(observation_size: int, tmp_path: Path) -> None:
    policy = random_policy("td3", [observation_size, 4, 1], [20 / observation_size, 1])
    check_equal(policy, write(policy, tmp_path / "wide.c"), STRICT + SANITIZERS)


@needs_compiler
@pytest.mark.parametrize("kind", [None, *INTEGER_TYPES.values()])
def test_constant_fan_in(kind: IntegerType | None, tmp_path: Path) -> None:
    policy = constant_policy()
    source = write(policy, tmp_path / "policy.c", kind)
    assert [(layer.form, layer.has_fan_in) for layer in source.tables.layers] == [
        ("columns", True),
        ("gaps", True),
        ("dense", False),
    ]
    assert "counts" not in source.text.source
    assert source.is_ours
    network = compact(policy.layers, 2)
    expected = in_units(
        policy, DenseNetwork(rounded(network, kind) if kind else network).outputs(observations_for(policy), 2)
    )
    with compiled(compiler_with(STRICT + SANITIZERS), source) as act:
        np.testing.assert_allclose(act(observations_for(policy)), expected, rtol=0, atol=1e-5)


def shorter(source: str, name: str) -> str:
    """The source with one number less in a table, that says so."""
    found = re.search(rf"{name}\[(\d+)\] = {{\n    [^,]*,", source)
    assert found
    return source.replace(found[0], f"{name}[{int(found[1]) - 1}] = {{\n    ")


def twice(source: str, name: str) -> str:
    """The source with the first number of a table as its second, too."""
    return re.sub(rf"({name}\[\d+\] = {{\n    )(\d+), \d+,", r"\g<1>\g<2>, \g<2>,", source)


ALTERED: dict[str, tuple[Callable[[str], str], str]] = {
    "beyond": (lambda text: re.sub(r"(uint8_t columns_1\[\d+\] = {\n    )\d+", r"\g<1>20", text), "its 20 inputs"),
    "far": (
        lambda text: re.sub(r"(uint8_t gaps_2\[\d+\] = {\n    )\d+, \d+, ", r"\g<1>255, 255, ", text),
        "its .* inputs",
    ),
    "twice": (lambda text: twice(text, "columns_1"), "two weights in one place"),
    "no gap": (
        lambda text: re.sub(r"(uint8_t gaps_2\[\d+\] = {\n    \d+, )\d+", r"\g<1>0", text),
        "two weights in one place",
    ),
    "rows": (lambda text: shorter(shorter(text, "columns_1"), "weights_1"), "other sizes"),
    "places": (lambda text: shorter(text, "columns_1"), "other sizes"),
    "counts": (lambda text: text.replace("uint8_t columns_1[", "uint8_t counts_1["), "lacks a table"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_constant_fan_in_is_refused(name: str, tmp_path: Path) -> None:
    change, problem = ALTERED[name]
    source = write(constant_policy(), tmp_path / "policy.c")
    altered = change(source.text.source)
    assert altered != source.text.source
    source.text = source.text._replace(source=altered)
    assert not source.is_ours
    with pytest.raises(Damaged, match=problem):
        _ = source.tables


@needs_compiler
@pytest.mark.slow
@settings(max_examples=30)
@given(policies())
def test_random_structures_compiled(tmp_path_factory: pytest.TempPathFactory, policy: PolicyFile) -> None:
    folder = tmp_path_factory.mktemp("c")
    check_equal(policy, write(policy, folder / "policy.c"), STRICT + SANITIZERS)


@settings(max_examples=25)
@given(policies())
def test_tables_of_random_structures_read_back(tmp_path_factory: pytest.TempPathFactory, policy: PolicyFile) -> None:
    source = write(policy, tmp_path_factory.mktemp("c") / "policy.c")
    observations = observations_for(policy)
    expected = in_units(policy, trainers_actions(policy, observations))
    np.testing.assert_allclose(source.act(observations), expected, rtol=0, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize(("name", "differs_by"), [("int8", 1e-4), ("int16", 1e-6)])
def test_integers_act_as_the_network_they_are_rounded_from(name: str, differs_by: float, tmp_path: Path) -> None:
    policy = random_policy("sac", [11, 64, 64, 3], [0.3, 0.05, 0.9])
    source = write(policy, tmp_path / "small.c", INTEGER_TYPES[name])
    observations = observations_for(policy, 1000)
    with compiled(compiler_with(STRICT + SANITIZERS), source) as act:
        actions = act(observations)
    network = DenseNetwork(rounded(compact(policy.layers, 3), INTEGER_TYPES[name]))
    np.testing.assert_allclose(actions, in_units(policy, network.outputs(observations, 3)), rtol=0, atol=1e-5)
    difference = np.abs(actions - in_units(policy, trainers_actions(policy, observations))).max()
    assert differs_by < difference < 300 * differs_by


TANH = (
    '#include "policy.c"\n#include <stdio.h>\n'
    + """
int main(void)
{
    float x;
    while (fread(&x, sizeof x, 1, stdin) == 1) {
        x = squash(x);
        fwrite(&x, sizeof x, 1, stdout);
    }
    return 0;
}
"""
)


@needs_compiler
def test_tanh_errs_by_what_it_says(tmp_path: Path) -> None:
    source = write(random_policy("td3", [1, 1], [1]), tmp_path / "policy.c")
    (tmp_path / "tanh.c").write_text(TANH)
    command = [*compiler_with(STRICT), str(tmp_path / "tanh.c"), "-o", str(tmp_path / "tanh")]
    subprocess.run(command, check=True)
    x = np.concatenate([np.linspace(-9.5, 9.5, 500_001), np.logspace(-38, 38, 10_001), [np.inf, -np.inf, 0]])
    x = x.astype(np.float32)
    done = subprocess.run([tmp_path / "tanh"], input=x.tobytes(), capture_output=True, check=True)
    error = np.abs(np.frombuffer(done.stdout, np.float32) - np.tanh(x.astype(np.float64)))
    assert error.max() < 3e-7
    assert "below 3e-7" in source.text.source


def test_strange_words_stay_within_their_comment(tmp_path: Path) -> None:
    kwargs = {"file": "/*/a*/ ??/", "more": 'quote " \\ \n'}
    policy = random_policy("td3", [2, 1], [1])._replace(env={"id": "Odd*/-v0", "kwargs": kwargs})
    source = write(policy, tmp_path / "policy.c")
    assert source.identity.env == policy.env
    if find_compiler():
        check_equal(policy, source, STRICT)


@pytest.mark.parametrize(
    ("old", "new"),
    [("bias_1", "bias_2"), (" 1.0f", " 1.5f"), ('"algo": "td3"', '"algo": "sac"'), ("A test's.", "Another's.")],
)
def test_changed_source_is_refused_with_its_name(old: str, new: str, tmp_path: Path) -> None:
    write(random_policy("td3", [2, 2, 1], [1, 1]), tmp_path / "policy.c")
    text = (tmp_path / "policy.c").read_text()
    assert old in text
    (tmp_path / "policy.c").write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput, match=r"policy\.c is damaged"):
        read_source(tmp_path / "policy.c")


def test_changed_or_missing_header_is_refused(tmp_path: Path) -> None:
    write(random_policy("td3", [2, 1], [1]), tmp_path / "policy.c")
    header = tmp_path / "policy.h"
    header.write_text(header.read_text().replace("SIZE 2", "SIZE 3"))
    with pytest.raises(BadInput, match=r"policy\.c is damaged"):
        read_source(tmp_path / "policy.c")
    header.unlink()
    with pytest.raises(BadInput, match=r"policy\.c needs .*policy\.h"):
        read_source(tmp_path / "policy.c")


def test_line_ends_of_another_system_are_no_damage(tmp_path: Path) -> None:
    write(random_policy("td3", [2, 1], [1]), tmp_path / "policy.c")
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    read_source(tmp_path / "policy.c")


@pytest.mark.parametrize("content", [b"int main(void) { return 0; }", b"\xff\xfe", b""])
def test_other_c_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "policy.c").write_bytes(content)
    with pytest.raises(BadInput, match=r"policy\.c"):
        read_source(tmp_path / "policy.c")


def test_digest_is_over_both_files() -> None:
    assert len({Text("a", "b").digest, Text("c", "b").digest, Text("a", "c").digest}) == 3


def test_float_tables_are_exact(tmp_path: Path) -> None:
    policy = random_policy("td3", [3, 7, 2], [1, 1])
    layers = write(policy, tmp_path / "policy.c").tables.layers
    for read, written in zip(map(decode, layers), policy.layers, strict=True):
        np.testing.assert_array_equal(read.weights, written.scatter())
        np.testing.assert_array_equal(read.bias, written.bias)


@pytest.mark.parametrize(
    ("file", "name"),
    [("hopper.c", "hopper"), ("my-hopper.2.c", "my_hopper_2"), ("8bit.c", "policy_8bit"), ("_x.c", "policy__x")],
)
def test_names_in_c(file: str, name: str) -> None:
    assert c_name(Path(file)) == name


@pytest.mark.parametrize("file", ["my hopper.c", 'a"b.c', "läufer.c"])
def test_file_that_c_cannot_include_is_refused(file: str) -> None:
    with pytest.raises(BadInput, match="--out"):
        c_name(Path(file))
