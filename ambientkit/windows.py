"""Windows around holes: what a network is shown where it need not see the whole picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]
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

    def grown(self, around: int, least: Size, multiple: int, picture: Size) -> Window:
        """With `around` more pixels to every side, or as many as make `least`, as far as `picture` goes.

        Its edges lie at multiples of `multiple`, or at those of the picture.
        """
        top, bottom = _grown(self.top, self.bottom, around, least[0], multiple, picture[0])
        left, right = _grown(self.left, self.right, around, least[1], multiple, picture[1])
        return Window(top, left, bottom, right)

    def meets(self, other: Window) -> bool:
        """Whether they have a pixel in common."""
        apart = self.bottom <= other.top or other.bottom <= self.top
        return not (apart or self.right <= other.left or other.right <= self.left)

    def joined(self, other: Window) -> Window:
        """The smallest window that holds both."""
        first = min(self.top, other.top), min(self.left, other.left)
        return Window(*first, max(self.bottom, other.bottom), max(self.right, other.right))


def windows(hidden: Tensor, around: int, multiple: int = 1, least: Size = (0, 0)) -> list[Window]:
    """Windows without common pixels that together hold every True of `hidden`, bool (H, W).

    Each has `around` pixels, and at least `multiple`, on every side of its holes, or as many as make `least`
    (height, width), as far as the picture goes. Its edges lie at multiples of `multiple`, further out if need
    be, or at those of the picture. Holes whose windows would meet share one, and so may those that lie within
    64 pixels of each other.
    """
    picture = hidden.shape[0], hidden.shape[1]
    around = max(around, multiple)
    rough = _apart(box.grown(around, (0, 0), 1, picture) for box in _boxes(hidden))
    holes = [_around_what_is_hidden(hidden, window) for window in rough]  # each whole, in one cell or in many
    return _apart(hole.grown(around, least, multiple, picture) for hole in holes)


def _apart(some: Iterable[Window]) -> list[Window]:
    """Those windows, and one instead of those that meet."""
    found: list[Window] = []
    for window in some:
        found = _with(found, window)
    return found


def _grown(first: int, last: int, around: int, least: int, multiple: int, length: int) -> tuple[int, int]:
    """The span from `first` up to but without `last`, longer, within that from 0 to `length`."""
    around = max(around, (least - (last - first) + 1) // 2)
    first, last = (first - around) // multiple, -(-(last + around) // multiple)
    return max(0, first * multiple), min(length, last * multiple)


def _with(found: list[Window], window: Window) -> list[Window]:
    """`found` and one more, which takes in those that it meets, and those that it meets then."""
    while met := [other for other in found if window.meets(other)]:
        found = [other for other in found if other not in met]
        for other in met:
            window = window.joined(other)
    return [*found, window]


def _boxes(hidden: Tensor) -> Iterator[Window]:
    """The smallest window around what is hidden in each square of CELL pixels."""
    some = functional.max_pool2d(hidden[None, None].float(), CELL, ceil_mode=True)[0, 0]
    for row, column in some.nonzero().tolist():
        top, left = row * CELL, column * CELL
        yield _around_what_is_hidden(hidden, Window(top, left, top + CELL, left + CELL))


def _around_what_is_hidden(hidden: Tensor, window: Window) -> Window:
    """The smallest window that holds what is hidden in another."""
    rows, columns = (hidden[window.place].any(axis).nonzero().flatten() for axis in (1, 0))
    top, left = window.top + int(rows[0]), window.left + int(columns[0])
    return Window(top, left, window.top + int(rows[-1]) + 1, window.left + int(columns[-1]) + 1)
