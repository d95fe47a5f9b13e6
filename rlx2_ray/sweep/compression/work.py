"""A compression under way: what its search asks for and is told, and what becomes of that in the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ray import tune

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.experiment.display import Status
from rlx2_ray.report.record.file import to_content
from rlx2_ray.report.record.record import SizedDecision
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.final_score import describe, describe_early
from rlx2_ray.runs.scores import IN_TUNE, OTHER, ScoreName, score_of
from rlx2_ray.search.decision import Decision, Pair, Verdict
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.search.methods import AnySearch
from rlx2_ray.sweep.campaign import Desk, Work
from rlx2_ray.sweep.compression.costs import Costs
from rlx2_ray.sweep.compression.dense_runs import DenseRuns
from rlx2_ray.sweep.compression.describe import (
    DECISIONS_FILE,
    decisions_table,
    describe_decision,
    describe_dense,
    describe_ultimate,
)
from rlx2_ray.sweep.compression.finished_runs import past_of
from rlx2_ray.sweep.compression.forecast import member_seconds, run_seconds
from rlx2_ray.sweep.compression.other_score import OtherScore
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.sweep.compression.policy import keep_policy
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.compression.searcher import CompressSearcher
from rlx2_ray.sweep.compression.words import (
    Cost,
    belief_phrase,
    best_phrase,
    cost_sentence,
    dense_sentence,
    lacking_sentence,
    verdict_sentence,
)
from rlx2_ray.sweep.desk.sweep_directory import Result
from rlx2_ray.sweep.trials.futility import make_floor, save_floor
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.tuning import Tuning
from rlx2_ray.types import Spaces

if TYPE_CHECKING:
    from rlx2_ray.sweep.reporter import Reporter

UNSAID = ("budget", "max_concurrent", "max_failures", "processes")  # keys that are no part of the rule
MANY = 10**6  # suggestions; the searcher says when it is enough
OF_RESULT = ("dense", "decisions", "ultimate", "runs", "env_steps", "messages")  # keys of the record


class CompressWork(Work):
    def __init__(self, problem: Problem, desk: Desk, runs: DenseRuns, random: float, costs: Costs) -> None:
        """`random`: score of random actions."""
        self._problem = problem
        self._section = problem.section
        self._desk = desk
        self._runs = runs
        self._random = random
        self._costs = costs
        self._said: dict[tuple[str | None, Pair], Verdict] = {}
        self._has_floor = False
        self._searcher = CompressSearcher(
            self._make_search,
            desk.concurrency,
            self._score_of,
            lambda search: self._spent(search) is not None,
            self._note,
            IN_TUNE[self._section.score],
        )
        other = OTHER[self._section.score]
        self._other = OtherScore(other, lambda request: self._score_by(request, other))

    def _make_search(self) -> AnySearch:
        given = (self._random, self._desk.concurrency, self._runs.known)
        if len(self._problem.methods) == 1:
            return self._problem.make_search(*given, self._costs.size_of(None))
        return self._problem.make_methods_search(*given, self._costs.size_of, self._cost_of)

    def _cost_of(self, decision: Decision) -> float:
        return self._costs.value(decision, self._searcher.search.tells)

    # Before the first trial

    def go_on(self) -> None:
        """Let the search know what it knew before, of one that goes on."""
        record, trials = self._desk.keeper.record, self._desk.directory.trials
        known = [Request(*DENSE_PAIR, seed, "dense") for seed in sorted(self._runs.seeds)]
        past = past_of(record, trials, self._problem.planner.requests, known if any(trials.glob("*")) else [])
        self._searcher.go_on(past)

    def announce(self, spaces: Spaces) -> None:
        """Say what it will cost, or, where it goes on, what is left; and note how it decides."""
        desk, record = self._desk, self._desk.keeper.record
        if record.planned:
            sentence = f"Goes on after {record.runs or 0} of about {record.planned['runs']} runs."
        else:
            cost = self._cost(spaces)
            planned = {"runs": cost.runs, "env_steps": cost.env_steps, "hours": cost.seconds / 3600}
            record = replace(record, planned=planned)
            archived = sum(seed.file is not None for seed in self._runs.seeds.values())
            sentence = f"{cost_sentence(cost, self._runs.cached, archived)} In {desk.directory.path}"
        desk.display.retotal(int(record.planned["env_steps"]))
        desk.display.say(sentence)
        if self._runs.lacking:
            desk.display.say(lacking_sentence(len(self._runs.lacking)))
        desk.keeper.keep(replace(record, protocol=self._protocol(), metric=IN_TUNE[self._section.score], mode="max"))

    def _cost(self, spaces: Spaces) -> Cost:
        problem, search, cached = self._problem, self._make_search(), self._runs.cached
        for seed, known in sorted(self._runs.seeds.items()):
            score = known.by(self._section.score)
            assert score is not None, "none is recalled without the score that decides"
            search.tell(Request(*DENSE_PAIR, seed, "dense"), score)
        return Cost(
            search.remaining(),
            search.options.max_runs - cached,
            problem.steps,
            self._seconds_of(problem.dense, spaces),
            self._seconds_of(problem.middle, spaces),
            max(0, self._section.dense_seeds - cached),
            self._desk.concurrency,
        )

    def _seconds_of(self, config: ExperimentConfig, spaces: Spaces) -> float:
        population = self._desk.population
        if population is None:
            return run_seconds(config, spaces)
        return member_seconds(config, spaces, population.slots, population.processes)

    def _protocol(self) -> Tree:
        evaluation = self._problem.dense.evaluation
        return {
            **self._section.model_dump(mode="json", exclude={*UNSAID, *self._usual}),
            "levels": len(self._problem.levels),
            "steps": self._problem.steps,
            "evaluation": f"every {evaluation.interval} env steps{describe_early(evaluation)}, "
            f"{evaluation.episodes} noise-free episodes; "
            f"a run's score is the {describe(evaluation.score_window)}",
            "dense_key": self._runs.key,
        }

    @property
    def _usual(self) -> Iterator[str]:
        """What is as in earlier versions, whose records do not have it."""
        for key in ("objective", "chip", "methods"):
            if getattr(self._section, key) == type(self._section).model_fields[key].default:
                yield key

    # The search

    def tuning(self, job: Job) -> Tuning:
        config = tune.TuneConfig(
            metric="score", mode="max", num_samples=MANY, search_alg=self._searcher, reuse_actors=True
        )
        return Tuning(job, None, config, self._section.max_failures)

    def _score_of(self, request: Request) -> float | None:
        """Returns the score that decides, of a run that is done."""
        return self._score_by(request, self._section.score)

    def _score_by(self, request: Request, name: ScoreName) -> float | None:
        if request.purpose == "dense" and (known := self._runs.recall(request.seed)):
            return known.by(name)
        result = RunDirectory(self._desk.directory.trials / name_of(request)).read_result()
        return score_of(result, name) if result else None

    def _spent(self, search: AnySearch) -> str | None:
        begun = search.runs - self._runs.cached
        return self._desk.spending.what_is_spent((begun + 1) * self._problem.steps - 1, begun)

    def _note(self, search: AnySearch, request: Request | None) -> None:
        """Take in what the search was told: of one run, or, where it was restored, of many."""
        for each in [tell.request for tell in search.tells] if request is None else [request]:
            if each.purpose == "dense":
                self._runs.keep(each.seed)
        desk = self._desk
        decisions = tuple(self._describe(search, each) for each in search.decisions())
        record = replace(
            desk.keeper.record,
            dense=describe_dense(search, self._runs.seeds, self._other),
            decisions=decisions,
            beliefs=tuple(search.beliefs),
            ultimate=describe_ultimate(search, decisions),
            runs=len(search.tells),
            history=tuple(("failed" if failed else "ended", name_of(each)) for each, failed in self._searcher.told),
        )
        desk.keeper.keep(record)
        if record.decisions:
            desk.tracker.log_table(DECISIONS_FILE, decisions_table(record.decisions))
        self._write_floor()
        self._say_news(search, request)
        desk.display.retotal((len(search.tells) - self._runs.cached + search.remaining()) * self._problem.steps)

    def _describe(self, search: AnySearch, decision: Decision) -> SizedDecision:
        cost = self._costs.of(decision, search.tells)
        return describe_decision(decision, search, self._other, self._costs.size_ratio(decision), cost)

    def _say_news(self, search: AnySearch, request: Request | None) -> None:
        display, record = self._desk.display, self._desk.keeper.record
        dense = record.dense
        is_dense = request is not None and request.purpose == "dense"
        if dense and is_dense and len(search.dense_scores()) >= self._section.dense_seeds:
            display.say(dense_sentence(dense, self._section.score))
        before = self._said
        self._said = {(decision.method, decision.pair): decision.verdict for decision in record.decisions}
        for decision in record.decisions:
            is_new = before.get((decision.method, decision.pair)) != decision.verdict
            if request is not None and is_new and decision.verdict != "inconclusive":
                display.say(verdict_sentence(decision, self._section.score))

    def _write_floor(self) -> None:
        section, file, seeds = self._section, self._desk.directory.floor_file, self._runs.seeds
        if section.futility and len(seeds) >= section.dense_seeds and not self._has_floor:
            self._has_floor = True  # written by every process: the file may have been damaged since
            curves = [known.curve for known in list(seeds.values())[: section.dense_seeds]]
            first_step = section.futility_from * self._problem.steps
            save_floor(make_floor(curves, self._random, section.futility, first_step), file)

    def status(self) -> Status:
        beliefs = self._searcher.search.beliefs
        shown = {"best": best_phrase(self._desk.keeper.record.ultimate)}
        if beliefs:
            varied = "critics" if self._section.axis == "critic" else "policy"
            shown["believes"] = belief_phrase(beliefs[-1], varied)
        return shown

    # After the last trial

    def is_complete(self, reporter: Reporter) -> bool:
        return self._searcher.is_finished and not reporter.unfinished

    def conclude(self, reporter: Reporter) -> Result:
        if self._searcher.failure is not None:
            raise self._searcher.failure
        search, keeper = self._searcher.search, self._desk.keeper
        spent = self._ended_by(search)
        if spent:
            keeper.say(f"Ended by {spent}: this is the best statement so far.")
        self._note(search, None)
        ultimate = keeper.record.ultimate
        if ultimate is not None and ultimate.trial is not None:
            ultimate = keep_policy(self._desk, self._problem.dense, ultimate)
        keeper.keep(replace(keeper.record, env_steps=self._env_steps(search), ultimate=ultimate))
        content = to_content(keeper.record)
        rule: Result = {"threshold": self._section.threshold, "decided_by": self._section.score}
        if self._section.objective != "weights":
            rule["objective"] = self._section.objective
        return {key: content[key] for key in OF_RESULT} | rule

    def _ended_by(self, search: AnySearch) -> str | None:
        """Returns the limit that ended it; None where there was nothing more to find out."""
        most = search.options.max_runs
        if search.runs >= most:
            return self._spent(search) or f"the limit of {most} runs, where compress.budget.runs gives no other"
        return None if search.is_finished else self._spent(search)

    def _env_steps(self, search: AnySearch) -> int:
        """Counts those of all runs that were done here, of failed and early ended ones as far as they came."""
        directories = [RunDirectory(self._desk.directory.trials / name_of(tell.request)) for tell in search.tells]
        points = [directory.read_points() for directory in directories if directory.progress_file.exists()]
        return sum(each[-1]["env_steps"] for each in points if each)
