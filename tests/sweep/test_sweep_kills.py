"""Sweeps that are killed, interrupted, or run beside others, and end as if nothing had happened."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml

from rlx2_ray.config import Tree
from rlx2_ray.report.record.directory import read_directory
from tests.distributed.mortal_envs import MODULE
from tests.support.campaigns import (
    NAMES,
    check_every_point_once,
    digests,
    finished_trials,
    history,
    interrupt,
    kill,
    logs,
    moments,
    parent_and_children,
    read_record,
    read_result,
    resume_sweep,
    start_sweep,
    sweep,
    sweep_tree,
    trial_directories,
    trial_names,
)
from tests.support.runs import Ended, actors_of, ended, flip_byte, read_points, start_rlx2, tracked_runs, wait_for
from tests.tracking.test_outage import Server, server

__all__ = ["server"]  # a fixture

pytestmark = pytest.mark.slow

STEPS = 600
POINTS = list(range(100, STEPS + 1, 100))
# Trials of several seconds, however fast the machine.
PACED: Tree = sweep_tree(steps=STEPS, env__id=f"{MODULE}:UnhurriedPendulum-v0", env__kwargs={"step_s": 0.005})
TWO = ("--concurrent", "2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return sweep(tmp_path_factory.mktemp("undisturbed") / "sweep", PACED, *TWO)


def check_as_undisturbed(ended_sweep: Ended, undisturbed: Ended) -> None:
    """The same trials with the same policies, every point once, one MLflow run each, and nothing but sentences."""
    assert ended_sweep.code == 0, ended_sweep.error
    assert "Traceback" not in ended_sweep.error
    assert digests(ended_sweep.directory) == digests(undisturbed.directory)
    assert trial_names(ended_sweep.directory) == NAMES
    check_every_point_once(ended_sweep.directory, {name: POINTS for name in NAMES})
    parent, children = parent_and_children(ended_sweep.directory)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    mine, others = ended_sweep.result, undisturbed.result
    assert {key: mine[key] for key in ("trials", "best", "env_steps")} == {
        key: others[key] for key in ("trials", "best", "env_steps")
    }
    assert read_directory(ended_sweep.directory).state == "finished"


def is_in_the_middle(directory: Path) -> bool:
    """Two trials are done, and another has got somewhere."""
    there = [len(read_points(path)) for path in trial_directories(directory)]
    return len(finished_trials(directory)) >= 2 and any(1 < count < len(POINTS) for count in there)


@pytest.mark.parametrize("with_ray", [False, True], ids=["driver", "all processes"])
def test_driver_killed_in_the_middle(with_ray: bool, undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *TWO)) as process:
        wait_for(lambda: is_in_the_middle(directory), process, 300)
        kill(process, with_ray)
    before = moments(directory)
    assert 2 <= len(before) < 4
    resumed = resume_sweep(directory)
    check_as_undisturbed(resumed, undisturbed)
    after = moments(directory)
    assert before == {name: after[name] for name in before}, "finished trials are not run again"


def test_driver_killed_again_and_again(undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *TWO)) as process:
        wait_for((directory / "sweep.yaml").exists, process, 300)  # before any trial
        kill(process, with_ray=True)
    for finished in (0, 1, 3):
        arguments = ["resume", str(directory)]
        with ended(start_rlx2(*arguments, folder=tmp_path)) as process:
            wait_for(lambda least=finished: _has_got_to(directory, least), process, 300)  # type: ignore[misc]
            kill(process)
    check_as_undisturbed(resume_sweep(directory), undisturbed)


def _has_got_to(directory: Path, finished: int) -> bool:
    return bool(trial_directories(directory)) and len(finished_trials(directory)) >= finished


def test_trials_that_a_finished_sweep_has_lost_are_run_again(undisturbed: Ended, tmp_path: Path) -> None:
    done = sweep(tmp_path / "sweep", PACED, *TWO)
    whole = moments(done.directory)
    removed, cut_short, lacking, kept = trial_directories(done.directory)
    shutil.rmtree(removed)
    (cut_short / "result.json").write_text("{")
    (lacking / "progress.jsonl").write_text("")
    resumed = resume_sweep(done.directory)
    check_as_undisturbed(resumed, undisturbed)
    names = [path.name for path in (removed, cut_short, lacking)]
    assert f"Without a whole result, and so run again: {', '.join(names)}." in resumed.error
    assert moments(done.directory)[kept.name] == whole[kept.name]
    assert resume_sweep(done.directory).result == resumed.result, "nothing is lost now"


@pytest.mark.parametrize("name", ["record.json", "sweep.yaml", "result.json"])
def test_file_of_a_finished_sweep_is_made_again(name: str, undisturbed: Ended, tmp_path: Path) -> None:
    done = sweep(tmp_path / "sweep", PACED, *TWO)
    flip_byte(done.directory / name)
    before = moments(done.directory)
    resumed = resume_sweep(done.directory)
    check_as_undisturbed(resumed, undisturbed)
    assert moments(done.directory) == before
    assert str(done.directory / name) in resumed.error


def test_queue_killed_in_its_second_member(tmp_path: Path) -> None:
    """It has the trials that it would have had, and those of the first member are not run again."""
    pendulum = {key: value for key, value in PACED.items() if key != "param_space"}
    members = [
        {"name": "first", **pendulum, "param_space": {"seed": {"grid": [0, 1]}}},
        {"name": "second", **pendulum, "param_space": learning_rates(), "tune": {"num_samples": 2}},
    ]
    whole = sweep(tmp_path / "undisturbed", {"queue": members}, *TWO)
    directory = tmp_path / "own" / "sweep"
    directory.parent.mkdir()
    with ended(start_sweep(directory, {"queue": members}, *TWO)) as process:
        wait_for(lambda: any(len(read_points(each)) > 1 for each in trial_directories(directory)[2:]), process, 300)
        kill(process, with_ray=True)
    before = moments(directory)
    resumed = resume_sweep(directory)
    assert resumed.code == 0, resumed.error
    names = trial_names(directory)
    assert names[:2] == ["first-00000-seed=0", "first-00001-seed=1"]
    assert [name.partition("=")[0] for name in names[2:]] == [f"second-{n:05}-agent.learning_rate" for n in range(2)]
    assert digests(directory) == digests(whole.directory)
    check_every_point_once(directory, dict.fromkeys(names, POINTS))
    assert {*names[:2]} <= before.keys()
    assert before == {name: moments(directory)[name] for name in before}
    record = read_directory(directory)
    assert [trial.member for trial in record.trials] == ["first", "first", "second", "second"]
    assert [list(trial.changes) for trial in record.trials] == [
        [],
        [],
        ["agent.learning_rate"],
        ["agent.learning_rate"],
    ]
    _, children = parent_and_children(directory)
    assert {name: run.data.tags["rlx2.member"] for name, run in children.items()} == {
        name: name.partition("-")[0] for name in names
    }


def test_trial_killed_goes_on_from_its_checkpoint(undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *TWO, "--json")) as process:
        wait_for(lambda: any(len(read_points(path)) >= 3 for path in trial_directories(directory)), process, 300)
        trials = actors_of(process, "ResourceTrainable") + actors_of(process, "SweepTrial")  # as Tune wraps it, or not
        trials[0].kill()
        output, error = process.communicate(timeout=400)
    check_as_undisturbed(Ended(directory, process.returncode, output, error), undisturbed)
    assert "goes on from its last checkpoint" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_with_130_and_a_sweep_that_resumes(
    number: signal.Signals, undisturbed: Ended, tmp_path: Path
) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *TWO)) as process:
        wait_for(lambda: is_in_the_middle(directory), process, 300)
        interrupt(process, number, directory)
    parent, children = parent_and_children(directory)
    assert parent.info.status == "KILLED"
    assert {run.info.status for run in children.values()} == {"FINISHED", "KILLED"}
    check_as_undisturbed(resume_sweep(directory), undisturbed)


# Searchers and schedulers


def learning_rates() -> Tree:
    return {"agent.learning_rate": {"loguniform": [1.0e-4, 2.0e-3]}}


def check_complete(ended_sweep: Ended, trials: int) -> None:
    assert ended_sweep.code == 0, ended_sweep.error
    assert "Traceback" not in ended_sweep.error
    assert len(ended_sweep.result["trials"]) == trials
    _, children = parent_and_children(ended_sweep.directory)
    assert sorted(children) == trial_names(ended_sweep.directory)
    for path in trial_directories(ended_sweep.directory):
        steps = [point["env_steps"] for point in read_points(path)]
        tracked = history(ended_sweep.directory, children[path.name], "evaluation/return_mean")
        assert [step for step, _ in tracked] == steps == list(range(100, steps[-1] + 1, 100))


def test_asha_stops_trials_early(tmp_path: Path) -> None:
    scheduler = {"name": "asha", "grace_period": 200, "reduction_factor": 2}
    space = {"seed": {"grid": [2, 4, 3, 1]}}  # the best first, so that it sets the standard
    done = sweep(tmp_path / "sweep", sweep_tree(space, {"scheduler": scheduler}, steps=STEPS), "--concurrent", "1")
    check_complete(done, 4)
    stopped = read_record(done.directory).get("stopped", [])
    assert 1 <= len(stopped) < 4
    assert sorted(stopped + [path.name for path in finished_trials(done.directory)]) == trial_names(done.directory)
    states = {trial["name"]: trial["state"] for trial in done.result["trials"]}
    assert {name for name, state in states.items() if state == "stopped"} == {*stopped}
    assert {states[path.name] for path in finished_trials(done.directory)} == {"finished"}
    _, children = parent_and_children(done.directory)
    assert {children[name].info.status for name in stopped} == {"KILLED"}
    assert done.error.count("stopped early") == len(stopped)


def test_optuna(tmp_path: Path) -> None:
    space = {**learning_rates(), "sparsity.policy": {"uniform": [0.1, 0.6]}}
    done = sweep(tmp_path / "sweep", sweep_tree(space, {"num_samples": 4, "searcher": "optuna"}))
    check_complete(done, 4)
    assert {trial["state"] for trial in done.result["trials"]} == {"finished"}


def test_optuna_killed_in_the_middle_goes_on_with_the_same_trials(tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    tree = {**PACED, "param_space": learning_rates(), "tune": {"num_samples": 4, "searcher": "optuna"}}
    with ended(start_sweep(directory, tree, *TWO)) as process:
        wait_for(lambda: is_in_the_middle(directory), process, 300)
        time.sleep(2)  # Tune's state is at most that old
        kill(process)
    before, names = moments(directory), trial_names(directory)
    resumed = resume_sweep(directory)
    check_complete(resumed, 4)
    assert set(names) <= set(trial_names(directory))
    after = moments(directory)
    assert before == {name: after[name] for name in before}


def test_population_based_training(tmp_path: Path) -> None:
    mutations = {"agent.learning_rate": {"loguniform": [1.0e-4, 2.0e-3]}, "target.n_step": {"choice": [1, 2, 3]}}
    scheduler = {"name": "pbt", "perturbation_interval": 200, "hyperparam_mutations": mutations}
    tree = sweep_tree({}, {"seeds": 4, "scheduler": scheduler}, steps=800, seed=None)
    done = sweep(tmp_path / "sweep", tree)
    check_complete(done, 4)
    assert {trial["state"] for trial in done.result["trials"]} == {"finished"}
    assert [trial["seed"] for trial in done.result["trials"]] == [0, 1, 2, 3], "each keeps its own, whatever it copies"


def test_population_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    mutations = {"agent.learning_rate": {"loguniform": [1.0e-4, 2.0e-3]}, "target.n_step": {"choice": [1, 2, 3]}}
    scheduler = {"name": "pbt", "perturbation_interval": 200, "hyperparam_mutations": mutations}
    tree = {**PACED, "steps": 1000, "param_space": {}, "tune": {"seeds": 4, "scheduler": scheduler}}
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, tree, *TWO)) as process:
        wait_for(lambda: sum(len(read_points(path)) for path in trial_directories(directory)) >= 18, process, 300)
        kill(process, with_ray=True)
    before = {path.name: read_config(path) for path in trial_directories(directory)}
    resumed = resume_sweep(directory)
    check_complete(resumed, 4)
    assert {trial["state"] for trial in resumed.result["trials"]} == {"finished"}
    assert [trial["seed"] for trial in resumed.result["trials"]] == [0, 1, 2, 3]
    kept = [name for name, rate in before.items() if read_config(directory / "trials" / name) == rate]
    assert kept, "whoever copied nothing since has the values that it had"


def read_config(path: Path) -> Tree:
    tree: Tree = yaml.safe_load((path / "config.yaml").read_text())
    return {"agent": tree["agent"]["learning_rate"], "target": tree["target"]["n_step"]}


# Many at once


def test_trials_on_actors(tmp_path: Path) -> None:
    done = sweep(tmp_path / "sweep", sweep_tree({"seed": {"grid": [0, 1]}}), "--runtime", "actors")
    check_complete(done, 2)
    assert {read_result(path)["runtime"] for path in finished_trials(done.directory)} == {"actors"}


def test_two_sweeps_at_once_on_one_store(tmp_path: Path) -> None:
    directories = [tmp_path / "one", tmp_path / "two"]
    processes = [start_sweep(directory, sweep_tree(), "--json") for directory in directories]
    for process in processes:
        with ended(process):
            _, error = process.communicate(timeout=400)
            assert process.returncode == 0, error
            assert "MLflow" not in error
    runs = tracked_runs(directories[0])
    assert len(runs) == 10
    for directory in directories:
        parent = read_result(directory)["mlflow_run_id"]
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
        assert sorted(run.data.tags["rlx2.trial"] for run in children) == NAMES
        assert {run.info.status for run in children} == {"FINISHED"}
        assert trial_names(directory) == NAMES
    assert digests(directories[0]) == digests(directories[1])


def test_sweep_against_a_server(server: Server, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    server.start()
    done = sweep(tmp_path / "sweep", sweep_tree(), uri=server.uri)
    assert done.code == 0, done.error
    assert "MLflow" not in done.error
    client = MlflowClient(server.uri)
    parent = client.get_run(done.result["mlflow_run_id"])
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert sorted(run.data.tags["rlx2.trial"] for run in children) == NAMES
    for run in children:
        points = client.get_metric_history(run.info.run_id, "evaluation/return_mean")
        assert sorted(point.step for point in points) == [100, 200, 300]
    assert sorted(each.path for each in client.list_artifacts(parent.info.run_id)) == [
        "figures",
        "record.json",
        "report.html",
        "sweep.yaml",
    ]


def test_eight_trials_at_a_time_on_one_database(tmp_path: Path) -> None:
    tree = sweep_tree({"seed": {"grid": list(range(8))}}, steps=STEPS, evaluation__interval=20)
    done = sweep(tmp_path / "sweep", tree, "--concurrent", "8")
    assert done.code == 0, done.error
    assert {trial["state"] for trial in done.result["trials"]} == {"finished"}
    said = done.error + logs(done.directory)
    assert "8 at a time" in said
    for word in ("locked", "MLflow", "Traceback"):
        assert word not in said
    check_every_point_once(
        done.directory, {name: list(range(20, STEPS + 1, 20)) for name in trial_names(done.directory)}
    )


# Budgets


@pytest.mark.parametrize(
    ("budget", "words"),
    [({"env_steps": 900}, "the budget of 900 env steps"), ({"hours": 0.0015}, "the budget of 0.0015 hours")],
    ids=["env_steps", "hours"],
)
def test_budget_ends_a_sweep_with_a_message(budget: Tree, words: str, tmp_path: Path) -> None:
    tree = {**PACED, "tune": {"budget": budget}}
    done = sweep(tmp_path / "sweep", tree, *TWO)
    assert done.code == 0, done.error
    finished = len(finished_trials(done.directory))
    assert finished < 4
    (message,) = read_record(done.directory)["messages"]
    assert message == f"Ended by {words}, after {finished} of 4 trials."
    assert message in done.error
    assert message in (done.directory / "report.html").read_text()
    assert read_record(done.directory)["state"] == "finished"
    _, children = parent_and_children(done.directory)
    assert {run.info.status for run in children.values()} <= {"FINISHED", "KILLED"}
    if "env_steps" in budget:
        assert 900 <= done.result["env_steps"] <= 900 + 2 * 100
