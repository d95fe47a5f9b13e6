"""What a policy's return loses when its weights are rounded to integers, measured on episodes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.experiment.playback import play, playable
from rlx2_ray.export.visited import Recorded
from rlx2_ray.footprint.quantize import INTEGER_TYPES, IntegerType
from rlx2_ray.networks.policy import MeanPolicy, Network, normalized
from rlx2_ray.networks.policy_file import PolicyFile

SMALL_DIFFERENCE = 0.05  # of actions, in units of their bounds, which is half of the noise that policies train with
SMALL_LOSS = 0.001  # of the return; less is a loss to the arithmetic alone


class Episodes(NamedTuple):
    """The episodes that are played: those of `rlx2 evaluate --episodes --seed`."""

    number: int
    seed: int = 0


class Rounding(NamedTuple):
    """What a policy is to be rounded to, and on what its loss is measured."""

    name: str  # of INTEGER_TYPES
    episodes: Episodes
    is_tuned: bool = False
    is_fixed: bool = False  # whether activations are integers too, and all arithmetic is

    @property
    def kind(self) -> IntegerType:
        return INTEGER_TYPES[self.name]

    @property
    def remedy(self) -> str:
        others = ["--tune"] * (not self.is_tuned) + ["--int16"] * (self.name == "int8")
        return f"Give {', '.join([*others, 'or no integers'] if others else ['no integers'])}"


class Loss(NamedTuple):
    episodes: int
    seed: int
    return_before: float  # mean over the episodes
    return_after: float
    return_lost: float
    return_lost_interval: tuple[float, float] | None  # 95 %, of the mean over paired episodes; None: of one episode
    max_difference: float  # of actions where the trained policy's episodes go, in units of the actions' bounds


def measure_loss(policy: PolicyFile, network: Network, source: Path, episodes: Episodes) -> Loss:
    """Plays `network`, the policy's in rounded numbers. Raises BadInput where the environment is not installed."""
    trained = playable(policy)
    rounded = MeanPolicy(normalized(network, policy.normalization))  # tanh of all outputs
    recorded = Recorded(trained.policy)
    players = (trained._replace(policy=recorded), trained._replace(policy=rounded))
    before, after = (np.array(play(each, source, *episodes)["returns"]) for each in players)
    visited = np.stack(recorded.observations)
    difference = float(np.abs(rounded.action(visited) - trained.policy.action(visited)).max())
    means = float(before.mean()), float(after.mean())
    return Loss(*episodes, *means, means[0] - means[1], _interval(before - after), difference)


def warning_of(rounding: Rounding, loss: Loss) -> str | None:
    """Says what rounding to integers costs, or may cost; None where neither return nor actions tell of any loss."""
    is_lost = loss.return_lost > SMALL_LOSS * abs(loss.return_before)
    if not is_lost and loss.max_difference <= SMALL_DIFFERENCE:
        return None
    span = loss.return_lost_interval
    is_sure = is_lost and span is not None and span[0] > 0
    within = "" if span is None else f", 95 % interval {span[0]:.4g} to {span[1]:.4g}"
    return (
        f"Return {'is' if is_sure else 'may be'} lost by --{rounding.name}: {loss.return_before:.1f} before rounding, "
        f"{loss.return_after:.1f} after (lost {loss.return_lost:.4g}{within}, {loss.episodes} episodes), and actions "
        f"differ from the trained policy's by up to {loss.max_difference:.2g} of their bounds where its episodes go. "
        f"{rounding.remedy} where that is too much; more --episodes tell more."
    )


def _interval(lost: NDArray[np.float64]) -> tuple[float, float] | None:
    """Student's, of the mean of what episodes lost, each against the one that began alike."""
    if len(lost) < 2:
        return None
    from scipy.stats import t

    mean, error = float(lost.mean()), float(lost.std(ddof=1)) / math.sqrt(len(lost))
    width = float(t.ppf(0.975, len(lost) - 1)) * error
    return mean - width, mean + width
