"""What a run is about to do, said before it begins."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.parts import Origin
from rlx2_ray.runs.result import describe_costs, describe_identity
from rlx2_ray.runs.switches import names
from rlx2_ray.sparse.plan import NetworkPlan, plan_agent
from rlx2_ray.types import BadInput, Spaces

MOST_LOOKED_AT = 50  # runs in the same folder
ALIKE = ("policy_sparsity", "critic_sparsity")  # beside what identifies a run


def heading(config: ExperimentConfig, spaces: Spaces, directory: RunDirectory, origin: Origin) -> str:
    """Three lines: the task and the method, the networks, and where it goes and how long it may take.

    A fourth between the last two where switches are on.
    """
    plan = plan_agent(config, spaces.observation_size, spaces.action_size)
    costs = describe_costs(config, plan)
    sizes = f"{_count(spaces.observation_size, 'observation')}, {_count(spaces.action_size, 'action')}"
    smaller = f"{costs['compression']:.1f} times smaller than dense"
    lines = [
        f"{config.env.id} ({sizes}), {config.algo.upper()}, {config.method}, seed {config.seed}: {config.steps:,} env "
        f"steps, engine {config.engine}, runtime {config.runtime.kind}",
        f"Policy {_network(plan.policy)}, critics {_network(plan.critic)}: {smaller}",
        *([f"With {switches}"] if (switches := names(config)) else []),
        f"Into {directory.path}, tracked at {origin.tracking_uri}; {_duration(config, directory, costs)}",
    ]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _network(plan: NetworkPlan) -> str:
    values = f", {plan.values:,} values" if plan.values < plan.active else ""
    return f"{plan.active:,} weights ({1 - plan.density:.1%} zeros{values})"


def _duration(config: ExperimentConfig, directory: RunDirectory, costs: dict[str, float]) -> str:
    seconds = _seconds_a_step(directory.path, {**describe_identity(config), **{key: costs[key] for key in ALIKE}})
    if seconds is None:
        return "how long it takes is shown while it trains"
    minutes = config.steps * seconds / 60
    return f"about {minutes:.0f} minutes, as the newest such run there" if minutes >= 1 else "less than a minute"


def _seconds_a_step(path: Path, wanted: dict[str, object]) -> float | None:
    """Of the newest finished run beside it that is like it but for its seed; None where there is none."""
    results = sorted(path.absolute().parent.glob("*/result.json"), key=_changed, reverse=True)
    for file in results[:MOST_LOOKED_AT]:
        try:
            result = RunDirectory(file.parent).read_result()
        except BadInput:  # damaged, or of a sweep
            continue
        if result and all(result.get(key) == value for key, value in wanted.items() if key != "seed"):
            return float(result["wall_s"]) / int(result["env_steps"])
    return None


def _changed(file: Path) -> float:
    try:
        return file.lstat().st_mtime
    except OSError:
        return 0.0
