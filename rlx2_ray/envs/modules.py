"""Which modules may be imported for an environment: to import one is to run its code.

`module:Id-v0` names one. What a person types is theirs to import, and is remembered; what a file names (a policy, an
archived run, the directory of a run or a sweep) is imported only if its person has named it, now or before. One that
no installed package has, but the working directory, is allowed by its place (plugins.py), since a stranger's folder may
have one of the same name. Gymnasium's own environments, and those that installed packages register with it by
themselves, need no import.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from rlx2_ray import plugins, remembered
from rlx2_ray.config import EnvConfig, Plugin
from rlx2_ray.types import BadInput

VARIABLE = "RLX2_ALLOWED_MODULES"  # with commas; of this process, and of those that it starts
REMEMBERED = "modules"
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

logger = logging.getLogger(__name__)


def modules_of(env: EnvConfig) -> list[str]:
    """Those that are imported when it is made; the second by gymnasium's wrappers of the older gym's environments."""
    named = (env.id, env.kwargs.get("env_id"))
    return [each.partition(":")[0] for each in named if isinstance(each, str) and ":" in each]


def allow(modules: Iterable[str]) -> None:
    """Allow them, as the person says, from now on; a file too. Raises BadInput for what is no name of a module."""
    for module in modules:
        if (file := _own_code(module)) is not None:
            plugins.allow([str(file)])
            continue
        if not NAME.fullmatch(module):
            raise BadInput(
                f"--allow-module is {module!r}, which is no name of a module, and no file that is there: give one such "
                "as my_tasks or my_tasks.py."
            )
        _allow_here(module)
        remembered.remember(REMEMBERED, module)


def _own_code(named: str) -> Path | None:
    """A file or a package that is named, or that the working directory has of a module's name."""
    if NAME.fullmatch(named) and (found := plugins.find(named)) is not None:
        return found
    path = Path(named)
    is_code = (path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file()
    return path if named and is_code else None


def allow_typed(envs: Iterable[EnvConfig]) -> None:
    """Allow what a person has typed, from now on."""
    modules = [module for env in envs for module in modules_of(env) if not plugins.has(module)]
    trust(modules)  # what is no name cannot be imported, which gymnasium says
    allow(filter(NAME.fullmatch, modules))


def allowed() -> tuple[str, ...]:
    """All that are, for processes that work for this one, perhaps on another machine."""
    return tuple(dict.fromkeys(filter(None, [*_allowed_here(), *remembered.lines(REMEMBERED)])))


def trust(modules: Iterable[str]) -> None:
    """Allow them in this process, which works for one that has been allowed them."""
    for module in modules:
        _allow_here(module)


def trust_made(env: EnvConfig, given: Iterable[Plugin]) -> None:
    """Allow all that an environment imports, in a process that works for one that has made it.

    That one may be in another folder: what it has found on its path may be a file of this process's folder.
    """
    for module in modules_of(env):
        _allow_here(module)
        if (file := plugins.find(module)) is not None:
            plugins.trust([str(file)])
    plugins.trust(each.path for each in given)


def check(env: EnvConfig) -> None:
    """Raises BadInput for an environment whose module would be imported, and is not allowed."""
    for module in modules_of(env):
        if module in sys.modules:
            continue
        if (file := plugins.find(module)) is not None:
            plugins.load([Plugin(path=str(file))])
            continue
        if module in _allowed_here():
            continue
        if module not in remembered.lines(REMEMBERED):
            raise BadInput(
                f"env.id is {env.id!r}, and to import {module} is to run its code: give --allow-module {module} if "
                "you know it (from then on it is remembered), or leave the file."
            )
        logger.warning("%s is imported, which you have allowed before (%s).", module, remembered.file_of(REMEMBERED))
        _allow_here(module)


def _allowed_here() -> list[str]:
    return os.environ.get(VARIABLE, "").split(",")


def _allow_here(module: str) -> None:
    if module not in _allowed_here():
        os.environ[VARIABLE] = ",".join(filter(None, [*_allowed_here(), module]))
