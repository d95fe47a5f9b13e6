"""What the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rlx2_ray

PACKAGE = Path(rlx2_ray.__file__).parent
ROOT = PACKAGE.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("*.md")])


@pytest.mark.parametrize(
    "place", re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", (ROOT / "docs/glossary.md").read_text())
)
def test_places_of_the_glossary_are_there(place: str) -> None:
    assert (PACKAGE / place).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_the_package_are_there(page: Path) -> None:
    named = re.findall(r"`(?:rlx2_ray/)?([a-z_]+/[a-z_/]+\.py)`", page.read_text())
    missing = [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()]
    assert missing == []
