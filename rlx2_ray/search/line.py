"""The 1-D search: the threshold along one axis, then the networks around it on trial with fresh seeds.

First the belief over the threshold, until three neighbouring levels hold most of it. Then the level that it picks is
tried with seeds that had no part in choosing it. Rejected or still undecided at the cap, it gives way to a denser one.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlx2_ray.search.axis import AxisSearch
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.confirmation import Confirmation
from rlx2_ray.search.decision import Decision, Pair
from rlx2_ray.search.ledger import ArmKey
from rlx2_ray.search.search import Options, Search, Size

SEARCH_RUNS, QUIET_RUNS = 8, 10  # expected, the latter from the first trial on, of a quiet task: benchmarks/searcher
NOISY_RUNS, NOISY_SHARE = 15, 0.6  # the same of a noisy one: 15 and 0.6 of the most that one trial may take

PROMISING = 0.25  # probability of keeping the return, with which a level sparser than the accepted one gets a trial


class LineSearch(Search):
    """A search over networks `pairs`, from dense to sparse, log-spaced in density: those of `levels.line`."""

    def __init__(self, pairs: Sequence[Pair], options: Options, size: Size) -> None:
        super().__init__(options, size)
        self._axis = AxisSearch(pairs, self._ledger, options)
        self._trials: dict[int, Confirmation] = {}  # by level
        self._trial: Confirmation | None = None

    def _next_arm(self) -> ArmKey | None:
        return self._axis.next_arm() if self._trial is None else self._trial.next_arm()

    def _advance(self, scores: Sequence[tuple[ArmKey, float]]) -> None:
        for arm, score in scores:
            self._axis.observe(arm.pair, score)
        if scores:  # several, where sparse runs have ended before the last dense one
            self._note_belief()
        if self._finished:
            return
        if self._trial is not None:
            self._trial.advance()
        if self._trial is None and self._axis.is_settled:
            self._try(self._axis.pick())
        elif self._trial is not None and self._trial.decision is not None:
            self._go_on(self._trial.decision)

    def _go_on(self, decision: Decision) -> None:
        """From a level that is settled: denser until one is accepted, then sparser while that is promising."""
        accepted = [level for level, trial in self._trials.items() if _is_accepted(trial)]
        if not accepted:
            densest = min(self._trials)
            # A belief that a few odd seeds have misled may point far away: the steps only double from trial to trial.
            nearest = densest - 2 ** len(self._trials)
            self._try(min(densest - 1, max(self._axis.pick(), nearest)))
        elif decision.verdict == "accept" and self._is_promising(max(self._trials) + 1):
            self._try(max(self._trials) + 1)
        else:
            self._finished = True

    def _is_promising(self, level: int) -> bool:
        return level < len(self._axis.pairs) and self._axis.keeps(level) >= PROMISING

    def _try(self, level: int) -> None:
        if level < 0:
            self._finished = True
            return
        self._trial = Confirmation(ArmKey(self._axis.pairs[level], "confirm"), self._ledger, self.options)
        self._trials[level] = self._trial
        self._trial.advance()

    def _note_belief(self) -> None:
        pairs = self._axis.pairs
        varied = 0 if pairs[0][0] != pairs[-1][0] else 1
        levels = tuple(pair[varied] for pair in pairs)
        self._beliefs.append(Belief(len(self._ledger.tells), levels, tuple(map(float, self._axis.level_mass))))

    def _settled_decision(self, pair: Pair) -> Decision | None:
        trials = [trial.decision for trial in self._trials.values() if trial.arm.pair == pair]
        return trials[0] if trials else None

    def _remaining(self) -> int:
        search = 0 if self._trial is not None else max(SEARCH_RUNS - self._axis.seeds, 2)
        confirmed = sum(len(self._ledger.scores(trial.arm)) for trial in self._trials.values())
        noisy = NOISY_RUNS + NOISY_SHARE * self._most_on_trial
        trials = round(QUIET_RUNS + self._noise_share * (noisy - QUIET_RUNS))
        return search + max(trials - confirmed - self._grown, self.options.seeds_at_once)


def _is_accepted(trial: Confirmation) -> bool:
    return trial.decision is not None and trial.decision.verdict == "accept"
