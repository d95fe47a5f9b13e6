"""The tables of an archive: the paper's table 2 over all tasks, and of each task all its arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.report.analysis.arms import Arm, arms_of, dense_arm, percent, ratio_of
from rlx2_ray.report.analysis.outcomes import Outcome, no_reference, probability_words
from rlx2_ray.report.analysis.progress import duration
from rlx2_ray.report.archive.comparison import (
    is_plain,
    missing_methods,
    outcome_beside_own_dense,
    outcome_of,
    paper_of,
    plain_arms,
    rank,
    reference_pair,
)
from rlx2_ray.report.archive.paper import COLUMNS, PaperTask, paper_name, paper_steps, paper_tasks
from rlx2_ray.report.archive.reach import Reach, reach_of
from rlx2_ray.report.page.tables import COST_HEADINGS, UNKNOWN, Table, both_cell
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED
from rlx2_ray.search.statistics import statistic_of

NOT_RUN = "not run"
SPARSITY_HEADINGS = ("policy %", "critic %")


def overview_table(records: Sequence[Record]) -> Table:
    """Has two rows a task: measured here, and the paper's; those of the paper's tasks that nobody has run come last."""
    headings = ("alg", "env", "env steps", "from", *SPARSITY_HEADINGS, *COST_HEADINGS, "dense", *COLUMNS.values())
    rows = [row for record in records for row in _task_rows(record)]
    return Table(headings, (*rows, *_rows_not_run(records)), texts=4)


def _task_rows(record: Record) -> list[tuple[str, ...]]:
    config, paper = record.trials[0].config, paper_of(record)
    task = (config.algo.upper(), config.env.id, f"{config.steps:,}")
    arms = plain_arms(record)
    pair = reference_pair(record) or (0.0, 0.0)
    cells = [_kept(record, arms.get(method)) for method in COLUMNS]
    rows = [(*task, "here", *map(percent, pair), *_layered_costs(record), _dense_score(record), *cells)]
    if paper is not None:
        rows.append(_paper_row(*paper_name(config), paper))
    return rows


def _rows_not_run(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """None where no task is the paper's: then it is not the paper that they are to be compared with."""
    run = {paper_name(record.trials[0].config) for record in records}
    tasks = paper_tasks()
    if run.isdisjoint(tasks):
        return []
    rows = []
    for (algo, env), paper in tasks.items():
        if (algo, env) not in run:
            blank = (UNKNOWN,) * (len(SPARSITY_HEADINGS) + len(COST_HEADINGS))
            rows += [(algo.upper(), env, UNKNOWN, "here", *blank, *(NOT_RUN,) * (1 + len(COLUMNS)))]
            rows += [_paper_row(algo, env, paper)]
    return rows


def _paper_row(algo: str, env: str, paper: PaperTask) -> tuple[str, ...]:
    steps = f"{paper_steps():,}"
    return (algo.upper(), env, steps, "paper", *_paper_costs(paper), "100", *_paper_returns(paper))


def _layered_costs(record: Record) -> tuple[str, ...]:
    """Of the methods that have the layers of rlx2, whose sizes are the same."""
    arms = plain_arms(record)
    there = next((arms[method] for method in ("rlx2", "rigl", "set", "static") if method in arms), None)
    return _costs(outcome_of(record, there), there)


def _paper_costs(paper: PaperTask) -> tuple[str, ...]:
    ratios = f"{paper.size:.3f}", f"{paper.train:.3f}", UNKNOWN, f"{paper.inference:.3f}"
    return percent(paper.policy), percent(paper.critic), *ratios


def _paper_returns(paper: PaperTask) -> tuple[str, ...]:
    return tuple(f"{paper.returns[method]:.1f}" for method in COLUMNS)


def _kept(record: Record, arm: Arm | None) -> str:
    """ "97.0 (93 to 101), 8 seeds" in % of dense, and by the deployed score where it is known."""
    if arm is None or not arm.scores:
        return NOT_RUN
    outcome = outcome_of(record, arm)
    if outcome is None:
        return f"score {statistic_of(arm.scores):.5g}, {_seeds(len(arm.scores))}"
    deployed = outcome_of(record, arm, DEPLOYED)
    return _kept_words(outcome) + (f"; deployed {_kept_words(deployed)}" if deployed else "")


def _kept_words(outcome: Outcome) -> str:
    span = " ({:.0f} to {:.0f})".format(*(100 * bound for bound in outcome.interval)) if outcome.interval else ""
    return f"{100 * outcome.ratio:.1f}{span}, {_seeds(outcome.seeds)}"


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _dense_score(record: Record) -> str:
    dense = dense_arm(record)
    return NOT_RUN if dense is None else f"{dense.statistic:.5g}, {_seeds(len(dense.seeds))}"


OWN_DENSE = "% of dense with its switches"
ARM_HEADINGS = (
    *("arm", *SPARSITY_HEADINGS, *COST_HEADINGS, "score", "% of dense", "95 % interval", "P(R ≥ 0.97)", "seeds"),
    *("deployed", "deployed: % of dense", OWN_DENSE),
    *("time to train", "env steps/s", "reaches dense after", "paper: % of dense"),
)


def arm_table(record: Record) -> Table:
    """Has every arm of a task, the methods of the paper first, those that nobody has run among them."""
    rows = [(rank(arm.trials[0].config.method), _arm_row(record, arm)) for arm in arms_of(record)]
    for method in missing_methods(record):
        blank = [UNKNOWN] * len(ARM_HEADINGS)
        blank[0], blank[ARM_HEADINGS.index("% of dense")], blank[-1] = method, NOT_RUN, _paper_return(record, method)
        rows.append((rank(method), tuple(blank)))
    return _without(OWN_DENSE, Table(ARM_HEADINGS, tuple(row for _, row in sorted(rows, key=lambda ranked: ranked[0]))))


def _without(heading: str, table: Table) -> Table:
    """Leaves a column out that nothing is known in."""
    place = table.headings.index(heading)
    if any(row[place] != UNKNOWN for row in table.rows):
        return table
    rest = [(*row[:place], *row[place + 1 :]) for row in (table.headings, *table.rows)]
    return table._replace(headings=rest[0], rows=tuple(rest[1:]))


def _arm_row(record: Record, arm: Arm) -> tuple[str, ...]:
    outcome = outcome_of(record, arm)
    score = f"{statistic_of(arm.scores):.5g}" if arm.scores else UNKNOWN
    return (
        arm.label,
        *_sparsities(arm),
        *_costs(outcome, arm),
        score,
        *((_dense_share(record), *_dense_interval(record)) if arm.is_dense else _ratio_cells(outcome)),
        str(len(arm.scores)),
        _deployed_cell(arm),
        _deployed_ratio(record, arm),
        _own_dense_cell(record, arm),
        *_time_cells(arm),
        _reach_cell(record, arm),
        _paper_cell(record, arm),
    )


def _sparsities(arm: Arm) -> tuple[str, str]:
    """As the runs had them: some methods make their own."""
    first = arm.trials[0]
    policy = first.result.get("policy_sparsity", first.policy_sparsity)
    return percent(policy), percent(first.result.get("critic_sparsity", first.critic_sparsity))


def _costs(outcome: Outcome | None, arm: Arm | None) -> tuple[str, ...]:
    """Without a dense arm as the runs themselves gave them."""
    names = ("size_ratio", "train_flops_ratio_paper", "train_flops_ratio_counted", "inference_flops_ratio")
    costs = outcome.costs if outcome else None
    known = costs._asdict() if costs else arm.trials[0].result if arm else {}
    return tuple(f"{known[name]:.3f}" if name in known else UNKNOWN for name in names)


def _dense_share(record: Record) -> str:
    return UNKNOWN if no_reference(record) else "100"


def _dense_interval(record: Record) -> tuple[str, str]:
    dense = dense_arm(record)
    if dense is None or dense.interval is None:
        return UNKNOWN, UNKNOWN
    if no_reference(record) is not None:
        return UNKNOWN, UNKNOWN
    low, high = (100 * ratio_of(dense, bound) for bound in dense.interval)
    return f"{low:.1f} to {high:.1f}", UNKNOWN


def _ratio_cells(outcome: Outcome | None) -> tuple[str, str, str]:
    if outcome is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    interval, probability = outcome.interval, outcome.probability
    return (
        f"{100 * outcome.ratio:.1f}",
        UNKNOWN if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        UNKNOWN if probability is None else probability_words(probability),
    )


def _deployed_cell(arm: Arm) -> str:
    """The statistic of the deployed scores, and of how many seeds, since runs of earlier versions have none."""
    scores = arm.by(DEPLOYED)
    return f"{statistic_of(scores):.5g} ({len(scores)})" if scores else UNKNOWN


def _deployed_ratio(record: Record, arm: Arm) -> str:
    """Of the seeds of both arms that have it, and how many of dense's these are."""
    dense = dense_arm(record, DEPLOYED)
    outcome = outcome_of(record, arm, DEPLOYED)
    if dense is None or outcome is None:
        return UNKNOWN
    return f"{both_cell(outcome)} ({len(dense.seeds)} dense)"


def _own_dense_cell(record: Record, arm: Arm) -> str:
    """By both scores, as far as they are known."""
    final = outcome_beside_own_dense(record, arm)
    if final is None:
        return UNKNOWN
    deployed = outcome_beside_own_dense(record, arm, DEPLOYED)
    return both_cell(final) + (f"; deployed {both_cell(deployed)}" if deployed else "")


def _time_cells(arm: Arm) -> tuple[str, str]:
    """Medians over the seeds."""
    wall_s, rate = median_of(arm, "wall_s"), median_of(arm, "env_steps_per_s")
    return (UNKNOWN if wall_s is None else duration(wall_s)), (UNKNOWN if rate is None else f"{rate:,.0f}")


def median_of(arm: Arm, key: str) -> float | None:
    """Returns that of a number in the results of an arm's whole runs; None where none has it."""
    numbers = [trial.result[key] for trial in arm.trials if key in trial.result and not trial.ended_early]
    return float(np.median(numbers)) if numbers else None


def _reach_cell(record: Record, arm: Arm) -> str:
    dense = dense_arm(record)
    return UNKNOWN if dense is None else reach_words(reach_of(arm, dense.statistic))


def reach_words(reach: Reach) -> str:
    """Returns such as "45 % (3 of 3)": of the env steps, and the seeds that got there."""
    when = "never" if reach.fraction is None else f"{100 * reach.fraction:.0f} %"
    return f"{when} ({reach.reached} of {reach.seeds})"


def _paper_cell(record: Record, arm: Arm) -> str:
    """What the paper has for the arm, an n-step ablation of rlx2 included."""
    paper, first = paper_of(record), arm.trials[0]
    pair = (arm.policy_sparsity, arm.critic_sparsity)
    if paper is None or pair not in ((paper.policy, paper.critic), (0.0, 0.0)):
        return UNKNOWN
    if is_plain(first):
        return _paper_return(record, first.config.method)
    own = {key: value for key, value in first.changes.items() if not key.startswith("sparsity.")}
    is_ablation = first.config.method == "rlx2" and own.keys() == {"target.n_step"}
    known = paper.n_step.get(own["target.n_step"]) if is_ablation else None
    return UNKNOWN if known is None else f"{known:.1f}"


def _paper_return(record: Record, method: str) -> str:
    paper = paper_of(record)
    known = {"dense": 100.0, **(paper.returns if paper else {})}.get(method)
    return UNKNOWN if known is None or paper is None else f"{known:.1f}"
