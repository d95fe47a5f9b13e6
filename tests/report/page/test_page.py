"""The report: what it says, that it needs nothing else, and that names from outside cannot write its HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from rlx2_ray.report.analysis.arms import arms_of
from rlx2_ray.report.analysis.outcomes import outcomes, probability_words
from rlx2_ray.report.analysis.progress import duration, progress_of
from rlx2_ray.report.page.answer import answer, first_sentence
from rlx2_ray.report.page.page import report_html, report_markdown, write_report
from rlx2_ray.report.page.sizes import size_table
from rlx2_ray.report.page.summary import belief_words, command_of, details, protocol_of
from rlx2_ray.report.page.tables import cost_table, score_table
from rlx2_ray.report.record.record import DenseByOther, PolicyCost, RatioByOther, Record
from rlx2_ray.search.belief import Belief
from rlx2_ray.types import BadInput
from tests.support.sweeps import DEPLOYED_GAIN, RANDOM, STEPS, of_unknown_sizes


class Page(HTMLParser):
    """Ids, and what the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.append(values.get("id") or "")
        self.fetched += [value for name in ("src", "href") if (value := values.get(name))]


def test_details_are_the_numbers_of_the_answer(search: Record, played: Record) -> None:
    lines = details(search)
    assert lines[0].startswith("Policy 98 % and critics 95 % zeros: R = 1.0")
    assert lines[1].endswith("; by the deployed score not known, which 8 of them do not have; uniformly random actions "
                             "score 20.")  # fmt: skip
    lines = details(played)
    assert re.search(r"R = (1\.\d+), .* 8 seeds; by the deployed score R = \1, ", lines[0])
    assert re.search(r", 8 seeds; by the deployed score 3\d+(\.\d)? \(", lines[1])


def test_both_scores_are_in_the_tables(played: Record) -> None:
    costs, scores = cost_table(played), score_table(played)
    column = costs.headings.index("% by the deployed score")
    assert costs.rows[0][column] == "100 (97.0 to 103.0)"
    shares = [(row[8], row[column].split(" ")[0]) for row in costs.rows[1:]]
    assert [final for final, _ in shares] == [deployed for _, deployed in shares], "every run gained by one factor"
    for row in scores.rows:
        finals = [float(cell.split(" ")[0]) for cell in row[2].split("), ") if "early" not in cell]
        played_scores = [float(cell) for cell in row[3].split(", ") if cell != "-"]
        assert len(row[3].split(", ")) == int(row[1])
        expected = [RANDOM + DEPLOYED_GAIN * (final - RANDOM) for final in finals]
        assert played_scores == pytest.approx(expected, rel=1e-3)


def test_run_without_the_other_score_is_a_dash(search: Record) -> None:
    assert {cell for row in score_table(search).rows for cell in row[3].split(", ")} == {"-"}
    column = cost_table(search).headings.index("% by the deployed score")
    assert {row[column] for row in cost_table(search).rows} == {"-"}


def test_compression_by_the_deployed_score_states_the_final_one(played: Record) -> None:
    """What is decided by, and what is beside it, change places."""
    by_deployed = turned(played)
    assert protocol_of(by_deployed)["decided by"].startswith("the deployed score")
    assert cost_table(by_deployed).headings[-2] == "% by the final score"
    assert cost_table(by_deployed).rows[1:] == cost_table(played).rows[1:], "each ratio is the same by both"
    assert "Its deployed policy keeps" in answer(by_deployed)


def turned(played: Record) -> Record:
    """The record, as it were if the deployed score had decided."""
    assert played.dense is not None
    assert played.dense.other is not None
    dense = replace(
        played.dense,
        statistic=played.dense.other.statistic,
        interval=played.dense.other.interval,
        other=DenseByOther("final", played.dense.statistic, played.dense.interval),
    )
    decisions = []
    for each in played.decisions:
        if each.other is not None:
            other = RatioByOther("final", each.scores, each.ratio, each.interval, each.probability)
            each = replace(each, scores=each.other.scores, other=other)
        decisions.append(each)
    protocol = {**played.protocol, "score": "deployed"}
    return replace(played, dense=dense, decisions=tuple(decisions), protocol=protocol, metric="deployed", ultimate=None)


@pytest.mark.parametrize(
    ("probability", "words"), [(0.94, ".94"), (0.999, "over .99"), (0.001, "under .01"), (0.5, ".50")]
)
def test_probabilities_are_never_certain(probability: float, words: str) -> None:
    assert probability_words(probability) == words


def test_belief_names_the_likeliest_threshold_and_ninety_percent() -> None:
    belief = Belief(7, (0.5, 0.9, 0.95, 0.98, 0.99), (0.02, 0.08, 0.6, 0.28, 0.02))
    assert belief_words(belief, "critic") == (
        "Believed after 7 runs: the greatest critic sparsity that keeps the return is 95 % (probability 0.60); "
        "90 % lies in 90 to 98 %."
    )
    assert "90 % lies in 95 %." in belief_words(replace(belief, mass=(0.0, 0.0, 1.0, 0.0, 0.0)), "tied")


def test_table_is_the_paper_s(search: Record) -> None:
    """Sizes and FLOPs of Hopper at 98 / 95 % as in RLx2's table 2: .040, .043, .020."""
    table = cost_table(search)
    assert table.headings[:8] == (
        "alg", "env", "policy sparsity %", "critic sparsity %", "size", "train FLOPs (paper)", "train FLOPs (counted)",
        "inference FLOPs",
    )  # fmt: skip
    row = next(row for row in table.rows if row[2] == "98")
    assert row[:6] == ("TD3", "Hopper-v5", "98", "95", "0.040", "0.043")
    assert (row[7], row[-1]) == ("0.020", "accepted")
    assert table.rows[0][-1] == "dense"


def test_costs_that_are_not_known_are_left_out(search: Record) -> None:
    unknown = of_unknown_sizes(search)
    row = cost_table(unknown).rows[-1]
    assert (row[4], row[5:8]) == ("0.017", ("-", "-", "-"))
    assert size_table(unknown).rows[0][1:] == ("-",) * 6
    assert size_table(search).rows[0][1:3] == ("4,838", "5,353")


def test_networks_of_constant_fan_in_are_named(search: Record) -> None:
    trial = next(trial for trial in search.trials if trial.purpose == "search")
    sparsity = trial.config.sparsity.model_copy(update={"fan_in": "constant"})
    other = trial._replace(config=trial.config.model_copy(update={"sparsity": sparsity}))
    (name,), (other_name,) = (
        [row[0] for row in size_table(replace(search, trials=(each,))).rows] for each in (trial, other)
    )
    assert other_name == f"{name}, fan_in constant"


def test_bytes_are_of_the_smallest_to_the_largest_policy(search: Record) -> None:
    """Of runs that know theirs; those of an earlier version do not."""
    sparse = [trial for trial in search.trials if trial.purpose == "search"][:3]
    known = [
        trial._replace(c_bytes={"policy_c_bytes": 7000 + number, "policy_c_bytes_int8": 4000})
        for number, trial in enumerate(sparse)
    ]
    others = [trial for trial in search.trials if trial not in sparse]
    alike = [trial._replace(config=known[0].config) for trial in known]
    cells = {row[3:5] for row in size_table(replace(search, trials=(*alike, *others))).rows}
    assert cells == {("7,000 to 7,002", "4,000"), ("-", "-")}


def test_methods_and_costs_have_columns_of_their_own(search: Record) -> None:
    """Two methods at one pair are two arms, each with its decision."""
    methods = [{"method": "rlx2"}, {"method": "set"}]
    own = [trial for trial in search.trials if trial.purpose != "dense"]
    sets = [
        trial._replace(name=f"set-{trial.name}", config=trial.config.model_copy(update={"method": "set"}))
        for trial in own
    ]
    trials = [trial._replace(changes={**trial.changes, "method": trial.config.method}) for trial in (*own, *sets)]
    costs = {"rlx2": PolicyCost("bytes", 7464.0, 278620.0, 8), "set": PolicyCost("bytes", 9000.0, 278620.0, 8)}
    decisions = [replace(each, method=name, cost=cost) for name, cost in costs.items() for each in search.decisions]
    record = replace(
        search,
        trials=tuple(trials),
        decisions=tuple(decisions),
        protocol={**search.protocol, "objective": "bytes", "methods": methods},
    )
    table, before = cost_table(record), cost_table(search)
    assert table.headings[2:4] == ("method", "bytes as C")
    assert table.rows[0][2:4] == ("dense", "278,620")
    decided = {row[2:4] for row in table.rows[1:] if row[-1] != "no verdict"}
    assert decided == {("rlx2", "7,464"), ("set", "9,000")}
    assert len(table.rows) == 1 + 2 * (len(before.rows) - 1)
    labels = [outcome.label for outcome in outcomes(record)]
    assert len(set(labels)) == len(labels)
    assert "rlx2 98 / 95 %" in labels
    assert report_markdown(record)


def test_score_table_has_every_seed(search: Record) -> None:
    text = " ".join(cell for row in score_table(search).rows for cell in row)
    assert text.count("(seed ") == len(search.trials)
    assert text.count("stopped early") == 1
    for trial in search.trials:
        assert trial.score is not None
        assert f"{trial.score:.5g} (seed {trial.seed}" in text


def test_cached_dense_seeds_have_their_scores_in_the_table(search: Record) -> None:
    cached = replace(search, trials=tuple(trial for trial in search.trials if trial.purpose != "dense"))
    assert score_table(cached).rows[-1][:2] == ("dense", "8")
    assert cost_table(cached).rows == cost_table(search).rows


def test_protocol_says_how_it_was_measured(search: Record, grid: Record) -> None:
    protocol = protocol_of(search)
    assert protocol["score"] == "mean of the last 10 evaluations; 10 noise-free episodes every 5,000 env steps"
    assert protocol["env steps a run"] == f"{STEPS:,}"
    assert "interquartile mean" in protocol["rule"]
    assert protocol["stopped early"].startswith("1 run")
    assert protocol_of(grid)["search space"].startswith("sparsity.policy: grid of 0.5, 0.9, 0.99; ")


def test_command_repeats_it(search: Record, grid: Record) -> None:
    assert command_of(search) == f"rlx2 compress {search.source}/sweep.yaml"
    assert command_of(grid).startswith("rlx2 sweep ")
    lone = Record("runs", "a", "finished", search.trials[:1], source="runs/a")
    assert command_of(lone) == "rlx2 train runs/a/config.yaml"


@pytest.mark.parametrize("kind", ["search", "running", "grid"])
def test_page_has_all_and_fetches_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    record = request.getfixturevalue(kind)
    text = report_html(record)
    page = Page(text)
    assert [address for address in page.fetched if not address.startswith("data:")] == []
    wanted = {"figure-curves", "figure-replay", "figure-topology", "figure-scores", "scores", "protocol", "versions"}
    wanted |= {"figure-keys"} if kind == "grid" else {"figure-ratio", "figure-frontier", "figure-threshold", "costs"}
    assert wanted <= set(page.ids)
    assert text.count("/*! For license information") + text.count("plotly.js v") >= 1
    assert text.count('showSendToCloud": false') == len([each for each in page.ids if each.startswith("figure-")])
    for words in (*filter(None, first_sentence(answer(record))), command_of(record), "ray", "2.60.0"):
        assert words in text.replace("&#39;", "'")


def test_names_from_outside_cannot_write_html(search: Record) -> None:
    evil = "<img src=http://x/>"
    trials = tuple(trial._replace(name=evil) for trial in search.trials)
    text = report_html(replace(search, name=evil, messages=(evil,), trials=trials, versions={evil: evil}))
    assert evil not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert Page(text).fetched == ["data:,"]


def test_markdown_has_the_same_text_and_tables(search: Record) -> None:
    text = report_markdown(search)
    lines = text.splitlines()
    first, rest = first_sentence(answer(search))
    assert first.endswith("times smaller than dense (policy 98 %, critics 95 % sparse).")
    assert f"**{first}** {rest}" in lines
    rows = [line for line in lines if line.startswith("| ") and "scores" not in line]
    assert len(rows) == 1 + len(cost_table(search).rows) + 1 + len(size_table(search).rows) + len(arms_of(search))
    assert len({line.count("|") for line in rows[:6]}) == 1
    assert "&" not in text
    assert "\n\n\n" not in text


def test_markdown_shows_names_and_makes_nothing_of_them(search: Record) -> None:
    evil = "![x](http://x/y.png) <script>1</script>\n[x]: http://x | `"
    trials = tuple(trial._replace(name=evil) for trial in search.trials)
    page = MarkdownIt("commonmark").render(
        report_markdown(replace(search, name=evil, trials=trials, versions={evil: evil}))
    )
    assert "script&gt;1" in page
    assert set(re.findall(r"<(\w+)", page)).isdisjoint({"img", "a", "script"})


def test_report_may_load_nothing(search: Record) -> None:
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', report_html(search))
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_report_that_cannot_be_written_is_one_sentence(search: Record, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^--out is .*, which cannot be written \(No such file or directory\)"):
        write_report(search, tmp_path / "absent" / "report.html")


def test_report_replaces_an_older_one_whole(search: Record, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("older")
    assert write_report(search, path) == path
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]


def test_progress_counts_runs_steps_and_the_rest(running: Record, search: Record) -> None:
    progress = progress_of(running)
    assert (progress.done, progress.running, progress.planned) == (25, 2, 36)
    assert progress.env_steps == sum(trial.env_steps for trial in running.trials)
    assert progress.planned_steps == 36 * STEPS
    assert 1200 <= progress.env_steps_per_s <= 1240
    left = 36 * STEPS - progress.env_steps
    assert progress.remaining_s == pytest.approx(left / progress.env_steps_per_s)
    assert progress_of(search).remaining_s is None
    assert (progress_of(search).planned, progress_of(search).fraction) == (27, 1)
    assert progress_of(Record("sweep", "x", "running", ())).fraction == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "less than a minute"), (60, "1 min"), (3 * 3600 + 1200, "3 h 20 min"), (90000, "1 d 1 h"), (7200, "2 h")],
)
def test_durations_are_in_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_outcomes_go_from_the_largest_network_to_the_smallest(search: Record) -> None:
    sizes = [each.size_ratio or 0 for each in outcomes(search)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 4
