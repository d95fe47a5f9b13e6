"""Runs of the command line that a report is made from: finished ones are kept, interrupted ones resumed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs"

Result = dict[str, Any]


def train_all(study: str, arms: Mapping[str, Sequence[str]], jobs: int) -> dict[str, Result]:
    """The result of each arm, whose value is its arguments of `rlx2 train`; `jobs` of them at once."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda name: _train(study, name, arms[name]), arms))
    return {name: json.loads((directory(study, name) / "result.json").read_text()) for name in arms}


def directory(study: str, name: str) -> Path:
    return RUNS / study / name


def keep(path: Path, results: Iterable[Result], keys: Collection[str]) -> None:
    """Write these keys of the results, one result a line."""
    path.parent.mkdir(exist_ok=True)
    lines = (json.dumps({key: result[key] for key in keys}) for result in results)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def write_section(path: Path, name: str, command: str, text: str) -> None:
    """Write one section of a Markdown file that several commands write: in the place that it has, or at the end."""
    begin, end = f"<!-- {name}: written by {command} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    old = path.read_text() if path.exists() else "# Results\n"
    pattern = re.compile(rf"<!-- {name}: .*?{re.escape(end)}", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}\n"
    path.write_text(new)


def _train(study: str, name: str, arguments: Sequence[str]) -> None:
    out = directory(study, name)
    if (out / "result.json").exists():
        return
    if (out / "config.yaml").exists():
        command = ["resume", str(out)]
    else:
        command = ["train", *arguments, "--out", str(out)]
        command += ["--tracking-uri", f"sqlite:///{out.parent}/mlflow.db", "--experiment", study]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".log").open("a") as log:
        subprocess.run([sys.executable, "-m", "rlx2_ray", *command], check=True, stdout=log, stderr=log)
