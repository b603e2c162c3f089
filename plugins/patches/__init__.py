"""A discriminator that scores patches, each by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ambientkit import Component, Context, hookimpl

from ..judging_options import JudgingOptions

if TYPE_CHECKING:
    from .network import PatchDiscriminator

AMBIENTKIT_HOOK_API = 1


class PatchOptions(JudgingOptions):
    """pix2pix's discriminator: a score for each of many overlapping patches (Isola et al. 2017, app. 6.1)."""

    width: int = Field(64, ge=1)
    """Channels of the first layer; each further one doubles them, up to 8 times."""
    depth: int = Field(2, ge=1, le=5)
    """Halvings: patches are 16, 34, 70, 142 or 286 pixels wide; the paper has 3, for pictures of 256."""
    norm: Literal["none", "batch", "instance"] = "none"
    """Normalisation after each convolution but the first and the last; the paper has batch norm."""
    spectral_norm: bool = False
    """Divide each layer's weights by their largest singular value (Miyato et al. 2018)."""

    @property
    def smallest(self) -> int:
        """Where maps are 3x3 after the last halving, so that one score is left."""
        return max(16, 3 << self.depth)


@hookimpl
def register_discriminators() -> Iterable[Component]:
    """The patch discriminator."""
    yield Component("patch", PatchOptions, _patch)


def _patch(options: PatchOptions, context: Context) -> PatchDiscriminator:
    from ..judging import shown_shape
    from .network import PatchDiscriminator

    shape = shown_shape(context, "patch", options.smallest)
    return PatchDiscriminator(
        shape[0],
        width=options.width,
        depth=options.depth,
        norm=options.norm,
        spectral_norm=options.spectral_norm,
        mask_channel=options.mask_channel,
    )
