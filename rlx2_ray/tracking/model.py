"""A sweep's winning policy in MLflow's model registry, as a model that any tool of MLflow loads and serves."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest
from rlx2_ray.tracking.store import import_mlflow, make_client, root_cause
from rlx2_ray.tracking.tags import POLICY_DIGEST
from rlx2_ray.tracking.uri import redacted, resolve_tracking_uri, sqlite_file
from rlx2_ray.types import RunFailed, Spaces

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

ALIAS = "ultimate"
_NOT_IN_NAMES = re.compile(r"[/:.%\"']")
_CODE = Path(__file__).with_name("pyfunc.py")
_REQUIREMENTS = ("mlflow", "numpy")  # of that code, and no more


def registered_name(env_id: str, algo: str) -> str:
    """The name of a task's policies in the registry, which takes none of these signs."""
    return f"rlx2-{_NOT_IN_NAMES.sub('-', env_id)}-{algo}"


def register_policy(
    uri: str, run_id: str, policy_file: Path, name: str, tags: Mapping[str, Any], alias: str = ALIAS
) -> str:
    """Log a policy as a model of the run, register it and point the alias to it; returns the version, which has `tags`.

    The same policy of the same run has one version, however often this is called. Raises BadInput for a file that is
    no policy, RunFailed where the store does not take it.
    """
    policy = load_policy(policy_file)
    uri = resolve_tracking_uri(uri)
    try:
        import_mlflow(uri)
        client = make_client(uri, sqlite_file(uri))
        made = _find_or_create_version(client, run_id, policy, policy_file, name)
        for key, value in tags.items():
            client.set_model_version_tag(name, made, key, str(value))
        client.set_registered_model_alias(name, alias, made)
    except Exception as error:  # the store, its driver, the network, the disk
        reason = redacted(f"MLflow at {uri} did not take the policy {policy_file} ({root_cause(error)})")
        raise RunFailed(f"{reason}: the file is kept, and the same command goes on.") from None
    return made


def _find_or_create_version(client: MlflowClient, run_id: str, policy: PolicyFile, policy_file: Path, name: str) -> str:
    digest = policy_digest(*policy.weights)
    _create_registered_model(client, name)
    for found in client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'"):
        if found.tags.get(POLICY_DIGEST) == digest:
            return str(found.version)
    model = _find_or_create_model(client, run_id, digest, name)
    if str(model.status) != "READY":
        _upload(client, model, run_id, policy.spaces, policy_file)
    made = client.create_model_version(
        name, model.artifact_location, run_id, tags={POLICY_DIGEST: digest}, model_id=model.model_id
    )
    return str(made.version)


def _create_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_or_create_model(client: MlflowClient, run_id: str, digest: str, name: str) -> LoggedModel:
    """The run's model of this policy, perhaps one whose upload was cut short."""
    experiment_id = client.get_run(run_id).info.experiment_id
    for found in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if found.tags.get(POLICY_DIGEST) == digest:
            return found
    return client.create_logged_model(experiment_id, name, run_id, tags={POLICY_DIGEST: digest})


def _upload(client: MlflowClient, model: LoggedModel, run_id: str, spaces: Spaces, policy_file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rlx2-") as folder:
        path = Path(folder, "model")
        _save_model(path, model, run_id, spaces, policy_file)
        client.log_model_artifacts(model.model_id, str(path))
    _show_at_run(client, model, run_id)
    client.finalize_logged_model(model.model_id, "READY")


def _show_at_run(client: MlflowClient, model: LoggedModel, run_id: str) -> None:
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if model.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])


def _save_model(path: Path, model: LoggedModel, run_id: str, spaces: Spaces, policy_file: Path) -> None:
    # MLflow's own models of chats have such types. For good, since a filter cannot be put back safely while another
    # thread runs.
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    pyfunc.save_model(
        path,
        mlflow_model=Model(
            artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id, model_id=model.model_id
        ),
        python_model=str(_CODE),  # as code: nothing is pickled
        artifacts={"policy": str(policy_file), "reader": policy_reader.__file__},
        # None for the input: MLflow would refuse lists and float64, which is what clients send; the code takes both.
        signature=ModelSignature(outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, spaces.action_size))])),
        metadata={"observation_size": spaces.observation_size, "action_size": spaces.action_size},
        input_example=np.zeros((1, spaces.observation_size), np.float32),
        pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
    )
