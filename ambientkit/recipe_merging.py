"""A recipe over another: a child over its parent, overrides over a recipe. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ambientkit.errors import Place, Problem, RecipeError
from ambientkit.recipe_yaml import MAX_DEPTH, Keys, Node, dotted, fault, parse

_DEFAULT_KINDS: dict[Keys, str] = {
    ("train", "generator_optimizer"): "adam",
    ("train", "discriminator_optimizer"): "adam",
}
"""What a mapping that names no kind is; all others must name theirs."""
_RIVALS = {"train.steps": "epochs", "train.epochs": "steps"}
"""Two ways to say one thing."""


def merged(base: Node, over: Node, keys: Keys = ()) -> Node:
    """`over` on top of `base`: mappings merge, all else is replaced; a changed `kind` starts afresh."""
    if (
        not isinstance(base.value, dict)
        or not isinstance(over.value, dict)
        or _changes_kind(base, over, keys)
    ):
        return over
    kept = {key: child for key, child in base.value.items() if not _excluded(key, over, keys)}
    for key, child in over.value.items():
        kept[key] = merged(kept[key], child, (*keys, key)) if key in kept else child
    return Node(kept, over.place)


def _changes_kind(base: Node, over: Node, keys: Keys) -> bool:
    old, new = base.child("kind"), over.child("kind")
    before = _DEFAULT_KINDS.get(keys) if old is None else old.plain()
    return new is not None and before != new.plain()


def _excluded(key: str, over: Node, keys: Keys) -> bool:
    """`train.steps` and `train.epochs` are two ways to say one thing: the newer one holds."""
    other = _RIVALS.get(f"train.{key}") if keys == ("train",) else None
    rival = over.child(other) if other else None
    return rival is not None and rival.value is not None and over.child(key) is None


# Overrides --------------------------------------------------------------------------------------


def overridden(tree: Node, overrides: Sequence[str]) -> Node:
    """The tree with all overrides. Raises RecipeError with the problems of all of them."""
    problems: list[Problem] = []
    pairs: list[tuple[list[str], Node]] = []
    for text in overrides:
        try:
            pairs.append(_parsed_override(text))
        except RecipeError as error:
            problems += error.problems
    problems += _contradictions(pairs)
    # The whole before its parts. Kinds first: a new one drops the old one's options, not what is beside it.
    for keys, value in sorted(pairs, key=lambda pair: (len(pair[0]), pair[0][-1] != "kind")):
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
    """A value that is given twice, by itself or inside another, or both lengths of a run."""
    given: dict[tuple[str, ...], list[Node]] = {}
    for keys, node in pairs:
        given.setdefault(tuple(keys), []).append(node)
    seen: dict[str, Node] = {}
    for keys, node in pairs:
        path = dotted(keys)
        other = [*keys[:-1], _RIVALS[path]] if path in _RIVALS else keys
        if any(_holds(value, below) for value, below in _wholes(given, keys)):
            remedy = "say it once; a `kind` belongs inside the {...} of its options"
            yield Problem(node.place, path, "is given twice on the command line", remedy)
        if path in seen:
            yield Problem(node.place, path, "is given twice on the command line")
        elif other is not keys and node.value is not None and _is_given(given, other, seen):
            yield Problem(node.place, path, f"{dotted(other)!r} is given too", "give one of them")
        seen[path] = node


def _wholes(
    given: Mapping[tuple[str, ...], Sequence[Node]], keys: Sequence[str]
) -> Iterator[tuple[Node, Sequence[str]]]:
    """Every value that is given for something around `keys`, and where in it they are."""
    for end in range(1, len(keys)):
        for value in given.get((*keys[:end],), ()):
            yield value, keys[end:]


def _is_given(
    given: Mapping[tuple[str, ...], Sequence[Node]], keys: Sequence[str], before: Mapping[str, Node]
) -> bool:
    """Whether something but null is: by itself, in an override before, or inside another."""
    inside = (_inside(value, below) for value, below in _wholes(given, keys))
    return any(node is not None and node.value is not None for node in (before.get(dotted(keys)), *inside))


def _holds(value: Node, below: Sequence[str]) -> bool:
    """Whether `value` says something for the keys `below` it; of kinds it always does."""
    if _inside(value, below) is not None:
        return True
    return below[-1] == "kind" and (len(below) == 1 or _inside(value, below[:-1]) is not None)


def _inside(value: Node, below: Sequence[str]) -> Node | None:
    for key in below:
        if isinstance(value.value, list) and key.isdecimal() and int(key) < len(value.value):
            value = value.value[int(key)]
        elif (child := value.child(key)) is not None:
            value = child
        else:
            return None
    return value


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
