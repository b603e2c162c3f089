"""deepinv's blurs and their kernel generators, as records."""

from __future__ import annotations

import torch
from deepinv.physics import Blur, BlurFFT, SpaceVaryingBlur, TiledSpaceVaryingBlur
from deepinv.physics.generator import (
    DiffractionBlurGenerator,
    GaussianBlurGenerator,
    MotionBlurGenerator,
    ProductConvolutionBlurGenerator,
    TiledBlurGenerator,
)

from ambientkit.interfaces import Shape, Theta

from .blur_options import (
    BlurDiffractionOptions,
    BlurFftOptions,
    BlurGaussianOptions,
    BlurMotionOptions,
    SpaceVaryingBlurOptions,
    TiledBlurOptions,
)
from .operator import Operator

Padded = BlurGaussianOptions | BlurMotionOptions | BlurDiffractionOptions
Gaussian = BlurGaussianOptions | BlurFftOptions | SpaceVaryingBlurOptions | TiledBlurOptions


def _kernels(options: Gaussian, generator: torch.Generator) -> GaussianBlurGenerator:
    low, high = options.sigma
    return GaussianBlurGenerator(
        (options.size, options.size),
        sigma_min=low,
        sigma_max=high,
        isotropic=getattr(options, "isotropic", False),
        device=generator.device,
        rng=generator,
    )


def _gaussian(options: Gaussian, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    return {"filter": _kernels(options, generator).step(n)["filter"]}


def _motion(options: BlurMotionOptions, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    kernels = MotionBlurGenerator(
        (options.size, options.size),
        l=options.length,
        sigma=options.amplitude,
        device=generator.device,
        rng=generator,
    )
    return {"filter": kernels.step(n)["filter"]}


def _diffraction(options: BlurDiffractionOptions, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    kernels = DiffractionBlurGenerator(
        (options.size, options.size),
        fc=options.cutoff,
        max_zernike_amplitude=options.aberration,
        pupil_size=(options.pupil, options.pupil),
        device=generator.device,
        rng=generator,
    )
    return {"filter": kernels.step(n)["filter"]}


def _products(options: SpaceVaryingBlurOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    kernels = _kernels(options, generator)
    products = ProductConvolutionBlurGenerator(
        kernels, tuple(shape[1:]), n_eigen_psf=options.terms, device=generator.device, rng=generator
    )
    drawn = products.step(n)
    return {"filters": drawn["filters"], "multipliers": drawn["multipliers"]}


def _tiles(options: TiledBlurOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    tiles = TiledBlurGenerator(
        _kernels(options, generator), options.tile, options.tile // 2, rng=generator, device=generator.device
    )
    return {"filters": tiles.step(n, img_size=tuple(shape[1:]))["filters"]}


def _blur(options: Padded, _shape: Shape) -> Blur:
    return Blur(padding=options.padding)


def _blur_fft(_options: BlurFftOptions, shape: Shape) -> BlurFFT:
    return BlurFFT(img_size=shape)


def _space_varying(options: SpaceVaryingBlurOptions, _shape: Shape) -> SpaceVaryingBlur:
    return SpaceVaryingBlur(padding=options.padding)


def _tiled(options: TiledBlurOptions, _shape: Shape) -> TiledSpaceVaryingBlur:
    return TiledSpaceVaryingBlur(patch_size=options.tile, stride=options.tile // 2, use_fft=False)


BLUR_GAUSSIAN = Operator(_blur, _gaussian, gives_pictures=True)
BLUR_MOTION = Operator(_blur, _motion, gives_pictures=True)
BLUR_DIFFRACTION = Operator(_blur, _diffraction, gives_pictures=True)
BLUR_FFT = Operator(_blur_fft, _gaussian, gives_pictures=True)
SPACE_VARYING_BLUR = Operator(_space_varying, _products, gives_pictures=True)
TILED_BLUR = Operator(_tiled, _tiles, gives_pictures=True)
