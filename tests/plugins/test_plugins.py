"""Own code is found where it is typed, goes with the run, and is imported only where its person has said so."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import gymnasium
import pytest

from rlx2_ray import plugins
from rlx2_ray.cli.main import run
from rlx2_ray.config import EnvConfig, Plugin, load_stored, resolve, resolve_stored
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import make_env
from rlx2_ray.types import BadInput
from tests.plugins.test_extend_page import FILES
from tests.support.runs import small_arguments

MARKED = "from pathlib import Path\nPath(__file__).with_name('imported').touch()\n"


def write_env(folder: Path, name: str = "my_env.py", more: str = "") -> Path:
    (folder / name).write_text(MARKED + FILES["my_env.py"] + more)
    return folder / name


def train(folder: Path, *options: str) -> int:
    return run(["train", *small_arguments(env__id="my_env:Point", steps=300), *options, "--out", "run"])


def be_somebody_else(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """In a new process, who has agreed to nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "other_state"))
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setenv(modules.VARIABLE, "")
    forget_modules()
    (folder / "imported").unlink()


def forget_modules() -> None:
    """As in a new process."""
    sys.modules.pop("my_env", None)
    for name in ("LimitedPoint-v0", "Unversioned"):
        gymnasium.registry.pop(name, None)


def test_environment_of_the_working_directory_goes_with_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_env(folder)
    assert train(folder) == 0
    (plugin,) = load_stored(folder / "run/config.yaml")["plugins"]
    assert plugin["path"] == str(file)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    forget_modules()
    assert run(["evaluate", str(folder / "run"), "--episodes", "1"]) == 0
    forget_modules()
    assert run(["resume", str(folder / "run"), "--steps", "400"]) == 0
    capsys.readouterr()

    be_somebody_else(monkeypatch, folder)
    export = ["export", "--format", "c", "--int8"]
    for command in (["evaluate", "--episodes", "1"], ["resume", "--steps", "500"], export):
        assert run([command[0], str(folder / "run"), *command[1:]]) == 2
        assert f"to import it is to run its code: give --allow-module {file}" in capsys.readouterr().err
    assert not (folder / "imported").exists()
    assert run(["evaluate", str(folder / "run"), "--episodes", "1", "--allow-module", str(file)]) == 0
    assert (folder / "imported").exists()


def test_policy_by_itself_is_played_where_its_file_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_env(folder)
    assert train(folder) == 0
    forget_modules()
    assert run(["evaluate", "run/policy.safetensors", "--episodes", "1"]) == 0
    be_somebody_else(monkeypatch, folder)
    assert run(["evaluate", "run/policy.safetensors", "--episodes", "1"]) == 2
    assert not (folder / "imported").exists(), "a stranger's folder may have a file of that name"
    assert run(["evaluate", "run/policy.safetensors", "--episodes", "1", "--allow-module", "my_env"]) == 0


def test_name_that_was_allowed_for_a_package_allows_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules.allow(["my_env"])  # where there was no such file
    write_env(folder)
    with pytest.raises(BadInput, match="to import it is to run its code"):
        make_env(EnvConfig(id="my_env:Point"))
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("name", ["Point", "LimitedPoint-v0", "make", "Unversioned"])
def test_classes_functions_and_names_that_are_registered(folder: Path, name: str) -> None:
    write_env(folder, more="\ndef make(push=0.5):\n    return Point(push)\ngymnasium.register('Unversioned', Point)\n")
    plugins.trust([str(folder / "my_env.py")])
    env = make_env(EnvConfig(id=f"my_env:{name}", kwargs={"push": 0.25}))
    assert env.unwrapped.push == 0.25  # type: ignore[attr-defined]
    assert (env.spec is None) == (name in ("Point", "make")), "what is registered comes before what is there"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", r"which gymnasium cannot make \(Environment `nothing` doesn't exist"),
        ("number", "which gave a int and no gymnasium.Env"),
        ("fails", r"which gymnasium cannot make \(no\)"),
    ],
)
def test_what_makes_no_environment_is_named(folder: Path, name: str, problem: str) -> None:
    more = "\ndef number():\n    return 1\ndef fails():\n    raise OSError('no')\n"
    plugins.trust([str(write_env(folder, more=more))])
    with pytest.raises(BadInput, match=problem):
        make_env(EnvConfig(id=f"my_env:{name}"))


def test_package_of_the_working_directory(folder: Path) -> None:
    package = folder / "my_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    write_env(package, "point.py")
    tree = plugins.with_plugins({"env": {"id": "my_tasks.point:Point"}})
    assert [each["path"] for each in tree["plugins"]] == [str(package)]
    plugins.allow([str(package)])
    plugins.load(plugins.plugins_of(tree))
    make_env(EnvConfig(id="my_tasks.point:Point"))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("json.py", "", r"The plugin .*json.py is hidden by another module json \(.*\): rename it"),
        ("my-rule.py", "", "has no name that can be imported"),
        ("my_rule.txt", "", "has no name that can be imported"),
        ("bad.py", "\n\n1 / 0\n", r"cannot be imported \(ZeroDivisionError: division by zero, line 3\): correct it"),
        ("worse.py", "def", "cannot be imported \\(SyntaxError"),
        ("ends.py", "raise SystemExit(3)", r"cannot be imported \(SystemExit: 3, line 1\)"),
        ("taken.py", "from rlx2_ray.extend import *\ntopology_rule('rigl')(print)", "'rigl' is there already"),
    ],
)
def test_plugin_that_cannot_be_used(folder: Path, name: str, content: str, problem: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=problem):
        plugins.use([Plugin(path=str(folder / name))])


def test_plugin_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--plugin", "nothing.py", "--out", "run"]) == 2
    assert "The plugin nothing.py is not there: check the path" in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"put it back, or give the command in a folder that has gone\.py"):
        plugins.use([Plugin(path="/nowhere/gone.py")])
    (folder / "gone.py").touch()
    plugins.use([Plugin(path="/nowhere/gone.py")])


def test_plugin_that_has_changed_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "changing.py").write_text("a = 1\n")
    (plugin,) = plugins.plugins_of(plugins.with_plugins({"plugins": ["changing.py"]}))
    plugins.use([plugin])
    assert "has changed" not in caplog.text
    (folder / "changing.py").write_text("a = 2\n")
    plugins.use([plugin])
    assert "changing.py has changed since the run began" in caplog.text


def test_all_environments_of_a_sweep_and_of_a_queue_are_found(folder: Path) -> None:
    for name in ("one.py", "two.py", "three.py"):
        (folder / name).touch()
    tree = {
        "queue": [
            {"name": "a", "env": {"id": "one:X"}},
            {"name": "b", "param_space": {"env.id, env.kwargs": {"grid": [["two:X", {}], ["Hopper-v5", {}]]}}},
            {"name": "c", "param_space": {"env.id": {"choice": ["three:X", 3]}}},
        ]
    }
    found = plugins.plugins_of(plugins.with_plugins(tree))
    assert [Path(each.path).name for each in found] == ["one.py", "two.py", "three.py"]


def test_what_a_plugin_is_counts_and_not_where_it_lies(folder: Path) -> None:
    one = resolve({"plugins": [{"path": "/a/rule.py", "sha256": "0" * 64}]})
    moved = resolve({"plugins": [{"path": "/b/rule.py", "sha256": "0" * 64}]})
    changed = resolve({"plugins": [{"path": "/a/rule.py", "sha256": "1" * 64}]})
    assert one.hash == moved.hash != changed.hash
    assert resolve({}).hash not in (one.hash, changed.hash)


def test_what_was_run_with_a_rule_is_read_without_it() -> None:
    assert resolve_stored({"method": "activity"}).topology.rule == "activity"
    with pytest.raises(BadInput, match="method is 'activity': choose one of dense,"):
        resolve({"method": "activity"})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return 1", "gave a int and no TopologyEvolution"),
        ("raise KeyError('x')", "raised KeyError"),
    ],
)
def test_rule_that_cannot_be_used_is_refused_at_the_start(
    folder: Path, body: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad_rule.py").write_text(
        f"from rlx2_ray.extend import topology_rule\n@topology_rule('bad')\ndef bad(given):\n    {body}\n"
    )
    write_env(folder)
    assert train(folder, "--plugin", "bad_rule.py", "--method", "bad") == 2
    assert f"topology.rule is bad, which {problem}" in capsys.readouterr().err
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("1 / 0", r"raised ZeroDivisionError \(division by zero; bad_event.py, line 5\) at layer 1 of an event"),
        ("return ~layer.mask, layer.weights", r"gave \d+ active weights of \(16, 3\) at layer 1"),
    ],
)
def test_rule_that_fails_at_an_event_ends_the_run_in_a_sentence(
    folder: Path, body: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    (folder / "bad_event.py").write_text(
        "from rlx2_ray.extend import TopologyEvolution, topology_rule\n\n"
        f"class Bad(TopologyEvolution):\n    def rewire_layer(self, layer):\n        {body}\n\n"
        "topology_rule('bad_event')(lambda given: Bad(given.schedule()))\n"
    )
    write_env(folder)
    assert train(folder, "--plugin", "bad_event.py", "--method", "bad_event", "--policy-sparsity", ".6") == 1
    assert re.search(f"topology.rule bad_event {problem}", capsys.readouterr().err)
    shutil.rmtree(folder / "run")
