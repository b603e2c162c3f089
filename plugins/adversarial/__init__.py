"""Adversarial games: what discriminator and generator minimise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .objectives import Hinge, LeastSquares, NonSaturating, WassersteinClipped

AMBIENTKIT_HOOK_API = 1


class _GameOptions(Options):
    def facts(self) -> frozenset[str]:
        """It penalises no gradient and clips no weights."""
        return frozenset()


class HingeOptions(_GameOptions):
    """Hinge loss; trains well beside a spectrally normalised discriminator (Lim and Ye 2017)."""


class NonSaturatingOptions(_GameOptions):
    """The original game, with the generator's non-saturating loss (Goodfellow et al. 2014)."""


class LsganOptions(_GameOptions):
    """Least squares against targets 1 for real and 0 for fake (Mao et al. 2017)."""


class WganClipOptions(Options):
    """Wasserstein distance, the critic's convolution and linear weights clipped (Arjovsky et al. 2017)."""

    clip: float = Field(0.01, gt=0)
    """Largest absolute weight of the discriminator's convolution and linear layers."""

    def facts(self) -> frozenset[str]:
        """It clips weights."""
        return frozenset({"clips_weights"})


@hookimpl
def register_objectives() -> Iterable[Component]:
    """The adversarial games."""
    yield Component("hinge", HingeOptions, _hinge)
    yield Component("non_saturating", NonSaturatingOptions, _non_saturating)
    yield Component("lsgan", LsganOptions, _lsgan)
    yield Component("wgan_clip", WganClipOptions, _wgan_clip)


def _hinge(_options: HingeOptions, _context: Context) -> Hinge:
    from .objectives import Hinge

    return Hinge()


def _non_saturating(_options: NonSaturatingOptions, _context: Context) -> NonSaturating:
    from .objectives import NonSaturating

    return NonSaturating()


def _lsgan(_options: LsganOptions, _context: Context) -> LeastSquares:
    from .objectives import LeastSquares

    return LeastSquares()


def _wgan_clip(options: WganClipOptions, _context: Context) -> WassersteinClipped:
    from .objectives import WassersteinClipped

    return WassersteinClipped(options.clip)
