"""What the file of a sweep or of a compression says, typed and complete.

Either is the file of an experiment (the keys of `ExperimentConfig`) with one or two sections more: `param_space` and
`tune` for a sweep, `compress` for a compression. All is checked here, before anything starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from rlx2_ray.config import ExperimentConfig, Tree, all_keys, flatten, resolve, unknown_key
from rlx2_ray.sweep.description.compress_section import CompressSection, parse_compress_section
from rlx2_ray.sweep.description.methods import check_methods
from rlx2_ray.sweep.description.space import Parameter, Space, count_trials, parse_space, to_tree, varied_keys
from rlx2_ray.sweep.description.space_check import check_space, first_config
from rlx2_ray.sweep.description.tune_section import PbtScheduler, TuneSection, parse_tune
from rlx2_ray.types import BadInput

SWEEP_SECTIONS = ("param_space", "tune")
MOST_TRIALS = 10_000


@dataclass(frozen=True)
class SweepDescription:
    config: Tree  # keys of the experiment, as given
    param_space: Space  # as given
    tune: TuneSection

    @property
    def space(self) -> Space:
        """What Tune samples: `param_space`, and a grid over the seeds where `tune.seeds` asks for one."""
        seeds = self.tune.seeds
        return (*self.param_space, Parameter(("seed",), "grid", tuple(range(seeds)))) if seeds else self.param_space

    @property
    def mutations(self) -> Space:
        """What PBT changes in a run; empty with another scheduler."""
        return self.tune.scheduler.mutations if isinstance(self.tune.scheduler, PbtScheduler) else ()

    @property
    def varied(self) -> Space:
        """All that tells trials apart."""
        mutated = {parameter.name for parameter in self.mutations}
        return (*(parameter for parameter in self.space if parameter.name not in mutated), *self.mutations)

    @property
    def trials(self) -> int:
        return count_trials(self.param_space, self.tune.num_samples) * (self.tune.seeds or 1)


@dataclass(frozen=True)
class CompressDescription:
    config: Tree  # keys of the experiment, as given, with no sparsity
    compress: CompressSection


def parse_sweep(tree: Mapping[str, Any]) -> SweepDescription:
    """The sweep that a file describes, options merged on top. Raises BadInput."""
    check_sections(tree, SWEEP_SECTIONS, {"compress": "rlx2 compress"})
    config = {key: value for key, value in tree.items() if key not in SWEEP_SECTIONS}
    space = parse_space(tree.get("param_space") or {})
    check_space(config, space)
    example = first_config(config, space)
    description = SweepDescription(config, space, parse_tune(tree.get("tune") or {}, example))
    check_size(description.trials, example.steps)
    _check_sweep(description)
    return description


def sweep_tree(description: SweepDescription) -> Tree:
    """The mapping that parses to the description; plain values, for sweep.yaml."""
    return {
        **description.config,
        "param_space": to_tree(description.param_space),
        "tune": plain(description.tune),
    }


def parse_compress(tree: Mapping[str, Any]) -> CompressDescription:
    """The compression that a file describes, options merged on top. Raises BadInput."""
    check_sections(tree, ("compress",), dict.fromkeys((*SWEEP_SECTIONS, "queue", "archive"), "rlx2 sweep"))
    config = {key: value for key, value in tree.items() if key != "compress"}
    sparsities = [key for key in flatten(config) if key.startswith("sparsity")]
    if sparsities:
        raise BadInput(f"{sparsities[0]} is given, but is what a compression searches: leave it out.")
    if "seed" in config:
        raise BadInput(f"seed is {config['seed']}, but a compression runs many: leave it out.")
    section = parse_compress_section(tree.get("compress") or {}, resolve(config))
    check_methods(config, section.methods)
    return CompressDescription(config, section)


def compress_tree(description: CompressDescription) -> Tree:
    """The mapping that parses to the description; plain values, for sweep.yaml."""
    return {**description.config, "compress": plain(description.compress)}


def plain(section: BaseModel) -> Tree:
    return section.model_dump(mode="json", exclude_none=True)


def check_sections(tree: Mapping[str, Any], own: Iterable[str], others: Mapping[str, str]) -> None:
    """Raises BadInput for a section that is not the command's `own`; `others` have a command of their own."""
    for key in tree:
        if key in others:
            raise BadInput(f"The file has {key}, which belongs to '{others[key]}': use that command, or leave it out.")
        if key not in own and key not in ExperimentConfig.model_fields:
            raise BadInput(unknown_key(str(key), [*all_keys(ExperimentConfig), *own]))


def check_size(trials: int, steps: int) -> None:
    """Raises BadInput where so many trials are a slip: each has a directory, and a place in tables."""
    if trials > MOST_TRIALS:
        raise BadInput(
            f"The sweep would have {trials:,} trials of {steps:,} env steps, {trials * steps:,} in all, and one has "
            f"{MOST_TRIALS:,} at most: lower tune.num_samples or tune.seeds, or leave values of grids out."
        )


def _check_sweep(description: SweepDescription) -> None:
    """Rules that need more than one section."""
    if not description.varied:
        raise BadInput("param_space is empty: say what varies, such as sparsity.policy: {grid: [0.9, 0.95]}.")
    _check_seeds(description)
    _check_searcher(description)
    _check_scheduler(description)
    check_space(description.config, description.varied)


def _check_seeds(description: SweepDescription) -> None:
    seeds = description.tune.seeds
    if seeds and "seed" in varied_keys(description.param_space):
        raise BadInput(f"tune.seeds is {seeds} and seed is in param_space too: leave one of them out.")
    if seeds and "seed" in description.config:
        raise BadInput(f"tune.seeds is {seeds} and seed is {description.config['seed']}: leave one of them out.")


def _check_searcher(description: SweepDescription) -> None:
    if description.tune.searcher.name == "random":
        return
    if description.tune.scheduler.name == "pbt":
        raise BadInput("tune.searcher is optuna, but pbt searches by itself: leave the searcher out.")
    if description.tune.seeds:
        raise BadInput(
            f"tune.seeds is {description.tune.seeds}, a grid, which searcher optuna cannot take: leave it out."
        )
    for parameter in description.space:
        if parameter.form == "grid":
            raise BadInput(f"{parameter.name} has grid, which searcher optuna cannot take: write choice.")


def _check_scheduler(description: SweepDescription) -> None:
    name = description.tune.scheduler.name
    if name != "none" and "steps" in varied_keys(description.space):
        raise BadInput(f"steps is in param_space, but scheduler {name} compares trials of one length: fix it.")
    if name == "pbt" and description.trials < 2:
        raise BadInput("tune.num_samples is 1, but pbt needs trials that learn from each other: write 4 or more.")
    twice = [key for key, count in Counter(varied_keys(description.varied)).items() if count > 1]
    if twice:
        raise BadInput(f"{twice[0]} is set together with others in param_space, so pbt cannot change it: leave it out.")
