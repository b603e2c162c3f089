"""Windows around holes: what a network is shown where it need not see the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

CELL = 64  # side of the squares in which holes are looked for


class Window(NamedTuple):
    """Rows and columns of a picture, from `top` and `left` up to but without `bottom` and `right`."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def place(self) -> tuple[slice, slice]:
        """As an index of the last two axes."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, around: int, multiple: int, height: int, width: int) -> Window:
        """With up to `around` more pixels to every side, and the first at a multiple of `multiple`."""
        top, left = (max(0, edge - around) // multiple * multiple for edge in (self.top, self.left))
        return Window(top, left, min(height, self.bottom + around), min(width, self.right + around))

    def meets(self, other: Window) -> bool:
        """Whether they have a pixel in common."""
        apart = self.bottom <= other.top or other.bottom <= self.top
        return not (apart or self.right <= other.left or other.right <= self.left)

    def joined(self, other: Window) -> Window:
        """The smallest window that holds both."""
        first = min(self.top, other.top), min(self.left, other.left)
        return Window(*first, max(self.bottom, other.bottom), max(self.right, other.right))


def windows(hidden: Tensor, around: int, multiple: int) -> list[Window]:
    """Windows without common pixels that together hold every True of `hidden`, bool (H, W).

    Each has `around` pixels, and at least `multiple`, on every side of its holes, as far as the picture goes,
    and begins at multiples of `multiple`. Holes whose windows would meet share one, and so may those that lie
    within 64 pixels of each other.
    """
    found: list[Window] = []
    for box in _boxes(hidden):
        found = _with(found, box.grown(max(around, multiple), multiple, *hidden.shape))
    return found


def _with(found: list[Window], window: Window) -> list[Window]:
    """`found` and one more, which takes in those that it meets, and those that it meets then."""
    while met := [other for other in found if window.meets(other)]:
        found = [other for other in found if other not in met]
        for other in met:
            window = window.joined(other)
    return [*found, window]


def _boxes(hidden: Tensor) -> Iterator[Window]:
    """The smallest box around what is hidden in each square of CELL pixels."""
    some = functional.max_pool2d(hidden[None, None].float(), CELL, ceil_mode=True)[0, 0]
    for row, column in some.nonzero().tolist():
        top, left = row * CELL, column * CELL
        cell = hidden[top : top + CELL, left : left + CELL]
        down, right = (cell.any(axis).nonzero().flatten() for axis in (1, 0))
        yield Window(
            top + int(down[0]), left + int(right[0]), top + int(down[-1]) + 1, left + int(right[-1]) + 1
        )
