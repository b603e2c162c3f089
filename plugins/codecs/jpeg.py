"""JPEG compression, as a function of the picture that has a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .colour import doubled, halved, to_pixels, to_planes
from .dct import CHROMINANCE, LUMINANCE, tables, through_blocks
from .rounding import GRADIENT_REASON, floor, within


class Jpeg(Measurement):
    """Baseline JPEG (ITU-T T.81) at a quality of 1..100, encoded and decoded.

    Pixels are rounded to 0..255, turned into luminance and colour differences, cut into 8x8 blocks whose
    cosine coefficients are rounded to multiples of the standard tables scaled by libjpeg's quality, and all
    the way back: y holds k / 127.5 - 1, k in 0..255. `lowest`, `highest`: quality, drawn uniformly over the
    whole numbers between them for each picture; a file's header tells it: it is reported where it is drawn.
    `halve_colour`: colour differences at half the resolution (4:2:0); grey pictures have none.

    y equals what libjpeg-turbo (Pillow) gives with its default transform, bit for bit. Traps: colour bleeds
    beyond its block of 16 pixels with 4:2:0, or 8; blocks are counted from the upper left, so a mirrored
    picture gives no mirrored measurement where its width is no multiple of that; quality is no physical unit,
    and other encoders have other tables; pictures read from JPEG files bear its marks already.

    Raises DataError for pictures that have neither 1 nor 3 channels; any height and width will do.
    """

    gradient = "surrogate"
    gradient_reason = GRADIENT_REASON

    def __init__(self, lowest: int, highest: int, halve_colour: bool = True) -> None:
        self.lowest = lowest
        self.highest = highest
        self.halve_colour = halve_colour
        self.random = lowest < highest

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"quality": int64 (n,)}. Raises DataError as above."""
        _require_grey_or_rgb(image_shape)
        above = self.highest + 1
        drawn = torch.randint(self.lowest, above, (n,), generator=generator, device=generator.device)
        return {"quality": drawn}

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """The decompressed pictures. Raises DataError as above."""
        _require_grey_or_rgb(tuple(images.shape[1:]))
        pixels = floor(within(images.double(), -1, 1), 127.5, 127.5 + 0.5)
        luminance_table = tables(LUMINANCE, theta["quality"])
        if pixels.shape[1] == 1:
            decoded = through_blocks(pixels[:, 0], luminance_table).unsqueeze(1)
        else:
            luminance, colour = to_planes(pixels)
            shown = self._colour(colour, tables(CHROMINANCE, theta["quality"]))
            decoded = to_pixels(through_blocks(luminance, luminance_table), shown)
        return (decoded / 127.5 - 1).to(images.dtype)

    def known(self, theta: Theta) -> Theta | None:
        """{"quality": (n,)} where it differs between pictures."""
        return {"quality": theta["quality"]} if self.random else None

    def _colour(self, colour: Tensor, table: Tensor) -> Tensor:
        """Both colour differences (n, 2, H, W) through the codec, as one batch of 2 n planes."""
        n, _, height, width = colour.shape
        planes, tables_of_both = colour.flatten(0, 1), table.repeat_interleave(2, dim=0)
        if self.halve_colour:
            small = through_blocks(halved(planes), tables_of_both)[..., : (width + 1) // 2]
            planes = doubled(small, height, width)
        else:
            planes = through_blocks(planes, tables_of_both)
        return planes.view(n, 2, height, width)


def _require_grey_or_rgb(shape: Shape) -> None:
    if shape[0] not in (1, 3):
        raise DataError(
            f"JPEG takes pictures of 1 or 3 channels, not {shape[0]}; "
            "use grey or RGB pictures, or kind: quantise"
        )
