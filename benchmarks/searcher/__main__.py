"""The compression search against simulated truth: how often it is wrong, what it costs, whether its odds are true.

    python -m benchmarks.searcher [--repetitions 1000] [--only-report]

Some minutes on one core. Figures go to results/searcher.json, from which docs/searcher.md and its picture are made.
"""

from __future__ import annotations

import argparse
import json

import rlx2_ray.cli.threads  # noqa: F401 - before anything imports numpy
from benchmarks.places import ROOT
from benchmarks.searcher import report
from benchmarks.searcher.summary import simulate

RESULTS = ROOT / "results" / "searcher.json"


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
