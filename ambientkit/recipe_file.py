"""Recipe files: found, read with places, merged with their parents and overrides, and checked.

    file --extends--> parents          mappings merge, lists replace, a changed `kind` drops its old siblings
         --KEY=VALUE--> overrides      the same rules; `metrics.0.every=5` reaches into lists
         --recipe_check--> Plan        or one RecipeError with every problem

Nothing in a recipe can name code: `extends` names a YAML file, and values are plain data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from ambientkit.errors import Place, Problem, RecipeError
from ambientkit.names import did_you_mean
from ambientkit.recipe import Plan
from ambientkit.recipe_check import PluginSource, check
from ambientkit.recipe_yaml import (
    MAX_BYTES,
    MAX_DEPTH,
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
    return _warned(check(_overridden(tree, overrides), plugins, ""), parents.warnings)


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
    return text, _overridden(parents.under(written, file.parent), overrides), parents.warnings


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


def _text_of(file: Path) -> str:
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
        text = _text_of(file)
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


def merged(base: Node, over: Node, keys: Keys = ()) -> Node:
    """`over` on top of `base`: mappings merge, all else is replaced; a changed `kind` starts afresh."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict) or _changes_kind(base, over):
        return over
    kept = {key: child for key, child in base.value.items() if not _excluded(key, over, keys)}
    for key, child in over.value.items():
        kept[key] = merged(kept[key], child, (*keys, key)) if key in kept else child
    return Node(kept, over.place)


def _changes_kind(base: Node, over: Node) -> bool:
    old, new = base.child("kind"), over.child("kind")
    return new is not None and (old is None or old.plain() != new.plain())


def _excluded(key: str, over: Node, keys: Keys) -> bool:
    """`train.steps` and `train.epochs` are two ways to say one thing: the newer one holds."""
    other = {"steps": "epochs", "epochs": "steps"}.get(key) if keys == ("train",) else None
    rival = over.child(other) if other else None
    return rival is not None and rival.value is not None and over.child(key) is None


# Overrides --------------------------------------------------------------------------------------


def _overridden(tree: Node, overrides: Sequence[str]) -> Node:
    """The tree with all overrides. Raises RecipeError with the problems of all of them."""
    problems: list[Problem] = []
    pairs: list[tuple[list[str], Node]] = []
    for text in overrides:
        try:
            pairs.append(_parsed_override(text))
        except RecipeError as error:
            problems += error.problems
    problems += _contradictions(pairs)
    # Kinds first: a new kind drops the old one's options, but never one that was given beside it.
    for keys, value in sorted(pairs, key=lambda pair: pair[0][-1] != "kind"):
        try:
            tree = _assigned(tree, keys, value, ())
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
    return tree


def _parsed_override(text: str) -> tuple[list[str], Node]:
    place = Place(f"override {text!r}")
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals:
        raise fault(place, (), "has no '='", "write KEY=VALUE, such as train.batch_size=32")
    if not all(keys):
        raise fault(place, (), "has an empty key", "write KEY=VALUE, such as train.batch_size=32")
    if len(keys) > MAX_DEPTH:
        raise fault(place, (), f"reaches more than {MAX_DEPTH} deep")
    if keys == ["extends"]:
        raise fault(place, (), "'extends' cannot be overridden", "write it in the recipe")
    if value.lstrip().startswith("#"):  # a comment to YAML, a colour to whoever writes it here
        return keys, Node(value.strip(), place)
    return keys, parse(value, place.file, at=place)


def _contradictions(pairs: Sequence[tuple[list[str], Node]]) -> Iterator[Problem]:
    """A value that is given twice, or both lengths of a run."""
    seen: dict[str, Node] = {}
    for keys, node in pairs:
        path = dotted(keys)
        rival = {"train.steps": "train.epochs", "train.epochs": "train.steps"}.get(path, path)
        if path in seen:
            yield Problem(node.place, path, "is given twice on the command line")
        elif rival in seen and node.value is not None and seen[rival].value is not None:
            yield Problem(node.place, path, f"{rival!r} is given too", "give one of them")
        seen[path] = node


def _assigned(node: Node, keys: Sequence[str], value: Node, above: Keys) -> Node:
    """The tree with `value` at `keys`; missing mappings on the way are made."""
    if not keys:
        return merged(node, value, above)
    head, rest = keys[0], keys[1:]
    if isinstance(node.value, list):
        index = _index(node, head, value.place, above)
        items = list(node.value)
        items[index] = _assigned(items[index], rest, value, (*above, index))
        return replace(node, value=items)
    if not isinstance(node.value, dict | None):
        remedy = f"{dotted(above)} holds a plain value"
        raise fault(value.place, (*above, *keys), f"there is no key {head!r} here", remedy)
    child = node.child(head)
    if child and rest:
        inner = {head: _assigned(child, rest, value, (*above, head))}
        return replace(node, value={**(node.value or {}), **inner})
    return merged(node, _nested(keys, value), above)


def _index(node: Node, text: str, place: Place, above: Keys) -> int:
    count = len(node.value)
    if not (text.isascii() and text.isdigit()):
        remedy = "such as 0" if count else "the list is empty"
        raise fault(place, above, f"is a list, so {text!r} must be an index", remedy)
    if len(text) > 9 or int(text) >= count:
        has = f"indices go from 0 to {count - 1}" if count else "the list is empty"
        raise fault(place, above, f"there is no item {text}", has)
    return int(text)


def _nested(keys: Sequence[str], value: Node) -> Node:
    for key in reversed(keys):
        value = Node({key: value}, value.place)
    return value
