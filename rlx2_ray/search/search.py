"""The compression search: it is asked for runs, told their scores, and can state its best at any time.

A search has no clock and does no I/O. Its state is a fold over what it was told, in that order, so it is saved as the
list of tells and restored by telling them again; requests under way are saved beside them, to be handed out once more.

One posterior over all networks knows all runs (`posterior`). The next run is the one that tells most of what is open
(`design`): first whether any network at all keeps the return, then whether one that is smaller than the best does. What
the posterior would accept is tried with fresh seeds (`check`), which guard against a family of curves that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from rlx2_ray.search.belief import Belief
from rlx2_ray.search.check import Check
from rlx2_ray.search.decision import Decision, Pair, decide
from rlx2_ray.search.design import Design
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger, Request, Tell
from rlx2_ray.search.networks import Networks
from rlx2_ray.search.options import Options
from rlx2_ray.search.posterior import Posterior, curves_above, spread
from rlx2_ray.search.standing import HARM, LIKELY, Flags, Standing
from rlx2_ray.search.statistics import FEWEST_SEEDS, dense_gain
from rlx2_ray.types import RunFailed

Size = Callable[[Pair], float]  # size ratio of the network with these sparsities

LAST_RUNS = 14  # from so many on, and what is under way, the best is checked whatever is still open
LEAST_AT_ONCE = 4  # under way, however few are left
# What searches took in simulation (benchmarks/searcher), for `remaining`. Where seeds hardly differ, in 1-D and 2-D:
QUIET_RUNS, QUIET_PLANE_RUNS = 34, 50
NOISE = 0.09  # of seeds, over the dense arm's gain, from which on it takes more of the runs that it may, this times the
NOISY_GROWTH = 4.5  # root of what these are more than the quiet ones


class Search:
    """A compression search: `ask` for the next run, `tell` its score or `fail` it, until `is_finished`."""

    def __init__(self, networks: Networks, options: Options, size: Size) -> None:
        self.networks = networks
        self.options = options
        self.size = size
        self._index = {pair: index for index, pair in enumerate(networks.pairs)}
        self._ledger = Ledger(options.random, options.known_dense)
        self._again: list[Request] = []
        self._beliefs: list[Belief] = []
        self._unseen: list[tuple[ArmKey, float]] = []  # until the dense arm is known
        self._reference: float | None = None  # gain of the first dense seeds, once they are known
        self._checks: dict[int, Check] = {}  # by network
        self._finished = False
        self._design: Design | None = None  # of what is known now, once a run is asked for
        self._decisions: list[Decision] | None = None  # as of now, once they are asked for
        self._sizes = np.array([size(pair) for pair in networks.pairs])
        self._begin(())

    # What it is asked and told

    def ask(self) -> Request | None:
        """Returns the next run to do; None where none is useful before the next tell, or the search has ended."""
        if self._again:
            return self._again.pop(0)
        if self._finished:
            return None
        if self._ledger.runs >= self.options.max_runs:
            return None
        arm = self._next_arm()
        return None if arm is None else self._ledger.open(arm)

    def tell(self, request: Request, score: float) -> None:
        """Take in a run's score, in the environment's units; also of one that was not asked for, as a cached dense one.

        Raises:
            RunFailed: the dense arm is complete and no better than random.
            ValueError: the run was told before.

        """
        self._close(request, score)

    def fail(self, request: Request) -> None:
        """Take in a run that ended in an error: another seed takes its place, once; after that it counts as no return.

        Raises:
            RunFailed: more than half as many dense runs failed as there are to be.

        """
        self._close(request, None)

    def restore(self, tells: Iterable[Tell], pending: Iterable[Request] = ()) -> None:
        """Take over `tells` and `pending` of the search that this one continues; `ask` hands out the pending again."""
        for request, score in tells:
            self._close(request, score)
        again = list(pending)
        self._ledger.reopen(again)
        self._again += again

    def expect(self, requests: Iterable[Request]) -> None:
        """Know of runs that somebody else has under way, and will tell."""
        self._ledger.reopen(requests)

    # What it knows

    @property
    def tells(self) -> list[Tell]:
        return list(self._ledger.tells)

    @property
    def pending(self) -> list[Request]:
        """The requests that are neither told nor failed."""
        return list(self._ledger.pending)

    @property
    def is_finished(self) -> bool:
        spent = self._ledger.runs >= self.options.max_runs and not self._ledger.pending
        return self._finished or spent

    @property
    def beliefs(self) -> list[Belief]:
        """The beliefs of a 1-D search, after each run with which something was learned of sparse networks."""
        return self._beliefs

    @property
    def runs(self) -> int:
        """The number of runs begun so far, failed ones, those under way and the cached dense ones included."""
        return self._ledger.runs

    def dense_scores(self) -> list[float]:
        return list(self._ledger.scores(DENSE_ARM))

    def decisions(self) -> list[Decision]:
        """Returns one of each network with two seeds or more, in the order in which they were first run."""
        if self._reference is None:
            return []
        if self._decisions is None:
            stated = (self._decision(pair) for pair in self._ledger.pairs)
            self._decisions = [decision for decision in stated if decision is not None]
        return list(self._decisions)

    def ultimate(self) -> Decision | None:
        """Returns the best statement so far: the smallest accepted network, or else the best candidate, inconclusive.

        The best candidate is the smallest network with seeds of its own that is more likely than not to keep the
        return, and hardly a bad pick; None where there is none.
        """
        decisions = self.decisions()
        accepted = [decision for decision in decisions if decision.verdict == "accept"]
        if accepted:
            return min(accepted, key=lambda decision: self.size(decision.pair))
        candidates = [decision for decision in decisions if self._is_candidate(decision)]
        return min(candidates, key=lambda decision: self.size(decision.pair), default=None)

    def remaining(self) -> int:
        """Guesses the further runs to be expected, from what searches took in simulation, for time and cost."""
        if self.is_finished:
            return 0
        return max(min(self._expected(), self._left), len(self._ledger.pending), 1)

    # What it is told

    def _close(self, request: Request, score: float | None) -> None:
        counted = self._ledger.close(request, score)
        if request in self._again:
            self._again.remove(request)
        if counted is not None and request.arm != DENSE_ARM:
            self._unseen.append((request.arm, counted))
        if self._reference is None:
            self._check_dense_failures()
            if len(self.dense_scores()) < self.options.dense_seeds:
                return
            self._know_dense()
        elif counted is not None and request.arm == DENSE_ARM:
            self._posterior.observe_dense(self._ratio(counted))
        self._take_in()

    def _check_dense_failures(self) -> None:
        failures = self._ledger.failures(DENSE_ARM)
        if failures > self.options.dense_seeds / 2:
            raise RunFailed(f"{failures} runs of the dense arm ended in errors: see what they say, and start again")

    def _know_dense(self) -> None:
        scores = self.dense_scores()
        self._reference = dense_gain(scores, self.options.random, self.options.rule.statistic)
        self._begin([self._ratio(score) for score in scores])

    def _begin(self, dense: Sequence[float]) -> None:
        """Believe what is known before any sparse seed."""
        hypotheses = self.networks.hypotheses(spread(np.array(dense)) if dense else 0.0)
        threshold = self.options.rule.threshold
        self._posterior = Posterior(hypotheses, dense)
        self._keeping = curves_above(hypotheses, threshold)  # (H, A)
        self._harming = 1 - curves_above(hypotheses, threshold - HARM)
        self._expected_kept = hypotheses.prior @ self._keeping
        self._stand_anew()

    def _take_in(self) -> None:
        """Let the posterior and the checks know what is unseen, and see what follows."""
        for arm, score in self._unseen:
            self._posterior.observe(self._index[arm.pair], self._ratio(score))
        for check in self._checks.values():
            check.advance(self._gain)
        self._stand_anew()
        if self._unseen and self.networks.levels:
            self._note_belief()
        self._unseen = []
        if not self._finished:
            self._advance()

    def _stand_anew(self) -> None:
        """Forget what was derived from what was known before."""
        self._standing = self._stand()
        self._design = None
        self._decisions = None

    def _stand(self) -> Standing:
        mass = self._posterior.curve_mass
        closed = {network: check for network, check in self._checks.items() if not check.is_open}
        alone = {network: check.decision for network, check in closed.items() if check.decision is not None}
        upheld = [network for network, decision in alone.items() if decision.verdict == "accept"]
        flags = (self._flags(networks) for networks in (closed.keys() - alone.keys(), alone, upheld))
        kept, harm = mass @ self._keeping, mass @ self._harming
        return Standing(self.options.rule, self._sizes, self._expected_kept, kept, harm, *flags)

    def _flags(self, networks: Iterable[int]) -> Flags:
        """(A,): which are among them."""
        return np.isin(np.arange(len(self._sizes)), list(networks))

    @property
    def _gain(self) -> float:
        """That of the first dense seeds, which is ratio 1 to the posterior; they are known."""
        assert self._reference is not None
        return self._reference

    def _ratio(self, score: float) -> float:
        return (score - self.options.random) / self._gain

    def _note_belief(self) -> None:
        """The mass of each level, of being the sparsest that keeps the return; none at all counts with the densest."""
        kept = self._standing.kept
        mass = -np.diff(np.append(kept, 0.0))
        mass[0] += 1 - kept[0]
        self._beliefs.append(Belief(len(self._ledger.tells), self.networks.levels, tuple(map(float, mass))))

    # What is to be done

    def _next_arm(self) -> ArmKey | None:
        if self._ledger.promised(DENSE_ARM) < max(self.options.dense_seeds, len(self.options.known_dense)):
            return DENSE_ARM
        wanted = (check.next_arm() for check in self._checks.values())
        if (arm := next((arm for arm in wanted if arm is not None), None)) is not None:
            return arm
        return self._most_telling() if len(self._ledger.pending) < self._most_at_once else None

    @property
    def _most_at_once(self) -> int:
        """Under way: beyond that, what these will tell is worth more than runs that do not know it."""
        is_checking = any(check.is_open for check in self._checks.values())
        if is_checking:
            return LEAST_AT_ONCE
        if self._reference is None:
            return self.options.dense_seeds + (self._left - self.options.dense_seeds) // 3
        return max(LEAST_AT_ONCE, self._left // 2)

    def _most_telling(self) -> ArmKey:
        """Among networks and the dense arm, the one whose next seed tells most of what is open."""
        dense = len(self.networks.pairs)
        under_way = [self._index.get(request.arm.pair, dense) for request in self._ledger.pending]
        # Two networks are what is open now; what many runs under way will tell, opens the question of any other.
        is_open = self._standing.open if len(under_way) < LEAST_AT_ONCE else slice(None)
        self._design = self._design or Design(self._posterior)
        told = self._design.told(self._keeping[:, is_open], under_way)
        if self._ledger.promised(DENSE_ARM) >= self.options.max_dense_seeds:
            told = told[:dense]
        most = int(np.argmax(told))
        return DENSE_ARM if most == dense else ArmKey(self.networks.pairs[most], "search")

    def _advance(self) -> None:
        """Wait for the check that is open, begin another, or end."""
        if any(check.is_open for check in self._checks.values()):
            return
        standing, best = self._standing, self._standing.best
        if best is None:
            self._finished = standing.is_hopeless
        elif best in self._checks:
            is_done = standing.is_settled and standing.is_sure(best)
            self._finished = is_done or self._left < self.options.rule.min_seeds
        elif standing.is_settled or self._left <= LAST_RUNS + min(self.options.concurrency, self._left // 2):
            pair = self.networks.pairs[best]
            self._checks[best] = Check(best, pair, self._posterior, self._ledger, self.options)

    @property
    def _left(self) -> int:
        return self.options.max_runs - len(self._ledger.tells)

    # What it states

    def _decision(self, pair: Pair) -> Decision | None:
        """None: fewer seeds than say anything."""
        network = self._index[pair]
        check = self._checks.get(network)
        scores = (*self._ledger.scores(ArmKey(pair, "search")), *self._ledger.scores(ArmKey(pair, "confirm")))
        if len(scores) < FEWEST_SEEDS:
            return None
        fresh, surprise = (len(check.fresh), check.surprise) if check is not None else (0, None)
        own = check.decision if check is not None else None
        if own is not None:
            return replace(own, own_probability=own.probability, fresh=fresh, surprise=surprise)
        own = decide(pair, scores, self.dense_scores(), self.options.random, self.options.rule)
        return replace(
            own,
            probability=float(self._standing.kept[network]),
            verdict=self._standing.verdict(network),
            basis="posterior",
            own_probability=own.probability,
            fresh=fresh,
            surprise=surprise,
        )

    def _is_candidate(self, decision: Decision) -> bool:
        if decision.verdict == "reject":
            return False
        if decision.basis == "bootstrap":
            return decision.probability >= LIKELY
        return self._standing.is_candidate(self._index[decision.pair])

    def _expected(self) -> int:
        """Runs still to be expected, by how much dense seeds differ; beyond that a third of the rest."""
        quiet = QUIET_RUNS if self.networks.levels else QUIET_PLANE_RUNS
        noisy = NOISY_GROWTH * math.sqrt(max(self.options.max_runs - quiet, 0))
        return max(round(quiet + self._noise_share * noisy) - len(self._ledger.tells), self._left // 3)

    @property
    def _noise_share(self) -> float:
        """How noisy the dense seeds are, in [0, 1]; 1 from NOISE on, and until they are known."""
        if self._reference is None:
            return 1.0
        return min(float(np.std(self.dense_scores(), ddof=1)) / self._gain / NOISE, 1.0)
