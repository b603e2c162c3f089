"""How one of deepinv's operators becomes a sensor: a record of a few functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from deepinv.physics import Physics
from torch import Tensor

from ambientkit.interfaces import Shape, Theta

Draw = Callable[[Any, int, Shape, torch.Generator], Theta]
"""(options, n, image shape, generator) -> what is drawn for n pictures, on the generator's device."""


def nothing(_options: Any, _n: int, _shape: Shape, _generator: torch.Generator) -> Theta:
    """The draw of an operator that is the same for all pictures."""
    return {}


def forward(_options: Any, physics: Physics, pictures: Tensor, parameters: Theta) -> Tensor:
    """deepinv's noiseless measurement under the parameters drawn for each picture."""
    measured: Tensor = physics.A(pictures, **parameters)
    return measured


@dataclass(frozen=True)
class Operator:
    """An operator y = A(x, parameters) + noise.

    - `physics(options, image_shape)` builds deepinv's operator, on the CPU in float32 (see `built_alone`);
    - `draw` draws the parameters of each picture, by deepinv's generators;
    - `apply(options, physics, pictures in [0, 1], parameters)` measures, and gives one real tensor;
    - `gives_pictures`: its values are those of a picture in [0, 1], so y is taken to [-1, 1];
      all other measurements stay in deepinv's units;
    - `known(parameters)` is what the instrument reports;
    - `double`: it is computed in float64 whatever the pictures are in.
    """

    physics: Callable[[Any, Shape], Physics]
    draw: Draw = nothing
    apply: Callable[[Any, Physics, Tensor, Theta], Tensor] = forward
    gives_pictures: bool = False
    known: Callable[[Theta], Theta] | None = None
    double: bool = False


@dataclass(frozen=True)
class Mask:
    """A mask: `observed(theta, image_shape)` is bool (n, 1 or C, H, W), True where a pixel is kept."""

    draw: Draw
    observed: Callable[[Theta, Shape], Tensor]


@dataclass(frozen=True)
class Law:
    """A law of noise: `draw` draws standard variables, of which `apply(options, pictures, theta)` makes it.

    Pictures are in [0, 1].
    """

    draw: Draw
    apply: Callable[[Any, Tensor, Theta], Tensor]
    gradient: Literal["exact", "surrogate"] = "exact"
    gradient_reason: str = ""


@contextmanager
def built_alone() -> Iterator[None]:
    """Build deepinv's objects so that nothing else notices, and always alike.

    deepinv draws from the global generator in places (the power method behind Tomography's norm, though
    it is given a generator): here that is seeded and then put back. Buffers that were made in inference
    mode could not be used in training afterwards.
    """
    with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Complex modules")
            warnings.filterwarnings("ignore", message="Power iteration")  # a norm need not be exact
            warnings.filterwarnings(
                "ignore", message="__array_wrap__"
            )  # scipy's functions of torch's tensors
            yield
