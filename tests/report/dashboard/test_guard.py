"""The dashboard answers its own page on this machine, and whatever else comes with a refusal."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.report.dashboard.app import make_app, make_dashboard
from rlx2_ray.report.dashboard.guard import MOST_BYTES, UPDATE, is_for, names_of
from tests.support.dashboards import serving
from tests.support.sweeps import sweep, write_store

NAMES = names_of("127.0.0.1")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    app = make_app(make_dashboard(write_store(tmp_path_factory.mktemp("store"), *sweep()), None))
    return app.server.test_client()


@pytest.fixture(scope="module")
def body(client: FlaskClient) -> dict[str, Any]:
    """What the page sends for the choice."""
    (choose, _) = json.loads(client.get("/_dash-dependencies").data)
    return {
        "output": choose["output"],
        "outputs": [{"id": "choice", "property": name} for name in ("options", "value")],
        "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
        "state": [{"id": "choice", "property": "value", "value": None}],
        "changedPropIds": ["tick.n_intervals"],
    }


@pytest.mark.parametrize("host", ["localhost", "localhost:8050", "127.0.0.1:8050", "[::1]:80", "192.0.2.7"])
def test_machine_is_asked_by_its_names_or_addresses(host: str, client: FlaskClient) -> None:
    assert client.get("/_dash-layout", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_name_that_somebody_else_lets_lead_here_is_refused(host: str, client: FlaskClient) -> None:
    for path in ("/", "/_dash-layout", "/assets/page.css"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert b"serve it with --host NAME" in answer.data
    assert not is_for(host, NAMES)


def test_names_are_those_of_the_machine_and_the_one_it_is_served_by() -> None:
    assert names_of("Lab.Example") == {"localhost", "lab.example", socket.gethostname().lower()}
    assert is_for("LAB.example:80", names_of("Lab.Example"))
    assert not is_for("", NAMES)


def test_page_may_load_from_its_server_alone(client: FlaskClient) -> None:
    for path in ("/", "/_dash-layout", "/nothing", "/_dash-component-suites/dash/nothing.js"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"].startswith("'self' 'sha256-")
        assert policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_request_of_the_page_is_answered(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.post(UPDATE, json=body)
    assert answer.status_code == 200
    assert json.loads(answer.data)["response"]["choice"]["options"]


@pytest.mark.parametrize(
    "change",
    [
        {"output": "nothing.at.all"},
        {"output": ["..choice.options...choice.value.."]},
        {"outputs": []},
        {"outputs": {"id": "choice", "property": "value"}},
        {"inputs": [{"id": "tick", "property": "n_intervals", "value": "one"}]},
        {"inputs": [{"id": "tick", "property": "n_intervals", "value": True}]},
        {"inputs": [{"id": {"type": "x"}, "property": "n_intervals", "value": 1}]},
        {"inputs": []},
        {"state": [{"id": "choice", "property": "value", "value": 7}]},
        {"state": [{"id": "choice", "property": "value", "value": {"a": [1]}}]},
        {"state": [{"id": "choice", "property": "value", "value": None}] * 2},
        {"changedPropIds": ["x"]},
        {"changedPropIds": 5},
    ],
)
def test_request_that_the_page_would_not_make_is_refused(
    change: dict[str, Any], client: FlaskClient, body: dict[str, Any]
) -> None:
    assert client.post(UPDATE, json=body | change).status_code == 400


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"null", b"\xff", b"[" * 50_000])
def test_request_that_is_no_object_is_refused(data: bytes, client: FlaskClient) -> None:
    assert client.post(UPDATE, data=data, content_type="application/json").status_code == 400
    assert client.post(UPDATE, data=data, content_type="text/plain").status_code == 400


KEYS = ["output", "outputs", "inputs", "state", "changedPropIds"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    key=st.sampled_from(["output", "outputs", "inputs", "state", "changedPropIds"]), value=JSON, place=st.integers(0, 3)
)
def test_no_request_is_an_error_of_the_server(
    client: FlaskClient, body: dict[str, Any], key: str, value: Any, place: int
) -> None:
    altered = json.loads(json.dumps(body))
    if place and isinstance(altered[key], list) and isinstance(altered[key][0], dict):
        altered[key][0][["id", "property", "value"][place - 1]] = value
    else:
        altered[key] = value
    assert client.post(UPDATE, json=altered).status_code in (200, 204, 400)


@pytest.mark.parametrize("path", ["/_dash-component-suites/dash/no.js", "/_dash-component-suites/os/path.py"])
def test_script_that_there_is_not_is_not_found(path: str, client: FlaskClient) -> None:
    assert client.get(path).status_code == 404


def test_request_is_so_long_and_no_longer(tmp_path: Path) -> None:
    with serving(make_dashboard(write_store(tmp_path, *sweep()), None)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                f"POST {UPDATE} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n".encode()
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 413")


def test_threads_do_not_grow_with_connections(tmp_path: Path) -> None:
    with serving(make_dashboard(write_store(tmp_path, *sweep()), None)) as address:
        before = threading.active_count()
        host, _, port = address.removeprefix("http://").partition(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(50)]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for connection in connections:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert threading.active_count() == before
        for connection in connections:
            connection.close()
