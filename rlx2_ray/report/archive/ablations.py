"""The ablations of rlx2 in a task: each with what it keeps of dense, and what the paper has for it.

Switches that are on are among them, at whatever sparsities they were tried.
"""

from __future__ import annotations

from dataclasses import replace

from rlx2_ray.config import Tree
from rlx2_ray.report.analysis.arms import SPARSITIES, Arm, arms_of, short, show, sparsities
from rlx2_ray.report.archive.comparison import outcome_of, pair_of, paper_of, reference_pair
from rlx2_ray.report.figures.bars import Bar
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED
from rlx2_ray.search.decision import Pair

WINDOW = "target.n_step"


def window_bars(record: Record) -> list[Bar]:
    """Returns rlx2 by the length of its target's window, 1 to 5 where the paper has them; none where there is one."""
    arms = {arm.trials[0].config.target.n_step: arm for arm in _arms(record) if not _own(arm).keys() - {WINDOW}}
    paper = paper_of(record)
    theirs = paper.n_step if paper is not None else {}
    lengths = sorted({*arms, *theirs}) if len(arms) > 1 else []
    return [_bar(record, str(n), arms.get(n), theirs.get(n)) for n in lengths]


def ablation_bars(record: Record) -> list[Bar]:
    """Returns rlx2, then with other values of keys that are not its window's length; none where there are none such.

    One after the other at each pair of sparsities where there are.
    """
    pairs: dict[Pair, list[Arm]] = {}
    for arm in _all_arms(record):
        if _own(arm).keys() != {WINDOW}:
            pairs.setdefault(pair_of(arm.trials[0]), []).append(arm)
    ablated = [arms for _, arms in sorted(pairs.items()) if len(arms) > 1]
    return [_bar(record, _label(arm, len(ablated) > 1), arm, None) for arms in ablated for arm in arms]


def _bar(record: Record, label: str, arm: Arm | None, paper: float | None) -> Bar:
    return Bar(label, outcome_of(record, arm), paper, outcome_of(record, arm, DEPLOYED))


def _arms(record: Record) -> list[Arm]:
    """rlx2 at the reference pair, as it is and then otherwise."""
    pair = reference_pair(record)
    return [arm for arm in _all_arms(record) if pair_of(arm.trials[0]) == pair]


def _all_arms(record: Record) -> list[Arm]:
    own = [trial for trial in record.trials if trial.config.method == "rlx2"]
    return arms_of(replace(record, trials=tuple(own)))


def _own(arm: Arm) -> Tree:
    return {key: value for key, value in arm.trials[0].changes.items() if key not in SPARSITIES}


def _label(arm: Arm, has_pairs: bool) -> str:
    words = ", ".join(f"{short(key)} {show(key, value)}" for key, value in _own(arm).items()) or "rlx2"
    return f"{words}, {sparsities(arm.trials[0])}" if has_pairs else words
