"""What the file of a queue says, and which trials it makes: worked by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import Tree
from rlx2_ray.sweep.description.queue import (
    QueueDescription,
    distinguishing_keys,
    gather,
    parse_queue,
    queue_tree,
)
from rlx2_ray.sweep.planner import INDEX, make_planner
from rlx2_ray.sweep.trials.job import Plan
from rlx2_ray.types import BadInput

HOPPER: Tree = {
    "env": {"id": "Hopper-v5"},
    "steps": 1000,
    "param_space": {
        "method, sparsity.policy": {"grid": [["dense", 0.0], ["rlx2", 0.9], ["set", 0.9]]},
        "agent.tau": {"grid": [0.01, 0.02]},
    },
    "tune": {"seeds": 2},
}
ANT: Tree = {"env": {"id": "Ant-v5"}, "param_space": {"agent.tau": {"loguniform": [0.001, 0.1]}}}
ASHA: Tree = {**ANT, "tune": {"scheduler": "asha"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, tree in {"hopper": HOPPER, "ant": ANT, "asha": ASHA, "nested": {"queue": ["ant.yaml"]}}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return tmp_path


def read(folder: Path, tree: Tree, **above: Any) -> QueueDescription:
    """The queue in a file in that folder, with options on top."""
    file = folder / "queue.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return parse_queue(gather(file, above))


def plans(queue: QueueDescription) -> list[Plan]:
    planner = make_planner(queue)
    return [planner.plan({INDEX: index}, "") for index in range(len(planner.samples))]


def test_trials_of_the_first_member_come_first(folder: Path) -> None:
    queue = read(folder, {"queue": ["hopper.yaml", "ant.yaml"], "tune": {"budget": {"hours": 2}, "max_concurrent": 3}})
    made = plans(queue)
    assert queue.trials == len(made) == 3 * 2 * 2 + 1
    assert [plan.member for plan in made] == ["hopper"] * 12 + ["ant"]
    assert [plan.config.env.id for plan in made] == ["Hopper-v5"] * 12 + ["Ant-v5"]
    assert made[0].name == "hopper-00000-method=dense-sparsity.policy=0-agent.tau=0.01-seed=0"
    assert made[1].name == "hopper-00001-method=dense-sparsity.policy=0-agent.tau=0.01-seed=1"
    assert made[11].name == "hopper-00011-method=set-sparsity.policy=0.9-agent.tau=0.02-seed=1"
    assert made[12].name.startswith("ant-00000-agent.tau=0.0")
    assert (queue.tune.max_concurrent, queue.tune.budget.hours) == (3, 2)


def test_member_has_seeds_and_values_of_its_own(folder: Path) -> None:
    entry = {"file": "hopper.yaml", "steps": 500, "network": {"hidden": [8]}, "tune": {"seeds": 3}}
    made = plans(read(folder, {"queue": [entry]}))
    assert len(made) == 3 * 2 * 3
    assert {(plan.config.steps, plan.config.network.hidden) for plan in made} == {(500, (8,))}
    assert [plan.config.seed for plan in made[:4]] == [0, 1, 2, 0]


def test_value_for_a_key_that_varies_selects(folder: Path) -> None:
    made = plans(read(folder, {"queue": [{"file": "hopper.yaml", "method": "rlx2", "agent": {"tau": 0.02}}]}))
    assert [plan.name for plan in made] == [
        f"hopper-{seed:05}-method=rlx2-sparsity.policy=0.9-agent.tau=0.02-seed={seed}" for seed in (0, 1)
    ]
    assert {plan.config.sparsity.policy for plan in made} == {0.9}


def test_members_of_one_file_are_counted_on(folder: Path) -> None:
    one, two = {"file": "hopper.yaml", "method": "rlx2"}, {"file": "hopper.yaml", "method": "dense"}
    names = [plan.name for plan in plans(read(folder, {"queue": [one, "ant.yaml", two]}))]
    assert [name[:12] for name in names if name.startswith("hopper")] == [f"hopper-{n:05}" for n in range(8)]
    assert len(set(names)) == 9


def test_member_may_be_written_in_the_queue_itself(folder: Path) -> None:
    (plan, *_) = plans(read(folder, {"queue": [{"name": "mine", **ANT}], "seed": 7}))
    assert (plan.name[:10], plan.member, plan.config.env.id, plan.config.seed) == ("mine-00000", "mine", "Ant-v5", 7)


def test_options_and_keys_beside_the_queue_are_for_all(folder: Path) -> None:
    tree = {"queue": ["ant.yaml", {"file": "hopper.yaml", "steps": 300}], "steps": 200}
    assert [plan.config.steps for plan in plans(read(folder, tree))] == [200] + [300] * 12
    above = {"agent": {"tau": "0.01"}, "tune": {"max_concurrent": "1"}}  # as text, as options are
    queue = read(folder, {"queue": ["hopper.yaml"]}, **above)
    assert {plan.config.agent.tau for plan in plans(queue)} == {0.01}
    assert (queue.trials, queue.tune.max_concurrent) == (6, 1)


def test_option_selects_of_a_plain_sweep_too(folder: Path) -> None:
    queue = parse_queue(gather(folder / "hopper.yaml", {"method": "set"}))
    assert plans(queue)[0].name == "00000-method=set-sparsity.policy=0.9-agent.tau=0.01-seed=0"
    assert (queue.trials, queue.members[0].name) == (4, "")


def test_budget_of_runs_ends_within_a_member(folder: Path) -> None:
    made = plans(read(folder, {"queue": ["ant.yaml", "hopper.yaml"], "tune": {"budget": {"runs": 4}}}))
    assert [plan.member for plan in made] == ["ant", "hopper", "hopper", "hopper"]


def test_a_queue_has_no_more_trials_than_a_sweep(folder: Path) -> None:
    members = [{"file": "ant.yaml", "tune": {"num_samples": 6_000}}] * 2
    with pytest.raises(BadInput, match=r"^The sweep would have 12,000 trials of .* lower tune\.num_samples"):
        read(folder, {"queue": members})


@given(st.lists(st.sampled_from(["hopper.yaml", "ant.yaml"]), min_size=1, max_size=4), st.integers(0, 9))
def test_stored_queue_has_the_same_trials_and_needs_no_file(
    tmp_path_factory: pytest.TempPathFactory, files: list[str], seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "queues"
    folder.mkdir(exist_ok=True)
    for name, tree in {"hopper": HOPPER, "ant": ANT}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    members = [{"file": file, "tune": {"searcher": {"seed": seed}}} for file in files]
    queue = read(folder, {"queue": members, "archive": "runs"})
    stored = parse_queue(yaml.safe_load(yaml.safe_dump(queue_tree(queue))))
    assert stored == queue
    assert plans(stored) == plans(queue)
    assert queue.archive == Path("runs").absolute()


def test_what_tells_the_trials_of_a_name_apart(folder: Path) -> None:
    short = {"file": "hopper.yaml", "steps": 500}
    queue = read(folder, {"queue": ["ant.yaml", "hopper.yaml", short]})
    assert distinguishing_keys(queue) == {
        "ant": ("agent.tau",),
        "hopper": ("method", "sparsity.policy", "agent.tau", "seed", "steps"),
    }


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"queue": []}, "queue is []: list files of sweeps, such as queue: [hopper.yaml, ant.yaml]."),
        ({"queue": "ant.yaml"}, "queue is 'ant.yaml': list files of sweeps, such as queue: [hopper.yaml, ant.yaml]."),
        ({"queue": [3]}, "queue has 3: give a file of a sweep, or a name and the sweep itself."),
        ({"queue": [ANT]}, f"queue has {ANT!r}: give a file of a sweep, or a name and the sweep itself."),
        ({"queue": ["absent.yaml"]}, "There is no configuration file FOLDER/absent.yaml: check the path."),
        (
            {"queue": ["ant.yaml", "nested.yaml"]},
            "nested in the queue: It is a queue itself, and a queue has sweeps only: list its files instead of it.",
        ),
        (
            {"queue": ["asha.yaml"]},
            "asha in the queue: tune.scheduler is asha, but the trials of a queue are planned beforehand: sweep it by "
            "itself.",
        ),
        (
            {"queue": [{"file": "ant.yaml", "tune": {"searcher": "optuna"}}]},
            "ant in the queue: tune.searcher is optuna, but the trials of a queue are planned beforehand: sweep it by "
            "itself.",
        ),
        (
            {"queue": [{"file": "ant.yaml", "tune": {"budget": {"hours": 2}}}]},
            "ant in the queue: It has a tune.budget of its own, but a queue has one for all: write it beside queue.",
        ),
        ({"queue": ["ant.yaml"], "stpes": 3}, "There is no key stpes: did you mean steps?"),
        (
            {"queue": [{"file": "ant.yaml", "stpes": 3}]},
            "ant in the queue: There is no key stpes: did you mean steps?",
        ),
        (
            {"queue": [{"file": "hopper.yaml", "method": "rigl"}]},
            "hopper in the queue: method is 'rigl', but varies in grid: ['dense', 'rlx2', 'set']: choose one of a "
            "list.",
        ),
        (
            {"queue": [{"file": "ant.yaml", "agent": {"tau": 0.01}}]},
            "ant in the queue: agent.tau is 0.01, but varies in loguniform: [0.001, 0.1]: choose one of a list.",
        ),
        (
            {"queue": ["ant.yaml"], "tune": {"seeds": 3}},
            "There is no key tune.seeds: tune has budget, max_concurrent, max_failures, metric, mode, processes.",
        ),
        (
            {"queue": ["ant.yaml"], "tune": {"metric": "train/entropy"}},
            "tune.metric is 'train/entropy', which only sac reports, not td3: choose for example score.",
        ),
        (
            {"queue": [{"file": "ant.yaml", "param_space": {}, "compress": {}}]},
            "ant in the queue: The file has compress, which belongs to 'rlx2 compress': use that command, or leave it "
            "out.",
        ),
        ({**ANT, "archive": 3}, "archive is 3: give the directory of an archive of runs."),
        (
            {**ASHA, "archive": "runs"},
            "tune.scheduler is asha, but an archive stands in for trials that are planned beforehand: leave one of "
            "them out.",
        ),
    ],
)
def test_queues_that_cannot_be(folder: Path, tree: Tree, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence.replace('FOLDER', str(folder)))}$"):
        read(folder, tree)
