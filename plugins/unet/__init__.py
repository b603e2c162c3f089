"""A U-Net that completes pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Component, Context, hookimpl

from ..completing_options import CompletingOptions

if TYPE_CHECKING:
    from .network import UNet

AMBIENTKIT_HOOK_API = 1


class UNetOptions(CompletingOptions):
    """A U-Net: skips bring what is known beside a hole to the last layers (Ronneberger et al. 2015)."""

    width: int = Field(32, ge=1)
    """Channels at full resolution; each level down has twice as many, at most 8 times."""
    depth: int = Field(3, ge=1, le=6)
    """Halvings; at the lowest level the hole should be a few pixels wide."""
    norm: Literal["batch", "instance", "group", "none"] = "group"
    """Normalisation after each convolution but the last."""

    @property
    def multiple(self) -> int:
        """One halving a level."""
        return int(2**self.depth)


@hookimpl
def register_generators() -> Iterable[Component]:
    """The U-Net."""
    yield Component("unet", UNetOptions, _unet)


def _unet(options: UNetOptions, context: Context) -> UNet:
    from ..completing import channels_of
    from .network import UNet

    channels_in, channels = channels_of(context, "unet")
    return UNet(
        channels,
        channels_in=channels_in,
        width=options.width,
        depth=options.depth,
        norm=options.norm,
        mask_channel=options.mask_channel,
        latent_channels=options.latent_channels,
    )
