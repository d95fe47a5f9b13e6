"""A dashboard in this process, as a browser finds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rlx2_ray.report.dashboard.app import Dashboard, make_app, make_web_server


@contextmanager
def serving(dashboard: Dashboard) -> Iterator[str]:
    """Gives the address."""
    server = make_web_server(make_app(dashboard), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
