"""deepinv's noise models, as laws of standard variables that are in theta.

deepinv draws inside `forward`. Where it does so by the model's `randn_like` and `rand_like`, these
return theta's variables and deepinv's own code makes the noise; the other laws are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from deepinv.physics import (
    GaussianNoise,
    LaplaceNoise,
    NoiseModel,
    RicianNoise,
    SaltPepperNoise,
    UniformNoise,
)
from deepinv.physics.generator import GainGenerator, SigmaGenerator
from torch import Tensor

from ambientkit.interfaces import Shape, Theta

from ..noise.poisson import poisson_quantile
from .noise_options import (
    FisherTippettNoiseOptions,
    GammaNoiseOptions,
    GaussianNoiseOptions,
    LogPoissonNoiseOptions,
    PoissonGaussianNoiseOptions,
    PoissonNoiseOptions,
    UniformGaussianNoiseOptions,
    span,
)
from .operator import Draw, Law

COUNTS = "counts are whole numbers; the gradient is that of their mean"


# Standard variables -----------------------------------------------------------------------------


def _normals(n: int, shape: Shape, generator: torch.Generator) -> Tensor:
    return torch.randn(n, *shape, generator=generator, device=generator.device)


def _uniforms(n: int, shape: Shape, generator: torch.Generator) -> Tensor:
    """Uniform in the open interval: at 0 the noise of deepinv's LaplaceNoise is infinite."""
    tiny = torch.finfo(torch.float32).eps / 4
    return torch.rand(n, *shape, generator=generator, device=generator.device).clamp(min=tiny)


VARIABLES = {"normal": _normals, "normal2": _normals, "uniform": _uniforms, "uniform2": _uniforms}


def _draws(*names: str) -> Draw:
    """Draws standard variables of the picture's shape."""

    def draw(_options: Any, n: int, shape: Shape, generator: torch.Generator) -> Theta:
        return {name: VARIABLES[name](n, shape, generator) for name in names}

    return draw


# Laws that deepinv's own code makes out of theta's variables --------------------------------------


def _replayed(model: NoiseModel, *variables: Tensor) -> NoiseModel:
    """The model, which is given `variables` one after the other where it would draw."""
    left: Iterator[Tensor] = iter(variables)

    def draw(_like: Tensor, **_seed: object) -> Tensor:
        return next(left)

    model.rand_like = model.randn_like = draw
    return model


def _by_deepinv(model: Callable[[Any], NoiseModel], *names: str) -> Law:
    def apply(options: Any, pictures: Tensor, theta: Theta) -> Tensor:
        noisy: Tensor = _replayed(model(options), *(theta[name] for name in names))(pictures)
        return noisy

    return Law(_draws(*names), apply)


def _levels(options: GaussianNoiseOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    levels = SigmaGenerator(*span(options.sigma), rng=generator, device=generator.device)
    return {"sigma": levels.step(n)["sigma"], "normal": _normals(n, shape, generator)}


def _gaussian(_options: GaussianNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    noisy: Tensor = _replayed(GaussianNoise(theta["sigma"]), theta["normal"])(pictures)
    return noisy


def _drawn_level(
    options: UniformGaussianNoiseOptions, n: int, shape: Shape, generator: torch.Generator
) -> Theta:
    low, high = options.sigma
    level = low + (high - low) * torch.rand(n, generator=generator, device=generator.device)
    return {"sigma": level, "normal": _normals(n, shape, generator)}


# Laws that deepinv draws by torch's samplers, which take no variables -----------------------------


def _mean_gradient(noisy: Tensor, mean: Tensor) -> Tensor:
    """`noisy`, bit for bit as good as, with the gradient of its mean."""
    return mean + (noisy - mean).detach()


def _poisson(pictures: Tensor, gain: Tensor, uniform: Tensor) -> Tensor:
    """gain * Poisson(x' / gain), by the inverse of the distribution function at `uniform`."""
    rate = pictures.detach().clamp(0, 1).double() / gain.double()
    counts = poisson_quantile(uniform.double(), rate)
    return _mean_gradient((counts * gain.double()).to(pictures.dtype), pictures)


def _gains(options: PoissonNoiseOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    gains = GainGenerator(*span(options.gain), rng=generator, device=generator.device)
    return {"gain": gains.step(n)["gain"], "uniform": _uniforms(n, shape, generator)}


def _poisson_of(_options: PoissonNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    return _poisson(pictures, theta["gain"].view(-1, 1, 1, 1), theta["uniform"])


def _poisson_gaussian(options: PoissonGaussianNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    counted = _poisson(pictures, pictures.new_full((), options.gain), theta["uniform"])
    return counted + options.sigma * theta["normal"]


def _log_poisson(options: LogPoissonNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    """-log(N / N0) / mu with N of Poisson(N0 exp(-mu x')); no counts, infinite in deepinv, are one count."""
    mean = options.counts * torch.exp(-options.attenuation * pictures.detach().clamp(0, 1).double())
    counts = poisson_quantile(theta["uniform"].double(), mean).clamp(min=1)
    noisy = -torch.log(counts / options.counts) / options.attenuation
    return _mean_gradient(noisy.to(pictures.dtype), pictures)


def _speckle(
    options: GammaNoiseOptions | FisherTippettNoiseOptions, n: int, shape: Shape, generator: torch.Generator
) -> Theta:
    """Gamma of mean 1: the mean of as many exponential variables as there are looks."""
    total = torch.zeros(n, *shape, device=generator.device)
    for _ in range(options.looks):
        total -= torch.log(_uniforms(n, shape, generator))
    return {"speckle": total / options.looks}


def _gamma(_options: GammaNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    return pictures * theta["speckle"]


def _fisher_tippett(_options: FisherTippettNoiseOptions, pictures: Tensor, theta: Theta) -> Tensor:
    """log(exp(x') g) = x' + log(g)."""
    return pictures + torch.log(theta["speckle"])


GAUSSIAN = Law(_levels, _gaussian)
UNIFORM_GAUSSIAN = Law(_drawn_level, _gaussian)
UNIFORM = _by_deepinv(lambda options: UniformNoise(options.amplitude), "uniform")
LAPLACE = _by_deepinv(lambda options: LaplaceNoise(options.scale), "uniform")
RICIAN = _by_deepinv(lambda options: RicianNoise(options.sigma), "normal", "normal2")
SALT_PEPPER = _by_deepinv(
    lambda options: SaltPepperNoise(options.pepper, options.salt), "uniform", "uniform2"
)
POISSON = Law(_gains, _poisson_of, "surrogate", COUNTS)
POISSON_GAUSSIAN = Law(_draws("uniform", "normal"), _poisson_gaussian, "surrogate", COUNTS)
LOG_POISSON = Law(_draws("uniform"), _log_poisson, "surrogate", COUNTS)
GAMMA = Law(_speckle, _gamma)
FISHER_TIPPETT = Law(_speckle, _fisher_tippett)
