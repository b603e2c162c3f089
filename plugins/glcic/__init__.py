"""The completion network of "Globally and Locally Consistent Image Completion" (GLCIC)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ambientkit import Component, Context, hookimpl

from ..completing_options import CompletingOptions

if TYPE_CHECKING:
    from .network import Glcic

AMBIENTKIT_HOOK_API = 1
Dilation = Annotated[int, Field(ge=1)]


class GlcicOptions(CompletingOptions):
    """GLCIC's completion network: 17 convolutions, four of them dilated (Iizuka et al. 2017, table 1)."""

    width: int = Field(64, ge=2, multiple_of=2)
    """Channels of the first layer; the others keep their proportion to it (64 in the paper)."""
    dilations: tuple[Dilation, Dilation, Dilation, Dilation] = (2, 4, 8, 16)
    """Dilations of layers 7 to 10."""

    @property
    def multiple(self) -> int:
        """Two halvings."""
        return 4


@hookimpl
def register_generators() -> Iterable[Component]:
    """GLCIC's completion network."""
    yield Component("glcic", GlcicOptions, _glcic)


def _glcic(options: GlcicOptions, context: Context) -> Glcic:
    from ..completing import channels_of
    from .network import Glcic

    channels_in, channels = channels_of(context, "glcic")
    return Glcic(
        channels,
        channels_in=channels_in,
        width=options.width,
        dilations=options.dilations,
        norm=options.norm,
        mask_channel=options.mask_channel,
        latent_channels=options.latent_channels,
    )
