"""The 2-D search, policy x critic: each axis with the other dense, then from the pair of both towards denser ones.

Together the two sparsities cost more than each alone, so the pair of the two thresholds is where the walk starts, not
where it ends. A few seeds say whether a pair is worth a trial with fresh seeds; one that is not, or that the trial does
not accept, gives way to the smaller of its two denser neighbours. From the first that is accepted, sparser neighbours
are tried in the same way, while any is accepted and runs are left.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlx2_ray.search.axis import AxisSearch
from rlx2_ray.search.confirmation import Confirmation
from rlx2_ray.search.decision import Decision, Pair, Rule
from rlx2_ray.search.ledger import ArmKey, Purpose
from rlx2_ray.search.search import Options, Search, Size

Place = tuple[int, int]  # levels of policy and critic, -1 for dense

DENSE: Place = (-1, -1)
SCREEN_SEEDS = 2
SCREEN_PROBABILITY = 0.25  # of keeping the return, for a pair to get a trial
AXES_RUNS, QUIET_RUNS = 16, 16  # expected, the latter from the pair on, of a quiet task: benchmarks/searcher
NOISY_RUNS = 14  # the same of a noisy one, beside the most that one trial may take
MAX_RUNS = 96  # of the whole search, dense arm included; a 9 x 9 grid with 8 seeds takes 656


def plane_options(random: float, rule: Rule = Rule(), concurrency: int = 1) -> Options:  # noqa: B008  a value
    """Returns the defaults of a 2-D search."""
    return Options(random, rule, max_runs=MAX_RUNS, concurrency=concurrency)


class PlaneSearch(Search):
    """A search over sparsities of the policy and of the critic, each ascending and log-spaced in density."""

    def __init__(self, policy: Sequence[float], critic: Sequence[float], options: Options, size: Size) -> None:
        super().__init__(options, size)
        self._policy, self._critic = tuple(policy), tuple(critic)
        pairs = [(level, 0.0) for level in policy], [(0.0, level) for level in critic]
        self._axes = [AxisSearch(axis, self._ledger, options) for axis in pairs]
        self._axis_of = {pair: axis for axis in self._axes for pair in axis.pairs}
        screen = Rule(options.rule.threshold, SCREEN_PROBABILITY, SCREEN_PROBABILITY, options.rule.statistic)
        self._screen = options._replace(rule=screen._replace(min_seeds=SCREEN_SEEDS, max_seeds=SCREEN_SEEDS))
        self._place = DENSE  # before the walk
        self._best: Place | None = None  # the last that was accepted
        self._tried: set[Place] = set()
        self._trial: Confirmation | None = None
        self._settled: dict[Pair, Decision] = {}

    def _next_arm(self) -> ArmKey | None:
        if self._trial is not None:
            return self._trial.next_arm()
        arms = (axis.next_arm() for axis in self._axes)
        return next((arm for arm in arms if arm is not None), None)

    def _advance(self, scores: Sequence[tuple[ArmKey, float]]) -> None:
        for arm, score in scores:
            if not self._tried:
                self._axis_of[arm.pair].observe(arm.pair, score)
        if self._finished:
            return
        if not self._tried and all(axis.is_settled for axis in self._axes):
            self._walk_to((self._axes[0].pick(), self._axes[1].pick()))
        while self._trial is not None and not self._finished and self._take_step(self._trial):
            pass

    def _take_step(self, trial: Confirmation) -> bool:
        """Whether the trial was settled, and another has begun or the search has ended."""
        trial.advance()
        if trial.decision is None:
            return False
        accepted = trial.decision.verdict == "accept"
        if accepted and trial.arm.purpose == "search":
            self._begin(trial.arm.pair, "confirm")
            return True
        if trial.arm.purpose == "confirm":
            self._settled[trial.arm.pair] = trial.decision
        if accepted:
            self._best = self._place
        self._walk_to(self._next_place())
        return True

    def _next_place(self) -> Place | None:
        """From one that is settled: denser until one is accepted, then sparser while one is."""
        if self._best is None:
            policy, critic = self._place
            near = [(policy - 1, critic)] * (policy >= 0) + [(policy, critic - 1)] * (critic >= 0)
        else:
            policy, critic = self._best
            near = [(policy + 1, critic)] * (policy + 1 < len(self._policy))
            near += [(policy, critic + 1)] * (critic + 1 < len(self._critic))
        near = [place for place in near if place not in self._tried and place != DENSE]
        return min(near, key=lambda place: self.size(self._pair(place)), default=None)

    def _walk_to(self, place: Place | None) -> None:
        if place is None:
            self._finished = True
            return
        self._place = place
        self._tried.add(place)
        self._begin(self._pair(place), "search")

    def _begin(self, pair: Pair, purpose: Purpose) -> None:
        options = self._screen if purpose == "search" else self.options
        self._trial = Confirmation(ArmKey(pair, purpose), self._ledger, options)

    def _pair(self, place: Place) -> Pair:
        policy, critic = place
        return (0.0 if policy < 0 else self._policy[policy]), (0.0 if critic < 0 else self._critic[critic])

    def _settled_decision(self, pair: Pair) -> Decision | None:
        return self._settled.get(pair)

    def _remaining(self) -> int:
        searched = sum(axis.seeds for axis in self._axes)
        axes = 0 if self._tried else max(AXES_RUNS - searched, 2)
        walked = len(self._ledger.tells) - searched - self.options.dense_seeds if self._tried else 0
        noisy = NOISY_RUNS + self._most_on_trial
        walk = round(QUIET_RUNS + self._noise_share * (noisy - QUIET_RUNS))
        return axes + max(walk - walked, self.options.seeds_at_once)
