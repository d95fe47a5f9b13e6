"""`rlx2 train`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.config import LARGEST_WINDOW, ExperimentConfig
from rlx2_ray.types import BadInput, shown

if TYPE_CHECKING:
    from rlx2_ray.experiment.population.arm import Ended

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run directory.", show_default="runs/ENV-ALGO-METHOD-sSEED-TIME"),
]


Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="A:B|A,B,...",
        help="Many runs at once, a seed each, as one population (docs/population.md).",
        show_default="one run",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        help="With --seeds: where they are trained.",
        show_default="auto",
        autocompletion=options.among("auto", "cpu", "cuda"),
    ),
]
Slots = Annotated[
    str | None,
    typer.Option(
        "--slots", metavar="P", help="With --seeds: runs at a time.", show_default="as many as there is memory for"
    ),
]
Processes = Annotated[
    str | None,
    typer.Option(
        "--processes",
        metavar="N",
        help="With --seeds: processes that step the environments.",
        show_default="0, which is this one",
    ),
]


@options.configured(*options.OF_A_RUN)
def train(
    config: ExperimentConfig,
    seeds: Seeds = None,
    device: Device = None,
    slots: Slots = None,
    processes: Processes = None,
    out: Out = None,
    tracking_uri: options.TrackingUri = None,
    experiment: options.Experiment = None,
    as_json: options.Json = False,
) -> None:
    """Train one agent, or with --seeds many, log to MLflow, and leave policy and result in the run directory."""
    if seeds is not None:
        from rlx2_ray.api.population import train_seeds

        show_arm(train_seeds(config, seeds, device, slots, processes, out, tracking_uri, experiment), as_json)
        return
    for option, value in (("--device", device), ("--slots", slots), ("--processes", processes)):
        if value is not None:
            raise BadInput(f"{option} is {shown(value)}, which needs --seeds: give it, or set the key device.")
    from rlx2_ray.api.training import train_config

    result = train_config(config, out, tracking_uri, experiment)
    show(result.values, result.directory, as_json)


def show(result: Mapping[str, Any], directory: Path, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    rows = [
        [_score_name(result), f"{result['score']:.1f}"],
        *_deployed(result),
        ["policy sparsity / critic sparsity", f"{result['policy_sparsity']:.0%} / {result['critic_sparsity']:.0%}"],
        ["size of dense", f"{result['size_ratio']:.1%}, {result['compression']:.1f} times smaller"],
        *_c_bytes(result),
        [
            "training FLOPs of dense (paper / counted)",
            _percentages(result, "train_flops_ratio_paper", "train_flops_ratio_counted"),
        ],
        ["inference FLOPs of dense", _percentages(result, "inference_flops_ratio")],
        ["env steps", f"{result['env_steps']}, {result['env_steps_per_s']:.0f}/s while it trains"],
        ["whole time", _whole_time(result)],
        ["MLflow run", str(result["mlflow_run_id"])],
        ["run directory", str(directory)],
    ]
    title = f"{result['env_id']}, {result['algo'].upper()}, {result['method']}, seed {result['seed']}"
    print_table(title, ["", "value"], rows)


def _c_bytes(result: Mapping[str, Any]) -> list[list[str]]:
    if result.get("policy_c_bytes") is None:  # of an earlier version
        return []
    floats, integers = result["policy_c_bytes"], result["policy_c_bytes_int8"]
    return [["tables of the policy as C", f"{floats:,} bytes, {integers:,} in int8"]]


def show_arm(ended: Ended, as_json: bool) -> None:
    """The results of the runs of a population."""
    results = list(ended.results.values())
    if as_json:
        print_json({"directory": str(ended.directory), "runs": results})
        return
    rows = [[f"seed {result['seed']}", f"{result['score']:.1f}"] for result in results]
    scores = [float(result["score"]) for result in results]
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    first = results[0]
    title = f"{first['env_id']}, {first['algo'].upper()}, {first['method']}, {len(results)} seeds"
    rows += [["all (mean ± standard deviation)", f"{fmean(scores):.1f}{spread}"], ["directory", str(ended.directory)]]
    print_table(title, ["", _score_name(first)], rows)


def _score_name(result: Mapping[str, Any]) -> str:
    from rlx2_ray.runs.final_score import describe

    window = result.get("score_window", LARGEST_WINDOW)  # earlier versions had one for all runs
    return f"score ({describe(window)})"


def _whole_time(result: Mapping[str, Any]) -> str:
    """With evaluations, which take their own time beside the training in a run on actors."""
    whole_s, evaluation_s = result["wall_s"], result.get("evaluation_s")
    time_taken = f"{timedelta(seconds=round(whole_s))}, {result['env_steps'] / whole_s:.0f} env steps/s"
    if evaluation_s is None:  # it began under an earlier version
        return time_taken
    return f"{time_taken}, evaluations {evaluation_s / whole_s:.0%} of it"


def _deployed(result: Mapping[str, Any]) -> list[list[str]]:
    deployed = result.get("deployed")
    if not deployed:
        return []
    name = f"deployed (best evaluation's policy, {deployed['episodes']} fresh episodes)"
    return [[name, f"{deployed['return_mean']:.1f}"]]


def _percentages(result: Mapping[str, Any], *keys: str) -> str:
    return " / ".join(f"{result[key]:.1%}" for key in keys)
