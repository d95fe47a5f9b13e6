"""Policies in the model registry: they act as the policy file does, wherever they are loaded, and are there once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import PolicyFile, save_policy
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.tracking import model as model_module
from rlx2_ray.tracking.model import register_policy, registered_name
from rlx2_ray.tracking.tracker import Tracker
from rlx2_ray.types import BadInput, Floats, RunFailed, Spaces
from tests.support.runs import database_uri, environment, flip_byte, small_config
from tests.tracking.test_outage import Server, server
from tests.tracking.test_tracker import free_port, wait_until

__all__ = ["server"]  # a fixture

NAME = "rlx2-Task-v0-td3"
SPACES = Spaces(5, 2, (-3.0, 0.0), (1.0, 10.0))


def write_policy(path: Path, algo: str = "td3", seed: int = 0) -> PolicyFile:
    """An untrained policy."""
    layers = make_learner(small_config(algo=algo, seed=seed), SPACES).policy_weights().layers
    policy = PolicyFile(layers, algo, {"id": "Task-v0", "kwargs": {}}, SPACES)
    save_policy(path, policy)
    return policy


def observations() -> Floats:
    return np.random.default_rng(0).standard_normal((7, SPACES.observation_size), dtype=np.float32)


def expected_actions(policy: PolicyFile) -> Floats:
    """What the policy does, in the environment's units."""
    action = make_evaluation_policy(policy.algo, make_network(policy.weights)).action(observations())
    low, high = np.asarray(SPACES.action_low), np.asarray(SPACES.action_high)
    return np.float32(low + (action + 1) / 2 * (high - low))


def make_run(uri: str) -> str:
    return Tracker(uri, "sweep", "parent", "parent", {}, {}, pytest.fail).start_or_fail()


def load(uri: str, model: str) -> Any:
    import mlflow

    mlflow.set_tracking_uri(uri)
    try:
        return mlflow.pyfunc.load_model(model)
    finally:
        mlflow.set_tracking_uri(None)


def client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store; the test runs in a folder where nothing may be left."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()
    return database_uri(tmp_path / "store")


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_model_acts_as_the_policy(algo: str, uri: str, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.safetensors", algo)
    made = register_policy(uri, make_run(uri), tmp_path / "policy.safetensors", NAME, {})
    model = load(uri, f"models:/{NAME}@ultimate")
    actions = model.predict(observations())
    assert actions.dtype == np.float32
    np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)
    assert made == "1"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_model_normalises_observations_and_other_statistics_are_another_version(uri: str, tmp_path: Path) -> None:
    policy, path = write_policy(tmp_path / "policy.safetensors"), tmp_path / "policy.safetensors"
    run_id = make_run(uri)
    register_policy(uri, run_id, path, NAME, {})
    statistics = Normalization(np.float32([0.5, -1, 2, 0, 3]), np.float32([0.1, 20, 1, 2, 0.5]))
    policy = policy._replace(normalization=statistics)
    save_policy(path, policy)
    assert register_policy(uri, run_id, path, NAME, {}) == "2"
    actions = load(uri, f"models:/{NAME}@ultimate").predict(observations())
    np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)
    assert not np.allclose(actions, expected_actions(policy._replace(normalization=None)), atol=1e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, PolicyFile]:
    """As people load it, and the policy that it is of."""
    folder = tmp_path_factory.mktemp("model")
    policy = write_policy(folder / "policy.safetensors")
    uri = database_uri(folder)
    register_policy(uri, make_run(uri), folder / "policy.safetensors", NAME, {})
    return load(uri, f"models:/{NAME}@ultimate"), policy


FORMS: dict[str, Callable[[Floats], Any]] = {
    "float64": lambda array: array.astype(np.float64),
    "lists": lambda array: array.tolist(),
    "tuples": lambda array: tuple(map(tuple, array.tolist())),
    "table": pandas.DataFrame,
    "table of float64": lambda array: pandas.DataFrame(array.astype(np.float64), columns=list("abcde")),
    "column of lists": lambda array: pandas.DataFrame({"observation": array.tolist()}),
    "named": lambda array: {"observation": array.astype(np.float64)},
}


@pytest.mark.parametrize("form", FORMS)
def test_model_takes_what_clients_send(form: str, model: tuple[Any, PolicyFile]) -> None:
    loaded, policy = model
    actions = loaded.predict(FORMS[form](observations()))
    np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)


def test_model_takes_one_observation_and_whole_numbers(model: tuple[Any, PolicyFile]) -> None:
    loaded, policy = model
    one = loaded.predict(observations()[0].tolist())
    np.testing.assert_allclose(one, expected_actions(policy)[:1], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(loaded.predict([[1, 0, 0, 2, 0]]), loaded.predict([[1.0, 0, 0, 2, 0]]))


@pytest.mark.parametrize("payload", ["inputs", "instances", "named", "records", "split", "whole numbers"])
def test_model_takes_what_the_server_of_mlflow_makes_of_a_request(payload: str, model: tuple[Any, PolicyFile]) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    loaded, policy = model
    rows: Any = observations().tolist()
    content = {
        "inputs": {"inputs": rows},
        "instances": {"instances": rows},
        "named": {"inputs": {"observation": rows}},
        "records": {"dataframe_records": [dict(zip("abcde", row, strict=True)) for row in rows]},
        "split": {"dataframe_split": {"columns": list("abcde"), "data": rows}},
        "whole numbers": {"inputs": [[0, 0, 0, 0, 0]] * len(rows)},
    }[payload]
    schema = loaded.metadata.get_input_schema()
    answer = invocations(json.dumps(content), "application/json", loaded, schema)
    assert answer.status == 200, answer.response
    actions = json.loads(answer.response)["predictions"]
    if payload != "whole numbers":
        np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)
    assert np.shape(actions) == (len(rows), 2)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([[1.0, 2.0]], r"The observations have shape \(1, 2\): give \(N, 5\)\."),
        ([["a", "b", "c", "d", "e"]], r"The observations are no numbers .*: give 5 for each\."),
        ([[1.0], [1.0, 2.0]], r"The observations are no numbers .*: give 5 for each\."),
    ],
)
def test_model_says_what_it_wants(given: Any, problem: str, model: tuple[Any, PolicyFile]) -> None:
    with pytest.raises(ValueError, match=problem):
        model[0].predict(given)


def test_model_is_described(uri: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policy.safetensors")
    run_id = make_run(uri)
    register_policy(uri, run_id, tmp_path / "policy.safetensors", NAME, {"score": 98.5, "verdict": "accept"})
    found = client(uri).get_model_version_by_alias(NAME, "ultimate")
    assert found.run_id == run_id
    assert {"score": "98.5", "verdict": "accept"}.items() <= found.tags.items()

    model = load(uri, f"models:/{NAME}@ultimate")
    assert model.metadata.metadata == {"observation_size": 5, "action_size": 2}
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 2)
    assert model.predict(model.input_example).shape == (1, 2)
    (output,) = client(uri).get_run(run_id).outputs.model_outputs
    assert client(uri).get_logged_model(output.model_id).artifact_location == found.source


def model_folder(tmp_path: Path) -> Path:
    (description,) = tmp_path.rglob("MLmodel")
    return description.parent


def test_model_is_code_and_numbers_and_needs_few_packages(uri: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policy.safetensors")
    register_policy(uri, make_run(uri), tmp_path / "policy.safetensors", NAME, {})
    folder = model_folder(tmp_path / "store")
    assert not [path for path in folder.rglob("*") if "pickle" in path.name or path.suffix == ".pkl"]
    requirements = (folder / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in requirements] == ["mlflow", "numpy"]


WITHOUT_THE_PACKAGE = """
import sys
import numpy as np
sys.modules["rlx2_ray"] = None
import mlflow
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(np.zeros((1, 5), np.float32)).shape)
"""


def test_model_acts_where_the_package_is_not_installed(uri: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policy.safetensors")
    register_policy(uri, make_run(uri), tmp_path / "policy.safetensors", NAME, {})
    command = [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(model_folder(tmp_path / "store"))]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.stdout == "(1, 2)\n", done.stderr


def test_same_policy_of_a_run_has_one_version_and_another_policy_the_next(uri: str, tmp_path: Path) -> None:
    run_id = make_run(uri)
    path = tmp_path / "policy.safetensors"
    write_policy(path)
    register_policy(uri, run_id, path, NAME, {"ratio": 0.5})
    again = register_policy(uri, run_id, path, NAME, {"ratio": 0.99})
    assert again == "1"
    assert client(uri).get_model_version(NAME, "1").tags["ratio"] == "0.99"

    write_policy(path, seed=1)
    assert register_policy(uri, run_id, path, NAME, {}) == "2"
    assert client(uri).get_model_version_by_alias(NAME, "ultimate").version == 2
    assert len(client(uri).search_model_versions(f"name = '{NAME}'")) == 2


@pytest.mark.parametrize(
    "step", ["log_outputs", "log_model_artifacts", "finalize_logged_model", "create_model_version"]
)
def test_killed_half_way_and_called_again(step: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    def die(*arguments: Any, **options: Any) -> None:
        raise OSError("killed")

    run_id = make_run(uri)
    policy = write_policy(tmp_path / "policy.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, die)
        with pytest.raises(RunFailed, match="killed"):
            register_policy(uri, run_id, tmp_path / "policy.safetensors", NAME, {})
    assert register_policy(uri, run_id, tmp_path / "policy.safetensors", NAME, {}) == "1"
    actions = load(uri, f"models:/{NAME}@ultimate").predict(observations())
    np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)
    experiment_id = client(uri).get_run(run_id).info.experiment_id
    assert len(client(uri).search_logged_models([experiment_id])) == 1
    assert len(client(uri).get_run(run_id).outputs.model_outputs) == 1


def test_file_that_is_no_policy(uri: str, tmp_path: Path) -> None:
    (tmp_path / "policy.safetensors").write_text("buy milk")
    with pytest.raises(BadInput, match="cannot be read as a policy"):
        register_policy(uri, "run", tmp_path / "policy.safetensors", NAME, {})


@pytest.mark.parametrize(
    ("env_id", "name"),
    [("Hopper-v5", "rlx2-Hopper-v5-td3"), ("package:Walk/Far-v0", "rlx2-package-Walk-Far-v0-td3")],
)
def test_name_in_the_registry(env_id: str, name: str) -> None:
    assert registered_name(env_id, "td3") == name


@pytest.mark.slow
def test_model_on_a_server(server: Server, tmp_path: Path) -> None:
    server.start()
    policy = write_policy(tmp_path / "policy.safetensors")
    run_id = make_run(server.uri)
    for _ in range(2):
        made = register_policy(server.uri, run_id, tmp_path / "policy.safetensors", NAME, {"score": 1.0})
        assert made == "1"
    actions = load(server.uri, f"models:/{NAME}@{model_module.ALIAS}").predict(observations())
    np.testing.assert_allclose(actions, expected_actions(policy), rtol=0, atol=1e-6)


def test_tampered_model_is_refused_with_its_file(uri: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policy.safetensors")
    register_policy(uri, make_run(uri), tmp_path / "policy.safetensors", NAME, {})
    flip_byte(model_folder(tmp_path / "store") / "artifacts" / "policy.safetensors")
    with pytest.raises(ValueError, match=r"policy\.safetensors is damaged"):
        load(uri, f"models:/{NAME}@ultimate")


def post(url: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and answer."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def served(uri: str, folder: Path) -> Iterator[str]:
    """What `mlflow models serve` gives on this machine's own address; its URL, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{NAME}@ultimate"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    variables = {"MLFLOW_TRACKING_URI": uri, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    log = folder / "serve.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, env=environment() | variables, stdout=file, stderr=file, start_new_session=True
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with closing(socket.socket()) as connection:
            time.sleep(0.5)
            return connection.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, seconds=300)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.slow
def test_model_is_served_over_http(uri: str, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.safetensors", "sac")
    register_policy(uri, make_run(uri), tmp_path / "policy.safetensors", NAME, {})
    with served(uri, tmp_path) as url:
        status, answer = post(f"{url}/invocations", {"inputs": observations().tolist()})
        refusal, reason = post(f"{url}/invocations", {"inputs": [[1.0, 2.0]]})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], expected_actions(policy), rtol=0, atol=1e-5)
    assert refusal == 400, "two numbers are no observation of this task"
    assert "shape" in str(reason)
