"""The completion network of "Globally and Locally Consistent Image Completion" (GLCIC)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ambientkit import Complaint, Component, Context, Options, hookimpl
from ambientkit.errors import PluginError

if TYPE_CHECKING:
    from .network import Glcic

AMBIENTKIT_HOOK_API = 1
MULTIPLE = 4
Dilation = Annotated[int, Field(ge=1)]


class GlcicOptions(Options):
    """GLCIC's completion network: 17 convolutions, four of them dilated (Iizuka et al. 2017, table 1)."""

    width: int = Field(64, ge=2, multiple_of=2)
    """Channels of the first layer; the others keep their proportion to it (64 in the paper)."""
    dilations: tuple[Dilation, Dilation, Dilation, Dilation] = (2, 4, 8, 16)
    """Dilations of layers 7 to 10."""
    norm: Literal["batch", "instance", "group", "none"] = "batch"
    """Normalisation after each convolution but the last; the paper has batch norm."""
    mask_channel: bool = True
    """Show the network which pixels are hidden, as one more input channel (hidden is 1)."""
    latent_channels: int = Field(0, ge=0)
    """Channels of a latent map as large as the picture, beside the input: many completions of one picture."""

    def facts(self) -> frozenset[str]:
        """It completes; it takes a latent and has batch norm as the options say."""
        said = {"completes": True, "latent": self.latent_channels > 0, "batch_norm": self.norm == "batch"}
        return frozenset(fact for fact, holds in said.items() if holds)

    def complaints(self, context: Context) -> Iterator[Complaint]:
        """Sides are multiples of 4, and a mask channel needs a sensor that says what is hidden."""
        size = context.image_shape[-2:] if context.image_shape else context.image_size
        if size:
            yield from self._of_size(*size)
        if self.mask_channel and context.facts and "measurement:observed" not in context.facts:
            message = "the sensor does not say which pixels it hides, so there is nothing for a mask channel"
            yield Complaint("mask_channel", message, "set mask_channel: false")

    def _of_size(self, height: int, width: int) -> Iterator[Complaint]:
        if height % MULTIPLE or width % MULTIPLE:
            near = [max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE) for side in (height, width)]
            message = f"height and width must be multiples of {MULTIPLE}, not {height}x{width}"
            yield Complaint("", message, f"set data.image_size: {near}")
        elif self.norm == "instance" and height * width <= MULTIPLE**2:
            message = f"at {height}x{width} the inner maps are one pixel, which instance norm turns to 0"
            yield Complaint("norm", message, "use larger pictures or norm: group")


@hookimpl
def register_generators() -> Iterable[Component]:
    """GLCIC's completion network."""
    yield Component("glcic", GlcicOptions, _glcic)


def _glcic(options: GlcicOptions, context: Context) -> Glcic:
    from .network import Glcic

    if context.image_shape is None:
        raise PluginError("glcic: the pictures' shape is not known; build it with image_shape=(C, H, W)")
    return Glcic(
        context.image_shape[0],
        width=options.width,
        dilations=options.dilations,
        norm=options.norm,
        mask_channel=options.mask_channel,
        latent_channels=options.latent_channels,
    )
