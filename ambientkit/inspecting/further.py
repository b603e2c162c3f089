"""What a further measurement hides of that which the sensor showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit.inspecting.masks import TOLD, Gap, Masks, Place, collect, compare
from ambientkit.inspecting.sources import Drawn, MaskSource


@dataclass(frozen=True, eq=False)
class Further:
    """Of T, the pixels that the sensor showed and the further measurement hid: the target of `held_out`.

    `masks` are the further measurement's own. The rest is told of pictures that it is applied to, which
    it is with `probability`. `rate`, float64 (c, H, W), is P(it hides a pixel | the sensor observed it),
    NaN where the sensor never did. `hides_known` is P(T is not empty); `beside_hole` is P(T touches
    the sensor's hole | there is one that leaves a pixel beside it), None where there is none.
    `untaught`: pixels that the sensor hides in TOLD draws or more, and the further measurement in
    none. `gaps` compare its holes with the sensor's; there are none where both are one sensor with
    equal options.
    """

    sensor: str
    probability: float
    masks: Masks
    rate: Tensor
    hides_known: float
    beside_hole: float | None
    untaught: tuple[Place, ...]
    gaps: tuple[Gap, ...]


def examine(
    name: str, probability: float, seen: Masks, origin: MaskSource, drawn: Drawn, *, same: bool
) -> Further | None:
    """Pair the masks of `origin`, which `seen` sums up, with as many independent ones of the further sensor.

    None where that does not say what it observes. `same`: both are one sensor with equal options.
    """
    tally = Tally()
    masks = collect(tally.watched(origin.chunks(), drawn.chunks()), drawn.seed)
    if masks is None:
        return None
    return Further(
        sensor=name,
        probability=probability,
        masks=masks,
        rate=tally.target / seen.seen,
        hides_known=tally.any_known / masks.n,
        beside_hole=tally.beside / tally.holes if tally.holes else None,
        untaught=_untaught(seen, masks),
        gaps=() if same else compare(seen, masks),
    )


class Tally:
    """Counts over pairs of a mask of the sensor and an independent one of the further measurement."""

    def __init__(self) -> None:
        self.target = torch.zeros((), dtype=torch.float64)  # becomes (c, H, W)
        self.any_known = 0
        self.beside = 0
        self.holes = 0

    def watched(self, first: Iterator[Tensor], further: Iterator[Tensor]) -> Iterator[Tensor]:
        """The further measurement's masks, each counted with the sensor's on its way."""
        for again, observed in zip(further, first, strict=False):
            self.add(observed, again)
            yield again

    def add(self, observed: Tensor, further: Tensor) -> None:
        """Count one chunk: T = observed & ~observed~, and T where it touches the hole."""
        target = observed & ~further
        hole = ~observed.all(1, keepdim=True)
        rim = functional.max_pool2d(hole.float(), 3, 1, 1).bool() & ~hole
        self.target = self.target + target.sum(0)
        self.any_known += int(target.flatten(1).any(1).sum())
        self.beside += int((rim & target).flatten(1).any(1).sum())
        self.holes += int(rim.flatten(1).any(1).sum())


def _untaught(seen: Masks, further: Masks) -> tuple[Place, ...]:
    never = (seen.n - seen.seen >= TOLD) & (further.seen == further.n)
    return tuple(seen.place(int(site)) for site in never.flatten().nonzero())
