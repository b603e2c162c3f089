"""The options that all completion networks share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ambientkit import Complaint, Context, Options


class CompletingOptions(Options):
    """What is shown to a completion network, and how it is normalised."""

    norm: Literal["batch", "instance", "group", "none"] = "batch"
    """Normalisation after each convolution but the last."""
    mask_channel: bool = True
    """Show the network which pixels are hidden, as one more input channel (hidden is 1)."""
    latent_channels: int = Field(0, ge=0)
    """Channels of a latent map as large as the picture, beside the input: many completions of one picture."""

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of it."""
        return 1

    def facts(self) -> frozenset[str]:
        """It completes; it takes a latent, has batch norm and looks at masks as the options say."""
        said = {
            "completes": True,
            "latent": self.latent_channels > 0,
            "batch_norm": self.norm == "batch",
            "ignores_masks": not self.mask_channel,
        }
        return frozenset(fact for fact, holds in said.items() if holds)

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides are multiples of `multiple`, and a mask channel needs a sensor that says what is hidden."""
        size = context.image_shape[-2:] if context.image_shape else context.image_size
        if size:
            yield from self._of_size(*size)
        if self.mask_channel and context.facts and "measurement:observed" not in context.facts:
            message = "the sensor does not say which pixels it hides, so there is nothing for a mask channel"
            yield Complaint("mask_channel", message, "set mask_channel: false")

    def _of_size(self, height: int, width: int) -> Iterator[Complaint]:
        if height % self.multiple or width % self.multiple:
            near = [
                max(self.multiple, round(side / self.multiple) * self.multiple) for side in (height, width)
            ]
            message = f"height and width must be multiples of {self.multiple}, not {height}x{width}"
            yield Complaint("", message, f"set data.image_size: {near}")
        elif self.norm == "instance" and height * width <= self.multiple**2:
            message = f"at {height}x{width} the inner maps are one pixel, which instance norm turns to 0"
            yield Complaint("norm", message, "use larger pictures or norm: group")
