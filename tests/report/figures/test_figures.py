"""The figures: what they show of made-up records, and that they stand what is empty, unfinished or strange."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from rlx2_ray.config import resolve
from rlx2_ray.report.analysis.arms import arms_of
from rlx2_ray.report.analysis.environments import known
from rlx2_ray.report.analysis.outcomes import outcomes
from rlx2_ray.report.figures.curves import add_mean, curves_of, learning_curves
from rlx2_ray.report.figures.frontier import frontier, ratio_against_size
from rlx2_ray.report.figures.keys import ordered, parallel_coordinates, scale_of, score_by_key
from rlx2_ray.report.figures.panels import PANELS
from rlx2_ray.report.figures.replay import replay_over_time
from rlx2_ray.report.figures.scores import spread, trial_scores
from rlx2_ray.report.figures.seed_means import MOST_POINTS, seed_means
from rlx2_ray.report.figures.theme import arm_colors, in_lines, make_figure, transparent
from rlx2_ray.report.figures.threshold import threshold_belief
from rlx2_ray.report.figures.topology import layer_overlaps, shown_trial, topology
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import RETURN, Series, Trial
from tests.support.sweeps import DENSE, STEPS, STOPPED, of_unknown_sizes


def named(figure: go.Figure) -> dict[str, Any]:
    """The traces that a legend names."""
    return {trace.name: trace for trace in figure.data if trace.name and trace.showlegend is not False}


def said(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def line(*values: float) -> Series:
    return Series(tuple(range(1, len(values) + 1)), values)


def test_seed_that_was_stopped_stays_in_the_mean_with_its_last_value() -> None:
    means = seed_means([line(1, 2, 3), line(3, 4)])
    assert means is not None
    assert means.steps.tolist() == [1, 2, 3]
    assert means.mean.tolist() == [2, 3, 3.5]
    assert (means.seeds, means.measured.tolist()) == (2, [2, 2, 1])
    assert means.low.tolist() == [1, 2, 3]  # a bootstrap of two seeds goes from one to the other
    assert means.high.tolist() == [3, 4, 4]


def test_mean_does_not_jump_where_the_worst_seed_is_stopped() -> None:
    means = seed_means([line(*[100.0] * 10), line(*[0.0] * 5)])
    assert means is not None
    assert means.mean.tolist() == [50.0] * 10


def test_seeds_that_are_evaluated_at_other_steps_are_held_between_them() -> None:
    means = seed_means([Series((2, 4), (1.0, 3.0)), Series((3, 6), (5.0, 7.0))])
    assert means is not None
    assert (means.steps.tolist(), means.mean.tolist()) == ([2, 3, 4, 6], [1, 3, 4, 5])


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    means = seed_means([line(1, 2), Series((), ())])
    assert means is not None
    assert (means.low.tolist(), means.high.tolist(), means.seeds) == ([1, 2], [1, 2], 1)
    assert seed_means([]) is None


def test_points_that_are_not_finite_are_left_out() -> None:
    means = seed_means([line(math.nan, 2, math.nan), line(math.nan, 4, 6)])
    assert means is not None
    assert (means.steps.tolist(), means.mean.tolist()) == ([2, 3], [3, 4])


def test_long_lines_are_thinned_and_keep_both_ends() -> None:
    means = seed_means([line(*range(10 * MOST_POINTS))])
    assert means is not None
    assert len(means.steps) == MOST_POINTS
    assert means.steps[[0, -1]].tolist() == [1, 10 * MOST_POINTS]


def test_learning_curves_have_an_arm_a_line_and_the_dense_band(search: Record) -> None:
    figure = learning_curves(search)
    assert list(named(figure)) == ["93 / 88 %", "96 / 93 %", "98 / 95 %", "99 / 98 %", "dense"]
    (band,) = (shape for shape in figure.layout.shapes if shape.type == "rect")
    assert search.dense is not None
    assert band.y0 < search.dense.statistic < band.y1
    assert band.y1 - band.y0 == pytest.approx(0.06 * (search.dense.statistic - 20), rel=1e-6)
    assert figure.layout.xaxis.title.text == "env steps"


def test_dense_seeds_that_an_earlier_search_measured_are_drawn_too(search: Record) -> None:
    cached = replace(search, trials=tuple(trial for trial in search.trials if trial.purpose != "dense"))
    assert [len(group) for group in curves_of(cached, RETURN).values()] == [4, 4, 8, 3, 8]
    assert "dense" in named(learning_curves(cached))
    assert trial_scores(cached).layout.xaxis.ticktext[-1] == "dense"
    assert len(trial_scores(cached).data[-1].x) == 8


def test_scores_show_each_seed_by_its_state(running: Record) -> None:
    symbols: dict[str, int] = {}
    for trace in trial_scores(running).data:
        if trace.mode == "markers":
            symbols[trace.marker.symbol] = symbols.get(trace.marker.symbol, 0) + len(trace.x)
    assert symbols == {"circle": 24, "circle-open": 2, "triangle-down": 1}


def test_seeds_of_an_arm_stand_side_by_side() -> None:
    assert spread(2, 1) == [2.0]
    assert spread(2, 3) == [1.75, 2.0, 2.25]


def test_frontier_shows_verdicts_and_the_ultimate(search: Record) -> None:
    traces = named(frontier(search))
    assert set(traces) == {"accepted", "rejected", "ultimate"}
    assert traces["rejected"].x == pytest.approx([0.01])
    assert traces["rejected"].y == pytest.approx([0.02])
    assert traces["ultimate"].x == pytest.approx([0.02])


def test_arm_without_a_verdict_is_estimated_as_the_search_would(running: Record) -> None:
    trace = named(ratio_against_size(running))["no verdict"]
    (outcome,) = (each for each in outcomes(running) if each.verdict == "undecided")
    assert (outcome.label, outcome.seeds) == ("98 / 95 %", 6)
    assert outcome.interval is not None
    assert outcome.interval[0] < outcome.ratio < outcome.interval[1]
    assert trace.x == pytest.approx([4.0], abs=0.1)  # % of the weights: 25 times fewer
    assert trace.error_y.array == pytest.approx([outcome.interval[1] - outcome.ratio])


def test_sizes_that_are_not_known_leave_the_policy_s_density(search: Record) -> None:
    unknown = replace(of_unknown_sizes(search), decisions=(), ultimate=None)
    assert {each.size_ratio for each in outcomes(unknown)} == {None}
    figure = ratio_against_size(unknown)
    assert figure.layout.xaxis.title.text == "policy density (%)"
    assert sorted(figure.data[0].x) == pytest.approx([1, 2, 4, 7])


def test_threshold_shows_the_belief_now_and_run_by_run(search: Record) -> None:
    bars, heat = threshold_belief(search).data
    assert sum(bars.y) == pytest.approx(1)
    assert (len(heat.x), len(heat.y), len(heat.z)) == (6, 16, 16)
    assert [row[-1] for row in heat.z] == list(bars.y)


def test_replay_shows_size_distance_and_the_threshold(search: Record) -> None:
    figure = replay_over_time(search)
    assert list(named(figure)) == ["93 / 88 %", "96 / 93 %", "98 / 95 %", "99 / 98 %", "dense"]
    assert [(shape.y0, shape.yref) for shape in figure.layout.shapes] == [(0.2, "y2")]


def test_topology_is_that_of_the_winner_or_of_the_one_asked_for(search: Record) -> None:
    winner = shown_trial(search, None)
    assert winner is not None
    assert winner.name == search.ultimate.trial
    other = shown_trial(search, STOPPED)
    assert other is not None
    assert other.name == STOPPED
    bars = topology(search).data[0]
    assert list(bars.x)[:4] == ["policy.0", "policy.1", "policy.2", "critic0.0"]
    # As `rlx2 describe` says of Hopper at 98 / 95 %: .874, .990, .551 and .691, .968, 0.
    assert np.round(1 - np.array(bars.y) / 100, 3).tolist() == [0.874, 0.99, 0.551, *[0.691, 0.968, 0.0] * 2]


def test_overlaps_of_whole_networks_stand_in_for_layers() -> None:
    series = {"topology/critic_overlap": line(1, 0.9), "topology/policy_overlap": line(1, 0.8), "replay/size": line(1)}
    trial = Trial("a", "running", "trial", resolve({}), {}, series, None, False)
    assert set(layer_overlaps(trial)) == {"critic", "policy"}
    detailed = trial._replace(
        series={**series, "topology/critic0.1_overlap": line(1), "topology/policy.0_overlap": line(1)}
    )
    assert list(layer_overlaps(detailed)) == ["policy.0", "critic0.1"]


def test_scores_by_key_join_means_of_values_that_come_twice(grid: Record) -> None:
    figure = score_by_key(grid)
    titles = (figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text)
    assert titles == ("policy", "n_step")
    means = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [list(trace.x) for trace in means] == [["50 %", "90 %", "99 %"], ["1", "3"]]
    assert means[0].y[0] > means[0].y[2]


def test_parallel_coordinates_lead_each_trial_through_its_values(grid: Record) -> None:
    figure = parallel_coordinates(grid)
    assert figure.layout.xaxis.ticktext == ("policy", "n_step", "score")
    assert said(figure)[:5] == ["50 %", "90 %", "99 %", "1", "3"]
    assert len(figure.data) == len(grid.trials)
    first, best = figure.data[0], max(grid.trials, key=lambda trial: trial.score or 0)
    assert list(first.y)[:2] == [0, 0]  # 50 %, n_step 1
    (line,) = (trace for trace in figure.data if best.name in trace.hovertemplate)
    assert line.y[2] == 1


def test_key_of_many_numbers_is_a_scale(grid: Record) -> None:
    trials = tuple(
        trial._replace(changes={"agent.learning_rate": 10.0**-k}) for k, trial in enumerate(grid.trials, start=1)
    )
    many = replace(grid, trials=trials)
    assert said(parallel_coordinates(many))[:2] == ["1e-12", "0.1"]
    assert score_by_key(many).layout.xaxis.type == "log"


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 3, 1, 3], "category"),
        ([0.5, 0.6, 0.7, 0.8], "linear"),
        ([1e-4, 1e-2, 3e-3], "log"),
        ([-1, 1e-2, 3e-3], "linear"),
        (["rlx2", "rigl", "set"], "category"),
        ([[16, 16], [8, 8]], "category"),
        ([None, 1], "category"),
    ],
)
def test_scale_of_an_axis_follows_its_values(values: list[Any], scale: str) -> None:
    assert scale_of(values) == scale
    assert len(ordered(values)) == len({repr(value) for value in values})


def test_swept_lists_are_drawn(grid: Record) -> None:
    shapes = ([16, 16], [8, 8], None)
    trials = tuple(
        trial._replace(changes={"network.hidden": shapes[rank % 3]}) for rank, trial in enumerate(grid.trials)
    )
    record = replace(grid, trials=trials)
    assert said(parallel_coordinates(record))[:3] == ["None", "[16, 16]", "[8, 8]"]
    assert len(score_by_key(record).data[0].x) == len(trials)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("search", {"ratio", "frontier", "threshold", "scores", "curves", "replay", "topology"}),
        ("grid", {"keys", "parallel", "scores", "curves", "replay", "topology"}),
    ],
)
def test_panels_are_those_that_a_record_has_something_for(
    kind: str, names: set[str], request: pytest.FixtureRequest
) -> None:
    record = request.getfixturevalue(kind)
    assert {name for name, panel in PANELS.items() if panel.is_wanted(record)} == names


def test_sweep_with_a_dense_arm_has_ratios(grid: Record) -> None:
    base = grid.trials[0]
    config = resolve({"method": "dense", "steps": STEPS})
    dense = [
        base._replace(name=f"d{seed}", config=config.model_copy(update={"seed": seed}), changes={}, score=DENSE + seed)
        for seed in range(2)
    ]
    record = replace(grid, trials=(*grid.trials, *dense))
    assert PANELS["ratio"].is_wanted(record)
    assert len(outcomes(record)) == 6
    zero = known()["Hopper-v5"].random_score
    gains = [(each.ratio, sum(each.scores) / 2 - zero) for each in outcomes(record)]
    assert all(ratio == pytest.approx(gain / (DENSE + 0.5 - zero)) for ratio, gain in gains)


@pytest.mark.parametrize("name", PANELS)
@pytest.mark.parametrize("kind", ["compress", "sweep", "runs"])
def test_record_of_nothing_yet_is_drawn_with_a_word_of_it(name: str, kind: str) -> None:
    figure = PANELS[name].draw(Record(kind, "nothing", "running", ()))
    assert len(said(figure)) == 1
    assert len(figure.data) == 0


@pytest.mark.parametrize("name", PANELS)
def test_trial_that_has_only_begun_does_no_harm(name: str, search: Record) -> None:
    begun = search.trials[-1]._replace(name="begun", series={}, score=None, state="running")
    lone = replace(search, trials=(begun,), decisions=(), beliefs=(), ultimate=None, dense=None)
    PANELS[name].draw(lone)
    PANELS[name].draw(replace(search, trials=(*search.trials, begun)))


def test_every_axis_has_a_title(search: Record, grid: Record) -> None:
    for record in (search, grid):
        for name, panel in PANELS.items():
            if panel.is_wanted(record) and name != "parallel":
                figure = panel.draw(record)
                figure.for_each_xaxis(
                    lambda axis, name=name: axis.title.text or axis.showticklabels is False or pytest.fail(name)
                )
                first = figure.layout.yaxis.title.text
                assert first, name


def test_colours_are_distinct_and_dense_is_grey() -> None:
    for count in (1, 3, 7, 12):
        labels = [f"arm {k}" for k in range(count)]
        for is_ordered in (False, True):
            colors = arm_colors([*labels, "dense"], is_ordered)
            assert len(set(colors.values())) == count + 1
            assert colors["dense"] == "#323f4b"


def test_colours_of_both_spellings_become_transparent() -> None:
    assert transparent("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
    assert transparent("rgb(1, 2, 3)", 0.5) == "rgba(1,2,3,0.5)"


def test_figures_do_not_depend_on_chance(search: Record) -> None:
    assert learning_curves(search).to_json() == learning_curves(search).to_json()


# Both scores


def test_ratios_by_the_other_score_stand_beside_those_that_decide(played: Record, search: Record) -> None:
    others = [trace for trace in ratio_against_size(played).data if trace.name == "by the deployed score"]
    assert [trace for trace in ratio_against_size(search).data if trace.name == "by the deployed score"] == []
    (other,) = others
    by_label = {each.label: each.ratio for each in outcomes(played)}
    told = {text.split("</b>")[0].removeprefix("<b>"): y for text, y in zip(other.customdata, other.y, strict=True)}
    assert told == pytest.approx(by_label), "every run gained by one factor"


@pytest.mark.parametrize("draw", [ratio_against_size, frontier])
def test_marker_says_both_when_pointed_at(draw: Callable[[Record], go.Figure], played: Record) -> None:
    texts = [text for trace in draw(played).data if trace.name == "accepted" for text in trace.customdata]
    assert len(texts) == 3
    assert all("final score" in text and "by the deployed score R = " in text for text in texts)


def test_deployed_scores_are_diamonds(played: Record, search: Record) -> None:
    def diamonds(record: Record) -> list[float]:
        traces = [trace for trace in trial_scores(record).data if trace.marker.symbol == "diamond-open"]
        return sorted(y for trace in traces for y in trace.y)

    assert diamonds(search) == []
    assert diamonds(played) == pytest.approx(sorted(t.deployed for t in played.trials if t.deployed is not None))


def test_sweep_by_the_deployed_score_draws_it(grid: Record) -> None:
    trials = tuple(trial._replace(deployed=7.0 + place) for place, trial in enumerate(grid.trials))
    figure = score_by_key(replace(grid, trials=trials, metric="deployed"))
    assert sorted(figure.data[0].y) == [7.0 + place for place in range(len(trials))]
    assert "deployed 7" in figure.data[0].customdata[0]


@pytest.mark.parametrize("name", PANELS)
def test_tool_bar_and_legend_have_places_of_their_own(name: str, search: Record, grid: Record) -> None:
    """The bar is 28 pixels high, above the plot; a legend is beneath it or beside it."""
    for record in (search, grid):
        if PANELS[name].is_wanted(record):
            figure = PANELS[name].draw(record)
            layout = figure.layout.template.layout
            assert layout.margin.t >= 30
            legend = figure.layout.legend
            assert (legend.yref or layout.legend.yref, legend.y or layout.legend.y) in (("container", 0), ("paper", 1))


def test_every_arm_has_its_label(grid: Record, search: Record) -> None:
    for record in (grid, search):
        axis = trial_scores(record).layout.xaxis
        labels = [text.replace("<br>", " ") for text in axis.ticktext]
        assert sorted(labels) == sorted(arm.label for arm in arms_of(record))
        assert axis.ticklabeloverflow == "allow"  # else plotly leaves out what is beyond the figure
    assert trial_scores(grid).layout.xaxis.tickangle == -35  # six long ones
    assert trial_scores(search).layout.xaxis.tickangle is None  # slanted on a narrow screen


def test_band_of_few_points_has_no_markers_of_its_own() -> None:
    figure = make_figure()
    add_mean(figure, "dense", [line(1, 2), line(3, 4)], "#000000")
    assert [trace.mode for trace in figure.data] == ["lines", "lines"]


def test_empty_plot_beside_a_full_one_says_why(grid: Record) -> None:
    def without(part: str) -> Record:
        trials = [
            trial._replace(series={name: each for name, each in trial.series.items() if part not in name})
            for trial in grid.trials
        ]
        return replace(grid, trials=tuple(trials))

    assert "no distance measured yet" in said(replay_over_time(without("distance")))
    unmade = without("overlap")
    assert said(topology(unmade, unmade.trials[0].name)) == ["no event yet"]
    assert "no event yet" not in said(topology(grid))


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.8, 0.97, 0.995, 0.999])
def test_axis_of_sparsities_has_two_ticks_or_more(search: Record, sparsity: float) -> None:
    decision = replace(search.decisions[0], policy_sparsity=sparsity, critic_sparsity=sparsity)
    axis = frontier(replace(search, decisions=(decision,), trials=(), ultimate=None)).layout.xaxis
    high, low = axis.range
    assert sum(low <= math.log10(tick) <= high for tick in axis.tickvals) >= 2


def test_arms_at_one_place_share_its_label(search: Record) -> None:
    one, *_ = search.decisions
    texts = frontier(replace(search, decisions=(one, replace(one, ratio=0.5)), trials=(), ultimate=None)).data[0].text
    assert texts == (f"{one.ratio:.0%}, 50%", "")


def test_long_names_of_arms_give_their_keys_to_the_title(grid: Record) -> None:
    long = [trial._replace(changes=trial.changes | {"agent.learning_rate": 0.003}) for trial in grid.trials]
    axis = trial_scores(replace(grid, trials=tuple(long))).layout.xaxis
    assert axis.ticktext[0] == "50 % 1 0.003"
    assert axis.title.text == "arm: policy, n_step, learning_rate"
    short = trial_scores(grid).layout.xaxis
    assert (short.ticktext[0], short.title.text) == ("policy 50 %, n_step 1", "arm")


def test_long_names_are_broken_in_a_legend() -> None:
    lines = in_lines("method rlx2, policy 80 %, critic 60 %, n_step 3")
    assert lines == "method rlx2, policy 80 %, critic 60<br>%, n_step 3"
