"""How fast: measures, keeps the figures in results/speed/, and writes benchmarks/RESULTS.md and its pictures.

    python -m benchmarks.speed [updates] [actions] [roofline] [width] [switches] [replay] [training] [replay_peers]
                               [report]

Without names: all but `training` and `replay_peers`, which need the peers' environment (`make bench-peers`).
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import rlx2_ray.cli.threads  # noqa: F401 - before anything imports numpy
from benchmarks.speed import replay, report, roofline, switches, training, width
from benchmarks.speed.common import TASKS, Task, bench, keep

SECTIONS = ("updates", "actions", "roofline", "width", "switches", "replay", "training", "replay_peers", "report")
DEFAULT = ("updates", "actions", "roofline", "width", "switches", "replay", "report")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=DEFAULT, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--cpu", type=int, default=0, help="the core that everything is measured on")
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0)
    for section in arguments.sections:
        # Of the processes that are started from here, too. The replay's actors need several.
        os.sched_setaffinity(0, cores if section == "replay" else {arguments.cpu})
        measure(section, arguments.cpu)


def measure(section: str, cpu: int) -> None:
    if section == "updates":
        keep(section, [measure_update(task) for task in TASKS])
    elif section == "actions":
        keep(section, [{**bench("policy", task), "task": task._asdict()} for task in TASKS if task.algo == "td3"])
    elif section == "roofline":
        keep(section, roofline.measure())
    elif section == "width":
        keep(section, width.measure())
    elif section == "switches":
        keep(section, switches.measure())
    elif section == "replay":
        keep(section, replay.measure())
    elif section == "training":
        keep(section, training.measure(cpu))
    elif section == "replay_peers":
        keep(section, replay.measure_peers(cpu))
    elif section == "report":
        report.write()
    else:
        raise SystemExit(f"There is no section {section}: choose of {', '.join(SECTIONS)}.")


def measure_update(task: Task) -> dict[str, Any]:
    """torch.compile, which takes minutes to compile, beside TD3 alone."""
    compiled = ["--torch-compile"] if task.algo == "td3" else []
    return {**bench("learner", task, *compiled), "task": task._asdict()}


if __name__ == "__main__":
    main()
