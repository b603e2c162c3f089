"""A sensor under test, with pictures and draws for it.

Every call is made on copies and under fixed global random states, so that a sensor which writes into
its arguments or draws from a global generator fails the checks of just that, and not all the others.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ambientkit.errors import FAILURES
from ambientkit.interfaces import Measurement, Shape, Theta
from ambientkit.streams import stream
from ambientkit.testing.contract import Waits, not_applicable

MadeT = TypeVar("MadeT")

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@dataclass
class MeasurementCase:
    """A sensor, the pictures it is tested with, and what it made of them.

    `image_shape` (C, H, W) is a size that the sensor takes; `seed` fixes all pictures and draws;
    `facts` are those of the component's options (`Options.facts()`), None where there are none.
    """

    sensor: Measurement
    image_shape: Shape = (3, 16, 20)
    seed: int = 0
    facts: frozenset[str] | None = None
    count: int = 6

    def pictures(self, n: int, name: str = "pictures", shape: Shape | None = None) -> Tensor:
        """`n` pictures (n, C, H, W) of independent values, uniform in [-1, 1], float32."""
        return torch.rand(n, *(shape or self.image_shape), generator=stream(self.seed, name)) * 2 - 1

    def generator(self, *counters: int | str) -> torch.Generator:
        """A generator whose state is a function of the case's seed and `counters`."""
        return stream(self.seed, "theta", *counters)

    @cached_property
    def images(self) -> Tensor:
        """Pictures for a small batch."""
        return self.pictures(self.count)

    @cached_property
    def theta(self) -> Theta:
        """One draw for `images`. Leaves the check where a second one is another."""
        theta = self.draw(self.count)
        if not equal(theta, self.draw(self.count)):
            not_applicable("`sample` has to draw the same from the same generator state first")
        return theta

    @cached_property
    def y(self) -> Tensor:
        """The measurements of `images` under `theta`. Leaves the check where they are none or vary."""
        y, again = self.y_twice
        if not same(y, again):
            not_applicable("`measure` has to be deterministic first")
        return y

    @cached_property
    def y_twice(self) -> tuple[Tensor, Tensor]:
        """Two measurements of `images` under `theta`. Leaves the check where `measure` returns none."""
        y, again = (_works("measure", lambda: self.measured(self.images, self.theta)) for _ in range(2))
        if not isinstance(y, Tensor) or y.dim() < 1 or len(y) != self.count:
            not_applicable(f"`measure` has to be right first: it returned {described(y)}")
        return y, again

    @cached_property
    def observed(self) -> Tensor:
        """What is observed under `theta`, (n, 1 or C, H, W); leaves the check where the sensor is silent."""
        seen = self.seen(self.theta)
        if seen is None:
            not_applicable("`observed` is None")
        if self.y.dim() != 4 or self.y.shape[-2:] != seen.shape[-2:]:
            not_applicable("`observed` has to be right first: y is not laid out as the picture is")
        return seen

    @cached_property
    def known(self) -> Theta:
        """What the instrument reports under `theta`. Leaves the check where that is nothing."""
        known = self.reported(self.theta)
        if known is None:
            not_applicable("`known` is None")
        return known

    def draw(self, n: int, *counters: int | str) -> Theta:
        """A theta for `n` pictures. Leaves the check where `sample` does not return one."""
        return self.draw_from(n, self.generator(*counters))

    def draw_from(self, n: int, generator: torch.Generator, shape: Shape | None = None) -> Theta:
        """The same from a generator that may have been used before, for pictures of any shape."""
        with fixed_global_states():
            theta = _works("sample", lambda: self.sensor.sample(n, shape or self.image_shape, generator))
        complaint = tensors_complaint(theta, n)
        if complaint:
            not_applicable(f"`sample` has to be right first: {complaint}")
        return theta

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Measurements of other pictures, once the sensor can measure ordinary ones."""
        self.y  # noqa: B018 - leaves the check where not even that works
        return self.measured(images, theta)

    def measured(self, images: Tensor, theta: Theta) -> Tensor:
        """`sensor.measure` on copies, under fixed global random states."""
        with fixed_global_states():
            return self.sensor.measure(images.clone(), copied(theta))

    def twin(self) -> Measurement:
        """A copy of the sensor that may be spoilt. Leaves the check where it cannot be copied."""
        return _works("copy.deepcopy", lambda: copy.deepcopy(self.sensor))

    def seen(self, theta: Theta, shape: Shape | None = None) -> Tensor | None:
        """`sensor.observed`; leaves the check where it is no mask of the pictures."""
        shape = shape or self.image_shape
        n = size_of(theta)
        with fixed_global_states():
            seen = _works("observed", lambda: self.sensor.observed(copied(theta), shape))
        complaint = mask_complaint(seen, n, shape)
        if complaint:
            not_applicable(f"`observed` has to be right first: {complaint}")
        return seen

    def reported(self, theta: Theta) -> Theta | None:
        """`sensor.known`; leaves the check where it is no dict of tensors."""
        with fixed_global_states():
            known = _works("known", lambda: self.sensor.known(copied(theta)))
        complaint = None if known is None else tensors_complaint(known, size_of(theta))
        if complaint:
            not_applicable(f"`known` has to be right first: {complaint}")
        return known


def _works(method: str, call: Callable[[], MadeT]) -> MadeT:
    """What a method returns; leaves the check where it raises: the check of that method says why."""
    try:
        return call()
    except FAILURES as error:
        raise Waits(f"`{method}` has to work first: {type(error).__name__}: {error}") from error


@contextmanager
def fixed_global_states() -> Iterator[None]:
    """Fix the global random states of Python, NumPy and torch's CPU, and put them back afterwards."""
    before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.random.set_rng_state(before[2])


def copied(theta: Theta) -> Theta:
    """Theta whose tensors may be written into."""
    return {name: value.clone() for name, value in theta.items()}


def rows(theta: Theta, start: int, stop: int) -> Theta:
    """The part of theta for some pictures of the batch."""
    return {name: value[start:stop] for name, value in theta.items()}


def size_of(theta: Theta) -> int:
    """Number of pictures that theta is for."""
    return len(next(iter(theta.values())))


def equal(a: Theta, b: Theta) -> bool:
    """Whether two thetas hold the same names and bits (NaN equals NaN)."""
    return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same; NaN equals NaN."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(unequal(a, b).logical_not().all())


def unequal(a: Tensor, b: Tensor) -> Tensor:
    """Bool, True where two tensors of one shape differ; NaN equals NaN."""
    return (a != b) & ~((a != a) & (b != b))  # noqa: PLR0124 - NaN, for every dtype


def difference(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference, infinite where only one of two is finite."""
    gap = (a.double() - b.double()).abs().where(unequal(a, b), 0.0)
    return float(gap.nan_to_num(torch.inf).max()) if gap.numel() else 0.0


def first(where: Tensor) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(where.nonzero()[0].tolist())


def described(value: object) -> str:
    """A value for a message: a tensor by its shape and dtype, all else by its type."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    return f"a {type(value).__name__}"


def tensors_complaint(tensors: object, n: int, device: str | torch.device = "cpu") -> str:
    """Why `tensors` is no dict of tensors with first axis n on `device`, or ""."""
    if not isinstance(tensors, Mapping):
        return f"it is {described(tensors)}, not a dict of tensors"
    if not tensors:
        return "the dict is empty, so nothing says how many pictures there are"
    complaints = (_tensor_complaint(name, value, n, torch.device(device)) for name, value in tensors.items())
    return next(filter(None, complaints), "")


def _tensor_complaint(name: object, value: object, n: int, device: torch.device) -> str:
    if not isinstance(name, str):
        return f"the key {name!r} is no text"
    if not isinstance(value, Tensor):
        return f"{name!r} is {described(value)}, not a tensor"
    if value.dim() < 1 or len(value) != n:
        return f"{name!r} is {described(value)}, but its first axis must be n = {n}"
    if value.device.type != device.type:
        return f"{name!r} is on {value.device}, not on {device}"
    if value.requires_grad:
        return f"{name!r} requires a gradient; what is drawn is no weight"
    return ""


def mask_complaint(seen: object, n: int, shape: Shape) -> str:
    """Why `seen` is no bool mask (n, 1 or C, H, W) of pictures of `shape`, or ""; None is one."""
    if seen is None:
        return ""
    allowed = {(n, channels, *shape[-2:]) for channels in (1, shape[0])}
    if isinstance(seen, Tensor) and seen.dtype == torch.bool and tuple(seen.shape) in allowed:
        return ""
    wanted = " or ".join(map(str, sorted(allowed)))
    return f"it is {described(seen)}, but must be bool and {wanted}"
