"""The results' page: a section of a file that others write too, with the pictures that it names."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.sections import write_section
from rlx2_ray.report.archive.tasks import read_archive
from tests.support import chromium
from tests.support.archives import ARMS, made_runs, write_archive


def test_section_is_written_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    write_section(file, "one", "make one", "first\n")
    write_section(file, "two", "make two", "second")
    both = file.read_text()
    assert both == (
        "# Results\n\n<!-- one: written by make one -->\nfirst\n<!-- end of one -->\n\n"
        "<!-- two: written by make two -->\nsecond\n<!-- end of two -->\n"
    )
    write_section(file, "one", "make one", r"new \1 text")
    assert file.read_text() == both.replace("first", r"new \1 text")
    write_section(file, "one", "make one", "first")
    assert file.read_text() == both


def test_pictures_hold_the_panels_of_the_report(tmp_path: Path) -> None:
    whole, plain = (
        read_archive(write_archive(tmp_path / name, made_runs(arms))).records[0]
        for name, arms in (("whole", ARMS), ("plain", ("static",)))
    )
    panels = [panel for _, parts in results.PICTURES.values() for panel in parts]
    for record, missing in ((whole, set()), (plain, {"sparsity", "windows", "ablations", "replay"})):
        pages = [results.page_of(record, parts) for _, parts in results.PICTURES.values()]
        shown = [panel for page in pages for panel in re.findall(r'<div id="figure-(\w+)"', page)]
        assert shown == [panel for panel in panels if panel not in missing]
        assert [page == "" for page in pages] == [missing >= parts.keys() for _, parts in results.PICTURES.values()]


@pytest.mark.skipif(chromium.BROWSER is None, reason=chromium.NEEDED)
def test_page_and_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / "archive", made_runs())
    page = tmp_path / "page" / "README.md"
    page.parent.mkdir()
    page.write_text("# Results\n\nWritten by hand.\n")
    monkeypatch.setattr(sys, "argv", ["results", "--archive", str(archive), "--out", str(page)])
    results.main()
    text = page.read_text()
    assert text.startswith(
        "# Results\n\nWritten by hand.\n\n<!-- runs: written by python -m benchmarks.results -->\n## Runs"
    )
    assert re.findall(r"^#+ ", text, re.MULTILINE) == ["# ", "## ", "### ", "### "]
    named = re.findall(r"!\[.*\]\((.*)\)", text)
    assert [Path(each).stem.rpartition("-")[2] for each in named] == ["curves", "sparsity", "ablations", "replay"]
    assert sorted(path.name for path in (page.parent / "figures").iterdir()) == sorted(
        Path(each).name for each in named
    )
    assert all((page.parent / each).stat().st_size < 150_000 for each in named)
