"""Do both engines learn the same? InvertedPendulum-v5 and a short Hopper-v5, TD3, three seeds on each engine.

    make bench-engines        # or, of the sweep that is there: python -m benchmarks.engines [DIR]

The runs are those of `tune_configs/studies/engines.yaml`. The report is made from `results/engines.json`; the picture
is `docs/engines.png`.
"""

from __future__ import annotations

import numpy as np

from benchmarks.places import ROOT
from benchmarks.studies import Result, curves_of, draw_curves, make_panels, plt, read_results, save, select

PICTURE = ROOT / "docs" / "engines.png"
KEPT = ("env_id", "engine", "seed", "env_steps", "score", "evaluations", "env_steps_per_s", "policy_sparsity")
KEPT += ("critic_sparsity", "versions")


def main() -> None:
    draw(read_results("engines", KEPT, lambda trials: [trial.result for trial in trials]))


def draw(results: list[Result]) -> None:
    """The mean over seeds, the range of all seeds, and every seed as a thin line."""
    figure, panels = make_panels()
    engines = dict.fromkeys(one["engine"] for one in results)
    for axes, env in zip(panels, dict.fromkeys(one["env_id"] for one in results), strict=True):
        for engine, color in zip(engines, plt.cm.tab10.colors, strict=False):
            runs = select(results, env_id=env, engine=engine)
            steps, returns = curves_of(runs)
            draw_curves(axes, runs, color, f"{engine}: {mean_score(runs)}")
            axes.plot(steps, returns.T, color=color, linewidth=0.5, alpha=0.5)
        first = select(results, env_id=env)[0]
        title = f"{env}, TD3, {first['policy_sparsity']:.0%} / {first['critic_sparsity']:.0%} sparse"
        axes.set(xlabel="env steps", ylabel="return", title=title)
        axes.legend(title="engine: mean score ± standard error", fontsize=8, title_fontsize=8)
    save(figure, PICTURE)


def mean_score(runs: list[Result]) -> str:
    """The mean over seeds and its standard error, such as "1105 ± 487"."""
    scores = np.array([one["score"] for one in runs])
    return f"{scores.mean():.0f} ± {scores.std(ddof=1) / len(scores) ** 0.5:.0f}"


if __name__ == "__main__":
    main()
