"""The options that discriminators of pictures share."""

from __future__ import annotations

from collections.abc import Iterator

from ambientkit import Complaint, Context, Options

from .sizes import size_in


class JudgingOptions(Options):
    """What is shown to a discriminator of pictures."""

    mask_channel: bool = True
    """Show the network which pixels are observed, as one more input channel (observed is 1)."""

    @property
    def smallest(self) -> int:
        """Pixels of the shortest side that it can work on."""
        return 16

    def facts(self) -> frozenset[str]:
        """It offers its inner maps, and has batch norm as the options say."""
        norm = {"batch_norm"} if getattr(self, "norm", "none") == "batch" else set()
        return frozenset({"features", *norm})

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides of at least `smallest`; a mask channel needs what is shown to come with a mask."""
        yield from self._of_shape(context)
        if self.mask_channel and "discriminator_data:clean" in context.facts:
            message = (
                "it is shown clean pictures (discriminator_data), so there is nothing for a mask channel"
            )
            yield Complaint("mask_channel", message, "set mask_channel: false")
        elif self.mask_channel and context.facts and "measurement:observed" not in context.facts:
            message = (
                "the sensor does not say which pixels are observed, so there is nothing for a mask channel"
            )
            yield Complaint("mask_channel", message, "set mask_channel: false")

    def _of_shape(self, context: Context) -> Iterator[Complaint]:
        size, measured, least = size_in(context), context.measured_shape, self.smallest
        if "discriminator_data:clean" in context.facts:
            measured = None
        if measured and (len(measured) != 3 or (measured[1:] != size and min(measured[1:]) < least)):
            message = f"it works on pictures of {least}x{least} and more, not on measurements {measured}"
            yield Complaint("", message, "use the discriminator mlp")
        elif size and min(size) < least:
            message = f"pictures must be at least {least}x{least}, not {size[0]}x{size[1]}"
            yield Complaint("", message, "set a larger data.image_size")
