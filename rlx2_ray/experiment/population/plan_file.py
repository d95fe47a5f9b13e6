"""What a directory of many runs of one population says: which runs there are to be, and how they are trained.

It may come from somebody else, who may have altered it: it is read strictly, and what it says is checked as if typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from rlx2_ray import files
from rlx2_ray.config import ExperimentConfig, merge, resolve, resolve_stored
from rlx2_ray.runs import sealed
from rlx2_ray.strict import Count, Strict
from rlx2_ray.tracking.uri import redacted
from rlx2_ray.types import BadInput, Damaged, shown

NAME = "population.json"
MOST_BYTES = 1 << 20
MOST_SEEDS = 10_000
MOST_SLOTS = 1_024
LARGEST_SEED = 10**15


class Plan(NamedTuple):
    config: ExperimentConfig  # of every run, but for the seed
    seeds: tuple[int, ...]
    slots: int  # members at a time
    processes: int  # that step environments; 0: this one does
    tracking_uri: str
    experiment: str

    def config_of(self, seed: int) -> ExperimentConfig:
        return resolve(merge(self.config.model_dump(), {"seed": seed}))

    def name_of(self, seed: int) -> str:
        """Of the directory of a run."""
        env_id = self.config.env.id.replace("/", "_").replace(":", "_")
        return f"{env_id}-{self.config.algo}-{self.config.method}-s{seed}"


Seed = Annotated[Count, Field(le=LARGEST_SEED)]
Text = Annotated[str, Field(max_length=4096)]


class _Content(Strict):
    config: dict[str, Any]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS)]
    slots: Annotated[Count, Field(ge=1, le=MOST_SLOTS)]
    processes: Annotated[Count, Field(le=MOST_SLOTS)]
    tracking_uri: Text
    experiment: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]


def write(directory: Path, plan: Plan) -> None:
    """Raises BadInput where there is no room."""
    content = {**plan._asdict(), "config": plan.config.model_dump(mode="json"), "seeds": list(plan.seeds)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files.write(directory / NAME, sealed.to_text(content, 2))
    except OSError as error:
        raise BadInput(
            f"--out is {directory}, which cannot be written to ({error.strerror}): make room, or give another one."
        ) from None


def read(directory: Path) -> Plan:
    """Raises Damaged where the file is not as it was written."""
    file = directory / NAME
    try:
        content = _Content.model_validate(sealed.parse(files.read(file, MOST_BYTES)))
        if len(set(content.seeds)) < len(content.seeds):
            raise ValueError("a seed twice")
        config = resolve_stored(content.config)
    except (OSError, ValueError, ValidationError, BadInput):
        raise Damaged(f"{file} is missing or damaged: restore it from a copy, or resume its runs one by one.") from None
    return Plan(
        config,
        tuple(content.seeds),
        content.slots,
        content.processes,
        redacted(content.tracking_uri),
        content.experiment,
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Those of a range such as 0:8, without its end, or of a list such as 0,3,5. Raises BadInput."""
    try:
        seeds = tuple(seed for part in text.split(",") for seed in _range(part))
    except ValueError:
        seeds = ()
    if not seeds or len(set(seeds)) < len(seeds):
        raise BadInput(f"--seeds is {shown(text)}: give a range such as 0:8, or numbers such as 0,3,5, each once.")
    if len(seeds) > MOST_SEEDS:
        raise BadInput(f"--seeds is {shown(text)}, more than {MOST_SEEDS} seeds: give fewer.")
    return seeds


def _range(part: str) -> range:
    """Raises ValueError."""
    first, colon, end = part.partition(":")
    for number in (first, *([end] if colon else [])):
        if not number.strip().isdecimal() or int(number[:20]) > LARGEST_SEED:
            raise ValueError
    found = range(int(first), int(end)) if colon else range(int(first), int(first) + 1)
    return found[: MOST_SEEDS + 1]


def is_arm(directory: Path) -> bool:
    """Whether it holds runs that were begun together."""
    return (directory / NAME).exists()
