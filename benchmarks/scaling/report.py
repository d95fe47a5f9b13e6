"""The generated parts of docs/scaling.md, each between its markers, and the picture; from results/scaling.json."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.places import ROOT
from benchmarks.scaling.forecast import CURVE, RATIOS, ROBOT_SIZES
from benchmarks.speed.report import table
from rlx2_ray.distributed.supervisor import CALL_STEPS

DOCUMENT = ROOT / "docs" / "scaling.md"
PICTURE = ROOT / "docs" / "scaling.png"

Figures = dict[str, Any]


def write(figures: Figures) -> None:
    parts = {
        "versions": versions(figures),
        "service": service(figures),
        "calls": calls(figures),
        "saturation": saturation(figures),
        "two cores": two_cores(figures),
        "core time": core_time(figures),
        "transport": transport(figures),
        "memory": memory(figures),
        "many": many(figures),
        "limits": limits(figures),
    }
    DOCUMENT.write_text(fill(DOCUMENT.read_text(), parts))
    draw(figures["forecast"]["curves"], PICTURE)


def fill(text: str, parts: dict[str, str]) -> str:
    """Replace what stands between `<!-- NAME -->` and `<!-- end -->`. KeyError for a name without a part."""
    pattern = re.compile(r"(<!-- (?!end)(.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}{parts[match[2]]}\n{match[3]}", text)


def versions(figures: Figures) -> str:
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in figures["versions"].items()) + "."


def service(figures: Figures) -> str:
    rows = [
        [
            f"{one['task']['env']}, {one['task']['policy_sparsity']:.0%} / {one['task']['critic_sparsity']:.0%}",
            f"{1e6 / one['env_step_us']:.0f}",
            f"{1e6 / one['update_us']:.0f}",
            f"{one['receive_us']:.0f}",
            f"{1e6 / one['insert_shard_us']:.0f}",
            f"{1e6 / one['sample_shard_us']:.0f}",
            f"{one['weights_bytes'] / 1e3:.0f}",
            f"{one['batch_bytes'] / 1e3:.0f}",
        ]
        for one in figures["service"]["tasks"]
    ]
    headings = [
        "task, sparsity of policy / critics",
        "rollout: env steps/s",
        "learner: updates/s",
        "learner: µs to receive a batch",
        "shard: inserts/s",
        "shard: batches/s",
        "weights, KB",
        "batch, KB",
    ]
    return table(headings, rows)


def calls(figures: Figures) -> str:
    measured = figures["service"]["calls"]
    few, most = measured["driver"][0], measured["driver"][-1]
    learn = [one["learn_call_us"] for one in figures["service"]["tasks"]]
    return (
        f"A call that does nothing takes {measured['round_trip_us']:.0f} µs from asking to answer, and costs the "
        f"actor {measured['actor_us']:.0f} µs of a core; to the learner a call costs {min(learn):.0f} to "
        f"{max(learn):.0f} µs more, beside its updates. The "
        f"driver spends {most['call_us']:.0f} µs on a call that is done and on starting the next, and waits for all of "
        f"them at once: {few['wait_us']:.0f} µs with one call in progress, {most['wait_us']:.0f} with {most['tasks']}."
    )


def saturation(figures: Figures) -> str:
    return "\n\n".join(saturation_table(figures["forecast"]["saturation"], ratio) for ratio in RATIOS)


def saturation_table(arms: list[Figures], env_steps_per_update: int) -> str:
    rows = []
    for arm in arms:
        found = arm[str(env_steps_per_update)]
        counts = [str(found["rollouts"]), str(found["shards"])]
        rates = [found["possible_env_steps_per_s"], found["env_steps_per_s"]]
        rows.append([arm["name"], *counts, *(f"{rate:.0f}" for rate in rates)])
    headings = [
        update_words(env_steps_per_update),
        "rollouts",
        "shards",
        "env steps/s the learner can follow",
        "simulated",
    ]
    return table(headings, rows)


def update_words(env_steps_per_update: int) -> str:
    return "an update each env step" if env_steps_per_update == 1 else f"an update in {env_steps_per_update} env steps"


def two_cores(figures: Figures) -> str:
    rows = [
        [
            str(run["rollouts"]),
            str(run["shards"]),
            f"{run['env_steps_per_s']:.0f}",
            f"{simulated['env_steps_per_s']:.0f}",
            f"{simulated['env_steps_per_s'] / run['env_steps_per_s'] - 1:+.0%}",
            f"{run['ratio_error']:.1%}",
        ]
        for run, simulated in zip(figures["runs"], figures["forecast"]["two_cores"], strict=True)
    ]
    headings = ["rollouts", "shards", "env steps/s, measured", "simulated", "simulation is off by"]
    return table([*headings, "updates done against due: largest difference"], rows)


def core_time(figures: Figures) -> str:
    simulated = figures["forecast"]["core_us_per_env_step"]
    kinds = list(simulated[0])
    rows = []
    for run, model in zip(figures["runs"], simulated, strict=True):
        measured = run["core_us_per_env_step"]
        rest = sum(value for kind, value in measured.items() if kind not in kinds)
        name = f"{run['rollouts']} + {run['shards']}"
        rows.append([f"{name}: measured", *(f"{measured[kind]:.0f}" for kind in kinds), f"{rest:.0f}"])
        rows.append([f"{name}: simulated", *(f"{model[kind]:.0f}" for kind in kinds), "-"])
    return table(["rollouts + shards", "rollouts", "shards", "learner", "driver", "evaluator and Ray's own"], rows)


def transport(figures: Figures) -> str:
    rows = [
        [
            str(run["rollouts"]),
            str(run["shards"]),
            f"{run['update_us']:.0f}",
            f"{run['batch_us']:.0f}",
            f"{run['transport']:.1%}",
        ]
        for run in figures["runs"]
    ]
    return table(["rollouts", "shards", "update, µs", "its batch, µs", "of the update"], rows)


def memory(figures: Figures) -> str:
    rows = []
    for run in figures["runs"]:
        for kind, one in run["processes"].items():
            rows.append(
                [
                    f"{run['rollouts']} + {run['shards']}: {kind}",
                    str(one["count"]),
                    f"{one['rss_bytes'] / 1e6:.0f}",
                    f"{one['pss_bytes'] / 1e6:.0f}",
                    f"{one['pss_bytes_together'] / 1e6:.0f}",
                    str(one["open_files"]),
                ]
            )
    headings = [
        "rollouts + shards of the run: process",
        "of them",
        "RSS of the largest, MB",
        "PSS, MB",
        "PSS of all, MB",
    ]
    return table([*headings, "open files"], rows)


def many(figures: Figures) -> str:
    shapes = figures["forecast"]["many"]["shapes"]
    rows = [
        [
            str(one["rollouts"]),
            str(one["shards"]),
            str(one["envs_per_rollout"]),
            str(one["env_steps_per_update"]),
            str(one["asked_env_steps_per_s"]),
            f"{one['env_steps_per_s']:.0f}",
            *(f"{one['busy'][kind]:.0%}" for kind in ("shards", "learner", "driver")),
        ]
        for one in shapes
    ]
    headings = ["rollouts", "shards", "environments of each", "env steps for an update", "env steps/s asked", "reached"]
    return f"{many_words(shapes)}\n\n{table([*headings, 'shards busy', 'learner', 'driver'], rows)}"


def many_words(shapes: list[Figures]) -> str:
    """What gives way first, with one environment for each rollout and several shards."""
    single = [one for one in shapes if one["envs_per_rollout"] == 1 and one["shards"] > 1]
    first = single[0]
    busy = {kind: share for kind, share in first["busy"].items() if kind != "rollouts"}
    busiest = max(busy, key=lambda kind: busy[kind])
    words = (
        f"With {first['rollouts']} rollouts the {busiest} is the busiest beside them, {busy[busiest]:.0%} of its time."
    )
    short = [one for one in single if one["env_steps_per_s"] < 0.95 * one["asked_env_steps_per_s"]]
    if not short:
        return f"{words} None of the cases below with {first['shards']} shards falls short by more than 5 %."
    reached, asked = (f"{short[0][key]:.0f}" for key in ("env_steps_per_s", "asked_env_steps_per_s"))
    return (
        f"{words} With {short[0]['rollouts']} rollouts, {reached} of {asked} env steps/s are "
        f"reached, and the {short[0]['bottleneck']} is busy {short[0]['busy'][short[0]['bottleneck']]:.0%} of its time."
    )


def limits(figures: Figures) -> str:
    found, tasks = figures["forecast"]["many"], figures["service"]["tasks"]
    robot = next(one for one in tasks if one["task"]["env"] == ROBOT_SIZES)
    rate, rollouts = found["calls_per_s"], found["rollouts"]
    rows = [
        ["calls/s that the driver takes in", f"{rate:.0f}", f"{found['possible_calls_per_s']:.0f}"],
        ["inserts/s of shards", f"{rate:.0f}", f"{found['possible_inserts_per_s']:.0f} a shard"],
        ["weights that the driver sends on, MB/s", f"{rate * robot['weights_bytes'] / 1e6:.0f}", "its network"],
        [
            "batches to the learner, MB/s",
            f"{found['updates_per_s'] * robot['batch_bytes'] / 1e6:.0f}",
            f"{robot['batch_bytes'] / robot['sample_shard_us']:.0f} a shard on the learner's node",
        ],
        [
            "memory of all rollouts without their simulators, GB (PSS)",
            f"{rollouts * figures['runs'][-1]['processes']['rollout']['pss_bytes'] / 1e9:.0f}",
            "that of the cluster",
        ],
        ["connections of the driver", "one to each actor, not measured", "`ulimit -n`"],
    ]
    call_s = CALL_STEPS / found["rollout_env_steps_per_s"]
    skew = (
        f"A call of {CALL_STEPS} env steps takes such a rollout {call_s:.2f} s. It acts with the weights of its "
        f"beginning, which are then up to {found['updates_per_s'] * call_s:.0f} updates old, and what it has seen "
        "reaches the replay only at its end. All rollouts take calls of the same length in turn, so a slow simulator "
        "gives fewer transitions and holds nobody up."
    )
    return f"{table([f'{rollouts} rollouts', 'needed', 'possible'], rows)}\n\n{skew}"


def draw(curves: Figures, path: Path) -> None:
    figure, panels = plt.subplots(1, len(RATIOS), figsize=(11, 4), layout="constrained", sharex=True)
    for axes, ratio in zip(panels, RATIOS, strict=True):
        for name, rates in curves[str(ratio)].items():
            axes.plot(CURVE, rates, "o-", markersize=3, label=name)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="rollout actors",
            ylabel="env steps/s",
            title=f"simulated: {update_words(ratio)}",
        )
        axes.set_xticks(CURVE, [str(count) for count in CURVE])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
