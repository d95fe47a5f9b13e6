"""Pages as a real browser makes them: what is in them once their scripts have run, and what those complained of."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDED = "needs chromium: apt-get install chromium"

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--enable-logging=stderr",
)  # fmt: skip
_PROBE = Path(__file__).with_name("layout_probe.js")
_PATIENCE_MS = 15_000  # of the page's own clock, which does not wait for the real one
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Visited(NamedTuple):
    ids: dict[str, list[str]]  # id of an element -> the classes of all elements in it
    text: str
    console: list[str]  # what its scripts said, at any level


def visit(address: str, profile: Path, width: int = 1500, height: int = 2200) -> Visited:
    """`profile`: a folder of the browser's own, made new."""
    done = _run(
        address, profile, f"--window-size={width},{height}", f"--virtual-time-budget={_PATIENCE_MS}", "--dump-dom"
    )
    console = re.findall(r"CONSOLE[:(]\d+\)?\] (.*)", done.stderr)
    page = _Page()
    page.feed(done.stdout)
    return Visited(page.ids, " ".join(page.text.split()), console)


def layout_problems(page: Path, folder: Path, width: int) -> list[str]:
    """Returns what is cut, overlaps or reaches out of a page in a frame of `width` pixels: one that allows frames.

    `folder`: to be made. What scrolls in a box of its own is not cut, and slanted labels lie between each other.
    """
    folder.mkdir()
    probed, frame = folder / "page.html", folder / "frame.html"
    probed.write_text(page.read_text().replace("</body>", f"<script>{_PROBE.read_text()}</script></body>"))
    frame.write_text(
        f'<iframe src="{probed.name}" width="{width}" height="900"></iframe><pre id="said">nothing was said</pre>'
        '<script>onmessage = event => { said.textContent = event.data; said.className = "done" }</script>'
    )
    visited = visit(frame.as_uri(), folder / "profile")
    assert visited.console == []
    found = visited.text.strip()
    return [] if found == "fine" else found.split(" | ")


def take_picture(address: str, profile: Path, picture: Path, width: int, height: int) -> None:
    size, patience = f"--window-size={width},{height}", f"--virtual-time-budget={_PATIENCE_MS}"
    _run(address, profile, size, patience, f"--screenshot={picture}")


def _run(address: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    command = [BROWSER, *_QUIET, f"--user-data-dir={profile}", *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[str, list[str]] = {}
        self.text = ""
        self._open: list[tuple[str, str]] = []  # tag and id of the elements around

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.setdefault(str(values["id"]), [])
        for _, name in self._open:
            if name and values.get("class"):
                self.ids[name] += str(values["class"]).split()
        if tag not in _VOID:
            self._open.append((tag, values.get("id") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in (name for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & {tag for tag, _ in self._open}:
            self.text += f" {data}"
