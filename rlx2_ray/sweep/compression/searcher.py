"""The compression search as a `Searcher` of Ray Tune."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from rlx2_ray.search.ledger import Request
from rlx2_ray.search.methods import AnySearch
from rlx2_ray.sweep.compression.finished_runs import Past
from rlx2_ray.types import RunFailed


class CompressSearcher(Searcher):  # type: ignore[misc]
    """What it knows is the list of what it was told, in that order, which one that goes on is told again.

    What a run came to is in its directory, whoever knows of it; and no run is told twice. A run whose result is lost
    is done over before anything else, so that all that follows stays as it was.
    """

    def __init__(
        self,
        make_search: Callable[[], AnySearch],
        concurrency: int,
        score_of: Callable[[Request], float | None],
        is_spent: Callable[[AnySearch], bool],
        on_change: Callable[[AnySearch, Request | None], None],
        key: str = "score",
    ) -> None:
        """
        Args:
            concurrency: trials at a time.
            score_of: of a run that is done already, here or by an earlier compression; None for any other.
            is_spent: whether no further trial may begin.
            key: of the score in what a trial reports; a run that ended without it has failed.
            on_change: called after everything that the search was told, with what it was told of; None: of many.
        """
        super().__init__(metric="score", mode="max")
        self.search = make_search()
        self.failure: RunFailed | None = None
        self._concurrency = concurrency
        self._score_of = score_of
        self._is_spent = is_spent
        self._on_change = on_change
        self._key = key
        self._requests: dict[str, Request] = {}  # of trials in progress, by their id
        self._past: deque[tuple[Request, bool]] = deque()  # still to be told again; whether it failed
        self._begun: list[Request] = []  # handed out again once all of that is told, whatever the search says

    def __reduce__(self) -> Any:
        """Tune stores its searcher with the experiment; nobody reads that."""
        return str, ()

    def go_on(self, past: Past) -> None:
        """Take over what an earlier process was told, and what it had begun."""
        self._past, self._begun = deque(past.told), list(past.begun)
        self._tell_past()
        if past.told:
            self._on_change(self.search, None)

    def _tell_past(self) -> None:
        """Tell the search again what it was told, up to a run whose result is lost."""
        while self._past:
            request, has_failed = self._past[0]
            score = self._score_of(request)
            if score is None and not has_failed:
                return
            self._past.popleft()
            self._take(request, score)
        self.search.restore([], self._begun)

    @property
    def told(self) -> list[tuple[Request, bool]]:
        """What it was told, and is still to be told again, each with whether it failed."""
        return [(tell.request, tell.score is None) for tell in self.search.tells] + list(self._past)

    @property
    def is_finished(self) -> bool:
        """Whether no trial will be suggested any more."""
        if self.failure is not None:
            return True
        return not (self._past or self._begun) and (self.search.is_finished or self._is_spent(self.search))

    def suggest(self, trial_id: str) -> Any:
        """A request's fields as a configuration; None while there is nothing useful to begin, or no room."""
        while not self.is_finished:
            request = self._next()
            if request is None:
                return None
            score = self._score_of(request)
            if score is None:
                self._requests[trial_id] = request
                return request._asdict()
            self._tell(request, score)
        return Searcher.FINISHED

    def _next(self) -> Request | None:
        if self._past:
            return None if self._requests else self._past[0][0]
        request = self.search.ask() if len(self._requests) < self._concurrency else None
        if request in self._begun:
            self._begun.remove(request)
        return request

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        request = self._requests.pop(trial_id, None)
        if request is None:
            return
        score = result.get(self._key) if result is not None and result.get("done") and not error else None
        self._tell(request, score if score is not None and math.isfinite(score) else None)

    def _tell(self, request: Request, score: float | None) -> None:
        is_past = bool(self._past) and self._past[0][0] == request
        if is_past:
            self._past.popleft()
        self._take(request, score)
        if is_past:
            self._tell_past()
        self._on_change(self.search, None if is_past else request)

    def _take(self, request: Request, score: float | None) -> None:
        try:
            if score is None:
                self.search.fail(request)
            else:
                self.search.tell(request, score)
        except RunFailed as failure:  # there is nothing to search: no trial follows, and the compression says why
            self.failure = failure

    def save(self, checkpoint_path: str) -> None:
        """Tune asks for it; what there is to save is in the record and in the runs."""

    @property
    def requests(self) -> list[Request]:
        return list(self._requests.values())
