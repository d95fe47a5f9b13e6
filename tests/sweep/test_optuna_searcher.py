"""Optuna in Tune's hands, played without Tune: what it proposes after a restart is what it would have proposed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

pytest.importorskip("ray.tune")

from rlx2_ray.config import Tree
from rlx2_ray.sweep.description.space import pack, parse_space, trial_name, unpack
from rlx2_ray.sweep.optuna_searcher import Drawn, Event, OptunaSearcher
from rlx2_ray.sweep.planner import LABEL

SPACE = parse_space({
    "agent.learning_rate": {"loguniform": [1e-4, 1e-2]},
    "sparsity.policy": {"quniform": [0.1, 0.9, 0.1]},
    "target.n_step": {"randint": [1, 6]},
    "network.hidden": {"choice": [[16, 16], [32]]},
})  # fmt: skip
TRIALS = 14  # Optuna learns from the tenth on


class Game:
    """A searcher, what the record has of it, and what its trials came to."""

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.history: list[Event] = []
        self.values: dict[str, float] = {}  # of trials that have ended
        self.files: dict[str, Tree] = {}  # dotted key -> value, of trials that have begun
        self.journal = Path(tempfile.mkdtemp(prefix="rlx2-tests-")) / "optuna.log"
        self.begin_anew()

    def begin_anew(self, history: Iterable[Event] | None = None) -> None:
        self.trials: dict[str, str] = {}  # in progress
        self.suggested: list[str] = []
        self.searcher = OptunaSearcher(
            SPACE,
            3,
            "score",
            "max",
            name_of,
            lambda name: pack(SPACE, self.files.get(name, {})),
            self.values.get,
            lambda event, name: self.history.append((event, name)),
            self.journal,
        )
        self.searcher.go_on(self.history if history is None else history)

    def begin(self) -> bool:
        trial_id = f"{len(self.files):08x}"
        config = self.searcher.suggest(trial_id)
        if config is None:
            return False
        name = name_of(config, config[LABEL])
        self.files.setdefault(name, unpack(SPACE, config))
        self.trials[trial_id + str(len(self.suggested))] = name
        self.searcher._names[trial_id + str(len(self.suggested))] = self.searcher._names.pop(trial_id)
        self.suggested.append(name)
        return True

    def end(self) -> None:
        trial_id, name = next(iter(self.trials.items()))
        del self.trials[trial_id]
        self.values[name] = -abs(self.files[name]["sparsity.policy"] - 0.7) - 0.1 * self.files[name]["target.n_step"]
        self.searcher.on_trial_complete(trial_id, {"score": self.values[name]})

    def play(self, trials: int = TRIALS) -> Game:
        while len(self.suggested) < trials or self.trials:
            while len(self.suggested) < trials and len(self.trials) < self.concurrency and self.begin():
                pass
            self.end()
        return self


def name_of(drawn: Drawn, label: str) -> str:
    return trial_name(unpack(SPACE, drawn), label)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("after", [2, 11])
def test_restart_changes_nothing(after: int, concurrency: int) -> None:
    undisturbed = Game(concurrency).play()
    game = Game(concurrency)
    while len(game.values) < after:
        while len(game.trials) < concurrency:
            game.begin()
        game.end()
    begun = list(game.files)
    game.begin_anew()
    game.play()
    assert game.suggested[: len(begun)] == begun, "Tune is told of all that had begun"
    assert game.files == undisturbed.files
    assert sorted(game.history) == sorted(undisturbed.history)
    assert concurrency > 1 or game.history == undisturbed.history


@pytest.mark.parametrize("lost", [0, 5])
def test_trial_whose_result_is_lost_is_done_over_before_anything_new(lost: int) -> None:
    undisturbed = Game().play()
    game = Game().play(12)
    before = list(game.files)
    del game.values[before[lost]]
    game.begin_anew()
    assert game.play().suggested[:12] == before
    assert game.files == undisturbed.files
    assert game.history == undisturbed.history, "nothing is said twice"


def test_sweep_that_began_otherwise_goes_on_with_the_trials_that_it_had() -> None:
    """As under an earlier version of Optuna; what is not known of is forgotten."""
    game = Game()
    drawn = {"agent.learning_rate": 2e-3, "sparsity.policy": 0.4, "target.n_step": 2, "network.hidden": "[32]"}
    known, unknown = name_of(drawn, "0a0b0c0d"), name_of(drawn, "ffffffff")
    game.files[known] = unpack(SPACE, drawn)
    game.begin_anew([("begun", known), ("begun", unknown), ("ended", unknown)])
    assert game.begin()
    assert game.suggested == [known]
    assert game.begin()
    assert len(game.files) == 2


def test_trial_that_failed_is_told_so_once_and_may_be_tried_again() -> None:
    game = Game()
    game.begin()
    (trial_id,) = game.trials
    game.searcher.on_trial_complete(trial_id, error=True)
    assert [event for event, _ in game.history] == ["begun", "failed"]
    game.begin_anew()
    game.begin()
    game.end()
    assert [event for event, _ in game.history] == ["begun", "failed"]


def test_study_of_the_journal_is_the_searchers_and_made_anew() -> None:
    """What Optuna's own dashboard reads, also after a kill that left a lock."""
    game = Game().play(3)
    Path(f"{game.journal}.lock").touch()
    game.begin_anew()
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(game.journal)))
    study = optuna.load_study(study_name=game.journal.parent.name, storage=storage)
    assert [trial.value for trial in study.trials] == list(game.values.values())
    labels = [name.partition("-")[0] for name in game.files]
    assert [name_of(trial.params, label) for trial, label in zip(study.trials, labels, strict=True)] == list(game.files)
