"""What a reader of Markdown, markdown-it, makes of text that somebody else chose."""

from __future__ import annotations

import html
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rlx2_ray.report.page.markdown import cell, code, plain

READER = MarkdownIt("commonmark").enable("table")
HOSTILE = st.text(st.sampled_from("![]()<>`|\\\n\"':#&;/ab-*_") | st.sampled_from("x1"), max_size=30)


def tags(text: str) -> set[str]:
    return set(re.findall(r"<(\w+)", READER.render(text)))


@given(HOSTILE)
@example("<script>alert(1)</script>")
@example("![x](http://example.org/x.png)")
@example("[x]: http://example.org\n\n![x]")
@example("<http://example.org>")
@example("\\![x](http://example.org)")
def test_nothing_is_loaded_linked_or_run(text: str) -> None:
    found = tags(f"# {plain(text)}\n\n- {plain(text)}\n\nWords {plain(text)}\n")
    assert found.isdisjoint({"img", "a", "script", "iframe"} | {"b", "x", "x1"}), found


@given(HOSTILE)
def test_cell_stays_one_cell(text: str) -> None:
    page = READER.render(f"| one | two |\n|---|---|\n| {cell(text)} | end |\n")
    assert page.count("<td>") == 2
    assert "<td>end</td>" in page


@given(HOSTILE)
@example("`")
@example("a``b`")
def test_code_is_the_text(text: str) -> None:
    if not text.strip():
        return
    (shown,) = re.findall("<code>(.*?)</code>", READER.render(f"Run {code(text)} now"), re.DOTALL)
    assert html.unescape(shown).split() == text.split()


def test_ordinary_text_is_itself() -> None:
    text = "policy 30 %, with score 2 [2, 2] (interquartile mean of 2 seeds), R >= .97 of a_b"
    assert plain(text) == cell(text) == text
    assert code("rlx2 report runs/x") == "`rlx2 report runs/x`"
