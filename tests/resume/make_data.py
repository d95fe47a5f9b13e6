"""Makes data/: directories that commit be7d083 began and was interrupted in, and what that commit itself made of them.

    git clone . /tmp/old && git -C /tmp/old checkout be7d083
    python tests/resume/make_data.py /tmp/old

data/ stands for the directories that users have, so it is not made again by later code, nor when a test of it fails.
All is made in one folder, whose name is in the files as the place where they once were, with that of MLflow's database,
which is left out. The pickles are Tune's own, of what was interrupted; they need Python 3.11 and Ray 2.60.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import yaml

Tree = dict[str, Any]

PLACE = Path("/tmp/rlx2-old-data")
TRACKING_URI = f"sqlite:///{PLACE}/mlflow.db"
DATA = Path(__file__).parent / "data"
LEFT_OUT = ("run.lock", "MUJOCO_LOG.TXT")  # nothing reads them
RESULT = ("dense", "decisions", "runs", "env_steps", "messages", "trials", "best", "score", "learner_steps")

# A pole that a small network learns to hold a little longer, in a second. Topology events, the switch of the target and
# shrinking of the replay happen before the interruption and after it.
RUN: Tree = {
    "env": {"id": "InvertedPendulum-v5"},
    "steps": 2000,
    "sparsity": {"policy": 0.5, "critic": 0.4},
    "network": {"hidden": [16, 16]},
    "agent": {"batch_size": 32, "warmup_steps": 100, "learning_rate": 3.0e-3, "tau": 0.05},
    "topology": {"interval": 50},
    "target": {"n_step_start": 300},
    "replay": {"min_capacity": 200, "policy_distance_threshold": 0.0, "check_interval": 100},
    "evaluation": {"interval": 200, "episodes": 2},
    "checkpoint": {"interval": 150},
}
KEEP_ONE = {"interval": 150, "keep": 1}  # as a checkpoint is most of what a trial takes
COMPRESSION: Tree = {
    **{key: value for key, value in RUN.items() if key != "sparsity"},
    "steps": 600,
    "target": {"n_step_start": 200},
    "evaluation": {"interval": 100, "episodes": 2},
    "checkpoint": KEEP_ONE,
    "compress": {
        "levels": 6, "max_sparsity": 0.9, "threshold": 2.0, "dense_seeds": 3, "max_dense_seeds": 3, "max_seeds": 4
    },
}  # fmt: skip
FILES: dict[str, tuple[str, Tree]] = {  # by directory: command and its file
    "inline": ("train", RUN),
    "actors": ("train", {**RUN, "runtime": {"kind": "actors", "rollout_actors": 2, "replay_shards": 2}}),
    "sweep": ("sweep", {**RUN, "checkpoint": KEEP_ONE, "param_space": {"seed": {"grid": [0, 1, 2]}}}),
    "compression": ("compress", COMPRESSION),
}
FINISHED = {"sweep": 1, "compression": 5}  # trials, before the interruption of the next one


def read_points(run: Path) -> list[Tree]:
    progress = run / "progress.jsonl"
    return [json.loads(line) for line in progress.read_text().splitlines()] if progress.exists() else []


def run_directories(directory: Path) -> dict[str, Path]:
    """The run itself, or all trials, by path below `directory`."""
    files = [*directory.glob("config.yaml"), *sorted(directory.glob("trials/*/config.yaml"))]
    return {str(file.parent.relative_to(directory)): file.parent for file in files}


def processor() -> list[str]:
    """What numba compiles for: on another one the last bits may differ, and so all that comes after."""
    features = llvm.get_host_cpu_features().flatten()
    return [llvm.get_host_cpu_name(), hashlib.sha256(features.encode()).hexdigest()[:16]]


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    for folder in (DATA, PLACE / "undisturbed"):
        folder.mkdir(parents=True, exist_ok=True)
    expected: Tree = {"processor": processor()}
    for name, (command, tree) in FILES.items():
        directory = _interrupted(name, command, tree)
        _pack(directory)
        expected[name] = _outcome(directory)
    (DATA / "expected.json").write_text(_to_json(expected))


def _interrupted(name: str, command: str, tree: Tree) -> Path:
    """A directory whose command was ended by Ctrl-C."""
    file, directory = PLACE / f"{name}.yaml", PLACE / name
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    one_at_a_time = [] if command == "train" else ["--concurrent", "1"]
    process = _start(command, file, "--out", directory, "--tracking-uri", TRACKING_URI, *one_at_a_time)
    while not _is_in_the_middle(directory):
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate()
    assert process.returncode == 130
    assert _is_in_the_middle(directory), "it came too late"
    return directory


def _is_in_the_middle(directory: Path) -> bool:
    runs = run_directories(directory).values()
    at_work = [len(read_points(run)) for run in runs if not (run / "result.json").exists()]
    return len(runs) - len(at_work) == FINISHED.get(directory.name, 0) and any(count >= 3 for count in at_work)


def _start(*arguments: object) -> subprocess.Popen[str]:
    variables = {"PYTHONPATH": sys.argv[1], "XDG_CACHE_HOME": str(PLACE / "cache")}
    return subprocess.Popen(
        [sys.executable, "-m", "rlx2_ray", *map(str, arguments)],
        cwd=PLACE,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _pack(directory: Path) -> None:
    with tarfile.open(DATA / f"{directory.name}.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted(directory.rglob("*")):
            if path.name not in LEFT_OUT:
                archive.add(path, path.relative_to(PLACE), recursive=False, filter=_owned_by_nobody)


def _owned_by_nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _outcome(directory: Path) -> Tree:
    """Of a copy that the same commit goes on with."""
    copy = PLACE / "undisturbed" / directory.name
    shutil.copytree(directory, copy)
    process = _start("resume", copy, "--json")
    output, _ = process.communicate()
    assert process.returncode == 0
    if directory.name == "actors":  # not deterministic
        return {}
    result = json.loads(output.splitlines()[-1])
    record = json.loads((copy / "record.json").read_text()) if (copy / "record.json").exists() else {}
    return {
        "result": {key: result[key] for key in RESULT if key in result},
        "beliefs": record.get("beliefs"),
        "policies": {name: _digest(run) for name, run in run_directories(copy).items()},
        "points": {name: [*map(_essence, read_points(run))] for name, run in run_directories(copy).items()},
    }


def _digest(run: Path) -> str:
    digest: str = json.loads((run / "result.json").read_text())["policy_digest"]
    return digest


def _essence(point: Tree) -> Tree:
    """Without what is measured by a clock, and without what is of one layer."""
    return {
        name: value
        for name, value in point.items()
        if name != "wall_s" and not name.startswith("throughput/") and not any(map(str.isdigit, name))
    }


def _to_json(expected: Tree) -> str:
    """A line for each directory, and one for each of its points."""
    return json.dumps(expected).replace('{"env_steps"', '\n{"env_steps"').replace('], "', '],\n"') + "\n"


if __name__ == "__main__":
    main()
