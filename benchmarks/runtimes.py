"""Do both runtimes learn the same? Inline, and actors with 1 and 4 rollouts and shards, three seeds each.

    make bench-runtimes        # or: python -m benchmarks.runtimes [--jobs 2] [--only-report]

Runs that are finished are not run again, and interrupted ones are resumed. The report, `results/runtimes.md`, and the
picture, `docs/runtimes.png`, are made from `results/runtimes.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json

import matplotlib
import numpy as np
from scipy import stats

from benchmarks.runs import ROOT, Result, directory, keep, train_all
from rlx2_ray.config import load, resolve, updates_due

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STUDY = "runtimes"
RESULTS = ROOT / "results" / "runtimes.json"
REPORT = ROOT / "results" / "runtimes.md"
PICTURE = ROOT / "docs" / "runtimes.png"

TASKS = {
    "InvertedPendulum-v5": [str(ROOT / "tune_configs" / "inverted_pendulum.yaml")],
    "Hopper-v5": ["--env", "Hopper-v5", "--steps", "200000"],
}
RUNTIMES = {
    "inline": ["--runtime", "inline"],
    "actors, 1 rollout, 1 shard": ["--runtime", "actors", "--rollout-actors", "1", "--replay-shards", "1"],
    "actors, 4 rollouts, 1 shard": ["--runtime", "actors", "--rollout-actors", "4", "--replay-shards", "1"],
    "actors, 4 rollouts, 4 shards": ["--runtime", "actors", "--rollout-actors", "4", "--replay-shards", "4"],
}
SEEDS = (0, 1, 2)
# All three of its first seeds stayed on Hopper's plateau at 300, so three more were run to see whether that is a rule.
FURTHER = [("Hopper-v5", "actors, 1 rollout, 1 shard", seed) for seed in (3, 4, 5)]
KEPT = ("env_id", "arm", "seed", "env_steps", "learner_steps", "score", "evaluations", "ratio_error")
KEPT += ("policy_sparsity", "critic_sparsity", "versions")


def main() -> None:
    parser = argparse.ArgumentParser(description="Both runtimes on the same tasks.")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only-report", action="store_true", help="write the report from results/ without running")
    arguments = parser.parse_args()
    if not arguments.only_report:
        collect(arguments.jobs)
    results = json.loads(RESULTS.read_text())
    REPORT.write_text(report(results))
    draw(results)


def collect(jobs: int) -> None:
    keys = [*itertools.product(TASKS, RUNTIMES, SEEDS), *FURTHER]
    names = [f"{env}-{list(RUNTIMES).index(arm)}-{seed}" for env, arm, seed in keys]
    arms = {
        name: [*TASKS[env], *RUNTIMES[arm], "--seed", str(seed)]
        for name, (env, arm, seed) in zip(names, keys, strict=True)
    }
    results = train_all(STUDY, arms, jobs)
    for name, (_, arm, seed) in zip(names, keys, strict=True):
        label = arm if seed in SEEDS else f"{arm}, further seeds"
        results[name] |= {"arm": label, "ratio_error": ratio_error(name)}
    keep(RESULTS, results.values(), KEPT)


def ratio_error(name: str) -> float:
    """Largest relative distance of the updates done from those due, over the evaluations after a tenth of them."""
    out = directory(STUDY, name)
    config = resolve(load(out / "config.yaml"))
    agent, errors = config.agent, [0.0]
    for line in (out / "progress.jsonl").read_text().splitlines():
        point = json.loads(line)
        due = updates_due(point["env_steps"], agent.warmup_steps, agent.updates_per_env_step)
        if due > config.planned_updates / 10:
            errors.append(abs(point["learner_steps"] / due - 1))
    return max(errors)


def report(results: list[Result]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results[0]["versions"].items())
    lines = [
        "# Both runtimes learn the same",
        "",
        "Written by `make bench-runtimes` from `runtimes.json`. TD3, method rlx2; score: mean of the last 30",
        f"evaluations of 10 episodes; mean and 95 % t-interval over {len(SEEDS)} seeds. Updates: largest distance of",
        "the updates done from those due at that env step, over the evaluations of all seeds after a tenth of the",
        "updates. (The rollouts do not wait for an evaluation to begin: part of it is env steps that were taken",
        "meanwhile.) The further seeds were run because the first three of that arm all stayed on a plateau at 300.",
        "",
        "| task | sparsity | env steps | runtime | scores | mean | interval | updates |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for env, arm in dict.fromkeys((one["env_id"], one["arm"]) for one in results):
        runs = select(results, env, arm)
        scores = np.array([one["score"] for one in runs])
        low, high = interval(scores)
        sparsity = f"{runs[0]['policy_sparsity']:.0%} / {runs[0]['critic_sparsity']:.0%}"
        lines.append(
            f"| {env} | {sparsity} | {runs[0]['env_steps']} | {arm} | {', '.join(f'{score:.0f}' for score in scores)} "
            f"| {scores.mean():.0f} | {low:.0f} to {high:.0f} | {max(one['ratio_error'] for one in runs):.1%} |"
        )
    return "\n".join([*lines, "", f"Versions: {versions}.", ""])


def select(results: list[Result], env: str, arm: str) -> list[Result]:
    return [one for one in results if (one["env_id"], one["arm"]) == (env, arm)]


def interval(scores: np.ndarray) -> tuple[float, float]:
    """95 % t-interval of the mean."""
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / len(scores) ** 0.5
    return scores.mean() - half, scores.mean() + half


def draw(results: list[Result]) -> None:
    figure, panels = plt.subplots(1, len(TASKS), figsize=(11, 3.6), layout="constrained")
    for axes, env in zip(panels, TASKS, strict=True):
        for arm, color in zip(RUNTIMES, plt.cm.tab10.colors, strict=False):
            runs = select(results, env, arm)
            steps = [point["env_steps"] for point in runs[0]["evaluations"]]
            returns = np.array([[point["return_mean"] for point in one["evaluations"]] for one in runs])
            axes.plot(steps, returns.mean(axis=0), color=color, label=arm)
            axes.fill_between(steps, returns.min(axis=0), returns.max(axis=0), color=color, alpha=0.12, linewidth=0)
        axes.set(xlabel="env steps", ylabel="return", title=f"{env}: mean and range of {len(SEEDS)} seeds")
        axes.legend(fontsize=8)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
