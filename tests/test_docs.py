"""What the documentation names is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer

import rlx2_ray
from rlx2_ray.cli.main import app
from rlx2_ray.types import BadInput

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


def commands(page: Path) -> list[str]:
    """The commands of rlx2 in a page's blocks of code, without what a shell makes of them."""
    blocks = re.findall(r"^```(?:console|bash)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [
        line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?rlx2 [a-z]", line) and "[OPTIONS]" not in line
    ]


@pytest.mark.parametrize(
    ("page", "line"),
    [(page, line) for page in PAGES for line in commands(page)],
    ids=lambda part: part.stem if isinstance(part, Path) else str(part)[-40:],
)
def test_commands_have_these_options(page: Path, line: str) -> None:
    command: Any = typer.main.get_command(app)
    name, *arguments = shlex.split(line)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    with suppress(BadInput):  # of a path that is not there; options that are none are another exception
        command.make_context(name, arguments)


def test_pages_that_are_followed_one_after_the_other_begin_no_run_twice() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    begun = re.findall(r"^rlx2 (?:train|sweep|compress) [^#\n]*--out (\S+)", text, re.MULTILINE)
    begun += re.findall(r"rlx2_ray\.train\([^)]*out=\"([^\"]+)\"", text)
    assert len(begun) > 8
    assert sorted(begun) == sorted(set(begun))


def test_keys_are_those_of_the_schema() -> None:
    page = subprocess.run([sys.executable, ROOT / "docs/keys.py"], capture_output=True, text=True, check=True).stdout
    assert page == (ROOT / "docs/configuration.md").read_text(), "make docs writes it anew"


def test_page_of_commands_is_that_of_their_help(tmp_path: Path) -> None:
    options = ("rlx2_ray.cli.main", "utils", "docs", "--name", "rlx2", "--title", "All commands", "--output")
    typer_command = Path(sys.executable).with_name("typer")
    subprocess.run([typer_command, *options, tmp_path / "commands.md"], check=True, capture_output=True)
    assert (tmp_path / "commands.md").read_text() == (ROOT / "docs/commands.md").read_text(), "make docs writes it anew"
