"""YAML that somebody else wrote: a configuration, or one sentence, in no time and little memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from rlx2_ray.config import load, load_stored, parse_assignments, resolve, resolve_stored, yaml_text
from rlx2_ray.config.files import MOST_BYTES
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.sweep.description.queue import gather, parse_queue
from rlx2_ray.types import BadInput
from tests.support.alterations import altered, broken, check_read_or_refused
from tests.support.campaigns import sweep_tree
from tests.support.compressions import compress_tree
from tests.support.fuzz import fuzz

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
REFUSED = {
    "laughs": LAUGHS,
    "merges": MERGES,
    "kwargs": f"env: {{kwargs: *a11}}\n{LAUGHS}".replace("env", "zzz"),
    "itself": "env: &a {kwargs: *a}",
    "nested": "[" * 100_000,
    "deep": "a: " * 1 + "{a: " * 400 + "1" + "}" * 400,
    "int": "steps: !!int ''",
    "float": "steps: !!float ''",
    "bool": "steps: !!bool maybe",
    "null byte": "a: \x00",
    "object": "a: !!python/object/apply:os.system ['true']",
    "digits": f"steps: {'9' * 100_000}",
    "text": f"steps: {'x' * 900_000}",
    "key": f"? {'k' * 900_000}\n: 1",
    "list": "[1, 2]",
    "merge": "<<: 1",
    "set": "!!set {a, b}",
    "pairs": "!!pairs [a: 1]",
    "binary": "seed: !!binary '!'",
    "surrogate": 'env: {id: "\\ud800"}',
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("read", [load, load_stored])
def test_yaml_of_somebody_else(name: str, read: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(REFUSED[name])
    started = time.monotonic()
    with pytest.raises(BadInput) as refusal:
        resolve(read(file))
    assert time.monotonic() - started < 10
    assert len(str(refusal.value)) < 1100
    assert "\n" not in str(refusal.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    os.mkfifo(file)
    with pytest.raises(BadInput, match="not a regular file"):
        load(file)
    file.unlink()
    file.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(BadInput, match="4000001 bytes, more than"):
        load(file)
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "a\0b", tmp_path / "none"):
        with pytest.raises(BadInput):
            load(path)


@pytest.mark.parametrize("entry", ["/dev/zero", "pipe", {"file": "/dev/zero"}, {"file": 3}, 3, {"name": ["x"]}])
def test_members_of_a_queue(entry: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "queue.yaml").write_text(yaml_text.write({"queue": [entry]}))
    with pytest.raises(BadInput):
        parse_queue(gather(tmp_path / "queue.yaml", {}))


RUN = {
    "env": {"id": "Hopper-v5", "kwargs": {"a": [1, {"b": 2.5}]}},
    "steps": 1000,
    "network": {"hidden": [16, 16]},
    "topology": {"group": [2, 4]},
    "agent": {"updates_per_env_step": 0.5},
    "sparsity": {"distribution": "epsilon", "epsilon": [7.0, 64.0]},
    "evaluation": {"interval": 100, "early_interval": 200},
}
TREES: list[tuple[Any, Any]] = [
    (RUN, resolve),
    (RUN, resolve_stored),
    (sweep_tree({"seed": {"grid": [0, 1]}, "sparsity.policy": {"uniform": [0.5, 0.9]}}), parse_queue),
    (sweep_tree({"seed": {"choice": [1]}}, {"scheduler": {"name": "asha", "grace_period": 100}}), parse_queue),
    ({"queue": [{"name": "one", **sweep_tree()}], "tune": {"budget": {"hours": 2}}, "archive": "/x"}, parse_queue),
    (compress_tree(), parse_compress),
]


@fuzz
def test_altered_yaml_is_a_configuration_or_one_sentence(data: st.DataObject, tmp_path_factory: Any) -> None:
    tree, parse = data.draw(st.sampled_from(TREES))
    file = tmp_path_factory.getbasetemp() / "altered.yaml"
    content = yaml_text.write(tree).encode()
    if data.draw(st.booleans()):
        try:
            content = yaml_text.write(altered(data.draw, tree)).encode()
        except UnicodeEncodeError:
            content = b"\xff"
    else:
        content = broken(data.draw, content)
    file.write_bytes(content)
    for read in (load, load_stored):
        check_read_or_refused(lambda read=read: parse(read(file)))  # type: ignore[misc]


@fuzz
def test_assignments(data: st.DataObject) -> None:
    strange = st.sampled_from(["a=!!int ''", "a=[[[[", "a.b=&a [*a]", "a=\x00", "a=" + "[" * 5000])
    text = data.draw(st.text(max_size=40) | strange)
    check_read_or_refused(lambda: resolve(parse_assignments([text])))
