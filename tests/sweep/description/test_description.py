"""Files of sweeps and compressions: defaults, what follows from other values, and what is said of mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import merge
from rlx2_ray.sweep.description.files import compress_tree, parse_compress, parse_sweep, sweep_tree
from rlx2_ray.sweep.description.reported import AT_EVALUATIONS, AT_THE_END, OF_SAC, REPORTED
from rlx2_ray.sweep.description.space import Parameter, varied_keys
from rlx2_ray.sweep.description.tune_section import MUTABLE, AshaScheduler, NoScheduler, PbtScheduler
from rlx2_ray.types import BadInput
from tests.support import runs

SPACE = {"param_space": {"sparsity.policy": {"grid": [0.9, 0.95]}}}
RANDOM = {"param_space": {"sparsity.policy": {"uniform": [0.9, 0.95]}}}
MUTATIONS = {"agent.tau": {"uniform": [0.001, 0.1]}}
PBT = {"tune": {"num_samples": 4, "scheduler": {"name": "pbt", "hyperparam_mutations": MUTATIONS}}}


def tuned(section: object, **more: Any) -> dict[str, Any]:
    return {**SPACE, "tune": section, **more}


def test_defaults_of_a_sweep() -> None:
    description = parse_sweep({"steps": "1e6", **SPACE})
    tune = description.tune
    assert description.config == {"steps": "1e6"}
    assert description.space == description.varied == (Parameter(("sparsity.policy",), "grid", (0.9, 0.95)),)
    assert (description.trials, description.mutations) == (2, ())
    assert (tune.metric, tune.mode, tune.searcher.name) == ("score", "max", "random")
    assert (tune.scheduler, tune.max_concurrent, tune.max_failures) == (NoScheduler(), None, 2)
    assert tune.budget.model_dump() == {"hours": None, "env_steps": None, "runs": None}


def test_defaults_of_a_compression() -> None:
    section = parse_compress({}).compress
    assert (section.axis, section.critic_density_ratio, section.statistic) == ("tied", 2, "iqm")
    assert (section.levels, section.min_sparsity, section.max_sparsity) == (None, 0.5, 0.995)
    assert (section.threshold, section.accept, section.reject) == (0.97, 0.9, 0.1)
    assert (section.dense_seeds, section.max_seeds, section.futility, section.futility_from) == (8, 12, 0.5, 0.6)


def test_seeds_are_one_more_grid() -> None:
    description = parse_sweep(tuned({"seeds": 3, "num_samples": 2}))
    assert description.space[-1] == Parameter(("seed",), "grid", (0, 1, 2))
    assert description.param_space == description.space[:-1]
    assert description.trials == 12
    assert parse_sweep({"tune": {"seeds": 3}}).trials == 3


@pytest.mark.parametrize(
    ("steps", "interval", "tenth"),
    [(1_000_000, 5_000, 100_000), (30_000, 5_000, 5_000), (33_000, 2_000, 2_000)],
)
def test_times_of_schedulers_follow_from_the_steps(steps: int, interval: int, tenth: int) -> None:
    base = {"steps": steps, "evaluation": {"interval": interval}}
    asha = parse_sweep({**base, **tuned({"scheduler": "asha"})}).tune.scheduler
    pbt = parse_sweep({**base, **SPACE, **PBT}).tune.scheduler
    assert isinstance(asha, AshaScheduler)
    assert isinstance(pbt, PbtScheduler)
    assert asha.grace_period == pbt.perturbation_interval == tenth


def test_pbt_varies_what_it_mutates() -> None:
    mutations = merge(MUTATIONS, {"target.n_step": {"choice": [1, 3]}})
    scheduler = {"name": "pbt", "hyperparam_mutations": mutations}
    space = {"agent.tau": {"loguniform": [0.001, 0.01]}, "seed": {"grid": [0, 1]}}
    description = parse_sweep({"param_space": space, "tune": {"scheduler": scheduler}})
    assert varied_keys(description.varied) == ["seed", "agent.tau", "target.n_step"]
    assert [parameter.form for parameter in description.varied] == ["grid", "uniform", "choice"]
    assert parse_sweep(PBT).trials == 4


def test_every_mutable_key_is_one_of_the_configuration() -> None:
    for key in MUTABLE:
        scheduler = {"name": "pbt", "hyperparam_mutations": {key: {"choice": [1]}}}
        assert parse_sweep({"tune": {"num_samples": 2, "scheduler": scheduler}}).mutations[0].keys == (key,)


@pytest.mark.parametrize("metric", REPORTED)
def test_a_sweep_may_go_by_what_is_reported(metric: str) -> None:
    assert parse_sweep(tuned({"metric": metric, "mode": "min"}, algo="sac")).tune.metric == metric


def test_what_is_reported(tmp_path: Path) -> None:
    result = runs.train(tmp_path / "run", algo="sac", steps=200)
    points = (tmp_path / "run" / "progress.jsonl").read_text().splitlines()
    assert {*AT_EVALUATIONS, *OF_SAC} - json.loads(points[-1]).keys() == {"score"}  # which the trial adds
    assert set(AT_THE_END) <= result.keys()


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, "param_space is empty: say what varies, such as sparsity.policy: {grid: [0.9, 0.95]}."),
        ({"param_space": {}}, "param_space is empty: say what varies, such as sparsity.policy: {grid: [0.9, 0.95]}."),
        ({"param_spce": {}}, "There is no key param_spce: did you mean param_space?"),
        ({**SPACE, "stpes": 3}, "There is no key stpes: did you mean steps?"),
        ({**SPACE, "agent": {"tua": 3}}, "There is no key agent.tua: did you mean agent.tau?"),
        (
            {**SPACE, "compress": {}},
            "The file has compress, which belongs to 'rlx2 compress': use that command, or leave it out.",
        ),
        (
            {**SPACE, "sparsity": {"policy": 0.8}},
            "sparsity.policy has a value of its own and is varied as well: leave one of them out.",
        ),
        (tuned(3), "tune is 3: it should hold keys and values, such as tune.metric."),
        (tuned({"seedz": 3}), "There is no key tune.seedz: did you mean tune.seeds?"),
        (
            tuned({"budget": {"money": 3}}),
            "There is no key tune.budget.money: tune.budget has env_steps, hours, runs.",
        ),
        (tuned({"num_samples": 0}), "tune.num_samples is 0: it should be greater than 0."),
        (tuned({"budget": {"hours": 0}}), "tune.budget.hours is 0: it should be greater than 0."),
        (tuned({"mode": "most"}), "tune.mode is 'most': it should be 'max' or 'min'."),
        (
            {**tuned({"metric": "deployed"}), "evaluation": {"deployed_episodes": 0}},
            "tune.metric is 'deployed', but evaluation.deployed_episodes is 0, so that no trial reports it: raise it, "
            "such as to 30, or choose score.",
        ),
        (
            tuned({"metric": "deployed", "scheduler": "asha"}),
            "tune.metric is 'deployed', known only at a trial's end, but scheduler asha looks at it before: choose for "
            "example score.",
        ),
        (
            tuned({"metric": "scroe"}),
            "tune.metric is 'scroe', which no trial reports: choose for example score.",
        ),
        (
            tuned({"metric": "q_mean"}),
            "tune.metric is 'q_mean', which no trial reports: choose for example train/q_mean or return_mean.",
        ),
        (
            tuned({"metric": "xyzzy"}),
            "tune.metric is 'xyzzy', which no trial reports: choose for example score or return_mean.",
        ),
        (
            tuned({"metric": "size_ratio", "scheduler": "asha"}),
            "tune.metric is 'size_ratio', known only at a trial's end, but scheduler asha looks at it before: choose "
            "for example score.",
        ),
        (
            tuned({"metric": "train/entropy"}),
            "tune.metric is 'train/entropy', which only sac reports, not td3: choose for example score.",
        ),
        (tuned({"scheduler": "hyperband"}), "tune.scheduler is 'hyperband': choose one of none, asha, pbt."),
        (tuned({"scheduler": 3}), "tune.scheduler is 3: choose one of none, asha, pbt."),
        (
            tuned({"scheduler": {"name": "asha", "max_t": 3}}),
            "There is no key tune.scheduler.max_t: tune.scheduler has brackets, grace_period, name, reduction_factor.",
        ),
        (
            tuned({"scheduler": {"name": "none", "brackets": 3}}),
            "There is no key tune.scheduler.brackets: tune.scheduler has name.",
        ),
        (
            tuned({"scheduler": {"name": "asha", "grace_period": 200}}, steps=100),
            "tune.scheduler.grace_period is 200 but steps is 100, so asha would never act: lower it.",
        ),
        (
            tuned({"scheduler": {"name": "asha", "grace_period": 100}}, steps=100),
            "tune.scheduler.grace_period is 100 but steps is 100, so asha would never act: lower it.",
        ),
        (
            tuned({"scheduler": "asha"}, steps=1000),
            "evaluation.interval is 5000 but steps is 1000, so asha would never act: lower it.",
        ),
        (
            {**tuned({"scheduler": {"name": "pbt", "perturbation_interval": 1000}}, steps=3000)}
            | {"evaluation": {"interval": 1000, "early_interval": 4000}},
            "evaluation.early_interval is 4000 but steps is 3000, so pbt would never act: lower it.",
        ),
        (
            tuned({"num_samples": "1e6"}, steps=100),
            "The sweep would have 2,000,000 trials of 100 env steps, 200,000,000 in all, and one has 10,000 at most: "
            "lower tune.num_samples or tune.seeds, or leave values of grids out.",
        ),
        (
            tuned({"seeds": 10**12}, steps=100),
            "The sweep would have 2,000,000,000,000 trials of 100 env steps, 200,000,000,000,000 in all, and one has "
            "10,000 at most: lower tune.num_samples or tune.seeds, or leave values of grids out.",
        ),
        (
            {"param_space": {"steps": {"grid": [100_000, 200_000]}}, "tune": {"scheduler": "asha"}},
            "steps is in param_space, but scheduler asha compares trials of one length: fix it.",
        ),
        (
            tuned({"seeds": 2}, seed=3),
            "tune.seeds is 2 and seed is 3: leave one of them out.",
        ),
        (
            {"param_space": {"seed": {"grid": [1]}}, "tune": {"seeds": 2}},
            "tune.seeds is 2 and seed is in param_space too: leave one of them out.",
        ),
        (
            tuned({"searcher": "optuna"}),
            "sparsity.policy has grid, which searcher optuna cannot take: write choice.",
        ),
        (
            {**RANDOM, "tune": {"searcher": "optuna", "seeds": 2}},
            "tune.seeds is 2, a grid, which searcher optuna cannot take: leave it out.",
        ),
        (
            {**RANDOM, "tune": {**PBT["tune"], "searcher": "optuna"}},
            "tune.searcher is optuna, but pbt searches by itself: leave the searcher out.",
        ),
        (
            {"tune": {**PBT["tune"], "num_samples": 1}},
            "tune.num_samples is 1, but pbt needs trials that learn from each other: write 4 or more.",
        ),
        (
            {**PBT, "agent": {"tau": 0.1}},
            "agent.tau has a value of its own and is varied as well: leave one of them out.",
        ),
        (
            {**PBT, "param_space": {"agent.tau, seed": {"grid": [[0.1, 0]]}}},
            "agent.tau is set together with others in param_space, so pbt cannot change it: leave it out.",
        ),
    ],
)
def test_sweeps_that_cannot_be(tree: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        parse_sweep(tree)


@pytest.mark.parametrize(
    ("mutations", "sentence"),
    [
        ({}, "tune.scheduler.hyperparam_mutations is empty: name what pbt changes, such as agent.tau: .*"),
        (
            {"sparsity.policy": {"uniform": [0.5, 0.9]}},
            "sparsity.policy is in tune.scheduler.hyperparam_mutations, but cannot change in a run that goes on: "
            "choose from agent.discount, .*, topology.interval.",
        ),
        ({"network": {"hidden": {"choice": [[8]]}}}, "network.hidden is in .*, but cannot change in a run .*"),
        ({"algo": {"choice": ["sac"]}}, "algo is in .*, but cannot change in a run .*"),
        ({"env.id": {"choice": ["Ant-v5"]}}, "env.id is in .*, but cannot change in a run .*"),
        ({"agent.tau": {"grid": [0.1]}}, "agent.tau has grid in .*: write one key with choice, .*"),
        ({"agent.tau, agent.discount": {"choice": [[0.1, 0.9]]}}, "agent.tau, agent.discount has choice in .*"),
        ({"agent.tau": 0.1}, "agent.tau is 0.1 in tune.scheduler.hyperparam_mutations: give it a form, .*"),
        ({"agent.tau": {"choice": [0.1, 2]}}, "agent.tau is 2: it should be less than or equal to 1."),
    ],
)
def test_what_pbt_cannot_change(mutations: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}$"):
        parse_sweep({"tune": {"num_samples": 4, "scheduler": {"name": "pbt", "hyperparam_mutations": mutations}}})


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        (
            {"param_space": {}},
            "The file has param_space, which belongs to 'rlx2 sweep': use that command, or leave it out.",
        ),
        ({"tune": {}}, "The file has tune, which belongs to 'rlx2 sweep': use that command, or leave it out."),
        ({"compres": {}}, "There is no key compres: did you mean compress?"),
        (
            {"method": "dense"},
            "method is 'dense' with topology.rule dense, which leaves nothing to compress: choose a sparse one, such "
            "as rlx2; the dense arm is run by itself.",
        ),
        (
            {"topology": {"rule": "dense"}},
            "method is 'rlx2' with topology.rule dense, which leaves nothing to compress: choose a sparse one, such as "
            "rlx2; the dense arm is run by itself.",
        ),
        (
            {"method": "nm"},
            "method is 'nm', whose sparsity is fixed by sparsity.distribution groups: choose one whose sparsity can be "
            "searched, such as rlx2.",
        ),
        (
            {"method": "group"},
            "topology.hold is 0.8, with which a run may come to fewer zeros than a compression asks for: give "
            "topology.hold=0 (--set topology.hold=0, or with the method in compress.methods).",
        ),
        (
            {"sparsity": {"critic": 0.8}},
            "sparsity.critic is given, but is what a compression searches: leave it out.",
        ),
        ({"compress": {"axes": "tied"}}, "There is no key compress.axes: did you mean compress.axis?"),
        (
            {"compress": {"axis": "depth"}},
            "compress.axis is 'depth': it should be 'tied', 'policy', 'critic' or 'both'.",
        ),
        (
            {"compress": {"futility": False}},
            "compress.futility is False: true and false are no values of this key, write a number or a name.",
        ),
        (
            {"compress": {"dense_seeds": 1}},
            "compress.dense_seeds is 1: it should be greater than or equal to 2.",
        ),
        (
            {"compress": {"min_sparsity": 0}},
            "compress.min_sparsity is 0: it should be greater than 0.",
        ),
        (
            {"compress": {"min_sparsity": 0.9, "max_sparsity": 0.8}},
            "compress.min_sparsity is 0.9, not below compress.max_sparsity, 0.8: lower it.",
        ),
        (
            {"compress": {"accept": 0.1}},
            "compress.reject is 0.1, not below compress.accept, 0.1: lower it.",
        ),
        (
            {"compress": {"budget": {"runs": 8}}},
            "compress.budget.runs is 8, but the dense arm of 8 seeds and one sparse run take 9: raise it, or lower "
            "compress.dense_seeds.",
        ),
        (
            {"steps": 1000, "compress": {"dense_seeds": 3, "budget": {"env_steps": 3999}}},
            "compress.budget.env_steps is 3999, but the dense arm of 3 seeds and one sparse run take 4000: raise it, "
            "or lower compress.dense_seeds or steps.",
        ),
        (
            {"compress": {"score": "deployed"}, "evaluation": {"deployed_episodes": 0}},
            "compress.score is deployed, but evaluation.deployed_episodes is 0, so that no run has that score: raise "
            "it, such as to 30, or give compress.score final.",
        ),
        (
            {"compress": {"score": "best"}},
            "compress.score is 'best': it should be 'final' or 'deployed'.",
        ),
    ],
)
def test_compressions_that_cannot_be(tree: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        parse_compress(tree)


def test_a_compression_that_says_nothing_of_it_is_by_the_final_score() -> None:
    """As all that were begun before there were two."""
    assert parse_compress({}).compress.score == "final"
    assert parse_compress({"evaluation": {"deployed_episodes": 0}}).compress.score == "final"


def test_archive_of_a_compression_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_compress({"compress": {"archive": "runs"}}).compress.archive == str(tmp_path / "runs")


def test_a_budget_may_just_suffice() -> None:
    section = {"dense_seeds": 3, "budget": {"env_steps": 4000, "runs": 4}}
    assert parse_compress({"steps": 1000, "compress": section}).compress.budget.runs == 4


configs = st.fixed_dictionaries(
    {},
    optional={"steps": st.sampled_from([40_000, "1e5"]), "agent": st.just({"discount": 0.9}), "algo": st.just("sac")},
)
budgets = st.fixed_dictionaries({}, optional={"hours": st.floats(0.1, 9), "runs": st.integers(20, 99)})
schedulers = st.one_of(
    st.sampled_from(["none", "asha", {"name": "none"}]),
    st.builds(lambda period: {"name": "asha", "grace_period": period}, st.integers(1, 40_000)),
    st.just(PBT["tune"]["scheduler"]),
)
tunes = st.fixed_dictionaries(
    {"num_samples": st.integers(2, 9)},
    optional={"scheduler": schedulers, "seeds": st.integers(1, 3), "metric": st.just("return_mean"), "budget": budgets},
)


@given(configs, tunes)
def test_a_sweep_reads_back_to_itself(config: dict[str, Any], tune: dict[str, Any]) -> None:
    description = parse_sweep({**config, **SPACE, "tune": tune})
    assert parse_sweep(yaml.safe_load(yaml.safe_dump(sweep_tree(description)))) == description


@given(configs, st.fixed_dictionaries({}, optional={"axis": st.just("both"), "levels": st.just(9), "budget": budgets}))
def test_a_compression_reads_back_to_itself(config: dict[str, Any], section: dict[str, Any]) -> None:
    description = parse_compress({**config, "compress": section})
    assert parse_compress(yaml.safe_load(yaml.safe_dump(compress_tree(description)))) == description


def test_reading_a_file_loads_neither_ray_nor_scipy() -> None:
    heavy = "{'ray', 'torch', 'mlflow', 'scipy'}"
    code = f"import sys, rlx2_ray.sweep.description.files; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
