"""Exported files that somebody altered, with their digests made anew: played as we write them, or one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from hypothesis import strategies as st
from onnx import TensorProto, helper

from rlx2_ray.cli.main import run
from rlx2_ray.export import c_compiler, c_export, onnx_export
from rlx2_ray.export.c_compiler import find_compiler
from rlx2_ray.export.formats import load_playable
from rlx2_ray.networks.policy_file import PolicyFile, load_policy
from tests.export.policies import observations_for, random_policy
from tests.export.test_fixed_point import write as write_fixed
from tests.support.forged import altered, broken, refused, result_or_sentence
from tests.support.fuzz import fuzz
from tests.support.runs import ROOT
from tests.tracking.test_tracker import wait_until

TRAINED = ROOT / "results" / "inverted_pendulum_policy.safetensors"
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


@pytest.fixture
def policy() -> PolicyFile:
    return random_policy("td3", [4, 8, 1], [0.5, 1.0])._replace(env={"id": "InvertedPendulum-v5", "kwargs": {}})


def act(path: Path, allow_native: bool = False) -> Any:
    with load_playable(path, lambda text: None, allow_native=allow_native) as played:
        size = played.spaces.observation_size
        return played.policy.action(np.zeros((2, size), np.float32))


# ONNX


def sealed(model: onnx.ModelProto) -> bytes:
    """The model with the digest that it should have."""
    properties = {entry.key: entry.value for entry in model.metadata_props if entry.key != "rlx2.digest"}
    helper.set_model_props(model, properties)
    digest = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    helper.set_model_props(model, properties | {"rlx2.digest": digest})
    return bytes(model.SerializeToString(deterministic=True))


def written(policy: PolicyFile, folder: Path) -> tuple[Path, onnx.ModelProto]:
    path = folder / "policy.onnx"
    onnx_export.write(policy, path)
    return path, onnx.load(path)


def describe(model: onnx.ModelProto, change: Callable[[Any], Any]) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == "rlx2.policy")
    entry.value = json.dumps(change(json.loads(entry.value)))


def loop(model: onnx.ModelProto) -> None:
    """Ten to the eighteenth times nothing."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["value"], ["same"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.append(helper.make_tensor("times", TensorProto.INT64, [], [10**18]))
    model.graph.node[0].input[0] = "looped"
    model.graph.node.insert(0, helper.make_node("Loop", ["times", "", "observation"], ["looped"], body=body))


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    tensor.raw_data = b""


def first(model: onnx.ModelProto) -> Any:
    return model.graph.initializer[0]


MODELS: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "a loop": loop,
    "data in another file": external,
    "an operator of somebody's own": lambda model: setattr(model.graph.node[0], "domain", "evil"),
    "another operator": lambda model: setattr(model.graph.node[1], "op_type", "Sigmoid"),
    "a function": lambda model: model.functions.append(
        helper.make_function("evil", "Gemm", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    ),
    "another operator set": lambda model: setattr(model.opset_import[0], "version", 11),
    "an attribute": lambda model: setattr(model.graph.node[0].attribute[0], "i", 0),
    "a constant of 10 GB": lambda model: first(model).dims.__setitem__(0, 10**9),
    "negative sizes": lambda model: first(model).dims.__setitem__(0, -8),
    "another type": lambda model: setattr(first(model), "data_type", TensorProto.FLOAT16),
    "text for numbers": lambda model: setattr(first(model), "data_type", TensorProto.STRING),
    "no weights": lambda model: model.graph.initializer.pop(0),
    "a weight that is no number": lambda model: setattr(first(model), "raw_data", b"\xff" * len(first(model).raw_data)),
    "a sparse constant": lambda model: model.graph.sparse_initializer.append(onnx.SparseTensorProto()),
    "other bounds": lambda model: describe(
        model, lambda told: told | {"spaces": told["spaces"] | {"action_low": [-9]}}
    ),
    "another size": lambda model: describe(
        model, lambda told: told | {"spaces": told["spaces"] | {"observation_size": 5}}
    ),
    "no environment": lambda model: describe(model, lambda told: told | {"env": {}}),
    "a description that is none": lambda model: describe(model, lambda told: [told]),
    "an unknown algorithm": lambda model: describe(model, lambda told: told | {"algo": "ppo"}),
    "no digest of the policy": lambda model: describe(model, lambda told: told | {"policy_digest": 7}),
}


@pytest.mark.parametrize("name", MODELS)
def test_altered_model_is_refused_with_its_name(name: str, policy: PolicyFile, tmp_path: Path) -> None:
    path, model = written(policy, tmp_path)
    MODELS[name](model)
    path.write_bytes(sealed(model))
    assert refused(lambda: act(path)).startswith(f"{path} ")


def test_version_of_the_writer_does_not_matter(policy: PolicyFile, tmp_path: Path) -> None:
    path, model = written(policy, tmp_path)
    model.producer_version = "0.0.1"
    path.write_bytes(sealed(model))
    assert act(path).shape == (2, 1)


@fuzz
def test_altered_model_acts_or_is_one_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "models"
    (folder / "outside").mkdir(parents=True, exist_ok=True)
    if not (folder / "good.onnx").exists():
        onnx_export.write(random_policy("td3", [4, 8, 1], [0.5, 1.0]), folder / "good.onnx")
    good, path = (folder / "good.onnx").read_bytes(), folder / "policy.onnx"
    path.write_bytes(forged_model(data.draw, good))
    with result_or_sentence(folder / "outside"):
        act(path)


def forged_model(draw: st.DrawFn, content: bytes) -> bytes:
    if draw(st.integers(0, 3)) == 0:
        return broken(draw, content)
    model = onnx.load_model_from_string(content)
    if draw(st.booleans()):
        describe(model, lambda told: altered(draw, told))
    else:
        _alter_message(draw, model, 0)
    try:
        return sealed(model)
    except ValueError:  # no text that protobuf takes
        return content


def _alter_message(draw: st.DrawFn, message: Any, depth: int) -> None:
    """Another value in some field of it, or of what is in it."""
    fields = [field for field, _ in message.ListFields()]
    field = draw(st.sampled_from(fields))
    value = getattr(message, field.name)
    if field.message_type is not None and depth < 6:
        inner = value if not field.is_repeated else draw(st.sampled_from(list(value)))
        kind = draw(st.sampled_from(["in", "in", "in", "gone", "twice"]))
        if kind == "gone":
            message.ClearField(field.name)
        elif kind == "twice" and field.is_repeated:
            value.append(inner)
        elif inner.ListFields():
            _alter_message(draw, inner, depth + 1)
        return
    new = {
        "int": st.sampled_from([0, 1, -1, 2, 7, 11, 16, 2**31 - 1]),
        "str": st.sampled_from(["", "observation", "action", "value_1", "weights_1", "Loop", "Gemm", "Add", "ai.x"]),
        "bytes": st.binary(max_size=200),
        "float": st.floats(width=32),
    }
    try:
        sample = next(iter(value)) if field.is_repeated else value
        drawn = draw(new[type(sample).__name__])
        if field.is_repeated:
            value[draw(st.integers(0, len(value) - 1))] = drawn
        else:
            setattr(message, field.name, drawn)
    except (ValueError, TypeError):
        pass  # a field that holds no such value


# C


def resealed(source: str, header: str) -> str:
    """The source with the digest that it should have."""
    digest = next(line for line in source.splitlines() if "rlx2-digest: " in line).rpartition(" ")[2]
    blank = source.replace(digest, "0" * 64, 1)
    return source.replace(digest, hashlib.sha256((header + blank).encode()).hexdigest(), 1)


def alter_c(path: Path, change: Callable[[str], str]) -> Path:
    header = path.with_suffix(".h").read_text()
    path.write_text(resealed(change(path.read_text()), header))
    return path


def c_of(policy: PolicyFile, folder: Path) -> Path:
    c_export.write(policy, folder / "policy.c", None)
    return folder / "policy.c"


PAYLOAD = "__attribute__((constructor)) static void own(void) { __builtin_trap(); }\n"
SOURCES: dict[str, Callable[[str], str]] = {
    "code before all": lambda text: text.replace("#include <stddef.h>", f"#include <stddef.h>\n{PAYLOAD}"),
    "code in a note": lambda text: text.replace("\n * rlx2-digest", f" */\n{PAYLOAD}/*\n * rlx2-digest"),
    "code at the end": lambda text: text + PAYLOAD,
    "another tanh": lambda text: text.replace("x > 9.0f", "x > 8.0f"),
    "a place beyond the inputs": lambda text: text.replace("columns_1[12] = {\n    1", "columns_1[12] = {\n    9"),
    "a table that is longer": lambda text: text.replace("bias_1[7] = {\n", "bias_1[8] = {\n    1.0f, "),
    "a table that says so": lambda text: text.replace("bias_1[7]", "bias_1[80]"),
    "an infinite weight": lambda text: text.replace("bias_1[7] = {\n    -0.402607739f", "bias_1[7] = {\n    1e99f"),
    "another file": lambda text: text.replace("<stddef.h>", '"/etc/passwd"'),
}


@needs_compiler
@pytest.mark.parametrize("name", SOURCES)
def test_altered_source_is_not_run_unasked(name: str, policy: PolicyFile, tmp_path: Path) -> None:
    path = c_of(policy, tmp_path)
    before = path.read_text()
    alter_c(path, SOURCES[name])
    assert path.read_text() != before
    said = refused(lambda: act(path))
    assert said.startswith(f"{path} is native code, and not byte for byte what")
    assert "--allow-native" in said


@needs_compiler
def test_source_of_another_version_with_the_same_code_is_run(policy: PolicyFile, tmp_path: Path) -> None:
    path = c_of(policy, tmp_path)
    header = path.with_suffix(".h")
    for file in (path, header):
        file.write_text(file.read_text().replace("written by rlx2 ", "written by rlx2 0."))
    alter_c(path, lambda text: text)
    assert act(path).shape == (2, 1)


@needs_compiler
def test_allowed_source_is_run_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = c_of(load_policy(TRAINED), tmp_path)
    alter_c(path, lambda text: text.replace("{\n    float first", "{\n    /* slower */\n    float first"))
    command = ["evaluate", str(path), "--episodes", "1"]
    assert run(command) == 2
    assert "--allow-native" in capsys.readouterr().err
    assert run([*command, "--allow-native"]) == 0
    said = f"{path} is native code that may do anything, as --allow-native allows: it is compiled, and run in a "
    assert capsys.readouterr().err.startswith(said)


def test_allow_native_is_for_c_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(TRAINED), "--allow-native"]) == 2
    assert "--allow-native is for a .c file" in capsys.readouterr().err


DIRECTIVES = [
    '#include "/dev/zero"',
    "# include </etc/passwd>",
    '%:include "/etc/passwd"',
    '#\\\ninclude "/etc/passwd"',
    '??=include "/etc/passwd"',
    "#pragma GCC poison x",
    "#include_next <stddef.h>",
]


@needs_compiler
@pytest.mark.parametrize("directive", DIRECTIVES)
def test_other_files_are_not_included_even_where_code_is_allowed(
    directive: str, policy: PolicyFile, tmp_path: Path
) -> None:
    path = c_of(policy, tmp_path)
    alter_c(path, lambda text: text.replace("#include <stdint.h>", f"#include <stdint.h>\n{directive}"))
    assert "which no C of rlx2 export has" in refused(lambda: act(path, allow_native=True))


@needs_compiler
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("for (;;) {}", "gave no action in 1 s"),
        ("*(volatile int *)0 = 1;", "ended with status -11"),
        ("extern void exit(int); exit(3);", "ended with status 3"),
        ("extern int close(int); close(1); for (;;) {}", "ended with status"),
    ],
    ids=["a loop", "a crash", "an end", "a closed pipe"],
)
def test_allowed_source_that_does_not_act_is_one_sentence(
    body: str, words: str, policy: PolicyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_compiler, "ANSWER_S", 1.0)
    path = c_of(policy, tmp_path)
    alter_c(path, lambda text: text.replace("    size_t index;", f"    size_t index;\n    {body}"))
    started = time.monotonic()
    assert words in refused(lambda: act(path, allow_native=True))
    assert time.monotonic() - started < 30


@needs_compiler
def test_compiler_that_does_not_end_is_killed_with_all_that_it_began(
    policy: PolicyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = c_of(policy, tmp_path)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\nsleep 300 & echo $! > {tmp_path}/child\nwait\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CC", str(slow))
    monkeypatch.setattr(c_compiler, "COMPILE_S", 1.0)
    assert "it took more than 1 s" in refused(lambda: act(path))
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", seconds=10)


def test_header_of_another_folder_is_not_read(policy: PolicyFile, tmp_path: Path) -> None:
    path = c_of(policy, tmp_path)
    alter_c(path, lambda text: text.replace('#include "policy.h"', '#include "../../etc/policy.h"'))
    assert "is no C that rlx2 export wrote" in refused(lambda: act(path))


def test_pipe_for_a_header_is_refused(policy: PolicyFile, tmp_path: Path) -> None:
    path = c_of(policy, tmp_path)
    path.with_suffix(".h").unlink()
    os.mkfifo(path.with_suffix(".h"))
    assert "policy.h cannot be read as C" in refused(lambda: act(path))


@fuzz
def test_altered_source_is_read_or_one_sentence(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a compiler, which would take a second each: what is read are the tables, and whether it would be run."""
    is_fixed = data.draw(st.booleans())  # of integers alone
    folder = tmp_path_factory.getbasetemp() / ("fixed_sources" if is_fixed else "sources")
    (folder / "outside").mkdir(parents=True, exist_ok=True)
    path = folder / "policy.c"
    if not path.exists():
        made = random_policy("td3", [4, 8, 1], [0.5, 1.0])
        write_fixed(made, path) if is_fixed else c_export.write(made, path, None)
        path.rename(folder / "good.c")
    good = (folder / "good.c").read_text()
    path.write_text(forged_source(data.draw, good, path.with_suffix(".h").read_text()), errors="surrogateescape")
    with result_or_sentence(folder / "outside"):
        source = c_export.read_source(path)
        assert not source.is_ours or code_of(path.read_text()) == code_of(good)
        source.act(observations_for(random_policy("td3", [4, 8, 1], [0.5, 1.0]), 2))


def code_of(text: str) -> str:
    """What stands behind the comment at the top, whose notes may say anything, without the numbers of tables, which may
    be those of another policy.
    """
    return re.sub(r" = \{[^}]*\}", " = {}", text.partition(" */\n")[2])


def forged_source(draw: st.DrawFn, text: str, header: str) -> str:
    if draw(st.integers(0, 3)) == 0:
        return broken(draw, text.encode()).decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines) - 1))
    if "rlx2-policy" in lines[place] or draw(st.integers(0, 4)) == 0:
        place = next(number for number, line in enumerate(lines) if "rlx2-policy" in line)
        told = json.loads(lines[place].partition("rlx2-policy: ")[2])
        lines[place] = f" * rlx2-policy: {json.dumps(altered(draw, told))}\n"
    else:
        words = lines[place].split(" ")
        number = draw(st.integers(0, len(words) - 1))
        words[number] = draw(
            st.sampled_from(["0,", "-1,", "9,", "65536,", "2147483647,", "1e99f,", "nan,", "}", "{", "static", "\n"])
        )
        lines[place] = " ".join(words)
    try:
        return resealed("".join(lines), header)
    except (StopIteration, UnicodeEncodeError):
        return text


def test_nothing_is_left_running(policy: PolicyFile, tmp_path: Path) -> None:
    """The program of a policy ends with its policy, also where a signal ends its use."""
    if find_compiler() is None:
        pytest.skip("there is no C compiler")
    path = c_of(policy, tmp_path)
    began: list[str] = []

    def interrupted() -> None:
        with load_playable(path, lambda text: None):
            began.extend(children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "program" in began
    assert "program" not in children()


def children() -> list[str]:
    return [child.name() for child in psutil.Process().children()]
