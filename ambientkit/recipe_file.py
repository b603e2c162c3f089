"""Recipe files: found, read with places, merged with their parents and overrides, and checked.

    file --extends--> parents          mappings merge, lists replace, a changed `kind` drops its old siblings
         --KEY=VALUE--> overrides      the same rules; `metrics.0.every=5` reaches into lists
         --recipe_check--> Plan        or one RecipeError with every problem

Nothing in a recipe can name code: `extends` names a YAML file, and values are plain data.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from ambientkit.errors import Place, Problem
from ambientkit.names import did_you_mean
from ambientkit.recipe import Plan
from ambientkit.recipe_check import PluginSource, check
from ambientkit.recipe_merging import merged, overridden
from ambientkit.recipe_yaml import (
    MAX_BYTES,
    MAX_NODES,
    Keys,
    Node,
    dotted,
    fault,
    from_plain,
    parse,
)

MAX_PARENTS = 10
"""Longest chain of `extends`."""

_SUFFIXES = (".yaml", ".yml")


def load(path: str | Path, overrides: Sequence[str], plugins: PluginSource) -> Plan:
    """Load a recipe file, or a shipped recipe by its name, with `KEY=VALUE` overrides.

    Raises RecipeError with every problem; what is only doubtful is in `Plan.warnings`.
    """
    text, tree, warnings = _read_merged(path, overrides)
    return _warned(check(tree, plugins, text), warnings)


def from_mapping(
    data: Mapping[str, Any],
    plugins: PluginSource,
    name: str = "<mapping>",
    overrides: Sequence[str] = (),
) -> Plan:
    """Check a recipe that is given as plain data; `extends` is relative to the current folder.

    Raises RecipeError with every problem, placed in `name`.
    """
    parents = _Parents(Path())
    tree = parents.under(from_plain(data, Place(name)), Path())
    return _warned(check(overridden(tree, overrides), plugins, ""), parents.warnings)


def origins(path: str | Path, overrides: Sequence[str]) -> list[tuple[str, Any, Place]]:
    """Every value of a recipe as (dotted path, value, place), after parents and overrides.

    Options that are left to their defaults are not in it. Raises RecipeError.
    """
    _, tree, _ = _read_merged(path, overrides)
    return [(dotted(keys), node.plain(), node.place) for keys, node in tree.leaves()]


def _read_merged(path: str | Path, overrides: Sequence[str]) -> tuple[str, Node, list[Problem]]:
    """(text as written, tree after parents and overrides, warnings)."""
    file = find(path)
    parents = _Parents(file.parent)
    text, written = parents.read(file)
    if written.value is None:
        raise fault(written.place, (), "is empty", "begin with 'recipe: 1', or copy a shipped recipe")
    return text, overridden(parents.under(written, file.parent), overrides), parents.warnings


def _warned(plan: Plan, warnings: Sequence[Problem]) -> Plan:
    return replace(plan, warnings=(*warnings, *plan.warnings))


# Finding and reading ----------------------------------------------------------------------------


def find(name_or_path: str | Path) -> Path:
    """The file of that path, or the shipped recipe of that name (`quickstart`, with or without .yaml).

    A file that exists wins. Raises RecipeError where there is neither.
    """
    return _find(str(name_or_path), Path(), Place(str(name_or_path)), ())


def shipped() -> dict[str, Path]:
    """The recipes that come with ambientkit, by name; those of a folder are called `folder/name`."""
    folder = Path(str(resources.files("ambientkit_recipes")))
    found = [*sorted(folder.glob("*.yaml")), *sorted(folder.glob("*/*.yaml"))]
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def _find(name: str, folder: Path, place: Place, keys: Keys) -> Path:
    path = folder / name
    if _is_file(path):
        return path
    known = shipped()
    if name.removesuffix(".yaml") in known:
        return known[name.removesuffix(".yaml")]
    if _is_folder(path):
        raise fault(place, keys, f"{name!r} is a folder, not a recipe", "name a YAML file in it")
    remedy = did_you_mean(name, _beside(name, folder)) or did_you_mean(name, known)
    remedy = remedy or (f"shipped recipes: {', '.join(known)}" if known else "")
    raise fault(place, keys, f"there is no file and no shipped recipe {name!r}", remedy)


def _beside(name: str, folder: Path) -> list[str]:
    """The YAML files in the folder of `name`, named as it is."""
    parent = Path(name).parent
    try:
        return [str(parent / f.name) for suffix in _SUFFIXES for f in (folder / parent).glob(f"*{suffix}")]
    except (OSError, ValueError):
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have, such as one with a NUL or 300 characters
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def text_of(file: Path) -> str:
    """What a recipe file holds. Raises RecipeError for one that cannot be read, is too large or no UTF-8."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise fault(Place(str(file)), (), f"cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise fault(Place(str(file)), (), f"larger than {MAX_BYTES:,} bytes: this is no recipe")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        place = Place(str(file), line, column)
        raise fault(place, (), "not UTF-8 text", "save the file as UTF-8") from None


def moved(file: Path, to: Path) -> str:
    """The text of a recipe for another folder: its parent is named so that it is found from there."""
    text = text_of(file)
    parent = parse(text, str(file)).child("extends")
    if parent is None or not isinstance(parent.value, str):
        return text
    found = _find(parent.value, file.parent, parent.place, ("extends",))
    known = {path: name for name, path in shipped().items()}
    name = known.get(found) or Path(os.path.relpath(found, to)).as_posix()
    line = (
        f"extends: {name if re.fullmatch('[A-Za-z0-9_./-]+', name) else json.dumps(name, ensure_ascii=False)}"
    )
    return re.sub(r"(?m)^[\"']?extends[\"']?\s*:.*$", lambda _: line, text, count=1)


# Parents ----------------------------------------------------------------------------------------


class _Parents:
    """Reads a recipe and its parents: together they may be no larger than one recipe may.

    `warnings` tell of each that lies outside `home`, the folder of the recipe that was given.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.files: list[Path] = []
        self.warnings: list[Problem] = []
        self._size = self._values = 0

    def read(self, file: Path) -> tuple[str, Node]:
        """Text and tree of a file. Raises RecipeError where all that was read is too much."""
        text = text_of(file)
        self._size += len(text)
        if self._size > MAX_BYTES:
            raise fault(Place(str(file)), (), f"with its parents larger than {MAX_BYTES:,} bytes")
        tree = parse(text, str(file))
        self._values += tree.count()
        if self._values > MAX_NODES:
            raise fault(Place(str(file)), (), f"with its parents more than {MAX_NODES} values")
        self.files.append(file)
        return text, tree

    def under(self, tree: Node, folder: Path) -> Node:
        """The tree over its parent's, over the parent's parent's; the key `extends` is gone."""
        if not isinstance(tree.value, dict) or "extends" not in tree.value:
            return tree
        own = dict(tree.value)
        name = own.pop("extends")
        parent = _parent_of(name, folder, self.files)
        self._tell_outside(parent, name.place)
        _, parsed = self.read(parent)
        if not isinstance(parsed.value, dict):
            raise fault(parsed.place, (), "a recipe must be a mapping of keys to values")
        return merged(self.under(parsed, parent.parent), replace(tree, value=own))

    def _tell_outside(self, parent: Path, place: Place) -> None:
        file = parent.resolve()
        if file.is_relative_to(self.home) or parent in shipped().values():
            return
        message = f"reads {file}, which lies outside the recipe's folder"
        self.warnings.append(Problem(place, "extends", message, "see that it is the file you mean", True))


def _parent_of(node: Node, folder: Path, chain: Sequence[Path]) -> Path:
    name = node.value
    if not isinstance(name, str):
        raise fault(node.place, ("extends",), "must be text: one YAML file or shipped recipe")
    if Path(name).suffix not in (*_SUFFIXES, "") or (not Path(name).suffix and name not in shipped()):
        remedy = did_you_mean(name, shipped()) or "name a .yaml file or a shipped recipe"
        raise fault(node.place, ("extends",), f"{name!r} is no YAML file and no shipped recipe", remedy)
    parent = _find(name, folder, node.place, ("extends",))
    if any(parent.samefile(other) for other in chain):
        raise fault(node.place, ("extends",), f"{name!r} extends itself, over {len(chain)} file(s)")
    if len(chain) > MAX_PARENTS:
        raise fault(node.place, ("extends",), f"more than {MAX_PARENTS} parents, one over the other")
    return parent
