"""`rlx2 dashboard`: a live web page of sweeps, compressions and runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rlx2_ray.cli import options

Experiment = Annotated[
    str | None, typer.Option("--experiment", metavar="NAME", help="Of MLflow.", show_default="all of them")
]
Port = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free.")]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="To listen on. Others than this machine's own let others read.")
]
Refresh = Annotated[float, typer.Option("--refresh", metavar="SECONDS", min=1, help="Between two looks at the store.")]
MlflowUi = Annotated[
    str | None,
    typer.Option("--mlflow-ui", metavar="URL", help="To link runs to.", show_default="the store, where it is a server"),
]


def dashboard(
    tracking_uri: options.TrackingUri = None,
    experiment: Experiment = None,
    port: Port = 8050,
    host: Host = "127.0.0.1",
    refresh: Refresh = 5.0,
    mlflow_ui: MlflowUi = None,
) -> None:
    """Serve a page with trials, verdicts, what a search believes, and figures, live while they run. Ctrl-C ends it."""
    from rlx2_ray.report.dashboard.server import bind, make_server

    with bind(host, port) as listening:  # before the seconds that the rest takes
        from rlx2_ray.report.dashboard.app import make_app, make_dashboard
        from rlx2_ray.tracking.uri import default_tracking_uri

        made = make_dashboard(tracking_uri or default_tracking_uri(), experiment, refresh, mlflow_ui)
        server = make_server(make_app(made, host).server, listening)
        typer.echo(f"http://{host}:{listening.getsockname()[1]} (Ctrl-C ends it)")
        server.run()  # which Ctrl-C ends
