"""benchmarks/RESULTS.md and its picture, from the figures in results/speed/."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib
import matplotlib.ticker

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.places import ROOT
from benchmarks.speed.common import FIGURES, kept
from rlx2_ray.bench.replay_tables import inline_table, shards_table
from rlx2_ray.kernels.structure import BREAK_EVEN_DENSITY

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "width.png"

# Asked of each task (env, algorithm): times faster than dense torch. Floors, not goals.
FLOORS = {
    ("Hopper-v5", "td3"): 12,
    ("Walker2d-v5", "td3"): 11,
    ("HalfCheetah-v5", "td3"): 5,
    ("Ant-v5", "td3"): 6,
    ("Hopper-v5", "sac"): 11,
    ("Walker2d-v5", "sac"): 4,
    ("HalfCheetah-v5", "sac"): 4,
    ("Ant-v5", "sac"): 4,
}
KERNELS = ("forward", "input gradient", "weight gradient")
EARLIER = "065b9b3"  # the last one with the figures from before processor and BLAS were noted
DENSE_ASKED = 1.6  # times torch, of the dense arm
SBX_ASKED = {("Hopper-v5", "td3"): 8, ("Hopper-v5", "sac"): 8, ("Ant-v5", "td3"): 4.5, ("Ant-v5", "sac"): 4}

HEAD = """\
# How fast

Written by `python -m benchmarks.speed report` from the figures in `results/speed/`, which `make bench-speed` and
`make bench-peers` measure. One core, one thread, denormals flushed everywhere; contestants take turns of about 30 ms
(training: whole runs in turns), figures are medians over rounds, and a ratio is the median of the rounds' ratios: the
machine is shared, so ratios hold and absolute times do not.

{versions}"""


def versions() -> str:
    names = ("python", "torch", "numpy", "gymnasium", "mujoco")
    installed = kept("updates")[0]["versions"]
    told = ", ".join(f"{name} {installed[name]}" for name in names if name in installed)
    return f"Versions: {told}. Processor: {kept('roofline')['processor']}."


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headings)]
    lines.append(["---"] + ["---:"] * (len(lines[0]) - 1))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*lines, *map(list, rows)])


def name(task: dict[str, Any]) -> str:
    sparsities = f"{task['policy_sparsity']:.0%} / {task['critic_sparsity']:.0%}"
    return f"{task['algo'].upper()}, {task['env']}, {sparsities}"


def updates_section(figures: list[dict[str, Any]]) -> str:
    rows = []
    blas = kept("roofline")["kernels"]["dense BLAS"]
    reached = sum(one["dense_ratio_vs_torch_dense"] >= DENSE_ASKED for one in figures)
    for one in figures:
        task = one["task"]
        compiled = one["torch_dense_compiled_us"]
        rows.append(
            [
                name(task),
                f"{one['sparse_us']:.0f}",
                f"{one['dense_us']:.0f}",
                f"{one['torch_dense_us']:.0f}",
                f"{one['torch_dense_fused_us']:.0f}",
                f"{compiled:.0f}" if compiled else "-",
                f"**{one['ratio_vs_torch_dense']:.1f}** (floor {FLOORS[task['env'], task['algo']]})",
                f"{one['dense_ratio_vs_torch_dense']:.2f}",
                f"{one['torch_dense_us'] / (1e6 * one['dense_gflop'] / blas):.2f}",
            ]
        )
    headings = [
        *("one update, µs", "ours, sparse", "ours, dense", "torch, dense", "with fused Adam", "and torch.compile"),
        *("sparse is faster than torch, dense, by", "ours, dense, by", "at most possible"),
    ]
    text = (
        "`rlx2 bench learner`. Batch 256, hidden 256 x 256. Sparse arms have 3-step windows, dense ones 1-step ones. "
        "The torch reference is `rlx2_ray/bench/torch_dense.py`: the textbook update, batches ready as tensors.\n\n"
        f"Of our dense arm, {DENSE_ASKED} times torch was asked, which {reached} of {len(figures)} tasks reach. The "
        "last column says how much faster a dense update could be that did nothing but its matrix products, at the "
        f"rate of dense BLAS measured below ({blas:.0f} GFLOP/s); torch has a BLAS of its own, MKL."
    )
    return f"## One learner update\n\n{text}\n\n{table(headings, rows)}"


def training_section(figures: list[dict[str, Any]]) -> str:
    met = [one["ratios"]["sbx"] >= SBX_ASKED[one["task"]["env"], one["task"]["algo"]] for one in figures]
    rows = [
        [
            name(one["task"]),
            *(f"{one['env_steps_per_s'][who]:.0f}" for who in ("ours", "sb3", "sbx")),
            *(f"{one['ratios'][who]:.1f}" for who in ("sb3", "sbx")),
        ]
        for one in figures
    ]
    headings = ["env steps a second", "ours, sparse", "SB3, dense", "SBX, dense", "ours / SB3", "ours / SBX"]
    text = (
        "Environment, exploration, replay and one update an env step; evaluation excluded. Peers: Stable-Baselines3 "
        "(torch) and SBX (JAX), at the versions in `benchmarks/peers/requirements.txt`, same networks and batch.\n\n"
        f"Asked against SBX: 8 on Hopper, and 4.5 (TD3) and 4 (SAC) on Ant, which {sum(met)} of {len(met)} reach. "
        f"Earlier figures (commit {EARLIER}), of a processor that was not noted, were 10.4, 5.8, 10.1 and 3.5, and "
        "4.4 to 17.5 times torch for an update."
    )
    return f"## Whole training\n\n{text}\n\n{table(headings, rows)}"


def actions_section(figures: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"{one['task']['env']}, {one['task']['policy_sparsity']:.0%}",
            *(f"{one[f'{who}_us']:.2f}" for who in ("sparse", "numpy", "torch", "onnxruntime")),
            f"{one['ratio_vs_torch']:.1f}",
            f"{one['ratio_vs_onnxruntime']:.1f}",
        ]
        for one in figures
    ]
    headings = [
        *("one action, µs", "ours", "numpy", "torch", "ONNX Runtime"),
        *("faster than torch by", "than ONNX Runtime by"),
    ]
    text = "`rlx2 bench policy`. Observation in, action out; the others compute the same network, masked dense."
    return f"## One action\n\n{text}\n\n{table(headings, rows)}"


def roofline_section(figures: dict[str, Any]) -> str:
    kernels, update = figures["kernels"], figures["update"]
    sparsities = sorted({label.split()[-1] for label in kernels if label[-1].isdigit()})
    rows = [[kernel, *(f"{kernels[f'{kernel} {sparsity}']:.0f}" for sparsity in sparsities)] for kernel in KERNELS]
    whole = update.pop("whole update")
    shares = [[part, f"{value:.0f}", f"{value / whole:.0%}"] for part, value in update.items()]
    shares.append(["whole update", f"{whole:.0f}", "100%"])
    return ROOFLINE.format(
        rates=table(["GFLOP/s at sparsity", *sparsities], rows),
        dense=f"{kernels['dense BLAS']:.0f}",
        blas=figures["blas"],
        break_even=f"{break_even(kernels):.2f}",
        chosen=BREAK_EVEN_DENSITY,
        cached=f"{kernels['first cache']:.0f}",
        shares=table(["part of a TD3 update, Hopper, 98 % / 95 %", "µs", "share"], shares),
    )


def break_even(kernels: dict[str, float]) -> float:
    """Density at which a layer's three passes take as long sparse, at the rates of sparsity 0.5, as in BLAS."""
    in_blas, sparse = (sum(1 / kernels[f"{kernel} {sparsity}"] for kernel in KERNELS) for sparsity in (0.0, 0.5))
    return in_blas / sparse


ROOFLINE = """\
## Roofline

A layer of 256 x 256 on 64 samples (a multiply-add counts as two operations):

{rates}

At sparsity 0.0 the whole layer is BLAS's ({blas}), which by these rates is faster above a density of {break_even}; the
engine takes it above {chosen}.

What bounds them: BLAS does {dense} GFLOP/s with 256 samples. A sparse kernel loads a vector for every multiply-add,
where a dense one keeps it in a register: the forward kernel at sparsity 0.5 with all its operands in the first cache
does {cached}. At 64 samples a layer's inputs are 64 KiB, more than the first cache of most machines, and short rows add
their own cost (a start, an end, a mispredicted branch).

{shares}"""


def width_section(figures: list[dict[str, Any]]) -> str:
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    widths = [one["width"] for one in figures]
    axes.plot(widths, [one["ratio"] for one in figures], "o-", label="measured")
    axes.plot(widths, [(width / widths[0]) ** 2 for width in widths], "--", label="work of a dense update")
    axes.set(xscale="log", yscale="log", xlabel="hidden width", ylabel=f"time of an update / at {widths[0]}")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.legend()
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    rows = [
        [str(one["width"]), str(one["active"]), f"{one['microseconds']:.0f}", f"{one['ratio']:.2f}"] for one in figures
    ]
    text = "TD3 on Hopper's sizes, hidden layers ever wider, sparsities such that as many weights stay active."
    rates = table(["hidden width", "active weights", "µs an update", "against the first"], rows)
    return f"## Cost follows the active weights\n\n{text}\n\n{rates}\n\n![time against width](../docs/width.png)"


def switches_section(figures: dict[str, Any]) -> str:
    ratios = figures["ratios"]
    rows = [
        [f"`{switch}`", *(f"{ratios[algo][switch]:.2f}" if switch in ratios[algo] else "-" for algo in ("td3", "sac"))]
        for switch in ratios["td3"]
    ]
    text = (
        "An update with a switch of [the methods](../docs/methods.md#holding-a-smaller-network) on, over one without, "
        "on Hopper's sizes at 99 % / 97.5 % zeros; growth batches as a part of a run with an event every 10 000 calls. "
        f"Processor: {figures['processor']}."
    )
    return f"## What a switch costs\n\n{text}\n\n{table(['times an update', 'TD3', 'SAC'], rows)}"


def replay_section(figures: dict[str, Any]) -> str:
    setting = f"{figures['env_id']}, {figures['transitions']} transitions"
    text = (
        f"`rlx2 bench replay`. {setting}, buffers full. The flat ring stores observation and next observation, as "
        "Stable-Baselines3 does, in float32 (`rlx2_ray/bench/flat_buffer.py`); it knows 1-step windows alone. Inline "
        f"there is one lane, and 1-step sampling is **{figures['ratio_vs_flat']:.2f}** times as fast as from the flat "
        f"ring; inserting one transition is {figures['insert_ratio_vs_flat']:.2f} times as fast. A snapshot is timed "
        "as a checkpoint writes it, until it is safe on disk."
    )
    actors = (
        "The same in shards: first in this process, then as actors on a Ray of the command's own, on all "
        "cores of the machine. One caller inserts, waiting for each call, then receives batches as a learner does, two "
        f"chunks in flight. The caller's process has {figures['caller']['rss_bytes'] / 1e6:.0f} MB, the chunks in the "
        f"object store included (RSS), and {figures['caller']['pss_bytes'] / 1e6:.0f} MB with shared pages shared out."
    )
    inline, shards = table(*inline_table(figures)), table(*shards_table(figures))
    return f"## Replay\n\n{text}\n\n{inline}\n\n{actors}\n\n{shards}"


def replay_peers_section(figures: dict[str, Any]) -> str:
    ours = kept("replay")
    sb3 = f"SB3 {figures['versions']['stable-baselines3']}"
    names = {"default": sb3, "optimize_memory_usage": f"{sb3}, optimize_memory_usage"}
    rows = [["ours", f"{ours['memory_bytes']:.0f}", f"{ours['sample_1_step_us']:.0f}", f"{ours['ratio_vs_flat']:.2f}"]]
    rows += [
        [
            name,
            f"{figures['memory_bytes'][variant]:.0f}",
            f"{figures['sample_us'][variant]:.0f}",
            f"{1 / figures['ratios'][variant]:.2f}",
        ]
        for variant, name in names.items()
    ]
    headings = ["replay", "memory, bytes a transition", "sample a batch, 1 step, µs", "times as fast as the flat ring"]
    text = (
        f"{figures['env']}, {figures['transitions']} transitions. Stable-Baselines3 keeps observations as the "
        "environment gives them, here in float64, and returns tensors. The flat ring took its turns with each of them, "
        "so the last column compares them: times as fast as it. SB3's saving variant gives up time limits."
    )
    return f"### Beside Stable-Baselines3\n\n{text}\n\n{table(headings, rows)}"


SECTIONS = {
    "updates": updates_section,
    "training": training_section,
    "actions": actions_section,
    "roofline": roofline_section,
    "width": width_section,
    "switches": switches_section,
    "replay": replay_section,
    "replay_peers": replay_peers_section,
}


def write() -> None:
    parts = [HEAD.format(versions=versions())]
    for section, describe in SECTIONS.items():
        if (FIGURES / f"{section}.json").exists():
            parts.append(describe(kept(section)))
    RESULTS.write_text("\n\n".join(parts) + "\n")
