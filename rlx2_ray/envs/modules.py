"""Which modules may be imported for an environment: to import one is to run its code.

`module:Id-v0` names one. What a person types is theirs to import, and is remembered; what a file names (a policy, an
archived run, the directory of a run or a sweep) is imported only if its person has named it, now or before. Gymnasium's
own environments, and those that installed packages register with it by themselves, need no import.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable

from rlx2_ray import remembered
from rlx2_ray.config import EnvConfig
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
    """Allow them, as the person says, from now on. Raises BadInput for what is no name of a module."""
    for module in modules:
        if not NAME.fullmatch(module):
            raise BadInput(f"--allow-module is {module!r}, which is no name of a module: give one such as my_tasks.")
        _allow_here(module)
        remembered.remember(REMEMBERED, module)


def allow_typed(envs: Iterable[EnvConfig]) -> None:
    """Allow what a person has typed, from now on."""
    modules = [module for env in envs for module in modules_of(env)]
    trust(modules)  # what is no name cannot be imported, which gymnasium says
    allow(filter(NAME.fullmatch, modules))


def allowed() -> tuple[str, ...]:
    """All that are, for processes that work for this one, perhaps on another machine."""
    return tuple(dict.fromkeys(filter(None, [*_allowed_here(), *remembered.lines(REMEMBERED)])))


def trust(modules: Iterable[str]) -> None:
    """Allow them in this process, which works for one that has been allowed them."""
    for module in modules:
        _allow_here(module)


def check(env: EnvConfig) -> None:
    """Raises BadInput for an environment whose module would be imported, and is not allowed."""
    for module in modules_of(env):
        if module in sys.modules or module in _allowed_here():
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
