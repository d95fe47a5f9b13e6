"""Checkpoints that somebody altered, digests and all: refused and named, or as good as one that a run wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import resolve
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs.checkpoint import (
    ARRAYS,
    CHECKSUMS,
    REPLAY,
    VALUES,
    DamagedCheckpoint,
    list_checkpoints,
    load_newest,
    read_checkpoint,
)
from rlx2_ray.runs.checkpoint_form import RunForm
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, random_batch
from tests.support.array_alterations import (
    altered_arrays,
    altered_tree,
    enlarge,
    make_device,
    make_pipe,
    restored,
    untouched,
)
from tests.support.checkpoints import alter_arrays, alter_index, alter_values, form_of, newest, replace, rewrite
from tests.support.fuzz import fuzz
from tests.support.runs import Changes, resume, rlx2, train

RUN: Changes = {"runtime__envs_per_rollout": 2, "steps": 300, "network__hidden": [8, 8]}
RUN |= {"checkpoint__interval": 100, "checkpoint__keep": 3}
BEFORE, NEWEST = "step_000000000200", "step_000000000300"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "run"
    train(directory, **RUN)
    return directory


@pytest.fixture
def unfinished(finished: Path, tmp_path: Path) -> Path:
    """The same run as if it had been killed after its last checkpoint."""
    shutil.copytree(finished, tmp_path / "run")
    for name in ("result.json", "policy.safetensors"):
        (tmp_path / "run" / name).unlink()
    return tmp_path / "run"


def set_to(name: str, alter: Callable[[Any], Any]) -> Callable[[Arrays], None]:
    """Alters one array."""

    def change(arrays: Arrays) -> None:
        arrays[name] = alter(arrays[name])

    return change


def wider(arrays: Arrays) -> None:
    """A layer that does not fit the one before it: as many active weights, far beyond the workspace."""
    arrays["critic.1.shape"] = np.array([8, 256_000], np.int32)
    arrays["critic.1.indices"] = np.linspace(0, 2_000_000, len(arrays["critic.1.indices"])).astype(np.int32)


def first(value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array.ravel()[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (wider, r"critic\.1\.shape is \[8, 256000\] and not \[8, 8\]"),
        (set_to("critic.1.indices", lambda array: array[::-1].copy()), r"critic\.1\.indices are not places"),
        (set_to("critic.1.indices", lambda array: np.full_like(array, 3)), r"critic\.1\.indices are not places"),
        (set_to("policy.0.indices", first(-1)), r"policy\.0\.indices are not places"),
        (set_to("policy.0.indices", lambda array: array + 32), r"policy\.0\.indices are not places"),
        (set_to("policy.0.weights", lambda array: array.astype(np.float16)), r"policy\.0\.weights is float16"),
        (set_to("policy.0.weights", lambda array: array[:-1]), r"policy\.0\.weights is float32 .* and not float32"),
        (set_to("policy.0.bias", first(np.nan)), r"policy\.0\.bias is not finite"),
        (set_to("target_critic.2.bias", first(np.inf)), r"target_critic\.2\.bias is not finite"),
        (set_to("critic.0.weights.second_moment", first(-1)), r"critic\.0\.weights\.second_moment is negative"),
        (set_to("critic.0.weights.first_moment", lambda array: np.ones(10**6, np.float32)), r"first_moment is float32"),
        (set_to("policy.0.shape", lambda array: np.array([8], np.int32)), r"policy\.0\.shape is missing, or no shape"),
        (set_to("lane.1.observation", lambda array: np.ones(10**6, np.float32)), r"lane\.1\.observation is float32"),
        (lambda arrays: arrays.pop("critic.3.bias"), r"critic\.3\.bias is missing"),
        (lambda arrays: arrays.update(x=np.ones(3)), "x should not be there"),
        (lambda arrays: arrays.update(refused=np.full((2, 1), 7, np.float32)), "refused has actions that nobody takes"),
    ],
)
def test_arrays_are_held_against_the_plan(alter: Callable[[Arrays], object], words: str, unfinished: Path) -> None:
    alter_arrays(newest(unfinished), alter)
    with pytest.raises(DamagedCheckpoint, match=f"^{ARRAYS}: .*{words}"):
        read_checkpoint(newest(unfinished), form_of(unfinished))


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda values: values.pop("learner"), "no 'learner'"),
        (lambda values: values.update(env_steps=-1), "env_steps should be greater"),
        (lambda values: values.update(env_steps=301), "env_steps is not the 300 of its folder"),
        (lambda values: values.update(wall_s="1"), "wall_s should be a valid number"),
        (lambda values: values.update(training_s=float("nan")), "training_s should be a finite number"),
        (lambda values: values.update(episodes=[1]), "episodes are of 1 environments and not of 2"),
        (lambda values: values.update(x=1), "x Extra inputs"),
        (lambda values: values["exploration"].update(has_uint32=3), "exploration not the state of a generator"),
        (lambda values: values["learner"]["noise"]["state"].update(state=-1), "noise not the state of a generator"),
        (lambda values: values["learner"]["noise"]["state"].update(inc=2), "noise not the state of a generator"),
        (lambda values: values["learner"].update(learner_steps=0), "learner has counters that contradict"),
        (lambda values: values["learner"]["critic_optimizer"].update(steps=10**9), "learner has counters that contr"),
        (lambda values: values["learner"].update(metric_counts={"x": 0}), "metric_counts"),
        (lambda values: values["points"][0].update(env_steps=301), "points of later env steps"),
        (lambda values: values["points"].append({"env_steps": 300}), "no 'points"),
        (lambda values: values.update(best_policy=None), "^$"),
    ],
)
def test_values_are_typed(alter: Callable[[dict[str, Any]], object], words: str, unfinished: Path) -> None:
    alter_values(newest(unfinished), alter)
    file = VALUES if words != "^$" else ARRAYS  # which has the best policy still
    with pytest.raises(DamagedCheckpoint, match=f"^{file}: .*{words.strip('^$')}"):
        read_checkpoint(newest(unfinished), form_of(unfinished))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"7", b"", b"\xff", b'{"learner": ' + b"9" * 5000 + b"}"])
def test_values_that_no_reader_takes_leave_the_older_checkpoint(content: bytes, unfinished: Path) -> None:
    rewrite(newest(unfinished), VALUES, content)
    check_older_one_is_used(unfinished, VALUES)


def header(length: int, text: bytes = b"") -> bytes:
    return length.to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [b"", header(2**63), header(10**6, b" " * 10**6), header(2, b"{}"), header(2, b"[]")],
    ids=["nothing", "no head", "large head", "no arrays", "a list"],
)
def test_arrays_that_no_reader_takes_leave_the_older_checkpoint(content: bytes, unfinished: Path) -> None:
    rewrite(newest(unfinished), ARRAYS, content)
    check_older_one_is_used(unfinished, ARRAYS)


def make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("alter", [enlarge, make_device, make_pipe, make_link])
@pytest.mark.parametrize("name", [ARRAYS, VALUES, CHECKSUMS])
def test_only_regular_files_of_some_size_are_read(name: str, alter: Callable[[Path], None], unfinished: Path) -> None:
    alter(newest(unfinished) / name)
    check_older_one_is_used(unfinished, name)


@pytest.mark.parametrize("name", ["/dev/zero", "../x", "lane0-segment000000.arrow/x", "", ".", 7, None, ["index.json"]])
def test_names_are_those_of_a_replay(name: Any, unfinished: Path) -> None:
    checksums = json.loads((newest(unfinished) / CHECKSUMS).read_text())
    checksums[REPLAY] = [name]
    replace(newest(unfinished) / CHECKSUMS, json.dumps(checksums).encode())
    check_older_one_is_used(unfinished, CHECKSUMS)


def check_older_one_is_used(directory: Path, word: str) -> None:
    said: list[str] = []
    loaded = load_newest(directory / "checkpoints", form_of(directory), lambda checkpoint: None, said.append)
    assert loaded is not None
    assert loaded[0].path.name == BEFORE
    assert word in said[0]
    assert len(said[0]) < 300 + 2 * len(str(directory))


@pytest.mark.parametrize("name", ["step_abc", "step_", "step_1", "step_000000000900.x", "step_00000000000\uff19"])
def test_folders_under_other_names_are_no_checkpoints(name: str, unfinished: Path) -> None:
    (unfinished / "checkpoints" / name).mkdir()
    (unfinished / "checkpoints" / "step_000000000901").symlink_to(newest(unfinished))
    (unfinished / "checkpoints" / "step_000000000902").write_text("")
    assert [path.name for path in list_checkpoints(unfinished / "checkpoints")] == ["step_000000000100", BEFORE, NEWEST]


# Whole commands, in processes of their own: where a check is missing, they die of a signal.


def narrower_replay(checkpoint: Path) -> None:
    alter_index(checkpoint / REPLAY, lambda index: index.update(action_size=300))


def wide_critic(checkpoint: Path) -> None:
    alter_arrays(checkpoint, wider)


@pytest.mark.parametrize("alter", [wide_critic, narrower_replay])
def test_a_run_goes_on_from_the_one_before_an_altered_one(alter: Callable[[Path], None], unfinished: Path) -> None:
    shutil.rmtree(newest(unfinished))  # the run's end, after which nothing is computed
    alter(newest(unfinished))
    process = rlx2("resume", str(unfinished), folder=unfinished.parent)
    assert process.returncode == 0, process.stderr
    assert f"{BEFORE} is damaged (" in process.stderr
    assert resume(unfinished)["env_steps"] == 300


# All that runs write is taken.


@ENGINES
@ALGORITHMS
@pytest.mark.parametrize(
    "method", ["dense", "tiny", "static", "set", "rlx2", "prune", "structured", "group", "ds", "nm"]
)
def test_states_of_every_method_are_taken(method: str, algo: str, engine: str) -> None:
    own: dict[str, Any] = {"algo": algo, "engine": engine, "method": method, "network": {"hidden": [16, 16]}}
    topology = {} if method in ("dense", "tiny") else {"topology": {"interval": 2, "start_update": 4, "end_update": 40}}
    sparsity = {} if method in ("dense", "ds", "nm") else {"sparsity": {"policy": 0.7, "critic": 0.6}}
    config = resolve({**own, **topology, **sparsity})
    learner, generator = make_learner(config, SPACES), np.random.default_rng(0)
    for updates in (0, 7, 40):
        for _ in range(updates):
            learner.update(random_batch(generator))
        check_state(config, learner.state())


def check_state(config: Any, state: LearnerState) -> None:
    size = {"env_steps": 1000, "wall_s": 1.0, "training_s": 0, "policy_distance": None, "episodes": [0]}
    values = json.loads(json.dumps({**size, "learner": state.values, "exploration": state.values["noise"]}))
    form = RunForm(config, SPACES)
    assert form.values(1000, values) == values
    lane = {"lane.0.actions": np.zeros((0, 2), np.float32), "lane.0.observation": np.zeros(3, np.float32)}
    assert form.arrays(values, state.arrays | lane).keys() == state.arrays.keys() | lane.keys()
    most, head = form.most_arrays(values)
    content = save(state.arrays | lane)
    assert int.from_bytes(content[:8], "little") < head
    assert len(content) < most


# Anything else


@fuzz
def test_any_alteration_of_the_arrays_is_refused_or_can_be_trained_on(data: st.DataObject, unfinished: Path) -> None:
    path, form = newest(unfinished), form_of(unfinished)
    arrays = data.draw(altered_arrays(load_file(path / ARRAYS)))
    content = bytearray(save(arrays))
    if data.draw(st.booleans()):
        length = int.from_bytes(content[:8], "little")
        head = json.loads(bytes(content[8 : 8 + length]))
        text = json.dumps(data.draw(altered_tree(head))).encode()
        content[: 8 + length] = header(len(text), text)
    with restored(path / ARRAYS, path / CHECKSUMS):
        rewrite(path, ARRAYS, bytes(content))
        check_refused_or_trainable(unfinished, form)


@fuzz
def test_any_alteration_of_the_values_is_refused_or_can_be_trained_on(data: st.DataObject, unfinished: Path) -> None:
    path, form = newest(unfinished), form_of(unfinished)
    values = data.draw(altered_tree(json.loads((path / VALUES).read_bytes())))
    with restored(path / VALUES, path / CHECKSUMS):
        rewrite(path, VALUES, json.dumps(values).encode())
        check_refused_or_trainable(unfinished, form)


@fuzz
def test_any_alteration_of_the_checksums_is_refused_or_read(data: st.DataObject, unfinished: Path) -> None:
    path = newest(unfinished)
    checksums = data.draw(altered_tree(json.loads((path / CHECKSUMS).read_bytes())))
    with restored(path / CHECKSUMS):
        replace(path / CHECKSUMS, json.dumps(checksums).encode())
        with untouched(unfinished), suppress(DamagedCheckpoint):
            read_checkpoint(path, form_of(unfinished))


def check_refused_or_trainable(directory: Path, form: RunForm) -> None:
    with untouched(directory):
        try:
            checkpoint = read_checkpoint(newest(directory), form)
        except DamagedCheckpoint:
            return
    learner = make_learner(form.config, form.spaces)
    learner.restore(LearnerState(checkpoint.arrays, checkpoint.values["learner"]))
    generator = np.random.default_rng(0)
    with np.errstate(all="ignore"):  # moments may be as large as float32 can be
        for _ in range(2):
            learner.update(random_batch(generator, spaces=form.spaces))
