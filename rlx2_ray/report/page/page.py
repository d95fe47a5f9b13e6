"""The report of a record: one HTML file that needs nothing else, or the same text and tables as Markdown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlx2_ray import files
from rlx2_ray.report.analysis.arms import by_task
from rlx2_ray.report.page import markdown
from rlx2_ray.report.page.answer import answer, first_sentence, task_of
from rlx2_ray.report.page.arm_tables import CAPTION, PAIRS_CAPTION, pair_tables, standing_table
from rlx2_ray.report.page.sizes import CAPTION as SIZES_CAPTION
from rlx2_ray.report.page.sizes import size_table
from rlx2_ray.report.page.summary import KINDS, command_of, details, protocol_of
from rlx2_ray.report.page.tables import DEPLOYED_HEADING, cost_table, score_table, version_table
from rlx2_ray.report.record.record import Record
from rlx2_ray.tracking.uri import redacted
from rlx2_ray.types import BadInput

if TYPE_CHECKING:  # plotly is only for figures
    from rlx2_ray.report.figures.panels import Panel

ASSETS = resources.files("rlx2_ray.report") / "assets"
COSTS_CAPTION = (
    "Size and FLOPs as ratios to dense; size and the paper's FLOPs as RLx2 (arXiv 2205.15043, table 2) counts them, "
    "counted: the multiply-adds that this software does."
)
WORDS = (
    "scores (seed)",
    DEPLOYED_HEADING,
    "verdict",
    "arm",
    "above",
)  # headings of columns that hold words, wherever they stand


class DrawnPanel(NamedTuple):
    title: str
    caption: str
    html: Markup


def write_report(record: Record, path: Path) -> Path:
    """Writes one self-contained HTML file. Raises BadInput where it cannot be written."""
    return write_page(path, report_html(record))


def write_figures(record: Record, folder: Path) -> None:
    """Writes each figure as a page of its own; they share a plotly.min.js beside them, and need no network."""
    from plotly.offline import get_plotlyjs

    from rlx2_ray.report.figures.panels import PANELS
    from rlx2_ray.report.figures.theme import GRAPH_CONFIG

    folder.mkdir(exist_ok=True)
    write_page(folder / "plotly.min.js", get_plotlyjs())
    for name, _, panel, part in _wanted_panels(record, PANELS):
        page = panel.draw(part).to_html(include_plotlyjs="directory", config=GRAPH_CONFIG)
        write_page(folder / f"{name}.html", page)


def write_markdown(record: Record, path: Path) -> Path:
    """Writes text and tables. Raises BadInput where it cannot be written."""
    return write_page(path, report_markdown(record))


def write_page(path: Path, text: str | bytes) -> Path:
    """Writes it whole or not at all. Raises BadInput where it cannot be written."""
    try:
        files.write(path, text)
    except OSError as error:
        raise BadInput(f"--out is {path}, which cannot be written ({error.strerror}): give another one.") from None
    return path


def report_html(record: Record) -> str:
    from rlx2_ray.report.figures.panels import PANELS

    return _render(
        "report.html.j2",
        record,
        **page_parts(),
        kind=record.kind,
        panels=draw_panels(record, PANELS),
        words=WORDS,
        verdict=verdict_of(record),
        subtitle=subtitle_of([record]),
        tracking=record.tracking and replace(record.tracking, uri=redacted(record.tracking.uri)),
    )


def report_markdown(record: Record) -> str:
    return _render("report.md.j2", record)


def _render(template: str, record: Record, **more: Any) -> str:
    headline, rest = first_sentence(answer(record))
    return render(
        template,
        title=title_of(record),
        headline=headline,
        answer=rest,
        details=details(record),
        costs=cost_table(record),
        costs_caption=COSTS_CAPTION,
        sizes=size_table(record),
        sizes_caption=SIZES_CAPTION,
        standings=standing_table(record) if record.kind != "compress" else None,  # that has its own, against dense
        standings_caption=CAPTION,
        pairs=pair_tables(record),
        pairs_caption=PAIRS_CAPTION,
        scores=score_table(record),
        protocol=protocol_of(record),
        command=command_of(record),
        versions=version_table(record),
        **more,
    )


def render(template: str, **values: Any) -> str:
    """Fills a template of `assets/`; what comes into HTML is escaped."""
    environment = Environment(
        loader=PackageLoader("rlx2_ray.report", "assets"),
        autoescape=".html" in template,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": markdown.plain, "cell": markdown.cell, "code": markdown.code}
    return environment.get_template(template).render(**values)


def page_parts() -> dict[str, Markup]:
    """Returns what makes a page whole in itself."""
    from plotly.offline import get_plotlyjs

    return {"style": Markup((ASSETS / "page.css").read_text()), "plotly_js": Markup(get_plotlyjs())}


def draw_panels(record: Record, panels: Mapping[str, Panel], prefix: str = "figure") -> list[DrawnPanel]:
    """Draws figures as HTML that needs plotly.js on the page; `prefix`: of the ids of their elements."""
    from rlx2_ray.report.figures.theme import GRAPH_CONFIG

    drawn = []
    for name, title, panel, part in _wanted_panels(record, panels):
        html = panel.draw(part).to_html(
            full_html=False, include_plotlyjs=False, config=GRAPH_CONFIG, div_id=f"{prefix}-{name}"
        )
        drawn.append(DrawnPanel(title, panel.caption, Markup(html)))
    return drawn


def _wanted_panels(record: Record, panels: Mapping[str, Panel]) -> Iterator[tuple[str, str, Panel, Record]]:
    """Name, title and panel of every figure, and what it is of: one task, where there are several."""
    parts = by_task(record)
    for place, part in enumerate(parts):
        for name, panel in panels.items():
            if panel.is_wanted(part):
                several = len(parts) > 1
                title = f"{task_of(part)}: {panel.title}" if several else panel.title
                yield f"{name}-{place}" if several else name, title, panel, part


def title_of(record: Record) -> str:
    return f"{KINDS.get(record.kind, record.kind)}: {record.name}"


def verdict_of(record: Record) -> str:
    """Returns the class of the headline, which colours it."""
    return record.ultimate.verdict if record.ultimate is not None else "none"


def subtitle_of(records: Sequence[Record]) -> str:
    states = dict.fromkeys(record.state for record in records)
    trials = [trial for record in records for trial in record.trials]
    env_steps = sum(trial.env_steps for trial in trials)
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{', '.join(states)}, {len(trials)} runs, {env_steps:,} env steps; written {written}"
