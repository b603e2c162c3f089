"""The contract of discriminators: `check_discriminator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ambientkit.errors import AmbientkitError
from ambientkit.interfaces import Shape, View
from ambientkit.testing.contract import Checks, Finding, Waivers, not_applicable, require
from ambientkit.testing.measurement_case import described
from ambientkit.testing.networks import (
    COUNT,
    SHARED,
    Inputs,
    NetworkCase,
    call,
    offers_features,
    some_observed,
    uniform,
)
from ambientkit.testing.watching import works_first

MANY = 16
"""Views among whose scores one must leave the range of a squashing function."""
WEIGHTS, VALUES = 10.0, 1000.0
"""By how much weights and measurements are multiplied, to see whether scores grow with them."""


@dataclass
class DiscriminatorCase(NetworkCase):
    """A discriminator of measurements of `measured_shape`, any number of axes, under test.

    `known` has the shapes of what the instrument reports; with `observed`, views of pictures say which
    pixels carry information.
    """

    inputs_told = ("view",)
    measured_shape: Shape = (3, 32, 32)
    known: Mapping[str, Shape] = field(default_factory=dict)
    observed: bool = True

    @property
    def image_shaped(self) -> bool:
        """Whether a measurement is (C, H, W)."""
        return len(self.measured_shape) == 3

    def inputs(self, n: int, name: str = "inputs") -> Inputs:
        """A view with all that a sensor says, and a region."""
        y = uniform(n, self.measured_shape, name, "y")
        known = {key: uniform(n, shape, name, key) for key, shape in self.known.items()} or None
        if not self.image_shaped:
            return {"view": View(y, known=known)}
        seen = some_observed(n, *self.measured_shape[-2:])
        return {"view": View(y, seen if self.observed else None, known, ~seen)}

    def without(self) -> Mapping[str, Inputs]:
        """Whatever may be missing of what a view has."""
        view = self.inputs(COUNT)["view"]
        found = {}
        for name in ("observed", "known", "region"):
            if getattr(view, name) is not None:
                found[f"a view without `{name}`"] = {"view": replace(view, **{name: None})}
        return found


DISCRIMINATOR_CHECKS: Checks[DiscriminatorCase] = Checks()
for _shared in SHARED:
    DISCRIMINATOR_CHECKS.add(_shared)


def check_discriminator(
    network: Any,
    measured_shape: Shape = (3, 32, 32),
    known: Mapping[str, Shape] | None = None,
    observed: bool = True,
    *,
    name: str | None = None,
    waived: Waivers | None = None,
) -> list[Finding]:
    """Hold a discriminator to its contract for measurements of `measured_shape`.

    `known` has the shapes of what the instrument reports; `observed=False` is a sensor that does not say
    which pixels it saw.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    case = DiscriminatorCase(network, measured_shape, dict(known or {}), observed)
    return DISCRIMINATOR_CHECKS.require(name or type(network).__name__, case, waived)


@DISCRIMINATOR_CHECKS.add
def scores_have_the_declared_shape(case: DiscriminatorCase) -> None:
    """(n,), or a map (n, 1, h, w), for any n."""
    for n in (1, 2, COUNT):
        shape = tuple(case.result(case.inputs(n)).shape)
        require(
            shape == (n,) or (len(shape) == 4 and shape[:2] == (n, 1)),
            f"scores of a batch of {n} came as {shape}",
            f"return ({n},), as by `.squeeze(1)`, or a map ({n}, 1, h, w)",
        )


@DISCRIMINATOR_CHECKS.add
def scores_are_finite(case: DiscriminatorCase) -> None:
    """Finite, also where measurements are noisy and leave [-1, 1]."""
    inputs = case.inputs(COUNT)
    loud = {"view": replace(inputs["view"], y=10 * inputs["view"].y)}
    for given, what in ((inputs, "values in [-1, 1]"), (loud, "values in [-10, 10]")):
        require(
            bool(torch.isfinite(case.result(given)).all()),
            f"scores of {what} are not finite",
            "look for log, sqrt or a division in `forward`",
        )


@DISCRIMINATOR_CHECKS.add
def scores_are_raw(case: DiscriminatorCase) -> None:
    """No sigmoid or tanh at the end: with larger weights and measurements, scores leave [-1, 1]."""
    largest = max(
        _largest_score(case, weights, values) for weights in (1.0, WEIGHTS) for values in (1.0, VALUES)
    )
    require(
        largest > 1.0,
        f"scores stay within {largest:.3g} of 0 however large weights and measurements are",
        "return raw scores: leave out the sigmoid or tanh at the end, which the objective brings",
    )


@torch.no_grad()
def _largest_score(case: DiscriminatorCase, weights: float, values: float) -> float:
    view = case.inputs(MANY)["view"]
    with case.using() as network:
        for weight in network.parameters():
            weight.mul_(weights)
        scores = call(network, {"view": replace(view, y=view.y * values)})
    return float(scores.float().abs().nan_to_num(torch.inf).max())


@DISCRIMINATOR_CHECKS.add
def gradient_reaches_the_measurement(case: DiscriminatorCase) -> None:
    """The generator learns through it: scores have a gradient by y that is finite and not 0."""
    view = case.inputs(COUNT)["view"]
    y: Tensor = view.y.requires_grad_()
    with case.using(training=True) as network:
        scores = call(network, {"view": view}).float()
        direction = uniform(1, tuple(scores.shape), "direction")[0]
        gradient = torch.autograd.grad((scores * direction).sum(), y, allow_unused=True)[0]
    require(
        gradient is not None and bool((gradient != 0).any()),
        "scores have no gradient by `view.y`, so a generator could not learn from them",
        "leave out .detach(), rounding and comparisons between y and the scores",
    )
    require(
        bool(torch.isfinite(gradient).all()),
        "the gradient by `view.y` is not finite",
        "look for sqrt, log or a division at 0 in `forward`",
    )


@DISCRIMINATOR_CHECKS.add
def any_region_gives_finite_scores(case: DiscriminatorCase) -> None:
    """A region may be empty or the whole picture: some sensors hide nothing in some pictures."""
    if not case.image_shaped:
        not_applicable("measurements are no pictures, so there is no region")
    view = case.inputs(COUNT)["view"]
    regions = {"empty": torch.zeros_like(view.region), "whole": torch.ones_like(view.region)}
    for what, region in regions.items():
        scores = _scores_or_none(case, replace(view, region=region))
        require(
            scores is None or bool(torch.isfinite(scores).all()),
            f"where the region is {what}, scores are not finite",
            "guard a crop or a mean over the region against having no pixel",
        )


@DISCRIMINATOR_CHECKS.add
def features_are_maps_of_the_batch(case: DiscriminatorCase) -> None:
    """What `features` offers: some tensors whose first axis is the batch, with a gradient by y."""
    if not offers_features(case.network):
        not_applicable("it offers no features")
    view = case.inputs(COUNT)["view"]
    y: Tensor = view.y.requires_grad_()
    with case.using(training=True) as network:
        features: Any = network.features
        maps = works_first("`features`", lambda: list(features(view)))
    shapes = [tuple(each.shape) if isinstance(each, Tensor) else described(each) for each in maps]
    require(
        bool(shapes) and all(shape[:1] == (COUNT,) for shape in shapes),
        f"`features` of a batch of {COUNT} returned {shapes or 'nothing'}",
        "return inner maps, first to last, whose first axis is the batch",
    )
    total = torch.stack([each.sum() for each in maps]).sum()
    gradient = torch.autograd.grad(total, y, allow_unused=True)[0] if total.requires_grad else None
    require(
        gradient is not None and bool((gradient != 0).any()),
        "features have no gradient by `view.y`",
        "leave out .detach() and torch.no_grad() in `features`",
    )


def _scores_or_none(case: DiscriminatorCase, view: View) -> Tensor | None:
    try:
        return case.result({"view": view})
    except AmbientkitError:  # a refusal that says why
        return None
