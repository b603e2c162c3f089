"""Figures on completed pictures: against the truth where it is known, and how natural they look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, Options, hookimpl

if TYPE_CHECKING:
    from .against_truth import CompositedPsnr, HiddenL1, HiddenPsnr
    from .natural import ColourStep, InsideOutside, Seam

AMBIENTKIT_HOOK_API = 1


class HiddenPsnrOptions(Options):
    """PSNR of what was made over the hidden pixels, in dB; the pooled value beside it."""

    def facts(self) -> frozenset[str]:
        """It compares hidden pixels with the truth."""
        return frozenset({"truth", "observed"})


class HiddenL1Options(Options):
    """Mean absolute error of what was made over the hidden pixels, pictures in [0, 1]."""

    def facts(self) -> frozenset[str]:
        """It compares hidden pixels with the truth."""
        return frozenset({"truth", "observed"})


class CompositedPsnrOptions(Options):
    """PSNR of whole completed pictures, in dB; never to be set beside one over hidden pixels."""

    def facts(self) -> frozenset[str]:
        """It compares with the truth."""
        return frozenset({"truth"})


class _NaturalOptions(Options):
    def facts(self) -> frozenset[str]:
        """It looks at holes, and needs no truth."""
        return frozenset({"observed"})


class SeamOptions(_NaturalOptions):
    """Step across the hole's border over steps near it; natural is 1, less is smoothed, more is visible."""


class InsideOutsideOptions(_NaturalOptions):
    """Gradient inside the hole over outside; natural is about 1, a smooth fill has less."""


class ColourStepOptions(_NaturalOptions):
    """Colour difference across the hole's border, in 255ths, beside the natural one of the same pictures."""


@hookimpl
def register_metrics() -> Iterable[Component]:
    """The figures."""
    yield Component("hidden_psnr", HiddenPsnrOptions, _hidden_psnr)
    yield Component("hidden_l1", HiddenL1Options, _hidden_l1)
    yield Component("composited_psnr", CompositedPsnrOptions, _composited_psnr)
    yield Component("seam", SeamOptions, _seam)
    yield Component("inside_outside", InsideOutsideOptions, _inside_outside)
    yield Component("colour_step", ColourStepOptions, _colour_step)


def _hidden_psnr(_options: HiddenPsnrOptions, _context: Context) -> HiddenPsnr:
    from .against_truth import HiddenPsnr

    return HiddenPsnr()


def _hidden_l1(_options: HiddenL1Options, _context: Context) -> HiddenL1:
    from .against_truth import HiddenL1

    return HiddenL1()


def _composited_psnr(_options: CompositedPsnrOptions, _context: Context) -> CompositedPsnr:
    from .against_truth import CompositedPsnr

    return CompositedPsnr()


def _seam(_options: SeamOptions, _context: Context) -> Seam:
    from .natural import Seam

    return Seam()


def _inside_outside(_options: InsideOutsideOptions, _context: Context) -> InsideOutside:
    from .natural import InsideOutside

    return InsideOutside()


def _colour_step(_options: ColourStepOptions, _context: Context) -> ColourStep:
    from .natural import ColourStep

    return ColourStep()
