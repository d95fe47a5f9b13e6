"""`ray up`, `ray submit` of a sweep and `ray down` as a user has them: over ssh, on two machines, one of which goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml

from rlx2_ray.runs.checkpoint import list_checkpoints
from tests.cluster.lab import ADDRESSES, CLIENT, ROOT, Lab, make_lab, what_is_missing
from tests.plugins.test_extend_page import FILES
from tests.support.campaigns import check_every_point_once, parent_and_children, sweep_tree, trial_names

MISSING = what_is_missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=MISSING or ""),
    pytest.mark.timeout(1200),  # on a machine that is busy with other things
]

SERVER = f"http://{CLIENT}:5000"
STEPS, INTERVAL = 8_000, 500
TRIALS = 6
SWEEP = sweep_tree(
    {"sparsity.policy": {"grid": [0.3, 0.5, 0.7]}, "seed": {"grid": [0, 1]}},
    steps=STEPS,
    evaluation__interval=INTERVAL,
    checkpoint__interval=1_000,
)
OF_THE_HEAD = "/dev/shm"  # each node has its own
COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")


class Finished(NamedTuple):
    """What was seen of a sweep in the middle of which the worker was cut off, and of what came after."""

    output: str
    code: int
    directory: Path
    nodes_before: dict[str, str]  # address of the node of each trial seen at work before the cut
    own: dict[str, tuple[int, str]]  # the same of a sweep with the person's own code, with and without shared storage
    refusals: dict[str, tuple[int, str]]  # exit code and output of commands that a cluster does not let in
    left: dict[str, list[str]]  # processes on each node after `ray down`
    folder: Path


def cluster_file(lab: Lab) -> Path:
    """cluster/local.yaml, filled in as a user does.

    Each node has one CPU, so that each has one trial at a time, and there is no dashboard, which is ten processes.
    """
    tree = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    tree["cluster_name"] = f"rlx2-test-{os.getpid()}"
    tree["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES["worker"]]}
    tree["auth"] = {"ssh_user": "root", "ssh_private_key": str(lab.folder / "client" / "key")}
    tree |= {"min_workers": 1, "max_workers": 1}
    for key in COMMANDS:
        tree[key] = [command.replace("ray start", "ray start --num-cpus=1") for command in tree[key]]
    tree[COMMANDS[0]][-1] += " --include-dashboard=false"
    file = lab.folder / "cluster.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("lab")
    with make_lab(folder) as lab:
        yield work(lab)


def work(lab: Lab) -> Finished:
    storage = lab.folder / "storage"
    storage.mkdir()
    server = start_server(lab)
    try:
        cluster = cluster_file(lab)
        prepare(lab, storage, cluster)
        check(lab.run("ray", "up", "--yes", str(cluster), timeout=300))
        refusals = refused(lab)
        own = sweep_own_code(lab, cluster, storage)
        output, code, before = sweep_with_a_cut(lab, cluster)
        check(lab.run("ray", "down", "--yes", str(cluster)))
        left = wait_for_quiet(lab)
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # it has processes of its own
        server.communicate()
    (directory,) = storage.glob("sweep-*")
    return Finished(output, code, directory, before, own, refusals, left, lab.folder)


def prepare(lab: Lab, storage: Path, cluster: Path) -> None:
    """In this network, in which pip finds what it builds with."""
    variables = {**lab.variables, "RLX2_STORAGE": str(storage), "MLFLOW_TRACKING_URI": SERVER}
    subprocess.run(["cluster/prepare.sh", str(cluster)], cwd=ROOT, env=variables, check=True)


def start_server(lab: Lab) -> subprocess.Popen[str]:
    database, artifacts = f"sqlite:///{lab.folder}/storage/mlflow.db", str(lab.folder / "artifacts")
    command = [sys.executable, "-m", "mlflow", "server", "--host", CLIENT, "--port", "5000", "--workers", "1"]
    return lab.start(*command, "--backend-store-uri", database, "--artifacts-destination", artifacts, quiet=True)


def check(ended: tuple[int, str]) -> str:
    code, output = ended
    assert code == 0, output
    return output


def refused(lab: Lab) -> dict[str, tuple[int, str]]:
    """From the machine that is no node: without the token, and with it."""
    (lab.folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    address = f"{ADDRESSES['head']}:6379"
    command = [sys.executable, "-m", "rlx2_ray", "sweep", str(lab.folder / "sweep.yaml"), "--address", address]
    store = ["--tracking-uri", SERVER, "--out", str(lab.folder / "refused")]
    return {
        "no token": lab.run(*command, *store, RAY_AUTH_MODE="disabled"),
        "no node": lab.run(*command, *store, RAY_AUTH_MODE="token"),
    }


def sweep_own_code(lab: Lab, cluster: Path, storage: Path) -> dict[str, tuple[int, str]]:
    """An environment and a rule that lie in a folder of the head alone; each node that plays it says so."""
    tree = sweep_tree({"seed": {"grid": [0, 1, 2, 3]}}, env__id="my_env:make", steps=1_500, method="activity")
    told = f"\n\ndef make(push=0.2):\n    Path({str(storage)!r}, platform.node()).touch()\n    return Point(push)\n"
    files = {
        "own.yaml": yaml.safe_dump(tree, sort_keys=False),
        "my_env.py": f"import platform\nfrom pathlib import Path\n\n{FILES['my_env.py']}{told}",
        "activity.py": FILES["activity.py"],
    }
    for name, text in files.items():
        (lab.folder / name).write_text(text)
        check(lab.run("ray", "rsync-up", str(cluster), str(lab.folder / name), f"{OF_THE_HEAD}/{name}"))
    store = f"--tracking-uri sqlite:///{storage}/own.db"  # beside that of the sweep with a cut
    command = f"rlx2 sweep own.yaml --plugin activity.py --address auto {store} --out"
    with_storage, without = storage / "own", storage / "not-shared"
    return {
        "shared": lab.run("ray", "exec", str(cluster), f"cd {OF_THE_HEAD} && {command} {with_storage}", timeout=300),
        "not shared": lab.run("ray", "exec", str(cluster), f"cd {OF_THE_HEAD} && RLX2_STORAGE= {command} {without}"),
    }


def sweep_with_a_cut(lab: Lab, cluster: Path) -> tuple[str, int, dict[str, str]]:
    """The worker is cut off in the middle of a trial, when each node has been seen at work."""
    seen: dict[str, str] = {}

    def is_time() -> bool:
        now = at_work(lab)
        seen.update(now)
        return ADDRESSES["worker"] in now.values() and set(seen.values()) == set(ADDRESSES.values())

    submitted = lab.start("ray", "submit", str(cluster), "sweep.py", "--", str(lab.folder / "sweep.yaml"))
    try:
        wait_until(is_time, submitted, 300)
        lab.pull_cable("worker")
        output, _ = submitted.communicate(timeout=300)
    finally:
        submitted.kill()
    lab.plug_cable("worker")
    return output, submitted.returncode, seen


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.2)


def at_work(lab: Lab) -> dict[str, str]:
    """The node of each trial that has a checkpoint and is not at its end: the one with the trial's lock."""
    found = {}
    for node in lab.nodes.values():
        for trial in {Path(lock).parent for process in node.processes() for lock in locks(process)}:
            if list_checkpoints(trial / "checkpoints") and not (trial / "result.json").exists():
                found[trial.name] = node.address
    return found


def locks(process: psutil.Process) -> list[str]:
    """Files of trials that it holds; none of a process that has gone."""
    with suppress(psutil.Error):
        return [file.path for file in process.open_files() if Path(file.path).match("trials/*/run.lock")]
    return []


def wait_for_quiet(lab: Lab, seconds: float = 90) -> dict[str, list[str]]:
    """What runs beside the sshd, once nothing does or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        left = {name: [command(process) for process in node.processes()] for name, node in lab.nodes.items()}
        if all(len(commands) <= 1 for commands in left.values()) or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


def command(process: Any) -> str:
    with suppress(Exception):
        return " ".join(process.cmdline())
    return "gone"


def test_sweep_ends_complete_with_trials_on_both_nodes(finished: Finished) -> None:
    assert finished.code == 0, finished.output
    assert set(finished.nodes_before.values()) == set(ADDRESSES.values())
    result = json.loads((finished.directory / "result.json").read_text())
    assert [(row["state"], row["env_steps"]) for row in result["trials"]] == [("finished", STEPS)] * TRIALS
    assert "goes on from its last checkpoint" in finished.output
    versions = {
        json.loads(path.read_text())["versions"]["rlx2_ray"] for path in finished.directory.glob("trials/*/result.json")
    }
    (version,) = versions
    assert "+src." in version, "the package that prepare.sh built, not the checkout"


def test_own_environment_and_rule_get_to_both_nodes(finished: Finished) -> None:
    code, output = finished.own["shared"]
    assert code == 0, output
    storage = finished.folder / "storage"
    result = json.loads((storage / "own" / "result.json").read_text())
    assert [row["state"] for row in result["trials"]] == ["finished"] * 4
    assert {name for name in ADDRESSES if (storage / name).exists()} == set(ADDRESSES)
    copied = {path.name for path in (storage / "plugins").glob("*/*.py")}
    assert copied == {"my_env.py", "activity.py"}


def test_own_code_that_a_node_cannot_see_is_refused_in_one_sentence(finished: Finished) -> None:
    code, output = finished.own["not shared"]
    assert code != 0
    (line,) = [line for line in output.splitlines() if line.startswith("rlx2: ")]
    assert line.startswith(f"rlx2: Node {ADDRESSES['worker']} does not see the plugin {OF_THE_HEAD}/")
    assert "or set RLX2_STORAGE to a folder of that storage" in line
    assert not (finished.folder / "storage" / "not-shared").exists()


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's
def test_no_run_and_no_point_is_in_mlflow_twice(finished: Finished) -> None:
    names = trial_names(finished.directory)
    assert len(names) == TRIALS
    steps = list(range(INTERVAL, STEPS + 1, INTERVAL))
    check_every_point_once(finished.directory, {name: steps for name in names})
    parent, children = parent_and_children(finished.directory)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no token", ["does not know the token of this process"]),
        ("no node", ["this machine is no node of that cluster"]),
    ],
)
def test_client_that_has_no_business_there_is_refused_in_one_sentence(
    case: str, words: list[str], finished: Finished
) -> None:
    code, output = finished.refusals[case]
    assert code == 2, output
    assert output.splitlines()[-1].startswith(f"rlx2: runtime.address is {ADDRESSES['head']}:6379")
    assert all(word in output.splitlines()[-1] for word in words)
    assert "Traceback" not in output
    assert not (finished.folder / "refused").exists()


def test_ray_down_leaves_no_process_on_either_node(finished: Finished) -> None:
    others = {name: [line for line in left if "sshd -D" not in line] for name, left in finished.left.items()}
    assert others == {"head": [], "worker": []}
