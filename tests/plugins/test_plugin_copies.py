"""On a cluster a plugin is copied to the storage that all nodes see, and what is imported is the copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlx2_ray import plugins
from rlx2_ray.config import Plugin
from rlx2_ray.plugin_copies import on_storage
from rlx2_ray.types import BadInput
from tests.plugins.test_plugins import write_env

ON_A_CLUSTER = {"env": {"id": "my_env:Point"}, "runtime": {"address": "auto"}}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RLX2_STORAGE", str(tmp_path / "storage"))
    return tmp_path / "storage"


def test_what_is_typed_for_a_cluster_is_imported_from_the_storage(folder: Path, storage: Path) -> None:
    file = write_env(folder)
    (plugin,) = plugins.typed(ON_A_CLUSTER)["plugins"]
    copy = Path(plugin["path"])
    assert copy.relative_to(storage).parts[0] == "plugins"
    assert copy.read_bytes() == file.read_bytes()
    assert (copy.with_name("imported").exists(), file.with_name("imported").exists()) == (True, False)
    assert plugins.typed({"env": {"id": str(ON_A_CLUSTER["env"]["id"])}, "plugins": [str(copy)]})["plugins"] == [plugin]


@pytest.mark.parametrize("is_package", [False, True])
def test_copy_is_imported_where_its_original_is_found_first(
    is_package: bool, folder: Path, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a process of Ray that begins in the folder of the original."""
    original = folder / "own_tasks" if is_package else folder / "own_tasks.py"
    file = original / "__init__.py" if is_package else original
    file.parent.mkdir(exist_ok=True)
    file.write_text("PLACE = __file__\n")
    copy = on_storage(original)
    monkeypatch.syspath_prepend(str(folder))
    plugins.use([Plugin(path=str(copy))])
    assert sys.modules["own_tasks"].PLACE.startswith(str(copy))
    assert plugins.has("own_tasks")
    del sys.modules["own_tasks"]
    file.write_text("PLACE = 'another'\n")
    with pytest.raises(BadInput, match="is hidden by another module own_tasks"):
        plugins.use([Plugin(path=str(copy))])


def test_alone_or_without_a_storage_a_plugin_stays_where_it_is(
    folder: Path, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_env(folder)
    (plugin,) = plugins.with_plugins({"env": {"id": "my_env:Point"}})["plugins"]
    assert plugin["path"] == str(file)
    monkeypatch.delenv("RLX2_STORAGE")
    assert on_storage(file) == file
    monkeypatch.setenv("RLX2_STORAGE", str(folder))
    assert on_storage(file) == file, "it is there already"


def test_each_content_has_a_copy_of_its_own_and_a_package_all_its_files(folder: Path, storage: Path) -> None:
    package = folder / "my_tasks"
    (package / "data").mkdir(parents=True)
    for name in ("__init__.py", "point.py", "data/mass.csv", "__pycache__/point.pyc"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(name)
    first = on_storage(package)
    names = {file.relative_to(first).as_posix() for file in first.rglob("*") if file.is_file()}
    assert names == {"__init__.py", "point.py", "data/mass.csv"}
    assert on_storage(package) == first
    (package / "point.py").write_text("changed")
    second = on_storage(package)
    assert (first / "point.py").read_text(), (second / "point.py").read_text() == ("point.py", "changed")
    assert {path.name for path in (storage / "plugins").iterdir()} == {first.parent.name, second.parent.name}


def test_copy_that_is_another_now_is_refused_and_so_is_a_storage_that_cannot_be_written(
    folder: Path, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_env(folder)
    copy = on_storage(file)
    copy.write_text("raise SystemExit")
    with pytest.raises(BadInput, match=r"is no longer the copy of .*my_env\.py that it was made as: remove it\.$"):
        on_storage(file)
    monkeypatch.setenv("RLX2_STORAGE", str(file))
    with pytest.raises(BadInput, match=r"cannot be copied to .* \(Not a directory\): make RLX2_STORAGE a folder"):
        on_storage(file.with_name("imported") if file.with_name("imported").exists() else folder)
