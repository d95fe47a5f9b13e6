"""`rlx2 compress`: the smallest network that keeps the dense return, found by a search with seeds for every verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.experiment.display import Status
from rlx2_ray.experiment.run_directory import RunDirectory
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.sweep import levels
from rlx2_ray.sweep.budget import Budget
from rlx2_ray.sweep.campaign import Campaign, Desk
from rlx2_ray.sweep.compress_planner import CompressPlanner, name_of
from rlx2_ray.sweep.compress_policy import best_trial, keep_policy
from rlx2_ray.sweep.compress_record import decisions_table, describe_decision, describe_dense
from rlx2_ray.sweep.compress_section import CompressSection
from rlx2_ray.sweep.compress_words import (
    Cost,
    belief_phrase,
    best_phrase,
    cost_sentence,
    dense_sentence,
    verdict_sentence,
)
from rlx2_ray.sweep.decision import Decision, Pair, Rule, Verdict
from rlx2_ray.sweep.dense_arm import DenseArm
from rlx2_ray.sweep.description import CompressDescription, compress_tree
from rlx2_ray.sweep.forecast import run_seconds
from rlx2_ray.sweep.futility import make_floor, save_floor
from rlx2_ray.sweep.job import Job
from rlx2_ray.sweep.ledger import DENSE_PAIR, Request
from rlx2_ray.sweep.search import Options, Search
from rlx2_ray.sweep.search_line import LineSearch
from rlx2_ray.sweep.search_plane import PlaneSearch, plane_options
from rlx2_ray.sweep.sweep_directory import Content
from rlx2_ray.sweep.tuning import Tuning
from rlx2_ray.types import BadInput, Spaces

if TYPE_CHECKING:
    from rlx2_ray.sweep.compress_searcher import CompressSearcher
    from rlx2_ray.sweep.reporter import Reporter

MANY = 10**6  # suggestions; the searcher says when it is enough


class Compression(Campaign):
    kind = "compress"

    def __init__(self, description: CompressDescription) -> None:
        self._description = description
        self._section: CompressSection = description.compress
        self._planner = CompressPlanner(description.config)
        self._dense = self._planner.config(Request(*DENSE_PAIR, 0, "dense"))
        self._searcher: CompressSearcher | None = None
        self._said: dict[Pair, Verdict] = {}
        check_seeds(self._section)

    @property
    def planner(self) -> CompressPlanner:
        return self._planner

    @property
    def tree(self) -> Tree:
        return compress_tree(self._description)

    @property
    def examples(self) -> list[ExperimentConfig]:
        return [self._dense, self._middle, self._sparsest]

    @property
    def max_concurrent(self) -> int | None:
        return self._section.max_concurrent

    @property
    def budget(self) -> Budget:
        return self._section.budget

    @property
    def _steps(self) -> int:
        return self._dense.steps

    @property
    def _middle(self) -> ExperimentConfig:
        """Where the search begins."""
        return self._planner.config(Request(*self._pairs[len(self._pairs) // 2], 0, "search"))

    @property
    def _sparsest(self) -> ExperimentConfig:
        """If no layer of it is without weights, none of any other is."""
        return self._planner.config(Request(*self._pairs[-1], 0, "search"))

    @property
    def _levels(self) -> tuple[float, ...]:
        section = self._section
        usual = levels.PLANE_LEVELS if section.axis == "both" else levels.LINE_LEVELS
        return levels.sparsities(section.levels or usual, section.min_sparsity, section.max_sparsity)

    @property
    def _pairs(self) -> tuple[Pair, ...]:
        """The networks of a 1-D search; of a 2-D one those on the diagonal."""
        axis = self._section.axis
        if axis == "both":
            return tuple((level, level) for level in self._levels)
        return levels.line(axis, self._levels, self._section.critic_density_ratio)

    # Before the first trial

    def prepare(self, desk: Desk, spaces: Spaces) -> None:
        self._desk, self._spaces = desk, spaces
        record = desk.keeper.content
        self._arm = DenseArm(self._dense, desk.directory.trials)
        self._arm.remember((record.get("dense") or {"seeds": ()})["seeds"])
        for seed in range(self._section.dense_seeds):
            self._arm.recall(seed)
        self._random = self._arm.random(spaces)
        if "planned" in record:
            desk.display.say(f"Goes on after {record.get('runs', 0)} of about {record['planned']['runs']} runs.")
            desk.display.retotal(record["planned"]["env_steps"])
        else:
            self._say_cost()
        desk.keeper.note(protocol=self._protocol(), metric="score", mode="max")

    def _say_cost(self) -> None:
        search, section, cached = self._make_search(), self._section, len(self._arm.cached)
        for seed in sorted(self._arm.cached):
            search.tell(Request(*DENSE_PAIR, seed, "dense"), self._arm.outcomes[seed].score)
        dense_s, sparse_s = (run_seconds(config, self._spaces) for config in (self._dense, self._middle))
        most = search.options.max_runs - cached
        dense_runs = max(section.dense_seeds - cached, 0)
        cost = Cost(search.remaining(), most, self._steps, dense_s, sparse_s, dense_runs, self._desk.concurrency)
        planned = {"runs": cost.runs, "env_steps": cost.env_steps, "hours": cost.seconds / 3600}
        self._desk.keeper.note(planned=planned)
        self._desk.display.retotal(cost.env_steps)
        self._desk.display.say(f"{cost_sentence(cost, cached)} In {self._desk.directory.path}")

    def _protocol(self) -> Content:
        evaluation = self._dense.evaluation
        return {
            **self._section.model_dump(mode="json", exclude={"budget", "max_concurrent", "max_failures"}),
            "steps": self._steps,
            "evaluation": f"every {evaluation.interval} env steps, {evaluation.episodes} noise-free episodes; "
            "a run's score is the mean of its last 30 evaluations",
            "dense_key": self._arm.key,
        }

    # The search

    def _options(self) -> Options:
        section = self._section
        rule = Rule(section.threshold, section.accept, section.reject, section.statistic, max_seeds=section.max_seeds)
        options = plane_options(self._random, rule) if section.axis == "both" else Options(self._random, rule)
        return options._replace(
            dense_seeds=section.dense_seeds,
            max_dense_seeds=max(section.dense_seeds, options.max_dense_seeds),
            max_runs=self._most_runs(options.max_runs),
            concurrency=self._desk.concurrency,
        )

    def _most_runs(self, default: int) -> int:
        """As the search counts: those of the cache too, and room for a decision whatever the budget."""
        limit = self.budget.runs
        if limit is None:
            return default
        return max(min(default, limit + len(self._arm.cached)), self._section.dense_seeds + Rule().min_seeds)

    def _make_search(self) -> Search:
        if self._section.axis == "both":
            return PlaneSearch(self._levels, self._levels, self._options(), self._size)
        return LineSearch(self._pairs, self._options(), self._size)

    def _size(self, pair: Pair) -> float:
        config = self._planner.config(Request(*pair, 0, "search"))
        plan = plan_agent(config, self._spaces.observation_size, self._spaces.action_size)
        return relative_costs(config, plan).size_ratio

    def tuning(self, job: Job, desk: Desk) -> Tuning:
        from ray import tune

        from rlx2_ray.sweep.compress_searcher import CompressSearcher

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
        return self._desk.spending.what_is_spent((begun + 1) * self._steps - 1, begun)

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
        self._desk.display.retotal((len(search.tells) - len(self._arm.cached) + search.remaining()) * self._steps)

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
            save_floor(make_floor(curves, self._random, section.futility, section.futility_from * self._steps), file)

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
        spent = None if search.is_finished else self._spent(search)
        if spent:
            desk.keeper.say(f"Ended by {spent}: this is the best statement so far.")
        self._note(search, None)
        record = desk.keeper.content
        ultimate = record["ultimate"]
        if ultimate is not None and ultimate["trial"] is not None:
            ultimate |= keep_policy(desk, self._dense, ultimate)
        desk.keeper.note(env_steps=self._env_steps(search), ultimate=ultimate)
        keys = ("dense", "decisions", "ultimate", "runs", "env_steps", "messages")
        return {key: record[key] for key in keys} | {"threshold": self._section.threshold}

    def _env_steps(self, search: Search) -> int:
        """Of all runs that were done here, those that failed or ended early as far as they came."""
        directories = [RunDirectory(self._desk.directory.trials / name_of(tell.request)) for tell in search.tells]
        points = [directory.read_points() for directory in directories if directory.progress_file.exists()]
        return sum(each[-1]["env_steps"] for each in points if each)


def check_seeds(section: CompressSection) -> None:
    """Raises BadInput where no verdict could ever be given."""
    least = Rule().min_seeds
    if section.max_seeds < least:
        raise BadInput(
            f"compress.max_seeds is {section.max_seeds}, but no verdict is given on fewer than {least}: raise it."
        )
