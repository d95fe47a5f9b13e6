"""The files of cluster/, as far as they can be judged without the machines that they ask for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.lab import ROOT

FOLDER = ROOT / "cluster"
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
