"""What a 1-D search believes after so many runs, as it is written down and shown: probabilities of levels."""

from __future__ import annotations

from dataclasses import dataclass

ROUNDING = 1e-9  # that sums of probabilities may be off by


@dataclass(frozen=True)
class Belief:
    """The posterior over the sparsest level that keeps the return, after `runs` runs."""

    runs: int
    levels: tuple[float, ...]  # sparsities, ascending
    mass: tuple[float, ...]  # probability of each; sums to 1

    def __post_init__(self) -> None:
        if not self.levels or len(self.levels) != len(self.mass):
            raise ValueError("not one probability for each level")

    def quantile(self, share: float) -> float:
        """Returns the first level up to which at least `share` of the mass lies."""
        total = 0.0
        for level, weight in zip(self.levels, self.mass, strict=True):
            total += weight
            if total >= share - ROUNDING:
                return level
        return self.levels[-1]

    def credible_interval(self, share: float) -> tuple[float, float]:
        """Returns the ends of the central levels that hold at least `share` of the mass."""
        return self.quantile((1 - share) / 2), self.quantile((1 + share) / 2)
