"""YAML 1.2 scalars and plain data as a tree that remembers where everything was written.

PyYAML reads `2e-4` as text, `on` as true and `010` as 8, and keeps the last of two equal keys; so
only its parser is used, and what a scalar means is decided here (YAML 1.2, core schema).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

import yaml

from ambientkit.errors import Place, Problem, RecipeError

MAX_BYTES = 1_000_000
"""Largest recipe file."""
MAX_NODES = 10_000
"""Most values in a recipe once its aliases are expanded."""
MAX_PROBLEMS = 100
"""As many are reported of what is not YAML as we read it; whoever has more has another file in hand."""
MAX_DEPTH = 50
"""Deepest nesting of a recipe."""

COMMENTED = "a # after a space begins a comment; a colour is written in quotes, '#ffffff'"
_COLOUR = re.compile(r":\s+#[0-9a-fA-F]{6}\b")  # where a value should be

Keys = tuple[str | int, ...]
"""Keys and indices from the root to a value."""


@dataclass(frozen=True)
class Node:
    """A value and its place: that of its key if it has one.

    `value` is None, a bool, int, float or str, a `dict[str, Node]` or a `list[Node]`.
    """

    value: Any
    place: Place

    def plain(self) -> Any:
        """The value without places: None, bool, int, float, str, dict and list."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if isinstance(self.value, list) else self.value

    def child(self, part: str | int) -> Node | None:
        """The value under a key or at an index, None where there is none."""
        if isinstance(self.value, dict):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            child: Node = self.value[part]
            return child
        return None

    def count(self) -> int:
        """How many values there are, this one among them."""
        held = self.value
        inner: Iterable[Node] = ()
        if isinstance(held, dict | list):
            inner = held.values() if isinstance(held, dict) else held
        return 1 + sum(child.count() for child in inner)

    def find(self, path: Sequence[str | int]) -> Node | None:
        """The value at `path`, None where there is none."""
        node: Node | None = self
        for part in path:
            node = node.child(part) if node else None
        return node

    def nearest(self, path: Sequence[str | int]) -> Node:
        """The value at `path`, or the nearest one above it."""
        node = self
        for part in path:
            node = node.child(part) or node
        return node

    def leaves(self, path: Keys = ()) -> Iterator[tuple[Keys, Node]]:
        """Every value that holds no others, with its path, in the order written."""
        held: Any = self.value
        if not isinstance(held, dict | list) or not held:
            yield path, self
            return
        for part, child in held.items() if isinstance(held, dict) else enumerate(held):
            yield from child.leaves((*path, part))


def dotted(path: Sequence[str | int]) -> str:
    """`metrics.0.every`, as overrides have it."""
    return ".".join(map(str, path))


def fault(place: Place, path: Sequence[str | int], message: str, remedy: str = "") -> RecipeError:
    """An error with one problem."""
    return RecipeError([Problem(place, dotted(path), message, remedy)])


_TOO_MANY = f"more than {MAX_NODES} values once aliases ('*name') are expanded"

# Scalars ----------------------------------------------------------------------------------------

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """A parser whose plain scalars follow the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name, filled below
    depth = 0
    count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node; refuses what would exhaust the parser's stack or the reader's patience."""
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > 2 * MAX_NODES:  # keys are nodes too
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            too = f"nested more than {MAX_DEPTH} deep" if self.depth > MAX_DEPTH else _TOO_MANY
            raise yaml.MarkedYAMLError(problem=too, problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text, base)
    if abs(number) >= 2**64:
        raise ValueError("the number is too large")
    return number


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _text(text: str) -> str:
    text.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, on half a surrogate pair
    return text


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


_READ: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda _: None,
    _TAG + "bool": _boolean,
    _TAG + "int": _integer,
    _TAG + "float": _float,
    _TAG + "str": _text,
}


# Reading ----------------------------------------------------------------------------------------


class _Reader:
    """Turns PyYAML's nodes into ours; problems that leave the rest readable are collected."""

    def __init__(self, place_of: Callable[[yaml.Mark], Place]) -> None:
        self.place_of = place_of
        self.problems: list[Problem] = []
        self._count = 0
        self._open: set[int] = set()

    def read(self, node: yaml.Node, place: Place, path: Keys) -> Node:
        """The tree under `node`, aliases expanded. Raises RecipeError where it grows without bound."""
        self._count += 1
        if self._count > MAX_NODES:
            raise fault(place, path, _TOO_MANY)
        if id(node) in self._open:
            raise fault(place, path, "an alias that contains itself", "write the value out")
        if len(self._open) > MAX_DEPTH:
            raise fault(place, path, f"nested more than {MAX_DEPTH} deep once aliases are expanded")
        self._open.add(id(node))
        value = self._value(node, place, path)
        self._open.discard(id(node))
        return Node(value, place)

    def _value(self, node: yaml.Node, place: Place, path: Keys) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [
                self.read(item, self.place_of(item.start_mark), (*path, index))
                for index, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.ScalarNode) and node.tag in _READ:
            return self._scalar(node, place, path)
        tag = _cut(node.tag.replace(_TAG, "!!"))
        self._problem(place, path, f"the tag {tag} is not allowed", "recipes hold plain data only")
        return None

    def _scalar(self, node: yaml.ScalarNode, place: Place, path: Keys) -> Any:
        try:
            return _READ[node.tag](node.value)
        except (ValueError, KeyError):
            kind = node.tag.removeprefix(_TAG)
            kind = {"str": "valid Unicode", "int": "an integer below 2**64"}.get(kind, f"a {kind}")
            self._problem(place, path, f"{_cut(node.value)} is not {kind}")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self.place_of(key_node.start_mark)
            key = self._key(key_node, place, path)
            if key is None:
                continue
            if key in found:
                self._problem(
                    place, (*path, key), f"duplicate key {key!r}", f"the first is at {found[key].place}"
                )
                continue
            found[key] = self.read(value_node, place, (*path, key))
        return found

    def _key(self, node: yaml.Node, place: Place, path: Keys) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(place, path, "a key must be text, not a list or a mapping")
            return None
        if node.value == "<<" and node.style is None:
            remedy = "use 'extends', or write the keys out"
            self._problem(place, path, "merge keys ('<<') are not allowed", remedy)
            return None
        key = self._scalar(node, place, path) if node.tag in _READ else None
        if not isinstance(key, str):
            remedy = "write it in quotes if it is meant as text"
            self._problem(place, path, f"the key {_cut(node.value)} is not text", remedy)
            return None
        return key

    def _problem(self, place: Place, path: Keys, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(place, dotted(path), message, remedy))
        if len(self.problems) >= MAX_PROBLEMS:
            raise RecipeError(self.problems)


def parse(text: str, file: str, at: Place | None = None) -> Node:
    """Parse one YAML document.

    Every value's place is in `file`, or is `at` where that is given. An empty document is null.
    Raises RecipeError with every problem that is found.
    """

    def place_of(mark: yaml.Mark | None) -> Place:
        return at or (Place(file, mark.line + 1, mark.column + 1) if mark else Place(file))

    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _syntax(error, text, place_of) from None
    except (ValueError, OverflowError):  # from PyYAML's own int() and chr()
        raise fault(place_of(None), (), "not valid YAML: an escaped character is out of range") from None
    if root is None:
        return Node(None, place_of(None))
    reader = _Reader(place_of)
    tree = reader.read(root, place_of(root.start_mark), ())
    if reader.problems:
        raise RecipeError(reader.problems)
    return tree


def _syntax(error: yaml.YAMLError, text: str, place_of: Callable[[yaml.Mark | None], Place]) -> RecipeError:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n"), error.position - (before.rfind("\n") + 1)
        mark = yaml.Mark("", error.position, line, column, "", 0)
        return fault(place_of(mark), (), f"the character {chr(int(error.character))!r} is not allowed")
    problem = str(getattr(error, "problem", None) or error)
    place = place_of(getattr(error, "problem_mark", None) or getattr(error, "context_mark", None))
    if r"'\t'" in problem:
        return fault(place, (), "a tab where YAML allows none", "indent with spaces")
    if "but found another document" in problem:
        return fault(place, (), "a second document begins here", "keep one recipe in a file")
    if problem.startswith(("nested more", "more than")):
        return fault(place, (), problem)
    context = getattr(error, "context", None)
    remedy = (
        COMMENTED if _COLOUR.search("\n".join(text.splitlines()[max(0, place.line - 2) : place.line])) else ""
    )
    return fault(place, (), f"not valid YAML: {f'{context}: ' if context else ''}{problem}", remedy)


# Plain data -------------------------------------------------------------------------------------


def from_plain(data: Any, place: Place) -> Node:
    """A tree of plain Python data, all of it at `place`; tuples are lists, paths are text.

    Raises RecipeError on anything that YAML could not hold, and where it is nested too deep or too large.
    """
    return _Planter(place).plant(data, ())


class _Planter:
    """Turns plain data into a tree; what stands in several places counts once for each."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._count = 0

    def plant(self, data: Any, path: Keys) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise fault(self.place, path[:3], f"more than {MAX_NODES} values")
        if len(path) > MAX_DEPTH:
            raise fault(self.place, path[:3], f"nested more than {MAX_DEPTH} deep")
        return Node(self._value(data, path), self.place)

    def _value(self, data: Any, path: Keys) -> Any:
        if isinstance(data, Mapping):
            return {self._key(key, path): self.plant(value, (*path, key)) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self.plant(item, (*path, index)) for index, item in enumerate(data)]
        if data is None or isinstance(data, bool | float):
            return data
        try:
            return _plain_scalar(data)
        except (TypeError, ValueError) as error:
            raise fault(self.place, path, str(error) or "not plain data") from None

    def _key(self, key: Any, path: Keys) -> str:
        if not isinstance(key, str):
            raise fault(self.place, path, f"the key {repr(key)[:40]} is not text")
        return key


def _plain_scalar(data: Any) -> int | float | str:
    """Numbers of numpy too, as a sweep has them."""
    if isinstance(data, Integral):
        number = int(data)
        if abs(number) >= 2**64:
            raise ValueError("the number is too large")
        return number
    if isinstance(data, Real):
        return float(data)
    if isinstance(data, str | PurePath):
        return _text(str(data))
    raise TypeError(f"{type(data).__name__} is not plain data (text, numbers, lists, mappings)")
