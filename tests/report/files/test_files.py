"""`rlx2 report --format csv|latex|json|png|svg`: arms and P(A above B), of any sweep, with or without dense."""

from __future__ import annotations

import csv
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from rlx2_ray.cli.main import run
from rlx2_ray.report.analysis.held import spread_interval
from rlx2_ray.report.files.latex import escape
from rlx2_ray.report.files.pictures import draw_pairs, draw_scores, drawn
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.search.statistics import arm_interval
from tests.support.archives import made_runs, write_archive
from tests.support.commands import refused, succeeded
from tests.support.sweeps import compression, sweep, write_directory


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six arms of two seeds, none of them dense."""
    return write_directory(tmp_path_factory.mktemp("files") / "grid", *sweep())


@pytest.fixture(scope="module")
def scores() -> dict[tuple[float, int], list[float]]:
    """Of each arm, from the runs themselves."""
    found: dict[tuple[float, int], list[float]] = {}
    for each in sweep()[1]:
        assert each.score is not None
        found.setdefault((each.config.sparsity.policy, each.config.target.n_step), []).append(each.score)
    return found


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def test_csv_has_what_scipy_says_of_the_runs(
    grid: Path, scores: dict[tuple[float, int], list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    content = succeeded(capsys, "report", grid, "--format", "csv")
    arms_file, pairs_file = map(Path, content["files"])
    assert (arms_file, pairs_file) == (grid / "report.csv", grid / "report_pairs.csv")
    arms = rows(arms_file)
    assert [float(arm["score_iqm"]) for arm in arms] == sorted(
        (trim_mean(each, 0.25) for each in scores.values()), reverse=True
    )
    by_mean = {trim_mean(each, 0.25): each for each in scores.values()}
    named = {arm["arm"]: by_mean[float(arm["score_iqm"])] for arm in arms}
    for arm in arms:
        assert (float(arm["score_low"]), float(arm["score_high"])) == pytest.approx(arm_interval(named[arm["arm"]]))
        assert 0 < float(arm["size_ratio"]) < 1
        low, high = spread_interval(named[arm["arm"]])
        assert (float(arm["spread_low"]), float(arm["spread_high"])) == pytest.approx((low, high))
        assert low <= float(arm["spread"]) <= high
    pairs = rows(pairs_file)
    assert len(pairs) == 6 * 5
    for pair in pairs:
        expected = mannwhitneyu(named[pair["arm"]], named[pair["other"]]).statistic / 4
        assert float(pair["p_above"]) == expected
        assert float(pair["p_above_low"]) <= expected <= float(pair["p_above_high"])


def test_json_has_arms_pairs_and_runs(grid: Path, tmp_path: Path) -> None:
    assert run(["report", str(grid), "--format", "json", "--out", str(tmp_path / "a.json")]) == 0
    content = json.loads((tmp_path / "a.json").read_text())
    assert {name: len(part) for name, part in content.items()} == {"arms": 6, "pairs": 30, "runs": 12}
    assert content["runs"][0]["deployed"] is None


def test_latex_is_balanced_and_escaped(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = succeeded(capsys, "report", grid, "--format", "latex")["files"]
    text = Path(file).read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 3  # arms, held, pairs
    table = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert r"policy 50 \%, n\_step 3" in table[1]
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    assert {line.count(" & ") + 1 for line in table[:7]} == {len(columns)}
    assert escape("a_b & 5 %\n\\x") == r"a\_b \& 5 \% \textbackslash{}x"


def test_pictures_of_an_archive_are_one_a_figure_and_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    write_archive(folder, made_runs(["dense", "rlx2", "n1"]))
    files = [Path(file) for file in succeeded(capsys, "report", folder, "--format", "svg")["files"]]
    assert [file.name for file in files] == [f"report_{name}.svg" for name in ("scores", "curves", "size", "pairs")]
    words = ["".join(ET.parse(file).getroot().itertext()) for file in files]
    assert all("Hopper-v5, TD3, 200,000 env steps" in text for text in words)
    assert "rlx2, n_step 1 (2)" in words[0]


def test_a_picture_of_the_same_runs_is_the_same_file(grid: Path) -> None:
    one, other = (drawn(read_directory(grid), draw_scores, 2.0, ".svg") for _ in range(2))
    assert one == other
    assert drawn(read_directory(grid), draw_pairs, 2.0, ".png").startswith(b"\x89PNG")


def test_without_matplotlib_pictures_are_refused(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'rlx2-ray[figures]'" in refused(capsys, "report", grid, "--format", "png")


def test_compression_counts_dense_seeds_that_others_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, trials = compression()
    own = [trial for trial in trials if trial.purpose != "dense"]
    directory = write_directory(tmp_path / "search", record, own)
    arms = rows(Path(succeeded(capsys, "report", directory, "--format", "csv")["files"][0]))
    (dense,) = [arm for arm in arms if arm["arm"] == "dense"]
    known = [seed["score"] for seed in record["dense"]["seeds"]]
    assert float(dense["score_iqm"]) == pytest.approx(trim_mean(known, 0.25))
    assert (dense["size_ratio"], dense["seeds"]) == ("1.0", "8")


def test_negative_returns_are_compared_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is divided by a return, so its sign does not matter."""
    record, trials = sweep()
    lower = [
        each._replace(points=[{**point, "return_mean": point["return_mean"] - 9000.0} for point in each.points])
        for each in trials
    ]
    lower = [each._replace(score=each.score - 9000.0 if each.score else None) for each in lower]
    files = [
        succeeded(capsys, "report", write_directory(tmp_path / name, record, made), "--format", "csv")["files"]
        for name, made in (("as", trials), ("lower", lower))
    ]
    first, second = (rows(Path(each[0])) for each in files)
    assert np.allclose([float(a["score_iqm"]) - float(b["score_iqm"]) for a, b in zip(first, second, strict=True)], 9e3)
    assert Path(files[0][1]).read_text() == Path(files[1][1]).read_text()


def test_run_without_a_score_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, trials = sweep()
    none = [each._replace(score=None, points=each.points[:2]) for each in trials]
    directory = write_directory(tmp_path / "grid", {**record, "state": "running"}, none)
    assert "has a score yet" in refused(capsys, "report", directory, "--format", "csv")
