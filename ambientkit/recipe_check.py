"""From a tree to a plan: the recipe's own shape, every component and its options, then the pairs.

Pairs (see `recipe_rules`) can be judged only between parts that are valid, so a recipe's problems
come in two lots: those of its shape and options, all at once; then, if there are none, those of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Protocol

from ambientkit.errors import FAILURES, AmbientkitError, Place, PluginError, Problem, RecipeError
from ambientkit.interfaces import Context, Measurement
from ambientkit.names import did_you_mean
from ambientkit.recipe import Choice, FidelitySpec, MetricSpec, Plan, Recipe
from ambientkit.recipe_messages import validate
from ambientkit.recipe_rules import ALL_RULES, Case
from ambientkit.recipe_yaml import Keys, Node, dotted, from_plain
from ambientkit.registry import KNOWN_FACTS, Complaint, Registered, Registry, Spec


class PluginSource(Protocol):
    """What is needed of `ambientkit.plugins.Plugins`."""

    @property
    def registry(self) -> Registry:
        """Every usable component."""
        ...

    def explain_missing(self, category: str, name: str) -> str:
        """What to do about a component that is not there."""
        ...


_SINGLE: dict[Keys, str] = {
    ("data", "source"): "dataset",
    ("measurement",): "measurement",
    ("generator",): "generator",
    ("discriminator",): "discriminator",
    ("objective",): "objective",
    ("discriminator_data", "source"): "dataset",
    ("further", "measurement"): "measurement",
    ("evaluation", "measurement"): "measurement",
}
_LISTS: dict[Keys, str] = {("fidelity",): "fidelity", ("metrics",): "metric", ("callbacks",): "callback"}
_SPECS: dict[str, type[Spec]] = {"fidelity": FidelitySpec, "metric": MetricSpec}


def check(tree: Node, plugins: PluginSource, text: str) -> Plan:
    """The plan of a recipe. Raises RecipeError with its problems."""
    problems: list[Problem] = []
    recipe, found = validate(Recipe, tree, tree, ())
    problems += found
    chosen: dict[Keys, Choice] = {}
    for keys, category in _spec_places(tree):
        choice, found = _resolve(tree, keys, category, plugins)
        problems += found
        if choice:
            chosen[keys] = choice
    if recipe is None or problems:
        raise RecipeError(dict.fromkeys(problems))
    return _paired(tree, _plan(recipe, chosen, text), chosen, plugins.registry)


def choose(registered: Registered, options: Mapping[str, Any], plugins: PluginSource) -> Choice:
    """One component with options given as plain data. Raises RecipeError with every problem."""
    plain = {name: str(value) if isinstance(value, PurePath) else value for name, value in options.items()}
    place = Place(f"{registered.category} {registered.name}")
    tree = from_plain(plain, place)
    checked, problems = validate(registered.component.options, tree, tree, ())
    nested, found = _nested(tree, (), registered.component.options.nested, plugins) if checked else ({}, [])
    if checked is None or problems or found:
        raise RecipeError([*problems, *found])
    return Choice(Spec(kind=registered.name), registered, checked, nested)


def _spec_places(tree: Node) -> Iterator[tuple[Keys, str]]:
    """Where the tree names a component, and of what category."""
    for keys, category in _SINGLE.items():
        node = tree.find(keys)
        if node and isinstance(node.value, dict):
            yield keys, category
    for keys, category in _LISTS.items():
        node = tree.find(keys)
        for index, item in enumerate(node.value if node and isinstance(node.value, list) else ()):
            if isinstance(item.value, dict):
                yield (*keys, index), category


def _resolve(
    tree: Node, keys: Keys, category: str, plugins: PluginSource
) -> tuple[Choice | None, list[Problem]]:
    """The component at `keys` with its options; a kind that is not text is the recipe's own problem."""
    node = tree.nearest(keys)
    kind = node.child("kind")
    if kind is None or not isinstance(kind.value, str):
        return None, []
    registered = plugins.registry.find(category, kind.value)
    if registered is None:
        remedy = plugins.explain_missing(category, kind.value)
        where = dotted((*keys, "kind"))
        return None, [Problem(kind.place, where, f"unknown {category} {kind.value!r}", remedy)]
    try:
        return _checked(tree, keys, registered, plugins)
    except FAILURES as error:  # a plugin's own validator may fail in any way
        return None, [_failure(tree, keys, registered, error)]


def _checked(
    tree: Node, keys: Keys, registered: Registered, plugins: PluginSource
) -> tuple[Choice | None, list[Problem]]:
    """The component at `keys` with its options and the components in them, or their problems."""
    node = tree.nearest(keys)
    spec_type = _SPECS.get(registered.category, Spec)
    own = {key: child for key, child in node.value.items() if key not in spec_type.own_keys}
    model = registered.component.options
    options, problems = validate(model, replace(node, value=own), tree, keys, spec_type.own_keys)
    spec, _ = validate(spec_type, node, tree, keys)  # its problems are among the recipe's
    if options is None or spec is None:
        return None, problems
    nested, found = _nested(tree, keys, model.nested, plugins)
    return Choice(spec, registered, options, nested), [*problems, *found]


def _nested(
    tree: Node, keys: Keys, categories: Mapping[str, str], plugins: PluginSource
) -> tuple[dict[str, tuple[Choice, ...]], list[Problem]]:
    """The components in the options at `keys`, by option; `categories` says which options have some."""
    nested: dict[str, tuple[Choice, ...]] = {}
    problems: list[Problem] = []
    for name, category in categories.items():
        listed = tree.find((*keys, name))
        items = listed.value if listed and isinstance(listed.value, list) else ()
        places = [(*keys, name, index) for index in range(len(items))]
        resolved = [_resolve(tree, place, category, plugins) for place in places]
        nested[name] = tuple(choice for choice, _ in resolved if choice)
        problems += [problem for _, found in resolved for problem in found]
    return nested, problems


def _plan(recipe: Recipe, chosen: dict[Keys, Choice], text: str) -> Plan:
    def several(name: str) -> tuple[Choice, ...]:
        return tuple(choice for keys, choice in chosen.items() if keys[0] == name)

    return Plan(
        recipe=recipe,
        source=chosen["data", "source"],
        measurement=chosen["measurement",],
        generator=chosen["generator",],
        discriminator=chosen.get(("discriminator",)),
        objective=chosen.get(("objective",)),
        further=chosen.get(("further", "measurement")),
        evaluation=chosen.get(("evaluation", "measurement")),
        reference=chosen.get(("discriminator_data", "source")),
        fidelities=several("fidelity"),
        metrics=several("metrics"),
        callbacks=several("callbacks"),
        text=text,
    )


# Pairs ------------------------------------------------------------------------------------------


@dataclass
class _Declared:
    """What components declare, and the problems of those that could not even be asked."""

    facts: dict[Keys, frozenset[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def _paired(tree: Node, plan: Plan, chosen: dict[Keys, Choice], registry: Registry) -> Plan:
    """The plan with its warnings, once nothing in it is found impossible."""
    declared = _declared(tree, plan.recipe, chosen)
    case = Case(tree, plan, declared.facts, registry)
    problems = [*declared.problems, *_complaints(case, chosen)]
    problems += [problem for rule in ALL_RULES for problem in rule(case)]
    if any(not problem.warning for problem in problems):
        raise RecipeError(dict.fromkeys(problem for problem in problems if not problem.warning))
    return replace(plan, warnings=tuple(dict.fromkeys(problems)), facts=_all_facts(case, chosen))


def _declared(tree: Node, recipe: Recipe, chosen: dict[Keys, Choice]) -> _Declared:
    result = _Declared()
    context = Context(image_size=recipe.data.image_size)
    for keys, choice in chosen.items():
        try:
            result.facts[keys] = _facts(choice, context)
        except FAILURES as error:
            result.facts[keys] = frozenset()
            result.problems.append(_failure(tree, keys, choice.registered, error))
    return result


_UNDECLARED = {"dataset": frozenset({"clean"}), "generator": frozenset({"completes"})}
"""What the contracts' own defaults say of components that declare nothing."""


def _facts(choice: Choice, context: Context) -> frozenset[str]:
    """What the component declares; a sensor that declares nothing is built and looked at."""
    nested = {
        name: [_facts_of_part(part, context) for part in parts] for name, parts in choice.nested.items()
    }
    facts, category = choice.options.joint_facts(nested), choice.registered.category
    if facts is not None:
        if not isinstance(facts, Set):
            raise TypeError(f"`facts` returned a {type(facts).__name__}; return a frozenset of words")
        _require_known(choice.registered, facts)
        return frozenset(facts)
    if category != "measurement":
        return _UNDECLARED.get(category, frozenset())
    return _facts_of_sensor(choice.build(context), context.image_size)


def _facts_of_part(part: Choice, context: Context) -> frozenset[str]:
    """Those of a component within another, by whose name alone its failure would be told."""
    try:
        return _facts(part, context)
    except FAILURES as error:
        raise PluginError(f"{part.registered.name!r} in it: {_reason(error)}") from error


def _require_known(entry: Registered, facts: Set[str]) -> None:
    """No rule asks for a misspelt fact, so it would be passed over. Raises PluginError."""
    known = sorted(KNOWN_FACTS[entry.category])
    for fact in sorted(map(str, facts - set(known))):
        remedy = did_you_mean(fact, known) or f"known are: {', '.join(known) or 'none'}"
        article = "an" if entry.category == "objective" else "a"
        raise PluginError(
            f"`facts` declares {fact!r}, which is no fact of {article} {entry.category}; {remedy}"
        )


def _facts_of_sensor(sensor: Measurement, size: tuple[int, int] | None) -> frozenset[str]:
    has = {
        "reshapes": size is not None and tuple(sensor.measured_shape((3, *size))[-2:]) != size,
        "exact": sensor.exact,
        "flip": "flip" in sensor.symmetric,
        "observed": getattr(type(sensor), "observed", None) not in (None, Measurement.observed),
        "random": sensor.random,
        "pixelwise": getattr(sensor, "pixelwise", False),
        "no_gradient": getattr(sensor, "gradient", "exact") == "none",
    }
    return frozenset(name for name, holds in has.items() if holds)


def _complaints(case: Case, chosen: dict[Keys, Choice]) -> Iterator[Problem]:
    """What components say of their own options in this recipe."""
    context = Context(image_size=case.recipe.data.image_size, facts=_all_facts(case, chosen))
    for keys, choice in chosen.items():
        yield from _complaints_of(case.tree, keys, choice, context)


def _complaints_of(tree: Node, keys: Keys, choice: Choice, context: Context) -> Iterator[Problem]:
    try:
        complaints = [_complaint(each) for each in choice.complaints(context)]
    except FAILURES as error:
        yield _failure(tree, keys, choice.registered, error)
        return
    for complaint in complaints:
        where = (*keys, *filter(None, complaint.field.split(".")))
        place = tree.nearest(where).place
        yield Problem(place, dotted(where), complaint.message, complaint.remedy, complaint.warning)


def _complaint(given: object) -> Complaint:
    """What a component yields as one. Raises PluginError where it is none."""
    if not isinstance(given, Complaint):
        raise PluginError(
            f"`complaints` yielded a {type(given).__name__}; "
            "yield ambientkit.Complaint(field, message, remedy)"
        )
    return given


def _all_facts(case: Case, chosen: dict[Keys, Choice]) -> frozenset[str]:
    """`measurement:exact` and the like; those of further and evaluation sensors under these names."""
    names: dict[Keys, str] = {
        ("further", "measurement"): "further",
        ("evaluation", "measurement"): "evaluation",
        ("discriminator_data", "source"): "discriminator_data",
    }
    found = set()
    for keys, choice in chosen.items():
        role = names.get(keys, choice.registered.category)
        found |= {f"{role}:{fact}" for fact in case.facts[keys]}
    return frozenset(found)


def _failure(tree: Node, keys: Keys, entry: Registered, error: BaseException) -> Problem:
    """A component that fails while it is asked is a problem of the recipe that names it, no traceback."""
    message = f"{entry.category} {entry.name!r} (from {entry.source}) failed: {_reason(error)}"
    return Problem(tree.nearest(keys).place, dotted(keys), message)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, AmbientkitError) else f"{type(error).__name__}: {error}"
