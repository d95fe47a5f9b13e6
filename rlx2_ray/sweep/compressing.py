"""`rlx2 compress`: the smallest network that keeps the dense return, found by a search with seeds for every verdict."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from rlx2_ray.config import ExperimentConfig, Tree, resolve
from rlx2_ray.experiment.display import Status
from rlx2_ray.experiment.run_directory import RunDirectory
from rlx2_ray.experiment.tracking_model import register_policy, registered_name
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.sweep import levels
from rlx2_ray.sweep.budget import Budget
from rlx2_ray.sweep.campaign import Campaign, Desk
from rlx2_ray.sweep.compress_planner import CompressPlanner, name_of
from rlx2_ray.sweep.compress_record import believed_range, decisions_table, describe_decision, describe_dense
from rlx2_ray.sweep.compress_section import CompressSection
from rlx2_ray.sweep.decision import Decision, Pair, Rule
from rlx2_ray.sweep.dense_cache import DenseCache, Outcome
from rlx2_ray.sweep.description import CompressDescription, compress_tree
from rlx2_ray.sweep.forecast import run_seconds
from rlx2_ray.sweep.futility import make_floor, save_floor
from rlx2_ray.sweep.job import Job
from rlx2_ray.sweep.ledger import Request, Tell
from rlx2_ray.sweep.random_policy import random_score
from rlx2_ray.sweep.search import Options, Search
from rlx2_ray.sweep.search_line import LineSearch
from rlx2_ray.sweep.search_plane import PlaneSearch, plane_options
from rlx2_ray.sweep.sweep_directory import Content
from rlx2_ray.sweep.tuning import Tuning
from rlx2_ray.types import RunFailed, Spaces

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
        self._sparse = resolve(description.config)  # any of the sparse arms, but for its sparsities
        self._dense = self._planner.config(Request(0.0, 0.0, 0, "dense"))
        self._cache = DenseCache(self._dense)
        self._outcomes: dict[int, Outcome] = {}  # of dense runs, by seed
        self._cached: set[int] = set()  # seeds of those that an earlier compression measured
        self._searcher: CompressSearcher | None = None

    @property
    def planner(self) -> CompressPlanner:
        return self._planner

    @property
    def tree(self) -> Tree:
        return compress_tree(self._description)

    @property
    def examples(self) -> list[ExperimentConfig]:
        return [self._dense, self._middle]

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
        pairs = self._pairs
        return self._planner.config(Request(*pairs[len(pairs) // 2], 0, "search"))

    @property
    def _levels(self) -> tuple[float, ...]:
        section = self._section
        return levels.sparsities(section.levels, section.min_sparsity, section.max_sparsity)

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
        for pair in self._pairs:
            self._size(pair)  # raises BadInput where a level leaves a layer without weights
        self._random = self._measure_random()
        for seed in range(self._section.dense_seeds):
            outcome = self._cache.load(seed)
            if outcome is not None:
                self._outcomes[seed] = outcome
                self._cached.add(seed)
        desk.keeper.note(protocol=self._protocol(), metric="score", mode="max")
        self._say_cost()

    def _measure_random(self) -> float:
        known = self._cache.load_random()
        if known is None:
            known = random_score(self._dense, self._spaces)
            self._cache.store_random(known)
        return known

    def _say_cost(self) -> None:
        desk = self._desk
        search = self._make_search()
        for request, score in self._cached_tells():
            search.tell(request, score or 0.0)
        runs = search.remaining()
        dense_runs = self._section.dense_seeds - len(self._cached)
        dense_s, sparse_s = (run_seconds(config, self._spaces) for config in (self._dense, self._middle))
        hours = (dense_runs * dense_s + (runs - dense_runs) * sparse_s) / desk.concurrency / 3600
        desk.keeper.note(planned={"runs": runs, "env_steps": runs * self._steps, "hours": hours})
        desk.display.retotal(runs * self._steps)
        known = f", {len(self._cached)} dense runs known from before" if self._cached else ""
        desk.display.say(
            f"Expected: about {runs} runs (at most {search.options.max_runs}), {runs * self._steps:.2g} env steps, "
            f"{hours:.1f} hours at {desk.concurrency} runs a time; a dense run takes about {dense_s / 60:.1f} min, "
            f"a sparse one {sparse_s / 60:.1f} min{known}. In {desk.directory.path}"
        )

    def _protocol(self) -> Content:
        evaluation = self._dense.evaluation
        return {
            **self._section.model_dump(mode="json", exclude={"budget", "max_concurrent", "max_failures"}),
            "steps": self._steps,
            "evaluation": f"every {evaluation.interval} env steps, {evaluation.episodes} noise-free episodes; "
            "a run's score is the mean of its last 30 evaluations",
            "dense_key": self._cache.folder.name,
        }

    # The search

    def _options(self) -> Options:
        section = self._section
        rule = Rule(section.threshold, section.accept, section.reject, section.statistic, max_seeds=section.max_seeds)
        options = plane_options(self._random, rule) if section.axis == "both" else Options(self._random, rule)
        limit = self.budget.runs
        return options._replace(
            dense_seeds=section.dense_seeds,
            max_dense_seeds=max(section.dense_seeds, options.max_dense_seeds),
            max_runs=options.max_runs if limit is None else min(options.max_runs, limit + len(self._cached)),
            concurrency=self._desk.concurrency,
        )

    def _make_search(self) -> Search:
        if self._section.axis == "both":
            return PlaneSearch(self._levels, self._levels, self._options(), self._size)
        return LineSearch(self._pairs, self._options(), self._size)

    def _size(self, pair: Pair) -> float:
        config = self._planner.config(Request(*pair, 0, "search"))
        plan = plan_agent(config, self._spaces.observation_size, self._spaces.action_size)
        return relative_costs(config, plan).size_ratio

    def _cached_tells(self) -> list[Tell]:
        return [Tell(Request(0.0, 0.0, seed, "dense"), self._outcomes[seed].score) for seed in sorted(self._cached)]

    def tuning(self, job: Job, desk: Desk) -> Tuning:
        from ray import tune

        from rlx2_ray.sweep.compress_searcher import CompressSearcher

        self._searcher = CompressSearcher(
            self._make_search, self._cached_tells(), lambda search: self._spent(search) is not None, self._note
        )
        config = tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=MANY,
            search_alg=self._searcher,
            max_concurrent_trials=desk.concurrency,
            reuse_actors=True,
        )
        return Tuning(job, None, config, self._section.max_failures)

    def _spent(self, search: Search) -> str | None:
        begun = search.runs - len(self._cached)
        return self._desk.spending.what_is_spent((begun + 1) * self._steps - 1, begun)

    def _note(self, search: Search, request: Request | None) -> None:
        """Take in what the search was told: of one run, or, where it was restored, of many."""
        requests = [tell.request for tell in search.tells] if request is None else [request]
        for each in requests:
            if each.purpose == "dense":
                self._note_dense(each)
        keeper, decisions = self._desk.keeper, self._describe_decisions(search)
        ultimate = search.ultimate()
        keeper.note(
            dense=describe_dense(search, self._outcomes, self._cached),
            decisions=decisions,
            beliefs=list(search.beliefs),
            ultimate=self._describe_ultimate(search, ultimate) if ultimate else None,
            runs=len(search.tells),
        )
        if decisions:
            self._desk.tracker.log_table("decisions.json", decisions_table(decisions))
        self._write_floor()
        self._desk.display.retotal((len(search.tells) - len(self._cached) + search.remaining()) * self._steps)

    def _note_dense(self, request: Request) -> None:
        """Keep a dense run's outcome, for the floor of the others and for later compressions."""
        if request.seed in self._outcomes:
            return
        directory = RunDirectory(self._desk.directory.trials / name_of(request))
        result = directory.read_result()
        if result is not None:
            curve = [(point["env_steps"], point["return_mean"]) for point in directory.read_points()]
            self._outcomes[request.seed] = Outcome(result["score"], curve)
            self._cache.store(request.seed, self._outcomes[request.seed])

    def _write_floor(self) -> None:
        section, file = self._section, self._desk.directory.floor_file
        if section.futility and len(self._outcomes) >= section.dense_seeds and not file.exists():
            curves = [outcome.curve for outcome in self._outcomes.values()]
            save_floor(make_floor(curves, self._random, section.futility, section.futility_from * self._steps), file)

    def _describe_decisions(self, search: Search) -> list[Content]:
        return [describe_decision(decision, self._size(decision.pair)) for decision in search.decisions()]

    def _describe_ultimate(self, search: Search, decision: Decision) -> Content:
        return {**describe_decision(decision, self._size(decision.pair)), "trial": best_trial(search, decision.pair)}

    def status(self) -> Status:
        if self._searcher is None:
            return {}
        beliefs = self._searcher.search.beliefs
        if not beliefs:
            return {"believes": "nothing yet"}
        median, low, high = believed_range(beliefs[-1])
        return {"believes": f"threshold at {median:.1%} sparsity [{low:.1%}, {high:.1%}]"}

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
            ultimate |= self._keep_policy(desk, ultimate)
        desk.keeper.note(env_steps=reporter.env_steps, ultimate=ultimate)
        keys = ("dense", "decisions", "ultimate", "runs", "env_steps", "messages")
        return {key: record[key] for key in keys}

    def _keep_policy(self, desk: Desk, ultimate: Content) -> Content:
        """The best policy of the network that was found: as a file, and as a model in MLflow."""
        source = RunDirectory(desk.directory.trials / ultimate["trial"])
        file = desk.directory.path / "policy.safetensors"
        shutil.copyfile(source.policy_file, file)
        name = registered_name(self._dense.env.id, self._dense.algo)
        alias = "ultimate" if ultimate["verdict"] == "accept" else "candidate"
        tags = {key: ultimate[key] for key in ("policy_sparsity", "critic_sparsity", "compression", "ratio")}
        tags |= {"probability": ultimate["probability"], "verdict": ultimate["verdict"], "trial": ultimate["trial"]}
        uri, run_id = desk.keeper.content["tracking"]["uri"], desk.keeper.content["tracking"]["run_id"]
        try:
            model = register_policy(uri, run_id, file, name, tags, alias)
        except RunFailed as failure:
            desk.keeper.say(str(failure))
            return {"policy": str(file)}
        return {"policy": str(file), "model": f"models:/{name}@{alias}", "model_version": model.version}


def best_trial(search: Search, pair: Pair) -> str | None:
    """The run of a network that scored best, a confirming one if there is any."""
    tells = [tell for tell in search.tells if tell.request.arm.pair == pair and tell.score is not None]
    confirming = [tell for tell in tells if tell.request.purpose == "confirm"]
    chosen = max(confirming or tells, key=lambda tell: tell.score or 0.0, default=None)
    return name_of(chosen.request) if chosen else None
