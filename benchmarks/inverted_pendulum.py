"""Does it learn? InvertedPendulum-v5, TD3 and SAC, inline and on actors, three seeds each; a table and a picture.

    make bench        # or, of the sweep that is there: python -m benchmarks.inverted_pendulum [DIR]

The runs are those of `tune_configs/studies/inverted_pendulum.yaml`. The report is made from
`results/inverted_pendulum*`; the picture is `docs/inverted_pendulum.png`.
"""

from __future__ import annotations

import itertools
import shutil

import numpy as np

from benchmarks.places import ROOT
from benchmarks.sections import write_section
from benchmarks.studies import Result, Trial, draw_curves, make_panels, plt, read_results, save, select, versions_of
from rlx2_ray.networks.policy_file import load_policy

STUDY = "inverted_pendulum"
POLICY = ROOT / "results" / "inverted_pendulum_policy.safetensors"  # of the first run
TABLE = ROOT / "results" / "README.md"
PICTURE = ROOT / "docs" / "inverted_pendulum.png"

ARMS = list(itertools.product(("inline", "actors"), ("td3", "sac")))
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
    results = read_results(STUDY, KEPT, collect)
    write_section(TABLE, STUDY, "make bench", table(results))
    draw(results)


def collect(trials: list[Trial]) -> list[Result]:
    """The results, with the first run's policy copied."""
    shutil.copy(trials[0].directory.policy_file, POLICY)
    return [trial.result for trial in trials]


def table(results: list[Result]) -> str:
    first = results[0]
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
    for runtime, algo in ARMS:
        scores = [one["score"] for one in select(results, runtime=runtime, algo=algo)]
        cells = " | ".join(f"{score:.1f}" for score in scores)
        lines.append(f"| {runtime} | {algo.upper()} | {cells} | {sum(s > 900 for s in scores)} of {len(scores)} |")
    return "\n".join([*lines, "", HISTORY, f"Versions: {versions_of(results)}.", ""])


def draw(results: list[Result]) -> None:
    figure, (curves, structure) = make_panels(width_ratios=(3, 2))
    for (runtime, algo), color in zip(ARMS, plt.cm.tab10.colors, strict=False):
        runs = select(results, runtime=runtime, algo=algo)
        draw_curves(curves, runs, color, f"{algo.upper()}, {runtime}", np.median, alpha=0.15)
    curves.set(xlabel="env steps", ylabel="return", title="InvertedPendulum-v5, 90 % / 80 % sparse, from scratch")
    curves.legend(title=f"median and range of {len(runs)} seeds", fontsize=8, title_fontsize=8)
    draw_structure(structure)
    save(figure, PICTURE)


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
