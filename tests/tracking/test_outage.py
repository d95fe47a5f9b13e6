"""MLflow servers that fall silent, die and come back: training goes on, no point is lost and none is doubled."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rlx2_ray.runs.result import C_BYTES
from rlx2_ray.tracking import tracker as tracker_module
from tests.support.runs import (
    RLX2,
    compile_kernels,
    ended,
    environment,
    read_points,
    small_arguments,
    wait_for,
)
from tests.tracking.test_tracker import LOSS, RETURN, Desk, free_port, history, point, stored_run, wait_until

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # seconds
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class Server:
    """A real MLflow server on 127.0.0.1, with a SQLite store that outlives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._folder}/server.db"]
        command += ["--artifacts-destination", f"{self._folder}/artifacts"]
        with open(self._folder / "server.log", "a") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._is_healthy, seconds=300)

    def die(self) -> None:
        """At once, in the middle of whatever it does."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()
        wait_until(self._is_gone)

    def fall_silent(self) -> None:
        """It takes requests, and answers none before `wake`, when it works them all off."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _is_healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "server.log").read_text()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(f"{self.uri}/health", timeout=2).close()
        except OSError:
            time.sleep(0.5)
            return False
        return True

    def _is_gone(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) != 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.die()


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_silent_server_holds_up_no_call_but_the_first_and_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "RETRY_INTERVAL_S", 0.1)
    monkeypatch.setenv(TIMEOUT, "3")
    monkeypatch.setenv(RETRIES, "0")
    with silent_server() as uri:
        desk = Desk(uri)
        tracker = desk.tracker(clock=time.monotonic)
        tracker.start()
        for step in range(150):  # a second and a half, all but a tenth of it with a request under way
            started = time.monotonic()
            tracker.log([point(step)])
            tracker.log_tags({"step": str(step)})
            tracker.log_artifacts([tmp_path])
            assert time.monotonic() - started < 2.5, "a request waits for 3 s"
            time.sleep(0.01)
        assert not tracker.finish("FINISHED")
    assert len(desk.warnings) == 1
    assert "timed out" in desk.warnings[0]


UNDER_WAY = """
import os, signal, sys, time
import mlflow.tracking
from rlx2_ray.tracking import tracker as tracker_module

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs do not have
tracker_module.RETRY_INTERVAL_S = 0.1
os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "1"
tracker = tracker_module.Tracker(sys.argv[1], "hopper", "key", "td3", {}, {}, warn=lambda text: None)
if sys.argv[2] == "thread":
    tracker.start()
os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "120"
time.sleep(0.5)
"""
IMPATIENT = """
try:
    print("finishing", flush=True)
    tracker.finish("FINISHED")
except KeyboardInterrupt:
    print("interrupted", tracker.finish("KILLED"))
"""


@contextmanager
def program_with_silent_server(program: str, waits_for: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """It waits 120 s for an answer in its tracker's thread, or else as soon as it calls `finish`."""
    with silent_server() as uri:
        process = subprocess.Popen(
            [sys.executable, "-c", UNDER_WAY + program, uri, waits_for],
            cwd=folder,
            env=environment() | {RETRIES: "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended(process):
            yield process


@pytest.mark.parametrize("waits_for", ["thread", "own attempt"])
def test_ctrl_c_cuts_finish_short_and_the_program_ends_at_once(waits_for: str, tmp_path: Path) -> None:
    with program_with_silent_server(IMPATIENT, waits_for, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "finishing\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
    assert (output, error, process.returncode) == ("interrupted False\n", "", 0)


def test_program_that_ends_without_finish_does_not_wait_for_the_thread(tmp_path: Path) -> None:
    with program_with_silent_server("", "thread", tmp_path) as process:
        output, error = process.communicate(timeout=60)
    assert (output, error, process.returncode) == ("", "", 0)


@pytest.mark.slow
def test_server_that_comes_up_later_gets_everything(server: Server, tmp_path: Path) -> None:
    desk = Desk(server.uri)
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    tracker = desk.tracker()
    tracker.start()
    tracker.log([point(1000), point(2000, **{LOSS: float("inf")})])
    tracker.log_artifacts([tmp_path / "config.yaml"])
    assert len(desk.warnings) == 1

    server.start()
    desk.clock.now = 31.0
    tracker.log([point(3000)])
    wait_until(lambda: len(desk.warnings) == 2)
    resumed = desk.tracker()
    resumed.start()
    resumed.log([point(3000), point(4000)])
    assert resumed.finish("FINISHED")

    assert resumed.run_id == tracker.run_id
    assert history(server.uri, resumed.run_id) == [(step, step / 10) for step in (1000, 2000, 3000, 4000)]
    run = stored_run(server.uri, resumed.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"env.id": "Hopper-v5", "seed": "3"}
    assert [path.read_text() for path in tmp_path.rglob("artifacts/**/config.yaml")] == ["seed: 3\n"]


OUTAGES = pytest.mark.parametrize(
    ("go_away", "come_back"),
    [pytest.param(Server.die, Server.start, id="killed"), pytest.param(Server.fall_silent, Server.wake, id="silent")],
)
Act = Callable[[Server], None]


@pytest.mark.slow
@OUTAGES
def test_server_that_goes_away_twice_has_every_point_once(
    go_away: Act, come_back: Act, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "RETRY_INTERVAL_S", 0.5)
    monkeypatch.setenv(TIMEOUT, "3")
    server.start()
    desk = Desk(server.uri)
    tracker = desk.tracker(clock=time.monotonic)
    tracker.start()
    steps = itertools.count(1)

    def log_for_a_moment() -> None:
        tracker.log([point(next(steps))])
        time.sleep(0.02)

    def is_out_of_reach() -> bool:
        return len(desk.warnings) % 2 == 1  # each outage is said, and each recovery

    for _ in range(2):
        for _ in range(50):
            log_for_a_moment()
        go_away(server)
        while not is_out_of_reach():
            log_for_a_moment()
        come_back(server)
        while is_out_of_reach():
            log_for_a_moment()
    assert tracker.finish("FINISHED")

    logged = list(range(1, next(steps)))
    for name in (RETURN, LOSS):
        assert [step for step, _ in history(server.uri, tracker.run_id, name)] == logged


@pytest.mark.slow
@OUTAGES
def test_training_goes_on_through_an_outage_and_every_point_is_tracked_once(
    go_away: Act, come_back: Act, server: Server, tmp_path: Path
) -> None:
    server.start()
    directory, words = tmp_path / "run", tmp_path / "stderr"
    with ended(start_long_train(directory, words, server.uri)) as process:
        wait_for(lambda: len(read_points(directory)) > 3, process)
        go_away(server)
        wait_for(lambda: "cannot be used now" in words.read_text(), process)
        before = len(read_points(directory))
        wait_for(lambda: len(read_points(directory)) > before + 5, process)
        come_back(server)
        assert process.poll() is None
        assert process.wait(300) == 0

    said = [line for line in words.read_text().splitlines() if not line.startswith("env step")]
    assert "works again and has every point" in said[-1]
    assert not (directory / "undelivered").exists()
    assert len(read_points(directory)) == 100
    assert tracked_histories(server.uri) == written_histories(directory)


def start_long_train(directory: Path, words: Path, uri: str) -> subprocess.Popen[str]:
    """A run of 100 points, several times as long as a server takes to start; its standard error goes to `words`."""
    compile_kernels()
    changes = small_arguments(steps=50_000, evaluation__interval=500, checkpoint__interval=10_000)
    with open(words, "w") as error:
        return subprocess.Popen(
            [str(RLX2), "train", "--out", str(directory), "--tracking-uri", uri, *changes],
            cwd=directory.parent,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=error,
            text=True,
        )


Histories = dict[str, list[tuple[int, float]]]  # metric name -> (step, value), by step


def tracked_histories(uri: str) -> Histories:
    """Of the one run that the server has."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    return {name: history(uri, run.info.run_id, name) for name in run.data.metrics}


def written_histories(directory: Path) -> Histories:
    """What progress.jsonl has under the names of MLflow, and what the result adds at the end."""
    names = {"return_mean": RETURN, "return_std": "evaluation/return_std"}
    histories: Histories = {}
    for written in read_points(directory):
        for name in written.keys() - {"env_steps", "wall_s"}:
            histories.setdefault(names.get(name, name), []).append((written["env_steps"], written[name]))
    result = json.loads((directory / "result.json").read_text())
    at_the_end = {name: result[name] for name in ("score", "size_ratio", "compression", *C_BYTES)}
    at_the_end |= {f"deployed/{name}": result["deployed"][name] for name in ("return_mean", "return_std")}
    at_the_end |= {"throughput/wall_s": result["wall_s"], "throughput/all_evaluations_s": result["evaluation_s"]}
    return histories | {name: [(result["env_steps"], value)] for name, value in at_the_end.items()}
