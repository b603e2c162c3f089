"""A residual U-Net without normalisation that completes pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Component, Context, hookimpl

from ..completing_options import CompletingOptions

if TYPE_CHECKING:
    from .network import ResUNet

AMBIENTKIT_HOOK_API = 1


class ResUNetOptions(CompletingOptions):
    """A residual U-Net that needs no normalisation, with attention at its lowest level."""

    width: int = Field(24, ge=1)
    """Channels at half the resolution; each level down has twice as many, at most 8 times."""
    depth: int = Field(3, ge=1, le=5)
    """Levels below full resolution, which itself has two plain convolutions at either end."""
    blocks: int = Field(1, ge=1)
    """Residual blocks of a level on the way down, and as many on the way up; twice as many at the lowest."""
    attention: bool = True
    """Let every place of the lowest level look at every other one (Vaswani et al. 2017)."""
    from_surroundings: bool = True
    """Fill holes smoothly from what surrounds them first, and let the network add what is missing."""
    norm: Literal["batch", "instance", "group", "none"] = "none"
    """Normalisation after each convolution of a residual block; none is needed."""

    def facts(self) -> frozenset[str]:
        """What is filled from the surroundings first is known by the mask."""
        return super().facts() - ({"ignores_masks"} if self.from_surroundings else set())

    @property
    def multiple(self) -> int:
        """One halving a level."""
        return int(2**self.depth)


@hookimpl
def register_generators() -> Iterable[Component]:
    """The residual U-Net."""
    yield Component("resunet", ResUNetOptions, _resunet)


def _resunet(options: ResUNetOptions, context: Context) -> ResUNet:
    from ..completing import channels_of
    from .network import ResUNet

    channels_in, channels = channels_of(context, "resunet")
    return ResUNet(
        channels,
        channels_in=channels_in,
        width=options.width,
        depth=options.depth,
        blocks=options.blocks,
        attention=options.attention,
        norm=options.norm,
        mask_channel=options.mask_channel,
        latent_channels=options.latent_channels,
        from_surroundings=options.from_surroundings,
    )
