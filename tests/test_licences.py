"""What the page of licences lists is what is installed, and the lock names it too."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pinned(group: list[str]) -> dict[str, str]:
    """Name -> version."""
    return dict(re.match(r"([A-Za-z0-9_-]+)(?:\[.*\])?==(.*)", line).groups() for line in group)  # type: ignore[union-attr]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = pinned(PROJECT["dependencies"])


def test_page_has_the_packages_that_the_project_asks_for() -> None:
    rows = re.findall(r"^\| (\S+) \| .+ \|$", (ROOT / "docs/licences.md").read_text(), re.MULTILINE)
    assert rows[1:] == list(NEEDED)


def test_lock_has_every_pinned_package_but_torch_by_digests() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    everything = NEEDED | {
        name: version for group in PROJECT["optional-dependencies"].values() for name, version in pinned(group).items()
    }
    for name, version in everything.items():
        if name != "torch":
            assert f"\n{name.lower()}=={version} \\\n    --hash=sha256:" in f"\n{lock}".lower(), (
                f"{name}: run `make lock`"
            )
    assert not re.search(r"^(torch|nvidia|cuda|triton)\b", lock, re.MULTILINE)
