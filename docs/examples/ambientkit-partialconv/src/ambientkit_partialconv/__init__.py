"""A completion network of partial convolutions for ambientkit. Torch is imported when it is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ambientkit import Complaint, Component, Context, Options, hookimpl
from ambientkit.errors import PluginError
from pydantic import Field

if TYPE_CHECKING:
    from .network import PartialConvolutions

AMBIENTKIT_HOOK_API = 1
namespace = "partialconv"  # as when installed, where a test hands this module to Engine(plugins=[...])


class PartialConvOptions(Options):
    """A U-Net whose convolutions read known pixels alone, and whose holes shrink (Liu et al. 2018)."""

    width: int = Field(32, ge=1, le=512)
    """Channels of the first layer; each level below has twice as many, up to 8 times."""
    depth: int = Field(4, ge=1, le=6)
    """Halvings. Height and width must be multiples of 2 ** depth."""

    def facts(self) -> frozenset[str]:
        """It completes, takes no latent and has no batch norm."""
        return frozenset({"completes"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """It needs sides that can be halved, and a sensor that says what it hides."""
        size = context.image_shape[-2:] if context.image_shape else context.image_size
        if size and any(side % 2**self.depth for side in size):
            message = f"{self.depth} halvings need multiples of {2**self.depth}, not {size[0]}x{size[1]}"
            yield Complaint("depth", message, "use a smaller depth or another data.image_size")
        if context.facts and "measurement:observed" not in context.facts:
            message = "the sensor does not say which pixels it hides, and a partial convolution has to know"
            yield Complaint("", message, "use a sensor that hides pixels, or another generator")


@hookimpl
def register_generators() -> Iterable[Component]:
    """The network."""
    yield Component("unet", PartialConvOptions, _unet)


def _unet(options: PartialConvOptions, context: Context) -> PartialConvolutions:
    from .network import PartialConvolutions

    if context.image_shape is None:
        raise PluginError("partialconv/unet: the pictures' shape is not known; give image_shape=(C, H, W)")
    return PartialConvolutions(context.image_shape[0], options.width, options.depth)
