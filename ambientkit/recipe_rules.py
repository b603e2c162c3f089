"""Pairs that cannot work: small rules over what components declare (`Options.facts`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ambientkit.errors import Problem
from ambientkit.names import did_you_mean
from ambientkit.recipe import Choice, Plan, Recipe
from ambientkit.recipe_yaml import Keys, Node, dotted
from ambientkit.registry import Registered, Registry


@dataclass(frozen=True)
class Case:
    """A plan under judgement: where it was written and what its components declare.

    `facts` are by the keys of the component, such as ("measurement",) or ("metrics", 0).
    """

    tree: Node
    plan: Plan
    facts: Mapping[Keys, frozenset[str]]
    registry: Registry

    @property
    def recipe(self) -> Recipe:
        """The recipe's own sections."""
        return self.plan.recipe

    def has(self, fact: str, *keys: str | int) -> bool:
        """Whether the component at `keys` is in the recipe and declares `fact`."""
        return fact in self.facts.get(keys, ())

    def kind(self, *keys: str | int) -> str:
        """The kind of the component at `keys`, in quotes."""
        kind = self.tree.find((*keys, "kind"))
        return repr(kind.value) if kind else "?"

    def listed(self, name: str) -> Iterator[tuple[Keys, frozenset[str]]]:
        """(keys, facts) of each component in the list `name`."""
        yield from ((keys, facts) for keys, facts in self.facts.items() if keys[0] == name)

    def problem(self, keys: Keys, message: str, remedy: str = "", warning: bool = False) -> Problem:
        """A problem at `keys`, placed where that or the nearest thing above it was written."""
        return Problem(self.tree.nearest(keys).place, dotted(keys), message, remedy, warning)

    @property
    def arrives_measured(self) -> bool:
        """The data set delivers measurements; no clean picture exists."""
        return self.has("measured", "data", "source")

    @property
    def tells_observed(self) -> bool:
        """It is known which pixels of the training measurements carry information."""
        return self.has("observed", *(("data", "source") if self.arrives_measured else ("measurement",)))


Rule = Callable[[Case], Iterator[Problem]]


# The sensor -------------------------------------------------------------------------------------


def composite_is_possible(case: Case) -> Iterator[Problem]:
    """Compositing keeps observed pixels: they must be exact and known, and there must be a completion."""
    if not case.recipe.composite:
        return
    sensor = case.kind("measurement")
    off = "set composite: false"
    if not case.has("exact", "measurement"):
        message = f"needs a sensor that leaves observed pixels exact, which measurement {sensor} does not"
        yield case.problem(("composite",), message, off)
    elif not case.tells_observed and not case.has("observed", "measurement"):
        message = f"needs a sensor that says which pixels it observed, which measurement {sensor} does not"
        yield case.problem(("composite",), message, off)
    for role in ("further", "evaluation"):
        keys = (role, "measurement")
        told = role == "evaluation" or case.has("observed", *keys)
        if keys in case.facts and told and not case.has("exact", *keys):
            message = f"{case.kind(*keys)} changes pixels that compositing would keep"
            yield case.problem((*keys, "kind"), message, f"use an exact sensor, or {off}")
    if not case.has("completes", "generator"):
        message = (
            f"needs a generator that completes, but {case.kind('generator')} makes pictures from a latent"
        )
        yield case.problem(("composite",), message, off)


def flip_keeps_the_law(case: Case) -> Iterator[Problem]:
    """Mirroring a measured pair must give one that the sensor could have made."""
    if case.recipe.data.flip and not case.has("flip", "measurement"):
        message = f"measurement {case.kind('measurement')} does not declare mirroring ('flip') symmetric"
        yield case.problem(("data", "flip"), message, "set data.flip: false")


def fresh_needs_clean_data(case: Case) -> Iterator[Problem]:
    """What arrives measured cannot be measured anew."""
    if case.recipe.data.measure == "fresh" and case.arrives_measured:
        message = f"data set {case.kind('data', 'source')} arrives measured and cannot be measured anew"
        yield case.problem(("data", "measure"), message, "set data.measure: once")


def data_masks_need_measured_data(case: Case) -> Iterator[Problem]:
    """A sensor that draws from the data's own masks needs data that have some."""
    for keys in (("measurement",), ("further", "measurement"), ("evaluation", "measurement")):
        if case.has("needs_data_masks", *keys) and not case.arrives_measured:
            message = f"draws from the data's own masks, but data set {case.kind('data', 'source')} has none"
            yield case.problem(
                (*keys, "kind"), message, "use a data set that arrives measured, or another sensor"
            )


def measured_data_are_measured_alike(case: Case) -> Iterator[Problem]:
    """Of data that arrive measured, nothing can be measured but what the generator makes."""
    if not case.arrives_measured:
        return
    source = case.kind("data", "source")
    masked = case.has("observed", "data", "source")
    if masked and not case.has("random", "measurement"):
        message = (
            f"always measures alike, but the holes of data set {source} differ: fakes would be told apart"
        )
        yield case.problem(("measurement", "kind"), message, "use masks_of_data, or the law of the holes")
    if masked != case.has("observed", "measurement"):
        one, other = ("the data say", "the sensor does not")
        remedy = "use a sensor that is like the instrument"
        if not masked:
            one, other = ("the sensor says", f"data set {source} does not say")
            remedy = f"have the data say so (`observed` of measured_array), or {remedy}"
        message = f"{one} which pixels are observed, and {other}: fakes would be told apart"
        yield case.problem(("measurement", "kind"), message, remedy)
    if case.plan.evaluation is not None:
        message = f"data set {source} arrives measured and cannot be measured anew"
        yield case.problem(("evaluation", "measurement"), message, "set evaluation.measurement: null")


def further_is_possible(case: Case) -> Iterator[Problem]:
    """A further measurement hides more of what is known to be observed."""
    if case.plan.further is None:
        return
    keys: Keys = ("further", "measurement", "kind")
    if not case.tells_observed:
        sensor = case.kind("measurement")
        message = f"measurement {sensor} does not say what it observed, so nothing more can be hidden"
        yield case.problem(("further",), message, "set further: null")
    if case.recipe.further and case.recipe.further.completed_first and not case.has("exact", "measurement"):
        sensor = case.kind("measurement")
        message = f"keeps observed pixels, which those of measurement {sensor} are not exact enough for"
        yield case.problem(("further", "completed_first"), message, "set further.completed_first: false")
    if not case.has("observed", "further", "measurement"):
        message = f"{case.kind('further', 'measurement')} does not say which pixels it observed"
        yield case.problem(keys, message, "use a sensor that hides pixels")
    if not case.has("completes", "generator"):
        message = f"generator {case.kind('generator')} reads no measurement, so hiding more changes nothing"
        yield case.problem(("further",), message, "set further: null")


def completed_first_meets_the_holes_of_use(case: Case) -> Iterator[Problem]:
    """The generator learns from the holes of `further` alone then, and fills those of the sensor for it."""
    plan, further = case.plan, case.recipe.further
    used = plan.evaluation or plan.measurement
    if plan.further is None or further is None or not further.completed_first or _alike(plan.further, used):
        return
    message = (
        "has other holes than those that are filled in use: with completed_first it never learns to fill "
        "these, and its own fills of them, which it learns from, may end in one colour"
    )
    remedy = "use the law of the sensor, or set further.completed_first: false"
    yield case.problem(("further", "measurement"), message, remedy, warning=True)


def _alike(one: Choice, other: Choice) -> bool:
    """Whether two sensors have one law of holes; what holes are filled with does not matter."""
    options = (each.options.model_dump(exclude={"fill"}) for each in (one, other))
    return one.registered is other.registered and next(options) == next(options)


def completing_needs_pictures(case: Case) -> Iterator[Problem]:
    """A generator that completes reads pictures as large as those that it makes."""
    if case.has("reshapes", "measurement") and case.has("completes", "generator"):
        message = f"reads pictures, and measurement {case.kind('measurement')} gives another size"
        yield case.problem(
            ("generator", "kind"), message, "use one that makes pictures from a latent (dcgan)"
        )


# The game ---------------------------------------------------------------------------------------


def game_is_whole(case: Case) -> Iterator[Problem]:
    """A discriminator and an objective come together; something must train."""
    given = [name for name in ("discriminator", "objective") if getattr(case.recipe, name) is not None]
    if len(given) == 1:
        other = "objective" if given == ["discriminator"] else "discriminator"
        yield case.problem((given[0],), f"there is no {other}", f"give both, or set {given[0]}: null")
    if not given and not case.recipe.fidelity:
        message = "nothing would train: there is no adversarial game and no fidelity"
        yield case.problem((), message, "give discriminator and objective, or a fidelity")


def game_has_a_gradient(case: Case) -> Iterator[Problem]:
    """What the discriminator says reaches the generator through the sensor."""
    if case.recipe.discriminator is not None and case.has("no_gradient", "measurement"):
        message = f"{case.kind('measurement')} has no gradient: the generator would learn nothing from a game"
        remedy = "use a sensor with a (surrogate) gradient, or set discriminator: null and objective: null"
        yield case.problem(("measurement", "kind"), message, remedy)


def clean_pictures_are_for_a_discriminator(case: Case) -> Iterator[Problem]:
    """Clean pictures of another set are shown to a discriminator, and must be clean."""
    if case.recipe.discriminator_data is None:
        return
    if case.recipe.discriminator is None:
        message = "there is no discriminator to show them to"
        yield case.problem(("discriminator_data",), message, "set discriminator_data: null")
    if case.has("measured", "discriminator_data", "source"):
        message = f"data set {case.kind('discriminator_data', 'source')} has no clean pictures"
        yield case.problem(("discriminator_data", "source", "kind"), message, "use one that has")


def penalty_fits_the_norm(case: Case) -> Iterator[Problem]:
    """A gradient penalty is a picture's own; batch norm mixes pictures (WGAN-GP, sec. 4)."""
    if case.has("gradient_penalty", "objective") and case.has("batch_norm", "discriminator"):
        message = (
            f"objective {case.kind('objective')} penalises gradients, which batch norm mixes between pictures"
        )
        yield case.problem(("discriminator",), message, "set norm: none in the discriminator")


def clipping_fits_the_norm(case: Case) -> Iterator[Problem]:
    """Batch norm rescales what clipping bounds (only the discriminator's weights are clipped)."""
    if case.has("clips_weights", "objective") and case.has("batch_norm", "discriminator"):
        message = f"objective {case.kind('objective')} clips weights, which batch norm rescales again"
        yield case.problem(("discriminator",), message, "norm: none is safer", warning=True)


# Fidelities -------------------------------------------------------------------------------------


COMPARE_COMPLETIONS = frozenset({"needs_completion", "needs_further"})


def fidelities_have_what_they_need(case: Case) -> Iterator[Problem]:
    """Each need that a fidelity declares is met by the recipe."""
    sensor = case.kind("measurement")
    completes = case.has("completes", "generator")
    for keys, facts in case.listed("fidelity"):
        if not completes and facts & COMPARE_COMPLETIONS:
            message = f"generator {case.kind('generator')} completes nothing that it could compare"
            yield case.problem(keys, message, "leave it out")
        further = case.recipe.further
        if "needs_further" in facts and further is None:
            yield case.problem(keys, "needs a further measurement", "set further")
        elif "needs_further" in facts and further is not None and not further.probability:
            message = "needs a further measurement, and further.probability is 0"
            yield case.problem(keys, message, "set further.probability above 0")
        if "needs_observed" in facts and not case.tells_observed:
            message = f"needs to know the observed pixels, which measurement {sensor} does not say"
            yield case.problem(keys, message, "use another sensor or fidelity")
        if "needs_exact" in facts and not case.has("exact", "measurement"):
            message = f"needs observed pixels that are exact, which those of measurement {sensor} are not"
            yield case.problem(keys, message, "use another sensor or fidelity")
        if "needs_latent" in facts and not case.has("latent", "generator"):
            message = f"needs a generator with a latent, and {case.kind('generator')} takes none"
            yield case.problem(keys, message, "set latent_channels in the generator")
        if "needs_features" in facts and not case.has("features", "discriminator"):
            message = "needs a discriminator that offers its features, and there is none"
            yield case.problem(keys, message, "use the discriminator dcgan, sngan or patch")
        if "vanishes_composited" in facts and case.recipe.composite:
            message = "is always 0 where observed pixels are kept, for they are then measured as they were"
            yield case.problem(keys, message, "set composite: false, or use held_out")


def fidelities_are_different(case: Case) -> Iterator[Problem]:
    """Terms are named after their fidelity, so a second one of the kind would take the first one's place."""
    yield from _listed_twice(case, "fidelity", [spec.kind for spec in case.recipe.fidelity])


# Metrics ----------------------------------------------------------------------------------------


def metrics_have_pictures(case: Case) -> Iterator[Problem]:
    """Metrics look at held-out pictures alone."""
    if case.recipe.metrics and case.recipe.data.holdout == 0:
        yield case.problem(("metrics",), "they need held-out pictures", "set data.holdout, such as 500")


def metrics_have_what_they_need(case: Case) -> Iterator[Problem]:
    """No clean picture exists of data that arrive measured; some metrics need to know the holes."""
    role = ("evaluation", "measurement") if case.plan.evaluation else ("measurement",)
    knows_holes = case.has("observed", *(("data", "source") if case.arrives_measured else role))
    completes = case.has("completes", "generator")
    for keys, facts in case.listed("metrics"):
        if {"truth", "observed", "fills"} & facts and not completes:
            message = f"{case.kind(*keys)} judges completions, and {case.kind('generator')} completes nothing"
            yield case.problem(keys, message, "leave it out")
        if "truth" in facts and case.arrives_measured:
            message = f"{case.kind(*keys)} compares with the clean picture, and these data have none"
            yield case.problem(keys, message, _metrics_without_truth(case))
        if "clean" in facts and case.arrives_measured:
            message = f"{case.kind(*keys)} compares with clean pictures, and these data have none"
            yield case.problem(keys, message, _metrics_without_truth(case))
        if "remeasured" in facts and case.has("reshapes", *role):
            message = f"{case.kind(*keys)} looks at measurements as pictures, which these are not"
            yield case.problem(keys, message, "leave it out")
        if "fills" in facts and not case.has("latent", "generator"):
            message = f"{case.kind(*keys)} compares several fills, and {case.kind('generator')} makes one"
            yield case.problem(keys, message, "set latent_channels in the generator, or leave it out")
        if "observed" in facts and not knows_holes:
            sensor = f"{dotted(role)} {case.kind(*role)}"
            message = f"{case.kind(*keys)} needs the observed pixels, which {sensor} does not say"
            yield case.problem(keys, message, "use another metric")


def _metrics_without_truth(case: Case) -> str:
    names = [entry.name for entry in case.registry if entry.category == "metric" and _needs_no_truth(entry)]
    return f"metrics that need none: {', '.join(names)}" if names else "leave it out"


def _needs_no_truth(entry: Registered) -> bool:
    try:
        facts = entry.component.options().facts()
        return facts is not None and not facts & {"truth", "clean"}
    except ValidationError:  # it has options that must be given, so nothing can be said of it here
        return False


def metrics_are_different(case: Case) -> Iterator[Problem]:
    """Figures are logged under the metric's name, so a second one of the kind would overwrite them."""
    yield from _listed_twice(case, "metrics", [spec.kind for spec in case.recipe.metrics])


def _listed_twice(case: Case, name: str, kinds: list[str]) -> Iterator[Problem]:
    for index, kind in enumerate(kinds):
        if kind in kinds[:index]:
            what = "metric" if name == "metrics" else name
            yield case.problem((name, index), f"{what} {kind!r} is listed twice", "leave one out")


def best_is_a_metric(case: Case) -> Iterator[Problem]:
    """The best checkpoint is the best by a metric that is taken."""
    best = case.recipe.train.checkpoints.best
    kinds = [spec.kind for spec in case.recipe.metrics]
    if best is not None and best not in kinds:
        remedy = did_you_mean(best, kinds) or f"add {{kind: {best}}} to metrics"
        yield case.problem(("train", "checkpoints", "best"), f"{best!r} is not among the metrics", remedy)


# The loop ---------------------------------------------------------------------------------------


def schedules_have_something_to_change(case: Case) -> Iterator[Problem]:
    """What a schedule changes must be there."""
    train = case.recipe.train
    kinds = {train.generator_optimizer.kind, train.discriminator_optimizer.kind}
    idle = {
        "beta2": (not kinds & {"adam", "adamw"}, "no optimiser is Adam"),
        "penalty": (not case.has("gradient_penalty", "objective"), "the objective penalises no gradients"),
        "ema": (train.ema_decay is None, "train.ema_decay is null, so no generator is averaged"),
    }
    for name, (nothing, why) in idle.items():
        if nothing and getattr(train.schedules, name) is not None:
            yield case.problem(("train", "schedules", name), why, "leave it out")


def phases_have_players(case: Case) -> Iterator[Problem]:
    """Phases divide a game; alone, a generator needs something else to learn from."""
    phases = case.recipe.train.phases
    if phases and case.recipe.discriminator is None:
        message = "there is no discriminator, so there is nothing to divide"
        yield case.problem(("train", "phases"), message, "set train.phases: []")
    for index, phase in enumerate(phases):
        if phase.players == "generator" and not case.recipe.fidelity:
            message = "alone, the generator would learn nothing: there is no fidelity"
            yield case.problem(("train", "phases", index, "players"), message, "add a fidelity (held_out)")


def batch_splits_evenly(case: Case) -> Iterator[Problem]:
    """Parts of different size would not weigh the same."""
    train = case.recipe.train
    if train.batch_size % train.accumulate:
        message = f"must divide the batch size {train.batch_size}, which {train.accumulate} does not"
        yield case.problem(("train", "accumulate"), message)


def a_shared_pass_serves_two(case: Case) -> Iterator[Problem]:
    """`train.share_forward` shares the generator's pass between two players."""
    if case.recipe.train.share_forward and case.recipe.discriminator is None:
        message = "there is no discriminator to share the generator's pass with"
        yield case.problem(("train", "share_forward"), message, "set train.share_forward: false")


ALL_RULES: tuple[Rule, ...] = (
    composite_is_possible,
    flip_keeps_the_law,
    fresh_needs_clean_data,
    data_masks_need_measured_data,
    measured_data_are_measured_alike,
    further_is_possible,
    completed_first_meets_the_holes_of_use,
    completing_needs_pictures,
    game_is_whole,
    game_has_a_gradient,
    clean_pictures_are_for_a_discriminator,
    penalty_fits_the_norm,
    clipping_fits_the_norm,
    fidelities_have_what_they_need,
    fidelities_are_different,
    metrics_have_pictures,
    metrics_have_what_they_need,
    metrics_are_different,
    best_is_a_metric,
    schedules_have_something_to_change,
    phases_have_players,
    batch_splits_evenly,
    a_shared_pass_serves_two,
)
