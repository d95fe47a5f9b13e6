"""`python cluster/check.py CLUSTER.yaml`, which prepare.sh calls: can `ray up` begin with this file?

Ray answers a missing key with a traceback. Here it is one sentence and exit code 2: what these nodes need, by key, then
Ray's own schema.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import yaml
from ray.autoscaler._private.util import validate_config

COMMANDS = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
NEEDED = ("cluster_name", "provider.type", "auth.ssh_user", "max_workers", "file_mounts", *COMMANDS)
NEEDED_BY = {
    "local": ("provider.head_ip", "provider.worker_ips"),
    "aws": ("provider.region", "head_node_type", "available_node_types"),
    "gcp": (
        *("provider.region", "provider.availability_zone", "provider.project_id"),
        *("head_node_type", "available_node_types"),
    ),
}
MOUNTS = ("~/rlx2", "~/.ray/auth_token")  # what prepare.sh makes
TO_FILL_IN = "FILL-IN"
OF_LOCAL = "min_workers"  # Ray takes it, and moves it before it looks at its schema
FILLED_IN_BY_RAY: dict[str, Any] = {"cluster_synced_files": []}


def complaint(file: str) -> str | None:
    """What is wrong with it, as the end of a sentence that begins with its name; None where nothing is."""
    try:
        with open(file) as text:
            tree = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"cannot be read: {' '.join(str(error).split())}."
    if not isinstance(tree, dict):
        return "is not a cluster file: it has no keys; begin with cluster/local.yaml, aws.yaml or gcp.yaml."
    return missing(tree) or unfilled(tree) or refused_by_ray(tree)


def missing(tree: dict[str, Any]) -> str | None:
    kind = value_at(tree, "provider.type")
    for key in (*NEEDED, *NEEDED_BY.get(str(kind), ())):
        if value_at(tree, key) in (None, "", {}):
            example = f"cluster/{kind}.yaml" if kind in NEEDED_BY else "cluster/local.yaml"
            return f"has no {key}: {example} shows what it is."
    for mount in MOUNTS:
        if mount not in tree["file_mounts"]:
            return f"has no file_mounts['{mount}']: without it a node gets nothing of what prepare.sh makes."
    return None


def value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def unfilled(tree: dict[str, Any]) -> str | None:
    for key, value in leaves(tree):
        if isinstance(value, str) and TO_FILL_IN in value:
            return f"still says {key}: {value}, which is to be filled in."
    return None


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def refused_by_ray(tree: dict[str, Any]) -> str | None:
    try:
        validate_config({key: value for key, value in tree.items() if key != OF_LOCAL} | FILLED_IN_BY_RAY)
    except jsonschema.ValidationError as error:
        where = ".".join(str(part) for part in error.absolute_path)
        return f"is refused by Ray's schema{f' at {where}' if where else ''}: {error.message}."
    except ValueError as error:
        return f"is refused by Ray: {error}"
    return None


if __name__ == "__main__":
    (file,) = sys.argv[1:]
    if found := complaint(file):
        print(f"cluster/prepare.sh: {file} {found}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
