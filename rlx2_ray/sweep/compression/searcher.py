"""The compression search as a `Searcher` of Ray Tune."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from rlx2_ray.search.ledger import Request, Tell
from rlx2_ray.search.search import Search
from rlx2_ray.types import RunFailed

_searchers: list[CompressSearcher] = []


class CompressSearcher(Searcher):  # type: ignore[misc]
    """What it knows is the list of what it was told, in that order; Tune saves and restores it beside its trials.

    Tune writes the two one after the other, so a kill may leave a trial that one of them has begun, or finished, and
    the other has not. What a run came to is in its directory, whoever knows of it; and no run is told twice.
    """

    def __init__(
        self,
        make_search: Callable[[], Search],
        concurrency: int,
        score_of: Callable[[Request], float | None],
        is_spent: Callable[[Search], bool],
        on_change: Callable[[Search, Request | None], None],
        key: str = "score",
    ) -> None:
        """
        Args:
            concurrency: trials at a time; Tune's own limit would wait for ever for a trial that a kill made it forget.
            score_of: of a run that is done already, here or by an earlier compression; None for any other.
            is_spent: whether no further trial may begin.
            key: of the score in what a trial reports; a run that ended without it has failed.
            on_change: called after everything that the search was told, with what it was told of; None: of many.
        """
        super().__init__(metric="score", mode="max")
        self.search = make_search()
        self.failure: RunFailed | None = None
        self._make_search = make_search
        self._concurrency = concurrency
        self._score_of = score_of
        self._is_spent = is_spent
        self._on_change = on_change
        self._key = key
        self._requests: dict[str, Request] = {}  # of trials in progress, by their id
        _searchers[:] = [self]

    def __reduce__(self) -> Any:
        """Tune stores its searcher with the experiment; one that is read back is that of the process that reads it."""
        return _newest, ()

    @property
    def is_finished(self) -> bool:
        """Whether no trial will be suggested any more."""
        return self.failure is not None or self.search.is_finished or self._is_spent(self.search)

    def suggest(self, trial_id: str) -> Any:
        """A request's fields as a configuration; None while there is nothing useful to begin, or no room."""
        while not self.is_finished:
            request = self.search.ask() if len(self._requests) < self._concurrency else None
            if request is None:
                return None
            score = self._score_of(request)
            if score is None:
                self._requests[trial_id] = request
                return request._asdict()
            self._tell(request, score)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial that Tune alone remembers is asked for again by the search, and its run is found done."""
        request = self._requests.pop(trial_id, None)
        if request is None:
            return
        score = result.get(self._key) if result is not None and result.get("done") and not error else None
        self._tell(request, score if score is not None and math.isfinite(score) else None)

    def _tell(self, request: Request, score: float | None) -> None:
        try:
            if score is None:
                self.search.fail(request)
            else:
                self.search.tell(request, score)
        except RunFailed as failure:  # there is nothing to search: no trial follows, and the compression says why
            self.failure = failure
        self._on_change(self.search, request)

    def save(self, checkpoint_path: str) -> None:
        state = {"tells": self.search.tells, "requests": self._requests}
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        state = json.loads(Path(checkpoint_path).read_text())
        self._requests = {trial_id: Request(*fields) for trial_id, fields in state["requests"].items()}
        self.search = self._make_search()
        try:
            self.search.restore([Tell(Request(*fields), score) for fields, score in state["tells"]], self.requests)
        except RunFailed as failure:
            self.failure = failure
        for _ in self._requests:
            self.search.ask()  # Tune itself goes on with the trials in progress
        self._take_in_finished()
        self._on_change(self.search, None)

    def _take_in_finished(self) -> None:
        """Of the trials in progress those that ended after this was saved, which Tune may know."""
        for trial_id, request in list(self._requests.items()):
            score = self._score_of(request)
            if score is not None:
                del self._requests[trial_id]
                self._tell(request, score)

    @property
    def requests(self) -> list[Request]:
        return list(self._requests.values())


def _newest() -> CompressSearcher:
    return _searchers[0]
