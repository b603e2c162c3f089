"""The recipe: the whole experiment as frozen pydantic models, and the plan it resolves to.

Device, precision and output folder are no part of it; they are flags of the command. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ambientkit.errors import Problem
from ambientkit.interfaces import Context
from ambientkit.recipe_train import Count, Section, Seed, TrainSection
from ambientkit.registry import Complaint, Options, Registered, Spec


class FidelitySpec(Spec):
    """A fidelity and its weight in the generator's loss."""

    own_keys: ClassVar[frozenset[str]] = frozenset({"kind", "weight"})

    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Factor of its terms in the generator's loss."""


class MetricSpec(Spec):
    """A metric and how often it is taken."""

    own_keys: ClassVar[frozenset[str]] = frozenset({"kind", "every"})

    every: Count | None = None
    """Steps between evaluations; null: at the start and the end only (which are always taken)."""


class HoldoutRule(Section):
    """Hold out pictures where int(sha1(file name), 16) % one_in == 0, and evaluate on the first of them."""

    one_in: int = Field(ge=2)
    """One picture in so many is held out, by the hash of its file name."""
    first: Count | None = None
    """Evaluate on the first so many of them, in key order; the others are left unused. null: all."""


class DataSection(Section):
    """Where the training pictures come from, and how they are measured."""

    source: Spec
    """The data set."""
    image_size: tuple[Count, Count] | None = None
    """Height and width; null: as the data set has them."""
    holdout: Annotated[int, Field(ge=0)] | HoldoutRule = 0
    """Pictures kept out of training for metrics: how many (those with the smallest name hash), or a rule."""
    seed: Seed = 0
    """Seed of the measurements, apart from the run's seed: runs that share it share a measured store."""
    flip: bool = False
    """Mirror training samples at random; refused unless the sensor declares `flip` symmetric."""
    measure: Literal["once", "fresh"] = "once"
    """`once`: every picture is measured exactly once, the honest setting. `fresh`: anew each time it is
    read, which shows every pixel sooner or later and exists only to reproduce papers that did so."""


class FurtherSection(Section):
    """A further measurement of the training measurements, so that something hidden is known."""

    measurement: Spec
    """The sensor that hides more; use the law of the data's own sensor."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """Share of the pictures that get it."""
    completed_first: bool = False
    """Fill the holes of the measurements first, by the generator as it is: it then learns from pictures with
    one hole, as it meets them in use, and not with two. Costs one more forward pass."""


class DiscriminatorDataSection(Section):
    """Clean pictures of another set, which the discriminator compares with completed ones (unpaired).

    Every result of such a run says that it sees clean pictures.
    """

    source: Spec
    """The data set; its pictures have the shape of the training pictures."""
    holdout: Annotated[int, Field(ge=0)] | HoldoutRule | None = None
    """Pictures of it that are never shown; null: by the rule of `data.holdout`, so that one folder
    can serve both."""


class EvaluationSection(Section):
    """How held-out pictures are measured and completed for the metrics."""

    measurement: Spec | None = None
    """Their sensor; null: the training sensor. Their holes depend on `data.seed` alone."""
    batch_size: Count = 64
    """Pictures completed at a time."""


class Recipe(Section):
    """A whole experiment."""

    recipe: Literal[1]
    """Format number."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Name of the run's folder: letters, digits, `_`, `.` and `-`."""
    seed: Seed = 0
    """Seed of weights, batch order, theta' and latents."""
    data: DataSection
    """The training pictures, and how they become measurements."""
    measurement: Spec
    """The sensor that measured the data, applied with fresh theta' to what the generator makes."""
    generator: Spec
    """The network that completes measurements, or makes pictures from a latent."""
    composite: bool = True
    """Keep observed pixels bit for bit; needs an exact sensor."""
    discriminator: Spec | None = None
    """null, with `objective` null: no adversarial game."""
    objective: Spec | None = None
    """The adversarial game: what generator and discriminator minimise."""
    discriminator_data: DiscriminatorDataSection | None = None
    """Clean pictures in place of the measurements as what is real; null: the measurements, the honest way."""
    further: FurtherSection | None = None
    """Hide more of the measurements, so that something hidden is known; null: nothing more."""
    fidelity: tuple[FidelitySpec, ...] = ()
    """Terms that tie the generator to what was measured."""
    evaluation: EvaluationSection = EvaluationSection()
    """How held-out pictures are measured and completed."""
    train: TrainSection
    """The loop."""
    metrics: tuple[MetricSpec, ...] = ()
    """Figures on held-out pictures."""
    callbacks: tuple[Spec, ...] = ()
    """Observers of the run."""


@dataclass(frozen=True)
class Choice:
    """A component chosen by a recipe, with its options checked; `nested` are the components in them."""

    spec: Spec
    registered: Registered
    options: Options
    nested: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)

    def build(self, context: Context) -> Any:
        """Build the component."""
        inner = {name: tuple(choice.build for choice in choices) for name, choices in self.nested.items()}
        return self.registered.component.build(self.options, replace(context, nested=inner))

    def facts(self) -> frozenset[str] | None:
        """What the component declares (see `Options.facts`); None: build it and look."""
        inner = {name: [choice.facts() for choice in choices] for name, choices in self.nested.items()}
        return self.options.joint_facts(inner)

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """What its options, and those of the components in them, say of a context."""
        yield from self.options.complaints(context)
        for name, choices in self.nested.items():
            for index, inner in enumerate(choices):
                for complaint in inner.complaints(context):
                    yield replace(complaint, field=f"{name}.{index}.{complaint.field}".rstrip("."))
                if "reshapes" in (inner.facts() or ()):  # what comes after it has another size
                    context = replace(context, image_size=None, image_shape=None)

    def all(self) -> Iterator[Choice]:
        """This one, and the components in its options."""
        yield self
        for choices in self.nested.values():
            for choice in choices:
                yield from choice.all()

    def resolved(self) -> dict[str, Any]:
        """`kind`, the engine's own keys and every option with its default, as plain data."""
        own = self.spec.model_dump(mode="json", include=set(self.spec.own_keys))
        inner = {name: [choice.resolved() for choice in choices] for name, choices in self.nested.items()}
        return {**own, **self.options.model_dump(mode="json"), **inner}


@dataclass(frozen=True)
class Plan:
    """A recipe whose every component was found and whose every option was checked."""

    recipe: Recipe
    source: Choice
    measurement: Choice
    generator: Choice
    discriminator: Choice | None
    objective: Choice | None
    further: Choice | None
    evaluation: Choice | None
    fidelities: tuple[Choice, ...]
    metrics: tuple[Choice, ...]
    callbacks: tuple[Choice, ...]
    reference: Choice | None = None
    warnings: tuple[Problem, ...] = ()
    facts: frozenset[str] = frozenset()  # what its components declare, as `Context.facts` has it
    text: str = ""  # the recipe as it was written

    def choices(self) -> Iterator[Choice]:
        """Every component in use, those in the options of others too."""
        for choice in self.chosen():
            yield from choice.all()

    def chosen(self) -> Iterator[Choice]:
        """The components that the recipe's own sections name."""
        single = (self.source, self.measurement, self.generator, self.discriminator, self.objective)
        yield from (choice for choice in (*single, self.reference, self.further, self.evaluation) if choice)
        yield from (*self.fidelities, *self.metrics, *self.callbacks)

    def resolved(self) -> dict[str, Any]:
        """The whole recipe with every default, as plain data that loads to an equal plan."""
        data = self.recipe.model_dump(mode="json")
        for key in ("measurement", "generator", "discriminator", "objective"):
            data[key] = _resolved(getattr(self, key))
        data["data"]["source"] = self.source.resolved()
        data["evaluation"]["measurement"] = _resolved(self.evaluation)
        if self.reference:
            data["discriminator_data"]["source"] = self.reference.resolved()
        if self.further:
            data["further"]["measurement"] = self.further.resolved()
        data["fidelity"] = [choice.resolved() for choice in self.fidelities]
        data["metrics"] = [choice.resolved() for choice in self.metrics]
        data["callbacks"] = [choice.resolved() for choice in self.callbacks]
        unused = "steps" if self.recipe.train.steps is None else "epochs"
        del data["train"][unused]
        return data


def _resolved(choice: Choice | None) -> dict[str, Any] | None:
    return choice.resolved() if choice else None
