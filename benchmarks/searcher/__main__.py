"""The compression search against simulated truth: how often it is wrong, what it costs, whether its odds are true.

    python -m benchmarks.searcher [--repetitions 1000] [--only-report]

Most of an hour of one core for 600 repetitions. Rows that are done stand in build/, and one that was stopped goes on
with the others. Figures go to results/searcher.json, from which docs/searcher.md and its picture are made.
"""

from __future__ import annotations

import argparse
import json
import sys

import rlx2_ray.cli.threads  # noqa: F401 - before anything imports numpy
from benchmarks.places import ROOT
from benchmarks.searcher import report
from benchmarks.searcher.grid import RUNS
from benchmarks.searcher.summary import Figures, rows

RESULTS = ROOT / "results" / "searcher.json"


def simulate(repetitions: int) -> Figures:
    kept = ROOT / "build" / f"searcher_{repetitions}.json"
    done = json.loads(kept.read_text()) if kept.exists() else {}
    asked = rows(repetitions)
    for number, (name, play) in enumerate(asked.items(), 1):
        sys.stderr.write(f"{name}, row {number} of {len(asked)}\n")
        if name not in done:
            done[name] = play()
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(done))
    kept.unlink()
    figures: Figures = {"repetitions": repetitions, "grid_runs": RUNS}
    for name in asked:
        table, row = name.split("/")
        figures.setdefault(table, {})[row] = done[name]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searcher", description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="searches of each kind at each noise")
    parser.add_argument("--only-report", action="store_true", help="write the page from results/ without simulating")
    arguments = parser.parse_args()
    if not arguments.only_report:
        RESULTS.write_text(json.dumps(simulate(arguments.repetitions), indent=1) + "\n")
    report.write(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    main()
