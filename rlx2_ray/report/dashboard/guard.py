"""What the dashboard answers: requests for this machine alone, in the form that its own page makes them.

Any page in the same browser can send requests to this machine. By a name of its own that leads here (DNS rebinding) it
could read the answers too, so that requests have to name the machine as its people do. The content security policy
keeps what may be in a name from a file of somebody else from loading or running anything.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from dash import Dash
from dash.exceptions import DependencyException, InvalidResourceError
from flask import Response, abort, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_BYTES = 100_000  # of a request: the page's own have some 5,000
UPDATE = "/_dash-update-component"
KINDS: dict[str, type] = {"n_intervals": int}  # of properties that a callback is given; those of all others are text
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
Text = Annotated[str, Field(max_length=MOST_BYTES)]


class _Property(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    id: Text
    name: Text = Field(alias="property")
    value: Text | int | None = None

    @property
    def is_well_typed(self) -> bool:
        return self.value is None or type(self.value) is KINDS.get(self.name, str)


class _Update(BaseModel):
    """The body of a request for what a callback sets; keys beside these are dash's own affair."""

    model_config = ConfigDict(strict=True)

    output: Text
    outputs: list[_Property]
    inputs: list[_Property]
    state: list[_Property] = []
    changedPropIds: list[Text] = []


def guard(app: Dash, host: str) -> None:
    """Let an app answer what is for the machine that listens on `host`, and add headers to its answers."""
    names = names_of(host)
    policy = content_policy(app.csp_hashes())

    def check() -> None:
        if not is_for(request.environ.get("HTTP_HOST", ""), names):
            abort(403, f"This page is for {', '.join(sorted(names))} or an address; or serve it with --host NAME.")
        if request.method == "POST" and not is_update(request.get_data(), app.callback_map):
            abort(400, "This is no request of the dashboard's page.")

    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS | {"Content-Security-Policy": policy})
        return response

    app.server.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.server.before_request(check)
    app.server.after_request(add_headers)
    for error in (DependencyException, InvalidResourceError):  # a script that there is not
        app.server.register_error_handler(error, lambda _: ("There is no such file.", 404))


def names_of(host: str) -> set[str]:
    """The names that the machine is asked by, where it listens on `host`."""
    return {name.lower() for name in ("localhost", host, socket.gethostname())}


def is_for(host_header: str, names: set[str]) -> bool:
    """Whether the Host of a request is one of the names or an address, which nobody else can let lead here."""
    name, colon, port = host_header.rpartition(":")
    if not colon or not port.isdigit():
        name = host_header
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.lower() in names
    return True


def is_update(body: bytes, callbacks: Mapping[str, Any]) -> bool:
    """Whether it asks for what one of the callbacks sets, with values of the types that it takes."""
    try:
        update = _Update.model_validate_json(body)
    except ValidationError:
        return False
    callback = callbacks.get(update.output)
    if callback is None:
        return False
    given = [*update.inputs, *update.state]
    known = {f"{each.id}.{each.name}" for each in given}
    return (
        _names(update.outputs) == [str(each) for each in callback["output"]]
        and _names(update.inputs) == [f"{each['id']}.{each['property']}" for each in callback["inputs"]]
        and _names(update.state) == [f"{each['id']}.{each['property']}" for each in callback["state"]]
        and known.issuperset(update.changedPropIds)
        and all(each.is_well_typed for each in given)
    )


def _names(properties: Sequence[_Property]) -> list[str]:
    return [f"{each.id}.{each.name}" for each in properties]


def content_policy(script_hashes: Sequence[str]) -> str:
    """Everything from this server; scripts that are in the page itself by their digests."""
    scripts = " ".join(["'self'", *script_hashes])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
