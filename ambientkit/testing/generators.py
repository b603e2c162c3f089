"""The contract of generators: `check_generator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ambientkit.errors import InputError
from ambientkit.interfaces import Measured, Shape
from ambientkit.testing.contract import Checks, Finding, Waivers, not_applicable, require
from ambientkit.testing.measurement_case import same
from ambientkit.testing.networks import (
    COUNT,
    SHARED,
    Inputs,
    NetworkCase,
    call,
    some_observed,
    uniform,
)
from ambientkit.testing.watching import require_works_or_refuses

AMPLIFIED = (4.0, 64.0)
"""By how much weights are multiplied, to see whether a range holds for other than first weights."""


@dataclass
class GeneratorCase(NetworkCase):
    """A generator of pictures of `image_shape` (C, H, W) under test.

    `measured_shape` is that of one measurement, None where it is the picture's; `known` has the shapes
    of what the instrument reports. Where y is shaped as a picture, `observed` comes with it.
    """

    inputs_told = ("measured", "latent")
    image_shape: Shape = (3, 32, 32)
    measured_shape: Shape | None = None
    known: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def completes(self) -> bool:
        """Whether it reads what was measured."""
        return bool(getattr(self.network, "completes", True))

    def inputs(self, n: int, name: str = "inputs") -> Inputs:
        """A measurement with hidden pixels, and a latent where the generator takes one."""
        y = uniform(n, self.measured_shape or self.image_shape, name, "y")
        observed = some_observed(n, *self.image_shape[-2:]) if self._shows_pixels else None
        known = {key: uniform(n, shape, name, key) for key, shape in self.known.items()}
        measured = Measured(y if observed is None else torch.where(observed, y, 0.5), observed, known or None)
        return {"measured": measured, "latent": self._latent(n, name)}

    def without(self) -> Mapping[str, Inputs]:
        """Whatever may be missing of what this generator is given."""
        inputs = self.inputs(COUNT)
        measured = inputs["measured"]
        found = {}
        if self.completes:
            found["a measurement without `observed`"] = {
                **inputs,
                "measured": replace(measured, observed=None),
            }
            found["no measurement"] = {**inputs, "measured": None}
        if self.known:
            found["a measurement without `known`"] = {**inputs, "measured": replace(measured, known=None)}
        if inputs["latent"] is not None:
            found["no latent"] = {**inputs, "latent": None}
        return found

    @property
    def _shows_pixels(self) -> bool:
        return (self.measured_shape or self.image_shape)[-2:] == self.image_shape[-2:]

    def _latent(self, n: int, name: str) -> Tensor | None:
        shape = self.network.latent_shape(self.image_shape)
        if shape is None:
            return None
        return torch.randn(n, *shape, generator=torch.Generator().manual_seed(len(name)))


GENERATOR_CHECKS: Checks[GeneratorCase] = Checks()
for _shared in SHARED:
    GENERATOR_CHECKS.add(_shared)


def check_generator(
    network: Any,
    image_shape: Shape = (3, 32, 32),
    measured_shape: Shape | None = None,
    known: Mapping[str, Shape] | None = None,
    *,
    name: str | None = None,
    waived: Waivers | None = None,
) -> list[Finding]:
    """Hold a generator to its contract for pictures of `image_shape` (C, H, W).

    `measured_shape` is the shape of one measurement (None: the picture's), `known` has the shapes of what
    the instrument reports.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    case = GeneratorCase(network, image_shape, measured_shape, dict(known or {}))
    return GENERATOR_CHECKS.require(name or type(network).__name__, case, waived)


@GENERATOR_CHECKS.add
def declarations_have_values_that_exist(case: GeneratorCase) -> None:
    """`completes` is a bool, `multiple` counts pixels, `latent_shape` is a shape or None."""
    completes, multiple = getattr(case.network, "completes", None), getattr(case.network, "multiple", None)
    require(isinstance(completes, bool), f"`completes` is {completes!r}", "set it to True or False")
    fine = isinstance(multiple, int) and not isinstance(multiple, bool) and multiple >= 1
    require(
        fine, f"`multiple` is {multiple!r}", "set it to a number of pixels, 1 or more, or inherit Generator"
    )
    latent_shape = getattr(case.network, "latent_shape", None)
    require(callable(latent_shape), "it has no method `latent_shape`", "write it, or inherit Generator")
    shape = latent_shape(case.image_shape) if callable(latent_shape) else None
    sides = shape is None or (isinstance(shape, tuple) and all(isinstance(side, int) for side in shape))
    require(sides, f"`latent_shape` returned {shape!r}", "return a tuple of ints, or None for no latent")
    require(
        completes or shape is not None,
        "it declares neither `completes` nor a latent, so there is nothing to make pictures from",
        "set completes = True, or return a shape from `latent_shape`",
    )


@GENERATOR_CHECKS.add
def pictures_have_the_declared_shape(case: GeneratorCase) -> None:
    """(n, C, H, W) for any n."""
    for n in (1, 2, COUNT):
        shape = tuple(case.result(case.inputs(n)).shape)
        wanted = (n, *case.image_shape)
        require(
            shape == wanted,
            f"a batch of {n} came as {shape}, not {wanted}",
            "return (n, C, H, W) for every n",
        )


@GENERATOR_CHECKS.add
def pictures_lie_between_minus_one_and_one(case: GeneratorCase) -> None:
    """Values are finite and in [-1, 1], whatever the weights."""
    remedy = "end with torch.tanh, or another function into [-1, 1]"
    made = case.result()
    require(bool(torch.isfinite(made).all()), "some values are not finite", "look for log, sqrt or division")
    for factor in (1.0, *AMPLIFIED):
        largest = _largest_value(case, factor)
        when = f" once its weights are {factor:g} times as large" if factor > 1 else ""
        require(largest <= 1.0, f"values reach {largest:.3g}{when}; pictures are in [-1, 1]", remedy)


@torch.no_grad()
def _largest_value(case: GeneratorCase, factor: float) -> float:
    """Of pictures that are made with larger weights; what overflows says nothing."""
    with case.using() as network:
        for weight in network.parameters():
            weight.mul_(factor)
        return float(call(network, case.inputs(COUNT)).nan_to_num(0.0, 0.0, 0.0).abs().max())


@GENERATOR_CHECKS.add
def completes_is_declared_honestly(case: GeneratorCase) -> None:
    """With `completes` the pictures depend on y; without, they need no measurement at all."""
    case.require_steady()
    inputs = case.inputs(COUNT)
    other = {**inputs, "measured": case.inputs(COUNT, "another measurement")["measured"]}
    reads = not same(case.result(inputs), case.result(other))
    if case.completes:
        require(
            reads,
            "`completes` is declared, but another measurement gives the same pictures",
            "read `measured.y`, or declare completes = False",
        )
        return
    require(
        not reads,
        "`completes = False` is declared, but another measurement gives other pictures",
        "declare completes = True",
    )
    with case.using() as network, torch.no_grad():
        made = call(network, {**inputs, "measured": None})
    require(
        same(made, case.result(inputs)),
        "without a measurement the pictures differ",
        "make them from the latent alone, or declare completes = True",
    )


@GENERATOR_CHECKS.add
def the_latent_is_declared_honestly(case: GeneratorCase) -> None:
    """Where `latent_shape` is not None, another latent gives other pictures."""
    inputs = case.inputs(COUNT)
    if inputs["latent"] is None:
        not_applicable("`latent_shape` is None")
    other = {**inputs, "latent": inputs["latent"] + 1.0}
    require(
        not same(case.result(inputs), case.result(other)),
        "`latent_shape` declares a latent, but another latent gives the same pictures",
        "read `latent`, or return None from `latent_shape`",
    )


@GENERATOR_CHECKS.add
def sizes_that_are_multiples_are_completed(case: GeneratorCase) -> None:
    """A network that completes takes any height and width that are multiples of `multiple`, or refuses."""
    if not case.completes or (case.measured_shape or case.image_shape) != case.image_shape:
        not_applicable("it does not complete measurements that are as large as pictures")
    if case.result().shape[1:] != case.image_shape:
        not_applicable("pictures have to have the declared shape first")
    channels, height, width = case.image_shape
    multiple = int(case.network.multiple)
    wider = GeneratorCase(case.network, (channels, height + multiple, width + 2 * multiple), known=case.known)

    def complete() -> None:
        with case.using() as network, torch.no_grad():
            made = call(network, wider.inputs(COUNT))
        require(
            tuple(made.shape[1:]) == wider.image_shape,
            f"pictures of {wider.image_shape} came back as {tuple(made.shape[1:])}",
            "declare the `multiple` that height and width must have",
        )

    what = f"a picture of {wider.image_shape[1]}x{wider.image_shape[2]}, both multiples of {multiple}"
    require_works_or_refuses(what, complete, InputError)
