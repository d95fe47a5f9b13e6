"""What a cluster is asked before it is joined, since Ray itself would try for minutes, or end the process."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

from rlx2_ray.types import BadInput

CONNECT_S = 5.0


def check_head(address: str) -> None:
    """Raises BadInput where no cluster answers at `address`, or it would not have this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        from ray.exceptions import AuthenticationError, RpcError

    try:
        sockets = _node_sockets(address)
    except AuthenticationError:
        raise BadInput(
            f"runtime.address is {address}, whose cluster does not know the token of this process: set "
            "RAY_AUTH_MODE=token, and have the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN."
        ) from None
    except (OSError, ValueError, OverflowError, RpcError):  # no address, or nobody there
        raise BadInput(
            f"runtime.address is {address}, where no Ray cluster answers: start one with 'ray start --head', or leave "
            "the key out for a Ray of the run's own."
        ) from None
    if not any(path.exists() for path in sockets):
        raise BadInput(
            f"runtime.address is {address}, and this machine is no node of that cluster: run the command on one, as "
            "'ray submit CLUSTER.yaml sweep.py' does."
        )


def _node_sockets(address: str) -> list[Path]:
    """Each node's own, by which the processes on it speak to it."""
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled

    head = str(canonicalize_bootstrap_address(address))
    host, _, port = head.rpartition(":")
    socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    ensure_token_if_auth_enabled(create_token_if_missing=False)  # without one the client would abort the process
    return [Path(node.raylet_socket_name) for node in GcsClient(address=head).get_all_node_info().values()]
