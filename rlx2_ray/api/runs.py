"""Runs and their learning curves as tables of pandas."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import pandas as pd

from rlx2_ray.api.paths import there
from rlx2_ray.report.analysis.run_rows import curve_rows, run_rows
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.subject import read_records

logger = logging.getLogger(__name__)


def load_runs(path: str | PathLike[str]) -> pd.DataFrame:
    """Load the runs of an archive, a sweep, a compression, a run, or a folder of such, one a row.

    Columns: run, arm (which differs in nothing but the seed), env_id, algo, method, seed, steps; the configuration's
    keys in which the runs differ; state, env_steps (done), score and deployed; policy_sparsity, critic_sparsity,
    active_weights, and size and FLOPs as ratios to the dense agent. What is not known is NaN. Damaged runs of a sweep
    are left out, as a warning in the log says. Raises BadInput where there is no run.
    """
    return pd.DataFrame(run_rows(_read(path)))


def load_curves(path: str | PathLike[str]) -> pd.DataFrame:
    """Load the evaluations of the same runs, one a row, with all that was logged at them.

    Columns: those of `load_runs` from run to seed, env_steps, return_mean, return_std and the other metrics.
    """
    return pd.DataFrame(curve_rows(_read(path)))


def _read(path: str | PathLike[str]) -> list[Record]:
    records = read_records(there(Path(path)))
    for message in _messages(records):
        logger.warning(message)
    return records


def _messages(records: Iterable[Record]) -> Iterable[str]:
    return (message for record in records for message in record.messages)
