"""Do both runtimes learn the same? Inline, and actors with 1 and 4 rollouts and shards, three seeds each.

    make bench-runtimes        # or, of the sweep that is there: python -m benchmarks.runtimes [DIR]

The runs are those of `tune_configs/studies/runtimes.yaml`. The report, `results/runtimes.md`, and the picture,
`docs/runtimes.png`, are made from `results/runtimes.json`.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.places import ROOT
from benchmarks.studies import Result, Trial, draw_curves, make_panels, plt, read_results, save, select, versions_of
from rlx2_ray.config import ExperimentConfig, updates_due

REPORT = ROOT / "results" / "runtimes.md"
PICTURE = ROOT / "docs" / "runtimes.png"
SEEDS = 3  # of every arm; the further seeds are an arm of their own
KEPT = ("env_id", "arm", "seed", "env_steps", "learner_steps", "score", "evaluations", "ratio_error")
KEPT += ("policy_sparsity", "critic_sparsity", "versions")


def main() -> None:
    results = read_results("runtimes", KEPT, lambda trials: [describe(trial) for trial in trials])
    REPORT.write_text(report(results))
    draw(results)


def describe(trial: Trial) -> Result:
    """The result of a trial, with the arm that it is of."""
    return {**trial.result, "arm": arm_of(trial.config), "ratio_error": ratio_error(trial)}


def arm_of(config: ExperimentConfig) -> str:
    """The name of an arm, such as "actors, 4 rollouts, 1 shard"."""
    runtime = config.runtime
    if runtime.kind == "inline":
        return "inline"
    counts = {"rollout": runtime.rollout_actors, "shard": runtime.replay_shards}
    words = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()]
    return ", ".join(["actors", *words, *(["further seeds"] if config.seed >= SEEDS else [])])


def ratio_error(trial: Trial) -> float:
    """Largest relative distance of the updates done from those due, over the evaluations after a tenth of them."""
    agent, errors = trial.config.agent, [0.0]
    for point in trial.directory.read_points():
        due = updates_due(point["env_steps"], agent.warmup_steps, agent.updates_per_env_step)
        if due > trial.config.planned_updates / 10:
            errors.append(abs(point["learner_steps"] / due - 1))
    return max(errors)


def report(results: list[Result]) -> str:
    lines = [
        "# Both runtimes learn the same",
        "",
        "Written by `make bench-runtimes` from `runtimes.json`. TD3, method rlx2; score: mean of the last 30",
        f"evaluations of 10 episodes; mean and 95 % t-interval over {SEEDS} seeds. Updates: largest distance of",
        "the updates done from those due at that env step, over the evaluations of all seeds after a tenth of the",
        "updates. (The rollouts do not wait for an evaluation to begin: part of it is env steps that were taken",
        "meanwhile.) The further seeds were run because the first three of that arm all stayed on a plateau at 300.",
        "",
        "| task | sparsity | env steps | runtime | scores | mean | interval | updates |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for env, arm in dict.fromkeys((one["env_id"], one["arm"]) for one in results):
        runs = select(results, env_id=env, arm=arm)
        scores = np.array([one["score"] for one in runs])
        low, high = interval(scores)
        sparsity = f"{runs[0]['policy_sparsity']:.0%} / {runs[0]['critic_sparsity']:.0%}"
        lines.append(
            f"| {env} | {sparsity} | {runs[0]['env_steps']} | {arm} | {', '.join(f'{score:.0f}' for score in scores)} "
            f"| {scores.mean():.0f} | {low:.0f} to {high:.0f} | {max(one['ratio_error'] for one in runs):.1%} |"
        )
    return "\n".join([*lines, "", f"Versions: {versions_of(results)}.", ""])


def interval(scores: np.ndarray) -> tuple[float, float]:
    """95 % t-interval of the mean."""
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / len(scores) ** 0.5
    return scores.mean() - half, scores.mean() + half


def draw(results: list[Result]) -> None:
    """The mean and the range of the first seeds of every arm."""
    figure, panels = make_panels()
    arms = dict.fromkeys(one["arm"] for one in results if one["seed"] < SEEDS)
    for axes, env in zip(panels, dict.fromkeys(one["env_id"] for one in results), strict=True):
        for arm, color in zip(arms, plt.cm.tab10.colors, strict=False):
            draw_curves(axes, select(results, env_id=env, arm=arm), color, arm)
        axes.set(xlabel="env steps", ylabel="return", title=f"{env}: mean and range of {SEEDS} seeds")
        axes.legend(fontsize=8)
    save(figure, PICTURE)


if __name__ == "__main__":
    main()
