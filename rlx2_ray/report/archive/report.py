"""The report of an archive: as one HTML file, or as Markdown, with pictures that somebody else draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.report.analysis.arms import Arm
from rlx2_ray.report.archive.comparison import outcome_of, plain_arms
from rlx2_ray.report.archive.paper import paper_source
from rlx2_ray.report.archive.reach import WINDOW
from rlx2_ray.report.archive.tables import arm_table, overview_table
from rlx2_ray.report.archive.tasks import Archive
from rlx2_ray.report.archive.words import answers, overview_words, rlx2_overview, task_words
from rlx2_ray.report.page.arm_tables import PAIRS_CAPTION, pair_tables
from rlx2_ray.report.page.held import CAPTION, held_table
from rlx2_ray.report.page.page import WORDS, draw_panels, page_parts, render, subtitle_of, write_page
from rlx2_ray.report.page.sizes import CAPTION as SIZES_CAPTION
from rlx2_ray.report.page.sizes import size_table
from rlx2_ray.report.page.summary import protocol_of
from rlx2_ray.report.page.tables import score_table, version_table
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED

REPETITION = (
    "To repeat a run, give 'rlx2 train' its configuration, which its file has as JSON in the metadata under rlx2.run."
)
OVERVIEW_CAPTION = (
    "Methods in % of what the dense arm of the same task gained over random actions, with a 95 % interval; dense: its "
    "score. Size and FLOPs as ratios to dense; counted: the multiply-adds that this software does. Deployed: the same "
    "by what the policy of the best evaluation comes to on fresh episodes, of the seeds that have it. "
)
ARMS_CAPTION = (
    "Score: interquartile mean over seeds of the mean of the last evaluations. R is the ratio of an arm's gain over "
    "random actions to dense's. Deployed: the same statistic of what the policy of a run's best evaluation came to, "
    "played again on fresh episodes, which says how good the file is that the run hands out (seeds that have it; those "
    "of earlier versions do not). % of dense with its switches: beside dense runs that have them too. Time to train: "
    "median from start to end, evaluations included, of runs that may have "
    f"shared their machine with others. Reaches dense: when the mean of the latest {WINDOW} evaluations is at dense's "
    "score, median over seeds (seeds that get there). A dash: not known."
)


class Picture(NamedTuple):
    words: str
    file: str  # beside the Markdown file


def write_report(archive: Archive, path: Path) -> Path:
    """Writes one self-contained HTML file. Raises BadInput where it cannot be written."""
    return write_page(path, report_html(archive))


def write_markdown(archive: Archive, path: Path) -> Path:
    """Writes text and tables. Raises BadInput where it cannot be written."""
    return write_page(path, report_markdown(archive))


def report_html(archive: Archive) -> str:
    from rlx2_ray.report.archive.panels import TASK_PANELS

    tasks = [
        _task(record) | {"panels": draw_panels(record, TASK_PANELS, f"task-{number}")}
        for number, record in enumerate(archive.records, start=1)
    ]
    more = {"headline": rlx2_overview(archive.records), "answers": answers(archive.records)}
    more |= {"subtitle": subtitle_of(archive.records), "words": WORDS, "kind": "archive", **page_parts()}
    return render("archive.html.j2", tasks=tasks, **(_parts(archive) | more))


def report_markdown(archive: Archive, pictures: Mapping[str, Sequence[Picture]] | None = None) -> str:
    """Returns text and tables; `pictures`: of each task, by its name."""
    shown = pictures or {}
    tasks = [_task(record) | {"pictures": shown.get(record.name, ())} for record in archive.records]
    return render("archive.md.j2", tasks=tasks, **_parts(archive))


def _parts(archive: Archive) -> dict[str, Any]:
    return {
        "title": f"Archive: {archive.folder.name}",
        "headline": overview_words(archive.records),
        "overview": overview_table(archive.records),
        "overview_caption": OVERVIEW_CAPTION + f"Paper: {paper_source()}.",
        "arms_caption": ARMS_CAPTION,
        "pairs_caption": PAIRS_CAPTION,
        "held_caption": CAPTION,
        "sizes_caption": SIZES_CAPTION,
        "repetition": REPETITION,
    }


def _task(record: Record) -> dict[str, Any]:
    versions = version_table(record).rows
    return {
        "title": record.name,
        "words": task_words(record),
        "arms": arm_table(record),
        "pairs": pair_tables(record),
        "held": held_table(record),
        "sizes": size_table(record),
        "scores": score_table(record),
        "protocol": protocol_of(record),
        "versions": ", ".join(f"{package} {version}" for package, version in versions),
    }


def summary_of(archive: Archive) -> dict[str, Any]:
    """Returns what a program may want of it."""
    return {
        "kind": "archive",
        "name": archive.folder.name,
        "state": "finished",
        "runs": archive.runs,
        "headline": overview_words(archive.records),
        "tasks": [_summary(record) for record in archive.records],
    }


def _summary(record: Record) -> dict[str, Any]:
    config, arms = record.trials[0].config, plain_arms(record)
    methods = {method: _method(record, method) for method in arms}
    return {"name": record.name, "env_id": config.env.id, "algo": config.algo, "steps": config.steps} | {
        "methods": methods
    }


def _method(record: Record, method: str) -> dict[str, Any]:
    """At the sparsities that the methods are compared at; ratios to dense are None where there are none."""
    arm = plain_arms(record)[method]
    outcome = outcome_of(record, arm)
    return {
        "seeds": len(arm.scores),
        "scores": arm.scores,
        "ratio": outcome.ratio if outcome else None,
        "interval": outcome.interval if outcome else None,
        "probability": outcome.probability if outcome else None,
        "deployed": _deployed(record, arm),
    }


def _deployed(record: Record, arm: Arm) -> dict[str, Any]:
    """The same by the deployed score, of the seeds that have it."""
    outcome = outcome_of(record, arm, DEPLOYED)
    return {
        "scores": arm.by(DEPLOYED),
        "ratio": outcome.ratio if outcome else None,
        "interval": outcome.interval if outcome else None,
        "probability": outcome.probability if outcome else None,
    }
