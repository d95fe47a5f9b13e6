"""`rlx2 compress` as a script sees it: exit codes, streams, JSON, files, MLflow, the cached dense arm, refusals."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from rlx2_ray.cli import compress as command
from rlx2_ray.cli.main import run
from rlx2_ray.config import Tree
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.search.statistics import statistic_of
from tests.cli.test_bad_input import check_refusal, files
from tests.support.campaigns import (
    check_every_point_once,
    parent_and_children,
    read_record,
    read_result,
    sweep_tree,
    trial_names,
)
from tests.support.compression_envs import MODULE
from tests.support.compressions import (
    DENSE_SEEDS,
    POINTS,
    STEPS,
    cache_variables,
    cached_outcome,
    cached_seeds,
    compress,
    compress_arguments,
    compress_tree,
    resume_compression,
)
from tests.support.runs import RLX2, Ended, environment

RESULT_KEYS = {
    "dense", "decisions", "ultimate", "runs", "env_steps", "messages", "threshold", "kind", "directory", "report",
    "mlflow_run_id", "versions", "decided_by", "answer",
}  # fmt: skip
DENSE = [f"dense-s{seed}" for seed in range(DENSE_SEEDS)]
DECISION_KEYS = {"policy_sparsity", "critic_sparsity", "seeds", "ratio", "interval", "probability", "verdict"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return compress(tmp_path_factory.mktemp("compress") / "first", compress_tree())


def client(directory: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{directory.parent / 'mlflow.db'}")


def test_exit_code_and_json_object(finished: Ended) -> None:
    assert finished.code == 0, finished.error
    assert len(finished.output.splitlines()) == 1
    result = finished.result
    assert result.keys() == RESULT_KEYS
    assert (result["kind"], result["threshold"], result["messages"]) == ("compress", 0.3, [])
    assert {"seeds", "statistic", "interval"} <= result["dense"].keys()
    assert result["decisions"]
    for decision in result["decisions"]:
        assert decision.keys() >= DECISION_KEYS
    assert read_result(finished.directory) == result


def test_runs_and_env_steps_are_those_on_disk(finished: Ended) -> None:
    names = trial_names(finished.directory)
    steps = [read_result(finished.directory / "trials" / name)["env_steps"] for name in names]
    assert (finished.result["runs"], finished.result["env_steps"]) == (len(names), sum(steps))
    assert len(names) >= DENSE_SEEDS + 4


def test_scores_are_those_of_the_runs(finished: Ended) -> None:
    trials = finished.directory / "trials"
    for seed in finished.result["dense"]["seeds"]:
        assert seed["score"] == read_result(trials / f"dense-s{seed['seed']}")["score"]
        assert [step for step, _ in seed["curve"]] == POINTS
        assert not seed["cached"]
    for decision in finished.result["decisions"]:
        prefix = f"p{decision['policy_sparsity']:.4f}-c{decision['critic_sparsity']:.4f}-s"
        own = [read_result(path)["score"] for path in trials.glob(f"{prefix}*")]
        assert sorted(decision["scores"]) == sorted(own)
        assert decision["seeds"] == len(own)


def test_ultimate_is_the_smallest_accepted_network(finished: Ended) -> None:
    ultimate = finished.result["ultimate"]
    accepted = [each for each in finished.result["decisions"] if each["verdict"] == "accept"]
    assert ultimate["size_ratio"] == min(each["size_ratio"] for each in accepted)
    assert ultimate["verdict"] == "accept"
    assert ultimate["compression"] == pytest.approx(1 / ultimate["size_ratio"])
    scores = {
        name: read_result(finished.directory / "trials" / name)["score"] for name in trial_names(finished.directory)
    }
    assert scores[ultimate["trial"]] == max(ultimate["scores"])
    policy = finished.directory / "policy.safetensors"
    assert ultimate["policy"] == str(policy)
    best = finished.directory / "trials" / ultimate["trial"] / "best_policy.safetensors"
    assert policy.read_bytes() == best.read_bytes()


def test_cost_is_said_before_the_first_run(finished: Ended) -> None:
    first, *others = finished.error.splitlines()
    cost = r"Expected: about \d+ runs \(at most 67\) of 1,000 env steps, \d+ at a time, in about \d+ (s|min) "
    assert re.match(cost + r"\(dense run \d+ s, sparse run \d+ s\)\. In ", first)
    assert first.endswith(str(finished.directory))
    ended = [line.split("  ")[0] for line in others if "  score " in line]
    assert sorted(ended) == trial_names(finished.directory)


def test_dense_arm_and_verdicts_are_said_as_they_come(finished: Ended) -> None:
    lines = finished.error.splitlines()
    (dense,) = [line for line in lines if line.startswith("dense score") and f"{DENSE_SEEDS} seeds" in line]
    assert re.search(r"\(0 known from before\); deployed score [\d.]+ \[[\d.]+, [\d.]+\]; random actions", dense)
    assert dense.endswith(f"; random actions {finished.result['dense']['random']:.1f}")
    ultimate = finished.result["ultimate"]
    said = [line for line in lines if f"policy {ultimate['policy_sparsity']:.2%} / " in line and "accepted" in line]
    assert said
    pattern = r"keeps [\d.]+% \[.*\] of the dense return by \d+ seeds, Pr [\d.]+ by all runs together; by the deployed"
    assert all(re.search(pattern, line) for line in said)
    known = [line for line in lines[1:] if "  score " not in line and line not in (dense, *said)]
    assert all(re.match(r"policy [\d.]+% / critics|dense score|env steps", line) for line in known), (
        "no word of anyone else's"
    )


def test_record_and_report(finished: Ended) -> None:
    record, content = read_directory(finished.directory), read_record(finished.directory)
    assert (record.state, record.kind) == ("finished", "compress")
    assert content["ultimate"] == finished.result["ultimate"]
    assert content["planned"]["env_steps"] == content["planned"]["runs"] * STEPS
    assert [belief["runs"] for belief in content["beliefs"]] == sorted({each["runs"] for each in content["beliefs"]})
    assert len(content["beliefs"][-1]["levels"]) == 3
    assert sum(content["beliefs"][-1]["mass"]) == pytest.approx(1)
    report = Path(finished.result["report"]).read_text()
    assert report.startswith("<!DOCTYPE html>")
    assert "InvertedPendulum-v5" in report


def test_one_parent_and_a_child_for_each_run(finished: Ended) -> None:
    parent, children = parent_and_children(finished.directory)
    assert parent.info.run_id == finished.result["mlflow_run_id"]
    assert (parent.info.status, parent.data.tags["rlx2.kind"]) == ("FINISHED", "compress")
    assert sorted(children) == trial_names(finished.directory)
    check_every_point_once(finished.directory, dict.fromkeys(children, POINTS))
    for name, child in children.items():
        tags = child.data.tags
        assert child.info.status == "FINISHED"
        assert tags["rlx2.seed"] == name.rpartition("-s")[2] == child.data.params["seed"]
        fresh = int(tags["rlx2.seed"]) >= 1000
        assert tags["rlx2.purpose"] == ("dense" if name in DENSE else "confirm" if fresh else "search")
        assert child.data.metrics["score"] == read_result(finished.directory / "trials" / name)["score"]


def test_decisions_are_a_table_of_the_parent(finished: Ended, tmp_path: Path) -> None:
    run_id = finished.result["mlflow_run_id"]
    table = json.loads(
        Path(client(finished.directory).download_artifacts(run_id, "decisions.json", str(tmp_path))).read_text()
    )
    assert table["columns"] == list(command_columns())
    verdict, seeds = (table["columns"].index(name) for name in ("verdict", "seeds"))
    expected = [(each["verdict"], each["seeds"]) for each in finished.result["decisions"]]
    assert [(row[verdict], row[seeds]) for row in table["data"]] == expected


def command_columns() -> tuple[str, ...]:
    from rlx2_ray.sweep.compression.describe import TABLE

    return TABLE


def test_accepted_policy_is_a_registered_model(finished: Ended) -> None:
    name, alias = "rlx2-InvertedPendulum-v5-td3", "ultimate"
    assert finished.result["ultimate"]["model"] == f"models:/{name}@{alias}"
    version = client(finished.directory).get_model_version_by_alias(name, alias)
    assert str(version.version) == finished.result["ultimate"]["model_version"]
    assert version.run_id == finished.result["mlflow_run_id"]
    assert version.tags["verdict"] == "accept"
    assert float(version.tags["compression"]) == pytest.approx(finished.result["ultimate"]["compression"])


def test_finished_compression_is_shown_again(
    finished: Ended, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = files(finished.directory)
    assert run(["resume", str(finished.directory)]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    *table, dense, sentence, policy, report = output.splitlines()
    assert max(map(len, table)) <= 80
    rows = [line for line in table if line.startswith("│")]
    assert len(rows) == len(finished.result["decisions"]), "a line each, which a terminal of 80 columns does not break"
    assert all(re.search(r"\d+\.\dx .* \d+ -?\d+-\d+ .* \d+ -?\d+-\d+ ", row) for row in rows), "by both scores"
    assert dense.startswith("dense score ")
    assert sentence == finished.result["answer"]
    smaller = f"{finished.result['ultimate']['compression']:.3g} times smaller than dense"
    assert f"the smallest network found to keep the return is {smaller}" in sentence
    assert policy == f"Policy: {finished.result['ultimate']['policy']}"
    assert report == f"Report: {finished.result['report']}"
    after = files(finished.directory)
    assert {name for name in after if after[name] != before.get(name)} <= {str(finished.directory / "run.lock")}


# The second time


@pytest.fixture(scope="module")
def second(finished: Ended) -> Ended:
    """The same again in a terminal, with a budget that ends it before a verdict."""
    directory = finished.directory.parent / "second"
    arguments = compress_arguments(directory, compress_tree(), "--max-runs", "4", "--json", "--concurrent", "1")
    return in_terminal(directory, arguments)


def in_terminal(directory: Path, arguments: list[str]) -> Ended:
    """With standard error a terminal."""
    inner, outer = pty.openpty()
    variables = environment() | cache_variables(directory.parent) | {"TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        [str(RLX2), *arguments], cwd=directory.parent, env=variables, stdout=subprocess.PIPE, stderr=outer, text=True
    )
    os.close(outer)
    shown: list[bytes] = []
    thread = Thread(target=read_all, args=(inner, shown.append))
    thread.start()
    output, _ = process.communicate(timeout=500)
    thread.join()
    os.close(inner)
    return Ended(directory, process.returncode, output, b"".join(shown).decode(errors="replace"))


def read_all(descriptor: int, take: Callable[[bytes], object]) -> None:
    with suppress(OSError):  # how Linux says that nobody writes any more
        while chunk := os.read(descriptor, 4096):
            take(chunk)


def test_dense_arm_is_not_run_again(finished: Ended, second: Ended) -> None:
    assert second.code == 0, second.error
    assert cached_seeds(second.directory.parent)[:DENSE_SEEDS] == list(range(DENSE_SEEDS))
    assert [name for name in trial_names(second.directory) if name.startswith("dense")] == []
    first, again = finished.result["dense"]["seeds"], second.result["dense"]["seeds"]
    assert [(seed["seed"], seed["score"], seed["curve"]) for seed in again] == [
        (seed["seed"], seed["score"], seed["curve"]) for seed in sorted(first, key=itemgetter("seed"))
    ]
    assert {seed["cached"] for seed in again} == {True}
    assert cached_outcome(second.directory.parent, 0)["score"] == first[0]["score"]
    assert f"{len(first)} dense runs known from an earlier compression" in second.error


def test_budget_of_runs_ends_it_with_the_best_statement(second: Ended) -> None:
    assert len(trial_names(second.directory)) == 4, "runs of the cache cost nothing"
    assert second.result["messages"] == ["Ended by the budget of 4 runs: this is the best statement so far."]
    assert {each["verdict"] for each in second.result["decisions"]} <= {"accept", "reject", "inconclusive"}
    ultimate = second.result["ultimate"]
    assert ultimate is None or ultimate["verdict"] == "inconclusive", "nothing is accepted without fresh seeds"
    assert second.result["env_steps"] == 4 * STEPS


def test_belief_is_shown_while_it_runs(second: Ended) -> None:
    assert re.search(
        r"trials \d+ of \d+  running \d  best none yet  believes policy can be [\d.]+% sparse \[", second.error
    )


def test_result_without_any_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    empty: Tree = {"dense": None, "decisions": [], "ultimate": None, "messages": ["Ended."], "threshold": 0.97}
    command.show({**empty, "report": "here.html"}, as_json=False)
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Ended.",
        "compression: nothing is known: the dense arm was not measured to its end.",
        "Report: here.html",
    ]


def test_result_of_an_earlier_version_is_shown(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    """It has neither the answer nor a second score."""
    result = json.loads(json.dumps(finished.result))
    del result["answer"], result["decided_by"], result["dense"]["other"]
    for each in [*result["dense"]["seeds"], *result["decisions"], result["ultimate"]]:
        each.pop("other", None)
        each.pop("deployed", None)
    command.show(result, as_json=False)
    output = capsys.readouterr().out
    assert "first: the smallest network found to keep the return is" in output
    assert "By the deployed score it is not known" in output
    assert f"deployed score not known of {DENSE_SEEDS} of them" in output


# By the deployed score, and with more runs


@pytest.fixture(scope="module")
def by_deployed(finished: Ended) -> Ended:
    directory = finished.directory.parent / "by-deployed"
    return compress(directory, compress_tree(), "--score", "deployed", "--max-runs", "4")


def test_deployed_score_decides_and_the_final_one_is_stated(by_deployed: Ended) -> None:
    assert by_deployed.code == 0, by_deployed.error
    result, trials = by_deployed.result, by_deployed.directory / "trials"
    assert result["decided_by"] == "deployed"
    scores = [seed["deployed"] for seed in result["dense"]["seeds"]]
    assert result["dense"]["statistic"] == pytest.approx(statistic_of(scores))
    assert result["dense"]["other"]["statistic"] == pytest.approx(
        statistic_of([seed["score"] for seed in result["dense"]["seeds"]])
    )
    of_runs = [read_result(path.parent) for path in trials.glob("*/result.json")]
    deployed, final = ([run["deployed"]["return_mean"] for run in of_runs], [run["score"] for run in of_runs])
    assert {seed["cached"] for seed in result["dense"]["seeds"]} == {True}, "the cache has both scores"
    told = [score for decision in result["decisions"] for score in decision["scores"]]
    assert told
    assert set(told) <= set(deployed)
    also = [score for decision in result["decisions"] for score in decision["other"]["scores"]]
    assert (len(also), set(also) <= set(final)) == (len(told), True)
    assert "Its deployed policy keeps" in result["answer"]
    assert read_record(by_deployed.directory)["protocol"]["score"] == "deployed"


@pytest.mark.slow
def test_compression_goes_on_with_more_runs(by_deployed: Ended) -> None:
    """Those that were done are not done again; the sentence that a budget ended it is gone, where it is not true."""
    before = {path.parent.name: path.stat().st_mtime_ns for path in by_deployed.directory.glob("trials/*/result.json")}
    more = resume_compression(by_deployed.directory, "--max-runs", "7")
    assert more.code == 0, more.error
    after = {path.parent.name: path.stat().st_mtime_ns for path in by_deployed.directory.glob("trials/*/result.json")}
    assert len(before) == 4
    assert len(before) < len(after) <= 7
    assert {name: after[name] for name in before} == before
    assert "Ended by the budget of 4 runs: this is the best statement so far." not in more.result["messages"]
    assert more.result["runs"] == len(after) + DENSE_SEEDS


# Refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-runs", "3"], ["compress.budget.runs is 3", "3 seeds"]),
        (["--max-env-steps", "3999"], ["compress.budget.env_steps is 3999", "4000"]),
        (["--set", "sparsity.policy=0.5"], ["sparsity.policy", "compression searches"]),
        (["--method", "dense"], ["method", "nothing to compress"]),
        (["--axis", "diagonal"], ["compress.axis", "diagonal"]),
        (["--set", "compress.level=3"], ["compress.level", "compress.levels"]),
        (["--set", "compress.max_seeds=2"], ["compress.max_seeds is 2"]),
        (["--set", "compress.max_sparsity=0.4"], ["compress.min_sparsity", "0.4"]),
        (["--set", "compress.max_sparsity=0.5001"], ["compress.levels is 3", "0.5001"]),
        (["--set", "network.hidden=[2, 2]", "--set", "compress.max_sparsity=0.99"], ["compress.max_sparsity is 0.99"]),
        (
            ["--score", "deployed", "--set", "evaluation.deployed_episodes=0"],
            ["compress.score is deployed", "deployed_episodes is 0"],
        ),
        (["--score", "best"], ["compress.score is 'best'", "'deployed'"]),
        (["--archive", "nowhere"], ["compress.archive is", "nowhere, which is no directory"]),
        (["--env", "NoSuchThing-v9"], ["env.id", "NoSuchThing-v9"]),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = compress_arguments(tmp_path / "out", compress_tree(), *options)
    check_refusal(arguments, words, tmp_path, capsys)


def test_file_of_a_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep_tree()))
    check_refusal(["compress", str(file)], ["param_space", "'rlx2 sweep'"], tmp_path, capsys)


def test_directory_that_is_in_use_is_refused(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    file = finished.directory.parent / "first.yaml"
    arguments = ["compress", str(file), "--out", str(finished.directory)]
    check_refusal(arguments, ["already holds", "rlx2 resume"], finished.directory, capsys)


@pytest.mark.slow
def test_dense_arm_that_learns_nothing_leaves_nothing_to_compress(tmp_path: Path) -> None:
    """Whatever is done earns the same."""
    env = {"env__id": f"{MODULE}:Indifferent-v0", "steps": 300, "agent__warmup_steps": 100}
    done = compress(tmp_path / "out", compress_tree(**env))
    assert (done.code, done.output) == (1, "")
    assert "Traceback" not in done.error
    last = done.error.splitlines()[-1]
    assert re.match(
        r"rlx2: .*dense arm's score, 10, is no better than a random policy's, 10: .*nothing to compress", last
    )
    assert "more steps" in last
    assert trial_names(tmp_path / "out")[:DENSE_SEEDS] == DENSE
    assert read_record(tmp_path / "out")["state"] == "failed"
    assert parent_and_children(tmp_path / "out")[0].info.status == "FAILED"
