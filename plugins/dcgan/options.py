"""Options of the DCGAN networks, and the sizes that they take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options

from ..judging_options import JudgingOptions
from ..sizes import halvings, size_in

SMALLEST = 16


class DiscriminatorOptions(JudgingOptions):
    """DCGAN's discriminator: 5x5 convolutions of stride 2 down to about 4x4, then one linear layer."""

    width: int = Field(64, ge=1)
    """Channels of the first layer; each further one doubles them, up to 8 times."""
    norm: Literal["none", "batch", "instance"] = "none"
    """Normalisation after each convolution but the first; DCGAN has batch norm."""
    spectral_norm: bool = False
    """Divide each layer's weights by their largest singular value (Miyato et al. 2018)."""


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
