"""`rlx2_ray.load_runs` and `load_curves`: a row a run, a row an evaluation, of whatever holds runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import rlx2_ray
from tests.support.archives import made_runs, write_archive, write_run
from tests.support.runs import read_points

ARMS = {"dense": 5, "rlx2": 8, "n1": 2}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, made_runs(ARMS))
    return folder


def test_an_archive_has_a_row_a_run(archive: Path) -> None:
    runs = rlx2_ray.load_runs(archive)
    made = {(each.config.method, each.config.target.n_step, each.config.seed): each.score for each in made_runs(ARMS)}
    assert len(runs) == sum(ARMS.values()) == len(made)
    assert {"run", "arm", "env_id", "seed", "deployed", "size_ratio", "inference_flops_ratio"} <= set(runs.columns)
    assert runs.groupby("arm").size().to_dict() == {"dense": 5, "rlx2": 8, "rlx2, n_step 1": 2}
    for row in runs.itertuples():
        n_step = runs.loc[row.Index, "target.n_step"]
        assert row.score == pytest.approx(made[row.method, n_step, row.seed])
    sparse = runs[runs.method == "rlx2"].iloc[0]
    expected = rlx2_ray.describe(observation_size=11, action_size=3, policy_sparsity=0.98, critic_sparsity=0.95)
    assert sparse.size_ratio == pytest.approx(expected["size_ratio"])
    assert sparse.active_weights == expected["active_weights"]
    assert pd.isna(sparse.policy_c_bytes)  # of runs of an earlier version


def test_curves_have_a_row_an_evaluation(archive: Path) -> None:
    curves = rlx2_ray.load_curves(archive)
    first = made_runs(["rlx2"])[0]
    own = curves[(curves.arm == "rlx2") & (curves.seed == 0)]
    assert own.env_steps.tolist() == [point["env_steps"] for point in first.points]
    assert own.return_mean.tolist() == [point["return_mean"] for point in first.points]
    assert curves.pivot_table(index="env_steps", columns="arm", values="return_mean").shape[1] == 3


def test_a_run_is_one_row_and_a_folder_has_all_below(run: Path, tmp_path: Path) -> None:
    (row,) = rlx2_ray.load_runs(run).to_dict("records")
    result = json.loads((run / "result.json").read_text())
    same = ("env_id", "seed", "score", "size_ratio", "active_weights", "train_flops_ratio_counted", "env_steps")
    assert {name: row[name] for name in same} == {name: result[name] for name in same}
    assert row["deployed"] == result["deployed"]["return_mean"]
    assert row["policy_c_bytes_int8"] == result["policy_c_bytes_int8"] > 0
    assert rlx2_ray.load_curves(run).return_mean.tolist() == [each["return_mean"] for each in read_points(run)]
    shutil.copytree(run, tmp_path / "deep" / "one")
    for made in made_runs(["static"]):
        write_run(tmp_path, made)
    runs = rlx2_ray.load_runs(tmp_path)
    assert sorted(runs.method) == ["rlx2", "static"]
    assert "network.hidden" in runs.columns  # in which they differ
    assert not any(name.startswith("checkpoint.") for name in runs.columns)


def test_a_run_that_trains_has_no_score_yet(tmp_path: Path) -> None:
    (made,) = made_runs(["static"])
    runs = rlx2_ray.load_runs(write_run(tmp_path / "known", made._replace(score=None)))
    assert runs.state.tolist() == ["interrupted"]
    assert pd.isna(runs.score[0])
    assert runs.policy_sparsity.tolist() == [0.98]
    assert runs.size_ratio[0] == pytest.approx(0.04, abs=1e-3)  # of gymnasium's own environment
    env = made.config.env.model_copy(update={"kwargs": {"frame_skip": 2}})
    changed = made._replace(score=None, config=made.config.model_copy(update={"env": env}))
    assert pd.isna(rlx2_ray.load_runs(write_run(tmp_path / "changed", changed)).size_ratio[0])  # nobody says its sizes


def test_where_no_run_is_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(rlx2_ray.BadInput, match="holds no run"):
        rlx2_ray.load_runs(tmp_path)
    with pytest.raises(rlx2_ray.BadInput, match="There is no"):
        rlx2_ray.load_runs(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(rlx2_ray.BadInput, match="is no directory"):
        rlx2_ray.load_runs(tmp_path / "file")
