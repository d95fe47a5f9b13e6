"""The page of a run, where there is a server that shows one."""

from __future__ import annotations

from urllib.parse import urlsplit

from rlx2_ray.tracking.uri import redacted, scheme_of


def run_link(uri: str, experiment_id: str, run_id: str) -> str | None:
    """The page of a run; None where the store is no HTTP server, so that no page of it is known."""
    if scheme_of(uri) not in ("http", "https"):
        return None
    server = urlsplit(redacted(uri))
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
