"""Do both engines learn the same? InvertedPendulum-v5 and a short Hopper-v5, TD3, three seeds on each engine.

    make bench-engines        # or: python -m benchmarks.engines [--jobs 2] [--only-report]

Runs that are finished are not run again, and interrupted ones are resumed. The report is made from
`results/engines.json`; the picture is `docs/engines.png`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

import matplotlib
import numpy as np

from benchmarks.runs import ROOT, Result, keep, train_all

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RESULTS = ROOT / "results" / "engines.json"
PICTURE = ROOT / "docs" / "engines.png"

TASKS = {
    "InvertedPendulum-v5": [str(ROOT / "tune_configs" / "inverted_pendulum.yaml")],
    "Hopper-v5": [
        *("--env", "Hopper-v5", "--steps", "300000"),
        *("--policy-sparsity", "0.98", "--critic-sparsity", "0.95"),
    ],
}
ENGINES, SEEDS = ("torch", "sparse"), (0, 1, 2)
KEPT = ("env_id", "engine", "seed", "env_steps", "score", "evaluations", "env_steps_per_s", "policy_sparsity")
KEPT += ("critic_sparsity", "versions")


def main() -> None:
    parser = argparse.ArgumentParser(description="Both engines on the same tasks.")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only-report", action="store_true", help="redraw from results/ without running")
    arguments = parser.parse_args()
    if not arguments.only_report:
        arms = {
            f"{env}-{engine}-{seed}": [*TASKS[env], "--engine", engine, "--seed", str(seed)]
            for env, engine, seed in itertools.product(TASKS, ENGINES, SEEDS)
        }
        keep(RESULTS, train_all("engines", arms, arguments.jobs).values(), KEPT)
    draw(json.loads(RESULTS.read_text()))


def draw(results: list[Result]) -> None:
    figure, panels = plt.subplots(1, len(TASKS), figsize=(11, 3.6), layout="constrained")
    for axes, env in zip(panels, TASKS, strict=True):
        for engine, color in zip(ENGINES, plt.cm.tab10.colors, strict=False):
            runs = [one for one in results if (one["env_id"], one["engine"]) == (env, engine)]
            draw_engine(axes, runs, color, f"{engine}: {mean_score(runs)}")
        first = next(one for one in results if one["env_id"] == env)
        title = f"{env}, TD3, {first['policy_sparsity']:.0%} / {first['critic_sparsity']:.0%} sparse"
        axes.set(xlabel="env steps", ylabel="return", title=title)
        axes.legend(title="engine: mean score ± standard error", fontsize=8, title_fontsize=8)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def draw_engine(axes: plt.Axes, runs: list[Result], color: Any, label: str) -> None:
    """The mean over seeds, the range of all seeds, and every seed as a thin line."""
    steps = [point["env_steps"] for point in runs[0]["evaluations"]]
    returns = np.array([[point["return_mean"] for point in one["evaluations"]] for one in runs])
    axes.plot(steps, returns.mean(axis=0), color=color, label=label)
    axes.plot(steps, returns.T, color=color, linewidth=0.5, alpha=0.5)
    axes.fill_between(steps, returns.min(axis=0), returns.max(axis=0), color=color, alpha=0.12, linewidth=0)


def mean_score(runs: list[Result]) -> str:
    scores = np.array([one["score"] for one in runs])
    return f"{scores.mean():.0f} ± {scores.std(ddof=1) / len(scores) ** 0.5:.0f}"


if __name__ == "__main__":
    main()
