"""The archive: a run comes back as it was, is found again, and neither edited nor mixed up with another."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rlx2_ray.config import ExperimentConfig, Tree, load, resolve
from rlx2_ray.experiment import session
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.runs import archive, archived_run
from rlx2_ray.runs.archived_run import EXACT, parse, read, to_bytes
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.parts import Point
from rlx2_ray.types import BadInput
from tests.support import runs
from tests.support.runs import RESULT, small_config

HERE = Path("here")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    runs.train(directory, steps=300, method="rlx2")
    return directory


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """An archive of that run."""
    archive.add(finished, tmp_path / "archive")
    return tmp_path / "archive"


def copy_of(run: Path, folder: Path, **result: Any) -> Path:
    """The run again, with other values in its result."""
    copy = folder / "copy"
    shutil.copytree(run, copy)
    directory = RunDirectory(copy)
    if result:
        directory.write_result((directory.read_result() or {}) | result)
    return copy


def singles(point: Point) -> Point:
    """The point with the digits that are kept."""
    return {
        name: value if isinstance(value, int) or name in EXACT else float(np.float32(value))
        for name, value in point.items()
    }


def test_run_comes_back_as_it_was(finished: Path, folder: Path, tmp_path: Path) -> None:
    (file,) = archive.list_runs(folder)
    original = RunDirectory(finished)
    archive.restore(read(file), tmp_path / "again")
    again = RunDirectory(tmp_path / "again")
    assert again.open()[0] == original.open()[0]
    assert again.read_result() == {**(original.read_result() or {}), "checkpoint": None}
    assert again.read_points() == [singles(point) for point in original.read_points()]
    assert (json.loads(original.result_file.read_text()))["checkpoint"], "a path of this machine, which is left out"


def test_restored_run_is_taken_for_finished(finished: Path, folder: Path, tmp_path: Path) -> None:
    (file,) = archive.list_runs(folder)
    directory = tmp_path / "again"
    archive.restore(read(file), directory)

    def never(*arguments: object) -> Any:
        raise AssertionError("it trained")

    assert (
        session.resume(directory, never)["policy_digest"]
        == json.loads((finished / "result.json").read_text())["policy_digest"]
    )
    record = read_directory(directory)
    assert (record.state, record.trials[0].score) == ("finished", read(file).result["score"])
    with pytest.raises(BadInput, match="already holds a run"):
        archive.restore(read(file), directory)


def test_adding_again_changes_nothing(finished: Path, folder: Path, tmp_path: Path) -> None:
    (file,) = archive.list_runs(folder)
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert archive.add(finished, folder) == file
    archive.restore(read(file), tmp_path / "again")
    assert archive.add(tmp_path / "again", folder) == file, "nor does what was made from it"
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert list(folder.iterdir()) == [file]
    assert file.name.startswith("InvertedPendulum-v5-td3-rlx2-s0-")
    assert file.stat().st_size < 20_000


def test_another_run_of_the_same_experiment_is_refused(finished: Path, folder: Path, tmp_path: Path) -> None:
    (file,) = archive.list_runs(folder)
    before = file.read_bytes()
    with pytest.raises(
        BadInput, match=r"is another run of the experiment in .*copy, and no archived run is ever edited"
    ):
        archive.add(copy_of(finished, tmp_path, wall_s=1.0), folder)
    assert file.read_bytes() == before


def test_run_that_mlflow_has_got_since_is_the_same(finished: Path, folder: Path, tmp_path: Path) -> None:
    assert archive.add(copy_of(finished, tmp_path, mlflow_run_id="another"), folder) == archive.list_runs(folder)[0]


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, True),
        ({"runtime.kind": "actors", "runtime.rollout_actors": 4}, True),
        ({"checkpoint.interval": 10}, True),
        ({"seed": 1}, False),
        ({"agent.tau": 0.006}, False),
        ({"method": "rigl"}, False),
        ({"env.id": "InvertedPendulum-v4"}, False),
    ],
)
def test_run_is_found_by_what_it_is(folder: Path, changes: dict[str, Any], is_found: bool) -> None:
    config = small_config(**{"steps": 300, "method": "rlx2", **{k.replace(".", "__"): v for k, v in changes.items()}})
    assert archive.find(config, folder) == (archive.list_runs(folder)[0] if is_found else None)


def test_file_from_before_a_key_is_found(finished: Path, tmp_path: Path) -> None:
    """As one that an earlier version wrote: without a key, and under the name that it gave."""
    config = resolve(load(finished / "config.yaml"))
    older = config.model_dump(mode="json")
    del older["agent"]["target_noise_clip"]
    directory = RunDirectory(finished)
    content = to_bytes(older, directory.read_result() or {}, directory.read_points(), finished)
    file = tmp_path / "InvertedPendulum-v5-td3-rlx2-s0-00000000deadbeef.parquet"
    file.write_bytes(content)
    assert archive.find(config, tmp_path) == file
    assert read(file).config == config
    assert archive.add(finished, tmp_path) == file


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert archive.find(small_config(), tmp_path / "absent") is None


def test_ids_with_slashes_are_file_names(finished: Path, tmp_path: Path) -> None:
    copy = copy_of(finished, tmp_path)
    tree = load(copy / "config.yaml") | {"env": {"id": "module:space/Task-v0"}}
    (copy / "config.yaml").write_text(yaml.safe_dump(tree))
    (copy / "run.json").write_text(json.dumps({"trial_key": "a", "tracking_uri": "", "experiment": "b"}))
    file = archive.add(copy, tmp_path / "archive")
    assert file.name.startswith("module-space-Task-v0-td3-rlx2-s0-")
    assert archive.find(resolve(tree), tmp_path / "archive") == file


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "result.json").unlink(), "is not finished: 'rlx2 resume"),
        (lambda run: (run / "config.yaml").unlink(), "config.yaml is missing, and there are checkpoints"),
        (lambda run: (run / "progress.jsonl").unlink(), "has other evaluations in result.json"),
        (lambda run: (run / "progress.jsonl").write_text("[1]\n"), "has other evaluations in result.json"),
        (lambda run: (run / "progress.jsonl").write_text("[1]\n[2]\n"), "damaged in line 1"),
        (lambda run: (run / "result.json").write_text("{"), "result.json is damaged"),
    ],
)
def test_what_is_no_finished_run_is_refused(
    finished: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    copy = copy_of(finished, tmp_path)
    spoil(copy)
    with pytest.raises(BadInput, match=said) as problem:
        archive.add(copy, tmp_path / "archive")
    assert "\n" not in str(problem.value)
    assert not (tmp_path / "archive").exists()


def test_folder_that_cannot_be_made_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        archive.add(finished, tmp_path / "file" / "archive")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: b"", "is no Parquet file, or damaged"),
        (lambda content: content[:-40], "is no Parquet file, or damaged"),
        (lambda content: content[:4] + bytes(400) + content[404:], "is damaged|is not as it was written"),
        (lambda content: content.replace(b'"seed": 0', b'"seed": 7'), "is not as it was written"),
        (lambda content: content.replace(b'"format": 1', b'"format": 9'), "has format 9, and this version reads 1"),
        (lambda content: content.replace(b'"config": {', b'"konfig": {'), "its metadata is not readable"),
        (lambda content: content.replace(b"rlx2.run", b"rlx2.fun"), "is no run that 'rlx2 archive' wrote"),
    ],
)
def test_damaged_file_is_one_sentence(folder: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], said: str) -> None:
    (file,) = archive.list_runs(folder)
    spoiled = tmp_path / "spoiled.parquet"
    spoiled.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BadInput, match=said) as problem:
        read(spoiled)
    assert str(problem.value).startswith(str(spoiled))
    assert "\n" not in str(problem.value)


def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    """Or changes nothing that is read."""
    (file,) = archive.list_runs(folder)
    content, whole = file.read_bytes(), read(file)
    for place in np.random.default_rng(0).integers(0, len(content), 60):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << (int(place) % 8)
        try:
            found = parse(bytes(spoiled), file)
        except BadInput:
            continue
        assert found == whole, place


def test_configuration_of_another_version_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    tree = load(finished / "config.yaml") | {"flavour": "sweet"}
    directory = RunDirectory(finished)
    file = tmp_path / "InvertedPendulum-v5-td3-rlx2-s0-0.parquet"
    file.write_bytes(to_bytes(tree, directory.read_result() or {}, directory.read_points(), finished))
    with pytest.raises(BadInput, match="configuration that this version does not know: There is no key flavour"):
        read(file)


def test_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "absent.parquet")


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(width=64)
METRICS = st.dictionaries(st.text(min_size=1).filter(lambda name: "\x00" not in name), NUMBERS, max_size=4)


@st.composite
def points(draw: st.DrawFn) -> list[Point]:
    steps = sorted(draw(st.sets(st.integers(1, 10**15), max_size=6)))
    finite, counts = st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**15)
    values = st.fixed_dictionaries(
        {"return_mean": finite, "return_std": finite, "wall_s": st.floats(0), "learner_steps": counts}
    )
    return [{**draw(METRICS), **draw(values), "env_steps": step} for step in steps]


CONFIGS = st.builds(
    lambda method, seed, tau: resolve({"method": method, "seed": seed, "agent": {"tau": tau}}),
    st.sampled_from(["dense", "rigl", "rlx2"]),
    st.integers(0, 10**15),
    st.floats(1e-6, 1),
)


@settings(max_examples=30, deadline=None)
@given(CONFIGS, points(), st.dictionaries(st.text(), st.none() | st.text() | st.floats(allow_nan=False)))
def test_any_run_comes_back(config: ExperimentConfig, made: list[Point], more: Tree) -> None:
    evaluations = [{key: point[key] for key in ("env_steps", "return_mean", "return_std")} for point in made]
    result = {**more, **RESULT, "checkpoint": None, "evaluations": evaluations}
    content = to_bytes(config.model_dump(mode="json"), result, made, HERE)
    found = parse(content, HERE)
    assert found.config == config
    assert json.dumps(found.result, sort_keys=True) == json.dumps(result, sort_keys=True), "every digit of returns"
    assert [point.keys() for point in found.points] == [point.keys() for point in made]
    for one, other in zip(found.points, made, strict=True):
        for name, value in other.items():
            assert is_close(name, one[name], value), name
    again = to_bytes(config.model_dump(mode="json"), found.result, found.points, HERE)
    assert parse(again, HERE).result == found.result or any(map(has_nan, made))


def is_close(name: str, found: float, value: float) -> bool:
    """To the digits of a 32-bit float, or to all of them."""
    if not math.isfinite(value) or name in (*EXACT, "env_steps"):
        return found == value or (math.isnan(found) and math.isnan(value))
    return math.isclose(found, value, rel_tol=2**-23, abs_tol=2**-149)


def has_nan(point: Point) -> bool:
    return any(math.isnan(value) for value in point.values())


def test_numbers_beyond_a_32_bit_float_keep_their_size() -> None:
    point = {
        "env_steps": 1,
        "learner_steps": 0,
        "return_mean": 1e300,
        "return_std": 0.0,
        "train/critic_loss": 1e39,
        "replay/size": 3.5,
    }
    result = {
        **RESULT,
        "checkpoint": None,
        "evaluations": [{key: point[key] for key in ("env_steps", "return_mean", "return_std")}],
    }
    content = to_bytes(resolve({}).model_dump(mode="json"), result, [point], HERE)
    assert parse(content, HERE).points == [point]


def test_columns_are_what_other_programs_expect(folder: Path) -> None:
    (file,) = archive.list_runs(folder)
    table = parquet.read_table(file)
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert kinds["env_steps"] == kinds["learner_steps"] == "int64"
    assert kinds["return_mean"] == kinds["return_std"] == kinds["wall_s"] == "double"
    assert kinds["replay/size"] == kinds["train/critic_loss"] == "float"
    assert table.column("env_steps").to_pylist() == [100, 200, 300]
    head = json.loads(parquet.read_metadata(file).metadata[archived_run.METADATA])
    assert (head["format"], head["config"]["method"], head["result"]["env_id"]) == (1, "rlx2", "InvertedPendulum-v5")
