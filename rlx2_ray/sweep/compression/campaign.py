"""`rlx2 compress`: the smallest network that keeps the dense return, found by a search with seeds for every verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.experiment.display import Status
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.decision import Decision, Pair, Verdict
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.campaign import Campaign, Desk
from rlx2_ray.sweep.compression.dense_arm import DenseArm
from rlx2_ray.sweep.compression.forecast import run_seconds
from rlx2_ray.sweep.compression.planner import CompressPlanner, name_of
from rlx2_ray.sweep.compression.policy import best_trial, keep_policy
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.compression.record import decisions_table, describe_decision, describe_dense
from rlx2_ray.sweep.compression.words import (
    Cost,
    belief_phrase,
    best_phrase,
    cost_sentence,
    dense_sentence,
    verdict_sentence,
)
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.files import CompressDescription, compress_tree
from rlx2_ray.sweep.futility import make_floor, save_floor
from rlx2_ray.sweep.job import Job
from rlx2_ray.sweep.sweep_directory import Content
from rlx2_ray.sweep.tune_state import OF_SEARCH, forget_unusable
from rlx2_ray.sweep.tuning import Tuning
from rlx2_ray.types import Spaces

if TYPE_CHECKING:
    from rlx2_ray.sweep.compression.searcher import CompressSearcher
    from rlx2_ray.sweep.reporter import Reporter

MANY = 10**6  # suggestions; the searcher says when it is enough


class Compression(Campaign):
    kind = "compress"

    def __init__(self, description: CompressDescription) -> None:
        self._description = description
        self._section = description.compress
        self._problem = Problem(description)
        self._searcher: CompressSearcher | None = None
        self._said: dict[Pair, Verdict] = {}

    @property
    def planner(self) -> CompressPlanner:
        return self._problem.planner

    @property
    def tree(self) -> Tree:
        return compress_tree(self._description)

    @property
    def examples(self) -> list[ExperimentConfig]:
        return [self._problem.dense, self._problem.densest]

    @property
    def max_concurrent(self) -> int | None:
        return self._section.max_concurrent

    @property
    def budget(self) -> Budget:
        return self._section.budget

    # Before the first trial

    def check(self, spaces: Spaces) -> None:
        self._problem.check(spaces)

    def prepare(self, desk: Desk, spaces: Spaces) -> None:
        self._desk, self._size = desk, self._problem.size_of(spaces)
        record = desk.keeper.content
        self._arm = DenseArm(self._problem.dense, desk.directory.trials)
        self._arm.remember((record.get("dense") or {"seeds": ()})["seeds"])
        for seed in range(self._section.dense_seeds):
            self._arm.recall(seed)
        self._random = self._arm.random(spaces)
        if "planned" in record:
            desk.display.say(f"Goes on after {record.get('runs', 0)} of about {record['planned']['runs']} runs.")
            desk.display.retotal(record["planned"]["env_steps"])
        else:
            self._say_cost(spaces)
        desk.keeper.note(protocol=self._protocol(), metric="score", mode="max")

    def _say_cost(self, spaces: Spaces) -> None:
        problem, desk, cached = self._problem, self._desk, len(self._arm.cached)
        search = self._make_search()
        for seed in sorted(self._arm.cached):
            search.tell(Request(*DENSE_PAIR, seed, "dense"), self._arm.outcomes[seed].score)
        cost = Cost(
            search.remaining(),
            search.options.max_runs - cached,
            problem.steps,
            run_seconds(problem.dense, spaces),
            run_seconds(problem.middle, spaces),
            self._section.dense_seeds - cached,
            desk.concurrency,
        )
        desk.keeper.note(planned={"runs": cost.runs, "env_steps": cost.env_steps, "hours": cost.seconds / 3600})
        desk.display.retotal(cost.env_steps)
        desk.display.say(f"{cost_sentence(cost, cached)} In {desk.directory.path}")

    def _protocol(self) -> Content:
        evaluation = self._problem.dense.evaluation
        return {
            **self._section.model_dump(mode="json", exclude={"budget", "max_concurrent", "max_failures"}),
            "levels": len(self._problem.levels),
            "steps": self._problem.steps,
            "evaluation": f"every {evaluation.interval} env steps, {evaluation.episodes} noise-free episodes; "
            "a run's score is the mean of its last 30 evaluations",
            "dense_key": self._arm.key,
        }

    # The search

    def _make_search(self) -> Search:
        return self._problem.make_search(self._random, self._desk.concurrency, len(self._arm.cached), self._size)

    def tuning(self, job: Job, desk: Desk) -> Tuning:
        from ray import tune

        from rlx2_ray.sweep.compression.searcher import CompressSearcher

        forget_unusable(desk.directory.tune, OF_SEARCH)
        self._searcher = CompressSearcher(
            self._make_search,
            desk.concurrency,
            self._score_of,
            lambda search: self._spent(search) is not None,
            self._note,
        )
        config = tune.TuneConfig(
            metric="score", mode="max", num_samples=MANY, search_alg=self._searcher, reuse_actors=True
        )
        return Tuning(job, None, config, self._section.max_failures)

    def _score_of(self, request: Request) -> float | None:
        """Of a run that is done."""
        if request.purpose == "dense" and (outcome := self._arm.recall(request.seed)):
            return outcome.score
        result = RunDirectory(self._desk.directory.trials / name_of(request)).read_result()
        return float(result["score"]) if result else None

    def _spent(self, search: Search) -> str | None:
        begun = search.runs - len(self._arm.cached)
        return self._desk.spending.what_is_spent((begun + 1) * self._problem.steps - 1, begun)

    def _note(self, search: Search, request: Request | None) -> None:
        """Take in what the search was told: of one run, or, where it was restored, of many."""
        for each in [tell.request for tell in search.tells] if request is None else [request]:
            if each.purpose == "dense":
                self._arm.keep(each.seed)
        keeper, decisions = self._desk.keeper, self._describe_decisions(search)
        ultimate = search.ultimate()
        keeper.note(
            dense=describe_dense(search, self._arm.outcomes, self._arm.cached),
            decisions=decisions,
            beliefs=list(search.beliefs),
            ultimate=self._describe_ultimate(search, ultimate) if ultimate else None,
            runs=len(search.tells),
        )
        if decisions:
            self._desk.tracker.log_table("decisions.json", decisions_table(decisions))
        self._write_floor()
        self._say_news(search, request)
        self._desk.display.retotal(
            (len(search.tells) - len(self._arm.cached) + search.remaining()) * self._problem.steps
        )

    def _say_news(self, search: Search, request: Request | None) -> None:
        is_dense = request is not None and request.purpose == "dense"
        if is_dense and len(search.dense_scores()) >= self._section.dense_seeds:
            self._desk.display.say(dense_sentence(self._desk.keeper.content["dense"]))
        before = self._said
        self._said = {decision.pair: decision.verdict for decision in search.decisions()}
        for decision in search.decisions():
            is_new = before.get(decision.pair) != decision.verdict
            if request is not None and is_new and decision.verdict != "inconclusive":
                self._desk.display.say(verdict_sentence(decision))

    def _write_floor(self) -> None:
        section, file, outcomes = self._section, self._desk.directory.floor_file, self._arm.outcomes
        if section.futility and len(outcomes) >= section.dense_seeds and not file.exists():
            curves = [outcome.curve for outcome in outcomes.values()]
            save_floor(
                make_floor(curves, self._random, section.futility, section.futility_from * self._problem.steps), file
            )

    def _describe_decisions(self, search: Search) -> list[Content]:
        return [describe_decision(decision, self._size(decision.pair)) for decision in search.decisions()]

    def _describe_ultimate(self, search: Search, decision: Decision) -> Content:
        return {**describe_decision(decision, self._size(decision.pair)), "trial": best_trial(search, decision.pair)}

    def status(self) -> Status:
        if self._searcher is None:
            return {}
        beliefs = self._searcher.search.beliefs
        shown = {"best": best_phrase(self._desk.keeper.content.get("ultimate"))}
        if beliefs:
            varied = "critics" if self._section.axis == "critic" else "policy"
            shown["believes"] = belief_phrase(beliefs[-1], varied)
        return shown

    # After the last trial

    def is_complete(self, desk: Desk, reporter: Reporter) -> bool:
        return self._searcher is not None and self._searcher.is_finished and not reporter.unfinished

    def conclude(self, desk: Desk, reporter: Reporter) -> Content:
        assert self._searcher is not None
        if self._searcher.failure is not None:
            raise self._searcher.failure
        search = self._searcher.search
        spent = self._ended_by(search)
        if spent:
            desk.keeper.say(f"Ended by {spent}: this is the best statement so far.")
        self._note(search, None)
        record = desk.keeper.content
        ultimate = record["ultimate"]
        if ultimate is not None and ultimate["trial"] is not None:
            ultimate |= keep_policy(desk, self._problem.dense, ultimate)
        desk.keeper.note(env_steps=self._env_steps(search), ultimate=ultimate)
        keys = ("dense", "decisions", "ultimate", "runs", "env_steps", "messages")
        return {key: record[key] for key in keys} | {"threshold": self._section.threshold}

    def _ended_by(self, search: Search) -> str | None:
        """The limit that ended it; None where there was nothing more to find out."""
        most = search.options.max_runs
        if search.runs >= most:
            return self._spent(search) or f"the limit of {most} runs, where compress.budget.runs gives no other"
        return None if search.is_finished else self._spent(search)

    def _env_steps(self, search: Search) -> int:
        """Of all runs that were done here, those that failed or ended early as far as they came."""
        directories = [RunDirectory(self._desk.directory.trials / name_of(tell.request)) for tell in search.tells]
        points = [directory.read_points() for directory in directories if directory.progress_file.exists()]
        return sum(each[-1]["env_steps"] for each in points if each)
