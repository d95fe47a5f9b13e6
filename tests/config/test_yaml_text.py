"""YAML reads what people mean, or says in which line they should say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rlx2_ray.config import load, load_stored, parse_assignments
from rlx2_ray.config.yaml_text import read, write
from rlx2_ray.types import BadInput


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-2", 0.01),
        ("1e5", 1e5),
        ("1.5e3", 1500.0),
        ("-2E-3", -0.002),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("2024-13-45", "2024-13-45"),
        ("'1e-2'", "1e-2"),
        ("'no'", "no"),
        ("none", "none"),
        ("~", None),
        ("=", "="),
    ],
)
def test_values_are_what_people_mean(text: str, value: object) -> None:
    found = read(f"x: {text}", "file")["x"]
    assert found == value
    assert type(found) is type(value)
    assert parse_assignments([f"env.kwargs.x={text}"]) == {"env": {"kwargs": {"x": value}}}


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        ("yes", "true"),
        ("Off", "false"),
        ("012", "12"),
        ("-007", "-7"),
        ("None", "null"),
        ("-inf", "-.inf"),
        ("1e999", ".inf"),
        ("nan", "null"),
    ],
)
def test_what_is_read_in_two_ways_is_refused(text: str, clear: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read(f"a: 1\nx: [{text}]", "file")
    assert str(refusal.value) == (
        f"file has {text} in line 2, which is read in more than one way: write {clear}, or '{text}' in quotes for a "
        "text."
    )


@pytest.mark.parametrize("loads", [load, load_stored])
def test_a_key_stands_in_one_place(tmp_path: Path, loads: Any) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("agent:\n  tau: 0.1\n  discount: 0.9\n\n  tau: 0.2\n")
    with pytest.raises(BadInput, match=r"config\.yaml has 'tau' in line 2 and again in line 5: keep one\.$"):
        loads(file)
    file.write_text("base: &base {tau: 0.1}\nagent: {<<: *base, tau: 0.2}\n")
    assert loads(file)["agent"] == {"tau": 0.2}  # which is what merging is for


def test_a_mark_at_the_beginning_is_no_part_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xef\xbb\xbfsteps: 1e5\n")
    assert load(file) == {"steps": 1e5}


@pytest.mark.parametrize("text", ["&a [*a]", "[" * 2000, "9" * 5000, "<<"])
def test_what_yaml_stumbles_over_is_a_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"^file is not valid YAML.*: correct the file\.$"):
        read(f"x: {text}", "file")


def bomb(levels: int) -> str:
    """Ten to the power of `levels` values, in a few hundred bytes."""
    rows = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", *rows])


def merges(levels: int) -> str:
    rows = [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}" for level in range(1, levels)]
    return "\n".join(["a0: &a0 {k: 1}", *rows])


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(30), r"^file has more than 100,000 values, its aliases written out: shorten it\.$"),
        (merges(30), "^file has more than 100,000 values"),
        (f"a: 1\nb: {'9' * 301}", r"^file has a number of more than 300 digits in line 2: shorten it\.$"),
        (f"a: 0x{'f' * 300}", r"^file has a number of more than 300 digits in line 1: shorten it\.$"),
        ("x" * 1_000_001, r"^file is 1,000,001 characters long, and one has 1,000,000 at most: shorten it\.$"),
    ],
    ids=["aliases", "merges", "digits", "hexadecimal digits", "long"],
)
def test_a_small_text_stands_for_no_large_value(text: str, problem: str, is_stored: bool) -> None:
    with pytest.raises(BadInput, match=problem):
        read(text, "file", is_stored=is_stored)


def test_aliases_within_bounds_are_values_like_others() -> None:
    assert read("a: &a {x: 1}\nb: *a", "file") == {"a": {"x": 1}, "b": {"x": 1}}
    assert len(str(read(bomb(4), "file"))) > 30_000


@pytest.mark.parametrize("value", ["#5", "a #b"])
def test_a_comment_in_a_command_line_is_refused(value: str) -> None:
    with pytest.raises(BadInput, match=r"^--set env\.kwargs\.x='.*' is .* with a comment, .*\.$"):
        parse_assignments([f"env.kwargs.x={value}"])


@pytest.mark.parametrize("text", ["1e-2", "yes", "None", "012", "inf", "2024-01-01", "12:30", "0o17", "<<", "", "1_0"])
def test_texts_stay_texts(text: str) -> None:
    """In what is written today by either reader, and in what earlier versions wrote."""
    for is_stored in (False, True):
        assert read(write({"x": text}), "file", is_stored=is_stored) == {"x": text}
    assert read(yaml.safe_dump({"x": text}), "file", is_stored=True) == {"x": text}
