"""Does it learn? InvertedPendulum-v5, TD3 and SAC, inline and on actors, three seeds each; a table and a picture.

    make bench        # or: python -m benchmarks.inverted_pendulum [--jobs 2] [--only-report]

Runs that are finished are not run again, and interrupted ones are resumed. The report is made from
`results/inverted_pendulum*`; the picture is `docs/inverted_pendulum.png`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil

import matplotlib
import numpy as np

from benchmarks.runs import ROOT, Result, directory, keep, train_all, write_section
from rlx2_ray.networks.policy_file import load_policy

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STUDY = "inverted_pendulum"
CONFIG = ROOT / "tune_configs" / "inverted_pendulum.yaml"
RESULTS = ROOT / "results" / "inverted_pendulum.json"
POLICY = ROOT / "results" / "inverted_pendulum_policy.safetensors"  # of the first run
TABLE = ROOT / "results" / "README.md"
PICTURE = ROOT / "docs" / "inverted_pendulum.png"

RUNTIMES = {
    "inline": ["--runtime", "inline"],
    "actors": ["--runtime", "actors", "--rollout-actors", "2", "--replay-shards", "2"],
}
ALGORITHMS, SEEDS = ("td3", "sac"), (0, 1, 2)
# What the table does not show. A number that is not in it comes from the command beside it.
HISTORY = """\
How the configuration came about: with `agent.tau` at its default of 0.005 (learning rate 1e-3 as now) the first
actors run of TD3, seed 0, FAILED the floor: it scored about 388, since it reached 1000 only near 28 500 env steps
(`rlx2 train tune_configs/inverted_pendulum.yaml --runtime actors --rollout-actors 2 --replay-shards 2 --seed 0 --set
agent.tau=0.005`; actors are not deterministic, so a repetition will differ). The inline runs that had ended by then,
TD3 seeds 0 to 2 and SAC seeds 0 and 1, scored 948 or more. That failure is why tau was raised to 0.02, a value tried
on seeds 100 and 101; then all twelve runs were made anew. So seed 0 had a part in the decision to change, and three
seeds are few: read the table as "this configuration learns", not as a rate of success.
"""
KEPT = (
    *("env_id", "algo", "method", "seed", "engine", "runtime", "env_steps", "learner_steps", "score", "evaluations"),
    *("policy_sparsity", "critic_sparsity", "active_weights", "size_ratio", "policy_digest", "versions"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="The InvertedPendulum-v5 learning check.")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only-report", action="store_true", help="redraw from results/ without running")
    arguments = parser.parse_args()
    if not arguments.only_report:
        collect(arguments.jobs)
    results = json.loads(RESULTS.read_text())
    write_section(TABLE, STUDY, "make bench", table(results))
    draw(results)


def collect(jobs: int) -> None:
    """Keep what the report needs of every run, and one policy."""
    arms = {
        f"{runtime}-{algo}-{seed}": [str(CONFIG), *RUNTIMES[runtime], "--algo", algo, "--seed", str(seed)]
        for runtime, algo, seed in itertools.product(RUNTIMES, ALGORITHMS, SEEDS)
    }
    keep(RESULTS, train_all(STUDY, arms, jobs).values(), KEPT)
    shutil.copy(directory(STUDY, next(iter(arms))) / "policy.safetensors", POLICY)


def table(results: list[Result]) -> str:
    first = results[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    lines = [
        f"## {first['env_id']}: does it learn?",
        "",
        f"{first['env_steps']} env steps, `tune_configs/inverted_pendulum.yaml` (its head says what differs from the "
        "defaults; all three parts of RLx2 on), "
        f"policy {first['policy_sparsity']:.0%} and critics {first['critic_sparsity']:.0%} sparse. Score of a seed: "
        "mean over the last 30 evaluations of 10 noise-free episodes each, one evaluation every 250 env steps; the "
        "most an episode can return is 1000. The asked floor is 900 in every seed.",
        "",
        "| runtime | algorithm | score of seed 0 | seed 1 | seed 2 | over 900 |",
        "|---|---|---|---|---|---|",
    ]
    for runtime, algo in itertools.product(RUNTIMES, ALGORITHMS):
        scores = [one["score"] for one in select(results, runtime, algo)]
        cells = " | ".join(f"{score:.1f}" for score in scores)
        lines.append(f"| {runtime} | {algo.upper()} | {cells} | {sum(s > 900 for s in scores)} of {len(scores)} |")
    return "\n".join([*lines, "", HISTORY, f"Versions: {versions}.", ""])


def select(results: list[Result], runtime: str, algo: str) -> list[Result]:
    return [one for one in results if (one["runtime"], one["algo"]) == (runtime, algo)]


def draw(results: list[Result]) -> None:
    figure, (curves, structure) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2), layout="constrained")
    draw_curves(curves, results)
    draw_structure(structure)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def draw_curves(axes: plt.Axes, results: list[Result]) -> None:
    for (runtime, algo), color in zip(itertools.product(RUNTIMES, ALGORITHMS), plt.cm.tab10.colors, strict=False):
        runs = select(results, runtime, algo)
        steps = [point["env_steps"] for point in runs[0]["evaluations"]]
        returns = np.array([[point["return_mean"] for point in one["evaluations"]] for one in runs])
        axes.plot(steps, np.median(returns, axis=0), color=color, label=f"{algo.upper()}, {runtime}")
        axes.fill_between(steps, returns.min(axis=0), returns.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="env steps", ylabel="return", title="InvertedPendulum-v5, 90 % / 80 % sparse, from scratch")
    axes.legend(title=f"median and range of {len(SEEDS)} seeds", fontsize=8, title_fontsize=8)


def draw_structure(axes: plt.Axes) -> None:
    """What is left of the hidden layer of one trained policy."""
    layers = load_policy(POLICY).layers
    hidden = layers[1].scatter()
    limit = np.quantile(np.abs(hidden[hidden != 0]), 0.9)  # the few greatest would leave all others pale
    # Few weights on a fine grid would vanish between pixels, so each is drawn as a point.
    rows, columns = np.nonzero(hidden)
    axes.scatter(columns, rows, c=hidden[rows, columns], s=1.2, cmap="coolwarm", vmin=-limit, vmax=limit)
    axes.set(xlim=(0, hidden.shape[1]), ylim=(hidden.shape[0], 0), aspect="equal", xlabel="from unit", ylabel="to unit")
    axes.set_title(f"{len(rows)} of {hidden.size} hidden weights live")


if __name__ == "__main__":
    main()
