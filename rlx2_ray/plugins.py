"""A person's own code: files, and folders that are packages, which are imported wherever a run of theirs works.

`--plugin FILE.py` names one; so does `--env my_env:make` where the folder in which it is typed has my_env.py and no
installed module is called so. The configuration keeps where they lie, so that actors, trials, and whoever goes on or
plays have them too. To import one is to run it: what a person types is theirs to import, and is remembered by its
place; what a file names is imported only if its person has named that place, now or before.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePath
from typing import Any

from rlx2_ray import remembered
from rlx2_ray.config import Plugin, Tree, at, merge
from rlx2_ray.config.run_paths import with_absolute_runs
from rlx2_ray.plugin_copies import digest_of, on_storage
from rlx2_ray.types import BadInput, shown

VARIABLE = "RLX2_ALLOWED_PLUGINS"  # one a line; of this process, and of those that it starts
REMEMBERED = "plugins"
SHOWN = 200  # letters of what a plugin raised

logger = logging.getLogger(__name__)


# What a person has typed


def typed(tree: Mapping[str, Any]) -> Tree:
    """What a person has typed, good from any folder: with absolute paths, and their own code, which is imported.

    Raises BadInput where that is not there, or does not work.
    """
    tree = with_plugins(with_absolute_runs(tree))
    if own := plugins_of(tree):
        allow(each.path for each in own)
        load(own)
    return tree


def with_plugins(tree: Mapping[str, Any]) -> Tree:
    """The keys of a run, a sweep or a queue, with the plugins that they need under `plugins`, by absolute places.

    Raises BadInput where one is not there, or may not be read.
    """
    found = dict(tree)
    if isinstance(members := tree.get("queue"), list):
        return {**found, "queue": [with_plugins(each) if isinstance(each, Mapping) else each for each in members]}
    given = found.get("plugins") or []
    if not isinstance(given, list | tuple):
        raise BadInput(f"plugins is {shown(given)}: list files, such as [my_rule.py].")
    places = [each.get("path") if isinstance(each, Mapping) else each for each in given]
    paths = [_absolute(place) for place in places]
    paths += filter(None, (find(module) for module in _typed_modules(found)))
    if at(found, "runtime.address", None) is not None:  # a cluster, whose nodes import them too
        paths = [on_storage(path) for path in paths]
    return merge(found, {"plugins": [_described(path) for path in dict.fromkeys(paths)]}) if paths else found


def plugins_of(tree: Mapping[str, Any]) -> list[Plugin]:
    """All that a tree has as `with_plugins` gives it."""
    trees = tree["queue"] if isinstance(tree.get("queue"), list) else [tree]
    found = [each for tree in trees if isinstance(tree, Mapping) for each in tree.get("plugins") or ()]
    return [Plugin(**each) for each in found]


def _absolute(place: object) -> Path:
    if not isinstance(place, str) or not place:
        raise BadInput(f"plugins has {shown(place)}: give a file such as my_rule.py.")
    path = Path(os.path.abspath(os.path.expanduser(place)))
    if not path.exists():
        raise BadInput(f"The plugin {place} is not there: check the path, which is seen from {Path.cwd()}.")
    return path


def _described(path: Path) -> dict[str, str]:
    try:
        return {"path": str(path), "sha256": _digest(path)}
    except OSError as error:
        raise BadInput(f"The plugin {path} cannot be read ({error.strerror}): give a file of Python.") from None


def _digest(path: Path) -> str:
    """Of a package its first file's."""
    return hashlib.sha256((path / "__init__.py" if path.is_dir() else path).read_bytes()).hexdigest()


def _typed_modules(tree: Mapping[str, Any]) -> Iterator[str]:
    """Those of the environments that a tree names, one or varied."""
    for name in (at(tree, "env.id", None), *_varied_ids(tree.get("param_space"))):
        if isinstance(name, str) and ":" in name:
            yield name.partition(":")[0]


def _varied_ids(space: object) -> Iterator[object]:
    for name, domain in space.items() if isinstance(space, Mapping) else ():
        keys = [key.strip() for key in str(name).split(",")]
        if "env.id" not in keys or not isinstance(domain, Mapping):
            continue
        for values in filter(lambda each: isinstance(each, list), domain.values()):
            for value in values:
                row = value if len(keys) > 1 and isinstance(value, list) else [value]
                yield from row[keys.index("env.id") :][:1]


def find(module: str, folder: Path | None = None) -> Path | None:
    """The file or package in `folder`, by default the working directory, of a module that nothing installed has."""
    first, here = module.partition(".")[0], folder or Path.cwd()
    if not first.isidentifier() or _spec(first, _elsewhere(here)) is not None:
        return None
    spec = _spec(first, [str(here)])
    if spec is None or spec.origin is None:  # a folder without __init__.py may be any
        return None
    file = Path(spec.origin)
    return file.parent if file.name == "__init__.py" else file


def _elsewhere(folder: Path) -> list[str]:
    return [place for place in sys.path if place and Path(place).absolute() != folder.absolute()]


def _spec(name: str, places: Sequence[str]) -> ModuleSpec | None:
    if name in sys.builtin_module_names:
        return importlib.machinery.BuiltinImporter.find_spec(name)
    return PathFinder.find_spec(name, places)


# Consent


def allow(paths: Iterable[str]) -> None:
    """Allow them, as the person says, from now on."""
    for path in map(os.path.abspath, paths):
        trust([path])
        remembered.remember(REMEMBERED, path)


def allowed() -> tuple[str, ...]:
    """All that are, for processes that work for this one, perhaps on another machine."""
    return tuple(dict.fromkeys([*_allowed_here(), *remembered.lines(REMEMBERED)]))


def trust(paths: Iterable[str]) -> None:
    """Allow them in this process, which works for one that has been allowed them."""
    for path in paths:
        if path not in _allowed_here():
            os.environ[VARIABLE] = "\n".join([*_allowed_here(), path])


def _allowed_here() -> list[str]:
    return list(filter(None, os.environ.get(VARIABLE, "").split("\n")))


def _check(path: Path) -> None:
    """Raises BadInput where it is not allowed."""
    if str(path) in _allowed_here():
        return
    if str(path) not in remembered.lines(REMEMBERED):
        raise BadInput(
            f"plugins has {path}, and to import it is to run its code: give --allow-module {path} if you know it (from "
            "then on it is remembered), or leave the file."
        )
    logger.warning("%s is imported, which you have allowed before (%s).", path, remembered.file_of(REMEMBERED))
    trust([str(path)])


# Import


def load(plugins: Iterable[Plugin]) -> None:
    """Import them. Raises BadInput where one is not there, is not allowed, or cannot be imported."""
    for plugin in plugins:
        path = _place(Path(plugin.path))
        _check(path)
        if plugin.sha256 not in (None, _described(path)["sha256"]):
            logger.warning("%s has changed since the run began: it is what it is now that counts.", path)
        _import(path)


def use(plugins: Sequence[Plugin]) -> None:
    """Import them for a process that has been allowed them."""
    trust(str(_place(Path(each.path))) for each in plugins)
    load(plugins)


def needed(plugins: Iterable[Plugin], modules: Iterable[str]) -> list[Plugin]:
    """Those that have one of the modules."""
    names = {module.partition(".")[0] for module in modules}
    return [each for each in plugins if PurePath(each.path).stem in names]


def has(module: str) -> bool:
    """Whether a module was imported as a plugin, or as a part of one."""
    file = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None)
    return file is not None and not {file, os.path.dirname(file)}.isdisjoint(_allowed_here())


def _place(path: Path) -> Path:
    """Where it is; one that has gone from its place may lie in the working directory."""
    if path.exists():
        return path
    if Path(path.name).exists():
        return Path(path.name).absolute()
    raise BadInput(
        f"The plugin {path} is not there: put it back, or give the command in a folder that has {path.name}."
    )


def _import(path: Path) -> None:
    name = path.name if path.is_dir() else path.stem
    if not name.isidentifier() or (path.is_file() and path.suffix != ".py"):
        raise BadInput(f"The plugin {path} has no name that can be imported: call it something like my_rule.py.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides nothing that is installed
    if name not in sys.modules:
        _run(name, path)
    file = getattr(sys.modules[name], "__file__", None)
    if file is None or not path.samefile(Path(file).parent if path.is_dir() else file):
        raise BadInput(f"The plugin {path} is hidden by another module {name} ({file or 'built in'}): rename it.")


def _is_behind_its_original(name: str, path: Path) -> bool:
    """Whether it is a copy whose original is found before it: Ray's processes on the machine of the command begin in
    the folder in which it was typed.
    """
    spec = _spec(name, sys.path)
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        return False
    found = Path(spec.origin).parent if path.is_dir() else Path(spec.origin)
    return found.is_dir() == path.is_dir() and not found.samefile(path) and digest_of(found) == digest_of(path)


def _import_from(name: str, path: Path) -> None:
    folders = [str(path)] if path.is_dir() else None
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _run(name: str, path: Path) -> None:
    try:
        importlib.invalidate_caches()
        _import_from(name, path) if _is_behind_its_original(name, path) else importlib.import_module(name)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:  # whatever its code raises
        said = " ".join(str(error).split()).rstrip(".")[:SHOWN]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise BadInput(
            f"The plugin {path} cannot be imported ({type(error).__name__}: {said}{where}): correct it."
        ) from None
