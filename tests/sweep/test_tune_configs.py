"""The files of `tune_configs/`: each is read by its command, and says in its head how many trials it makes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from rlx2_ray.config import load, resolve
from rlx2_ray.sweep.description.files import parse_compress, parse_sweep
from rlx2_ray.sweep.description.space import config_of

FILES = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.yaml"))
TREES = {path.name: load(path) for path in FILES}
SWEEPS = sorted(name for name, tree in TREES.items() if "tune" in tree)
COMPRESSIONS = sorted(name for name, tree in TREES.items() if "compress" in tree)
PAIRS = {  # of policy and critic, TD3: table 2 of RLx2
    "hopper.yaml": ("Hopper-v5", 0.98, 0.95),
    "half_cheetah.yaml": ("HalfCheetah-v5", 0.9, 0.85),
    "walker2d.yaml": ("Walker2d-v5", 0.97, 0.95),
    "ant.yaml": ("Ant-v5", 0.96, 0.88),
}


def head(name: str) -> str:
    """The comment that a file begins with, as one line."""
    lines = next(path for path in FILES if path.name == name).read_text().splitlines()
    return " ".join(line.removeprefix("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines))


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(name: str) -> None:
    description = parse_sweep(TREES[name])
    stated = re.search(r"(\d+) (trials|sets of values)", head(name))
    assert stated, "the head should say how many trials"
    assert description.trials == int(stated[1])


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressions(name: str) -> None:
    description = parse_compress(TREES[name])
    assert f"{description.compress.dense_seeds} dense runs" in head(name)


def test_every_other_file_is_an_experiment() -> None:
    others = set(TREES) - set(SWEEPS) - set(COMPRESSIONS)
    assert others
    for name in others:
        resolve(TREES[name])


@pytest.mark.parametrize("name", PAIRS)
def test_families_compare_the_methods_at_the_paper_s_pairs(name: str) -> None:
    env, policy, critic = PAIRS[name]
    description = parse_sweep(TREES[name])
    methods = {}
    for values in description.param_space[0].arguments:
        config = resolve(config_of(description.config, dict(zip(description.param_space[0].keys, values, strict=True))))
        assert (config.env.id, config.algo, config.steps) == (env, "td3", 1_000_000)
        methods[config.method] = (config.sparsity.policy, config.sparsity.critic)
    sparse = dict.fromkeys(("static", "set", "rigl", "rlx2"), (policy, critic))
    assert methods == {"dense": (0, 0), **sparse}


def test_the_ablation_switches_off_one_part_at_a_time() -> None:
    description = parse_sweep(TREES["ablation.yaml"])
    (parameter,) = description.param_space
    whole, *others = [dict(zip(parameter.keys, values, strict=True)) for values in parameter.arguments]
    assert resolve(config_of(description.config, whole)) == resolve(description.config)
    assert [{key for key in whole if other[key] != whole[key]} for other in others] == [
        {"topology.rule"},
        {"target.n_step", "target.n_step_start"},
        {"target.n_step_start"},
        {"replay.capacity_rule"},
    ]
