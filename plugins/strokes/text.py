"""Text that hides what lies under it."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Constant, MaskingMeasurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .font import GLYPHS
from .options import GLYPH, PITCH, text_dots

BLANK = 1 / 6
SPAN = 1 << 62  # so large that its remainders by a picture's side are uniform


class TextOverlay(MaskingMeasurement):
    """Lines of random characters in a 5x7 font, at a random place and scale; their dots hide pixels.

    A structured occlusion, such as captions and watermarks are: thin, connected, and everywhere close to
    pixels that are seen. Pixels between the strokes of a letter stay seen.
    """

    def __init__(
        self, characters: int = 5, lines: int = 2, scale: tuple[int, int] = (1, 2), fill: float = 1.0
    ) -> None:
        self.characters = characters
        self.lines = lines
        self.scale = scale
        self.fill = fill
        self.font = Constant(font_dots())

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"characters": uint8 (n, lines, characters), "scale": int64 (n,), "corner": int64 (n, 2)}.

        Characters count from 1, and 0 is a blank; a scale is drawn uniformly, then the corner from all
        places where the text fits. Raises DataError where it does not fit at its largest scale.
        """
        self._require_room(image_shape)
        device, many = generator.device, (n, self.lines, self.characters)
        drawn = torch.randint(1, len(self.font), many, generator=generator, device=device)
        drawn = drawn * (torch.rand(many, generator=generator, device=device) >= BLANK)
        first = torch.randint(1, len(self.font), (n,), generator=generator, device=device)
        drawn[:, 0, 0] = first
        scale = torch.randint(self.scale[0], self.scale[1] + 1, (n,), generator=generator, device=device)
        text = text_dots(self.lines, self.characters)
        free = [side + 1 - dots * scale for side, dots in zip(image_shape[-2:], text, strict=True)]
        corner = torch.randint(SPAN, (n, 2), generator=generator, device=device) % torch.stack(free, 1)
        return {"characters": drawn.to(torch.uint8), "scale": scale, "corner": corner}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), False under the dots of the characters."""
        dots = self._text(theta["characters"])
        (top, left), scale = theta["corner"].unsqueeze(-1).unbind(1), theta["scale"].unsqueeze(-1)
        rows, in_rows = _dot_of(top, scale, image_shape[-2], dots.shape[1])
        columns, in_columns = _dot_of(left, scale, image_shape[-1], dots.shape[2])
        lines = dots.gather(1, rows.unsqueeze(-1).expand(-1, -1, dots.shape[2]))
        hidden = lines.gather(2, columns.unsqueeze(1).expand(-1, image_shape[-2], -1))
        hidden &= in_rows.unsqueeze(-1) & in_columns.unsqueeze(1)
        return ~hidden.unsqueeze(1)

    def _text(self, characters: Tensor) -> Tensor:
        """Dots of whole texts, bool (n, lines * 9, characters * 6)."""
        glyphs = self.font.on(characters.device)[characters.long()]  # (n, lines, characters, 9, 6)
        return glyphs.transpose(2, 3).reshape(len(characters), self.lines * PITCH[0], -1)

    def _require_room(self, image_shape: Shape) -> None:
        tall, wide = (self.scale[1] * side for side in text_dots(self.lines, self.characters))
        height, width = image_shape[-2:]
        if tall > height or wide > width:
            raise DataError(
                f"text of {tall}x{wide} pixels does not fit into a picture of {height}x{width}; "
                "use fewer characters or lines, a smaller scale or larger pictures"
            )


def font_dots() -> Tensor:
    """Bool (37, 9, 6): a blank, then the characters, each with the gaps after it."""
    dots = torch.zeros(1 + len(GLYPHS), *PITCH, dtype=torch.bool)
    drawn = [[[dot == "#" for dot in row] for row in glyph.split()] for glyph in GLYPHS.values()]
    dots[1:, : GLYPH[0], : GLYPH[1]] = torch.tensor(drawn)
    return dots


def _dot_of(start: Tensor, scale: Tensor, side: int, dots: int) -> tuple[Tensor, Tensor]:
    """Which dot lies on each of `side` pixels, int64 (n, side), and whether one does."""
    place = torch.arange(side, device=start.device) - start
    dot = place.div(scale, rounding_mode="floor")
    return dot.clamp(0, dots - 1), (dot >= 0) & (dot < dots)
