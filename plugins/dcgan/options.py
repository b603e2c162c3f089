"""Options of the DCGAN networks, and the sizes that they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options

from ..sizes import size_in

SMALLEST = 16


def halvings(height: int, width: int) -> int:
    """How often a picture is halved until its smaller side is 4 to 7 pixels."""
    return max(0, (min(height, width) // 4).bit_length() - 1)


class DiscriminatorOptions(Options):
    """DCGAN's discriminator: 5x5 convolutions of stride 2 down to about 4x4, then one linear layer."""

    width: int = Field(64, ge=1)
    """Channels of the first layer; each further one doubles them, up to 8 times."""
    norm: Literal["none", "batch", "instance"] = "none"
    """Normalisation after each convolution but the first; DCGAN has batch norm."""
    spectral_norm: bool = False
    """Divide each layer's weights by their largest singular value (Miyato et al. 2018)."""
    mask_channel: bool = True
    """Show the network which pixels are observed, as one more input channel (observed is 1)."""

    def facts(self) -> frozenset[str]:
        """Whether it has batch norm."""
        return frozenset({"batch_norm"} if self.norm == "batch" else ())

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides of at least 16, and a mask channel needs a sensor that says what is observed."""
        yield from self._of_shape(context)
        if self.mask_channel and context.facts and "measurement:observed" not in context.facts:
            message = (
                "the sensor does not say which pixels are observed, so there is nothing for a mask channel"
            )
            yield Complaint("mask_channel", message, "set mask_channel: false")

    def _of_shape(self, context: Context) -> Iterator[Complaint]:
        size, measured = size_in(context), context.measured_shape
        if measured and (len(measured) != 3 or (measured[1:] != size and min(measured[1:]) < SMALLEST)):
            message = (
                f"it works on pictures of {SMALLEST}x{SMALLEST} and more, not on measurements {measured}"
            )
            yield Complaint("", message, "use the discriminator mlp")
        elif size and min(size) < SMALLEST:
            message = f"pictures must be at least {SMALLEST}x{SMALLEST}, not {size[0]}x{size[1]}"
            yield Complaint("", message, "set a larger data.image_size")


class GeneratorOptions(Options):
    """DCGAN's generator: pictures from a latent vector (the AmbientGAN setting)."""

    width: int = Field(64, ge=1)
    """Channels of the last layer but one; each earlier one has twice as many, up to 8 times."""
    latent: int = Field(100, ge=1)
    """Length of the latent vector, which is standard normal."""

    def facts(self) -> frozenset[str]:
        """It makes pictures from a latent and has batch norm."""
        return frozenset({"latent", "batch_norm"})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides are 4 to 7 doubled several times."""
        size = size_in(context)
        if size is None:
            return
        times = 2 ** halvings(*size)
        if min(size) < SMALLEST or size[0] % times or size[1] % times:
            message = f"it makes pictures of {SMALLEST} pixels a side and more, "
            message += f"a small map doubled several times, which {size[0]}x{size[1]} is not"
            yield Complaint("", message, "set data.image_size to a power of two, or 28")
