"""deepinv's operators that mix channels, bend values or add haze, as records."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import (
    CompressiveSpectralImaging,
    Decolorize,
    Haze,
    HyperSpectralUnmixing,
    Pansharpen,
    Physics,
    SpatialUnwrapping,
)
from deepinv.physics.generator import BernoulliSplittingMaskGenerator
from deepinv.utils import TensorList
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from ambientkit.interfaces import Shape, Theta

from .channel_options import (
    DecolorizeOptions,
    HazeOptions,
    HyperspectralUnmixingOptions,
    PansharpenOptions,
    SpatialUnwrappingOptions,
    SpectralImagingOptions,
)
from .operator import Operator


def _decolorize(options: DecolorizeOptions, shape: Shape) -> Decolorize:
    return Decolorize(channels=shape[0], srf=options.weights)


def _pansharpen(options: PansharpenOptions, shape: Shape) -> Pansharpen:
    return Pansharpen(img_size=shape, factor=options.factor)


def _small_and_grey(
    options: PansharpenOptions, physics: Physics, pictures: Tensor, _parameters: Theta
) -> Tensor:
    small, grey = physics.A(pictures)
    return torch.cat([small, pixel_unshuffle(grey, options.factor)], dim=1)


def _unmixing(options: HyperspectralUnmixingOptions, shape: Shape) -> HyperSpectralUnmixing:
    # deepinv's own spectra, uniform and normalised, but not from the global generator.
    uniform = torch.rand(shape[0], options.bands, generator=torch.Generator().manual_seed(options.seed))
    scale: float = (options.bands / shape[0]) ** 0.5
    return HyperSpectralUnmixing(uniform / (uniform.sum(dim=0, keepdim=True) * scale))


def _coded(options: SpectralImagingOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    masks = BernoulliSplittingMaskGenerator(
        (n, *shape[1:]), options.keep, pixelwise=False, device=generator.device, rng=generator
    )
    return {"mask": masks.step(batch_size=None)["mask"].bool().unsqueeze(1)}


def _spectral(options: SpectralImagingOptions, shape: Shape) -> CompressiveSpectralImaging:
    return CompressiveSpectralImaging(img_size=shape, mode=options.mode, mask=torch.ones(1, *shape))


def _sheared(options: SpectralImagingOptions, physics: Any, pictures: Tensor, parameters: Theta) -> Tensor:
    mask = parameters["mask"].to(pictures.dtype).expand_as(pictures)
    y: Tensor = physics.A(pictures, mask=physics.pad(mask) if options.mode == "ss" else mask)
    return y


def _haze(options: HazeOptions, _shape: Shape) -> Haze:
    return Haze(beta=options.beta)


def _air(options: HazeOptions, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)

    return {"near": uniform(*options.near), "far": uniform(*options.far), "light": uniform(*options.light)}


def _hazy(_options: HazeOptions, physics: Physics, pictures: Tensor, air: Theta) -> Tensor:
    near, far, light = (air[name].view(-1, 1, 1, 1) for name in ("near", "far", "light"))
    height = torch.linspace(1, 0, pictures.shape[-2], device=pictures.device, dtype=pictures.dtype)
    depth = near + (far - near) * height.view(-1, 1)  # (n, 1, H, 1)
    y: Tensor = physics.A(TensorList([pictures, depth, light]))
    return y


def _unwrapping(options: SpatialUnwrappingOptions, _shape: Shape) -> SpatialUnwrapping:
    return SpatialUnwrapping(threshold=options.threshold, mode=options.mode)


def _noise_before(
    options: SpatialUnwrappingOptions, n: int, shape: Shape, generator: torch.Generator
) -> Theta:
    if not options.noise:
        return {}
    return {"before": options.noise * torch.randn(n, *shape, generator=generator, device=generator.device)}


def _wrapped(
    _options: SpatialUnwrappingOptions, physics: Physics, pictures: Tensor, parameters: Theta
) -> Tensor:
    y: Tensor = physics.A(pictures + parameters["before"] if parameters else pictures)
    return y


DECOLORIZE = Operator(_decolorize, gives_pictures=True)
PANSHARPEN = Operator(_pansharpen, apply=_small_and_grey, gives_pictures=True)
HYPERSPECTRAL_UNMIXING = Operator(_unmixing, gives_pictures=True)
SPECTRAL_IMAGING = Operator(_spectral, _coded, _sheared, gives_pictures=True)
HAZE = Operator(_haze, _air, _hazy, gives_pictures=True)
SPATIAL_UNWRAPPING = Operator(_unwrapping, _noise_before, _wrapped)
