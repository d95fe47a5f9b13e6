"""`rlx2 describe`: what would be trained, without training it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import BadInput

if TYPE_CHECKING:
    from rlx2_ray.envs.wrappers import Part
    from rlx2_ray.sparse.plan import NetworkPlan

ObservationSize = Annotated[
    int | None,
    typer.Option("--observation-size", metavar="N", help="Instead of the environment's; needs --action-size."),
]
NORMALIZED = "agent.normalize_observations: observations are normalised by the running mean and deviation of all so far"
ActionSize = Annotated[int | None, typer.Option("--action-size", metavar="N", help="Instead of the environment's.")]


@options.configured(*options.OF_A_RUN)
def describe(
    config: ExperimentConfig,
    observation_size: ObservationSize = None,
    action_size: ActionSize = None,
    as_json: options.Json = False,
) -> None:
    """Layer shapes, sparsities, active weights, size and FLOPs of an agent. Runs and writes nothing."""
    content = _content(config, _task(config, observation_size, action_size))
    if as_json:
        print_json(content)
    else:
        _print_tables(content)


class _Task(NamedTuple):
    observation_size: int
    action_size: int
    parts: list[Part]  # of an observation that is flattened


def _task(config: ExperimentConfig, observation_size: int | None, action_size: int | None) -> _Task:
    if observation_size is None and action_size is None:
        from rlx2_ray.envs.make import probe
        from rlx2_ray.experiment.progress import Progress

        with Progress(f"{config.env.id} is made"):
            spaces, parts = probe(config.env)
        return _Task(spaces.observation_size, spaces.action_size, parts)
    for name, value in (("--observation-size", observation_size), ("--action-size", action_size)):
        if value is None or value < 1:
            raise BadInput(f"{name} is {value}: give both sizes, each at least 1, or neither.")
    return _Task(observation_size, action_size, [])  # type: ignore[arg-type]


def _content(config: ExperimentConfig, task: _Task) -> dict[str, Any]:
    from rlx2_ray.envs.wrappers import applied
    from rlx2_ray.runs.result import describe_costs, describe_identity
    from rlx2_ray.sparse.plan import plan_agent

    plan = plan_agent(config, task.observation_size, task.action_size)
    return {
        **describe_identity(config),
        "observation_size": task.observation_size,
        "action_size": task.action_size,
        "applied": [*applied(config.env), *([NORMALIZED] if config.agent.normalize_observations else [])],
        "observation_parts": [part._asdict() for part in task.parts],
        "policy": _network(plan.policy),
        "critic": _network(plan.critic),
        **describe_costs(config, plan),
    }


def _network(plan: NetworkPlan) -> dict[str, Any]:
    layers = [
        {"name": layer.name, "shape": list(layer.shape), "sparsity": layer.sparsity, "active": layer.active}
        for layer in plan.layers
    ]
    return {"layers": layers, "active": plan.active}


def _print_tables(content: dict[str, Any]) -> None:
    layers = content["policy"]["layers"] + content["critic"]["layers"]
    rows = [
        [layer["name"], "{} x {}".format(*layer["shape"]), f"{layer['sparsity']:.3f}", str(layer["active"])]
        for layer in layers
    ]
    title = f"{content['env_id']}, {content['algo'].upper()}, {content['method']}"
    print_table(title, ["layer", "outputs x inputs", "sparsity", "active weights"], rows)
    ratios = (
        ("size", "size_ratio"),
        ("training FLOPs, the paper's count", "train_flops_ratio_paper"),
        ("training FLOPs, as done here", "train_flops_ratio_counted"),
        ("inference FLOPs", "inference_flops_ratio"),
    )
    ratio_rows = [[name, f"{content[key]:.3f}", f"{1 / content[key]:.1f}"] for name, key in ratios]
    print_table("Against the dense agent", ["", "ratio", "times smaller"], ratio_rows)
    for sentence in content["applied"]:
        typer.echo(f"{sentence}.")
    if content["observation_parts"]:
        parts = ", ".join(f"{part['key']} ({part['size']})" for part in content["observation_parts"])
        typer.echo(f"Observations are flattened, in this order: {parts}.")
