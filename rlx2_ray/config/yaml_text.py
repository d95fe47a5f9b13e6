"""YAML as people mean it: one reader for all that they write, and a writer whose text it reads back equal.

YAML 1.1, which PyYAML reads, has surprises: `1e-2` is a text, `012` is ten, `12:30` is 750, `no` is false, and of two
equal keys the first is dropped. Here a number is a number, what people read in two ways is refused with the line that
it stands in, and a key stands in one place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

from rlx2_ray.json_text import MOST_DIGITS
from rlx2_ray.types import BadInput, cut, shown

LONGEST = 1_000_000  # characters of one text, all of which are looked at one by one
MOST_VALUES = 100_000  # of one text: ten for each of the trials that a sweep may have
_BOOL, _NULL, _INT, _FLOAT, _MERGE, _TIME, _UNCLEAR = (
    f"tag:yaml.org,2002:{name}" for name in ("bool", "null", "int", "float", "merge", "timestamp", "unclear")
)
# What PyYAML raises; the last four for tags that do not fit what they stand at, such as `!!int ''`.
_ERRORS = (yaml.YAMLError, ValueError, RecursionError, LookupError, TypeError, AttributeError, OverflowError)
_MEANINGS = {"yes": "true", "on": "true", "no": "false", "off": "false", "none": "null"}
_MEANINGS |= {"inf": ".inf", "+inf": ".inf", "-inf": "-.inf", "infinity": ".inf", "-infinity": "-.inf", "nan": "null"}
# Tag, what it looks like, and the signs that it can begin with; the first that fits is taken.
_PLAIN = (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_MERGE, r"<<", "<"),
    (_UNCLEAR, r"[-+]?0[0-9_]+", "-+0"),
    (_UNCLEAR, r"(?i:yes|on|no|off)|None|[-+]?inf|-?[Ii]nfinity|nan|NaN", "yYoOnN-+iI"),
    (_INT, r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)", "-+0123456789"),
    (
        _FLOAT,
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)


class _Stored(yaml.SafeLoader):
    """PyYAML's own reading, without dates and with no key twice: of files that earlier versions wrote as well."""

    where = ""

    def read(self) -> tuple[Any, int]:
        """The one value that there is, and where it ends."""
        node = self.get_single_node()
        if node is None:
            return None, 0
        values = _count(node, {})
        if math.isinf(values):
            raise ValueError("a value is within itself")
        if values > MOST_VALUES:
            raise BadInput(f"{self.where} has more than {MOST_VALUES:,} values, its aliases written out: shorten it.")
        return self.construct_object(node, deep=True), node.end_mark.index  # deep: a value within itself is refused

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            key = None if key_node.tag == _MERGE else self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key is None:
                continue  # what is no key PyYAML refuses
            if key in lines:
                raise BadInput(
                    f"{self.where} has {shown(key)} in line {lines[key]} and again in line {line}: keep one."
                )
            lines[key] = line
        return super().construct_mapping(node, deep)

    def text_of(self, node: yaml.ScalarNode) -> str:
        return str(node.value)

    def int_of(self, node: yaml.ScalarNode) -> int:
        return self.held(node, self.construct_yaml_int(node))

    def held(self, node: yaml.ScalarNode, number: int) -> int:
        """Raises BadInput where no float holds it, and so nothing can be worked out with it."""
        if abs(number) >= 10**MOST_DIGITS:
            line = node.start_mark.line + 1
            raise BadInput(f"{self.where} has a number of more than {MOST_DIGITS} digits in line {line}: shorten it.")
        return number


class _Reader(_Stored):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def int_of(self, node: yaml.ScalarNode) -> int:
        return self.held(node, int(node.value, 0))

    def float_of(self, node: yaml.ScalarNode) -> float:
        value = float(self.construct_yaml_float(node))
        return self.refuse(node) if math.isinf(value) and "inf" not in node.value.lower() else value

    def refuse(self, node: yaml.ScalarNode) -> Any:
        text = cut(node.value, 100)
        digits = text.replace("_", "").lstrip("+-0") or "0"
        clear = _MEANINGS.get(text.lower()) or (f"{'-' * (text[0] == '-')}{digits}" if digits.isdigit() else ".inf")
        raise BadInput(
            f"{self.where} has {text} in line {node.start_mark.line + 1}, which is read in more than one way: write "
            f"{clear}, or '{text}' in quotes for a text."
        )


class _Writer(yaml.SafeDumper):
    """Puts every text in quotes that either reader would take for something else."""


for _tag, _pattern, _first in _PLAIN:
    for _class in (_Reader, _Writer):
        _class.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), list(_first))
_Stored.add_constructor(_TIME, _Stored.text_of)
_Stored.add_constructor(_INT, _Stored.int_of)
_Reader.add_constructor(_INT, _Reader.int_of)
_Reader.add_constructor(_FLOAT, _Reader.float_of)
_Reader.add_constructor(_UNCLEAR, _Reader.refuse)


def read(text: str, where: str, *, is_stored: bool = False) -> Any:
    """The value of a text; `is_stored`: a program wrote it. Raises BadInput, which begins with `where`."""
    return _read(text, where, _Stored if is_stored else _Reader, "correct the file")[0]


def read_value(text: str, where: str) -> Any:
    """The value of a text in a command line, in which nobody means a comment. Raises BadInput."""
    value, end = _read(text, where, _Reader, "put the value in quotes")
    if text[end:].strip():
        raise BadInput(f"{where} is {text[:end]!r} with a comment, as YAML reads it: put the value in quotes.")
    return value


def _count(node: yaml.Node, known: dict[yaml.Node, float]) -> float:
    """The values of a node, an alias counted wherever it stands: what whoever copies or writes the whole will meet."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in known:
        known[node] = math.inf  # where it is within itself
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[node] = 1 + sum(_count(part, known) for part in parts)
    return known[node]


def _read(text: str, where: str, kind: type[_Stored], remedy: str) -> tuple[Any, int]:
    if len(text) > LONGEST:
        raise BadInput(f"{where} is {len(text):,} characters long, and one has {LONGEST:,} at most: shorten it.")
    try:
        loader = kind(text)
        loader.where = where
        try:
            return loader.read()
        finally:
            loader.dispose()
    except _ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        line = f" near line {mark.line + 1}" if mark else ""
        raise BadInput(f"{where} is not valid YAML{line}: {remedy}.") from None


def write(value: object, *, in_one_line: bool = False) -> str:
    """The text of plain values, which `read` reads back equal."""
    if not in_one_line:
        return yaml.dump(value, Dumper=_Writer, sort_keys=False)
    text = yaml.dump(value, Dumper=_Writer, sort_keys=False, default_flow_style=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")
