"""The three ways in which functions are compiled here, as decorators that keep their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Called from compiled functions alone."""
    return cast(Function, njit(error_model="numpy")(function))


def compiled_sums(function: Function) -> Function:
    """The same; its sums may be taken in any order, which is fixed when it is compiled."""
    return cast(Function, njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})(function))


def entry_point(function: Function) -> Function:
    """Called from Python; kept on disk with all that it calls. Another set of types is compiled anew."""
    return cast(Function, njit(error_model="numpy", cache=True)(function))
