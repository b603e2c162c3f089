"""Convolutions that leave out the taps of their kernel that read nothing but padding.

On a 16x16 map eight of nine taps of a 3x3 kernel of dilation 16 lie outside at every place; on a
2x2 map most of a 5x5 kernel does. Function, gradient and state dict stay those of the full kernel:
weights that are left out get a gradient of 0, as they would from the padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Axis:
    """A convolution along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    def outputs(self, size: int) -> int:
        """Length of what it makes of a map of `size`."""
        return (size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def taps(self, size: int) -> range:
        """The span of taps that read a place of the map for at least one output."""
        first_places = range(-self.padding, self.outputs(size) * self.stride - self.padding, self.stride)
        reached = [
            tap
            for tap in range(self.kernel)
            if any(0 <= place + tap * self.dilation < size for place in first_places)
        ]
        return range(reached[0], reached[-1] + 1) if reached else range(self.kernel)

    def around(self, size: int, taps: range) -> tuple[int, int]:
        """Padding before and behind the map for these taps; below 0, an end of the map is not read."""
        before = self.padding - taps.start * self.dilation
        length = (self.outputs(size) - 1) * self.stride + self.dilation * (len(taps) - 1) + 1
        return before, length - size - before


class TrimmedConv2d(nn.Conv2d):
    """A `Conv2d` with zero padding, whose kernel is cut to what can meet the map it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """As `Conv2d`. A program that is exported for all sizes has the full kernel."""
        if torch.compiler.is_exporting():
            return super().forward(x)
        (rows, high), (columns, across) = (
            _trimmed(axis, size) for axis, size in zip(self._axes(), x.shape[-2:], strict=True)
        )
        if (len(rows), len(columns)) == self.kernel_size:
            return super().forward(x)
        weight = self.weight[..., rows.start : rows.stop, columns.start : columns.stop]
        padding = (high[0], across[0])
        if high[0] != high[1] or across[0] != across[1] or min(padding) < 0:
            x, padding = functional.pad(x, (*across, *high)), (0, 0)
        return functional.conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _axes(self) -> Iterator[Axis]:
        assert not isinstance(self.padding, str)
        for setting in zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True):
            yield Axis(*setting)


@lru_cache(maxsize=256)
def _trimmed(axis: Axis, size: int) -> tuple[range, tuple[int, int]]:
    taps = axis.taps(size)
    return taps, axis.around(size, taps)
