"""The files of cluster/, as far as they can be judged without the machines that they ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.lab import ROOT

FOLDER = ROOT / "cluster"
CALLER = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # who has the environment
LAUNCHED = ("local", "aws", "gcp")  # by `ray up`


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", LAUNCHED)
def test_file_has_rays_own_schema_and_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = prepare_config(load(name))
    validate_config(config)
    assert 0 < config["max_workers"] <= 8
    assert config["idle_timeout_minutes"] > 0
    assert all(kind["max_workers"] <= config["max_workers"] for kind in config["available_node_types"].values())


@pytest.mark.parametrize("name", LAUNCHED)
def test_every_node_gets_the_token_the_package_and_the_variables(name: str) -> None:
    config = load(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["file_mounts"]["~/rlx2"] == "cluster/node"
    assert config["setup_commands"][-1] == "bash ~/rlx2/install.sh"
    assert "export RAY_AUTH_MODE=token" in (FOLDER / "environment.sh").read_text()


def test_all_files_mean_the_installed_ray() -> None:
    assert load("rayjob")["spec"]["rayClusterSpec"]["rayVersion"] == ray.__version__
    assert f"FROM rayproject/ray:{ray.__version__}-py311-cpu" in (FOLDER / "Dockerfile").read_text()


def test_kubernetes_pods_have_token_storage_and_server_and_their_number_has_a_limit() -> None:
    cluster = load("rayjob")["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    assert 0 == workers["minReplicas"] < workers["maxReplicas"] <= 8
    for group in (cluster["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        (mount,) = container["volumeMounts"]
        assert variables["RLX2_STORAGE"] == mount["mountPath"]
        assert variables["MLFLOW_TRACKING_URI"].startswith("http")
        assert [volume["name"] for volume in pod["volumes"]] == [mount["name"]]


def test_image_holds_what_the_job_runs() -> None:
    entry = load("rayjob")["spec"]["entrypoint"].split()
    copied = (FOLDER / "Dockerfile").read_text()
    assert entry[0] == "python"
    for path in entry[1:]:
        name = path.removeprefix("/home/ray/")
        assert (ROOT / name).is_file()
        assert f"ray:users {name.split('/')[0]}" in copied


@pytest.mark.parametrize("script", sorted(FOLDER.rglob("*.sh")), ids=lambda path: str(path.name))
def test_script_is_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("missing", ["RLX2_STORAGE", "MLFLOW_TRACKING_URI"])
def test_variable_that_is_missing_is_named_in_one_sentence(missing: str) -> None:
    variables = {**os.environ, "RLX2_STORAGE": "/mnt/rlx2", "MLFLOW_TRACKING_URI": "http://localhost:5000"}
    del variables[missing]
    done = subprocess.run([FOLDER / "prepare.sh"], env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cluster/prepare.sh: {missing} is not set: the head of this file says what it is.\n"


def check(folder: Path, tree: Any) -> tuple[int, str]:
    """Exit code, and what is said after the name of the file."""
    file = folder / "my.yaml"
    file.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    done = subprocess.run([sys.executable, FOLDER / "check.py", file], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == ""
    return done.returncode, done.stderr.removeprefix(f"cluster/prepare.sh: {file} ").removesuffix("\n")


def without(tree: Any, key: str) -> Any:
    *parents, last = key.split(".")
    part = tree
    for parent in parents:
        part = part[parent]
    del part[last]
    return tree


def test_file_as_it_is_to_be_filled_in(tmp_path: Path) -> None:
    assert check(tmp_path, load("local")) == (0, "")
    gcp = load("gcp")
    assert check(tmp_path, gcp) == (2, "still says provider.project_id: FILL-IN, which is to be filled in.")
    gcp["provider"]["project_id"] = "walkers"
    assert check(tmp_path, gcp) == (0, "")
    where = "available_node_types.head.node_config.ImageId"
    assert check(tmp_path, load("aws")) == (2, f"still says {where}: ami-FILL-IN, which is to be filled in.")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("local", "cluster_name"),
        ("local", "auth"),
        ("local", "auth.ssh_user"),
        ("local", "provider.head_ip"),
        ("local", "head_start_ray_commands"),
        ("aws", "provider.region"),
        ("gcp", "available_node_types"),
    ],
)
def test_key_that_is_missing_is_named_in_one_sentence(name: str, key: str, tmp_path: Path) -> None:
    said = {"auth": "auth.ssh_user"}.get(key, key)
    expected = (2, f"has no {said}: cluster/{name}.yaml shows what it is.")
    assert check(tmp_path, without(load(name), key)) == expected


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ("[", "cannot be read: while parsing"),
        ("", "is not a cluster file: it has no keys"),
        ({**load("local"), "provider": {}}, "has no provider.type: cluster/local.yaml shows"),
        ({**load("local"), "file_mounts": {"~/rlx2": "cluster/node"}}, "has no file_mounts['~/.ray/auth_token']:"),
        ({**load("local"), "max_workers": "eight"}, "is refused by Ray's schema at max_workers: 'eight' is not"),
        ({**load("local"), "available_node_types": {}, "head_node_type": "big"}, "is refused by Ray: `head_node_type`"),
        ({**load("local"), "max_wokers": 3}, "is refused by Ray's schema: Additional properties"),
    ],
)
def test_other_mistakes_are_one_sentence(tree: Any, words: str, tmp_path: Path) -> None:
    code, said = check(tmp_path, tree)
    assert code == 2
    assert said.startswith(words)
    assert "\n" not in said


def test_nothing_is_prepared_for_a_file_that_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([FOLDER / "prepare.sh", "no.yaml"], cwd=tmp_path, env=CALLER, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cluster/prepare.sh: no.yaml cannot be read: [Errno 2]")
