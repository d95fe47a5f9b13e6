"""Optuna as a `Searcher` of Ray Tune: asked and told again, in a sweep that goes on, as the record says it was.

So it proposes what it would have proposed without the interruption. A trial whose result is lost is done over before
anything else is asked.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from rlx2_ray.report.record.record import Event
from rlx2_ray.sweep.description.space import Space
from rlx2_ray.sweep.description.space_tune import to_tune
from rlx2_ray.sweep.planner import LABEL

Drawn = Mapping[str, Any]
FAILED = optuna.trial.TrialState.FAIL


class OptunaSearcher(Searcher):  # type: ignore[misc]
    def __init__(
        self,
        space: Space,
        seed: int,
        metric: str,
        mode: str,
        name_of: Callable[[Drawn, str], str],
        drawn_of: Callable[[str], Drawn | None],
        value_of: Callable[[str], float | None],
        note: Callable[[Event, str], None],
        journal: Path,
    ) -> None:
        """
        Args:
            name_of: what was drawn, and a label -> name of the trial.
            drawn_of: what was drawn for the trial of that name, as its own files say.
            value_of: what the trial of that name came to; None where it has not ended.
            note: takes in an event, before anything follows from it.
            journal: Optuna's file of the study, for its dashboard; made anew, for the record is what counts.
        """
        super().__init__(metric=metric, mode=mode)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            storage=_journal(journal),
            study_name=journal.parent.name,
            direction="minimize" if mode == "min" else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.NopPruner(),
        )
        self._space = OptunaSearch.convert_search_space(to_tune(space))
        self._name_of, self._drawn_of, self._value_of, self._note = name_of, drawn_of, value_of, note
        self._asked: dict[str, optuna.Trial] = {}  # by name, and not told
        self._names: dict[str, str] = {}  # by Tune's id
        self._again: deque[str] = deque()  # trials of an earlier process that Tune is to know
        self._drawn: dict[str, Drawn] = {}
        self._past: deque[tuple[str, str]] = deque()
        self._ended: dict[str, float | None] = {}  # while a trial of the past is done over

    def __reduce__(self) -> Any:
        """Tune stores its searcher with the experiment; nobody reads that."""
        return str, ()

    def go_on(self, history: Iterable[tuple[str, str]]) -> None:
        """Ask and tell what an earlier process did."""
        self._past = deque(history)
        self._repeat()

    def _repeat(self) -> None:
        while self._past:
            event, name = self._past[0]
            if event == "begun":
                self._ask_again(name)
            elif name in self._asked:
                value = self._ended.pop(name) if name in self._ended else self._value_of(name)
                if value is None and event != "failed":
                    return
                self._tell(name, value)
            self._past.popleft()
        for name in list(self._ended):
            self._end(name, self._ended.pop(name))

    def _ask_again(self, name: str) -> None:
        """The same, or, of a sweep whose order of events is not known, what its files say that it was."""
        trial = self._study.ask(self._space)
        if self._name_of(trial.params, _label(name)) != name:
            self._study.tell(trial, state=FAILED)
            drawn = self._drawn_of(name)
            if drawn is None:
                return
            self._study.enqueue_trial(dict(drawn))
            trial = self._study.ask(self._space)
        self._asked[name], self._drawn[name] = trial, trial.params
        self._again.append(name)

    def suggest(self, trial_id: str) -> Any:
        if self._again:
            name = self._again.popleft()
        elif self._past:
            return None
        else:
            trial = self._study.ask(self._space)
            name = self._name_of(trial.params, trial_id)
            self._asked[name], self._drawn[name] = trial, trial.params
            self._note("begun", name)
        self._names[trial_id] = name
        return {**self._drawn[name], LABEL: _label(name)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        name = self._names.pop(trial_id, None)
        if name is None or name not in self._asked:  # told before
            return
        value = None if error or result is None else result.get(self.metric)
        if self._past:
            self._ended[name] = value
            self._repeat()
        else:
            self._end(name, value)

    def _end(self, name: str, value: float | None) -> None:
        self._note("ended" if self._tell(name, value) else "failed", name)

    def _tell(self, name: str, value: float | None) -> bool:
        """Whether it came to anything."""
        trial, is_known = self._asked.pop(name), value is not None and math.isfinite(value)
        self._study.tell(trial, value if is_known else None, state=None if is_known else FAILED)
        return is_known

    def save(self, checkpoint_path: str) -> None:
        """Tune asks for it; what there is to save is in the record and in the trials."""


def _journal(file: Path) -> optuna.storages.JournalStorage:
    lock = Path(f"{file}.lock")
    for leftover in (file, lock):
        leftover.unlink(missing_ok=True)
    # Its other lock is a link, and one that a kill leaves would look like a stranger's.
    backend = JournalFileBackend(str(file), JournalFileOpenLock(str(file)))
    return optuna.storages.JournalStorage(backend)


def _label(name: str) -> str:
    return name.partition("-")[0]
