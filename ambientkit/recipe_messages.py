"""What pydantic found wrong, in plain English and at the place where it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ambientkit.errors import Problem
from ambientkit.names import did_you_mean
from ambientkit.recipe_yaml import Keys, Node, dotted

M = TypeVar("M", bound=BaseModel)
_A_KIND = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)?")


def validate(
    model: type[M], data: Node, tree: Node, path: Keys, also: Collection[str] = ()
) -> tuple[M | None, list[Problem]]:
    """Check `data`, which stands at `path` in `tree`, against a model: the model, or the problems.

    `also` are keys that may stand beside the model's own; messages about unknown keys name them too.
    Values are taken as JSON has them and strictly: `"32"` is no integer, and 1.0 is none either.
    """
    try:
        return model.model_validate_json(json.dumps(data.plain()), strict=True), []
    except ValidationError as error:
        return None, _problems_of(error, _Checked(model, data, tree, path, also))


@dataclass(frozen=True)
class _Checked:
    """What was checked: `data`, at `path` in `tree`, against `model`; `also` as `validate` has it."""

    model: type[BaseModel]
    data: Node
    tree: Node
    path: Keys
    also: Collection[str]
    hints: bool = True  # whether the nearest known word is looked for, which takes time


HINTED = 1000
"""Problems of a validation that come with the nearest known word: nobody reads more of them."""


def _problems_of(error: ValidationError, checked: _Checked) -> list[Problem]:
    """Every problem of a validation, one for each value at fault."""
    groups: dict[Keys, list[_Fault]] = {}
    for details in error.errors(include_url=False):
        fault = _fault(details, checked.data)
        groups.setdefault(fault.path, []).append(fault)
    unhinted = replace(checked, hints=False)
    return [
        _problem(group, checked if number < HINTED else unhinted)
        for number, (where, group) in enumerate(groups.items())
        if not (_all_types(group) and _is_judged_deeper(where, groups))
    ]


@dataclass(frozen=True)
class _Fault:
    """One of pydantic's errors, its location stripped of what stands for a branch of a union."""

    path: Keys
    kind: str
    details: ErrorDetails
    value: Any

    @property
    def expected(self) -> str | None:
        """What would fit, where the error is about the type."""
        if self.kind == "literal_error":
            return str(self.details["ctx"]["expected"])
        return _EXPECTED.get(self.kind)


_EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "float_parsing": "a number",
    "frozen_set_type": "a list",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_type": "an integer",
    "list_type": "a list",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "none_required": "null",
    "path_type": "text",
    "set_type": "a list",
    "string_type": "text",
    "tuple_type": "a list",
}


def _fault(details: ErrorDetails, data: Node) -> _Fault:
    path, kind = _real_path(details, data), details["type"]
    if kind == "union_tag_invalid":
        path = (*path, _tag_key(details))
    node = data.find(path)
    return _Fault(path, kind, details, node.plain() if node else None)


def _real_path(details: ErrorDetails, data: Node) -> Keys:
    """The location without the parts that name a union's branch; a missing key is not in it."""
    path: Keys = ()
    node = data
    for part in details["loc"]:
        child = node.child(part)
        if child:
            path, node = (*path, part), child
    return path


def _all_types(group: Sequence[_Fault]) -> bool:
    return all(fault.expected for fault in group)


def _is_judged_deeper(path: Keys, others: Iterable[Keys]) -> bool:
    """Another branch of the union took the value's type and found something inside it."""
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _problem(group: Sequence[_Fault], checked: _Checked) -> Problem:
    """One problem for the errors at one value: the closest branch's, or all types that would fit."""
    fault = next((fault for fault in group if not fault.expected), group[0])
    path = (*checked.path, *fault.path)
    if fault.kind == "missing":
        message, remedy = _missing([str(f.details["loc"][-1]) for f in group if f.kind == "missing"], fault)
    elif fault.kind == "extra_forbidden":
        message, remedy = _unknown(fault, checked)
    elif fault.expected:
        message, remedy = _wrong_type(group, fault, checked)
    else:
        message, remedy = _sentence(fault)
    return Problem(checked.tree.nearest(path).place, dotted(path), message, remedy)


def _unknown(fault: _Fault, checked: _Checked) -> tuple[str, str]:
    word, above = str(fault.path[-1]), fault.path[:-1]
    known = {*_fields_at(checked.model, checked.data, above), *(() if above else checked.also)}
    near = did_you_mean(word, known) or _deeper(word, above, checked.model) if checked.hints else ""
    remedy = near or f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {word!r}", remedy


def _deeper(word: str, above: Keys, model: type[BaseModel]) -> str:
    """A recipe's key that was written without its section."""
    if above or word == "kind":
        return ""
    for section, held in model.model_fields.items():
        listed = get_origin(held.annotation) in (list, tuple)
        if not listed and any(word in inner.model_fields for inner in _models_in(model, section)):
            return f"did you mean {f'{section}.{word}'!r}?"
    return ""


def _wrong_type(group: Sequence[_Fault], fault: _Fault, checked: _Checked) -> tuple[str, str]:
    expected = " or ".join(dict.fromkeys(fault.expected for fault in group if fault.expected))
    literals = [word for f in group for word in _literals(f)]
    remedy = did_you_mean(fault.value, literals) if isinstance(fault.value, str) else ""
    if (
        isinstance(fault.value, str)
        and _A_KIND.fullmatch(fault.value)
        and "kind" in _fields_at(checked.model, checked.data, fault.path)
    ):
        remedy = f"write {{kind: {fault.value}}}"
    return f"must be {expected}, not {shown(fault.value)}", remedy


def _missing(names: Sequence[str], fault: _Fault) -> tuple[str, str]:
    if names[0].isdigit():
        return f"has too few values ({len(fault.value)})", ""
    remedy = "write 'recipe: 1', the format of recipes" if names[0] == "recipe" else ""
    return f"missing key{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}", remedy


def _literals(fault: _Fault) -> list[str]:
    if fault.kind != "literal_error":
        return []
    return [
        word.strip("' ") for word in str(fault.details["ctx"]["expected"]).replace(" or ", ",").split(",")
    ]


_Say = Callable[[Mapping[str, Any], str], str]
_SENTENCES: dict[str, _Say] = {
    "greater_than": lambda ctx, value: f"must be above {_number(ctx['gt'])}, not {value}",
    "greater_than_equal": lambda ctx, value: f"must be at least {_number(ctx['ge'])}, not {value}",
    "less_than": lambda ctx, value: f"must be below {_number(ctx['lt'])}, not {value}",
    "less_than_equal": lambda ctx, value: f"must be at most {_number(ctx['le'])}, not {value}",
    "multiple_of": lambda ctx, value: f"must be a multiple of {_number(ctx['multiple_of'])}, not {value}",
    "finite_number": lambda _, value: f"must be a finite number, not {value}",
    "too_short": lambda ctx, _: f"must have at least {ctx['min_length']} values, not {ctx['actual_length']}",
    "too_long": lambda ctx, _: f"must have at most {ctx['max_length']} values, not {ctx['actual_length']}",
    "string_too_short": lambda ctx, value: f"must be at least {ctx['min_length']} long, not {value}",
    "string_too_long": lambda ctx, value: f"must be at most {ctx['max_length']} long, not {value}",
    "string_pattern_mismatch": lambda ctx, value: f"{value} does not match {ctx['pattern']}",
    "union_tag_not_found": lambda _, value: f"must be a mapping with a key 'kind', not {value}",
    "value_error": lambda ctx, _: str(ctx["error"]),
    "assertion_error": lambda ctx, _: str(ctx["error"]),
}


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _sentence(fault: _Fault) -> tuple[str, str]:
    """(message, remedy) of an error that is not about a type, a missing key or an unknown one."""
    context = fault.details.get("ctx", {})
    if fault.kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        remedy = did_you_mean(str(context["tag"]), tags) or f"one of {', '.join(tags)}"
        return f"unknown {_tag_key(fault.details)} {context['tag']!r}", remedy
    say = _SENTENCES.get(fault.kind)
    if say:
        return say(context, shown(fault.value)), ""
    message = fault.details["msg"]
    return message[:1].lower() + message[1:], ""


def _tag_key(details: ErrorDetails) -> str:
    """The key that says which of several sections it is: named by itself, or by a function `_key`."""
    return str(details["ctx"]["discriminator"]).strip("'_()")


def shown(value: Any) -> str:
    """A value as a message shows it: text in quotes and cut short, `a list`, `a mapping`, null."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "...")
    return str(value)


def _fields_at(model: type[BaseModel], data: Node, path: Keys) -> list[str]:
    """Names of the fields that the value at `path` may have."""
    models: list[type[BaseModel]] = [model]
    node: Node | None = data
    for part in path:
        node = node.child(part) if node else None
        if isinstance(part, str):
            models = [found for owner in models for found in _models_in(owner, part)]
    models = _chosen(models, node)
    return sorted({name for found in models for name in found.model_fields})


def _models_in(owner: type[BaseModel], name: str) -> Iterator[type[BaseModel]]:
    field = owner.model_fields.get(name)
    yield from _models_of(field.annotation if field else None)


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_of(argument)


def _chosen(models: list[type[BaseModel]], node: Node | None) -> list[type[BaseModel]]:
    """Of the branches of a union on `kind`, the one that the value chose."""
    kind = node.child("kind") if node else None
    if kind is None:
        return models

    def takes(model: type[BaseModel]) -> bool:
        field = model.model_fields.get("kind")
        return field is not None and kind.plain() in getattr(field.annotation, "__args__", ())

    return list(filter(takes, models)) or models
