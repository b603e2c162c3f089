"""Random lines or points of the spectrum, as magnetic resonance imaging measures them."""

from __future__ import annotations

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Shape, Theta

from .options import Pattern, centre_sides, centre_trouble, draw_rate


class Fourier(Measurement):
    """y = M (F x + n): F the orthonormal 2-D Fourier transform of each channel, M a random mask.

    Frequency 0 is at row H // 2, column W // 2, and phases count from the picture's pixel there, so
    neighbouring entries do not alternate in sign. F keeps energy (Parseval): |F x| = |x|. n is N(0,
    noise^2) on the real and on the imaginary part. The mask M is 1 on a block about frequency 0 and on what
    is drawn beyond it, alike for all channels; the instrument reports it. This is the mask of Zbontar et
    al. (fastMRI, 2018, random), for any size.

    Traps: pictures are real, so the entries at k and -k are conjugates: a line and its mirror image tell
    the same, and more of the spectrum is known than is measured. Frequency 0 is sqrt(H W) times the mean,
    up to 64 for 64 x 64 pixels, where others are near 1: y is not in [-1, 1]. Zeros off the mask mean `not
    measured`.
    """

    def __init__(
        self, acceleration: float = 4.0, centre: float = 0.08, pattern: Pattern = "lines", noise: float = 0.0
    ) -> None:
        self.acceleration = acceleration
        self.centre = centre
        self.pattern: Pattern = pattern
        self.noise = noise
        self.random = acceleration > 1 or noise > 0

    def measured_shape(self, image_shape: Shape) -> Shape:
        """(2 C, H, W): real parts of all channels, then imaginary parts."""
        return (2 * image_shape[0], *image_shape[1:])

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"lines": bool (n, W)} or {"points": bool (n, H, W)}, and with noise {"noise": (n, 2 C, H, W)}.

        True where measured. Raises DataError where, at this size, the centre is all that the acceleration
        leaves to measure.
        """
        height, width = image_shape[-2:]
        rate = draw_rate(self.acceleration, self.centre, self.pattern, (height, width))
        if rate <= 0:
            raise DataError("; ".join(centre_trouble(self.centre, self.acceleration)))
        centre = self._centre((height, width), generator.device)
        shape = (n, *centre.shape)
        drawn = torch.rand(shape, generator=generator, device=generator.device) < rate
        theta: Theta = {self.pattern: drawn | centre}
        if self.noise:
            shape = (n, *self.measured_shape(image_shape))
            noise = torch.randn(shape, generator=generator, device=generator.device)
            theta["noise"] = noise.mul_(self.noise)
        return theta

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """(n, 2 C, H, W), half precision computed in float32."""
        work = images.to(torch.promote_types(images.dtype, torch.float32))
        y = centred_spectrum(work)  # a new tensor, so what follows may be done in place
        if self.noise:
            y += theta["noise"]
        return y.mul_(self._mask(theta)).to(images.dtype)

    def known(self, theta: Theta) -> Theta:
        """The mask, as `sample` returns it."""
        return {self.pattern: theta[self.pattern]}

    def _mask(self, theta: Theta) -> Tensor:
        """Bool (n, 1, 1 or H, W)."""
        mask = theta[self.pattern].unsqueeze(1)
        return mask.unsqueeze(1) if self.pattern == "lines" else mask

    def _centre(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Bool (W,) for lines, (H, W) for points: True where always measured."""
        sides = centre_sides(self.centre, self.pattern, size)
        columns = _middle(sides[1], size[1], device)
        return (
            columns if self.pattern == "lines" else _middle(sides[0], size[0], device).unsqueeze(-1) & columns
        )


def centred_spectrum(images: Tensor) -> Tensor:
    """(n, 2 C, H, W): the orthonormal Fourier transform, real parts, then imaginary ones.

    Place 0 and frequency 0 are in the middle. Where both sides are even, moving them there is changing
    signs on a chessboard before and after, which is several times as fast as moving values.
    """
    sides = (-2, -1)
    if any(side % 2 for side in images.shape[-2:]):
        spectrum = torch.fft.fft2(torch.fft.ifftshift(images, dim=sides), norm="ortho")
        return _parts(torch.fft.fftshift(spectrum, dim=sides))
    board = _chessboard(images)
    last = -board if sum(images.shape[-2:]) // 2 % 2 else board  # + at frequency 0
    return _parts(torch.fft.fft2(images * board, norm="ortho")).mul_(last)


def _parts(spectrum: Tensor) -> Tensor:
    """Complex (n, C, H, W) as real (n, 2 C, H, W), a new tensor."""
    return torch.view_as_real(spectrum).movedim(-1, 1).flatten(1, 2)


def _chessboard(images: Tensor) -> Tensor:
    """(H, W) of 1 and -1 in turn, 1 in the upper left corner."""
    rows, columns = (1 - 2 * (torch.arange(side, device=images.device) % 2) for side in images.shape[-2:])
    return (rows.unsqueeze(-1) * columns).to(images.dtype)


def _middle(count: int, length: int, device: torch.device) -> Tensor:
    """Bool (length,), True at `count` places about length // 2, where frequency 0 is."""
    place = torch.arange(length, device=device) - (length // 2 - count // 2)
    return (place >= 0) & (place < count)
