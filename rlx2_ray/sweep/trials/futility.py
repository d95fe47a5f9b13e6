"""When a run is not worth going on with: far below what the dense arm had reached by then. It counts as what it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import TypeAdapter

from rlx2_ray import files, json_text
from rlx2_ray.runs.parts import Finite, Point
from rlx2_ray.strict import Count
from rlx2_ray.types import Damaged

WINDOW = 10  # evaluations
MOST_BYTES = 2**22

_VALUES = TypeAdapter(dict[Count, Finite])


class Floor(NamedTuple):
    """The least return, mean of the last `WINDOW` evaluations, that a run should have at some env steps."""

    values: dict[int, float]  # by env step

    def is_futile(self, points: Sequence[Point]) -> bool:
        least = self.values.get(points[-1]["env_steps"])
        recent = [point["return_mean"] for point in points[-WINDOW:]]
        return least is not None and float(np.mean(recent)) < least


def make_floor(
    dense: Sequence[Sequence[tuple[int, float]]], random: float, fraction: float, first_step: float
) -> Floor:
    """Takes a fraction of the dense arm's median, both above the return of random actions; none where that is not.

    Args:
        dense: (env steps, return) of the evaluations of every seed; all were evaluated at the same env steps.
        fraction: in (0, 1).
        first_step: env steps before which no run is given up.
    """
    steps = [step for step, _ in dense[0]]
    returns = np.array([[value for _, value in curve] for curve in dense])
    values = {}
    for index, step in enumerate(steps):
        if first_step <= step < steps[-1]:
            recent = returns[:, max(0, index + 1 - WINDOW) : index + 1].mean(axis=1)
            gain = float(np.median(recent)) - random
            if gain > 0:
                values[step] = random + fraction * gain
    return Floor(values)


def save_floor(floor: Floor, file: Path) -> None:
    files.write(file, json.dumps({str(step): value for step, value in floor.values.items()}))


def load_floor(file: Path) -> Floor:
    """Returns no floor at all where there is no file yet. Raises Damaged where it is not as a compression wrote it."""
    try:
        content = json_text.parse_object(files.read(file, MOST_BYTES))
        return Floor(_VALUES.validate_python({int(step): value for step, value in content.items()}))
    except FileNotFoundError:
        return Floor({})
    except (OSError, ValueError):
        raise Damaged(f"{file} is damaged: remove it, so that no run is given up for it.") from None
