"""The files of `tune_configs/`: each is read by its command, and says in its head how many trials it makes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from rlx2_ray.config import ExperimentConfig, load, resolve
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.sweep.description.queue import QueueDescription, gather, parse_queue
from rlx2_ray.sweep.planner import INDEX, make_planner

ROOT = Path(__file__).parents[3] / "tune_configs"
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.yaml"))}
TREES = {name: load(path) for name, path in FILES.items()}
SWEEPS = sorted(name for name, tree in TREES.items() if {"tune", "queue"} & tree.keys())
COMPRESSIONS = sorted(name for name, tree in TREES.items() if "compress" in tree)
RUNS = sorted(set(TREES) - set(SWEEPS) - set(COMPRESSIONS))
PAIRS = {  # zeros of policy and critics, TD3 and SAC: table 2 of RLx2
    "hopper": ("Hopper-v5", (0.98, 0.95), (0.98, 0.95)),
    "half_cheetah": ("HalfCheetah-v5", (0.9, 0.85), (0.9, 0.8)),
    "walker2d": ("Walker2d-v5", (0.97, 0.95), (0.9, 0.9)),
    "ant": ("Ant-v5", (0.96, 0.88), (0.9, 0.75)),
}
CAMPAIGN = "paper/campaign.yaml"


def head(name: str) -> str:
    """The comment that a file begins with, as one line."""
    lines = FILES[name].read_text().splitlines()
    return " ".join(line.removeprefix("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))


def queue(name: str) -> QueueDescription:
    return parse_queue(gather(FILES[name], {}))


def configs(name: str) -> list[ExperimentConfig]:
    """Of all trials, in their order."""
    planner = make_planner(queue(name))
    return [planner.plan({INDEX: index}, "").config for index in range(len(planner.samples))]


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(name: str) -> None:
    stated = re.search(r"(\d+) (trials|sets of values)", head(name))
    assert stated, "the head should say how many trials"
    assert queue(name).trials == int(stated[1])


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressions(name: str) -> None:
    description = parse_compress(TREES[name])
    assert f"{description.compress.dense_seeds} dense runs" in head(name)


@pytest.mark.parametrize("name", RUNS)
def test_every_other_file_is_an_experiment(name: str) -> None:
    resolve(TREES[name])


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("paper/")])
def test_commands_in_heads_name_files_that_are_there(name: str) -> None:
    for command in re.findall(r"rlx2 (?:train|sweep) tune_configs/(\S+)", head(name)):
        assert command in FILES


@pytest.mark.parametrize("task", PAIRS)
def test_table_2_compares_the_methods_at_the_paper_s_pairs(task: str) -> None:
    env, td3, sac = PAIRS[task]
    of_all = configs(f"paper/table2_{task}.yaml")
    assert {(config.env.id, config.steps) for config in of_all} == {(env, 1_000_000)}
    assert {(config.evaluation.interval, config.evaluation.episodes) for config in of_all} == {(5_000, 10)}
    pairs = {(config.algo, config.method): (config.sparsity.policy, config.sparsity.critic) for config in of_all}
    sparse = ("tiny", "static", "set", "rigl", "rlx2")
    assert pairs == {
        **{("td3", method): td3 for method in sparse},
        **{("sac", method): sac for method in sparse},
        ("td3", "dense"): (0, 0),
        ("sac", "dense"): (0, 0),
    }


def test_components_are_taken_out_one_at_a_time() -> None:
    hopper = [config for config in configs("paper/table3_components.yaml") if config.env.id == "Hopper-v5"]
    arms = {
        (config.topology.rule, config.target.n_step, config.target.n_step_start, config.replay.capacity_rule): config
        for config in hopper
    }
    whole, *others = arms
    assert arms[whole] == resolve({"steps": 1_000_000, "seed": 7, "sparsity": {"policy": 0.98, "critic": 0.95}})
    differing = [[place for place in range(4) if other[place] != whole[place]] for other in others]
    assert differing == [[0], [0], [1, 2], [2], [3]]  # a 1-step target has no delay


def test_both_halves_of_table_3_are_at_the_pairs_of_table_2() -> None:
    for name in ("paper/table3_components.yaml", "paper/table3_n_step.yaml"):
        pairs = {(config.env.id, config.sparsity.policy, config.sparsity.critic) for config in configs(name)}
        assert pairs == {(env, *td3) for env, td3, _ in PAIRS.values()}


def test_campaign_has_the_runs_that_are_wanted_in_their_order() -> None:
    arms = [
        (config.env.id.removesuffix("-v5"), config.algo, config.method, config.sparsity.policy)
        for config in configs(CAMPAIGN)
    ]
    assert [(*arm, len(list(trials))) for arm, trials in itertools.groupby(arms)] == [
        ("InvertedPendulum", "td3", "static", 0.9, 5),
        ("InvertedPendulum", "td3", "rigl", 0.9, 5),
        ("InvertedPendulum", "td3", "rigl_qstar", 0.9, 5),
        ("InvertedPendulum", "td3", "dense", 0, 5),
        ("Hopper", "td3", "rlx2", 0.98, 8),
        ("Hopper", "td3", "rigl", 0.98, 3),
        ("Hopper", "td3", "set", 0.98, 3),
        ("Hopper", "td3", "static", 0.98, 3),
        ("Hopper", "td3", "tiny", 0.98, 3),
        ("Hopper", "td3", "dense", 0, 5),
        ("HalfCheetah", "td3", "rlx2", 0.9, 5),
        ("HalfCheetah", "td3", "dense", 0, 3),
        ("Walker2d", "td3", "rlx2", 0.97, 3),
        ("Ant", "td3", "rlx2", 0.96, 3),
        ("Walker2d", "td3", "dense", 0, 3),
        ("Ant", "td3", "dense", 0, 3),
        ("Hopper", "sac", "rlx2", 0.98, 3),
        ("Hopper", "sac", "dense", 0, 3),
        ("Hopper", "td3", "ds", 0, 3),
    ]


def test_every_trial_of_the_campaign_is_one_of_the_file_that_it_is_taken_from() -> None:
    """But for its seed: what is run here need not be run again for the whole table."""
    whole = {
        repr(config) for name in FILES if re.match("paper/(table2|ds|figure2.yaml)", name) for config in configs(name)
    }
    assert {repr(config) for config in configs(CAMPAIGN)} <= whole
