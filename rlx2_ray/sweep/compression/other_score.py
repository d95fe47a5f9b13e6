"""What the runs of a compression say by the score that does not decide: stated beside every decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rlx2_ray.report.record.record import DenseByOther, RatioByOther
from rlx2_ray.runs.scores import ScoreName
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request, Tell, is_run_of
from rlx2_ray.search.methods import AnySearch
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, estimate_ratio, statistic_of
from rlx2_ray.types import RunFailed


class OtherScore:
    def __init__(self, name: ScoreName, score_of: Callable[[Request], float | None]) -> None:
        """`score_of`: of a run that is done; None where it has no such score."""
        self._name = name
        self._score_of = score_of

    def of_dense(self, search: AnySearch) -> DenseByOther | None:
        """Returns what the dense arm comes to; None where any of its runs has no such score."""
        scores, statistic = self._dense_scores(search), search.options.rule.statistic
        if not scores:
            return None
        interval = arm_interval(scores, statistic) if len(scores) >= FEWEST_SEEDS else None
        return DenseByOther(self._name, statistic_of(scores, statistic), interval)

    def of_decision(self, search: AnySearch, decision: Decision) -> RatioByOther | None:
        """Returns what the runs of a decision keep; None where any of them, or of the dense arm, has no such score."""
        counted = counted_tells(search.tells, decision, search.options.random)
        dense = self._dense_scores(search)
        scores = self._scores(counted, search.options.random) if counted else None
        if scores is None or dense is None or min(len(scores), len(dense)) < FEWEST_SEEDS:
            return None
        rule = search.options.rule
        try:
            estimate = estimate_ratio(scores, dense, search.options.random, rule.threshold, rule.statistic)
        except RunFailed:  # by this score the dense arm is no better than random
            return None
        return RatioByOther(self._name, tuple(scores), *estimate)

    def _dense_scores(self, search: AnySearch) -> list[float] | None:
        done = [tell for tell in search.tells if tell.request.purpose == "dense" and tell.score is not None]
        return self._scores(done, search.options.random)

    def _scores(self, tells: Sequence[Tell], random: float) -> list[float] | None:
        """A run that failed counts as by the other score: as random."""
        scores = [random if tell.score is None else self._score_of(tell.request) for tell in tells]
        known = [score for score in scores if score is not None]
        return known if len(known) == len(scores) else None


def counted_tells(tells: Sequence[Tell], decision: Decision, random: float) -> list[Tell]:
    """Returns the runs that a decision counts, found by their scores: its fresh seeds, or those of the search.

    Empty where they cannot be told, so that nothing is stated of other runs.
    """
    own = [tell for tell in tells if is_run_of(tell, decision.method, decision.pair)]
    fresh = [tell for tell in own if tell.request.purpose == "confirm"]
    searched = [tell for tell in own if tell.request.purpose == "search"]
    return next(filter(None, (_taken(group, decision.scores, random) for group in (fresh, searched, own))), [])


def _taken(group: Sequence[Tell], scores: Sequence[float], random: float) -> list[Tell]:
    """One run for each of the scores, of those that failed as few as possible; empty where one is missing."""
    wanted, taken = Counter(scores), []
    for tell in sorted(group, key=lambda tell: tell.score is None):
        score = random if tell.score is None else tell.score
        if wanted[score] > 0:
            wanted[score] -= 1
            taken.append(tell)
    return taken if not +wanted else []
