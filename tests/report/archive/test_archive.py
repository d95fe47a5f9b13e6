"""The report of an archive: its tasks and arms, what they keep of dense, the paper beside them, and what is not run."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape

from rlx2_ray.config import merge, nest, resolve
from rlx2_ray.report.analysis.arms import Arm, arms_of
from rlx2_ray.report.analysis.environments import known
from rlx2_ray.report.archive.ablations import ablation_bars, window_bars
from rlx2_ray.report.archive.answer import task_answer
from rlx2_ray.report.archive.comparison import (
    main_record,
    missing_methods,
    outcome_of,
    paper_of,
    plain_arms,
    reference_pair,
)
from rlx2_ray.report.archive.panels import TASK_PANELS
from rlx2_ray.report.archive.paper import COLUMNS, paper_source, paper_task
from rlx2_ray.report.archive.reach import WINDOW, reach_of, steps_to_reach
from rlx2_ray.report.archive.report import (
    Picture,
    report_html,
    report_markdown,
    summary_of,
    write_markdown,
)
from rlx2_ray.report.archive.tables import OWN_DENSE, arm_table, overview_table
from rlx2_ray.report.archive.task_changes import task_changes
from rlx2_ray.report.archive.tasks import Archive, read_archive
from rlx2_ray.report.archive.words import answers, overview_words, task_words
from rlx2_ray.report.page.arm_tables import pair_tables
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import RETURN, Series, Trial
from rlx2_ray.search.statistics import estimate_ratio
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import BadInput
from tests.support.archives import ARMS, made_runs, write_archive
from tests.support.chromium import BROWSER, NEEDED, visit
from tests.support.sweeps import ACTION, OBSERVATION


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks: Hopper with all arms, and a pendulum that the paper has not, with two."""
    runs = made_runs() + made_runs(["rlx2", "set"], env__id="Pendulum-v1", network__hidden=[64, 64])
    unlike = [made._replace(name=f"{made.config.env.id}-{made.name}") for made in runs]
    return write_archive(tmp_path_factory.mktemp("report") / "archive", unlike)


@pytest.fixture(scope="module")
def archive(folder: Path) -> Archive:
    return read_archive(folder)


@pytest.fixture(scope="module")
def hopper(archive: Archive) -> Record:
    return archive.records[0]


@pytest.fixture(scope="module")
def pendulum(archive: Archive) -> Record:
    return archive.records[1]


def only(record: Record, *methods: str) -> Record:
    return replace(record, trials=tuple(trial for trial in record.trials if trial.config.method in methods))


def scores(record: Record, label: str) -> tuple[float, ...]:
    return next(arm.scores for arm in arms_of(record) if arm.label == label)


# Tasks and arms


def test_runs_are_grouped_by_task(archive: Archive) -> None:
    assert archive.runs == 29 + 11
    assert [(record.name, len(record.trials)) for record in archive.records] == [
        ("Hopper-v5, TD3, 200,000 env steps", 29),
        ("Pendulum-v1, TD3, 200,000 env steps, 64 x 64 units", 11),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", 150_000), ("evaluation.episodes", 3), ("evaluation.interval", 10_000), ("env.kwargs", {"a": 1}),
     ("network.hidden", [32]), ("algo", "sac")],
)  # fmt: skip
def test_what_cannot_be_compared_is_another_task(tmp_path: Path, key: str, value: object) -> None:
    runs = made_runs(["static"]) + [
        made._replace(name="other") for made in made_runs(["static"], **{key.replace(".", "__"): value})
    ]
    records = read_archive(write_archive(tmp_path / "archive", runs)).records
    assert [len(record.trials) for record in records] == [1, 1]
    assert len({record.name for record in records}) == 2


def test_arms_are_methods_their_ablations_and_sparsities(hopper: Record, pendulum: Record) -> None:
    assert [(arm.label, len(arm.trials)) for arm in arms_of(hopper)] == [
        ("static 98 / 95 %", 1),
        ("set 98 / 95 %", 3),
        ("rigl 98 / 95 %", 3),
        ("rlx2 98 / 95 %", 8),
        ("rlx2 99 / 98 %", 3),
        ("rlx2 98 / 95 %, capacity_rule fixed", 2),
        ("rlx2 98 / 95 %, n_step 1", 2),
        ("rlx2 98 / 95 %, n_step 5", 2),
        ("dense", 5),
    ]
    assert [arm.label for arm in arms_of(pendulum)] == ["set", "rlx2"], "one pair of sparsities goes without saying"


def test_what_all_have_in_common_is_no_change() -> None:
    """The interval is the task's, though dense has none; a learning rate that one arm has is that arm's."""
    common = {"topology": {"interval": 500}, "sparsity": {"policy": 0.9, "critic": 0.8}}
    configs = [
        resolve({"method": "dense"}),
        resolve({"method": "rlx2", **common}),
        resolve({"method": "rigl", **common}),
        resolve({"method": "rlx2", **common, "agent": {"learning_rate": 1e-3}}),
        resolve({"method": "rlx2", **common, "agent": {"warmup_steps": 50_000}}),
    ]
    changes = task_changes(configs)
    assert changes.own == ({}, {}, {}, {"agent.learning_rate": 1e-3}, {"agent.warmup_steps": 50_000})
    assert changes.shared == {"topology.interval": 500}


def test_what_dense_and_sparse_arms_share_is_compared_between_them() -> None:
    """A learning rate is both's; the replay's capacity may be the sparse ones' alone, but not dense's alone."""
    quick, small = {"agent": {"learning_rate": 1e-3}}, {"replay": {"max_capacity": 50_000, "min_capacity": 10_000}}
    own = [{"agent.learning_rate": 1e-3}, {"replay.max_capacity": 50_000, "replay.min_capacity": 10_000}]

    def changes(dense: Any, sparse: Any) -> tuple[tuple[Any, ...], set[str]]:
        found = task_changes([resolve({"method": "dense", **dense}), resolve({"method": "rlx2", **sparse})])
        return found.own, set(found.shared)

    assert changes(quick, quick) == (({}, {}), {"agent.learning_rate"})
    assert changes({}, quick) == (({}, own[0]), set())
    assert changes(quick, {}) == ((own[0], {}), set())
    assert changes(small, small) == changes({}, small) == (({}, {}), set(own[1]))
    assert changes(small, {}) == ((own[1], {}), set())


def test_dense_ablation_is_not_what_others_are_compared_with(tmp_path: Path) -> None:
    runs = made_runs(["dense", "set"]) + [
        made._replace(name=f"large-{made.name}") for made in made_runs(["dense"], agent__batch_size=512)
    ]
    (record,) = read_archive(write_archive(tmp_path / "archive", runs[:7] + runs[8:])).records
    assert {arm.label: arm.is_dense for arm in arms_of(record)} == {
        "dense": True, "set": False, "dense, batch_size 512": False
    }  # fmt: skip


def test_reference_is_the_paper_s_pair_or_the_most_run(hopper: Record, pendulum: Record) -> None:
    assert reference_pair(hopper) == reference_pair(pendulum) == (0.98, 0.95)
    sparser = replace(hopper, trials=tuple(trial for trial in hopper.trials if trial.policy_sparsity != 0.98))
    assert reference_pair(sparser) == (0.99, 0.98)
    assert paper_of(sparser) is None
    assert reference_pair(only(hopper, "dense")) is None
    assert main_record(hopper).trials == tuple(
        trial for trial in hopper.trials
        if trial.policy_sparsity != 0.99 and not trial.changes.keys() & {"target.n_step", "replay.capacity_rule"}
    )  # fmt: skip


def test_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no archived run: add some with 'rlx2 archive DIR --into"):
        read_archive(tmp_path)


# Numbers


def test_ratios_and_costs_are_those_of_the_runs(hopper: Record) -> None:
    estimate = estimate_ratio(
        scores(hopper, "rlx2 98 / 95 %"), scores(hopper, "dense"), known()["Hopper-v5"].random_score
    )
    outcome = outcome_of(hopper, plain_arms(hopper)["rlx2"])
    assert outcome is not None
    assert (outcome.ratio, outcome.interval, outcome.probability) == estimate
    config = plain_arms(hopper)["rlx2"].trials[0].config
    assert outcome.costs == relative_costs(config, plan_agent(config, OBSERVATION, ACTION))


def rows(record: Record) -> dict[str, dict[str, str]]:
    table = arm_table(record)
    return {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}


def test_arm_table_has_every_arm_and_those_not_run(hopper: Record) -> None:
    found = rows(hopper)
    assert list(found) == [
        "dense", "tiny", "static 98 / 95 %", "set 98 / 95 %", "rigl 98 / 95 %", "rlx2 98 / 95 %", "rlx2 99 / 98 %",
        "rlx2 98 / 95 %, capacity_rule fixed", "rlx2 98 / 95 %, n_step 1", "rlx2 98 / 95 %, n_step 5",
    ]  # fmt: skip
    assert found["tiny"] == dict.fromkeys(arm_table(hopper).headings, "-") | {
        "arm": "tiny", "% of dense": "not run", "paper: % of dense": "64.5"
    }  # fmt: skip
    papers = [row["paper: % of dense"] for row in found.values()]
    assert papers == ["100.0", "64.5", "67.7", "66.5", "90.6", "97.0", "-", "-", "77.9", "87.5"]
    rlx2 = found["rlx2 98 / 95 %"]
    assert (rlx2["size"], rlx2["train FLOPs (paper)"], rlx2["inference FLOPs"]) == ("0.040", "0.043", "0.020")
    assert (rlx2["seeds"], rlx2["time to train"], rlx2["env steps/s"]) == ("8", "6 min", "600")
    assert [found[arm]["deployed"] for arm in ("tiny", "static 98 / 95 %")] == ["-", "-"]
    assert rlx2["deployed"] == f"{float(rlx2['score']) + 100:.5g} (8)"
    kept = (float(rlx2["score"]) + 100) / (float(found["dense"]["score"]) + 100)
    assert float(rlx2["deployed: % of dense"].split(" (")[0]) == pytest.approx(100 * kept, abs=0.1)
    assert rlx2["deployed: % of dense"].endswith(" (5 dense)")
    assert [found[arm]["deployed: % of dense"] for arm in ("dense", "static 98 / 95 %")] == ["-", "-"]
    assert (found["dense"]["% of dense"], found["dense"]["time to train"]) == ("100", "33 min")
    assert (found["static 98 / 95 %"]["95 % interval"], found["static 98 / 95 %"]["seeds"]) == ("-", "1")


def test_overview_has_two_rows_where_the_paper_has_the_task(archive: Archive) -> None:
    table = overview_table(archive.records)
    assert [row[:6] for row in table.rows[:3]] == [
        ("TD3", "Hopper-v5", "200,000", "here", "98", "95"),
        ("TD3", "Hopper", "3,000,000", "paper", "98", "95"),
        ("TD3", "Pendulum-v1", "200,000", "here", "98", "95"),
    ]
    here, paper, pendulum = (dict(zip(table.headings, row, strict=True)) for row in table.rows[:3])
    assert [paper[column] for column in COLUMNS.values()] == ["64.5", "67.7", "66.5", "90.6", "97.0"]
    assert (here["size"], paper["size"], paper["train FLOPs (counted)"]) == ("0.040", "0.040", "-")
    assert here["Tiny"] == "not run"
    assert here["SS"].endswith(", 1 seed")
    assert here["RLx2"].endswith(" to 105), 8 seeds")
    assert here["dense"].endswith(", 5 seeds")
    assert (pendulum["dense"], pendulum["size"] != "-") == ("not run", True)
    assert pendulum["RLx2"].startswith("score ")


def test_tasks_of_the_paper_that_nobody_has_run_are_listed_as_such(archive: Archive, pendulum: Record) -> None:
    table = overview_table(archive.records)
    others = table.rows[3:]
    assert [row[:2] for row in others[::2]] == [
        *(("TD3", env) for env in ("HalfCheetah", "Walker2d", "Ant")),
        *(("SAC", env) for env in ("HalfCheetah", "Hopper", "Walker2d", "Ant")),
    ]
    assert [row[:2] for row in others[1::2]] == [row[:2] for row in others[::2]]
    assert {row[3] for row in others[::2]} == {"here"}
    assert {cell for row in others[::2] for cell in row[-1 - len(COLUMNS) :]} == {"not run"}
    assert others[5][-len(COLUMNS) :] == ("16.5", "49.6", "62.5", "68.5", "103.9")
    assert len(overview_table([pendulum]).rows) == 1, "an archive of other tasks is not compared with the paper"


def test_without_dense_there_are_scores_alone(hopper: Record) -> None:
    found = rows(only(hopper, "rlx2", "set"))
    assert found["dense"]["% of dense"] == "not run"
    rlx2 = found["rlx2 98 / 95 %"]
    assert (rlx2["% of dense"], rlx2["reaches dense after"], rlx2["size"]) == ("-", "-", "0.040")
    assert float(rlx2["score"]) > 2000


# The paper


def test_paper_s_numbers_are_consistent() -> None:
    """Its own accounting gives its size and FLOPs within rounding: of an 11 x 3 Hopper, from the sparsities."""
    assert "arXiv 2205.15043" in paper_source()
    for algo, spaces in (("td3", (11, 3)), ("sac", (11, 3))):
        paper = paper_task(resolve({"env": {"id": "Hopper-v5"}, "algo": algo}))
        assert paper is not None
        config = resolve({"algo": algo, "sparsity": {"policy": paper.policy, "critic": paper.critic}})
        costs = relative_costs(config, plan_agent(config, *spaces))
        assert costs.size_ratio == pytest.approx(paper.size, abs=0.001)
        assert costs.train_flops_ratio_paper == pytest.approx(paper.train, abs=0.001)
        assert costs.inference_flops_ratio == pytest.approx(paper.inference, abs=0.001)


@pytest.mark.parametrize("env", ["HalfCheetah", "Hopper", "Walker2d", "Ant"])
def test_paper_s_tables_agree_where_they_meet(env: str) -> None:
    td3, sac = (paper_task(resolve({"env": {"id": f"{env}-v4"}, "algo": algo})) for algo in ("td3", "sac"))
    assert td3 is not None
    assert sac is not None
    assert td3.returns.keys() == sac.returns.keys() == COLUMNS.keys()
    assert td3.n_step[3] == td3.returns["rlx2"]
    assert (sorted(td3.n_step), sac.n_step) == ([1, 2, 3, 4, 5], {})


def test_paper_has_no_other_task() -> None:
    assert paper_task(resolve({"env": {"id": "InvertedPendulum-v5"}})) is None
    assert paper_task(resolve({"env": {"id": "Hopper"}})) is None


def test_other_widths_are_not_the_paper_s(tmp_path: Path) -> None:
    (record,) = read_archive(
        write_archive(tmp_path / "archive", made_runs(["set"], network__hidden=[128, 128]))
    ).records
    assert (paper_of(record), missing_methods(record)) == (None, [])


# Words


def test_task_is_told_in_words(hopper: Record) -> None:
    lines = task_words(hopper)
    assert [line.split(" ")[0] for line in lines] == ["Dense:", "rlx2", "An", "The", "Not"]
    kept = "keeps 101.3 % of what dense gains over random actions (95 % interval 94.6 to 105.3, 8 seeds)."
    assert f"{kept} That is at least 97 %" in lines[1]
    deployed = r"By the deployed score 101\.\d % \[9\d\.\d %, 10\d\.\d %\] \(8 and 5 seeds\)\. "
    assert re.search(r"P\(R ≥ 0\.97\) is \.91\. " + deployed + r"The paper has 97\.0 %\.$", lines[1])
    assert lines[2].startswith("An rlx2 run takes 6 min, a dense one 33 min")
    assert lines[2].endswith("6.0 times as fast.")
    assert "differs: rlx2, set, rigl, static here, rlx2, rigl, static, set in the paper. How probable" in lines[3]
    assert lines[4] == "Not run: tiny."


def test_order_that_is_the_paper_s_is_said(hopper: Record) -> None:
    record = only(hopper, "dense", "rlx2", "rigl")
    assert any(line.startswith("The methods come in the paper's order") for line in task_words(record))


def with_scores(record: Record, values: dict[str, list[float]]) -> Record:
    """The record with so many runs of each method, with these scores."""
    trials = []
    for method, wanted in values.items():
        first = next(trial for trial in main_record(record).trials if trial.config.method == method)
        trials += [
            first._replace(config=first.config.model_copy(update={"seed": seed}), score=value)
            for seed, value in enumerate(wanted)
        ]
    return replace(record, trials=tuple(trials))


@pytest.mark.parametrize(
    ("seeds", "how_sure"),
    [(1, ""), (2, " How probable the turned pairs are: set above static over .99.")],
)
def test_order_needs_no_dense(hopper: Record, seeds: int, how_sure: str) -> None:
    record = with_scores(hopper, {"rlx2": [9.0] * seeds, "set": [5.0] * seeds, "static": [4.0] * seeds})
    found = [line for line in task_words(record) if "order of the methods" in line]
    order = "differs: rlx2, set, static here, rlx2, static, set in the paper."
    assert found == [f"The order of the methods, by their scores, {order}{how_sure}"]


@pytest.mark.parametrize(
    ("rlx2", "words", "verdict"),
    [
        ([99, 100, 101, 102], "That is at least 97 %", "sure for"),
        ([50, 51, 52, 53], "That is not 97 %", "not so for"),
        ([94, 96, 98, 100], "Whether that is at least 97 % is open", "open for"),
        ([99, 100, 101], "Whether that is at least 97 % is open", "open for"),
        ([100], "a single seed does not tell", "No task has seeds enough"),
    ],
)
def test_verdict_needs_seeds_and_probability(hopper: Record, rlx2: list[float], words: str, verdict: str) -> None:
    record = with_scores(hopper, {"dense": [99, 100, 100, 101], "rlx2": rlx2})
    assert words in task_words(record)[1]
    assert verdict in overview_words([record])
    found = task_answer(record)
    assert (found is None) == (len(rlx2) == 1)
    assert found is None or ("the smallest network found" in found) == (verdict == "sure for")
    assert found is None or overview_words([record]).startswith(found), "the answer comes first"
    few = with_scores(hopper, {"dense": [100, 101], "rlx2": rlx2})
    assert "is at least 97 %:" not in task_words(few)[1], "two dense seeds make nothing sure"


def test_task_without_dense_says_so(pendulum: Record) -> None:
    score = f"rlx2 at 98 / 95 % zeros scores {rows(pendulum)['rlx2']['score']} "
    (line,) = task_words(pendulum)
    assert line.startswith(f"{score}(95 % interval 2")
    assert line.endswith(", 8 seeds); there is no dense arm to compare it with.")
    (line,) = task_words(with_scores(pendulum, {"rlx2": [7.5]}))
    assert line == "rlx2 at 98 / 95 % zeros scores 7.5 (1 seed); there is no dense arm to compare it with."


# How soon dense is reached


@pytest.mark.parametrize(
    ("values", "level", "step"),
    [
        ([0] * 10 + [10] * 20, 10.0, 200),  # evaluations 11 to 20 are all 10
        ([0] * 10 + [10] * 20, 5.0, 150),  # five of ten
        ([0] * 10 + [10] * 20, 10.1, None),
        ([10] * 30, 10.0, 100),
        ([0] * 9 + [1000] + [0] * 20, 100.0, 100),
        ([10] * 9, 5.0, None),
        ([], 5.0, None),
    ],
)
def test_steps_to_reach(values: list[float], level: float, step: int | None) -> None:
    assert WINDOW == 10
    series = Series(tuple(10 * (k + 1) for k in range(len(values))), tuple(map(float, values)))
    assert steps_to_reach(series, level) == step


def seed(reached_at: int | None, score: float | None = 1.0) -> Trial:
    """Of 100 evaluations, those after the given one are 1."""
    config = resolve({"method": "set", "steps": 100_000})
    values = tuple(float(reached_at is not None and k >= reached_at) for k in range(100))
    returns = Series(tuple(1000 * (k + 1) for k in range(100)), values)
    return Trial("a", "finished", "arm", config, {}, {RETURN: returns}, score, False)


@pytest.mark.parametrize(
    ("reached_at", "expected"),
    [([0, 10, 30], (0.2, 3, 3)), ([0, 30], (0.4, 2, 2)), ([10, None, 20], (0.3, 2, 3)), ([10, None], (None, 1, 2))],
)
def test_reach_is_a_median_in_which_never_is_late(
    reached_at: list[int | None], expected: tuple[float | None, int, int]
) -> None:
    arm = Arm("set", (*map(seed, reached_at), seed(0, score=None)))
    assert reach_of(arm, 1.0 - 1e-9) == pytest.approx(expected)


def test_claim_of_ds_is_told_beside_what_was_found(hopper: Record) -> None:
    """There is no such method in this version: the set arm stands for it under its name."""
    ds = [
        trial._replace(config=trial.config.model_copy(update={"method": "ds"}), series={RETURN: raised(trial.returns)})
        for trial in hopper.trials
        if trial.config.method == "set"
    ]
    record = replace(hopper, trials=(*hopper.trials, *ds))
    assert reference_pair(replace(record, trials=tuple(ds))) is None, "its sparsities are its own"
    assert "ds 98 / 95 %" in rows(record)
    (line,) = (line for line in task_words(record) if line.startswith("Dense's score is reached"))
    assert "ds after 40 % (3 of 3)" in line
    assert "40 to 50 % of the steps" in line
    assert TASK_PANELS["reach"].is_wanted(record)
    assert not TASK_PANELS["reach"].is_wanted(hopper)
    bars = TASK_PANELS["reach"].draw(record).data[0]
    assert dict(zip(bars.x, bars.y, strict=True))["ds"] == pytest.approx(40)


def raised(returns: Series) -> Series:
    """4000 from the ninth of 40 evaluations on: eight of ten such are needed for dense's 2944, at the sixteenth."""
    return returns._replace(values=tuple(4000.0 if k >= 8 else 0.0 for k in range(len(returns.values))))


# Figures


def test_window_bars_have_the_paper_s_beside_ours(hopper: Record) -> None:
    bars = {bar.label: bar for bar in window_bars(hopper)}
    assert {label: bar.paper for label, bar in bars.items()} == {
        "1": 77.9, "2": 91.7, "3": 97.0, "4": 84.0, "5": 87.5
    }  # fmt: skip
    assert {label for label, bar in bars.items() if bar.outcome} == {"1", "3", "5"}
    assert [bar.label for bar in ablation_bars(hopper)] == ["rlx2", "capacity_rule fixed"]
    figure = TASK_PANELS["windows"].draw(hopper)
    here, deployed, paper = figure.data
    assert list(paper.y) == [77.9, 91.7, 97.0, 84.0, 87.5]
    assert (deployed.name, deployed.y[1]) == ("here, deployed", None)
    assert deployed.y[2] == pytest.approx(100 * bars["3"].deployed.ratio if bars["3"].deployed else math.nan)
    assert here.y[2] == pytest.approx(100 * bars["3"].outcome.ratio if bars["3"].outcome else math.nan)
    assert here.y[1] is None


def test_switches_are_arms_of_their_own_and_ablations_at_each_pair(tmp_path: Path) -> None:
    runs = made_runs(["dense", "rlx2", "sparser", "fixed"])
    for number, (key, value) in enumerate([("network__rescaled", "both"), ("policy__average", 4000)]):
        more = made_runs(["sparser"], **{key: value})
        runs += [made._replace(name=f"{number}-{made.name}") for made in more]
    (record,) = read_archive(write_archive(tmp_path / "archive", runs)).records
    assert [bar.label for bar in ablation_bars(record)] == [
        *("rlx2, 98 / 95 %", "capacity_rule fixed, 98 / 95 %"),
        *("rlx2, 99 / 98 %", "rescaled both, 99 / 98 %", "average 4000, 99 / 98 %"),
    ]
    text = report_markdown(Archive(tmp_path, (record,)))
    held = text[text.index("| lost of the best, %") :]
    for label in ("rlx2 99 / 98 %, rescaled both", "rlx2 99 / 98 %, average 4000", "dense"):
        assert f"| {label} | " in held


def test_switches_are_not_credited_with_what_they_do_for_dense(tmp_path: Path) -> None:
    runs = made_runs(["dense", "rlx2"])
    runs += [made._replace(name=f"own-{made.name}") for made in made_runs(["dense", "rlx2"], policy__average=4000)]
    (record,) = read_archive(write_archive(tmp_path / "archive", runs)).records
    found = rows(record)
    assert found["rlx2"][OWN_DENSE] == found["dense"][OWN_DENSE] == found["dense, average 4000"][OWN_DENSE] == "-"
    own = found["rlx2, average 4000"]
    # The same scores with the switch as without: the same ratio to either dense arm.
    assert own[OWN_DENSE].startswith(f"{own['% of dense']} ({own['95 % interval']})")


@pytest.mark.parametrize("key", ["policy.average", "network.critic_norm", "target.mean"])
def test_switch_that_dense_does_not_have_sets_all_others_apart(key: str) -> None:
    value: object = {"policy.average": 7, "network.critic_norm": "layer", "target.mean": 0.5}[key]
    dense = resolve({"method": "dense"})
    found = task_changes([dense, resolve(nest(key, value))])
    assert found.own == ({}, {key: value})
    both = task_changes([resolve(merge(nest(key, value), {"method": "dense"})), resolve(nest(key, value))])
    assert (both.own, both.shared) == (({}, {}), {key: value})


def test_task_without_ablations_has_no_bars(pendulum: Record) -> None:
    assert window_bars(pendulum) == ablation_bars(pendulum) == []
    wanted = {name for name, panel in TASK_PANELS.items() if panel.is_wanted(pendulum)}
    assert wanted == {"curves", "scores", "replay"}


def test_figures_show_what_they_should(hopper: Record) -> None:
    wanted = {name for name, panel in TASK_PANELS.items() if panel.is_wanted(hopper)}
    assert wanted == {"curves", "scores", "sparsity", "windows", "ablations", "held", "replay"}
    line, deployed = TASK_PANELS["sparsity"].draw(hopper).data
    assert (line.name, deployed.name, deployed.line.dash) == ("rlx2", "rlx2, deployed", "dash")
    assert np.allclose(line.x, [0.02, 0.01])
    assert np.allclose(deployed.x, line.x)
    assert {trace.name for trace in TASK_PANELS["replay"].draw(hopper).data if trace.name} == {"rlx2 98 / 95 %"}
    curves = {trace.name for trace in TASK_PANELS["curves"].draw(hopper).data if trace.name}
    assert curves == {"dense", *(f"{method} 98 / 95 %" for method in ("static", "set", "rigl", "rlx2"))}


# The page


def test_page_has_the_pairs_of_arms_and_an_answer_a_paragraph(archive: Archive) -> None:
    page = report_html(archive)
    (table,) = pair_tables(archive.records[0])
    rows = "".join(f"<td>{cell}</td>" for cell in table.rows[0][2:])
    assert 'id="pairs-1-1"' in page
    assert rows in page
    for answer in answers(archive.records):
        assert f"<p>{escape(answer)}</p>" in page


@pytest.mark.skipif(BROWSER is None, reason=NEEDED)
def test_page_works_in_a_browser(archive: Archive, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(report_html(archive))
    visited = visit(page.as_uri(), tmp_path / "profile", height=4000)
    assert visited.console == []
    for name in ("curves", "scores", "sparsity", "windows", "ablations", "replay"):
        assert "main-svg" in visited.ids[f"task-1-{name}"], name
    assert {"overview", "arms-1", "arms-2", "scores-1", "protocol-2"} <= visited.ids.keys()
    assert "Not run: tiny." in visited.text


def test_markdown_has_tables_and_pictures(archive: Archive, tmp_path: Path) -> None:
    name = archive.records[0].name
    text = report_markdown(archive, {name: [Picture("curves of Hopper", "curves.png")]})
    assert text.count("![curves of Hopper](curves.png)") == 1
    assert "| TD3 | Hopper | 3,000,000 | paper | 98 | 95 | 0.040 | 0.043 |" in text
    assert f"## {name}\n\n- Dense: " in text
    assert "- versions: python 3.11.9" in text
    assert write_markdown(archive, tmp_path / "a.md").read_text() == report_markdown(archive)


def test_summary_is_json(archive: Archive) -> None:
    content: dict[str, Any] = json.loads(json.dumps(summary_of(archive)))
    assert (content["kind"], content["runs"], len(content["tasks"])) == ("archive", 40, 2)
    hopper, pendulum = content["tasks"]
    assert (hopper["env_id"], hopper["algo"], hopper["steps"]) == ("Hopper-v5", "td3", 200_000)
    assert hopper["methods"].keys() == {"dense", "static", "set", "rigl", "rlx2"}
    assert hopper["methods"]["rlx2"]["seeds"] == len(hopper["methods"]["rlx2"]["scores"]) == ARMS["rlx2"][1]
    assert hopper["methods"]["rlx2"]["ratio"] > 1
    assert pendulum["methods"]["rlx2"]["ratio"] is None


def test_names_cannot_write_html(tmp_path: Path) -> None:
    made = made_runs(["set"], env__id="<script>alert(1)</script>-v0")
    page = report_html(read_archive(write_archive(tmp_path / "archive", made)))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_damaged_file_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(folder, copy)
    file = sorted(copy.iterdir())[3]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BadInput, match=file.name):
        read_archive(copy)


def test_key_that_cannot_be_left_out_is_a_change() -> None:
    odd = resolve({"method": "dense", "topology": {"rule": "rigl"}, "sparsity": {"policy": 0.5}})
    assert task_changes([odd, resolve({"method": "dense"})]).own[0]["topology.rule"] == "rigl"
