"""Option corners: what every option of a component can be, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ambientkit.errors import PluginError
from ambientkit.registry import Options

NUDGE = 1e-3
"""How far inside a bound that is itself excluded a float is tried."""
LARGEST = 4096
"""Bounds beyond it are left out: a data set of so many pictures, or a network so wide, tests patience."""


def option_corners(
    options_type: type[Options], required: Mapping[str, Any] | None = None, *, largest: float = LARGEST
) -> dict[str, Options]:
    """The defaults, and every set of options that differs from them in one option, by a label for it.

    An option takes each of its literals, both bools, None, and its bounds, just inside where a bound is
    excluded; an integer also the one above its lowest. `required` are values that stay as they are:
    options without a default, and small sizes. `download` stays as it is too: a check fetches nothing.
    Sets that the options' own validators refuse are left out, and so are bounds beyond +-`largest`.

    Raises PluginError where the defaults with `required` are refused.
    """
    base = dict(required or {})
    try:
        default = options_type(**base)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors())
        raise PluginError(
            f"{options_type.__name__} cannot be made of {base or 'its defaults'}: {names}; give `required`"
        ) from error
    corners = {"defaults": default}
    for name, field in options_type.model_fields.items():
        if name in base or name == "download":
            continue
        for value in _alternatives(field.annotation, field.metadata, largest):
            corner = _valid(options_type, {**base, name: value})
            if corner is not None and corner not in corners.values():
                corners[f"{name}={value}"] = corner
    return corners


def _valid(options_type: type[Options], values: Mapping[str, Any]) -> Options | None:
    try:
        return options_type(**values)
    except ValidationError:
        return None


def _alternatives(annotation: Any, metadata: Sequence[Any], largest: float) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _alternatives(arguments[0], [*metadata, *arguments[1:]], largest)
    elif origin is Literal:
        yield from arguments
    elif origin in (Union, UnionType):
        for each in arguments:
            yield from _alternatives(each, metadata, largest)
    elif origin is tuple:
        yield from _tuples(arguments, largest)
    elif annotation is NoneType:
        yield None
    elif annotation is bool:
        yield from (False, True)
    elif annotation in (int, float):
        found = _bounds(annotation, _flat(metadata))
        yield from (value for value in found if abs(value) <= largest)


def _tuples(arguments: tuple[Any, ...], largest: float) -> Iterator[tuple[Any, ...]]:
    """Of any length: the empty tuple and one of a single part. Else the first and the last of each part."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        yield ()
        yield from ((part,) for part in _alternatives(arguments[0], (), largest))
        return
    parts = [list(_alternatives(each, (), largest)) for each in arguments]
    if all(parts):
        yield tuple(part[0] for part in parts)
        yield tuple(part[-1] for part in parts)


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from each.metadata
        else:
            yield each


def _bounds(kind: type, constraints: Iterable[Any]) -> Iterator[float]:
    """Where values end: `ge` and `le` themselves, and just inside of `gt` and `lt`."""
    inside = 1 if kind is int else NUDGE
    for constraint in constraints:
        for name, step in (("ge", 0), ("gt", inside), ("le", 0), ("lt", -inside)):
            bound = getattr(constraint, name, None)
            if bound is not None:
                yield kind(bound + step)
            if bound is not None and kind is int and name in ("ge", "gt"):
                yield bound + step + 1  # 0 is often "none of it": one is another case
