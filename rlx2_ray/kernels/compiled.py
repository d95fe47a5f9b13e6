"""The three ways in which functions are compiled here, as decorators that keep their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function that is called from compiled functions alone."""
    return cast(Function, njit(error_model="numpy")(function))


def compiled_sums(function: Function) -> Function:
    """Compile such a function, too; its sums may be taken in any order, which is fixed when it is compiled."""
    return cast(Function, njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})(function))


def entry_point(function: Function) -> Function:
    """Compile a function that is called from Python, and keep it on disk with all that it calls.

    Another set of types is compiled anew.
    """
    return cast(Function, njit(error_model="numpy", cache=True)(function))
