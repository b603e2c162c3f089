"""DCGAN's discriminator, for pictures of many sizes, and its generator (Radford et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ambientkit import Component, Context, hookimpl
from ambientkit.errors import PluginError
from ambientkit.interfaces import Shape

from .options import SMALLEST, DiscriminatorOptions, GeneratorOptions

if TYPE_CHECKING:
    from .networks import DcganDiscriminator, DcganGenerator

AMBIENTKIT_HOOK_API = 1


@hookimpl
def register_discriminators() -> Iterable[Component]:
    """DCGAN's discriminator."""
    yield Component("dcgan", DiscriminatorOptions, _discriminator)


@hookimpl
def register_generators() -> Iterable[Component]:
    """DCGAN's generator."""
    yield Component("dcgan", GeneratorOptions, _generator)


def _discriminator(options: DiscriminatorOptions, context: Context) -> DcganDiscriminator:
    from ..judging import shown_shape
    from .networks import DcganDiscriminator

    return DcganDiscriminator(
        shown_shape(context, "dcgan", SMALLEST),
        width=options.width,
        norm=options.norm,
        spectral_norm=options.spectral_norm,
        mask_channel=options.mask_channel,
    )


def _generator(options: GeneratorOptions, context: Context) -> DcganGenerator:
    from .networks import DcganGenerator

    return DcganGenerator(_picture_shape(context.image_shape), width=options.width, latent=options.latent)


def _picture_shape(shape: Shape | None) -> Shape:
    if shape is None:
        raise PluginError(
            "dcgan: the pictures' shape is not known; build it with context=Context(image_shape=(C, H, W))"
        )
    if len(shape) != 3 or min(shape[1:]) < SMALLEST:
        raise PluginError(
            f"dcgan works on pictures (C, H, W) of {SMALLEST}x{SMALLEST} and more, not on {shape}; "
            "of other measurements, use the discriminator mlp"
        )
    return shape
