"""The tables and pictures of `results/README.md`, from the finished runs in `results/runs`.

    python -m benchmarks.results [--archive results/runs] [--out results/README.md]

It trains nothing: `rlx2 archive DIR... --into results/runs` adds runs, and this writes their section anew. The pictures
are those of the archive's report, as Chromium shows them.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from benchmarks.places import ROOT
from benchmarks.sections import write_section
from rlx2_ray.report.archive.panels import TASK_PANELS
from rlx2_ray.report.archive.report import Picture, report_markdown
from rlx2_ray.report.archive.tasks import read_archive
from rlx2_ray.report.figures.theme import HEIGHT, TALL
from rlx2_ray.report.page.page import draw_panels, page_parts
from rlx2_ray.report.record.record import Record
from tests.support import chromium

ARCHIVE = ROOT / "results" / "runs"
README = ROOT / "results" / "README.md"
SECTION = "runs"
WRITTEN_BY = "python -m benchmarks.results"
WIDTH = 990  # pixels, of a picture
# Picture -> its words, and its panels of the report, each with its width in %.
PICTURES = {
    "curves": ("Learning curves and scores", {"curves": 60, "scores": 40}),
    "sparsity": ("Return against sparsity (figure 5)", {"sparsity": 100}),
    "ablations": ("Ablations of rlx2 (table 3)", {"windows": 50, "ablations": 50}),
    "replay": ("Replay size and policy distance (figure 4)", {"replay": 100}),
}
TALL_PICTURES = {"replay"}  # two plots above each other
STYLE = "body { margin: 0; display: flex } .modebar { display: none }"


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables and pictures of an archive of runs.")
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="folder that 'rlx2 archive' wrote")
    parser.add_argument("--out", type=Path, default=README, help="file whose section of the runs is written")
    arguments = parser.parse_args()
    if chromium.BROWSER is None:
        raise SystemExit(f"benchmarks.results {chromium.NEEDED}.")
    archive = read_archive(arguments.archive)
    figures = arguments.out.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    pictures = {record.name: draw_all(record, figures) for record in archive.records}
    text = report_markdown(archive, pictures).replace(f"# Archive: {archive.folder.name}\n", "# Runs of record\n", 1)
    write_section(arguments.out, SECTION, WRITTEN_BY, re.sub(r"^#", "##", text, flags=re.MULTILINE))


def draw_all(record: Record, folder: Path) -> list[Picture]:
    """Those that the task has something for."""
    pictures = []
    for name, (words, parts) in PICTURES.items():
        page = page_of(record, parts)
        if page:
            file = folder / f"{slug(record.name)}-{name}.png"
            take_picture(page, file, TALL if name in TALL_PICTURES else HEIGHT)
            pictures.append(Picture(f"{words}: {record.name}", f"{folder.name}/{file.name}"))
    return pictures


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def page_of(record: Record, parts: dict[str, int]) -> str:
    """Those of the panels that the task has something for, side by side; empty where there are none."""
    shown = [
        f'<section style="width: {width}%">{panel.html}</section>'
        for name, width in parts.items()
        for panel in draw_panels(record, {name: TASK_PANELS[name]})
    ]
    scripts = f"<script>{page_parts()['plotly_js']}</script>"
    return f'<meta charset="utf-8"><style>{STYLE}</style>{scripts}{"".join(shown)}' if shown else ""


def take_picture(page: str, file: Path, height: int) -> None:
    with tempfile.TemporaryDirectory(prefix="rlx2-results-") as folder:
        source = Path(folder) / "page.html"
        source.write_text(page)
        chromium.take_picture(source.as_uri(), Path(folder) / "profile", file, WIDTH, height)


if __name__ == "__main__":
    main()
