"""What the policies of a record take, which are what is deployed: weights, and with biases."""

from __future__ import annotations

from rlx2_ray.report.analysis.arms import Arm, arms_of, is_dense, sparsities
from rlx2_ray.report.analysis.outcomes import plan_of
from rlx2_ray.report.page.tables import UNKNOWN, Table
from rlx2_ray.report.record.record import Record
from rlx2_ray.sparse.plan import NetworkPlan

HEADINGS = ("network", "policy: weights", "with biases", "critics: weights", "with biases")
CAPTION = (
    "What the networks take: the weights that live, which sizes and ratios are of, and these with all biases. The "
    "policy is what is deployed; critics, both together, stay where the training was."
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
    if plan is None:
        return (_name(arms), *[UNKNOWN] * (len(HEADINGS) - 1))
    numbers = [number for network in plan for number in (network.active, _with_biases(network))]
    return (_name(arms), *(f"{number:,}" for number in numbers))


def _with_biases(network: NetworkPlan) -> int:
    return network.active + sum(outputs for outputs, _ in (layer.shape for layer in network.layers))


def _name(arms: list[Arm]) -> str:
    """Returns such as "set, rigl, rlx2 98 / 95 %"."""
    firsts = [arm.trials[0] for arm in arms]
    if all(map(is_dense, firsts)):
        return "dense"
    methods = ", ".join(dict.fromkeys(first.config.method for first in firsts))
    return f"{methods} {sparsities(firsts[0])}"
