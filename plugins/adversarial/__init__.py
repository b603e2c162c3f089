"""Adversarial games: what discriminator and generator minimise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .objectives import (
        Hinge,
        LeastSquares,
        NonSaturating,
        Relativistic,
        WassersteinClipped,
        WassersteinPenalised,
    )

AMBIENTKIT_HOOK_API = 1


class PenaltyOptions(Options):
    """Gradient penalties that any game may have."""

    r1: float = Field(0.0, ge=0)
    """Strength of the zero-centred gradient penalty at real measurements: r1 / 2 times the mean squared slope
    of the discriminator (Mescheder et al. 2018); 0: none."""
    r2: float = Field(0.0, ge=0)
    """The same at fake measurements; 0: none."""
    penalty_every: int = Field(1, ge=1)
    """Discriminator updates from one penalty to the next; it then weighs so many times as much (Karras et al.
    2020, app. B). 16 saves most of its cost."""

    def facts(self) -> frozenset[str]:
        """Whether it penalises gradients."""
        return frozenset({"gradient_penalty"} if self.r1 or self.r2 else ())


class HingeOptions(PenaltyOptions):
    """Hinge loss; trains well beside a spectrally normalised discriminator (Lim and Ye 2017)."""


class NonSaturatingOptions(PenaltyOptions):
    """The original game, with the generator's non-saturating loss (Goodfellow et al. 2014)."""


class LsganOptions(PenaltyOptions):
    """Least squares against targets 1 for real and 0 for fake (Mao et al. 2017)."""


class RpganOptions(PenaltyOptions):
    """Each real against the fake beside it, with penalties at both (RpGAN with R1 and R2: R3GAN).

    The fake beside a real one is its own completion, measured anew, where the paper draws both by themselves.
    """

    r1: float = Field(1.0, ge=0)
    """Strength of the zero-centred gradient penalty at real measurements; without penalties the game need
    not converge."""
    r2: float = Field(1.0, ge=0)
    """The same at fake measurements."""


class WganClipOptions(Options):
    """Wasserstein distance, the critic's convolution and linear weights clipped (Arjovsky et al. 2017)."""

    clip: float = Field(0.01, gt=0)
    """Largest absolute weight of the discriminator's convolution and linear layers."""

    def facts(self) -> frozenset[str]:
        """It clips weights."""
        return frozenset({"clips_weights"})


class WganGpOptions(Options):
    """Wasserstein distance, the critic's slope pulled to 1 by a penalty (Gulrajani et al. 2017)."""

    strength: float = Field(10.0, gt=0)
    """Strength of the penalty, lambda in the paper."""
    penalty_every: int = Field(1, ge=1)
    """Discriminator updates from one penalty to the next; it then weighs so many times as much."""

    def facts(self) -> frozenset[str]:
        """It penalises gradients."""
        return frozenset({"gradient_penalty"})


@hookimpl
def register_objectives() -> Iterable[Component]:
    """The adversarial games."""
    yield Component("hinge", HingeOptions, _hinge)
    yield Component("non_saturating", NonSaturatingOptions, _non_saturating)
    yield Component("lsgan", LsganOptions, _lsgan)
    yield Component("rpgan", RpganOptions, _rpgan)
    yield Component("wgan_clip", WganClipOptions, _wgan_clip)
    yield Component("wgan_gp", WganGpOptions, _wgan_gp)


def _hinge(options: HingeOptions, _context: Context) -> Hinge:
    from .objectives import Hinge

    return Hinge(options.r1, options.r2, options.penalty_every)


def _non_saturating(options: NonSaturatingOptions, _context: Context) -> NonSaturating:
    from .objectives import NonSaturating

    return NonSaturating(options.r1, options.r2, options.penalty_every)


def _lsgan(options: LsganOptions, _context: Context) -> LeastSquares:
    from .objectives import LeastSquares

    return LeastSquares(options.r1, options.r2, options.penalty_every)


def _rpgan(options: RpganOptions, _context: Context) -> Relativistic:
    from .objectives import Relativistic

    return Relativistic(options.r1, options.r2, options.penalty_every)


def _wgan_clip(options: WganClipOptions, _context: Context) -> WassersteinClipped:
    from .objectives import WassersteinClipped

    return WassersteinClipped(options.clip)


def _wgan_gp(options: WganGpOptions, _context: Context) -> WassersteinPenalised:
    from .objectives import WassersteinPenalised

    return WassersteinPenalised(options.strength, options.penalty_every)
