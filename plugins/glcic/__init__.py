"""The completion network of "Globally and Locally Consistent Image Completion" (GLCIC)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, hookimpl

from ..completing_options import CompletingOptions
from ..judging_options import JudgingOptions

if TYPE_CHECKING:
    from .discriminator import GlcicDiscriminator
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


class DiscriminatorOptions(JudgingOptions):
    """GLCIC's discriminator: one look at the whole, one at what was made (Iizuka et al. 2017, sec. 3.3)."""

    width: int = Field(64, ge=1)
    """Channels of the first layer; each further one doubles them, up to 8 times."""
    norm: Literal["none", "batch", "instance"] = "none"
    """Normalisation after each convolution but the first; the paper has batch norm."""
    spectral_norm: bool = False
    """Divide each layer's weights by their largest singular value (Miyato et al. 2018)."""

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """As of all; and something must be hidden, or there is nowhere to look closely."""
        yield from super().complaints(context)
        if context.facts and "measurement:observed" not in context.facts:
            message = "the sensor does not say which pixels it hides, so there is nowhere to look closely"
            yield Complaint("", message, "use the discriminator dcgan")


@hookimpl
def register_discriminators() -> Iterable[Component]:
    """GLCIC's discriminator."""
    yield Component("glcic", DiscriminatorOptions, _discriminator)


@hookimpl
def register_generators() -> Iterable[Component]:
    """GLCIC's completion network."""
    yield Component("glcic", GlcicOptions, _glcic)


def _discriminator(options: DiscriminatorOptions, context: Context) -> GlcicDiscriminator:
    from ..judging import shown_shape
    from .discriminator import GlcicDiscriminator

    return GlcicDiscriminator(
        shown_shape(context, "glcic", options.smallest),
        width=options.width,
        norm=options.norm,
        spectral_norm=options.spectral_norm,
        mask_channel=options.mask_channel,
    )


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
