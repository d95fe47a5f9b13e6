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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_of_the_package_are_there(page: Path) -> None:
    named = re.findall(r"`(rlx2_ray(?:\.[A-Za-z_]+)+)`", page.read_text())
    assert [name for name in named if not is_there(name)] == []


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or what a module's text defines; nothing is imported."""
    folder, _, last = name.rpartition(".")
    place, module = ROOT.joinpath(*name.split(".")), ROOT.joinpath(*folder.split("."))
    if place.with_suffix(".py").exists() or place.is_dir():
        return True
    file = next((each for each in (module.with_suffix(".py"), module / "__init__.py") if each.exists()), None)
    return file is not None and re.search(rf"\b{last}\b", file.read_text()) is not None
