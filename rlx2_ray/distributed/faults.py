"""What a run has lost to processes that died: counted, said, and ended where it does not stop."""

from __future__ import annotations

from collections import Counter

from rlx2_ray.types import RunFailed

MAX_DEATHS_IN_A_ROW = 5  # of one kind of actor, without any work done between


class Faults:
    """The counters that a run keeps over all its lives; the names are those of its metrics, below `faults/`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()

    def count(self, **amounts: int) -> None:
        self._counts.update(amounts)

    def note_death(self, kind: str, words: str) -> None:
        """Count a death. Raises RunFailed, with `words`, where actors of this kind do nothing but die."""
        self._counts[f"{kind}_deaths"] += 1
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] > MAX_DEATHS_IN_A_ROW:
            raise RunFailed(f"{words} for the {self._in_a_row[kind]}th time in a row: see its log for the cause.")

    def note_success(self, kind: str) -> None:
        self._in_a_row[kind] = 0

    def metrics(self) -> dict[str, float]:
        """The counters as metrics of the run, none where nothing has died."""
        return {f"faults/{name}": float(count) for name, count in self._counts.items()}

    def state(self) -> dict[str, int]:
        return dict(self._counts)

    def restore(self, state: dict[str, int]) -> None:
        self._counts = Counter(state)
