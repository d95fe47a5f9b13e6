"""The rules that need more than one key."""

from __future__ import annotations

import math
import operator

from rlx2_ray.config.schema import EvaluationConfig, ExperimentConfig
from rlx2_ray.config.trees import at
from rlx2_ray.methods import METHODS, NEEDS
from rlx2_ray.registry import installed
from rlx2_ray.topology_rules import TOPOLOGY_RULES, facts_of
from rlx2_ray.types import BadInput, shown

MOST_WEIGHTS = 2**26  # between hidden layers, as many as a policy's file may stand for: 268 MB
OF_UNITS = ("static", "set", "rigl")  # topology rules that can keep the number of weights of each unit
MOST_NUMBERS = 100_000_000  # of one array that an update keeps: 400 MB


def check_together(config: ExperimentConfig) -> None:
    """Raises BadInput where a configuration breaks a rule that needs more than one key."""
    _check_needs(config)
    _check_expert(config)
    _check_samples(config)
    _check_sparsity(config)
    _check_topology(config)
    _check_fan_in(config)
    _check_growth(config)
    _check_hold(config)
    _check_block(config)
    _check_evaluation(config.evaluation)
    _check_memory(config)
    replay, runtime = config.replay, config.runtime
    if config.agent.warmup_steps >= config.steps:
        raise BadInput(
            f"agent.warmup_steps is {config.agent.warmup_steps} but steps is {config.steps}, so nothing would be "
            "learned: lower agent.warmup_steps or raise steps."
        )
    if replay.min_capacity > replay.max_capacity:
        raise BadInput(
            f"replay.min_capacity is {replay.min_capacity}, above replay.max_capacity, {replay.max_capacity}: lower it."
        )
    lanes = runtime.rollout_actors * runtime.envs_per_rollout
    if runtime.kind == "actors" and runtime.replay_shards > lanes:
        raise BadInput(
            f"runtime.replay_shards is {runtime.replay_shards} but there are {lanes} environments, and each lives "
            "on one shard: lower it or raise runtime.rollout_actors."
        )


def check_names(config: ExperimentConfig) -> None:
    """Raises BadInput for a method or a rule that neither this package nor another has; plugins may have any."""
    if config.plugins:
        return
    for key, group, name, own in (
        ("method", "topology.rule", config.method, METHODS),
        ("topology.rule", "topology.rule", config.topology.rule, TOPOLOGY_RULES),
        ("target.rule", "target.rule", config.target.rule, ("delayed",)),
    ):
        if name not in own and name not in installed(group):
            raise BadInput(
                f"{key} is {shown(name)}: choose one of {', '.join(own)}, or give the file that registers it as "
                "--plugin FILE.py."
            )


def _check_memory(config: ExperimentConfig) -> None:
    hidden, batch, samples = config.network.hidden, config.agent.batch_size, config.target.samples
    weights = sum(map(operator.mul, hidden, hidden[1:]))
    for keys, count, most in (
        ("network.hidden", weights, MOST_WEIGHTS),
        ("agent.batch_size x network.hidden", batch * sum(hidden), MOST_NUMBERS),
        (
            "agent.batch_size x target.samples x network.hidden",
            batch * samples * sum(hidden),
            MOST_NUMBERS,
        ),
        ("agent.batch_size x target.n_step", batch * config.target.n_step, MOST_NUMBERS),
    ):
        if count > most:
            raise BadInput(f"{keys} makes {count:,} numbers, and there is memory for {most:,}: lower it.")


def _check_evaluation(evaluation: EvaluationConfig) -> None:
    if evaluation.early_interval % evaluation.interval:
        raise BadInput(
            f"evaluation.early_interval is {evaluation.early_interval}, no multiple of evaluation.interval, "
            f"{evaluation.interval}: give a multiple."
        )


def _check_needs(config: ExperimentConfig) -> None:
    key, meaning = NEEDS.get(config.method, (None, None))
    if key and at(config.model_dump(), key, None) is None:
        raise BadInput(f"method {config.method} needs {key}, {meaning}: give its directory.")


def _check_expert(config: ExperimentConfig) -> None:
    if config.target.expert is not None and config.agent.normalize_observations:
        raise BadInput(
            "agent.normalize_observations is true but target.expert is given, whose critics know other observations: "
            "leave one of them out."
        )


def _check_samples(config: ExperimentConfig) -> None:
    if config.target.samples > 1 and config.algo != "td3":
        raise BadInput(
            f"target.samples is {config.target.samples} but algo is {config.algo}, whose targets are those of a policy "
            "that draws its actions: leave it out, or choose td3."
        )


def _check_sparsity(config: ExperimentConfig) -> None:
    sparsity, topology, rule = config.sparsity, config.topology, facts_of(config.topology.rule)
    key = "sparsity.policy" if sparsity.policy else "sparsity.critic"
    value = sparsity.policy or sparsity.critic
    if sparsity.distribution == "narrow":
        if not rule.is_dense:
            raise BadInput(
                f"topology.rule is {topology.rule} but sparsity.distribution narrow makes dense layers of fewer units: "
                "leave one of them out."
            )
        return
    if rule.is_dense and value:
        raise BadInput(
            f"{key} is {value} but method {config.method} has topology.rule dense: "
            "choose another or leave the sparsity out."
        )
    if sparsity.distribution == "epsilon":
        if value:
            raise BadInput(f"{key} is {value} but method {config.method} has it from sparsity.epsilon: leave it out.")
        if len(sparsity.epsilon) != len(config.network.hidden):
            raise BadInput(
                f"sparsity.epsilon is {list(sparsity.epsilon)} but network.hidden has {len(config.network.hidden)} "
                "layers: give one number for each."
            )


def _check_topology(config: ExperimentConfig) -> None:
    topology, sparsity = config.topology, config.sparsity
    lives, inputs = topology.group
    if lives > inputs:
        raise BadInput(f"topology.group is {[lives, inputs]}, more weights than inputs: give [N, M] with N <= M.")
    if facts_of(topology.rule).in_groups != (sparsity.distribution == "groups"):
        raise BadInput(
            f"topology.rule is {topology.rule} but sparsity.distribution is {sparsity.distribution}: groups is for "
            "both or for none; method nm sets both."
        )
    if facts_of(topology.rule).of_units != (sparsity.distribution == "units"):
        raise BadInput(
            f"topology.rule is {topology.rule} but sparsity.distribution is {sparsity.distribution}: structured is for "
            "units, and units for structured; method structured sets both."
        )
    if sparsity.distribution == "groups":
        for name, value in (("policy", sparsity.policy), ("critic", sparsity.critic)):
            if not math.isclose(value, 1 - lives / inputs):
                raise BadInput(
                    f"sparsity.{name} is {value} but topology.group {[lives, inputs]} makes it {1 - lives / inputs:g}: "
                    "leave it out."
                )
    if topology.ticket is not None and topology.rule != "static":
        raise BadInput(f"topology.ticket is given but topology.rule is {topology.rule}: a ticket's rule is static.")
    if topology.start_update > topology.end_update:
        raise BadInput(
            f"topology.start_update is {topology.start_update}, after topology.end_update, {topology.end_update}: "
            "lower it."
        )


def _check_fan_in(config: ExperimentConfig) -> None:
    sparsity, topology = config.sparsity, config.topology
    if sparsity.fan_in == "free":
        return
    if topology.rule not in OF_UNITS or sparsity.distribution != "erdos_renyi" or topology.target_mask != "online":
        raise BadInput(
            f"sparsity.fan_in is {sparsity.fan_in} but method {config.method} has topology.rule {topology.rule}, "
            f"sparsity.distribution {sparsity.distribution} and topology.target_mask {topology.target_mask}, and only "
            f"{', '.join(OF_UNITS)} with erdos_renyi and online keep the number of a unit's weights: leave it out."
        )


def _check_hold(config: ExperimentConfig) -> None:
    topology = config.topology
    if topology.hold and not facts_of(topology.rule).prunes:
        raise BadInput(
            f"topology.hold is {topology.hold:g} but topology.rule is {topology.rule}, which does not prune by and by: "
            "leave it out, or choose method group, prune or structured."
        )


def _check_block(config: ExperimentConfig) -> None:
    block = config.sparsity.block
    if block == 1:
        return
    for key, value, needed in (
        ("topology.rule", config.topology.rule, "prune"),
        ("topology.target_mask", config.topology.target_mask, "online"),
        ("sparsity.distribution", config.sparsity.distribution, "erdos_renyi"),
        ("network.rescaled", config.network.rescaled, "none"),
        ("agent.grown_steps", config.agent.grown_steps, "shared"),
    ):
        if value != needed:
            raise BadInput(
                f"sparsity.block is {block} but {key} is {value}, and weights share values with {needed} alone: leave "
                "one of them out, or choose method group."
            )


def _check_growth(config: ExperimentConfig) -> None:
    topology, rescaled = config.topology, config.network.rescaled
    batches, rule = topology.growth_batches, topology.rule
    if batches > 1 and rule in TOPOLOGY_RULES and rule != "rigl":
        raise BadInput(
            f"topology.growth_batches is {batches} but topology.rule is {rule}, which does not grow by gradients: "
            "leave it out."
        )
    if config.network.critic_norm != "none" and facts_of(rule).of_units:
        raise BadInput(
            f"network.critic_norm is {config.network.critic_norm} but topology.rule is {rule}, whose removed units "
            "would still count in the norm of those that stay: leave it out."
        )
    if rescaled != "none" and facts_of(rule).in_groups:
        raise BadInput(
            f"network.rescaled is {rescaled} but topology.rule is {rule}, which compares weights that live with others "
            "that are not rescaled: leave it out."
        )
