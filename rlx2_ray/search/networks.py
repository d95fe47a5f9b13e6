"""The networks that a search chooses from, with what may be true of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlx2_ray.search.decision import Pair, Rule
from rlx2_ray.search.hypotheses import Hypotheses, line_hypotheses, plane_hypotheses


class Networks(NamedTuple):
    """A networks, and the family of curves over them."""

    pairs: tuple[Pair, ...]  # (A,)
    levels: tuple[float, ...]  # in 1-D the sparsities that vary, ascending; in 2-D empty
    hypotheses: Callable[[float], Hypotheses]  # over the same networks; by the noise of dense seeds, over their gain


def line_networks(pairs: Sequence[Pair], rule: Rule) -> Networks:
    """Returns those of one axis, from dense to sparse and log-spaced in density: the pairs of `levels.line`."""
    varied = 0 if pairs[0][0] != pairs[-1][0] else 1

    def hypotheses(noise: float) -> Hypotheses:
        return line_hypotheses(len(pairs), rule.threshold, rule.statistic, noise)

    return Networks(tuple(pairs), tuple(pair[varied] for pair in pairs), hypotheses)


def plane_networks(policy: Sequence[float], critic: Sequence[float], rule: Rule) -> Networks:
    """Returns all pairs of these sparsities and 0 but (0, 0); each ascending and log-spaced in density."""
    pairs = [(one, other) for one in (0.0, *policy) for other in (0.0, *critic)]

    def hypotheses(noise: float) -> Hypotheses:
        return plane_hypotheses(len(policy), len(critic), rule.threshold)

    return Networks(tuple(pairs[1:]), (), hypotheses)
