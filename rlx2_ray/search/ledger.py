"""The runs of a compression search: which were asked for, what they scored, which failed, and which come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Literal, NamedTuple

from rlx2_ray.search.decision import Pair

Purpose = Literal["dense", "search", "confirm"]

FIRST_SEED: dict[Purpose, int] = {"dense": 0, "search": 0, "confirm": 1000}
DENSE_PAIR: Pair = (0.0, 0.0)
FAILURES_REPLACED = 1  # of a sparse arm: a failed run is asked for once more, with another seed


class Request(NamedTuple):
    """One run to do. Equal requests are the same run."""

    policy_sparsity: float
    critic_sparsity: float
    seed: int
    purpose: Purpose
    method: str | None = None  # None: of the dense arm, or the only one

    def __repr__(self) -> str:
        """Returns its fields, without a method where there is but one."""
        fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items() if value is not None)
        return f"Request({fields})"

    @property
    def arm(self) -> ArmKey:
        return ArmKey((self.policy_sparsity, self.critic_sparsity), self.purpose)


class ArmKey(NamedTuple):
    """What the runs share that differ in their seed alone."""

    pair: Pair
    purpose: Purpose


class Tell(NamedTuple):
    """What became of a run."""

    request: Request
    score: float | None  # in the environment's units; None: the run ended in an error


def is_run_of(tell: Tell, method: str | None, pair: Pair) -> bool:
    """Whether it is a sparse run of that network."""
    request = tell.request
    return request.purpose != "dense" and (request.method, request.arm.pair) == (method, pair)


DENSE_ARM = ArmKey(DENSE_PAIR, "dense")


class Ledger:
    """The book of all runs, in the order of the tells; an arm's scores stand in the order in which they came.

    A failed run gives no score, and another seed takes its place. From the second failure of a sparse network on, it
    counts as a score no better than random: a network that cannot be trained is to be rejected, not retried forever.
    """

    def __init__(self, random: float, known_dense: Sequence[int] = ()) -> None:
        self._random = random
        self._known_dense = known_dense
        self.tells: list[Tell] = []
        self.pending: dict[Request, None] = {}  # a set that keeps its order
        self._scores: dict[ArmKey, list[float]] = {}
        self._failures: dict[ArmKey, int] = {}
        self._seeds: dict[ArmKey, set[int]] = {}

    def open(self, arm: ArmKey) -> Request:
        """Asks for a run of this arm with its first seed that is not in use; dense seeds that are known come first."""
        used = self._seeds.setdefault(arm, set())
        seeds = chain(self._known_dense if arm == DENSE_ARM else (), count(FIRST_SEED[arm.purpose]))
        seed = next(seed for seed in seeds if seed not in used)
        request = Request(*arm.pair, seed, arm.purpose)
        self.reopen([request])
        return request

    def reopen(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._seeds.setdefault(request.arm, set()).add(request.seed)
            self.pending[request] = None

    def close(self, request: Request, score: float | None) -> float | None:
        """The run ended; it need not have been asked for (a cached one was not), but it ends once.

        Returns what it counts as, None where another seed is to take its place.
        """
        used = self._seeds.setdefault(request.arm, set())
        if request in self.pending:
            del self.pending[request]
        elif request.seed in used:
            raise ValueError(f"{request} was told before")
        used.add(request.seed)
        self.tells.append(Tell(request, score))
        if score is None:
            self._failures[request.arm] = self.failures(request.arm) + 1
            score = self._score_of_failure(request.arm)
        if score is not None:
            self._scores.setdefault(request.arm, []).append(score)
        return score

    def _score_of_failure(self, arm: ArmKey) -> float | None:
        return self._random if arm != DENSE_ARM and self.failures(arm) > FAILURES_REPLACED else None

    def scores(self, arm: ArmKey) -> Sequence[float]:
        return self._scores.get(arm, ())

    def failures(self, arm: ArmKey) -> int:
        return self._failures.get(arm, 0)

    def pending_of(self, arm: ArmKey) -> int:
        return sum(request.arm == arm for request in self.pending)

    def promised(self, arm: ArmKey) -> int:
        """Counts the seeds that have a score or may get one."""
        return len(self.scores(arm)) + self.pending_of(arm)

    @property
    def runs(self) -> int:
        """The number of runs begun so far, failed ones and those under way included."""
        return len(self.tells) + len(self.pending)

    @property
    def pairs(self) -> list[Pair]:
        """The networks with a score, in the order in which they were first told, without the dense arm."""
        return list(dict.fromkeys(arm.pair for arm in self._scores if arm != DENSE_ARM))
