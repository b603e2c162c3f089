"""Sensors one after another: y = F_k(... F_2(F_1(x, theta_1), theta_2) ..., theta_k)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from ambientkit import Measurement
from ambientkit.interfaces import Shape, Theta


class Chain(Measurement):
    """`parts` in the order in which they act. Theta holds each part's own, as `0.corner`, `1.noise`.

    What a part reports as known keeps its number too, since two parts may report the same thing.
    """

    def __init__(self, parts: Sequence[Measurement]) -> None:
        self.parts = tuple(parts)
        self.random = any(part.random for part in parts)
        self.exact = all(part.exact for part in parts)
        self.pixelwise = all(part.pixelwise for part in parts)
        self.symmetric = frozenset.intersection(*(part.symmetric for part in parts))
        self.gradient = max((part.gradient for part in parts), key=("exact", "surrogate", "none").index)
        self.gradient_reason = "; ".join(
            dict.fromkeys(filter(None, (part.gradient_reason for part in parts)))
        )
        self.fill = self._fill()
        self.fingerprint = " ".join(part.fingerprint for part in parts if part.fingerprint)

    def measured_shape(self, image_shape: Shape) -> Shape:
        """What the last part makes of what those before it made."""
        return self._shapes(image_shape)[-1]

    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """Each part's own theta, drawn in order from one generator."""
        drawn: Theta = {}
        for number, (part, shape) in enumerate(zip(self.parts, self._shapes(image_shape), strict=False)):
            drawn |= {f"{number}.{name}": value for name, value in part.sample(n, shape, generator).items()}
        return drawn

    def measure(self, images: Tensor, theta: Theta) -> Tensor:
        """Each part applied to what the one before it made."""
        return reduce(lambda y, step: step[1].measure(y, _own(theta, step[0])), enumerate(self.parts), images)

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor | None:
        """What every part observed; None where a part that does not say so mixes pixels."""
        seen = None
        for (number, part), shape in zip(enumerate(self.parts), self._shapes(image_shape), strict=False):
            here = part.observed(_own(theta, number), shape)
            if here is None and not part.pixelwise:
                return None
            if here is not None:
                seen = here if seen is None else seen & here
        return seen

    def known(self, theta: Theta) -> Theta | None:
        """What each part's instrument reports, under the part's number."""
        reported = {
            f"{number}.{name}": value
            for number, part in enumerate(self.parts)
            for name, value in (part.known(_own(theta, number)) or {}).items()
        }
        return reported or None

    def _shapes(self, image_shape: Shape) -> list[Shape]:
        """What each part is given, and at last what comes out."""
        shapes = [tuple(image_shape)]
        for part in self.parts:
            shapes.append(tuple(part.measured_shape(shapes[-1])))
        return shapes

    def _fill(self) -> float | None:
        """The constant of hidden pixels, where all that hide write the same and nothing changes it later."""
        if not self.pixelwise:  # then nobody can say which pixels are hidden
            return None
        after_first = self.parts[next((i for i, part in enumerate(self.parts) if part.fill is not None), 0) :]
        fills = {part.fill for part in after_first}
        return fills.pop() if len(fills) == 1 else None


def _own(theta: Theta, number: int) -> Theta:
    """The theta of one part, under its own names."""
    mark = f"{number}."
    return {name.removeprefix(mark): value for name, value in theta.items() if name.startswith(mark)}
