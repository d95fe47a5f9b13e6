"""What Tune keeps of a search that it is to go on with, and what becomes of it where a kill came while it wrote.

Tune 2.60 that cannot read its state begins one trial anew and stops there, and its later states say that this was all.
Nothing is lost without that state, since what a run came to is in its own directory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

OF_TRIALS = ("experiment_state-*.json",)
OF_SEARCH = (*OF_TRIALS, "search_gen_state-*.json", "searcher-state-*.pkl")  # written in this order


def forget_unusable(folder: Path, states: Sequence[str]) -> None:
    """Remove Tune's folder where it does not hold these states whole, so that Tune begins anew."""
    newest = [max(folder.glob(pattern), default=None) for pattern in states]
    if folder.exists() and not (all(newest) and newest[0] is not None and _is_whole(newest[0])):
        shutil.rmtree(folder)


def _is_whole(file: Path) -> bool:
    """The only one that is not written aside."""
    try:
        json.loads(file.read_bytes())
    except ValueError:
        return False
    return True
