"""deepinv's operators that change the resolution, as records."""

from __future__ import annotations

import warnings

import torch
from deepinv.physics import Downsampling, DownsamplingMatlab, Upsampling
from deepinv.physics.generator import DownsamplingGenerator

from ambientkit.interfaces import Shape, Theta

from .operator import Operator
from .resampling_options import (
    DownsamplingMatlabOptions,
    DownsamplingOptions,
    DownsamplingRandomOptions,
    UpsamplingOptions,
    kernel_side,
)


def _kernels(options: DownsamplingRandomOptions, n: int, _shape: Shape, generator: torch.Generator) -> Theta:
    side = kernel_side("gaussian", options.factor)
    kernels = DownsamplingGenerator(
        factors=options.factor, psf_size=(side, side), rng=generator, device=generator.device
    )
    with warnings.catch_warnings():  # deepinv copies the factors by torch.tensor(tensor), which warns
        warnings.simplefilter("ignore", UserWarning)
        return {"filter": kernels.step(n)["filter"]}


def _downsampling(options: DownsamplingOptions, shape: Shape) -> Downsampling:
    return Downsampling(img_size=shape, filter=options.filter, factor=options.factor)


def _with_kernels(options: DownsamplingRandomOptions, shape: Shape) -> Downsampling:
    return Downsampling(img_size=shape, filter="gaussian", factor=options.factor)


def _matlab(options: DownsamplingMatlabOptions, _shape: Shape) -> DownsamplingMatlab:
    return DownsamplingMatlab(factor=options.factor, antialiasing=options.antialias)


def _upsampling(options: UpsamplingOptions, shape: Shape) -> Upsampling:
    size = (shape[0], *(options.factor * side for side in shape[1:]))
    return Upsampling(img_size=size, filter=options.filter, factor=options.factor)


DOWNSAMPLING = Operator(_downsampling, gives_pictures=True)
DOWNSAMPLING_RANDOM = Operator(_with_kernels, _kernels, gives_pictures=True)
DOWNSAMPLING_MATLAB = Operator(_matlab, gives_pictures=True)
UPSAMPLING = Operator(_upsampling, gives_pictures=True)
