"""Residual networks for the adversarial game: a generator, and discriminators old and new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl
from ambientkit.errors import PluginError

from ..judging_options import JudgingOptions
from ..sizes import halvings, size_in

if TYPE_CHECKING:
    from .generator import ResNetGenerator
    from .r3gan import R3ganDiscriminator
    from .sngan import SnganDiscriminator

AMBIENTKIT_HOOK_API = 1


class SnganOptions(JudgingOptions):
    """A residual discriminator with spectral norm (Miyato et al. 2018, app. B.2)."""

    width: int = Field(64, ge=1)
    """Channels of the first block; each further one doubles them, up to 8 times."""
    spectral_norm: bool = True
    """Divide each layer's weights by their largest singular value."""


class R3ganOptions(JudgingOptions):
    """R3GAN's discriminator: residual, grouped, without any normalisation (Huang et al. 2024, sec. 3)."""

    width: int = Field(32, ge=1)
    """Channels at full resolution; each level down doubles them, up to 8 times."""
    blocks: int = Field(1, ge=1)
    """Residual blocks of a level."""
    group: int = Field(16, ge=1)
    """Channels of a group of the 3x3 convolutions."""


class ResNetOptions(Options):
    """WGAN-GP's residual generator: pictures from a latent vector (Gulrajani et al. 2017, app. C)."""

    width: int = Field(64, ge=1)
    """Channels of all blocks; 128 in the paper."""
    latent: int = Field(128, ge=1)
    """Length of the latent vector, which is standard normal."""
    norm: Literal["batch", "none"] = "batch"
    """Normalisation in the blocks."""

    def facts(self) -> frozenset[str]:
        """It makes pictures from a latent, and has batch norm as the options say."""
        return frozenset({"latent", "batch_norm"} if self.norm == "batch" else {"latent"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides are 4 to 7 doubled at least twice."""
        size = size_in(context)
        if size is None:
            return
        times = 2 ** halvings(*size)
        if min(size) < SMALLEST or size[0] % times or size[1] % times:
            message = f"it makes pictures of {SMALLEST} pixels a side and more, "
            message += f"a small map doubled several times, which {size[0]}x{size[1]} is not"
            yield Complaint("", message, "set data.image_size to a power of two, or 28")


SMALLEST = 16


@hookimpl
def register_discriminators() -> Iterable[Component]:
    """The residual discriminators."""
    yield Component("r3gan", R3ganOptions, _r3gan)
    yield Component("sngan", SnganOptions, _sngan)


@hookimpl
def register_generators() -> Iterable[Component]:
    """The residual generator."""
    yield Component("resnet", ResNetOptions, _resnet)


def _sngan(options: SnganOptions, context: Context) -> SnganDiscriminator:
    from ..judging import shown_shape
    from .sngan import SnganDiscriminator

    return SnganDiscriminator(
        shown_shape(context, "sngan", options.smallest),
        width=options.width,
        spectral_norm=options.spectral_norm,
        mask_channel=options.mask_channel,
    )


def _r3gan(options: R3ganOptions, context: Context) -> R3ganDiscriminator:
    from ..judging import shown_shape
    from .r3gan import R3ganDiscriminator

    return R3ganDiscriminator(
        shown_shape(context, "r3gan", options.smallest),
        width=options.width,
        blocks=options.blocks,
        group=options.group,
        mask_channel=options.mask_channel,
    )


def _resnet(options: ResNetOptions, context: Context) -> ResNetGenerator:
    from .generator import ResNetGenerator

    if context.image_shape is None:
        raise PluginError(
            "resnet: the pictures' shape is not known; build it with context=Context(image_shape=(C, H, W))"
        )
    return ResNetGenerator(context.image_shape, width=options.width, latent=options.latent, norm=options.norm)
