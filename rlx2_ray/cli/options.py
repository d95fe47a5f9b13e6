"""Options that several commands share, and how they become configuration keys.

Values are passed on as text, so that the configuration judges them and its errors name its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from rlx2_ray import config as configuration
from rlx2_ray import plugins
from rlx2_ray.config import EnvConfig, ExperimentConfig
from rlx2_ray.config.short_names import SHORT_NAMES
from rlx2_ray.methods import METHODS


def among(*names: str) -> Callable[[str], list[str]]:
    """What a shell offers for an option, of these names."""

    def offered(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return offered


def _one_of(name: str, *values: str, words: str, default: str) -> Any:
    return typer.Option(name, metavar="|".join(values), help=words, show_default=default, autocompletion=among(*values))


ConfigFile = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG.yaml", help="Keys that differ from the defaults; options win over it."),
]
Env = Annotated[str | None, typer.Option("--env", metavar="ID", help="Gymnasium id.", show_default="Hopper-v5")]
Algo = Annotated[
    str | None,
    _one_of("--algo", "td3", "sac", words="Algorithm.", default="td3"),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help=f"One of {', '.join(METHODS)}; docs/methods.md says what each is.",
        show_default="rlx2",
        autocompletion=among(*METHODS),
    ),
]
PolicySparsity = Annotated[
    str | None,
    typer.Option(
        "--policy-sparsity", "--actor-sparsity", metavar="FRACTION", help="Zeros, in [0, 1).", show_default="0.9"
    ),
]
CriticSparsity = Annotated[
    str | None,
    typer.Option("--critic-sparsity", metavar="FRACTION", help="Zeros of both critics, in [0, 1).", show_default="0.8"),
]
Steps = Annotated[str | None, typer.Option("--steps", metavar="N", help="Env steps.", show_default="3000000")]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="Of everything random.", show_default="0")]
Engine = Annotated[
    str | None,
    _one_of("--engine", "sparse", "torch", "population", words="Of the learner.", default="sparse on cpu"),
]
Runtime = Annotated[
    str | None,
    _one_of("--runtime", "inline", "actors", words="One process, or Ray actors on this machine.", default="inline"),
]
RolloutActors = Annotated[
    str | None, typer.Option("--rollout-actors", metavar="R", help="Rollout actors.", show_default="1")
]
ReplayShards = Annotated[
    str | None, typer.Option("--replay-shards", metavar="S", help="Replay actors.", show_default="1")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any configuration key, e.g. agent.discount=0.98."),
]
Best = Annotated[
    bool,
    typer.Option("--best", help="Of a run: the policy of its evaluation with the highest mean return, not its last."),
]
AllowModule = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-module",
        metavar="NAME|FILE.py",
        help="A module, or a file of Python, that may be imported for the environment or a rule from now on; it runs "
        "its code.",
    ),
]
Plugin = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Rules of your own, which it registers; docs/extend.md."),
]
Logger = Annotated[
    list[str] | None,
    typer.Option("--logger", metavar="tensorboard|wandb", help="Also log there; may be given twice."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]

TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow store.",
        show_default="MLFLOW_TRACKING_URI, or sqlite:///mlflow.db",
    ),
]
Experiment = Annotated[
    str | None,
    typer.Option(
        "--experiment", metavar="NAME", help="MLflow experiment.", show_default="MLFLOW_EXPERIMENT_NAME, or rlx2"
    ),
]
Concurrent = Annotated[
    str | None, typer.Option("--concurrent", metavar="N", help="Trials at a time.", show_default="what the CPUs allow")
]
Device = Annotated[
    str | None,
    _one_of(
        "--device",
        "auto",
        "cpu",
        "cuda",
        words="Where trials are trained: on a GPU as slots of a population (docs/population.md).",
        default="the keys engine and device",
    ),
]
Processes = Annotated[
    str | None,
    typer.Option(
        "--processes",
        metavar="N",
        help="Of a population: processes that step the environments.",
        show_default="one for each CPU but one",
    ),
]
MaxHours = Annotated[
    str | None, typer.Option("--max-hours", metavar="H", help="Budget, in hours.", show_default="none")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="A running Ray cluster, or auto.", show_default="a Ray of its own"
    ),
]

# The options that describe the configuration of one run, in the order of the help.
OF_A_RUN = {
    "config_file": ConfigFile,
    "env": Env,
    "algo": Algo,
    "method": Method,
    "policy_sparsity": PolicySparsity,
    "critic_sparsity": CriticSparsity,
    "steps": Steps,
    "seed": Seed,
    "engine": Engine,
    "runtime": Runtime,
    "rollout_actors": RolloutActors,
    "replay_shards": ReplayShards,
    "plugins": Plugin,
    "loggers": Logger,
    "assignments": Set,
}
# Those of one learner, which is timed.
OF_A_LEARNER = ("config_file", "env", "algo", "method", "policy_sparsity", "critic_sparsity", "plugins", "assignments")


def configured(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options of `OF_A_RUN` in place of its first argument, the configuration they describe."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=OF_A_RUN[name]) for name in names]
        _, *own = signature(command, eval_str=True).parameters.values()
        parameters = [*shared, *(each.replace(kind=Parameter.KEYWORD_ONLY) for each in own)]

        @wraps(command)
        def with_options(**given: Any) -> None:
            options = {name: given.pop(name) for name in names}
            command(read_config(options.pop("config_file"), options, options.pop("assignments")), **given)

        with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


def read_config(file: Path | None, options: dict[str, Any], assignments: list[str] | None) -> ExperimentConfig:
    """The configuration of file, options and --set, the later winning.

    `options` may hold more than configuration keys.
    """
    tree = configuration.load(file) if file else {}
    config = configuration.resolve(plugins.typed(configuration.merge(tree, read_tree(options, assignments))))
    if ":" in config.env.id:
        allow_typed(config.env)
    return config


def allow_modules(names: list[str] | None) -> None:
    """What --allow-module says, of which a command without it pays for no import."""
    if names:
        from rlx2_ray.envs import modules

        modules.allow(names)


def allow_typed(env: EnvConfig) -> None:
    from rlx2_ray.envs import modules

    modules.allow_typed([env])


def read_trials(given: dict[str, Any], assignments: list[str] | None, own_keys: dict[str, str]) -> configuration.Tree:
    """What options and --set give for a command that has --device."""
    tree = read_tree(given, assignments, own_keys)
    from rlx2_ray.agents.device_choice import keys_of_device

    return configuration.merge(keys_of_device(given["device"], tree.get("engine")), tree)


def read_tree(
    options: dict[str, Any], assignments: list[str] | None, own_keys: dict[str, str] | None = None
) -> configuration.Tree:
    """What options and --set give, nested; `own_keys`: of the options that only one command has."""
    keys = {**SHORT_NAMES, **(own_keys or {})}
    given = {key: options[option] for option, key in keys.items() if options.get(option) is not None}
    return configuration.merge(configuration.unflatten(given), configuration.parse_assignments(assignments or ()))
