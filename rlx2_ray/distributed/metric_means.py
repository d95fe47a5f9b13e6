"""The metrics that arrive with each piece of work, summed up for the next evaluation."""

from __future__ import annotations

MEANS = ("train/", "actors/")


class MetricMeans:
    """Means of `train/*` and `actors/*`, as each learner takes them; of any other metric the latest value."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            earlier = self._values.get(name, []) if name.startswith(MEANS) else []
            self._values[name] = [*earlier, value]

    def take(self) -> dict[str, float]:
        """Return the means since the last call, and begin anew."""
        means = {name: sum(values) / len(values) for name, values in self._values.items()}
        self._values = {}
        return means

    def state(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in self._values.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        self._values = {name: list(values) for name, values in state.items()}
