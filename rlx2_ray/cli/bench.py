"""`rlx2 bench`: how fast, as ratios against named references that are measured in the same run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.types import Spaces

app = typer.Typer(no_args_is_help=True, help="Measure speed, as ratios against named references, in one run.")

TorchCompile = Annotated[
    bool, typer.Option("--torch-compile", help="Also time torch.compile; it needs a C++ compiler and a minute.")
]
TimedSteps = Annotated[
    int, typer.Option("--timed-steps", metavar="N", min=1, help="Env steps of each run that are on the clock.")
]
Transitions = Annotated[
    int, typer.Option("--transitions", metavar="N", min=10_000, help="What the replay holds, and how much at most.")
]


@app.command("learner")
@options.configured(*options.OF_A_LEARNER)
def learner(
    config: ExperimentConfig,
    torch_compile: TorchCompile = False,
    as_json: options.Json = False,
) -> None:
    """One learner update: sparse, dense on the same engine, and dense in torch; one thread each, in turns."""
    config = _on_sparse_engine(config)
    from rlx2_ray.bench.learner import bench_learner

    content = bench_learner(config, _spaces(config), torch_compile)
    rows = {
        "sparse engine, as configured": "sparse_us",
        "sparse engine, dense": "dense_us",
        "torch, dense": "torch_dense_us",
        "torch, dense, fused Adam": "torch_dense_fused_us",
        "torch, dense, fused Adam, torch.compile": "torch_dense_compiled_us",
    }
    _report(config, content, rows, "microseconds an update", "ratio_vs_torch_dense", as_json)


@app.command("train")
@options.configured(*options.OF_A_LEARNER)
def train(
    config: ExperimentConfig,
    timed_steps: TimedSteps = 3_000,
    as_json: options.Json = False,
) -> None:
    """Training on one core, environment included, and whole runs with evaluations: sparse, dense, and in torch."""
    config = _on_sparse_engine(config)
    from rlx2_ray.bench.train import bench_train

    content = bench_train(config, timed_steps)
    rows = {
        "sparse engine, as configured": "sparse_env_steps_per_s",
        "sparse engine, dense": "dense_env_steps_per_s",
        "torch engine, dense": "torch_dense_env_steps_per_s",
        "sparse engine, as configured, with its evaluations": "sparse_whole_env_steps_per_s",
        "sparse engine, dense, with its evaluations": "dense_whole_env_steps_per_s",
        "torch engine, dense, with its evaluations": "torch_dense_whole_env_steps_per_s",
    }
    _report(config, content, rows, "env steps a second", "ratio_vs_torch_dense", as_json)


@app.command("policy")
@options.configured(*options.OF_A_LEARNER)
def policy(
    config: ExperimentConfig,
    as_json: options.Json = False,
) -> None:
    """One action, observation in, action out: ours, and the same network masked dense elsewhere."""
    config = _on_sparse_engine(config)
    from rlx2_ray.bench.policy import bench_policy

    content = bench_policy(config, _spaces(config))
    rows = {
        "sparse engine, as configured": "sparse_us",
        "numpy": "numpy_us",
        "torch": "torch_us",
        "ONNX Runtime": "onnxruntime_us",
    }
    _report(config, content, rows, "microseconds an action", "ratio_vs_torch", as_json)


@app.command("replay")
@options.configured(*options.OF_A_LEARNER)
def replay(
    config: ExperimentConfig,
    transitions: Transitions = 1_000_000,
    as_json: options.Json = False,
) -> None:
    """The replay: inserting, sampling, memory, snapshots; beside a flat ring in numpy, and over a Ray of its own."""
    config = _on_sparse_engine(config)
    from rlx2_ray.bench.replay import bench_replay
    from rlx2_ray.bench.replay_tables import inline_table, shards_table

    content = _identified(config, bench_replay(config, _spaces(config), transitions))
    if as_json:
        print_json(content)
        return
    title = f"{config.env.id}, {config.algo.upper()}, {transitions} transitions"
    print_table(f"{title}, in this process", *inline_table(content))
    print_table(f"{title}, in shards: in this process, and as Ray actors with one caller", *shards_table(content))
    rss, pss = (content["caller"][f"{kind}_bytes"] / 1e6 for kind in ("rss", "pss"))
    typer.echo(f"Memory of the caller: {rss:.0f} MB with what it shares, such as the object store; {pss:.0f} MB PSS.")
    typer.echo(f"Sampling 1-step windows is {content['ratio_vs_flat']:.1f} times as fast as from a flat ring.")


def _on_sparse_engine(config: ExperimentConfig) -> ExperimentConfig:
    return resolve(merge(config.model_dump(), {"engine": "sparse", "device": "cpu"}))


def _spaces(config: ExperimentConfig) -> Spaces:
    from rlx2_ray.envs.make import probe_spaces

    return probe_spaces(config.env)


def _report(
    config: ExperimentConfig, content: dict[str, Any], rows: dict[str, str], unit: str, ratio: str, as_json: bool
) -> None:
    """`rows`: for each contestant, the key of its figure."""
    content = _identified(config, content)
    if as_json:
        print_json(content)
        return
    sparsities = f"{config.sparsity.policy:.0%} / {config.sparsity.critic:.0%} sparse"
    figures = [[name, f"{content[key]:.1f}"] for name, key in rows.items() if content[key] is not None]
    print_table(f"{config.env.id}, {config.algo.upper()}, {sparsities}", ["", unit], figures)
    typer.echo(f"{content[ratio]:.1f} times faster than {ratio.removeprefix('ratio_vs_').replace('_', ', ')}.")


def _identified(config: ExperimentConfig, content: dict[str, Any]) -> dict[str, Any]:
    """Figures, with what they are of."""
    from rlx2_ray.runs.result import describe_identity, installed_versions

    return {
        **describe_identity(config),
        "policy_sparsity": config.sparsity.policy,
        "critic_sparsity": config.sparsity.critic,
        **content,
        "versions": installed_versions(),
    }
