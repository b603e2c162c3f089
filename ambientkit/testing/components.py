"""A component as a plugin offers it: its options, its declarations, and the contract of what it builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from ambientkit.descriptions import descriptions
from ambientkit.errors import FAILURES, PluginError
from ambientkit.interfaces import Context
from ambientkit.names import CATEGORIES
from ambientkit.plugins import Plugins
from ambientkit.recipe import Choice
from ambientkit.recipe_check import choose
from ambientkit.registry import KNOWN_FACTS, Complaint, Component, Options, Registered, Spec
from ambientkit.streams import global_stream
from ambientkit.testing.callbacks import CALLBACK_CHECKS, CallbackCase
from ambientkit.testing.contract import Checks, ContractError, Finding, Waivers, not_applicable, require
from ambientkit.testing.datasets import DATASET_CHECKS, DatasetCase
from ambientkit.testing.declared import seen_facts
from ambientkit.testing.discriminators import DISCRIMINATOR_CHECKS, DiscriminatorCase
from ambientkit.testing.fidelities import FIDELITY_CHECKS, FidelityCase
from ambientkit.testing.generators import GENERATOR_CHECKS, GeneratorCase
from ambientkit.testing.measurement import MEASUREMENT_CHECKS
from ambientkit.testing.measurement_case import MeasurementCase, described, same
from ambientkit.testing.metrics import METRIC_CHECKS, MetricCase
from ambientkit.testing.networks import NetworkCase, require_close
from ambientkit.testing.objectives import OBJECTIVE_CHECKS, ObjectiveCase
from ambientkit.testing.watching import advised, require_random_states_kept, works_first

NETWORKS = frozenset({"generator", "discriminator"})
SIZES = ((16, 16), (32, 32), (28, 28), (64, 64), (128, 128))
"""Picture sizes that are tried, one after the other, until a component does not complain."""
CHANNELS = (3, 1, 2)
SIZES_OF_SENSORS = ((16, 20), (32, 36), (64, 72), *SIZES)
HELPFUL = frozenset(
    {
        *(f"dataset:{fact}" for fact in ("clean",)),
        *(f"measurement:{fact}" for fact in ("exact", "observed", "pixelwise", "random", "flip")),
        *(f"further:{fact}" for fact in ("exact", "observed", "pixelwise", "random", "flip")),
        "generator:completes",
    }
)
"""What the other components of an ordinary recipe declare."""


@dataclass
class ComponentCase:
    """A component under test, with chosen options, in a context in which it can work."""

    choice: Choice
    context: Context

    @property
    def category(self) -> str:
        """What it is: `generator`, `dataset` ..."""
        return self.choice.registered.category

    @property
    def options_type(self) -> type[Options]:
        """The class of its options."""
        return self.choice.registered.component.options

    @cached_property
    def built(self) -> Any:
        """The component; leaves the check where it cannot be built."""
        return works_first("`build`", self.build)

    def build(self, seed: int = 0) -> Any:
        """Another one; networks draw their first weights from the global generator, as in a run."""
        with global_stream(seed, "weights", self.category):
            return self.choice.build(self.context)

    def contract(self) -> tuple[Checks[Any], Any]:
        """The checks of its category, and what they are to look at. Raises whatever `build` raises."""
        return CONTRACTS[self.category](self)


def _generator(case: ComponentCase) -> tuple[Checks[Any], Any]:
    shape, context = case.context.image_shape or (3, 32, 32), case.context
    return GENERATOR_CHECKS, GeneratorCase(case.build(), shape, context.measured_shape, context.known_shapes)


def _discriminator(case: ComponentCase) -> tuple[Checks[Any], Any]:
    shape = case.context.measured_shape or case.context.image_shape or (3, 32, 32)
    observed = not case.context.facts or "measurement:observed" in case.context.facts
    checked = DiscriminatorCase(case.build(), shape, case.context.known_shapes, observed)
    return DISCRIMINATOR_CHECKS, checked


def _measurement(case: ComponentCase) -> tuple[Checks[Any], Any]:
    shape = case.context.image_shape or (3, 16, 20)
    return MEASUREMENT_CHECKS, MeasurementCase(case.build(), shape, facts=case.choice.facts())


CONTRACTS: Mapping[str, Callable[[ComponentCase], tuple[Checks[Any], Any]]] = {
    "dataset": lambda case: (DATASET_CHECKS, DatasetCase(case.build())),
    "measurement": _measurement,
    "generator": _generator,
    "discriminator": _discriminator,
    "objective": lambda case: (OBJECTIVE_CHECKS, ObjectiveCase(case.build())),
    "fidelity": lambda case: (FIDELITY_CHECKS, FidelityCase(case.build())),
    "metric": lambda case: (METRIC_CHECKS, MetricCase(case.build())),
    "callback": lambda case: (CALLBACK_CHECKS, CallbackCase(case.build())),
}
COMPONENT_CHECKS: Checks[ComponentCase] = Checks()


def check_component(
    component: Component | Registered | Choice,
    category: str | None = None,
    *,
    options: Options | Mapping[str, Any] | None = None,
    context: Context | None = None,
    plugins: Plugins | None = None,
    waived: Waivers | None = None,
) -> list[Finding]:
    """Build a component with `options` and hold it to its declarations and to its category's contract.

    `category` is needed for a bare Component. `options` are checked ones or plain data; `plugins` are
    needed where they name other components. `context` is what the run knows; without one, a picture size
    is looked for that the component does not complain of. `waived` maps a check's name to why its failure
    is accepted. The component's code is run.

    Returns what every check found. Raises ContractError with all that fail, PluginError where options or
    context cannot be had.
    """
    choice = choice_of(component, category, options, plugins)
    case = ComponentCase(choice, context or fitting_context(choice))
    own = {check.name for check in COMPONENT_CHECKS}
    reasons = dict(waived or {})
    findings = COMPONENT_CHECKS.find(case, {name: reasons.pop(name) for name in [*reasons] if name in own})
    built = next(finding for finding in findings if finding.check == it_can_be_built.__name__)
    if built.outcome == "passed":
        checks, checked = case.contract()
        findings += checks.find(checked, reasons)
    if any(finding.outcome == "failed" for finding in findings):
        raise ContractError(f"{case.category} {choice.registered.name}", findings)
    return findings


def choice_of(
    component: Component | Registered | Choice,
    category: str | None = None,
    options: Options | Mapping[str, Any] | None = None,
    plugins: Plugins | None = None,
) -> Choice:
    """A component with its options checked. Raises PluginError, or RecipeError with every problem."""
    if isinstance(component, Choice):
        return component
    if isinstance(component, Component):
        if category not in CATEGORIES:
            raise PluginError(f"category is {category!r}; give one of {', '.join(CATEGORIES)}")
        component = Registered(category, component.kind, component, "under test")
    if isinstance(options, Options):
        return Choice(Spec(kind=component.name), component, options)
    if plugins is not None:
        return choose(component, dict(options or {}), plugins)
    try:
        checked = component.component.options(**(options or {}))
    except ValidationError as error:
        raise PluginError(f"{component.category} {component.name}: give `options`: {error}") from error
    return Choice(Spec(kind=component.name), component, checked)


def fitting_context(choice: Choice) -> Context:
    """A context of small pictures in which the component complains of nothing, or else warns at most.

    Raises PluginError with its complaint where no size and number of channels will do.
    """
    warned: Context | None = None
    complaints: list[Complaint] = []
    for context in _contexts(sensor=choice.registered.category == "measurement"):
        try:
            found = [each for each in choice.complaints(context) if isinstance(each, Complaint)]
        except FAILURES:  # told by the check of complaints
            return context
        if not found:
            return context
        if warned is None and all(each.warning for each in found):
            warned = context
        complaints = complaints or found
    if warned is None:
        raise PluginError(
            f"{choice.registered.category} {choice.registered.name} complains of every picture size from "
            f"16 to 128: {complaints[0].message}; give a `context` in which it works"
        )
    return warned


def _contexts(sensor: bool) -> Iterator[Context]:
    for channels, size in product(CHANNELS, SIZES_OF_SENSORS if sensor else SIZES):
        shape = (channels, *size)
        masks = _quarters(*size) if sensor else None
        yield Context(size, shape, shape, {"angle": (1,)}, masks, HELPFUL)


def _quarters(height: int, width: int) -> torch.Tensor:
    """Bool (4, 1, H, W): four masks, each of which hides a quarter of the picture."""
    hidden = torch.zeros(4, 1, height, width, dtype=torch.bool)
    for index, (top, left) in enumerate(product((0, height // 2), (0, width // 2))):
        hidden[index, :, top : top + height // 2, left : left + width // 2] = True
    return hidden


# Checks -----------------------------------------------------------------------------------------


@COMPONENT_CHECKS.add
def options_are_described(case: ComponentCase) -> None:
    """The options have a summary, and each of them a sentence."""
    require(
        (case.options_type.__doc__ or "").strip(),
        f"{case.options_type.__name__} has no docstring",
        "write one: its first line is the component's summary",
    )
    bare = case.options_type.model_fields.keys() - descriptions(case.options_type).keys()
    require(not bare, f"{', '.join(sorted(bare))} is not described", "write a docstring below each field")


@COMPONENT_CHECKS.add
def options_survive_a_recipe(case: ComponentCase) -> None:
    """Written as plain data and read again they are the same: a run is resumed from such a file."""
    options = case.choice.options
    plain = options.model_dump(mode="json")
    again = (
        works_first("reading the options", lambda: type(options)(**plain)) if not options.nested else options
    )
    changed = [name for name in plain if getattr(again, name) != getattr(options, name)]
    require(not changed, f"{', '.join(changed)} changes when it is written and read", "use plain types")


@COMPONENT_CHECKS.add
def facts_are_words_that_the_engine_knows(case: ComponentCase) -> None:
    """A misspelt fact would be passed over in silence."""
    facts = case.choice.facts()
    if facts is None:
        not_applicable("`facts` declares nothing")
    require(
        isinstance(facts, frozenset), f"`facts` returned {described(facts)}", "return a frozenset of words"
    )
    known = KNOWN_FACTS[case.category]
    strange = sorted(map(str, (facts or frozenset()) - known))
    require(
        not strange,
        f"`facts` declares {', '.join(strange)}, which are no facts of the category {case.category}",
        f"known are: {', '.join(sorted(known)) or 'none'}",
    )


@COMPONENT_CHECKS.add
def complaints_are_records_about_options(case: ComponentCase) -> None:
    """In any context, `complaints` yields Complaint records whose field is an option, or ""."""
    tiny = Context((1, 1), (1, 1, 1), facts=frozenset({"dataset:clean"}))
    for context in (Context(), case.context, tiny):
        for complaint in case.choice.complaints(context):
            require(
                isinstance(complaint, Complaint),
                f"`complaints` yielded {described(complaint)}",
                "yield ambientkit.Complaint(field, message, remedy)",
            )
            first = complaint.field.partition(".")[0]
            known = not first or first in case.options_type.model_fields
            require(
                known, f"`complaints` names an option {first!r} that is not there", "name one, or write ''"
            )
            require(complaint.message.strip(), "a complaint has no message", "say what cannot work")


@COMPONENT_CHECKS.add
def it_can_be_built(case: ComponentCase) -> None:
    """`build(options, context)` returns an object."""
    remedy = "what cannot be built with options that are accepted is told by `complaints`"
    if case.category == "dataset":
        remedy = "give options with which it can be built, such as the place of its files"
    with advised(remedy):
        built = case.build()
    require(built is not None, "`build` returned None", "return the component")


@COMPONENT_CHECKS.add
def a_data_set_is_the_same_when_it_is_built_again(case: ComponentCase) -> None:
    """`fingerprint` and `keys` are those of the data: by them measured data are found, and runs compared."""
    if case.category != "dataset":
        not_applicable("it is no data set")
    again = works_first("`build`", case.build)
    for name in ("fingerprint", "keys"):
        one, other = (list(getattr(each, name)) for each in (case.built, again))
        require(one == other, f"`{name}` is another one when it is built again", "make it of the data alone")


@COMPONENT_CHECKS.add
def facts_agree_with_what_is_built(case: ComponentCase) -> None:
    """What the options declare is so: recipes are checked by the one, runs go by the other."""
    facts = case.choice.facts()
    if facts is None:
        not_applicable("`facts` declares nothing")
    seen = works_first("what is built", lambda: dict(seen_facts(case.category, case.built)))
    declared = {name: any(fact in (facts or ()) for fact in name.split(" or ")) for name in seen}
    wrong = [
        f"`facts` {'declares' if declared[name] else 'does not declare'} {name!r}, which is "
        f"{'true' if holds else 'not true'} of what is built"
        for name, holds in seen.items()
        if holds != declared[name]
    ]
    require(not wrong, "; ".join(wrong), "make `facts` say what these options build")


@COMPONENT_CHECKS.add
def building_leaves_the_global_random_states(case: ComponentCase) -> None:
    """Only networks draw while they are built; the engine sets the generator for them."""
    if case.category in NETWORKS:
        not_applicable("first weights come from the global generator")
    case.built  # noqa: B018 - leaves the check where it cannot be built
    require_random_states_kept(
        lambda: case.choice.build(case.context), "draw from a generator of your own with a fixed seed"
    )


@COMPONENT_CHECKS.add
def first_weights_depend_on_the_seed_alone(case: ComponentCase) -> None:
    """A network built twice from the same stream has the same weights, bit for bit."""
    one, other = (_network(case, seed=0).state_dict() for _ in range(2))
    changed = [name for name, value in one.items() if name not in other or not same(value, other[name])]
    require(
        not changed,
        f"built twice from the same seed, {', '.join(changed)} differ",
        "draw first weights with torch's global generator alone, and keep nothing between builds",
    )


@COMPONENT_CHECKS.add
def weights_fit_another_build(case: ComponentCase) -> None:
    """Weights of one network, loaded into another that was built anew, give the same results."""
    trained, fresh = _network(case, seed=0), _network(case, seed=1)
    fresh.load_state_dict(trained.state_dict())
    require_close(
        _result(case, trained),
        _result(case, fresh),
        "a network that was built anew and loaded with the same weights differs",
        "keep what is drawn at random in parameters or persistent buffers: checkpoints hold only those",
    )


def _network(case: ComponentCase, seed: int) -> nn.Module:
    if case.category not in NETWORKS:
        not_applicable("it is no network")
    built = works_first("`build`", lambda: case.build(seed))
    if not isinstance(built, nn.Module):
        not_applicable("it has to be an nn.Module first")
    network: nn.Module = built
    return network


def _result(case: ComponentCase, network: nn.Module) -> torch.Tensor:
    _, checked = case.contract()
    assert isinstance(checked, NetworkCase)
    return replace(checked, network=network).result()
