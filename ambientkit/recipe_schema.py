"""The JSON schema of a recipe, with the options of every component that is installed.

For editors: completion, hover text and red lines as one types. What loads a recipe is
`recipe_file`; the schema only restates its models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from ambientkit.recipe import FidelitySpec, MetricSpec, Recipe
from ambientkit.registry import Registered, Registry, Spec

_DEFINITIONS = "#/$defs/"

_POSITIONS = {
    ("DataSection", "source"): "dataset",
    ("DiscriminatorDataSection", "source"): "dataset",
    ("Recipe", "measurement"): "measurement",
    ("Recipe", "generator"): "generator",
    ("Recipe", "discriminator"): "discriminator",
    ("Recipe", "objective"): "objective",
    ("FurtherSection", "measurement"): "measurement",
    ("EvaluationSection", "measurement"): "measurement",
    ("Recipe", "fidelity"): "fidelity",
    ("Recipe", "metrics"): "metric",
    ("Recipe", "callbacks"): "callback",
}
_SPECS: dict[str, type[Spec]] = {"fidelity": FidelitySpec, "metric": MetricSpec}


def schema(registry: Registry) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of recipes that use the components of `registry`.

    A recipe that `extends` another may leave anything out, so only its top-level keys are held.
    """
    made = TypeAdapter(Recipe).json_schema(ref_template=_DEFINITIONS + "{model}")
    definitions: dict[str, Any] = made.pop("$defs")
    definitions["Recipe"] = made
    for (owner, key), category in _POSITIONS.items():
        held = definitions[owner]["properties"]
        held[key] = _replaced(held[key], f"{_DEFINITIONS}any.{category}")
    for name in ("Spec", "FidelitySpec", "MetricSpec"):
        del definitions[name]
    for category in dict.fromkeys(_POSITIONS.values()):
        definitions |= _category(category, [entry for entry in registry if entry.category == category])
    definitions["Child"] = _child(made["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ambientkit recipe",
        "if": {"required": ["extends"]},
        "then": {"$ref": f"{_DEFINITIONS}Child"},
        "else": {"$ref": f"{_DEFINITIONS}Recipe"},
        "$defs": definitions,
    }


def _replaced(value: Any, reference: str) -> Any:
    """A field's schema with the reference to a bare spec replaced, however deep it stands."""
    if isinstance(value, dict):
        if str(value.get("$ref", "")).endswith("Spec"):
            return {**value, "$ref": reference}
        return {key: _replaced(inner, reference) for key, inner in value.items()}
    return [_replaced(item, reference) for item in value] if isinstance(value, list) else value


def _child(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with a parent: its top-level keys, each with its description."""
    kept = {
        key: {name: held[name] for name in ("title", "description") if name in held}
        for key, held in properties.items()
    }
    parent = {
        "type": "string",
        "description": "The parent: a YAML file beside this one, or a shipped recipe.",
    }
    return {
        "type": "object",
        "description": "A recipe that says how it differs from its parent.",
        "properties": {"extends": parent, **kept},
        "required": ["extends"],
        "additionalProperties": False,
    }


def _category(category: str, entries: Iterable[Registered]) -> dict[str, Any]:
    """Definitions of a category: each component, and the choice between them by `kind`."""
    definitions: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for entry in entries:
        name = f"{category}.{entry.name.replace('/', '.')}"
        definitions |= _component(entry, name)
        chosen[entry.name] = _DEFINITIONS + name
    definitions[f"any.{category}"] = _choice(chosen)
    return definitions


def _choice(chosen: Mapping[str, str]) -> dict[str, Any]:
    """One of the components, told apart by `kind`; `chosen` refers to them by name."""
    if not chosen:
        return {"not": {}, "description": "No installed plugin offers one."}
    return {
        "type": "object",
        "properties": {"kind": {"enum": list(chosen)}},
        "required": ["kind"],
        "discriminator": {"propertyName": "kind", "mapping": dict(chosen)},
        "oneOf": [{"$ref": reference} for reference in chosen.values()],
    }


def _component(entry: Registered, name: str) -> dict[str, Any]:
    """The definition of one component, and those that its options refer to, under names of their own."""
    template = f"{_DEFINITIONS}{name}.{{model}}"
    options = entry.component.options.model_json_schema(ref_template=template)
    inner = {f"{name}.{model}": held for model, held in options.pop("$defs", {}).items()}
    own = _SPECS.get(entry.category, Spec).model_json_schema()["properties"]
    properties = {**own, **options.get("properties", {})}
    for option, category in entry.component.options.nested.items():
        properties[option] = _replaced(properties[option], f"{_DEFINITIONS}any.{category}")
        inner.pop(f"{name}.Spec", None)
    properties["kind"] = {"const": entry.name, "description": entry.component.summary}
    required = ["kind", *options.get("required", ())]
    options |= {"title": entry.name, "description": entry.component.summary}
    options |= {"properties": properties, "required": required, "additionalProperties": False}
    return {name: options, **inner}
