"""Rules by name: those of this package, those of installed packages by their entry points, and those of plugins.

A name that comes with this package is registered when the file that has its rule is imported; an entry point is
imported when its name is asked for, and a plugin registers what it has when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from rlx2_ray.types import BadInput, shown

Rule = TypeVar("Rule")

GROUPS = {  # key of the configuration, whose value is a name -> group of entry points
    "topology.rule": "rlx2_ray.topology_rules",
    "target.rule": "rlx2_ray.target_rules",
}


def installed(key: str) -> set[str]:
    """The names that packages of others have for a key."""
    return entry_points(group=GROUPS[key]).names


class Registry(Generic[Rule]):
    def __init__(self, key: str) -> None:
        """`key`: one of `GROUPS`."""
        self.key = key
        self._rules: dict[str, Rule] = {}

    def register(self, name: str) -> Callable[[Rule], Rule]:
        """A decorator that gives a rule its name. Raises BadInput where that is taken."""

        def add(rule: Rule) -> Rule:
            if name in self._rules:
                raise BadInput(f"{self.key} {shown(name)} is there already: give the new rule another name.")
            self._rules[name] = rule
            return rule

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._rules, *sorted(installed(self.key))]))

    def __getitem__(self, name: str) -> Rule:
        """The rule of that name. Raises BadInput where there is none, or its package cannot be imported."""
        if name not in self._rules:
            self._rules[name] = self._load(name)
        return self._rules[name]

    def _load(self, name: str) -> Rule:
        found = self._entry_point(name)
        if found is None:
            raise BadInput(
                f"{self.key} is {shown(name)}: choose one of {', '.join(self)}, or give the file that registers it "
                "as --plugin FILE.py."
            )
        try:
            return found.load()  # type: ignore[no-any-return]
        except Exception as error:  # whatever a package raises that is imported
            raise BadInput(
                f"{self.key} is {shown(name)}, which {found.value} cannot give ({type(error).__name__}: {error}): "
                "correct or reinstall its package."
            ) from None

    def _entry_point(self, name: str) -> EntryPoint | None:
        return next(iter(entry_points(group=GROUPS[self.key], name=name)), None)
