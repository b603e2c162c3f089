"""Checks of what holds over many draws: every pixel is sometimes seen, and mirroring keeps the law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ambientkit.interfaces import Theta
from ambientkit.testing.contract import Checks, not_applicable, require
from ambientkit.testing.measurement_case import MeasurementCase, first, rows

LAW_CHECKS: Checks[MeasurementCase] = Checks()

CHUNK = 256
SEEN_DRAWS = 32_768
"""At most: a pixel seen once in 1,400, as a corner by a window of 28 in 64, is missed once in 10^10."""
OFTEN = 60
"""Times that a neighbour was seen, from which on never is no chance: corners are seen 4 times less."""
SEEN_VALUES = 2 * 10**8
"""Pixels drawn for that, at most; fewer draws for large pictures."""
FLIP_DRAWS = 1024
FLIP_VALUES = 2 * 10**6
DEVIATIONS = 6.0
"""Standard errors by which a mean may be off: by chance once in 10^9 tests of a pixel."""
ROUNDING = 1e-4
"""Of the largest value, for sensors whose mirrored sums round differently."""


@LAW_CHECKS.add
def every_pixel_is_sometimes_seen(case: MeasurementCase) -> None:
    """With `observed`, no pixel (of any channel) is hidden in all of many draws.

    A pixel that was never seen, among others that were seen rarely, may be seen more rarely still, as
    the corner is by a small window: nothing is said of it.
    """
    seen, draws = _times_seen(case)
    unseen = seen == 0
    near = max_pool2d(seen.double(), 3, stride=1, padding=1)
    blind = unseen & (near >= (OFTEN if case.sensor.random else 0)) if seen.any() else unseen
    require(
        not blind.any(),
        f"{int(unseen.sum())} pixels were hidden in each of {draws} draws: {_corners(unseen)}",
        "give every pixel a chance (randint(0, H - h) never draws the last offset, so the last row is never "
        "seen); where the instrument is truly blind nothing can be learnt, and the check has to be waived",
    )
    if unseen.any():
        not_applicable(f"{int(unseen.sum())} pixels are seen too rarely for {draws} draws to tell")


def _times_seen(case: MeasurementCase) -> tuple[Tensor, int]:
    """How often each pixel was seen, (1 or C, H, W), until all were or the draws are used up; of how many."""
    seen = case.observed.sum(0)
    most = max(CHUNK, min(SEEN_DRAWS, SEEN_VALUES // seen.numel())) if case.sensor.random else 0
    draws = case.count
    while draws < most and not seen.all():
        mask = case.seen(case.draw(CHUNK, "seen", draws))
        seen = seen if mask is None else seen + mask.sum(0)
        draws += CHUNK
    return seen, draws


def _corners(where: Tensor) -> str:
    """The True pixels (C, H, W) by the box around them, and the first of them."""
    if not where.any():
        return ""
    _, row, column = where.nonzero().unbind(1)
    box = f"rows {int(row.min())}-{int(row.max())}, columns {int(column.min())}-{int(column.max())}"
    return f"{box}, first (channel, row, column) = {first(where)}"


@LAW_CHECKS.add
def mirroring_keeps_the_law(case: MeasurementCase) -> None:
    """If `symmetric` holds "flip": mirrored measurements have the law of those of mirrored pictures.

    Compared over many draws, by paired differences: the mean of y, of its square and of products of
    diagonal neighbours, at each pixel; the same of `observed`; and the columns of y times what is known,
    which the engine does not mirror.
    """
    if "flip" not in case.sensor.symmetric:
        not_applicable('"flip" is not declared symmetric')
    require(
        case.y.dim() == 4,
        f'"flip" is declared symmetric, but y is {tuple(case.y.shape[1:])}, not rows of pixels',
        "declare `symmetric = frozenset()`",
    )
    means: dict[str, _Mean] = {}
    for pair in _pairs(case):
        for name, gap in _gaps(pair).items():
            means.setdefault(name, _Mean(torch.zeros(()), torch.zeros(()))).add(gap)
    for name, mean in means.items():
        _require_none(name, mean)


@dataclass(frozen=True)
class _Pair:
    """Measurements of one picture, the mirrored ones of the mirrored picture, and both masks."""

    y: Tensor
    mirrored: Tensor
    seen: Tensor | None
    known: Theta


@dataclass
class _Mean:
    """Sum and sum of squares of differences whose mean should be 0."""

    total: Tensor
    squares: Tensor
    count: int = 0

    def add(self, gap: Tensor) -> None:
        """Add differences, first axis the draws."""
        self.total = self.total + gap.sum(0).double()
        self.squares = self.squares + gap.square().sum(0).double()
        self.count += len(gap)

    def deviations(self) -> Tensor:
        """The mean in standard errors; what rounding explains counts as none."""
        mean = self.total / self.count
        error = ((self.squares / self.count - mean.square()).clamp(min=0) / self.count).sqrt()
        return mean.abs().sub(ROUNDING).clamp(min=0) / error.clamp(min=1e-12)


def _pairs(case: MeasurementCase) -> Iterator[_Pair]:
    draws = min(FLIP_DRAWS, max(CHUNK, FLIP_VALUES // case.y[0].numel())) if case.sensor.random else 1
    picture = case.images[:1].repeat(CHUNK, 1, 1, 1)
    theta = case.draw(draws, "flip")
    for start in range(0, draws, CHUNK):
        part = rows(theta, start, start + CHUNK)
        some = picture[: min(CHUNK, draws - start)]
        mirrored = case.measure(some.flip(-1), part).flip(-1)
        yield _Pair(case.measure(some, part), mirrored, case.seen(part), case.reported(part) or {})


def _gaps(pair: _Pair) -> dict[str, Tensor]:
    """Differences, first axis the draws, whose mean is 0 where the law is symmetric."""
    a, b = pair.y, pair.mirrored
    scale = float(torch.maximum(a.abs().max(), b.abs().max()).clamp(min=1e-12))
    a, b = a / scale, b / scale
    gaps = {
        "y": a - b,
        "the square of y": a.square() - b.square(),
        "products of diagonal neighbours of y": _diagonal(a) - _diagonal(b),
    }
    if pair.seen is not None:
        seen = pair.seen.float()
        gaps["observed"] = seen - seen.flip(-1)
        gaps["products of diagonal neighbours of observed"] = _diagonal(seen) - _diagonal(seen.flip(-1))
    columns = (a - b).mean((1, 2)).unsqueeze(1)
    for name, value in pair.known.items():
        gaps[f"columns of y times known {name!r}"] = columns * _standard(value).unsqueeze(2)
    return gaps


def _diagonal(y: Tensor) -> Tensor:
    """Products of each pixel with the one below it on the right."""
    return y[..., :-1, :-1] * y[..., 1:, 1:]


def _standard(value: Tensor) -> Tensor:
    """The first few numbers a picture of something known, within [-1, 1], (n, at most 4)."""
    value = value.flatten(1)[:, :4].float() if value.dim() > 1 else value.float().unsqueeze(1)
    value = value - value.mean(0)
    return value / value.abs().amax(0).clamp(min=1e-12)


def _require_none(name: str, mean: _Mean) -> None:
    off = mean.deviations()
    worst = float(off.max()) if off.numel() else 0.0
    place = first(off == off.max()) if off.numel() else ()
    require(
        worst <= DEVIATIONS,
        f'"flip" is declared symmetric, but the mean of {name} at {place} differs between measurements of '
        f"a picture and mirrored ones of its mirror image: {worst:.3g} standard errors, {mean.count} draws",
        "declare `symmetric = frozenset()`, or draw left and right alike",
    )
