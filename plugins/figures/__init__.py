"""Figures on completed pictures: against the truth where it is known, and how natural they look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from ambientkit import Component, Context, Metric, Options, hookimpl

if TYPE_CHECKING:
    from .distances import Perceptual

AMBIENTKIT_HOOK_API = 1


class HiddenPsnrOptions(Options):
    """PSNR of what was made over the hidden pixels, in dB, at most 58.92; the pooled value beside it."""

    def facts(self) -> frozenset[str]:
        """It compares hidden pixels with the truth."""
        return frozenset({"truth", "observed"})


class HiddenL1Options(Options):
    """Mean absolute error of what was made over the hidden pixels, pictures in [0, 1]."""

    def facts(self) -> frozenset[str]:
        """It compares hidden pixels with the truth."""
        return frozenset({"truth", "observed"})


class CompositedPsnrOptions(Options):
    """PSNR of whole completed pictures, in dB, at most 58.92; never to be set beside one over holes."""

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


class _TruthOptions(Options):
    def facts(self) -> frozenset[str]:
        """It compares with the truth."""
        return frozenset({"truth"})


class HiddenSsimOptions(Options):
    """Structural similarity of completed pictures with the truth, averaged over hidden pixels."""

    def facts(self) -> frozenset[str]:
        """It compares hidden pixels with the truth."""
        return frozenset({"truth", "observed"})


class CompositedSsimOptions(_TruthOptions):
    """Structural similarity of whole completed pictures with the truth."""


class CompositedL1Options(_TruthOptions):
    """Mean absolute error of whole completed pictures, in [0, 1]; never to be set beside one over holes."""


class _FeatureOptions(Options):
    features: Literal["efficientnet_lite0", "inception"] = "efficientnet_lite0"
    """Network whose features are compared: EfficientNet-Lite0 comes with `ambientkit[features]`; that of
    published FIDs, Inception, needs `ambientkit[fid]` and `weights`."""
    weights: str | None = None
    """File of the network's weights on this machine; only for `inception`, which has no others."""

    @model_validator(mode="after")
    def _weights_where_needed(self) -> Self:
        if (self.features == "inception") != (self.weights is not None):
            raise ValueError(
                "`weights` are for the features inception, which need them; give both or neither"
            )
        return self

    def facts(self) -> frozenset[str]:
        """It compares completed or generated pictures with clean ones, as sets."""
        return frozenset({"clean"})


class PerceptualOptions(_FeatureOptions):
    """Distance of completed pictures from the truth in a network's inner maps (not LPIPS)."""

    def facts(self) -> frozenset[str]:
        """It compares with the truth."""
        return frozenset({"truth"})


class KidOptions(_FeatureOptions):
    """Kernel distance, x 1000, of completed or generated pictures from clean ones, in features."""


class FidOptions(_FeatureOptions):
    """Fréchet distance of completed or generated pictures from clean ones, in a network's features."""


class _RemeasuredOptions(_FeatureOptions):
    def facts(self) -> frozenset[str]:
        """It compares measurements of what was made with real ones; no clean picture is needed."""
        return frozenset({"remeasured"})


class RemeasuredKidOptions(_RemeasuredOptions):
    """Kernel distance of remeasured completions from measurements; x 1000. It needs no clean picture."""


class RemeasuredFidOptions(_RemeasuredOptions):
    """Fréchet distance of remeasured completions from measurements. It needs no clean picture."""


class SaturationOptions(_NaturalOptions):
    """Share of made values in holes at an end of the range."""


class DiversityOptions(Options):
    """How much fills of one picture, from several latents, differ inside its hole."""

    def facts(self) -> frozenset[str]:
        """It needs several fills of a picture with a hole."""
        return frozenset({"fills", "observed"})


@hookimpl
def register_metrics() -> Iterable[Component]:
    """The figures."""
    for kind, (options, module, name) in _PLAIN.items():
        yield Component(kind, options, _plain(module, name))
    for kind, (options, name) in _SIMILARITIES.items():
        yield Component(kind, options, _similarity(name))
    yield Component("perceptual", PerceptualOptions, _perceptual)
    for kind, (set_options, name, remeasured) in _DISTANCES.items():
        yield Component(kind, set_options, _distance(name, remeasured))


_PLAIN: dict[str, tuple[type[Options], str, str]] = {
    "hidden_psnr": (HiddenPsnrOptions, "against_truth", "HiddenPsnr"),
    "hidden_l1": (HiddenL1Options, "against_truth", "HiddenL1"),
    "composited_psnr": (CompositedPsnrOptions, "against_truth", "CompositedPsnr"),
    "composited_l1": (CompositedL1Options, "against_truth", "CompositedL1"),
    "seam": (SeamOptions, "natural", "Seam"),
    "inside_outside": (InsideOutsideOptions, "natural", "InsideOutside"),
    "colour_step": (ColourStepOptions, "natural", "ColourStep"),
    "saturation": (SaturationOptions, "fills", "Saturation"),
    "diversity": (DiversityOptions, "fills", "Diversity"),
}
_SIMILARITIES: dict[str, tuple[type[Options], str]] = {
    "hidden_ssim": (HiddenSsimOptions, "HiddenSsim"),
    "composited_ssim": (CompositedSsimOptions, "CompositedSsim"),
}
_DISTANCES: dict[str, tuple[type[_FeatureOptions], str, bool]] = {
    "kid": (KidOptions, "Kid", False),
    "fid": (FidOptions, "Fid", False),
    "remeasured_kid": (RemeasuredKidOptions, "Kid", True),
    "remeasured_fid": (RemeasuredFidOptions, "Fid", True),
}


def _plain(module: str, name: str) -> Callable[[Options, Context], Metric]:
    """A builder of a figure without options."""

    def build(_options: Options, _context: Context) -> Metric:
        metric: Metric = getattr(import_module(f".{module}", __name__), name)()
        return metric

    return build


def _similarity(name: str) -> Callable[[Options, Context], Metric]:
    """A builder of a structural similarity. What it builds raises PluginError for small pictures, at once."""

    def build(_options: Options, context: Context) -> Metric:
        from . import structural

        structural.require_room(context.image_shape or (structural.SMALLEST, structural.SMALLEST))
        metric: Metric = getattr(structural, name)()
        return metric

    return build


def _distance(name: str, remeasured: bool) -> Callable[[_FeatureOptions, Context], Metric]:
    """A builder of a distance between sets. What it builds raises PluginError for other than pictures."""

    def build(options: _FeatureOptions, context: Context) -> Metric:
        from ..feature_networks import load_features, require_colours
        from . import distances

        require_colours((context.measured_shape if remeasured else context.image_shape) or (3, 1, 1))
        features = load_features(options.features, options.weights)
        metric: Metric = getattr(distances, name)(features, remeasured)
        return metric

    return build


def _perceptual(options: PerceptualOptions, context: Context) -> Perceptual:
    from ..feature_networks import load_features, require_colours
    from .distances import Perceptual

    require_colours(context.image_shape or (3, 1, 1))
    return Perceptual(load_features(options.features, options.weights))
