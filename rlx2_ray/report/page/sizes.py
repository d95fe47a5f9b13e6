"""What the policies of a record take, which are what is deployed: weights, with biases, and bytes of their C."""

from __future__ import annotations

from rlx2_ray.report.analysis.arms import Arm, arms_of, is_dense, sparsities
from rlx2_ray.report.analysis.outcomes import plan_of
from rlx2_ray.report.page.tables import UNKNOWN, Table
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.result import C_BYTES
from rlx2_ray.sparse.plan import NetworkPlan

HEADINGS = (
    *("network", "policy: weights", "with biases", "bytes as C", "in int8"),
    *("critics: weights", "with biases"),
)
CAPTION = (
    "What the networks take: the weights that live, which sizes and ratios are of, and these with all biases. The "
    "policy is what is deployed; critics, both together, stay where the training was. Bytes are those of the "
    "tables that rlx2 export --format c makes of finished policies, from the smallest to the largest; units that do "
    "not matter are left out."
)


def size_table(record: Record) -> Table:
    """Has a row for all arms whose layers are alike, in the order of `arms_of`."""
    alike: dict[object, list[Arm]] = {}
    for arm in arms_of(record):
        config = arm.trials[0].config
        structure = (config.env.id, config.algo, plan_of(record, config), config.agent.normalize_observations)
        alike.setdefault((*structure, arm.policy_sparsity, arm.critic_sparsity), []).append(arm)
    return Table(HEADINGS, tuple(_row(record, arms) for arms in alike.values()))


def _row(record: Record, arms: list[Arm]) -> tuple[str, ...]:
    config = arms[0].trials[0].config
    plan = plan_of(record, config)
    policy, critics = map(_weights, plan or (None, None))
    return (_name(arms), *policy, *(_bytes(arms, name) for name in C_BYTES), *critics)


def _weights(network: NetworkPlan | None) -> tuple[str, str]:
    return (UNKNOWN, UNKNOWN) if network is None else (f"{network.active:,}", f"{_with_biases(network):,}")


def _bytes(arms: list[Arm], name: str) -> str:
    """Returns such as "7,041 to 7,464", of the runs that know theirs."""
    known = [trial.c_bytes[name] for arm in arms for trial in arm.trials if name in trial.c_bytes]
    return " to ".join(f"{each:,}" for each in sorted({min(known), max(known)})) if known else UNKNOWN


def _with_biases(network: NetworkPlan) -> int:
    return network.active + sum(outputs for outputs, _ in (layer.shape for layer in network.layers))


def _name(arms: list[Arm]) -> str:
    """Returns such as "set, rigl, rlx2 98 / 95 %"."""
    firsts = [arm.trials[0] for arm in arms]
    if all(map(is_dense, firsts)):
        return "dense"
    methods = ", ".join(dict.fromkeys(first.config.method for first in firsts))
    fan_in = ", fan_in constant" if firsts[0].config.sparsity.fan_in == "constant" else ""
    return f"{methods} {sparsities(firsts[0])}{fan_in}"
