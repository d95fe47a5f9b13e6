"""Several methods in one compression: a search each, one after the other, over one dense arm and one budget.

Each method has a curve, and so a posterior, of its own; what is shared are the dense runs, of which every search is
told, and the runs that are left, of which each gets an equal part of those that the ones before it did not take. A
fold over what was told, as a single search is: the next begins with the tell that ends the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request, Tell
from rlx2_ray.search.options import Options
from rlx2_ray.search.search import QUIET_RUNS, Search

MakeSearch = Callable[[str, int], Search]  # of a method, and the runs that it may have, known dense ones included


class Methods(NamedTuple):
    names: tuple[str, ...]  # in the order in which they are searched
    cost: Callable[[Decision], float]  # by which the best is the cheapest
    max_runs: int  # of all of them together, dense ones included
    dense_runs: int  # that come before any sparse one


class MethodSearch:
    """Does what `Search` does, for several methods: requests, tells and decisions name theirs."""

    def __init__(self, methods: Methods, make: MakeSearch) -> None:
        self.tells: list[Tell] = []
        self._methods = methods
        self._make = make
        self._searches: dict[str, Search] = {}
        self._pending: dict[Request, None] = {}  # a set that keeps its order
        self._again: list[Request] = []
        self._begin()

    def ask(self) -> Request | None:
        """Returns the next run to do; None where none is useful before the next tell, or all has ended."""
        if self._again:
            return self._again.pop(0)
        if self.runs >= self._methods.max_runs:
            return None
        asked = ((name, search.ask()) for name, search in self._searches.items() if not search.is_finished)
        name, request = next(((name, request) for name, request in asked if request is not None), ("", None))
        if request is None:
            return None
        if request.purpose != "dense":
            request = request._replace(method=name)
        self._expect(request, but=name)
        return request

    def tell(self, request: Request, score: float) -> None:
        """Take in a run's score. Raises as `Search.tell` does."""
        self._close(request, score)

    def fail(self, request: Request) -> None:
        """Take in a run that ended in an error. Raises as `Search.fail` does."""
        self._close(request, None)

    def restore(self, tells: Iterable[Tell], pending: Iterable[Request] = ()) -> None:
        """Take over `tells` and `pending` of the search that this one continues; `ask` hands out the pending again."""
        for request, score in tells:
            self._close(request, score)
        for request in pending:
            self._again.append(request)
            self._expect(request)

    @property
    def pending(self) -> list[Request]:
        return list(self._pending)

    @property
    def options(self) -> Options:
        return self._first.options._replace(max_runs=self._methods.max_runs)

    @property
    def is_finished(self) -> bool:
        spent = self.runs >= self._methods.max_runs and not self._pending
        return spent or not (self._waiting or self._unfinished)

    @property
    def runs(self) -> int:
        return len(self.tells) + len(self._pending)

    @property
    def beliefs(self) -> list[Belief]:
        """Empty: each method has its own, and none is that of the whole."""
        return []

    def dense_scores(self) -> list[float]:
        return self._first.dense_scores()

    def decisions(self) -> list[Decision]:
        """Returns those of all methods, in the order of these."""
        return [
            replace(decision, method=name) for name, search in self._searches.items() for decision in search.decisions()
        ]

    def ultimate(self) -> Decision | None:
        """Returns the cheapest accepted network of any method; without one the cheapest of their candidates."""
        accepted = [decision for decision in self.decisions() if decision.verdict == "accept"]
        if accepted:
            return min(accepted, key=self._methods.cost)
        best = [(name, search.ultimate()) for name, search in self._searches.items()]
        candidates = [replace(decision, method=name) for name, decision in best if decision is not None]
        return min(candidates, key=self._methods.cost, default=None)

    def remaining(self) -> int:
        """Guesses the further runs to be expected."""
        if self.is_finished:
            return 0
        sparse = max(1, QUIET_RUNS - self.options.dense_seeds)
        expected = sum(search.remaining() for search in self._unfinished) + len(self._waiting) * sparse
        return max(min(expected, self._methods.max_runs - len(self.tells)), len(self._pending), 1)

    @property
    def _first(self) -> Search:
        return next(iter(self._searches.values()))

    @property
    def _unfinished(self) -> list[Search]:
        """The one that is searched now; several where one that goes on has been given more runs."""
        return [search for search in self._searches.values() if not search.is_finished]

    @property
    def _waiting(self) -> Sequence[str]:
        return self._methods.names[len(self._searches) :]

    def _begin(self) -> None:
        """Begin with the next method, which knows the dense arm as far as it is known."""
        waiting = self._waiting
        dense = [tell for tell in self.tells if tell.request.purpose == "dense"]
        of_dense = len(dense) if self._searches else self._methods.dense_runs
        left = self._methods.max_runs - (len(self.tells) if self._searches else of_dense)
        search = self._make(waiting[0], of_dense + left // len(waiting))
        search.restore(dense)
        search.expect(request for request in self._pending if request.purpose == "dense")
        self._searches[waiting[0]] = search

    def _close(self, request: Request, score: float | None) -> None:
        while request.method is not None and request.method not in self._searches:
            self._begin()
        self._pending.pop(request, None)
        if request in self._again:
            self._again.remove(request)
        self.tells.append(Tell(request, score))
        for search in self._concerned(request):
            search.restore([Tell(request._replace(method=None), score)])
        while self._waiting and not self._unfinished:
            self._begin()

    def _expect(self, request: Request, but: str = "") -> None:
        """Note that it is under way; the search that asked for it knows."""
        self._pending[request] = None
        for name, search in self._searches.items():
            if name != but and request.method in (None, name):
                search.expect([request._replace(method=None)])

    def _concerned(self, request: Request) -> list[Search]:
        return list(self._searches.values()) if request.method is None else [self._searches[request.method]]


AnySearch = Search | MethodSearch
