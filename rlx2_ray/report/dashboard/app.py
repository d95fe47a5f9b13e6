"""The dashboard: a web page over a tracking store, live while a sweep runs. It reads, and writes nothing."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from rlx2_ray.report.analysis.arms import by_task
from rlx2_ray.report.dashboard.guard import guard
from rlx2_ray.report.dashboard.page import arm_tables, header, page, trial_table
from rlx2_ray.report.dashboard.source import Source
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.figures.theme import HEIGHT, empty_figure
from rlx2_ray.report.figures.topology import layer_overlaps, topology
from rlx2_ray.report.page.answer import task_of
from rlx2_ray.report.page.page import ASSETS
from rlx2_ray.report.record.record import Record
from rlx2_ray.tracking.reader import TrackingReader
from rlx2_ray.types import BadInput

SHOWN, HIDDEN = {"display": "block"}, {"display": "none"}


class Dashboard:
    """The callbacks; each is a plain method that can be called without a browser."""

    def __init__(self, source: Source, refresh_s: float, mlflow_ui: str | None) -> None:
        self.source = source
        self.refresh_s = refresh_s
        self.mlflow_ui = mlflow_ui

    def choose(self, tick: int | None, chosen: str | None) -> tuple[Any, Any]:
        """Returns the options of the choice, and what is chosen: what was, while it is there, else the first."""
        try:
            choices = self.source.choices()
        except BadInput:
            raise PreventUpdate from None  # `show` says it
        keys = [choice.key for choice in choices]
        options = [{"value": choice.key, "label": choice.label} for choice in choices]
        return options, no_update if chosen in keys else next(iter(keys), None)

    def show(
        self, tick: int | None, chosen: str | None, task: str | None, trial: str | None, shown: str | None
    ) -> dict[str, Any]:
        """Returns what is on the page; nothing where it is what is `shown` already.

        Of several tasks the trials and figures of one are shown, `task`, or else of the first that is not finished.
        """
        if chosen is None:
            raise PreventUpdate
        try:
            record = self.source.record(chosen)
        except BadInput as problem:
            return self._keep() | {"problem": str(problem)}
        now = fingerprint(chosen, task, trial, record)
        if now == shown:
            return self._keep() | {"problem": ""}
        parts = {name_of_task(part): part for part in by_task(record)}
        part = parts.get(task or "") or next(filter(has_work, parts.values()), next(iter(parts.values())))
        drawn = {f"figure-{name}": self._draw(name, part, trial) for name in PANELS}
        visible = {
            f"panel-{name}": SHOWN | {"--height": f"{height_of(drawn[f'figure-{name}'])}px"}
            if panel.is_wanted(part)
            else HIDDEN
            for name, panel in PANELS.items()
        }
        content = {
            "problem": "",
            "header": header(record),
            "task": list(parts),
            "tasks": SHOWN if len(parts) > 1 else HIDDEN,
            "trials": trial_table(part, self.mlflow_ui),
            "arms": arm_tables(part),
            "trial": [each.name for each in part.trials if layer_overlaps(each)],
            "shown": now,
        }
        return content | drawn | visible

    def _draw(self, name: str, record: Record, trial: str | None) -> Any:
        if not PANELS[name].is_wanted(record):
            return empty_figure("")
        figure = topology(record, trial) if name == "topology" else PANELS[name].draw(record)
        return figure.update_layout(uirevision=record.source + record.name)  # a zoom stays until another is chosen

    def _keep(self) -> dict[str, Any]:
        return dict.fromkeys(outputs(), no_update)


def outputs() -> dict[str, Output]:
    """Returns what `show` sets, by the names it uses."""
    content = {
        "problem": Output("problem", "children"),
        "header": Output("header", "children"),
        "task": Output("task", "options"),
        "tasks": Output("tasks", "style"),
        "trials": Output("trials", "children"),
        "arms": Output("arms", "children"),
        "trial": Output("trial", "options"),
        "shown": Output("shown", "data"),
    }
    figures = {f"figure-{name}": Output(f"figure-{name}", "figure") for name in PANELS}
    return content | figures | {f"panel-{name}": Output(f"panel-{name}", "style") for name in PANELS}


def height_of(figure: Any) -> int:
    return int(figure.layout.height or HEIGHT)


def name_of_task(part: Record) -> str:
    return f"{task_of(part)}, {part.trials[0].config.steps:,} env steps" if part.trials else task_of(part)


def has_work(part: Record) -> bool:
    return any(trial.state != "finished" for trial in part.trials)


def fingerprint(chosen: str, task: str | None, trial: str | None, record: Record) -> str:
    """Returns a text that is another one when there is something new to show."""
    trials = [(each.name, each.state, each.env_steps, each.score, each.deployed) for each in record.trials]
    return str(
        hash(repr((chosen, task, trial, record.state, record.decisions, record.beliefs[-1:], record.messages, trials)))
    )


def make_app(dashboard: Dashboard, host: str = "127.0.0.1") -> Dash:
    """Returns the page, for who asks the machine that listens on `host`; all that it serves comes from there."""
    app = Dash(
        "rlx2", title="rlx2", update_title="", assets_folder=str(ASSETS), serve_locally=True, enable_mcp=False,
        add_log_handler=False,
    )  # fmt: skip
    app.layout = page(dashboard.refresh_s, dashboard.source.uri, dashboard.mlflow_ui is not None)
    tick = Input("tick", "n_intervals")
    app.callback(Output("choice", "options"), Output("choice", "value"), tick, State("choice", "value"))(
        dashboard.choose
    )
    chosen = [Input(name, "value") for name in ("choice", "task", "trial")]
    app.callback(outputs(), tick, *chosen, State("shown", "data"))(dashboard.show)
    guard(app, host)
    return app


def make_dashboard(
    tracking_uri: str, experiment: str | None, refresh_s: float = 5.0, mlflow_ui: str | None = None
) -> Dashboard:
    """Returns that of a store. Raises BadInput where it cannot be read, or has no such experiment."""
    reader = TrackingReader(tracking_uri)
    ui = mlflow_ui or (reader.uri if reader.is_server else None)
    return Dashboard(Source(reader, experiment), refresh_s, ui)
