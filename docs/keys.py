"""Writes configuration.md: every key of a run, a sweep and a compression, from the schema and the methods' values."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sphinx.pycode import ModuleAnalyzer

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig, at, flatten, resolve
from rlx2_ray.methods import METHODS, NEEDS
from rlx2_ray.sweep.description.compress_section import CompressSection
from rlx2_ray.sweep.description.tune_section import AshaScheduler, PbtScheduler, Searcher, TuneSection

PAGE = Path(__file__).with_name("configuration.md")
HEAD = """# All configuration keys

Made of the schema by `make docs`. A key is given by a YAML file, by an option, or by `--set KEY=VALUE`, the later
winning; [training](training.md) says how. Sections nest in YAML: `agent.tau` is `tau` below `agent`. Sparsities are
fractions of zeros. A default that follows from `steps` is that of 3,000,000; where a method or an algorithm has a
default of its own it is named.
"""
SECTIONS = {
    "": "The run",
    "env": "`env`: the task",
    "sparsity": "`sparsity`: how many weights live",
    "network": "`network`: sizes",
    "policy": "`policy`: which policy is evaluated and kept",
    "agent": "`agent`: the algorithm's constants",
    "topology": "`topology`: how the living weights change",
    "target": "`target`: what the critics learn from",
    "replay": "`replay`: what is kept of the past",
    "runtime": "`runtime`: where it runs",
    "evaluation": "`evaluation`: how it is judged",
    "checkpoint": "`checkpoint`: what a resume goes on from",
    "tracking": "`tracking`: who is told",
}
SHORTER = 20_000  # env steps of a run whose defaults show which of them follow from the steps
BOUNDS = {"exclusiveMinimum": "> ", "gt": "> ", "minimum": "≥ ", "ge": "≥ ", "exclusiveMaximum": "< ", "lt": "< "}
BOUNDS |= {"maximum": "≤ ", "le": "≤ "}
TYPES = {"integer": "whole number", "number": "number", "string": "text", "object": "mapping", "null": "null"}
TYPES |= {"boolean": "true or false"}


def page() -> str:
    """Returns the whole page, as Markdown."""
    whole = schema(ExperimentConfig)
    parts = [HEAD]
    for section, title in SECTIONS.items():
        fields = whole["$defs"][reference(whole["properties"][section])] if section else whole
        parts.append(table(title, experiment_rows(section, fields)))
    parts.append("\nA file with `param_space` is a sweep ([sweeps](sweeps.md)), one with `compress` a compression.\n")
    for title, prefix, model in (
        ("`tune`: a sweep's trials", "tune.", TuneSection),
        ("`tune.scheduler`, asha", "tune.scheduler.", AshaScheduler),
        ("`tune.scheduler`, pbt", "tune.scheduler.", PbtScheduler),
        ("`tune.searcher`", "tune.searcher.", Searcher),
        ("`compress`: a compression", "compress.", CompressSection),
    ):
        parts.append(table(title, section_rows(prefix, model)))
    return "\n".join(parts)


def table(title: str, rows: Iterator[tuple[str, str, str, str]]) -> str:
    """Returns a heading and a table of key, meaning, values and default."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    head = "| key | what it is | values | default |\n|---|---|---|---|"
    return f"\n## {title}\n\n{head}\n" + "".join(f"| {line} |\n" for line in lines)


def experiment_rows(section: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yields the rows of a section of a run's configuration; of "" those of the run itself."""
    owner = fields["title"]
    for name, field in fields["properties"].items():
        if reference(field) is None:
            key = f"{section}.{name}" if section else name
            yield f"`{key}`", meaning(ExperimentConfig, owner, name), values(field), defaults(key)


def section_rows(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Yields the rows of a section that is a sweep's or a compression's own, with those of its budget."""
    whole = schema(model)
    for name, field in whole["properties"].items():
        inner = reference(field)
        if inner == "Budget":
            budget = whole["$defs"]["Budget"]["properties"]
            for key, limit in budget.items():
                yield f"`{prefix}budget.{key}`", meaning(model, "Budget", key), values(limit), shown(limit["default"])
        elif name != "name":
            options = "a name, or a mapping with it" if "$ref" in str(field) else values(field)
            default = "follows from `steps`" if "default" not in field else shown(default_of(field))
            yield f"`{prefix}{name}`", meaning(model, model.__name__, name), options, default


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the JSON schema, in which sections are references."""
    return model.model_json_schema()


def reference(field: Mapping[str, Any]) -> str | None:
    """Returns the name of the section that a field is, or None."""
    target = field.get("$ref")
    return target.rpartition("/")[2] if target else None


def default_of(field: Mapping[str, Any]) -> Any:
    """Returns the default of a field; of a section with a name, that name."""
    default = field["default"]
    return default.get("name", default) if isinstance(default, dict) else default


def meaning(model: type[BaseModel], owner: str, name: str) -> str:
    """Returns what the comment that begins with `#:` says of a key, which stands in the class or one that it extends.

    Raises KeyError where there is none.
    """
    for module in modules(model):
        documented = ModuleAnalyzer.for_module(module).find_attr_docs()
        for each in (owner, *(base.__name__ for base in model.__mro__)):
            if (each, name) in documented:
                text = " ".join(documented[each, name]).strip()
                return text + needed(name)
    raise KeyError(f"{owner}.{name} has no comment that begins with #:")


def modules(model: type[BaseModel]) -> Iterator[str]:
    yield model.__module__
    yield "rlx2_ray.sweep.description.budget"


def needed(name: str) -> str:
    """Returns the methods that cannot do without a key, as an addition to what it is."""
    methods = [method for method, (key, _) in NEEDS.items() if key.endswith(f".{name}")]
    return f"; needed by {', '.join(methods)}" if methods else ""


def values(field: Mapping[str, Any]) -> str:
    """Returns the values that a key takes, in words."""
    if "anyOf" in field:
        return " or ".join(values(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} of: {values(field['prefixItems'][0])}"
    if field.get("type") == "array":
        return f"list of: {values(field['items'])}"
    bounds = [f"{sign}{shown_number(field[key])}" for key, sign in BOUNDS.items() if key in field]
    return ", ".join([TYPES[field["type"]], *bounds]) if "type" in field else "any"


def shown_number(value: float) -> str:
    if value == 10**15:
        return "10¹⁵"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def shown(value: object) -> str:
    """Returns a default as it is written in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, int | float):
        return shown_number(value)
    return f"`{list(value)}`" if isinstance(value, list | tuple) else f"`{value}`"


def defaults(key: str) -> str:
    """Returns the default of a run's key, with those of algorithms and methods that have one of their own."""
    usual = default(key, "td3", "rigl" if key != "method" else "rlx2")
    if key in ("algo", "method"):
        return usual
    of_algorithm = {algo: default(key, algo, "rigl") for algo in ALGORITHMS}
    of_method = {method: default(key, "td3", method) for method in METHODS}
    own = {f"`{name}`": value for name, value in (of_algorithm | of_method).items() if value != usual}
    for algo, method in product(ALGORITHMS, METHODS):
        value = default(key, algo, method)
        if value not in (of_algorithm[algo], of_method[method]):
            own[f"`{method}` with `{algo}`"] = value
    names: dict[str, list[str]] = {}
    for name, value in own.items():
        names.setdefault(value, []).append(name)
    return "; ".join([usual, *(f"{', '.join(each)}: {value}" for value, each in names.items())])


def default(key: str, algo: str, method: str) -> str:
    """Returns the default under an algorithm and a method, and says so where a shorter run has another one."""
    given = {"algo": algo, "method": method, **needs(method)}
    value = at(resolve(given).model_dump(), key, None)
    if key != "steps" and value != at(resolve({**given, "steps": SHORTER}).model_dump(), key, None):
        return f"{shown(value)}, follows from `steps`"
    return shown(None if key in flatten(needs(method)) else value)


def needs(method: str) -> dict[str, Any]:
    """Returns a value for the key that a method cannot do without."""
    if method not in NEEDS:
        return {}
    section, _, name = NEEDS[method][0].partition(".")
    return {section: {name: "."}}


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
