"""The directory of a sweep or a compression that somebody else made: a result or a sentence, and nothing touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from rlx2_ray.cli import compress as compress_command
from rlx2_ray.cli import sweep as sweep_command
from rlx2_ray.cli.main import run
from rlx2_ray.config import yaml_text
from rlx2_ray.report.dashboard.app import fingerprint
from rlx2_ray.report.dashboard.page import header, trial_table
from rlx2_ray.report.page.page import report_markdown
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.file import parse_record, to_json
from rlx2_ray.runs import sealed
from rlx2_ray.sweep.compression.dense_cache import DenseCache
from rlx2_ray.sweep.desk.mending import lost_trials
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory, _sha256
from rlx2_ray.sweep.kinds import KINDS
from rlx2_ray.sweep.past import Past
from rlx2_ray.sweep.trials.futility import load_floor
from rlx2_ray.types import BadInput, Damaged
from tests.support.alterations import altered, broken, check_read_or_refused, state_of
from tests.support.compressions import compress_tree
from tests.support.fuzz import fuzz
from tests.support.runs import small_config
from tests.support.sweeps import compression, queue, sweep, write_directory

TREES: dict[str, Any] = {
    "sweep": {"env": {"id": "Hopper-v5"}, "param_space": {"target.n_step": {"grid": [1, 3]}}},
    "queue": {"queue": [{"name": "hopper", "param_space": {"seed": {"grid": [0, 1]}}}]},
    "compression": compress_tree(),
}
RESULTS: dict[str, Any] = {
    "sweep": {"kind": "sweep", "metric": "score", "mode": "max", "best": {"name": "a", "score": 2.5}, "ended_by": None},
    "compression": {"kind": "compress", "threshold": 0.97, "decided_by": "final", "runs": 3, "env_steps": 900},
}


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By kind: with the record, a description, a result and two trials."""
    folder = tmp_path_factory.mktemp("received")
    made = {}
    for name, (record, trials) in {"sweep": sweep(), "queue": queue(), "compression": compression()}.items():
        record |= {"key": "key", "config": TREES[name], "history": [["begun", trials[0].name]], "worked_s": 3.5}
        directory = write_directory(folder / name, record, [trials[0], trials[-1]])
        (directory / "sweep.yaml").write_text(yaml_text.write(TREES[name]))
        row = {"name": trials[0].name, "state": "finished", "env_steps": 3, "score": 1.0, "deployed": None}
        kept = {key: record.get(key) for key in ("dense", "decisions", "ultimate")} | {"messages": []}
        own = {"trials": [row]} if name != "compression" else kept
        content = RESULTS["compression" if name == "compression" else "sweep"] | own
        ends = {"directory": str(directory), "report": "report.html", "answer": "an answer"}
        (directory / "result.json").write_text(sealed.to_text(content | ends))
        made[name] = directory
    return made


@pytest.mark.parametrize("kind", ["sweep", "queue", "compression"])
def test_as_it_was_made_it_is_read(kind: str, directories: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(directories[kind], tmp_path / kind)
    for read in READERS:
        read(tmp_path / kind)
    assert SweepDirectory(directories[kind]).read_result("compress" if kind == "compression" else "sweep") is not None


LINKED = ["run.lock", "undelivered", "record.json", "sweep.yaml", "figures", "report.html", "floor.json", "tune"]
LINKED += ["trials", "trials/NAME", "trials/NAME/log.txt", "trials/NAME/progress.jsonl", "trials/NAME/checkpoints"]


@pytest.mark.parametrize("name", LINKED)
def test_nothing_is_written_where_a_part_is_a_link(
    name: str, directories: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "sweep"
    shutil.copytree(directories["sweep"], directory)
    (directory / "result.json").unlink()
    record = json.loads((directory / "record.json").read_bytes())
    record["tracking"] |= {"uri": f"sqlite:///{directory}/mlflow.db"}
    (directory / "record.json").write_text(json.dumps(record))
    trial = sorted((directory / "trials").iterdir())[0].name
    place, outside = directory / name.replace("NAME", trial), tmp_path / "precious"
    outside.mkdir()
    target = outside / place.name
    if place.exists():
        shutil.move(place, target)
    elif place.suffix or place.name == "undelivered":
        target.write_text("precious")
    else:
        target.mkdir()
        (target / "file").write_text("precious")
    place.symlink_to(target)
    before, inside = state_of(outside), state_of(directory)
    assert run(["resume", str(directory)]) == 2
    assert capsys.readouterr().err.startswith(f"rlx2: {place} is a symbolic link, and nothing is written where")
    assert state_of(outside) == before
    assert state_of(directory) == inside


@pytest.mark.parametrize("trial", ["../../precious", "/etc", "..", "a/b", "\x00"])
def test_names_of_trials_are_those_of_its_own(trial: str) -> None:
    """A compression copies and registers the policy of its best one."""
    record, _ = compression()
    for key, value in (("ultimate", {**record["ultimate"], "trial": trial}), ("stopped", [trial])):
        with pytest.raises(Damaged, match=rf"damaged or of another version \({key}"):
            parse_record(json.dumps(record | {key: value}).encode(), "record.json")


@pytest.mark.parametrize("name", ["record.json", "sweep.yaml", "result.json", "floor.json"])
def test_pipes_devices_and_files_without_end(name: str, directories: dict[str, Path], tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    shutil.copytree(directories["sweep"], directory)
    file = directory / name
    makers: list[Callable[[Path], object]] = [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir, _huge]
    for make in makers:
        file.unlink(missing_ok=True)
        make(file)
        for read in READERS:
            check_read_or_refused(partial(read, directory))
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


# Values


def _open(path: Path) -> None:
    """As far as `rlx2 resume` gets before it trains."""
    with closing(SweepDirectory(path)) as directory:
        tree, record = directory.open()
        result = directory.read_result(record.kind)
        campaign = KINDS[record.kind](tree)
        if result is not None:
            lost_trials(directory.trials, result, record)
            (compress_command if record.kind == "compress" else sweep_command).show(result, as_json=False)
        past = Past(directory.trials, record)
        past.events, past.values, past.reports  # noqa: B018 - they are read when they are asked for
        directory.lock()
        directory.write_description(record, campaign.tree)


def _report(path: Path) -> None:
    record = read_directory(path)
    report_markdown(record)
    header(record)
    trial_table(record, None)
    fingerprint("chosen", None, None, record)
    to_json(record)


def _floor(path: Path) -> None:
    load_floor(path / "floor.json")


READERS = (_open, _report, _floor)
NAMES = ["record.json", "record.json", "sweep.yaml", "result.json", "floor.json"]


def alter(draw: Callable[[Any], Any], directory: Path, name: str) -> None:
    """Change a file, and make the digests of it anew."""
    file = directory / name
    content = file.read_bytes() if file.exists() else b'{"100": 3.5, "200": 4.5}'
    if not draw(st.integers(0, 3)):
        content = broken(draw, content)
    elif name == "sweep.yaml":
        try:
            content = yaml_text.write(altered(draw, yaml_text.read(content.decode(), "here"))).encode()
        except UnicodeEncodeError:
            content = b"\xff"
        record = json.loads((directory / "record.json").read_bytes())
        record |= {"description_sha256": _sha256(content)}
        (directory / "record.json").write_text(json.dumps(record))
    else:
        value = altered(draw, {key: each for key, each in json.loads(content).items() if key != "sha256"})
        content = (sealed.to_text(value) if isinstance(value, dict) else json.dumps(value)).encode()
    file.write_bytes(content)


@fuzz
def test_altered_campaign_is_a_result_or_one_sentence(data: st.DataObject, directories: dict[str, Path]) -> None:
    source = directories[data.draw(st.sampled_from(sorted(directories)))]
    folder = source.parent.with_name("fuzz")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder / source.name)
    before = state_of(source.parent)
    alter(data.draw, folder / source.name, data.draw(st.sampled_from(NAMES)))
    for read in READERS:
        check_read_or_refused(partial(read, folder / source.name))
    assert state_of(source.parent) == before
    assert [path.name for path in folder.iterdir()] == [source.name]


@fuzz
def test_altered_cache_is_a_dense_run_or_none(data: st.DataObject, tmp_path_factory: Any) -> None:
    cache = DenseCache(small_config(method="dense", sparsity__policy=0, sparsity__critic=0))
    cache.folder = tmp_path_factory.getbasetemp() / "cache"
    content = {"score": 2.5, "curve": [[100, 2.0], [200, 3.0]], "deployed": {"score": 3.0, "sources": "x"}}
    cache.folder.mkdir(exist_ok=True)
    for name, value in (("seed_0.json", content), ("random.json", {"score": 2.5})):
        text = json.dumps(altered(data.draw, value)).encode()
        (cache.folder / name).write_bytes(text if data.draw(st.booleans()) else broken(data.draw, text))
    seed, score = cache.load(0), cache.load_random()
    assert seed is None or -1e308 < seed.score < 1e308
    assert score is None or -1e308 < score < 1e308


def test_bad_directory_among_others_is_left_out_and_named(directories: dict[str, Path], tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    shutil.copytree(directories["sweep"], directory)
    trial = sorted((directory / "trials").iterdir())[0]
    os.remove(trial / "progress.jsonl")
    os.mkfifo(trial / "progress.jsonl")
    record = read_directory(directory)
    assert len(record.trials) == 1
    assert any(message.startswith(f"{trial.name} is left out: ") for message in record.messages)
    with pytest.raises(BadInput, match=r"progress\.jsonl cannot be read \(not a regular file\)"):
        read_directory(trial)


@pytest.mark.parametrize("kind", ["runs", "task", "compress"])
def test_record_or_result_of_another_kind_is_none(kind: str, directories: dict[str, Path], tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    shutil.copytree(directories["sweep"], directory)
    result = sealed.parse((directory / "result.json").read_bytes())
    (directory / "result.json").write_text(sealed.to_text(result | {"kind": kind}))
    assert SweepDirectory(directory).read_result("sweep") is None
    record = json.loads((directory / "record.json").read_bytes()) | {"kind": kind}
    (directory / "record.json").write_text(json.dumps(record))
    with pytest.raises(BadInput):
        _open(directory)
