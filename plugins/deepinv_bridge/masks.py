"""deepinv's mask generators and masks, as records."""

from __future__ import annotations

import torch
from deepinv.physics import Demosaicing
from deepinv.physics.generator import BernoulliSplittingMaskGenerator, GaussianSplittingMaskGenerator
from torch import Tensor

from ambientkit.interfaces import Shape, Theta

from .mask_options import InpaintingGaussianOptions, InpaintingOptions
from .operator import Mask


def _bernoulli(options: InpaintingOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    # deepinv loops over the batch; asked for one mask of n times as many pixels, it draws them all at once.
    size = (n, shape[0] if options.per_channel else 1, *shape[1:])
    masks = BernoulliSplittingMaskGenerator(
        size, options.keep, pixelwise=False, device=generator.device, rng=generator
    )
    return {"mask": masks.step(batch_size=None)["mask"].bool()}


def _gaussian(options: InpaintingGaussianOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    masks = GaussianSplittingMaskGenerator(
        (1, *shape[1:]),
        options.keep,
        std_scale=options.spread,
        center_block=options.center,
        device=generator.device,
        rng=generator,
    )
    return {"mask": masks.step(batch_size=n)["mask"].bool()}


def _drawn(theta: Theta, _shape: Shape) -> Tensor:
    return theta["mask"]


def _no_mask(_options: object, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    return {"nothing": torch.empty(n, 0, device=generator.device)}


def _bayer(theta: Theta, shape: Shape) -> Tensor:
    rows = next(iter(theta.values()))
    pattern: Tensor = Demosaicing(shape, device=rows.device).mask
    return pattern.bool().expand(len(rows), *shape)


INPAINTING = Mask(_bernoulli, _drawn)
INPAINTING_GAUSSIAN = Mask(_gaussian, _drawn)
DEMOSAICING = Mask(_no_mask, _bayer)
