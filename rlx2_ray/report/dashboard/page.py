"""The pieces of the dashboard's page: its frame, the header of a record, the table of its trials."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from rlx2_ray.report.analysis.arms import dense_arm, percent, ratio_of, short, show
from rlx2_ray.report.analysis.outcomes import no_reference
from rlx2_ray.report.analysis.progress import Progress, duration, progress_of
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.figures.theme import GRAPH_CONFIG, HEIGHT, TOLERANCE, empty_figure
from rlx2_ray.report.page.answer import answer, first_sentence
from rlx2_ray.report.page.arm_tables import CAPTION, PAIRS_CAPTION, pair_tables, standing_table
from rlx2_ray.report.page.summary import details
from rlx2_ray.report.page.tables import Table
from rlx2_ray.report.record.record import DenseArm, Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import DEPLOYED, FINAL, ScoreName
from rlx2_ray.tracking import link as mlflow_link

Component = Any  # dash has no types of its own
# Of a graph: its panel knows how tall its figure is.
TALL_AS_DRAWN = {"height": f"var(--height, {HEIGHT}px)"}
STATE_ORDER = {"running": 0, "failed": 1, "interrupted": 2, "finished": 3}


def page(refresh_s: float, uri: str, has_links: bool) -> Component:
    """Returns the frame, which callbacks fill."""
    hint = "" if has_links else f" Runs link to MLflow with --mlflow-ui URL (mlflow ui --backend-store-uri {uri})."
    return html.Div(
        className="page",
        children=[
            html.Div(
                className="bar",
                children=[
                    html.H1("rlx2"),
                    dcc.Dropdown(id="choice", clearable=False, placeholder="no sweep yet", className="choice"),
                ],
            ),
            html.Div(id="problem"),
            html.Div(id="header"),
            html.Div(
                id="tasks",
                className="card",
                style={"display": "none"},
                children=[
                    html.H2("Task"),
                    dcc.Dropdown(id="task", placeholder="the first that is not finished", className="trial"),
                ],
            ),
            html.Div(
                className="card",
                children=[html.H2("Trials"), html.Div(id="trials", className="scroll trials")],
            ),
            html.Div(id="arms"),
            html.Div(className="grid", children=[_panel(name) for name in PANELS]),
            html.P(f"Store: {uri}, read every {refresh_s:g} s.{hint}", className="muted"),
            dcc.Interval(id="tick", interval=int(1000 * refresh_s)),
            dcc.Store(id="shown"),
        ],
    )


def _panel(name: str) -> Component:
    panel = PANELS[name]
    children = [html.H2(panel.title), html.P(panel.caption, className="muted")]
    if name == "topology":
        children.append(dcc.Dropdown(id="trial", placeholder="trial: the winner, or the latest", className="trial"))
    graph = dcc.Graph(id=f"figure-{name}", figure=empty_figure("reading"), config=GRAPH_CONFIG, style=TALL_AS_DRAWN)
    return html.Div(id=f"panel-{name}", className="card panel", children=[*children, graph])


def header(record: Record) -> Component:
    """Tells state, progress, and what is known or believed now."""
    progress = progress_of(record)
    verdict = record.ultimate.verdict if record.ultimate is not None else "none"
    first, rest = first_sentence(answer(record))
    return html.Div(
        className=f"card headline {verdict}",
        children=[
            html.P(first, className="verdict"),
            *[html.P(line) for line in (rest, *details(record)) if line],
            html.Div(className="facts", children=_facts(record, progress)),
        ],
    )


def _facts(record: Record, progress: Progress) -> list[Component]:
    facts = [
        _fact("state", html.Span(record.state, className=f"badge {record.state}")),
        _fact("runs", f"{progress.done} of {progress.planned}", f"{progress.running} running"),
        _fact("env steps", _count(progress.env_steps), f"of about {_count(progress.planned_steps)}"),
        _fact("speed", f"{progress.env_steps_per_s:,.0f}/s" if progress.running else "-", "env steps, all trials"),
    ]
    if record.state == "running":
        left = progress.remaining_s
        facts.append(
            _fact("time left", "-" if left is None else duration(left), "at this speed, if all runs are needed")
        )
    if record.started:
        until = time.time() if record.state == "running" else record.updated or record.started
        facts.append(_fact("running for" if record.state == "running" else "took", duration(until - record.started)))
    facts.append(html.Div(className="fact grow", children=[_bar(progress.fraction, f"{progress.fraction:.0%}")]))
    return facts


def _fact(name: str, value: Any, more: str = "") -> Component:
    children = [html.Div(name, className="name"), html.Div(value, className="value"), html.Div(more, className="more")]
    return html.Div(className="fact", children=children)


def _bar(fraction: float, words: str) -> Component:
    filled = html.Div(className="filled", style={"width": f"{100 * fraction:.1f}%"})
    return html.Div(className="progress", children=[html.Div(className="track", children=filled), html.Span(words)])


def _count(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def trial_table(record: Record, mlflow_ui: str | None) -> Component:
    """Has a row a trial, running ones first, then the latest first."""
    keys = list(dict.fromkeys(key for trial in record.trials for key in trial.changes))
    headings = ["trial", *(f"{short(key)} %" if key.startswith("sparsity.") else short(key) for key in keys), "seed",
                "state", "progress", "latest return", "score", "% of dense", "deployed",
                "deployed, % of dense"]  # fmt: skip
    is_measure = no_reference(record) is None
    dense = {name: dense_arm(record, name) if is_measure else None for name in (FINAL, DEPLOYED)}
    trials = sorted(reversed(record.trials), key=lambda trial: STATE_ORDER.get(trial.state, 9))
    texts = ("trial", "state", "progress")
    head = html.Tr([html.Th(name, className="text" if name in texts else None) for name in headings])
    rows = [_row(record, trial, keys, dense, mlflow_ui) for trial in trials]
    return html.Table([html.Thead(head), html.Tbody(rows)])


def _row(
    record: Record, trial: Trial, keys: Sequence[str], dense: Mapping[ScoreName, DenseArm | None], mlflow_ui: str | None
) -> Component:
    link = run_link(record, trial, mlflow_ui)
    name = html.A(trial.name, href=link, target="_blank") if link else trial.name
    state = "stopped early" if trial.ended_early else trial.state
    return html.Tr(
        [
            html.Td(name, className="text name", title=trial.name),
            *[html.Td(_cell(key, trial.changes.get(key))) for key in keys],
            html.Td(trial.seed),
            html.Td(html.Span(state, className=f"badge {trial.state}"), className="text"),
            html.Td(_bar(trial.progress, f"{trial.progress:.0%}"), className="text"),
            html.Td(_number(trial.returns.latest)),
            html.Td("-" if trial.score is None else _number(trial.score)),
            _against_dense(dense[FINAL], trial.score_so_far),
            html.Td("-" if trial.deployed is None else _number(trial.deployed)),
            _against_dense(dense[DEPLOYED], math.nan if trial.deployed is None else trial.deployed),
        ]
    )


def arm_tables(record: Record) -> Component:
    """Returns the arms beside each other, as the report has them; nothing of a compression, whose arms meet dense."""
    standing = standing_table(record)
    if record.kind == "compress" or not standing.rows:
        return []
    pairs = pair_tables(record)
    parts = [html.H2("Arms beside each other"), html.P(CAPTION, className="muted"), _table(standing)]
    if pairs:
        parts += [html.P(PAIRS_CAPTION, className="muted"), *map(_table, pairs)]
    return html.Div(className="card", children=parts)


def _table(table: Table) -> Component:
    head = html.Tr([html.Th(name, className=_class_of(table, place)) for place, name in enumerate(table.headings)])
    rows = [
        html.Tr([html.Td(cell, className=_class_of(table, place)) for place, cell in enumerate(row)])
        for row in table.rows
    ]
    return html.Div(html.Table([html.Thead(head), html.Tbody(rows)]), className="scroll")


def _class_of(table: Table, place: int) -> str | None:
    return "text" if place < table.texts else None


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    return percent(value) if key.startswith("sparsity.") else show(key, value)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.1f}"


def _against_dense(dense: DenseArm | None, score: float) -> Component:
    """R, and whether it is above, in or below the band of dense +- 3 %: in words of a symbol, and in colour."""
    ratio = float("nan") if dense is None else ratio_of(dense, score)
    if math.isnan(ratio):
        return html.Td("-")
    symbol, name = ("▼", "below") if ratio < 1 - TOLERANCE else ("▲", "above") if ratio > 1 + TOLERANCE else ("●", "in")
    return html.Td(f"{100 * ratio:.1f} {symbol}", className=f"band-{name}", title=f"{name} the band of dense ± 3 %")


def run_link(record: Record, trial: Trial, mlflow_ui: str | None) -> str | None:
    """Returns the address of the trial's page in MLflow's own user interface, if it has one."""
    tracking = record.tracking
    if trial.run_id is None or tracking is None or tracking.experiment_id is None:
        return None
    return mlflow_link.run_link(mlflow_ui or tracking.uri, tracking.experiment_id, trial.run_id)
