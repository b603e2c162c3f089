"""What a recipe's sensor does to its data, before anyone trains on it: numbers, warnings, a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from ambientkit.assembly import Opened, build_sensor, open_data
from ambientkit.data import Progress, no_progress, rendered
from ambientkit.errors import FAILURES, InputError, PluginError
from ambientkit.inspecting.further import Further, examine
from ambientkit.inspecting.masks import Gap, collect, compare, pairs
from ambientkit.inspecting.noise import Noise, noise_level
from ambientkit.inspecting.sources import Arrived, Drawn, MaskSource
from ambientkit.inspecting.verdicts import Evidence, Judgement, find_certificate, judge, named
from ambientkit.interfaces import Measured, Measurement, Shape
from ambientkit.levels import to_float
from ambientkit.recipe import Choice, Plan
from ambientkit.registry import Verdict
from ambientkit.streams import stream


@dataclass(frozen=True)
class About:
    """What was inspected. `pictures` counts the training ones; `known` is what the instrument reports."""

    recipe: str
    source: str
    sensor: str
    data_seed: int
    pictures: int
    arrives_measured: bool
    image_shape: Shape
    measured_shape: Shape
    exact: bool
    random: bool
    known: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Shown:
    """Training samples as training gets them, and the pictures (n, C, H, W) where there are clean ones."""

    measured: Measured
    pictures: Tensor | None


@dataclass(frozen=True, eq=False)
class Inspection:
    """All that `Engine.inspect` found.

    `evidence` is None where nothing says which pixels were observed. `gaps` compare the holes of data
    that arrive measured with those of the recipe's sensor. `further` is None where the recipe has no
    further measurement, or nothing says what is observed. `noise` is None for exact sensors.
    """

    about: About
    evidence: Evidence | None
    gaps: tuple[Gap, ...]
    further: Further | None
    noise: Noise | None
    shown: Shown
    warnings: tuple[str, ...]
    judgement: Judgement


@torch.no_grad()
def inspect(plan: Plan, draws: int, samples: int, progress: Progress = no_progress) -> Inspection:
    """Inspect a plan with `draws` draws of theta, and show `samples` samples; nothing is stored.

    The same plan and counts give the same figures. Raises InputError where a count is below 1, DataError
    and PluginError where data and sensor do not fit.
    """
    if min(draws, samples) < 1:
        raise InputError(f"draws is {draws} and samples is {samples}; give at least 1 of each")
    opened = open_data(plan)
    shape = tuple(opened.source.dataset.image_shape)
    drawn = Drawn(opened.source.sensor, shape, draws, plan.recipe.data.seed, "inspect")
    arrived = _arrived(opened, draws)
    claim = _claim(plan.measurement, opened)
    search = claim is None or arrived is not None
    evidence = _evidence(arrived or drawn, drawn.seed, progress, search=search)
    gaps = _against_sensor(evidence, drawn) if arrived and evidence else ()
    further = _further(plan, opened, arrived or drawn, drawn, evidence)
    # Of data that came with masks these decide, not the sensor that the recipe supposes.
    judgement, doubt = judge(opened.source.sensor, None if arrived and evidence else claim, evidence)
    about = _about(plan, opened)
    return Inspection(
        about=about,
        evidence=evidence,
        gaps=gaps,
        further=further,
        noise=None if about.exact else noise_level(opened.source, opened.training, shape),
        shown=_shown(opened, samples),
        warnings=tuple(_warnings(about, doubt, evidence, gaps, further, judgement)),
        judgement=judgement,
    )


def _about(plan: Plan, opened: Opened) -> About:
    sensor, context = opened.source.sensor, opened.context
    return About(
        recipe=plan.recipe.name,
        source=plan.source.registered.name,
        sensor=plan.measurement.registered.name,
        data_seed=plan.recipe.data.seed,
        pictures=len(opened.training),
        arrives_measured=opened.source.dataset.arrives_measured,
        image_shape=tuple(opened.source.dataset.image_shape),
        measured_shape=tuple(context.measured_shape or ()),
        exact=bool(sensor.exact),
        random=bool(sensor.random),
        known=tuple(sorted(context.known_shapes)),
    )


def _arrived(opened: Opened, count: int) -> Arrived | None:
    """At most `count` of the samples that arrived measured, drawn at random."""
    if not opened.source.dataset.arrives_measured:
        return None
    generator = stream(opened.source.seed, "inspect samples")
    order = torch.randperm(len(opened.training), generator=generator)[:count].sort().values
    return Arrived(opened.source.dataset, [opened.training[i] for i in order.tolist()])


def _evidence(origin: MaskSource, seed: int, progress: Progress, *, search: bool) -> Evidence | None:
    """What the masks tell; `search`: also for pixels that are never all seen at once."""
    masks = collect(_watched(origin, progress), seed)
    if masks is None:
        return None
    counted = pairs(masks)
    never = tuple(masks.place(int(site)) for site in (masks.seen.flatten() == 0).nonzero())
    settled = not search or masks.whole or never or counted.told
    certificate = None if settled else find_certificate(masks, origin.batches(masks))
    return Evidence(masks, counted, origin.among, never, certificate, isinstance(origin, Arrived))


def _watched(origin: MaskSource, progress: Progress) -> Iterator[Tensor]:
    done = 0
    for chunk in origin.chunks():
        done += len(chunk)
        progress("drawing masks", done, origin.n)
        yield chunk


def _claim(choice: Choice, opened: Opened) -> tuple[Verdict, str] | None:
    """What the sensor's options claim. Raises PluginError where that is no verdict."""
    sensor = f"measurement {choice.registered.name} ({choice.registered.source})"
    try:
        claim = choice.options.identifiability(opened.context)
    except FAILURES as error:
        raise PluginError(f"{sensor}: identifiability failed: {error!r}") from error
    if claim is not None and claim[0] not in get_args(Verdict):
        allowed = ", ".join(map(repr, get_args(Verdict)))
        raise PluginError(f"{sensor}: identifiability says {claim[0]!r}; it must be one of {allowed}")
    return claim


def _against_sensor(evidence: Evidence, drawn: Drawn) -> tuple[Gap, ...]:
    masks = collect(drawn.chunks(), drawn.seed)
    return compare(evidence.masks, masks) if masks else ()


def _further(
    plan: Plan, opened: Opened, origin: MaskSource, drawn: Drawn, evidence: Evidence | None
) -> Further | None:
    section = plan.recipe.further
    if plan.further is None or section is None or evidence is None:
        return None
    sensor: Measurement = build_sensor(plan.further, opened.context)
    masks = evidence.masks
    again = Drawn(sensor, drawn.shape, masks.n, drawn.seed, "inspect further")
    same = origin is drawn and plan.further.resolved() == plan.measurement.resolved()
    return examine(plan.further.registered.name, section.probability, masks, origin, again, same=same)


def _shown(opened: Opened, count: int) -> Shown:
    source, indices = opened.source, opened.training[:count]
    measured = rendered(source.measure(indices), source.sensor.fill)
    if source.dataset.arrives_measured:
        return Shown(measured, None)
    return Shown(measured, to_float(source.dataset.images(indices), source.dataset.value_range))


# Warnings ---------------------------------------------------------------------------------------


def _warnings(
    about: About,
    doubt: str,
    evidence: Evidence | None,
    gaps: tuple[Gap, ...],
    further: Further | None,
    judgement: Judgement,
) -> Iterator[str]:
    if doubt:
        yield f"{about.sensor}: {doubt}"
    if any(gap.differs for gap in gaps):
        yield f"the data's holes are not of the law of {about.sensor}, which hides the fakes: {told(gaps)}"
    if evidence and evidence.never and judgement.verdict == "identified":
        yield (
            f"determined in principle, but {len(evidence.never)} pixels are in none of {evidence.among}: "
            f"{named(evidence.never)}"
        )
    if evidence and further and evidence.masks.whole < evidence.masks.n:
        yield from _of_further(further)


def _of_further(further: Further) -> Iterator[str]:
    """Where the sensor hides anything, `held_out` should teach just that."""
    if any(gap.differs for gap in further.gaps):
        yield (
            f"the holes of the further measurement {further.sensor} are not of the law of the sensor's, so "
            f"held_out teaches other holes than there are: {told(further.gaps)}"
        )
    if further.untaught:
        yield (
            f"held_out does not teach pixels that the sensor hides and none of {further.masks.n} draws of "
            f"the further measurement does: {named(further.untaught)}"
        )


def told(gaps: tuple[Gap, ...]) -> str:
    """The differences that chance does not explain, with figures."""
    return "; ".join(
        f"{gap.name}{f' {gap.place}' if gap.place else ', mean'} {gap.one:.3g} against {gap.other:.3g}"
        for gap in gaps
        if gap.differs
    )
