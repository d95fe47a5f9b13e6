"""The configuration: defaults, what wins over what, one identity, and what is said of mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.config import (
    ExperimentConfig,
    all_keys,
    load,
    merge,
    nest,
    parse_assignments,
    resolve,
    to_yaml,
    updates_due,
)
from rlx2_ray.config.resolution import ALGORITHMS
from rlx2_ray.methods import METHODS, NEEDS
from rlx2_ray.types import BadInput


def value_at(config: ExperimentConfig, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("algo", ["td3", "sac"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 3_000_000),
        ("network.hidden", (256, 256)),
        ("agent.batch_size", 256),
        ("agent.learning_rate", 3e-4),
        ("agent.discount", 0.99),
        ("agent.tau", 0.005),
        ("agent.warmup_steps", 25_000),
        ("agent.updates_per_env_step", 1),
        ("agent.exploration_noise", 0.1),
        ("agent.target_policy_noise", 0.2),
        ("agent.target_noise_clip", 0.5),
        ("agent.initial_temperature", 1),
        ("agent.exploration", "sample"),
        ("topology.rule", "rigl"),
        ("topology.interval", 10_000),
        ("topology.drop_fraction", 0.5),
        ("topology.end_update", 2_975_000),
        ("topology.initial_mask", "magnitude"),
        ("target.n_step", 3),
        ("target.n_step_start", 300_000),
        ("replay.capacity_rule", "dynamic"),
        ("replay.policy_distance_threshold", 0.2),
        ("replay.check_interval", 10_000),
        ("evaluation.interval", 5_000),
        ("evaluation.episodes", 10),
    ],
)
def test_constants_of_the_method(algo: str, key: str, value: object) -> None:
    assert value_at(resolve({"algo": algo}), key) == value


@pytest.mark.parametrize(
    ("algo", "rule", "delay", "minimum", "maximum"),
    [
        ("td3", "dynamic", 2, 100_000, 1_000_000),
        ("td3", "dynamic_paper", 2, 100_000, 1_000_000),
        ("td3", "fixed", 2, 100_000, 1_000_000),
        ("sac", "dynamic", 1, 200_000, 3_000_000),
        ("sac", "dynamic_paper", 1, 200_000, 3_000_000),
        ("sac", "fixed", 1, 100_000, 1_000_000),
    ],
)
def test_constants_of_the_algorithms(algo: str, rule: str, delay: int, minimum: int, maximum: int) -> None:
    config = resolve({"algo": algo, "replay": {"capacity_rule": rule}})
    assert config.agent.policy_delay == delay
    assert (config.replay.min_capacity, config.replay.max_capacity) == (minimum, maximum)
    assert config.replay.policy_distance_threshold == 0.2


@pytest.mark.parametrize(
    ("method", "rule", "mask", "n_step", "capacity", "is_sparse"),
    [
        ("dense", "dense", "magnitude", 1, "fixed", False),
        ("static", "static", "random", 1, "fixed", True),
        ("set", "set", "magnitude", 1, "fixed", True),
        ("rigl", "rigl", "magnitude", 1, "fixed", True),
        ("rlx2", "rigl", "magnitude", 3, "dynamic", True),
        ("tiny", "dense", "magnitude", 1, "fixed", True),
        ("rigl_qstar", "rigl", "magnitude", 1, "fixed", True),
        ("ticket", "static", "random", 1, "fixed", True),
        ("prune", "prune", "magnitude", 1, "fixed", True),
        ("structured", "structured", "magnitude", 1, "fixed", True),
        ("group", "prune", "magnitude", 1, "fixed", True),
        ("nm", "groups", "magnitude", 1, "fixed", True),
        ("ds", "set", "random", 1, "fixed", False),  # its sparsity follows from the layers
    ],
)
def test_methods(method: str, rule: str, mask: str, n_step: int, capacity: str, is_sparse: bool) -> None:
    config = resolve(merge({"method": method}, nest(NEEDS[method][0], "runs/x") if method in NEEDS else {}))
    assert (config.topology.rule, config.topology.initial_mask) == (rule, mask)
    assert (config.target.n_step, config.replay.capacity_rule) == (n_step, capacity)
    assert (config.sparsity.policy > 0) is (config.sparsity.critic > 0) is is_sparse


def test_what_makes_ds_ds() -> None:
    # Sokar et al. 2022 (arXiv 2106.04217), table 4 and section 4
    config = resolve({"method": "ds"})
    agent, topology = config.agent, config.topology
    assert config.steps == 1_000_000
    assert (agent.batch_size, agent.learning_rate, agent.weight_decay) == (100, 1e-3, 2e-4)
    assert (topology.interval, topology.clock, topology.drop_fraction, topology.drop_schedule) == (
        *(1000, "learner", 0.05),
        "constant",
    )
    assert (topology.drop, topology.target_mask) == ("signed", "own")
    assert (config.sparsity.distribution, config.sparsity.epsilon) == ("epsilon", (7, 64))
    assert config.planned_updates - topology.end_update == pytest.approx(50_000, rel=0.03)


def test_pruning_goes_from_a_fifth_to_four_fifths_of_the_run() -> None:
    topology = resolve({"method": "prune", "steps": 1100, "agent": {"warmup_steps": 100}}).topology
    assert (topology.start_update, topology.end_update) == (200, 800)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"method": "ticket"}, r"method ticket needs topology\.ticket, a finished run whose .*: give its directory"),
        ({"method": "rigl_qstar"}, r"method rigl_qstar needs target\.expert, a finished run whose .*: give .*"),
        ({"topology": {"ticket": "runs/x"}}, r"topology\.ticket is given but topology\.rule is rigl: .*"),
        ({"sparsity": {"distribution": "narrow"}}, r"topology\.rule is rigl but sparsity\.distribution narrow .*"),
        ({"sparsity": {"distribution": "groups"}}, r"topology\.rule is rigl but sparsity\.distribution is groups: .*"),
        ({"method": "nm", "topology": {"group": [4, 2]}}, r"topology\.group is \[4, 2\], more weights than inputs: .*"),
        ({"method": "nm", "topology": {"group": [2]}}, r"topology\.group\.1 is \[2\]: .*"),
        ({"method": "nm", "sparsity": {"policy": 0.9}}, r"sparsity\.policy is 0\.9 but topology\.group \[2, 4\] .*"),
        ({"method": "ds", "sparsity": {"critic": 0.9}}, r"sparsity\.critic is 0\.9 but method ds has it from .*"),
        ({"method": "ds", "network": {"hidden": [8]}}, r"sparsity\.epsilon is \[7\.0, 64\.0\] but network\.hidden .*"),
        ({"topology": {"start_update": 9, "end_update": 8}}, r"topology\.start_update is 9, after .*"),
    ],
)
def test_keys_of_methods_that_do_not_go_together(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput) as info:
        resolve(given)
    assert_sentence(str(info.value), problem)


@pytest.mark.parametrize(
    ("steps", "given_warmup", "warmup", "updates", "start"),
    [
        (3_000_000, None, 25_000, 2_975_000, 300_000),
        (250_000, None, 25_000, 225_000, 25_000),
        (100_000, None, 10_000, 90_000, 10_000),
        (5, None, 1, 4, 0),
        (100_000, 4_000, 4_000, 96_000, 10_000),
    ],
)
def test_values_that_follow_from_the_steps(
    steps: int, given_warmup: int | None, warmup: int, updates: int, start: int
) -> None:
    config = resolve({"steps": steps, "agent": {"warmup_steps": given_warmup} if given_warmup else {}})
    assert config.agent.warmup_steps == warmup
    assert config.topology.end_update == config.planned_updates == updates
    assert config.target.n_step_start == start


@pytest.mark.parametrize(
    ("given", "engine"),
    [
        ({}, "sparse"),
        ({"device": "cpu"}, "sparse"),
        ({"device": "cuda"}, "torch"),
        ({"device": "cuda:1"}, "torch"),
        ({"engine": "torch"}, "torch"),
        ({"engine": "torch", "device": "cuda"}, "torch"),
        ({"method": "dense"}, "sparse"),
    ],
)
def test_the_engine_follows_from_the_device(given: dict[str, Any], engine: str) -> None:
    assert resolve(given).engine == engine


def test_a_small_buffer_lowers_its_minimum() -> None:
    replay = resolve({"replay": {"max_capacity": 5000}}).replay
    assert (replay.min_capacity, replay.max_capacity) == (5000, 5000)


@pytest.mark.parametrize(
    ("env_steps", "warmup", "ratio", "updates"),
    [(10, 20, 1.0, 0), (20, 20, 1.0, 0), (21, 20, 1.0, 1), (30, 20, 0.25, 2), (30, 20, 2.0, 20)],
)
def test_updates_due(env_steps: int, warmup: int, ratio: float, updates: int) -> None:
    assert updates_due(env_steps, warmup, ratio) == updates


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_saved_configuration_reads_back_to_itself(tmp_path: Path, algo: str, method: str) -> None:
    given = {"algo": algo, "method": method, "env": {"kwargs": {"frame_skip": 4}}, "agent": {"tau": 1e-7}}
    config = resolve(merge(given, nest(NEEDS[method][0], "runs/x") if method in NEEDS else {}))
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    again = resolve(load(tmp_path / "config.yaml"))
    assert again == config
    assert again.hash == config.hash


OTHER_VALUES = {
    "env.id": "Ant-v5",
    "env.kwargs": {"frame_skip": 4},
    "algo": "sac",
    "method": "rigl",
    "steps": 2_000_000,
    "seed": 1,
    "engine": "torch",
    "device": "cuda",
    "sparsity.policy": 0.91,
    "sparsity.critic": 0.81,
    "sparsity.fan_in": "constant",
    "network.hidden": (256, 255),
    "network.critic_norm": "layer",
    "network.rescaled": "policy",
    "agent.discount": 0.98,
    "agent.exploration": "mean",
    "agent.beta_1": 0.8,
    "agent.beta_2": 0.9,
    "agent.grown_steps": "own",
    "topology.initial_mask": "random",
    "topology.growth_batches": 2,
    "target.n_step": 4,
    "target.mean": 0.5,
    "target.samples": 2,
    "target.beta": 0.1,
    "replay.capacity_rule": "dynamic_paper",
    "replay.min_capacity": 99_999,
    "runtime.kind": "actors",
    "evaluation.episodes": 11,
    "checkpoint.keep": 3,
}


def test_the_hash_changes_with_any_value() -> None:
    hashes = {resolve(nest(key, value)).hash for key, value in OTHER_VALUES.items()} | {resolve({}).hash}
    assert len(hashes) == len(OTHER_VALUES) + 1
    assert all(len(text) == 16 and set(text) <= set("0123456789abcdef") for text in hashes)


def test_the_hash_does_not_depend_on_how_the_values_were_given() -> None:
    ways = [{"steps": 1_000_000, "seed": 3}, {"seed": "3", "steps": "1e6"}, {"seed": 3.0, "steps": 1e6, "agent": {}}]
    assert len({resolve(way).hash for way in ways}) == 1


def test_the_more_particular_wins() -> None:
    file: dict[str, Any] = {"seed": 1, "agent": {"tau": 0.1, "discount": 0.5}, "network": {"hidden": [1, 2]}}
    options: dict[str, Any] = {"seed": 2, "agent": {"tau": 0.2}}
    assignments = parse_assignments(["agent.tau=0.3", "network.hidden=[7]"])
    merged = merge(merge(file, options), assignments)
    assert merged == {"seed": 2, "agent": {"tau": 0.3, "discount": 0.5}, "network": {"hidden": [7]}}
    assert file["agent"] == {"tau": 0.1, "discount": 0.5}  # nothing was changed in place


def test_the_user_wins_over_method_and_algorithm() -> None:
    config = resolve({"method": "rlx2", "target": {"n_step": 5}, "agent": {"policy_delay": 4}})
    assert (config.target.n_step, config.agent.policy_delay) == (5, 4)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("steps=1e6", {"steps": 1_000_000.0}),
        ("agent.tau=0.3", {"agent": {"tau": 0.3}}),
        ("network.hidden=[64, 64]", {"network": {"hidden": [64, 64]}}),
        ("env.kwargs.a=x=y", {"env": {"kwargs": {"a": "x=y"}}}),
        ("device=", {"device": None}),
    ],
)
def test_assignments(text: str, tree: dict[str, Any]) -> None:
    assert parse_assignments([text]) == tree


@pytest.mark.parametrize("text", ["steps", "=1", ".steps=1", "agent.=1", "agent..tau=1", "steps=[1"])
def test_malformed_assignments_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^--set .*\.$"):
        parse_assignments([text])


@pytest.mark.parametrize("value", [1_000_000, 1e6, "1e6", "1000000"])
def test_counts_may_be_written_with_an_exponent(value: object) -> None:
    steps = resolve({"steps": value}).steps
    assert (steps, type(steps)) == (1_000_000, int)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("agent.discuont", 0.9, r"There is no key agent\.discuont: did you mean agent\.discount\?"),
        ("lr", 0.9, r"There is no key lr: see config\.yaml of any run for all keys"),
        (
            "sparsity.value",
            0.9,
            r"There is no key sparsity\.value: sparsity has block, critic, distribution, epsilon, fan_in, policy",
        ),
        ("sparsity.polcy", 0.9, r"There is no key sparsity\.polcy: did you mean sparsity\.policy\?"),
        ("agent.discount", "much", r"agent\.discount is 'much': it should be a valid number.*"),
        ("agent.discount", float("nan"), r"agent\.discount is nan: .*"),
        ("agent.learning_rate", float("inf"), r"agent\.learning_rate is inf: .*"),
        ("agent.updates_per_env_step", float("nan"), r"agent\.updates_per_env_step is nan: .*"),
        ("agent.updates_per_env_step", -1.0, r"agent\.updates_per_env_step is -1\.0: .*"),
        ("agent", 3, "agent is 3: .*"),
        ("sparsity.policy", 1.0, r"sparsity\.policy is 1\.0: it should be less than 1"),
        ("sparsity.critic", -0.1, r"sparsity\.critic is -0\.1: it should be greater than or equal to 0"),
        ("steps", 0, "steps is 0: it should be greater than 0"),
        ("steps", -5, "steps is -5: it should be greater than 0"),
        ("steps", 1.5, r"steps is 1\.5: must be a whole number"),
        ("steps", "many", "steps is 'many': must be a whole number"),
        ("steps", "1e999", "steps is '1e999': must be a whole number"),
        ("steps", True, "steps is True: true and false are no values of this key, write a number or a name"),
        ("seed", False, "seed is False: true and false are no values of this key, write a number or a name"),
        ("steps", None, "steps is None: .*"),
        ("seed", -1, "seed is -1: .*"),
        ("algo", "ppo", "algo is 'ppo': choose one of td3, sac"),
        ("method", None, "method is None: choose one of dense, .*"),
        ("engine", "steam", "engine is 'steam': it should be 'sparse', 'torch' or 'population'"),
        ("engine", None, "engine is None: it should be 'sparse', 'torch' or 'population'"),
        ("method", ["rlx2"], r"method is \['rlx2'\]: choose one of dense, .*"),
        ("network.hidden", [], r"network\.hidden is \[\]: .*"),
        ("network.hidden", [64, 0], r"network\.hidden\.1 is 0: .*"),
        ("env.id", "", r"env\.id is '': it should have at least 1 character"),
        ("env.id", "x" * 10**6, r"env\.id is 'x{59}\.\.\.x{36}': it should have at most 200 characters"),
        ("network.hidden", [10**12], r"network\.hidden\.0 is 1000000000000: it should be less than .* 16384"),
        ("network.hidden", [8] * 17, r"network\.hidden is \[8, .*: it should have at most 16 items.*"),
        ("network.hidden", [16_384, 8_192], "network.hidden makes 134,217,728 numbers, and there is memory for .*"),
        ("agent.batch_size", 10**12, r"agent\.batch_size is 1000000000000: it should be less than .* 100000"),
        ("target.n_step", 10**9, r"target\.n_step is 1000000000: it should be less than .* 1000"),
        ("runtime.envs_per_rollout", 10**9, r"runtime\.envs_per_rollout is 1000000000: .* 1024"),
        ("runtime.rollout_actors", 10**9, r"runtime\.rollout_actors is 1000000000: .* 1024"),
        ("evaluation.episodes", "1e12", r"evaluation\.episodes is '1e12': it should be less than .* 10000"),
        ("evaluation.deployed_episodes", 10**12, r"evaluation\.deployed_episodes is 1000000000000: .* 10000"),
        ("topology.drop_fraction", 1.1, r"topology\.drop_fraction is 1\.1: .*"),
        ("agent.warmup_steps", 3_000_000, r"agent\.warmup_steps is 3000000 but steps is 3000000, .*"),
        ("replay.capacity_rule", "static", r"replay\.capacity_rule is 'static': it should be 'fixed', 'dynamic' or .*"),
        ("replay.min_capacity", 2_000_000, r"replay\.min_capacity is 2000000, above replay\.max_capacity, .*"),
    ],
)
def test_mistakes_are_named_by_key_and_value_in_one_sentence(key: str, value: object, problem: str) -> None:
    with pytest.raises(BadInput) as info:
        resolve(nest(key, value))
    assert_sentence(str(info.value), problem)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"agent": {"batch_size": 100_000}, "network": {"hidden": [1_000, 1]}},
            r"agent\.batch_size x network\.hidden makes 100,100,000 numbers, .* 100,000,000: lower it",
        ),
        (
            {"agent": {"batch_size": 100_000}, "network": {"hidden": [999]}, "target": {"n_step": 1_000}},
            None,  # each is 100 million at most
        ),
    ],
)
def test_values_that_need_memory_together_have_a_bound(given: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        assert resolve(given).agent.batch_size == 100_000
        return
    with pytest.raises(BadInput) as info:
        resolve(given)
    assert_sentence(str(info.value), problem)


def assert_sentence(text: str, problem: str) -> None:
    assert re.fullmatch(rf"{problem}\.?", text), text
    assert text.endswith((".", "?"))
    assert "\n" not in text


@pytest.mark.parametrize("model", ["policy", "critic"])
def test_a_dense_method_has_no_sparsity(model: str) -> None:
    with pytest.raises(BadInput, match=rf"^sparsity\.{model} is 0\.5 but method dense has topology\.rule dense: .*\.$"):
        resolve({"method": "dense", "sparsity": {model: 0.5}})


def test_more_shards_than_environments_are_refused() -> None:
    runtime = {"kind": "actors", "rollout_actors": 2, "envs_per_rollout": 2, "replay_shards": 5}
    with pytest.raises(BadInput, match=r"^runtime\.replay_shards is 5 but there are 4 environments, .*\.$"):
        resolve({"runtime": runtime})
    assert resolve({"runtime": {**runtime, "replay_shards": 4}})


def test_an_unknown_key_explains_what_follows_from_it() -> None:
    with pytest.raises(BadInput, match=r"^There is no key stpes: did you mean steps\?$"):
        resolve({"stpes": 5, "agent": {"discount": 7}})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "^There is no configuration file .*: check the path.$"),
        (b"a: [1", r"config\.yaml is not valid YAML near line \d+: correct the file\.$"),
        (b"just words", r"config\.yaml holds 'just words', not keys and values: .*\.$"),
        (b"- 1\n- 2", r"config\.yaml holds \[1, 2\], not keys and values: .*\.$"),
        (b"a: \xff\xfe", r"^The configuration file .* cannot be read .*\.$"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=problem):
        load(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("# nothing\n")
    assert resolve(load(tmp_path / "config.yaml")) == resolve({})


def test_every_key_is_one_of_a_resolved_configuration() -> None:
    config = resolve({})
    keys = all_keys(ExperimentConfig)
    assert len(keys) == len(set(keys))
    assert {key.partition(".")[0] for key in keys} == set(ExperimentConfig.model_fields)
    for key in keys:
        value_at(config, key)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolve({}).agent.tau = 1.0


def test_a_list_of_plugins_that_are_none_is_one_sentence() -> None:
    with pytest.raises(BadInput) as info:
        resolve({"plugins": [None]})
    assert_sentence(str(info.value), "plugins.0 is None: it should hold keys and values")
