"""A dashboard in this process, as a browser finds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from waitress import wasyncore

from rlx2_ray.report.dashboard.app import Dashboard, make_app
from rlx2_ray.report.dashboard.server import bind, make_server


@contextmanager
def serving(dashboard: Dashboard) -> Iterator[str]:
    """Gives the address."""
    with bind("127.0.0.1", 0) as listening:
        server = make_server(make_app(dashboard).server, listening)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))  # in its own thread
            thread.join()
            server.task_dispatcher.shutdown()
