"""From a plan to the things that run: data, sensor, networks, objective."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import nn

from ambientkit.arrived import hidden_in, require_of_the_sensor
from ambientkit.cached import describe_data, describe_store, find_or_make
from ambientkit.containment import blame
from ambientkit.data import (
    Batches,
    FreshSamples,
    HoldOut,
    Progress,
    Samples,
    Source,
    StoredSamples,
    hold_out,
    no_progress,
    split,
)
from ambientkit.data_check import require_sound
from ambientkit.draws import draw_latent, drawn
from ambientkit.errors import FAILURES, AmbientkitError, DataError, InputError, PluginError
from ambientkit.finite import FiniteWatch
from ambientkit.interfaces import Context, Dataset, Measured, Measurement, Metric, Shape, Theta, View
from ambientkit.machine import Machine, critic_of
from ambientkit.mishaps import out_of_memory
from ambientkit.optim import build_optimizer
from ambientkit.recipe import Choice, Plan
from ambientkit.returned import require_latent, require_network, require_objective
from ambientkit.round_trip import Method
from ambientkit.sensor_check import require_as_declared, require_members, require_sensor
from ambientkit.shared_norm import share_batch_norms
from ambientkit.store import (
    FORMAT,
    StoreWriter,
)
from ambientkit.streams import global_stream, stream
from ambientkit.updates import Game, Player

log = logging.getLogger("ambientkit")


@dataclass(frozen=True)
class Data:
    """What training gets (`samples`), what only evaluation gets (`held_out`), and what the data are."""

    samples: Samples
    held_out: HoldOut | None
    image_shape: Shape
    fingerprint: str
    skipped: tuple[str, ...]
    context: Context
    reference: Samples | None = None  # clean pictures of another set, for the discriminator alone


def build_sensor(choice: Choice, context: Context) -> Measurement:
    """A sensor, tried on two pictures and held to what its options declared. Raises PluginError."""
    sensor: Measurement = build(choice, context)
    require_members(sensor)
    require_as_declared(choice.registered.name, choice.facts(), sensor)
    if context.image_shape is not None:
        require_sensor(sensor, context.image_shape)
    return sensor


def build(choice: Choice, context: Context) -> Any:
    """Build a component; what goes wrong in a plugin's code is told with the plugin's name."""
    name = f"{choice.registered.category} {choice.registered.name} ({choice.registered.source})"
    try:
        built = choice.build(context)
    except AmbientkitError:
        raise
    except FAILURES as error:
        if out_of_memory(error):
            raise
        raise PluginError(f"{name} could not be built: {error!r}") from error
    if built is None or isinstance(built, type):
        what = "None" if built is None else f"the class {built.__name__}"
        raise PluginError(f"{name}: `build` returned {what}; return the component")
    return built


# Data -------------------------------------------------------------------------------------------


def prepare_data(plan: Plan, cache: Path, progress: Progress = no_progress) -> tuple[Data, Measurement]:
    """Read the data set, measure each picture once (or find that done), and set the held-out apart."""
    opened = open_data(plan)
    source, dataset, context = opened.source, opened.source.dataset, opened.context
    samples = _samples(plan, source, opened.training, cache, progress)
    held_out = held_out_of(plan, opened)
    shape = tuple(dataset.image_shape)
    reference, left_out = _reference(plan, opened, cache, progress) if plan.reference else (None, ())
    skipped = (*dataset.skipped, *left_out)
    data = Data(samples, held_out, shape, dataset.fingerprint, skipped, context, reference)
    return data, source.sensor


class _AsTheyAre(Measurement):
    """Clean pictures, where a discriminator is shown those."""

    random = False
    exact = True

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """Nothing is drawn."""
        return {"nothing": torch.zeros(n, 0, device=generator.device)}

    def measure(self, images: torch.Tensor, theta: Theta) -> torch.Tensor:
        """The images themselves."""
        return images


def _reference(
    plan: Plan, opened: Opened, cache: Path, progress: Progress
) -> tuple[Samples, tuple[str, ...]]:
    """The pictures of `discriminator_data`, and the names of those left out.

    Unless the section has a hold-out of its own, a picture that is held out of the training data is not
    shown here either: it is known by its file's name. Raises DataError where they have another shape.
    """
    section, shape = plan.recipe.discriminator_data, tuple(opened.source.dataset.image_shape)
    assert plan.reference is not None and section is not None
    dataset: Dataset = build(plan.reference, Context(image_size=(shape[-2], shape[-1])))
    if tuple(dataset.image_shape) != shape:
        raise DataError(
            f"discriminator_data has pictures of {tuple(dataset.image_shape)}, the training data of {shape}; "
            "they must be alike"
        )
    shown = (
        _not_held_out(plan, opened, dataset)
        if section.holdout is None
        else split(dataset.keys, section.holdout)[0]
    )
    source = Source(dataset, _AsTheyAre(), plan.recipe.data.seed, "reference")
    description = {**describe_data(source, shown), "measurement": "none", "store_format": FORMAT}
    store = find_or_make(source, shown, cache, description, progress)
    return StoredSamples(store, None), tuple(dataset.skipped)


def _not_held_out(plan: Plan, opened: Opened, dataset: Dataset) -> list[int]:
    held = {PurePosixPath(opened.source.dataset.keys[i]).name for i in opened.held}
    shown, _ = split(dataset.keys, plan.recipe.data.holdout)
    shown = [i for i in shown if PurePosixPath(dataset.keys[i]).name not in held]
    if not shown:
        raise DataError("discriminator_data has no picture that is not held out; give it more")
    return shown


@dataclass(frozen=True)
class Opened:
    """A data set and its sensor, with nothing measured yet; indices of training and of held-out pictures."""

    source: Source
    training: list[int]
    held: list[int]
    context: Context


def open_data(plan: Plan) -> Opened:
    """Read the data set, split it and build its sensor. Raises DataError where they do not fit."""
    size = plan.recipe.data.image_size
    dataset: Dataset = build(plan.source, Context(image_size=size))
    require_sound(dataset, size)
    training, held = split(dataset.keys, plan.recipe.data.holdout)
    shape = tuple(dataset.image_shape)
    context = Context(image_size=(shape[-2], shape[-1]), image_shape=shape, facts=plan.facts)
    if dataset.arrives_measured:
        context = replace(context, data_masks=hidden_in(dataset, training))
    sensor = build_sensor(plan.measurement, context)
    context = _with_measurement(context, sensor)
    if dataset.arrives_measured:
        require_of_the_sensor(plan, dataset, training, sensor, context)
    source = Source(dataset, sensor, plan.recipe.data.seed, "measure")
    return Opened(source, training, held, context)


def _with_measurement(context: Context, sensor: Measurement) -> Context:
    """The context, with the shapes of what the sensor delivers."""
    shape = context.image_shape
    assert shape is not None
    known = sensor.known(drawn(sensor, 2, shape, stream(0, "shapes"))) or {}
    shapes = {name: tuple(value.shape[1:]) for name, value in known.items()}
    return replace(context, measured_shape=tuple(sensor.measured_shape(shape)), known_shapes=shapes)


def _samples(plan: Plan, source: Source, indices: list[int], cache: Path, progress: Progress) -> Samples:
    if plan.recipe.data.measure == "fresh":
        return FreshSamples(source, indices)
    description = describe_store(plan, source, indices)
    return StoredSamples(find_or_make(source, indices, cache, description, progress), source.sensor.fill)


def held_out_of(plan: Plan, opened: Opened) -> HoldOut | None:
    """The held-out pictures, measured by the evaluation's sensor; None where there are none."""
    if not opened.held:
        return None
    source = replace(opened.source, stream_name="hold-out")
    if plan.evaluation:
        other = build_sensor(plan.evaluation, opened.context)
        source = replace(source, sensor=_like_the_sensors("evaluation", other, source.sensor))
    return hold_out(source, opened.held, StoreWriter())


def context_of_metrics(context: Context, held: HoldOut | None) -> Context:
    """The context with the shapes of the held-out pictures' measurements: metrics are taken of those."""
    return context if held is None or held.sensor is None else _with_measurement(context, held.sensor)


def _like_the_sensors(section: str, other: Measurement, sensor: Measurement) -> Measurement:
    """`other`; it is said where its holes look otherwise: a network fills well what it was shown."""
    if None not in (other.fill, sensor.fill) and other.fill != sensor.fill:
        log.warning(
            "%s.measurement: its hidden pixels hold %g, those of the sensor %g: a network that reads them "
            "learns to fill holes that it never meets; give both the same `fill`",
            section,
            other.fill,
            sensor.fill,
        )
    return other


def batches(plan: Plan, data: Data) -> Batches:
    """The training batches of a plan."""
    return Batches(data.samples, plan.recipe.train.batch_size, plan.recipe.seed, plan.recipe.data.flip)


def references(plan: Plan, data: Data) -> Batches | None:
    """Batches of the clean pictures that the discriminator is shown, in an order of their own."""
    if data.reference is None:
        return None
    return Batches(
        data.reference, plan.recipe.train.batch_size, plan.recipe.seed, plan.recipe.data.flip, "reference "
    )


# Networks ---------------------------------------------------------------------------------------


def build_game(plan: Plan, context: Context, sensor: Measurement, machine: Machine) -> Game:
    """Networks with weights that depend on the seed alone, their optimisers, objective and fidelities."""
    train = plan.recipe.train
    game = Game(
        method=build_method(plan, context, sensor),
        machine=machine,
        generator=_player(plan, plan.generator, train.generator_optimizer, context, machine),
        gradient_clip=train.gradient_clip,
        accumulate=train.accumulate,
        watch=FiniteWatch(deferred=machine.device.type == "cuda"),
    )
    if plan.discriminator and plan.objective:
        shown = _shown(plan, context)
        game.discriminator = _player(plan, plan.discriminator, train.discriminator_optimizer, shown, machine)
        game.objective = build(plan.objective, context)
        require_objective(game.objective)
        game.offers_features = "features" in (plan.discriminator.facts() or ())
    for choice in plan.fidelities:
        weight = getattr(choice.spec, "weight", 1.0)
        game.fidelities.append((choice.registered.name, weight, build(choice, context)))
    if train.sync_batch_norm:
        _share_batch_norms(game)
    return game


def _share_batch_norms(game: Game) -> None:
    """Raises InputError where there are none: an option must not be without effect."""
    players = [game.generator, *([game.discriminator] if game.discriminator else [])]
    if not sum(share_batch_norms(player.network) for player in players):
        raise InputError("train.sync_batch_norm: neither network has a batch norm; set it to false")


def _shown(plan: Plan, context: Context) -> Context:
    """What a discriminator is shown: measurements, or clean pictures where the recipe gives it those."""
    if plan.reference is None:
        return context
    return replace(context, measured_shape=context.image_shape, known_shapes={})


def build_method(plan: Plan, context: Context, sensor: Measurement) -> Method:
    """The method's fixed parts."""
    assert context.image_shape is not None
    further = (
        _like_the_sensors("further", build_sensor(plan.further, context), sensor) if plan.further else None
    )
    first = plan.recipe.further is not None and plan.recipe.further.completed_first
    return Method(sensor, further, plan.recipe.composite, context.image_shape, first)


def build_network(plan: Plan, choice: Choice, context: Context) -> nn.Module:
    """A network whose first weights depend on (seed, category) alone; the global random state is kept."""
    with global_stream(plan.recipe.seed, "weights", choice.registered.category):
        network: nn.Module = build(choice, context)
    require_network(
        f"{choice.registered.category} {choice.registered.name}", choice.registered.category, network
    )
    return network


def _player(plan: Plan, choice: Choice, optimizer: Any, context: Context, machine: Machine) -> Player:
    network = machine.place(build_network(plan, choice, context)).train()
    return Player(network, build_optimizer(optimizer, network))


def build_metrics(plan: Plan, context: Context) -> dict[str, Metric]:
    """The metrics of a plan by name."""
    return {choice.registered.name: build(choice, context) for choice in plan.metrics}


@torch.no_grad()
def probe(game: Game, real: Measured, clean: bool = False) -> None:
    """Send a picture or two through the networks before a long run begins; they must fit the data.

    `clean`: the discriminator is shown pictures instead of measurements.
    Raises PluginError that names the network and what it returned.
    """
    shape = game.method.image_shape
    few = _first(real, 2)
    n = len(few.y)
    generator = game.generator.network.eval()
    require_latent(generator, shape)
    latent = draw_latent(generator, shape, n, 0, ("probe",), game.machine)  # type: ignore[arg-type]
    made = _attempt("generator", lambda: game.machine.run(generator, few, latent))
    generator.train()
    if tuple(made.shape) != (n, *shape):
        raise PluginError(
            f"the generator returned {tuple(made.shape)} for pictures of {shape}; it must be {(n, *shape)}"
        )
    if game.discriminator is None:
        return
    critic = critic_of(game.machine, game.discriminator.network.eval())
    region = None
    if few.observed is not None:
        region = torch.ones(n, 1, *shape[1:], dtype=torch.bool, device=made.device)
    view = View(made, region=region) if clean else View(few.y, few.observed, few.known, region)
    scores = _attempt("discriminator", lambda: critic(view))
    game.discriminator.network.train()
    if scores.shape[:1] != (n,):
        raise PluginError(
            f"the discriminator returned {tuple(scores.shape)} for {n} pictures; the first axis must be {n}"
        )


def _attempt(what: str, forward: Any) -> torch.Tensor:
    try:
        result: torch.Tensor = forward()
    except AmbientkitError:
        raise
    except FAILURES as error:  # a plugin's network may raise anything
        if out_of_memory(error):
            raise
        found = blame(error, ())
        place = f" ({found.source}, {found.place})" if found else ""
        raise PluginError(f"the {what} does not accept the data: {error!r}{place}") from error
    return result


def _first(real: Measured, count: int) -> Measured:
    known = None if real.known is None else {name: value[:count] for name, value in real.known.items()}
    return Measured(real.y[:count], None if real.observed is None else real.observed[:count], known)
