"""The sensors: deepinv's operators under the contract of `ambientkit.Measurement`.

Pictures are in [-1, 1]; deepinv's are x' = (x + 1) / 2. Theta holds the operator's parameters for each
picture, and the noise; nothing that was drawn is kept in the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.physics import Physics
from torch import Tensor

from ambientkit import Measurement
from ambientkit.errors import DataError, PluginError
from ambientkit.interfaces import Shape, Theta

from .catalogue import name_of
from .common_options import DeepinvOptions, NoisyOptions
from .operator import Law, Mask, Operator, built_alone

BLACK = -1.0
"""deepinv hides by multiplying with 0, which is black."""
NOISE = "noise"
"""Where theta holds standard normal noise of the measurement's shape."""


class _Sensor(Measurement):
    """What all kinds share: declarations out of the options, and a refusal of pictures that do not fit."""

    def __init__(self, options: DeepinvOptions) -> None:
        facts = options.facts()
        self.options: Any = options
        self.random = "random" in facts
        self.exact = "exact" in facts
        self.pixelwise = "pixelwise" in facts
        self.symmetric = facts & {"flip"}
        # Standard deviation, on [0, 1], of the Gaussian noise that is added to the measurement.
        self.noise = options.noise if isinstance(options, NoisyOptions) else 0.0

    def __reduce__(self) -> tuple[Callable[[DeepinvOptions], Measurement], tuple[DeepinvOptions]]:
        # deepinv's objects hold functions that cannot be pickled; the options say all.
        return sensor_of, (self.options,)

    def refuse(self, image_shape: Shape) -> None:
        """Raise DataError where the operator does not take pictures of that shape (C, H, W)."""
        channels, height, width = image_shape
        for complaint in (*self.options.of_channels(channels), *self.options.of_size(height, width)):
            raise DataError(f"{name_of(self.options)}: {complaint.message}; {complaint.remedy}")

    def complete(self, drawn: Theta, n: int, shape: Shape, generator: torch.Generator) -> Theta:
        """What was drawn, with the noise of a measurement of `shape`; never empty."""
        if self.noise:
            drawn[NOISE] = torch.randn(n, *shape, generator=generator, device=generator.device)
        return drawn or {"nothing": torch.empty(n, 0, device=generator.device)}


class OperatorSensor(_Sensor):
    """An operator with parameters for each picture, and Gaussian noise.

    deepinv's objects are built when they are first needed, one for each picture shape, device and dtype.
    """

    def __init__(self, options: DeepinvOptions, operator: Operator) -> None:
        super().__init__(options)
        self.operator = operator
        self._physics: dict[tuple[Shape, torch.device, torch.dtype], Physics] = {}
        self._shapes: dict[Shape, Shape] = {}

    def measured_shape(self, image_shape: Shape) -> Shape:
        """That of a grey picture's measurement. Raises DataError where the operator takes no such picture."""
        image_shape = tuple(image_shape)
        if image_shape not in self._shapes:
            self.refuse(image_shape)
            self._shapes[image_shape] = self._shape_of_one(image_shape)
        return self._shapes[image_shape]

    def _shape_of_one(self, image_shape: Shape) -> Shape:
        try:
            with torch.no_grad():
                drawn = self._drawn(1, image_shape, torch.Generator())
                return tuple(
                    self._measured(
                        torch.zeros(1, *image_shape, dtype=self._exact(torch.float32)), drawn
                    ).shape[1:]
                )
        except ImportError as error:
            remedy = 'run `pip install "ambientkit[deepinv]"`'
            raise PluginError(f"{name_of(self.options)}: {error}; {remedy}") from error
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            size = "x".join(map(str, image_shape))
            raise DataError(
                f"{name_of(self.options)}: deepinv does not take pictures of {size} with these options "
                f"({error}); use another size or other options"
            ) from error

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """The operator's parameters, by deepinv's generators, and the noise."""
        shape = self.measured_shape(image_shape)
        return self.complete(self._drawn(n, image_shape, generator), n, shape, generator)

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """A(x', parameters) + noise; to [-1, 1] where the measurement is a picture."""
        self.measured_shape(tuple(images.shape[1:]))
        work = images.to(self._exact(images.dtype))
        y = self._measured(work, {name: value for name, value in theta.items() if name != NOISE})
        if self.noise:
            y = y + self.noise * theta[NOISE].to(y.dtype)
        return (2 * y - 1 if self.operator.gives_pictures else y).to(images.dtype)

    def known(self, theta: Theta) -> Theta | None:
        """What the instrument reports of its parameters."""
        return self.operator.known(theta) if self.operator.known else None

    def _drawn(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        with torch.no_grad():
            return self.operator.draw(self.options, n, tuple(image_shape), generator)

    def _exact(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float64 if self.operator.double else _exact(dtype)

    def _measured(self, images: Tensor, drawn: Theta) -> Tensor:
        parameters = {name: _cast(value, images.dtype) for name, value in drawn.items() if name != "nothing"}
        pictures = (images.contiguous() + 1) / 2
        return self.operator.apply(self.options, self.physics_for(images), pictures, parameters)

    def physics_for(self, images: Tensor) -> Physics:
        """deepinv's operator for pictures of this shape, on their device and in their dtype."""
        key = (tuple(images.shape[1:]), images.device, images.dtype)
        if key not in self._physics:
            with built_alone():
                physics = self.operator.physics(self.options, key[0])
                self._physics[key] = _converted(physics, images.device, images.dtype)
        return self._physics[key]


class MaskSensor(_Sensor):
    """A mask: kept pixels are selected, so that they stay bit for bit and hidden ones cannot leak.

    The measurement is that of deepinv's Inpainting, which multiplies; its mask generators draw theta.
    """

    fill = BLACK

    def __init__(self, options: DeepinvOptions, mask: Mask) -> None:
        super().__init__(options)
        self.mask = mask

    def measured_shape(self, image_shape: Shape) -> Shape:
        """The picture's. Raises DataError where the mask takes no such picture."""
        self.refuse(tuple(image_shape))
        return image_shape

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """The mask, and the noise."""
        shape = self.measured_shape(tuple(image_shape))
        return self.complete(self.mask.draw(self.options, n, shape, generator), n, shape, generator)

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Kept pixels, with noise if there is any; the others are black."""
        observed = self.observed(theta, tuple(images.shape[1:]))
        # The noise is on [0, 1] in deepinv, half as wide as [-1, 1].
        seen = images + 2 * self.noise * theta[NOISE].to(images.dtype) if self.noise else images
        return torch.where(observed, seen, BLACK)

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1 or C, H, W), True where a pixel is kept."""
        self.refuse(tuple(image_shape))
        return self.mask.observed(theta, tuple(image_shape))


class NoiseSensor(_Sensor):
    """One of deepinv's noise models; theta holds standard variables, of which the law makes the noise."""

    def __init__(self, options: DeepinvOptions, law: Law) -> None:
        super().__init__(options)
        self.law = law
        self.gradient = law.gradient
        self.gradient_reason = law.gradient_reason

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """The law's standard variables, (n, C, H, W), and its levels where they are drawn, (n,)."""
        with torch.no_grad():
            return self.law.draw(self.options, n, tuple(image_shape), generator)

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """The law on x' = (x + 1) / 2, taken back to [-1, 1]."""
        work = images.to(_exact(images.dtype))
        drawn = {name: _cast(value, work.dtype) for name, value in theta.items()}
        noisy = self.law.apply(self.options, (work + 1) / 2, drawn)
        return (2 * noisy - 1).to(images.dtype)


def sensor_of(options: DeepinvOptions) -> Measurement:
    """The sensor of an operator's options."""
    from .table import RECORDS

    record = RECORDS[type(options)]
    if isinstance(record, Operator):
        return OperatorSensor(options, record)
    return MaskSensor(options, record) if isinstance(record, Mask) else NoiseSensor(options, record)


def _exact(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in: there is no spectrum of half-precision pictures, and few kernels."""
    return dtype if dtype == torch.float64 else torch.float32


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Real numbers in `dtype`, complex ones in its complex counterpart, all else as it is."""
    if value.is_complex():
        return value.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
    return value.to(dtype) if value.is_floating_point() else value


def _converted(physics: Physics, device: torch.device, dtype: torch.dtype) -> Physics:
    """deepinv's operator on a device and in a dtype; `Module.to` would drop imaginary parts."""
    physics = physics.to(device)
    for module in physics.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, _cast(buffer, dtype))
    return physics
