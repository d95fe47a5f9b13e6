"""The dashboard: its callbacks as functions, what it serves, and what it refuses."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import no_update
from dash.exceptions import PreventUpdate

from rlx2_ray.config import resolve
from rlx2_ray.report.dashboard import source as dashboard_source
from rlx2_ray.report.dashboard.app import Dashboard, make_dashboard
from rlx2_ray.report.dashboard.page import run_link, trial_table
from rlx2_ray.report.dashboard.server import bind
from rlx2_ray.report.dashboard.source import Source
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.page.arm_tables import pair_tables, standing_table
from rlx2_ray.report.record.record import Record
from rlx2_ray.tracking.reader import TrackingReader
from rlx2_ray.tracking.tags import CONFIG_HASH
from rlx2_ray.tracking.tracker import Tracker
from rlx2_ray.types import BadInput
from tests.support.dashboards import serving
from tests.support.sweeps import DEPLOYED_GAIN, EXPERIMENT, RANDOM, STEPS, compression, cut, queue, sweep, write_store

UI = "http://localhost:5000/"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished sweep, a running compression, and then a finished one."""
    folder = tmp_path_factory.mktemp("store")
    write_store(folder, *sweep())
    write_store(folder, *compression(running=True))
    return write_store(folder, *compression())


@pytest.fixture(scope="module")
def dashboard(uri: str) -> Dashboard:
    return make_dashboard(uri, None, mlflow_ui=UI)


def chosen(dashboard: Dashboard) -> str:
    return dashboard.source.choices()[0].key


def shown(dashboard: Dashboard) -> dict[str, Any]:
    return dashboard.show(0, chosen(dashboard), None, None, None)


def words(component: Any) -> str:
    """All text in a component."""
    if isinstance(component, list | tuple):
        return " ".join(map(words, component))
    return words(component.children) if hasattr(component, "children") else "" if component is None else str(component)


def test_running_sweeps_stand_first_then_the_newest(dashboard: Dashboard) -> None:
    labels = [choice.label for choice in dashboard.source.choices() if "(runs)" not in choice.label]
    assert [label.split(" · ")[:3] for label in labels] == [
        ["Hopper-v5-td3", "compress", "running"],
        ["Hopper-v5-td3", "compress", "finished"],
        ["delay", "sweep", "finished"],
    ]


def test_first_is_chosen_and_a_choice_stays_while_it_is_there(dashboard: Dashboard) -> None:
    options, value = dashboard.choose(0, None)
    assert value == options[0]["value"] == chosen(dashboard)
    assert dashboard.choose(1, options[2]["value"])[1] is no_update
    assert dashboard.choose(1, "gone")[1] == value


def test_page_shows_state_progress_and_belief(dashboard: Dashboard) -> None:
    text = words(shown(dashboard)["header"])
    for part in (
        "Hopper-v5 with TD3: the smallest network found so far to keep the return is 16.7 times smaller",
        "Believed after 27 runs",
        "running",
        "25 of 36",
        "5.14 M",
        "time left",
    ):
        assert part in text


def test_table_has_running_trials_first_with_links(dashboard: Dashboard) -> None:
    table = shown(dashboard)["trials"]
    rows = table.children[1].children
    assert len(rows) == 27
    first = [words(cell) for cell in rows[0].children]
    assert first[0] in ("p0.9800-c0.9500-s1002", "p0.9800-c0.9500-s1003")
    assert (first[1:3], first[4], first[7]) == (["98", "95"], "running", "-")
    assert first[5].strip() == "50%"
    link = rows[0].children[0].children.href
    assert link.startswith("http://localhost:5000/#/experiments/")
    assert "stopped early" in words(rows[2])


def test_table_says_where_a_trial_stands_against_dense(dashboard: Dashboard) -> None:
    rows = shown(dashboard)["trials"].children[1].children
    by_name = {words(row.children[0]): row.children[-3] for row in rows}
    assert {tuple(map(words, row.children[-2:])) for row in rows} == {("-", "-")}, "none has been played"
    assert by_name["p0.9900-c0.9800-s1"].className == "band-below"
    classes = {cell.className for cell in by_name.values()}
    assert classes == {"band-below", "band-in", "band-above"}


def test_panels_of_the_other_kind_are_hidden(dashboard: Dashboard) -> None:
    compress = shown(dashboard)
    swept = dashboard.show(0, dashboard.source.choices()[2].key, None, None, None)
    for content, hidden in ((compress, {"keys", "parallel"}), (swept, {"ratio", "frontier", "threshold"})):
        assert {name for name in PANELS if content[f"panel-{name}"] == {"display": "none"}} == hidden
        assert all(len(content[f"figure-{name}"].data) for name in PANELS if name not in hidden)


def test_sweep_has_the_reports_tables_of_arms(dashboard: Dashboard) -> None:
    key = dashboard.source.choices()[2].key
    record = dashboard.source.record(key)
    (pairs,) = pair_tables(record)
    arms = dashboard.show(0, key, None, None, None)["arms"]
    cells = [cell for table in (standing_table(record), pairs) for row in (table.headings, *table.rows) for cell in row]
    assert words(arms.children[2]) + " " + words(arms.children[4]) == " ".join(cells)
    assert shown(dashboard)["arms"] == [], "a compression's arms stand against dense"


def test_panels_are_as_tall_as_their_figures(dashboard: Dashboard) -> None:
    content = dashboard.show(0, dashboard.source.choices()[2].key, None, None, None)
    heights = {name: content[f"panel-{name}"].get("--height") for name in ("keys", "curves", "replay", "topology")}
    assert heights == {"keys": "360px", "curves": "360px", "replay": "640px", "topology": "640px"}


def test_of_several_tasks_one_is_shown(tmp_path: Path) -> None:
    queued = make_dashboard(write_store(tmp_path, *queue()), None)
    content = shown(queued)
    assert content["tasks"] == {"display": "block"}
    names = content["task"]
    assert len(names) == len(set(names)) == 2
    rows = {
        name: len(queued.show(0, chosen(queued), name, None, None)["trials"].children[1].children) for name in names
    }
    assert sum(rows.values()) == len(queued.source.record(chosen(queued)).trials)
    assert all(rows.values())
    first, second = (queued.show(0, chosen(queued), name, None, content["shown"]) for name in names)
    assert first["figure-curves"] != second["figure-curves"]
    assert words(first["header"]) == words(second["header"]), "the progress is that of the whole queue"


def test_of_several_tasks_the_first_that_is_not_finished_is_shown_unasked(tmp_path: Path) -> None:
    record, trials = queue()
    last = trials[-1]
    queued = make_dashboard(write_store(tmp_path, record, [*trials[:-1], cut(last, 0.5)]), None)
    assert last.name in words(shown(queued)["trials"])


def test_single_task_needs_no_choice(dashboard: Dashboard) -> None:
    content = shown(dashboard)
    assert (content["tasks"], content["task"]) == ({"display": "none"}, ["Hopper-v5 with TD3, 200,000 env steps"])


def test_what_is_shown_already_is_not_sent_again(dashboard: Dashboard) -> None:
    content = shown(dashboard)
    again = dashboard.show(1, chosen(dashboard), None, None, content["shown"])
    assert {name for name, value in again.items() if value is not no_update} == {"problem"}
    other = dashboard.show(1, chosen(dashboard), None, "p0.9600-c0.9300-s1", content["shown"])
    assert other["figure-topology"] != content["figure-topology"]


def test_topology_can_be_that_of_any_trial_that_evolves(dashboard: Dashboard) -> None:
    content = shown(dashboard)
    assert len(content["trial"]) == 19
    density = dashboard.show(0, chosen(dashboard), None, "p0.9300-c0.8800-s0", None)["figure-topology"].data[0].y
    assert sum(density) > sum(content["figure-topology"].data[0].y)


def test_page_follows_what_a_trial_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setattr(dashboard_source, "SHORTEST_S", -1)
    live = make_dashboard(uri := write_store(tmp_path, *compression(running=True)), EXPERIMENT)
    before = shown(live)
    client = MlflowClient(uri)
    (experiment,) = (each for each in client.search_experiments() if each.name == EXPERIMENT)
    runs = client.search_runs(
        [experiment.experiment_id], "attributes.status = 'RUNNING' and tags.`rlx2.purpose` = 'confirm'"
    )
    client.log_metric(runs[0].info.run_id, "evaluation/return_mean", 2999.0, step=STEPS - 1)
    after = live.show(1, chosen(live), None, None, before["shown"])
    assert after["shown"] != before["shown"]
    assert "2,999.0" in words(after["trials"])


def test_store_is_read_once_in_a_while_for_many_pages(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    source = Source(TrackingReader(uri), None, clock=lambda: now[0])
    key = source.choices()[0].key
    reads: list[str] = []
    read = source._read
    monkeypatch.setattr(source, "_read", lambda key: reads.append(key) or read(key))
    for now[0] in (0.0, 0.5, 0.9, 2.0, 2.5):
        source.record(key)
    assert len(reads) == 2


def test_problem_with_the_store_is_said_and_the_page_stays(dashboard: Dashboard) -> None:
    content = dashboard.show(0, "sweep:gone", None, None, "x")
    assert content["problem"] == "This sweep is no longer in the store: choose another."
    assert all(value is no_update for name, value in content.items() if name != "problem")
    with pytest.raises(PreventUpdate):
        dashboard.show(0, None, None, None, None)


def test_store_that_vanishes_is_a_sentence_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_source, "SHORTEST_S", -1)
    live = make_dashboard(write_store(tmp_path, *sweep()), None)
    key = chosen(live)
    monkeypatch.setattr(live.source._reader, "_client", None)
    assert live.show(0, key, None, None, None)["problem"].startswith("MLflow at sqlite:///")
    with pytest.raises(PreventUpdate):
        live.choose(0, key)


def test_experiment_without_a_sweep_is_offered_by_its_name(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri := write_store(tmp_path, *sweep()))
    client.create_experiment("plain", (tmp_path / "a").as_uri())
    source = Source(TrackingReader(uri), None)
    assert [choice.key for choice in source.choices()][1:] == ["experiment:plain", "experiment:template"]
    with pytest.raises(BadInput, match="has no run of this program yet"):
        source.record("experiment:plain")
    assert [choice.label for choice in Source(TrackingReader(uri), "plain").choices()] == ["plain (runs)"]
    with pytest.raises(BadInput, match="no experiment 'nope'"):
        Source(TrackingReader(uri), "nope")


def test_plain_runs_beside_a_sweep_are_offered_and_shown(tmp_path: Path) -> None:
    """Of one experiment: what was trained last comes first."""
    uri = write_store(tmp_path, *sweep())
    tracker = Tracker(
        uri, EXPERIMENT, "alone", "alone", {CONFIG_HASH: "0"}, resolve({"steps": 1000}).model_dump(mode="json"), fail
    )
    tracker.start()
    child = Tracker(uri, EXPERIMENT, "child", "child", {CONFIG_HASH: "0"}, {}, fail, parent_run_id=tracker.run_id)
    child.start()
    for each in (child, tracker):
        each.finish("FINISHED")
    live = make_dashboard(uri, None)
    first, second, *_ = live.source.choices()
    assert (first.label, second.key.partition(":")[0]) == (f"{EXPERIMENT} (runs)", "sweep")
    assert live.source.record(first.key).messages == ()
    assert [trial.name for trial in live.source.record(first.key).trials] == ["alone"]
    assert "alone" in str(live.show(0, first.key, None, None, None)["trials"])


def fail(words: str) -> None:
    raise AssertionError(words)


def test_run_has_no_link_without_a_user_interface(dashboard: Dashboard) -> None:
    record = dashboard.source.record(chosen(dashboard))
    trial = record.trials[0]
    assert run_link(record, trial, None) is None
    assert record.tracking is not None
    end = f"/#/experiments/{record.tracking.experiment_id}/runs/{trial.run_id}"
    assert run_link(record, trial, "http://m:1") == "http://m:1" + end


@pytest.fixture
def served(dashboard: Dashboard) -> Iterator[str]:
    with serving(dashboard) as address:
        yield address


def fetch(address: str) -> str:
    with urllib.request.urlopen(address) as answer:
        text: str = answer.read().decode()
    return text


def test_page_is_served_whole_from_this_machine(served: str) -> None:
    index = fetch(served + "/")
    assert "http://" not in index.replace(served, "")
    assert "https://" not in index
    assert "page.css" in index
    layout = fetch(served + "/_dash-layout")
    assert all(f'"figure-{name}"' in layout for name in PANELS)
    assert len(json.loads(fetch(served + "/_dash-dependencies"))) == 2


def test_callback_answers_over_http(served: str, dashboard: Dashboard) -> None:
    (show,) = (each for each in json.loads(fetch(served + "/_dash-dependencies")) if "problem" in each["output"])
    parts = [part.rsplit(".", 1) for part in show["output"].strip(".").split("...")]
    values = {"tick": 1, "choice": chosen(dashboard), "task": None, "trial": None, "shown": None}
    body = {
        "output": show["output"],
        "outputs": [{"id": name, "property": prop} for name, prop in parts],
        "inputs": [each | {"value": values[each["id"]]} for each in show["inputs"]],
        "state": [each | {"value": values[each["id"]]} for each in show["state"]],
        "changedPropIds": ["choice.value"],
    }
    request = urllib.request.Request(
        served + "/_dash-update-component", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        response = json.loads(answer.read())["response"]
    assert len(response["figure-curves"]["figure"]["data"]) > 5
    assert response["panel-keys"]["style"] == {"display": "none"}


def test_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=rf"^--port is {port}, .* \(Address already in use\): .*\.$"):
            bind("127.0.0.1", port)


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be served on 192"):
        bind("192.0.2.1", 0)


def test_reading_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    uri = write_store(tmp_path, *sweep())
    before = (tmp_path / "mlflow.db").read_bytes()
    shown(make_dashboard(uri, None))
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_table_has_both_scores_and_what_each_keeps_of_dense(played: Record) -> None:
    """Every run gained by one factor, so that both keep the same."""
    table = trial_table(played, None)
    headings = [words(cell) for cell in table.children[0].children.children]
    assert headings[-4:] == ["score", "% of dense", "deployed", "deployed, % of dense"]
    for row in table.children[1].children:
        score, kept, deployed, also = (words(cell) for cell in row.children[-4:])
        if deployed != "-":
            final = float(score.replace(",", ""))
            assert float(deployed.replace(",", "")) == pytest.approx(RANDOM + DEPLOYED_GAIN * (final - RANDOM), abs=0.2)
            assert also == kept
