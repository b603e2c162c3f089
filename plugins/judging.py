"""What discriminators of pictures share: their input, their inner maps, and spectral norm."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ambientkit import Context, Discriminator, View
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

SLOPE = 0.2

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "none": nn.Identity,
}


class JudgingNetwork(nn.Module, Discriminator):
    """Measured pictures in, raw scores out, by way of `layers`; `taps` are those whose maps are features.

    The input is y, then (with `mask_channel`) 1 where a pixel is observed in all its channels.
    """

    def __init__(self, layers: nn.Sequential, taps: Collection[int], *, mask_channel: bool) -> None:
        super().__init__()
        self.layers = layers
        self.taps = frozenset(taps)
        self.mask_channel = mask_channel

    def forward(self, view: View) -> Tensor:
        """Raw scores (n,) or (n, 1, h, w). Raises PluginError where a mask that is asked for is missing."""
        scores: Tensor = self.layers(with_mask(view, self.mask_channel, self._name))
        return scores.squeeze(1) if scores.dim() == 2 else scores

    def features(self, view: View) -> list[Tensor]:
        """The tapped maps (n, channels, h, w), first to last."""
        x, maps = with_mask(view, self.mask_channel, self._name), []
        for index, layer in enumerate(self.layers[: max(self.taps) + 1]):
            x = layer(x)
            if index in self.taps:
                maps.append(x)
        return maps

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()


def with_mask(view: View, mask_channel: bool, name: str) -> Tensor:
    """y, and beside it what is observed. Raises PluginError where that is asked for and missing."""
    if not mask_channel:
        return view.y
    if view.observed is None:
        raise PluginError(f"{name}: what it is shown says not what is observed; set mask_channel: false")
    # Where a penalty looks between a real and a fake, the mask is a number between 0 and 1.
    seen = view.observed.to(view.y.dtype).amin(1, keepdim=True)
    return torch.cat([view.y, seen], dim=1)


def shown_shape(context: Context, name: str, smallest: int) -> Shape:
    """(C, H, W) of what a discriminator is shown. Raises PluginError where it is no picture, or too small."""
    shape = context.measured_shape or context.image_shape
    if shape is None:
        raise PluginError(
            f"{name}: the pictures' shape is not known; build it with context=Context(image_shape=(C, H, W))"
        )
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise PluginError(
            f"{name} works on pictures (C, H, W) of {smallest}x{smallest} and more, not on {shape}; "
            "of other measurements, use the discriminator mlp"
        )
    return shape


def normalise_spectra(network: nn.Module) -> None:
    """Divide the weights of every convolution and linear layer by their largest singular value.

    The power iteration advances in training mode only, one step a pass (Miyato et al. 2018, app. A).
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrizations.spectral_norm(module)
