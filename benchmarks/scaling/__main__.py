"""How far the actors runtime scales: measures, simulates, and fills in docs/scaling.md and its picture.

    python -m benchmarks.scaling [service] [runs] [forecast] [report]

Without names: all. Figures are kept in results/scaling.json, so `forecast report` measures nothing.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import rlx2_ray.cli.threads  # noqa: F401 - before anything imports numpy
from benchmarks.places import ROOT
from benchmarks.scaling import report, runs, service
from benchmarks.scaling.forecast import forecast
from rlx2_ray.runs.result import installed_versions

RESULTS = ROOT / "results" / "scaling.json"
SECTIONS = ("service", "runs", "forecast", "report")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    for section in parser.parse_args().sections:
        run(section)


def run(section: str) -> None:
    if section == "service":
        keep("service", service.measure())
    elif section == "runs":
        keep("runs", runs.measure())
    elif section == "forecast":
        figures = kept()
        keep("forecast", forecast(figures["service"], figures["runs"]))
    elif section == "report":
        report.write(kept())
    else:
        raise SystemExit(f"There is no section {section}: choose of {', '.join(SECTIONS)}.")


def kept() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(section: str, figures: Any) -> None:
    content = {**kept(), section: figures, "versions": installed_versions()}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
