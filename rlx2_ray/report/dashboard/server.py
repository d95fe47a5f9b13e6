"""The web server of the dashboard: with so many threads and connections, and no more."""

from __future__ import annotations

import logging
import os
import socket

from flask import Flask
from waitress.server import TcpWSGIServer, create_server

from rlx2_ray.report.dashboard.guard import MOST_BYTES
from rlx2_ray.types import BadInput

THREADS, CONNECTIONS = 4, 100  # a page has six connections at most, by the browser's own limit
SILENCE_S = 60  # after which a connection is closed


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: a free one. Raises BadInput where the port is in use, or is not ours to have."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        known = error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno) if known else error.strerror  # type: ignore[arg-type]
        raise BadInput(
            f"--port is {port}, which cannot be served on {host} ({reason}): stop what uses it, or give another --port."
        ) from None


def make_server(app: Flask, listening: socket.socket) -> TcpWSGIServer:
    """One that serves on the socket, once it runs."""
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it would say how many wait
    server = create_server(
        app,
        sockets=[listening],
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=SILENCE_S,
        max_request_body_size=MOST_BYTES,
        ident=None,
    )
    assert isinstance(server, TcpWSGIServer)  # as of one socket it is
    return server
