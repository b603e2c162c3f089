"""What a blur finds beyond the picture's edge."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from ambientkit.errors import DataError

from .options import Padding

_TORCH_MODES = {"zero": "constant", "reflect": "reflect", "replicate": "replicate"}


@dataclass(frozen=True)
class Border:
    """`padding` zero, reflect or replicate; `value` is the constant of zero, in [-1, 1]."""

    padding: Padding = "zero"
    value: float = 0.0

    def check(self, reach: int, size: tuple[int, ...]) -> None:
        """Raise DataError where a picture of `size` (..., H, W) is too small to mirror `reach` pixels."""
        height, width = size[-2:]
        if self.padding == "reflect" and reach >= min(height, width):
            raise DataError(
                f"the kernel reaches {reach} pixels over the edge, further than {height}x{width} pixels "
                "mirror; use padding: replicate, a smaller kernel or larger pictures"
            )

    def around(self, images: Tensor, reach: int) -> Tensor:
        """`images` (n, C, H, W) with `reach` more pixels on each side. Raises DataError as `check`."""
        self.check(reach, tuple(images.shape))
        value = self.value if self.padding == "zero" else None
        return functional.pad(images, [reach] * 4, _TORCH_MODES[self.padding], value)
