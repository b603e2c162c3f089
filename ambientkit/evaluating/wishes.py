"""What may be asked of an evaluation; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ambientkit.blends import Blend, require_blend
from ambientkit.errors import InputError

FEWEST = 100  # drawings that still have something beyond both ends of a 95 % interval


@dataclass(frozen=True)
class Wishes:
    """What is asked of an evaluation; `bootstrap` is how often pictures are drawn anew, 0 or 100 or more."""

    baselines: bool = False
    blend: Blend = "none"
    fills: int = 8
    bootstrap: int = 1000

    def __post_init__(self) -> None:
        require_blend(self.blend)
        if self.fills < 2:
            raise InputError(f"cannot compare {self.fills} fills of a picture; ask for 2 or more")
        if self.bootstrap != 0 and self.bootstrap < FEWEST:
            raise InputError(
                f"bootstrap is {self.bootstrap}: too few drawings of the pictures for 95 % intervals; "
                f"ask for {FEWEST} or more, or for 0 to have none"
            )
